"""Verdicts for others: a table, and the marked areas on the globe."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa
from pyproj import Transformer
from shapely import from_geojson, transform
from shapely.geometry import box, mapping
from shapely.geometry.polygon import orient
from sqlalchemy.orm import Session, joinedload

from processing import spreadsheet, tiling
from processing.store.models import Verdict

COLUMNS = (
    *("product", "tile", "platform", "sensing", "version", "revision"),
    *("verdict", "reasons", "comment", "reader", "time", "areas", "holds"),
)


def rows(session: Session) -> list[tuple[dict[str, Any], Verdict]]:
    """All verdicts in the order they were given, as `COLUMNS`; ``holds``: the last one of its reader."""
    last = set(session.scalars(sa.select(sa.func.max(Verdict.id)).group_by(Verdict.product_id, Verdict.reader)))
    found = session.scalars(sa.select(Verdict).options(joinedload(Verdict.product)).order_by(Verdict.id)).all()
    return [
        (
            {
                "product": v.product.identifier,
                "tile": v.product.tile,
                "platform": v.product.platform,
                "sensing": v.product.sensing.isoformat(),
                "version": v.product.version,
                "revision": v.product.revision,
                "verdict": v.verdict,
                "reasons": v.reasons,
                "comment": v.comment,
                "reader": v.reader,
                "time": v.time.isoformat(timespec="seconds"),
                "areas": len(v.areas),
                "holds": v.id in last,
            },
            v,
        )
        for v in found
    ]


def as_csv(session: Session) -> str:
    """Every verdict ever given, one a line; reasons are parted by blanks."""
    told = [row | {"reasons": " ".join(row["reasons"])} for row, _ in rows(session)]
    return spreadsheet.as_csv(told, COLUMNS)


def as_geojson(session: Session) -> str:
    """The verdicts that hold as GeoJSON (RFC 7946: longitude, latitude of WGS 84).

    A feature a marked area; for a verdict without one the tile (``whole`` is true). The properties are those of the
    table, and ``crs`` with ``crs_geometry``: the same polygon in the tile's projection. [m]
    """
    features = []
    for row, verdict in rows(session):
        if not row["holds"] or verdict.verdict == "none":
            continue
        grid = tiling.grid(verdict.product.tile)
        whole = {"geometry": mapping(box(grid.west, grid.south, grid.east, grid.north)), "reason": None}
        for area in verdict.areas or [whole]:
            place = {"whole": not verdict.areas, "area_reason": area["reason"], "crs": verdict.crs}
            features.append(
                {
                    "type": "Feature",
                    "geometry": _on_globe(area["geometry"], verdict.crs),
                    "properties": row | place | {"crs_geometry": area["geometry"]},
                }
            )
    return json.dumps({"type": "FeatureCollection", "features": features})


def _on_globe(geometry: dict[str, Any], crs: str) -> Any:
    """A polygon in degrees, its outer ring anticlockwise."""
    to_degrees = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    polygons = from_geojson(json.dumps(geometry))
    parts: Sequence[Any] = getattr(polygons, "geoms", [polygons])
    turned = [
        orient(transform(part, lambda xy: np.column_stack(to_degrees.transform(xy[:, 0], xy[:, 1])))) for part in parts
    ]
    shapes = [mapping(part) for part in turned]
    if len(shapes) == 1:
        return shapes[0]
    return {"type": "MultiPolygon", "coordinates": [shape["coordinates"] for shape in shapes]}
