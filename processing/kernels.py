"""How kernels are compiled: at their first call, for the types of that call, and kept.

Compiling is most of what the first date of a fresh installation costs over the second one. What it costs grows with
the machine code that comes out: a loop of a known few turns around another loop is unrolled, each turn with its own
copy of the inner one. Such loops take their number of turns from an array's shape here.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from typing import Any

from numba import njit
from numba.core import event
from numba.extending import register_jitable

#: Without the interpreter's lock while it runs, and without a second entry for callers in C.
kernel = partial(njit, nogil=True, cache=True, error_model="numpy", no_cfunc_wrapper=True)

#: Of kernels alone, compiled with them; to Python a function like any other.
kernel_part = register_jitable(error_model="numpy", no_cfunc_wrapper=True)


class _Undisturbed(event.Listener):
    """Keeps Python from looking for cyclic garbage while a kernel is compiled: an eighth of the time, for nothing.

    The compiler's lock is held from start to end; a kernel's own kernels are compiled in between.
    """

    def __init__(self) -> None:
        self._depth = 0

    def on_start(self, event: Any) -> None:
        if self._depth == 0:
            self._enabled = gc.isenabled()
            gc.disable()
        self._depth += 1

    def on_end(self, event: Any) -> None:
        self._depth -= 1
        if self._depth == 0 and self._enabled:
            gc.enable()


_register: Callable[[str, event.Listener], None] = event.register  # which has no types
_register("numba:compile", _Undisturbed())
