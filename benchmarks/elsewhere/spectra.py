"""Reflectance of grounds in a date's bands: canopies of PROSAIL, moist soils, waters, snow, the roughened sea."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from benchmarks.elsewhere.air import Air, data


def soil(air: Air, name: str, moisture: NDArray | float = 0.0, brightness: NDArray | float = 1.0) -> NDArray:
    """Ground (..., band) under so much moisture (0 dry, 1 soaked).

    Wet ground is darker because its grains stand in water, and again where water absorbs, along 0.3 mm of it.
    """
    m = np.asarray(moisture)[..., None]
    dark = (1 - 0.42 * m) * np.exp(-air.of("water_absorption") * 3e-4 * m)
    return air.of(f"ground_{name}") * np.asarray(brightness)[..., None] * dark


def canopy(air: Air, leaf: str, lai: NDArray, below: NDArray) -> NDArray:
    """A canopy (..., band) of leaf area `lai` (...) over ground `below` (..., band), interpolated in PROSAIL's runs."""
    d = data()
    k = list(d["leaves"]).index(leaf)
    nodes, x = np.concatenate([[0], d["lai"]]), d["below"]
    table = np.concatenate([np.broadcast_to(x[None, :, None], (1, len(x), air.canopy.shape[-1])), air.canopy[k]])
    at = np.interp(np.log1p(lai), np.log1p(nodes), np.arange(len(nodes)))
    low = np.minimum(at.astype(int), len(nodes) - 2)
    share = (at - low)[..., None, None]
    curve = table[low] * (1 - share) + table[low + 1] * share  # (..., below, band)
    weights = [np.prod([(below - o) / (n - o) for o in x if o != n], axis=0) for n in x]
    return np.asarray(sum(w * curve[..., i, :] for i, w in enumerate(weights)))


def water(air: Air, chlorophyll: NDArray, sediment: NDArray, dissolved: float = 0.05, depth: NDArray | None = None,
          bottom: NDArray | None = None) -> NDArray:  # fmt: skip
    """Light from within water (..., band), by its absorption and backscattering.

    Parameters
    ----------
    chlorophyll, sediment : (...) float
        [mg m-3], [g m-3]
    dissolved : float
        Absorption of dissolved matter at 440 nm. [m-1]
    depth, bottom : (...), (..., band) float, optional
        [m], and reflectance of the bottom.

    References
    ----------
    Gordon et al., Journal of Geophysical Research 93, 1988 (reflectance); Lee et al., Applied Optics 37, 1998 (bottom).
    """
    nm = 1000 * air.of("wavelength")
    chl, spm = np.asarray(chlorophyll)[..., None], np.asarray(sediment)[..., None]
    pigment = 0.05 * np.exp(-((nm - 440) ** 2) / (2 * 45**2)) + 0.022 * np.exp(-((nm - 675) ** 2) / (2 * 14**2))
    a = air.of("water_absorption") + pigment * chl**0.65 + dissolved * np.exp(-0.0145 * (nm - 440))
    a = a + 0.035 * spm * np.exp(-0.0115 * (nm - 440))
    b = 0.00094 * (550 / nm) ** 4.3 + 0.0020 * chl**0.6 * (550 / nm) + 0.011 * spm * (550 / nm) ** 0.5
    u = b / (a + b)
    rrs = 0.0949 * u + 0.0794 * u**2
    if depth is not None and bottom is not None:
        through = np.exp(-2.2 * (a + b) * np.asarray(depth)[..., None])
        rrs = rrs * (1 - through) + bottom / math.pi * through
    return np.asarray(math.pi * 0.52 * rrs / (1 - 1.7 * rrs))


def glint(air: Air, wind: float) -> float:
    """Reflectance of a sea of waves: Cox and Munk's slopes, Fresnel's mirror, Koepke's foam."""
    (ts, ps), (tv, pv) = ([math.radians(a) for a in d] for d in (air.look.sun, air.look.view["B5"]))
    cosine = math.cos(ts) * math.cos(tv) + math.sin(ts) * math.sin(tv) * math.cos(ps - pv)
    half = math.acos(min(1.0, cosine)) / 2
    lean = (math.cos(ts) + math.cos(tv)) / (2 * math.cos(half))
    variance = 0.003 + 0.00512 * wind
    slopes = math.exp((1 - lean**-2) / variance) / (math.pi * variance)
    inner = math.asin(math.sin(half) / 1.34)
    if half < 1e-4:
        mirror = 0.0211
    else:
        s, p = math.sin(half - inner) / math.sin(half + inner), math.tan(half - inner) / math.tan(half + inner)
        mirror = (s * s + p * p) / 2
    foam = 2.95e-6 * wind**3.52 * 0.22
    return math.pi * slopes * mirror / (4 * math.cos(ts) * math.cos(tv) * lean**4) + foam


def snow(air: Air, grain: NDArray, soot: NDArray | float = 0.0) -> NDArray:
    """Snow (..., band) of effective grain radius [um] with so much soot (1: dirty spring snow).

    References
    ----------
    Kokhanovsky and Zege, Applied Optics 43, 1589-1602, 2004, with the absorption length 13 d of later work by the same.
    """
    nm = air.of("wavelength")
    mu0, mu = air.mu_sun, math.cos(math.radians(air.look.view["B5"][0]))
    escape = (3 / 7) ** 2 * (1 + 2 * mu0) * (1 + 2 * mu) / 0.98
    index = air.of("ice_index") + 4e-8 * np.asarray(soot)[..., None]
    absorbed = 4 * math.pi * index / (nm * 1e-6) * 13 * 2e-6 * np.asarray(grain)[..., None]
    return np.asarray(0.98 * np.exp(-np.sqrt(absorbed) * escape))
