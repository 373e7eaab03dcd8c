"""The chain on two dates of one place, from Python: no store, no files but the Level-1C that is made here.

    python examples/chain_on_one_scene.py

The scenes are simulated, so that the reflectance and the clouds that the chain should find are known.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from processing import chain
from processing.ancillary import ancillary
from processing.l1c import granules
from processing.masks import Cloud
from processing.scene import L2A
from processing.simulation import simulate
from processing.versions import VERSIONS


def corrected(folder: Path, version: str = "V1_4", dates: int = 2, size: int = 366) -> Iterator[L2A]:
    """Level-2A of each date of a simulated series of `size` pixels of 10 m, oldest first."""
    parameters = VERSIONS[version].parameters
    state = None  # what one date leaves for the next: the composite of all that was seen clear
    for package in simulate(folder, tile="31TCJ", dates=dates, size=size, truth=False):
        (granule,) = granules(package)
        # Ozone, pressure and aerosol of the forecasts in the Level-1C; a terrain model instead of None gives FRE too.
        around = ancillary(granule.grid, parameters.coarse_resolution, None)
        l2a, left = chain.correct(granule.scene(around), state, parameters)
        state = left or state  # a date that is not valid leaves the state as it was
        yield l2a


def main() -> None:
    """Print what was found of each date, and the median reflectance of its clear pixels."""
    with tempfile.TemporaryDirectory() as folder:
        for l2a in corrected(Path(folder)):
            clouds, aot = l2a.figures.cloud_percent, l2a.figures.aot_mean
            print(f"{l2a.status}, {l2a.mode} mode: {clouds:.1f} % of cloud, AOT {aot:.3f}")
            if l2a.status != "valid":
                continue
            clear = (l2a.cloud["R1"] & Cloud.ANY) == 0
            for band in ("B2", "B3", "B4", "B8"):  # a raster is made when it is looked up
                values = l2a.surface_reflectance[band][clear] / 10000
                print(f"  {band}: {np.median(values):.4f} (median of the clear pixels)")


if __name__ == "__main__":
    main()
