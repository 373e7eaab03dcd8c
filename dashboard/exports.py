"""Plain HTTP: what readers said, for other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter
from fastapi.responses import Response

from processing.quality import export

if TYPE_CHECKING:
    from processing.store import Store


def router(store: Store) -> APIRouter:
    """Verdicts as CSV and GeoJSON."""
    routes = APIRouter()

    @routes.get("/api/quality/verdicts.csv")
    def verdicts_csv() -> Response:
        """Every verdict, one a line."""
        with store.read() as session:
            return _file(export.as_csv(session), "text/csv; charset=utf-8", "verdicts.csv")

    @routes.get("/api/quality/verdicts.geojson")
    def verdicts_geojson() -> Response:
        """The verdicts that hold, with their areas."""
        with store.read() as session:
            return _file(export.as_geojson(session), "application/geo+json", "verdicts.geojson")

    return routes


def _file(text: str, kind: str, name: str) -> Response:
    return Response(text, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})
