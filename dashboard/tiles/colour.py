"""From counts of rasters to colours: stretches, ramps, masks in their bits' colours, two products compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dashboard.rasters import NO_DATA
from dashboard.theme import AGREEMENT, DIVERGING, MASKS, REFERENCE, rgb
from dashboard.tiles.styles import Pattern, Style
from processing.kernels import kernel
from processing.validation.reference_masks import VALUES

#: Ends of the ramps: AOT [-], water vapour [g cm-2], reflectance difference [-].
AOT_TOP, WATER_VAPOUR_TOP, DIFFERENCE_TOP = 0.8, 5.0, 0.05
#: Age of the composite at the end of its ramp. [days]
AGE_TOP = 60

#: Takes (plane, row, col) counts and the reader's style, gives (row, col, 4) uint8.
Draw = Callable[[NDArray[Any], Style], NDArray[np.uint8]]


@lru_cache(maxsize=24)
def _stretch(low: float, high: float, channel: int) -> NDArray[np.uint32]:
    """RGBA of every count of a reflectance (as its 16 bits without sign), to be combined with the others' by AND.

    The channel is 0 at `low`, 255 at `high` [-]; the two others are 255; opaque where there is data.
    """
    counts = np.arange(2**16, dtype=np.uint16).view(np.int16)
    place = (counts / np.float64(10000) - low) / (high - low)
    table = np.full((2**16, 4), 255, np.uint8)
    table[:, channel] = 255 * np.clip(place, 0, 1)
    table[counts <= NO_DATA, 3] = 0
    return table.view(np.uint32)[:, 0]


@kernel("void(uint16[:, :, ::1], uint32[::1], uint32[::1], uint32[::1], uint32[:, ::1])")
def _combine(counts: Any, red: Any, green: Any, blue: Any, image: Any) -> None:
    for row in range(image.shape[0]):
        for col in range(image.shape[1]):
            image[row, col] = red[counts[0, row, col]] & green[counts[1, row, col]] & blue[counts[2, row, col]]


def three_bands(*tops: float) -> Draw:
    """Three reflectances as red, green, blue; each from 0 to its top [-]; transparent where a band has no data."""
    own = tuple(value for top in tops for value in (0.0, top))

    def draw(counts: NDArray[Any], style: Style) -> NDArray[np.uint8]:
        scale = style.scale if len(style.scale) == 6 else 3 * style.scale or own
        red, green, blue = (_stretch(*scale[2 * channel : 2 * channel + 2], channel) for channel in range(3))
        image = np.empty(counts.shape[1:], np.uint32)
        _combine(counts.view(np.uint16), red, green, blue, image)
        return _rgba(image)

    return draw


def _rgba(pixels: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Pixels of four bytes (row, col) as (row, col, 4)."""
    return pixels[..., None].view(np.uint8)


def table_of(colours: Sequence[str], places: NDArray[Any]) -> NDArray[np.uint8]:
    """Opaque colours at `places` 0..1 of a ramp, (place, 4)."""
    stops = np.array([rgb(c) for c in colours], np.float32)
    table = np.full((len(places), 4), 255, np.uint8)
    for channel in range(3):
        table[:, channel] = np.interp(places * (len(stops) - 1), np.arange(len(stops)), stops[:, channel])
    return table


def _value(counts: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """One reflectance [-], or of two (near infrared, red) their NDVI [-]; and where there is data."""
    observed: NDArray[np.bool_] = np.asarray((counts > NO_DATA).all(axis=0))
    values = counts.astype(np.float32)
    if len(counts) == 1:
        return values[0] / 10000, observed
    total = values[0] + values[1]
    observed = observed & (total > 0)
    return (values[0] - values[1]) / np.where(observed, total, 1), observed


def scaled(colours: Sequence[str], low: float, high: float) -> Draw:
    """A reflectance, or the NDVI of two, along a ramp of colours."""
    table = table_of(colours, np.linspace(0, 1, 256))

    def draw(counts: NDArray[Any], style: Style) -> NDArray[np.uint8]:
        first, last = style.scale[:2] or (low, high)
        value, observed = _value(counts)
        place = np.clip((value - first) / (last - first), 0, 1)
        return np.where(observed[..., None], table[(255 * place).astype(np.uint8)], 0).astype(np.uint8)

    return draw


def ramp(colours: Sequence[str], unit: float, top: float) -> Draw:
    """Counts (`unit` of them make 1; 0 is no data) from 0 to `top` along a ramp of colours."""

    def draw(counts: NDArray[Any], style: Style) -> NDArray[np.uint8]:
        low, high = style.scale[:2] or (0.0, top)
        table = table_of(colours, np.clip((np.arange(256) / unit - low) / (high - low), 0, 1))
        table[0] = 0
        return _rgba(np.take(table.view(np.uint32)[:, 0], counts[0], mode="clip"))

    return draw


def bits(kind: str) -> Draw:
    """The chosen bits of a mask, each in its colour; where several are set the first of the theme's order wins."""

    def draw(counts: NDArray[Any], style: Style) -> NDArray[np.uint8]:
        values = np.arange(256)
        table = np.zeros((256, 4), np.uint8)
        for bit in reversed(MASKS[kind]):
            if bit.bit & style.bits:
                table[values & bit.bit > 0] = (*rgb(bit.colour), 255)
        return _patterned(_rgba(np.take(table.view(np.uint32)[:, 0], counts[0])), style.pattern)

    return draw


def reference(counts: NDArray[Any], style: Style) -> NDArray[np.uint8]:
    """The chosen kinds of a mask that was kept to judge products by."""
    table = np.zeros((256, 4), np.uint8)
    for bit, kind in zip(REFERENCE, ("cloud", "shadow", "unobserved"), strict=True):
        if bit.bit & style.bits:
            table[VALUES[kind]] = (*rgb(bit.colour), 255)
    return _patterned(_rgba(np.take(table.view(np.uint32)[:, 0], counts[0])), style.pattern)


def _patterned(image: NDArray[np.uint8], pattern: Pattern) -> NDArray[np.uint8]:
    """Keeps of the coloured pixels what the pattern shows. Pixels on the image's border count as inside."""
    if pattern is Pattern.OUTLINE:
        around = np.pad(image, ((1, 1), (1, 1), (0, 0)), "edge")
        same = np.ones(image.shape[:2], bool)
        for row, col in ((0, 1), (2, 1), (1, 0), (1, 2)):
            same &= (around[row : row + len(image), col : col + image.shape[1]] == image).all(axis=2)
        image[same] = 0
    elif pattern is Pattern.HATCH:
        rows, cols = np.indices(image.shape[:2])
        image[(rows + cols) % 8 >= 3] = 0
    return image


def difference(counts: NDArray[Any], style: Style) -> NDArray[np.uint8]:
    """Second minus first product, of a reflectance or of the NDVI; blue where it is less, red where it is more."""
    half = len(counts) // 2
    (before, seen), (after, too) = _value(counts[:half]), _value(counts[half:])
    width = style.scale[-1] if style.scale else DIFFERENCE_TOP
    place = np.clip((after - before) / (2 * width) + 0.5, 0, 1)
    table = table_of(DIVERGING, np.linspace(0, 1, 255))
    return np.where((seen & too)[..., None], table[np.rint(254 * place).astype(np.uint8)], 0).astype(np.uint8)


def agreement(counts: NDArray[Any], style: Style) -> NDArray[np.uint8]:
    """Where the chosen bits of a mask are set in both products, only in the first, only in the second."""
    first, second = (plane.astype(np.uint8) & style.bits > 0 for plane in counts)
    table = np.zeros((4, 4), np.uint8)
    for place, name in ((1, "first"), (2, "second"), (3, "both")):
        table[place] = (*rgb(AGREEMENT[name]), 255)
    return _patterned(table[first + 2 * second], style.pattern)
