"""Somebody who acts in a test."""

from __future__ import annotations

from processing.people import Actor, Role

#: Whose role reaches everything that is done to dates.
OPERATOR = Actor("olga", Role.OPERATOR, "test")
ANNA, BEN = (Actor(name, Role.SCIENTIST, "test") for name in ("anna", "ben"))


def scientist(name: str) -> Actor:
    return Actor(name, Role.SCIENTIST, "test")
