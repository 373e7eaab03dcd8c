"""Small Level-1C packages: the metadata and masks of real products with images of a few pixels."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from tests.shared import SHARED

SAFE = SHARED / "data" / "safe"
OLD = "s2reader/safe/S2A_OPER_PRD_MSIL1C_PDMC_20160905T104813_R002_V20160905T005712_20160905T010424.SAFE"
COMPACT = "s2reader/compact_safe/S2A_MSIL1C_20170226T102021_N0204_R065_T32TNM_20170226T102458.SAFE"
OFFSET = "alcd_toulouse_N0510/S2A_MSIL1C_20240120T105341_N0510_R051_T31TCJ_20240120T125244.SAFE"
OFFSET_S2B = "alcd_toulouse_N0510/S2B_MSIL1C_20240305T104819_N0510_R051_T31TCJ_20240305T125347.SAFE"
ANTIMERIDIAN = "stactools/S2A_MSIL1C_20200717T221941_R029_T01LAC_20200717T234135.SAFE"

RESOLUTION = {b: 10 for b in ("B02", "B03", "B04", "B08")} | {b: 60 for b in ("B01", "B09", "B10")}
GML = (
    '<?xml version="1.0"?><eop:Mask xmlns:eop="http://www.opengis.net/eop/2.0" '
    'xmlns:gml="http://www.opengis.net/gml/3.2"><eop:maskMembers>{}</eop:maskMembers></eop:Mask>'
)
FEATURE = (
    '<eop:MaskFeature gml:id="{}"><eop:maskType>{}</eop:maskType><eop:extentOf><gml:Polygon><gml:exterior>'
    '<gml:LinearRing><gml:posList srsDimension="2">{}</gml:posList></gml:LinearRing></gml:exterior></gml:Polygon>'
    "</eop:extentOf></eop:MaskFeature>"
)


def shared(name: str) -> Path:
    """A real product, or skip."""
    path = SAFE / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return path


def counts(band: str, side: int, seed: int = 0) -> NDArray[np.uint16]:
    """The pixels of a package's image: smooth, different in each band, never 0."""
    rng = np.random.default_rng([seed, int(band[1:].replace("8A", "80"))])
    return (2000 + 100 * rng.random((side, side)).cumsum(axis=1)).astype(np.uint16)


def rectangle(west: float, south: float, east: float, north: float) -> str:
    return f"{west} {south} {east} {south} {east} {north} {west} {north} {west} {south}"


def write_jp2(path: Path, pixels: NDArray[np.generic], west: float, north: float, pixel: float, epsg: int) -> None:
    layers = pixels if pixels.ndim == 3 else pixels[None]
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        "w",
        driver="JP2OpenJPEG",
        count=layers.shape[0],
        height=layers.shape[1],
        width=layers.shape[2],
        dtype=layers.dtype,
        crs=f"EPSG:{epsg}",
        transform=rasterio.Affine(pixel, 0, west, 0, -pixel, north),
        QUALITY="100",
        REVERSIBLE="YES",
    ) as image:
        image.write(layers)


def small(name: str, folder: Path, size: int = 360, east: int = 60_000, south: int = 49_980, seed: int = 0) -> Path:
    """Copy a real product without its images, and give it images of `size` m that lie inside of the tile. [m]"""
    source = shared(name)
    package = folder / source.name
    shutil.copytree(source, package, ignore=shutil.ignore_patterns("IMG_DATA", "*_PVI.jp2", "HTML", "rep_info"))
    for path in package.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    package.chmod(0o755)
    for xml in package.glob("GRANULE/*/*.xml"):
        text = xml.read_text()
        west, north = (float(re.findall(f"<UL{c}>(.+?)<", text)[0]) for c in "XY")
        epsg = int(re.findall(r"EPSG:(\d+)", text)[0])
        tile = re.findall(r"TILE_ID.+_T(\w{5})_N", text)[0]
        for path in image_files(package):
            if tile in path.name:
                band = path.stem[-3:]
                resolution = RESOLUTION.get(band, 20)
                write_jp2(path, counts(band, size // resolution, seed), west + east, north - south, resolution, epsg)
        for kind, mask in re.findall(r'type="(MSK_(?:DETFOO|DEFECT|NODATA|SATURA|TECQUA))">(.+?)<', text):
            path = package / mask if "/" in mask else xml.parent / "QI_DATA" / mask
            if not path.exists():
                ring = rectangle(west, north - 109_800, west + 109_800, north)
                feature = FEATURE.format(f"detector_footprint-{path.stem[-3:]}-06-0", "DETECTOR_FOOTPRINT", ring)
                path.parent.mkdir(exist_ok=True)
                path.write_text(GML.format(feature if kind == "MSK_DETFOO" else ""))
    return package


def image_files(package: Path) -> list[Path]:
    """Where the product XML says that the images of the 13 bands are."""
    text = product_xml(package).read_text()
    found = [package / f"{f}.jp2" for f in re.findall(r"<IMAGE_FILE>(.+?)</IMAGE_FILE>", text)]
    for granule, body in re.findall(r'<Granules [^>]*granuleIdentifier="(.+?)"(.+?)</Granules>', text, re.DOTALL):
        files = re.findall(r"<IMAGE_ID>(.+?)</IMAGE_ID>", body)
        found += [package / "GRANULE" / granule / "IMG_DATA" / f"{f}.jp2" for f in files]
    return [f for f in found if "TCI" not in f.name]


def image_file(package: Path, band: str) -> Path:
    return next(f for f in image_files(package) if f.stem.endswith(band))


def product_xml(package: Path) -> Path:
    return next(p for p in package.glob("*.xml") if p.name != "INSPIRE.xml")


def tile_xml(package: Path) -> Path:
    return next(package.glob("GRANULE/*/*.xml"))


def edit(path: Path, pattern: str, replacement: str) -> None:
    """Replace a regular expression, which must be there."""
    text, number = re.subn(pattern, replacement, path.read_text(), flags=re.DOTALL)
    assert number, f"{pattern} is not in {path}"
    path.write_text(text)
