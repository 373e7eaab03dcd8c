"""Thin high clouds, too thin to be masked: their light taken away.

At 1.38 um water vapour hides the ground, and what is seen is the light that ice scatters back above it. In the other
bands the same cloud adds nearly as much (Gao et al. 1998): toa = ground + weight of the band x (B10 - background). The
weights are fitted to the image itself: to how it differs from the composite, where there is one, around what ice is
known to do.

References
----------
Gao, Kaufman, Han and Wiscombe, "Correction of thin cirrus path radiances in the 0.4-1.0 um spectral region using the
sensitive 1.375 um cirrus detecting channel", Journal of Geophysical Research 103, 32169-32176, 1998.
Gao et al., "An algorithm using visible and 1.38-um channels to retrieve cirrus cloud reflectances from aircraft and
satellite data", IEEE TGRS 40, 1659-1668, 2002.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing import atmosphere
from processing.bands import BANDS
from processing.chain import air_model
from processing.chain.geometry import REFERENCE_BAND, Geometry
from processing.chain.steps import step
from processing.chain.subsampling import Image
from processing.scene import Composite, Scene
from processing.versions import Parameters

Field = NDArray[np.float32]
#: Light that a thin ice cloud scatters back in each band over that in B10, whose own is dimmed by the vapour above the
#: cloud, and how much that varies (one sigma). Ice absorbs beyond 1.5 um. [-]
EXPECTED = {"B11": 0.75, "B12": 0.55}
_ELSEWHERE, _DOUBT = 1.08, 0.15
#: Bands whose weights are fitted: those of the composite; the others lie between them by their wavelengths.
_FITTED = ("B1", "B2", "B3", "B4", "B8A", "B11", "B12")
#: Standard deviation of a cell's change against the composite without any veil, relative and besides. [-]
_CHANGE = (0.05, 0.004)
#: Weight of cells that changed more, by Cauchy; rounds of it.
_OUTLIER, _ROUNDS = 2.0, 5
#: Cells that count as one: neighbours change together.
_TOGETHER = 20.0
#: Ground in B10 is as bright as the mean of these, and what of it comes through errs by so much (one sigma). [-]
_BESIDE = ("B8A", "B11")


@dataclass(frozen=True)
class Veil:
    """A thin high cloud over a scene, on the coarse grid.

    Attributes
    ----------
    light : (row, col) float32
        Of the cloud in B10; 0 where there is none. [-]
    weight, error : dict of band to float
        Light of the cloud in the band over that in B10, and its standard deviation. [-]
    fitted : bool
        Whether the weights are those of the image, or what is expected of ice.
    """

    light: Field
    weight: Mapping[str, float]
    error: Mapping[str, float]
    fitted: bool

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Cells of which something was taken away."""
        return np.asarray(self.light > 0)

    def of(self, band: str) -> Field:
        """Its light in a band, (row, col) float32. [-]"""
        return np.asarray(self.light * np.float32(self.weight[band]), np.float32)


@step
def detect(
    image: Image,
    scene: Scene,
    angles: Geometry,
    column: Field,
    past: Composite | None,
    parameters: Parameters,
) -> Veil | None:
    """Find the veil of a scene and what it adds to each band.

    Parameters
    ----------
    column : (row, col) float32
        Water vapour, without gaps. [g cm-2]

    Returns
    -------
    Veil or None
        None where the version does not look, and without any veil.
    """
    if not parameters.veil_range:
        return None
    least, most = parameters.veil_range
    light = _light(image, scene, angles, column, parameters)
    light = np.where(light >= least, np.minimum(light, np.float32(most)), np.float32(0))
    light = np.where(image.observed, light, np.float32(0)).astype(np.float32)
    if not light.any():
        return None
    weight, error, fitted = _weights(image, light, past)
    return Veil(light, weight, error, fitted)


def _light(image: Image, scene: Scene, angles: Geometry, column: Field, parameters: Parameters) -> Field:
    """B10 without the ground that shines through dry air, and without what is there all over the image."""
    through = atmosphere.gas_transmittance(
        air_model.sensor(scene, parameters),
        "B10",
        angles.sun_zenith,
        angles.view_zenith[REFERENCE_BAND],
        air_model.altitude(scene, parameters),
        column,
        scene.ancillary.ozone,
    )
    ground = sum(image.toa[band] for band in _BESIDE) / len(_BESIDE)
    seen = image.toa["B10"] - np.nan_to_num(through * ground)
    # Where much of the ground shines through, its own brightness is not known well enough
    seen = np.where(np.nan_to_num(through) > parameters.veil_max_ground, np.nan, seen)
    smooth = ndimage.uniform_filter(np.nan_to_num(seen), 3, mode="nearest")
    known = np.isfinite(seen) & image.observed
    if not known.any():
        return np.zeros_like(column)
    # Above low clouds, whose vapour is little, too much was taken off: none of it is what is there all over
    background = min(max(float(np.quantile(seen[known], 0.1)), 0.0), parameters.veil_max_background)
    return np.where(known, smooth - background, 0).astype(np.float32)


def _expected(band: str) -> float:
    return EXPECTED.get(band, _ELSEWHERE)


def _weights(image: Image, light: Field, past: Composite | None) -> tuple[dict[str, float], dict[str, float], bool]:
    """The weight of each band and its error, from the change against the composite around what is expected."""
    weight = {band: _expected(band) for band in BANDS}
    error = {band: _DOUBT * weight[band] for band in BANDS}
    if past is None:
        return weight, error, False
    for band in _FITTED:
        weight[band], error[band] = _fit(image.toa[band], past.toa[band], light, weight[band], error[band])
    at = [BANDS[band].centre for band in _FITTED]
    for band in BANDS:
        if band not in _FITTED:
            gain = np.interp(BANDS[band].centre, at, [weight[b] / _expected(b) for b in _FITTED])
            spread = np.interp(BANDS[band].centre, at, [error[b] / _expected(b) for b in _FITTED])
            weight[band], error[band] = float(gain) * _expected(band), float(spread) * _expected(band)
    return weight, error, True


def _fit(toa: Field, before: Field, light: Field, expected: float, doubt: float) -> tuple[float, float]:
    """Slope of the change over B10, by least squares with Cauchy's weights; what all cells have in common is free.

    The composite has no gases, which the image still has: a factor, free too, stands for them.
    """
    chosen = np.isfinite(toa + before) & (light < light.max())
    if np.count_nonzero(chosen & (light > 0)) < _TOGETHER:
        return expected, doubt
    y, x, past = (field[chosen].astype(np.float64) for field in (toa, light, before))
    noise = _CHANGE[0] * past + _CHANGE[1]
    terms = np.stack([x, past, np.ones_like(x)], axis=-1) / noise[:, None]
    known = np.diag([1 / doubt**2, 0.0, 0.0])
    count = np.full(y.size, 1 / _TOGETHER)
    found = np.array([expected, 1.0, 0.0])
    for _ in range(_ROUNDS):
        left = (terms * count[:, None]).T @ terms + known
        right = (terms * count[:, None]).T @ (y / noise) + known @ [expected, 0.0, 0.0]
        found = np.linalg.solve(left + 1e-9 * np.eye(3), right)
        residual = y / noise - terms @ found
        count = 1 / (1 + (residual / _OUTLIER) ** 2) / _TOGETHER
    spread = float(np.sqrt(np.linalg.inv(left + 1e-9 * np.eye(3))[0, 0]))
    return float(np.clip(found[0], 0.3 * expected, 1.7 * expected)), spread


def origin(veil: Veil | None, tested: NDArray[np.bool_]) -> str:
    """What the product says of a veil."""
    if veil is None or not (veil.mask & tested).any():
        return "none"
    share = 100 * np.count_nonzero(veil.mask & tested) / np.count_nonzero(tested)
    how = "fitted to the image" if veil.fitted else "as ice is expected to scatter"
    return f"light of thin high clouds taken from {share:.1f} % of the cells, weights {how}: B2 {veil.weight['B2']:.2f}"


@step
def remove(image: Image, veil: Veil | None) -> Image:
    """The image without the veil, whose light B10 keeps: the high clouds are looked for there."""
    if veil is None:
        return image
    toa = {band: seen if band == "B10" else seen - veil.of(band) for band, seen in image.toa.items()}
    return replace(image, toa=toa)
