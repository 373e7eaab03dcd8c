"""From a bar of Production to the log of an attempt and its orders, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright import sync_api as playwright

from processing.people import Role, command_line
from processing.production import attempt_log
from processing.settings import Settings
from processing.store import Store, people
from processing.store.models import Attempt, Event, Job
from tests.browser import free_port
from tests.dashboard_archive import fill
from tests.test_browser import DESKTOP, WAIT, picture, serving

pytestmark = pytest.mark.slow

LOG = "attempts/2023-08/failed.log"


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Settings, Store]]:
    """A centre with a date that failed, its log, and a script where a reason should be."""
    settings = Settings(home=tmp_path_factory.mktemp("home"), port=free_port())
    settings.make_folders()
    store = Store(settings.url)
    store.upgrade()
    log = settings.logs / LOG
    log.parent.mkdir(parents=True)
    attempt_log.note(log, "ended", step="cloud_mask", seconds=12.5, peak_mb=812)
    attempt_log.note(log, "bug", "error", reason="<script>x</script>", traceback="Traceback\n  in clouds.py")
    with store.write() as session:
        fill(settings, session, size=32)
        job = session.scalars(sa.select(Job).where(Job.state == "failed")).first()
        assert job is not None
        job.reason = "AncillaryError: <script>alert(1)</script> dem.tif: does not cover the tile"
        session.execute(sa.update(Attempt).where(Attempt.job_id == job.id).values(log_path=LOG))
        session.add(Event(time=job.created, kind="refused", data={"l1c": "holiday.jpg", "reason": "holiday.jpg: no"}))
    with serving(settings) as address:
        yield address, settings, store
    store.dispose()


def opened(browser: playwright.Browser, settings: Settings, store: Store, role: Role) -> playwright.BrowserContext:
    """A browser in which somebody has signed in."""
    with store.write() as session:
        who = people.add(session, f"{role}-{free_port()}", role, command_line(), None)
        token = people.begin(session, who, "127.0.0.1", "test", "test")
    context = browser.new_context(viewport=DESKTOP)
    address = f"http://localhost:{settings.port}"
    context.add_cookies([{"name": f"muscate-{settings.port}", "value": token, "url": address}])
    return context


def test_from_a_tile_of_production_to_the_log_and_the_order(
    browser: playwright.Browser, centre: tuple[str, Settings, Store], tmp_path: Path
) -> None:
    address, settings, store = centre
    page = opened(browser, settings, store, Role.OPERATOR).new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: faults.append(dialog.message))
    page.goto(f"{address}/production?period=24+hours")
    playwright.expect(page.get_by_text("last 24 hours, by version").first).to_be_visible(timeout=WAIT)
    page.get_by_role("link", name="1 year").click()
    playwright.expect(page.get_by_text("last 1 year, by version").first).to_be_visible(timeout=WAIT)
    page.wait_for_function("location.search.includes('1+year') || location.search.includes('1%20year')")
    page.get_by_role("link", name="Rejected or failed").click()
    page.wait_for_url(re.compile("failures"))
    row = page.locator("tr", has_text="does not cover the tile")
    row.locator("a[data-job]").click()
    playwright.expect(page.get_by_text("Log of attempt 1")).to_be_visible(timeout=WAIT)
    playwright.expect(page.locator("pre.log")).to_contain_text("cloud_mask")
    playwright.expect(page.locator("pre.log")).to_contain_text("in clouds.py")
    playwright.expect(page.locator("pre.log .error")).to_contain_text("<script>x</script>")
    playwright.expect(page.get_by_text("holiday.jpg").first).to_be_visible()
    page.wait_for_function("location.search.includes('job=')")
    picture(page, "failures", tmp_path)
    page.get_by_role("button", name="Retry").click()
    playwright.expect(page.get_by_text("queued").first).to_be_visible(timeout=WAIT)
    with store.read() as session:
        event = session.scalars(sa.select(Event).where(Event.kind == "retry")).one()
        assert event.actor is not None
        assert event.actor.startswith("operator")
        assert session.get_one(Job, event.job_id).state == "ready"
    assert faults == []
    page.context.close()


def test_filters_of_the_address_are_those_of_the_page_and_back(
    browser: playwright.Browser, centre: tuple[str, Settings, Store]
) -> None:
    address, settings, store = centre
    page = opened(browser, settings, store, Role.OPERATOR).new_page()
    page.goto(f"{address}/failures?state=not_valid&version=V1_4")
    playwright.expect(page.get_by_text(re.compile(r"^\d+ dates? ")).first).to_be_visible(timeout=WAIT)
    tile = page.locator("tr:has(a[data-job]) a").first
    name = tile.inner_text()
    tile.click()
    page.wait_for_function(f"location.search.includes('tile={name}')", timeout=WAIT)
    playwright.expect(page.get_by_label("Tile")).to_have_value(name)
    page.get_by_label("From").fill("soon")
    page.keyboard.press("Enter")
    playwright.expect(page.get_by_text("soon is no day like")).to_be_visible(timeout=WAIT)
    again = page.context.new_page()
    again.goto(page.url.replace("soon", "2020-01-01"))
    playwright.expect(again.locator("tr:has(a[data-job]) a").first).to_have_text(name, timeout=WAIT)
    page.context.close()


def test_a_page_whose_session_ended_says_so_and_keeps_what_was_typed(
    browser: playwright.Browser, centre: tuple[str, Settings, Store]
) -> None:
    address, settings, store = centre
    context = opened(browser, settings, store, Role.OPERATOR)
    page = context.new_page()
    page.goto(f"{address}/failures")
    page.get_by_label("Tile").fill("31T")  # not sent yet
    with store.write() as session:
        (mine,) = [one for one in people.sessions(session) if one.token_sha == people.digest(token(context))]
        who = mine.person
        people.revoke(session, who.name, command_line())
    note = page.locator("[data-session=ended]")
    playwright.expect(note).to_be_visible(timeout=WAIT)
    playwright.expect(page.get_by_label("Tile")).to_have_value("31T")
    with store.write() as session:
        again = people.begin(session, people.find(session, who.name), "127.0.0.1", "test", "test")
    context.add_cookies([{"name": f"muscate-{settings.port}", "value": again, "url": address}])
    playwright.expect(note).to_have_count(0, timeout=WAIT)
    playwright.expect(page.get_by_label("Tile")).to_have_value("31T")
    page.get_by_label("Tile").press("Enter")
    playwright.expect(page.get_by_text("· 31T").first).to_be_visible(timeout=WAIT)
    context.close()


def token(context: playwright.BrowserContext) -> str:
    """What the cookie of a browser's session holds."""
    return next(one["value"] for one in context.cookies() if one["name"].startswith("muscate-"))
