"""What a backward start gains: the first two dates of a series that begins under heavy cloud, against their truth.

    python -m benchmarks.backward [--versions V1_4 V2_0] [--size 732] [--seeds 0 1]

The first date is started from nothing (init) and from the later dates (backward); the second goes on from either. Of
ground farther than 480 m from what is truly cloud or shadow is printed the share that is masked all the same, and of
the ground that the first date had in shadow and the second has in light the share that the second masks.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio

from processing.ancillary import ancillary
from processing.chain import correct, look_back
from processing.chain.dilation import dilate
from processing.l1c import Granule, granules
from processing.masks import Cloud
from processing.scene import L2A, Composite, Scene
from processing.simulation import Weather, simulate
from processing.simulation.scenario import CUMULUS, STRATUS
from processing.validation.truth import LIT
from processing.versions import parameters

#: A first date under heavy cloud, and what a month may bring after it.
SKIES = (
    Weather(((STRATUS, 0.45),)),
    Weather(((CUMULUS, 0.06),)),
    Weather(((CUMULUS, 0.15),)),
    Weather(),
)
#: What is left out around true clouds and shadows: masks are found on cells of up to 240 m and grown by as much. [m]
RING = 480


@dataclass(frozen=True)
class Figures:
    """Of one date. [-]"""

    shadow_recall: float
    false_cloud: float
    false_shadow: float
    #: Of the ground that lay in shadow on the first date and is clear on this one.
    shaded_before_masked: float


def scenes(folder: Path, size: int, seed: int, version: str) -> list[tuple[Scene, Path]]:
    """The series and the folder of each date's truth, oldest first."""
    series = simulate(folder, tile="31TCJ", dates=len(SKIES), size=size, seed=seed, weather=SKIES)
    resolution = parameters(version).coarse_resolution
    found: list[Granule] = [granule for package in series for granule in granules(package)]
    return [
        (g.scene(ancillary(g.grid, resolution, None)), folder / "truth" / package.stem)
        for g, package in zip(found, series, strict=True)
    ]


def judge(folder: Path, size: int, seed: int, version: str) -> dict[str, list[Figures]]:
    """`Figures` of the first and the second date: ``init`` and ``backward``."""
    numbers = parameters(version)
    series = scenes(folder, size, seed, version)
    later: Composite | None = None
    for scene, _ in reversed(series[1:]):
        later = look_back(scene, later, numbers)
    judged = {}
    for mode, state in (("init", None), ("backward", later)):
        rows = []
        for scene, truth in series[:2]:
            product, left = correct(scene, state, numbers)
            if product.status != "valid" or left is None:
                raise RuntimeError(f"{scene.identifier} is {product.status}: {product.origin.get('reason')}")
            rows.append(_figures(product, truth, series[0][1]))
            state = left
        judged[mode] = rows
    return judged


def _figures(product: L2A, folder: Path, first: Path) -> Figures:
    bits = product.cloud["R2"]
    shadow, cloud = bits & Cloud.SHADOW > 0, bits & Cloud.CLOUD > 0
    true_cloud, true_shadow, lit = _truth(folder)
    _, before, _ = _truth(first)
    far = ~dilate(true_cloud | ~lit, RING, 20)
    return Figures(
        _share(shadow, true_shadow),
        _share(cloud, far),
        _share(shadow, far),
        _share(cloud | shadow, far & before),
    )


def _share(mask: np.ndarray, of: np.ndarray) -> float:
    """Of the pixels of `of` those that `mask` holds; NaN where there are none, as of a first date before itself."""
    return float(mask[of].mean()) if of.any() else float("nan")


def _truth(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """At 20 m: clouds, ground in shadow beside them, ground in light."""
    with rasterio.open(folder / "clouds_10m.tif") as file:
        cloud = file.read(1)[::2, ::2] > 0
    with rasterio.open(folder / "shadows_10m.tif") as file:
        shadow, shade = (file.read(1 + file.descriptions.index(n))[::2, ::2] for n in ("shadow", "shade_percent"))
    return cloud, (shadow > 0) & ~cloud, shade < LIT


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--versions", nargs="*", default=["V1_4", "V2_0"])
    parser.add_argument("--size", type=int, default=732, help="pixels at 10 m on a side")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1])
    options = parser.parse_args()
    print("version seed date  start     shadows found  false cloud  false shadow  masked where shaded before")
    for version in options.versions:
        for seed in options.seeds:
            with tempfile.TemporaryDirectory() as folder:
                judged = judge(Path(folder), options.size, seed, version)
            for number in (0, 1):
                for mode, rows in judged.items():
                    row = rows[number]
                    shares = [row.false_cloud, row.false_shadow, *([row.shaded_before_masked] if number else [])]
                    shown = "".join(f"{share:13.2%}" for share in shares)
                    print(f"{version:7} {seed:4} {number + 1:4}  {mode:8} {row.shadow_recall:14.1%}{shown}", flush=True)


if __name__ == "__main__":
    main()
