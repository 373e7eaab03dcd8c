"""The files of a Zarr store at an address, by HTTP and its ranges; in a bucket too (``s3://BUCKET/NAME.zarr``).

Of a bucket the environment says the rest, under the names that Amazon's own programs have: ``AWS_ENDPOINT_URL_S3`` or
``AWS_ENDPOINT_URL``, ``AWS_REGION``, ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``. Without keys it is read as a
public one.
"""

from __future__ import annotations

import http.client
import os
import re
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from processing.errors import Unreachable, WrongSetting, printable
from processing.l1c.keys import fault
from processing.l1c.package import MAX_FILE
from processing.signing import signed

#: An address that went through `Path` has lost one of its slashes.
ADDRESS = re.compile(r"(https?|s3):/+(.+)", re.IGNORECASE)
#: Time without an answer, and times that one is asked for, with pauses between. [s]
PATIENCE, TRIES, PAUSE = 30.0, 3, 0.5
#: Answers of servers that have no such file; stores of objects that may not be listed say 403.
NOT_THERE = frozenset({403, 404, 410})


def is_address(path: Path) -> bool:
    """Whether a path was given as an address."""
    return ADDRESS.fullmatch(str(path)) is not None


class _Known(NamedTuple):
    """What a server said of a file at first."""

    size: int
    tag: str


class _Answer(NamedTuple):
    """What a server answered."""

    status_code: int
    headers: Message
    content: bytes


class Address:
    """The files of a store at an address; as of `Keys`."""

    def __init__(self, path: Path) -> None:
        self.__setstate__(path)

    def __getstate__(self) -> Path:
        return self.path

    def __setstate__(self, path: Path) -> None:
        found = ADDRESS.fullmatch(str(path))
        assert found is not None
        scheme, rest = found[1].lower(), found[2].rstrip("/")
        self._bucket = scheme == "s3"
        self.path, self._base = path, f"{_endpoint()}/{rest}" if self._bucket else f"{scheme}://{rest}"
        self._known: dict[str, _Known | None] = {}

    def size(self, key: str) -> int | None:
        """As of `Keys`; asked once."""
        if key not in self._known:
            answer = self._asked("HEAD", key, {})
            if answer.status_code in NOT_THERE:
                self._known[key] = None
            else:
                length = answer.headers.get("content-length", "")
                if answer.status_code != 200 or not length.isdecimal():
                    raise fault(self, key, f"the server answers {answer.status_code}, without a length")
                self._known[key] = _Known(int(length), answer.headers.get("etag", ""))
        known = self._known[key]
        return None if known is None else known.size

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """As of `Keys`."""
        size = self.size(key)
        if size is None:
            raise fault(self, key, "missing")
        length = max(0, min(size - start, size if length is None else length))
        if length > MAX_FILE:
            raise fault(self, key, f"{length / 1e6:.0f} MB, at most {MAX_FILE / 1e6:.0f} MB are read")
        if not length:
            return b""
        part = (start, length) != (0, size)
        answer = self._asked("GET", key, {"Range": f"bytes={start}-{start + length - 1}"} if part else {})
        if answer.status_code != (206 if part else 200):
            raise fault(self, key, f"the server answers {answer.status_code}" + (" to a range" if part else ""))
        known = self._known[key]
        assert known is not None
        if answer.headers.get("etag", "") != known.tag or len(answer.content) != length:
            raise fault(self, key, "changed while it was read")
        return answer.content

    def verify(self, key: str) -> None:
        """As of `Keys`: it has none."""

    def _asked(self, method: str, key: str, headers: dict[str, str]) -> _Answer:
        """An answer, its content as it lies there: not packed on its way, and no longer than it may be."""
        url = f"{self._base}/{quote(key)}"
        if self._bucket:
            url = _in_bucket(url, method)
        request = urllib.request.Request(url, method=method, headers={"Accept-Encoding": "identity", **headers})
        said = ""
        for number in range(TRIES):
            time.sleep(PAUSE * number)
            try:
                with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # nosec B310: http alone
                    content = b"" if method == "HEAD" else answer.read(MAX_FILE + 1)
                    return _Answer(answer.status, answer.headers, content)
            except urllib.error.HTTPError as error:
                if error.code < 500:
                    return _Answer(error.code, error.headers, b"")
                said = f"the server answers {error.code}"
            except (OSError, http.client.HTTPException, ValueError) as error:
                said = str(error) or type(error).__name__
        raise Unreachable(f"{self.path.name}: {key}: {said[:200]}")


def _region() -> str:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"


def _endpoint() -> str:
    """Where buckets are, each a folder there."""
    told = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if told and not re.match(r"https?://", told):
        raise WrongSetting(f"AWS_ENDPOINT_URL is no address of http: {printable(told)}")
    return (told or f"https://s3.{_region()}.amazonaws.com").rstrip("/")


def _in_bucket(url: str, method: str) -> str:
    """An address in a bucket as it is asked for: signed, where there are keys."""
    key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if not key or not secret:
        return url
    return signed(url, key, secret, _region(), datetime.now(UTC), method=method)
