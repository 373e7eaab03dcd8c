"""What is known of Level-1C: satellites by their spectral responses, processing baselines by their format.

It is data: ``data/known.toml`` ships with the program, and a centre adds what it admitted, a file each in the folder
``admitted`` of its home. What is in neither is no fault of a package: it is held until somebody admits it.
"""

from __future__ import annotations

import io
import json
import logging
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from processing import storage
from processing.errors import StorageError
from processing.resources import DATA

if TYPE_CHECKING:  # every command imports this module, few of them the tables
    from processing.atmosphere.tables import Folded
    from processing.scene import Responses

log = logging.getLogger(__name__)

SHIPPED = DATA / "known.toml"
#: The form of the masks of a baseline: polygons, or images.
Masks = Literal["gml", "image"]
#: Names of what can be admitted: a satellite, a baseline, or all baselines of a first number.
SATELLITE = r"S2[A-Z]"
BASELINE = r"\d\d(\.\d\d)?"


@dataclass(frozen=True)
class Satellite:
    """A satellite that may be corrected.

    Attributes
    ----------
    platform : str
        ``S2D``.
    origin : str
        Where its spectral responses are from, in words.
    sensor : str
        The satellite of the tables whose responses are taken; empty: its own are folded in its file.
    file : Path or None
        What the centre admitted it with; None where it ships with the program.
    """

    platform: str
    origin: str
    sensor: str
    file: Path | None = None

    def responses(self) -> Responses | None:
        """What the chain is told of an admitted satellite, whose tables answer in this process from now on.

        Raises
        ------
        StorageError
            If its file can't be read.
        """
        from processing.atmosphere import tables
        from processing.scene import Responses

        if self.file is None:
            return None
        if self.sensor:
            return Responses(self.sensor, self.origin)
        return Responses(tables.admit(read_folded(self.file)), self.origin)


@dataclass(frozen=True)
class Baseline:
    """The format of a processing baseline.

    Attributes
    ----------
    name : str
        ``05.10``, or ``05`` of all with this first number.
    offset : bool
        Whether the counts have an offset.
    masks : str
        ``gml`` or ``image``.
    origin : str
        Who admitted it and after which check; empty where it ships with the program.
    """

    name: str
    offset: bool
    masks: Masks
    origin: str = ""


@dataclass(frozen=True)
class Known:
    """Satellites and baselines by their names, and files of the centre's folder that say nothing that can be used."""

    satellites: Mapping[str, Satellite]
    baselines: Mapping[str, Baseline]
    faults: tuple[str, ...] = ()

    def baseline(self, number: str) -> Baseline | None:
        """The format of a baseline ``05.10``; None where it isn't known."""
        return self.baselines.get(number) or self.baselines.get(number[:2])

    def lacks(self, platform: str, baseline: str) -> tuple[str, ...]:
        """What of a package is not known: its satellite, its baseline, both."""
        unknown = [] if platform in self.satellites else [platform]
        return (*unknown, *([] if self.baseline(baseline) else [baseline]))


@lru_cache(maxsize=1)
def shipped() -> Known:
    """What the program knows by itself."""
    found = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))
    return Known(
        {name: Satellite(name, origin, name) for name, origin in found["satellites"].items()},
        {name: Baseline(name, **said) for name, said in found["baselines"].items()},
    )


def read(folder: Path) -> Known:
    """What the program knows, and what a centre admitted in a folder.

    A file that can't be used is told in the log, and what it admitted is held again: the others go on.

    Raises
    ------
    StorageError
        If the folder can't be read.
    """
    try:
        files = sorted(folder.glob("*.json"))
        stamps = tuple((path, path.stat().st_mtime_ns) for path in files)
    except OSError as error:
        raise StorageError(f"{folder}: can't be read: {error.strerror or error}") from error
    return _read(stamps)


@lru_cache(maxsize=16)
def _read(files: tuple[tuple[Path, int], ...]) -> Known:
    """`read` of files as they were at some time."""
    own = shipped()
    satellites, baselines = dict(own.satellites), dict(own.baselines)
    faults = []
    for path, _ in files:
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            name, origin = str(said["name"]), str(said["origin"])
            if re.fullmatch(SATELLITE, name):
                satellites[name] = Satellite(name, origin, str(said["sensor"]), path)
            elif re.fullmatch(BASELINE, name) and said["masks"] in get_args(Masks):
                baselines[name] = Baseline(name, bool(said["offset"]), said["masks"], origin)
            else:
                raise ValueError(f"it admits {name!r}")
        except (OSError, ValueError, KeyError, TypeError) as error:
            faults.append(f"{path.name}: not what `muscate admit` writes ({error})")
            log.error("%s", faults[-1])
    return Known(satellites, baselines, tuple(faults))


#: The folder of the centre that this process serves; none: what ships with the program is all that is known.
_folder: Path | None = None


def use(folder: Path | None) -> None:
    """From now on `current` is what the centre with this folder knows."""
    global _folder
    _folder = folder


def current() -> Known:
    """What the centre that this process serves knows now; as `read`."""
    return shipped() if _folder is None else read(_folder)


def folder() -> Path | None:
    """Where it keeps what it admitted."""
    return _folder


def write(folder: Path, name: str, said: Mapping[str, Any], responses: Folded | None = None) -> Path:
    """Write what is admitted, whole or not at all: a file of words and, where there are some, one of its tables.

    Parameters
    ----------
    said : mapping
        ``origin``, ``sensor`` of a satellite, ``offset`` and ``masks`` of a baseline, and what else is to be kept.

    Raises
    ------
    StorageError
        If it can't be written.
    """
    import numpy as np

    file = folder / f"{name}.json"
    if responses is not None:
        tables = io.BytesIO()
        np.savez_compressed(tables, **responses._asdict())
        storage.put(file.with_suffix(".npz"), tables.getvalue())
    storage.put(file, json.dumps({"name": name, **said}, indent=2).encode())
    return file


@lru_cache(maxsize=16)
def _folded(file: Path, _changed: int) -> Folded:
    import numpy as np

    from processing.atmosphere.tables import Folded

    with np.load(file) as arrays:
        return Folded(*(arrays[name] for name in Folded._fields))


def read_folded(file: Path) -> Folded:
    """The weights and tables that lie beside the file of an admitted satellite.

    Raises
    ------
    StorageError
        If they can't be read.
    """
    beside = file.with_suffix(".npz")
    try:
        return _folded(beside, beside.stat().st_mtime_ns)
    except (OSError, ValueError, KeyError) as error:
        raise StorageError(f"{beside}: the tables of {file.stem} can't be read: {error}") from error
