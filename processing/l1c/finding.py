"""Where packages lie in what was given: itself, or in folders of it, in a zip too; and what it is where it is none.

Products come as users and their tools keep them: a SAFE in a folder, in another SAFE, beside the files that desktops
and GDAL leave. All of that is looked through, and none of it is read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

#: Folders are looked through so deep: a download's folder, that of a date, a SAFE, a SAFE in it.
DEPTH = 4
#: More folders than this in one place, or in all of them, are no download. Those after them are left out.
MOST_FOLDERS, MOST_IN_ALL = 5_000, 20_000
#: Endings of files that a transfer program has not finished yet.
PARTIAL = (".part", ".partial", ".tmp", ".filepart", ".crdownload", ".aria2")
#: What desktops, tools and GDAL leave beside the files: resource forks of macOS, views of folders, PAM.
STRAY = re.compile(r"\._.*|\.DS_Store|__MACOSX|Thumbs\.db|desktop\.ini|.*\.aux\.xml|@eaDir", re.IGNORECASE)
#: Names of the metadata at the root of a Sentinel-2 or MUSCATE product.
PRODUCT_XML = re.compile(r"(.*_)?MTD_(MSIL\w\w|SAFL\w\w|ALL)(_.*)?\.xml", re.IGNORECASE)
#: How the folder of a store is called. Its groups look like stores: it is not looked into.
ZARR = ".zarr"
#: What lies at the root of a Zarr store, of any format.
STORE = frozenset({"zarr.json", ".zgroup", ".zattrs", ".zmetadata"})
#: What else is recognised, by the name of the package or of a file at its root.
OTHERS = (
    (r"S2[A-Z]_(OPER_PRD_)?MSIL1A.*|S2[A-Z]_OPER_MSI_L1A_.*|.*_MTD_(SAFL1A|L1A_\w\w)_.*", "a Level-1A product"),
    (r"S2[A-Z]_(OPER_PRD_)?MSIL1B.*|S2[A-Z]_OPER_MSI_L1B_.*|.*_MTD_(SAFL1B|L1B_\w\w)_.*", "a Level-1B product"),
    (r"S2[A-Z_]{2}(OPER|TEST)_GIP_.*", "a Sentinel-2 GIPP, a file of processing parameters"),
    (r"S2[A-Z_]{2}(OPER|TEST)_AUX_.*", "a Sentinel-2 auxiliary file"),
    (r"S2[A-Z]_(USER_PRD_)?MSIL2A.*|SENTINEL2[A-Z]_.*_L2A_.*", "a Level-2A product"),
    (r"SENTINEL2[A-Z]_.*_L3A_.*", "a Level-3A product"),
    (r"(L[COTEM]0?\d_L[12].*|L[COTEM]\d{14}.*|.*_MTL\.(txt|xml|json))", "a Landsat product"),
    (r"HLS\.[SL]30\..*", "a product of HLS"),
    (r"S02MSIL\w\w_.*|.*\.zarr", "a Zarr product without its root (zarr.json or .zattrs)"),
    (r"S1[A-D]_.*", "a Sentinel-1 product"),
    (r"S3[A-D]_.*", "a Sentinel-3 product"),
    (
        r".*\.(tar|tar\.gz|tgz|tar\.bz2|tar\.xz|gz|bz2|xz|7z|rar)",
        "an archive of another kind than zip: unpack it first",
    ),
    (r".*\.(jp2|tiff?|hdf|nc|h5)", "a single image"),
)

#: Names of the files and of the folders in a folder.
Listing = Callable[[str], tuple[list[str], list[str]]]


def is_stray(name: str) -> bool:
    """Whether a file or folder of this name is none of the product's, but left by a desktop or a tool."""
    return any(STRAY.fullmatch(part) for part in PurePosixPath(name).parts)


def packages(path: Path) -> list[Path]:
    """The packages that a path means: itself, or those that lie in it, sorted by their paths.

    A package is a folder with a product's metadata, a Zarr store, or a zip.
    """
    if not path.is_dir() or path.name.endswith(ZARR):
        return [path]
    seen: set[tuple[int, int]] = set()
    return [path / inner for inner in search(lambda folder: _list(path / folder, seen), "")] or [path]


def roots(names: Iterable[str]) -> list[str]:
    """The folders of packages among the names of a zip's files; empty strings where that is the top."""
    tree: dict[str, tuple[set[str], set[str]]] = {"": (set(), set())}
    for name in names:
        *parents, file = name.split("/")
        for depth, parent in enumerate(parents):
            above = "/".join(parents[:depth])
            tree[above][1].add(parent)
            tree.setdefault("/".join(parents[: depth + 1]), (set(), set()))
        if file:
            tree["/".join(parents)][0].add(file)
    return search(lambda folder: (sorted(tree[folder][0]), sorted(tree[folder][1])), "", zips=False)


def search(listing: Listing, top: str, depth: int = DEPTH, *, zips: bool = True) -> list[str]:
    """Packages in a folder, the outermost ones, by their names relative to the top: "" for the top itself."""
    files, folders = listing(top)
    files = [name for name in files if not is_stray(name)]
    if any(PRODUCT_XML.fullmatch(name) or name in STORE for name in files):
        return [top]
    found = []
    if depth:
        for name in folders[:MOST_FOLDERS]:
            if is_stray(name) or name.startswith(".") or name.lower().endswith(PARTIAL) or name in _PARTS:
                continue
            inner = f"{top}/{name}" if top else name
            # A SAFE or store without its metadata is a package too: who gave it wants to hear what is wrong with it.
            within = [] if name.endswith(ZARR) else search(listing, inner, depth - 1, zips=zips)
            found += within or ([inner] if name.endswith((".SAFE", ZARR)) else [])
    if zips:
        found += [f"{top}/{n}" if top else n for n in files if n.lower().endswith(".zip") and not n.startswith(".")]
    if not found and ("GRANULE" in folders or any(n.endswith(".xml") and n != "INSPIRE.xml" for n in files)):
        return [top]
    return sorted(found)


#: Folders inside of a product.
_PARTS = frozenset({"GRANULE", "DATASTRIP", "AUX_DATA", "HTML", "rep_info", "MASKS", "DATA"})


def _list(folder: Path, seen: set[tuple[int, int]]) -> tuple[list[str], list[str]]:
    """What is in a folder that was not `seen` yet: links may lead to where they lie, many times over."""
    files: list[str] = []
    folders: list[str] = []
    try:
        status = folder.stat()
        here = status.st_dev, status.st_ino
        if here in seen or len(seen) >= MOST_IN_ALL:
            return [], []
        seen.add(here)
        with os.scandir(folder) as entries:
            for entry in entries:
                (folders if _is_folder(entry) else files).append(entry.name)
    except OSError:  # the one who reads it will name the fault
        return [], []
    return sorted(files), sorted(folders)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: what lies beside it is there all the same
        return False


def kind_of(path: Path, files: Iterable[str] = ()) -> str | None:
    """What something is that is no Level-1C, in words, as far as its name or those of its files tell."""
    for name in (path.name, *files):
        for pattern, words in OTHERS:
            if re.fullmatch(rf"(.*[\s_.-])?({pattern})", name, re.IGNORECASE):
                return words
    return None
