"""Rasters that grow by strips: the same file, in whatever order and from however many threads."""

from __future__ import annotations

import io
import json
import random
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image

from processing import deflate, product
from processing.bands import BANDS
from processing.product import raster
from processing.scene import L2A, Strips, strip
from tests import product_scenes as scenes
from tests.rasters import digests

LAYERS = [raster.Layer("Something <of> value, more", 0.0001, "g cm-2"), raster.Layer("Bits")]
PIXELS = 2196
GRID = scenes.grid(PIXELS)


def image(dtype: Any, bands: int = 1) -> NDArray[Any]:
    rng = np.random.default_rng(3)
    array = rng.integers(-300, 12000, (bands, PIXELS, PIXELS)).astype(np.int16)
    array[:, : PIXELS // 3] = -10000
    return (array if dtype == np.int16 else (array % 7).astype(np.uint8))[0 if bands == 1 else slice(None)]


@pytest.mark.parametrize(("dtype", "bands", "no_data"), [(np.int16, 1, -10000), (np.uint8, 1, None), (np.uint8, 2, 0)])
def test_strips_in_any_order_give_the_file_of_the_whole(dtype: Any, bands: int, no_data: int | None) -> None:
    array = image(dtype, bands)
    encoder = raster.Encoder(GRID, 10, dtype, LAYERS[:bands], no_data)
    strips = encoder.strips
    random.Random(1).shuffle(strips)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda rows: encoder.add(rows, array[..., rows, :]), strips))
    content = b"".join(encoder.chunks())
    assert content == bytes(raster.encoded(array, GRID, 10, LAYERS[:bands], no_data))
    with rasterio.MemoryFile(content) as memory, memory.open() as dataset:
        np.testing.assert_array_equal(dataset.read().squeeze(), array)
        assert dataset.nodata == no_data


def test_a_raster_tells_what_its_bands_are() -> None:
    array = image(np.uint8, 2)
    encoder = raster.Encoder(GRID, 10, np.uint8, LAYERS, 0)
    encoder.add_whole(array)
    twin = encoder.again([raster.Layer("One"), raster.Layer("Two")])
    for made, words in ((encoder, ("Something <of> value, more", "Bits")), (twin, ("One", "Two"))):
        with rasterio.MemoryFile(b"".join(made.chunks())) as memory, memory.open() as dataset:
            assert dataset.descriptions == words
            assert dataset.scales == ((0.0001, 1.0) if made is encoder else (1.0, 1.0))
            assert dataset.units == (("g cm-2", None) if made is encoder else (None, None))
            assert dataset.offsets == (0.0, 0.0)
            np.testing.assert_array_equal(dataset.read(), array)  # the values are as they are stored


@pytest.mark.parametrize("dtype", [np.int16, np.uint8])
def test_another_library_reads_it(dtype: Any) -> None:
    array = np.abs(image(dtype))
    with Image.open(io.BytesIO(raster.encoded(array, GRID, 10, LAYERS[:1], None))) as found:
        np.testing.assert_array_equal(np.asarray(found), array)
        found.seek(3)  # the last overview
        assert found.size == (275, 275)


def test_without_isal_the_pixels_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    array = image(np.int16)
    fast = bytes(raster.encoded(array, GRID, 10, LAYERS[:1], -10000))
    monkeypatch.setattr(deflate, "compress", lambda buffer, level: zlib.compress(buffer, 1))
    plain = bytes(raster.encoded(array, GRID, 10, LAYERS[:1], -10000))
    assert plain != fast
    for content in (fast, plain):
        with rasterio.MemoryFile(content) as memory, memory.open() as dataset:
            np.testing.assert_array_equal(dataset.read(1), array)


def test_a_strip_of_another_shape_is_refused() -> None:
    encoder = raster.Encoder(GRID, 10, np.int16, LAYERS[:1], -10000)
    with pytest.raises(ValueError, match="expected int16"):
        encoder.add(encoder.strips[0], np.zeros((1024, PIXELS - 1), np.int16))
    with pytest.raises(ValueError, match="expected int16"):
        encoder.add(encoder.strips[0], np.zeros((1024, PIXELS), np.uint8))


def by_strips(l2a: L2A) -> L2A:
    """The same with each raster made by rows."""
    changes: dict[str, Any] = {}
    for field in fields(l2a):
        rasters = getattr(l2a, field.name)
        if isinstance(rasters, dict) and rasters and all(isinstance(r, np.ndarray) for r in rasters.values()):
            heights = {key: array.shape[-2] for key, array in rasters.items()}
            changes[field.name] = Strips(heights, partial(strip, rasters))
    assert len(changes) == 9
    return replace(l2a, **changes)


@pytest.mark.parametrize("ahead", [0, 2])
def test_a_product_made_by_strips_is_that_of_whole_rasters(tmp_path: Path, ahead: int) -> None:
    scene = scenes.scene(1080)
    for seen in scene.detectors.values():  # a detector that is seen at the end only
        seen[-3:, :5] = 9
    whole = scenes.l2a(scene)
    heights = {band.name: scene.grid.shape(band.resolution)[0] for band in BANDS.values()}
    striped = replace(scene, detectors=Strips(heights, lambda band, rows: scene.detectors[band][rows]))
    one = product.write(whole, scene, tmp_path / "one", produced=scenes.PRODUCED)
    two = product.write(by_strips(whole), striped, tmp_path / "two", produced=scenes.PRODUCED, threads=3, ahead=ahead)
    assert digests(one, ".tif", ".xml", ".jpg") == digests(two, ".tif", ".xml", ".jpg")
    lists = [json.loads((folder / "manifest.json").read_text()) for folder in (one, two)]
    assert lists[0]["files"].keys() == lists[1]["files"].keys()
    assert "DTF_R1-D09" in product.read(two).files
    assert product.read(two).verify() == []
    assert json.loads((two / "manifest.json").read_text())["files"]


def test_a_strip_that_fails_leaves_nothing(tmp_path: Path) -> None:
    scene = scenes.scene(1080)
    whole = scenes.l2a(scene)

    def breaks(band: str, rows: slice) -> NDArray[np.int16]:
        if band == "B8A":
            raise ArithmeticError(f"{band} at {rows.start}")
        return whole.surface_reflectance[band][rows]

    heights = {band: array.shape[0] for band, array in whole.surface_reflectance.items()}
    broken = replace(whole, surface_reflectance=Strips(heights, breaks))
    with pytest.raises(ArithmeticError, match="B8A at 0"):
        product.write(broken, scene, tmp_path, produced=scenes.PRODUCED, threads=2)
    assert not list(tmp_path.iterdir())
