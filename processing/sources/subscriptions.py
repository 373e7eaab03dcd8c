"""Subscriptions of the Copernicus Data Space, pulled: they bring news sooner, and prove nothing.

The queue drops its oldest notices without a word, so the catalogue is listed all the same. A notice is acknowledged
when what became of its package stands in the ledger, and not before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from processing.distribution import transfer
from processing.distribution.transfer import Link
from processing.sources.account import Account
from processing.sources.odata import CATALOGUE, COLLECTION, LEVEL1C, OData, attribute
from processing.sources.offers import Notice, SourceDrift, Unread
from processing.sources.reading import Reader

#: Notices of one reading.
MOST = 20
EVENTS = ("created", "modified", "deleted")


class Subscription:
    """One running subscription of an account.

    Parameters
    ----------
    source : OData
        The catalogue that the packages are of.
    key : str
        As the service calls it.
    account : Account
    catalogue : str
        Address of the service.
    """

    def __init__(self, source: OData, key: str, account: Account, catalogue: str = CATALOGUE) -> None:
        self.source, self.key = source, key
        self._address = f"{catalogue.rstrip('/')}/Subscriptions"
        self._link, self._reader = Link(account.headers), Reader(source.name)

    @classmethod
    def begin(cls, source: OData, account: Account, tiles: Iterable[str], catalogue: str = CATALOGUE) -> Subscription:
        """A new one for the packages of some tiles."""
        found = cls(source, "", account, catalogue)
        some = " or ".join(attribute("tileId", tile) for tile in sorted(tiles))
        body = {
            "FilterParam": f"{COLLECTION} and {LEVEL1C} and ({some})",
            "SubscriptionEvent": list(EVENTS),
            "SubscriptionType": "pull",
            "Status": "running",
            "StageOrder": True,
            "Priority": 1,
        }
        said = found._reader.ask(found._link, found._address, body)
        found.key = found._reader.text(said, "Id")
        return found

    def notices(self) -> list[Notice]:
        """The oldest ones that are not acknowledged yet.

        Raises
        ------
        SourceDrift, Refused, Unreachable
        """
        url = f"{self._address}({quote(self.key)})/Read?$top={MOST}"
        said = self._reader.ask(self._link, url)
        rows = said if isinstance(said, list) else self._reader.objects(said, "value")
        return [self._notice(row) for row in rows]

    def _notice(self, row: Any) -> Notice:
        ack, event = self._reader.text(row, "AckId"), self._reader.text(row, "SubscriptionEvent")
        try:
            value = self._reader.member(row, "value")
            if event == "deleted":
                return Notice(ack, withdrawn=self.source.taken_back(value))
            return Notice(ack, offer=self.source.offer(value))
        except SourceDrift as fault:  # the value is kept for three days only: the catalogue has it
            key, name = self._reader.text(row, "ProductId"), str(row.get("ProductName", ""))
            return Notice(ack, unread=Unread(key, name.removesuffix(".SAFE"), fault))

    def acknowledge(self, ack: str) -> None:
        """That a notice, and all before it, were taken."""
        transfer.text(self._link, "POST", f"{self._address}({quote(self.key)})/Ack?$ackid={quote(ack)}", b"")
