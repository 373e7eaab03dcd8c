"""Read a product with rasterio and NumPy alone."""

from pathlib import Path

import numpy as np
import rasterio


def read(product: Path, key: str) -> np.ndarray:
    """One raster of a product: SRE_B4, CLM_R1, ATB_R1 ..."""
    (file,) = product.rglob(f"*_{key}.tif")
    with rasterio.open(file) as source:
        return source.read(1)


def ndvi(product: Path) -> np.ndarray:
    """NDVI of the clear pixels; not a number elsewhere."""
    red, infrared = read(product, "SRE_B4"), read(product, "SRE_B8")
    clouds = read(product, "CLM_R1")
    clear = (clouds & 1 == 0) & (red != -10000)  # bit of value 1: any cloud or shadow
    red, infrared = red / 10000, infrared / 10000
    return np.where(clear, (infrared - red) / (infrared + red), np.nan)
