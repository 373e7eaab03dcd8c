"""What the team tells its readers: news, incidents and maintenance, in the languages that they are written in.

A text that is missing in the reader's language is given in another one, and says in which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.orm import Session, selectinload

from processing.errors import BadBulletin, UnknownName
from processing.people import Actor
from processing.store import events
from processing.store.dialect import now
from processing.store.models import BULLETINS, GRADES, STAGES, Bulletin, BulletinUpdate, Site

#: In which they may be written, in the order of preference where the reader's own is missing.
LANGUAGES = ("en", "fr", "es")
#: Stages that end an incident or a maintenance.
OVER = ("resolved", "over", "cancelled")
#: Longest title and text. [characters]
TITLE, TEXT = 200, 20_000


@dataclass(frozen=True)
class Draft:
    """What somebody wrote.

    Attributes
    ----------
    kind, grade : str
        Of `BULLETINS` and `GRADES`.
    starts, ends : datetime or None
        None: from now on, and open. A maintenance has both.
    sites : tuple of str
        Codes; none: the whole centre.
    texts : mapping
        By language: ``title``, and ``text`` in markdown. One without a title is not written in this language.
    """

    kind: str
    grade: str = "info"
    starts: datetime | None = None
    ends: datetime | None = None
    sites: tuple[str, ...] = ()
    texts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """One update as a reader gets it: `text` is markdown, `language` the one that it is in."""

    time: datetime
    stage: str
    text: str
    language: str


@dataclass(frozen=True)
class Told:
    """A bulletin as a reader gets it.

    Attributes
    ----------
    id : int
    uid : str
        Its name in addresses, feeds and calendars.
    kind, grade, state, stage : str
        As in `models.Bulletin`.
    title, text : str
        `text` is markdown.
    language : str
        The one that title and text are in.
    starts, ends : datetime
        `ends` is None while nobody knows.
    sites : tuple of str
        Codes; none: the whole centre.
    steps : tuple of Step
        The newest first.
    published : datetime or None
    changed : datetime
        By an edit or an update.
    sequence : int
        Grows with each change.
    """

    id: int
    uid: str
    kind: str
    grade: str
    state: str
    stage: str
    title: str
    text: str
    language: str
    starts: datetime
    ends: datetime | None
    sites: tuple[str, ...]
    steps: tuple[Step, ...]
    published: datetime | None
    changed: datetime
    sequence: int

    @property
    def over(self) -> bool:
        """Whether somebody ended it."""
        return self.stage in OVER


@dataclass(frozen=True)
class Mark:
    """A bulletin on an axis of time; `ends` is None for a moment, and for what goes on."""

    uid: str
    kind: str
    grade: str
    title: str
    starts: datetime
    ends: datetime | None
    sites: tuple[str, ...]


def open_incidents(session: Session, language: str, time: datetime | None = None) -> list[Told]:
    """The incidents that go on, the gravest first."""
    time = time or now(session)
    going_on = sa.or_(Bulletin.ends.is_(None), Bulletin.ends > time)
    rows = _published(session, Bulletin.kind == "incident", Bulletin.starts <= time, going_on)
    rows = sorted(rows, key=lambda row: (-GRADES.index(row.grade), -row.starts.timestamp()))
    return [told(row, language) for row in rows if row.stage not in OVER]


def maintenance(session: Session, language: str, time: datetime | None = None) -> list[Told]:
    """The maintenance that goes on or is to come, the next first."""
    time = time or now(session)
    rows = _published(session, Bulletin.kind == "maintenance", Bulletin.ends > time)
    return [told(row, language) for row in sorted(rows, key=lambda r: (r.starts, r.id)) if row.stage not in OVER]


def latest(session: Session, language: str, n: int, kinds: Sequence[str] = ("news",)) -> list[Told]:
    """The last `n` bulletins of some kinds, the newest first."""
    return [told(row, language) for row in _published(session, Bulletin.kind.in_(kinds), limit=n)]


def of_site(
    session: Session, language: str, site: str | None = None, kinds: Sequence[str] = BULLETINS, limit: int = 100
) -> list[Told]:
    """The last bulletins that concern a site, or the whole centre; None: all. The newest first."""
    found = []
    for row in _published(session, Bulletin.kind.in_(kinds)):
        if site is None or not row.sites or site in row.sites:
            found.append(told(row, language))
            if len(found) == limit:
                break
    return found


def one(session: Session, uid: str, language: str) -> Told:
    """A published bulletin.

    Raises
    ------
    UnknownName
        If there is none of this name, or it is not published.
    """
    (row,) = _published(session, Bulletin.uid == uid) or (None,)
    if row is None:
        raise UnknownName(f"{uid}: no bulletin of this name")
    return told(row, language)


def calendar(session: Session, language: str, site: str | None = None) -> list[Told]:
    """All maintenance that was ever announced, for a calendar: what was withdrawn is there as cancelled."""
    query = (
        sa.select(Bulletin)
        .options(selectinload(Bulletin.updates))
        .where(Bulletin.kind == "maintenance", Bulletin.published.is_not(None))
        .order_by(Bulletin.starts.desc(), Bulletin.id.desc())
        .limit(500)
    )
    return [told(row, language) for row in session.scalars(query) if site is None or not row.sites or site in row.sites]


def marks(session: Session, since: datetime, until: datetime, language: str = "en") -> list[Mark]:
    """The bulletins that began before `until` and went on until after `since`, the oldest first: for a chart."""
    going_on = sa.case((Bulletin.kind == "news", Bulletin.starts), else_=sa.func.coalesce(Bulletin.ends, until))
    rows = _published(session, Bulletin.starts <= until, going_on >= since)
    return [
        Mark(row.uid, row.kind, row.grade, text["title"], row.starts, row.ends, tuple(row.sites))
        for row in sorted(rows, key=lambda r: (r.starts, r.id))
        if row.stage != "cancelled"
        for text in (_in_language(row.texts, language)[1],)
    ]


def under_maintenance(session: Session, time: datetime) -> frozenset[str] | None:
    """Codes of the sites of which a maintenance goes on at a time; None: of the whole centre."""
    codes: set[str] = set()
    during = sa.and_(Bulletin.starts <= time, Bulletin.ends > time)
    for row in _published(session, Bulletin.kind == "maintenance", during):
        if row.stage in OVER:
            continue
        if not row.sites:
            return None
        codes.update(row.sites)
    return frozenset(codes)


def _published(session: Session, *conditions: sa.ColumnElement[bool], limit: int | None = None) -> Sequence[Bulletin]:
    query = (
        sa.select(Bulletin)
        .options(selectinload(Bulletin.updates))
        .where(Bulletin.state == "published", *conditions)
        .order_by(Bulletin.starts.desc(), Bulletin.id.desc())
        .limit(limit)
    )
    return session.scalars(query).all()


def told(row: Bulletin, language: str) -> Told:
    """A bulletin for a reader of a language."""
    written, text = _in_language(row.texts, language)
    steps = []
    for step in reversed(row.updates):
        own, words = _in_language(step.texts, language)
        steps.append(Step(step.time, step.stage, words if isinstance(words, str) else "", own))
    return Told(
        row.id,
        row.uid,
        row.kind,
        row.grade,
        row.state,
        row.stage if row.state != "withdrawn" else "cancelled",
        text.get("title", ""),
        text.get("text", ""),
        written,
        row.starts,
        row.ends,
        tuple(row.sites),
        tuple(steps),
        row.published,
        row.changed,
        row.sequence,
    )


def _in_language(texts: Mapping[str, Any], language: str) -> tuple[str, Any]:
    """The language that a reader gets, and what is written in it."""
    for wanted in (language, *LANGUAGES):
        if texts.get(wanted):
            return wanted, texts[wanted]
    return language, {}


# What the team does.


def drafts(session: Session) -> Sequence[Bulletin]:
    """All bulletins for those who write them, the newest change first."""
    query = sa.select(Bulletin).options(selectinload(Bulletin.updates)).order_by(Bulletin.changed.desc())
    return session.scalars(query.limit(500)).all()


def get(session: Session, key: int) -> Bulletin:
    """A bulletin in whatever state, for those who write it.

    Raises
    ------
    UnknownName
        If there is none.
    """
    row = session.get(Bulletin, key, options=[selectinload(Bulletin.updates)])
    if row is None:
        raise UnknownName(f"{key}: no bulletin of this number")
    return row


def keep(session: Session, actor: Actor, draft: Draft, key: int | None = None, sequence: int | None = None) -> Bulletin:
    """Keep what somebody wrote: as a new draft, or in place of what stood in a bulletin.

    Parameters
    ----------
    key : int, optional
        The bulletin that is changed; what was published stays so.
    sequence : int, optional
        The one that was read: somebody else's change since then is not written over.

    Raises
    ------
    BadBulletin
        If it can't be kept as it is written.
    NotAllowed
        If the actor may not.
    UnknownName
        If there is no such bulletin.
    """
    actor.require("write_news")
    texts = checked(session, draft)
    time = now(session)
    row = None if key is None else _to_change(session, draft, key, sequence)
    starts = draft.starts or (time if row is None else row.starts)
    ends = None if draft.kind == "news" else draft.ends
    if ends is not None and ends <= starts:
        raise BadBulletin("the end is not after the start")
    if row is None:
        row = Bulletin(uid=uuid4().hex, kind="", created=time, state="draft", sequence=0, updates=[])
        session.add(row)
    else:
        row.sequence += 1
    if row.kind != draft.kind:
        row.stage = STAGES[draft.kind][0] if STAGES[draft.kind] else ""
    row.kind, row.grade, row.texts = draft.kind, draft.grade, texts
    row.starts, row.ends, row.sites, row.author, row.changed = starts, ends, list(draft.sites), actor.name, time
    session.flush()
    _record(session, row, "bulletin_kept", actor)
    return row


def _to_change(session: Session, draft: Draft, key: int, sequence: int | None) -> Bulletin:
    """The bulletin that a draft takes the place in; raises as `keep`."""
    row = get(session, key)
    if sequence is not None and row.sequence != sequence:
        raise BadBulletin("somebody else has changed it meanwhile; open it again to see how it stands now")
    if row.kind != draft.kind and row.published is not None:
        raise BadBulletin("what was published keeps its kind")
    return row


def checked(session: Session, draft: Draft) -> dict[str, dict[str, str]]:
    """The texts of what somebody wrote, as they are kept: by language, those that have a title.

    Raises
    ------
    BadBulletin
        If it can't be kept.
    """
    _check_what_and_when(session, draft)
    texts = {}
    for language in LANGUAGES:
        written = draft.texts.get(language, {})
        title, text = _clean(written.get("title", ""), TITLE, line=True), _clean(written.get("text", ""), TEXT)
        if text and not title:
            raise BadBulletin("there is a text without a title", language)
        if title:
            texts[language] = {"title": title, "text": text}
    if not texts:
        raise BadBulletin("a title is needed in one language at least")
    return texts


def _check_what_and_when(session: Session, draft: Draft) -> None:
    if draft.kind not in BULLETINS:
        raise BadBulletin("is none of the kinds", draft.kind)
    if draft.grade not in GRADES:
        raise BadBulletin("is none of the classes", draft.grade)
    known = set(session.scalars(sa.select(Site.code).where(Site.code.in_(draft.sites))))
    for code in draft.sites:
        if code not in known:
            raise BadBulletin("there is no such site", code)
    if draft.kind == "maintenance" and (draft.starts is None or draft.ends is None):
        raise BadBulletin("a maintenance needs its start and its end")


def publish(session: Session, actor: Actor, key: int) -> Bulletin:
    """Show a bulletin to everybody.

    Raises
    ------
    NotAllowed, UnknownName
    """
    actor.require("write_news")
    row = get(session, key)
    if row.state != "published":
        time = now(session)
        if row.published is None and row.kind == "news":
            row.starts = time
        row.state, row.published = "published", row.published or time
        row.changed, row.sequence = time, row.sequence + 1
        _record(session, row, "bulletin_published", actor)
    return row


def withdraw(session: Session, actor: Actor, key: int) -> Bulletin:
    """Show a bulletin to nobody any more. Calendars are told that it is cancelled.

    Raises
    ------
    NotAllowed, UnknownName
    """
    actor.require("write_news")
    row = get(session, key)
    if row.state != "withdrawn":
        row.state, row.changed, row.sequence = "withdrawn", now(session), row.sequence + 1
        _record(session, row, "bulletin_withdrawn", actor)
    return row


def update(session: Session, actor: Actor, key: int, stage: str, texts: Mapping[str, str]) -> BulletinUpdate:
    """Tell how a bulletin goes on. A stage that ends it ends it now, if its end was not sooner.

    Raises
    ------
    BadBulletin
        If nothing is said, or the stage is none of its kind's.
    NotAllowed, UnknownName
    """
    actor.require("write_news")
    row = get(session, key)
    if stage not in (STAGES[row.kind] or ("",)):
        raise BadBulletin("is no stage of this kind", stage)
    written = {language: text for language in LANGUAGES if (text := _clean(texts.get(language, ""), TEXT))}
    if not written and stage == row.stage:
        raise BadBulletin("the update says nothing")
    time = now(session)
    step = BulletinUpdate(bulletin=row, time=time, stage=stage, texts=written, author=actor.name)
    session.add(step)
    if stage in ("resolved", "over") and (row.ends is None or row.ends > time):
        row.ends = max(time, row.starts + timedelta(seconds=1))
    row.stage, row.changed, row.sequence = stage, time, row.sequence + 1
    session.flush()
    _record(session, row, "bulletin_updated", actor)
    return step


def _record(session: Session, row: Bulletin, kind: str, actor: Actor) -> None:
    title = _in_language(row.texts, "en")[1]["title"]
    data = {"uid": row.uid, "kind": row.kind, "title": title, "stage": row.stage}
    events.audit(session, now(session), kind, actor, data=data)


def _clean(text: str, longest: int, *, line: bool = False) -> str:
    """Text without what no document may hold.

    Raises
    ------
    BadBulletin
        If it is too long.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = "".join(c for c in text if c in "\n\t" or ((c.isprintable() or c.isspace()) and ord(c) >= 32))
    text = " ".join(text.split()) if line else text.strip()
    if len(text) > longest:
        raise BadBulletin("the text is too long")
    return text
