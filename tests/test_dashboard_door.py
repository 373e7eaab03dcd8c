"""Nobody speaks for a reader but the reader: origins, names, sessions and their tokens."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bokeh.protocol.exceptions import ProtocolError
from bokeh.util.token import get_session_id
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from dashboard import access, door, frame, guard
from dashboard import app as web
from processing.people import Role, command_line
from processing.settings import Settings
from processing.store import Store, people
from tests.people import cookie, entered

HERE = "localhost:5006"
SOCKET = f"ws://{HERE}/quality/ws"


@contextmanager
def visitor(home: Path) -> Iterator[TestClient]:
    """Of the whole web of a centre, by the address that the README names."""
    settings = Settings(home=home, access={"quality": Role.PUBLIC})
    with entered(web.create(settings), f"http://{HERE}") as client:
        yield client


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with visitor(tmp_path_factory.mktemp("centre")) as client:
        yield client


def test_a_page_bears_its_name(tmp_path: Path) -> None:
    with visitor(tmp_path) as client:
        said = cookie(Settings(home=tmp_path), Store(Settings(home=tmp_path).url))  # type: ignore[call-arg]
        client.cookies.set(said["name"], said["value"])
        for name in sorted(access.SESSIONS):
            assert f"<title>{frame.PAGES[name]} · muscate</title>" in client.get(f"/{name}").text


def token_of(client: TestClient, address: str = "/quality", **headers: str) -> str:
    page = client.get(address, headers=headers)
    assert page.status_code == 200
    found = re.search(r'"token":\s*"([^"]+)"', page.text) or re.search(
        r"&quot;token&quot;:&quot;([^&]+)&quot;", page.text
    )
    assert found
    return found[1]


def opened(client: TestClient, token: str, origin: str | None) -> bool:
    """Whether a socket for the session is taken."""
    headers = {} if origin is None else {"origin": origin}
    try:
        with client.websocket_connect(SOCKET, subprotocols=["bokeh", token], headers=headers) as socket:
            return "msgid" in socket.receive_text()  # the server greets
    except (WebSocketDisconnect, ProtocolError):  # by the door, or by bokeh
        return False


@pytest.mark.parametrize("origin", [f"http://{HERE}", f"https://{HERE}", None])
def test_a_page_of_ours_opens_its_session(client: TestClient, origin: str | None) -> None:
    assert opened(client, token_of(client), origin)


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://localhost:5007",
        "http://localhost",
        f"http://evil@{HERE}.example",
        "null",
        "",
        "%",
    ],
)
def test_a_page_of_a_stranger_opens_none(client: TestClient, origin: str) -> None:
    token = token_of(client)
    assert not opened(client, token, origin)
    with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect(SOCKET, headers={"origin": origin}):
        pass
    assert (refused.value.code, refused.value.reason) == (
        door.POLICY_VIOLATION,
        "a page of another host may not open a session here",
    )


def test_behind_a_proxy_its_pages_are_named(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOKEH_ALLOW_WS_ORIGIN", "l2a.example.org, other.example:8443")
    assert door.origins() == {"l2a.example.org", "other.example:8443"}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:5006", "localhost.evil.example", "", "[", "a b"])
def test_a_name_that_a_stranger_leads_here_is_refused(client: TestClient, host: str) -> None:
    answer = client.get("/health", headers={"host": host})
    assert answer.status_code == 421
    assert len(answer.text.splitlines()) == 1


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9", "[::1]:5006", "LOCALHOST:1"])
def test_this_machine_may_always_be_asked(client: TestClient, host: str) -> None:
    assert client.get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "address", ["/products", "/quality", "/compare", "/health", "/stac", "/assets/compare.css", "/nothing"]
)
def test_every_answer_says_who_may_frame_it(client: TestClient, address: str) -> None:
    for host in (HERE, "evil.example"):
        answer = client.get(address, headers={"host": host})
        assert "frame-ancestors 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"


def test_a_program_is_let_in_by_its_token_as_long_as_it_holds(tmp_path: Path) -> None:
    """To read, where visitors may not: it changes nothing."""
    settings = Settings(home=tmp_path / "closed", access={"products": Role.SCIENTIST}, demonstration=False)
    with TestClient(web.create(settings), base_url=f"http://{HERE}") as client:
        store = Store(settings.url)
        with store.write() as session:
            people.add(session, "reader", Role.SCIENTIST, command_line(), None)
            token = people.begin(session, people.find(session, "reader"), "command line", "a program", "token")
        bears = {"authorization": f"Bearer {token}"}
        refused = client.get("/stac", headers={"origin": "https://elsewhere.example"})
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Bearer")
        # A browser asks without the token whether its page may send one, and lets the page read a refusal only so.
        before = client.options("/stac/search", headers={"origin": "https://elsewhere.example"})
        assert before.status_code == 204
        assert "Authorization" in before.headers["access-control-allow-headers"]
        assert refused.headers["access-control-allow-origin"] == "*"
        assert client.get("/stac", headers={"authorization": "Bearer x"}).status_code == 401
        assert client.get("/stac", headers={"authorization": f"Basic {token}"}).status_code == 401
        assert client.get("/stac", headers=bears).status_code == 200
        assert client.get("/people", headers=bears).status_code == 403
        assert client.post("/api/quality/verdicts", headers=bears, json={}).status_code == 403
        with store.write() as session:
            people.revoke(session, "reader", command_line())
        time.sleep(guard.BELIEVED)
        assert client.get("/stac", headers=bears).status_code == 401
        store.dispose()


ANSWERED = "/en/ /status.json /health /stac /stac/search /stac/queryables /openapi.json /products.atom /browse /nothing"


@pytest.mark.parametrize("address", ANSWERED.split())
def test_head_is_answered_as_get_without_a_body(client: TestClient, address: str) -> None:
    whole, head = client.get(address), client.head(address)
    assert (head.status_code, head.content) == (whole.status_code, b"")
    assert head.headers["content-type"] == whole.headers["content-type"]


@pytest.mark.parametrize(
    ("address", "open_"),
    [
        ("/stac/search", True),
        ("/products/x/zip", True),
        ("/tiles/x/CLM/0/0/0", True),
        ("/people", False),
        ("/cubes/31TCJ_V1_4.zarr/zarr.json", True),
        ("/products.atom", True),
        ("/products", False),
    ],
)
def test_pages_of_other_hosts_read_what_is_for_programs_only(client: TestClient, address: str, open_: bool) -> None:
    asked = {"origin": "https://elsewhere.example", "access-control-request-method": "GET"}
    for answer in (client.options(address, headers=asked), client.get(address, headers=asked)):
        assert (answer.headers.get("access-control-allow-origin") == "*") == open_


def test_names_are_those_that_were_given() -> None:
    assert door.names("0.0.0.0", []) is None
    assert door.names("0.0.0.0", ["L2A.example.org:443"]) == door.LOOPBACK | {"l2a.example.org", "0.0.0.0"}
    assert door.names("10.1.2.3", []) == door.LOOPBACK | {"10.1.2.3"}
    assert "::1" in (door.names("::1", []) or ())


@pytest.mark.parametrize("name", ["bokeh_session_id", "bokeh-session-id", "Bokeh_Session_Id", "bokeh%5Fsession%5fid"])
def test_a_session_that_a_visitor_brings_is_put_aside(client: TestClient, name: str) -> None:
    chosen = "chosen-by-a-stranger"
    for given in (chosen, ""):
        token = token_of(client, f"/quality?{name}={given}&days=7", **{"Bokeh-Session-Id": chosen})
        assert get_session_id(token) not in (chosen, "")


def test_a_forged_or_foreign_token_opens_nothing(client: TestClient, tmp_path: Path) -> None:
    token = token_of(client)
    payload, _, signature = token.rpartition(".")
    assert payload
    assert opened(client, token, f"http://{HERE}")
    assert not opened(client, f"{payload}.{signature[:-2]}xx", f"http://{HERE}")
    with visitor(tmp_path) as other:
        foreign = token_of(other)
    assert not opened(client, foreign, f"http://{HERE}")


def test_the_secret_is_made_once_and_is_its_owners(tmp_path: Path) -> None:
    made = door.secret(tmp_path)
    assert len(made) == 64
    assert door.secret(tmp_path) == made
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    (tmp_path / "secret").write_bytes(b"short")
    with pytest.raises(ValueError, match="cut short"):
        door.secret(tmp_path)
