"""One date of one tile through the whole line: Level-1C packages in, a staged MUSCATE product and state out.

The command `muscate process` and the centre's workers both call `produce`, so they make the same pixels.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .. import chain, l1c, product
from ..ancillary import ancillary
from ..errors import L1CError
from ..scene import Composite, Mode, Status
from ..versions import parameters
from . import machine

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
    cloud_percent, aot_mean : float or None
        [%], [-]
    quality : dict
        Further figures of the product: percentages and means; None where not known.
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
    cloud_percent: float | None
    aot_mean: float | None
    quality: dict[str, float | None]
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
    return found[0] if len(found) == 1 else l1c.merge(found)


def produce(
    packages: Sequence[Path],
    tile: str,
    version: str,
    *,
    staging: Path,
    previous_state: Path | None = None,
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
        Recurrent state of the date before; none: init mode.
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
    dem: Path | None = None,
    terrain_cache: Path | None = None,
    keep_state: bool = True,
    started: float | None = None,
    threads: int | None = None,
    low_memory: bool | None = None,
) -> tuple[Outcome, Composite | None]:
    """`produce` for a granule and a state already in memory; also gives the new state, None if unchanged."""
    started = time.perf_counter() if started is None else started
    numbers = parameters(version)
    threads = threads or machine.threads()
    if low_memory is None:
        low_memory = machine.is_short(source.grid.width * source.grid.height / TILE_AREA)
    if low_memory:
        machine.give_memory_back()
    folder = state = None
    with source.decoded(threads, staging if low_memory else None) as scene_with:
        around = ancillary(
            source.grid,
            numbers.coarse_resolution,
            dem,
            ecmwf=source.ecmwf(),
            default_ozone=numbers.default_ozone,
            cache=terrain_cache,
        )
        scene = scene_with(around)
        opened = time.perf_counter()
        l2a, left = chain.correct(scene, composite, numbers)
        corrected = time.perf_counter()
        if l2a.status == "valid":
            ahead = 0 if low_memory else 2
            folder = product.write(l2a, scene, staging, produced=datetime.now(UTC), threads=threads, ahead=ahead)
    identifier = product.identifier(scene.platform, scene.sensing, scene.tile, version)
    if left is not None and keep_state:
        state = staging / f"{identifier}.npz"
        product.save_state(left, state)
    seconds = {"read": opened - started, **l2a.seconds, "write": time.perf_counter() - corrected}
    outcome = Outcome(
        l1c=scene.identifier,
        identifier=identifier,
        status=l2a.status,
        mode=l2a.mode,
        version=version,
        sensing=scene.sensing,
        simulated=scene.simulated,
        product=folder,
        state=state,
        cloud_percent=_known(l2a.cloud_percent),
        aot_mean=_known(l2a.aot_mean),
        quality={
            name: _known(getattr(l2a, name))
            for name in (
                "cloud_percent",
                "snow_percent",
                "water_percent",
                "no_data_percent",
                "aot_mean",
                "water_vapour_mean",
            )
        },
        absent=sorted(l2a.absent),
        origin=dict(l2a.origin),
        flags=dict(l2a.flags),
        seconds={step: round(value, 3) for step, value in seconds.items()},
    )
    return outcome, left


def _known(value: float) -> float | None:
    """A number for JSON and SQL: NaN becomes None."""
    return None if math.isnan(value) else float(value)
