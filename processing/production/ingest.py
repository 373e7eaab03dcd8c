"""Level-1C packages become catalogued dates: each is checked, put into ``l1c/<tile>/``, and queued in one transaction.

The package that was given stays as it is until its date is committed, so that nothing is lost whenever it stops.
"""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from uuid import uuid4

import sqlalchemy as sa
import structlog

from processing import bounded, l1c, timeline
from processing.errors import InputError, L1CError, MuscateError, OverLimit, StorageError, UnsafeArchive, printable
from processing.l1c import ground, packages
from processing.l1c.package import failed
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
#: What looking into a package may take: its metadata and the headers of its images. [bytes], [s]
READ_MEMORY, READ_SECONDS = 2_000_000_000, 300.0
#: The dates of a batch are due after this if its end never comes. [s]
BATCH_SECONDS = 3600.0


@dataclass(frozen=True)
class Ingested:
    """What became of one package: queued, or refused with the reason in one line."""

    name: str
    path: Path
    accepted: bool
    #: Why it was refused; of one that is queued, what of it was left out.
    reason: str | None = None
    #: Refused for a fault of its own; else the centre could not take it now, and it may be given again.
    bad: bool = False


@dataclass(frozen=True)
class _Read:
    """A package that was read: its granules, and why others of it can't be used."""

    package: Path
    granules: Sequence[l1c.Granule]
    faults: Sequence[MuscateError]

    @property
    def name(self) -> str:
        return named(self.package)


def named(package: Path) -> str:
    """The name that a package has in the store."""
    return printable(package.name.removesuffix(".zip").removesuffix(".SAFE"))


def prepare(settings: Settings, store: Store) -> None:
    """Bring sites and campaigns in line with the settings; safe to repeat."""
    with store.write() as session:
        store_sites.register_sites(session, known_sites())
        store_sites.open_campaigns(session, settings.versions)


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

    On the same file system a package is hard-linked, else copied. A bad one is refused and the others go on; so do the
    granules of a package of which others can't be used.

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
    readable: list[_Read] = []
    for package in [p for path in paths for p in packages(path)]:
        try:
            with _last_resort(package):
                readable.append(_read(package))
        except MuscateError as error:
            yield _refused(package, error)
    wait = settings.settle_seconds + (BATCH_SECONDS if len(readable) > 1 else 0)
    jobs: list[int] = []
    try:
        for read in sorted(readable, key=lambda read: min(g.sensing for g in read.granules)):
            try:
                with _last_resort(read.package):
                    queued, left_out = _take(settings, store, read, source, wait, (noticed or {}).get(read.package))
            except MuscateError as error:
                yield _refused(read.package, error)
                continue
            jobs += queued
            name, tiles = printable(read.package.name), sorted({g.tile for g in read.granules})
            without = "; ".join(error.fault if isinstance(error, InputError) else str(error) for error in left_out)
            log.info("queued", l1c=name, tiles=tiles, source=source, **({"without": without} if without else {}))
            yield Ingested(name, read.package, True, f"without {without}" if without else None)
    finally:
        if jobs and wait > settings.settle_seconds:
            with store.write() as session:
                catalogue.make_due(session, jobs, settings.settle_seconds)


def _refused(package: Path, error: MuscateError) -> Ingested:
    bad = isinstance(error, InputError)
    log.warning("refused", l1c=printable(package.name), reason=str(error))
    return Ingested(printable(package.name), package, False, str(error), bad)


@contextmanager
def _last_resort(package: Path) -> Iterator[None]:
    """A fault that has no name must not stop the other packages: it is this one's; the traceback is in the log."""
    try:
        yield
    except MuscateError:
        raise
    except OSError as error:
        log.exception("package failed", l1c=printable(package.name))
        raise failed(package, error, "can't be taken") from error
    except MemoryError as error:
        raise StorageError(f"{package}: not enough memory to read it now") from error
    except Exception as error:
        log.exception("package failed", l1c=printable(package.name))
        raise L1CError(package, f"can't be read: {type(error).__name__}: {error}") from error


def _read(package: Path) -> _Read:
    if package.exists() and not (package.is_file() or package.is_dir()):
        raise L1CError(package, "neither a file nor a folder")
    if package.exists():
        for _ in files(package):  # nothing is opened that one would wait for, or that lies elsewhere
            pass
    try:
        held = bounded.run(l1c.contents, package, memory=READ_MEMORY, seconds=READ_SECONDS)
    except OverLimit as error:
        raise L1CError(package, str(error)) from error
    return _Read(package, held.granules, held.unusable)


def _take(
    settings: Settings, store: Store, read: _Read, source: str, wait: float, seen: datetime | None
) -> tuple[list[int], list[MuscateError]]:
    """Check, put in place, catalogue; all tiles of a package in one transaction.

    Returns
    -------
    list of int
        The jobs, due after `wait` seconds.
    list of MuscateError
        Why granules of the package were left out.
    """
    package = read.package
    several = len(read.granules) + len(read.faults) > 1
    relative = _place(store, package, SEVERAL if several else read.granules[0].tile, several)
    size = sum(s.st_size for _, s in files(package))
    grounds = _grounds(settings, store, read)
    arrivals: list[catalogue.Arrival] = []
    faults = list(read.faults)
    for granule in sorted(read.granules, key=lambda g: g.tile):
        arrival = replace(_arrival(read, granule, source, relative, size), seen=seen)
        try:
            with store.read() as session:
                catalogue.refuse_known(session, arrival, grounds)
            granule.check()
        except InputError as error:
            if len(read.granules) == 1:
                raise
            faults.append(L1CError(package, f"tile {granule.tile}: {error.fault}"))
        else:
            arrivals.append(arrival)
    if not arrivals:
        raise faults[-1]
    growing = settings.l1c / relative.parent / f".{uuid4().hex}.partial"
    final = settings.l1c / relative
    try:
        with disk.storing(growing):
            growing.parent.mkdir(parents=True, exist_ok=True)
            _copy(package, growing)
        with store.write() as session:
            jobs = [job for arrival in arrivals for job in catalogue.add(session, arrival, wait, grounds)]
            with disk.storing(final):
                # What lies there was rejected, or was left by an ingest that was killed.
                remove(final)
                growing.rename(final)
                disk.sync(final.parent)
        return jobs, faults
    finally:
        remove(growing)


def _place(store: Store, package: Path, folder: str, several: bool) -> PurePosixPath:
    """Where a package goes in ``l1c/``; one of several tiles may come again, with those that it lacked."""
    with store.read() as session:
        for number in itertools.count(1):
            relative = PurePosixPath(folder if number == 1 else f"{folder}-{number}", printable(package.name))
            used = sa.select(Granule.id).where(Granule.path == str(relative), Granule.state != "rejected")
            if session.scalar(used.limit(1)) is None:
                return relative
            if not several:
                break
    raise InputError(package, "another package of this name is already there")


def _arrival(read: _Read, granule: l1c.Granule, source: str, relative: PurePosixPath, size: int) -> catalogue.Arrival:
    return catalogue.Arrival(
        tile=granule.tile,
        platform=granule.platform,
        datatake=granule.datatake_sensing,
        sensing=granule.sensing,
        relative_orbit=granule.relative_orbit,
        name=read.name,
        baseline=granule.baseline,
        datastrip=granule.datastrip,
        generation=granule.generation,
        source=source,
        path=str(relative),
        bytes=size,
        simulated=granule.simulated,
    )


def _grounds(settings: Settings, store: Store, read: _Read) -> dict[str, timeline.Ground]:
    """What a package of one tile and those of the same pass observed; empty where it is the first of its pass."""
    if len(read.granules) != 1:
        return {}
    granule = read.granules[0]
    with store.read() as session:
        there = catalogue.siblings(session, _arrival(read, granule, "", PurePosixPath(), 0))
        packages = {g.name: settings.l1c / g.path for g in there}
    if not packages or read.name in packages:
        return {}
    found = {read.name: ground.of(read.package, granule.tile)}
    found |= {name: ground.of(path, granule.tile) for name, path in packages.items()}
    return {name: seen for name, seen in found.items() if seen is not None}


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
        raise failed(package, error) from error


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
