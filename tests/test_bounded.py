"""Functions of foreign bytes in a process of their own: what they give, and what ends them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from processing import bounded
from processing.errors import L1CError, OverLimit

MEMORY = 300_000_000


class Odd(Exception):
    """One that pickle can't bring back."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")


def double(value: object) -> object:
    return value + value  # type: ignore[operator]


def refuse(name: str) -> None:
    raise L1CError(name, "is no good")


def be_odd() -> None:
    raise Odd(1, 2)


def divide() -> float:
    return 1 / 0


def take(size: int) -> int:
    return len(np.ones(size, np.uint8))


def claim(size: int) -> int:
    return len(np.empty(size, np.uint8))


def stay(folder: str, seconds: float) -> None:
    Path(folder, str(os.getpid())).touch()
    time.sleep(seconds)


def spin() -> None:
    """In C, where no handler of Python's comes to its turn."""
    np.linalg.matrix_power(np.ones((3000, 3000)), 2**40)


def crash() -> None:
    ctypes.string_at(0)


def leave() -> None:
    os._exit(7)


def pid() -> int:
    return os.getpid()


def heads() -> int:
    """Files that this process has open."""
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("value", [1, b"a" * 5_000_000, "é", [None]], ids=["number", "bytes", "text", "list"])
def test_gives_what_the_function_gives(value: object) -> None:
    assert bounded.run(double, value, memory=MEMORY, seconds=20) == double(value)


def test_an_error_known_by_name_comes_whole() -> None:
    with pytest.raises(L1CError, match=r"^a: is no good$") as found:
        bounded.run(refuse, "/x/a", memory=MEMORY, seconds=20)
    assert found.value.path == Path("/x/a")


def test_another_error_comes_with_its_place() -> None:
    with pytest.raises(ZeroDivisionError) as found:
        bounded.run(divide, memory=MEMORY, seconds=20)
    assert "in divide" in "".join(found.value.__notes__)


def test_an_error_that_can_not_be_sent_is_told() -> None:
    with pytest.raises(RuntimeError, match="Odd: 1 and 2"):
        bounded.run(be_odd, memory=MEMORY, seconds=20)


@pytest.mark.parametrize("function", [take, claim])
def test_too_much_memory(function: object) -> None:
    """Also what is claimed and never touched."""
    assert bounded.run(function, MEMORY // 2, memory=MEMORY, seconds=20) == MEMORY // 2  # type: ignore[arg-type]
    with pytest.raises(OverLimit, match=r"more than 0\.3 GB of memory"):
        bounded.run(function, 2 * MEMORY, memory=MEMORY, seconds=20)  # type: ignore[arg-type]


def test_too_long(tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(OverLimit, match="longer than 0 s"):
        bounded.run(stay, str(tmp_path), 60.0, memory=MEMORY, seconds=0.3)
    assert time.monotonic() - start < 5
    (child,) = tmp_path.iterdir()
    assert not psutil.pid_exists(int(child.name))


def test_too_long_in_c() -> None:
    with pytest.raises(OverLimit, match="longer than 1 s"):
        bounded.run(spin, memory=2 * MEMORY, seconds=1)


@pytest.mark.parametrize(("function", "text"), [(crash, "SIGSEGV"), (leave, "exit code 7")])
def test_a_crash_is_one_line(function: object, text: str) -> None:
    with pytest.raises(OverLimit, match=text):
        bounded.run(function, memory=MEMORY, seconds=20)  # type: ignore[arg-type]
    assert bounded.run(double, 1, memory=MEMORY, seconds=20) == 2


def test_many_at_once_and_none_is_left() -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: bounded.run(double, n, memory=MEMORY, seconds=20), range(100)))
    assert found == [2 * n for n in range(100)]
    server = psutil.Process(bounded._server._process.pid)  # type: ignore[union-attr]
    end = time.monotonic() + 5
    while server.children() and time.monotonic() < end:
        time.sleep(0.01)
    assert server.children() == []
    before = bounded.run(heads, memory=MEMORY, seconds=20)
    for _ in range(20):
        bounded.run(pid, memory=MEMORY, seconds=20)
    assert bounded.run(heads, memory=MEMORY, seconds=20) == before


def test_a_call_is_cheap() -> None:
    bounded.run(pid, memory=MEMORY, seconds=20)
    start = time.process_time()
    for _ in range(50):
        bounded.run(pid, memory=MEMORY, seconds=20)
    assert (time.process_time() - start) / 50 < 0.01


def test_a_server_that_was_killed_is_started_again() -> None:
    bounded.run(pid, memory=MEMORY, seconds=20)
    server = bounded._server._process
    assert server is not None
    server.kill()
    server.wait()
    assert bounded.run(double, 2, memory=MEMORY, seconds=20) == 4


def test_a_forked_process_has_a_server_of_its_own() -> None:
    bounded.run(pid, memory=MEMORY, seconds=20)
    program = (
        "import os; from processing import bounded; from tests.test_bounded import double;"
        "f = lambda: bounded.run(double, 1, memory=10**8, seconds=20);"
        "f(); child = os.fork(); assert f() == 2; child or os._exit(0); assert os.wait()[1] == 0"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_all_end_with_the_caller(tmp_path: Path, number: signal.Signals) -> None:
    program = (
        "import sys; from processing import bounded; from tests.test_bounded import stay;"
        "bounded.run(stay, sys.argv[1], 100.0, memory=10**8, seconds=100)"
    )
    caller = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], start_new_session=True)
    try:
        end = time.monotonic() + 30
        while not list(tmp_path.iterdir()) and time.monotonic() < end:
            time.sleep(0.02)
        family = psutil.Process(caller.pid).children(recursive=True)
        assert len(family) == 2
        # Only the caller decides what a signal means: alone it does not end the reader.
        if number != signal.SIGKILL:
            for process in family:
                process.send_signal(number)
            time.sleep(0.2)
            assert all(process.is_running() for process in family)
        caller.send_signal(number)
        caller.wait(10)
        assert psutil.wait_procs(family, 10)[1] == []
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(caller.pid, signal.SIGKILL)
        caller.wait()
