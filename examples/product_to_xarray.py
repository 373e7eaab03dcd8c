"""A published product in xarray: reflectance, masks read by their bits, NDVI of the clear ground.

    python examples/product_to_xarray.py var/archive/31TCJ/V1_4/SENTINEL2B_20240603-105835-000_L2A_T31TCJ_D_V1-4

The files are GeoTIFF: nothing of muscate is needed to read them, `processing.masks` only gives the bits their names.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import rasterio
import xarray as xr

from processing.masks import Cloud, Edge, Geophysical


def raster(product: Path, key: str) -> xr.DataArray:
    """One raster of a product, ``SRE_B4`` or ``CLM_R1``, with the coordinates of its pixels' centres. [m]"""
    (file,) = product.rglob(f"*_{key}.tif")
    with rasterio.open(file) as source:
        to_ground = source.transform  # of a north-up image: no rotation
        x = to_ground.c + to_ground.a * (np.arange(source.width) + 0.5)
        y = to_ground.f + to_ground.e * (np.arange(source.height) + 0.5)
        return xr.DataArray(
            source.read(1), {"y": y, "x": x}, ("y", "x"), name=key, attrs={"crs": source.crs.to_string()}
        )


def reflectance(product: Path, band: str) -> xr.DataArray:
    """Surface reflectance of a band, NaN where there is none. [-]"""
    counts = raster(product, f"SRE_{band}")
    return (counts.where(counts != -10000) / 10000).astype("float32")


def clear_land(product: Path, group: str = "R1") -> xr.DataArray:
    """Pixels that were seen, without cloud, shadow, snow and water; `group` is R1 (10 m) or R2 (20 m)."""
    cloudy = raster(product, f"CLM_{group}") & Cloud.ANY
    other = raster(product, f"MG2_{group}") & (Geophysical.WATER | Geophysical.SNOW | Geophysical.TOPOGRAPHIC_SHADOW)
    unseen = raster(product, f"EDG_{group}") & Edge.NO_DATA
    return (cloudy | other | unseen) == 0


def ndvi(product: Path) -> xr.DataArray:
    """NDVI at 10 m of the clear land, NaN elsewhere. [-]"""
    red, near_infrared = reflectance(product, "B4"), reflectance(product, "B8")
    index = (near_infrared - red) / (near_infrared + red)
    return index.where(clear_land(product)).rename("NDVI").assign_attrs(red.attrs)


def main() -> None:
    """Print how much of a product is clear land, its NDVI, and the share of each bit of the cloud mask."""
    product = Path(sys.argv[1])
    index = ndvi(product)
    print(
        f"{product.name}: {100 * float(index.notnull().mean()):.1f} % clear land, mean NDVI {float(index.mean()):.3f}"
    )
    cloud = raster(product, "CLM_R1")
    for bit in Cloud:
        print(f"  CLM {bit.name:15s} {100 * float((cloud & bit).astype(bool).mean()):5.1f} %")


if __name__ == "__main__":
    main()
