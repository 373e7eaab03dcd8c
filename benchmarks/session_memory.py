"""What sessions leave behind: `python -m benchmarks.session_memory [--sessions 200] [--pages quality]`.

Serves a small archive, opens and closes sessions of each page over real sockets as a browser would, and prints the
memory of the server before, at its highest, and within a minute after the last one was closed. Some sessions of each
page go before, so that what is loaded once doesn't count as theirs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import websockets

from dashboard import access
from processing.settings import Settings
from tests.dashboard_archive import filled
from tests.web_server import Server, serving

PAGES = tuple(sorted(access.SESSIONS))
#: With a page on a machine that has other work: its time is not what is measured. [s]
PATIENCE = 300
#: Sessions that are open side by side.
TOGETHER = 10
#: Sessions before the memory is looked at first.
BEFORE = 20
#: Of what was there before, what may be more afterwards. [-]
BAR = 0.05
#: Within which time. [s]
WAIT = 60
#: Before, after which what went before is gone: sessions are let go half a minute after they were left. [s]
SETTLE = 61


@dataclass(frozen=True)
class Memory:
    """Of the server, before, at most, and after. [MB]"""

    page: str
    before: float
    most: float
    after: float
    seconds: float

    @property
    def growth(self) -> float:
        """Share of what was there before. [-]"""
        return self.after / self.before - 1


@asynccontextmanager
async def opened(address: str, page: str) -> AsyncIterator[websockets.ClientConnection]:
    """A session of a page whose browser has its document, until it is closed."""
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        text = (await client.get(f"http://{address}/{page}")).raise_for_status().text
    found = re.search(r'"token":\s*"([^"]+)"', text) or re.search(r"&quot;token&quot;:&quot;([^&]+)&quot;", text)
    assert found, f"{page} has no token"
    protocols = [websockets.Subprotocol("bokeh"), websockets.Subprotocol(found[1])]
    async with websockets.connect(
        f"ws://{address}/{page}/ws", subprotocols=protocols, max_size=None, open_timeout=PATIENCE
    ) as socket:
        for _ in range(3):  # the greeting: header, metadata, content
            await socket.recv()
        for part in ({"msgid": "1", "msgtype": "PULL-DOC-REQ"}, {}, {}):
            await socket.send(json.dumps(part))
        for _ in range(3):
            await socket.recv()
        yield socket


async def visit(address: str, page: str) -> None:
    """Open a session, get its document, close it."""
    async with opened(address, page):
        pass


async def visits(address: str, page: str, sessions: int) -> None:
    for start in range(0, sessions, TOGETHER):
        await asyncio.gather(*(visit(address, page) for _ in range(min(TOGETHER, sessions - start))))


def settled(server: Server, below: float, wait: float = WAIT) -> tuple[float, float]:
    """Memory of the server once it is below a bar [MB], or what is least of it in some time; and after how long. [s]"""
    began, least = time.monotonic(), float("inf")
    while time.monotonic() - began < wait:
        least = min(least, server.memory())
        if least <= below:
            break
        time.sleep(1)
    return least, time.monotonic() - began


def measured(server: Server, page: str, sessions: int, before: int = BEFORE) -> Memory:
    """Memory around some sessions of a page."""
    asyncio.run(visits(server.address, page, before))
    settled(server, 0, SETTLE)
    start = server.memory()
    asyncio.run(visits(server.address, page, sessions))
    most = server.memory()
    after, seconds = settled(server, start * (1 + BAR))
    return Memory(page, start, most, after, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=200, help="of each page")
    parser.add_argument("--pages", default=",".join(PAGES))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), readers_act=True)
        filled(settings, size=183).dispose()
        with serving(settings.home) as server:
            print(f"{asked.sessions} sessions  before      most     after  growth  waited")
            for page in asked.pages.split(","):
                m = measured(server, page, asked.sessions)
                print(
                    f"{m.page:12s} {m.before:7.1f} MB {m.most:7.1f} MB {m.after:7.1f} MB {100 * m.growth:+5.1f} %"
                    f" {m.seconds:4.0f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
