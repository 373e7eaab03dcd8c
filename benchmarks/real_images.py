"""The atmosphere's inversion on pieces of real images, against what other processors made of them.

    python -m benchmarks.real_images --icor icor_atmospheric_correction --barbellino barbellino_l1c_l2a

iCOR (B2 and B4, north-east Belgium) comes with the state it used: AOT 0.14, water vapour, altitude, angles. Sen2Cor's
Barbellino (steep Alpine land around a lake, 42 x 24 pixels, two dates) tells neither its AOT nor its angles: 0.05 is
assumed at 1900 m, and the sun is where time and place have it. Sen2Cor corrected its slopes, this does not: it shows
that all bands are as they should be, no more. Surfaces as among their like, continental aerosol.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from processing import atmosphere

Field = NDArray[np.float64]
#: Sun zenith and azimuth over 46.07 N 10.06 E at 10:20 UTC. [deg]
SUN = {"20170703": (26.5, 146.0), "20190723": (29.3, 147.0)}
BARBELLINO_ALTITUDE, BARBELLINO_AOT, BARBELLINO_WATER_VAPOUR = 1.9, 0.05, 1.2
OZONE = 0.33


def _read(path: Path, band: int = 1) -> Field:
    with rasterio.open(path) as dataset:
        return np.asarray(dataset.read(band), np.float64)


def icor(folder: Path) -> dict[str, Field]:
    """Differences to iCOR of B2 and B4, of the pixels that both have."""

    def given(name: str) -> Field:
        return _read(folder / f"ref_{name}.tif")

    sun, view = given("input_S2_sunZenithAngles"), given("input_S2_viewZenithMean")
    azimuth = given("input_S2_sunAzimuthAngles") - given("input_S2_viewAzimuthMean")
    aot, altitude = given("check_icor_S2_AOT") / 100, given("check_icor_S2_DEM") / 100
    vapour = np.maximum(given("check_icor_S2_CWV") / 100, 0.1)  # the least of the tables: 0.003 less in neither band
    differences = {}
    for name, band in (("B02", "B2"), ("B04", "B4")):
        toa, theirs = given(f"input_S2_{name}"), given(f"check_icor_S2_{name}")
        both = (toa < 65535) & (theirs < 60000)  # negative ones are wrapped around
        ours = atmosphere.surface_reflectance(
            toa / 10000, "S2A", band, sun, view, azimuth, altitude, aot, vapour, OZONE
        )
        differences[band] = (ours - theirs / 10000)[both]
    return differences


def barbellino(folder: Path) -> dict[str, Field]:
    """Differences to Sen2Cor by band, both dates together, in the classes vegetation, soil and water."""
    toa_bands = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B9", "B10", "B11", "B12")
    boa_bands = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", None, "B11", "B12")
    found: dict[str, list[Field]] = {}
    for date, (zenith, azimuth) in SUN.items():
        parts = {kind: folder / f"S2A{level}_{date}_022_Barbellino_{kind}_10.tif"
                 for level, kind in (("1C", "TOA"), ("2A", "BOA"), ("2A", "SCL"))}  # fmt: skip
        clear = np.kron(np.isin(_read(parts["SCL"]), (4, 5, 6)), np.ones((2, 2))) > 0  # of 20 m
        for number, band in enumerate(boa_bands, 1):
            if band is None:
                continue
            toa, theirs = _read(parts["TOA"], toa_bands.index(band) + 1), _read(parts["BOA"], number)
            ours = atmosphere.surface_reflectance(
                toa / 10000, "S2A", band, zenith, 5.0, azimuth - 290.0, BARBELLINO_ALTITUDE, BARBELLINO_AOT,
                BARBELLINO_WATER_VAPOUR, OZONE,
            )  # fmt: skip
            known = clear & (toa < 65535) & (theirs < 65535)
            found.setdefault(band, []).append((ours - theirs / 10000)[known])
    return {band: np.concatenate(parts) for band, parts in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--icor", type=Path)
    parser.add_argument("--barbellino", type=Path)
    options = parser.parse_args()
    for name, differences in (
        ("iCOR", icor(options.icor) if options.icor else {}),
        ("Sen2Cor, Barbellino", barbellino(options.barbellino) if options.barbellino else {}),
    ):
        for band, difference in differences.items():
            inside = 100 * np.mean(np.abs(difference) <= 0.01)
            print(f"{name} {band:4} mean {difference.mean():+.4f}  within 0.01: {inside:5.1f} % of {difference.size}")


if __name__ == "__main__":
    main()
