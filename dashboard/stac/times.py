"""Times as RFC 3339 writes them, and intervals of two."""

from __future__ import annotations

from datetime import UTC, datetime

from processing.errors import SearchError
from processing.store.expressions import moment as moment


def interval(text: str) -> tuple[datetime | None, datetime | None]:
    """Both ends of ``2023-08-01T00:00:00Z/..``, as RFC 3339 writes them.

    Raises
    ------
    SearchError
    """
    ends = text.split("/")
    if len(ends) > 2 or (len(ends) == 2 and all(end in ("", "..") for end in ends)):
        raise SearchError(f"{text} is no time and no interval of two")
    first, last = ends[0], ends[-1]
    start = None if first in ("", "..") else moment(first)
    end = None if last in ("", "..") else moment(last)
    if start is not None and end is not None and start > end:
        raise SearchError(f"{text} ends before it begins")
    return start, end


def text(time: datetime | None) -> str | None:
    """A time in UTC, ``2023-08-15T10:00:00Z``."""
    return None if time is None else time.astimezone(UTC).isoformat().replace("+00:00", "Z")
