"""Accuracy, precision, uncertainty by hand; noise in time; rasters of other grids; the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.testing import assert_allclose
from rasterio.transform import Affine
from typer.testing import CliRunner

from benchmarks import real_images
from processing import product
from processing.errors import InputError, ProductError
from processing.validation import reflectance
from processing.validation.cli import validate
from tests import validation_products as made
from tests.shared import SHARED

RHO = st.floats(0, 1.2)


def test_figures_by_hand() -> None:
    found = reflectance.figures(np.array([0.112, 0.188, np.nan]), np.array([0.1, 0.2, 0.3]))
    assert found["pixels"] == 2
    assert found["accuracy"] == pytest.approx(0)
    assert found["precision"] == pytest.approx(np.sqrt(2) * 0.012)
    assert found["uncertainty"] == pytest.approx(0.012)
    assert found["specification"] == pytest.approx(0.0125)
    assert found["share_inside"] == 0.5
    assert reflectance.figures(np.array([0.116]), np.array([0.1]))["share_inside"] == 0
    assert reflectance.figures(np.array([0.109]), np.array([0.1]))["share_inside"] == 1


@settings(deadline=None)
@given(arrays.arrays(float, (9,), elements=RHO), arrays.arrays(float, (9,), elements=RHO), st.floats(-0.1, 0.1))
def test_uncertainty_is_accuracy_and_precision(a: np.ndarray, b: np.ndarray, shift: float) -> None:
    found: dict[str, Any] = reflectance.figures(a, b)
    n = found["pixels"]
    assert found["uncertainty"] ** 2 == pytest.approx(
        found["accuracy"] ** 2 + found["precision"] ** 2 * (n - 1) / n, abs=1e-12
    )
    moved = reflectance.figures(a + shift, b)
    assert moved["accuracy"] == pytest.approx(found["accuracy"] + shift, abs=1e-12)
    assert moved["precision"] == pytest.approx(found["precision"], abs=1e-9)
    assert reflectance.figures(b, b)["share_inside"] == 1


@settings(deadline=None)
@given(arrays.arrays(float, (30,), elements=RHO))
def test_each_pixel_is_in_one_bin(b: np.ndarray) -> None:
    table: dict[str, dict[str, Any]] = reflectance.figures_by_bin(b + 0.01, b)
    assert sum(row["pixels"] for name, row in table.items() if name != "all") == table["all"]["pixels"] == 30


def test_without_pixels_there_are_no_figures() -> None:
    found = reflectance.figures(np.array([np.nan]), np.array([0.1]))
    assert found.pop("pixels") == 0
    assert set(found.values()) == {None}


# Time


def test_noise_by_hand() -> None:
    series = np.array([[0.10, 0.1, np.nan], [0.13, np.nan, 0.1], [np.nan, 0.2, 0.1], [0.16, 0.3, np.nan]])
    found, pixel = reflectance.noise(series, np.array([0, 10, 15, 30]))
    # first: at day 10 the line from 0.10 to 0.16 is at 0.12; second: at day 15 at 0.2; third: two dates only
    assert_allclose(found, [0.01, 0.0], atol=1e-12)
    assert pixel.tolist() == [0, 1]


@settings(deadline=None)
@given(
    arrays.arrays(float, (6, 3), elements=st.floats(0, 0.5)),
    st.floats(-0.01, 0.01),
    st.floats(-1, 1),
    st.floats(0.5, 9),
)
def test_noise_does_not_see_a_trend_nor_the_unit_of_time(
    series: np.ndarray, slope: float, offset: float, unit: float
) -> None:
    days = np.array([0.0, 5, 10, 12, 30, 35])
    found, _ = reflectance.noise(series, days)
    tilted, _ = reflectance.noise(series + slope * days[:, None] + offset, days * unit)
    assert_allclose(tilted, found, atol=1e-9)


def test_days_that_don_t_grow_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="days"):
        reflectance.noise(np.zeros((3, 1)), np.array([0, 5, 5]))


def test_a_series_is_of_one_version(tmp_path: Path) -> None:
    held = [product.read(made.write(tmp_path, version=v)) for v in ("V1_3", "V1_4")]
    with pytest.raises(ProductError, match="no date of the series"):
        reflectance.series_noise(held, 200)


# Rasters


def test_a_coarser_reference_is_met_by_means_of_wholly_clear_cells(tmp_path: Path) -> None:
    cloud = np.zeros(made.GRID.shape(20), np.uint8)
    cloud[0, 0] = 3
    held = product.read(made.write(tmp_path, reflectance=1000, cloud=cloud))
    truth = np.full(made.GRID.shape(120), 900, np.int16)
    truth[-1] = -10000
    path = made.raster(tmp_path / "ref.tif", truth, resolution=120, nodata=-10000, descriptions=("B04",))
    ((band, found, known),) = reflectance.pairs(held, reflectance.reference(path))
    assert band == "B4"
    assert np.isnan(found[0, 0])
    assert np.isfinite(found).sum() == found.size - 1
    both = np.isfinite(found) & np.isfinite(known)
    assert both.sum() == found.size - 1 - found.shape[1]
    assert_allclose(found[both] - known[both], 0.01, atol=1e-6)


def test_a_finer_reference_is_averaged(tmp_path: Path) -> None:
    held = product.read(made.write(tmp_path, reflectance=1000))
    fine = np.indices(made.GRID.shape(10)).sum(axis=0) % 2 * np.float32(0.2)
    path = made.raster(tmp_path / "ref.tif", fine.astype(np.float32), resolution=10)
    ((_, found, known),) = reflectance.pairs(held, reflectance.reference(path, ["B8A"]))
    assert found.shape == made.GRID.shape(20)
    assert_allclose(known, 0.1, atol=1e-6)


def test_rough_cells_of_the_reference_can_be_left_out(tmp_path: Path) -> None:
    held = product.read(made.write(tmp_path, reflectance=1000))
    truth = np.full(made.GRID.shape(120), 0.1, np.float32)
    truth[5, 5] = 0.5
    path = made.raster(tmp_path / "ref.tif", truth, resolution=120)
    ((_, _, known),) = reflectance.pairs(held, reflectance.reference(path, ["B4"]), roughness=0.01)
    left_out = np.isnan(known)
    assert left_out[[5, 4, 6, 5, 5], [5, 5, 5, 4, 6]].all()
    # and the edge, where neighbours are missing
    assert left_out.sum() == 5 + known.size - (known.shape[0] - 2) * (known.shape[1] - 2)


@pytest.mark.parametrize("fault", ["bands", "number", "projection", "place", "text"])
def test_references_that_can_t_be_used_are_refused_by_name(tmp_path: Path, fault: str) -> None:
    held = product.read(made.write(tmp_path))
    path = tmp_path / "ref.tif"
    names = ["B4", "B8"] if fault == "number" else ["B10"] if fault == "bands" else ["B4"]
    if fault == "text":
        path.write_text("no raster")
    else:
        other = {"projection": {"crs": None}, "place": {"transform": Affine(20, 0, 0, 0, -20, 0)}}
        made.raster(path, np.ones(made.GRID.shape(20), np.float32), **other.get(fault, {}))
    with pytest.raises(InputError, match=r"^ref.tif: "):
        list(reflectance.pairs(held, reflectance.reference(path, names)))


# The command


def run(*words: str) -> Any:
    return CliRunner().invoke(validate, ["reflectance", *words])


def test_the_command(tmp_path: Path) -> None:
    path = made.write(tmp_path / "a", reflectance=1000)
    truth = np.full((2, *made.GRID.shape(60)), 0.09, np.float32)
    truth[1, 0, 0] = 6.55
    made.raster(tmp_path / "20190516.tif", truth, resolution=60)
    answer = run(
        *(str(path), "--reference", str(tmp_path / "20190516.tif"), "--bands", "B4,B8A", "--name", "truth"),
        *("--out", str(tmp_path / "o"), "--json"),
    )
    assert answer.exit_code == 0, answer.output
    assert "1 pixels of B8A are no reflectance" in answer.stderr
    rows = json.loads(answer.stdout)
    assert {(r["subject"], r["image"]) for r in rows} == {(b, i) for b in ("B4", "B8A") for i in (made.IMAGE, None)}
    for row in rows:
        assert row["metrics"]["accuracy"] == pytest.approx(0.01, abs=1e-6)
        assert row["metrics"]["share_inside"] == 0
        assert row["metrics"]["bins"]["0.05-0.1"]["pixels"] == row["metrics"]["pixels"]
    assert (tmp_path / "o" / "reflectance_V1_4.png").exists()


def test_too_few_dates_make_no_noise(tmp_path: Path) -> None:
    answer = run(str(made.write(tmp_path / "a")), "--out", str(tmp_path / "o"))
    assert answer.exit_code == 1
    assert "1 dates: no triplet" in answer.stderr


def test_icor_finds_the_same_under_the_aerosol_it_used() -> None:
    folder = SHARED / "data" / "icor_atmospheric_correction"
    if not folder.exists():
        pytest.skip(f"{folder} not here")
    for difference in real_images.icor(folder).values():
        assert np.mean(np.abs(difference) <= 0.01) >= 0.95
