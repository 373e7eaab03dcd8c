"""The examples run, and give what the product and the simulated ground have."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from examples import chain_on_one_scene, product_to_xarray
from tests.test_home_of_before import FIRST, HOME


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A product of V1_4 with B4, B8 and all its masks."""
    home = tmp_path_factory.mktemp("home")
    with tarfile.open(HOME) as archive:
        archive.extractall(home, filter="data")
    return home / "archive" / "31TCJ" / "V1_4" / FIRST


def test_a_product_becomes_arrays_with_coordinates(product: Path) -> None:
    index = product_to_xarray.ndvi(product)
    assert index.dims == ("y", "x")
    assert index.attrs["crs"] == "EPSG:32631"
    assert float(index.x[0]) == 354305  # the centre of the first pixel
    assert_allclose(np.diff(index.y), -10)
    assert_allclose(np.diff(index.x), 10)


def test_ndvi_is_that_of_the_clear_land(product: Path) -> None:
    index = product_to_xarray.ndvi(product)
    clouds, red, infrared = (product_to_xarray.raster(product, key).data for key in ("CLM_R1", "SRE_B4", "SRE_B8"))
    assert np.isnan(index.data[clouds > 0]).all()
    shown = np.isfinite(index.data)
    assert 0.4 < shown.mean() < 0.6
    assert_allclose(index.data[shown], ((infrared - red) / (infrared + red))[shown], atol=1e-5)


def test_its_main_prints_each_bit(
    product: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("sys.argv", ["product_to_xarray.py", str(product)])
    product_to_xarray.main()
    assert "CLM MONO_TEMPORAL    34.4 %" in capsys.readouterr().out


def test_the_chain_runs_date_after_date(tmp_path: Path) -> None:
    first, second = chain_on_one_scene.corrected(tmp_path, size=120)
    assert (first.mode, second.mode) == ("init", "nominal")
    assert first.surface_reflectance["B4"].shape == (120, 120)
    assert 0 < float(np.median(first.surface_reflectance["B4"])) / 10000 < 0.2


def test_each_example_prints_its_figures(product: Path) -> None:
    """As a program, from another folder than the project's."""
    root = Path(__file__).parents[1]
    for script, given in ((chain_on_one_scene, []), (product_to_xarray, [product])):
        done = subprocess.run(
            [sys.executable, script.__file__, *given],
            cwd=product,
            env={**os.environ, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "%" in done.stdout
