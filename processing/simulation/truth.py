"""What is known of a simulated date: its surface, columns, clouds, shadows and ground, kept beside the product."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from processing.bands import R1, R2
from processing.scene import Grid
from processing.simulation.date import REFERENCE_BAND, Date
from processing.simulation.ground import LAND_COVER
from processing.simulation.noise import Field
from processing.simulation.place import Block
from processing.simulation.scenario import WATERS
from processing.simulation.sky import AEROSOL_HEIGHT, KINDS, WATER_HEIGHT

#: Values of the cloud truth: by optical thickness (`THICK`), or high.
CLOUD_CLASSES = {0: "clear", 1: "thin", 2: "thick", 3: "high"}
#: A cloud counts where it takes this share of the light from the ground. [-]
THIN = 0.05
#: It is thick from this optical thickness. [-] (ISCCP: Rossow and Schiffer, Bulletin of the American Meteorological
#: Society 80, 1999)
THICK = 3.6
#: Ground counts as shaded where less than 1 - this of the direct light comes through. [-]
SHADED = 0.25


def clouds(date: Date) -> NDArray[np.int16]:
    """Clouds at 10 m, as `REFERENCE_BAND` sees them.

    Returns
    -------
    (4, row, col) int16
        Class and height [m] of the highest cloud, optical thickness of all of them together [0.01], kind of the
        highest.
    """
    return date.whole(10, np.int16, partial(_clouds, date), 4)


def _clouds(date: Date, block: Block) -> NDArray[np.int16]:
    detectors = date.detectors(block, 10)
    label, height, kind = np.zeros((3, *detectors.shape), np.int16)
    total = np.zeros(detectors.shape, np.float32)
    for detector in np.unique(detectors).tolist():
        here = detectors == detector
        for layer in date.sky:
            opacity, _ = date.seen(layer, REFERENCE_BAND, detector, block, 1)
            thickness = layer.optical_thickness(opacity)
            total[here] += thickness[here]
            there = (opacity >= THIN) & here
            height[there] = round(layer.height)
            kind[there] = KINDS.index(layer.kind) + 1
            label[there] = 3 if layer.kind == "cirrus" else np.where(thickness[there] >= THICK, 2, 1)
    return np.stack([label, height, np.rint(100 * total).clip(0, 32767).astype(np.int16), kind])


def write(date: Date, folder: Path, clouds: NDArray[np.int16]) -> None:
    """Write surface reflectance, columns, clouds, shadows and ground as GeoTIFF, and a summary.

    Parameters
    ----------
    date : Date
    folder : Path
        Of the date; the terrain, where there is any, goes beside it.
    clouds : (4, row, col) int16
        As of `clouds`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    grid = date.place.grid
    for resolution, bands in ((10, R1), (20, R2), (60, ("B1", "B9"))):
        images = [
            date.whole(resolution, np.float32, partial(date.surface_reflectance, band, f=resolution // 10))
            for band in bands
        ]
        scaled = [np.rint(10_000 * image).astype(np.int16) for image in images]
        _tif(folder / f"surface_reflectance_{resolution}m.tif", scaled, grid, resolution, bands)
    columns = _columns(date)
    _tif(folder / "atmosphere_60m.tif", columns, grid, 60, ("aot550", "water_vapour_g_cm-2"))
    names = ("class", "height_m", "optical_thickness_0.01", "kind")
    _tif(folder / "clouds_10m.tif", list(clouds), grid, 10, names)
    land = date.whole(10, np.uint8, partial(date.place.of_ground, date.land_cover))
    hidden = np.zeros(land.shape, bool)
    if date.terrain_shadow is not None:
        hidden = date.whole(10, bool, partial(date.place.of_ground, date.terrain_shadow))
        altitude = date.whole(10, np.float32, date.place.altitude) + np.float32(date.scenario.altitude)
        _tif(folder.parent / "dem.tif", [altitude], grid, 10, ("altitude_m",))
    water = np.isin(land, [number for number, name in LAND_COVER.items() if name in WATERS])
    snow = np.isin(land, [number for number, name in LAND_COVER.items() if name == "snow"])
    ground = [band.astype(np.uint8) for band in (land, water, snow, hidden)]
    _tif(folder / "ground_10m.tif", ground, grid, 10, ("land_cover", "water", "snow", "terrain_shadow"))
    # a slope that the sun does not reach has no shadow of a cloud
    shade = date.whole(10, np.float32, partial(date.shade, f=1)) * ~hidden
    shadow = shade >= SHADED
    shadows = [shadow.astype(np.uint8), np.rint(100 * shade).astype(np.uint8)]
    _tif(folder / "shadows_10m.tif", shadows, grid, 10, ("shadow", "shade_percent"))
    summary = _summary(date, columns, clouds[0], {"shadow": shadow, "snow": snow, "water": water})
    (folder / "truth.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def _columns(date: Date) -> list[Field]:
    """AOT [-] and water vapour [g cm-2] above the ground, at 60 m."""
    middles = np.meshgrid(*[(np.arange(date.place.size // 6) + 0.5) * 0.06] * 2)
    above = date.place.around(*middles)
    return [
        (quantity.at(*middles) * np.exp(-above / scale)).astype(np.float32)
        for quantity, scale in ((date.aot, AEROSOL_HEIGHT), (date.water_vapour, WATER_HEIGHT))
    ]


def _summary(
    date: Date, columns: list[Field], classes: NDArray[np.int16], where: dict[str, NDArray[np.bool_]]
) -> dict[str, Any]:
    share = {name: round(100 * float(mask.mean()), 2) for name, mask in where.items()}
    return {
        "tile": date.place.tile,
        "sensing": date.acquisition.sensing.isoformat(),
        "platform": date.acquisition.platform,
        "seed": date.place.seed[0],
        "aerosol_model": date.scenario.aerosol_model,
        "altitude_m": date.scenario.altitude,
        "ozone_cm_atm": date.scenario.ozone,
        "aot550_mean": round(float(columns[0].mean()), 4),
        "water_vapour_mean_g_cm-2": round(float(columns[1].mean()), 4),
        "blue_red": list(date.scenario.blue_red),
        "cloud_percent": {name: round(100 * float((classes == k).mean()), 2) for k, name in CLOUD_CLASSES.items()},
        "cloud_heights_m": [round(layer.height) for layer in date.sky],
        "shadow_percent": share["shadow"],
        "cloud_kinds": dict(enumerate(KINDS, 1)),
        "thin_from_opacity": THIN,
        "thick_from_optical_thickness": THICK,
        "land_cover": LAND_COVER,
        "bared": date.weather.bared,
        "snow_percent": share["snow"],
        "water_percent": share["water"],
        "shaded_from": SHADED,
        "sun_zenith_azimuth_deg": [round(a, 4) for a in date.angles.mean_sun],
    }


def _tif(path: Path, images: list[NDArray[Any]], grid: Grid, resolution: int, names: Sequence[str]) -> None:
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        dtype=images[0].dtype.name,
        count=len(images),
        height=images[0].shape[0],
        width=images[0].shape[1],
        crs=grid.crs,
        transform=rasterio.Affine(*grid.transform(resolution)),
        compress="deflate",
        predictor=3 if images[0].dtype.kind == "f" else 2,
        tiled=images[0].shape[0] >= 512,
    ) as target:
        for k, (image, name) in enumerate(zip(images, names, strict=True), 1):
            target.write(image, k)
            target.set_band_description(k, name)
