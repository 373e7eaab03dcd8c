"""Arrays of a Zarr store, format 2 or 3, sharded or not, read by their chunks.

Written for foreign bytes, so not with the library `zarr`: each chunk is bounded before it is unpacked, one that is
missing is told from one that is empty, whatever is wrong is named by its path, and any thread or fork may read.
What is not needed of the formats is refused by name, not guessed.

References
----------
Zarr storage specification 2; Zarr core specification 3 with the codecs bytes, blosc, zstd, gzip, crc32c, vlen-utf8 and
sharding-indexed.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import numpy as np
from numcodecs.vlen import VLenUTF8
from numpy.typing import NDArray

from processing.l1c import keys as stores
from processing.l1c.codecs import CRC, LONGEST, READ, Codec, unpacked
from processing.l1c.keys import Keys

#: What is read of an array's or group's own description, at most: that of a real root has 350 kB. [bytes]
MAX_JSON = 16_000_000
#: Chunks of an array and values of a small one, at most; values on a side of anything.
MOST_CHUNKS, MOST_VALUES, LONGEST_SIDE = 200_000, 4_000_000, 12_000
#: Where a shard's index says that a chunk is not there.
_NOWHERE = 2**64 - 1
#: Data types of format 3 and of what they are here; those of text have a length beside.
_TYPES = {"bool": "|b1", "int8": "|i1", "uint8": "|u1"} | {
    f"{kind}{8 * size}": f"<{kind[0]}{size}"
    for kind, sizes in (("int", (2, 4, 8)), ("uint", (2, 4, 8)), ("float", (4, 8)))
    for size in sizes
}
_TEXT = {"fixed_length_utf32": ("<U", 4), "null_terminated_bytes": ("|S", 1), "fixed_length_ascii": ("|S", 8)}


class Malformed(ValueError):
    """What is wrong with a description, in words."""


@dataclass(frozen=True)
class Array:
    """An array of a store. `dtype` is None for text of any length.

    Attributes
    ----------
    path : str
        In the store.
    shape, chunks : tuple of int
        `chunks` are those that are unpacked by themselves, of a sharded array those inside of its shards.
    fill : object
        Of chunks that are missing; None where the array does not say.
    names : tuple of str
        Of its dimensions; empty where it does not say.
    attributes : mapping
    shards : tuple of int
        Empty where there are none.
    """

    keys: Keys
    path: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype[Any] | None
    fill: Any
    names: tuple[str, ...]
    attributes: Mapping[str, Any]
    separator: str
    prefix: str
    codecs: tuple[Codec, ...]
    shards: tuple[int, ...] = ()
    index_first: bool = False
    index_sum: bool = True
    _indexes: dict[str, NDArray[np.uint64] | None] = field(default_factory=dict, repr=False, compare=False)
    #: The last row of chunks that was unpacked, where more of it is wanted by who goes on downwards.
    _last: dict[int, NDArray[Any]] = field(default_factory=dict, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:  # crosses process borders without pixels
        return self.__dict__ | {"_indexes": {}, "_last": {}}

    def fault(self, text: str, key: str = "") -> Exception:
        """The error that names the array, or a chunk of it."""
        return stores.fault(self.keys, f"{self.path}/{key}" if key else self.path, text)

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of chunks along each dimension."""
        return tuple(-(-size // step) for size, step in zip(self.shape, self.chunks, strict=True))

    def chunk(self, place: tuple[int, ...]) -> NDArray[Any] | None:
        """A chunk, whole also where it stands out of the array; None where it is missing.

        Raises
        ------
        L1CError
            If it is damaged.
        """
        assert self.dtype is not None
        key, content = self._content(place)
        if content is None:
            return None
        length = math.prod(self.chunks) * self.dtype.itemsize
        try:
            return np.frombuffer(unpacked(content, self.codecs, length), self.dtype).reshape(self.chunks)
        except (ValueError, RuntimeError, OverflowError, ArithmeticError) as error:
            raise self.fault(f"damaged ({str(error)[:120]})", key) from error
        except Exception as error:  # whatever else a decoder raises
            raise self.fault(f"damaged ({type(error).__name__})", key) from error

    def key(self, place: Sequence[int]) -> str:
        """Name of a chunk, or of a shard."""
        return self.prefix + self.separator.join(map(str, place)) if place else self.prefix.rstrip("/") or "0"

    def verify(self) -> None:
        """Hold the shards, which are read in parts, against their checksums where they have any."""
        if not self.shards:
            return
        numbers = (range(-(-size // step)) for size, step in zip(self.shape, self.shards, strict=True))
        for place in itertools.product(*numbers):
            if self.keys.size(f"{self.path}/{self.key(place)}") is not None:
                self.keys.verify(f"{self.path}/{self.key(place)}")

    def _content(self, place: tuple[int, ...]) -> tuple[str, bytes | None]:
        """The name of the file of a chunk, and its packed bytes."""
        if not self.shards:
            key = self.key(place)
            whole = f"{self.path}/{key}"
            return key, None if self.keys.size(whole) is None else self.keys.read(whole)
        inside = [size // step for size, step in zip(self.shards, self.chunks, strict=True)]
        key = self.key([at // many for at, many in zip(place, inside, strict=True)])
        index = self._index(key, inside)
        if index is None:
            return key, None
        start, length = (int(v) for v in index[tuple(at % many for at, many in zip(place, inside, strict=True))])
        if start == length == _NOWHERE:
            return key, None
        size = self.keys.size(f"{self.path}/{key}") or 0
        if start + length > size:
            raise self.fault(f"ends before its chunk {'/'.join(map(str, place))} does", key)
        return key, self.keys.read(f"{self.path}/{key}", start, length)

    def _index(self, key: str, inside: Sequence[int]) -> NDArray[np.uint64] | None:
        """Start and length of each chunk of a shard; None where the shard is missing."""
        if key not in self._indexes:
            whole = f"{self.path}/{key}"
            size = self.keys.size(whole)
            length = 16 * math.prod(inside) + (CRC if self.index_sum else 0)
            if size is None:
                self._indexes[key] = None
            elif size < length:
                raise self.fault(f"cut short ({size} bytes)", key)
            else:
                content = self.keys.read(whole, 0 if self.index_first else size - length, length)
                try:
                    plain = unpacked(content, [Codec("crc32c", {})] if self.index_sum else [], 16 * math.prod(inside))
                except ValueError as error:
                    raise self.fault(f"the index of the shard is damaged ({error})", key) from error
                self._indexes[key] = np.frombuffer(plain, "<u8").reshape(*inside, 2)
        return self._indexes[key]

    def read(self, rows: slice, cols: slice | None = None) -> NDArray[Any]:
        """Some rows and columns of an array of two dimensions, missing chunks filled.

        Raises
        ------
        L1CError
            If a chunk is damaged, or missing where the array does not say what that means.
        """
        cols = cols or slice(0, self.shape[1])
        out = np.empty((rows.stop - rows.start, cols.stop - cols.start), self.dtype)
        height = self.chunks[0]
        whole = cols == slice(0, self.shape[1])
        for number in range(rows.start // height, -(-rows.stop // height)):
            top, bottom = number * height, min((number + 1) * height, self.shape[0])
            first, last = max(rows.start, top), min(rows.stop, bottom)
            here = out[first - rows.start : last - rows.start]
            if whole and (number in self._last or last < bottom):
                strip = self._last.pop(number, None)
                if strip is None:
                    strip = np.empty((bottom - top, self.shape[1]), self.dtype)
                    self._strip(number, slice(top, bottom), cols, strip)
                here[:] = strip[first - top : last - top]
                if last < bottom:
                    self._last.clear()
                    self._last[number] = strip
            else:
                self._strip(number, slice(first, last), cols, here)
        return out

    def _strip(self, number: int, rows: slice, cols: slice, out: NDArray[Any]) -> None:
        """Fill `out` with some rows, all in one row of chunks."""
        height, width = self.chunks
        top = number * height
        for col in range(cols.start // width, -(-cols.stop // width)):
            left, right = max(cols.start, col * width), min(cols.stop, (col + 1) * width)
            here = out[:, left - cols.start : right - cols.start]
            pixels = self.chunk((number, col))
            if pixels is None:
                here[:] = self.missing((number, col))
            else:
                here[:] = pixels[rows.start - top : rows.stop - top, left - col * width : right - col * width]

    def missing(self, place: tuple[int, ...]) -> Any:
        """What a chunk that is missing holds.

        Raises
        ------
        L1CError
            If the array does not say.
        """
        if self.fill is None:
            raise self.fault("missing, and the array has no fill_value", self.key(place))
        return self.fill

    def whole(self, *, missing: bool = False) -> NDArray[Any]:
        """All of a small array; a chunk may be missing, and is filled, if `missing` says so."""
        if self.dtype is None:
            raise self.fault("text, numbers expected")
        if math.prod(self.shape) > MOST_VALUES:
            raise self.fault(f"{self.shape} values, at most {MOST_VALUES} expected")
        out = np.empty(self.shape, self.dtype)
        for place in itertools.product(*map(range, self.counts)):
            pixels = self.chunk(place)
            if pixels is None and not missing:
                raise self.fault("missing", self.key(place))
            slices = tuple(slice(at * step, (at + 1) * step) for at, step in zip(place, self.chunks, strict=True))
            here = out[slices]
            here[...] = self.missing(place) if pixels is None else pixels[tuple(slice(0, n) for n in here.shape)]
        return out

    def words(self) -> list[str]:
        """A short array of one dimension as texts, those of numbers too."""
        if len(self.shape) != 1 or self.shape[0] > 1000:
            raise self.fault(f"of shape {self.shape}, a list of names expected")
        if self.dtype is not None:
            return [v.decode("latin-1") if isinstance(v, bytes) else str(v) for v in self.whole().tolist()]
        key, content = self._content((0,))
        if content is None or self.chunks[0] < self.shape[0]:
            raise self.fault("missing" if content is None else "a list of names in several chunks", key)
        try:
            found = VLenUTF8().decode(unpacked(content, self.codecs, None))
            return [str(v) for v in found[: self.shape[0]]]
        except Exception as error:  # whatever a decoder raises
            raise self.fault(f"damaged ({str(error)[:120]})", key) from error


def version(keys: Keys) -> int | None:
    """The format of a store, by what lies at its root; None where it is none."""
    if keys.size("zarr.json") is not None:
        return 3
    return 2 if any(keys.size(name) is not None for name in (".zgroup", ".zattrs", ".zmetadata")) else None


def attributes(keys: Keys, path: str) -> Mapping[str, Any]:
    """What a group says of itself; empty where it says nothing.

    Raises
    ------
    L1CError
        If it is malformed.
    """
    here = f"{path}/" if path else ""
    if version(keys) == 3:
        return _mapping(keys, f"{here}zarr.json", (document(keys, f"{here}zarr.json") or {}).get("attributes", {}))
    return document(keys, f"{here}.zattrs") or {}


def document(keys: Keys, key: str) -> Mapping[str, Any] | None:
    """A JSON object; None where there is no such file."""
    size = keys.size(key)
    if size is None:
        return None
    if size > MAX_JSON:
        raise stores.fault(keys, key, f"{size / 1e6:.0f} MB, at most {MAX_JSON / 1e6:.0f} MB are read")
    try:
        found = json.loads(keys.read(key))
    except (ValueError, RecursionError) as error:
        raise stores.fault(keys, key, f"malformed JSON ({str(error)[:120]})") from error
    return _mapping(keys, key, found)


def _mapping(keys: Keys, key: str, found: Any) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise stores.fault(keys, key, "no JSON object")
    return found


def array(keys: Keys, path: str) -> Array | None:
    """An array of the store; None where there is none.

    Raises
    ------
    L1CError
        If its description is malformed, or asks for what is not read.
    """
    three = version(keys) == 3
    name = f"{path}/{'zarr.json' if three else '.zarray'}"
    found = document(keys, name)
    if found is None:
        return None
    try:
        return _third(keys, path, found) if three else _second(keys, path, found, document(keys, f"{path}/.zattrs"))
    except Malformed as error:
        raise stores.fault(keys, path, f"{error} ({name.rpartition('/')[2]})") from error


def _second(keys: Keys, path: str, said: Mapping[str, Any], attributes: Mapping[str, Any] | None) -> Array:
    if said.get("zarr_format") != 2:
        raise Malformed(f"zarr_format is {_short(said.get('zarr_format'))}, 2 expected")
    if said.get("order", "C") != "C":
        raise Malformed(f"order is {_short(said['order'])}, C expected")
    shape, chunks = _sides("shape", said.get("shape")), _sides("chunks", said.get("chunks"))
    filters = said.get("filters") or []
    text = said.get("dtype") == "|O" and [_named(f) for f in filters] == ["vlen-utf8"]
    if filters and not text:
        raise Malformed(f"filtered by {_short(filters)}, which is not read")
    dtype = None if text else _dtype(said.get("dtype"))
    attributes = attributes or {}
    return _checked(
        Array(
            keys,
            path,
            shape,
            chunks,
            dtype,
            _fill(said.get("fill_value"), dtype),
            _names(attributes.get("_ARRAY_DIMENSIONS")),
            attributes,
            _separator(said.get("dimension_separator", ".")),
            "",
            (Codec(_known(said["compressor"]), said["compressor"]),) if said.get("compressor") else (),
        )
    )


def _third(keys: Keys, path: str, said: Mapping[str, Any]) -> Array:
    if (said.get("zarr_format"), said.get("node_type")) != (3, "array"):
        raise Malformed(
            f"a {_short(said.get('node_type'))} of format {_short(said.get('zarr_format'))}, array expected"
        )
    kind = said.get("data_type")
    name, options = (kind, {}) if isinstance(kind, str) else (_named(kind), _options(kind))
    if name in ("string", "variable_length_utf8"):
        dtype = None
    elif name in _TEXT:
        letter, size = _TEXT[name]
        length = options.get("length_bytes", options.get("length_bits"))
        if not _whole(length) or not 0 < length <= 4096 * size or length % size:
            raise Malformed(f"data_type is {_short(kind)}")
        dtype = np.dtype(f"{letter}{length // size}")
    else:
        dtype = _dtype(_TYPES.get(name))
    grid, keyed = said.get("chunk_grid"), said.get("chunk_key_encoding")
    if _named(grid) != "regular" or _named(keyed) not in ("default", "v2"):
        raise Malformed(f"chunks by {_short(grid)} and {_short(keyed)}, which is not read")
    default = _named(keyed) == "default"
    separator = _separator(_options(keyed).get("separator", "/" if default else "."))
    outer = _sides("chunk_shape", _options(grid).get("chunk_shape"))
    codecs, first, sum_ = said.get("codecs"), False, True
    shards: tuple[int, ...] = ()
    if isinstance(codecs, list) and len(codecs) == 1 and _named(codecs[0]) == "sharding_indexed":
        options = _options(codecs[0])
        shards, outer = outer, _sides("chunk_shape", options.get("chunk_shape"))
        if options.get("index_location", "end") not in ("start", "end"):
            raise Malformed(f"index_location is {_short(options['index_location'])}")
        first = options.get("index_location") == "start"
        index = [c.name for c in _codecs(options.get("index_codecs"), np.dtype("<u8"))]
        if index not in ([], ["crc32c"]):
            raise Malformed(f"an index packed by {', '.join(index)}, which is not read")
        codecs, sum_ = options.get("codecs"), bool(index)
    attributes = said.get("attributes") or {}
    if not isinstance(attributes, dict):
        raise Malformed("attributes are no JSON object")
    return _checked(
        Array(
            keys,
            path,
            _sides("shape", said.get("shape")),
            outer,
            dtype,
            _fill(said.get("fill_value"), dtype),
            _names(said.get("dimension_names") or attributes.get("_ARRAY_DIMENSIONS")),
            attributes,
            separator,
            f"c{separator}" if default else "",
            tuple(_codecs(codecs, dtype)),
            shards,
            first,
            sum_,
        )
    )


def _checked(array: Array) -> Array:
    """Hold what a description says against what is read."""
    if not len(array.shape) == len(array.chunks) or len(array.shards) not in (0, len(array.shape)):
        raise Malformed(f"chunks {array.chunks} of an array {array.shape}")
    if array.names and len(array.names) != len(array.shape):
        raise Malformed(f"dimensions {array.names} of an array {array.shape}")
    if array.shards and any(size % step for size, step in zip(array.shards, array.chunks, strict=True)):
        raise Malformed(f"shards {array.shards} of chunks {array.chunks}")
    size = math.prod(array.chunks) * (array.dtype.itemsize if array.dtype else 1)
    if size > LONGEST or math.prod(array.counts) > MOST_CHUNKS:
        raise Malformed(f"{math.prod(array.counts)} chunks of {size / 1e6:.0f} MB, more than is read")
    if math.prod(array.shards) > 16 * LONGEST:
        raise Malformed(f"shards {array.shards}, more than is read")
    return array


def _codecs(said: Any, dtype: np.dtype[Any] | None) -> list[Codec]:
    """Those that make bytes of bytes; the one before them makes bytes of values."""
    if not isinstance(said, list) or not said:
        raise Malformed(f"codecs are {_short(said)}")
    first, *others = said
    if dtype is None:
        good = _named(first) == "vlen-utf8"
    else:
        endian = _options(first).get("endian", "little" if dtype.itemsize == 1 or dtype.kind == "S" else None)
        good = _named(first) == "bytes" and endian == "little"
    if not good:
        raise Malformed(f"values packed by {_short(first)}, which is not read")
    return [Codec(_known(codec), _options(codec)) for codec in others]


def _known(codec: Any) -> str:
    name = _named(codec)
    if name not in READ:
        raise Malformed(f"packed by {name!r}, which is not read ({', '.join(READ)} are)")
    return name


def _named(said: Any) -> str:
    name = said if isinstance(said, str) else said.get("name", said.get("id")) if isinstance(said, dict) else None
    if not isinstance(name, str):
        raise Malformed(f"{_short(said)} has no name")
    return name.removeprefix("numcodecs.")


def _options(said: Any) -> Mapping[str, Any]:
    found = said.get("configuration", {}) if isinstance(said, dict) else {}
    if not isinstance(found, dict):
        raise Malformed(f"{_short(said)} has no configuration")
    return found


def _dtype(said: Any) -> np.dtype[Any]:
    try:
        found = np.dtype(said) if isinstance(said, str) else None
    except (TypeError, ValueError):
        found = None
    if found is None or found.kind not in "biufUS" or found.itemsize > 4096 or not found.itemsize:
        raise Malformed(f"dtype is {_short(said)}, which is not read")
    if found.byteorder == ">":
        raise Malformed(f"dtype is {_short(said)}, little endian expected")
    return found


def _fill(said: Any, dtype: np.dtype[Any] | None) -> Any:
    if said is None or dtype is None or dtype.kind in "US":
        return None
    if dtype.kind == "f" and isinstance(said, str):
        said = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}.get(said)
    if (isinstance(said, bool) and dtype.kind != "b") or not isinstance(said, bool | int | float):
        raise Malformed(f"fill_value is {_short(said)}")
    try:
        found = dtype.type(said)
    except (OverflowError, ValueError, TypeError):
        raise Malformed(f"fill_value is {_short(said)} of {dtype}") from None
    if dtype.kind in "iu" and found != said:
        raise Malformed(f"fill_value is {_short(said)} of {dtype}")
    return found


def _sides(name: str, said: Any) -> tuple[int, ...]:
    if not isinstance(said, list) or len(said) > 6 or not all(_whole(v) and 0 < v <= LONGEST_SIDE for v in said):
        raise Malformed(f"{name} is {_short(said)}")
    return tuple(said)


def _names(said: Any) -> tuple[str, ...]:
    if said is None:
        return ()
    if not isinstance(said, list) or not all(isinstance(v, str) for v in said):
        raise Malformed(f"dimensions are {_short(said)}")
    return tuple(said)


def _separator(said: Any) -> str:
    if said not in (".", "/"):
        raise Malformed(f"the separator of chunks is {_short(said)}")
    return str(said)


def _whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _short(value: Any) -> str:
    return repr(value)[:80]
