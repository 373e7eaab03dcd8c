"""Terrain, ozone, pressure and aerosol of a scene."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from rasterio.warp import transform

from processing import ancillary as module
from processing import terrain as earth
from processing.ancillary import ancillary
from processing.atmosphere import MODELS
from processing.errors import AncillaryError
from processing.scene import STANDARD_PRESSURE, TERRAIN_RESOLUTION, Grid
from processing.versions import Parameters
from tests.l1c_products import COMPACT, OFFSET, OLD, shared

GRID = Grid("EPSG:32631", 300_000, 4_900_020, 7320, 7320)  # 30.5 coarse pixels of 240 m


def write_dem(
    path: Path,
    altitude: NDArray[np.floating],
    west: float,
    north: float,
    pixel: float,
    crs: str = "EPSG:32631",
    nodata: float | None = None,
) -> Path:
    rows, cols = altitude.shape
    where = rasterio.Affine(pixel, 0, west, 0, -pixel, north)
    options = {"driver": "GTiff", "count": 1, "height": rows, "width": cols, "dtype": "float32", "nodata": nodata}
    with rasterio.open(path, "w", crs=crs, transform=where, **options) as out:
        out.write(altitude.astype("float32"), 1)
    return path


def test_without_a_terrain_model_the_tile_is_flat_and_says_so() -> None:
    found = ancillary(GRID, 240)
    assert found.altitude.shape == (31, 31)
    assert found.altitude.dtype == np.float32
    assert not found.altitude.any()
    assert found.ozone == Parameters.default_ozone
    assert found.pressure == STANDARD_PRESSURE
    assert found.aerosol is None
    assert found.origin == {
        "altitude": "flat 0 m (no terrain model)",
        "ozone": "default",
        "pressure": "standard atmosphere",
        "aerosol_model": "no CAMS file in the L1C",
    }


def test_altitude_is_the_mean_of_each_coarse_pixel(tmp_path: Path) -> None:
    fine = np.random.default_rng(0).uniform(0, 3000, (248, 248))  # 30 m, to the end of the last coarse pixel
    found = ancillary(GRID, 240, write_dem(tmp_path / "dem.tif", fine, 300_000, 4_900_020, 30))
    assert_allclose(found.altitude, fine.reshape(31, 8, 31, 8).mean(axis=(1, 3)), rtol=1e-5)
    assert found.origin["altitude"] == "dem.tif"


def test_a_model_that_ends_with_the_tile_covers_it(tmp_path: Path) -> None:
    plane = np.full((61, 61), 500.0)  # 120 m: half of the last coarse pixel
    found = ancillary(GRID, 240, write_dem(tmp_path / "dem.tif", plane, 300_000, 4_900_020, 120))
    assert_allclose(found.altitude, 500)


@pytest.mark.parametrize("pixel", [1 / 3600, 0.02])  # finer and coarser than the coarse grid
def test_a_model_in_longitude_and_latitude(tmp_path: Path, pixel: float) -> None:
    """A plane rising to the north stays one. At 45 N a degree of latitude is 111 km."""
    (lon,), (lat,) = transform(GRID.crs, "EPSG:4326", [GRID.west], [GRID.north])
    size = int(0.3 / pixel)
    north = lat + 0.1
    latitudes = north - (np.arange(size) + 0.5) * pixel
    plane = np.repeat(1e4 * (latitudes - lat)[:, None], size, axis=1) + 2000
    path = write_dem(tmp_path / "dem.tif", plane, lon - 0.1, north, pixel, "EPSG:4326")
    found = ancillary(GRID, 240, path).altitude
    y, x = np.mgrid[:30, :30] * 240 + 120  # the last row and column stand out
    _, expected = transform(GRID.crs, "EPSG:4326", (GRID.west + x).ravel(), (GRID.north - y).ravel())
    assert_allclose(found[:30, :30], 1e4 * (np.reshape(expected, x.shape) - lat) + 2000, atol=1.5)


@pytest.mark.parametrize(("west", "share"), [(300_000, 50), (500_000, 0)])
def test_a_model_that_does_not_cover_the_tile_is_refused(tmp_path: Path, west: float, share: float) -> None:
    path = write_dem(tmp_path / "dem.tif", np.ones((122, 61)), west, 4_900_020, 60)
    with pytest.raises(AncillaryError, match=r"^dem.tif: covers \d+\.\d % of the tile$") as caught:
        ancillary(GRID, 240, path)
    assert float(caught.value.fault.split()[1]) == pytest.approx(share, abs=3)


@pytest.mark.parametrize(("nodata", "tagged"), [(-32768.0, True), (np.nan, True), (np.nan, False)])
def test_void_pixels_are_left_out_and_sea_is_at_sea_level(tmp_path: Path, nodata: float, tagged: bool) -> None:
    plane = np.full((248, 248), 100.0)
    plane[:, ::2] = nodata  # half of each coarse pixel
    plane[:80] = nodata  # ten rows of coarse pixels
    path = write_dem(tmp_path / "dem.tif", plane, 300_000, 4_900_020, 30, nodata=nodata if tagged else None)
    found = ancillary(GRID, 240, path)
    assert_allclose(found.altitude[:10], 0)
    assert_allclose(found.altitude[10:], 100)
    assert found.origin["altitude"] == "dem.tif (32.3 % without data taken as sea level)"


@pytest.mark.parametrize("nodata", [-9999.0, np.nan])
def test_a_model_of_voids_only_is_refused(tmp_path: Path, nodata: float) -> None:
    """It covers the tile and says nothing of it: taken as the sea it would look like one."""
    void = np.full((250, 250), nodata)
    dem = write_dem(tmp_path / "dem.tif", void, 299_000, 4_901_000, 60, nodata=nodata)
    with pytest.raises(AncillaryError, match=r"dem\.tif: says nothing of the tile: it has voids only"):
        ancillary(GRID, 240, dem)
    void[100, 100] = 0  # one pixel of sea is said
    assert ancillary(GRID, 240, write_dem(dem, void, 299_000, 4_901_000, 60, nodata=nodata)).terrain is not None


@pytest.mark.parametrize("terms", [(0, 0, 3e5, 0, -30, 5e6), (30, 0, 3e5, 0, 0, 5e6), (30, 60, 3e5, -15, -30, 5e6)])
def test_a_model_whose_transform_has_no_inverse_is_refused(tmp_path: Path, terms: tuple[float, ...]) -> None:
    text = f"""<VRTDataset rasterXSize="9" rasterYSize="9"><SRS>EPSG:32631</SRS>
<GeoTransform>{terms[2]}, {terms[0]}, {terms[1]}, {terms[5]}, {terms[3]}, {terms[4]}</GeoTransform>
<VRTRasterBand dataType="Float32" band="1"/></VRTDataset>"""
    (tmp_path / "dem.vrt").write_text(text)
    with pytest.raises(AncillaryError, match=r"dem\.vrt: "):
        ancillary(GRID, 240, tmp_path / "dem.vrt")


def test_what_is_no_terrain_model(tmp_path: Path) -> None:
    with pytest.raises(AncillaryError, match=r"^none.tif: can't be read as a terrain model"):
        ancillary(GRID, 240, tmp_path / "none.tif")
    void = write_dem(tmp_path / "void.tif", np.full((122, 122), -32768.0), 300_000, 4_900_020, 60)
    with pytest.raises(AncillaryError, match=r"^void.tif: altitudes from -32768 to -32768 m$"):
        ancillary(GRID, 240, void)
    feet = write_dem(tmp_path / "feet.tif", np.full((122, 122), 12_000.0), 300_000, 4_900_020, 60)
    with pytest.raises(AncillaryError, match=r"^feet.tif: altitudes from 12000 to 12000 m$"):
        ancillary(GRID, 240, feet)


def test_a_world_model_at_the_antimeridian(tmp_path: Path) -> None:
    world = np.full((180, 360), 7.0)
    path = write_dem(tmp_path / "world.tif", world, -180, 90, 1, "EPSG:4326")
    found = ancillary(Grid("EPSG:32701", 99_960, 8_200_000, 109_800, 109_800), 240, path)
    assert_allclose(found.altitude, 7)


# Terrain every 20 m


def hills(east: NDArray[np.floating], north: NDArray[np.floating]) -> NDArray[np.floating]:
    """A smooth relief over the tile's projection."""
    x, y = (east - GRID.west) / 1000, (north - GRID.north) / 1000
    return 500 + 120 * np.sin(x) * np.cos(0.8 * y) + 15 * x


def hills_on(west: float, north: float, pixel: float, shape: tuple[int, int], crs: str) -> NDArray[np.floating]:
    col, row = np.meshgrid(west + (np.arange(shape[1]) + 0.5) * pixel, north - (np.arange(shape[0]) + 0.5) * pixel)
    at = np.array(transform(crs, GRID.crs, col.ravel(), row.ravel())).reshape(2, *shape)
    return hills(at[0], at[1])


def expected(resolution: int) -> NDArray[np.floating[Any]]:
    rows, cols = GRID.shape(resolution)
    return hills_on(GRID.west, GRID.north, resolution, (rows, cols), GRID.crs)


def terrain(dem: Path, cache: Path | None = None) -> NDArray[np.floating]:
    found = ancillary(GRID, 240, dem, cache=cache).terrain
    assert found is not None
    return found


def slopes(altitude: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.stack(np.gradient(altitude, TERRAIN_RESOLUTION))


def folder_of_tiles(folder: Path, crs: str, pixel: float) -> Path:
    """Four models side by side whose corner lies within the tile, and a file that is none."""
    folder.mkdir()
    middle = transform(GRID.crs, crs, [GRID.west + 3500], [GRID.north - 3900])
    size = 0.1 if crs == "EPSG:4326" else 10_000
    count = round(size / pixel)
    for i in range(2):
        for j in range(2):
            west, north = middle[0][0] + (j - 1) * count * pixel, middle[1][0] + i * count * pixel
            write_dem(
                folder / f"n{i}e{j}.tif", hills_on(west, north, pixel, (count, count), crs), west, north, pixel, crs
            )
    (folder / "readme.txt").write_text("from the survey")
    return folder


def test_without_a_model_there_are_no_slopes() -> None:
    assert ancillary(GRID, 240).terrain is None


@pytest.mark.parametrize(("crs", "pixel"), [("EPSG:32631", 10), ("EPSG:32631", 30), ("EPSG:4326", 1 / 3600)])
def test_terrain_and_its_slopes_without_a_seam(tmp_path: Path, crs: str, pixel: float) -> None:
    """A folder of models gives what the ground has, in slope too, across the models' borders."""
    found = ancillary(GRID, 240, folder_of_tiles(tmp_path / "dem", crs, pixel))
    assert found.origin["altitude"] == "dem"
    assert found.terrain is not None
    assert found.terrain.shape == GRID.shape(20)
    assert found.terrain.dtype == np.float32
    assert_allclose(found.terrain, expected(20), atol=0.5)
    assert_allclose(slopes(found.terrain), slopes(expected(20)), atol=0.01)
    assert_allclose(found.altitude, ancillary(GRID, 240, tmp_path / "dem").altitude)


def test_models_of_two_projections(tmp_path: Path) -> None:
    folder = folder_of_tiles(tmp_path / "dem", "EPSG:32631", 30)
    (folder / "n0e0.tif").unlink()
    west, north = transform(GRID.crs, "EPSG:32632", [GRID.west - 3000], [GRID.north + 3000])
    altitude = hills_on(west[0], north[0], 30, (500, 500), "EPSG:32632")
    write_dem(folder / "z.tif", altitude, west[0], north[0], 30, "EPSG:32632")
    assert_allclose(terrain(folder), expected(20), atol=1)  # where one ends, half a pixel


def test_a_folder_that_leaves_a_part_out(tmp_path: Path) -> None:
    folder = folder_of_tiles(tmp_path / "dem", "EPSG:32631", 30)
    (folder / "n1e0.tif").unlink()
    with pytest.raises(AncillaryError, match=r"^dem: covers \d\d\.\d % of the tile$"):
        ancillary(GRID, 240, folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(AncillaryError, match=r"^empty: a folder without terrain models"):
        ancillary(GRID, 240, tmp_path / "empty")
    (folder / "broken.tif").write_bytes(b"II*\0 no image")
    with pytest.raises(AncillaryError, match=r"^broken.tif: can't be read as a terrain model"):
        ancillary(GRID, 240, folder)


def test_small_voids_do_not_become_pits(tmp_path: Path) -> None:
    altitude = np.full((248, 248), 1000.0)
    altitude[100:103, 100:103] = -32768
    path = write_dem(tmp_path / "dem.tif", altitude, 300_000, 4_900_020, 30, nodata=-32768)
    assert_allclose(terrain(path), 1000)
    found = ancillary(GRID, 240, path)
    assert found.origin["altitude"] == "dem.tif"
    assert found.origin["altitude_mended"] == "9 pixels without data filled from around"


def test_voids_beside_the_tile_are_told_as_the_edge_leans_on_them(tmp_path: Path) -> None:
    altitude = hilly()
    altitude[:8] = np.nan
    found = ancillary(GRID, 240, write_dem(tmp_path / "dem.tif", altitude, 299_700, 4_900_320, 30))
    assert re.fullmatch(r"\d+ pixels of the model without data", found.origin["altitude_mended"])


def hilly(rows: int = 268, cols: int = 268) -> NDArray[np.float64]:
    """Hills of 600 m with 30 m pixels, 300 m beyond the tile on each side."""
    y, x = np.mgrid[:rows, :cols] * 30.0
    return 600 + 200 * np.sin(x / 900) * np.cos(y / 1100)


def model_of(path: Path, altitude: NDArray[np.floating], dtype: str = "float32", **tags: Any) -> Path:
    """Altitudes of `hilly`'s place in a file with some tags."""
    write_dem(path, altitude, 299_700, 4_900_320, 30)
    with rasterio.open(path) as model:
        profile, numbers = model.profile | {"dtype": dtype, "nodata": tags.pop("nodata", None)}, altitude.astype(dtype)
    with rasterio.open(path, "w", **profile) as out:
        out.write(numbers, 1)
        for name, value in tags.items():
            setattr(out, name, (value,))
    return path


@pytest.mark.parametrize(
    ("numbers", "dtype", "tags", "said"),
    [
        (lambda h: h / 0.3048, "float32", {"units": "ft"}, "altitudes in ft brought to metres"),
        (lambda h: h * 3937 / 1200, "float32", {"units": "US survey foot"}, "altitudes in US survey foot"),
        (lambda h: h * 10, "int16", {"scales": 0.1}, "numbers times 0.1 plus 0"),
        (lambda h: (h + 100) * 4, "int16", {"scales": 0.25, "offsets": -100.0}, "numbers times 0.25 plus -100"),
        (lambda h: h * 10, "int16", {"units": "dm"}, "altitudes in dm brought to metres"),
        (lambda h: h, "float32", {"units": "metre"}, ""),
    ],
)
def test_what_a_model_says_of_its_numbers_is_read(
    tmp_path: Path, numbers: Any, dtype: str, tags: dict[str, Any], said: str
) -> None:
    right = ancillary(GRID, 240, model_of(tmp_path / "right.tif", hilly()))
    found = ancillary(GRID, 240, model_of(tmp_path / "dem.tif", numbers(hilly()), dtype, **tags))
    assert found.terrain is not None
    assert_allclose(found.terrain, right.terrain, atol=0.6)
    assert_allclose(found.altitude, right.altitude, atol=0.5)
    assert said in found.origin.get("altitude_mended", "")
    assert found.origin["altitude"] == "dem.tif"


@pytest.mark.parametrize("void", [-32768, -9999, 32767, 9999, 0])
@pytest.mark.parametrize("side", [1, 4])
def test_heights_that_no_ground_has_are_voids_with_or_without_a_tag(tmp_path: Path, void: int, side: int) -> None:
    right = ancillary(GRID, 240, model_of(tmp_path / "right.tif", hilly(), "int16"))
    holes, numbers = hilly(), np.random.default_rng(1)
    for row, col in numbers.integers(20, 240, (40, 2)):
        holes[row : row + side, col : col + side] = void
    found = ancillary(GRID, 240, model_of(tmp_path / "dem.tif", holes, "int16"))
    assert found.terrain is not None
    assert_allclose(found.terrain, right.terrain, atol=15)
    assert_allclose(found.altitude, right.altitude, atol=5)
    assert "taken as voids" in found.origin["altitude_mended"]


def test_blurred_voids_do_not_pull_the_ground_down(tmp_path: Path) -> None:
    """A model that was resampled over its voids has anything from the ground to them."""
    holes = hilly()
    holes[100:104, 100:104], holes[99, 99:105], holes[104, 99:105] = -9999, -4200, -2700
    found = ancillary(GRID, 240, model_of(tmp_path / "dem.tif", holes))
    right = ancillary(GRID, 240, model_of(tmp_path / "right.tif", hilly()))
    assert_allclose(found.altitude, right.altitude, atol=5)


@pytest.mark.parametrize(
    ("numbers", "tags", "reason"),
    [
        (lambda h: h * 100, {}, "the highest ground has less than 9000 m|another unit"),
        (lambda h: h, {"units": "degree"}, "'degree', which is no unit of length"),
        (lambda h: h, {"scales": float("inf")}, "a scale of inf"),
    ],
)
def test_a_model_of_no_altitudes_is_refused(tmp_path: Path, numbers: Any, tags: dict[str, Any], reason: str) -> None:
    with pytest.raises(AncillaryError, match=rf"^dem.tif: .*{reason}"):
        ancillary(GRID, 240, model_of(tmp_path / "dem.tif", numbers(hilly()), **tags))


def mapped(grid: Grid, pixel: float, factor: float) -> NDArray[np.float64]:
    """Altitudes of a coarse map of the Earth around a grid, times some factor."""
    room = Grid(grid.crs, grid.west - 1200, grid.north + 1200, grid.width + 2400, grid.height + 2400)
    return np.nan_to_num(earth.expected(room, room.shape(int(pixel))).astype(float)) * factor


@pytest.mark.parametrize(("factor", "unit"), [(3.2808, "feet"), (10, "decimetres")])
def test_a_whole_tile_in_another_unit_is_refused(tmp_path: Path, factor: float, unit: str) -> None:
    grid = Grid("EPSG:32632", 300_000, 5_000_040, 109_800, 109_800)  # Piedmont
    dem = write_dem(tmp_path / "dem.tif", mapped(grid, 600, factor), 298_800, 5_001_240, 600, "EPSG:32632")
    with pytest.raises(AncillaryError, match=rf"are these {unit}\?|another unit"):
        ancillary(grid, 240, dem)


def test_a_model_far_from_what_is_known_of_the_ground_is_told(tmp_path: Path) -> None:
    near = ancillary(GRID, 240, write_dem(tmp_path / "a.tif", mapped(GRID, 60, 1), 298_800, 4_901_220, 60))
    assert "altitude_doubt" not in near.origin
    far = ancillary(GRID, 240, model_of(tmp_path / "dem.tif", hilly() + 3000))
    assert re.search(r"mean altitude is 36\d\d m, a coarse map of the Earth has \d+ m", far.origin["altitude_doubt"])


def test_a_seam_without_data_is_bridged(tmp_path: Path) -> None:
    """Cells of a model whose bordering columns say nothing."""
    whole = hilly()
    right = ancillary(GRID, 240, model_of(tmp_path / "right.tif", whole))
    (tmp_path / "dem").mkdir()
    for name, cols in (("a", slice(0, 134)), ("b", slice(134, 268))):
        part = whole[:, cols].copy()
        part[:, -1 if name == "a" else 0] = np.nan
        write_dem(tmp_path / "dem" / f"{name}.tif", part, 299_700 + 30 * cols.start, 4_900_320, 30)
    found = ancillary(GRID, 240, tmp_path / "dem")
    assert found.terrain is not None
    assert_allclose(found.terrain, right.terrain, atol=5)
    assert_allclose(slopes(found.terrain), slopes(right.terrain), atol=0.1)


def test_a_model_that_takes_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TERRAIN_SECONDS", 0.001)
    with pytest.raises(AncillaryError, match=r"^dem.tif: can't be read as a terrain model \(it takes longer"):
        ancillary(GRID, 240, model_of(tmp_path / "dem.tif", hilly()))


def test_terrain_is_made_once_for_a_tile_until_the_model_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, cache = folder_of_tiles(tmp_path / "dem", "EPSG:32631", 30), tmp_path / "cache"
    made = []
    resampled = module._resampled

    def counted(grid: Grid, *rest: Any) -> module.Terrain:
        made.append(grid)
        return resampled(grid, *rest)

    monkeypatch.setattr(module, "_resampled", counted)
    first = ancillary(GRID, 240, folder, cache=cache)
    second = ancillary(GRID, 240, folder, cache=cache)
    assert len(made) == 1
    assert first.origin == second.origin
    assert_array_equal(first.terrain, second.terrain)
    assert_array_equal(first.altitude, second.altitude)
    ancillary(Grid("EPSG:32631", 300_240, 4_900_020, 4800, 4800), 240, folder, cache=cache)
    assert len(made) == 2
    os.utime(folder / "n1e1.tif", (1, 1))
    ancillary(GRID, 240, folder, cache=cache)
    assert len(made) == 3
    for kept in cache.iterdir():
        kept.write_bytes(kept.read_bytes()[:1000])
    third = ancillary(GRID, 240, folder, cache=cache)
    assert len(made) == 4
    assert_array_equal(third.terrain, first.terrain)
    assert {path.suffix for path in cache.iterdir()} == {".npz"}
    assert len(list(cache.iterdir())) == 3


def test_a_cache_that_can_t_be_written_is_no_hindrance(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_dem(tmp_path / "dem.tif", np.full((248, 248), 5.0), 300_000, 4_900_020, 30)
    (tmp_path / "cache").write_text("a file")
    assert_allclose(terrain(path, cache=tmp_path / "cache"), 5)
    assert "can't be kept" in caplog.text


# Ozone


def forecast(name: str) -> bytes:
    return next(p for p in sorted(shared(name).rglob("*AUX_ECMWFT*")) if p.is_file()).read_bytes()


@pytest.mark.parametrize(
    ("name", "grid", "dobson"),
    [
        (OFFSET, Grid("EPSG:32631", 300_000, 4_900_020, 109_800, 109_800), (280, 480)),
        (COMPACT, Grid("EPSG:32632", 499_980, 4_700_040, 109_800, 109_800), (250, 480)),
        (OLD, Grid("EPSG:32753", 300_000, 6_100_000, 109_800, 109_800), (250, 480)),
    ],
)
def test_ozone_of_the_forecast_in_the_product(name: str, grid: Grid, dobson: tuple[float, float]) -> None:
    found = ancillary(grid, 240, ecmwf=forecast(name))
    assert found.origin["ozone"] == "ECMWF in the L1C"
    assert dobson[0] < 1000 * found.ozone < dobson[1]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"not a GRIB", "default (the ECMWF file of the L1C can't be read)"),
        (b"", "default (the ECMWF file of the L1C is empty)"),
        (None, "default (the ECMWF file of the L1C is of another place)"),
    ],
)
def test_without_ozone_the_default_and_the_reason(content: bytes | None, reason: str) -> None:
    elsewhere = Grid("EPSG:32701", 99_960, 8_200_000, 109_800, 109_800)
    found = ancillary(elsewhere, 240, ecmwf=forecast(OFFSET) if content is None else content, default_ozone=0.25)
    assert found.ozone == 0.25
    assert found.origin["ozone"] == reason


def test_a_forecast_without_ozone() -> None:
    found = ancillary(TOULOUSE, 240, ecmwf=aerosol_forecasts()[0])
    assert found.origin["ozone"] == "default (no total ozone in the ECMWF file of the L1C)"
    assert found.origin["pressure"] == "standard atmosphere (no pressure in the ECMWF file of the L1C)"


# Pressure and aerosol

TOULOUSE = Grid("EPSG:32631", 300_000, 4_900_020, 109_800, 109_800)


def aerosol_forecasts() -> list[bytes]:
    return [path.read_bytes() for path in sorted(shared(OFFSET).parent.rglob("AUX_CAMSFO"))]


def test_pressure_of_the_forecast_in_the_product() -> None:
    found = ancillary(TOULOUSE, 240, ecmwf=forecast(OFFSET))
    assert found.origin["pressure"] == "ECMWF in the L1C"
    assert 1027 < found.pressure < 1030  # an anticyclone in January


def test_an_unbelievable_pressure_is_named_and_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PRESSURE_RANGE", (1050.0, 1085.0))
    found = ancillary(TOULOUSE, 240, ecmwf=forecast(OFFSET))
    assert found.pressure == STANDARD_PRESSURE
    assert found.origin["pressure"] == "standard atmosphere (the ECMWF file of the L1C says 1028 hPa)"


def test_aerosol_of_the_forecast_in_the_product() -> None:
    # organic matter, sulphate and nitrate of winter; salt of the Atlantic
    for content, most in zip(aerosol_forecasts(), ("watersoluble", "oceanic"), strict=True):
        found = ancillary(TOULOUSE, 240, cams=content)
        assert found.aerosol
        assert found.origin["aerosol_model"] == "CAMS in the L1C"
        assert_allclose(sum(found.aerosol.values()), 1)
        assert set(found.aerosol) <= set(MODELS)
        assert found.aerosol[most] > 0.5


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"not a GRIB", "the CAMS file of the L1C can't be read"),
        (b"GRIB and then nothing of it", "the CAMS file of the L1C can't be read"),
        (b"", "the CAMS file of the L1C is empty"),
    ],
)
def test_without_aerosol_the_reason(content: bytes, reason: str) -> None:
    found = ancillary(TOULOUSE, 240, cams=content)
    assert found.aerosol is None
    assert found.origin["aerosol_model"] == reason


def test_a_forecast_of_the_aerosol_elsewhere_cut_or_without_species() -> None:
    whole = aerosol_forecasts()[0]
    elsewhere = ancillary(Grid("EPSG:32701", 99_960, 8_200_000, 109_800, 109_800), 240, cams=whole)
    assert elsewhere.origin["aerosol_model"] == "the CAMS file of the L1C is of another place"
    cut = ancillary(TOULOUSE, 240, cams=whole[: len(whole) // 2])
    assert cut.aerosol is None
    assert cut.origin["aerosol_model"].startswith("the CAMS file of the L1C")
    weather = ancillary(TOULOUSE, 240, cams=forecast(OFFSET))
    assert "lacks the AOT of parameters 207, 208, 209, 210, 211, 212" in weather.origin["aerosol_model"]
