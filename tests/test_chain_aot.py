"""The aerosol, on scenes whose AOT is known: under the chain's own tables, and under direct runs of 6S."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from benchmarks import aot_truth, blue_band
from processing import atmosphere
from processing.bands import DISTRIBUTED
from processing.chain import aerosol_inversion, aerosol_samples, correct, gap_filling
from processing.chain import composite as composites
from processing.chain.air_model import Expected
from processing.masks import Geophysical, Interpolated
from processing.scene import L2A, Composite
from processing.versions import parameters
from tests import scenes
from tests.shared import SHARED

V1_4, V2_1 = parameters("V1_4"), parameters("V2_1")
#: For scenes whose cells are seen as if each were alone, and whose blue is in proportion to the red.
ALONE = replace(V2_1, adjacency_radius=0, aot_green_blue=(0.0, 0.4, 0.82))
CELLS = (30, 30)
DAY = 8622


def green(seed: int = 1, ratio: float = 0.45) -> dict[str, np.ndarray]:
    """Vegetation with some soil, of an exact ratio of blue to red."""
    share = 0.6 * np.random.default_rng(seed).uniform(0, 1, CELLS)
    surface = scenes.mix(scenes.VEGETATION, scenes.SOIL, share)
    return surface | {"B1": ratio * surface["B4"], "B2": 0.49 * surface["B4"]}


def aot_of(product: L2A) -> np.ndarray:
    return aot_truth.middles(product.atmosphere["R2"], "R2")[1] / V1_4.aot_quantification


def filled(product: L2A) -> np.ndarray:
    return aot_truth.middles(product.interpolated["R2"], "R2") & Interpolated.AOT > 0


@settings(deadline=None, max_examples=20)
@given(
    rho=st.floats(0.005, 0.3),
    aot=st.floats(0.01, 1.0),
    sun=st.floats(20, 70),
    view=st.floats(0, 12),
    altitude=st.floats(0, 2.5),
    band=st.sampled_from(["B1", "B2", "B4"]),
)
def test_the_polynomial_in_aot_is_that_of_the_tables(
    rho: float, aot: float, sun: float, view: float, altitude: float, band: str
) -> None:
    path = atmosphere.LightPath(sun, view, 60.0, altitude)
    toa = atmosphere.toa_reflectance(rho, "S2A", band, *path, aot, 2.0, 0.3)
    terms = atmosphere.against_aot(toa, "S2A", band, path, 2.0, 0.3)
    assert terms.shape == (atmosphere.AOT_DEGREE + 1,)
    assert np.polynomial.polynomial.polyval(aot, terms) == pytest.approx(rho, abs=2.5e-4)


def test_the_polynomial_is_no_number_outside_the_tables() -> None:
    path = atmosphere.LightPath([35, 35, 80], 5.0, 60.0, 0.2)
    terms = atmosphere.against_aot(np.array([0.1, np.nan, 0.1]), "S2A", "B1", path, 2.0, 0.3)
    assert_array_equal(np.isfinite(terms).all(axis=-1), [True, False, False])


@pytest.mark.parametrize("version", ["V1_1", "V1_4"])
@pytest.mark.parametrize("aot", [0.05, 0.2, 0.45])
def test_a_first_date_gives_its_aot_by_colours_alone(aot: float, version: str) -> None:
    surface = green() if version == "V1_4" else green() | {"B2": 0.45 * green()["B4"]}
    product, state = correct(scenes.scene(surface, CELLS, aot=aot), None, parameters(version))
    assert (product.mode, product.origin["aot"]) == ("init", "inverted")
    assert_allclose(aot_of(product), aot, atol=0.012)  # the product counts by 0.005
    assert filled(product).sum() <= 4 * V1_4.aot_step**2  # in a corner there are too few samples around
    assert state is not None
    assert_allclose(state.aot, aot, atol=0.01)


def test_an_image_under_more_aerosol_than_the_tables_know_is_refused() -> None:
    product, state = correct(scenes.scene(green(), CELLS, aot=0.5), None, replace(V1_4, aot_max=0.3))
    assert (product.status, state) == ("not_valid", None)
    assert product.origin["reason"] == "AOT above 0.30, where the tables end, in most of what could be read"


def test_a_plume_beyond_the_tables_is_filled_in_and_counted() -> None:
    plume = np.full(CELLS, 0.15)
    plume[:, :9] = 0.8
    product, _ = correct(scenes.scene(green(), CELLS, aot=plume), None, replace(V1_4, aot_max=0.5, aot_dark_weight=0.0))
    assert product.status == "valid"
    assert product.origin["aot"].startswith("inverted; ")
    assert product.origin["aot"].endswith(" nodes beyond 0.50 filled in from around")
    assert filled(product)[:, :6].all()


def test_more_aerosol_is_more_aerosol() -> None:
    found = [
        correct(scenes.scene(green(), CELLS, aot=aot), None, V1_4)[0].figures.aot_mean
        for aot in (0.03, 0.1, 0.25, 0.5, 0.8)
    ]
    assert np.all(np.diff(found) > 0.05)


def test_the_past_tells_the_aot_where_colours_do_not() -> None:
    first, past = correct(scenes.scene(green(), CELLS, aot=0.1), None, V1_4)
    assert past is not None
    blind = replace(V1_4, aot_min_ndvi=0.95)  # no cell is green enough
    scene = scenes.scene(green(), CELLS, days=5, aot=0.3)
    assert correct(scene, None, blind)[0].origin["aot"] == "constant 0.10: too little clear land to read it from"
    product, _ = correct(scene, past, blind)
    assert product.origin["aot"] == "inverted"
    assert product.figures.aot_mean == pytest.approx(0.3, abs=0.03)
    assert first.figures.aot_mean == pytest.approx(0.1, abs=0.01)


def test_too_much_cloud_and_snow_gives_the_constant() -> None:
    cloud, snow = np.zeros(CELLS), np.zeros(CELLS)
    cloud[:, :13], snow[:, 16:29] = 1, 1
    surface = scenes.mix(scenes.mix(green(), scenes.CLOUD, cloud), scenes.SNOW, snow)
    product, state = correct(scenes.scene(surface, CELLS, aot=0.3), None, V1_4)
    assert product.status == "valid"
    assert product.figures.cloud_percent + product.figures.snow_percent > 90
    assert product.origin["aot"].startswith("constant 0.10: ")
    assert product.origin["aot"].endswith("% of cloud and snow")
    assert_array_equal(aot_of(product), 0.10)
    clear = aot_truth.middles(product.edge["R2"], "R2") == 0
    assert filled(product)[clear].all()
    assert state is not None
    assert np.isfinite(state.blue[:, state.day >= 0]).all()  # the next date may still compare with this one


def test_clouds_snow_and_water_never_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[aerosol_samples.Samples, np.ndarray]] = []
    select = aerosol_samples.select

    def spy(*given: Any) -> aerosol_samples.Samples:
        samples = select(*given)
        seen.append((samples, given[3]))
        return samples

    surface = scenes.mix(green(), scenes.SNOW, scenes.blot(CELLS, 6, 22, 2))
    surface = scenes.mix(surface, scenes.WATER, scenes.blot(CELLS, 22, 6, 2))
    _, past = correct(scenes.scene(surface, CELLS, aot=0.2), None, V1_4)
    surface = scenes.mix(surface, scenes.CLOUD, scenes.blot(CELLS, 6, 6, 2))
    monkeypatch.setattr(aerosol_samples, "select", spy)
    product, _ = correct(scenes.scene(surface, CELLS, days=5, aot=0.2), past, V1_4)
    [(samples, usable)] = seen
    geophysical = aot_truth.middles(product.geophysical["R2"], "R2")
    barred = Geophysical.CLOUD | Geophysical.CLOUD_SHADOW | Geophysical.WATER | Geophysical.SNOW
    for kind, row, col in (("CLOUD", 6, 6), ("SNOW", 6, 22), ("WATER", 22, 6)):
        assert geophysical[row, col] & Geophysical[kind]
        assert not usable[row - 3 : row + 4, col].any()  # nor the cells beside them
    assert not (usable & (geophysical & np.uint8(barred) > 0)).any()
    assert not ((samples.spectral | samples.temporal) & ~usable).any()
    assert samples.temporal.sum() > 400
    assert_allclose(aot_of(product), 0.2, atol=0.02)


def bare(rows: slice) -> tuple[L2A, Composite]:
    """A scene whose given rows are bare soil, where colours tell nothing."""
    share = np.zeros((90, 30))
    share[rows] = 1
    random = np.random.default_rng(3).uniform(0, 0.5, share.shape)
    surface = scenes.mix(scenes.VEGETATION, scenes.SOIL, np.maximum(share, random))
    surface |= {"B1": 0.45 * surface["B4"]}
    product, state = correct(scenes.scene(surface, share.shape, aot=0.25), None, V1_4)
    assert state is not None
    return product, state


def test_gaps_are_filled_from_around_and_say_so() -> None:
    product, _ = bare(slice(30, 90))
    gap = filled(product)
    assert not gap[3:30, 3:-3].any()
    assert gap[60:].all()
    assert 0.3 < gap.mean() < 0.75
    assert_allclose(aot_of(product), 0.25, atol=0.012)


def test_gap_filling_keeps_what_is_known_and_stays_between() -> None:
    random = np.random.default_rng(0)
    values = random.uniform(0.1, 0.3, (40, 40)).astype(np.float32)
    gaps = random.uniform(0, 1, values.shape) > 0.2
    values[gaps] = np.nan
    done = gap_filling.fill(values, gaps, (2, 16))
    assert_array_equal(done[~gaps], values[~gaps])
    assert np.nanmin(values) <= done.min() <= done.max() <= np.nanmax(values)
    alone = np.ones((90, 90), bool)
    alone[0, :2] = False
    two = np.where(alone, np.nan, np.float32(0.2)).astype(np.float32)
    assert_allclose(gap_filling.fill(two, alone, (2, 16)), 0.2, rtol=1e-6)  # too few for a window: their mean


def test_haze_does_not_enter_the_composite() -> None:
    aot = np.full((20, 20), 0.1, np.float32)
    aot[10, 10] = 0.6
    clear = np.ones_like(aot, bool)
    assert composites.hazy(aot, clear, V1_4).sum() == 5
    assert not composites.hazy(aot, np.zeros_like(clear), V1_4).any()
    assert not composites.hazy(np.where(aot > 0.5, np.float32(0.19), aot), clear, V1_4).any()


def samples_of(
    random: np.random.Generator, temporal: bool, ratio: float = 0.45, seek: bool = False
) -> aerosol_samples.Samples:
    """Of an AOT of 0.3, B1 being `ratio` of the red, which is thought to be 0.45."""
    shape = (24, 27)
    true, before = 0.3, 0.15

    def seen(rho: np.ndarray, aot: float, band: str = "B1") -> np.ndarray:
        toa = atmosphere.toa_reflectance(rho, "S2A", band, 35.0, 5.0, 60.0, 0.2, aot, 2.0, 0.3)
        return atmosphere.against_aot(toa, "S2A", band, atmosphere.LightPath(35.0, 5.0, 60.0, 0.2), 2.0, 0.3)

    red = random.uniform(0.03, 0.15, shape)
    blue = seen(ratio * red, true)
    red_terms = seen(red, true, "B4")
    colour = blue - np.float32(0.45) * red_terms
    red_terms = red_terms if seek else red_terms[..., :0]
    some = random.uniform(0, 1, shape) < 0.8
    nowhere = np.zeros(shape, bool)
    return aerosol_samples.Samples(
        spectral=some,
        temporal=some if temporal else nowhere,
        colour=colour,
        red=red_terms,
        blue=blue,
        before=seen(0.45 * red, before) if temporal else np.empty((*shape, 0), np.float32),
        settled=(0.45 * red).astype(np.float32),
        rise=np.full(shape, 0.01, np.float32),
        swir=random.uniform(0.05, 0.2, shape).astype(np.float32),
        lag=np.where(random.uniform(0, 1, shape) < 0.7, 5, 15).astype(np.int32),
        dark=0.5,
    )


@pytest.mark.parametrize(("temporal", "seek"), [(False, False), (True, False), (True, True)])
def test_the_inversion_is_the_same_compiled_and_finds_the_truth(
    temporal: bool, seek: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = samples_of(np.random.default_rng(5), temporal, seek=seek)
    numbers = replace(V1_4, aot_slope_spread=0.03 if seek else 0.0)
    found = aerosol_inversion.invert(samples, numbers).aot
    assert found.shape == (8, 9)
    assert np.isfinite(found[2:-2, 2:-2]).all()
    assert_allclose(found[np.isfinite(found)], 0.3, atol=2e-3)
    monkeypatch.setattr(aerosol_inversion, "_invert", aerosol_inversion._invert.py_func)
    corner = replace(numbers, aot_step=12)
    slow = aerosol_inversion.invert(samples, corner).aot
    monkeypatch.undo()
    assert_allclose(slow, aerosol_inversion.invert(samples, corner).aot, rtol=1e-6)


def test_a_slope_of_another_place_is_found_with_the_aot() -> None:
    random = np.random.default_rng(5)
    samples = samples_of(random, False, ratio=0.50, seek=True)
    as_thought = samples._replace(red=samples.red[..., :0])
    assert np.nanmean(aerosol_inversion.invert(as_thought, V1_4).aot) > 0.34
    # the samples know it well enough: the prior hardly matters
    found = aerosol_inversion.invert(samples, replace(V1_4, aot_slope_spread=1000.0)).aot
    assert_allclose(found[2:-2, 2:-2], 0.3, atol=0.012)
    # and the prior alone is as if it was known
    known = aerosol_inversion.invert(samples, replace(V1_4, aot_slope_spread=1e-6)).aot
    assert_allclose(known, aerosol_inversion.invert(as_thought, V1_4).aot, atol=1e-4)


@pytest.mark.parametrize("temporal", [False, True])
def test_samples_that_stand_out_hardly_count(temporal: bool) -> None:
    """Shaded cells that no mask holds: every tenth is darker by 0.04 in the blue."""
    samples = samples_of(np.random.default_rng(5), temporal, seek=True)
    spoiled = np.random.default_rng(6).uniform(0, 1, samples.spectral.shape) < 0.1
    blue, colour = samples.blue.copy(), samples.colour.copy()
    blue[spoiled, 0] -= 0.04
    colour[spoiled, 0] -= 0.04
    dark = samples._replace(blue=blue, colour=80 * colour, red=80 * samples.red)
    alike = replace(V2_1, aot_step=3, aot_window=(3, 2, 8), aot_outlier=0.0)
    plain = np.nanmean(aerosol_inversion.invert(dark, alike).aot)
    robust = np.nanmean(aerosol_inversion.invert(dark, replace(alike, aot_outlier=V2_1.aot_outlier)).aot)
    assert plain < 0.285
    assert abs(robust - 0.3) < abs(plain - 0.3) / 3


@pytest.mark.parametrize("spots", [[(8, 8)], [(5, 5), (5, 22), (22, 5), (24, 20), (14, 14)]], ids=["one", "many"])
@pytest.mark.parametrize("past", [False, True])
def test_clouds_do_not_lower_the_aot_beside_them(spots: list[tuple[int, int]], past: bool) -> None:
    """Their light is not that of ground beside the target: they stand above much of what would scatter it."""
    surface = scenes.mix(scenes.VEGETATION, scenes.SOIL, np.full(CELLS, 0.2))
    surface |= {"B1": 0.45 * surface["B4"], "B2": 0.49 * surface["B4"]}
    numbers = replace(V2_1, aot_green_blue=ALONE.aot_green_blue, aot_min_swir_deviation=0.0)
    cover = np.max([scenes.blot(CELLS, row, col, 2) for row, col in spots], axis=0)
    state, found = None, []
    if past:
        _, state = correct(scenes.onto(scenes.scene(surface, CELLS, aot=0.1), numbers), None, numbers)
    for seen in (surface, scenes.mix(surface, scenes.CLOUD, cover)):
        product, _ = correct(scenes.onto(scenes.scene(seen, CELLS, days=5, aot=0.2), numbers), state, numbers)
        assert product.origin["aot"] == "inverted"
        found.append(aot_of(product)[cover == 0])
    assert_allclose(found[1], found[0], atol=0.015)


@pytest.mark.parametrize("past", [False, True])
def test_a_few_dark_cells_do_not_change_the_aot_of_an_image(past: bool) -> None:
    surface, state, means = green(), None, []
    if past:
        _, state = correct(scenes.onto(scenes.scene(surface, CELLS, aot=0.2), ALONE), None, ALONE)
    dark = scenes.blot(CELLS, 14, 17, 0)
    darker = {band: np.maximum(np.asarray(rho) - 0.02 * dark, 0.001) for band, rho in surface.items()}
    for seen in (surface, darker):
        made = scenes.onto(scenes.scene(seen, CELLS, days=5, aot=0.25), ALONE)
        product, _ = correct(made, state, ALONE)
        assert product.origin["aot"] == "inverted"
        means.append(aot_of(product).mean())
    assert_allclose(means[0], 0.25, atol=0.02)
    assert abs(means[1] - means[0]) <= 0.01


@pytest.mark.parametrize("factor", [1 / 1.5, 1.5])
def test_where_the_ground_tells_nothing_the_forecast_stands_in(factor: float) -> None:
    """Desert and sea; where there is vegetation less than half of what the forecast errs by is left."""
    for surface, told in ((scenes.SOIL, True), (scenes.WATER, True), (green(), False)):
        made = scenes.scene(surface, CELLS, aot=0.2)
        made = replace(made, ancillary=replace(made.ancillary, aot=0.2 * factor))
        product, _ = correct(scenes.onto(made, ALONE), None, ALONE)
        if told:
            assert product.origin["aot"].startswith(f"forecast {0.2 * factor:.2f}: ")
            assert_allclose(aot_of(product), 0.2 * factor, atol=0.004)
        else:
            assert product.origin["aot"] == "inverted"
            assert abs(aot_of(product).mean() - 0.2) < 0.2 * abs(factor - 1) / 2
        before = correct(made, None, V1_4)[0]
        assert "forecast" not in before.origin["aot"]


def test_leaves_are_as_dark_in_the_red_as_in_the_blue() -> None:
    """PROSAIL's dense canopies have 0.016 in B1 and 0.020 in B4: taken for 0.45 of the red they feign an AOT."""
    share = 0.15 * np.random.default_rng(2).uniform(0, 1, CELLS)
    dense = scenes.mix(
        scenes.VEGETATION | {"B1": 0.016, "B2": 0.018, "B4": 0.02, "B8A": 0.42, "B8": 0.41}, scenes.SOIL, share
    )
    made = scenes.scene(dense, CELLS, aot=0.15)
    means = [
        correct(scenes.onto(made, numbers), None, numbers)[0].figures.aot_mean
        for numbers in (ALONE, replace(ALONE, aot_green_blue=V2_1.aot_green_blue))
    ]
    assert means[0] > 0.2
    assert abs(means[1] - 0.15) < 0.03


@pytest.mark.parametrize("fell", [0.0, 0.04, 0.08, 0.3])
def test_what_lost_light_in_all_bands_is_no_sample(fell: float) -> None:
    """A shadow darkens all bands; another sun or air changes all cells."""
    shape = (20, 20)
    rho = np.random.default_rng(3).uniform(0.2, 0.4, shape).astype(np.float32)
    past = {"B8A": rho, "B11": rho / 2, "B12": rho / 3}
    shade, crop = scenes.blot(shape, 5, 5, 2) > 0, scenes.blot(shape, 14, 14, 2) > 0
    now = {band: rho * np.where(shade, 0.96 * (1 - fell), 0.96).astype(np.float32) for band, rho in past.items()}
    now["B12"] = np.where(crop, 0.7 * now["B12"], now["B12"])
    found = aerosol_samples._shaded(now, past, np.ones(shape, bool), V2_1)
    assert_array_equal(found, shade & (fell > V2_1.aot_max_shade))
    assert not aerosol_samples._shaded(now, past, np.zeros(shape, bool), V2_1).any()


def test_the_aot_follows_gradients(six_s: aot_truth.SixS) -> None:
    """Of 65 % over 22 km, at a place whose colours are not the usual ones: V2_0 let the darkest cell bound all."""
    dates = list(aot_truth.series(six_s, (0.1, 0.3, 0.2), 3, cells=48, swing=0.65))
    plain = replace(V2_1, aot_green_blue=ALONE.aot_green_blue)
    before, now = (aot_truth.aot_accuracy(aot_truth.run(dates, numbers)) for numbers in (parameters("V2_0"), plain))
    assert now[1] < 0.75 * before[1]
    assert abs(now[0]) < 0.75 * abs(before[0])


def test_above_the_dark_bound_is_pulled_back() -> None:
    samples = samples_of(np.random.default_rng(5), False)
    free = np.nanmean(aerosol_inversion.invert(samples, V1_4).aot)
    bound = np.nanmean(aerosol_inversion.invert(samples._replace(dark=0.1), V1_4).aot)
    assert 0.1 < bound < free - 0.01


def test_uniform_swir_or_too_few_samples_bar_a_method() -> None:
    samples = samples_of(np.random.default_rng(5), True)
    no_colour = samples._replace(spectral=np.zeros_like(samples.spectral))
    assert np.isfinite(aerosol_inversion.invert(no_colour, V1_4).aot[2:-2, 2:-2]).all()
    uniform = no_colour._replace(swir=np.full_like(samples.swir, 0.1))
    assert np.isnan(aerosol_inversion.invert(uniform, V1_4).aot).all()
    few = np.zeros_like(samples.spectral)
    few[::6, ::6] = True
    assert np.isnan(aerosol_inversion.invert(uniform._replace(spectral=few), V1_4).aot).all()


@pytest.fixture(scope="module")
def six_s() -> aot_truth.SixS:
    file = SHARED / "tools" / "make_l1c_6s.npz"
    if not file.exists():
        pytest.skip(f"{file} not here")
    return aot_truth.SixS(file)


@pytest.mark.slow
def test_aot_under_direct_6s(six_s: aot_truth.SixS) -> None:
    truth = aot_truth.sites(six_s, 3, cells=60, surroundings=False)
    found = [r for dates in truth for r in aot_truth.run(dates, V1_4)]
    assert all(r.product.origin["aot"] == "inverted" for r in found)
    bias, rmse = aot_truth.aot_accuracy(found)
    assert abs(bias) <= 0.015
    assert rmse <= 0.05


@pytest.mark.slow
def test_v1_1_sees_too_much_aerosol_and_v1_3_does_not(six_s: aot_truth.SixS) -> None:
    found = blue_band.results(six_s, 1, 48)
    first = {version: aot_truth.accuracy(r[0].aot, r[0].true_aot)[0] for version, r in found.items()}
    assert first["V1_1"] > 0.03
    assert abs(first["V1_3"]) < 0.02
    bias = {version: aot_truth.aot_accuracy(r)[0] for version, r in found.items()}
    assert bias["V1_1"] > 0.015
    assert bias["V1_1"] - bias["V1_3"] > 0.03
    by_red = blue_band.gains(found)
    assert 1 < np.mean(by_red[1:3]) < 4  # vegetation: the 2 % that were published
    assert np.all(np.diff(by_red) < 0)  # less and less, to the red where aerosol neither brightens nor dims


@pytest.mark.slow
def test_v2_0_is_nearer_to_the_truth_than_v1_4(six_s: aot_truth.SixS) -> None:
    """Where the ground is seen through the light around it, as in nature."""
    truth = aot_truth.sites(six_s, 2, cells=48)
    found = {v: [r for dates in truth for r in aot_truth.run(dates, parameters(v))] for v in ("V1_4", "V2_0")}
    rmse = {version: aot_truth.aot_accuracy(results)[1] for version, results in found.items()}
    assert rmse["V2_0"] < min(0.03, 0.85 * rmse["V1_4"])
    for band in DISTRIBUTED:
        assert aot_truth.within(found["V1_4"], band) >= 95
        assert aot_truth.within(found["V2_0"], band) >= 99


@pytest.mark.parametrize("temporal", [False, True])
def test_the_error_of_a_node_falls_with_what_its_samples_tell(temporal: bool) -> None:
    """Samples of twice the weight tell twice as much; what they err by together does not fall with their number."""
    samples = samples_of(np.random.default_rng(5), temporal)
    numbers = replace(V2_1, aot_step=3, aot_window=(3, 2, 8), aot_outlier=0.0, uncertainty_samples=0.3)
    once = aerosol_inversion.invert(samples, numbers)
    assert_array_equal(np.isnan(once.error), np.isnan(once.aot))
    twice = aerosol_inversion.invert(samples._replace(colour=2 * samples.colour), numbers)
    inner = np.s_[2:-2, 2:-2]
    if not temporal:
        assert_allclose(once.error[inner], 2 * twice.error[inner], rtol=1e-3)
        larger = aerosol_inversion.invert(samples, replace(numbers, aot_window=(4, 2, 8)))
        assert_allclose(larger.error[inner].mean(), once.error[inner].mean(), rtol=0.1)
    sure = Expected(0.3, 0.01, "forecast")
    assert (aerosol_inversion.invert(samples, numbers, sure).error[inner] < once.error[inner]).all()


def desert(share: float, **given: Any) -> tuple[L2A, Composite | None]:
    """A date under dust, with so much vegetation."""
    sand = {band: 1.5 * value for band, value in scenes.SOIL.items()} | {"B8A": 0.33, "B4": 0.26}
    green = (np.arange(CELLS[1]) < share * CELLS[1]) * np.ones(CELLS)
    made = scenes.onto(scenes.scene(scenes.mix(sand, scenes.VEGETATION, green), CELLS, aot=0.2), V2_1)
    return correct(replace(made, ancillary=replace(made.ancillary, **given)), None, V2_1)


def test_over_a_desert_the_aerosol_is_dust_where_no_forecast_tells() -> None:
    product, _ = desert(0.0)
    assert product.origin["aerosol_model"] == "desert 1.00: no forecast, and the ground is a desert's"
    assert product.origin["aot"].startswith("usual over deserts 0.30")
    product, _ = desert(0.9)
    assert product.origin["aerosol_model"] == "continental: no forecast"
    product, _ = desert(0.0, aerosol={"urban": 1.0}, aot=0.5)
    assert product.origin["aerosol_model"].startswith("urban 1.00")
    assert product.origin["aot"].startswith("forecast 0.50")
