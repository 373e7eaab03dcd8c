"""The chain on the five real dates of T33TWM, against what their Level-1C was made from."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import rasterio

from processing.ancillary import ancillary
from processing.chain import classify, correct, outcome, overcast
from processing.chain.observe import observe
from processing.l1c import granules
from processing.masks import Cloud
from processing.scene import L2A, Composite, Scene
from processing.versions import parameters

pytestmark = pytest.mark.slow
V1_4 = replace(parameters("V1_4"), adjacency_radius=0)  # they were made without the light from beside


@dataclass
class Date:
    scene: Scene
    product: L2A
    thinned: Scene
    before: Composite | None
    surface: np.ndarray  # (band, row, col) at 240 m, NaN outside [-]
    bands: list[str]
    cloud: np.ndarray  # (row, col) at 20 m: clouds of the reference
    truth: dict[str, dict[str, float]]


def means(raster: np.ndarray, factor: int) -> np.ndarray:
    """Means of the whole blocks of an image."""
    rows, cols = raster.shape[-2] // factor, raster.shape[-1] // factor
    blocks = raster[..., : rows * factor, : cols * factor]
    return np.asarray(blocks.reshape(*raster.shape[:-2], rows, factor, cols, factor).mean(axis=(-3, -1)))


@pytest.fixture(scope="module")
def dates(t33twm_small: Path) -> list[Date]:
    truth = json.loads((t33twm_small / "reference" / "truth.json").read_text())
    found = sorted((g for f in t33twm_small.glob("*.SAFE") for g in granules(f)), key=lambda granule: granule.sensing)
    state: Composite | None = None
    series = []
    for granule in found:
        dem = t33twm_small / "reference" / "dem.tif"
        around = ancillary(granule.grid, V1_4.coarse_resolution, dem)
        scene, thinned = granule.scene(around), granule.thin(around, V1_4.coarse_resolution)
        before = state
        product, new = correct(scene, state, V1_4)
        state = new or state
        reference = t33twm_small / "reference" / granule.identifier
        with rasterio.open(reference / "surface_reflectance.tif") as image:
            surface = np.where(image.read() == -10000, np.nan, image.read() / 10000)
            bands = ["B" + name[1:].lstrip("0") for name in image.descriptions]
        with rasterio.open(reference / "reference_masks.tif") as image:
            cloud = np.isin(image.read(1), (8, 9))
        series.append(Date(scene, product, thinned, before, means(surface, 2), bands, cloud, truth[granule.identifier]))
    return series


def test_modes_and_states_follow_in_time(dates: list[Date]) -> None:
    assert [d.product.mode for d in dates] == ["init", *["nominal"] * 4]
    assert {d.product.status for d in dates} == {"valid"}


@pytest.mark.parametrize("limit", [0.3, 1, 5, 50, 75, 93])
def test_a_first_look_gives_up_no_date_that_the_whole_image_keeps(dates: list[Date], limit: float) -> None:
    """For whatever limit of cloud, one just below a date's own too: samples and all pixels agree within 1 %."""
    for date in dates:
        seen = observe(date.thinned, date.before, V1_4).seen
        whole = observe(date.scene, date.before, V1_4).seen
        percent = outcome.cloud_percent(whole, classify.clouds(whole, V1_4))
        assert outcome.cloud_percent(seen, classify.clouds(seen, V1_4)) == pytest.approx(percent, abs=1)
        for most in (limit, percent + 0.01):
            found = overcast(date.thinned, date.before, replace(V1_4, max_cloud_percent=most))
            assert found is None or percent > most


def test_reflectance_of_clear_ground_comes_back(dates: list[Date]) -> None:
    """Means over 240 m, where the texture added below 120 m is gone. The land is bluer than the AOT supposes."""
    for date in dates:
        aot_error = abs(date.truth["aot550"]["mean"] - date.product.figures.aot_mean)
        for band in date.product.surface_reflectance:
            factor = 24 if date.product.surface_reflectance[band].shape[0] == date.product.edge["R1"].shape[0] else 12
            clear = means((date.product.cloud["R1" if factor == 24 else "R2"] == 0).astype(float), factor) == 1
            clear &= means(date.cloud.astype(float), 12) == 0
            expected = date.surface[date.bands.index(band)]
            clear &= np.isfinite(expected)
            error = (means(date.product.surface_reflectance[band] / 10000, factor) - expected)[clear]
            assert clear.sum() > 50
            assert abs(error.mean()) < 0.004 + 0.1 * aot_error, (date.scene.identifier, band)
            assert np.abs(np.median(error)) < 0.003 + 0.1 * aot_error, (date.scene.identifier, band)


def test_clouds_of_the_reference_are_found(dates: list[Date]) -> None:
    for date in dates:
        found = date.product.cloud["R2"] & Cloud.CLOUD > 0
        share = 100 * date.cloud.mean()
        assert date.product.figures.cloud_percent < share + 50  # buffers, and thin clouds that the reference leaves out
        if share > 1:
            assert found[date.cloud].mean() > 0.93, date.scene.identifier
        else:
            assert found.mean() < 0.07, date.scene.identifier


def test_water_vapour_is_that_of_the_date(dates: list[Date]) -> None:
    for date in dates:
        if date.product.figures.cloud_percent < 10:
            assert date.product.figures.water_vapour_mean == pytest.approx(
                date.truth["water_vapour_g_cm2"]["mean"], abs=0.15
            )
