"""The STAC API, asked by other people's clients over real HTTP, and its items read by other people's models."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pystac
import pystac_client
import pytest
import rasterio
import shapely
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image
from stac_pydantic import api

from dashboard import stac
from dashboard.api import Centre, include
from dashboard.api.stac import Searched
from processing import product as products
from processing import tiling
from processing.errors import SearchError
from processing.settings import Settings
from processing.simulation.series import DEMONSTRATION
from processing.store import Store, search, surroundings
from processing.store.models import Product, Quality
from processing.store.search import Search
from processing.store.surroundings import Around
from tests import product_scenes
from tests.browser import free_port
from tests.dashboard_archive import filled
from tests.web_server import plain_routes


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Store, Settings]]:
    """Address, store and settings of a centre whose plain routes are served."""
    settings = Settings(home=tmp_path_factory.mktemp("home"), port=free_port())
    store = filled(settings, size=64)
    with plain_routes(settings, store) as address:
        yield address, store, settings
    store.dispose()


def stored(store: Store, *where: sa.ColumnElement[bool]) -> set[str]:
    with store.read() as session:
        query = sa.select(Product.identifier).join(Quality, Quality.job_id == Product.job_id)
        return set(session.scalars(query.where(*where)))


def test_every_answer_is_as_the_standard_says(centre: tuple[str, Store, Settings]) -> None:
    address, _, _ = centre
    landing = httpx.get(f"{address}/stac").json()
    api.LandingPage.model_validate(landing)
    for link in landing["links"]:
        if link.get("method") != "POST" and link["rel"] != "service-desc":
            assert httpx.get(link["href"]).status_code == 200, link
    api.Conformance.model_validate(httpx.get(f"{address}/stac/conformance").json())
    api.Collections.model_validate(httpx.get(f"{address}/stac/collections").json())
    for name in stac.TITLES:
        answer = httpx.get(f"{address}/stac/collections/{name}/items", params={"limit": 100})
        assert answer.headers["content-type"] == stac.GEOJSON
        assert answer.headers["access-control-allow-origin"] == "*"
        found = api.ItemCollection.model_validate(answer.json())
        assert {item.collection for item in found.features} == {name}
        for whole in answer.json()["features"]:
            links = {link["rel"]: link["href"] for link in whole["links"]}
            assert httpx.get(links["self"]).json() == whole
            item = pystac.Item.from_dict(whole)
            assert item.properties["muscate:simulated"]
            assert "SIMULATED" in item.properties["description"]
            assert item.bbox[0] < item.bbox[2]


def test_client_finds_the_products(centre: tuple[str, Store, Settings]) -> None:
    address, store, _ = centre
    client = pystac_client.Client.open(f"{address}/stac")
    assert {c.id for c in client.get_collections()} == set(stac.TITLES)
    first, last = datetime(2023, 8, 6, tzinfo=UTC), datetime(2023, 8, 17, tzinfo=UTC)
    cloudless = sa.and_(Product.version == "V1_4", Quality.cloud_percent < 15)
    toulouse = {"type": "Point", "coordinates": [1.44, 43.6]}
    filters: dict[str, Any] = {"filter_lang": "cql2-json"}
    cloud = {"op": "<", "args": [{"property": "eo:cloud_cover"}, 15]}
    date = {"op": "between", "args": [{"property": "datetime"}, first.isoformat(), last.isoformat()]}
    either = {"op": "in", "args": [{"property": "platform"}, ["sentinel-2a", "sentinel-2c"]]}
    for method in ("GET", "POST"):
        wanted: list[tuple[dict[str, Any], tuple[sa.ColumnElement[bool], ...]]] = [
            ({}, (Product.version == "V1_4",)),
            ({"collections": [stac.ALL]}, ()),
            ({"collections": ["landsat"]}, (sa.false(),)),
            ({"bbox": (1.2, 43.3, 1.6, 43.8)}, (Product.version == "V1_4", Product.tile == "31TCJ")),
            ({"intersects": toulouse}, (Product.version == "V1_4", Product.tile == "31TCJ")),
            ({"datetime": (first, last)}, (Product.version == "V1_4", Product.sensing.between(first, last))),
            ({"datetime": "2023-08-06"}, (Product.version == "V1_4", sa.func.date(Product.sensing) == "2023-08-06")),
            ({"filter": cloud, **filters}, (cloudless,)),
            ({"filter": {"op": "and", "args": [cloud, date, either]}, **filters},
             (cloudless, Product.sensing.between(first, last), Product.platform == "S2A")),
        ]  # fmt: skip
        if method == "POST":
            wanted.append(({"query": {"eo:cloud_cover": {"lt": 15}, "grid:code": {"eq": "MGRS-31TCJ"}}},
                           (cloudless, Product.tile == "31TCJ")))  # fmt: skip
        for parameters, where in wanted:
            found = client.search(method=method, limit=5, **parameters)
            names = [item.id for item in found.items()]
            assert set(names) == stored(store, *where), (method, parameters)
            assert len(names) == len(set(names))
    assert len(stored(store, cloudless)) > 3


def test_example_of_the_readme_finds_products(
    centre: tuple[str, Store, Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    """Run as it stands but for the month, which has to be one of the simulated archive's that a new centre has."""
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```\n(import pystac_client\n.*?)```", text, re.S)
    (month,) = re.findall(r'datetime="(\d{4}-\d\d)"', code)
    first = datetime.fromisoformat(f"{month}-01").replace(tzinfo=UTC)
    assert first < DEMONSTRATION - timedelta(days=20) < DEMONSTRATION <= first + timedelta(days=31)
    (bbox,) = re.findall(r"bbox=\(([^)]*)\)", code)
    assert shapely.box(*map(float, bbox.split(", "))).intersects(shapely.Polygon(tiling.footprint("31TCJ")))
    exec(code.replace("http://localhost:5006", centre[0]).replace(month, "2023-08"), {})
    found = ast.literal_eval(capsys.readouterr().out)
    assert found
    assert all("_T31TCJ_" in name for name in found)


def test_pages_are_sorted_and_joined(centre: tuple[str, Store, Settings]) -> None:
    address, store, _ = centre
    client = pystac_client.Client.open(f"{address}/stac")
    for method in ("GET", "POST"):
        for sortby, read in (("datetime", "datetime"), ("-datetime", "datetime"), ("-published", "published")):
            search = client.search(method=method, limit=3, sortby=sortby)
            pages = list(search.pages_as_dicts())
            values = [item["properties"][read] for page in pages for item in page["features"]]
            assert len(pages) > 5
            assert all(page["numberReturned"] == 3 for page in pages[:-1])
            assert values == sorted(values, reverse=sortby.startswith("-"))
            assert len(values) == len(stored(store, Product.version == "V1_4"))


def test_named_product_is_found_in_whatever_version(centre: tuple[str, Store, Settings]) -> None:
    address, store, _ = centre
    old = sorted(stored(store, Product.version == "V1_3"))[0]
    found = httpx.get(f"{address}/stac/search", params={"ids": old}).json()["features"]
    assert [(item["id"], item["collection"]) for item in found] == [(old, stac.ALL)]
    assert found[0]["properties"]["deprecated"]
    assert httpx.get(f"{address}/stac/collections/{stac.CURRENT}/items/{old}").status_code == 404
    assert httpx.get(f"{address}/stac/collections/{stac.ALL}/items/{old}").json()["id"] == old


def test_fields_are_left_out(centre: tuple[str, Store, Settings]) -> None:
    address, _, _ = centre
    ask = {"fields": {"include": ["id", "properties.eo:cloud_cover"], "exclude": ["assets", "geometry"]}, "limit": 1}
    item = httpx.post(f"{address}/stac/search", json=ask).json()["features"][0]
    assert set(item["properties"]) == {"datetime", "eo:cloud_cover"}
    assert not {"assets", "geometry"} & set(item)
    item = httpx.get(f"{address}/stac/search", params={"fields": "-assets", "limit": 1}).json()["features"][0]
    assert "assets" not in item
    assert "platform" in item["properties"]


@pytest.mark.parametrize(
    "ask",
    [
        {"bbox": [0, 0, 1]},
        {"bbox": [0, 50, 1, 40]},
        {"bbox": [0, 0, 1, 1], "intersects": {"type": "Point", "coordinates": [0, 0]}},
        {"intersects": {"type": "Point"}},
        {"intersects": "{"},
        {"intersects": {"type": "Polygon", "coordinates": [[[1, 43], [2, 44], [2, 43], [1, 44], [1, 43]]]}},
        {"datetime": "yesterday"},
        {"datetime": "2023-08-17/2023-08-01"},
        {"datetime": "../.."},
        {"limit": 0},
        {"limit": "many"},
        {"token": "../../etc/passwd"},
        {"sortby": [{"field": "bytes", "direction": "asc"}]},
        {"filter": {"op": "or", "args": []}},
        {"filter": {"op": "<", "args": [{"property": "path"}, 1]}},
        {"filter": {"op": "<", "args": [{"property": "eo:cloud_cover"}, "much"]}},
        {"filter": {"op": "like", "args": [{"property": "eo:cloud_cover"}, "%"]}},
        {"filter": {"op": "soundsLike", "args": [{"property": "grid:code"}, "x"]}},
        {"filter": {"op": "s_within", "args": [{"property": "geometry"}, {"type": "Point"}]}},
        {"filter": "eo:cloud_cover <", "filter-lang": "cql2-text"},
        {"filter": "path = 'x'", "filter-lang": "cql2-text"},
        {"datetime": "2023-08-17"},
        {"datetime": "2023-08-17T10:00:00"},
        {"query": {"eo:cloud_cover": 5}},
        {"query": {"eo:cloud_cover": {"near": 5}}},
        {"query": "[]"},
        {"filter": {}},
        {"filter": "version"},
        {"filter": "muscate:flags = 'rain'"},
        {"filter": "NOT muscate:flag = 'fog'"},
        {"filter": "muscate:flag LIKE 'r%'"},
        {"sortby": "+-datetime"},
        {"sortby": [{"field": "datetime", "direction": "sideways"}]},
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_with_the_reason(
    centre: tuple[str, Store, Settings], ask: dict[str, Any]
) -> None:
    answers = [
        httpx.post(f"{centre[0]}/stac/search", json=ask),
        httpx.get(
            f"{centre[0]}/stac/search",
            params={k: v if isinstance(v, str | int) else json.dumps(v).strip("[]") for k, v in ask.items()},
        ),
    ]
    for answer in answers:
        assert answer.status_code == 400
        assert answer.json()["description"]


TEXTS = {
    "eo:cloud_cover < 15 OR version = 'V1_3'": sa.or_(Quality.cloud_percent < 15, Product.version == "V1_3"),
    "NOT (platform = 'sentinel-2a')": Product.platform != "S2A",
    "platform <> 'sentinel-2a' AND grid:code LIKE 'MGRS-31%'":
        sa.and_(Product.platform != "S2A", Product.tile.startswith("31")),
    "grid:code NOT IN ('MGRS-31TCJ', 'MGRS-40KCB')": Product.tile.not_in(["31TCJ", "40KCB"]),
    "eo:cloud_cover BETWEEN 10 AND 20": Quality.cloud_percent.between(10, 20),
    "eo:cloud_cover NOT BETWEEN 10 AND 20": sa.not_(Quality.cloud_percent.between(10, 20)),
    "muscate:verdict IS NULL": sa.true(),
    "muscate:validation_cloud_f1 IS NOT NULL": sa.false(),
    "grid:code LIKE 'mgrs-%'": sa.false(),
    "CASEI(grid:code) LIKE CASEI('mgrs-31tc_')": Product.tile == "31TCJ",
    "grid:code LIKE 'MGRS-31T\\_J'": sa.false(),
    "eo:cloud_cover * 2 > muscate:no_data_percent + 20": 2 * Quality.cloud_percent > Quality.no_data_percent + 20,
    "T_AFTER(datetime, TIMESTAMP('2023-08-17T00:00:00Z'))": Product.sensing > datetime(2023, 8, 17, tzinfo=UTC),
    "T_DURING(datetime, INTERVAL('2023-08-02', '2023-08-17'))":
        Product.sensing.between(datetime(2023, 8, 2, tzinfo=UTC), datetime(2023, 8, 18, tzinfo=UTC)),
    "datetime < DATE('2023-08-10') OR datetime >= TIMESTAMP('2023-08-20T00:00:00Z')":
        sa.not_(Product.sensing.between(datetime(2023, 8, 10, tzinfo=UTC), datetime(2023, 8, 19, 23, tzinfo=UTC))),
    "S_INTERSECTS(geometry, POINT(1.44 43.6))": Product.tile == "31TCJ",
    "NOT S_INTERSECTS(geometry, BBOX(1.2, 43.3, 1.6, 43.8))": Product.tile != "31TCJ",
    "S_DISJOINT(geometry, POLYGON((-10 25, 70 25, 70 50, -10 50, -10 25)))": Product.tile.in_(["40KCB", "30PVT"]),
    "S_WITHIN(geometry, BBOX(-10, 25, 70, 50))": Product.tile.not_in(["40KCB", "30PVT"]),
    "S_CONTAINS(geometry, POINT(1.44 43.6))": Product.tile == "31TCJ",
    "muscate:simulated = TRUE AND deprecated = FALSE": Product.version == "V1_4",
    "updated > TIMESTAMP('2100-01-01T00:00:00Z') OR id = 'x'": sa.false(),
    "TRUE": sa.true(),
    "FALSE": sa.false(),
    "NOT FALSE AND muscate:simulated AND platform = 'sentinel-2a'": Product.platform == "S2A",
    "muscate:site = 'toulouse' OR version = 'V1_3'":
        sa.or_(Product.tile.in_(["31TCJ", "31TDJ"]), Product.version == "V1_3"),
    "muscate:site LIKE 'toul%'": Product.tile.in_(["31TCJ", "31TDJ"]),
    "muscate:site <> 'toulouse' AND muscate:site IS NOT NULL": Product.tile.not_in(["31TCJ", "31TDJ"]),
    "muscate:flag = 'rain' OR version = 'V1_3'":
        sa.or_(Quality.flags["rain"].as_boolean(), Product.version == "V1_3"),
    "muscate:flag IN ('rain', 'cirrus')":
        sa.or_(Quality.flags["rain"].as_boolean(), Quality.flags["cirrus"].as_boolean()),
    "muscate:flags IS NULL": sa.false(),
}  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_filter_of_text_finds_what_the_database_finds(centre: tuple[str, Store, Settings], text: str) -> None:
    """By GET as text, which is what it is by default, and by POST as the JSON that a library makes of it."""
    cql2 = pytest.importorskip("cql2", reason="cql2 not here")
    address, store, _ = centre
    wanted = stored(store, TEXTS[text])
    common = {"collections": stac.ALL, "limit": 250}
    by_get = httpx.get(f"{address}/stac/search", params={**common, "filter": text}).json()
    given = {**common, "collections": [stac.ALL], "filter": cql2.parse_text(text).to_json()}
    by_post = httpx.post(f"{address}/stac/search", json=given).json()
    for answer in (by_get, by_post):
        assert {item["id"] for item in answer["features"]} == wanted
        assert answer["numberMatched"] == len(wanted)


@pytest.mark.parametrize(
    "text",
    ["(" * 3000 + "a = 1" + ")" * 3000, "NOT " * 1900 + "a = 1", "version = " + "- " * 3000 + "1", "x" * 9000,
     "(" * 25 + "id = 'x'" + ")" * 25, "version = '" + "(" * 100],
)  # fmt: skip
def test_filter_that_would_end_its_parser_is_refused(centre: tuple[str, Store, Settings], text: str) -> None:
    """The library takes the whole process with it where its stack ends."""
    pytest.importorskip("cql2", reason="cql2 not here")
    assert httpx.get(f"{centre[0]}/stac/search", params={"filter": text}).status_code in (400, 414)
    fine = {"filter": "id = '" + "(" * 100 + "' AND version = '-------------'"}
    assert httpx.get(f"{centre[0]}/stac/search", params=fine).json()["features"] == []


def test_numbers_and_truths_as_text_are_understood(centre: tuple[str, Store, Settings]) -> None:
    """As clients send them by GET."""
    address, store, _ = centre
    for test, where in (
        ({"eo:cloud_cover": {"lt": "15"}}, Quality.cloud_percent < 15),
        ({"eo:cloud_cover": {"neq": "15", "gte": "5"}}, Quality.cloud_percent >= 5),
        ({"muscate:simulated": {"eq": "true"}, "platform": {"startsWith": "sentinel-2"}}, sa.true()),
        ({"grid:code": {"endsWith": "TCJ"}}, Product.tile == "31TCJ"),
        ({"grid:code": {"contains": "_"}}, sa.false()),
        ({"sat:relative_orbit": {"in": ["51", "52"]}}, sa.true()),
    ):
        given = {"query": json.dumps(test), "collections": stac.ALL, "limit": "250"}
        found = httpx.get(f"{address}/stac/search", params=given).json()["features"]
        assert {item["id"] for item in found} == stored(store, where), test


@pytest.mark.parametrize("name", sorted(set(stac.QUERYABLES) & set(stac.SORTABLES)))
def test_every_queryable_sorts_and_its_pages_join(centre: tuple[str, Store, Settings], name: str) -> None:
    """What a product doesn't have comes last, whichever way; no product is lost or doubled."""
    address, store, _ = centre
    everything = stored(store, sa.true())
    for order in (name, f"-{name},datetime"):
        body: dict[str, Any] | None = {"collections": [stac.ALL], "limit": 11, "sortby": [
            {"field": part.lstrip("-"), "direction": "desc" if part.startswith("-") else "asc"}
            for part in order.split(",")
        ]}  # fmt: skip
        items: list[dict[str, Any]] = []
        while body is not None:
            page = httpx.post(f"{address}/stac/search", json=body).json()
            items += page["features"]
            body = next((link["body"] for link in page["links"] if link["rel"] == "next"), None)
        assert {item["id"] for item in items} == everything
        assert len(items) == len(everything)
        values = [item["id"] if name == "id" else item["properties"].get(name) for item in items]
        there = [value for value in values if value is not None]
        assert there == sorted(there, reverse=order.startswith("-"))
        assert values == there + [None] * (len(values) - len(there))


def test_links_bear_the_public_address(centre: tuple[str, Store, Settings], tmp_path: Path) -> None:
    _, store, settings = centre
    app = FastAPI()
    include(app, Centre(settings.model_copy(update={"public_url": "https://muscate.example"}), store))
    with TestClient(app) as client:
        for path in ("/stac", "/stac/collections", "/stac/search?limit=2", "/stac/collections/muscate-l2a/items"):
            answer = client.get(path).json()
            hrefs = [link["href"] for link in answer["links"]]
            hrefs += [a["href"] for f in answer.get("features", []) for a in f["assets"].values()]
            assert all(href.startswith("https://muscate.example/") for href in hrefs)


def test_versions_of_a_date_lead_to_each_other(centre: tuple[str, Store, Settings]) -> None:
    address, store, _ = centre
    with store.read() as session:
        both = session.execute(
            sa.select(Product.sensing).where(Product.tile == "31TCJ").group_by(Product.sensing)
            .having(sa.func.count() == 2).limit(1)
        ).scalar_one()  # fmt: skip
        names = {
            version: name
            for version, name in session.execute(
                sa.select(Product.version, Product.identifier).where(Product.tile == "31TCJ", Product.sensing == both)
            )
        }
    leads = {}
    for version, name in names.items():
        item = httpx.get(f"{address}/stac/collections/{stac.ALL}/items/{name}").json()
        leads[version] = {link["rel"]: link for link in item["links"]}
    assert leads["V1_3"]["successor-version"]["title"] == leads["V1_3"]["latest-version"]["title"] == names["V1_4"]
    assert leads["V1_4"]["predecessor-version"]["title"] == names["V1_3"]
    assert httpx.get(leads["V1_3"]["successor-version"]["href"]).json()["id"] == names["V1_4"]


@pytest.mark.parametrize(
    "path", ["collections/landsat", "collections/landsat/items", f"collections/{stac.ALL}/items/x"]
)
def test_unknown_is_404(centre: tuple[str, Store, Settings], path: str) -> None:
    assert httpx.get(f"{centre[0]}/stac/{path}").status_code == 404


def test_assets_can_be_taken_whole_and_in_parts(centre: tuple[str, Store, Settings]) -> None:
    address, _, settings = centre
    item = pystac.Item.from_dict(httpx.get(f"{address}/stac/search", params={"limit": 1}).json()["features"][0])
    red = item.assets["SRE_B4"]
    assert "SIMULATED" not in (red.title or "")
    whole = httpx.get(red.href)
    assert len(whole.content) == red.extra_fields["file:size"]
    part = httpx.get(red.href, headers={"Range": "bytes=100-299"})
    assert (part.status_code, part.content) == (206, whole.content[100:300])
    etag = whole.headers["etag"]
    assert httpx.get(red.href, headers={"If-None-Match": etag}).status_code == 304
    changed = httpx.get(red.href, headers={"Range": "bytes=100-299", "If-Range": '"another"'})
    assert (changed.status_code, changed.content) == (200, whole.content)
    assert int(httpx.head(red.href).headers["content-length"]) == len(whole.content)
    # Reads parts of it; the program itself keeps GDAL off the network.
    network = {"GDAL_HTTP_PROXY": "", "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".tif"}
    with rasterio.Env(**network), rasterio.open(f"/vsicurl/{red.href}") as raster:
        assert raster.read(1).shape == (64, 64)
    picture = Image.open(io.BytesIO(httpx.get(item.assets["thumbnail"].href).content))
    assert picture.size == (256, 256)
    assert np.asarray(picture)[..., 3].any()
    package = zipfile.ZipFile(io.BytesIO(httpx.get(item.assets["package"].href).content))
    assert package.testzip() is None
    root = next(settings.archive.glob(f"*/*/{item.id}"))
    for name in package.namelist():
        assert package.read(name) == (root.parent / name).read_bytes()
    assert len(package.namelist()) == sum(path.is_file() for path in root.rglob("*"))


L1C = "S2A_MSIL1C_20170103T105442_N0204_R094_T31UER_20170103T105439"


def test_item_tells_what_the_metadata_tell(tmp_path: Path) -> None:
    """Of a product that the writer wrote: place and sun from its XML, sums from its manifest."""
    scene = product_scenes.scene()
    path = products.write(product_scenes.l2a(scene), scene, tmp_path, produced=product_scenes.PRODUCED)
    manifest = hashlib.sha256((path / "manifest.json").read_bytes()).hexdigest()
    row = Product(
        origin={},
        **{"identifier": path.name, "tile": "31UER", "platform": "S2A", "sensing": scene.sensing, "version": "V1_4"},
        **{"relative_orbit": 94, "revision": 0, "manifest_sha": manifest, "published": scene.sensing, "mode": "init"},
        **{"simulated": False, "valid": True, "current": True, "absent": []},
        **{"l1c": [L1C, "S2A_OPER_PRD_MSIL1C_PDMC_20151206T031351"]},
    )
    found = search.Found(row, None, True)
    item = stac.item("http://x", path, found, None, Around(verdict="suspect", baselines={L1C: "02.04"}))
    api.Item.model_validate(item)
    properties = item["properties"]
    assert properties["muscate:verdict"] == "suspect"
    assert properties["view:sun_elevation"] == pytest.approx(90 - 31.25, abs=0.01)
    assert "description" not in properties
    sources = [link["href"].rsplit("/", 1)[1] for link in item["links"] if link["rel"] == "derived_from"]
    assert [link.get("processing:version") for link in item["links"] if link["rel"] == "derived_from"] == ["02.04"]
    assert (properties["processing:version"], properties["version"]) == ("02.04", "V1_4")
    assert sources == [L1C]  # a package of several tiles is no item of Copernicus' catalogue
    with rasterio.open(path / products.names.file_path(path.name, "SRE_B4")) as raster:
        assert properties["proj:shape"] == [raster.height, raster.width]
        assert properties["proj:transform"] == list(raster.transform)[:6]
        assert properties["proj:bbox"] == list(raster.bounds)
        assert properties["proj:code"] == raster.crs.to_string()
    for asset in item["assets"].values():
        if "file:checksum" in asset:
            content = (path / asset["href"].split("/files/")[1]).read_bytes()
            assert asset["file:checksum"] == "1220" + hashlib.sha256(content).hexdigest()
    assert sum("file:checksum" in asset for asset in item["assets"].values()) > 30
    assert item["assets"]["SRE_B8A"]["bands"][0]["eo:center_wavelength"] == 0.865


def test_tile_across_the_antimeridian_is_cut_there() -> None:
    geometry, (west, south, east, north) = stac.footprint("01KAB")
    assert geometry["type"] == "MultiPolygon"
    longitudes = np.array([point[0] for part in geometry["coordinates"] for ring in part for point in ring])
    assert ((longitudes >= -180) & (longitudes <= 180)).all()
    assert west > 170
    assert -180 < east < -170
    assert south < north


_moments = st.datetimes(datetime(2015, 6, 1), datetime(2030, 1, 1), timezones=st.just(UTC))
_searches = st.builds(
    Search,
    tiles=st.sampled_from([(), ("31TCJ",), ("31TCJ", "40KCB")]),
    sites=st.sampled_from([(), ("alps",)]),
    area=st.sampled_from([None, search.rectangle(1, 43, 2, 44), search.rectangle(177, -20, -178, 4)]),
    first=st.none() | _moments,
    last=st.none() | _moments,
    changed_since=st.none() | _moments,
    published_since=st.none() | _moments,
    published_before=st.none() | _moments,
    versions=st.sampled_from([(), ("all",), ("V1_3",), ("V1_3", "V1_4")]),
    platforms=st.sampled_from([(), ("S2A",), ("S2A", "S2C")]),
    orbits=st.sampled_from([(), (51,), (51, 94)]),
    cloud=st.tuples(st.none() | st.integers(0, 50), st.none() | st.floats(50, 100)),
    aot=st.tuples(st.none(), st.none() | st.floats(0, 1)),
    flags=st.sampled_from([(), ("rain",), ("rain", "cirrus")]),
    simulated=st.sampled_from([None, True, False]),
    expressions=st.sampled_from(
        [
            (),
            (
                '{"args": [{"property": "version"}, "V1_3"], "op": "<>"}',
                '{"args": [{"property": "id"}], "op": "isNull"}',
            ),
        ]
    ),
    order=st.sampled_from(search.ORDERS),
)


def _given(address: str) -> dict[str, Any]:
    """The parameters of an address, as the web reads them."""
    return Searched(**dict(httpx.URL("http://x" + address).params)).given()


@given(wanted=_searches)
@hypothesis_settings(deadline=None, max_examples=150)
def test_address_of_a_search_asks_for_that_search(wanted: Search) -> None:
    """There and back: what the page shows as the query finds what the page finds."""
    if wanted.first and wanted.last and wanted.first > wanted.last:
        with pytest.raises(SearchError):
            stac.asked(_given(stac.address(wanted)))
        return
    back = stac.asked(_given(stac.address(wanted))).search
    everything = bool(wanted.versions)
    assert (back.area is None) == (wanted.area is None)
    assert wanted.area is None or back.area.equals(wanted.area)
    again = vars(back) | {"area": None, "withdrawn": False}
    assert again == vars(wanted) | {"area": None, "withdrawn": False}
    assert back.withdrawn == everything


def test_what_equals_is_what_a_reader_sees() -> None:
    """An item tells its figures to four decimals, and a search for one of them finds it."""
    test = {"op": "=", "args": [{"property": "eo:cloud_cover"}, "1.4692"]}
    least, most = stac.filtered(Search(), test).cloud
    assert least < 1.46923871 < most
    assert not least < 1.46931 < most


@pytest.mark.parametrize(
    ("body", "words"),
    [({"fields": None}, "fields is null"), ({"bbox": "100.0, 0.0, 105.0, 1.0"}, "bbox is a text")],
)
def test_what_a_body_may_not_hold_is_named(body: dict[str, Any], words: str) -> None:
    with pytest.raises(SearchError, match=words):
        stac.asked(body)


def test_between_is_read_as_drafts_wrote_it() -> None:
    asked = {"op": "between", "args": [{"property": "eo:cloud_cover"}, [0, 50]]}
    assert stac.filtered(Search(), asked).cloud == (0, 50)
    (kept,) = stac.filtered(Search(), {"op": "not", "args": [asked]}).expressions
    assert "between" in kept


@pytest.mark.parametrize(
    "include", [None, "assets", "assets.SRE_B4,id", "properties.platform", "-assets", "-assets.SRE_B4"]
)
def test_text_of_an_item_is_the_item(centre: tuple[str, Store, Settings], include: str | None) -> None:
    """As it is sent by a search, without being made an object, and what is left of it by itself."""
    address, store, settings = centre
    with store.read() as session:
        found = search.find(session, Search(), 3).found
        around = surroundings.around(session, [one.product for one in found])
    given = {"limit": "3", **({} if include is None else {"fields": include})}
    answers = httpx.get(f"{address}/stac/search", params=given).json()["features"]
    for one, answer in zip(found, answers, strict=True):
        item = stac.item(address, settings.archive / one.product.path, one, stac.CURRENT, around[one.product.id])
        assert answer == json.loads(json.dumps(stac.only(item, stac.asked(given).fields)))
        assert "SRE_B4" in item["assets"]


def test_strict_comparisons_leave_the_value_itself_out() -> None:
    at = datetime(2023, 8, 15, tzinfo=UTC)
    tests = [("<", "cloud"), (">", "cloud")]
    for operator, field in tests:
        found = stac.filtered(Search(), {"op": operator, "args": [{"property": "eo:cloud_cover"}, 10]})
        assert 10 not in getattr(found, field)
    after = stac.filtered(Search(), {"op": ">", "args": [{"property": "published"}, {"timestamp": at.isoformat()}]})
    assert after.published_since == at + timedelta(microseconds=1)
