"""Whatever is sent to the web: no fault of its own, no core held, no line kept; sockets only with a token of ours."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import socket
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import shapely
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.websockets import WebSocketDisconnect

from dashboard import app as web
from dashboard import bounds, door, line, pixels, sockets, stac
from processing.errors import SearchError
from processing.people import Role
from processing.settings import ACCESS, Settings
from tests.dashboard_archive import filled
from tests.fuzz import described, messages
from tests.fuzz import web as fuzz
from tests.web_server import serving

HERE = "localhost:5006"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    told = Settings(home=tmp_path_factory.mktemp("home"), access=dict.fromkeys(ACCESS, Role.PUBLIC))
    filled(told, size=64, dates=2).dispose()
    return web.create(told)


@pytest.fixture(scope="module")
def client(application: FastAPI) -> Iterator[TestClient]:
    """Of a web whose faults are raised here."""
    with TestClient(application, base_url=f"http://{HERE}") as client:
        yield client


def sent(client: TestClient, request: fuzz.Request) -> int:
    headers = {name: value.encode("latin-1", "replace") for name, value in request.headers.items()}
    return client.request(request.method, request.path, headers=headers, content=request.body).status_code


@pytest.fixture(scope="module")
def known(client: TestClient) -> fuzz.Known:
    found = client.get("/stac/search?limit=50&collections=muscate-l2a-all").json()["features"]
    tiles = sorted({item["properties"]["grid:code"].removeprefix("MGRS-") for item in found})
    return fuzz.Known(client.get("/openapi.json").json(), [item["id"] for item in found], tiles, ["V1_3", "V1_4"])


def test_wrong_requests_get_no_fault(client: TestClient, known: fuzz.Known) -> None:
    drawn = [
        r
        for r in fuzz.Fuzz(known, 11).requests(500)
        if r.path.partition("?")[0] not in fuzz.PAGES and len(r.path) < 60_000
    ]
    began = time.process_time()
    assert {str(r)[:200]: status for r in drawn if (status := sent(client, r)) >= 500} == {}
    assert time.process_time() - began < 0.1 * len(drawn)


FOUND = (
    *(
        '{"limit": Infinity}',
        '{"limit": NaN}',
        '{"ids": 5}',
        '{"ids": [5]}',
        '{"ids": ["\\ud800"]}',
        "NaN",
        '"\\ud800"',
    ),
    *('{"fields": "\\ud800"}', '{"fields": {"include": 5}}', '{"sortby": [5]}', '{"sortby": {"a": 1}}', '{"token": 5}'),
    '{"filter": {"op": "=", "args": [{"property": "eo:cloud_cover"}, ' + "9" * 400 + "]}}",
    '{"filter": ' + '{"op": "and", "args": [' * 1000 + "1" + "]}" * 1000 + "}",
    '{"ids": [' + ",".join(['"a"'] * 9000) + "]}",
)


@pytest.mark.parametrize("orbit", ["1e30", "51.5", "-1", "0", str(2**62)])
def test_an_orbit_that_no_satellite_has_finds_nothing(client: TestClient, orbit: str) -> None:
    asked = {"op": "=", "args": [{"property": "sat:relative_orbit"}, json.loads(orbit)]}
    answer = client.post("/stac/search", json={"filter": asked})
    assert (answer.status_code, answer.json()["features"]) == (200, [])


@pytest.mark.parametrize("body", FOUND)
def test_a_search_that_is_none_is_refused(client: TestClient, body: str) -> None:
    answer = client.post("/stac/search", content=body, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500, answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "when",
    [
        *("0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z", "0001-01-01T00:00:00Z/9999-12-31T00:00:00Z"),
        *("9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00+14:00"),
    ],
)
def test_years_at_the_ends_of_the_calendar_are_times(client: TestClient, when: str) -> None:
    assert client.get("/stac/search", params={"datetime": when}).status_code == 200
    for name in ("datetime", "published", "updated"):
        test = {"op": ">", "args": [{"property": name}, when.partition("/")[0]]}
        asked = {"filter": json.dumps(test), "filter-lang": "cql2-json"}
        assert client.get("/stac/search", params=asked).status_code == 200


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from(fuzz.SEARCH), JSON, max_size=3))
def test_no_search_is_more_than_refused(body: dict[str, object]) -> None:
    try:
        stac.asked(body)
    except SearchError as fault:
        str(fault).encode()


@pytest.mark.parametrize("corners", [3, 60, 150, 400, 2500])
def test_an_area_is_understood_soon_or_refused(corners: int) -> None:
    began = time.process_time()
    try:
        stac.asked({"intersects": {"type": "Polygon", "coordinates": [fuzz.star(corners)]}})
    except SearchError:
        assert corners > 3  # a star of many corners crosses itself
    whole = shapely.box(300000, 4790000, 310000, 4800000)
    given = [tuple(map(float, pair.split())) for pair in fuzz.polygon_text(corners).split(",")]
    try:
        pixels.area(given, whole)
    except ValueError:
        assert corners > 150
    assert time.process_time() - began < 1


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e300", "", "1e9", "a"])
def test_a_place_that_is_none_is_refused(client: TestClient, known: fuzz.Known, value: str) -> None:
    product, tile = known.names["product"][0], known.names["tile"][0]
    for address in (
        f"/api/compare/pixel?products={product}&x={value}&y=0",
        f"/api/compare/explain/{product}?x=0&y={value}",
        f"/api/compare/series/{tile}?x={value}&y=0&version=V1_4",
    ):
        assert client.get(address).status_code == 422


@pytest.mark.parametrize("place", [2**18, 2**31, 2**63, 2**64, 10**30, -1])
def test_a_tile_beyond_every_lattice_is_none(client: TestClient, known: fuzz.Known, place: int) -> None:
    product = known.names["product"][0]
    for address in (f"/tiles/{product}/natural/5/{place}/0", f"/xyz/{product}/natural/5/0/{place}.png"):
        assert client.get(address).status_code in (404, 422)


def test_long_and_broken_requests_are_refused_at_the_door(client: TestClient) -> None:
    assert client.get("/" + "a" * bounds.PATH).status_code == 414
    assert client.get("/health?" + "a" * bounds.QUERY + "a").status_code == 414
    assert client.get("/health?a=%00").status_code == 400
    assert client.get("/products/%00/files").status_code == 400
    body = json.dumps({"ids": ["a" * bounds.BODY]})
    assert client.post("/stac/search", content=body).status_code == 413
    assert client.get("/components/nothing").status_code in (400, 404)


def test_the_parameters_of_a_search_are_declared(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path in ("/stac/search", "/stac/collections/{name}/items"):
        named = {p["name"] for p in paths[path]["get"]["parameters"]}
        assert {"ids", "bbox", "intersects", "datetime", "limit", "token", "sortby", "query", "filter"} <= named
    body = paths["/stac/search"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(fuzz.SEARCH) == set(body["properties"])


@pytest.mark.slow
def test_schemathesis_finds_no_fault(tmp_path: Path) -> None:
    told = Settings(home=tmp_path / "home")
    filled(told, size=64, dates=2).dispose()
    with serving(told.home) as server:
        sent, faults = described.faults(server.address, 6)
        assert fuzz.tracebacks(server) == []
    assert faults == []
    assert sent > 100


# Sockets


def refused_socket(client: TestClient, *protocols: str, path: str = "/validation/ws") -> str:
    with (
        pytest.raises(WebSocketDisconnect) as closed,
        client.websocket_connect(f"ws://{HERE}{path}", subprotocols=list(protocols)) as opened,
    ):
        opened.receive_text()
    assert closed.value.code == sockets.POLICY_VIOLATION
    return closed.value.reason


def bomb() -> str:
    """A token that unpacks to a hundred megabytes, signed by nobody."""
    packed = base64.urlsafe_b64encode(zlib.compress(bytes(100 * 2**20), 9)).decode().rstrip("=")
    told = json.dumps({"session_id": "a", "__bk__zlib_": packed})
    return base64.urlsafe_b64encode(told.encode()).decode().rstrip("=") + ".c2lnbmF0dXJl"


@pytest.mark.parametrize(
    "protocols",
    [
        (),
        ("bokeh",),
        ("bokeh", "a"),
        ("bokeh", "a.b"),
        ("bokeh", "e30.e30"),
        ("other", "a.b"),
        ("bokeh", "a", "b"),
        ("bokeh", "x" * sockets.LONGEST_TOKEN + "x"),
        ("bokeh", bomb()),
    ],
)
def test_a_socket_without_a_token_of_ours_is_closed(client: TestClient, protocols: tuple[str, ...]) -> None:
    began = time.process_time()
    assert refused_socket(client, *protocols).partition(" ")[0] in ("no", "the")
    assert time.process_time() - began < 1


# Lines


class Answering:
    """The smallest application: takes a body, and answers with more than a socket holds."""

    def __init__(self, size: int) -> None:
        self.size, self.cut = size, 0

    async def __call__(self, scope: dict, receive: object, send: object) -> None:
        if scope["type"] != "http":
            return
        while (message := await receive())["type"] == "http.request" and message.get("more_body"):  # type: ignore
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore
        for _ in range(self.size):
            await send({"type": "http.response.body", "body": bytes(2**16), "more_body": True})  # type: ignore
        await send({"type": "http.response.body", "body": b""})  # type: ignore
        self.cut += 1


def lasting(said: bytes, seconds: float, size: int = 0, reading: bool = True, more: bytes = b"") -> float:
    """How long the server keeps a line on which this is said, and `more` again and again. [s]"""
    import uvicorn

    async def run() -> float:
        told = uvicorn.Config(Answering(size), http=line.Line, log_level="critical", lifespan="off")
        server = uvicorn.Server(told)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            serving = asyncio.create_task(server.serve([listening]))
            while not server.started:
                await asyncio.sleep(0.01)
            there, here = await asyncio.open_connection(*listening.getsockname()[:2])
            here.write(said)
            began = time.monotonic()
            try:
                while time.monotonic() - began < seconds:
                    here.write(more)
                    if not reading:
                        await asyncio.sleep(0.1)
                        if here.transport.is_closing() or not serving or not server.server_state.connections:
                            break
                        continue
                    try:
                        if not await asyncio.wait_for(there.read(2**16), 0.1):
                            break
                    except TimeoutError:
                        pass
            except OSError:
                pass
            lasted = time.monotonic() - began
            here.close()
            server.should_exit = server.force_exit = True
            await serving
            return lasted

    return asyncio.run(run())


HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEAD", "BODY", "STALLED"):
        monkeypatch.setattr(line, name, 0.5)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(
    ("said", "more"),
    [
        (b"", b""),
        (b"GET", b""),
        (HEAD, b""),
        (HEAD, b"X: y\r\n"),
        (b"", b"\r\n"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n", b"a"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    ],
)
def test_a_line_that_brings_no_request_is_cut(said: bytes, more: bytes) -> None:
    assert 0.3 < lasting(said, 5, more=more) < 2.5


@pytest.mark.usefixtures("hurried")
def test_an_answer_that_nobody_takes_is_cut() -> None:
    assert lasting(HEAD + b"\r\n", 6, size=2000, reading=False) < 3


@pytest.mark.usefixtures("hurried")
def test_a_head_without_end_is_cut() -> None:
    assert lasting(HEAD + b"X: " + b"a" * line.LONGEST, 5) < 0.5


def test_the_door_has_one_code_for_sockets() -> None:
    assert sockets.POLICY_VIOLATION == door.POLICY_VIOLATION


def test_a_message_that_makes_no_sense_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    sockets.let_go()
    sockets.let_go()  # once is enough
    handling = logging.getLogger("bokeh.server.protocol_handler")
    try:
        raise KeyError("events\nand more")
    except KeyError:
        handling.exception("error handling message\n message: %r", "what a stranger wrote")
    (record,) = caplog.records
    assert record.exc_info is None
    assert "stranger" not in record.getMessage()
    assert record.getMessage().startswith("a message that makes no sense: KeyError")
    assert "\n" not in record.getMessage()


@pytest.mark.slow
def test_messages_that_no_browser_sends_are_no_fault_of_the_web(tmp_path: Path) -> None:
    """Other ones each day; the failure names them."""
    filled(Settings(home=tmp_path), size=64, dates=2).dispose()
    with serving(tmp_path) as server:
        asyncio.run(messages.tried(server, 1, 0, ("quality",)))
        found = asyncio.run(messages.tried(server, 20, int(time.time()) // 86_400, ("quality",)))
        assert [sent for sent in found if sent.fault] == []
        assert server.alive
        assert fuzz.tracebacks(server) == []


async def _get(app: bounds.Sessions, path: str, address: str) -> tuple[int, dict[bytes, bytes]]:
    said: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        said.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "client": (address, 1), "query_string": b""}
    await app(scope, receive, send)
    return said[0]["status"], dict(said[0]["headers"])


async def _fine(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize("address", ["203.0.113.5", "2001:db8::7", "::ffff:203.0.113.9"])
def test_an_address_opens_so_many_sessions_and_no_more_for_a_while(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(bounds.time, "monotonic", lambda: now[0])
    app = bounds.Sessions(_fine)

    def get(path: str = "/production", who: str = address) -> tuple[int, dict[bytes, bytes]]:
        return asyncio.run(_get(app, path, who))

    for _ in range(bounds.SESSIONS):
        assert get()[0] == 200
        now[0] += 0.5
    status, headers = get()
    assert status == 429
    assert 0 < int(headers[b"retry-after"]) <= bounds.WITHIN
    if address.startswith("2001"):
        assert get(who="2001:db8::8")[0] == 429  # of the same customer
    assert get(path="/status.json")[0] == 200  # what costs little goes on
    assert get(who="198.51.100.1")[0] == 200
    assert get(who="127.0.0.1")[0] == get(who="::1")[0] == 200
    now[0] += bounds.WITHIN
    assert get()[0] == 200


def test_addresses_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "ADDRESSES", 10)
    app = bounds.Sessions(_fine)
    for n in range(30):
        assert asyncio.run(_get(app, "/versions", f"203.0.113.{n}"))[0] == 200
    assert len(app._opened) == 10
