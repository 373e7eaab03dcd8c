"""The centre that requests are for: its store and settings, and what is kept from one request to the next."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from cachetools import TTLCache
from fastapi import Depends, HTTPException, Request

from dashboard import provenance, queries
from dashboard.api.downloads import Downloads
from dashboard.dates import Coverages
from dashboard.provenance import Provenance
from dashboard.snapshot import Snapshots
from processing.errors import InputError, L1CError
from processing.settings import Settings
from processing.store import events

if TYPE_CHECKING:
    from processing.store import Store

#: Tiles made at once: reading and encoding run outside of the interpreter's lock.
THREADS = min(8, 2 * (os.cpu_count() or 1))
#: Searches answered at once. More of them wait for each other at the interpreter's lock, and all are late.
SEARCHES = 2
#: Products read at once for a series.
SERIES_THREADS = 4
#: How long a product's folder is believed without asking the store again. [s]
REMEMBERED = 10.0
#: How often the same fault of the same product counts as a case of its anomaly. [s]
NOTED = 600.0

T = TypeVar("T")


class Anomalies:
    """Opens or counts the anomaly of a damaged product or Level-1C; the same fault again counts only after a while."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._once = lru_cache(maxsize=1024)(self._write)

    def note(self, path: Path, fault: InputError) -> None:
        """That something at `path` can't be read."""
        what = "Level-1C" if isinstance(fault, L1CError) else "product"
        self._once(path, what, str(fault), int(time.monotonic() / NOTED))

    def _write(self, path: Path, what: str, fault: str, period: int) -> None:
        with self._store.write() as session:
            events.note_anomaly(session, datetime.now(UTC), InputError.reason_class, f"damaged {what}", fault)


async def within(threads: ThreadPoolExecutor, make: Callable[..., T], *arguments: object) -> T:
    """What a function gives in one of some threads; what is hidden from who asks is hidden from it there too."""
    return await asyncio.get_running_loop().run_in_executor(threads, copy_context().run, make, *arguments)


class Lookups:
    """Finds in the store what addresses name; a thread of its own does it for those that may not wait.

    Parameters
    ----------
    store : Store
    settings : Settings
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store, self._settings = store, settings
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lookups")
        self._products: TTLCache[str, queries.Folder] = TTLCache(4096, REMEMBERED)
        self._lock = threading.Lock()
        #: Path of a kept mask of a product's image; a mask is never written again.
        self.mask = lru_cache(maxsize=4096)(self._mask)

    def product(self, identifier: str) -> queries.Folder:
        """Where a product lies, as the store has it.

        Raises
        ------
        HTTPException
            404 if the store doesn't know it.
        """
        with self._store.read() as session:
            found = queries.folder(session, identifier)
        if found is None:
            raise HTTPException(404, f"no product {identifier}")
        with self._lock:
            self._products[identifier] = found
        return found

    async def remembered(self, identifier: str) -> queries.Folder:
        """As `product`, without the store if it was asked a moment ago: a thread would wait for its turn."""
        with self._lock:
            found = self._products.get(identifier)
        return found if found is not None else await self.soon(self.product, identifier)

    def provenance(self, identifier: str) -> Provenance:
        """What is kept of what a product was made from."""
        return provenance.of(self._store, self._settings, identifier)

    def _mask(self, product: queries.Folder, mask: int) -> str:
        with self._store.read() as session:
            path = next((one.path for one in queries.masks(session, product.identifier) if one.id == mask), None)
        if path is None:
            raise HTTPException(404, f"no mask {mask} of {product.identifier}")
        return path

    async def soon(self, look: Callable[..., T], *arguments: object) -> T:
        """What one of the others gives, looked up in the thread."""
        return await within(self._thread, look, *arguments)


class Centre:
    """One centre as requests see it.

    Parameters
    ----------
    settings : Settings
    store : Store

    Attributes
    ----------
    snapshots : Snapshots
    coverages : Coverages
    lookups : Lookups
    anomalies : Anomalies
    downloads : Downloads
    drawing : ThreadPoolExecutor
        Threads that make tiles.
    decoding : ThreadPoolExecutor
        The one that decodes Level-1C. JPEG 2000 takes long: one tile at a time, and the other layers don't wait for it.
    series : ThreadPoolExecutor
        Threads that read the dates of a series.
    searching : ThreadPoolExecutor
        Threads that answer searches.
    explaining : Lock
        Held by whoever makes the tests of a tile again.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings = settings
        self.store = store
        self.snapshots = Snapshots(store)
        self.coverages = Coverages(store)
        self.lookups = Lookups(store, settings)
        self.anomalies = Anomalies(store)
        self.downloads = Downloads(settings, store)
        self.drawing = ThreadPoolExecutor(THREADS, thread_name_prefix="tiles")
        self.decoding = ThreadPoolExecutor(1, thread_name_prefix="toa")
        self.series = ThreadPoolExecutor(SERIES_THREADS, thread_name_prefix="pixels")
        self.searching = ThreadPoolExecutor(SEARCHES, thread_name_prefix="search")
        self.explaining = threading.Lock()
        self._found: TTLCache[Hashable, Any] = TTLCache(1024, REMEMBERED)
        self._lock = threading.Lock()

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What was found a moment ago, or is found now."""
        with self._lock:
            if key in self._found:
                found: T = self._found[key]
                return found
        found = make()
        with self._lock:
            self._found[key] = found
        return found

    def folder(self, identifier: str) -> Path:
        """Folder of a product that the store knows; else as `Lookups.product`."""
        return self.settings.archive / self.lookups.product(identifier).path


async def _of(request: Request) -> Centre:  # a plain function would wait for a thread
    centre: Centre = request.app.state.centre
    return centre


#: The centre, as a parameter of a route.
Here = Annotated[Centre, Depends(_of)]
