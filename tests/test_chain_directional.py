"""Directional normalisation: what the model says, there and back, and two orbits over ground that follows it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.chain import correct, directional, geometry
from processing.scene import Scene
from processing.versions import parameters
from tests import scenes

ZENITH, VIEW, AZIMUTH = st.floats(15, 75), st.floats(0, 12), st.floats(0, 360)
V2 = replace(parameters("V2_0"), directional_normalisation=True)


def test_kernels_at_the_zenith_are_those_of_the_paper() -> None:
    """Without the hot spot, which doubles Ross's bracket there, both are 0 (Lucht et al. 2000)."""
    volume, crowns = directional.kernels(0.0, 0.0, 0.0)
    assert volume == pytest.approx(np.pi / 4)
    assert crowns == pytest.approx(0.0, abs=1e-12)


@settings(deadline=None)
@given(ZENITH, ZENITH, AZIMUTH)
def test_sun_and_satellite_may_change_places(first: float, second: float, azimuth: float) -> None:
    one, other = directional.kernels(first, second, azimuth), directional.kernels(second, first, -azimuth)
    np.testing.assert_allclose(one, other, atol=1e-9)


@settings(deadline=None)
@given(ZENITH, VIEW)
def test_ground_is_brighter_with_the_sun_behind_the_satellite(sun: float, view: float) -> None:
    toward, away = directional.kernels(sun, view, 0.0), directional.kernels(sun, view, 180.0)
    assert toward[0] >= away[0]
    assert toward[1] >= away[1] - 1e-9


ORBITS = (105.0, 285.0)  # azimuth of the view: with the sun at 150 deg nearer to and farther from backscatter


def from_orbit(view_azimuth: float, days: float) -> Scene:
    """Clear ground that follows the model, seen 10 degrees from the vertical."""
    sun, view = (35.0, 150.0), (10.0, view_azimuth)
    volume, crowns = directional.kernels(sun[0], view[0], sun[1] - view[1])
    surface = {}
    for band, isotropic in scenes.ground((12, 12)).items():
        f_iso, f_geo, f_vol = directional.SHAPES.get(band, (1.0, 0.0, 0.0))
        surface[band] = np.asarray(isotropic) * (1 + (f_vol * volume + f_geo * crowns) / f_iso)
    return scenes.onto(scenes.scene(surface, days=days, sun=sun, view=view), V2)


def test_two_orbits_leave_the_same_composite() -> None:
    plain = replace(V2, directional_normalisation=False)
    differences = []
    for numbers in (V2, plain):
        one, other = (correct(from_orbit(azimuth, 0), None, numbers)[1] for azimuth in ORBITS)
        assert one is not None
        assert other is not None
        pairs = [(getattr(one, kind)["B8A"], getattr(other, kind)["B8A"]) for kind in ("surface", "rayleigh_corrected")]
        differences.append(max(float(np.abs(a / b - 1).mean()) for a, b in pairs))
    assert differences[0] < 0.01
    assert differences[1] > 0.05


def test_the_composite_is_held_against_a_date_as_that_date_sees_it() -> None:
    first, second = from_orbit(ORBITS[0], 0), from_orbit(ORBITS[1], 5)
    _, past = correct(first, None, V2)
    assert past is not None
    angles = geometry.interpolate(second, V2)
    ground = directional.as_seen(past, directional.factors(angles, V2), V2)
    _, alone = correct(second, None, replace(V2, directional_normalisation=False))
    assert ground is not None
    assert alone is not None
    for band in ("B4", "B8A", "B12"):
        np.testing.assert_allclose(ground.surface[band], alone.surface[band], rtol=0.02)


def test_products_are_not_normalised() -> None:
    scene = from_orbit(ORBITS[0], 0)
    products = [correct(scene, None, replace(V2, directional_normalisation=on))[0] for on in (True, False)]
    for band in ("B2", "B8A"):
        np.testing.assert_array_equal(*(p.surface_reflectance[band] for p in products))
