"""What is read of a package is held against its manifest, its names and the limits of what can be."""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from processing import known, simulation
from processing.errors import L1CError
from processing.l1c import Granule, codestream, granules, images, limits, metadata
from processing.l1c.package import Package
from tests.fuzz import mutations, products
from tests.l1c_products import edit, image_file, product_xml, tile_xml


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return products.make(tmp_path_factory.mktemp("sound"))


@pytest.fixture(params=["new", "old"])
def package(request: pytest.FixtureRequest, sound: dict[str, Path], tmp_path: Path) -> Path:
    """A small sound package of a baseline after and before 04.00."""
    source = sound[request.param]
    return Path(shutil.copytree(source, tmp_path / source.name))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def zipped(package: Path) -> Path:
    path = package.with_suffix(".zip")
    mutations.pack(package, path)
    return path


def opened(package: Path) -> Granule:
    (granule,) = granules(package)
    granule.check()
    return granule


@pytest.mark.parametrize("as_zip", [False, True])
def test_a_sound_package_is_verified(package: Path, as_zip: bool) -> None:
    granule = opened(zipped(package) if as_zip else package)
    method, files = ("MD5", 80) if "N0204" in package.name else ("SHA3-256", 41)
    assert granule.integrity() == f"verified: {method} of {files} files"
    assert pickle.loads(pickle.dumps(granule)).integrity() == granule.integrity()


@pytest.mark.parametrize("as_zip", [False, True])
@pytest.mark.parametrize("band", ["B01", "B8A"])
def test_one_bit_of_an_image_is_noticed(package: Path, band: str, as_zip: bool) -> None:
    flip(image_file(package, band))
    (granule,) = granules(zipped(package) if as_zip else package)
    with pytest.raises(L1CError, match=rf"_{band}\.jp2: damaged: its (MD5|SHA3-256) is not that of manifest\.safe"):
        granule.integrity()
    with pytest.raises(L1CError, match=rf"_{band}\.jp2: damaged"):
        granule.check()


def test_what_was_damaged_is_noticed_where_it_is_decoded(package: Path) -> None:
    """Also if nobody checked the package before."""
    (granule,) = granules(package)
    flip(image_file(package, "B01"))
    source = granule._sources[0]
    with pytest.raises(L1CError, match="damaged"):
        images.read(source.package, source.images["B1"], slice(0, 6))
    with pytest.raises(L1CError, match="damaged"):
        images.samples(source.package, source.images["B1"], 1)


@pytest.mark.parametrize("pattern", ["IMG_DATA/*_B0[23].jp2", "QI_DATA/MSK_DETFOO_B0[23].*"])
def test_files_that_changed_places_are_noticed(package: Path, pattern: str) -> None:
    one, two = package.glob(f"GRANULE/*/{pattern}")
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    if first == second:
        opened(package)  # the masks of the images of 10 m are the same
        return
    with pytest.raises(L1CError, match=r"is what manifest\.safe lists as|not of B0"):
        opened(package)


def test_a_package_without_manifest_is_taken_and_says_so(package: Path) -> None:
    (package / "manifest.safe").unlink()
    assert opened(package).integrity().startswith("not verified: no checksums in the package (manifest.safe)")


def test_an_image_written_anew_is_taken_and_named(package: Path) -> None:
    """As by a tool that crops or repairs it; the length tells it from one that was damaged."""
    path = image_file(package, "B02")
    path.write_bytes(path.read_bytes() + b"\0")
    said = opened(package).integrity()
    assert said.endswith(f"; not those that it lists in manifest.safe: {path.name}")


def test_an_edited_text_is_taken_and_named(package: Path) -> None:
    edit(tile_xml(package), "<CLOUDY_PIXEL_PERCENTAGE>.", "<CLOUDY_PIXEL_PERCENTAGE>7")
    assert opened(package).integrity().endswith("not those that it lists in manifest.safe: MTD_TL.xml")


def test_a_manifest_that_can_not_be_read_is_refused(package: Path) -> None:
    (package / "manifest.safe").write_text("<a>")
    with pytest.raises(L1CError, match=r"manifest\.safe: malformed XML"):
        opened(package)


def test_checksums_are_made_once(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from processing.l1c import checksums

    made: list[str] = []
    judged = checksums.Checksums._judged
    monkeypatch.setattr(
        checksums.Checksums, "_judged", lambda self, p, name, c: made.append(name) or judged(self, p, name, c)
    )
    granule = opened(package)
    granule.integrity()
    granule.angles()
    assert len(made) == len(set(made))
    # To look at a part of an image is not worth the checksum of the whole.
    made.clear()
    (other,) = granules(package)
    before = len(made)
    other.reflectance("B2", 1, slice(0, 9), slice(0, 9))
    assert len(made) == before


# Metadata


@pytest.mark.parametrize(
    ("pattern", "replacement", "text"),
    [
        ("(<QUANTIFICATION_VALUE[^>]*>)[^<]*", r"\g<1>1e5", "QUANTIFICATION_VALUE is 100000, plausible are 1000 to"),
        ("(<SOLAR_IRRADIANCE[^>]*>)[^<]*", r"\g<1>-1", "SOLAR_IRRADIANCE is -1"),
        ("(<U>)[^<]*", r"\g<1>9.6", "U is 9.6"),
        ("(<SPECIAL_VALUE_INDEX>)0", r"\g<1>-4", "SPECIAL_VALUE_INDEX is -4"),
    ],
)
def test_numbers_that_can_not_be(package: Path, pattern: str, replacement: str, text: str) -> None:
    edit(product_xml(package), pattern, replacement)
    with pytest.raises(L1CError, match=re.escape(text)):
        granules(package)


@pytest.mark.parametrize(
    ("pattern", "replacement", "text"),
    [
        (r"(<Sun_Angles_Grid>.*?<VALUES>\S+) \S+", r"\g<1> 73.5", "sun between nodes"),
        (r"(<Sun_Angles_Grid>.*?<VALUES>)\S+", r"\g<1>1e30", "sun zenith is 1e+30"),
        (r"(<Mean_Sun_Angle><ZENITH_ANGLE[^>]*>)[^<]*", r"\g<1>60", "mean sun"),
        (r"(<Viewing_Inc.*?<VALUES>(?:NaN )*)\d\S*", r"\g<1>19", "view between nodes"),
        (r"(<Viewing_Inc.*?<VALUES>(?:NaN )*)\d\S*", r"\g<1>88", "view zenith is 88"),
        (r"(<Mean_Viewing_Incidence_Angle [^>]*><ZENITH_ANGLE[^>]*>)[^<]*", r"\g<1>19.9", "mean view"),
        ("<COL_STEP([^>]*)>5000", r"<COL_STEP\g<1>>5", "COL_STEP is 5"),
        ('detectorId="', 'detectorId="9', "view angles of detector"),
    ],
)
def test_angles_that_can_not_be(package: Path, pattern: str, replacement: str, text: str) -> None:
    edit(tile_xml(package), pattern, replacement)
    with pytest.raises(L1CError, match=re.escape(text)):
        opened(package)


def test_every_limit_has_its_reason() -> None:
    for name, limit in limits.LIMITS.items():
        assert limit.least < limit.greatest, name
        assert len(limit.reason) > 10, name


def test_offsets_before_their_baseline_are_a_contradiction(sound: dict[str, Path], tmp_path: Path) -> None:
    package = Path(shutil.copytree(sound["new"], tmp_path / "x.SAFE"))
    edit(product_xml(package), "(<PROCESSING_BASELINE>)[^<]*", r"\g<1>03.01")
    with pytest.raises(L1CError, match=r"offsets of the counts in baseline 03\.01"):
        granules(package)


def test_a_satellite_that_the_datatake_denies_is_told(package: Path) -> None:
    edit(product_xml(package), "<SPACECRAFT_NAME>Sentinel-2B", "<SPACECRAFT_NAME>Sentinel-2C")
    assert opened(package).integrity().endswith("; SPACECRAFT_NAME says S2C, the datatake S2B")


def test_no_image_was_taken_hours_from_its_datatake(package: Path) -> None:
    edit(tile_xml(package), "(<SENSING_TIME[^>]*>....-..-..)T1.", r"\g<1>T17")
    with pytest.raises(L1CError, match="hours from datatake to sensing is"):
        opened(package)


def test_a_mask_of_another_band_is_refused(package: Path) -> None:
    edit(tile_xml(package), r"MSK_DETFOO_B02", "MSK_DETFOO_B11")
    with pytest.raises(L1CError, match=r"names MSK_DETFOO_B11\.\w+ as MSK_DETFOO of B02"):
        granules(package)


# What is asked of the decoders


@pytest.mark.parametrize("field", [0, 1, 2, 4, 6, 8])
@pytest.mark.parametrize("value", [2**32 - 1, 2**31, 0])
def test_no_decoder_is_asked_for_what_no_tile_has(
    sound: dict[str, Path], tmp_path: Path, field: int, value: int
) -> None:
    """Sizes, places and tiles, and the layers."""
    package = Path(shutil.copytree(sound["new"], tmp_path / "x.SAFE"))
    (package / "manifest.safe").unlink()
    path = next(package.glob("GRANULE/*/QI_DATA/MSK_QUALIT_B02.jp2"))
    content = bytearray(path.read_bytes())
    at = content.find(b"\xff\x4f\xff\x51") + 8
    if field < 8:
        struct.pack_into(">I", content, at + 4 * field, value)
    else:
        struct.pack_into(">H", content, at + 32, value & 0xFFFF or 60_000)
    path.write_bytes(content)
    (granule,) = granules(package)
    source = granule._sources[0]
    try:
        granule.check()
        source.quality("B2")
    except L1CError as error:
        assert path.name in str(error)  # noqa: PT017
    else:
        assert value == 0  # the origin of the image and of its tiles is that


def test_limits_of_codestreams_hold_whole_tiles() -> None:
    assert codestream.MOST_PIXELS == 10_980
    assert codestream.MOST_TILES > (10_980 // 64) ** 2 * 2


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"x" * 64_000_001, "64 MB, at most 64 MB are read"),
        (b"<a>" * 2000, "malformed XML"),
    ],
)
def test_texts_are_bounded(package: Path, content: bytes, text: str) -> None:
    tile_xml(package).write_bytes(content)
    with pytest.raises(L1CError, match=text):
        granules(package)


def test_no_link_leads_out_of_a_package(package: Path, tmp_path: Path) -> None:
    path = image_file(package, "B02")
    shutil.move(path, tmp_path / "outside")
    path.symlink_to(tmp_path / "outside")
    with pytest.raises(L1CError, match=r"_B02\.jp2: a link out of the package"):
        granules(package)


def test_a_link_to_the_package_itself_is_followed(package: Path, tmp_path: Path) -> None:
    (tmp_path / "link.SAFE").symlink_to(package)
    opened(tmp_path / "link.SAFE")


@pytest.mark.parametrize(
    ("pattern", "replacement", "text"),
    [
        ('(<gml:posList srsDimension="2">)[^<]*', r"\g<1>1e300 0 0 0 0 1 1e300 0", "out of the world"),
        ('srsDimension="2"', 'srsDimension="-1"', "can't be read"),
        ("detector_footprint-B..", "detector_footprint-B09", "holds the footprints of B09, not of B02"),
        (r"(detector_footprint-B..)-\d+", r"\g<1>-" + "9" * 5000, "a footprint of no detector"),
    ],
)
def test_polygons_that_can_not_be(
    sound: dict[str, Path], tmp_path: Path, pattern: str, replacement: str, text: str
) -> None:
    package = Path(shutil.copytree(sound["old"], tmp_path / "x.SAFE"))
    edit(next(package.glob("GRANULE/*/QI_DATA/MSK_DETFOO_B02.gml")), pattern, replacement)
    (granule,) = granules(package)
    with pytest.raises(L1CError, match=text):
        granule._sources[0].detectors("B2")


def test_a_mask_of_a_million_corners_is_refused(sound: dict[str, Path], tmp_path: Path) -> None:
    package = Path(shutil.copytree(sound["old"], tmp_path / "x.SAFE"))
    path = next(package.glob("GRANULE/*/QI_DATA/MSK_DETFOO_B02.gml"))
    edit(path, '(<gml:posList srsDimension="2">)[^<]*', r"\g<1>" + "1 2 " * (images.MOST_CORNERS + 1))
    with pytest.raises(L1CError, match="more than 1000000 corners"):
        opened(package)


def test_what_a_decoder_warns_of_is_an_error_without_a_checksum(sound: dict[str, Path], tmp_path: Path) -> None:
    """The georeference of an image is damaged: GDAL goes on without it, and says so."""
    package = Path(shutil.copytree(sound["new"], tmp_path / "x.SAFE"))
    path = image_file(package, "B02")
    content = path.read_bytes()
    tags = content.find(b"II*\0", 0, 2000)
    assert tags > 0
    entry = content.find(struct.pack("<HH", 34735, 3), tags)
    path.write_bytes(content[: entry + 4] + struct.pack("<I", 0) + content[entry + 8 :])
    (package / "manifest.safe").unlink()
    with pytest.raises(L1CError, match=r"_B02\.jp2: JPEG 2000 that is damaged \(.*GeoKeyDirectory"):
        granules(package)


def test_real_metadata_lie_within_the_limits() -> None:
    from tests.l1c_products import COMPACT, OFFSET, OFFSET_S2B, OLD, shared

    for name in (OLD, COMPACT, OFFSET, OFFSET_S2B):
        package = Package(shared(name))
        metadata.product(package, known.shipped())
        for path in sorted(package.path.glob("GRANULE/*/*.xml")):
            angles = metadata.angles(package, os.fspath(path.relative_to(package.path)))
            assert np.isfinite(angles.sun_zenith).all()


def test_simulated_products_carry_the_sums_of_real_ones(tmp_path: Path) -> None:
    (safe,) = simulation.simulate(tmp_path, truth=False, tile="31TCJ", dates=1, size=36)
    text = (safe / "manifest.safe").read_text()
    assert hashlib.sha3_256(product_xml(safe).read_bytes()).hexdigest() in text
    assert opened(safe).integrity() == "verified: SHA3-256 of 41 files"
