"""Light that clouds throw onto the ground beside them: where it falls, how much of it, and what it is told from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from processing.chain import cloud_light, shadow_mask
from processing.chain.adjacency import Line
from processing.chain.cloud_light import Light
from processing.chain.geometry import Geometry
from processing.versions import parameters
from tests.scenes import observation

V2_1 = parameters("V2_1")
CELL = V2_1.coarse_resolution


def looks(shape: tuple[int, int], sun: tuple[float, float]) -> Geometry:
    """Angles of a view from straight above."""

    def level(value: float) -> NDArray[np.float32]:
        return np.full(shape, value, np.float32)

    views = {band: level(0.0) for band in ("B3", "B4")}
    nowhere = np.zeros(shape, bool)
    return Geometry(level(sun[0]), level(sun[1]), views, views, nowhere, nowhere, frozenset())


def scene(height: float, sun: tuple[float, float], bright: float = 0.5) -> tuple[Light | None, NDArray[np.bool_]]:
    """What a cloud of 7 x 7 cells in the middle throws, from a height [m], and its shadow."""
    clouds, shadow = np.zeros((2, 81, 81), bool)
    clouds[37:44, 37:44] = True
    away = height * np.tan(np.radians(sun[0])) / CELL
    down = np.round([away * np.cos(np.radians(sun[1])), -away * np.sin(np.radians(sun[1]))]).astype(int)
    shadow[np.ix_(np.arange(37, 44) + down[0], np.arange(37, 44) + down[1])] = True
    seen = observation(
        {"B2": np.where(clouds, bright + 0.05, 0.05).astype(np.float32)}, None, ~shadow, looks(clouds.shape, sun)
    )
    return cloud_light.estimate(seen, clouds, shadow & ~clouds, V2_1), shadow


@given(st.floats(0, 0.9), st.floats(0.25, 1))
def test_a_cloud_passes_on_no_more_than_falls_onto_it(reflectance: float, mu_sun: float) -> None:
    passed = float(cloud_light.scattered_down(np.array(reflectance), mu_sun))
    assert 0 <= passed <= 1 - reflectance
    assert cloud_light.thickness(np.array(reflectance)) <= cloud_light.thickness(np.array(reflectance + 0.01))


@pytest.mark.parametrize("height", [1000.0, 1500.0])
@pytest.mark.parametrize("sun", [(40.0, 150.0), (55.0, 230.0)])
def test_the_light_falls_around_the_shadow(height: float, sun: tuple[float, float]) -> None:
    light, shadow = scene(height, sun)
    assert light is not None
    assert light.height == pytest.approx(height, abs=0.5 * V2_1.shadow_heights[2] + 1)
    found = np.array(np.unravel_index(light.passed.argmax(), shadow.shape))
    assert_allclose(found, np.argwhere(shadow).mean(0), atol=1.5)
    falls = cloud_light.scattered_down(np.array(0.5), float(np.cos(np.radians(sun[0]))))
    assert light.passed.sum() == pytest.approx(49 * falls, rel=0.05)
    assert light.hidden.argmax() == 40 * 81 + 40


def test_it_brightens_what_the_beam_lights_and_darkens_what_the_sky_does() -> None:
    light, _ = scene(1000.0, (40.0, 150.0))
    assert light is not None
    one, none = np.ones_like(light.passed), np.zeros_like(light.passed)
    assert (light.on("B8A", one) >= 1).all()
    assert light.on("B8A", one).max() > 1.05
    assert (light.on("B2", none) <= 1).all()
    assert (light.on("B12", one) <= light.on("B8A", one)).all()


def test_there_is_none_without_clouds_or_in_versions_that_do_not_look() -> None:
    nothing = np.zeros((9, 9), bool)
    seen = observation({"B2": np.full((9, 9), 0.3, np.float32)}, None, ~nothing, looks((9, 9), (40.0, 150.0)))
    assert cloud_light.estimate(seen, nothing, nothing, V2_1) is None
    assert cloud_light.estimate(seen, ~nothing, nothing, replace(V2_1, cloud_light=())) is None
    assert parameters("V2_0").cloud_light == parameters("V1_4").cloud_light == ()


def test_without_a_shadow_the_height_is_the_usual_one() -> None:
    clouds = np.zeros((31, 31), bool)
    clouds[10:20, 10:20] = True
    angles = looks(clouds.shape, (40.0, 150.0))
    along = shadow_mask.Rays(*shadow_mask.rays(angles, CELL), np.zeros(clouds.shape))
    cast = shadow_mask.casting(clouds, along, V2_1, 0.0)
    assert cloud_light.height(cast, along, np.zeros_like(clouds)) == cloud_light._USUAL


def test_ground_under_more_light_is_as_bright_as_before() -> None:
    rho, more = np.linspace(0.01, 0.6, 9, dtype=np.float32), np.float32(1.08)
    line = Line(np.full(9, 1.3, np.float32), np.full(9, -0.05, np.float32)).under(np.full(9, more))
    toa = (rho * more + 0.05) / 1.3
    assert_allclose(toa * line.gain + line.offset, rho, rtol=1e-5)


def test_a_cloud_that_is_no_brighter_than_the_ground_throws_nothing() -> None:
    """A thin one, or a field taken for one, whatever the ground's own brightness is."""
    light, _ = scene(1000.0, (40.0, 150.0), bright=0.0)
    assert light is not None
    assert_allclose(light.on("B8A", np.ones_like(light.passed)), 1, atol=1e-6)
