"""Versions and other people's detectors in worlds that the versions were not made in.

    python -m benchmarks.elsewhere --half tune --worlds crops coast --versions V1_4 V2_0 V2_1 [--comparators] [--json]

For each world and version: AOT, water vapour, reflectance, clouds, shadows, water and snow against the truth. `--half
report` is the half that nobody tunes on: look at it once, for what is to be published (docs/protocol.md).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.elsewhere import peers, protocol, score
from benchmarks.elsewhere.air import ready
from benchmarks.elsewhere.series import Date, onto, series
from benchmarks.elsewhere.worlds import HALVES, WORLDS
from processing.chain import correct
from processing.scene import Composite, Scene
from processing.versions import Parameters, parameters

#: Cells that the test of dark cells darkens, and by how much. [-]
DARK_SHARE, DARKER = 0.001, 0.02
#: What is printed, in this order, with the name of its sums.
ORDER = (
    "aot_clear", "aot_cumulus", "aot_veil", "aot_land", "aot_sea", "dark_cells", "vapour", "inside", "veil",
    "cloudy_ring", "cloudy_direct", "thick", "thick_sea", "thick_snow", "thick_relief", "false", "stood_before",
    "shadow", "water", "snow", "left", "slope", "sigma", "seconds",
)  # fmt: skip


def darkened(scene: Scene, seed: int) -> Scene:
    """The scene with one cell of 240 m in a thousand darker by `DARKER` in all bands."""
    rows, cols = (n // 240 for n in (scene.grid.height, scene.grid.width))
    random = np.random.default_rng(seed)
    chosen = random.choice(rows * cols, max(1, round(rows * cols * DARK_SHARE)), replace=False)
    counts = {}
    for band, values in scene.counts.items():
        f = 240 * values.shape[0] // scene.grid.height
        whole = values.copy()
        for cell in chosen:
            row, col = divmod(int(cell), cols)
            part = whole[row * f : (row + 1) * f, col * f : (col + 1) * f].astype(np.int64)
            darker = np.maximum(part - round(DARKER * scene.quantification), 1)
            whole[row * f : (row + 1) * f, col * f : (col + 1) * f] = darker
        counts[band] = whole
    return replace(scene, counts=counts)


def run(
    dates: list[Date], numbers: Parameters, dark: bool = False, forecast: bool = False
) -> Iterator[tuple[Date, score.Found | None, float]]:
    """The chain over a series: what it says of each date, None where it made no product, and its CPU seconds."""
    state: Composite | None = None
    for date in dates:
        scene = onto(date, numbers, forecast)
        begun = time.process_time()
        product, new = correct(darkened(scene, date.number) if dark else scene, state, numbers)
        state = new or state
        found = None
        if product.status == "valid":
            found = score.of_product(product, numbers)
        yield date, found, time.process_time() - begun


def judged(
    dates: list[Date], numbers: Parameters, dark: bool = True, forecast: bool = False, alone: bool = False
) -> dict[int, score.Sums]:
    """Sums of each date of a series for a version.

    Parameters
    ----------
    dark : bool
        Whether the series is run once more with `darkened` scenes.
    forecast : bool
        Whether the chain gets one.
    alone : bool
        Whether dates with low clouds are run once more without a past, to see what shadows are found then.
    """
    out: dict[int, score.Sums] = {}
    before: NDArray[np.bool_] | None = None
    shifted = [found for _, found, _ in run(dates, numbers, True, forecast)] if dark else [None] * len(dates)
    for (date, found, seconds), other in zip(run(dates, numbers, False, forecast), shifted, strict=True):
        sums: score.Sums = {"product": np.array([[float(found is not None), 1.0]])}
        if found is not None:
            sums |= score.judge(date, found, before)
            sums["seconds"] = np.array([[seconds, 1.0]])
            if other is not None and found.aot is not None and other.aot is not None:
                sums["dark_cells"] = np.array([[abs(float(other.aot.mean() - found.aot.mean())), 1.0]])
        if alone and date.truth.cumulus:
            product, _ = correct(onto(date, numbers, forecast), None, numbers)
            if product.status == "valid":
                sums["shadow_init"] = score.judge(date, score.of_product(product, numbers))["shadow_ring"]
        out[date.number] = sums
        before = date.truth.thick
    return out


def lines(total: dict[str, NDArray[np.float64]]) -> dict[str, float]:
    """Figures in the order in which they are printed; quotients of few sums are kept."""
    found = score.figures({k: v for k, v in total.items() if k not in ("dark_cells", "product", "seconds")})
    for name in ("dark_cells", "product", "seconds"):
        if name in total:
            found[name] = float(total[name][0] / total[name][1])
    rank = {name: i for i, name in enumerate(ORDER)}

    def key(name: str) -> tuple[int, int]:
        best = max((o for o in ORDER if name.startswith(o)), key=len, default="")
        return rank.get(best, len(ORDER)), list(found).index(name)

    return {name: found[name] for name in sorted(found, key=key)}


def table(by_method: dict[str, dict[str, float]]) -> list[str]:
    """Methods side by side, one figure a line."""
    names = list(dict.fromkeys(n for figures in by_method.values() for n in figures))
    out = [f"{'':28}" + "".join(f"{m:>14}" for m in by_method)]
    for name in names:
        values = [figures.get(name) for figures in by_method.values()]
        out.append(f"{name:28}" + "".join(f"{'-' if v is None else f'{v:.4f}':>14}" for v in values))
    return out


def main() -> None:
    """Print the tables of the worlds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=HALVES, default=HALVES[0])
    parser.add_argument("--worlds", nargs="*", choices=list(WORLDS), default=list(WORLDS))
    parser.add_argument("--versions", nargs="*", default=["V1_4", "V2_0", "V2_1"])
    parser.add_argument("--seeds", type=int, default=1, help="series of each world")
    parser.add_argument("--size", type=int, default=1104, help="pixels of 20 m on a side, a multiple of 12")
    parser.add_argument("--comparators", action="store_true")
    parser.add_argument(
        "--no-dark", action="store_true", help="leave out the test of dark cells, which doubles the time"
    )
    parser.add_argument("--forecast", action="store_true", help="with a forecast of the aerosol that errs by 1.5")
    parser.add_argument("--alone", action="store_true", help="shadows of cloudy dates that begin a series, too")
    parser.add_argument("--lost", action="store_true", help="packets are lost on every other date")
    parser.add_argument("--note", help="log the figures under this note")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--differences", action="store_true", help="intervals of the last version against the others")
    parser.add_argument("--dates", action="store_true", help="print each date's AOT as well")
    options = parser.parse_args()
    found: dict[str, dict[str, dict[str, float]]] = {}
    sums: dict[protocol.Key, score.Sums] = {}
    for world in options.worlds:
        if not ready(world, options.half):
            print(f"{world}, {options.half}: 6S was not run for it yet")
            continue
        sums |= _world(world, options)
        methods = list(dict.fromkeys(key[0] for key in sums if key[1] == world))
        found[world] = {
            m: lines(score.add(part for key, part in sums.items() if key[:2] == (m, world))) for m in methods
        }
        if not options.json:
            print(f"\n{world}, {options.half}", *table(found[world]), sep="\n", flush=True)
    if options.json:
        print(json.dumps({"half": options.half, "size": options.size, "seeds": options.seeds, "worlds": found}))
    if options.note:
        protocol.log(options.note, options.half, options.seeds, options.size, found)
    if options.differences:
        print("\n" + "\n".join(protocol.differences(sums)))


def _world(world: str, options: argparse.Namespace) -> dict[protocol.Key, score.Sums]:
    """Sums of all series of a world, of versions and of other detectors with their best buffers."""
    sums: dict[protocol.Key, score.Sums] = {}
    for k in range(options.seeds):
        seed = 2 * k + HALVES.index(options.half)
        dates = list(series(world, seed, options.size, lost=options.lost))
        for version in options.versions:
            parts = judged(dates, parameters(version), not options.no_dark, options.forecast, options.alone)
            for number, part in parts.items():
                sums[version, world, seed, number] = part
                if options.dates:
                    _print_date(version, dates[number], part)
        if options.comparators:
            for method, number, part in peers.found(dates):
                sums[method, world, seed, number] = part
    return peers.best(sums)


def _print_date(version: str, date: Date, part: score.Sums) -> None:
    figures = score.figures({k: v.sum(0) for k, v in part.items()})
    kept = {
        k: round(v, 3) for k, v in figures.items() if k.startswith(("aot", "cloudy_ring", "shadow_ring", "inside_B2"))
    }
    mean = float(date.truth.aot.mean())
    print(f"  {version} {date.number} {date.weather:8} {date.aerosol:11} AOT {mean:.3f} {kept}", flush=True)


if __name__ == "__main__":
    main()
