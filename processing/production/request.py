"""What is asked of the chain's process: one date, and with what it is run. A worker has it without the chain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Setup:
    """With what dates are run, whichever they are.

    Attributes
    ----------
    dem : Path or None
        Terrain model, a raster or a folder of them.
    terrain_cache : Path or None
        Folder that keeps the terrain of each tile for its next date.
    threads : int or None
        That decode and encode; None: one for each core.
    low_memory : bool or None
        Keep decoded images in a file in the staging folder; None: where memory is short.
    keep_state : bool
        Write the recurrent state that a date leaves.
    admitted : Path or None
        Folder of the satellites and baselines that the centre admitted, beside those that ship with the program.
    """

    dem: Path | None = None
    terrain_cache: Path | None = None
    threads: int | None = None
    low_memory: bool | None = None
    keep_state: bool = True
    admitted: Path | None = None


@dataclass(frozen=True)
class Request:
    """One date of a tile to be made.

    Attributes
    ----------
    packages : sequence of Path
        The Level-1C package, or the halves of one pass.
    tile, version : str
        ``31TCJ``, ``V1_4``.
    staging : Path
        Folder that receives ``<identifier>/`` and ``<identifier>.npz``, each whole or not at all.
    previous_state : Path or None
        Recurrent state of the date before.
    later : sequence of sequence of Path
        The packages of each of the next dates, for the backward mode where there is no state; none: init mode.
    setup : Setup
    """

    packages: Sequence[Path]
    tile: str
    version: str
    staging: Path
    previous_state: Path | None = None
    later: Sequence[Sequence[Path]] = ()
    setup: Setup = field(default_factory=Setup)


@dataclass(frozen=True)
class Work:
    """What a series is at, so that who watches over it knows which package a crash or a hang is due to.

    Attributes
    ----------
    kind : str
        ``given`` once: all packages; then ``read``, ``date`` or ``later`` (a date that another one looks back from)
        for those in work, ``done`` for those that are told of next.
    packages : tuple of Path
    tiles : float
        Size of the image in whole tiles.
    tile : str or None
        That of the series, once it is known.
    """

    kind: str
    packages: tuple[Path, ...]
    tiles: float = 0.0
    tile: str | None = None
