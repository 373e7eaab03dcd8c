"""Who is there: the person behind a request, or behind a page that is open, as the `Actor` of what he does.

The door looks at the cookie of each request and says here who sent it (`Visit`); a page of Panel keeps the visit that
opened it. What changes something asks `actor` each time it is done, and the store is asked each time whether the
session still holds: one that was revoked is over at once.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from weakref import WeakKeyDictionary, WeakValueDictionary

import panel as pn
from fastapi import Depends

from processing.errors import StoreError
from processing.people import VISITOR, Actor, Role
from processing.store import people as kept

if TYPE_CHECKING:
    from processing.store import Store


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
    form_token : str
        What his forms have to bring along.
    visitor : str
        What a browser without a session is known by, so that its forms can be told from a stranger's.
    fixed : Actor or None
        Somebody who needs no session.
    """

    store: Store | None
    token_sha: str
    address: str
    form_token: str = ""
    visitor: str = ""
    fixed: Actor | None = None

    @property
    def nobody(self) -> Actor:
        """Who acts where nobody has signed in."""
        return Actor(VISITOR, Role.PUBLIC, self.address)

    def actor(self) -> Actor:
        """As whom he may act now; the store is asked."""
        return self.fixed or self.signed() or self.nobody

    def signed(self) -> Actor | None:
        """Who has signed in, if his session holds; the store is asked."""
        if self.store is None or not self.token_sha:
            return None
        with self.store.read() as session:
            found = kept.held(session, self.token_sha)
        if found is None:
            return None
        if datetime.now(UTC) - found.seen > kept.SEEN:
            with self.store.write() as session:
                kept.note_seen(session, self.token_sha)
        return Actor(found.person.name, Role(found.person.role), self.address)

    @property
    def over(self) -> bool:
        """Whether he had signed in, and his session is over."""
        return bool(self.token_sha) and self.fixed is None and self.signed() is None


_visit: ContextVar[Visit] = ContextVar("visit")
#: Visits by the documents of Panel's pages.
_open: WeakKeyDictionary[Any, Visit] = WeakKeyDictionary()
#: Documents by a word that only their page knows.
_words: WeakValueDictionary[str, Any] = WeakValueDictionary()


def actor() -> Actor:
    """Who acts here: in a callback of a page, in a route. Nobody is a `Role.PUBLIC` one of the browser's address.

    Raises
    ------
    LookupError
        Where nobody can: outside of a request and of a page.
    """
    return visit().actor()


def reader() -> Actor:
    """Who reads here, to be shown: as `actor`, and nobody while the store can't say it."""
    here = visit()
    try:
        return here.actor()
    except StoreError:
        return here.nobody


def visit(document: Any = None) -> Visit:
    """The visit that this is done in, or that a document belongs to; as `actor`."""
    document = document if document is not None else pn.state.curdoc
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
    with visiting(Visit(None, "", someone.origin, fixed=someone)):
        yield


def keep_open() -> str:
    """The page that is being made belongs to the visit that asks for it, as long as it is open.

    Gives the word by which its reader, once his session is over, goes on with another one (`go_on`).
    """
    document, here = pn.state.curdoc, _visit.get(None)
    if document is None or here is None:
        return ""
    _open[document] = here
    word = secrets.token_urlsafe(16)
    _words[word] = document
    return word


def go_on(word: str, new: Visit) -> bool:
    """Let a page that is open go on in another session of the same person; whether it does.

    Only of the same: else whoever sends somebody a link with his own page's word would have that page act for him.
    """
    document = _words.get(word)
    old = _open.get(document) if document is not None else None
    if old is None or old.store is None or not old.token_sha:
        return False
    with old.store.read() as session:
        same = kept.person_of(session, old.token_sha) == kept.person_of(session, new.token_sha)
    if same:
        _open[document] = new
    return same


def _actor() -> Actor:
    return actor()


#: Whoever sends a request, as a parameter of a route; the function he calls checks what he may.
Signed = Annotated[Actor, Depends(_actor)]
