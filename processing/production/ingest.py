"""Level-1C packages become catalogued dates: each is checked, put into ``l1c/<tile>/``, and queued in one transaction.

The package that was given stays as it is until its date is committed, so that nothing is lost whenever it stops.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from uuid import uuid4

import sqlalchemy as sa
import structlog

from processing import l1c
from processing.errors import InputError, L1CError, MuscateError, UnsafeArchive
from processing.product import disk
from processing.settings import Settings
from processing.sites import sites as known_sites
from processing.store import Store, catalogue
from processing.store import sites as store_sites
from processing.store.models import Granule

log = structlog.get_logger(__name__)

#: Folder of ``l1c/`` for packages with several tiles.
SEVERAL = "several"
SUFFIXES = (".SAFE", ".zip")
#: The dates of a batch are due after this if its end never comes. [s]
BATCH_SECONDS = 3600.0


@dataclass(frozen=True)
class Ingested:
    """What became of one package: queued, or refused with the reason in one line."""

    name: str
    path: Path
    accepted: bool
    reason: str | None = None
    #: Refused for a fault of its own; else the centre could not take it now, and it may be given again.
    bad: bool = False


def prepare(settings: Settings, store: Store) -> None:
    """Bring sites and campaigns in line with the settings; safe to repeat."""
    with store.write() as session:
        store_sites.register_sites(session, known_sites())
        store_sites.open_campaigns(session, settings.versions)


def packages(path: Path) -> list[Path]:
    """The packages that a path means: itself, or those that a folder of packages holds."""
    if path.is_dir() and path.suffix != ".SAFE" and not any(path.glob("*.xml")):
        held = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES and not p.name.startswith("."))
        if held:
            return held
    return [path]


def ingest(
    settings: Settings,
    store: Store,
    paths: Iterable[Path],
    source: str = "ingest",
    noticed: Mapping[Path, datetime] | None = None,
) -> Iterator[Ingested]:
    """Catalogue and queue packages, oldest date first; the given files stay where they are.

    What is given together is due together, when all of it is catalogued: the first date of a tile begins with the
    later ones.

    On the same file system a package is hard-linked, else copied. A bad one is refused and the others go on.

    Parameters
    ----------
    noticed : mapping of Path to datetime
        When packages were seen first, where that was before now.

    Yields
    ------
    Ingested
        One for each package, those that can't be read first.
    """
    prepare(settings, store)
    readable: list[tuple[Path, list[l1c.Granule]]] = []
    for package in [p for path in paths for p in packages(path)]:
        try:
            readable.append((package, _read(package)))
        except MuscateError as error:
            yield _refused(package, error)
    wait = settings.settle_seconds + (BATCH_SECONDS if len(readable) > 1 else 0)
    jobs: list[int] = []
    try:
        for package, held in sorted(readable, key=lambda item: min(g.sensing for g in item[1])):
            try:
                jobs += _take(settings, store, package, held, source, wait, (noticed or {}).get(package))
            except MuscateError as error:
                yield _refused(package, error)
            else:
                log.info("queued", l1c=package.name, tiles=[g.tile for g in held], source=source)
                yield Ingested(package.name, package, True)
    finally:
        if jobs and wait > settings.settle_seconds:
            with store.write() as session:
                catalogue.make_due(session, jobs, settings.settle_seconds)


def _refused(package: Path, error: MuscateError) -> Ingested:
    bad = isinstance(error, InputError)
    log.warning("refused", l1c=package.name, reason=str(error))
    return Ingested(package.name, package, False, str(error), bad)


def _read(package: Path) -> list[l1c.Granule]:
    if package.exists() and not (package.is_file() or package.is_dir()):
        raise L1CError(package, "neither a file nor a folder")
    try:
        return l1c.granules(package)
    except (MuscateError, MemoryError):
        raise
    except Exception as error:
        # A fault the reader has no name for must not stop the other packages; the traceback is in the log.
        log.exception("reader failed", l1c=package.name)
        raise L1CError(package, f"can't be read: {type(error).__name__}: {error}") from error


def _take(
    settings: Settings,
    store: Store,
    package: Path,
    held: Sequence[l1c.Granule],
    source: str,
    wait: float,
    seen: datetime | None,
) -> list[int]:
    """Check, put in place, catalogue; all tiles of a package in one transaction. The jobs, due after `wait` seconds."""
    name = package.name.removesuffix(".zip").removesuffix(".SAFE")
    folder = held[0].tile if len(held) == 1 else SEVERAL
    relative = PurePosixPath(folder, package.name)
    size = sum(s.st_size for _, s in files(package))
    arrivals = [
        catalogue.Arrival(
            tile=g.tile,
            platform=g.platform,
            datatake=g.datatake_sensing,
            sensing=g.sensing,
            relative_orbit=g.relative_orbit,
            name=name,
            baseline=g.baseline,
            datastrip=g.datastrip,
            generation=g.generation,
            source=source,
            path=str(relative),
            bytes=size,
            simulated=g.simulated,
            seen=seen,
        )
        for g in sorted(held, key=lambda g: g.tile)
    ]
    with store.read() as session:
        for arrival in arrivals:
            catalogue.refuse_known(session, arrival)
        used = sa.select(Granule.id).where(Granule.path == str(relative), Granule.state != "rejected")
        if session.scalar(used.limit(1)) is not None:
            raise InputError(package, "another package of this name is already there")
    for granule in held:
        granule.check()
    growing = settings.l1c / folder / f".{uuid4().hex}.partial"
    final = settings.l1c / relative
    try:
        with disk.storing(growing):
            growing.parent.mkdir(parents=True, exist_ok=True)
            _copy(package, growing)
        with store.write() as session:
            jobs = [job for arrival in arrivals for job in catalogue.add(session, arrival, wait)]
            with disk.storing(final):
                # What lies there was rejected, or was left by an ingest that was killed.
                remove(final)
                growing.rename(final)
                disk.sync(final.parent)
        return jobs
    finally:
        remove(growing)


def files(package: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Files of a package, sorted, with their status.

    Raises
    ------
    UnsafeArchive
        If the package holds a link, a device or anything else that is neither file nor folder.
    L1CError
        If it can't be read.
    """
    try:
        top = package.stat()  # the package itself may be a link that somebody put into the inbox
        if stat.S_ISREG(top.st_mode):
            yield package, top
            return
        for path in sorted(package.rglob("*")):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                yield path, status
            elif not stat.S_ISDIR(status.st_mode):
                raise UnsafeArchive(package, f"holds a link or device: {path.relative_to(package)}")
    except OSError as error:
        raise L1CError(package, f"can't be read: {error.strerror or error}") from error


def _copy(package: Path, target: Path) -> None:
    """Hard-link a package where the file system allows, else copy it; down to the disk."""
    top = package.is_dir()
    for path, _ in list(files(package)):
        there = target / path.relative_to(package) if top else target
        there.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path.resolve(), there)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
                raise
            shutil.copy2(path, there)
        handle = os.open(there, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def same_files(package: Path, other: Path) -> bool:
    """Whether two packages are hard links to the same files."""
    if not other.exists():
        return False
    ours = {(s.st_dev, s.st_ino) for _, s in files(package)}
    return bool(ours) and ours == {(s.st_dev, s.st_ino) for _, s in files(other)}
