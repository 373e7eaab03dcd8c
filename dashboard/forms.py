"""What a form of a page sends: its fields, by name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, HTTPException, Request

#: The largest form. [bytes]
LARGEST = 2 * 2**20
#: How many fields it may have.
MOST = 1000


def moment(text: str) -> datetime:
    """A day or a time that somebody typed, UTC.

    Raises
    ------
    ValueError
        If it is neither.
    """
    found = datetime.fromisoformat(text.strip())
    try:
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except OverflowError:  # of year 1 or 9999 in another zone
        raise ValueError(f"{text} is before or after all time") from None


async def pairs(request: Request, largest: int = LARGEST) -> list[tuple[str, str]]:
    """The fields of a form as they were sent, those with one name too.

    Raises
    ------
    HTTPException
        If the request holds no form, too large a one, or a NUL, which no store keeps.
    """
    if "application/x-www-form-urlencoded" not in request.headers.get("content-type", ""):
        raise HTTPException(415, "a form is expected")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > largest:
            raise HTTPException(413, f"a form has {largest} bytes at most")
    try:
        found = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST, errors="strict")
    except (UnicodeDecodeError, ValueError) as fault:
        raise HTTPException(400, f"this is no form: {type(fault).__name__}") from None
    if any("\x00" in name or "\x00" in value for name, value in found):
        raise HTTPException(400, "the form has a NUL in it")
    return found


async def _fields(request: Request) -> dict[str, str]:
    return dict(await pairs(request))


#: The fields of a form, as a parameter of a route; of those with one name the last.
Fields = Annotated[dict[str, str], Depends(_fields)]
