"""Workers that are jobs of a batch system, Slurm or PBS, by dask-jobqueue: the pool is kept at its size.

The scheduler lives and ends with the dispatcher, and its workers with it. Where they are to outlive it, `deploy/hpc/`
has a pool of its own beside a scheduler of its own.
"""

from __future__ import annotations

import shutil
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import structlog

from processing.errors import WrongSetting
from processing.settings import Settings

log = structlog.get_logger(__name__)

#: Between two looks at the pool, and how long the batch system may take to answer. [s]
POOL_SECONDS, ASK_SECONDS = 60.0, 30.0


class System(NamedTuple):
    """A batch system.

    Attributes
    ----------
    cluster : str
        The class of dask-jobqueue.
    programs : tuple of str
        What submits a job, cancels it and asks for it.
    gone : tuple of str
        What it says of a job that it does not have any more.
    options : dict
        Of a job, where the settings say nothing else: one worker with one slot, which has cores for its chain.
    """

    cluster: str
    programs: tuple[str, str, str]
    ask: tuple[str, ...]
    gone: tuple[str, ...]
    options: dict[str, Any]


_COMMON = {"cores": 1, "processes": 1, "memory": "8GB", "walltime": "12:00:00", "job_name": "muscate-worker"}
SYSTEMS = {
    "slurm": System(
        "SLURMCluster",
        ("sbatch", "scancel", "squeue"),
        ("squeue", "--noheader", "--states=all", "--format=%T", "--jobs"),
        ("invalid job id",),
        {**_COMMON, "job_cpu": 4},
    ),
    "pbs": System(
        "PBSCluster",
        ("qsub", "qdel", "qstat"),
        ("qstat",),
        ("unknown job", "job has finished"),
        {**_COMMON, "resource_spec": "select=1:ncpus=4:mem=8gb"},
    ),
}
#: States in which Slurm still has a job that will not run again.
OVER = frozenset({"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT"})


def check(settings: Settings) -> System:
    """The batch system that the settings name, with what speaks to it.

    Raises
    ------
    WrongSetting
        If one of its programs or dask-jobqueue is not on this machine.
    """
    system = SYSTEMS[settings.executor]
    if lacking := [name for name in system.programs if shutil.which(name) is None]:
        raise WrongSetting(f"MUSCATE_EXECUTOR={settings.executor}: not on this machine: {', '.join(lacking)}")
    try:
        import dask_jobqueue  # noqa: F401
    except ImportError:
        extra = "install muscate[hpc]"
        raise WrongSetting(f"MUSCATE_EXECUTOR={settings.executor} wants dask-jobqueue: {extra}") from None
    return system


@contextmanager
def pool(settings: Settings) -> Iterator[Pool]:
    """Workers of a batch system; they end with it.

    Raises
    ------
    WrongSetting
        If there is no such batch system here, or it does not take the options.
    """
    system = check(settings)
    import dask
    import dask_jobqueue

    # A lost date is the store's to decide on; several dispatchers of a host want a page of the scheduler each, or none.
    options = {"scheduler_options": {"dashboard_address": None}, **system.options, **settings.batch}
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # names of options that dask-jobqueue has given up
        try:
            cluster = getattr(dask_jobqueue, system.cluster)(**options)
        except (ValueError, TypeError, RuntimeError) as error:
            raise WrongSetting(f"[batch]: {' '.join(str(error).split())}") from error
    with cluster:
        yield Pool(cluster, system, settings.workers)


class Pool:
    """Jobs of a batch system, as many as are wanted."""

    def __init__(self, cluster: Any, system: System, size: int) -> None:
        self.cluster, self.size = cluster, size
        self._system = system
        self._looked = -POOL_SECONDS
        self._unnamed: set[str] = set()

    def keep(self) -> None:
        """Submit the jobs that lack, if it is time to look."""
        if time.monotonic() - self._looked < POOL_SECONDS:
            return
        self._looked = time.monotonic()
        connected = {worker["name"] for worker in self.cluster.scheduler_info["workers"].values()}
        waiting = {name: job.job_id for name, job in dict(self.cluster.workers).items() if name not in connected}
        # One without a number was not taken, or is being submitted just now.
        unnamed = {name for name, number in waiting.items() if not number}
        lost = [name for name, number in waiting.items() if number and not self.has(number)]
        lost += unnamed & self._unnamed
        self._unnamed = unnamed
        if lost:
            log.warning("jobs of workers are gone", jobs=sorted(f"{name}: {waiting[name]}" for name in lost))
            self.cluster.sync(self._forget, lost)
        self.cluster.scale(self.size)

    async def _forget(self, names: list[str]) -> None:
        for name in names:
            self.cluster.workers.pop(name, None)

    def has(self, number: str) -> bool:
        """Whether the batch system still has a job. What does not answer is asked again: unknown is not gone."""
        try:
            asked = subprocess.run(
                [*self._system.ask, number], capture_output=True, text=True, timeout=ASK_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return True
        if asked.returncode:
            return not any(words in asked.stderr.lower() for words in self._system.gone)
        words = asked.stdout.split()
        return bool(words) and words[0] not in OVER
