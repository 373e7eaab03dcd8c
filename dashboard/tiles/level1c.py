"""The Level-1C that a product was made from, on the product's grid."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dashboard.rasters import NO_DATA
from dashboard.tiles.images import encoded
from dashboard.tiles.lattice import NATIVE, RESOLUTION0, SIZE
from dashboard.tiles.layers import LAYERS, endings
from dashboard.tiles.planes import planes
from dashboard.tiles.styles import DEFAULT, Style
from processing import bounded, known
from processing.bands import BANDS
from processing.errors import L1CError, OverLimit
from processing.l1c import Granule, contents, merge

#: What opening a package may take: its metadata and the headers of its images. [bytes], [s]
READ_MEMORY, READ_SECONDS = 2_000_000_000, 60.0


def toa(packages: tuple[Path, ...], mgrs: str, z: int, x: int, y: int, style: Style = DEFAULT) -> bytes | None:
    """The Level-1C that a product was made from, top-of-atmosphere reflectance, on the product's grid.

    Parameters
    ----------
    packages : tuple of Path
        Folder or zip; of the halves of a pass each.
    mgrs : str
        The tile.
    z, x, y, style
        As of `tile`. Images of some megapixels are decoded: not for many at once.

    Returns
    -------
    bytes or None
        As of `tile`.

    Raises
    ------
    L1CError
        If a package is missing, damaged or not of this tile.
    """
    made_from = packages, tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in packages), mgrs
    grid, side = _granule(*made_from).grid, SIZE * RESOLUTION0 / 2**z
    if x * side >= grid.width or y * side >= grid.height:
        return None
    planes = [_plane(made_from, band, z, x, y) for band in endings("toa", style)]
    return encoded(LAYERS["toa"].draw(np.stack(planes), style), style)


@lru_cache(maxsize=8)
def _granule(packages: tuple[Path, ...], changed: tuple[int, ...], mgrs: str) -> Granule:
    """What some packages, as they were last `changed`, hold of a tile."""
    try:
        found = [
            bounded.run(contents, path, known.current(), memory=READ_MEMORY, seconds=READ_SECONDS) for path in packages
        ]
    except OverLimit as error:
        raise L1CError(packages[0], str(error)) from error
    halves = [granule for held in found for granule in held.granules if granule.tile == mgrs]
    if not halves:
        raise L1CError(packages[0], f"holds no tile {mgrs}")
    return merge(halves)


def _plane(made_from: tuple[tuple[Path, ...], tuple[int, ...], str], band: str, z: int, x: int, y: int) -> NDArray[Any]:
    """One band over one tile as a product would have it, (SIZE, SIZE) int16.

    Four tiles of a level are read at once: of 10 m they share one tile of the codestream.
    """
    if z > NATIVE:
        times = 2 ** (z - NATIVE)
        plane = _plane(made_from, band, NATIVE, x // times, y // times)
        part = SIZE // times
        top, left = y % times * part, x % times * part
        return plane[top : top + part, left : left + part].repeat(times, 0).repeat(times, 1)
    factor = RESOLUTION0 / 2**z / BANDS[band].resolution
    spacing, times = max(1, int(factor)), max(1, int(1 / factor))
    side = SIZE // times
    key = (made_from, band, z)
    known = planes.get((*key, x, y))
    if known is not None:
        return known
    row, col = y // 2 * 2, x // 2 * 2
    found = _granule(*made_from).toa(
        band, spacing, slice(row * side, (row + 2) * side), slice(col * side, (col + 2) * side)
    )
    found = np.where(np.isnan(found), NO_DATA, np.clip(np.rint(found * 10000), NO_DATA + 1, 2**15 - 1))
    group = np.full((2 * SIZE, 2 * SIZE), NO_DATA, np.int16)
    enlarged = found.astype(np.int16).repeat(times, 0).repeat(times, 1)
    group[: enlarged.shape[0], : enlarged.shape[1]] = enlarged
    for down, across in np.ndindex(2, 2):
        plane = group[down * SIZE : (down + 1) * SIZE, across * SIZE : (across + 1) * SIZE]
        planes.put((*key, col + across, row + down), plane.copy())
    return group[(y - row) * SIZE :, (x - col) * SIZE :][:SIZE, :SIZE]
