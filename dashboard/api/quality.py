"""What readers said of products, for other programs."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from dashboard.api.centre import Here
from dashboard.api.headers import attachment
from processing.quality import export

router = APIRouter()


@router.get("/api/quality/verdicts.csv")
def verdicts_csv(centre: Here) -> Response:
    """Every verdict, one a line."""
    with centre.store.read() as session:
        text = export.as_csv(session)
    return Response(text, media_type="text/csv; charset=utf-8", headers=attachment("verdicts.csv"))


@router.get("/api/quality/verdicts.geojson")
def verdicts_geojson(centre: Here) -> Response:
    """The verdicts that hold, with their areas."""
    with centre.store.read() as session:
        text = export.as_geojson(session)
    return Response(text, media_type="application/geo+json", headers=attachment("verdicts.geojson"))
