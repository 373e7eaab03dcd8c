"""Whether the page says where a date is, rightly and soon: `python -m benchmarks.why_missing [--products N]`.

Flies 300 made-up cases, one tile each: one to three satellites on one or two tracks, passes that were lost, that the
source is late with or that have not come to be, dates in every state that the store knows; asks where one of the dates
is, and counts the answers that are what was flown. Then fills a store of 40,000 products and 1,076 tiles and prints how
long the answer takes.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing import tiling
from processing.store import Store, passes, whereabouts
from processing.store.models import (
    Acquisition,
    Attempt,
    Campaign,
    Chain,
    Event,
    Job,
    Product,
    Quality,
    Site,
    SiteTile,
    Tile,
)

CASES, TILES, PRODUCTS = 300, 1076, 40_000
NOW = datetime(2026, 11, 3, 23, 50, tzinfo=UTC)
CYCLE = timedelta(days=10)
#: What may have become of the date that is asked for. ``lost``: its satellite was last seen here long ago, and goes on
#: elsewhere; ``stopped``: it does not; ``empty``: a day on which nothing passes.
FATES = (*whereabouts.PASS_STATES[:4], *whereabouts.VERSION_STATES, "lost", "stopped", "before", "empty")
#: Of a job, for fates that have another name.
JOB_STATES = {"queued": "ready", "settling": "ready", "waits": "ready", "paused": "ready", "withdrawn": "published"}
REASONS = {"held": "held by the operator", "rejected": "B04.jp2: cut short", "failed": "the worker was lost 3 times"}
REASONS |= {"not_valid": "97.1 % of cloud", "retry": "the chain's process died (signal SIGKILL)"}


@dataclass(frozen=True)
class Case:
    """What was flown over a tile, and the day that is asked for; `fate` is one of `FATES`."""

    tile: str
    fate: str
    day: datetime
    platform: str
    orbit: int


def names(count: int) -> list[str]:
    """Tiles of Europe and Africa."""
    every = [
        f"{zone:02d}{band}{column}{row}"
        for zone in range(29, 39)
        for band in "KLMNPQRSTU"
        for column in "ABCDEFGHJKLMNPQRSTUVWXYZ"
        for row in "ABCDEFGHJKLMNPQRSTUV"
    ]
    random.Random(0).shuffle(every)
    return list(islice((name for name in every if tiling.valid(name)), count))


def fly(session: Session, cases: int = CASES, seed: int = 1) -> list[Case]:
    """Rows of made-up tiles of one site, each with its story; the caller commits."""
    rng = random.Random(seed)
    campaigns = {}
    for version, status in (("V1_4", "active"), ("V1_3", "paused")):
        known = session.scalar(sa.select(Campaign).where(Campaign.version == version))
        campaigns[version] = known or Campaign(version=version, priority=0, opened=NOW - 30 * CYCLE)
        campaigns[version].status = status
    session.add(Site(code="flown", name="Flown", country="", priority=1))
    session.add_all(campaigns.values())
    session.flush()
    return [
        _Story(session, tile, FATES[number % len(FATES)], campaigns, rng).told()
        for number, tile in enumerate(names(cases))
    ]


class _Story:
    """One tile: how often it was seen before, and what became of the last pass of its first satellite."""

    def __init__(
        self, session: Session, tile: str, fate: str, campaigns: dict[str, Campaign], rng: random.Random
    ) -> None:
        self.session, self.tile, self.fate, self.rng = session, tile, fate, rng
        self.version = "V1_3" if fate == "paused" else "V1_4"
        session.add(Tile(mgrs=tile, current_version=self.version))
        session.flush()
        session.add(SiteTile(site="flown", tile=tile))
        self.chain = Chain(tile=tile, campaign_id=campaigns[self.version].id)
        session.add(self.chain)
        session.flush()
        # One that stopped is seen over no tile; "lost" goes on elsewhere.
        self.platform = "S2Z" if fate == "stopped" else rng.choice(("S2A", "S2B", "S2C"))
        self.orbit = rng.randint(1, 143)

    def told(self) -> Case:
        """Fly it."""
        # The morning of some day before now; of one that is not late yet, some hours ago.
        ago = timedelta(hours=self.rng.uniform(0.2, 2.8)) if self.fate == "awaited" else timedelta()
        time = NOW - ago if ago else NOW.replace(hour=self.rng.randint(7, 11), minute=self.rng.randint(0, 59))
        if self.fate == "upcoming":
            time += timedelta(days=self.rng.randint(1, 9))
        lost = {2} if self.rng.random() < 0.5 else set()
        last = 6 if self.fate in ("stopped", "lost") else 1
        for cycle in range(last + self.rng.randint(3, 6), last - 1, -1):
            if cycle - last not in lost:  # a pass that was lost in between is nothing to whoever asks for another one
                self._published(time - cycle * CYCLE, self.platform, self.orbit)
        self._others(time)
        if self.fate in ("before", "empty"):
            day = time - 12 * CYCLE if self.fate == "before" else time - CYCLE - timedelta(days=1)
            return Case(self.tile, self.fate, day, self.platform, self.orbit)
        if self.fate not in ("upcoming", "awaited", "missing", "refused", "stopped", "lost"):
            self._job(self._came(time, self.platform, self.orbit), self.fate)
        if self.fate == "refused":
            name = f"{self.platform}_MSIL1C_{time:%Y%m%dT%H%M%S}_N0511_R{self.orbit:03d}_T{self.tile}_x.zip"
            data = {"l1c": name, "reason": "the archive ends too early"}
            self.session.add(Event(time=NOW, kind="refused", severity="warning", data=data))
        return Case(self.tile, self.fate, time, self.platform, self.orbit)

    def _others(self, time: datetime) -> None:
        """Another satellite half a cycle away, and another track, on days that nobody asks for."""
        others = [p for p in ("S2A", "S2B", "S2C") if p != self.platform]
        if self.rng.random() < 0.5:
            for cycle in range(4):
                self._published(time - cycle * CYCLE - CYCLE / 2, others[0], self.orbit)
        if self.rng.random() < 0.5 and self.fate != "stopped":
            shift = timedelta(days=3, minutes=self.rng.choice((-10, 10)))
            for cycle in range(4):
                self._published(time - cycle * CYCLE - shift, self.platform, self.orbit % 143 + 1)

    def _came(self, time: datetime, platform: str, orbit: int) -> Acquisition:
        sensing = time + timedelta(seconds=self.rng.randint(-60, 60))
        found = Acquisition(
            **{"tile": self.tile, "platform": platform, "datatake": sensing.replace(microsecond=0)},
            **{"sensing": sensing, "relative_orbit": orbit, "first_seen": sensing + timedelta(hours=3)},
        )
        self.session.add(found)
        self.session.flush()
        return found

    def _published(self, time: datetime, platform: str, orbit: int) -> None:
        if time < NOW - timedelta(hours=12):
            self._job(self._came(time, platform, orbit), "published")

    def _job(self, came: Acquisition, fate: str) -> None:
        if fate == "waits":  # for an older date of the tile, which is held
            self._job(self._came(came.sensing - timedelta(days=2), "S2X", came.relative_orbit or 1), "held")
        state = JOB_STATES.get(fate, fate)
        over = state in ("published", "not_valid", "rejected", "failed")
        job = Job(
            **{"chain_id": self.chain.id, "acquisition_id": came.id, "sensing": came.sensing, "state": state},
            not_before=NOW + timedelta(hours=1) if fate in ("settling", "retry") else came.first_seen,
            reason=REASONS.get(fate),
            created=came.first_seen,
            closed=came.first_seen + timedelta(hours=1) if over else None,
        )
        self.session.add(job)
        self.session.flush()
        if fate == "not_valid":
            self.session.add(Quality(job_id=job.id, cloud_percent=97.1))
        if state in ("published", "running"):
            self._attempt(job, came, fate)

    def _attempt(self, job: Job, came: Acquisition, fate: str) -> None:
        attempt = Attempt(job_id=job.id, token=job.id, owner="w", claimed=came.first_seen, ended=job.closed)
        attempt.outcome = "published" if job.closed else None
        self.session.add(attempt)
        self.session.flush()
        if job.closed is None:
            return
        name = f"{came.platform}_{came.sensing:%Y%m%d-%H%M%S}_{self.tile}_{self.version}"
        product = Product(
            **{"job_id": job.id, "attempt_id": attempt.id, "identifier": name, "tile": self.tile, "path": name},
            **{"platform": came.platform, "sensing": came.sensing, "version": self.version, "mode": "nominal"},
            **{"manifest_sha": "0" * 64, "bytes": 1, "published": job.closed, "valid": fate != "withdrawn"},
        )
        self.session.add(product)
        self.session.flush()
        if fate == "withdrawn":
            data = {"reason": "seen to be wrong"}
            self.session.add(Event(time=NOW, kind="withdrawn", product_id=product.id, data=data))


def right(session: Session, case: Case) -> bool:
    """Whether the answer is what was flown."""
    day = whereabouts.on(session, case.tile, case.day.date(), NOW)
    if case.fate in ("stopped", "before", "empty"):
        told = {"stopped": any(p.platform == case.platform for p in day.stopped), "empty": day.before is not None}
        told["before"] = day.first is not None and day.first.date() > case.day.date()
        return not day.passes and told[case.fate]
    if len(day.passes) != 1:
        return False
    (found,) = day.passes
    place = (found.platform, abs(found.time - case.day) < timedelta(minutes=5))
    if place != (case.platform, True):
        return False
    fate = "missing" if case.fate == "lost" else case.fate
    if fate in whereabouts.PASS_STATES:
        missing = case.tile in {m.tile for m in passes.missing(session, NOW - timedelta(days=1), NOW, NOW)}
        return found.state == fate and missing == (fate == "missing")
    return found.state == "arrived" and [made.state for made in found.made] == [case.fate] and _detail(found.made[0])


def _detail(made: whereabouts.Made) -> bool:
    """Whether what is said beside the state is what was flown."""
    if made.state == "waits":
        return made.blocker is not None and made.blocker.state == "held" and made.soonest is None
    told = {"published": made.product, "withdrawn": made.reason == "seen to be wrong", "running": made.soonest}
    told |= {"queued": made.soonest, "settling": made.soonest, "paused": made.soonest is None}
    return bool(told.get(made.state, made.reason == REASONS.get(made.state)))


def fill(store: Store, products: int = PRODUCTS, tiles: int = TILES) -> list[str]:
    """Rows of a centre that has been at work for years; its tiles."""
    rows: dict[type, list[dict[str, Any]]] = {t: [] for t in (Acquisition, Job, Attempt, Product, Event)}
    found = names(tiles)
    dates = -(-products // tiles)
    for place, tile in enumerate(found):
        for date in range(dates):
            sensing = NOW - timedelta(days=5 * (dates - date) - place % 5, minutes=place % 60)
            seen, key = sensing + timedelta(hours=5), len(rows[Job]) + 1
            name = f"S_{sensing:%Y%m%d-%H%M%S}_{tile}"
            one = {"id": key, "tile": tile, "platform": f"S2{'AB'[date % 2]}", "sensing": sensing}
            one["relative_orbit"] = 1 + place % 143
            rows[Acquisition].append({**one, "datatake": sensing, "first_seen": seen, "simulated": False})
            job = {"id": key, "chain_id": place + 1, "acquisition_id": key, "sensing": sensing, "revision": 0}
            job |= {"state": "published", "not_before": seen, "created": seen, "closed": seen, "attempts": 0}
            rows[Job].append({**job, "late": False})
            attempt = {"id": key, "job_id": key, "token": 1, "owner": "w", "claimed": seen, "ended": seen}
            rows[Attempt].append({**attempt, "outcome": "published"})
            made = {**one, "job_id": key, "attempt_id": key, "identifier": name, "version": "V1_4", "path": name}
            made |= {"mode": "nominal", "manifest_sha": "", "bytes": 1, "published": seen, "revision": 0}
            made |= {"valid": True, "current": True, "previous_not_latest": False, "simulated": False}
            rows[Product].append(made | {"l1c": [], "absent": [], "origin": {}, "seconds": {}})
            rows[Event].append({"time": seen, "kind": "arrived", "severity": "info", "tile": tile, "data": {}})
    with store.write() as session:
        session.execute(sa.insert(Campaign), [{"id": 1, "version": "V1_4", "priority": 0, "opened": NOW}])
        session.execute(sa.insert(Site), [{"code": "s", "name": "S", "country": "", "priority": 1, "active": True}])
        session.execute(sa.insert(Tile), [{"mgrs": tile, "current_version": "V1_4"} for tile in found])
        session.execute(sa.insert(SiteTile), [{"site": "s", "tile": tile} for tile in found])
        chains = [{"id": n + 1, "tile": tile, "campaign_id": 1, "priority": 0} for n, tile in enumerate(found)]
        session.execute(sa.insert(Chain), [chain | {"token": 0} for chain in chains])
        for table, made_up in rows.items():
            session.execute(sa.insert(table), made_up)
    return found


def seconds(store: Store, tiles: list[str], asked: int = 100) -> np.ndarray:
    """How long each of some questions takes. [s]"""
    rng = random.Random(2)
    took = []
    for _ in range(asked):
        tile, day = rng.choice(tiles), (NOW - timedelta(days=rng.randint(-10, 150))).date()
        began = time.perf_counter()
        with store.read() as session:
            whereabouts.on(session, tile, day, NOW)
        took.append(time.perf_counter() - began)
    return np.array(took)


def main() -> None:
    """Print both figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=PRODUCTS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{Path(folder) / 'cases.db'}")
        store.upgrade()
        with store.write() as session:
            cases = fly(session)
        with store.read() as session:
            wrong = [case for case in cases if not right(session, case)]
        print(f"{len(cases) - len(wrong)} of {len(cases)} cases right, of {len(FATES)} kinds")
        for case in wrong:
            print(f"  wrong: {case}")
        store.dispose()
        store = Store(f"sqlite:///{Path(folder) / 'large.db'}")
        store.upgrade()
        tiles = fill(store, arguments.products)
        took = 1000 * seconds(store, tiles)
        store.dispose()
    print(f"{arguments.products} products, {len(tiles)} tiles: ", end="")
    print(", ".join(f"p{q} {np.percentile(took, q):.0f} ms" for q in (50, 95, 100)))


if __name__ == "__main__":
    main()
