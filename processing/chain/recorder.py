"""What every test of a run compared with what, for who asks why a pixel is masked.

A step states each test once, through `Recorder.test`: the comparison that decides is the one that is kept. Where nobody
listens (`SILENT`) nothing is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    ">": np.greater,
    ">=": np.greater_equal,
    "<": np.less,
    "<=": np.less_equal,
}
Field = NDArray[Any]


@dataclass(frozen=True)
class Answer:
    """One test at one cell.

    Attributes
    ----------
    step : str
        ``cirrus``, ``snow``, ``mono_temporal`` ...
    test : str
        What was looked at, in words.
    value, threshold : float, bool or None
        None where not known, and where there is nothing to compare with.
    comparison : str
        How value and threshold were compared: ``>``, ``>=``, ``<``, ``<=``; empty for a finding without threshold.
    passed : bool or None
        Whether the test holds here; of a finding without comparison its value. None where it does not decide.
    applied : bool
        False where the step did not look at this cell: then `passed` has no effect.
    unit : str
    note : str
        More in words.
    """

    step: str
    test: str
    value: float | bool | None
    comparison: str = ""
    threshold: float | None = None
    passed: bool | None = None
    applied: bool = True
    unit: str = ""
    note: str = ""


class Recorder:
    """Listens to nothing: the tests are made and forgotten."""

    def test(
        self,
        step: str,
        test: str,
        value: Field,
        comparison: str,
        threshold: Field | float,
        applied: Field | None = None,
        unit: str = "",
    ) -> NDArray[np.bool_]:
        """Make a comparison over the whole image.

        Parameters
        ----------
        step, test, unit : str
            As in `Answer`.
        value : (row, col) array
        threshold : float or (row, col) array
        applied : (row, col) bool, optional
            Where the test is looked at; everywhere.
        """
        passed = np.asarray(_COMPARE[comparison](value, threshold))

        def at(row: int, col: int) -> list[Answer]:
            looked_at = True if applied is None else bool(applied[row, col])
            limit = _number(threshold[row, col] if isinstance(threshold, np.ndarray) else threshold)
            found = _number(value[row, col])
            return [Answer(step, test, found, comparison, limit, bool(passed[row, col]), looked_at, unit)]

        self.ask(at)
        return passed

    def value(self, step: str, test: str, value: Field, unit: str = "") -> None:
        """Keep a quantity or a mask that no threshold belongs to."""

        def at(row: int, col: int) -> list[Answer]:
            if value.dtype == np.bool_:
                found = bool(value[row, col])
                return [Answer(step, test, found, passed=found, unit=unit)]
            return [Answer(step, test, _number(value[row, col]), unit=unit)]

        self.ask(at)

    def ask(self, at: Callable[[int, int], list[Answer]]) -> None:
        """Keep a question: `at(row, col)` answers it for one cell."""


class Recording(Recorder):
    """Keeps all tests of a run, in the order in which they were made."""

    def __init__(self) -> None:
        self._questions: list[Callable[[int, int], list[Answer]]] = []

    def ask(self, at: Callable[[int, int], list[Answer]]) -> None:
        """Keep it, to be answered for each cell that is asked for."""
        self._questions.append(at)

    def at(self, row: int, col: int) -> list[Answer]:
        """Every test at a cell, in the order in which they were made."""
        return [answer for question in self._questions for answer in question(row, col)]


def _number(value: Any) -> float | None:
    """For JSON: NaN becomes None, a float32 the shortest number that it stands for."""
    if value is None or np.isnan(value):
        return None
    return float(str(value)) if isinstance(value, np.floating) else float(value)


#: Of a run that nobody listens to.
SILENT = Recorder()
