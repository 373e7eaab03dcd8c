"""The operators' pages of plain HTML over HTTP: whole, followed, and with orders that not everybody may give."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from dashboard import live
from dashboard.app import create
from processing.people import Role
from processing.settings import Settings
from processing.store import Store, campaigns
from processing.store.models import Campaign, Event, Job, Tile
from tests.dashboard_archive import filled
from tests.people import by, entered

PAGES = ("production", "failures", "versions")
HTML = {"accept": "text/html"}


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, Settings, Store]]:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    store = filled(settings, size=32)
    with entered(create(settings)) as client:
        yield client, settings, store
    store.dispose()


def parts(text: str) -> set[str]:
    return set(re.findall('data-part="([^"]+)"', text))


def token(text: str) -> str:
    found = re.search('name="token" value="([0-9a-f]+)"', text)
    assert found
    return found[1]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_that_shows_what_there_is_gets_its_age_alone(
    centre: tuple[TestClient, Settings, Store], name: str
) -> None:
    client = by(centre, Role.OPERATOR)
    whole = client.get(f"/{name}")
    assert whole.status_code == 200
    seen = re.search('data-snapshot="([0-9]+)"', whole.text)
    assert seen
    assert len(parts(whole.text)) > 5
    assert parts(client.get(f"/{name}", headers={live.SEEN: seen[1]}).text) == {"age"}
    assert parts(client.get(f"/{name}", headers={live.SEEN: "0"}).text) == parts(whole.text)


@pytest.mark.parametrize("address", ["/production?period=ever", "/production?step=<b>", "/failures?job=99999"])
def test_what_is_not_there_is_a_page_that_says_so(centre: tuple[TestClient, Settings, Store], address: str) -> None:
    answer = by(centre, Role.OPERATOR).get(address, headers=HTML)
    assert answer.status_code == 404
    assert "step=<b>" not in answer.text
    assert re.search("ever is no period|&lt;b&gt; is no step|There is no date 99999", answer.text)


def test_an_order_needs_role_and_token_and_is_told_in_the_page(centre: tuple[TestClient, Settings, Store]) -> None:
    _, _, store = centre
    with store.read() as session:
        job = session.scalars(sa.select(Job).where(Job.state == "failed")).one().id
    order = {"order": "retry"}
    here = f"/failures?job={job}"
    client = by(centre, Role.OPERATOR)
    held = token(client.get(here).text)
    assert client.post(here, data=order).status_code == 403
    assert client.post(here, data={**order, "token": held}, headers={"origin": "http://evil"}).status_code == 403
    by(centre, Role.SCIENTIST)
    assert client.post(here, data={**order, "token": held}).status_code == 403
    with store.read() as session:
        assert session.get_one(Job, job).state == "failed"
        refused = session.scalars(sa.select(Event).where(Event.kind == "request_refused")).all()
        assert len(refused) == 3
    by(centre, Role.OPERATOR)
    answer = client.post(here, data={**order, "token": token(client.get(here).text)})
    assert answer.status_code == 200
    assert "retry: " in answer.text
    with store.read() as session:
        assert session.get_one(Job, job).state == "ready"
    unknown = client.post(here, data={"order": "delete", "token": token(client.get(here).text)})
    assert "delete is no order" in unknown.text


def test_a_campaign_is_paused_by_a_form_and_the_page_follows(centre: tuple[TestClient, Settings, Store]) -> None:
    _, _, store = centre
    client = by(centre, Role.OPERATOR)
    sent = {"token": token(client.get("/versions").text), "version": "V1_4"}
    assert "Resume V1_4" in client.post("/versions", data={**sent, "order": "pause"}).text
    with store.read() as session:
        assert session.scalars(sa.select(Campaign.status).where(Campaign.version == "V1_4")).one() == "paused"
    assert "Pause V1_4" in client.post("/versions", data={**sent, "order": "resume"}).text
    for wrong in ({"order": "close", "version": "V1_4"}, {"order": "pause", "version": "V9"}, {"order": "start"}):
        answer = client.post("/versions", data={"token": sent["token"], **wrong})
        assert answer.status_code == 200
        assert re.search('role="status" style', answer.text)


def test_a_version_is_cut_over_by_a_form_and_only_where_it_is_whole(
    centre: tuple[TestClient, Settings, Store],
) -> None:
    client, _, store = centre
    with store.write() as session:
        session.execute(sa.update(Tile).values(current_version="V1_3"))
        session.add(Event(time=datetime.now(UTC), kind="note", severity="info", data={}))  # the pages notice it
        whole = {t for t, why in campaigns.ready(session, "V1_4").items() if why is None}
        tiles = set(session.scalars(sa.select(Tile.mgrs)))
    assert whole
    assert tiles - whole
    sent = {"token": token(by(centre, Role.OPERATOR).get("/versions").text), "version": "V1_4", "tiles": ""}

    def answer(**order: str) -> str:
        return client.post("/versions", data=sent | order).text

    def told(**order: str) -> str:
        return re.findall('data-part="said">(.*?)</div>', answer(**order))[0]

    assert f"Cut over to V1_4: users of {len(tiles)} tiles still" in answer(order="ready")
    assert f"{len(whole)} tile" in told(order="ready")
    (one, *_), (refused, *_) = sorted(whole), sorted(tiles - whole)
    assert "1 tile can be cut over; none is refused" in told(order="ready", tiles=f"t{one.lower()}")
    assert "not produced in V1_4: 99ZZZ" in told(order="ready", tiles=f"{one},99ZZZ")
    assert f"1 tile can't: {refused}: " in told(order="cut-over", tiles=refused).replace("&#x27;", "'")
    with store.read() as session:
        assert set(session.scalars(sa.select(Tile.current_version))) == {"V1_3"}
    assert f"{len(whole)} tile" in told(order="cut-over")
    with store.read() as session:
        now = dict(session.execute(sa.select(Tile.mgrs, Tile.current_version)).all())
        audited = session.scalars(sa.select(Event).where(Event.kind == "cut_over")).all()
    assert {tile for tile, version in now.items() if version == "V1_4"} == whole
    assert {event.tile for event in audited} == whole
    assert {event.actor for event in audited} == {"some operator"}
    assert f"users of {len(tiles - whole)} tile" in answer(order="ready")
    assert "Cut over to" not in by(centre, Role.SCIENTIST).get("/versions").text


@pytest.mark.parametrize("address", ["/en/", "/fr/news", "/es/help", "/en/nothing", "/en/sign-in"])
def test_a_theme_that_was_chosen_reaches_the_public_pages(
    centre: tuple[TestClient, Settings, Store], address: str
) -> None:
    client = centre[0]
    client.cookies.clear()
    plain = client.get(address, headers=HTML)
    assert '<html lang="' in plain.text
    assert "Cookie" in plain.headers["vary"]
    for cookie_sent, mark in (("dark", ' data-theme="dark"'), ("light", ' data-theme="light"'), ("<b>", "")):
        dark = client.get(address, headers={**HTML, "cookie": f"muscate-theme={cookie_sent}"})
        head = plain.text.partition("</head>")[0]
        assert dark.text.partition("</head>")[0] == head.replace("<html", f"<html{mark}", 1)
        assert f"<html{mark} lang=" in dark.text
        if mark and "etag" in plain.headers:
            assert dark.headers["etag"] != plain.headers["etag"]
            asked = {**HTML, "cookie": f"muscate-theme={cookie_sent}", "if-none-match": dark.headers["etag"]}
            again = client.get(address, headers=asked)
            assert (again.status_code, again.headers["etag"]) == (304, dark.headers["etag"])


@pytest.mark.parametrize("name", [*PAGES, "products", "products?product=nobody", "browse", "coverage"])
def test_a_plain_page_runs_no_script_but_ours(centre: tuple[TestClient, Settings, Store], name: str) -> None:
    """Were a name of the store ever written as it is, the browser would not run it."""
    answer = by(centre, Role.OPERATOR).get(f"/{name}", headers=HTML)
    said = answer.headers["content-security-policy"]
    (scripts,) = re.findall("script-src ([^;]+)", said)
    assert "unsafe" not in scripts
    maps = re.findall('<script type="importmap">(.*?)</script>', answer.text)
    digests = [f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'" for one in maps]
    assert scripts.split() == ["'self'", *digests]
    assert "frame-ancestors 'self'" in said
    inline = re.findall(r"<script(?![^>]*(?: src=|importmap|application/json))", answer.text)
    assert not inline
