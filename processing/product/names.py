"""Names of MUSCATE products and of the files inside."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from processing.bands import long_name

#: Mask rasters lie in ``MASKS/``, job information in ``DATA/``, all the rest at the top.
MASKS = ("CLM", "MG2", "EDG", "SAT", "IAB", "DFP", "DTF")


def identifier(platform: str, sensing: datetime, tile: str, version: str) -> str:
    """Name of a product: ``SENTINEL2A_20190516-105713-915_L2A_T31UER_D_V1-4``.

    Parameters
    ----------
    platform : str
        ``S2A``.
    sensing : datetime
        With a time zone; printed in UTC, cut to the millisecond.
    tile : str
        ``31UER``.
    version : str
        ``V1_4``.

    Raises
    ------
    ValueError
        If the time has no zone.
    """
    return f"{series(platform, sensing, tile)}_D_{version.replace('_', '-')}"


def series(platform: str, sensing: datetime, tile: str) -> str:
    """Name of an acquisition's Level-2A whatever its version: the identifier up to the tile."""
    if sensing.tzinfo is None:
        raise ValueError(f"sensing time {sensing} has no time zone")
    moment = sensing.astimezone(UTC)
    return f"{long_name(platform)}_{moment:%Y%m%d-%H%M%S}-{moment.microsecond // 1000:03d}_L2A_T{tile}"


def file_path(product: str, key: str) -> str:
    """Path of a file inside its product from the key that tells it from the others: ``SRE_B2``, ``CLM_R1``.

    The file's name begins with the product's, so that who knows the one can join the other to it.
    """
    kind = key.split("_")[0]
    suffix = {"QKL": "jpg", "MTD": "xml", "JPI": "xml"}.get(kind, "tif")
    folder = "MASKS/" if kind in MASKS else "DATA/" if kind == "JPI" else ""
    return f"{folder}{product}_{key}.{suffix}"


def found(folder: Path, key: str) -> Path:
    """A file of a product on disk, also of one whose files have a C where its folder has a D, as 0.1.0 wrote them.

    Where there is none, the path that it should have.
    """
    path = folder / file_path(folder.name, key)
    if not path.exists():
        before = folder / file_path(folder.name.replace("_D_V", "_C_V"), key)
        return before if before.exists() else path
    return path
