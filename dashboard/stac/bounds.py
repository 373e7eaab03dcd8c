"""What a search may hold at all, looked at before it is understood: how much, how deep, which numbers and texts."""

from __future__ import annotations

import math
import re
from typing import Any

from processing.errors import NumberError, SearchError

#: Most values of a search, names with it; and how deep they may lie in one another.
VALUES, DEPTH = 5_000, 24
#: Longest filter of text. [characters]
LONGEST = 8_000
#: Signs in a row, and what stands within quotation marks.
_SIGNS, _QUOTED = re.compile(r"[-+](\s*[-+]){8,}"), re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"")
#: Integers that a column of the store holds.
INTEGER = 2**63 - 1


def sound(asked: Any) -> Any:
    """What was asked for, as it is.

    Raises
    ------
    SearchError
        If it has more than `VALUES`, deeper than `DEPTH`, or one that no store has: a NUL, half of a character.
    NumberError
        If a number of it is none, or too large.
    """
    waiting, count = [(asked, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        count += 1
        if count > VALUES:
            raise SearchError(f"the search has more than {VALUES} values")
        if depth > DEPTH:
            raise SearchError(f"the search is nested more than {DEPTH} deep")
        if isinstance(value, dict):
            waiting += [(part, depth + 1) for pair in value.items() for part in pair]
        elif isinstance(value, list | tuple):
            waiting += [(part, depth + 1) for part in value]
        elif isinstance(value, str):
            _text(value)
        else:
            _number(value)
    return asked


def shallow(text: str) -> str:
    """A filter of text as it is, if the library that parses it can: it goes down with each bracket and each sign, and
    takes the process with it where the stack ends.

    Raises
    ------
    SearchError
        If it is too long, or nested too deep.
    """
    if len(text) > LONGEST:
        raise SearchError(f"the filter has more than {LONGEST} characters")
    plain = _QUOTED.sub("''", text)
    depth = deepest = 0
    for character in plain:
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    if deepest > DEPTH or _SIGNS.search(plain):
        raise SearchError(f"the filter is nested more than {DEPTH} deep")
    return text


def finite(value: Any) -> Any:
    """What was given for a number as it is, a text too: GET has no numbers.

    Raises
    ------
    NumberError
        If it is one that is none, or beyond all numbers.
    """
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    except (TypeError, ValueError):
        return value
    if not math.isfinite(number):
        raise NumberError(f"the search has {number} for a number")
    return value


def _text(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise SearchError("the search has half of a character in it") from None
    if "\x00" in value:
        raise SearchError("the search has a NUL in it")


def _number(value: Any) -> None:
    if isinstance(value, int) and abs(value) > INTEGER:
        raise NumberError("the search has a number that is too large")
    if isinstance(value, float):
        finite(value)
