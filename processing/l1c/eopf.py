"""What an EOPF Zarr store says of its Level-1C: the attributes of its root, which say of what it is.

Four generations are read: of the converter CPM 2.4 and 2.5 (Zarr 2), 2.6 (Zarr 2), 3.0 (Zarr 3), and the last one
written anew as GeoZarr. They differ in the names and the case of attributes, in chunks and in how names are stored;
none of it is assumed, and what is needed and missing is named. The names of the store's groups are those of EOPF's
product model S02MSIL1C.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from processing.atmosphere.responses import Response
from processing.bands import BANDS
from processing.errors import L1CError
from processing.known import Baseline, Known, Satellite
from processing.l1c import arrays, limits
from processing.l1c import keys as stores
from processing.l1c.keys import Keys
from processing.l1c.metadata import SIMULATION_CENTRE, recognise

#: `product:type` of a Level-1C.
TYPE = "S02MSIL1C"

_SAFE_NAME = re.compile(
    r"(S2[A-Z])_MSIL1C_(\d{8}T\d{6})_N(\d\d)(\d\d)_R(\d{3})_T(\d\d[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V])_(\d{8}T\d{6})"
)


@dataclass(frozen=True)
class Said:
    """What the root of a store says, names compared without their case."""

    keys: Keys
    properties: Mapping[str, Any]
    other: Mapping[str, Any]
    identifier: str
    history: Mapping[str, Any]

    @property
    def root(self) -> str:
        """The file that says it."""
        return "zarr.json" if arrays.version(self.keys) == 3 else ".zattrs"

    def fault(self, text: str) -> L1CError:
        """The error that names an attribute."""
        return stores.fault(self.keys, self.root, text)

    def get(self, *names: str) -> Any:
        """The first of some attributes that is there and not null; None where none is."""
        for name in names:
            for where in (self.properties, self.other):
                value = where.get(name.lower())
                if value is not None and value != "null":
                    return value
        return None

    def text(self, *names: str) -> str:
        """The same, which must be a text."""
        value = self.get(*names)
        if not isinstance(value, str):
            raise self.fault(f"no {' or '.join(names)}" if value is None else f"{names[0]} is {repr(value)[:80]}")
        return value

    def number(self, value: Any, name: str) -> float:
        """A number, also where it is written as a text."""
        try:
            found = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
        except ValueError:
            found = math.nan
        if not math.isfinite(found):
            raise self.fault(f"{name} is {repr(value)[:80]}, not a number")
        return found

    def time(self, *names: str) -> datetime:
        """A time in UTC."""
        text = self.text(*names)
        try:
            time = datetime.fromisoformat(text)
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        except (ValueError, OverflowError):
            raise self.fault(f"{names[0]} is {text[:80]!r}, not a time") from None

    def match(self, pattern: str, *names: str) -> re.Match[str]:
        """A text of some form."""
        text = self.text(*names)
        found = re.fullmatch(pattern, text)
        if not found:
            raise self.fault(f"{names[0]} is {text[:80]!r}")
        return found


@dataclass(frozen=True)
class Facts:
    """What the root says of the product; names as in `Granule`."""

    identifier: str
    tile: str
    platform: str
    sensing: datetime
    datatake_sensing: datetime
    datastrip: datetime
    orbit: int
    relative_orbit: int
    baseline: str
    discriminator: str
    generation: datetime
    crs: str
    solar_irradiance: Mapping[str, float]
    physical_gain: Mapping[str, float]
    simulated: bool
    doubts: tuple[str, ...]
    #: How the store was made, in words.
    made: str
    satellite: Satellite
    form: Baseline


def said(keys: Keys) -> Said:
    """Read the root of a store.

    Raises
    ------
    L1CError
        If it is no Level-1C of Sentinel-2.
    """
    root = arrays.attributes(keys, "")
    name = "zarr.json" if arrays.version(keys) == 3 else ".zattrs"
    item = root.get("stac_discovery")
    if not isinstance(item, dict) or not isinstance(item.get("properties"), dict):
        raise stores.fault(keys, name, "no stac_discovery: not an EOPF store")
    properties = {key.lower(): value for key, value in item["properties"].items()}
    kind = str(properties.get("product:type") or properties.get("eopf:type") or "")
    if kind.upper() != TYPE:
        level = re.fullmatch(r"S02MSIL(\d\w)", kind.upper())
        what = f"a Level-{level[1]} store, not Level-1C" if level else f"product:type is {kind[:40]!r}, not {TYPE}"
        raise stores.fault(keys, name, what)
    other: dict[str, Any] = {}
    for key in sorted(k for k in root if re.fullmatch(r"other_metadata\d*", k)):  # the first one goes before the second
        if isinstance(root[key], dict):
            for word, value in root[key].items():
                mine = other.get(word.lower())
                if word.lower() == "band_description":
                    other.setdefault("band_descriptions", []).append(value)
                elif mine is None or mine == "null":
                    other[word.lower()] = value
    history = root.get("processing_history")
    identifier = item.get("id")
    if not isinstance(identifier, str):
        raise stores.fault(keys, name, "stac_discovery has no id")
    return Said(keys, properties, other, identifier, history if isinstance(history, dict) else {})


def kind(root: Said) -> tuple[str, str]:
    """Satellite, ``S2D``, and processing baseline, whether they are known or not.

    Raises
    ------
    L1CError
        If the root doesn't say so.
    """
    platform = "S2" + root.match(r"sentinel-2([a-z])", "platform")[1].upper()
    return platform, root.text("eopf:baseline", "processing:version")


def facts(root: Said, known: Known) -> Facts:
    """What the root says of the product, held against itself.

    Raises
    ------
    L1CError
        If something is missing, malformed, or contradicts another.
    Unrecognised
        If it is of an unknown satellite or baseline.
    """
    name = _SAFE_NAME.fullmatch(root.identifier.removesuffix(".SAFE"))
    if not name:
        raise root.fault(f"id is {root.identifier[:100]!r}, the name of a Level-1C product expected")
    platform, baseline = kind(root)
    satellite, form = recognise(root.fault, platform, baseline, known)
    take = root.match(
        r"G(S2[A-Z])_(\d{8}T\d{6})_(\d{6})_N(\d\d\.\d\d)",
        "eopf:datatake_id",
        "eopf:data_take_id",
        "eopf:datatake_identifier",
    )
    datatake, sensing = root.time("start_datetime"), root.time("mean_sensing_time")
    relative = int(name[5])
    for what, here, there in (
        ("satellite", platform, name[1]),
        ("baseline", baseline, f"{name[3]}.{name[4]}"),
        ("relative orbit", _whole(root, "sat:relative_orbit", relative), relative),
        ("start of the datatake", f"{datatake:%Y%m%dT%H%M%S}", take[2]),
        ("orbit", _whole(root, "sat:absolute_orbit", int(take[3])), int(take[3])),
    ):
        if here != there:
            raise root.fault(f"its {what} is {here}, id or datatake say {there}")
    for what, time in (("mean_sensing_time", sensing), ("start_datetime", datatake)):
        if text := limits.fault_of_time(what, time):
            raise root.fault(text)
    return Facts(
        identifier=name[0],
        tile=_tile(root, name[6]),
        platform=platform,
        sensing=sensing,
        datatake_sensing=datatake,
        datastrip=_datastrip(root, datatake),
        orbit=int(take[3]),
        relative_orbit=relative,
        baseline=baseline,
        discriminator=name[7],
        generation=root.time("created"),
        crs=_crs(root, name[6]),
        solar_irradiance=_irradiance(root),
        physical_gain=_gains(root),
        simulated=root.get("processing:facility") == SIMULATION_CENTRE,
        doubts=tuple(_doubts(root, platform, take[1], datatake)),
        made=_made(root),
        satellite=satellite,
        form=form,
    )


def _whole(root: Said, name: str, known: int) -> int:
    """A number that the id tells too, as `known`."""
    value = root.get(name)
    return known if value is None else round(root.number(value, name))


def _tile(root: Said, tile: str) -> str:
    """The tile of the id, which no other attribute contradicts."""
    for name in ("UTM_zone_identification", "tile_id", "s2:mgrs_tile"):
        found = re.search(r"_T(\d\d[A-Z]{3})_", f"_{root.get(name)}_")
        if found and found[1] != tile:
            raise root.fault(f"id is of tile {tile}, {name} of {found[1]}")
    return tile


def _datastrip(root: Said, datatake: datetime) -> datetime:
    """Start of the datastrip; that of the datatake where the store does not know it."""
    ident = root.get("eopf:datastrip_id", "eopf:data_strip_id", "datastrip_id")
    found = re.search(r"_S(\d{8}T\d{6})(?:_|$)", str(ident))
    if ident is not None and not found:
        raise root.fault(f"eopf:datastrip_id is {str(ident)[:80]!r}")
    if not found:
        return datatake.replace(microsecond=0)
    try:
        return datetime.strptime(found[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        raise root.fault(f"eopf:datastrip_id of {found[1]}, not a time") from None


def _crs(root: Said, tile: str) -> str:
    """The projection, which all that say it agree on and which is that of the tile."""
    zone = (32600 if tile[2] >= "N" else 32700) + int(tile[:2])
    names = ("proj:code", "proj:epsg", "horizontal_crs_code")
    told = {name: str(value).upper().removeprefix("EPSG:") for name in names if (value := root.get(name)) is not None}
    for name, code in told.items():
        if code != str(zone):
            raise root.fault(f"tile {tile} lies in EPSG:{zone}, {name} says {code[:40]}")
    if not told:
        raise root.fault(f"no {', '.join(names)}")
    return f"EPSG:{zone}"


def _irradiance(root: Said) -> dict[str, float]:
    listed = root.get("bands", "eo:bands")
    found = {}
    for entry in listed if isinstance(listed, list) else []:
        band = band_named(entry.get("name")) if isinstance(entry, dict) else None
        value = entry.get("solar_illumination", entry.get("eo:solar_illumination")) if band else None
        if band and value is not None:
            found[band] = root.number(value, f"solar_illumination of {band}")
            if text := limits.fault("SOLAR_IRRADIANCE", found[band]):
                raise root.fault(f"{text}, in {band}")
    if missing := [b for b in BANDS if b not in found]:
        raise root.fault(f"no solar_illumination of {', '.join(missing)}")
    return {b: found[b] for b in BANDS}


def descriptions(root: Said) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What the store says of each band, in as many pieces as it says it."""
    for one in root.other.get("band_descriptions", []):
        for key, value in one.items() if isinstance(one, dict) else ():
            band = band_named(key)
            if band and isinstance(value, dict):
                yield band, value


def _gains(root: Said) -> dict[str, float]:
    found = {}
    for band, told in descriptions(root):
        if told.get("physical_gain") not in (None, "null"):
            found[band] = root.number(told["physical_gain"], f"physical_gain of {band}")
            if text := limits.fault("PHYSICAL_GAINS", found[band]):
                raise root.fault(f"{text}, in {band}")
    return {b: found[b] for b in BANDS} if len(found) == len(BANDS) else {}


def spectral_responses(root: Said) -> dict[str, Response]:
    """The spectral responses of the satellite, by band; none where it has none.

    Raises
    ------
    L1CError
        If one is not of numbers, or not of the length that it says.
    """
    found = {}
    for band, told in descriptions(root):
        if told.get("spectral_response_values") in (None, "null"):
            continue
        first, last, step = (
            root.number(told.get(name), f"{name} of {band}")
            for name in ("wavelength_min", "wavelength_max", "spectral_response_step")
        )
        try:
            values = np.array(str(told["spectral_response_values"]).split(), np.float64)
        except ValueError:
            raise root.fault(f"spectral_response_values of {band} are no numbers") from None
        if not step > 0 or abs(first + step * (len(values) - 1) - last) > step / 2:
            text = f"{len(values)} values every {step:g} nm from {first:g} to {last:g} nm"
            raise root.fault(f"spectral_response_values of {band}: {text}")
        found[band] = Response(first, step, values)
    return found


def band_named(name: Any) -> str | None:
    """Our name of a band by one of EOPF's: b01, B01, 01, 8A."""
    short = str(name).upper().removeprefix("B").lstrip("0")
    return f"B{short}" if f"B{short}" in BANDS else None


def _doubts(root: Said, platform: str, other: str, datatake: datetime) -> Iterator[str]:
    if other != platform:
        yield f"platform says {platform}, the datatake {other}"
    for key, value in root.other.items():
        if key.startswith("reflectance_correction_factor") and value != "null":
            factor, right = root.number(value, key[:29]), limits.sun_distance_factor(datatake)
            if text := limits.fault("U", factor):
                raise root.fault(text)
            if abs(factor - right) > limits.DISTANCE_TOLERANCE:
                yield f"U is {factor:.4f}, on {datatake:%Y-%m-%d} it is {right:.4f}"


def _made(root: Said) -> str:
    """What wrote the store and when, where it says so."""
    words = [f"Zarr {arrays.version(root.keys)}"]
    for step in _steps(root.history):
        processor = str(step.get("processor", ""))
        if re.search("eopf|cpm", processor, re.IGNORECASE):
            told = (processor, step.get("version"), step.get("time") or step.get("processingTime"))
            words.append(" ".join(str(word)[:40] for word in told if word))
    return ", ".join(words)


def _steps(history: Any) -> Iterator[Mapping[str, Any]]:
    for steps in history.values() if isinstance(history, dict) else ():
        yield from (step for step in (steps if isinstance(steps, list) else [steps]) if isinstance(step, dict))
