"""Times as RFC 3339 writes them, and intervals of two."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from processing.errors import SearchError

#: No product is older or newer; times beyond are as good as these, and further ones are none of this calendar's.
EARLIEST, LATEST = datetime(1000, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


def moment(text: Any) -> datetime:
    """A time of RFC 3339; a date alone is its first moment.

    Raises
    ------
    SearchError
    """
    try:
        time = datetime.fromisoformat(str(text))
        time = time if time.tzinfo else time.replace(tzinfo=UTC)
        return min(max(time, EARLIEST), LATEST).astimezone(UTC)
    except (ValueError, OverflowError):
        raise SearchError(f"{text} is no time such as 2023-08-15T10:00:00Z") from None


def interval(text: str) -> tuple[datetime | None, datetime | None]:
    """Both ends of ``2023-08-01T00:00:00Z/..``; a date alone is the whole day.

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
    if end is not None and len(last) == 10:
        end += timedelta(days=1, microseconds=-1)
    if start is not None and end is not None and start > end:
        raise SearchError(f"{text} ends before it begins")
    return start, end


def text(time: datetime | None) -> str | None:
    """A time in UTC, ``2023-08-15T10:00:00Z``."""
    return None if time is None else time.astimezone(UTC).isoformat().replace("+00:00", "Z")
