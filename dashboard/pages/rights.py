"""Whether whoever looks at a page may do something there, to know what to offer; the order itself checks it again."""

from __future__ import annotations

from dashboard import people


def may(permission: str) -> bool:
    """Whether the visitor of this page may; nobody may where a page is made for no visitor."""
    try:
        return people.actor().may(permission)
    except LookupError:
        return False
