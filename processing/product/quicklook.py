"""Small colour images of a product."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import Resampling

from processing.versions import Parameters

#: Red, green and blue of the quicklook.
BANDS = ("B4", "B3", "B2")
#: Stretched linearly from black at 0 to white at this reflectance. [-]
WHITE = 0.25
#: Largest width of the product's quicklook. [px]
WIDTH = 1000


def stretch(counts: NDArray[np.int16], white: float = WHITE) -> NDArray[np.uint8]:
    """Counts of reflectance as grey levels; black below 0 and where not observed."""
    scale = 255.0 / (white * Parameters.reflectance_quantification)
    grey: NDArray[np.uint8] = np.clip(counts * scale + 0.5, 0.0, 255.0).astype(np.uint8)
    return grey


def render(rasters: Sequence[Path], width: int = WIDTH, white: float = WHITE) -> NDArray[np.uint8]:
    """Three reflectance rasters as one image at most `width` pixels wide, read from their overviews.

    Parameters
    ----------
    rasters : red, green, blue
        Files of one size.

    Returns
    -------
    (row, col, 3) uint8
    """
    layers = []
    for path in rasters:
        with rasterio.open(path) as dataset:
            step = max(1.0, dataset.width / width)
            shape = (max(1, round(dataset.height / step)), max(1, round(dataset.width / step)))
            layers.append(stretch(dataset.read(1, out_shape=shape, resampling=Resampling.average), white))
    return np.stack(layers, axis=-1)


def jpeg(image: NDArray[np.uint8]) -> bytes:
    """A JPEG file of an image (row, col, 3) uint8."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=90)
    return file.getvalue()
