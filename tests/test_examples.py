"""The examples run, and give what the product and the simulated ground have."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.testing import assert_allclose

from dashboard import glossary
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


def snippet(language: str) -> str:
    """The code of the help in a language."""
    text = (glossary.HELP / "reading.md").read_text(encoding="utf-8")
    return text.split(f"```{language}\n")[1].split("```")[0]


def of_the_help(product: Path) -> np.ndarray:
    """What the Python of the help gives."""
    names: dict[str, Any] = {}
    exec(compile((glossary.HELP / "read_product.py").read_text(encoding="utf-8"), "read_product.py", "exec"), names)
    found: np.ndarray = names["ndvi"](product)
    return found


def test_the_python_of_the_help_reads_a_product(product: Path) -> None:
    index = of_the_help(product)
    expected = product_to_xarray.ndvi(product).data
    shown = np.isfinite(expected)
    assert 0.4 < shown.mean() < 0.6
    assert_allclose(index[shown], expected[shown], atol=1e-5)


def test_what_gdal_computes_in_the_help_is_the_same(product: Path) -> None:
    """The expression of `gdal_calc.py` on the files that its patterns name."""
    command = next(line for line in snippet("sh").replace("\\\n", "").split("\n\n") if "gdal_calc.py" in line)
    rasters = {}
    for name, pattern in re.findall(r"-([A-Z]) (\S+)", command):
        (file,) = product.glob(pattern)
        with rasterio.open(file) as source:
            rasters[name] = source.read(1)
    (calc,) = re.findall('--calc="([^"]+)"', command)
    given = eval(calc, {"where": np.where, "float32": np.float32, **rasters})
    index = of_the_help(product)
    shown = np.isfinite(index)
    assert (given[~shown] == -9).all()
    assert_allclose(given[shown], index[shown], atol=1e-5)


def test_the_commands_of_gdal_in_the_help_run(product: Path, tmp_path: Path) -> None:
    if shutil.which("gdalinfo") is None or shutil.which("gdal_calc.py") is None:
        pytest.skip("GDAL's programs are not here")
    written = re.search(r"gdalinfo (\S+)_SRE_B4.tif", snippet("sh"))
    assert written
    text = snippet("sh").replace(written[1], product.name).replace("ndvi.tif", str(tmp_path / "ndvi.tif"))
    local = text[: text.index("# straight from the server")]
    subprocess.run(["bash", "-ec", local], cwd=product, check=True)
    with rasterio.open(tmp_path / "ndvi.tif") as source:
        made = source.read(1)
    index = of_the_help(product)
    assert_allclose(made[np.isfinite(index)], index[np.isfinite(index)], atol=1e-5)
