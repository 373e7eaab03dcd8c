"""What lies in a published product's folder, read once: sizes, sums, each raster's own grid, where its data lie.

A search answers with many products. It can't open their folders each time, so this is kept with their rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from lxml import etree
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.features import shapes
from rasterio.warp import transform_geom
from shapely.geometry import mapping, shape
from shapely.ops import unary_union

from processing.masks import Edge

#: Number of this description's form: what was kept in another one is read from the folder again.
FORM = 1
#: Longest side of the mask that the place of the data is found in. [pixels]
COARSE = 256
#: Width of a tile, and the longest line of a projection that is straight enough in degrees. [m]
TILE, STRAIGHT = 109_800, 30_000.0
#: How a manifest fails that is absent, cut short, or none.
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError)


@dataclass(frozen=True)
class Raster:
    """The grid and the pixels of one raster.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns.
    transform : tuple of 6 float
        From (column, row) to the projection, as `affine.Affine` has it. [m]
    data_type : str
        Of numpy, the same for all bands.
    nodata : float or None
    bands : tuple of dict
        Of each ``description``, ``scale``, ``offset``, ``unit``.
    """

    shape: tuple[int, int]
    transform: tuple[float, ...]
    data_type: str
    nodata: float | None
    bands: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class File:
    """Size [bytes] of a file, its sums where a manifest has them, and what it is as a raster."""

    size: int
    sha256: str | None = None
    crc32: int | None = None
    raster: Raster | None = None


@dataclass(frozen=True)
class Holdings:
    """Files by their relative names, properties that the metadata have, and where the data lie.

    `footprint` is a GeoJSON geometry in longitude and latitude [deg]; None where the whole tile has data, or where
    nothing tells.
    """

    files: dict[str, File]
    properties: dict[str, Any] = field(default_factory=dict)
    footprint: dict[str, Any] | None = None

    def json(self) -> dict[str, Any]:
        """As it is kept in the store."""
        return {"form": FORM, **asdict(self)}


def files(folder: Path) -> dict[str, Path]:
    """Regular files by their relative name; only these can be asked for."""
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def manifest(folder: Path) -> dict[str, Any]:
    """Entries of the manifest, with ``size`` and ``sha256``, by the files' relative names.

    Raises
    ------
    UNREADABLE
        If there is none that can be read.
    """
    return dict(json.loads((folder / "manifest.json").read_bytes())["files"].items())


def describe(folder: Path) -> Holdings:
    """Read a product's folder; what can't be read in it is left out."""
    try:
        entries = manifest(folder)
    except UNREADABLE:
        entries = {}
    found = {}
    for name, path in files(folder).items():
        entry = entries.get(name, {})
        raster = _raster(path) if path.suffix == ".tif" else None
        found[name] = File(path.stat().st_size, entry.get("sha256"), entry.get("crc32"), raster)
    properties: dict[str, Any] = {}
    for path in folder.glob("*_MTD_ALL.xml"):
        try:
            properties = _seen(path)
        except (OSError, etree.XMLSyntaxError, TypeError, ValueError):
            continue
    return Holdings(found, properties, footprint(folder, found))


def _raster(path: Path) -> Raster | None:
    try:
        with rasterio.open(path) as dataset:
            described = zip(dataset.descriptions, dataset.scales, dataset.offsets, dataset.units, strict=True)
            return Raster(
                shape=(dataset.height, dataset.width),
                transform=tuple(dataset.transform)[:6],
                data_type=dataset.dtypes[0],
                nodata=dataset.nodata,
                bands=tuple({"description": d, "scale": s, "offset": o, "unit": u} for d, s, o, u in described),
            )
    except RasterioError:
        return None


def _seen(path: Path) -> dict[str, Any]:
    """Place and sun, as a product's metadata have them."""
    tree = etree.parse(path, etree.XMLParser(resolve_entities=False, no_network=True))
    sun = "Geometric_Informations/Mean_Value_List/Sun_Angles"
    zenith, azimuth = (float(tree.findtext(f"{sun}/{angle}_ANGLE")) for angle in ("ZENITH", "AZIMUTH"))
    group = "Geoposition_Informations//Group_Geopositioning[@group_id='R1']"
    west, north, step, rows, cols = (
        int(float(tree.findtext(f"{group}/{tag}"))) for tag in ("ULX", "ULY", "XDIM", "NROWS", "NCOLS")
    )
    return {
        "view:sun_elevation": round(90 - zenith, 4),
        "view:sun_azimuth": round(azimuth % 360, 4),
        "proj:shape": [rows, cols],
        "proj:transform": [step, 0, west, 0, -step, north],
        "proj:bbox": [west, north - rows * step, west + cols * step, north],
    }


def footprint(folder: Path, found: Mapping[str, File]) -> dict[str, Any] | None:
    """Where a product has data, as GeoJSON [deg]: by its mask of edges, else by what its reflectance lacks."""
    for ending in ("_EDG_R2.tif", "_EDG_R1.tif", "_SRE_B2.tif", "_SRE_B4.tif"):
        name = next((name for name, file in found.items() if file.raster and name.endswith(ending)), None)
        if name is None:
            continue
        try:
            with rasterio.open(folder / name) as dataset:
                step = max(1, -(-max(dataset.shape) // COARSE))
                rows, cols = (-(-side // step) for side in dataset.shape)
                pixels = dataset.read(1, out_shape=(rows, cols))
                seen = (pixels & Edge.NO_DATA) == 0 if "_EDG_" in name else pixels != dataset.nodata
                scaled = dataset.transform @ dataset.transform.scale(dataset.width / cols, dataset.height / rows)
                return _outline(seen, scaled, dataset)
        except RasterioError:
            continue
    return None


def _outline(seen: NDArray[np.bool_], transform: Any, dataset: Any) -> dict[str, Any] | None:
    """Around the pixels that are seen, to half of one of them; holes count as seen. GeoJSON [deg], None for a tile."""
    if not seen.any() or (seen.all() and dataset.width * dataset.res[0] >= TILE):
        return None
    parts = [shape(part) for part, value in shapes(seen.astype(np.uint8), seen, transform=transform) if value]
    step = abs(transform.a)
    whole = unary_union([shapely.Polygon(part.exterior) for part in parts])
    # Swaths end along straight lines: their stairs of pixels are taken for these.
    smooth = whole.buffer(step / 2, join_style="mitre").simplify(step).intersection(shapely.box(*dataset.bounds))
    around = shapely.segmentize(smooth, STRAIGHT)
    there = transform_geom(dataset.crs, "OGC:CRS84", mapping(around), precision=6, antimeridian_cutting=True)
    valid = shape(there)
    if not valid.is_valid:
        valid = shapely.make_valid(valid, method="structure", keep_collapsed=False)
    found: dict[str, Any] = mapping(valid)
    return found
