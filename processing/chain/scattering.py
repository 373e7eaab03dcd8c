"""Molecules and aerosol taken away, the gases with them: top-of-atmosphere reflectance becomes that of the surface.

The atmosphere is looked up on the coarse grid, as four coefficients of each cell. Their interpolation, not that of
the atmosphere's state, reaches the full resolution.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from processing import atmosphere
from processing.atmosphere import Coefficients
from processing.chain.geometry import Geometry
from processing.chain.resampling import axis
from processing.scene import NO_DATA_COUNTS, Scene
from processing.versions import Parameters


def coefficients(
    bands: Iterable[str],
    scene: Scene,
    geometry: Geometry,
    aot: NDArray[np.float32],
    water_vapour: NDArray[np.float32],
    parameters: Parameters,
) -> dict[str, Coefficients]:
    """What the atmosphere does to each band in each coarse cell.

    Returns
    -------
    dict of band to Coefficients
        (row, col) float32 scale, offset, transmittance, albedo; NaN outside the validity of the tables.
    """
    found = {}
    for band in bands:
        made = atmosphere.coefficients(
            scene.platform,
            band,
            geometry.sun_zenith,
            geometry.view_zenith[band],
            geometry.relative_azimuth(band),
            scene.ancillary.altitude / 1000,
            aot,
            water_vapour,
            scene.ancillary.ozone,
            parameters.aerosol_model,
        )
        found[band] = Coefficients(
            *(
                np.ascontiguousarray(np.broadcast_to(field, aot.shape), np.float32)
                for field in (made.scale, made.offset, made.transmittance, made.albedo)
            )
        )
    return found


def remove(
    toa: Mapping[str, NDArray[np.float32]], coefficients: Mapping[str, Coefficients], bands: Iterable[str]
) -> dict[str, NDArray[np.float32]]:
    """Surface reflectance of coarse reflectances: rho = y / (transmittance + albedo y), y = toa scale - offset. [-]"""
    surface = {}
    for band in bands:
        c = coefficients[band]
        y = toa[band] * c.scale - c.offset
        surface[band] = (y / (c.transmittance + c.albedo * y)).astype(np.float32)
    return surface


@njit(nogil=True, cache=True, error_model="numpy")
def _correct(
    counts: Any, fields: Any, rows: Any, cols: Any, quantification: Any, no_data: Any, unobserved: Any, out: Any
) -> None:
    width = counts.shape[1]
    start = np.empty((4, width), np.float32)  # the four coefficients on the line of cells above the row,
    step = np.empty((4, width), np.float32)  # and what they change to the line below
    a0, b0, t0, s0 = start[0], start[1], start[2], start[3]
    da, db, dt, ds = step[0], step[1], step[2], step[3]
    lowest, highest, half = no_data + np.float32(1), np.float32(32767), np.float32(0.5)
    top, bottom = -1, -1
    for row in range(counts.shape[0]):
        if rows.low[row] != top or rows.high[row] != bottom:
            top, bottom = rows.low[row], rows.high[row]
            for k in range(4):
                above, below = fields[k, top], fields[k, bottom]
                for col in range(width):
                    left, right, weight = cols.low[col], cols.high[col], cols.weight[col]
                    value = above[left] + (above[right] - above[left]) * weight
                    start[k, col] = value
                    step[k, col] = below[left] + (below[right] - below[left]) * weight - value
        down = rows.weight[row]
        source, target = counts[row], out[row]
        for col in range(width):
            count = source[col]
            y = np.float32(count) * (a0[col] + da[col] * down) + (b0[col] + db[col] * down)
            rho = y / ((t0[col] + dt[col] * down) + (s0[col] + ds[col] * down) * y) * quantification
            value = rho if rho > lowest else lowest
            value = value if value < highest else highest
            value = value + half if value >= 0 else value - half
            value = value if rho == rho and count != unobserved else no_data
            target[col] = np.int16(np.int32(value))


def surface_reflectance(
    counts: NDArray[np.uint16],
    coefficients: Coefficients,
    factor: int,
    scale: float,
    offset: float,
    parameters: Parameters,
    first_row: int = 0,
) -> NDArray[np.int16]:
    """Full-resolution counts to surface reflectance in one pass.

    Parameters
    ----------
    counts : (row, col) uint16
        The whole image of a band, or a strip of its rows.
    coefficients : Coefficients
        Of the band, on the coarse grid.
    factor : int
        Pixels of the band along the side of a coarse cell.
    scale, offset : float
        Reflectance = (counts + offset) / scale.
    first_row : int
        Row of the image that the strip starts with.

    Returns
    -------
    (row, col) int16
        Reflectance times the version's quantification, rounded; the version's no data where unobserved and where
        one of the four cells around has no coefficients.
    """
    cells = coefficients.scale.shape
    fields = np.empty((4, *cells), np.float32)
    fields[0] = coefficients.scale / scale  # y = counts * fields[0] + fields[1]
    fields[1] = coefficients.scale * (offset / scale) - coefficients.offset
    fields[2], fields[3] = coefficients.transmittance, coefficients.albedo
    out = np.empty(counts.shape, np.int16)
    _correct(
        counts,
        fields,
        axis(counts.shape[0], cells[0], factor, first_row),
        axis(counts.shape[1], cells[1], factor),
        np.float32(parameters.reflectance_quantification),
        np.float32(parameters.no_data),
        np.uint16(NO_DATA_COUNTS),
        out,
    )
    return out
