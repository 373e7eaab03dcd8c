"""Somebody who acts in a test, and who has signed in to a web."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import panel as pn
import sqlalchemy as sa
from bokeh.io import doc
from fastapi import FastAPI
from fastapi.testclient import TestClient

from processing.people import Actor, Role
from processing.settings import Settings
from processing.store import Store, people
from processing.store.models import Person

#: Whose role reaches everything that is done to dates.
OPERATOR = Actor("olga", Role.OPERATOR, "test")
ADMIN = Actor("ada", Role.ADMIN, "test")
ANNA, BEN = (Actor(name, Role.SCIENTIST, "test") for name in ("anna", "ben"))


def scientist(name: str) -> Actor:
    return Actor(name, Role.SCIENTIST, "test")


def cookie(settings: Settings, store: Store, name: str = "anna", role: Role = Role.ADMIN) -> dict[str, str]:
    """Name and value of the cookie of somebody who has signed in; made known where he is not."""
    with store.write() as session:
        person = session.scalar(sa.select(Person).where(Person.name == name))
        person = person or people.add(session, name, role, ADMIN, None)
        token = people.begin(session, person, "127.0.0.1", "a test", "test")
    return {"name": f"muscate-{settings.port}", "value": token}


def by(centre: tuple[TestClient, Settings, Store], role: Role) -> TestClient:
    """The browser before a centre, now of somebody with a role and nobody else."""
    client, settings, store = centre
    client.cookies.clear()
    if role is not Role.PUBLIC:
        client.cookies.set(**cookie(settings, store, f"some {role}", role))
    return client


@contextmanager
def entered(app: FastAPI, base: str = "http://localhost:5006") -> Iterator[TestClient]:
    """A browser before a web in this process, whose pages leave no document behind that later tests would write to."""
    with TestClient(app, base_url=base, follow_redirects=False) as client:
        yield client
    doc._PATCHED_CURDOCS.clear()
    pn.state._curdoc.set(None)
