"""How long it takes to say why a pixel is masked: first and second click on a whole tile.

    python benchmarks/explain.py [--l1c PACKAGE...] [--size 10980] [--dem FILE] [--keep DIR]

Without packages two dates are simulated. The last date is explained in a process of its own that has done nothing else:
importing the chain is shown apart, since a web server has done it before anybody clicks. Bar: 1.5 s from the page.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

BAR = 1.5
CLICKS = """
import json, sys, time
from pathlib import Path
start = time.perf_counter()
from processing import explain, product
imported = time.perf_counter() - start
from pyproj import Transformer
import numpy as np
folder, own, before = (Path(p) if p else None for p in sys.argv[1:4])
grid = product.read(folder).grid
rng = np.random.default_rng(0)
x, y = rng.uniform(grid.west, grid.east, 50), rng.uniform(grid.south, grid.north, 50)
lon, lat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(x, y)
seconds, processor, differ = [], [], 0
for place in zip(lon, lat):
    start, cpu = time.perf_counter(), time.process_time()
    why = explain.explain(folder, *place, state=own, previous_state=before)
    seconds.append(time.perf_counter() - start)
    processor.append(time.process_time() - cpu)
    differ += any("found again" in text for text in why.differences)
later = sorted(seconds[1:])
print(json.dumps({"mode": why.mode, "import": imported, "first": seconds[0], "second": seconds[1],
    "median": later[len(later) // 2], "worst": later[-1],
    "first_cpu": processor[0], "second_cpu": processor[1], "differ": differ, "places": len(seconds)}))
"""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--l1c", type=Path, nargs="*", default=[])
    parser.add_argument("--size", type=int, default=10980)
    parser.add_argument("--dem", type=Path)
    parser.add_argument("--keep", type=Path, help="Folder that keeps products and states for the next run.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="muscate-explain-") as name:
        folder = given.keep or Path(name)
        if not (folder / "state").exists():
            _produce(given.l1c, given.size, given.dem, folder)
        from processing import explain

        last = max((folder / "out").iterdir(), key=lambda p: p.name.split("_")[1])
        own, before = explain.states(last, folder / "state")
        assert own is not None
        words = [sys.executable, "-c", CLICKS, str(last), str(own), str(before or "")]
        runs = [json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout) for _ in range(3)]
        found = min(runs, key=lambda run: run["first"])
        with zipfile.ZipFile(own) as archive:
            sizes = [(m.filename.startswith("evidence/"), m.compress_size) for m in archive.infolist()]
    print(f"{last.name} ({found['mode']}), best of {len(runs)} processes\n")
    print(f"{'import of the chain':44}{found['import']:8.2f} s")
    for key, text in (("first", "first click"), ("second", "second click, elsewhere"), ("median", "median of 49")):
        verdict = "" if found[key] <= BAR else "  missed"
        print(f"{text:44}{found[key]:8.2f} s   <= {BAR} s{verdict}")
    print(f"{'processor, first and second click':44}{found['first_cpu']:8.2f} and {found['second_cpu']:.2f} s")
    print(f"{'slowest of 49':44}{found['worst']:8.2f} s")
    print(f"{'pixels whose masks differ from the product':44}{found['differ']:5} of {found['places']}")
    print(f"{'kept of the date, in its state':44}{sum(s for e, s in sizes if e) / 1e6:8.2f} MB")
    print(f"{'the state without it':44}{sum(s for e, s in sizes if not e) / 1e6:8.2f} MB")


def _produce(packages: list[Path], size: int, dem: Path | None, folder: Path) -> None:
    from processing.production import series
    from processing.simulation import simulate

    packages = packages or simulate(folder / "l1c", tile="31TCJ", dates=2, size=size, truth=False)
    for package in sorted(packages, key=lambda p: p.name.split("_")[2]):
        for result in series.process([package], "V1_4", folder / "out", dem=dem, state=folder / "state"):
            print(result["l1c"], result["status"], result["mode"], result.get("reason", ""), file=sys.stderr)


if __name__ == "__main__":
    main()
