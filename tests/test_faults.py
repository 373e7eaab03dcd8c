"""A centre gets over faults of the world around it by itself; `python -m benchmarks.faults` shows all of them."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from benchmarks import faults
from benchmarks.faults import NotHere, Stage


def shown(fault: str, home: Path, url: str = "", **given: float) -> faults.Result:
    """What became of a fault of the table."""
    (found,) = (one for one in faults.FAULTS if one.name == fault)
    home.mkdir()
    try:
        return found.run(home, url, **given)
    except NotHere as why:
        pytest.skip(f"{why}")


def test_packages_replaced_while_they_are_read_are_the_one_or_the_other(tmp_path: Path) -> None:
    assert shown("package replaced while it is read", tmp_path / "home").broken == []


@pytest.mark.slow
def test_whatever_the_chain_s_process_does_once_costs_no_date(tmp_path: Path) -> None:
    stage = Stage(tmp_path, dates=5, attempt_seconds=12.0, attempt_memory_gb=0.3)
    with contextlib.closing(stage):
        stage.queue("no memory", "glutton", "babble", "hang")
        result = stage.finish()
    assert result.whole, result
    kinds = {line.split(":")[0] for line in result.anomalies}
    assert kinds == {"infrastructure", "unknown"}


@pytest.mark.slow
def test_a_locked_database_is_waited_for(tmp_path: Path) -> None:
    result = shown("SQLite locked for 60 s", tmp_path / "home", scale=0.03)
    assert result.whole, result


@pytest.mark.slow
def test_a_disk_that_is_full_for_a_while_costs_no_date(tmp_path: Path) -> None:
    result = shown("disk full", tmp_path / "home")
    assert result.whole, result
    assert any(line.startswith("infrastructure") for line in result.anomalies)
