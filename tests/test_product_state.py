"""The recurrent state: bit for bit there and back, and refused by name when damaged."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing import product
from processing.errors import StateError, StorageError
from processing.scene import Composite
from tests import product_scenes as scenes

STATE = scenes.composite()


def assert_same(found: Composite, expected: Composite) -> None:
    for field in fields(Composite):
        a, b = getattr(found, field.name), getattr(expected, field.name)
        if isinstance(b, dict):
            assert list(a) == list(b)
            pairs = [(a[key], b[key]) for key in b]
        elif isinstance(b, np.ndarray):
            pairs = [(a, b)]
        else:
            assert a == b
            continue
        for x, y in pairs:
            assert (x.dtype, x.shape) == (y.dtype, y.shape)
            assert x.tobytes() == y.tobytes()  # NaN too


def test_there_and_back(tmp_path: Path) -> None:
    product.save_state(STATE, tmp_path / "state.npz")
    assert_same(product.load_state(tmp_path / "state.npz"), STATE)
    assert list(tmp_path.iterdir()) == [tmp_path / "state.npz"]


def test_an_empty_stack_comes_back(tmp_path: Path) -> None:
    """The first date of a tile may leave a state without history."""
    empty = replace(
        STATE,
        stack=STATE.stack[:0],
        stack_days=(),
        possible_water=STATE.possible_water[:0],
        tested_water=STATE.tested_water[:0],
    )
    product.save_state(empty, tmp_path / "state.npz")
    assert_same(product.load_state(tmp_path / "state.npz"), empty)


def test_numpy_reads_it_too(tmp_path: Path) -> None:
    product.save_state(STATE, tmp_path / "state.npz")
    with np.load(tmp_path / "state.npz") as archive:
        np.testing.assert_array_equal(archive["surface/B4"], STATE.surface["B4"])
    with zipfile.ZipFile(tmp_path / "state.npz") as members:
        assert members.testzip() is None
        assert members.getinfo("surface/B4.npy").compress_type == zipfile.ZIP_DEFLATED


def test_same_state_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        product.save_state(STATE, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("state") / "state.npz"
    product.save_state(scenes.composite(120, bands=("B2",)), path)
    return path.read_bytes()


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_damage_never_passes(content: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Any changed byte, any cut: either named, or harmless (a date inside the archive)."""
    damaged = bytearray(content)
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        damaged[place] ^= data.draw(st.integers(1, 255))
    else:
        del damaged[place:]
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(damaged)
    try:
        found = product.load_state(path)
    except StateError:
        return
    assert_same(found, scenes.composite(120, bands=("B2",)))


def rewritten(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the header, keeping the archive sound."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(members["header.json"])
    change(header)
    members["header.json"] = json.dumps(header).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda header: header.update(format=7), "form 7, not 3"),
        (lambda header: header["grid"].update(width=9999), "on a grid of"),
        (lambda header: header.update(stack_days=[1]), "1 dates for a stack of 2"),
        (lambda header: header.pop("tile"), "is damaged: 'tile'"),
        (lambda header: header["bands"]["toa"].append("B12"), r"toa/B12\.npy"),
        (lambda header: header.update(sensing="yesterday"), "yesterday"),
        (lambda header: header.update(sensing="2023-08-13T10:00:00"), "no time zone"),
    ],
)
def test_a_state_that_contradicts_itself_is_refused(tmp_path: Path, change: Any, fault: str) -> None:
    path = tmp_path / "state.npz"
    product.save_state(STATE, path)
    rewritten(path, change)
    with pytest.raises(StateError, match=fault):
        product.load_state(path)


def test_what_is_not_a_state_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="is not there"):
        product.load_state(tmp_path / "nowhere.npz")
    with pytest.raises(StateError, match="is damaged"):
        product.load_state(tmp_path)
    (tmp_path / "empty.npz").touch()
    with pytest.raises(StateError, match="is damaged"):
        product.load_state(tmp_path / "empty.npz")
    wrong = replace(STATE, aot=STATE.aot.astype(np.float64))
    product.save_state(wrong, tmp_path / "wrong.npz")
    with pytest.raises(StateError, match="aot is float64"):
        product.load_state(tmp_path / "wrong.npz")


FULL_DISK = """
import resource, sys
from pathlib import Path
from processing import product
from processing.errors import StorageError
from tests import product_scenes as scenes

resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))
try:
    product.save_state(scenes.composite(seed=1), Path(sys.argv[1]))
except StorageError as error:
    print(error)
"""


def test_a_full_disk_keeps_the_state_before(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    product.save_state(STATE, path)
    done = subprocess.run([sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True, check=True)
    assert "state.npz: can't be written: File too large" in done.stdout
    assert_same(product.load_state(path), STATE)
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="can't be written"):
        product.save_state(STATE, tmp_path / "nowhere" / "state.npz")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="can't be written"):
        product.save_state(STATE, tmp_path / "file" / "state.npz")


def test_evidence_of_another_form_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    product.save_state(STATE, path)
    rewritten(path, lambda header: header.update(format=2))
    with pytest.raises(StateError, match="form 2, not 3"):
        product.load_evidence(path)
