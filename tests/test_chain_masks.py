"""The mask tests, each on cells made for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage

from processing.bands import BANDS
from processing.chain import (
    cirrus,
    classify,
    cloud_mask,
    codes,
    correct,
    correlation,
    dilation,
    drawing,
    explanation,
    geometry,
    multi_temporal,
    snow_mask,
    subsampling,
    terrain_shadow,
    water_mask,
    water_vapour,
)
from processing.chain.clouds import Clouds
from processing.chain.observation import Observation
from processing.chain.observe import observe
from processing.chain.subsampling import DETAIL
from processing.masks import Cloud, Geophysical
from processing.scene import Composite, Grid, Strips
from processing.versions import Parameters, parameters
from tests import scenes

V1_3 = parameters("V1_3")
V1_4 = parameters("V1_4")
V2_0 = parameters("V2_0")
V2_1 = parameters("V2_1")
ROW = (1, 4)
#: A field, Rayleigh-corrected.
SOIL = {"B1": 0.03, "B2": 0.04, "B3": 0.06, "B4": 0.05, "B8A": 0.3, "B11": 0.25}
NONE = np.zeros(ROW, bool)
ALL = np.ones(ROW, bool)


def cells(**bands: list[float]) -> dict[str, np.ndarray]:
    return {band: np.array([values], np.float32) for band, values in bands.items()}


def seen(
    reflectance: dict[str, np.ndarray],
    saturated: dict[str, np.ndarray],
    tested: np.ndarray,
    water: np.ndarray,
    glint: np.ndarray,
) -> Observation:
    """What the mask tests look at, over what the composite knows as `water` and where the sun glints."""
    level = np.zeros(tested.shape, np.float32)
    angles = geometry.Geometry(level, level, {}, {}, glint, np.zeros_like(glint), frozenset())
    return scenes.observation(reflectance, past({"B2": level}, 0, water), tested, angles, saturated)


def past(reflectance: dict[str, np.ndarray], day: int | np.ndarray, water: np.ndarray | None = None) -> Composite:
    shape = reflectance["B2"].shape
    return Composite(
        tile="31TCJ",
        version="V1_4",
        grid=Grid("EPSG:32631", 300000.0, 4900020.0, shape[1] * 240, shape[0] * 240),
        resolution=240,
        sensing=scenes.START,
        day=np.broadcast_to(np.asarray(day, np.int16), shape).copy(),
        toa=reflectance,
        rayleigh_corrected=reflectance,
        surface=reflectance,
        stack=reflectance["B2"][None],
        stack_days=(0,),
        possible_water=np.zeros((1, *shape), bool),
        tested_water=np.zeros((1, *shape), bool),
        water=np.zeros(shape, bool) if water is None else water,
        shadow=np.zeros(shape, bool),
        aot=np.full(shape, 0.1, np.float32),
        blue=np.full((6, *shape), 0.1, np.float32),
    )


def test_cirrus_threshold_rises_with_altitude() -> None:
    toa = np.array([[0.014, 0.016, 0.034, 0.036, np.nan]], np.float32)
    altitude = np.array([[0, 0, 1000, 1000, 0]], np.float32)
    assert_array_equal(cirrus.detect(toa, altitude, V1_4), [[False, True, False, True, False]])
    low = np.array([[-400.0]], np.float32)  # below the sea the threshold is that of the sea
    assert not cirrus.detect(np.array([[0.0145]], np.float32), low, V1_4).any()


def test_cirrus_of_a_scene_is_the_high_bit() -> None:
    b10 = 0.001 + 0.03 * scenes.blot((9, 9), 4, 4, 1)
    product, _ = correct(scenes.scene(scenes.ground((9, 9)), (9, 9), b10=b10), None, V1_4)
    clm = product.cloud["R2"][6::12, 6::12]
    assert clm[4, 4] == Cloud.ANY | Cloud.CLOUD | Cloud.HIGH
    assert clm[0, 0] == 0
    mountain, _ = correct(scenes.scene(scenes.ground((9, 9)), (9, 9), b10=b10, altitude=1500.0), None, V1_4)
    assert not mountain.cloud["R2"].any()


def test_snow_is_told_from_cloud() -> None:
    surface = scenes.mix(scenes.ground((12, 12)), scenes.SNOW, scenes.blot((12, 12), 3, 3, 1))
    surface = scenes.mix(surface, scenes.CLOUD, scenes.blot((12, 12), 8, 8, 1))
    product, _ = correct(scenes.scene(surface), None, V1_4)
    mg2 = product.geophysical["R2"][6::12, 6::12]
    assert mg2[3, 3] == Geophysical.SNOW
    assert mg2[8, 8] == Geophysical.CLOUD
    snow, clouds = (product.geophysical["R2"] & bit > 0 for bit in (Geophysical.SNOW, Geophysical.CLOUD))
    assert product.figures.snow_percent == pytest.approx(100 * snow.mean())
    assert product.figures.cloud_percent == pytest.approx(100 * clouds.mean())
    for share in (snow.mean(), clouds.mean()):
        assert share == pytest.approx(21 / 144, rel=0.25)  # 9 cells and their neighbours, and the rims of those


def level(cos: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of the sun to the vertical and to flat ground."""
    return np.full(ROW, cos, np.float32), np.full(ROW, cos, np.float32)


def test_turbid_water_known_as_water_is_no_snow() -> None:
    turbid = cells(B3=[0.2] * 4, B4=[0.15] * 4, B11=[0.01] * 4)
    assert snow_mask.detect(turbid, ALL, NONE, *level(), V1_4).all()
    assert not snow_mask.detect(turbid, ALL, ALL, *level(), V1_4).any()
    assert not snow_mask.detect(turbid, NONE, NONE, *level(), V1_4).any()


def test_snow_is_judged_as_if_the_ground_were_flat() -> None:
    no_growth = replace(V1_4, snow_dilation=0)
    # snow facing the sun, level, turned away, and in grazing light, where the floor of the cosine holds
    cos_incidence = np.array([[1.0, 0.5, 0.25, 0.05]], np.float32)
    light = np.maximum(cos_incidence, 0.2) / 0.5
    for red, swir, expected in ((0.13, 0.03, True), (0.11, 0.03, False), (0.13, 0.17, False)):
        seen = {"B3": 0.8 * light, "B4": red * light, "B11": swir * light}
        found = snow_mask.detect(seen, ALL, NONE, np.full(ROW, 0.5, np.float32), cos_incidence, no_growth)
        assert found.all() if expected else not found.any()
        dimmer = {band: 0.5 * value for band, value in seen.items()}
        assert not snow_mask.detect(dimmer, ALL, NONE, np.full(ROW, 0.5, np.float32), cos_incidence, no_growth).any()


def test_the_sun_meets_a_slope_at_its_angle() -> None:
    cells_ = (12, 12)
    south = np.arange(144)[:, None] * 20.0 * np.ones((1, 144))
    terrain = (3000 - south * np.tan(np.radians(40))).astype(np.float32)  # falls to the south
    away = terrain[::-1].copy()
    for ground, sun in ((terrain, (60.0, 180.0)), (away, (60.0, 180.0))):
        cos = np.cos(np.radians(60 - 40)) if ground is terrain else np.cos(np.radians(60 + 40))
        made = scenes.scene(
            scenes.ground(cells_), cells_, sun=sun, altitude=ground.reshape(12, 12, 12, 12).mean((1, 3))
        )
        made = replace(made, ancillary=replace(made.ancillary, terrain=ground))
        relief = terrain_shadow.detect(made.ancillary.altitude, True, geometry.interpolate(made, V1_4), V1_4)
        assert_allclose(relief.cos_incidence, cos, atol=1e-3)


def test_snow_amid_clouds_is_cloud() -> None:
    snow, clouds, valid = np.zeros((3, 12, 12), bool)
    valid[:] = True
    snow[3:5, 3:5] = snow[8:10, 8:10] = True
    ring = dilation.dilate(snow, 1.5) & ~snow
    assert_array_equal(snow_mask.amid_clouds(snow, ring, valid, V1_4), snow)
    half = ring & (np.indices(snow.shape)[1] < 6)  # around the first patch alone
    first = snow & (np.indices(snow.shape)[1] < 6)
    assert_array_equal(snow_mask.amid_clouds(snow, half, valid, V1_4), first)
    assert_array_equal(snow_mask.amid_clouds(snow, clouds, ~half, V1_4), first)  # not seen counts as cloud
    gap = half.copy()
    gap[2, 2:4] = False  # 10 of 12
    assert not snow_mask.amid_clouds(snow, gap, valid, V1_4).any()
    assert not snow_mask.amid_clouds(valid, clouds, valid, V1_4).any()  # snow everywhere has no ring


def test_ice_in_a_deck_and_high_clouds_are_no_snow() -> None:
    surface = scenes.mix(scenes.ground((15, 15)), scenes.CLOUD, scenes.blot((15, 15), 7, 7, 4))
    ice = scenes.SNOW | {"B9": 1.3}  # little water vapour above it
    surface = scenes.mix(surface, ice, scenes.blot((15, 15), 7, 7, 1))
    product, _ = correct(scenes.scene(surface, (15, 15)), None, V1_4)
    code = product.cloud["R2"][6::12, 6::12]
    assert not (product.geophysical["R2"] & Geophysical.SNOW).any()
    assert (code[3:12, 3:12] & Cloud.MONO_TEMPORAL > 0).all()
    cirrus_over = scenes.mix(scenes.ground((9, 9)), scenes.SNOW, scenes.blot((9, 9), 4, 4, 1))
    seen, _ = correct(scenes.scene(cirrus_over, (9, 9), b10=0.03 * scenes.blot((9, 9), 4, 4, 1)), None, V1_4)
    assert not (seen.geophysical["R2"] & Geophysical.SNOW).any()


def test_clouds_are_bright_white_and_brighter_in_nir_than_in_swir() -> None:
    # cloud, bright sand (SWIR above NIR), vegetation, blue roof (NIR / red too low)
    reflectance = cells(
        B1=[0.5, 0.23, 0.03, 0.4], B4=[0.5, 0.4, 0.04, 0.4], B8A=[0.55, 0.5, 0.4, 0.3], B11=[0.4, 0.6, 0.2, 0.2],
        B12=[0.3, 0.5, 0.1, 0.1],
    )  # fmt: skip
    saturated = dict.fromkeys(("B1", "B4", "B8A", "B11"), NONE)
    found = cloud_mask.detect(seen(reflectance, saturated, ALL, NONE, NONE), NONE, V1_4)
    assert_array_equal(found, [[True, False, False, False]])
    assert not cloud_mask.detect(seen(reflectance, saturated, ALL, NONE, NONE), ALL, V1_4).any()  # all snow
    one = np.array([[False, True, True, False]])
    saturated = saturated | {"B8A": one}
    found = cloud_mask.detect(seen(reflectance, saturated, ~one | NONE[:, ::-1], NONE, NONE), NONE, V1_4)
    assert_array_equal(found, [[True, False, False, False]])
    assert_array_equal(
        cloud_mask.detect(seen(reflectance, saturated, ALL, NONE, NONE), NONE, V1_4), [[True, True, True, False]]
    )
    assert not cloud_mask.detect(seen(reflectance, saturated, ALL, NONE, NONE), ALL, V1_4).any()  # snow that saturates


def test_over_water_the_swir_tells_and_glint_needs_more() -> None:
    dark = [0.03] * 4
    reflectance = cells(B1=dark, B4=dark, B8A=dark, B11=dark, B12=[0.07, 0.09, 0.2, 0.3])
    saturated = dict.fromkeys(("B1", "B4", "B8A", "B11"), NONE)
    calm = cloud_mask.detect(seen(reflectance, saturated, ALL, ALL, NONE), NONE, V1_4)
    assert_array_equal(calm, [[False, True, True, True]])
    glinting = cloud_mask.detect(seen(reflectance, saturated, ALL, ALL, ALL), NONE, V1_4)
    assert_array_equal(glinting, [[False, False, False, True]])


def test_blue_threshold_grows_with_age_up_to_its_limit() -> None:
    lags = np.array([0, 30, 54, 90, -30])
    assert_allclose(multi_temporal.threshold(lags, V1_4), [0.025, 0.05, 0.07, 0.07, 0.05])


def test_a_rise_of_the_blue_is_cloud_and_a_harvest_is_not() -> None:
    old = cells(B1=[0.03] * 4, B2=[0.04] * 4, B4=[0.05] * 4, B8A=[0.3] * 4)
    # thin cloud, harvest (red rises more than the blue), thinner cloud, nothing
    new = cells(B1=[0.09, 0.07, 0.0535, 0.03], B2=[0.1, 0.1, 0.06, 0.04], B4=[0.11, 0.15, 0.07, 0.05],
                B8A=[0.33, 0.33, 0.31, 0.3])  # fmt: skip
    clouds, candidates = multi_temporal.detect(new, 1, past(old, 1), ALL, NONE, V1_3)
    assert_array_equal(clouds, [[True, False, False, False]])
    assert_array_equal(candidates, [[True, False, True, False]])
    aged, _ = multi_temporal.detect(new, 60, past(old, 0), ALL, NONE, V1_3)
    assert not aged.any()
    for untested in (past(old, -1), past(old, 1, water=ALL)):
        assert not multi_temporal.detect(new, 1, untested, ALL, NONE, V1_3)[1].any()
    assert not multi_temporal.detect(new, 1, past(old, 1), ALL, ALL, V1_3)[1].any()


def test_what_correlates_with_the_ground_is_clear() -> None:
    rng = np.random.default_rng(5)
    ground = rng.uniform(0.05, 0.15, (15, 15)).astype(np.float32)
    veil = ground + np.float32(0.05)
    cloud = rng.uniform(0.1, 0.3, (15, 15)).astype(np.float32)
    everywhere = np.ones((15, 15), bool)
    known = past({"B2": ground}, 0)
    assert correlation.alike(veil, known, everywhere, V1_4).all()
    assert not correlation.alike(cloud, known, everywhere, V1_4).any()
    assert not correlation.alike(veil, known, ~everywhere, V1_4).any()
    flat = np.full((15, 15), 0.5, np.float32)
    assert not correlation.alike(flat, known, everywhere, V1_4).any()
    lost = past({"B2": np.full_like(ground, np.nan)}, -1)
    assert not correlation.alike(veil, lost, everywhere, V1_4).any()
    older = replace(lost, stack=np.stack([cloud, ground]))  # one date of the stack is enough
    assert correlation.alike(veil, older, everywhere, V1_4).all()


@pytest.mark.parametrize("numbers", [V1_3, V1_4, V2_0, V2_1], ids=lambda numbers: numbers.version)
def test_a_cloud_is_found_where_one_stood_before(numbers: Parameters) -> None:
    """Over a ridge clouds of much the same shape come back: what was cloud tells nothing of the ground."""
    shape = (24, 24)
    rows, cols = np.indices(shape)
    share = np.exp(-(((rows - 12) / 5) ** 2 + ((cols - 12) / 3) ** 2))
    state = None
    for date, cloud in enumerate((0 * share, share, 0.8 * share, 0.9 * share)):
        made = scenes.scene(scenes.mix(scenes.ground(shape), scenes.CLOUD, cloud), shape, days=5 * date)
        l2a, state = correct(scenes.onto(made, numbers), state, numbers)
        found = (l2a.cloud["R2"][6::12, 6::12] & Cloud.CLOUD) > 0
        assert not date or found[cloud > 0.5].mean() >= 0.97
        assert state is not None
        assert np.isnan(state.stack[0]).any() == bool(date)


def test_extension_needs_a_cloud_and_little_ground() -> None:
    candidates = np.zeros((3, 11), bool)
    candidates[1, 0:4] = candidates[1, 5:8] = candidates[1, 9:11] = True
    clouds = np.zeros_like(candidates)
    clouds[1, 1] = clouds[1, 9] = True
    ground = np.zeros_like(candidates)
    ground[1, 10] = True
    found = multi_temporal.extend(candidates, clouds, ground, V1_4)
    expected = np.zeros_like(candidates)
    expected[1, [0, 2, 3]] = True  # touched by a cloud; the middle patch has none, the last looks like ground
    assert_array_equal(found, expected)


def test_a_thin_cloud_is_found_once_the_ground_is_known() -> None:
    ground, shape = scenes.ground((16, 16)), (16, 16)
    share = 0.14 * scenes.blot(shape, 8, 8, 3)  # too thin for the thresholds of one date
    veiled = scenes.mix(ground, scenes.CLOUD, share)
    noise = np.random.default_rng(7).uniform(0.85, 1.25, shape)
    veiled = {band: np.where(share > 0, value * noise, value) for band, value in veiled.items()}
    alone, _ = correct(scenes.scene(veiled, shape, days=5), None, V1_4)
    assert not alone.cloud["R2"].any()
    _, state = correct(scenes.scene(ground, shape), None, V1_4)
    product, later = correct(scenes.scene(veiled, shape, days=5), state, V1_4)
    assert later is not None
    clm = product.cloud["R2"][6::12, 6::12]
    assert (clm[5:12, 5:12] & Cloud.CLOUD > 0).mean() > 0.9
    assert (clm & Cloud.MULTI_TEMPORAL).any()
    assert not clm[:3].any()
    same, _ = correct(scenes.scene(ground, shape, days=5), state, V1_4)
    assert not same.cloud["R2"].any()


@settings(deadline=None, max_examples=25)
@given(
    mask=hnp.arrays(bool, st.tuples(st.integers(1, 25), st.integers(1, 25))),
    radius=st.sampled_from([0, 120, 240, 300, 480, 720]),
    resolution=st.sampled_from([120, 240]),
)
def test_dilation_reaches_the_metres_asked(mask: np.ndarray, radius: int, resolution: int) -> None:
    found = dilation.dilate(mask, radius, resolution)
    if mask.any():
        distance = ndimage.distance_transform_edt(~mask) * resolution
        assert_array_equal(found, distance <= radius + 1e-6)
    else:
        assert not found.any()


def test_each_cloud_bit_is_dilated_on_its_own() -> None:
    one, other = scenes.blot((9, 9), 2, 2, 0) > 0, scenes.blot((9, 9), 6, 6, 0) > 0
    clouds = Clouds(one, other).dilated(V1_4)
    code = clouds.bits()
    assert code[2, 3] == Cloud.ANY | Cloud.CLOUD | Cloud.MONO_TEMPORAL
    assert code[6, 5] == Cloud.ANY | Cloud.CLOUD | Cloud.HIGH
    assert np.count_nonzero(code) == 10
    assert clouds.absent() >= {"CLM.MULTI_TEMPORAL", "CLM.THINNEST"}
    assert not clouds.absent() & {"CLM.MONO_TEMPORAL", "CLM.HIGH"}


def test_masks_of_v2_0_are_drawn_narrower_than_what_the_chain_leaves_out() -> None:
    """Half a cell of 120 m around clouds, 135 m around shadows, in cells of 60 m; 180 m in the chain."""
    one, other = scenes.blot((15, 15), 4, 4, 1) > 0, scenes.blot((15, 15), 10, 10, 0) > 0
    found = Clouds(one, np.zeros_like(one), shadow=other)
    drawn = found.drawn(V2_0)
    for mask, here, width in ((drawn.mono_temporal, one, 60), (drawn.shadow, other, 135)):
        assert mask is not None
        distance = ndimage.distance_transform_edt(~dilation.finer(here, 2)) * 60
        assert_array_equal(mask, distance <= width)
    for row, col in ((9, 3), (2, 20), (19, 19)):
        away = found.away(row, col, V2_0)
        assert away["high"] is None
        for name, here in (("mono_temporal", one), ("shadow", other)):
            expected = ndimage.distance_transform_edt(~dilation.finer(here, 2))[row, col] * 60
            assert away[name] == pytest.approx(expected)
    wide = found.dilated(V2_0)
    assert (dilation.finer(wide.all(), 2) & ~drawn.all()).any()
    assert not (drawn.all() & ~dilation.finer(wide.all(), 2)).any()
    for numbers in (V1_3, V1_4):
        assert_array_equal(found.drawn(numbers).bits(), found.dilated(numbers).bits())


def test_the_masks_of_v2_0_reach_in_the_raster_as_far_as_they_say() -> None:
    cells = (12, 12)
    scene = scenes.scene(scenes.mix(scenes.ground(cells), scenes.CLOUD, scenes.blot(cells, 6, 6, 1)), cells)
    l2a, _ = correct(scenes.onto(scene, V2_0), None, V2_0)
    row = (l2a.cloud["R1"][6 * 24 + 12] & Cloud.CLOUD) > 0
    found = np.flatnonzero(row)
    assert found.min() == 5 * 24 - 6  # six pixels of 10 m
    assert found.max() == 8 * 24 + 6 - 1
    assert l2a.figures.cloud_percent == pytest.approx(100 * ((l2a.cloud["R1"] & Cloud.CLOUD) > 0).mean(), abs=0.1)


def test_water_is_what_looked_like_water_on_most_dates() -> None:
    dark = cells(B2=[0.02] * 4, B4=[0.02, 0.02, 0.02, 0.06], B8A=[0.01, 0.01, 0.3, 0.05])
    clear = np.array([[True, False, True, True]])
    first = water_mask.detect(dark, clear, NONE, None, V1_4)
    assert_array_equal(first.mask, [[True, False, False, False]])  # water, cloud, vegetation, dark soil
    known = replace(
        past(dark, 0),
        possible_water=np.array([[[False, True, True, True]]] * 12),
        tested_water=np.array([[[True, True, True, True]]] * 12),
    )
    later = water_mask.detect(dark, clear, NONE, known, V1_4)
    assert later.possible.shape == (V1_4.water_stack, *ROW)
    assert_array_equal(later.mask, [[False, True, True, True]])


def test_under_glint_water_is_what_changes_and_was_dark() -> None:
    old = cells(B2=[0.05] * 4, B4=[0.02] * 4, B8A=[0.02, 0.02, 0.3, 0.02])
    new = cells(B2=[0.05] * 4, B4=[0.08] * 4, B8A=[0.09, 0.0205, 0.4, 0.09])
    glint = np.array([[True, True, True, False]])
    found = water_mask.detect(new, ALL, glint, past(old, 0), V1_4)
    assert_array_equal(found.possible[0], [[True, False, False, False]])


def test_water_of_a_scene() -> None:
    surface = scenes.mix(scenes.ground((12, 12)), scenes.WATER, scenes.blot((12, 12), 3, 3, 2))
    product, state = correct(scenes.scene(surface), None, V1_4)
    assert state is not None
    water = product.geophysical["R2"][6::12, 6::12] & Geophysical.WATER > 0
    assert_array_equal(water, scenes.blot((12, 12), 3, 3, 2) > 0)
    shown = product.geophysical["R2"] & Geophysical.WATER > 0
    assert product.figures.water_percent == pytest.approx(100 * shown.mean())
    assert shown.mean() == pytest.approx(25 / 144, rel=0.25)
    assert_array_equal(state.water, water)


def test_gaps_of_water_vapour_are_filled_from_around() -> None:
    truth = np.add.outer(np.linspace(1, 2, 40), np.linspace(0, 1, 40)).astype(np.float32)
    known = truth.copy()
    known[15:22, 15:22] = np.nan
    filled, gaps = water_vapour.fill(known, np.zeros((40, 40), bool), V1_4)
    assert_allclose(filled, truth, atol=0.15)
    assert_array_equal(filled[~gaps], truth[~gaps])
    assert gaps[13, 18]  # grown by two
    assert not gaps[12, 18]
    none, everywhere = water_vapour.fill(np.full((5, 5), np.nan, np.float32), np.zeros((5, 5), bool), V1_4)
    assert_array_equal(none, np.full((5, 5), V1_4.default_water_vapour))
    assert everywhere.all()
    far = np.full((120, 120), np.nan, np.float32)
    far[:10] = 3.0
    assert_allclose(water_vapour.fill(far, np.zeros((120, 120), bool), V1_4)[0], 3.0, rtol=1e-6)


@pytest.mark.parametrize("column", [0.5, 2.0, 4.0])
def test_water_vapour_comes_back(column: float) -> None:
    product, _ = correct(scenes.scene(scenes.ground((6, 6)), (6, 6), water_vapour=column), None, V1_4)
    assert product.figures.water_vapour_mean == pytest.approx(column, rel=0.1)


def test_v1_1_sees_clouds_in_b2() -> None:
    """The blue of the cloud tests is B1 from V1_3 on, and was B2 before."""
    assert (parameters("V1_1").cloud_blue_band, parameters("V1_3").cloud_blue_band) == ("B2", "B1")
    surface = dict(scenes.CLOUD) | {"B1": 0.1}
    scene = scenes.scene(scenes.mix(scenes.ground((9, 9)), surface, scenes.blot((9, 9), 4, 4, 1)), (9, 9))
    assert correct(scene, None, parameters("V1_1"))[0].figures.cloud_percent > 0
    assert correct(scene, None, V1_4)[0].figures.cloud_percent == 0


def test_no_cloud_has_all_the_water_vapour_above_it() -> None:
    bright, faint = np.array([[True, True, True, False]]), np.array([[True, True, True, True]])
    vapour = np.array([[0.5, 1.0, np.nan, 0.6]], np.float32)  # cloud, roof, not known, thin cloud
    assert_array_equal(cloud_mask.lifted(bright, faint, vapour, V2_0), [[True, False, True, True]])
    assert not cloud_mask.lifted(bright, faint, np.full(ROW, 0.8, np.float32), V2_0)[0, 3]


@pytest.mark.parametrize(("numbers", "steady"), [(V1_4, True), (V2_0, False)], ids=["V1_4", "V2_0"])
def test_a_faint_cloud_over_known_ground_brightened_it(numbers: Parameters, steady: bool) -> None:
    none, faint = np.zeros(ROW, bool), np.ones(ROW, bool)
    vapour, rise = np.full(ROW, 0.6, np.float32), np.array([[0.0, 0.03, np.nan, -0.02]], np.float32)
    found = cloud_mask.lifted(none, faint, vapour, numbers, rise=rise)
    assert_array_equal(found, [[steady, True, True, steady]])
    assert cloud_mask.lifted(none, faint, vapour, numbers).all()


def test_a_lone_cell_rose_by_twice_the_limit() -> None:
    shape = (9, 9)
    clouds, others = np.zeros(shape, bool), np.zeros(shape, bool)
    clouds[1, 1] = clouds[1, 7] = clouds[5, 2] = clouds[5, 3] = clouds[7, 7] = True
    others[8, 8] = True
    rise = np.where(clouds, np.float32(0.04), np.float32(0))
    rise[1, 7] = 0.06
    old = {band: np.full(shape, value, np.float32) for band, value in SOIL.items()}
    found = multi_temporal.accompanied(clouds, others, rise, 1, past(old, 0), V2_0)
    expected = clouds.copy()
    expected[1, 1] = False  # alone, and 0.04 is less than twice the limit of a day
    assert_array_equal(found, expected)
    new = {band: value + (rise if band.startswith("B") else 0) for band, value in old.items()}
    assert_allclose(multi_temporal.rise(new, past(old, 0), V2_0), rise, atol=1e-6)


def test_water_vapour_is_compared_at_the_same_altitude() -> None:
    altitude = np.repeat(np.array([[0.0], [2000.0]], np.float32), 100, axis=1)
    column = (2.5 * np.exp(-altitude / water_vapour.SCALE_HEIGHT)).astype(np.float32)
    everywhere = np.ones(altitude.shape, bool)
    assert_allclose(water_vapour.relative(column, altitude, everywhere, V2_0), 1, rtol=1e-5)
    some = everywhere & (np.indices(altitude.shape)[1] < 2)
    assert np.isnan(water_vapour.relative(column, altitude, some, V2_0)).all()
    column[0, :10] = np.nan
    assert np.isnan(water_vapour.relative(column, altitude, everywhere, V2_0)[0, :10]).all()


def test_the_column_above_ground_comes_from_what_is_neither_snow_nor_cloud() -> None:
    """Snow, darker in B9 than in B8A, feigns vapour; a cloud hides it. Both are brighter in B3 than in B11."""
    altitude = np.linspace(500, 2500, 200, dtype=np.float32).reshape(20, 10)
    truth = np.exp(-altitude / water_vapour.SCALE_HEIGHT).astype(np.float32)
    snow, cloud = altitude > 1800, np.indices(altitude.shape)[1] == 3
    read = np.where(cloud, 0.3 * truth, np.where(snow, 1.6 * truth, truth)).astype(np.float32)
    image = {"B3": np.where(snow | cloud, 0.6, 0.08), "B11": np.where(snow, 0.1, np.where(cloud, 0.5, 0.2))}
    reflectance = {band: field.astype(np.float32) for band, field in image.items()}
    tested = np.ones(altitude.shape, bool)
    found = water_vapour.above_ground(read, read, reflectance, altitude, tested, V2_0)
    assert_allclose(found, truth, rtol=1e-5)
    nothing = reflectance | {"B11": np.zeros(altitude.shape, np.float32)}  # all white: what was read holds
    assert_array_equal(water_vapour.above_ground(read, read, nothing, altitude, tested, V2_0), read)


@pytest.mark.parametrize("numbers", [V1_4, V2_0], ids=["V1_4", "V2_0"])
def test_haze_all_over_is_no_cloud_and_a_cloud_in_it_is(numbers: Parameters) -> None:
    shape = (1, 100)
    old = {band: np.full(shape, value, np.float32) for band, value in SOIL.items()}
    valid, snow = np.ones(shape, bool), np.zeros(shape, bool)
    veil = np.where(np.arange(100) < 10, 0.035, 0.0)
    new = {band: (value + 0.028 + veil).astype(np.float32) for band, value in old.items()}
    assert multi_temporal.detect(new, 1, past(old, 1), valid, snow, V1_3)[0].all()
    found, _ = multi_temporal.detect(new, 1, past(old, 1), valid, snow, numbers)
    assert_array_equal(found, veil[None] > 0)
    thick = {band: value + np.float32(0.1) for band, value in old.items()}  # more than haze can be
    assert multi_temporal.detect(thick, 1, past(old, 1), valid, snow, numbers)[0].all()


@pytest.mark.parametrize(("numbers", "told"), [(V2_0, False), (V2_1, True)], ids=["V2_0", "V2_1"])
def test_a_plume_of_dust_is_no_cloud_and_a_cloud_in_it_is(numbers: Parameters, told: bool) -> None:
    """Haze that comes and goes over kilometres, grey as a cloud; a cloud's edge is sharper."""
    shape = (80, 80)
    old = {band: np.full(shape, value, np.float32) for band, value in SOIL.items()}
    rows, cols = np.indices(shape)
    plume = 0.06 * np.exp(-(((rows - 40) / 25) ** 2))
    cloud = 0.06 * (np.hypot(rows - 40, cols - 60) < 6)
    new = {band: (value + plume + cloud).astype(np.float32) for band, value in old.items()}
    valid, snow = np.ones(shape, bool), np.zeros(shape, bool)
    found, _ = multi_temporal.detect(new, 1, past(old, 1), valid, snow, numbers)
    assert found[cloud > 0].all()
    assert found[cloud == 0].any() != told


@pytest.mark.parametrize("numbers", [V1_4, V2_0], ids=["V1_4", "V2_0"])
def test_a_thin_cloud_is_grey_and_haze_is_blue(numbers: Parameters) -> None:
    shape = (1, 40)
    old = {band: np.full(shape, value, np.float32) for band, value in SOIL.items()}
    valid, snow, here = np.ones(shape, bool), np.zeros(shape, bool), np.arange(40) < 10
    for red, expected in ((1.0, True), (0.5, False)):
        veil = {"B1": 0.1, "B2": 0.08, "B3": 0.08, "B4": 0.1 * red, "B8A": 0.05 * red, "B11": 0.05 * red}
        new = {b: (value + here * veil[b] * (0.65 - value)).astype(np.float32) for b, value in old.items()}
        assert multi_temporal.detect(new, 1, past(old, 1), valid, snow, V1_3)[0].any()
        found, _ = multi_temporal.detect(new, 1, past(old, 1), valid, snow, numbers)
        assert_array_equal(found, here[None] & expected)


@pytest.mark.parametrize("numbers", [V1_4, V2_0], ids=["V1_4", "V2_0"])
def test_a_field_laid_bare_is_no_cloud_and_a_thin_cloud_over_it_is(numbers: Parameters) -> None:
    shape = (1, 40)
    valid, snow, here = np.ones(shape, bool), np.zeros(shape, bool), np.arange(40) < 10
    old = {band: np.full(shape, value, np.float32) for band, value in SOIL.items()}
    laid_bare = {"B1": 0.06, "B2": 0.08, "B3": 0.1, "B4": 0.09, "B8A": 0.22, "B11": 0.3}
    cloud = {band: value + 0.15 * (0.65 - value) for band, value in laid_bare.items()}
    for ground, expected in ((laid_bare, False), (cloud, True)):
        new = {band: np.where(here, np.float32(ground[band]), old[band]) for band in old}
        assert_array_equal(multi_temporal.detect(new, 1, past(old, 1), valid, snow, V1_3)[0], here[None])
        found, _ = multi_temporal.detect(new, 1, past(old, 1), valid, snow, numbers)
        assert_array_equal(found, here[None] & expected)


@pytest.mark.parametrize(("distance", "swir", "cloudy"), [(3, 0.05, False), (3, 0.5, True), (12, 0.05, True)])
@pytest.mark.parametrize("numbers", [V1_4, V2_0], ids=["V1_4", "V2_0"])
def test_a_cell_half_snow_is_no_cloud(distance: int, swir: float, cloudy: bool, numbers: Parameters) -> None:
    """Beside snow a cell that brightens in the blue and darkens at 1.6 um is partly snow itself."""
    shape = (1, 40)
    valid, snow, here = np.ones(shape, bool), np.arange(40)[None] < 5, np.arange(40)[None] == 4 + distance
    old = {band: np.full(shape, value, np.float32) for band, value in SOIL.items()}
    white = dict.fromkeys(SOIL, 0.8) | {"B11": swir}
    new = {
        band: np.where(here, 0.6 * value + 0.4 * white[band], value).astype(np.float32) for band, value in old.items()
    }
    assert_array_equal(multi_temporal.detect(new, 1, past(old, 1), valid, snow, V1_3)[0], here)
    found, _ = multi_temporal.detect(new, 1, past(old, 1), valid, snow, numbers)
    assert_array_equal(found, here & cloudy)


@pytest.mark.parametrize("numbers", [V1_4, V2_0], ids=["V1_4", "V2_0"])
def test_a_town_is_no_cloud_on_the_first_date(numbers: Parameters) -> None:
    """Seen with the vapour that lies above the ground: in this scene it does over all that is bright."""
    roofs = dict.fromkeys(scenes.VEGETATION, 0.4) | {"B11": 0.3, "B12": 0.25}
    made = scenes.scene(scenes.mix(scenes.ground((12, 12)), roofs, scenes.blot((12, 12), 6, 6, 1)))
    assert correct(made, None, V1_3)[0].figures.cloud_percent > 0
    assert correct(scenes.onto(made, numbers), None, numbers)[0].figures.cloud_percent == 0


@pytest.mark.parametrize(("vapour", "high"), [(0.25, False), (2.5, True)])
def test_a_snowy_summit_in_dry_air_is_no_high_cloud_in_v2_0(vapour: float, high: bool) -> None:
    """What B10 has of the ground depends on the vapour above it; what is seen through much of it is a cloud."""
    numbers = parameters("V2_0")
    scene = scenes.scene(scenes.ground((6, 6)), (6, 6), altitude=2800.0)
    angles = geometry.interpolate(scenes.onto(scene, numbers), numbers)
    column = np.full(angles.sun_zenith.shape, vapour, np.float32)
    seen = np.full(column.shape, 0.09, np.float32)
    left = cirrus.above_ground(seen, scenes.onto(scene, numbers), angles, column, numbers)
    altitude = np.full(column.shape, 2800.0, np.float32)
    assert cirrus.detect(left, altitude, numbers).all() == high
    assert cirrus.above_ground(seen, scene, angles, column, parameters("V1_4")) is seen


#: Surface reflectance of waters: with much sediment, shallow over sand, on flooded fields. [-]
TURBID = {"B1": 0.08, "B2": 0.11, "B3": 0.17, "B4": 0.18, "B8A": 0.07, "B11": 0.01, "B12": 0.005}
SHALLOW = {"B1": 0.15, "B2": 0.19, "B3": 0.22, "B4": 0.13, "B8A": 0.02, "B11": 0.004, "B12": 0.002}
FLOODED = {"B1": 0.05, "B2": 0.06, "B3": 0.09, "B4": 0.07, "B8A": 0.09, "B11": 0.05, "B12": 0.03}


def whole(bands: dict[str, float]) -> dict[str, float]:
    """Those between by the nearest that is given."""
    near = {"B5": "B4", "B6": "B4", "B7": "B8A", "B8": "B8A", "B9": "B8A"}
    return bands | {band: bands[other] for band, other in near.items()}


@pytest.mark.parametrize("kind", [TURBID, SHALLOW, FLOODED], ids=["turbid", "shallow", "flooded"])
@pytest.mark.parametrize("altitude", [5.0, 900.0])
def test_water_of_any_colour_is_water_and_no_snow_on_the_first_date(kind: dict[str, float], altitude: float) -> None:
    place = scenes.blot((12, 12), 6, 6, 2)
    made = scenes.scene(scenes.mix(scenes.ground((12, 12)), whole(kind), place), altitude=altitude)
    l2a, _ = correct(scenes.onto(made, V2_1), None, V2_1)
    code = l2a.geophysical["R2"][6::12, 6::12]
    assert_array_equal(code & Geophysical.WATER > 0, place > 0)
    assert not (code & Geophysical.SNOW).any()


def test_snow_keeps_its_name_where_turbid_water_loses_it() -> None:
    lit = {"B2": 0.9, "B3": 0.9, "B4": 0.88, "B8A": 0.8, "B11": 0.1}
    old = {"B2": 0.5, "B3": 0.52, "B4": 0.5, "B8A": 0.38, "B11": 0.05}
    both = [lit, old, TURBID, SHALLOW]
    image = cells(**{band: [kind[band] for kind in both] for band in lit})
    assert snow_mask.detect(image, ALL, NONE, *level(), V2_0).all()
    found = snow_mask.detect(image, ALL, NONE, *level(), replace(V2_1, snow_dilation=0))
    assert_array_equal(found, [[True, True, False, False]])


def test_snow_turned_from_the_sun_is_snow_and_no_cloud() -> None:
    """The sky lights it in the visible, the sun not in B11: as on flat ground it would be too bright there."""
    shaded = cells(B2=[0.42] * 4, B3=[0.41] * 4, B4=[0.4] * 4, B8A=[0.39] * 4, B11=[0.09] * 4)
    cosines = np.full(ROW, 0.57, np.float32), np.full(ROW, 0.1, np.float32)
    assert not snow_mask.detect(shaded, ALL, NONE, *cosines, V2_0).any()
    assert snow_mask.detect(shaded, ALL, NONE, *cosines, V2_1).all()


@pytest.mark.parametrize(("numbers", "found"), [(V2_0, False), (V2_1, True)], ids=["V2_0", "V2_1"])
def test_a_low_deck_over_the_sea_is_cloud(numbers: Parameters, found: bool) -> None:
    """So low that nine tenths of the vapour lie above it."""
    shape = (16, 16)
    sea = (np.indices(shape)[1] < 8).astype(float)
    ground = scenes.mix(scenes.ground(shape), scenes.WATER, sea)
    state = None
    for days in (0, 5):
        _, state = correct(scenes.onto(scenes.scene(ground, shape, days=days), numbers), state, numbers)
    deck = scenes.CLOUD | {"B9": 0.62}
    here = scenes.blot(shape, 8, 3, 2)
    made = scenes.scene(scenes.mix(ground, deck, here), shape, days=10)
    l2a, _ = correct(scenes.onto(made, numbers), state, numbers)
    cloud = l2a.cloud["R2"][6::12, 6::12] & Cloud.CLOUD > 0
    assert cloud[here > 0].mean() > 0.98 if found else not cloud[here > 0].any()
    assert not cloud[scenes.blot(shape, 8, 3, 3) == 0].any()


def test_sediment_and_mud_laid_bare_are_no_cloud_over_water() -> None:
    old = {band: np.full(ROW, value, np.float32) for band, value in TURBID.items()}
    # more sediment, mud at low tide, thin cloud, thick cloud
    kinds = [
        {"B1": 0.12, "B2": 0.16, "B3": 0.24, "B4": 0.26, "B8A": 0.14, "B11": 0.015, "B12": 0.01},
        {"B1": 0.09, "B2": 0.12, "B3": 0.16, "B4": 0.19, "B8A": 0.24, "B11": 0.16, "B12": 0.11},
        {band: value + 0.1 * (0.65 - value) for band, value in TURBID.items()},
        dict.fromkeys(TURBID, 0.6) | {"B11": 0.5, "B12": 0.4},
    ]
    image = cells(**{band: [kind[band] for kind in kinds] for band in TURBID})
    what = replace(seen(image, dict.fromkeys(image, NONE), ALL, ALL, NONE), past=past(old, 0, ALL))
    assert_array_equal(cloud_mask.detect(what, NONE, V2_1), [[False, False, True, True]])
    assert_array_equal(cloud_mask.detect(what, NONE, V2_0), [[False, True, False, True]])


@pytest.mark.parametrize(("numbers", "found"), [(V2_0, False), (V2_1, True)], ids=["V2_0", "V2_1"])
@pytest.mark.parametrize("known", [False, True])
def test_a_cloud_just_over_snow_is_cloud(numbers: Parameters, found: bool, known: bool) -> None:
    """Over a summit nearly all of the vapour lies above the cloud too; but it is bright at 1.6 um."""
    shape = (16, 16)
    ground = scenes.mix(scenes.ground(shape), scenes.SNOW, scenes.blot(shape, 8, 8, 6))
    state = correct(scenes.onto(scenes.scene(ground, shape), numbers), None, numbers)[1] if known else None
    here = scenes.blot(shape, 8, 8, 2)
    low = scenes.CLOUD | {"B9": 0.62}
    made = scenes.scene(scenes.mix(ground, low, here), shape, days=5)
    l2a, _ = correct(scenes.onto(made, numbers), state, numbers)
    cloud = l2a.cloud["R2"][6::12, 6::12] & Cloud.CLOUD > 0
    assert cloud[here > 0].mean() > 0.95 if found else not cloud[here > 0].any()
    assert not cloud[scenes.blot(shape, 8, 8, 3) == 0].any()


@pytest.mark.parametrize("share", [0.2, 0.3, 0.4, 0.6])
@pytest.mark.parametrize("light", [0.5, 1.0, 1.2])
def test_a_cell_partly_snow_is_no_cloud(share: float, light: float) -> None:
    """Dry soil and snow together are as bright and white as a cloud."""
    shape = (16, 16)
    soil = {band: light * value for band, value in scenes.SOIL.items()}
    half = scenes.mix(soil, dict.fromkeys(scenes.SNOW, 1.0) | {"B11": 0.12, "B12": 0.08}, np.full(shape, share))
    ground = scenes.mix(scenes.ground(shape), scenes.SNOW, scenes.blot(shape, 8, 8, 5))
    made = scenes.scene(scenes.mix(ground, half, scenes.blot(shape, 8, 8, 2)), shape, sun=(60.0, 160.0))
    l2a, state = correct(scenes.onto(made, V2_1), None, V2_1)
    assert not (l2a.cloud["R2"] & Cloud.CLOUD).any()
    again = scenes.scene(scenes.mix(ground, half, scenes.blot(shape, 8, 8, 3)), shape, days=5, sun=(60.0, 160.0))
    assert not (correct(scenes.onto(again, V2_1), state, V2_1)[0].cloud["R2"] & Cloud.CLOUD).any()


def test_a_smooth_deck_looks_like_no_ground() -> None:
    """It has the shape of the ground by chance; but nothing is seen through what is so bright."""
    rows = np.linspace(0, 1, 15, dtype=np.float32)[:, None] * np.ones((1, 15), np.float32)
    ground, deck = 0.05 + 0.05 * rows, 0.5 + 0.01 * rows
    bare = past({band: ground for band in ("B1", "B2", "B11")}, 0)
    everywhere = np.ones(ground.shape, bool)
    assert correlation.alike(deck, bare, everywhere, V2_1)[3:-3, 3:-3].all()
    for cover, expected in ((1.0, False), (0.1, True)):
        image = {band: (1 - cover) * ground + cover * deck for band in ("B1", "B2", "B11")}
        found = multi_temporal.doubtful(everywhere, image, bare, V2_1)
        assert found.all() if expected else not found.any()
    assert multi_temporal.doubtful(everywhere, {"B1": deck}, bare, V2_0).all()


def test_the_masks_of_v2_1_end_where_the_blue_pixels_do() -> None:
    """A cloud over a part of its cells of 120 m is drawn by its pixels of 20 m, and found again from what is kept."""
    shape = (12, 12)
    ground = scenes.scene(scenes.VEGETATION, shape)
    pixels = np.kron(scenes.blot(shape, 6, 6, 1), np.ones((4, 4))) > 0
    pixels[:, 25:] = False  # the last pixels of each row of cells are clear
    thick = scenes.scene(scenes.CLOUD, shape)
    counts = {}
    for band, raster in ground.counts.items():
        times = BANDS[band].resolution
        here = np.kron(pixels, np.ones((60 // times, 60 // times))) > 0 if times < 60 else pixels
        counts[band] = np.where(here, thick.counts[band], raster)
    made = scenes.onto(replace(ground, counts=counts), V2_1)
    l2a, _ = correct(made, None, V2_1)
    found = l2a.cloud["R2"] & Cloud.CLOUD > 0
    assert_array_equal(found, dilation.dilate(np.kron(pixels, np.ones((3, 3))) > 0, V2_1.mask_rim[0], 20))
    assert l2a.evidence is not None
    assert l2a.evidence.detail["clouds"].shape == found.shape
    again = explanation.retest(l2a.evidence, made.day, None, V2_1)
    assert_array_equal(again.cloud & Cloud.CLOUD > 0, found)
    coarse, _ = correct(made, None, V2_0)
    assert np.count_nonzero((coarse.cloud["R2"][1::3, 1::3] & Cloud.CLOUD > 0) & ~pixels) > 20
    assert coarse.evidence is not None
    assert coarse.evidence.detail == {}


@pytest.mark.parametrize("rise", [0.02, 0.3])
def test_a_cloud_over_snow_is_drawn_by_b11(rise: float) -> None:
    """Where the ground is white; of what is darker than the rest of its cell less is drawn."""
    shape = (9, 9)
    here = scenes.blot(shape, 4, 4, 1) > 0
    image = {band: np.where(here, 0.8 + rise, 0.8) for band in ("B1", "B2", "B3", "B4")}
    image["B11"] = np.where(here, 0.5, 0.08)
    old = {
        band: np.full(shape, value, np.float32) for band, value in zip(image, (0.8, 0.8, 0.8, 0.8, 0.08), strict=True)
    }
    what = scenes.observation({b: v.astype(np.float32) for b, v in image.items()}, past(old, 0), here | True, None)
    found = Clouds(here, np.zeros_like(here))
    side = V2_1.coarse_resolution // V2_1.mask_resolution
    left = np.indices((9 * side, 9 * side))[1] % side < side // 2
    swir = np.where(dilation.finer(here, side), np.where(left, 100, -105), 0).astype(np.int8)
    blue = np.full(swir.shape, 50, np.int8)  # tells nothing
    what = replace(what, detail={"clouds": blue, "snow": swir})
    bright = drawing.brightening(what, found, ~here, ~here, V2_1)
    drawn = found.drawn(replace(V2_1, mask_rim=(0.0, 0.0)), bright).mono_temporal
    assert drawn is not None
    assert_array_equal(drawn, dilation.finer(here, side) & left)


SIDE = V2_1.coarse_resolution // V2_1.mask_resolution
GROUND = {"B1": 0.05, "B2": 0.05, "B3": 0.07, "B4": 0.06, "B8A": 0.3, "B11": 0.2, "B12": 0.12}


def on_ground(changes: dict[str, np.ndarray | float], detail: dict[str, np.ndarray]) -> Observation:
    """A date of 15 x 15 cells over `GROUND`, with the fine details in parts of a reflectance."""
    shape = (15, 15)
    old = {band: np.full(shape, value, np.float32) for band, value in GROUND.items()}
    new = {band: (value + changes.get(band, 0)).astype(np.float32) for band, value in old.items()}
    what = scenes.observation(new, past(old, 0), np.ones(shape, bool), None)
    fine = {name: np.clip(np.rint(value / DETAIL), -127, 127).astype(np.int8) for name, value in detail.items()}
    return replace(what, detail=fine)


@pytest.mark.parametrize(
    ("risen", "red", "peak", "uneven", "expected"),
    [
        (0.04, 0.04, 0.3, 0.03, True),  # a cloud on a tenth of the cell
        (0.0, 0.0, 0.3, 0.03, False),  # a roof
        (0.04, 0.0, 0.3, 0.03, False),  # a roof that lost its colour in haze
        (0.04, 0.04, 0.03, 0.001, False),  # a field that was cut
        (0.004, 0.004, 0.3, 0.003, False),  # next to nothing
    ],
)
def test_a_spot_is_a_cloud_where_it_accounts_for_what_its_cell_rose(
    risen: float, red: float, peak: float, uneven: float, expected: bool
) -> None:
    here = scenes.blot((15, 15), 7, 7, 0) > 0
    what = on_ground({"B2": here * risen, "B4": here * red}, {})
    spots = {name: np.where(here, value, 0).astype(np.float32) for name, value in (("peak", peak), ("uneven", uneven))}
    what = replace(what, spots=spots)
    assert what.past is not None
    nowhere = np.zeros_like(here)
    found = multi_temporal.spots(what, what.past, what.tested, nowhere, V2_1)
    assert_array_equal(found, here & expected)
    near_snow = multi_temporal.spots(what, what.past, what.tested, ~here, V2_1)
    assert not near_snow.any()  # B11 did not rise


@given(
    share=st.floats(0, 1),
    before=st.floats(0, 1),
    light=st.floats(0.3, 1.1),
    rock=st.floats(0.1, 0.3),
    known=st.booleans(),
)
def test_no_mixture_of_snow_and_rock_is_a_cloud_over_snow(
    share: float, before: float, light: float, rock: float, known: bool
) -> None:
    """Whatever it was before; half of a thick cloud over snow is one, and a quarter against a past with the snow."""
    snow = {"B1": 0.75, "B2": 0.75, "B8A": 0.7, "B11": 0.04}
    bare = {"B1": 0.1, "B2": 0.1, "B8A": 0.2, "B11": rock}
    cloud = {"B1": 0.8, "B2": 0.8, "B8A": 0.78, "B11": 0.5}
    here = np.ones((1, 1), bool)
    angles = geometry.Geometry(np.zeros((1, 1), np.float32), here * 0.0, {}, {}, ~here, ~here, frozenset())

    def mixed(one: dict[str, float], other: dict[str, float], of_one: float) -> dict[str, np.ndarray]:
        return {b: np.array([[light * (of_one * one[b] + (1 - of_one) * other[b])]], np.float32) for b in snow}

    def found(image: dict[str, np.ndarray], was: dict[str, np.ndarray]) -> bool:
        what = scenes.observation(image, past(was, 0) if known else None, here, angles)
        return bool(cloud_mask.over_snow(what, here, V2_1).item())

    assert not found(mixed(snow, bare, share), mixed(snow, bare, before))
    light = 1.0
    assert found(mixed(cloud, snow, 0.3 if known else 0.5), mixed(snow, bare, 1.0))


def test_a_shadow_is_drawn_by_what_plants_and_soils_have_alike() -> None:
    """Within its cells, and a little around; on water in the visible."""
    here = scenes.blot((15, 15), 7, 7, 1) > 0
    left = np.indices((15 * SIDE, 15 * SIDE))[1] % SIDE < SIDE // 2
    inside = dilation.finer(here, SIDE)
    half = -0.3 * 0.25 * here
    fine = np.where(inside, np.where(left, -0.075, 0.075), 0.0)
    land = on_ground({"B8A": half * 1.2, "B11": half * 0.8}, {"shadows": fine})
    blue = -0.3 * 0.04 * here
    water = on_ground({"B2": blue, "B4": blue}, {"clouds": np.where(inside, np.where(left, -0.012, 0.012), 0.0)})
    assert water.past is not None
    water = replace(water, past=replace(water.past, water=np.ones_like(here)))
    found = Clouds(np.zeros_like(here), np.zeros_like(here), shadow=here)
    for what in (land, water):
        dark = drawing.darkening(what, found, ~here, V2_1)
        drawn = found.drawn(replace(V2_1, mask_rim=(0.0, 0.0)), None, dark).shadow
        assert drawn is not None
        assert_array_equal(drawn, inside & left)
        rimmed = found.drawn(V2_1, None, dark).shadow
        assert_array_equal(rimmed, dilation.dilate(inside & left, V2_1.mask_rim[1], V2_1.mask_resolution))


def test_snow_is_drawn_where_its_index_is_high() -> None:
    snow = scenes.blot((15, 15), 7, 7, 1) > 0
    left = np.indices((15 * SIDE, 15 * SIDE))[1] % SIDE < SIDE // 2
    fine = {"clouds": np.where(left, 0.25, -0.25), "snow": np.where(left, -0.08, 0.08)}
    what = on_ground({"B2": 0.3, "B4": 0.29, "B11": -0.09}, fine)
    assert_array_equal(drawing.whiteness(what, snow, V2_1), dilation.finer(snow, SIDE) & left)


def test_a_high_cloud_is_drawn_by_the_blue_only_where_a_low_one_is_found() -> None:
    """A thin veil brightens no pixel enough; a tower that B10 sees ends where it ends."""
    veil, tower = scenes.blot((15, 15), 3, 3, 1) > 0, scenes.blot((15, 15), 11, 11, 1) > 0
    left = np.indices((15 * SIDE, 15 * SIDE))[1] % SIDE < SIDE // 2
    what = on_ground(
        {"B2": tower * 0.3, "B4": tower * 0.3}, {"clouds": np.where(left, 0.25, -0.25) * dilation.finer(tower, SIDE)}
    )
    found = Clouds(tower, veil | tower)
    bright = drawing.brightening(what, found, ~(veil | tower), np.zeros_like(veil), V2_1)
    drawn = found.drawn(replace(V2_1, mask_rim=(0.0, 0.0)), bright).high
    assert drawn is not None
    assert drawn[dilation.finer(veil, SIDE)].all()
    assert_array_equal(drawn[9 * SIDE :, 9 * SIDE :], (dilation.finer(tower, SIDE) & left)[9 * SIDE :, 9 * SIDE :])


def test_without_pixels_a_cloud_is_its_inner_cells() -> None:
    """A thinned look gives up no date whose clouds may end within their cells."""
    shape = (15, 15)
    over = scenes.blot(shape, 7, 7, 3) > 0
    made = scenes.onto(scenes.scene(scenes.mix(scenes.ground(shape), scenes.CLOUD, over), shape), V2_1)
    seen = observe(made, None, V2_1).seen
    masks = classify.clouds(replace(seen, detail={}, spots={}), V2_1)
    assert_array_equal(masks.shown.all(), ndimage.binary_erosion(masks.found.all(), np.ones((3, 3))))
    assert masks.shown.all().any()


@pytest.mark.parametrize("rows", [180, 1024])
def test_details_are_the_same_in_strips(rows: int) -> None:
    """And of what one of their bands did not see nothing is said."""
    made = scenes.onto(scenes.scene(scenes.VEGETATION, (12, 12)), V2_1)
    random = np.random.default_rng(5)
    counts = {
        band: raster + random.integers(0, 900, raster.shape).astype(np.uint16) for band, raster in made.counts.items()
    }
    counts["B4"][40:44, 20:24] = 0
    whole = subsampling.reduce(replace(made, counts=counts), V2_1)
    cut = Strips({band: len(raster) for band, raster in counts.items()}, lambda band, part: counts[band][part])
    strips = subsampling.reduce(replace(made, counts=cut), V2_1)
    assert set(whole.detail) == {"clouds", "snow", "shadows"}
    for name, detail in whole.detail.items():
        assert_array_equal(detail, strips.detail[name])
    assert (whole.detail["clouds"][20:22, 10:12] == 0).all()
    blocks = whole.detail["shadows"].astype(float).reshape(24, SIDE, 24, SIDE).mean((1, 3))
    assert np.abs(blocks).max() < 0.2  # means of a cell's pixels are the cell's


@pytest.mark.parametrize("side", [1, 2])
def test_masks_reach_no_farther_than_the_rim_of_what_was_tested(side: int) -> None:
    """Pixels of a swath's rim are observed though their cell is not; of what lies farther away nothing is known."""
    tested = np.indices((9, 20))[1] < 6
    code = np.where(dilation.finer(tested, side), np.uint8(5), np.uint8(0))
    found = codes._to_the_rim(code, tested)
    expected = dilation.finer(np.indices(tested.shape)[1] < 6 + codes.RIM, side)
    assert_array_equal(found == 5, expected)
    assert_array_equal(codes._to_the_rim(code, np.ones_like(tested)), code)


def test_a_faint_cloud_may_be_darker_than_sand_and_stand_over_glint() -> None:
    """Over bright sand it is darker at 1.6 um, over glinting water B12 tells nothing: the vapour does."""
    sand = {"B1": 0.19, "B4": 0.24, "B8A": 0.27, "B11": 0.29, "B12": 0.2}
    glint = {"B1": 0.36, "B4": 0.38, "B8A": 0.34, "B11": 0.3, "B12": 0.22}
    bare = {"B1": 0.13, "B4": 0.3, "B8A": 0.35, "B11": 0.6, "B12": 0.5}
    kinds = [sand, glint, bare, bare]
    image = cells(**{band: [kind[band] for kind in kinds] for band in sand})
    over_water = np.array([[False, True, False, True]])
    old = {band: np.full(ROW, 0.05, np.float32) for band in ("B2", *sand)}
    what = seen(image, dict.fromkeys(image, NONE), ALL, over_water, over_water)
    what = replace(what, past=past(old, 0, over_water))
    for numbers, expected in ((V2_0, [False, False, False, True]), (V2_1, [True, True, False, True])):
        assert_array_equal(cloud_mask.detect(what, NONE, numbers, faint=True), [expected])
