"""One date of one tile through the whole line: Level-1C packages in, a staged MUSCATE product and state out.

The command `muscate process` and the centre's workers both call `produce`, so they make the same pixels.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from processing import chain, known, l1c, product
from processing.ancillary import ancillary
from processing.chain import steps
from processing.errors import InputError, L1CError, OutOfRange, printable
from processing.naming import bare
from processing.production import machine, progress
from processing.production.request import Request, Setup
from processing.scene import L2A, Ancillary, Composite, Figures, Grid, Mode, Scene, Status, let_go
from processing.versions import Parameters, parameters

log = logging.getLogger(__name__)

#: Of a Sentinel-2 tile. [m2]
TILE_AREA = 109_800**2
#: In the origins of a product of a pass that came in halves: the names of their packages.
HALVES = "halves"


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
        held = l1c.contents(package)
        mine = held.of(tile)
        if not mine:
            raise L1CError(package, f"is of tile {', '.join(sorted(g.tile for g in held.granules))}, not of {tile}")
        if len(mine) > 1:
            raise L1CError(
                package, f"holds {len(mine)} tiles ({', '.join(g.tile for g in mine)}): name one with --tile"
            )
        found += mine
    return l1c.merge(found)


class Past(NamedTuple):
    """What a date begins from: a composite, and where it came from if not from the date before."""

    composite: Composite | None
    origin: Mapping[str, str] = MappingProxyType({})


class _Clock:
    """Sums up the seconds between its laps by what was done in them."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._last = time.perf_counter()

    def lap(self, step: str) -> None:
        now = time.perf_counter()
        self.seconds[step] += now - self._last
        self._last = now


def produce(request: Request) -> Outcome:
    """Run one date of a tile through the chain and write product and state into its staging folder.

    Raises
    ------
    InputError
        If an input can't be used; nothing is left in the staging folder.
    StorageError
        If the disk is full or can't be written.
    """
    clock = _Clock()
    known.use(request.setup.admitted)
    progress.begin("read")
    composite = None if request.previous_state is None else product.load_state(request.previous_state)
    source = granule(request.packages, request.tile)
    later = [partial(granule, of_date, request.tile) for of_date in request.later]
    clock.lap("read")
    outcome, _ = correct(source, request.version, composite, staging=request.staging, later=later, setup=request.setup)
    read = round(outcome.seconds["read"] + clock.seconds["read"], 3)
    return replace(outcome, seconds=outcome.seconds | {"read": read})


def correct(
    source: l1c.Granule,
    version: str,
    composite: Composite | None,
    *,
    staging: Path,
    later: Sequence[Callable[[], l1c.Granule]] = (),
    setup: Setup | None = None,
) -> tuple[Outcome, Composite | None]:
    """`produce` for a granule and a state already in memory; also gives the new state, None if unchanged.

    `later` gives the next dates, opened when they are needed.
    """
    clock = _Clock()
    numbers = parameters(version)
    setup = _on_this_machine(setup or Setup(), source.grid)
    if setup.low_memory:
        machine.give_memory_back()
    past = Past(composite)
    clock.lap("read")
    if composite is None and later:
        progress.begin("backward")
        past = look_back(source, later, numbers, setup)
        clock.lap("backward")
    l2a, left, folder = _corrected(source, past, numbers, staging, setup, clock)
    state = None
    if left is not None and setup.keep_state:
        progress.begin("state")
        state = staging / f"{product.identifier(source.platform, source.sensing, source.tile, version)}.npz"
        product.save_state(left, state, l2a.evidence)
    clock.lap("state")
    spent = clock.seconds
    seconds = {
        "read": spent["read"],
        **({"backward": spent["backward"]} if past.origin else {}),
        **l2a.seconds,
        "write": spent["write"],
        "state": spent["state"],
    }
    return _outcome(source, l2a, folder, state, seconds), left


def _on_this_machine(setup: Setup, grid: Grid) -> Setup:
    """A setup with what it leaves open."""
    low_memory = setup.low_memory
    if low_memory is None:
        low_memory = machine.is_short(grid.width * grid.height / TILE_AREA)
    return replace(setup, threads=setup.threads or machine.threads(), low_memory=low_memory)


def _corrected(
    source: l1c.Granule, past: Past, numbers: Parameters, staging: Path, setup: Setup, clock: _Clock
) -> tuple[L2A, Composite | None, Path | None]:
    """What the chain finds, the state it leaves, and the product where there is one, in the staging folder."""
    around = ancillary_of(source, numbers, setup.dem, setup.terrain_cache)
    threads = setup.threads or machine.threads()
    left = folder = None
    with ThreadPoolExecutor(threads, "chain") as pool:
        l2a = _overcast(source, around, past.composite, numbers, pool)
        if l2a is None:
            with source.decoded(threads, staging if setup.low_memory else None) as scene_with:
                scene = scene_with(around)
                clock.lap("read")
                progress.begin(progress.CHAIN)
                with steps.watched(_tidy):
                    l2a, left = chain.correct(scene, past.composite, numbers, pool.map)
                told = {"level_1c": source.integrity(), **_halves(source), **source.admitted}
                l2a = replace(l2a, origin={**l2a.origin, **past.origin, **told})
                clock.lap("chain")
                machine.trim()
                if l2a.status == "valid":
                    progress.begin("write")
                    ahead = 0 if setup.low_memory else 1
                    now = datetime.now(UTC)
                    folder = product.write(
                        l2a,
                        scene,
                        staging,
                        produced=now,
                        threads=threads,
                        ahead=ahead,
                        written=partial(_let_go, scene),
                    )
        else:
            clock.lap("read")
    clock.lap("write")
    return l2a, left, folder


def _tidy(_step: str, seconds: float | None) -> None:
    """Before each step of the chain freed arrays are given back: they would add a third to a tile's memory."""
    if seconds is None:
        machine.trim()


def _let_go(scene: Scene, key: str) -> None:
    """Have the memory of a raster that was written back, and of the counts that it was the last one to be made of."""
    kind, _, band = key.partition("_")
    if kind == "FRE":
        let_go(scene.counts, band)
    machine.trim()


def _halves(source: l1c.Granule) -> dict[str, str]:
    names = [printable(bare(path.name)) for path in source.packages()]
    return {HALVES: ", ".join(names)} if len(names) > 1 else {}


def _outcome(
    source: l1c.Granule, l2a: L2A, folder: Path | None, state: Path | None, seconds: Mapping[str, float]
) -> Outcome:
    return Outcome(
        l1c=source.identifier,
        identifier=product.identifier(source.platform, source.sensing, source.tile, l2a.version),
        status=l2a.status,
        mode=l2a.mode,
        version=l2a.version,
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
    setup: Setup,
) -> Past:
    """The composite of the dates after the first one, and which they are; one that can't be used is left out.

    Only their coarse grid is wanted: they are decoded at a reduced resolution.
    """
    composite: Composite | None = None
    used: list[str] = []
    threads = setup.threads or machine.threads()
    with ThreadPoolExecutor(threads, "chain") as pool:
        for opened in reversed(later):
            try:
                source = opened()
                progress.look_at(source.packages())
                if source.grid != first.grid:
                    raise L1CError(source.path, f"lies on {source.grid}, the first date on {first.grid}")
                with source.thinned(threads, numbers.coarse_resolution) as scene_with:
                    scene = scene_with(ancillary_of(source, numbers, setup.dem, setup.terrain_cache))
                    before, composite = composite, chain.look_back(scene, composite, numbers, pool.map)
            except (InputError, OutOfRange) as error:
                log.warning("left out of the backward start of %s: %s", first.identifier, error)
                continue
            if composite is not before:
                used.insert(0, f"{source.sensing:%Y-%m-%d}")
    progress.look_at(())
    return Past(composite, {"backward": f"from the later dates {', '.join(used)}"} if used else {})
