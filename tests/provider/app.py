"""A fake of the Copernicus Data Space on loopback: OData, tokens and packages, with faults on demand.

The shapes are those of the real answers of 2024 to 2026; so are the faults.
"""

from __future__ import annotations

import hashlib
import io
import re
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.browser import free_port

FIRST = datetime(2026, 3, 1, tzinfo=UTC)


def zipped(name: str, size: int = 40_000) -> bytes:
    """A package that is whole as a zip."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(f"{name}.SAFE/MTD_MSIL1C.xml", hashlib.sha256(name.encode()).hexdigest() * (size // 64))
    return made.getvalue()


@dataclass
class Row:
    """One package of the catalogue; `fault`: what befalls it."""

    key: str
    tile: str
    published: datetime
    fault: str = ""
    mode: str = "INS-NOBS"
    modified: datetime | None = None
    sums: bool = True
    deleted: str = ""
    name: str = ""
    body: bytes = b""
    asked: int = 0

    def __post_init__(self) -> None:
        sensing = self.published - timedelta(hours=3)
        stamp = f"{sensing:%Y%m%dT%H%M%S}"
        self.name = self.name or f"S2A_MSIL1C_{stamp}_N0512_R051_T{self.tile}_{self.published:%Y%m%dT%H%M%S}"
        self.modified = self.modified or self.published
        self.body = self.body or zipped(self.name)

    def json(self, fault: str) -> dict[str, Any]:
        """As OData has it; times in either of the two formats that were seen."""

        def said(moment: datetime) -> str:
            text = moment.isoformat(timespec="milliseconds")
            return text if fault == "two time formats" and int(self.key) % 2 else text.replace("+00:00", "Z")

        assert self.modified is not None
        start = said(self.published - timedelta(hours=3))
        md5 = {"Value": hashlib.md5(self.body).hexdigest(), "Algorithm": "MD5", "ChecksumDate": said(self.modified)}
        attributes = {"tileId": self.tile, "operationalMode": self.mode, "productType": "S2MSI1C"}
        size = len(self.body) + (7 if self.fault == "wrong size" else 0)
        return {
            "Id": self.key, "Name": f"{self.name}.SAFE", "ContentLength": size, "Online": True,
            "PublicationDate" if fault != "changed schema" else "Published": said(self.published),
            "ModificationDate": said(self.modified), "ContentDate": {"Start": start, "End": start},
            "Checksum": [md5] if self.sums else [],
            "Attributes": [{"Name": name, "Value": value, "ValueType": "String"} for name, value in attributes.items()],
            **({"DeletionDate": said(self.modified), "DeletionCause": self.deleted} if self.deleted else {}),
        }  # fmt: skip


@dataclass
class Provider:
    """The catalogue, its account, and the fault that it has as a whole."""

    rows: list[Row] = field(default_factory=list)
    fault: str = ""
    password: str = "right"
    tokens: Counter[str] = field(default_factory=Counter)
    grants: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    at_once: int = 0
    most_at_once: int = 0

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/odata/v1/Products", self.products),
                Route("/odata/v1/DeletedProducts", self.deleted),
                Route("/odata/v1/Products({key})", self.one),
                Route("/odata/v1/Products({key})/$value", self.value),
                Route("/token", self.token, methods=["POST"]),
            ]
        )

    async def products(self, request: Request) -> Response:
        return self._listed(request, [row for row in self.rows if not row.deleted])

    async def deleted(self, request: Request) -> Response:
        return self._listed(request, [row for row in self.rows if row.deleted])

    async def one(self, request: Request) -> Response:
        row = self._row(request)
        return JSONResponse(row.json(self.fault))

    def _row(self, request: Request) -> Row:
        return next(row for row in self.rows if row.key == request.path_params["key"])

    def _listed(self, request: Request, rows: list[Row]) -> Response:
        self.requests["list"] += 1
        said = dict(request.query_params)
        skip, top = int(said.get("$skip", 0)), int(said.get("$top", 20))
        if skip > 10_000:
            return JSONResponse({"detail": [{"type": "less_than_equal", "loc": ["query", "$skip"]}]}, 422)
        where, order = said["$filter"], said["$orderby"].removesuffix(" asc")
        if said["$orderby"] == "":
            rows = rows[::-1]
        tiles = re.findall(r"'tileId' and [^ ]+ eq '(\w+)'", where)
        if tiles:
            rows = [row for row in rows if row.tile in tiles]
        for name, operator, text in re.findall(r"([\w/]+) (ge|gt|lt|le) (\d{4}-\S+)", where):
            end = datetime.fromisoformat(text)
            test = {"ge": "__ge__", "gt": "__gt__", "lt": "__lt__", "le": "__le__"}[operator]
            rows = [row for row in rows if getattr(_at(row, name), test)(end)]
        rows = sorted(rows, key=lambda row: (_at(row, order), row.key))
        if self.fault == "order hides" and order == "PublicationDate":
            rows = [row for row in rows if row.fault != "hidden"]
        page = rows[skip : skip + min(top, 1000)]
        answer: dict[str, Any] = {"value": [row.json(self.fault) for row in page]}
        if self.fault == "count lies":
            answer["@odata.count"] = 3
        if skip + top < min(len(rows), 10_000):
            answer["@odata.nextLink"] = "to be followed by nobody"
        if self.fault == "shifting pages" and self.requests["list"] % 3 == 0:
            answer["value"] = page[:1] and [row.json("") for row in (page[:1] + page)[:top]]
        return JSONResponse(answer)

    async def token(self, request: Request) -> Response:
        said = dict(parse_qsl((await request.body()).decode()))
        self.grants[str(said["grant_type"])] += 1
        if said["grant_type"] == "password" and said.get("password") != self.password:
            return JSONResponse({"error": "invalid_grant"}, 401)
        token = f"t{sum(self.grants.values())}"
        return JSONResponse(
            {"access_token": token, "expires_in": 600, "refresh_token": f"r{token}", "refresh_expires_in": 3600}
        )

    async def value(self, request: Request) -> Response:
        row = self._row(request)
        row.asked += 1
        token = request.headers.get("authorization", "")
        self.tokens[token] += 1
        fault = row.fault
        if not token.startswith("Bearer t") or (fault == "token ends" and row.asked == 1):
            return JSONResponse({"detail": "Expired signature!"}, 401)
        if fault == "busy" and row.asked <= 2:
            return JSONResponse({"detail": "too many requests"}, 429, headers={"Retry-After": "0"})
        if fault == "gone":
            return JSONResponse({"detail": "Product not found"}, 404)
        body = row.body
        if fault == "flipped for ever" or (fault == "flipped" and row.asked == 1):
            body = body[:-30] + bytes([body[-30] ^ 1]) + body[-29:]
        if fault == "html":
            body = b"<html>we are sorry</html>"
        begin = 0
        if found := re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", "")):
            begin = int(found[1])
        if begin >= len(body):
            return Response(status_code=416)
        part, broken = body[begin:], fault == "cut" and row.asked <= 2

        async def pieces() -> Any:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                yield part[: len(part) // 2]
                if broken:
                    raise ConnectionError("cut")
                yield part[len(part) // 2 :]
            finally:
                self.at_once -= 1

        headers = {"Content-Length": str(len(part))}
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(body) - 1}/{len(body)}"
        return StreamingResponse(pieces(), 206 if begin else 200, headers, "application/zip")


def _at(row: Row, name: str) -> datetime:
    assert row.modified is not None
    return {
        "PublicationDate": row.published, "ModificationDate": row.modified, "DeletionDate": row.modified,
        "ContentDate/Start": row.published - timedelta(hours=3),
    }[name]  # fmt: skip


@contextmanager
def served(provider: Provider) -> Iterator[str]:
    """Its address, as long as the context lasts."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(provider.app(), port=port, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://localhost:{port}"
    finally:
        server.should_exit = True
        thread.join()
