"""Figures for Prometheus: of the centre, of this process and of what is asked of it. None by tile or product."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard import access, queries
from dashboard.api.centre import Centre, Here
from processing.errors import StoreError

router = APIRouter()

REQUESTS = Counter("muscate_requests", "Requests answered.", ["part", "status"])
SECONDS = Histogram(
    "muscate_request_seconds",
    "Time to the first byte of an answer.",
    ["part"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


class Counted:
    """Middleware that counts requests by the part of the web, never by what they name."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, and count its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        part, begun = access.part(scope["path"]) or "none", time.perf_counter()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                SECONDS.labels(part).observe(time.perf_counter() - begun)
                REQUESTS.labels(part, f"{message['status'] // 100}xx").inc()
            await send(message)

        await self._app(scope, receive, sending)


class Figures(Collector):
    """The centre's own figures at the moment they are asked for."""

    def __init__(self, centre: Centre) -> None:
        self._centre = centre

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Gauges; only that the store is down where it is."""
        up = GaugeMetricFamily("muscate_store_up", "Whether the store answers.")
        try:
            with self._centre.store.read() as session:
                figures = queries.health(session)
        except StoreError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield GaugeMetricFamily("muscate_products", "Current products.", value=figures["products"])
        yield GaugeMetricFamily("muscate_dates_open", "Dates that are not done yet.", value=figures["open"])
        if (newest := figures["newest_product"]) is not None:
            age = (datetime.now(UTC) - newest).total_seconds()
            yield GaugeMetricFamily("muscate_newest_product_age_seconds", "Since the last publication.", value=age)
        free = shutil.disk_usage(self._centre.settings.archive).free
        yield GaugeMetricFamily("muscate_archive_free_bytes", "Free space of the archive's disk.", value=free)


@router.get("/metrics")
def metrics(centre: Here) -> Response:
    """Figures in Prometheus' text format."""
    own = CollectorRegistry()
    own.register(Figures(centre))
    return Response(generate_latest(own) + generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})
