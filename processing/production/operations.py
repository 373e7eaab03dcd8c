"""What operators ask and order; the same functions serve the command line and the pages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing.errors import UnknownName
from processing.naming import bare
from processing.people import Actor
from processing.production import attempt_log
from processing.production import audit as auditing
from processing.production import stories as telling
from processing.settings import Settings
from processing.store import Store, attempts, backlog, checks, delays, draining, orders, tallies
from processing.store import formats as store_formats
from processing.store.dialect import now
from processing.store.models import JOB_STATES, Anomaly, Campaign, Chain, HeldPackage, Job, Product, is_open


def status(store: Store) -> dict[str, Any]:
    """Dates by state, backlog, delay, rate, the last product and what goes wrong, as JSON-ready values.

    Keys: ``states`` (of jobs), ``backlog`` (open jobs), ``waits`` (what they wait for), ``running`` (what is at which
    step), ``oldest_waiting`` (when the oldest open job was queued), ``delay_hours`` (from sensing to publication, of
    the last day's products), ``late_by`` (the stage that takes the most time, or longer than usual),
    ``published_last_hour``, ``published_last_day``, ``last_published`` (identifier and time), ``tiles``,
    ``products``, ``previous_not_latest`` (products made without a date that came late), ``expired_leases``,
    ``drained_since`` (None: it is not), ``to_admit`` (satellites and baselines that are not known, and the packages
    that wait), ``anomalies`` (open).
    """
    with store.read() as session:
        time = now(session)
        counts = tallies.states(session)
        waiting = sa.select(sa.func.min(Job.created)).where(is_open(), Job.state != "running")
        oldest = session.scalar(waiting)
        last = session.execute(
            sa.select(Product.identifier, Product.published).order_by(Product.id.desc()).limit(1)
        ).one_or_none()
        recent = delays.delays(session, time - delays.RECENT)
        blamed = delays.blame(session, time, recent)
        drained = draining.since(session)
        anomalies = session.scalars(sa.select(Anomaly).where(Anomaly.closed.is_(None)).order_by(Anomaly.opened)).all()

        def published_since(hours: float) -> int:
            since = time - timedelta(hours=hours)
            return session.scalar(sa.select(sa.func.count()).where(Product.published >= since)) or 0

        return {
            "states": {state: counts[state] for state in JOB_STATES if state in counts},
            "backlog": sum(counts.get(state, 0) for state in ("ready", "running", "retry", "held")),
            "waits": _waits(session),
            "running": {
                f"{run.tile} {run.sensing:%Y-%m-%d} {run.version}": _how_far(run) for run in backlog.running(session)
            },
            "oldest_waiting": oldest.isoformat(timespec="seconds") if oldest else None,
            "published_last_hour": published_since(1),
            "published_last_day": published_since(24),
            "last_published": {"identifier": last[0], "time": last[1].isoformat(timespec="seconds")} if last else None,
            "delay_hours": _hours(recent) if recent else None,
            "late_by": _blamed(blamed) if blamed else None,
            "tiles": session.scalar(sa.select(sa.func.count(sa.distinct(Chain.tile)))),
            "products": tallies.products(session)[0],
            "previous_not_latest": session.scalar(
                sa.select(sa.func.count()).where(Product.previous_not_latest, Product.current)
            ),
            "expired_leases": checks.expired_leases(session),
            "drained_since": drained.isoformat(timespec="seconds") if drained else None,
            "to_admit": store_formats.waiting(session),
            "anomalies": {f"{a.reason_class}, {a.signature}": f"{a.count} x, last: {a.last}" for a in anomalies},
        }


def _waits(session: Session) -> dict[str, int]:
    """Open dates that don't run, by what they wait for."""
    found = dict.fromkeys(backlog.REASONS.values(), 0)
    for (_, reason), (count, _) in backlog.summary(session).items():
        found[backlog.REASONS[reason]] += count
    return {words: count for words, count in found.items() if count and words != backlog.REASONS["running"]}


def _how_far(run: backlog.Running) -> str:
    where = run.host or run.owner
    return f"on {where}" if run.share is None else f"{run.step}, {100 * run.share:.0f} %, on {where}"


def _hours(found: delays.Delays) -> dict[str, float]:
    return {f"p{p}": round(value / 3600, 2) for p, value in zip(delays.PERCENTILES, found.total, strict=True)}


def _blamed(found: delays.Blame) -> str:
    usual = f", {found.usual / 3600:.2f} h usually" if found.usual == found.usual else ""
    return (
        f"{delays.STAGES[found.stage]}: {found.seconds / 3600:.2f} h of {found.total / 3600:.2f} h{usual} (medians of "
        "the last day)"
    )


def formats(store: Store) -> dict[str, Any]:
    """What came in which format, the first package of each, and what waits to be admitted, as JSON-ready values.

    Keys: ``seen`` (satellite, baseline and kind, the newest first), ``switches`` (when each tile came to a baseline or
    kind, the last first), ``held`` (packages that wait, with the reason).
    """
    with store.read() as session:
        return {
            "seen": [
                {**vars(one), "first": one.first.isoformat(timespec="seconds")} for one in store_formats.seen(session)
            ],
            "switches": [
                {
                    **vars(one),
                    "seen": one.seen.isoformat(timespec="seconds"),
                    "sensing": one.sensing.isoformat(timespec="seconds"),
                }
                for one in store_formats.switches(session)
            ],
            "held": [
                {
                    "name": one.name,
                    "needs": list(one.needs),
                    "reason": store_formats.recognised(one.needs),
                    "seen": one.seen.isoformat(timespec="seconds"),
                }
                for one in store_formats.held(session)
            ],
        }


def logs(store: Store, settings: Settings, name: str, attempt: int | None = None) -> list[dict[str, Any]]:
    """What the attempts of dates left behind, one JSON-ready value each, with the lines of its log.

    Parameters
    ----------
    name : str
        Of a Level-1C package or product, ``job:<id>``, a day, or a tile and a day: ``31TCJ/2024-06-08``.
    attempt : int, optional
        The number of the attempt, from 1; the last one of each date without it.

    Raises
    ------
    UnknownName
        If nothing has this name, or no date has so many attempts.
    """
    with store.read() as session:
        found = [attempts.of_job(session, job) for job in attempts.jobs(session, name)]
    chosen = [t for tries in found for t in (tries[-1:] if attempt is None else tries) if attempt in (None, t.number)]
    if not chosen:
        of = (
            "no attempt began yet"
            if not any(found)
            else f"no attempt {attempt}, the last one is {max(map(len, found))}"
        )
        raise UnknownName(f"{name}: {of}")
    return [_log(settings, one) for one in chosen]


def _log(settings: Settings, one: attempts.Try) -> dict[str, Any]:
    made = one.attempt
    return {
        "date": f"{one.tile} {one.job.sensing:%Y-%m-%dT%H:%M:%SZ} {one.version}",
        "job": f"job:{one.job.id}",
        "attempt": one.number,
        "began": made.started or made.claimed,
        "ended": made.ended,
        "outcome": made.outcome or "running",
        "reason": made.reason,
        "host": made.host,
        "peak_memory": made.peak_memory,
        "lines": log_lines(settings, made.log_path),
    }


def log_lines(settings: Settings, log_path: str | None) -> list[attempt_log.Line]:
    """The lines of an attempt's log; one that says why, where there are none."""
    if log_path is None:
        return [attempt_log.Line("no worker began with it")]
    try:
        lines = list(attempt_log.read(settings.logs / log_path))
    except OSError as error:
        return [attempt_log.Line(f"logs/{log_path} can't be read here: {error.strerror}", level="warning")]
    return lines or [attempt_log.Line(f"logs/{log_path} is empty")]


def stories(store: Store, name: str) -> dict[str, Any]:
    """Which rule keeps something waiting, or what became of it: as of `telling.stories`.

    Raises
    ------
    UnknownName
        If nothing has this name.
    """
    with store.read() as session:
        if (held := session.get(HeldPackage, bare(name.rstrip("/").rsplit("/", 1)[-1]))) is not None:
            return {held.name: {"state": "held", "why": store_formats.recognised(held.needs)}}
        return telling.stories(session, name)


def audit(store: Store, settings: Settings) -> list[str]:
    """Broken promises, one line each: of the store, and between the store and the disk. Empty if all is well."""
    return [finding.line for finding in auditing.audit(store, settings)]


def retry(store: Store, name: str, actor: Actor) -> str:
    """Queue a failed or rejected date again, in all its versions; what was done, in words."""
    return _order(store, name, actor, orders.retry)


def replay(store: Store, name: str, actor: Actor) -> str:
    """Make a date and the later ones that go back to it again, each as its next revision."""
    return _order(store, name, actor, orders.replay)


def hold(store: Store, name: str, actor: Actor) -> str:
    """Keep a date, and the later ones of its tile, from being processed."""
    return _order(store, name, actor, orders.hold)


def release(store: Store, name: str, actor: Actor) -> str:
    """Let a held date go on."""
    return _order(store, name, actor, orders.release)


def reject(store: Store, name: str, actor: Actor) -> str:
    """Give a date up, so that its tile goes on without it."""
    return _order(store, name, actor, orders.reject)


def drain(store: Store, actor: Actor, *, end: bool = False) -> tuple[bool, int]:
    """Let what runs come to its end and start nothing further, or go on; whether that is new, and how many run."""
    with store.write() as session:
        changed = draining.end(session, actor) if end else draining.begin(session, actor)
        return changed, len(backlog.running(session))


def _order(store: Store, name: str, actor: Actor, verb: Callable[[Session, Job, Actor], str]) -> str:
    actor.require("order")
    with store.write() as session:
        answers = {}
        for job in orders.find_jobs(session, name):
            version = session.get_one(Campaign, session.get_one(Chain, job.chain_id).campaign_id).version
            answers[version] = verb(session, job, actor)
        return ", ".join(f"{version} {answer}" for version, answer in answers.items())
