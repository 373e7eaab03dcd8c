"""The recurrent state of a tile on disk: one ``.npz``, there whole or not at all."""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from processing import deflate
from processing.errors import StateError
from processing.product import disk
from processing.scene import Composite, Evidence, Grid

#: Number of the file's form, raised when it changes.
FORMAT = 3
HEADER = "header.json"
#: Folder of the evidence inside the file.
EVIDENCE = "evidence"
#: A backward composite that entered its date, a state file of its own.
BACKWARD = f"{EVIDENCE}/backward.npz"
#: Fields of `Composite` that are one raster or a stack, with their type; and those that are one raster a band.
RASTERS = {
    "day": np.dtype(np.int16),
    "stack": np.dtype(np.float32),
    "possible_water": np.dtype(np.bool_),
    "tested_water": np.dtype(np.bool_),
    "water": np.dtype(np.bool_),
    "shadow": np.dtype(np.bool_),
    "aot": np.dtype(np.float32),
    "blue": np.dtype(np.float32),
}
BY_BAND = ("toa", "rayleigh_corrected", "surface")
#: What the libraries raise on the way through a damaged archive.
_DAMAGE = (OSError, zipfile.BadZipFile, zlib.error, EOFError, KeyError, TypeError, ValueError, RuntimeError)


def save_state(composite: Composite, path: Path, evidence: Evidence | None = None) -> None:
    """Write a state, bit for bit, and the evidence of its date; the same state always gives the same bytes.

    Level 1 of DEFLATE: higher ones cost time and save nothing on such data. By ISA-L where it is, which takes a tenth
    of the second, or four with finer cells, that zlib takes for a whole tile after all else is done.

    Raises
    ------
    StorageError
        If the disk is full or can't be written; what was at `path` before is still there.
    ValueError
        If the composite is a backward one: those only begin a series, in the run that makes them.
    """
    if composite.backward:
        raise ValueError(f"a backward composite is no state to keep: {path}")
    growing = path.with_name(f".{path.name}.partial")
    try:
        with disk.storing(path):
            with growing.open("wb") as file:
                _write(composite, evidence, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(growing, path)
    except BaseException:
        with suppress(OSError):
            growing.unlink()
        raise
    disk.sync(path.parent)


def _write(composite: Composite, evidence: Evidence | None, file: IO[bytes]) -> None:
    header = {
        "format": FORMAT,
        "tile": composite.tile,
        "version": composite.version,
        "resolution": composite.resolution,
        "sensing": composite.sensing.isoformat(),
        "grid": vars(composite.grid),
        "stack_days": composite.stack_days,
        "backward": composite.backward,
        "bands": {kind: list(getattr(composite, kind)) for kind in BY_BAND},
    }
    arrays = list(_arrays(composite))
    if evidence is not None:
        arrays += [(f"{EVIDENCE}/{name}", array) for name, array in _leaves(evidence)]
    with zipfile.ZipFile(file, "w") as archive:
        _add(archive, HEADER, json.dumps(header).encode())
        for name, array in arrays:
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            _add(archive, f"{name}.npy", content.getbuffer())
        if evidence is not None and evidence.backward is not None:
            content = io.BytesIO()
            _write(evidence.backward, None, content)
            archive.writestr(zipfile.ZipInfo(BACKWARD), content.getbuffer())


def _add(archive: zipfile.ZipFile, name: str, content: bytes | memoryview) -> None:
    """Add a member without the time of writing, deflated by us: `zipfile` itself knows zlib alone."""
    member = zipfile.ZipInfo(name)
    member.compress_type = zipfile.ZIP_DEFLATED
    packed = memoryview(deflate.compress(content, 1))[2:-4]  # a ZIP has no use for zlib's head and sum
    member.CRC, member.file_size, member.compress_size = zlib.crc32(content), len(content), len(packed)
    file = archive.fp
    assert file is not None
    member.header_offset = file.tell()
    file.write(member.FileHeader())
    file.write(packed)
    archive.filelist.append(member)
    archive.NameToInfo[name] = member
    archive.start_dir = file.tell()


def load_state(path: Path) -> Composite:
    """Read a state back. Whether it is of the right tile, version and date is for the caller to say.

    Raises
    ------
    StateError
        If the file is missing, damaged, of another form, or its rasters do not fit its grid.
    """
    return _read(path, path)


def load_days(path: Path) -> tuple[NDArray[np.int16], int]:
    """Only the date of each pixel of a state, as `Composite.day`, and its resolution [m].

    Raises
    ------
    StateError
        If the file is missing, damaged or of another form.
    """
    with _opened(path, path) as (archive, header):
        return _array(archive, "day"), int(header["resolution"])


@contextmanager
def _opened(file: Path | IO[bytes], path: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, Any]]]:
    """A state's archive and header; what is found wrong while it is open is a StateError that names `path`."""
    try:
        with zipfile.ZipFile(file) as archive:
            header: dict[str, Any] = json.loads(archive.read(HEADER))  # the archive checks each member's CRC
            if header["format"] != FORMAT:
                raise StateError(path, f"is a state of form {header['format']}, not {FORMAT}")
            yield archive, header
    except FileNotFoundError:
        raise StateError(path, "is not there") from None
    except _DAMAGE as error:
        raise StateError(path, f"is damaged: {error}") from error


def _read(file: Path | IO[bytes], path: Path) -> Composite:
    """`path` names the file in errors."""
    with _opened(file, path) as (archive, header):
        rasters: dict[str, Any] = {name: _array(archive, name) for name in RASTERS}
        for kind in BY_BAND:
            rasters[kind] = {band: _array(archive, f"{kind}/{band}") for band in header["bands"][kind]}
        composite = Composite(
            tile=header["tile"],
            version=header["version"],
            grid=Grid(**header["grid"]),
            resolution=header["resolution"],
            sensing=datetime.fromisoformat(header["sensing"]),
            stack_days=tuple(header["stack_days"]),
            backward=header["backward"],
            **rasters,
        )
    _check(composite, path)
    return composite


def load_evidence(path: Path) -> Evidence | None:
    """What the date that left a state looked at; None where it was not kept.

    Raises
    ------
    StateError
        If the file is missing, damaged or of another form.
    """
    found: dict[str, Any] = {}
    with _opened(path, path) as (archive, _):
        for member in archive.namelist():
            if member == BACKWARD:
                found["backward"] = _read(io.BytesIO(archive.read(BACKWARD)), path)
                continue
            if not member.startswith(f"{EVIDENCE}/"):
                continue
            _, name, *band = member.removesuffix(".npy").split("/")
            array = _array(archive, member.removesuffix(".npy"))
            if band:
                found.setdefault(name, {})[band[0]] = array
            else:
                found[name] = array
        if not found:
            return None
        found["terrain"] = bool(found["terrain"])
        return Evidence(**found)


def _leaves(evidence: Evidence) -> Iterator[tuple[str, NDArray[Any]]]:
    for name, value in vars(evidence).items():
        if name == "backward" or value is None:
            continue
        if isinstance(value, dict):
            yield from ((f"{name}/{band}", array) for band, array in value.items())
        else:
            yield name, np.asarray(value)


def _arrays(composite: Composite) -> Iterator[tuple[str, NDArray[Any]]]:
    for name in RASTERS:
        yield name, getattr(composite, name)
    for kind in BY_BAND:
        for band, array in getattr(composite, kind).items():
            yield f"{kind}/{band}", array


def _array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    return np.lib.format.read_array(io.BytesIO(archive.read(f"{name}.npy")), allow_pickle=False)


def _check(composite: Composite, path: Path) -> None:
    shape = composite.grid.shape(composite.resolution)
    for name, array in _arrays(composite):
        if array.shape[-2:] != shape:
            raise StateError(path, f"{name} of shape {array.shape} on a grid of {shape}")
        if array.dtype != RASTERS.get(name, np.float32):
            raise StateError(path, f"{name} is {array.dtype}")
    if composite.sensing.tzinfo is None:
        raise StateError(path, f"its sensing time {composite.sensing.isoformat()} has no time zone")
    if len(composite.stack) != len(composite.stack_days):
        raise StateError(path, f"{len(composite.stack_days)} dates for a stack of {len(composite.stack)}")
