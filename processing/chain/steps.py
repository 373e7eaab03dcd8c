"""What makes a function a step of the chain: it has a name, and its seconds are known.

The seconds are a measurement that goes into the product's record and that no step looks at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from functools import wraps
from time import perf_counter
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Stopwatch:
    """Adds up the seconds of the steps that run while it is entered, in the thread that entered it.

    Attributes
    ----------
    clock : callable
        Gives the seconds.
    seconds : dict of str to float
        By the name of the step's module. A step inside another one counts for the outer one. [s]
    """

    clock = staticmethod(perf_counter)

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __enter__(self) -> Stopwatch:
        self._before: Token[Stopwatch | None] = _RUNNING.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _RUNNING.reset(self._before)


_RUNNING: ContextVar[Stopwatch | None] = ContextVar("stopwatch", default=None)
#: Told the name of a step: with None when it begins, with its seconds when it ended.
Watcher = Callable[[str, float | None], None]
_WATCHER: ContextVar[Watcher] = ContextVar("watcher", default=lambda _step, _seconds: None)


@contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Tell of the steps that run meanwhile in this thread; of those that a stopwatch counts. Others are told too."""
    outer = _WATCHER.get()

    def both(step: str, seconds: float | None) -> None:
        outer(step, seconds)
        watcher(step, seconds)

    token = _WATCHER.set(both)
    try:
        yield
    finally:
        _WATCHER.reset(token)


def step(function: Callable[P, R]) -> Callable[P, R]:
    """Mark a function as a step of the method: a box of its figure, timed under the name of its module."""
    name = function.__module__.rpartition(".")[2]

    @wraps(function)
    def timed(*args: P.args, **kwargs: P.kwargs) -> R:
        watch = _RUNNING.get()
        if watch is None:
            return function(*args, **kwargs)
        tell = _WATCHER.get()
        outer = _RUNNING.set(None)
        tell(name, None)
        start = watch.clock()
        try:
            return function(*args, **kwargs)
        finally:
            spent = watch.clock() - start
            watch.seconds[name] = watch.seconds.get(name, 0.0) + spent
            _RUNNING.reset(outer)
            tell(name, spent)

    return timed
