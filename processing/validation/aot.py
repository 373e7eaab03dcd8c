"""Aerosol optical thickness (and water vapour) of products against sun photometers, or against a map that is known.

The specification is the one of the moderate-resolution imagers over land: 0.05 + 15 % of the reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.transform import Affine
from rasterio.warp import Resampling, reproject, transform

from processing.errors import InputError
from processing.masks import Edge, Interpolated
from processing.product import Product
from processing.validation import foreign
from processing.validation.aeronet import Station

GROUP, RESOLUTION = "R2", 20
#: Counts of ATB per unit; its bands. [g-1 cm2], [-]
SUBJECTS = {"aot": (1, 200.0, Interpolated.AOT), "water_vapour": (0, 20.0, Interpolated.WATER_VAPOUR)}
#: Names that a band of a reference map may bear.
_NAMES = {"aot": ("aot", "aod"), "water_vapour": ("water", "wv", "cwv")}


@dataclass(frozen=True)
class Match:
    """A product and a photometer that saw the same air.

    Attributes
    ----------
    found, found_std : float
        Mean and standard deviation of the product in the box. [-]
    share : float
        Of the box, the part that could be used. [-]
    reference, reference_std : float
        Mean and standard deviation of the photometer around the overpass. [-]
    measurements : int
    """

    site: str
    level: str
    image: str
    version: str
    sensing: datetime
    found: float
    found_std: float
    share: float
    reference: float
    reference_std: float
    measurements: int


@dataclass(frozen=True)
class Around:
    """What counts as the same air.

    Attributes
    ----------
    minutes : float
        Before and after the overpass. [min]
    box : float
        Side of the square around the station. [m]
    min_measurements : int
    min_share : float
        Of the box that has to be usable. [-]
    interpolated : bool
        Whether pixels count whose value was filled in from around.
    """

    minutes: float = 30.0
    box: float = 5000.0
    min_measurements: int = 1
    min_share: float = 0.1
    interpolated: bool = False


def match(product: Product, image: str, station: Station, around: Around) -> Match | str | None:
    """The mean AOT around a station and what the station measured.

    Returns
    -------
    Match, str or None
        None where the station lies outside the product; a reason where it lies inside but there's nothing to compare.
    """
    (east,), (north,) = transform("EPSG:4326", product.grid.crs, [station.longitude], [station.latitude])
    grid = product.grid
    if not (grid.west <= east < grid.east and grid.south < north <= grid.north):
        return None
    window = timedelta(minutes=around.minutes)
    seen = station.measurements.loc[pd.Timestamp(product.sensing - window) : pd.Timestamp(product.sensing + window)]
    if len(seen) < around.min_measurements:
        return f"{station.name}: {len(seen)} measurements within {around.minutes:g} min of the overpass"
    values = usable(product, "aot", interpolated=around.interpolated)
    row, col = (grid.north - north) / RESOLUTION, (east - grid.west) / RESOLUTION
    half = around.box / 2 / RESOLUTION
    rows, cols = (
        slice(max(0, round(c - half)), min(n, max(round(c + half), round(c - half) + 1)))
        for c, n in zip((row, col), values.shape, strict=True)
    )
    box = values[rows, cols]
    good = box[np.isfinite(box)]
    if good.size < max(1, around.min_share * box.size):
        return f"{station.name}: {100 * good.size / box.size:.0f} % of the box can be used"
    return Match(
        site=station.name,
        level=station.level,
        image=image,
        version=product.version,
        sensing=product.sensing,
        found=float(good.mean()),
        found_std=float(good.std()),
        share=good.size / box.size,
        reference=float(seen["aot550"].mean()),
        reference_std=float(seen["aot550"].std(ddof=0)),
        measurements=len(seen),
    )


def usable(product: Product, subject: str, *, interpolated: bool = False) -> NDArray[np.float32]:
    """AOT or water vapour at 20 m; NaN where unobserved, masked, or (unless asked for) filled in. [-], [g cm-2]"""
    band, per_unit, bit = SUBJECTS[subject]
    counts = product.atmosphere(GROUP)[band]
    good = (counts != 0) & (product.mask("CLM", GROUP) == 0) & (product.mask("EDG", GROUP) & Edge.NO_DATA == 0)
    if not interpolated:
        good &= product.mask("IAB", GROUP) & bit == 0
    return np.where(good, counts / np.float32(per_unit), np.float32(np.nan))


def against_map(
    product: Product, path: Path, subject: str, *, interpolated: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A product's AOT or water vapour and a map's, both averaged over 240 m cells, NaN where either is unknown.

    Raises
    ------
    InputError
        If the map can't be read, has no band of that name, or shares no usable pixel with the product.
    """
    try:
        with rasterio.open(path, driver=foreign.raster(path)) as dataset:
            names = [(d or "").lower() for d in dataset.descriptions]
            band = next((i for i, n in enumerate(names, 1) if n.startswith(_NAMES[subject])), None)
            if band is None:
                raise InputError(path, f"no band is named {subject}: {', '.join(filter(None, names)) or 'all unnamed'}")
            truth = dataset.read(band, masked=True).astype(np.float32).filled(np.nan)
            crs, placed = dataset.crs, dataset.transform
    except RasterioError as error:
        raise InputError(path, f"can't be read: {error}") from error
    if crs is None:
        raise InputError(path, "has no projection")
    cell = 240
    shape = product.grid.shape(cell)
    onto = Affine(*product.grid.transform(cell))
    ours = usable(product, subject, interpolated=interpolated)
    means = []
    for values, own, where in ((ours, product.grid.crs, product.grid.transform(RESOLUTION)), (truth, crs, placed)):
        mean = np.full(shape, np.nan, np.float32)
        reproject(
            values,
            mean,
            src_transform=Affine(*where[:6]),
            src_crs=own,
            src_nodata=np.nan,
            dst_transform=onto,
            dst_crs=product.grid.crs,
            dst_nodata=np.nan,
            resampling=Resampling.average,
        )
        means.append(mean)
    found, known = means
    if not np.any(np.isfinite(known)):
        raise InputError(path, f"does not overlap {product.identifier}")
    both = np.isfinite(found) & np.isfinite(known)
    if not both.any():
        raise InputError(path, f"shares no usable pixel of {subject} with {product.identifier}")
    return np.where(both, found, np.float32(np.nan)), np.where(both, known, np.float32(np.nan))


def figures(found: Sequence[float] | NDArray[Any], reference: Sequence[float] | NDArray[Any]) -> dict[str, Any]:
    """How well one quantity meets another, pair by pair.

    Returns
    -------
    dict
        ``pairs``; ``reference_mean``; ``bias``, ``rmse``, ``standard_deviation`` of the differences; ``share_inside``,
        the share within 0.05 + 15 %; ``correlation``. None where not defined.
    """
    ours, theirs = (np.asarray(a, float).ravel() for a in (found, reference))
    if ours.shape != theirs.shape:
        raise ValueError(f"shapes differ: {ours.shape}, {theirs.shape}")
    known = np.isfinite(ours) & np.isfinite(theirs)
    ours, theirs = ours[known], theirs[known]
    if not ours.size:
        names = ("reference_mean", "bias", "rmse", "standard_deviation", "share_inside", "correlation")
        return {"pairs": 0, **dict.fromkeys(names)}
    difference = ours - theirs
    varies = ours.size > 1 and ours.std() > 0 and theirs.std() > 0
    return {
        "pairs": int(ours.size),
        "reference_mean": float(theirs.mean()),
        "bias": float(difference.mean()),
        "rmse": float(np.sqrt(np.mean(difference**2))),
        "standard_deviation": float(difference.std()),
        "share_inside": float(np.mean(np.abs(difference) <= 0.05 + 0.15 * theirs)),
        "correlation": float(np.corrcoef(ours, theirs)[0, 1]) if varies else None,
    }


def by_version(matches: Iterable[Match]) -> dict[str, list[Match]]:
    """Matches of each version, in order of time."""
    found: dict[str, list[Match]] = {}
    for one in sorted(matches, key=lambda m: (m.version, m.sensing, m.site)):
        found.setdefault(one.version, []).append(one)
    return found
