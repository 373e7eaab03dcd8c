"""The sites of the centre and their tiles, from ``data/sites.toml`` and from the ``sites.toml`` of a home; and the
tiles that THEIA produces.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from processing import storage, tiling
from processing.errors import WrongSetting
from processing.resources import DATA

#: File of a home with the sites that were added to it.
OWN = "sites.toml"
#: Of a site and of a country. [characters]
LONGEST_NAME = 200


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


def own(home: Path) -> list[Site]:
    """The sites that somebody added to a centre, from the ``sites.toml`` of its home.

    Raises
    ------
    WrongSetting
        If the file can't be used, with what is wrong.
    """
    path = home / OWN
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        found = [
            Site(code, s["name"], s["country"], tuple(s["tiles"]), int(s["priority"])) for code, s in table.items()
        ]
        for site in found:
            check(site)
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise WrongSetting(f"{path}: {type(fault).__name__}: {' '.join(str(fault).split())}") from None
    return found


def of_home(home: Path) -> list[Site]:
    """All sites of a centre: those that ship with the program, and its own."""
    shipped = sites()
    codes = {site.code for site in shipped}
    return shipped + [site for site in own(home) if site.code not in codes]


def check(site: Site) -> None:
    """Refuse a site that can't be kept.

    Raises
    ------
    ValueError
        With what is wrong.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", site.code):
        raise ValueError(f"{site.code!r} is no code of a site: small letters, digits and -")
    for text in (site.name, site.country):
        if not text.isprintable() or len(text) > LONGEST_NAME:
            raise ValueError(f"site {site.code}: {text[:LONGEST_NAME]!r} is no name that can be shown")
    if not site.tiles:
        raise ValueError(f"site {site.code} has no tile")
    for tile in site.tiles:
        tiling.grid(tile)


def keep(home: Path, own_sites: Iterable[Site]) -> None:
    """Write a centre's own sites.

    Raises
    ------
    StorageError
        If they can't be written.
    """
    path = home / OWN
    text = "# Sites that were added to this centre (`muscate sites add`).\n"
    for site in own_sites:
        about = {"name": site.name, "country": site.country, "priority": site.priority, "tiles": list(site.tiles)}
        # A printable text and a list of them are the same in JSON and TOML, but for JSON's escapes of what has no place
        # in 16 bits.
        lines = (f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in about.items())
        text += f"\n[{site.code}]\n" + "\n".join(lines) + "\n"
    storage.put(path, text.encode())
