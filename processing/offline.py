"""GDAL and PROJ kept off the network and away from what lies beside a file; the one place that tells them so.

What is read by them is a local file, always: terrain is fetched by `glo30` over HTTP of its own. A name, a projection
or a raster that leads elsewhere must not make this program ask another machine, so the libraries are told before they
are loaded, in variables that the processes started from here inherit.
"""

from __future__ import annotations

import os

#: A proxy that nobody is: what the libraries would ask for all the same comes to nothing.
NOBODY = "http://127.0.0.1:1"
#: For every process of the program.
SETTINGS = {
    "GDAL_HTTP_PROXY": NOBODY,
    "GDAL_HTTP_MAX_RETRY": "0",
    "GDAL_HTTP_TIMEOUT": "1",
    "GDAL_HTTP_CONNECTTIMEOUT": "1",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # no file is looked for beside another one
    "GDAL_PAM_ENABLED": "NO",
    "PROJ_NETWORK": "OFF",
}


def keep() -> None:
    """Tell them, before any of them is loaded.

    Two copies of PROJ are installed, rasterio's and pyproj's: a variable that points at one breaks the other, and goes.
    """
    for name in ("PROJ_DATA", "PROJ_LIB"):
        os.environ.pop(name, None)
    os.environ.update(SETTINGS)
