"""A satellite or a processing baseline that was not known is let in, and what was held for it goes its way.

The bands of a satellite are weighted by the spectral responses that its Level-1C carries, or by those of another one. A
baseline is let in once a held package of it was looked at point by point. What was decided is in a file of the home's
folder ``admitted``, in the events, and in the metadata of every product made by it.
"""

from __future__ import annotations

import math
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from processing import bounded, known, l1c
from processing.atmosphere import responses, tables
from processing.errors import InputError, L1CError, MuscateError, OverLimit, UnknownName
from processing.l1c import checklist, opening
from processing.people import Actor
from processing.production.ingest import READ_MEMORY, READ_SECONDS, Ingested, named
from processing.production.watcher import Inbox
from processing.settings import Settings
from processing.store import Store, events, formats
from processing.store.dialect import now

#: What looking at a package may take: a band of it is decoded. [bytes], [s]
MEMORY, SECONDS = 4_000_000_000, 300.0


class NotAdmitted(MuscateError):
    """What can't be admitted, and why: the points of the list that are not well among it."""

    reason_class = "input"


@dataclass(frozen=True)
class Admission:
    """What was admitted.

    Attributes
    ----------
    name : str
    origin : str
        What every product made by it says.
    report : sequence of str
        The bands beside those of the nearest satellite, or the points of the check list.
    released : sequence of Ingested
        What became of the packages that waited.
    """

    name: str
    origin: str
    report: Sequence[str]
    released: Sequence[Ingested] = ()


def admit(
    store: Store,
    settings: Settings,
    name: str,
    actor: Actor,
    *,
    responses_from: str | None = None,
    like: str | None = None,
    release: bool = True,
) -> Admission:
    """Let a satellite (``S2D``) or a baseline (``06.00``, or ``06`` for all of them) in, and release what waits for it.

    A satellite gets the spectral responses of a package, the first held one where none is named, or those of another
    satellite. What was admitted before is replaced only where one of both is said. Without `release` the watcher takes
    what waits, when it looks next.

    Raises
    ------
    NotAllowed
        If the actor may not.
    UnknownName
        If the name is of neither, or no package of it is there.
    NotAdmitted
        If it is known already, or a package of it is not as it should be.
    InputError
        If the package that is named can't be used.
    """
    actor.require("admit")
    found = known.read(settings.admitted)
    with store.read() as session:
        day = f"{now(session):%Y-%m-%d}"
    how = f"admitted on {day} by {actor.name}"
    if re.fullmatch(known.SATELLITE, name):
        there = found.satellites.get(name)
        if there is not None and (there.file is None or not (responses_from or like)):
            raise NotAdmitted(f"{name} is known already: {there.origin}")
        made = _satellite(store, settings, found, name, how, responses_from, like)
    elif re.fullmatch(known.BASELINE, name):
        if like or responses_from:
            raise NotAdmitted(f"{name} is a processing baseline: it has no spectral responses")
        if name in found.baselines or (len(name) > 2 and found.baseline(name)):
            raise NotAdmitted(f"baseline {name} is known already")
        made = _baseline(store, settings, found, name, how)
    else:
        raise UnknownName(f"{name}: neither a satellite, as S2D, nor a baseline, as 06.00 or 06")
    with store.write() as session:
        data = {"name": name, "reason": f"{name}: {made.origin}", "report": list(made.report)}
        events.audit(session, now(session), "admitted", actor, data=data)
    return replace(made, released=Inbox(settings, store).release() if release else ())


# Satellites


def satellite(
    folder: Path, found: known.Known, name: str, how: str, *, package: Path | None = None, like: str | None = None
) -> Admission:
    """Write what admits a satellite: by the responses that a package carries, or by those of another satellite.

    Parameters
    ----------
    folder : Path
        Receives it.
    how : str
        When and by whom, in words.

    Raises
    ------
    UnknownName
        If the other satellite is not known.
    InputError
        If the package has no usable responses.
    """
    shipped = [one.sensor for one in found.satellites.values() if one.file is None]
    if like is not None:
        other = found.satellites.get(like)
        if other is None:
            raise UnknownName(f"{like} is not known: {', '.join(found.satellites)} are")
        own = other.responses()
        sensor = other.sensor if own is None else own.sensor
        origin = f"spectral responses of {like} stand in for those of {name}: {how}"
        folded = None if sensor in shipped else tables.folded(sensor)
        report = [f"{name} is taken for {like}"]
    else:
        assert package is not None
        folded = _folded(package)
        sensor = tables.admit(folded)
        nearest = responses.nearest(sensor, shipped)
        said = f"{name}'s own spectral responses, as in {named(package)} (weights {folded.digest()})"
        origin = f"{said}: {how}"
        report = [f"{name} beside {nearest}, the nearest satellite that is known:", *table(sensor, nearest)]
    entry = {"origin": origin, "sensor": sensor if folded is None else "", "report": report}
    known.write(folder, name, entry, folded)
    return Admission(name, origin, report)


@contextmanager
def meanwhile(
    packages: Sequence[Path], centre: Path | None, responses_from: Path | None, like: str | None
) -> Iterator[Path | None]:
    """A folder in which the unknown satellites of packages are admitted, as long as it is used; else that of a centre.

    Raises
    ------
    UnknownName
        If the other satellite is not known.
    InputError
        If the package that is named has no usable responses.
    """
    if responses_from is None and like is None:
        yield centre
        return
    with tempfile.TemporaryDirectory(prefix="muscate-admitted-") as folder:
        admitted = Path(folder)
        if centre is not None:
            shutil.copytree(centre, admitted, dirs_exist_ok=True)
        found = known.read(admitted)
        for name in sorted(_platforms(packages) - set(found.satellites)):
            satellite(admitted, found, name, "for this run only", package=responses_from, like=like)
        yield admitted


def _platforms(packages: Sequence[Path]) -> set[str]:
    """The satellites that packages say they are of; what is wrong with the others is said when they are read."""
    found = set()
    for package in [inner for path in packages for inner in l1c.packages(path)]:
        with suppress(MuscateError):
            found.add(bounded.run(opening.said, package, memory=READ_MEMORY, seconds=READ_SECONDS).platform)
    return found


def _folded(package: Path) -> tables.Folded:
    try:
        carried = bounded.run(l1c.spectral_responses, package, memory=READ_MEMORY, seconds=READ_SECONDS)
        return responses.fold(carried)
    except (OverLimit, MuscateError) as error:
        if isinstance(error, InputError):
            raise
        raise L1CError(package, f"{error}: --like takes another satellite's") from error


def table(sensor: str, other: str) -> list[str]:
    """The bands of a satellite beside those of another one, in lines."""
    lines = [f"{'band':4} {'centre':>9} {'shift':>8} {'width':>6} {'molecules':>9} {'reflectance':>11}"]
    for d in responses.compare(sensor, other):
        error = "-" if math.isnan(d.reflectance) else f"{d.reflectance:+.4f}"
        shift, rayleigh = f"{d.shift:+.2f} nm", f"{d.rayleigh:+.1f} %"
        lines.append(f"{d.band:4} {d.centre:6.1f} nm {shift:>8} {d.width:6.3f} {rayleigh:>9} {error:>11}")
    return lines


def _satellite(
    store: Store,
    settings: Settings,
    found: known.Known,
    name: str,
    how: str,
    responses_from: str | None,
    like: str | None,
) -> Admission:
    if like is not None:
        return satellite(settings.admitted, found, name, how, like=like)
    package = _held(store, settings, name) if responses_from is None else _package(store, settings, responses_from)
    return satellite(settings.admitted, found, name, how, package=package)


def _held(store: Store, settings: Settings, name: str) -> Path:
    """The first package that waits for something to be admitted."""
    with store.read() as session:
        for package in formats.held(session):
            if any(need == name or need.startswith(f"{name}.") for need in package.needs):
                return settings.l1c / package.path
    raise UnknownName(f"no package waits for {name}, and none is named whose spectral responses could be taken")


def _package(store: Store, settings: Settings, text: str) -> Path:
    """A package by its path, or by the name of one that waits."""
    if Path(text).exists():
        return Path(text)
    with store.read() as session:
        for package in formats.held(session):
            if package.name == named(Path(text)):
                return settings.l1c / package.path
    raise UnknownName(f"{text}: no such package, neither here nor among those that wait")


# Baselines


def _baseline(store: Store, settings: Settings, found: known.Known, name: str, how: str) -> Admission:
    package = _held(store, settings, name)
    try:
        checked = bounded.run(checklist.check, package, found, memory=MEMORY, seconds=SECONDS)
    except OverLimit as error:
        raise L1CError(package, str(error)) from error
    report = [f"baseline {checked.baseline} as in {named(package)}:"]
    report += [f"{'ok' if p.well else '!!'}  {p.what}: {p.found}" for p in checked.points]
    if not checked.well or checked.form is None:
        raise NotAdmitted(f"baseline {name} is not admitted. {'; '.join(report[:1] + _faults(checked))}")
    origin = f"baseline {name}, its format as found in {named(package)}: {how}"
    entry: Mapping[str, Any] = {"offset": checked.form.offset, "masks": checked.form.masks}
    known.write(settings.admitted, name, {"origin": origin, **entry, "report": report})
    return Admission(name, origin, report)


def _faults(checked: checklist.Checked) -> list[str]:
    return [f"{point.what}: {point.found}" for point in checked.points if not point.well]
