"""Stores at an address, over a server of our own that knows ranges."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from numpy.testing import assert_array_equal

from processing.errors import L1CError, Unreachable, WrongSetting
from processing.l1c import address, granules
from processing.signing import signed
from processing.simulation import simulate
from tests.eopf import write


class _Server(ThreadingHTTPServer):
    folder: Path
    sent: int
    ranges: int
    spoil: str
    signed: bool


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, *_: object) -> None:
        pass

    def _is_signed(self, address: str, query: str) -> bool:
        moment = dict(parse_qsl(query)).get("X-Amz-Date")
        if moment is None:
            return False
        now = datetime.strptime(f"{moment}+0000", "%Y%m%dT%H%M%SZ%z")
        url = f"http://{self.headers['Host']}{address}"
        return f"http://{self.headers['Host']}{self.path}" == signed(
            url, "key", "words of a test", "here", now, method=self.command
        )

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        address, _, query = self.path.partition("?")
        path = self.server.folder / address.lstrip("/")
        if self.server.signed and not self._is_signed(address, query):
            self.send_error(403)
            return
        if self.server.spoil == "broken" or not path.is_file():
            self.send_error(503 if self.server.spoil == "broken" else 404)
            return
        content, whole = path.read_bytes(), True
        part = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        size = len(content)
        if part and self.server.spoil != "no ranges":
            content, whole = content[int(part[1]) : int(part[2]) + 1], False
            self.server.ranges += 1
        changed = self.server.spoil == "changed" and self.command == "GET" and "reflectance" in self.path
        self.send_response(200 if whole else 206)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{size}{"-new" if changed else ""}"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)
            self.server.sent += len(content)


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (package,) = simulate(tmp_path_factory.mktemp("safe"), tile="31TCJ", dates=1, size=120)
    return package


@pytest.fixture
def server(safe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Server]:
    monkeypatch.setattr(address, "PAUSE", 0.01)
    server = _Server(("127.0.0.1", 0), _Handler)
    server.folder, server.sent, server.ranges, server.spoil = tmp_path, 0, 0, ""
    server.signed = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def at(server: _Server, store: Path) -> Path:
    return Path(f"http://127.0.0.1:{server.server_address[1]}/{store.name}")


@pytest.mark.parametrize("generation", ["A", "C'"])
def test_a_store_at_an_address_reads_as_its_folder(generation: str, safe: Path, server: _Server) -> None:
    store = write(safe, server.folder, generation)
    (there,), (here,) = granules(store), granules(at(server, store))
    assert there.angles().mean_sun == here.angles().mean_sun
    for band in ("B1", "B2"):
        rows = slice(0, there._sources[0].strips(band)[-1].stop)
        assert_array_equal(there._sources[0].read(band, rows), here._sources[0].read(band, rows))
    assert (server.ranges > 0) is (generation == "C'")
    total = sum(path.stat().st_size for path in store.rglob("*"))
    assert server.sent < total


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        ("broken", Unreachable, "the server answers 503"),
        ("no ranges", L1CError, "the server answers 200 to a range"),
        ("changed", L1CError, "measurements/reflectance/.*changed while it was read"),
    ],
)
def test_a_server_that_fails_is_told(
    spoil: str, error: type[Exception], words: str, safe: Path, server: _Server
) -> None:
    store = write(safe, server.folder, "C'")
    server.spoil = spoil
    with pytest.raises(error, match=words):
        granules(at(server, store))[0]._sources[0].read("B2", slice(0, 10))


def test_nothing_at_an_address(server: _Server) -> None:
    with pytest.raises(L1CError, match=r"nothing\.zarr: \.zattrs: no stac_discovery"):
        granules(at(server, Path("nothing.zarr")))
    with pytest.raises(L1CError, match="no such file"):
        granules(Path("/nothing.zarr"))


def test_a_signature_is_that_of_amazons_own_example() -> None:
    """S3 API Reference, "Authenticating Requests: Using Query Parameters"."""
    key, secret = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # not a secret
    url = "https://examplebucket.s3.amazonaws.com/test.txt"
    found = signed(url, key, secret, "us-east-1", datetime(2013, 5, 24, tzinfo=UTC), life=86400)
    assert found.endswith("&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")


def test_a_store_in_a_bucket_reads_as_its_folder(safe: Path, server: _Server, monkeypatch: pytest.MonkeyPatch) -> None:
    (server.folder / "bucket").mkdir()
    store, server.signed = write(safe, server.folder / "bucket", "C'"), True
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}/")
    place = Path(f"s3://bucket/{store.name}")
    with pytest.raises(L1CError, match="no stac_discovery"):
        granules(place)
    monkeypatch.setenv("AWS_REGION", "here")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "words of a test")
    (there,), (here,) = granules(store), granules(place)
    rows = slice(0, there._sources[0].strips("B1")[-1].stop)
    assert_array_equal(there._sources[0].read("B1", rows), here._sources[0].read("B1", rows))


def test_a_bucket_is_read_over_http_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "file:///etc")
    with pytest.raises(WrongSetting, match="AWS_ENDPOINT_URL is no address of http: file:///etc"):
        granules(Path("s3://bucket/name.zarr"))
