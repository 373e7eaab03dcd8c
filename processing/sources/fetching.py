"""From sources into the drop box: what is new for the tiles of the sites, once, and only when it is whole.

What became of each package stands in ``sources/<source>.jsonl`` of the home, the last line counts: nothing is brought
twice, nothing is dropped without a word. Windows of publication times overlap, and the end of the last one is kept
after all of it was listed; once a day the weeks before are listed again. What waits is asked for by its key.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog

from processing import storage
from processing.distribution import transfer
from processing.distribution.transfer import Corrupt, Expected, Link, Refused
from processing.errors import MuscateError, StorageError, Unreachable
from processing.settings import Settings
from processing.sources import tree, wholeness
from processing.sources.account import Account
from processing.sources.ledger import FINAL, Ledger, one_at_a_time
from processing.sources.offers import Offer, Source, SourceDrift, Unread, Withdrawn
from processing.sources.pace import Pace
from processing.sources.subscriptions import Subscription
from processing.store import Store, events, traffic
from processing.store.dialect import now

log = structlog.get_logger(__name__)

#: What was published in the hours before the last look is listed again; once a day, what was in so many days.
OVERLAP, DAILY, LONG = timedelta(hours=48), timedelta(hours=24), timedelta(days=30)
#: Connections that an account of the Copernicus Data Space may have.
CONNECTIONS = 4
#: A package without sums is waited for so long: they come hours after it.
SUMS_WITHIN = timedelta(hours=12)
#: Packages that wait and are asked for by their keys in one look.
ASKED_AGAIN = 500
#: Tokens that may end while one package is brought.
TOKENS = 4
#: Answers to who may not have a package, and that of them which says that he is not known.
UNAUTHORISED = 401
NOT_LET_IN = (UNAUTHORISED, 403)
#: Packages in a row that are refused to who is not known, before he asks for no more.
UNKNOWN = 3
NO_SUM = "has no sum yet"


@dataclass(frozen=True)
class Fate:
    """What became of one package in one round, and why."""

    name: str
    state: str
    reason: str = ""
    moved: int = 0


@dataclass
class Origin:
    """One source, and on what terms it gives its packages.

    Attributes
    ----------
    account : Account, optional
        What proves who asks for packages.
    connections : int
    quota : int, optional
        That the account may have in 30 days. [bytes]
    packages : str
        Address of a host that is shown the account's token though it is not of the house that gave it.
    purse : str
        Whose quota it is, where several sources share one; else the source's own.
    """

    source: Source
    account: Account | None = None
    connections: int = CONNECTIONS
    quota: int | None = None
    packages: str = ""
    purse: str = ""
    pace: Pace = field(default_factory=Pace)
    slots: threading.BoundedSemaphore = field(init=False, repr=False)
    #: Packages in a row for which it did not know who asks; then it is asked for no more of them in this look.
    unknown: int = 0

    def __post_init__(self) -> None:
        self.slots = threading.BoundedSemaphore(self.connections)
        self.purse = self.purse or self.source.name

    def headers(self) -> Mapping[str, str]:
        """What a request for a package has beside, when it may be sent."""
        self.pace.wait()
        return self.account.headers() if self.account else {}

    def bare(self) -> Mapping[str, str]:
        """The same for a host that the account's token is none of the business of."""
        self.pace.wait()
        return {}

    def trusts(self, url: str) -> bool:
        """Whether a host is of the house that gave the token, or was named to be shown it."""
        if self.account is None:
            return False
        issuer, named, host = (urlsplit(one).hostname or "" for one in (self.account.url, self.packages, url))
        house = issuer.partition(".")[2]
        return host in (issuer, named) or (house.count(".") > 0 and host.endswith(f".{house}"))


@dataclass
class _Look:
    """What one source had to say: offers that are open, records that can't be read, packages that it took back."""

    offers: list[Offer]
    unread: list[Unread]
    withdrawn: list[Withdrawn]
    again: bool


@dataclass
class Fetcher:
    """Sources for one centre, the preferred one first.

    Attributes
    ----------
    clock : callable
        The time.
    """

    settings: Settings
    store: Store
    origins: Sequence[Origin]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _ledgers: dict[str, Ledger] = field(init=False)
    #: By the names of packages: the source that each was brought from.
    _brought: dict[str, tuple[str, str]] = field(init=False)
    _threads: threading.local = field(default_factory=threading.local)
    #: Why no package can be kept any more in this look.
    _no_room: str = ""

    def __post_init__(self) -> None:
        self._folder = self.settings.home / "sources"
        self._ledgers = {o.source.name: Ledger(self._folder / f"{o.source.name}.jsonl") for o in self.origins}
        others = {path.stem: Ledger(path) for path in self._folder.glob("*.jsonl") if path.stem not in self._ledgers}
        self._brought = {
            entry["name"]: (source, key)
            for source, ledger in {**others, **self._ledgers}.items()
            for key, entry in ledger.known.items()
            if entry.get("state") == "fetched"
        }

    def round(self, tiles: Iterable[str], since: datetime) -> list[Fate]:
        """Look once at each source, bring what is new, and flag what was taken back.

        Parameters
        ----------
        since : datetime
            Of publication: where the first look begins.

        Raises
        ------
        Unreachable, SourceDrift
            If no source can be listed: the next look begins where this one did.
        WrongSetting
            If another process brings packages into this home.
        """
        with one_at_a_time(self._folder):
            end, watched = self.clock(), sorted(set(tiles))
            if not watched:
                return []  # what is listed for no tile is not looked through
            looks, faults = self._looks(watched, since, end)
            if faults and not looks:
                raise faults[0]
            fates = [fate for origin, look in looks for fate in self._unread(origin, look.unread)]
            fates += self._all([(origin, offer) for origin, look in looks for offer in look.offers])
            taken = [(origin, one) for origin, look in looks for one in look.withdrawn]
            fates += [fate for origin, one in taken if (fate := self._taken_back(origin, one)) is not None]
            for origin, look in looks:
                again: dict[str, Any] = {"again": end.isoformat()} if look.again else {}
                known = self._ledger(origin).tiles or frozenset()
                more = {} if known.issuperset(watched) else {"tiles": sorted(known.union(watched))}
                self._ledger(origin).note(until=end.isoformat(), **again, **more)
            return fates

    def listen(self, subscription: Subscription) -> list[Fate]:
        """Bring what a subscription tells of, and acknowledge it, until it tells nothing more.

        Raises
        ------
        Unreachable, SourceDrift
        """
        origin = next(one for one in self.origins if one.source.name == subscription.source.name)
        fates: list[Fate] = []
        with one_at_a_time(self._folder):
            while notices := subscription.notices():
                told = [notice.offer for notice in notices if notice.offer and self._is_open(origin, notice.offer)]
                latest = {offer.key: offer for offer in told}
                fates += self._unread(origin, [notice.unread for notice in notices if notice.unread])
                fates += self._all([(origin, offer) for offer in latest.values()])
                gone = [notice.withdrawn for notice in notices if notice.withdrawn]
                fates += [fate for one in gone if (fate := self._taken_back(origin, one)) is not None]
                subscription.acknowledge(notices[-1].ack)
        return fates

    # Looking

    def _looks(
        self, tiles: list[str], since: datetime, end: datetime
    ) -> tuple[list[tuple[Origin, _Look]], list[MuscateError]]:
        looks: list[tuple[Origin, _Look]] = []
        faults: list[MuscateError] = []
        for origin in self.origins:
            try:
                looks.append((origin, self._look(origin, tiles, since, end)))
            except SourceDrift as fault:
                self._drift(fault)
                faults.append(fault)
            except Unreachable as fault:
                self._anomaly("infrastructure", f"source can't be listed: {origin.source.name}", _line(fault))
                faults.append(fault)
        return looks, faults

    def _look(self, origin: Origin, tiles: list[str], since: datetime, end: datetime) -> _Look:
        source, ledger = origin.source, self._ledger(origin)
        again = ledger.again is None or end - ledger.again >= DAILY
        new = ledger.tiles is not None and not ledger.tiles.issuperset(tiles)  # of these nothing was ever listed
        first = since if ledger.until is None or new else max(since, ledger.until - (LONG if again else OVERLAP))
        if source.timeless:  # what came to it yesterday may bear the time of years ago
            first = since
        listing = source.listing(tiles, first, end)
        for doubt in listing.doubts:
            self._anomaly("input", "listing differs from one order to the other", f"{source.name}: {doubt}")
        changed = source.modified(tiles, first)
        offers = {offer.key: offer for offer in (*listing.offers, *changed.offers)}
        unread = {one.key: one for one in (*listing.unread, *changed.unread)}
        taken = list(self._ours(source.withdrawn(first), ledger)) if ledger.known else []
        gone = {one.key for one in taken}
        for key in [k for k in ledger.waiting() if k not in offers and k not in unread and k not in gone][:ASKED_AGAIN]:
            try:
                offer = source.one(key)
            except SourceDrift as fault:
                unread[key] = Unread(key, ledger.known[key]["name"], fault)
                continue
            if offer is None:
                taken.append(Withdrawn(key, ledger.known[key]["name"], end, "its source knows it no more"))
            else:
                offers[key] = offer
        for offer in offers.values():
            self._late_sum(origin, offer)
        wanted = [offer for offer in offers.values() if offer.key not in gone and self._is_open(origin, offer)]
        return _Look(wanted, list(unread.values()), taken, again)

    def _ours(self, taken: Iterable[Withdrawn], ledger: Ledger) -> Iterable[Withdrawn]:
        """Of what a source took back, in all the world, what was seen here."""
        return (one for one in taken if one.key in ledger.known or one.name in self._brought)

    def _is_open(self, origin: Origin, offer: Offer) -> bool:
        """Whether something is still to become of an offer; what was refused is tried again when its record changed."""
        known = self._ledger(origin).known.get(offer.key, {})
        if known.get("state") == "rejected" and "modified" in known:
            return offer.modified > datetime.fromisoformat(known["modified"])
        return known.get("state") not in FINAL

    def _late_sum(self, origin: Origin, offer: Offer) -> None:
        """Hold a sum that came after its package against that of the package."""
        known = self._ledger(origin).known.get(offer.key, {})
        had, has = known.get("md5"), offer.sums.get("md5")
        if known.get("state") == "fetched" and had and has and had != has and known.get("differs") != has:
            self._anomaly("input", "package differs from the sum that came later", f"{offer.name}: {had}, not {has}")
            self._ledger(origin).note(**{**known, "differs": has})

    def _unread(self, origin: Origin, unread: Iterable[Unread]) -> list[Fate]:
        fates = []
        for one in unread:
            if self._ledger(origin).state(one.key) in FINAL:
                continue
            self._drift(one.fault)
            fate = Fate(one.name or one.key, "waits", _line(one.fault))
            self._ledger(origin).note(key=one.key, name=fate.name, state=fate.state, reason=fate.reason, bytes=0)
            fates.append(fate)
        return fates

    # Bringing

    def _all(self, offered: Sequence[tuple[Origin, Offer]]) -> list[Fate]:
        """What becomes of offers: each package is brought from the first source that gives it whole."""
        fates: list[Fate] = []
        self._no_room = ""
        for origin in self.origins:
            origin.unknown = 0
        by_name: dict[str, list[tuple[Origin, Offer]]] = {}
        for origin in self.origins:
            mine = [offer for whose, offer in offered if whose is origin]
            unwanted = [offer for offer in mine if offer.unwanted]
            self._note_all(origin, [(o, Fate(o.name, "not wanted", o.unwanted)) for o in unwanted])
            fates += [Fate(offer.name, "not wanted", offer.unwanted) for offer in unwanted]
            wanted = [offer for offer in mine if not offer.unwanted]
            # Of a name that was published twice the later one counts.
            for offer in sorted(wanted, key=lambda offer: (offer.published, offer.key), reverse=True):
                by_name.setdefault(offer.name, []).append((origin, offer))
        names = sorted(by_name, key=lambda name: (by_name[name][0][1].published, name))
        with ThreadPoolExecutor(sum(origin.connections for origin in self.origins), "fetch") as pool:
            brought = pool.map(self._bring, [by_name[name] for name in names])
            return fates + [fate for some in brought for fate in some]

    def _bring(self, candidates: list[tuple[Origin, Offer]]) -> list[Fate]:
        """One package, whatever befalls it: from one source after the other, until one has it whole."""
        fates: list[Fate] = []
        for place, (origin, offer) in enumerate(candidates):
            fate, more = self._tried(origin, offer)
            self._note_all(origin, [(offer, fate)], **more)
            fates.append(fate)
            if fate.state == "rejected":
                self._anomaly("input", "package of a source that can't be used", f"{offer.name}: {fate.reason}")
            if fate.reason == NO_SUM:
                break
            if fate.state == "fetched":
                self._brought[offer.name] = origin.source.name, offer.key
                for other, same in candidates[place + 1 :]:
                    said = f"brought from {origin.source.name} as {offer.key}"
                    self._note_all(other, [(same, Fate(same.name, "not wanted", said))])
                return [fate]
        return fates[:1]

    def _tried(self, origin: Origin, offer: Offer) -> tuple[Fate, dict[str, str]]:
        """What becomes of an offer, and what the ledger keeps beside."""
        begun, sizes = time.monotonic(), [0]
        more: dict[str, str] = {}
        try:
            with origin.slots:
                fate = self._fate(origin, offer, more, lambda size: sizes.append(size))
                origin.unknown = 0 if sizes[1:] else origin.unknown
        except Corrupt as fault:
            fate = Fate(offer.name, "rejected", _line(fault))
        except Refused as fault:
            fate = Fate(offer.name, "waits" if fault.status in NOT_LET_IN else "rejected", _line(fault))
            if fault.status in NOT_LET_IN:
                self._not_let_in(origin, fault)
        except (MuscateError, OSError) as fault:
            self._room(fault)
            fate = Fate(offer.name, "waits", _line(fault))
        if moved := sum(sizes):
            with self.store.write() as session:
                seconds = time.monotonic() - begun
                traffic.count(session, origin.purse, self.clock(), moved, seconds, origin.quota)
        return Fate(fate.name, fate.state, fate.reason, moved), more

    def _not_let_in(self, origin: Origin, fault: Refused) -> None:
        """Another account, or a licence, may open what is refused now: that is for the operator, and not the package's.

        Of a source that knows nobody the other packages are not asked for; what is forbidden may be one alone.
        """
        if fault.status == UNAUTHORISED:
            origin.unknown += 1
        self._anomaly("infrastructure", f"source gives nothing to who asks: {origin.source.name}", _line(fault))

    def _room(self, fault: Exception) -> None:
        """The other packages are not asked for when there is no room for one."""
        cause = fault.__cause__ if isinstance(fault, StorageError) else fault
        if isinstance(cause, OSError) and cause.errno in storage.FULL and not self._no_room:
            self._no_room = _line(fault)
            self._anomaly("infrastructure", "no room for packages of sources", self._no_room)

    def _fate(self, origin: Origin, offer: Offer, more: dict[str, str], note: Callable[[int], None]) -> Fate:
        if (before := self._brought.get(offer.name)) is not None:
            return self._again(offer, before)
        if self._no_room:
            return Fate(offer.name, "waits", self._no_room)
        if origin.unknown >= UNKNOWN:
            return Fate(offer.name, "waits", f"{origin.source.name} gives nothing to who asks")
        if not offer.online:
            return Fate(offer.name, "waits", "is not online at its source")
        sums = {name: sum_ for name, sum_ in offer.sums.items() if transfer.can(name)}
        if not sums and not origin.source.mirror and self.clock() - offer.published < SUMS_WITHIN:
            return Fate(offer.name, "waits", NO_SUM)
        if (full := self._full(origin, offer)) is not None:
            return Fate(offer.name, "waits", full)
        target = self._folder / f"{offer.name}{'.SAFE' if offer.parts else '.zip'}"
        for part, place in _files(offer, target, sums):
            self._file(origin, part, place, note)
        if fault := wholeness.fault_of(target, offer.name):
            storage.remove(target)
            raise Corrupt(fault)
        if not offer.parts:
            more["md5"] = sums.get("md5") or transfer.digest(target, "md5")
        with storage.storing(self.settings.inbox):
            target.rename(self.settings.inbox / target.name)
        return Fate(offer.name, "fetched")

    def _again(self, offer: Offer, before: tuple[str, str]) -> Fate:
        """A package under the name of one that was brought."""
        source, key = before
        known = self._ledgers[source].known.get(key, {}) if source in self._ledgers else {}
        if source != offer.source:
            return Fate(offer.name, "not wanted", f"brought from {source} as {key}")
        if known.get("md5") is not None and known["md5"] == offer.sums.get("md5"):
            return Fate(offer.name, "not wanted", f"the same bytes as {key}")
        return Fate(offer.name, "rejected", f"other bytes under the name of {key}, which was brought")

    def _full(self, origin: Origin, offer: Offer) -> str | None:
        """That the account's quota leaves no room for a package; None if it does."""
        if origin.quota is None:
            return None
        with self.store.read() as session:
            used = traffic.used(session, origin.purse, self.clock())
        if used + (offer.size or 0) <= origin.quota:
            return None
        return f"quota of {origin.purse}: {used / 1e9:.1f} of {origin.quota / 1e9:.1f} GB in 30 days are used"

    def _file(self, origin: Origin, part: _File, place: Path, note: Callable[[int], None]) -> None:
        """Bring one file; a token that ends meanwhile is replaced."""
        if urlsplit(part.url).scheme == "file":
            with storage.storing(place):
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(tree.path_of(part.url), place)
            if fault := transfer.fault(place, part.expected):
                place.unlink()
                raise Corrupt(f"{part.url}: {fault}")
            return
        if place.exists() and not transfer.fault(place, part.expected):
            return  # by a run that was stopped after it
        for last in [False] * (TOKENS - 1) + [True]:
            try:
                link = self._link(origin, part.url)
                transfer.fetch(link, origin.source.address(part.url), place, part.expected, note=note)
                return
            except Refused as fault:
                if fault.status != UNAUTHORISED or origin.account is None or last:
                    raise
                origin.account.forget()  # the token ended before its time

    def _link(self, origin: Origin, url: str) -> Link:
        links: dict[tuple[str, bool], Link] = self._threads.__dict__.setdefault("links", {})
        key = origin.source.name, origin.trusts(url)
        if key not in links:
            links[key] = Link(origin.headers if key[1] else origin.bare, origin.pace.told)
        return links[key]

    # Noting

    def _ledger(self, origin: Origin) -> Ledger:
        return self._ledgers[origin.source.name]

    def _note_all(self, origin: Origin, fates: Iterable[tuple[Offer, Fate]], **more: str) -> None:
        self._ledger(origin).note_all(
            {
                "key": offer.key,
                "name": offer.name,
                "state": fate.state,
                "reason": fate.reason,
                "bytes": fate.moved,
                "modified": offer.modified.isoformat(),
                **more,
            }
            for offer, fate in fates
        )

    def _taken_back(self, origin: Origin, taken: Withdrawn) -> Fate | None:
        """Flag what was brought, or was to be, and was withdrawn at its source."""
        ledger = self._ledger(origin)
        known = ledger.known.get(taken.key)
        had = taken.name in self._brought and (known is None or known.get("state") in ("fetched", "not wanted"))
        if (known is None and not had) or (known is not None and known["state"] == "withdrawn"):
            return None
        if known is not None and known["state"] == "not wanted" and not had:
            return None
        ledger.note(key=taken.key, name=taken.name, state="withdrawn", reason=taken.cause, bytes=0)
        if had:
            self._anomaly("input", "package withdrawn at its source", f"{taken.name}: {taken.cause}")
            with self.store.write() as session:
                data = {"l1c": taken.name, "source": origin.source.name, "reason": taken.cause}
                events.record(session, now(session), "source_withdrew", severity="warning", actor="fetch", data=data)
        return Fate(taken.name, "withdrawn", taken.cause)

    def _drift(self, fault: SourceDrift) -> None:
        self._anomaly("infrastructure", f"{fault.source} answers otherwise than it did: {fault.field}", _line(fault))

    def _anomaly(self, reason_class: str, signature: str, line: str) -> None:
        log.warning("source", signature=signature, reason=line)
        with self.store.write() as session:
            events.note_anomaly(session, now(session), reason_class, signature, line)


@dataclass(frozen=True)
class _File:
    """Where a file is, and what it has to be."""

    url: str
    expected: Expected


def _files(offer: Offer, target: Path, sums: Mapping[str, str]) -> Iterable[tuple[_File, Path]]:
    """The files of an offer and their places.

    The size that a catalogue says is not always that of the zip, which is made when it is asked for.
    """
    if not offer.parts:
        return [(_File(offer.url, Expected(None, sums)), target)]
    return [(_File(part.url, Expected(part.size, part.sums)), target / part.name) for part in offer.parts]


def _line(fault: Exception) -> str:
    return " ".join(str(fault).split())


__all__ = ["Fate", "Fetcher", "Origin"]
