"""A file brought over HTTP: streamed, resumed where it broke off, believed only when its size and sums are right."""

from __future__ import annotations

import hashlib
import http.client
import importlib.util
import os
import random
import re
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from processing import storage
from processing.errors import Unreachable

#: Of one read. [bytes]
PAGE = 1 << 20
#: Bytes before the end of what is there that are asked for again, to see whether it is the same file.
OVERLAP = 4096
#: Pages whose sums are not made yet, at most.
AHEAD = 4
#: Silence after which a connection is given up. [s]
PATIENCE = 60.0
#: Tries of one file, and the waits between them: each twice the one before. [s]
TRIES, FIRST_WAIT, LONGEST_WAIT = 6, 0.5, 60.0
#: Answers after which trying again may help.
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
MOST_REDIRECTS = 5
#: Waits differ, so that those who were cut off together don't come back together.
_RANDOM = random.SystemRandom()
#: Of an answer that is read as text. [bytes]
LARGEST_TEXT = 256 << 20


def shown(url: str) -> str:
    """An address as it may be told: without what proves who asks."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class Refused(Unreachable):
    """An answer after which trying again doesn't help; `status` is HTTP's."""

    retry = False

    def __init__(self, line: str, status: int) -> None:
        self.status = status
        super().__init__(line)


class Corrupt(Unreachable):
    """What came has another size or another sum than it should."""


class _Passing(Exception):
    """A failure that may pass; `wait` is what the server asked for. [s]"""

    def __init__(self, line: str, wait: float = 0.0) -> None:
        self.wait = wait
        super().__init__(line)


@dataclass
class Answer:
    """Status, headers by their lower-case names, and the body to be read."""

    status: int
    headers: Mapping[str, str]
    body: http.client.HTTPResponse


@dataclass
class Link:
    """Connections to servers, kept open from one request to the next; for one thread.

    Attributes
    ----------
    headers : callable
        Gives what each request has beside, as who asks.
    told : callable
        Told of each answer's status and headers.
    """

    headers: Callable[[], Mapping[str, str]] = dict
    told: Callable[[int, Mapping[str, str]], None] = lambda status, headers: None
    _open: dict[tuple[str, str], http.client.HTTPConnection] = field(default_factory=dict)

    def ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """One request, led to where it is sent; what proves who asks is shown to the first server alone.

        Raises
        ------
        OSError, http.client.HTTPException
        """
        first, own = _server(url), dict(self.headers())
        for _ in range(MOST_REDIRECTS):
            given = {**own, **headers} if _server(url) == first else dict(headers)
            answer = self._once(method, url, given, body)
            if answer.status not in (301, 302, 303, 307, 308) or "location" not in answer.headers:
                return answer
            answer.body.read()
            url = urljoin(url, answer.headers["location"])
        raise http.client.HTTPException("is sent from one place to the next")

    def _once(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        for known in (True, False):
            connection, new = self._connection(url, fresh=not known)
            try:
                connection.request(method, path, body, {"User-Agent": "muscate", **headers})
                response = connection.getresponse()
                found = {k.lower(): v for k, v in response.getheaders()}
                self.told(response.status, found)
                return Answer(response.status, found, response)
            except (
                http.client.RemoteDisconnected,
                ConnectionResetError,
                BrokenPipeError,
                http.client.CannotSendRequest,
            ):
                self.close(url)  # one that was kept open may have been closed there meanwhile
                if new:
                    raise
        raise AssertionError("the second connection is new")

    def _connection(self, url: str, *, fresh: bool) -> tuple[http.client.HTTPConnection, bool]:
        key = _server(url)
        if fresh:
            self.close(url)
        new = key not in self._open
        if new:
            scheme, host = key
            if scheme not in ("http", "https") or not host:
                raise Refused(f"{url}: is no address of the web", 0)
            self._open[key] = (
                http.client.HTTPSConnection(host, timeout=PATIENCE, context=ssl.create_default_context())
                if scheme == "https"
                else http.client.HTTPConnection(host, timeout=PATIENCE)
            )
        return self._open[key], new

    def close(self, url: str | None = None) -> None:
        """End a connection, all of them without an address."""
        for key in [_server(url)] if url is not None else list(self._open):
            if connection := self._open.pop(key, None):
                connection.close()


def _server(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.rpartition("@")[2]


@dataclass(frozen=True)
class Expected:
    """What a file has to be: its size [bytes], and sums by hashlib's names; None and empty where nobody says."""

    size: int | None = None
    sums: Mapping[str, str] = field(default_factory=dict)


def fetch(
    link: Link,
    url: str,
    target: Path,
    expected: Expected,
    *,
    stop: threading.Event | None = None,
    note: Callable[[int], None] | None = None,
) -> int:
    """Bring a file into its place; what came before a break is kept beside it as ``.part`` and not brought again.

    Parameters
    ----------
    stop : Event, optional
        Set to give up between two pages.
    note : callable, optional
        Told of bytes as they come.

    Returns
    -------
    int
        Bytes that came over the network.

    Raises
    ------
    Refused
        If the server will not give it.
    Corrupt
        If what came twice is not what it should be; nothing is left of it.
    Unreachable
        If it does not come; what came is kept.
    StorageError
        If it can't be written; what came is kept.
    """
    part = target.with_name(f"{target.name}.part")
    with storage.storing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    moved, spoiled = 0, 0
    wait = FIRST_WAIT
    for last in [False] * (TRIES - 1) + [True]:
        try:
            came, sums = _continue(link, url, part, expected, stop or threading.Event(), note or (lambda size: None))
            moved += came
            if wrong := fault(part, expected, sums):
                part.unlink(missing_ok=True)
                spoiled += 1
                if spoiled > 1:
                    raise Corrupt(f"{shown(url)}: {wrong}")
                continue
            with storage.storing(target):
                os.replace(part, target)
            return moved
        except _Passing as passing:
            if last:
                raise Unreachable(f"{shown(url)}: {passing}") from passing
            pause = max(passing.wait, wait * _RANDOM.uniform(0.5, 1.5))
            if (stop or threading.Event()).wait(pause):
                raise Unreachable(f"{shown(url)}: given up") from None
            wait = min(2 * wait, LONGEST_WAIT)
    raise Unreachable(f"{shown(url)}: did not come whole")


def _continue(
    link: Link, url: str, part: Path, expected: Expected, stop: threading.Event, note: Callable[[int], None]
) -> tuple[int, dict[str, str]]:
    """Bring what is missing of a file; gives how many bytes came, and the sums of a file that came at once."""
    there = part.stat().st_size if part.exists() else 0
    if expected.size is not None and there > expected.size:
        part.unlink()
        there = 0
    if there and there == expected.size:
        return 0, {}
    overlap = min(OVERLAP, there)
    headers = {"Range": f"bytes={there - overlap}-"} if there else {}
    try:
        answer = link.ask("GET", url, {**headers, "Accept-Encoding": "identity"})
        return _take(answer, part, (there, overlap), expected, stop, note)
    except Refused:
        link.close(url)
        raise
    except (OSError, http.client.HTTPException) as fault:
        link.close(url)
        if isinstance(fault, OSError) and fault.errno in storage.FULL:
            with storage.storing(part):
                raise
        raise _Passing(str(fault) or type(fault).__name__) from fault
    except _Passing:
        link.close(url)
        raise


def _take(
    answer: Answer,
    part: Path,
    begun: tuple[int, int],
    expected: Expected,
    stop: threading.Event,
    note: Callable[[int], None],
) -> tuple[int, dict[str, str]]:
    there, overlap = begun
    if answer.status == 416:  # it has become shorter
        answer.body.read()
        part.unlink(missing_ok=True)
        raise _Passing("is shorter than what is there of it")
    if answer.status not in (200, 206):
        raise _refusal(answer)
    resumed = answer.status == 206
    if resumed and not re.match(rf"bytes {there - overlap}-", answer.headers.get("content-range", "")):
        raise _Passing("gives another part than was asked for")
    moved = 0
    with part.open("r+b" if resumed else "wb") as file, _Sums([] if resumed else expected.sums) as sums:
        if resumed:
            file.seek(there - overlap)
            before = file.read(overlap)
            again = answer.body.read(overlap)
            moved += len(again)
            if again != before:
                file.truncate(0)
                raise _Passing("has changed since it was begun")
        while page := answer.body.read(PAGE):
            file.write(page)
            sums.add(page)
            moved += len(page)
            note(len(page))
            if stop.is_set():
                break
        file.flush()
        os.fsync(file.fileno())
    if stop.is_set():
        raise _Passing("given up")
    if answer.body.length:  # bytes that were promised and did not come
        raise _Passing(f"broke off, {answer.body.length} bytes before its end")
    return moved, sums.made()


class _Sums:
    """Sums of pages, made while the next ones come."""

    def __init__(self, names: Iterable[str]) -> None:
        self._sums, self._thread = {name: _sum(name) for name in names}, ThreadPoolExecutor(1, "sums")
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> _Sums:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=False)

    def add(self, page: bytes) -> None:
        """The next page; those that wait are few, so that little memory is held."""
        for one in self._sums.values():
            self._waiting.append(self._thread.submit(one.update, page))
        while len(self._waiting) > AHEAD:
            self._waiting.popleft().result()

    def made(self) -> dict[str, str]:
        """The sums of all pages, by their names; after the last one."""
        return {name: str(one.hexdigest()) for name, one in self._sums.items()}


def _refusal(answer: Answer) -> Exception:
    said = answer.body.read(2000).decode("utf-8", "replace")
    detail = re.search(r'"(?:detail|error_description|description)"\s*:\s*"((?:[^"\\]|\\.)*)"', said)
    line = detail[1] if detail else http.client.responses.get(answer.status, "refused")
    if answer.status in PASSING:
        return _Passing(f"{answer.status} {line}", after(answer.headers.get("retry-after")))
    return Refused(f"{answer.status} {line}", answer.status)


def after(text: str | None) -> float:
    """Seconds that a Retry-After asks to wait, at most `LONGEST_WAIT` times ten."""
    if not text:
        return 0.0
    try:
        seconds = float(text) if text.isdigit() else parsedate_to_datetime(text).timestamp() - time.time()
    except (TypeError, ValueError):
        return 0.0
    return min(max(seconds, 0.0), 10 * LONGEST_WAIT)


def fault(path: Path, expected: Expected, made: Mapping[str, str] | None = None) -> str:
    """What is wrong with a file; empty if it is what it should be. `made`: sums that were made of it meanwhile."""
    size = path.stat().st_size
    if expected.size is not None and size != expected.size:
        return f"has {size} bytes instead of {expected.size}"
    for name, wanted in expected.sums.items():
        if ((made or {}).get(name) or digest(path, name)) != wanted.lower():
            return f"its {name} is not {wanted}"
    return ""


def can(name: str) -> bool:
    """Whether a sum of this name can be made here: hashlib's, and ``blake3`` where that library is."""
    return name in hashlib.algorithms_available if name != "blake3" else importlib.util.find_spec("blake3") is not None


def digest(path: Path, name: str = "sha256") -> str:
    """A sum of a file, by hashlib's name, or ``blake3``."""
    with path.open("rb") as file:
        return str(hashlib.file_digest(file, lambda: _sum(name)).hexdigest())


def _sum(name: str) -> Any:
    """A sum of nothing yet."""
    return importlib.import_module("blake3").blake3() if name == "blake3" else hashlib.new(name, usedforsecurity=False)


def text(link: Link, method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Any:
    """The body of an answer, whole, with the same patience as `fetch`.

    Raises
    ------
    Refused, Unreachable
    """
    wait = FIRST_WAIT
    for last in [False] * (TRIES - 1) + [True]:
        try:
            answer = link.ask(method, url, headers or {}, body)
            if not 200 <= answer.status < 300:
                fault = _refusal(answer)
                link.close(url)
                if isinstance(fault, Refused):
                    raise Refused(f"{shown(url)}: {fault}", fault.status)
                raise fault
            return answer.body.read(LARGEST_TEXT)
        except (_Passing, OSError, http.client.HTTPException) as fault:
            link.close(url)
            if last or isinstance(fault, ConnectionRefusedError):
                raise Unreachable(f"{shown(url)}: {fault}") from fault
            time.sleep(max(getattr(fault, "wait", 0.0), wait * _RANDOM.uniform(0.5, 1.5)))
            wait = min(2 * wait, LONGEST_WAIT)
    raise Unreachable(f"{shown(url)}: does not answer")
