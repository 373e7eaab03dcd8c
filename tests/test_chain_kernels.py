"""Grids: block means, interpolation, angles, and the full-resolution correction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage

from processing.chain import adjacency, correlation, geometry, resampling, subsampling
from processing.scene import Grid
from processing.versions import parameters
from tests import scenes

V1_4 = parameters("V1_4")


@settings(deadline=None)
@given(
    counts=hnp.arrays(np.uint16, st.tuples(st.integers(1, 30), st.integers(1, 30)), elements=st.integers(0, 65535)),
    factor=st.integers(1, 12),
    height=st.integers(1, 40),
)
def test_block_sums_count_every_pixel_once(counts: np.ndarray, factor: int, height: int) -> None:
    sums = subsampling.Sums.of(counts.shape, factor)
    for first in range(0, len(counts), height):
        strip = counts[first : first + height]
        assert sums.add(first, strip) == ((strip == 0).any(), (strip == 65535).any())
    total, pixels, unobserved, saturated = sums.total, sums.pixels, sums.unobserved, sums.saturated
    assert total.sum(dtype=np.uint64) == counts.sum(dtype=np.uint64)
    assert pixels.sum() == counts.size
    assert unobserved.sum() == (counts == 0).sum()
    assert saturated.sum() == (counts == 65535).sum()
    assert total[0, 0] == counts[:factor, :factor].sum()
    assert total[-1, -1] == counts[(total.shape[0] - 1) * factor :, (total.shape[1] - 1) * factor :].sum()


def test_unobserved_and_saturated_pixels_stay_out_of_the_means() -> None:
    scene = scenes.scene(scenes.SOIL, (2, 2))
    counts = dict(scene.counts)
    red = counts["B4"].copy()
    value = int(red[0, 0])
    red[:12, :24] = 0  # half of the first cell
    red[24:46, :24] = 65535  # eleven twelfths of the cell below
    red[24:, 24:] = 65535
    counts["B4"] = red
    image = subsampling.reduce(replace(scene, counts=counts), V1_4)
    expected = (value - 1000) / 10000
    assert_allclose(image.toa["B4"][[0, 0, 1], [0, 1, 0]], expected, rtol=1e-6)
    assert image.toa["B4"][1, 1] == pytest.approx(6.4535)
    assert_array_equal(image.saturated["B4"], [[False, False], [True, True]])
    assert image.observed.all()
    assert_array_equal(image.saturation["B4"].raster(), red == 65535)
    assert_array_equal(image.edge["R1"].raster(), red == 0)
    assert set(image.saturation) == {"B4"}


def test_a_cell_hardly_observed_is_not_observed() -> None:
    scene = scenes.scene(scenes.SOIL, (1, 2))
    counts = dict(scene.counts)
    counts["B12"] = counts["B12"].copy()
    counts["B12"][:11, :12] = 0
    assert_array_equal(subsampling.reduce(replace(scene, counts=counts), V1_4).observed, [[False, True]])


@given(pixels=st.integers(1, 60), factor=st.integers(1, 24), first=st.integers(0, 30))
def test_axis_is_linear_between_centres_and_clamped(pixels: int, factor: int, first: int) -> None:
    cells = -(-(first + pixels) // factor)
    axis = resampling.axis(pixels, cells, factor, first)
    centres = (np.arange(cells) + 0.5) * factor
    found = (1 - axis.weight) * centres[axis.low] + axis.weight * centres[axis.high]
    expected = np.clip(np.arange(first, first + pixels) + 0.5, centres[0], centres[-1])
    assert_allclose(found, expected, rtol=1e-5)


@settings(deadline=None, max_examples=30)
@given(
    code=hnp.arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6))),
    factor=st.sampled_from([1, 3, 12, 24]),
    threshold=st.sampled_from([0.25, 0.5, 1.0]),
)
def test_each_bit_is_interpolated_on_its_own(code: np.ndarray, factor: int, threshold: float) -> None:
    shape = (code.shape[0] * factor, code.shape[1] * factor - factor // 2)
    found = resampling.expand_bits(code, shape, factor, threshold)
    rows, cols = (np.clip((np.arange(n) + 0.5) / factor - 0.5, 0, None) for n in shape)
    at = np.meshgrid(rows, cols, indexing="ij")
    for bit in range(8):
        mask = (code >> bit & 1).astype(float)
        value = ndimage.map_coordinates(mask, at, order=1, mode="nearest")
        sure = np.abs(value - threshold) > 1e-5
        assert_array_equal((found >> bit & 1)[sure] == 1, (value >= threshold)[sure])
    whole = code[: shape[0], : shape[1]] if factor == 1 else None
    if whole is not None:
        assert_array_equal(found, whole)


def test_a_scaled_quantity_is_rounded_and_never_no_data() -> None:
    values = np.array([[0.0, 1.0], [30.0, 2.02]], np.float32)
    out = np.empty((2, 2), np.uint8)
    resampling.expand_scaled(values, 1, 20, out)
    assert_array_equal(out, [[1, 20], [255, 40]])


@settings(deadline=None, max_examples=30)
@given(
    values=hnp.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 4)), elements=st.floats(0, 13, width=32)),
    factor=st.sampled_from([1, 2, 3, 12, 24]),
    first=st.sampled_from([0, 5]),
)
def test_a_scaled_quantity_is_linear_between_cells(values: np.ndarray, factor: int, first: int) -> None:
    shape = (max(values.shape[0] * factor - first, 1), values.shape[1] * factor)
    layers = np.empty((*shape, 2), np.uint8)  # pixel by pixel, as a raster of two bands is stored
    resampling.expand_scaled(values, factor, 20, layers[..., 1], first)
    rows, cols = (np.arange(s, s + n) + 0.5 for s, n in zip((first, 0), shape, strict=True))
    at = np.meshgrid(rows / factor - 0.5, cols / factor - 0.5, indexing="ij")
    expected = ndimage.map_coordinates(values.astype(float) * 20, at, order=1, mode="nearest")
    assert np.abs(layers[..., 1] - np.clip(expected, 1, 255)).max() <= 0.5 + 1e-3


def random_line(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.uniform(1e-4, 2e-4, shape), rng.uniform(-0.2, -0.1, shape)]).astype(np.float32)


@pytest.mark.parametrize("factor", [12, 24])
def test_full_resolution_correction_is_the_formula_under_interpolated_coefficients(factor: int) -> None:
    counts = np.random.default_rng(1).integers(1, 12000, (70, 100)).astype(np.uint16)
    line = random_line((-(-70 // factor), -(-100 // factor)))
    found = adjacency.surface_reflectance(counts, line, factor, V1_4)
    at = np.meshgrid(*((np.arange(n) + 0.5) / factor - 0.5 for n in counts.shape), indexing="ij")
    gain, offset = (ndimage.map_coordinates(f.astype(float), at, order=1, mode="nearest") for f in line)
    assert_allclose(found, (counts * gain + offset) * 10000, atol=0.52)


def test_strips_are_parts_of_the_whole() -> None:
    counts = np.random.default_rng(2).integers(0, 12000, (70, 50)).astype(np.uint16)
    line = random_line((3, 3))
    whole = adjacency.surface_reflectance(counts, line, 24, V1_4)
    for first in (0, 13, 37, 69):
        strip = adjacency.surface_reflectance(counts[first:], line, 24, V1_4, first)
        assert_array_equal(strip, whole[first:])
    assert_array_equal(whole == -10000, counts == 0)


def test_nothing_uncorrected_leaves_and_no_data_is_no_value() -> None:
    counts = np.full((72, 72), 5000, np.uint16)
    counts[60, 60], counts[61, 61] = 65535, 1
    line = random_line((3, 3))
    line[1, 0, 0] = np.nan
    found = adjacency.surface_reflectance(counts, line, 24, V1_4)
    assert (found[:36, :36] == -10000).all()
    assert (found[36:] != -10000).all()
    assert found[60, 60] == 32767
    line[1] = -5
    assert (adjacency.surface_reflectance(counts[:1], line, 24, V1_4) == -9999).all()


def test_kernels_equal_their_python_source() -> None:
    rng = np.random.default_rng(3)
    counts = rng.integers(0, 12000, (10, 14)).astype(np.uint16)
    rows, cols = resampling.axis(10, 3, 4), resampling.axis(14, 3, 6)
    coding = adjacency.Coding(np.float32(10000), np.float32(-10000), np.uint16(0))
    fields = resampling.Coarse(random_line((3, 3)), rows, cols)
    arguments = (counts, fields, coding, np.empty((4, 14), np.float32))
    compiled, plain = np.empty((2, 10, 14), np.int16)
    adjacency._correct(*arguments, compiled)
    adjacency._correct.py_func(*arguments, plain)
    assert np.abs(compiled.astype(int) - plain).max() <= 1

    sums = np.zeros((2, 3, 4, 4), np.uint32)
    subsampling._block_sums(counts, 5, 4, *sums[0])
    subsampling._block_sums.py_func(counts, 5, 4, *sums[1])
    assert_array_equal(sums[0], sums[1])

    code = rng.integers(0, 256, (3, 3)).astype(np.uint8)
    bits = np.empty((2, 10, 14), np.uint8)
    reached = np.empty((16, 6), np.uint8)
    resampling._expand_bits(code, rows, cols, np.float32(0.25), reached, bits[0])
    resampling._expand_bits.py_func(code, rows, cols, np.float32(0.25), reached, bits[1])
    assert_array_equal(bits[0], bits[1])

    image, past = rng.normal(size=(9, 9)), rng.normal(size=(9, 9))
    image[2, 3] = np.nan
    found = correlation._coefficient(image, past, 3, 3, 3, 15)
    assert found == pytest.approx(correlation._coefficient.py_func(image, past, 3, 3, 3, 15))
    both = ~np.isnan(image[:7, :7])
    assert found == pytest.approx(np.corrcoef(image[:7, :7][both], past[:7, :7][both])[0, 1])


def test_glint_and_hot_spot_lie_where_the_sun_says() -> None:
    def distances(sun: tuple[float, float], view: tuple[float, float]) -> tuple[float, float]:
        glint, hot_spot = geometry.angular_distances(*(np.array([v]) for v in (*sun, *view)))
        return float(glint[0]), float(hot_spot[0])

    glint, hot_spot = distances((30, 140), (30, 320))  # mirror direction: the satellite opposite the sun
    assert glint == pytest.approx(0, abs=1e-4)
    assert hot_spot == pytest.approx(60)
    glint, hot_spot = distances((30, 140), (30, 140))  # the satellite beside the sun
    assert glint == pytest.approx(60)
    assert hot_spot == pytest.approx(0, abs=1e-4)
    assert distances((40, 10), (0, 77)) == pytest.approx((40, 40))

    scene = scenes.scene(scenes.WATER, (2, 2))
    opposite = replace(scene, angles=scenes.angles(scene.grid, (32.0, 100.0), {1: (10.0, 280.0)}))
    found = geometry.interpolate(opposite, V1_4)
    assert found.sun_glint.all()
    assert not found.hot_spot.any()
    beside = replace(scene, angles=scenes.angles(scene.grid, (12.0, 100.0), {1: (10.0, 100.0)}))
    assert geometry.interpolate(beside, V1_4).hot_spot.all()


def test_angles_follow_each_detector_to_its_edge() -> None:
    """Directions that change linearly over the ground come back, also between nodes that the detector does not see."""
    scene = scenes.scene(scenes.SOIL, (60, 60))
    grid = scene.grid
    shape = (5, 5)
    row, col = np.indices(shape)
    east, north = {}, {}
    for detector, sign in ((1, 1), (2, -1)):
        east[detector] = sign * (0.05 + 0.01 * col + 0.004 * row)
        north[detector] = 0.02 + 0.003 * row
    zenith = {d: np.degrees(np.arctan(np.hypot(east[d], north[d]))).astype(np.float32) for d in east}
    azimuth = {d: (np.degrees(np.arctan2(east[d], north[d])) % 360).astype(np.float32) for d in east}
    for d, unseen in ((1, col > 1), (2, col < 2)):
        zenith[d][unseen] = azimuth[d][unseen] = np.nan
    detectors = {}
    for band, old in scene.detectors.items():
        detectors[band] = np.ones_like(old)
        detectors[band][:, old.shape[1] // 2 :] = 2
        detectors[band][:, : old.shape[1] // 60] = 0  # not known in the first column of cells
    angles = replace(
        scene.angles,
        view_zenith=dict.fromkeys(detectors, zenith),
        view_azimuth=dict.fromkeys(detectors, azimuth),
        sun_azimuth=np.where(col % 2, 359.0, 1.0).astype(np.float32),
        sun_zenith=np.full(shape, 35, np.float32),
    )
    found = geometry.interpolate(replace(scene, angles=angles, detectors=detectors), V1_4)
    y, x = np.meshgrid((np.arange(60) + 0.5) * 240 / 5000, (np.arange(60) + 0.5) * 240 / 5000, indexing="ij")
    side = np.where(np.arange(60) < 30, 1, -1)
    e, n = side * (0.05 + 0.01 * x + 0.004 * y), 0.02 + 0.003 * y
    assert_allclose(found.view_zenith["B3"], np.degrees(np.arctan(np.hypot(e, n))), atol=2e-4)
    assert_allclose(found.view_azimuth["B3"], np.degrees(np.arctan2(e, n)) % 360, atol=1e-3)
    assert found.mean_view == frozenset()
    north_of = (found.sun_azimuth + 180) % 360
    assert ((north_of > 178.9) & (north_of < 181.1)).all()  # never by the south
    assert grid.shape(240) == found.sun_zenith.shape


def test_mean_view_stands_in_and_is_told() -> None:
    scene = scenes.scene(scenes.SOIL, (2, 2), view=(7.0, 280.0))
    blind = {band: np.zeros_like(d) for band, d in scene.detectors.items()}
    found = geometry.interpolate(replace(scene, detectors=blind), V1_4)
    assert "B4" in found.mean_view
    assert_allclose(found.view_zenith["B4"], 7.0, rtol=1e-5)
    assert_allclose(found.view_azimuth["B4"], 280.0, rtol=1e-5)
    assert_allclose(found.relative_azimuth("B4"), 150 - 280, rtol=1e-5)


def test_coarse_cells_may_stand_out() -> None:
    grid = Grid("EPSG:32631", 300000.0, 4900020.0, 109800, 109800)
    east, north = subsampling.centres(grid, 240)
    assert (east.size, north.size) == (458, 458)
    assert (east[0], north[0]) == (300120.0, 4899900.0)
