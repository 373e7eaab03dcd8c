"""The rule gives the tiles that ESA and THEIA have."""

from __future__ import annotations

import re
import sqlite3
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import shapely
from pyproj import Geod

from processing import tiling
from processing.sites import theia_tiles
from tests.shared import SHARED


def _theia_tiles() -> Iterator[tuple[str, np.ndarray]]:
    path = SHARED / "data" / "aux" / "theia_s2.gpkg"
    if not path.exists():
        pytest.skip(f"{path} not here")
    with sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True) as store:
        rows = store.execute("SELECT Name, geom FROM theia_s2").fetchall()
    for name, blob in rows:
        envelope = (0, 32, 48, 48, 64)[blob[3] >> 1 & 7]  # GeoPackage binary header, OGC 12-128r18, 2.1.3
        shape = shapely.get_parts(shapely.from_wkb(blob[8 + envelope :]))[0]
        yield name, shapely.get_coordinates(shape)


def test_tiles_of_theia_agree_to_a_millimetre() -> None:
    geod, worst, count = Geod(ellps="WGS84"), 0.0, 0
    for name, corners in _theia_tiles():
        if not re.fullmatch(r"\d\d[A-Z]{3}", name):
            continue  # one polygon is a scribble without a name
        ring = tiling.footprint(name, 1)
        assert len(corners) == len(ring), name
        worst = max(worst, *geod.inv(*ring.T, *corners.T)[2])
        count += 1
    assert count == 1075
    assert worst < 0.001  # m


def test_our_list_is_that_of_theia() -> None:
    names = {name for name, _ in _theia_tiles()}
    assert names - set(theia_tiles()) == {"Sans titre - Polygone"}
    assert set(theia_tiles()) <= names


def _real_tile_metadata() -> Iterator[str]:
    folder = SHARED / "data" / "safe"
    if not folder.exists():
        pytest.skip(f"{folder} not here")
    for path in folder.rglob("*.xml"):
        yield path.read_text(errors="ignore")
    for path in folder.rglob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if Path(name).name == "MTD_TL.xml":
                    yield archive.read(name).decode()


def test_grids_are_those_of_real_products() -> None:
    tiles = set()
    for text in _real_tile_metadata():
        if "Tile_Geocoding" not in text:
            continue
        found = {k: re.search(rf"<{k}>(.*?)<", text)[1] for k in ("HORIZONTAL_CS_CODE", "ULX", "ULY", "NROWS")}  # type: ignore[index]
        tile = re.search(r"_T(\d\d[A-Z]{3})", text)[1]  # type: ignore[index]
        grid = tiling.grid(tile)
        assert (grid.crs, grid.west, grid.north) == (
            found["HORIZONTAL_CS_CODE"],
            float(found["ULX"]),
            float(found["ULY"]),
        )
        assert grid.shape(10) == (int(found["NROWS"]),) * 2
        tiles.add(tile)
    assert {"31TCJ", "01LAC", "33XWJ", "53HPA", "48LWP"} <= tiles


def test_toulouse() -> None:
    grid = tiling.grid("31TCJ")
    assert (grid.crs, grid.west, grid.north, grid.width, grid.height) == ("EPSG:32631", 300000, 4900020, 109800, 109800)


def test_both_letters_at_a_band_limit_name_the_same_grid() -> None:
    assert tiling.grid("31TDP") == tiling.grid("31UDP")


@pytest.mark.parametrize(
    ("tile", "why"),
    [
        ("", "not a tile id"),
        ("T31TCJ", "not a tile id"),
        ("31tcj", "not a tile id"),
        ("31TCI", "not a tile id"),
        ("31ICJ", "not a tile id"),
        ("00TCJ", "no UTM zone"),
        ("61TCJ", "no UTM zone"),
        ("31TJJ", "zone 31 has the columns"),
        ("31TAJ", "outside of zone 31"),
        ("31TCA", "outside of latitude band T"),
        ("32XNJ", "does not exist"),
    ],
)
def test_names_that_no_tile_has(tile: str, why: str) -> None:
    assert not tiling.valid(tile)
    with pytest.raises(ValueError, match=why):
        tiling.grid(tile)


def test_rings_are_closed_clockwise_and_bend_little() -> None:
    for tile in ("31TCJ", "40KCB", "33XWJ"):
        ring = tiling.footprint(tile)
        assert len(ring) == 17
        assert np.array_equal(ring[0], ring[-1])
        assert not shapely.Polygon(ring).exterior.is_ccw
        coarse, fine = (shapely.Polygon(tiling.footprint(tile, n)).area for n in (4, 64))
        assert coarse == pytest.approx(fine, rel=2e-3)


def test_a_tile_across_the_antimeridian_is_one_ring() -> None:
    ring = tiling.footprint("01LAC")
    assert np.ptp(ring[:, 0]) < 1.1
    assert ring[:, 0].min() < 180 < ring[:, 0].max()
    assert -180 <= ring[:-1, 0].mean() < 180
