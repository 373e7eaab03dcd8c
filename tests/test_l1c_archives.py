"""A zip is read where it lies, and never if it could do harm."""

from __future__ import annotations

import stat
import struct
import zipfile
from pathlib import Path

import pytest

from processing.errors import L1CError, UnsafeArchive
from processing.l1c import granules
from processing.l1c.package import MAX_RATIO, MAX_UNPACKED, Package, open_package
from tests.l1c_products import ANTIMERIDIAN, image_file, small

TOP = "S2A_MSIL1C_20200717T221941_N0209_R029_T01LAC_20200717T234135.SAFE"


def archive(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as out:
        for name, content in members:
            out.writestr(name, content)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "../evil.xml",
        f"{TOP}/../../evil.xml",
        "/etc/evil.xml",
        "..\\evil.xml",
        "C:/evil.xml",
        f"{TOP}/GRANULE/../../x",
    ],
)
def test_names_that_lead_out(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / "a.zip", (f"{TOP}/MTD_MSIL1C.xml", b"<a/>"), (name, b"evil"))
    with pytest.raises(UnsafeArchive, match=r"a\.zip: a name that leads out of its folder"):
        granules(path)
    assert sorted(p.name for p in tmp_path.parent.rglob("evil*")) == []


def test_a_nul_in_a_name(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", (f"{TOP}/MTD_MSIL1C.xmlZ", b"<a/>"))
    path.write_bytes(path.read_bytes().replace(b"xmlZ", b"xml\0"))
    with pytest.raises(UnsafeArchive, match="a name that leads out"):
        granules(path)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices(tmp_path: Path, kind: int) -> None:
    member = zipfile.ZipInfo(f"{TOP}/MTD_MSIL1C.xml")
    member.external_attr = (kind | 0o777) << 16
    with pytest.raises(UnsafeArchive, match="holds a link or device"):
        granules(archive(tmp_path / "a.zip", (member, b"/etc/passwd")))


def test_a_bomb(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", (f"{TOP}/MTD_MSIL1C.xml", b" " * 20_000_000))
    with pytest.raises(UnsafeArchive, match=rf"unpacks to \d+ times its size, at most {MAX_RATIO}"):
        granules(path)


def test_a_bomb_of_many_small_files(tmp_path: Path) -> None:
    members = [(f"{TOP}/{i}.xml", bytes(1_000_000)) for i in range(30)]
    with pytest.raises(UnsafeArchive, match=rf"unpacks to \d+ times its size, at most {MAX_RATIO}"):
        granules(archive(tmp_path / "a.zip", *members))


def test_a_bomb_that_lies_about_its_size(tmp_path: Path) -> None:
    """The directory says 10 bytes, the data are 20 MB: no more than said is unpacked, and the checksum is wrong."""
    path = archive(tmp_path / "a.zip", (f"{TOP}/MTD_MSIL1C.xml", b"<a/>" + bytes(20_000_000)))
    content = bytearray(path.read_bytes())
    directory = content.index(b"PK\x01\x02")
    for where in (22, directory + 24):
        content[where : where + 4] = struct.pack("<I", 10)
    path.write_bytes(content)
    with pytest.raises(L1CError, match=r"MTD_MSIL1C\.xml: damaged in the zip"):
        granules(path)


def test_more_than_any_package_holds(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", (f"{TOP}/MTD_MSIL1C.xml", b"<a/>"))
    content = bytearray(path.read_bytes())
    directory = content.index(b"PK\x01\x02")
    content[directory + 20 : directory + 28] = struct.pack("<II", 2**32 - 2, 2**32 - 2)
    path.write_bytes(content)
    with zipfile.ZipFile(path) as broken:
        assert broken.infolist()[0].file_size < MAX_UNPACKED
    with pytest.raises(UnsafeArchive, match="unpacks to"):
        granules(path)


def test_the_same_name_twice(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = archive(tmp_path / "a.zip", (f"{TOP}/a.xml", b"<a/>"), (f"{TOP}/a.xml", b"<b/>"))
    with pytest.raises(UnsafeArchive, match="twice"):
        granules(path)


def test_encrypted(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", (f"{TOP}/MTD_MSIL1C.xml", b"<a/>"))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(L1CError, match=r"encrypted: .*MTD_MSIL1C.xml"):
        granules(path)


@pytest.mark.parametrize("tops", [[], ["a.SAFE", "b.SAFE"]])
def test_not_one_package(tmp_path: Path, tops: list[str]) -> None:
    path = archive(tmp_path / "a.zip", *((f"{top}/MTD_MSIL1C.xml", b"<a/>") for top in tops))
    listed = r" \(a\.SAFE, b\.SAFE\)" if tops else ""
    with pytest.raises(L1CError, match=f"a zip of {len(tops)} folders{listed}, one package expected"):
        granules(path)


@pytest.fixture(scope="module")
def zipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A readable package, its members stored as they are."""
    folder = small(ANTIMERIDIAN, tmp_path_factory.mktemp("zip"))
    path = folder.parent / "a.zip"
    with zipfile.ZipFile(path, "w") as out:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            out.write(file, file.relative_to(folder.parent))
    return path


def test_files_at_the_top(zipped: Path, tmp_path: Path) -> None:
    """A package zipped without its folder."""
    flat = tmp_path / "S2A_MSIL1C_any.zip"
    with zipfile.ZipFile(zipped) as source, zipfile.ZipFile(flat, "w") as out:
        for member in source.infolist():
            out.writestr(member.filename.split("/", 1)[1], source.read(member))
    (granule,) = granules(flat)
    granule.check()
    assert granule.identifier == "S2A_MSIL1C_any"


def test_a_wrong_checksum_names_its_file(zipped: Path, tmp_path: Path) -> None:
    content = bytearray(zipped.read_bytes())
    image = image_file(zipped.parent / "S2A_MSIL1C_20200717T221941_R029_T01LAC_20200717T234135.SAFE", "B08")
    where = content.index(image.read_bytes()) + image.stat().st_size - 20
    content[where] ^= 0xFF
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    (granule,) = granules(path)
    with pytest.raises(L1CError, match=r"a\.zip: T01LAC_20200717T221941_B08\.jp2: damaged in the zip \(Bad CRC-32"):
        granule.check()


@pytest.mark.parametrize("keep", [0, 100, -1, -5000])
def test_a_truncated_zip(zipped: Path, tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(zipped.read_bytes()[:keep])
    with pytest.raises(L1CError, match=r"a\.zip: neither a .SAFE folder nor a whole zip"):
        granules(path)


def test_nothing_is_unpacked(zipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = sorted(zipped.parent.rglob("*"))
    (granule,) = granules(zipped)
    granule.check()
    assert sorted(zipped.parent.rglob("*")) == before
    assert list(tmp_path.iterdir()) == []


def test_files_of_a_folder(zipped: Path) -> None:
    folder = Package(next(zipped.parent.glob("*.SAFE")))
    package = open_package(zipped)
    for name in ("", "GRANULE", "DATASTRIP/none"):
        assert package.files(name) == folder.files(name)
