"""What a source has to say: packages that it offers, and those that it took back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from processing.errors import MuscateError

Row = TypeVar("Row")
#: Modes in which the instrument observes the ground by day; empty where the source doesn't say.
BY_DAY = frozenset({"", "INS-NOBS", "INS-VIC"})


class SourceDrift(MuscateError):
    """A source that answers otherwise than it did: the field that is missing or of another kind, by its name.

    Attributes
    ----------
    source, field : str
    """

    reason_class = "infrastructure"

    def __init__(self, source: str, field: str, fault: str) -> None:
        self.source, self.field, self.fault = source, field, fault
        super().__init__(f"{source}: {field} {fault}")

    def __reduce__(self) -> tuple[type[SourceDrift], tuple[str, str, str]]:
        return type(self), (self.source, self.field, self.fault)


@dataclass(frozen=True)
class Part:
    """One file of a package that is offered file by file: its name in the package, where it is, its size. [bytes]"""

    name: str
    url: str
    size: int | None = None
    sums: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Offer:
    """One Level-1C package.

    Attributes
    ----------
    source, key : str
        Which source, and what it calls the package.
    name : str
        Without ``.SAFE``.
    url : str
        Where its zip is; empty where it is offered file by file.
    size : int or None
        As the source says, which may be that of another form of the package. [bytes]
    sums : mapping of str to str
        By hashlib's names and ``blake3``, of the package as the source keeps it; empty where it has none yet.
    published, modified : datetime
    sensing : datetime
        Start.
    tile, mode : str
        ``31TCJ``; ``INS-NOBS``. Empty where the source doesn't say.
    online : bool
    parts : tuple of Part
        Its files, where it is no zip.
    """

    source: str
    key: str
    name: str
    url: str
    size: int | None
    published: datetime
    modified: datetime
    sensing: datetime
    tile: str = ""
    mode: str = ""
    online: bool = True
    sums: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()

    @property
    def unwanted(self) -> str:
        """Why it is no observation of the ground by day; empty if it is."""
        return "" if self.mode in BY_DAY else f"not a daylight observation ({self.mode})"


@dataclass(frozen=True)
class Withdrawn:
    """A package that the source took back: when and why."""

    key: str
    name: str
    time: datetime
    cause: str


@dataclass(frozen=True)
class Unread:
    """A package whose record can't be read: what is known of it, and the fault by its field's name."""

    key: str
    name: str
    fault: SourceDrift


@dataclass(frozen=True)
class Listing:
    """What a window of publication times holds.

    Attributes
    ----------
    offers : tuple of Offer
        In order of publication; each key once, as it was seen last.
    doubts : tuple of str
        What the second listing had and the first had not, or the other way, in words; all of it is in `offers`.
    unread : tuple of Unread
        What is there and can't be read.
    """

    offers: tuple[Offer, ...]
    doubts: tuple[str, ...] = ()
    unread: tuple[Unread, ...] = ()


def gathered(
    rows: Iterable[Row], offer: Callable[[Row], Offer | None], named: Callable[[Row], tuple[str, str]]
) -> Listing:
    """What rows offer, each key once and as it was seen last.

    Parameters
    ----------
    offer : callable
        Reads a row; None: it offers nothing that is wanted. Raises `SourceDrift` where it can't be read.
    named : callable
        Key and name of a row that can't be read.
    """
    offers: dict[str, Offer] = {}
    unread: dict[str, Unread] = {}
    for row in rows:
        try:
            found = offer(row)
        except SourceDrift as fault:
            key, name = named(row)
            unread[key] = Unread(key, name, fault)
        else:
            if found is not None:
                offers[found.key] = found
    return Listing(tuple(offers.values()), (), tuple(unread.values()))


def in_order(offers: Iterable[Offer]) -> tuple[Offer, ...]:
    """Offers in order of publication."""
    return tuple(sorted(offers, key=lambda offer: (offer.published, offer.key)))


def agreed(one: Listing, other: Listing, orders: tuple[str, str]) -> Listing:
    """All that two listings of one window have, each made in an order of its own; what one lacks is a doubt."""
    had, has = ({offer.key: offer for offer in listing.offers} for listing in (one, other))
    doubts = [
        *(f"{had[key].name}: not in the order of {orders[1]}" for key in had.keys() - has.keys()),
        *(f"{has[key].name}: not in the order of {orders[0]}" for key in has.keys() - had.keys()),
    ]
    unread = {fault.key: fault for fault in (*one.unread, *other.unread)}
    return Listing(in_order({**has, **had}.values()), tuple(sorted(doubts)), tuple(unread.values()))


@dataclass(frozen=True)
class Notice:
    """What a subscription tells of one package: offered, unread, or withdrawn; `ack` acknowledges it and all before."""

    ack: str
    offer: Offer | None = None
    unread: Unread | None = None
    withdrawn: Withdrawn | None = None


class Source(Protocol):
    """A catalogue of Level-1C, or a place where packages lie."""

    name: str
    #: A mirror has candidates: what it lacks proves nothing, and no window of times is complete by it.
    mirror: bool
    #: Whether packages come to it with times of long before: each look goes through all of it.
    timeless: bool

    def listing(self, tiles: Iterable[str], first: datetime, end: datetime) -> Listing:
        """All packages of tiles that were published from `first` to before `end`, shown twice over."""

    def modified(self, tiles: Iterable[str], since: datetime) -> Listing:
        """Packages whose record changed: sums come hours after the package."""

    def withdrawn(self, since: datetime) -> Iterator[Withdrawn]:
        """Packages that were taken back."""

    def one(self, key: str) -> Offer | None:
        """A package as the source has it now; None if it has it no more."""

    def address(self, url: str) -> str:
        """Where to ask now for something that lies at `url`: signed, where the source wants that."""
