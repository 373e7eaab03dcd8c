"""Other people's cloud detectors, run on the same Level-1C: the packages of ``muscate[comparators]``, python-fmask."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rasterio
from numpy.typing import NDArray

from processing.bands import BANDS
from processing.errors import MuscateError
from processing.l1c import Granule
from processing.scene import NO_DATA_COUNTS, SATURATED_COUNTS, Ancillary, Scene
from processing.validation.masks import Frame, Mask

#: Grid on which each one runs. [m]
S2CLOUDLESS_RESOLUTION = 60
UKIS_RESOLUTION = 30
#: A coarser one, for images whose finer detail can't be trusted: the network reads texture.
UKIS_COARSE = 60
#: Settings that the authors of s2cloudless recommend at this grid: threshold, averaging and growth. [-], [px], [px]
S2CLOUDLESS_THRESHOLD, S2CLOUDLESS_AVERAGE, S2CLOUDLESS_DILATION = 0.4, 4, 2
#: Side of the images that the network of ukis-csmask was trained on. [px]
UKIS_TILE = 256
#: Commands of python-fmask, which is no package of PyPI (conda-forge has it; Debian has the GDAL that it needs).
FMASK_COMMANDS = ("fmask_sentinel2Stacked", "fmask_sentinel2Stacked.py")
#: Its grid [m], and its classes.
FMASK_RESOLUTION = 20
FMASK_NULL, FMASK_CLOUD, FMASK_SHADOW = 0, 2, 3


class ComparatorMissing(MuscateError):
    """The package of a comparator is not installed."""


def s2cloudless(granule: Granule, frame: Frame) -> Mask:
    """Zupanc's pixel classifier at 60 m, as its authors use it: probability averaged, cut at 0.4 and grown. No shadows.

    Raises
    ------
    ComparatorMissing
        If the package is not installed.
    L1CError
        If a band can't be decoded.
    """
    s2cloudless_detector()  # before a band is decoded
    return s2cloudless_of(_scene(granule), frame)


def s2cloudless_of(scene: Scene, frame: Frame) -> Mask:
    """The same of a scene in memory; ComparatorMissing as `s2cloudless`."""
    find = s2cloudless_detector()
    reflectance, observed = _s2cloudless_input(scene)
    cloud = find(reflectance)
    return Mask(
        method="s2cloudless",
        cloud=_nearest(cloud & observed, S2CLOUDLESS_RESOLUTION, frame),
        shadow=None,
        observed=_nearest(observed, S2CLOUDLESS_RESOLUTION, frame),
        buffer=float(S2CLOUDLESS_DILATION * S2CLOUDLESS_RESOLUTION),
    )


def s2cloudless_input(granule: Granule) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """What it looks at: reflectance (row, col, band) at 60 m, and where it is observed; L1CError as `s2cloudless`."""
    return _s2cloudless_input(_scene(granule))


def _s2cloudless_input(scene: Scene) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    bands = ("B1", "B2", "B4", "B5", "B8", "B8A", "B9", "B10", "B11", "B12")
    return _reflectance(scene, bands, S2CLOUDLESS_RESOLUTION)


def s2cloudless_detector() -> Callable[[NDArray[np.float32]], NDArray[np.bool_]]:
    """The detector alone, for such an input; ComparatorMissing as `s2cloudless`."""
    try:
        from s2cloudless import S2PixelCloudDetector
    except ImportError as error:
        raise ComparatorMissing(f"s2cloudless is not installed ({error}): install muscate[comparators]") from error
    detector = S2PixelCloudDetector(S2CLOUDLESS_THRESHOLD, False, S2CLOUDLESS_AVERAGE, S2CLOUDLESS_DILATION)
    return lambda reflectance: np.asarray(detector.get_cloud_masks(reflectance[np.newaxis])[0] != 0)


def ukis_csmask(granule: Granule, frame: Frame, resolution: int = UKIS_RESOLUTION) -> Mask:
    """Wieland's network (Remote Sensing of Environment 230, 2019) on six bands, without its buffer.

    Raises
    ------
    ComparatorMissing
        If the package is not installed.
    L1CError
        If a band can't be decoded.
    """
    _csmask()
    return ukis_csmask_of(_scene(granule), frame, resolution)


def _csmask() -> Any:
    try:
        from ukis_csmask.mask import CSmask
    except ImportError as error:
        reason = str(error).split("\n")[0]
        raise ComparatorMissing(f"ukis-csmask is not installed ({reason}): install muscate[comparators]") from error
    return CSmask


def ukis_csmask_of(scene: Scene, frame: Frame, resolution: int = UKIS_RESOLUTION) -> Mask:
    """The same of a scene in memory; ComparatorMissing as `ukis_csmask`."""
    network = _csmask()
    names = {"B2": "blue", "B3": "green", "B4": "red", "B8": "nir", "B11": "swir16", "B12": "swir22"}
    reflectance, observed = _reflectance(scene, tuple(names), resolution)
    rows, cols = observed.shape
    # a smaller image than it was trained on is mirrored at its edges
    missing = [(0, max(0, UKIS_TILE - n)) for n in (rows, cols)]
    padded = np.pad(reflectance, [*missing, (0, 0)], mode="symmetric")
    found = network(padded, list(names.values()), product_level="l1c").csm[:rows, :cols, 0]
    return Mask(
        method="ukis-csmask" if resolution == UKIS_RESOLUTION else f"ukis-csmask-{resolution}",
        cloud=_nearest((found == 1) & observed, resolution, frame),
        shadow=_nearest((found == 2) & observed, resolution, frame),
        observed=_nearest(observed, resolution, frame),
    )


def python_fmask(granule: Granule, frame: Frame) -> Mask:
    """Fmask (Zhu, Wang and Woodcock, Remote Sensing of Environment 159, 2015) by python-fmask, without its buffers.

    Raises
    ------
    ComparatorMissing
        If its command is not on the path, or fails on this package; it reads folders, not zips.
    """
    _fmask_command()
    return python_fmask_of(granule.path, frame)


def _fmask_command() -> str:
    command = next((found for name in FMASK_COMMANDS if (found := shutil.which(name))), None)
    if command is None:
        missing = f"no {FMASK_COMMANDS[0]} on the path"
        raise ComparatorMissing(f"python-fmask is not installed ({missing}): it is not in muscate[comparators]")
    return command


def python_fmask_of(safe: Path, frame: Frame) -> Mask:
    """The same of a ``.SAFE`` folder; ComparatorMissing as `python_fmask`."""
    command = _fmask_command()
    if not safe.is_dir():
        raise ComparatorMissing(f"python-fmask reads .SAFE folders: {safe.name} is none")
    with tempfile.TemporaryDirectory(prefix="fmask-") as folder:
        out = Path(folder) / "fmask.tif"
        words = [command, "--safedir", str(safe.resolve()), "-o", str(out), "-e", folder]
        words += ["--cloudbufferdistance", "0", "--shadowbufferdistance", "0"]
        environment = {**os.environ, "RIOS_DFLT_DRIVER": "GTiff"}
        ran = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, cwd=folder)
        if ran.returncode or not out.exists():
            reason = (ran.stderr.strip().splitlines() or ["no output"])[-1]
            raise ComparatorMissing(f"python-fmask ended with {ran.returncode}: {reason}")
        with rasterio.open(out) as file:
            found = file.read(1)
    return Mask(
        method="python-fmask",
        cloud=_nearest(found == FMASK_CLOUD, FMASK_RESOLUTION, frame),
        shadow=_nearest(found == FMASK_SHADOW, FMASK_RESOLUTION, frame),
        observed=_nearest(found != FMASK_NULL, FMASK_RESOLUTION, frame),
    )


COMPARATORS: dict[str, Callable[[Granule, Frame], Mask]] = {
    "s2cloudless": s2cloudless,
    "ukis-csmask": ukis_csmask,
    "python-fmask": python_fmask,
    f"ukis-csmask-{UKIS_COARSE}": partial(ukis_csmask, resolution=UKIS_COARSE),
}


def _scene(granule: Granule) -> Scene:
    """The counts of a granule; no altitude or ozone is looked at here."""
    return granule.scene(Ancillary(np.zeros((0, 0), np.float32), float("nan"), {}))


def _reflectance(
    scene: Scene, bands: tuple[str, ...], resolution: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Top-of-atmosphere reflectance (row, col, band) averaged to a resolution, 0 where unobserved; where observed."""
    rows, cols = scene.grid.shape(resolution)
    reflectance = np.empty((rows, cols, len(bands)), np.float32)
    observed = np.ones((rows, cols), bool)
    for place, band in enumerate(bands):
        counts = scene.counts[band]
        seen = counts != NO_DATA_COUNTS
        # A saturated count stands for the brightest that the 15 bits of an image can hold.
        bright = np.where(counts == SATURATED_COUNTS, 32767, counts).astype(np.float32)
        values = np.where(seen, (bright + scene.offset[band]) / scene.quantification, 0).astype(np.float32)
        how = cv2.INTER_AREA if BANDS[band].resolution < resolution else cv2.INTER_NEAREST_EXACT
        reflectance[..., place] = cv2.resize(values, (cols, rows), interpolation=how)
        observed &= cv2.resize(seen.astype(np.float32), (cols, rows), interpolation=how) > 0.5
    reflectance[~observed] = 0
    return reflectance, observed


def _nearest(values: NDArray[np.bool_], resolution: int, frame: Frame) -> NDArray[np.bool_]:
    """The value of the pixel in which the centre of each pixel of the frame lies."""
    rows, cols = (
        np.minimum(((np.arange(n) + 0.5) * frame.resolution / resolution).astype(int), limit - 1)
        for n, limit in zip(frame.shape, values.shape, strict=True)
    )
    return values[np.ix_(rows, cols)]
