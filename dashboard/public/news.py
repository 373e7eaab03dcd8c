"""News, incidents and maintenance: what everybody reads, as page, feed and calendar, and where the team writes it."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Header, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from dashboard import door, forms, languages, markdown, people, writing
from dashboard.api.centre import Centre, Here
from dashboard.public import feeds
from dashboard.public.dates import moment
from processing.errors import BadBulletin, UnknownName
from processing.store import bulletins, events
from processing.store.bulletins import Draft, Told
from processing.store.dialect import now
from processing.store.models import BULLETINS, GRADES, STAGES, Bulletin, Site

router = APIRouter(include_in_schema=False)

#: Largest form that is read. [bytes]
FORM = 300_000
#: Bulletins on a page and in a feed.
SHOWN = 50
#: For a minute: what is told may change at any time.
BRIEF = {"Cache-Control": "public, max-age=60"}
#: For pages of whoever is signed in.
OWN = {"Cache-Control": "no-store"}


def _language(language: str) -> str:
    if language not in languages.LANGUAGES:
        raise HTTPException(404, f"no pages in {language}")
    return language


#: The language in an address.
Language = Annotated[str, Depends(_language)]


@dataclass(frozen=True)
class _Wish:
    """What of the bulletins a reader wants: of one site, of one kind."""

    site: str | None = None
    kind: str | None = None

    def of(self, session: Session, language: str, limit: int = SHOWN) -> list[Told]:
        if self.site is not None and session.get(Site, self.site) is None:
            raise HTTPException(404, f"no site {self.site}")
        if self.kind is not None and self.kind not in BULLETINS:
            raise HTTPException(404, f"no kind {self.kind}")
        kinds = BULLETINS if self.kind is None else (self.kind,)
        return bulletins.of_site(session, language, self.site, kinds, limit)

    @property
    def query(self) -> str:
        return writing.query(site=self.site, kind=self.kind)


def _wish(site: str | None = None, kind: str | None = None) -> _Wish:
    return _Wish(site or None, kind or None)


Wish = Annotated[_Wish, Depends(_wish)]


def _base(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _sites(session: Session) -> dict[str, str]:
    """Names of the sites by their codes, in the order of the names."""
    return {code: name for code, name in session.execute(sa.select(Site.code, Site.name).order_by(Site.name))}


def _page(template: str, language: str, status: int = 200, headers: Mapping[str, str] = BRIEF, **told: Any) -> Response:
    told = {"moment": moment, "markdown": markdown.html, "stages": feeds.stage_words(language), **told}
    return HTMLResponse(writing.page(template, language, **told), status, dict(headers))


# What everybody reads.


@router.get("/news")
@router.get("/news/edit")
def choose(request: Request, accept_language: Annotated[str | None, Header()] = None) -> Response:
    """The page in the language of the reader's browser."""
    return RedirectResponse(f"/{languages.preferred(accept_language)}{request.url.path}")


@router.get("/news.json")
def as_json(here: Here, wish: Wish, language: str = "en") -> Response:
    """Bulletins for programs."""
    _language(language)
    with here.store.read() as session:
        return JSONResponse({"bulletins": feeds.document(wish.of(session, language))}, headers=BRIEF)


@router.get("/{language}/news.atom")
def atom(here: Here, request: Request, language: Language, wish: Wish) -> Response:
    """The feed of bulletins."""
    with here.store.read() as session:
        document = feeds.atom(wish.of(session, language), language, _base(request), wish.query)
    return Response(document, media_type="application/atom+xml", headers=BRIEF)


@router.get("/{language}/maintenance.ics")
def calendar(here: Here, request: Request, language: Language, wish: Wish) -> Response:
    """The calendar of maintenance, of all sites or of one."""
    with here.store.read() as session:
        if wish.site is not None and session.get(Site, wish.site) is None:
            raise HTTPException(404, f"no site {wish.site}")
        document = feeds.calendar(bulletins.calendar(session, language, wish.site), language, _base(request))
    return Response(document, media_type="text/calendar; charset=utf-8", headers=BRIEF)


@router.get("/{language}/news")
def news(here: Here, language: Language, wish: Wish) -> Response:
    """All bulletins, those that go on first."""
    with here.store.read() as session:
        found = wish.of(session, language)
        time, sites = now(session), _sites(session)
    going_on = [one for one in found if _goes_on(one, time)]
    return _page(
        "news.html",
        language,
        here="/news" + wish.query,
        wish=wish,
        sites=sites,
        kinds=BULLETINS,
        going_on=going_on,
        past=[one for one in found if one not in going_on],
        writes=people.actor().may("write_news"),
    )


def _goes_on(one: Told, time: datetime) -> bool:
    return one.kind != "news" and not one.over and (one.ends is None or one.ends > time)


# Where the team writes. Before the page of one bulletin, whose address is alike.


def _secret() -> str:
    """What a form of this visit carries, so that no page of another host can send it."""
    return people.visit().form_token


@dataclass(frozen=True)
class _Form:
    """What was typed; whether it was sent from our own form, by a page of another host, and refused by the guard."""

    typed: dict[str, str]
    sites: tuple[str, ...] = ()
    ours: bool = True
    foreign: bool = False
    noted: bool = False

    def text(self, name: str) -> str:
        return self.typed.get(name, "")

    def moment(self, name: str) -> datetime | None:
        """A time that was typed, UTC.

        Raises
        ------
        BadBulletin
            If it is none.
        """
        if not self.text(name).strip():
            return None
        try:
            return forms.moment(self.text(name))
        except ValueError:
            raise BadBulletin("is no date and time", self.text(name)[:40]) from None

    def draft(self) -> Draft:
        """As it may be kept; raises as `moment`."""
        texts = {code: {key: self.text(f"{key}_{code}") for key in ("title", "text")} for code in bulletins.LANGUAGES}
        window = self.moment("starts"), self.moment("ends")
        return Draft(self.text("kind"), self.text("grade"), *window, self.sites, texts)


async def _form(request: Request) -> _Form:
    pairs = await forms.pairs(request, FORM)
    typed = dict(pairs)
    origin = request.headers.get("origin")
    foreign = origin is not None and door.place(origin) != request.headers.get("host")
    ours = not foreign and hmac.compare_digest(typed.get("token", "").encode(), _secret().encode())
    noted = "muscate_refused" in request.scope
    return _Form(typed, tuple(value for key, value in pairs if key == "site"), ours, foreign, noted)


Typed = Annotated[_Form, Depends(_form)]


@dataclass
class _Desk:
    """A form as it is shown: what stands in it, and what is to be said about it."""

    typed: _Form
    row: Bulletin | None = None
    fault: BadBulletin | None = None
    said: str = ""
    preview: list[Told] = field(default_factory=list)
    status: int = 200

    def __post_init__(self) -> None:
        if self.row is not None and "kind" not in self.typed.typed:  # an update was sent: the rest stands as it is kept
            kept = _as_typed(self.row)
            self.typed = _Form(kept.typed | self.typed.typed, kept.sites)

    @property
    def address(self) -> str:
        return f"/news/edit/{'new' if self.row is None else self.row.id}"


@router.get("/{language}/news/edit")
def overview(here: Here, language: Language) -> Response:
    """All bulletins, drafts among them, for those who write them."""
    actor = people.actor()
    if not actor.may("write_news"):
        return _page("news_closed.html", language, 403, OWN, here="/news/edit")
    with here.store.read() as session:
        rows = [bulletins.told(row, language) for row in bulletins.drafts(session)]
    return _page("news_edit_list.html", language, headers=OWN, here="/news/edit", rows=rows, kinds=BULLETINS)


@router.get("/{language}/news/edit/{key}")
def edit(here: Here, language: Language, key: str, kind: str = "news", said: str = "") -> Response:
    """The form of a bulletin, or of a new one."""
    if not people.actor().may("write_news"):
        return _page("news_closed.html", language, 403, OWN, here=f"/news/edit/{key}")
    with here.store.read() as session:
        row = _row(session, key)
        if row is None and kind not in BULLETINS:
            raise HTTPException(404, f"no kind {kind}")
        desk = _Desk(_as_typed(row) if row else _Form({"kind": kind, "grade": "info", "token": _secret()}), row)
        desk.said = said if said in ("kept", "published", "withdrawn", "updated") else ""
        return _show(session, language, desk)


@router.post("/{language}/news/edit/{key}")
def send(here: Here, language: Language, key: str, form: Typed) -> Response:
    """Look at what was typed, keep it, publish it, or withdraw the bulletin. What was typed is never lost."""
    refused = _refused(here, language, key, form)
    if refused is not None:
        return refused
    done = form.text("do")
    try:
        if done == "preview":
            with here.store.read() as session:
                return _previewed(session, language, key, form)
        with here.store.write() as session:
            row = _row(session, key)
            if done == "withdraw" and row is not None:
                bulletins.withdraw(session, people.actor(), row.id)
                return RedirectResponse(f"/{language}/news/edit/{row.id}?said=withdrawn", 303)
            sequence = _number(form.text("sequence"))
            row = bulletins.keep(session, people.actor(), form.draft(), row.id if row else None, sequence)
            if done == "publish":
                bulletins.publish(session, people.actor(), row.id)
            said = "published" if done == "publish" else "kept"
            return RedirectResponse(f"/{language}/news/edit/{row.id}?said={said}", 303)
    except BadBulletin as fault:
        return _again(here, language, key, form, fault)


@router.post("/{language}/news/edit/{key}/update")
def go_on(here: Here, language: Language, key: str, form: Typed) -> Response:
    """Add an update to a bulletin."""
    refused = _refused(here, language, key, form)
    if refused is not None:
        return refused
    texts = {code: form.text(f"step_{code}") for code in bulletins.LANGUAGES}
    try:
        with here.store.write() as session:
            row = _row(session, key)
            if row is None:
                raise HTTPException(404, "no such bulletin")
            bulletins.update(session, people.actor(), row.id, form.text("stage"), texts)
        return RedirectResponse(f"/{language}/news/edit/{key}?said=updated", 303)
    except BadBulletin as fault:
        return _again(here, language, key, form, fault)


def _number(text: str) -> int | None:
    """A key or a count that somebody sent; None where it can be none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def _row(session: Session, key: str) -> Bulletin | None:
    """The bulletin of an address; None for a new one."""
    if key == "new":
        return None
    try:
        number = _number(key)
        return bulletins.get(session, -1 if number is None else number)
    except UnknownName as error:
        raise HTTPException(404, str(error)) from None


def _refused(here: Centre, language: str, key: str, form: _Form) -> Response | None:
    """The answer to somebody who may not send this form; None for who may. It is noted who tried.

    Whoever's session ended gets what was typed back, to send it again once he has signed in elsewhere.
    """
    actor = people.actor()
    if form.ours and actor.may("write_news"):
        return None
    if not form.noted:
        why = "another origin" if form.foreign else "role" if form.ours else "token"
        with here.store.write() as session:
            events.audit(session, now(session), "request_refused", actor, data={"path": "/news/edit", "why": why})
    if form.foreign:  # nothing of what another page made up is shown as if it were typed here
        return _page("news_closed.html", language, 403, OWN, here=f"/news/edit/{key}")
    with here.store.read() as session, suppress(HTTPException):  # whether it is there is not for him to know
        desk = _Desk(form, _row(session, key), said="again" if actor.may("write_news") else "signed_out", status=403)
        return _show(session, language, desk)
    return _page("news_closed.html", language, 403, OWN, here=f"/news/edit/{key}")


def _again(here: Centre, language: str, key: str, form: _Form, fault: BadBulletin) -> Response:
    with here.store.read() as session:
        return _show(session, language, _Desk(form, _row(session, key), fault, status=422))


def _previewed(session: Session, language: str, key: str, form: _Form) -> Response:
    """The form, and below it what readers of each language would get."""
    draft, row, time = form.draft(), _row(session, key), now(session)
    shown = Bulletin(
        id=0,
        uid="0" * 32,
        kind=draft.kind,
        grade=draft.grade,
        state="draft",
        stage=row.stage if row else (*STAGES.get(draft.kind, ()), "")[0],
        starts=draft.starts or (row.starts if row else time),
        ends=draft.ends,
        sites=list(draft.sites),
        texts=bulletins.checked(session, draft),
        changed=time,
        sequence=0,
    )
    preview = [bulletins.told(shown, code) for code in bulletins.LANGUAGES]
    return _show(session, language, _Desk(form, row, preview=preview))


def _as_typed(row: Bulletin) -> _Form:
    typed = {"kind": row.kind, "grade": row.grade, "sequence": str(row.sequence), "stage": row.stage}
    typed["starts"] = f"{row.starts:%Y-%m-%dT%H:%M}"
    typed["ends"] = f"{row.ends:%Y-%m-%dT%H:%M}" if row.ends else ""
    for code, text in row.texts.items():
        typed |= {f"title_{code}": text["title"], f"text_{code}": text["text"]}
    return _Form(typed, tuple(row.sites))


def _show(session: Session, language: str, desk: _Desk) -> Response:
    return _page(
        "news_edit.html",
        language,
        desk.status,
        OWN,
        here=desk.address,
        desk=desk,
        token=_secret(),
        sites=_sites(session),
        grades=GRADES,
        kinds=BULLETINS,
        own_stages=STAGES.get(desk.row.kind, ()) if desk.row else (),
        told=bulletins.told(desk.row, language) if desk.row else None,
    )


@router.get("/{language}/news/{uid}")
def bulletin(here: Here, language: Language, uid: str) -> Response:
    """One bulletin with all its updates."""
    with here.store.read() as session:
        try:
            found = bulletins.one(session, uid, language)
        except UnknownName as error:
            raise HTTPException(404, str(error)) from None
        sites = _sites(session)
    return _page(
        "news_one.html", language, here=f"/news/{uid}", one=found, sites=sites, writes=people.actor().may("write_news")
    )
