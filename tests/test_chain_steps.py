"""A step is a box of the method's figure: it has a name and its seconds, and the figure names all of them."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pkgutil import iter_modules

import pytest

from processing import chain
from processing.chain import correct, look_back, overcast
from processing.chain.steps import Stopwatch, step
from processing.versions import parameters
from tests import scenes

V1_4 = parameters("V1_4")


class Ticks(Stopwatch):
    """A clock that goes on by one at each look."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def clock(self) -> float:  # type: ignore[override]
        self._now += 1
        return self._now


@step
def inner(answer: int) -> int:
    return answer


@step
def outer(answer: int) -> int:
    return inner(answer) + inner(0)


@step
def fails() -> None:
    raise ValueError


def test_a_step_inside_another_counts_for_the_outer_one() -> None:
    with Ticks() as watch:
        assert outer(42) == 42
        assert inner(1) == 1
    assert watch.seconds == {"test_chain_steps": 2.0}
    assert inner(2) == 2  # nobody listens
    assert watch.seconds == {"test_chain_steps": 2.0}


def test_a_step_that_fails_is_counted_and_the_next_one_too() -> None:
    with Ticks() as watch:
        with pytest.raises(ValueError):  # noqa: PT011 - of `fails` itself
            fails()
        inner(1)
    assert watch.seconds == {"test_chain_steps": 2.0}


def test_two_dates_side_by_side_do_not_count_each_other() -> None:
    def date(times: int) -> dict[str, float]:
        with Ticks() as watch:
            for _ in range(times):
                inner(1)
        return watch.seconds

    with ThreadPoolExecutor(2) as pool:
        assert [found["test_chain_steps"] for found in pool.map(date, (1000, 2000))] == [1000.0, 2000.0]


def test_the_figure_names_each_step_of_a_date_and_only_what_is_there() -> None:
    figure = (chain.__doc__ or "").partition("::")[2].partition("References")[0]
    modules = {module.name for module in iter_modules(chain.__path__)}
    named = modules & set(re.findall(r"\w+", figure))
    _, past = correct(scenes.scene(scenes.ground((15, 15)), (15, 15)), None, V1_4)
    product, _ = correct(scenes.scene(scenes.ground((15, 15)), (15, 15), days=5), past, V1_4)
    assert product.status == "valid"
    assert set(product.seconds) <= named
    for name in re.findall(r"\w+_\w+", figure):
        assert import_module(f"processing.chain.{name}").__doc__


def test_who_asks_for_less_takes_fewer_steps() -> None:
    """A thinned look and a look back are prefixes of the figure: neither renders, the first finds no aerosol."""
    ground = scenes.scene(scenes.ground((15, 15)), (15, 15))
    with Ticks() as watch:
        assert overcast(ground, None, V1_4) is None
    assert watch.seconds == {}  # its own watch is inside
    left = look_back(ground, None, V1_4)
    assert left is not None
    assert left.backward
    cloud = scenes.scene(scenes.CLOUD, (15, 15))
    found = overcast(cloud, None, V1_4)
    assert found is not None
    assert "cloud_mask" in found.seconds
    assert not {"aerosol_optical_thickness", "composite", "adjacency"} & set(found.seconds)
