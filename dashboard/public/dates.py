"""Times in the words of a language, always UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from babel.dates import format_date
from markupsafe import Markup


def moment(time: datetime, language: str) -> Markup:
    """A time as HTML."""
    time = time.astimezone(UTC)
    return Markup('<time datetime="{0:%Y-%m-%dT%H:%M:%SZ}">{1}, {0:%H:%M} UTC</time>').format(
        time, format_date(time, "d MMM y", locale=language)
    )
