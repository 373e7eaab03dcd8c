"""What lies in a product's folder: its files, what its manifest says of them, its rasters by their ending."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from processing.bands import DISTRIBUTED
from processing.distribution.holdings import UNREADABLE, files, manifest
from processing.errors import ProductError

__all__ = ["UNREADABLE", "faults", "files", "find", "manifest", "reflectances", "required"]


def faults(folder: Path) -> list[str]:
    """Files of the manifest that are missing or of another size, in words; none without a manifest."""
    if not folder.is_dir():
        return ["its folder is missing"]
    if not (folder / "manifest.json").exists():
        return []
    try:
        sizes = {name: entry["size"] for name, entry in manifest(folder).items()}
    except UNREADABLE as fault:
        return [f"manifest.json can't be read: {fault}"]
    found = []
    for name, size in sizes.items():
        try:
            actual = (folder / name).stat().st_size
        except OSError:
            found.append(f"{name} is missing")
            continue
        if actual != size:
            found.append(f"{name} has {actual} bytes instead of {size}")
    return found


def find(folder: Path, ending: str) -> Path | None:
    """The raster whose name ends in `ending` (``SRE_B4.tif``, ``MASKS/CLM_R1.tif``); None if absent.

    Without an ending it is `folder` itself.
    """
    if not ending:
        return folder if folder.exists() else None
    below, _, name = ending.rpartition("/")
    inside = os.path.join(folder, below)
    try:
        names = _names(inside, os.stat(inside).st_mtime_ns)
    except OSError:
        return None
    return next((Path(inside, found) for found in names if found.endswith(f"_{name}")), None)


@lru_cache(maxsize=256)
def _names(folder: str, changed: int) -> list[str]:
    """What lay in a folder when it was last `changed`."""
    return sorted(os.listdir(folder))


def required(folder: Path, ending: str) -> Path:
    """`find` where the raster must be there.

    Raises
    ------
    ProductError
        If it is missing.
    """
    path = find(folder, ending)
    if path is None:
        raise ProductError(folder, f"{ending} is missing")
    return path


def reflectances(folder: Path) -> list[str]:
    """Reflectances that are there: ``SRE_B2``, ``FRE_B2``."""
    keys = (f"{kind}_{band}" for kind in ("SRE", "FRE") for band in DISTRIBUTED)
    return [key for key in keys if find(folder, f"{key}.tif")]
