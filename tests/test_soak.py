"""Kills and freezes at random break no promise: in brief here, for as long as one likes by `muscate soak`."""

from __future__ import annotations

from pathlib import Path

import pytest

from processing.errors import WrongSetting
from processing.production.soak import Soak
from processing.store import Store
from tests.store_databases import postgres, url  # noqa: F401

# ruff: noqa: F811


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", [False, True])
def test_nothing_is_lost_doubled_or_out_of_order(tmp_path: Path, url: str, scheduler: bool) -> None:
    if scheduler and url.startswith("sqlite"):
        pytest.skip("a scheduler is for several hosts: they share a Postgres")
    soak = Soak(tmp_path, database_url=url, scheduler=scheduler, tiles=6, dates=10)
    report = soak.run(15.0, patience=120)
    assert report.broken == []
    assert report.published == 60
    assert sum(report.kills.values()) > 0
    if not scheduler:  # whose parts take long to come back: only a longer run bites there too
        assert report.lost + report.fenced > 0


def test_a_centre_that_is_used_is_left_alone(tmp_path: Path) -> None:
    first = Soak(tmp_path, tiles=1, dates=1)
    store = Store(first.settings.url)
    first._catalogue(store, [("31TCH", 0)])
    store.dispose()
    with pytest.raises(WrongSetting, match="not empty"):
        Soak(tmp_path)
