"""Layers that a reader may style: bands, NDVI, differences, patterns, and the Web Mercator lattice."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyproj import Transformer

from dashboard import theme, tiles
from dashboard.rasters import NO_DATA
from dashboard.tiles import Pattern, Style
from dashboard.tiles.colour import table_of
from processing.product import names
from tests.dashboard_archive import write_raster

BEFORE, AFTER = (f"SENTINEL2A_20230801-105031-000_L2A_T31TCJ_D_{version}" for version in ("V1-3", "V1-4"))
PLACE = {"west": 300000.0, "north": 4900020.0, "crs": "EPSG:32631"}
SIZE = 700


def product(root: Path, name: str, **rasters: np.ndarray) -> Path:
    for key, array in rasters.items():
        resolution = PLACE | {"resolution": 10 * SIZE / array.shape[-1]}
        write_raster(root / name / names.file_path(name, key), array, **resolution)
    return root / name


def counts(value: float, size: int = SIZE) -> np.ndarray:
    return np.full((size, size), round(value * 10000), np.int16)


def drawn(*arguments: object) -> np.ndarray:
    image = tiles.tile(*arguments)  # type: ignore[arg-type]
    assert image is not None
    return np.asarray(Image.open(io.BytesIO(image)).convert("RGBA"))


def test_bands_of_both_resolutions_in_the_readers_scale(tmp_path: Path) -> None:
    folder = product(tmp_path, AFTER, SRE_B11=counts(0.2, SIZE // 2), SRE_B8=counts(0.3), FRE_B4=counts(0.1))
    style = Style(bands=("SRE_B11", "SRE_B8", "FRE_B4"), scale=(0, 0.4, 0.1, 0.5, 0, 0.1))
    image = drawn(folder, "rgb", tiles.NATIVE, 0, 0, style)
    assert set(map(tuple, image.reshape(-1, 4))) == {(127, 127, 255, 255)}
    grey = drawn(folder, "band", tiles.NATIVE, 0, 0, Style(bands=("SRE_B11",), scale=(0.1, 0.3)))
    assert set(map(tuple, grey.reshape(-1, 4))) == {(127, 127, 127, 255)}


def test_ndvi_is_that_of_its_bands(tmp_path: Path) -> None:
    red, infrared = counts(0.1), counts(0.3)
    red[:100] = NO_DATA
    folder = product(tmp_path, AFTER, SRE_B4=red, SRE_B8=infrared)
    image = drawn(folder, "ndvi", tiles.NATIVE, 0, 0, Style(scale=(-0.5, 1.5)))
    assert not image[:100, :, 3].any()
    middle = table_of(theme.NDVI_RAMP, np.array([127 / 255]))[0]
    np.testing.assert_allclose(image[200, 200], middle, atol=1)


def test_difference_has_the_sign_of_second_minus_first(tmp_path: Path) -> None:
    after = counts(0.1)
    after[:, 100:200], after[:, 200:300] = 1300, 700
    after[:, 300:] = NO_DATA
    first = product(tmp_path, BEFORE, SRE_B4=counts(0.1))
    second = product(tmp_path, AFTER, SRE_B4=after)
    image = drawn(first, "difference", tiles.NATIVE, 0, 0, Style(scale=(-0.03, 0.03)), second)[0]
    same, more, less = (theme.rgb(theme.DIVERGING[place]) for place in (2, 4, 0))
    assert (tuple(image[50][:3]), tuple(image[150][:3]), tuple(image[250][:3])) == (same, more, less)
    assert image[400, 3] == 0


def test_masks_agree_or_not(tmp_path: Path) -> None:
    left, right = np.zeros((2, SIZE, SIZE), np.uint8)
    left[:, :200], right[:, 100:300], right[:, 400:] = 2, 2, 32
    first, second = product(tmp_path, BEFORE, CLM_R1=left), product(tmp_path, AFTER, CLM_R1=right)
    row = drawn(first, "agreement", tiles.NATIVE, 0, 0, Style(bits=2), second)[0]
    found = [tuple(row[col][:3]) for col in (50, 150, 250)]
    assert found == [theme.rgb(theme.AGREEMENT[name]) for name in ("first", "both", "second")]
    assert not row[300:, 3].any()


def test_outline_is_the_border_of_the_mask_and_hatch_a_part(tmp_path: Path) -> None:
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[100:150, 200:300] = 2
    folder = product(tmp_path, AFTER, CLM_R1=mask)
    full = drawn(folder, "CLM", tiles.NATIVE, 0, 0)[..., 3] > 0
    line = drawn(folder, "CLM", tiles.NATIVE, 0, 0, Style(pattern=Pattern.OUTLINE))[..., 3] > 0
    inside = np.zeros_like(full)
    inside[101:149, 201:299] = True
    np.testing.assert_array_equal(line, full & ~inside)
    hatch = drawn(folder, "CLM", tiles.NATIVE, 0, 0, Style(pattern=Pattern.HATCH))[..., 3] > 0
    assert not (hatch & ~full).any()
    assert 0.3 < hatch.sum() / full.sum() < 0.45


@pytest.mark.parametrize(
    ("name", "style"),
    [
        ("nothing", Style()),
        ("band", Style(bands=("SRE_B1",))),
        ("band", Style(bands=("../../x",))),
        ("band", Style(bands=("SRE_B2", "SRE_B3"))),
        ("natural", Style(bands=("SRE_B2", "SRE_B3", "SRE_B4"))),
        ("agreement", Style(bands=("SRE_B2",))),
    ],
)
def test_what_is_not_offered_is_refused(name: str, style: Style) -> None:
    with pytest.raises(LookupError):
        tiles.endings(name, style)


@pytest.mark.parametrize("scale", [(0.3,), (0.3, 0.1), (0, float("nan")), (0, 1, 0, 1)])
def test_scale_that_does_not_fit_is_refused(scale: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="scale"):
        tiles.endings("rgb", Style(scale=scale))


@pytest.mark.parametrize("z", [9, 11, 13, 15])
def test_web_mercator_tile_lies_where_the_ground_is(tmp_path: Path, z: int) -> None:
    """A bright square of 1 km: its middle is bright in the tile that holds it, at the pixel of the projection."""
    bright = counts(0.02)
    bright[300:400, 300:400] = 2500
    folder = product(tmp_path, AFTER, SRE_B4=bright, SRE_B3=bright, SRE_B2=bright)
    to_mercator = Transformer.from_crs(PLACE["crs"], "EPSG:3857", always_xy=True)

    def at(east: float, south: float) -> tuple[int, ...]:
        x, y = to_mercator.transform(PLACE["west"] + east, PLACE["north"] - south)
        whole = 2 * math.pi * 6378137
        col, row = (x / whole + 0.5) * 2**z * 256, (0.5 - y / whole) * 2**z * 256
        image = tiles.mercator(folder, "natural", z, int(col // 256), int(row // 256))
        assert image is not None
        pixels = np.asarray(Image.open(io.BytesIO(image)).convert("RGBA"))
        assert pixels.shape == (256, 256, 4)
        return tuple(pixels[int(row % 256), int(col % 256)])

    assert at(3500, 3500)[0] > 200
    assert at(2000, 3500)[0] < 40
    assert at(3500, 5000)[0] < 40
    assert tiles.mercator(folder, "natural", z, 0, 0) is None


def test_lossy_is_for_images_without_gaps(tmp_path: Path) -> None:
    red = counts(0.1)
    folder = product(tmp_path, AFTER, SRE_B4=red, SRE_B3=red, SRE_B2=red, CLM_R1=np.zeros((SIZE, SIZE), np.uint8))
    whole, edge = (tiles.tile(folder, "natural", tiles.NATIVE, x, 0, Style(lossy=True)) for x in (0, 1))
    mask = tiles.tile(folder, "CLM", tiles.NATIVE, 0, 0, Style(lossy=True))
    assert whole is not None
    assert edge is not None
    assert mask is not None
    assert [one[:4] == b"\x89PNG" for one in (whole, edge, mask)] == [False, True, True]
    np.testing.assert_allclose(np.asarray(Image.open(io.BytesIO(whole))), 102, atol=1)


def test_age_is_that_of_the_cell_at_every_level() -> None:
    days = np.full((10, 12), 8000, np.int16)  # cells of 240 m: 24 pixels of 10 m
    days[2, 3] = 8025
    days[4, :] = -1
    for z in (tiles.NATIVE, tiles.NATIVE + 1):
        step = 24 * 2 ** (z - tiles.NATIVE)
        image = tiles.age(days, 240, 8030, z, 0, 0)
        assert image is not None
        pixels = np.asarray(Image.open(io.BytesIO(image)).convert("RGBA"))
        young, old = (table_of(theme.AGE_RAMP, np.array([age / tiles.AGE_TOP]))[0] for age in (5, 30))
        np.testing.assert_array_equal(
            pixels[2 * step : 3 * step, 3 * step : 4 * step], np.broadcast_to(young, (step, step, 4))
        )
        np.testing.assert_array_equal(pixels[3 * step - 1, 3 * step - 1], old)
        assert not pixels[4 * step : 5 * step, :, 3].any()
        assert not pixels[10 * step :, :, 3].any()
    assert tiles.age(days, 240, 8030, tiles.NATIVE, 1, 0) is None


def test_outline_along_the_border_of_a_tile(tmp_path: Path) -> None:
    """A cloud that ends where the tile ends has its edge there; one that goes on has none."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[100:200, 400:512] = 2
    mask[300:400, 400:600] = 2
    folder = product(tmp_path, AFTER, CLM_R1=mask)
    west, east = (drawn(folder, "CLM", tiles.NATIVE, x, 0, Style(pattern=Pattern.OUTLINE))[..., 3] > 0 for x in (0, 1))
    assert west[100:200, 511].all()
    assert not west[301:399, 511].any()
    assert not east[301:399, 0].any()
    assert east[300:400, 87].all()
