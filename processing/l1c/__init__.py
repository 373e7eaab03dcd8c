"""Level-1C packages: a SAFE (old, compact, zipped) becomes checked granules, and a granule the chain's scene.

What a package is, is read in its XML and not in its name. Sizes are those of the images: one that is smaller than the
metadata say and keeps the band's pixel size is a crop, and read as that.

Formats: Sentinel-2 Products Specification Document, S2-PDGS-TAS-DI-PSD, issues 13.1 (several tiles a package), 14.2
(compact, one tile) and 14.9 (offset of the counts and masks as images, baseline 04.00).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from processing.bands import BANDS, COARSE
from processing.errors import L1CError
from processing.l1c import decoding, images, metadata
from processing.l1c.images import Uniform
from processing.l1c.metadata import SIMULATION_CENTRE
from processing.l1c.package import Package, open_package
from processing.l1c.packed import Packed
from processing.scene import NO_DATA_COUNTS, SATURATED_COUNTS, Ancillary, Angles, Grid, Lazy, Scene, Strips

__all__ = ["SIMULATION_CENTRE", "Granule", "granules", "merge"]

#: Images of all resolutions share their edges: those lie on whole pixels of the coarsest. [m]
EDGE = 60

#: Distance of a thinned scene's samples, at most; B1, in which aerosol and clouds are sought, keeps all pixels. [m]
THINNED = dict.fromkeys(COARSE, 120) | {"B1": 60}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Source:
    """The files of one granule."""

    package: Package
    xml: str
    images: Mapping[str, str]
    masks: Mapping[tuple[str, str], str]
    special: Mapping[str, int]
    grid: Grid
    #: Tiles of the masks that were decoded already, and the like of which are not decoded again.
    uniform: Uniform = field(default_factory=dict, repr=False, compare=False)

    @property
    def folder(self) -> str:
        return str(PurePosixPath(self.xml).parent)

    def observed(
        self, band: str, rows: slice, saturated: Packed[np.bool_], content: bytes | None
    ) -> NDArray[np.uint16]:
        """Some rows of the counts as `Scene.counts` has them; `content` is that of the image's file if it is known."""
        counts = self._usual(images.read(self.package, self.images[band], rows, content))
        if saturated.any(rows):  # real images have 15 bits and can't hold 65535: only the mask knows
            counts[saturated.rows(rows) & (counts != NO_DATA_COUNTS)] = SATURATED_COUNTS
        return counts

    def samples(
        self, band: str, spacing: int, content: bytes | None, window: Window | None = None
    ) -> NDArray[np.uint16]:
        """Counts of a thinned scene, or of a window of it."""
        counts = self._usual(images.samples(self.package, self.images[band], spacing, content, window))
        if spacing > 1:
            counts[images.unobserved(counts)] = NO_DATA_COUNTS
        return counts

    def _usual(self, counts: NDArray[np.uint16]) -> NDArray[np.uint16]:
        for name, value in (("SATURATED", SATURATED_COUNTS), ("NODATA", NO_DATA_COUNTS)):
            if self.special[name] != value:
                counts[counts == self.special[name]] = value
        return counts

    def detectors(self, band: str, spacing: int = 1) -> Packed[np.uint8]:
        """Of every `spacing`-th pixel."""
        name, resolution = self.masks["MSK_DETFOO", band], BANDS[band].resolution
        if self._masks_are_images:
            return images.detector_image(self.package, name, self.grid, resolution, spacing, self.uniform)
        return Packed.of(images.detector_polygons(self.package, name, self.grid, resolution)[::spacing, ::spacing])

    @property
    def _masks_are_images(self) -> bool:
        return any(kind == "MSK_QUALIT" for kind, _ in self.masks)

    def masks_of(self, band: str) -> tuple[Packed[np.bool_], Packed[np.bool_]]:
        """Defective and saturated pixels."""
        resolution = BANDS[band].resolution
        if self._masks_are_images:
            name = self.masks["MSK_QUALIT", band]
            return images.quality_image(self.package, name, self.grid, resolution, self.uniform)
        found = [
            images.polygons(self.package, self.masks[kind, band], types, self.grid, resolution)
            for kind, types in images.DEFECTIVE_TYPES.items()
        ]
        saturated = images.polygons(self.package, self.masks["MSK_SATURA", band], None, self.grid, resolution)
        return Packed.of(np.logical_or.reduce(found)), Packed.of(saturated)


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
    _sources: tuple[_Source, ...] = field(repr=False)

    def angles(self) -> Angles:
        """Sun and view angles on the 5 km grid of the tile, which may reach out of the images.

        Raises
        ------
        L1CError
            If they are missing or malformed.
        """
        first, *others = (metadata.angles(s.package, s.xml) for s in self._sources)
        for other in others:
            first = _merge_angles(self.path, first, other)
        return first

    def scene(self, ancillary: Ancillary) -> Scene:
        """What the chain corrects. Counts are decoded each time they are asked for, masks once.

        Raises
        ------
        L1CError
            Here if the angles are missing or malformed; on access to a band if its files can't be decoded.
        """
        return self._scene(ancillary, _Rasters(self._sources))

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
        rasters = _Rasters(self._sources)
        bands = sorted(BANDS, key=lambda band: -BANDS[band].resolution)
        first = self._sources[0]
        parts = {band: images.strips(first.package, first.images[band]) for band in bands}
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
        rasters, spacing = _Rasters(self._sources), self._spacing(distances, cell)
        return self._thin(
            ancillary, rasters, spacing, Strips(self._samples(spacing), partial(rasters.samples, spacing))
        )

    @contextmanager
    def thinned(self, threads: int, cell: int) -> Iterator[Callable[[Ancillary], Scene]]:
        """`thin` as `decoded` is to `scene`: once, by threads of its own, beginning now."""
        rasters, spacing = _Rasters(self._sources), self._spacing(THINNED, cell)
        parts = {band: [slice(0, height)] for band, height in self._samples(spacing).items()}
        with decoding.ahead(partial(rasters.samples, spacing), parts, [], threads, None) as kept:
            yield lambda ancillary: self._thin(ancillary, rasters, spacing, kept)

    def _spacing(self, distances: Mapping[str, int], cell: int) -> dict[str, int]:
        package, files = self._sources[0].package, self._sources[0].images
        bands = sorted(COARSE, key=lambda band: -BANDS[band].resolution)
        most = {}
        for band in bands:
            pixels = cell // BANDS[band].resolution
            most[band] = max(1, min(distances[band] // BANDS[band].resolution, pixels & -pixels))  # a power of 2 in it
        return {band: images.spacing(package, files[band], most[band]) for band in bands}

    def _samples(self, spacing: Mapping[str, int]) -> dict[str, int]:
        return {band: -(-self.grid.shape(BANDS[band].resolution)[0] // step) for band, step in spacing.items()}

    def _thin(
        self, ancillary: Ancillary, rasters: _Rasters, spacing: Mapping[str, int], counts: Strips[np.uint16]
    ) -> Scene:
        detectors = Lazy(spacing, lambda band: rasters.detectors(band, spacing[band]).raster())
        return replace(self._scene(ancillary, rasters), counts=counts, detectors=detectors, spacing=spacing)

    def _scene(self, ancillary: Ancillary, rasters: _Rasters) -> Scene:
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
            ancillary=ancillary,
            simulated=self.simulated,
        )

    def check(self) -> None:
        """Make sure that every file the scene needs is there and whole, without decoding pixels.

        The structure of each JPEG 2000 file is walked through to its end, each XML and GML file is parsed, and the
        checksums of a zip are verified.

        Raises
        ------
        L1CError
            With the file and its fault.
        """
        self.angles()
        for source in self._sources:
            package = source.package
            for name in (*source.images.values(), *source.masks.values()):
                if name.endswith(".gml"):
                    images.features(package, name)
                else:
                    with package.open(name) as file:
                        images.codestream(package, name, file)

    def toa(self, band: str, spacing: int, rows: slice, cols: slice) -> NDArray[np.float32]:
        """Reflectance at the top of the atmosphere as it is in the images, for looking at them.

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
        height, width = (-(-pixels // spacing) for pixels in self.grid.shape(BANDS[band].resolution))
        rows, cols = slice(rows.start, min(rows.stop, height)), slice(cols.start, min(cols.stop, width))
        out = np.full((max(0, rows.stop - rows.start), max(0, cols.stop - cols.start)), np.nan, np.float32)
        if not out.size:
            return out
        for source in self._sources:
            level = images.spacing(source.package, source.images[band], spacing)
            step = spacing // level  # a small image has few levels
            size = ((n - 1) * step + 1 for n in reversed(out.shape))
            counts = source.samples(band, level, None, Window(cols.start * step, rows.start * step, *size))
            counts = counts[::step, ::step]
            reflectance = (counts + np.float32(self.offset[band])) / np.float32(self.quantification)
            np.copyto(out, reflectance, where=np.isnan(out) & (counts != NO_DATA_COUNTS))
        return out

    def image_files(self) -> list[tuple[Package, str]]:
        """Package and name of every image."""
        return [(source.package, name) for source in self._sources for name in source.images.values()]

    def ecmwf(self) -> bytes | None:
        """The ECMWF forecast (GRIB) that comes with the tile: total ozone, water vapour, pressure. None if it doesn't.

        Raises
        ------
        L1CError
            If it is there and can't be read.
        """
        return self._forecast("AUX_ECMWFT")

    def cams(self) -> bytes | None:
        """The CAMS forecast (GRIB) that comes with the tile from baseline 04.00 on: AOT by species. None if it doesn't.

        Raises
        ------
        L1CError
            If it is there and can't be read.
        """
        return self._forecast("AUX_CAMSFO")

    def _forecast(self, kind: str) -> bytes | None:
        source = self._sources[0]
        names = [n for n in source.package.files(f"{source.folder}/AUX_DATA") if kind in n]
        return source.package.read(names[0]) if names else None


class _Rasters:
    """The rasters of the halves of a granule put together: masks kept once made, counts made each time."""

    def __init__(self, sources: Sequence[_Source]) -> None:
        self._sources = sources
        self._kept: dict[tuple[str, str, int], Packed[Any]] = {}
        self._unpacked: dict[tuple[str, int], bytes] = {}
        self._locks: dict[str, Lock] = {band: Lock() for band in BANDS}

    def counts(self, band: str, rows: slice) -> NDArray[np.uint16]:
        counts = self._observed(band, rows, 0)
        for half in range(1, len(self._sources)):
            np.copyto(counts, self._observed(band, rows, half), where=counts == NO_DATA_COUNTS)
        return counts

    def samples(self, spacing: Mapping[str, int], band: str, _: slice) -> NDArray[np.uint16]:
        """Counts of a thinned scene, all rows: the halves of a pass meet where neither is thinned with no data."""
        counts = self._sources[0].samples(band, spacing[band], self._content(band, 0))
        for half, source in enumerate(self._sources[1:], 1):
            other = source.samples(band, spacing[band], self._content(band, half))
            np.copyto(counts, other, where=counts == NO_DATA_COUNTS)
        return counts

    def _observed(self, band: str, rows: slice, half: int) -> NDArray[np.uint16]:
        saturated, content = self._masks("saturated", band, half), self._content(band, half)
        return self._sources[half].observed(band, rows, saturated, content)

    def _content(self, band: str, half: int) -> bytes | None:
        """Of the image's file in a zip, unpacked once: to seek in it is to unpack it from its start."""
        source = self._sources[half]
        if not source.package.zipped:
            return None
        with self._locks[band]:
            content = self._unpacked.get((band, half))
            if content is None:
                content = self._unpacked[band, half] = source.package.read(source.images[band])
                for old in list(self._unpacked)[: -2 * len(self._sources)]:
                    self._unpacked.pop(old, None)
        return content

    def detectors(self, band: str, spacing: int = 1) -> Packed[np.uint8]:
        with self._locks[band]:
            key = f"detectors of {spacing}", band, 0
            if key not in self._kept:
                packed = self._sources[0].detectors(band, spacing)
                for source in self._sources[1:]:
                    detectors, other = packed.raster(), source.detectors(band, spacing).raster()
                    np.copyto(detectors, other, where=detectors == 0)
                    packed = Packed.of(detectors)
                self._kept[key] = packed
            return self._kept[key]

    def defective(self, band: str) -> Packed[np.bool_]:
        """Of the half whose detectors saw the pixel."""
        first = self._masks("defective", band, 0)
        if len(self._sources) == 1:
            return first
        defective, seen = first.raster(), self._sources[0].detectors(band).raster() != 0
        for half, source in enumerate(self._sources[1:], 1):
            np.copyto(defective, self._masks("defective", band, half).raster(), where=~seen)
            seen |= source.detectors(band).raster() != 0
        return Packed.of(defective)

    def _masks(self, kind: str, band: str, half: int) -> Packed[np.bool_]:
        with self._locks[band]:
            if (kind, band, half) not in self._kept:
                defective, saturated = self._sources[half].masks_of(band)
                self._kept["defective", band, half] = defective
                self._kept["saturated", band, half] = saturated
            return self._kept[kind, band, half]


def granules(path: Path) -> list[Granule]:
    """Granules of a `.SAFE` folder or zip, one for each tile.

    Metadata and image headers are read, no pixel is decoded.

    Raises
    ------
    L1CError
        If the package is no whole Level-1C that this reader knows; the text names the file and the fault.
    UnsafeArchive
        If a zip leads out of its folder, holds links, or unpacks without bound.
    """
    package = open_package(path)
    product = metadata.product(package)
    return [_granule(package, product, folder, files) for folder, files in product.granules]


def _granule(package: Package, product: metadata.Product, folder: str, files: Mapping[str, str]) -> Granule:
    xml = metadata.find_tile(package, folder)
    tile = metadata.tile(package, xml, product.baseline)
    grid = _grid(package, tile, files)
    rows, cols = tile.sizes[EDGE]
    cropped = (grid.height, grid.width) != (rows * EDGE, cols * EDGE)
    if cropped:
        size = f"{grid.width} x {grid.height} m, the metadata say {cols * EDGE} x {rows * EDGE} m: read as a crop"
        log.warning("%s: images of tile %s cover %s", package.path.name, tile.tile, size)
    return Granule(
        path=package.path,
        identifier=package.path.name.removesuffix(".zip").removesuffix(".SAFE"),
        tile=tile.tile,
        platform=product.platform,
        sensing=tile.sensing,
        datatake_sensing=product.datatake_sensing,
        datastrip=tile.datastrip,
        orbit=product.orbit,
        relative_orbit=product.relative_orbit,
        baseline=product.baseline,
        discriminator=product.discriminator,
        generation=product.generation,
        grid=grid,
        cropped=cropped,
        quantification=product.quantification,
        offset=product.offset,
        solar_irradiance=product.solar_irradiance,
        physical_gain=product.physical_gain,
        simulated=tile.simulated,
        _sources=(_Source(package, xml, files, tile.masks, product.special, grid),),
    )


def _grid(package: Package, tile: metadata.Tile, files: Mapping[str, str]) -> Grid:
    """Grid that the 13 images have in common, which is that of the tile or a part of it."""
    grids = {b: _image_grid(package, tile, files[b], BANDS[b].resolution) for b in BANDS}
    first = grids["B1"]
    for band, grid in grids.items():
        if grid != first:
            here, there = (f"{g.width} x {g.height} m at {g.west:.10g} E {g.north:.10g} N" for g in (grid, first))
            raise package.fault(files[band], f"covers {here}, the image of B1 {there}")
    return first


def _image_grid(package: Package, tile: metadata.Tile, name: str, resolution: int) -> Grid:
    image = images.header(package, name)
    rows, cols = tile.sizes[resolution]
    west, north, t = tile.west, tile.north, image.transform
    size, said = f"{image.columns} x {image.rows} pixels", f"the metadata say {cols} x {rows} of {resolution} m"
    if image.epsg is not None:
        west, north = t.c, t.f
        if (t.a, t.b, t.d, t.e) != (resolution, 0, 0, -resolution):
            raise package.fault(name, f"{size} of {t.a:.6g} m, {said}")
        if image.epsg != tile.epsg:
            raise package.fault(name, f"in EPSG:{image.epsg}, the metadata say EPSG:{tile.epsg}")
    elif (image.rows, image.columns) != (rows, cols):
        raise package.fault(name, f"{size} without a georeference, {said}")
    if (image.layers, image.dtype) != (1, "uint16"):
        raise package.fault(name, f"{image.layers} layer(s) of {image.dtype}, one of uint16 expected")
    grid = Grid(f"EPSG:{tile.epsg}", west, north, image.columns * resolution, image.rows * resolution)
    here = f"{size} of {resolution} m at {west:.10g} E {north:.10g} N"
    south, east = tile.north - rows * resolution, tile.west + cols * resolution
    if west < tile.west or grid.east > east or north > tile.north or grid.south < south:
        raise package.fault(name, f"{here}, {said} at {tile.west:.10g} E {tile.north:.10g} N")
    if any(d % EDGE for d in (west - tile.west, tile.north - north, grid.width, grid.height)):
        raise package.fault(name, f"{here}: a crop whose edges are not multiples of {EDGE} m in the tile")
    return grid


def merge(halves: Sequence[Granule]) -> Granule:
    """One granule out of the one or more products of a pass: each pixel from whichever half observed it.

    What both halves say (name, times, mean sun) is taken from the newest one; its sensing time is the earliest.

    Raises
    ------
    L1CError
        If they are not of one tile, satellite and datatake, on one grid and with one scale of counts.
    """
    newest, *others = sorted(halves, key=lambda g: (g.generation, g.identifier), reverse=True)
    for other in others:
        for name in ("tile", "platform", "datatake_sensing", "grid", "quantification", "offset"):
            here, there = getattr(newest, name), getattr(other, name)
            if here != there:
                text = f"no half of the same pass as {newest.identifier}: {name} {there} against {here}"
                raise L1CError(other.path, text)
    return replace(
        newest,
        sensing=min(g.sensing for g in halves),
        simulated=any(g.simulated for g in halves),
        _sources=tuple(s for g in (newest, *others) for s in g._sources),
    )


def _merge_angles(path: Path, a: Angles, b: Angles) -> Angles:
    """View angles of `a`, and of `b` where `a` has none; band means weighted by the nodes seen."""
    if (a.west, a.north, a.step, a.sun_zenith.shape) != (b.west, b.north, b.step, b.sun_zenith.shape):
        raise L1CError(path, "the angle grids of its halves differ in size or place")
    zenith: dict[str, dict[int, NDArray[np.float32]]] = {}
    azimuth: dict[str, dict[int, NDArray[np.float32]]] = {}
    mean = {}
    for band in BANDS:
        zenith[band], azimuth[band] = {}, {}
        for detector in sorted({*a.view_zenith[band], *b.view_zenith[band]}):
            for out, first, second in (
                (zenith[band], a.view_zenith[band], b.view_zenith[band]),
                (azimuth[band], a.view_azimuth[band], b.view_azimuth[band]),
            ):
                if detector in first and detector in second:
                    out[detector] = np.where(np.isnan(first[detector]), second[detector], first[detector])
                else:
                    out[detector] = first[detector] if detector in first else second[detector]
        # a little more than the nodes, as a band may have been seen at none of them
        weights = [1e-9 + sum(np.isfinite(g).sum() for g in x.view_zenith[band].values()) for x in (a, b)]
        mean[band] = _mean_direction([a.mean_view[band], b.mean_view[band]], weights)
    return replace(a, view_zenith=zenith, view_azimuth=azimuth, mean_view=mean)


def _mean_direction(directions: Sequence[tuple[float, float]], weights: Sequence[float]) -> tuple[float, float]:
    """Mean of (zenith, azimuth) as vectors of length tan(zenith). [deg]"""
    zenith, azimuth = np.radians(np.array(directions, float)).T
    x, y = (np.average(np.tan(zenith) * f(azimuth), weights=weights) for f in (np.sin, np.cos))
    return float(np.degrees(np.arctan(np.hypot(x, y)))), float(np.degrees(np.arctan2(x, y)) % 360)
