"""What people open in a spreadsheet holds text and figures, never a formula."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.spreadsheet import as_csv


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


@given(st.lists(st.fixed_dictionaries({"reader": st.text(), "comment": st.text()}), min_size=1))
def test_no_cell_begins_a_formula_and_none_is_lost(rows: list[dict[str, str]]) -> None:
    rows = [{name: value.replace("\r", " ").replace("\x00", " ") for name, value in row.items()} for row in rows]
    found = read(as_csv(rows))
    assert len(found) == len(rows)
    for row, there in zip(rows, found, strict=True):
        for name, value in row.items():
            shown = there[name]
            assert shown.removeprefix("'") == value.removeprefix("'") or shown == value
            try:
                float(shown)
            except ValueError:
                assert not shown.lstrip(" ").startswith(("=", "+", "-", "@", "\t"))


@pytest.mark.parametrize("value", [-1.5, "-1.5", "+3e2", 0, None, True, "clear"])
def test_figures_and_words_stay(value: object) -> None:
    assert read(as_csv([{"value": value}]))[0]["value"] == ("" if value is None else str(value))


@pytest.mark.parametrize("value", ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3", "\t=1", "  =1"])
def test_formulas_are_text_in_any_column(value: str) -> None:
    assert read(as_csv([{"reader": value, "comment": value}])) == [{"reader": f"'{value}", "comment": f"'{value}"}]


def test_columns_are_those_asked_for_or_as_they_come() -> None:
    rows = [{"b": 1}, {"a": 2, "b": 3}]
    assert as_csv(rows) == "b,a\n1,\n3,2\n"
    assert as_csv(rows, ("a", "b")) == "a,b\n,1\n2,3\n"
