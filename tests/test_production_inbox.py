"""What is dropped into the inbox or given to `ingest`: taken whole, in order of time, or refused without loss."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from processing.errors import UnknownName, UnsafeArchive
from processing.l1c import packages
from processing.production import arriving, operations, watcher
from processing.production import ingest as ingest_module
from processing.production.ingest import Ingested, ingest
from processing.production.watcher import Inbox
from processing.settings import Settings
from processing.simulation import Series, simulate
from processing.store import Store, catalogue
from processing.store.models import Acquisition, Anomaly, Chain, Event, Granule, Job
from tests.audited import audited

DATES = ["20230810", "20230813", "20230815", "20230818", "20230820"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path / "home", pause_seconds=0)  # type: ignore[call-arg]
    settings.make_folders()
    return settings


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with audited(settings) as store:
        yield store
    assert list(settings.l1c.glob("*/.*")) == []


@pytest.fixture
def inbox(settings: Settings, store: Store) -> Inbox:
    return Inbox(settings, store)


def safe(folder: Path, date: str = DATES[0]) -> Path:
    return next(folder.glob(f"*_{date}T*.SAFE"))


def drop(package: Path, settings: Settings, name: str | None = None) -> Path:
    """A copy of its own, since tests spoil it."""
    target = settings.inbox / (name or package.name)
    return Path(shutil.copytree(package, target))


def zipped(package: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(package.rglob("*")):
            archive.write(path, path.relative_to(package.parent))
    return target


def content(package: Path) -> dict[str, str]:
    return {
        str(p.relative_to(package)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(package.rglob("*"))
        if p.is_file()
    }


def look(inbox: Inbox, times: int = 2) -> list[Ingested]:
    return [result for _ in range(times) for result in inbox.look()]


def left(settings: Settings) -> list[str]:
    return sorted(p.name for p in settings.inbox.iterdir() if p != settings.rejected)


def reason(settings: Settings, package: Path) -> str:
    return (settings.rejected / f"{package.name}.reason.txt").read_text()


# Taken


def test_dates_dropped_together_enter_in_order_of_time(
    inbox: Inbox, settings: Settings, store: Store, t33twm_small: Path
) -> None:
    for date in reversed(DATES):
        drop(safe(t33twm_small, date), settings)
    assert look(inbox, 1) == []  # not yet known to be whole
    results = look(inbox, 1)
    assert [r.accepted for r in results] == [True] * 5
    assert left(settings) == []
    with store.read() as session:
        acquisitions = session.query(Acquisition).order_by(Acquisition.id).all()
        assert [f"{a.sensing:%Y%m%d}" for a in acquisitions] == DATES
        assert {a.tile for a in acquisitions} == {"33TWM"}
        for granule in session.query(Granule):
            placed = settings.l1c / granule.path
            assert placed.parent.name == "33TWM"
            assert content(placed) == content(t33twm_small / placed.name)
        assert session.query(Job).count() == 5


def test_a_package_that_still_grows_is_left_alone(inbox: Inbox, settings: Settings, t33twm_small: Path) -> None:
    package = drop(safe(t33twm_small), settings)
    drop(safe(t33twm_small, DATES[1]), settings, ".hidden.SAFE")
    drop(safe(t33twm_small, DATES[2]), settings, "coming.zip.part")
    for number in range(4):
        (package / "more").write_text("x" * number)
        assert look(inbox, 1) == []
    (package / "more").unlink()
    assert [r.accepted for r in look(inbox)] == [True]
    assert left(settings) == [".hidden.SAFE", "coming.zip.part"]


def test_a_whole_package_waits_for_the_inbox_to_come_to_rest_but_not_for_ever(
    inbox: Inbox, settings: Settings, t33twm_small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(safe(t33twm_small), settings)
    growing = settings.inbox / ".coming"
    for number in range(3):
        growing.write_text("x" * number)
        assert look(inbox, 1) == []
    monkeypatch.setattr(watcher, "PATIENCE", 0.0)
    growing.write_text("x" * 9)
    assert [r.accepted for r in look(inbox, 1)] == [True]


def test_a_done_marker_says_that_a_package_is_whole(inbox: Inbox, settings: Settings, t33twm_small: Path) -> None:
    package = drop(safe(t33twm_small), settings)
    Path(f"{package}.done").touch()
    assert [r.accepted for r in look(inbox, 1)] == [True]
    assert left(settings) == []


def test_a_zip_a_link_and_a_folder_of_packages_are_taken(
    inbox: Inbox, settings: Settings, store: Store, t33twm_small: Path
) -> None:
    zipped(safe(t33twm_small), settings.inbox / (safe(t33twm_small).name.removesuffix(".SAFE") + ".zip"))
    linked = safe(t33twm_small, DATES[1])
    (settings.inbox / linked.name).symlink_to(linked.resolve())
    (settings.inbox / "order_17").mkdir()
    shutil.copytree(safe(t33twm_small, DATES[2]), settings.inbox / "order_17" / safe(t33twm_small, DATES[2]).name)
    before = content(linked)
    assert [r.accepted for r in look(inbox)] == [True] * 3
    assert left(settings) == []
    assert content(linked) == before
    with store.read() as session:
        assert all(not (settings.l1c / g.path).is_symlink() for g in session.query(Granule))


def test_an_ingest_stopped_before_it_cleared_the_inbox_is_completed(
    inbox: Inbox, settings: Settings, store: Store, t33twm_small: Path
) -> None:
    package = drop(safe(t33twm_small), settings)
    assert [r.accepted for r in ingest(settings, store, [package], "inbox")] == [True]
    look(inbox)
    assert left(settings) == []
    assert list(settings.rejected.iterdir()) == []


def test_what_a_killed_ingest_left_is_replaced(
    inbox: Inbox, settings: Settings, store: Store, t33twm_small: Path
) -> None:
    package = drop(safe(t33twm_small), settings)
    half = settings.l1c / "33TWM" / package.name
    half.mkdir(parents=True)
    (half / "half").touch()
    assert [r.accepted for r in look(inbox)] == [True]
    assert not (half / "half").exists()


# Refused


def spoil(package: Path, how: str) -> Path:
    band = next(package.glob("GRANULE/*/IMG_DATA/*_B03.jp2"))
    product = package / "MTD_MSIL1C.xml"
    if how == "truncated image":
        band.write_bytes(band.read_bytes()[:2000])
    elif how == "missing band":
        band.unlink()
    elif how == "missing XML":
        product.unlink()
    elif how == "malformed XML":
        product.write_bytes(product.read_bytes()[:500])
    elif how == "Level-2A":
        text = product.read_text().replace("Level-1C", "Level-2A").replace("S2MSI1C", "S2MSI2A")
        product.write_text(text.replace("Level-1C_User_Product", "Level-2A_User_Product"))
    elif how == "link inside":
        band.unlink()
        band.symlink_to("/etc/passwd")
    elif how == "truncated zip":
        archive = zipped(package, package.with_suffix(".zip"))
        archive.write_bytes(archive.read_bytes()[:-5000])
        shutil.rmtree(package)
        return archive
    elif how == "zip bomb":
        archive = package.with_suffix(".zip")
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr(f"{package.name}/MTD_MSIL1C.xml", b"0" * 30_000_000)
        shutil.rmtree(package)
        return archive
    elif how == "any file":
        shutil.rmtree(package)
        text_file = package.with_name("notes.txt")
        text_file.write_text("hello")
        return text_file
    return package


@pytest.mark.parametrize(
    "how",
    [
        "truncated image",
        "missing band",
        "missing XML",
        "malformed XML",
        "Level-2A",
        "link inside",
        "truncated zip",
        "zip bomb",
        "any file",
    ],
)
def test_a_bad_package_is_set_aside_whole_with_its_reason_and_the_others_go_on(
    inbox: Inbox, settings: Settings, store: Store, t33twm_small: Path, how: str
) -> None:
    bad = spoil(drop(safe(t33twm_small), settings), how)
    before = content(bad) if bad.is_dir() else bad.read_bytes()
    drop(safe(t33twm_small, DATES[1]), settings)
    results = look(inbox)
    assert sorted(r.accepted for r in results) == [False, True]
    assert left(settings) == []
    aside = settings.rejected / bad.name
    assert (content(aside) if aside.is_dir() else aside.read_bytes()) == before
    words = reason(settings, bad)
    assert words.count("\n") == 1
    assert bad.name in words
    with store.read() as session:
        assert session.query(Acquisition).count() == 1
        assert session.query(Event).filter(Event.kind == "refused").one().data["l1c"] == bad.name
        assert session.query(Anomaly).one().count == 1


def test_a_date_already_there_is_refused(inbox: Inbox, settings: Settings, t33twm_small: Path) -> None:
    drop(safe(t33twm_small), settings)
    look(inbox)
    for number in range(2):  # two of one name find their places
        package = drop(safe(t33twm_small), settings)
        assert [r.accepted for r in look(inbox)] == [False]
        assert "already there" in reason(settings, package)
        assert len(list(settings.rejected.glob("*.SAFE*"))) == 2 * (number + 1)


def test_a_full_disk_leaves_the_package_in_the_inbox(
    inbox: Inbox, settings: Settings, store: Store, t33twm_small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = drop(safe(t33twm_small), settings)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", full)
        (result,) = look(inbox)
        assert "No space left" in (result.reason or "")
        assert left(settings) == [package.name]
        assert list(settings.rejected.iterdir()) == []
    assert [r.accepted for r in look(inbox, 1)] == [True]


def test_a_fault_of_the_reader_stops_nobody(
    inbox: Inbox, settings: Settings, t33twm_small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ingest_module._read

    def read(path: Path) -> Any:
        if DATES[0] in path.name:
            raise ZeroDivisionError("division by zero")
        return real(path)

    monkeypatch.setattr(ingest_module, "_read", read)
    bad = drop(safe(t33twm_small), settings)
    drop(safe(t33twm_small, DATES[1]), settings)
    assert sorted(r.accepted for r in look(inbox)) == [False, True]
    assert "ZeroDivisionError" in reason(settings, bad)


# A copy that pauses, and sums beside a package


@pytest.fixture
def patient(settings: Settings, store: Store) -> Inbox:
    return Inbox(settings.model_copy(update={"pause_seconds": 60.0}), store)


def in_pieces(package: Path, target: Path, how: str) -> Path:
    """What is there of a package when its copy pauses."""
    if how == "zip":
        whole = zipped(package, target / f"{package.stem}.zip")
        (target / "rest").write_bytes(whole.read_bytes())
        whole.write_bytes(whole.read_bytes()[:-2000])
        return whole
    bands = sorted(package.glob("GRANULE/*/IMG_DATA/*.jp2"))
    part = Path(shutil.copytree(package, target / package.name))
    late = {
        "a band": bands[3],
        "the end of a band": bands[5],
        "the manifest and a band": bands[2],
        "the metadata": package / "MTD_MSIL1C.xml",
    }[how].relative_to(package)
    if how == "the end of a band":
        (part / late).write_bytes((part / late).read_bytes()[:100])
    else:
        (part / late).unlink()
    if how == "the manifest and a band":
        (part / "manifest.safe").unlink()
    return part


@pytest.mark.parametrize("how", ["zip", "a band", "the end of a band", "the manifest and a band", "the metadata"])
def test_a_copy_that_pauses_is_waited_for(
    patient: Inbox, settings: Settings, t33twm_small: Path, tmp_path: Path, how: str
) -> None:
    (tmp_path / "x").mkdir()
    part = in_pieces(safe(t33twm_small), tmp_path / "x", how)
    dropped = settings.inbox / part.name
    part.rename(dropped)
    drop(safe(t33twm_small, DATES[1]), settings)
    assert [(r.accepted, DATES[1] in r.name) for r in look(patient, 5)] == [(True, True)]
    assert left(settings) == [part.name]
    assert list(settings.rejected.iterdir()) == []
    if how == "zip":
        dropped.write_bytes((tmp_path / "x" / "rest").read_bytes())
    else:
        shutil.copytree(safe(t33twm_small), dropped, dirs_exist_ok=True)
    assert [r.accepted for r in look(patient)] == [True]


def test_what_never_comes_is_refused_in_the_end_and_a_marker_says_so_at_once(
    patient: Inbox, settings: Settings, t33twm_small: Path, tmp_path: Path
) -> None:
    part = in_pieces(safe(t33twm_small), settings.inbox, "a band")
    assert look(patient, 4) == []
    patient.settings = settings
    assert [r.accepted for r in look(patient, 1)] == [False]
    assert "missing" in reason(settings, part)
    patient.settings = settings.model_copy(update={"pause_seconds": 60.0})
    part = in_pieces(safe(t33twm_small, DATES[1]), settings.inbox, "a band")
    Path(f"{part}.done").touch()
    assert [r.accepted for r in look(patient, 1)] == [False]


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("beside", "line"),
    [("{0}.zip.md5", "{sum}"), ("{0}.md5", "{sum}  {name}"), ("{0}.zip.md5", "{SUM} *{name}"),
     ("{0}.md5", "MD5 ({name}) = {sum}")],
)  # fmt: skip
def test_sums_beside_a_zip_are_held_against_it(
    patient: Inbox, settings: Settings, t33twm_small: Path, beside: str, line: str
) -> None:
    package = zipped(safe(t33twm_small), settings.inbox / f"{safe(t33twm_small).stem}.zip")
    sum_ = md5(package)
    sums = settings.inbox / beside.format(package.stem)
    sums.write_text(line.format(sum=sum_, SUM=sum_.upper(), name=package.name) + "\n")
    assert [r.accepted for r in look(patient)] == [True]
    assert left(settings) == []


@pytest.mark.parametrize(
    ("said", "words"),
    [("0" * 32, f"its MD5 is .*, .* says {'0' * 32}"), ("who knows", "holds no MD5 sum"), ("", "holds no MD5 sum"),
     ("0" * 32 + "  other.zip", "sums of other files")],
)  # fmt: skip
def test_a_package_with_another_sum_is_refused(
    patient: Inbox, settings: Settings, t33twm_small: Path, said: str, words: str
) -> None:
    """Not while it may still be copied."""
    package = zipped(safe(t33twm_small), settings.inbox / f"{safe(t33twm_small).stem}.zip")
    Path(f"{package}.md5").write_text(said)
    assert look(patient, 3) == []
    patient.settings = settings
    assert [(r.accepted, r.bad) for r in look(patient, 1)] == [(False, True)]
    assert re.search(words, reason(settings, package))
    assert (settings.rejected / package.name).exists()


def test_sums_of_a_folders_files_are_held_against_it(patient: Inbox, settings: Settings, t33twm_small: Path) -> None:
    for date in DATES[:2]:
        package = drop(safe(t33twm_small, date), settings)
        files = [path for path in sorted(package.rglob("*")) if path.is_file()]
        lines = [f"{md5(path)}  {path.relative_to(settings.inbox)}" for path in files]
        Path(f"{package}.md5").write_text("\n".join(lines))
    band = next(package.glob("GRANULE/*/IMG_DATA/*_B03.jp2"))
    band.write_bytes(band.read_bytes() + b" ")
    assert [r.name for r in look(patient) if r.accepted] == [safe(t33twm_small).name]
    patient.settings = settings
    look(patient, 1)
    assert "B03.jp2: its MD5 is not" in reason(settings, package)


def endless(path: Path) -> Path:
    """A file of ten terabytes that takes no room on the disk."""
    with path.open("wb") as file:
        file.truncate(10**13)
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [("sums", "longer than sums are"), ("line", "holds no MD5 sum"), ("zip", "larger than"), ("folder", "larger than"),
     ("link", "is missing"), ("out", "is missing")],
)  # fmt: skip
def test_sums_beside_a_package_are_soon_judged(tmp_path: Path, kind: str, words: str) -> None:
    package, sums, sum_ = tmp_path / "a.SAFE", tmp_path / "a.SAFE.md5", "0" * 32
    package.mkdir()
    said = "".join(f"{number:032x}  a.SAFE/x\n" for number in range(1000))
    if kind == "zip":
        package.rmdir()
        endless(package)
    elif kind == "sums":
        endless(sums)
    elif kind == "folder":
        endless(package / "x")
    elif kind == "link":
        (package / "x").symlink_to("x")
    else:
        said = (
            f"{sum_}  ../a.SAFE/../{tmp_path.name}\n"
            if kind == "out"
            else f"{sum_} {'a ' * 300_000}\n{sum_}a{' ' * 10**6}x"
        )
    if kind != "sums":
        sums.write_text(said)
    began = time.process_time()
    assert words in arriving.fault_by(sums, package)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("kind", ["long", "many"])
def test_what_would_fill_the_disk_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    package = tmp_path / "a.SAFE"
    package.mkdir()
    if kind == "long":
        endless(package / "x")
    monkeypatch.setattr(ingest_module, "MAX_MEMBERS", 100 if kind == "long" else 0)
    (package / "y").touch()
    with pytest.raises(UnsafeArchive, match=r"10000\.0 GB, at most|more than 0 files"):
        list(ingest_module.files(package))


# From the command line


def test_ingest_leaves_the_files_of_the_user_as_they_are(
    settings: Settings, store: Store, t33twm_small: Path, tmp_path: Path
) -> None:
    given = Path(shutil.copytree(safe(t33twm_small), tmp_path / "mine" / safe(t33twm_small).name))
    before = content(given)
    missing = tmp_path / "nothing.SAFE"
    results = list(ingest(settings, store, [tmp_path / "mine", missing, given]))
    assert [(r.name, r.accepted) for r in results] == [(missing.name, False), (given.name, True), (given.name, False)]
    assert "no such file" in (results[0].reason or "")
    assert content(given) == before
    assert packages(tmp_path / "mine") == [given]


def test_ingest_copies_where_links_are_not_possible(
    settings: Settings, store: Store, t33twm_small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_device(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", other_device)
    given = safe(t33twm_small)
    assert [r.accepted for r in ingest(settings, store, [given])] == [True]
    assert content(settings.l1c / "33TWM" / given.name) == content(given)


@pytest.mark.parametrize("how", ["given", "a link in the inbox", "a second name"])
def test_whoever_writes_to_the_file_he_gave_changes_nothing_of_the_centre(
    inbox: Inbox, settings: Settings, store: Store, t33twm_small: Path, tmp_path: Path, how: str
) -> None:
    given = Path(shutil.copytree(safe(t33twm_small), tmp_path / "mine" / safe(t33twm_small).name))
    before = content(given)
    if how == "given":
        assert [r.accepted for r in ingest(settings, store, [given])] == [True]
    else:
        dropped = settings.inbox / given.name
        if how == "a second name":
            shutil.copytree(given, dropped, copy_function=os.link)
        else:
            dropped.symlink_to(given)
        assert [r.accepted for r in look(inbox)] == [True]
    for path in given.rglob("*.jp2"):
        with path.open("r+b") as file:
            file.write(b"spoilt")
    assert content(settings.l1c / "33TWM" / given.name) == before


def test_a_copy_keeps_times_and_bytes_where_blocks_can_not_be_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "given").write_bytes(bytes(range(256)) * 100)
    os.utime(tmp_path / "given", (1e9, 1e9))
    for number, shared in enumerate((True, False)):
        if not shared:
            monkeypatch.setattr(ingest_module, "FICLONE", 0)
        ingest_module._copied(tmp_path / "given", tmp_path / f"copy{number}")
        assert (tmp_path / f"copy{number}").read_bytes() == (tmp_path / "given").read_bytes()
        assert (tmp_path / f"copy{number}").stat().st_mtime == 1e9


def in_two_tiles(folder: Path, where: Path) -> list[Path]:
    """The dates of a series as they are, and as those of another tile by their names and metadata."""
    found = [Path(shutil.copytree(safe(folder, date), where / safe(folder, date).name)) for date in DATES[:3]]
    return found + sorted(simulate(where / "31TCJ", **(vars(Series("31TCJ")) | {"size": 36, "dates": 3})))


def test_a_tile_of_a_batch_is_due_when_its_own_last_package_is_catalogued(
    settings: Settings, store: Store, t33twm_small: Path, tmp_path: Path
) -> None:
    due: list[dict[str, int]] = []
    for result in ingest(settings, store, in_two_tiles(t33twm_small, tmp_path)):
        assert result.accepted, result.reason
        with store.read() as session:
            time = datetime.now(UTC)
            found = Counter(j.acquisition.tile for j in session.query(Job) if j.not_before <= time)
        due.append(dict(found))
    assert due == [{}, {}, {"31TCJ": 3}, {"31TCJ": 3}, {"31TCJ": 3}, {"31TCJ": 3, "33TWM": 3}]


def test_a_batch_that_is_cut_off_is_due_soon_and_one_that_goes_on_is_not(
    settings: Settings, store: Store, t33twm_small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is killed renews nothing: what he catalogued waits a minute at most."""
    monkeypatch.setattr(ingest_module, "RENEW_SECONDS", 0.2)
    going = ingest(settings, store, [t33twm_small])
    next(going)
    with store.read() as session:
        first = session.query(Job).one().not_before
    assert first <= datetime.now(UTC) + timedelta(seconds=ingest_module.BATCH_SECONDS)
    assert ingest_module.BATCH_SECONDS <= 60
    end = time.monotonic() + 20
    renewed = first
    while renewed <= first:
        assert time.monotonic() < end
        time.sleep(0.1)
        with store.read() as session:
            renewed = session.query(Job).one().not_before
    monkeypatch.setattr(catalogue, "make_due", lambda *_: None)  # as if killed
    going.close()
    with store.read() as session:
        job = session.query(Job).one()
        assert job.state == "ready"
        assert session.query(Chain).one().next_due == job.not_before
        assert job.not_before <= datetime.now(UTC) + timedelta(seconds=ingest_module.BATCH_SECONDS)


def test_status_and_explain_of_what_waits(settings: Settings, store: Store, t33twm_small: Path) -> None:
    list(ingest(settings, store, [t33twm_small]))
    status = operations.status(store)
    assert status["states"] == {"ready": 5}
    assert status["backlog"] == 5
    json.dumps(status)
    (story,) = operations.stories(store, safe(t33twm_small, DATES[3]).name).values()
    assert "older date of its tile" in str(story["why"])
    with pytest.raises(UnknownName, match="nothing"):
        operations.stories(store, "nothing")
