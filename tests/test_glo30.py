"""Copernicus GLO-30 from a real server with small cells of the bucket's names."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.testing import assert_allclose

from processing import glo30
from processing.ancillary import ancillary
from processing.errors import Unreachable
from processing.scene import Grid

#: Around 45 N 6 E, where four cells meet.
GRID = Grid("EPSG:32632", 260_000, 4_995_000, 12_000, 12_000)


class Bucket:
    """The folder of a server, its address, and what was asked of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[str] = []

    def put(self, name: str, metres: float, spacing: int = 30) -> Path:
        """A cell of one altitude as the bucket has it: the first pixel centred on the degree."""
        sign = {"N": 1, "S": -1, "E": 1, "W": -1}
        parts = name.split("_")
        north = sign[parts[4][0]] * int(parts[4][1:]) + 1
        west = sign[parts[6][0]] * int(parts[6][1:])
        count = 36_000 // spacing
        pixel = 1 / count
        path = self.root / str(spacing) / name / f"{name}.tif"
        path.parent.mkdir(parents=True)
        where = rasterio.Affine(pixel, 0, west - pixel / 2, 0, -pixel, north + pixel / 2)
        with rasterio.open(
            path,
            "w",
            driver="COG",
            width=count,
            height=count,
            count=1,
            dtype="float32",
            crs="EPSG:4326",
            transform=where,
        ) as model:
            model.write(np.full((count, count), metres, np.float32), 1)
        return path


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    made = Bucket(tmp_path / "bucket")
    made.root.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *rest: Any) -> None:
            made.asked.append(self.path.rsplit("/", 1)[1])

        def log_error(self, *rest: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(made.root)))
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("MUSCATE_GLO30_URL", f"http://127.0.0.1:{server.server_port}/{{}}")
    yield made
    server.shutdown()
    server.server_close()


def cell(south: str, west: str, seconds: int = 10) -> str:
    return f"Copernicus_DSM_COG_{seconds}_{south}_00_{west}_00_DEM"


def test_four_cells_become_one_terrain_and_are_fetched_once(bucket: Bucket, tmp_path: Path) -> None:
    for west in ("E005", "E006"):
        bucket.put(cell("N45", west), 1000)
        bucket.put(cell("N44", west), 400)
    cache = tmp_path / "home" / "terrain"
    found = ancillary(GRID, 240, glo30.NAME, cache=cache)
    assert found.origin["altitude"] == "Copernicus GLO-30"
    assert found.terrain is not None
    assert_allclose(found.altitude[0], 1000, atol=1)  # north of 45 degrees
    assert_allclose(found.altitude[-1], 400, atol=1)
    assert len(bucket.asked) == 4
    again = ancillary(GRID, 240, glo30.NAME, cache=cache)
    assert_allclose(again.altitude, found.altitude)
    assert again.origin == found.origin
    assert len(bucket.asked) == 4
    assert {path.suffix for path in cache.rglob("*")} == {"", ".tif", ".npz"}  # nothing half-made


def test_a_cell_that_is_not_there_is_coarser_or_sea_and_named(bucket: Bucket, tmp_path: Path) -> None:
    for west in ("E005", "E006"):
        bucket.put(cell("N45", west), 800)
        bucket.put(cell("N45", west, 30), 790, spacing=90)
    bucket.put(cell("N44", "E005", 30), 300, spacing=90)
    found = ancillary(GRID, 240, glo30.NAME, cache=tmp_path / "home")
    assert found.origin["altitude"] == "Copernicus GLO-30 (1 of 4 cells GLO-90, 1 of 4 cells sea)"
    assert_allclose(found.altitude[0], 800, atol=1)
    assert_allclose(found.altitude[-1, 0], 300, atol=1)
    assert_allclose(found.altitude[-1, -1], 0, atol=1)


def test_without_an_answer_the_date_waits_and_nothing_is_kept(bucket: Bucket, tmp_path: Path) -> None:
    (bucket.root / "30").mkdir()
    broken = bucket.put(cell("N44", "E005"), 100)
    broken.write_bytes(b"not a raster")
    with pytest.raises(Unreachable, match=r"N44_00_E005_00_DEM.tif: can't be fetched"):
        ancillary(GRID, 240, glo30.NAME, cache=tmp_path / "home")
    assert not list((tmp_path / "home").rglob("*.tif"))


def test_without_a_network_the_fault_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSCATE_GLO30_URL", "http://127.0.0.1:9/{}")
    with pytest.raises(Unreachable, match=r"^http://127.0.0.1:9/30/.*: can't be fetched \(.*refused\)$") as raised:
        ancillary(GRID, 240, glo30.NAME, cache=tmp_path)
    assert raised.value.retry  # it may be there again
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("grid", "names"),
    [
        (Grid("EPSG:32701", 300_000, 8_200_000, 9_000, 9_000), {"S17_00_W179"}),
        (Grid("EPSG:32631", 400_000, 5_000, 9_000, 9_000), {"N00_00_E002", "S01_00_E002"}),
        (
            Grid("EPSG:32760", 817_000, 8_200_000, 9_000, 9_000),
            {"S17_00_E179", "S17_00_W180"},
        ),
    ],
)
def test_names_by_the_south_west_corner(grid: Grid, names: set[str]) -> None:
    found = {glo30._name(*corner, 30) for corner in glo30._corners(grid)}
    assert found == {f"Copernicus_DSM_COG_10_{name}_00_DEM" for name in names}
