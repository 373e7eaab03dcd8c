"""Any STAC API with the item search, its filter and its sort: that of the Copernicus Data Space, or a mirror's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from processing.distribution.transfer import Link
from processing.sources.offers import Listing, Offer, SourceDrift, Withdrawn, agreed, gathered
from processing.sources.paging import Order, Pages, Row, Test
from processing.sources.reading import Reader, safe_name, tile_of, written

ADDRESS = "https://stac.dataspace.copernicus.eu/v1"
PAGE = 500
#: hashlib's names of the sums in a multihash, by its first byte; the second one is the sum's length.
MULTIHASH = {"d5": "md5", "12": "sha256", "16": "sha3_256", "1e": "blake3"}


@dataclass(frozen=True)
class Fields:
    """How an API names what is wanted.

    Attributes
    ----------
    collection : str
    published, modified : str
        Properties with the times of publication and of the last change.
    package : str
        Key of the asset that is the whole package as a zip.
    """

    collection: str = "sentinel-2-l1c"
    published: str = "published"
    modified: str = "updated"
    package: str = "Product"


class Stac:
    """One STAC API.

    Parameters
    ----------
    address : str
        Of the landing page.
    fields : Fields
    page : int
        Items of a page.
    name : str
    mirror : bool
        Whether it may lack what there is.
    """

    timeless = False

    def __init__(
        self,
        address: str = ADDRESS,
        fields: Fields | None = None,
        page: int = PAGE,
        name: str = "stac",
        *,
        mirror: bool = True,
    ) -> None:
        self.name, self.mirror = name, mirror
        self._address, self._fields, self._page = address.rstrip("/"), fields or Fields(), page
        self._link, self._read = Link(), Reader(name)

    def listing(self, tiles: Iterable[str], first: datetime, end: datetime) -> Listing:
        """All packages of tiles that were published from `first` to before `end`, listed in two orders.

        Raises
        ------
        SourceDrift
            If nothing of an answer can be read, or the order that was asked for is not kept.
        Unreachable
        """
        published = self._fields.published
        window = ((published, ">=", written(first)), (published, "<", written(end)))
        one = self._listed(tiles, window, (published, "datetime", "id"))
        other = self._listed(tiles, window, ("datetime", published, "id"))
        return agreed(one, other, (published, "datetime"))

    def modified(self, tiles: Iterable[str], since: datetime) -> Listing:
        """Packages whose item changed since."""
        fields = self._fields
        return self._listed(tiles, ((fields.modified, ">=", written(since)),), (fields.modified, "datetime", "id"))

    def withdrawn(self, since: datetime) -> Iterator[Withdrawn]:
        """Nothing: STAC says only what there is."""
        return iter(())

    def one(self, key: str) -> Offer | None:
        """A package as the API has it now."""
        url = f"{self._address}/collections/{quote(self._fields.collection)}/items/{quote(key)}"
        item = self._read.found(self._link, url)
        return None if item is None else self.offer(item)

    def address(self, url: str) -> str:
        """As it is."""
        return url

    def _listed(self, tiles: Iterable[str], window: tuple[Test, ...], orders: tuple[str, ...]) -> Listing:
        codes = sorted(f"MGRS-{tile}" for tile in tiles)
        wanted: dict[str, Any] = {"op": "in", "args": [{"property": "grid:code"}, codes]}

        def page(tests: tuple[Test, ...], order: str, _skipped: int) -> list[Row]:
            filters = [wanted, *({"op": op, "args": [{"property": f}, _literal(f, v)]} for f, op, v in tests)]
            body = {
                "collections": [self._fields.collection],
                "filter-lang": "cql2-json",
                "filter": {"op": "and", "args": filters},
                "sortby": [{"field": _sorted(order), "direction": "asc"}],
                "limit": self._page,
            }
            found = self._read.objects(self._read.ask(self._link, f"{self._address}/search", body), "features")
            values = [value for row in found if (value := self._value(order)(row)) is not None]
            if values != sorted(values):
                raise self._read.fault(order, "is not in the order that was asked for")
            return found

        pages = Pages(page, lambda row: str(row.get("id")), 0, self._read.fault)
        rows = pages.rows([Order(field, self._value(field), field == "id") for field in orders], window)
        return gathered(rows, self.offer, lambda row: (str(row.get("id")), str(row.get("id"))))

    def _value(self, field: str) -> Any:
        def value(row: Row) -> str | None:
            try:
                if field == "id":
                    return self._read.text(row, "id")
                return written(self._read.moment(row, f"properties/{field}"))
            except SourceDrift:
                return None

        return value

    def offer(self, item: Any) -> Offer:
        """A package, from its item.

        Raises
        ------
        SourceDrift
        """
        read, fields = self._read, self._fields
        key = read.text(item, "id")
        name = safe_name(key)
        if not name:
            raise read.fault("id", f"is no package's: {key[:80]!r}")
        about = read.member(item, "properties")
        asset = read.member(item, f"assets/{fields.package}")
        code = str(about.get("grid:code", ""))
        checksum = str(asset.get("file:checksum", "")).lower()
        sum_ = MULTIHASH.get(checksum[:4].removesuffix("01") if checksum.startswith("d501") else checksum[:2])
        plain = checksum[6:] if checksum.startswith("d501") else checksum[4:]
        return Offer(
            source=self.name,
            key=key,
            name=name,
            url=read.text(asset, "href"),
            size=read.size(asset, "file:size") if "file:size" in asset else None,
            published=read.moment(about, fields.published),
            modified=read.moment(about, fields.modified if fields.modified in about else fields.published),
            sensing=read.moment(about, "datetime"),
            tile=code.removeprefix("MGRS-") or tile_of(name),
            mode=str(about.get("eopf:instrument_mode", "")),
            online=str(asset.get("storage:tier", about.get("storage:tier", "online"))).lower() != "offline",
            sums={sum_: plain} if sum_ and plain else {},
        )


def _literal(field: str, value: str) -> Mapping[str, str] | str:
    return value if field == "id" else {"timestamp": value}


def _sorted(field: str) -> str:
    return field if field == "id" else f"properties.{field}"
