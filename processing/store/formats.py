"""Formats of the Level-1C: which came first when, tile by tile, and packages that wait for theirs to be admitted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing.store import events
from processing.store.dialect import insert, now
from processing.store.models import Granule, HeldPackage, SeenFormat

_BASELINES = sa.select(Granule.name, Granule.baseline).where(Granule.name.in_(sa.bindparam("names", expanding=True)))


def note(session: Session, time: datetime, **seen: object) -> None:
    """Note a package of a tile, columns as in `SeenFormat`; a tile that switches with it is told among the events."""
    before = session.execute(
        sa.select(SeenFormat.baseline, SeenFormat.kind).where(SeenFormat.tile == seen["tile"]).distinct()
    ).all()
    session.execute(insert(session, SeenFormat).values(**seen).on_conflict_do_nothing())
    if before and (seen["baseline"], seen["kind"]) not in {tuple(row) for row in before}:
        data = {name: str(seen[name]) for name in ("platform", "baseline", "kind")}
        data |= {"l1c": str(seen["name"]), "reason": f"the first of {in_words(data)} of this tile"}
        events.record(session, time, "new_format", tile=str(seen["tile"]), data=data)


def in_words(data: dict[str, str]) -> str:
    """A format in words."""
    return f"{data['platform']}, baseline {data['baseline']}, {data['kind']}"


@dataclass(frozen=True)
class Format:
    """A format that was seen: satellite, baseline and kind of package, and the first of its packages.

    Attributes
    ----------
    platform, baseline, kind : str
    first : datetime
        When the first package of it was noticed.
    name : str
        That package.
    tiles : int
        That have it.
    """

    platform: str
    baseline: str
    kind: str
    first: datetime
    name: str
    tiles: int


def seen(session: Session) -> list[Format]:
    """All formats that came, the newest first."""
    key = (SeenFormat.platform, SeenFormat.baseline, SeenFormat.kind)
    first = sa.func.min(SeenFormat.seen, type_=SeenFormat.seen.type)
    rows = session.execute(sa.select(*key, first, sa.func.count()).group_by(*key).order_by(first.desc(), *key)).all()
    found = []
    for platform, baseline, kind, time, tiles in rows:
        of = (SeenFormat.platform == platform, SeenFormat.baseline == baseline, SeenFormat.kind == kind)
        name = session.scalar(sa.select(SeenFormat.name).where(*of).order_by(SeenFormat.seen, SeenFormat.tile).limit(1))
        found.append(Format(platform, baseline, kind, time, name or "", tiles))
    return found


@dataclass(frozen=True)
class Switch:
    """A tile came to a baseline or a kind of package: from which, with which package, when.

    Attributes
    ----------
    tile, baseline, kind : str
    before : str
        The baseline that it had; empty where it is the tile's first.
    name : str
    sensing, seen : datetime
    """

    tile: str
    baseline: str
    kind: str
    before: str
    name: str
    sensing: datetime
    seen: datetime


def switches(session: Session, limit: int | None = None) -> list[Switch]:
    """When each tile came to each baseline and kind of package, whichever satellite brought it; the last first."""
    last: dict[str, str] = {}
    known: set[tuple[str, str, str]] = set()
    found = []
    for row in session.scalars(sa.select(SeenFormat).order_by(SeenFormat.seen, SeenFormat.name)):
        if (row.tile, row.baseline, row.kind) in known:
            continue
        known.add((row.tile, row.baseline, row.kind))
        found.append(Switch(row.tile, row.baseline, row.kind, last.get(row.tile, ""), row.name, row.sensing, row.seen))
        last[row.tile] = row.baseline
    return found[::-1] if limit is None else found[::-1][:limit]


def baselines(session: Session, packages: Iterable[str]) -> dict[str, str]:
    """Processing baselines of Level-1C packages, by their names."""
    return {name: baseline for name, baseline in session.execute(_BASELINES, {"names": list(packages)})}


# Packages that wait


def held(session: Session) -> Sequence[HeldPackage]:
    """The packages that wait to be admitted, the first that came first."""
    return session.scalars(sa.select(HeldPackage).order_by(HeldPackage.seen, HeldPackage.name)).all()


def waiting(session: Session) -> dict[str, int]:
    """What waits to be admitted, and how many packages wait for it."""
    found = Counter(need for package in held(session) for need in package.needs)
    return dict(sorted(found.items()))


def recognised(needs: Sequence[str]) -> str:
    """Why a package waits, in words: ``recognised as S2D, which this centre has not admitted yet``."""
    what = " and ".join(need if need.startswith("S2") else f"baseline {need}" for need in needs)
    return f"recognised as {what}, which this centre has not admitted yet"


def hold(session: Session, package: HeldPackage) -> None:
    """Have a package wait."""
    session.add(package)
    session.flush()
    data = {"l1c": package.name, "reason": recognised(package.needs), "needs": list(package.needs)}
    events.record(session, now(session), "held", severity="warning", actor=package.source, data=data)


def is_held(session: Session, name: str) -> bool:
    """Whether a package of this name waits."""
    return session.get(HeldPackage, name) is not None


def let_go(session: Session, name: str) -> None:
    """A package waits no more."""
    session.execute(sa.delete(HeldPackage).where(HeldPackage.name == name))
