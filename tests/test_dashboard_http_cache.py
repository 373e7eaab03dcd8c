"""Answers that are kept in memory: as long as they say, no more than they may, and never half of one."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from dashboard.http_cache import ASKED_AGAIN, LONGEST, OVERHEAD, HttpCache

BODY = b"x" * 1000


class Counted:
    """An application that counts what it is asked."""

    def __init__(self, status: int = 200, age: str = "max-age=60", parts: int = 1) -> None:
        self.status, self.age, self.parts = status, age, parts
        self.body = BODY
        self.asked: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(scope["path"])
        headers = [(b"etag", b'"e"'), (b"cache-control", self.age.encode())]
        if self.parts == 1:
            headers.append((b"content-length", str(len(self.body)).encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        for part in range(self.parts):
            await send({"type": "http.response.body", "body": self.body, "more_body": part < self.parts - 1})


def answers(app: HttpCache, *addresses: str, **headers: str) -> list[httpx.Response]:
    async def ask() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://centre") as client:
            return [await client.get(address, headers=headers) for address in addresses]

    return asyncio.run(ask())


def test_an_address_is_asked_once() -> None:
    inner = Counted()
    app = HttpCache(inner, ("/tiles/",), 10**6)
    first, again, other = answers(app, "/tiles/a?v=1", "/tiles/a?v=1", "/tiles/a?v=2")
    assert first.content == again.content == other.content == BODY
    assert first.headers == again.headers
    assert len(inner.asked) == 2
    (same,) = answers(app, "/tiles/a?v=1", **{"If-None-Match": '"e"'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", '"e"')
    assert len(inner.asked) == 2


@pytest.mark.parametrize(
    "inner", [Counted(status=500), Counted(status=404), Counted(age="no-store"), Counted(age="max-age=0")]
)
def test_faults_and_passing_answers_are_not_kept(inner: Counted) -> None:
    answers(HttpCache(inner, ("/tiles/",), 10**6), "/tiles/a", "/tiles/a")
    assert len(inner.asked) == 2


def test_other_paths_and_answers_in_parts_are_not_kept() -> None:
    inner = Counted()
    answers(HttpCache(inner, ("/tiles/",), 10**6), "/products/a", "/products/a")
    assert len(inner.asked) == 2
    inner = Counted(parts=2)
    one, two = answers(HttpCache(inner, ("/tiles/",), 10**6), "/tiles/a", "/tiles/a")
    assert one.content == two.content == 2 * BODY
    assert len(inner.asked) == 2


def test_what_was_used_longest_ago_goes_first() -> None:
    inner = Counted()
    app = HttpCache(inner, ("/tiles/",), 2 * (len(BODY) + len("/tiles/a?") + OVERHEAD))
    answers(app, *(f"/tiles/{name}" for name in "abacab"))
    assert inner.asked == [f"/tiles/{name}" for name in "abcb"]


def test_addresses_count_as_what_is_kept_and_long_ones_are_not() -> None:
    inner = Counted()
    app = HttpCache(inner, ("/tiles/",), 3 * (len(BODY) + OVERHEAD))
    names = [f"/tiles/{name}?junk={name * 1200}" for name in "abc"]
    answers(app, *names, *names)
    assert len(inner.asked) == 6  # of three that would fit without their addresses none is left when it is asked again
    inner = Counted()
    long = "/tiles/a?junk=" + LONGEST * "b"
    answers(HttpCache(inner, ("/tiles/",), 10**6), long, long)
    assert len(inner.asked) == 2


def test_an_answer_is_asked_for_again_when_its_time_is_over() -> None:
    inner, now = Counted(age="max-age=60"), [1000.0]
    app = HttpCache(inner, ("/tiles/",), 10**6, lambda: now[0])
    answers(app, "/tiles/a")
    now[0] += 59
    answers(app, "/tiles/a")
    assert len(inner.asked) == 1
    now[0] += 2
    answers(app, "/tiles/a")
    assert len(inner.asked) == 2


def test_what_may_be_kept_for_ever_is_asked_for_again_all_the_same() -> None:
    """Its product may have been withdrawn."""
    inner, now = Counted(age="public, max-age=31536000, immutable"), [1000.0]
    app = HttpCache(inner, ("/tiles/",), 10**6, lambda: now[0])
    answers(app, "/tiles/a", "/tiles/a")
    now[0] += ASKED_AGAIN + 1
    answers(app, "/tiles/a")
    assert len(inner.asked) == 2


def test_an_answer_larger_than_the_cache_passes_and_drives_nothing_out() -> None:
    inner = Counted()
    app = HttpCache(inner, ("/tiles/",), len(BODY) + len("/tiles/a?") + OVERHEAD)
    answers(app, "/tiles/a")
    inner.body = 2 * BODY
    assert [one.content for one in answers(app, "/tiles/b", "/tiles/a")] == [2 * BODY, BODY]
    assert inner.asked == ["/tiles/a", "/tiles/b"]
