"""Files are there whole or not at all, whatever their length and whatever the disk can do."""

from __future__ import annotations

import errno
import fcntl
import os
from hashlib import sha256
from pathlib import Path
from zlib import crc32

import pytest

from processing.errors import StorageError
from processing.product import disk

SIZES = (0, 1, disk._PAGE - 1, disk._PAGE, disk._PAGE + 1, 2 * disk._PAGE + 12345)


def pieces(content: bytes, size: int = 700_001) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


@pytest.mark.parametrize("past_the_cache", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_a_file_is_what_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, past_the_cache: bool
) -> None:
    asked = []

    def refused(handle: int, command: int, flags: int = 0) -> int:
        if command == fcntl.F_SETFL:
            asked.append(flags)
            raise OSError("a disk that knows no such thing")
        return fcntl_(handle, command, flags)

    fcntl_ = fcntl.fcntl
    if not past_the_cache:
        monkeypatch.setattr(fcntl, "fcntl", refused)
    content = os.urandom(size)
    path = tmp_path / "file"
    assert disk.write(path, pieces(content)) == {
        "size": size,
        "sha256": sha256(content).hexdigest(),
        "crc32": crc32(content),
    }
    assert path.read_bytes() == content
    assert bool(asked) == (not past_the_cache and size >= disk._PAGE)


def test_a_disk_that_promised_too_much_is_written_through_its_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = []
    write = os.write

    def picky(handle: int, page: memoryview) -> int:
        if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_DIRECT:
            refused.append(len(page))
            raise OSError(errno.EINVAL, "no whole block")
        return write(handle, page)

    monkeypatch.setattr(os, "write", picky)
    content = os.urandom(3 * disk._PAGE + 5)
    path = tmp_path / "file"
    assert disk.write(path, pieces(content))["sha256"] == sha256(content).hexdigest()
    assert path.read_bytes() == content
    assert refused == [disk._PAGE]  # asked once


def test_a_file_that_is_there_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"first")
    with pytest.raises(StorageError, match="file: can't be written: File exists"):
        disk.write(path, [b"second"])
    assert path.read_bytes() == b"first"


def test_a_file_moves_to_another_disk_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    real = os.replace

    def replace(source: Path, target: Path) -> None:
        if Path(source).parent != Path(target).parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    for folder in (here, there):
        folder.mkdir()
    (here / "state").write_bytes(b"new")
    (there / "state").write_bytes(b"old")
    disk.move(here / "state", there / "state")
    assert (there / "state").read_bytes() == b"new"
    assert [p.name for p in (*here.iterdir(), *there.iterdir())] == ["state"]
    (here / "state").write_bytes(b"newer")
    monkeypatch.setattr(disk.shutil, "copyfile", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(OSError, match="full"):
        disk.move(here / "state", there / "state")
    assert [p.read_bytes() for p in (*here.iterdir(), *there.iterdir())] == [b"newer", b"new"]
