"""Masks of the versions, and of other people's detectors, on series whose truth is known.

    python -m benchmarks.masks --out DIR [--scenario truth ...] [--versions V1_3 V1_4] [--comparators]

Each series is simulated once and kept in DIR, processed anew with each version, and judged by `muscate validate clouds
--truth`, whose table is printed; figures, maps and numbers go to DIR/SCENARIO/validation. Before it stands what a
perfect detector would reach, one that finds every coarse cell of which a share is cloud and grows it as the version.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import rasterio

from processing.chain.dilation import dilate, finer
from processing.cli import app
from processing.simulation import SERIES, simulate
from processing.versions import Parameters, parameters

#: Detectors that are judged beside ours.
OTHERS = ("s2cloudless", "ukis-csmask")
#: What is left out around true clouds. [m]
RING = 240
#: Of a coarse cell that is cloud, from which it is found: what bright cumulus and what thin clouds need. [-]
SHARES = (0.1, 0.3)


def muscate(*words: str | Path) -> None:
    """Run a command; any exit but that of rejected inputs ends the benchmark."""
    try:
        app([str(word) for word in words], standalone_mode=True)
    except SystemExit as end:
        if end.code:
            sys.exit(f"muscate {words[0]} ended with {end.code}")


def ceiling(folder: Path, numbers: Parameters, share: float) -> float:
    """Overall accuracy without the ring of a detector that finds all cells with so much cloud, and no others."""
    right = judged = 0
    for path in sorted(folder.glob("truth/*/clouds_10m.tif")):
        with rasterio.open(path) as file:
            cloud = file.read(1) > 0
        step = numbers.coarse_resolution // 10
        cells = -(-len(cloud) // step)
        padded = np.zeros((cells * step, cells * step), np.float32)
        padded[: len(cloud), : len(cloud)] = cloud
        found = padded.reshape(cells, step, cells, step).mean((1, 3)) >= share
        side = numbers.mask_resolution if numbers.mask_buffers else numbers.coarse_resolution
        found = finer(found, numbers.coarse_resolution // side)
        grown = dilate(found, numbers.buffers[0], side).astype(np.float32)
        fine = cv2.resize(grown, padded.shape, interpolation=cv2.INTER_LINEAR) >= numbers.mask_resampling_threshold
        cloud, fine = (mask[: len(cloud) : 2, : len(cloud) : 2] for mask in (cloud, fine))
        among = cloud | ~dilate(cloud, RING, 20)
        right += int(np.count_nonzero((fine == cloud) & among))
        judged += int(np.count_nonzero(among))
    return right / judged


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scenario", nargs="*", default=list(SERIES), choices=list(SERIES))
    parser.add_argument("--versions", nargs="*", default=["V1_3", "V1_4"])
    parser.add_argument("--size", type=int, default=1098, help="pixels at 10 m on a side")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--comparators", action="store_true", help=f"also {' and '.join(OTHERS)}")
    options = parser.parse_args()
    for name in options.scenario:
        folder = options.out / f"{name}-{options.size}-{options.seed}"
        images = folder / "l1c"
        if not images.is_dir():
            series = vars(SERIES[name]) | {"size": options.size, "seed": options.seed}
            partial = folder / "l1c.part"
            simulate(partial, **series)
            partial.rename(images)
        terrain = images / "truth" / "dem.tif"
        products = [folder / version for version in options.versions]
        packages = sorted(images.glob("*.SAFE"))
        for version, out in zip(options.versions, products, strict=True):
            shutil.rmtree(out, ignore_errors=True)
            given = ("--dem", terrain) if terrain.exists() else ()
            muscate("process", *packages, "--version", version, "--out", out, *given)
        others = [word for other in OTHERS for word in ("--comparator", other)] if options.comparators else []
        print(f"\n{name}: {len(packages)} dates of {options.size / 100:g} km")
        for version in options.versions:
            best = ", ".join(
                f"{ceiling(images, parameters(version), s):.4f} from {s:.0%} of a cell" for s in (0.1, 0.3)
            )
            print(f"a perfect detector on the cells of {version} would reach {best}", flush=True)
        muscate(
            "validate", "clouds", *products, *((images,) if others else ()), "--truth", images, *others,
            "--out", folder / "validation",
        )  # fmt: skip


if __name__ == "__main__":
    main()
