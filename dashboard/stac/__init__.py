"""The catalogue as STAC: the same search as the page's, for `pystac-client`, QGIS, STAC Browser and scripts.

STAC 1.1, STAC API 1.0 (core, collections, features, item search, sort, fields, query, filter in CQL2, text and JSON).
An item is a product; its geometry is where it has data, by which areas are searched. The collection ``muscate-l2a`` has
of each date what users get by default: the newest revision in the tile's current version; ``muscate-l2a-all`` has every
version, and those that were withdrawn, marked as deprecated.

``vocabulary`` has the words of the standards, ``times`` their times. What is asked for is read by ``requests``, its
filters by ``filters``; ``addresses`` goes the other way. ``items`` makes a product an item with its ``assets``,
``documents`` all that is around them. Nothing here knows HTTP: the routes are in `dashboard.api.stac`.
"""

from dashboard.stac.addresses import address
from dashboard.stac.assets import written
from dashboard.stac.documents import collection, landing, links, queryables
from dashboard.stac.filters import filtered
from dashboard.stac.items import footprint, item, only, text
from dashboard.stac.requests import MOST, Asked, asked
from dashboard.stac.times import moment
from dashboard.stac.vocabulary import ALL, CONFORMS, CURRENT, GEOJSON, QUERYABLES, SORTABLES, TITLES

__all__ = [
    "ALL",
    "CONFORMS",
    "CURRENT",
    "GEOJSON",
    "MOST",
    "QUERYABLES",
    "SORTABLES",
    "TITLES",
    "Asked",
    "address",
    "asked",
    "collection",
    "filtered",
    "footprint",
    "item",
    "landing",
    "links",
    "moment",
    "only",
    "queryables",
    "text",
    "written",
]
