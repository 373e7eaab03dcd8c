"""The sites of the centre and their tiles, from ``data/sites.toml``; and the tiles that THEIA produces."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache

from processing import tiling
from processing.resources import DATA


@dataclass(frozen=True)
class Site:
    """A place that is followed.

    Attributes
    ----------
    code : str
        Short name, unique and stable.
    name, country : str
    tiles : tuple of str
        Tile ids without the T. A tile belongs to one site.
    priority : int
        1 is served first.
    """

    code: str
    name: str
    country: str
    tiles: tuple[str, ...]
    priority: int


@cache
def _read() -> tuple[Site, ...]:
    table = tomllib.loads((DATA / "sites.toml").read_text(encoding="utf-8"))
    found = tuple(Site(code, s["name"], s["country"], tuple(s["tiles"]), s["priority"]) for code, s in table.items())
    owner: dict[str, str] = {}
    for site in found:
        for tile in site.tiles:
            tiling.grid(tile)
            if owner.setdefault(tile, site.code) != site.code:
                raise ValueError(f"sites.toml: tile {tile} belongs to {owner[tile]} and to {site.code}")
    return found


def sites() -> list[Site]:
    """All sites, in the order of the file."""
    return list(_read())


def site_of(tile: str) -> Site | None:
    """The site that a tile belongs to, or None."""
    return next((site for site in _read() if tile in site.tiles), None)


@cache
def theia_tiles() -> tuple[str, ...]:
    """The 1,074 tiles of which THEIA produces Level-2A, in alphabetical order (``data/theia_tiles.txt``)."""
    lines = (DATA / "theia_tiles.txt").read_text(encoding="utf-8").splitlines()
    return tuple(tile for line in lines if not line.startswith("#") for tile in line.split())
