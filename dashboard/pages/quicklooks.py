"""Images of a product as plain HTML: reflectance beside reflectance under a mask, made of the tiles of its own grid.

What the images can show, in which words and with which legend, is the same on all pages that show them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path

from dashboard import queries, theme, tiles
from dashboard.address import address
from dashboard.choice import select
from processing.errors import ProductError

#: Layers that can lie under the masks, or alone on the left.
IMAGES = ("natural", "false", "natural-flat", "aot", "water-vapour")
NO_MASK = "none"
#: The longer side of an image has at least so many pixels, where the product has.
SIDE = 500


@dataclass(frozen=True)
class Extent:
    """Corner and size of a product on the ground, in its UTM projection. [m]"""

    west: float
    north: float
    width: float
    height: float


@dataclass(frozen=True)
class Look:
    """What a product's two images show.

    Attributes
    ----------
    left, right : str
        Layers of `IMAGES`.
    mask : str
        Over the right one; `NO_MASK`: none.
    bits : int
        Of the mask.
    opacity : float
        Of the mask, 0 to 1.
    """

    left: str
    right: str
    mask: str
    bits: int
    opacity: float


def own_bits(mask: str) -> int:
    """The bits of a mask that are drawn until somebody chooses."""
    return sum(int(style.bit) for style in theme.MASKS.get(mask, ()) if style.shown)


def opened(folder: Path) -> tuple[Extent, list[str]]:
    """Where a product lies on the ground, and the layers that it has.

    Raises
    ------
    ProductError
        If there is no image of it, or it can't be read.
    """
    offered = tiles.offered(folder)
    if not any(name in IMAGES for name in offered):
        raise ProductError(folder, "no image of this product is on disk")
    return Extent(*tiles.extent(folder, offered[0])), offered


def fault(error: ProductError) -> str:
    """That a product can't be shown, as HTML."""
    colour = theme.colour("failed")
    return f'<div class="note" style="--c:{colour}">The product can\'t be shown: {escape(str(error))}</div>'


def _titles(layers: Iterable[str]) -> dict[str, str]:
    """Titles of layers by their name."""
    return {name: tiles.LAYERS[name].title if name != NO_MASK else "No mask" for name in layers}


def choices(look: Look, offered: Iterable[str], neutral: Look) -> str:
    """The choice of layers and mask, as HTML for a form; `neutral`: what needn't be said."""
    layers = set(offered)
    images = _titles(name for name in IMAGES if name in layers)
    masks = _titles([*(name for name in theme.MASKS if name in layers), NO_MASK])
    return (
        select("left", "Left: image", look.left, images, neutral.left)
        + select("right", "Right: image", look.right, images, neutral.right)
        + select("mask", "Right: mask over it", look.mask, masks, neutral.mask)
    )


def opacity(look: Look, neutral: Look) -> str:
    """The choice of the mask's opacity, as HTML for a form."""
    return (
        '<label>Mask opacity<input type="range" name="opacity" min="0" max="1" step="0.05" '
        f'value="{look.opacity:g}" data-neutral="{neutral.opacity:g}" data-variable="--opacity"></label>'
    )


def switches(look: Look) -> str:
    """The legend of the mask, whose entries turn its bits on and off, as HTML for a form."""
    buttons = []
    for style in theme.MASKS.get(look.mask, ()):
        on = bool(look.bits & style.bit)
        buttons.append(
            f'<button id="bit-{style.bit:d}" name="bits" value="{look.mask}.{look.bits ^ int(style.bit)}" '
            f'data-choice="bit:{style.bit:d}" aria-pressed="{"true" if on else "false"}">'
            f'<i style="background:{style.colour}"></i>{escape(style.words)}</button>'
        )
    return "".join(buttons)


def pair(folder: queries.Folder, extent: Extent, look: Look, legend: str) -> str:
    """The two images with their legends, as HTML. A click leads to the same in Compare, where it was clicked."""
    masked = look.mask != NO_MASK and bool(look.bits)
    name = folder.identifier
    compare = address(
        "compare",
        **{"left": name, "left.layer": look.left, "right": name, "right.layer": look.right},
        **({"right.mask": look.mask, "right.bits": look.bits, "opacity": f"{look.opacity:g}"} if masked else {}),
    )
    left = _image(folder, extent, [(look.left, None)])
    right = _image(folder, extent, [(look.right, None), *([(look.mask, look.bits)] if masked else [])])
    words = tiles.LAYERS[look.left].title, tiles.LAYERS[look.right].title
    under = f"{words[1]} under {tiles.LAYERS[look.mask].title}" if masked else words[1]
    return (
        f'<div class="looks" style="--opacity:{look.opacity:g}">'
        f"{_figure(left, words[0], compare, extent, image_legend(look.left))}"
        f"{_figure(right, under, compare, extent, legend + image_legend(look.right))}</div>"
    )


def _figure(image: str, words: str, there: str, extent: Extent, legend: str) -> str:
    ground = f"{extent.west:.0f},{extent.north:.0f},{extent.width:.0f},{extent.height:.0f}"
    return (
        f'<figure><a class="look" href="{escape(there)}" data-ground="{ground}" '
        f'style="aspect-ratio:{extent.width:g}/{extent.height:g}" title="To its pixels, in Compare" '
        f'aria-label="{escape(words)}: to its pixels, in Compare">{image}</a><figcaption>{legend}</figcaption></figure>'
    )


def _image(folder: queries.Folder, extent: Extent, layers: Iterable[tuple[str, int | None]]) -> str:
    """Layers upon each other, each of the tiles of the first level that is fine enough, as HTML."""
    longer = max(extent.width, extent.height)
    level = next((z for z in range(tiles.NATIVE) if longer / tiles.RESOLUTION0 * 2**z >= SIDE), tiles.NATIVE)
    width, height = (side / tiles.RESOLUTION0 * 2**level for side in (extent.width, extent.height))
    made = []
    for layer, bits in layers:
        mask = "" if bits is None else ' class="mask"'
        for y in range(-(-int(height) // tiles.SIZE)):
            for x in range(-(-int(width) // tiles.SIZE)):
                # A pixel larger than they are: tiles that are scaled leave no gap between them.
                place = (
                    f"left:{100 * tiles.SIZE * x / width:.4f}%;top:{100 * tiles.SIZE * y / height:.4f}%;"
                    f"width:calc({100 * tiles.SIZE / width:.4f}% + 1px);"
                    f"height:calc({100 * tiles.SIZE / height:.4f}% + 1px)"
                )
                source = escape(tile_url(folder, layer, bits).format(Z=level, X=x, Y=y))
                made.append(f'<img{mask} src="{source}" alt="" style="{place}">')
    return "".join(made)


def tile_url(folder: queries.Folder, layer: str, bits: int | None = None) -> str:
    """Address of a layer's tiles, to be filled with {Z}, {X} and {Y}.

    It holds the product's digest, so that it may be kept for ever. There is always an image: one that says what is
    wrong, as Bokeh may ask for one that fails again every millisecond, without end.
    """
    style = "" if bits is None else f"&bits={bits}"
    return f"/tiles/{folder.identifier}/{layer}/{{Z}}/{{X}}/{{Y}}?v={folder.manifest_sha[:12]}&blank=1{style}"


def image_legend(layer: str) -> str:
    """The scale of an image in words, or as a ramp."""
    ramps = {
        "aot": (theme.AOT_RAMP, "0", f"{tiles.AOT_TOP:g} and more", "AOT at 550 nm [-]"),
        "water-vapour": (theme.WATER_VAPOUR_RAMP, "0", f"{tiles.WATER_VAPOUR_TOP:g} and more", "water vapour [g cm⁻²]"),
    }
    if layer in ramps:
        colours, low, high, quantity = ramps[layer]
        return (
            f'<div class="legend"><span>{quantity}: {low} <i style="width:140px;background:linear-gradient(90deg, '
            f'{", ".join(colours)})"></i>{high}</span></div>'
        )
    words = {
        "natural": "B4, B3, B2 of SRE, reflectance 0 to 0.25",
        "natural-flat": "B4, B3, B2 of FRE, reflectance 0 to 0.25",
        "false": "B8 (0 to 0.5), B4, B3 (0 to 0.25) of SRE",
    }
    return f'<div class="soft">{words[layer]}</div>'
