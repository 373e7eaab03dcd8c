"""Image tiles of products: layers on a product's own grid or in Web Mercator, as PNG or JPEG.

GDAL and the encoder release the interpreter's lock: tiles are made side by side in threads, each with its own few open
rasters. What a layer is drawn from and how is in ``layers``, ``colour`` and ``styles``; ``lattice`` says where a tile
lies. ``native`` reads products on their own grid, ``level1c`` what they were made from, ``reprojection`` for Web
Mercator; ``planes`` keeps what they read, ``drawing`` and ``images`` make the picture.
"""

from dashboard.tiles.colour import AGE_TOP, AOT_TOP, DIFFERENCE_TOP, WATER_VAPOUR_TOP
from dashboard.tiles.drawing import RENDERING
from dashboard.tiles.images import BLANK
from dashboard.tiles.lattice import LAST, NATIVE, RESOLUTION0, SIZE
from dashboard.tiles.layers import LAYERS, Layer, endings, offered
from dashboard.tiles.level1c import toa
from dashboard.tiles.native import age, extent, thumbnail, tile
from dashboard.tiles.reprojection import MERCATOR_LAST, mercator
from dashboard.tiles.styles import Pattern, Style

__all__ = [
    "AGE_TOP",
    "AOT_TOP",
    "BLANK",
    "DIFFERENCE_TOP",
    "LAST",
    "LAYERS",
    "MERCATOR_LAST",
    "NATIVE",
    "RENDERING",
    "RESOLUTION0",
    "SIZE",
    "WATER_VAPOUR_TOP",
    "Layer",
    "Pattern",
    "Style",
    "age",
    "endings",
    "extent",
    "mercator",
    "offered",
    "thumbnail",
    "tile",
    "toa",
]
