"""The kinds of damage, each a function of a random source and a package's folder, or a zip; it says what it did."""

from __future__ import annotations

import os
import re
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import rasterio
from affine import Affine

Mutation = Callable[[Random, Path], str]


def _files(package: Path) -> list[Path]:
    return sorted(p for p in package.rglob("*") if p.is_file() and not p.is_symlink())


def _any(random: Random, package: Path, pattern: str = "") -> Path:
    """One of the files whose name has a pattern; each kind of file as often as the others."""
    if not pattern:
        pattern = random.choice(
            [r"IMG_DATA.*jp2$", r"MSK_DETFOO", r"MSK_(QUALIT|DEFECT|SATURA|NODATA|TECQUA)", r"MTD_MSI", r"MTD_TL"]
            + [r"AUX_", r"manifest", r"IMG_DATA.*jp2$"]
        )
    found = [p for p in _files(package) if re.search(pattern, str(p.relative_to(package)))]
    return random.choice(found or _files(package))


def _told(what: str, path: Path) -> str:
    return f"{what} {path.name}"


# Bytes


def flip(random: Random, package: Path) -> str:
    """One to some bits."""
    path = _any(random, package)
    content = bytearray(path.read_bytes())
    count = random.choice([1, 1, 3, 30]) if content else 0
    for _ in range(count):
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    path.write_bytes(content)
    return _told(f"{count} bits flipped in", path)


def truncate(random: Random, package: Path) -> str:
    path = _any(random, package)
    content = path.read_bytes()
    path.write_bytes(
        content[
            : random.choice([0, 1, len(content) // 2, max(len(content) - 1, 0), random.randrange(len(content) + 1)])
        ]
    )
    return _told("truncated", path)


def zero(random: Random, package: Path) -> str:
    path = _any(random, package)
    content = bytearray(path.read_bytes())
    start = random.randrange(len(content) + 1)
    length = min(random.choice([16, 512, 4096, len(content)]), len(content) - start)
    content[start : start + length] = bytes(length)
    path.write_bytes(content)
    return _told(f"{length} zeros in", path)


def noise(random: Random, package: Path) -> str:
    path = _any(random, package)
    path.write_bytes(random.randbytes(random.choice([1, 100, 10_000])))
    return _told("noise in place of", path)


def append(random: Random, package: Path) -> str:
    path = _any(random, package)
    path.write_bytes(path.read_bytes() + random.choice([b"\0", b"\n", bytes(1000), random.randbytes(50)]))
    return _told("something after", path)


def insert(random: Random, package: Path) -> str:
    path = _any(random, package)
    content = path.read_bytes()
    at = random.randrange(len(content) + 1)
    path.write_bytes(content[:at] + random.randbytes(random.choice([1, 8])) + content[at + random.choice([0, 3]) :])
    return _told("bytes inserted in", path)


# Files


def swap(random: Random, package: Path) -> str:
    one = _any(random, package, random.choice(["IMG_DATA", "MSK_", "MSK_DETFOO"]))
    alike = [p for p in _files(package) if p.parent == one.parent and p != one]
    other = random.choice(alike)
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    return f"swapped {one.name} and {other.name}"


def copy_over(random: Random, package: Path) -> str:
    one, other = _any(random, package, "IMG_DATA|MSK_"), _any(random, package, "IMG_DATA|MSK_")
    one.write_bytes(other.read_bytes())
    return f"{other.name} in place of {one.name}"


def delete(random: Random, package: Path) -> str:
    path = _any(random, package)
    path.unlink()
    return _told("deleted", path)


def rename(random: Random, package: Path) -> str:
    path = _any(random, package)
    path.rename(path.with_name(random.choice([path.name.lower(), path.name + ".bak", "é\n" + path.name])))
    return _told("renamed", path)


def add(random: Random, package: Path) -> str:
    path = _any(random, package)
    other = path.with_name(random.choice(["._" + path.name, path.name + ".aux.xml", "x.xml", ".DS_Store", "T_B02.jp2"]))
    other.write_bytes(random.choice([b"", b"<PAMDataset></PAMDataset>", path.read_bytes()]))
    return _told("added", other)


def odd_file(random: Random, package: Path) -> str:
    """Something that is no regular file, where one is expected."""
    path = _any(random, package)
    content = path.read_bytes()
    path.unlink()
    kind = random.choice(["fifo", "folder", "device", "out", "loop", "socket"])
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to(random.choice(["/dev/zero", "/dev/stdin", "/dev/full"]))
    elif kind == "out":
        outside = package.parent / "outside"
        outside.write_bytes(content)
        path.symlink_to(outside)
    elif kind == "loop":
        path.symlink_to(path.name)
    else:
        import socket

        here = os.getcwd()
        os.chdir(path.parent)  # the names of sockets are short
        try:
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(path.name)
        finally:
            os.chdir(here)
    return _told(f"a {kind} for", path)


# XML

_NUMBERS = [
    "NaN",
    "inf",
    "-1",
    "0",
    "1e308",
    "-1e308",
    "9" * 5000,
    "",
    "é",
    "1,5",
    "0x10",
    "1_000",
    "65535",
    "2",
    "-1000.5",
]
_TIMES = [
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999+23:59",
    "0001-01-01T00:00:00+23:00",
    "2016-12-31T23:59:60Z",
]
_TIMES += ["2024-13-45T00:00:00Z", "yesterday", "2034-06-08T10:53:26.000Z", "1969-12-31T00:00:00Z"]


def xml_value(random: Random, package: Path) -> str:
    """The text of some element."""
    path = _any(random, package, random.choice([r"MTD_MSI", r"MTD_TL", r"MTD_TL", r"manifest", r"MSK_.*gml"]))
    text = path.read_text()
    found = list(re.finditer(r"<([A-Za-z_0-9:]+)([^<>]*)>([^<>]+)</", text))
    if not found:
        return "nothing"
    tags = sorted({match[1] for match in found})
    tag = random.choice(tags)  # each element as often, however many there are of it
    match = random.choice([match for match in found if match[1] == tag])
    value = _changed(random, match[3])
    path.write_text(text[: match.start(3)] + value + text[match.end(3) :])
    return f"{match[1]} of {path.name} is {value[:40]!r}"


def _changed(random: Random, old: str) -> str:
    if re.match(r"\s*\d{4}-\d\d-\d\dT", old):
        return random.choice(_TIMES)
    words = old.split(" ")
    if len(words) > 3:  # a list of numbers
        words[random.randrange(len(words))] = random.choice(_NUMBERS)
        return " ".join(words)
    digits = [n for n, c in enumerate(old) if c.isdigit()]
    if digits and random.random() < 0.6:
        at = random.choice(digits)
        return old[:at] + str(random.randrange(10)) + old[at + 1 :]
    return random.choice([*_NUMBERS, "../../../etc/passwd", "/etc/passwd", "a" * 100_000, "S2X", "&#1;", "\t"]).replace(
        "&#1;", "?"
    )


def xml_attribute(random: Random, package: Path) -> str:
    path = _any(random, package, random.choice([r"MTD_MSI", r"MTD_TL", r"MTD_TL", r"manifest", r"MSK_.*gml"]))
    text = path.read_text()
    found = list(re.finditer(r' ([A-Za-z_]+)="([^"]*)"', text))
    name = random.choice(sorted({match[1] for match in found}))
    match = random.choice([match for match in found if match[1] == name])
    value = random.choice(["", "-1", "12", "13", "99", "٣", "9" * 5000, "x" * 100_000, "1", "8", "../x", "B02"])
    path.write_text(text[: match.start(2)] + value + text[match.end(2) :])
    return f"{name} in {path.name} is {value[:20]!r}"


def xml_element(random: Random, package: Path) -> str:
    """An element less, or twice, or elsewhere."""
    path = _any(random, package, random.choice([r"MTD_MSI", r"MTD_TL", r"manifest"]))
    text = path.read_text()
    found = list(re.finditer(r"<([A-Za-z_0-9:]+)[^<>]*>[^<>]*</\1>|<(\w+)( [^<>]*)?>.*?</\2>", text, re.DOTALL))
    tag = random.choice(sorted({match[1] or match[2] for match in found}))
    match = random.choice([match for match in found if (match[1] or match[2]) == tag])
    what = random.choice(["removed", "doubled"])
    path.write_text(text[: match.start()] + (match[0] * 2 if what == "doubled" else "") + text[match.end() :])
    return f"{tag} of {path.name} {what}"


def xml_bomb(random: Random, package: Path) -> str:
    path = _any(random, package, random.choice([r"MTD_MSI", r"MTD_TL", r"manifest", r"MSK_.*gml"]))
    text = path.read_text()
    kind = random.choice(["laughs", "entity", "deep", "wide", "comment", "utf16", "attributes"])
    head, start = re.match(r"\s*(<\?xml[^>]*\?>)?", text)[0], len(re.match(r"\s*(<\?xml[^>]*\?>)?", text)[0])  # type: ignore[index]
    last = text.rindex("</")
    if kind == "laughs":
        entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
        text = f'{head}<!DOCTYPE x [<!ENTITY a0 "ha">{entities}]>{text[start:last]}&a9;{text[last:]}'
    elif kind == "entity":
        text = f'{head}<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>{text[start:last]}&a;{text[last:]}'
    elif kind == "deep":
        text = text[:last] + "<a>" * 100_000 + "</a>" * 100_000 + text[last:]
    elif kind == "wide":
        text = text[:last] + "<a/>" * 300_000 + text[last:]
    elif kind == "comment":
        text = text[:last] + f"<!--{'x' * 12_000_000}-->" + text[last:]
    elif kind == "attributes":
        text = text[:last] + "<a " + " ".join(f'b{n}="1"' for n in range(100_000)) + "/>" + text[last:]
    path.write_text(text, encoding="utf-16" if kind == "utf16" else "utf-8")
    return f"{kind} in {path.name}"


# Images and masks


def jp2_header(random: Random, package: Path) -> str:
    """A number of the image's size, its tiles or its coding."""
    path = _any(random, package, r"\.jp2$")
    content = bytearray(path.read_bytes())
    at = content.find(b"\xff\x4f\xff\x51")
    if at < 0:
        return "nothing"
    kind = random.choice(["size", "size", "tile", "layers", "depth", "coding", "box", "part"])
    value = random.choice([0, 1, 2, 255, 10_980, 65_535, 2**31 - 1, 2**32 - 1])
    if kind in ("size", "tile"):
        field = random.randrange(4) if kind == "size" else random.randrange(4, 8)
        struct.pack_into(">I", content, at + 8 + 4 * field, value)
    elif kind == "layers":
        struct.pack_into(">H", content, at + 40, value & 0xFFFF)
    elif kind == "depth":
        content[at + 42] = value & 0xFF
    elif kind == "coding" and (cod := content.find(b"\xff\x52", at)) > 0:
        content[cod + 4 + random.randrange(10)] = value & 0xFF
    elif kind == "part" and (sot := content.find(b"\xff\x90", at)) > 0:
        struct.pack_into(">I", content, sot + 6, value)
    else:
        struct.pack_into(">I", content, random.choice([0, 12, 40]), value)
    path.write_bytes(content)
    return f"{kind} of {path.name} is {value}"


def gml(random: Random, package: Path) -> str:
    """Polygons that are none, of no detector, or too many."""
    path = _any(random, package, random.choice([r"MSK_DETFOO.*gml", r"MSK_DETFOO.*gml", r"MSK_.*gml"]))
    if path.suffix != ".gml":
        return jp2_header(random, package)
    text = path.read_text()
    kind = random.choice(["corners", "far", "nan", "detector", "dimension", "few", "crossing", "empty", "band"])
    ring = {
        "corners": " ".join(f"{300000 + n % 1000} {4900000 + n % 777}" for n in range(1_200_000)),
        "far": "1e300 1e300 -1e300 1e300 -1e300 -1e300 1e300 1e300",
        "nan": "NaN NaN 0 0 1 1 NaN NaN",
        "few": "1 2 3 4",
        "crossing": "300000 4900000 301000 4899000 300000 4899000 301000 4900000 300000 4900000",
        "empty": "",
    }
    if kind in ring:
        text = re.sub(r"(<gml:posList[^>]*>)[^<]*", lambda match: match[1] + ring[kind], text, count=1)
    elif kind == "detector":
        text = re.sub(r"-\d\d-(\d+)", rf"-{random.choice(['00', '13', '99', '9' * 5000, 'é'])}-\1", text, count=1)
    elif kind == "dimension":
        value = random.choice(["0", "-1", "3", "x", "9" * 5000])
        text = text.replace('srsDimension="2"', f'srsDimension="{value}"')
    else:
        text = re.sub(r"detector_footprint-B\w\w", "detector_footprint-B09", text)
    path.write_text(text)
    return f"{kind} in {path.name}"


def grib(random: Random, package: Path) -> str:
    """The header of a forecast, or some of its bytes."""
    path = _any(random, package, "AUX_")
    if not path.name.startswith("AUX_"):
        return flip(random, package)
    content = bytearray(path.read_bytes())
    kind = random.choice(["grid", "grid", "flip", "longer"])
    if kind == "grid":
        for match in list(re.finditer(b"GRIB", bytes(content))):
            at = match.start() + (8 + 52 if content[match.start() + 7] == 1 else 37 + 30)
            for n in range(random.choice([6, 20])):
                if at + n < len(content) and random.random() < 0.5:
                    content[at + n] = random.choice([0xFF, 0xFE, 0, 1])
    elif kind == "flip":
        for _ in range(20):
            content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    else:
        content = content * 50
    path.write_bytes(content)
    return f"{kind} of {path.name}"


def granule_twice(random: Random, package: Path) -> str:
    (folder,) = list(package.glob("GRANULE/*"))[:1]
    shutil.copytree(folder, folder.with_name(folder.name + random.choice(["_2", "x", " copy"])))
    return "granule's folder copied"


FOLDER: dict[str, Mutation] = {
    f.__name__: f
    for f in (flip, flip, truncate, zero, noise, append, insert, swap, copy_over, delete, rename, add, odd_file)
    + (xml_value, xml_attribute, xml_element, xml_bomb, jp2_header, gml, grib, granule_twice)
}
#: How often each is tried, where not once.
WEIGHTS = {
    "xml_value": 5,
    "flip": 3,
    "jp2_header": 3,
    "xml_attribute": 2,
    "swap": 2,
    "granule_twice": 0.3,
    "xml_bomb": 0.7,
}


# Zips


def pack(package: Path, target: Path, method: int = zipfile.ZIP_STORED) -> None:
    """A zip of a package."""
    with zipfile.ZipFile(target, "w", method) as archive:
        for path in _files(package):
            archive.write(path, f"{package.name}/{path.relative_to(package)}")


def zip_flip(random: Random, path: Path) -> str:
    content = bytearray(path.read_bytes())
    start = random.choice([0, max(0, len(content) - 8000)])  # the files, or the directory at the end
    for _ in range(random.choice([1, 4, 40])):
        content[random.randrange(start, len(content))] ^= 1 << random.randrange(8)
    path.write_bytes(content)
    return "bits flipped in the zip"


def zip_cut(random: Random, path: Path) -> str:
    content = path.read_bytes()
    cut = random.randrange(len(content))
    path.write_bytes(random.choice([content[:cut], content[cut:], b"junk" * 100 + content, content + b"junk"]))
    return "zip cut or grown"


def zip_field(random: Random, path: Path) -> str:
    """A number of a file in the zip's directory: version 9.9, method, flags, sizes, place."""
    content = bytearray(path.read_bytes())
    places = [m.start() for m in re.finditer(b"PK\x01\x02", bytes(content))]
    if not places:
        return "nothing"
    field, size = random.choice([(6, 2), (6, 2), (8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (42, 4)])
    for at in random.choice([places, [random.choice(places)]]):
        value = random.choice([0, 1, 8, 9, 12, 14, 93, 99, 0xFFFF, 0xFFFFFFFF, 1 << 20])
        struct.pack_into("<H" if size == 2 else "<I", content, at + field, value & (256**size - 1))
    path.write_bytes(content)
    return f"field {field} of the zip's directory"


def zip_method(random: Random, path: Path) -> str:
    """Packed by bzip2 or LZMA, and damaged."""
    method = random.choice([zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED])
    again = path.with_suffix(".again")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(again, "w", method) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    again.replace(path)
    if random.random() < 0.7:
        content = bytearray(path.read_bytes())
        for _ in range(random.choice([1, 20, 200])):
            content[random.randrange(len(content) - 8000)] ^= 0xFF
        path.write_bytes(content)
    return f"packed by method {method}, damaged"


def zip_member(random: Random, path: Path) -> str:
    """A file more: a bomb, a name that leads out, that is there, or of control characters; a link."""
    kind = random.choice(["bomb", "many", "out", "twice", "control", "link", "absolute", "empty name"])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        names = archive.namelist()
        top = names[0].split("/")[0]
        if kind == "bomb":
            archive.writestr(f"{top}/bomb.jp2", bytes(50_000_000))
        elif kind == "many":
            for n in range(3000):
                archive.writestr(f"{top}/x/{n}", b"")
        elif kind == "link":
            info = zipfile.ZipInfo(f"{top}/link")
            info.external_attr = 0o120777 << 16
            archive.writestr(info, "/etc/passwd")
        else:
            name = {"out": "../x", "absolute": "/tmp/x", "control": f"{top}/a\x1b[2J\x07\n.xml", "empty name": "/"}
            import warnings

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                archive.writestr(name.get(kind, random.choice(names)), b"x")
    return f"{kind} in the zip"


ZIP: dict[str, Mutation] = {f.__name__: f for f in (zip_flip, zip_cut, zip_field, zip_method, zip_member)}


# Terrain models


def _rewritten(path: Path, change: Callable[[Any], Any], **profile: Any) -> None:
    """A model written anew with other numbers, and a profile or tags of its own."""
    tags = {name: profile.pop(name) for name in ("units", "scales", "offsets") if name in profile}
    with rasterio.open(path) as model:
        numbers, was = model.read(1), model.profile
    numbers = change(numbers.astype(np.float64))
    with np.errstate(invalid="ignore", over="ignore"):
        numbers = numbers.astype(profile.get("dtype", was["dtype"]))
    with rasterio.open(path, "w", **{**was, **profile}) as out:
        out.write(numbers, 1)
        for name, value in tags.items():
            setattr(out, name, (value,))


def voids(random: Random, path: Path) -> str:
    """Holes, single or large, with or without a tag."""
    value = random.choice([-32768, -9999, 32767, 9999, -99999, float("nan"), float("inf"), 1e30])
    side, tagged = random.choice([1, 2, 4, 20]), random.random() < 0.3

    def change(altitude: Any) -> Any:
        for _ in range(random.choice([1, 5, 40])):
            row, col = random.randrange(altitude.shape[0]), random.randrange(altitude.shape[1])
            altitude[row : row + side, col : col + side] = value
        return altitude

    _rewritten(path, change, **({"nodata": value} if tagged and value < 1e9 else {}))
    return f"holes of {side} pixels with {value}, {'tagged' if tagged else 'untagged'}"


def seam(random: Random, path: Path) -> str:
    at, wide = random.randrange(60), random.choice([1, 2, 5])

    def change(altitude: Any) -> Any:
        (altitude if random.random() < 0.5 else altitude.T)[at : at + wide] = float("nan")
        return altitude

    _rewritten(path, change)
    return f"{wide} lines without data"


def other_unit(random: Random, path: Path) -> str:
    factor = random.choice([1 / 0.3048, 10, 100, 1000])
    _rewritten(path, lambda altitude: altitude * factor)
    return f"altitudes times {factor:g}"


def tagged(random: Random, path: Path) -> str:
    """Tags that say something else of the same numbers."""
    tags = random.choice(
        [{"units": "ft"}, {"units": "dm"}, {"units": "K"}, {"units": "\u00e9\n"}, {"scales": 0.1}, {"scales": 0.0}]
        + [{"offsets": 500.0}, {"scales": float("nan")}, {"offsets": float("inf")}, {"scales": -1.0}]
    )
    _rewritten(path, lambda altitude: altitude, **tags)
    return f"tags {tags}"


def typed(random: Random, path: Path) -> str:
    kind = random.choice(["complex64", "complex128", "float64"])
    _rewritten(path, lambda altitude: altitude, dtype=kind)
    return f"numbers of {kind}"


def placed(random: Random, path: Path) -> str:
    """In another place, projection or size."""
    with rasterio.open(path) as model:
        t = model.transform
    change = random.choice(
        [{"crs": None}, {"crs": "EPSG:3857"}, {"crs": "EPSG:4326"}, {"transform": Affine.identity()}]
        + [{"transform": Affine(t.a, 0, t.c + 5e5, 0, t.e, t.f)}, {"transform": Affine(0, 0, t.c, 0, t.e, t.f)}]
        + [{"transform": Affine(1e-9, 0, t.c, 0, -1e-9, t.f)}, {"transform": Affine(t.a, 0, 1e300, 0, t.e, t.f)}]
    )
    _rewritten(path, lambda altitude: altitude, **change)
    return f"placed {change}"


def giant(random: Random, path: Path) -> str:
    """A small file that claims many pixels."""
    with rasterio.open(path) as model:
        profile, t = model.profile, model.transform
    side = random.choice([20_000, 100_000])
    scale = 60 / side
    profile |= {
        "width": side,
        "height": side,
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "compress": "deflate",
    }
    profile |= {"transform": Affine(t.a * scale, 0, t.c, 0, t.e * scale, t.f), "sparse_ok": True, "bigtiff": "yes"}
    with rasterio.open(path, "w", **profile):
        pass
    return f"{side} x {side} pixels in {path.stat().st_size} bytes"


def spoilt(random: Random, path: Path) -> str:
    """Bytes of its file, which no checksum stands for: those of its head, or its end."""
    content = bytearray(path.read_bytes())
    if random.random() < 0.5:
        path.write_bytes(content[: random.choice([0, 3, 8, len(content) // 2, len(content) - 1])])
        return "truncated"
    path.write_bytes(random.choice([b"", b"II*\0", random.randbytes(200), b"<VRTDataset/>", b"north 1\n"]))
    return "something else"


TERRAIN: dict[str, Mutation] = {f.__name__: f for f in (voids, seam, other_unit, tagged, typed, placed, giant, spoilt)}
