"""The lattice of a product's own grid: levels and tiles, the same for all products of a tile.

Level `NATIVE` shows 10 m pixels; each level below halves the resolution, and the levels above show the same pixels
larger. Tile (0, 0) begins at the north-west corner of the product at every level.
"""

from __future__ import annotations

#: Pixels of a tile's side.
SIZE = 512
#: Level of 10 m pixels, and the last one that is served.
NATIVE, LAST = 5, 9
#: Ground size of a pixel of level 0. [m]
RESOLUTION0 = 10.0 * 2**NATIVE
