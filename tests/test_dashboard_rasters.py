"""What is kept of rasters: no more than allowed, closed when it goes, forgotten when it can't be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dashboard import rasters
from dashboard.tiles.planes import Planes
from processing.errors import ProductError
from tests.dashboard_archive import write_raster

PLACE = {"west": 300000.0, "north": 4900020.0, "crs": "EPSG:32631"}


def test_the_raster_used_longest_ago_is_closed(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.tif" for number in range(rasters.MOST_OPEN + 1)]
    for path in paths:
        write_raster(path, np.zeros((4, 4), np.uint8), **PLACE)
    first, second, *_ = [rasters.opened(path) for path in paths[:-1]]
    assert rasters.opened(paths[0]) is first
    rasters.opened(paths[-1])
    assert second.closed
    assert not first.closed


def test_a_raster_that_fails_is_named_closed_and_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_raster(path, np.zeros((4, 4), np.uint8), **PLACE)
    raster = rasters.opened(path)
    with pytest.raises(ProductError, match=r"a\.tif"), rasters.reading(path):
        raise OSError("cut short")
    assert raster.closed
    assert rasters.opened(path) is not raster


def test_planes_stay_within_their_bytes_and_are_not_written_to() -> None:
    planes = Planes(300)
    for key in "abac":
        if planes.get((key,)) is None:
            planes.put((key,), np.zeros(100, np.uint8))
    planes.put(("d",), np.zeros(100, np.uint8))
    assert [key for key in "abcd" if planes.get((key,)) is not None] == ["a", "c", "d"]
    planes.put(("e",), np.zeros(301, np.uint8))
    assert planes.get(("e",)) is None
    kept = planes.get(("d",))
    assert kept is not None
    with pytest.raises(ValueError, match="read-only"):
        kept[0] = 1
