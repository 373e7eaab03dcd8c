"""The catalogue of the Copernicus Data Space by OData.

Pages are asked for by the time of publication of the last package, never by a number to skip alone: beyond 10,000 rows
the service leaves ``nextLink`` out without a word. What was listed in one order is listed once more in another.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from processing.distribution import transfer
from processing.distribution.transfer import Link
from processing.sources.offers import Listing, Offer, SourceDrift, Withdrawn

CATALOGUE = "https://catalogue.dataspace.copernicus.eu/odata/v1"
DOWNLOAD = "https://download.dataspace.copernicus.eu/odata/v1"
TOKENS = "https://identity.dataspace.copernicus.eu/auth/realms/CDSE/protocol/openid-connect/token"
#: Most rows of a page, and most that may be skipped.
PAGE, MOST_SKIPPED = 1000, 10_000
#: Tiles in one question: an address has an end.
TILES = 40
#: hashlib's names of the sums.
SUMS = {"MD5": "md5", "SHA256": "sha256", "SHA3-256": "sha3_256"}
#: Two orders that have nothing to do with each other.
ORDERS = ("PublicationDate", "ContentDate/Start")


class OData:
    """One OData catalogue.

    Parameters
    ----------
    catalogue, download : str
        Addresses of the services.
    page : int
        Rows of a page.
    """

    name = "cdse"

    def __init__(self, catalogue: str = CATALOGUE, download: str = DOWNLOAD, page: int = PAGE) -> None:
        self._catalogue, self._download, self._page = catalogue.rstrip("/"), download.rstrip("/"), page
        self._link = Link()

    def listing(self, tiles: Iterable[str], first: datetime, end: datetime) -> Listing:
        """All packages of tiles that were published from `first` to before `end`, listed in two orders.

        Raises
        ------
        SourceDrift
            If an answer has another form than it had.
        Unreachable
        """
        window = f"PublicationDate ge {_time(first)} and PublicationDate lt {_time(end)}"
        one, other = ({o.key: o for o in self._all(tiles, window, order)} for order in ORDERS)
        doubts = [
            *(f"{one[key].name}: not in the order of {ORDERS[1]}" for key in one.keys() - other.keys()),
            *(f"{other[key].name}: not in the order of {ORDERS[0]}" for key in other.keys() - one.keys()),
        ]
        both = sorted({**other, **one}.values(), key=lambda offer: (offer.published, offer.key))
        return Listing(tuple(both), tuple(sorted(doubts)))

    def modified(self, tiles: Iterable[str], since: datetime) -> Iterator[Offer]:
        """Packages whose record changed since: sums come hours after the package."""
        return self._all(tiles, f"ModificationDate ge {_time(since)}", "ModificationDate")

    def withdrawn(self, since: datetime) -> Iterator[Withdrawn]:
        """Packages that were taken back since, and why."""
        where = f"{_COLLECTION} and {_LEVEL1C} and DeletionDate ge {_time(since)}"
        for row in self._rows("DeletedProducts", where, "DeletionDate"):
            yield Withdrawn(
                str(_member(row, "Id")),
                str(_member(row, "Name")).removesuffix(".SAFE"),
                _moment(row, "DeletionDate"),
                str(_member(row, "DeletionCause")),
            )

    def one(self, key: str) -> Offer:
        """A package as the catalogue has it now."""
        return self._offer(self._ask(f"{self._catalogue}/Products({quote(key)})?$expand=Attributes"))

    def _all(self, tiles: Iterable[str], where: str, order: str) -> Iterator[Offer]:
        names = sorted(tiles)
        for place in range(0, len(names), TILES):
            some = " or ".join(_attribute("tileId", name) for name in names[place : place + TILES])
            for row in self._rows("Products", f"{_COLLECTION} and {_LEVEL1C} and ({some}) and {where}", order):
                yield self._offer(row)

    def _rows(self, what: str, where: str, order: str) -> Iterator[Mapping[str, Any]]:
        """Rows in an order, each once: the next page begins at the last row's value, those that share it included."""
        last, seen, skipped = "", set[str](), 0
        while True:
            further = f" and {order} ge {last}" if last else ""
            given = {
                "$filter": where + further,
                "$orderby": f"{order} asc",
                "$top": str(self._page),
                "$skip": str(skipped),
            }
            if what == "Products":
                given["$expand"] = "Attributes"
            page = _member(self._ask(f"{self._catalogue}/{what}?{urlencode(given, quote_via=quote)}"), "value")
            if not isinstance(page, list):
                raise SourceDrift("cdse: value is no list")
            fresh = [row for row in page if str(_member(row, "Id")) not in seen]
            yield from fresh
            seen |= {str(row["Id"]) for row in fresh}
            if not page:
                return
            end = _time(_moment(*_holder(page[-1], order)))
            if end != last:
                last, skipped = end, 0
            elif skipped + len(page) > MOST_SKIPPED:
                raise SourceDrift(f"cdse: more than {MOST_SKIPPED} packages with the {order} {last}")
            else:  # a whole page of one moment: only within it rows are skipped, and no more than it really had
                skipped += len({str(row["Id"]) for row in page})

    def _ask(self, url: str) -> Mapping[str, Any]:
        try:
            said = json.loads(transfer.text(self._link, "GET", url))
        except ValueError as fault:
            raise SourceDrift(f"cdse: what answers is no JSON: {fault}") from None
        if not isinstance(said, Mapping):
            raise SourceDrift("cdse: what answers is no object")
        return said

    def _offer(self, row: Mapping[str, Any]) -> Offer:
        attributes = {str(_member(a, "Name")): _member(a, "Value") for a in _member(row, "Attributes")}
        name = str(_member(row, "Name")).removesuffix(".SAFE")
        tile = str(attributes.get("tileId", "")) or _tile(name)
        sums = {
            SUMS[str(one.get("Algorithm", "")).upper()]: str(one["Value"]).lower()
            for one in row.get("Checksum") or []
            if str(one.get("Algorithm", "")).upper() in SUMS and one.get("Value")
        }
        content = _member(row, "ContentDate")
        return Offer(
            source=self.name,
            key=str(_member(row, "Id")),
            name=name,
            url=f"{self._download}/Products({row['Id']})/$value",
            size=int(_member(row, "ContentLength")) or None,
            published=_moment(row, "PublicationDate"),
            modified=_moment(row, "ModificationDate"),
            sensing=_moment(content, "Start"),
            tile=tile,
            mode=str(attributes.get("operationalMode", "")),
            online=bool(row.get("Online", True)),
            sums=sums,
        )


_COLLECTION = "Collection/Name eq 'SENTINEL-2'"


def _attribute(name: str, value: str) -> str:
    kind = "OData.CSC.StringAttribute"
    return f"Attributes/{kind}/any(att:att/Name eq '{name}' and att/{kind}/Value eq '{value}')"


_LEVEL1C = _attribute("productType", "S2MSI1C")


def _tile(name: str) -> str:
    found = re.search(r"_T(\d\d[A-Z]{3})_", name)
    return found[1] if found else ""


def _member(row: Any, name: str) -> Any:
    """A member that has to be there.

    Raises
    ------
    SourceDrift
        With its name.
    """
    try:
        return row[name]
    except (KeyError, TypeError):
        raise SourceDrift(f"cdse: {name} is missing in what the catalogue answers") from None


def _holder(row: Mapping[str, Any], path: str) -> tuple[Mapping[str, Any], str]:
    """The object that has the last member of a path, and the member's name."""
    *parts, name = path.split("/")
    for part in parts:
        row = _member(row, part)
    return row, name


def _moment(row: Mapping[str, Any], name: str) -> datetime:
    """A time, with ``Z`` or ``+00:00`` behind it, to the microsecond."""
    text = str(_member(row, name))
    try:
        found = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    except ValueError:
        raise SourceDrift(f"cdse: {name} is no time: {text[:50]}") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _time(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


#: What was published while the last window was asked is asked again.
OVERLAP = timedelta(hours=48)
