"""The layers that can be asked for, and what each is drawn from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dashboard.product_folder import find
from dashboard.rasters import AOT_UNIT, WATER_VAPOUR_UNIT
from dashboard.theme import AGE_RAMP, AOT_RAMP, GREY_RAMP, MASK_TITLES, MASKS, NDVI_RAMP, WATER_VAPOUR_RAMP
from dashboard.tiles import colour
from dashboard.tiles.colour import AGE_TOP, AOT_TOP, WATER_VAPOUR_TOP, Draw, bits, ramp, scaled, three_bands
from dashboard.tiles.styles import Style
from processing.bands import DISTRIBUTED


@dataclass(frozen=True)
class Layer:
    """One way to look at a product.

    Attributes
    ----------
    title : str
    files : tuple of str
        Endings of the rasters in the product's folder, where the reader names no bands.
    draw : Draw
    mask : bool
        Masks are never averaged.
    band : int
        Of each of the files.
    choices : int
        How many bands the reader may name; 0: none.
    fill : int
        Value outside of a raster that holds no reflectance.
    pair : bool
        Compares two products: `draw` gets the planes of the one, then those of the other.
    """

    title: str
    files: tuple[str, ...]
    draw: Draw
    mask: bool = False
    band: int = 1
    choices: int = 0
    fill: int = 0
    pair: bool = False


def _toa(counts: NDArray[Any], style: Style) -> NDArray[np.uint8]:
    """As the same bands of the product are drawn."""
    name = "band" if len(counts) == 1 else "rgb" if style.bands else "natural"
    return LAYERS[name].draw(counts, style)


#: The rasters of NDVI.
NDVI = ("SRE_B8.tif", "SRE_B4.tif")

#: What can be asked for. Masks are those of 10 m; a product that lacks a file doesn't offer the layer.
LAYERS: dict[str, Layer] = {
    "natural": Layer("Natural colour", ("SRE_B4.tif", "SRE_B3.tif", "SRE_B2.tif"), three_bands(0.25, 0.25, 0.25)),
    "false": Layer("Infrared false colour", ("SRE_B8.tif", "SRE_B4.tif", "SRE_B3.tif"), three_bands(0.5, 0.25, 0.25)),
    "natural-flat": Layer(
        "Natural colour, slope corrected", ("FRE_B4.tif", "FRE_B3.tif", "FRE_B2.tif"), three_bands(0.25, 0.25, 0.25)
    ),
    "rgb": Layer("Three bands", ("SRE_B11.tif", "SRE_B8.tif", "SRE_B4.tif"), three_bands(0.4, 0.5, 0.25), choices=3),
    "band": Layer("One band", ("SRE_B4.tif",), scaled(GREY_RAMP, 0, 0.4), choices=1),
    "ndvi": Layer("NDVI", NDVI, scaled(NDVI_RAMP, -0.2, 1), choices=2),
    "aot": Layer("Aerosol optical thickness", ("ATB_R1.tif",), ramp(AOT_RAMP, AOT_UNIT, AOT_TOP), band=2),
    "water-vapour": Layer(
        "Water vapour", ("ATB_R1.tif",), ramp(WATER_VAPOUR_RAMP, WATER_VAPOUR_UNIT, WATER_VAPOUR_TOP)
    ),
    **{kind: Layer(title, (f"MASKS/{kind}_R1.tif",), bits(kind), mask=True) for kind, title in MASK_TITLES.items()},
    # Of the Level-1C that the product was made from: `toa`.
    "toa": Layer("TOA (L1C)", (), _toa),
    # Of the recurrent state that the date was compared with: `age`.
    "age": Layer("Age of the composite", (), ramp(AGE_RAMP, 1, AGE_TOP)),
    # Not of the product's folder: one raster beside it, which takes the folder's place.
    "reference": Layer("Kept mask", ("",), colour.reference, mask=True, fill=255),
    "difference": Layer("Difference", ("SRE_B4.tif",), colour.difference, choices=1, pair=True),
    "agreement": Layer("Masks agreed or not", ("MASKS/CLM_R1.tif",), colour.agreement, mask=True, choices=1, pair=True),
}

_REFLECTANCE = re.compile(rf"(SRE|FRE)_({'|'.join(DISTRIBUTED)})")


def endings(name: str, style: Style) -> tuple[str, ...]:
    """Endings of the rasters that a layer in some style is drawn from; of ``toa`` the bands.

    Raises
    ------
    LookupError
        If there is no such layer, or it can't show the bands.
    ValueError
        If the scale doesn't fit.
    """
    layer = LAYERS[name]
    files = layer.files
    if name == "toa":
        files = style.bands or ("B4", "B3", "B2")
        if len(files) not in (1, 3) or not set(files) <= set(DISTRIBUTED):
            raise LookupError(f"{name} of {', '.join(files)}")
    elif style.bands:
        if name == "difference" and style.bands == ("ndvi",):
            files = NDVI
        elif name == "agreement" and style.bands[0] in MASKS:
            files = LAYERS[style.bands[0]].files
        elif len(style.bands) == layer.choices and not layer.mask and all(map(_REFLECTANCE.fullmatch, style.bands)):
            files = tuple(f"{band}.tif" for band in style.bands)
        else:
            raise LookupError(f"{name} of {', '.join(style.bands)}")
    if style.scale:
        pairs = [style.scale[i : i + 2] for i in range(0, len(style.scale), 2)]
        if not all(len(pair) == 2 and np.isfinite(pair).all() and pair[0] < pair[1] for pair in pairs):
            raise ValueError("a scale is a low and a higher value for each band")
        if len(pairs) > 1 and len(pairs) != len(files):
            raise ValueError(f"{len(pairs)} scales for {len(files)} bands")
    return files


def offered(folder: Path) -> list[str]:
    """Layers that the product in `folder` offers by itself."""
    return [
        name
        for name, layer in LAYERS.items()
        if not layer.pair and layer.files and all(ending and find(folder, ending) for ending in layer.files)
    ]
