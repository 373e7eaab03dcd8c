"""The public status pages: made once from each look at the store, kept as they are sent, and copied to the disk.

The copy is for the time when nothing of the centre runs any more: whole in itself, put in place at once, and with the
time on it at which it was true.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cachetools import LRUCache

from dashboard import assets, languages, writing
from dashboard.public import documents, maps
from dashboard.public.words import Words
from processing import storage, tiling
from processing.errors import MuscateError
from processing.store import bulletins, standing
from processing.store.standing import SiteStanding, Standing, TileStanding
from processing.versions import VERSIONS

if TYPE_CHECKING:
    from processing.settings import Settings
    from processing.store import Store

log = logging.getLogger(__name__)

#: Between two looks at the store, and the age of a look after which it is made again though nothing has changed. [s]
SECONDS, AGE = 20.0, 60.0
#: Between two copies on the disk. [s]
COPY = 60.0
#: Sites that the first page lists, those in trouble first; the others are a page further.
LISTED = 24
#: Tiles on a page of a site.
TILES = 150
#: News on the first page.
NEWS = 3
#: Pages that are kept as they were sent.
KEPT = 400
#: The folder of the copies in the home.
FOLDER = "public"


@dataclass(frozen=True)
class Look:
    """What the pages tell: the standing, and what the team says, by language.

    Attributes
    ----------
    number : int
        Grows with each look.
    standing : Standing
    fault : str
        Why the store could not be asked again; empty while it can.
    bulletins : dict
        By language: ``incidents``, ``maintenance``, ``news``, and the ``marks`` of the chart.
    """

    number: int
    standing: Standing
    fault: str
    bulletins: dict[str, dict[str, list[Any]]]


@dataclass(frozen=True)
class Sent:
    """A page as it is sent."""

    body: bytes
    packed: bytes
    etag: str

    @classmethod
    def of(cls, text: str) -> Sent:
        """A page of a text."""
        body = text.encode()
        return cls(body, gzip.compress(body, 6, mtime=0), f'"{hashlib.sha256(body).hexdigest()[:20]}"')


@dataclass(frozen=True)
class Inline:
    """The style of a page that stands alone, and its digest as a policy names it."""

    text: str
    digest: str


class Board:
    """Looks at the store for the public pages, at most every `SECONDS`; safe to call from any thread.

    Parameters
    ----------
    settings : Settings
    store : Store
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings, self._store = settings, store
        self._lock = threading.Lock()
        self._pages: LRUCache[tuple[object, ...], tuple[int, Sent]] = LRUCache(KEPT)
        self._keeping = threading.Lock()
        self._seen: tuple[Any, ...] | None = None
        self._asked = self._looked = -float("inf")
        #: The last look; None before the first one.
        self.last: Look | None = None

    @property
    def target(self) -> timedelta:
        """A date that came is late if it is not over after this."""
        return timedelta(hours=self._settings.target_hours)

    @property
    def stale(self) -> bool:
        """Whether it is time for another look."""
        return time.monotonic() - self._asked >= SECONDS

    def look(self) -> Look:
        """The newest look. While the store can't be read the last one is given, and its `fault` says why.

        Raises
        ------
        Exception
            What the store raised, if there was no look yet.
        """
        with self._lock:
            if self.last is not None and not self.stale:
                return self.last
            try:
                self.last = self._look()
            except Exception as fault:
                if self.last is None:
                    raise
                log.warning("status: the store can't be asked: %s", fault)
                words = str(fault) if isinstance(fault, MuscateError) else type(fault).__name__
                self.last = replace(self.last, number=self.last.number + 1, fault=words)
            finally:
                self._asked = time.monotonic()
            return self.last

    def _look(self) -> Look:
        with self._store.read() as session:
            seen = standing.fingerprint(session)
            if self.last and not self.last.fault and seen == self._seen and time.monotonic() - self._looked < AGE:
                return self.last
            number = self.last.number + 1 if self.last else 1
            found = Look(number, standing.take(session, self.target), "", bulletins_of(session))
        self._seen, self._looked = seen, time.monotonic()
        return found

    def page(self, key: tuple[object, ...], look: Look, make: Callable[[Look], str]) -> Sent:
        """A page of a look, made once: `key` names it."""
        with self._keeping:
            kept = self._pages.get(key)
        if kept is not None and kept[0] == look.number:
            return kept[1]
        sent = Sent.of(make(look))
        with self._keeping:
            self._pages[key] = (look.number, sent)
        return sent

    def front(self, language: str, look: Look) -> Sent:
        """The status page."""
        return self.page(("front", language), look, lambda look: self._front(language, look))

    def _front(self, language: str, look: Look, **given: Any) -> str:
        ranked = sorted(look.standing.sites, key=lambda site: standing.STATES.index(site.state))
        listed = ranked[:LISTED] if len(ranked) > LISTED else list(look.standing.sites)
        return writing.page(
            "status.html",
            language,
            here="/",
            listed=listed,
            map=drawing(
                look.standing.sites,
                maps.view(tile for site in ranked for tile in site.tiles),
                look.standing.tiles,
            ),
            chart=chart(look.standing, per_day(self._settings)),
            spans=spans(look.standing, look.bulletins[language]["marks"]),
            versions=[v for v in VERSIONS.values() if v.produced or v.known_defect],
            **self.told(language, look),
            **given,
        )

    def told(self, language: str, look: Look) -> dict[str, Any]:
        """What every page of a look is told."""
        return {
            "look": look,
            "standing": look.standing,
            "words": Words(language),
            "target": self.target,
            "target_per_day": per_day(self._settings),
            **look.bulletins[language],
        }

    def sites(self, language: str, look: Look) -> Sent:
        """The page of all sites."""

        def make(look: Look) -> str:
            told = self.told(language, look)
            return writing.page("sites.html", language, here="/sites", listed=look.standing.sites, **told)

        return self.page(("sites", language), look, make)

    def site(self, language: str, look: Look, code: str, part: int = 1) -> Sent | None:
        """The page of a site, or a further part of its tiles; None if there is none."""
        site = next((s for s in look.standing.sites if s.code == code), None)
        parts = -(-len(site.tiles) // TILES) if site else 0
        if site is None or not 1 <= part <= parts:
            return None
        tiles = [look.standing.tiles[tile] for tile in site.tiles[(part - 1) * TILES : part * TILES]]

        def make(look: Look) -> str:
            told = self.told(language, look) | {"site": site, "tiles": tiles, "part": part, "pages": parts}
            return writing.page("site.html", language, here=f"/sites/{code}", **told)

        return self.page(("site", language, code, part), look, make)

    def document(self, look: Look) -> Sent:
        """All figures of the status page, for programs."""

        def make(look: Look) -> str:
            told = documents.centre(look.standing, self._settings, look.fault)
            for kind in ("incidents", "maintenance", "news"):
                told[kind] = [documents.bulletin(one) for one in look.bulletins["en"][kind]]
            return json.dumps(told, ensure_ascii=False)

        return self.page(("document",), look, make)

    def copy(self) -> None:
        """Write the page in all languages, and its figures, below the home: each put in place at once."""
        look = self.look()
        folder = self._settings.home / FOLDER
        style = inline()
        for language in languages.LANGUAGES:
            storage.put(folder / language / "index.html", self._front(language, look, inline=style).encode())
        storage.put(folder / "status.json", self.document(look).body)

    def copied(self, language: str) -> bytes | None:
        """The page as it was last written to the disk; None where it never was."""
        try:
            return (self._settings.home / FOLDER / language / "index.html").read_bytes()
        except OSError:
            return None

    def keep(self, stop: threading.Event) -> None:
        """Look, and write the copies, every minute until stopped."""
        while True:
            try:
                self.copy()
            except Exception as fault:  # whatever it is, the next minute may be better
                log.warning("status: no copy was written: %s: %s", type(fault).__name__, fault)
            if stop.wait(COPY):
                return


def per_day(settings: Settings) -> float:
    """Products a day that all versions together should reach; 0 without a target."""
    return sum(settings.targets.values())


def inline() -> Inline:
    """The style of the public pages, to be put into one of them."""
    text = (assets.STATIC / "public.css").read_text(encoding="utf-8")
    return Inline(text, base64.b64encode(hashlib.sha256(text.encode()).digest()).decode())


def bulletins_of(session: Any) -> dict[str, dict[str, list[Any]]]:
    """What the team says now, and what it said of the days of the chart (``marks``), by language."""
    now = datetime.now(UTC)
    return {
        code: {
            "incidents": bulletins.open_incidents(session, code),
            "maintenance": bulletins.maintenance(session, code),
            "news": bulletins.latest(session, code, NEWS),
            "marks": [
                mark for mark in bulletins.marks(session, now - standing.RECENT, now, code) if mark.kind != "news"
            ],
        }
        for code in languages.LANGUAGES
    }


@dataclass(frozen=True)
class Mark:
    """A site on the map."""

    site: SiteStanding
    x: int
    y: int


@dataclass(frozen=True)
class Drawing:
    """A map: its size, the land, the ground of the tiles by state, and the marks of the sites; trouble is on top."""

    width: int
    height: int
    land: str
    patches: tuple[tuple[str, str], ...]
    marks: tuple[Mark, ...]


def drawing(sites: tuple[SiteStanding, ...], view: maps.View, tiles: Mapping[str, TileStanding]) -> Drawing:
    """The map of sites."""
    ground: dict[str, list[str]] = {state: [] for state in reversed(standing.STATES)}
    for tile, one in tiles.items():
        if tiling.valid(tile):
            ground[one.state].append(maps.patch(view, tile))
    patches = tuple((state, "".join(found)) for state, found in ground.items() if found)
    marks = [Mark(site, *view.place(*maps.middle(site.tiles))) for site in sites]
    marks.sort(key=lambda mark: -standing.STATES.index(mark.site.state))
    return Drawing(maps.WIDTH, view.height, maps.coast(view), patches, tuple(marks))


@dataclass(frozen=True)
class Bar:
    """A day of the chart. [px]"""

    x: int
    y: int
    height: int
    day: datetime
    products: int


@dataclass(frozen=True)
class Chart:
    """Products a day: bars, and the line of the target, which is None without one. [px]"""

    bars: tuple[Bar, ...]
    top: int
    target: int | None
    typical: int


#: Of the chart and of a day in it. [px]
CHART_HEIGHT, DAY = 120, 24


def chart(now: Standing, target: float) -> Chart:
    """The chart of the last days; the last bar is of a day that is not over."""
    counts = [count for _, count in now.per_day]
    top = max([*counts, whole(target), 1])
    bars = []
    for place, (day, count) in enumerate(now.per_day):
        height = round(CHART_HEIGHT * count / top) if count else 0
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        bars.append(Bar(place * DAY, CHART_HEIGHT - height, height, noon, count))
    over = sorted(counts[:-1]) or [0]
    line = CHART_HEIGHT - round(CHART_HEIGHT * target / top) if target else None
    return Chart(tuple(bars), top, line, over[len(over) // 2])


def spans(now: Standing, marks: Sequence[bulletins.Mark]) -> list[tuple[int, int, str]]:
    """Where incidents and maintenance lie on the chart: left edge, width [px], kind."""
    if not now.per_day:
        return []
    first = now.per_day[0][0]
    begin, last = datetime(first.year, first.month, first.day, tzinfo=UTC), DAY * len(now.per_day)

    def place(time: datetime) -> int:
        return min(max(round(DAY * ((time - begin) / timedelta(days=1))), 0), last)

    found = [(place(mark.starts), place(mark.ends or now.taken), mark.kind) for mark in marks]
    return [(left, max(right - left, 3), kind) for left, right, kind in found if right >= 0 and left < last]


def whole(number: float) -> int:
    """The next whole number."""
    return int(-(-number // 1))
