"""Whatever is sent to the web: no fault of its own, no core held, no line kept; sockets only with a token of ours."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import re
import socket
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import shapely
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.websockets import WebSocketDisconnect

from dashboard import access, bounds, door, line, pixels, sockets, stac
from dashboard import app as web
from processing.errors import SearchError
from processing.people import Role
from processing.settings import ACCESS, Settings
from processing.store.models import Event
from tests.dashboard_archive import filled
from tests.fuzz import described, messages
from tests.fuzz import web as fuzz
from tests.people import cookie
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
def known(application: FastAPI, client: TestClient) -> fuzz.Known:
    told = application.state.guards.settings
    said = cookie(told, application.state.guards.store)
    cookies = f"{said['name']}={said['value']}"
    signed = fuzz.Signed(cookies, fuzz.token_on(client.get("/en/account", headers={"Cookie": cookies}).text))
    found = client.get("/stac/search?limit=50&collections=muscate-l2a-all").json()["features"]
    tiles = sorted({item["properties"]["grid:code"].removeprefix("MGRS-") for item in found})
    ids = [item["id"] for item in found]
    return fuzz.Known(client.get("/openapi.json").json(), ids, tiles, ["V1_3", "V1_4"], application, signed)


def test_wrong_requests_get_no_fault(client: TestClient, known: fuzz.Known) -> None:
    sessions = tuple(f"/{page}" for page in access.SESSIONS)  # which cost what the page costs
    drawn = [r for r in fuzz.Fuzz(known, 11).requests(500) if not r.path.startswith(sessions) and len(r.path) < 60_000]
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


def test_the_key_of_a_page_may_hold_any_time(client: TestClient) -> None:
    for order in ("-datetime", "-updated", "eo:cloud_cover", "updated,eo:cloud_cover"):
        for count in range(1, 5):
            said = json.dumps(["0001-01-01T00:00:00+23:59"] * count)
            asked = {"token": base64.urlsafe_b64encode(said.encode()).decode(), "sortby": order}
            assert client.get("/stac/search", params=asked).status_code == 400, (order, count)


@pytest.mark.parametrize("body", FOUND)
def test_a_search_that_is_none_is_refused(client: TestClient, body: str) -> None:
    answer = client.post("/stac/search", content=body, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500, answer.text
    assert "Traceback" not in answer.text


NONE = ("NaN", "nan", "1e400", "-1e400", "Infinity", "-inf")
LONE = '{"op": "<", "args": [{"property": "eo:cloud_cover"}, ?]}'


@pytest.mark.parametrize("number", NONE)
@pytest.mark.parametrize("path", ["/stac/search", f"/stac/collections/{stac.ALL}/items", "/stac/search/list"])
def test_a_number_of_a_search_that_is_none_is_422(client: TestClient, path: str, number: str) -> None:
    """As a text of GET and within its JSON; by POST too."""
    said = {"nan": "NaN", "-inf": "-Infinity"}.get(number, number)  # as JSON's readers take it
    asked: list[dict[str, str]] = [
        {"limit": number},
        {"bbox": f"0,0,1,{number}"},
        {"bbox": f"{number},0,1,1"},
        {"intersects": '{"type": "Point", "coordinates": [1, ?]}'.replace("?", said)},
        {"query": '{"eo:cloud_cover": {"lt": ?}}'.replace("?", said)},
        {"query": json.dumps({"eo:cloud_cover": {"lt": number}})},
        {"query": json.dumps({"sat:relative_orbit": {"eq": number}})},
        {"query": json.dumps({"muscate:water_percent": {"lt": number}})},
        {"filter": LONE.replace("?", said), "filter-lang": "cql2-json"},
        {"filter": f"eo:cloud_cover < '{number}'"},
    ]
    if "e400" in number:
        asked.append({"filter": f"eo:cloud_cover < {number} OR version = 'V1_3'"})
    answers = [client.get(path, params=each) for each in asked]
    bodies = ['{"limit": ?}', '{"bbox": [0, 0, 1, ?]}', '{"filter": ' + LONE + "}"]
    kind = {"content-type": "application/json"}
    answers += [client.post("/stac/search", content=body.replace("?", said), headers=kind) for body in bodies]
    assert {answer.status_code for answer in answers} == {422}, [(a.status_code, a.text[:100]) for a in answers]
    assert all(answer.json()["description"] for answer in answers)


@pytest.mark.parametrize("number", ["NaN", "1e400"])
def test_a_number_of_a_parameter_that_is_none_is_422(client: TestClient, known: fuzz.Known, number: str) -> None:
    """Of each route that is described, whatever takes a number; what takes a text gets no fault of ours."""
    tried, product, over = 0, known.names["product"][0], known.names["tile"][0]
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        parameters = operations.get("get", {}).get("parameters", [])
        if path.startswith(tuple(f"/{page}" for page in access.SESSIONS)):  # which cost what the page costs
            continue
        for one in (each for each in parameters if each["in"] == "query"):
            kinds = [each.get("type") for each in (one["schema"], *one["schema"].get("anyOf", ()))]
            address = path.replace("{product}", product).replace("{tile}", over)
            address = re.sub(r"\{[zxy]\}", "0", address).replace("{layer}", "natural").replace("{key}", "zarr.json")
            answer = client.get(re.sub(r"\{\w+\}", "x", address), params={one["name"]: number})
            numeric = {"number", "integer"} & set(kinds)
            assert answer.status_code == 422 if numeric else answer.status_code < 500, (path, one["name"])
            tried += bool(numeric)
    assert tried > 10
    assert client.get(f"/tiles/{product}/natural/0/0/0", params={"range": f"0,{number}"}).status_code == 422


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


@pytest.mark.parametrize("page", ["quality", "workbench"])
@pytest.mark.parametrize(("value", "status"), [("9" * 5000, 414), ("²", 400), ("9" * 3900, 200), ("١٢", 200)])
def test_a_page_is_not_opened_by_what_reads_as_no_number(
    client: TestClient, page: str, value: str, status: int
) -> None:
    found = bounds._fault({"path": f"/{page}", "query_string": urlencode({"left": value}).encode()})
    assert found[0] == (0 if status == 200 else status)
    if status != 200:
        assert client.get(f"/{page}", params={"left": value}).status_code == status


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


# Heads and forms


@pytest.mark.parametrize("value", fuzz.SLOW, ids=lambda value: value[:8].strip() or "spaces")
def test_no_header_takes_the_square_of_its_length(client: TestClient, known: fuzz.Known, value: str) -> None:
    file = f"/products/{known.names['product'][0]}/zip"
    for address in ("/", "/stac", file, "/production"):
        for name in ("Range", "Cookie", "Accept-Language", "If-None-Match", "If-Range", "Accept", "Authorization"):
            began = time.process_time()
            assert client.get(address, headers={name: value}).status_code < 500, (address, name)
            assert time.process_time() - began < 1, (address, name)


@pytest.mark.parametrize("name", ["Origin", "Referer"])
@pytest.mark.parametrize("value", ["http://[::", "http://\xaa", "about:blank", "//", ""])
def test_a_form_from_a_place_that_is_none_is_refused(client: TestClient, name: str, value: str) -> None:
    for path in ("/sign-in", "/failures", "/en/news/edit/new"):
        answer = client.post(path, data={"a": "b"}, headers={name: value.encode("latin-1")})
        assert (answer.status_code, "another host" in answer.text) == (403, True)


@pytest.mark.parametrize(
    "body", ["&".join(["a=b"] * 3000), "a=%00", "a=%ff", "%00=a"], ids=["many", "NUL", "ff", "name"]
)
def test_a_form_that_is_none_is_refused(client: TestClient, known: fuzz.Known, body: str) -> None:
    assert known.signed is not None
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"http://{HERE}"}
    for path in set(known.forms) - {"/sign-out"}:  # which takes no fields
        address = path.replace("{language}", "en").replace("{key}", "new")
        theirs = client.post(address, content=body, headers=headers)
        ours = client.post(
            address, content=f"token={known.signed.token}&{body}", headers={**headers, "Cookie": known.signed.cookie}
        )
        assert (theirs.status_code in (400, 403), ours.status_code in (400, 403)) == (True, True), address


@pytest.mark.parametrize("when", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "9999-12-31", "²", "١٢"])
def test_a_day_at_the_end_of_the_calendar_is_one_or_none(client: TestClient, known: fuzz.Known, when: str) -> None:
    assert known.signed is not None
    for name in ("since", "until", "job", "state", "page"):
        assert client.get("/failures", params={name: when}).status_code in (200, 404, 422), name
    for name in ("starts", "ends", "sequence"):
        fields = {"token": known.signed.token, "do": "keep", "kind": "maintenance", name: when}
        sent = client.post("/en/news/edit/new", data=fields, headers={"Cookie": known.signed.cookie})
        assert sent.status_code == 422, name


@pytest.mark.parametrize("path", ["/failures%0d%0aall is well", "/sign-in%00", "/%1b[2J", "/a%e2%80%a8b"])
def test_what_is_refused_is_one_line_of_the_log(
    client: TestClient, application: FastAPI, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    with caplog.at_level(logging.WARNING):
        assert client.post(path, data={"a": "b"}, headers={"Origin": f"http://{HERE}"}).status_code == 403
        client.get(path, headers={"Host": "evil.example"})
    said = [record.getMessage() for record in caplog.records if record.name.startswith("dashboard")]
    assert len(said) == 2
    assert all(line.isprintable() for line in said)
    with application.state.guards.store.read() as session:
        newest = session.scalars(sa.select(Event).order_by(Event.id.desc()).limit(1)).one()
    assert newest.data["path"].isprintable()


def test_every_route_is_drawn(known: fuzz.Known) -> None:
    """Those too that OpenAPI does not tell of."""
    paths = {path for _, path, _ in known.routes}
    assert {
        "/failures",
        "/{language}/news.atom",
        "/en/why",
        "/cubes/{name}/{key}",
        "/status/{tile}/{day}.json",
    } <= paths
    assert {"/sign-in", "/account/role", "/failures", "/versions", "/{language}/news/edit/{key}"} <= set(known.forms)


# Sockets


def refused_socket(client: TestClient, *protocols: str, path: str = "/quality/ws") -> str:
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

    def get(path: str = "/quality", who: str = address) -> tuple[int, dict[bytes, bytes]]:
        return asyncio.run(_get(app, path, who))

    for _ in range(bounds.SESSIONS):
        assert get()[0] == 200
        now[0] += 0.5
    status, headers = get()
    assert status == 429
    assert 0 < int(headers[b"retry-after"]) <= bounds.WITHIN
    if address.startswith("2001"):
        assert get(who="2001:db8::8")[0] == 429  # of the same customer
    for path in ("/status.json", "/production", "/products"):  # what costs little goes on, and is asked for again
        assert get(path=path)[0] == 200
    assert get(who="198.51.100.1")[0] == 200
    assert get(who="127.0.0.1")[0] == get(who="::1")[0] == 200
    now[0] += bounds.WITHIN
    assert get()[0] == 200


def test_addresses_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "ADDRESSES", 10)
    app = bounds.Sessions(_fine)
    for n in range(30):
        assert asyncio.run(_get(app, "/quality", f"203.0.113.{n}"))[0] == 200
    assert len(app._opened) == 10
