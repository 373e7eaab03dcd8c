"""Shadows lie where the sun throws them, match their clouds, and stay out of what the chain remembers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

from processing.chain import classify, correct, shadow_mask, shadow_match, shadow_outside
from processing.chain.dilation import dilate
from processing.chain.geometry import Geometry
from processing.chain.observe import observe
from processing.masks import Cloud, Geophysical
from processing.scene import Composite, Grid, Scene
from processing.versions import Parameters, parameters
from tests import scenes

V1_3, V1_4, V2_0, V2_1 = (parameters(name) for name in ("V1_3", "V1_4", "V2_0", "V2_1"))
#: Takes for shadow all that is darker than 0.8 on the way of a shadow.
ANY_DARK = replace(V1_3, shadow_min_quantile=1.0)
CELL = 240
SUN, VIEW = (35.0, 150.0), (6.0, 105.0)
SIDE = 121
MIDDLE = SIDE // 2

Mask = NDArray[np.bool_]
Ratio = NDArray[np.float32]
zeniths = st.floats(5, 72)
azimuths = st.floats(0, 360)
views = st.floats(0, 12)


def geometry(shape: tuple[int, int], sun: tuple[float, float] = SUN, view: tuple[float, float] = VIEW) -> Geometry:
    def uniform(value: float) -> Ratio:
        return np.full(shape, value, np.float32)

    nowhere = np.zeros(shape, np.bool_)
    return Geometry(
        uniform(sun[0]),
        uniform(sun[1]),
        {"B3": uniform(view[0])},
        {"B3": uniform(view[1])},
        nowhere,
        nowhere,
        frozenset(),
    )


def find(
    ratio: Ratio,
    clouds: Mask,
    version: Parameters = V1_4,
    sun: tuple[float, float] = SUN,
    view: tuple[float, float] = VIEW,
    altitude: Ratio | None = None,
) -> Mask:
    shape = clouds.shape
    ratio = np.where(clouds, np.float32(np.nan), ratio)
    ground = np.zeros(shape, np.float32) if altitude is None else altitude
    return shadow_mask.detect(ratio, clouds, np.ones(shape, np.bool_), geometry(shape, sun, view), ground, version)


def shadow_at(
    row: float, col: float, height: float, sun: tuple[float, float] = SUN, view: tuple[float, float] = VIEW
) -> tuple[float, float]:
    """Where the shadow of a cloud seen at (row, col) lies on flat ground, with vectors in space."""

    def toward(zenith: float, azimuth: float) -> NDArray[np.float64]:
        z, a = np.radians([zenith, azimuth])
        return np.array([np.sin(z) * np.sin(a), np.sin(z) * np.cos(a), np.cos(z)])  # east, north, up

    satellite, ray = toward(*view), toward(*sun)
    seen = np.array([col * CELL, -row * CELL, 0.0])
    cloud = seen + satellite * height / satellite[2]
    ground = cloud - ray * cloud[2] / ray[2]
    return -ground[1] / CELL, ground[0] / CELL


def patch(row: float, col: float, half: int = 1) -> Mask:
    return scenes.blot((SIDE, SIDE), round(row), round(col), half).astype(np.bool_)


def everywhere(ratio: float) -> Ratio:
    """As dark all over, but for a corner: the threshold looks for what is darker than the rest."""
    image = np.full((SIDE, SIDE), ratio, np.float32)
    image[0, 0] = max(ratio, 1)
    return image


@settings(deadline=None)
@given(zeniths, azimuths, views, azimuths, st.floats(600, 4000))
def test_a_cloud_throws_its_shadow_where_the_sun_says(
    sun_zenith: float, sun_azimuth: float, view_zenith: float, view_azimuth: float, height: float
) -> None:
    sun, view = (sun_zenith, sun_azimuth), (view_zenith, view_azimuth)
    row, col = shadow_at(MIDDLE, MIDDLE, height, sun, view)
    if np.hypot(row - MIDDLE, col - MIDDLE) < 6:
        return  # nearly below the cloud: its sides can't be told apart
    clouds, dark = patch(MIDDLE, MIDDLE), patch(row, col)
    behind = patch(2 * MIDDLE - row, 2 * MIDDLE - col)
    ratio = np.where(dark | behind, np.float32(0.4), np.float32(1))
    for version in (V1_3, V1_4):
        found = find(ratio, clouds, version, sun, view)
        assert found[dark].sum() >= 6
        assert not found[~dark].any()


@settings(deadline=None)
@given(st.floats(0, 80), azimuths, views, azimuths)
def test_no_cell_on_the_way_of_a_shadow_is_passed_over(
    sun_zenith: float, sun_azimuth: float, view_zenith: float, view_azimuth: float
) -> None:
    clouds = patch(MIDDLE, MIDDLE, 0)
    sun, view = (sun_zenith, sun_azimuth), (view_zenith, view_azimuth)
    way = find(everywhere(0.4), clouds, ANY_DARK, sun, view) | clouds
    assert ndimage.label(way, np.ones((3, 3)))[1] == 1
    for height in range(0, 8001, 250):
        row, col = (round(x) for x in shadow_at(MIDDLE, MIDDLE, height, sun, view))
        if 0 < row < SIDE - 1 and 0 < col < SIDE - 1:
            assert way[max(row - 1, 0) : row + 2, max(col - 1, 0) : col + 2].any()


@pytest.mark.parametrize(("half", "height", "expected"), [(0, 1200, True), (0, 4000, False), (4, 4000, True)])
def test_what_is_small_hangs_low(half: int, height: int, expected: bool) -> None:
    """A cell of 240 m stands below 1500 + 3 x 240 m, a cloud of 2 km below 8 km."""
    numbers = replace(V1_4, shadow_tops=(1500.0, 3.0))
    clouds = patch(MIDDLE, MIDDLE, half)
    dark = patch(*shadow_at(MIDDLE, MIDDLE, height), half)
    ratio = np.where(dark, np.float32(0.4), np.float32(1))
    assert (find(ratio, clouds, numbers) & dark).any() == expected
    assert (find(ratio, clouds, V1_4) & dark).any()


def test_patches_of_shadow_that_are_too_small_are_dropped() -> None:
    clouds = patch(MIDDLE, MIDDLE)
    row, col = shadow_at(MIDDLE, MIDDLE, 3000)
    ratio = np.where(patch(row, col, 0), np.float32(0.4), np.float32(1))
    assert find(ratio, clouds).sum() == 1
    assert not find(ratio, clouds, replace(V1_4, shadow_min_cells=2)).any()
    two = np.where(patch(row, col, 0) | patch(row, col + 1, 0), np.float32(0.4), np.float32(1))
    assert find(two, clouds, replace(V1_4, shadow_min_cells=2)).sum() == 2


def test_a_shadow_on_higher_ground_falls_short() -> None:
    sun, view = (45.0, 180.0), (0.0, 0.0)  # on flat ground as far to the north as the cloud is high
    only = replace(ANY_DARK, shadow_heights=(3600.0, 3600.0, 250.0))
    clouds = patch(60, MIDDLE, 0)
    plateau = np.zeros((SIDE, SIDE), np.float32)
    plateau[:52] = 1200
    for altitude, row in ((np.zeros_like(plateau), 45), (plateau, 50), (plateau + 500, 50)):
        assert np.argwhere(find(everywhere(0.4), clouds, only, sun, view, altitude)).tolist() == [[row, MIDDLE]]


def test_the_fall_is_the_same_compiled_or_not() -> None:
    angles = geometry((9, 9), (40.0, 200.0), (8.0, 290.0))
    altitude = np.random.default_rng(3).uniform(0, 300, (9, 9))
    along = shadow_mask.Rays(*shadow_mask.rays(angles, CELL), altitude)
    compiled = njit(shadow_mask.fall)
    for height in range(0, 2000, 100):
        given_ = (5, 4, float(height), along)
        assert shadow_mask.fall(*given_) == compiled(*given_)


def test_a_dark_field_is_shadow_for_v1_3_and_not_for_v1_4() -> None:
    row, col = shadow_at(60, 60, 1500)
    far_row, far_col = shadow_at(60, 60, 5500)
    shadow, field = patch(row, col, 1), patch(far_row, far_col, 3)
    ratio = np.where(shadow, np.float32(0.4), np.where(field, np.float32(0.7), np.float32(1)))
    clouds = patch(60, 60, 1)
    loose, strict = find(ratio, clouds, V1_3), find(ratio, clouds, V1_4)
    assert loose[shadow].sum() >= 6
    assert loose[field].sum() >= 15
    assert strict[shadow].any()
    assert not strict[field].any()
    assert not (strict & ~loose).any()


def test_a_dark_field_without_a_cloud_on_its_sun_side_is_no_shadow() -> None:
    row, col = shadow_at(60, 60, 1500)
    beside = patch(row + (col - 60), col - (row - 60), 1)
    for version in (V1_3, V1_4):
        assert not find(np.where(beside, np.float32(0.3), np.float32(1)), patch(60, 60), version).any()


def test_the_shadows_of_other_clouds_do_not_count_against_a_cloud() -> None:
    # Both clouds can throw the darker patch, the second one alone the other: only without the first cloud's shadow
    # does it have no more than its size allows.
    one_row, one_col = shadow_at(60, 60, 1000)
    first, second = patch(60, 60, 1), patch(*shadow_at(60, 60, -2000), 1)
    own = patch(*shadow_at(*shadow_at(60, 60, -2000), 1000), 1)
    ratio = np.where(patch(one_row, one_col, 1), np.float32(0.4), np.where(own, np.float32(0.5), np.float32(1)))
    found = find(ratio, first | second, replace(V1_4, shadow_ratio=(1.0, 1.0)))
    assert found[patch(one_row, one_col, 1)].sum() >= 6
    assert found[own].sum() >= 6


def by_hand(ratio: Ratio, clouds: Mask, limit: float, heights: list[float], shares: tuple[float, float]) -> Mask:
    """The three passes with sets, cloud after cloud, under an overhead sensor."""
    labels, count = ndimage.label(dilate(clouds, CELL, CELL), np.ones((3, 3)))
    cells: dict[int, set[tuple[int, int]]] = {}
    size = {}
    for k in range(1, count + 1):
        pixels = np.argwhere(clouds & (labels == k))
        size[k] = len(pixels)
        places = {
            tuple(int(np.floor(x + 0.5)) for x in shadow_at(row, col, h, SUN, (0.0, 0.0)))
            for row, col in pixels
            for h in heights
        }
        cells[k] = {
            (r, c)
            for r, c in places
            if 0 <= r < ratio.shape[0] and 0 <= c < ratio.shape[1] and not clouds[r, c] and ratio[r, c] < limit
        }
    accepted = {k for k in cells if len(cells[k]) <= (shares[0] if size[k] < 10 else shares[1]) * size[k]}
    first = set().union(*(cells[k] for k in accepted)) if accepted else set()
    out = set(first)
    for k in cells.keys() - accepted:
        rest = sorted(cells[k] - first, key=lambda cell: ratio[cell])
        if len(rest) > shares[1] * size[k]:
            rest = rest[: int(np.ceil(shares[1] * size[k]))]
        out.update(rest)
    mask = np.zeros(ratio.shape, np.bool_)
    for cell in out:
        mask[cell] = True
    return mask


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10**6), st.floats(0.01, 0.15), st.floats(0.02, 0.4))
def test_three_passes_as_by_hand(seed: int, cover: float, darkness: float) -> None:
    random = np.random.default_rng(seed)
    shape = (30, 30)
    clouds = dilate(random.random(shape) < cover / 3, CELL, CELL)
    ratio = np.where(
        random.random(shape) < darkness, random.uniform(0.2, 0.9, shape), random.uniform(0.95, 1.1, shape)
    ).astype(np.float32)
    nan = np.where(clouds, np.float32(np.nan), ratio)
    limit = shadow_mask.threshold(nan, clouds, np.ones(shape, np.bool_), V1_4)
    heights = [float(h) for h in np.arange(0, 8001, 250)]
    expected = by_hand(ratio, clouds, limit, heights, V1_4.shadow_ratio)
    assert np.array_equal(find(ratio, clouds, V1_4, SUN, (0.0, 0.0)), expected)
    loose = by_hand(ratio, clouds, limit, heights, (np.inf, np.inf))
    assert np.array_equal(find(ratio, clouds, V1_3, SUN, (0.0, 0.0)), loose)


@pytest.mark.parametrize(("spacing", "across"), [(6, 76), (4, 260)])
def test_each_of_any_number_of_clouds_has_its_own_shadow(spacing: int, across: int) -> None:
    shape = (spacing * across, spacing * across)  # 5,776 clouds, and more than 16 bits can count
    clouds = np.zeros(shape, np.bool_)
    clouds[spacing // 2 :: spacing, spacing // 2 :: spacing] = True
    assert ndimage.label(dilate(clouds, CELL, CELL), np.ones((3, 3)))[1] == across**2
    sun, view = (45.0, 180.0), (0.0, 0.0)
    shadow = np.roll(clouds, -2, axis=0)
    ratio = np.where(shadow, np.float32(0.5), np.float32(1))
    near = replace(V1_4, shadow_heights=(0.0, 700.0, 100.0))
    assert np.array_equal(find(ratio, clouds, near, sun, view), shadow)
    loose = find(ratio, clouds, V1_4, sun, view)
    assert not (loose & ~shadow).any()


def test_clouds_at_the_border_throw_nothing_across_it() -> None:
    clouds = np.zeros((SIDE, SIDE), np.bool_)
    clouds[1:, 0], clouds[:, -1], clouds[-1] = True, True, True
    found = find(everywhere(0.5), clouds, ANY_DARK)
    assert found.any()
    assert not (found & clouds).any()
    assert not find(everywhere(0.5), patch(1, 1, 0), ANY_DARK)[:, 2:].any()  # the sun is in the south-east


def test_without_clouds_without_dark_or_without_a_past_there_is_no_shadow() -> None:
    nowhere = np.zeros((SIDE, SIDE), np.bool_)
    assert not find(everywhere(0.4), nowhere).any()
    assert not find(everywhere(1.0), patch(60, 60)).any()
    assert not find(everywhere(np.nan), patch(60, 60)).any()


def test_the_threshold_follows_the_cloud_cover() -> None:
    shape = (100, 100)
    ratio = np.linspace(0, 1, 10_000, dtype=np.float32).reshape(shape)
    valid = np.ones(shape, np.bool_)
    for rows, expected in ((0, 0.1), (4, 0.1), (20, 0.4), (39, 0.78), (45, 0.8), (100, 0.8)):
        clouds = np.zeros(shape, np.bool_)
        clouds[:rows] = True
        assert shadow_mask.threshold(ratio, clouds, valid, V1_4) == pytest.approx(expected, abs=1e-3)


def past(shape: tuple[int, int], red: float = 0.1, seed: int = 0) -> Composite:
    texture = np.random.default_rng(seed).uniform(0.02, 0.1, shape).astype(np.float32)
    fields = {"B2": texture, "B4": np.full(shape, red, np.float32)}
    nowhere = np.zeros(shape, np.bool_)
    return Composite(
        tile="31TCJ",
        version="V1_4",
        grid=Grid("EPSG:32631", 300000.0, 4900020.0, shape[1] * CELL, shape[0] * CELL),
        resolution=CELL,
        sensing=scenes.START,
        day=np.full(shape, 8000, np.int16),
        toa=fields,
        rayleigh_corrected=fields,
        surface=fields,
        stack=texture[None],
        stack_days=(8000,),
        possible_water=nowhere[None],
        tested_water=nowhere[None],
        water=nowhere,
        shadow=nowhere,
        aot=np.full(shape, 0.1, np.float32),
        blue=np.full((6, *shape), 0.1, np.float32),
    )


def test_darkening_is_told_only_where_both_dates_saw_land() -> None:
    shape = (1, 6)
    composite = past(shape)
    composite.rayleigh_corrected["B4"][0, 3] = np.nan
    composite.rayleigh_corrected["B4"][0, 4] = -0.001
    composite.water[0, 5] = True
    clouds, valid = np.zeros(shape, np.bool_), np.ones(shape, np.bool_)
    clouds[0, 1], valid[0, 2] = True, False
    found = shadow_mask.darkening({"B4": np.full(shape, 0.05, np.float32)}, composite, clouds, valid, V1_3)
    assert found[0, 0] == pytest.approx(0.5)
    assert np.isnan(found[0, 1:]).all()


@pytest.mark.parametrize("version", ["V1_4", "V2_0", "V2_1"])
def test_a_growing_crop_and_wet_soil_are_no_shadow(version: str) -> None:
    composite = past((1, 3))
    for band in ("B8A", "B11", "B12"):
        composite.rayleigh_corrected[band] = np.full((1, 3), 0.2, np.float32)
    seen = {"B4": [0.03, 0.09, 0.04], "B8A": [0.35, 0.19, 0.06], "B11": [0.15, 0.1, 0.07]}  # crop, rain, shadow
    seen |= {"B12": [0.1, 0.1, 0.07]}
    image = {band: np.array([values], np.float32) for band, values in seen.items()}
    nowhere, valid = np.zeros((1, 3), np.bool_), np.ones((1, 3), np.bool_)
    found = shadow_mask.darkening(image, composite, nowhere, valid, parameters(version))
    assert np.allclose(found, [[1.75, 0.95, 0.35 if version == "V2_1" else 0.4]])
    assert shadow_mask.darkening(image, composite, nowhere, valid, V1_3)[0, 0] == pytest.approx(0.3)


def test_a_burn_scar_is_no_shadow() -> None:
    """It darkens all but B12, which brightens."""
    composite = past((1, 2))
    composite.rayleigh_corrected.update(dict.fromkeys(("B8A", "B11", "B12"), np.full((1, 2), 0.2, np.float32)))
    seen = {"B4": [0.072, 0.03], "B8A": [0.07, 0.05], "B11": [0.144, 0.05], "B12": [0.22, 0.05]}  # scar, shadow
    image = {band: np.array([values], np.float32) for band, values in seen.items()}
    nowhere, valid = np.zeros((1, 2), np.bool_), np.ones((1, 2), np.bool_)
    assert np.allclose(shadow_mask.darkening(image, composite, nowhere, valid, V2_1), [[1.1, 0.25]])
    assert np.allclose(shadow_mask.darkening(image, composite, nowhere, valid, V2_0), [[0.72, 0.3]])


def outside(ratio: Ratio, inside: Mask, composite: Composite, b2: Ratio | None = None) -> Mask:
    other = past(inside.shape, seed=5).rayleigh_corrected["B2"]
    valid = np.ones(inside.shape, np.bool_)
    image = other if b2 is None else b2
    seen = scenes.observation({"B2": image}, composite, valid, geometry(inside.shape))
    return shadow_outside.detect(ratio, inside, seen, composite, V1_4)


def test_shadows_of_clouds_outside_are_sought_where_none_inside_can_throw_them() -> None:
    shape = (SIDE, SIDE)
    reach = shadow_outside.reach(np.ones(shape, np.bool_), geometry(shape), V1_4)
    for row, col in np.argwhere(np.ones(shape, np.bool_))[::37]:
        cloud_row, cloud_col = shadow_at(row, col, -8000)  # the way back
        if max(abs(cloud_row - np.rint(cloud_row)), abs(cloud_col - np.rint(cloud_col))) < 0.49:
            inside = 0 <= round(cloud_row) < SIDE and 0 <= round(cloud_col) < SIDE
            assert reach[row, col] != inside
    hole = np.ones(shape, np.bool_)
    hole[:40, :] = False
    around = shadow_outside.reach(hole, geometry(shape), V1_4)
    assert not around[~hole].any()
    assert np.array_equal(around[40:], reach[40:])  # the sun is in the south: what is missing is on the other side


def test_a_dark_patch_at_the_border_towards_the_sun_is_the_shadow_of_a_cloud_outside() -> None:
    shape = (SIDE, SIDE)
    inside = patch(60, 60, 2)
    sunward, away = patch(SIDE - 4, 60, 2), patch(4, 60, 2)
    ratio = np.where(inside, np.float32(0.3), np.where(sunward | away, np.float32(0.1), np.float32(1)))
    assert np.array_equal(outside(ratio, inside, past(shape)), sunward)
    nowhere = np.zeros(shape, np.bool_)
    water = np.where(patch(30, 60, 2), np.float32(np.nan), ratio)  # where a shadow may be found, but not how dark
    assert np.array_equal(outside(water, inside | patch(30, 60, 2), past(shape)), sunward)
    assert not outside(ratio, nowhere, past(shape)).any()  # nothing tells how dark a shadow is today
    assert not outside(ratio * 3, inside, past(shape)).any()  # too bright
    lasting = replace(past(shape), shadow=patch(SIDE - 4, 60, 3))
    assert not outside(ratio, inside, lasting).any()
    half = replace(past(shape), shadow=sunward & (np.indices(shape)[1] < 60))
    assert np.array_equal(outside(ratio, inside, half), sunward)
    same = past(shape)
    assert not outside(ratio, inside, same, same.rayleigh_corrected["B2"] * 0.3).any()


# Through the chain


def cloudy_day(cells: tuple[int, int], height: float, days: float) -> tuple[scenes.Surface, Mask, Mask]:
    """The ground with a cloud and its shadow."""
    row, col = shadow_at(30, 30, height)
    cloud = scenes.blot(cells, 30, 30, 2)
    shadow = scenes.blot(cells, round(row), round(col), 2) * (1 - cloud)
    bright = scenes.ground(cells)
    shaded = {band: value * (1 - 0.6 * shadow) for band, value in bright.items()}
    return scenes.mix(shaded, scenes.CLOUD, cloud), cloud.astype(np.bool_), shadow.astype(np.bool_)


@pytest.mark.parametrize("version", ["V1_1", "V1_3", "V1_4"])
def test_shadows_are_flagged_and_never_remembered(version: str) -> None:
    cells = (50, 50)
    p = parameters(version)
    clear = scenes.scene(scenes.ground(cells), cells)
    surface, cloud, shadow = cloudy_day(cells, 2000, 5)
    cast = scenes.scene(surface, cells, days=5)

    first, state = correct(clear, None, p)
    assert {"CLM.SHADOW", "CLM.SHADOW_OUTSIDE", "MG2.CLOUD_SHADOW"} <= first.absent
    assert state is not None
    assert not state.shadow.any()

    l2a, after = correct(cast, state, p)
    assert after is not None
    assert not any("SHADOW" in name and "TOPOGRAPHIC" not in name for name in l2a.absent)
    code = l2a.cloud["R2"][6::12, 6::12]  # the middles of the cells
    flagged = (code & Cloud.SHADOW) > 0
    assert flagged[shadow].mean() > (0.95 if version != "V1_4" else 0.8)
    assert not (flagged & ~dilate(shadow, 2 * CELL, CELL)).any()
    assert (code[flagged] & Cloud.ANY).all()
    assert not (code[flagged & ~dilate(cloud, 2 * CELL, CELL)] & Cloud.CLOUD).any()
    assert np.array_equal((l2a.geophysical["R2"] & Geophysical.CLOUD_SHADOW) > 0, (l2a.cloud["R2"] & 96) > 0)
    shown = l2a.geophysical["R2"] & Geophysical.CLOUD > 0
    assert l2a.figures.cloud_percent == pytest.approx(100 * shown.mean())
    assert l2a.figures.cloud_percent == pytest.approx(100 * dilate(cloud, CELL, CELL).mean(), rel=0.25)
    assert (after.day[flagged] == clear.day).all()
    assert np.array_equal(after.shadow, flagged)
    assert not after.tested_water[0][flagged].any()


def test_shadows_of_v2_0_on_its_finer_grid() -> None:
    cells, p = (50, 50), parameters("V2_0")
    _, state = correct(scenes.onto(scenes.scene(scenes.ground(cells), cells), p), None, p)
    surface, cloud, shadow = cloudy_day(cells, 2000, 5)
    l2a, _ = correct(scenes.onto(scenes.scene(surface, cells, days=5), p), state, p)
    code = l2a.cloud["R2"][6::12, 6::12]
    assert (code[shadow] & Cloud.SHADOW > 0).all()
    assert (code[cloud] & Cloud.CLOUD > 0).all()
    assert not (code[~dilate(shadow | cloud, 2 * CELL, CELL)]).any()


#: Cells of V2_1, which are half as wide. [m]
FINE = 120


def sky(
    seed: int, number: int, height: float, size: tuple[float, float], cells: int = 120, bare: bool = False
) -> tuple[scenes.Surface, Mask, Mask]:
    """Ground of fields with round clouds at about one height, and their shadows, in cells of `FINE`; or `bare`."""
    random = np.random.default_rng(seed)
    rows, cols = np.indices((cells, cells))
    cloud, shadow = np.zeros((cells, cells), np.bool_), np.zeros((cells, cells), np.bool_)
    for _ in range(number):
        row, col, radius = random.uniform(0, cells), random.uniform(0, cells), random.uniform(*size) / FINE
        cloud |= np.hypot(rows - row, cols - col) <= radius
        down, right = (np.array(shadow_at(0, 0, height * random.uniform(0.95, 1.05))) * CELL / FINE).tolist()
        shadow |= np.hypot(rows - row - down, cols - col - right) <= radius
    shadow &= ~cloud
    if bare:
        cloud, shadow = np.zeros_like(cloud), np.zeros_like(shadow)
    fields = np.kron(random.uniform(0, 1, (cells // 6, cells // 6)), np.ones((6, 6)))
    ground = {
        band: np.asarray(scenes.VEGETATION[band]) * (1 - fields) + np.asarray(scenes.SOIL[band]) * fields
        for band in scenes.VEGETATION
    }
    light = {"B1": 0.4, "B2": 0.33, "B3": 0.27, "B4": 0.22}
    lit = {band: value * np.where(shadow, light.get(band, 0.15), 1) for band, value in ground.items()}
    return {band: np.where(cloud, scenes.CLOUD[band], value) for band, value in lit.items()}, cloud, shadow


def fine_scene(monkeypatch: pytest.MonkeyPatch, surface: scenes.Surface, days: float = 0.0) -> Scene:
    cells = np.shape(next(iter(surface.values())))
    with monkeypatch.context() as here:
        here.setattr(scenes, "CELL", FINE)
        return scenes.scene(surface, (cells[0], cells[1]), days=days)


def f1(found: Mask, truth: Mask) -> float:
    both = np.count_nonzero(found & truth)
    return 2 * both / max(np.count_nonzero(found) + np.count_nonzero(truth), 1)


@pytest.mark.parametrize(
    ("number", "height", "size"),
    [(60, 1200, (130, 300)), (12, 2500, (300, 900)), (4, 4000, (1500, 2500))],
    ids=["small", "some", "large"],
)
def test_a_date_without_a_past_has_its_shadows(
    number: int, height: float, size: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    surface, _, shadow = sky(number, number, height, size)
    seen = observe(fine_scene(monkeypatch, surface), None, V2_1).seen
    found = classify.clouds(seen, V2_1).found
    assert found.shadow is not None
    assert found.shadow_outside is None
    assert f1(found.shadow, shadow) > 0.8
    assert classify.clouds(seen, V2_0).found.shadow is None


def test_dark_ground_without_a_cloud_is_no_shadow_on_a_date_without_a_past(monkeypatch: pytest.MonkeyPatch) -> None:
    surface, cloud, shadow = sky(3, 20, 1200, (130, 300))
    clear = dict(surface) | {band: np.where(cloud, scenes.SOIL[band], value) for band, value in surface.items()}
    seen = observe(fine_scene(monkeypatch, clear), None, V2_1).seen
    found = classify.clouds(seen, V2_1).found
    assert found.shadow is not None
    assert shadow.any()
    assert not found.shadow.any()


def test_small_clouds_have_their_shadows_against_the_past(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one to a few cells: three quarters of their shadow is found, and little else."""
    surface, _, shadow = sky(5, 80, 1300, (70, 150))
    bare = sky(5, 80, 1300, (70, 150), bare=True)[0]
    _, state = correct(fine_scene(monkeypatch, bare), None, V2_1)
    seen = observe(fine_scene(monkeypatch, surface, days=5), state, V2_1).seen
    found = classify.clouds(seen, V2_1).found.shadows()
    assert found[shadow].mean() > 0.75
    assert f1(found, shadow) > 0.75


@pytest.mark.parametrize(("kept", "flooded"), [(None, True), (0.7, False)])
def test_a_flood_is_no_shadow(kept: float | None, flooded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a cloud could throw it: dark in the infrared, but as bright as before in the visible."""
    numbers, cells = replace(V2_1, shadow_flood=kept), 60
    field = {band: np.full((cells, cells), value) for band, value in scenes.VEGETATION.items()}
    _, state = correct(fine_scene(monkeypatch, field), None, numbers)
    cloud = scenes.blot((cells, cells), 30, 30, 3) > 0
    row, col = (30 + (np.array(shadow_at(0, 0, 1500)) * CELL / FINE)).round().astype(int)
    flood = scenes.blot((cells, cells), row, col, 3) > 0
    water = scenes.VEGETATION | {"B3": 0.07, "B4": 0.05, "B8A": 0.05, "B8": 0.05, "B11": 0.02, "B12": 0.01}
    now = {
        band: np.where(cloud, scenes.CLOUD[band], np.where(flood & ~cloud, water[band], value))
        for band, value in field.items()
    }
    seen = observe(fine_scene(monkeypatch, now, days=5), state, numbers).seen
    assert classify.clouds(seen, numbers).found.shadows()[flood & ~cloud].any() == flooded
    shade = {band: np.where(flood & ~cloud, 0.3 * value, now[band]) for band, value in field.items()}
    seen = observe(fine_scene(monkeypatch, shade, days=5), state, numbers).seen
    assert classify.clouds(seen, numbers).found.shadows()[flood & ~cloud].mean() > 0.8


def test_a_shadow_on_turbid_water_is_seen_and_on_clear_water_where_its_cloud_fits() -> None:
    shape = (1, 4)
    composite = past(shape)
    composite.rayleigh_corrected["B3"] = np.array([[0.15, 0.15, 0.02, 0.15]], np.float32)
    composite.rayleigh_corrected["B4"] = np.array([[0.10, 0.10, 0.01, 0.10]], np.float32)
    composite.rayleigh_corrected.update({band: np.full(shape, 0.3, np.float32) for band in ("B8A", "B11", "B12")})
    composite.water[0, :3] = True
    image = {"B3": [0.15, 0.06, 0.01, 0.15], "B4": [0.1, 0.04, 0.005, 0.1], "B8A": [0.02, 0.01, 0.01, 0.3]}
    image |= {band: [0.01, 0.01, 0.01, 0.3] for band in ("B11", "B12")}
    seen = {band: np.array([values], np.float32) for band, values in image.items()}
    nowhere, valid = np.zeros(shape, np.bool_), np.ones(shape, np.bool_)
    found = shadow_mask.darkening_of_water(seen, composite, nowhere, valid, V2_1)
    assert np.allclose(found, [[1 / 0.7, 0.4 / 0.7, np.nan, np.nan]], equal_nan=True)  # of that around, 0.7
    assert np.isnan(shadow_mask.darkening(seen, composite, nowhere, valid, V2_1)[0, :3]).all()
    assert np.isnan(shadow_mask.darkening_of_water(seen, composite, nowhere, valid, V2_0)).all()
    clouds, blind = patch(MIDDLE, MIDDLE, 1), np.zeros((SIDE, SIDE), np.bool_)
    shadow = patch(*shadow_at(MIDDLE, MIDDLE, 3000), 1)
    blind[np.argwhere(shadow)[0][0]] = True  # a river across it
    ratio = np.where(clouds, np.float32(np.nan), np.where(shadow & ~blind, np.float32(0.4), np.float32(1)))
    on_flat = scenes.observation({}, None, ~clouds, geometry((SIDE, SIDE)))
    coarse = replace(V2_1, coarse_resolution=CELL)
    below = shadow_match.detect(ratio, clouds, blind, on_flat, V2_1.shadow_match, coarse).shadow
    assert below[shadow].all()
    assert not below[~dilate(shadow, 1)].any()


def test_the_fit_of_clouds_is_the_same_compiled_or_not() -> None:
    angles = geometry((20, 20), (40.0, 200.0), (8.0, 290.0))
    altitude = np.random.default_rng(3).uniform(0, 300, (20, 20))
    along = shadow_mask.Rays(*shadow_mask.rays(angles, CELL), altitude)
    base = np.array([250.0])
    cast = shadow_mask.casting(scenes.blot((20, 20), 12, 9, 1) > 0, along, V2_1, 0.0)
    depth = np.random.default_rng(2).uniform(-0.2, 0.5, (20, 20)).astype(np.float32)
    shape = cast.levels.size, cast.heights.size
    for fits, cover in (
        (shadow_match._fits, shadow_match._cover),
        (shadow_match._fits.py_func, shadow_match._cover.py_func),
    ):
        total, looked, below = np.zeros(shape), np.zeros(shape, np.int64), np.zeros(depth.shape, np.int32)
        fits(cast, base, along, depth, total, looked)
        cover(cast, base, along, total.argmax(axis=1), 1, below)
        if fits is shadow_match._fits:
            first = total.copy(), looked.copy(), below.copy()
    for one, other in zip(first, (total, looked, below), strict=True):
        assert np.array_equal(one, other)
