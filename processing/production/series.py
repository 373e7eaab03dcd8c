"""A series of one tile without a store: what `muscate process` does."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from processing import l1c, product
from processing.errors import InputError, L1CError, MuscateError, ProductError, StorageError
from processing.production.processor import correct, granule
from processing.scene import Composite
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
    found = [g for g in found if g.tile == tile]

    numbers = parameters(version)
    passes = [_serving(list(same)) for _, same in groupby(found, key=lambda g: (g.platform, g.datatake_sensing))]
    last: Composite | None = None
    for n, (halves, stale) in enumerate(passes):
        name = halves[-1].path.name
        for other in stale:
            yield _refused(other.path.name, L1CError(other.path, f"the same pass as {name}, which is newer"))
        # Beside the final place, so that the rename stays on one file system.
        staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=out))
        try:
            source = l1c.merge(halves)
            final = out / product.identifier(source.platform, source.sensing, source.tile, version)
            if final.exists():
                raise ProductError(final, "is already there")
            before, late = _before(last, state, source, version)
            if before is not None and numbers.starts_anew(before.sensing, source.sensing):
                before = None
            outcome, left = correct(
                source,
                version,
                before,
                staging=staging,
                later=[
                    partial(l1c.merge, of_date)
                    for of_date, _ in passes[n + 1 : n + 1 + numbers.backward_dates]
                    if (of_date[0].sensing - source.sensing).days <= numbers.composite_max_age
                ],
                dem=dem,
                keep_state=state is not None,
            )
            if outcome.product is not None:
                outcome.product.rename(final)
            if left is not None and outcome.status == "valid":
                last = left
            if outcome.state is not None and state is not None:
                outcome.state.rename(state / outcome.state.name)
            result = {
                "l1c": name,
                "product": str(final) if outcome.product is not None else None,
                "status": outcome.status,
                "mode": outcome.mode,
                "cloud_percent": outcome.cloud_percent,
                "aot_mean": outcome.aot_mean,
                "seconds": outcome.seconds,
            }
            if "reason" in outcome.origin:
                result["reason"] = outcome.origin["reason"]
            elif outcome.status == "not_valid":
                result["reason"] = f"{outcome.cloud_percent:.1f} % cloud"
            if late:
                result["late"] = True
        except InputError as error:
            result = _refused(name, error)
        except MuscateError as error:
            result = _refused(name, error, "failed")
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        for half in halves:
            yield {**result, "l1c": half.path.name}


def _serving(same: list[l1c.Granule]) -> tuple[list[l1c.Granule], list[l1c.Granule]]:
    """Of the packages of one pass those that serve, and those that others replace: as the catalogue decides.

    The newest baseline serves; of one datastrip what was made last; different datastrips are halves of the pass.
    """
    newest = max(g.baseline for g in same)
    last = {g.datastrip: g for g in sorted(same, key=lambda g: g.generation) if g.baseline == newest}
    serving = list(last.values())
    return serving, [g for g in same if not any(g is kept for kept in serving)]


def _refused(name: str, error: MuscateError, status: str = "rejected") -> dict[str, Any]:
    return {
        "l1c": name,
        "product": None,
        "status": status,
        "mode": None,
        "cloud_percent": None,
        "aot_mean": None,
        "seconds": {},
        "reason": str(error),
    }


def _before(
    last: Composite | None, folder: Path | None, source: l1c.Granule, version: str
) -> tuple[Composite | None, bool]:
    """The newest state before a date, what this run left last or one of the folder; whether there is a newer one."""
    newest, late = None, False
    if folder is not None:
        # A state has its product's name: platform, date, then what all dates of a tile and version share.
        _, own, kind = product.identifier(source.platform, source.sensing, source.tile, version).split("_", 2)
        dated = {path.name.split("_")[1]: path for path in folder.glob(f"*_{kind}.npz")}
        before = max((date for date in dated if date < own), default=None)
        newest = None if before is None else product.load_state(dated[before])
        late = any(date > own for date in dated)
    if last is None or (newest is not None and newest.sensing > last.sensing):
        return newest, late
    return last, late
