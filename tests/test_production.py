"""The engine: attempts in child processes, publication, recovery after kills, dispatching. The chain is a stand-in."""

from __future__ import annotations

import json
import logging
import os
import pickle
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dask
import psutil
import pytest
import sqlalchemy as sa
import structlog
from distributed import LocalCluster

from processing.errors import StoreError, WrongSetting
from processing.production import child, janitor, operations, publish, worker
from processing.production.dispatcher import Dispatcher, dispatch
from processing.production.executors import Elsewhere, executor
from processing.production.ingest import prepare
from processing.production.soak import made_up
from processing.production.worker import run_attempt, work
from processing.settings import Settings
from processing.store import Store, catalogue, lease, orders
from processing.store.lease import Claim
from processing.store.models import Attempt, Chain, Event, Job, Product, Quality
from tests.people import OPERATOR
from tests.production_fake import NAME
from tests.store_databases import postgres, url  # noqa: F401

# ruff: noqa: F811

FIRST = datetime(2023, 8, 10, 9, 45, 49, tzinfo=UTC)


class Centre:
    """A home with fake packages."""

    def __init__(self, home: Path, **changes: object) -> None:
        self.settings = Settings(home=home, lease_seconds=30, **changes)  # type: ignore[arg-type]
        self.settings.make_folders()
        self.store = Store(self.settings.url)
        self.store.upgrade(explicit=True)
        prepare(self.settings, self.store)

    def add(self, day: int, do: str = "valid", tile: str = "33TWM") -> str:
        sensing = FIRST + timedelta(days=day)
        name = f"{tile}_{sensing:%Y%m%d}"
        package = self.settings.l1c / tile / f"{name}.SAFE"
        package.mkdir(parents=True)
        (package / "fake.json").write_text(json.dumps({"sensing": sensing.isoformat(), "do": do}))
        arrival = made_up(tile, sensing, name, "test")
        with self.store.write() as session:
            catalogue.add(session, arrival)
        return name

    def change(self, name: str, do: str) -> None:
        file = self.settings.l1c / name.split("_")[0] / f"{name}.SAFE" / "fake.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "do": do}))

    def claim(self) -> Claim:
        with self.store.write() as session:
            claimed = lease.claim(session, "test", self.settings.lease_seconds)
        assert claimed is not None
        return claimed

    def run(self, settings: Settings | None = None) -> str:
        return run_attempt(self.claim(), settings or self.settings, NAME)

    def job(self, name: str) -> Job:
        with self.store.read() as session:
            return orders.find_jobs(session, name)[0]

    def published(self) -> int:
        with self.store.read() as session:
            return session.scalar(sa.select(sa.func.count(Product.id))) or 0

    def audit(self) -> list[str]:
        return operations.audit(self.store, self.settings)

    def staged(self) -> list[Path]:
        return list(self.settings.archive.glob(f"{publish.STAGING}/*"))


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Undo what the parts change in their process."""
    worker.stopping.clear()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    centre = Centre(tmp_path / "home")
    yield centre
    worker.end_children()
    assert centre.audit() == []
    assert centre.staged() == []
    centre.store.dispose()


def wait_for(condition: object, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


# One attempt


def test_a_series_is_published_each_date_from_the_one_before(centre: Centre) -> None:
    for day, do in ((10, "valid"), (0, "valid"), (5, "cloudy"), (15, "valid")):
        centre.add(day, do)
    assert [centre.run() for _ in range(4)] == ["published", "not_valid", "published", "published"]
    with centre.store.read() as session:
        products = session.query(Product).order_by(Product.sensing).all()
        made_from = [
            json.loads((centre.settings.archive / p.path / "manifest.json").read_text())["from"] for p in products
        ]
        dates = [p.sensing.isoformat() for p in products]
        assert made_from == [[], dates[:1], dates[:2]]
        assert [p.mode for p in products] == ["backward", "nominal", "nominal"]
        assert [p.prev_product for p in products] == [None, products[0].id, products[1].id]
        assert all(p.simulated and p.bytes > 0 and p.absent == ["CLM.SHADOW"] for p in products)
        assert session.query(Quality).filter(Quality.cloud_percent == 95.5).count() == 1
        attempt = session.query(Attempt).first()
        assert attempt is not None
        assert attempt.peak_memory is not None
        assert 10e6 < attempt.peak_memory < 2e9
        assert attempt.log_path is not None
        assert "valid" in (centre.settings.logs / attempt.log_path).read_text()


@pytest.mark.parametrize(
    ("do", "result", "state", "words"),
    [
        ("broken", "rejected", "rejected", "MTD_TL.xml: malformed"),
        ("no_terrain", "held", "held", "dem.tif: does not cover the tile"),
        ("disk_full", "retry", "retry", "no space left"),
        ("bug", "failed", "failed", "ZeroDivisionError: division by zero"),
        ("no_memory", "retry", "retry", "MemoryError"),
        ("glutton", "retry", "retry", r"took 0.\d GB of memory, 0.4 allowed"),
        ("flood", "retry", "retry", r"wrote 0.\d GB of files, 0.1 allowed"),
        ("kill", "retry", "retry", "SIGKILL"),
        ("hang", "retry", "retry", "longer than 1 s"),
    ],
)
def test_a_failure_is_recorded_in_one_line_and_leaves_nothing(
    centre: Centre, do: str, result: str, state: str, words: str
) -> None:
    name = centre.add(0, do)
    centre.add(5)
    limits = {"hang": {"attempt_seconds": 1.0}, "glutton": {"attempt_memory_gb": 0.4}}
    limits["flood"] = {"attempt_staging_gb": 0.1}
    assert centre.run(centre.settings.model_copy(update=limits.get(do, {}))) == result
    job = centre.job(name)
    assert job.state == state
    assert re.search(words, job.reason or ""), job.reason
    if job.reason_class == "infrastructure":
        assert (job.attempts, job.setbacks) == (0, 1)
    assert centre.published() == 0
    with centre.store.read() as session:
        free = lease.claimable(session)
    assert free == (state in ("rejected", "failed"))  # else the later date waits for this one
    if do == "bug":
        log = next(centre.settings.logs.glob("attempts/*/*.log")).read_text()
        assert "Traceback" in log
        assert "production_fake.py" in log
    centre.change(name, "valid")
    assert (
        operations.release(centre.store, name, OPERATOR)
        if state == "held"
        else operations.retry(centre.store, name, OPERATOR)
    )
    assert centre.run() == "published"
    assert centre.run() == "published"


@pytest.mark.parametrize(
    ("error", "reason_class", "again"),
    [
        (MemoryError(), "infrastructure", True),
        (OSError(5, "Input/output error"), "infrastructure", True),
        (FileNotFoundError(2, "No such file or directory"), "infrastructure", True),
        (OSError("a library's own words"), "unknown", True),
        (ValueError("odd"), "processor", False),
    ],
)
def test_what_has_no_name_is_of_the_machine_or_a_bug(error: Exception, reason_class: str, again: bool) -> None:
    named = child._named(error)
    assert (named.reason_class, named.retry) == (reason_class, again)
    assert str(named).startswith(type(error).__name__)
    assert str(pickle.loads(pickle.dumps(named))) == str(named)


def test_a_run_of_an_attempt_that_is_under_way_is_fenced_and_touches_nothing(centre: Centre) -> None:
    """As a scheduler does that believes its worker lost."""
    centre.add(0, "sleep:1.5")
    claimed = centre.claim()
    results: list[str] = []
    first = threading.Thread(target=lambda: results.append(run_attempt(claimed, centre.settings, NAME)))
    first.start()
    wait_for(centre.staged)
    assert run_attempt(claimed, centre.settings, NAME) == "fenced"
    first.join(20)
    assert results == ["published"]
    with centre.store.read() as session:
        assert [a.outcome for a in session.query(Attempt)] == ["published"]


def test_a_chain_that_cannot_be_loaded_burns_no_dates(centre: Centre) -> None:
    name = centre.add(0)
    centre.add(5)
    assert run_attempt(centre.claim(), centre.settings, "tests.production_fake:nothing") == "held"
    assert "can't be loaded" in (centre.job(name).reason or "")
    operations.release(centre.store, name, OPERATOR)
    assert [centre.run(), centre.run()] == ["published", "published"]


def test_a_stale_attempt_is_refused_at_publication_and_its_staging_removed(centre: Centre) -> None:
    centre.add(0)
    stale = centre.claim()
    with centre.store.write() as session:
        chain = lease.lock(session, stale.chain_id)
        chain.lease_until = datetime.now(UTC) - timedelta(seconds=1)
    fresh = centre.claim()
    assert run_attempt(stale, centre.settings, NAME) == "fenced"
    assert centre.published() == 0
    assert not any((centre.settings.archive / "33TWM").glob("**/manifest.json"))
    assert run_attempt(fresh, centre.settings, NAME) == "published"
    with centre.store.read() as session:
        assert [a.outcome for a in session.query(Attempt).order_by(Attempt.id)] == ["fenced", "published"]


def test_a_worker_that_lost_its_lease_while_the_chain_runs_kills_the_chain(centre: Centre) -> None:
    name = centre.add(0, "hang")
    settings = centre.settings.model_copy(update={"lease_seconds": 0.8})
    results: list[str] = []
    thread = threading.Thread(target=lambda: results.append(run_attempt(centre.claim(), settings, NAME)))
    thread.start()
    wait_for(lambda: any(centre.settings.logs.glob("attempts/*/*.log")))
    assert operations.hold(centre.store, name, OPERATOR) == "V1_4 held"
    thread.join(10)
    assert results == ["fenced"]
    assert centre.job(name).state == "held"


def test_a_folder_without_a_row_is_set_aside_and_never_a_product(centre: Centre) -> None:
    centre.add(0)
    claimed = centre.claim()
    orphan = centre.settings.archive / "33TWM" / "V1_4" / "SENTINEL2A_20230810-094549-000_L2A_T33TWM_C_V1-4"
    orphan.mkdir(parents=True)
    (orphan / "half").write_text("x")
    assert [line for line in centre.audit() if "without a product" in line] != []
    assert run_attempt(claimed, centre.settings, NAME) == "published"
    assert [p.name for p in centre.settings.archive.glob(".orphans/*/*")] == ["half"]
    (orphan.parent / "other").mkdir()
    assert janitor.set_orphans_aside(centre.store, centre.settings) == ["other"]
    (orphan.parent / "third").mkdir()
    janitor.sweep(centre.store, centre.settings, thorough=False)
    assert (orphan.parent / "third").exists()
    janitor.sweep(centre.store, centre.settings)
    assert not (orphan.parent / "third").exists()


def test_a_commit_whose_answer_was_lost_is_not_done_twice(centre: Centre) -> None:
    """The connection breaks at COMMIT: once before it was done, once after."""
    for day in (0, 5):
        centre.add(day)
    for lost_after in (False, True):
        claimed = centre.claim()
        real, broken = centre.store.write, [True]

        @contextmanager
        def write(real=real, broken=broken, lost_after=lost_after, claimed=claimed):  # type: ignore[no-untyped-def]
            with real() as session:
                yield session
                mine = session.query(Product).filter(Product.attempt_id == claimed.attempt_id).count()
                breaks = bool(broken and mine)
                if breaks and not lost_after:
                    broken.clear()
                    raise StoreError("connection lost")
            if breaks:
                broken.clear()
                raise StoreError("connection lost")

        worker._store.cache_clear()
        store = worker._store(centre.settings.url)
        store.write = write  # type: ignore[method-assign]
        assert run_attempt(claimed, centre.settings, NAME) == "published"
        assert not broken
        worker._store.cache_clear()
    assert centre.published() == 2


def test_a_missing_state_is_never_a_silent_new_start(centre: Centre) -> None:
    centre.add(0)
    name = centre.add(5)
    centre.run()
    (state,) = centre.settings.state.rglob("*.npz")
    state.rename(state.with_suffix(".gone"))
    assert centre.run() == "retry"
    assert "recurrent state of the previous date is missing" in (centre.job(name).reason or "")
    assert any("without its recurrent state" in line for line in centre.audit())
    state.with_suffix(".gone").rename(state)
    operations.retry(centre.store, name, OPERATOR)
    assert centre.run() == "published"


def test_a_very_late_date_starts_anew_and_says_so(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(janitor, "KEPT_STATES", 1)
    for day in (0, 10, 20):
        centre.add(day)
        centre.run()
    janitor.sweep(centre.store, centre.settings)
    assert len(list(centre.settings.state.rglob("*.npz"))) == 1
    name = centre.add(5)
    assert centre.run() == "published"
    with centre.store.read() as session:
        product = session.query(Product).filter(Product.job_id == centre.job(name).id).one()
        assert (product.mode, product.prev_product) == ("backward", None)
        assert [p.previous_not_latest for p in session.query(Product).order_by(Product.sensing)] == [
            False,
            False,
            True,
            False,
        ]
    assert centre.job(name).late


# Many


def dispatching(settings: Settings) -> tuple[threading.Thread, threading.Event]:
    stop = threading.Event()
    thread = threading.Thread(target=dispatch, args=(settings, stop, NAME))
    thread.start()
    return thread, stop


def test_the_dispatcher_publishes_all_in_order(tmp_path: Path, url: str) -> None:
    centre = Centre(tmp_path / "home", database_url=url, workers=2)
    for tile in ("31TCJ", "31TDJ", "40KCB"):
        for day in (5, 0, 10):
            centre.add(day, "cloudy" if day == 5 and tile == "31TDJ" else "valid", tile)
    thread, stop = dispatching(centre.settings)
    try:
        wait_for(lambda: centre.published() == 8, 40)
        status = operations.status(centre.store)
        listening = {c.laddr.ip for c in psutil.Process().net_connections("inet") if c.status == psutil.CONN_LISTEN}
        assert listening <= {"127.0.0.1"}
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()
    assert status["states"] == {"published": 8, "not_valid": 1}
    assert (status["backlog"], status["published_last_hour"], status["tiles"]) == (0, 8, 3)
    with centre.store.read() as session:
        for tile in ("31TCJ", "31TDJ", "40KCB"):
            rows = session.query(Product).filter(Product.tile == tile).order_by(Product.published).all()
            assert [p.sensing for p in rows] == sorted(p.sensing for p in rows)
    assert centre.audit() == []
    lines = [json.loads(line) for line in (centre.settings.logs / "dispatch.log").read_text().splitlines()]
    assert {"event", "level", "ts", "tile", "attempt"} <= set(next(x for x in lines if x["event"] == "published"))
    centre.store.dispose()


def test_any_exception_of_one_date_does_not_end_the_dispatcher(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from processing.production import dispatcher

    centre = Centre(tmp_path / "home", database_url=url)
    centre.add(1)
    claimed, faults = dispatcher.Dispatcher._claims, [ValueError("odd"), KeyError("gone"), RuntimeError("other")]

    def failing(*arguments: Any, **options: Any) -> Any:
        if faults:
            raise faults.pop()
        return claimed(*arguments, **options)

    monkeypatch.setattr(dispatcher.Dispatcher, "_claims", failing)
    monkeypatch.setattr(dispatcher, "FAULT_SECONDS", 0.05)
    thread, stop = dispatching(centre.settings)
    try:
        wait_for(lambda: centre.published() == 1, 40)
    finally:
        stop.set()
        thread.join(30)
    assert not faults
    assert not thread.is_alive()
    centre.store.dispose()


def test_a_stopped_dispatcher_returns_its_dates(centre: Centre) -> None:
    name = centre.add(0, "hang")
    thread, stop = dispatching(centre.settings)
    wait_for(lambda: any(centre.settings.logs.glob("attempts/*/*.log")))
    stop.set()
    thread.join(20)
    assert not thread.is_alive()
    assert (centre.job(name).state, centre.job(name).attempts) == ("ready", 0)
    with centre.store.read() as session:
        assert session.query(Event).filter(Event.kind == "given_back").one().tile == "33TWM"


@contextmanager
def cluster_of_none(allowed_failures: int = 0) -> Iterator[LocalCluster]:
    """A scheduler to which no worker has come yet."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": allowed_failures}),
        LocalCluster(
            n_workers=0, processes=False, protocol="tcp", host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster,
    ):
        yield cluster


def test_workers_join_a_scheduler_of_their_own(tmp_path: Path) -> None:
    with cluster_of_none() as cluster:
        centre = Centre(tmp_path / "home", executor=cluster.scheduler_address)
        for day in range(3):
            centre.add(day)
        leave = threading.Event()
        joined = threading.Thread(target=work, args=(centre.settings, leave))
        joined.start()
        thread, stop = dispatching(centre.settings)
        try:
            wait_for(lambda: centre.published() == 3)
        finally:
            stop.set()
            thread.join(20)
            leave.set()
            joined.join(20)
        assert not thread.is_alive()
        assert not joined.is_alive()
        assert centre.audit() == []
        centre.store.dispose()


def test_a_scheduler_that_runs_lost_dates_again_by_itself_is_refused(tmp_path: Path) -> None:
    with cluster_of_none(allowed_failures=3) as cluster:
        settings = Settings(home=tmp_path / "home", executor=cluster.scheduler_address)  # type: ignore[call-arg]
        settings.make_folders()
        with pytest.raises(WrongSetting, match="ALLOWED_FAILURES=0"):
            dispatch(settings, threading.Event(), NAME)


def test_a_worker_that_is_not_as_the_dispatcher_is_sent_away(tmp_path: Path) -> None:
    """Of another program, or another archive: as the second one, whose home is not that of the centre."""
    with cluster_of_none() as cluster:
        centre = Centre(tmp_path / "home", executor=cluster.scheduler_address)
        ours = worker.identity(centre.settings)
        assert ours == worker.identity(centre.settings)
        leave = threading.Event()
        joined = threading.Thread(target=work, args=(centre.settings, leave))
        joined.start()
        try:
            with executor(centre.settings) as slots:
                wait_for(lambda: slots.slots() == (1, 1))
            other = centre.settings.model_copy(update={"home": tmp_path / "other"})
            (other.archive / publish.STAGING).mkdir(parents=True)
            with executor(other) as slots:
                assert isinstance(slots, Elsewhere)
                real = slots._client.run
                slots._client.run = lambda function, _, **more: real(function, centre.settings, **more)
                wait_for(lambda: slots.slots() == (0, 0) and not joined.is_alive())
        finally:
            leave.set()
            joined.join(20)
        centre.store.dispose()


def test_dispatchers_share_the_slots_of_a_scheduler(tmp_path: Path) -> None:
    """Three of them, one slot, dates that take longer than a lease: none waits in a queue until it is lost."""
    with cluster_of_none() as cluster:
        centre = Centre(tmp_path / "home", executor=cluster.scheduler_address)
        settings = centre.settings.model_copy(update={"lease_seconds": 1.0})
        for tile in ("31TCJ", "31TDJ", "33TWM"):
            centre.add(0, "sleep:1.5", tile)
        leave = threading.Event()
        joined = threading.Thread(target=work, args=(settings, leave))
        joined.start()
        running = [dispatching(settings) for _ in range(3)]
        try:
            wait_for(lambda: centre.published() == 3)
        finally:
            for _, stop in running:
                stop.set()
            for thread, _ in running:
                thread.join(20)
            leave.set()
            joined.join(20)
        with centre.store.read() as session:
            assert [job.attempts + job.setbacks for job in session.query(Job)] == [0, 0, 0]
            assert session.query(Attempt).count() == 3
        centre.store.dispose()


def test_a_full_disk_is_told_and_goes_by_itself(centre: Centre) -> None:
    name = centre.add(0)
    full = centre.settings.model_copy(update={"min_free_gb": 1e6})
    thread, stop = dispatching(full)
    words = "due: waits for room on the archive's disk"
    try:
        wait_for(lambda: operations.status(centre.store)["waits"] == {words: 1})
        (story,) = operations.stories(centre.store, name).values()
        assert story["why"] == words
        assert "infrastructure, archive without room" in operations.status(centre.store)["anomalies"]
        assert centre.published() == 0
    finally:
        stop.set()
        thread.join(20)
    dispatcher = Dispatcher(None, centre.store, centre.settings, NAME)  # type: ignore[arg-type]
    dispatcher._told_of_disk = 0.0
    assert dispatcher._has_room()
    assert operations.status(centre.store)["anomalies"] == {}
    worker.stopping.clear()  # the dispatcher that ended was in this process
    assert centre.run() == "published"


def test_the_engine_at_home_needs_no_dask() -> None:
    code = "import sys; from processing.production import dispatcher; print('distributed' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.slow
def test_killed_dispatchers_lose_and_double_nothing(tmp_path: Path) -> None:
    """`kill -9` of two dispatchers at random moments, again and again: every date is published once, in order."""
    centre = Centre(tmp_path / "home", workers=2)
    tiles, dates = ("31TCJ", "31TDJ", "40KCB"), 5
    for tile in tiles:
        for day in range(dates):
            centre.add(day, "sleep:0.1", tile)
    # Renames are made slow so that kills fall between rename and commit too.
    code = (
        "import threading, time\n"
        "from processing.production import publish\n"
        "from processing.production.dispatcher import dispatch\n"
        "from processing.settings import Settings\n"
        "from processing.store import lease\n"
        "lease.RETRY_SECONDS = 0.5\n"
        "real = publish._into_place\n"
        "def slow(*a):\n    real(*a)\n    time.sleep(0.15)\n"
        "publish._into_place = slow\n"
        f"dispatch(Settings(lease_seconds=3.0, workers=2), threading.Event(), {NAME!r})\n"
    )
    environment = dict(os.environ, MUSCATE_HOME=str(centre.settings.home), PYTHONPATH=str(Path.cwd()))

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL)

    chance = random.Random(4)
    running = [start(), start()]
    total, kills = len(tiles) * dates, 0
    try:
        end = time.monotonic() + 150
        while centre.published() < total:
            assert time.monotonic() < end, operations.status(centre.store)
            time.sleep(0.1)
            with centre.store.read() as session:
                owners = session.scalars(sa.select(Chain.lease_owner).where(Chain.lease_until > datetime.now(UTC)))
                holders = {int(str(owner).split(":")[1]) for owner in owners}
            victims = [p for p in running if p.pid in holders]
            if victims and kills < 4:
                time.sleep(chance.uniform(0.0, 0.5))
                victims[0].send_signal(signal.SIGKILL)
                victims[0].wait()
                running.remove(victims[0])
                running.append(start())
                kills += 1
    finally:
        for process in running:
            process.kill()
            process.wait()
    with centre.store.read() as session:
        outcomes = [a.outcome for a in session.query(Attempt)]
        assert outcomes.count("published") == total
        assert outcomes.count("lost") + outcomes.count("fenced") > 0  # else nothing was tested
    janitor.set_orphans_aside(centre.store, centre.settings)
    assert centre.audit() == []
    centre.store.dispose()


@pytest.mark.parametrize(("days", "left"), [(400, ["new"]), (0, ["new", "old"])])
def test_logs_are_kept_as_long_as_is_said(centre: Centre, days: int, left: list[str]) -> None:
    folder = centre.settings.logs / "attempts" / "2023-08"
    folder.mkdir(parents=True)
    for name, age in (("new", 399), ("old", 401)):
        (folder / f"{name}.log").touch()
        os.utime(folder / f"{name}.log", (time.time() - 86400 * age,) * 2)
    janitor.sweep(centre.store, centre.settings.model_copy(update={"log_days": days}))
    assert sorted(path.stem for path in folder.iterdir()) == left


def test_the_janitor_removes_what_ended_attempts_left(centre: Centre) -> None:
    centre.add(0)
    running = centre.claim()
    place = centre.settings.archive / publish.STAGING
    left = [publish.staging(centre.settings, running), place / "a99", place / "a98-0123abcd", place / "a98-4567cdef"]
    for folder in left:
        folder.mkdir(parents=True)
    janitor.sweep(centre.store, centre.settings)
    assert centre.staged() == left[:1]
    assert run_attempt(running, centre.settings, NAME) == "published"
    assert centre.staged() == left[:1]  # each run has a folder of its own
    with centre.store.write() as session:
        session.get_one(Attempt, running.attempt_id).ended = FIRST
    janitor.sweep(centre.store, centre.settings)
