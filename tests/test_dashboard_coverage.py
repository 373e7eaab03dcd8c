"""Coverage: every tile counted, only changed ones sent again, exports, calendar, what the address can't mean."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import escape

import lxml.html
import numpy as np
import pandas as pd
import pytest
import shapely
import sqlalchemy as sa
from fastapi import FastAPI

from dashboard import api, dates, queries, theme, web_mercator
from dashboard.api import coverage as routes
from dashboard.pages import coverage
from processing import tiling
from processing.settings import Settings
from processing.sites import theia_tiles
from processing.store import Store
from processing.store.models import Acquisition, Attempt, Event, Granule, Job, Product, Quality
from tests.dashboard_archive import SITES, filled
from tests.test_dashboard_tiles import Http

TILES = [tile for _, _, owned in SITES for tile in owned]


def web(settings: Settings, store: Store) -> Http:
    app = FastAPI()
    app.include_router(coverage.router)
    centre = api.Centre(settings, store)
    centre.coverages = dates.Coverages(store, 0)
    api.include(app, centre)
    return Http(app)


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Http, Store]]:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    store = filled(settings, size=16)
    yield web(settings, store), store
    store.dispose()


def rows(answer: dict[str, object]) -> dict[str, dict[str, object]]:
    tiles = answer["tiles"]
    assert isinstance(tiles, dict)
    return {tile: dict(zip(routes.COLUMNS, row, strict=True)) for tile, row in tiles.items()}


def test_all_tiles_of_theia_and_of_the_store_are_there(centre: tuple[Http, Store]) -> None:
    found = rows(centre[0].get("/api/coverage/tiles").json())
    assert set(found) == {*theia_tiles(), *TILES}
    assert {tile for tile, row in found.items() if row["followed"]} == set(TILES)


def test_figures_are_those_of_the_store(centre: tuple[Http, Store]) -> None:
    http, store = centre
    found = rows(http.get("/api/coverage/tiles").json())
    with store.read() as session:
        told = queries.coverage(session).set_index("tile")
    for tile in TILES:
        row, want = found[tile], told.loc[tile]
        assert row["state"] == theme.state(want["state"])
        assert (row["dates"], row["day"]) == (want["dates"], f"{want['sensing']:%Y-%m-%d}")
        assert row["simulated"] is True
        assert row["site"] == want["site"]
    # 31TCJ has its first date in V1_3 only: it counts, once.
    assert found["31TCJ"]["products"] == 6 - 1
    assert found["31TCJ"]["version"] == "V1_4"


def test_a_period_counts_its_dates_alone(centre: tuple[Http, Store]) -> None:
    http, _ = centre
    whole = rows(http.get("/api/coverage/tiles").json())
    none = rows(http.get("/api/coverage/tiles", params={"first": "2019-01", "last": "2019-12"}).json())
    assert all(row["dates"] == 0 and row["state"] == "none" and row["delay"] is None for row in none.values())
    month = rows(http.get("/api/coverage/tiles", params={"first": "2023-08", "last": "2023-08"}).json())
    assert month["40KCB"]["dates"] == whole["40KCB"]["dates"] == 6
    of_version = rows(http.get("/api/coverage/tiles", params={"version": "V1_3"}).json())
    assert of_version["40KCB"]["dates"] == 0
    assert of_version["31TCJ"]["version"] == "V1_3"


@pytest.mark.parametrize(
    ("asked", "status"),
    [({"version": "V9"}, 404), ({"first": "soon"}, 422), ({"last": "2023-13"}, 422), ({"since": "x"}, 422)],
)
def test_what_means_nothing_is_refused_by_name(centre: tuple[Http, Store], asked: dict[str, str], status: int) -> None:
    answer = centre[0].get("/api/coverage/tiles", params=asked)
    assert answer.status_code == status
    assert next(iter(asked)) in answer.text or next(iter(asked.values())) in answer.text


def change(store: Store, tile: str, state: str, *, tell: bool) -> None:
    """Another state of the last date of a tile, with its event or without."""
    with store.write() as session:
        last = sa.select(Job).join(Acquisition, Job.acquisition_id == Acquisition.id).where(Acquisition.tile == tile)
        job = session.scalars(last.order_by(Job.sensing.desc(), Job.id.desc()).limit(1)).one()
        job.state = state
        if tell:
            session.add(Event(time=datetime.now(UTC), kind=state, severity="info", tile=tile, data={}))


@pytest.mark.parametrize("tell", [True, False], ids=["with its event", "without"])
def test_only_changed_tiles_are_sent_again(tmp_path_factory: pytest.TempPathFactory, tell: bool) -> None:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    store = filled(settings, dates=2, size=16)
    http = web(settings, store)
    seen = http.get("/api/coverage/tiles").json()["version"]
    for tile, state in (("40KCB", "held"), ("31TCJ", "failed"), ("40KCB", "ready")):
        assert http.get("/api/coverage/tiles", params={"since": seen}).json()["tiles"] == {}
        change(store, tile, state, tell=tell)
        answer = http.get("/api/coverage/tiles", params={"since": seen}).json()
        assert {t: row["state"] for t, row in rows(answer).items()} == {tile: theme.state(state)}
        assert answer["version"] == seen + 1
        assert f'data-snapshot="{seen + 1}"' in answer["age"]
        seen = answer["version"]
    fresh = dates.by_tile(dates.Coverages(store).latest())
    pd.testing.assert_frame_equal(dates.by_tile(http.app.state.centre.coverages.latest()), fresh)
    store.dispose()


def test_a_withdrawn_product_is_said(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    store = filled(settings, dates=1, size=16)
    http = web(settings, store)
    before = rows(http.get("/api/coverage/tiles").json())
    tile = next(tile for tile in TILES if before[tile]["state"] == "published")
    with store.write() as session:
        session.scalars(sa.select(Product).where(Product.tile == tile, Product.current)).first().valid = False
    after = rows(http.get("/api/coverage/tiles").json())[tile]
    assert after["state"] == "withdrawn"
    assert after["products"] == before[tile]["products"] - 1
    store.dispose()


def gap(store: Store, tile: str) -> datetime:
    """Makes nothing of a date between two others of a tile: a pass that should have come. Its time."""
    with store.write() as session:
        of_tile = sa.select(Acquisition).where(Acquisition.tile == tile).order_by(Acquisition.sensing)
        taken = session.scalars(of_tile).all()[2]
        time, mine = taken.sensing, sa.select(Job.id).where(Job.acquisition_id == taken.id)
        jobs = list(session.scalars(mine))
        products = list(session.scalars(sa.select(Product.id).where(Product.job_id.in_(jobs))))
        session.execute(sa.update(Product).where(Product.prev_product.in_(products)).values(prev_product=None))
        for table in (Product, Quality, Attempt):
            session.execute(sa.delete(table).where(table.job_id.in_(jobs)))
        for table in (Job, Granule):
            session.execute(sa.delete(table).where(table.acquisition_id == taken.id))
        session.execute(sa.delete(Acquisition).where(Acquisition.id == taken.id))
        return time


def test_a_pass_that_has_not_come_is_missing_everywhere(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    store = filled(settings, size=16)
    time = gap(store, "40KCB")
    http = web(settings, store)
    # Its satellite should have passed once more that month, after the last date of the archive.
    missing = [f"{time:%m-%d}", f"{time + timedelta(days=20):%m-%d}"]
    assert rows(http.get("/api/coverage/tiles", params={"last": "2023-08"}).json())["40KCB"]["missing"] == 2
    calendar = http.get("/api/coverage/calendar/40KCB").text
    assert f"{time:%Y-%m-%d}: Missing" in calendar
    assert re.findall(r"<th>Missing</th><td>\d+</td><td>([^<]*)", calendar)[0].split(", ")[:2] == missing
    months, tiles, counts = unpacked(http)
    assert counts[tiles.index("40KCB"), months.index("2023-08"), 2] == 2
    table = list(csv.DictReader(io.StringIO(http.get("/api/coverage/matrix?format=csv").text)))
    (cell,) = [c for c in table if c["tile"] == "40KCB" and c["month"] == "2023-08"]
    assert (cell["arrived"], cell["missing"]) == ("5", "2")
    store.dispose()


def unpacked(http: Http) -> tuple[list[str], list[str], np.ndarray]:
    answer = http.get("/api/coverage/matrix").json()
    months, tiles = answer["months"], answer["tiles"]
    counts = np.frombuffer(base64.b64decode(answer["counts"]), np.uint8).reshape(len(tiles), len(months), 3)
    return months, tiles, counts


def test_matrix_counts_every_date_once(centre: tuple[Http, Store]) -> None:
    http, store = centre
    months, tiles, counts = unpacked(http)
    assert sorted(tiles) == sorted(TILES)
    with store.read() as session:
        assert counts[:, :, 1].sum() == session.scalar(sa.select(sa.func.count(Acquisition.id)))
    assert (counts[:, :, 0] <= counts[:, :, 1]).all()
    assert "2023-08" in months


def test_exports_are_whole_and_in_place(centre: tuple[Http, Store]) -> None:
    http, _ = centre
    answer = http.get("/api/coverage/export")
    assert "coverage.csv" in answer.headers["content-disposition"]
    table = {row["tile"]: row for row in csv.DictReader(io.StringIO(answer.text))}
    assert set(table) == {*theia_tiles(), *TILES}
    assert table["31TCJ"]["products"] == "5"
    assert table["05KRA"]["delay_hours"] == ""
    features = http.get("/api/coverage/export", params={"format": "geojson"}).json()["features"]
    assert {f["id"] for f in features} == set(table)
    by_tile = {f["id"]: shapely.geometry.shape(f["geometry"]) for f in features}
    assert by_tile["31TCJ"].contains(shapely.Point(1.44, 43.60))  # Toulouse
    assert all(shape.is_valid and shape.exterior.is_ccw for shape in by_tile.values())
    of_site = list(csv.DictReader(io.StringIO(http.get("/api/coverage/export", params={"site": "Réunion"}).text)))
    assert [row["tile"] for row in of_site] == ["40KCB"]
    assert http.get("/api/coverage/export", params={"format": "shapefile"}).status_code == 422


@pytest.mark.slow
def test_map_as_a_file_needs_nothing_else(centre: tuple[Http, Store]) -> None:
    answer = centre[0].get("/api/coverage/export", params={"format": "html"})
    assert "coverage.html" in answer.headers["content-disposition"]
    assert "40KCB" in answer.text
    document = lxml.html.fromstring(answer.text)  # scripts of their own have tags in their texts
    asked = document.xpath("//script/@src | //link/@href | //img/@src")
    assert [address for address in asked if not address.startswith("data:")] == []


@pytest.mark.slow
def test_the_web_itself_does_not_import_geoviews() -> None:
    """Once it is imported Panel asks for its scripts on every page: it costs each reader, and is not served."""
    code = "import sys, dashboard.app; sys.exit('geoviews' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_ground_is_where_it_is(centre: tuple[Http, Store]) -> None:
    """Rings as steps give the tiles' outlines back to the metre that they are rounded to."""
    http, _ = centre
    tiles = http.app.state.centre.coverages.latest().tiles
    address = routes.ground_address(tiles)
    answer = http.get(address)
    assert "immutable" in answer.headers["cache-control"]
    assert "immutable" not in http.get("/browse/ground?v=other").headers["cache-control"]
    ground = answer.json()
    for tile in ("31TCJ", "40KCB"):
        ring = np.cumsum(np.reshape(ground["tiles"][tile], (-1, 2)), axis=0) * ground["unit"]
        np.testing.assert_allclose(ring, web_mercator.tile(tile), atol=ground["unit"])
    land = shapely.union_all([shapely.make_valid(shapely.Polygon(ring)) for ring in map(_points, ground["land"])])
    for place, dry in (((1.44, 43.60), True), ((-30.0, 40.0), False), ((2.35, 48.85), True)):
        point = web_mercator.project(np.array([place]))[0] / ground["unit"]
        assert land.contains(shapely.Point(point)) is dry
    assert len(answer.content) < 800_000


def _points(steps: list[int]) -> np.ndarray:
    return np.cumsum(np.reshape(steps, (-1, 2)), axis=0)


def data(text: str) -> dict[str, object]:
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    return dict(json.loads(found))


def test_page_begins_with_what_its_address_says(centre: tuple[Http, Store]) -> None:
    asked = {"colour": "delay", "site": "Toulouse", "version": "V1_4", "tile": "T31TCJ", "until": "2023-08"}
    answer = centre[0].get("/coverage", params={**asked, "span": "3", "year": "2023"})
    assert answer.status_code == 200
    chosen = data(answer.text)["chosen"]
    assert chosen == {**asked, "tile": "31TCJ", "span": 3, "year": 2023}
    assert "31TCJ in 2023" in answer.text
    assert "nothing of it was seen by a satellite" in answer.text
    assert '<option value="delay" selected>' in answer.text


@pytest.mark.parametrize(
    "asked",
    [
        *({"tile": "XXXXX"}, {"tile": "<b>"}, {"site": "Atlantis"}, {"version": "V9_9"}, {"colour": "mood"}),
        *({"until": "2023-13"}, {"until": "now"}, {"span": "7"}, {"year": "12"}),
    ],
    ids=lambda asked: "=".join(*asked.items()),
)
def test_unknown_names_in_the_address_are_said(centre: tuple[Http, Store], asked: dict[str, str]) -> None:
    answer = centre[0].get("/coverage", params=asked)
    assert answer.status_code == 404
    (value,) = asked.values()
    said = re.findall(r'role="alert"[^>]*>(.*?)</div>', answer.text)
    assert len(said) == 1
    assert escape(value).upper() in said[0].upper()
    assert data(answer.text)["tiles"]  # the map is there all the same


@pytest.mark.parametrize(
    ("until", "span", "months", "period"),
    [
        ("", 0, ["2023-08"], ("", "")),
        ("2024-01", 1, [], ("2024-01", "2024-01")),
        ("2024-01", 3, [], ("2023-11", "2024-01")),
        ("", 12, ["2023-08", "2023-12"], ("2023-01", "2023-12")),
        ("2024-01", 0, [], ("", "2024-01")),
        ("", 3, [], ("", "")),
    ],
)
def test_period_of_the_slider(until: str, span: int, months: list[str], period: tuple[str, str]) -> None:
    assert coverage.Asked(until=until, span=span).period(months) == period


def test_months_end_where_the_next_begins() -> None:
    assert dates.months("2023-12", "2023-12") == (
        datetime(2023, 12, 1, tzinfo=UTC).timestamp(),
        datetime(2024, 1, 1, tzinfo=UTC).timestamp(),
    )
    first, last = dates.months("2024-02", "2024-02")
    assert timedelta(seconds=last - first) == timedelta(days=29)


def test_every_state_has_words_a_colour_and_a_pattern_of_its_own() -> None:
    drawn = {**theme.STATES, **coverage.OTHER_STATES}
    assert set(coverage.PATTERNS) == set(drawn)
    plain = {state for state, pattern in coverage.PATTERNS.items() if pattern == "plain"}
    # Told apart without colours: published, none and absent differ by their lightness, the others by their pattern.
    assert plain == {"published", "none", "absent"}
    others = [pattern for state, pattern in coverage.PATTERNS.items() if state not in plain]
    assert len(set(others)) == len(others)


def test_calendar_of_a_tile_that_is_not_followed_or_none(centre: tuple[Http, Store]) -> None:
    http, _ = centre
    assert "does not follow" in http.get("/api/coverage/calendar/05KRA").text
    assert http.get("/api/coverage/calendar/XXXXX").status_code == 404
    shown = http.get("/api/coverage/calendar/31TCJ", params={"year": 2023}).text
    assert shown.count("/products?product=") == 5
    assert not tiling.valid("XXXXX")


def test_empty_centre_says_what_to_do_and_shows_theia(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = Settings(home=tmp_path_factory.mktemp("empty"))
    settings.make_folders()
    store = Store(settings.url)
    store.upgrade()
    answer = web(settings, store).get("/coverage")
    assert answer.status_code == 200
    assert str(settings.inbox.resolve()) in answer.text
    tiles = data(answer.text)["tiles"]
    assert isinstance(tiles, dict)
    assert set(tiles) == set(theia_tiles())
    store.dispose()
