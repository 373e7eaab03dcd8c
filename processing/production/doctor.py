"""Whether this machine and this home can do what a centre asks of them, one line for each thing that was tried."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from processing.errors import MuscateError, StorageError, WrongSetting
from processing.home import network_file_system
from processing.production import executors, worker
from processing.settings import Settings
from processing.store import Store
from processing.store.dialect import now

#: Hosts whose clocks differ more are told so. [s]
SKEW_SECONDS = 2.0


@dataclass(frozen=True)
class Answer:
    """What was tried, whether it went well, and in words how."""

    what: str
    well: bool
    how: str


def examine(settings: Settings) -> Iterator[Answer]:
    """Try all of it; what fails ends nothing else."""
    tried: dict[str, Callable[[Settings], str]] = {
        "database": _database,
        "clock": _clock,
        "file system": _file_system,
        "folders": _folders,
        "disk": _disk,
        "locks": _locks,
        "terrain": _terrain,
        "executor": _executor,
        "libraries": _libraries,
    }
    for what, look in tried.items():
        try:
            yield Answer(what, True, look(settings))
        except (MuscateError, OSError) as error:
            yield Answer(what, False, " ".join(str(error).split()))


def _database(settings: Settings) -> str:
    store = Store(settings.url)
    try:
        store.upgrade()
        with store.write() as session:
            now(session)
        return f"{store.engine.dialect.name}, tables of this program, can be written"
    finally:
        store.dispose()


def _clock(settings: Settings) -> str:
    store = Store(settings.url)
    with store.read() as session:
        apart = (datetime.now(UTC) - now(session)).total_seconds()
    store.dispose()
    if abs(apart) > SKEW_SECONDS:
        raise WrongSetting(f"{apart:+.1f} s from the database's: leases go by the database's, logs by this one")
    return f"{apart:+.2f} s from the database's"


def _file_system(settings: Settings) -> str:
    kind = network_file_system(settings.home)
    if kind is None:
        return "local"
    if not settings.database_url:
        raise WrongSetting(
            f"{settings.home} is on {kind}: SQLite is not safe there; MUSCATE_DATABASE_URL names a Postgres"
        )
    return f"{kind}, with Postgres for the store"


def _folders(settings: Settings) -> str:
    folders = (settings.inbox, settings.l1c, settings.archive, settings.state, settings.logs)
    for folder in folders:
        probe = folder / f".doctor-{os.getpid()}"
        try:
            probe.write_bytes(b"x")
            probe.rename(probe.with_suffix(".renamed"))
            probe.with_suffix(".renamed").unlink()
        except OSError as error:
            raise StorageError(f"{folder}: {error.strerror}") from error
    return "all can be written"


def _disk(settings: Settings) -> str:
    free = shutil.disk_usage(settings.archive).free / 1e9
    if free < settings.min_free_gb:
        raise StorageError(
            f"{free:.1f} GB free in {settings.archive}, {settings.min_free_gb:.1f} wanted: nothing starts"
        )
    return f"{free:.1f} GB free in the archive"


def _locks(settings: Settings) -> str:
    path = settings.home / f".doctor-{os.getpid()}"
    try:
        with path.open("w") as first, path.open("w") as second:
            fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return "keep others out"
        raise StorageError(f"{settings.home}: locks keep nobody out: two watchers could run on it")
    finally:
        path.unlink(missing_ok=True)


def _terrain(settings: Settings) -> str:
    if settings.dem is None:
        return "none: the ground is taken as flat"
    if str(settings.dem) == "glo30":
        return "Copernicus GLO-30, fetched when needed"
    if not settings.dem.exists():
        raise WrongSetting(f"MUSCATE_DEM: {settings.dem}: no such file or folder")
    if settings.dem.is_dir() and not any(p.is_file() for p in settings.dem.rglob("*")):
        raise WrongSetting(f"MUSCATE_DEM: {settings.dem}: nothing is in it")
    return str(settings.dem)


def _executor(settings: Settings) -> str:
    if settings.executor == "local":
        return f"{settings.workers} at once on this host"
    executors.reach(settings)
    return f"{settings.executor} answers" if settings.joins else f"{settings.executor}, {settings.workers} jobs"


def _libraries(settings: Settings) -> str:
    wanted = ["rasterio", "numba", "sqlalchemy", *(["psycopg"] if settings.database_url else [])]
    if settings.executor != "local":
        wanted += ["distributed"] if settings.joins else ["distributed", "dask_jobqueue"]
    if lacking := [name for name in wanted if importlib.util.find_spec(name) is None]:
        raise WrongSetting(f"not installed: {', '.join(lacking)}")
    return "there" if worker.is_warm() else "there; the kernels are not compiled yet (muscate warmup)"
