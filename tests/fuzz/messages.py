"""Messages that no browser sends, over the sockets of sessions, and what each of them costs the web.

    python -m tests.fuzz.messages --messages 300 --seed 1

A message is right if its session answers, is silent or is closed, and the web goes on: no traceback, no core held for
more than a second, no memory beyond its bar for what is smaller than `SMALL`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import websockets

from processing.settings import Settings
from tests.dashboard_archive import filled
from tests.fuzz import web
from tests.web_server import Server, serving

#: A message that is larger may cost what it weighs. [bytes]
SMALL = 100_000
#: Wait for an answer, or for silence. [s]
SILENCE = 0.3
PAGES = ("quality", "validation", "workbench")
TYPES = ("PATCH-DOC", "PULL-DOC-REQ", "PULL-DOC-REPLY", "PUSH-DOC", "SERVER-INFO-REQ", "ACK", "OK", "ERROR", "X", "", 5)

Part = str | bytes


@dataclass(frozen=True)
class Sent:
    """A message in its parts, what it was, and what came of it."""

    what: str
    parts: tuple[Part, ...]
    page: str
    closed: bool = False
    seconds: float = 0.0
    memory: float = 0.0

    @property
    def small(self) -> bool:
        """Whether it must cost little."""
        return sum(map(len, self.parts)) < SMALL

    @property
    def fault(self) -> str:
        """What is wrong; empty if nothing is."""
        if self.small and self.seconds > web.CORE:
            return f"{self.seconds:.2f} s on a core"
        if self.small and self.memory > web.MEMORY:
            return f"{self.memory:.0f} MB"
        return ""


def messages(seed: int) -> Iterator[tuple[str, tuple[Part, ...]]]:
    """Without end: what it is, and its parts."""
    source = random.Random(seed)
    while True:
        kind = source.choice(KINDS)
        yield kind.__name__.strip("_"), tuple(kind(source))


def _header(source: random.Random, kind: object = None, **more: Any) -> str:
    kind = source.choice(TYPES) if kind is None else kind
    return json.dumps({"msgid": source.choice(["1", "", 5, None, "x" * 1000]), "msgtype": kind, **more})


def _noise(source: random.Random) -> Sequence[Part]:
    return [
        source.choice([source.randbytes(50), "".join(map(chr, source.choices(range(1, 0x2FF), k=50))), "", b"", "{"])
    ]


def _unknown(source: random.Random) -> Sequence[Part]:
    return [
        _header(source),
        source.choice(["{}", "[]", "null", "5", '"x"']),
        source.choice(["{}", "[]", "null", "1e999"]),
    ]


def _nested(source: random.Random) -> Sequence[Part]:
    deep = source.choice([100, 3000, 20_000])
    opened, closed = source.choice([("[", "]"), ('{"a":', "}"), ('{"type":"map","entries":[["a",', "]]}")])
    content = opened * deep + "1" + closed * deep
    return [_header(source, "PATCH-DOC"), "{}", source.choice([content, f'{{"events":[{content}]}}'])]


def _events(source: random.Random) -> Sequence[Part]:
    """Changes of a document that make no sense."""
    models = ["p1001", "p1", "", 5, None, {"id": "p1001"}, {"type": "object", "name": "Figure", "id": "q"}]
    event = source.choice(
        [
            {"kind": "ModelChanged", "model": source.choice(models), "attr": source.choice(["value", "", 5]), "new": 1},
            {
                "kind": "MessageSent",
                "msg_type": "bokeh_event",
                "msg_data": source.choice([None, {}, {"type": "event"}]),
            },
            {"kind": "MessageSent", "msg_type": "x" * 500, "msg_data": None},
            {"kind": "RootAdded", "model": source.choice(models)},
            {"kind": "ColumnDataChanged", "model": source.choice(models), "data": {"a": [1]}, "cols": ["a"]},
            {"kind": "ColumnsStreamed", "model": source.choice(models), "data": [], "rollover": -1},
            {"kind": "TitleChanged", "title": source.choice([5, None, "t" * 10_000])},
            {"kind": source.choice(["Nothing", "", None, 5])},
            {},
            5,
        ]
    )
    return [_header(source, "PATCH-DOC"), "{}", json.dumps({"events": [event] * source.choice([1, 2, 300])})]


def _arrays(source: random.Random) -> Sequence[Part]:
    """Arrays that claim more than they have."""
    shape = source.choice([[10**9], [10**5, 10**5], [-1], [2**63], ["a"], []])
    array = {
        "type": "ndarray",
        "array": {"type": "bytes", "data": source.choice(["AAAA", "=", "A" * 5000])},
        "shape": shape,
        "dtype": source.choice(["float64", "object", "uint8", "x"]),
        "order": "little",
    }
    events = [{"kind": "ModelChanged", "model": {"id": "p1001"}, "attr": "value", "new": array}]
    return [_header(source, "PATCH-DOC"), "{}", json.dumps({"events": events})]


def _buffers(source: random.Random) -> Sequence[Part]:
    """Buffers that never come, or that nobody announced."""
    count = source.choice([1, 10**9, -1, "x"])
    end = source.choice([[], ['{"id": "b"}', b"x"], [b"x"], ['{"id": "b"}', "x"]])
    return [_header(source, "PATCH-DOC", num_buffers=count), "{}", '{"events": []}', *end]


def _large(source: random.Random) -> Sequence[Part]:
    size = source.choice([90_000, 2_000_000, 9_000_000])
    return [_header(source, "PATCH-DOC"), "{}", '{"events":[' + '{"kind":"ModelChanged"},' * (size // 25) + "5]}"]


def _numbers(source: random.Random) -> Sequence[Part]:
    number = source.choice(["1e999", "NaN", "9" * 5000, "-Infinity", "1" * 90_000])
    return [_header(source, "PATCH-DOC"), "{}", '{"events":[{"kind":"TitleChanged","title":' + number + "}]}"]


def _begun(source: random.Random) -> Sequence[Part]:
    """The first parts of a message without the last one."""
    return [_header(source), *source.choice([[], ["{}"]])]


KINDS = (_noise, _unknown, _nested, _events, _arrays, _buffers, _large, _numbers, _begun)


async def _token(client: httpx.AsyncClient, address: str, page: str) -> str:
    text = (await client.get(f"http://{address}/{page}")).raise_for_status().text
    found = re.search(r'"token":\s*"([^"]+)"', text) or re.search(r"&quot;token&quot;:&quot;([^&]+)&quot;", text)
    assert found, f"{page} has no token"
    return found[1]


class Session:
    """A page's socket, opened anew once it was closed."""

    def __init__(self, server: Server, page: str) -> None:
        self._server, self._page = server, page
        self._socket: Any = None

    async def open(self, client: httpx.AsyncClient) -> None:
        """Open it, if it is not open."""
        if self._socket is not None:
            return
        token = await _token(client, self._server.address, self._page)
        protocols = [websockets.Subprotocol("bokeh"), websockets.Subprotocol(token)]
        address = f"ws://{self._server.address}/{self._page}/ws"
        self._socket = await websockets.connect(address, subprotocols=protocols, max_size=None, ping_interval=None)
        await self._quiet()

    async def send(self, what: str, parts: tuple[Part, ...]) -> Sent:
        """Send a message, and see what it costs."""
        server = self._server
        server.forget_peak()
        before, seconds = server.memory(), server.seconds()
        closed = False
        try:
            for part in parts:
                await self._socket.send(part)
            await self._quiet()
        except (websockets.ConnectionClosed, OSError):
            closed, self._socket = True, None
        spent = server.seconds() - seconds
        return Sent(what, parts, self._page, closed, spent, server.peak() - before)

    async def _quiet(self) -> None:
        while True:
            try:
                await asyncio.wait_for(self._socket.recv(), SILENCE)
            except TimeoutError:
                return

    async def close(self) -> None:
        """Close it."""
        if self._socket is not None:
            with suppress(Exception):
                await self._socket.close()


async def tried(server: Server, count: int, seed: int, pages: Sequence[str] = PAGES) -> list[Sent]:
    """Send so many messages."""
    found: list[Sent] = []
    sessions = [Session(server, page) for page in pages]
    made = messages(seed)
    async with httpx.AsyncClient(timeout=60) as client:
        for number in range(count):
            session = sessions[number % len(sessions)]
            await session.open(client)
            what, parts = next(made)
            sent = await session.send(what, parts)
            if sent.fault:  # what else was done meanwhile is not its own: once more
                await session.open(client)
                again = await session.send(what, parts)
                sent = again if not again.fault else sent
            found.append(sent)
        for session in sessions:
            await session.close()
    return found


def main() -> int:
    """Send messages and print their figures."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--messages", type=int, default=300)
    words.add_argument("--seed", type=int, default=1)
    given = words.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder))  # type: ignore[call-arg]
        filled(settings, size=183).dispose()
        with serving(settings.home) as server:
            asyncio.run(tried(server, len(PAGES), 0))  # what is loaded once is nobody's
            found = asyncio.run(tried(server, given.messages, given.seed))
            alive, broken = server.alive, web.tracebacks(server)
    wrong = [sent for sent in found if sent.fault]
    for sent in wrong:
        print(f"{sent.fault}: {sent.what} on {sent.page}: {str(sent.parts)[:200]}")
    counts = Counter((sent.what, "closed" if sent.closed else "taken") for sent in found)
    print(", ".join(f"{what} {count} {end}" for (what, end), count in sorted(counts.items())))
    small = [sent for sent in found if sent.small]
    longest = max(s.seconds for s in small)
    print(f"{len(found)} messages; of those below {SMALL // 1000} kB the longest {longest:.2f} s on a core")
    print(f"most memory of those {max(s.memory for s in small):.0f} MB, of all {max(s.memory for s in found):.0f} MB")
    for line, count in Counter(broken).most_common():
        print(f"traceback, {count} times: {line}")
    print(f"faults: {len(wrong)}; tracebacks: {len(broken)}; the web {'goes on' if alive else 'ended'}")
    return int(bool(wrong or broken or not alive))


if __name__ == "__main__":
    sys.exit(main())
