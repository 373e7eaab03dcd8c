"""Names of MUSCATE products and of the files inside."""

from __future__ import annotations

from datetime import UTC, datetime

from processing.bands import PLATFORMS

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
    return f"{PLATFORMS[platform]}_{moment:%Y%m%d-%H%M%S}-{moment.microsecond // 1000:03d}_L2A_T{tile}"


def stem(product: str) -> str:
    """What the names of all files of a product begin with: its identifier with C in place of D."""
    return product.replace("_D_V", "_C_V")


def file_path(product: str, key: str) -> str:
    """Path of a file inside its product from the key that tells it from the others: ``SRE_B2``, ``CLM_R1``."""
    kind = key.split("_")[0]
    suffix = {"QKL": "jpg", "MTD": "xml", "JPI": "xml"}.get(kind, "tif")
    folder = "MASKS/" if kind in MASKS else "DATA/" if kind == "JPI" else ""
    return f"{folder}{stem(product)}_{key}.{suffix}"
