"""The tile service: exact to the pixel at every level, and plain answers to what isn't there."""

from __future__ import annotations

import asyncio
import hashlib
import io
import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from PIL import Image
from pyproj import Transformer

from dashboard import api, people, theme, tiles
from dashboard.product_folder import find
from dashboard.tiles import colour
from processing.errors import ProductError
from processing.product import names, save_state
from processing.quality import reference
from processing.settings import Settings
from processing.store import Store
from processing.store.models import Anomaly, Product
from tests.dashboard_archive import fill, write_raster
from tests.people import ADMIN, ANNA
from tests.product_scenes import composite

NAME = "SENTINEL2A_20230801-105031-000_L2A_T31TCJ_D_V1-4"
PLACE = {"west": 300000.0, "north": 4900020.0, "crs": "EPSG:32631"}
#: Not a multiple of anything, more than two tiles of the native level.
SIZE = 1098


def pixels(image: bytes | None) -> np.ndarray:
    assert image is not None
    return np.asarray(Image.open(io.BytesIO(image)).convert("RGBA"))


@pytest.fixture(scope="module")
def checkerboard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A product whose mask is set exactly where its reflectance is bright, in squares of one pixel."""
    root = tmp_path_factory.mktemp("archive") / NAME
    odd = np.indices((SIZE, SIZE)).sum(axis=0) % 2 == 1
    for band in ("B2", "B3", "B4", "B8"):
        write_raster(root / names.file_path(NAME, f"SRE_{band}"), np.where(odd, 2500, 0).astype(np.int16), **PLACE)
    write_raster(root / names.file_path(NAME, "CLM_R1"), np.where(odd, 32, 0).astype(np.uint8), **PLACE)
    return root


@pytest.mark.parametrize("z", range(tiles.NATIVE, tiles.LAST + 1))
def test_mask_pixel_covers_exactly_its_reflectance_pixel(checkerboard: Path, z: int) -> None:
    factor = 2 ** (z - tiles.NATIVE)
    last = (SIZE * factor - 1) // tiles.SIZE
    for x, y in ((0, 0), (1, 0), (last, last)):
        image, mask = (pixels(tiles.tile(checkerboard, layer, z, x, y)) for layer in ("natural", "CLM"))
        assert image.shape == mask.shape == (tiles.SIZE, tiles.SIZE, 4)
        np.testing.assert_array_equal(image[..., 0] == 255, mask[..., 3] == 255)
        rows = (np.arange(tiles.SIZE) + y * tiles.SIZE) // factor
        cols = (np.arange(tiles.SIZE) + x * tiles.SIZE) // factor
        inside = (rows[:, None] < SIZE) & (cols[None, :] < SIZE)
        expected = inside & ((rows[:, None] + cols[None, :]) % 2 == 1)
        np.testing.assert_array_equal(mask[..., 3] == 255, expected)
        np.testing.assert_array_equal(image[..., 3] == 255, inside)


@pytest.mark.parametrize("z", range(tiles.NATIVE))
def test_lower_levels_keep_the_place(checkerboard: Path, z: int) -> None:
    """The image ends at the same cell of the lattice in all layers, cut cells included."""
    factor = 2 ** (tiles.NATIVE - z)
    image = pixels(tiles.tile(checkerboard, "natural", z, 0, 0))
    edge = min(-(-SIZE // factor), tiles.SIZE)
    assert (image[:edge, :edge, 3] == 255).all()
    assert not image[edge:, :, 3].any()
    assert not image[:, edge:, 3].any()
    whole = SIZE // factor if edge < tiles.SIZE else tiles.SIZE
    np.testing.assert_allclose(image[:whole, :whole, 0], 127, atol=2)  # the mean of black and bright


@pytest.mark.parametrize("z", range(tiles.NATIVE + 1))
def test_blocks_stay_where_they_are_at_every_level(tmp_path: Path, z: int) -> None:
    """Squares of 64 pixels: reflectance and mask show the same squares down to the lowest level that resolves them."""
    root = tmp_path / NAME
    block = np.indices((SIZE, SIZE)) // 64
    odd = block.sum(axis=0) % 2 == 1
    for band in ("B2", "B3", "B4"):
        write_raster(root / names.file_path(NAME, f"SRE_{band}"), np.where(odd, 2500, 0).astype(np.int16), **PLACE)
    write_raster(root / names.file_path(NAME, "CLM_R1"), np.where(odd, 2, 0).astype(np.uint8), **PLACE)
    image, mask = (pixels(tiles.tile(root, layer, z, 0, 0)) for layer in ("natural", "CLM"))
    factor = 2 ** (tiles.NATIVE - z)
    whole = min(SIZE // factor, tiles.SIZE)
    cell = (np.arange(whole) * factor) // 64
    expected = (cell[:, None] + cell[None, :]) % 2 == 1
    np.testing.assert_array_equal(mask[:whole, :whole, 3] == 255, expected)
    np.testing.assert_array_equal(image[:whole, :whole, 0] > 127, expected)


def test_coarse_raster_lies_on_the_same_lattice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 m pixels are two cells wide at the native level."""
    root = tmp_path / NAME
    mask = (np.indices((50, 50)).sum(axis=0) % 2).astype(np.uint8)
    write_raster(root / names.file_path(NAME, "CLM_R2"), mask, resolution=20, **PLACE)
    monkeypatch.setitem(tiles.LAYERS, "R2", tiles.Layer("", ("MASKS/CLM_R2.tif",), colour.bits("CLM"), mask=True))
    drawn = pixels(tiles.tile(root, "R2", tiles.NATIVE, 0, 0, tiles.Style(bits=1)))[:100, :100, 3] == 255
    np.testing.assert_array_equal(drawn, np.kron(mask, np.ones((2, 2))) == 1)


def test_bits_are_drawn_in_their_colours_and_the_first_wins(tmp_path: Path) -> None:
    root = tmp_path / NAME
    write_raster(root / names.file_path(NAME, "CLM_R1"), np.arange(256, dtype=np.uint8).reshape(16, 16), **PLACE)
    order = [style.bit for style in theme.MASKS["CLM"]]
    assert sum(order) == 255
    image = pixels(tiles.tile(root, "CLM", tiles.NATIVE, 0, 0))[:16, :16].reshape(256, 4)
    for value in range(256):
        style = next((s for s in theme.MASKS["CLM"] if s.bit & value), None)
        assert tuple(image[value]) == ((*theme.rgb(style.colour), 255) if style else (0, 0, 0, 0))
    only = pixels(tiles.tile(root, "CLM", tiles.NATIVE, 0, 0, tiles.Style(bits=32)))[:16, :16, 3].ravel()
    np.testing.assert_array_equal(only > 0, np.arange(256) & 32 > 0)


def test_no_data_is_transparent_in_every_layer(tmp_path: Path) -> None:
    root = tmp_path / NAME
    counts = np.full((40, 40), 1000, np.int16)
    counts[:10] = -10000
    for band in ("B2", "B3", "B4"):
        write_raster(root / names.file_path(NAME, f"SRE_{band}"), counts, **PLACE)
    atmosphere = np.full((2, 40, 40), 40, np.uint8)
    atmosphere[:, :10] = 0
    write_raster(root / names.file_path(NAME, "ATB_R1"), atmosphere, **PLACE)
    assert tiles.offered(root) == ["natural", "band", "aot", "water-vapour"]
    for layer in tiles.offered(root):
        alpha = pixels(tiles.tile(root, layer, tiles.NATIVE, 0, 0))[:40, :40, 3]
        assert not alpha[:10].any()
        assert (alpha[10:] == 255).all()


def test_no_data_does_not_darken_its_neighbours(tmp_path: Path) -> None:
    """-10000 never enters a mean."""
    root = tmp_path / NAME
    counts = np.full((64, 64), 1250, np.int16)
    counts[::3, ::5] = -10000
    for band in ("B2", "B3", "B4"):
        write_raster(root / names.file_path(NAME, f"SRE_{band}"), counts, **PLACE)
    for z in range(tiles.NATIVE):
        image = pixels(tiles.tile(root, "natural", z, 0, 0))
        shown = image[..., 3] > 0
        assert shown.any()
        assert set(np.unique(image[shown][:, 0])) == {127}


def test_damaged_raster_is_named(checkerboard: Path, tmp_path: Path) -> None:
    root = tmp_path / NAME
    (root / "MASKS").mkdir(parents=True)
    file = names.file_path(NAME, "CLM_R1")
    (root / file).write_bytes((checkerboard / file).read_bytes()[:700])
    with pytest.raises(ProductError, match="CLM_R1"):
        tiles.tile(root, "CLM", tiles.NATIVE, 0, 0)


class Http:
    """Asks an application without a server."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    def get(self, address: str, **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://centre") as client:
                return await client.get(address, **options)

        with people.acting(ADMIN):  # in an application without its door
            return asyncio.run(ask())


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Http, str, Settings]]:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    settings.make_folders()
    store = Store(settings.url)
    store.upgrade()
    with store.write() as session:
        filled = fill(settings, session, dates=2, size=100)
    app = FastAPI()
    api.include(app, api.Centre(settings, store))
    yield Http(app), filled.identifiers[0], settings
    store.dispose()


def test_tile_is_kept_for_ever_only_under_its_digest(client: tuple[Http, str, Settings]) -> None:
    http, product, _ = client
    address = f"/tiles/{product}/natural/5/0/0"
    answer = http.get(address)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert "immutable" not in answer.headers["cache-control"]
    again = http.get(address, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    digest = hashlib.sha256(product.encode()).hexdigest()
    assert "immutable" in http.get(address, params={"v": digest[:12]}).headers["cache-control"]
    assert "immutable" not in http.get(address, params={"v": "0123"}).headers["cache-control"]
    masks = [http.get(f"/tiles/{product}/CLM/5/0/0", params={"bits": bits}).headers["etag"] for bits in (1, 2)]
    assert len({answer.headers["etag"], *masks}) == 3


@pytest.mark.parametrize("place", ["5/1/0", "5/0/1", "4/7/7", "9/31/0"])
def test_nothing_there_is_204(client: tuple[Http, str, Settings], place: str) -> None:
    http, product, _ = client
    answer = http.get(f"/tiles/{product}/natural/{place}")
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("place", ["5/1/0", "4/7/7", "6/0/0"])
def test_viewers_that_ask_again_get_an_empty_image(client: tuple[Http, str, Settings], place: str) -> None:
    http, product, _ = client
    answer = http.get(f"/tiles/{product}/natural/{place}", params={"blank": 1})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert not np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA")).any()


@pytest.mark.parametrize(
    "address",
    [
        "/tiles/SENTINEL2A_NOWHERE/natural/5/0/0",
        "/tiles/{product}/SRE_B4/5/0/0",
        "/tiles/{product}/natural-flat/5/0/0",
        "/tiles/{product}/natural/10/0/0",
        "/tiles/{product}/natural/5/-1/0",
        "/tiles/..%2F..%2Fmuscate.db/natural/5/0/0",
        "/products/{product}/files/..%2F..%2F..%2F..%2Fmuscate.db",
        "/products/{product}/files/nothing.tif",
        "/products/nobody/files",
    ],
)
def test_unknown_is_404(client: tuple[Http, str, Settings], address: str) -> None:
    http, product, _ = client
    assert http.get(address.format(product=product)).status_code == 404


def test_files_of_a_product_can_be_taken(client: tuple[Http, str, Settings]) -> None:
    http, product, _ = client
    listed = http.get(f"/products/{product}/files").json()
    assert {"SRE_B4.tif", "CLM_R1.tif"} <= {file["name"].split("_V1-3_")[-1] for file in listed}
    for file in listed:
        taken = http.get(file["href"])
        assert taken.status_code == 200
        assert len(taken.content) == file["bytes"]


def test_files_are_a_page_for_people_and_json_for_programs(client: tuple[Http, str, Settings]) -> None:
    http, product, _ = client
    listed = http.get(f"/products/{product}/files")
    assert listed.headers["content-type"].startswith("application/json")
    page = http.get(f"/products/{product}/files", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.headers["content-type"].startswith("text/html")
    assert listed.headers["vary"] == page.headers["vary"] == "Accept"
    for one in listed.json():
        assert f'<a href="{one["href"]}">{one["name"]}</a>' in page.text
    assert http.get("/products/nobody/files", headers={"Accept": "text/html"}).status_code == 404


def test_health_and_summary(client: tuple[Http, str, Settings]) -> None:
    http, _, _ = client
    health = http.get("/health").json()
    assert health["status"] == "ok"
    assert health["newest_product_age_seconds"] > 0
    summary = http.get("/api/summary").json()
    assert summary["products"] == summary["simulated"] == health["products"]


def test_layers_take_a_style(client: tuple[Http, str, Settings]) -> None:
    http, product, _ = client
    plain = http.get(f"/tiles/{product}/band/5/0/0")
    scaled = http.get(f"/tiles/{product}/band/5/0/0", params={"bands": "SRE_B8", "range": "0.1,0.3"})
    assert plain.status_code == scaled.status_code == 200
    assert plain.content != scaled.content
    assert plain.headers["etag"] != scaled.headers["etag"]
    for parameters, status in (
        ({"range": "1"}, 422),
        ({"range": "a,b"}, 422),
        ({"bands": "SRE_B1"}, 404),
        ({"with": product}, 404),
        ({"pattern": "dots"}, 422),
    ):
        assert http.get(f"/tiles/{product}/band/5/0/0", params=parameters).status_code == status, parameters
    assert http.get(f"/tiles/{product}/difference/5/0/0").status_code == 404
    assert http.get(f"/tiles/{product}/difference/5/0/0", params={"with": "nobody"}).status_code == 404


def test_difference_is_kept_for_ever_only_by_both_digests(client: tuple[Http, str, Settings]) -> None:
    http, product, _ = client
    other = product.replace("_V1-3", "_V1-4").replace("20230801", "20230806").replace("SENTINEL2B", "SENTINEL2A")
    shas = [hashlib.sha256(name.encode()).hexdigest()[:12] for name in (product, other)]
    asked = {"with": other, "v": ",".join(shas)}
    answer = http.get(f"/tiles/{product}/difference/5/0/0", params=asked)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert "immutable" in answer.headers["cache-control"]
    half = http.get(f"/tiles/{product}/difference/5/0/0", params={"with": other, "v": shas[0]})
    assert "immutable" not in half.headers["cache-control"]


def test_kept_mask_lies_where_it_was_drawn_on_every_version_of_its_image(client: tuple[Http, str, Settings]) -> None:
    http, _, settings = client
    older, newer, another = (
        f"{name}_L2A_T31TCJ_D_{version}"
        for name, version in (
            ("SENTINEL2A_20230806-105031-000", "V1-3"),
            ("SENTINEL2A_20230806-105031-000", "V1-4"),
            ("SENTINEL2B_20230801-105031-000", "V1-3"),
        )
    )
    west, north = 300_000, 4_900_020
    corners = [(west + x, north - y) for x, y in ((100, 200), (300, 200), (300, 400), (100, 400), (100, 200))]
    store = Store(settings.url)
    drawn = {"type": "Polygon", "coordinates": [corners]}
    mask = reference.keep_drawn(store, settings, older, [(drawn, "cloud")], ANNA)
    store.dispose()
    for name in (older, newer):
        answer = http.get(f"/tiles/{name}/reference/5/0/0", params={"mask": mask.id})
        assert answer.status_code == 200
        image = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))
        expected = np.zeros(image.shape[:2], bool)
        expected[20:40, 10:30] = True
        np.testing.assert_array_equal(image[..., 3] > 0, expected)
    assert http.get(f"/tiles/{another}/reference/5/0/0", params={"mask": mask.id}).status_code == 404
    assert http.get(f"/tiles/{older}/reference/5/0/0").status_code == 404
    assert http.get(f"/tiles/{older}/CLM/5/0/0", params={"mask": mask.id}).status_code == 404


def test_age_needs_the_state_that_entered_the_date(client: tuple[Http, str, Settings]) -> None:
    http, _, settings = client
    name = "SENTINEL2A_20230806-105031-000_L2A_T31TCJ_D_V1-3"
    store = Store(settings.url)
    with store.write() as session:
        product = session.scalars(sa.select(Product).where(Product.identifier == name)).one()
        assert product.prev_product is not None
        before = session.get_one(Product, product.prev_product)
        before.state_path = f"{before.path}.npz"
    store.dispose()
    assert http.get(f"/tiles/{name}/age/5/0/0").status_code == 404
    path = settings.state / before.state_path
    path.parent.mkdir(parents=True)
    save_state(composite(), path)
    answer = http.get(f"/tiles/{name}/age/5/0/0")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert http.get(f"/xyz/{name}/age/11/0/0.png").status_code == 404
    assert http.get(f"/tiles/{before.identifier}/age/5/0/0").status_code == 404


def test_web_mercator_for_gis(client: tuple[Http, str, Settings]) -> None:
    http, product, _ = client
    assert http.get(f"/xyz/{product}/natural/11/0/0.png").status_code == 204
    assert http.get(f"/xyz/{product}/natural/19/0/0.png").status_code == 404
    west, north = Transformer.from_crs("EPSG:32631", "EPSG:4326", always_xy=True).transform(300_480, 4_899_520)
    col = int((west / 360 + 0.5) * 2**12)
    row = int((0.5 - math.asinh(math.tan(math.radians(north))) / (2 * math.pi)) * 2**12)
    answer = http.get(f"/xyz/{product}/natural/12/{col}/{row}.png")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert Image.open(io.BytesIO(answer.content)).size == (256, 256)


def test_damaged_product_is_named_and_opens_one_anomaly(client: tuple[Http, str, Settings]) -> None:
    http, product, settings = client
    store = Store(settings.url)
    with store.read() as session:
        row = session.scalars(sa.select(Product).where(Product.identifier != product).order_by(Product.id)).first()
        assert row is not None
        damaged = row.identifier
        folder = settings.archive / row.path
    path = find(folder, "SRE_B8.tif")
    assert path is not None
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3])
    try:
        for y in (0, 0):
            answer = http.get(f"/tiles/{damaged}/band/5/0/{y}", params={"bands": "SRE_B8"})
            assert answer.status_code == 500
            assert "SRE_B8.tif" in answer.json()["detail"]
        drawn = http.get(f"/tiles/{damaged}/band/5/0/0", params={"bands": "SRE_B8", "blank": 1})
        assert (drawn.status_code, drawn.headers["content-type"]) == (200, "image/svg+xml")
        assert drawn.headers["cache-control"] == "no-store"
        assert "SRE_B8.tif" in re.sub("<[^>]*>", "", drawn.text)
        with store.read() as session:
            anomaly = session.scalars(sa.select(Anomaly).where(Anomaly.signature == "damaged product")).one()
            assert "SRE_B8.tif" in anomaly.last
            assert anomaly.count == 1
    finally:
        path.write_bytes(whole)
        store.dispose()


def test_missing_product_folder_is_404(client: tuple[Http, str, Settings]) -> None:
    http, product, settings = client
    other = next(path for path in sorted(settings.archive.glob("*/*/*")) if path.name != product)
    shutil.rmtree(other)
    assert http.get(f"/tiles/{other.name}/natural/5/0/0").status_code == 404
