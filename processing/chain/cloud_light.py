"""Light that clouds throw onto the ground beside them, and the sky that they hide from it.

Of the beam that falls onto a cloud most comes out of its base, scattered, and lights the ground around the cloud's
shadow; sunlit ground between clouds is brighter for it by up to a tenth, most where little other light comes from the
sky: in the infrared. In the blue the sky that the clouds hide makes up for it.

    light = 1 + direct passed - (1 - direct) hidden

is that on level sunlit ground over what it would be without clouds, with `direct` the share of the beam.

References
----------
Meador and Weaver, "Two-stream approximations to radiative transfer in planetary atmospheres", Journal of the
Atmospheric Sciences 37, 630-643, 1980.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.chain.observation import Observation
from processing.chain.shadow_mask import Clouds, Rays, casting, fall, rays
from processing.chain.steps import step
from processing.kernels import kernel
from processing.versions import Parameters

Field = NDArray[np.float32]
#: Band whose brightness, above that of the clear ground, tells a cloud's thickness: most ground is dark in it.
BAND = "B2"
#: Of a cloud of optical thickness tau: the share of half of (1 - asymmetry) tau x 3 / 2 that makes its reflectance, and
#: the tau of the beam that is not scattered out of its direction: droplets, asymmetry 0.86. [-]
_BACK, _OUT = 0.105, 0.26
#: What droplets and ice leave of the light that a cloud passes, by bands in which they absorb. [-]
PASSED = {"B11": 0.85, "B12": 0.7}
#: A height is believed if so much of what the clouds cover from there is shadow; else this one is taken. [-], [m]
_LEAST, _USUAL = 0.2, 1200.0
#: Cells that tell the height: with twice as many, every other one is looked at.
_MOST = 20_000


class Light(NamedTuple):
    """What the clouds of a date change of the light on the ground, (row, col) on the coarse grid.

    Attributes
    ----------
    passed : float32
        What they pass on of the beam that falls onto them, where it comes down, over the beam on level ground. [-]
    hidden : float32
        Share of the sky's light that they hide. [-]
    height : float
        Over the ground, of most of them. [m]
    """

    passed: Field
    hidden: Field
    height: float

    def on(self, band: str, direct: Field) -> Field:
        """Light on sunlit ground over that without clouds, from the share of the beam in it. [-]"""
        of_clouds = np.float32(PASSED.get(band, 1.0)) * self.passed
        return np.asarray(1 + direct * of_clouds - (1 - direct) * self.hidden, np.float32)


def thickness(reflectance: NDArray[np.floating]) -> NDArray[np.floating]:
    """Optical thickness of a cloud of droplets from its reflectance, by two streams: R = x / (1 + x), x = 0.105 tau."""
    bounded = np.clip(reflectance, 0.0, 0.9)
    return np.asarray(bounded / (1 - bounded) / _BACK)


def scattered_down(reflectance: NDArray[np.floating], mu_sun: float) -> NDArray[np.floating]:
    """Share of the beam that a cloud passes on in all directions: neither sent back nor straight through."""
    return np.asarray(np.maximum(1 - np.clip(reflectance, 0, 0.9) - np.exp(-_OUT * thickness(reflectance) / mu_sun), 0))


@kernel()
def _covered(clouds: Clouds, along: Rays, stride: int, shadow: NDArray[np.bool_], out: NDArray[np.int64]) -> None:
    """Of the cells that all clouds cover from each height: those in shadow, and those in the image."""
    for level in range(clouds.heights.size):
        for cell in range(0, clouds.rows.size, stride):
            r, c = fall(clouds.rows[cell], clouds.cols[cell], clouds.heights[level], along)
            if r >= 0:
                out[level, 0] += shadow[r, c]
                out[level, 1] += 1


@kernel()
def _thrown(
    rows: NDArray[np.int64], cols: NDArray[np.int64], light: Field, height: float, along: Rays, out: Field
) -> None:
    """Light of cells of cloud, put where their shadow falls; the brightest counts."""
    for cell in range(rows.size):
        r, c = fall(rows[cell], cols[cell], height, along)
        if r >= 0:
            out[r, c] = max(out[r, c], light[rows[cell], cols[cell]])


def height(clouds: Clouds, along: Rays, shadow: NDArray[np.bool_]) -> float:
    """Height over the ground from which the clouds cover most of the shadows. [m]"""
    out = np.zeros((clouds.heights.size, 2), np.int64)
    _covered(clouds, along, max(clouds.rows.size // _MOST, 1), shadow, out)
    share = out[:, 0] / np.maximum(out[:, 1], 1)
    best = int(share.argmax())
    return float(clouds.heights[best]) if share[best] >= _LEAST else _USUAL


@step
def estimate(
    seen: Observation, clouds: NDArray[np.bool_], shadow: NDArray[np.bool_], parameters: Parameters
) -> Light | None:
    """Find what the clouds of a date throw onto the ground.

    Parameters
    ----------
    clouds, shadow : (row, col) bool
        As found, without buffers.

    Returns
    -------
    Light or None
        None where the version does not look, and without clouds.
    """
    if not parameters.cloud_light or not clouds.any():
        return None
    width, sky = parameters.cloud_light
    along = Rays(*rays(seen.angles, parameters.coarse_resolution), seen.altitude.astype(np.float64))
    cast = casting(clouds, along, parameters, 0.0)
    above = height(cast, along, shadow)
    mu_sun = float(np.cos(np.radians(np.nanmean(seen.angles.sun_zenith))))
    clear = seen.tested & ~clouds & ~shadow
    ground = float(np.median(seen.reflectance[BAND][clear])) if clear.any() else 0.0
    bright = np.where(clouds, np.nan_to_num(seen.reflectance[BAND] - ground), 0).clip(0, 1).astype(np.float32)
    passed = np.zeros(clouds.shape, np.float32)
    _thrown(cast.rows, cast.cols, scattered_down(bright, mu_sun).astype(np.float32), above, along, passed)
    cells = above / parameters.coarse_resolution
    passed = ndimage.gaussian_filter(passed, width * cells, mode="nearest")
    hidden = np.float32(sky) * ndimage.gaussian_filter(bright, cells, mode="nearest")
    return Light(passed, hidden, above)
