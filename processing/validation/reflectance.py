"""Surface reflectance against a reference, and how smooth it is in time.

Accuracy, precision and uncertainty as in the Atmospheric Correction Inter-comparison Exercise (ACIX): of the residuals
d = rho - rho_reference, A = mean(d), P = sqrt(sum((d - A)^2) / (n - 1)), U = sqrt(mean(d^2)); the specification is
U <= 0.05 rho + 0.005. The bins are of the reference's reflectance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import CRSError, RasterioError
from rasterio.transform import Affine
from rasterio.warp import Resampling, reproject

from processing.bands import BANDS, BY_L1C, DISTRIBUTED, GROUPS, R1
from processing.errors import InputError, ProductError
from processing.masks import Edge, Geophysical
from processing.product import Product
from processing.validation import foreign

#: Edges of the bins of reflectance.
BINS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1.5)
#: Of a cell of the coarser grid, the share that has to be clear.
CLEAR_SHARE = 0.999
NO_DATA = -10000
#: A reference beyond these is no reflectance but a fault of its file, as a negative count stored unsigned.
PLAUSIBLE = (-0.2, 2.0)
#: Pixels on which a reflectance is no reflectance of the ground, or of ground that the chain does not claim to correct.
_UNFIT = (
    Geophysical.CLOUD
    | Geophysical.CLOUD_SHADOW
    | Geophysical.TOPOGRAPHIC_SHADOW
    | Geophysical.HIDDEN
    | Geophysical.SUN_TOO_LOW
    | Geophysical.TANGENT_SUN
)


def specification(reflectance: NDArray[Any] | float) -> NDArray[Any] | float:
    """The uncertainty that is allowed: 0.05 rho + 0.005."""
    return 0.05 * reflectance + 0.005


def figures(found: NDArray[Any], reference: NDArray[Any]) -> dict[str, float | int | None]:
    """Accuracy, precision and uncertainty of reflectances against a reference, both of one shape, NaN where unknown.

    Returns
    -------
    dict
        ``pixels``; ``reference_mean``; ``accuracy``, ``precision``, ``uncertainty`` [reflectance]; ``specification``,
        the mean of what is allowed; ``share_inside``, the share of pixels whose own residual is; ``quantile_95`` of the
        absolute residual. None where there are no pixels, precision also with one.
    """
    known = np.isfinite(found) & np.isfinite(reference)
    rho = reference[known].astype(float)
    residual = found[known].astype(float) - rho
    n = residual.size
    if n == 0:
        names = (
            "reference_mean",
            "accuracy",
            "precision",
            "uncertainty",
            "specification",
            "share_inside",
            "quantile_95",
        )
        return {"pixels": 0, **dict.fromkeys(names)}
    allowed = specification(rho)
    return {
        "pixels": n,
        "reference_mean": float(rho.mean()),
        "accuracy": float(residual.mean()),
        "precision": float(residual.std(ddof=1)) if n > 1 else None,
        "uncertainty": float(np.sqrt(np.mean(residual**2))),
        "specification": float(np.mean(allowed)),
        "share_inside": float(np.mean(np.abs(residual) <= allowed)),
        "quantile_95": float(np.quantile(np.abs(residual), 0.95)),
    }


def figures_by_bin(
    found: NDArray[Any], reference: NDArray[Any], bins: Sequence[float] = BINS
) -> dict[str, dict[str, float | int | None]]:
    """`figures` of all pixels (``all``) and of each bin of the reference's reflectance (``0.05-0.1``) that has any."""
    table = {"all": figures(found, reference)}
    for low, high in pairwise(bins):
        inside = (reference >= low) & (reference < high)
        row = figures(found[inside], reference[inside])
        if row["pixels"]:
            table[f"{low:g}-{high:g}"] = row
    return table


@dataclass(frozen=True)
class Reference:
    """A raster of surface reflectance.

    Attributes
    ----------
    bands : dict of band to int
        MUSCATE's name to the raster's band number.
    scale : float
        Reflectance of one count.
    """

    path: Path
    bands: dict[str, int]
    scale: float
    resolution: float

    def read(self, band: str) -> tuple[NDArray[np.float32], Any, Affine]:
        """Reflectance, NaN where there is none; projection and transform."""
        try:
            with rasterio.open(self.path, driver=foreign.raster(self.path)) as dataset:
                values = dataset.read(self.bands[band], masked=True)
                crs, transform = dataset.crs, dataset.transform
        except RasterioError as error:
            raise InputError(self.path, f"can't be read: {error}") from error
        return (values.astype(np.float32) * np.float32(self.scale)).filled(np.nan), crs, transform


def reference(path: Path, bands: Sequence[str] | None = None, scale: float | None = None) -> Reference:
    """Open a raster of surface reflectance.

    Parameters
    ----------
    bands : sequence of str, optional
        Its bands in their order, ``B2`` or ``B02``; else the raster's own descriptions.
    scale : float, optional
        Reflectance of one count; by default 1 / 10000 of integers and 1 of floats.

    Raises
    ------
    InputError
        If it can't be read, has no projection, or its bands aren't known.
    """
    try:
        with rasterio.open(path, driver=foreign.raster(path)) as dataset:
            names = list(bands) if bands else [d or "" for d in dataset.descriptions]
            count, kind, crs, resolution = dataset.count, np.dtype(dataset.dtypes[0]).kind, dataset.crs, dataset.res[0]
    except RasterioError as error:
        raise InputError(path, f"can't be read: {error}") from error
    if crs is None:
        raise InputError(path, "has no projection")
    if len(names) != count:
        raise InputError(path, f"has {count} bands, {len(names)} were named")
    known = {BY_L1C[n].name if n in BY_L1C else n: i for i, n in enumerate(names, 1)}
    usable = {band: i for band, i in known.items() if band in DISTRIBUTED}
    if not usable:
        raise InputError(path, f"none of its bands ({', '.join(filter(None, names)) or 'unnamed'}) is in the products")
    return Reference(path, usable, scale or (1.0 if kind == "f" else 1e-4), float(resolution))


def pairs(
    product: Product, against: Reference, kind: str = "SRE", roughness: float | None = None
) -> Iterator[tuple[str, NDArray[np.float32], NDArray[np.float32]]]:
    """Each band's clear reflectance of a product and of the reference, on the coarser of the two grids.

    Parameters
    ----------
    roughness : float, optional
        Leave out the reference's cells that differ by more than this from the mean of their four neighbours. Where the
        ground varies from cell to cell, it matters how each side came to its value of a cell (mean or sample). [-]

    Yields
    ------
    band : str
    found, reference : (row, col) float32
        NaN where unobserved, not clear (`clear`), or outside the reference. [-]

    Raises
    ------
    InputError
        If the two do not overlap, or can't be read.
    """
    fit = {group: clear(product, group) for group in GROUPS}
    for band in (b for b in DISTRIBUTED if b in against.bands):
        group = "R1" if band in R1 else "R2"
        ours = reflectance(product, band, fit[group], kind)
        theirs, crs, transform = against.read(band)
        if roughness is not None:
            theirs = np.where(_roughness(theirs) <= roughness, theirs, np.float32(np.nan))
        own = Affine(*product.grid.transform(BANDS[band].resolution))
        if against.resolution >= BANDS[band].resolution:
            ours = _average(ours, product.grid.crs, own, theirs.shape, crs, transform, against.path)
        else:
            theirs = _average(theirs, crs, transform, ours.shape, product.grid.crs, own, against.path)
        if not np.any(np.isfinite(ours) & np.isfinite(theirs)):
            raise InputError(against.path, f"shares no clear pixel of {band} with {product.identifier}")
        yield band, ours, theirs


def _roughness(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distance of each cell from the mean of its four neighbours, NaN where one of them is unknown and at the edge."""
    distance = np.full(values.shape, np.nan, np.float32)
    around = values[:-2, 1:-1] + values[2:, 1:-1] + values[1:-1, :-2] + values[1:-1, 2:]
    distance[1:-1, 1:-1] = np.abs(values[1:-1, 1:-1] - around / 4)
    return distance


def clear(product: Product, group: str) -> NDArray[np.bool_]:
    """Where a product shows the ground as it should: observed, no cloud (also no thin one), no shadow of any kind."""
    ground: NDArray[np.bool_] = (
        (product.mask("CLM", group) == 0)
        & (product.mask("EDG", group) & Edge.NO_DATA == 0)
        & (product.mask("SAT", group) == 0)
        & (product.mask("MG2", group) & int(_UNFIT) == 0)
    )
    return ground


def reflectance(product: Product, band: str, fit: NDArray[np.bool_], kind: str = "SRE") -> NDArray[np.float32]:
    """Reflectance of a product's band, NaN where unobserved or not `fit`. (row, col) float32 [-]"""
    counts = product.reflectance(band, kind)
    if counts.shape != fit.shape:
        raise ProductError(product.path, f"{kind}_{band} is of {counts.shape}, its masks of {fit.shape}")
    return np.where(fit & (counts != NO_DATA), counts * np.float32(1e-4), np.float32(np.nan))


def _average(
    values: NDArray[np.float32], crs: Any, transform: Affine, shape: tuple[int, ...], to: Any, onto: Affine, path: Path
) -> NDArray[np.float32]:
    """Means over the cells of a coarser grid, NaN where a cell is not wholly known."""
    known = np.isfinite(values)
    if (str(crs), transform, values.shape) == (str(to), onto, shape):
        return values
    means = []
    try:
        for field in (np.where(known, values, np.float32(0)), known.astype(np.float32)):
            mean = np.zeros(shape, np.float32)
            reproject(
                field,
                mean,
                src_transform=transform,
                src_crs=crs,
                dst_transform=onto,
                dst_crs=to,
                resampling=Resampling.average,
            )
            means.append(mean)
    except (RasterioError, CRSError) as error:
        raise InputError(path, f"can't be brought to {to}: {error}") from error
    return np.where(means[1] >= CLEAR_SHARE, means[0], np.float32(np.nan))


def noise(series: NDArray[Any], days: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """How far each clear reflectance lies from the line between its clear neighbours in time.

    Parameters
    ----------
    series : (date, pixel) float
        Reflectance, NaN where not clear, in time order.
    days : (date,) float
        Strictly growing. [d]

    Returns
    -------
    deviation : (n,) float64
        |rho_t - interpolation of rho_before and rho_after| of every clear triplet. [-]
    pixel : (n,) int64
        Whose.

    References
    ----------
    Rouquie et al., Remote Sens. 9(12), 1230, 2017: smoothness of time series.
    """
    if len(days) != len(series) or np.any(np.diff(days) <= 0):
        raise ValueError("days must grow, one each date")
    deviations, pixels = [np.empty(0)], [np.empty(0, np.int64)]
    for pixel in np.flatnonzero(np.isfinite(series).sum(axis=0) >= 3):
        known = np.flatnonzero(np.isfinite(series[:, pixel]))
        rho, t = series[known, pixel].astype(float), np.asarray(days, float)[known]
        share = (t[1:-1] - t[:-2]) / (t[2:] - t[:-2])
        deviations.append(np.abs(rho[1:-1] - (rho[:-2] + share * (rho[2:] - rho[:-2]))))
        pixels.append(np.full(len(known) - 2, pixel))
    return np.concatenate(deviations), np.concatenate(pixels)


def series_noise(products: Sequence[Product], step: float, kind: str = "SRE") -> dict[str, dict[str, Any]]:
    """`noise` by band of the clear pixels every `step` metres of a series of one tile and version.

    Returns
    -------
    dict of band to dict
        ``noise`` (mean deviation), ``noise_quantile_95`` [-], ``triplets``; None and 0 without a clear triplet.

    Raises
    ------
    ProductError
        If the products are not of one tile, version and grid.
    """
    ordered = sorted(products, key=lambda p: p.sensing)
    for other in ordered[1:]:
        if (other.tile, other.version, other.grid) != (ordered[0].tile, ordered[0].version, ordered[0].grid):
            raise ProductError(other.path, f"is no date of the series of {ordered[0].identifier}")
    days = np.array([_day(p.sensing) for p in ordered])
    answers: dict[str, dict[str, Any]] = {}
    for group, bands in GROUPS.items():
        every = max(1, round(step / (10 if group == "R1" else 20)))
        start = every // 2
        fit = [clear(p, group) for p in ordered]
        for band in bands:
            rows = [
                reflectance(p, band, f, kind)[start::every, start::every].ravel()
                for p, f in zip(ordered, fit, strict=True)
            ]
            found, _ = noise(np.array(rows), days)
            answers[band] = {
                "noise": float(found.mean()) if found.size else None,
                "noise_quantile_95": float(np.quantile(found, 0.95)) if found.size else None,
                "triplets": int(found.size),
            }
    return answers


def _day(moment: datetime) -> float:
    return moment.timestamp() / 86400
