"""A MUSCATE product on disk becomes arrays again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from lxml import etree
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from processing.bands import short_name
from processing.errors import ProductError
from processing.product import manifest
from processing.product.metadata import FLAGS, MODES
from processing.product.names import identifier
from processing.scene import Figures, Grid, Mode


@dataclass(frozen=True)
class Product:
    """A product on disk. What only our own products tell is None or empty for one of another centre.

    Attributes
    ----------
    path : Path
        Its folder.
    identifier : str
    platform, tile, version : str
        ``S2A``, ``31TCJ``, ``V1_4``.
    sensing, produced : datetime
        UTC; to the millisecond.
    grid : Grid
    authority : str
        Who made it: ``muscate`` for our own.
    files : mapping of key to Path
        Every file by what tells it from the others: ``SRE_B2``, ``CLM_R1``, ``DTF_R1-D05``, ``QKL_ALL``, ``MTD_ALL``.
    figures : Figures
    flags : dict of str to bool
        ``rain``, ``hot_spot``, ``sun_glint``, ``cirrus`` for those that were tested.
    l1c : str or None
        The Level-1C it was made from.
    mode : Mode or None
    parameters : str or None
        Digest of the version's parameters.
    simulated : bool
    absent : frozenset of str
        Layers whose step was not run: see `scene.L2A`.
    origin : dict of str to str
    """

    path: Path
    identifier: str
    platform: str
    tile: str
    version: str
    sensing: datetime
    produced: datetime
    grid: Grid
    authority: str
    files: Mapping[str, Path]
    figures: Figures
    flags: dict[str, bool]
    l1c: str | None
    mode: Mode | None
    parameters: str | None
    simulated: bool
    absent: frozenset[str]
    origin: dict[str, str]

    def reflectance(self, band: str, kind: str = "SRE") -> NDArray[np.int16]:
        """Reflectance of a band as counts (row, col) of 1 / 10000, -10000 no data; `kind` is SRE or FRE."""
        counts: NDArray[np.int16] = self._read(f"{kind}_{band}")[0]
        return counts

    def mask(self, kind: str, group: str) -> NDArray[np.uint8]:
        """A mask raster (row, col) with the bits of `masks`: CLM, MG2, EDG, SAT, IAB, DFP; group R1 or R2."""
        bits: NDArray[np.uint8] = self._read(f"{kind}_{group}")[0]
        return bits

    def atmosphere(self, group: str) -> NDArray[np.uint8]:
        """Water vapour * 20 [g cm-2] and AOT * 200: (2, row, col), 0 no data."""
        return self._read(f"ATB_{group}")

    def verify(self) -> list[str]:
        """Files that are missing or differ from the manifest, each with its fault; empty if the product is sound.

        Raises
        ------
        ProductError
            If there is no manifest that can be read.
        """
        return manifest.damage(self.path)

    def _read(self, key: str) -> NDArray[Any]:
        if key not in self.files:
            raise ProductError(self.path, f"has no {key}")
        try:
            with rasterio.open(self.files[key]) as dataset:
                pixels: NDArray[Any] = dataset.read()
                return pixels
        except RasterioError as error:
            raise ProductError(self.path, f"{self.files[key].name} can't be read: {error}") from error


def read(path: Path) -> Product:
    """Open a product folder by its ``MTD_ALL.xml``; also one that another centre made in this format.

    Raises
    ------
    ProductError
        If there is no such file, several, or it can't be understood.
    """
    found = sorted(path.glob("*_MTD_ALL.xml"))
    if len(found) != 1:
        raise ProductError(path, f"holds {len(found)} MTD_ALL.xml instead of one")
    try:
        root = etree.parse(found[0], etree.XMLParser(resolve_entities=False, no_network=True)).getroot()
    except (OSError, etree.XMLSyntaxError) as error:
        raise ProductError(path, f"{found[0].name} can't be read: {error}") from error
    try:
        return _product(path, found[0], root)
    except (_Missing, KeyError, ValueError) as error:
        raise ProductError(path, f"{found[0].name} is not that of a MUSCATE Level-2A: {error}") from error


class _Missing(Exception):
    """An element that every product has."""


def _product(path: Path, document: Path, root: etree._Element) -> Product:
    if root.tag != "Muscate_Metadata_Document":
        raise ValueError(f"it begins with {root.tag}")
    if (level := _text(root, "Product_Characteristics/PRODUCT_LEVEL")) != "L2A":
        raise ValueError(f"its level is {level}")
    platform = short_name(_text(root, "Product_Characteristics/PLATFORM"))
    if not re.fullmatch(r"S2[A-Z]", platform):
        raise ValueError(f"its platform is {platform}")
    sensing = _moment(_text(root, "Product_Characteristics/ACQUISITION_DATE"))
    tile = _text(root, "Dataset_Identification/GEOGRAPHICAL_ZONE").removeprefix("T")
    version = "V" + _text(root, "Product_Characteristics/PRODUCT_VERSION").replace(".", "_")
    organisation = root.find("Product_Organisation/Muscate_Product")
    if organisation is None:
        raise _Missing("Product_Organisation/Muscate_Product")
    listed = organisation.iter("QUICKLOOK", "IMAGE_FILE", "MASK_FILE", "DATA_FILE")
    files = {_key(name): path / name for name in dict.fromkeys((e.text or "").strip() for e in listed)}
    indices = {e.get("name"): e.text or "" for e in root.iter("QUALITY_INDEX")}
    own = root.find("Quality_Informations/Centre_Informations")
    if own is None:
        own = etree.Element("Centre_Informations")
    statistics = {str(e.get("name")): float(e.text or "nan") for e in own.iter("STATISTIC")}
    statistics.setdefault("cloud_percent", float(indices.get("CloudPercent", "nan")))
    statistics.setdefault("snow_percent", float(indices.get("SnowPercent", "nan")))
    modes: dict[str | None, Mode] = {long: short for short, long in MODES.items()}
    return Product(
        path=path,
        identifier=identifier(platform, sensing, tile, version),
        platform=platform,
        tile=tile,
        version=version,
        sensing=sensing,
        produced=_moment(_text(root, "Product_Characteristics/PRODUCTION_DATE")),
        grid=_grid(root),
        authority=_text(root, "Dataset_Identification/AUTHORITY"),
        files={**files, "MTD_ALL": document},
        figures=Figures(**{f.name: statistics[f.name] for f in fields(Figures) if f.name in statistics}),
        flags={flag: indices[name] == "true" for flag, name in FLAGS.items() if name in indices},
        l1c=root.findtext("Production_Informations//Inputs_List/PRODUCT/PRODUCT_ID"),
        mode=modes.get(own.findtext("PROCESSING_MODE")),
        parameters=own.findtext("PARAMETERS_DIGEST"),
        simulated=own.findtext("SIMULATED") == "true",
        absent=frozenset(str(e.get("name")) for e in own.iter("ABSENT")),
        origin={str(e.get("name")): e.text or "" for e in own.iter("ORIGIN")},
    )


def _grid(root: etree._Element) -> Grid:
    """From the 10 m group, which covers the rectangle exactly."""
    code = _text(root, "Geoposition_Informations//HORIZONTAL_CS_CODE")
    group = "Geoposition_Informations//Group_Geopositioning[@group_id='R1']"
    resolution = int(_text(root, f"{group}/XDIM"))
    return Grid(
        crs=f"EPSG:{int(code)}",
        west=float(_text(root, f"{group}/ULX")),
        north=float(_text(root, f"{group}/ULY")),
        width=int(_text(root, f"{group}/NCOLS")) * resolution,
        height=int(_text(root, f"{group}/NROWS")) * resolution,
    )


def _key(name: str) -> str:
    """``SRE_B2`` from ``SENTINEL2A_..._C_V1-4_SRE_B2.tif``. Refuses names that lead out of the product."""
    match = re.fullmatch(r"(?:\w+/)?\w+-\d+-\d+_L2A_T\w+_V\d+-\d+_([\w-]+)(?:\.\w+)?", name)
    if match is None:
        raise ValueError(f"{name!r} is no name of a file of a product")
    return match[1]


def _text(root: etree._Element, path: str) -> str:
    text: str | None = root.findtext(path)
    if text is None or not text.strip():
        raise _Missing(f"no {path}")
    return text.strip()


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
