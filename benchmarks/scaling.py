"""What a date costs against its size, its clouds, the dates of a backward start, and the tiles at once.

    python -m benchmarks.scaling [--sizes 1098 2196 4392] [--l1c PACKAGE --dem FILE] [--out DIR] [--version V1_4]

Writes scaling.csv and scaling.png into DIR. Images are simulated; `--l1c` adds a whole tile to the first curve. Each
point is the cheapest of `--repeat` runs (the whole tile and the two tiles run once), each in a process of its own,
after one that compiles. CPU holds on a busy machine, wall only on an idle one.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from benchmarks.kernels import seconds, shadows
from processing import bench
from processing.simulation import simulate
from processing.versions import parameters

CLOUDS = (50, 200, 1000, 5000)


class Point(NamedTuple):
    """One measurement: `cost` is seconds of the processor, `wall` those of the clock, 0 where it says nothing."""

    curve: str
    at: float
    cost: float
    wall: float = 0.0


def of_size(package: Path, dem: Path | None, at: float, folder: Path, version: str, repeat: int) -> list[Point]:
    """The chain, and decoding alone."""
    subject = bench.Subject(package, Path(tempfile.mkdtemp(dir=folder)), version, threads=2, dem=dem)
    if dem is not None:
        bench._terrain(subject)
    runs: dict[str, list[dict[str, Any]]] = {"size": [], "decode": []}
    for _ in range(repeat):
        out = Path(tempfile.mkdtemp(dir=folder)) / "out"
        runs["size"].append(bench._measured([partial(bench._chain, subject, out, False)]))
        shutil.rmtree(out)
        runs["decode"].append(bench._measured([partial(bench._decode, subject)]))
    return [Point(curve, at, *_least(made)) for curve, made in runs.items()]


def _least(runs: list[dict[str, Any]]) -> tuple[float, float]:
    return min(run["cpu"] for run in runs), min(run["wall"] for run in runs)


def backward(package: Path, dates: int, folder: Path, version: str, repeat: int) -> Point:
    """Later dates run backward, over one nominal date."""
    work = partial(bench._backward, bench.Subject(package, folder, version, threads=2), dates)
    return Point("backward", dates, *_least([bench._measured([work]) for _ in range(repeat)]))


def tiles(package: Path, workers: int, folder: Path, version: str) -> Point:
    """Two tiles by some workers, one thread each."""
    outs = [Path(tempfile.mkdtemp(dir=folder)) / "out" for _ in range(2)]
    subject = bench.Subject(package, folder, version, threads=1)
    work = [partial(bench._chain, subject, out, False) for out in outs]
    runs = [bench._measured(work)] if workers == 2 else [bench._measured([one]) for one in work]
    for out in outs:
        shutil.rmtree(out)
    return Point("tiles", workers, sum(run["cpu"] for run in runs), sum(run["wall"] for run in runs))


def measure(
    sizes: list[int], l1c: Path | None, dem: Path | None, folder: Path, version: str, repeat: int
) -> list[Point]:
    """All curves."""
    made = {size: simulate(folder / str(size), tile="31TCJ", dates=1, size=size, truth=False)[0] for size in sizes}
    os.environ["NUMBA_CACHE_DIR"] = str(folder / "kernels")
    of_size(made[sizes[0]], None, 0, folder, version, 1)  # compiles
    points = []
    for size, package in made.items():
        points += of_size(package, None, size, folder, version, repeat)
    if l1c is not None:
        points += of_size(l1c, dem, 10980, folder, version, 1)
    middle = made[sizes[min(1, len(sizes) - 1)]]
    points += [backward(middle, dates, folder, version, repeat) for dates in (1, 2, 4, 8)]
    points += [Point("clouds", count, seconds(shadows(count, parameters(version)), 3)) for count in CLOUDS]
    points += [tiles(middle, workers, folder, version) for workers in (1, 2)]
    return points


def draw(points: list[Point], path: Path) -> None:
    """Four panels side by side."""
    figure = Figure(figsize=(13, 3.4), layout="constrained")
    axes = figure.subplots(1, 4)

    def curve(ax: int, name: str, label: str, wall: bool = False) -> None:
        mine = [p for p in points if p.curve == name]
        axes[ax].plot([p.at for p in mine], [p.wall if wall else p.cost for p in mine], "o-", label=label)

    curve(0, "size", "chain")
    curve(0, "decode", "its 13 images decoded")
    axes[0].set(xscale="log", yscale="log", xlabel="pixels of 10 m along the side", ylabel="CPU s", title="One date")
    curve(1, "backward", "")
    axes[1].set(xlabel="later dates", ylabel="CPU s", title="Backward start")
    curve(2, "clouds", "")
    axes[2].set(xscale="log", xlabel="clouds in a whole tile", ylabel="CPU s", title="Shadows")
    curve(3, "tiles", "CPU")
    curve(3, "tiles", "wall", wall=True)
    axes[3].set(xticks=[1, 2], xlabel="workers of one thread", ylabel="s", title="Two tiles")
    sizes = sorted({int(p.at) for p in points if p.curve == "size"})
    axes[0].set_xticks(sizes, [str(size) for size in sizes])
    axes[2].set_xticks(CLOUDS, [str(count) for count in CLOUDS])
    axes[0].yaxis.set_major_formatter("{x:g}")
    for axis in (axes[0].xaxis, axes[0].yaxis, axes[2].xaxis):
        axis.set_minor_formatter(NullFormatter())
    axes[0].legend(frameon=False)
    axes[3].legend(frameon=False)
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.3)
    for ax in axes[1:]:
        ax.set_ylim(bottom=0)
    figure.savefig(path, dpi=110)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--sizes", type=int, nargs="+", default=[1098, 2196, 4392])
    words.add_argument("--l1c", type=Path, help="a whole tile")
    words.add_argument("--dem", type=Path)
    words.add_argument("--repeat", type=int, default=3)
    words.add_argument("--version", default="V1_4")
    words.add_argument("--out", type=Path, default=Path("."))
    asked = words.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="muscate-scaling-") as name:
        points = measure(asked.sizes, asked.l1c, asked.dem, Path(name), asked.version, asked.repeat)
    with (asked.out / "scaling.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["curve", "at", "cpu_s", "wall_s"])
        table.writerows((p.curve, p.at, round(p.cost, 3), round(p.wall, 3)) for p in points)
    draw(points, asked.out / "scaling.png")
    print(f"{'':10}{'at':>8}{'CPU s':>9}{'wall s':>9}")
    for p in points:
        print(f"{p.curve:10}{p.at:8g}{p.cost:9.2f}{p.wall:9.2f}")


if __name__ == "__main__":
    main()
