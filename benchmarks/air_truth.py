"""What the air of a version is worth where the truth is known: water vapour, dark cells, and the uncertainty it states.

    python -m benchmarks.air_truth --atmosphere make_l1c_6s.npz vapour [V1_4 V2_0 V2_1 ...]
    python -m benchmarks.air_truth --atmosphere make_l1c_6s.npz dark-cells [...]
    python -m benchmarks.air_truth --atmosphere make_l1c_6s.npz uncertainty [...]

The atmosphere is that of direct 6S runs, as in `benchmarks.aot_truth`. `vapour`: land whose brightness in B9 comes of
B8A and B11 as PROSAIL has it (`--flat`: is that of B8A), under AOT 0.05 to 0.55 and 1 to 3 g cm-2. `dark-cells`: by
how much the mean AOT changes where one cell in a thousand is darker by 0.02. `uncertainty`: the share of the cells
whose error is within the standard deviation that the product states; 68 % is right.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import aot_truth
from benchmarks.aot_truth import SixS
from processing.bands import DISTRIBUTED, R1
from processing.chain import correct
from processing.masks import Geophysical
from processing.scene import Composite
from processing.versions import Parameters, parameters
from tests import scenes

Field = NDArray[np.float64]
SUN, VIEW, KM = (33.0, 150.0), (3.0, 290.0), 0.3
VAPOUR = (0.03, 0.09)


def vapour(atmosphere: SixS, numbers: Parameters, flat: bool) -> str:
    """Bias, RMSE and trend with the AOT of the water vapour."""
    rows = []
    for seed, aot in enumerate((0.05, 0.15, 0.3, 0.45, 0.55)):
        for column in (1.0, 2.0, 3.0):
            random = np.random.default_rng(seed)
            shape = (24, 24)
            share = np.clip(0.4 + 0.25 * aot_truth._waves(random, shape, 2), 0, 1)
            surface = scenes.mix(scenes.VEGETATION, scenes.SOIL, share)
            surface |= {"B1": 0.45 * surface["B4"], "B2": 0.49 * surface["B4"]}
            if not flat:
                slope = VAPOUR[0] + VAPOUR[1] * (surface["B11"] / surface["B8A"] - 1)
                surface["B9"] = surface["B8A"] * (1 + slope)
            seen = {
                band: atmosphere.toa(surface[band], "S2A", band, SUN[0], VIEW, KM, np.full(shape, aot), column, None)
                for band in aot_truth.BANDS
            }
            made = scenes.scene(surface, shape, 0, SUN, VIEW, altitude=1000 * KM, ozone=aot_truth.OZONE, seen=seen)
            alone = replace(numbers, adjacency_radius=0)
            product, _ = correct(scenes.onto(made, numbers), None, alone)
            found = aot_truth.middles(product.atmosphere["R2"], "R2")[0] / numbers.water_vapour_quantification
            rows.append((aot, found.mean() - column, np.mean((found - column) ** 2)))
    table = np.array(rows)
    trend = np.polyfit(table[:, 0], table[:, 1], 1)[0]
    return f"bias {table[:, 1].mean():+.3f}  RMSE {np.sqrt(table[:, 2].mean()):.3f}  trend {trend:+.3f} per unit of AOT"


def dark_cells(atmosphere: SixS, numbers: Parameters) -> str:
    """Change of the mean AOT by one cell in a thousand that is darker by 0.02 in all bands."""
    changes = []
    for seed in range(2):
        (date,) = aot_truth.series(atmosphere, (0.25,), seed, cells=48, cloudy=False)
        cells = np.random.default_rng(seed).uniform(0, 1, (48, 48)) < 0.001
        counts = {}
        for band, seen in date.scene.counts.items():
            factor = seen.shape[0] // 48
            darker = np.kron(cells, np.ones((factor, factor))) * 0.02 * scenes.QUANTIFICATION
            counts[band] = np.maximum(seen - darker, 1).astype(np.uint16)
        means = []
        for made in (date.scene, replace(date.scene, counts=counts)):
            product, _ = correct(scenes.onto(made, numbers), None, numbers)
            means.append(product.figures.aot_mean)
        changes.append(means[1] - means[0])
    return "change of the mean AOT " + " ".join(f"{change:+.4f}" for change in changes)


def uncertainty(atmosphere: SixS, numbers: Parameters) -> str:
    """Share of the clear cells within one standard deviation. [%]"""
    if not numbers.uncertainty_aot:
        return "states none"
    hidden = np.uint8(Geophysical.CLOUD | Geophysical.CLOUD_SHADOW | Geophysical.WATER | Geophysical.SNOW)
    inside: dict[str, list[NDArray[np.bool_]]] = {name: [] for name in ("AOT", *DISTRIBUTED)}
    of_aot, of_reflectance = numbers.uncertainty_quantification
    for swing in (0.0, 0.65):
        for seed in range(3):
            state: Composite | None = None
            order = np.random.default_rng([seed, 9]).permutation(aot_truth.AOT)
            for date in aot_truth.series(atmosphere, order, seed, cells=36, swing=swing, calibration=0.01):
                product, new = correct(scenes.onto(date.scene, numbers), state, numbers)
                state = new or state
                clear = date.land & (aot_truth.middles(product.geophysical["R2"], "R2") & hidden == 0)
                stated = aot_truth.middles(product.uncertainty["R2"], "R2").astype(float)
                aot = aot_truth.middles(product.atmosphere["R2"], "R2")[1] / numbers.aot_quantification
                inside["AOT"].append((np.abs(aot - date.aot) <= stated[0] / of_aot)[clear])
                for layer, band in enumerate(DISTRIBUTED, 1):
                    found = aot_truth.middles(product.surface_reflectance[band], "R1" if band in R1 else "R2") / 1e4
                    within = np.abs(found - date.surface[band]) <= stated[layer] / of_reflectance
                    inside[band].append(within[clear])
    return " ".join(f"{name} {100 * np.concatenate(each).mean():.0f}" for name, each in inside.items()) + " %"


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("vapour", "dark-cells", "uncertainty"))
    parser.add_argument("versions", nargs="*", default=["V1_4", "V2_0", "V2_1"])
    parser.add_argument("--atmosphere", type=Path, required=True, help="coefficients of direct 6S runs (.npz)")
    parser.add_argument("--flat", action="store_true", help="ground as bright in B9 as in B8A")
    options = parser.parse_args(given)
    atmosphere = SixS(options.atmosphere)
    for version in options.versions:
        numbers = parameters(version)
        if options.what == "vapour":
            line = vapour(atmosphere, numbers, options.flat)
        else:
            line = (dark_cells if options.what == "dark-cells" else uncertainty)(atmosphere, numbers)
        print(f"{version:5}{line}", flush=True)


if __name__ == "__main__":
    main()
