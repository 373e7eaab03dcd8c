"""The Compare page's routes: values at a pixel, series, areas, faults; ids are looked up, never paths."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
import sqlalchemy as sa
from fastapi import FastAPI

from dashboard import api, pixels
from dashboard.pages import compare
from dashboard.product_folder import find
from processing.product import save_state
from processing.quality import reference
from processing.scene import day_of
from processing.settings import Settings
from processing.store import Store
from processing.store.models import Product
from tests.dashboard_archive import filled
from tests.people import ANNA
from tests.product_scenes import composite
from tests.test_dashboard_tiles import Http

SIZE = 100
LEFT = "SENTINEL2A_20230806-105031-000_L2A_T31TCJ_D_V1-3"
RIGHT = LEFT.replace("V1-3", "V1-4")
WEST, NORTH = 300000.0, 4900020.0


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Http, Settings]]:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    store = filled(settings, dates=4, size=SIZE)
    app = FastAPI()
    app.include_router(compare.router)
    api.include(app, api.Centre(settings, store))
    yield Http(app), settings
    store.dispose()


def raster(settings: Settings, name: str, ending: str) -> np.ndarray:
    folder = next(settings.archive.glob(f"*/*/{name}"))
    path = find(folder, ending)
    assert path is not None
    with rasterio.open(path) as found:
        return found.read()


def place(col: int, row: int) -> dict[str, float]:
    return {"x": WEST + 10 * col + 5, "y": NORTH - 10 * row - 5}


def test_page_begins_with_the_products_of_its_address(centre: tuple[Http, Settings]) -> None:
    http, _ = centre
    page = http.get("/compare", params={"left": LEFT, "right": RIGHT})
    assert page.status_code == 200
    assert f'"chosen": ["{LEFT}", "{RIGHT}"]' in page.text
    offered = json.loads(page.text.split('id="data">')[1].split("</script>")[0])["offered"]
    assert list(offered) == [LEFT, RIGHT]  # in their order, not in a set's
    assert "blink automatically" in page.text
    alone = http.get("/compare")
    assert alone.status_code == 200
    assert '"tile": "' in alone.text


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/compare?left=nobody", 404),
        ("/compare?tile=99XXX", 404),
        (f"/compare?left={LEFT}&right=SENTINEL2B_20230801-105231-000_L2A_T31TGK_D_V1-4", 400),
        ("/compare?left=..%2F..%2Fmuscate.db", 404),
        ("/api/compare/product/nobody", 404),
        ("/api/compare/pixel?products=nobody&x=1&y=1", 404),
        ("/api/compare/explain/nobody?x=1&y=1", 404),
        (f"/api/compare/explain/{LEFT}?x=300500&y=4899500", 422),
        ("/api/compare/series/31TCJ?x=1&y=1&version=V9_9", 404),
        ("/api/compare/series/99XXX?x=1&y=1&version=V1_4", 404),
        (f"/api/compare/range/{LEFT}?bands=SRE_B1&window=0,0,9,9", 422),
        (f"/api/compare/range/{LEFT}?bands=SRE_B4&window=900,900,990,990", 422),
    ],
)
def test_unknown_is_refused_by_name(centre: tuple[Http, Settings], address: str, status: int) -> None:
    assert centre[0].get(address).status_code == status


def test_first_shown_is_what_users_get() -> None:
    listed = pd.DataFrame(
        {
            "identifier": ["older", "cloudy", "withdrawn"],
            "version": ["V1_4"] * 3,
            "sensing": pd.date_range("2026-07-01", periods=3, tz="UTC"),
            "cloud_percent": [10.0, 90.0, 0.0],
            "valid": [True, True, False],
        }
    )
    assert compare._first(listed) == "older"
    assert compare._first(listed[1:]) == "cloudy"
    assert compare._first(listed[2:]) == "withdrawn"


def test_pixel_is_that_of_the_rasters(centre: tuple[Http, Settings]) -> None:
    http, settings = centre
    cloud = raster(settings, RIGHT, "MASKS/CLM_R1.tif")[0]
    row, col = (int(v[0]) for v in np.nonzero(cloud & 2))
    found = http.get("/api/compare/pixel", params={"products": f"{LEFT},{RIGHT}", **place(col, row)}).json()
    values = found["products"][RIGHT]
    assert set(found["products"]) == {LEFT, RIGHT}
    for band in ("B2", "B3", "B4", "B8"):
        counts = int(raster(settings, RIGHT, f"SRE_{band}.tif")[0, row, col])
        assert values["SRE"][band] == (None if counts <= -10000 else pytest.approx(counts / 10000))
    vapour, aot = raster(settings, RIGHT, "ATB_R1.tif")[:, row, col]
    assert values["aot"] == pytest.approx(aot / 200)
    assert values["water_vapour"] == pytest.approx(vapour / 20)
    assert values["masks"]["CLM"]["value"] == cloud[row, col]
    assert "Cloud, mono-temporal test" in values["masks"]["CLM"]["words"]
    assert 0 < found["longitude"] < 3
    assert 43 < found["latitude"] < 45


def test_pixel_has_the_class_of_kept_masks_and_the_age_of_the_composite(centre: tuple[Http, Settings]) -> None:
    http, settings = centre
    corners = [(WEST + x, NORTH - y) for x, y in ((100, 200), (300, 200), (300, 400), (100, 400), (100, 200))]
    store = Store(settings.url)
    drawn = {"type": "Polygon", "coordinates": [corners]}
    reference.keep_drawn(store, settings, RIGHT, [(drawn, "cloud")], ANNA)
    past = composite()
    with store.write() as session:
        product = session.scalars(sa.select(Product).where(Product.identifier == LEFT)).one()
        before = session.get_one(Product, product.prev_product)
        before.state_path = f"{before.path}.npz"
        path = settings.state / before.state_path
        today = day_of(product.sensing)
    store.dispose()
    path.parent.mkdir(parents=True)
    save_state(past, path)

    def said(col: int, row: int) -> dict[str, Any]:
        asked = {"products": LEFT, **place(col, row)}
        found: dict[str, Any] = http.get("/api/compare/pixel", params=asked).json()["products"][LEFT]
        return found

    for (col, row), kind in {(10, 20): "cloud", (29, 39): "cloud", (9, 20): "clear", (30, 39): "clear"}.items():
        assert list(said(col, row)["kept"].values()) == [kind]
    cells = {said(24 * col, 24 * row)["age"] for row in range(4) for col in range(4)}
    seen = past.day[:4, :4]
    assert cells == {None if day < 0 else today - int(day) for day in seen.ravel()}
    assert len(cells) > 1


def test_pixel_outside_has_no_values(centre: tuple[Http, Settings]) -> None:
    found = centre[0].get("/api/compare/pixel", params={"products": LEFT, "x": 0, "y": 0}).json()["products"][LEFT]
    assert set(found["SRE"].values()) == {None}
    assert found["masks"] == {}


def test_series_marks_cloudy_dates(centre: tuple[Http, Settings]) -> None:
    http, settings = centre
    asked = {"version": "V1_3", **place(60, 40)}
    rows = http.get("/api/compare/series/31TCJ", params=asked).json()
    assert [row["date"] for row in rows] == sorted(row["date"] for row in rows)
    assert len(rows) >= 2
    for row in rows:
        bits = int(raster(settings, row["product"], "MASKS/CLM_R1.tif")[0, 40, 60])
        assert row["clear"] == (not bits & 129)
        assert row["ndvi"] == pytest.approx((row["B8"] - row["B4"]) / (row["B8"] + row["B4"]))
    text = http.get("/api/compare/series/31TCJ", params={**asked, "format": "csv"})
    assert text.headers["content-type"].startswith("text/csv")
    read = list(csv.DictReader(io.StringIO(text.text)))
    assert [row["product"] for row in read] == [row["product"] for row in rows]


def test_area_is_counted_pixel_by_pixel(centre: tuple[Http, Settings]) -> None:
    http, settings = centre
    corners = [(20, 30), (60, 30), (60, 50), (20, 50)]
    polygon = ",".join(f"{WEST + 10 * col} {NORTH - 10 * row}" for col, row in corners)
    answer = http.get("/api/compare/statistics/31TCJ", params={"version": "V1_3", "polygon": polygon}).json()
    assert answer["pixels"] == 800
    assert answer["repaired"] == ""
    for row in answer["rows"]:
        inside = np.s_[30:50, 20:60]
        clear = raster(settings, row["product"], "MASKS/CLM_R1.tif")[0][inside] & 129 == 0
        red = raster(settings, row["product"], "SRE_B4.tif")[0][inside]
        assert row["clear_pixels"] == clear.sum()
        if clear.any():
            assert row["B4_mean"] == pytest.approx(red[clear].mean() / 10000)
            assert row["B4_max"] == pytest.approx(red[clear].max() / 10000)
    text = http.get("/api/compare/statistics/31TCJ", params={"version": "V1_3", "polygon": polygon, "format": "csv"})
    assert text.text.splitlines()[0].startswith("date,product,pixels,observed_pixels,clear_pixels,ndvi_mean")


@pytest.mark.parametrize(
    ("polygon", "words"),
    [
        ("1 1,2 2", "fewer than three"),
        ("1 1,2 2,5 5", "empty"),
        ("0 0,10 0,10 10", "outside"),
        ("a b,c d,e f", "corners"),
        ("nan 1,2 2,3 1", "not a number"),
        ("", "corners"),
    ],
)
def test_area_that_can_not_be_counted_is_refused(centre: tuple[Http, Settings], polygon: str, words: str) -> None:
    answer = centre[0].get("/api/compare/statistics/31TCJ", params={"version": "V1_3", "polygon": polygon})
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


def test_crossing_area_is_repaired_and_said_so() -> None:
    extent = shapely.box(0, 0, 100, 100)
    shape, repaired = pixels.area([(10, 10), (30, 30), (30, 10), (10, 30)], extent)
    assert shape.area == pytest.approx(200)
    assert "self-intersection" in repaired
    shape, repaired = pixels.area([(50, 50), (150, 50), (150, 60), (50, 60)], extent)
    assert shape.area == pytest.approx(500)
    assert "outside" in repaired


def test_range_is_that_of_the_window(centre: tuple[Http, Settings]) -> None:
    http, settings = centre
    found = http.get(f"/api/compare/range/{LEFT}", params={"bands": "SRE_B4", "window": "-50,-50,500,500"}).json()
    red = raster(settings, LEFT, "SRE_B4.tif")[0]
    low, high = np.percentile(red[red > -10000], (2, 98)) / 10000
    assert (found["low"], found["high"]) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_missing_file_is_named(centre: tuple[Http, Settings]) -> None:
    http, settings = centre
    folder = next(settings.archive.glob(f"*/*/{LEFT}"))
    (folder / "manifest.json").write_text('{"files": {"nothing.tif": {"size": 3, "sha256": ""}}}')
    try:
        assert http.get(f"/api/compare/product/{LEFT}").json()["faults"] == ["nothing.tif is missing"]
    finally:
        (folder / "manifest.json").unlink()
