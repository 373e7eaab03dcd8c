"""The help: whole, for every bit and file that the code knows, and true where it shows code."""

from __future__ import annotations

import importlib.util
import json
import re
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from lxml import html
from numpy.testing import assert_allclose
from playwright import sync_api as playwright

from dashboard import assets, glossary, theme
from dashboard.languages import LANGUAGES
from dashboard.public import help as helping
from processing import product as products
from processing.bands import GROUPS
from processing.settings import Settings
from processing.store import Store
from processing.versions import VERSIONS
from tests.product_scenes import l2a, scene
from tests.public_web import application, served
from tests.test_home_of_before import FIRST, HOME

ADDRESSES = ["help", *(f"help/{page}" for page in helping.PAGES)]


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    settings = Settings(home=tmp_path_factory.mktemp("home"), contact="team@a.example")
    store = Store(settings.url)
    with served(application(settings, store, helping.router)) as address:
        yield address
    store.dispose()


def page(web: str, address: str) -> html.HtmlElement:
    answer = httpx.get(f"{web}/{address}")
    assert answer.status_code == 200
    return html.fromstring(answer.text)


def test_every_bit_of_every_mask_is_there_with_its_value_and_words(web: str) -> None:
    found = page(web, "en/help/masks")
    for mask, flags in helping.NAMED.items():
        for flag in flags:
            entry = found.get_element_by_id(f"{mask}.{flag.name}")
            assert f"{flag.name} = {flag.value}" in " ".join(entry.text_content().split())
            words = next(style.words for style in theme.MASKS[mask] if style.bit == flag)
            assert words in entry.text_content()
    assert set(theme.MASKS) == set(helping.NAMED) | {"SAT", "DFP"}
    of_bands = [cell.text for cell in found.iter("td")]
    for mask in ("SAT", "DFP"):
        assert found.get_element_by_id(mask) is not None
    values = {band: 1 << place for bands in GROUPS.values() for place, band in enumerate(bands)}
    assert sorted(of_bands) == sorted(2 * [f"{band} = {value}" for band, value in values.items()])


def test_a_picture_says_where_it_is_from_and_is_small() -> None:
    index = json.loads((assets.STATIC / "help" / "index.json").read_text())
    assert {path.stem for path in (assets.STATIC / "help").glob("*.webp")} == set(index)
    assert len(index) >= 12
    for entry in index.values():
        assert entry["product"].startswith("SENTINEL2")
        assert entry["share"] > 0
    assert sum(path.stat().st_size for path in (assets.STATIC / "help").iterdir()) < 90_000


def test_every_file_of_a_product_is_there(web: str, tmp_path: Path) -> None:
    """Of one that the writer makes: the kind of each, and the pattern of its name."""
    seen = scene(36)
    folder = products.write(l2a(seen), seen, tmp_path, produced=datetime(2024, 1, 1, tzinfo=UTC))
    found = page(web, "en/help/files")
    shown = {code.text for code in found.iter("code")}
    kinds = set()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = str(path.relative_to(folder)).replace(folder.name, "…")
        kind = "manifest" if name == "manifest.json" else name.partition("_")[2].split("_")[0]
        kinds.add(kind)
        assert found.get_element_by_id(kind) is not None
        assert name in shown or (kind == "DTF" and re.sub(r"D\d\d", "D05", name) in shown), name
    assert kinds | {"UNC"} == {file.kind for file in helping.files()}  # which only later versions have


def test_every_version_is_there_with_its_notes(web: str) -> None:
    found = page(web, "fr/help/versions")
    for version in VERSIONS.values():
        assert found.get_element_by_id(version.name) is not None
        assert version.summary in found.text_content()
        if version.parameters is not None:
            assert version.parameters.digest in found.text_content()


def test_the_code_of_the_page_reads_a_real_product(web: str, tmp_path: Path) -> None:
    shown = page(web, "en/help/reading").xpath("string(//pre/code[@class='language-python'])")
    file = tmp_path / "shown.py"
    file.write_text(shown)
    spec = importlib.util.spec_from_file_location("shown", file)
    assert spec is not None and spec.loader is not None  # noqa: PT018
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with tarfile.open(HOME) as archive:
        archive.extractall(tmp_path / "home", filter="data")
    product = tmp_path / "home" / "archive" / "31TCJ" / "V1_4" / FIRST
    index = module.ndvi(product)
    clouds, red, infrared = (module.read(product, key) for key in ("CLM_R1", "SRE_B4", "SRE_B8"))
    assert np.isnan(index[(clouds & 1) > 0]).all()
    assert 0.3 < np.isfinite(index).mean() < 0.9
    clear = np.isfinite(index)
    assert_allclose(index[clear], ((infrared - red) / (infrared.astype(float) + red))[clear], rtol=1e-6)


def test_how_to_cite_is_what_the_file_says(web: str) -> None:
    text = page(web, "en/help/citing").text_content()
    written = Path(__file__).parents[1].joinpath("CITATION.cff").read_text()
    for key in ("title", "license"):
        assert helping.citation()[key] in written
        assert helping.citation()[key] in text
    assert "Copernicus Sentinel data" in text


def test_the_first_page_speaks_each_language_and_names_the_contact(web: str) -> None:
    titles = set()
    for language in LANGUAGES:
        found = page(web, f"{language}/help")
        assert found.xpath("string(//a[starts-with(@href, 'mailto:')])") == "team@a.example"
        assert len(found.xpath("//h1")) == 1
        titles.add(found.xpath("string(//h1)"))
        assert len(found.xpath("//h2")) == 5
    assert len(titles) == len(LANGUAGES)


def test_pages_in_english_say_so(web: str) -> None:
    for address in ADDRESSES[1:]:
        found = page(web, f"es/{address}")
        assert found.xpath("//div[@class='help']/@lang") == ["en"]
        assert "Esta página solo está en inglés." in found.text_content()


@pytest.mark.parametrize("address", ["de/help", "en/help/x", "en/help/..%2fapp", "xx/help/masks"])
def test_what_is_not_there_is_not_found(address: str, web: str) -> None:
    assert httpx.get(f"{web}/{address}").status_code == 404


def test_links_within_the_help_lead_somewhere(web: str) -> None:
    """Each page, and each anchor, that a page of the help names."""
    seen: dict[str, set[str]] = {}
    for language in LANGUAGES:
        for address in ADDRESSES:
            found = page(web, f"{language}/{address}")
            for href in found.xpath("//a/@href"):
                target = str(httpx.URL(f"{web}/{language}/{address}").join(href))
                there, _, anchor = target.partition("#")
                if there.startswith(f"{web}/") and re.search(r"/\w\w/help", there):
                    if there not in seen:
                        seen[there] = {*page(web, there.removeprefix(f"{web}/")).xpath("//@id")}
                    assert not anchor or anchor in seen[there], href
    assert len(seen) >= 3 * len(ADDRESSES)


# Words


def test_every_word_has_its_anchor_once(web: str) -> None:
    found = page(web, "en/help/glossary")
    anchors = found.xpath("//dt/@id")
    assert len(anchors) == len(set(anchors)) == len(glossary.words())
    assert {glossary.anchor(word) for word in glossary.words()} == set(anchors)
    for word in ("Mode", "CLM", "F1", "omission", "AOT", "SRE", "FRE", "backward"):
        assert glossary.anchor(word) in anchors
    answer = httpx.get(f"{web}/help/glossary", headers={"accept-language": "fr"})
    assert answer.headers["location"] == "/fr/help/glossary"


def test_a_word_leads_to_its_anchor_and_an_unknown_one_nowhere() -> None:
    assert glossary.term("clm", "Mask <1>") == '<a class="term" href="/help/glossary#clm">Mask &lt;1&gt;</a>'
    assert 'href="/help/glossary#not-valid"' in glossary.term("not valid")
    with pytest.raises(KeyError):
        glossary.term("CLMX")


def test_the_first_mention_in_a_text_is_linked_and_the_rest_is_text() -> None:
    made = glossary.linked("AOT & CLM: AOT, clm, CLM_R1, Omission <b>")
    assert made.count("<a ") == 3
    assert (
        html.fragment_fromstring(made, create_parent=True).text_content() == "AOT & CLM: AOT, clm, CLM_R1, Omission <b>"
    )
    assert "&lt;b&gt;" in made
    assert "clm, CLM_R1" in made


# In a browser


@pytest.mark.parametrize("language", LANGUAGES)
def test_pages_can_be_read_by_everybody(language: str, web: str, browser: playwright.Browser) -> None:
    """axe-core finds nothing; 100 kB at most with all that a page asks for, of this host; none wider than a phone."""
    for address in ADDRESSES:
        with browser.new_context(viewport={"width": 390, "height": 3000}, reduced_motion="reduce") as context:
            tab = context.new_page()
            sizes: dict[str, int] = {}
            tab.on("response", lambda answer, sizes=sizes: sizes.update({answer.url: len(answer.body())}))
            tab.goto(f"{web}/{language}/{address}")
            found = Axe().run(tab).response["violations"]
            assert found == [], (address, json.dumps(found, indent=1)[:3000])
            assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), address
            assert all(url.startswith(web) for url in sizes)
            assert sum(sizes.values()) <= 100_000, (address, sizes)
