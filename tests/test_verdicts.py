"""Verdicts of readers: kept in order whoever speaks at once, and taken back without losing anything."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from processing import tiling
from processing.errors import BadArea, UnknownName
from processing.store import Store, sites, verdicts
from processing.store.models import REASONS, Product, Verdict
from tests.people import ANNA, BEN, scientist
from tests.store_databases import postgres, url  # noqa: F401
from tests.test_store import add, run_all

# ruff: noqa: F811

GRID = tiling.grid("33TWM")


def square(west: float, north: float, side: float) -> dict[str, object]:
    """A square in the tile's projection, by its offset from the tile's north-west corner. [m]"""
    x, y = GRID.west + west, GRID.north - north
    ring = [[x, y], [x + side, y], [x + side, y - side], [x, y - side], [x, y]]
    return {"type": "Polygon", "coordinates": [ring]}


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """Two products of one tile."""
    store = Store(url)
    store.upgrade(explicit=True)
    with store.write() as session:
        sites.open_campaigns(session, ["V1_4"])
    for day in (0, 5):
        add(store, day)
    run_all(store)
    yield store
    store.dispose()


def names(store: Store) -> list[str]:
    with store.read() as session:
        return list(session.scalars(sa.select(Product.identifier).order_by(Product.sensing)))


def judge(store: Store, name: str, verdict: str, reader: str = "anna", **more: object) -> Verdict:
    with store.write() as session:
        return verdicts.keep(session, verdicts.product(session, name), verdict, scientist(reader), **more)  # type: ignore[arg-type]


def held(store: Store, *identifiers: str) -> dict[str, list[tuple[str, str]]]:
    with store.read() as session:
        found = verdicts.verdicts_of(session, identifiers or None)
        return {name: [(v.reader, v.verdict) for v in rows] for name, rows in found.items()}


def test_the_last_verdict_of_each_reader_holds_and_all_are_kept(store: Store) -> None:
    first, second = names(store)
    judge(store, first, "good")
    judge(store, first, "suspect", "ben", reasons=["aot"], comment=" hazy ")
    judge(store, first, "bad", reasons=["false_cloud", "edge", "edge"])
    judge(store, second, "good", "ben")
    assert held(store) == {first: [("ben", "suspect"), ("anna", "bad")], second: [("ben", "good")]}
    assert held(store, second) == {second: [("ben", "good")]}
    assert held(store, "nobody") == {}
    with store.read() as session:
        rows = session.scalars(sa.select(Verdict).order_by(Verdict.id)).all()
        assert [(r.verdict, r.reasons, r.comment) for r in rows] == [
            ("good", [], ""),
            ("suspect", ["aot"], "hazy"),
            ("bad", ["false_cloud", "edge"], ""),
            ("good", [], ""),
        ]
        assert all(r.time.utcoffset() == timedelta(0) for r in rows)
        assert verdicts.worst(verdicts.verdicts_of(session)[first]) == "bad"
    assert verdicts.worst([]) == ""


def test_taking_back_lets_what_was_said_before_hold_again(store: Store) -> None:
    name = names(store)[0]
    judge(store, name, "good", comment="clear")
    judge(store, name, "bad", reasons=["aot"])
    with store.write() as session:
        again = verdicts.take_back(session, verdicts.product(session, name), ANNA)
        assert again is not None
        assert (again.verdict, again.comment, again.reasons) == ("good", "clear", [])
    assert held(store) == {name: [("anna", "good")]}
    with store.read() as session:
        assert session.scalar(sa.select(sa.func.count(Verdict.id))) == 3


def test_taking_back_the_only_verdict_leaves_none(store: Store) -> None:
    name = names(store)[0]
    judge(store, name, "good")
    with store.write() as session:
        product = verdicts.product(session, name)
        assert verdicts.take_back(session, product, BEN) is None
        assert verdicts.take_back(session, product, ANNA) is not None
        assert verdicts.take_back(session, product, ANNA) is None
    assert held(store) == {}


def test_verdicts_at_once_are_all_kept_in_order(store: Store) -> None:
    name = names(store)[0]
    readers = [f"reader {i}" for i in range(12)]
    together = threading.Barrier(len(readers))

    def speak(reader: str) -> int:
        together.wait()
        return judge(store, name, "suspect" if int(reader.split()[1]) % 2 else "good", reader).id

    with ThreadPoolExecutor(len(readers)) as pool:
        ids = list(pool.map(speak, readers))
    assert len(set(ids)) == len(readers)
    assert {reader for reader, _ in held(store)[name]} == set(readers)
    with store.read() as session:
        rows = session.scalars(sa.select(Verdict).order_by(Verdict.id)).all()
        assert [row.id for row in rows] == sorted(ids)
        by_id = dict(zip(ids, readers, strict=True))
        assert [row.reader for row in rows] == [by_id[row.id] for row in rows]


@pytest.mark.parametrize(
    ("verdict", "reader", "more", "said"),
    [
        ("fine", "anna", {}, "'fine' is not one of good, suspect, bad"),
        ("bad", " ", {}, "name of its reader"),
        ("bad", "anna", {"reasons": ["ugly"]}, "ugly: not one of false_cloud"),
    ],
)
def test_words_that_make_no_verdict_are_refused(
    store: Store, verdict: str, reader: str, more: dict[str, object], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        judge(store, names(store)[0], verdict, reader, **more)
    assert held(store) == {}
    with pytest.raises(UnknownName, match="SENTINEL2X: no product"):
        judge(store, "SENTINEL2X", "good")


def test_areas_are_kept_in_the_tile_s_projection_and_cut_at_its_edge(store: Store) -> None:
    name = names(store)[0]
    areas = [{"geometry": square(1000, 1000, 500), "reason": "missed_cloud"}, {"geometry": square(-100, 0, 300)}]
    kept = judge(store, name, "bad", areas=areas)
    assert kept.crs == GRID.crs
    assert [a["reason"] for a in kept.areas] == ["missed_cloud", None]
    assert min(x for x, _ in kept.areas[1]["geometry"]["coordinates"][0]) == GRID.west
    assert all(reason in REASONS for a in kept.areas if (reason := a["reason"]))


@pytest.mark.parametrize(
    ("geometry", "said"),
    [
        (square(-900, 0, 300), "outside of the tile 33TWM"),
        (square(0, 0, 0), "is empty"),
        ({"type": "Polygon", "coordinates": []}, "is empty"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [2, 2], [2, 0], [0, 3], [0, 0]]]}, "crosses itself"),
        ({"type": "Point", "coordinates": [0, 0]}, "is a Point"),
        ({"type": "Polygone"}, "no GeoJSON"),
        (None, "no GeoJSON"),
    ],
)
def test_areas_that_can_t_be_kept_are_refused(store: Store, geometry: dict[str, object], said: str) -> None:
    with pytest.raises(BadArea, match=said):
        judge(store, names(store)[0], "bad", areas=[{"geometry": geometry}])
    assert held(store) == {}
