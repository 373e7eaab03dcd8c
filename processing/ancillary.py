"""What the chain needs to know beside the image, each with where it came from.

Terrain, ozone, the pressure of the air, what the aerosol is made of.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, NamedTuple, TypeVar
from zipfile import BadZipFile

import numpy as np
import rasterio
from affine import Affine, AffineError
from numpy.typing import NDArray
from rasterio.errors import CRSError, RasterioError
from rasterio.io import DatasetReader, MemoryFile
from rasterio.merge import merge
from rasterio.warp import Resampling, reproject, transform, transform_bounds

from processing import bounded, glo30, terrain
from processing.errors import AncillaryError, OverLimit
from processing.scene import STANDARD_PRESSURE, TERRAIN_RESOLUTION, Ancillary, Forecast, Grid
from processing.versions import Parameters

R = TypeVar("R")

log = logging.getLogger(__name__)
# GDAL asks for a name of every parameter of ECMWF's own tables; its number is all that is read of it.
logging.getLogger("rasterio._err").addFilter(lambda record: "local use section" not in record.getMessage())

#: Files that are taken from a folder of terrain models.
SUFFIXES = (".tif", ".tiff", ".vrt", ".img", ".hgt", ".bil", ".asc", ".dt0", ".dt1", ".dt2", ".jp2")
#: What reads a terrain model; of other formats none is known.
DRIVERS = ["GTiff", "COG", "VRT", "HFA", "SRTMHGT", "EHdr", "AAIGrid", "DTED", "JP2OpenJPEG", "ENVI", "USGSDEM", "GRIB"]
#: Origin of the altitude where there is no model.
FLAT = "flat 0 m (no terrain model)"
#: Number of the form of the kept terrain, raised when its making changes.
CACHE_FORMAT = 2
#: What reading a terrain model may take: that of a whole tile takes 1 GB and 20 s. [bytes], [s]
TERRAIN_MEMORY, TERRAIN_SECONDS = 3_000_000_000, 120.0
#: One Dobson unit, 1e-5 m of ozone at 0 degC and 1 atm. [kg m-2]
DOBSON = 2.1415e-5
#: Total ozone outside of this is an error of the file. [DU]
OZONE_RANGE = (50.0, 700.0)
#: Pressure at the sea outside of this is an error of the file. [hPa]
PRESSURE_RANGE = (870.0, 1085.0)
#: No air is so thick: such a forecast is in error. [-]
AOT_LIMIT = 10.0
#: How GDAL names the parameters of ECMWF's table 210, and those of AOT at 550 nm.
CAMS_PARAMETER = re.compile(r"var(\d+) of table 210 of center ECMWF")
CAMS_TOTAL, CAMS_SULPHATE = 207, 212
#: ECMWF's short names of the same.
CAMS_NAMES = {207: "aod550", 208: "ssaod550", 209: "duaod550", 210: "omaod550", 211: "bcaod550", 212: "suaod550"}
#: Model of the tables that stands for each of CAMS's species: sea salt, dust, organic matter, black carbon, sulphate.
#: 6S's dust-like component absorbs far more than dust does where it was measured (single scattering albedo 0.73 against
#: 0.92 to 0.97, Dubovik et al., J. Atmos. Sci. 59, 2002); its desert model does not (0.97). No table knows humidity.
CAMS_SPECIES = {208: "oceanic", 209: "desert", 210: "watersoluble", 211: "soot", CAMS_SULPHATE: "watersoluble"}
#: Points of a layer of a forecast and layers, at most: real ones have 9 x 9 of up to 11 layers.
FORECAST_POINTS, FORECAST_LAYERS = 1_000_000, 500
#: What reading a forecast may take: real ones are read within 10 MB and 0.3 s. [bytes], [s]
FORECAST_MEMORY, FORECAST_SECONDS = 300_000_000, 20.0


class Terrain(NamedTuple):
    """A terrain model on a tile's grid.

    Attributes
    ----------
    coarse : (row, col) float32
        Mean altitude of each coarse pixel. [m]
    fine : (row, col) float32
        Altitude every `TERRAIN_RESOLUTION`. [m]
    void : float
        Share of the tile without data, taken as sea level. [-]
    name : str
        Which model it is.
    mended, doubt : str
        What of it was mended, and what is odd about it; empty if nothing.
    """

    coarse: NDArray[np.float32]
    fine: NDArray[np.float32]
    void: float
    name: str
    mended: str = ""
    doubt: str = ""


def ancillary(
    grid: Grid,
    resolution: int,
    dem: Path | None = None,
    *,
    ecmwf: bytes | Forecast | None = None,
    cams: bytes | Forecast | None = None,
    default_ozone: float = Parameters.default_ozone,
    cache: Path | None = None,
) -> Ancillary:
    """What is known of one scene beside its image.

    Parameters
    ----------
    grid : Grid
        Of the scene.
    resolution : int
        Of the coarse grid. [m]
    dem : Path, optional
        Terrain model: a raster in any projection, or a folder of them; where they overlap, the first by name that
        has data counts. [m] `glo30.NAME`: Copernicus GLO-30, fetched. Without one the tile is flat, at sea level, and
        has no slopes.
    ecmwf : bytes or Forecast, optional
        The forecast that comes with the Level-1C (`Granule.ecmwf`), as GRIB or arrays: ozone and pressure. Without it,
        or where it is of no use, the default and the standard atmosphere.
    cams : bytes or Forecast, optional
        The forecast of the aerosol (`Granule.cams`).
    default_ozone : float
        Ozone where the forecast is missing or has none. [cm atm]
    cache : Path, optional
        Folder that keeps the terrain of each tile for the next scene, until the model's files change.

    Raises
    ------
    AncillaryError
        If the terrain model can't be read or does not cover the tile.
    Unreachable
        If it is to be fetched and can't be.
    """
    told: dict[str, str] = {}
    if dem is None:
        altitude, fine, altitude_origin = np.zeros(grid.shape(resolution), np.float32), None, FLAT
    else:
        altitude, fine, void, name, *odd = _terrain(grid, resolution, dem, cache)
        told = {key: text for key, text in zip(("altitude_mended", "altitude_doubt"), odd, strict=True) if text}
        altitude_origin = name + (f" ({100 * void:.1f} % without data taken as sea level)" if void else "")
    ozone, ozone_origin = _forecast_or(default_ozone, "default", _ozone, grid, ecmwf)
    pressure, pressure_origin = _forecast_or(STANDARD_PRESSURE, "standard atmosphere", _pressure, grid, ecmwf)
    aerosol, aot, aerosol_origin = _composition(grid, cams)
    origin = {
        "altitude": altitude_origin,
        "ozone": ozone_origin,
        "pressure": pressure_origin,
        "aerosol_model": aerosol_origin,
        **told,
    }
    return Ancillary(altitude, ozone, origin, fine, pressure, aerosol, aot)


def _composition(grid: Grid, cams: bytes | Forecast | None) -> tuple[dict[str, float] | None, float | None, str]:
    """What the aerosol is made of, its AOT, and where both came from; or None twice and why they are not known."""
    if cams is None:
        return None, None, "no CAMS file in the L1C"
    try:
        shares, aot = _bounded("CAMS", _aerosol, grid, cams)
    except ValueError as error:
        return None, None, str(error)
    return shares, aot, "CAMS in the L1C"


def _bounded(name: str, read: Callable[..., R], *arguments: Any) -> R:
    """What a function reads out of a forecast, in a process of its own.

    Raises
    ------
    ValueError
        With the reason, also if it takes too much.
    """
    if any(isinstance(argument, Forecast) for argument in arguments):
        return read(*arguments)  # arrays, with no decoder to fear
    try:
        return bounded.run(read, *arguments, memory=FORECAST_MEMORY, seconds=FORECAST_SECONDS)
    except OverLimit as error:
        raise ValueError(f"the {name} file of the L1C {error}") from error


def _forecast_or(
    usual: float, name: str, read: Callable[[Grid, Any], float], grid: Grid, ecmwf: bytes | Forecast | None
) -> tuple[float, str]:
    """A quantity of the forecast that comes with the Level-1C, else the usual one; and where it came from."""
    if ecmwf is None:
        return usual, name
    try:
        return read(grid, ecmwf), "ECMWF in the L1C"
    except ValueError as error:
        return usual, f"{name} ({error})"


def _terrain(grid: Grid, resolution: int, dem: Path, cache: Path | None) -> Terrain:
    if dem == glo30.NAME:
        paths, name = glo30.fetch(grid, cache)
    else:
        paths, name = _rasters(dem), dem.name
    if cache is None:
        return _resampled(grid, resolution, dem, paths)._replace(name=name)
    files = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    key = sha256(repr((CACHE_FORMAT, grid, resolution, TERRAIN_RESOLUTION, files)).encode()).hexdigest()[:32]
    kept = cache / f"terrain-{key}.npz"
    try:
        with np.load(kept) as file:
            said = str(file["mended"]), str(file["doubt"])
            return Terrain(file["coarse"], file["fine"], float(file["void"]), name, *said)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        log.warning("%s: can't be read and is made again (%s)", kept, error)
    found = _resampled(grid, resolution, dem, paths)._replace(name=name)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=cache, suffix=".npz", delete=False) as file:
            try:
                mended, doubt = np.array(found.mended), np.array(found.doubt)
                np.savez(file, coarse=found.coarse, fine=found.fine, void=found.void, mended=mended, doubt=doubt)
                os.replace(file.name, kept)
            except BaseException:
                os.unlink(file.name)
                raise
    except OSError as error:
        log.warning("%s: the terrain can't be kept (%s)", kept, error)
    return found


def _rasters(dem: Path) -> list[Path]:
    if not dem.is_dir():
        if not dem.exists():
            raise AncillaryError(dem, "can't be read as a terrain model (there is no such file)")
        if not dem.is_file():  # a pipe would be waited for without end
            raise AncillaryError(dem, "can't be read as a terrain model (no regular file)")
        return [dem]
    paths = sorted(path for path in dem.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    if not paths:
        raise AncillaryError(dem, f"a folder without terrain models ({', '.join(SUFFIXES)})")
    return paths


def _resampled(grid: Grid, resolution: int, dem: Path, paths: list[Path]) -> Terrain:
    """Bring a terrain model to the tile's grids.

    In a process of its own, as a model may come from anywhere.
    """
    try:
        return bounded.run(_read_terrain, grid, resolution, dem, paths, memory=TERRAIN_MEMORY, seconds=TERRAIN_SECONDS)
    except OverLimit as error:
        raise AncillaryError(dem, f"can't be read as a terrain model (it {error})") from error


def _read_terrain(grid: Grid, resolution: int, dem: Path, paths: list[Path]) -> Terrain:
    """`_resampled`; sea level where the model says nothing."""
    coarse, fine = (np.full(grid.shape(r), np.nan, np.float32) for r in (resolution, TERRAIN_RESOLUTION))
    x, y = np.meshgrid(
        grid.west + _centres(coarse.shape[1], resolution, grid.width),
        grid.north - _centres(coarse.shape[0], resolution, grid.height),
    )
    covered = np.zeros(coarse.shape, np.bool_)
    models: dict[str, list[rasterio.DatasetReader]] = {}
    said: dict[str, int] = {}
    impossible: list[float] = []
    reading = dem
    try:
        with ExitStack() as stack:
            stack.enter_context(rasterio.Env())
            for reading in paths:
                model = stack.enter_context(DatasetReader(str(reading), driver=DRIVERS))
                _check_place(model, reading)
                here = _frame(model, grid, x, y)
                covered |= here
                found = terrain.read(model, reading, grid, _pixel(grid, model)) if here.any() else None
                if found is not None:
                    impossible += found.impossible
                    _count(said, found.said)
                    models.setdefault(model.crs.to_wkt(), []).append(_in_memory(found, model.crs, stack))
                model.close()
            if not covered.all():
                raise AncillaryError(dem, f"covers {100 * covered.mean():.1f} % of the tile")
            for alike in models.values():
                for source in _merged(grid, alike, said):
                    for target, pixel in ((coarse, resolution), (fine, TERRAIN_RESOLUTION)):
                        _fill(target, pixel, grid, source, _pixel(grid, alike[0]))
    except (RasterioError, CRSError, AffineError, ValueError, ArithmeticError) as error:
        raise AncillaryError(reading, f"can't be read as a terrain model ({error})") from error
    doubt = terrain.doubt(grid, coarse, dem)
    void = _fill_gaps(coarse, fine, resolution, said)
    if void == 1:
        text = f"altitudes from {min(impossible):g} to {max(impossible):g} m" if impossible else ""
        raise AncillaryError(dem, text or "says nothing of the tile: it has voids only")
    mended = ", ".join(text if count == 1 else f"{count} {text}" for text, count in said.items())
    return Terrain(coarse, fine, void, dem.name, mended, doubt or "")


def _count(said: dict[str, int], more: dict[str, int]) -> None:
    """Add what was said of one more file: numbers of pixels, or once for all files."""
    for text, count in more.items():
        said[text] = said.get(text, 0) + count if count > 1 else max(said.get(text, 0), count)


def _in_memory(found: terrain.Altitudes, crs: Any, stack: ExitStack) -> rasterio.DatasetReader:
    """Altitudes as a model, NaN for voids."""
    memory = stack.enter_context(MemoryFile())
    rows, cols = found.values.shape
    options = {"driver": "GTiff", "count": 1, "height": rows, "width": cols, "dtype": "float32", "nodata": np.nan}
    with memory.open(crs=crs, transform=found.where, **options) as out:
        out.write(found.values, 1)
    model: rasterio.DatasetReader = stack.enter_context(memory.open())
    return model


def _check_place(model: rasterio.DatasetReader, path: Path) -> None:
    """Make sure that a model says where its pixels lie."""
    if model.crs is None:
        raise AncillaryError(path, "a terrain model without projection")
    if not np.isfinite(model.transform.determinant) or model.transform.is_degenerate:
        raise AncillaryError(path, "a terrain model without a place (its transform can't be inverted)")


def _fill_gaps(coarse: NDArray[np.float32], fine: NDArray[np.float32], resolution: int, said: dict[str, int]) -> float:
    """Put the sea where no model has an altitude; the share of such coarse cells."""
    void = np.isnan(coarse)
    coarse[void] = 0
    gaps = np.isnan(fine)
    if gaps.any():  # what is known around a gap makes a lower step than the sea
        side = resolution // TERRAIN_RESOLUTION

        def around(cells: NDArray[Any]) -> NDArray[Any]:
            repeated = np.repeat(np.repeat(cells, side, axis=0), side, axis=1)
            return np.asarray(repeated[: fine.shape[0], : fine.shape[1]])

        if count := int(np.count_nonzero(gaps & ~around(void))):
            said[f"pixels of {TERRAIN_RESOLUTION} m without data given the mean of {resolution} m around"] = count
        fine[gaps] = around(coarse)[gaps]
    return float(void.mean())


def _centres(count: int, resolution: int, length: int) -> NDArray[np.float64]:
    edges = np.minimum(np.arange(count + 1) * resolution, length)
    return (edges[:-1] + edges[1:]) / 2


def _frame(
    model: rasterio.DatasetReader, grid: Grid, x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which of the places (of the tile's projection) lie within a model's frame."""
    at = np.array(transform(grid.crs, model.crs, x.ravel(), y.ravel()))
    col, row = ~model.transform @ at
    inside = (col >= 0) & (col <= model.width) & (row >= 0) & (row <= model.height)
    return np.asarray(inside.reshape(x.shape))


def _merged(grid: Grid, models: list[rasterio.DatasetReader], said: dict[str, int]) -> Iterator[dict[str, Any]]:
    """What is to be reprojected: a model, or what several of one projection say of the tile, without seams."""
    first = models[0]
    if len(models) == 1:
        yield {"source": rasterio.band(first, 1), "src_nodata": np.nan}
        return
    step_x, step_y = first.res
    finer = TERRAIN_RESOLUTION / 2 / _pixel(grid, first)  # no use for pixels smaller than half of ours
    if finer > 1:
        step_x, step_y = step_x * finer, step_y * finer
    left, bottom, right, top = transform_bounds(grid.crs, first.crs, grid.west, grid.south, grid.east, grid.north)
    sides = [(left, right)] if left < right else [(left, 180.0), (-180.0, right)]  # of the antimeridian
    for west, east in sides:
        frame = (west - 4 * step_x, bottom - 4 * step_y, east + 4 * step_x, top + 4 * step_y)
        # on the pixels of the first model, so that nothing is resampled twice
        cols = [(edge - first.bounds.left) / step_x for edge in frame[::2]]
        rows = [(edge - first.bounds.top) / step_y for edge in frame[1::2]]
        aligned = (
            first.bounds.left + np.floor(cols[0]) * step_x,
            first.bounds.top + np.floor(rows[0]) * step_y,
            first.bounds.left + np.ceil(cols[1]) * step_x,
            first.bounds.top + np.ceil(rows[1]) * step_y,
        )
        array, where = merge(
            models, aligned, (step_x, step_y), np.nan, "float32", indexes=[1], resampling=Resampling.bilinear
        )
        terrain.bridge(array[0], said)  # the seams between the models
        yield {"source": array[0], "src_transform": where, "src_crs": first.crs, "src_nodata": np.nan}


def _fill(target: NDArray[np.float32], resolution: int, grid: Grid, source: dict[str, Any], pixel: float) -> None:
    """Give the pixels of `target` that have no altitude yet that of a model with pixels of `pixel` metres."""
    found = np.full_like(target, np.nan)
    # An average of less than one pixel of the model would make steps; so would slopes between straight lines.
    finest = Resampling.cubic if resolution == TERRAIN_RESOLUTION else Resampling.bilinear
    reproject(
        **source,
        destination=found,
        dst_transform=Affine(*grid.transform(resolution)),
        dst_crs=grid.crs,
        dst_nodata=np.nan,
        init_dest_nodata=True,
        resampling=Resampling.average if pixel < resolution else finest,
    )
    np.copyto(target, found, where=np.isnan(target))


def _pixel(grid: Grid, model: rasterio.DatasetReader) -> float:
    """Size of the model's pixels in the middle of the tile. [m]"""
    x, y = grid.west + grid.width / 2, grid.north - grid.height / 2
    lon, lat = transform(grid.crs, model.crs, [x, x + 1000, x], [y, y, y + 1000])
    col, row = ~model.transform @ np.array([lon, lat])
    pixels_per_km = max(np.hypot(col[1] - col[0], row[1] - row[0]), np.hypot(col[2] - col[0], row[2] - row[0]))
    return float(1000 / pixels_per_km)


@contextmanager
def _forecast(grid: Grid, content: bytes, name: str) -> Iterator[tuple[rasterio.DatasetReader, tuple[float, float]]]:
    """A forecast of the Level-1C, and the middle of the tile in its longitude and latitude.

    Raises
    ------
    ValueError
        With the reason, if it can't be read or is of another place.
    """
    lon, lat = _middle(grid)
    if not content:
        raise ValueError(f"the {name} file of the L1C is empty")
    try:
        with MemoryFile(content) as memory, memory.open(driver="GRIB") as forecast:
            if forecast.width * forecast.height > FORECAST_POINTS or forecast.count > FORECAST_LAYERS:
                size = f"{forecast.count} layers of {forecast.width} x {forecast.height}"
                raise ValueError(f"the {name} file of the L1C claims {size} points")
            left, bottom, right, top = forecast.bounds
            # a tile at the antimeridian may count its longitudes on the other side
            places = [v for v in (lon, lon + 360, lon - 360) if left <= v <= right]
            if not places or not bottom <= lat <= top:
                raise ValueError(f"the {name} file of the L1C is of another place")
            yield forecast, (places[0], lat)
    except RasterioError as error:
        raise ValueError(f"the {name} file of the L1C can't be read") from error


def _middle(grid: Grid) -> tuple[float, float]:
    """Longitude and latitude of the middle of the tile. [deg]"""
    (lon,), (lat,) = transform(grid.crs, "EPSG:4326", [grid.west + grid.width / 2], [grid.north - grid.height / 2])
    return float(lon), float(lat)


def _at_tile(grid: Grid, ecmwf: bytes | Forecast, element: str, words: str) -> float:
    """Value in the middle of the tile of the first layer of an ECMWF forecast with an element, in its unit."""
    if isinstance(ecmwf, Forecast):
        values = ecmwf.values.get(element.lower())
        if values is None:
            raise ValueError(f"no {words} in the ECMWF arrays of the L1C")
        row, col = _nearest(grid, ecmwf, "ECMWF")
        return float(values[row, col])
    with _forecast(grid, ecmwf, "ECMWF") as (forecast, place):
        layers = [i for i in forecast.indexes if forecast.tags(i).get("GRIB_ELEMENT") == element]
        if not layers:
            raise ValueError(f"no {words} in the ECMWF file of the L1C")
        return float(next(iter(forecast.sample([place], indexes=layers[0])))[0])


def _nearest(grid: Grid, forecast: Forecast, name: str) -> tuple[int, int]:
    """Row and column of the point of a forecast that is next to the middle of the tile.

    Raises
    ------
    ValueError
        If the forecast is of another place.
    """
    lon, lat = _middle(grid)
    beside = np.abs((forecast.longitude - lon + 180) % 360 - 180)  # which may count on the other side
    apart = np.abs(forecast.latitude - lat)
    steps = [np.abs(np.diff(values)).max(initial=0.0) for values in (forecast.longitude, forecast.latitude)]
    if not (beside.min() <= steps[0] / 2 and apart.min() <= steps[1] / 2):
        raise ValueError(f"the {name} arrays of the L1C are of another place")
    return int(apart.argmin()), int(beside.argmin())


def _ozone(grid: Grid, ecmwf: bytes | Forecast) -> float:
    """Total ozone in the middle of the tile. [cm atm]

    Raises
    ------
    ValueError
        With the reason, if the forecast holds none that can be used.
    """
    dobson = _bounded("ECMWF", _at_tile, grid, ecmwf, "TCO3", "total ozone") / DOBSON
    if not OZONE_RANGE[0] <= dobson <= OZONE_RANGE[1]:
        raise ValueError(f"the ECMWF file of the L1C says {dobson:.4g} DU")
    return dobson / 1000


def _pressure(grid: Grid, ecmwf: bytes | Forecast) -> float:
    """Mean sea level pressure in the middle of the tile. [hPa]; errors as `_ozone`."""
    pressure = _bounded("ECMWF", _at_tile, grid, ecmwf, "MSL", "pressure") / 100
    if not PRESSURE_RANGE[0] <= pressure <= PRESSURE_RANGE[1]:
        raise ValueError(f"the ECMWF file of the L1C says {pressure:.4g} hPa")
    return pressure


def _optical_thickness(grid: Grid, cams: bytes | Forecast) -> dict[int, float]:
    """Mean of each layer of AOT of a CAMS forecast, by its parameter."""
    if isinstance(cams, Forecast):
        _nearest(grid, cams, "CAMS")
        values = {parameter: cams.values[name] for parameter, name in CAMS_NAMES.items() if name in cams.values}
        return {parameter: float(v[np.isfinite(v)].mean()) for parameter, v in values.items() if np.isfinite(v).any()}
    found: dict[int, float] = {}
    with _forecast(grid, cams, "CAMS") as (forecast, _):
        for i in forecast.indexes:
            number = CAMS_PARAMETER.match(forecast.tags(i).get("GRIB_ELEMENT", ""))
            if number:
                found[int(number[1])] = float(forecast.read(i, masked=True, out_dtype=np.float64).mean())
    return found


def _aerosol(grid: Grid, cams: bytes | Forecast) -> tuple[dict[str, float], float]:
    """Models of the tables with their shares of the AOT over the tile, and the AOT, from that of CAMS's species.

    The file is CAMS's forecast at the time of sensing, on a grid as large as the tile: its mean counts.

    Raises
    ------
    ValueError
        With the reason, if the forecast holds no composition that can be used.
    """
    found = _optical_thickness(grid, cams)
    missing = sorted((CAMS_SPECIES.keys() | {CAMS_TOTAL}) - found.keys())
    if missing:
        raise ValueError(f"the CAMS file of the L1C lacks the AOT of parameters {', '.join(map(str, missing))}")
    aot = dict.fromkeys(CAMS_SPECIES.values(), 0.0)
    for parameter, model in CAMS_SPECIES.items():
        aot[model] += found[parameter] if found[parameter] > 0 else 0.0
    # Nitrate and ammonium are in the total alone; they draw water and scatter as sulphate does.
    aot[CAMS_SPECIES[CAMS_SULPHATE]] += max(found[CAMS_TOTAL] - sum(aot.values()), 0.0)
    total = sum(aot.values())
    if not 0 < total < AOT_LIMIT:
        raise ValueError(f"the CAMS file of the L1C says an AOT of {total:.4g}")
    return {model: value / total for model, value in aot.items()}, total
