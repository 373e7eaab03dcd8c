"""Sites whose products are not for everybody: they are found by none of the ways, and by all who may."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from dashboard import closed, stac
from dashboard.app import create
from dashboard.closed import Closed
from dashboard.snapshot import Snapshots
from processing.people import Role
from processing.settings import Settings
from processing.store import Store
from processing.store.models import Product, SiteTile
from tests.dashboard_archive import filled
from tests.people import by, entered

CLOSED = {"31TCJ", "31TDJ"}
HTML = {"accept": "text/html"}


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, Settings, Store]]:
    settings = Settings(home=tmp_path_factory.mktemp("home"), access={"site:toulouse": Role.SCIENTIST})
    store = filled(settings, size=64, dates=2)
    with entered(create(settings)) as client:
        yield client, settings, store
    store.dispose()


def product(centre: tuple[TestClient, Settings, Store], tile: str) -> Product:
    with centre[2].read() as session:
        return session.scalars(sa.select(Product).where(Product.tile == tile, Product.current)).first()


#: Ways to many products.
LISTS = (
    "/products",
    "/products?version=V1_4",
    "/browse",
    "/products.atom",
    "/stac/search?limit=200",
    "/stac/collections/{collection}/items?limit=200",
    "/stac/search/list",
    "/stac/search?ids={closed}",
)


@pytest.mark.parametrize("address", LISTS)
@pytest.mark.parametrize("order", [(Role.PUBLIC, Role.SCIENTIST), (Role.SCIENTIST, Role.PUBLIC)])
def test_a_list_has_what_its_reader_may_see_whoever_asked_before(
    centre: tuple[TestClient, Settings, Store], address: str, order: tuple[Role, Role]
) -> None:
    name = product(centre, "31TDJ").identifier
    address = address.format(collection=stac.ALL, closed=name)
    for role in order:
        answer = by(centre, role).get(address)
        if answer.status_code == 401:
            assert role is Role.PUBLIC
            continue
        assert answer.status_code == 200
        seen = set(re.findall(r"_T(\d\d[A-Z]{3})_", answer.text))
        assert bool(seen & CLOSED) == (role is Role.SCIENTIST), (role, seen)


#: Ways to one product, and to what is made of it.
ONES = (
    "/products?product={0}",
    "/products/{0}/files",
    "/products/{0}/zip",
    "/tiles/{0}/natural/0/0/0?blank=1",
    "/xyz/{0}/natural/8/129/93.png",
    "/compare?left={0}",
    "/compare?tile={1}",
    "/api/compare/range/{0}?bands=SRE_B4&window=0,0,5,5",
    "/cubes/{1}_V1_4.zarr/zarr.json",
    "/stac/collections/any/items/{0}",
)


@pytest.mark.parametrize("address", ONES)
def test_what_is_closed_asks_for_a_sign_in_and_comes_out_of_no_cache(
    centre: tuple[TestClient, Settings, Store], address: str
) -> None:
    there = address.format(product(centre, "31TCJ").identifier, "31TCJ")
    first = by(centre, Role.SCIENTIST).get(there)
    assert first.status_code not in (401, 403)
    assert "public" not in first.headers.get("cache-control", "")
    assert by(centre, Role.PUBLIC).get(there).status_code == 401
    page = by(centre, Role.PUBLIC).get(there, headers=HTML)
    assert page.status_code == 303
    assert "/sign-in?next=" in page.headers["location"]
    other = address.format(product(centre, "31TGK").identifier, "31TGK")
    assert by(centre, Role.PUBLIC).get(other).status_code == first.status_code


def test_a_search_by_post_finds_nothing_closed(centre: tuple[TestClient, Settings, Store]) -> None:
    name = product(centre, "31TCJ").identifier
    asked = {"ids": [name], "limit": 10}
    for role, found in ((Role.PUBLIC, 0), (Role.SCIENTIST, 1)):
        answer = by(centre, role).post("/stac/search", json=asked)
        assert len(answer.json()["features"]) == found


def test_the_status_and_its_tiles_stay_open(centre: tuple[TestClient, Settings, Store]) -> None:
    client = by(centre, Role.PUBLIC)
    for address in ("/en/", "/status.json", "/status/31TCJ.json", "/en/tiles/31TCJ"):
        assert client.get(address).status_code == 200


def test_a_tile_that_an_open_site_has_too_is_open(centre: tuple[TestClient, Settings, Store]) -> None:
    _, settings, store = centre
    known = Closed(settings, store)
    assert known.tiles(Role.PUBLIC) == CLOSED
    assert known.tiles(Role.OPERATOR) == frozenset()
    with store.write() as session:
        session.add(SiteTile(site="alps", tile="31TDJ"))
    assert Closed(settings, store).tiles(Role.PUBLIC) == {"31TCJ"}
    with store.write() as session:
        session.delete(session.get_one(SiteTile, ("alps", "31TDJ")))


def test_a_snapshot_keeps_what_is_hidden_apart(centre: tuple[TestClient, Settings, Store]) -> None:
    snapshot = Snapshots(centre[2]).latest()

    def counted(session: sa.orm.Session) -> int:
        return session.scalar(sa.select(sa.func.count()).select_from(Product)) or 0

    with closed.hiding(frozenset(CLOSED)):
        few = snapshot.ask(counted)
    assert 0 < few < snapshot.ask(counted)
    with closed.hiding(frozenset(CLOSED)):
        assert snapshot.ask(counted) == few


def test_only_sites_and_parts_stand_in_the_table() -> None:
    with pytest.raises(ValueError, match="nothing: parts of the web are"):
        Settings(access={"nothing": Role.PUBLIC})
