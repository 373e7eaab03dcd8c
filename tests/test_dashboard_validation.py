"""The validation page: what it shows of results as `muscate validate` keeps them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import holoviews as hv
import numpy as np
import pandas as pd
import panel as pn
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from dashboard.pages import validation
from dashboard.snapshot import Snapshots
from processing.settings import Settings
from processing.store import Store, validations
from processing.store.models import Product
from processing.validation.aot import figures
from processing.validation.confusion import Confusion
from processing.validation.reflectance import figures_by_bin
from processing.validation.runs import sample
from tests.dashboard_archive import filled


def results(session: Session) -> list[dict[str, Any]]:
    """Of both versions of the archive's first tile and of another processor: masks, aerosol, reflectance, noise."""
    rng = np.random.default_rng(2)
    named = session.scalars(sa.select(Product.identifier).where(Product.tile == "31TCJ").order_by(Product.sensing))
    images = list(dict.fromkeys(name.rsplit("_D_", 1)[0] for name in named))
    rows: list[dict[str, Any]] = []

    def add(kind: str, subject: str, version: str | None, reference: str, image: str | None, **more: Any) -> None:
        method = more.pop("method", f"muscate {version}")
        empty = {"buffer": None, "ring": None, "command": "muscate validate"}
        about = {"kind": kind, "subject": subject, "method": method, "version": version, "reference": reference}
        rows.append(empty | about | {"image": image} | more)

    for place, (method, version) in enumerate((("muscate V1_4", "V1_4"), ("muscate V1_3", "V1_3"), ("Sen2Cor", None))):
        for subject in ("valid", "cloud"):
            for buffer in (None, 240.0):
                total = Confusion()
                for image in images:
                    wrong = int(rng.integers(10, 60) * (1 + place) / (1 + (buffer is not None)))
                    one = Confusion(300, wrong, wrong // 2, 700 - wrong)
                    total += one
                    add(
                        "clouds",
                        subject,
                        version,
                        "hand-made",
                        image,
                        method=method,
                        buffer=buffer,
                        metrics=one.metrics(),
                    )
                add(
                    "clouds", subject, version, "hand-made", None, method=method, buffer=buffer, metrics=total.metrics()
                )
    for version, bias in (("V1_1", 0.06), ("V1_3", 0.01)):
        known = rng.uniform(0.05, 0.6, len(images))
        found = known + bias + rng.normal(0, 0.03, known.size)
        for image, a, b in zip(images, known, found, strict=True):
            add("aot", "aot", version, "AERONET Toulouse", image, metrics={"reference": a, "found": b})
        add("aot", "aot", version, "AERONET Toulouse", None, metrics=figures(found, known))
        known = rng.uniform(0.05, 0.6, 40_000)
        found = known + bias + rng.normal(0, 0.03, known.size)
        add("aot", "aot", version, "truth", None, metrics=figures(found, known) | {"sample": sample(known, found)})
        for band in ("B2", "B4"):
            known = rng.uniform(0, 0.4, 5000)
            table = figures_by_bin(known + rng.normal(bias / 10, 0.005, known.size), known)
            add("reflectance", band, version, "truth", None, metrics=table["all"] | {"bins": table})
            noise = {"noise": 0.004, "noise_quantile_95": 0.01, "triplets": 80}
            add("reflectance", band, version, "T31TCJ in time", None, metrics=noise)
    add("versions", "valid", "V1_4", "V1_3", None, metrics={"share_new": 0.71, "share_old": 0.69, "images": 4})
    return rows


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, Store]]:
    hv.extension("bokeh")
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    store = filled(settings, size=32)
    yield settings, store
    store.dispose()


@pytest.fixture(scope="module")
def view(centre: tuple[Settings, Store]) -> validation.Validation:
    settings, store = centre
    with store.write() as session:
        validations.record(session, results(session))
    view = validation.Validation(store, snapshot=Snapshots(store).latest(), settings=settings)
    view.draw()
    return view


def text(view: validation.Validation) -> str:
    return " ".join(p.object for p in view.__panel__().select(pn.pane.HTML) if p.object and p.visible)


def drawings(view: validation.Validation) -> list[Any]:
    return [pane.object for pane in view.__panel__().select(pn.pane.HoloViews)]


def test_page_without_results_says_how_to_get_some(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = Settings(home=tmp_path_factory.mktemp("empty"))
    settings.make_folders()
    store = Store(settings.url)
    store.upgrade()
    view = validation.Validation(store, snapshot=Snapshots(store).latest(), settings=settings)
    view.draw()
    assert "muscate validate clouds" in text(view)
    assert not drawings(view)
    store.dispose()


def test_bars_stand_for_every_image_method_and_treatment(view: validation.Validation, centre: Any) -> None:
    with centre[1].read() as session:
        kept = [r for r in validations.results(session, "clouds") if r.subject == "valid"]
    charts = [d for d in drawings(view) if isinstance(d, hv.Rectangles)]
    assert len(charts) == 2  # as they are, and all grown alike
    for chart, buffer in zip(charts, (None, 240.0), strict=True):
        frame = chart.dframe()
        mine = [r for r in kept if r.buffer == buffer]
        assert len(frame) == len(mine)
        for row in mine:
            bar = frame[(frame["method"] == row.method) & (frame["image"] == validation.short(row.image))]
            assert bar["y1"].item() == pytest.approx(100 * row.metrics["overall_accuracy"])
        assert (frame["y0"] < frame["y1"]).all()
        spans = frame.sort_values("x0")
        assert (spans["x0"].to_numpy()[1:] >= spans["x1"].to_numpy()[:-1]).all()  # none covers another


def test_bars_begin_at_zero_or_say_where(view: validation.Validation) -> None:
    def floors() -> list[float]:
        charts = [d for d in drawings(view) if isinstance(d, hv.Rectangles)]
        for chart in charts:
            lowest = hv.Store.lookup_options("bokeh", chart, "plot").kwargs["ylim"][0]
            assert (chart.dframe()["y0"] == lowest).all()
        return [chart.dframe()["y0"].min() for chart in charts]

    assert floors() == [0, 0]
    assert "not at zero" not in text(view)
    view.axis = "close"
    close = floors()
    assert min(close) > 0
    assert all(f"the axis begins at {floor:g} %, not at zero" in text(view) for floor in close)
    view.axis = "zero"


def test_figures_of_versions_are_numbers_that_sort_and_align(view: validation.Validation) -> None:
    content = view._sorted.content
    heads = re.findall(r"<th[^>]*><a[^>]*>([^<]+)</a>", content)
    assert heads == ["Versions", "What", "share new", "share old", "images"]
    assert '<td class="num">0.7100</td>' in content
    view._chose("order:-share new")
    assert re.search(
        r'aria-sort="descending" class=num><a href="/validation\?(\S+&amp;)?order=share\+new"', view._sorted.content
    )
    view._chose("order:nothing")
    assert "0.7100" in view._sorted.content
    view._chose("nothing")
    frame = pd.DataFrame({"What": ["<a>", "b", "c"], "images": [9, 100, 20], "bias": [0.5, -0.25, float("nan")]})
    for order, first in (("images", "9"), ("-images", "100"), ("bias", "100"), ("", "9")):
        rows = re.findall(r"<tr><td>.*?</tr>", validation.sorted_table(frame, order, {}))
        assert f'<td class="num">{first}</td>' in rows[0]
        assert len(rows) == 3
    assert "<a>" not in validation.sorted_table(frame, "", {})
    assert "–" in validation.sorted_table(frame, "", {})


def test_bar_leads_to_the_image_in_compare(view: validation.Validation, centre: Any) -> None:
    chart = next(d for d in drawings(view) if isinstance(d, hv.Rectangles)).dframe()
    with centre[1].read() as session:
        names = set(session.scalars(sa.select(Product.identifier)))
    of_images = chart[chart["image"] != "all"]
    for link in of_images["href"]:
        left, right = re.fullmatch(r"/compare\?left=(\S+)&right=(\S+)", link).groups()
        assert {left, right} <= names
        assert left.rsplit("_D_")[0] == right.rsplit("_D_")[0]
    newest = of_images[of_images["method"] == "muscate V1_3"]
    assert newest["href"].str.contains("left=[^&]*V1-3").all()
    assert (chart.loc[chart["image"] == "all", "href"] == "#").all()


def test_choice_of_the_subject_draws_other_bars(view: validation.Validation) -> None:
    before = next(d for d in drawings(view) if isinstance(d, hv.Rectangles)).dframe()
    view.subject = "cloud"
    assert not next(d for d in drawings(view) if isinstance(d, hv.Rectangles)).dframe().equals(before)
    view.subject = "shadow"
    assert "No method was judged on this" in text(view)
    view.subject = "valid"


def test_aerosol_is_shown_beside_each_other(view: validation.Validation) -> None:
    assert "B2/B4" in text(view)
    assert "B1/B4" in text(view)
    overlays = [d for d in drawings(view) if isinstance(d, hv.Overlay)]
    scatters = [d for d in overlays if not isinstance(d.get(0), hv.Curve)]
    kinds = [type(scatter.get(0)).__name__ for scatter in scatters]
    assert sorted(kinds) == ["Image", "Image", "Points", "Points"]  # many pairs as a density
    for scatter in scatters:
        hv.renderer("bokeh").get_plot(scatter)


def test_summary_has_the_best_in_bold(view: validation.Validation) -> None:
    rows = re.findall(r"<tr><td>(.*?)</td>(.*?)</tr>", text(view))
    rows = [(re.sub(r"<[^>]*>", "", title), cells) for title, cells in rows]  # words lead to the glossary
    aot = next(cells for title, cells in rows if title == "AOT against truth: RMSE")
    values = re.findall(r"<td[^>]*>(<b>)?([\d.]+)", aot)
    assert [float(v) for bold, v in values if bold] == [min(float(v) for _, v in values)]
    clear = next(cells for title, cells in rows if title.endswith("all grown to 240 m: overall accuracy"))
    values = re.findall(r"<td[^>]*>(<b>)?([\d.]+)", clear)
    assert [float(v) for bold, v in values if bold] == [max(float(v) for _, v in values)]


def test_sample_keeps_the_ends_of_the_distribution_and_no_more_than_asked() -> None:
    known = np.linspace(0, 1, 25_001)
    kept = sample(known, known + 0.1, most=1000)
    assert len(kept["reference"]) == len(kept["found"]) <= 1000
    assert kept["reference"][0] == 0
    assert kept["reference"][-1] > 0.99
    np.testing.assert_allclose(np.subtract(kept["found"], kept["reference"]), 0.1, atol=2e-4)


def test_a_scatter_leaves_room_for_the_words_of_its_axes() -> None:
    """A frame of its own size in a pane of fixed size pushes them out."""
    for points in (np.full((10, 2), 0.2), np.random.default_rng(3).uniform(0, 0.5, (5000, 2))):
        plot = hv.render(validation.scatter(points, 0.5, "AOT at 550 nm"))
        assert plot.xaxis[0].axis_label == "reference: AOT at 550 nm"
        assert (plot.width, plot.height, plot.frame_width, plot.frame_height) == (350, 330, None, None)


def test_only_the_aerosol_has_its_relation_and_its_limits(view: validation.Validation, centre: Any) -> None:
    with centre[1].read() as session:
        rows = validations.results(session, "aot")
        words = {
            unit: "".join(panel[0].object for panel in validation.scatter_panels(rows, unit))
            for unit in ("AOT at 550 nm", "water vapour [g cm⁻²]")
        }
    assert "B1/B4" in words["AOT at 550 nm"]
    assert "inside" in words["AOT at 550 nm"]
    assert "B1/B4" not in words["water vapour [g cm⁻²]"]
    assert "inside" not in words["water vapour [g cm⁻²]"]
