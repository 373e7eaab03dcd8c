"""A reader's word about a product, and what it does to the product."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from processing.errors import NotAllowed
from processing.people import Actor, Role
from processing.settings import Settings
from processing.store import Store, orders, verdicts

#: What a bad verdict may do besides being kept: nothing, take the product back from the users, or keep the next date
#: of its tile from being processed.
Action = Literal["note", "withdraw", "hold"]


@dataclass(frozen=True)
class Judgement:
    """What a reader says of a product, its fields but the last as `store.verdicts.keep` takes them.

    Attributes
    ----------
    action : str
        What it does besides if it is bad.
    """

    verdict: str
    reader: Actor
    reasons: Sequence[str] = ()
    comment: str = ""
    areas: Sequence[Mapping[str, Any]] = ()
    action: Action = "note"


def judge(store: Store, settings: Settings, identifier: str, said: Judgement) -> str:
    """Keep a verdict; a bad one acts on the product. What was done besides, in words.

    Raises
    ------
    UnknownName, BadArea, ValueError
        As `store.verdicts`.
    NotAllowed
        If it would act and this centre's readers may not.
    """
    act = said.action if said.verdict == "bad" else "note"
    acting = _lent(said.reader) if settings.readers_act else said.reader
    if act != "note" and not acting.may("withdraw"):
        raise NotAllowed("readers may only judge here: MUSCATE_READERS_ACT lets them withdraw products and hold dates")
    with store.write() as session:
        product = verdicts.product(session, identifier)
        verdicts.keep(
            session,
            product,
            said.verdict,
            said.reader,
            reasons=said.reasons,
            comment=said.comment,
            areas=said.areas,
        )
        if act == "withdraw":
            return orders.withdraw(session, product, acting, ", ".join(said.reasons) or said.comment)
        if act == "hold":
            return orders.hold_after(session, product, acting)
    return ""


def undo(store: Store, identifier: str, reader: Actor, done: str = "") -> str:
    """Take a reader's last verdict of a product back, and give the product back to the users if `done`, the answer of
    `judge`, was its withdrawal. What was done, in words; a date that was held stays so until it is released.
    """
    with store.write() as session:
        product = verdicts.product(session, identifier)
        if verdicts.take_back(session, product, reader) is None:
            return "nothing to take back"
        if done == "withdrawn":
            return f"taken back, {orders.reinstate(session, product, _lent(reader))}"
    return "taken back" + (f"; but {done}" if done else "")


def _lent(reader: Actor) -> Actor:
    """A reader with the role of an operator, which settings lend him for what follows from his verdict."""
    return replace(reader, role=Role.OPERATOR) if reader.role is Role.SCIENTIST else reader
