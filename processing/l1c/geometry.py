"""The angles of an EOPF Zarr store by their named coordinates, and its forecasts of the air."""

from __future__ import annotations

import math
import re

import numpy as np
from numpy.typing import NDArray

from processing import tiling
from processing.bands import BANDS
from processing.l1c import arrays, limits
from processing.l1c import keys as stores
from processing.l1c.eopf import band_named
from processing.l1c.keys import Keys
from processing.l1c.layout import needed
from processing.l1c.metadata import LAST_DETECTOR
from processing.scene import Angles, Forecast, Grid

#: Folders of the store.
GEOMETRY, AIR = "conditions/geometry", "conditions/meteorology"
#: Names of the arrays of a forecast that are used.
ECMWF = ("tco3", "tcwv", "msl")
CAMS = ("aod550", "ssaod550", "duaod550", "omaod550", "bcaod550", "suaod550")
#: A pressure above this is in Pa: some generations say hPa.
MOST_HPA = 2000.0


def angles(keys: Keys, tile: str, images: Grid) -> Angles:
    """Sun and view angles by their named coordinates. A band seen at none of the nodes has no detector.

    Raises
    ------
    L1CError
        If they are missing, malformed or not plausible.
    """
    pick, bands, detectors = _coordinates(keys)
    sun = _angle_array(keys, "sun_angles", ("angle", "y", "x"), (2,))[pick]
    if max(sun.shape[1:]) > limits.NODES:
        raise stores.fault(keys, f"{GEOMETRY}/sun_angles", f"{sun.shape[1:]} nodes")
    if not np.isfinite(sun).all():
        raise stores.fault(keys, f"{GEOMETRY}/sun_angles", "NaN among the sun angles")
    west, north, step = _nodes(keys, tile, images, sun.shape[1:])
    shape = (13, len(detectors), 2, *sun.shape[1:])
    views = _angle_array(keys, "viewing_incidence_angles", ("band", "detector", "angle", "y", "x"), shape)[:, :, pick]
    mean_sun = _angle_array(keys, "mean_sun_angles", ("angle",), (2,))[pick]
    mean_view = _angle_array(keys, "mean_viewing_incidence_angles", ("band", "angle"), (13, 2))[:, pick]
    zenith: dict[str, dict[int, NDArray[np.float32]]] = {b: {} for b in BANDS}
    azimuth: dict[str, dict[int, NDArray[np.float32]]] = {b: {} for b in BANDS}
    for band, of_band in zip(bands, views, strict=True):
        for detector, pair in sorted(zip(detectors, of_band, strict=True), key=lambda item: item[0]):
            if np.isfinite(pair).any():
                zenith[band][detector], azimuth[band][detector] = pair.astype(np.float32)
    means = dict(zip(bands, mean_view.tolist(), strict=True))
    found = Angles(
        west=west,
        north=north,
        step=step,
        sun_zenith=sun[0].astype(np.float32),
        sun_azimuth=sun[1].astype(np.float32),
        view_zenith=zenith,
        view_azimuth=azimuth,
        mean_sun=(float(mean_sun[0]), float(mean_sun[1])),
        mean_view={band: (means[band][0], means[band][1]) for band in BANDS},
    )
    if not any(zenith.values()):
        raise stores.fault(keys, f"{GEOMETRY}/viewing_incidence_angles", "no angles in it")
    if text := limits.angles_fault(found):
        raise stores.fault(keys, GEOMETRY, text)
    return found


def _coordinates(keys: Keys) -> tuple[list[int], list[str], list[int]]:
    """Where zenith and azimuth stand among the angles; bands and detectors, in the order of the arrays."""
    names = [word.lower() for word in _words(keys, "angle")]
    if sorted(names) != ["azimuth", "zenith"]:
        raise stores.fault(keys, f"{GEOMETRY}/angle", f"names {', '.join(names)[:80]}, zenith and azimuth expected")
    bands = [str(band_named(word)) for word in _words(keys, "band")]
    if sorted(bands) != sorted(BANDS):
        raise stores.fault(keys, f"{GEOMETRY}/band", "names other bands than the 13 of Sentinel-2")
    detectors = [_detector(keys, word) for word in _words(keys, "detector")]
    if len(set(detectors)) != len(detectors):
        raise stores.fault(keys, f"{GEOMETRY}/detector", f"names {detectors}, one of them twice")
    return [names.index(name) for name in ("zenith", "azimuth")], bands, detectors


def _words(keys: Keys, name: str) -> list[str]:
    return needed(keys, f"{GEOMETRY}/{name}", (name,)).words()


def _detector(keys: Keys, word: str) -> int:
    """Number of a detector by its name: 2, 02, d02."""
    found = re.fullmatch(r"d?0*(\d{1,2})", word.strip().lower())
    number = int(found[1]) if found else 0
    if not 1 <= number <= LAST_DETECTOR:
        raise stores.fault(keys, f"{GEOMETRY}/detector", f"names {word[:20]!r}, there are {LAST_DETECTOR}")
    return number


def _angle_array(keys: Keys, name: str, dimensions: tuple[str, ...], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """An array of angles in the order of `dimensions`; `shape` are the sizes of the first ones."""
    array = needed(keys, f"{GEOMETRY}/{name}", dimensions)
    if array.dtype is None or array.dtype.kind != "f":
        raise array.fault(f"dtype is {array.dtype}, floating point expected")
    values = array.whole(missing=math.isnan(array.fill) if array.fill is not None else False)
    if array.names:
        values = values.transpose([array.names.index(each) for each in dimensions])
    if np.isinf(values).any():
        raise array.fault("infinite angles")
    if values.shape[: len(shape)] != shape:
        raise array.fault(f"of shape {values.shape}, {shape} expected")
    return np.asarray(values, np.float64)


def _nodes(keys: Keys, tile: str, images: Grid, shape: tuple[int, ...]) -> tuple[float, float, float]:
    """West and north of the first node of the angles, the corner of the tile or of the images; distance of nodes."""
    frame, steps, corner = tiling.grid(tile), [], []
    for name, size, starts, sign in (
        ("x", shape[1], (frame.west, images.west), 1),
        ("y", shape[0], (frame.north, images.north), -1),
    ):
        array = needed(keys, f"{GEOMETRY}/{name}", (name,))
        values = array.whole().astype(np.float64)
        if values.shape != (size,) or size < 2:
            raise array.fault(f"{values.shape} values, the angles have {shape} nodes")
        apart = np.diff(values) * sign
        step = round(float(apart.mean()))
        if not (np.abs(apart - step) <= 1).all() or limits.fault("COL_STEP", step):
            raise array.fault(f"nodes are not {step} m apart each, or not as they should be")
        near = [start for start in starts if abs(values[0] - start) <= 1]
        if not near:
            raise array.fault(f"begins at {values[0]:.10g}, the tile at {starts[0]:.10g}")
        corner.append(near[0])
        steps.append(step)
    if steps[0] != steps[1]:
        raise stores.fault(keys, GEOMETRY, f"nodes {steps[0]} m apart in x and {steps[1]} m in y")
    return corner[0], corner[1], float(steps[0])


def forecast(keys: Keys, name: str, wanted: tuple[str, ...]) -> Forecast | None:
    """The ``ecmwf`` or ``cams`` arrays; None where the store has no such group.

    Raises
    ------
    L1CError
        If it is there and can't be read.
    """
    group = f"{AIR}/{name}"
    found = {each: array for each in wanted if (array := arrays.array(keys, f"{group}/{each}")) is not None}
    if not found:
        return None
    axes = {axis: needed(keys, f"{group}/{axis}", (axis,)) for axis in ("latitude", "longitude")}
    places = {axis: np.asarray(array.whole(), np.float64) for axis, array in axes.items()}
    values = {}
    for each, array in found.items():
        array = needed(keys, array.path, ("latitude", "longitude"))
        if array.dtype is None or array.dtype.kind != "f":
            raise array.fault(f"dtype is {array.dtype}, floating point expected")
        grid = np.asarray(array.whole(), np.float64)
        grid = grid.T if array.names == ("longitude", "latitude") else grid
        if grid.shape != (len(places["latitude"]), len(places["longitude"])):
            raise array.fault(f"of shape {grid.shape}, its coordinates have {[len(v) for v in places.values()]}")
        values[each] = grid
    if "msl" in values and np.nanmax(values["msl"], initial=0.0) < MOST_HPA:  # by size, whatever its unit says
        values["msl"] = values["msl"] * 100
    return Forecast(places["latitude"], places["longitude"], values)
