"""What a source has to say: packages that it offers, and those that it took back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from processing.errors import MuscateError


class SourceDrift(MuscateError):
    """A source that answers otherwise than it did: the field that is missing or of another kind, by its name."""

    reason_class = "infrastructure"


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
        Where its zip is.
    size : int or None
        As the source says, which may be that of another form of the package. [bytes]
    sums : mapping of str to str
        By hashlib's names, of the package as the source keeps it; empty where it has none yet.
    published, modified : datetime
    sensing : datetime
        Start.
    tile, mode : str
        ``31TCJ``; ``INS-NOBS``. Empty where the source doesn't say.
    online : bool
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

    @property
    def unwanted(self) -> str:
        """Why it is no observation of the ground by day; empty if it is."""
        if self.mode in ("", "INS-NOBS", "INS-VIC"):
            return ""
        return f"no observation by day ({self.mode})"


@dataclass(frozen=True)
class Withdrawn:
    """A package that the source took back: when and why."""

    key: str
    name: str
    time: datetime
    cause: str


@dataclass(frozen=True)
class Listing:
    """What a window of publication times holds.

    Attributes
    ----------
    offers : tuple of Offer
        In order of publication; each key once, as it was seen last.
    doubts : tuple of str
        What the second listing had and the first had not, or the other way, in words; all of it is in `offers`.
    """

    offers: tuple[Offer, ...]
    doubts: tuple[str, ...] = ()


class Source(Protocol):
    """A catalogue of Level-1C."""

    name: str

    def listing(self, tiles: Iterable[str], first: datetime, end: datetime) -> Listing:
        """All packages of tiles that were published from `first` to before `end`, shown twice over."""

    def modified(self, tiles: Iterable[str], since: datetime) -> Iterator[Offer]:
        """Packages whose record changed: sums come hours after the package."""

    def withdrawn(self, since: datetime) -> Iterator[Withdrawn]:
        """Packages that were taken back."""
