"""The web of the production centre: FastAPI routes and Panel pages over the store."""

from processing import offline

# Read when GDAL is first loaded, so before any module of the web imports rasterio.
offline.keep()
