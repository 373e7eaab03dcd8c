"""The store: the only truth about what was seen, what is to be done, what was made and how.

SQLite in the centre's home by default, Postgres by URL. `models` has the tables; `sites`, `catalogue`, `lease`,
`outcomes`, `orders`, `bulletins` and `upkeep` have the verbs, each a function that works inside one transaction;
`search` finds products; `passes` those passes that should have come, `whereabouts` what became of a date, `standing`
how the centre stands; `checks` has the promises as SQL.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing.errors import StoreError


class _Turn:
    """Writers of one process take turns: those who wait for SQLite's own lock sleep, and longer than it is held."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __enter__(self) -> None:
        if not self.lock.acquire(timeout=BUSY_SECONDS):
            raise StoreError("database is locked")

    def __exit__(self, *_: object) -> None:
        self.lock.release()


#: By the addresses of databases.
_turns: dict[str, _Turn] = {}


def _afresh() -> None:
    """In a forked process: whoever had a turn is not in it."""
    for turn in _turns.values():
        turn.lock = threading.Lock()


os.register_at_fork(after_in_child=_afresh)

MIGRATIONS = Path(__file__).parent / "migrations"
#: How long a writer waits for another one. [s]
BUSY_SECONDS = 30
#: How long SQLite waits by itself before a writer asks again. Left to it, its pauses grow to 0.1 s. [ms]
LOOK_MILLISECONDS = 3


class Store:
    """The database of a centre.

    Parameters
    ----------
    url : str
        SQLAlchemy URL: ``sqlite:///...`` or ``postgresql+psycopg://...``.

    Raises
    ------
    StoreError
        From every method: the database can't be reached, is locked or has another schema.
    """

    def __init__(self, url: str) -> None:
        try:
            self.engine = sa.create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
        except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ImportError) as error:
            raise StoreError(f"database URL: {_line(error)}") from error
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        if self.is_sqlite:
            sa.event.listen(self.engine, "connect", _on_sqlite_connect)
            sa.event.listen(self.engine, "begin", _on_sqlite_begin)
        self._writer = self.engine.execution_options(immediate=True)
        self._turn: AbstractContextManager[object] = (
            _turns.setdefault(url, _Turn()) if self.is_sqlite and self.engine.url.database else nullcontext()
        )

    def read(self) -> AbstractContextManager[Session]:
        """Context manager of a session to look with; it never keeps a change."""
        return self._session(self.engine, commit=False)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Context manager of one transaction: committed whole at the end, or not at all if something is raised."""
        with self._turn, self._session(self._writer, commit=True) as session:
            yield session

    @contextmanager
    def _session(self, engine: sa.Engine, *, commit: bool) -> Iterator[Session]:
        try:
            with Session(engine, expire_on_commit=False) as session:
                yield session
                if commit:
                    session.commit()
        except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
            raise StoreError(_line(error)) from error

    def upgrade(self, *, explicit: bool = False) -> None:
        """Bring the schema to this program's version.

        SQLite is upgraded at every start. Postgres, which several hosts may share, only when `explicit`
        (``muscate db upgrade``); else a schema that differs is refused.

        Raises
        ------
        StoreError
            If the schema is newer than the program, or older and not to be upgraded now.
        """
        # Slow to import, and most sessions need neither.
        from alembic import command
        from alembic.config import Config
        from alembic.migration import MigrationContext
        from alembic.script import ScriptDirectory

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        script = ScriptDirectory.from_config(config)
        head = script.get_current_head()
        try:
            # One transaction that holds the write lock: two parts that start at once can't both upgrade.
            with self._writer.begin() as connection:
                if not self.is_sqlite:
                    connection.execute(sa.text("SELECT pg_advisory_xact_lock(7065736)"))
                found = MigrationContext.configure(connection).get_current_revision()
                if found == head:
                    return
                if found is not None and found not in {s.revision for s in script.walk_revisions()}:
                    raise StoreError(f"the database has schema {found}, newer than this program's {head}")
                if not (self.is_sqlite or explicit):
                    raise StoreError(
                        f"the database has schema {found or 'none'}, this program needs {head}: run muscate db upgrade"
                    )
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
            raise StoreError(_line(error)) from error

    def dispose(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _line(error: Exception) -> str:
    """The driver's words in one line, without the statement."""
    return " ".join(str(getattr(error, "orig", None) or error).split())


def _on_sqlite_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun by `_on_sqlite_begin`, not by the driver
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {BUSY_SECONDS * 1000}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _on_sqlite_begin(connection: sa.Connection) -> None:
    # A transaction that reads first and writes later could not wait for the lock: writers take it at once.
    if not connection.get_execution_options().get("immediate", False):
        connection.exec_driver_sql("BEGIN")
        return
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    end = time.monotonic() + BUSY_SECONDS
    raw.execute(f"PRAGMA busy_timeout = {LOOK_MILLISECONDS}")
    try:
        while time.monotonic() < end:
            try:
                raw.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    break
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # or it says what is wrong, as every statement does
    finally:
        raw.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
