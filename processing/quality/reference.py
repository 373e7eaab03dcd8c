"""Masks made by hand: read from a file or drawn on the page, kept as rasters on the grid of their product."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.features import rasterize

from processing import bounded
from processing.errors import BadArea, InputError, OverLimit, ProductError
from processing.people import Actor
from processing.product import names
from processing.scene import Grid
from processing.settings import Settings
from processing.store import Store, events, verdicts
from processing.store.dialect import now
from processing.store.models import Product, ReferenceMask
from processing.validation import foreign
from processing.validation.masks import Classes, Frame, of_file
from processing.validation.reference_masks import VALUES

#: Of the kept rasters. [m]
RESOLUTION = 20
#: What a file of others may take to be read. [bytes], [s]
MEMORY, SECONDS = 1_500_000_000, 60.0


def frame(settings: Settings, product: Product) -> Frame:
    """Pixels of the mask of a product.

    Raises
    ------
    ProductError
        If its cloud mask, which has the grid, can't be read.
    """
    path = names.found(settings.archive / product.path, "CLM_R1")
    try:
        with rasterio.open(path) as raster:
            west, south, east, north = raster.bounds
            grid = Grid(f"EPSG:{raster.crs.to_epsg()}", west, north, round(east - west), round(north - south))
    except RasterioError as error:
        raise ProductError(path, f"can't be read: {error}") from error
    return Frame(grid, RESOLUTION)


def import_file(
    store: Store, settings: Settings, identifier: str, path: Path, meaning: Classes, actor: Actor
) -> ReferenceMask:
    """Keep a raster or polygons, in any projection, as the reference of a product's image.

    Raises
    ------
    UnknownName
        If there is no such product.
    InputError
        If the file can't be read, lies elsewhere, is empty, or holds no class that the mapping knows.
    ValueError
        If nobody says so.
    NotAllowed
        If he may not.
    """
    actor.require("import_masks")
    with store.read() as session:
        product = verdicts.product(session, identifier)
    onto = frame(settings, product)
    foreign.checked(path)
    try:
        found = bounded.run(of_file, path, meaning, onto, path.name, memory=MEMORY, seconds=SECONDS)
    except OverLimit as error:
        raise InputError(path, str(error)) from None
    if not found.observed.any():
        raise InputError(path, "is empty: nothing of the image is observed in it")
    coded = np.where(found.observed, VALUES["clear"], VALUES["unobserved"]).astype(np.uint8)
    if found.shadow is not None:
        coded[found.shadow & found.observed] = VALUES["shadow"]
    coded[found.cloud & found.observed] = VALUES["cloud"]
    return _keep(
        store,
        settings,
        product,
        coded,
        onto,
        origin=path.name,
        origin_sha=hashlib.sha256(path.read_bytes()).hexdigest(),
        classes=dict(meaning.kinds),
        buffer=meaning.buffer,
        unknown=found.unknown,
        notes=list(found.notes),
        actor=actor,
    )


def keep_drawn(
    store: Store,
    settings: Settings,
    identifier: str,
    shapes: Sequence[tuple[dict[str, Any], str]],
    actor: Actor,
) -> ReferenceMask:
    """Keep polygons drawn on a product as the reference of its image; where none lies it is clear.

    Parameters
    ----------
    shapes : sequence of (geometry, kind)
        GeoJSON polygons in the tile's projection [m]; ``cloud``, ``shadow``, ``clear`` or ``unobserved``. Later ones
        lie over earlier ones.

    Raises
    ------
    UnknownName
        If there is no such product.
    BadArea
        If there are none, or one is no polygon, is empty, crosses itself or lies outside of the image.
    ValueError
        If nobody says so.
    NotAllowed
        If he may not.
    """
    actor.require("import_masks")
    with store.read() as session:
        product = verdicts.product(session, identifier)
    onto = frame(settings, product)
    if not shapes:
        raise BadArea("no area is drawn: a mask needs at least one")
    drawn = [(verdicts.checked_area(product.tile, geometry), VALUES[kind]) for geometry, kind in shapes]
    # 255: not touched
    coded = rasterize(drawn, out_shape=onto.shape, transform=onto.transform, fill=255, dtype="uint8")
    if (coded == 255).all():
        raise BadArea("the drawn areas hold no pixel of the image")
    coded[coded == 255] = VALUES["clear"]
    return _keep(
        store,
        settings,
        product,
        coded,
        onto,
        origin="drawn",
        origin_sha=None,
        classes={kind: kind for _, kind in shapes},
        buffer=0.0,
        unknown={},
        notes=[],
        actor=actor,
    )


def _keep(
    store: Store,
    settings: Settings,
    product: Product,
    coded: NDArray[np.uint8],
    onto: Frame,
    *,
    actor: Actor,
    **columns: Any,
) -> ReferenceMask:
    """Write the raster, then its row: a raster that no row names is no mask, a row always has its raster."""
    if not actor.name.strip():
        raise ValueError("a mask needs the name of its reader")
    image = names.series(product.platform, product.sensing, product.tile)
    digest = hashlib.sha256(repr((onto, actor.name)).encode() + coded.tobytes()).hexdigest()
    name = f"{product.tile}/{image}_{digest[:12]}.tif"
    path = settings.masks / name
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with rasterio.open(
        partial,
        "w",
        driver="COG",
        width=coded.shape[1],
        height=coded.shape[0],
        count=1,
        dtype="uint8",
        crs=onto.grid.crs,
        transform=onto.transform,
        compress="DEFLATE",
        overview_resampling="NEAREST",
    ) as raster:
        raster.write(coded, 1)
    partial.rename(path)
    pixels = {kind: int((coded == value).sum()) for kind, value in VALUES.items()}
    with store.write() as session:
        time = now(session)
        row = ReferenceMask(
            product_id=product.id, image=image, path=name, pixels=pixels, time=time, reader=actor.name, **columns
        )
        session.add(row)
        place = {"tile": product.tile, "version": product.version, "product_id": product.id}
        events.audit(session, time, "mask_imported", actor, data={"image": image, "origin": row.origin}, **place)
    return row


def remarks(mask: ReferenceMask) -> list[str]:
    """What a reader has to know of a mask that was kept: repairs, classes that the mapping did not name."""
    return [
        *mask.notes,
        *(f"class {name} is not in the mapping: {count} pixels" for name, count in mask.unknown.items()),
    ]
