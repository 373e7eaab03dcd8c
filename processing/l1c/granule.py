"""A granule: one tile of a Level-1C package, checked, and the chain's scene made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from processing import bounded, timeline
from processing.bands import BANDS, COARSE
from processing.errors import L1CError, OverLimit
from processing.known import Satellite
from processing.l1c import decoding, limits
from processing.l1c.angles import merge_angles
from processing.l1c.rasters import Rasters
from processing.l1c.source import Air, Source
from processing.scene import NO_DATA_COUNTS, Ancillary, Angles, Grid, Lazy, Scene, Strips

#: Distance of a thinned scene's samples, at most; B1, in which aerosol and clouds are sought, keeps all pixels. [m]
THINNED = dict.fromkeys(COARSE, 120) | {"B1": 60}
#: Band and cells on a side by which the ground is told that packages of a pass observed.
GROUND, LATTICE = "B1", 64
#: What looking at a part of an image may take. [bytes], [s]
LOOK_MEMORY, LOOK_SECONDS = 2_000_000_000, 60.0
#: What checking a granule may take: all its files are read, those in a zip each as a whole. [bytes], [s]
CHECK_MEMORY, CHECK_SECONDS = 2_000_000_000, 900.0


@dataclass(frozen=True)
class Granule:
    """One tile of a Level-1C package, its metadata checked and no pixel decoded.

    Two granules of one acquisition have `tile`, `platform` and `datatake_sensing` in common. Then either one replaces
    the other (same `datastrip`: the later `generation` counts), or they are the two halves of a pass whose downlink was
    split inside the tile (another `datastrip`), to be put together by `merge`.

    Attributes
    ----------
    path : Path
        The package: `.SAFE` folder or zip.
    identifier : str
        Name of the package without .SAFE and .zip.
    tile : str
        MGRS id without the T, ``31TCJ``.
    platform : str
        ``S2A``, ``S2B``, ``S2C``.
    sensing : datetime
        Sensing time of the tile, UTC.
    datatake_sensing : datetime
        Start of the datatake, UTC.
    datastrip : datetime
        Start of the datastrip, UTC, to the second.
    orbit, relative_orbit : int
    baseline : str
        Processing baseline, ``05.10``.
    discriminator : str
        Last time in a compact name; the generation time for older names.
    generation : datetime
        When the Level-1C was made, UTC.
    grid : Grid
        Of the images.
    cropped : bool
        The images are smaller than the metadata say.
    quantification, offset, solar_irradiance, physical_gain
        As in `Scene`.
    simulated : bool
    satellite : Satellite or None
        What is known of the platform; None: what its name says.
    admitted : mapping of str to str
        What of its format the centre has admitted, and on what ground.
    kind : str
        Of the package.
    """

    path: Path
    identifier: str
    tile: str
    platform: str
    sensing: datetime
    datatake_sensing: datetime
    datastrip: datetime
    orbit: int
    relative_orbit: int
    baseline: str
    discriminator: str
    generation: datetime
    grid: Grid
    cropped: bool
    quantification: float
    offset: Mapping[str, float]
    solar_irradiance: Mapping[str, float]
    physical_gain: Mapping[str, float]
    simulated: bool
    _sources: tuple[Source, ...] = field(repr=False)
    satellite: Satellite | None = field(default=None, repr=False)
    admitted: Mapping[str, str] = field(default_factory=dict, repr=False)
    kind: str = "SAFE"

    def ground(self) -> timeline.Ground:
        """The ground that the images show, seen in those of 60 m without an atmosphere to look through first.

        Raises
        ------
        L1CError
            If an image can't be decoded.
        """
        height, width = self.grid.shape(BANDS[GROUND].resolution)
        cells = np.zeros((LATTICE, LATTICE), np.bool_)
        for source in self._sources:
            spacing = source.spacing(GROUND, max(1, min(height, width) // LATTICE))
            observed = source.samples(GROUND, spacing, None) != NO_DATA_COUNTS
            rows, cols = np.nonzero(observed)
            cells[rows * LATTICE // observed.shape[0], cols * LATTICE // observed.shape[1]] = True
        frame = self.grid.west, self.grid.south, self.grid.east, self.grid.north
        return timeline.Ground(frame, int.from_bytes(np.packbits(cells).tobytes()))

    def angles(self) -> Angles:
        """Sun and view angles on the 5 km grid of the tile, which may reach out of the images.

        Raises
        ------
        L1CError
            If they are missing or malformed.
        """
        first, *others = (source.angles() for source in self._sources)
        for other in others:
            first = merge_angles(self.path, first, other)
        return first

    def scene(self, ancillary: Ancillary) -> Scene:
        """What the chain corrects. Counts are decoded each time they are asked for, masks once.

        Raises
        ------
        L1CError
            Here if the angles are missing or malformed; on access to a band if its files can't be decoded.
        """
        return self._scene(ancillary, Rasters(self._sources))

    @contextmanager
    def decoded(self, threads: int, spill: Path | None = None) -> Iterator[Callable[[Ancillary], Scene]]:
        """`scene` with its counts decoded once, by threads of its own, beginning now with the coarsest bands.

        Who asks the scene for counts waits until they are there. On the way out they are given back.

        Parameters
        ----------
        threads : int
        spill : Path or None
            Folder for the decoded counts of low-memory machines; None: they stay in memory.

        Raises
        ------
        L1CError
            As of `scene`; it names the image and the rows where one can't be decoded.
        StorageError
            If `spill` is full or can't be written.
        """
        rasters = Rasters(self._sources)
        bands = sorted(BANDS, key=lambda band: -BANDS[band].resolution)
        parts = {band: self._sources[0].strips(band) for band in bands}
        masks = [partial(make, band) for make in (rasters.defective, rasters.detectors) for band in reversed(bands)]
        with decoding.ahead(rasters.counts, parts, masks, threads, spill) as kept:
            yield lambda ancillary: replace(self._scene(ancillary, rasters), counts=kept)

    def thin(self, ancillary: Ancillary, cell: int, distance: int | None = None) -> Scene:
        """A scene for the coarse grid alone: its images decoded at a reduced resolution, each time they are asked for.

        Saturated pixels are known only where the counts themselves tell.

        Parameters
        ----------
        cell : int
            Of the coarse grid, a whole number of samples. [m]
        distance : int, optional
            Of its samples, at most; else those of `THINNED`. [m]

        Raises
        ------
        L1CError
            As of `scene`.
        """
        distances = dict.fromkeys(COARSE, distance) if distance else THINNED
        rasters, spacing = Rasters(self._sources), self._spacing(distances, cell)
        return self._thin(
            ancillary, rasters, spacing, Strips(self._samples(spacing), partial(rasters.samples, spacing))
        )

    @contextmanager
    def thinned(self, threads: int, cell: int) -> Iterator[Callable[[Ancillary], Scene]]:
        """`thin` as `decoded` is to `scene`: once, by threads of its own, beginning now."""
        rasters, spacing = Rasters(self._sources), self._spacing(THINNED, cell)
        parts = {band: [slice(0, height)] for band, height in self._samples(spacing).items()}
        with decoding.ahead(partial(rasters.samples, spacing), parts, [], threads, None) as kept:
            yield lambda ancillary: self._thin(ancillary, rasters, spacing, kept)

    def _spacing(self, distances: Mapping[str, int], cell: int) -> dict[str, int]:
        bands = sorted(COARSE, key=lambda band: -BANDS[band].resolution)
        most = {}
        for band in bands:
            pixels = cell // BANDS[band].resolution
            most[band] = max(1, min(distances[band] // BANDS[band].resolution, pixels & -pixels))  # a power of 2 in it
        return {band: self._sources[0].spacing(band, most[band]) for band in bands}

    def _samples(self, spacing: Mapping[str, int]) -> dict[str, int]:
        return {band: -(-self.grid.shape(BANDS[band].resolution)[0] // step) for band, step in spacing.items()}

    def _thin(
        self, ancillary: Ancillary, rasters: Rasters, spacing: Mapping[str, int], counts: Strips[np.uint16]
    ) -> Scene:
        detectors = Lazy(spacing, lambda band: rasters.detectors(band, spacing[band]).raster())
        return replace(self._scene(ancillary, rasters), counts=counts, detectors=detectors, spacing=spacing)

    def _scene(self, ancillary: Ancillary, rasters: Rasters) -> Scene:
        heights = {name: self.grid.shape(band.resolution)[0] for name, band in BANDS.items()}
        return Scene(
            tile=self.tile,
            platform=self.platform,
            sensing=self.sensing,
            orbit=self.orbit,
            relative_orbit=self.relative_orbit,
            baseline=self.baseline,
            identifier=self.identifier,
            grid=self.grid,
            counts=Strips(heights, rasters.counts),
            quantification=self.quantification,
            offset=self.offset,
            solar_irradiance=self.solar_irradiance,
            physical_gain=self.physical_gain,
            angles=self.angles(),
            detectors=Strips(heights, lambda band, rows: rasters.detectors(band).rows(rows)),
            defective=Strips(heights, lambda band, rows: rasters.defective(band).rows(rows)),
            saturated=Strips(heights, lambda band, rows: rasters.saturated(band).rows(rows)),
            ancillary=ancillary,
            simulated=self.simulated,
            responses=None if self.satellite is None else self.satellite.responses(),
        )

    def check(self) -> None:
        """Make sure that every file the scene needs is there and whole, without decoding pixels.

        The structure of each JPEG 2000 file is walked through to its end, each XML and GML file is parsed, and the
        checksums of the manifest and of a zip are verified; in a process of its own, which limits of memory and time
        can end.

        Raises
        ------
        L1CError
            With the file and its fault.
        """
        try:
            states = bounded.run(_checked, self, memory=CHECK_MEMORY, seconds=CHECK_SECONDS)
        except OverLimit as error:
            raise L1CError(self.path, str(error)) from error
        for source, state in zip(self._sources, states, strict=True):
            source.learn(state)

    def integrity(self) -> str:
        """How far the files that were used are those that the package's manifest lists, in one line.

        Images and masks that nobody has used yet are looked at now.

        Raises
        ------
        L1CError
            If one is damaged.
        """
        found = {source.path.name: source.integrity() for source in self._sources}
        if len(set(found.values())) == 1:
            return next(iter(found.values()))
        return "; ".join(f"{name}: {said}" for name, said in found.items())

    def toa(self, band: str, spacing: int, rows: slice, cols: slice) -> NDArray[np.float32]:
        """Reflectance at the top of the atmosphere as it is in the images, for looking at them.

        It is decoded where limits of memory and time can end it: who looks is the web, and what was taken long ago may
        be another file now.

        Parameters
        ----------
        band : str
        spacing : int
            Pixels between samples, a power of 2. Only the resolution level that is needed is decoded.
        rows, cols : slice
            Samples; what lies beyond the image is left out.

        Returns
        -------
        (row, col) float32
            NaN where unobserved. [-]

        Raises
        ------
        L1CError
            If the image can't be decoded.
        """
        try:
            return bounded.run(_looked_at, self, band, spacing, rows, cols, memory=LOOK_MEMORY, seconds=LOOK_SECONDS)
        except OverLimit as error:
            raise L1CError(self.path, str(error)) from error

    def reflectance(self, band: str, spacing: int, rows: slice, cols: slice) -> NDArray[np.float32]:
        """As of `toa`, decoded here."""
        height, width = (-(-pixels // spacing) for pixels in self.grid.shape(BANDS[band].resolution))
        rows, cols = slice(rows.start, min(rows.stop, height)), slice(cols.start, min(cols.stop, width))
        out = np.full((max(0, rows.stop - rows.start), max(0, cols.stop - cols.start)), np.nan, np.float32)
        if not out.size:
            return out
        for source in self._sources:
            level = source.spacing(band, spacing)
            step = spacing // level  # a small image has few levels
            size = ((n - 1) * step + 1 for n in reversed(out.shape))
            counts = source.samples(band, level, None, Window(cols.start * step, rows.start * step, *size))
            counts = counts[::step, ::step]
            reflectance = (counts + np.float32(self.offset[band])) / np.float32(self.quantification)
            np.copyto(out, reflectance, where=np.isnan(out) & (counts != NO_DATA_COUNTS))
        return out

    def footprint(self, band: str) -> NDArray[np.uint8]:
        """The detector that saw each pixel of a band, (row, col) uint8, 0 none.

        Raises
        ------
        L1CError
            If the masks can't be decoded.
        """
        return Rasters(self._sources).detectors(band).raster()

    def packages(self) -> list[Path]:
        """The package, or those of the halves."""
        return list(dict.fromkeys(source.path for source in self._sources))

    def image_strips(self) -> list[Callable[[], NDArray[np.uint16]]]:
        """What decodes the images, a strip each."""
        return [
            partial(source.read, band, rows)
            for source in self._sources
            for band in BANDS
            for rows in source.strips(band)
        ]

    def ecmwf(self) -> Air | None:
        """The ECMWF forecast that comes with the tile: total ozone, water vapour, pressure. None if it doesn't.

        Raises
        ------
        L1CError
            If it is there and can't be read.
        """
        return self._sources[0].ecmwf()

    def cams(self) -> Air | None:
        """The CAMS forecast that comes with the tile from baseline 04.00 on: AOT by species. None if it doesn't.

        Raises
        ------
        L1CError
            If it is there and can't be read.
        """
        return self._sources[0].cams()


def _looked_at(granule: Granule, *where: Any) -> NDArray[np.float32]:
    return granule.reflectance(*where)


def _checked(granule: Granule) -> list[Any]:
    """Walk through all that a granule needs; what each of its sources found."""
    granule.angles()
    hours = (granule.sensing - granule.datatake_sensing).total_seconds() / 3600
    if text := limits.fault("hours from datatake to sensing", hours):
        raise L1CError(granule.path, text)
    return [source.checked() for source in granule._sources]


def merge(halves: Sequence[Granule]) -> Granule:
    """One granule out of the one or more products of a pass: each pixel from the newest one that observed it.

    What both halves say (name, times, mean sun) is taken from the newest one; its sensing time is the earliest. The
    counts of a half with other offsets, as those of an older baseline, are brought to those of the newest one.

    Raises
    ------
    L1CError
        If they are not of one tile, satellite and datatake, on one grid and with one scale of counts.
    """
    newest, *others = sorted(halves, key=lambda g: (g.baseline, g.generation, g.identifier), reverse=True)
    for other in others:
        for name in ("tile", "platform", "datatake_sensing", "grid", "quantification"):
            here, there = _named(newest, name), _named(other, name)
            if here != there:
                text = f"no half of the same pass as {newest.identifier}: {name} {there} against {here}"
                raise L1CError(other.path, text)
    return replace(
        newest,
        sensing=min(g.sensing for g in halves),
        simulated=any(g.simulated for g in halves),
        _sources=(*newest._sources, *(source for other in others for source in _like(newest, other))),
    )


def _named(granule: Granule, name: str) -> object:
    """What the halves of a pass have in common; the start of a datatake to the second."""
    value = getattr(granule, name)
    return timeline.datatake(value) if isinstance(value, datetime) else value


def _like(newest: Granule, other: Granule) -> Sequence[Source]:
    """The files of a half, its counts brought to what they mean in the newest one."""
    by = {band: round(other.offset[band] - newest.offset[band]) for band in BANDS if band in newest.offset}
    return [source.raised(by) for source in other._sources] if any(by.values()) else other._sources
