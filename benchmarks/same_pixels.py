"""Whether two trees of the code make the same products: run each over the same Level-1C, then compare the folders.

    muscate process L1C... --version V1_4 --out BEFORE --state BEFORE-STATE --dem DEM     # with the one tree
    python -m benchmarks.same_pixels answers BEFORE --state BEFORE-STATE > before.jsonl
    muscate process L1C... --version V1_4 --out AFTER --state AFTER-STATE --dem DEM       # with the other
    python -m benchmarks.same_pixels answers AFTER --state AFTER-STATE > after.jsonl
    python -m benchmarks.same_pixels rasters BEFORE AFTER && cmp before.jsonl after.jsonl

`rasters` exits 1 where a raster is missing or a pixel differs; `answers` prints what explain-pixel says at places
spread over each product, in JSON, one line each.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import rasterio
from pyproj import Transformer

from processing import explain, product


def rasters(before: Path, after: Path) -> int:
    """Print how many rasters are equal; the number of those that are not."""
    found = {path.relative_to(before): path for path in sorted(before.rglob("*.tif"))}
    other = {path.relative_to(after): path for path in sorted(after.rglob("*.tif"))}
    faults = [f"{name}: only in one" for name in sorted(set(found) ^ set(other))]
    for name in sorted(set(found) & set(other)):
        with rasterio.open(found[name]) as one, rasterio.open(other[name]) as two:
            if one.profile != two.profile or not np.array_equal(one.read(), two.read()):
                faults.append(f"{name}: differs")
    for fault in faults:
        print(fault)
    print(f"{len(found)} rasters, {len(faults)} missing or with other pixels")
    return len(faults)


def answers(products: Path, states: Path, each: int) -> None:
    """Print what explain-pixel says at `each` places of each product."""
    random = np.random.default_rng(12)
    for folder in sorted(path for path in products.iterdir() if path.is_dir()):
        grid = product.read(folder).grid
        back = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
        own, before = explain.states(folder, states)
        for u, v in random.random((each, 2)):
            lon, lat = back.transform(grid.west + u * grid.width, grid.south + v * grid.height)
            why = explain.explain(folder, lon, lat, state=own, previous_state=before)
            print(json.dumps(why.json(), sort_keys=True))


def main() -> None:
    """Run `rasters` or `answers`."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = words.add_subparsers(dest="verb", required=True)
    compare = verbs.add_parser("rasters")
    compare.add_argument("before", type=Path)
    compare.add_argument("after", type=Path)
    ask = verbs.add_parser("answers")
    ask.add_argument("products", type=Path)
    ask.add_argument("--state", type=Path, required=True)
    ask.add_argument("--each", type=int, default=60)
    given = words.parse_args()
    if given.verb == "answers":
        answers(given.products, given.state, given.each)
    else:
        sys.exit(rasters(given.before, given.after) > 0)


if __name__ == "__main__":
    main()
