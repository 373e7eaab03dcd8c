"""A reader's word about a product, and what it does to the product."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from processing.errors import NotAllowed
from processing.settings import Settings
from processing.store import Store, orders, verdicts

#: What a bad verdict may do besides being kept: nothing, take the product back from the users, or keep the next date
#: of its tile from being processed.
Action = Literal["note", "withdraw", "hold"]


def judge(
    store: Store,
    settings: Settings,
    identifier: str,
    verdict: str,
    reader: str,
    *,
    reasons: Iterable[str] = (),
    comment: str = "",
    areas: Iterable[Mapping[str, Any]] = (),
    action: Action = "note",
) -> str:
    """Keep a verdict as `store.verdicts.keep`; a bad one acts on the product. What was done besides, in words.

    Raises
    ------
    UnknownName, BadArea, ValueError
        As `store.verdicts`.
    NotAllowed
        If it would act and this centre's readers may not.
    """
    act = action if verdict == "bad" else "note"
    if act != "note" and not settings.readers_act:
        raise NotAllowed("readers may only judge here: MUSCATE_READERS_ACT lets them withdraw products and hold dates")
    with store.write() as session:
        product = verdicts.product(session, identifier)
        verdicts.keep(session, product, verdict, reader, reasons=reasons, comment=comment, areas=areas)
        if act == "withdraw":
            return orders.withdraw(session, product, reader, ", ".join(reasons) or comment)
        if act == "hold":
            return orders.hold_after(session, product, reader)
    return ""


def undo(store: Store, identifier: str, reader: str, done: str = "") -> str:
    """Take a reader's last verdict of a product back, and give the product back to the users if `done`, the answer of
    `judge`, was its withdrawal. What was done, in words; a date that was held stays so until it is released.
    """
    with store.write() as session:
        product = verdicts.product(session, identifier)
        if verdicts.take_back(session, product, reader) is None:
            return "nothing to take back"
        if done == "withdrawn":
            return f"taken back, {orders.reinstate(session, product, reader)}"
    return "taken back" + (f"; but {done}" if done else "")
