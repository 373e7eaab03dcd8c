"""Masks of strangers: led nowhere by their content, their name or their projection, and no dearer than they may be."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import rasterio
from affine import Affine

from processing.errors import InputError
from processing.scene import Grid
from processing.validation import foreign, reflectance
from processing.validation.masks import Frame, classes, of_file

GRID = Grid("EPSG:32631", 300000, 4800000, 6000, 6000)
FRAME = Frame(GRID, 20)
MEANING = classes("cloud=2 clear=1")


@contextmanager
def listening() -> Iterator[tuple[int, list[Any]]]:
    """A port of this machine, and who came to it."""
    came: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        stop = threading.Event()

        def wait() -> None:
            while not stop.is_set():
                try:
                    there, _ = server.accept()
                    came.append(there.recv(100))
                    there.close()
                except TimeoutError:
                    pass

        thread = threading.Thread(target=wait)
        thread.start()
        try:
            yield server.getsockname()[1], came
        finally:
            stop.set()
            thread.join()


def raster(path: Path, side: int = 300, value: int = 2, **options: Any) -> Path:
    given = {"driver": "GTiff", "crs": "EPSG:32631", "transform": Affine(20, 0, 300000, 0, -20, 4800000), **options}
    with rasterio.open(path, "w", width=side, height=side, count=1, dtype="uint8", **given) as file:
        if not given.get("SPARSE_OK"):
            file.write(np.full((side, side), value, np.uint8), 1)
    return path


def document(crs: str | None = "EPSG:32631", corners: int = 4, features: int = 1, crossing: bool = False) -> str:
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    radius = 2000 * (1 if not crossing else np.where(np.arange(corners) % 2, 1, -1))
    ring = np.column_stack([303000 + radius * np.cos(angles), 4797000 + radius * np.sin(angles)]).tolist()
    feature = {
        "type": "Feature",
        "properties": {"class": 2},
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
    }
    named = {} if crs is None else {"crs": {"type": "name", "properties": {"name": crs}}}
    return json.dumps({"type": "FeatureCollection", "features": [feature] * features, **named})


def refused(path: Path) -> str:
    with pytest.raises(InputError) as fault:
        of_file(path, MEANING, FRAME, "m")
    assert len(str(fault.value).splitlines()) == 1
    return str(fault.value)


VRT = """<VRTDataset rasterXSize="300" rasterYSize="300"><SRS>EPSG:32631</SRS>
<GeoTransform>300000, 20, 0, 4800000, 0, -20</GeoTransform><VRTRasterBand dataType="Byte" band="1"
subClass="VRTRawRasterBand"><SourceFilename relativetoVRT="0">{}</SourceFilename><ImageOffset>0</ImageOffset>
<PixelOffset>1</PixelOffset><LineOffset>1</LineOffset></VRTRasterBand></VRTDataset>"""
OGR_VRT = '<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>{}</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>'


@pytest.mark.parametrize("suffix", foreign.KINDS)
@pytest.mark.parametrize(
    "text", [VRT, OGR_VRT, "<WMS_GDAL><Service name='WMS'/></WMS_GDAL>", "not one of them: {}", ""]
)
def test_a_file_of_another_kind_is_refused_whatever_its_name(tmp_path: Path, suffix: str, text: str) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(100_000))
    with listening() as (port, came):
        for source in (secret, f"/vsicurl/http://127.0.0.1:{port}/a.tif"):
            (tmp_path / f"m{suffix}").write_text(text.format(source))
            assert "is no" in refused(tmp_path / f"m{suffix}")
    assert came == []


def test_a_database_that_is_no_geopackage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.gpkg"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE a (b)")
    database.close()
    assert "is no GPKG" in refused(path)


@pytest.mark.parametrize(
    "name", ["/vsicurl/http://127.0.0.1:1/m.tif", "/vsizip/m.zip/m.tif", "http://127.0.0.1:1/m.tif"]
)
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    assert "is no plain file" in refused(Path(name))


def test_a_file_in_a_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(raster(tmp_path / "m.tif"), "m.tif")
    assert "is no plain file" in refused(tmp_path / "a.zip" / "m.tif")
    (tmp_path / "b.zip").mkdir()
    assert "is no plain file" in refused(raster(tmp_path / "b.zip" / "m.tif"))
    assert "is no plain file" in refused(raster(tmp_path / "c!d.tif"))


@pytest.mark.parametrize(
    "crs",
    [
        "http://127.0.0.1:{}/crs",
        "https://127.0.0.1:{}/crs",
        "+proj=utm +zone=31 +nadgrids=@http://127.0.0.1:{}/grid",
        "+proj=longlat",
        "/vsicurl/http://127.0.0.1:{}/crs.wkt",
        "/etc/passwd",
        "epsg:32631+5773+99",
        "ESRI:54009",
        "EPSG:999999",
        "urn:ogc:def:crs:EPSG::",
        'PROJCS["a",EXTENSION["PROJ4","+proj=utm +nadgrids=http://127.0.0.1:{}/x"]]',
        "IGNF:LAMB93",
        "WGS84",
    ],
)
def test_a_projection_without_a_number_is_refused_and_nobody_is_asked(tmp_path: Path, crs: str) -> None:
    path = tmp_path / "m.geojson"
    with listening() as (port, came):
        path.write_text(document(crs.replace("{}", str(port))))
        assert "projection" in refused(path)
    assert came == []


@pytest.mark.parametrize(
    "crs", ["EPSG:32631", "urn:ogc:def:crs:EPSG::32631", "urn:ogc:def:crs:EPSG:9.8:32631", "epsg:32631"]
)
def test_a_projection_by_its_number_is_taken(tmp_path: Path, crs: str) -> None:
    path = tmp_path / "m.geojson"
    path.write_text(document(crs))
    assert of_file(path, MEANING, FRAME, "m").cloud.any()


@pytest.mark.parametrize("crs", ["urn:ogc:def:crs:OGC:1.3:CRS84", "OGC:CRS84", None])
def test_longitude_and_latitude_are_taken(tmp_path: Path, crs: str | None) -> None:
    path = tmp_path / "m.geojson"
    ring = [[0.5, 43.2], [0.7, 43.2], [0.7, 43.4], [0.5, 43.2]]
    feature = {"type": "Feature", "properties": {"class": 2}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    named = {} if crs is None else {"crs": {"type": "name", "properties": {"name": crs}}}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature], **named}))
    assert of_file(path, MEANING, FRAME, "m").cloud.any()


def test_a_raster_in_a_projection_of_its_own_is_refused(tmp_path: Path) -> None:
    odd = "+proj=tmerc +lat_0=1 +lon_0=3.3 +k=0.99 +x_0=7 +y_0=9 +ellps=bessel"
    assert "projection" in refused(raster(tmp_path / "m.tif", crs=odd))


def small_and_sparse(path: Path) -> Path:
    return raster(path.with_suffix(".tif"), 12_000, SPARSE_OK=True, tiled=True, blockxsize=4096, blockysize=4096)


def of_many_values(path: Path) -> Path:
    path = path.with_suffix(".tif")
    profile = {"crs": "EPSG:32631", "transform": Affine(20, 0, 300000, 0, -20, 4800000)}
    with rasterio.open(path, "w", driver="GTiff", width=300, height=300, count=1, dtype="int32", **profile) as file:
        file.write(np.arange(90_000, dtype=np.int32).reshape(300, 300), 1)
    return path


def with_text(text: str) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        path = path.with_suffix(".geojson")
        path.write_text(text)
        return path

    return write


DEAR = {
    "million pixels": (small_and_sparse, "million"),
    "values": (of_many_values, "more than 256 values"),
    "features": (with_text(document(features=foreign.FEATURES + 1)), "features"),
    "corners": (with_text(document(corners=1_000, features=600)), "corners"),
    "crossing": (with_text(document(corners=4_001, crossing=True)), "crosses itself"),
    "deep": (with_text("[" * 100_000), "is no GeoJSON"),
}


@pytest.mark.parametrize("kind", DEAR)
def test_what_costs_too_much_is_refused_before_it_does(tmp_path: Path, kind: str) -> None:
    make, words = DEAR[kind]
    path = make(tmp_path / "m")
    before, began = psutil.Process().memory_info().rss, time.process_time()
    assert words in refused(path)
    assert time.process_time() - began < 12
    assert psutil.Process().memory_info().rss - before < 500e6


def test_a_whole_tile_at_10_m_is_read_strip_by_strip(tmp_path: Path) -> None:
    """What is no data and what the mapping names agree with a plain reading."""
    path = raster(tmp_path / "m.tif", 700, 1, nodata=0)
    with rasterio.open(path, "r+") as file:
        values = np.ones((700, 700), np.uint8)
        values[:100], values[100:200], values[200:210] = 0, 2, 7
        file.write(values, 1)
    mask = of_file(path, MEANING, Frame(GRID, 20), "m")
    assert mask.cloud[100:200, :300].all()
    assert mask.cloud.sum() == 100 * 300
    assert not mask.observed[:100].any()
    assert mask.unknown == {"7": 3000}


@pytest.mark.parametrize("name", ["m.vrt", "m.tif", "m.jp2", "m.img", "m.dat", "folder.tif"])
def test_a_raster_of_others_is_what_its_name_says(name: str, tmp_path: Path) -> None:
    """A VRT reads whatever file it names: it is none of them, under whatever name."""
    path = tmp_path / name
    if name.startswith("folder"):
        path.mkdir()
    else:
        path.write_text("<VRTDataset rasterXSize='1' rasterYSize='1'></VRTDataset>")
    with pytest.raises(InputError, match=r"whatever its name says|is no raster that is read here|is no plain file"):
        foreign.raster(path)
    with pytest.raises(InputError):
        reflectance.reference(path, ["B2"])
