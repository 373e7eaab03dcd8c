"""The status pages: what they say, in which languages, to whom, and what is left of them when nothing runs."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from benchmarks import why_missing
from dashboard import languages, writing
from dashboard.public import maps, places, reasons, routes, status, towns
from dashboard.public.status import Board
from dashboard.public.words import NAMES, SENTENCES, Words
from processing.errors import StoreError
from processing.settings import Settings
from processing.store import Store, bulletins, passes, standing, whereabouts
from processing.store.models import JOB_STATES, Site
from processing.versions import VERSIONS
from tests import dashboard_archive
from tests.people import OPERATOR

LANGUAGES = list(languages.LANGUAGES)


class Text(HTMLParser):
    """What a reader of a page is told: its texts, and the attributes that are read out."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.told: list[str] = []
        self.skip = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = dict(attrs)
        self.skip += tag in ("style", "code") or own.get("class") == "languages"
        self.told += [str(own[name]) for name in ("aria-label", "data-name", "title") if own.get(name)]

    def handle_endtag(self, tag: str) -> None:
        self.skip -= self.skip > 0 and tag in ("style", "code", "nav")

    def handle_data(self, data: str) -> None:
        if not self.skip and data.strip():
            self.told.append(data.strip())


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, Store]]:
    settings = Settings(home=tmp_path_factory.mktemp("status"))
    store = dashboard_archive.filled(settings, size=60)
    with store.write() as session:
        for case in why_missing.fly(session, len(why_missing.FATES)):
            if case.fate == "upcoming":
                session.get_one(Site, "flown").name = '<script>alert("x")</script>'
    yield settings, store
    store.dispose()


@pytest.fixture(scope="module")
def web(centre: tuple[Settings, Store]) -> TestClient:
    return client(*centre)


def client(settings: Settings, store: Store, board: Board | None = None) -> TestClient:
    from dashboard.api import Centre

    app = FastAPI()
    app.state.centre = Centre(settings, store)
    routes.include(app, board or Board(settings, store))
    return TestClient(app)


def every_page(web: TestClient, language: str) -> Iterator[tuple[str, str]]:
    """Addresses and pages of one language: of the centre, its sites, and a tile and a day of each kind."""
    told = web.get("/status.json").json()
    yield from ((path, web.get(path).text) for path in (f"/{language}/", f"/{language}/sites", f"/{language}/why"))
    yield from ((path, web.get(path).text) for path in (f"/{language}/tiles/31TCX", f"/{language}/tiles/31TCJ/2"))
    for site in told["sites"]:
        yield f"/{language}/sites/{site['code']}", web.get(f"/{language}/sites/{site['code']}").text
    for tile, one in told["tiles"].items():
        yield f"/{language}/tiles/{tile}", web.get(f"/{language}/tiles/{tile}").text
        day = one["latest"][:10] if one["latest"] else "2026-11-03"
        for when in (day, "2026-11-03", "2026-10-20"):
            yield f"/{language}/tiles/{tile}/{when}", web.get(f"/{language}/tiles/{tile}/{when}").text


def test_the_front_page_is_in_the_language_of_the_browser(web: TestClient) -> None:
    for language in LANGUAGES:
        page = web.get("/", headers={"Accept-Language": language})
        assert page.text == web.get(f"/{language}/").text
        assert f'<html lang="{language}">' in page.text
        assert page.headers["content-language"] == language
        assert "Accept-Language" in page.headers["vary"]
        assert web.get(f"/{language}", follow_redirects=False).headers["location"] == f"/{language}/"
        assert "script-src" not in page.headers["content-security-policy"]
        assert "default-src 'none'" in page.headers["content-security-policy"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_pages_have_no_script_no_style_of_their_own_and_nothing_of_other_hosts(web: TestClient, language: str) -> None:
    for path, page in every_page(web, language):
        assert "<script" not in page, path
        assert not re.search(r"""\s(style|on\w+)=""", page), path
        assert not re.search(r"""(src|href|action)=["'](https?:)?//""", page), path
        assert page.count("<h1") == 1, path
        assert len(page.encode()) <= 100_000


def test_no_text_stands_outside_the_catalogues(web: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a language that says nothing but dots, nothing is left but names, figures and times."""

    def dots(message: str) -> str:
        kept = re.findall(r"%\(\w+\)s|%%", message)
        return "·" + " ".join(kept) + "·"

    class Pseudo:
        def gettext(self, message: str) -> str:
            return dots(message)

        def ngettext(self, one: str, many: str, n: int) -> str:
            return dots(many)

        def pgettext(self, context: str, message: str) -> str:
            return dots(message)

        def npgettext(self, context: str, one: str, many: str, n: int) -> str:
            return dots(many)

    monkeypatch.setattr(languages, "messages", lambda language: Pseudo())
    writing._environment.cache_clear()
    try:
        pages = dict(every_page(client(*_of(web)), "en"))
    finally:
        writing._environment.cache_clear()
    names = (
        r"muscate|UTC|JSON|STAC|[A-HJ-NP-Z]{3}|[SV]\d?[A-Z_\d]*|R\d+|\d{2}[A-Z]{3}|SENTINEL2\S*|S2\S+|h|min"
        r"|(?:minute|hour|day|week|month|year)s?|[/\w]*\.json|stac"
    )
    untold = set()
    known = {w for name in _names(web) for w in re.findall(r"[^\W\d_]{3,}", name)}
    months = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sept?|Oct|Nov|Dec"
    for path, page in pages.items():
        for text in Text(page).told:
            rest = re.sub(r"\([^()]*\)$", "", text) if "(" in text else text  # the English original of a reason
            rest = re.sub(r"/[\w./]+|--\w+", "", rest)  # addresses, and what is typed
            words = [w for w in re.findall(r"[^\W\d_]{3,}", rest) if not re.fullmatch(f"{names}|{months}", w)]
            if strange := set(words) - known:
                untold.add((path, text, *strange))
    assert untold == set()


def _of(web: TestClient) -> tuple[Settings, Store]:
    there = web.app.state.centre  # type: ignore[attr-defined]
    return there.settings, there.store


def _names(web: TestClient) -> list[str]:
    """What is nobody's to translate: names of sites, products and packages, and reasons as they were given."""
    with _of(web)[1].read() as session:
        sites = [f"{site.name} {site.country}" for site in session.query(Site)]
    made = [str(row) for row in web.get("/status.json").json()["tiles"]]
    given = [
        "seen to be wrong",
        "SENTINEL TCJ MSIL SAFE zip jp dem tif AncillaryError SIGKILL signal the chain's process",
    ]
    return [*sites, *made, *given, "worker was lost times", "died cut short archive ends too early does not cover tile"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_state_and_reason_has_its_words(language: str) -> None:
    words = Words(language)
    states = {*whereabouts.PASS_STATES, *whereabouts.VERSION_STATES, *JOB_STATES, *standing.STATES}
    assert states <= NAMES.keys()
    assert set(whereabouts.VERSION_STATES) == SENTENCES.keys()
    messages = [*NAMES.values(), *SENTENCES.values(), *reasons.CLASSES.values(), *(m for _, m in reasons.KNOWN)]
    messages += [text for v in VERSIONS.values() for text in (v.summary, v.known_defect) if text]
    known = languages.messages(language)._catalog  # type: ignore[attr-defined]
    found = {m for m in messages if not _in(language, m)}
    assert not found
    assert known is not None
    assert words.reason("97.1 % of cloud", "").startswith({"en": "97.1", "fr": "97,1", "es": "el 97,1"}[language])


def _in(language: str, message: str) -> bool:
    from babel.messages.pofile import read_po

    with (languages.LOCALE / f"status.{language}.po").open("rb") as file:
        return message in {m.id for m in read_po(file, locale=language)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("97.1 % of cloud", "%(number)s %% of the image is cloud"),
        ("96.0 % cloud", "%(number)s %% of the image is cloud"),
        ("S2A_X.SAFE: B04.jp2: cut short", "a file of the image is damaged or cut short"),
        ("the archive ends too early", "a file of the image is damaged or cut short"),
        ("dem.tif: does not cover the tile", "the terrain model does not serve for this tile"),
        ("held by the operator", "the operators keep it back"),
        ("something nobody foresaw", "the reason is not known yet"),
    ],
)
def test_reasons_are_told_in_words(text: str, message: str) -> None:
    found = reasons.of(text)
    assert found.message == message
    assert found.original in (text, "")


@pytest.mark.parametrize("text", ["/srv/muscate/var/archive: 1.0 GB free", "x: /home/me/l1c/31TCJ/S2A.SAFE is missing"])
def test_nobody_outside_is_told_the_folders_of_the_centre(text: str) -> None:
    told = Words("en").reason(text, "infrastructure")
    assert "/" not in told
    assert "srv" not in told
    assert "/home" not in told


def test_a_name_that_is_a_script_is_text(web: TestClient) -> None:
    page = web.get("/en/sites/flown").text
    assert "<script" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "path",
    ["tiles/99XXX", "tiles/31TCJ/2026-02-30", "tiles/31TCJ/yesterday", "tiles/99XXX/2026-01-01", "sites/atlantis"],
)
def test_what_is_not_there_is_said_in_the_language_of_the_page(web: TestClient, language: str, path: str) -> None:
    answer = web.get(f"/{language}/{path}")
    assert answer.status_code == 404
    assert f'<html lang="{language}">' in answer.text
    assert 'role="alert"' in answer.text
    assert 'action="/' in answer.text  # the way to ask again


def test_a_site_of_many_tiles_comes_in_parts(web: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "TILES", 1)
    own = client(*_of(web))
    first, second = (own.get(f"/en/sites/toulouse?page={n}").text for n in (1, 2))
    assert ("31TCJ" in first, "31TDJ" in first) == (True, False)
    assert ("31TCJ" in second, "31TDJ" in second) == (False, True)
    for page in ("0", "3", "-1", "x", "9" * 30, "٢"):
        assert own.get("/en/sites/toulouse", params={"page": page}).status_code == 404


def test_programs_get_404_too(web: TestClient) -> None:
    for path in ("/status/99XXX.json", "/status/31TCJ/never.json", "/status/99XXX/2026-01-01.json"):
        assert web.get(path).status_code == 404


def test_the_search_leads_to_the_day(web: TestClient) -> None:
    there = web.get("/fr/why", params={"place": "t31tcj ", "date": "2023-08-01"}, follow_redirects=False)
    assert (there.status_code, there.headers["location"]) == (303, "/fr/tiles/31TCJ/2023-08-01")
    several = web.get("/fr/why", params={"place": "toulouse", "date": "2023-08-01"}).text
    assert "/fr/tiles/31TCJ/2023-08-01" in several
    assert "/fr/tiles/31TDJ/2023-08-01" in several
    nothing = web.get("/es/why", params={"place": "<b>nowhere</b>", "date": "2023-08-01"})
    assert nothing.status_code == 404
    assert "&lt;b&gt;nowhere" in nothing.text
    assert web.get("/es/why", params={"place": "x" * 5000, "date": "y" * 5000}).status_code == 404
    assert web.get("/es/why").status_code == 200


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("31tcj", ["31TCJ"]),
        ("Alps", ["31TGK"]),
        ("reunion", ["40KCB"]),
        ("1.44, 43.6", ["31TCJ"]),
        ("1,44; 43,6", ["31TCJ"]),
        ("1.44,43.6", ["31TCJ"]),
        ("500, 43", []),
        ("Muret", ["31TCJ"]),
        ("Saint-Denis, RE", ["40KCB"]),
        ("la réunion saint denis", []),
        ("Sevilla", []),
        (",", []),
        ("\t", []),
        ("", []),
        ("nan nan", []),
    ],
)
def test_places(centre: tuple[Settings, Store], text: str, found: list[str]) -> None:
    look = Board(*centre).look()
    assert set(found) <= set(places.find(text, look.standing.tiles, look.standing.sites)) if found else True
    assert bool(places.find(text, look.standing.tiles, look.standing.sites)) == bool(found)


@pytest.mark.parametrize(
    ("text", "name", "lon", "lat"),
    [
        ("séville", "Sevilla", -5.97, 37.38),
        ("COLOGNE", "Köln", 6.95, 50.93),
        ("aix  provence", "Aix-en-Provence", 5.45, 43.53),
        ("Saint-Denis, re", "Saint-Denis", 55.45, -20.88),
        ("Ouagadougou", "Ouagadougou", -1.53, 12.37),
    ],
)
def test_a_town_is_known_by_its_names_and_lies_where_it_does(text: str, name: str, lon: float, lat: float) -> None:
    first = towns.named(text)[0]
    assert first.name == name
    assert (first.lon, first.lat) == pytest.approx((lon, lat), abs=0.02)


def test_every_town_is_found_by_its_own_name_and_lies_on_the_globe() -> None:
    every = towns.towns()
    assert len(every) > 30_000
    assert all(-180 <= town.lon <= 180 and -90 <= town.lat <= 90 for town in every)
    assert all(len(town.country) == 2 for town in every)
    for town in every[::500]:
        # A comma in a name parts nothing there.
        if "," not in town.name:
            assert town in towns.named(f"{town.name.upper()}, {town.country}")


def test_every_fate_of_a_date_is_told_rightly(tmp_path: Path) -> None:
    """All kinds of cases, several of each; those of the page's own promise are `benchmarks.why_missing`'s 300."""
    store = Store(f"sqlite:///{tmp_path / 'muscate.db'}")
    store.upgrade()
    with store.write() as session:
        cases = why_missing.fly(session, 3 * len(why_missing.FATES), seed=7)
    with store.read() as session:
        assert [case for case in cases if not why_missing.right(session, case)] == []
        for case in cases:
            day = whereabouts.on(session, case.tile, case.day.date(), why_missing.NOW)
            assert all(Words(code).label(day) for code in LANGUAGES)
            lately = dict(whereabouts.lately(session, case.tile, why_missing.NOW))
            if case.fate in ("missing", "awaited"):
                assert case.fate in lately.values()
    store.dispose()


def test_json_and_page_say_the_same(web: TestClient) -> None:
    told = web.get("/status.json").json()
    assert told["state"] in standing.STATES
    assert set(told["versions"]) == set(VERSIONS)
    for tile, one in told["tiles"].items():
        own = web.get(f"/status/{tile}.json").json()
        assert {name: own[name] for name in one} == one
    day = web.get("/status/31TCJ/2023-08-06.json").json()
    assert set(day["words"]) == set(LANGUAGES)
    assert [made["state"] for one in day["passes"] for made in one["made"]]


def test_a_page_is_made_once_and_known_by_its_digest(web: TestClient) -> None:
    first = web.get("/fr/", headers={"Accept-Encoding": "gzip"})
    assert first.headers["content-encoding"] == "gzip"
    again = web.get("/fr/", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert web.head("/fr/").headers["etag"] == first.headers["etag"]
    assert web.get("/fr/", headers={"Accept-Encoding": "identity"}).text == first.text


class Gone(Store):
    """A store that may go away."""

    gone = False

    def read(self):  # type: ignore[no-untyped-def]
        if self.gone:
            raise StoreError("connection refused")
        return super().read()


def test_a_store_that_can_not_be_reached_leaves_the_last_look_with_its_age(
    centre: tuple[Settings, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, store = centre
    monkeypatch.setattr(status, "SECONDS", 0.0)
    gone = Gone(settings.url)
    board = Board(settings, gone)
    web = client(settings, store, board)
    assert "connection refused" not in web.get("/en/").text
    gone.gone = True
    taken = board.last and board.last.standing.taken
    board.look()
    page = web.get("/en/").text
    assert "Not up to date" in page
    assert taken
    assert f"{taken:%H:%M} UTC" in page
    assert "connection refused" not in page  # words of a driver are nothing for the public
    assert web.get("/status.json").json()["store"] == "unreachable"
    gone.gone = False
    board.look()
    assert "Not up to date" not in web.get("/en/").text
    gone.dispose()


def test_a_store_that_was_never_reached_leaves_the_copy(centre: tuple[Settings, Store]) -> None:
    settings, store = centre
    gone = Gone(settings.url)
    gone.gone = True
    web = client(settings, store, Board(settings, gone))
    folder = settings.home / status.FOLDER
    for path in sorted(folder.rglob("*.html")):
        path.unlink()
    with web:  # one loop for all requests, as a server has
        assert web.get("/en/").status_code == 503
        Board(settings, store).copy()
        for language in LANGUAGES:
            page = web.get(f"/{language}/")
            assert page.status_code == 200
            assert page.content == (folder / language / "index.html").read_bytes()
    gone.dispose()


def test_the_copy_is_whole_in_itself_and_put_in_place_at_once(centre: tuple[Settings, Store]) -> None:
    settings, store = centre
    board = Board(settings, store)
    seen: list[str] = []
    stop = threading.Event()
    page = settings.home / status.FOLDER / "fr" / "index.html"
    board.copy()

    def read() -> None:
        while not stop.is_set():
            seen.append(page.read_text(encoding="utf-8"))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        board.copy()
    stop.set()
    reader.join()
    assert all(text.startswith("<!doctype html>") and text.rstrip().endswith("</html>") for text in seen)
    assert not [path for path in page.parent.iterdir() if path.name.startswith(".")]
    assert '<link rel="stylesheet"' not in seen[-1]
    assert "<style>" in seen[-1]
    look = board.last
    assert look is not None
    assert Words("fr").moment(look.standing.taken) in seen[-1]
    told = json.loads((settings.home / status.FOLDER / "status.json").read_text(encoding="utf-8"))
    assert told["taken"] == look.standing.taken.isoformat()


def test_the_centre_stands_as_its_tiles_do(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'muscate.db'}")
    store.upgrade()
    with store.write() as session:
        cases = {case.fate: case for case in why_missing.fly(session, len(why_missing.FATES), seed=3)}
    now = why_missing.NOW
    with store.read() as session:
        early = standing.take(session, timedelta(days=30), now)
        late = standing.take(session, timedelta(hours=1), now)
    assert early.tiles[cases["missing"].tile].state == "missing"
    assert early.tiles[cases["published"].tile].state == "on_time"
    assert early.tiles[cases["queued"].tile].state == "on_time"
    assert late.tiles[cases["queued"].tile].state == "late"
    assert late.state == "late"
    assert early.count("missing") == 1
    assert early.tiles_in("missing") == sum(tile.state == "missing" for tile in early.tiles.values())
    delay = early.tiles[cases["published"].tile].delays
    assert delay is not None
    assert timedelta(hours=3.9) < delay.typical < timedelta(hours=4.1)
    assert early.tiles[cases["queued"].tile].delay_now == now - early.tiles[cases["queued"].tile].waiting[0].sensing
    found = {(m.tile, m.platform) for m in _missing(store, now)}
    assert {(t.tile, p.platform) for t in early.tiles.values() for p in t.missing} <= found
    assert sum(count for _, count in early.per_day) > 0
    store.dispose()


def _missing(store: Store, now: datetime) -> list[passes.Missing]:
    with store.read() as session:
        return passes.missing(session, now - timedelta(days=10), now, now)


def test_an_empty_centre_says_so(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    settings.make_folders()
    store = Store(settings.url)
    store.upgrade()
    web = client(settings, store)
    for language in LANGUAGES:
        assert web.get(f"/{language}/").status_code == 200
    assert web.get("/status.json").json()["state"] == "none"
    store.dispose()


@pytest.mark.parametrize(
    "tiles", [[], ["31TCJ"], ["31TCJ", "40KCB"], ["60WWT"], ["01KAB", "60KXF"], ["60GXV", "01GEQ"]]
)
def test_a_map_shows_its_tiles_and_is_small(tiles: list[str]) -> None:
    view = maps.view(tiles)
    for tile in tiles:
        x, y = view.place(*maps.centre(tile))
        assert 0 <= x <= maps.WIDTH
        assert 0 <= y <= view.height
    path = maps.coast(view)
    assert len(path) <= maps.COAST
    assert re.fullmatch(r"(M-?\d+ -?\d+l[-\d ]+z)*", path)


def test_days_that_may_be_asked_for() -> None:
    assert routes.as_day("2026-11-03") == date(2026, 11, 3)
    for text in ("2026-11-3", "2026-13-01", "1999-01-01", "9999-01-01", "", "２０２６-11-03"):
        assert routes.as_day(text) is None
    assert datetime.now(UTC).date() < routes.LAST_DAY


def test_incidents_and_maintenance_stand_on_the_chart_where_they_were(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    settings.make_folders()
    store = dashboard_archive.filled(settings, size=32)
    now = datetime.now(UTC)
    texts = {"en": {"title": "Disk <full>", "text": "It was."}}
    for kind, first, last in (("incident", 3, 2), ("maintenance", 9, 9.5), ("incident", 80, 70), ("news", 1, None)):
        ends = None if last is None else now - timedelta(days=min(first, last))
        with store.write() as session:
            draft = bulletins.Draft(kind, "major", now - timedelta(days=max(first, last or 0)), ends, (), texts)
            bulletins.publish(session, OPERATOR, bulletins.keep(session, OPERATOR, draft).id)
    page = client(settings, store).get("/en/").text
    chart = page[page.index('<svg class="chart"') : page.index("</svg>", page.index('<svg class="chart"'))]
    spans = re.findall(r'class="told (\w+)" d="M(\d+) 0h(\d+)v', chart)
    assert [kind for kind, _, _ in spans] == ["maintenance", "incident"]
    with store.read() as session:
        begin = datetime.combine(standing.take(session, timedelta(hours=6)).per_day[0][0], time(tzinfo=UTC))
    for (_, left, width), first, last in zip(spans, (9.5, 3), (9, 2), strict=True):
        assert abs(int(left) - 24 * ((now - begin) / timedelta(days=1) - first)) <= 1
        assert abs(int(width) - 24 * (first - last)) <= 1
    assert page.count("Disk &lt;full&gt;") >= 3  # below the chart, and in the news
    told = client(settings, store).get("/status.json").json()
    assert "marks" not in told
    store.dispose()


def test_the_ground_of_each_tile_is_on_the_map_in_the_look_of_its_state(centre: tuple[Settings, Store]) -> None:
    board = Board(*centre)
    look = board.look()
    page = board.front("en", look).body.decode()
    found = re.findall(r'<path class="patch (\w+)" d="([^"]+)"', page)
    counted = sum(len(re.findall(r"M(-?\d+) (-?\d+)h\d+v\d+h-\d+z", path)) for _, path in found)
    assert counted == len(look.standing.tiles)
    view = maps.View(0, 40, 10, 46)
    left, top, wide, high = map(int, re.findall(r"\d+", maps.patch(view, "31TCJ"))[:4])
    x, y = view.place(*maps.centre("31TCJ"))
    assert left < x < left + wide
    assert top < y < top + high


def test_words_of_a_page_do_not_run_into_each_other() -> None:
    """A line's end after a tag of a template is no space: what goes on in the sentence has to bring one along."""
    goes_on = re.compile(r"(\{% (for|if) [^%]*%\})*(<(a|b|strong|span|code)\b|\{\{|\w)")
    for path in writing.TEMPLATES.glob("*.html"):
        for line, after in pairwise(path.read_text(encoding="utf-8").splitlines()):
            assert not (line.endswith("{% endtrans %}") and goes_on.match(after)), f"{path.name}: {line}"
