"""Tiles: images of a product's layers on its own grid, for the viewers, and in Web Mercator, for other programs."""

from __future__ import annotations

import asyncio
import hashlib
import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from dashboard import provenance, queries, tiles
from dashboard.api import headers
from dashboard.api.centre import Centre, Here, within
from dashboard.api.products import looked_at
from dashboard.product_folder import find
from processing.errors import L1CError, ProductError, StateError, StorageError

#: Most bands, and ends of their scales, that a style names.
MOST_NUMBERS = 8
#: Columns and rows of a lattice: more than the last level of Web Mercator has.
FURTHEST = 2**tiles.MERCATOR_LAST
#: Makes an image; None if nothing of the product lies there.
Draw = Callable[[], bytes | None]

router = APIRouter()


# What an address asks for


@dataclass(frozen=True)
class Place:
    """What the path of an address names: a layer of a product, and a tile of a lattice."""

    product: str
    layer: str
    z: int
    x: int
    y: int


async def _place(product: str, layer: str, z: int, x: int, y: int) -> Place:
    return Place(product, layer, z, x, y)


class Parameters(BaseModel):
    """``bits=96``, ``pattern=outline``, ``bands=SRE_B8,SRE_B4,SRE_B3``, ``range=0,0.5,0,0.25,0,0.25``, ``with=ID``.

    ``mask=7`` is a kept mask of the product's image, for the layer ``reference``. ``blank=1`` gives an image in any
    case: an empty one where nothing of the product lies, one that says what is wrong where it can't be read. ``v`` has
    the beginnings of the products' digests, with commas: an address with them may be kept for ever.
    """

    bits: int = 255
    pattern: tiles.Pattern = tiles.Pattern.FILL
    bands: str = ""
    scale: str = Field("", alias="range")
    second: str = Field("", alias="with")
    lossy: bool = False
    mask: int = 0
    blank: bool = False
    v: str = ""


@dataclass(frozen=True)
class Look:
    """How a tile is wanted.

    Attributes
    ----------
    style : Style
    second : str
        Product that the first is compared with; empty: none.
    mask : int
        Kept mask that takes the product's place; 0: none.
    blank : bool
        Whether an image is given in any case.
    digests : tuple of str
        Beginnings of the products' digests that the address names.
    """

    style: tiles.Style
    second: str
    mask: int
    blank: bool
    digests: tuple[str, ...]


async def _look(asked: Annotated[Parameters, Query()]) -> Look:
    try:
        scale = tuple(float(value) for value in asked.scale.split(",")) if asked.scale else ()
        if not all(map(math.isfinite, scale)):
            raise ValueError
    except ValueError:
        raise HTTPException(422, f"range is {asked.scale}, not numbers with commas") from None
    bands = tuple(asked.bands.split(",")) if asked.bands else ()
    if len(scale) > MOST_NUMBERS or len(bands) > MOST_NUMBERS:
        raise HTTPException(422, f"bands and range have at most {MOST_NUMBERS} parts")
    style = tiles.Style(asked.bits & 255, asked.pattern, bands, scale, asked.lossy)
    return Look(style, asked.second, asked.mask, asked.blank, tuple(asked.v.split(",")))


Wanted = Annotated[Look, Depends(_look)]
Where = Annotated[Place, Depends(_place)]


@router.get("/tiles/{product}/{layer}/{z}/{x}/{y}")
async def tile(request: Request, centre: Here, look: Wanted, place: Where) -> Response:
    """One PNG of 512 x 512 on the product's own grid; 204 outside of it."""
    try:
        return await _answer(request, centre, look, place, mercator=False)
    except HTTPException as fault:
        if not look.blank:
            raise
        return Response(_said(fault.detail), media_type="image/svg+xml", headers={"Cache-Control": "no-store"})


@router.get("/xyz/{product}/{layer}/{z}/{x}/{y}.png")
async def xyz(request: Request, centre: Here, look: Wanted, place: Where) -> Response:
    """One PNG of 256 x 256 in Web Mercator, for GIS and web maps; 204 outside of the product."""
    return await _answer(request, centre, look, place, mercator=True)


# From an address to its image


@dataclass(frozen=True)
class Tile:
    """A tile whose product and layer are known.

    Attributes
    ----------
    place : Place
    style : Style
    mercator : bool
        Whether it is one of Web Mercator's lattice, and not of the product's.
    products : tuple of Folder
        The product, and the one it is compared with.
    mask : str
        Path of the kept mask that is drawn; empty: none.
    files : tuple of str
        Endings of the rasters that it is drawn from.
    """

    place: Place
    style: tiles.Style
    mercator: bool
    products: tuple[queries.Folder, ...]
    mask: str
    files: tuple[str, ...]

    @property
    def etag(self) -> str:
        """Digest of all that the image depends on."""
        shas = [product.manifest_sha for product in self.products]
        at = (self.place.z, self.place.x, self.place.y)
        seen = f"{shas}/{self.place.layer}{self.mask}/{at}/{self.mercator}/{self.style}/{tiles.RENDERING}"
        return f'"{hashlib.sha256(seen.encode()).hexdigest()[:24]}"'

    def lasts(self, digests: tuple[str, ...]) -> bool:
        """Whether an address with these digests may be kept for ever: a new revision of a product has another one."""
        shas = [product.manifest_sha for product in self.products]
        return len(digests) == len(shas) and all(
            named and sha.startswith(named) for named, sha in zip(digests, shas, strict=True)
        )


async def _answer(request: Request, centre: Centre, look: Look, place: Place, *, mercator: bool) -> Response:
    """A tile of either lattice."""
    tile = await _found(centre, look, place, mercator)
    caching = headers.caching(tile.etag, lasting=tile.lasts(look.digests))
    if any(product.withdrawn is not None for product in tile.products):
        caching = {"Cache-Control": "no-store"}  # the next one who asks may have no right to it
    if headers.known(request, tile.etag):
        return Response(status_code=304, headers=caching)
    if look.blank and place.z > tiles.NATIVE:  # Bokeh fetches the level after its last one, and never shows it
        return Response(tiles.BLANK, media_type="image/png", headers=caching)
    image = await _image(centre, tile)
    if image is None and look.blank:
        image = tiles.BLANK
    if image is None:
        return Response(status_code=204, headers=caching)
    kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
    return Response(image, media_type=f"image/{kind}", headers=caching)


async def _found(centre: Centre, look: Look, place: Place, mercator: bool) -> Tile:
    """What is asked for, if there is such a layer and such a tile."""
    products = [await centre.lookups.remembered(name) for name in (place.product, look.second) if name]
    for product in products:
        if product.withdrawn is not None:
            await asyncio.to_thread(looked_at, product)
    mask = await centre.lookups.soon(centre.lookups.mask, products[0], look.mask) if look.mask else ""
    layer = tiles.LAYERS.get(place.layer)
    offered = layer is not None and layer.pair == (len(products) > 1) and (place.layer == "reference") == bool(mask)
    last = tiles.MERCATOR_LAST if mercator else tiles.LAST
    inside = 0 <= place.z <= last and 0 <= place.x < FURTHEST and 0 <= place.y < FURTHEST
    if not offered or not inside:
        raise HTTPException(404, f"no layer {place.layer}, or no such tile")
    try:
        files = tiles.endings(place.layer, look.style)
    except LookupError as fault:
        raise HTTPException(404, f"no layer {fault.args[0]}") from fault
    except ValueError as fault:
        raise HTTPException(422, str(fault)) from fault
    return Tile(place, look.style, mercator, tuple(products), mask, files)


async def _image(centre: Centre, tile: Tile) -> bytes | None:
    """The image of a tile, made in the threads that its layer needs; a damaged product opens its anomaly."""
    settings = centre.settings
    roots = [settings.masks / tile.mask] if tile.mask else [settings.archive / one.path for one in tile.products]
    threads = centre.decoding if tile.place.layer == "toa" else centre.drawing
    if tile.place.layer == "age":
        draw = await _age(centre, tile)
    elif tile.place.layer == "toa":
        draw = await _toa(centre, tile)
    else:
        draw = _rasters(roots, tile)
    try:
        return await within(threads, draw)
    except (StateError, StorageError) as fault:
        raise HTTPException(500, str(fault)) from fault
    except (ProductError, L1CError) as fault:
        await within(centre.drawing, centre.anomalies.note, roots[0], fault)
        raise HTTPException(500, str(fault)) from fault


async def _age(centre: Centre, tile: Tile) -> Draw:
    """Draws how old the composite was that the product's date was compared with."""
    name, place = tile.products[0].identifier, tile.place
    made = await centre.lookups.soon(centre.lookups.provenance, name)
    state = made.state
    if tile.mercator or state is None:
        raise HTTPException(404, f"{name}: the state that entered its date is not kept here")
    return lambda: tiles.age(*provenance.days(state), made.day, place.z, place.x, place.y, tile.style)


async def _toa(centre: Centre, tile: Tile) -> Draw:
    """Draws the Level-1C that the product was made from."""
    if tile.mercator:
        raise HTTPException(404, "the Level-1C is not drawn in Web Mercator")
    name, place = tile.products[0].identifier, tile.place
    made = await centre.lookups.soon(centre.lookups.provenance, name)
    if not made.level1c:
        words = f"{name}: the Level-1C of its date is not kept here: {', '.join(made.gone)}"
        raise HTTPException(404, words.rstrip(": "))
    return lambda: tiles.toa(made.level1c, made.tile, place.z, place.x, place.y, tile.style)


def _rasters(roots: list[Path], tile: Tile) -> Draw:
    """Draws the rasters of one product or two, or a kept mask."""
    for root in roots:
        if any(find(root, ending) is None for ending in tile.files):
            words = f"{root.name} has no {tile.place.layer}: one of {', '.join(tile.files)} is missing"
            raise HTTPException(404, words)
    layer, z, x, y = tile.place.layer, tile.place.z, tile.place.x, tile.place.y
    if tile.mercator:
        return lambda: tiles.mercator(roots[0], layer, z, x, y, tile.style)
    return lambda: tiles.tile(roots[0], layer, z, x, y, tile.style, *roots[1:])


def _said(words: str) -> str:
    """Words as an image of a tile's size."""
    lines = "".join(f'<tspan x="24" dy="22">{escape(line)}</tspan>' for line in textwrap.wrap(words, 52))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{tiles.SIZE}" height="{tiles.SIZE}">'
        f'<text y="24" font-family="sans-serif" font-size="16" fill="#B3261E">{lines}</text></svg>'
    )
