"""What a date may take of the machine, and that a mode changes no pixel."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from processing.production import machine, processor
from processing.production.request import Request, Setup
from processing.simulation import simulate
from tests.rasters import digests


@pytest.mark.parametrize(
    ("free", "short", "lines"), [(None, False, 0), (3e9, False, 0), (2e9, True, 1), (5e8, True, 2)]
)
def test_the_low_memory_mode_is_taken_where_memory_is_short_and_told(
    free: float | None, short: bool, lines: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(machine, "available", lambda: free)
    with caplog.at_level(logging.WARNING):
        assert machine.is_short(1.0) is short
    assert len(caplog.records) == lines
    assert not machine.is_short(0.01)  # a crop fits anywhere


def test_something_is_there() -> None:
    assert machine.threads() >= 1
    free = machine.available()
    assert free is None or free > 0


def test_threads_and_memory_change_no_pixel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Noon(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime(2024, 7, 1, 12, tzinfo=UTC)

    monkeypatch.setattr(processor, "datetime", Noon)
    (package,) = simulate(tmp_path / "l1c", tile="31TCJ", dates=1, size=366, truth=False)
    sums = []
    for name, threads, low in (("one", 1, False), ("three", 3, False), ("low", 2, True)):
        staging = tmp_path / name
        staging.mkdir()
        setup = Setup(threads=threads, low_memory=low)
        made = processor.produce(Request([package], "31TCJ", "V1_4", staging, setup=setup))
        assert made.product is not None
        sums.append(digests(made.product, ".tif", ".jpg"))
        assert {path.name for path in staging.iterdir()} == {made.product.name, made.identifier + ".npz"}
    assert sums[0] == sums[1] == sums[2]
