"""Sun and view directions of each coarse cell, and where they meet the specular or the backscatter direction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.bands import BANDS
from processing.chain import subsampling
from processing.chain.steps import step
from processing.scene import Angles, Scene, strips
from processing.versions import Parameters

#: Band whose view direction stands for all of them in the glint and hot-spot tests.
REFERENCE_BAND = "B3"
#: Band from which ground may be hidden by other ground.
TERRAIN_BAND = "B4"


@dataclass(frozen=True)
class Geometry:
    """Angles on the coarse grid.

    Attributes
    ----------
    sun_zenith, sun_azimuth : (row, col) float32
        [deg]
    view_zenith, view_azimuth : dict of band to (row, col) float32
        Of the detector that saw the middle of each cell. [deg]
    sun_glint, hot_spot : (row, col) bool
    mean_view : frozenset of str
        Bands with cells whose detector or its angles are not known, where the band's mean angles stand in.
    """

    sun_zenith: NDArray[np.float32]
    sun_azimuth: NDArray[np.float32]
    view_zenith: dict[str, NDArray[np.float32]]
    view_azimuth: dict[str, NDArray[np.float32]]
    sun_glint: NDArray[np.bool_]
    hot_spot: NDArray[np.bool_]
    mean_view: frozenset[str]

    def relative_azimuth(self, band: str) -> NDArray[np.float32]:
        """Sun azimuth minus view azimuth, 0 in backscatter. [deg]"""
        return self.sun_azimuth - self.view_azimuth[band]


def direction(zenith: NDArray[np.float32], azimuth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit vectors to the sun or the satellite, (3, row, col) float32: up, east, north. Angles in degrees."""
    steep, toward = np.radians(zenith), np.radians(azimuth)
    return np.stack([np.cos(steep), np.sin(steep) * np.sin(toward), np.sin(steep) * np.cos(toward)]).astype(np.float32)


def angular_distances(
    sun_zenith: NDArray[np.float32],
    sun_azimuth: NDArray[np.float32],
    view_zenith: NDArray[np.float32],
    view_azimuth: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Angles between the view direction and the mirrored sun (glint) and the sun itself (hot spot). [deg]"""
    ts, tv = np.radians(sun_zenith), np.radians(view_zenith)
    phi = np.radians(sun_azimuth - view_azimuth)
    up, side = np.cos(ts) * np.cos(tv), np.sin(ts) * np.sin(tv)
    glint = np.degrees(np.arccos(np.clip(up - side * np.cos(phi), -1, 1)))
    hot_spot = np.degrees(np.arccos(np.clip(up + side * np.cos(phi), -1, 1)))
    return glint, hot_spot


def _complete(nodes: NDArray[np.float64], position: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fill the nodes that a detector does not see from the plane through those it sees.

    A pixel at a detector's edge lies between nodes of which some are not seen. Directions, as tangents, are nearly
    linear along a detector; with too few nodes for a plane the least steep one is taken.
    """
    seen = np.isfinite(nodes)
    middle = position[seen].mean(axis=0)
    mean = nodes[seen].mean()
    slope = np.linalg.lstsq(position[seen] - middle, nodes[seen] - mean, rcond=1e-6)[0]
    return np.where(seen, nodes, mean + (position - middle) @ slope)


def _view_tangents(
    angles: Angles, band: str, detectors: NDArray[np.uint8], at: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """East and north components of the view direction, tan(zenith) (sin, cos)(azimuth), NaN where not known."""
    east, north = (np.full(detectors.shape, np.nan) for _ in range(2))
    for detector in np.unique(detectors):
        if detector not in angles.view_zenith[band]:
            continue
        tangent = np.tan(np.radians(angles.view_zenith[band][detector].astype(np.float64)))
        azimuth = np.radians(angles.view_azimuth[band][detector].astype(np.float64))
        if not np.isfinite(tangent + azimuth).any():
            continue
        position = np.moveaxis(np.indices(tangent.shape, dtype=np.float64), 0, -1)
        here = detectors == detector
        points = np.array([at[0][here], at[1][here]])
        for component, direction in ((east, np.sin(azimuth)), (north, np.cos(azimuth))):
            nodes = _complete(tangent * direction, position)
            component[here] = ndimage.map_coordinates(nodes, points, order=1, mode="nearest")
    return east, north


def _at_middles(scene: Scene, band: str, parameters: Parameters, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Detector of the middle of each cell; where none, that of the nearest cell with one."""
    spacing, size = scene.spacing.get(band, 1), scene.grid.shape(BANDS[band].resolution)
    factor = subsampling.factor_of(band, parameters) // spacing
    rows, cols = (
        np.minimum(np.arange(cells) * factor + factor // 2, -(-pixels // spacing) - 1)
        for cells, pixels in zip(shape, size, strict=True)
    )
    parts, top = [], 0
    for part in strips(scene.detectors, band, size[0]):
        here = rows[(rows >= top) & (rows < top + len(part))] - top
        parts.append(part[np.ix_(here, cols)])
        top += len(part)
    found = np.concatenate(parts)
    none = found == 0
    if none.any() and not none.all():
        nearest = ndimage.distance_transform_edt(none, return_distances=False, return_indices=True)
        found = found[tuple(nearest)]
    return found


@step
def interpolate(scene: Scene, parameters: Parameters) -> Geometry:
    """Bring the angles of the 5 km grid to the coarse grid, for each band with the detectors that saw it."""
    angles = scene.angles
    resolution = parameters.coarse_resolution
    shape = scene.grid.shape(resolution)
    x, y = subsampling.centres(scene.grid, resolution)
    at = np.meshgrid((angles.north - y) / angles.step, (x - angles.west) / angles.step, indexing="ij")

    def on_coarse(nodes: NDArray[np.floating]) -> NDArray[np.float64]:
        found = ndimage.map_coordinates(nodes.astype(np.float64), at, order=1, mode="nearest")
        return np.asarray(found, np.float64)

    sun_zenith = on_coarse(angles.sun_zenith).astype(np.float32)
    azimuth = np.radians(angles.sun_azimuth.astype(np.float64))  # by its components: it may pass north
    sun_azimuth = (np.degrees(np.arctan2(on_coarse(np.sin(azimuth)), on_coarse(np.cos(azimuth)))) % 360).astype("f4")

    view_zenith: dict[str, NDArray[np.float32]] = {}
    view_azimuth: dict[str, NDArray[np.float32]] = {}
    mean_view = set()
    for band in scene.detectors:
        detectors = _at_middles(scene, band, parameters, shape)
        east, north = _view_tangents(angles, band, detectors, (at[0], at[1]))
        unknown = np.isnan(east)
        if unknown.any():
            mean_view.add(band)
            tangent, toward = np.tan(np.radians(angles.mean_view[band][0])), np.radians(angles.mean_view[band][1])
            east[unknown], north[unknown] = tangent * np.sin(toward), tangent * np.cos(toward)
        view_zenith[band] = np.degrees(np.arctan(np.hypot(east, north))).astype(np.float32)
        view_azimuth[band] = (np.degrees(np.arctan2(east, north)) % 360).astype(np.float32)

    glint, hot_spot = angular_distances(
        sun_zenith, sun_azimuth, view_zenith[REFERENCE_BAND], view_azimuth[REFERENCE_BAND]
    )
    return Geometry(
        sun_zenith=sun_zenith,
        sun_azimuth=sun_azimuth,
        view_zenith=view_zenith,
        view_azimuth=view_azimuth,
        sun_glint=glint < parameters.sun_glint_angle,
        hot_spot=hot_spot < parameters.hot_spot_angle,
        mean_view=frozenset(mean_view),
    )
