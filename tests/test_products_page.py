"""The page Products without a browser: its list, its filters, the chosen product, and addresses that can't be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm.attributes import set_committed_value

from dashboard import live, queries, theme
from dashboard.app import create
from dashboard.pages import products, quicklooks
from dashboard.pages.products import ORDERS, Asked, Products
from dashboard.snapshot import Snapshot, Snapshots
from processing.masks import Cloud, Geophysical
from processing.people import Role
from processing.settings import Settings
from processing.store import Store
from processing.store.models import Product
from tests.dashboard_archive import filled
from tests.people import cookie, entered

HTML = {"accept": "text/html"}


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, Settings, Store]]:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    store = filled(settings, size=64)
    with entered(create(settings)) as client:
        yield client, settings, store
    store.dispose()


@pytest.fixture
def snapshot(centre: tuple[TestClient, Settings, Store]) -> Snapshot:
    return Snapshots(centre[2]).latest()


@pytest.fixture(autouse=True)
def _nobody(centre: tuple[TestClient, Settings, Store]) -> None:
    centre[0].cookies.clear()


def shown(centre: tuple[TestClient, Settings, Store], address: str = "/products", status: int = 200) -> str:
    """The page that an address gives."""
    answer = centre[0].get(address, headers=HTML)
    assert answer.status_code == status
    return answer.text


def page(centre: tuple[TestClient, Settings, Store], snapshot: Snapshot, **asked: Any) -> Products:
    return Products(centre[2], snapshot, centre[1], Asked(**asked))


def part(text: str, name: str) -> str:
    found = re.search(f'<div data-part="{name}">(.*?)(?=<div data-part=|</main>)', text, re.S)
    assert found
    return found[1]


def series(snapshot: Snapshot, tile: str = "31TCJ") -> list[str]:
    frame = snapshot.products.query("tile == @tile and version == 'V1_4'")
    return [str(name) for name in frame.sort_values("sensing")["identifier"]]


def sent(form: str, button: str = "") -> dict[str, str]:
    """What a browser without a script sends of a form; of its buttons the one with these words."""
    fields = {}
    for name, value in re.findall(r'<input[^>]*name="([^"]+)"[^>]*?value="([^"]*)"', form):
        fields[name] = unescape(value)
    for name, options in re.findall(r'<select name="([^"]+)".*?>(.*?)</select>', form):
        chosen = re.search(r'<option value="([^"]*)" selected', options)
        assert chosen
        fields[name] = unescape(chosen[1])
    if button:
        pressed = re.search(rf'<button[^>]*value="([^"]+)"[^>]*><i[^>]*></i>{re.escape(button)}', form)
        assert pressed
        fields["bits"] = pressed[1]
    return fields


def test_filters_of_the_list(centre: tuple[TestClient, Settings, Store], snapshot: Snapshot) -> None:
    def filtered(**asked: Any) -> pd.DataFrame:
        view = page(centre, snapshot, **asked)
        with centre[2].read() as session:
            frame, count = queries.listed(session, view._wanted, view._order, limit=10_000)
        assert count == len(frame)
        return frame

    assert len(filtered()) == len(snapshot.products)
    assert set(filtered(tile="t31tc")["tile"]) == {"31TCJ"}
    assert set(filtered(tile="t31tc", version="V1_3")["version"]) == {"V1_3"}
    found = filtered(site="Réunion", first="2023-08-10", last="2023-08-20")
    assert set(found["tile"]) == {"40KCB"}
    assert found["sensing"].min() >= pd.Timestamp("2023-08-10", tz="UTC")
    assert found["sensing"].max() < pd.Timestamp("2023-08-21", tz="UTC")
    assert (filtered(cloud=0)["cloud_percent"] <= 0).all()
    published = f"{snapshot.products['published'].max():%Y-%m-%d}"
    assert 0 < len(filtered(published=published)) <= len(snapshot.products)
    day = f"{snapshot.products['sensing'].iloc[0]:%Y-%m-%d}"
    assert set(filtered(first=day, last=day)["sensing"].dt.strftime("%Y-%m-%d")) == {day}


@pytest.mark.parametrize("order", ORDERS)
def test_the_list_is_sorted_and_its_pages_hold_each_product_once(
    centre: tuple[TestClient, Settings, Store], snapshot: Snapshot, order: str
) -> None:
    seen: list[str] = []
    view = page(centre, snapshot, order=order)
    for _ in range(20):
        text = view._table()
        seen += re.findall('data-product="([^"]+)"', text)
        following = re.search('href="([^"]+)" name="page-next"', text)
        if not following:
            break
        asked = parse_qs(urlsplit(unescape(following[1])).query)
        view = page(centre, snapshot, **{name: values[0] for name, values in asked.items()})
    assert sorted(seen) == sorted(snapshot.products["identifier"])
    column = {"cloud": "cloud_percent"}.get(order.removeprefix("-"), order.removeprefix("-"))
    values = snapshot.products.set_index("identifier")[column].loc[seen].dropna().tolist()
    assert values == sorted(values, reverse=order.startswith("-"))
    said = f'aria-sort="{"descending" if order.startswith("-") else "ascending"}"'
    assert said in text or "published" in order


def test_a_page_beyond_the_last_leads_back(centre: tuple[TestClient, Settings, Store]) -> None:
    text = part(shown(centre, "/products?page=99"), "list")
    assert "36 of 36 products" in text
    assert 'name="page-before"' in text
    assert " to " not in re.sub("<[^>]+>", "", text.rpartition("</table>")[2])


def test_the_first_of_the_list_is_shown_until_one_is_chosen(
    centre: tuple[TestClient, Settings, Store], snapshot: Snapshot
) -> None:
    names = series(snapshot)
    text = shown(centre, "/products?tile=31TCJ&version=V1_4")
    assert names[-1] in part(text, "head")
    assert "data-asked" not in part(text, "head")
    text = shown(centre, f"/products?tile=31TCJ&product={names[0]}")
    assert names[0] in part(text, "head")
    assert "data-asked" in part(text, "head")
    assert part(text, "list").count('class="chosen" aria-current="true"') == 1


def test_steps_in_time_keep_all_else_that_was_chosen(
    centre: tuple[TestClient, Settings, Store], snapshot: Snapshot
) -> None:
    names = series(snapshot)
    asked = "tile=31TCJ&order=-cloud&left=false&mask=MG2&bits=MG2.4&opacity=0.9"
    head = part(shown(centre, f"/products?product={names[0]}&{asked}"), "head")
    assert "◀ previous date" in head
    (there,) = re.findall('<a href="([^"]+)">next date', head)
    after = parse_qs(urlsplit(unescape(there)).query)
    assert after == {**parse_qs(asked), "product": [names[1]]}
    assert not re.search("<a [^>]+>◀ previous", head)
    assert re.search("<a [^>]+>◀ previous", part(shown(centre, unescape(there)), "head"))


def test_images_are_tiles_that_cover_the_product_and_may_be_kept(
    centre: tuple[TestClient, Settings, Store], snapshot: Snapshot
) -> None:
    name = series(snapshot)[0]
    text = part(shown(centre, f"/products?product={name}"), "images")
    sources = [unescape(source) for source in re.findall('<img[^>]* src="([^"]+)"', text)]
    assert [source.split("/")[3] for source in sources] == ["natural", "natural", "CLM"]
    assert f"bits={255 - Cloud.ANY}" in sources[-1]
    for source in sources:
        answer = centre[0].get(source)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "image/png"
        assert "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize(("side", "level", "tiles"), [(109_800, 1, 2), (3_660, 5, 1), (81_920, 1, 1), (640, 5, 1)])
def test_images_are_as_fine_as_they_are_shown(side: float, level: int, tiles: int) -> None:
    """Of a product of 109.8 km, 343 pixels are too few, and 686 enough; a small one is shown by its own pixels."""
    folder = queries.Folder("X", "X", "a" * 64, False)
    text = quicklooks._image(folder, quicklooks.Extent(0, 0, side, side), [("natural", None)])
    places = re.findall(r"/natural/(\d+)/(\d+)/(\d+)\?", text)
    assert places == [(str(level), str(x), str(y)) for y in range(tiles) for x in range(tiles)]
    lefts = [float(left) for left in re.findall("left:([0-9.]+)%", text)]
    assert max(lefts) == pytest.approx(100 * 512 * 10 * 2 ** (5 - level) * (tiles - 1) / side, abs=1e-3)


def test_bits_of_a_mask_are_switched_one_by_one_without_a_script(
    centre: tuple[TestClient, Settings, Store], snapshot: Snapshot
) -> None:
    name = series(snapshot)[0]
    text = part(shown(centre, f"/products?product={name}&tile=31TCJ"), "images")
    form = re.search('<form[^>]*class="switches".*?</form>', text, re.S)
    assert form
    assert form[0].count('aria-pressed="true"') == 7  # all but the summary
    fields = sent(form[0], "Shadow of a cloud in the image")
    assert fields == {"product": name, "tile": "31TCJ", "bits": f"CLM.{255 - Cloud.ANY - Cloud.SHADOW}"}
    answer = centre[0].get("/products", params=fields)
    assert f"bits={255 - Cloud.ANY - Cloud.SHADOW}" in answer.text
    assert part(answer.text, "images").count('aria-pressed="true"') == 6
    # Another mask has bits of its own.
    choice = re.search('<form[^>]*class="fields late".*?</form>', answer.text, re.S)
    assert choice
    fields = {**sent(choice[0]), "mask": "MG2"}
    text = part(centre[0].get("/products", params=fields).text, "images")
    assert f"/MG2/5/0/0?v={text.partition('v=')[2][:12]}&amp;blank=1&amp;bits=255" in text
    assert ">Water</button>" in text
    assert int(Geophysical.WATER) & 255
    text = part(shown(centre, f"/products?product={name}&mask=none"), "images")
    assert "/CLM/" not in text
    assert "switches" not in text


@pytest.mark.parametrize("bits", ["CLM.x", "CLM", "MG2.4", "CLM.-1", "CLM.٣", "CLM." + "9" * 400])
def test_bits_that_are_none_of_the_mask_are_its_own(
    centre: tuple[TestClient, Settings, Store], snapshot: Snapshot, bits: str
) -> None:
    text = centre[0].get("/products", params={"product": series(snapshot)[0], "bits": bits}).raise_for_status().text
    assert re.search(r"/CLM/\d/0/0\?v=\w+&amp;blank=1&amp;bits=\d+", text)


def test_a_click_on_an_image_leads_to_the_same_in_compare(
    centre: tuple[TestClient, Settings, Store], snapshot: Snapshot
) -> None:
    name = series(snapshot)[0]
    text = shown(centre, f"/products?product={name}&left=false&mask=MG2&bits=MG2.4&opacity=0.3")
    (left, right) = re.findall('<a class="look" href="([^"]+)"', text)
    assert left == right
    asked = {key: values[0] for key, values in parse_qs(urlsplit(unescape(left)).query).items()}
    assert asked == {
        **{"left": name, "left.layer": "false", "right": name, "right.layer": "natural"},
        **{"right.mask": "MG2", "right.bits": "4", "opacity": "0.3"},
    }
    centre[0].get(unescape(left)).raise_for_status()


def test_forms_of_filters_send_what_the_address_needs_and_no_more(
    centre: tuple[TestClient, Settings, Store], snapshot: Snapshot
) -> None:
    name = series(snapshot)[0]
    text = shown(centre, f"/products?product={name}&order=-cloud&page=1&left=false&cloud=80")
    fields = sent(part(text, "filters"))
    kept = {"product": name, "order": "-cloud", "left": "false", "cloud": "80"}
    assert {key: value for key, value in fields.items() if value not in ("", "All")} == kept
    shown(centre, f"/products?{'&'.join(f'{key}={value}' for key, value in {**fields, 'cloud': ''}.items())}")


def test_a_product_says_what_it_was_made_from(
    centre: tuple[TestClient, Settings, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    of_store = queries.detail

    def told(session: Any, name: str) -> queries.Detail | None:
        detail = of_store(session, name)
        assert detail is not None
        origin = {"aerosol_model": "continental: the <CAMS> file of the L1C can't be read"}
        set_committed_value(detail.product, "origin", origin)
        return detail

    monkeypatch.setattr(queries, "detail", told)
    text = shown(centre)
    assert "<th>Aerosol model</th><td>continental: the &lt;CAMS&gt; file of the L1C can&#x27;t be read</td>" in text


@pytest.mark.parametrize(
    ("origin", "lines"),
    [
        (
            {"flat_reflectance": "absent: no terrain model"},
            [
                "Not made, as no terrain model was given: FRE, MG2.HIDDEN",
                "Not made, as V1_4 has no step for it in init mode: CLM.SHADOW",
            ],
        ),
        ({}, ["Not made, as V1_4 has no step for it in init mode: CLM.SHADOW, FRE, MG2.HIDDEN"]),
    ],
)
def test_what_was_not_made_has_its_true_reason(origin: dict[str, str], lines: list[str]) -> None:
    product = Product(absent=["MG2.HIDDEN", "CLM.SHADOW", "FRE"], origin=origin, version="V1_4", mode="init")
    assert products.not_made(product) == lines


def test_layers_that_a_product_lacks_are_said_and_others_shown(
    centre: tuple[TestClient, Settings, Store], snapshot: Snapshot
) -> None:
    view = page(centre, snapshot, left="natural-flat", mask="DFP", right="aot")
    look, told = view._look(["natural", "aot", "CLM"])
    assert (look.left, look.right, look.mask) == ("natural", "aot", "none")
    assert "Natural colour, slope corrected" in told
    assert "Defective pixels (DFP)" in told
    assert page(centre, snapshot)._look(["natural", "CLM"])[1] == ""


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("product=<b>nobody</b>", "&lt;b&gt;nobody&lt;/b&gt; is not a product of this centre"),
        ("site=<b>", "&lt;b&gt; is no site with products here: All, "),
        ("site=", "An empty word is no site with products here"),
        ("version=V9_9", "V9_9 is no version with products here: All, V1_3, V1_4"),
        ("order=size", "size is no order of the list: sensing, tile, cloud, version, published"),
        ("left=CLM", "CLM is no image: natural"),
        ("mask=XYZ", "XYZ is no mask: CLM"),
        ("first=soon", "From: soon is no day"),
        ("last=2023-02-30", "To: 2023-02-30 is no day"),
        ("published=yesterday", "Published on: yesterday is no day"),
    ],
)
def test_what_of_an_address_means_nothing_is_said_in_the_page(
    centre: tuple[TestClient, Settings, Store], asked: str, said: str
) -> None:
    text = shown(centre, f"/products?{asked}", 404)
    assert said in part(text, "faults")
    assert "<b>nobody" not in text
    assert "of 36 products" in text


@pytest.mark.parametrize("asked", ["cloud=101", "cloud=x", "page=-1", "page=x", "opacity=2", "opacity=nan"])
def test_numbers_that_can_not_be_are_refused(centre: tuple[TestClient, Settings, Store], asked: str) -> None:
    shown(centre, f"/products?{asked}", 422)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("tile=XXXXX", "XXXXX"),
        ("tile=33TWM", "No product is of tile 33TWM"),
        ("tile=31TCJ&published=1999-01-01", "No product fits the filter Published on 1999-01-01"),
        ("tile=40KCB&version=V1_3", "Without the filter Tile 40KCB there are"),
    ],
)
def test_filters_that_leave_nothing_are_said_by_name(
    centre: tuple[TestClient, Settings, Store], asked: str, said: str
) -> None:
    assert said in part(shown(centre, f"/products?{asked}"), "faults")
    assert 'role="alert"' not in part(shown(centre, "/products?tile=31TCJ"), "faults")


def test_a_product_whose_files_are_lost_is_said(centre: tuple[TestClient, Settings, Store], snapshot: Snapshot) -> None:
    _, settings, store = centre
    elsewhere = Settings(home=settings.home / "elsewhere")
    view = Products(store, snapshot, elsewhere, Asked())
    assert view._chosen.detail is not None
    assert "can't be shown" in view._images(view._chosen.detail)


def test_a_visitor_reads_it_without_a_session_and_is_offered_what_he_may(
    centre: tuple[TestClient, Settings, Store],
) -> None:
    client, settings, store = centre
    text = shown(centre)
    assert "bokeh" not in text.lower()
    assert "Download (" in text
    assert "/quality?product=" not in text
    assert "/failures?" not in part(text, "facts")
    client.cookies.set(**cookie(settings, store, "olga", Role.OPERATOR))
    facts = part(shown(centre), "facts")
    assert "/quality?product=" in facts
    (attempts,) = re.findall('href="(/failures[^"]+)"', facts)
    assert "Log of attempt" in shown(centre, unescape(attempts))


def test_everything_that_comes_from_the_simulation_is_marked(centre: tuple[TestClient, Settings, Store]) -> None:
    text = shown(centre)
    assert part(text, "list").count(theme.simulated_mark()) == products.ROWS
    assert theme.simulated_mark() in part(text, "head")
    assert "nothing of it was seen by a satellite" in text


def test_a_page_that_shows_what_there_is_gets_its_age_alone(centre: tuple[TestClient, Settings, Store]) -> None:
    text = shown(centre)
    seen = re.search('data-snapshot="([0-9]+)"', text)
    assert seen
    again = centre[0].get("/products", headers={live.SEEN: seen[1]}).text
    assert re.findall('data-part="([^"]+)"', again) == ["age"]
