"""A Level-2A becomes a MUSCATE product on disk, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.bands import BANDS, DISTRIBUTED, GROUP_RESOLUTION, GROUPS
from processing.errors import ProductError
from processing.kernels import kernel
from processing.product import disk, metadata, quicklook, raster
from processing.product.names import file_path, identifier
from processing.scene import L2A, Grid, Scene, Strips, strip
from processing.versions import Parameters, parameters

#: What each raster of bits tells of itself.
BITS = {
    "CLM": "Clouds and shadows, bits",
    "MG2": "Water, clouds, snow, shadows and terrain, bits",
    "EDG": "No data, one bit",
    "SAT": "Saturated pixels, a bit a band",
    "IAB": "Filled in from around: water vapour, aerosol optical thickness, bits",
    "DFP": "Defective pixels, a bit a band",
}
FOOTPRINT = (raster.Layer("Footprint of a detector, a bit a band"),)
#: Number of the manifest's form, raised when it changes.
MANIFEST_FORMAT = 1


def write(
    l2a: L2A,
    scene: Scene,
    folder: Path,
    *,
    produced: datetime,
    threads: int = 1,
    ahead: int = 2,
    written: Callable[[str], None] = lambda _key: None,
) -> Path:
    """Write a product as ``folder/<identifier>/``.

    It grows in a hidden sibling, every file brought down to the disk, and gets its name when it is whole. The
    rasters are asked for once each; band by band, the coarser ones first, surface before flat reflectance. Those that
    can be made by strips are made and encoded by `threads` threads, the next `ahead` ones while one is written; the
    others one at a time.

    Parameters
    ----------
    l2a : L2A
        A valid one.
    scene : Scene
        What it was made from.
    produced : datetime
        Production time, with a time zone.
    written : callable
        Told the key of each raster, ``FRE_B2``, when it is on the disk.

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
    target, growing = folder / name, _Growing(folder / f".{name}.partial", name)
    with disk.storing(folder):
        if target.exists():
            raise ProductError(target, "is already there")
        folder.mkdir(parents=True, exist_ok=True)
        if growing.folder.exists():  # left by an attempt that was killed
            shutil.rmtree(growing.folder)
    try:
        with disk.storing(growing.folder):
            growing.make_folders()
        _encode(growing, jobs, scene, threads, ahead, written)
        _describe(growing, l2a, scene, produced)
        growing.sync()
        with disk.storing(target):
            os.rename(growing.folder, target)
    except BaseException:
        shutil.rmtree(growing.folder, ignore_errors=True)
        raise
    disk.sync(folder)
    return target


@dataclass(frozen=True)
class _Job:
    """One raster to be: `rasters[key]`, and how it is stored."""

    rasters: Mapping[str, NDArray[np.int16]] | Mapping[str, NDArray[np.uint8]]
    key: str
    resolution: int
    dtype: type[np.int16] | type[np.uint8]
    layers: Sequence[raster.Layer]
    no_data: int | None = None
    #: Further files of the same pixels, by their keys, and what those tell of their bands.
    twins: Mapping[str, Sequence[raster.Layer]] = field(default_factory=dict)


#: A part of the work under way, and what gives its finished rasters by the keys of their files.
_Work = tuple[list[Future[None]], Callable[[], dict[str, raster.Encoder]]]


class _Growing:
    """A product while it is written: its hidden folder, and what is there by now.

    Attributes
    ----------
    name : str
        Identifier that it will have.
    files : dict of str to str
        Paths in the folder by the keys of the files.
    sums : dict of str to dict
        What the manifest says of each path.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.files: dict[str, str] = {}
        self.sums: dict[str, dict[str, str | int]] = {}
        self._folders = folder / "MASKS", folder / "DATA"

    def make_folders(self) -> None:
        for each in (self.folder, *self._folders):
            each.mkdir()

    def add(self, key: str, chunks: Iterable[bytes]) -> None:
        path = file_path(self.name, key)
        self.sums[path] = disk.write(self.folder / path, chunks)
        self.files[key] = path

    def sync(self) -> None:
        """Bring down what the folders list."""
        for each in (*self._folders, self.folder):
            disk.sync(each)


def _encode(
    growing: _Growing,
    jobs: dict[str, _Job],
    scene: Scene,
    threads: int,
    ahead: int,
    written: Callable[[str], None],
) -> None:
    """Write the rasters, in turn."""
    with ThreadPoolExecutor(threads, "encode") as pool:
        try:
            for rasters in _finished(_work(pool, jobs, scene), ahead):
                for key in list(rasters):
                    growing.add(key, rasters.pop(key).chunks())
                    written(key)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _describe(growing: _Growing, l2a: L2A, scene: Scene, produced: datetime) -> None:
    """Write what tells of the rasters: quicklook, metadata and, last, the manifest."""
    colours = [growing.folder / growing.files[f"SRE_{band}"] for band in quicklook.BANDS]
    growing.add("QKL_ALL", [quicklook.jpeg(quicklook.render(colours))])
    growing.add("JPI_ALL", [metadata.job(l2a, scene)])
    growing.add("MTD_ALL", [metadata.document(growing.name, l2a, scene, produced, growing.files)])
    manifest = {
        "format": MANIFEST_FORMAT,
        "identifier": growing.name,
        "version": l2a.version,
        "parameters": parameters(l2a.version).digest,
        "l1c": scene.identifier,
        "simulated": scene.simulated,
        "files": dict(sorted(growing.sums.items())),
    }
    disk.write(growing.folder / "manifest.json", [json.dumps(manifest, indent=1).encode()])


def _finished(work: Iterable[_Work], ahead: int) -> Iterator[dict[str, raster.Encoder]]:
    """Finished rasters in order, while the threads are busy with the next `ahead` parts."""
    waiting: deque[_Work] = deque()
    for part in chain(work, [None] * ahead):
        if part is not None:
            waiting.append(part)
        if waiting and (part is None or len(waiting) > ahead):
            futures, finish = waiting.popleft()
            for future in futures:
                future.result()
            yield finish()


def _work(pool: ThreadPoolExecutor, jobs: dict[str, _Job], scene: Scene) -> Iterator[_Work]:
    """Start the encoding of each raster in turn."""
    for key, job in jobs.items():
        yield _start(pool, key, job, scene.grid)
    for group, resolution in GROUP_RESOLUTION.items():
        footprints = _Footprints(scene, group, resolution)
        yield [pool.submit(footprints.add, rows) for rows in footprints.strips], footprints.encoders


def _start(pool: ThreadPoolExecutor, key: str, job: _Job, grid: Grid) -> _Work:
    """Start the encoding of one raster, and of the one that has the same pixels."""
    encoder = raster.Encoder(grid, job.resolution, job.dtype, job.layers, job.no_data)
    rasters: Mapping[str, Any] = job.rasters

    def finish() -> dict[str, raster.Encoder]:
        return {key: encoder} | {twin: encoder.again(layers) for twin, layers in job.twins.items()}

    if not isinstance(rasters, Strips):
        encoder.add_whole(rasters[job.key])
        return [], finish

    def add(rows: slice) -> None:
        encoder.add(rows, rasters.strip(job.key, rows))

    return [pool.submit(add, rows) for rows in encoder.strips], finish


def _rasters(l2a: L2A) -> dict[str, _Job]:
    """The rasters of a product but the detectors' footprints, by the keys of their files."""
    jobs: dict[str, _Job] = {}
    for band in sorted(DISTRIBUTED, key=lambda band: -BANDS[band].resolution):
        jobs |= _reflectance(l2a, band)
    numbers = parameters(l2a.version)
    columns = (
        raster.Layer("Water vapour content", 1 / numbers.water_vapour_quantification, "g cm-2"),
        raster.Layer("Aerosol optical thickness at 550 nm", 1 / numbers.aot_quantification),
    )
    for group, resolution in GROUP_RESOLUTION.items():
        if _there("ATB", group, l2a.atmosphere, l2a):
            jobs[f"ATB_{group}"] = _Job(l2a.atmosphere, group, resolution, np.uint8, columns, 0)
        if group in l2a.uncertainty:
            errors = _errors(numbers)
            jobs[f"UNC_{group}"] = _Job(l2a.uncertainty, group, resolution, np.uint8, errors, 0)
    for kind, rasters in (
        ("CLM", l2a.cloud),
        ("MG2", l2a.geophysical),
        ("EDG", l2a.edge),
        ("SAT", l2a.saturation),
        ("IAB", l2a.interpolated),
        ("DFP", l2a.defective),
    ):
        for group, resolution in GROUP_RESOLUTION.items():
            if _there(kind, group, rasters, l2a):
                jobs[f"{kind}_{group}"] = _Job(rasters, group, resolution, np.uint8, [raster.Layer(BITS[kind])])
    return jobs


def _errors(numbers: Parameters) -> list[raster.Layer]:
    """The bands of UNC."""
    of_aot, of_reflectance = numbers.uncertainty_quantification
    bands = [raster.Layer(f"Reflectance in {band}, standard deviation", 1 / of_reflectance) for band in DISTRIBUTED]
    return [raster.Layer("Aerosol optical thickness at 550 nm, standard deviation", 1 / of_aot), *bands]


def _reflectance(l2a: L2A, band: str) -> dict[str, _Job]:
    """The two rasters of a band; where the ground is taken as flat they have the same pixels, made once."""
    numbers = parameters(l2a.version)
    scale, resolution = 1 / numbers.reflectance_quantification, BANDS[band].resolution
    flat = l2a.flat_reflectance is l2a.surface_reflectance
    words = f"Flat reflectance, {band}" + (": ground taken as flat, equal to SRE" if flat else ", slopes corrected")
    kinds = {
        "SRE": (l2a.surface_reflectance, [raster.Layer(f"Surface reflectance, {band}", scale)]),
        "FRE": (l2a.flat_reflectance, [raster.Layer(words, scale)]),
    }
    there = {kind: told for kind, told in kinds.items() if _there(kind, band, told[0], l2a)}
    twins = {f"FRE_{band}": there.pop("FRE")[1]} if flat and len(there) == 2 else {}
    return {
        f"{kind}_{band}": _Job(
            rasters, band, resolution, np.int16, layers, numbers.no_data, twins if kind == "SRE" else {}
        )
        for kind, (rasters, layers) in there.items()
    }


def _there(kind: str, key: str, rasters: Mapping[str, Any], l2a: L2A) -> bool:
    """Whether a raster exists, sure that its being there agrees with what the Level-2A declares."""
    if (key in rasters) == (kind in l2a.absent):
        raise ValueError(f"{kind}_{key} is " + ("declared absent but there" if key in rasters else "missing"))
    return key in rasters


@kernel()
def _present(seen: Any) -> np.uint32:
    """The detectors (of Sentinel-2: at most 12) of some pixels, a bit each: without a store, many at a time."""
    found = np.uint32(0)
    for i in range(seen.size):
        found |= np.uint32(1) << np.uint32(seen[i])
    return found


@kernel()
def _mark(seen: Any, detector: Any, bit: Any, footprint: Any) -> None:
    """All uint8 and without a branch: the loop runs at the speed of the memory."""
    none = np.uint8(0)
    for i in range(seen.size):
        footprint[i] |= bit if seen[i] == detector else none


class _Footprints:
    """The detectors that see the image and where: one bit a band, in the group's order."""

    def __init__(self, scene: Scene, group: str, resolution: int) -> None:
        self._scene, self._group, self._resolution = scene, group, resolution
        self._encoders: dict[int, raster.Encoder] = {}
        self._added: dict[int, set[int]] = {}
        self._lock = Lock()
        self.strips = raster.Encoder(scene.grid, resolution, np.uint8, FOOTPRINT).strips

    def add(self, rows: slice) -> None:
        """Add a strip of each detector that is seen in it."""
        seen = [np.ascontiguousarray(strip(self._scene.detectors, band, rows)) for band in GROUPS[self._group]]
        present = 0
        for by in seen:
            present |= int(_present(by.reshape(-1)))
        for detector in (number for number in range(1, present.bit_length()) if present >> number & 1):
            footprint = np.zeros_like(seen[0])
            for number, by in enumerate(seen):
                _mark(by.reshape(-1), np.uint8(detector), np.uint8(1 << number), footprint.reshape(-1))
            with self._lock:
                if detector not in self._encoders:
                    self._encoders[detector] = raster.Encoder(self._scene.grid, self._resolution, np.uint8, FOOTPRINT)
                    self._added[detector] = set()
                self._added[detector].add(rows.start)
            self._encoders[detector].add(rows, footprint)

    def encoders(self) -> dict[str, raster.Encoder]:
        """The footprints by the keys of their files, empty where no strip was added."""
        for detector, encoder in self._encoders.items():
            for rows in self.strips:
                if rows.start not in self._added[detector]:
                    width = self._scene.grid.shape(self._resolution)[1]
                    encoder.add(rows, np.zeros((rows.stop - rows.start, width), np.uint8))
        return {f"DTF_{self._group}-D{d:02d}": self._encoders[d] for d in sorted(self._encoders)}
