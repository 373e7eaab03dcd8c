"""Stores spoilt at random, each in one of the ways that stores are found spoilt."""

from __future__ import annotations

import json
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zarr

FOLDERS = ("measurements/reflectance", "quality/mask", "conditions/mask/detector_footprint")
GEOMETRY = "conditions/geometry"


def spoil(store: Path, seed: int) -> str:
    """Spoil a store in place; what was done, in words."""
    rng = random.Random(seed)
    kinds = ZIPPED if store.suffix == ".zip" else FOLDERED
    kind = kinds[seed % len(kinds)]
    return f"{kind.__name__.strip('_')}: {kind(store, rng)}"


def _arrays(store: Path) -> list[Path]:
    """Folders of the images and masks."""
    return sorted(p for folder in FOLDERS for p in store.glob(f"{folder}/r??m/b*") if p.is_dir())


def _chunks(array: Path) -> list[Path]:
    return sorted(p for p in array.rglob("*") if p.is_file() and not p.name.startswith(".z") and p.name != "zarr.json")


def _stored(arrays: list[Path]) -> list[Path]:
    """Those with chunks: one that is its fill value all over has none."""
    return [array for array in arrays if _chunks(array)]


def _small(store: Path) -> list[Path]:
    return sorted(p for p in (store / GEOMETRY).iterdir() if p.is_dir())


def _edit(array: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = next(p for p in (array / "zarr.json", array / ".zarray") if p.exists())
    said = json.loads(path.read_text())
    change(said)
    path.write_text(json.dumps(said))


def _named(array: Path) -> str:
    return "/".join(array.parts[-3:])


def _missing_group(store: Path, rng: random.Random) -> str:
    whole = ["measurements", "quality", "conditions", GEOMETRY, "conditions/mask"]
    name = rng.choice([*whole, *(f"{folder}/r{r}m" for folder in FOLDERS for r in (10, 20, 60))])
    shutil.rmtree(store / name)
    return name


def _missing_array(store: Path, rng: random.Random) -> str:
    array = rng.choice([*_arrays(store), *(p for p in _small(store))])
    shutil.rmtree(array)
    return _named(array)


def _missing_chunk(store: Path, rng: random.Random) -> str:
    array = rng.choice(_stored([p for p in _arrays(store) if "reflectance" in str(p)] + _small(store)))
    chunk = rng.choice(_chunks(array))
    chunk.unlink()
    return f"{_named(array)}/{chunk.name}"


def _wrong_dtype(store: Path, rng: random.Random) -> str:
    array = rng.choice(_arrays(store))
    new = rng.choice(["<i2", ">u2", "<u4", "<f4", "|i1", "|b1", "nonsense", None])

    def change(said: dict[str, Any]) -> None:
        modern = {"<i2": "int16", ">u2": "uint32", "<u4": "uint32", "<f4": "float32", "|i1": "int8", "|b1": "bool"}
        said["data_type" if "data_type" in said else "dtype"] = (
            modern.get(str(new), new) if "data_type" in said else new
        )

    _edit(array, change)
    return f"{_named(array)} {new}"


def _truncated_chunk(store: Path, rng: random.Random) -> str:
    array = rng.choice(_stored([*_arrays(store), *_small(store)]))
    chunk = rng.choice(_chunks(array))
    content = chunk.read_bytes()
    length = rng.randrange(len(content))
    chunk.write_bytes(content[:length])
    return f"{_named(array)}/{chunk.name} to {length} of {len(content)} bytes"


def _wrong_fill(store: Path, rng: random.Random) -> str:
    array, fill = rng.choice(_arrays(store)), rng.choice([1, 255, -1, 70000, "NaN", 1.5, [0]])
    _edit(array, lambda said: said.update(fill_value=fill))
    return f"{_named(array)} {fill}"


def _swapped_axes(store: Path, rng: random.Random) -> str:
    if rng.random() < 0.5:
        group = rng.choice([GEOMETRY, *(f"{folder}/r{r}m" for folder in FOLDERS[:1] for r in (10, 20, 60))])
        x, y, other = (store / group / name for name in ("x", "y", "other"))
        x.rename(other), y.rename(x), other.rename(y)
        return f"x and y of {group}"
    array = rng.choice(_arrays(store))
    if (array / "zarr.json").exists():
        _edit(array, lambda said: said.update(dimension_names=said["dimension_names"][::-1]))
    else:
        attributes = json.loads((array / ".zattrs").read_text())
        attributes["_ARRAY_DIMENSIONS"].reverse()
        (array / ".zattrs").write_text(json.dumps(attributes))
    return f"names of {_named(array)}"


def _nan_angles(store: Path, rng: random.Random) -> str:
    name = rng.choice(["sun_angles", "viewing_incidence_angles", "mean_sun_angles", "mean_viewing_incidence_angles"])
    array = zarr.open_array(str(store / GEOMETRY / name), mode="r+")
    values = array[...]
    finite = np.argwhere(np.isfinite(values))
    place = tuple(finite[rng.randrange(len(finite))])
    if name == "viewing_incidence_angles":
        how = rng.choice(["all", "detector"])
        place = (slice(None),) if how == "all" else (place[0], _widest(values, place[0]))
    values[place] = np.nan
    array[...] = values
    return f"{name} at {place}"


def _widest(values: np.ndarray[Any, Any], band: int) -> int:
    return int(np.isfinite(values[band]).sum(axis=(1, 2, 3)).argmax())


def _wrong_scale(store: Path, rng: random.Random) -> str:
    array = rng.choice([p for p in _arrays(store) if "reflectance" in str(p)])
    name, value = rng.choice(
        [
            ("scale_factor", 0.001),
            ("scale_factor", "0.0001"),
            ("scale_factor", None),
            ("add_offset", 0),
            ("add_offset", -0.2),
        ]
    )
    path = array / ".zattrs" if (array / ".zattrs").exists() else array / "zarr.json"
    said = json.loads(path.read_text())
    where = said["attributes"] if path.name == "zarr.json" else said
    where[name] = value
    path.write_text(json.dumps(said))
    return f"{_named(array)} {name} {value}"


def _broken_text(store: Path, rng: random.Random) -> str:
    path = rng.choice(
        sorted(p for a in (*_arrays(store), *_small(store)) for p in a.iterdir() if p.name.endswith(("json", "ray")))
    )
    text = path.read_bytes()
    path.write_bytes(rng.choice([b"", b"[]", b"null", text[: len(text) // 2], b"[" * 100_000, b"\xff\xfe"]))
    return _named(path)


def _other_chunks(store: Path, rng: random.Random) -> str:
    array, new = rng.choice(_arrays(store)), rng.choice([[1, 1], [0, 10], [10**9, 10**9], [7], "x", [100, 100]])

    def change(said: dict[str, Any]) -> None:
        if "chunks" in said:
            said["chunks"] = new
        else:
            said["chunk_grid"]["configuration"]["chunk_shape"] = new

    _edit(array, change)
    return f"{_named(array)} {new}"


def _wrong_root(store: Path, rng: random.Random) -> str:
    path = store / ("zarr.json" if (store / "zarr.json").exists() else ".zattrs")
    said = json.loads(path.read_text())
    root = said["attributes"] if path.name == "zarr.json" else said
    properties, other = root["stac_discovery"]["properties"], root["other_metadata"]
    where = rng.choice([properties, other])
    needed = (
        "platform",
        "start_datetime",
        "created",
        "bands",
        "sat:absolute_orbit",
        "sat:relative_orbit",
        "product:type",
    )
    keys = [
        k
        for k in where
        if k in needed or k.endswith("sensing_time") or "take" in k or k.endswith(("baseline", "version"))
    ]
    key = rng.choice(keys)
    where[key] = rng.choice([None, "null", 12, [], {}, "x" * 5000, "sentinel-2z", "1999-01-01"])
    path.write_text(json.dumps(said))
    return key


def _damaged_zip(store: Path, rng: random.Random) -> str:
    content = bytearray(store.read_bytes())
    if rng.random() < 0.4:
        length = rng.randrange(len(content))
        store.write_bytes(content[:length])
        return f"cut to {length} of {len(content)} bytes"
    with zipfile.ZipFile(store) as archive:
        used = [i for i in archive.infolist() if i.filename.startswith((*FOLDERS, GEOMETRY)) and i.file_size]
    member = rng.choice(used)
    at = member.header_offset + 30 + len(member.filename) + rng.randrange(member.compress_size)
    content[at] ^= 1 << rng.randrange(8)
    store.write_bytes(content)
    return f"a bit of {member.filename}"


FOLDERED = (
    _missing_group,
    _wrong_dtype,
    _truncated_chunk,
    _wrong_fill,
    _swapped_axes,
    _nan_angles,
    _missing_chunk,
    _missing_array,
    _wrong_scale,
    _broken_text,
    _other_chunks,
    _wrong_root,
)
ZIPPED = (_damaged_zip,)
