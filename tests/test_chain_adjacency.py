"""Light from beside the target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from scipy import ndimage

from processing import atmosphere
from processing.bands import BANDS, DISTRIBUTED
from processing.chain import adjacency, correct, geometry, scattering
from processing.scene import Scene
from processing.versions import parameters
from tests import scenes

V1_4 = replace(parameters("V1_4"), adjacency_radius=2)
V2_0 = parameters("V2_0")
CELLS = (16, 16)
AOT = 0.3
WATER_VAPOUR = 2.0


def surroundings(surface: NDArray[np.floating], radius: int) -> NDArray[np.float64]:
    """Mean of the square around each cell, of the cells of the image."""
    side = np.ones((2 * radius + 1,) * 2)
    count = ndimage.convolve(np.ones_like(surface), side, mode="constant")
    return np.asarray(ndimage.convolve(surface, side, mode="constant") / count)


def corrected(scene: Scene, band: str, toa: NDArray[np.floating], clouds: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Coarse top-of-atmosphere reflectance of one band through the step."""
    angles = geometry.interpolate(scene, V1_4)
    aot, vapour = np.full(CELLS, AOT, np.float32), np.full(CELLS, WATER_VAPOUR, np.float32)
    coefficients = scattering.coefficients([band], scene, angles, aot, vapour, V1_4)
    uniform = scattering.remove({band: toa.astype(np.float32)}, coefficients, [band])
    around = adjacency.surroundings(uniform, clouds, scene, angles, aot, V1_4)
    line = adjacency.correct(coefficients, around)[band]
    return np.asarray(toa * line.gain + line.offset)


def seen(surface: NDArray[np.floating], band: str, around: NDArray[np.floating]) -> NDArray[np.float64]:
    """Top-of-atmosphere reflectance of a surface among its surroundings (6S user guide, part 1)."""
    sun, view, azimuth = 35.0, 6.0, 45.0
    c = atmosphere.coefficients("S2A", band, atmosphere.LightPath(sun, view, azimuth, 0.2), AOT, WATER_VAPOUR, 0.3)
    _, up = atmosphere.direct_shares("S2A", band, sun, view, 0.2, AOT)
    y = c.transmittance * (up * surface + (1 - up) * around) / (1 - c.albedo * around)
    return np.asarray((y + c.offset) / c.scale)


@pytest.mark.parametrize("band", ["B2", "B4", "B8", "B12"])
def test_what_is_seen_among_surroundings_comes_back(band: str) -> None:
    surface = scenes.ground(CELLS)[band]
    around = surroundings(surface, V1_4.adjacency_radius)
    toa = seen(surface, band, around)
    scene = scenes.scene(scenes.SOIL, CELLS)
    found = corrected(scene, band, toa, np.zeros(CELLS, np.bool_))
    # the environment is taken from the image, whose own cells were blurred: what is left is its error
    assert_allclose(found, surface, atol=0.003)
    uniform = atmosphere.surface_reflectance(toa, "S2A", band, 35.0, 6.0, 45.0, 0.2, AOT, WATER_VAPOUR, 0.3)
    assert np.abs(found - surface).std() < 0.3 * np.abs(uniform - surface).std()


def test_a_uniform_scene_is_left_unchanged() -> None:
    scene = scenes.scene(scenes.VEGETATION, CELLS, aot=0.1)
    with_light, _ = correct(scene, None, V1_4)
    without, _ = correct(scene, None, replace(V1_4, adjacency_radius=0))
    for band in DISTRIBUTED:
        assert_allclose(with_light.surface_reflectance[band], without.surface_reflectance[band], atol=1)
    assert with_light.origin["adjacency"] == "corrected with the mean of 1200 m around"
    assert without.origin["adjacency"] == "not corrected"


def test_the_composite_keeps_the_uniform_surface() -> None:
    scene = scenes.scene(scenes.ground(CELLS), CELLS)
    _, one = correct(scene, None, V1_4)
    _, other = correct(scene, None, replace(V1_4, adjacency_radius=0))
    assert one is not None
    assert other is not None
    for band, surface in one.surface.items():
        assert_array_equal(surface, other.surface[band])


def test_dark_ground_among_bright_one_gets_darker() -> None:
    surface = scenes.mix(scenes.SOIL, scenes.VEGETATION, scenes.blot(CELLS, 8, 8, 0))
    scene = scenes.scene(surface, CELLS)
    found, _ = correct(scene, None, V1_4)
    alone, _ = correct(scene, None, replace(V1_4, adjacency_radius=0))
    for band in ("B2", "B4"):
        middle = 8 * 24 + 12
        assert found.surface_reflectance[band][middle, middle] < alone.surface_reflectance[band][middle, middle] - 20
        # and far from it nothing changes
        assert_allclose(found.surface_reflectance[band][:12], alone.surface_reflectance[band][:12], atol=1)


def test_neither_what_is_not_seen_nor_clouds_are_surroundings() -> None:
    scene = scenes.scene(scenes.SOIL, CELLS)
    toa = np.full(CELLS, float(seen(np.array(0.1), "B4", np.array(0.1))))
    nothing = np.zeros(CELLS, np.bool_)
    expected = corrected(scene, "B4", toa, nothing)
    assert_allclose(expected, 0.1, atol=1e-4)
    toa[:, :5] = np.nan
    found = corrected(scene, "B4", toa, nothing)
    assert_allclose(found[:, 5:], expected[:, 5:], atol=1e-5)
    assert np.isnan(found[:, :5]).all()
    clouds = np.zeros(CELLS, np.bool_)
    clouds[:, :5] = True
    toa[clouds] = 0.6
    found = corrected(scene, "B4", toa, clouds)
    assert_allclose(found[:, 5:], expected[:, 5:], atol=1e-5)
    assert np.isfinite(found).all()  # deep in the cloud, the cloud itself


def test_direct_shares_are_shares_and_fall_with_the_aerosol_and_the_way() -> None:
    for band in BANDS:
        if band in ("B9", "B10"):
            continue
        aot = np.linspace(0, 1, 6)
        down, up = atmosphere.direct_shares("S2A", band, 60.0, 5.0, 0.5, aot)
        assert ((down > 0) & (up < 1) & (down < up)).all()
        assert (np.diff(down) < 0).all()
        assert (np.diff(up) < 0).all()
    thin, _ = atmosphere.direct_shares("S2A", "B2", 40.0, 5.0, 3.0, 0.1)
    thick, _ = atmosphere.direct_shares("S2A", "B2", 40.0, 5.0, 0.0, 0.1)
    assert thin > thick
    assert np.isnan(atmosphere.direct_shares("S2A", "B2", 89.0, 5.0, 0.0, 0.1)[0])


def test_the_environment_of_6s_holds_the_light_that_6s_says() -> None:
    """F(r) = 1 - sum of a exp(-b r): the share from within r km (6S user guide, part 2, ENVIRO)."""
    shape = (501, 501)
    point = np.zeros(shape, np.float32)
    point[250, 250] = 1
    known, nothing = np.ones(shape, bool), np.zeros(shape, bool)
    km = np.hypot(*(np.indices(shape) - 250)) * 0.24
    found = adjacency.scattered(point, known, nothing, replace(V2_0, coarse_resolution=240))
    for weights, kernel in zip(found, (((0.930, 0.080), (0.070, 1.100)), ((0.448, 0.27), (0.552, 2.83))), strict=True):
        for r in (2.0, 6.0, 15.0):
            share = 1 - sum(a * np.exp(-b * r) for a, b in kernel)
            assert weights[km <= r].sum() == pytest.approx(share, abs=0.03)


def test_what_is_not_known_and_clouds_leave_no_light() -> None:
    surface = np.full(CELLS, 0.1, np.float32)
    surface[3:5, 3:5] = 0.7
    clouds = surface > 0.5
    surface[10:, 10:] = np.nan
    by_molecules, by_aerosol = adjacency.scattered(surface, np.isfinite(surface), clouds, V2_0)
    assert_allclose(by_aerosol, 0.1, atol=1e-6)
    assert (by_molecules > 0.101).all()
    below = replace(V2_0, adjacency_cloud_light=False)
    assert_allclose(adjacency.scattered(surface, np.isfinite(surface), clouds, below), 0.1, atol=1e-6)
    nothing = adjacency.scattered(surface, np.zeros(CELLS, bool), clouds, V2_0)
    assert np.isnan(nothing).all()
    overcast, _ = adjacency.scattered(surface, clouds, clouds, V2_0)
    assert_allclose(overcast, 0.7, atol=1e-6)


def test_molecules_scatter_the_more_of_it_the_fewer_aerosol_there_is() -> None:
    shares = {}
    for aot in (0.0, 0.1, 0.5):
        _, up = atmosphere.direct_shares("S2A", "B2", 35.0, 6.0, 0.2, aot)
        _, clean = atmosphere.direct_shares("S2A", "B2", 35.0, 6.0, 0.2, 0.0)
        shares[aot] = adjacency.of_molecules(up, clean)
    assert shares[0.0] == pytest.approx(1)
    assert 1 > shares[0.1] > shares[0.5] > 0.1
