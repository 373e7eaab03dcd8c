"""The field's own readers, unmodified, on products with a terrain model and without one: they find what rasterio reads.

Each is skipped where it is not installed.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from processing import product
from processing.masks import Cloud, Geophysical
from processing.product import names
from tests import product_scenes as scenes

pytestmark = [
    pytest.mark.slow,
    # what other people's programs do with numpy and xarray is theirs
    *(pytest.mark.filterwarnings(f"ignore::{kind}") for kind in
      ("DeprecationWarning", "FutureWarning", "UserWarning", "RuntimeWarning", "PendingDeprecationWarning")),
]  # fmt: skip
SCENE = scenes.scene()
STEEP = scenes.l2a(SCENE)
GROUNDS = {"with terrain model": STEEP, "flat": replace(STEEP, flat_reflectance=STEEP.surface_reflectance)}


@pytest.fixture(scope="module", params=GROUNDS)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    return product.write(GROUNDS[request.param], SCENE, folder, produced=scenes.PRODUCED)


def reader(name: str) -> Any:
    """Somebody's program, where it is installed."""
    try:
        return importlib.import_module(name)
    except ImportError as fault:
        pytest.skip(f"{name} not here ({fault}): pip install {name} in an environment of its own")


def own(folder: Path, key: str) -> NDArray[Any]:
    """What rasterio reads."""
    with rasterio.open(folder / names.file_path(folder.name, key)) as raster:
        found: NDArray[Any] = raster.read(1)
        return found


def test_eoreader(written: Path) -> None:
    """It takes the flat reflectance, cuts it at 0, and leaves out what the masks of edges and saturation mark."""
    bands, opened = reader("eoreader.bands"), reader("eoreader.reader")
    found = opened.Reader().open(str(written))
    assert found.datetime.date() == scenes.SENSING.date()
    for band, key, size in ((bands.RED, "FRE_B4", 10), (bands.SWIR_1, "FRE_B11", 20)):
        theirs, counts = np.asarray(found.load([band], pixel_size=size)[band])[0], own(written, key)
        seen = np.isfinite(theirs)
        assert seen.mean() > 0.9 * (counts > -10000).mean()
        assert (counts[seen] > -10000).all()
        np.testing.assert_allclose(theirs[seen], np.clip(counts[seen], 0, None) / 10000, atol=1e-6)


def test_rio_cogeo(written: Path) -> None:
    """Each raster is a Cloud-Optimised GeoTIFF to the program that says what one is, with the grid that it has."""
    module = reader("rio_cogeo.cogeo")
    rasters = sorted(written.rglob("*.tif"))
    assert len(rasters) > 30
    for path in rasters:
        valid, errors, warnings = module.cog_validate(path, quiet=True)
        assert (valid, errors, warnings) == (True, [], []), path.name
        told = module.cog_info(path)
        with rasterio.open(path) as raster:
            assert (told.Profile.Width, told.Profile.Height) == (raster.width, raster.height)
            assert told.Profile.Dtype == raster.dtypes[0]
            assert told.Profile.Nodata == raster.nodata
            assert tuple(told.GEO.BoundingBox) == tuple(raster.bounds)


def test_sensorsio(written: Path) -> None:
    module = reader("sensorsio.sentinel2")
    kind = module.Sentinel2
    found = kind(str(written))
    assert (found.tile, found.date) == ("31UER", scenes.SENSING.date())
    for band, key in ((kind.B4, "FRE_B4"), (kind.B8, "FRE_B8")):
        theirs, counts = found.read_as_numpy([band], band_type=kind.FRE, masks=None)[0][0], own(written, key)
        seen = counts > -10000
        np.testing.assert_allclose(theirs[seen] * 10000, counts[seen], atol=0.01)


def test_majamask(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It joins the names of folder and files, and makes one raster of classes out of CLM and MG2."""
    reader("osgeo.gdal")
    module = reader("majamask.rastermask")
    monkeypatch.setattr(sys, "argv", ["majamask", "-product", str(written)])
    module.main()
    for group in ("R1", "R2"):
        cloud, ground = own(written, f"CLM_{group}"), own(written, f"MG2_{group}")
        expected = np.zeros(cloud.shape, np.uint8)
        low = Geophysical.SUN_TOO_LOW | Geophysical.TANGENT_SUN
        for bit, number in (
            *((low, 8), (Geophysical.HIDDEN, 7), (Geophysical.TOPOGRAPHIC_SHADOW, 6), (Geophysical.WATER, 5)),
            *((Geophysical.SNOW, 4), (Geophysical.CLOUD_SHADOW, 3)),
        ):
            expected[(ground & bit) != 0] = number
        expected[(cloud & Cloud.CLOUD) != 0] = 2
        expected[(cloud & Cloud.HIGH) != 0] = 1
        with rasterio.open(written / "MASKS" / f"rastermask_{group}.tif") as raster:
            np.testing.assert_array_equal(raster.read(1), expected)
