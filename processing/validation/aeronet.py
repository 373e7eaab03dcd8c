"""Sun photometers of AERONET: Version 3 direct-sun files, as downloaded or answered by the web service.

Giles et al., Atmos. Meas. Tech. 12, 169-209, 2019.
"""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from processing.errors import InputError

MISSING = -999.0
#: The chain's wavelength. [nm]
WAVELENGTH = 550.0
#: Channels between which the optical depth is interpolated; without the outer two there is no file to work with. [nm]
LOWEST, HIGHEST = 440, 675
#: Members of a zip: aerosol optical depth of levels 1.0, 1.5, 2.0; ``tot_lev20`` is something else.
_MEMBER = re.compile(r"\.(lev(10|15|20)|txt|csv)$", re.IGNORECASE)
#: The heading is at most this far down.
_HEADER_LINES = 20


@dataclass(frozen=True)
class Station:
    """What one photometer saw.

    Attributes
    ----------
    name : str
    longitude, latitude : float
        [deg]
    altitude : float
        [m]
    level : str
        ``1.5`` or ``2.0``.
    measurements : DataFrame
        Indexed by ``time`` (UTC): ``aot550`` [-], ``angstrom`` (exponent between the two channels used) [-],
        ``water_vapour`` [g cm-2], NaN where not measured.
    """

    name: str
    longitude: float
    latitude: float
    altitude: float
    level: str
    measurements: pd.DataFrame


def read(path: Path) -> list[Station]:
    """Stations of a Version 3 file: ``.lev15``, ``.lev20``, an answer of the web service, or a zip of them.

    Raises
    ------
    InputError
        If it is no such file, is of total instead of aerosol optical depth, or has no channels at 440 and 675 nm.
    """
    try:
        if not zipfile.is_zipfile(path):
            return _stations(path, path.read_text(encoding="utf-8", errors="replace"))
        with zipfile.ZipFile(path) as archive:
            members = [n for n in sorted(archive.namelist()) if _MEMBER.search(n)]
            if not members:
                raise InputError(path, f"no direct-sun file (.lev15, .lev20) in it: {', '.join(archive.namelist())}")
            texts = [(path / name, archive.read(name).decode("utf-8", errors="replace")) for name in members]
    except (OSError, zipfile.BadZipFile, RuntimeError) as error:
        raise InputError(path, f"can't be read: {error}") from error
    return [station for name, text in texts for station in _stations(name, text)]


def _stations(path: Path, text: str) -> list[Station]:
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines[:_HEADER_LINES]) if "Date(dd:mm:yyyy)" in line), None)
    if start is None:
        raise InputError(path, "is no AERONET Version 3 file: no line that begins with Date(dd:mm:yyyy)")
    heading = " ".join(lines[:start])
    match = re.search(r"Version 3: AOD Level (\d\.\d)", heading)
    if match is None:
        said = next((line.strip() for line in lines[:start] if "Level" in line), "nothing of its level")
        raise InputError(path, f"is no file of aerosol optical depth: it says {said!r}")
    try:
        table = pd.read_csv(io.StringIO("\n".join(lines[start:])), na_values=[MISSING, "N/A"], low_memory=False)
    except ValueError as error:
        raise InputError(path, f"its table can't be read: {error}") from error
    for channel in (LOWEST, HIGHEST):
        name = f"AOD_{channel}nm"
        if name not in table or table[name].isna().all():
            raise InputError(path, f"has no measurement at {channel} nm: 550 nm can't be interpolated")
    site = "AERONET_Site" if "AERONET_Site" in table else "AERONET_Site_Name"
    needed = (site, "Site_Latitude(Degrees)", "Site_Longitude(Degrees)", "Site_Elevation(m)", "Time(hh:mm:ss)")
    if absent := [name for name in needed if name not in table]:
        raise InputError(path, f"its table has no {', '.join(absent)}")
    aot, angstrom = _interpolated(table)
    moment = table["Date(dd:mm:yyyy)"].astype(str) + " " + table["Time(hh:mm:ss)"].astype(str)
    try:
        times = pd.to_datetime(moment, format="%d:%m:%Y %H:%M:%S", utc=True)
    except ValueError as error:
        raise InputError(path, f"a date can't be read: {error}") from error
    water = table.get("Precipitable_Water(cm)", pd.Series(np.nan, table.index))
    measured = pd.DataFrame(
        {"site": table[site], "time": times, "aot550": aot, "angstrom": angstrom, "water_vapour": water}
    )
    stations = []
    for name, rows in measured.groupby("site", sort=True):
        place = table.loc[rows.index[0]]
        stations.append(
            Station(
                name=str(name),
                longitude=float(place["Site_Longitude(Degrees)"]),
                latitude=float(place["Site_Latitude(Degrees)"]),
                altitude=float(place["Site_Elevation(m)"]),
                level=match[1],
                measurements=rows.drop(columns="site").dropna(subset=["aot550"]).set_index("time").sort_index(),
            )
        )
    return stations


def _interpolated(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Optical depth at 550 nm between each row's nearest channels on both sides, and the exponent between them.

    tau = tau_1 (550 / l_1)^-a with a = -ln(tau_2 / tau_1) / ln(l_2 / l_1) (Angstrom 1964), with the exact wavelengths
    where the file tells them. Where a depth is not positive there is no exponent; the line between both is taken.
    """
    below, above = (
        _nearest(table, [c for c in channels if LOWEST <= c <= HIGHEST])
        for channels in (
            sorted((c for c in _channels(table) if c <= WAVELENGTH), reverse=True),
            sorted(c for c in _channels(table) if c > WAVELENGTH),
        )
    )
    (l1, tau1), (l2, tau2) = below, above
    line = tau1 + (tau2 - tau1) * (WAVELENGTH - l1) / (l2 - l1)
    positive = (tau1 > 0) & (tau2 > 0)
    ratio = np.divide(tau2, tau1, out=np.ones_like(tau1), where=positive)
    exponent = np.where(positive, -np.log(ratio) / np.log(l2 / l1), np.nan)
    return np.where(positive, tau1 * (WAVELENGTH / l1) ** -exponent, line), exponent


def _channels(table: pd.DataFrame) -> list[int]:
    return [int(m[1]) for name in table.columns if (m := re.fullmatch(r"AOD_(\d+)nm", str(name)))]


def _nearest(table: pd.DataFrame, channels: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Wavelength [nm] and depth of the first of the channels that each row has, NaN where it has none."""
    wavelength = np.full(len(table), np.nan)
    depth = np.full(len(table), np.nan)
    for channel in channels:
        values = table[f"AOD_{channel}nm"].to_numpy(float)
        name = f"Exact_Wavelengths_of_AOD(um)_{channel}nm"
        exact = table[name].to_numpy(float) * 1000 if name in table else np.full(len(table), np.nan)
        exact = np.where(exact > 0, exact, channel)
        new = np.isnan(depth) & np.isfinite(values)
        wavelength[new], depth[new] = exact[new], values[new]
    return wavelength, depth
