"""Slopes and what they hide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from processing.bands import BANDS, DISTRIBUTED, GROUP_RESOLUTION, GROUPS
from processing.chain import adjacency, correct, geometry, resampling, slope_correction, terrain_shadow
from processing.chain.adjacency import Environment
from processing.masks import Geophysical
from processing.scene import Scene
from processing.versions import parameters
from tests import scenes

V1_4 = parameters("V1_4")
CELLS = (6, 6)


def uniform(*values: float) -> NDArray[np.float32]:
    return np.stack([np.full(CELLS, value, np.float32) for value in values])


def toward(zenith: float, azimuth: float, cells: tuple[int, int] = CELLS) -> NDArray[np.float32]:
    return geometry.direction(np.full(cells, zenith, np.float32), np.full(cells, azimuth, np.float32))


def plane(slope: float, aspect: float, size: int = 72) -> NDArray[np.float32]:
    """Altitude every 20 m of ground that falls by `slope` towards `aspect`. [deg]"""
    east, south = np.meshgrid(np.arange(size) * 20.0, np.arange(size) * 20.0)
    along = east * np.sin(np.radians(aspect)) - south * np.cos(np.radians(aspect))
    fall = (along - along.mean()) * np.tan(np.radians(slope))
    return (1200 - fall).astype(np.float32)


def scene_on(terrain: NDArray[np.float32], surface: scenes.Surface, cells: tuple[int, int], **options: object) -> Scene:
    coarse = terrain.reshape(cells[0], 12, cells[1], 12).mean(axis=(1, 3))
    made = scenes.scene(surface, cells, altitude=coarse, **options)  # type: ignore[arg-type]
    return replace(made, ancillary=replace(made.ancillary, terrain=terrain))


@settings(deadline=None, max_examples=50)
@given(
    slope=st.floats(0, 50),
    aspect=st.floats(0, 360),
    sun=st.tuples(st.floats(20, 70), st.floats(0, 360)),
    view=st.tuples(st.floats(0, 12), st.floats(0, 360)),
    direct=st.floats(0.3, 1),
    around=st.floats(0, 0.5),
    factor=st.sampled_from([12, 24]),
)
def test_a_tilted_plane_comes_back_flat(
    slope: float,
    aspect: float,
    sun: tuple[float, float],
    view: tuple[float, float],
    direct: float,
    around: float,
    factor: int,
) -> None:
    """The illumination of a slope written with slope and aspect, where the step has gradients."""

    def cosine(zenith: float, azimuth: float) -> float:
        t, s, phi = np.radians(zenith), np.radians(slope), np.radians(azimuth - aspect)
        return float(np.cos(t) * np.cos(s) + np.sin(t) * np.sin(s) * np.cos(phi))

    i, e = max(cosine(*sun), 0.2), max(cosine(*view), 0.1)
    cs, cv = np.cos(np.radians(sun[0])), np.cos(np.radians(view[0]))
    sky, ground = (1 + np.cos(np.radians(slope))) / 2, (1 - np.cos(np.radians(slope))) / 2
    lit = direct * i / cs + (1 - direct) * sky + around * ground
    expected = 0.3
    seen = expected * lit * (cs + cv) / (i + e)
    line = uniform(1e-4, 0.0)
    counts = np.full((6 * factor, 6 * factor), round(seen * 1e4), np.uint16)
    env = Environment(*uniform(around, direct, 0.8))
    found = slope_correction.flat_reflectance(
        counts, line, env, slope_correction.Slopes(plane(slope, aspect), toward(*sun), toward(*view)), factor, V1_4
    )
    assert_allclose(found, expected * 1e4, rtol=1 / counts[0, 0] + 1e-3, atol=1)


def test_on_flat_ground_nothing_changes() -> None:
    flat = np.full((72, 72), 300.0, np.float32)
    product, _ = correct(scene_on(flat, scenes.ground(CELLS), CELLS), None, V1_4)
    assert not product.absent & {"FRE", *(f"MG2.{bit}" for bit in ("SUN_TOO_LOW", "TANGENT_SUN", "HIDDEN"))}
    assert "flat_reflectance" not in product.origin
    assert tuple(product.flat_reflectance) == DISTRIBUTED
    terrain_bits = np.uint8(0xF0)
    for group in GROUPS:
        assert not (product.geophysical[group] & terrain_bits).any()
    for band in DISTRIBUTED:
        assert_allclose(product.flat_reflectance[band], product.surface_reflectance[band], atol=1)


def test_no_data_stays_no_data() -> None:
    unobserved = np.zeros(CELLS, np.bool_)
    unobserved[2, 3] = True
    scene = scene_on(plane(20, 150), scenes.SOIL, CELLS, unobserved=unobserved)
    product, _ = correct(scene, None, V1_4)
    for band in DISTRIBUTED:
        assert_array_equal(product.flat_reflectance[band] == -10000, product.surface_reflectance[band] == -10000)
    for group in GROUPS:
        assert not product.geophysical[group][product.edge[group] > 0].any()


def test_a_slope_to_the_sun_is_darker_on_flat_ground_and_one_away_brighter() -> None:
    sun = (50.0, 150.0)
    for aspect, sign in ((150.0, -1), (330.0, 1)):
        scene = scene_on(plane(20, aspect), scenes.SOIL, CELLS, sun=sun)
        product, _ = correct(scene, None, V1_4)
        for band in DISTRIBUTED:
            inside = slice(12, -12)
            change = product.flat_reflectance[band].astype(int) - product.surface_reflectance[band]
            assert (np.sign(change[inside, inside]) == sign).all()


@pytest.mark.parametrize(
    ("slope", "bits"),
    [
        (0, 0),
        (15, 0),
        (25, Geophysical.SUN_TOO_LOW),  # cos 85 deg = 0.09, over cos 60 deg = 0.17: both
        (19, Geophysical.SUN_TOO_LOW),
        (40, Geophysical.SUN_TOO_LOW | Geophysical.TANGENT_SUN),
    ],
)
def test_bits_of_a_low_sun(slope: float, bits: int) -> None:
    """The sun at 60 deg from the zenith; the slope falls away from it."""
    incidence = np.cos(np.radians(60 + slope))
    expected = (Geophysical.SUN_TOO_LOW if incidence < 0.2 else 0) | (
        Geophysical.TANGENT_SUN if incidence < 0.2 * np.cos(np.radians(60)) else 0
    )
    found = slope_correction.low_sun((144, 144), toward(60, 100), plane(slope, 280), 24, V1_4)
    assert (found == expected).all()
    assert expected & bits == bits


def test_bits_reach_the_product() -> None:
    scene = scene_on(plane(45, 330), scenes.SOIL, CELLS, sun=(60.0, 150.0))
    product, _ = correct(scene, None, V1_4)
    both = Geophysical.SUN_TOO_LOW | Geophysical.TANGENT_SUN
    for group, resolution in GROUP_RESOLUTION.items():
        raster = product.geophysical[group]
        assert raster.shape == scene.grid.shape(resolution)
        assert (raster & both == both).all()


def test_strips_are_parts_of_the_whole_and_kernels_equal_their_source() -> None:
    rng = np.random.default_rng(0)
    terrain = rng.uniform(0, 30, (72, 72)).astype(np.float32)
    for band in ("B4", "B11"):
        factor = 240 // BANDS[band].resolution
        counts = rng.integers(0, 9000, (6 * factor - 5, 6 * factor)).astype(np.uint16)
        env, line = Environment(*uniform(0.1, 0.8, 0.9)), uniform(1e-4, -0.1)
        line += rng.uniform(0, 1e-5, line.shape).astype(np.float32)
        rest = (line, env, slope_correction.Slopes(terrain, toward(40, 100), toward(5, 200)), factor, V1_4)
        whole = slope_correction.flat_reflectance(counts, *rest)
        bits = slope_correction.low_sun(counts.shape, toward(70, 100), terrain, factor, V1_4)
        for first in (0, 1, 31):
            assert_array_equal(slope_correction.flat_reflectance(counts[first:], *rest, first), whole[first:])
            part = slope_correction.low_sun(counts[first:].shape, toward(70, 100), terrain, factor, V1_4, first)
            assert_array_equal(part, bits[first:])
        assert_array_equal(whole == -10000, counts == 0)


def test_gradients_are_those_of_numpy() -> None:
    altitude = np.random.default_rng(1).uniform(0, 50, (5, 7)).astype(np.float32)
    east, north = np.empty((2, 5, 7), np.float32)
    for row in range(5):
        slope_correction._rises(altitude, row, np.float32(1 / 20), east[row], north[row])
    south, expected = np.gradient(altitude.astype(float), 20)
    assert_allclose(east, expected, atol=1e-5)
    assert_allclose(north, -south, atol=1e-5)


def wall(cells: tuple[int, int], height: float) -> NDArray[np.float32]:
    """A wall along the middle column, one cell wide."""
    altitude = np.zeros(cells, np.float32)
    altitude[:, cells[1] // 2] = height
    return altitude


@pytest.mark.parametrize("azimuth", [90.0, 270.0])
def test_a_wall_casts_its_shadow_away_from_the_sun(azimuth: float) -> None:
    zenith, height = 60.0, 700.0
    cells = (9, 31)
    found = terrain_shadow.behind(wall(cells, height), toward(zenith, azimuth, cells), V1_4)
    reach = height * np.tan(np.radians(zenith)) / 240  # 5.05 cells
    distance = np.arange(31) - 15 if azimuth == 270 else 15 - np.arange(31)
    expected = (distance > 0) & (distance <= reach)
    assert_array_equal(found, np.broadcast_to(expected, cells))


def test_the_shadow_moves_with_an_oblique_sun() -> None:
    cells = (31, 31)
    altitude = np.zeros(cells, np.float32)
    altitude[15, 15] = 1500.0
    found = terrain_shadow.behind(altitude, toward(45, 135, cells), V1_4)  # from the south-east
    rows, cols = np.nonzero(found)
    assert rows.size >= 3
    assert (rows <= 15).all()
    assert (cols <= 15).all()
    assert_allclose(15 - rows, 15 - cols, atol=1)
    assert not terrain_shadow.behind(altitude, toward(0, 0, cells), V1_4).any()


def test_nearer_than_the_distance_it_is_the_slope_itself() -> None:
    cells = (5, 31)
    altitude = wall(cells, 300.0)  # its shadow is 2.2 cells long
    found = terrain_shadow.behind(altitude, toward(60, 270, cells), V1_4)
    assert found.any()
    assert not terrain_shadow.behind(altitude, toward(60, 270, cells), replace(V1_4, terrain_min_distance=720.0)).any()


def test_cast_shadows_and_hidden_ground_in_the_product() -> None:
    cells = (12, 12)
    terrain = np.repeat(np.repeat(wall(cells, 1500.0), 12, axis=0), 12, axis=1)
    scene = scene_on(terrain, scenes.WATER, cells, sun=(60.0, 270.0), view=(12.0, 90.0))
    product, state = correct(scene, None, V1_4)
    assert state is not None
    middle = product.geophysical["R1"][12::24, 12::24]
    shadow = middle & Geophysical.TOPOGRAPHIC_SHADOW > 0
    assert shadow[:, 8:].all()
    assert not shadow[:, :6].any()
    assert not (middle[shadow] & Geophysical.WATER).any()  # not tested there
    assert (middle[:, :4] & Geophysical.WATER > 0).all()
    hidden = middle & Geophysical.HIDDEN > 0  # the satellite looks from the east
    assert hidden[:, 5].any() == (1500 * np.tan(np.radians(12)) > 240)
    assert not hidden[:, 7:].any()


def test_steep_ground_is_no_water() -> None:
    cells = (8, 8)
    scene = scene_on(plane(12, 180, 96), scenes.WATER, cells)
    product, _ = correct(scene, None, V1_4)
    assert product.figures.water_percent == 0
    flat, _ = correct(scene_on(plane(5, 180, 96), scenes.WATER, cells), None, V1_4)
    assert flat.figures.water_percent == 100


def test_the_kernels_equal_their_python_source() -> None:
    rng = np.random.default_rng(2)
    terrain = rng.uniform(0, 40, (12, 12)).astype(np.float32)
    counts = rng.integers(0, 9000, (20, 24)).astype(np.uint16)
    fields = rng.uniform(0.3, 0.9, (10, 1, 1)).astype(np.float32)
    fields[0] = 1e-4
    ground = slope_correction._ground(terrain, counts.shape, 24, V1_4, 0)
    floors = (np.float32(0.2), np.float32(0.1), np.float32(0.7))
    flat = np.empty((2, *counts.shape), np.int16)
    coding = adjacency.Coding(np.float32(10000), np.float32(-10000), np.uint16(0))
    of_bands = (counts, resampling.coarse(fields, counts.shape, 24), ground, floors, coding)
    slope_correction._flatten(*of_bands, slope_correction._room(10, 24, terrain), flat[0])
    slope_correction._flatten.py_func(*of_bands, slope_correction._room(10, 24, terrain), flat[1])
    assert np.abs(flat[0].astype(int) - flat[1]).max() <= 1
    bits = np.empty((2, *counts.shape), np.uint8)
    of_sun = (resampling.coarse(fields[4:7], counts.shape, 24), ground, (np.float32(0.4), np.float32(0.5)))
    stretches = slope_correction.Stretches(np.empty((3, 1), np.float32), np.empty(1, np.bool_))
    slope_correction._shade(*of_sun, slope_correction._room(3, 24, terrain), stretches, bits[0])
    slope_correction._shade.py_func(*of_sun, slope_correction._room(3, 24, terrain), stretches, bits[1])
    assert bits.any()
    assert (bits[0] != bits[1]).mean() < 0.01


def hills(cells: tuple[int, int], seed: int = 4) -> NDArray[np.float32]:
    """Altitude every 20 m of hills with slopes to 45 degrees."""
    from scipy import ndimage

    rough = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((cells[0] * 12, cells[1] * 12)), 22)
    return (1200 + 330 * rough / rough.std()).astype(np.float32)


@pytest.mark.parametrize("minnaert", [0.0, 0.4, 0.8])
def test_the_share_of_the_cosines_is_that_of_the_ground(minnaert: float) -> None:
    """Of grounds between Lambert's and one that darkens as the ratio of cosines."""
    numbers = parameters("V2_1")
    cells = (60, 60)
    random = np.random.default_rng(8)
    terrain = hills((30, 30))
    altitude = terrain.reshape(60, 6, 60, 6).mean(axis=(1, 3))
    sun, view = toward(50, 160, cells), toward(4, 100, cells)
    south, east = np.gradient(altitude, 120)
    flat = 1 / np.sqrt(1 + south**2 + east**2)
    i, e = ((s[0] - east * s[1] + south * s[2]) * flat for s in (sun, view))
    around = Environment(*(np.full(cells, value, np.float32) for value in (0.2, 0.8, 0.9)))
    lit = 0.8 * i / sun[0] + 0.2 * (1 + flat) / 2 + 0.2 * (1 - flat) / 2
    forest = random.uniform(0, 1, cells) < 0.5
    rho = np.where(forest, 0.2, 0.3) * (1 + 0.05 * random.standard_normal(cells))
    seen = (rho * lit / ((i + e) / (sun[0] + view[0])) ** minnaert).astype(np.float32)
    lit_well = i > 0.25
    found = slope_correction.share(
        seen, around, (altitude, sun, view), [forest & lit_well, ~forest & lit_well], numbers
    )
    assert found == pytest.approx(minnaert, abs=0.1)
    assert slope_correction.share(seen, around, (altitude, sun, view), [forest], V1_4) == 1.0
    assert slope_correction.share(seen, around, (altitude, sun, view), [], numbers) == 1.0


def test_on_a_mountain_no_ground_is_brighter_for_its_slope() -> None:
    """Full Level-2A of a Lambertian mountain: what FRE says of a cover does not depend on the light on it."""
    from benchmarks import aot_truth

    cells = (30, 30)
    terrain = hills(cells)
    flat = scene_on(terrain, scenes.ground(cells), cells, sun=(50.0, 160.0), aot=0.1)
    fine = terrain.reshape(60, 6, 60, 6).mean(axis=(1, 3))
    correlation = {}
    for version in ("V1_4", "V2_1"):
        numbers = parameters(version)
        made = replace(flat, ancillary=replace(flat.ancillary, altitude=fine)) if version == "V2_1" else flat
        coarse = terrain.reshape(30, 12, 30, 12).mean(axis=(1, 3))
        south, east = np.gradient(coarse, 240)
        sun = toward(50, 160, cells)
        i = (sun[0] - east * sun[1] + south * sun[2]) / np.sqrt(1 + south**2 + east**2)
        counts = {band: made.counts[band] for band in made.counts}
        for band in ("B8", "B8A", "B4"):
            factor = counts[band].shape[0] // 30
            lit = 0.9 * i / sun[0] + 0.1
            toa = (counts[band].astype(float) - 1000) * np.kron(np.clip(lit, 0.05, 3), np.ones((factor, factor)))
            counts[band] = np.clip(np.rint(toa + 1000), 1, 65000).astype(np.uint16)
        product, _ = correct(replace(made, counts=counts), None, numbers)
        assert product.status == "valid"
        clear = (aot_truth.middles(product.geophysical["R2"], "R2") == 0) & (i > 0.3)
        assert clear.sum() > 200
        found = aot_truth.middles(product.flat_reflectance["B8A"], "R2")
        correlation[version] = float(np.corrcoef(found[clear], i[clear])[0, 1])
    assert abs(correlation["V2_1"]) < max(0.1, abs(correlation["V1_4"]) / 2)
