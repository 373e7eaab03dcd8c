"""Packages as users and their tools keep them: found wherever they lie, in folders and zips, and read the same."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.errors import L1CError, StorageError
from processing.l1c import contents, granules, packages
from processing.l1c.finding import is_stray, kind_of, roots
from processing.l1c.package import failed
from tests.l1c_products import ANTIMERIDIAN, OLD, shared, small

JUNK = b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(60)


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small(ANTIMERIDIAN, tmp_path_factory.mktemp("finding"))


def zipped(safe: Path, target: Path, prefix: str, *more: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", method) as archive:
        for path in sorted(p for p in safe.rglob("*") if p.is_file()):
            archive.write(path, f"{prefix}{path.relative_to(safe)}")
        for name, content in more:
            archive.writestr(name, content)
    return target


def copied(safe: Path, target: Path) -> Path:
    return Path(shutil.copytree(safe, target))


def littered(safe: Path, target: Path) -> Path:
    """With what macOS, Windows, GDAL and file stations leave beside each file."""
    copied(safe, target)
    for path in [p for p in target.rglob("*") if p.is_file()]:
        path.with_name(f"._{path.name}").write_bytes(JUNK)
        path.with_name(f"{path.name}.aux.xml").write_text("<PAMDataset/>")
    for folder in [target, *(p for p in target.rglob("*") if p.is_dir())]:
        for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
            (folder / name).write_bytes(JUNK)
    return target


def inside(place: str) -> Callable[[Path, Path], Path]:
    def make(safe: Path, folder: Path) -> Path:
        copied(safe, folder / "given" / place / safe.name)
        return folder / "given"

    return make


FORMS: dict[str, Callable[[Path, Path], Path]] = {
    "a folder without .SAFE": lambda safe, to: copied(safe, to / safe.stem),
    "in a folder": inside(""),
    "in a folder of a folder": inside("2020/07"),
    "in a SAFE": lambda safe, to: copied(safe, to / "outer.SAFE" / safe.name).parent,
    "in a SAFE in a folder": inside("outer.SAFE"),
    "littered": lambda safe, to: littered(safe, to / safe.name),
    "littered, in a folder": lambda safe, to: littered(safe, to / "given" / safe.name).parent,
    "a zip": lambda safe, to: zipped(safe, to / "a.zip", f"{safe.name}/"),
    "a zip with capital letters": lambda safe, to: zipped(safe, to / "given" / "A.ZIP", f"{safe.name}/").parent,
    "a zip without a folder": lambda safe, to: zipped(safe, to / "a.zip", ""),
    "a zip of a folder": lambda safe, to: zipped(safe, to / "a.zip", f"download/{safe.name}/"),
    "a zip of a SAFE in a SAFE": lambda safe, to: zipped(safe, to / "a.zip", f"{safe.name}/{safe.name}/"),
    "a zip of macOS": lambda safe, to: zipped(
        safe, to / "a.zip", f"{safe.name}/", (f"__MACOSX/{safe.name}/._MTD_MSIL1C.xml", JUNK), (".DS_Store", JUNK)
    ),
    "a littered zip": lambda safe, to: zipped(littered(safe, to / "x" / safe.name), to / "a.zip", f"{safe.name}/"),
    "a zip with other files beside": lambda safe, to: zipped(
        safe, to / "a.zip", f"{safe.name}/", ("quicklook/a.jpg", b"a"), ("README.txt", b"a")
    ),
    "a zip in a folder": lambda safe, to: zipped(safe, to / "given" / "a.zip", f"{safe.name}/").parent,
    "a zip in a folder of a folder": lambda safe, to: zipped(
        safe, to / "given" / "2020" / "a.zip", f"{safe.name}/"
    ).parents[1],
}


@pytest.mark.parametrize("form", FORMS)
def test_a_package_is_found_in_every_form(form: str, safe: Path, tmp_path: Path) -> None:
    given = FORMS[form](safe, tmp_path)
    (package,) = packages(given)
    (found,) = granules(package)
    (same,) = granules(given)
    (there,) = granules(safe)
    found.check()
    assert found.identifier == same.identifier
    assert (found.tile, found.sensing, found.grid) == (there.tile, there.sensing, there.grid)
    assert found._sources[0].images == there._sources[0].images


def test_a_folder_means_all_that_lie_in_it(safe: Path, tmp_path: Path) -> None:
    given = tmp_path / "given"
    expected = {
        copied(safe, given / "a.SAFE"),
        copied(safe, given / "deep" / "b.SAFE"),
        zipped(safe, given / "deep" / "c.zip", "x/"),
    }
    (given / "broken.SAFE").mkdir()
    expected.add(given / "broken.SAFE")
    for name in ("._a.SAFE", ".hidden.SAFE", "coming.SAFE.partial", "__MACOSX"):
        copied(safe, given / name)
    (given / "notes.txt").write_text("a")
    assert set(packages(given)) == expected
    with pytest.raises(L1CError, match="a folder of 4 packages, one expected"):
        granules(given)


def test_a_folder_that_contains_itself_ends(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").symlink_to(tmp_path / "a")
    assert packages(tmp_path / "a") == [tmp_path / "a"]


def test_links_that_lead_back_are_followed_once(safe: Path, tmp_path: Path) -> None:
    """Four folders deep, forty of them would be two million folders."""
    given = tmp_path / "given"
    expected = copied(safe, given / "z" / "a.SAFE")
    for number in range(40):
        (given / f"link{number}").symlink_to(".")
        (given / "z" / f"link{number}").symlink_to("..")
    began = time.process_time()
    assert packages(given) == [expected]
    assert time.process_time() - began < 1


def test_a_link_to_itself_hides_nothing_beside_it(safe: Path, tmp_path: Path) -> None:
    given = tmp_path / "given"
    expected = copied(safe, given / "a.SAFE")
    for name in ("loop", "loop.SAFE", "b.zip"):
        (given / name).symlink_to(name)
    assert packages(given) == [expected, given / "b.zip"]


@given(st.lists(st.lists(st.text("ab.", min_size=1, max_size=3), min_size=1, max_size=5).map("/".join), max_size=8))
def test_any_names_of_a_zip_have_their_roots(names: list[str]) -> None:
    """Those of packages, and nothing is found where there is no XML."""
    assert roots(names) == []
    assert roots([*names, "x/S.SAFE/MTD_MSIL1C.xml"]) == ["x/S.SAFE"]


@pytest.mark.parametrize("name", ["._a.xml", ".DS_Store", "Thumbs.db", "a.jp2.aux.xml", "__MACOSX/a.xml", "x/._y"])
def test_stray(name: str) -> None:
    assert is_stray(name)
    assert not is_stray(
        name.replace("._", "").replace(".DS_Store", "a").replace("Thumbs.db", "b").replace("aux.", "")
    ) or ("__MACOSX" in name)


@pytest.mark.parametrize(
    ("name", "files", "kind"),
    [
        ("S2A_MSIL1B_20200101T101010_N0500_R122_20200101T121212.SAFE", [], "a Level-1B product"),
        ("x", ["S2A_OPER_MTD_SAFL1B_PDMC_20160101.xml"], "a Level-1B product"),
        ("S2A_OPER_GIP_VIEDIR_MPC__20150605T094736_V20150703T000000.xml", [], "a Sentinel-2 GIPP"),
        ("S2A_MSIL2A_20200101T101010_N0500_R122_T33TWM_20200101T121212.SAFE", [], "a Level-2A product"),
        ("LC08_L1TP_190028_20200101_20200823_02_T1", [], "a Landsat product"),
        ("folder", ["LC08_L1TP_190028_20200101_20200823_02_T1_MTL.txt"], "a Landsat product"),
        ("S1A_IW_GRDH_1SDV_20200101T050505_20200101T050530_030600_0381E8_B1E0.SAFE", [], "a Sentinel-1 product"),
        ("S02MSIL1C_20200101T101010_0000_A122_T33TWM.zarr", [], "a Zarr product"),
        ("S2A_MSIL1C.tar.gz", [], "an archive of another kind than zip"),
    ],
)
def test_what_is_no_level_1c_is_called_what_it_is(name: str, files: list[str], kind: str, tmp_path: Path) -> None:
    given = tmp_path / name
    if name.endswith((".xml", ".gz")):
        given.write_bytes(b"no zip")
    else:
        given.mkdir()
        for file in files:
            (given / file).write_text("a" if file.endswith(".txt") else "<a/>")
    found = kind_of(given, files)
    assert found is not None
    assert found.startswith(kind)
    with pytest.raises(L1CError, match=kind):
        granules(given)


@pytest.mark.parametrize("where", ["plain", "folder", "zip", "zip in a folder"])
def test_a_level_2a_is_called_one(where: str, tmp_path: Path) -> None:
    product = shared(
        "stactools/S2B_MSIL2A_20220413T150759_N0400_R025_T33XWJ_20220413T082126.SAFE".replace(
            "20220413T08", "20220414T08"
        )
    )
    given = tmp_path / "given"
    if where == "plain":
        given = product
    elif where == "folder":
        copied(product, given / product.name)
    else:
        zipped(product, given / "a.zip", f"{product.name}/")
        given = given if "folder" in where else given / "a.zip"
    with pytest.raises(L1CError, match="a Level-2A product, not Level-1C"):
        granules(given)


# Zips that this reader can't read, and files that one must not open


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("at", [0.2, 0.5, 0.8])
def test_a_damaged_member_is_named(method: int, at: float, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    text = "".join(f"<a{n}/>" for n in range(20_000)).encode()
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("S.SAFE/MTD_MSIL1C.xml", b"<r>" + text + b"</r>")
    content = bytearray(path.read_bytes())
    start = int(len(content) * at)
    content[start : start + 8] = b"\xff" * 8
    path.write_bytes(content)
    with pytest.raises(L1CError, match=r"MTD_MSIL1C.xml: (damaged in the zip|malformed|empty)|can't be read"):
        granules(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_an_image_that_gdal_can_not_unpack_is_refused_for_that(safe: Path, tmp_path: Path, method: int) -> None:
    path = zipped(safe, tmp_path / "a.zip", f"{safe.name}/", method=method)
    with pytest.raises(L1CError, match=r"\.jp2: can't be read: packed by (lzma|bzip2), and GDAL"):
        granules(path)


def test_a_path_that_is_no_text_is_refused(safe: Path, tmp_path: Path) -> None:
    with pytest.raises(L1CError, match="its path is not UTF-8") as caught:
        granules(copied(safe, tmp_path / os.fsdecode(b"\xff.SAFE")))
    assert str(caught.value).isprintable()


def test_a_comment_in_which_gdal_gets_lost_is_refused(safe: Path, tmp_path: Path) -> None:
    path = zipped(safe, tmp_path / "a.zip", f"{safe.name}/")
    for length, good in ((60_000, True), (65_535, False)):
        with zipfile.ZipFile(path, "a") as archive:
            archive.comment = b"x" * length
        with contextlib.nullcontext() if good else pytest.raises(L1CError, match="a comment of 65535 bytes"):
            granules(path)


def test_a_zip_of_many_files_costs_one_look_at_their_list(safe: Path, tmp_path: Path) -> None:
    path = zipped(safe, tmp_path / "a.zip", f"{safe.name}/", *((f"{safe.name}/{n}", b"") for n in range(20_000)))
    began = time.process_time()
    granules(path)
    assert time.process_time() - began < 5


def test_a_list_of_files_without_end_is_refused(safe: Path, tmp_path: Path) -> None:
    path = zipped(safe, tmp_path / "a.zip", f"{safe.name}/")
    content = bytearray(path.read_bytes())
    struct.pack_into("<L", content, content.rindex(b"PK\5\6") + 12, 2**32 - 2)
    path.write_bytes(content)
    with pytest.raises(L1CError, match="its list of files is longer"):
        granules(path)


@pytest.mark.parametrize(("offset", "value"), [(4, 99), (10, 77), (8, 1)])
def test_a_zip_of_another_version_method_or_encrypted_is_refused(offset: int, value: int, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("S.SAFE/MTD_MSIL1C.xml", b"<a/>")
    content = bytearray(path.read_bytes())
    for signature, shift in ((b"PK\3\4", 0), (b"PK\1\2", 2)):
        at = content.index(signature) + shift
        content[at + offset] = value
    path.write_bytes(content)
    with pytest.raises(L1CError) as caught:
        granules(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["MTD_MSIL1C.xml", "GRANULE/{}/MTD_TL.xml", "GRANULE/{}/IMG_DATA/{}"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(name: str, safe: Path, tmp_path: Path) -> None:
    package = copied(safe, tmp_path / safe.name)
    (granule,) = (p.name for p in (package / "GRANULE").iterdir())
    image = next((package / "GRANULE" / granule / "IMG_DATA").iterdir()).name
    path = package / name.format(granule, image)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(L1CError, match=r"no regular file|no product metadata|missing"):
        granules(package)


def test_a_fault_of_the_disk_is_none_of_the_package(tmp_path: Path) -> None:
    for number in (errno.EIO, errno.ESTALE, errno.ENOSPC, errno.EMFILE):
        assert isinstance(failed(tmp_path, OSError(number, "x")), StorageError)
    for number in (errno.EINVAL, errno.ENAMETOOLONG, errno.ELOOP, errno.ENXIO, errno.EISDIR):
        assert isinstance(failed(tmp_path, OSError(number, "x")), L1CError)
    assert isinstance(failed(tmp_path, OSError("Invalid data stream")), L1CError)


# A granule is judged by itself


def several(folder: Path) -> tuple[Path, list[str]]:
    """An old package, and its tiles."""
    package = small(OLD, folder)
    return package, sorted(p.name[-13:-7] for p in (package / "GRANULE").iterdir())


def product_xml(package: Path) -> Path:
    return next(package.glob("*MTD*.xml"))


def tile_of(package: Path, tile: str) -> Path:
    return next(p for p in (package / "GRANULE").iterdir() if tile in p.name)


def test_tiles_that_are_listed_but_not_there_are_named_and_the_others_taken(tmp_path: Path) -> None:
    package, (first, *others) = several(tmp_path)
    assert sorted(f"T{g.tile}" for g in granules(package)) == [first, *others]
    for tile in others:
        shutil.rmtree(tile_of(package, tile))
    held = contents(package)
    assert [f"T{g.tile}" for g in held.granules] == [first]
    assert held.of(None) == list(held.granules)
    assert all(tile in error.fault for tile, error in zip(others, held.unusable, strict=True))
    with pytest.raises(L1CError, match=f"{others[0]}.*missing"):
        held.of(others[0][1:])


def test_a_tile_with_a_fault_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    package, (first, *others) = several(tmp_path)
    xml = next(tile_of(package, first).glob("*.xml"))
    xml.write_text(xml.read_text().replace("EPSG:32", "EPSG:99"))
    assert sorted(f"T{g.tile}" for g in granules(package)) == others
    for tile in others:
        next(tile_of(package, tile).glob("*.xml")).write_text("")
    with pytest.raises(L1CError, match="HORIZONTAL_CS_CODE"):
        granules(package)


def test_a_tile_that_is_listed_twice_is_there_once(tmp_path: Path) -> None:
    package, tiles = several(tmp_path)
    text = product_xml(package).read_text()
    start = text.index("<Granules ")
    end = text.index("</Granules>", start) + len("</Granules>")
    product_xml(package).write_text(text[:end] + text[start:end] + text[end:])
    assert sorted(f"T{g.tile}" for g in granules(package)) == tiles


@pytest.mark.parametrize("year", [1, 1980, 9999])
def test_a_date_when_no_sentinel_2_flew_is_an_error_of_the_file(year: int, safe: Path, tmp_path: Path) -> None:
    package = copied(safe, tmp_path / safe.name)
    for path in package.glob("GRANULE/*/MTD_TL.xml"):
        path.write_text(
            path.read_text().replace(
                '<SENSING_TIME metadataLevel="Standard">2020', f'<SENSING_TIME metadataLevel="Standard">{year:04d}'
            )
        )
        assert f">{year:04d}-" in path.read_text()
    with pytest.raises(L1CError, match=r"no Sentinel-2 flew then|not a time"):
        granules(package)
