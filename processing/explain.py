"""Why is this pixel masked? Every test that was applied to it, with value and threshold, and what came of them.

The mask tests of the product's date are made again, from what was kept of it beside its recurrent state, or else from
its Level-1C; what they give is held against the product's own masks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from pyproj import Transformer
from rasterio.errors import RasterioError
from rasterio.windows import Window

from processing import chain, product
from processing.bands import GROUP_RESOLUTION, GROUPS
from processing.chain import explanation, resampling
from processing.chain.dilation import times
from processing.chain.explanation import Explanation
from processing.chain.recorder import Answer
from processing.errors import L1CError, OutsideTile, ProductError, StateError
from processing.masks import Cloud, Geophysical, Interpolated
from processing.product import Product
from processing.scene import Composite, Evidence, day_of
from processing.versions import VERSIONS, Parameters

if TYPE_CHECKING:
    from processing.settings import Settings
    from processing.store import Store

#: How a cloud's bit came to be, for the summary.
_FOUND_BY = {
    Cloud.MONO_TEMPORAL: "by the thresholds of one date",
    Cloud.MULTI_TEMPORAL: "by the multi-temporal test",
    Cloud.THINNEST: "as thin cloud beside other clouds",
    Cloud.HIGH: "at 1.38 um, high",
}
_SHADOW_OF = {Cloud.SHADOW: "of a cloud inside the image", Cloud.SHADOW_OUTSIDE: "of a cloud outside the image"}
_GROUND = {
    Geophysical.SNOW: "snow",
    Geophysical.WATER: "water",
    Geophysical.TOPOGRAPHIC_SHADOW: "in the shadow of other ground",
    Geophysical.HIDDEN: "hidden by other ground",
    Geophysical.SUN_TOO_LOW: "sun too low over the slope",
    Geophysical.TANGENT_SUN: "sun nearly along the slope",
}
#: Masks that are found again, with their bits.
_MASKS: dict[str, type[Cloud] | type[Geophysical] | type[Interpolated]] = {
    "CLM": Cloud,
    "MG2": Geophysical,
    "IAB": Interpolated,
}
#: Bits of MG2 that are made at full resolution, from the terrain model.
_OF_SLOPES = Geophysical.SUN_TOO_LOW | Geophysical.TANGENT_SUN


@dataclass(frozen=True)
class Why:
    """The answer for one pixel.

    Attributes
    ----------
    product, version, mode : str
    lon, lat : float
        [deg]
    x, y : float
        In the tile's projection. [m]
    row, col : int
        Of the 10 m pixel.
    cell : (int, int)
        Row and column of the coarse cell in which it lies.
    summary : str
        The product's masks here in words.
    tests : list of Answer
        In the order in which they were applied to the cell.
    bits, found : dict of raster to list of str
        Names of the bits that the product has here, and of those that were found again.
    aot, water_vapour : float or None
        As in the product, None where no data. [-], [g cm-2]
    differences : list of str
        Where what was found again is not what the product has. Empty if all is well.
    missing : list of str
        What can't be explained, with the reason.
    """

    product: str
    version: str
    mode: str
    lon: float
    lat: float
    x: float
    y: float
    row: int
    col: int
    cell: tuple[int, int]
    summary: str
    tests: list[Answer]
    bits: dict[str, list[str]]
    found: dict[str, list[str]]
    aot: float | None
    water_vapour: float | None
    differences: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def json(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


def explain(  # noqa: PLR0913 - a scientist's door: all but the place are options, given by name
    folder: Path,
    lon: float,
    lat: float,
    *,
    state: Path | None = None,
    previous_state: Path | None = None,
    l1c: Sequence[Path] = (),
    dem: Path | None = None,
    terrain_cache: Path | None = None,
    decode: bool = True,
) -> Why:
    """Explain the masks of a product at one place.

    The tests of a product's whole tile are kept in memory for the next call.

    Parameters
    ----------
    folder : Path
        Of the product.
    lon, lat : float
        [deg]
    state, previous_state : Path, optional
        Recurrent states that the date left, and that entered it. Without the second one the tests against the past
        can't be made again.
    l1c : sequence of Path, optional
        Packages it was made from. Looked at only where the state does not hold what was kept of the date; that takes
        as long as to decode a tile.
    dem, terrain_cache : Path, optional
        As the product was made with; for the Level-1C.
    decode : bool
        Whether the Level-1C may be decoded: minutes, and GB of memory.

    Raises
    ------
    OutsideTile
        If the place is not in the tile.
    ProductError
        If the folder holds no product of a version made here, or it is damaged.
    L1CError
        If nothing was kept of the date and its Level-1C is no longer there, or may not be decoded.
    StateError
        If a state is damaged, or is not of this product.
    """
    what = _product(folder, _time(folder))
    numbers = _parameters(what)
    at = _place(what, numbers, lon, lat)
    paths = state, previous_state, tuple(l1c), dem, terrain_cache
    known, missing = _known(folder, _time(folder), paths, tuple(_time(p) for p in (state, previous_state)), decode)
    return _why(what, known, numbers, at, missing)


def explain_stored(store: Store, settings: Settings, name: str, lon: float, lat: float, *, decode: bool = True) -> Why:
    """`explain` for a product of a centre, by its identifier.

    Raises
    ------
    UnknownName
        If no product has this name.
    MuscateError
        As of `explain`.
    """
    from processing.store.inputs import inputs

    with store.read() as session:
        found = inputs(session, name)
    own = found.state if found.state == f"{found.path}.npz" else None
    return explain(
        settings.archive / found.path,
        lon,
        lat,
        state=settings.state / own if own else None,
        previous_state=settings.state / found.previous_state if found.previous_state else None,
        l1c=[settings.l1c / path for path in found.l1c],
        dem=settings.dem,
        terrain_cache=settings.home / "terrain",
        decode=decode,
    )


def states(folder: Path, directory: Path) -> tuple[Path | None, Path | None]:
    """Of a folder of states as `muscate process --state` leaves it: the one a product left, and the one before it."""
    what = product.read(folder)
    _, date, kind = what.identifier.split("_", 2)
    dated = {path.name.split("_")[1]: path for path in directory.glob(f"*_{kind}.npz")}
    before = max((other for other in dated if other < date), default=None)
    return dated.get(date), dated[before] if before and what.mode == "nominal" else None


def table(why: Why) -> str:
    """The answer for a terminal."""
    lines = [
        f"{why.product}  {why.mode}",
        f"{why.lon:.6f},{why.lat:.6f}  pixel {why.row},{why.col} of 10 m, cell {why.cell[0]},{why.cell[1]}",
        "",
        why.summary,
        "",
    ]
    step = ""
    for answer in why.tests:
        head, step = (answer.step.replace("_", " ") if answer.step != step else ""), answer.step
        value = _shown(answer.value)
        limit = f"{answer.comparison:2} {_shown(answer.threshold)}" if answer.comparison else ""
        verdict = "-" if not answer.applied else "" if not answer.comparison else "yes" if answer.passed else "no"
        text = f"{head:16}{answer.test:62}{value:>9} {limit:12} {answer.unit:7} {verdict:3} {answer.note}"
        lines.append(text.rstrip())
    lines.append("")
    for raster, names in why.bits.items():
        lines.append(f"{raster:16}{', '.join(names) or 'nothing'}")
    if why.aot is not None:
        lines.append(f"{'ATB':16}AOT {why.aot:.3f}, water vapour {why.water_vapour:.2f} g cm-2")
    lines += [f"differs: {text}" for text in why.differences] + [f"not explained: {text}" for text in why.missing]
    return "\n".join(lines)


def _shown(value: float | bool | None) -> str:
    if value is None:
        return "?"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4f}".rstrip("0").rstrip(".") if abs(value) < 1000 else f"{value:.0f}"


def _time(path: Path | None) -> int:
    """When a file was last written, 0 without it: what was kept in memory of an older one does not serve."""
    try:
        return path.stat().st_mtime_ns if path else 0
    except OSError:
        return 0


@lru_cache(maxsize=64)
def _product(folder: Path, time: int) -> Product:
    if not folder.is_dir():
        raise ProductError(folder, "is no longer there")
    return product.read(folder)


@lru_cache(maxsize=64)
def _to_grid(crs: str) -> Transformer:
    return Transformer.from_crs("EPSG:4326", crs, always_xy=True)


def _parameters(what: Product) -> Parameters:
    version = VERSIONS.get(what.version)
    if version is None or version.parameters is None or what.mode is None:
        raise ProductError(what.path, f"{what.version} of {what.authority} is not made here: its tests are not known")
    return version.parameters


@lru_cache(maxsize=3)
def _known(
    folder: Path,
    time: int,
    paths: tuple[Path | None, Path | None, tuple[Path, ...], Path | None, Path | None],
    times: tuple[int, ...],
    decode: bool,
) -> tuple[Explanation, list[str]]:
    """The tests of a product's whole tile; the last few are kept, each some 80 MB."""
    state, previous_state, l1c, dem, terrain_cache = paths
    what = _product(folder, time)
    numbers = _parameters(what)
    missing: list[str] = []
    past = None
    evidence = product.load_evidence(state) if state is not None and state.exists() else None
    if what.mode == "backward":
        past = evidence.backward if evidence else None
        if past is None:
            missing.append("the tests against later dates: the composite of the backward start was not kept")
    elif what.mode == "nominal":
        if previous_state is not None and previous_state.exists():
            past = _of(what, product.load_state(previous_state), previous_state)
        else:
            name = "the state that entered it" if previous_state is None else previous_state.name
            missing.append(f"the tests against the past: {name} is no longer there")
    if evidence is None:
        if not decode:
            raise L1CError(
                what.l1c or what.identifier,
                f"would have to be decoded, as nothing was kept of the date: `muscate explain-pixel {what.identifier}`"
                " does that",
            )
        evidence = _decoded(what, l1c, past, numbers, dem, terrain_cache)
    return explanation.retest(evidence, day_of(what.sensing), past, numbers), missing


def _of(what: Product, composite: Composite, path: Path) -> Composite:
    here, there = (what.tile, what.version, what.grid), (composite.tile, composite.version, composite.grid)
    if here != there:
        raise StateError(path, f"is of {there[0]} {there[1]}, {what.identifier} of {here[0]} {here[1]}")
    return composite


def _decoded(
    what: Product,
    packages: Sequence[Path],
    past: Composite | None,
    numbers: Parameters,
    dem: Path | None,
    terrain_cache: Path | None,
) -> Evidence:
    from processing.production import machine
    from processing.production.processor import ancillary_of, granule

    gone = [path for path in packages if not path.exists()]
    if gone or not packages:
        name = gone[0] if gone else what.l1c or what.identifier
        raise L1CError(name, f"is no longer there, and nothing was kept of the date beside {what.identifier}")
    source = granule(packages, what.tile)
    with source.decoded(machine.threads()) as scene_with:
        scene = scene_with(ancillary_of(source, numbers, dem, terrain_cache))
        if scene.grid != what.grid or abs((scene.sensing - what.sensing).total_seconds()) > 1:
            raise L1CError(packages[0], f"is not what {what.identifier} was made from")
        l2a, _ = chain.correct(scene, past, numbers)
    if l2a.evidence is None:
        raise L1CError(packages[0], f"gives no product of {what.version}: {l2a.origin.get('reason')}")
    return l2a.evidence


@dataclass(frozen=True)
class _Place:
    """A pixel of a product: of the 10 m images, and the coarse cell in which it lies.

    Attributes
    ----------
    lon, lat : float
        [deg]
    x, y : float
        [m]
    row, col : int
    cell : (int, int)
    """

    lon: float
    lat: float
    x: float
    y: float
    row: int
    col: int
    cell: tuple[int, int]


#: Of the 10 m images. [m]
_SIZE = GROUP_RESOLUTION["R1"]


def _place(what: Product, numbers: Parameters, lon: float, lat: float) -> _Place:
    """Where a place lies in a product; an OutsideTile if it does not."""
    grid = what.grid
    x, y = _to_grid(grid.crs).transform(lon, lat)
    if not (grid.west <= x < grid.east and grid.south < y <= grid.north):
        raise OutsideTile(f"{lon:g},{lat:g} lies outside of tile {what.tile}")
    row, col = int((grid.north - y) // _SIZE), int((x - grid.west) // _SIZE)
    factor = numbers.coarse_resolution // _SIZE
    return _Place(lon, lat, x, y, row, col, (row // factor, col // factor))


def _why(what: Product, known: Explanation, numbers: Parameters, at: _Place, missing: Sequence[str]) -> Why:
    tests = known.tests.at(*at.cell)
    masks = {name: _pixel(what, f"{name}_R1", at.row, at.col)[0] for name in _MASKS}
    edge = bool(_pixel(what, "EDG_R1", at.row, at.col)[0])
    vapour, aot = _pixel(what, "ATB_R1", at.row, at.col)
    again = dict.fromkeys(_MASKS, 0) if edge else _found_again(what, known, numbers, at)
    missing, of_slopes = list(missing), masks["MG2"] & int(_OF_SLOPES)
    again["MG2"] |= of_slopes
    if of_slopes:
        names = " and ".join(_names(Geophysical, of_slopes))
        missing.append(f"{names}: made at full resolution from the terrain model, read from the product")
    if not edge:
        tests += _of_the_drawing(known, numbers, at)
    return Why(
        product=what.identifier,
        version=what.version,
        mode=str(what.mode),
        lon=at.lon,
        lat=at.lat,
        x=round(at.x, 2),
        y=round(at.y, 2),
        row=at.row,
        col=at.col,
        cell=at.cell,
        summary=_summary(Cloud(masks["CLM"]), Geophysical(masks["MG2"]), edge, tests),
        tests=tests,
        bits=_bits(what, masks, edge, at),
        found={name: _names(kind, again[name]) for name, kind in _MASKS.items()},
        aot=None if not aot else aot / numbers.aot_quantification,
        water_vapour=None if not vapour else vapour / numbers.water_vapour_quantification,
        differences=_differences(what, masks, again, numbers),
        missing=missing,
    )


def _found_again(what: Product, known: Explanation, numbers: Parameters, at: _Place) -> dict[str, int]:
    """The bits that the tests, made again, give the pixel."""
    factor, width = numbers.coarse_resolution // _SIZE, what.grid.shape(_SIZE)[1]
    again = {}
    for name, code in (("CLM", known.cloud), ("MG2", known.geophysical), ("IAB", known.interpolated)):
        pixels = factor // times(code, known.interpolated)
        line = resampling.expand_bits(code, (1, width), pixels, numbers.mask_resampling_threshold, at.row)
        again[name] = int(line[0, at.col])
    return again


def _of_the_drawing(known: Explanation, numbers: Parameters, at: _Place) -> list[Answer]:
    """How the masks were drawn around the pixel, beyond the cells in which they were found."""
    pixels = numbers.coarse_resolution // _SIZE // times(known.cloud, known.interpolated)
    drawn = _drawn(known, at.row // pixels, at.col // pixels, numbers) if numbers.mask_buffers else []
    return drawn + _shares(known, at, pixels, numbers)


def _bits(what: Product, masks: dict[str, int], edge: bool, at: _Place) -> dict[str, list[str]]:
    """Names of the bits that the product has at the pixel, by raster."""
    found = {name: _names(kind, masks[name]) for name, kind in _MASKS.items()}
    for raster in ("SAT", "DFP"):
        found[raster] = []
        for group, bands in GROUPS.items():
            row, col = (v * _SIZE // GROUP_RESOLUTION[group] for v in (at.row, at.col))
            code = _pixel(what, f"{raster}_{group}", row, col)[0]
            found[raster] += [band for bit, band in enumerate(bands) if code >> bit & 1]
    found["EDG"] = ["NO_DATA"] if edge else []
    return found


def _differences(what: Product, masks: dict[str, int], again: dict[str, int], numbers: Parameters) -> list[str]:
    """Where what was found again is not what the product has."""
    found = []
    if what.parameters != numbers.digest:
        found.append(f"the product was made with other parameters than {what.version} has now")
    for name, kind in _MASKS.items():
        if masks[name] != again[name]:
            here, there = (", ".join(_names(kind, value)) or "nothing" for value in (masks[name], again[name]))
            found.append(f"{name}: the product has {here}; found again: {there}")
    return found


def _pixel(what: Product, key: str, row: int, col: int) -> list[int]:
    """Values of one pixel of a raster in all its layers."""
    if key not in what.files:
        raise ProductError(what.path, f"has no {key}")
    try:
        with rasterio.open(what.files[key]) as raster:
            return [int(v) for v in raster.read(window=Window(col, row, 1, 1)).ravel()]
    except RasterioError as error:
        raise ProductError(what.path, f"{what.files[key].name} can't be read: {error}") from error


def _names(kind: type[Cloud] | type[Geophysical] | type[Interpolated], value: int) -> list[str]:
    return [str(bit.name) for bit in kind if bit & value]


def _drawn(known: Explanation, row: int, col: int, numbers: Parameters) -> list[Answer]:
    """How far a cell of the masks' own grid is from the cells in which each kind was found, and what is near enough."""
    clouds, shadows = numbers.buffers
    answers = []
    for name, away in known.clouds.away(row, col, numbers).items():
        limit = shadows if Cloud[name.upper()] in _SHADOW_OF else clouds
        held = away is not None and away <= limit * (1 + 1e-6)
        note = "none in the image" if away is None else ""
        answers.append(Answer("mask", name, away, "<=", limit, held, unit="m", note=note))
    drawings = ((known.bright, "brightening", "cloud", 0), (known.dark, "darkening", "shadow", 1))
    for drawing, change, kind, index in drawings:
        if drawing is not None:
            rise, least = drawing.at(row, col)
            text = f"{change} of this cell of the masks, as a {kind}'s"
            rim = numbers.mask_rim[index]
            note = f"what is beside such a cell, by {rim:g} m, is shown too" if rim else ""
            enough = bool(drawing.enough[row, col])
            answers.append(Answer("drawn", text, round(rise, 4), ">=", round(least, 4), enough, note=note))
    return answers


def _shares(known: Explanation, at: _Place, factor: int, numbers: Parameters) -> list[Answer]:
    """How much of each bit the cells around a pixel have: from a share on, the pixel has it."""
    down, right = (
        resampling.axis(1, cells, factor, first)
        for cells, first in zip(known.cloud.shape, (at.row, at.col), strict=True)
    )
    answers = []
    for code, kind in ((known.cloud, Cloud), (known.geophysical, Geophysical)):
        corners = code[np.ix_([down.low[0], down.high[0]], [right.low[0], right.high[0]])]
        for bit in kind:
            if (bit in (Cloud.ANY, Cloud.CLOUD) and kind is Cloud) or not (corners & bit).any():
                continue
            held = (corners & bit > 0).astype(float)
            across = held[:, 0] * (1 - right.weight[0]) + held[:, 1] * right.weight[0]
            share = float(across[0] * (1 - down.weight[0]) + across[1] * down.weight[0])
            limit = numbers.mask_resampling_threshold
            name = f"{'CLM' if kind is Cloud else 'MG2'} {bit.name} of the cells around"
            answers.append(Answer("to_10_m", name, round(share, 4), ">=", limit, share >= limit))
    return answers


def _summary(cloud: Cloud, geophysical: Geophysical, edge: bool, tests: Sequence[Answer]) -> str:
    """The product's masks at a pixel in words: ``cloud, found by the multi-temporal test, dilated``."""
    if edge:
        return "no data"
    grown = "mask" if any(a.step == "mask" for a in tests) else "buffer"
    away = {Cloud[a.test.upper()]: a.value for a in tests if a.step == grown}
    phrases = []
    for noun, ways in (("cloud, found ", _FOUND_BY), ("shadow ", _SHADOW_OF)):
        held = [bit for bit in ways if bit & cloud]
        if held:
            here = any(away.get(bit) == 0 for bit in held)
            near = [d for bit in held if (d := away.get(bit)) is not None and math.isfinite(d)]
            grown = f", dilated: from a cell {min(near):.0f} m away" if near and not here else ""
            phrases.append(noun + " and ".join(ways[bit] for bit in held) + grown)
    phrases += [word for bit, word in _GROUND.items() if bit & geophysical]
    return "; ".join(phrases) or "clear land"
