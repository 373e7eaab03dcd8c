"""The same packages by STAC and in a bucket."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.provider.app import Row, files_of

#: Of the bucket: access key.
KEY = "AKID"


def _item(row: Row, base: str, fault: str) -> dict[str, Any]:
    def said(moment: datetime | None) -> str:
        assert moment is not None
        return moment.isoformat().replace("+00:00", "Z")

    checksum = {"file:checksum": f"d50110{row.md5}"} if row.sums else {}
    return {
        "id": row.name, "type": "Feature",
        "properties": {
            "published" if fault != "changed schema" else "publication": said(row.published),
            "updated": said(row.modified), "datetime": said(row.sensing), "grid:code": f"MGRS-{row.tile}",
            "eopf:instrument_mode": row.mode,
        },
        "assets": {"Product": {"href": f"{base}/plain/{row.key}", "file:size": len(row.body), **checksum}},
    }  # fmt: skip


def _value(item: dict[str, Any], field: str) -> str:
    return str(item[field] if field == "id" else item["properties"].get(field, ""))


def _passes(item: dict[str, Any], test: dict[str, Any]) -> bool:
    if test["op"] == "and":
        return all(_passes(item, one) for one in test["args"])
    (what, other), op = test["args"], test["op"]
    value = _value(item, what["property"])
    if op == "in":
        return value in other
    if isinstance(other, dict):
        one, two = datetime.fromisoformat(value), datetime.fromisoformat(other["timestamp"])
        return {">=": one >= two, ">": one > two, "<": one < two, "=": one == two}[op]
    return {">": value > other, ">=": value >= other, "=": value == other}[op]


def routes(provider: Any) -> list[Route]:
    def items(request: Request) -> list[dict[str, Any]]:
        base = str(request.base_url).rstrip("/")
        return [_item(row, base, provider.fault) for row in provider.rows if not row.deleted]

    async def search(request: Request) -> Response:
        body = await request.json()
        provider.requests["search"] += 1
        if provider.fault == "changed schema":
            return JSONResponse({"features": items(request)[: body["limit"]], "links": []})
        found = [item for item in items(request) if _passes(item, body["filter"])]
        field = body["sortby"][0]["field"].removeprefix("properties.")
        found.sort(key=lambda item: (_value(item, field), item["id"]))
        if provider.fault == "unsorted":
            found.reverse()
        return JSONResponse({"type": "FeatureCollection", "features": found[: body["limit"]], "links": []})

    async def item(request: Request) -> Response:
        name = request.path_params["name"]
        found = [one for one in items(request) if one["id"] == name]
        return JSONResponse(found[0]) if found else JSONResponse({"description": "not found"}, 404)

    async def plain(request: Request) -> Response:
        row = provider.row(request.path_params["key"])
        row.asked += 1
        provider.tokens[request.headers.get("authorization", "")] += 1
        return provider.sent(row, request)

    def keys() -> dict[str, tuple[Row, bytes]]:
        return {
            f"Sentinel-2/MSI/L1C/{row.sensing:%Y/%m/%d}/{row.name}.SAFE/{path}": (row, body)
            for row in provider.rows
            for path, body in files_of(row.name).items()
            if not (row.fault == "still written" and path == "manifest.safe")
        }

    async def listed(request: Request) -> Response:
        if provider.fault == "signed" and f"X-Amz-Credential={KEY}" not in str(request.url):
            return Response("<Error><Code>AccessDenied</Code></Error>", 403, media_type="application/xml")
        given = request.query_params
        prefix, delimiter, after = given.get("prefix", ""), given.get("delimiter", ""), given.get("start-after", "")
        entries: dict[str, str] = {}
        for key, (row, body) in sorted(keys().items()):
            if not key.startswith(prefix) or key <= after:
                continue
            head, found, _ = key.removeprefix(prefix).partition(delimiter) if delimiter else ("", "", "")
            if found:
                entries[prefix + head + found] = f"<CommonPrefixes><Prefix>{prefix}{head}/</Prefix></CommonPrefixes>"
                continue
            tag = hashlib.md5(body).hexdigest()
            entries[key] = (
                f"<Contents><Key>{escape(key)}</Key><LastModified>{row.published:%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
                f"<ETag>&quot;{tag}&quot;</ETag><Size>{len(body)}</Size></Contents>"
            )
        page = list(entries.values())[:7]
        inside = "".join(page) + f"<IsTruncated>{str(len(page) < len(entries)).lower()}</IsTruncated>"
        space = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
        return Response(f"<ListBucketResult {space}>{inside}</ListBucketResult>", media_type="application/xml")

    async def got(request: Request) -> Response:
        found = keys().get(request.path_params["key"])
        if found is None:
            return Response("<Error><Code>NoSuchKey</Code></Error>", 404, media_type="application/xml")
        row, body = found
        if row.fault == "flipped for ever" and request.path_params["key"].endswith("B02.jp2"):
            body = b"?" + body[1:]
        return Response(body)

    return [
        Route("/stac/search", search, methods=["POST"]),
        Route("/stac/collections/sentinel-2-l1c/items/{name}", item),
        Route("/plain/{key}", plain),
        Route("/s3/eodata", listed),
        Route("/s3/eodata/{key:path}", got),
    ]
