"""What ``manifest.safe`` says of each file of a package, held against what is read of it.

Baselines before 04.00 carry MD5 sums, later ones SHA3-256. A package without a manifest is taken, as many archives keep
Level-1C without it. So is one in which images were written anew, with another length, or texts were edited, as tools
do that crop or repair it. The product says either. An image of the very length that the manifest says and with other
bytes was damaged, and a file that is another one of the package was put in its place: both are refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from threading import Lock
from typing import IO, Any, Protocol

from processing.errors import L1CError

MANIFEST = "manifest.safe"
#: How the sums are made, by the name that the manifest gives them. The lengths are those of their hexadecimal text.
METHODS: Mapping[str, tuple[Callable[..., Any], int]] = {
    "SHA3-256": (hashlib.sha3_256, 64),
    "MD5": (partial(hashlib.md5, usedforsecurity=False), 32),
}
#: Files that are edited in place; what they say is held against limits by itself.
TEXTS = (".xml", ".gml")
#: Bytes hashed at a time.
CHUNK = 1 << 20
#: Names of files that the product tells at most.
TOLD = 4


class Files(Protocol):
    """What is wanted of a package."""

    def fault(self, name: str, text: str) -> L1CError: ...  # noqa: D102

    def open(self, name: str) -> IO[bytes]: ...  # noqa: D102

    def files(self, folder: str = "") -> list[str]: ...  # noqa: D102

    def xml(self, name: str) -> Any: ...  # noqa: D102


@dataclass(frozen=True)
class Entry:
    """A file in the manifest: its length [bytes], how its sum was made, and that sum."""

    size: int
    method: str
    digest: str


class Checksums:
    """The sums of one package, and what became of each file that was looked at.

    Files are looked at once, by whoever comes first; threads that want the same one wait for it.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Entry] | None = None
        self._state: dict[str, str] = {}
        self._doubts: list[str] = []
        self._locks: dict[str, Lock] = {}
        self._lock = Lock()

    def __getstate__(self) -> tuple[Any, ...]:  # crosses process borders with what it knows
        return self._entries, self._state, self._doubts

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.__init__()  # type: ignore[misc]
        self._entries, self._state, self._doubts = state

    def doubt(self, text: str) -> None:
        """Note a contradiction in the package that is no reason to refuse it; the product tells it."""
        if text not in self._doubts:
            self._doubts.append(text)

    def verify(self, package: Files, name: str, content: bytes | None = None) -> None:
        """Hold a file against the manifest; once.

        Parameters
        ----------
        content : bytes, optional
            Of the file, where it is known; else it is read.

        Raises
        ------
        L1CError
            If the file is damaged, missing, or another one of the package; or if the manifest can't be read.
        """
        if name == MANIFEST or name in self._state:
            return
        with self._lock:
            if self._entries is None:
                self._entries = listed(package)
            lock = self._locks.setdefault(name, Lock())
        with lock:
            if name not in self._state:
                self._state[name] = self._judged(package, name, content)

    def learn(self, other: Checksums) -> None:
        """Take over what another process found out of the same package."""
        self._entries = other._entries
        self._state.update(other._state)

    def is_verified(self, name: str) -> bool:
        """Whether a file was found to be what the manifest says."""
        return self._state.get(name, "") in METHODS

    def _judged(self, package: Files, name: str, content: bytes | None) -> str:
        entries = self._entries or {}
        entry = entries.get(name)
        if entry is None:
            return "unlisted"
        if content is None:
            with package.open(name) as file:
                size = file.seek(0, 2)
                file.seek(0)
                digest = _digest(file, entry.method) if self._may_be(size, entry) else ""
        else:
            size = len(content)
            digest = METHODS[entry.method][0](content).hexdigest() if self._may_be(size, entry) else ""
        if digest == entry.digest and size == entry.size:
            return entry.method
        if digest:
            for other, its in entries.items():
                if its.digest == digest and its.size == size:
                    raise package.fault(name, f"is what {MANIFEST} lists as {PurePosixPath(other).name}")
        if size == entry.size and not name.lower().endswith(TEXTS):
            raise package.fault(name, f"damaged: its {entry.method} is not that of {MANIFEST}")
        return "rewritten"

    def _may_be(self, size: int, entry: Entry) -> bool:
        """Whether a file of some length may be one of the manifest's; to hash it is of use only then."""
        assert self._entries is not None
        return size == entry.size or any(size == other.size for other in self._entries.values())

    def summary(self) -> str:
        """What was verified of the files that were looked at, what not, and what else is in doubt."""
        if not self._entries:
            text = f"not verified: no checksums in the package ({MANIFEST}), so that nothing tells whether each image"
            return "; ".join([f"{text} is its band's", *self._doubts])
        by_state: dict[str, list[str]] = {}
        for name, state in self._state.items():
            by_state.setdefault(state, []).append(name)
        good = [f"{method} of {len(by_state[method])} files" for method in METHODS if method in by_state]
        said = f"verified: {', '.join(good)}" if good else "not verified"
        for state, words in (("rewritten", "not those that it lists"), ("unlisted", "not listed")):
            if names := sorted(PurePosixPath(name).name for name in by_state.get(state, [])):
                more = f" and {len(names) - TOLD} more" if len(names) > TOLD else ""
                said += f"; {words} in {MANIFEST}: {', '.join(names[:TOLD])}{more}"
        return "; ".join([said, *self._doubts])


def listed(package: Files) -> dict[str, Entry]:
    """The manifest's files by their names; none where there is no manifest."""
    if MANIFEST not in package.files():
        return {}
    found: dict[str, Entry] = {}
    for stream in package.xml(MANIFEST).iter("{*}byteStream"):
        location, sum_ = stream.find("{*}fileLocation"), stream.find("{*}checksum")
        if location is None or sum_ is None:
            continue
        method, digest = sum_.get("checksumName", ""), (sum_.text or "").strip().lower()
        size, name = stream.get("size", ""), location.get("href", "").removeprefix("./")
        if method not in METHODS:
            continue
        if len(digest) != METHODS[method][1] or not size.isdecimal() or len(size) > 15:
            raise package.fault(MANIFEST, f"a checksum that is none, of {PurePosixPath(name).name}")
        found[name] = Entry(int(size), method, digest)
    return found


def _digest(file: IO[bytes], method: str) -> str:
    sum_ = METHODS[method][0]()
    while piece := file.read(CHUNK):
        sum_.update(piece)
    return str(sum_.hexdigest())
