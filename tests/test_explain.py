"""Why a pixel is masked: the tests made again give the product's own masks, cell by cell and pixel by pixel."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from numpy.testing import assert_array_equal
from pyproj import Transformer

from processing import explain, product
from processing.chain import correct, explanation
from processing.chain.recorder import SILENT, Answer, Recording
from processing.chain.resampling import expand_bits
from processing.errors import L1CError, OutsideTile, ProductError, StateError, UnknownName
from processing.masks import Cloud
from processing.production import series
from processing.production.ingest import ingest, prepare
from processing.production.worker import end_children, run_attempt
from processing.scene import Composite, Evidence, Scene
from processing.settings import Settings
from processing.simulation import simulate
from processing.store import Store, lease
from processing.store.models import Product
from processing.versions import Parameters, parameters
from tests import scenes
from tests.test_cli import muscate

V1_4, V2_1 = parameters("V1_4"), parameters("V2_1")
CELLS = (24, 24)


def cloudy(days: float) -> Scene:
    """Ground with a cloud and, where the sun throws it from 2 km, its shadow."""
    surface = scenes.mix(scenes.ground(CELLS), scenes.CLOUD, scenes.blot(CELLS, 12, 12, 2))
    shade = 1 - 0.6 * scenes.blot(CELLS, 7, 9, 1)
    return scenes.scene({band: np.asarray(field) * shade for band, field in surface.items()}, CELLS, days=days)


@pytest.fixture(scope="module")
def before() -> Composite:
    _, state = correct(scenes.scene(scenes.ground(CELLS), CELLS), None, V1_4)
    assert state is not None
    return state


def evidence_of(scene: Scene, composite: Composite | None) -> Evidence:
    l2a, _ = correct(scene, composite, V1_4)
    assert l2a.evidence is not None
    return l2a.evidence


def of(tests: list[Answer], step: str, text: str) -> Answer:
    return next(a for a in tests if a.step == step and text in a.test)


@pytest.mark.parametrize("nominal", [False, True])
@pytest.mark.parametrize("numbers", [V1_4, parameters("V2_0"), V2_1], ids=["V1_4", "V2_0", "V2_1"])
def test_the_tests_made_again_give_the_masks(numbers: Parameters, nominal: bool) -> None:
    scene = scenes.onto(cloudy(5), numbers)
    _, before = correct(scenes.onto(scenes.scene(scenes.ground(CELLS), CELLS), numbers), None, numbers)
    past = before if nominal else None
    l2a, _ = correct(scene, past, numbers)
    assert l2a.evidence is not None
    again = explanation.retest(l2a.evidence, scene.day, past, numbers)
    for rasters, code in (
        (l2a.cloud, again.cloud),
        (l2a.geophysical, again.geophysical),
        (l2a.interpolated, again.interpolated),
    ):
        raster = rasters["R2"]
        factor = 12 * CELLS[0] // len(code)
        assert_array_equal(expand_bits(code, raster.shape, factor, numbers.mask_resampling_threshold), raster)
    assert (again.cloud & Cloud.MONO_TEMPORAL).any()
    assert (again.cloud & Cloud.SHADOW).any() == (nominal or bool(numbers.shadow_bands_alone))


def test_every_test_has_its_value_and_threshold(before: Composite) -> None:
    known = explanation.retest(evidence_of(cloudy(5), before), cloudy(5).day, before, V1_4)
    cloud = known.tests.at(12, 12)
    blue = of(cloud, "mono_temporal", "B1")
    assert blue.passed
    assert blue.applied
    assert blue.threshold == V1_4.cloud_min_blue
    assert blue.value == pytest.approx(0.6, abs=0.05)
    rise = of(cloud, "multi_temporal", "limit grown")
    assert rise.passed
    assert rise.threshold == pytest.approx(0.025 * (1 + 5 / 30), rel=1e-5)
    assert of(cloud, "multi_temporal", "age").value == 5
    assert not of(cloud, "correlation", "best").passed
    assert of(cloud, "buffer", "mono_temporal").value == 0
    beside = of(known.tests.at(12, 15), "buffer", "mono_temporal")
    assert beside.value == 240
    assert beside.passed
    ground = known.tests.at(20, 20)
    assert not of(ground, "multi_temporal", "limit grown").passed
    assert not of(ground, "correlation", "best").applied
    assert of(ground, "correlation", "best").value == pytest.approx(1, abs=0.01)
    shadow = known.tests.at(7, 9)
    assert of(shadow, "shadow", "least darkened of B4, B8A, B11 over").value == pytest.approx(0.4, abs=0.1)
    caster = of(shadow, "shadow", "a cloud of the image")
    assert caster.passed
    assert "of 25 cells" in caster.note


@pytest.mark.parametrize("nominal", [False, True])
def test_every_test_of_v2_1_has_its_value_and_threshold(nominal: bool) -> None:
    scene = scenes.onto(cloudy(5), V2_1)
    _, before = correct(scenes.onto(scenes.scene(scenes.ground(CELLS), CELLS), V2_1), None, V2_1)
    past = before if nominal else None
    l2a, _ = correct(scene, past, V2_1)
    assert l2a.evidence is not None
    known = explanation.retest(l2a.evidence, scene.day, past, V2_1)
    cloud, shadow = known.tests.at(25, 25), known.tests.at(14, 18)
    side = V2_1.coarse_resolution // V2_1.mask_resolution
    for drawing, cell in ((known.bright, (25, 25)), (known.dark, (14, 18))):
        assert drawing is not None
        at = cell[0] * side, cell[1] * side
        change, limit = drawing.at(*at)
        assert change >= limit
        assert drawing.enough[at]
    assert of(cloud, "snow", "B2 / B3").threshold == V2_1.snow_colours[0]
    assert of(cloud, "water", "MNDWI").threshold == V2_1.water_turbid[0]
    limit, least, _ = V2_1.shadow_match if nominal else V2_1.shadow_match_alone
    fit = of(shadow, "shadow", "fits best")
    assert fit.passed
    assert fit.threshold == least
    assert "cells" in fit.note
    assert of(shadow, "shadow", "darkness where").threshold == limit
    assert of(shadow, "shadow", "darkness where").passed
    if nominal:
        assert of(cloud, "mono_temporal", "rise of B11 that no ground").passed
        assert of(cloud, "correlation", "no ground is seen").value == pytest.approx(0.5, abs=0.1)


def test_steps_are_in_the_order_in_which_they_are_applied(before: Composite) -> None:
    known = explanation.retest(evidence_of(cloudy(5), before), cloudy(5).day, before, V1_4)
    steps = list(dict.fromkeys(answer.step for answer in known.tests.at(12, 12)))
    order = "observed saturation geometry reflectance high snow mono_temporal faint multi_temporal correlation thinnest"
    order += " shadow shadow_outside buffer water water_vapour aot"
    assert steps == order.split()


def test_who_listens_does_not_change_the_comparison() -> None:
    value = np.array([[np.nan, 0.1, 0.2, 0.3]], np.float32)
    heard = Recording()
    for comparison in (">", ">=", "<", "<="):
        found = heard.test("step", "test", value, comparison, 0.2)
        assert_array_equal(found, SILENT.test("step", "test", value, comparison, 0.2))
    nothing = heard.at(0, 0)[0]
    assert nothing.value is None
    assert nothing.passed is False
    assert [a.passed for a in heard.at(0, 3)] == [True, True, False, False]
    assert heard.at(0, 1)[0].value == 0.1


def test_evidence_there_and_back(before: Composite, tmp_path: Path) -> None:
    evidence = evidence_of(cloudy(5), before)
    product.save_state(before, tmp_path / "with.npz", evidence)
    product.save_state(before, tmp_path / "without.npz")
    found = product.load_evidence(tmp_path / "with.npz")
    assert found is not None
    assert product.load_evidence(tmp_path / "without.npz") is None
    for name, value in vars(evidence).items():
        pairs = [(value[b], getattr(found, name)[b]) for b in value] if isinstance(value, dict) else None
        for here, there in pairs or [(value, getattr(found, name))]:
            assert_array_equal(here, there)
            assert np.asarray(here).dtype == np.asarray(there).dtype
    assert_array_equal(product.load_state(tmp_path / "with.npz").stack, before.stack)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "with.npz").read_bytes()[:1000])
    with pytest.raises(StateError, match="is damaged"):
        product.load_evidence(tmp_path / "cut.npz")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated series: ``l1c/``, ``out/``, ``state/``."""
    folder = tmp_path_factory.mktemp("explained")
    start, cover = datetime(2024, 6, 1), (0.1, 0.3)
    packages = simulate(folder / "l1c", tile="31TCJ", dates=2, start=start, size=366, truth=False, cloud_cover=cover)
    for result in series.process(packages, "V1_4", folder / "out", state=folder / "state"):
        assert result["status"] == "valid", result
    return folder


def places(folder: Path, count: int, seed: int = 0) -> list[tuple[float, float]]:
    grid = product.read(folder).grid
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(grid.west, grid.east, count), rng.uniform(grid.south, grid.north, count)
    lon, lat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(x, y)
    return list(zip(lon, lat, strict=True))


@pytest.mark.slow
def test_pixels_of_products_are_found_again(made: Path) -> None:
    summaries, modes = set(), set()
    for folder in (made / "out").iterdir():
        own, before = explain.states(folder, made / "state")
        for lon, lat in places(folder, 60):
            why = explain.explain(folder, lon, lat, state=own, previous_state=before)
            assert not why.differences
            assert not why.missing
            assert why.bits["CLM"] == why.found["CLM"]
            json.dumps(why.json(), allow_nan=False)
            assert why.summary.split(",")[0] in explain.table(why)
            summaries.add(why.summary.split(",")[0])
            modes.add(why.mode)
    assert modes == {"backward", "nominal"}
    assert {"cloud", "clear land"} <= summaries


@pytest.mark.slow
def test_pixels_of_v2_0_are_found_again_with_their_distances(made: Path, tmp_path: Path) -> None:
    packages = sorted((made / "l1c").glob("*.SAFE"))
    for result in series.process(packages, "V2_0", tmp_path / "out", state=tmp_path / "state"):
        assert result["status"] == "valid", result
    masked = 0
    for folder in (tmp_path / "out").iterdir():
        own, before = explain.states(folder, tmp_path / "state")
        for lon, lat in places(folder, 60):
            why = explain.explain(folder, lon, lat, state=own, previous_state=before)
            assert not why.differences
            assert not why.missing
            near = [a for a in why.tests if a.step == "mask"]
            assert {a.threshold for a in near} == {60.0, 135.0}
            # a pixel of the cell of 60 m; at the rim of the mask it rounds the corners
            if any(a.passed for a in near if a.test == "mono_temporal" and a.value == 0):
                assert "CLOUD" in why.bits["CLM"]
                masked += 1
    assert masked


@pytest.mark.slow
def test_what_is_gone_is_said(made: Path, tmp_path: Path) -> None:
    folder = max((made / "out").iterdir(), key=lambda p: p.name.split("_")[1])
    own, before = explain.states(folder, made / "state")
    (place,) = places(folder, 1)
    without = explain.explain(folder, *place, state=own)
    assert any("tests against the past" in text for text in without.missing)
    assert not any(a.step == "multi_temporal" for a in without.tests)
    with pytest.raises(L1CError, match="is no longer there"):
        explain.explain(folder, *place, previous_state=before, l1c=[tmp_path / "gone.SAFE"])
    with pytest.raises(OutsideTile, match="outside of tile 31TCJ"):
        explain.explain(folder, 100.0, 0.0, state=own)
    with pytest.raises(ProductError, match="no longer there"):
        explain.explain(tmp_path / "nothing", *place)
    other = tmp_path / "other.npz"
    assert before is not None
    product.save_state(replace(product.load_state(before), version="V1_3"), other)
    with pytest.raises(StateError, match="is of 31TCJ V1_3"):
        explain.explain(folder, *place, state=own, previous_state=other)
    changed = tmp_path / folder.name
    shutil.copytree(folder, changed)
    document = next(changed.glob("*_MTD_ALL.xml"))
    document.write_text(document.read_text().replace(V1_4.digest, "0" * 64))
    why = explain.explain(changed, *place, state=own, previous_state=before)
    assert any("other parameters" in text for text in why.differences)


@pytest.mark.slow
def test_level_1c_tells_the_same_as_what_was_kept(made: Path) -> None:
    folder = max((made / "out").iterdir(), key=lambda p: p.name.split("_")[1])
    own, before = explain.states(folder, made / "state")
    (package,) = [p for p in (made / "l1c").iterdir() if p.name.removesuffix(".SAFE") == product.read(folder).l1c]
    for place in places(folder, 5):
        kept = explain.explain(folder, *place, state=own, previous_state=before)
        assert explain.explain(folder, *place, previous_state=before, l1c=[package]) == kept


@pytest.mark.slow
def test_command(made: Path, tmp_path: Path) -> None:
    folder = next((made / "out").iterdir())
    ((lon, lat),) = places(folder, 1)
    done = muscate("explain-pixel", folder, "--state", made / "state", "--at", f"{lon},{lat}", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tests"][0]["step"] == "observed"
    wrong = muscate("explain-pixel", folder, "--at", "north")
    assert wrong.returncode == 2
    settings = Settings(home=tmp_path / "home")
    settings.make_folders()
    Store(settings.url).upgrade()
    unknown = muscate("explain-pixel", "SENTINEL2A_X", "--at", "1,43", home=tmp_path / "home")
    assert (unknown.returncode, len(unknown.stderr.splitlines())) == (1, 1)
    assert "no product of this name" in unknown.stderr


@pytest.mark.slow
def test_product_of_a_centre(made: Path, tmp_path: Path) -> None:
    centre = Settings(home=tmp_path / "home", workers=1)
    centre.make_folders()
    store = Store(centre.url)
    store.upgrade()
    prepare(centre, store)
    packages = sorted((made / "l1c").glob("*.SAFE"))
    assert all(result.accepted for result in ingest(centre, store, packages))
    try:
        for _ in packages:
            with store.write() as session:
                claim = lease.claim(session, "test", 60)
            assert claim is not None
            assert run_attempt(claim, centre) == "published"
    finally:
        end_children()
    with store.read() as session:
        names = list(session.scalars(sa.select(Product.identifier).order_by(Product.sensing)))
        state, entered = session.scalars(sa.select(Product.state_path).order_by(Product.sensing.desc())).all()
    folder = next((centre.archive).glob(f"*/*/{names[-1]}"))
    for place in places(folder, 20):
        why = explain.explain_stored(store, centre, names[-1], *place)
        assert why.mode == "nominal"
        assert not why.differences
        assert not why.missing
    assert state is not None
    assert entered is not None
    kept = explain.explain_stored(store, centre, names[-1], *place)
    product.save_state(product.load_state(centre.state / state), centre.state / state)  # without the evidence
    with pytest.raises(L1CError, match="`muscate explain-pixel SENTINEL2"):  # as the web asks
        explain.explain_stored(store, centre, names[-1], *place, decode=False)
    assert explain.explain_stored(store, centre, names[-1], *place) == kept
    (centre.state / entered).unlink()
    gone = explain.explain_stored(store, centre, names[-1], *place)
    assert "no longer there" in gone.missing[0]
    shutil.rmtree(centre.l1c)
    os.utime(centre.state / state, (0, 0))
    with pytest.raises(L1CError, match="no longer there"):
        explain.explain_stored(store, centre, names[-1], *place)
    with pytest.raises(UnknownName, match="no product of this name"):
        explain.explain_stored(store, centre, "SENTINEL2A_X", *place)
