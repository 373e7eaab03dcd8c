"""A Level-1C package on disk: a `.SAFE` folder, or a zip of one read where it lies."""

from __future__ import annotations

import errno
import io
import lzma
import os
import re
import stat
import struct
import zipfile
import zlib
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import IO, Any, ClassVar

from lxml import etree

from processing.errors import L1CError, MuscateError, StorageError, UnsafeArchive
from processing.l1c.checksums import MANIFEST, Checksums
from processing.l1c.finding import is_stray, kind_of, packages, roots

#: Bounds of a zip: unpacked over packed size, unpacked size [bytes] (an old package of 15 tiles has some 8 GB), files.
MAX_RATIO = 200
MAX_UNPACKED = 16 * 1024**3
MAX_MEMBERS = 100_000
#: A member below this does no harm however well it packs, as an empty mask does. [bytes]
SMALL = 1024**2
#: No file that is used is longer: an image of noise has 10980 x 10980 pixels of 15 bits. [bytes]
MAX_FILE = 300_000_000
#: Nor any text or forecast: the longest XML file of real packages, that of a datastrip, has 24 MB. [bytes]
MAX_TEXT = 64_000_000
#: Nor the list of a zip's files [bytes]; and its comment, as GDAL looks for the list in the last 64 kB. [bytes]
MAX_DIRECTORY, MAX_COMMENT = 64_000_000, 65_000
#: Zips whose lists of files are kept.
KEPT = 4
#: What of a `zipfile.ZipFile` is its list of files.
_LISTED = ("filelist", "NameToInfo", "start_dir", "_comment")
#: Packages of a zip of several that its refusal names.
NAMED = 4
#: What the libraries raise on the way through a damaged or unknown zip. `RuntimeError`: encrypted;
#: `NotImplementedError`: a method or a version of zip that is not read.
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
    struct.error,
)
#: Of the disk, the network or the machine: to try again may help. Any other error of a file is the package's own.
INFRASTRUCTURE = frozenset(
    getattr(errno, name)
    for name in (
        *("EIO", "ENOSPC", "EDQUOT", "EROFS", "EMFILE", "ENFILE", "ENOMEM", "EAGAIN", "EBUSY", "EINTR", "ENODEV"),
        *("ESTALE", "ETIMEDOUT", "ENETUNREACH", "EHOSTUNREACH", "ENOTCONN", "ECONNRESET", "ECONNREFUSED"),
        *("ECONNABORTED", "EREMOTEIO"),
    )
    if hasattr(errno, name)
)


class Zip(zipfile.ZipFile):
    """A zip whose list of files is read once in a process, however often it is opened to read another file."""

    _kept: ClassVar[OrderedDict[tuple[object, ...], tuple[object, ...]]] = OrderedDict()
    _lock: ClassVar[Lock] = Lock()

    def _RealGetContents(self) -> None:
        file: Any = self.fp
        status = os.fstat(file.fileno())
        key = (self.filename, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        with self._lock:
            known = self._kept.get(key)
        if known is None:
            end = zipfile._EndRecData(file)  # type: ignore[attr-defined]
            if end and end[zipfile._ECD_SIZE] > MAX_DIRECTORY:  # type: ignore[attr-defined]
                raise zipfile.BadZipFile("its list of files is longer than one of packages")
            super()._RealGetContents()  # type: ignore[misc]
            known = tuple(getattr(self, name) for name in _LISTED)
            with self._lock:
                self._kept[key] = known
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        for name, value in zip(_LISTED, known, strict=True):
            setattr(self, name, value)


def failed(path: Path, error: OSError, text: str = "can't be read") -> MuscateError:
    """What an error of the system means: a fault of the machine, or one of the package."""
    said = f"{text} ({error.strerror or error})"
    if error.errno in INFRASTRUCTURE:
        return StorageError(f"{path}: {said}")
    return L1CError(path, said)


@dataclass(frozen=True)
class Package:
    """Files of one package by their names relative to its root, always with ``/``.

    Attributes
    ----------
    path : Path
        The folder or the zip.
    zipped : bool
    root : str
        Folder of the zip that holds the package, with a final ``/``; empty where it is the top.
    checksums : Checksums
        What became of those of its manifest.
    """

    path: Path
    zipped: bool = False
    root: str = ""
    checksums: Checksums = field(default_factory=Checksums, repr=False, compare=False)

    def fault(self, name: str, text: str) -> L1CError:
        """The error that names a file of the package."""
        return L1CError(self.path, f"{PurePosixPath(name).name}: {text}")

    def open(self, name: str) -> IO[bytes]:
        """A file to read and seek in; out of a zip it is unpacked to memory and its checksum verified first.

        Raises
        ------
        L1CError
            If the file is missing or damaged.
        StorageError
            If the disk can't be read.
        """
        try:
            if not self.zipped:
                return self._bounded(name, self._regular(name))
            with Zip(self.path) as archive:
                self._check_size(name, archive.getinfo(self.root + name).file_size)
                return io.BytesIO(archive.read(self.root + name))
        except (KeyError, FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise self.fault(name, "missing") from None
        except PermissionError:
            raise self.fault(name, "may not be read") from None
        except DAMAGE as error:
            raise self.fault(name, f"damaged in the zip ({error})") from error
        except OSError as error:
            raise failed(self.path, error, f"{PurePosixPath(name).name} can't be read") from error

    def _regular(self, name: str) -> IO[bytes]:
        """A file of a folder: nothing else is opened, as one waits for ever for what comes out of a pipe."""
        handle = os.open(self.path / name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if stat.S_ISREG(os.fstat(handle).st_mode):
            return open(handle, "rb")
        os.close(handle)
        raise self.fault(name, "no regular file")

    def start(self, name: str, length: int) -> bytes:
        """The first bytes of a file, without the rest; errors as of `open`."""
        if not self.zipped:
            with self.open(name) as file:
                return file.read(length)
        try:
            with Zip(self.path) as archive:
                # Not to its end, where its checksum would be due.
                length = min(length, archive.getinfo(self.root + name).file_size - 1)
                with archive.open(self.root + name) as member:
                    return member.read(max(length, 0))
        except Exception:  # whatever is wrong with it, to open it says
            with self.open(name) as file:
                return file.read(length)

    def _bounded(self, name: str, file: IO[bytes]) -> IO[bytes]:
        try:
            if not Path(os.path.realpath(self.path / name)).is_relative_to(os.path.realpath(self.path)):
                raise self.fault(name, "a link out of the package")
            self._check_size(name, os.fstat(file.fileno()).st_size)
        except L1CError:
            file.close()
            raise
        return file

    def _check_size(self, name: str, size: int) -> None:
        most = MAX_FILE if name.endswith(".jp2") else MAX_TEXT
        if size > most:
            raise self.fault(name, f"{size / 1e6:.0f} MB, at most {most / 1e6:.0f} MB are read")

    def read(self, name: str) -> bytes:
        """Whole content of a file, held against its checksum; errors as of `open` and `verify`."""
        with self.open(name) as file:
            content = file.read()
        self.verify(name, content)
        return content

    def verify(self, name: str, content: bytes | None = None) -> None:
        """Hold a file, or its content where that is known, against the package's manifest; once.

        Raises
        ------
        L1CError
            If it is damaged, or is another file of the package.
        """
        if name != MANIFEST:
            self.checksums.verify(self, name, content)

    def files(self, folder: str = "") -> list[str]:
        """Names of the product's files that lie in `folder` itself, sorted; empty if there is no such folder."""
        prefix = f"{folder}/" if folder else ""
        if self.zipped:
            with Zip(self.path) as archive:
                start = self.root + prefix
                inner = (n.removeprefix(start) for n in archive.namelist() if n.startswith(start))
                return sorted(prefix + n for n in inner if n and "/" not in n and not is_stray(n))
        here = self.path / folder
        try:
            names = [p.name for p in here.iterdir() if p.is_file()] if here.is_dir() else []
        except OSError as error:
            raise failed(self.path, error, f"{folder or 'its folder'} can't be read") from error
        return sorted(prefix + name for name in names if not is_stray(name))

    def changed(self, name: str) -> int:
        """When a file, or the zip that holds it, was changed last; 0 where there is none. [ns]"""
        try:
            return (self.path if self.zipped else self.path / name).stat().st_mtime_ns
        except OSError:
            return 0

    def gdal(self, name: str) -> str:
        """Name under which GDAL opens a file.

        GDAL reads a zip in place, deflated members too: decoding a JPEG 2000 band costs 4 % more than from a plain
        file.

        Raises
        ------
        L1CError
            If it is no regular file, as GDAL would wait for what comes out of a pipe, or if GDAL reads no such path or
            no such method of zip.
        """
        path = self.path.resolve() / name
        if self.zipped:
            self._check_method(name)
        elif path.exists() and not path.is_file():
            raise self.fault(name, "no regular file")
        try:
            str(path).encode()
        except UnicodeEncodeError:
            raise self.fault(name, "its path is not UTF-8, as GDAL wants it") from None
        return f"/vsizip/{{{self.path.resolve()}}}/{self.root}{name}" if self.zipped else str(path)

    def _check_method(self, name: str) -> None:
        try:
            with Zip(self.path) as archive:
                method = archive.getinfo(self.root + name).compress_type
        except (KeyError, OSError, *DAMAGE):
            return  # who opens it says so
        if method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            how = zipfile.compressor_names.get(method, f"method {method}")  # type: ignore[attr-defined]
            raise self.fault(name, f"can't be read: packed by {how}, and GDAL reads what is stored or deflated")

    def xml(self, name: str) -> Any:
        """Root element of an XML file. External entities, document types and huge trees are not read.

        Raises
        ------
        L1CError
            If it is malformed or brings a document type.
        """
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
        # What can't be read says so better than its checksum.
        with self.open(name) as file:
            content = file.read()
        if not content.strip():
            raise self.fault(name, "empty, not XML")
        try:
            root = etree.fromstring(content, parser)
        except etree.XMLSyntaxError as error:
            raise self.fault(name, f"malformed XML ({error.msg})") from error
        if root.getroottree().docinfo.doctype:
            raise self.fault(name, "XML with a document type (DOCTYPE), which no Level-1C has: refused")
        self.verify(name, content)
        return root


def inside(package: Package, source: str, name: str) -> str:
    """`name`, read out of the metadata file `source`, if it stays inside the package.

    Raises
    ------
    L1CError
        If it doesn't.
    """
    if not _is_inside(name):
        raise package.fault(source, f"names a file outside of the package: {name!r}")
    return name


def _is_inside(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts and not re.search(r"[\\:\0]", name)


def open_package(path: Path) -> Package:
    """Find the package in a folder or zip; a zip is checked before anything of it is read.

    Raises
    ------
    L1CError
        If there is nothing, or the zip is damaged or holds no single package.
    UnsafeArchive
        If the zip could write outside its folder, holds links, or unpacks without bound.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise L1CError(path, "no such file or folder") from None
    except PermissionError:
        raise L1CError(path, "may not be read") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise (
            failed(path, error) if isinstance(error, OSError) else L1CError(path, f"can't be read ({error})")
        ) from None
    if stat.S_ISDIR(status.st_mode):
        held = packages(path)
        if len(held) > 1:
            raise L1CError(path, f"a folder of {len(held)} packages, one expected")
        return Package(path) if held == [path] else open_package(held[0])
    if not stat.S_ISREG(status.st_mode):
        raise L1CError(path, "neither a file nor a folder")
    return _open_zip(path)


def _open_zip(path: Path) -> Package:
    try:
        with Zip(path) as archive:
            members, comment = archive.infolist(), archive.comment
    except PermissionError:
        raise L1CError(path, "may not be read") from None
    except DAMAGE as error:
        what = kind_of(path)
        raise L1CError(path, f"{what or 'neither a .SAFE folder nor a whole zip'} ({error})") from error
    except OSError as error:
        raise failed(path, error) from error
    _check_members(path, members)
    if len(comment) > MAX_COMMENT:
        raise L1CError(path, f"a zip with a comment of {len(comment)} bytes, beyond which GDAL finds no files")
    names = [m.filename for m in members if not m.is_dir()]
    found = roots(names)
    if len(found) == 1:
        return Package(path, zipped=True, root=f"{found[0]}/" if found[0] else "")
    if not found and any(n.lower().endswith(".zip") for n in names):
        raise L1CError(path, "a zip of zips: unpack it first")
    tops = sorted({n.split("/")[0] for n in names if "/" in n and not is_stray(n)})
    if not found and len(tops) == 1:  # what it lacks is said by the one who looks for it
        return Package(path, zipped=True, root=f"{tops[0]}/")
    names = [PurePosixPath(root).name or path.stem for root in found] or tops
    listed = f" ({', '.join(names[:NAMED])}{', ...' if len(names) > NAMED else ''})" if names else ""
    raise L1CError(path, f"a zip of {len(names)} folders{listed}, one package expected: unpack it first")


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MAX_MEMBERS:
        raise UnsafeArchive(path, f"{len(members)} files, at most {MAX_MEMBERS} are read")
    seen: set[str] = set()
    for member in members:
        # zipfile cuts a name at a NUL: compare with what the archive really says
        if not _is_inside(member.filename) or "\0" in member.orig_filename:
            raise UnsafeArchive(path, f"a name that leads out of its folder: {member.orig_filename!r}")
        if member.filename in seen:
            raise UnsafeArchive(path, f"holds {member.filename} twice")
        seen.add(member.filename)
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise UnsafeArchive(path, f"holds a link or device: {member.filename}")
        if member.flag_bits & 1:
            raise L1CError(path, f"encrypted: {member.filename}")
        if member.file_size > SMALL and member.file_size > MAX_RATIO * member.compress_size:
            ratio = member.file_size / max(member.compress_size, 1)
            raise UnsafeArchive(path, f"{member.filename} unpacks to {ratio:.0f} times its size, at most {MAX_RATIO}")
    unpacked, packed = sum(m.file_size for m in members), path.stat().st_size
    if unpacked > MAX_UNPACKED:
        raise UnsafeArchive(path, f"unpacks to {unpacked / 1e9:.1f} GB, at most {MAX_UNPACKED / 1e9:.1f} GB")
    if unpacked > max(MAX_RATIO * packed, SMALL):  # members may share their packed bytes
        raise UnsafeArchive(path, f"unpacks to {unpacked / packed:.0f} times its size, at most {MAX_RATIO}")
