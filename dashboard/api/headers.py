"""Headers of answers: how long they may be kept, and under which name."""

from __future__ import annotations

from fastapi import Request

#: For what never changes under its address.
FOREVER = "public, max-age=31536000, immutable"


def caching(etag: str, *, lasting: bool) -> dict[str, str]:
    """Of an answer that may be kept: for ever if it is `lasting`, else for a minute."""
    return {"Cache-Control": FOREVER if lasting else "public, max-age=60", "ETag": etag}


def known(request: Request, etag: str) -> bool:
    """Whether who asks has the answer already."""
    return etag in request.headers.get("if-none-match", "")


def attachment(name: str) -> dict[str, str]:
    """Of an answer that is kept as a file."""
    return {"Content-Disposition": f'attachment; filename="{name}"'}
