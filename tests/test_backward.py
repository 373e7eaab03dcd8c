"""A series that begins backward in time, thinned scenes, restarts and late dates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from benchmarks import backward
from processing.bands import BANDS, COARSE
from processing.chain import correct, look_back, may_be_overcast, overcast, subsampling
from processing.errors import StateError
from processing.l1c import Granule, granules
from processing.masks import Cloud
from processing.product import save_state
from processing.production.processor import granule, produce
from processing.production.request import Request
from processing.scene import Ancillary, Composite, Scene
from processing.simulation import simulate
from processing.versions import parameters
from tests import scenes

V1_4 = parameters("V1_4")
CELLS = (24, 24)
CLOUD = scenes.blot(CELLS, 8, 12, 1)


def dates(first: np.ndarray, others: int = 2, seed: int = 1) -> Iterator[Scene]:
    """A first date under `first` share of cloud, and clear ones, 5 days apart."""
    ground = scenes.ground(CELLS, seed)
    yield scenes.scene(scenes.mix(ground, scenes.CLOUD, first), CELLS)
    for n in range(1, 1 + others):
        yield scenes.scene(ground, CELLS, days=5 * n)


def looked_back(later: list[Scene]) -> Composite:
    composite = None
    for scene in reversed(later):
        composite = look_back(scene, composite, V1_4)
    assert composite is not None
    return composite


# The chain


def test_the_first_date_is_tested_against_the_later_ones() -> None:
    """A thin cloud that one image alone can't tell, and a shadow, are found by going back to the first date."""
    ground = scenes.ground(CELLS)
    thin = scenes.mix(ground, scenes.CLOUD, 0.15 * scenes.blot(CELLS, 5, 5, 2))
    shaded = {band: value * (1 - 0.6 * scenes.blot(CELLS, 3, 10, 1)) for band, value in ground.items()}
    thick = scenes.mix(shaded, scenes.CLOUD, scenes.blot(CELLS, 8, 12, 1))
    for seen, where, bit in ((thin, (5, 5), Cloud.MULTI_TEMPORAL), (thick, (3, 10), Cloud.SHADOW)):
        first = scenes.scene(seen, CELLS)
        later = [scenes.scene(ground, CELLS, days=5), scenes.scene(ground, CELLS, days=10)]
        row, col = (24 * np.array(where) + 12).tolist()
        alone, _ = correct(first, None, V1_4)
        assert alone.mode == "init"
        assert not alone.cloud["R1"][row, col] & (Cloud.MULTI_TEMPORAL | Cloud.SHADOW)
        assert any("MULTI_TEMPORAL" in name for name in alone.absent)
        product, left = correct(first, looked_back(later), V1_4)
        assert product.mode == "backward"
        assert product.cloud["R1"][row, col] & bit
        assert "CLM.MULTI_TEMPORAL" not in product.absent
        assert left is not None
        assert (left.backward, left.sensing) == (False, first.sensing)


def test_what_is_clear_nowhere_yet_is_known_from_later_dates_until_they_come() -> None:
    first, second, third = dates(CLOUD)
    _, state = correct(first, looked_back([second, third]), V1_4)
    assert state is not None
    assert state.day[8, 12] == second.day
    assert state.day[0, 0] == first.day
    assert set(state.stack_days) == {first.day, second.day, third.day}
    product, after = correct(second, state, V1_4)
    assert product.mode == "nominal"
    assert after is not None
    assert (after.day == second.day).all()
    # its own image is not its past: what is a cloud to the one before is a cloud although the stack has seen it
    elsewhere = scenes.blot(CELLS, 17, 5, 1)
    clouded = scenes.scene(scenes.mix(scenes.ground(CELLS), scenes.CLOUD, elsewhere), CELLS, days=5)
    _, state = correct(first, looked_back([clouded, third]), V1_4)
    assert state is not None
    again, _ = correct(clouded, state, V1_4)
    assert again.cloud["R1"][17 * 24 + 12, 5 * 24 + 12] & Cloud.MONO_TEMPORAL


@pytest.mark.slow
def test_shadows_under_a_heavy_first_sky_are_found_backward(tmp_path: Path) -> None:
    """By simulated truth; the second date too has more of its shadows found than after a start from nothing."""
    judged = backward.judge(tmp_path, 732, 0, "V1_4")
    (init, after_init), (back, after_back) = judged["init"], judged["backward"]
    assert init.shadow_recall == 0
    assert back.shadow_recall > 0.8
    assert max(back.false_shadow, back.false_cloud) < 0.01
    assert after_back.shadow_recall > after_init.shadow_recall + 0.1
    assert after_back.false_cloud < 0.01


def test_a_composite_of_the_wrong_side_in_time_is_refused_by_name(tmp_path: Path) -> None:
    first, second, third = dates(CLOUD)
    later = looked_back([second, third])
    with pytest.raises(StateError, match=r"backward state of .* is not newer than the scene"):
        correct(third, later, V1_4)
    _, forward = correct(third, None, V1_4)
    assert forward is not None
    with pytest.raises(StateError, match="is not older than the scene"):
        correct(first, forward, V1_4)
    with pytest.raises(ValueError, match="no state to keep"):
        save_state(later, tmp_path / "state.npz")


def test_a_later_date_that_is_not_valid_leaves_the_composite() -> None:
    _, second, third = dates(CLOUD)
    later = looked_back([third])
    overcast = scenes.scene(scenes.CLOUD, CELLS, days=5)
    assert look_back(overcast, later, V1_4) is later
    assert look_back(overcast, None, V1_4) is None
    assert look_back(second, later, V1_4) is not later


# Thinned scenes


def low_pass(image: np.ndarray, levels: int) -> np.ndarray:
    """The reversible 5/3 wavelet's low-pass, ISO/IEC 15444-1 annex F, images of an even size."""
    for axis in [0, 1] * levels:
        x = np.moveaxis(image.astype(np.int64), axis, 0)
        even, odd = x[::2], x[1::2]
        detail = odd - (even + np.append(even[1:], even[-1:], 0)) // 2
        image = np.moveaxis(even + (np.append(detail[:1], detail[:-1], 0) + detail + 2) // 4, 0, axis)
    return image.astype(np.uint16)


def thinned(scene: Scene, levels: int) -> Scene:
    spacing = {band: 1 if BANDS[band].resolution == 60 else 2**levels for band in COARSE}
    counts = {b: scene.counts[b] if n == 1 else low_pass(scene.counts[b], levels) for b, n in spacing.items()}
    detectors = {band: scene.detectors[band][::n, ::n] for band, n in spacing.items()}
    return replace(scene, counts=counts, detectors=detectors, spacing=spacing)


@settings(deadline=None, max_examples=30)
@given(slope=st.tuples(st.integers(-8, 8), st.integers(-8, 8)), levels=st.integers(1, 2))
def test_means_of_samples_are_in_their_place(slope: tuple[int, int], levels: int) -> None:
    """On a plane nothing is lost but by rounding, if the samples' place is right: half a block off would show."""
    rows, cols = np.indices((96, 96))
    plane = 2000 + slope[0] * rows + slope[1] * cols
    mean, seen, full = subsampling._over_cells(low_pass(plane, levels), 12, 2**levels, (8, 8))
    expected = plane.reshape(8, 12, 8, 12).mean(axis=(1, 3))
    assert_allclose(mean[:-1, :-1], expected[:-1, :-1], atol=1.5)  # beyond the last cells there are no samples
    assert_allclose(mean, expected, atol=1.5 + 8 * 2**levels)
    assert (seen == 1).all()
    assert not full.any()


@pytest.mark.parametrize("levels", [1, 2])
def test_a_thinned_scene_leaves_the_same_composite(levels: int) -> None:
    first, second, third = dates(CLOUD)
    whole = looked_back([second, third])
    thin = looked_back([thinned(second, levels), thinned(third, levels)])
    assert_array_equal(thin.day, whole.day)
    for band, raster in whole.surface.items():
        assert np.abs(thin.surface[band] - raster).mean() < 0.01, band  # each cell is flat: all contrast is at edges
    product, _ = correct(first, thin, V1_4)
    reference, _ = correct(first, whole, V1_4)
    assert np.mean(product.cloud["R1"] != reference.cloud["R1"]) < 0.01


def test_samples_that_hold_something_unobserved_are_not_taken_for_dark() -> None:
    unobserved = np.zeros(CELLS, np.bool_)
    unobserved[:, :6] = True
    scene = scenes.scene(scenes.ground(CELLS), CELLS, unobserved=unobserved)
    whole = subsampling.reduce(scene, V1_4)
    thin = thinned(scene, 2)
    lost = {band: c if thin.spacing[band] == 1 else np.where(_near_zero(c), 0, c) for band, c in thin.counts.items()}
    image = subsampling.reduce(replace(thin, counts=lost), V1_4)
    assert_array_equal(image.observed, whole.observed)
    assert_allclose(image.toa["B4"][1:-1, 7:-1].mean(), whole.toa["B4"][1:-1, 7:-1].mean(), rtol=0.01)
    with pytest.raises(ValueError, match="do not fit"):
        subsampling._over_cells(thin.counts["B2"], 24, 5, CELLS)


def _near_zero(counts: np.ndarray) -> np.ndarray:
    zero = np.pad(counts == 0, 2)
    rows, cols = counts.shape
    return np.logical_or.reduce([zero[i : i + rows, j : j + cols] for i in range(5) for j in range(5)])


@pytest.mark.slow
@pytest.mark.parametrize("version", ["V1_4", "V2_0"])
def test_real_images_thinned_are_the_means_of_their_pixels(t33twm_small: Path, version: str) -> None:
    """Within 0.002 of reflectance (rms) of the cell means of all pixels, clouds included."""
    (granule,) = granules(next(t33twm_small.glob("S2A*20230818T100031*.SAFE")))
    numbers = parameters(version)
    shape = granule.grid.shape(numbers.coarse_resolution)
    around = Ancillary(np.zeros(shape, np.float32), 0.3, {})
    whole = subsampling.reduce(granule.scene(around), numbers)
    with granule.thinned(1, numbers.coarse_resolution) as scene_with:
        scene = scene_with(around)
        assert scene.spacing["B2"] > 1
        thin = subsampling.reduce(scene, numbers)
    assert_array_equal(thin.observed, whole.observed)
    for band in COARSE:
        difference = (thin.toa[band] - whole.toa[band])[thin.observed]
        assert np.sqrt(np.mean(difference**2)) < 0.003, band
        assert abs(difference.mean()) < 0.0005, band


# Too much cloud, found before decoding


def test_a_thinned_scene_is_not_corrected() -> None:
    """It has no pixels: it serves to look, not to make a product."""
    with pytest.raises(ValueError, match="a thinned scene serves"):
        correct(thinned(scenes.scene(scenes.ground(CELLS), CELLS), 2), None, V1_4)


@settings(deadline=None, max_examples=10)
@given(columns=st.integers(0, 24), rows=st.integers(0, 3), past=st.booleans())
def test_only_what_the_whole_scene_refuses_is_refused_early(columns: int, rows: int, past: bool) -> None:
    cloud = np.zeros(CELLS)
    cloud[rows:, :columns] = 1
    ground = scenes.ground(CELLS)
    scene = scenes.scene(scenes.mix(ground, scenes.CLOUD, cloud), CELLS, days=5)
    state = correct(scenes.scene(ground, CELLS), None, V1_4)[1] if past else None
    found = overcast(thinned(scene, 2), state, V1_4)
    whole, _ = correct(scene, state, V1_4)
    if found is not None:
        assert (found.status, found.mode, found.version) == (whole.status, whole.mode, whole.version)
        assert found.figures.cloud_percent == pytest.approx(whole.figures.cloud_percent, abs=3)
        assert "cloud" in found.origin["reason"]
        assert not found.cloud
        assert may_be_overcast(thinned(scene, 2), V1_4)
    elif not whole.figures.cloud_percent < 97:
        pytest.fail(f"{whole.figures.cloud_percent:.1f} % of cloud were not found early")


def test_a_date_that_is_all_cloud_is_refused_without_being_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = simulate(tmp_path / "l1c", tile="31TCJ", dates=2, size=366, truth=False, overcast=(1,))

    def decodes(*_: object) -> None:
        raise AssertionError("decoded")

    valid = produce(Request(packages[:1], "31TCJ", "V1_4", tmp_path))
    assert valid.status == "valid"
    monkeypatch.setattr(Granule, "decoded", decodes)
    for state in (None, valid.state):
        refused = produce(Request(packages[1:], "31TCJ", "V1_4", tmp_path, state))
        assert (refused.status, refused.product, refused.state) == ("not_valid", None, None)
        assert refused.figures.cloud_percent is not None
        assert refused.figures.cloud_percent > 93
        assert "% of cloud" in refused.origin["reason"]
        assert refused.mode == ("nominal" if state else "init")
    whole, _ = correct(granule(packages[1:], None).scene(_flat(packages[1])), None, V1_4)
    assert whole.status == "not_valid"
    with pytest.raises(AssertionError, match="decoded"):
        produce(Request(packages[:1], "31TCJ", "V1_4", tmp_path / "again"))


def _flat(package: Path) -> Ancillary:
    shape = granule([package], None).grid.shape(240)
    return Ancillary(np.zeros(shape, np.float32), 0.3, {})
