"""Signing in with a real browser: a session that ends while a page is open, and what assistive readers find."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright import sync_api as playwright

from benchmarks import axe
from processing.people import Role
from processing.settings import Settings
from processing.store import Store, people
from processing.store.models import Verdict
from tests.browser import free_port
from tests.dashboard_archive import fill
from tests.people import ADMIN
from tests.test_browser import WAIT, serving

pytestmark = pytest.mark.slow

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Store]]:
    settings = Settings(home=tmp_path_factory.mktemp("home"), port=free_port())
    settings.make_folders()
    store = Store(settings.url)
    store.upgrade()
    with store.write() as session:
        fill(settings, session, size=366)
        people.add(session, "dora", Role.SCIENTIST, ADMIN, people.hashed(PASSWORD))
    with serving(settings) as address:
        yield address, store
    store.dispose()


def sign_in(page: playwright.Page) -> None:
    page.get_by_label("Name").fill("dora")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")


def test_a_session_that_ends_while_a_page_is_open_loses_nothing(
    browser: playwright.Browser, centre: tuple[str, Store]
) -> None:
    """The page says so and keeps what was typed; after signing in again in another tab it goes on, and keeps it."""
    address, store = centre
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en")
    page = context.new_page()
    page.goto(f"{address}/quality")
    assert "/en/sign-in?next=" in page.url
    sign_in(page)
    page.wait_for_selector("[data-keys=ready]", state="attached", timeout=WAIT)
    product = page.locator("[data-product]").get_attribute("data-product")
    comment = page.get_by_placeholder("Comment")
    comment.fill("haze over the lake")
    with store.write() as session:
        assert people.revoke(session, "dora", ADMIN) == 1
    notice = page.get_by_text("Your session has ended.")
    notice.wait_for(timeout=WAIT)
    assert comment.input_value() == "haze over the lake"
    page.get_by_role("button", name="Suspect").click()
    page.get_by_text(re.compile("Not kept: judge needs the role scientist: sign in first")).wait_for(timeout=WAIT)
    with store.read() as session:
        assert session.query(Verdict).count() == 0
    with context.expect_page() as opened:
        page.get_by_role("link", name="sign in again in a new tab").click()
    other = opened.value
    sign_in(other)
    other.get_by_role("heading", name="You are signed in again").wait_for(timeout=WAIT)
    other.close()
    notice.wait_for(state="hidden", timeout=WAIT)
    assert comment.input_value() == "haze over the lake"
    page.get_by_role("button", name="Suspect").click()
    playwright.expect(page.locator("[data-product]")).not_to_have_attribute("data-product", str(product), timeout=WAIT)
    with store.read() as session:
        (kept,) = session.query(Verdict).all()
        assert (kept.reader, kept.verdict, kept.comment) == ("dora", "suspect", "haze over the lake")
    context.close()


def test_axe_finds_nothing_on_the_pages(browser: playwright.Browser, tmp_path: Path) -> None:
    """The others take longer: `python -m benchmarks.axe` has them all."""
    pages = ("en/sign-in", "fr/account", "es/nothing")
    found = axe.run(tmp_path / "home", browser, pages, ("dark",))
    assert {page: said for page, said in found.items() if said} == {}
