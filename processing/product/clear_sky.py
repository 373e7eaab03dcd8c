"""Reflectance of a product's clear pixels: a date that stands out of its series shows in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.errors import RasterioError

from processing.errors import ProductError
from processing.masks import Cloud
from processing.product import names

#: Visible and near infrared of 10 m: aerosol errors show in the one, errors of geometry and masks in both.
BANDS = ("B2", "B4", "B8")
#: Of the thinned image, read from the overviews. [m]
RESOLUTION = 160
#: With fewer clear pixels there is no figure.
MIN_CLEAR = 100


def clear_reflectance(folder: Path) -> dict[str, float | None]:
    """Median surface reflectance (SRE) of a product's pixels without cloud or shadow, ``clear_B4`` and so on.

    Thinned to `RESOLUTION`. None where fewer than `MIN_CLEAR` pixels are clear; no key for a band without a raster. [-]

    Raises
    ------
    ProductError
        If a raster can't be read.
    """
    masked = names.found(folder, "CLM_R1")
    if not masked.exists():
        return {}
    clear = _thinned(masked) & (Cloud.ANY | Cloud.THINNEST | Cloud.HIGH) == 0
    found: dict[str, float | None] = {}
    for band in BANDS:
        path = names.found(folder, f"SRE_{band}")
        if path.exists():
            counts = _thinned(path)
            values = counts[clear & (counts != -10000)]
            found[f"clear_{band}"] = float(np.median(values)) / 10000 if values.size >= MIN_CLEAR else None
    return found


def _thinned(path: Path) -> np.ndarray:
    try:
        with rasterio.open(path) as dataset:
            step = max(1, round(RESOLUTION / dataset.res[0]))
            shape = -(-dataset.height // step), -(-dataset.width // step)
            values: np.ndarray = dataset.read(1, out_shape=shape, resampling=Resampling.nearest)
            return values
    except RasterioError as error:
        raise ProductError(path, f"can't be read: {error}") from error
