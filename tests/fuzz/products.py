"""The sound packages that are damaged: small, of both kinds of baseline, with forecasts where real ones are here."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.features import shapes
from rasterio.transform import from_origin

from processing import simulation
from processing.scene import Grid
from processing.simulation.safe import jp2
from tests.eopf import write
from tests.l1c_products import FEATURE, GML, OFFSET, SAFE

#: Pixels of 10 m on a side.
SIZE = 186


def make(folder: Path) -> dict[str, Path]:
    """Write one date in the forms ``new`` (masks as images, offset, SHA3-256) and ``old`` (GML, MD5), and a DEM.

    As ``zarr`` and ``zarr-zip``, a store of the new one without forecasts.
    """
    (safe,) = simulation.simulate(folder / "new", truth=False, tile="31TCJ", dates=1, size=SIZE, seed=3)
    for name in ("AUX_ECMWFT", "AUX_CAMSFO"):
        for real in (SAFE / OFFSET).glob(f"GRANULE/*/AUX_DATA/{name}"):
            aux = next(safe.glob("GRANULE/*")) / "AUX_DATA"
            aux.mkdir(exist_ok=True)
            (aux / name).write_bytes(real.read_bytes())
    sign(safe, "SHA3-256", hashlib.sha3_256)
    old = _as_before(safe, folder / "old" / safe.name.replace("N0510", "N0204"))
    with rasterio.open(next(safe.glob("GRANULE/*/IMG_DATA/*_B02.jp2"))) as image:
        west, north, crs = image.transform.c, image.transform.f, image.crs
    altitude = np.linspace(100, 300, 60 * 60, dtype=np.float32).reshape(60, 60)
    profile: dict[str, Any] = {"driver": "GTiff", "count": 1, "width": 60, "height": 60, "dtype": "float32"}
    with rasterio.open(
        folder / "dem.tif", "w", crs=crs, transform=from_origin(west - 600, north + 600, 60, 60), **profile
    ) as out:
        out.write(altitude, 1)
    stores = {
        f"zarr{'-zip' if zipped else ''}": write(safe, folder / f"zarr{zipped}", "C", zipped=zipped)
        for zipped in (False, True)
    }
    return {"new": safe, "old": old, "dem": folder / "dem.tif", **stores}


def sign(package: Path, method: str = "", make_sum: Callable[[bytes], Any] | None = None) -> None:
    """Write a manifest that agrees with all files, by the method of the one that is there."""
    manifest = package / "manifest.safe"
    if make_sum is None:
        method = "MD5" if b'"MD5"' in manifest.read_bytes() else "SHA3-256"
        make_sum = hashlib.md5 if method == "MD5" else hashlib.sha3_256
    objects = "".join(
        f'<dataObject ID="object_{n}"><byteStream mimeType="application/octet-stream" size="{path.stat().st_size}">'
        f'<fileLocation locatorType="URL" href="./{path.relative_to(package)}"/>'
        f'<checksum checksumName="{method}">{make_sum(path.read_bytes()).hexdigest()}</checksum>'
        "</byteStream></dataObject>"
        for n, path in enumerate(sorted(p for p in package.rglob("*") if p.is_file() and p != manifest))
    )
    manifest.write_text(
        '<?xml version="1.0" encoding="UTF-8"?><xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1">'
        f"<dataObjectSection>{objects}</dataObjectSection></xfdu:XFDU>"
    )


def _as_before(new: Path, old: Path) -> Path:
    """The same ground as a baseline before 04.00 tells it: counts without offset, masks as polygons, MD5."""
    for path in sorted(new.rglob("*")):
        if path.is_file() and "MSK_" not in path.name and path.name != "manifest.safe":
            target = old / path.relative_to(new)
            target.parent.mkdir(parents=True, exist_ok=True)
            content = path.read_bytes()
            if path.suffix == ".xml":
                content = _xml_as_before(content.decode()).encode()
            elif path.parent.name == "IMG_DATA":
                content = _without_offset(path)
            target.write_bytes(content)
    for source in new.glob("GRANULE/*/QI_DATA/MSK_DETFOO_*.jp2"):
        band = source.stem[-3:]
        folder = old / source.parent.relative_to(new)
        folder.mkdir(parents=True, exist_ok=True)
        with rasterio.open(source) as image:
            found = list(shapes(image.read(1), transform=image.transform))
        rings = [
            (int(value), " ".join(f"{x:.0f} {y:.0f}" for x, y in polygon["coordinates"][0]))
            for polygon, value in found
            if value
        ]
        features = "".join(
            FEATURE.format(f"detector_footprint-{band}-{detector:02d}-{n}", "DETECTOR_FOOTPRINT", ring)
            for n, (detector, ring) in enumerate(rings)
        )
        for kind in ("DETFOO", "DEFECT", "NODATA", "SATURA", "TECQUA"):
            (folder / f"MSK_{kind}_{band}.gml").write_text(GML.format(features if kind == "DETFOO" else ""))
    sign(old, "MD5", hashlib.md5)
    return old


def _xml_as_before(text: str) -> str:
    text = re.sub(r"<Radiometric_Offset_List>.*?</Radiometric_Offset_List>", "", text, flags=re.DOTALL)
    text = text.replace("05.10", "02.04").replace("N0510", "N0204")

    def masks(match: re.Match[str]) -> str:
        kinds = ("DEFECT", "NODATA", "SATURA", "TECQUA") if match[2] == "QUALIT" else ("DETFOO",)
        return "".join(
            f'<MASK_FILENAME{match[1]}type="MSK_{k}">{match[3]}{k}_{match[4]}.gml</MASK_FILENAME>' for k in kinds
        )

    pattern = r'<MASK_FILENAME([^>]*)type="MSK_(DETFOO|QUALIT)">([^<]*MSK_)\w{6}_(\w+)\.jp2</MASK_FILENAME>'
    return re.sub(pattern, masks, text)


def _without_offset(path: Path) -> bytes:
    with rasterio.open(path) as image:
        counts = image.read(1)
        west, north, size = image.transform.c, image.transform.f, image.transform.a
        crs = f"EPSG:{image.crs.to_epsg()}"
    plain = np.where(counts == 0, 0, np.clip(counts.astype(np.int32) - 1000, 1, None)).astype(np.uint16)
    rows, cols = plain.shape
    return jp2(plain, Grid(crs, west, north, cols * int(size), rows * int(size)), int(size))
