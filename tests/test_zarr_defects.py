"""Defects that EOPF stores were seen with: each is read right, or refused by the name of the place."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.testing import assert_array_equal

from processing.ancillary import ancillary
from processing.bands import BANDS
from processing.errors import L1CError
from processing.l1c import Granule, granules
from processing.simulation import simulate
from tests.eopf import write
from tests.l1c_products import COMPACT, OFFSET, small, write_jp2

ROOT = "zarr.json"
B3 = "measurements/reflectance/r10m/b03"
QUALITY = "quality/mask/r20m/b05"
GEOMETRY = "conditions/geometry"
MSL = "conditions/meteorology/ecmwf/msl"

Change = Callable[[Path], None]


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated product."""
    (package,) = simulate(tmp_path_factory.mktemp("safe"), tile="31TCJ", dates=1, size=120)
    return package


@pytest.fixture(scope="module")
def kept(safe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of Zarr 3, made of it."""
    return write(safe, tmp_path_factory.mktemp("kept"), "C")


@pytest.fixture
def store(kept: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(kept, tmp_path / kept.name, copy_function=_like))


def _like(source: str, target: str) -> None:
    """A copy of a description; of a chunk a link, which whoever changes it replaces."""
    if source.endswith(ROOT):
        shutil.copy(source, target)
    else:
        os.link(source, target)


def one(path: Path) -> Granule:
    (found,) = granules(path)
    found.check()
    return found


def edited(store: Path, path: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a description in place."""
    name = store / path / ROOT
    said = json.loads(name.read_text())
    change(said)
    name.write_text(json.dumps(said))


def properties(**new: Any) -> Change:
    """Other properties of the product; None for one that is gone. Two underscores stand for a colon."""

    def change(said: dict[str, Any]) -> None:
        here = said["attributes"]["stac_discovery"]["properties"]
        for name, value in new.items():
            here[name.replace("__", ":")] = value
        for name in [n for n, value in here.items() if value is None]:
            del here[name]

    return lambda store: edited(store, "", change)


def attributes(path: str, **new: Any) -> Change:
    return lambda store: edited(store, path, lambda said: said["attributes"].update(new))


def described(path: str, **new: Any) -> Change:
    return lambda store: edited(store, path, lambda said: said.update(new))


def values(path: str, change: Callable[[Any], Any]) -> Change:
    """Other values of an array."""

    def spoil(store: Path) -> None:
        array = zarr.open_array(str(store / path), mode="r+")
        array[...] = change(array[...])

    return spoil


def gone(path: str) -> Change:
    return lambda store: shutil.rmtree(store / path)


def content(path: str, change: Callable[[bytes], bytes]) -> Change:
    def spoil(store: Path) -> None:
        before = (store / path).read_bytes()
        (store / path).unlink()
        (store / path).write_bytes(change(before))

    return spoil


READ = {
    "a valid_max that is wrong": attributes(B3, valid_max=6),
    "times that are the text null": properties(datetime="null", end_datetime="null"),
    "a box in degrees": properties(proj__bbox=[1.2, 43.3, 2.6, 44.2]),
    "boxes of zeros, as a converter writes": attributes("measurements/reflectance/r10m", **{"spatial:bbox": [0.0] * 4}),
    "the zenith as elevation": properties(view__sun_elevation=3.0),
    "another satellite's designator": properties(sat__platform_international_designator="2013-028A"),
    "coordinates rounded to 32 bits": values("measurements/reflectance/r10m/y", lambda y: y + np.float32(0.5)),
    "coordinates of corners": values("measurements/reflectance/r60m/x", lambda x: x - 30),
    "no coordinates at all": gone("measurements/reflectance/r20m/x"),
    "a projection by its name alone": properties(proj__code=None),
    "gains that lack": lambda store: edited(
        store, "", lambda said: said["attributes"]["other_metadata"].pop("band_description")
    ),
    "orbits that the id tells alone": properties(sat__absolute_orbit=None, sat__relative_orbit=None),
    "a history of single characters": lambda store: edited(
        store, "", lambda said: said["attributes"]["processing_history"].update({"Level-0": list("files")})
    ),
    "flags as texts": attributes(
        QUALITY,
        flag_masks="1 2 4 8 16 32 64 128",
        flag_meanings="anc_lost anc_deg msi_lost msi_deg qt_defective_pixels qt_nodata_pixels "
        "qt_partially_corrected_pixels qt_saturated_pixels_l1a",
    ),
    "a fill as xarray spells it": attributes(B3, _FillValue="AAA="),
}

REFUSED = {
    "another kind": (properties(product__type="S02MSIL2A"), "zarr.json: a Level-2A store, not Level-1C"),
    "no EOPF": (lambda s: edited(s, "", lambda said: said["attributes"].clear()), "zarr.json: no stac_discovery"),
    "a satellite": (properties(platform="sentinel-2d"), "S2D is not known"),
    "a baseline": (properties(processing__version="07.00"), "'07.00' is not known"),
    "a baseline that is not the id's": (properties(processing__version="05.09"), "baseline is 05.09"),
    "an orbit": (properties(sat__absolute_orbit=1), "orbit is 1"),
    "no time": (properties(created=None), "no created"),
    "a time": (properties(start_datetime="yesterday"), "start_datetime is 'yesterday'"),
    "a projection": (properties(proj__code="EPSG:32601"), "proj:code says 32601"),
    "no irradiance": (properties(bands=[]), "no solar_illumination of B1"),
    "reflectance": (described(B3, data_type="float32", fill_value="NaN"), f"{B3}: dtype is float32"),
    "a scale": (attributes(B3, scale_factor=0.001), f"{B3}: scales counts by 1000"),
    "a scale of other bands": (attributes(B3, add_offset=-0.2), f"{B3}: scales counts by 10000 and -2000"),
    "counts without offset": (attributes(B3, add_offset=0.0), f"{B3}: scales counts by 10000 and 0"),
    "a fill": (described(B3, fill_value=1), f"{B3}: fill_value is 1"),
    "a fill of its own": (attributes(B3, _FillValue=65535), f"{B3}: _FillValue is 65535"),
    "big endian": (
        described(B3, codecs=[{"name": "bytes", "configuration": {"endian": "big"}}]),
        f"{B3}: values packed by",
    ),
    "a codec": (
        described(B3, codecs=[{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "pcodec"}]),
        f"{B3}: packed by 'pcodec'",
    ),
    "axes": (described(B3, dimension_names=["x", "y"]), f"{B3}: dimensions x, y"),
    "a crop of one resolution": (
        attributes("measurements/reflectance/r20m/b05", **{"proj:bbox": None, "proj:transform": [20, 0, 0, 0, -20, 0]}),
        "measurements/reflectance/r20m/b05: ",
    ),
    "coordinates of elsewhere": (
        values("measurements/reflectance/r10m/x", lambda x: x + 5000),
        "measurements/reflectance/r10m/x: from",
    ),
    "a box of another size": (attributes(B3, **{"proj:bbox": [3e5, 48e5, 4e5, 49e5]}), f"{B3}: proj:bbox is"),
    "an image": (gone("measurements/reflectance/r60m/b10"), "measurements/reflectance/r60m/b10: missing"),
    "masks": (gone("quality/mask"), "quality/mask/r60m/b01: missing"),
    "a mask's size": (described(QUALITY, shape=[7, 7]), f"{QUALITY}: "),
    "a flag": (attributes(QUALITY, flag_meanings=["a"] * 8), f"{QUALITY}: flag_meanings has 'a'"),
    "no flags": (attributes(QUALITY, flag_masks=[1]), f"{QUALITY}: no flag_masks"),
    "a detector": (
        values("conditions/mask/detector_footprint/r20m/b05", lambda d: d * 0 + 13),
        "conditions/mask/detector_footprint/r20m/b05: a detector 13",
    ),
    "sun angles": (values(f"{GEOMETRY}/sun_angles", lambda a: a * np.nan), f"{GEOMETRY}/sun_angles: NaN"),
    "names of angles": (
        values(f"{GEOMETRY}/angle", lambda a: a[::-1]),
        f"{GEOMETRY}: sun zenith is",
    ),
    "means": (values(f"{GEOMETRY}/mean_sun_angles", lambda a: a + 20), f"{GEOMETRY}: mean sun is"),
    "nodes": (values(f"{GEOMETRY}/x", lambda x: x + 2500), f"{GEOMETRY}/x: begins at"),
    "detectors twice": (
        values(f"{GEOMETRY}/detector", lambda d: np.full_like(d, d[0])),
        f"{GEOMETRY}/detector: names",
    ),
    "a chunk that was cut": (content(f"{B3}/c/0/0", lambda c: c[:-3]), f"{B3}/c/0/0: damaged"),
    "a chunk that is empty": (content(f"{B3}/c/0/0", lambda c: b""), f"{B3}/c/0/0: damaged"),
    "a chunk that is another": (content(f"{B3}/c/0/0", lambda c: b"no chunk" * 9), f"{B3}/c/0/0: damaged"),
    "a store still being written": (
        lambda s: (s / B3 / "c/0/0").unlink(),
        f"{B3}/c/0/0: missing, though detectors saw",
    ),
    "no JSON": (content(f"{B3}/zarr.json", lambda c: c[:50]), f"{B3}/zarr.json: malformed JSON"),
    "deep JSON": (content(f"{B3}/zarr.json", lambda c: b"[" * 200_000), f"{B3}/zarr.json: malformed JSON"),
    "a chunk of terabytes": (
        described(B3, chunk_grid={"name": "regular", "configuration": {"chunk_shape": [12000, 12001]}}),
        f"{B3}: chunk_shape is",
    ),
    "a link out of it": (lambda s: _linked(s / B3 / "c/0/0"), f"{B3}/c/0/0: a link out of the store"),
}


#: Those that the quick tests try, one of each kind.
QUICK = {
    *("a valid_max that is wrong", "a box in degrees", "coordinates rounded to 32 bits", "flags as texts"),
    *("another kind", "a satellite", "reflectance", "a scale of other bands", "a fill", "axes"),
    *("sun angles", "a chunk that was cut", "a store still being written"),
}


def some(defects: Mapping[str, object]) -> list[object]:
    """All defects, most of them for the slow tests."""
    assert len(QUICK & {*READ, *REFUSED}) == len(QUICK)
    return [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in defects]


def _linked(path: Path) -> None:
    elsewhere = path.parents[8] / "elsewhere"
    shutil.copy(path, elsewhere)
    path.unlink()
    path.symlink_to(elsewhere)


def pixels(granule: Granule) -> Iterator[np.ndarray[Any, Any]]:
    for band in BANDS:
        rows = slice(0, granule.grid.shape(BANDS[band].resolution)[0])
        yield granule._sources[0].observed(band, rows, granule._sources[0].quality(band), None)


@pytest.mark.parametrize("defect", some(READ))
def test_a_defect_changes_nothing(defect: str, kept: Path, store: Path) -> None:
    READ[defect](store)
    here, there = one(store), one(kept)
    assert (here.grid, here.offset, here.sensing) == (there.grid, there.offset, there.sensing)
    assert here.angles().mean_sun == there.angles().mean_sun
    for mine, other in zip(pixels(here), pixels(there), strict=True):
        assert_array_equal(mine, other)


@pytest.mark.parametrize("defect", some(REFUSED))
def test_a_defect_is_refused_by_its_place(defect: str, store: Path) -> None:
    spoil, words = REFUSED[defect]
    spoil(store)
    with pytest.raises(L1CError) as raised:
        one(store)
    line = str(raised.value)
    assert line.startswith(f"{store.name}: ")
    assert words in line
    assert "\n" not in line


@pytest.mark.slow
def test_a_pressure_is_told_by_its_size_and_the_aerosol_may_lack(tmp_path: Path) -> None:
    store = write(small(OFFSET, tmp_path / "safe"), tmp_path, "C")
    there = one(store).ecmwf()
    values(MSL, lambda pascal: pascal / 100)(store)
    attributes(MSL, units="Pa")(store)
    found = one(store)
    mine, theirs = (ancillary(found.grid, 240, ecmwf=air) for air in (found.ecmwf(), there))
    assert mine.pressure == pytest.approx(theirs.pressure, rel=1e-6)
    assert mine.origin["pressure"] == "ECMWF in the L1C"
    assert found.cams() is not None
    gone("conditions/meteorology/cams")(store)
    assert one(store).cams() is None


@pytest.mark.parametrize("factor", [3, 6])
def test_masks_of_coarser_pixels_are_read(factor: int, store: Path, kept: Path) -> None:
    path = "quality/mask/r10m/b03"
    array = zarr.open_array(str(store / path))
    flags, side = dict(array.attrs), array.shape[0]
    coarse = np.zeros((side // factor, side // factor), np.uint8)
    coarse[0, 0] = 32
    root = zarr.open_group(str(store), mode="r+")
    made = root.create_array(path, shape=coarse.shape, dtype="u1", dimension_names=["y", "x"], overwrite=True)
    made[...] = coarse
    made.attrs.update(flags)
    found, before = one(store), one(kept)
    lost = found._sources[0].quality("B3").lost.raster()
    assert lost[:factor, :factor].all()
    assert lost.sum() == factor**2
    whole = slice(0, side)
    mine, theirs = (g._sources[0].observed("B3", whole, g._sources[0].quality("B3"), None) for g in (found, before))
    assert not mine[lost].any()
    assert_array_equal(mine[~lost], theirs[~lost])


def test_an_older_baseline_has_no_offset(tmp_path: Path) -> None:
    store = write(small(COMPACT, tmp_path / "safe"), tmp_path, "B")
    found = one(store)
    assert set(found.offset.values()) == {0.0}
    assert "add_offset -0.1 is not applied" in found.integrity()


@pytest.mark.parametrize(("band", "pixel"), [("B02", 20), ("B02", 60), ("B05", 10), ("B01", 20)])
def test_masks_of_other_pixels_are_read_of_a_safe(band: str, pixel: int, safe: Path, tmp_path: Path) -> None:
    package = Path(shutil.copytree(safe, tmp_path / safe.name))
    grid, name = one(package).grid, BANDS[band.replace("B0", "B")].name
    resolution, side = BANDS[name].resolution, grid.width // pixel
    layers = np.zeros((8, side, side), np.uint8)
    layers[5, 0, 0] = 1  # no data
    mask = next(package.glob(f"GRANULE/*/QI_DATA/MSK_QUALIT_{band}.jp2"))
    write_jp2(mask, layers, grid.west, grid.north, pixel, int(grid.crs[5:]))
    (package / "manifest.safe").unlink(missing_ok=True)
    lost = one(package)._sources[0].quality(name).lost.raster()
    corner = max(1, pixel // resolution)
    assert lost.shape == grid.shape(resolution)
    assert lost[:corner, :corner].all()
    assert lost.sum() == corner**2
