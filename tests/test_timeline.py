"""Which dates make a date: the rules themselves, and that `muscate process` and the centre's store keep the same ones.

The series are random, the store is real; only the chain is a stand-in, which notes what it is given.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, cast
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processing import product, timeline
from processing.errors import InputError
from processing.l1c import Granule
from processing.production import series
from processing.production.processor import Outcome
from processing.scene import Composite, Figures, Grid
from processing.store import Store, catalogue, checks, lease, outcomes, sites
from processing.store.catalogue import Arrival
from processing.store.lease import Claim
from processing.store.outcomes import Made
from processing.timeline import Ground
from processing.versions import parameters
from tests.store_databases import make_tables

V1_4 = parameters("V1_4")
TILE = "31TCJ"
MORNING = datetime(2024, 6, 3, 10, 50, 31, tzinfo=UTC)
SECONDS = timedelta(seconds=20)


@pytest.mark.parametrize(
    ("day", "gap", "anew"), [("2017-06-30", 29, False), ("2017-06-30", 30, True), ("2017-07-01", 15, True)]
)
def test_a_tile_starts_anew_after_the_gap_of_its_time(day: str, gap: int, anew: bool) -> None:
    sensing = datetime.fromisoformat(day).replace(tzinfo=UTC)
    assert timeline.starts_anew(sensing - timedelta(days=gap), sensing, V1_4) is anew


@pytest.mark.parametrize(("gap", "anew"), [(15, False), (89, False), (90, True)])
def test_v2_1_goes_on_as_long_as_its_composite_remembers(gap: int, anew: bool) -> None:
    numbers = parameters("V2_1")
    for day in (datetime(2016, 5, 1, tzinfo=UTC), MORNING):
        assert timeline.starts_anew(day - timedelta(days=gap), day, numbers) is anew
    assert timeline.starts_anew(MORNING - timedelta(days=gap), MORNING, V1_4)


def test_the_gap_of_a_restart_is_elapsed_time() -> None:
    before = MORNING - timedelta(days=15)
    assert timeline.starts_anew(before, MORNING, V1_4)
    assert not timeline.starts_anew(before + SECONDS, MORNING, V1_4)


# The two ways


class Fake(NamedTuple):
    """A package as it is drawn."""

    name: str
    platform: str
    datatake: datetime
    sensing: datetime
    baseline: str
    datastrip: datetime
    generation: datetime


class Step(NamedTuple):
    """What a date was made from: names of packages, the date that it began from, the dates it went back through."""

    packages: frozenset[str]
    sensing: datetime
    previous: datetime | None
    later: tuple[frozenset[str], ...]


class FakeGranule(Granule):
    """A granule without files."""

    def check(self) -> None:
        """Nothing to check."""


def granule_of(package: Fake) -> Granule:
    return FakeGranule(
        path=Path(package.name),
        identifier=package.name,
        tile=TILE,
        platform=package.platform,
        sensing=package.sensing,
        datatake_sensing=package.datatake,
        datastrip=package.datastrip,
        orbit=1,
        relative_orbit=1,
        baseline=package.baseline,
        discriminator="",
        generation=package.generation,
        grid=Grid("EPSG:32631", 0, 0, 60, 60),
        cropped=False,
        quantification=1e4,
        offset={},
        solar_irradiance={},
        physical_gain={},
        simulated=False,
        _sources=(package.name,),  # type: ignore[arg-type]
    )


@dataclass(frozen=True)
class FakeComposite:
    """The recurrent state, as far as its date."""

    sensing: datetime


def load(path: Path) -> Composite:
    return cast(Composite, FakeComposite(datetime.fromisoformat(json.loads(path.read_text()))))


@dataclass
class Alone:
    """`muscate process`, run over packages again and again with one folder of states."""

    folder: Path
    cloudy: frozenset[datetime]
    steps: list[Step] = field(default_factory=list)

    def run(self, packages: Sequence[Fake]) -> list[dict[str, Any]]:
        known = {package.name: package for package in packages}

        def opened(paths: Sequence[Path], tile: str | None) -> Granule:
            return granule_of(known[paths[0].name])

        with (
            mock.patch.object(series, "granule", opened),
            mock.patch.object(series, "correct", self.correct),
            mock.patch.object(product, "load_state", load),
        ):
            paths = [Path(name) for name in known]
            return list(series.process(paths, "V1_4", self.folder / "out", state=self.folder / "state"))

    def correct(
        self,
        source: Granule,
        version: str,
        composite: Composite | None,
        *,
        staging: Path,
        later: Sequence[Callable[[], Granule]],
        **_: object,
    ) -> tuple[Outcome, Composite | None]:
        fed = tuple(frozenset(map(str, opened()._sources)) for opened in later if composite is None)
        packages = frozenset(map(str, source._sources))
        self.steps.append(Step(packages, source.sensing, composite and composite.sensing, fed))
        name = product.identifier(source.platform, source.sensing, TILE, version)
        valid = source.sensing not in self.cloudy
        if valid:
            (staging / name).mkdir()
            (staging / f"{name}.npz").write_text(json.dumps(source.sensing.isoformat()))
        outcome = Outcome(
            l1c=source.identifier,
            identifier=name,
            status="valid" if valid else "not_valid",
            mode="nominal" if composite else "backward" if fed else "init",
            version=version,
            sensing=source.sensing,
            simulated=False,
            product=staging / name if valid else None,
            state=staging / f"{name}.npz" if valid else None,
            figures=Figures(cloud_percent=10.0 if valid else 95.0),
            absent=[],
            origin={},
            flags={},
            seconds={},
        )
        return outcome, cast(Composite, FakeComposite(source.sensing)) if valid else None


class Centre:
    """The store, fed and worked off."""

    def __init__(self, cloudy: frozenset[datetime]) -> None:
        self.cloudy = cloudy
        self.steps: list[Step] = []
        self.late: set[datetime] = set()
        self._dates: dict[int, datetime] = {}
        self.store = Store("sqlite://")
        make_tables(self.store)
        with self.store.write() as session:
            sites.open_campaigns(session, ["V1_4"])

    def run(self, packages: Sequence[Fake]) -> None:
        for package in packages:
            with suppress(InputError), self.store.write() as session:
                catalogue.add(session, arrival_of(package))
        while (claim := self._claim()) is not None:
            self._work(claim)
        with self.store.read() as session:
            assert list(checks.violations(session)) == []

    def _claim(self) -> Claim | None:
        with self.store.write() as session:
            return lease.claim(session, "worker", 60)

    def _work(self, claim: Claim) -> None:
        previous = None if claim.previous is None else self._dates[claim.previous.product_id]
        later = tuple(frozenset(paths) for paths in claim.later)
        self.steps.append(Step(frozenset(claim.names), claim.sensing, previous, later))
        if claim.late:
            self.late.add(claim.sensing)
        name = product.identifier(claim.platform, claim.sensing, claim.tile, claim.version)
        mode = "nominal" if claim.previous else "backward" if claim.later else "init"
        made = Made(mode=mode, figures=Figures(), flags={}, simulated=False, identifier=name, has_state=True)
        with self.store.write() as session:
            if claim.sensing in self.cloudy:
                outcomes.not_valid(session, claim, made, "cloud")
            else:
                self._dates[outcomes.published(session, claim, made).id] = claim.sensing


def arrival_of(package: Fake) -> Arrival:
    return Arrival(
        tile=TILE,
        platform=package.platform,
        datatake=package.datatake,
        sensing=package.sensing,
        relative_orbit=1,
        name=package.name,
        baseline=package.baseline,
        datastrip=package.datastrip,
        generation=package.generation,
        source="test",
        path=package.name,
        bytes=1,
        simulated=False,
    )


@contextmanager
def both(cloudy: frozenset[datetime] = frozenset()) -> Iterator[tuple[Alone, Centre]]:
    centre = Centre(cloudy)
    with tempfile.TemporaryDirectory() as folder:
        yield Alone(Path(folder), cloudy), centre
    centre.store.dispose()


def one(sensing: datetime, platform: str = "S2A", **changes: object) -> Fake:
    start = sensing.replace(microsecond=0) - timedelta(minutes=9)
    drawn = Fake(f"{platform}_{sensing:%Y%m%dT%H%M%S}", platform, start, sensing, "05.10", start, start)
    return drawn._replace(**changes)  # type: ignore[arg-type]


#: Days at which a rule changes its mind, and others.
DAYS = st.sampled_from([0, 1, 5, 10, 14, 15, 16, 29, 30, 31, 80, 89, 90, 91])
#: Beside a limit: none, some seconds of the same orbit, minutes of another one, most of a day.
BESIDE = st.sampled_from([0.0, 0.001, 13.0, 900.0, 80_000.0, -0.001, -13.0, -900.0, -80_000.0])


@st.composite
def passes_of_a_tile(draw: st.DrawFn) -> list[list[Fake]]:
    """Packages of each pass in turn, no two passes at the same time."""
    found: list[list[Fake]] = []
    begin = draw(st.sampled_from([MORNING, MORNING.replace(year=2017, day=1), MORNING.replace(year=2016)]))
    sensing, taken = begin, set()
    for number in range(draw(st.integers(1, 12))):
        sensing += timedelta(days=draw(DAYS), seconds=draw(BESIDE))
        # To the millisecond, as a product's name has it, and a few seconds from the other passes' halves.
        while any(abs((sensing - other).total_seconds()) < 30 for other in taken):
            sensing += SECONDS
        taken.add(sensing)
        halves = draw(st.sampled_from([(0,), (0,), (0, 7)]))
        first = one(sensing, draw(st.sampled_from(["S2A", "S2B"])))
        group = []
        for half in halves:
            for again in range(draw(st.sampled_from([1, 1, 2]))):
                baseline = draw(st.sampled_from(["02.04", "05.10", "05.10"]))
                group.append(
                    first._replace(
                        name=f"{number}.{half}.{again}",
                        # Of two baselines the start of a datatake is the same to the second alone.
                        datatake=first.datatake + timedelta(milliseconds=24 * (baseline == "02.04")),
                        sensing=sensing + timedelta(seconds=half),
                        datastrip=first.datastrip + timedelta(minutes=half),
                        baseline=baseline,
                        generation=first.generation + timedelta(hours=draw(st.integers(1, 3)), minutes=again),
                    )
                )
        found.append(group)
    return sorted(found, key=lambda group: group[0].sensing)


def cloudy_of(passes: list[list[Fake]], chosen: list[bool]) -> frozenset[datetime]:
    return frozenset(p.sensing for group, is_cloudy in zip(passes, chosen, strict=False) for p in group if is_cloudy)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(passes=passes_of_a_tile(), cloudy=st.lists(st.booleans(), max_size=12), shuffle=st.randoms())
def test_alone_and_in_the_centre_a_date_is_made_from_the_same(
    passes: list[list[Fake]], cloudy: list[bool], shuffle: Any
) -> None:
    """All packages at once, in any order: serving packages, predecessor, fresh starts and what feeds them agree."""
    packages = [package for group in passes for package in group]
    with both(cloudy_of(passes, cloudy)) as (alone, centre):
        told = alone.run(shuffle.sample(packages, len(packages)))
        centre.run(shuffle.sample(packages, len(packages)))
        assert alone.steps == centre.steps
        assert {result["l1c"] for result in told} == {package.name for package in packages}


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(passes=passes_of_a_tile(), cloudy=st.lists(st.booleans(), max_size=12), shuffle=st.randoms(), data=st.data())
def test_dates_that_come_late_begin_from_the_same_product(
    passes: list[list[Fake]], cloudy: list[bool], shuffle: Any, data: st.DataObject
) -> None:
    """Passes in some batches, out of order. A late date that starts anew knows more later dates in the centre."""
    shuffle.shuffle(passes)
    with both(cloudy_of(passes, cloudy)) as (alone, centre):
        while passes:
            count = data.draw(st.integers(1, len(passes)))
            batch, passes = [package for group in passes[:count] for package in group], passes[count:]
            alone.run(batch)
            centre.run(batch)
        known = [step._replace(later=()) if step.sensing in centre.late else step for step in centre.steps]
        assert [step._replace(later=()) if step.sensing in centre.late else step for step in alone.steps] == known


# Where the two had drifted apart


def test_a_pass_of_the_same_orbit_ninety_days_and_some_seconds_later_feeds_a_backward_start() -> None:
    """MAJA dates what a composite remembers in whole days, and keeps it up to the ninetieth: it still serves there.

    The store had cut at ninety times 24 hours, so that the seconds between two passes of one orbit decided.
    """
    packages = [one(MORNING), one(MORNING + timedelta(days=90) + SECONDS)]
    with both() as (alone, centre):
        alone.run(packages)
        centre.run(packages)
        assert alone.steps == centre.steps
        assert alone.steps[0].later == (frozenset([packages[1].name]),)


def test_a_pass_of_the_ninety_first_day_feeds_no_backward_start() -> None:
    """Though it is less than 91 times 24 hours away: its pixels would be forgotten at once, its image alone remain."""
    packages = [one(MORNING), one(MORNING + timedelta(days=91) - timedelta(minutes=10), "S2B")]
    with both() as (alone, centre):
        alone.run(packages)
        centre.run(packages)
        assert alone.steps == centre.steps
        assert alone.steps[0].later == ()


def test_a_package_made_anew_whose_datatake_begins_some_milliseconds_off_is_of_the_same_pass() -> None:
    old = one(MORNING, baseline="02.04")
    new = old._replace(name="new", baseline="05.10", datatake=old.datatake + timedelta(milliseconds=24))
    with both() as (alone, centre):
        told = alone.run([old, new])
        centre.run([old, new])
        assert alone.steps == centre.steps
        assert [step.packages for step in alone.steps] == [{"new"}]
        assert "the same pass as new, which is newer" in told[0]["reason"]


def test_halves_between_which_another_satellite_passes_are_one_date() -> None:
    """In a tandem flight two satellites pass within half a minute."""
    west = one(MORNING)
    east = west._replace(name="east", sensing=MORNING + SECONDS, datastrip=west.datastrip + SECONDS)
    other = one(MORNING + SECONDS / 2, "S2C")
    with both() as (alone, centre):
        alone.run([west, east, other])
        centre.run([east, other, west])
        assert alone.steps == centre.steps
        assert [step.packages for step in alone.steps] == [{west.name, "east"}, {other.name}]


def test_a_pass_is_dated_by_its_earliest_half_whichever_came_first() -> None:
    """A quarter of a minute decides whether a tile starts anew: the order of arrival must not."""
    before, west = one(MORNING), one(MORNING + timedelta(days=15) - SECONDS / 2)
    east = west._replace(name="east", sensing=west.sensing + SECONDS, datastrip=west.datastrip + SECONDS)
    with both() as (alone, centre):
        alone.run([before, west, east])
        centre.run([before, east, west])
        assert alone.steps == centre.steps
        assert alone.steps[1].previous == before.sensing


def test_of_two_packages_made_at_the_same_time_the_first_serves() -> None:
    package = one(MORNING)
    copy = package._replace(name=f"{package.name}_copy")
    assert timeline.serving([granule_of(package), granule_of(copy)])[0].identifier == package.name
    with both() as (alone, centre):
        alone.run([package, copy])
        centre.run([package, copy])
        assert alone.steps == centre.steps


@given(baselines=st.permutations(["02.04", "04.00", "05.10"]), hours=st.permutations([1, 2, 3]))
def test_which_packages_serve_does_not_depend_on_their_order(baselines: list[str], hours: list[int]) -> None:
    packages = [
        one(MORNING, name=f"{b} {h}", baseline=b, generation=MORNING + timedelta(hours=h))
        for b in baselines
        for h in hours
    ]
    assert [p.name for p in timeline.serving(packages)] == ["05.10 3"]
    half = packages[0]._replace(name="half", baseline="05.10", datastrip=MORNING)
    assert {p.name for p in timeline.serving([half, *packages])} == {"05.10 3", "half"}


# Halves of which one was made anew, and packages that show less ground


FRAME = (300_000.0, 4_990_200.0, 409_800.0, 5_100_000.0)


def ground(cells: str, frame: tuple[float, float, float, float] = FRAME) -> Ground:
    return Ground(frame, int(cells, 16))


@pytest.mark.parametrize("older", ["02.04", "04.00", "05.10"])
def test_each_datastrip_is_served_by_its_own_newest_baseline(older: str) -> None:
    """Of a pass in two halves one was made anew so far: the other one goes on serving, whichever comes first."""
    west = one(MORNING, name="west", baseline=older)
    east = west._replace(name="east", datastrip=west.datastrip + SECONDS, generation=west.generation + SECONDS)
    new = west._replace(name="new", baseline="05.11", generation=west.generation + timedelta(days=900))
    for order in ([west, east, new], [new, west, east], [east, new, west], [west, new, east]):
        with both() as (alone, centre):
            alone.run(order)
            for package in order:
                centre.run([package])
            assert [step.packages for step in alone.steps] == [{"new", "east"}]
            assert centre.steps[-1].packages == {"new", "east"}


@pytest.mark.parametrize(
    ("old", "new", "serve"),
    [
        ("ffff", "ffff", {"new"}),
        ("ff00", "ffff", {"new"}),
        ("ffff", "ff00", {"new", "old"}),
        ("f0f0", "0f0f", {"new", "old"}),
        ("f" * 100, "f" * 99 + "7", {"new"}),  # a cell of 400: nobody misses it
    ],
)
@pytest.mark.parametrize("datastrip", [0, 1])
def test_an_older_package_goes_on_serving_where_it_alone_saw_the_ground(
    old: str, new: str, serve: set[str], datastrip: int
) -> None:
    first = one(MORNING, name="old", baseline="02.04")
    again = first._replace(name="new", baseline="05.10", datastrip=first.datastrip + timedelta(seconds=datastrip))
    seen = {"old": ground(old), "new": ground(new)}
    found = timeline.serving([first, again], lambda package: seen[package.name])
    missed = datastrip and seen["old"].beside([seen["new"]]) > 0
    assert {p.name for p in found} == ({"new", "old"} if missed else serve)


def test_a_cut_never_takes_the_place_of_the_whole() -> None:
    whole = one(MORNING, name="whole", baseline="02.04")
    cut = whole._replace(name="cut", baseline="05.10")
    frame = (FRAME[0] + 600, FRAME[1], FRAME[2], FRAME[3])
    seen = {"whole": ground("ff"), "cut": ground("ff", frame)}
    assert [p.name for p in timeline.serving([whole, cut], lambda package: seen[package.name])] == ["whole"]
    seen = {"whole": ground("ff", frame), "cut": ground("ff")}
    assert [p.name for p in timeline.serving([whole, cut], lambda package: seen[package.name])] == ["cut"]


@given(st.lists(st.tuples(st.sampled_from(["02.04", "05.10"]), st.integers(0, 1), st.integers(1, 255)), min_size=1))
def test_no_ground_is_lost_whatever_comes(drawn: list[tuple[str, int, int]]) -> None:
    packages = [
        one(MORNING, name=str(n), baseline=baseline, generation=MORNING + timedelta(hours=n))._replace(
            datastrip=MORNING + half * SECONDS
        )
        for n, (baseline, half, _) in enumerate(drawn)
    ]
    seen = {str(n): Ground(FRAME, cells) for n, (_, _, cells) in enumerate(drawn)}
    kept = timeline.serving(packages, lambda package: seen[package.name])
    assert all(seen[p.name].beside(seen[k.name] for k in kept) <= timeline.NEGLIGIBLE for p in packages)
