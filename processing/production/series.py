"""A series of one tile without a store: what `muscate process` does."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from .. import l1c, product
from ..errors import InputError, L1CError, MuscateError, ProductError, StorageError
from ..scene import Composite
from .processor import correct, granule


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

    Parameters
    ----------
    packages : sequence of Path
        Packages in any order; halves of one pass are merged.
    version : str
    out : Path
        Receives ``<identifier>/`` for each valid date.
    dem : Path, optional
    state : Path, optional
        Folder of recurrent states: the newest one before each date is taken, and each date leaves its own.
    tile : str, optional
        Needed where a package holds several tiles. Else the tile of the earliest package that can be read;
        packages of another tile are rejected.

    Yields
    ------
    dict
        ``l1c, product, status`` (valid, not_valid, rejected, failed), ``mode, cloud_percent, aot_mean, seconds``
        and, where there is one, ``reason``. One each package, unreadable ones first; halves of a pass share theirs.
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

    last: Composite | None = None
    for _, same in groupby(found, key=lambda g: (g.platform, g.datatake_sensing)):
        halves, stale = _serving(list(same))
        name = halves[-1].path.name
        for other in stale:
            yield _refused(other.path.name, L1CError(other.path, f"the same pass as {name}, which is newer"))
        # Beside the final place, so that the rename stays on one file system.
        staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=out))
        try:
            source = halves[0] if len(halves) == 1 else l1c.merge(halves)
            final = out / product.identifier(source.platform, source.sensing, source.tile, version)
            if final.exists():
                raise ProductError(final, "is already there")
            before = _before(last, state, source, version)
            outcome, left = correct(source, version, before, staging=staging, dem=dem, keep_state=state is not None)
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


def _before(last: Composite | None, folder: Path | None, source: l1c.Granule, version: str) -> Composite | None:
    """The newest state before a date: what this run left last, or one of the folder."""
    newest = None
    if folder is not None:
        # A state has its product's name: platform, date, then what all dates of a tile and version share.
        _, own, kind = product.identifier(source.platform, source.sensing, source.tile, version).split("_", 2)
        dated = {path.name.split("_")[1]: path for path in folder.glob(f"*_{kind}.npz")}
        before = max((date for date in dated if date < own), default=None)
        newest = None if before is None else product.load_state(dated[before])
    if last is None or (newest is not None and newest.sensing > last.sensing):
        return newest
    return last
