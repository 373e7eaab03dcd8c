"""What masks, aerosol, water vapour and reflectance of a product are worth against the truth, as sums by block.

Every figure is a quotient of sums, and sums are kept for each block of each date, so that figures of two versions can
be compared on the same resampled blocks (`protocol`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.elsewhere.fields import coarser, finer
from benchmarks.elsewhere.ground import KIND, KINDS
from benchmarks.elsewhere.series import STEP, Date
from processing.bands import DISTRIBUTED, R1
from processing.chain.dilation import dilate
from processing.masks import Geophysical
from processing.scene import L2A
from processing.versions import Parameters, parameters

#: Blocks along a side of an image; width left out around true masks [m]; cells of the aerosol's figures [px].
BLOCKS, RING, CELL = 4, 240, 12
#: Shadows of so much ground count as those of small clouds. [m2]
SMALL = 90_000.0
#: Covers whose reflectance must not go with the angle of the sun to the slope.
SLOPES = ("grass", "forest", "rock")
#: Veils by what they add to B10. [-]
VEIL = (0.005, 0.015)

Bool = NDArray[np.bool_]
Sums = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Found:
    """What a method says of a date, (row, col) at 20 m; None where it says nothing of it.

    Attributes
    ----------
    cloud, shadow, water, snow, observed : bool
    aot, water_vapour : float32
        [-], [g cm-2]
    reflectance : dict of band to float32
    sigma : dict of name to float32
        One standard deviation of reflectance by band, and of ``aot``.
    """

    cloud: Bool
    shadow: Bool | None = None
    water: Bool | None = None
    snow: Bool | None = None
    observed: Bool | None = None
    aot: NDArray[np.float32] | None = None
    water_vapour: NDArray[np.float32] | None = None
    reflectance: Mapping[str, NDArray[np.float32]] | None = None
    sigma: Mapping[str, NDArray[np.float32]] | None = None


def of_product(product: L2A, numbers: Parameters) -> Found:
    """The layers of a product at 20 m; reflectance is that of flat ground, and at 10 m is averaged."""
    bits = product.geophysical["R2"]

    def has(bit: Geophysical) -> Bool:
        return np.asarray(bits & np.uint8(bit) > 0)

    reflectance = {}
    for band in DISTRIBUTED:
        raster = product.flat_reflectance[band]
        values = raster.astype(np.float32) / numbers.reflectance_quantification
        values[raster == numbers.no_data] = np.nan
        if band in R1:
            values = values.reshape(values.shape[0] // 2, 2, values.shape[1] // 2, 2).mean((1, 3))
        reflectance[band] = values
    water, aot = (layer.astype(np.float32) for layer in product.atmosphere["R2"])
    return Found(
        cloud=has(Geophysical.CLOUD),
        shadow=has(Geophysical.CLOUD_SHADOW),
        water=has(Geophysical.WATER),
        snow=has(Geophysical.SNOW),
        observed=product.edge["R2"] == 0,
        aot=aot / numbers.aot_quantification,
        water_vapour=water / numbers.water_vapour_quantification,
        reflectance=reflectance,
        sigma=_sigma(product),
    )


def _sigma(product: L2A) -> Mapping[str, NDArray[np.float32]] | None:
    """The uncertainty layers of a product, where its version gives any."""
    if not product.uncertainty:
        return None
    of_aot, of_reflectance = parameters(product.version).uncertainty_quantification
    layers = product.uncertainty["R2"].astype(np.float32)
    return {"aot": layers[0] / of_aot} | {
        band: layer / np.float32(of_reflectance) for band, layer in zip(DISTRIBUTED, layers[1:], strict=True)
    }


def _blocks(values: NDArray) -> NDArray[np.float64]:
    """Sums of the blocks of an image, flat."""
    rows, cols = values.shape
    edges = np.linspace(0, rows, BLOCKS + 1).astype(int)[:-1], np.linspace(0, cols, BLOCKS + 1).astype(int)[:-1]
    sums = np.add.reduceat(np.add.reduceat(np.asarray(values, np.float64), edges[0], 0), edges[1], 1)
    return np.asarray(sums.ravel())


def _confusion(mask: Bool, truth: Bool, among: Bool) -> NDArray[np.float64]:
    """(block, hits / false / missed / rejected)."""
    return np.stack(
        [_blocks(mask & truth & among), _blocks(mask & ~truth & among), _blocks(~mask & truth & among),
         _blocks(~mask & ~truth & among)], 1
    )  # fmt: skip


def _share(hit: Bool, among: Bool) -> NDArray[np.float64]:
    return np.stack([_blocks(hit & among), _blocks(among)], 1)


def _moments(error: NDArray, aot: NDArray, among: Bool) -> NDArray[np.float64]:
    """(block, n / sum e / sum e^2 / sum a / sum a^2 / sum a e) on cells."""
    e, a, n = (np.where(among, v, 0) for v in (error, aot, np.ones_like(error)))
    return np.stack([_blocks(v) for v in (n, e, e * e, a, a * a, a * e)], 1)


def _correlation(x: NDArray, y: NDArray, among: Bool) -> NDArray[np.float64]:
    """(block, n / sum x / sum x^2 / sum y / sum y^2 / sum x y)."""
    among = among & np.isfinite(y)
    x, y, n = (np.where(among, v, 0) for v in (x, y, np.ones_like(x)))
    return np.stack([_blocks(v) for v in (n, x, x * x, y, y * y, x * y)], 1)


def _cells(values: NDArray) -> NDArray:
    rows, cols = values.shape
    return values.reshape(rows // CELL, CELL, cols // CELL, CELL).mean((1, 3))


def _around(mask: Bool) -> Bool:
    return np.asarray(dilate(mask, RING, STEP) & ~mask)


def judge(date: Date, found: Found, before: Bool | None = None) -> Sums:
    """All sums of a date; `before` is the true thick cloud of the date before."""
    t = date.truth
    seen = ~t.lost if found.observed is None else found.observed & ~t.lost
    sums = _clouds(date, found, seen, before)
    if found.shadow is not None:
        sums |= _shadows(date, found, seen)
    if found.water is not None and found.snow is not None:
        sums |= _ground(date, found, seen)
    if found.aot is not None:
        sums |= _air(date, found)
    if found.reflectance is not None:
        sums |= _reflectance(date, found, seen)
    return sums


def _clouds(date: Date, found: Found, seen: Bool, before: Bool | None) -> Sums:
    t = date.truth
    sure = seen & ~t.unsure
    out = {"cloud_direct": _confusion(found.cloud, t.cloud, sure),
           "cloud_ring": _confusion(found.cloud, t.cloud, sure & ~_around(t.cloud))}  # fmt: skip
    if not t.clear_date:
        out["cloudy_ring"] = out["cloud_ring"]
        out["cloudy_direct"] = out["cloud_direct"]
    thick = t.thick & seen
    out["thick"] = _share(found.cloud, thick)
    out["thick_sea"] = _share(found.cloud, thick & t.water)
    out["thick_snow"] = _share(found.cloud, thick & t.snow)
    if date.relief:
        out["thick_relief"] = _share(found.cloud, thick)
        far = ~dilate(t.cloud, RING, STEP) & seen & ~t.unsure
        out["false_relief"] = _share(found.cloud, far)
    if before is not None:
        out["stood_before"] = _share(found.cloud, thick & before)
    if t.clear_date:
        for k, name in enumerate(KINDS):
            out[f"false_on_{name}"] = _share(found.cloud, seen & (t.kind == k))
        out["false_clear"] = _share(found.cloud, seen)
    return out


def _shadows(date: Date, found: Found, seen: Bool) -> Sums:
    t = date.truth
    assert found.shadow is not None
    among = seen & ~found.cloud & ~t.cloud & ~t.half_shade & ~t.unsure & ~t.terrain_shadow
    true = t.shadow & ~t.cloud
    out = {"shadow_direct": _confusion(found.shadow, true, among),
           "shadow_ring": _confusion(found.shadow, true, among & ~_around(true))}  # fmt: skip
    if date.number == 0:
        out["shadow_init"] = out["shadow_ring"]
    _, label, statistics, _ = cv2.connectedComponentsWithStats(true.view(np.uint8), connectivity=8)
    small = statistics[:, cv2.CC_STAT_AREA] * STEP**2 <= SMALL
    small[0] = False
    out["shadow_small"] = _share(found.shadow | found.cloud, small[label] & seen)
    return out


def _ground(date: Date, found: Found, seen: Bool) -> Sums:
    t = date.truth
    assert found.water is not None
    assert found.snow is not None
    open_sky = seen & ~t.cloud & ~t.shadow & ~t.half_shade & ~t.unsure & ~found.cloud & ~t.terrain_shadow
    return {"water": _confusion(found.water, t.water, open_sky),
            "snow": _confusion(found.snow, t.snow, open_sky),
            "false_snow": _share(found.snow, open_sky & ~t.snow)}  # fmt: skip


def _air(date: Date, found: Found) -> Sums:
    t = date.truth
    assert found.aot is not None
    assert found.water_vapour is not None
    clear = (
        _cells((~dilate(t.cloud | t.unsure, RING, STEP) & ~t.shadow & ~t.terrain_shadow & ~t.lost).astype(float)) > 0.99
    )
    land, sea = clear & (_cells(t.water) < 0.01), clear & (_cells(t.water) > 0.99)
    true = _cells(t.aot)
    error = _cells(np.where(found.aot > 0, found.aot, np.nan)) - true
    known = np.isfinite(error)
    error = np.nan_to_num(error)
    sort = "cumulus" if t.cumulus else "clear" if t.clear_date else "veil"
    out = {"aot_land": _moments(error, true, land & known), "aot_sea": _moments(error, true, sea & known),
           f"aot_{sort}": _moments(error, true, land & known)}  # fmt: skip
    vapour = np.nan_to_num(_cells(found.water_vapour) - _cells(t.water_vapour))
    out["vapour"] = _moments(vapour, true, land & known)
    if found.sigma and "aot" in found.sigma:
        out["sigma_aot"] = _share(np.abs(error) <= _cells(found.sigma["aot"]), land & known)
    return out


def _reflectance(date: Date, found: Found, seen: Bool) -> Sums:
    t = date.truth
    assert found.reflectance is not None
    masked = found.cloud if found.shadow is None else found.cloud | found.shadow
    free = seen & ~masked & ~t.cloud & ~t.shadow & ~t.half_shade & ~t.terrain_shadow
    free &= (t.veil <= VEIL[1]) & ~(t.unsure & (t.veil < 0.001))
    veiled = free & (t.veil >= VEIL[0]) & (t.veil <= VEIL[1])
    out = {"left": _share(~masked, seen & ~t.cloud & ~t.shadow),
           "veil_left": _share(veiled, seen & ~t.shadow & (t.veil >= VEIL[0]) & (t.veil <= VEIL[1]))}  # fmt: skip
    if date.relief:
        sunny = free & (t.incidence > 0.25)
        for name in SLOPES:
            here = sunny & (t.kind == KIND[name])
            out[f"slope_{name}"] = _correlation(t.incidence, found.reflectance["B8A"], here)
    for band, values in found.reflectance.items():
        surface = as_imaged(t.surface[band], band)
        error = np.abs(values - surface)
        known = np.isfinite(error)
        good = error <= 0.05 * surface + 0.005
        out[f"inside_{band}"] = _share(good, free & known)
        out[f"veil_{band}"] = _share(good, veiled & known)
        if found.sigma and band in found.sigma:
            out[f"sigma_{band}"] = _share(error <= found.sigma[band], free & known)
    return out


def as_imaged(surface: NDArray[np.float32], band: str) -> NDArray[np.float32]:
    """The ground as a band's pixels show it at 20 m.

    A world has nothing finer than 20 m: an image at 10 m is interpolated between that (`series`), and its means over
    20 m are smoother than what they were interpolated from, whatever is done about the air.
    """
    if band not in R1:
        return surface
    return coarser(finer(surface, 2 * surface.shape[0]), 2)


def add(parts: Iterable[Sums]) -> dict[str, NDArray[np.float64]]:
    """Sums over blocks and dates, one row a name."""
    total: dict[str, NDArray[np.float64]] = {}
    for part in parts:
        for name, values in part.items():
            total[name] = total.get(name, 0.0) + values.sum(0)
    return total


def _ratio(a: float, b: float) -> float:
    return float(a / b) if b > 0 else float("nan")


def figures(total: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """The figures that sums amount to; what has no pixels is left out."""
    out: dict[str, float] = {}
    for name, v in total.items():
        if name.startswith("slope_"):
            spread = (v[2] - v[1] ** 2 / v[0]) * (v[4] - v[3] ** 2 / v[0]) if v[0] >= 500 else 0.0
            if spread > 0:
                out[f"{name}_r"] = float((v[5] - v[1] * v[3] / v[0]) / np.sqrt(spread))
        elif name.startswith("aot_") or name == "vapour":
            if v[0] >= 20:
                out[f"{name}_bias"], out[f"{name}_rmse"] = _ratio(v[1], v[0]), float(np.sqrt(_ratio(v[2], v[0])))
                spread = v[4] - v[3] ** 2 / v[0]
                if name == "vapour":
                    out["vapour_slope"] = _ratio(v[5] - v[3] * v[1] / v[0], spread)
        elif len(v) == 4:
            hits, false, missed, rejected = v
            if hits + missed >= 50:
                out[f"{name}_f1"] = _ratio(2 * hits, 2 * hits + false + missed)
                out[f"{name}_recall"] = _ratio(hits, hits + missed)
            out[f"{name}_accuracy"] = _ratio(hits + rejected, v.sum())
        elif v[1] >= 50:
            out[name] = _ratio(v[0], v[1])
    return out
