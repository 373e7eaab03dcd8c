"""Level-1C by STAC, out of a bucket, a mirror's folder, a subscription and eodag; and on an account's terms."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from processing.distribution import transfer
from processing.distribution.transfer import Expected
from processing.errors import Unreachable, WrongSetting
from processing.settings import Settings
from processing.sources import wholeness
from processing.sources.account import Account, Credentials
from processing.sources.eodag import Eodag
from processing.sources.fetching import Fetcher, Origin
from processing.sources.ledger import Ledger, one_at_a_time
from processing.sources.odata import OData
from processing.sources.offers import SourceDrift
from processing.sources.pace import Pace
from processing.sources.s3 import S3
from processing.sources.stac import Stac
from processing.sources.subscriptions import Subscription
from processing.sources.tree import Tree
from processing.store import Store, traffic
from processing.store.models import Anomaly, Event
from tests.browser import free_port
from tests.provider.app import FIRST, Provider, Row, files_of, served
from tests.provider.mirrors import KEY
from tests.test_cli import muscate

TILES = ("31TCJ", "31TDJ")
END = FIRST + timedelta(days=30)


@pytest.fixture
def centre(tmp_path: Path) -> tuple[Settings, Store]:
    settings = Settings(home=tmp_path / "home", demonstration=False)
    settings.make_folders()
    store = Store(settings.url)
    store.upgrade()
    return settings, store


@pytest.fixture(autouse=True)
def _without_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "FIRST_WAIT", 0.001)


def rows(count: int, apart: timedelta = timedelta(hours=7)) -> list[Row]:
    return [Row(str(n), TILES[n % 2], FIRST + n * apart) for n in range(count)]


def catalogue(address: str, page: int = 1000) -> Origin:
    account = Account(f"{address}/token", Credentials("me", "right"))
    return Origin(OData(f"{address}/odata/v1", f"{address}/odata/v1", page), account)


def fetcher(centre: tuple[Settings, Store], *origins: Origin, days: float = 20) -> Fetcher:
    return Fetcher(*centre, origins, clock=lambda: FIRST + timedelta(days=days))


def told(store: Store) -> dict[str, str]:
    with store.read() as session:
        return {one.signature: one.last for one in session.scalars(sa.select(Anomaly))}


# Listing


def test_more_rows_of_one_moment_than_may_be_skipped_are_had_in_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processing.sources.odata.MOST_SKIPPED", 30)
    provider = Provider(
        [Row(str(n), "31TCJ", FIRST, sensing=FIRST - timedelta(minutes=n), sums=False) for n in range(90)]
    )
    provider.rows += [Row("90", "31TCJ", FIRST + timedelta(hours=1), sums=False)]
    with served(provider) as address:
        source = OData(f"{address}/odata/v1", address, 10)
        assert {offer.key for offer in source.listing(TILES, FIRST, END).offers} == {str(n) for n in range(91)}
        same = Provider([Row(str(n), "31TCJ", FIRST, sensing=FIRST, sums=False) for n in range(90)])
        provider.rows = same.rows
        with pytest.raises(SourceDrift, match="in more than 30 rows"):
            source.listing(TILES, FIRST, END)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("PublicationDate", None), ("PublicationDate", "yesterday"), ("ModificationDate", 17), ("Name", ""),
        ("Name", "../../etc/passwd"), ("ContentLength", "large"), ("ContentLength", -1), ("Attributes", "none"),
        ("Attributes", [1]), ("ContentDate", None), ("Checksum", "x"), ("Id", None), ("ContentDate", {"Start": []}),
    ],
)  # fmt: skip
def test_one_record_that_changed_holds_no_other_up(
    centre: tuple[Settings, Store], monkeypatch: pytest.MonkeyPatch, field: str, value: Any
) -> None:
    provider, real = Provider(rows(5)), Row.json

    def spoilt(row: Row, fault: str) -> dict[str, Any]:
        said = real(row, fault)
        if row.key == "2":
            said[field] = value
            if value is None:
                del said[field]
        return said

    with served(provider) as address:
        with monkeypatch.context() as patch:
            patch.setattr(Row, "json", spoilt)
            fates = fetcher(centre, catalogue(address, 3)).round(TILES, FIRST)
        assert sorted(fate.state for fate in fates) == ["fetched"] * 4 + ["waits"]
        (waits,) = [fate for fate in fates if fate.state == "waits"]
        assert field in waits.reason
        assert any(
            signature.startswith(f"cdse answers otherwise than it did: {field}") for signature in told(centre[1])
        )
        later = fetcher(centre, catalogue(address), days=40).round(TILES, FIRST)
    if field not in ("Id", "Name"):  # it is asked for by its key, long after the window in which it was published
        assert [fate.state for fate in later] == ["fetched"]
    assert len(list(centre[0].inbox.glob("*.zip"))) == 5


@pytest.mark.parametrize("apart", [timedelta(hours=7), timedelta(0)])
def test_any_stac_api_is_listed_whole_and_checked(centre: tuple[Settings, Store], apart: timedelta) -> None:
    provider = Provider([Row(str(n), TILES[n % 2], FIRST + n * apart, platform=f"S2{'ABC'[n % 3]}",
                             sensing=FIRST - timedelta(hours=n)) for n in range(41)])  # fmt: skip
    with served(provider) as address:
        source = Stac(f"{address}/stac", page=7)
        listing = source.listing(TILES, FIRST, END)
        assert {offer.name for offer in listing.offers} == {row.name for row in provider.rows}
        assert listing.doubts == ()
        assert {offer.sums["md5"] for offer in listing.offers} == {row.md5 for row in provider.rows}
        assert [
            offer.name for offer in source.listing(["31TDJ"], FIRST, END).offers if "T31TDJ" not in offer.name
        ] == []
        provider.fault = "unsorted"
        with pytest.raises(SourceDrift, match="is not in the order"):
            source.listing(TILES, FIRST, END)
        provider.fault = "changed schema"
        with pytest.raises(SourceDrift, match="published"):
            source.listing(TILES, FIRST, END)
        provider.fault, provider.rows = "", provider.rows[:3]
        fates = fetcher(centre, Origin(source)).round(TILES, FIRST)
        assert {fate.state for fate in fates} == {"fetched"}
        assert set(provider.tokens) == {""}  # nobody's


@pytest.mark.parametrize("signed", [True, False])
def test_a_bucket_is_listed_and_brought_file_by_file(centre: tuple[Settings, Store], signed: bool) -> None:
    provider = Provider(rows(9, timedelta(hours=13)), fault="signed" if signed else "")
    provider.rows[1].fault, provider.rows[2].fault = "still written", "flipped for ever"
    keys = Credentials(KEY, "hidden") if signed else None
    with served(provider) as address:
        source = S3(f"{address}/s3", keys=keys)
        fates = {fate.name: fate for fate in fetcher(centre, Origin(source)).round(["31TCJ"], FIRST)}
        assert {row.name for row in provider.rows if row.tile == "31TCJ"} == set(fates)
        spoilt = fates.pop(provider.rows[2].name)
        assert (spoilt.state, "md5" in spoilt.reason, "hidden" in spoilt.reason) == ("rejected", True, False)
        assert {fate.state for fate in fates.values()} == {"fetched"}
        for name in fates:
            folder = centre[0].inbox / f"{name}.SAFE"
            held = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
            assert held == files_of(name)
        if signed:
            with pytest.raises(Unreachable, match="403"):
                S3(f"{address}/s3").listing(["31TCJ"], FIRST, END)


def test_a_mirrors_tree_is_read_and_left_as_it_is(centre: tuple[Settings, Store], tmp_path: Path) -> None:
    root, made = tmp_path / "mirror", rows(6)
    for place, row in enumerate(made):
        folder = root / f"{row.published:%Y/%m}" / row.tile
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{row.name}.zip"
        if place == 1:
            target = folder / f"{row.name}.SAFE"
            for name, body in files_of(row.name).items():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (target / name).write_bytes(body)
        else:
            target.write_bytes(row.body if place != 2 else row.body[:-900])
        if place == 3:
            Path(f"{target}.md5").write_text("0" * 32)
        for path in [*target.rglob("*"), target]:
            when = row.published.timestamp() if place != 4 else datetime.now().timestamp()
            os.utime(path, (when, when))
    (root / "other.txt").write_text("x")
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    fates = {fate.name: fate for fate in fetcher(centre, Origin(Tree(root))).round(TILES, FIRST)}
    states = [fates[row.name].state if row.name in fates else "" for row in made]
    assert states == ["fetched", "fetched", "rejected", "rejected", "", "fetched"]  # the fifth is still written
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    with pytest.raises(Unreachable, match="no such folder"):
        fetcher(centre, Origin(Tree(tmp_path / "gone"))).round(TILES, FIRST)


def test_a_tile_that_is_watched_later_is_listed_from_the_beginning(
    centre: tuple[Settings, Store], tmp_path: Path
) -> None:
    """And before any is, nothing is said to be listed."""
    for row in rows(4):
        target = tmp_path / f"{row.name}.zip"
        target.write_bytes(row.body)
        os.utime(target, (row.published.timestamp(),) * 2)
    looks = [
        fetcher(centre, Origin(Tree(tmp_path)), days=days).round(tiles, FIRST)
        for days, tiles in ((100, []), (101, TILES[:1]), (102, TILES[:1]), (103, TILES), (104, TILES))
    ]
    assert [[fate.state for fate in fates] for fates in looks] == [[], ["fetched"] * 2, [], ["fetched"] * 2, []]


def test_a_mirror_offers_what_comes_to_it_whatever_its_age(centre: tuple[Settings, Store], tmp_path: Path) -> None:
    """A copy keeps the times of its files: what came yesterday may be of last year. What is before `since` is not."""

    def put(row: Row) -> str:
        target = tmp_path / f"{row.name}.zip"
        target.write_bytes(row.body)
        os.utime(target, (row.published.timestamp(),) * 2)
        return row.name

    def look(days: float) -> list[str]:
        return [fate.name for fate in fetcher(centre, Origin(Tree(tmp_path)), days=days).round(TILES, FIRST)]

    first, *later, before = (Row(str(n), "31TCJ", FIRST + timedelta(days=n)) for n in (0, 1, 2, -1))
    assert look(100) == []
    names = [put(first)]
    assert look(365.1) == names  # not even the daily look reaches back so far
    names = [put(row) for row in (*later, before)]
    assert look(365.2) == names[:2]
    assert look(365.3) == look(500) == []


@pytest.mark.slow
def test_a_running_centre_takes_what_its_sources_have(tmp_path: Path) -> None:
    """What lies in a mirror when it starts, and what comes later; a source that is none starts nothing."""
    mirror, home = tmp_path / "mirror", tmp_path / "home"
    mirror.mkdir()
    words = {"SOURCES": f"mirror:{mirror}", "SOURCES_SINCE": "2026-03-01", "SOURCES_MINUTES": "0.01"}
    environment = os.environ | {f"MUSCATE_{name}": value for name, value in words.items()}
    environment |= {"MUSCATE_DEMONSTRATION": "false", "MUSCATE_SCAN_SECONDS": "1000"}
    command = [sys.executable, "-m", "dashboard", "up", "--home", str(home), "--port", str(free_port())]
    for bad, said in (("mirror", "'mirror' is no source"), ("cdse", "MUSCATE_CDSE_USER")):
        refused = subprocess.run(
            command, env={**environment, "MUSCATE_SOURCES": bad}, capture_output=True, text=True, timeout=60
        )
        assert refused.returncode != 0
        assert said in refused.stderr
        assert refused.stderr.count("\n") == 1

    def put(row: Row, written: float) -> None:
        target = mirror / f"{row.name}.zip"
        target.write_bytes(row.body)
        os.utime(target, (written, written))

    first, second = rows(2)
    with (tmp_path / "up.log").open("wb") as log:
        up = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            for row, written in ((first, FIRST.timestamp()), (second, time.time() - 3600)):
                put(row, written)
                end = time.monotonic() + 60
                while not any(home.glob(f"inbox/**/{row.name}*")):
                    assert up.poll() is None
                    assert time.monotonic() < end, (tmp_path / "up.log").read_text()
                    time.sleep(0.1)
        finally:
            os.killpg(up.pid, signal.SIGINT)
            assert up.wait(30) == 0


def test_a_subscription_is_pulled_and_acknowledged_when_all_stands_in_the_ledger(
    centre: tuple[Settings, Store],
) -> None:
    provider = Provider(rows(45))
    provider.rows[7].fault = "changed record"
    provider.rows[9].mode = "INS-RAW"
    with served(provider) as address:
        origin = catalogue(address)
        assert isinstance(origin.source, OData)
        assert origin.account is not None
        pulled = Subscription.begin(origin.source, origin.account, TILES, f"{address}/odata/v1")
        assert pulled.key == "s1"
        provider.notices = [(row, "created") for row in provider.rows] + [(provider.rows[3], "modified")]
        fates = fetcher(centre, origin).listen(pulled)
        states = [fate.state for fate in fates]
        assert (states.count("fetched"), states.count("waits"), states.count("not wanted")) == (43, 1, 1)
        assert provider.notices == []
        assert provider.requests["read"] == 4
        gone = provider.rows[5]
        gone.deleted = "Duplicated product"
        provider.notices = [(gone, "deleted")]
        (fate,) = fetcher(centre, origin).listen(pulled)
        assert (fate.state, fate.reason) == ("withdrawn", "Duplicated product")
        asked = sum(row.asked for row in provider.rows)
        provider.rows[7].fault = ""
        again = fetcher(centre, catalogue(address)).round(TILES, FIRST)  # polling stays the truth
        assert [fate.name for fate in again] == [provider.rows[7].name]
        assert sum(row.asked for row in provider.rows) == asked + 1


# Packages


def test_what_one_source_has_not_whole_another_gives(centre: tuple[Settings, Store], tmp_path: Path) -> None:
    provider = Provider(rows(4))
    provider.rows[0].fault, provider.rows[1].fault, provider.rows[2].online = "flipped for ever", "gone", False
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    for row in provider.rows:
        (mirror / f"{row.name}.zip").write_bytes(row.body)
        os.utime(mirror / f"{row.name}.zip", (row.published.timestamp(), row.published.timestamp()))
    with served(provider) as address:
        origins = [catalogue(address), Origin(Tree(mirror))]
        fates = fetcher(centre, *origins).round(TILES, FIRST)
        assert [fate.state for fate in fates] == ["fetched"] * 4
        again = fetcher(centre, *origins).round(TILES, FIRST)  # what was offline there is not waited for any more
        assert [(fate.name, fate.state) for fate in again] == [(provider.rows[2].name, "not wanted")]
        assert fetcher(centre, *origins).round(TILES, FIRST) == []
        known = {name: Ledger(centre[0].home / "sources" / f"{name}.jsonl").known for name in ("cdse", "mirror")}
        states = [known["cdse"][row.key]["state"] for row in provider.rows]
        assert states == ["rejected", "rejected", "not wanted", "fetched"]
        assert known["mirror"][f"{provider.rows[3].name}.zip"]["reason"] == "brought from cdse as 3"
    late = Row("9", "31TCJ", FIRST + timedelta(days=15))
    (mirror / f"{late.name}.zip").write_bytes(late.body)
    os.utime(mirror / f"{late.name}.zip", (late.published.timestamp(), late.published.timestamp()))
    lost = Origin(OData("http://localhost:1/odata/v1", name="lost"))
    looked = fetcher(centre, lost, Origin(Tree(mirror)), days=21)  # once a day the weeks before are listed again
    assert [fate.state for fate in looked.round(TILES, FIRST)] == ["fetched"]
    assert "source can't be listed: lost" in told(centre[1])


def test_a_sum_that_comes_after_its_package_is_held_against_it(centre: tuple[Settings, Store]) -> None:
    provider = Provider(rows(2))
    for row in provider.rows:
        row.sums = False
    with served(provider) as address:
        assert {f.state for f in fetcher(centre, catalogue(address)).round(TILES, FIRST)} == {"fetched"}
        for row in provider.rows:
            row.sums, row.modified = True, FIRST + timedelta(days=20)
        provider.rows[1].md5 = "f" * 32
        for _ in range(2):
            assert fetcher(centre, catalogue(address), days=21).round(TILES, FIRST) == []
    with centre[1].read() as session:
        (case,) = session.scalars(sa.select(Anomaly).where(Anomaly.signature.contains("sum that came later")))
        assert case.count == 1
        assert provider.rows[1].name in case.last


def test_a_wrong_sum_that_is_mended_opens_its_package_again(centre: tuple[Settings, Store]) -> None:
    provider = Provider(rows(1))
    provider.rows[0].md5 = "f" * 32
    with served(provider) as address:
        assert [f.state for f in fetcher(centre, catalogue(address)).round(TILES, FIRST)] == ["rejected"]
        assert fetcher(centre, catalogue(address)).round(TILES, FIRST) == []
        del provider.rows[0].md5
        provider.rows[0].modified = FIRST + timedelta(days=20)
        assert [f.state for f in fetcher(centre, catalogue(address), days=21).round(TILES, FIRST)] == ["fetched"]


def test_what_was_taken_back_stands_in_the_events(centre: tuple[Settings, Store]) -> None:
    provider = Provider(rows(1))
    with served(provider) as address:
        fetcher(centre, catalogue(address)).round(TILES, FIRST)
        provider.rows[0].deleted, provider.rows[0].modified = "Corrupted product", FIRST + timedelta(days=19)
        fetcher(centre, catalogue(address)).round(TILES, FIRST)
    with centre[1].read() as session:
        (event,) = session.scalars(sa.select(Event).where(Event.kind == "source_withdrew"))
    assert event.data == {"l1c": provider.rows[0].name, "source": "cdse", "reason": "Corrupted product"}


NAME = "S2A_MSIL1C_20260301T000000_N0512_R051_T31TCJ_20260301T030000"


def _flip(body: bytes, place: int) -> bytes:
    return body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]


@pytest.mark.parametrize("deflated", [True, False])
def test_a_package_is_whole_only_if_each_byte_is(tmp_path: Path, deflated: bool) -> None:
    """Flipped anywhere, or cut anywhere, it is told; what its list of files says of times and rights is no content."""
    path = tmp_path / f"{NAME}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED) as archive:
        for name, body in files_of(NAME, 2000).items():
            archive.writestr(f"{NAME}.SAFE/{name}", body)
    good = path.read_bytes()
    assert wholeness.fault_of(path, NAME) == ""
    assert "another package" in wholeness.fault_of(path, NAME[:-1] + "9")
    files = {name: body for name, body in files_of(NAME, 2000).items()}
    for place in range(0, len(good), 97):
        path.write_bytes(_flip(good, place))
        if not wholeness.fault_of(path, NAME):
            with zipfile.ZipFile(path) as archive:
                held = {n.removeprefix(f"{NAME}.SAFE/"): archive.read(n) for n in archive.namelist()}
            assert {name: held.get(name) for name in files} == files
        path.write_bytes(good[:place])
        assert wholeness.fault_of(path, NAME)


def test_a_folder_is_held_against_its_manifest(tmp_path: Path) -> None:
    folder = tmp_path / f"{NAME}.SAFE"

    def write() -> None:
        for name, body in files_of(NAME).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(body)

    write()
    assert wholeness.fault_of(folder, NAME) == ""
    (folder / "MTD_MSIL1C.xml").write_bytes(b"short")
    assert "has 5 bytes" in wholeness.fault_of(folder, NAME)
    write()
    band = folder / "GRANULE/G/IMG_DATA/B02.jp2"
    band.write_bytes(_flip(band.read_bytes(), 9))
    assert "B02.jp2 is damaged" in wholeness.fault_of(folder, NAME)
    band.unlink()
    assert "lacks B02.jp2" in wholeness.fault_of(folder, NAME)
    write()
    (folder / "manifest.safe").unlink()
    assert "no manifest.safe" in wholeness.fault_of(folder, NAME)


def test_blake3_is_made_where_its_library_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    if importlib.util.find_spec("blake3") is None:
        assert not transfer.can("blake3")
        pytest.skip("blake3 is not here")
    empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"  # of the specification's test vectors
    assert transfer.fault(tmp_path / "file", Expected(0, {"blake3": empty})) == ""
    assert transfer.fault(tmp_path / "file", Expected(0, {"blake3": "0" * 64}))


# Terms


def test_quota_rolls_and_is_kept_in_the_store(centre: tuple[Settings, Store]) -> None:
    provider = Provider(rows(6, timedelta(hours=2)))
    size = len(provider.rows[0].body)
    with served(provider) as address:

        def origin() -> Origin:
            found = catalogue(address)
            found.quota, found.connections = 3 * 41_000 + 41_000 // 2, 1
            return Origin(found.source, found.account, 1, found.quota)

        fates = fetcher(centre, origin()).round(TILES, FIRST)
        assert [fate.state for fate in fates] == ["fetched"] * 3 + ["waits"] * 3
        assert "in 30 days are used" in fates[-1].reason
        with centre[1].read() as session:
            (row,) = traffic.brought(session, FIRST + timedelta(days=20))
            assert (row.source, row.hour, row.day, row.window) == ("cdse", 3 * size, 3 * size, 3 * size)
            assert row.rate is not None
        shared = origin()
        shared.source.name, shared.purse = "stac", "cdse"  # another way into the same house
        again = fetcher(centre, shared).round(TILES, FIRST)
        assert [fate.state for fate in again] == ["not wanted"] * 3 + ["waits"] * 3
        later = fetcher(centre, origin(), days=51).round(TILES, FIRST)
        assert [fate.state for fate in later] == ["fetched"] * 3


def test_requests_of_a_minute_and_pauses_are_kept_by_all() -> None:
    now, slept = [0.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    pace = Pace(3, clock=lambda: now[0], sleep=sleep)
    for _ in range(7):
        pace.wait()
    assert now[0] == 120.0
    pace.told(200, {"retry-after": "9"})
    pace.told(429, {"retry-after": "90"})
    pace.wait()
    assert now[0] == 210.0


def test_too_many_sessions_are_waited_for_and_no_wrong_password(centre: tuple[Settings, Store]) -> None:
    provider = Provider(rows(9), too_many_sessions=1)
    with served(provider) as address:
        fates = fetcher(centre, catalogue(address)).round(TILES, FIRST)
        assert {fate.state for fate in fates} == {"waits"}
        assert "Max session number exceeded" in fates[0].reason
        assert provider.grants["password"] == 1
        assert {f.state for f in fetcher(centre, catalogue(address)).round(TILES, FIRST)} == {"fetched"}


def test_a_token_is_shown_to_no_other_house(centre: tuple[Settings, Store]) -> None:
    account = Account("https://identity.dataspace.copernicus.eu/token", Credentials("me", "right"))
    origin = Origin(Stac(), account)
    assert origin.trusts("https://download.dataspace.copernicus.eu/odata/v1/Products(1)/$value")
    for url in ("https://evil.org/x", "https://dataspace.copernicus.eu.evil.org/x", "https://copernicus.eu/x"):
        assert not origin.trusts(url)
    assert Origin(Stac(), account, packages="https://copernicus.eu/odata").trusts("https://copernicus.eu/x")


def test_nothing_secret_is_told(
    centre: tuple[Settings, Store], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither password nor token nor signature, in what a look says and writes that fails in all ways."""
    caplog.set_level(logging.DEBUG)
    faults = ("gone", "html", "token ends", "cut", "flipped for ever")
    provider = Provider([Row(str(n), "31TCJ", FIRST + timedelta(hours=n), fault) for n, fault in enumerate(faults)])
    with served(provider) as address:
        monkeypatch.setenv("MUSCATE_CDSE_USER", "me")
        monkeypatch.setenv("MUSCATE_CDSE_PASSWORD", "pa55-of-mine")
        monkeypatch.setenv("MUSCATE_S3_USER", KEY)
        monkeypatch.setenv("MUSCATE_S3_PASSWORD", "s3cr3t-of-mine")
        provider.password = "pa55-of-mine"
        done = muscate(
            "--debug", "fetch", "--since", "2026-03-01", "--tile", "31TCJ", "--from", "cdse",
            "--from", f"s3:{address}/s3/none", "--catalogue", f"{address}/odata/v1",
            "--packages", f"{address}/odata/v1",
            "--tokens", f"{address}/token", "--home", str(centre[0].home),
        )  # fmt: skip
    assert done.returncode == 3, done.stderr
    said = done.stdout + done.stderr + caplog.text + json.dumps(told(centre[1]))
    said += "".join(path.read_text() for path in (centre[0].home / "sources").glob("*.jsonl"))
    assert not re.search(r"pa55-of-mine|s3cr3t-of-mine|X-Amz-Signature|Bearer|\bt1\b|rt1", said)


def test_wrong_password_is_one_line_of_the_command(
    centre: tuple[Settings, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = Provider(rows(30))
    with served(provider) as address:
        monkeypatch.setenv("MUSCATE_CDSE_USER", "me")
        monkeypatch.setenv("MUSCATE_CDSE_PASSWORD", "wrong")
        words = ("fetch", "--since", "2026-03-01", "--tile", "31TCJ", "--tile", "31TDJ", "--home", str(centre[0].home))
        words += ("--catalogue", f"{address}/odata/v1", "--packages", f"{address}/odata/v1")
        done = muscate(*words, "--tokens", f"{address}/token")
    assert done.stdout.count("\n") == 1
    assert "30 packages  waits  me: " in done.stdout
    assert provider.grants["password"] == 1


def test_two_fetches_of_one_home_are_refused(tmp_path: Path) -> None:
    with one_at_a_time(tmp_path), pytest.raises(WrongSetting, match="another"), one_at_a_time(tmp_path):
        pass


# eodag


def test_what_eodag_finds_becomes_offers() -> None:
    """Its products as version 4 makes them of the Copernicus Data Space's rows."""
    good = {
        "id": NAME, "published": "2026-03-01T05:00:00.000Z", "start_datetime": "2026-03-01T00:00:00Z",
        "order:status": "succeeded", "operationalMode": "INS-NOBS",
    }  # fmt: skip
    url = "https://download.dataspace.copernicus.eu/odata/v1/Products(1)/$value"
    found = [
        SimpleNamespace(properties=good, remote_location=url),
        SimpleNamespace(properties={**good, "id": "S2X", "published": None}, remote_location=url),
        SimpleNamespace(properties={**good, "published": "2027-03-01T05:00:00Z"}, remote_location=url),
    ]
    asked: list[dict[str, Any]] = []

    class Found(list[Any]):
        def next_page(self, update: bool) -> Iterator[Any]:
            self.extend(found[1:])
            yield self

    def search(**given: Any) -> list[Any]:
        asked.append(given)
        return Found(found[:1])

    source = Eodag("cop_dataspace", SimpleNamespace(search=search))
    listing = source.listing(["31TCJ"], FIRST, END)
    assert [(offer.name, offer.url, offer.mode) for offer in listing.offers] == [(NAME, url, "INS-NOBS")]
    assert [one.fault.field for one in listing.unread] == ["published"]
    assert (asked[0]["collection"], asked[0]["grid:code"]) == ("S2_MSI_L1C", "MGRS-31TCJ")
    failing = Eodag("x", SimpleNamespace(search=lambda **given: 1 / 0))
    with pytest.raises(Unreachable, match="ZeroDivisionError"):
        failing.listing(["31TCJ"], FIRST, END)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_eodag_itself_finds_the_fake_providers_packages(
    centre: tuple[Settings, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("eodag") is None:
        monkeypatch.setitem(sys.modules, "eodag", None)
        with pytest.raises(WrongSetting, match="eodag is not here"):
            Eodag("cop_dataspace")
        pytest.skip("eodag is not here")
    eodag = importlib.import_module("eodag")
    monkeypatch.setenv("EODAG_EXT_COLLECTIONS_CFG_URI", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    provider = Provider(rows(6))
    with served(provider) as address:
        gateway = eodag.EODataAccessGateway()
        gateway.update_providers_config(
            dict_conf={
                "cop_dataspace": {
                    "search": {"api_endpoint": f"{address}/odata/v1/Products"},
                    "auth": {"oidc_config_url": f"{address}/oidc", "credentials": {"username": "me", "password": "x"}},
                }
            }
        )
        listing = Eodag("cop_dataspace", gateway).listing(TILES, FIRST, END)
    assert {offer.name for offer in listing.offers} == {row.name for row in provider.rows}
    assert listing.unread == ()
