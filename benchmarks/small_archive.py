"""A served centre of many small made-up products, for the benchmarks of what users bring: files, manifests and rows."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa

from processing.product import names
from processing.settings import Settings
from processing.store import Store
from processing.store.models import Product, Tile

FIRST = datetime(2020, 1, 1, 10, 30, tzinfo=UTC)
TILES = ("31TCJ", "31TDJ", "31TGK", "40KCB", "29RPQ")


def fill(home: Path, products: int, files: int, size: int) -> int:
    """Products with so many files of so many bytes each; bytes of all."""
    settings = Settings(home=home, demonstration=False)
    settings.make_folders()
    store = Store(settings.url)
    store.upgrade(explicit=True)

    def without_keys(connection: Any, _record: Any) -> None:  # jobs and attempts are left out
        connection.cursor().execute("PRAGMA foreign_keys = OFF")

    sa.event.listen(store.engine, "connect", without_keys)
    store.dispose()
    rows, total = [], 0
    for place in range(products):
        tile = TILES[place % len(TILES)]
        sensing = FIRST + timedelta(days=5 * (place // len(TILES)), seconds=place)
        identifier = names.identifier("S2A", sensing, tile, "V1_4")
        folder = settings.archive / tile / "V1_4" / identifier
        (folder / "MASKS").mkdir(parents=True)
        said = {}
        for number in range(files):
            content = os.urandom(size)
            name = f"{'MASKS/' if number % 2 else ''}{identifier}_X{number}.bin"
            (folder / name).write_bytes(content)
            said[name] = {"size": size, "sha256": hashlib.sha256(content).hexdigest()}
        manifest = json.dumps({"files": said}).encode()
        (folder / "manifest.json").write_bytes(manifest)
        total += size * files + len(manifest)
        rows.append(
            {
                **{"id": place + 1, "job_id": place + 1, "attempt_id": place + 1, "identifier": identifier},
                **{"tile": tile, "platform": "S2A", "sensing": sensing, "version": "V1_4", "relative_orbit": 51},
                **{"path": f"{tile}/V1_4/{identifier}", "mode": "nominal", "bytes": size * files},
                **{"manifest_sha": hashlib.sha256(manifest).hexdigest(), "published": sensing + timedelta(hours=9)},
                **{"l1c": [], "absent": [], "origin": {}, "seconds": {}},
            }
        )
    with store.engine.begin() as connection:
        connection.execute(sa.insert(Tile), [{"mgrs": tile, "current_version": "V1_4"} for tile in TILES])
        connection.execute(sa.insert(Product), rows)
    store.dispose()
    return total


@contextmanager
def served(home: Path, port: int, **settings: object) -> Iterator[str]:
    """The centre's web in a process of its own: its address."""
    given = {f"MUSCATE_{name.upper()}": str(value) for name, value in settings.items()}
    environment = {**os.environ, "MUSCATE_HOME": str(home), "MUSCATE_DEMONSTRATION": "false", **given}
    words = [sys.executable, "-m", "dashboard", "web", "--port", str(port)]
    with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL) as server:
        try:
            address = f"http://localhost:{port}"
            while True:
                try:
                    httpx.get(f"{address}/stac/conformance")
                    break
                except httpx.TransportError:
                    time.sleep(0.2)
            yield address
        finally:
            server.terminate()
