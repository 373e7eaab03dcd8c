"""A series of one tile without a store: what `muscate process` does."""

from __future__ import annotations

import glob
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from processing import known, l1c, product, timeline
from processing.errors import (
    AlreadyThere,
    InputError,
    L1CError,
    MuscateError,
    ProductError,
    StorageError,
    Unrecognised,
    printable,
)
from processing.l1c.package import failed
from processing.product import disk
from processing.production import progress, staging
from processing.production.processor import HALVES, TILE_AREA, Outcome, correct, granule
from processing.production.request import Setup, Work
from processing.scene import Composite
from processing.timeline import Ground, Pass
from processing.versions import parameters

#: The tiles of the halves of one pass were sensed within so long; the next pass is an orbit of 100 minutes later. [s]
PASS_SECONDS = 600.0

log = logging.getLogger(__name__)


def process(
    packages: Sequence[Path],
    version: str,
    out: Path,
    *,
    dem: Path | None = None,
    state: Path | None = None,
    tile: str | None = None,
    tell: Callable[[Work], None] = lambda work: None,
) -> Iterator[dict[str, Any]]:
    """Process Level-1C packages of one tile in time order.

    The first date, and one whose previous product is too old, starts from the next ones run backward in time.

    Parameters
    ----------
    packages : sequence of Path
        Packages in any order; halves of one pass are merged.
    version : str
    out : Path
        Receives ``<identifier>/`` for each valid date.
    dem : Path, optional
    state : Path, optional
        Folder of recurrent states: the newest one before each date is taken, and each date leaves its own. So a date
        that comes late starts from what preceded it, and says so; the products of later dates stay as they are.
    tile : str, optional
        Needed where a package holds several tiles. Else the tile of the earliest package that can be read;
        packages of another tile are rejected.
    tell : callable
        Told what is in work.

    Yields
    ------
    dict
        ``l1c, product, status`` (valid, not_valid, skipped, rejected, failed), ``mode, cloud_percent, aot_mean,
        seconds`` and, where there is one, ``reason``; ``late``, true where the state of a newer date is already there.
        One each package, unreadable ones first; halves of a pass share theirs.
    """
    for folder in (out, *([] if state is None else [state])):
        _prepare(folder)
    with staging.removed_on_signals():
        found = yield from _once((yield from _read(packages, tile, tell)), tell)
        series = _Series(version, out, dem, state, tell)
        passes = timeline.passes(found, _ground)
        for n, date in enumerate(passes):
            newest = max(date.serving, key=lambda g: (g.baseline, g.generation)).path.name
            for other in date.replaced:
                tell(Work("done", (other.path,)))
                yield _refused(other.path, L1CError(other.path, f"the same pass as {newest}, which is newer"))
            yield from series.run(date, passes[n + 1 :])


def _prepare(folder: Path) -> None:
    """Make a folder where there is none, sure that it can be written, before anything is made for it."""
    with disk.storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    staging.sweep(folder)


def _ground(granule: l1c.Granule) -> Ground | None:
    """What a package observed; None where that can't be told."""
    try:
        return granule.ground()
    except Exception:  # what is wrong with it will be said where it is used
        log.debug("%s: the ground that it observed is not known", granule.path, exc_info=True)
        return None


def _read(
    packages: Sequence[Path], tile: str | None, tell: Callable[[Work], None]
) -> Generator[dict[str, Any], None, list[l1c.Granule]]:
    """Give the granules of one tile in the packages, oldest first; what can't be used is yielded."""
    found: list[l1c.Granule] = []
    given = [inner for path in packages for inner in l1c.packages(path)]
    tell(Work("given", tuple(given)))
    for package in given:
        tell(Work("read", (package,)))
        try:
            with _last_resort(package):
                held = granule([package], tile)
                held.check()
                found.append(held)
        except MuscateError as error:
            tell(Work("done", (package,)))
            if isinstance(error, InputError):
                yield _refused(package, error)
            else:
                yield {"l1c": printable(package.name), **_without_product("failed", error)}
    found.sort(key=lambda g: (g.sensing, g.identifier))
    if tile is None and found:
        tile = found[0].tile
    tell(Work("between", (), tile=tile))
    for other in [g for g in found if g.tile != tile]:
        tell(Work("done", (other.path,)))
        yield _refused(other.path, L1CError(other.path, f"is of tile {other.tile}, not of {tile}"))
    return [g for g in found if g.tile == tile]


def _once(
    found: Sequence[l1c.Granule], tell: Callable[[Work], None]
) -> Generator[dict[str, Any], None, list[l1c.Granule]]:
    """Give each Level-1C once; one that is there as a SAFE and as a store, or in two places, is yielded as refused."""
    first: dict[str, l1c.Granule] = {}
    for each in found:
        there = first.setdefault(each.identifier, each)
        if each is not there:
            tell(Work("done", (each.path,)))
            yield _refused(each.path, L1CError(each.path, f"is the same Level-1C as {there.path}"))
    return list(first.values())


@contextmanager
def _last_resort(package: Path) -> Iterator[None]:
    """A fault that has no name must not stop the other packages: it is this one's; `--debug` shows the traceback."""
    try:
        yield
    except MuscateError:
        raise
    except OSError as error:
        log.debug("%s", package, exc_info=True)
        raise failed(package, error) from error
    except MemoryError as error:
        log.debug("%s", package, exc_info=True)
        raise StorageError(f"{package.name}: not enough memory") from error
    except Exception as error:
        log.debug("%s", package, exc_info=True)
        raise L1CError(package, f"can't be read: {type(error).__name__}: {error}") from error


class _Series:
    """Runs one date after the other, and keeps what the last valid one left."""

    def __init__(
        self, version: str, out: Path, dem: Path | None, states: Path | None, tell: Callable[[Work], None]
    ) -> None:
        self.version, self.numbers = version, parameters(version)
        self.out, self.states = out, states
        self.setup = Setup(dem=dem, keep_state=states is not None, admitted=known.folder())
        self.last: Composite | None = None
        self._tell = tell

    def run(self, date: Pass[l1c.Granule], after: Sequence[Pass[l1c.Granule]]) -> Iterator[dict[str, Any]]:
        """What became of each package of a date; `after` are the later ones.

        A half that turns out to be bad does not take the other one with it.
        """
        serving = list(date.serving)
        while serving:
            try:
                result = self._run(serving, after)
            except AlreadyThere as error:
                result = _without_product("skipped", error)
            except InputError as error:
                bad = [half for half in serving if half.path == error.path]
                if not bad or len(serving) == 1:
                    result = _without_product("rejected", error)
                else:
                    self._tell(Work("done", tuple(half.path for half in bad)))
                    yield from (_refused(half.path, error) for half in bad)
                    serving = [half for half in serving if half not in bad]
                    continue
            except MuscateError as error:
                result = _without_product("failed", error)
            except Exception as error:
                log.debug("%s", serving[0].path, exc_info=True)
                result = _without_product("failed", _defect(error))
            self._tell(Work("done", tuple(half.path for half in serving)))
            for half in serving:
                yield {"l1c": printable(half.path.name), **result}
            return

    def _run(self, halves: Sequence[l1c.Granule], after: Sequence[Pass[l1c.Granule]]) -> dict[str, Any]:
        source = l1c.merge(halves)
        name = product.identifier(source.platform, source.sensing, source.tile, self.version)
        final = self.out / name
        size = source.grid.width * source.grid.height / TILE_AREA

        def at(later: Sequence[Path]) -> None:
            kind, paths = ("later", later) if later else ("date", [half.path for half in halves])
            self._tell(Work(kind, tuple(paths), size, source.tile))

        at(())
        self._refuse_half(halves, source, name)
        # Beside the final places, so that the renames stay on one file system.
        with ExitStack() as stack:
            stack.enter_context(progress.looked_at(at))
            folder = stack.enter_context(staging.staging(self.out, name))
            if final.exists():  # published while this one waited for nothing
                raise AlreadyThere(final, "is already there")
            kept, late = self._kept(source)
            # Of the same date the one in memory.
            known = [state for state in (self.last, kept) if state is not None]
            outcome, left = correct(
                source,
                self.version,
                timeline.predecessor(known, source.sensing, self.numbers),
                staging=folder,
                later=[partial(l1c.merge, d.serving) for d in timeline.feeders(after, source.sensing, self.numbers)],
                setup=self.setup,
            )
            self._put(outcome, final)
        if left is not None and outcome.status == "valid":
            self.last = left
        return _told(outcome, final, late)

    def _refuse_half(self, halves: Sequence[l1c.Granule], source: l1c.Granule, name: str) -> None:
        """Stop where a product of the same pass is there; what it was made of, its metadata say.

        Raises
        ------
        AlreadyThere
            If it was made of these packages.
        L1CError
            If it was made of others, as of the other half of the pass: to merge them takes all of them in one run.
        """
        platform, _, kind = name.split("_", 2)
        for there in sorted(self.out.glob(f"{platform}_*_{glob.escape(kind)}")):
            if there.name != name and not _near(there.name, source.sensing):
                continue
            try:
                made = product.read(there)
            except ProductError:  # damaged, or none
                if there.name == name:
                    raise AlreadyThere(there, "is already there") from None
                continue
            used = {made.l1c or "", *made.origin.get(HALVES, "").split(", ")}
            if made.l1c is None or all(half.identifier in used for half in halves):
                raise AlreadyThere(there, "is already there")
            text = f"of the same pass as {there.name}, which is there and was made of {', '.join(sorted(used - {''}))}"
            raise L1CError(halves[0].path, f"{text}: give all packages of the pass in one run, to another --out")

    def _put(self, outcome: Outcome, final: Path) -> None:
        """Bring a state, then its product, to their places: what can fail comes before anything is published."""
        if outcome.state is not None and self.states is not None:
            with staging.staging(self.states, outcome.state.name) as folder, disk.storing(self.states):
                beside = folder / outcome.state.name
                shutil.move(outcome.state, beside)
                with beside.open("rb") as file:
                    os.fsync(file.fileno())
                os.replace(beside, self.states / outcome.state.name)
                disk.sync(self.states)
        if outcome.product is not None:
            try:
                outcome.product.rename(final)
            except OSError as error:
                if final.exists():
                    raise AlreadyThere(final, "is already there: another process made it meanwhile") from error
                raise StorageError(f"{final}: can't be written: {error.strerror or error}") from error
            disk.sync(final.parent)

    def _kept(self, source: l1c.Granule) -> tuple[Composite | None, bool]:
        """The newest state before a date in the folder of states; whether there is one of a newer date."""
        if self.states is None:
            return None, False
        # A state has its product's name: platform, date, then what all dates of a tile and version share.
        name = product.identifier(source.platform, source.sensing, source.tile, self.version)
        _, own, kind = name.split("_", 2)
        found = self.states.glob(f"SENTINEL2?_*_{glob.escape(kind)}.npz")
        dated = {path.name.split("_")[1]: path for path in found}
        before = max((date for date in dated if date < own), default=None)
        return None if before is None else product.load_state(dated[before]), any(date > own for date in dated)


def _near(name: str, sensing: datetime) -> bool:
    """Whether the product of a name is of the same pass, by its time."""
    try:
        made = datetime.strptime(name.split("_")[1], "%Y%m%d-%H%M%S-%f").replace(tzinfo=UTC)
    except (ValueError, IndexError):
        return False
    return abs((made - sensing).total_seconds()) <= PASS_SECONDS


def _told(outcome: Outcome, final: Path, late: bool) -> dict[str, Any]:
    figures = outcome.figures.as_dict()
    result = {
        "product": str(final) if outcome.product is not None else None,
        "status": outcome.status,
        "mode": outcome.mode,
        "cloud_percent": figures["cloud_percent"],
        "aot_mean": figures["aot_mean"],
        "seconds": outcome.seconds,
    }
    if "reason" in outcome.origin:
        result["reason"] = outcome.origin["reason"]
    elif outcome.status == "not_valid":
        result["reason"] = f"{outcome.figures.cloud_percent:.1f} % cloud"
    if late:
        result["late"] = True
    return result


def _refused(package: Path, error: MuscateError) -> dict[str, Any]:
    if isinstance(error, Unrecognised):
        error = Unrecognised(error.path, f"{error.fault}: {_way_out(error.needs)}", error.needs)
    return {"l1c": printable(package.name), **_without_product("rejected", error)}


def _way_out(needs: Sequence[str]) -> str:
    """What can be done where something is not known."""
    satellite = "--like S2C or --responses-from PACKAGE takes spectral responses for it"
    ways = [satellite] if any(need.startswith("S2") for need in needs) else []
    return "; ".join([*ways, *(f"a centre lets it in by `muscate admit {need}` (--home)" for need in needs)])


def _defect(error: Exception) -> MuscateError:
    """An error without a name in one line."""
    if isinstance(error, OSError):
        return StorageError(printable(f"{error.filename or 'disk'}: {error.strerror or error}"))
    return MuscateError(printable(" ".join(f"{type(error).__name__}: {error}".split())))


def _without_product(status: str, error: MuscateError) -> dict[str, Any]:
    return {
        "product": None,
        "status": status,
        "mode": None,
        "cloud_percent": None,
        "aot_mean": None,
        "seconds": {},
        "reason": str(error),
    }
