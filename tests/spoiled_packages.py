"""Bad packages of every kind, made of a good one, each with the words that its refusal has to have."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

Spoil = Callable[[Path, Path], Path]

#: Of a compact package, which the good one has to be.
PRODUCT, TILE = "MTD_MSIL1C.xml", "GRANULE/*/MTD_TL.xml"
IMAGE, DETECTORS = "GRANULE/*/IMG_DATA/*_B04.jp2", "GRANULE/*/QI_DATA/MSK_DETFOO_B04.jp2"


def one(package: Path, pattern: str) -> Path:
    return next(package.glob(pattern))


def folder(change: Callable[[Path], None]) -> Spoil:
    """A folder that was changed."""

    def make(good: Path, inbox: Path) -> Path:
        target = inbox / good.name
        shutil.copytree(good, target)
        change(target)
        return target

    return make


def text(file: str, pattern: str, replacement: str) -> Spoil:
    """A folder with a metadata file in which the first match was replaced."""

    def change(package: Path) -> None:
        path = one(package, file)
        new, count = re.subn(pattern, replacement, path.read_text(), count=1, flags=re.S)
        assert count, pattern
        path.write_text(new)

    return folder(change)


def content(file: str, change: Callable[[bytes], bytes]) -> Spoil:
    """A folder of which a file has another content."""

    def spoil(package: Path) -> None:
        path = one(package, file)
        path.write_bytes(change(path.read_bytes()))

    return folder(spoil)


def instead(file: str, put: Callable[[Path], object]) -> Spoil:
    """A folder of which a file is something else."""

    def change(package: Path) -> None:
        path = one(package, file)
        path.unlink()
        put(path)

    return folder(change)


def members(good: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(p for p in good.rglob("*") if p.is_file()):
        yield path, f"{good.name}/{path.relative_to(good)}"


def archive(change: Callable[[bytearray], bytes] = bytes, method: int = zipfile.ZIP_STORED, *more: str) -> Spoil:
    """A zip whose bytes were changed, with `more` members."""

    def make(good: Path, inbox: Path) -> Path:
        target = inbox / f"{good.stem}.zip"
        with zipfile.ZipFile(target, "w", method) as out:
            for path, name in members(good):
                out.write(path, name)
            for name in more:
                out.writestr(name, b"a")
        target.write_bytes(change(bytearray(target.read_bytes())))
        return target

    return make


def headers(local: int, value: int) -> Callable[[bytearray], bytes]:
    """Set a byte of all headers of a zip, by its place in the local ones."""

    def change(zipped: bytearray) -> bytes:
        for signature, shift in ((b"PK\3\4", 0), (b"PK\1\2", 2)):
            at = zipped.find(signature)
            while at >= 0:
                zipped[at + shift + local] = value
                at = zipped.find(signature, at + 4)
        return bytes(zipped)

    return change


def overwritten(at: float) -> Callable[[bytearray], bytes]:
    def change(zipped: bytearray) -> bytes:
        start = int(at * len(zipped))
        zipped[start : start + 64] = bytes(range(64))
        return bytes(zipped)

    return change


def bomb(good: Path, inbox: Path) -> Path:
    target = inbox / f"{good.stem}.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr(f"{good.name}/{PRODUCT}", bytes(50_000_000))
    return target


def named(name: str) -> Spoil:
    def make(good: Path, inbox: Path) -> Path:
        target = inbox / name
        shutil.copytree(good, target)
        one(target, PRODUCT).write_text("<a/>")
        return target

    return make


def other(name: str, *files: tuple[str, str]) -> Spoil:
    """Something that is no Level-1C at all."""

    def make(_: Path, inbox: Path) -> Path:
        target = inbox / name
        if not files:
            target.write_text("a")
        for file, inner in files:
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            (target / file).write_text(inner)
        return target

    return make


def pipe(_: Path, inbox: Path) -> Path:
    os.mkfifo(inbox / "pipe.SAFE")
    return inbox / "pipe.SAFE"


def broken_link(_: Path, inbox: Path) -> Path:
    (inbox / "link.SAFE").symlink_to(inbox / "nowhere")
    return inbox / "link.SAFE"


def zip_of_zips(good: Path, inbox: Path) -> Path:
    target = inbox / "zips.zip"
    with zipfile.ZipFile(target, "w") as out:
        out.writestr(f"{good.stem}.zip", b"PK")
    return target


def two_in_a_zip(good: Path, inbox: Path) -> Path:
    target = inbox / "two.zip"
    with zipfile.ZipFile(target, "w") as out:
        for name in ("a.SAFE", "b.SAFE"):
            out.write(good / PRODUCT, f"{name}/{PRODUCT}")
    return target


#: By kind: how it is made, and what the reason of its refusal matches.
KINDS: dict[str, tuple[Spoil, str]] = {
    "a pipe": (pipe, "neither a file nor a folder"),
    "a broken link": (broken_link, "no such file"),
    "a pipe for an image": (instead(IMAGE, os.mkfifo), "link or device.*B04"),
    "a pipe for the metadata": (instead(PRODUCT, os.mkfifo), "link or device.*MTD_MSIL1C"),
    "a link to another file": (instead(TILE, lambda p: p.symlink_to("/etc/hostname")), "link or device.*MTD_TL"),
    "no product metadata": (folder(lambda p: one(p, PRODUCT).unlink()), "no product metadata"),
    "empty metadata": (content(PRODUCT, lambda _: b""), "MTD_MSIL1C.xml: empty"),
    "metadata cut short": (content(PRODUCT, lambda b: b[: len(b) // 2]), "MTD_MSIL1C.xml: malformed"),
    "a document type": (
        text(PRODUCT, r"\?>", '?><!DOCTYPE a [<!ENTITY e "x">]>'),
        "MTD_MSIL1C.xml: .*(DOCTYPE|malformed)",
    ),
    "the year 1": (text(TILE, r"(<SENSING_TIME[^>]*>)\d{4}", r"\g<1>0001"), "SENSING_TIME|MTD_TL.xml"),
    "the year 9999": (text(PRODUCT, r"(<DATATAKE_SENSING_START>)\d{4}", r"\g<1>9999"), "DATATAKE_SENSING_START"),
    "a time with an odd zone": (
        text(TILE, r"(<SENSING_TIME[^>]*>)[^<]*", r"\g<1>0001-01-01T00:00:00+14:00"),
        "MTD_TL|Over",
    ),
    "an id of 5000 digits": (text(TILE, r'bandId="\d+"', f'bandId="{"9" * 5000}"'), "of band|can't be read"),
    "an orbit of 5000 digits": (text(PRODUCT, r"(<SENSING_ORBIT_NUMBER>)\d+", rf"\g<1>{'9' * 5000}"), "SENSING_ORBIT"),
    "a size of 5000 digits": (text(TILE, r'(<Size resolution=")10', rf"\g<1>{'1' * 5000}"), "MTD_TL|can't be read"),
    "another zone": (text(TILE, r"EPSG:326\d\d", "EPSG:32601"), "EPSG"),
    "no angles": (text(TILE, r"<Sun_Angles_Grid>.*</Sun_Angles_Grid>", ""), "Sun_Angles_Grid"),
    "no quantification": (text(PRODUCT, r"(<QUANTIFICATION_VALUE[^>]*>)[^<]*", r"\g<1>0"), "QUANTIFICATION_VALUE"),
    "no offsets": (text(PRODUCT, r"<Radiometric_Offset_List>.*</Radiometric_Offset_List>", ""), "RADIO_ADD_OFFSET"),
    "a name that leads out": (text(PRODUCT, r"(<IMAGE_FILE>)[^<]*_B01", r"\g<1>../../x_B01"), "outside of the package"),
    "no tile metadata": (folder(lambda p: one(p, TILE).unlink()), "MTD_TL.xml: missing"),
    "no image": (folder(lambda p: one(p, IMAGE).unlink()), "B04.jp2: missing"),
    "no mask": (folder(lambda p: one(p, DETECTORS).unlink()), "MSK_DETFOO_B04.jp2: missing"),
    "an empty image": (content(IMAGE, lambda _: b""), "B04.jp2: empty"),
    "an image cut short": (content(IMAGE, lambda b: b[: len(b) // 2]), r"B04.jp2"),
    "a text for an image": (content(IMAGE, lambda _: b"no image at all, but a text"), "B04.jp2: not a JPEG 2000"),
    "a mask cut short": (content(DETECTORS, lambda b: b[: len(b) // 2]), "MSK_DETFOO_B04.jp2"),
    "a Level-2A": (
        other("S2A_MSIL2A_x.SAFE", ("MTD_MSIL2A.xml", '<n:Level-2A_User_Product xmlns:n="x"/>')),
        "Level-2A",
    ),
    "a Level-1B": (other("S2A_OPER_PRD_MSIL1B_x.SAFE", ("INSPIRE.xml", "<a/>")), "a Level-1B product"),
    "a Landsat scene": (other("LC08_L1TP_190028_x", ("LC08_L1TP_190028_x_MTL.xml", "<a/>")), "a Landsat product"),
    "a GIPP": (other("S2A_OPER_GIP_VIEDIR_MPC__2015.DBL"), "a Sentinel-2 GIPP"),
    "a text named zip": (other("text.zip"), "nor a whole zip"),
    "a zip cut short": (archive(lambda b: bytes(b[: len(b) // 2])), "nor a whole zip"),
    "a zip of another version": (archive(headers(4, 99)), "zip"),
    "an unknown method": (archive(headers(8, 77)), "damaged in the zip"),
    "an encrypted zip": (archive(headers(6, 1)), "encrypted"),
    "damaged LZMA": (archive(overwritten(0.5), zipfile.ZIP_LZMA), "damaged in the zip|malformed|JPEG|can't be read"),
    "a zip that leads out": (archive(bytes, zipfile.ZIP_STORED, "../out"), "leads out of its folder"),
    "a bomb": (bomb, "unpacks to"),
    "a zip of zips": (zip_of_zips, "a zip of zips"),
    "two packages in a zip": (two_in_a_zip, "a zip of 2 folders"),
    "control characters in its name": (named("a\x07\x1b[31m\n.SAFE"), "not Level-1C|no product metadata"),
    "a name that is no text": (named(os.fsdecode(b"a\xff\xfe.SAFE")), "no product metadata"),
    "a name as long as can be": (named("x" * 250 + ".SAFE"), "no product metadata"),
}

#: Of a satellite or baseline that is not known: a centre holds them, without one they are refused.
UNRECOGNISED: dict[str, tuple[Spoil, str]] = {
    "an unknown baseline": (text(PRODUCT, r"(<PROCESSING_BASELINE>)[^<]*", r"\g<1>99.99"), "99.99.*not known"),
    "an unknown satellite": (text(PRODUCT, r"Sentinel-2[A-C]", "Sentinel-2Z"), "S2Z|SPACECRAFT"),
}
