"""The images and masks of an EOPF Zarr store: what their arrays say of counts, flags and where they lie.

The coordinates x and y of the images are not what they are placed by, as later generations round them to 32 bits: the
attributes `proj:*` and the tile are, and the coordinates are held against those.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from processing import tiling
from processing.bands import BANDS
from processing.l1c import arrays, limits
from processing.l1c import keys as stores
from processing.l1c.arrays import Array
from processing.l1c.eopf import Said
from processing.l1c.keys import Keys
from processing.scene import Grid

#: Counts of reflectance 1, and what is added to counts from baseline 04.00 on: in all products at hand.
QUANTIFICATION, OFFSET = 10_000.0, -1000.0
#: First baseline of which it is not known that these hold.
OPEN_SINCE = "06.00"
#: Folders of the store.
IMAGES, QUALITY, DETECTORS = "measurements/reflectance", "quality/mask", "conditions/mask/detector_footprint"
#: Bits of a mask by their names; layers of MSK_QUALIT.
LAYERS = {
    "anc_lost": 1,
    "anc_deg": 2,
    "msi_lost": 3,
    "msi_deg": 4,
    "defective": 5,
    "nodata": 6,
    "partially_corrected": 7,
    "saturated": 8,
}
_FOLDERS = {10: "r10m", 20: "r20m", 60: "r60m"}


def band_path(folder: str, band: str) -> str:
    """Path of a band's array below one of the store's folders."""
    return f"{folder}/{_FOLDERS[BANDS[band].resolution]}/{BANDS[band].l1c.lower()}"


def needed(keys: Keys, path: str, names: tuple[str, ...]) -> Array:
    """An array of the store with dimensions of these names, in this order where it is an image.

    Raises
    ------
    L1CError
        If it is missing, or has others.
    """
    found = arrays.array(keys, path)
    if found is None:
        raise stores.fault(keys, path, "missing")
    if (found.names and sorted(found.names) != sorted(names)) or len(found.shape) != len(names):
        raise found.fault(f"dimensions {', '.join(found.names) or len(found.shape)}, {', '.join(names)} expected")
    return found


def image(keys: Keys, path: str, dtype: str) -> Array:
    """An image or mask: rows and columns of some type, missing chunks of which are 0 or not known."""
    found = needed(keys, path, ("y", "x"))
    if found.names not in ((), ("y", "x")):
        raise found.fault(f"dimensions {', '.join(found.names)}, y, x expected")
    if found.dtype != np.dtype(dtype):
        hint = ": reflectance and no counts" if found.dtype is not None and found.dtype.kind == "f" else ""
        raise found.fault(f"dtype is {found.dtype}, {np.dtype(dtype)} expected{hint}")
    if found.fill not in (None, 0):
        raise found.fault(f"fill_value is {found.fill}, 0 expected")
    return found


def scale(array: Array, baseline: str, *, has_offset: bool) -> tuple[float, float, str | None]:
    """Counts of reflectance 1 and what is to be added to counts, and a doubt.

    Held against the baseline: the converter writes an offset also of products whose counts have none (`has_offset`).

    Raises
    ------
    L1CError
        If the attributes lack, or are not those of the baseline.
    """
    told = []
    for name in ("scale_factor", "add_offset"):
        value = _own(array, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise array.fault(f"{name} is {repr(value)[:40]}, a number expected")
        told.append(float(value))
    factor, added = told
    quantification = 1 / factor if factor > 0 else math.inf
    quantification = round(quantification) if abs(quantification - round(quantification)) < 0.01 else quantification
    if text := limits.fault("QUANTIFICATION_VALUE", quantification):
        raise array.fault(f"scale_factor {factor:g}: {text}")
    offset = round(added * quantification, 3)
    if not has_offset:
        doubt = f"add_offset {added:g} is not applied: counts of baseline {baseline} have none" if added else None
        expected = (QUANTIFICATION, offset)
        result = (float(quantification), 0.0, doubt)
    else:
        expected = (QUANTIFICATION, OFFSET)
        result = (float(quantification), offset, None)
    if text := limits.fault("RADIO_ADD_OFFSET", offset):
        raise array.fault(f"add_offset {added:g}: {text}")
    if baseline < OPEN_SINCE and (quantification, offset) != expected:
        right = " and ".join(f"{v:g}" for v in expected)
        raise array.fault(f"scales counts by {quantification:g} and {offset:g}, in baseline {baseline} by {right}")
    filled = _own(array, "_FillValue")
    if filled is None:
        filled = _own(array, "fill_value")
    if filled not in (None, 0, "AAA=", "AAAAAAAAAAA="):  # 0, also as xarray spells it in Zarr 3
        raise array.fault(f"_FillValue is {repr(filled)[:40]}, 0 expected")
    return result


def _own(array: Array, name: str) -> Any:
    """An attribute of an array, or of what EOPF keeps of it in one."""
    if name in array.attributes:
        return array.attributes[name]
    inner = array.attributes.get("_eopf_attrs")
    return inner.get(name) if isinstance(inner, dict) else None


def bits(array: Array) -> dict[int, int]:
    """Bit of each layer of a quality mask, by what the array says of its flags.

    Raises
    ------
    L1CError
        If it does not say, or says something else.
    """
    meanings, masks = _own(array, "flag_meanings"), _own(array, "flag_masks")
    meanings = meanings.split() if isinstance(meanings, str) else meanings
    masks = masks.split() if isinstance(masks, str) else masks
    if not isinstance(meanings, list) or not isinstance(masks, list) or len(meanings) != len(masks):
        raise array.fault("no flag_masks and flag_meanings, or not as many of both")
    found: dict[int, int] = {}
    for meaning, mask in zip(meanings, masks, strict=True):
        word = re.sub(r"^qt_|_?pixels?(?=_|$)|_l1a$", "", str(meaning).lower()).replace("no_data", "nodata").strip("_")
        if word not in LAYERS:
            raise array.fault(f"flag_meanings has {str(meaning)[:40]!r}, which is not known")
        value = int(mask) if str(mask).isdecimal() else 0
        if value not in {1 << bit for bit in range(8)} or value in found.values():
            raise array.fault(f"flag_masks has {str(mask)[:20]} for {str(meaning)[:40]!r}")
        found[LAYERS[word]] = value
    if missing := [name for name, layer in LAYERS.items() if layer not in found]:
        raise array.fault(f"flag_meanings lacks {', '.join(missing)}")
    return found


# Where the images lie


def grid(keys: Keys, root: Said, crs: str, tile: str, images: Mapping[str, Array]) -> Grid:
    """The grid that the images have in common, which is that of the tile or a part of it.

    Raises
    ------
    L1CError
        If they or what is said of them differ.
    """
    frame = tiling.grid(tile)
    first: Grid | None = None
    for band, array in images.items():
        resolution = BANDS[band].resolution
        height, width = (size * resolution for size in array.shape)
        corner = _corner(root, array, resolution)
        if corner is None:
            if (height, width) != (frame.height, frame.width):
                raise array.fault(f"{array.shape} pixels, a part of the tile, and no proj:bbox or proj:transform")
            corner = frame.west, frame.north
        found = Grid(crs, *corner, width, height)
        if first is not None and found != first:
            here, there = (f"{g.width} x {g.height} m at {g.west:.10g} E {g.north:.10g} N" for g in (found, first))
            raise array.fault(f"covers {here}, {next(iter(images.values())).path} {there}")
        first = found
        _check_coordinates(keys, array.path.rpartition("/")[0], found, resolution)
    assert first is not None
    inside = first.west >= frame.west and first.east <= frame.east
    inside = inside and first.north <= frame.north and first.south >= frame.south
    steps = (first.west - frame.west, frame.north - first.north, first.width, first.height)
    if not inside or any(step % 60 for step in steps):
        said_ = f"{first.width} x {first.height} m at {first.west:.10g} E {first.north:.10g} N"
        raise stores.fault(keys, IMAGES, f"{said_}, no part of tile {tile} in whole pixels of 60 m")
    return first


def _corner(root: Said, array: Array, resolution: int) -> tuple[float, float] | None:
    """West and north of an image, as the attributes of it, its group and the product say; None where none does."""
    group = arrays.attributes(array.keys, array.path.rpartition("/")[0])
    size = [array.shape[1] * resolution, array.shape[0] * resolution]
    corners: dict[str, tuple[float, float]] = {}
    for where, told in (("", array.attributes), (" of the group", group), (" of the product", root.properties)):
        for name in ("proj:transform", "spatial:transform"):
            values = _numbers(told.get(name), 6) if where != " of the product" else None
            if values:
                a, b, west, d, e, north = values[:6]
                if (a, b, d, e) != (resolution, 0, 0, -resolution):
                    raise array.fault(f"{name}{where} is {values[:6]}, pixels of {resolution} m expected")
                corners[name + where] = (west, north)
        for name in ("proj:bbox", "spatial:bbox"):
            values = _numbers(told.get(name), 4)
            if not values or max(map(abs, values)) <= 360:
                continue  # degrees, or zeros where it was not known
            west, south, east, north = values[:4]
            if [east - west, north - south] != size:
                wide, high = east - west, north - south
                raise array.fault(
                    f"{name}{where} is {wide:g} x {high:g} m, {array.shape} pixels of {resolution} m expected"
                )
            corners[name + where] = (west, north)
    if len(set(corners.values())) > 1:
        (one, first), (other, second) = (
            next(iter(corners.items())),
            next((k, v) for k, v in corners.items() if v != next(iter(corners.values()))),
        )
        raise array.fault(f"{one} says {first}, {other} {second}")
    return next(iter(corners.values()), None)


def _numbers(value: Any, least: int) -> list[float] | None:
    if not isinstance(value, list) or len(value) < least:
        return None
    if not all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in value):
        return None
    return [float(v) for v in value]


def _check_coordinates(keys: Keys, group: str, where: Grid, resolution: int) -> None:
    """Hold the coordinates of a group against its grid; corners and centres of pixels are both in use."""
    for name, start, step in (("x", where.west, resolution), ("y", where.north, -resolution)):
        array = arrays.array(keys, f"{group}/{name}")
        if array is None:
            continue
        size = where.shape(resolution)[name == "x"]
        if array.shape != (size,):
            raise array.fault(f"{array.shape} values, {size} expected")
        values = array.whole()
        ends = np.array([values[0], values[-1]], np.float64) - (start + step * np.array([0, size - 1]))
        if not (np.abs(ends) <= resolution + 1).all():
            raise array.fault(f"from {values[0]:.10g} to {values[-1]:.10g}, the images begin at {start:.10g}")
