"""The validation page: what it shows of results as `muscate validate` keeps them."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from PIL import Image
from sqlalchemy.orm import Session

from dashboard.app import create
from dashboard.pages import validation
from dashboard.pages import validation_charts as drawing
from dashboard.snapshot import Snapshots
from processing.people import Role
from processing.settings import Settings
from processing.store import Store, validations
from processing.store.models import Product
from processing.validation.aot import figures
from processing.validation.confusion import Confusion
from processing.validation.reflectance import figures_by_bin
from processing.validation.runs import sample
from tests.dashboard_archive import filled
from tests.people import entered


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
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    store = filled(settings, size=32)
    with store.write() as session:
        validations.record(session, results(session))
    yield settings, store
    store.dispose()


@pytest.fixture
def view(centre: tuple[Settings, Store]) -> validation.Validation:
    return shown(centre)


def shown(centre: tuple[Settings, Store], **asked: str) -> validation.Validation:
    return validation.Validation(Snapshots(centre[1]).latest(), validation.Asked(**asked))


#: A bar: where it leads, what it is, and how it is drawn.
BAR = re.compile(
    r'<(?:a href="(?P<href>[^"]*)" tabindex="-1"|i) title="(?P<method>[^\n]*)\n(?P<image>[^\n]*)\n(?P<value>[\d.]+) %\n'
    r'[^"]*" style="left:(?P<left>[\d.]+)%;width:(?P<width>[\d.]+)%;height:(?P<height>[\d.]+)%'
)


def charts(view: validation.Validation) -> list[pd.DataFrame]:
    """The bars of each chart."""
    found = []
    for chart in view.parts()["clouds"].split('class="chart groups"')[1:]:
        frame = pd.DataFrame([match.groupdict() for match in BAR.finditer(chart)])
        numbers = ["value", "left", "width", "height"]
        found.append(frame.assign(**{name: frame[name].astype(float) for name in numbers}))
    return found


def test_page_without_results_says_how_to_get_some(tmp_path: Any) -> None:
    settings = Settings(home=tmp_path)
    settings.make_folders()
    store = Store(settings.url)
    store.upgrade()
    body = shown((settings, store)).body()
    assert "muscate validate clouds" in body
    assert "<svg" not in body
    store.dispose()


def test_bars_stand_for_every_image_method_and_treatment(view: validation.Validation, centre: Any) -> None:
    with centre[1].read() as session:
        kept = [r for r in validations.results(session, "clouds") if r.subject == "valid"]
    drawn = charts(view)
    assert len(drawn) == 2  # as they are, and all grown alike
    for frame, buffer in zip(drawn, (None, 240.0), strict=True):
        mine = [r for r in kept if r.buffer == buffer]
        assert len(frame) == len(mine)
        for row in mine:
            bar = frame[(frame["method"] == row.method) & (frame["image"] == validation.short(row.image))]
            assert bar["value"].item() == pytest.approx(100 * row.metrics["overall_accuracy"], abs=0.006)
            assert bar["height"].item() == pytest.approx(bar["value"].item(), abs=0.01)
        for _, group in frame.groupby("image"):
            spans = group.sort_values("left")
            ends = (spans["left"] + spans["width"]).to_numpy()
            assert (spans["left"].to_numpy()[1:] >= ends[:-1]).all()  # none covers another
            assert ends[-1] <= 100


def test_every_bar_stands_in_a_table_too(view: validation.Validation) -> None:
    tables = re.findall("As a table</summary>(.*?)</details>", view.parts()["clouds"])
    for table, frame in zip(tables, charts(view), strict=True):
        values = re.findall(r'<td class="num">(?:<a href="([^"]*)">)?([\d.]+)', table)
        assert sorted(values) == sorted(
            (h, f"{v:.2f}") for h, v in zip(frame["href"].fillna(""), frame["value"], strict=True)
        )


def test_bars_begin_at_zero_or_say_where(centre: Any) -> None:
    zero, close = shown(centre), shown(centre, axis="close")
    assert "not at zero" not in zero.body()
    floors = [float(one) for one in re.findall(r"the axis begins at ([\d.]+) %, not at zero", close.body())]
    assert len(floors) == 2
    for frame, floor in zip(charts(close), floors, strict=True):
        assert 0 < floor < frame["value"].min()
        np.testing.assert_allclose(frame["height"], 100 * (frame["value"] - floor) / (100 - floor), atol=0.06)
        assert f">{floor:g}</span>" in close.body()


def test_figures_of_versions_are_numbers_that_sort_and_align(centre: Any) -> None:
    content = shown(centre, order="nothing").parts()["versions"]
    heads = re.findall(r"<th[^>]*><a[^>]*>([^<]+)</a>", content)
    assert heads == ["Versions", "What", "share new", "share old", "images"]
    assert '<td class="num">0.7100</td>' in content
    content = shown(centre, order="-share new", band="B2").parts()["versions"]
    assert re.search(r'aria-sort="descending" class=num><a href="/validation\?(\S+&amp;)?order=share\+new"', content)
    assert "band=B2" in content
    frame = pd.DataFrame({"What": ["<a>", "b", "c"], "images": [9, 100, 20], "bias": [0.5, -0.25, float("nan")]})
    for order, first in (("images", "9"), ("-images", "100"), ("bias", "100"), ("", "9")):
        rows = re.findall(r"<tr><td>.*?</tr>", validation.sorted_table(frame, order, {}))
        assert f'<td class="num">{first}</td>' in rows[0]
        assert len(rows) == 3
    assert "<a>" not in validation.sorted_table(frame, "", {})
    assert "–" in validation.sorted_table(frame, "", {})


def test_bar_leads_to_the_image_in_compare(view: validation.Validation, centre: Any) -> None:
    chart = charts(view)[0]
    with centre[1].read() as session:
        names = set(session.scalars(sa.select(Product.identifier)))
    of_images = chart[chart["image"] != "all"]
    for link in of_images["href"]:
        asked = parse_qs(urlsplit(html.unescape(link)).query)
        (left,), (right,) = asked["left"], asked["right"]
        assert {left, right} <= names
        assert left.rsplit("_D_")[0] == right.rsplit("_D_")[0]
    newest = of_images[of_images["method"] == "muscate V1_3"]
    assert newest["href"].str.contains("left=[^&]*V1-3").all()
    assert chart.loc[chart["image"] == "all", "href"].isna().all()


def test_choice_of_the_subject_draws_other_bars(centre: Any) -> None:
    assert not charts(shown(centre))[0].equals(charts(shown(centre, subject="cloud"))[0])
    assert "No method was judged on this" in shown(centre, subject="shadow").body()


@pytest.mark.parametrize("wrong", [{"subject": "<b>"}, {"reference": "nobody"}, {"axis": ""}, {"band": "B99"}])
def test_what_the_address_names_and_is_not_there_is_said(centre: Any, wrong: dict[str, str]) -> None:
    view = shown(centre, **wrong)
    assert f"{html.escape(next(iter(wrong.values())) or 'An empty word')} is no " in view.body()
    assert "<b>" not in view.parts()["faults"]


def test_aerosol_is_shown_beside_each_other(view: validation.Validation) -> None:
    air = view.parts()["air"]
    assert "B2/B4" in air
    assert "B1/B4" in air
    plots = re.findall("<svg.*?</svg>", air)
    kinds = ["image" if "<image" in plot else "dots" if 'class="dots"' in plot else "circle" for plot in plots]
    assert sorted(kinds) == ["circle", "circle", "image", "image"]  # many pairs as a density
    assert all("reference: AOT at 550 nm" in plot for plot in plots)


@pytest.mark.parametrize("count", [0, 7, drawing.TOLD + 1, drawing.DOTS + 1])
def test_a_point_lies_where_its_axes_say(count: int) -> None:
    """Of few each one; of many the pixel of the density, whose first row is the top."""
    points = np.full((count, 2), (0.375, 0.125)) + np.random.default_rng(1).uniform(0, 1e-6, (count, 2))
    svg = drawing.scatter(points, 0.5, ("along", "up"), [], "words")
    x = drawing.LEFT + 0.75 * (drawing.WIDTH - drawing.LEFT - drawing.RIGHT)
    y = drawing.HEIGHT - drawing.BOTTOM - 0.25 * (drawing.HEIGHT - drawing.TOP - drawing.BOTTOM)
    if count > drawing.DOTS:
        data = re.findall('data:image/png;base64,([^"]+)', svg)[0]
        image = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))
        assert image.shape == (drawing.CELLS, drawing.CELLS, 4)
        assert np.argwhere(image[..., 3]).tolist() == [[74, 75]]
    else:
        assert svg.count(f"{x:.1f},{y:.1f}") + svg.count(f'cx="{x:.1f}" cy="{y:.1f}"') == count
    assert svg.count("<circle") == (count if count <= drawing.TOLD else 0)


@pytest.mark.parametrize(("low", "high"), [(0, 0.53), (0, 1), (-0.003, 0.04), (0, 97), (0, 1e-6), (2, 3.7)])
def test_axes_have_round_ticks_within_their_ends(low: float, high: float) -> None:
    found = drawing.ticks(low, high)
    assert 3 <= len(found) <= 11
    assert low - 1e-9 <= found[0]
    assert found[-1] <= high * (1 + 1e-9)
    steps = np.diff(found)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-4)


def test_a_curve_has_a_gap_where_nothing_is_known() -> None:
    svg = drawing.curves([drawing.Line([(0, 1), (1, np.nan), (2, 3), (3, 1)], "red")], ("a", "b"), "words")
    path = re.findall('class="line" d="([^"]+)"', svg)[0]
    assert re.sub("[^ML]", "", path) == "MML"
    assert "nan" not in svg


def test_the_page_follows_its_address(centre: Any) -> None:
    with entered(create(centre[0].model_copy(update={"access": {"validation": Role.PUBLIC}}))) as client:
        page = client.get("/validation", params={"subject": "cloud", "order": "images"})
        assert page.status_code == 200
        assert '<option value="cloud" selected' in page.text
        assert '<input type="hidden" name="order" value="images">' in page.text
        assert client.get("/validation", params={"band": "B99"}).status_code == 404


def test_summary_has_the_best_in_bold(view: validation.Validation) -> None:
    rows = re.findall(r"<tr><td>(.*?)</td>(.*?)</tr>", view.body())
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


def test_only_the_aerosol_has_its_relation_and_its_limits(centre: Any) -> None:
    with centre[1].read() as session:
        rows = validations.results(session, "aot")
        words = {
            unit: "".join(validation.scatter_panels(rows, unit)) for unit in ("AOT at 550 nm", "water vapour [g cm⁻²]")
        }
    assert "B1/B4" in words["AOT at 550 nm"]
    assert "inside" in words["AOT at 550 nm"]
    assert "B1/B4" not in words["water vapour [g cm⁻²]"]
    assert "inside" not in words["water vapour [g cm⁻²]"]
