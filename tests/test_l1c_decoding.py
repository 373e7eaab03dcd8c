"""Images decoded ahead, once, in memory or on the disk: the same counts, and the same refusals."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from processing.ancillary import ancillary
from processing.bands import BANDS
from processing.errors import L1CError, StorageError
from processing.l1c import decoding, granules, images
from processing.l1c.package import Package
from processing.l1c.packed import BLOCK, Packed
from processing.scene import strip
from tests.l1c_products import OFFSET, image_file, small

HEIGHT = 40
PARTS = [slice(0, 16), slice(16, 32), slice(32, HEIGHT)]
RASTERS = {band: np.random.default_rng(n).integers(0, 65536, (HEIGHT, 7), np.uint16) for n, band in enumerate("ab")}


def make(band: str, rows: slice) -> NDArray[np.uint16]:
    return RASTERS[band][rows].copy()


@settings(deadline=None)
@given(first=st.integers(0, HEIGHT - 1), count=st.integers(1, HEIGHT), spilled=st.booleans())
def test_any_rows_are_those_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, first: int, count: int, spilled: bool
) -> None:
    rows = slice(first, min(first + count, HEIGHT))
    folder = tmp_path_factory.getbasetemp() if spilled else None
    with decoding.ahead(make, dict.fromkeys("ab", PARTS), [], 2, folder) as counts:
        for band, expected in RASTERS.items():
            assert_array_equal(counts.strip(band, rows), expected[rows])
            assert_array_equal(counts[band], expected)


@pytest.mark.parametrize("spilled", [False, True])
def test_each_part_is_made_once_in_order_whatever_is_asked(tmp_path: Path, spilled: bool) -> None:
    asked: list[tuple[str, int]] = []

    def counted(band: str, rows: slice) -> NDArray[np.uint16]:
        asked.append((band, rows.start))
        return make(band, rows)

    with decoding.ahead(counted, {"b": PARTS, "a": PARTS}, [], 1, tmp_path if spilled else None) as counts:
        for _ in range(3):
            for band in "ab":
                assert_array_equal(counts[band], RASTERS[band])
        assert not list(tmp_path.iterdir())  # the file has no name: nothing is left of a process that is killed
    assert asked == [(band, rows.start) for band in "ba" for rows in PARTS]


def test_what_all_share_can_not_be_changed() -> None:
    with decoding.ahead(make, {"a": PARTS}, [], 1, None) as counts, pytest.raises(ValueError, match="read-only"):
        counts.strip("a", PARTS[0])[0, 0] = 1


def test_an_error_comes_where_the_rows_are_asked_for_and_ends_the_rest() -> None:
    def breaks(band: str, rows: slice) -> NDArray[np.uint16]:
        if rows == PARTS[1]:
            raise L1CError("package", "broken")
        return make(band, rows)

    before = threading.active_count()
    with decoding.ahead(breaks, dict.fromkeys("ab", PARTS), [], 2, None) as counts:
        assert_array_equal(counts.strip("a", PARTS[0]), RASTERS["a"][PARTS[0]])
        with pytest.raises(L1CError, match="broken"):
            counts["a"]
    assert threading.active_count() == before


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with (
        pytest.raises(StorageError, match=f"{tmp_path.name}.*No space left"),
        decoding.ahead(make, {"a": PARTS}, [], 1, tmp_path) as counts,
    ):
        counts["a"]
    with (
        pytest.raises(StorageError, match="No such file"),
        decoding.ahead(make, {"a": PARTS}, [], 1, tmp_path / "nowhere"),
    ):
        pass


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    return small(OFFSET, tmp_path_factory.mktemp("package"))


@pytest.mark.parametrize("spilled", [False, True])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_scene_decoded_ahead_is_the_scene(package: Path, tmp_path: Path, spilled: bool, zipped: bool) -> None:
    if zipped:
        archive = shutil.make_archive(str(tmp_path / package.name), "zip", package.parent, package.name)
        (granule,) = granules(Path(archive))
    else:
        (granule,) = granules(package)
    around = ancillary(granule.grid, 240)
    plain = granule.scene(around)
    with granule.decoded(2, tmp_path if spilled else None) as scene_with:
        scene = scene_with(around)
        for band in BANDS:
            assert_array_equal(scene.counts[band], plain.counts[band])
            assert_array_equal(scene.detectors[band], plain.detectors[band])
            assert_array_equal(scene.defective[band], plain.defective[band])
            assert_array_equal(strip(scene.counts, band, slice(1, 3)), plain.counts[band][1:3])


def test_a_broken_image_is_named_with_its_rows(package: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(package, tmp_path / package.name))
    (granule,) = granules(copy)
    path = image_file(copy, "B04")
    path.write_bytes(path.read_bytes()[:-200])  # after the headers were read
    fault = r"B04.jp2: JPEG 2000 that can't be decoded in rows 0 to 35 \("
    with granule.decoded(2) as scene_with:
        scene = scene_with(ancillary(granule.grid, 240))
        assert scene.counts["B2"].any()
        with pytest.raises(L1CError, match=fault):
            scene.counts["B4"]


def test_strips_are_whole_tiles_of_the_codestream(package: Path) -> None:
    name = str(image_file(package, "B04").relative_to(package))
    assert images.strips(Package(package), name) == [slice(0, 36)]


@settings(deadline=None)
@given(data=st.data(), height=st.integers(1, 2 * BLOCK + 9), width=st.sampled_from([1, 3, BLOCK + 2]))
def test_packed_rows_are_those_of_the_raster(data: st.DataObject, height: int, width: int) -> None:
    raster = np.full((height, width), data.draw(st.integers(0, 255)), np.uint8)
    some = data.draw(hnp.arrays(np.uint8, (min(height, 5), min(width, 5))))
    at = data.draw(st.integers(0, height - len(some)))
    raster[at : at + len(some), -some.shape[1] :] = some
    first = data.draw(st.integers(0, height - 1))
    rows = slice(first, data.draw(st.integers(first + 1, height)))
    packed = Packed.of(raster)
    assert_array_equal(packed.raster(), raster)
    assert_array_equal(packed.rows(rows), raster[rows])
    assert packed.any(rows) or not raster[rows].any()
    assert_array_equal(Packed.of(raster > 100).rows(rows), raster[rows] > 100)


def test_what_no_part_covers_is_nothing() -> None:
    here, ones = np.s_[1:3, 2:4], np.ones((1, 1), np.bool_)
    packed = Packed.of_parts((5, 5), np.dtype(np.bool_), [(here, ones), (np.s_[4:5, 0:5], ~ones)])
    expected = np.zeros((5, 5), np.bool_)
    expected[here] = True
    assert_array_equal(packed.raster(), expected)
    assert [packed.any(slice(row, row + 1)) for row in range(5)] == [False, True, True, False, False]


def test_tiles_beyond_the_swath_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels equal those of the plain decoder, in rows of whole and of cut tiles, out of the file and its content."""
    rng = np.random.default_rng(3)
    pixels = rng.integers(1, 9000, (640, 3124), np.uint16)
    pixels[:, 1024:] = 0  # unobserved but for the first tiles
    pixels[300, 1400] = 1  # and one lonely pixel, whose tile is short too
    pixels[400:520, 2600:2800] = 7  # short, and no single value
    path = tmp_path / "image.jp2"
    options = {"QUALITY": "100", "REVERSIBLE": "YES", "BLOCKYSIZE": 128}
    with rasterio.open(
        path, "w", driver="JP2OpenJPEG", count=1, height=640, width=3124, dtype="uint16", **options
    ) as image:
        image.write(pixels, 1)
    package = Package(tmp_path)
    windows = []
    opened = images._opened

    @contextmanager
    def counted(*arguments: Any) -> Iterator[Any]:
        with opened(*arguments) as image:

            class Counting:
                width = image.width

                def read(self, layer: int, window: Any, out: Any) -> Any:
                    windows.append(window)
                    return image.read(layer, window=window, out=out)

            yield Counting()

    monkeypatch.setattr(images, "_opened", counted)
    for rows in (slice(0, 128), slice(0, 640), slice(100, 530), slice(384, 640)):
        for content in (None, path.read_bytes()):
            assert_array_equal(images.read(package, path.name, rows, content), pixels[rows])
    windows.clear()
    images.read(package, path.name, slice(0, 128))
    assert sum(w.width for w in windows) == 1024 + 1024 + 52  # the tiles seen, an empty one, the narrow one at the edge
