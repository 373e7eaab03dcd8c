"""Subscriptions of the fake provider: one, which is pulled."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

MOST = 20


def routes(provider: Any) -> list[Route]:
    async def begin(request: Request) -> Response:
        said = await request.json()
        if said.get("SubscriptionType") != "pull" or not said.get("FilterParam"):
            return JSONResponse({"detail": "SubscriptionType is required"}, 422)
        return JSONResponse({"Id": "s1", **said}, 201)

    async def read(request: Request) -> Response:
        if not request.headers.get("authorization", "").startswith("Bearer t"):
            return JSONResponse({"detail": "Unauthorized"}, 401)
        top = min(int(request.query_params.get("$top", MOST)), MOST)
        provider.requests["read"] += 1
        return JSONResponse(
            [
                {
                    "SubscriptionEvent": event, "ProductId": row.key, "ProductName": f"{row.name}.SAFE",
                    "AckId": f"a{place}", "value": row.json(provider.fault),
                }
                for place, (row, event) in enumerate(provider.notices[:top])
            ]
        )  # fmt: skip

    async def ack(request: Request) -> Response:
        del provider.notices[: int(request.query_params["$ackid"][1:]) + 1]
        return JSONResponse({"AckMessagesNum": 1})

    return [
        Route("/odata/v1/Subscriptions", begin, methods=["POST"]),
        Route("/odata/v1/Subscriptions({key})/Read", read),
        Route("/odata/v1/Subscriptions({key})/Ack", ack, methods=["POST"]),
    ]
