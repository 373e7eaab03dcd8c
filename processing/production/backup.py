"""A copy of the store and of what else a home has of its own, made while the centre runs and read before it counts.

Two files lie side by side: the database, and an archive of the home's small files with the sums of both. What is large
or made again from the rest stays out: products and states, Level-1C, the inbox, logs, and caches.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

import sqlalchemy as sa

from processing import __version__
from processing.distribution import transfer
from processing.errors import StorageError, StoreError, WrongSetting
from processing.product import disk
from processing.production.publish import MANIFEST
from processing.settings import Settings
from processing.store import Store
from processing.store.models import Base, Product

#: Tables of which the copy has to have as many rows as there were, or more.
COUNTED = ("acquisition", "granule", "job", "attempt", "product", "quality", "event", "verdict", "person")
#: Of a home: what a copy leaves out. What begins with a dot is a lock or grows.
LEFT_OUT = frozenset({"archive", "state", "l1c", "inbox", "logs", "terrain", "public"})
#: The end of the name of the archive of a home's files, and its first member.
HOME, SUMS = ".home.tar.gz", "backup.json"


def backup(store: Store, settings: Settings, folder: Path) -> dict[str, Any]:
    """Write the store and the home's own files into a folder and read them again; what there is, as JSON-ready values.

    SQLite's is a database that takes the place of ``muscate.db``; Postgres's is for ``pg_restore``; `restore` puts
    either back. Keys: ``path`` and ``bytes`` of the database, its ``rows``, ``home`` (the other file), ``files``.

    Raises
    ------
    StorageError
        If they can't be written, or a file of the home not be read.
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
    growing = {path: folder / f".{path.name}.partial" for path in (final.with_suffix(HOME), final)}
    try:
        for path in growing.values():
            path.unlink(missing_ok=True)
        copy = growing[final]
        if store.is_sqlite:
            found = _sqlite(store, copy)
            if lacking := [name for name in COUNTED if found[name] < rows[name]]:
                raise StoreError(f"{copy}: has not all rows of {', '.join(lacking)}")
        else:
            _postgres(store, copy)
        sums = {"database": final.name, "sha256": transfer.digest(copy), "rows": rows, "program": __version__}
        files = _write_home(settings.home, growing[final.with_suffix(HOME)], sums)
        for path, partial in growing.items():  # the database last: where it is there, all of it is
            partial.chmod(0o600)  # it has the hashes of passwords, and what sessions are signed with
            with disk.storing(path), partial.open("rb") as file:
                os.fsync(file.fileno())
                partial.rename(path)
        disk.sync(folder)
    finally:
        for path in growing.values():
            with suppress(OSError):
                path.unlink(missing_ok=True)
    told = {"path": str(final), "bytes": final.stat().st_size, "rows": rows}
    return {**told, "home": str(final.with_suffix(HOME)), "files": files}


def _own_files(home: Path) -> Iterator[Path]:
    """Files of a home that are nowhere else."""
    for entry in sorted(home.iterdir()):
        if entry.name in LEFT_OUT or entry.name.startswith((".", "muscate.db")):
            continue
        found = sorted(entry.rglob("*")) if entry.is_dir() else [entry]
        yield from (path for path in found if path.is_file() and not path.name.startswith("."))


def _write_home(home: Path, target: Path, sums: dict[str, Any]) -> int:
    """Write the files of a home with the sums of all, and read them again; how many there are."""
    contents = {}
    for path in _own_files(home):
        try:
            contents[path.relative_to(home).as_posix()] = path.read_bytes(), path.stat().st_mode & 0o777
        except FileNotFoundError:  # it went meanwhile
            continue
        except OSError as error:
            raise StorageError(f"{path}: can't be read: {error.strerror}") from error
    listed = {name: sha256(content).hexdigest() for name, (content, _) in contents.items()}
    told = json.dumps(sums | {"files": listed}, indent=1).encode()
    with disk.storing(target), gzip.open(target, "wb") as packed, tarfile.open(fileobj=packed, mode="w") as archive:
        members = {SUMS: (told, 0o600)} | {f"home/{name}": one for name, one in contents.items()}
        for name, (content, mode) in members.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))
    _read_home(target)
    return len(contents)


def _read_home(path: Path) -> tuple[dict[str, Any], dict[str, tuple[bytes, int]]]:
    """The sums of a copy, and the files of the home by their names, each held against its sum.

    Raises
    ------
    StorageError
        If it can't be read, or is not whole.
    """
    try:
        with tarfile.open(path, "r:gz") as archive:
            read = {m.name: (_content(archive, m), m.mode & 0o777) for m in archive if m.isfile()}
        told = json.loads(read.pop(SUMS)[0])
        files = {name.removeprefix("home/"): one for name, one in read.items()}
        listed: dict[str, str] = told["files"]
    except (OSError, tarfile.TarError, zlib.error, EOFError, ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{path}: is not the copy of a home: {error}") from error
    strange = [name for name in files if ".." in PurePosixPath(name).parts or PurePosixPath(name).is_absolute()]
    broken = [name for name in listed if name not in files or sha256(files[name][0]).hexdigest() != listed[name]]
    if wrong := sorted({*strange, *broken, *(files.keys() - listed.keys())}):
        raise StorageError(f"{path}: is not whole: {', '.join(wrong[:5])}")
    return told, files


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    opened = archive.extractfile(member)
    assert opened is not None  # it is a file
    return opened.read()


def restore(store: Store, settings: Settings, copy: Path) -> dict[str, Any]:
    """Put a copy into an empty store and its home, each file held against its sum; what came back, JSON-ready.

    A file that the home has already stays as it is. Keys: ``rows``, ``files`` (written), ``kept`` (there already, with
    other contents), ``lacking`` (products that the store has and the archive has not).

    Raises
    ------
    WrongSetting
        If the store is not empty, or the copy is of the other kind of database.
    StorageError, StoreError
        If the copy is not whole, or can't be written; the store is then as it was.
    """
    kind = ".db" if store.is_sqlite else ".dump"
    if copy.suffix != kind:
        raise WrongSetting(f"{copy}: a copy for {store.engine.dialect.name} is a file {kind}")
    told, files = _read_home(copy.with_suffix(HOME))
    try:
        found = transfer.digest(copy)
    except OSError as error:
        raise StorageError(f"{copy}: can't be read: {error.strerror}") from error
    if found != told["sha256"]:
        raise StorageError(f"{copy}: is not what was copied: its sum is another")
    if store.is_sqlite:
        _into_sqlite(store, copy)
    else:
        _into_postgres(store, copy)
    written, kept = _into_home(settings.home, files)
    store.upgrade(explicit=True)
    with store.read() as session:
        rows = {
            name: session.scalar(sa.select(sa.func.count()).select_from(Base.metadata.tables[name])) or 0
            for name in COUNTED
        }
        paths = session.scalars(sa.select(Product.path).where(Product.current))
        lacking = sum(not (settings.archive / path / MANIFEST).is_file() for path in paths)
    if short := [name for name in COUNTED if rows[name] < told["rows"][name]]:
        raise StoreError(f"{copy}: has not all rows of {', '.join(short)}")
    return {"rows": rows, "files": written, "kept": kept, "lacking": lacking}


def _into_sqlite(store: Store, copy: Path) -> None:
    target = Path(store.engine.url.database or "")
    if target.exists():
        raise WrongSetting(f"{target}: is there already: a copy takes the place of no store")
    partial = target.with_name(f".{target.name}.partial")
    with disk.storing(target):
        try:
            shutil.copyfile(copy, partial)
            _counted(partial)
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            for rest in ("-wal", "-shm"):  # of the store that was lost
                target.with_name(target.name + rest).unlink(missing_ok=True)
            partial.rename(target)
            disk.sync(target.parent)
        finally:
            partial.unlink(missing_ok=True)


def _into_postgres(store: Store, copy: Path) -> None:
    with store.read() as session:
        if sa.inspect(session.connection()).get_table_names():
            raise WrongSetting(f"{store.engine.url.database}: has tables already: a copy wants an empty database")
    options = ("--no-owner", "--single-transaction", "--exit-on-error")
    _tool(store, "pg_restore", *options, f"--dbname={_address(store)}", str(copy))


def _into_home(home: Path, files: dict[str, tuple[bytes, int]]) -> tuple[list[str], list[str]]:
    """Write what is not there; the names of what was written, and of what was there with other contents."""
    written, kept = [], []
    for name, (content, mode) in files.items():
        path = home / name
        if path.exists():
            if path.read_bytes() != content:
                kept.append(name)
            continue
        with disk.storing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{path.name}.partial")
            partial.unlink(missing_ok=True)
            partial.touch(mode)
            partial.write_bytes(content)
            disk.move(partial, path)
        written.append(name)
    return written, kept


def _sqlite(store: Store, path: Path) -> dict[str, int]:
    """SQLite's own copy, of one moment; its rows by table."""
    try:
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            raw = connection.connection.driver_connection
            assert isinstance(raw, sqlite3.Connection)
            raw.commit()
            raw.execute("VACUUM INTO ?", (str(path),))
        return _counted(path)
    except sqlite3.OperationalError as error:
        raise StorageError(f"{path}: can't be written: {error}") from error


def _counted(path: Path) -> dict[str, int]:
    """Rows by table of a database that is sound."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as copy:
            (sound,) = copy.execute("PRAGMA integrity_check").fetchone()
            if sound != "ok":
                raise StoreError(f"{path}: {sound}")
            return {name: copy.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in COUNTED}  # nosec B608
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path}: is no whole database: {error}") from error


def _postgres(store: Store, path: Path) -> None:
    """What pg_dump writes, and pg_restore can read."""
    _tool(store, "pg_dump", "--format=custom", f"--file={path}", _address(store))
    listed = _tool(store, "pg_restore", "--list", str(path))
    if lacking := [name for name in COUNTED if f"TABLE DATA public {name} " not in listed]:
        raise StoreError(f"{path}: has no rows of {', '.join(lacking)}")


def _address(store: Store) -> str:
    """Of a Postgres, without the password: other users of this machine see command lines."""
    return store.engine.url.set(drivername="postgresql", password=None).render_as_string()


def _tool(store: Store, *command: str) -> str:
    """What one of Postgres's programs says."""
    if shutil.which(command[0]) is None:
        raise StoreError(f"{command[0]} is not on this machine: it comes with Postgres")
    password = {"PGPASSWORD": str(store.engine.url.password)} if store.engine.url.password else {}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | password)
    if done.returncode:
        raise StoreError(f"{command[0]}: {' '.join(done.stderr.split())}")
    return done.stdout
