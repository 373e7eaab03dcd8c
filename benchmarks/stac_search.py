"""How long a STAC search takes at a steady rate: `python -m benchmarks.stac_search [--products N] [--rate R]`.

Fills a store with made-up products whose folders are described as those of a real one are, serves it in a process of
its own, and asks other searches at fixed times whether or not the ones before were answered; prints the times that
50 % and 95 % stayed below, by kind of search, from when each was due. Bar: 95 % within 50 ms at 20 a second.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import zlib
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import shapely
import sqlalchemy as sa

from benchmarks.search import FIRST, fill
from processing import tiling
from processing.bands import DISTRIBUTED
from processing.product import names as product_names
from processing.store import Store
from processing.store.models import Holding, Product, Tile
from tests.browser import free_port

KEYS = [
    *(f"{kind}_{band}" for kind in ("SRE", "FRE") for band in DISTRIBUTED),
    *(f"{kind}_{group}" for kind in ("ATB", "CLM", "MG2", "EDG", "SAT", "IAB", "DFP") for group in ("R1", "R2")),
    *("MTD_ALL", "JPI_ALL", "QKL_ALL"),
]


def contents(identifier: str, tile: str, seed: int) -> dict[str, Any]:
    """What `holdings.describe` says of a real product, with sums of its own."""
    draw, grid = random.Random(seed), tiling.grid(tile)
    files = {}
    for key in KEYS:
        step = 20 if key.endswith("R2") or key[4:] in ("B5", "B6", "B7", "B8A", "B11", "B12") else 10
        side = 109_800 // step
        raster = {
            "shape": [side, side], "transform": [step, 0, grid.west, 0, -step, grid.north], "data_type": "int16",
            "nodata": -10000, "bands": [{"description": key, "scale": 0.0001, "offset": 0, "unit": None}],
        }  # fmt: skip
        files[product_names.file_path(identifier, key)] = {
            "size": draw.randrange(10**8), "sha256": f"{draw.getrandbits(256):064x}", "crc32": draw.getrandbits(32),
            "raster": None if key.endswith("ALL") else raster,
        }  # fmt: skip
    box = [grid.west, grid.north - 109_800, grid.west + 109_800, grid.north]
    return {"form": 1, "files": files, "properties": {"view:sun_elevation": 45.0, "proj:bbox": box}, "footprint": None}


def describe(store: Store) -> None:
    """Every second product has data in a part of its tile, as at the edge of a swath."""
    with store.engine.begin() as connection:
        rows = connection.execute(sa.select(Product.id, Product.identifier, Product.tile)).all()
        for first in range(0, len(rows), 2000):
            kept = []
            for number, identifier, tile in rows[first : first + 2000]:
                said, wkb = contents(identifier, tile, number), None
                if number % 2:
                    west, south, east, north = shapely.Polygon(tiling.footprint(tile)).bounds
                    at = west + (east - west) * (0.3 + 0.4 * random.random())
                    place = shapely.Polygon([(west, south), (at, south), (at + 0.2, north), (west, north)])
                    said["footprint"], wkb = shapely.geometry.mapping(place), shapely.to_wkb(place)
                packed = zlib.compress(json.dumps(said).encode())
                kept.append({"product_id": number, "form": 1, "contents": packed, "footprint": wkb})
            connection.execute(sa.insert(Holding), kept)


def searches(tiles: list[str], last: Any) -> dict[str, Any]:
    """Typical searches, each with other values at every call."""

    def day() -> Any:
        return FIRST + random.random() * (last - FIRST)

    def month() -> str:
        first = day()
        return f"{first:%Y-%m-%dT%H:%M:%SZ}/{first + timedelta(days=30):%Y-%m-%dT%H:%M:%SZ}"

    def bbox(size: float) -> list[float]:
        lon, lat = random.uniform(0, 40), random.uniform(0, 50)
        return [lon, lat, lon + size, lat + size]

    def tile() -> dict[str, Any]:
        return {"op": "=", "args": [{"property": "grid:code"}, f"MGRS-{random.choice(tiles)}"]}

    cloudless = {"op": "<", "args": [{"property": "eo:cloud_cover"}, 20]}
    return {
        "newest": dict,
        "tile, month, cloud": lambda: {"filter": {"op": "and", "args": [tile(), cloudless]}, "datetime": month()},
        "tile or cloudless": lambda: {
            "filter": {"op": "or", "args": [tile(), {"op": "<", "args": [{"property": "eo:cloud_cover"}, 0.1]}]}
        },
        "1 degree, cloud": lambda: {"bbox": bbox(1), "filter": cloudless},
        "10 degrees, month": lambda: {"bbox": bbox(10), "datetime": month()},
        "point": lambda: {"intersects": {"type": "Point", "coordinates": bbox(0)[:2]}},
        "by cloud, month": lambda: {"datetime": month(), "sortby": [{"field": "eo:cloud_cover", "direction": "asc"}]},
        "fields": lambda: {"bbox": bbox(2), "fields": {"include": ["properties.eo:cloud_cover"]}},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=40_000)
    parser.add_argument("--rate", type=float, default=20.0, help="searches a second")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument(
        "--home", type=Path, help="kept, and filled only if it is empty; else one that is removed after"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home, port = options.home or Path(folder), free_port()
        home.mkdir(parents=True, exist_ok=True)
        store = Store(f"sqlite:///{home / 'muscate.db'}")
        store.upgrade(explicit=True)
        with store.read() as session:
            tiles = list(session.scalars(sa.select(Tile.mgrs).order_by(Tile.mgrs)))
        if not tiles:
            tiles = fill(store, options.products)
            describe(store)
        with store.read() as session:
            there = session.scalar(sa.select(sa.func.count(Product.id)))
            last = session.scalar(sa.select(sa.func.max(Product.sensing)))
        store.dispose()
        environment = {**os.environ, "MUSCATE_HOME": str(home), "MUSCATE_DEMONSTRATION": "false"}
        words = [sys.executable, "-m", "dashboard", "web", "--port", str(port)]
        with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL) as server:
            try:
                _measure(f"http://localhost:{port}", there, searches(tiles, last), options)
            finally:
                server.terminate()


def _measure(address: str, there: int | None, kinds: dict[str, Any], options: Any) -> None:
    with httpx.Client(timeout=30) as client:
        while True:
            try:
                client.get(f"{address}/stac/conformance")
                break
            except httpx.TransportError:
                time.sleep(0.2)

        def ask(due: float, name: str) -> tuple[str, float, int]:
            time.sleep(max(0.0, due - time.perf_counter()))
            answer = client.post(f"{address}/stac/search", json=kinds[name]())
            answer.raise_for_status()
            return name, time.perf_counter() - due, answer.json()["numberReturned"]

        for name in [*kinds] * 3:  # what is read once is read before
            ask(time.perf_counter(), name)
        begun = time.perf_counter() + 0.1
        count = int(options.rate * options.seconds)
        with ThreadPoolExecutor(32) as pool:
            order = [list(kinds)[place % len(kinds)] for place in range(count)]
            done = list(pool.map(ask, (begun + place / options.rate for place in range(count)), order))
    times, items = defaultdict(list), defaultdict(int)
    for name, seconds, number in done:
        times[name].append(1000 * seconds)
        items[name] += number
    print(f"{there} products, {count} searches at {options.rate:g} a second")
    print(f"{'search':24} {'items':>6} {'p50 ms':>8} {'p95 ms':>8} {'most ms':>8}")
    for name, some in {**times, "all": [t for part in times.values() for t in part]}.items():
        number = items.get(name, sum(items.values())) / len(some)
        print(f"{name:24} {number:6.1f} {np.median(some):8.1f} {np.quantile(some, 0.95):8.1f} {max(some):8.1f}")


if __name__ == "__main__":
    main()
