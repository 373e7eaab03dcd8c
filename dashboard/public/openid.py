"""OpenID Connect: another house says who somebody is. Code flow with PKCE, state and nonce.

References
----------
OpenID Connect Core 1.0, 3.1; RFC 7636 (PKCE); RFC 9700 (what may go wrong).
"""

from __future__ import annotations

import hmac
import json
import time
import warnings
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from processing.errors import NotAllowed, Unreachable, WrongPassword
from processing.people import VISITOR, Role
from processing.store import events
from processing.store import people as kept
from processing.store.dialect import now

if TYPE_CHECKING:
    from fastapi import Request

    from dashboard.guard import Guards
    from processing.settings import Settings

#: How long the other house may take with somebody. [s]
PATIENCE = 600
#: How long it may take with an answer of its own. [s]
TIMEOUT = 10.0
#: How far its clock may be from ours. [s]
LEEWAY = 60
SIGNATURES = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA"]


@dataclass(frozen=True)
class Word:
    """What the other house says of somebody, and where he wanted to go."""

    subject: str
    name: str
    role: Role
    there: str
    renew: str


def house(settings: Settings) -> str:
    """The other house as readers know it: its host."""
    return urlsplit(settings.oidc_issuer).hostname or settings.oidc_issuer


def _back(guards: Guards, request: Request) -> str:
    here = guards.settings.public_url or f"{request.url.scheme}://{request.headers.get('host', '')}"
    return f"{here}/sign-in/openid/back"


def _client(guards: Guards, request: Request) -> Any:
    try:
        from authlib.deprecate import AuthlibDeprecationWarning

        with warnings.catch_warnings():  # authlib's, of its own choice of httpx
            warnings.simplefilter("ignore", AuthlibDeprecationWarning)
            from authlib.integrations.httpx_client import AsyncOAuth2Client
    except ImportError:
        raise Unreachable("OpenID Connect needs the extra `oidc`: pip install 'muscate[oidc]'") from None
    return AsyncOAuth2Client(
        guards.settings.oidc_client_id,
        guards.settings.oidc_client_secret or None,
        scope="openid profile email",
        redirect_uri=_back(guards, request),
        code_challenge_method="S256",
        token_endpoint_auth_method="client_secret_basic" if guards.settings.oidc_client_secret else "none",
        timeout=TIMEOUT,
    )


async def _get(url: str) -> dict[str, Any]:
    from httpx import AsyncClient, HTTPError

    try:
        async with AsyncClient(timeout=TIMEOUT) as client:
            answer = await client.get(url)
        answer.raise_for_status()
        found = answer.json()
    except (HTTPError, ValueError) as fault:
        raise Unreachable(f"{urlsplit(url).hostname} does not answer: {type(fault).__name__}") from None
    if not isinstance(found, dict):
        raise Unreachable(f"{urlsplit(url).hostname} answers with something else")
    return found


async def _discovered(settings: Settings) -> dict[str, Any]:
    issuer = settings.oidc_issuer.rstrip("/")
    found = await _get(f"{issuer}/.well-known/openid-configuration")
    if str(found.get("issuer", "")).rstrip("/") != issuer:
        raise WrongPassword("the other house calls itself by another name than the settings do")
    if missing := {"authorization_endpoint", "token_endpoint", "jwks_uri"} - set(found):
        raise Unreachable(f"the other house does not say its {', '.join(sorted(missing))}")
    return found


async def ask(guards: Guards, request: Request, there: str, renew: str) -> tuple[str, str]:
    """Where to send somebody, and what his browser keeps until he is back."""
    state, nonce, verifier = token_urlsafe(24), token_urlsafe(24), token_urlsafe(48)
    async with _client(guards, request) as client:
        known = await _discovered(guards.settings)
        address, _ = client.create_authorization_url(
            known["authorization_endpoint"], state=state, code_verifier=verifier, nonce=nonce
        )
    aside = {"state": state, "nonce": nonce, "verifier": verifier, "there": there, "renew": renew}
    return address, _sealed(guards, aside | {"until": time.time() + PATIENCE})


async def answered(guards: Guards, request: Request) -> Word:
    """What the other house says, held against what was asked.

    Raises
    ------
    MuscateError
        If it says nothing, something else than was asked, or nothing that gives a role here.
    """
    aside = _unsealed(guards, request.scope["muscate_openid"])
    given = request.query_params
    if not hmac.compare_digest(given.get("state", "").encode(), str(aside["state"]).encode()):
        raise WrongPassword("this answer belongs to no question of this browser")
    if "code" not in given:
        raise WrongPassword(f"the other house says: {given.get('error', 'nothing')[:100]}")
    claims = await _claims(guards, request, given["code"], aside)
    settings = guards.settings
    name = str(claims.get(settings.oidc_name_claim) or claims.get("email") or "").strip()
    if not name:
        raise NotAllowed(f"the other house does not say your name ({settings.oidc_name_claim})")
    return Word(str(claims["sub"]), name, role_of(settings, claims), str(aside["there"]), str(aside["renew"]))


async def _claims(guards: Guards, request: Request, code: str, aside: dict[str, Any]) -> Any:
    """What stands in the ID token, once its signature, issuer, audience, time and nonce are those asked for."""
    from authlib.integrations.base_client import OAuthError
    from httpx import HTTPError
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet

    async with _client(guards, request) as client:
        known = await _discovered(guards.settings)
        try:
            token = await client.fetch_token(known["token_endpoint"], code=code, code_verifier=aside["verifier"])
        except (OAuthError, HTTPError, ValueError) as fault:
            raise WrongPassword(f"the other house does not take its code back: {type(fault).__name__}") from None
        keys: Any = await _get(known["jwks_uri"])
    try:
        found = jwt.decode(str(token.get("id_token", "")), KeySet.import_key_set(keys), algorithms=SIGNATURES)
        claims = found.claims
        jwt.JWTClaimsRegistry(
            leeway=LEEWAY,
            iss={"essential": True, "value": known["issuer"]},
            aud={"essential": True, "value": guards.settings.oidc_client_id},
            exp={"essential": True},
            sub={"essential": True},
            nonce={"essential": True, "value": aside["nonce"]},
        ).validate(claims)
    except (JoseError, ValueError, KeyError, TypeError) as fault:
        raise WrongPassword(f"the word of the other house does not hold: {type(fault).__name__}") from None
    return claims


def role_of(settings: Settings, claims: dict[str, Any]) -> Role:
    """The highest role that the values of the claim give.

    Raises
    ------
    NotAllowed
        If they give none.
    """
    said = claims.get(settings.oidc_role_claim)
    values = said if isinstance(said, list) else [said]
    roles = [settings.oidc_roles[v] for v in values if isinstance(v, str) and v in settings.oidc_roles]
    if not roles:
        raise NotAllowed("the other house knows you, but nothing of what it says gives you a role here")
    return max(roles, key=list(Role).index)


def begin(guards: Guards, word: Word, address: str, browser: str) -> str:
    """Begin the session of whom the other house vouches for."""
    with guards.store.write() as session:
        issuer = guards.settings.oidc_issuer.rstrip("/")
        person = kept.vouched(session, issuer, word.subject, word.name, word.role)
        return kept.begin(session, person, address, browser, "OpenID Connect")


def note_refusal(guards: Guards, address: str, why: str) -> None:
    """Keep in the events that somebody came back without a word that holds."""
    with guards.store.write() as session:
        data = {"how": "OpenID Connect", "why": why}
        events.record(
            session, now(session), "sign_in_refused", severity="warning", actor=VISITOR, origin=address, data=data
        )


def _sealed(guards: Guards, aside: dict[str, Any]) -> str:
    text = urlsafe_b64encode(json.dumps(aside).encode()).decode().rstrip("=")
    return f"{text}.{hmac.new(guards.secret, b'openid ' + text.encode(), sha256).hexdigest()}"


def _unsealed(guards: Guards, sealed: str) -> dict[str, Any]:
    text, _, seal = sealed.partition(".")
    whole = hmac.new(guards.secret, b"openid " + text.encode(), sha256).hexdigest()
    if not hmac.compare_digest(seal.encode(), whole.encode()):
        raise WrongPassword("this browser asked nothing")
    aside: dict[str, Any] = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    if aside["until"] < time.time():
        raise WrongPassword("that took too long: begin again")
    return aside
