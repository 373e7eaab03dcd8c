"""The documents against the code: bits, names and words, and the site that is made of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from enum import IntFlag
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from processing import __version__, masks
from processing.bands import GROUPS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = ("index", "architecture", "method", "nomenclature", "product")


def rows(page: str, heading: str) -> list[list[str]]:
    """Cells of the table below a heading, without its head."""
    text = (DOCS / f"{page}.md").read_text()
    below = text.split(f"{heading}\n", 1)[1]
    lines = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    assert lines is not None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[0].splitlines()[2:]]


@pytest.mark.parametrize("kind", [masks.Cloud, masks.Geophysical, masks.Interpolated, masks.Edge])
def test_the_bits_of_a_mask_are_those_of_the_code(kind: type[IntFlag]) -> None:
    (heading,) = re.findall(rf"### \w+: `{kind.__name__}`", (DOCS / "product.md").read_text())
    told = [(int(bit), int(value), name) for bit, value, name, _ in rows("product", heading)]
    assert told == [(int(flag).bit_length() - 1, int(flag), flag.name) for flag in kind]


def test_the_bits_of_the_bands_are_those_of_the_code() -> None:
    told = {name: tuple(filter(None, bands)) for name, *bands in rows("product", "### SAT and DFP: one bit a band")}
    assert told == GROUPS


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_is_there(page: str) -> None:
    text = (DOCS / f"{page}.md").read_text()
    for file in re.findall(r"`(chain/\w+\.py)`", text):
        assert (ROOT / "processing" / file).exists(), file
    for name in re.findall(r"`((?:processing|dashboard)(?:\.\w+)+)`", text):
        found, rest = import_module(name.split(".")[0]), name.split(".")[1:]
        for part in rest:
            if not hasattr(found, part):
                import_module(f"{found.__name__}.{part}")
            found = getattr(found, part)


def test_each_step_of_the_chain_stands_in_the_method() -> None:
    text = (DOCS / "method.md").read_text()
    steps = "adjacency cirrus cloud_mask composite correlation multi_temporal rain rayleigh scattering shadow_mask"
    steps += " shadow_outside slope_correction snow_mask subsampling terrain_shadow water_mask water_vapour"
    assert [step for step in steps.split() if f"{step}.py" not in text] == []


@pytest.mark.parametrize(
    "word",
    "L2COMP,recurrent state,D-date,dilation,tangent sun,fallback,backward mode,nominal mode".split(",")
    + "PWA TWA WAS STO RTA RCR RTC PXD composite late evidence".split(),
)
def test_a_word_of_the_field_leads_somewhere(word: str) -> None:
    leads = [line for line in (DOCS / "nomenclature.md").read_text().splitlines() if line.startswith("|")]
    (line,) = [line for line in leads if re.search(rf"\b{word}\b", line.split("|")[1])][:1]
    assert "`" in line or "](#" in line


@pytest.mark.slow
def test_the_site_is_built_and_asks_no_other_host(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "site" / "reference" / "processing.chain.html").exists()
    foreign = r'<(?:script|img|iframe|source)[^>]+(?:src|srcset)="(?:https?:)?//|<link[^>]+href="(?:https?:)?//'
    for page in (tmp_path / "site").rglob("*.html"):
        assert re.search(foreign, page.read_text()) is None, page.name
    for sheet in (tmp_path / "site").rglob("*.css"):
        assert re.search(r"url\([\"']?(?:https?:)?//", sheet.read_text()) is None, sheet.name


def test_the_version_is_the_same_everywhere() -> None:
    """In the software, in its citation, and as a section of the changelog."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["version"] == __version__
    assert f"\n## {__version__}\n" in (ROOT / "CHANGELOG.md").read_text()


def test_the_packages_say_that_they_have_types() -> None:
    assert all((ROOT / package / "py.typed").exists() for package in ("processing", "dashboard"))
