"""Level-1C packages are read, or refused with one clear reason."""

from __future__ import annotations

import contextlib
import io
import pickle
import re
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from processing.ancillary import ancillary
from processing.bands import BANDS
from processing.errors import L1CError
from processing.l1c import SIMULATION_CENTRE, Granule, codestream, granules, images, merge
from processing.l1c.package import Package
from processing.l1c.rasters import thinned
from processing.scene import NO_DATA_COUNTS, SATURATED_COUNTS, Grid, Scene
from tests.l1c_products import (
    ANTIMERIDIAN,
    COMPACT,
    FEATURE,
    GML,
    OFFSET,
    OFFSET_S2B,
    OLD,
    counts,
    edit,
    image_file,
    image_files,
    product_xml,
    rectangle,
    shared,
    small,
    tile_xml,
    write_jp2,
)
from tests.shared import SHARED


def scene_of(granule: Granule) -> Scene:
    return granule.scene(ancillary(granule.grid, 240))


def refusal(path: Path) -> str:
    """The reason why a package is refused: one line that names it."""

    def read() -> None:
        for granule in granules(path):
            granule.check()

    with pytest.raises(L1CError) as caught:
        read()
    text = str(caught.value)
    assert text.startswith(path.name)
    assert "\n" not in text
    return text.removeprefix(f"{path.name}: ")


@pytest.fixture(scope="session")
def offset_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Baseline 05.10, a crop with the masks of the whole tile. Not to be changed."""
    return small(OFFSET, tmp_path_factory.mktemp("offset"))


@pytest.fixture
def package(offset_package: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(offset_package, tmp_path / offset_package.name))


# Real packages as they are


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (OFFSET, "T31TCJ_20240120T105341_B01.jp2: 30 x 30 pixels of 10 m, the metadata say 1830 x 1830 of 60 m"),
        (OFFSET_S2B, "T31TCJ_20240305T104819_B01.jp2: 30 x 30 pixels of 10 m, the metadata say 1830 x 1830 of 60 m"),
        (COMPACT, "T32TNM_20170226T102021_B01.jp2: empty (0 bytes)"),
        (OLD, "S2A_OPER_MSI_L1C_TL_SGS__20160905T073438_A006291_T53HLA_B01.jp2: empty (0 bytes)"),
        (
            "s2reader/zipped_safe/S2A_MSIL1C_20170908T100031_N0205_R122_T33UWP_20170908T100655.zip",
            "T33UWP_20170908T100031_B01.jp2: empty (0 bytes)",
        ),
        (
            "zip/S2A_MSIL1C_20171207T002051_N0206_R116_T55JEJ_20171207T032513.zip",
            "T55JEJ_20171207T002051_B01.jp2: 29 x 29 pixels of 3840 m, the metadata say 1830 x 1830 of 60 m",
        ),
        (
            "zip/S2A_MSIL1C_20180629T000241_N0206_R030_T56JMM_20180629T012042.zip",
            "T56JMM_20180629T000241_B01.jp2: 73 x 73 pixels of 1504.11 m, the metadata say 1830 x 1830 of 60 m",
        ),
        (
            "zip/S2A_MSIL1C_20210713T032051_N0301_R032_T48LWP_20210713T054224.zip",
            "T48LWP_20210713T032051_B01.jp2: not a JPEG 2000 file",
        ),
        (ANTIMERIDIAN, "T01LAC_20200717T221941_B01.jp2: missing"),
        (
            "stactools/S2A_MSIL1C_20210908T042701_N0301_R133_T46RER_20210908T070248.SAFE",
            "T46RER_20210908T042701_B01.jp2: missing",
        ),
        (
            "stactools/S2B_MSIL2A_20220413T150759_N0400_R025_T33XWJ_20220414T082126.SAFE",
            "a Level-2A product, not Level-1C (MTD_MSIL2A.xml)",
        ),
        (
            "stactools/S2A_OPER_MSI_L1C_TL_SGS__20181231T203637_A018414_T10SDG",
            "no product metadata (MTD_MSIL1C.xml) at its root",
        ),
    ],
)
def test_real_packages_without_whole_images_are_refused(name: str, reason: str) -> None:
    assert refusal(shared(name)) == reason


def test_every_package_is_in_the_list() -> None:
    found = {p.name for p in [*shared(".").rglob("*.SAFE"), *shared(".").rglob("*.zip")]}
    (listed,) = (m.args[1] for m in test_real_packages_without_whole_images_are_refused.pytestmark)  # type: ignore[attr-defined]
    assert found <= {Path(name).name for name, _ in listed}


# What is read


def test_a_crop_with_offset_and_image_masks(offset_package: Path, caplog: pytest.LogCaptureFixture) -> None:
    (granule,) = granules(offset_package)
    granule.check()
    assert (granule.tile, granule.platform, granule.orbit, granule.relative_orbit) == ("31TCJ", "S2A", 44807, 51)
    assert granule.sensing.isoformat() == "2024-01-20T10:58:50.500329+00:00"
    assert granule.datatake_sensing.isoformat() == "2024-01-20T10:53:41.024000+00:00"
    assert granule.datastrip.isoformat() == "2024-01-20T10:54:33+00:00"
    assert (granule.baseline, granule.discriminator, granule.simulated) == ("05.10", "20240120T125244", False)
    assert granule.identifier == "S2A_MSIL1C_20240120T105341_N0510_R051_T31TCJ_20240120T125244"
    assert granule.offset == dict.fromkeys(BANDS, -1000.0)
    assert granule.solar_irradiance["B12"] == 85.25
    # smaller than the metadata say, and said so
    assert granule.grid == Grid("EPSG:32631", 360_000, 4_850_040, 360, 360)
    assert granule.cropped
    assert "360 x 360 m, the metadata say 109800 x 109800 m: read as a crop" in caplog.text

    scene = scene_of(granule)
    for name in ("B1", "B2", "B8A", "B10"):
        band = BANDS[name]
        assert_array_equal(scene.counts[name], counts(band.l1c, 360 // band.resolution))
        with rasterio.open(next(offset_package.rglob(f"MSK_DETFOO_{band.l1c}.jp2"))) as mask:
            row, col = 49_980 // band.resolution, 60_000 // band.resolution
            size = 360 // band.resolution
            expected = mask.read(1, window=rasterio.windows.Window(col, row, size, size))
        assert_array_equal(scene.detectors[name], expected)
        assert scene.defective[name].shape == expected.shape


@pytest.mark.parametrize(
    ("name", "band"), [pytest.param(OFFSET, "B12", marks=pytest.mark.slow), (OFFSET_S2B, "B10"), (OFFSET, "B10")]
)
def test_quality_of_a_whole_tile_is_that_of_the_mask(name: str, band: str) -> None:
    """The real masks: B12 has 11 saturated pixels, B10 pixels corrected for crosstalk, which are no defect."""
    package = Package(shared(name))
    (path,) = package.path.rglob(f"MSK_QUALIT_{band}.jp2")
    resolution = 60 if band != "B12" else 20
    grid = Grid("EPSG:32631", 300_000, 4_900_020, 109_800, 109_800)
    found = images.quality_image(package, str(path.relative_to(package.path)), grid, resolution, {})
    with rasterio.open(path) as mask:
        layers = mask.read() != 0
    assert_array_equal(found.lost.raster(), layers[[2, 3, 5]].any(axis=0))
    assert_array_equal(found.defective.raster(), layers[:6].any(axis=0))
    assert_array_equal(found.saturated.raster(), layers[7])
    assert layers.any()


def test_old_package_of_six_tiles(tmp_path: Path) -> None:
    found = {g.tile: g for g in granules(small(OLD, tmp_path))}
    assert sorted(found) == ["53HLA", "53HMA", "53HNA", "53HNV", "53HPA", "53HPV"]
    for granule in found.values():
        granule.check()
        assert (granule.baseline, granule.orbit, granule.offset["B1"]) == ("02.04", 6291, 0)
        assert granule.datatake_sensing.isoformat() == "2016-09-05T00:57:12.026000+00:00"
        assert granule.discriminator == "20160905T104813"
        assert granule.grid.crs == "EPSG:32753"
    assert (found["53HPA"].grid.west, found["53HPA"].grid.north) == (660_000, 6_050_020)
    scene = scene_of(found["53HPA"])
    assert_array_equal(scene.counts["B8A"], counts("B8A", 18))


def test_compact_package_before_the_offset(tmp_path: Path) -> None:
    (granule,) = granules(small(COMPACT, tmp_path))
    granule.check()
    assert (granule.tile, granule.baseline, granule.discriminator) == ("32TNM", "02.04", "20170226T102458")
    assert set(granule.offset.values()) == {0}
    scene = scene_of(granule)
    assert set(np.unique(scene.detectors["B2"])) <= set(range(13))


def test_tile_at_the_antimeridian(tmp_path: Path) -> None:
    (granule,) = granules(small(ANTIMERIDIAN, tmp_path))
    granule.check()
    assert (granule.tile, granule.grid.crs, granule.baseline) == ("01LAC", "EPSG:32701", "02.09")
    assert (scene_of(granule).detectors["B4"] == 6).all()


@pytest.mark.parametrize("compression", ["stored", "deflated"])
def test_a_zip_reads_like_its_folder(offset_package: Path, tmp_path: Path, compression: str) -> None:
    archive = tmp_path / f"{offset_package.stem}.zip"
    zip_folder(offset_package, archive, compression)
    (zipped,), (plain,) = granules(archive), granules(offset_package)
    zipped.check()
    assert (zipped.identifier, zipped.grid) == (plain.identifier, plain.grid)
    assert zipped.ecmwf() == plain.ecmwf()
    one, other = scene_of(zipped), scene_of(plain)
    for band in ("B1", "B2"):
        assert_array_equal(one.counts[band], other.counts[band])
        assert_array_equal(one.detectors[band], other.detectors[band])
        assert_array_equal(one.defective[band], other.defective[band])


def zip_folder(folder: Path, archive: Path, compression: str = "deflated") -> None:
    method = {"stored": zipfile.ZIP_STORED, "deflated": zipfile.ZIP_DEFLATED}[compression]
    with zipfile.ZipFile(archive, "w", method) as out:
        for path in sorted(folder.rglob("*")):
            out.write(path, path.relative_to(folder.parent))


def test_angles_are_those_of_the_metadata(offset_package: Path) -> None:
    (granule,) = granules(offset_package)
    angles = granule.angles()
    text = tile_xml(offset_package).read_text()
    assert (angles.west, angles.north, angles.step) == (300_000, 4_900_020, 5000)  # of the tile, not of the crop
    assert angles.sun_zenith.shape == (23, 23)
    assert angles.sun_zenith[0, 0] == np.float32(66.3733)
    assert sorted(angles.view_zenith) == sorted(BANDS)
    grids = re.findall(r'Viewing_Incidence_Angles_Grids bandId="(\d+)" detectorId="(\d+)"', text)
    assert sum(len(g) for g in angles.view_zenith.values()) == len(grids)
    nan = sum(int(np.isnan(g).sum()) for band in angles.view_zenith.values() for g in band.values())
    assert 2 * nan == text.count("NaN")  # zenith and azimuth
    assert angles.mean_view["B1"] == (3.1542472999194, 196.425163111021)
    for band, mean in angles.mean_view.items():
        nodes = np.concatenate([g[np.isfinite(g)] for g in angles.view_zenith[band].values()])
        assert nodes.min() <= mean[0] <= nodes.max()


def test_footprints_have_the_area_of_their_polygons(tmp_path: Path) -> None:
    folder = shared(OLD) / "GRANULE" / "S2A_OPER_MSI_L1C_TL_SGS__20160905T073438_A006291_T53HPA_N02.04"
    name = "QI_DATA/S2A_OPER_MSK_DETFOO_SGS__20160905T073438_A006291_T53HPA_B02_MSIL1C.gml"
    grid = Grid("EPSG:32753", 600_000, 6_100_000, 109_800, 109_800)
    found = images.detector_polygons(Package(folder), name, grid, 60, "B02")
    (feature,) = images.features(Package(folder), name)
    x, y = np.array(feature.rings[0]).T
    area = abs(np.dot(x[:-1] - x[0], np.diff(y)) - np.dot(y[:-1] - y[0], np.diff(x))) / 2
    assert set(np.unique(found)) == {0, 12}
    assert (found == 12).sum() * 60**2 == pytest.approx(area, rel=1e-3)
    assert found[0, 0] == 12  # the swath is in the west
    assert found[0, -1] == 0


def test_gml_masks_by_their_types(tmp_path: Path) -> None:
    package = small(ANTIMERIDIAN, tmp_path)
    (granule,) = granules(package)
    grid = granule.grid

    def put(kind: str, types: list[str]) -> None:
        ring = rectangle(grid.west + 60, grid.north - 180, grid.west + 120, grid.north - 60)
        features = "".join(FEATURE.format(f"{t}.{i}", t, ring) for i, t in enumerate(types))
        next(package.rglob(f"MSK_{kind}_B02.gml")).write_text(GML.format(features))

    expected = np.zeros((36, 36), bool)
    expected[6:18, 6:12] = True
    put("NODATA", ["QT_PARTIALLY_CORRECTED_PIXELS"])
    assert not scene_of(granule).defective["B2"].any()
    whole = scene_of(granule).counts["B2"]
    for kind, name, lost in (
        ("NODATA", "QT_NODATA_PIXELS", True),
        ("DEFECT", "QT_DEFECTIVE_PIXELS", False),
        ("TECQUA", "MSI_LOST", True),
        ("TECQUA", "MSI_DEG", True),
        ("TECQUA", "ANC_LOST", False),
    ):
        put(kind, [name])
        assert_array_equal(scene_of(granule).defective["B2"], expected)
        assert_array_equal(scene_of(granule).counts["B2"], np.where(expected & lost, 0, whole))
        put(kind, [])
    put("SATURA", ["QT_SATURATED_PIXELS_L1A"])
    assert_array_equal(scene_of(granule).saturated["B2"], expected)
    assert_array_equal(scene_of(granule).counts["B2"], whole)  # what it at least is
    assert not scene_of(granule).defective["B2"].any()


def test_counts_of_1_in_bands_that_see_the_air_are_no_measurement(tmp_path: Path) -> None:
    """Beyond the swath some products before baseline 04.00 have 1 for 0."""
    package = small(COMPACT, tmp_path)
    for band, resolution in (("B01", 60), ("B04", 10), ("B11", 20)):
        path = image_file(package, band)
        with rasterio.open(path) as image:
            raster, where, epsg = image.read(1), image.transform, image.crs.to_epsg()
        raster[0, :2] = 1
        write_jp2(path, raster, where.c, where.f, resolution, epsg)
    (granule,) = granules(package)
    found = scene_of(granule).counts
    assert (found["B1"][0, :2] == 0).all()
    assert (found["B4"][0, :2] == 0).all()
    assert (found["B11"][0, :2] == 1).all()  # over deep shadow it may be


def test_what_is_lost_is_no_sample_of_a_thinned_scene() -> None:
    lost = np.zeros((70, 50), bool)
    lost[33, 20] = True
    for spacing in (1, 2, 8):
        found = thinned(lost, spacing)
        assert found.shape == (-(-70 // spacing), -(-50 // spacing))
        assert found[33 // spacing, 20 // spacing]
        reach = 0 if spacing == 1 else 2
        assert found.sum() == (2 * reach + 1) ** 2


def test_special_values_are_those_of_the_metadata(package: Path) -> None:
    pixels = counts("B02", 36)
    pixels[0, :3] = [0, 65535, 30000]
    write_jp2(image_file(package, "B02"), pixels, 360_000, 4_850_040, 10, 32631)
    (granule,) = granules(package)
    assert_array_equal(scene_of(granule).counts["B2"][0, :3], [0, 65535, 30000])
    edit(product_xml(package), "<SPECIAL_VALUE_INDEX>65535<", "<SPECIAL_VALUE_INDEX>30000<")
    (granule,) = granules(package)
    assert_array_equal(scene_of(granule).counts["B2"][0, :3], [0, 65535, 65535])


def test_simulated_products_say_so(package: Path) -> None:
    edit(tile_xml(package), "<ARCHIVING_CENTRE>2APS<", f"<ARCHIVING_CENTRE>{SIMULATION_CENTRE}<")
    (granule,) = granules(package)
    assert granule.simulated
    assert scene_of(granule).simulated


def test_sentinel_2c_is_read(package: Path) -> None:
    edit(product_xml(package), "Sentinel-2A", "Sentinel-2C")
    assert granules(package)[0].platform == "S2C"


def test_a_granule_crosses_process_borders(offset_package: Path) -> None:
    (granule,) = granules(offset_package)
    again = pickle.loads(pickle.dumps(granule))
    assert again == granule
    assert_array_equal(scene_of(again).counts["B9"], scene_of(granule).counts["B9"])


def test_threads_read_the_same(offset_package: Path) -> None:
    scene = scene_of(granules(offset_package)[0])
    names = ["B1", "B9", "B10"] * 8
    with ThreadPoolExecutor(4) as threads:
        for name, pixels in zip(names, threads.map(scene.counts.__getitem__, names), strict=True):
            assert_array_equal(pixels, counts(BANDS[name].l1c, 6))


# What is refused: metadata


@pytest.mark.parametrize(
    ("file", "pattern", "replacement", "reason"),
    [
        ("product", "<PROCESSING_BASELINE>05.10", "<PROCESSING_BASELINE>06.00", "baseline '06.00' is not known"),
        ("product", "<PROCESSING_BASELINE>05.10", "<PROCESSING_BASELINE>5.1", "baseline '5.1' is not known"),
        ("product", "<PROCESSING_BASELINE>05.10", "<PROCESSING_BASELINE>99.99", "baseline '99.99' is not known"),
        ("product", "<PROCESSING_BASELINE>.+?</PROCESSING_BASELINE>", "", "no PROCESSING_BASELINE"),
        ("product", "<Radiometric_Offset_List>.+</Radiometric_Offset_List>", "", "no RADIO_ADD_OFFSET of B1, B2,"),
        ("product", '<RADIO_ADD_OFFSET band_id="9">-1000</RADIO_ADD_OFFSET>', "", "no RADIO_ADD_OFFSET of B9"),
        ("product", ">-1000<", ">many<", "RADIO_ADD_OFFSET is 'many', not a number"),
        ("product", "Sentinel-2A", "Sentinel-2D", "satellite S2D is not known (S2A, S2B, S2C are)"),
        ("product", "S2MSI1C", "S2MSI1B", "PRODUCT_TYPE is 'S2MSI1B'"),
        ("product", "Level-1C_User_Product", "Level-1B_User_Product", "a Level-1B product, not Level-1C"),
        ("product", ">10000<", ">0<", "QUANTIFICATION_VALUE is 0"),
        ("product", "<DATATAKE_SENSING_START>.+?<", "<DATATAKE_SENSING_START>yesterday<", "not a time"),
        ("product", "<IMAGE_FILE>[^<]+_B8A</IMAGE_FILE>", "", "lists no image of B8A"),
        ("product", "<IMAGE_FILE>(.+?)_B8A<", r"<IMAGE_FILE>../../\1_B8A<", "a file outside of the package"),
        ("product", "<IMAGE_FILE>(.+?)_B8A<", r"<IMAGE_FILE>/\1_B8A<", "a file outside of the package"),
        ("product", "<n1:General_Info>", "<n1:General_Info><b>", "MTD_MSIL1C.xml: malformed XML"),
        ("tile", "</n1:Geometric_Info>", "", "MTD_TL.xml: malformed XML"),
        ("tile", "EPSG:32631", "EPSG:32632", "tile 31TCJ lies in EPSG:32631, the metadata says EPSG:32632"),
        ("tile", "<SENSING_TIME.+?</SENSING_TIME>", "", "no SENSING_TIME"),
        ("tile", 'bandId="3" type="MSK_QUALIT"', 'bandId="3" type="MSK_OTHER"', "lists no MSK_QUALIT of B4"),
        ("tile", 'bandId="3" type="MSK_QUALIT"', 'bandId="13" type="MSK_QUALIT"', "band '13'"),
        ("tile", "<Sun_Angles_Grid>.+</Sun_Angles_Grid>", "", "no Sun_Angles_Grid"),
        ("tile", "66.3733 ", "", "not a grid of numbers"),
        ("tile", "66.3733 ", "NaN ", "NaN among the sun angles"),
        ("tile", "<Mean_Viewing_Incidence_Angle_List>.+?</Mean_Viewing_Incidence_Angle>", "<l>", "malformed"),
    ],
)
def test_odd_metadata(package: Path, file: str, pattern: str, replacement: str, reason: str) -> None:
    edit(product_xml(package) if file == "product" else tile_xml(package), pattern, replacement)
    assert reason in refusal(package)


def test_no_tile_metadata(package: Path) -> None:
    tile_xml(package).unlink()
    assert refusal(package) == "MTD_TL.xml: missing (no tile metadata)"


def test_empty_metadata(package: Path) -> None:
    product_xml(package).write_bytes(b"")
    assert refusal(package) == "MTD_MSIL1C.xml: empty, not XML"


@pytest.mark.parametrize("file", [product_xml, tile_xml])
def test_entities_are_not_followed(package: Path, tmp_path: Path, file: object) -> None:
    secret = tmp_path / "secret"
    secret.write_text("05.10")
    path: Path = file(package)  # type: ignore[operator]
    edit(path, r"\?>\s*<n1", f'?><!DOCTYPE a [<!ENTITY e SYSTEM "file://{secret}">]><n1')
    edit(path, "2024-01-20T1", "&e;")
    assert "DOCTYPE" in refusal(package)


def test_entities_do_not_multiply(package: Path) -> None:
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10 if i else "ha"}">' for i in range(12))
    edit(product_xml(package), r"\?>\s*<n1", f"?><!DOCTYPE a [{entities}]><n1")
    edit(product_xml(package), "<PRODUCT_URI>.+?<", "<PRODUCT_URI>&e11;<")
    assert re.search("DOCTYPE|malformed XML", refusal(package))


def test_a_muscate_product_is_no_input(tmp_path: Path) -> None:
    (tmp_path / "SENTINEL2A_L2A_MTD_ALL.xml").write_text("<Muscate_Metadata_Document/>")
    assert refusal(tmp_path) == "a Level-2A product, not Level-1C (SENTINEL2A_L2A_MTD_ALL.xml)"


@pytest.mark.parametrize(("content", "reason"), [(None, "no such file or folder"), (b"text", "nor a whole zip")])
def test_no_package(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "S2A_MSIL1C.zip"
    if content is not None:
        path.write_bytes(content)
    assert reason in refusal(path)
    (tmp_path / "empty").mkdir()
    assert "no product metadata" in refusal(tmp_path / "empty")


# What is refused: images and masks


@pytest.mark.parametrize("band", ["B01", "B8A"])
def test_missing_band(package: Path, band: str) -> None:
    image_file(package, band).unlink()
    assert refusal(package) == f"T31TCJ_20240120T105341_{band}.jp2: missing"


@pytest.mark.parametrize("mask", ["MSK_DETFOO_B05", "MSK_QUALIT_B12"])
def test_missing_mask(package: Path, mask: str) -> None:
    next(package.rglob(f"{mask}.jp2")).unlink()
    assert refusal(package) == f"{mask}.jp2: missing"


@pytest.mark.parametrize("keep", [0, 5, 40, 0.3, 0.7, 0.95, -1])
def test_truncated_image(package: Path, keep: float) -> None:
    path = image_file(package, "B04")
    content = path.read_bytes()
    (granule,) = granules(package)
    path.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    reason = refusal(package)
    assert reason.startswith(f"{path.name}: ")
    assert re.search("truncated|empty|not a JPEG 2000|can't be decoded", reason)
    with pytest.raises(L1CError, match=path.name):  # and if it happens after the check
        granule.check()


def test_truncated_image_is_never_half_decoded(package: Path) -> None:
    path = image_file(package, "B04")
    content = path.read_bytes()
    (granule,) = granules(package)
    scene = scene_of(granule)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(L1CError, match=path.name):
        scene.counts["B4"]


def test_image_without_its_last_tile(package: Path) -> None:
    """A codestream that ends properly but too early."""
    path = image_file(package, "B04")
    content = path.read_bytes()
    (granule,) = granules(package)
    start = content.index(b"\xff\x90")
    path.write_bytes(content[:start] + b"\xff\xd9" + content[start + 2 :])
    with pytest.raises(L1CError, match=r"B04\.jp2: damaged JPEG 2000: 0 of 1 tiles"):
        granule.check()


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_structures_are_refused_or_walked_through(offset_package: Path, data: st.DataObject) -> None:
    """Whatever the bytes are, the walk ends, and in no other error."""
    path = image_file(offset_package, "B01")
    content = bytearray(path.read_bytes())
    for where in data.draw(st.lists(st.integers(12, len(content) - 1), max_size=4)):
        content[where] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    with contextlib.suppress(L1CError):
        codestream.read(Package(offset_package), path.name, io.BytesIO(content))


def test_other_formats_are_not_opened(package: Path, tmp_path: Path) -> None:
    """A VRT in the place of an image could read any file of the machine."""
    path = image_file(package, "B02")
    other = path.rename(tmp_path / "elsewhere.jp2")
    path.write_text(
        '<VRTDataset rasterXSize="36" rasterYSize="36"><VRTRasterBand dataType="UInt16" band="1"><SimpleSource>'
        f"<SourceFilename>{other}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    assert refusal(package) == f"{path.name}: not a JPEG 2000 file"


@pytest.mark.parametrize(
    ("west", "north", "pixel", "side", "epsg", "reason"),
    [
        (360_000, 4_850_040, 20, 18, 32631, "18 x 18 pixels of 20 m, the metadata say 10980 x 10980 of 10 m"),
        (360_000, 4_850_040, 10, 42, 32631, "covers 420 x 420 m at 360000 E 4850040 N, the image of B1 360 x 360 m"),
        (360_060, 4_850_040, 10, 36, 32631, "covers 360 x 360 m at 360060 E 4850040 N, the image of B1 360 x 360 m"),
        (360_010, 4_850_040, 10, 36, 32631, "not multiples of 60 m"),
        (360_000, 4_850_040, 10, 35, 32631, "not multiples of 60 m"),
        (299_940, 4_850_040, 10, 36, 32631, "36 x 36 pixels of 10 m at 299940 E"),
        (360_000, 4_850_040, 10, 36, 32632, "in EPSG:32632, the metadata say EPSG:32631"),
    ],
)
def test_image_on_another_grid(
    package: Path, west: float, north: float, pixel: float, side: int, epsg: int, reason: str
) -> None:
    path = image_file(package, "B02")
    write_jp2(path, counts("B02", side), west, north, pixel, epsg)
    found = refusal(package)
    assert found.startswith(path.name)
    assert reason in found


def test_image_of_another_type(package: Path) -> None:
    write_jp2(image_file(package, "B02"), counts("B02", 36).astype(np.uint8), 360_000, 4_850_040, 10, 32631)
    assert "1 layer(s) of uint8" in refusal(package)


def test_mask_of_another_place(package: Path) -> None:
    (path,) = package.rglob("MSK_DETFOO_B01.jp2")
    write_jp2(path, np.ones((6, 6), np.uint8), 0, 4_850_040, 60, 32631)
    with pytest.raises(L1CError, match=r"MSK_DETFOO_B01.jp2: 6 x 6 pixels of 60 m at 0 E .* not on the image's grid"):
        scene_of(granules(package)[0]).detectors["B1"]


# Half products


def halves(folder: Path) -> tuple[Path, Path]:
    """Two products of one pass, the west and the east of the image, overlapping by 60 m."""
    west, east = small(ANTIMERIDIAN, folder / "w"), small(ANTIMERIDIAN, folder / "e")
    edit(tile_xml(east), "_S20200717T221944_N", "_S20200717T222044_N")
    edit(product_xml(east), "T234135.SAFE", "T234235.SAFE")
    edit(product_xml(east), "<GENERATION_TIME>2020-07-17T23:41", "<GENERATION_TIME>2020-07-17T23:42")
    for package, detector, seen in ((west, "07", slice(0, 210)), (east, "08", slice(150, 360))):
        for path in image_files(package):
            band = path.stem[-3:]
            with rasterio.open(path) as image:
                pixels, t, epsg = image.read(1), image.transform, image.crs.to_epsg()
            columns = slice(seen.start // int(t.a) * int(t.a) // int(t.a), -(-seen.stop // int(t.a)))
            kept = np.zeros_like(pixels)
            kept[:, columns] = pixels[:, columns]
            write_jp2(path, kept, t.c, t.f, t.a, epsg)
            ring = rectangle(t.c + seen.start, t.f - 360, t.c + seen.stop, t.f)
            feature = FEATURE.format(f"detector_footprint-{band}-{detector}-0", "DETECTOR_FOOTPRINT", ring)
            next(package.rglob(f"MSK_DETFOO_{band}.gml")).write_text(GML.format(feature))
    return west, east


def test_halves_make_a_whole(tmp_path: Path) -> None:
    (west,), (east,) = (granules(p) for p in halves(tmp_path))
    assert west.datastrip != east.datastrip
    for both in (merge([west, east]), merge([east, west])):
        both.check()
        assert both.generation == east.generation  # the newest one gives the names
        scene = scene_of(both)
        for name, band in BANDS.items():
            assert_array_equal(scene.counts[name], counts(band.l1c, 360 // band.resolution))
            assert (scene.detectors[name] > 0).all()
        assert set(np.unique(scene.detectors["B2"])) == {7, 8}
        assert scene.detectors["B2"][0, 0] == 7
        assert scene.detectors["B2"][0, -1] == 8
    assert merge([west]) == west


def test_angles_of_halves(tmp_path: Path) -> None:
    """Each half knows the angles of its own detectors."""
    paths = [small(COMPACT, tmp_path / side) for side in "we"]
    whole = granules(paths[0])[0].angles()
    detectors = sorted(whole.view_zenith["B2"])
    assert len(detectors) > 2
    for path, lost in zip(paths, (detectors[-2:], detectors[:-2]), strict=True):
        for detector in lost:
            name = "Viewing_Incidence_Angles_Grids"
            edit(tile_xml(path), f'<{name} bandId="1" detectorId="{detector}">.*?</{name}>', "")
    (west,), (east,) = (granules(p) for p in paths)
    found = merge([west, east]).angles()
    assert sorted(found.view_zenith["B2"]) == detectors
    for detector in detectors:
        assert_array_equal(found.view_zenith["B2"][detector], whole.view_zenith["B2"][detector])
        assert_array_equal(found.view_azimuth["B2"][detector], whole.view_azimuth["B2"][detector])
    assert found.mean_view["B1"] == pytest.approx(whole.mean_view["B1"], abs=1e-6)


def test_only_halves_of_one_pass_are_merged(offset_package: Path, package: Path) -> None:
    edit(product_xml(package), "<DATATAKE_SENSING_START>2024-01-20", "<DATATAKE_SENSING_START>2024-01-25")
    (one,), (other,) = granules(offset_package), granules(package)
    with pytest.raises(L1CError, match=r"no half of the same pass .* datatake_sensing"):
        merge([one, other])


def test_halves_whose_datatake_begins_some_milliseconds_off_are_of_one_pass(offset_package: Path) -> None:
    """As the store has it, which names a pass to the second."""
    (one,) = granules(offset_package)
    off = one.datatake_sensing.replace(microsecond=(one.datatake_sensing.microsecond + 24_000) % 1_000_000)
    assert len(merge([one, replace(one, datatake_sensing=off)])._sources) == 2


def test_counts_of_an_older_baseline_are_brought_to_those_of_the_newest(offset_package: Path) -> None:
    (newest,) = granules(offset_package)
    older = replace(newest, baseline="02.04", offset=dict.fromkeys(BANDS, 0.0))
    merged = merge([older, newest])
    assert (merged.baseline, merged.offset) == (newest.baseline, newest.offset)
    first, second = (replace(merged, _sources=(source,)) for source in merged._sources)
    for band in ("B4", "B9"):
        counts, raised = (scene_of(g).counts[band].astype(int) for g in (first, second))
        usual = (counts != NO_DATA_COUNTS) & (counts != SATURATED_COUNTS)
        assert usual.any()
        assert_array_equal(raised[usual], (counts[usual] + 1000).clip(1, SATURATED_COUNTS - 1))
        assert_array_equal(raised[~usual], counts[~usual])


# Whole products of another maker


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One date in three formats and two scales of counts."""
    tool = SHARED / "tools" / "make_l1c.py"
    if not tool.exists():
        pytest.skip(f"{tool} is not here")
    found = {}
    for name, options in {
        "compact": [],
        "old": ["--format", "old", "--baseline", "02.04"],
        "zip": ["--baseline", "02.09", "--zip"],
        "chips": [],
    }.items():
        out = tmp_path_factory.mktemp(name)
        where = ["--sets", "pairs"] if name == "chips" else ["--pixels", "120", "--dates", "2023-08-13"]
        command = [sys.executable, str(tool), "chips" if name == "chips" else "series", "--out", str(out), "--no-tci"]
        subprocess.run([*command, *where, *options], check=True, capture_output=True)
        found[name] = next(p for p in sorted(out.iterdir()) if p.name.startswith("S2"))
    return found


@pytest.mark.slow
def test_formats_and_baselines_agree(made: dict[str, Path]) -> None:
    """The same ground and pass, as old, compact and zipped product: the same reflectance and detectors."""
    scenes = {}
    for name in ("compact", "old", "zip"):
        (granule,) = granules(made[name])
        granule.check()
        assert not granule.cropped
        scenes[name] = scene_of(granule)
    first = scenes["compact"]
    assert (first.offset["B2"], scenes["old"].offset["B2"]) == (-1000, 0)
    for scene in scenes.values():
        assert (scene.tile, scene.platform, scene.day) == ("33TWM", "S2B", first.day)
        for band in BANDS:
            found, expected = (s.counts[band] + s.offset[band] for s in (scene, first))
            # without an offset counts end at 1; the maker rounds before or after its offset
            assert_allclose(np.maximum(found, 1), np.maximum(expected, 1), atol=1)
            assert_array_equal(scene.detectors[band], first.detectors[band])
        assert_array_equal(scene.angles.sun_zenith, first.angles.sun_zenith)


@pytest.mark.slow
def test_chips_are_read(made: dict[str, Path]) -> None:
    (granule,) = granules(made["chips"])
    granule.check()
    scene = scene_of(granule)
    assert scene.counts["B2"].any()
