"""The catalogue of the Copernicus Data Space by OData.

Pages are asked for by the time of publication of the last package (`paging`). What was listed in one order is listed
once more in another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from processing.distribution.transfer import Link
from processing.sources.offers import Listing, Offer, SourceDrift, Withdrawn, agreed, gathered
from processing.sources.paging import Order, Pages, Row, Test
from processing.sources.reading import SUMS, Reader, safe_name, tile_of, written

CATALOGUE = "https://catalogue.dataspace.copernicus.eu/odata/v1"
DOWNLOAD = "https://download.dataspace.copernicus.eu/odata/v1"
TOKENS = "https://identity.dataspace.copernicus.eu/auth/realms/CDSE/protocol/openid-connect/token"
#: Most rows of a page, and most that may be skipped.
PAGE, MOST_SKIPPED = 1000, 10_000
#: Tiles in one question: an address has an end.
TILES = 40
#: Two orders that have nothing to do with each other; the third is for what shares a value in both.
ORDERS = ("PublicationDate", "ContentDate/Start", "ModificationDate")
_OPERATORS = {">=": "ge", ">": "gt", "=": "eq", "<": "lt"}


class OData:
    """One OData catalogue.

    Parameters
    ----------
    catalogue, download : str
        Addresses of the services.
    page : int
        Rows of a page.
    name : str
    """

    mirror = False
    timeless = False

    def __init__(
        self, catalogue: str = CATALOGUE, download: str = DOWNLOAD, page: int = PAGE, name: str = "cdse"
    ) -> None:
        self.name = name
        self._catalogue, self._download, self._page = catalogue.rstrip("/"), download.rstrip("/"), page
        self._link, self._read = Link(), Reader(name)

    def listing(self, tiles: Iterable[str], first: datetime, end: datetime) -> Listing:
        """All packages of tiles that were published from `first` to before `end`, listed in two orders.

        Raises
        ------
        SourceDrift
            If nothing of an answer can be read.
        Unreachable
        """
        tiles = sorted(tiles)
        window = (("PublicationDate", ">=", written(first)), ("PublicationDate", "<", written(end)))
        one = self._listed(tiles, window, ORDERS)
        other = self._listed(tiles, window, (ORDERS[1], ORDERS[0], ORDERS[2]))
        return agreed(one, other, ORDERS[:2])

    def modified(self, tiles: Iterable[str], since: datetime) -> Listing:
        """Packages whose record changed since: sums come hours after the package."""
        window = (("ModificationDate", ">=", written(since)),)
        return self._listed(sorted(tiles), window, (ORDERS[2], ORDERS[0], ORDERS[1]))

    def withdrawn(self, since: datetime) -> Iterator[Withdrawn]:
        """Packages that were taken back since, and why."""
        window = (("DeletionDate", ">=", written(since)),)
        for row in self._rows("DeletedProducts", "", window, ("DeletionDate", ORDERS[1])):
            yield self.taken_back(row)

    def taken_back(self, row: Any) -> Withdrawn:
        """A package that was taken back, from its record."""
        read = self._read
        key, name, cause = (read.text(row, field) for field in ("Id", "Name", "DeletionCause"))
        return Withdrawn(key, name.removesuffix(".SAFE"), read.moment(row, "DeletionDate"), cause)

    def one(self, key: str) -> Offer | None:
        """A package as the catalogue has it now."""
        row = self._read.found(self._link, f"{self._catalogue}/Products({quote(key)})?$expand=Attributes")
        return None if row is None else self.offer(row)

    def address(self, url: str) -> str:
        """As it is."""
        return url

    def _listed(self, tiles: list[str], window: tuple[Test, ...], orders: tuple[str, ...]) -> Listing:
        some = [tiles[place : place + TILES] for place in range(0, len(tiles), TILES)]
        wanted = [" or ".join(attribute("tileId", name) for name in names) for names in some]
        rows = (row for names in wanted for row in self._rows("Products", f" and ({names})", window, orders))
        return gathered(rows, self.offer, lambda row: (_identity(row), str(row.get("Name", ""))))

    def _rows(self, what: str, further: str, window: tuple[Test, ...], orders: tuple[str, ...]) -> Iterator[Row]:
        def page(tests: tuple[Test, ...], order: str, skipped: int) -> list[Row]:
            tested = "".join(f" and {field} {_OPERATORS[operator]} {value}" for field, operator, value in tests)
            given = {
                "$filter": f"{COLLECTION} and {LEVEL1C}{further}{tested}",
                "$orderby": f"{order} asc",
                "$top": str(self._page),
                "$skip": str(skipped),
            }
            if what == "Products":
                given["$expand"] = "Attributes"
            url = f"{self._catalogue}/{what}?{urlencode(given, quote_via=quote)}"
            return self._read.objects(self._read.ask(self._link, url), "value")

        pages = Pages(page, _identity, MOST_SKIPPED, self._read.fault)
        return pages.rows([Order(field, self._value(field)) for field in orders], window)

    def _value(self, field: str) -> Any:
        def value(row: Row) -> str | None:
            try:
                return written(self._read.moment(row, field))
            except SourceDrift:
                return None

        return value

    def offer(self, row: Any) -> Offer:
        """A package, from its record.

        Raises
        ------
        SourceDrift
        """
        read = self._read
        attributes = {read.text(a, "Name"): read.member(a, "Value") for a in read.objects(row, "Attributes")}
        name = safe_name(read.text(row, "Name"))
        if not name:
            raise read.fault("Name", f"is no package's: {str(row['Name'])[:80]!r}")
        key = read.text(row, "Id")
        sums = row.get("Checksum") or []
        if not isinstance(sums, list):
            raise read.fault("Checksum", "is no list")
        return Offer(
            source=self.name,
            key=key,
            name=name,
            url=f"{self._download}/Products({quote(key)})/$value",
            size=read.size(row, "ContentLength"),
            published=read.moment(row, "PublicationDate"),
            modified=read.moment(row, "ModificationDate"),
            sensing=read.moment(row, "ContentDate/Start"),
            tile=str(attributes.get("tileId", "")) or tile_of(name),
            mode=str(attributes.get("operationalMode", "")),
            online=bool(row.get("Online", True)),
            sums={
                SUMS[kind]: str(one["Value"]).lower()
                for one in sums
                if isinstance(one, Mapping)
                and (kind := str(one.get("Algorithm", "")).upper()) in SUMS
                and one.get("Value")
            },
        )


COLLECTION = "Collection/Name eq 'SENTINEL-2'"


def attribute(name: str, value: str) -> str:
    """The test of a text attribute."""
    kind = "OData.CSC.StringAttribute"
    return f"Attributes/{kind}/any(att:att/Name eq '{name}' and att/{kind}/Value eq '{value}')"


LEVEL1C = attribute("productType", "S2MSI1C")


def _identity(row: Row) -> str:
    """What tells a record from the others, readable or not."""
    return str(row.get("Id") or row.get("Name") or sorted(map(str, row.items())))
