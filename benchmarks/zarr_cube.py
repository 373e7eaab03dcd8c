"""How a cube of many dates is written, and what reading the NDVI of one pixel over time costs over HTTP.

    python -m benchmarks.zarr_cube [--dates 20] [--pixels 2196] [--web] [--in DIR]

The products are made up, noise on each pixel, which no codec makes small: real ones are read with fewer bytes. They are
exported as `muscate export --zarr` does, and served over loopback by a plain server of files with ranges; with `--web`
also as the centre makes them, cut out of the products. xarray opens what is served; its libraries are loaded before.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from contextlib import nullcontext
from datetime import datetime, timedelta
from functools import partial
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import xarray
from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype

from processing import product
from processing.distribution import cubes
from tests import product_scenes

SECONDS, MEGABYTES = 1.0, 2.0
#: Products that are made; the others are copies of them, with other dates.
DISTINCT = 2


class Files(BaseHTTPRequestHandler):
    """Files of a folder, or parts of them."""

    protocol_version = "HTTP/1.1"
    root = Path()

    def do_GET(self) -> None:
        """Answer with a file, 206 with a part, 404 with nothing."""
        path = self.root / self.path.lstrip("/")
        if not path.is_file():
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        size = path.stat().st_size
        first, last = 0, size
        if said := self.headers.get("Range"):
            begin, end = said.removeprefix("bytes=").split("-")
            first, last = (int(begin), int(end) + 1 if end else size) if begin else (size - int(end), size)
        with path.open("rb") as file:
            file.seek(first)
            content = file.read(min(last, size) - first)
        self.send_response(206 if said else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Remote(Store):
    """A store behind an address, read with the standard library alone; it counts requests and bytes."""

    supports_writes = supports_deletes = supports_listing = False

    def __init__(self, address: str) -> None:
        super().__init__(read_only=True)
        self.address, self.requests, self.bytes = urlsplit(address), 0, 0
        self._own = threading.local()
        self._lock = threading.Lock()

    def __eq__(self, other: object) -> bool:
        return self is other

    def _ask(self, key: str, headers: dict[str, str]) -> bytes | None:
        link = getattr(self._own, "link", None)
        if link is None:
            link = self._own.link = HTTPConnection(self.address.hostname or "", self.address.port)
        link.request("GET", f"{self.address.path}/{key}", headers=headers)
        answer = link.getresponse()
        content = answer.read()
        with self._lock:
            self.requests, self.bytes = self.requests + 1, self.bytes + len(content)
        return content if answer.status in (200, 206) else None

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """What lies under a key, or a part of it."""
        headers = {}
        match byte_range:
            case RangeByteRequest(start, end):
                headers["Range"] = f"bytes={start}-{end - 1}"
            case OffsetByteRequest(offset):
                headers["Range"] = f"bytes={offset}-"
            case SuffixByteRequest(suffix):
                headers["Range"] = f"bytes=-{suffix}"
        content = await asyncio.to_thread(self._ask, key, headers)
        return None if content is None else prototype.buffer.from_bytes(content)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Several parts."""
        return list(await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges)))

    async def exists(self, key: str) -> bool:
        """Whether there is something."""
        return await asyncio.to_thread(self._ask, key, {"Range": "bytes=0-0"}) is not None

    async def set(self, key: str, value: Buffer) -> None:
        """Nothing is written."""
        raise NotImplementedError

    async def delete(self, key: str) -> None:
        """Nothing is deleted."""
        raise NotImplementedError

    def list(self):  # type: ignore[no-untyped-def]
        """Nothing is listed."""
        raise NotImplementedError

    list_prefix = list_dir = list


def redated(product_: Path, there: Path, first: datetime, date: int) -> Path:
    """A copy of a product as that of another date: its names, the time in its metadata, and its manifest."""
    at, before = (f"{first + timedelta(days=5 * n):%Y-%m-%dT%H:%M:%S}" for n in (date, date % DISTINCT))
    for path in sorted(product_.rglob("*")):
        if path.is_file() and path.name != "manifest.json":
            target = there / str(path.relative_to(product_)).replace(product_.name, there.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".xml":
                target.write_text(path.read_text().replace(product_.name, there.name).replace(before, at))
            else:
                os.link(path, target)
    said = json.loads((product_ / "manifest.json").read_text().replace(product_.name, there.name))
    for name, entry in said["files"].items():
        content = (there / name).read_bytes()
        entry |= {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (there / "manifest.json").write_text(json.dumps(said))
    return there


def ndvi(address: str, row: int, col: int) -> tuple[float, Remote, np.ndarray]:
    """Seconds from the opening to the last value, the store that was read, and the values."""
    store, begin = Remote(address), time.perf_counter()
    cube = xarray.open_zarr(store, chunks=None)
    pixel = cube[["B4", "B8"]].isel(y=row, x=col).load()
    found = (pixel.B8 - pixel.B4) / (pixel.B8 + pixel.B4)
    return time.perf_counter() - begin, store, found.values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dates", type=int, default=20)
    parser.add_argument("--pixels", type=int, default=2196)
    parser.add_argument("--web", action="store_true", help="also from the products, as the centre serves them")
    parser.add_argument("--in", dest="folder", type=Path, help="keep all there, and go on with what is there")
    given = parser.parse_args()
    with nullcontext(given.folder) if given.folder else tempfile.TemporaryDirectory(prefix="muscate-cube-") as folder:
        here = Path(folder)
        written, took = [], 0.0
        for date in range(given.dates):
            sensing = product_scenes.SENSING + timedelta(days=5 * date)
            scene = product_scenes.scene(given.pixels, sensing=sensing)
            there = here / product.identifier(scene.platform, sensing, scene.tile, "V1_4")
            if not there.exists() and date >= DISTINCT:
                there = redated(written[date % DISTINCT], there, product_scenes.SENSING, date)
            if not there.exists():
                there = product.write(
                    product_scenes.l2a(scene, seed=date), scene, here, produced=product_scenes.PRODUCED
                )
            written.append(there)
            begin = time.perf_counter()
            cubes.write(here / "cube.zarr", written[-1:])
            took += time.perf_counter() - begin
            print(f"date {date + 1}: {time.perf_counter() - begin:.1f} s", file=sys.stderr)
        size = sum(path.stat().st_size for path in (here / "cube.zarr").rglob("*") if path.is_file())
        print(f"{given.dates} dates of {given.pixels} px: {took:.1f} s to write, {size / 1e6:.0f} MB")
        row = col = given.pixels // 2 + 17
        counts = [product.read(one).reflectance(band, "FRE")[row, col] for one in written for band in ("B4", "B8")]
        red, nir = (np.array(counts[n::2], float) for n in (0, 1))
        truth = (nir - red) / (nir + red)
        xarray.open_zarr(here / "cube.zarr", chunks=None).x.load()  # loads what xarray needs
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Here", (Files,), {"root": here / "cube.zarr"}))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        good = report("files", f"http://127.0.0.1:{server.server_port}", row, col, truth)
        server.shutdown()
        if given.web:
            view = cubes.View(cubes.of_dates("31UER", "V1_4", [cubes.of_folder(one)[0] for one in written]))
            own = ThreadingHTTPServer(("127.0.0.1", 0), partial(Cut, view))
            threading.Thread(target=own.serve_forever, daemon=True).start()
            report("cut out of the products", f"http://127.0.0.1:{own.server_port}", row, col, truth)
            own.shutdown()
    sys.exit(0 if good else 1)


class Cut(Files):
    """A view of products, key by key."""

    def __init__(self, view: cubes.View, *given: object) -> None:
        self.view = view
        super().__init__(*given)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Answer with what lies under a key."""
        content = self.view.get(self.path.lstrip("/"))
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")


def report(what: str, address: str, row: int, col: int, truth: np.ndarray) -> bool:
    """Print what reading took, first and then again; whether it is within the bar and right."""
    best = []
    for _ in range(3):
        seconds, store, found = ndvi(address, row, col)
        best.append(seconds)
        np.testing.assert_allclose(found, truth, atol=1e-6)
    told = f"{store.requests} requests, {store.bytes / 1e6:.2f} MB (bar: {MEGABYTES:g})"
    print(f"NDVI of a pixel, {what}: {best[0]:.2f} s first, {min(best):.2f} s at best (bar: {SECONDS:g}), {told}")
    return best[0] <= SECONDS and store.bytes <= MEGABYTES * 1e6


if __name__ == "__main__":
    main()
