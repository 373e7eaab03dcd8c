"""Figures of a product's clear pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from processing.masks import Cloud
from processing.product import names
from processing.product.clear_sky import clear_reflectance
from tests.dashboard_archive import write_raster


def test_clear_reflectance_is_that_of_the_clear_pixels(tmp_path: Path) -> None:
    folder = tmp_path / "SENTINEL2A_20230801-105031-000_L2A_T31TCJ_D_V1-4"
    size = 366
    counts = np.full((size, size), 1200, np.int16)
    bits = np.zeros((size, size), np.uint8)
    counts[: size // 2], bits[: size // 2] = 6000, Cloud.ANY | Cloud.CLOUD
    counts[:, :40] = -10000
    place = {"west": 300000.0, "north": 4900000.0, "crs": "EPSG:32631"}
    write_raster(folder / names.file_path(folder.name, "SRE_B4"), counts, **place)
    write_raster(folder / names.file_path(folder.name, "CLM_R1"), bits, **place)
    assert clear_reflectance(folder) == {"clear_B4": 0.12}
    write_raster(folder / names.file_path(folder.name, "CLM_R1"), np.full_like(bits, Cloud.THINNEST), **place)
    assert clear_reflectance(folder) == {"clear_B4": None}
    assert clear_reflectance(tmp_path) == {}
