"""Charts as plain HTML: what stands where, and how high."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import charts
from dashboard.charts import Bar, Mark, Target

NOW = datetime(2026, 3, 5, 12, 30, tzinfo=UTC)
WORDS, COLOURS = {"a": "first", "b": "second"}, {"a": "#000000", "b": "#ffffff"}
times = st.datetimes(datetime(2016, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))


def heights(drawn: str) -> list[float]:
    return [float(found) for found in re.findall(r'<i style="height:([\d.]+)%', drawn)]


def test_bars_stand_on_each_other_and_keep_the_sum() -> None:
    columns = [Bar(NOW, {"b": 3, "a": 2}, "/x?y=1&z=2"), Bar(NOW + timedelta(days=1), {"b": 4}), Bar(NOW, {})]
    drawn = charts.bars(columns, "day", WORDS, COLOURS)
    assert heights(drawn) == [40, 60, 80]  # of 5, the next round number
    assert drawn.index("#000000") < drawn.index("#ffffff")  # from the bottom up
    assert 'href="/x?y=1&amp;z=2"' in drawn
    assert "2026-03-05\nfirst: 2\nsecond: 3" in drawn
    assert "nothing" in drawn
    bars, table = drawn.split("<details>")
    assert 'aria-hidden="true"' in bars
    assert '<td><a href="/x?y=1&amp;z=2">2026-03-05</a></td><td class="num">2</td><td class="num">3</td>' in table
    assert table.index("2026-03-06") < table.index("2026-03-05")
    many = charts.bars([Bar(NOW + timedelta(hours=n), {"a": 1}) for n in range(80)], "hour", WORDS, COLOURS)
    assert "<details>" not in many
    assert "longer bars than of an hour" in many


def test_a_target_is_in_sight_even_above_all_bars() -> None:
    drawn = charts.bars([Bar(NOW, {"a": 2})], "day", WORDS, COLOURS, [Target(40, "<b>", "#123456")])
    assert "bottom:100.00%" in drawn
    assert "&lt;b&gt;" in drawn


@given(times, times, st.sampled_from(list(charts.STEPS)))
def test_every_time_of_a_period_has_its_bar(one: datetime, other: datetime, step: str) -> None:
    since = min(one, other)
    until = min(max(one, other), since + timedelta(days=40))
    found = charts.starts(since, until, step)
    assert found[0] <= since < found[0] + charts.STEPS[step]
    assert found[-1] <= until < found[-1] + charts.STEPS[step]
    assert found == [found[0] + n * charts.STEPS[step] for n in range(len(found))]
    assert all(charts.floor(start, step) == start for start in found)
    if step == "week":
        assert found[0].weekday() == 0


@given(st.floats(0, 1e7))
def test_a_nice_number_is_no_smaller_and_not_much_larger(value: float) -> None:
    assert value <= charts.nice(value) <= max(1, 2 * value)


@pytest.mark.parametrize("values", [[0, 0], [5, 5, 5], [1, 400]])
def test_a_curve_stays_in_its_chart(values: list[int]) -> None:
    points = [(NOW + timedelta(hours=n), float(value)) for n, value in enumerate(values)]
    drawn = charts.curve(points, "#000000", 'said "so"')
    line = re.search(r'<polyline points="([^"]+)"', drawn)
    assert line is not None
    for pair in line[1].split():
        x, y = map(float, pair.split(","))
        assert 0 <= x <= 1000
        assert 0 <= y <= 100
    assert "said &quot;so&quot;" in drawn


@pytest.mark.parametrize(
    ("start", "end", "place"),
    [
        (0, 0, "left:0.00%;width:0.00%"),
        (12, 24, "left:25.00%;width:25.00%"),
        (-9, 12, "left:0.00%;width:25.00%"),
        (36, 99, "left:75.00%;width:25.00%"),
        (-9, -1, None),
        (49, 50, None),
    ],
)
def test_a_mark_stands_where_its_time_is(start: int, end: int, place: str | None) -> None:
    first = datetime(2026, 3, 5, tzinfo=UTC)
    columns = [Bar(first + timedelta(days=day), {"a": 1}) for day in range(2)]
    window = first + timedelta(hours=start), first + timedelta(hours=end)
    drawn = charts.bars(columns, "day", WORDS, COLOURS, marks=[Mark(*window, 'a "<b>"', "#123456", "/x?a&b")])
    assert (place in drawn) if place else 'class="mark"' not in drawn
    assert "<b>" not in drawn
    assert charts.bars([], "day", WORDS, COLOURS, marks=[Mark(*window, "", "", "")]).count("mark") == 0
