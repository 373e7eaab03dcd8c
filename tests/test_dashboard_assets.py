"""Our scripts: what a page imports is there, has its digest in its address, and names no other in a circle."""

from __future__ import annotations

import graphlib
import json
import re

import pytest
from fastapi import FastAPI

from dashboard import assets
from dashboard.app import Assets
from tests.test_dashboard_tiles import Http

IMPORT = re.compile(r'^import .*"\./(\w+\.js)"$', re.M)


@pytest.fixture
def client() -> Http:
    app = FastAPI()
    app.mount("/assets", Assets(directory=assets.STATIC))
    return Http(app)


def imports() -> dict[str, set[str]]:
    """Modules of Compare, each with those it imports."""
    return {path.name: set(IMPORT.findall(path.read_text())) for path in (assets.STATIC / "compare").glob("*.js")}


def test_import_map_names_every_module_with_its_digest(client: Http) -> None:
    page = assets.module("compare/main.js")
    (found,) = re.findall(r'<script type="importmap">(.*?)</script>', page)
    addresses = json.loads(found)["imports"]
    wanted = {f"/assets/compare/{name}" for names in imports().values() for name in names}
    assert len(wanted) > 10
    assert wanted <= addresses.keys()
    for plain, address in addresses.items():
        assert re.fullmatch(re.escape(plain) + r"\?v=[0-9a-f]{12}", address)
        assert f'<link rel="modulepreload" href="{address}">' in page
        answer = client.get(address)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["Cache-Control"]
        assert "javascript" in answer.headers["Content-Type"]


def test_import_map_comes_before_the_first_module() -> None:
    """A browser may ignore one that comes later."""
    page = assets.module("compare/main.js")
    assert page.index("importmap") < page.index("modulepreload") < page.index('type="module"')


def test_modules_import_without_circles() -> None:
    order = [*graphlib.TopologicalSorter(imports()).static_order()]
    assert order[-1] == "main.js"
