"""A bucket with packages file by file, ``Sentinel-2/MSI/L1C/2026/03/01/<name>.SAFE/...``: that of the Copernicus Data
Space, or a mirror's of the same form.

A bucket knows one order only, that of the names, and no time of publication but that of its newest file. So it has
candidates: which packages there are, a catalogue says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from lxml import etree

from processing.distribution import transfer
from processing.distribution.transfer import Link
from processing.signing import signed
from processing.sources.account import Credentials
from processing.sources.offers import Listing, Offer, Part, SourceDrift, Unread, Withdrawn, in_order
from processing.sources.reading import Reader, safe_name, sensing_of, tile_of

ADDRESS, BUCKET, REGION = "https://eodata.dataspace.copernicus.eu", "eodata", "default"
PREFIX = "Sentinel-2/MSI/L1C/"
#: Folders are those of the day of sensing; what is published is looked for in those of so many days before.
LATE = timedelta(days=5)
#: Without it a package is still being written.
MANIFEST = "manifest.safe"
#: Comes after whatever a name has.
AFTER = "~"


class S3:
    """One bucket.

    Parameters
    ----------
    address, bucket, region : str
    keys : Credentials, optional
        Access key and secret; of a public bucket none.
    name : str
    """

    mirror = True
    timeless = False

    def __init__(
        self,
        address: str = ADDRESS,
        bucket: str = BUCKET,
        keys: Credentials | None = None,
        *,
        region: str = REGION,
        name: str = "s3",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.name, self._root, self._keys, self._region = name, f"{address.rstrip('/')}/{bucket}", keys, region
        self._link, self._read, self._clock = Link(), Reader(name), clock

    def listing(self, tiles: Iterable[str], first: datetime, end: datetime) -> Listing:
        """Packages of tiles in the folders of the days whose newest file is of the window.

        Raises
        ------
        SourceDrift
            If the answer is no listing.
        Refused, Unreachable
        """
        wanted, found = set(tiles), []
        unread: list[Unread] = []
        day = (first - LATE).date()
        while day <= end.date():
            for folder in self._folders(f"{PREFIX}{day:%Y/%m/%d}/"):
                name = safe_name(folder.rstrip("/").rpartition("/")[2])
                if tile_of(name) not in wanted:
                    continue
                try:
                    offer = self.one(folder)
                except SourceDrift as fault:
                    unread.append(Unread(folder, name, fault))
                    continue
                if offer is not None and first <= offer.published < end:
                    found.append(offer)
            day += timedelta(days=1)
        return Listing(in_order(found), (), tuple(unread))

    def modified(self, tiles: Iterable[str], since: datetime) -> Listing:
        """Nothing: what changes has a new time, and is listed by it."""
        return Listing(())

    def withdrawn(self, since: datetime) -> Iterator[Withdrawn]:
        """Nothing: what is gone from a mirror is not taken back."""
        return iter(())

    def one(self, key: str) -> Offer | None:
        """The package in a folder; None as long as it has no manifest, which is written last."""
        name = safe_name(key.rstrip("/").rpartition("/")[2])
        parts, times = [], []
        for file in self._all(key, "Contents"):
            path = self._text(file, "Key")
            inner = path.removeprefix(key)
            if inner.endswith("/"):
                continue
            if not inner or inner.startswith("/") or ".." in inner.split("/") or "\\" in inner:
                raise self._read.fault("Key", f"is no file of a package: {path[:100]!r}")
            tag = self._text(file, "ETag").strip('"').lower()
            sums = {"md5": tag} if re.fullmatch(r"[0-9a-f]{32}", tag) else {}
            size = self._read.size({"Size": self._text(file, "Size")}, "Size")
            parts.append(Part(inner, f"{self._root}/{quote(path)}", size, sums))
            times.append(self._read.moment({"LastModified": self._text(file, "LastModified")}, "LastModified"))
        sensing = sensing_of(name)
        if sensing is None or MANIFEST not in {part.name for part in parts}:
            return None
        size = sum(part.size or 0 for part in parts)
        newest = max(times)
        return Offer(
            self.name, key, name, "", size, newest, newest, sensing, tile=tile_of(name), parts=tuple(parts)
        )  # fmt: skip

    def address(self, url: str) -> str:
        """Signed, where there are keys: AWS Signature Version 4, in the query."""
        if self._keys is None:
            return url
        return signed(url, self._keys.user, self._keys.password, self._region, self._clock())

    def _folders(self, prefix: str) -> Iterator[str]:
        for one in self._all(prefix, "CommonPrefixes", "/"):
            folder = self._text(one, "Prefix")
            if folder.rstrip("/").endswith(".SAFE"):
                yield folder

    def _all(self, prefix: str, kind: str, delimiter: str = "") -> Iterator[Any]:
        """Entries below a prefix: the next page begins after the last name, until there is none."""
        after = ""
        while True:
            given = {"list-type": "2", "prefix": prefix, "delimiter": delimiter, "start-after": after}
            query = urlencode({name: value for name, value in given.items() if value}, quote_via=quote, safe="")
            page = self._page(f"{self._root}?{query}")
            entries = page.findall(f"{{*}}{kind}")
            yield from entries
            names = [e.text or "" for e in page.iterfind("{*}Contents/{*}Key")]
            names += [(e.text or "") + AFTER for e in page.iterfind("{*}CommonPrefixes/{*}Prefix")]
            if not names or max(names) <= after:
                return
            after = max(names)

    def _page(self, url: str) -> Any:
        text = transfer.text(self._link, "GET", self.address(url))
        try:
            parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
            root = etree.fromstring(text, parser)
        except etree.XMLSyntaxError:
            raise self._read.fault("its answer", f"is no XML: {text[:60]!r}") from None
        if etree.QName(root).localname != "ListBucketResult":
            raise self._read.fault("ListBucketResult", f"is missing: {etree.QName(root).localname} came")
        return root

    def _text(self, element: Any, name: str) -> str:
        found = element.findtext(f"{{*}}{name}")
        if not found:
            raise self._read.fault(name, "is missing")
        return str(found)
