"""Which product to look at next, agreement of readers, and what is exported."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pyproj import Transformer
from shapely.geometry import shape
from typer.testing import CliRunner

from processing import tiling
from processing.cli import app
from processing.product import names
from processing.quality import export, queue
from processing.quality.agreement import agreements, kappa
from processing.settings import Settings
from processing.store import Store, validations, verdicts
from processing.store.models import Product
from tests.dashboard_archive import filled
from tests.people import scientist

FIRST = datetime(2023, 8, 1, 10, 50, 31, tzinfo=UTC)


def series(values: list[float], **more: object) -> list[queue.Figures]:
    """Dates five days apart, each with its AOT."""
    return [
        queue.Figures(i, f"P{i}", "31TCJ", "V1_4", "S2A", FIRST + timedelta(days=5 * i), aot=v, **more)  # type: ignore[arg-type]
        for i, v in enumerate(values)
    ]


def test_an_outlier_of_each_kind_comes_first_with_its_reason() -> None:
    calm = [replace(p, cloud=10.0, clear={"B4": 0.1}) for p in series([0.1] * 8)]
    for changes, reason in (
        ({"cloud": 80.0}, "cloud 80 %, its series 10 %"),
        ({"aot": 0.7}, "AOT 0.70, its series 0.10"),
        ({"clear": {"B4": 0.2}}, "B4 jumps by +0.100 against the dates around"),
        ({"accuracy": 0.7, "comparator": "SCL"}, "mask agrees with SCL on 70 % only"),
    ):
        dates = [replace(p, **changes) if p.product_id == 3 else p for p in calm]
        first = queue.rank(dates)[0]
        assert first.identifier == "P3"
        assert first.why[0] == reason
        assert first.score > queue.NAMED


def test_two_versions_that_differ_are_both_named() -> None:
    old, new = (
        queue.Figures(i, v, "31TCJ", v, "S2A", FIRST, cloud=c, aot=0.1)
        for i, (v, c) in enumerate((("V1_3", 40.0), ("V1_4", 10.0)))
    )
    reasons = {p.identifier: p.why for p in queue.rank([old, new])}
    assert reasons == {
        "V1_3": ("cloud differs by +30 % from V1_4",),
        "V1_4": ("cloud differs by -30 % from V1_3",),
    }


def test_a_steady_change_of_the_ground_is_no_jump() -> None:
    greening = [replace(p, clear={"B8": 0.2 + 0.03 * i}) for i, p in enumerate(series([0.1] * 8))]
    assert all(not p.why for p in queue.rank(greening))


def test_without_figures_the_newest_comes_first() -> None:
    assert [p.identifier for p in queue.rank(series([float("nan")] * 3))] == ["P2", "P1", "P0"]
    assert queue.rank([]) == []


@hypothesis_settings(deadline=None)
@given(st.lists(st.floats(0, 3), min_size=1, max_size=12), st.floats(0, 1))
def test_rank_loses_nothing_and_knows_no_offset(values: list[float], offset: float) -> None:
    ranked = queue.rank(series(values))
    assert sorted(p.product_id for p in ranked) == list(range(len(values)))
    assert [p.score for p in ranked] == sorted((p.score for p in ranked), reverse=True)
    moved = {p.product_id: p.score for p in queue.rank(series([v + offset for v in values]))}
    for proposal in ranked:
        assert moved[proposal.product_id] == pytest.approx(proposal.score, abs=1e-6)


# Cohen's kappa


def test_kappa_of_a_known_table() -> None:
    """Observed 0.7, by chance 0.5: (0.7 - 0.5) / 0.5."""
    assert kappa(np.array([[20, 5], [10, 15]])) == pytest.approx(0.4)


def test_kappa_of_cohen_s_own_table() -> None:
    """Cohen (1960), table 1: 200 persons, kappa 0.492."""
    assert kappa(np.array([[88, 14, 18], [10, 40, 10], [2, 6, 12]])) == pytest.approx(0.492, abs=5e-4)


TABLES = st.lists(st.integers(0, 30), min_size=9, max_size=9).map(lambda n: np.array(n).reshape(3, 3))


@given(TABLES)
def test_kappa_does_not_care_who_is_first_and_is_one_at_most(table: np.ndarray) -> None:
    found = kappa(table)
    assert found == (pytest.approx(kappa(table.T)) if found is not None else kappa(table.T))
    assert found is None or -1 <= found <= 1
    agreed = kappa(np.diag(np.diag(table)))
    assert agreed is None or agreed == pytest.approx(1)


def test_kappa_of_nothing_or_of_one_word_is_not_defined() -> None:
    assert kappa(np.zeros((3, 3), int)) is None
    assert kappa(np.diag([5, 0, 0])) is None


# On a centre


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[tuple[Settings, Store]]:
    settings = Settings(home=tmp_path / "home")
    store = filled(settings, size=64, dates=3)
    yield settings, store
    store.dispose()


def judge(store: Store, name: str, verdict: str, reader: str = "anna", **more: object) -> None:
    with store.write() as session:
        verdicts.keep(session, verdicts.product(session, name), verdict, scientist(reader), **more)  # type: ignore[arg-type]


def test_a_queue_holds_the_products_published_last_and_then_older_ones(
    centre: tuple[Settings, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, store = centre
    monkeypatch.setattr(queue, "NEWEST", 4)
    with store.read() as session:
        whole = [p.identifier for p in session.query(Product).order_by(Product.published.desc(), Product.id.desc())]
    seen: list[str] = []
    while True:
        with store.read() as session:
            queued = queue.proposals(session, "anna")
            assert not any(queue.taken(session, p.product_id) for p in queued)
        assert {p.identifier for p in queued} == set(whole[len(seen) : len(seen) + 4])
        if not queued:
            break
        for proposal in queued:
            judge(store, proposal.identifier, "good")
            with store.read() as session:
                assert queue.taken(session, proposal.product_id)
        seen += [p.identifier for p in queued]
    judge(store, whole[0], "none")
    with store.read() as session:
        assert [p.identifier for p in queue.proposals(session, "anna")] == whole[:1]


def test_a_queue_of_one_tile_is_ranked_as_in_the_whole(centre: tuple[Settings, Store]) -> None:
    _, store = centre
    with store.read() as session:
        whole = [p for p in queue.proposals(session, "anna") if "_T31TCJ" in p.identifier]
        assert queue.proposals(session, "anna", tile="31TCJ") == whole


def test_the_queue_leaves_out_what_is_judged_and_second_reading_is_of_others(centre: tuple[Settings, Store]) -> None:
    _, store = centre
    with store.write() as session:
        queued = queue.proposals(session, "anna")
        products = {p.id: p for p in session.query(Product)}
        assert {p.product_id for p in queued} == set(products)
        products[queued[-1].product_id].valid = False
    first, second = queued[0].identifier, queued[1].identifier
    judge(store, first, "good", "anna")
    judge(store, second, "bad", "ben")
    with store.read() as session:
        assert {first, second, queued[-1].identifier}.isdisjoint(p.identifier for p in queue.proposals(session, "anna"))
        assert [p.identifier for p in queue.proposals(session, "anna", second=True)] == [second]
        assert [p.identifier for p in queue.proposals(session, "ben", second=True)] == [first]
    judge(store, first, "none", "anna")
    with store.read() as session:
        assert first in {p.identifier for p in queue.proposals(session, "ben")}


def test_a_comparator_s_disagreement_reaches_the_queue(centre: tuple[Settings, Store]) -> None:
    _, store = centre
    with store.write() as session:
        product = session.query(Product).order_by(Product.sensing).first()
        assert product is not None
        row = {"kind": "clouds", "subject": "valid", "method": "muscate V1_4", "version": product.version}
        row |= {"image": names.series(product.platform, product.sensing, product.tile), "buffer": None, "ring": None}
        row |= {"reference": "s2cloudless", "metrics": {"overall_accuracy": 0.02}, "command": "x"}
        validations.record(session, [row])
    with store.read() as session:
        first = queue.proposals(session, "anna")[0]
    assert first.identifier == product.identifier
    assert "mask agrees with s2cloudless on 2 % only" in first.why


def test_readers_agree_as_counted_by_hand(centre: tuple[Settings, Store]) -> None:
    _, store = centre
    with store.read() as session:
        found = [p.identifier for p in session.query(Product).limit(4)]
    for name, anna, ben in zip(found, ("good", "good", "bad", "bad"), ("good", "bad", "bad", "suspect"), strict=True):
        judge(store, name, "suspect", "anna")
        judge(store, name, anna, "anna")
        judge(store, name, ben, "ben")
    judge(store, found[0], "good", "carl")
    with store.read() as session:
        pairs = {(a.first, a.second): a for a in agreements(session)}
    assert set(pairs) == {("anna", "ben"), ("anna", "carl"), ("ben", "carl")}
    both = pairs["anna", "ben"]
    assert both.table.tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 1]]
    assert both.observed == 0.5
    # by chance: (2 * 1 + 0 * 1 + 2 * 2) / 16
    assert both.kappa == pytest.approx((0.5 - 0.375) / 0.625)
    assert pairs["anna", "carl"].kappa is None


def test_exports_hold_the_areas_on_the_globe_and_in_the_tile(centre: tuple[Settings, Store]) -> None:
    _, store = centre
    with store.read() as session:
        product, other = session.query(Product).limit(2)
    grid = tiling.grid(product.tile)
    x, y = grid.west + 5000, grid.north - 7000
    ring = [[x, y], [x + 2000, y], [x + 2000, y - 1000], [x, y - 1000], [x, y]]
    area = {"geometry": {"type": "Polygon", "coordinates": [ring]}, "reason": "false_cloud"}
    judge(store, product.identifier, "good")
    judge(store, product.identifier, "bad", reasons=["false_cloud", "edge"], comment="=1+1, a\nb", areas=[area])
    judge(store, other.identifier, "good", "ben")
    with store.read() as session:
        table = list(csv.DictReader(io.StringIO(export.as_csv(session))))
        features = json.loads(export.as_geojson(session))["features"]
    assert [(r["verdict"], r["holds"], r["areas"]) for r in table] == [
        ("good", "False", "0"),
        ("bad", "True", "1"),
        ("good", "True", "0"),
    ]
    assert table[1]["reasons"] == "false_cloud edge"
    assert table[1]["comment"] == "'=1+1, a\nb"
    marked, whole = features
    assert marked["properties"]["crs"] == grid.crs
    assert marked["properties"]["area_reason"] == "false_cloud"
    in_tile, on_globe = shape(marked["properties"]["crs_geometry"]), shape(marked["geometry"])
    assert in_tile.area == pytest.approx(2e6)
    assert on_globe.exterior.is_ccw
    back = Transformer.from_crs("EPSG:4326", grid.crs, always_xy=True).transform(
        on_globe.centroid.x, on_globe.centroid.y
    )
    assert back == pytest.approx((x + 1000, y - 500), abs=1)
    assert whole["properties"]["whole"]
    assert shape(whole["properties"]["crs_geometry"]).area == pytest.approx(109_800**2)


def test_the_commands(centre: tuple[Settings, Store], tmp_path: Path) -> None:
    settings, store = centre

    def run(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, ["quality", *words, "--home", str(settings.home)])
        assert result.exit_code == code, result.output
        return result.output

    first = json.loads(run("queue", "--reader", "anna", "--json"))[0]["identifier"]
    run("judge", first, "bad", "--reader", "anna", "--reason", "false_cloud")
    run("judge", first, "bad", "--reader", "ben")
    assert "Invalid value: 'fine' is not one of" in run("judge", first, "fine", "--reader", "ben", code=2)
    assert first not in run("queue", "--reader", "anna", "--limit", "999")
    assert "anna, ben: 1 products, 100 % agreed, kappa not defined" in run("agreement")
    assert json.loads(run("agreement", "--json"))[0]["table"][2][2] == 1
    run("export", "--out", str(tmp_path / "out"))
    assert len((tmp_path / "out" / "verdicts.csv").read_text().splitlines()) == 3
    assert "withdrawn" in run("withdraw", first, "--reader", "anna", "--reason", "false cloud")
    with store.read() as session:
        assert not verdicts.product(session, first).valid
    assert "reinstated" in run("reinstate", first, "--reader", "anna")
