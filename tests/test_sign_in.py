"""Who may open and change what: roles, sessions, forms, and what is kept of those who were turned away."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from bokeh.protocol.exceptions import ProtocolError
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from pydantic import ValidationError
from starlette.websockets import WebSocketDisconnect

from dashboard import access, people
from dashboard import app as web
from dashboard.guard import paths
from dashboard.public.sign_in import inside
from processing.errors import StoreError
from processing.people import Role
from processing.production.centre import _way_in
from processing.settings import ACCESS, Settings
from processing.store import Store, events
from processing.store import people as kept
from processing.store.dialect import now
from processing.store.models import Event, Granule, SignIn, SignInFailure, SignInLink
from tests.people import ADMIN, cookie, entered

BASE = "http://localhost:5006"
PASSWORD = "correct horse battery"
SOCKET = "ws://localhost:5006/quality/ws"
HTML = {"accept": "text/html,*/*;q=0.8"}


class Centre:
    """A web and its store; each visitor is a browser of his own."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings(home=home)
        self.app = web.create(self.settings)
        self.store = Store(self.settings.url)
        with self.store.write() as session:
            kept.add(session, "anna", Role.SCIENTIST, ADMIN, kept.hashed(PASSWORD))

    def visitor(self, name: str = "", role: Role = Role.SCIENTIST) -> TestClient:
        client = TestClient(self.app, base_url=BASE, follow_redirects=False)
        if name:
            given = cookie(self.settings, self.store, name, role)
            client.cookies.set(given["name"], given["value"])
        return client

    def refused(self) -> list[Event]:
        with self.store.read() as session:
            query = sa.select(Event).where(Event.kind == "request_refused").order_by(Event.id)
            return list(session.scalars(query))


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Centre]:
    made = Centre(tmp_path_factory.mktemp("centre"))
    with entered(made.app):
        yield made
    made.store.dispose()


def token_on(client: TestClient, address: str = "/en/sign-in") -> str:
    found = re.search(r'name="token" value="([0-9a-f]+)"', client.get(address).text)
    assert found
    return found[1]


def try_password(client: TestClient, name: str, password: str, **more: str) -> object:
    data = {"name": name, "password": password, "token": token_on(client), **more}
    return client.post("/sign-in", data=data, headers={"origin": BASE})


def test_a_password_opens_a_session_that_pages_routes_and_sockets_share(centre: Centre) -> None:
    client = centre.visitor()
    away = client.get("/quality?tile=31TCJ", headers=HTML)
    assert (away.status_code, away.headers["location"]) == (303, "/en/sign-in?next=/quality%3Ftile%3D31TCJ")
    assert client.get("/api/quality/verdicts.csv").status_code == 401
    answer = try_password(client, "anna", PASSWORD, next="/quality?tile=31TCJ")
    assert (answer.status_code, answer.headers["location"]) == (303, "/quality?tile=31TCJ")
    given = answer.headers["set-cookie"]
    assert "HttpOnly" in given
    assert "SameSite=lax" in given
    page = client.get("/quality", headers=HTML)
    assert page.status_code == 200
    assert client.cookies["muscate-5006"] not in page.text, "a script could read it there"
    assert client.get("/api/quality/verdicts.csv").status_code == 200
    token = re.search(r'"token":\s*"([^"]+)"', page.text)
    assert token
    with client.websocket_connect(SOCKET, subprotocols=["bokeh", token[1]]) as socket:
        assert "msgid" in socket.receive_text()
    with (
        pytest.raises((WebSocketDisconnect, ProtocolError)),
        centre.visitor().websocket_connect(SOCKET, subprotocols=["bokeh", token[1]]) as socket,
    ):
        socket.receive_text()


def test_the_cookie_is_for_https_alone_where_users_come_by_https(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, public_url="https://l2a.example.org")
    store = Store(settings.url)
    app = web.create(settings)
    with store.write() as session:
        kept.add(session, "anna", Role.SCIENTIST, ADMIN, kept.hashed(PASSWORD))
    with entered(app, "https://l2a.example.org") as client:
        data = {"name": "anna", "password": PASSWORD, "token": token_on(client)}
        answer = client.post("/sign-in", data=data, headers={"origin": "https://l2a.example.org"})
        given = answer.headers["set-cookie"]
        assert given.startswith("__Host-muscate=")
        assert all(word in given for word in ("Secure", "HttpOnly", "Path=/"))
        assert "Domain" not in given
        assert "max-age" in answer.headers["strict-transport-security"]
    store.dispose()


def test_an_unknown_name_and_a_wrong_password_are_one_answer_after_one_time(tmp_path: Path) -> None:
    """Also where the person has no password, and with what is no name at all."""
    centre = Centre(tmp_path)
    with centre.store.write() as session:
        kept.add(session, "olga", Role.OPERATOR, ADMIN, None)
    answers, seconds = set(), {}
    names = ("anna", "nobody", "olga", "x" * 900)
    with entered(centre.app) as client:
        for turn in range(4):
            for name in names:
                token = token_on(client)
                begun = time.perf_counter()
                answer = client.post("/sign-in", data={"name": name, "password": f"wrong {turn}", "token": token})
                seconds.setdefault(name, []).append(time.perf_counter() - begun)
                answers.add((answer.status_code, answer.text.replace(f'value="{name}"', "")))
    assert len(answers) == 1
    assert "Name and password don't fit." in next(iter(answers))[1]
    least = {name: min(found) for name, found in seconds.items()}
    assert max(least.values()) < 2 * statistics.median(least.values()), least
    centre.store.dispose()


def test_passwords_are_tried_so_often_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Per name and address, per address and per name; who waits may try again, and what counted is forgotten."""
    centre = Centre(tmp_path)
    monkeypatch.setattr(kept, "_fits", lambda known, password: known is not None and password == PASSWORD)

    def tried(name: str, address: str, password: str = "wrong") -> str:
        try:
            kept.sign_in(centre.store, name, password, address, "")
        except kept.WrongPassword:
            return "wrong"
        except kept.TooManyTries:
            return "often"
        return "in"

    assert [tried("anna", "1.1.1.1") for _ in range(kept.TRIES)] == ["wrong"] * kept.TRIES
    assert tried("anna", "1.1.1.1", PASSWORD) == "often"
    assert tried("anna", "2.2.2.2", PASSWORD) == "in", "somebody else's tries lock nobody out"
    assert tried("anna", "2001:db8::1") == "wrong"
    assert [tried("anna", f"2001:db8::{i}") for i in range(2, 8)][-1] == "often", "one network is one place"
    others = [tried(f"somebody {i}", "1.1.1.1") for i in range(kept.TRIES_OF_ADDRESS)]
    assert (others[0], others[-1]) == ("wrong", "often")
    of_name = [tried("anna", f"3.3.{i}.3") for i in range(kept.TRIES_OF_NAME)]
    assert of_name[-1] == "often"
    later = SignInFailure.time
    with centre.store.write() as session:
        session.execute(sa.update(SignInFailure).values({later: now(session) - kept.WINDOW * 1.1}))
    assert tried("anna", "1.1.1.1", PASSWORD) == "in"
    with centre.store.read() as session:
        assert session.query(SignInFailure).count() == 0
        names = set(session.scalars(sa.select(Event.actor).where(Event.kind == "sign_in_refused")))
    assert names == {"anna", "visitor"}, "what is typed as a name may be a password"
    centre.store.dispose()


def changing(centre: Centre) -> list[tuple[str, str]]:
    """Every method and address of the web that may change something."""
    return sorted(
        (method, re.sub(r"\{[^}]*\}", "31TCJ", path))
        for context in iter_route_contexts(centre.app.routes)
        for path in [getattr(context, "path", "")]
        for method in getattr(context, "methods", None) or ()
        if method not in ("GET", "HEAD", "OPTIONS") and path not in access.READING
    )


def test_a_changing_request_without_token_role_or_from_elsewhere_is_refused_and_kept(centre: Centre) -> None:
    routes = changing(centre)
    assert ("POST", "/account/role") in routes
    for method, path in routes:
        anna = centre.visitor("anna")
        token = token_on(anna, "/en/account")
        before = len(centre.refused())
        faults = {
            "no token": anna.request(method, path, data={"name": "anna"}, headers={"origin": BASE}),
            "another's token": anna.request(
                method, path, data={"token": token_on(centre.visitor())}, headers={"origin": BASE}
            ),
            "another host": anna.request(
                method, path, data={"token": token}, headers={"origin": "http://evil.example"}
            ),
            "nowhere": anna.request(method, path, data={"token": token}, headers={"origin": "null"}),
            "another site": anna.request(method, path, data={"token": token}, headers={"sec-fetch-site": "cross-site"}),
            "no session": centre.visitor().request(method, path, headers={"origin": BASE}),
        }
        assert {words: answer.status_code for words, answer in faults.items()} == dict.fromkeys(faults, 403), path
        found = centre.refused()[before:]
        assert [(e.data["method"], e.data["path"]) for e in found] == [(method, path)] * len(faults)
        assert [e.actor for e in found] == ["anna"] * 5 + ["visitor"]
        assert {e.origin for e in found} == {"testclient"}


@pytest.mark.parametrize("path", ["/account/add", "/account/role", "/account/remove", "/account/revoke"])
def test_without_the_role_nothing_is_done(centre: Centre, path: str) -> None:
    anna = centre.visitor("anna")
    before = len(centre.refused())
    data = {"name": "ada", "role": "admin", "password": PASSWORD, "token": token_on(anna, "/en/account")}
    with centre.store.write() as session:
        if "ada" not in [p.name for p in kept.everybody(session)]:
            kept.add(session, "ada", Role.OPERATOR, ADMIN, None)
    assert anna.post(path, data=data, headers={"origin": BASE}).status_code == 403
    (event,) = centre.refused()[before:]
    assert (event.actor, event.data["path"]) == ("anna", path)
    with centre.store.read() as session:
        assert kept.find(session, "ada").role == "operator"


def test_an_admin_does_it_on_the_page(tmp_path: Path) -> None:
    centre = Centre(tmp_path)
    ada = centre.visitor("ada", Role.ADMIN)
    token = token_on(ada, "/en/account")

    def done(path: str, **data: str) -> int:
        return int(ada.post(path, data={**data, "token": token}, headers={"origin": BASE}).status_code)

    assert done("/account/add", name="ben", role="scientist", password="too short") == 400
    assert done("/account/add", name="visitor", role="scientist", password=PASSWORD) == 400
    assert done("/account/add", name="ben", role="king", password=PASSWORD) == 400
    assert done("/account/add", name="ben", role="scientist", password=PASSWORD) == 303
    ben = centre.visitor("ben")
    assert ben.get("/quality").status_code == 200
    assert ben.get("/production").status_code == 403
    assert done("/account/role", name="ben", role="operator") == 303
    time.sleep(2.1)
    assert ben.get("/production").status_code == 200
    assert done("/account/revoke", name="ben") == 303
    time.sleep(2.1)
    assert ben.get("/quality").status_code == 401
    assert done("/account/remove", name="ben") == 303
    with centre.store.read() as session:
        said = [(e.kind, e.actor, e.data.get("person")) for e in session.scalars(sa.select(Event))]
        assert [p.name for p in kept.everybody(session)] == ["ada", "anna"]
        assert session.query(SignIn).count() == 1
    for kind in ("person_added", "person_role", "sessions_revoked", "person_removed"):
        assert (kind, "ada", "ben") in said
    centre.store.dispose()


@pytest.mark.parametrize("part", ACCESS)
def test_the_table_of_the_settings_decides_alone(part: str, tmp_path: Path) -> None:
    addresses = {"status": "/api/summary", "news": "/news", "help": "/help", "people": "/people"}
    address = addresses.get(part, f"/{part}")
    assert access.part(address) == part
    for least in (Role.PUBLIC, Role.OPERATOR):
        settings = Settings(home=tmp_path / least, access={part: least})
        store = Store(settings.url)
        with entered(web.create(settings)) as client:
            assert (client.get(address).status_code == 401) == (least is not Role.PUBLIC)
            given = cookie(settings, store, "anna", Role.SCIENTIST)
            client.cookies.set(given["name"], given["value"])
            assert (client.get(address).status_code == 403) == (least is not Role.PUBLIC)
        store.dispose()


def test_the_table_knows_its_parts() -> None:
    with pytest.raises(ValidationError, match="parts of the web are"):
        Settings(access={"kitchen": Role.PUBLIC})
    with pytest.raises(ValidationError):
        Settings(access={"browse": "king"})  # type: ignore[dict-item]


def test_every_address_of_the_web_belongs_to_a_part(centre: Centre) -> None:
    found = set(paths(centre.app.routes))
    assert {"/{language}/sign-in", "/stac/search", "/quality/ws"} <= found
    assert {path for path in found if access.part(path) is None} == set()


def test_an_address_that_no_part_has_is_the_admins(tmp_path: Path) -> None:
    centre = Centre(tmp_path)
    centre.app.add_api_route("/forgotten", lambda: "secret")
    assert centre.visitor().get("/forgotten").status_code == 401
    assert centre.visitor("anna").get("/forgotten").status_code == 403
    assert centre.visitor("ada", Role.ADMIN).get("/forgotten").status_code == 200
    centre.store.dispose()


@pytest.mark.parametrize("address", ["/nothing", "/de/sign-in", "/fr/nothing", "/products/nothing/zip"])
def test_what_is_not_there_is_a_page_in_the_readers_language(centre: Centre, address: str) -> None:
    client = centre.visitor()
    page = client.get(address, headers={**HTML, "accept-language": "fr"})
    assert page.status_code == 404
    assert "Introuvable" in page.text
    assert 'href="/fr/"' in page.text
    assert client.get(address).json()["detail"]


def test_a_fault_of_ours_is_a_page_and_tells_nothing(tmp_path: Path) -> None:
    centre = Centre(tmp_path)

    def broken() -> None:
        raise RuntimeError("secret")

    centre.app.add_api_route("/stac/broken", broken)
    client = centre.visitor()
    page = client.get("/stac/broken", headers={**HTML, "accept-language": "es"})
    assert page.status_code == 500
    assert "Se ha producido un error" in page.text
    assert "secret" not in page.text
    assert "content-security-policy" in page.headers
    assert client.get("/stac/broken").json() == {"detail": "a fault of the centre"}
    centre.store.dispose()


def test_the_link_of_a_demonstration_signs_in_once_and_soon(tmp_path: Path) -> None:
    centre = Centre(tmp_path)
    with centre.store.write() as session:
        assert not kept.is_demonstration(session), "somebody may sign in"
        kept.remove(session, "anna", ADMIN)
        first, second = (kept.demonstration_link(session, ADMIN) for _ in range(2))
    client = centre.visitor()
    assert client.get(f"/sign-in/link/{first}").status_code == 403
    assert client.head(f"/sign-in/link/{second}").status_code in (403, 405), "what looks ahead does not use it up"
    assert client.get(f"/sign-in/link/{second}").headers["location"] == "/production"
    assert client.get("/production").status_code == 200
    assert centre.visitor().get(f"/sign-in/link/{second}").status_code == 403
    with centre.store.write() as session:
        late = kept.demonstration_link(session, ADMIN)
        session.execute(sa.update(SignInLink).values(expires=now(session)))
    assert centre.visitor().get(f"/sign-in/link/{late}").status_code == 403
    with centre.store.write() as session:
        real = kept.demonstration_link(session, ADMIN)
        kept.add(session, "ben", Role.ADMIN, ADMIN, None)
    assert centre.visitor().get(f"/sign-in/link/{real}").status_code == 403
    with centre.store.read() as session:
        assert session.query(Granule).count() == 0
        assert digest_only(session.query(SignInLink).all(), real)
    centre.store.dispose()


def test_up_says_how_to_get_in(tmp_path: Path) -> None:
    """A link where there are only simulated products and nobody; else what to do, and nothing where somebody can."""
    settings = Settings(home=tmp_path)
    settings.make_folders()
    store = Store(settings.url)
    store.upgrade()
    assert _way_in(settings, store).startswith("/sign-in/link/")
    assert _way_in(settings, store).startswith("/sign-in/link/"), "each start has its own"
    assert "muscate user add" in _way_in(settings.model_copy(update={"demonstration": False}), store)
    with store.write() as session:
        kept.add(session, "ada", Role.ADMIN, ADMIN, kept.hashed(PASSWORD))
    assert _way_in(settings, store) == ""
    store.dispose()


def digest_only(rows: list[SignInLink], token: str) -> bool:
    return all(token not in row.token_sha for row in rows)


def test_a_page_goes_on_in_another_session_of_the_same_person_only(centre: Centre) -> None:
    class Document:
        pass

    def visit(name: str) -> people.Visit:
        given = cookie(centre.settings, centre.store, name, Role.SCIENTIST)
        return people.Visit(centre.store, kept.digest(given["value"]), "here")

    document = Document()
    first, again, other = visit("anna"), visit("anna"), visit("carl")
    people._open[document], people._words["word"] = first, document
    with centre.store.write() as session:
        kept.revoke(session, "anna", ADMIN)
    assert people.visit(document).over
    assert people.visit(document).actor().role is Role.PUBLIC
    assert not people.go_on("word", other)
    assert not people.go_on("another word", other)
    assert people.visit(document).over
    again = visit("anna")
    assert people.go_on("word", again)
    assert people.visit(document).actor().name == "anna"
    people._open[document] = people.Visit(centre.store, "", "stranger")
    assert not people.go_on("word", again), "a stranger's page never acts for who signs in"


@pytest.mark.parametrize(
    ("address", "there"),
    [
        ("/quality?a=b", "/quality?a=b"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\r\nb", "/"),
        ("", "/"),
    ],
)
def test_after_signing_in_nobody_is_led_elsewhere(address: str, there: str) -> None:
    assert inside(address) == there


def test_refusals_at_the_door_draw_no_page_again(centre: Centre) -> None:
    from dashboard import queries

    with centre.store.write() as session:
        before, shown = queries.fingerprint(session), len(queries.events(session))
        for kind in events.DOOR:
            events.audit(session, now(session), kind, ADMIN)
        session.flush()
        assert queries.fingerprint(session) == before
        assert len(queries.events(session)) == shown


def test_metrics_name_no_tile(centre: Centre) -> None:
    client = centre.visitor()
    client.get("/products/SENTINEL2A_X_T31TCJ/zip")
    client.get("/tiles/SENTINEL2A_X_T31TCJ/natural/0/0/0")
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "muscate_store_up 1.0" in answer.text
    assert 'muscate_requests_total{part="products",status="4xx"}' in answer.text
    assert "31TCJ" not in answer.text


def test_who_was_known_may_look_while_the_store_is_away_and_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    centre = Centre(tmp_path)
    anna, stranger = centre.visitor("anna"), centre.visitor()
    token = token_on(anna, "/en/account")
    centre.app.add_api_route("/quality/kept", lambda: "seen before")
    assert anna.get("/quality/kept").status_code == 200
    time.sleep(2.1)

    def away(*_: object) -> None:
        raise StoreError("unable to open database file")

    monkeypatch.setattr(kept, "held", away)
    assert anna.get("/quality/kept").status_code == 200
    data = {"name": "anna", "token": token}
    assert anna.post("/account/revoke", data=data, headers={"origin": BASE}).status_code in (403, 503)
    assert stranger.get("/quality/kept").status_code == 401
    assert centre.visitor("ben").get("/quality/kept").status_code == 503
    assert stranger.get("/en/sign-in").status_code == 200
    centre.store.dispose()
