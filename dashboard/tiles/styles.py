"""How a reader wants a layer drawn."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Pattern(StrEnum):
    """How the set pixels of a mask are drawn."""

    FILL = "fill"
    OUTLINE = "outline"
    HATCH = "hatch"


@dataclass(frozen=True)
class Style:
    """How a reader wants a layer drawn.

    Attributes
    ----------
    bits : int
        Bits of a mask that are drawn.
    pattern : Pattern
        Of a mask.
    bands : tuple of str
        Keys of rasters, ``SRE_B4`` (of ``difference`` also ``ndvi``, of ``agreement`` a mask, of ``toa`` ``B4``);
        empty: the layer's own.
    scale : tuple of float
        Lowest and highest value of each band, or of all of them; empty: the layer's own. [-]
    lossy : bool
        Images without gaps may come as JPEG, a fifth of the size: for looking at no more than their own scale.
    """

    bits: int = 255
    pattern: Pattern = Pattern.FILL
    bands: tuple[str, ...] = ()
    scale: tuple[float, ...] = ()
    lossy: bool = False


#: The layer as it is.
DEFAULT = Style()
