"""Masks of the versions, and of other people's detectors, on series whose truth is known.

    python -m benchmarks.masks --out DIR [--scenario truth ...] [--versions V1_3 V1_4] [--comparators]

Each series is simulated once and kept in DIR, processed anew with each version, and judged by `muscate validate clouds
--truth`, whose table is printed; figures, maps and numbers go to DIR/SCENARIO/validation.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from processing.cli import app
from processing.simulation import SERIES, simulate

#: Detectors that are judged beside ours.
OTHERS = ("s2cloudless", "ukis-csmask")


def muscate(*words: str | Path) -> None:
    """Run a command; any exit but that of rejected inputs ends the benchmark."""
    try:
        app([str(word) for word in words], standalone_mode=True)
    except SystemExit as end:
        if end.code:
            sys.exit(f"muscate {words[0]} ended with {end.code}")


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
        print(f"\n{name}: {len(packages)} dates of {options.size / 100:g} km", flush=True)
        muscate(
            "validate", "clouds", *products, *((images,) if others else ()), "--truth", images, *others,
            "--out", folder / "validation",
        )  # fmt: skip


if __name__ == "__main__":
    main()
