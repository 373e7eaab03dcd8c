"""Workers that are jobs of a batch system, with stand-ins for Slurm and PBS that run the jobs on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from processing.errors import WrongSetting
from processing.production import batch, doctor
from processing.production.dispatcher import dispatch
from processing.production.soak import Soak
from processing.production.soak_chain import CHAIN
from processing.settings import Settings
from processing.store import Store
from processing.store.models import Attempt, Product

#: Of each system a program that submits, cancels and asks; `{jobs}` has a file for each job with its process.
SUBMIT = """#!/bin/bash
exec 9> {jobs}/.lock; flock 9
number=$(( $(ls {jobs} | wc -l) + 1 )); cp "${{@: -1}}" {jobs}/.script$number
setsid bash {jobs}/.script$number > {jobs}/.log$number 2>&1 9>&- & echo $! > {jobs}/$number
echo "{answer}"
"""
CANCEL = "#!/bin/bash\nkill -KILL -- -$(cat {jobs}/${{1%%.*}})\n"
ASK = """#!/bin/bash
number="${{@: -1}}"; number=${{number%%.*}}
if [ -e {jobs}/$number ] && kill -0 -- -$(cat {jobs}/$number) 2>/dev/null; then echo RUNNING; exit 0; fi
echo "{gone}" >&2; exit 1
"""
SYSTEMS = {
    "slurm": (("sbatch", "scancel", "squeue"), "Submitted batch job $number", "slurm_load_jobs error: Invalid job id"),
    "pbs": (("qsub", "qdel", "qstat"), "$number.server", "qstat: Unknown Job Id $number.server"),
}


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture(params=list(SYSTEMS))
def system(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A batch system of this machine alone."""
    (submit, cancel, ask), answer, gone = SYSTEMS[request.param]
    jobs, programs = tmp_path / "jobs", tmp_path / "programs"
    jobs.mkdir()
    programs.mkdir()
    program(programs / submit, SUBMIT.format(jobs=jobs, answer=answer))
    program(programs / cancel, CANCEL.format(jobs=jobs))
    program(programs / ask, ASK.format(jobs=jobs, gone=gone))
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    yield request.param
    for pid in _alive(jobs):
        os.killpg(pid, signal.SIGKILL)


def _alive(jobs: Path) -> list[int]:
    """Jobs that run, each by the first of its processes; what nobody has buried yet does not."""
    numbers = [int(file.read_text()) for file in jobs.iterdir() if file.name.isdigit()]
    return [pid for pid in numbers if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


def _until(seen: Callable[[], bool], seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.slow
def test_the_pool_is_kept_and_its_jobs_make_the_dates(
    system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not here")
    monkeypatch.setattr(batch, "POOL_SECONDS", 0.5)
    home, jobs = tmp_path / "home", tmp_path / "jobs"
    home.mkdir()
    soak = Soak(home, tiles=2, dates=4)
    options = {"interface": "lo", "log_directory": str(tmp_path / "logs"), "death_timeout": "20"}
    settings = soak.settings.model_copy(update={"executor": system, "batch": options})
    store = Store(settings.url)
    soak._catalogue(store, [(tile, day) for tile in soak.tiles for day in range(2)])

    def made() -> int:
        with store.read() as session:
            return session.scalar(sa.select(sa.func.count(Product.id))) or 0

    stop = threading.Event()
    running = threading.Thread(target=dispatch, args=(settings, stop, CHAIN))
    running.start()
    try:
        _until(lambda: made() == 4)
        with store.read() as session:
            assert set(session.scalars(sa.select(Attempt.outcome))) == {"published"}
        assert len(_alive(jobs)) == 2
        ended = set(_alive(jobs))
        for pid in ended:  # their time is over
            os.killpg(pid, signal.SIGKILL)
        _until(lambda: len(set(_alive(jobs)) - ended) == 2)
        soak._catalogue(store, [(tile, day) for tile in soak.tiles for day in range(2, 4)])
        _until(lambda: made() == 8)
    finally:
        stop.set()
        running.join(60)
    assert not running.is_alive()
    _until(lambda: _alive(jobs) == [], 20)  # they are cancelled with it
    store.dispose()


class Cluster:
    """What a pool asks of dask-jobqueue's cluster."""

    def __init__(self, jobs: dict[str, str | None], connected: tuple[str, ...] = ()) -> None:
        self.workers = {name: type("Job", (), {"job_id": number})() for name, number in jobs.items()}
        self.scheduler_info = {"workers": {f"tcp://{name}": {"name": name} for name in connected}}
        self.scaled: list[int] = []

    def scale(self, size: int) -> None:
        self.scaled.append(size)

    def sync(self, verb: Callable[[list[str]], object], names: list[str]) -> None:
        with pytest.raises(StopIteration):
            verb(names).send(None)  # type: ignore[attr-defined]


def test_jobs_that_went_before_they_joined_are_submitted_again(
    system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued = subprocess.Popen(["sleep", "60"], start_new_session=True)
    (tmp_path / "jobs" / "7").write_text(str(queued.pid))
    cluster = Cluster({"joined": "6", "queued": "7", "gone": "8", "refused": None}, connected=("joined",))
    monkeypatch.setattr(batch, "POOL_SECONDS", 0.0)
    pool = batch.Pool(cluster, batch.SYSTEMS[system], 4)
    pool.keep()
    assert set(cluster.workers) == {"joined", "queued", "refused"}
    pool.keep()
    assert set(cluster.workers) == {"joined", "queued"}
    assert cluster.scaled == [4, 4]
    queued.kill()
    queued.wait()


@pytest.mark.parametrize(
    ("answer", "there"),
    [
        ("echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1", True),
        ("echo 'qstat: cannot connect to server' >&2; exit 111", True),
        (
            "echo 'qstat: 8.server Job has finished, use -x or -H to obtain historical job information' >&2; exit 35",
            False,
        ),
        ("echo PENDING", True),
        ("echo TIMEOUT", False),
        ("exit 0", False),
    ],
)
def test_what_does_not_answer_is_not_taken_for_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, there: bool
) -> None:
    for name in ("squeue", "qstat"):
        program(tmp_path / name, f"#!/bin/bash\n{answer}\n")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    for system in batch.SYSTEMS.values():
        if "qstat" in answer and system.cluster == "SLURMCluster":
            continue
        assert batch.Pool(Cluster({}), system, 1).has("8") is there


def test_a_machine_without_a_batch_system_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    settings = Settings(home=tmp_path, executor="slurm")
    with pytest.raises(WrongSetting, match="not on this machine: sbatch, scancel, squeue"), batch.pool(settings):
        pass
    settings.make_folders()
    (told,) = [answer for answer in doctor.examine(settings) if answer.what == "executor"]
    assert not told.well
    assert "sbatch" in told.how


@pytest.mark.parametrize(("executor", "fault"), [("tcp://127.0.0.1:1", "does not answer"), ("pbs", "not on this")])
def test_nothing_begins_where_the_executor_is_out_of_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executor: str, fault: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    settings = Settings(home=tmp_path / "home", executor=executor)
    with pytest.raises(WrongSetting, match=fault):
        dispatch(settings, threading.Event())
    assert list(tmp_path.iterdir()) == []


def test_options_that_no_job_has_are_refused(system: str, tmp_path: Path) -> None:
    pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not here")
    settings = Settings(home=tmp_path, executor=system, batch={"colour": "red"})
    with pytest.raises(WrongSetting, match="colour"), batch.pool(settings):
        pass
