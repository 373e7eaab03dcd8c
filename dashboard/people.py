"""Who is there: the person behind a request, or behind a page that is open, as the `Actor` of what he does.

The door looks at the cookie of each request and says here who sent it (`Visit`); a page of Panel keeps the visit that
opened it. What changes something asks `actor` each time it is done, and the store is asked each time whether the
session still holds: one that was revoked is over at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any
from weakref import WeakKeyDictionary

import panel as pn
from fastapi import Depends

from processing.people import Actor, Role

if TYPE_CHECKING:
    from processing.store import Store

#: Who is there while nobody has signed in.
NOBODY = "visitor"


@dataclass(frozen=True)
class Visit:
    """A request's sender.

    Attributes
    ----------
    store : Store or None
        Where his session is; None where `fixed` says all.
    token_sha : str
        Digest of what the cookie holds; empty where there is none.
    address : str
        Of the browser.
    fixed : Actor or None
        Somebody who needs no session.
    """

    store: Store | None
    token_sha: str
    address: str
    fixed: Actor | None = None

    def actor(self) -> Actor:
        """As whom he may act now; the store is asked."""
        if self.fixed is not None:
            return self.fixed
        return Actor(NOBODY, Role.PUBLIC, self.address)


_visit: ContextVar[Visit] = ContextVar("visit")
#: Visits by the documents of Panel's pages.
_open: WeakKeyDictionary[Any, Visit] = WeakKeyDictionary()


def actor() -> Actor:
    """Who acts here: in a callback of a page, in a route. Nobody is a `Role.PUBLIC` one of the browser's address.

    Raises
    ------
    LookupError
        Where nobody can: outside of a request and of a page.
    """
    return visit().actor()


def visit() -> Visit:
    """The visit that this is done in; as `actor`."""
    document = pn.state.curdoc
    found = _open.get(document) if document is not None else None
    return found if found is not None else _visit.get()


@contextmanager
def visiting(visit: Visit) -> Iterator[None]:
    """What is done meanwhile is done in a visit."""
    token = _visit.set(visit)
    try:
        yield
    finally:
        _visit.reset(token)


@contextmanager
def acting(someone: Actor) -> Iterator[None]:
    """What is done meanwhile is done by somebody who needs no session: a program that uses the pages' code."""
    with visiting(Visit(None, "", someone.origin, someone)):
        yield


def keep_open() -> None:
    """The page that is being made belongs to the visit that asks for it, as long as it is open."""
    if pn.state.curdoc is not None and (here := _visit.get(None)) is not None:
        _open[pn.state.curdoc] = here


async def _signed() -> Actor:
    return actor()


#: Whoever sends a request, as a parameter of a route; the function he calls checks what he may.
Signed = Annotated[Actor, Depends(_signed)]
