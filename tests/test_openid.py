"""Signing in by another house: a real provider on loopback, with discovery, keys, PKCE and nonce."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from fastapi.testclient import TestClient
from joserfc import jwt
from joserfc.jwk import RSAKey

from dashboard import app as web
from processing.people import Role
from processing.settings import Settings
from processing.store import Store, people
from processing.store.models import Event
from tests.browser import free_port
from tests.people import ADMIN, entered

BASE = "http://localhost:5006"
HTML = {"accept": "text/html"}


@dataclass
class House:
    """The other house: whom it has signed in, and what it says wrongly if asked to."""

    issuer: str
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    person: dict[str, Any] = field(default_factory=dict)
    #: Claims that stand in its word instead of the right ones.
    wrong: dict[str, Any] = field(default_factory=dict)
    #: What signs, where it is not the key that is published.
    other_key: RSAKey | None = None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.get("/.well-known/openid-configuration")
        def discovery() -> dict[str, str]:
            return {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
            }

        @app.get("/keys")
        def keys() -> dict[str, Any]:
            return {"keys": [self.key.as_dict(private=False)]}

        @app.get("/authorize")
        def authorize(request: Request) -> Response:
            asked = dict(request.query_params)
            assert asked["response_type"] == "code"
            assert asked["code_challenge_method"] == "S256"
            code = secrets.token_urlsafe(16)
            self.codes[code] = asked
            return RedirectResponse(f"{asked['redirect_uri']}?code={code}&state={asked['state']}", 303)

        @app.post("/token")
        async def token(request: Request) -> Response:
            given = dict(parse_qsl((await request.body()).decode()))
            client = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
            asked = self.codes.pop(given.get("code", ""), None)
            digest = hashlib.sha256(given.get("code_verifier", "").encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
            if asked is None or challenge != asked["code_challenge"] or client != "muscate:hidden":
                return JSONResponse({"error": "invalid_grant"}, 400)
            now = int(time.time())
            claims = {"iss": self.issuer, "aud": "muscate", "iat": now, "exp": now + 60, "nonce": asked["nonce"]}
            said = claims | self.person | self.wrong
            word = jwt.encode({"alg": "RS256", "kid": "one"}, said, self.other_key or self.key)
            return JSONResponse({"access_token": "x", "token_type": "Bearer", "expires_in": 60, "id_token": word})

        return app


@pytest.fixture(scope="module")
def served() -> Iterator[House]:
    port = free_port()
    house = House(f"http://127.0.0.1:{port}")
    server = uvicorn.Server(uvicorn.Config(house.app(), port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield house
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def house(served: House) -> House:
    served.person = {"sub": "42", "preferred_username": "olga", "groups": ["staff", "ops"]}
    served.wrong, served.other_key = {}, None
    return served


@pytest.fixture(scope="module")
def centre(served: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FastAPI, Store]]:
    settings = Settings(
        home=tmp_path_factory.mktemp("centre"),
        oidc_issuer=served.issuer,
        oidc_client_id="muscate",
        oidc_client_secret="hidden",
        oidc_roles={"ops": Role.OPERATOR, "staff": Role.SCIENTIST},
    )
    app = web.create(settings)
    store = Store(settings.url)
    with entered(app):
        yield app, store
    store.dispose()


def asked(client: TestClient) -> str:
    """Where the other house sends the browser back to."""
    out = client.get("/sign-in/openid?next=/production")
    assert out.status_code == 303
    assert "code_challenge" in parse_qs(urlsplit(out.headers["location"]).query)
    back = httpx.get(out.headers["location"])
    assert back.status_code == 303
    return back.headers["location"].removeprefix(BASE)


def refusals(store: Store) -> int:
    with store.read() as session:
        return session.query(Event).filter(Event.kind == "sign_in_refused").count()


def test_the_word_of_the_house_signs_in_with_the_role_that_it_gives(
    house: House, centre: tuple[FastAPI, Store]
) -> None:
    app, store = centre
    client = TestClient(app, base_url=BASE, follow_redirects=False)
    assert "/sign-in/openid?next=%2Fproduction" in client.get("/en/sign-in?next=/production").text
    back = client.get(asked(client))
    assert (back.status_code, back.headers["location"]) == (303, "/production")
    assert client.get("/production").status_code == 200
    with store.read() as session:
        person = people.find(session, "olga")
        assert (person.role, person.issuer, person.subject, person.password) == ("operator", house.issuer, "42", None)
    house.person["groups"] = "staff"
    again = TestClient(app, base_url=BASE, follow_redirects=False)
    again.get(asked(again))
    assert again.get("/production").status_code == 403
    with store.read() as session:
        assert people.find(session, "olga").role == "scientist"


def nobody_signed_in(client: TestClient, store: Store, back: str, before: int) -> str:
    answer = client.get(back, headers=HTML)
    assert answer.status_code == 403
    assert "The identity provider did not let you in" in answer.text
    assert client.get("/quality").status_code == 401
    assert refusals(store) == before + 1
    return str(answer.text)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"iss": "http://evil.example"}, "does not hold"),
        ({"aud": "another"}, "does not hold"),
        ({"exp": 1}, "does not hold"),
        ({"nonce": "another"}, "does not hold"),
        ({"groups": ["guests"]}, "gives you a role"),
        ({"groups": {"ops": 1}}, "gives you a role"),
        ({"groups": None}, "gives you a role"),
        ({"preferred_username": ""}, "does not say your name"),
        ({"preferred_username": "ada"}, "somebody has this name"),
        ({"sub": ""}, ""),
    ],
)
def test_a_word_that_does_not_hold_signs_nobody_in(
    house: House, centre: tuple[FastAPI, Store], wrong: dict[str, Any], words: str
) -> None:
    app, store = centre
    with store.write() as session:
        if "ada" not in [p.name for p in people.everybody(session)]:
            people.add(session, "ada", Role.ADMIN, ADMIN, None)
    house.wrong = {"sub": "77", "preferred_username": "eve", **wrong}
    client = TestClient(app, base_url=BASE, follow_redirects=False)
    before = refusals(store)
    assert words in nobody_signed_in(client, store, asked(client), before)


def test_a_foreign_signature_signs_nobody_in(house: House, centre: tuple[FastAPI, Store]) -> None:
    house.other_key = RSAKey.generate_key(2048, {"kid": "one"})
    client = TestClient(centre[0], base_url=BASE, follow_redirects=False)
    nobody_signed_in(client, centre[1], asked(client), refusals(centre[1]))


def test_an_answer_belongs_to_the_browser_that_asked_and_to_one_question(
    house: House, centre: tuple[FastAPI, Store]
) -> None:
    app, store = centre
    one, other = (TestClient(app, base_url=BASE, follow_redirects=False) for _ in range(2))
    back = asked(one)
    nobody_signed_in(other, store, back, refusals(store))  # a link that somebody else sends
    asked(one)
    nobody_signed_in(one, store, back, refusals(store))  # an earlier question's
    third = TestClient(app, base_url=BASE, follow_redirects=False)
    state = parse_qs(urlsplit(asked(third)).query)["state"][0]
    denied = f"/sign-in/openid/back?state={state}&error=access_denied"
    assert "access_denied" in nobody_signed_in(third, store, denied, refusals(store))


def test_a_house_that_does_not_answer_is_said(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, oidc_issuer=f"http://127.0.0.1:{free_port()}", oidc_client_id="muscate")
    with entered(web.create(settings)) as client:
        answer = client.get("/sign-in/openid", headers=HTML)
        assert answer.status_code == 502
        assert "does not answer" in answer.text


def test_where_no_other_house_is_named_nobody_is_sent_to_one(tmp_path: Path) -> None:
    with entered(web.create(Settings(home=tmp_path))) as client:
        assert client.get("/sign-in/openid").status_code == 404
        assert client.get("/sign-in/openid/back?code=x&state=y").status_code == 404
        assert "openid" not in client.get("/en/sign-in").text
