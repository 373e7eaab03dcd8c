"""One bad package never ends the others: every kind of fault, in the inbox, in `ingest` and in `process`."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import rasterio

from processing.production import series
from processing.production.ingest import ingest
from processing.production.watcher import Inbox
from processing.settings import Settings
from processing.simulation import Series, simulate
from processing.store import Store
from processing.store.models import Granule
from tests.l1c_products import OLD, small, write_jp2
from tests.spoiled_packages import KINDS, UNRECOGNISED


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two dates."""
    folder = tmp_path_factory.mktemp("good")
    return sorted(simulate(folder, **(vars(Series("31TCJ")) | {"size": 36, "dates": 2})))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path / "home", pause_seconds=0)  # type: ignore[call-arg]
    settings.make_folders()
    return settings


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    store = Store(settings.url)
    store.upgrade()
    yield store
    store.dispose()


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_the_inbox_sets_every_kind_aside_with_its_true_reason_and_goes_on(
    settings: Settings, store: Store, good: list[Path], tmp_path: Path
) -> None:
    """All of them at once, under their own folders since many would have one name."""
    expected: dict[str, str] = {}
    for number, (spoil, words) in enumerate(KINDS.values()):
        place = settings.inbox / f"{number:02d}"
        place.mkdir()
        name = spoil(good[0], place).name
        where = place if not re.search("^(pipe|link|S2A_OPER_GIP)", name) else place / name
        if where != place:  # what is no package by itself is dropped as such
            (place / name).rename(settings.inbox / f"{number:02d}_{name}")
            place.rmdir()
        expected[f"{number:02d}"] = words
    shutil.copytree(good[1], settings.inbox / good[1].name)
    inbox = Inbox(settings, store)
    results = [result for _ in range(2) for result in inbox.look()]
    assert len(results) == len(KINDS) + 1
    assert [r.name for r in results if r.accepted] == [good[1].name]
    for result in results:
        if result.accepted:
            continue
        number = (result.path.parent.name if result.path.parent != settings.inbox else result.path.name)[:2]
        assert result.reason is not None
        assert re.search(expected[number], result.reason), f"{list(KINDS)[int(number)]}: {result.reason}"
        assert result.reason.isprintable()
        assert result.bad, result.reason
    assert names(settings.inbox) == ["rejected"]
    aside = [n for n in names(settings.rejected) if not n.endswith(".reason.txt")]
    assert len(aside) == len(KINDS)
    assert len(names(settings.rejected)) == 2 * len(KINDS)
    with store.read() as session:
        assert [g.state for g in session.query(Granule)] == ["usable"]


@pytest.mark.parametrize("kind", [*KINDS, *UNRECOGNISED])
def test_process_refuses_every_kind_in_one_line(kind: str, good: list[Path], tmp_path: Path) -> None:
    """No pixel is made: what could be read is another date's, whose tile is not asked for."""
    spoil, words = (KINDS | UNRECOGNISED)[kind]
    bad = spoil(good[0], tmp_path)
    results = list(series.process([bad], "V1_4", tmp_path / "out"))
    assert [r["status"] for r in results] == ["rejected"]
    (result,) = results
    # Unlike the inbox, which takes no links, it reads what a link points to.
    expected = words.replace("link or device.*", "(no regular file|no product metadata|malformed|missing).*|")
    assert re.search(expected, result["reason"]), result["reason"]
    assert result["reason"].isprintable()
    assert result["l1c"].isprintable()
    assert names(tmp_path / "out") == []


@pytest.mark.parametrize("error", [ValueError("odd"), RecursionError("deep"), OverflowError("big"), MemoryError()])
@pytest.mark.parametrize("where", ["contents", "check", "correct"])
def test_process_goes_on_after_any_exception(
    error: Exception, where: str, good: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: Any, **_: Any) -> Any:
        first = arguments[0]
        name = getattr(first, "identifier", None) or getattr(first, "name", "")
        if good[0].stem in name:
            raise error
        return real(*arguments, **_)

    if where == "contents":
        real: Any = series.l1c.contents
        monkeypatch.setattr(series.l1c, "contents", fails)
    elif where == "check":
        real = series.l1c.Granule.check
        monkeypatch.setattr(series.l1c.Granule, "check", fails)
    else:
        real = series.correct
        monkeypatch.setattr(series, "correct", fails)
    results = {r["l1c"]: r for r in series.process(good, "V1_4", tmp_path)}
    assert results[good[1].name]["status"] in ("valid", "not_valid")
    assert results[good[0].name]["status"] == (
        "failed" if where == "correct" or isinstance(error, MemoryError) else "rejected"
    )
    assert not list(tmp_path.glob(".*"))


def test_a_read_only_folder_is_said_before_anything_is_read(
    good: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from processing.errors import StorageError

    def read_only(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(series.tempfile, "TemporaryFile", read_only)
    with pytest.raises(StorageError, match="Read-only file system"):
        list(series.process(good, "V1_4", tmp_path))


def test_states_on_another_file_system_are_there_before_the_product(good: list[Path], tmp_path: Path) -> None:
    """`/dev/shm` is one on Linux; elsewhere the rename is the usual one."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or os.stat(shared).st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("no second file system here")
    states = shared / f"muscate-{os.getpid()}"
    try:
        (result, *_) = list(series.process(good[:1], "V1_4", tmp_path / "out", state=states))
        assert result["status"] == "valid", result
        assert [p.suffix for p in states.iterdir()] == [".npz"]
        assert stat.S_ISREG(next(states.iterdir()).stat().st_mode)
        assert names(tmp_path / "out") == [Path(result["product"]).name]
    finally:
        shutil.rmtree(states, ignore_errors=True)


def test_nothing_is_published_where_the_state_can_not_be_kept(
    good: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(series.shutil, "move", full)
    (result,) = list(series.process(good[:1], "V1_4", tmp_path / "out", state=tmp_path / "states"))
    assert result["status"] == "failed"
    assert "No space left" in result["reason"]
    assert names(tmp_path / "out") == []
    assert names(tmp_path / "states") == []


# A package that shows less ground than the one before it


def without_ground(package: Path, target: Path, share: float) -> Path:
    """The same pass made anew, of which the images show a part only."""
    shutil.copytree(package, target)
    (target / "manifest.safe").unlink()
    for path in target.glob("GRANULE/*/IMG_DATA/*_B01.jp2"):
        with rasterio.open(path) as image:
            pixels, where, crs = image.read(), image.transform, image.crs
        pixels[:, int(pixels.shape[1] * (1 - share)) :] = 0
        path.unlink()
        write_jp2(path, pixels, where.c, where.f, where.a, crs.to_epsg())
    xml = target / "MTD_MSIL1C.xml"
    text = re.sub(r"(<PROCESSING_BASELINE>)[^<]*", r"\g<1>05.11", xml.read_text())
    xml.write_text(re.sub(r"(<GENERATION_TIME>)\d{4}", r"\g<1>2025", text))
    return target


@pytest.mark.parametrize(("share", "serving"), [(0.0, {"new"}), (0.5, {"old", "new"})])
def test_a_package_made_anew_that_shows_less_does_not_replace_what_shows_more(
    share: float, serving: set[str], settings: Settings, store: Store, good: list[Path], tmp_path: Path
) -> None:
    old = Path(shutil.copytree(good[0], tmp_path / "old.SAFE"))
    new = without_ground(good[0], tmp_path / "new.SAFE", share)
    for package in (old, new):
        (result,) = list(ingest(settings, store, [package]))
        assert result.accepted, result.reason
    with store.read() as session:
        assert {g.name for g in session.query(Granule) if g.state == "usable"} == serving


def test_a_tile_that_a_package_lacked_is_taken_when_it_comes_again(
    settings: Settings, store: Store, tmp_path: Path
) -> None:
    package = small(OLD, tmp_path)
    gone = sorted((package / "GRANULE").iterdir())[0]
    gone.rename(tmp_path / "gone")
    (first,) = list(ingest(settings, store, [package]))
    assert first.accepted
    assert first.reason is not None
    assert first.reason.startswith("without granule")
    (tmp_path / "gone").rename(gone)
    (second,) = list(ingest(settings, store, [package]))
    assert second.accepted
    with store.read() as session:
        paths = {g.path for g in session.query(Granule)}
        assert paths == {f"several/{package.name}", f"several-2/{package.name}"}
        assert session.query(Granule).count() == len(list((package / "GRANULE").iterdir()))
    (third,) = list(ingest(settings, store, [package]))
    assert not third.accepted
    assert "already there" in str(third.reason)


def test_the_other_half_of_a_pass_that_comes_later_is_said_and_not_made_a_second_product(
    good: list[Path], tmp_path: Path
) -> None:
    (first,) = list(series.process(good[:1], "V1_4", tmp_path / "out"))
    assert first["status"] == "valid", first
    (again,) = list(series.process(good[:1], "V1_4", tmp_path / "out"))
    assert again["status"] == "skipped"  # nothing is wrong with it
    assert "is already there" in again["reason"]
    half = tmp_path / re.sub(r"_\d{8}T\d{6}\.SAFE$", "_20300101T000000.SAFE", good[0].name)
    shutil.copytree(good[0], half)
    (half / "manifest.safe").unlink(missing_ok=True)
    xml = next(half.glob("GRANULE/*/MTD_TL.xml"))
    text = xml.read_text()
    sensing = re.search(r"<SENSING_TIME[^>]*>([^<]*)<", text)
    assert sensing is not None
    earlier = datetime.fromisoformat(sensing[1]) - timedelta(seconds=6)
    xml.write_text(text.replace(sensing[1], f"{earlier:%Y-%m-%dT%H:%M:%S.%fZ}"))
    (late,) = list(series.process([half], "V1_4", tmp_path / "out"))
    assert late["status"] == "rejected"
    assert f"of the same pass as {Path(first['product']).name}, which is there" in late["reason"]
    assert good[0].stem in late["reason"]
    assert "in one run" in late["reason"]
    assert names(tmp_path / "out") == [Path(first["product"]).name]
