"""The chain as a whole, on surfaces that are known."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from processing import atmosphere
from processing.bands import BANDS, DISTRIBUTED, GROUP_RESOLUTION, GROUPS, R1
from processing.chain import correct
from processing.errors import AncillaryError, StateError
from processing.masks import Cloud, Edge, Geophysical, Interpolated
from processing.scene import L2A, Composite, Grid, Lazy, Scene
from processing.versions import parameters
from tests import scenes

V1_4 = parameters("V1_4")
CELLS = (12, 12)


def group_of(band: str) -> str:
    return "R1" if band in R1 else "R2"


def middles(raster: np.ndarray, group: str) -> np.ndarray:
    """The pixel at the middle of each cell of a full-resolution raster."""
    factor = scenes.CELL // GROUP_RESOLUTION[group]
    return raster[..., factor // 2 :: factor, factor // 2 :: factor]


def leaves(value: Any) -> list[np.ndarray]:
    """All arrays of a scene or composite, copied."""
    if isinstance(value, np.ndarray):
        return [value.copy()]
    if isinstance(value, Mapping):
        return [leaf for key in value for leaf in leaves(value[key])]
    if is_dataclass(value):
        return [leaf for f in fields(value) for leaf in leaves(getattr(value, f.name))]
    return []


@pytest.fixture(scope="module")
def clear() -> tuple[Scene, L2A, Composite]:
    scene = scenes.scene(scenes.ground(CELLS))
    product, state = correct(scene, None, V1_4)
    assert state is not None
    return scene, product, state


@pytest.fixture(scope="module")
def cloudy() -> tuple[Scene, L2A, Composite]:
    surface = scenes.mix(scenes.ground(CELLS), scenes.CLOUD, scenes.blot(CELLS, 6, 6, 1))
    scene = scenes.scene(surface)
    product, state = correct(scene, None, V1_4)
    assert state is not None
    return scene, product, state


@settings(deadline=None, max_examples=15)
@given(
    share=st.floats(0, 1),
    sun=st.tuples(st.floats(20, 70), st.floats(0, 360)),
    view=st.tuples(st.floats(0, 12), st.floats(0, 360)),
    altitude=st.floats(0, 2500),
    water_vapour=st.floats(0.5, 4),
)
def test_a_uniform_surface_comes_back(
    share: float, sun: tuple[float, float], view: tuple[float, float], altitude: float, water_vapour: float
) -> None:
    surface = scenes.mix(scenes.VEGETATION, scenes.SOIL, np.full((3, 3), share))
    scene = scenes.scene(
        surface, (3, 3), sun=sun, view=view, altitude=altitude, water_vapour=water_vapour, aot=V1_4.aot_default
    )
    product, _ = correct(scene, None, V1_4)
    assert product.status == "valid"
    for band in DISTRIBUTED:
        # what is left is the water vapour, which the aerosol biases by a tenth
        tolerance = 25 if band in ("B5", "B6", "B7", "B8", "B12") else 10
        assert_allclose(product.surface_reflectance[band], surface[band][0, 0] * 10000, atol=tolerance, rtol=0.01)


def test_each_cell_comes_back_under_a_relief(clear: tuple[Scene, L2A, Composite]) -> None:
    altitude = np.add.outer(np.arange(12), np.arange(12)) * 100.0
    surface = scenes.ground(CELLS)
    alone = replace(V1_4, adjacency_radius=0)  # the scene has no light from beside
    product, _ = correct(scenes.scene(surface, CELLS, altitude=altitude), None, alone)
    for band in DISTRIBUTED:
        assert_allclose(middles(product.surface_reflectance[band], group_of(band)), surface[band] * 1e4, atol=30)


def test_everything_has_its_shape_type_and_keys(cloudy: tuple[Scene, L2A, Composite]) -> None:
    scene, product, _ = cloudy
    assert (product.status, product.mode, product.version) == ("valid", "init", "V1_4")
    assert tuple(product.surface_reflectance) == DISTRIBUTED
    for band in DISTRIBUTED:
        raster = product.surface_reflectance[band]
        assert raster.dtype == np.int16
        assert raster.shape == scene.grid.shape(BANDS[band].resolution)
    for name in ("cloud", "geophysical", "edge", "saturation", "interpolated", "defective", "atmosphere"):
        rasters = getattr(product, name)
        assert tuple(rasters) == tuple(GROUPS)
        for group, resolution in GROUP_RESOLUTION.items():
            assert rasters[group].dtype == np.uint8
            assert rasters[group].shape[-2:] == scene.grid.shape(resolution)
    assert product.atmosphere["R1"].shape[0] == 2
    assert set(product.seconds) >= {"subsampling", "rayleigh", "scattering", "composite"}


def test_what_is_not_built_is_declared_absent(clear: tuple[Scene, L2A, Composite]) -> None:
    _, product, state = clear
    never = {"MG2.TOPOGRAPHIC_SHADOW", "MG2.HIDDEN", "MG2.SUN_TOO_LOW", "MG2.TANGENT_SUN"}
    against_the_past = {"CLM.MULTI_TEMPORAL", "CLM.THINNEST", "CLM.SHADOW", "CLM.SHADOW_OUTSIDE", "MG2.CLOUD_SHADOW"}
    assert product.absent == never | against_the_past
    later, _ = correct(scenes.scene(scenes.ground(CELLS), days=5), state, V1_4)
    assert later.mode == "nominal"
    assert later.absent == never
    assert product.flat_reflectance is product.surface_reflectance
    assert product.origin["flat_reflectance"] == "ground taken as flat, as there is no terrain model: FRE is SRE"
    assert product.origin["aot"] == "constant 0.10: too little clear land to read it from"
    assert (product.interpolated["R1"] & Interpolated.AOT).all()
    assert set(product.flags) == {"sun_glint", "hot_spot", "cirrus"}
    assert set(later.flags) == {"sun_glint", "hot_spot", "cirrus", "rain"}


def test_a_cloud_is_masked_with_its_buffer(cloudy: tuple[Scene, L2A, Composite]) -> None:
    _, product, state = cloudy
    expected = np.zeros(CELLS, np.uint8)
    expected[4:9, 4:9] = Cloud.ANY | Cloud.CLOUD | Cloud.MONO_TEMPORAL
    expected[[4, 4, 8, 8], [4, 8, 4, 8]] = 0  # 240 m is one cell, not its diagonal
    for group in GROUPS:
        assert_array_equal(middles(product.cloud[group], group), expected)
        assert_array_equal(middles(product.geophysical[group], group) & Geophysical.CLOUD > 0, expected > 0)
    assert product.figures.cloud_percent == pytest.approx(100 * (product.cloud["R2"] & Cloud.CLOUD > 0).mean())
    assert product.figures.cloud_percent == pytest.approx(100 * 21 / 144, rel=0.25)  # a cell's rim is masked, too
    assert_array_equal(state.day == -1, expected > 0)
    assert np.isnan(state.surface["B4"][6, 6])


def test_water_vapour_below_a_cloud_is_filled_in_and_says_so(cloudy: tuple[Scene, L2A, Composite]) -> None:
    _, product, _ = cloudy
    filled = middles(product.interpolated["R2"], "R2") & Interpolated.WATER_VAPOUR > 0
    assert filled[6, 6]
    assert not filled[0, 0]
    water_vapour, aot = middles(product.atmosphere["R2"], "R2")
    assert_allclose(water_vapour / 20, 2.0, atol=0.2)
    assert_array_equal(aot, 20)
    assert product.figures.water_vapour_mean == pytest.approx(2.0, abs=0.2)
    assert product.figures.aot_mean == pytest.approx(0.1)


@pytest.mark.parametrize("side", [9, 12])
def test_not_valid_above_the_limit_of_cloud(side: int) -> None:
    cloud = np.zeros(CELLS)
    cloud[:, :side] = 1  # with its buffer 10 of 12 columns, or all
    product, state = correct(scenes.scene(scenes.mix(scenes.ground(CELLS), scenes.CLOUD, cloud)), None, V1_4)
    if side == 9:
        assert product.status == "valid"
        return
    assert product.status == "not_valid"
    assert product.figures.cloud_percent == 100
    assert "cloud" in product.origin["reason"]
    assert state is None
    assert not product.surface_reflectance
    assert not product.cloud


def test_a_cloudy_date_leaves_the_state_alone(clear: tuple[Scene, L2A, Composite]) -> None:
    _, _, state = clear
    before = leaves(state)
    product, new = correct(scenes.scene(scenes.CLOUD, CELLS, days=5), state, V1_4)
    assert product.status == "not_valid"
    assert product.mode == "nominal"
    assert new is None
    for a, b in zip(before, leaves(state), strict=True):
        assert_array_equal(a, b)


def test_no_observed_pixel_is_an_outcome() -> None:
    product, state = correct(scenes.scene(scenes.SOIL, (3, 3), unobserved=np.ones((3, 3), bool)), None, V1_4)
    assert (product.status, product.origin["reason"]) == ("not_valid", "no observed pixel")
    assert product.figures.no_data_percent == 100
    assert np.isnan(product.figures.cloud_percent)
    assert state is None


def test_too_little_seen_is_an_outcome() -> None:
    unobserved = np.ones(CELLS, bool)
    unobserved[5, 5] = False
    product, state = correct(scenes.scene(scenes.ground(CELLS), CELLS, unobserved=unobserved), None, V1_4)
    assert product.status == "not_valid"
    assert "99.3 %" in product.origin["reason"]
    assert state is None


def test_a_low_sun_is_an_outcome() -> None:
    scene = scenes.scene(scenes.SOIL, (3, 3))
    low = replace(scene, angles=scenes.angles(scene.grid, sun=(80.0, 150.0)))
    product, state = correct(low, None, V1_4)
    assert product.status == "not_valid"
    assert "sun zenith 80.0" in product.origin["reason"]
    assert state is None


def test_cells_outside_the_tables_are_no_data_and_counted() -> None:
    altitude = np.full(CELLS, 500.0)
    altitude[3, 4] = 8000.0
    altitude[8, 8] = np.nan
    surface = scenes.ground(CELLS)
    product, _ = correct(scenes.scene(surface, CELLS, altitude=altitude), None, V1_4)
    assert product.origin["no_data"].startswith("2 coarse cells")
    for band in DISTRIBUTED:
        group = group_of(band)
        raster = product.surface_reflectance[band]
        assert_array_equal(raster == -10000, product.edge[group] == Edge.NO_DATA)
        assert_array_equal(middles(raster, group)[[3, 8], [4, 8]], -10000)
        assert (middles(raster, group) == -10000).sum() < 12
    assert (product.cloud["R1"][product.edge["R1"] > 0] == 0).all()
    assert product.figures.no_data_percent == pytest.approx(100 * (product.edge["R2"] > 0).mean())


def test_no_data_stays_no_data_in_every_raster() -> None:
    unobserved = np.zeros(CELLS, bool)
    unobserved[:, :4] = True
    surface = scenes.mix(scenes.ground(CELLS), scenes.CLOUD, scenes.blot(CELLS, 6, 4, 1))
    product, state = correct(scenes.scene(surface, CELLS, unobserved=unobserved), None, V1_4)
    assert state is not None
    assert (state.day[unobserved] == -1).all()
    assert product.figures.no_data_percent == pytest.approx(100 / 3)
    for group, resolution in GROUP_RESOLUTION.items():
        missing = np.repeat(np.repeat(unobserved, 240 // resolution, 0), 240 // resolution, 1)
        assert_array_equal(product.edge[group], missing)
        for rasters in (product.cloud, product.geophysical, product.interpolated, product.atmosphere):
            assert (rasters[group][..., missing] == 0).all()
        assert (product.atmosphere[group][:, ~missing] > 0).all()
    for band in DISTRIBUTED:
        assert_array_equal(product.surface_reflectance[band] == -10000, np.repeat(
            np.repeat(unobserved, 240 // BANDS[band].resolution, 0), 240 // BANDS[band].resolution, 1
        ))  # fmt: skip


def test_the_rim_of_a_swath_is_masked_as_its_neighbours() -> None:
    scene = scenes.scene(scenes.WATER, (6, 6))
    counts = {}
    for band, raster in scene.counts.items():
        counts[band] = raster.copy()
        counts[band][:, : 230 // BANDS[band].resolution] = 0  # the last pixels of the first cells are observed
    product, _ = correct(replace(scene, counts=counts), None, V1_4)
    assert product.figures.no_data_percent == pytest.approx(100 * 11 / 72)  # of the first cells a pixel in 12 is seen
    assert product.figures.water_percent == 100
    seen = product.edge["R1"] == 0
    assert seen[0, :24].any()
    assert (product.geophysical["R1"][seen] == Geophysical.WATER).all()
    assert (product.surface_reflectance["B2"][seen] > -10000).all()


def test_counts_that_the_level_1c_calls_saturated_keep_their_value() -> None:
    """SAT tells of them; they are what the ground at least is, and no sample."""
    scene = scenes.scene(scenes.ground((4, 4)), (4, 4))
    counts, saturated = dict(scene.counts), {band: np.zeros_like(r, bool) for band, r in scene.counts.items()}
    counts["B4"] = counts["B4"].copy()
    counts["B4"][:30, :30], saturated["B4"][:30, :30] = 17000, True
    bright, _ = correct(replace(scene, counts=counts), None, V1_4)
    found, _ = correct(replace(scene, counts=counts, saturated=saturated), None, V1_4)
    assert (found.saturation["R1"][:30, :30] == 1 << 2).all()
    assert not bright.saturation["R1"].any()
    difference = found.surface_reflectance["B4"][:30, :30].astype(int) - bright.surface_reflectance["B4"][:30, :30]
    assert np.abs(difference).max() < 1000
    assert not found.edge["R1"].any()


@pytest.mark.parametrize("band", ["B1", "B2", "B9", "B10", "B12"])
def test_what_one_band_did_not_see_is_no_data_and_feeds_nothing(band: str) -> None:
    """Lost packets of one band: the ground beside them is as it would be, and says which band lacked."""
    whole = scenes.scene(scenes.ground((9, 9)), (9, 9))
    counts = dict(whole.counts)
    counts[band] = counts[band].copy()
    side = 240 // BANDS[band].resolution
    counts[band][2 * side : 5 * side, 3 * side : 6 * side] = 0
    right, state = correct(whole, None, V1_4)
    found, left = correct(replace(whole, counts=counts), None, V1_4)
    assert state is not None
    assert left is not None
    assert (left.day[2:5, 3:6] == -1).all()
    lost = np.zeros((9, 9), bool)
    lost[2:5, 3:6] = True
    for group, resolution in GROUP_RESOLUTION.items():
        missing = np.kron(lost, np.ones((240 // resolution,) * 2, bool))
        assert_array_equal(found.edge[group], missing)
        for rasters in (found.cloud, found.geophysical, found.interpolated, found.atmosphere):
            assert (rasters[group][..., missing] == 0).all()
    for other in DISTRIBUTED:
        missing = np.kron(lost, np.ones((240 // BANDS[other].resolution,) * 2, bool))
        product = found.surface_reflectance[other]
        assert_array_equal(product == -10000, missing)
        assert np.abs(product.astype(int) - right.surface_reflectance[other])[~missing].max() <= 40
    assert re.search(rf"{band} 11 %", found.origin["unobserved"])
    assert "unobserved" not in right.origin


def test_ground_far_from_any_that_was_tested_has_no_mask_from_afar() -> None:
    """A pixel in a hundred is seen: too few for a cell to be tested, and far from those that are."""
    scene = scenes.scene(scenes.WATER, (8, 8))
    counts = {}
    for band, raster in scene.counts.items():
        counts[band] = raster.copy()
        side = 240 // BANDS[band].resolution
        seen = np.zeros_like(raster, bool)
        seen[:, 5 * side :] = True
        fine = 60 // BANDS[band].resolution  # 60 m of each cell, on the side of those that are seen
        for row in range(8):
            for col in range(5):
                seen[row * side : row * side + fine, (col + 1) * side - fine : (col + 1) * side] = True
        counts[band][~seen] = 0
    product, _ = correct(replace(scene, counts=counts), None, V1_4)
    edge = product.edge["R1"].reshape(8, 24, 8, 24).swapaxes(1, 2)
    assert (edge[:, :4] == 1).all()  # more than a cell away
    assert (edge[:, 4] == 0).sum(axis=(1, 2)).min() > 0  # the rim
    assert (product.surface_reflectance["B2"][:, : 4 * 24] == -10000).all()


def test_defective_pixels_keep_their_value_and_are_no_sample() -> None:
    scene = scenes.scene(scenes.ground((6, 6)), (6, 6))
    counts, defective = dict(scene.counts), dict(scene.defective)
    counts["B1"], defective["B1"] = counts["B1"].copy(), defective["B1"].copy()
    counts["B1"][:, ::4], defective["B1"][:, ::4] = 1500, True  # a column in four
    counts["B4"], defective["B4"] = counts["B4"].copy(), defective["B4"].copy()
    counts["B4"][:, 7], defective["B4"][:, 7] = 9000, True
    right, _ = correct(scene, None, V1_4)
    found, _ = correct(replace(scene, counts=counts, defective=defective), None, V1_4)
    assert not found.edge["R1"].any()
    assert (found.surface_reflectance["B4"][:, 7] > 7000).all()
    difference = found.surface_reflectance["B2"].astype(int) - right.surface_reflectance["B2"]
    assert np.abs(difference).max() <= 20
    assert (found.defective["R1"][:, 7] == 1 << 2).all()


def test_saturated_and_defective_pixels_are_told_by_band() -> None:
    scene = scenes.scene(scenes.ground((3, 3)), (3, 3))
    counts, defective = dict(scene.counts), dict(scene.defective)
    counts["B3"] = counts["B3"].copy()
    counts["B3"][5, 7] = 65535
    counts["B12"] = counts["B12"].copy()
    counts["B12"][1, 2] = 65535
    defective["B8"] = defective["B8"].copy()
    defective["B8"][9, 9] = True
    product, _ = correct(replace(scene, counts=counts, defective=defective), None, V1_4)
    assert product.saturation["R1"][5, 7] == 1 << 1
    assert product.saturation["R2"][1, 2] == 1 << 5
    assert product.defective["R1"][9, 9] == 1 << 3
    for rasters in (product.saturation, product.defective):
        assert sum(np.count_nonzero(rasters[group]) for group in GROUPS) == (2 if rasters is product.saturation else 1)
    assert product.surface_reflectance["B3"][5, 7] == 32767


def test_the_image_may_end_inside_a_cell() -> None:
    surface = scenes.mix(scenes.VEGETATION, scenes.SOIL, np.full((3, 4), 0.5))
    product, state = correct(scenes.scene(surface, (3, 4), size=(2 * 240 + 120, 3 * 240 + 60)), None, V1_4)
    assert state is not None
    assert state.day.shape == (3, 4)
    assert product.surface_reflectance["B2"].shape == (60, 78)
    assert product.surface_reflectance["B11"].shape == (30, 39)
    assert product.figures.no_data_percent == 0
    assert_allclose(product.surface_reflectance["B2"], surface["B2"][0, 0] * 1e4, atol=10)


def test_inputs_stay_and_the_same_comes_out_twice(clear: tuple[Scene, L2A, Composite]) -> None:
    _, _, state = clear
    surface = scenes.mix(scenes.ground(CELLS), scenes.CLOUD, scenes.blot(CELLS, 5, 5, 1))
    scene = scenes.scene(surface, days=5)
    before = leaves(scene), leaves(state)
    one, next_one = correct(scene, state, V1_4)
    two, next_two = correct(scene, state, V1_4)
    for a, b in zip(leaves(one), leaves(two), strict=True):
        assert_array_equal(a, b)
    for a, b in zip(leaves(next_one), leaves(next_two), strict=True):
        assert_array_equal(a, b)
    for old, new in zip(before, (leaves(scene), leaves(state)), strict=True):
        for a, b in zip(old, new, strict=True):
            assert_array_equal(a, b)


@pytest.mark.parametrize("version", ["V1_4", "V2_0"])
def test_the_same_comes_out_of_several_threads(version: str) -> None:
    scene = scenes.scene(scenes.ground(CELLS))
    numbers = replace(parameters(version), coarse_resolution=scenes.CELL)
    ours, state = correct(scene, None, numbers)
    with ThreadPoolExecutor(3) as pool:
        theirs, other = correct(scene, None, numbers, pool.map)
    for a, b in ((ours.surface_reflectance, theirs.surface_reflectance), (state, other), (ours.cloud, theirs.cloud)):
        pairs = list(zip(leaves(a), leaves(b), strict=True))
        assert pairs
        for x, y in pairs:
            assert_array_equal(x, y)


def test_counts_are_looked_up_once_for_the_coarse_grid_and_once_for_each_raster() -> None:
    scene = scenes.scene(scenes.ground((3, 3)), (3, 3))
    looks: list[str] = []

    def look(band: str) -> np.ndarray:
        looks.append(band)
        return scene.counts[band]

    product, _ = correct(replace(scene, counts=Lazy(BANDS, look)), None, V1_4)
    assert sorted(looks) == sorted(BANDS)
    looks.clear()
    for rasters in (product.cloud, product.edge, product.saturation, product.geophysical, product.atmosphere):
        assert rasters["R1"].any() in (True, False)
    assert looks == []
    assert product.surface_reflectance["B8A"].any()
    assert looks == ["B8A"]


def test_time_goes_on(clear: tuple[Scene, L2A, Composite]) -> None:
    first, _, state = clear
    surface = scenes.mix(scenes.ground(CELLS), scenes.CLOUD, scenes.blot(CELLS, 6, 6, 1))
    second = scenes.scene(surface, days=5)
    product, later = correct(second, state, V1_4)
    assert later is not None
    assert product.figures.cloud_percent == pytest.approx(100 * (product.cloud["R2"] & Cloud.CLOUD > 0).mean())
    assert later.sensing == second.sensing
    assert later.stack_days == (second.day, first.day)
    assert_array_equal(np.unique(later.day), [first.day, second.day])
    assert later.day[6, 6] == first.day
    assert later.surface["B4"][6, 6] == state.surface["B4"][6, 6]
    assert later.possible_water.shape == (2, *CELLS)

    surface = scenes.mix(scenes.ground(CELLS), scenes.CLOUD, scenes.blot(CELLS, 5, 7, 2))
    third = scenes.scene(surface, days=V1_4.composite_max_age + 1.0)
    _, last = correct(third, later, V1_4)
    assert last is not None
    assert last.day[6, 6] == -1  # older than the limit: forgotten
    assert np.isnan(last.rayleigh_corrected["B2"][6, 6])


def test_stacks_keep_the_last_dates(clear: tuple[Scene, L2A, Composite]) -> None:
    _, _, state = clear
    for day in range(1, 13):
        scene = scenes.scene(scenes.ground(CELLS), days=day)
        _, new = correct(scene, state, V1_4)
        assert new is not None
        state = new
    assert state.stack.shape == (10, *CELLS)
    assert state.tested_water.shape == (10, *CELLS)
    assert state.stack_days == tuple(range(scene.day, scene.day - 10, -1))


def test_wet_ground_raises_the_rain_flag_and_stays_out_of_the_composite(clear: tuple[Scene, L2A, Composite]) -> None:
    _, _, state = clear
    ground = scenes.ground(CELLS)
    wet = {band: value * (0.5 if band in ("B11", "B12") else 0.9) for band, value in ground.items()}
    scene = scenes.scene(wet, days=5)
    product, later = correct(scene, state, V1_4)
    assert later is not None
    assert product.flags["rain"]
    assert_array_equal(later.day, state.day)
    assert later.stack_days[0] == scene.day


@pytest.mark.parametrize("version", ["V1_4", "V2_1"])
def test_dust_for_months_is_told_and_does_not_stop_the_memory_of_v2_1(version: str) -> None:
    """Above a mean AOT the composite stays as it is: V2_1 renews what has waited long, all say so."""
    numbers, ground = parameters(version), scenes.ground(CELLS)
    _, state = correct(scenes.onto(scenes.scene(ground, CELLS), numbers), None, numbers)
    first = state
    for days in (10, 20, 35):
        dusty = scenes.onto(scenes.scene(ground, CELLS, days=days, aot=0.75), numbers)
        l2a, state = correct(dusty, state, numbers)
        assert state is not None
        assert first is not None
        assert "above 0.5" in l2a.origin["composite"]
        renewed = state.day == dusty.day
        if version == "V2_1" and days == 35:
            assert renewed.mean() > 0.9
        else:
            assert not renewed.any()
            assert_array_equal(state.day, first.day)
            assert l2a.origin["composite"].startswith("100 % of the clear ground left as it was")


def test_what_is_left_of_an_old_state_is_used_and_told() -> None:
    """After 40 days without a product V2_1 still knows its water and its ground, and finds shadows."""
    numbers, shape = parameters("V2_1"), (12, 12)
    ground = scenes.mix(scenes.ground(shape), scenes.WATER, scenes.blot(shape, 3, 3, 1))
    _, state = correct(scenes.onto(scenes.scene(ground, shape), numbers), None, numbers)
    l2a, after = correct(scenes.onto(scenes.scene(ground, shape, days=40), numbers), state, numbers)
    assert l2a.mode == "nominal"
    assert l2a.origin["past"].startswith("40 days")
    assert "CLM.SHADOW" not in l2a.absent
    assert after is not None
    assert_array_equal(after.water[::2, ::2], scenes.blot(shape, 3, 3, 1) > 0)
    soon, _ = correct(scenes.onto(scenes.scene(ground, shape, days=5), numbers), state, numbers)
    assert "past" not in soon.origin


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tile": "31TDJ"}, "tile 31TCJ"),
        ({"version": "V1_3"}, "V1_4"),
        ({"grid": Grid("EPSG:32631", 0.0, 4900020.0, 2880, 2880)}, "lies on"),
        ({"resolution": 120}, "240"),
        ({"sensing": scenes.START}, "not older"),
        ({"day": np.zeros((3, 3), np.int16)}, "cells"),
    ],
)
def test_another_past_is_refused_by_name(
    clear: tuple[Scene, L2A, Composite], change: dict[str, Any], words: str
) -> None:
    scene, _, state = clear
    later = scene if "sensing" in change else scenes.scene(scenes.ground(CELLS), days=5)
    with pytest.raises(StateError, match=f"state of .*{words}"):
        correct(later, replace(state, **change), V1_4)


def test_altitude_of_another_grid_is_refused() -> None:
    scene = scenes.scene(scenes.SOIL, (3, 3))
    wrong = replace(scene, ancillary=replace(scene.ancillary, altitude=np.zeros((4, 4), np.float32)))
    with pytest.raises(AncillaryError, match="altitude"):
        correct(wrong, None, V1_4)


def test_stand_in_responses_are_told() -> None:
    product, _ = correct(replace(scenes.scene(scenes.SOIL, (3, 3)), platform="S2C"), None, V1_4)
    assert "S2A" in product.origin["spectral_responses"]
    own = scenes.onto(replace(scenes.scene(scenes.SOIL, (3, 3)), platform="S2C"), parameters("V2_1"))
    product, _ = correct(own, None, parameters("V2_1"))
    assert "spectral_responses" not in product.origin


def test_a_forecast_tells_v2_0_what_the_air_is_like() -> None:
    """The same image under heavy air full of sea salt; V1_4 does not ask, and says so."""
    scene = scenes.scene(scenes.ground(CELLS))
    aerosol = {"oceanic": 0.75, "watersoluble": 0.25}
    origin = dict(scene.ancillary.origin) | {"pressure": "ECMWF in the L1C", "aerosol_model": "CAMS in the L1C"}
    forecast = replace(scene.ancillary, pressure=1040.0, aerosol=aerosol, origin=origin)
    told = replace(scene, ancillary=forecast)

    plain, asked = (correct(made, None, V1_4)[0] for made in (scene, told))
    assert asked.origin["aerosol_model"] == "continental"
    assert asked.origin["pressure"] == "standard atmosphere"
    assert_array_equal(asked.surface_reflectance["B2"], plain.surface_reflectance["B2"])

    v2_0 = parameters("V2_0")
    plain, asked = (correct(scenes.onto(made, v2_0), None, v2_0)[0] for made in (scene, told))
    assert plain.origin["aerosol_model"] == "continental: no forecast"
    assert asked.origin["aerosol_model"] == "oceanic 0.75 watersoluble 0.25: CAMS in the L1C"
    assert asked.origin["pressure"] == "1040.0 hPa at sea level: ECMWF in the L1C"
    assert (asked.surface_reflectance["B8A"] != plain.surface_reflectance["B8A"]).any()


def test_a_forecast_that_is_right_makes_the_reflectance_right() -> None:
    """Vegetation under marine air: the chain with the forecast errs less than without, in every band."""
    v2_0 = parameters("V2_0")
    aerosol = {"oceanic": 0.75, "watersoluble": 0.25}
    surface = scenes.ground(CELLS)
    toa = {
        band: atmosphere.toa_reflectance(
            np.asarray(surface[band], float), "S2A", band, 40.0, 4.0, 45.0, 0.0, 0.3, 2.0, 0.3, aerosol
        )
        for band in surface
    }
    scene = scenes.scene(
        surface, sun=(40.0, 150.0), view=(4.0, 105.0), seen=toa, altitude=0.0, aot=0.3, water_vapour=2.0, ozone=0.3
    )
    scene = scenes.onto(scene, v2_0)
    told = replace(scene, ancillary=replace(scene.ancillary, aerosol=aerosol))
    plain, asked = (correct(made, None, v2_0)[0] for made in (scene, told))
    for band in ("B3", "B4", "B8A"):
        truth = np.asarray(surface[band]) * 10000
        errors = [
            np.abs(middles(found.surface_reflectance[band], group_of(band)) - truth).mean() for found in (plain, asked)
        ]
        assert errors[1] < errors[0]


@pytest.mark.parametrize("version", ["V1_4", "V2_0"])
def test_ground_brighter_from_another_orbit_is_no_cloud(version: str) -> None:
    numbers = parameters(version)
    ground = scenes.ground(CELLS)
    _, past = correct(scenes.onto(scenes.scene(ground), numbers), None, numbers)
    brighter = {band: 1.07 * np.asarray(rho) for band, rho in ground.items()}
    product, _ = correct(scenes.onto(scenes.scene(brighter, days=5), numbers), past, numbers)
    assert product.mode == "nominal"
    assert product.figures.cloud_percent == 0


def test_ground_above_the_tables_is_no_data_and_says_why() -> None:
    altitude = np.full(CELLS, 500.0)
    altitude[:, :4] = 5800
    product, _ = correct(scenes.scene(scenes.ground(CELLS), altitude=altitude), None, V1_4)
    assert product.status == "valid"
    reason = "48 coarse cells outside the validity of the tables (altitude_km: 48 of 48 values outside -1..5.5)"
    assert product.origin["no_data"] == reason
    for band in DISTRIBUTED:
        found = middles(product.surface_reflectance[band], group_of(band))
        assert (found[:, :4] == V1_4.no_data).all()
        assert (found[:, 5:] != V1_4.no_data).all()
    assert (middles(product.edge["R1"], "R1")[:, :4] != 0).all()


def test_a_date_refused_for_its_altitude_says_so() -> None:
    made = scenes.scene(scenes.ground(CELLS), altitude=6100.0)
    product, state = correct(made, None, V1_4)
    assert (product.status, state) == ("not_valid", None)
    assert product.origin["reason"].endswith("altitude 6100 to 6100 m: above 5500 m")


@pytest.mark.parametrize(
    ("sun", "view", "reason"),
    [
        ((77.0, 150.0), (4.0, 105.0), "sun zenith 77.0 to 77.0 deg"),
        ((12.0, 150.0), (4.0, 105.0), "sun zenith 12.0 to 12.0 deg"),
        ((40.0, 150.0), (16.0, 105.0), "view zenith 16.0 to 16.0 deg"),
    ],
)
def test_angles_outside_the_tables_are_refused_by_name(
    sun: tuple[float, float], view: tuple[float, float], reason: str
) -> None:
    scene = scenes.scene(scenes.ground(CELLS))
    scene = replace(scene, angles=scenes.angles(scene.grid, sun, {1: view}))
    product, state = correct(scene, None, V1_4)
    assert (product.status, state) == ("not_valid", None)
    assert product.origin["reason"].startswith("outside the validity of the look-up tables: ")
    assert reason in product.origin["reason"]
