"""News as readers and programs get them, and the forms that the team writes them with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import sqlalchemy as sa
from axe_playwright_python.sync_playwright import Axe
from babel.messages.pofile import read_po
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2.ext import babel_extract
from lxml import etree, html
from playwright import sync_api as playwright

from dashboard import markdown, writing
from dashboard.api.centre import Centre
from dashboard.guard import Guard, Guards
from dashboard.languages import LANGUAGES, LOCALE
from dashboard.public import feeds, news
from processing.people import Actor, Role
from processing.settings import Settings
from processing.sites import Site
from processing.store import Store, bulletins, sites
from processing.store import people as kept
from processing.store.bulletins import Draft, Told
from processing.store.models import Bulletin, Event
from tests.public_web import ROLE, application, served

ANNA = Actor("anna", Role.OPERATOR, "test")
NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
SCRIPT = '<script>document.title="taken"</script><img src=x onerror="document.title=1">'
TEAM = {ROLE: "operator"}
ATOM = {"a": feeds.ATOM}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    home = tmp_path_factory.mktemp("news")
    store = Store(f"sqlite:///{home / 'muscate.db'}")
    store.upgrade()
    known = Site("alps", f"Alps {SCRIPT}", "FR", ("31TGK",), 1), Site("lot", "Lot & Garonne", "FR", ("31TCJ",), 2)
    with store.write() as session:
        sites.register_sites(session, known)
        for draft in (
            Draft("news", texts={"en": {"title": f"V2_0 {SCRIPT}", "text": f"# Head\n\n{SCRIPT} [x](javascript:a)"}}),
            Draft("news", texts={code: {"title": f"Three {code}", "text": f"**text** {code}"} for code in LANGUAGES}),
            Draft(
                "incident", "major", NOW - HOUR, None, ("alps",), {"fr": {"title": "Panne", "text": "Disque; plein"}}
            ),
            Draft(
                "maintenance",
                "minor",
                NOW + HOUR,
                NOW + 3 * HOUR,
                ("lot",),
                {"en": {"title": "Disks, moved; " + "é" * 90, "text": "a,b;c\\d\ne" + "\U0001f6f0" * 40}},
            ),
        ):
            row = bulletins.keep(session, ANNA, draft)
            bulletins.publish(session, ANNA, row.id)
            if draft.kind == "incident":
                bulletins.update(session, ANNA, row.id, "identified", {"fr": f"Cause {SCRIPT}\n\n    code"})
        hidden = {"en": {"title": "Not yet", "text": "hidden"}}
        bulletins.keep(session, ANNA, Draft("news", texts=hidden))
    yield store
    store.dispose()


@pytest.fixture(scope="module")
def web(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(application(Settings(home=tmp_path_factory.mktemp("home")), store, news.router)) as address:
        yield address


@pytest.fixture
def http(web: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=web) as client:
        yield client


def told(store: Store, language: str = "en") -> list[Told]:
    with store.read() as session:
        return bulletins.of_site(session, language)


def uid(store: Store, kind: str) -> str:
    return next(one.uid for one in told(store) if one.kind == kind)


# Markdown


@pytest.mark.parametrize(
    ("address", "stands"),
    [
        ("https://a.example/b?c=d", True),
        ("http://a.example", True),
        ("mailto:a@b.example", True),
        ("/en/help#clm", True),
        ("help", True),
        ("#clm", True),
        ("javascript:alert(1)", False),
        ("JaVaScRiPt:alert(1)", False),
        ("data:text/html,x", False),
        ("vbscript:x", False),
        ("file:///etc/passwd", False),
        ("//evil.example/x", False),
        ("/\\evil.example", False),
        ("\\\\evil.example", False),
        ("java\nscript:x", False),
    ],
)
def test_a_link_leads_where_it_may(address: str, stands: bool) -> None:
    assert markdown.leads_somewhere(address) is stands
    found = html.fragment_fromstring(markdown.html(f"[here](<{address}>)"), create_parent=True).findall(".//a")
    if stands:
        assert [a.get("rel") for a in found] == ["nofollow noopener"]
    else:  # a backslash that was encoded is a part of a name
        assert all("%5C" in a.get("href") for a in found)


@settings(deadline=None, max_examples=300)
@given(text=st.text(alphabet=st.sampled_from("<>\"'`[]()!\\/:&#*_-|=\n scriptonejavmgdt1"), max_size=80))
def test_no_text_makes_a_tag_of_its_own(text: str) -> None:
    known = {*("p", "em", "strong", "a", "code", "pre", "ul", "ol", "li", "blockquote", "hr", "br", "div")} | {
        *("h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td")
    }
    made = html.fragment_fromstring(markdown.html(text), create_parent="div")
    for element in made.iter():
        assert element.tag in known
        assert set(element.attrib) <= {"href", "rel", "title", "class", "tabindex", "start"}
        assert markdown.leads_somewhere(element.get("href", "/"))


def test_a_table_bears_its_sides_as_classes() -> None:
    made = markdown.html("| a | b |\n|--:|---|\n| 1 | 2 |")
    assert 'class="to-right">1' in made
    assert "style" not in made


# What everybody reads


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_tells_what_goes_on_first_and_script_is_text(language: str, http: httpx.Client) -> None:
    answer = http.get(f"/{language}/news")
    assert (answer.status_code, len(answer.content) < 100_000) == (200, True)
    page = html.fromstring(answer.text)
    assert page.get("lang") == language
    assert not page.xpath("//script|//img|//@onerror")
    titles = [text.text_content() for text in page.xpath("//article/*[1]")]
    assert titles[0].startswith("Disks")
    assert titles[1] == "Panne"
    assert f"V2_0 {SCRIPT}" in titles
    assert "Not yet" not in answer.text
    notes = {e.getparent().xpath("string(*[1])"): e.text for e in page.find_class("fallback")}
    assert ("Panne" in notes) is (language != "fr")
    assert f"Three {language}" in titles


def test_one_bulletin_has_its_address_and_a_draft_has_none(store: Store, http: httpx.Client) -> None:
    page = http.get(f"/es/news/{uid(store, 'incident')}")
    assert page.status_code == 200
    assert "Sin traducir: este texto está en Français." in page.text
    assert "causa identificada" in page.text
    with store.read() as session:
        hidden = session.scalars(sa.select(Bulletin).where(Bulletin.state == "draft")).first()
    assert hidden is not None
    assert http.get(f"/en/news/{hidden.uid}").status_code == 404


@pytest.mark.parametrize(
    "address",
    ["/de/news", "/en/news/0", "/en/news?site=atlantis", "/en/news?kind=gossip", "/xx/news.atom"]
    + ["/en/maintenance.ics?site=x", "/news.json?language=de", "/en/news.atom?site=x"],
)
def test_what_is_not_there_is_not_found(address: str, http: httpx.Client) -> None:
    assert http.get(address).status_code == 404


def test_a_reader_of_a_site_gets_what_concerns_it(http: httpx.Client) -> None:
    assert "Panne" not in http.get("/en/news?site=lot").text
    assert "Panne" in http.get("/en/news?site=alps").text
    found = http.get("/news.json?site=lot").json()["bulletins"]
    assert {tuple(one["sites"]) for one in found} == {(), ("lot",)}
    assert b"BEGIN:VEVENT" not in http.get("/en/maintenance.ics?site=alps").content
    assert {one["kind"] for one in http.get("/news.json?kind=incident").json()["bulletins"]} == {"incident"}


@pytest.mark.parametrize(("accepted", "language"), [("fr", "fr"), ("es-MX", "es"), ("de", "en")])
def test_an_address_without_a_language_leads_to_the_reader_s(accepted: str, language: str, http: httpx.Client) -> None:
    answer = http.get("/news", headers={"accept-language": accepted})
    assert answer.headers["location"] == f"/{language}/news"


# Feeds


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_feed_keeps_the_rules_of_atom(language: str, store: Store, http: httpx.Client) -> None:
    """RFC 4287, 4.1.1 and 4.1.2: what a feed and its entries must have, once; ids that are for ever."""
    answer = http.get(f"/{language}/news.atom")
    assert answer.headers["content-type"].startswith("application/atom+xml")
    feed = etree.fromstring(answer.content)
    assert feed.tag == f"{{{feeds.ATOM}}}feed"
    for parent in (feed, *feed.findall("a:entry", ATOM)):
        for tag in ("id", "title", "updated"):
            (one,) = parent.findall(f"a:{tag}", ATOM)
            assert one.text
        datetime.fromisoformat(parent.findtext("a:updated", namespaces=ATOM))
    assert feed.find("a:author/a:name", ATOM) is not None
    assert feed.find("a:link[@rel='self']", ATOM).get("href") == str(answer.url)
    entries = feed.findall("a:entry", ATOM)
    ids = [entry.findtext("a:id", namespaces=ATOM) for entry in entries]
    assert sorted(ids) == sorted(feeds.urn(one.uid) for one in told(store))
    updated = [entry.findtext("a:updated", namespaces=ATOM) for entry in entries]
    assert updated == sorted(updated, reverse=True)
    assert feed.findtext("a:updated", namespaces=ATOM) == updated[0]
    for entry in entries:
        link = entry.find("a:link[@rel='alternate']", ATOM).get("href")
        assert httpx.get(link).status_code == 200
        content = entry.find("a:content", ATOM)
        assert content.get("type") == "html"
        assert not html.fragment_fromstring(content.text, create_parent=True).xpath(".//script|.//img|.//@onerror")


def test_an_empty_feed_is_a_feed() -> None:
    feed = etree.fromstring(feeds.atom([], "en", "http://a.example"))
    assert feed.findtext("a:updated", namespaces=ATOM) == "1970-01-01T00:00:00Z"


def unfolded(content: bytes) -> list[str]:
    """The lines of a calendar, held against RFC 5545, 3.1: CRLF, no more than 75 bytes, whole characters."""
    assert content.endswith(b"\r\n")
    raw = content[:-2].split(b"\r\n")
    assert all(0 < len(line) <= 75 and b"\n" not in line and b"\r" not in line for line in raw)
    for line in raw:
        line.decode()
    return content.decode().replace("\r\n ", "").split("\r\n")[:-1]


def events_of(content: bytes) -> list[dict[str, str]]:
    lines = unfolded(content)
    assert (lines[0], lines[-1]) == ("BEGIN:VCALENDAR", "END:VCALENDAR")
    found: list[dict[str, str]] = []
    inside = False
    for line in lines[1:-1]:
        name, _, value = line.partition(":")
        if line == "BEGIN:VEVENT":
            found.append({})
            inside = True
        elif line == "END:VEVENT":
            inside = False
        elif inside:
            assert name.split(";")[0] not in found[-1]
            found[-1][name.split(";")[0]] = value
        else:
            assert name.split(";")[0] in {"VERSION", "PRODID", "CALSCALE", "METHOD", "X-WR-CALNAME", "REFRESH-INTERVAL"}
    return found


def plain(value: str) -> str:
    """A value as it was before it was escaped."""
    return re.sub(r"\\(.)", lambda m: "\n" if m[1] in "nN" else m[1], value)


def test_the_calendar_keeps_the_rules(store: Store, http: httpx.Client) -> None:
    answer = http.get("/en/maintenance.ics")
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    (event,) = events_of(answer.content)
    (one,) = (one for one in told(store) if one.kind == "maintenance")
    assert event["UID"] == f"{one.uid}@muscate"
    assert event["DTSTART"] == f"{one.starts:%Y%m%dT%H%M%SZ}"
    assert event["DTEND"] == f"{one.ends:%Y%m%dT%H%M%SZ}"
    assert (plain(event["SUMMARY"]), plain(event["DESCRIPTION"])) == (one.title, one.text)
    assert event["STATUS"] == "CONFIRMED"
    assert {"DTSTAMP", "SEQUENCE", "URL"} <= event.keys()


@settings(deadline=None, max_examples=200)
@given(text=st.text(max_size=300))
def test_any_text_comes_through_a_calendar(text: str) -> None:
    text = bulletins._clean(text, 1000)
    one = Told(1, "0" * 32, "maintenance", "minor", "published", "planned", text, text, "en", NOW, NOW + HOUR, (), (), NOW, NOW, 3)  # noqa: E501  # fmt: skip
    (event,) = events_of(feeds.calendar([one], "en", "http://a.example"))
    assert plain(event["DESCRIPTION"]) == plain(event["SUMMARY"]) == text


def test_what_was_withdrawn_is_cancelled_in_calendars_under_its_name(http: httpx.Client, store: Store) -> None:
    with store.write() as session:
        draft = Draft("maintenance", "minor", NOW + HOUR, NOW + 2 * HOUR, (), {"en": {"title": "Off"}})
        row = bulletins.keep(session, ANNA, draft)
        bulletins.publish(session, ANNA, row.id)
    before = next(e for e in events_of(http.get("/en/maintenance.ics").content) if e["UID"].startswith(row.uid))
    with store.write() as session:
        bulletins.withdraw(session, ANNA, row.id)
    after = next(e for e in events_of(http.get("/en/maintenance.ics").content) if e["UID"].startswith(row.uid))
    assert (before["STATUS"], after["STATUS"]) == ("CONFIRMED", "CANCELLED")
    assert int(after["SEQUENCE"]) > int(before["SEQUENCE"])
    assert "Off" not in http.get("/en/news").text


# Where the team writes


def token(http: httpx.Client, address: str = "/en/news/edit/new") -> str:
    found = re.search(r'name="token" value="([0-9a-f]+)"', http.get(address, headers=TEAM).text)
    assert found
    return found[1]


def send(http: httpx.Client, address: str, headers: dict[str, str] = TEAM, **typed: Any) -> httpx.Response:
    body = urlencode(typed, doseq=True)
    return http.post(address, content=body, headers={"content-type": "application/x-www-form-urlencoded", **headers})


def test_a_bulletin_from_preview_to_its_end(http: httpx.Client, store: Store) -> None:
    typed = {"token": token(http), "kind": "incident", "grade": "major", "site": ["alps", "lot"]}
    typed |= {"title_en": "Late <b>", "text_en": "Since *noon*", "title_fr": "Retard", "starts": "2026-01-02T03:04"}
    before = len(told(store))
    preview = send(http, "/en/news/edit/new", **typed, do="preview")
    assert preview.status_code == 200
    assert len(html.fromstring(preview.text).find_class("bulletin")) == 3
    assert "Since <em>noon</em>" in preview.text
    assert "Sin traducir" not in preview.text  # the page's own language
    assert len(told(store)) == before
    kept = send(http, "/en/news/edit/new", **typed, do="save")
    assert (kept.status_code, len(told(store))) == (303, before)
    address = kept.headers["location"].partition("?")[0]
    assert "Kept" in http.get(kept.headers["location"], headers=TEAM).text
    typed["sequence"] = "0"
    assert send(http, address, **typed, do="publish").headers["location"].endswith("said=published")
    (one,) = (one for one in told(store) if one.title == "Late <b>")
    assert (one.starts, one.sites) == (datetime(2026, 1, 2, 3, 4, tzinfo=UTC), ("alps", "lot"))
    done = send(http, address + "/update", token=typed["token"], stage="resolved", step_en="All well.")
    assert done.headers["location"].endswith("said=updated")
    assert "All well." in http.get(f"/en/news/{one.uid}").text
    stale = send(http, address, **typed, do="save")
    assert stale.status_code == 422
    assert "somebody else has changed it" in stale.text
    assert send(http, address, **typed, do="withdraw").status_code == 303
    assert http.get(f"/en/news/{one.uid}").status_code == 404


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"title_en": "", "text_en": ""}, "il faut un titre"),
        ({"title_en": ""}, "un texte n’a pas de titre"),
        ({"starts": "yesterday"}, "yesterday: n’est pas une date"),
        ({"kind": "maintenance"}, "besoin d’un début"),
        ({"site": "<i>"}, "&lt;i&gt;: ce site n’existe pas"),
        ({"starts": "2026-01-02T03:04", "ends": "2026-01-02T03:04"}, "ne suit pas le début"),
    ],
)
def test_a_fault_is_told_in_the_page_s_language_and_nothing_typed_is_lost(
    given: dict[str, str], said: str, http: httpx.Client, store: Store
) -> None:
    typed = {
        "token": token(http),
        "kind": "incident",
        "grade": "minor",
        "title_en": "T",
        "text_en": 'long "text" </textarea>',
    }
    answer = send(http, "/fr/news/edit/new", **{**typed, **given}, do="publish")
    assert answer.status_code == 422
    assert said in answer.text
    assert (
        html.fromstring(answer.text).xpath("string(//textarea[@name='text_en'])").strip()
        == {**typed, **given}["text_en"]
    )


@pytest.mark.parametrize("role", ["public", "scientist"])
@pytest.mark.parametrize("address", ["/en/news/edit", "/en/news/edit/new", "/en/news/edit/1"])
def test_who_may_not_write_sees_no_form(role: str, address: str, http: httpx.Client) -> None:
    answer = http.get(address, headers={ROLE: role})
    assert answer.status_code == 403
    assert not html.fromstring(answer.text).xpath("//form|//textarea")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"role": "scientist"}, "token"),
        ({"role": "public"}, "token"),
        ({"token": ""}, "token"),
        ({"token": "0" * 64}, "token"),
        ({"token": "é"}, "token"),
        ({"origin": "http://evil.example"}, "another origin"),
        ({"origin": "null"}, "another origin"),
    ],
)
@pytest.mark.parametrize("address", ["/en/news/edit/new", "/en/news/edit/1", "/en/news/edit/1/update"])
def test_nothing_changes_without_role_token_and_origin_and_it_is_noted(
    change: dict[str, str], why: str, address: str, http: httpx.Client, store: Store
) -> None:
    typed = {
        "token": token(http),
        "kind": "news",
        "grade": "info",
        "title_en": "sneaked",
        "do": "publish",
        "step_en": "x",
    }
    headers = {ROLE: change.get("role", "operator")}
    if "origin" in change:
        headers["origin"] = change["origin"]
    if "token" in change:
        typed["token"] = change["token"]
    with store.read() as session:
        before = session.scalars(sa.select(Bulletin.sequence).order_by(Bulletin.id)).all()
        noted = session.scalar(sa.select(sa.func.max(Event.id)))
    answer = send(http, address, headers, **typed)
    assert answer.status_code == 403
    with store.read() as session:
        assert session.scalars(sa.select(Bulletin.sequence).order_by(Bulletin.id)).all() == before
        (event,) = session.scalars(sa.select(Event).where(Event.id > noted))
    assert (event.kind, event.data["why"]) == ("request_refused", why)
    assert ("sneaked" in answer.text) is ("origin" not in change)


def test_a_session_that_ended_loses_nothing_typed(http: httpx.Client) -> None:
    old = token(http)
    typed = {"kind": "incident", "grade": "major", "title_es": "Título", "text_es": "a < b\n\nc", "site": "lot"}
    answer = send(http, "/es/news/edit/new", {ROLE: "public"}, token=old, do="publish", **typed)
    assert answer.status_code == 403
    page = html.fromstring(answer.text)
    assert "no ha iniciado sesión" in answer.text
    assert page.xpath("string(//input[@name='title_es']/@value)") == typed["title_es"]
    assert page.xpath("string(//textarea[@name='text_es'])").strip() == typed["text_es"]
    assert page.xpath("//input[@name='site'][@checked]/@value") == ["lot"]
    again = send(http, "/es/news/edit/new", {ROLE: "admin"}, token=old, do="save", **typed)  # signed in as another
    assert again.status_code == 403
    fresh = html.fromstring(again.text).xpath("string(//input[@name='token']/@value)")
    assert send(http, "/es/news/edit/new", {ROLE: "admin"}, token=fresh, do="save", **typed).status_code == 303


def test_a_form_is_bounded_and_an_unknown_bulletin_is_none(http: httpx.Client) -> None:
    assert send(http, "/en/news/edit/new", text_en="x" * 310_000).status_code == 413
    for key in ("99999", "x", "-1", "1" * 30, "²"):
        assert send(http, f"/en/news/edit/{key}", {}, kind="news", title_en="x").status_code == 403
        assert http.get(f"/en/news/edit/{key}", headers=TEAM).status_code == 404
        assert send(http, f"/en/news/edit/{key}", token=token(http), kind="news", title_en="x").status_code == 404


# Behind the guard


def test_whose_session_ended_signs_in_anew_and_sends_what_he_typed(tmp_path: Path) -> None:
    """Revoked while the form is open: told so, nothing lost, and sent again after the next sign-in."""
    told_to = Settings(home=tmp_path)
    store, admin = Store(told_to.url), Actor("root", Role.ADMIN, "test")
    store.upgrade()
    app = FastAPI()
    app.state.centre = Centre(told_to, store)
    app.include_router(news.router)
    app.add_middleware(Guard, guards=Guards(told_to, store, b"x" * 32))
    typed = {"kind": "news", "grade": "info", "title_fr": "Titre à moi", "text_fr": "Longtemps écrit."}
    form = {"content-type": "application/x-www-form-urlencoded"}

    def signed_in() -> dict[str, str]:
        with store.write() as session:
            token = kept.begin(session, kept.find(session, "olga"), "here", "browser", "password")
        return {"cookie": f"muscate-{told_to.port}={token}"}

    with store.write() as session:
        kept.add(session, "olga", Role.OPERATOR, admin, None)
    with served(app) as address, httpx.Client(base_url=address) as client:
        here, page = {"origin": address, **form}, f"{address}/fr/news/edit/new"

        def token_in(answer: httpx.Response) -> str:
            return str(html.fromstring(answer.text).xpath("string(//input[@name='token']/@value)"))

        def sent(cookie: dict[str, str], token: str) -> httpx.Response:
            return client.post(
                page, content=urlencode({**typed, "token": token, "do": "publish"}), headers=here | cookie
            )

        first = signed_in()
        token = token_in(client.get(page, headers=first))
        with store.write() as session:
            kept.revoke(session, "olga", admin)
        over = sent(first, token)
        assert (over.status_code, "pas connecté" in over.text) == (403, True)
        second = signed_in()
        again = sent(second, token_in(over))  # the form is still the other session's
        assert (again.status_code, "autre session" in again.text) == (403, True)
        for answer in (over, again):
            shown = html.fromstring(answer.text)
            assert shown.xpath("string(//input[@name='title_fr']/@value)") == typed["title_fr"]
            assert shown.xpath("string(//textarea[@name='text_fr'])").strip() == typed["text_fr"]
        assert sent(second, token_in(again)).status_code == 303
        stranger = client.post(
            page, content=urlencode(typed), headers={**form, **second, "origin": "http://evil.example"}
        )
        assert (stranger.status_code, typed["title_fr"] in stranger.text) == (403, False)
    with store.read() as session:
        assert [one.title for one in bulletins.latest(session, "fr", 9)] == [typed["title_fr"]]
        whys = [e.data["why"] for e in session.scalars(sa.select(Event).where(Event.kind == "request_refused"))]
        assert len(whys) == 3  # each once
    store.dispose()


# Texts


def test_no_text_of_a_page_is_outside_of_the_catalogues() -> None:
    """Every message of our templates is in all catalogues, and templates hold no words but messages."""
    known = {}
    for language in LANGUAGES:
        with (LOCALE / f"news.{language}.po").open("rb") as file:
            known[language] = {message.id for message in read_po(file)}
    options = {"trimmed": "true", "trim_blocks": "true", "lstrip_blocks": "true", "extensions": "jinja2.ext.i18n"}
    for path in sorted(writing.TEMPLATES.glob("news*.html")):
        with path.open("rb") as file:
            for _, _, message, _ in babel_extract(file, ("_",), [], options):
                for language in LANGUAGES:
                    assert message is None or message in known[language], (path.name, message)
        text = re.sub(r"{#.*?#}", "", path.read_text(), flags=re.S)
        text = re.sub(r"{%-? *trans.*?endtrans *-?%}", "", text, flags=re.S)
        text = re.sub(r"{[{%].*?[}%]}", "", text, flags=re.S)
        words = re.sub(r"<[^>]*>", " ", text).replace("JSON", "")
        assert not re.search(r"[A-Za-zÀ-ÿ]{2,}", unescape(words)), (path.name, words.split())
    faults = re.findall(
        r'BadBulletin\("([^"]+)"', Path(bulletins.__file__).read_text() + Path(news.__file__).read_text()
    )
    assert len(faults) > 8
    assert set(faults) <= known["fr"]


# In a browser


@pytest.mark.parametrize("language", LANGUAGES)
def test_pages_can_be_read_by_everybody(language: str, web: str, store: Store, browser: playwright.Browser) -> None:
    """axe-core finds nothing; no request leaves this host; nothing runs; nothing is wider than a phone."""
    addresses = ["news", f"news/{uid(store, 'incident')}", "news/edit", "news/edit/new?kind=maintenance", "news/edit/1"]
    with browser.new_context(extra_http_headers=TEAM, reduced_motion="reduce") as context:
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        for address in addresses:
            page.goto(f"{web}/{language}/{address}")
            for width in (1280, 390):
                page.set_viewport_size({"width": width, "height": 900})
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (address, width)
            found = Axe().run(page).response["violations"]
            assert found == [], (address, json.dumps(found, indent=1)[:3000])
            assert page.title() not in ("taken", "1")
    assert all(url.startswith(web) for url in asked)
