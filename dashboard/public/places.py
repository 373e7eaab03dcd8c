"""Which tiles somebody means: by their names, by a site, by longitude and latitude, or by a town."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from shapely.geometry import MultiPoint, Point

from dashboard.public import towns
from dashboard.public.towns import folded
from processing import tiling
from processing.store import search
from processing.store.standing import SiteStanding

#: Tiles of a site that are offered at most.
MOST = 60
#: Longitude and latitude, in this order; a comma may stand for the point of a decimal where a space parts the two.
_LONLAT = re.compile(r"\s*(-?\d{1,3}(?:\.\d+)?)\s*[,; ]\s*(-?\d{1,2}(?:\.\d+)?)\s*")
_LONLAT_COMMA = re.compile(r"\s*(-?\d{1,3}(?:,\d+)?)\s*[; ]\s*(-?\d{1,2}(?:,\d+)?)\s*")


def find(text: str, tiles: Iterable[str], sites: Sequence[SiteStanding]) -> list[str]:
    """The tiles of the centre that a text means, sorted; none where it means nothing that is here.

    Parameters
    ----------
    text : str
        As somebody typed it: ``31tcj``, ``T31TCJ``, ``toulouse``, ``1.44, 43.6``; of a site, or else of a town.
    tiles : iterable of str
        All of the centre.
    sites : sequence of SiteStanding
    """
    known = set(tiles)
    name = text.strip().upper().removeprefix("T")
    if name in known:
        return [name]
    place = lonlat(text)
    if place is not None:
        return sorted(search.touching(known, Point(*place)))[:MOST]
    words = folded(text).split()
    found = [
        tile
        for site in sites
        if words and all(word in folded(f"{site.code} {site.name} {site.country}") for word in words)
        for tile in site.tiles
    ]
    if not found and (of_name := towns.named(text)):
        found = list(search.touching(known, MultiPoint([(town.lon, town.lat) for town in of_name])))
    return sorted(set(found))[:MOST]


def lonlat(text: str) -> tuple[float, float] | None:
    """Longitude and latitude in a text [deg]; None where it is nothing of the kind."""
    match = _LONLAT.fullmatch(text) or _LONLAT_COMMA.fullmatch(text)
    if match is None:
        return None
    lon, lat = (float(part.replace(",", ".")) for part in match.groups())
    return (lon, lat) if -180 <= lon <= 180 and -90 <= lat <= 90 else None


def names(tiles: Iterable[str], sites: Sequence[SiteStanding]) -> list[tuple[str, str]]:
    """Tiles with the names of their sites."""
    of_tile: Mapping[str, list[str]] = {tile: [] for tile in tiles}
    for site in sites:
        for tile in site.tiles:
            if tile in of_tile:
                of_tile[tile].append(site.name)
    return [(tile, ", ".join(name for name in found if name)) for tile, found in of_tile.items()]


def is_tile(text: str) -> bool:
    """Whether a text has the form of a tile's name."""
    return tiling.valid(text.strip().upper().removeprefix("T"))
