"""`muscate download` and `muscate sync`: products brought from a centre, and kept as the centre has them.

The folder says what it has: ``manifest.jsonl`` has a line for each product that came whole, the last one counts. What
is on its way lies in ``.partial/``, each file under its own name once its sum was right: so whoever is killed goes on
where he was, and a run that finds all in place moves no byte.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from processing import storage
from processing.distribution import transfer
from processing.distribution.transfer import Expected, Link, Refused
from processing.errors import MuscateError, ProductError, SearchError, StorageError, Unreachable

#: What each folder has beside its products.
LEDGER, PARTIAL = "manifest.jsonl", ".partial"
#: Collections of the centre: what users get by default, and everything.
CURRENT, ALL = "muscate-l2a", "muscate-l2a-all"
#: Products of one page of a search.
PAGE = 250
#: Files without which a product can't be read: they come with any choice of bands.
ALWAYS = ("MTD",)


@dataclass(frozen=True)
class Product:
    """One product as the centre offers it.

    Attributes
    ----------
    identifier : str
    files : dict of str to dict
        Of each by its relative name: ``href``, ``size``, ``sha256`` (None where nobody says).
    withdrawn : str or None
        Why it was taken back; None if it was not.
    latest : str
        Name of the product that users get in its place; empty if it is that.
    deprecated : bool
    properties : dict
        Of its STAC item.
    """

    identifier: str
    files: dict[str, dict[str, Any]]
    withdrawn: str | None = None
    latest: str = ""
    deprecated: bool = False
    properties: dict[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Of its files. [bytes]"""
        return sum(file["size"] for file in self.files.values())


@dataclass(frozen=True)
class Done:
    """What became of one product: its `status` is one of `STATUSES`; `moved` came over the network. [bytes]"""

    identifier: str
    status: str
    moved: int = 0
    size: int = 0
    seconds: float = 0.0
    reason: str = ""

    def json(self) -> dict[str, Any]:
        """For a program."""
        about = {"id": self.identifier, "status": self.status, "bytes": self.moved, "size": self.size}
        return {**about, "seconds": round(self.seconds, 3), **({"reason": self.reason} if self.reason else {})}


STATUSES = ("fetched", "unchanged", "replaced", "kept", "withdrawn", "failed")


def of_item(item: Mapping[str, Any], chosen: Iterable[str] = ()) -> Product:
    """A product from its STAC item, with the files that were chosen."""
    properties, links = item["properties"], {link["rel"]: link for link in item["links"]}
    files = {}
    for key, asset in item["assets"].items():
        _, found, name = asset["href"].partition(f"/products/{item['id']}/files/")
        name = unquote(name)
        if not found or not wanted(key, chosen):
            continue
        if name.startswith("/") or ".." in name.split("/") or "\\" in name or "\0" in name:
            raise ProductError(item["id"], f"a file of it is named {name!r}")
        checksum = asset.get("file:checksum", "")
        sha = checksum[4:] if checksum.startswith("1220") else None
        files[name] = {"href": asset["href"], "size": asset["file:size"], "sha256": sha}
    withdrawn = properties.get("muscate:withdrawn_reason", "") if properties.get("muscate:withdrawn") else None
    latest = links.get("latest-version", {}).get("title", "")
    return Product(item["id"], files, withdrawn, latest, bool(properties.get("deprecated")), dict(properties))


def of_items(items: Iterable[Mapping[str, Any]], chosen: Iterable[str] = ()) -> list[Product]:
    """Products from their STAC items, with the files that were chosen.

    Raises
    ------
    SearchError
        If none of them has anything of what was chosen: it was mistyped.
    """
    chosen = tuple(chosen)
    products, strange = [], {name for name in chosen if name.upper() not in ALWAYS}
    for item in items:
        products.append(of_item(item, chosen))
        strange -= {name for name in strange if any(wanted(key, [name], always=()) for key in item["assets"])}
    if products and strange:
        raise SearchError(f"{sorted(strange)[0]}: no product that was found has such a file, kind or band")
    return products


def wanted(key: str, chosen: Iterable[str], always: Sequence[str] = ALWAYS) -> bool:
    """Whether a file is among those chosen: by its key, ``SRE_B4``, its kind, ``CLM``, or its band, ``B4``; all of
    them where none is named.
    """
    names = [name.upper() for name in chosen]
    if not names:
        return True
    kind, _, rest = key.upper().partition("_")
    return kind in always or any(name in (key.upper(), kind, rest) for name in names)


def search(link: Link, centre: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """STAC items that a search finds, page after page.

    Parameters
    ----------
    centre : str
        Address of the web.
    body : mapping
        Of an item search by POST.

    Raises
    ------
    Unreachable
    """
    url, given = f"{centre.rstrip('/')}/stac/search", {"limit": PAGE, **body}
    seen: set[str] = set()
    while True:
        said = json.dumps(given).encode()
        try:
            page = json.loads(transfer.text(link, "POST", url, said, {"Content-Type": "application/json"}))
            features, links = page["features"], page["links"]
        except (ValueError, KeyError, TypeError) as fault:
            raise Unreachable(f"{url}: what answers is no catalogue: {fault}") from fault
        for item in features:
            if item["id"] not in seen:  # one that was published meanwhile moves nothing, but may come again
                seen.add(item["id"])
                yield item
        following = next((one for one in links if one["rel"] == "next"), None)
        if following is None:
            return
        given = following["body"]


class Folder:
    """A user's folder of products.

    Raises
    ------
    StorageError
        If it can't be made or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with storage.storing(path):
            path.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self.known = self._read()

    def _read(self) -> dict[str, dict[str, Any]]:
        """What the ledger says of each product last; a line that was cut short is as if it had not been written."""
        known: dict[str, dict[str, Any]] = {}
        try:
            lines = (self.path / LEDGER).read_bytes().split(b"\n")
        except FileNotFoundError:
            return known
        except OSError as fault:
            raise StorageError(f"{self.path / LEDGER}: {fault.strerror}") from fault
        for line in lines:
            try:
                entry = json.loads(line)
                known[entry["id"]] = entry
            except (ValueError, KeyError, TypeError):
                continue
        return known

    def note(self, entry: dict[str, Any]) -> None:
        """Add a line to the ledger, down to the disk."""
        line = json.dumps({**entry, "time": datetime.now(UTC).isoformat(timespec="seconds")}, ensure_ascii=False)
        with self._lock, storage.storing(self.path / LEDGER), (self.path / LEDGER).open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # whoever wrote last was killed within a line
                    line = "\n" + line
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
            self.known[entry["id"]] = entry

    def missing(self, product: Product, *, deep: bool = False) -> list[str]:
        """Files of a product that are not there as the centre has them; `deep`: their sums are made again."""
        entry = self.known.get(product.identifier, {})
        had = entry.get("files", {}) if entry.get("state") == "complete" else {}
        return [
            name
            for name, file in product.files.items()
            if not _is_there(self.path / product.identifier / name, file, had.get(name), deep=deep)
        ]

    def present(self) -> list[str]:
        """Products that came whole and are still kept."""
        return [name for name, entry in self.known.items() if entry.get("state") == "complete"]

    def forget(self, identifier: str, state: str, reason: str, *, remove: bool) -> None:
        """Note that a product counts no more, and why; with its files, or without them."""
        entry = {key: value for key, value in self.known.get(identifier, {}).items() if key != "time"}
        self.note({**entry, "id": identifier, "state": state, "reason": reason})
        if remove:
            shutil.rmtree(self.path / identifier, ignore_errors=True)


def _is_there(path: Path, file: Mapping[str, Any], known: Mapping[str, Any] | None, *, deep: bool) -> bool:
    """Whether a file is there as the centre has it; `known` is what the ledger says of it."""
    if known is None or file["sha256"] not in (None, known["sha256"]) or file["size"] != known["size"]:
        return False
    return _size(path) == file["size"] and not (deep and transfer.digest(path) != known["sha256"])


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


@dataclass
class Client:
    """Brings products into a folder.

    Attributes
    ----------
    folder : Folder
    connections : int
        Products that are brought at once.
    headers : callable
        Gives what proves who asks.
    tell : callable
        Told of each product when it is over.
    note : callable
        Told of bytes as they come.
    """

    folder: Folder
    connections: int = 4
    headers: Callable[[], Mapping[str, str]] = dict
    tell: Callable[[Done], None] = lambda done: None
    note: Callable[[int], None] = lambda size: None
    stop: threading.Event = field(default_factory=threading.Event)
    _why: str = "given up"
    _threads: threading.local = field(default_factory=threading.local)

    def link(self) -> Link:
        """The connections of this thread."""
        if not hasattr(self._threads, "link"):
            self._threads.link = Link(self.headers)
        found: Link = self._threads.link
        return found

    def download(self, products: Iterable[Product], *, deep: bool = False) -> list[Done]:
        """Bring what is not there yet; one that fails holds no other up."""
        done = []
        with ThreadPoolExecutor(self.connections, "download") as pool:
            try:
                futures = [pool.submit(self._bring, product, deep) for product in products]
                for future in as_completed(futures):
                    done.append(future.result())
                    self.tell(done[-1])
            except BaseException:
                self.stop.set()
                pool.shutdown(cancel_futures=True)
                raise
        return done

    def _bring(self, product: Product, deep: bool) -> Done:
        begun = time.monotonic()
        if self.stop.is_set():
            return Done(product.identifier, "failed", 0, product.size, 0.0, self._why)
        try:
            before = self.folder.known.get(product.identifier, {}).get("state") == "complete"
            missing = self.folder.missing(product, deep=deep)
            if not missing:
                return Done(product.identifier, "unchanged", 0, product.size)
            moved = self._files(product, missing)
            status = "replaced" if before and _changed(self.folder, product, missing) else "fetched"
            self._put(product, missing)
            return Done(product.identifier, status, moved, product.size, time.monotonic() - begun)
        except (MuscateError, OSError) as fault:
            line = " ".join(str(fault).split())
            if isinstance(fault.__cause__, OSError) and fault.__cause__.errno in storage.FULL:
                self._why = f"not begun: {line}"
                self.stop.set()  # the others would ask for what has no room either
            return Done(product.identifier, "failed", 0, product.size, time.monotonic() - begun, line)

    def _files(self, product: Product, missing: list[str]) -> int:
        """Bring files into ``.partial/``, where some may lie from a run before this; bytes that came."""
        moved, link = 0, self.link()
        for name in missing:
            file, target = product.files[name], self.folder.path / PARTIAL / product.identifier / name
            sums = {"sha256": file["sha256"]} if file["sha256"] else {}
            if _size(target) == file["size"] and (not sums or transfer.digest(target) == file["sha256"]):
                continue
            # A run that was killed after it had put the file in its place, and before the ledger had the product.
            final = self.folder.path / product.identifier / name
            if sums and _size(final) == file["size"] and transfer.digest(final) == file["sha256"]:
                with storage.storing(target):
                    target.unlink(missing_ok=True)
                continue
            moved += transfer.fetch(
                link, file["href"], target, Expected(file["size"], sums), stop=self.stop, note=self.note
            )
        return moved

    def _put(self, product: Product, missing: list[str]) -> None:
        """The files in their place, and the product in the ledger."""
        partial, final = self.folder.path / PARTIAL / product.identifier, self.folder.path / product.identifier
        had = self.folder.known.get(product.identifier, {}).get("files", {})
        # Those whose sum nobody says come last: who is killed before has to bring them again.
        brought = sorted(
            (n for n in missing if (partial / n).exists()), key=lambda n: product.files[n]["sha256"] is None
        )
        files = {}
        for name, file in product.files.items():
            path = partial / name if name in brought else final / name
            files[name] = {"size": file["size"], "sha256": file["sha256"] or transfer.digest(path)}
        with storage.storing(final):
            for name in brought:
                (final / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(partial / name, final / name)
            storage.sync(final)
            shutil.rmtree(partial, ignore_errors=True)
        still = {name: entry for name, entry in had.items() if _size(final / name) == entry["size"]}
        about = {key: product.properties.get(key) for key in ("datetime", "version", "muscate:revision", "grid:code")}
        self.folder.note({"id": product.identifier, "state": "complete", **about, "files": {**still, **files}})


def _changed(folder: Folder, product: Product, missing: list[str]) -> bool:
    """Whether files that are there already have become others."""
    had = folder.known.get(product.identifier, {}).get("files", {})
    return any(name in had and had[name]["sha256"] != product.files[name]["sha256"] for name in missing)


def sync(
    client: Client, centre: str, body: Mapping[str, Any], chosen: Iterable[str] = (), *, keep: bool = False,
    remove: bool = False,
) -> list[Done]:  # fmt: skip
    """Bring what is new, replace or `keep` what was processed again, and tell what was withdrawn and why.

    Parameters
    ----------
    body : mapping
        The search, as of `search`.
    keep : bool
        Products of which users get another version now are kept beside it.
    remove : bool
        Files of what was withdrawn are removed.

    Raises
    ------
    Unreachable
        If the centre doesn't answer its search: nothing is taken for gone.
    SearchError
        As of `of_items`.
    """
    chosen = tuple(chosen)
    offered = of_items(search(client.link(), centre, body), chosen)
    names = {product.identifier for product in offered}
    done = client.download(offered)
    arrived = {one.identifier for one in done if one.status != "failed"}
    gone = [name for name in client.folder.present() if name not in names]
    for first in range(0, len(gone), PAGE):
        some = gone[first : first + PAGE]
        found = {
            item["id"]: of_item(item, chosen)
            for item in search(client.link(), centre, {"ids": some, "collections": [ALL]})
        }
        for name in some:
            one = _of_gone(client.folder, name, found.get(name), arrived, keep=keep, remove=remove)
            if one is not None:
                done.append(one)
                client.tell(one)
    return done


def _of_gone(
    folder: Folder, name: str, product: Product | None, arrived: set[str], *, keep: bool, remove: bool
) -> Done | None:
    """What becomes of a product that a search finds no more; None if it is only outside of that search."""
    if product is None:
        folder.forget(name, "withdrawn", "the centre knows it no more", remove=remove)
        return Done(name, "withdrawn", reason="the centre knows it no more")
    if product.withdrawn is not None:
        reason = product.withdrawn or "no reason was given"
        folder.forget(name, "withdrawn", reason, remove=remove)
        return Done(name, "withdrawn", reason=reason)
    if product.latest not in arrived:
        return None
    reason = f"by {product.latest}"
    if keep:
        return Done(name, "kept", reason=reason)
    folder.forget(name, "replaced", reason, remove=True)
    return Done(name, "replaced", reason=reason)


__all__ = ["Client", "Done", "Folder", "Product", "Refused", "of_item", "of_items", "search", "sync", "wanted"]
