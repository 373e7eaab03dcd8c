"""Products: there and back, the format's names, types and bits, whole or not at all."""

from __future__ import annotations

import gc
import json
import shutil
import struct
import subprocess
import sys
import weakref
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from rasterio.crs import CRS

from processing import product
from processing.bands import BANDS, DISTRIBUTED, GROUPS
from processing.errors import ProductError, StorageError
from processing.product import quicklook, raster
from processing.scene import Lazy
from tests import product_scenes as scenes

NAME = "SENTINEL2A_20190516-105713-915_L2A_T31UER_D_V1-4"
ONE = [raster.Layer("Something")]
SCENE = scenes.scene()
WHOLE = scenes.l2a(SCENE)
MASKS = {
    "CLM": WHOLE.cloud,
    "MG2": WHOLE.geophysical,
    "EDG": WHOLE.edge,
    "SAT": WHOLE.saturation,
    "IAB": WHOLE.interpolated,
    "DFP": WHOLE.defective,
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A product with every raster. Not to be changed."""
    return product.write(WHOLE, SCENE, tmp_path_factory.mktemp("archive"), produced=scenes.PRODUCED)


# ------------------------------------------------------------------------------------------------------- names


def test_identifier_is_that_of_a_real_product() -> None:
    sensing = datetime.fromisoformat("2019-05-16T10:57:13.915987Z")  # cut, not rounded
    assert product.identifier("S2A", sensing, "31UER", "V1_4") == NAME
    elsewhere = sensing.astimezone(timezone(timedelta(hours=4)))
    assert product.identifier("S2A", elsewhere, "31UER", "V1_4") == NAME
    with pytest.raises(ValueError, match="no time zone"):
        product.identifier("S2A", sensing.replace(tzinfo=None), "31UER", "V1_4")


def test_tree_and_names(written: Path) -> None:
    assert written.name == NAME
    found = {str(path.relative_to(written)) for path in written.rglob("*") if path.is_file()}
    expected = {f"{NAME}_{kind}_{band}.tif" for kind in ("SRE", "FRE") for band in DISTRIBUTED}
    expected |= {f"{NAME}_ATB_R1.tif", f"{NAME}_ATB_R2.tif", f"{NAME}_QKL_ALL.jpg", f"{NAME}_MTD_ALL.xml"}
    expected |= {f"MASKS/{NAME}_{kind}_{group}.tif" for kind in MASKS for group in GROUPS}
    expected |= {f"MASKS/{NAME}_DTF_{group}-D{detector}.tif" for group in GROUPS for detector in ("05", "06")}
    expected |= {f"DATA/{NAME}_JPI_ALL.xml", "manifest.json"}
    assert found == expected


# ---------------------------------------------------------------------------------------------- there and back


def test_rasters_come_back(written: Path) -> None:
    found = product.read(written)
    for band in DISTRIBUTED:
        np.testing.assert_array_equal(found.reflectance(band), WHOLE.surface_reflectance[band])
        np.testing.assert_array_equal(found.reflectance(band, "FRE"), WHOLE.flat_reflectance[band])
    for group in GROUPS:
        np.testing.assert_array_equal(found.atmosphere(group), WHOLE.atmosphere[group])
        for kind, rasters in MASKS.items():
            np.testing.assert_array_equal(found.mask(kind, group), rasters[group])


def test_facts_come_back(written: Path) -> None:
    found = product.read(written)
    assert found.identifier == NAME
    assert (found.platform, found.tile, found.version, found.mode) == ("S2A", "31UER", "V1_4", "nominal")
    assert found.sensing == scenes.SENSING.replace(microsecond=915_000)
    assert found.produced == scenes.PRODUCED.replace(microsecond=123_000)
    assert found.grid == SCENE.grid
    assert found.l1c == SCENE.identifier
    assert found.authority == "muscate"
    assert found.figures == WHOLE.figures
    assert found.flags == WHOLE.flags
    assert found.origin == WHOLE.origin
    assert found.absent == frozenset()
    assert not found.simulated


def test_a_simulated_input_is_told(tmp_path: Path) -> None:
    path = product.write(WHOLE, replace(SCENE, simulated=True), tmp_path, produced=scenes.PRODUCED)
    assert product.read(path).simulated
    assert json.loads((path / "manifest.json").read_text())["simulated"] is True


def test_types_and_georeference(written: Path) -> None:
    for path in written.rglob("*.tif"):
        kind = path.stem.removeprefix(f"{NAME}_").split("_")[0]
        with rasterio.open(path) as dataset:
            resolution = dataset.transform.a
            assert dataset.crs == CRS.from_epsg(32631)
            assert dataset.transform[:6] == SCENE.grid.transform(resolution)
            assert dataset.shape == SCENE.grid.shape(resolution)
            reflectance = kind in ("SRE", "FRE")
            assert set(dataset.dtypes) == {"int16" if reflectance else "uint8"}
            assert dataset.nodata == (-10000 if reflectance else 0 if kind == "ATB" else None)
            assert dataset.count == (2 if kind == "ATB" else 1)
            assert dataset.profile["compress"] == "deflate"
            assert dataset.tags(ns="IMAGE_STRUCTURE").get("PREDICTOR") == ("2" if reflectance else None)


def test_footprints_hold_a_bit_a_band(written: Path) -> None:
    files = product.read(written).files
    for group, bands in GROUPS.items():
        for detector in (5, 6):
            with rasterio.open(files[f"DTF_{group}-D{detector:02d}"]) as dataset:
                bits = dataset.read(1)
            for number, band in enumerate(bands):
                np.testing.assert_array_equal(bits >> number & 1, SCENE.detectors[band] == detector)
            assert bits.max() < 2 ** len(bands)


# ----------------------------------------------------------------------------------------------------- rasters


def directories(content: bytes) -> list[tuple[int, dict[int, tuple[int, ...]]]]:
    """Offset and tags of each image directory of a little-endian classic TIFF."""
    assert content[:4] == b"II*\0"
    found = []
    (offset,) = struct.unpack_from("<I", content, 4)
    while offset:
        (count,) = struct.unpack_from("<H", content, offset)
        tags = {}
        for entry in range(offset + 2, offset + 2 + 12 * count, 12):
            tag, kind, length = struct.unpack_from("<HHI", content, entry)
            if kind in (3, 4):
                form = f"<{length}{'H' if kind == 3 else 'I'}"
                (far,) = struct.unpack_from("<I", content, entry + 8)
                where = entry + 8 if struct.calcsize(form) <= 4 else far
                tags[tag] = struct.unpack_from(form, content, where)
        found.append((offset, tags))
        (offset,) = struct.unpack_from("<I", content, offset + 2 + 12 * count)
    return found


@pytest.mark.parametrize(
    ("pixels", "dtype", "levels"),
    [(1080, np.int16, [2, 4]), (1080, np.uint8, [2, 4]), (366, np.int16, []), (2196, np.int16, [2, 4, 8])],
)
def test_layout_is_cloud_optimised(pixels: int, dtype: Any, levels: list[int]) -> None:
    """Directories first, the whole image's before its overviews'; data after them, smallest overview first."""
    grid = scenes.grid(pixels)
    array: NDArray[Any] = np.random.default_rng(0).integers(0, 200, grid.shape(10)).astype(dtype)
    with raster.encoded(array, grid, 10, ONE, None) as view:
        content = bytes(view)
    found = directories(content)
    offsets = [offset for offset, _ in found]
    widths = [tags[256][0] for _, tags in found]
    data = [tags[324] for _, tags in found]
    assert offsets == sorted(offsets)
    assert widths == sorted(widths, reverse=True)
    assert offsets[-1] < min(min(tiles) for tiles in data)
    for larger, smaller in pairwise(data):
        assert max(smaller) < min(larger)
    assert all(tags[322] == tags[323] == (512,) for _, tags in found)
    with rasterio.MemoryFile(content) as memory, memory.open() as dataset:
        assert dataset.overviews(1) == levels
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def overview(array: NDArray[Any], no_data: int | None) -> NDArray[Any]:
    with (
        raster.encoded(array, scenes.grid(1080), 10, ONE, no_data) as view,
        rasterio.MemoryFile(bytes(view)) as memory,
        memory.open(overview_level=0) as dataset,
    ):
        return dataset.read(1)


def test_overviews_of_reflectance_are_means_of_what_was_observed() -> None:
    random = np.random.default_rng(1)
    array = random.integers(-300, 12000, (1080, 1080)).astype(np.int16)
    array[random.random(array.shape) < 0.4] = -10000
    blocks = np.where(array == -10000, np.nan, array).reshape(540, 2, 540, 2).transpose(0, 2, 1, 3).reshape(540, 540, 4)
    observed = ~np.isnan(blocks)
    expected = np.nansum(blocks, axis=-1) / np.maximum(observed.sum(axis=-1), 1)
    expected[~observed.any(axis=-1)] = -10000
    found = overview(array, -10000)
    np.testing.assert_allclose(found, expected, atol=0.51)
    np.testing.assert_array_equal(found == -10000, ~observed.any(axis=-1))


def test_overviews_of_bits_invent_no_value() -> None:
    array = np.random.default_rng(2).choice(np.array([0, 33, 130], np.uint8), (1080, 1080))
    found = overview(array, None)
    assert set(np.unique(found)) == {0, 33, 130}
    blocks = array.reshape(540, 2, 540, 2).transpose(0, 2, 1, 3).reshape(540, 540, 4)
    assert (found[..., np.newaxis] == blocks).any(axis=-1).all()


def test_a_raster_of_another_size_is_refused() -> None:
    with (
        pytest.raises(ValueError, match="on a grid of"),
        raster.encoded(np.zeros((365, 366), np.uint8), SCENE.grid, 10, ONE, None),
    ):
        pass


def test_same_arrays_give_the_same_bytes(written: Path, tmp_path: Path) -> None:
    later = replace(WHOLE, seconds={"cloud_mask": 9.0})
    again = product.write(later, SCENE, tmp_path, produced=scenes.PRODUCED + timedelta(days=3))
    sums = [json.loads((folder / "manifest.json").read_text())["files"] for folder in (written, again)]
    assert sums[0].keys() == sums[1].keys()
    differing = {name for name in sums[0] if sums[0][name] != sums[1][name]}
    assert differing == {f"{NAME}_MTD_ALL.xml", f"DATA/{NAME}_JPI_ALL.xml"}


# --------------------------------------------------------------------------------------------------- quicklook


@given(st.integers(-10000, 20000))
def test_stretch_is_linear_to_a_quarter(counts: int) -> None:
    grey = int(quicklook.stretch(np.array([counts], np.int16))[0])
    assert abs(grey - min(max(counts / 2500, 0), 1) * 255) <= 0.5 + 1e-3


def test_quicklook_shows_the_image(tmp_path: Path) -> None:
    scene = scenes.scene(1080)
    levels = {"B4": 2500, "B3": 1000, "B2": 0}
    flat = {
        band: np.full(scene.grid.shape(BANDS[band].resolution), levels.get(band, 500), np.int16) for band in DISTRIBUTED
    }
    for array in flat.values():
        array[: len(array) // 2] = -10000
    path = product.write(scenes.l2a(scene, surface_reflectance=flat), scene, tmp_path, produced=scenes.PRODUCED)
    image = np.asarray(Image.open(product.read(path).files["QKL_ALL"])).astype(int)
    assert image.shape == (1000, 1000, 3)
    np.testing.assert_allclose(image[700, 500], (255, 102, 0), atol=4)  # what JPEG loses
    np.testing.assert_allclose(image[200, 500], 0, atol=4)
    thumbnail = quicklook.render([product.read(path).files[f"SRE_{band}"] for band in quicklook.BANDS], width=100)
    assert thumbnail.shape == (100, 100, 3)
    np.testing.assert_array_equal(thumbnail[70, 50], (255, 102, 0))


# ------------------------------------------------------------------------------------------------ absent, lazy


def test_what_is_absent_is_not_there(tmp_path: Path) -> None:
    path = product.write(scenes.l2a(SCENE, absent=scenes.ABSENT), SCENE, tmp_path, produced=scenes.PRODUCED)
    found = product.read(path)
    assert found.absent == scenes.ABSENT
    assert not list(path.glob("*FRE*"))
    with pytest.raises(ProductError, match="has no FRE_B4"):
        found.reflectance("B4", "FRE")
    assert found.verify() == []


def test_flat_ground_has_its_flat_reflectance_and_says_so(tmp_path: Path) -> None:
    flat = replace(WHOLE, flat_reflectance=WHOLE.surface_reflectance)
    found = product.read(product.write(flat, SCENE, tmp_path, produced=scenes.PRODUCED))
    for band in DISTRIBUTED:
        np.testing.assert_array_equal(found.reflectance(band, "FRE"), WHOLE.surface_reflectance[band])
        with rasterio.open(found.files[f"FRE_{band}"]) as raster:
            assert raster.descriptions == (f"Flat reflectance, {band}: ground taken as flat, equal to SRE",)
        with rasterio.open(found.files[f"SRE_{band}"]) as raster:
            assert (raster.descriptions, raster.scales) == ((f"Surface reflectance, {band}",), (0.0001,))
    assert found.verify() == []


def test_the_bands_of_the_atmosphere_have_names(written: Path) -> None:
    with rasterio.open(product.read(written).files["ATB_R1"]) as raster:
        assert raster.descriptions == ("Water vapour content", "Aerosol optical thickness at 550 nm")
        assert raster.scales == (0.05, 0.005)
        assert raster.units == ("g cm-2", None)


def test_files_of_the_first_products_are_found(written: Path, tmp_path: Path) -> None:
    before = shutil.copytree(written, tmp_path / NAME)
    for path in [p for p in before.rglob("*") if p.is_file() and p.name.startswith(NAME)]:
        path.rename(path.with_name(path.name.replace("_D_V", "_C_V")))
    assert product.names.found(before, "CLM_R1").exists()
    assert product.names.found(written, "CLM_R1") == written / product.names.file_path(NAME, "CLM_R1")
    assert not product.names.found(written, "XXX").exists()


def test_rasters_and_declaration_must_agree(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="FRE_B5 is declared absent but there"):
        product.write(replace(WHOLE, absent=frozenset({"FRE"})), SCENE, tmp_path, produced=scenes.PRODUCED)
    with pytest.raises(ValueError, match="FRE_B5 is missing"):
        product.write(replace(WHOLE, flat_reflectance={}), SCENE, tmp_path, produced=scenes.PRODUCED)
    with pytest.raises(ValueError, match="CLM_R2 is missing"):
        product.write(replace(WHOLE, cloud={"R1": WHOLE.cloud["R1"]}), SCENE, tmp_path, produced=scenes.PRODUCED)
    assert not list(tmp_path.iterdir())


def test_rasters_are_asked_for_once_and_one_at_a_time(tmp_path: Path) -> None:
    asked: list[str] = []
    alive: list[weakref.ref[NDArray[Any]]] = []
    gc.freeze()  # what other tests left need not be looked through at each raster

    def lazy(kind: str, made: Any) -> Lazy[Any]:
        def make(key: str) -> NDArray[Any]:
            gc.collect()
            assert not any(reference() is not None for reference in alive), f"{asked[-1]} still held at {kind}_{key}"
            asked.append(f"{kind}_{key}")
            array = made[key].copy()
            alive.append(weakref.ref(array))
            return array

        return Lazy(made, make)

    level = replace(
        WHOLE,
        surface_reflectance=lazy("SRE", WHOLE.surface_reflectance),
        flat_reflectance=lazy("FRE", WHOLE.flat_reflectance),
        atmosphere=lazy("ATB", WHOLE.atmosphere),
        cloud=lazy("CLM", WHOLE.cloud),
    )
    product.write(level, SCENE, tmp_path, produced=scenes.PRODUCED)
    assert len(asked) == len(set(asked)) == 24
    assert asked[:4] == ["SRE_B5", "FRE_B5", "SRE_B6", "FRE_B6"]  # the coarser bands first
    gc.unfreeze()


# ------------------------------------------------------------------------------------- whole or not at all


class Broken(Exception):
    pass


def test_a_failure_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    def breaks(key: str) -> NDArray[np.uint8]:
        assert len(list(tmp_path.glob(".*.partial/*.tif"))) > 10  # others were written before
        raise Broken(key)

    with pytest.raises(Broken):
        product.write(replace(WHOLE, saturation=Lazy(GROUPS, breaks)), SCENE, tmp_path, produced=scenes.PRODUCED)
    assert not list(tmp_path.iterdir())


def test_a_product_is_never_replaced(written: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in written.rglob("*")}
    other = scenes.l2a(SCENE, seed=1)
    with pytest.raises(ProductError, match="is already there"):
        product.write(other, SCENE, written.parent, produced=scenes.PRODUCED)
    assert {path: path.stat().st_mtime_ns for path in written.rglob("*")} == before
    assert list(written.parent.iterdir()) == [written]


def test_what_a_killed_attempt_left_is_cleared(tmp_path: Path) -> None:
    left = tmp_path / f".{NAME}.partial"
    left.mkdir()
    (left / f"{NAME}_SRE_B2.tif").write_bytes(b"half")
    path = product.write(WHOLE, SCENE, tmp_path, produced=scenes.PRODUCED)
    assert list(tmp_path.iterdir()) == [path]
    assert product.read(path).verify() == []


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    folder.write_text("mine")
    with pytest.raises(StorageError, match=r"archive.*can't be written"):
        product.write(WHOLE, SCENE, folder, produced=scenes.PRODUCED)
    assert folder.read_text() == "mine"


FULL_DISK = """
import resource, sys
from pathlib import Path
from processing import product
from processing.errors import StorageError
from tests import product_scenes as scenes

resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
scene = scenes.scene()
try:
    product.write(scenes.l2a(scene), scene, Path(sys.argv[1]), produced=scenes.PRODUCED)
except StorageError as error:
    print(error)
"""


def test_a_disk_that_is_full_leaves_nothing(tmp_path: Path) -> None:
    """The limit on a file's size stands for the disk's: both fail in the middle of a write."""
    done = subprocess.run([sys.executable, "-c", FULL_DISK, tmp_path], capture_output=True, text=True, check=True)
    assert "SRE_B2.tif: can't be written: File too large" in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_time_without_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        product.write(WHOLE, SCENE, tmp_path, produced=scenes.PRODUCED.replace(tzinfo=None))
    assert not list(tmp_path.iterdir())


def test_only_a_valid_scene_has_a_product(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not_valid"):
        product.write(replace(WHOLE, status="not_valid"), SCENE, tmp_path, produced=scenes.PRODUCED)
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------------ damage, bad input


def test_damage_is_found(written: Path, tmp_path: Path) -> None:
    copy = tmp_path / NAME
    shutil.copytree(written, copy)
    found = product.read(copy)
    assert found.verify() == []
    content = bytearray(found.files["SRE_B2"].read_bytes())
    content[len(content) // 2] ^= 1
    found.files["SRE_B2"].write_bytes(content)
    with found.files["CLM_R1"].open("r+b") as file:
        file.truncate(1000)
    found.files["QKL_ALL"].unlink()
    assert found.verify() == [
        f"MASKS/{NAME}_CLM_R1.tif: 1000 bytes instead of {written.joinpath(f'MASKS/{NAME}_CLM_R1.tif').stat().st_size}",
        f"{NAME}_QKL_ALL.jpg: No such file or directory",
        f"{NAME}_SRE_B2.tif: content differs from the manifest",
    ]
    with pytest.raises(ProductError, match=r"CLM_R1.tif can't be read"):
        found.mask("CLM", "R1")
    (copy / "manifest.json").write_text('{"files": 3}')
    with pytest.raises(ProductError, match="manifest can't be read"):
        found.verify()
    (copy / "manifest.json").unlink()
    with pytest.raises(ProductError, match="has no manifest"):
        found.verify()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda text: text[:3000], "can't be read"),
        (lambda text: text.replace("Muscate_Metadata_Document", "Other"), "it begins with Other"),
        (lambda text: text.replace(">L2A<", ">L3A<"), "its level is L3A"),
        (lambda text: text.replace(">SENTINEL2A<", ">LANDSAT8<"), "LANDSAT8"),
        (lambda text: text.replace("<NROWS>366</NROWS>", ""), "NROWS"),
        (lambda text: text.replace(f">{NAME}_SRE_B2", ">../../../secret"), "no name of a file"),
        (lambda text: text.replace(f">{NAME}_SRE_B2", f">/etc/{NAME}_SRE_B2"), "no name of a file"),
        (lambda text: text.replace("<ACQUISITION_DATE>2019", "<ACQUISITION_DATE>20I9"), "20I9"),
    ],
)
def test_metadata_that_are_not_ours_are_refused(written: Path, tmp_path: Path, change: Any, fault: str) -> None:
    name = f"{NAME}_MTD_ALL.xml"
    text = (written / name).read_text()
    assert change(text) != text
    (tmp_path / name).write_text(change(text))
    with pytest.raises(ProductError, match=fault) as caught:
        product.read(tmp_path)
    assert "\n" not in str(caught.value)


def test_external_entities_stay_out(written: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("31XXX")
    text = (written / f"{NAME}_MTD_ALL.xml").read_text()
    head, body = text.split("?>", 1)
    bad = f'{head}?><!DOCTYPE d [<!ENTITY e SYSTEM "{tmp_path / "secret"}">]>{body.replace(">T31UER<", ">&e;<")}'
    (tmp_path / f"{NAME}_MTD_ALL.xml").write_text(bad)
    with pytest.raises(ProductError, match="GEOGRAPHICAL_ZONE"):
        product.read(tmp_path)


def test_a_folder_without_metadata_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProductError, match="holds 0 MTD_ALL"):
        product.read(tmp_path)
    with pytest.raises(ProductError, match="holds 0 MTD_ALL"):
        product.read(tmp_path / "nowhere")
