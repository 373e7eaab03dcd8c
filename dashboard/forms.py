"""What a form of a page sends: its fields, by name."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, HTTPException, Request

#: The largest form. [bytes]
LARGEST = 2 * 2**20
#: How many fields it may have.
MOST = 1000


async def _fields(request: Request) -> dict[str, str]:
    if "application/x-www-form-urlencoded" not in request.headers.get("content-type", ""):
        raise HTTPException(415, "a form is expected")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST:
            raise HTTPException(413, f"a form has {LARGEST} bytes at most")
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST, errors="strict"))
    except (UnicodeDecodeError, ValueError) as fault:
        raise HTTPException(400, f"this is no form: {type(fault).__name__}") from None


#: The fields of a form, as a parameter of a route; of those with one name the last.
Fields = Annotated[dict[str, str], Depends(_fields)]
