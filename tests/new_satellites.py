"""Packages of a satellite or baseline that nobody knows yet, made of simulated ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from processing import simulation
from processing.atmosphere import responses, tables
from processing.atmosphere.responses import Response
from processing.bands import BANDS


def shipped(sensor: str, moved: float = 0.0) -> dict[str, Response]:
    """The responses of a satellite of the tables every nm, moved to the red by so many nm."""
    spectra = responses._spectra()
    found = {}
    for band in BANDS:
        wavelength, weights = tables.band_weights(sensor, band)
        values = weights / np.interp(wavelength, spectra["wavelength"], spectra["irradiance"])
        nanometres = np.arange(1000 * wavelength[0], 1000 * wavelength[-1] + 0.5)
        each = np.interp(nanometres, 1000 * wavelength, values / values.max())
        found[band] = Response(float(nanometres[0]), 1.0, each).moved(moved)
    return found


def spectral_information(of: Mapping[str, Response]) -> str:
    """As the product XML has it."""
    each = "".join(
        f'<Spectral_Information bandId="{BANDS[band].index}" physicalBand="{band}"><RESOLUTION>60</RESOLUTION>'
        f'<Wavelength><MIN unit="nm">{one.first}</MIN><MAX unit="nm">{one.wavelength()[-1]}</MAX>'
        f'<CENTRAL unit="nm">{BANDS[band].centre}</CENTRAL></Wavelength><Spectral_Response>'
        f'<STEP unit="nm">{one.step}</STEP><VALUES>{" ".join(f"{v:.8g}" for v in one.values)}</VALUES>'
        "</Spectral_Response></Spectral_Information>"
        for band, one in of.items()
    )
    return f"<Spectral_Information_List>{each}</Spectral_Information_List>"


def renamed(package: Path, *, platform: str = "S2A", baseline: str = "05.10", carries: str = "") -> Path:
    """A simulated package as one of another satellite and baseline; its product XML carries some more."""
    old = re.match(r"S2[A-Z]", package.name)
    assert old is not None
    number = baseline.replace(".", "")
    for path in sorted(package.rglob("*"), key=lambda p: -len(p.parts)):
        if path.suffix in (".xml", ".safe"):
            text = path.read_text().replace("Sentinel-" + old[0][1:], "Sentinel-" + platform[1:])
            text = re.sub(rf"\b(G?){old[0]}_", rf"\g<1>{platform}_", text)
            text = text.replace("N0510", f"N{number}").replace("N05.10", f"N{baseline}")
            text = text.replace("<PROCESSING_BASELINE>05.10", f"<PROCESSING_BASELINE>{baseline}")
            path.write_text(
                text.replace("</Product_Image_Characteristics>", f"{carries}</Product_Image_Characteristics>")
            )
    (package / "manifest.safe").unlink(missing_ok=True)
    name = package.name.replace(old[0], platform, 1).replace("N0510", f"N{number}")
    return package.rename(package.with_name(name))


def series(
    folder: Path, dates: int = 1, *, tile: str = "31TCJ", size: int = 36, seed: int = 0, **how: str
) -> list[Path]:
    """Dates of a tile of another satellite or baseline, oldest first; arguments as of `renamed`."""
    made = simulation.simulate(folder, truth=False, tile=tile, dates=dates, size=size, seed=seed)
    return [renamed(package, **how) for package in made]
