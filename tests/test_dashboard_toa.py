"""The Level-1C beside its product: the counts of the package at every level, and plain answers where it is gone."""

from __future__ import annotations

import io
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import rasterio
import sqlalchemy as sa
from fastapi import FastAPI
from PIL import Image

from dashboard import api, tiles
from dashboard.api.centre import THREADS
from processing.settings import Settings
from processing.store import Store
from processing.store.models import Anomaly, Granule, Product
from tests.dashboard_archive import fill
from tests.l1c_products import OFFSET, image_file, small, write_jp2
from tests.test_dashboard_tiles import Http

#: Its reflectance is (counts - 1000) / 10000.
TILE = "31TCJ"


def counts(package: Path, band: str) -> np.ndarray:
    with rasterio.open(image_file(package, band)) as image:
        return image.read(1)


def repaint(package: Path, band: str, pixels: np.ndarray) -> None:
    path = image_file(package, band)
    with rasterio.open(path) as image:
        t, epsg = image.transform, image.crs.to_epsg()
    path.unlink()
    write_jp2(path, pixels.astype(np.uint16), t.c, t.f, t.a, epsg)


def grey(image: bytes | None) -> np.ndarray:
    assert image is not None
    return np.asarray(Image.open(io.BytesIO(image)).convert("RGBA"))


def expected(counts: np.ndarray) -> np.ndarray:
    """A channel from reflectance 0 to 1."""
    return (255 * np.clip((counts.astype(float) - 1000) / 10000, 0, 1)).astype(np.uint8)


@dataclass(frozen=True)
class Centre:
    http: Http
    store: Store
    settings: Settings
    product: str
    other: str
    package: Path


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Centre]:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    settings.make_folders()
    package = small(OFFSET, settings.l1c / TILE)
    red = counts(package, "B04")
    red[:, :5] = 0
    repaint(package, "B04", red)
    store = Store(settings.url)
    store.upgrade()
    with store.write() as session:
        fill(settings, session, dates=2, size=36)
        product, other = session.scalars(sa.select(Product).where(Product.tile == TILE).order_by(Product.id)).all()[:2]
        granule = session.scalars(sa.select(Granule).where(Granule.acquisition_id == product.job.acquisition_id)).one()
        granule.path = f"{TILE}/{package.name}"
        product.l1c = [granule.name]
        names = product.identifier, other.identifier
    app = FastAPI()
    api.include(app, api.Centre(settings, store))
    yield Centre(Http(app), store, settings, *names, package)
    store.dispose()


@pytest.mark.parametrize("z", [tiles.NATIVE, tiles.NATIVE + 2, tiles.LAST])
def test_a_pixel_is_the_count_of_the_package(centre: Centre, z: int) -> None:
    """Bands of 10 and 20 m together, enlarged to the same ground; no data is transparent."""
    answer = centre.http.get(f"/tiles/{centre.product}/toa/{z}/0/0?bands=B4,B11,B2&range=0,1")
    assert answer.headers["content-type"] == "image/png"
    image, times = grey(answer.content), 2 ** (z - tiles.NATIVE)
    for channel, (band, coarse) in enumerate((("B04", 1), ("B11", 2), ("B02", 1))):
        found = counts(centre.package, band).repeat(coarse * times, 0).repeat(coarse * times, 1)[:512, :512]
        side = len(found)
        shown = np.s_[:side, 5 * times : side]
        np.testing.assert_allclose(image[:side, :side, channel][shown], expected(found)[shown], atol=1)
        assert (image[:side, :side, 3][shown] == 255).all()
    assert not image[:, : 5 * times, 3].any()
    assert not image[side:, :, 3].any()


def test_layer_follows_the_rules_of_the_others(centre: Centre) -> None:
    get, address = centre.http.get, f"/tiles/{centre.product}/toa"
    natural = get(f"{address}/5/0/0")
    assert natural.status_code == 200
    assert get(f"{address}/5/0/0", headers={"If-None-Match": natural.headers["etag"]}).status_code == 304
    assert get(f"{address}/5/0/0?bands=B8").headers["etag"] != natural.headers["etag"]
    assert get(f"{address}/5/1/0").status_code == 204
    assert get(f"{address}/9/2/0").status_code == 204
    for refused in ("5/0/0?bands=B10", "5/0/0?bands=B4,B3", "5/0/0?bands=SRE_B4", "10/0/0"):
        assert get(f"{address}/{refused}").status_code == 404
    assert get(f"{address}/5/0/0?range=1,0").status_code == 422
    assert get(f"/xyz/{centre.product}/toa/11/0/0.png").status_code == 404
    assert "toa" in get(f"/api/compare/product/{centre.product}").json()["layers"]


def test_gone_package_is_said_so(centre: Centre) -> None:
    assert "not kept" in centre.http.get(f"/tiles/{centre.other}/toa/5/0/0").json()["detail"]
    assert "toa" not in centre.http.get(f"/api/compare/product/{centre.other}").json()["layers"]
    away = centre.package.rename(centre.settings.home / "away")
    try:
        answer = centre.http.get(f"/tiles/{centre.product}/toa/5/0/0")
        assert answer.status_code == 404
        assert centre.package.name in answer.json()["detail"]
        assert "toa" not in centre.http.get(f"/api/compare/product/{centre.product}").json()["layers"]
    finally:
        away.rename(centre.package)


def test_damaged_package_is_named_and_opens_an_anomaly(centre: Centre) -> None:
    path = image_file(centre.package, "B12")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3])
    try:
        answer = centre.http.get(f"/tiles/{centre.product}/toa/5/0/0?bands=B12")
    finally:
        path.write_bytes(whole)
    assert answer.status_code == 500
    assert "B12" in answer.json()["detail"]
    with centre.store.read() as session:
        anomaly = session.scalars(sa.select(Anomaly).where(Anomaly.signature == "damaged Level-1C")).one()
        assert "B12" in anomaly.last


def test_decoding_without_end_is_ended(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process of its own: what was taken may be another file by now."""
    monkeypatch.setattr("processing.l1c.granule.LOOK_SECONDS", 1e-4)
    answer = centre.http.get(f"/tiles/{centre.product}/toa/5/0/0?bands=B7")
    assert answer.status_code == 500
    assert "takes longer than" in answer.json()["detail"]


def test_decoding_keeps_no_other_layer_waiting(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    """One tile of the Level-1C at a time, and the product's own tiles while all the others wait."""
    running, most, go = 0, 0, threading.Event()

    def slow(*_: object) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        go.wait(10)
        running -= 1

    monkeypatch.setattr(tiles, "toa", slow)
    address = f"/tiles/{centre.product}"
    with ThreadPoolExecutor(THREADS + 2) as readers:
        waiting = [readers.submit(centre.http.get, f"{address}/toa/5/{x}/0") for x in range(THREADS + 2)]
        assert centre.http.get(f"{address}/natural/5/0/0").status_code == 200
        assert not any(one.done() for one in waiting)
        go.set()
        assert {one.result().status_code for one in waiting} == {204}
    assert most == 1


def test_halves_of_a_pass_show_what_each_holds(tmp_path: Path) -> None:
    packages = small(OFFSET, tmp_path / "west"), small(OFFSET, tmp_path / "east", seed=1)
    whole = counts(packages[0], "B04")
    for package, side in zip(packages, (np.s_[:, 20:], np.s_[:, :20]), strict=True):
        half = counts(package, "B04")
        half[side] = 0
        repaint(package, "B04", half)
        whole = np.where(half > 0, half, whole)
    style = tiles.Style(bands=("B4",) * 3, scale=(0, 1))
    image = grey(tiles.toa(packages, TILE, tiles.NATIVE, 0, 0, style))[:36, :36]
    np.testing.assert_allclose(image[..., 0], expected(whole), atol=1)


@pytest.mark.parametrize("zipped", [False, True])
def test_lower_levels_keep_place_and_value_beside_no_data(tmp_path: Path, zipped: bool) -> None:
    package = small(OFFSET, tmp_path, size=7200)
    pixels = np.full((720, 720), 4000)
    pixels[:, :200] = 0
    pixels[400:440, 400:440] = 9000
    repaint(package, "B04", pixels)
    if zipped:
        package = Path(shutil.make_archive(str(tmp_path / "package"), "zip", tmp_path, package.name))
    style = tiles.Style(bands=("B4",) * 3, scale=(0, 1))
    for z in range(tiles.NATIVE):
        factor = 2 ** (tiles.NATIVE - z)
        image = grey(tiles.toa((package,), TILE, z, 0, 0, style))
        side = min(-(-720 // factor), tiles.SIZE)
        seen = image[..., 3] == 255
        assert seen[:side, 200 // factor + 8 : side].all()
        assert not seen[:, : 200 // factor].any()
        assert not seen[side:].any()
        ground = np.s_[: 360 // factor, : 360 // factor]
        np.testing.assert_allclose(image[ground][seen[ground]][:, 0], expected(np.array(4000)), atol=1)
        if factor <= 8:
            assert image[420 // factor, 420 // factor, 0] > expected(np.array(8000))
