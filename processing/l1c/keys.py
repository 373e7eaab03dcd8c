"""The files of a Zarr store by their keys, as bytes: in a folder, or in a zip where it lies.

Nothing is unpacked to the disk, and nothing is read that is longer than it may be.
"""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Protocol

from processing.errors import L1CError
from processing.l1c.package import DAMAGE, MAX_FILE, Package, failed

#: Deflated files of a zip that are kept unpacked, as of shards that are read in parts.
KEPT = 3
#: Length of the head of a file in a zip, without its name. [bytes]
_HEAD = 30


class Keys(Protocol):
    """The files of a store."""

    @property
    def path(self) -> Path:
        """Where the store lies."""

    def size(self, key: str) -> int | None:
        """Length of a file; None where there is none. [bytes]"""

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """A file, or a part of it; short where it ends before."""

    def verify(self, key: str) -> None:
        """Hold a whole file against its checksum, where it has one."""


def fault(keys: Keys, key: str, text: str) -> L1CError:
    """The error that names a place in the store by its whole path."""
    return L1CError(keys.path, f"{key}: {text}")


def of(package: Package) -> Keys:
    """The files of a package that is a store."""
    return _Zip(package) if package.zipped else _Folder(package.path)


class _Folder:
    """A store in a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def size(self, key: str) -> int | None:
        """As of `Keys`."""
        try:
            status = os.stat(self.path / key)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise self._failed(key, error) from error
        if not stat.S_ISREG(status.st_mode):
            raise fault(self, key, "no regular file")
        return status.st_size

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """As of `Keys`."""
        try:
            handle = os.open(self.path / key, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            raise self._failed(key, error) from error
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):  # one waits for ever for what comes out of a pipe
                raise fault(self, key, "no regular file")
            if not Path(os.path.realpath(self.path / key)).is_relative_to(os.path.realpath(self.path)):
                raise fault(self, key, "a link out of the store")
            return b"".join(_pieces(handle, start, _bounded(self, key, status.st_size, start, length)))
        except OSError as error:
            raise self._failed(key, error) from error
        finally:
            os.close(handle)

    def verify(self, key: str) -> None:
        """As of `Keys`: it has none."""

    def _failed(self, key: str, error: Exception) -> Exception:
        if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
            return fault(self, key, "missing")
        if isinstance(error, OSError):
            return failed(self.path, error, f"{key} can't be read")
        return fault(self, key, f"can't be read ({error})")


class _Zip:
    """A store in a zip, whose members were checked when it was opened as a package."""

    def __init__(self, package: Package) -> None:
        self.path, self._root = package.path, package.root
        self.__setstate__((self.path, self._root))

    def __getstate__(self) -> tuple[Path, str]:
        return self.path, self._root

    def __setstate__(self, state: tuple[Path, str]) -> None:
        self.path, self._root = state
        self._archive: zipfile.ZipFile | None = None
        self._lock = Lock()
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    def size(self, key: str) -> int | None:
        """As of `Keys`."""
        try:
            return self._opened().getinfo(self._root + key).file_size
        except KeyError:
            return None

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """As of `Keys`; of a whole file the checksum is verified."""
        archive = self._opened()
        try:
            member = archive.getinfo(self._root + key)
            length = _bounded(self, key, member.file_size, start, length)
            if member.compress_type == zipfile.ZIP_STORED and (start, length) != (0, member.file_size):
                return self._packed(archive, member, start, length)
            if (start, length) == (0, member.file_size):
                return self._whole(archive, member)
            return self._kept_whole(archive, member)[start : start + length]
        except KeyError:
            raise fault(self, key, "missing") from None
        except DAMAGE as error:
            raise fault(self, key, f"damaged in the zip ({error})") from error
        except OSError as error:
            raise failed(self.path, error, f"{key} can't be read") from error

    def _opened(self) -> zipfile.ZipFile:
        with self._lock:
            if self._archive is None:
                try:
                    self._archive = zipfile.ZipFile(self.path)
                except DAMAGE as error:
                    raise L1CError(self.path, f"no whole zip ({error})") from error
                except OSError as error:
                    raise failed(self.path, error) from error
            return self._archive

    def verify(self, key: str) -> None:
        """As of `Keys`."""
        self.read(key)

    def _packed(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo, start: int, length: int) -> bytes:
        """A part of a member as it lies there. Threads read beside each other, each where it wants."""
        assert archive.fp is not None
        handle = archive.fp.fileno()
        head = os.pread(handle, _HEAD, member.header_offset)
        name, extra = (int.from_bytes(head[at : at + 2], "little") for at in (26, 28))
        return b"".join(_pieces(handle, member.header_offset + _HEAD + name + extra + start, length))

    def _whole(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
        """A member unpacked, held against its checksum."""
        content = self._packed(archive, member, 0, member.compress_size)
        if member.compress_type == zipfile.ZIP_DEFLATED:
            stream = zlib.decompressobj(-zlib.MAX_WBITS)
            content = stream.decompress(content, member.file_size + 1)
        elif member.compress_type != zipfile.ZIP_STORED:
            raise NotImplementedError(f"packed by method {member.compress_type}, which is not read")
        if len(content) != member.file_size or zlib.crc32(content) != member.CRC:
            raise ValueError("its checksum or length is another one")
        return content

    def _kept_whole(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
        with self._lock:
            if member.filename in self._kept:
                self._kept.move_to_end(member.filename)
                return self._kept[member.filename]
        content = self._whole(archive, member)
        with self._lock:
            self._kept[member.filename] = content
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return content


def _bounded(keys: Keys, key: str, size: int, start: int, length: int | None) -> int:
    """How much of a file to read."""
    length = size - start if length is None else min(length, size - start)
    if length > MAX_FILE:
        raise fault(keys, key, f"{length / 1e6:.0f} MB, at most {MAX_FILE / 1e6:.0f} MB are read")
    return max(length, 0)


def _pieces(handle: int, start: int, length: int) -> list[bytes]:
    """A part of a file; reads come short above 2 GB, and at its end."""
    found = []
    while length:
        piece = os.pread(handle, length, start)
        if not piece:
            break
        found.append(piece)
        start, length = start + len(piece), length - len(piece)
    return found
