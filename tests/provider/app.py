"""A fake of the Copernicus Data Space on loopback: OData, STAC, S3, subscriptions, tokens and packages, with faults on
demand.

The shapes are those of the real answers of 2024 to 2026; so are the faults.
"""

from __future__ import annotations

import hashlib
import io
import operator as operators
import re
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from operator import attrgetter
from typing import Any
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.browser import free_port

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
#: What a proxy writes into a body that broke off behind it.
ERROR = (
    b'<?xml version="1.0"?><Error><Code>InternalError</Code><Message>We encountered an internal error</Message></Error>'
)


def files_of(name: str, size: int = 40_000) -> dict[str, bytes]:
    """A package's files: some metadata, and the manifest with their sums."""
    seed = hashlib.sha256(name.encode()).hexdigest().encode()
    files = {"MTD_MSIL1C.xml": seed * (size // 64), "GRANULE/G/IMG_DATA/B02.jp2": seed[::-1] * 30}
    listed = "".join(
        f'<dataObject><byteStream size="{len(body)}"><fileLocation href="./{path}"/>'
        f'<checksum checksumName="SHA3-256">{hashlib.sha3_256(body).hexdigest()}</checksum></byteStream></dataObject>'
        for path, body in files.items()
    )
    return {**files, "manifest.safe": f"<XFDU><dataObjectSection>{listed}</dataObjectSection></XFDU>".encode()}


def zipped(name: str, size: int = 40_000, without: str = "") -> bytes:
    """A package that is whole, but for one of its files."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for path, body in files_of(name, size).items():
            if path != without:
                archive.writestr(zipfile.ZipInfo(f"{name}.SAFE/{path}"), body)
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
    platform: str = "S2A"
    sensing: datetime | None = None
    online: bool = True
    asked: int = 0

    def __post_init__(self) -> None:
        self.sensing = self.sensing or self.published - timedelta(hours=3)
        stamp, made = f"{self.sensing:%Y%m%dT%H%M%S}", f"{self.published:%Y%m%dT%H%M%S}"
        self.name = self.name or f"{self.platform}_MSIL1C_{stamp}_N0512_R051_T{self.tile}_{made}"
        self.modified = self.modified or self.published

    @cached_property
    def body(self) -> bytes:
        """Its zip, as the catalogue's sum says."""
        if self.fault == "lacks a file":
            return zipped(self.name, without="GRANULE/G/IMG_DATA/B02.jp2")
        if self.fault == "another package":
            return zipped(self.name[:-1] + "X")
        return zipped(self.name)

    @cached_property
    def md5(self) -> str:
        return hashlib.md5(b"" if self.fault == "wrong sum" else self.body).hexdigest()

    def json(self, fault: str) -> dict[str, Any]:
        """As OData has it; times in either of the two formats that were seen."""

        def said(moment: datetime) -> str:
            text = moment.isoformat(timespec="milliseconds")
            return text if fault == "two time formats" and int(self.key) % 2 else text.replace("+00:00", "Z")

        assert self.modified is not None
        assert self.sensing is not None
        attributes = {"tileId": self.tile, "operationalMode": self.mode, "productType": "S2MSI1C"}
        size = 0 if self.fault == "no size" else 400_000_000 if self.fault == "wrong size" else 41_000
        sums: list[dict[str, str]] = []
        if self.sums and self.mode == "INS-NOBS":
            sums = [{"Value": self.md5, "Algorithm": "MD5", "ChecksumDate": said(self.modified)}]
        return {
            "Id": self.key, "Name": f"{self.name}.SAFE", "ContentLength": size, "Online": self.online,
            "PublicationDate" if "changed" not in (fault.split()[:1] + self.fault.split()[:1]) else "Published":
                said(self.published),
            "ModificationDate": said(self.modified),
            "ContentDate": {"Start": said(self.sensing), "End": said(self.sensing)}, "Checksum": sums,
            "Attributes": [{"Name": name, "Value": value, "ValueType": "String"} for name, value in attributes.items()],
            **({"DeletionDate": said(self.modified), "DeletionCause": self.deleted} if self.deleted else {}),
        }  # fmt: skip


@dataclass
class Provider:
    """The catalogue, its account, and the fault that it has as a whole."""

    rows: list[Row] = field(default_factory=list)
    fault: str = ""
    password: str = "right"
    #: Logins that are refused, as there are too many sessions.
    too_many_sessions: int = 0
    tokens: Counter[str] = field(default_factory=Counter)
    ended: set[str] = field(default_factory=set)
    grants: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    #: Notices of the subscription that nobody acknowledged yet: row and event.
    notices: list[tuple[Row, str]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    def app(self) -> Starlette:
        from tests.provider import mirrors, subscriptions

        return Starlette(
            routes=[
                Route("/odata/v1/Products", self.products),
                Route("/odata/v1/DeletedProducts", self.deleted),
                Route("/odata/v1/Products({key})", self.one),
                Route("/odata/v1/Products({key})/$value", self.value),
                Route("/token", self.token, methods=["POST"]),
                Route("/oidc", self.oidc),
                *subscriptions.routes(self),
                *mirrors.routes(self),
            ]
        )

    async def products(self, request: Request) -> Response:
        return self._listed(request, [row for row in self.rows if not row.deleted])

    async def deleted(self, request: Request) -> Response:
        return self._listed(request, [row for row in self.rows if row.deleted])

    async def one(self, request: Request) -> Response:
        row = self.row(request.path_params["key"])
        if row is None or row.deleted:
            return JSONResponse({"detail": "Product not found"}, 404)
        return JSONResponse(row.json(self.fault))

    def row(self, key: str) -> Row | None:
        return next((row for row in self.rows if row.key == key), None)

    def _listed(self, request: Request, rows: list[Row]) -> Response:
        self.requests["list"] += 1
        said = dict(request.query_params)
        skip, top = int(said.get("$skip", 0)), int(said.get("$top", 20))
        if skip > 10_000:
            return JSONResponse({"detail": [{"type": "less_than_equal", "loc": ["query", "$skip"]}]}, 422)
        where, order = said["$filter"], said["$orderby"].removesuffix(" asc")
        tiles = set(re.findall(r"'tileId' and [^ ]+ eq '(\w+)'", where))
        if tiles:
            rows = [row for row in rows if row.tile in tiles]
        for name, operator, text in re.findall(r"([\w/]+) (ge|gt|lt|le|eq) (\d{4}-[^\s)]+)", where):
            end = datetime.fromisoformat(text)
            test, time_of = getattr(operators, operator), TIMES[name]
            rows = [row for row in rows if test(time_of(row), end)]
        time_of = TIMES[order]
        rows = sorted(rows, key=lambda row: (time_of(row), row.key))
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

    async def oidc(self, request: Request) -> Response:
        """OpenID Connect's discovery, which eodag asks before anything else."""
        base = str(request.base_url)
        kinds = {"token_endpoint": "token", "jwks_uri": "keys", "authorization_endpoint": "auth"}
        more = {"id_token_signing_alg_values_supported": ["RS256"]}
        return JSONResponse({"issuer": base, **more, **{kind: base + path for kind, path in kinds.items()}})

    async def token(self, request: Request) -> Response:
        said = dict(parse_qsl((await request.body()).decode()))
        self.grants[str(said["grant_type"])] += 1
        if said["grant_type"] == "password" and said.get("password") != self.password:
            wrong = {"error": "invalid_grant", "error_description": "Invalid user credentials"}
            return JSONResponse(wrong, 401)
        if said["grant_type"] == "password" and self.too_many_sessions:
            self.too_many_sessions -= 1
            many = {"error": "invalid_request", "error_description": "Max session number exceeded"}
            return JSONResponse(many, 400)
        token = f"t{sum(self.grants.values())}"
        return JSONResponse(
            {"access_token": token, "expires_in": 600, "refresh_token": f"r{token}", "refresh_expires_in": 3600}
        )

    async def value(self, request: Request) -> Response:
        row = self.row(request.path_params["key"])
        assert row is not None
        row.asked += 1
        token = request.headers.get("authorization", "")
        self.tokens[token] += 1
        fault = row.fault
        if token in self.ended or not token.startswith("Bearer t") or (fault == "token ends" and row.asked == 1):
            return JSONResponse({"detail": "Expired signature!"}, 401)
        if fault == "busy" and row.asked <= 2:
            return JSONResponse({"detail": "too many requests"}, 429, headers={"Retry-After": "0"})
        if fault == "forbidden":
            return JSONResponse({"detail": "not within your licence"}, 403)
        if fault == "gone":
            return JSONResponse({"detail": "Product not found"}, 404)
        return self.sent(row, request, token)

    def sent(self, row: Row, request: Request, token: str = "") -> Response:
        """The package, from where it is asked for, with what befalls it."""
        fault, body = row.fault, _spoiled(row)
        begin = 0
        if found := re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", "")):
            begin = int(found[1])
        if begin >= len(body):
            return Response(status_code=416)
        part = body[begin:]
        broken = (fault == "cut" and row.asked <= 2) or (fault == "token ends in mid-file" and row.asked == 1)

        async def pieces() -> Any:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                yield part[: len(part) // 2]
                if broken:
                    if fault == "token ends in mid-file":
                        self.ended.add(token)
                    raise ConnectionError("cut")
                yield part[len(part) // 2 :]
            finally:
                self.at_once -= 1

        headers = {"Content-Length": str(len(part))}
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(body) - 1}/{len(body)}"
        return StreamingResponse(pieces(), 206 if begin else 200, headers, "application/zip")


def _spoiled(row: Row) -> bytes:
    """What is sent of a package."""
    body, fault = row.body, row.fault
    if fault in ("flipped for ever", "flipped at last") or (fault == "flipped" and row.asked == 1):
        return body[:-1500] + bytes([body[-1500] ^ 1]) + body[-1499:]
    if fault == "html":
        return b"<html>we are sorry</html>"
    if fault == "xml inside":
        middle = len(body) // 2
        return body[:middle] + ERROR + body[middle + len(ERROR) :]
    if fault == "too short":
        return body[:-700]
    return body


#: A row's times by OData's names of them.
TIMES = {
    "PublicationDate": attrgetter("published"),
    "ModificationDate": attrgetter("modified"),
    "DeletionDate": attrgetter("modified"),
    "ContentDate/Start": attrgetter("sensing"),
    "ContentDate/End": attrgetter("sensing"),
}


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
