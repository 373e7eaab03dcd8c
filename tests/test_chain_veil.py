"""Thin high clouds whose light is taken away, and what is said of the error that is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from benchmarks import aot_truth
from processing.bands import DISTRIBUTED, R1
from processing.chain import correct
from processing.masks import Interpolated
from processing.scene import L2A, Scene
from processing.versions import parameters
from tests import scenes

V2_1 = parameters("V2_1")
CELLS = (30, 30)
#: Light of the cloud over that in B10, other than is expected.
WEIGHTS = dict.fromkeys(scenes.VEGETATION, 0.95) | {"B10": 1.0, "B11": 0.6, "B12": 0.4}


def blob(strength: float) -> NDArray[np.float64]:
    row, col = np.indices(CELLS)
    return strength * np.exp(-(((row - 14) / 7.0) ** 2) - ((col - 20) / 6.0) ** 2)


def under(made: Scene, light: NDArray[np.float64], weights: Mapping[str, float]) -> Scene:
    """The scene below a thin cloud of so much light in B10."""
    counts = {}
    for band, seen in made.counts.items():
        factor = seen.shape[0] // CELLS[0]
        added = np.kron(light * weights[band] * scenes.QUANTIFICATION, np.ones((factor, factor)))
        counts[band] = (seen + np.rint(added)).astype(np.uint16)
    return replace(made, counts=counts)


def series(strength: float, version: str = "V2_1", past: bool = True) -> tuple[L2A, dict[str, NDArray[np.float64]]]:
    numbers = parameters(version)
    surface = scenes.ground(CELLS)
    surface |= {"B1": 0.45 * surface["B4"], "B2": 0.49 * surface["B4"]}
    state = None
    if past:
        _, state = correct(scenes.onto(scenes.scene(surface, CELLS, aot=0.15), numbers), None, numbers)
    made = under(scenes.scene(surface, CELLS, days=5, aot=0.15), blob(strength), WEIGHTS)
    product, _ = correct(scenes.onto(made, numbers), state, numbers)
    assert product.status == "valid"
    return product, surface


def inside(product: L2A, surface: Mapping[str, NDArray[np.float64]], where: NDArray[np.bool_], band: str) -> float:
    """Share of the cells whose reflectance is within 0.05 rho + 0.005. [-]"""
    found = aot_truth.middles(product.surface_reflectance[band], "R1" if band in R1 else "R2") / 10000
    error = np.abs(found - surface[band]) - (0.05 * surface[band] + 0.005)
    return float(np.mean(error[where] <= 0))


@pytest.mark.parametrize("strength", [0.007, 0.014])
def test_the_light_of_a_thin_high_cloud_is_taken_away(strength: float) -> None:
    product, surface = series(strength)
    thin = (blob(strength) >= 0.005) & (blob(strength) <= 0.015)
    for band in DISTRIBUTED:
        assert inside(product, surface, thin, band) >= 0.95, band
    told = aot_truth.middles(product.interpolated["R2"], "R2") & Interpolated.VEIL > 0
    assert told[thin].all()
    assert not told[blob(strength) < 1e-4].any()
    assert "fitted to the image" in product.origin["veil"]
    before, _ = series(strength, "V2_0")
    assert inside(before, surface, thin, "B2") < 0.6
    assert "veil" not in before.origin
    assert not (before.interpolated["R2"] & Interpolated.VEIL).any()


def test_without_a_past_the_weights_are_those_of_ice() -> None:
    product, surface = series(0.01, past=False)
    thin = blob(0.01) >= 0.005
    assert "as ice is expected to scatter" in product.origin["veil"]
    assert inside(product, surface, thin, "B2") >= 0.95


def test_no_veil_is_none() -> None:
    product, _ = series(0.0)
    assert product.origin["veil"] == "none"
    assert not (product.interpolated["R2"] & Interpolated.VEIL).any()


def test_low_clouds_make_no_veil() -> None:
    """Above them the vapour is little, as if the ground shone through: it must not be taken for the image's darkest."""
    random = np.random.default_rng(5)
    cloud = np.where(random.uniform(0, 1, CELLS) < 0.15, random.uniform(0.3, 1, CELLS), 0)
    surface = scenes.mix(scenes.ground(CELLS), scenes.CLOUD, cloud)
    product, _ = correct(scenes.onto(scenes.scene(surface, CELLS), V2_1), None, V2_1)
    assert product.origin["veil"] == "none"


def test_the_uncertainty_says_where_less_is_known() -> None:
    product, _ = series(0.014)
    told = product.uncertainty["R2"]
    assert set(product.uncertainty) == {"R2"}
    assert told.shape == (1 + len(DISTRIBUTED), *product.edge["R2"].shape)
    assert_array_equal((told == 0).any(axis=0), product.edge["R2"] > 0)
    cells = aot_truth.middles(told, "R2").astype(float)
    read = aot_truth.middles(product.interpolated["R2"], "R2") & Interpolated.AOT == 0
    thin, free = read & (blob(0.014) > 0.008), read & (blob(0.014) < 1e-4)
    blue = cells[1 + DISTRIBUTED.index("B2")]
    assert blue[thin].mean() > blue[free].mean()
    assert not series(0.0, "V2_0")[0].uncertainty


def test_the_uncertainty_is_larger_where_no_ground_tells_the_aerosol() -> None:
    bare = np.tile(np.arange(CELLS[1]) >= 12, (CELLS[0], 1)).astype(float)
    surface = scenes.mix(scenes.ground(CELLS), scenes.SOIL, bare)
    product, _ = correct(scenes.onto(scenes.scene(surface, CELLS, aot=0.15), V2_1), None, V2_1)
    cells = aot_truth.middles(product.uncertainty["R2"], "R2").astype(float)
    read = aot_truth.middles(product.interpolated["R2"], "R2") & Interpolated.AOT == 0
    assert 0.2 < read.mean() < 0.6
    assert cells[0][~read].mean() > 1.5 * cells[0][read].mean()
    blue = cells[1 + DISTRIBUTED.index("B2")]
    assert blue[~read].mean() > 1.2 * blue[read].mean()
