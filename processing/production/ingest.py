"""Level-1C packages become catalogued dates: each is checked, put into ``l1c/<tile>/``, and queued in one transaction.

The package that was given stays as it is until its date is committed, so that nothing is lost whenever it stops. What
the centre keeps is a copy of its own, which nobody changes by writing to the given file.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import shutil
import stat
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from uuid import uuid4

import sqlalchemy as sa
import structlog

from processing import bounded, known, l1c, timeline
from processing.errors import (
    InputError,
    L1CError,
    MuscateError,
    OverLimit,
    StorageError,
    Unrecognised,
    UnsafeArchive,
    printable,
)
from processing.l1c import ground, packages
from processing.l1c.package import MAX_MEMBERS, MAX_UNPACKED, failed
from processing.naming import bare
from processing.product import disk
from processing.settings import Settings
from processing.sites import of_home
from processing.storage import remove
from processing.store import Store, catalogue, formats
from processing.store import sites as store_sites
from processing.store.dialect import now
from processing.store.models import Granule, HeldPackage

log = structlog.get_logger(__name__)

#: Folder of ``l1c/`` for packages with several tiles.
SEVERAL = "several"
SUFFIXES = (".SAFE", ".zarr", ".zip")
#: What looking into a package may take: its metadata and the headers of its images. [bytes], [s]
READ_MEMORY, READ_SECONDS = 2_000_000_000, 300.0
#: The source whose files are the centre's own.
INBOX = "inbox"
#: The dates of a tile that come together are due so long after whoever catalogues them was heard of last, and how often
#: that is. [s]
BATCH_SECONDS, RENEW_SECONDS = 60.0, 20.0
#: Linux's ioctl that has two files share their blocks until one of them is written to.
FICLONE = 0x40049409


@dataclass(frozen=True)
class Ingested:
    """What became of one package: queued, held, or refused with the reason in one line."""

    name: str
    path: Path
    accepted: bool
    #: Why it was refused; of one that is queued, what of it was left out.
    reason: str | None = None
    #: Refused for a fault of its own; else the centre could not take it now, and it may be given again.
    bad: bool = False
    #: It waits in the centre until its satellite or baseline is admitted.
    held: bool = False


@dataclass(frozen=True)
class _Read:
    """A package that was read: its granules, and why others of it can't be used."""

    package: Path
    granules: Sequence[l1c.Granule]
    faults: Sequence[MuscateError]

    @property
    def name(self) -> str:
        return printable(self.granules[0].identifier)


def named(package: Path) -> str:
    """The name that a package has in the store."""
    return printable(bare(package.name))


def prepare(settings: Settings, store: Store) -> None:
    """Bring sites and campaigns in line with the settings; safe to repeat."""
    with store.write() as session:
        store_sites.register_sites(session, of_home(settings.home))
        store_sites.open_campaigns(session, settings.versions)


def ingest(
    settings: Settings,
    store: Store,
    paths: Iterable[Path],
    source: str | Mapping[Path, str] = "ingest",
    noticed: Mapping[Path, datetime] | None = None,
) -> Iterator[Ingested]:
    """Catalogue and queue packages, tile by tile, oldest date first; the given files stay where they are.

    What is given together of a tile is due together, when the last of it is catalogued: the first date of a tile begins
    with the later ones. Should this process end before, its dates are due soon after.

    What lies in the inbox is the centre's own and is hard-linked; of all else a copy is kept. A bad package is refused
    and the others go on; so do the granules of a package of which others can't be used. One of a satellite or baseline
    that is not known is held until that is admitted.

    Parameters
    ----------
    source : str or mapping of Path to str
        Where they came from, all or each.
    noticed : mapping of Path to datetime
        When packages were seen first, where that was before now.

    Yields
    ------
    Ingested
        One for each package, those that can't be read first.
    """
    prepare(settings, store)
    known.use(settings.admitted)
    readable: list[_Read] = []

    def came_from(package: Path) -> str:
        return source if isinstance(source, str) else source[package]

    for package in [p for path in paths for p in packages(path)]:
        try:
            with _last_resort(package):
                found = _read_or_held(settings, store, package, came_from(package), (noticed or {}).get(package))
            if isinstance(found, Ingested):
                yield found
            else:
                readable.append(found)
        except MuscateError as error:
            yield _refused(package, error)
    readable.sort(key=lambda read: (min(g.tile for g in read.granules), min(g.sensing for g in read.granules)))
    with _Batch(store, settings.settle_seconds, readable) as batch:
        for read in readable:
            left_out: list[MuscateError] = []
            try:
                with _last_resort(read.package):
                    queued, left_out = _take(
                        settings, store, read, came_from(read.package), batch, (noticed or {}).get(read.package)
                    )
                    batch.add(queued)
            except MuscateError as error:
                batch.passed(read)
                yield _refused(read.package, error)
                continue
            batch.passed(read)
            name, tiles = printable(read.package.name), sorted({g.tile for g in read.granules})
            without = "; ".join(error.fault if isinstance(error, InputError) else str(error) for error in left_out)
            log.info(
                "queued",
                l1c=name,
                tiles=tiles,
                source=came_from(read.package),
                **({"without": without} if without else {}),
            )
            yield Ingested(name, read.package, True, f"without {without}" if without else None)


class _Batch:
    """The dates that are catalogued together: those of a tile wait for the last of them, as long as this process lives.

    Parameters
    ----------
    settle : float
        Wait of a date beyond that, for the other half of its pass. [s]
    """

    def __init__(self, store: Store, settle: float, readable: Sequence[_Read]) -> None:
        self.store, self.settle = store, settle
        self._left = Counter(tile for read in readable for tile in {g.tile for g in read.granules})
        self._jobs: dict[str, list[int]] = {}
        self._lock, self._end = threading.Lock(), threading.Event()
        self._renewal = threading.Thread(target=self._renew, name="batch", daemon=True)

    def __enter__(self) -> _Batch:
        if self._left.total() > 1:
            self._renewal.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        if self._renewal.is_alive():
            self._renewal.join()
        self._release(list(self._jobs))

    def wait(self, tile: str) -> float:
        """How long a date of a tile waits from now on. [s]"""
        return self.settle + (BATCH_SECONDS if self._left[tile] > 1 or tile in self._jobs else 0)

    def add(self, queued: Mapping[str, Sequence[int]]) -> None:
        """Jobs that were queued, by their tiles."""
        with self._lock:
            for tile, jobs in queued.items():
                self._jobs.setdefault(tile, []).extend(jobs)

    def passed(self, read: _Read) -> None:
        """A package is catalogued or refused; tiles of which it was the last one are due."""
        tiles = {g.tile for g in read.granules}
        self._left.subtract(tiles)
        self._release([tile for tile in tiles if self._left[tile] == 0])

    def _release(self, tiles: Iterable[str]) -> None:
        with self._lock:
            jobs = [job for tile in tiles for job in self._jobs.pop(tile, ())]
            if jobs:
                with self.store.write() as session:
                    catalogue.make_due(session, jobs, self.settle)

    def _renew(self) -> None:
        while not self._end.wait(RENEW_SECONDS):
            try:
                with self._lock, self.store.write() as session:
                    jobs = [job for jobs in self._jobs.values() for job in jobs]
                    catalogue.postpone(session, jobs, self.settle + BATCH_SECONDS)
            except MuscateError as error:  # they are due a little earlier
                log.warning("batch not renewed", reason=str(error))


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
        held = bounded.run(l1c.contents, package, known.current(), memory=READ_MEMORY, seconds=READ_SECONDS)
    except OverLimit as error:
        raise L1CError(package, str(error)) from error
    return _Read(package, held.granules, held.unusable)


def _read_or_held(
    settings: Settings, store: Store, package: Path, source: str, seen: datetime | None
) -> _Read | Ingested:
    """A package that was read; one that is not recognised waits from now on."""
    try:
        return _read(package)
    except Unrecognised as error:
        return _held(settings, store, package, error, source, seen)


def _held(
    settings: Settings, store: Store, package: Path, error: Unrecognised, source: str, seen: datetime | None
) -> Ingested:
    """Put a package that can't be judged yet where it waits, as one that is taken is put in its place.

    Raises
    ------
    InputError
        If one of its name waits already.
    """
    name = printable(package.name)
    relative = (settings.held / name).relative_to(settings.l1c)
    if package == settings.held / name:  # it was let go for one reason, and waits for another one
        with store.write() as session:
            held = session.get_one(HeldPackage, named(package))
            held.needs = list(error.needs)
        return Ingested(name, package, False, formats.recognised(error.needs), held=True)
    with store.read() as session:
        if formats.is_held(session, named(package)):
            raise InputError(package, f"is already there: {formats.recognised(error.needs)}")
    growing = settings.held / f".{uuid4().hex}.partial"
    try:
        with disk.storing(growing):
            settings.held.mkdir(parents=True, exist_ok=True)
            _copy(package, growing, link=_is_ours(settings, package, source))
        size = sum(s.st_size for _, s in files(growing))
        with store.write() as session:
            time = now(session)
            row = HeldPackage(name=named(package), path=str(relative), needs=list(error.needs), source=source)
            row.bytes, row.seen = size, min(seen or time, time)
            formats.hold(session, row)
            with disk.storing(growing):
                remove(settings.held / name)  # left by an ingest that was killed
                growing.rename(settings.held / name)
                disk.sync(settings.held)
    finally:
        remove(growing)
    log.warning("held", l1c=name, reason=formats.recognised(error.needs), fault=error.fault)
    return Ingested(name, package, False, formats.recognised(error.needs), held=True)


def _is_ours(settings: Settings, package: Path, source: str) -> bool:
    """Whether the files of a package are the centre's own; what only a link leads to lies elsewhere."""
    real = package.resolve()
    inbox = source == INBOX and real.is_relative_to(settings.inbox.resolve())
    return inbox or real.is_relative_to(settings.held.resolve())


def _take(
    settings: Settings, store: Store, read: _Read, source: str, batch: _Batch, seen: datetime | None
) -> tuple[dict[str, list[int]], list[MuscateError]]:
    """Check, put in place, catalogue; all tiles of a package in one transaction.

    Returns
    -------
    dict of str to list of int
        The jobs of each tile.
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
            _copy(package, growing, link=_is_ours(settings, package, source))
        with store.write() as session:
            jobs = {a.tile: catalogue.add(session, a, batch.wait(a.tile), grounds) for a in arrivals}
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
        kind=granule.kind,
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
        If the package holds a link, a device or anything else that is neither file nor folder, or more than a zip may.
    L1CError
        If it can't be read.
    """
    try:
        top = package.stat()  # the package itself may be a link that somebody put into the inbox
        if stat.S_ISREG(top.st_mode):
            _bounded(package, 1, top.st_size)
            yield package, top
            return
        size = 0
        for number, path in enumerate(sorted(itertools.islice(package.rglob("*"), MAX_MEMBERS + 1)), 1):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                size += status.st_size
                _bounded(package, number, size)
                yield path, status
            elif not stat.S_ISDIR(status.st_mode):
                raise UnsafeArchive(package, f"holds a link or device: {path.relative_to(package)}")
    except OSError as error:
        raise failed(package, error) from error


def _bounded(package: Path, number: int, size: int) -> None:
    """Refuse what would fill the disk where it is copied, as an empty file of any length does."""
    if number > MAX_MEMBERS:
        raise UnsafeArchive(package, f"more than {MAX_MEMBERS} files")
    if size > MAX_UNPACKED:
        raise UnsafeArchive(package, f"{size / 1e9:.1f} GB, at most {MAX_UNPACKED / 1e9:.1f} GB are taken")


def _copy(package: Path, target: Path, *, link: bool) -> None:
    """Copy a package, down to the disk; as a hard link if it may be one and nobody else has another."""
    top = package.is_dir()
    for path, status in list(files(package)):
        there = target / path.relative_to(package) if top else target
        there.parent.mkdir(parents=True, exist_ok=True)
        if not (link and status.st_nlink == 1 and _linked(path, there)):
            _copied(path, there)
        handle = os.open(there, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _linked(path: Path, there: Path) -> bool:
    try:
        os.link(path.resolve(), there)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            raise
        return False
    return True


def _copied(path: Path, there: Path) -> None:
    """Copy a file; where the file system can, the copy shares its blocks with it until one of them is written to."""
    with path.open("rb") as source, there.open("xb") as copy:
        try:
            fcntl.ioctl(copy.fileno(), FICLONE, source.fileno())
        except OSError:
            shutil.copyfileobj(source, copy, 1 << 22)
    shutil.copystat(path, there)


def same_files(package: Path, other: Path) -> bool:
    """Whether two packages are hard links to the same files."""
    if not other.exists():
        return False
    ours = {(s.st_dev, s.st_ino) for _, s in files(package)}
    return bool(ours) and ours == {(s.st_dev, s.st_ino) for _, s in files(other)}
