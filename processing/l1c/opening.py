"""A package is opened: what it holds is checked and becomes granules, no pixel decoded."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path, PurePosixPath

from processing import known as registry
from processing import tiling
from processing.atmosphere.responses import Response
from processing.bands import BANDS
from processing.errors import L1CError, printable
from processing.known import Known
from processing.l1c import address, arrays, eopf, finding, images, keys, limits, metadata, stored
from processing.l1c.granule import Granule, merge
from processing.l1c.keys import Keys
from processing.l1c.package import Package, open_package
from processing.l1c.source import Safe
from processing.naming import bare
from processing.scene import Grid

#: Images of all resolutions share their edges: those lie on whole pixels of the coarsest. [m]
EDGE = 60

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Contents:
    """What a package holds: its granules, one for each tile, and the reasons why others can't be used."""

    granules: Sequence[Granule]
    unusable: Sequence[L1CError] = ()

    def of(self, tile: str | None) -> list[Granule]:
        """The granule of a tile, or all of them.

        Raises
        ------
        L1CError
            If the package lists the tile, but its granule can't be used.
        """
        found = [g for g in self.granules if tile is None or g.tile == tile]
        for error in self.unusable:
            if not found and (tile is None or f"T{tile}" in error.fault):
                raise error
        return found


def granules(path: Path) -> list[Granule]:
    """Granules of a `.SAFE` folder, an EOPF store or a zip, one for each tile; errors as of `contents`."""
    return list(contents(path).granules)


def contents(path: Path, known: Known | None = None) -> Contents:
    """What a `.SAFE` folder, an EOPF store or a zip of either holds, of which one granule at least can be used.

    Metadata and image headers are read, no pixel is decoded. Of a tile that is there twice the halves of a pass are
    merged; of one datastrip the granule that was made last counts.

    Parameters
    ----------
    known : Known, optional
        Satellites and baselines; those that the centre knows whom this process serves.

    Raises
    ------
    L1CError
        If the package is no whole Level-1C that this reader knows; the text names the file and the fault.
    Unrecognised
        If it is of a satellite or baseline that is not known.
    UnsafeArchive
        If a zip leads out of its folder, holds links, or unpacks without bound.
    """
    if address.is_address(path):
        return Contents([_stored(address.Address(path), known or registry.current())])
    package = open_package(path)
    if arrays.version(files := keys.of(package)) is not None:
        return Contents([_stored(files, known or registry.current())])
    product = _product(package, known or registry.current())
    found: dict[str, list[tuple[str, Granule]]] = defaultdict(list)
    unusable = list(product.unusable)
    first: L1CError | None = None
    for listed in product.granules:
        folder = listed.folder
        try:
            granule = _granule(package, product, listed)
        except L1CError as error:
            first = first or error
            name = PurePosixPath(folder).name
            unusable.append(L1CError(package.path, f"granule {name}: {error.fault}"))
        else:
            found[granule.tile].append((folder, granule))
    held = []
    for tile in found.values():
        try:
            held.append(_one_of(tile))
        except L1CError as error:
            first = first or error
            unusable.append(error)
    if not held:
        raise first or unusable[0]
    if unusable:
        log.warning("%s: taken without %s", package.path.name, "; ".join(error.fault for error in unusable))
    return Contents(held, unusable)


def _stored(files: Keys, known: Known) -> Granule:
    """The one granule of an EOPF store."""
    root = eopf.said(files)
    facts = eopf.facts(root, known)
    source, offset, quantification = stored.of(files, root, facts)
    frame = tiling.grid(facts.tile)
    cropped = (source.grid.height, source.grid.width) != (frame.height, frame.width)
    if cropped:
        size = f"{source.grid.width} x {source.grid.height} m of {frame.width} x {frame.height} m: read as a crop"
        log.warning("%s: images of tile %s cover %s", files.path.name, facts.tile, size)
    return Granule(
        path=files.path,
        identifier=facts.identifier,
        tile=facts.tile,
        platform=facts.platform,
        sensing=facts.sensing,
        datatake_sensing=facts.datatake_sensing,
        datastrip=facts.datastrip,
        orbit=facts.orbit,
        relative_orbit=facts.relative_orbit,
        baseline=facts.baseline,
        discriminator=facts.discriminator,
        generation=facts.generation,
        grid=source.grid,
        cropped=cropped,
        quantification=quantification,
        offset=offset,
        solar_irradiance=facts.solar_irradiance,
        physical_gain=facts.physical_gain,
        simulated=facts.simulated,
        _sources=(source,),
        satellite=facts.satellite,
        admitted={"baseline": facts.form.origin} if facts.form.origin else {},
        kind="EOPF Zarr",
    )


def said(path: Path) -> metadata.Said:
    """What a package says that it is, whether that is known or not; errors as of `contents`."""
    package = open_package(path)
    if arrays.version(files := keys.of(package)) is None:
        return metadata.said_of(package)
    # All baselines of which there are stores have an offset, and their masks bits.
    return metadata.Said(*eopf.kind(eopf.said(files)), offset=True, masks="image")


def spectral_responses(path: Path) -> dict[str, Response]:
    """The spectral responses that a package carries, by band; errors as of `contents`."""
    package = open_package(path)
    if arrays.version(files := keys.of(package)) is None:
        return metadata.spectral_responses(package)
    return eopf.spectral_responses(eopf.said(files))


def _product(package: Package, known: Known) -> metadata.Product:
    try:
        return metadata.product(package, known)
    except L1CError as error:
        what = finding.kind_of(package.path, package.files())
        if what is None or not error.fault.startswith("no product metadata"):
            raise
        raise L1CError(package.path, f"{what}, not Level-1C") from error


def _one_of(tile: Sequence[tuple[str, Granule]]) -> Granule:
    """One granule out of those of a tile in one package."""
    latest: dict[datetime, Granule] = {}
    for _, granule in sorted(tile, key=lambda item: (_made(item[0]), item[0])):
        latest[granule.datastrip] = granule
    if len(tile) > len(latest):
        log.warning("%s: tile %s is there %d times", tile[0][1].path.name, tile[0][1].tile, len(tile))
    halves = list(latest.values())
    return replace(merge(halves), datastrip=min(latest)) if len(halves) > 1 else halves[0]


def _made(folder: str) -> str:
    """When a granule was made, as its folder's name tells."""
    name = PurePosixPath(folder).name
    times = re.findall(r"\d{8}T\d{6}", name)
    return times[0] if times else ""


def _granule(package: Package, product: metadata.Product, listed: metadata.Listed) -> Granule:
    files = listed.images
    xml = metadata.find_tile(package, listed.folder)
    tile = metadata.tile(package, xml, product.form.masks)
    _agree(package, xml, tile, listed)
    for what, time in (("SENSING_TIME", tile.sensing), ("DATATAKE_SENSING_START", product.datatake_sensing)):
        if text := limits.fault_of_time(what, time):
            raise package.fault(xml, text)
    grid = _grid(package, tile, files)
    rows, cols = tile.sizes[EDGE]
    cropped = (grid.height, grid.width) != (rows * EDGE, cols * EDGE)
    if cropped:
        size = f"{grid.width} x {grid.height} m, the metadata say {cols * EDGE} x {rows * EDGE} m: read as a crop"
        log.warning("%s: images of tile %s cover %s", package.path.name, tile.tile, size)
    return Granule(
        path=package.path,
        identifier=printable(bare(package.path.name)),
        tile=tile.tile,
        platform=product.satellite.platform,
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
        _sources=(Safe(package, xml, files, tile.masks, product.special, grid),),
        satellite=product.satellite,
        admitted={"baseline": product.form.origin} if product.form.origin else {},
    )


def _agree(package: Package, xml: str, tile: metadata.Tile, listed: metadata.Listed) -> None:
    """Hold what a granule says of itself against what the product says of it."""
    named = re.search(r"_T(\d\d[A-Z]{3})(?:_|$)", listed.granule)
    if named and named[1] != tile.tile:
        raise package.fault(xml, f"TILE_ID is of tile {tile.tile}, the product lists it as {named[1]}")
    if listed.datastrip and listed.datastrip != tile.datastrip_id:
        package.checksums.doubt(f"DATASTRIP_ID is {tile.datastrip_id[:80]}, the product says {listed.datastrip[:80]}")


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
