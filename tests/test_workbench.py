"""The workbench's plots: what they count and what their images show."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import holoviews as hv
import numpy as np
import pandas as pd
import pytest
import rasterio

from dashboard.pages import workbench
from processing.errors import ProductError
from processing.masks import Cloud

SINCE = datetime(2026, 11, 1, tzinfo=UTC)


def test_every_day_has_its_place_and_a_state_that_is_shown_as_another_counts_with_it() -> None:
    hours = pd.to_datetime(["2026-11-03T00:00Z", "2026-11-03T00:00Z", "2026-11-20T00:00Z"])
    ended = pd.DataFrame({"hour": hours, "outcome": ["published", "failed", "published"], "dates": [4, 1, 2]})
    drawn = workbench.rate(ended, SINCE).dframe()
    assert len(drawn) == 2 * (workbench.DAYS + 1)
    by_day = drawn.groupby("day")["dates"].sum()
    assert by_day["11-03"] == 5
    assert by_day["11-20"] == 2
    assert by_day.sum() == 7
    waiting = pd.DataFrame({"version": ["V1_4"] * 2, "state": ["ready", "retry"], "dates": [2, 3], "site": ["a"] * 2})
    assert workbench.progress(waiting).dframe()["dates"].tolist() == [5]


def test_a_change_of_state_is_told_to_the_map_and_another_tile_makes_a_new_one() -> None:
    sensing = pd.to_datetime(["2026-11-03T00:00Z", None])
    known = {"tile": ["31TCJ", "33TWM"], "site": ["a", None], "sensing": sensing, "state": ["ready", "none"]}
    coverage = pd.DataFrame(known | {"version": "V1_4", "products": [2, 0], "dates": [3, 0], "simulated": False})
    drawn = workbench.coverage_map(coverage)
    shown = drawn.select_one({"name": workbench.TILES}).data_source
    rings = shown.data["x"]
    assert shown.data["tile"] == ["31TCJ", "33TWM"]
    published = coverage.assign(state=["published", "none"], products=[3, 0])
    assert workbench.recolour(drawn, published)
    assert shown.data["x"] is rings
    assert shown.data["colour"][0] == workbench.theme.colour("published")
    assert shown.data["products"] == ["3", "0"]
    assert not workbench.recolour(drawn, published.iloc[:1])


def _raster(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    profile = {"driver": "GTiff", "height": 4, "width": 4, "count": 1, "dtype": values.dtype, "crs": "EPSG:32631"}
    with rasterio.open(path, "w", transform=rasterio.transform.from_origin(5e5, 5e6, 10, 10), **profile) as file:
        file.write(values, 1)


hv.extension("bokeh")


def test_images_show_the_reflectance_and_what_the_masks_call_cloud(tmp_path: Path) -> None:
    counts = np.full((4, 4), 1250, np.int16)
    counts[0] = -10000
    for band in ("B2", "B3", "B4"):
        _raster(tmp_path / f"X_FRE_{band}.tif", counts)
    with pytest.raises(ProductError, match="CLM_R2"):
        workbench.quicklooks(tmp_path)
    masks = np.zeros((4, 4), np.uint8)
    masks[3] = Cloud.SHADOW
    masks[2] = Cloud.CLOUD | Cloud.ANY
    masks[1, 0] = Cloud.ANY  # a summary, drawn by what it sums up
    _raster(tmp_path / "MASKS" / "X_CLM_R2.tif", masks)
    alone, masked = workbench.quicklooks(tmp_path)
    image = alone.callback.inputs[0][()]
    assert image.dimension_values("A", flat=False)[-1].tolist() == [0] * 4
    assert image.dimension_values("R", flat=False)[0].tolist() == [127] * 4
    over = masked[()].get(1)
    assert (np.unique(over.dimension_values("A")) == [0, workbench.OPACITY]).all()
