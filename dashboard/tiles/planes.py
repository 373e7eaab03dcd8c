"""Pixels of rasters over one tile, as they were read last: layers share bands, and another stretch reads nothing."""

from __future__ import annotations

import threading
from typing import Any

from cachetools import LRUCache
from numpy.typing import NDArray

#: Planes that are kept. [bytes]
LIMIT = 64 * 2**20


def _size(plane: NDArray[Any]) -> int:
    return plane.nbytes


class Planes:
    """For all threads; what was used longest ago goes first.

    Parameters
    ----------
    limit : int
        Of all planes together. [bytes]
    """

    def __init__(self, limit: int) -> None:
        self._planes: LRUCache[tuple[Any, ...], NDArray[Any]] = LRUCache(limit, getsizeof=_size)
        self._lock = threading.Lock()

    def get(self, key: tuple[Any, ...]) -> NDArray[Any] | None:
        """What was put under a key, not to be written to; None if it is gone."""
        with self._lock:
            return self._planes.get(key)

    def put(self, key: tuple[Any, ...], plane: NDArray[Any]) -> None:
        """Keep a plane, which is not to be written to from now on; one larger than the limit is not kept."""
        plane.flags.writeable = False
        with self._lock:
            if plane.nbytes <= self._planes.maxsize:
                self._planes[key] = plane


#: Of the rasters of products, and of their Level-1C.
planes = Planes(LIMIT)
