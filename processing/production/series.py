"""A series of one tile without a store: what `muscate process` does."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from processing import l1c, product, timeline
from processing.errors import InputError, L1CError, MuscateError, ProductError, StorageError
from processing.production.processor import Outcome, correct, granule
from processing.production.request import Setup
from processing.scene import Composite
from processing.timeline import Pass
from processing.versions import parameters


def process(
    packages: Sequence[Path],
    version: str,
    out: Path,
    *,
    dem: Path | None = None,
    state: Path | None = None,
    tile: str | None = None,
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

    Yields
    ------
    dict
        ``l1c, product, status`` (valid, not_valid, rejected, failed), ``mode, cloud_percent, aot_mean, seconds``
        and, where there is one, ``reason``; ``late``, true where the state of a newer date is already there. One each
        package, unreadable ones first; halves of a pass share theirs.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        if state is not None:
            state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{error.filename}: {error.strerror}") from error
    found = yield from _read(packages, tile)
    series = _Series(version, out, dem, state)
    passes = timeline.passes(found)
    for n, date in enumerate(passes):
        newest = max(date.serving, key=lambda g: g.generation).path.name
        for other in date.replaced:
            yield _refused(other.path.name, L1CError(other.path, f"the same pass as {newest}, which is newer"))
        result = series.run(date, passes[n + 1 :])
        for half in date.serving:
            yield {"l1c": half.path.name, **result}


def _read(packages: Sequence[Path], tile: str | None) -> Generator[dict[str, Any], None, list[l1c.Granule]]:
    """Give the granules of one tile in the packages, oldest first; what can't be used is yielded."""
    found: list[l1c.Granule] = []
    for package in packages:
        try:
            held = granule([package], tile)
            held.check()
            found.append(held)
        except InputError as error:
            yield _refused(package.name, error)
    found.sort(key=lambda g: (g.sensing, g.identifier))
    if tile is None and found:
        tile = found[0].tile
    for other in [g for g in found if g.tile != tile]:
        yield _refused(other.path.name, L1CError(other.path, f"is of tile {other.tile}, not of {tile}"))
    return [g for g in found if g.tile == tile]


class _Series:
    """Runs one date after the other, and keeps what the last valid one left."""

    def __init__(self, version: str, out: Path, dem: Path | None, states: Path | None) -> None:
        self.version, self.numbers = version, parameters(version)
        self.out, self.states = out, states
        self.setup = Setup(dem=dem, keep_state=states is not None)
        self.last: Composite | None = None

    def run(self, date: Pass[l1c.Granule], after: Sequence[Pass[l1c.Granule]]) -> dict[str, Any]:
        """What became of a date; `after` are the later ones."""
        try:
            # Beside the final place, so that the rename stays on one file system.
            with tempfile.TemporaryDirectory(prefix=".staging-", dir=self.out, ignore_cleanup_errors=True) as staging:
                return self._run(date, after, Path(staging))
        except InputError as error:
            return _without_product("rejected", error)
        except MuscateError as error:
            return _without_product("failed", error)

    def _run(self, date: Pass[l1c.Granule], after: Sequence[Pass[l1c.Granule]], staging: Path) -> dict[str, Any]:
        source = l1c.merge(date.serving)
        final = self.out / product.identifier(source.platform, source.sensing, source.tile, self.version)
        if final.exists():
            raise ProductError(final, "is already there")
        kept, late = self._kept(source)
        # Of the same date the one in memory.
        known = [state for state in (self.last, kept) if state is not None]
        outcome, left = correct(
            source,
            self.version,
            timeline.predecessor(known, source.sensing, self.numbers),
            staging=staging,
            later=[partial(l1c.merge, d.serving) for d in timeline.feeders(after, source.sensing, self.numbers)],
            setup=self.setup,
        )
        if outcome.product is not None:
            outcome.product.rename(final)
        if left is not None and outcome.status == "valid":
            self.last = left
        if outcome.state is not None and self.states is not None:
            outcome.state.rename(self.states / outcome.state.name)
        return _told(outcome, final, late)

    def _kept(self, source: l1c.Granule) -> tuple[Composite | None, bool]:
        """The newest state before a date in the folder of states; whether there is one of a newer date."""
        if self.states is None:
            return None, False
        # A state has its product's name: platform, date, then what all dates of a tile and version share.
        name = product.identifier(source.platform, source.sensing, source.tile, self.version)
        _, own, kind = name.split("_", 2)
        dated = {path.name.split("_")[1]: path for path in self.states.glob(f"*_{kind}.npz")}
        before = max((date for date in dated if date < own), default=None)
        return None if before is None else product.load_state(dated[before]), any(date > own for date in dated)


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


def _refused(name: str, error: MuscateError) -> dict[str, Any]:
    return {"l1c": name, **_without_product("rejected", error)}


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
