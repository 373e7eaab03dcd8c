"""Products as users get them: zips and files over real HTTP, in parts and in turn, and by `muscate download`."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import uvicorn
from fastapi import FastAPI
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from lxml import etree

from dashboard import programs
from dashboard.api import Centre, include
from dashboard.api import cubes as cubes_of_web
from dashboard.api import downloads as quotas
from dashboard.api.sending import PIECE, BeyondTheEnd, Turns, part
from processing.distribution import client, lists, transfer, zips
from processing.distribution.client import Client, Folder
from processing.distribution.transfer import Expected, Link, fetch
from processing.errors import InputError, SearchError, Unreachable
from processing.people import command_line
from processing.production import webhooks as telling
from processing.settings import Settings
from processing.store import Store, downloads, orders, webhooks
from processing.store.models import Holding, Product, Tile, Webhook
from tests.browser import free_port
from tests.dashboard_archive import filled
from tests.test_cli import muscate
from tests.web_server import plain_routes

WHEN = datetime(2024, 6, 3, 10, 58, 35, tzinfo=UTC)


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[tuple[str, Store, Settings, Centre]]:
    """A small centre that is served: its address, store, settings and what its routes know."""
    settings = Settings(home=tmp_path / "home", port=free_port())
    store = filled(settings, size=32, dates=2)
    app, known = FastAPI(), Centre(settings, store)
    app.add_middleware(programs.Programs)
    include(app, known)
    server = uvicorn.Server(uvicorn.Config(app, port=settings.port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    yield f"http://localhost:{settings.port}", store, settings, known
    server.should_exit = True
    thread.join()
    store.dispose()


def a_product(store: Store) -> str:
    with store.read() as session:
        found = session.scalar(sa.select(Product.identifier).where(Product.version == "V1_4").order_by(Product.id))
    assert found is not None
    return found


def withdraw(store: Store, name: str, reason: str) -> None:
    with store.write() as session:
        product = session.scalars(sa.select(Product).where(Product.identifier == name)).one()
        orders.withdraw(session, product, command_line(), reason)


# Zips


@given(contents=st.lists(st.binary(max_size=300), min_size=1, max_size=6), data=st.data())
@hypothesis_settings(max_examples=30, deadline=None)
def test_zip_in_parts_is_the_zip(tmp_path_factory: pytest.TempPathFactory, contents: list[bytes], data: Any) -> None:
    folder = tmp_path_factory.mktemp("zip")
    files = {f"MASKS/é{place}.tif": folder / f"{place}" for place in range(len(contents))}
    for path, content in zip(files.values(), contents, strict=True):
        path.write_bytes(content)
    made = zips.layout("P", files, {}, WHEN)
    whole = b"".join(made.read(0, made.size))
    assert len(whole) == made.size
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert archive.testzip() is None
        assert [archive.read(name) for name in archive.namelist()] == contents
        assert {info.external_attr >> 16 for info in archive.infolist()} == {0o100644}
        assert archive.infolist()[0].date_time == (2024, 6, 3, 10, 58, 34)
    first = data.draw(st.integers(0, made.size))
    end = data.draw(st.integers(first, made.size))
    assert b"".join(made.read(first, end)) == whole[first:end]


class _Seen(io.RawIOBase):
    """A layout as a file that can be read anywhere."""

    def __init__(self, layout: zips.Layout) -> None:
        self._layout, self._at = layout, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + {0: 0, 1: self._at, 2: self._layout.size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._at + len(buffer), self._layout.size)
        found = b"".join(self._layout.read(self._at, end))
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)


def test_zip_of_more_than_four_gigabytes(tmp_path: Path) -> None:
    large, small = tmp_path / "large", tmp_path / "small"
    with large.open("wb") as file:
        file.truncate(5 << 30)
    small.write_bytes(b"behind it")
    entries = [zips.Entry("P/large", large, 5 << 30, 1), zips.Entry("P/small", small, 9, zips.sum_of(small))]
    with zipfile.ZipFile(_Seen(zips.Layout(entries, WHEN))) as archive:
        assert [info.file_size for info in archive.infolist()] == [5 << 30, 9]
        assert archive.read("P/small") == b"behind it"


# Ranges


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("bytes=0-9", (0, 10)), ("bytes=90-", (90, 100)), ("bytes=-10", (90, 100)), ("bytes=95-200", (95, 100)),
        ("bytes=-200", (0, 100)), ("BYTES = 1 - 2", (1, 3)), ("bytes=99-99", (99, 100)),
        (None, None), ("", None), ("bytes", None), ("bytes=", None), ("bytes=-", None), ("bytes=a-b", None),
        ("bytes=9-1", None), ("bytes=0-1,5-6", None), ("items=0-9", None), ("bytes=1.5-2", None), ("bytes=--5", None),
        ("bytes=" + "9" * 50 + "-", None), ("bytes=0x1-2", None), ("bytes=1-2-3", None),
        ("bytes=100-", BeyondTheEnd), ("bytes=200-300", BeyondTheEnd), ("bytes=-0", BeyondTheEnd),
        ("bytes=" + "9" * 30 + "-", BeyondTheEnd), ("bytes=5-" + "9" * 30, (5, 100)),
    ],
)  # fmt: skip
def test_ranges_are_understood_as_the_standard_says(header: str | None, found: Any) -> None:
    if found is BeyondTheEnd:
        with pytest.raises(BeyondTheEnd):
            part(header, 100)
    else:
        assert part(header, 100) == found


def test_files_and_zips_are_sent_in_parts(centre: tuple[str, Store, Settings, Centre]) -> None:
    address, store, settings, known = centre
    name = a_product(store)
    listed = httpx.get(f"{address}/products/{name}/files").json()
    for url in (f"{address}{listed[0]['href']}", f"{address}/products/{name}/zip"):
        whole = httpx.get(url)
        size, etag = len(whole.content), whole.headers["etag"]
        assert int(whole.headers["content-length"]) == size
        assert whole.headers["accept-ranges"] == "bytes"
        head = httpx.head(url)
        same = ("content-length", "etag", "content-type", "accept-ranges", "access-control-allow-origin")
        assert [head.headers[key] for key in same] == [whole.headers[key] for key in same]
        assert head.content == b""
        some = httpx.get(url, headers={"Range": f"bytes=10-{size - 5}"})
        assert (some.status_code, some.content) == (206, whole.content[10 : size - 4])
        assert some.headers["content-range"] == f"bytes 10-{size - 5}/{size}"
        assert httpx.get(url, headers={"Range": "bytes=-7", "If-Range": etag}).content == whole.content[-7:]
        assert httpx.get(url, headers={"Range": "bytes=-7", "If-Range": '"x"'}).content == whole.content
        beyond = httpx.get(url, headers={"Range": f"bytes={size}-"})
        assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
        for malformed in ("bytes=9-1", "bytes=x", "lines=1-2", "bytes=1-2,4-5"):
            assert httpx.get(url, headers={"Range": malformed}).content == whole.content
        assert httpx.get(url, headers={"If-None-Match": etag}).status_code == 304
        for tags, status in (('"x"', 412), (f"W/{etag}", 412), (f'"x", {etag}', 206), ("*", 206)):
            some = httpx.get(url, headers={"If-Match": tags, "Range": "bytes=2-4"})
            assert (some.status_code, some.content) == (status, whole.content[2:5] if status == 206 else b"")
        assert httpx.get(url).content == whole.content
    root = next(settings.archive.glob(f"*/*/{name}"))
    with zipfile.ZipFile(io.BytesIO(whole.content)) as archive:
        assert {n: archive.read(n) for n in archive.namelist()} == {
            f"{name}/{path.relative_to(root)}": path.read_bytes() for path in root.rglob("*") if path.is_file()
        }
    known.downloads.keep()
    with store.read() as session:
        ((user, product, requests, taken),) = downloads.totals(session)
    assert (user, product) == ("visitor", name)
    assert requests > 10
    assert taken > 2 * size


@pytest.mark.parametrize(
    "inside", ["../../muscate.db", "%2e%2e/%2e%2e/muscate.db", "/etc/passwd", "no.tif", "MASKS", ""]
)
def test_what_is_no_file_of_a_product_is_not_found(centre: tuple[str, Store, Settings, Centre], inside: str) -> None:
    address, store, _, _ = centre
    with httpx.Client() as asking:
        request = asking.build_request("GET", address)
        request.url = request.url.copy_with(raw_path=f"/products/{a_product(store)}/files/{inside}".encode())
        assert asking.send(request).status_code == 404


def test_withdrawn_is_gone_with_the_reason(centre: tuple[str, Store, Settings, Centre]) -> None:
    address, store, _, _ = centre
    name = a_product(store)
    listed = httpx.get(f"{address}/products/{name}/files").json()
    withdraw(store, name, "clouds were missed")
    routes = [f"/products/{name}/{end}" for end in ("files", "zip", "thumbnail")] + [listed[0]["href"]]
    routes += [f"/xyz/{name}/natural/9/257/186.png", f"/tiles/{name}/natural/0/0/0"]
    place = "x=300000&y=4800000"
    routes += [f"/api/compare/product/{name}", f"/api/compare/explain/{name}?{place}"]
    routes += [f"/api/compare/pixel?products={name}&{place}"]
    routes += [f"/api/compare/range/{name}?bands=SRE_B4&window=0,0,9,9"]
    for route in [*routes, f"/stac/collections/muscate-l2a/items/{name}"]:
        answer = httpx.get(address + route)
        assert answer.status_code == 410, route
        assert "clouds were missed" in answer.text
        assert httpx.head(address + route).status_code == 410
    kept = httpx.get(f"{address}/stac/collections/muscate-l2a-all/items/{name}").json()["properties"]
    assert kept["muscate:withdrawn_reason"] == "clouds were missed"


def test_what_was_withdrawn_is_left_out_of_its_series_and_its_cube(
    centre: tuple[str, Store, Settings, Centre], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its chunks are no data, which is 404 to the clients of cubes; a tile with nothing left is gone."""
    monkeypatch.setattr(cubes_of_web, "_recent", {})
    address, store, _, _ = centre
    with store.read() as session:
        count = sa.func.count()
        tile = session.scalar(
            sa.select(Product.tile).where(Product.version == "V1_4").group_by(Product.tile).order_by(count.desc())
        )
    series = f"{address}/api/compare/series/{tile}?version=V1_4&x=300000&y=4800000"
    names = [row["product"] for row in httpx.get(series).json()]
    cube = f"{address}/cubes/{tile}_V1_4.zarr"
    assert len(names) > 1
    for left in range(len(names) - 1, -1, -1):
        before = httpx.get(f"{cube}/zarr.json")
        assert before.status_code == 200
        withdraw(store, names[left], "haze")
        cubes_of_web._recent.clear()
        if left:
            dates = httpx.get(f"{cube}/zarr.json").json()["attributes"]["dates"]
            assert {one["product"] for one in dates if one.get("withdrawn") == "haze"} == set(names[left:])
            place = next(n for n, one in enumerate(dates) if one["product"] == names[left])
            chunk = httpx.get(f"{cube}/B4/c/{place}/0/0")
            assert chunk.status_code == 404
            assert f"{names[left]} was withdrawn: haze" in chunk.text
            assert [row["product"] for row in httpx.get(series).json()] == names[:left]
    for gone in (series, f"{cube}/zarr.json", f"{cube}/B4/c/0/0/0"):
        assert httpx.get(gone).status_code == httpx.head(gone).status_code == 410
    assert "was withdrawn: haze" in httpx.get(f"{cube}/zarr.json").text


def test_pages_of_other_hosts_may_read_what_is_public(centre: tuple[str, Store, Settings, Centre]) -> None:
    address, store, _, _ = centre
    name = a_product(store)
    asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "GET",
             "Access-Control-Request-Headers": "range"}  # fmt: skip
    files = httpx.get(f"{address}/products/{name}/files").json()
    paths = [f"/products/{name}/zip", f"/products/{name}/thumbnail", f"/products/{name}/files", files[0]["href"]]
    paths += ["/tiles/x/truth/0/0/0.png", "/xyz/x/natural/0/0/0.png", "/cubes/x.zarr/zarr.json", "/products.atom"]
    for path in [*paths, "/stac", "/stac/collections", "/stac/search", "/stac/search/list", "/openapi.json"]:
        before = httpx.options(address + path, headers=asked)
        assert before.status_code == 204
        assert "Range" in before.headers["access-control-allow-headers"]
        answer = httpx.get(address + path, headers={"Origin": "https://elsewhere.example"})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "Content-Range" in answer.headers["access-control-expose-headers"]


# Turns


def test_turns_go_by_users_not_by_connections() -> None:
    async def run() -> dict[str, int]:
        turns, taken, over = Turns(), {"few": 0, "many": 0}, asyncio.Event()

        async def connection(user: str) -> None:
            with turns.connection(user):
                while not over.is_set():
                    await turns.take(user, PIECE)
                    await asyncio.sleep(0.0005)
                    taken[user] += 1
                    turns.give()

        tasks = [asyncio.create_task(connection(user)) for user in ["few"] * 2 + ["many"] * 20]
        await asyncio.sleep(0.5)
        over.set()
        await asyncio.gather(*tasks)
        return taken

    taken = asyncio.run(run())
    assert min(taken.values()) > 20
    assert taken["few"] >= 0.8 * taken["many"]


def test_rate_holds_for_all_together() -> None:
    async def run() -> float:
        turns, begun = Turns(rate=100 * PIECE), time.monotonic()

        async def connection(user: str) -> None:
            with turns.connection(user):
                for _ in range(10):
                    await turns.take(user, PIECE)
                    turns.give()

        await asyncio.gather(*(connection(str(user)) for user in range(5)))
        return time.monotonic() - begun

    assert 0.35 < asyncio.run(run()) < 2


def test_one_who_goes_away_holds_nobody_up() -> None:
    async def run() -> None:
        turns = Turns(at_once=1)
        with turns.connection("a"), turns.connection("b"), turns.connection("c"):
            await turns.take("a", PIECE)
            gone = asyncio.create_task(turns.take("b", PIECE))
            await asyncio.sleep(0)
            gone.cancel()
            turns.give()
            await asyncio.wait_for(turns.take("c", PIECE), 1)

    asyncio.run(run())


def test_quotas_are_kept_of_so_many_users_in_few_numbers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(quotas, "USERS", 10)
    store = Store(f"sqlite:///{tmp_path / 'muscate.db'}")
    store.upgrade()
    kept = quotas.Downloads(Settings(home=tmp_path, user_gb_per_day=1e-6), store)  # type: ignore[call-arg]
    for number in range(30):
        for _ in range(5):
            kept._count(f"address {number}", "visitor", "x", 300)
        assert kept._wait(f"address {number}") > quotas.DAY - 60
    assert [len(taken) for taken in kept._taken.values()] == [1] * 10
    assert kept._wait("address 0") == kept._wait("somebody else") == 0
    assert len(kept._taken) == 10
    kept.keep()
    store.dispose()


def test_quota_is_told_with_when_to_come_again(centre: tuple[str, Store, Settings, Centre]) -> None:
    address, store, _, known = centre
    known.downloads._quota = 1000.0
    url = f"{address}/products/{a_product(store)}/zip"
    assert httpx.get(url).status_code == 200
    answer = httpx.get(url)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 80_000


# The client against servers that misbehave

CONTENT = os.urandom(3 << 20)


class _Faulty(BaseHTTPRequestHandler):
    """Serves `CONTENT`, with the faults that wait in its server's list, one a request."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        server: Any = self.server
        fault = server.faults.pop(0) if server.faults else ""
        server.asked.append(self.headers.get("Range", ""))
        if fault.isdigit():
            self.send_response(int(fault))
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        begin = int(self.headers["Range"][6:-1]) if "Range" in self.headers and fault != "no ranges" else 0
        body = CONTENT[begin:] if fault != "flip" else CONTENT[begin:-1] + bytes([CONTENT[-1] ^ 1])
        if fault == "html":
            begin, body = 0, b"<html>" * 10
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if fault == "cut":
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            return
        self.wfile.write(body)


@pytest.fixture
def faulty() -> Iterator[Callable[[list[str]], tuple[str, Any]]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Faulty)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()

    def begin(faults: list[str]) -> tuple[str, Any]:
        server.faults, server.asked = list(faults), []  # type: ignore[attr-defined]
        return f"http://127.0.0.1:{server.server_port}/file", server

    yield begin
    server.shutdown()
    thread.join()
    server.server_close()


SUM = {"sha256": hashlib.sha256(CONTENT).hexdigest()}


@pytest.mark.parametrize(
    "faults",
    [[], ["cut"], ["cut", "cut", "cut"], ["429", "503"], ["flip"], ["html"], ["cut", "no ranges"], ["cut", "flip"]],
)
def test_file_comes_whole_whatever_befalls(
    faulty: Callable[[list[str]], tuple[str, Any]], faults: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "FIRST_WAIT", 0.001)
    url, server = faulty(faults)
    moved = fetch(Link(), url, tmp_path / "file", Expected(len(CONTENT), SUM))
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    if set(faults) <= {"cut", "429", "503"}:  # nothing but the overlap came twice
        assert moved <= len(CONTENT) + len(faults) * transfer.OVERLAP
        assert len(server.asked) == len(faults) + 1


@pytest.mark.parametrize(
    ("faults", "kind"), [(["flip"] * 9, "Corrupt"), (["404"], "Refused"), (["503"] * 9, "Unreachable")]
)
def test_file_that_never_comes_right_is_not_there(
    faulty: Callable[[list[str]], tuple[str, Any]], faults: list[str], kind: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(transfer, "FIRST_WAIT", 0.001)
    url, server = faulty(faults)
    with pytest.raises(Unreachable) as caught:
        fetch(Link(), url, tmp_path / "file", Expected(len(CONTENT), SUM))
    assert type(caught.value).__name__ == kind
    assert not (tmp_path / "file").exists()
    assert len(server.asked) <= transfer.TRIES
    if kind == "Corrupt":
        assert list(tmp_path.iterdir()) == []


# `muscate download` and `sync`


def held(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def brought(*words: str, expect: int = 0) -> list[dict[str, Any]]:
    done = muscate(*words, "--json")
    assert done.returncode == expect, done.stderr + done.stdout
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_download_brings_what_the_archive_has_and_once_only(
    centre: tuple[str, Store, Settings, Centre], tmp_path: Path
) -> None:
    address, _, settings, _ = centre
    into = tmp_path / "mine"
    words = ("download", "--url", address, "--into", str(into))
    assert brought(*words, "--tile", "31TDJ", "--dry-run")
    assert not into.exists()
    chosen = brought(*words, "--tile", "31TDJ", "--bands", "B4,CLM")
    assert {one.get("status") for one in chosen[:-1]} == {"fetched"}
    assert {name.rpartition("_V1-4_")[2] for name in held(into) if "/" in name} == {"SRE_B4.tif", "CLM_R1.tif"}
    *all_, total = brought(*words)
    assert {one["status"] for one in all_} == {"fetched"}
    for path in into.glob("SENTINEL2*"):
        assert held(path) == held(next(settings.archive.glob(f"*/*/{path.name}")))
    assert total["bytes"] > 0
    before = held(into)
    *all_, total = brought(*words)
    assert (total["bytes"], {one["status"] for one in all_}) == (0, {"unchanged"})
    assert held(into) == before


def test_bands_and_tiles_that_are_none_are_refused(centre: tuple[str, Store, Settings, Centre], tmp_path: Path) -> None:
    """And nothing is told to be done, though nothing was to do."""
    for word in ("B44", "sre_b4,NOSUCH", "ALL_"):
        answer = httpx.get(f"{centre[0]}/stac/search/list", params={"limit": "2", "bands": word})
        assert answer.status_code == 400
        assert "no product that was found has such a file" in answer.text
    found = [{"id": "P", "properties": {}, "links": [], "assets": {"SRE_B4": {"href": "/x"}}}]
    for fine in (["b4"], ["SRE"], ["sre_b4", "MTD"], []):
        assert len(client.of_items(found, fine)) == 1
    for mistyped in (["B5"], ["MTD", "SRE_B"], ["B4", ""]):
        with pytest.raises(SearchError):
            client.of_items(found, mistyped)
    assert client.of_items([], ["B5"]) == []
    done = muscate("download", "--url", centre[0], "--tile", "99XXX", "--into", str(tmp_path / "mine"))
    assert (done.returncode, done.stderr) == (1, "muscate: '99XXX' is no MGRS tile: 31TCJ\n")


def test_a_polygon_that_is_none_is_refused_with_the_place_of_its_fault(
    centre: tuple[str, Store, Settings, Centre],
) -> None:
    bow = "POLYGON((1 43, 2 44, 2 43, 1 44, 1 43))"
    done = muscate("download", "--url", centre[0], "--area", bow)
    assert done.returncode == 1
    assert "Self-intersection[1.5 43.5]" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--area", "POLYGON((1 43, 2 95, 2 43, 1 43))"), "beyond the globe: from 1 43 to 2 95"),
        (("--area", "POLYGON((1 43, 2 nan, 2 43, 1 43))"), "--area is not valid: Invalid Coordinate[2 nan]"),
        (("--area", "POLYGON EMPTY"), "--area is not valid"),
        (("--point", "nan,43"), "no longitude and latitude"),
        (("--point", "1e400,43"), "no longitude and latitude"),
    ],
)
def test_a_place_that_is_none_is_refused_in_one_line(words: tuple[str, str], said: str) -> None:
    done = muscate("download", "--url", "http://localhost:1", *words)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert said in done.stderr


def test_an_area_across_the_antimeridian_finds_what_lies_on_both_sides(tmp_path: Path) -> None:
    """However it is written: with longitudes of both signs, beyond 180 degrees, or cut there."""
    settings = Settings(home=tmp_path / "home", port=free_port())
    store = filled(settings, size=32, dates=3)
    with store.write() as session:
        shown = sa.select(Product).where(Product.version == "V1_4", Product.current, Product.valid)
        wanted = session.scalars(shown.order_by(Product.id).limit(2)).all()
        names = {product.identifier for product in wanted}
        for product, tile in zip(wanted, ("01KAB", "60KYF"), strict=True):
            session.add(Tile(mgrs=tile, current_version="V1_4"))
            session.flush()
            product.tile = tile
        session.execute(sa.delete(Holding))
    with plain_routes(settings, store) as address:
        for area in (
            "POLYGON((178.5 -18.5, -179.5 -18.5, -179.5 -17, 178.5 -17, 178.5 -18.5))",
            "POLYGON((178.5 -18.5, 180.5 -18.5, 180.5 -17, 178.5 -17, 178.5 -18.5))",
            "MULTIPOLYGON(((178.5 -18.5, 180 -18.5, 180 -17, 178.5 -17, 178.5 -18.5)),"
            "((-180 -18.5, -179.5 -18.5, -179.5 -17, -180 -17, -180 -18.5)))",
        ):
            found = brought("download", "--url", address, "--area", area, "--dry-run")
            assert {one["id"] for one in found} == names
    store.dispose()


def test_a_token_that_is_wrong_is_one_line_and_one_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    class Closed(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_POST(self) -> None:
            asked.append(self.headers["Authorization"])
            self.rfile.read(int(self.headers["Content-Length"]))
            body = b'{"detail": "sign in first"}'
            self.send_response(401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Closed)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("MUSCATE_TOKEN", "wr0ng-of-mine")
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        for command in ("download", "sync"):
            done = muscate(command, "--url", url, "--into", tmp_path / "mine")
            assert (done.returncode, done.stderr.count("\n")) == (1, 1)
            assert "401 sign in first" in done.stderr
            assert "wr0ng" not in done.stderr + done.stdout
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert asked == ["Bearer wr0ng-of-mine"] * 2


def test_a_disk_that_fills_keeps_the_part_which_is_gone_on_with(
    centre: tuple[str, Store, Settings, Centre], tmp_path: Path
) -> None:
    """No file may have more than some bytes, as on a disk that has no more; then it may."""
    address, store, settings, _ = centre
    folder = next(settings.archive.glob(f"*/*/{a_product(store)}"))
    largest = max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content, room = os.urandom(600_000), 250_000
    largest.write_bytes(content)
    store_of = Store(settings.url)
    with store_of.write() as session:
        session.execute(sa.delete(Holding))
    store_of.dispose()
    into = tmp_path / "mine"
    words = [sys.executable, "-m", "dashboard", "sync", "--url", address, "--into", str(into), "--json"]
    words += ["--connections", "1"]

    def narrow() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    done = subprocess.run(words, capture_output=True, text=True, preexec_fn=narrow, check=False)
    *all_, total = (json.loads(line) for line in done.stdout.splitlines())
    failed = [one for one in all_ if one["status"] == "failed"]
    assert done.returncode in (1, 3)
    assert "can't be written: File too large" in failed[0]["reason"]
    assert all(one["reason"].startswith("not begun: ") for one in failed[1:])
    assert done.stderr == ""
    (part,) = into.rglob("*.part")
    assert part.read_bytes() == content[:room]
    *all_, total = brought(*words[3:-3], "--connections", "1")
    assert {one["status"] for one in all_} <= {"fetched", "unchanged"}
    assert (into / folder.name / largest.relative_to(folder)).read_bytes() == content
    whole = sum(path.stat().st_size for path in into.rglob("*") if path.is_file())
    assert total["bytes"] < whole - room + 2 * transfer.OVERLAP


def test_sync_replaces_and_reports(centre: tuple[str, Store, Settings, Centre], tmp_path: Path) -> None:
    address, store, settings, _ = centre
    folder = Folder(tmp_path / "mine")
    bringer = Client(folder)
    body = {"collections": ["muscate-l2a"]}
    first = client.sync(bringer, address, body)
    assert {one.status for one in first} == {"fetched"}
    assert {one.status for one in client.sync(bringer, address, body)} == {"unchanged"}
    names = sorted(one.identifier for one in first)
    withdraw(store, names[0], "haze")
    with store.write() as session:  # the other one was made again: another folder, another manifest
        again = session.scalars(sa.select(Product).where(Product.identifier == names[1])).one()
        old = settings.archive / again.path
        new = old.parent / "revision-1" / old.name
        shutil.copytree(old, new)
        raster = next(new.glob("*SRE_B4.tif"))
        raster.write_bytes(raster.read_bytes() + b"\0")
        again.path, again.manifest_sha, again.revision = str(new.relative_to(settings.archive)), "1" * 64, 1
    done = {one.identifier: one for one in client.sync(Client(Folder(folder.path)), address, body)}
    assert (done[names[0]].status, done[names[0]].reason) == ("withdrawn", "haze")
    assert (folder.path / names[0]).exists()
    assert done[names[1]].status in ("replaced", "fetched")
    assert held(folder.path / names[1]) == held(new)
    assert {one.status for name, one in done.items() if name not in names[:2]} == {"unchanged"}
    assert sum(one.moved for one in client.sync(Client(Folder(folder.path)), address, body)) == 0


class Killed(BaseException):
    """What nobody catches."""


@pytest.mark.parametrize("steps", [0, 2, 99])
def test_who_is_killed_while_files_are_put_in_their_places_brings_none_twice(
    centre: tuple[str, Store, Settings, Centre], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """After so many of a product's files, after all of them, or before the ledger has the product."""
    (product,) = [
        client.of_item(item, ["B4", "CLM", "EDG", "SAT"])
        for item in client.search(Link(), centre[0], {"collections": ["muscate-l2a"], "ids": [a_product(centre[1])]})
    ]
    for name, file in product.files.items():  # as of any product that has a manifest
        file["sha256"] = transfer.digest(next(centre[2].archive.glob(f"*/*/{product.identifier}")) / name)
    folder, replace, left = Folder(tmp_path / "mine"), os.replace, [min(steps, len(product.files))]

    def put(source: Path, target: Path) -> None:
        if ".partial" not in str(target):
            if not left[0]:
                raise Killed
            left[0] -= 1
        replace(source, target)

    def note(entry: dict[str, Any]) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(client.os, "replace", put)
        patch.setattr(folder, "note", note)
        with pytest.raises(Killed):
            Client(folder, 1).download([product])
    again = Folder(folder.path)
    (done,) = Client(again, 1).download([product])
    assert (done.status, done.moved) == ("fetched", 0)
    assert again.missing(product, deep=True) == []
    assert not list((folder.path / ".partial").rglob("*"))


def test_list_is_the_same_wherever_it_is_made(centre: tuple[str, Store, Settings, Centre], tmp_path: Path) -> None:
    address, _, _, _ = centre
    link = Link()
    found = [client.of_item(item) for item in client.search(link, address, {"collections": ["muscate-l2a"]})]
    link.close()
    made = lists.frozen(found, "all"), lists.frozen(reversed(found), "all of them")
    assert made[0]["digest"] == made[1]["digest"]
    served = httpx.get(f"{address}/stac/search/list", params={"collections": "muscate-l2a"})
    assert served.json()["digest"] == made[0]["digest"]
    assert served.json()["digest"][:12] in served.headers["content-disposition"]
    path = tmp_path / "list.json"
    path.write_bytes(served.content)
    assert {one.identifier for one in lists.read(path)} == {one.identifier for one in found}
    spoiled = json.loads(path.read_text())
    next(iter(spoiled["products"][0]["files"].values()))["size"] += 1
    path.write_text(json.dumps(spoiled))
    with pytest.raises(InputError, match="digest"):
        lists.read(path)


def test_script_brings_the_same_with_a_shell_alone(centre: tuple[str, Store, Settings, Centre], tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl not here")
    address, _, settings, _ = centre
    link = Link()
    found = [client.of_item(item, ["B4"]) for item in client.search(link, address, {"limit": 2})][:2]
    link.close()
    names = ",".join(product.identifier for product in found)
    served = httpx.get(f"{address}/stac/search/script", params={"ids": names, "bands": "B4"}).text
    assert [line for line in served.splitlines() if line.startswith("get ")] == [
        line for line in lists.script(found, "two").splitlines() if line.startswith("get ")
    ]
    (tmp_path / "get.sh").write_text(served)
    for _ in range(2):
        subprocess.run(["sh", "get.sh"], cwd=tmp_path, check=True)
    for product in found:
        for name in product.files:
            assert (tmp_path / product.identifier / name).read_bytes() == next(
                settings.archive.glob(f"*/*/{product.identifier}/{name}")
            ).read_bytes()


# Those who are told


def test_feed_and_webhook_tell_what_happened(centre: tuple[str, Store, Settings, Centre]) -> None:
    """Of a tile alone; again until it is taken, then no more; signed."""
    address, store, _, _ = centre
    name = a_product(store)
    tile = name.split("_")[3][1:]
    taken: list[tuple[dict[str, str], bytes]] = []

    class Receiver(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.append((dict(self.headers), body))
            self.send_response(503 if len(taken) == 1 else 204)
            self.send_header("Content-Length", "0")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/hook"
        with store.write() as session:
            kept = webhooks.add(session, command_line(), url, "secret", tile=tile).id
            other = next(t for t in ("31TDJ", "40KCB") if t != tile)
            webhooks.add(session, command_line(), url, "", tile=other)
        assert telling.tell(store) == 0  # what was before is not told
        withdraw(store, name, "haze")
        assert telling.tell(store) == 0
        with store.write() as session:
            session.execute(sa.update(Webhook).values(due=WHEN))
        assert telling.tell(store) == 1
        assert telling.tell(store) == 0
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert [body for _, body in taken] == [taken[0][1]] * 2
    headers, body = taken[1]
    assert headers["X-Muscate-Signature"] == "sha256=" + hmac.new(b"secret", body, "sha256").hexdigest()
    (told,) = json.loads(body)["products"]
    assert (told["event"], told["id"], told["reason"]) == ("withdrawn", name, "haze")
    with store.read() as session:
        assert {w.id: w.failures for w in webhooks.everything(session)}[kept] == 0
    feed = etree.fromstring(httpx.get(f"{address}/products.atom", params={"tile": tile}).content)
    first = feed.find("{*}entry")
    assert first.findtext("{*}title") == f"{name}: withdrawn"
    assert first.findtext("{*}summary") == "haze"
    assert {e.find("{*}category").get("term") for e in feed.iter("{*}entry")} == {f"tile:{tile}"}
