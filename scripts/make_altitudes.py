"""Make data/altitude/world.npz, a coarse map of the Earth by which terrain models are judged.

    python scripts/make_altitudes.py Altitude.h5

The file is that of the PyPI package pvlib (`pvlib/data/Altitude.h5` in its wheel; needs h5py): altitudes every 1/12
degree in steps of 28 m from -450 m, those of the sea without a value.
"""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np

OUT = Path(__file__).parent.parent / "data" / "altitude" / "world.npz"
#: Of the file, as pvlib.location.lookup_altitude reads it. [m]
STEP, LOWEST = 28.0, -450.0


def main() -> None:
    """Write it."""
    with h5py.File(sys.argv[1]) as file:
        steps = np.asarray(file["Altitude"], np.uint8)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(OUT, steps=steps, step=STEP, lowest=LOWEST)


if __name__ == "__main__":
    main()
