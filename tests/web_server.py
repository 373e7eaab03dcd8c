"""The whole web of a centre in a process of its own, as `muscate web` starts it, and what it costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import uvicorn
from fastapi import FastAPI

from dashboard.api import Centre, include
from processing.people import Role
from processing.settings import ACCESS, Settings
from processing.store import Store
from tests.browser import answers, free_port

#: How long it may take to start. [s]
START = 90


class Server:
    """A web that answers.

    Attributes
    ----------
    address : str
        Host and port.
    log : Path
        What it wrote.
    """

    def __init__(self, process: psutil.Process, port: int, log: Path) -> None:
        self._process, self.log = process, log
        self.address = f"localhost:{port}"

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE

    def memory(self) -> float:
        """What it holds now. [MB]"""
        return float(self._process.memory_info().rss / 2**20)

    def forget_peak(self) -> None:
        """Count the peak of its memory anew from here."""
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")

    def peak(self) -> float:
        """The most that it held since then. [MB]"""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    def seconds(self) -> float:
        """Time on the processors so far, of its children too. [s]"""
        return float(sum(self._process.cpu_times()[:4]))


@contextmanager
def serving(home: Path, **variables: Any) -> Iterator[Server]:
    """The web of a home, stopped at the end; all of it is open to all."""
    port, log = free_port(), home / "web.log"
    opened = json.dumps(dict.fromkeys(ACCESS, Role.PUBLIC))
    told = {"MUSCATE_DEMONSTRATION": "false", "MUSCATE_ACCESS": opened} | {k: str(v) for k, v in variables.items()}
    with log.open("wb") as file:
        command = [sys.executable, "-m", "dashboard", "web", "--home", str(home), "--port", str(port)]
        process = subprocess.Popen(command, stdout=file, stderr=file, env=os.environ | told)
    try:
        began = time.monotonic()
        while not answers(port):
            if process.poll() is not None or time.monotonic() - began > START:
                raise RuntimeError(f"the web did not start: {log.read_text()[-2000:]}")
            time.sleep(0.2)
        yield Server(psutil.Process(process.pid), port, log)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def plain_routes(settings: Settings, store: Store) -> Iterator[str]:
    """The address of a centre's plain routes, without pages and door, served by a thread of this process."""
    app = FastAPI()
    include(app, Centre(settings, store))
    server = uvicorn.Server(uvicorn.Config(app, port=settings.port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    try:
        yield f"http://localhost:{settings.port}"
    finally:
        server.should_exit = True
        thread.join()
