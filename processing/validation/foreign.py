"""Mask files of others, looked at before a library opens them: which kind, how large, where on the globe.

A library that guesses a file's kind from its content can be led anywhere by it: a VRT named ``m.tif`` reads any file of
this machine, a name or a projection with an address in it asks another one. So the kind is what the name says and the
first bytes confirm, and a projection is a number.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from rasterio.crs import CRS
from rasterio.errors import CRSError

from processing.errors import InputError

#: Largest file [bytes]; most features; most corners of all, and of a polygon whose line crosses itself.
BYTES, FEATURES, CORNERS, CROSSING = 256 * 2**20, 20_000, 500_000, 2_000
#: Most pixels: a tile's at 10 m. Fewer of a small file, as one that claims much and holds nothing is none of a mask.
PIXELS, FREE, PER_BYTE = 125_000_000, 25_000_000, 4_000
#: Most classes of a raster or of polygons.
CLASSES = 256
#: First bytes of a kind, and the driver that reads it.
KINDS: dict[str, tuple[tuple[bytes, ...], str]] = {
    ".tif": ((b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"), "GTiff"),
    ".tiff": ((b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"), "GTiff"),
    ".gpkg": ((b"SQLite format 3\x00",), "GPKG"),
    ".shp": ((b"\x00\x00\x27\x0a",), "ESRI Shapefile"),
    ".geojson": ((), "GeoJSON"),
    ".json": ((), "GeoJSON"),
}
#: The same of rasters that a command is given on the machine itself: masks, reflectance and AOT of other processors. A
#: VRT is none of them, as it reads whatever file it names.
RASTERS: dict[str, tuple[tuple[bytes, ...], str]] = {
    **{suffix: KINDS[suffix] for suffix in (".tif", ".tiff")},
    ".jp2": ((b"\x00\x00\x00\x0cjP  \r\n\x87\n",), "JP2OpenJPEG"),
    ".img": ((b"EHFA_HEADER_TAG",), "HFA"),
}
#: Where a GeoPackage says that it is one, and what it says. [bytes]
_GEOPACKAGE = slice(68, 72), (b"GPKG", b"GP10", b"GP11")
_NUMBER = re.compile(r"(?:urn:ogc:def:crs:EPSG:[\d.]*:|EPSG:)(\d{4,6})", re.IGNORECASE)
#: Longitude and latitude of WGS 84 in this order, as GeoJSON names it.
_CRS84 = re.compile(r"urn:ogc:def:crs:OGC:(?:1\.3|0)?:CRS84|OGC:CRS84", re.IGNORECASE)


def checked(path: Path) -> str:
    """The driver that reads a file.

    Raises
    ------
    InputError
        If it is none of `KINDS`, no plain file, too large, or its content is another one than its name says.
    """
    known = KINDS.get(path.suffix.lower())
    if known is None:
        raise InputError(path, "is no GeoTIFF, GeoJSON, GeoPackage or shapefile")
    if str(path).startswith("/vsi") or ".zip" in str(path).lower() or "!" in path.name or not path.is_file():
        raise InputError(path, "is no plain file")
    if (size := path.stat().st_size) > BYTES:
        raise InputError(path, f"has {size / 1e6:.0f} MB: more than {BYTES / 1e6:.0f}")
    starts, driver = known
    with path.open("rb") as file:
        head = file.read(100)
    place, marks = _GEOPACKAGE
    if (starts and not head.startswith(starts)) or (driver == "GPKG" and head[place] not in marks):
        raise InputError(path, f"is no {driver}, whatever its name says")
    return driver


def raster(path: Path) -> str:
    """The driver that reads a raster that a command is given.

    Raises
    ------
    InputError
        If it is none of `RASTERS`, no plain file, or its content is another one than its name says.
    """
    known = RASTERS.get(path.suffix.lower())
    if known is None:
        raise InputError(path, f"is no raster that is read here ({', '.join(RASTERS)})")
    if not path.is_file():
        raise InputError(path, "is no plain file")
    with path.open("rb") as file:
        if not file.read(100).startswith(known[0]):
            raise InputError(path, f"is no {known[1]}, whatever its name says")
    return known[1]


def projection(path: Path, given: Any) -> CRS:
    """The projection of a file, by its number.

    Parameters
    ----------
    given : CRS or str
        As the file has it: ``EPSG:n``, the URN of OGC for it or for CRS84, or a description that is one of EPSG's.

    Raises
    ------
    InputError
        If it has none, or one without a number.
    """
    if not given:
        raise InputError(path, "has no projection")
    said = given if isinstance(given, str) else ""
    if _CRS84.fullmatch(said):
        return CRS.from_epsg(4326)
    try:
        if match := _NUMBER.fullmatch(said):
            return CRS.from_epsg(int(match[1]))
        described = given if isinstance(given, CRS) else _described(said)
        number = described.to_epsg() if described is not None else None
        if number is not None:
            return CRS.from_epsg(number)
    except (CRSError, ValueError, TypeError):
        pass
    words = " ".join(str(given).split())[:80]
    raise InputError(path, f"is in a projection that is not known by a number of EPSG, {words}")


def _described(said: str) -> CRS | None:
    """A description in WKT; not one in which an address or a file stands, nor one of PROJ."""
    plain = re.match(r"(PROJCS|GEOGCS|PROJCRS|GEOGCRS|GEODCRS|BOUNDCRS)\[", said) and "EXTENSION" not in said.upper()
    return CRS.from_wkt(said) if plain and len(said) < 20_000 else None


def pixels(path: Path, width: int, height: int) -> None:
    """Look at the size of a raster.

    Raises
    ------
    InputError
        If it is too large, or claims more than its file can hold.
    """
    most = min(PIXELS, FREE + PER_BYTE * path.stat().st_size)
    if width * height > most:
        raise InputError(path, f"has {width} x {height} pixels: more than {most / 1e6:.0f} million")
