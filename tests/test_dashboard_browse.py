"""Browse: what the form asks for, what is said of what can't be, and the calendar."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape, unescape
from typing import Any
from urllib.parse import urlencode

import pandas as pd
import pytest
from fastapi import FastAPI

from dashboard import api, year_calendar
from dashboard.pages import browse
from processing.settings import Settings
from processing.store import Store
from tests.dashboard_archive import filled
from tests.test_dashboard_tiles import Http


def web(settings: Settings, store: Store) -> Http:
    app = FastAPI()
    app.include_router(browse.router)
    api.include(app, api.Centre(settings, store))
    return Http(app)


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Http]:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    store = filled(settings, size=64)
    yield web(settings, store)
    store.dispose()


def page(http: Http, status: int = 200, **asked: str) -> str:
    answer = http.get("/browse", params=asked)
    assert answer.status_code == status
    return answer.text


def found(text: str) -> list[str]:
    """Identifiers of the cards, in order."""
    return re.findall('data-product="([^"]+)"', text)


def test_page_shows_what_its_form_asks_for(http: Http) -> None:
    text = page(http)
    assert len(found(text)) == browse.PAGE
    assert "GET /stac/search?collections=muscate-l2a<" in text
    assert "nothing of it was seen by a satellite" in text
    text = page(http, tile="T31TCJ")
    everything = found(text)
    assert everything
    assert all("_T31TCJ_" in name and name.endswith("V1-4") for name in everything)
    assert "31TCJ in 2023" in text
    assert all(name.endswith("V1-3") for name in found(page(http, tile="31TCJ", version="V1_3")))
    assert set(everything) < set(found(page(http, tile="31TCJ", version=browse.EVERY)))
    of_day = found(page(http, words="Réunion 2023-08-06"))
    assert of_day
    assert all("_20230806" in name and "_T40KCB_" in name for name in of_day)
    text = page(http, bbox="55,-22,56,-20")
    assert {name.split("_T")[1][:5] for name in found(text)} == {"40KCB"}
    assert "bbox=55,-22,56,-20" in text
    assert "/browse?bbox=55" in text


def test_a_search_leads_to_its_list_and_its_script(http: Http) -> None:
    links = re.findall(r'href="(/stac/search/(?:list|script)[^"]*)"', page(http, tile="31TCJ", version="V1_3"))
    listed, script = (http.get(unescape(link)) for link in links)
    assert (listed.status_code, script.status_code) == (200, 200)
    names = {one["id"] for one in listed.json()["products"]}
    assert names == set(found(page(http, tile="31TCJ", version="V1_3")))
    assert all(name in script.text for name in names)


def test_words_and_fields_narrow_each_other(http: Http) -> None:
    assert found(page(http, words="2023-08 S2A", first="2023-08-10", last="2023-08-20", site="toulouse")) == found(
        page(http, words="toulouse", platform="S2A", first="2023-08-10", last="2023-08-20")
    )
    assert {n.split("_T")[1][:5] for n in found(page(http, words="31TCJ", tile="31TDJ"))} == {"31TCJ", "31TDJ"}


def test_fields_that_ask_for_nothing_are_not_in_the_address() -> None:
    form = browse.Form(site=browse.ANY, version=browse.CURRENT, cloud="100", aot="1.0", order="-sensing", words=" ")
    assert form.address() == "/browse"
    assert browse.Form(version=browse.EVERY, cloud="0").address() == "/browse?version=All&cloud=0"


def test_page_goes_on_and_comes_to_an_end(http: Http) -> None:
    text = page(http)
    names, after = found(text), http.get("/browse/found").json()["after"]
    while after:
        answer = http.get("/browse/found", params={"after": after}).json()
        names += found(answer["cards"])
        after = answer["after"]
    assert len(names) == len(set(names)) > browse.PAGE
    assert f"<h2>{len(names)} products</h2>" in text


@pytest.mark.parametrize(
    ("field", "text"),
    [
        *(("words", "atlantis"), ("first", "soon"), ("orbit", "x"), ("bbox", "1,2,3"), ("since", "<b>")),
        *(("bbox", "0,9,1,5"), ("tile", "XXXXX"), ("site", "atlantis"), ("version", "V9_9"), ("platform", "S2Z")),
        *(("flag", "snow"), ("order", "random"), ("cloud", "none"), ("aot", "much"), ("last", "2023-13-01")),
    ],
)
def test_what_is_not_understood_is_said_by_name(http: Http, field: str, text: str) -> None:
    """Each field's own; and beside others that are well."""
    for asked in ({field: text}, {"words": "toulouse", "tile": "31TCJ", field: text}):
        shown = page(http, 404, **asked)
        assert found(shown) == []
        assert re.search(rf"{re.escape(escape(text))}[^<]* is no|{re.escape(escape(text))}: there is no", shown)


def test_each_fault_is_said(http: Http) -> None:
    shown = page(http, 404, words="atlantis lemuria", tile="31TCJ YYYYY", orbit="x")
    assert all(f"{name} is no" in shown for name in ("atlantis", "lemuria", "YYYYY", "x"))


@pytest.mark.parametrize(
    ("asked", "to_blame", "innocent"),
    [
        ({"words": "toulouse rain"}, ["rain"], ["toulouse"]),
        ({"words": "toulouse 2019 S2A"}, ["2019"], ["toulouse", "S2A"]),
        ({"words": "33TWM"}, ["33TWM"], []),
        ({"tile": "31TCJ", "orbit": "143"}, ["orbit 143"], ["31TCJ"]),
        ({"tile": "33TWM 33TXM"}, ["tile 33TWM", "tile 33TXM"], []),
        ({"site": "reunion", "cloud": "0"}, ["cloud at most 0"], ["reunion"]),
        ({"words": "V1_3 réunion"}, ["réunion"], ["V1_3"]),
    ],
)
def test_a_search_that_finds_nothing_says_which_word_is_to_blame(
    http: Http, asked: dict[str, Any], to_blame: list[str], innocent: list[str]
) -> None:
    shown = page(http, **asked)
    assert found(shown) == []
    nothing = shown.split('class="nothing"')[1].split("</div>")[0]
    assert "Nothing fits" in nothing
    for word in to_blame:
        assert f"<b>{word}</b>" in nothing
    for word in innocent:
        assert f"<b>{word}</b>" not in nothing


def test_a_date_of_another_version_is_hinted_at(http: Http) -> None:
    """The first date of 31TCJ is there in V1_3 only."""
    shown = page(http, tile="31TCJ", last="2023-08-02")
    assert "another version" in shown or "ask for All" in shown
    assert found(page(http, tile="31TCJ", last="2023-08-02", version="All"))


def test_empty_centre_says_what_to_do(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = Settings(home=tmp_path_factory.mktemp("empty"))
    settings.make_folders()
    store = Store(settings.url)
    store.upgrade()
    assert str(settings.inbox.resolve()) in page(web(settings, store))
    store.dispose()


def test_text_of_the_address_is_text(http: Http) -> None:
    shown = page(http, 404, words="<script>alert(1)</script>")
    assert "<script>alert" not in shown
    assert urlencode({"words": "x"}) not in shown


def test_calendar_has_each_day_once() -> None:
    rows = pd.DataFrame(
        [
            (datetime(2024, 2, 29, 10, tzinfo=UTC), "S2A", "published", 12.0, "A"),
            (datetime(2024, 3, 5, 10, tzinfo=UTC), "S2B", "not_valid", 97.0, None),
            (datetime(2024, 3, 10, 10, tzinfo=UTC), "S2B", "published", 5.0, None),
        ],
        columns=["sensing", "platform", "state", "cloud_percent", "identifier"],
    )
    drawn = year_calendar.year_svg(2024, rows)
    assert drawn.count("<rect") == 366
    assert drawn.count("<a ") == 1
    assert "2024-02-29, S2A: Published, cloud 12 %" in drawn
    assert "2024-03-05, S2B: Not valid (too cloudy), cloud 97 %" in drawn
    assert "2024-03-10, S2B: Withdrawn, cloud 5 %" in drawn
    said = year_calendar.calendar_legend(rows)
    assert "Withdrawn" in said
    assert "Cloud, from none to all" in said
    assert "Not valid (too cloudy)" in said
    assert "Published" not in said  # its colour is that of the clouds


def test_missing_days_are_crossed_and_in_words() -> None:
    nothing = pd.DataFrame(columns=["sensing", "platform", "state", "cloud_percent", "identifier"])
    drawn = year_calendar.year_svg(2024, nothing, ["2024-02-29"])
    assert drawn.count('class="missing"') == 1
    assert "2024-02-29: Missing" in drawn
    assert "Missing" in year_calendar.calendar_legend(nothing, ["2024-02-29"])
    assert "02-29" in year_calendar.in_words(nothing, ["2024-02-29"])
    assert "Missing" not in year_calendar.year_svg(2024, nothing) + year_calendar.calendar_legend(nothing)
