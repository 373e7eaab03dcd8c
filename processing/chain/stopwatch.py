"""Seconds spent in each step: a measurement that goes into the product's record and that no step looks at."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Stopwatch:
    """Calls steps and adds up their seconds, those of `clock`, under the name of the step's module."""

    clock = staticmethod(perf_counter)

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, step: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        start = self.clock()
        try:
            return step(*args, **kwargs)
        finally:
            name = step.__module__.rpartition(".")[2]
            self.seconds[name] = self.seconds.get(name, 0.0) + self.clock() - start
