"""Pages by the value of the last row, and never by a number alone.

Services leave the link to the next page out beyond 10,000 rows without a word, count only about, and move rows from
page to page while one is read. So the next page begins at the last row's value, those that share it included, and each
row is taken once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
#: A field, how it is compared (``>=``, ``>``, ``=``), and with what.
Test = tuple[str, str, str]


@dataclass(frozen=True)
class Order:
    """An order of rows: by which field, and a row's value in it as it is asked for; None where it can't be read.

    `total`: no two rows share a value.
    """

    field: str
    value: Callable[[Row], str | None]
    total: bool = False


@dataclass(frozen=True)
class Pages:
    """How pages are had of one service.

    Attributes
    ----------
    ask : callable
        The rows that pass some tests, in an order, after so many are skipped.
    identity : callable
        What tells a row from all others.
    skips : int
        Rows that may be skipped at most.
    lost : callable
        The error for an order that leads no further, by its field.
    """

    ask: Callable[[tuple[Test, ...], str, int], Sequence[Row]]
    identity: Callable[[Row], str]
    skips: int
    lost: Callable[[str, str], Exception]

    def rows(self, orders: Sequence[Order], tests: tuple[Test, ...] = ()) -> Iterator[Row]:
        """All rows that pass some tests, each once, in the first of the orders.

        Where more rows share a value than may be skipped, they are had in the next order.
        """
        order, *further = orders
        last, skipped = "", 0
        begin: tuple[Test, ...] = ()
        seen: set[str] = set()
        while page := self.ask((*tests, *begin), order.field, skipped):
            fresh = {name: row for row in page if (name := self.identity(row)) not in seen}
            yield from fresh.values()
            seen |= fresh.keys()
            end = next((value for row in reversed(page) if (value := order.value(row)) is not None), None)
            if end is None:
                raise self.lost(order.field, "can't be read in any row of a page")
            if end != last:
                last, skipped = end, 0
                begin = ((order.field, ">" if order.total else ">=", end),)
            elif skipped + len(page) <= self.skips:
                skipped += len({self.identity(row) for row in page})
            elif further:
                same = {self.identity(row): row for row in self.rows(further, (*tests, (order.field, "=", last)))}
                yield from (row for name, row in same.items() if name not in seen)
                seen |= same.keys()
                begin, skipped = ((order.field, ">", last),), 0
            else:
                raise self.lost(order.field, f"is {last} in more than {self.skips} rows")
