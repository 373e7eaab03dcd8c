"""The page Quality without a server: from the queue to a kept verdict with one key."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import holoviews as hv
import numpy as np
import panel as pn
import pytest
import rasterio
from bokeh.events import SelectionGeometry
from fastapi import FastAPI

from dashboard import api, people, queries, theme
from dashboard.pages.products import Asked, Products
from dashboard.pages.quality import Quality
from dashboard.pages.quality_keys import REASON_KEYS
from dashboard.pages.quicklooks import NO_MASK
from dashboard.pages.versions import Versions
from dashboard.snapshot import Snapshots
from processing.people import Actor, Role
from processing.quality import queue
from processing.settings import Settings
from processing.store import Store, verdicts
from processing.store.models import REASONS, VERDICTS, Event, Product, ReferenceMask, Verdict
from processing.validation import reference_masks
from tests.dashboard_archive import filled
from tests.people import ANNA, BEN, scientist
from tests.test_dashboard_tiles import Http


@pytest.fixture(scope="module", autouse=True)
def _bokeh() -> None:
    hv.extension("bokeh")


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[tuple[Settings, Store]]:
    settings = Settings(home=tmp_path / "home", readers_act=True)
    store = filled(settings, size=64, dates=2)
    yield settings, store
    store.dispose()


def opened(centre: tuple[Settings, Store], by: Actor = ANNA, **params: object) -> Quality:
    settings, store = centre
    snapshot = Snapshots(store).latest()
    with people.acting(by):
        view = Quality(store, snapshot=snapshot, settings=settings, **params)
        view.draw()
    return view


def shown(view: pn.viewable.Viewer) -> str:
    return " ".join(pane.object for pane in view.__panel__().select(pn.pane.HTML) if pane.object and pane.visible)


def kept(store: Store) -> list[Verdict]:
    with store.read() as session:
        return session.query(Verdict).order_by(Verdict.id).all()


def press(view: Quality, *keys: str, by: Actor = ANNA) -> None:
    with people.acting(by):
        for key in keys:
            view.press(key, view.product)


def test_one_key_keeps_a_verdict_and_leads_to_the_next_product(centre: tuple[Settings, Store]) -> None:
    view = opened(centre)
    with centre[1].read() as session:
        order = [p.identifier for p in queue.proposals(session, "anna")]
    seen = []
    while view.product:
        seen.append(view.product)
        press(view, "g")
    assert seen == order
    assert "The queue is empty" in shown(view)
    assert [(v.verdict, v.reader) for v in kept(centre[1])] == [("good", "anna")] * len(order)


@pytest.mark.parametrize(
    ("second", "words"), [(False, "Every product of it has been judged"), (True, "No product waits")]
)
def test_an_empty_queue_says_so_and_asks_for_no_image(centre: tuple[Settings, Store], second: bool, words: str) -> None:
    """An image without an address fails, and Bokeh asks for it again and again."""
    view = opened(centre, tile="99XXX", queue=second)
    assert "The queue is empty" in shown(view)
    assert words in shown(view)
    assert not view.viewer.__panel__().visible


def test_the_next_products_are_named_ahead_and_a_short_queue_is_filled_again(
    centre: tuple[Settings, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "NEWEST", 3)
    view = opened(centre)
    with centre[1].read() as session:
        products = {p.identifier: p.manifest_sha[:12] for p in session.query(Product)}
    seen = []
    while view.product:
        seen.append(view.product)
        following = [p.identifier for p in view._proposals[1:3]]
        assert view.keys.ahead == [[name, products[name]] for name in following]
        press(view, "g")
    assert sorted(seen) == sorted(products)
    assert view.keys.ahead == []


def test_reasons_comment_and_areas_go_with_the_verdict_and_not_to_the_next(centre: tuple[Settings, Store]) -> None:
    view = opened(centre)
    first, extent = view.product, view.viewer._extent
    assert extent is not None
    x, y = extent.west + 100, extent.north - 100
    press(view, "1", "0", "4", "0")
    view.comment.value = "thin"
    left = view.viewer.figures[0]
    view.areas.mark(SelectionGeometry(left, {"type": "rect", "x0": x, "x1": x + 50, "y0": y - 40, "y1": y}, True))
    bow = {"type": "poly", "x": [x, x + 20, x + 20, x], "y": [y, y - 20, y, y - 20]}
    view.areas.mark(SelectionGeometry(left, bow, False))
    assert len(view.areas.shapes()) == 1
    view.areas.mark(SelectionGeometry(left, bow, True))
    assert "crossed itself: repaired" in shown(view)
    assert len(view.areas.shapes()) == 3  # the bow's two halves
    press(view, "d", "b")
    said = kept(centre[1])[0]
    assert (said.verdict, said.reasons, said.comment) == ("bad", ["false_cloud", "missed_shadow"], "thin")
    assert [len(a["geometry"]["coordinates"][0]) for a in said.areas] == [5, 4]
    assert view.product != first
    assert (view.reasons.value, view.comment.value, view.areas.shapes()) == ([], "", [])
    view.product = first
    assert "False cloud, Missed shadow" in shown(view)


def test_an_area_has_the_reason_chosen_before_it_was_drawn_or_first_after(centre: tuple[Settings, Store]) -> None:
    view = opened(centre)
    first, extent = view.product, view.viewer._extent
    assert extent is not None

    def draw() -> None:
        corners = {"x0": extent.west, "x1": extent.west + 50, "y0": extent.north - 50, "y1": extent.north}
        view.areas.mark(SelectionGeometry(view.viewer.figures[0], {"type": "rect", **corners}, True))

    def why() -> list[str | None]:
        return [reason for *_, reason in view.areas.shapes()]

    draw()
    assert why() == [None]
    press(view, "2")
    draw()
    press(view, "1")
    draw()
    assert why() == ["missed_cloud", "missed_cloud", "false_cloud"]
    press(view, "2")  # taken back
    assert why() == [None, None, "false_cloud"]
    press(view, "4", "b")
    said = kept(centre[1])[0]
    assert [area["reason"] for area in said.areas] == ["missed_shadow", "missed_shadow", "false_cloud"]
    draw()
    assert why() == [None]
    view.product = first
    assert "Missed shadow, Missed shadow, False cloud" in shown(view)


def test_a_mask_is_drawn_and_kept(centre: tuple[Settings, Store]) -> None:
    settings, store = centre
    view = opened(centre)
    press(view, "r")
    assert "Not kept: no area is drawn" in shown(view)
    extent = view.viewer._extent
    assert extent is not None
    x, y = extent.west, extent.north
    left = view.viewer.figures[0]
    for kind, offset in (("cloud", 0), ("area", 100), ("shadow", 200)):
        view.areas.kind.value = kind
        corners = {"x0": x + offset, "x1": x + offset + 40, "y0": y - 60, "y1": y}
        view.areas.mark(SelectionGeometry(left, {"type": "rect", **corners}, True))
    press(view, "r")
    assert "Kept as the reference mask" in shown(view)
    assert [kind for _, kind, _ in view.areas.shapes()] == ["area"]
    with store.read() as session:
        kept = reference_masks.newest(session)[0]
    assert view.product.startswith(kept.image)
    assert (kept.origin, kept.reader, kept.pixels["cloud"], kept.pixels["shadow"]) == ("drawn", "anna", 6, 6)
    with rasterio.open(settings.masks / kept.path) as raster:
        assert (raster.bounds.left, raster.bounds.top) == (x, y)
        assert (raster.read(1)[:3, :2] == reference_masks.VALUES["cloud"]).all()


def square(west: float, south: float, side: float, kind: str) -> dict[str, object]:
    ring = [[west, south], [west + side, south], [west + side, south + side], [west, south + side], [west, south]]
    return {
        "type": "Feature",
        "properties": {"class": kind},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }


def given(view: Quality, files: dict[str, bytes], classes: str) -> str:
    """What the page says of a mask that is imported."""
    view._chose("import:")
    view.files.param.update(filename=list(files), value=list(files.values()))
    view.classes.value = classes
    with people.acting(ANNA):
        asyncio.run(view._import())
    return str(view._notice.object)


def test_a_mask_is_imported_on_the_page(centre: tuple[Settings, Store]) -> None:
    settings, store = centre
    view = opened(centre, tile="31TCJ")
    west, _, _, north = (view.viewer.x_range.start, 0, 0, view.viewer.y_range.end)
    features = [square(west + 100, north - 300, 200, "nuage"), square(west + 400, north - 300, 100, "brume")]
    crs = {"type": "name", "properties": {"name": "EPSG:32631"}}
    document = {"type": "FeatureCollection", "features": features, "crs": crs}
    said = given(view, {"hand.geojson": json.dumps(document).encode()}, "cloud=nuage attribute=class")
    assert "Kept as the reference mask" in said
    assert "Class brume is not in the mapping: 25 pixels" in said
    with store.read() as session:
        (kept,) = session.query(ReferenceMask).all()
        assert (kept.origin, kept.reader, kept.pixels["cloud"]) == ("hand.geojson", "anna", 100)
        assert (settings.masks / kept.path).exists()


@pytest.mark.parametrize(
    ("files", "classes", "reader", "words"),
    [
        ({}, "cloud=1", "anna", "choose one GeoTIFF"),
        ({"a.dbf": b"", "a.shx": b""}, "cloud=1", "anna", "choose one GeoTIFF"),
        ({"a.geojson": b"{"}, "cloud=1", "anna", "a.geojson: is no GeoJSON"),
        ({"../../a.tif": b"no image"}, "cloud=1", "anna", "Not kept: a.tif: "),
        ({"a.geojson": b"{}"}, "clouds", "anna", "neither a TOML file"),
        ({"a.geojson": b"{}"}, "/etc/classes.toml", "anna", "is for the command"),
    ],
)
def test_a_mask_that_cannot_be_imported_says_why(
    centre: tuple[Settings, Store], files: dict[str, bytes], classes: str, reader: str, words: str
) -> None:
    view = opened(centre, scientist(reader))
    said = given(view, files, classes)
    assert "Not kept" in said
    assert words in said
    with centre[1].read() as session:
        assert not session.query(ReferenceMask).count()


def test_a_key_meant_for_the_product_before_is_dropped(centre: tuple[Settings, Store]) -> None:
    view = opened(centre)
    first = view.product
    with people.acting(ANNA):
        view.press("g", first)
        view.press("b", first)
    assert [v.verdict for v in kept(centre[1])] == ["good"]


def test_undo_goes_back_and_back(centre: tuple[Settings, Store]) -> None:
    view = opened(centre)
    first, left = view.product, len(view._proposals)
    press(view, "g")
    second = view.product
    press(view, "s", "u")
    assert view.product == second
    press(view, "u")
    assert view.product == first
    assert len(view._proposals) == left
    with centre[1].read() as session:
        assert verdicts.verdicts_of(session) == {}
    press(view, "u")
    assert "Nothing to undo" in shown(view)
    press(view, "b")
    assert view.product == second


def test_later_puts_a_product_at_the_end(centre: tuple[Settings, Store]) -> None:
    view = opened(centre)
    first = view.product
    press(view, "n")
    assert view.product != first
    assert view._proposals[-1].identifier == first


@pytest.mark.parametrize("by", [Actor("visitor", Role.PUBLIC, "test"), scientist(" ")])
def test_without_a_name_nothing_is_kept(centre: tuple[Settings, Store], by: Actor) -> None:
    view = opened(centre, by)
    press(view, "g", by=by)
    assert "Not kept:" in shown(view)
    assert kept(centre[1]) == []


def test_two_readers_at_the_queue_do_not_get_the_same_product(centre: tuple[Settings, Store]) -> None:
    anna, ben = opened(centre), opened(centre, BEN)
    assert anna.product == ben.product
    press(anna, "g")
    press(ben, "b", by=BEN)  # both are kept
    assert [(v.reader, v.verdict) for v in kept(centre[1])] == [("anna", "good"), ("ben", "bad")]
    assert ben.product == anna.product
    press(anna, "g")
    ben._next()
    assert ben.product == anna.product
    view = opened(centre, scientist("carl"), queue=True)
    assert len(view._proposals) == 2
    assert "Agreement of readers" in shown(view)


def test_layers_change_by_keys(centre: tuple[Settings, Store]) -> None:
    view = opened(centre)
    press(view, "v")
    assert view.viewer.mask == NO_MASK
    press(view, "v", "f")
    assert (view.viewer.mask, view.viewer.left) == ("CLM", "false")


@pytest.mark.parametrize("action", ["withdraw", "hold"])
def test_a_bad_verdict_may_act_where_the_centre_lets_it(centre: tuple[Settings, Store], action: str) -> None:
    settings, store = centre
    view = opened(centre)
    view.action.value = action
    first = view.product
    press(view, "g")
    second = view.product
    press(view, "1", "b")
    with store.read() as session:
        assert verdicts.product(session, first).valid
        assert verdicts.product(session, second).valid == (action == "hold")
        assert session.query(Event).filter(Event.kind == "withdrawn").count() == (action == "withdraw")
    press(view, "u")
    with store.read() as session:
        assert verdicts.product(session, second).valid
    view.settings = settings.model_copy(update={"readers_act": False})
    press(view, "b")
    assert "Not kept: readers may only judge here" in shown(view)
    with store.read() as session:
        assert verdicts.product(session, second).valid
        assert second not in verdicts.verdicts_of(session)


def test_verdicts_are_shown_on_the_other_pages(centre: tuple[Settings, Store]) -> None:
    settings, store = centre
    with store.write() as session:
        name = session.query(Product).filter(Product.version == "V1_4").first().identifier
        verdicts.keep(session, verdicts.product(session, name), "good", ANNA)
        verdicts.keep(session, verdicts.product(session, name), "bad", BEN)
    snapshot = Snapshots(store).latest()
    with people.acting(ANNA):
        parts = Products(store, snapshot, settings, Asked(product=name)).parts()
    assert "Good, anna" in parts["head"]
    assert parts["list"].count(theme.verdict_chip("bad")) == 1
    assert "Verdicts of readers" in Versions(snapshot).body()
    with store.read() as session:
        counted = queries.judged(session)
        every = verdicts.verdicts_of(session)
    assert counted["V1_4"]["bad"] == len(every) == 1
    of_frame = snapshot.products.groupby(["version", "verdict"]).size()
    assert {(version, said): n for version, of in counted.items() for said, n in of.items()} == of_frame.to_dict()


def test_every_word_of_the_store_has_its_own_key_and_text() -> None:
    assert list(theme.REASONS) == list(REASONS)
    assert [*theme.VERDICTS, "none"] == list(VERDICTS)
    assert set(REASON_KEYS.values()) == set(REASONS)


def test_exports_over_http(centre: tuple[Settings, Store]) -> None:
    settings, store = centre
    press(opened(centre), "b")
    app = FastAPI()
    api.include(app, api.Centre(settings, store))
    client = Http(app)
    table = client.get("/api/quality/verdicts.csv")
    assert table.headers["content-type"].startswith("text/csv")
    assert len(table.text.splitlines()) == 2
    features = client.get("/api/quality/verdicts.geojson")
    assert features.headers["content-type"] == "application/geo+json"
    assert features.json()["features"][0]["properties"]["verdict"] == "bad"


@pytest.mark.parametrize(
    ("corners", "crossing", "words"),
    [(40, True, "repaired"), (4_000, False, ""), (4_000, True, "Not taken"), (50_000, False, "Not taken")],
)
def test_a_line_of_many_corners_is_taken_soon_or_not(
    centre: tuple[Settings, Store], corners: int, crossing: bool, words: str
) -> None:
    view = opened(centre)
    extent = view.viewer._extent
    assert extent is not None
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    draw = np.random.default_rng(1)
    angles = draw.permutation(angles) if crossing else angles
    x, y = extent.west + 320 + 300 * np.cos(angles), extent.north - 320 + 300 * np.sin(angles)
    began = time.process_time()
    line = {"type": "poly", "x": x.tolist(), "y": y.tolist()}
    view.areas.mark(SelectionGeometry(view.viewer.figures[0], line, True))
    assert time.process_time() - began < 1
    assert words in shown(view)
    assert bool(view.areas.shapes()) == (words != "Not taken")


def test_a_corner_that_is_none_is_not_taken(centre: tuple[Settings, Store]) -> None:
    view = opened(centre)
    for drawn in (
        {"type": "rect", "x0": float("nan"), "x1": 1, "y0": 0, "y1": 1},
        {"type": "poly", "x": [0, 1, float("inf")], "y": [0, 1, 0]},
        {"type": "poly", "x": [0, 1, "a"], "y": [0, 1, 0]},
        {"type": "poly", "x": [0, 1], "y": [0, 1]},
        {"type": "nothing"},
    ):
        view.areas.mark(SelectionGeometry(view.viewer.figures[0], drawn, True))
    assert view.areas.shapes() == []
