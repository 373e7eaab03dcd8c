"""A lost store comes back from the archive as it was, in all that manifests, journal and metadata hold."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from benchmarks.rebuild import Centre, contents, differing
from processing.errors import WrongSetting
from processing.naming import HELD, bare
from processing.production import journal
from processing.production import rebuild as rebuilding
from processing.production.rebuild import rebuild
from processing.settings import Settings
from processing.store import catalogue, checks, lease
from processing.store.models import Acquisition, Event, Product
from tests.test_cli import muscate

NONE = timedelta()


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    """Two tiles of some dates in two versions; some made again, withdrawn, judged."""
    centre = Centre(tmp_path / "home")
    centre.fill(2, 5)
    yield centre
    centre.store.dispose()


def test_what_was_lost_comes_back(centre: Centre) -> None:
    with centre.store.read() as session:
        lost = contents(session)
    centre.lose()
    report = rebuild(centre.store, centre.settings)
    assert (report.left_out, report.again) == ([], [])
    with centre.store.read() as session:
        assert differing(lost, contents(session)) == []
        assert list(checks.violations(session)) == []
    with pytest.raises(WrongSetting, match="is not empty"):
        rebuild(centre.store, centre.settings)


def test_a_rebuilt_centre_goes_on_where_the_lost_one_was(centre: Centre) -> None:
    with centre.store.read() as session:
        newest = session.scalar(sa.select(sa.func.max(Product.sensing)))
    centre.lose()
    rebuild(centre.store, centre.settings)
    with centre.store.write() as session:
        assert lease.claim(session, "w", 60) is None
        for tile in session.scalars(sa.select(Product.tile).distinct()).all():
            catalogue.add(session, centre.arrival(tile, 5))
    centre.make_all()
    with centre.store.read() as session:
        (first,) = session.scalars(
            sa.select(Product).where(Product.sensing > newest, Product.version == "V1_4").limit(1)
        )
        assert (first.mode, first.previous_not_latest) == ("nominal", False)
        assert list(checks.violations(session)) == []


def test_a_folder_that_is_no_product_any_more_is_told_and_the_others_come_back(centre: Centre) -> None:
    with centre.store.read() as session:
        path = session.scalars(sa.select(Product.path).order_by(Product.id.desc())).first()
        count = session.scalar(sa.select(sa.func.count(Product.id)))
    (centre.settings.archive / str(path) / "manifest.json").write_text("{")
    centre.lose()
    report = rebuild(centre.store, centre.settings)
    assert report.products == count - 1
    (line,) = report.left_out
    assert str(path) in line
    assert report.again == []  # its date has a product in the other version


def test_the_command_rebuilds_without_a_journal_and_names_what_to_give_again(centre: Centre) -> None:
    with centre.store.read() as session:
        count = session.scalar(sa.select(sa.func.count(Product.id)))
    centre.lose()
    centre.store.dispose()
    shutil.rmtree(centre.settings.archive / journal.JOURNAL)
    stray = centre.settings.l1c / "31TCJ" / "S2A_MSIL1C_20240901T105326_N0510_R051_T31TCJ_20240901T125835.zip"
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"PK")
    done = muscate("rebuild-db", "--from-archive", "--json", home=centre.settings.home)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["products"], told["verdicts"], told["again"]) == (count, 0, [str(stray)])
    again = muscate("rebuild-db", "--from-archive", home=centre.settings.home)
    assert (again.returncode, len(again.stderr.splitlines())) == (1, 1)


def test_a_journal_that_was_cut_short_is_carried_on(centre: Centre) -> None:
    assert journal.export(centre.store, centre.settings) == 0  # too new
    journal.export(centre.store, centre.settings, settled=NONE)
    path = centre.settings.archive / journal.JOURNAL / "events.jsonl"
    whole = path.read_bytes()
    assert journal.export(centre.store, centre.settings, settled=NONE) == 0
    path.write_bytes(whole[:-40])
    assert journal.export(centre.store, centre.settings, settled=NONE) == 1
    path.write_bytes(path.read_bytes() + whole)  # another host wrote the same at once
    read = [line["id"] for line in journal.read(centre.settings, Event)]
    with centre.store.read() as session:
        assert read == list(session.scalars(sa.select(Event.id).order_by(Event.id)))


@pytest.mark.parametrize("ending", HELD)
def test_a_package_is_found_whatever_holds_it(tmp_path: Path, ending: str) -> None:
    settings = Settings(home=tmp_path)  # type: ignore[call-arg]
    name = "S2A_MSIL1C_20240901T105326_N0510_R051_T31TCJ_20240901T125835"
    assert bare(name + ending) == name
    package = settings.l1c / "31TCJ" / (name + ending)
    package.parent.mkdir(parents=True)
    (package if ending.endswith(".zip") else package / "zarr.json").parent.mkdir(exist_ok=True)
    (package if ending.endswith(".zip") else package / "zarr.json").write_bytes(b"abc")
    (package.parent / f"{name}5.SAFE").mkdir()
    when = datetime(2024, 9, 1, tzinfo=UTC)
    date = Acquisition(id=1, tile="31TCJ", datatake=when, sensing=when, first_seen=when, simulated=False)
    found = rebuilding._granule(settings, date, name, used=True)
    assert (found.path, found.bytes, found.state) == (f"31TCJ/{package.name}", 3, "usable")
