"""The pages without a server: what they show of a snapshot, and how their parts depend on each other."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
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
import sqlalchemy as sa
from cartopy import crs as ccrs

from dashboard import address, frame, layers, people, theme, tiles, web_mercator
from dashboard.app import create
from dashboard.pages import production, versions
from dashboard.pages.quality import Quality
from dashboard.pages.quicklooks import NO_MASK
from dashboard.pages.viewer import Viewer
from dashboard.snapshot import Snapshot, Snapshots
from processing import tiling
from processing.masks import Cloud, Geophysical
from processing.settings import Settings
from processing.store import Store, traffic
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


def test_production_page_tells_what_was_brought_and_of_which_quota(centre: tuple[Settings, Store]) -> None:
    now = datetime.now(UTC)
    with centre[1].write() as session:
        traffic.count(session, "cdse", now, 4_000_000_000, 500.0, 10**13)
        traffic.count(session, "cdse", now, 2_000_000_000, 100.0, 10**13)
        traffic.count(session, "cdse", now - timedelta(days=20), 9_200_000_000_000, 1.0, 10**13)
        traffic.count(session, "cdse", now - timedelta(days=31), 9_000_000_000_000, 1.0, 10**13)
        traffic.count(session, "mirror<b>", now, 1_000_000_000, 0.0)
    text = production.Production(Snapshots(centre[1]).latest(), centre[0]).body()
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall("<tr>(.*?)</tr>", text) if "Ago" not in row]
    (cdse,) = [row for row in rows if row[:1] == ["cdse"]]
    assert cdse[1:4] == ["6.0", "10.0", "9206.0"]
    assert cdse[4].startswith("92 %")
    assert "nearly used up" in cdse[4]
    (mirror,) = [row for row in rows if row[:1] == ["mirror&lt;b&gt;"]]
    assert mirror[1:] == ["1.0", "–", "1.0", "–"]


def test_empty_store_says_what_to_do(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    settings.make_folders()
    store = Store(settings.url)
    store.upgrade()
    inbox = str(settings.inbox.resolve())
    signed = cookie(settings, store)
    with entered(create(settings)) as client:
        client.cookies.set(**signed)
        for name in ("production", "failures", "versions", "products"):
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


def in_order(store: Store, tile: str) -> list[Product]:
    with store.read() as session:
        query = sa.select(Product).where(Product.tile == tile, Product.version == "V1_4").order_by(Product.sensing)
        return list(session.scalars(query))


def test_the_next_date_keeps_the_place(centre: tuple[Settings, Store]) -> None:
    settings, store = centre
    viewer, series = Viewer(), in_order(store, "31TCJ")
    assert viewer.show_product(series[0], settings.archive) == ""
    viewer.x_range.update(start=1, end=2)
    viewer.show_product(series[1], settings.archive)
    assert (viewer.x_range.start, viewer.x_range.end) == (1, 2)
    assert series[1].identifier in viewer.renderers["left"].tile_source.url
    viewer.show_product(in_order(store, "40KCB")[0], settings.archive)
    assert viewer.x_range.start != 1
    assert "can't be shown" in viewer.show_product(series[0], settings.archive / "elsewhere")


def test_both_views_share_their_ranges_and_lattice(centre: tuple[Settings, Store]) -> None:
    viewer = Viewer()
    viewer.show_product(in_order(centre[1], "31TCJ")[0], centre[0].archive)
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


def test_bits_and_masks_are_part_of_the_tiles_address(centre: tuple[Settings, Store]) -> None:
    viewer = Viewer()
    viewer.show_product(in_order(centre[1], "31TCJ")[0], centre[0].archive)
    source = viewer.renderers["mask"].tile_source
    assert f"bits={255 - Cloud.ANY}" in source.url
    viewer.bits = [int(Cloud.SHADOW)]
    assert "/CLM/" in source.url
    assert "bits=32" in source.url
    viewer.mask = "MG2"
    assert "/MG2/" in source.url
    assert "bits=255" in source.url
    viewer.mask = NO_MASK
    assert not viewer.renderers["mask"].visible


def test_choices_of_the_address_that_are_none_are_said() -> None:
    class Page(param.Parameterized):
        version: Any = param.Selector(default="All", objects=["All", "V1_4"])

    words = {"version": "version with products here"}
    assert address.unknown(Page(), {"version": "V9_9"}, words) == ["V9_9 is no version with products here: All, V1_4"]
    assert address.unknown(Page(), {"version": "V1_4", "tile": "x"}, words) == []
    assert "<b>" not in address.said(["<b>"])


def test_simulated_is_marked_on_every_page(centre: tuple[Settings, Store], snapshot: Snapshot) -> None:
    settings, store = centre
    assert set(layers.tile_layer(snapshot.coverage).dimension_values("origin", expanded=False)) == {"SIMULATED"}
    with people.acting(ADMIN):
        page = frame.page("quality", Quality(store, snapshot=snapshot, settings=settings), Snapshots(store))
    assert any("nothing of it was seen by a satellite" in p.object for p in page.select(pn.pane.HTML))


def test_the_opacity_of_a_mask_is_what_was_chosen() -> None:
    viewer = Viewer()
    viewer._chose("opacity:0.25")
    assert viewer.renderers["mask"].alpha == 0.25
    for none in ("opacity:", "opacity:2", "opacity:nan", "opacity:<b>"):
        viewer._chose(none)
    assert viewer.renderers["mask"].alpha == 0.25
