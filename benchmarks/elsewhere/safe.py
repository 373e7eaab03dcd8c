"""Dates of the worlds written as Level-1C packages, for those who read files."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import rasterio

from benchmarks.elsewhere.series import SIZE, STEP, Date, series
from benchmarks.elsewhere.worlds import WORLDS
from processing.bands import BANDS
from processing.simulation.safe import IRRADIANCE, Safe

#: What of the truth is written beside a package, at 20 m: bands of truth.tif.
TRUTH = ("cloud", "thick", "unsure", "shadow", "half_shade", "water", "snow", "terrain_shadow", "kind")


def write(date: Date, out: Path) -> Path:
    """The package of a date in `out`, its truth in ``out/truth/NAME.tif`` and, with relief, ``out/truth/dem.tif``."""
    scene = date.scene
    product = Safe(
        scene.platform, scene.tile, scene.orbit, scene.relative_orbit, scene.sensing, scene.grid, scene.angles,
        100 * float(date.truth.cloud.mean()),
    )  # fmt: skip
    for band in BANDS:
        product.add_image(band, scene.counts[band])
    by_resolution = {BANDS[band].resolution: d for band, d in scene.detectors.items()}
    rows, cols = scene.grid.shape(60)
    product.add_masks(by_resolution, np.zeros((3, rows, cols), np.uint8))
    folder = out / "truth"
    folder.mkdir(parents=True, exist_ok=True)
    layers = [np.asarray(getattr(date.truth, name), np.uint8) for name in TRUTH]
    _tif(folder / f"{product.name.removesuffix('.SAFE')}.tif", layers, date)
    if date.relief:
        _tif(folder / "dem.tif", [date.altitude], date)
    return product.write(out, zipped=False)


def _tif(path: Path, layers: list[np.ndarray], date: Date) -> None:
    rows, cols = layers[0].shape
    with rasterio.open(
        path, "w", driver="GTiff", dtype=layers[0].dtype.name, count=len(layers), height=rows, width=cols,
        crs=date.scene.grid.crs, transform=rasterio.Affine(*date.scene.grid.transform(STEP)), compress="deflate",
    ) as target:  # fmt: skip
        for k, layer in enumerate(layers, 1):
            target.write(layer, k)
            if len(layers) > 1:
                target.set_band_description(k, TRUTH[k - 1])


def main() -> None:
    """Write a series."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("world", choices=list(WORLDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--dates", type=int)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    for date in series(options.world, options.seed, options.size, options.dates):
        if date.scene.platform in IRRADIANCE:
            print(write(date, options.out), flush=True)
        else:
            print(f"{date.scene.identifier}: no packages of {date.scene.platform} are written")


if __name__ == "__main__":
    main()
