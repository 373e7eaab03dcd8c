"""What an attempt leaves behind: its log and its progress, whatever happened to it; and how they are read."""

from __future__ import annotations

import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from processing.chain import steps
from processing.errors import UnknownName
from processing.production import attempt_log, operations, progress, worker
from processing.production.attempt_log import Line, Writer
from processing.production.processor import Outcome
from processing.production.request import Request
from processing.store import backlog
from processing.store.models import Attempt
from tests import production_fake
from tests.test_production import Centre, as_it_was, centre  # noqa: F401

# ruff: noqa: F811


def slow(request: Request) -> Outcome:
    """A chain that says what it is at, warns, prints, and takes its time."""
    progress.begin("read")
    logging.getLogger("library").warning("the %s is old", "table")
    warnings.warn("deprecated", stacklevel=1)
    print("written by a library in C")
    progress.begin(progress.CHAIN)
    with steps.Stopwatch():
        _cloud_mask()
    progress.begin("write")
    return production_fake.produce(request)


@steps.step
def _cloud_mask() -> None:
    import time

    time.sleep(0.06)


def lines(centre: Centre, name: str) -> list[Line]:
    return [line for one in operations.logs(centre.store, centre.settings, name) for line in one["lines"]]


def test_a_log_holds_what_the_chain_did(centre: Centre) -> None:
    name = centre.add(0)
    assert worker.run_attempt(centre.claim(), centre.settings, f"{__name__}:slow") == "published"
    found = {line.event: line for line in lines(centre, name)}
    assert found["attempt"].fields["l1c"] == [name]
    assert found["the table is old"].level == "warning"
    assert any("deprecated" in event for event in found)
    assert "written by a library in C" in found
    assert found["ended"].fields["seconds"] >= 0.06
    assert found["ended"].fields["peak_mb"] > 10
    assert found["outcome"].fields["figures"]["cloud_percent"] == 10
    assert found["published"].fields["seconds"] > 0


@pytest.mark.parametrize("do", ["broken", "no_terrain", "disk_full", "bug", "kill", "cloudy"])
def test_no_attempt_ends_without_a_word(centre: Centre, do: str) -> None:
    name = centre.add(0, do)
    result = centre.run()
    found = lines(centre, name)
    assert found[-1].event == result
    assert found[0].event == "attempt"
    reason = centre.job(name).reason or ""
    told = " ".join(line.text() for line in found)
    assert all(word in told for word in reason.split()[-2:])
    if do == "bug":
        assert "production_fake.py" in told
        assert "ZeroDivisionError" in told
    assert all(json.loads(line) for line in _file(centre).read_text().splitlines() if line.startswith("{"))


def _file(centre: Centre) -> Path:
    return next(centre.settings.logs.glob("attempts/*/*.log"))


def test_the_progress_of_a_running_date_is_in_the_store(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[backlog.Running] = []

    class Telling(worker._Telling):
        def __call__(self, step: str, share: float) -> None:
            super().__call__(step, share)
            with centre.store.read() as session:
                seen.extend(backlog.running(session))

    monkeypatch.setattr(worker, "_Telling", Telling)
    monkeypatch.setattr(worker, "TELL_SECONDS", 0.0)
    centre.add(0)
    assert worker.run_attempt(centre.claim(), centre.settings, f"{__name__}:slow") == "published"
    assert [run.step for run in seen] == ["read", "write"]
    shares = [run.share for run in seen]
    assert shares == sorted(share for share in shares if share is not None)
    assert all(run.progressed is not None for run in seen)
    with centre.store.read() as session:
        assert backlog.running(session) == []
        last = session.scalars(sa.select(Attempt)).one()
        assert last.step == "write"
        assert worker.attempts.tell(session, last.id, "read", 0.0) is None  # an attempt that ended stays as it was
        session.expire_all()
        assert session.scalars(sa.select(Attempt)).one().step == "write"


def test_a_short_attempt_costs_no_write_for_its_progress(centre: Centre) -> None:
    centre.add(0)
    assert worker.run_attempt(centre.claim(), centre.settings, f"{__name__}:slow") == "published"
    with centre.store.read() as session:
        assert session.scalars(sa.select(Attempt)).one().step is None


def test_every_attempt_of_a_date_can_be_read_by_number(centre: Centre) -> None:
    name = centre.add(0, "bug")
    assert centre.run() == "failed"
    centre.change(name, "valid")
    operations.retry(centre.store, name, production_actor())
    assert centre.run() == "published"
    day, by_tile = f"{centre.job(name).sensing:%Y-%m-%d}", f"33TWM/{centre.job(name).sensing:%Y-%m-%d}"
    for way in (name, day, by_tile, f"job:{centre.job(name).id}"):
        (last,) = operations.logs(centre.store, centre.settings, way)
        assert (last["attempt"], last["outcome"]) == (2, "published")
        (first,) = operations.logs(centre.store, centre.settings, way, 1)
        assert (first["attempt"], first["outcome"]) == (1, "failed")
    with pytest.raises(UnknownName, match="the last one is 2"):
        operations.logs(centre.store, centre.settings, name, 3)
    for wrong in ("2023-13-45", "1999-01-01", "31TCJ/2023-08-10"):
        with pytest.raises(UnknownName):
            operations.logs(centre.store, centre.settings, wrong)


def production_actor() -> Any:
    from tests.people import OPERATOR

    return OPERATOR


def test_a_log_that_is_gone_or_empty_says_so(centre: Centre) -> None:
    name = centre.add(0)
    assert centre.run() == "published"
    _file(centre).write_text("")
    assert "is empty" in lines(centre, name)[0].event
    _file(centre).unlink()
    assert "can't be read here" in lines(centre, name)[0].event


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    attempt_log.note(tmp_path / "missing" / "x.log", "attempt")


def test_a_runaway_chain_has_a_bounded_log_and_still_its_last_word() -> None:
    stream = io.StringIO()
    writer = Writer(stream)
    for number in range(3 * attempt_log.MAX_LINES):
        writer.note("again", number=number, text="x" * 20_000 if number < 5 else "")
    writer.failure(ValueError("boom"), bug=True)
    told = list(attempt_log.parsed(stream.getvalue().splitlines()))
    assert len(told) == attempt_log.MAX_LINES + 2
    assert told[-2].event == "further lines are left out"
    assert told[-1].fields["reason"] == "boom"
    assert max(map(len, stream.getvalue().splitlines())) < attempt_log.MAX_VALUE + 500


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"))
    )
)
def test_whatever_a_library_prints_can_be_read(texts: list[str]) -> None:
    found = list(attempt_log.parsed(texts))
    assert len(found) <= len(texts)
    assert all(isinstance(line.text(), str) for line in found)


def test_of_a_very_long_log_the_beginning_and_the_end_are_shown(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("first\n" + "between\n" * 200_000 + "last\n")
    found = list(attempt_log.read(log))
    assert (found[0].event, found[-1].event) == ("first", "last")
    assert any("are not shown" in line.event for line in found)
    assert sum(len(line.event) for line in found) < attempt_log.SHOWN


def test_progress_only_goes_forward_and_steps_count_in_the_chain_alone() -> None:
    told: list[tuple[str, float]] = []
    with progress.told(lambda step, share: told.append((step, share)), lambda step, seconds: None):
        progress.begin("read")
        with steps.Stopwatch():
            _named("subsampling")()  # the thinned look at a date
        progress.begin(progress.CHAIN)
        with steps.Stopwatch():
            for name in ("subsampling", "clouds", "clouds", "rayleigh", "geometry"):
                _named(name)()
        progress.begin("write")
    assert [step for step, _ in told] == ["read", "subsampling", "clouds", "write"]
    assert [share for _, share in told] == sorted(share for _, share in told)
    progress.begin("read")  # nobody listens any more


def _named(name: str) -> Any:
    def nothing() -> None:
        return None

    nothing.__module__ = f"processing.chain.{name}"
    return steps.step(nothing)


def test_every_step_that_is_told_of_is_one() -> None:
    names = {path.stem for path in Path(sys.modules["processing.chain"].__path__[0]).glob("*.py")}
    assert set(progress.PARTS) - names <= {"read", "backward", "write", "state"}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        yield
