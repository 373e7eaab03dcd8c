"""Foreign records, read member by member: what is missing or of another kind is told by its name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from processing.distribution import transfer
from processing.distribution.transfer import Link, Refused
from processing.sources.offers import SourceDrift

#: hashlib's names of the sums that catalogues have, and ``blake3``.
SUMS = {
    "MD5": "md5",
    "SHA256": "sha256",
    "SHA-256": "sha256",
    "SHA3-256": "sha3_256",
    "BLAKE3": "blake3",
}


@dataclass(frozen=True)
class Reader:
    """Reads what one source says; each fault bears the source's name."""

    source: str

    def fault(self, field: str, fault: str) -> SourceDrift:
        """That a field is not what it was."""
        return SourceDrift(self.source, field, fault)

    def ask(
        self, link: Link, url: str, body: Mapping[str, Any] | None = None, method: str = "", headers: Any = None
    ) -> Any:
        """A JSON document; by POST where there is a body.

        Raises
        ------
        SourceDrift
            If it is none.
        Refused, Unreachable
        """
        sent = None if body is None else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        text = transfer.text(
            link, method or ("GET" if body is None else "POST"), url, sent, {**kind, **(headers or {})}
        )
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise self.fault("its answer", f"is no JSON: {text[:60]!r}") from None

    def found(self, link: Link, url: str) -> Any:
        """A JSON document as of `ask`; None where there is none any more."""
        try:
            return self.ask(link, url)
        except Refused as fault:
            if fault.status in (404, 410):
                return None
            raise

    def member(self, row: Any, name: str) -> Any:
        """A member that has to be there; of an inner object by a path, ``ContentDate/Start``."""
        for part in name.split("/"):
            if not isinstance(row, Mapping) or part not in row:
                raise self.fault(name, "is missing")
            row = row[part]
        return row

    def text(self, row: Any, name: str) -> str:
        """A text that is not empty, of one line; a number is taken for one."""
        found = self.member(row, name)
        if isinstance(found, bool) or not isinstance(found, str | int) or not str(found).strip():
            raise self.fault(name, f"is no text: {str(found)[:50]!r}")
        return str(found)

    def objects(self, row: Any, name: str) -> list[Any]:
        """A list of objects."""
        found = self.member(row, name)
        if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
            raise self.fault(name, "is no list of objects")
        return found

    def size(self, row: Any, name: str) -> int | None:
        """A number of bytes; None for 0, which is said where nobody knows."""
        found = self.member(row, name)
        if isinstance(found, bool) or not isinstance(found, int | str) or not re.fullmatch(r"\d{1,15}", str(found)):
            raise self.fault(name, f"is no number of bytes: {str(found)[:50]!r}")
        return int(found) or None

    def moment(self, row: Any, name: str) -> datetime:
        """A time, with ``Z`` or ``+00:00`` behind it, to the microsecond."""
        text = str(self.member(row, name))
        try:
            found = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        except (ValueError, OverflowError):
            raise self.fault(name, f"is no time: {text[:50]!r}") from None


def written(time: datetime) -> str:
    """A time as it is asked for: ``2026-03-01T00:00:00.000000Z``."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def tile_of(name: str) -> str:
    """The tile that a package's name has; empty where it has none."""
    found = re.search(r"_T(\d\d[A-Z]{3})(?![A-Za-z0-9])", name)
    return found[1] if found else ""


def sensing_of(name: str) -> datetime | None:
    """The time of sensing that a package's name has."""
    found = re.match(r"S2[A-Z]_MSIL1C_(\d{8}T\d{6})_", name)
    try:
        return datetime.strptime(found[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC) if found else None
    except ValueError:
        return None


def safe_name(text: str) -> str:
    """Of a package, without ``.SAFE`` or ``.zip``; empty where it is none that a file may bear."""
    name = text.removesuffix(".zip").removesuffix(".SAFE")
    return name if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", name) else ""
