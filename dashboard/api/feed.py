"""Products as they come, as an Atom feed (RFC 4287): of a site, of a tile, or all of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from lxml import etree

from dashboard.api.centre import Here
from processing.store import happenings
from processing.store.happenings import Happening

router = APIRouter()

ATOM = "http://www.w3.org/2005/Atom"
#: Of each kind of event what a reader is told.
_WORDS = {"published": "published", "withdrawn": "withdrawn", "reinstated": "given again"}


@router.get("/products.atom")
def feed(
    request: Request,
    centre: Here,
    site: Annotated[str, Query(max_length=100, description="Code of a site.")] = "",
    tile: Annotated[str, Query(max_length=10, description="31TCJ")] = "",
) -> Response:
    """The last hundred events of products: published, withdrawn with the reason, given again."""
    with centre.store.read() as session:
        found = list(happenings.of_products(session, site=site, tile=tile))
    base = centre.settings.public_url.rstrip("/") or str(request.base_url).rstrip("/")
    named = urlencode({key: value for key, value in (("site", site), ("tile", tile)) if value})
    own = f"{base}/products.atom{'?' + named if named else ''}"
    return Response(_atom(found, own, base), media_type="application/atom+xml")


def _atom(found: list[Happening], own: str, base: str) -> bytes:
    root = etree.Element("feed", nsmap={None: ATOM})
    _add(root, "id", own)
    _add(root, "title", "muscate: products")
    _add(root, "updated", _moment(max((one.time for one in found), default=datetime(1970, 1, 1, tzinfo=UTC))))
    _add(_add(root, "author"), "name", "muscate")
    _add(root, "link", rel="self", type="application/atom+xml", href=own)
    for one in found:
        entry, product = _add(root, "entry"), one.product
        item = f"{base}/stac/collections/muscate-l2a-all/items/{product.identifier}"
        _add(entry, "id", f"{item}#{one.number}")
        _add(entry, "title", f"{product.identifier}: {_WORDS[one.kind]}")
        _add(entry, "updated", _moment(one.time))
        _add(entry, "link", rel="alternate", type="text/html", href=f"{base}/products?product={product.identifier}")
        _add(entry, "link", rel="related", type="application/geo+json", href=item)
        if product.valid:
            length = str(product.bytes)
            zipped = f"{base}/products/{product.identifier}/zip"
            _add(entry, "link", rel="enclosure", type="application/zip", href=zipped, length=length)
        _add(entry, "category", term=f"tile:{product.tile}")
        _add(entry, "category", term=one.kind)
        _add(entry, "summary", one.reason or f"{product.tile} {product.sensing:%Y-%m-%d} {product.version}")
    return bytes(etree.tostring(root, xml_declaration=True, encoding="utf-8"))


def _add(parent: Any, name: str, text: str | None = None, **attributes: str) -> Any:
    element = etree.SubElement(parent, f"{{{ATOM}}}{name}", **attributes)
    element.text = text
    return element


def _moment(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
