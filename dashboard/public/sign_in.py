"""Signing in and out, and the sessions of who has: forms that need no script, in three languages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from dashboard import languages, people, writing
from dashboard.forms import Fields
from dashboard.guard import Guards
from dashboard.people import Signed, Visit
from dashboard.public import openid
from processing.errors import BadPerson, MuscateError, NotAllowed, TooManyTries, UnknownName, WrongPassword
from processing.people import VISITOR, Actor, Role
from processing.store import people as kept

router = APIRouter(include_in_schema=False)

#: Of pages that show a form's token, and of answers that give a session.
NOT_KEPT = {"Cache-Control": "no-store"}


def _guards(request: Request) -> Guards:
    guards: Guards = request.app.state.guards
    return guards


def _browser(request: Request) -> str:
    return request.headers.get("user-agent", "")


def inside(address: str) -> str:
    """An address of this web as it was given; of any other place, the front page."""
    plain = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if plain else "/"


def _language(name: str, request: Request) -> str:
    if not name:
        return languages.preferred(request.headers.get("accept-language"))
    if name not in languages.LANGUAGES:
        raise HTTPException(404, f"{name} is not one of {', '.join(languages.LANGUAGES)}")
    return name


def _form(request: Request, language: str, status: int = 200, **told: Any) -> HTMLResponse:
    visit, guards = people.visit(), _guards(request)
    label = guards.settings.oidc_issuer and openid.house(guards.settings)
    given: dict[str, Any] = {"fault": "", "next": "/", "renew": "", "name": ""} | told
    ahead = urlencode({name: given[name] for name in ("next", "renew") if given[name]})
    page = writing.page(
        "sign_in.html", language, here="/sign-in", token=visit.form_token, house=label, ahead=ahead, **given
    )
    response = HTMLResponse(page, status, headers=NOT_KEPT)
    guards.keep(response, request.scope, "-form", visit.visitor)
    return response


@router.get("/sign-in")
def entrance(request: Request) -> Response:
    """The form in the language of the browser."""
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/{_language('', request)}/sign-in{query}", 303)


@router.get("/{language}/sign-in")
def form(request: Request, language: str, next: str = "/", renew: str = "") -> Response:
    """Name and password, and the other house where there is one. `renew`: the word of a page that waits."""
    return _form(request, _language(language, request), next=inside(next), renew=renew)


@router.post("/sign-in")
def sign_in(request: Request, fields: Fields) -> Response:
    """Begin a session by name and password."""
    language, guards, visit = _language(fields.get("language", ""), request), _guards(request), people.visit()
    there, renew, name = inside(fields.get("next", "/")), fields.get("renew", ""), fields.get("name", "")
    told = {"next": there, "renew": renew, "name": name}
    try:
        token = kept.sign_in(guards.store, name, fields.get("password", ""), visit.address, _browser(request))
    except WrongPassword:
        return _form(request, language, 403, fault="wrong", **told)
    except TooManyTries:
        response = _form(request, language, 429, fault="often", **told)
        response.headers["Retry-After"] = str(int(kept.WINDOW.total_seconds()))
        return response
    return begun(request, token, there, renew, language)


def begun(request: Request, token: str, there: str, renew: str, language: str) -> Response:
    """Give the browser its session, and lead its reader on: to the page that waits for it, or to where he would go."""
    guards = _guards(request)
    visit = Visit(guards.store, kept.digest(token), people.visit().address)
    response: Response
    if renew and people.go_on(renew, visit):
        response = HTMLResponse(writing.page("signed_in.html", language, here="/sign-in"), headers=NOT_KEPT)
    else:
        response = RedirectResponse(there, 303, headers=NOT_KEPT)
    guards.keep_session(response, request.scope, token)
    return response


@router.get("/sign-in/link/{token}")
def link(request: Request, token: str) -> Response:
    """Begin the session of a demonstration's link, once."""
    guards = _guards(request)
    with guards.store.write() as session:
        found = kept.follow_link(session, token, people.visit().address, _browser(request))
    language = _language("", request)
    if found is None:
        return _form(request, language, 403, fault="link")
    return begun(request, found, "/production", "", language)


@router.post("/sign-out")
def sign_out(request: Request, actor: Signed) -> Response:
    """End this session."""
    guards, visit = _guards(request), people.visit()
    if visit.token_sha:
        with guards.store.write() as session:
            kept.end(session, visit.token_sha, actor)
    response = RedirectResponse("/", 303, headers=NOT_KEPT)
    response.delete_cookie(guards.cookie(request.scope), path="/", secure=guards.secure(request.scope), httponly=True)
    return response


@router.get("/account")
def account_entrance(request: Request) -> Response:
    """The account in the language of the browser."""
    return RedirectResponse(f"/{_language('', request)}/account", 303)


@router.get("/{language}/account")
def account(request: Request, language: str, actor: Signed) -> Response:
    """Who has signed in, and the sessions that hold: his own, of an admin everybody's, with the people."""
    language = _language(language, request)
    if actor.name == VISITOR:
        return RedirectResponse(f"/{language}/sign-in?next=/{language}/account", 303)
    return _account(request, language, actor)


def _account(request: Request, language: str, actor: Actor, status: int = 200, fault: str = "") -> Response:
    visit = people.visit()
    manages = actor.may("people")
    with _guards(request).store.read() as session:
        sessions = kept.sessions(session, "" if manages else actor.name)
        everybody = kept.everybody(session) if manages else []
    page = writing.page(
        "account.html",
        language,
        here="/account",
        token=visit.form_token,
        actor=actor,
        sessions=sessions,
        this=visit.token_sha,
        people=everybody,
        manages=manages,
        roles=[str(role) for role in Role],
        fault=fault,
    )
    return HTMLResponse(page, status, headers=NOT_KEPT)


@router.post("/account/revoke")
def revoke(request: Request, actor: Signed, fields: Fields) -> Response:
    """End a session, or all of a person."""
    number = fields.get("number", "")
    if number and not (number.isascii() and number.isdigit() and len(number) < 18):
        raise HTTPException(400, "a session has a number")
    which = int(number) if number else None
    return _changed(request, fields, actor, lambda session: kept.revoke(session, fields.get("name", ""), actor, which))


@router.post("/account/add")
def add(request: Request, actor: Signed, fields: Fields) -> Response:
    """Let somebody sign in."""
    actor.require("people")
    role = _role(fields)
    try:
        hashed = kept.hashed(fields.get("password", ""))
    except BadPerson as fault:
        return _account(request, _language(fields.get("language", ""), request), actor, 400, str(fault))
    name = fields.get("name", "")
    return _changed(request, fields, actor, lambda session: kept.add(session, name, role, actor, hashed))


@router.post("/account/role")
def role(request: Request, actor: Signed, fields: Fields) -> Response:
    """Give somebody another role."""
    wanted, name = _role(fields), fields.get("name", "")
    return _changed(request, fields, actor, lambda session: kept.set_role(session, name, wanted, actor))


@router.post("/account/remove")
def remove(request: Request, actor: Signed, fields: Fields) -> Response:
    """Let somebody sign in no more."""
    return _changed(request, fields, actor, lambda session: kept.remove(session, fields.get("name", ""), actor))


def _role(fields: dict[str, str]) -> Role:
    try:
        return Role(fields.get("role", ""))
    except ValueError:
        raise HTTPException(400, f"a role is one of {', '.join(Role)}") from None


def _changed(request: Request, fields: dict[str, str], actor: Actor, change: Callable[[Session], object]) -> Response:
    """Do it, and show what is now."""
    language = _language(fields.get("language", ""), request)
    if actor.name == VISITOR:
        raise NotAllowed("sign in first")
    try:
        with _guards(request).store.write() as session:
            change(session)
    except (BadPerson, UnknownName) as fault:
        return _account(request, language, actor, 400, str(fault))
    return RedirectResponse(f"/{language}/account", 303, headers=NOT_KEPT)


@router.get("/sign-in/openid")
async def openid_out(request: Request, next: str = "/", renew: str = "") -> Response:
    """Go to the other house."""
    guards = _guards(request)
    if not guards.settings.oidc_issuer:
        raise HTTPException(404, "no other house is asked here")
    language = _language("", request)
    try:
        address, kept_aside = await openid.ask(guards, request, inside(next), renew)
    except MuscateError as fault:
        return _form(request, language, 502, fault="house", next=inside(next), renew=renew, said=str(fault))
    response = RedirectResponse(address, 303, headers=NOT_KEPT)
    guards.keep(response, request.scope, "-openid", kept_aside, openid.PATIENCE)
    return response


@router.get("/sign-in/openid/back")
async def openid_back(request: Request) -> Response:
    """Come back from the other house, with its word or without."""
    guards, visit = _guards(request), people.visit()
    if not guards.settings.oidc_issuer:
        raise HTTPException(404, "no other house is asked here")
    language = _language("", request)
    try:
        word = await openid.answered(guards, request)
        token = await asyncio.to_thread(openid.begin, guards, word, visit.address, _browser(request))
    except MuscateError as fault:
        await asyncio.to_thread(openid.note_refusal, guards, visit.address, str(fault))
        return _form(request, language, 403, fault="house", said=str(fault))
    response = begun(request, token, word.there, word.renew, language)
    response.delete_cookie(guards.cookie(request.scope) + "-openid", path="/", secure=guards.secure(request.scope))
    return response
