"""What eodag finds at any of its providers; the packages are brought by our own downloader.

eodag pages by number and tells neither of sums nor of what was taken back: what it finds are candidates.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from processing.errors import Unreachable, WrongSetting
from processing.sources.offers import Listing, Offer, Withdrawn, gathered, in_order
from processing.sources.reading import Reader, safe_name, tile_of, written

#: eodag searches by the time of sensing: what is published later than so long after it is not found.
LATE = timedelta(days=30)
COLLECTION = "S2_MSI_L1C"
#: Products of one page.
PAGE = 500


class Eodag:
    """One provider.

    Parameters
    ----------
    provider : str
        eodag's name of it: ``cop_dataspace``, ``geodes``.
    gateway : EODataAccessGateway, optional
        Else one with the user's own configuration.

    Raises
    ------
    WrongSetting
        If eodag is not installed.
    """

    mirror = True
    timeless = False

    def __init__(self, provider: str, gateway: Any = None) -> None:
        self.name, self._provider, self._read = f"eodag-{provider}", provider, Reader(f"eodag-{provider}")
        if gateway is None:
            try:
                gateway = importlib.import_module("eodag").EODataAccessGateway()
            except ImportError:
                raise WrongSetting("eodag is not here: pip install 'muscate[eodag]'") from None
        self._gateway = gateway

    def listing(self, tiles: Iterable[str], first: datetime, end: datetime) -> Listing:
        """Packages of tiles that were published from `first` to before `end`.

        Raises
        ------
        Unreachable
            If the provider can't be searched.
        """

        def inside(found: tuple[Any, str]) -> Offer | None:
            offer = self._offer(*found)
            return offer if first <= offer.published < end else None

        def named(found: tuple[Any, str]) -> tuple[str, str]:
            name = str(found[0].properties.get("id", "")).removesuffix(".SAFE")
            return name, name

        start, stop = written(first - LATE), written(end)
        rows = ((product, tile) for tile in sorted(tiles) for product in self._search(tile, start, stop))
        listing = gathered(rows, inside, named)
        return replace(listing, offers=in_order(listing.offers))

    def modified(self, tiles: Iterable[str], since: datetime) -> Listing:
        """Nothing: what changed is not told."""
        return Listing(())

    def withdrawn(self, since: datetime) -> Iterator[Withdrawn]:
        """Nothing: what was taken back is not told."""
        return iter(())

    def one(self, key: str) -> Offer | None:
        """A package as the provider has it now."""
        tile = tile_of(key)
        given = {"provider": self._provider, "collection": COLLECTION, "id": key}
        found = [product for product in self._asked(given) if product.properties.get("id") == key]
        return self._offer(found[0], tile) if found else None

    def address(self, url: str) -> str:
        """As it is."""
        return url

    def _search(self, tile: str, start: str, end: str) -> list[Any]:
        given = {"provider": self._provider, "collection": COLLECTION, "start": start, "end": end}
        return self._asked({**given, "grid:code": f"MGRS-{tile}"})

    def _asked(self, given: dict[str, str]) -> list[Any]:
        """All products of a search; eodag's own `search_all` swallows what fails on the way."""
        try:
            found = self._gateway.search(limit=PAGE, raise_errors=True, **given)
            found.raise_errors = True
            for _ in found.next_page(update=True):
                pass
            return list(found)
        except Exception as fault:  # eodag's own, and those of what it asks with
            raise Unreachable(f"{self.name}: {type(fault).__name__}: {' '.join(str(fault).split())[:300]}") from fault

    def _offer(self, product: Any, tile: str) -> Offer:
        read, about = self._read, product.properties
        name = safe_name(read.text(about, "id"))
        if not name:
            raise read.fault("id", "is no package's name")
        url = str(getattr(product, "remote_location", "") or "")
        if not url.startswith(("https://", "http://")):
            raise read.fault("remote_location", f"is no address of the web: {url[:60]!r}")
        when = "start_datetime" if "start_datetime" in about else "datetime"
        published = read.moment(about, "published")
        return Offer(
            source=self.name,
            key=name,
            name=name,
            url=url,
            size=None,
            published=published,
            modified=read.moment(about, "updated") if about.get("updated") else published,
            sensing=read.moment(about, when),
            tile=tile_of(name) or tile,
            mode=str(about.get("s2:datatake_type") or about.get("operationalMode") or ""),
            online=str(about.get("order:status", "succeeded")) in ("succeeded", "online", "ONLINE"),
        )
