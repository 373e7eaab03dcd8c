"""One date of one tile through the whole line: Level-1C packages in, a staged MUSCATE product and state out.

The command `muscate process` and the centre's workers both call `produce`, so they make the same pixels.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from processing import chain, l1c, product
from processing.ancillary import ancillary
from processing.errors import InputError, L1CError, OutOfRange
from processing.production import machine
from processing.scene import L2A, Ancillary, Composite, Figures, Mode, Status
from processing.versions import Parameters, parameters

log = logging.getLogger(__name__)

#: Of a Sentinel-2 tile. [m2]
TILE_AREA = 109_800**2


@dataclass(frozen=True)
class Outcome:
    """What became of one date.

    Attributes
    ----------
    l1c : str
        Name of the Level-1C package; of the newest one where a pass came in halves.
    product : Path or None
        The staged product folder, None if not valid.
    state : Path or None
        The staged recurrent state, None if the date left none.
    figures : Figures
    """

    l1c: str
    identifier: str
    status: Status
    mode: Mode
    version: str
    sensing: datetime
    simulated: bool
    product: Path | None
    state: Path | None
    figures: Figures
    absent: list[str]
    origin: dict[str, str]
    flags: dict[str, bool]
    seconds: dict[str, float]


def granule(packages: Iterable[Path], tile: str | None) -> l1c.Granule:
    """The one granule that packages of one pass hold for a tile, halves merged.

    Raises
    ------
    L1CError
        If a package can't be read, holds another tile, or holds several and none was chosen.
    """
    found = []
    for package in packages:
        held = l1c.granules(package)
        mine = [g for g in held if tile is None or g.tile == tile]
        if not mine:
            raise L1CError(package, f"is of tile {', '.join(sorted(g.tile for g in held))}, not of {tile}")
        if len(mine) > 1:
            raise L1CError(
                package, f"holds {len(mine)} tiles ({', '.join(g.tile for g in mine)}): name one with --tile"
            )
        found += mine
    return l1c.merge(found)


def produce(
    packages: Sequence[Path],
    tile: str,
    version: str,
    *,
    staging: Path,
    previous_state: Path | None = None,
    later: Sequence[Sequence[Path]] = (),
    dem: Path | None = None,
    terrain_cache: Path | None = None,
    threads: int | None = None,
    low_memory: bool | None = None,
) -> Outcome:
    """Run one date of a tile through the chain and write product and state into `staging`.

    Parameters
    ----------
    packages : sequence of Path
        The Level-1C package, or the halves of one pass.
    tile, version : str
        ``31TCJ``, ``V1_4``.
    staging : Path
        Folder that receives ``<identifier>/`` and ``<identifier>.npz``, each whole or not at all.
    previous_state : Path, optional
        Recurrent state of the date before.
    later : sequence of sequence of Path
        The packages of each of the next dates, for the backward mode where there is no state; none: init mode.
    dem : Path, optional
        Terrain model, a raster or a folder of them.
    terrain_cache : Path, optional
        Folder that keeps the terrain of each tile for its next date.
    threads : int, optional
        That decode and encode; else one for each core.
    low_memory : bool, optional
        Keep decoded images in a file in `staging`; else where memory is short.

    Raises
    ------
    InputError
        If an input can't be used; nothing is left in `staging`.
    StorageError
        If the disk is full or can't be written.
    """
    start = time.perf_counter()
    composite = None if previous_state is None else product.load_state(previous_state)
    source = granule(packages, tile)
    return correct(
        source,
        version,
        composite,
        staging=staging,
        later=[partial(granule, of_date, tile) for of_date in later],
        dem=dem,
        terrain_cache=terrain_cache,
        started=start,
        threads=threads,
        low_memory=low_memory,
    )[0]


def correct(
    source: l1c.Granule,
    version: str,
    composite: Composite | None,
    *,
    staging: Path,
    later: Sequence[Callable[[], l1c.Granule]] = (),
    dem: Path | None = None,
    terrain_cache: Path | None = None,
    keep_state: bool = True,
    started: float | None = None,
    threads: int | None = None,
    low_memory: bool | None = None,
) -> tuple[Outcome, Composite | None]:
    """`produce` for a granule and a state already in memory; also gives the new state, None if unchanged.

    `later` gives the next dates, opened when they are needed.
    """
    started = time.perf_counter() if started is None else started
    numbers = parameters(version)
    threads = threads or machine.threads()
    if low_memory is None:
        low_memory = machine.is_short(source.grid.width * source.grid.height / TILE_AREA)
    if low_memory:
        machine.give_memory_back()
    folder = state = left = None
    began: dict[str, str] = {}
    back = time.perf_counter()
    if composite is None and later:
        composite, began = look_back(source, later, numbers, dem, terrain_cache, threads)
    back = time.perf_counter() - back
    around = ancillary_of(source, numbers, dem, terrain_cache)
    with ThreadPoolExecutor(threads, "chain") as pool:
        l2a = _overcast(source, around, composite, numbers, pool)
        opened = corrected = time.perf_counter()
        if l2a is None:
            with source.decoded(threads, staging if low_memory else None) as scene_with:
                scene = scene_with(around)
                opened = time.perf_counter()
                l2a, left = chain.correct(scene, composite, numbers, pool.map)
                l2a = replace(l2a, origin={**l2a.origin, **began})
                corrected = time.perf_counter()
                if l2a.status == "valid":
                    ahead = 0 if low_memory else 1
                    now = datetime.now(UTC)
                    folder = product.write(l2a, scene, staging, produced=now, threads=threads, ahead=ahead)
    written = time.perf_counter()
    identifier = product.identifier(source.platform, source.sensing, source.tile, version)
    if left is not None and keep_state:
        state = staging / f"{identifier}.npz"
        product.save_state(left, state, l2a.evidence)
    seconds = {
        "read": opened - started - back,
        **({"backward": back} if began else {}),
        **l2a.seconds,
        "write": written - corrected,
        "state": time.perf_counter() - written,
    }
    outcome = Outcome(
        l1c=source.identifier,
        identifier=identifier,
        status=l2a.status,
        mode=l2a.mode,
        version=version,
        sensing=source.sensing,
        simulated=source.simulated,
        product=folder,
        state=state,
        figures=l2a.figures,
        absent=sorted(l2a.absent),
        origin=dict(l2a.origin),
        flags=dict(l2a.flags),
        seconds={step: round(value, 3) for step, value in seconds.items()},
    )
    return outcome, left


def ancillary_of(source: l1c.Granule, numbers: Parameters, dem: Path | None, terrain_cache: Path | None) -> Ancillary:
    """What is known of a date beside its image, for a version's coarse grid; errors as of `ancillary`."""
    return ancillary(
        source.grid,
        numbers.coarse_resolution,
        dem,
        ecmwf=source.ecmwf(),
        cams=source.cams(),
        default_ozone=numbers.default_ozone,
        cache=terrain_cache,
    )


def _overcast(
    source: l1c.Granule, around: Ancillary, composite: Composite | None, numbers: Parameters, pool: Executor
) -> L2A | None:
    """The outcome of a date that is nearly all cloud, found before it is decoded; else None."""
    if not chain.may_be_overcast(source.thin(around, numbers.coarse_resolution, numbers.coarse_resolution), numbers):
        return None
    return chain.overcast(source.thin(around, numbers.coarse_resolution), composite, numbers, pool.map)


def look_back(
    first: l1c.Granule,
    later: Sequence[Callable[[], l1c.Granule]],
    numbers: Parameters,
    dem: Path | None,
    terrain_cache: Path | None,
    threads: int,
) -> tuple[Composite | None, dict[str, str]]:
    """The composite of the dates after the first one, and which they are; one that can't be used is left out.

    Only their coarse grid is wanted: they are decoded at a reduced resolution.
    """
    composite: Composite | None = None
    used: list[str] = []
    with ThreadPoolExecutor(threads, "chain") as pool:
        for opened in reversed(later):
            try:
                source = opened()
                if source.grid != first.grid:
                    raise L1CError(source.path, f"lies on {source.grid}, the first date on {first.grid}")
                with source.thinned(threads, numbers.coarse_resolution) as scene_with:
                    scene = scene_with(ancillary_of(source, numbers, dem, terrain_cache))
                    before, composite = composite, chain.look_back(scene, composite, numbers, pool.map)
            except (InputError, OutOfRange) as error:
                log.warning("left out of the backward start of %s: %s", first.identifier, error)
                continue
            if composite is not before:
                used.insert(0, f"{source.sensing:%Y-%m-%d}")
    return composite, {"backward": f"from the later dates {', '.join(used)}"} if used else {}
