"""Whether the centre answers, and how it stands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from dashboard import queries
from dashboard.api.centre import Here

router = APIRouter()


@router.get("/health")
def health(centre: Here) -> Response:
    """Whether the store answers, and how old what it shows is."""
    now = datetime.now(UTC)
    try:
        with centre.store.read() as session:
            figures = queries.health(session)
    except Exception as fault:  # whatever is wrong with the store, this route is there to say it
        return JSONResponse({"status": "down", "reason": f"{type(fault).__name__}: {fault}"}, 503)
    newest = figures["newest_product"]
    return JSONResponse(
        {
            "status": "ok",
            "products": figures["products"],
            "open": figures["open"],
            "newest_product": newest and newest.isoformat(),
            "newest_product_age_seconds": newest and (now - newest).total_seconds(),
            "newest_event": figures["newest_event"] and figures["newest_event"].isoformat(),
            "time": now.isoformat(),
        }
    )


@router.get("/api/summary")
def summary(centre: Here) -> dict[str, Any]:
    """What the production page shows, in figures."""
    snapshot = centre.snapshots.latest()
    backlog = snapshot.backlog["state"].value_counts()
    products, simulated = snapshot.ask(queries.count_products)
    return {
        "taken": snapshot.taken.isoformat(),
        "products": products,
        "simulated": simulated,
        "backlog": {str(state): int(count) for state, count in backlog.items()},
        "tiles": len(snapshot.coverage),
        "dates": int(snapshot.known.sum()),
    }
