"""Requests that nobody would make by hand, drawn by a seed: every route, every parameter, every kind of wrong value.

What was ever found is a value in one of the lists below, and so tried again with every parameter.
The oracle is short: an answer below 500, no traceback, and no more of the machine than `CORE` and `MEMORY` allow.
"""

from __future__ import annotations

import http.client
import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from dashboard import access
from processing.settings import Settings
from processing.store import Store
from tests.people import cookie
from tests.web_server import Server

#: What a request of less than 100 kB may hold of one core [s], and of the memory [MB].
CORE, MEMORY = 1.0, 100.0

#: Numbers that are none, or too large, or too small, or of another alphabet.
NUMBERS = (
    *("nan", "NaN", "inf", "-inf", "Infinity", "-Infinity", "1e400", "1e308", "1e30", "-1e30", "1e-320", "-0", "-1"),
    *("0", "1", "00", "²", "+1", "1.5", "0x10", "1_000", "1e3", "999", "2147483648", "9223372036854775807", "١٢"),
    *("9223372036854775808", "18446744073709551616", "-9223372036854775809", "9" * 400, "9" * 5000, "1" + "0" * 308),
)
#: Words that mean something to somebody on the way: shells, paths, databases, spreadsheets, browsers, Unicode.
WORDS = (
    *(
        "",
        " ",
        "null",
        "None",
        "true",
        "undefined",
        "[]",
        "{}",
        "\x00",
        "a\x00b",
        "\x7f",
        "\r\nX-A: b",
        "\t",
        "é",
        "\u202e",
    ),
    *(
        "\U0001f4a5",
        "\ufeff",
        "e\u0301" * 50,
        "\ud800",
        "\udfff\ud800",
        "../../../../etc/passwd",
        "..%2f..%2fetc",
        "/",
        "//",
    ),
    *(
        "\\",
        "%",
        "%00",
        "%ff",
        "%zz",
        "' OR '1'='1",
        "'; DROP TABLE product; --",
        "*",
        "%_",
        "<script>alert(1)</script>",
    ),
    *(
        "=1+1",
        "@SUM(A1)",
        "{{7*7}}",
        "${7*7}",
        "http://127.0.0.1:1/",
        "file:///etc/passwd",
        "/vsicurl/http://127.0.0.1:1/",
    ),
    *("a" * 300, "a" * 9000, ",", ",,,,", ",".join("a" * 3000), "-", "+", ".", "..", ":", ";", "&", "#", "?", "all"),
)
#: Times at and beyond the ends of what a clock knows.
TIMES = (
    *(
        "0001-01-01",
        "0000-01-01",
        "9999-12-31",
        "9999-12-31T23:59:59.999999Z",
        "0001-01-01T00:00:00+23:59",
        "2023-02-30",
    ),
    *(
        "9999-12-31T23:59:59-23:59",
        "2023-08-15T10:00:00Z",
        "2023-08-15/2023-08-01",
        "../..",
        "/",
        "0001-01-01/9999-12-31",
    ),
    *("2023-08-15T10:00:00.123456789Z", "20230815", "2023-W33-2", "-2023-01-01", "12023-01-01", "2023-08-15T25:00:00Z"),
    *("2023", "0001", "9999", "2023-08-15/../2023", "2023-08-01T00:00:00Z/.."),
)


def star(corners: int) -> list[list[float]]:
    """Corners in degrees whose line crosses itself as often as it can."""
    draw = random.Random(corners)
    ring = [[round(draw.uniform(0, 4), 3), round(draw.uniform(42, 46), 3)] for _ in range(corners)]
    return [*ring, ring[0]]


#: Places: fine ones, and polygons with too many corners, with none, wrong ones, deep ones.
PLACES: tuple[Any, ...] = (
    *({"type": "Polygon", "coordinates": [star(corners)]} for corners in (3, 60, 150, 400, 2500)),
    {"type": "MultiPolygon", "coordinates": [[star(20)] for _ in range(30)]},
    {"type": "GeometryCollection", "geometries": [{"type": "Polygon", "coordinates": [star(50)]}] * 20},
    {"type": "Polygon", "coordinates": [[[1e308, -1e308], [1e308, 1e308], [-1e308, 0], [1e308, -1e308]]]},
    {"type": "Polygon", "coordinates": [[[float("nan"), 1], [2, 2], [3, 1], [float("nan"), 1]]]},
    {"type": "Polygon", "coordinates": [[["1", "2"], [2, 2], [3, 1], ["1", "2"]]]},
    {"type": "Polygon", "coordinates": []},
    {"type": "Polygon", "coordinates": [[]]},
    {"type": "Polygon", "coordinates": None},
    {"type": "Polygon"},
    {"type": "Point", "coordinates": [1, 43]},
    {"type": "Point", "coordinates": [1e30, 43, 5, 5, 5]},
    {"type": "LineString", "coordinates": [[0, 0], [0, 0]]},
    {"type": "Feature", "geometry": None, "properties": {}},
    {"type": "Nothing"},
    {"geometry": 1},
    "POLYGON((0 0, 1 1, 1 0, 0 0))",
)


def nested(depth: int, around: Any) -> Any:
    """Something in so many lists."""
    for _ in range(depth):
        around = [around]
    return around


def joined(depth: int) -> Any:
    """A filter of CQL2 that is nested so deep."""
    inner: Any = {"op": "<", "args": [{"property": "eo:cloud_cover"}, 50]}
    for _ in range(depth):
        inner = {"op": "and", "args": [inner]}
    return inner


#: Values of headers as long as a head may be, which take a careless reader the square of their length.
SLOW = (
    *('a="' + "\\a" * 30_000 + '"', "bytes=" + " " * 60_000 + "x", "bytes=-" + " " * 60_000 + "x"),
    *("," * 60_000, ";" * 60_000, "a=b; " * 12_000, 'W/"a", ' * 8_000, "a;q=0.5," * 7_000, "[" * 60_000),
)
#: Things of JSON that are not what is asked for.
THINGS: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 5, 1.5, 1e308, float("nan"), float("inf"), -(2**63) - 1, 2**64, 10**400, ""),
    *([], {}, [None], [[]], [{}], {"a": None}, ["\ud800"], [5], [1.5, None], nested(60, 1), {"\ud800": "\x00"}),
    *([10**30, 1], ["a"] * 4000, list(range(4000)), {str(n): n for n in range(1000)}),
)

COMPARED = ("eo:cloud_cover", "sat:relative_orbit", "datetime", "updated", "version", "muscate:simulated", "id")
FILTERS: tuple[Any, ...] = (
    *(joined(1), joined(50), joined(200), {"op": "and", "args": [joined(0)] * 900}, {"op": "and", "args": [1]}),
    *(
        {"op": operator, "args": [{"property": name}, value]}
        for operator in ("=", "<", ">=", "in", "between")
        for name in (
            "eo:cloud_cover",
            "sat:relative_orbit",
            "datetime",
            "updated",
            "version",
            "muscate:simulated",
            "id",
        )
        for value in (1e30, 10**30, -1, "\ud800", "\x00", None, [], {}, [1e30, "x"], {"timestamp": "0001-01-01"}, True)
    ),
    {"op": "<", "args": [{"property": "datetime"}, {"timestamp": "0001-01-01T00:00:00Z"}]},
    {"op": "<", "args": [{"property": "published"}, {"date": "9999-12-31"}]},
    {"op": "<=", "args": [{"property": "published"}, "9999-12-31T23:59:59.999999Z"]},
    {"op": ">", "args": [{"property": "updated"}, "9999-12-31T23:59:59.999999Z"]},
    {"op": "in", "args": [{"property": "sat:relative_orbit"}, [1.5, 51, 10**25]]},
    {"op": "in", "args": [{"property": "id"}, ["x"] * 40000]},
    {"op": None, "args": None},
)

#: Parameters of routes that OpenAPI doesn't tell of: the pages', which the address keeps.
PAGES = {
    "/workbench": (),
    "/production": ("days", "period", "version", "site", "tile"),
    "/coverage": ("version", "site", "tile", "colour"),
    "/versions": ("version", "site"),
    "/browse": ("q", "tile", "site", "version", "order", "area", "cloud", "bbox", "intersects", "datetime", "token"),
    "/products": ("product", "tile", "version", "left", "right", "mask"),
    "/compare": ("left", "right", "at", "mask", "bands"),
    "/quality": ("reader", "product", "tile", "queue"),
    "/validation": ("kind", "version", "run"),
}
OTHERS = ("/", "/favicon.ico", "/assets/", "/static/", "/components/", "/openapi.json", "/docs", "/nothing")
SEARCH = (
    "bbox",
    "intersects",
    "datetime",
    "ids",
    "collections",
    "limit",
    "token",
    "sortby",
    "fields",
    "query",
    "filter",
    "filter-lang",
)
METHODS = ("GET", "GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH")


@dataclass(frozen=True)
class Request:
    """One request, as it goes over the line."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def __str__(self) -> str:
        return f"{self.method} {self.path[:300]} {dict(self.headers)} {self.body[:300]!r}"


@dataclass(frozen=True)
class Verdict:
    """What came of one request: status (0: the line broke), time on the processors [s], growth at its peak. [MB]"""

    request: Request
    status: int
    seconds: float
    memory: float

    @property
    def of_panel(self) -> bool:
        """Whether it opens a session of a page: what that costs is the page's, whatever else is asked for."""
        return self.request.path.partition("?")[0].strip("/") in access.SESSIONS and self.status == 200

    @property
    def fault(self) -> str:
        """What is wrong with it; empty if nothing."""
        words = []
        if self.status >= 500 or self.status == 0:
            words.append(f"answered {self.status}")
        if self.seconds > CORE and not self.of_panel:
            words.append(f"held a core for {self.seconds:.1f} s")
        if self.memory > MEMORY:
            words.append(f"took {self.memory:.0f} MB")
        return ", ".join(words)


def escaped(text: str) -> str:
    """Text in percents; a half of a surrogate pair as its three bytes."""
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


@dataclass(frozen=True)
class Signed:
    """Somebody who has signed in: his cookie, and what his forms bring along."""

    cookie: str
    token: str


def signed(server: Server, settings: Settings) -> Signed:
    """Have an admin sign in to a web."""
    here = settings.model_copy(update={"port": int(server.address.rpartition(":")[2])})
    store = Store(here.url)
    given = cookie(here, store)
    store.dispose()
    said = f"{given['name']}={given['value']}"
    line = http.client.HTTPConnection(server.address, timeout=60)
    line.request("GET", "/en/account", headers={"Cookie": said})
    return Signed(said, token_on(line.getresponse().read().decode()))


def token_on(page: str) -> str:
    """What the forms of a page bring along."""
    found = re.search(r'name="token" value="([0-9a-f]+)"', page)
    assert found, "the page has no form"
    return found[1]


#: What a form of some page has in it, and values that mean something there.
FIELDS: Mapping[str, tuple[str, ...]] = {
    "language": ("en", "fr"),
    "order": ("retry", "hold", "reject", "admit", "start", "pause", "cutover"),
    "do": ("preview", "keep", "publish", "withdraw"),
    "kind": ("news", "incident", "maintenance"),
    "grade": ("info",),
    "role": ("scientist", "admin"),
    "version": ("V1_4", "V2_1"),
    "sequence": ("0", "1"),
    "stage": ("investigating", "planned"),
    **dict.fromkeys(("name", "password", "next", "renew", "number", "starts", "ends", "site"), ()),
    **dict.fromkeys(("title_en", "text_en", "title_fr", "text_fr", "step_en", "token", "x"), ()),
}
#: After these a session is over: they are sent without one.
ENDING = ("/sign-out", "/account/revoke")


def undeclared(app: FastAPI) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """Routes of a web that its OpenAPI doesn't tell of: method, path, and parameters as there."""
    found = []
    for context in iter_route_contexts(app.routes):
        of = getattr(context.route, "dependant", None) or getattr(context.original_route, "dependant", None)
        if of is None or getattr(context, "include_in_schema", True):
            continue
        parameters = [{"name": name, "in": "query"} for name in _parameters(of)]
        found += [(method, str(context.path), parameters) for method in sorted(context.methods or ())]
    return sorted(found, key=lambda route: route[:2])


def _parameters(dependant: Any) -> Iterator[str]:
    for one in dependant.query_params:
        model = getattr(one.field_info.annotation, "model_fields", None)
        yield from (model or {one.alias: None})
    for inner in dependant.dependencies:
        yield from _parameters(inner)


class Known:
    """What the web says of itself: its routes, and names that fill them.

    Parameters
    ----------
    openapi : dict
        The web's own description.
    products, tiles, versions : list of str
        That the store has.
    app : FastAPI
        The same web, for the routes that it does not tell of.
    signed : Signed or None
        Who sends the forms.
    """

    def __init__(
        self,
        openapi: dict[str, Any],
        products: list[str],
        tiles: list[str],
        versions: list[str],
        app: FastAPI,
        signed: Signed | None = None,
    ) -> None:
        self.signed = signed
        hidden = undeclared(app)
        self.forms = [path for method, path, _ in hidden if method == "POST"]
        self.routes = [route for route in hidden if route[0] == "GET"] + [
            (method.upper(), path, operation.get("parameters", []))
            for path, operations in openapi["paths"].items()
            for method, operation in operations.items()
        ]
        self.names = {"product": products, "products": products, "with": products, "tile": tiles, "version": versions}
        self.names |= {"layer": ["natural", "CLM", "aot", "difference", "agreement", "reference", "age", "toa", "NDVI"]}
        self.names |= {"z": ["0", "3", "5"], "x": ["0", "3"], "y": ["0", "3"], "format": ["json", "csv"], "bits": ["3"]}
        self.names |= {"bands": ["SRE_B4", "SRE_B8,SRE_B4,SRE_B3"], "range": ["0,0.3"], "window": ["0,0,100,100"]}
        self.names |= {"language": ["en", "fr", "es"], "day": ["2023-08-15"], "key": ["new", "1", "zarr.json"]}
        self.names |= {"polygon": ["300000 4800000,301000 4800000,301000 4799000"], "name": ["muscate-l2a", "x"]}

    @classmethod
    def of(cls, server: Server, app: FastAPI, signed: Signed | None = None) -> Known:
        """Ask a web for it."""
        line = http.client.HTTPConnection(server.address, timeout=60)

        def asked(path: str) -> Any:
            line.request("GET", path)
            return json.loads(line.getresponse().read())

        found = asked("/stac/search?limit=50&collections=muscate-l2a-all")["features"]
        ids = [item["id"] for item in found]
        tiles = sorted({item["properties"]["grid:code"].removeprefix("MGRS-") for item in found})
        return cls(asked("/openapi.json"), ids, tiles, ["V1_3", "V1_4"], app, signed)


def polygon_text(corners: int) -> str:
    """A polygon of the statistics' route that crosses itself."""
    draw = random.Random(corners)
    return ",".join(f"{draw.randint(300000, 303000)} {draw.randint(4797000, 4800000)}" for _ in range(corners))


class Fuzz:
    """Draws requests.

    Parameters
    ----------
    known : Known
    seed : int
    """

    def __init__(self, known: Known, seed: int) -> None:
        self._known, self._draw = known, random.Random(seed)

    def requests(self, count: int) -> Iterator[Request]:
        """So many of them."""
        kinds = {self._route: 12, self._search: 5, self._posted: 5, self._form: 3, self._other: 2, self._page: 1}
        for _ in range(count):
            yield self._draw.choices(list(kinds), list(kinds.values()))[0]()

    def _word(self) -> str:
        drawn = self._draw
        return drawn.choice((*NUMBERS, *WORDS, *TIMES)) if drawn.random() < 0.9 else self._json(drawn.choice(PLACES))

    def _json(self, value: Any) -> str:
        return json.dumps(value)

    def _value(self, name: str, wrong: float) -> str:
        """A value of a parameter: one that fits, or any other."""
        known = self._known.names.get(name)
        if known and self._draw.random() > wrong:
            return self._draw.choice(known)
        if name == "polygon" and self._draw.random() < 0.5:
            return polygon_text(self._draw.choice((2, 3, 60, 150, 350, 5000)))
        return self._word()

    def _query(self, names: list[str], wrong: float) -> str:
        pairs = [(name, self._value(name, wrong)) for name in names]
        if self._draw.random() < 0.1 and pairs:
            pairs.append((self._draw.choice(pairs)[0], self._word()))  # twice
        if self._draw.random() < 0.1:
            pairs.append((self._draw.choice(("bokeh_session_id", "bokeh-session-id", "x[]", "")), self._word()))
        return "&".join(f"{escaped(name)}={escaped(value)}" for name, value in pairs)

    def _route(self) -> Request:
        method, path, parameters = self._draw.choice(self._known.routes)
        wrong = self._draw.choice((0.1, 0.3, 0.7))
        path = re.sub(r"\{(\w+)(?::\w+)?\}", lambda m: escaped(self._value(m[1], wrong)), path)
        asked = [p for p in parameters if p["in"] == "query" and (p.get("required") or self._draw.random() < 0.5)]
        if query := self._query([p["name"] for p in asked], wrong):
            path += "?" + query
        if self._draw.random() < 0.1:
            method = self._draw.choice(METHODS)
        return Request(method, path, self._headers())

    def _page(self) -> Request:
        page = self._draw.choice(list(PAGES))
        names = self._draw.sample(PAGES[page], self._draw.randint(0, len(PAGES[page])))
        return Request("GET", f"{page}?{self._query(list(names), 0.7)}", self._headers())

    def _other(self) -> Request:
        path = self._draw.choice(OTHERS) + escaped(self._draw.choice(("", self._word())))
        return Request(self._draw.choice(METHODS), path, self._headers())

    def _form(self) -> Request:
        """A form of a page, as its own page sends it, with anything in it."""
        drawn, signed = self._draw, self._known.signed
        path = drawn.choice(self._known.forms)
        alone = path in ENDING
        path = re.sub(r"\{(\w+)(?::\w+)?\}", lambda m: escaped(self._value(m[1], 0.2)), path)
        pairs = [
            (name, drawn.choice(FIELDS[name]) if FIELDS[name] and drawn.random() < 0.6 else self._word())
            for name in drawn.sample(sorted(FIELDS), drawn.randint(0, 6))
        ]
        if drawn.random() < 0.05:
            pairs += [("x", "")] * drawn.choice((900, 3000))
        headers = {**self._headers(), "Content-Type": "application/x-www-form-urlencoded"}
        if signed is not None and not alone and drawn.random() < 0.9:
            pairs.append(("token", signed.token))
            headers["Cookie"] = signed.cookie
        body = urlencode([(name.encode(), value.encode("utf-8", "surrogatepass")) for name, value in pairs]).encode()
        return Request("POST", path, headers, body[:95_000])

    def _asked(self, name: str) -> Any:
        """A value of one parameter of a search."""
        pools: dict[str, tuple[Any, ...]] = {
            "intersects": PLACES,
            "datetime": TIMES,
            "filter": FILTERS,
            "query": tuple(
                {name: {operator: value}}
                for name in ("eo:cloud_cover", "datetime", "x")
                for operator in ("lt", "eq", "in", "?")
                for value in (1, *THINGS)
            ),
            "bbox": ([0, 42, 4, 46], [1e30, 1, 2, 3], ["nan"] * 4, [0, 0, 0], [-180, -90, 180, 90], [170, 0, -170, 1]),
        }
        if self._draw.random() < 0.6 and name in pools:
            return self._draw.choice(pools[name])
        return self._draw.choice((*THINGS, *WORDS, *NUMBERS))

    def _names(self) -> list[str]:
        return self._draw.sample(SEARCH, self._draw.choice((1, 1, 2, 3)))

    def _search(self) -> Request:
        pairs = []
        for name in self._names():
            value = self._asked(name)
            pairs.append((name, value if isinstance(value, str) else self._json(value)))
        where = self._draw.choice(("/stac/search", "/stac/search", "/stac/collections/muscate-l2a/items"))
        query = "&".join(f"{name}={escaped(value)}" for name, value in pairs)
        return Request("GET", f"{where}?{query}"[:60_000], self._headers())

    def _posted(self) -> Request:
        body: Any = {name: self._asked(name) for name in self._names()}
        if self._draw.random() < 0.1:
            body = self._draw.choice(THINGS)
        raw = self._json(body).encode("utf-8", "surrogatepass")
        if self._draw.random() < 0.1:
            cut, marked = raw[: len(raw) // 2], b"\xff\xfe" + raw
            raw = self._draw.choice((cut, marked, b"[" * 50_000, raw.replace(b'"', b"'"), b""))
        kinds = ("text/plain", "application/xml", "", "application/json; charset=utf-7")
        kind = self._draw.choice(("application/json",) * 8 + kinds)
        return Request("POST", "/stac/search", {**self._headers(), "Content-Type": kind}, raw[:95_000])

    def _headers(self) -> dict[str, str]:
        if self._draw.random() < 0.85:
            return {}
        long_one = self._draw.choice(("Range", "Cookie", "Accept-Language", "If-None-Match", "Referer", "Accept"))
        headers = {
            # Each of them is as long as a head may be, and takes who reads it carelessly the square of its length.
            long_one: SLOW,
            "Range": ("bytes=0-", "bytes=-1", "bytes=5-2", "bytes=" + "0-1," * 500, "lines=1-2", f"bytes={'9' * 400}-"),
            "If-None-Match": ("*", '"a"', "", '"' * 3000),
            "If-Range": ('"a"', "Thu, 99 Foo 9999 99:99:99 GMT"),
            "Accept-Language": ("fr;q=nan", "*;q=1e400", "x" * 4000, "de-" * 500, ",,,;q=;q="),
            "Accept-Encoding": ("gzip;q=nope", "identity;q=0, *;q=0"),
            "Cookie": ("a=b; " * 500, "bokeh=\x80", "=;=;", "session=" + "x" * 4000, '"'),
            "X-Forwarded-For": ("not an address", "::1" * 200),
            "X-Forwarded-Proto": ("javascript", "https, http"),
            "Forwarded": ("for=" * 300,),
            "Content-Type": ("multipart/form-data; boundary=", "application/json"),
            "Accept": ("application/xml", "a/b;" * 900),
            "Origin": ("null", "http://evil.example", "http://[::"),
            "Referer": ("\xff", "http://[::", "about:blank"),
            "Authorization": ("Basic \xff", "Bearer " + "x" * 4000),
        }
        name = self._draw.choice(list(headers))
        return {name: self._draw.choice(headers[name])}


class Line:
    """Sends requests one after the other to a web, and measures what each cost it."""

    def __init__(self, server: Server, timeout: float = 120) -> None:
        self._server, self._timeout = server, timeout
        self._connection = http.client.HTTPConnection(server.address, timeout=timeout)

    def tried(self, request: Request) -> Verdict:
        """What comes of one; a dear one is tried once more, as the end of others' sessions falls into its time."""
        first = self._once(request)
        if first.seconds <= CORE and first.memory <= MEMORY:
            return first
        second = self._once(request)
        return replace(first, seconds=min(first.seconds, second.seconds), memory=min(first.memory, second.memory))

    def _once(self, request: Request) -> Verdict:
        server = self._server
        server.forget_peak()
        before, seconds = server.memory(), server.seconds()
        status = self._sent(request)
        return Verdict(request, status, server.seconds() - seconds, server.peak() - before)

    def _sent(self, request: Request) -> int:
        for last in (False, True):
            try:
                self._connection.putrequest(request.method, request.path, skip_accept_encoding=True)
                for name, value in request.headers.items():
                    self._connection.putheader(name, value.encode("latin-1", "replace"))
                if request.body or request.method in ("POST", "PUT", "PATCH"):
                    self._connection.putheader("Content-Length", str(len(request.body)))
                self._connection.endheaders(request.body or None)
                answer = self._connection.getresponse()
                answer.read()
                return answer.status
            except (OSError, http.client.HTTPException):
                self._connection.close()  # it may have been closed by now: once more, on a line of its own
                self._connection = http.client.HTTPConnection(self._server.address, timeout=self._timeout)
                if last:
                    return 0
        return 0


def tracebacks(server: Server) -> list[str]:
    """Last lines of what the web did not expect, from its log."""
    found, inside = [], False
    for line in server.log.read_text(errors="replace").splitlines():
        if line.lstrip(" |+-").startswith("Traceback (most recent call last)"):
            inside = True
        elif inside and line and not line.startswith((" ", "\t")):
            found.append(line)
            inside = False
    return found
