"""How the benchmark of the pages counts."""

from __future__ import annotations

from benchmarks.pages import spent


def test_a_process_that_ends_meanwhile_takes_nothing_away() -> None:
    assert spent({1: 10.0, 2: 3.0}, {1: 10.5, 3: 1.25}) == 1.75
