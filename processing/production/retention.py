"""What a centre keeps and for how long, and what each rule would free now: the janitor does so every hour."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from processing.production.janitor import KEPT_STATES, ORPHAN_SECONDS
from processing.production.publish import ORPHANS
from processing.settings import Settings
from processing.store import Store, upkeep
from processing.store.dialect import now

#: More packages than this are not looked for at once.
MOST = 100_000


@dataclass(frozen=True)
class Rule:
    """What is kept of one kind, and what goes now.

    Attributes
    ----------
    what, keeps : str
        In words.
    files : int
        That the next round of the janitor removes; a package and a product count as one.
    bytes : int
    """

    what: str
    keeps: str
    files: int
    bytes: int


def survey(store: Store, settings: Settings) -> list[Rule]:
    """Each rule and what it would free now.

    Raises
    ------
    StoreError
        If the database can't be reached.
    """
    with store.read() as session:
        states = [settings.state / path for path in upkeep.old_states(session, KEPT_STATES)]
        before = now(session) - timedelta(days=settings.l1c_days)
        packages = upkeep.old_packages(session, before, MOST) if settings.l1c_days else []
    logs = _older(settings.logs.glob("attempts/*/*.log"), 86400.0 * settings.log_days) if settings.log_days else []
    orphans = _older(settings.archive.glob(f"{ORPHANS}/*"), ORPHAN_SECONDS)
    return [
        _rule("recurrent states", f"of the newest {KEPT_STATES} dates of each tile and version", states),
        _rule("logs of attempts", _days(settings.log_days, "MUSCATE_LOG_DAYS"), logs),
        Rule(
            "Level-1C",
            _days(settings.l1c_days, "MUSCATE_L1C_DAYS", " after its date was over in all versions"),
            len(packages),
            sum(size for _, _, size in packages),
        ),
        _rule("folders set aside", f"{ORPHAN_SECONDS / 86400:.0f} days", orphans),
    ]


def _days(days: int, variable: str, after: str = "") -> str:
    return f"{days} days{after} ({variable})" if days else f"for ever ({variable})"


def _rule(what: str, keeps: str, paths: Iterable[Path]) -> Rule:
    sizes = [_size(path) for path in paths]
    return Rule(what, keeps, len(sizes), sum(sizes))


def _older(paths: Iterable[Path], seconds: float) -> list[Path]:
    return [path for path in paths if time.time() - path.stat().st_mtime > seconds]


def _size(path: Path) -> int:
    """Of a file or a folder; nothing where it is gone. [bytes]"""
    try:
        if path.is_dir():
            return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
        return path.stat().st_size
    except FileNotFoundError:
        return 0
