"""V1_1, which reads the aerosol from B2 and B4, against V1_3, which reads it from B1 and B4.

    python -m benchmarks.blue_band --atmosphere make_l1c_6s.npz

On ground whose true ratios are 0.49 for B2 and 0.45 for B1, both versions suppose 0.45. So V1_1 takes ground that is
bluer than it thinks for aerosol. What that costs in the red depends on the red: aerosol brightens dark ground and dims
bright ground, and near a reflectance of 0.14 the AOT does not matter. The gain that THEIA published for V1_3, about
2 %, is found on vegetation (red of 0.05 to 0.09); soils take no part in it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks import aot_truth
from processing.versions import parameters

#: Edges of the classes of true red reflectance.
RED = (0.0, 0.05, 0.07, 0.09, 0.12, 0.2)


def results(atmosphere: aot_truth.SixS, sites: int, cells: int) -> dict[str, list[aot_truth.Result]]:
    """Both versions' results on series of exact ratios."""
    truth = aot_truth.sites(atmosphere, sites, cells=cells, site_spread=0.0)
    return {v: [r for dates in truth for r in aot_truth.run(dates, parameters(v))] for v in ("V1_1", "V1_3")}


def gains(found: dict[str, Sequence[aot_truth.Result]], band: str = "B4") -> list[float]:
    """Mean reflectance of V1_3 over that of V1_1, less one, in each class of `RED`. [%]"""
    means = {}
    for version, dates in found.items():
        red = np.concatenate([r.reflectance["B4"][1] for r in dates])
        values = np.concatenate([r.reflectance[band][0] for r in dates])
        means[version] = [values[(red >= low) & (red < high)].mean() for low, high in pairwise(RED)]
    return [float(100 * (new / old - 1)) for new, old in zip(means["V1_3"], means["V1_1"], strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--atmosphere", type=Path, required=True, help="coefficients of direct 6S runs (.npz)")
    parser.add_argument("--sites", type=int, default=4)
    parser.add_argument("--cells", type=int, default=60, help="of 240 m along a side")
    options = parser.parse_args()
    found = results(aot_truth.SixS(options.atmosphere), options.sites, options.cells)
    for version, dates in found.items():
        bias, rmse = aot_truth.aot_accuracy(dates)
        print(f"{version} AOT bias {bias:+.4f} RMSE {rmse:.4f}")
    print("V1_3 over V1_1 [%], red " + " ".join(f"{f'{low:g}-{high:g}':>9}" for low, high in pairwise(RED)))
    for band in ("B2", "B3", "B4", "B8"):
        print(f"{band:23} " + " ".join(f"{gain:+9.2f}" for gain in gains(found, band)))


if __name__ == "__main__":
    main()
