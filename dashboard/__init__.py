"""The web of the production centre: FastAPI routes and Panel pages over the store."""

import os

# Read when GDAL is first loaded, so before any module of the web imports rasterio. Two copies of PROJ are
# installed (pyproj's and rasterio's): a folder set for one breaks the other.
for _name in ("PROJ_DATA", "PROJ_LIB"):
    os.environ.pop(_name, None)
os.environ.setdefault("GDAL_DISABLE_READDIR_ON_OPEN", "EMPTY_DIR")
