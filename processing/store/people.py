"""People and their sessions: who may sign in, how often he may try, and what a browser shows that he has.

What a browser holds, and what a link holds, is kept here as its sha256 only: who reads the store can't sign in by it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from secrets import token_urlsafe

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy.orm import Session, joinedload

from processing.errors import BadPerson, TooManyTries, UnknownName, WrongPassword
from processing.people import VISITOR, Actor, Role
from processing.store import Store, events
from processing.store.dialect import now
from processing.store.models import Granule, Person, SignIn, SignInFailure, SignInLink

#: A session ends so long after it began, and so long after its last request.
LIFE, IDLE = timedelta(days=14), timedelta(days=3)
#: How exactly the time of the last request is kept.
SEEN = timedelta(minutes=10)
LINK_LIFE = timedelta(minutes=30)
#: A wrong password counts against the next tries for so long.
WINDOW = timedelta(minutes=15)
#: Wrong passwords within `WINDOW`: of one name from one address, of one address, of one name.
TRIES, TRIES_OF_ADDRESS, TRIES_OF_NAME = 5, 30, 50
SHORTEST_PASSWORD, LONGEST_PASSWORD, LONGEST_NAME = 10, 1000, 100
#: Whom the link of a demonstration signs in.
DEMONSTRATION = "demonstration"

_hasher = PasswordHasher()
#: Passwords that are hashed at once: each takes 64 MiB.
_hashing = threading.BoundedSemaphore(2)


def digest(token: str) -> str:
    """What is kept of a token."""
    return sha256(token.encode()).hexdigest()


def hashed(password: str) -> str:
    """A password as it is kept (argon2id).

    Raises
    ------
    BadPerson
        If it is too short or too long.
    """
    if len(password) < SHORTEST_PASSWORD:
        raise BadPerson(f"a password needs {SHORTEST_PASSWORD} characters or more")
    if len(password) > LONGEST_PASSWORD:
        raise BadPerson(f"a password has {LONGEST_PASSWORD} characters at most")
    with _hashing:
        return _hasher.hash(password)


@cache
def _nobodys() -> str:
    """A hash that no password fits: looking at it takes as long as at anybody's."""
    return _hasher.hash(token_urlsafe(32))


def _fits(kept: str | None, password: str) -> bool:
    with _hashing:
        try:
            return _hasher.verify(kept or _nobodys(), password[: LONGEST_PASSWORD + 1]) and kept is not None
        except (VerificationError, InvalidHashError):
            return False


# People


def find(session: Session, name: str) -> Person:
    """A person by name.

    Raises
    ------
    UnknownName
        If there is none of this name.
    """
    found = session.scalar(sa.select(Person).where(Person.name == name))
    if found is None:
        raise UnknownName(f"{name}: nobody of this name")
    return found


def everybody(session: Session) -> Sequence[Person]:
    """All people, by name."""
    return session.scalars(sa.select(Person).order_by(Person.name)).all()


def add(session: Session, name: str, role: Role, actor: Actor, password: str | None) -> Person:
    """Make somebody known. `password` is hashed already; None: another house vouches for him.

    Raises
    ------
    BadPerson
        If the name is empty, long, has a control character or belongs to somebody.
    """
    actor.require("people")
    plain = name == name.strip() != "" and len(name) <= LONGEST_NAME and name.isprintable()
    if not plain or name == VISITOR:
        raise BadPerson(f"{name!r} is no name: up to {LONGEST_NAME} characters, none of them unseen")
    if session.scalar(sa.select(Person.id).where(Person.name == name)) is not None:
        raise BadPerson(f"{name}: somebody has this name already")
    person = Person(name=name, role=str(role), password=password, created=now(session))
    session.add(person)
    session.flush()
    events.audit(session, person.created, "person_added", actor, data={"person": name, "as": str(role)})
    return person


def remove(session: Session, name: str, actor: Actor) -> None:
    """Forget somebody, and end his sessions; what he did stays under his name."""
    actor.require("people")
    session.delete(find(session, name))
    events.audit(session, now(session), "person_removed", actor, data={"person": name})


def set_role(session: Session, name: str, role: Role, actor: Actor) -> None:
    """Give somebody another role; it holds from his next step on, in sessions that are open too."""
    actor.require("people")
    find(session, name).role = str(role)
    events.audit(session, now(session), "person_role", actor, data={"person": name, "as": str(role)})


def set_password(session: Session, name: str, password: str, actor: Actor) -> None:
    """Give somebody another password, `hashed` already, and end his sessions."""
    actor.require("people")
    person = find(session, name)
    person.password = password
    events.audit(session, now(session), "person_password", actor, data={"person": name})
    _revoke(session, actor, person, sa.true())


# Sessions


def sessions(session: Session, name: str = "") -> Sequence[SignIn]:
    """Sessions that hold, those last seen first; of everybody or of one person."""
    query = sa.select(SignIn).options(joinedload(SignIn.person)).where(_holds(now(session)))
    if name:
        query = query.where(SignIn.person_id == find(session, name).id)
    return session.scalars(query.order_by(SignIn.seen.desc(), SignIn.id.desc())).all()


def revoke(session: Session, name: str, actor: Actor, number: int | None = None) -> int:
    """End the sessions of a person, or one of them; how many were ended."""
    person = find(session, name)
    if person.name != actor.name:
        actor.require("people")
    return _revoke(session, actor, person, sa.true() if number is None else SignIn.id == number)


def _revoke(session: Session, actor: Actor, person: Person, which: sa.ColumnElement[bool]) -> int:
    time = now(session)
    held = list(session.scalars(sa.select(SignIn.id).where(SignIn.person_id == person.id, _holds(time), which)))
    session.execute(sa.update(SignIn).where(SignIn.id.in_(held)).values(revoked=time))
    data = {"person": person.name, "sessions": len(held)}
    events.audit(session, time, "sessions_revoked", actor, data=data)
    return len(held)


def _holds(time: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(SignIn.revoked.is_(None), SignIn.expires > time, SignIn.seen > time - IDLE)


def held(session: Session, token_sha: str) -> SignIn | None:
    """The session behind a token, with its person; None where it is over or never was."""
    query = sa.select(SignIn).options(joinedload(SignIn.person)).where(SignIn.token_sha == token_sha)
    return session.scalar(query.where(_holds(now(session))))


def person_of(session: Session, token_sha: str) -> int | None:
    """Key of the person whose session it is or was."""
    return session.scalar(sa.select(SignIn.person_id).where(SignIn.token_sha == token_sha))


def note_seen(session: Session, token_sha: str) -> None:
    """That a session was used."""
    session.execute(sa.update(SignIn).where(SignIn.token_sha == token_sha).values(seen=now(session)))


def begin(session: Session, person: Person, address: str, browser: str, how: str) -> str:
    """Begin a session; gives the token that its browser keeps. `how` he signed in stands in the events."""
    token, time = token_urlsafe(32), now(session)
    over = sa.or_(SignIn.expires < time - LIFE, SignIn.revoked < time - LIFE)
    session.execute(sa.delete(SignIn).where(over))
    session.add(
        SignIn(
            token_sha=digest(token),
            person_id=person.id,
            created=time,
            seen=time,
            expires=time + LIFE,
            origin=address,
            browser=browser[:200],
        )
    )
    who = Actor(person.name, Role(person.role), address)
    events.audit(session, time, "signed_in", who, data={"how": how})
    return token


def end(session: Session, token_sha: str, actor: Actor) -> None:
    """End one's own session."""
    time = now(session)
    session.execute(
        sa.update(SignIn).where(SignIn.token_sha == token_sha, SignIn.revoked.is_(None)).values(revoked=time)
    )
    events.audit(session, time, "signed_out", actor)


# Ways in


def sign_in(store: Store, name: str, password: str, address: str, browser: str) -> str:
    """Begin a session by name and password; gives its token.

    A name that nobody has gets the same answer after the same time as a wrong password, and counts like one.

    Raises
    ------
    WrongPassword
        If they don't fit.
    TooManyTries
        If that was so too often lately, from here or of this name.
    """
    name, place = name.strip()[: LONGEST_NAME + 1], _network(address)
    with store.write() as session:  # the try is counted before it is made: many at once don't get by
        _limit(session, digest(name), place)
        counted = SignInFailure(time=now(session), name_sha=digest(name), address=place)
        session.add(counted)
        person = session.scalar(sa.select(Person).where(Person.name == name))
    fits = _fits(person.password if person else None, password)
    with store.write() as session:
        if fits and person is not None and (person := session.get(Person, person.id)) is not None:
            session.execute(sa.delete(SignInFailure).where(SignInFailure.id == counted.id))
            return begin(session, person, address, browser, "password")
        known = person.name if person else VISITOR
        data = {"how": "password"}
        events.record(
            session, now(session), "sign_in_refused", severity="warning", actor=known, origin=address, data=data
        )
    raise WrongPassword("name and password don't fit")


def _limit(session: Session, name_sha: str, place: str) -> None:
    since = now(session) - WINDOW
    session.execute(sa.delete(SignInFailure).where(SignInFailure.time < since))
    of_name, of_place = SignInFailure.name_sha == name_sha, SignInFailure.address == place
    for which, most in ((of_name & of_place, TRIES), (of_place, TRIES_OF_ADDRESS), (of_name, TRIES_OF_NAME)):
        if (session.scalar(sa.select(sa.func.count(SignInFailure.id)).where(which)) or 0) >= most:
            raise TooManyTries(f"too many tries: wait {WINDOW.total_seconds() / 60:.0f} minutes")


def _network(address: str) -> str:
    """Where somebody tries from: of IPv6 the whole network, which one host can choose an address of."""
    try:
        known = ip_address(address)
    except ValueError:
        return address[:100]
    return known.exploded[:19] if isinstance(known, IPv6Address) else str(known)


def vouched(session: Session, issuer: str, subject: str, name: str, role: Role) -> Person:
    """The person whom another house vouches for, with the role that it says; made known where he comes first.

    Raises
    ------
    BadPerson
        If somebody else has the name here already.
    """
    person = session.scalar(sa.select(Person).where(Person.issuer == issuer, Person.subject == subject))
    house = Actor(issuer, Role.ADMIN, "OpenID Connect")
    if person is None:
        person = add(session, name, role, house, None)
        person.issuer, person.subject = issuer, subject
    elif person.role != role:
        set_role(session, person.name, role, house)
    session.flush()
    return person


def is_demonstration(session: Session) -> bool:
    """Whether nobody can sign in and nothing real was taken in: what a demonstration's link may be made for."""
    known = sa.select(Person.id).where(Person.name != DEMONSTRATION)
    real = sa.select(Granule.id).where(Granule.simulated.is_(False))
    return session.scalar(known.limit(1)) is None and session.scalar(real.limit(1)) is None


def demonstration_link(session: Session, actor: Actor) -> str:
    """The token of a link that signs the demonstration's admin in, once, within `LINK_LIFE`; earlier ones are void."""
    actor.require("people")
    person = session.scalar(sa.select(Person).where(Person.name == DEMONSTRATION))
    person = person or add(session, DEMONSTRATION, Role.ADMIN, actor, None)
    token = token_urlsafe(32)
    session.execute(sa.delete(SignInLink).where(SignInLink.person_id == person.id))
    session.add(SignInLink(token_sha=digest(token), person_id=person.id, expires=now(session) + LINK_LIFE))
    return token


def follow_link(session: Session, token: str, address: str, browser: str) -> str | None:
    """Begin the session that a link is for, and void the link; None where it is used, too old or never was."""
    fresh = sa.delete(SignInLink).where(SignInLink.token_sha == digest(token), SignInLink.expires > now(session))
    person_id = session.scalar(fresh.returning(SignInLink.person_id))
    if person_id is None or not is_demonstration(session):
        return None
    return begin(session, session.get_one(Person, person_id), address, browser, "link")
