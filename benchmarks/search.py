"""How long a search takes in a store of a million products: `python benchmarks/search.py [--products N] [--url URL]`.

Fills an empty store (SQLite in a temporary folder, or the Postgres of `--url`) with made-up products of two versions
on tiles all over the land, asks typical searches again and again with other tiles, dates and places, each followed by
its second and its tenth page, and prints the times that 50 % and 95 % of them stayed below.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from processing import tiling
from processing.store import Store, search, tallies
from processing.store.models import Event, Product, Quality, Site, SiteTile, Tile
from processing.store.search import Search

FIRST = datetime(2016, 1, 1, 10, 30, tzinfo=UTC)
VERSIONS = ("V1_3", "V1_4")
REPEATS = 20
#: Products that were withdrawn after their publication.
WITHDRAWN = 500


def tiles(count: int) -> list[str]:
    """Tiles of Europe and Africa."""
    letters = "ABCDEFGHJKLMNPQRSTUV"
    names = (
        f"{zone:02d}{band}{column}{row}"
        for zone in range(29, 39)
        for band in "KLMNPQRSTUV"
        for column in "ABCDEFGHJKLMNPQRSTUVWXYZ"
        for row in letters
    )
    found = [name for name in names if tiling.valid(name)]
    return found[:: len(found) // count][:count]


def rows(products: int, names: list[str]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """A product and its quality, one after the other in order of publication."""
    random.seed(1)
    dates = products // (len(names) * len(VERSIONS))
    for date in range(dates):
        for version in VERSIONS:
            for place, tile in enumerate(names):
                number = (date * len(VERSIONS) + VERSIONS.index(version)) * len(names) + place + 1
                sensing = FIRST + timedelta(days=5 * date + place % 5, seconds=place)
                name = f"SENTINEL2A_{sensing:%Y%m%d-%H%M%S}-000_L2A_T{tile}_D_{version.replace('_', '-')}"
                yield (
                    {
                        **{"id": number, "job_id": number, "attempt_id": number, "identifier": name, "tile": tile},
                        **{"platform": random.choice(("S2A", "S2B")), "sensing": sensing, "version": version},
                        **{"relative_orbit": 1 + place % 143, "path": f"{tile}/{version}/{name}", "mode": "nominal"},
                        **{"manifest_sha": "0" * 64, "bytes": 1, "published": sensing + timedelta(hours=9)},
                        **{"l1c": [], "absent": [], "origin": {}, "seconds": {}},
                    },
                    {
                        **{"job_id": number, "cloud_percent": 100 * random.random() ** 2},
                        **{"aot_mean": random.random() ** 2, "flags": {"rain": random.random() < 0.03}, "other": {}},
                    },
                )


def fill(store: Store, products: int) -> list[str]:
    names = tiles(2000)
    off = "PRAGMA foreign_keys = OFF" if store.is_sqlite else "SET session_replication_role = replica"

    def without_keys(connection: Any, _record: Any) -> None:  # jobs and attempts are left out
        connection.cursor().execute(off)
        connection.commit()

    sa.event.listen(store.engine, "connect", without_keys)
    store.dispose()
    with store.engine.begin() as connection:
        connection.execute(sa.insert(Tile), [{"mgrs": t, "current_version": "V1_4"} for t in names])
        sites = [{"code": f"s{i}", "name": f"Site {i}", "country": "", "priority": i} for i in range(100)]
        connection.execute(sa.insert(Site), sites)
        connection.execute(sa.insert(SiteTile), [{"site": f"s{i % 100}", "tile": t} for i, t in enumerate(names)])
        source = rows(products, names)
        while chunk := list(islice(source, 20_000)):
            connection.execute(sa.insert(Product), [product for product, _ in chunk])
            connection.execute(sa.insert(Quality), [quality for _, quality in chunk])
        withdrawn = {"kind": "withdrawn", "severity": "warning", "data": {}}
        days = [(number, FIRST + timedelta(days=number / 100)) for number in range(1, products, products // WITHDRAWN)]
        connection.execute(sa.insert(Event), [{**withdrawn, "product_id": n, "time": time} for n, time in days])
    if not store.is_sqlite:
        with store.write() as session:
            tallies.count_again(session)
        with store.engine.begin() as connection:
            connection.exec_driver_sql("ANALYZE")
    return names


def searches(names: list[str], last: datetime) -> dict[str, Callable[[], Search]]:
    """Typical searches, each with other values at every call."""

    def day() -> datetime:
        return FIRST + random.random() * (last - FIRST)

    def place(size: float) -> Any:
        lon, lat = random.uniform(0, 40), random.uniform(0, 50)
        return search.rectangle(lon, lat, lon + size, lat + size)

    def month() -> dict[str, Any]:
        first = day()
        return {"first": first, "last": first + timedelta(days=30)}

    return {
        "newest": Search,
        "tile": lambda: Search(tiles=(random.choice(names),)),
        "tile, month, cloud < 20 %": lambda: Search(tiles=(random.choice(names),), cloud=(None, 20), **month()),
        "site, cloud < 5 %, oldest first": lambda: Search(
            sites=(f"s{random.randrange(100)}",), cloud=(None, 5), order="sensing"
        ),
        "month, platform, both versions": lambda: Search(platforms=("S2B",), versions=VERSIONS, **month()),
        "orbit": lambda: Search(orbits=(random.randint(1, 143),)),
        "orbit that was never flown": lambda: Search(orbits=(143 + random.randint(1, 99),)),
        "cloud < 0.01 %": lambda: Search(cloud=(None, 0.01)),
        "AOT > 0.95 and rain": lambda: Search(aot=(0.95, None), flags=("rain",)),
        "1 degree": lambda: Search(area=place(1)),
        "10 degrees, month": lambda: Search(area=place(10), **month()),
        "40 degrees": lambda: Search(area=place(40)),
        "changed since": lambda: Search(changed_since=day(), order="published", replaced=True, withdrawn=True),
        "one product": lambda: Search(identifiers=(f"SENTINEL2A_{day():%Y%m%d}-103000-000_L2A_T31TCJ_D_V1-4",)),
    }


def measure(store: Store, make: Callable[[], Search]) -> list[float]:
    """Seconds of single pages: the first, second and tenth of searches."""
    seconds = []
    for _ in range(REPEATS):
        wanted, after = make(), None
        for page in range(10):
            start = time.perf_counter()
            with store.read() as session:
                found = search.find(session, wanted, 50, after)
            if page in (0, 1, 9):
                seconds.append(time.perf_counter() - start)
            after = found.after
            if after is None:
                break
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=1_000_000)
    parser.add_argument("--url", help="an empty Postgres database; else SQLite in a temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(options.url or f"sqlite:///{Path(folder) / 'muscate.db'}")
        store.upgrade(explicit=True)
        start = time.perf_counter()
        names = fill(store, options.products)
        with store.read() as session:
            there = session.scalar(sa.select(sa.func.count(Product.id)))
            last = session.scalar(sa.select(sa.func.max(Product.sensing)))
        print(
            f"{store.engine.dialect.name}: {there} products on {len(names)} tiles, "
            f"filled in {time.perf_counter() - start:.0f} s"
        )
        print(f"{'search':34} {'p50 ms':>8} {'p95 ms':>8} {'most ms':>8}")
        for name, make in searches(names, last).items():
            times = 1000 * np.array(measure(store, make))
            print(f"{name:34} {np.median(times):8.1f} {np.quantile(times, 0.95):8.1f} {times.max():8.1f}")
        store.dispose()


if __name__ == "__main__":
    main()
