"""A copy of the store while the centre runs, which is opened and counted before it is called one."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from processing.errors import StorageError, StoreError
from processing.product import disk
from processing.store import Store
from processing.store.models import Base

#: Tables of which the copy has to have as many rows as there were, or more.
COUNTED = ("acquisition", "granule", "job", "attempt", "product", "quality", "event", "verdict", "person")


def backup(store: Store, folder: Path) -> dict[str, Any]:
    """Write the store into a file of a folder and read it again; its path, size and rows, as JSON-ready values.

    SQLite's is a database that takes the place of ``muscate.db``; Postgres's is for ``pg_restore``.

    Raises
    ------
    StorageError
        If it can't be written.
    StoreError
        If the database can't be read, its tools are not there, or what was written is not whole.
    """
    with store.read() as session:
        rows = {
            name: session.scalar(sa.select(sa.func.count()).select_from(Base.metadata.tables[name])) or 0
            for name in COUNTED
        }
    with disk.storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    kind = ".db" if store.is_sqlite else ".dump"
    final = folder / f"muscate-{datetime.now(UTC):%Y%m%dT%H%M%SZ}{kind}"
    growing = folder / f".{final.name}.partial"
    growing.unlink(missing_ok=True)
    try:
        if store.is_sqlite:
            found = _sqlite(store, growing)
            if lacking := [name for name in COUNTED if found[name] < rows[name]]:
                raise StoreError(f"{growing}: has not all rows of {', '.join(lacking)}")
        else:
            _postgres(store, growing)
        with disk.storing(final), growing.open("rb") as file:
            os.fsync(file.fileno())
            growing.rename(final)
            disk.sync(folder)
    finally:
        growing.unlink(missing_ok=True)
    return {"path": str(final), "bytes": final.stat().st_size, "rows": rows}


def _sqlite(store: Store, path: Path) -> dict[str, int]:
    """SQLite's own copy, of one moment; its rows by table."""
    try:
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            raw = connection.connection.driver_connection
            assert isinstance(raw, sqlite3.Connection)
            raw.commit()
            raw.execute("VACUUM INTO ?", (str(path),))
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as copy:
            (sound,) = copy.execute("PRAGMA integrity_check").fetchone()
            if sound != "ok":
                raise StoreError(f"{path}: {sound}")
            return {name: copy.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in COUNTED}  # nosec B608
    except sqlite3.OperationalError as error:
        raise StorageError(f"{path}: can't be written: {error}") from error


def _postgres(store: Store, path: Path) -> None:
    """What pg_dump writes, and pg_restore can read."""
    url = store.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    for command in (["pg_dump", "--format=custom", f"--file={path}", url], ["pg_restore", "--list", str(path)]):
        if shutil.which(command[0]) is None:
            raise StoreError(f"{command[0]} is not on this machine: it comes with Postgres")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise StoreError(f"{command[0]}: {' '.join(done.stderr.split())}")
        listed = done.stdout
    if lacking := [name for name in COUNTED if f"TABLE DATA public {name} " not in listed]:
        raise StoreError(f"{path}: has no rows of {', '.join(lacking)}")
