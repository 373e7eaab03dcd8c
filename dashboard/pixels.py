"""Values of products at a pixel or in an area, in physical units and words, for one date or all of a series."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.features import geometry_mask
from rasterio.windows import Window
from rasterio.windows import transform as window_transform

from dashboard import provenance, rasters
from dashboard.product_folder import find, required
from dashboard.provenance import Provenance
from dashboard.theme import MASKS
from processing.bands import DISTRIBUTED, GROUPS
from processing.masks import Cloud
from processing.validation.reference_masks import VALUES

#: An area with more pixels of 10 m than this is read from overviews.
MOST_PIXELS = 2_000_000
#: Most corners of an area, and of one whose line crosses itself: its repair takes with the square of them.
CORNERS, CROSSING = 500, 150
#: Furthest corner of an area. [m]
FURTHEST = 1e8
#: Bands of a time series.
SERIES = ("B2", "B3", "B4", "B8")
#: Bits of CLM that hide the ground.
COVERED = Cloud.ANY | Cloud.HIGH


def _at(path: Path, x: float, y: float) -> NDArray[Any] | None:
    """All bands of a raster at a place of its projection [m]; None outside."""
    with rasters.reading(path):
        raster = rasters.opened(path)
        row, col = raster.index(x, y)
        if not (0 <= row < raster.height and 0 <= col < raster.width):
            return None
        return raster.read(window=Window(col, row, 1, 1))[:, 0, 0]


def _reflectance(folder: Path, key: str, x: float, y: float) -> float | None:
    path = find(folder, f"{key}.tif")
    counts = _at(path, x, y) if path else None
    return None if counts is None or counts[0] <= rasters.NO_DATA else float(counts[0]) / 10000


def _words(kind: str, value: int) -> list[str]:
    return [style.words for style in MASKS[kind] if style.bit & value]


def sample(folder: Path, x: float, y: float) -> dict[str, Any]:
    """Everything a product says of one place.

    Parameters
    ----------
    folder : Path
        Of the product.
    x, y : float
        In the tile's projection. [m]

    Returns
    -------
    dict
        ``SRE`` and ``FRE``: band to reflectance [-], None without data; ``aot`` [-] and ``water_vapour`` [g cm-2], None
        without data; ``masks``: kind to ``value`` and ``words``. What the product doesn't have is left out.

    Raises
    ------
    ProductError
        If a file is damaged.
    """
    found: dict[str, Any] = {"aot": None, "water_vapour": None, "masks": {}}
    for kind in ("SRE", "FRE"):
        keys = {band: f"{kind}_{band}" for band in DISTRIBUTED}
        found[kind] = {b: _reflectance(folder, key, x, y) for b, key in keys.items() if find(folder, f"{key}.tif")}
    path = find(folder, "ATB_R1.tif")
    atmosphere = _at(path, x, y) if path else None
    if atmosphere is not None:
        vapour, aot = (int(value) for value in atmosphere)
        found["aot"] = aot / rasters.AOT_UNIT if aot else None
        found["water_vapour"] = vapour / rasters.WATER_VAPOUR_UNIT if vapour else None
    for kind in MASKS:
        groups = GROUPS if kind in ("SAT", "DFP") else {"R1": GROUPS["R1"]}  # these two have other bits at 20 m
        values = {}
        for group in groups:
            path = find(folder, f"MASKS/{kind}_{group}.tif")
            value = _at(path, x, y) if path else None
            if value is not None:
                values[group] = int(value[0])
        if values:
            words = _words(kind, values.get("R1", 0))
            state = {"SAT": "saturated", "DFP": "defective"}.get(kind)
            words += [f"{band} {state}" for i, band in enumerate(GROUPS["R2"]) if values.get("R2", 0) >> i & 1]
            found["masks"][kind] = {"value": values.get("R1", 0), "words": words}
    return found


def kept(path: Path, x: float, y: float) -> str | None:
    """What a kept mask says of a place of its projection [m]: a kind of `VALUES`; None outside."""
    value = _at(path, x, y)
    return None if value is None else next((kind for kind, code in VALUES.items() if code == value[0]), None)


def age(made: Provenance, east: float, south: float) -> int | None:
    """How old the ground was that a date was compared with. [days]

    Parameters
    ----------
    made : Provenance
        Of the product.
    east, south : float
        From its north-west corner. [m]

    Returns
    -------
    int or None
        None without a past, outside, and where nothing clear had been seen yet.
    """
    if made.state is None:
        return None
    days, resolution = provenance.days(made.state)
    place = int(south // resolution), int(east // resolution)
    if not all(0 <= at < length for at, length in zip(place, days.shape, strict=True)):
        return None
    seen = int(days[place])
    return None if seen < 0 else made.day - seen


def brief(folder: Path, x: float, y: float) -> dict[str, Any]:
    """One date of a pixel's series: reflectances of `SERIES`, ``ndvi`` [-], ``clear``, and the mask in ``words``."""
    row: dict[str, Any] = {band: _reflectance(folder, f"SRE_{band}", x, y) for band in SERIES}
    row["ndvi"] = _ndvi(row["B8"], row["B4"])
    path = find(folder, "MASKS/CLM_R1.tif")
    value = _at(path, x, y) if path else None
    bits = 0 if value is None else int(value[0])
    row["words"] = _words("CLM", bits)
    row["clear"] = not bits & COVERED and row["B4"] is not None
    return row


def _ndvi(infrared: float | None, red: float | None) -> float | None:
    if infrared is None or red is None or infrared + red <= 0:
        return None
    return (infrared - red) / (infrared + red)


def area(corners: Sequence[tuple[float, float]], extent: shapely.Polygon) -> tuple[shapely.Geometry, str]:
    """The polygon of some corners inside a tile, and what was repaired (empty if nothing).

    Raises
    ------
    ValueError
        If it can't be counted: too few corners, empty, outside of the tile.
    """
    if len(set(corners)) < 3:
        raise ValueError("the area has fewer than three corners")
    if len(corners) > CORNERS:
        raise ValueError(f"the area has more than {CORNERS} corners")
    if not (np.abs(corners) <= FURTHEST).all():
        raise ValueError("the area has a corner that is not a number, or far off the Earth")
    polygon, repaired = shapely.Polygon(corners), ""
    if not polygon.is_valid:
        reason = shapely.is_valid_reason(polygon).split("[")[0].lower()
        if len(corners) > CROSSING:
            raise ValueError(f"the area has more than {CROSSING} corners, and can't be repaired: {reason}")
        polygon = shapely.make_valid(polygon, method="structure", keep_collapsed=False)
        repaired = f"The area was repaired: {reason}. "
    if polygon.is_empty or polygon.area == 0:
        raise ValueError("the area is empty")
    inside = polygon.intersection(extent)
    if inside.is_empty or inside.area == 0:
        raise ValueError("the area lies outside of the tile")
    if inside.area < 0.999999 * polygon.area:
        repaired += "The part outside of the tile was cut off."
    return inside, repaired.strip()


def _plane(path: Path, shape: shapely.Geometry) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """A raster's values in a rectangle around a shape, and which of them have their centre inside of it."""
    with rasters.reading(path):
        raster = rasters.opened(path)
        west, south, east, north = shape.bounds
        top, left = raster.index(west, north)
        bottom, right = raster.index(east, south)
        top, left = max(top, 0), max(left, 0)
        height, width = min(bottom + 1, raster.height) - top, min(right + 1, raster.width) - left
        step = max(1, int(np.ceil(np.sqrt(height * width / MOST_PIXELS))))
        rows, cols = max(1, height // step), max(1, width // step)
        window = Window(left, top, width, height)
        values = raster.read(1, window=window, out_shape=(rows, cols), resampling=Resampling.nearest)
        place = window_transform(window, raster.transform) @ Affine.scale(width / cols, height / rows)
    return values, geometry_mask([shape], (rows, cols), place, invert=True)


def statistics(folder: Path, shape: shapely.Geometry, bands: Iterable[str] = SERIES) -> dict[str, Any]:
    """One date of an area.

    Parameters
    ----------
    folder : Path
        Of the product.
    shape : shapely.Geometry
        In the tile's projection. [m]
    bands : iterable of str
        Of 10 m.

    Returns
    -------
    dict
        ``pixels`` inside, ``observed_pixels`` of them, ``clear_pixels`` (observed, neither cloud nor shadow), and of
        the clear ones mean, std, min, max of ``ndvi`` and each band of SRE [-]; None where none is clear. Areas of more
        than `MOST_PIXELS` are sampled evenly, and counted so.

    Raises
    ------
    ProductError
        If a file is damaged, or a band is missing.
    """
    counts = {}
    inside = np.zeros((0, 0), bool)
    for band in bands:
        counts[band], inside = _plane(required(folder, f"SRE_{band}.tif"), shape)
    observed = inside & np.all([plane > rasters.NO_DATA for plane in counts.values()], axis=0)
    path = find(folder, "MASKS/CLM_R1.tif")
    clear = observed if path is None else observed & (_plane(path, shape)[0] & COVERED == 0)
    row: dict[str, Any] = {
        "pixels": int(inside.sum()),
        "observed_pixels": int(observed.sum()),
        "clear_pixels": int(clear.sum()),
    }
    values = {band: plane[clear] / 10000 for band, plane in counts.items()}
    if {"B8", "B4"} <= values.keys():
        total = values["B8"] + values["B4"]
        usable = total > 0
        values = {"ndvi": (values["B8"] - values["B4"])[usable] / total[usable], **values}
    for name, chosen in values.items():
        for figure in ("mean", "std", "min", "max"):
            row[f"{name}_{figure}"] = float(getattr(chosen, figure)()) if len(chosen) else None
    return row


def percentiles(folder: Path, keys: Iterable[str], window: tuple[int, int, int, int]) -> tuple[float, float]:
    """2nd and 98th percentile of some reflectances [-] in a window of 10 m pixels (left, top, right, bottom).

    Raises
    ------
    ProductError
        If a file is damaged or missing.
    ValueError
        If nothing is observed there.
    """
    found = []
    for key in keys:
        path = required(folder, f"{key}.tif")
        with rasters.reading(path):
            raster = rasters.opened(path)
            factor = raster.res[0] / 10
            left, top = (max(0, int(v / factor)) for v in window[:2])
            right, bottom = (int(np.ceil(v / factor)) for v in window[2:])
            width, height = min(right, raster.width) - left, min(bottom, raster.height) - top
            if width <= 0 or height <= 0:
                raise ValueError("the window lies outside of the product")
            shape = (min(256, height), min(256, width))
            values = raster.read(1, window=Window(left, top, width, height), out_shape=shape)
        found.append(values[values > rasters.NO_DATA])
    counts = np.concatenate(found)
    if not len(counts):
        raise ValueError("nothing is observed in the window")
    low, high = np.percentile(counts, (2, 98)) / 10000
    return round(float(low), 4), round(float(max(high, low + 0.001)), 4)
