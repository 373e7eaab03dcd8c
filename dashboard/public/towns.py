"""Towns by their names: a list that ships with the program, so that nobody else is asked."""

from __future__ import annotations

import gzip
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from processing.resources import DATA


class Town(NamedTuple):
    """A town with its country's code and its place [deg]; `names`: as it is searched by, parted by commas."""

    name: str
    country: str
    lon: float
    lat: float
    names: str


def folded(text: str) -> str:
    """Without accents and capitals."""
    if text.isascii():
        return text.lower()
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).casefold()


@lru_cache(maxsize=1)
def towns() -> tuple[Town, ...]:
    """All towns of 15,000 people and more, the largest first."""
    text = gzip.decompress((DATA / "towns" / "towns.tsv.gz").read_bytes()).decode()
    found = []
    for line in text.splitlines():
        name, country, lon, lat, others = line.split("\t")
        found.append(Town(name, country, float(lon), float(lat), f",{folded(name)},{others}".rstrip(",") + ","))
    return tuple(found)


def named(text: str) -> list[Town]:
    """Towns of a name in any language, the largest first; if there is none, those whose name has all of the words.

    Parameters
    ----------
    text : str
        ``séville``, ``Aix Provence``; the code of a country may follow: ``Sevilla, ES``.
    """
    wanted, _, code = (part.strip() for part in folded(text).partition(","))
    if len(wanted) < 2:
        return []
    here = [town for town in towns() if not code or town.country == code.upper()]
    found = [town for town in here if f",{wanted}," in town.names]
    if found:
        return found
    words = set(wanted.replace("-", " ").split())
    likely = [town for town in here if all(word in town.names for word in words)]
    return [town for town in likely if words <= set(town.names.split(",")[1].replace("-", " ").split())]
