"""The pages without a server: what they show of a snapshot, and how their parts depend on each other."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import geoviews as gv
import holoviews as hv
import numpy as np
import pandas as pd
import panel as pn
import param
import pytest
from cartopy import crs as ccrs
from sqlalchemy.orm.attributes import set_committed_value

from dashboard import address, frame, layers, people, queries, theme, tiles, web_mercator
from dashboard.app import create
from dashboard.choice import Choice
from dashboard.pages import production, products, versions
from dashboard.snapshot import Snapshot, Snapshots
from processing import tiling
from processing.masks import Cloud, Geophysical
from processing.settings import Settings
from processing.store import Store
from processing.store.models import JOB_STATES, Product
from processing.versions import VERSIONS
from tests.dashboard_archive import SITES, filled
from tests.people import ADMIN, cookie, entered

TILES = [tile for _, _, owned in SITES for tile in owned]


@pytest.fixture(scope="module", autouse=True)
def _bokeh() -> None:
    hv.extension("bokeh")


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, Store]]:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    store = filled(settings, size=64)
    yield settings, store
    store.dispose()


@pytest.fixture
def snapshot(centre: tuple[Settings, Store]) -> Snapshot:
    return Snapshots(centre[1]).latest()


def shown(view: frame.View) -> str:
    """All HTML of a view."""
    view.draw()
    panes = [pane.object for pane in view.__panel__().select(pn.pane.HTML)]
    return " ".join(filter(None, panes + [one.content for one in view.__panel__().select(Choice)]))


def test_every_state_and_bit_has_a_word_and_a_colour() -> None:
    for state in JOB_STATES:
        assert theme.word(state)
        assert len(theme.colour(state)) == 7
    for kind, bits in (("CLM", Cloud), ("MG2", Geophysical)):
        assert {style.bit for style in theme.MASKS[kind]} == set(bits)
        assert len({style.colour for style in theme.MASKS[kind]}) == len(bits)
    assert len({theme.version_colour(version) for version in VERSIONS}) == len(VERSIONS)


def test_words_are_readable_on_their_colour() -> None:
    """Contrast of at least 4.5 to 1 (WCAG 2.2, AA), on the colours of states and on any other."""

    def luminance(code: str) -> float:
        linear = [((c / 255 + 0.055) / 1.055) ** 2.4 if c > 10 else c / 255 / 12.92 for c in theme.rgb(code)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    greys = [f"#{level:02x}{level:02x}{level:02x}" for level in range(256)]
    for colour in [*(colour for _, colour in (*theme.STATES.values(), *theme.VERDICTS.values())), *greys]:
        low, high = sorted((luminance(colour), luminance(theme.ink(colour))))
        assert (high + 0.05) / (low + 0.05) >= 4.5


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "5 s"), (600, "10 min"), (3 * 3600 + 720, "3 h 12 min"), (41 * 3600, "41 h"), (5 * 86400, "5 days")],
)
def test_durations_in_words(seconds: float, text: str) -> None:
    assert theme.duration(seconds) == text


def test_numbers_have_separators_and_gaps_are_dashes() -> None:
    assert theme.number(1234567) == "1\u202f234\u202f567"
    assert theme.number(None) == theme.number(float("nan")) == theme.duration(None) == theme.utc(None) == "–"


def test_production_page_tells_what_there_is(centre: tuple[Settings, Store], snapshot: Snapshot) -> None:
    text = production.Production(snapshot, centre[0]).body()
    assert "1 running, 1 waiting" in text
    assert text.count("SIMULATED") == len(snapshot.backlog.query("state != 'running'"))
    assert "/products?product=SENTINEL2" in text
    assert "AncillaryError" in text
    for period in production.PERIODS:
        text = production.Production(snapshot, centre[0], period).body()
        assert text.count(f"last {period}") >= 4  # the charts and the lists follow, not the figures alone


def test_empty_store_says_what_to_do(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    settings.make_folders()
    store = Store(settings.url)
    store.upgrade()
    snapshot = Snapshots(store).latest()
    inbox = str(settings.inbox.resolve())
    assert inbox in shown(products.Products(store, snapshot=snapshot, settings=settings))
    signed = cookie(settings, store)
    with entered(create(settings)) as client:
        client.cookies.set(**signed)
        for name in ("production", "failures", "versions"):
            assert inbox in client.get(f"/{name}").raise_for_status().text
    store.dispose()


def test_tiles_lie_on_the_map_where_they_lie_on_the_ground(snapshot: Snapshot) -> None:
    layer = layers.tile_layer(snapshot.coverage)
    assert len(layer.split()) == len(TILES)
    for polygon in layer.split(datatype="dictionary"):
        ring = web_mercator.tile(str(np.ravel(polygon["tile"])[0]))
        np.testing.assert_allclose(np.column_stack([polygon["x"], polygon["y"]])[: len(ring)], ring)
    # Toulouse: 1.44 E, 43.60 N
    x, y = web_mercator.project(np.array([[1.44, 43.60]]))[0]
    assert x == pytest.approx(160300, abs=200)
    ring = web_mercator.tile("31TCJ")
    assert ring[:, 0].min() < x < ring[:, 0].max()
    assert ring[:, 1].min() < y < ring[:, 1].max()


def test_map_is_made_of_geoviews_layers_in_its_own_projection(snapshot: Snapshot) -> None:
    drawn = layers.coverage_map(snapshot.coverage)
    countries, tile_layer = drawn
    assert isinstance(countries, gv.Path)
    assert isinstance(tile_layer, gv.Polygons)
    assert countries.crs == tile_layer.crs == ccrs.GOOGLE_MERCATOR
    plot = hv.renderer("bokeh").get_plot(drawn)
    data = plot.state.renderers[-1].data_source.data
    assert sorted(data["tile"]) == sorted(TILES)
    colours = {theme.colour(state) for state in snapshot.coverage["state"]}
    assert set(data.get("color", data.get("colour"))) == colours


def test_default_points_layer_renders() -> None:
    """Fails with cartopy 0.26 and GeoViews 1.15 (`lon_0`); while it fails the pin of cartopy has to stay."""
    hv.renderer("bokeh").get_plot(gv.Points([(1.44, 43.60)]))


def test_thousand_tiles_are_drawn_in_time(snapshot: Snapshot) -> None:
    names = [f"31T{column}{row}" for column in "CDEFG" for row in "GHJKLMN"]
    names += [f"{zone}N{column}{row}" for zone in (29, 32, 35, 38) for column in "RQS" for row in "EFGHJ"]
    names = [name for name in names if tiling.valid(name)]
    row = snapshot.coverage.iloc[0].to_dict()
    many = pd.DataFrame([row | {"tile": names[i % len(names)]} for i in range(1000)])
    layers.tile_layer(many)
    began = time.process_time()
    hv.renderer("bokeh").get_plot(layers.tile_layer(many).opts(**layers.TILES))
    assert time.process_time() - began < 6  # about 1.3 s on an idle core


def test_matrix_has_a_cell_a_site_and_version(centre: tuple[Settings, Store], snapshot: Snapshot) -> None:
    cells = versions.matrix(snapshot.progress, snapshot.known)
    assert list(cells.index) == sorted(name for _, name, _ in SITES)
    assert cells["V1_4"].sum() + cells["V1_3"].sum() == len(snapshot.products)
    assert (cells["V1_4"] <= cells["known"]).all()
    text = versions.Versions(snapshot).body()
    words = unescape(re.sub(r"<[^>]+>", "", text))  # some lead to the glossary
    for version in VERSIONS.values():
        assert version.summary[:30] in words
    assert "retired, not produced" in text
    assert "Never distributed" in text
    assert "Mixed versions" in text


def test_filters_of_the_list(centre: tuple[Settings, Store], snapshot: Snapshot) -> None:
    view = products.Products(centre[1], snapshot=snapshot, settings=centre[0])
    view.draw()

    def filtered() -> pd.DataFrame:
        with centre[1].read() as session:
            frame, count = queries.listed(session, view.wanted(), view.order, limit=10_000)
        assert count == len(frame)
        return frame

    assert len(filtered()) == len(snapshot.products)
    view.tile = "t31tc"
    assert set(filtered()["tile"]) == {"31TCJ"}
    view.version = "V1_3"
    assert set(filtered()["version"]) == {"V1_3"}
    view.param.update(tile="", version=products.ANY, site="Réunion", first="2023-08-10", last="2023-08-20")
    found = filtered()
    assert set(found["tile"]) == {"40KCB"}
    assert found["sensing"].min() >= pd.Timestamp("2023-08-10", tz="UTC")
    assert found["sensing"].max() < pd.Timestamp("2023-08-21", tz="UTC")
    view.param.update(site=products.ANY, first="", last="", cloud=0)
    assert (filtered()["cloud_percent"] <= 0).all()
    view.param.update(cloud=100, published=f"{snapshot.products['published'].max():%Y-%m-%d}")
    assert 0 < len(filtered()) <= len(snapshot.products)
    day = f"{snapshot.products['sensing'].iloc[0]:%Y-%m-%d}"
    view.param.update(published="", first=day, last=day)
    assert set(filtered()["sensing"].dt.strftime("%Y-%m-%d")) == {day}


@pytest.mark.parametrize("order", products.ORDERS)
def test_the_list_is_sorted_and_its_pages_hold_each_product_once(
    centre: tuple[Settings, Store], snapshot: Snapshot, order: str
) -> None:
    view = products.Products(centre[1], snapshot=snapshot, settings=centre[0], order=order)
    seen: list[str] = []
    for number in range(20):
        view.page = number
        view.draw()
        links = re.findall('data-choice="product:([^"]+)"', view._list.content)
        if not links:
            break
        seen += links
    assert sorted(seen) == sorted(snapshot.products["identifier"])
    column = {"cloud": "cloud_percent"}.get(order.removeprefix("-"), order.removeprefix("-"))
    values = snapshot.products.set_index("identifier")[column].loc[seen].dropna().tolist()
    assert values == sorted(values, reverse=order.startswith("-"))
    assert f'aria-sort="{"descending" if order.startswith("-") else "ascending"}"' in view._list.content or (
        "published" in order
    )
    for forged in ("product", "order:size", "page:-1", "page:x", "cloud:900", "site:<b>", "_store:1", "nothing:1"):
        view._chose(forged)
    assert (view.order, view.site) == (order, products.ANY)


def test_next_and_previous_date_keep_the_place(centre: tuple[Settings, Store], snapshot: Snapshot) -> None:
    series = snapshot.products.query("tile == '31TCJ' and version == 'V1_4'").sort_values("sensing")["identifier"]
    view = products.Products(centre[1], snapshot=snapshot, settings=centre[0], product=series.iloc[0])
    view.draw()
    viewer = view._viewer
    viewer.x_range.update(start=1, end=2)
    view._go("after")
    assert view.product == series.iloc[1]
    assert (viewer.x_range.start, viewer.x_range.end) == (1, 2)
    assert series.iloc[1] in viewer.renderers["left"].tile_source.url
    view._go("before")
    view._go("before")
    assert view.product == series.iloc[0]
    other = snapshot.products.query("tile == '40KCB'")["identifier"].iloc[0]
    view.product = other
    assert viewer.x_range.start != 1


def test_both_views_share_their_ranges_and_lattice(centre: tuple[Settings, Store], snapshot: Snapshot) -> None:
    view = products.Products(centre[1], snapshot=snapshot, settings=centre[0])
    view.draw()
    viewer = view._viewer
    left, right = viewer.figures
    assert left.x_range is right.x_range
    assert left.y_range is right.y_range
    sources = [renderer.tile_source for renderer in viewer.renderers.values()]
    assert len({(s.x_origin_offset, s.y_origin_offset, s.initial_resolution, s.tile_size) for s in sources}) == 1
    source, extent = sources[0], viewer._extent
    assert extent is not None
    assert -source.x_origin_offset == extent.west
    # The north edge of level 0's only tile is the product's.
    assert -source.y_origin_offset + tiles.SIZE * tiles.RESOLUTION0 == extent.north


def test_bits_and_masks_are_part_of_the_address(centre: tuple[Settings, Store], snapshot: Snapshot) -> None:
    view = products.Products(centre[1], snapshot=snapshot, settings=centre[0])
    view.draw()
    viewer = view._viewer
    source = viewer.renderers["mask"].tile_source
    assert f"bits={255 - Cloud.ANY}" in source.url
    viewer.bits = [int(Cloud.SHADOW)]
    assert "/CLM/" in source.url
    assert "bits=32" in source.url
    viewer.mask = "MG2"
    assert "/MG2/" in source.url
    assert "bits=255" in source.url
    viewer.mask = products.NO_MASK
    assert not viewer.renderers["mask"].visible


def test_a_product_says_what_it_was_made_from(
    centre: tuple[Settings, Store], snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, store = centre
    of_store = queries.detail

    def told(session: Any, name: str) -> queries.Detail | None:
        detail = of_store(session, name)
        assert detail is not None
        origin = {"aerosol_model": "continental: the <CAMS> file of the L1C can't be read"}
        set_committed_value(detail.product, "origin", origin)
        return detail

    monkeypatch.setattr(queries, "detail", told)
    text = shown(products.Products(store, snapshot=snapshot, settings=settings))
    assert "<th>Aerosol model</th><td>continental: the &lt;CAMS&gt; file of the L1C can&#x27;t be read</td>" in text


def test_unknown_or_lost_product_is_said(centre: tuple[Settings, Store], snapshot: Snapshot) -> None:
    settings, store = centre
    view = products.Products(store, snapshot=snapshot, settings=settings, product="<b>nobody</b>")
    text = shown(view)
    assert "is not a product of this centre" in text
    assert "<b>nobody</b>" not in text.replace("&lt;b&gt;nobody&lt;/b&gt;", "")
    elsewhere = Settings(home=settings.home / "elsewhere")
    view = products.Products(store, snapshot=snapshot, settings=elsewhere)
    assert "can't be shown" in shown(view)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"tile": "XXXXX"}, "XXXXX"),
        ({"tile": "33TWM"}, "No product is of tile 33TWM"),
        ({"tile": "31TCJ", "published": "1999-01-01"}, "No product fits the filter Published on 1999-01-01"),
        ({"tile": "40KCB", "version": "V1_3"}, "Without the filter Tile 40KCB there are"),
        ({"first": "soon"}, "From: soon is no day"),
        ({"last": "2023-02-30"}, "To: 2023-02-30 is no day"),
        ({"published": "yesterday"}, "Published on: yesterday is no day"),
    ],
)
def test_filters_that_leave_nothing_are_said_by_name(
    centre: tuple[Settings, Store], snapshot: Snapshot, asked: dict[str, str], said: str
) -> None:
    view = products.Products(centre[1], snapshot=snapshot, settings=centre[0], **asked)
    assert said in shown(view)
    whole = products.Products(centre[1], snapshot=snapshot, settings=centre[0], tile="31TCJ")
    assert 'role="alert"' not in shown(whole)


def test_choices_of_the_address_that_are_none_are_said() -> None:
    class Page(param.Parameterized):
        version: Any = param.Selector(default="All", objects=["All", "V1_4"])

    words = {"version": "version with products here"}
    assert address.unknown(Page(), {"version": "V9_9"}, words) == ["V9_9 is no version with products here: All, V1_4"]
    assert address.unknown(Page(), {"version": "V1_4", "tile": "x"}, words) == []
    assert "<b>" not in address.said(["<b>"])


@pytest.mark.parametrize(
    ("origin", "lines"),
    [
        (
            {"flat_reflectance": "absent: no terrain model"},
            [
                "Not made, as no terrain model was given: FRE, MG2.HIDDEN",
                "Not made, as V1_4 has no step for it in init mode: CLM.SHADOW",
            ],
        ),
        ({}, ["Not made, as V1_4 has no step for it in init mode: CLM.SHADOW, FRE, MG2.HIDDEN"]),
    ],
)
def test_what_was_not_made_has_its_true_reason(origin: dict[str, str], lines: list[str]) -> None:
    product = Product(absent=["MG2.HIDDEN", "CLM.SHADOW", "FRE"], origin=origin, version="V1_4", mode="init")
    assert products.not_made(product) == lines


def test_simulated_is_marked_on_every_page(centre: tuple[Settings, Store], snapshot: Snapshot) -> None:
    settings, store = centre
    view = products.Products(store, snapshot=snapshot, settings=settings)
    assert "SIMULATED" in shown(view)
    assert view._list.content.count("SIMULATED") == products.ROWS
    assert set(layers.tile_layer(snapshot.coverage).dimension_values("origin", expanded=False)) == {"SIMULATED"}
    with people.acting(ADMIN):
        page = frame.page("products", view, Snapshots(store))
    assert any("nothing of it was seen by a satellite" in p.object for p in page.main[0].select(pn.pane.HTML))
