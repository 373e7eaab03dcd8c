"""Arrays of Zarr stores as we read them, against the library that wrote them."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec
from zarr.codecs.crc32c_ import Crc32cCodec

from processing.errors import L1CError
from processing.l1c import arrays, keys, lowpass
from processing.l1c.package import Package

PACKING: dict[str, tuple[int, Any]] = {
    "2 blosc": (2, numcodecs.Blosc(cname="zstd", clevel=3, shuffle=numcodecs.Blosc.BITSHUFFLE)),
    "2 lz4": (2, numcodecs.Blosc(cname="lz4", shuffle=numcodecs.Blosc.SHUFFLE)),
    "2 zstd": (2, numcodecs.Zstd(level=3)),
    "2 zlib": (2, numcodecs.Zlib()),
    "2 plain": (2, None),
    "3 blosc": (3, BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle")),
    "3 zstd": (3, ZstdCodec(level=0)),
    "3 gzip": (3, GzipCodec()),
    "3 sums": (3, (ZstdCodec(level=0), Crc32cCodec())),
    "3 plain": (3, None),
}


def written(folder: Path, values: Any, packing: str, chunks: tuple[int, ...], **more: Any) -> arrays.Array:
    """An array of a store as the library wrote it, as we open it."""
    form, codec = PACKING[packing]
    group = zarr.open_group(str(folder), mode="w", zarr_format=form)  # type: ignore[arg-type]
    made = group.create_array(
        "a", shape=values.shape, dtype=values.dtype, chunks=chunks, compressors=codec, overwrite=True, **more
    )
    made[...] = values
    found = arrays.array(keys.of(Package(folder)), "a")
    assert found is not None
    return found


@pytest.mark.parametrize("packing", PACKING)
@pytest.mark.parametrize("dtype", ["<u2", "|u1", "<f8"])
def test_an_array_is_read_as_it_was_written(packing: str, dtype: str, tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 200, (70, 53)).astype(dtype)
    values[:32, :16] = 0  # a chunk that the writer leaves out
    found = written(tmp_path, values, packing, (32, 16), fill_value=0)
    assert_array_equal(found.read(slice(0, 70)), values)
    assert_array_equal(found.read(slice(31, 65), slice(15, 50)), values[31:65, 15:50])
    assert found.chunk((0, 0)) is None
    assert_array_equal(np.concatenate([found.read(slice(n, min(n + 7, 70))) for n in range(0, 70, 7)]), values)


@pytest.mark.parametrize("place", ["start", "end"])
def test_a_sharded_array_is_read_in_parts(place: str, tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 200, (70, 53)).astype("<u2")
    values[16:32] = 0
    codec = zarr.codecs.ShardingCodec(
        chunk_shape=(16, 16), codecs=[zarr.codecs.BytesCodec(endian="little"), ZstdCodec()], index_location=place
    )
    group = zarr.open_group(str(tmp_path), mode="w", zarr_format=3)
    made = group.create_array(
        "a",
        shape=values.shape,
        dtype="<u2",
        chunks=(48, 64),
        serializer=codec,
        compressors=None,
        filters=None,
        fill_value=0,
    )
    made[...] = values
    found = arrays.array(keys.of(Package(tmp_path)), "a")
    assert found is not None
    assert found.shards == (48, 64)
    assert found.chunks == (16, 16)
    assert_array_equal(found.read(slice(0, 70)), values)
    assert found.chunk((1, 0)) is None


@pytest.mark.parametrize("packing", [name for name in PACKING if "plain" not in name])
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cut=st.integers(1, 1000), beyond=st.booleans())
def test_a_chunk_of_another_length_is_refused(packing: str, cut: int, beyond: bool, tmp_path: Path) -> None:
    values = np.arange(256, dtype="<u2").reshape(16, 16) * 97
    found = written(tmp_path, values, packing, (16, 16))
    chunk = next(p for p in (tmp_path / "a").rglob("*") if p.is_file() and not p.name.startswith((".z", "zarr")))
    content = chunk.read_bytes()
    size = len(content)
    chunk.write_bytes(content + b"\0" * 40 if beyond and "blosc" in packing else content[: -min(cut, size)])
    with pytest.raises(L1CError, match=r"a/.*: damaged"):
        found.read(slice(0, 16))


def test_what_would_unpack_without_bound_is_refused(tmp_path: Path) -> None:
    found = written(tmp_path, np.ones((16, 16), "<u2"), "2 zlib", (16, 16))
    (tmp_path / "a" / "0.0").write_bytes(zlib.compress(bytes(50_000_000)))
    with pytest.raises(L1CError, match="longer than it may be"):
        found.read(slice(0, 16))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"order": "F"}, "order is 'F'"),
        ({"dtype": ">u2"}, "little endian expected"),
        ({"filters": [{"id": "delta"}]}, "filtered by"),
        ({"compressor": {"id": "lzma"}}, "packed by 'lzma'"),
        ({"chunks": [0, 16]}, "chunks is"),
        ({"chunks": [16]}, "chunks"),
        ({"shape": [16, 16.5]}, "shape is"),
        ({"dimension_separator": "-"}, "separator"),
        ({"zarr_format": 4}, "zarr_format is 4"),
        ({"fill_value": 70_000}, "fill_value is 70000"),
    ],
)
def test_what_is_not_read_is_refused_by_name(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    written(tmp_path, np.ones((16, 16), "<u2"), "2 blosc", (16, 16))
    name = tmp_path / "a" / ".zarray"
    name.write_text(json.dumps(json.loads(name.read_text()) | change))
    with pytest.raises(L1CError, match=f"a: .*{words}"):
        arrays.array(keys.of(Package(tmp_path)), "a")


def test_the_low_pass_of_a_ramp_is_the_ramp() -> None:
    ramp = np.add.outer(np.arange(1500), np.arange(900) * 2).astype(np.uint16)
    thin = lowpass.samples(lambda rows, cols: ramp[rows, cols], ramp.shape, 4)
    assert_array_equal(thin[1:-1, 1:-1][:200, :200], ramp[::4, ::4][1:-1, 1:-1][:200, :200])
    part = lowpass.samples(lambda rows, cols: ramp[rows, cols], ramp.shape, 4, (slice(250, 262), slice(3, 220)))
    assert_array_equal(part, thin[250:262, 3:220])
