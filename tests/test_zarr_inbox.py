"""Stores in the drop box: one more kind of package, of the same acquisitions."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from processing.l1c import granules
from processing.production.ingest import ingest
from processing.production.series import process
from processing.production.watcher import Inbox
from processing.settings import Settings
from processing.simulation import simulate
from processing.store import Store
from processing.store.models import Granule, SeenFormat
from tests.audited import audited
from tests.eopf import write


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (package,) = simulate(tmp_path_factory.mktemp("safe"), tile="31TCJ", dates=1, size=120)
    return package


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path / "home")  # type: ignore[call-arg]
    settings.make_folders()
    return settings


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with audited(settings) as store:
        yield store


@pytest.mark.parametrize(("generation", "zipped"), [("A", True), ("B", False), ("C", False), ("C'", True)])
def test_a_store_is_taken_and_its_safe_is_a_duplicate(
    generation: str, zipped: bool, safe: Path, settings: Settings, store: Store
) -> None:
    dropped = write(safe, settings.inbox, generation, zipped=zipped)
    inbox = Inbox(settings, store)
    (result,) = [result for _ in range(2) for result in inbox.look()]
    assert result.accepted, result.reason
    assert not dropped.exists()
    with store.read() as session:
        (granule,) = session.query(Granule)
        assert granule.name == safe.stem
        assert [(seen.kind, seen.name) for seen in session.query(SeenFormat)] == [("EOPF Zarr", safe.stem)]
        (found,) = granules(settings.l1c / granule.path)
        assert found.identifier == safe.stem
    (again,) = ingest(settings, store, [safe])
    assert not again.accepted
    assert "already there" in str(again.reason)


@pytest.mark.parametrize("generation", ["A", "C"])
def test_a_store_of_another_name_is_a_duplicate_too(
    generation: str, safe: Path, settings: Settings, store: Store, tmp_path: Path
) -> None:
    (first,) = ingest(settings, store, [safe])
    named = write(safe, tmp_path, generation).rename(tmp_path / "S02MSIL1C_20240101T000000_0001_A000_T0AB.zarr")
    (second,) = ingest(settings, store, [named])
    assert first.accepted
    assert not second.accepted
    assert "already there" in str(second.reason)


@pytest.mark.slow
@pytest.mark.parametrize("generation", ["A", "C"])
def test_a_safe_and_its_store_are_one_date(generation: str, safe: Path, tmp_path: Path) -> None:
    stored = write(safe, tmp_path, generation)
    results = list(process([safe, stored], "V1_4", tmp_path / "out"))
    assert [r["status"] for r in results if r["l1c"] == stored.name] == ["rejected"]
    assert "is the same Level-1C as" in results[0]["reason"]
    assert len(results) == 2
    assert results[1]["status"] in ("valid", "not_valid")


def test_a_store_whose_root_is_not_there_yet_is_refused_by_it(
    safe: Path, settings: Settings, store: Store, tmp_path: Path
) -> None:
    growing = write(safe, tmp_path, "A")
    for name in (".zattrs", ".zgroup", ".zmetadata"):
        (growing / name).unlink()
    (result,) = ingest(settings, store, [growing])
    assert not result.accepted
    assert "without its root" in str(result.reason)
    shutil.rmtree(growing)
