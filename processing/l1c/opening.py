"""A package is opened: what it holds is checked and becomes granules, no pixel decoded."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from processing.bands import BANDS
from processing.l1c import images, metadata
from processing.l1c.granule import Granule
from processing.l1c.package import Package, open_package
from processing.l1c.source import Source
from processing.scene import Grid

#: Images of all resolutions share their edges: those lie on whole pixels of the coarsest. [m]
EDGE = 60

log = logging.getLogger(__name__)


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
        _sources=(Source(package, xml, files, tile.masks, product.special, grid),),
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
