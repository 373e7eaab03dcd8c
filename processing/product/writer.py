"""A Level-2A becomes a MUSCATE product on disk, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..bands import BANDS, DISTRIBUTED, GROUP_RESOLUTION, GROUPS
from ..errors import ProductError
from ..scene import L2A, Scene
from ..versions import parameters
from . import disk, metadata, quicklook, raster
from .names import file_path, identifier

#: Number of the manifest's form, raised when it changes.
MANIFEST_FORMAT = 1

Raster = NDArray[np.int16] | NDArray[np.uint8]


def write(l2a: L2A, scene: Scene, folder: Path, *, produced: datetime) -> Path:
    """Write a product as ``folder/<identifier>/``.

    It grows in a hidden sibling, every file brought down to the disk, and gets its name when it is whole. The
    rasters are asked for one at a time and once each; band by band, surface before flat reflectance.

    Parameters
    ----------
    l2a : L2A
        A valid one.
    scene : Scene
        What it was made from.
    produced : datetime
        Production time, with a time zone.

    Returns
    -------
    Path
        The product's folder.

    Raises
    ------
    ProductError
        If the product is already there.
    StorageError
        If the disk is full or can't be written. Nothing is left then.
    ValueError
        If the Level-2A is not valid, or lacks a raster that it does not declare absent.
    """
    if l2a.status != "valid":
        raise ValueError(f"a Level-2A that is {l2a.status} has no product")
    name = identifier(scene.platform, scene.sensing, scene.tile, l2a.version)
    jobs = _rasters(l2a)
    target, growing = folder / name, folder / f".{name}.partial"
    with disk.storing(folder):
        if target.exists():
            raise ProductError(target, "is already there")
        folder.mkdir(parents=True, exist_ok=True)
        if growing.exists():  # left by an attempt that was killed
            shutil.rmtree(growing)
    try:
        _fill(growing, name, jobs, l2a, scene, produced)
        with disk.storing(target):
            os.rename(growing, target)
    except BaseException:
        shutil.rmtree(growing, ignore_errors=True)
        raise
    disk.sync(folder)
    return target


def _fill(
    folder: Path,
    name: str,
    jobs: dict[str, tuple[int, int | None, Callable[[], Raster]]],
    l2a: L2A,
    scene: Scene,
    produced: datetime,
) -> None:
    with disk.storing(folder):
        for each in (folder, folder / "MASKS", folder / "DATA"):
            each.mkdir()
    files: dict[str, str] = {}
    sums: dict[str, dict[str, str | int]] = {}

    def add(key: str, content: bytes | memoryview) -> None:
        path = file_path(name, key)
        sums[path] = disk.write(folder / path, content)
        files[key] = path

    def add_raster(key: str, array: Raster, resolution: int, no_data: int | None) -> None:
        with raster.encoded(array, scene.grid, resolution, no_data) as content:
            add(key, content)

    for key, (resolution, no_data, make) in jobs.items():
        add_raster(key, make(), resolution, no_data)
    for group, resolution in GROUP_RESOLUTION.items():
        for detector, footprint in _footprints(scene.detectors, GROUPS[group]):
            add_raster(f"DTF_{group}-D{detector:02d}", footprint, resolution, None)
    colours = [folder / files[f"SRE_{band}"] for band in quicklook.BANDS]
    add("QKL_ALL", quicklook.jpeg(quicklook.render(colours)))
    add("JPI_ALL", metadata.job(l2a, scene))
    add("MTD_ALL", metadata.document(name, l2a, scene, produced, files))
    manifest = {
        "format": MANIFEST_FORMAT,
        "identifier": name,
        "version": l2a.version,
        "parameters": parameters(l2a.version).digest,
        "l1c": scene.identifier,
        "simulated": scene.simulated,
        "files": dict(sorted(sums.items())),
    }
    disk.write(folder / "manifest.json", json.dumps(manifest, indent=1).encode())
    for each in (folder / "MASKS", folder / "DATA", folder):
        disk.sync(each)


def _rasters(l2a: L2A) -> dict[str, tuple[int, int | None, Callable[[], Raster]]]:
    """Per key of a file: resolution [m], no-data value, and what makes the array when its turn comes."""
    numbers = parameters(l2a.version)
    jobs: dict[str, tuple[int, int | None, Callable[[], Raster]]] = {}
    for band in DISTRIBUTED:
        for kind, reflectance in (("SRE", l2a.surface_reflectance), ("FRE", l2a.flat_reflectance)):
            if _there(kind, band, reflectance, l2a):
                jobs[f"{kind}_{band}"] = BANDS[band].resolution, numbers.no_data, partial(reflectance.__getitem__, band)
    for kind, rasters, no_data in (
        ("ATB", l2a.atmosphere, 0),
        ("CLM", l2a.cloud, None),
        ("MG2", l2a.geophysical, None),
        ("EDG", l2a.edge, None),
        ("SAT", l2a.saturation, None),
        ("IAB", l2a.interpolated, None),
        ("DFP", l2a.defective, None),
    ):
        for group, resolution in GROUP_RESOLUTION.items():
            if _there(kind, group, rasters, l2a):
                jobs[f"{kind}_{group}"] = resolution, no_data, partial(rasters.__getitem__, group)
    return jobs


def _there(kind: str, key: str, rasters: Mapping[str, Raster], l2a: L2A) -> bool:
    """Whether a raster exists, sure that its being there agrees with what the Level-2A declares."""
    if (key in rasters) == (kind in l2a.absent):
        raise ValueError(f"{kind}_{key} is " + ("declared absent but there" if key in rasters else "missing"))
    return key in rasters


@njit(nogil=True, cache=True)
def _present(seen: Any, present: Any) -> None:
    for i in range(seen.size):
        present[seen[i]] = True


@njit(nogil=True, cache=True)
def _mark(seen: Any, detector: Any, bit: Any, footprint: Any) -> None:
    """All uint8 and without a branch: the loop runs at the speed of the memory."""
    none = np.uint8(0)
    for i in range(seen.size):
        footprint[i] |= bit if seen[i] == detector else none


def _footprints(
    detectors: Mapping[str, NDArray[np.uint8]], bands: tuple[str, ...]
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """The detectors that see the image and where: one bit a band, in the group's order."""
    seen = [np.ascontiguousarray(detectors[band]) for band in bands]
    present = np.zeros(256, np.bool_)
    for by in seen:
        _present(by.reshape(-1), present)
    for detector in np.flatnonzero(present[1:]) + 1:
        footprint = np.zeros_like(seen[0])
        for number, by in enumerate(seen):
            _mark(by.reshape(-1), np.uint8(detector), np.uint8(1 << number), footprint.reshape(-1))
        yield int(detector), footprint
