"""EOPF Zarr stores of all generations: read to the same pixels and facts as the SAFE that they were made of."""

from __future__ import annotations

import json
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.testing import assert_array_equal

from benchmarks.zarr_stores import mutants, same
from processing import tiling
from processing.ancillary import DOBSON, ancillary
from processing.bands import BANDS
from processing.errors import L1CError
from processing.l1c import Granule, eopf, granules, keys
from processing.l1c.package import Package
from processing.simulation import simulate
from tests.eopf import GENERATIONS, write
from tests.l1c_products import COMPACT, OFFSET, small
from tests.shared import SHARED

SIZE = 540


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated SAFE."""
    (package,) = simulate(tmp_path_factory.mktemp("safe"), tile="31TCJ", dates=1, size=SIZE)
    return package


@pytest.fixture(scope="module", params=GENERATIONS)
def store(request: pytest.FixtureRequest, safe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a store of each generation, which no test may change."""
    return write(safe, tmp_path_factory.mktemp("store"), request.param)


@pytest.fixture
def late(safe: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    """A store of Zarr 3 to spoil."""
    kept = tmp_path_factory.getbasetemp() / "late"
    if not kept.exists():
        kept.mkdir()
        write(safe, kept, "C")
    (store,) = kept.iterdir()
    return Path(shutil.copytree(store, tmp_path / store.name))


def one(path: Path) -> Granule:
    (found,) = granules(path)
    return found


def assert_same(there: Granule, here: Granule) -> None:
    """All but the packaging of two granules is the same: facts, angles, pixels, masks and thinned images."""
    for name in (f.name for f in fields(Granule) if f.name not in ("path", "kind", "cropped", "datastrip", "_sources")):
        assert getattr(there, name) == getattr(here, name), name
    first, second = there.angles(), here.angles()
    assert (first.west, first.north, first.step) == (second.west, second.north, second.step)
    assert (first.mean_sun, first.mean_view) == (second.mean_sun, second.mean_view)
    assert_array_equal(first.sun_zenith, second.sun_zenith)
    assert_array_equal(first.sun_azimuth, second.sun_azimuth)
    safe, stored = there._sources[0], here._sources[0]
    for band in BANDS:
        for kind in ("view_zenith", "view_azimuth"):
            one, other = getattr(first, kind)[band], getattr(second, kind)[band]
            assert list(one) == list(other)
            for detector in one:
                assert_array_equal(one[detector], other[detector])
        whole = slice(0, there.grid.shape(BANDS[band].resolution)[0])
        masks, others = safe.quality(band), stored.quality(band)
        for mask, other in zip(masks, others, strict=True):
            assert_array_equal(mask.raster(), other.raster())
        assert_array_equal(safe.observed(band, whole, masks, None), stored.observed(band, whole, others, None))
        for spacing in {1, safe.spacing(band, 4)}:
            assert_array_equal(safe.samples(band, spacing, None), stored.samples(band, spacing, None))
            assert_array_equal(safe.detectors(band, spacing).raster(), stored.detectors(band, spacing).raster())


def test_a_store_of_each_generation_reads_as_its_safe(safe: Path, store: Path) -> None:
    here = one(store)
    here.check()
    assert_same(one(safe), here)
    assert "no checksums" in here.integrity()


@pytest.mark.parametrize(
    ("name", "generation"), [(COMPACT, "C"), *(pytest.param(OFFSET, g, marks=pytest.mark.slow) for g in ("A", "C'"))]
)
def test_a_store_of_a_real_product_reads_as_its_safe(name: str, generation: str, tmp_path: Path) -> None:
    safe = small(name, tmp_path / "safe")
    here = one(write(safe, tmp_path, generation))
    here.check()
    there = one(safe)
    assert_same(there, here)
    airs = [ancillary(g.grid, 240, ecmwf=g.ecmwf(), cams=g.cams()) for g in (there, here)]
    assert airs[0].origin == airs[1].origin
    for value in ("ozone", "pressure", "aot"):
        mine, other = (getattr(air, value) or 0 for air in airs)
        assert mine == pytest.approx(other, rel=1e-6), value
    assert ("add_offset" in here.integrity()) is (name == COMPACT)


def test_a_zip_is_read_in_place(safe: Path, tmp_path: Path) -> None:
    for generation in ("A", "C'"):
        packed = write(safe, tmp_path / generation[0], generation, zipped=True)
        here = one(packed)
        here.check()
        assert_same(one(safe), here)


@pytest.mark.slow
def test_five_dates_give_the_products_of_their_safes(t33twm_small: Path, tmp_path: Path) -> None:
    safes = sorted(t33twm_small.glob("*.SAFE"))
    assert same(safes, tmp_path, t33twm_small / "reference" / "dem.tif", "V2_0", ["C'"])


@pytest.mark.slow
def test_spoilt_stores_are_refused_or_read_the_same(safe: Path, tmp_path: Path) -> None:
    assert mutants(safe, tmp_path, range(30))


def test_angles_lack_where_a_detector_saw(late: Path) -> None:
    array = zarr.open_array(str(late / "conditions/geometry/viewing_incidence_angles"), mode="r+")
    angles = array[...]
    angles[list(BANDS).index("B5")] = np.nan
    array[...] = angles
    with pytest.raises(L1CError, match=r"viewing_incidence_angles: none of detector \d+ of B5"):
        one(late).check()


def test_the_metadata_of_a_real_store_are_read(tmp_path: Path) -> None:
    """Arrays of generation A with made values: what the root and each array say is as it was published."""
    path = SHARED / "data" / "eopf" / "l1c_consolidated_metadata.json"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    store = tmp_path / "store.zarr"
    expand(json.loads(path.read_text()), store)
    found = one(store)
    assert (found.tile, found.platform, found.baseline) == ("32TLQ", "S2B", "05.11")
    assert found.identifier == "S2B_MSIL1C_20250113T103309_N0511_R108_T32TLQ_20250113T122458"
    assert (found.orbit, found.relative_orbit) == (41032, 108)
    assert f"{found.sensing:%Y-%m-%dT%H:%M:%S.%f}" == "2025-01-13T10:38:32.156995"
    assert (found.quantification, set(found.offset.values())) == (10_000, {-1000})
    assert found.grid == tiling.grid("32TLQ")
    assert found.solar_irradiance["B2"] == 1959.75
    assert found.physical_gain["B12"] == 108.59620299
    assert list(found.angles().view_zenith["B1"]) == [1, 2, 3, 4, 5, 6, 7]
    assert found.ecmwf() is not None
    air = ancillary(found.grid, 240, ecmwf=found.ecmwf(), cams=found.cams())
    assert (air.ozone, air.pressure) == (pytest.approx(0.3), pytest.approx(1000))
    assert (found._sources[0].read("B2", slice(0, 10)) == 0).all()
    responses = eopf.spectral_responses(eopf.said(keys.of(Package(store))))
    first, step, response = responses["B2"]
    assert set(responses) == set(BANDS)
    assert (first, step, len(response), response.max()) == (456, 1, 77, 1)


def expand(node: dict[str, Any], folder: Path) -> None:
    """Write the files of a node of Zarr 2 and of those in it; small arrays get values."""
    folder.mkdir()
    (folder / ".zattrs").write_text(json.dumps(node["attributes"]))
    if "members" in node:
        (folder / ".zgroup").write_text('{"zarr_format": 2}')
        for name, member in node["members"].items():
            expand(member, folder / name)
        return
    said = {key: value for key, value in node.items() if key != "attributes"}
    (folder / ".zarray").write_text(json.dumps(said))
    if max(said["shape"], default=0) < 100 or len(said["shape"]) == 1:
        made = made_values(f"{folder.parent.name}/{folder.name}", tuple(said["shape"]))
        zarr.open_array(str(folder), mode="r+", zarr_format=2)[...] = made


def made_values(name: str, shape: tuple[int, ...]) -> Any:
    """Values of a small array of tile 32TLQ."""
    zenith, azimuth = 67.5, 164.5
    view = np.array([5.0, 100.0])
    if name[0] == "r":
        step = 109_800 // shape[0]
        place = step * np.arange(shape[0]) + step // 2
        return {"x": 300_000 + place, "y": 5_000_040 - place}.get(name.rpartition("/")[2], place)
    known: dict[str, Any] = {
        "geometry/angle": np.array(["zenith", "azimuth"]),
        "geometry/band": np.array([b.l1c.lower() for b in BANDS.values()]),
        "geometry/detector": np.arange(1, 8),
        "geometry/x": 300_000 + 5000 * np.arange(23),
        "geometry/y": 5_000_040 - 5000 * np.arange(23),
        "geometry/sun_angles": np.array([zenith, azimuth])[:, None, None],
        "geometry/mean_sun_angles": np.array([zenith, azimuth]),
        "geometry/viewing_incidence_angles": view[:, None, None],
        "geometry/mean_viewing_incidence_angles": view,
        "ecmwf/latitude": np.linspace(45.126, 44.16, 9),
        "ecmwf/longitude": np.linspace(6.457, 7.872, 9),
        "cams/latitude": np.linspace(45.126, 44.16, 9),
        "cams/longitude": np.linspace(6.457, 7.872, 9),
        "ecmwf/tco3": 300 * DOBSON,
        "ecmwf/msl": 100_000.0,
    }
    return np.broadcast_to(known.get(name, 0.05), shape)
