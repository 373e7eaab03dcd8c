"""Products found in the store, on both databases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import shapely
import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing.errors import SearchError
from processing.settings import Settings
from processing.store import Store, orders, places, search
from processing.store.expressions import COLLECTIONS, PROPERTIES
from processing.store.models import Granule, Job, Product, Quality, Tile
from processing.store.search import Search
from tests.dashboard_archive import fill
from tests.people import OPERATOR
from tests.store_databases import empty, postgres  # noqa: F401

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVERYTHING = Search(versions=("all",), withdrawn=True, replaced=True)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    home = tmp_path_factory.mktemp("home")
    settings = Settings(home=home, database_url=empty(request, home))
    settings.make_folders()
    store = Store(settings.url)
    store.upgrade(explicit=True)
    with store.write() as session:
        fill(settings, session, size=32, now=NOW)
    yield store
    store.dispose()


@pytest.fixture
def session(store: Store) -> Iterator[Session]:
    """Changes of a test are taken back."""
    with store.write() as session:
        yield session
        session.rollback()


def names(session: Session, wanted: Search) -> list[str]:
    return [f.product.identifier for f in search.find(session, wanted, limit=1000).found]


def rows(session: Session, *where: sa.ColumnElement[bool]) -> set[str]:
    """The same by a query of its own."""
    query = sa.select(Product.identifier).join(Quality, Quality.job_id == Product.job_id)
    return set(session.scalars(query.where(*where)))


def test_each_condition_finds_what_it_says(session: Session) -> None:
    first, last = datetime(2023, 8, 6, tzinfo=UTC), datetime(2023, 8, 17, tzinfo=UTC)
    new = Product.version == "V1_4"
    some = session.scalars(sa.select(Product.identifier).where(new).limit(2)).all()
    cloud = session.scalar(sa.select(sa.func.avg(Quality.cloud_percent)))
    wanted = {
        Search(): (new,),
        Search(versions=("V1_3",)): (Product.version == "V1_3",),
        Search(versions=("all",)): (),
        Search(tiles=("31TCJ", "40KCB")): (new, Product.tile.in_(("31TCJ", "40KCB"))),
        Search(sites=("toulouse",)): (new, Product.tile.in_(("31TCJ", "31TDJ"))),
        Search(sites=("toulouse",), tiles=("31TDJ", "40KCB")): (new, Product.tile == "31TDJ"),
        Search(first=first, last=last): (new, Product.sensing.between(first, last)),
        Search(platforms=("S2A",)): (new, Product.platform == "S2A"),
        Search(orbits=(51,)): (new,),
        Search(orbits=(52,)): (sa.false(),),
        Search(cloud=(cloud, None)): (new, Quality.cloud_percent >= cloud),
        Search(cloud=(None, cloud), aot=(0.1, 0.3)): (new, Quality.cloud_percent <= cloud),
        Search(aot=(0.9, None)): (sa.false(),),
        Search(identifiers=tuple(some)): (Product.identifier.in_(some),),
        Search(simulated=False): (sa.false(),),
        Search(changed_since=NOW - timedelta(days=3)): (new, Product.published >= NOW - timedelta(days=3)),
        Search(published_since=NOW - timedelta(days=3)): (new, Product.published >= NOW - timedelta(days=3)),
        Search(area=search.rectangle(55, -22, 56, -20)): (new, Product.tile == "40KCB"),
        Search(area=search.rectangle(-150, 0, -140, 10)): (sa.false(),),
    }
    for one, where in wanted.items():
        found = names(session, one)
        assert set(found) == rows(session, *where), one
        assert len(found) == len(set(found)) == search.count(session, one)
    assert len(names(session, Search())) > 20


@pytest.mark.parametrize("name", PROPERTIES)
def test_each_property_has_a_value_or_none(session: Session, name: str) -> None:
    none = json.dumps({"op": "isNull", "args": [{"property": name}]})
    some = json.dumps({"op": "not", "args": [json.loads(none)]})
    everything = Search(versions=("all",), withdrawn=True, replaced=True)
    parts = [names(session, replace(everything, expressions=(text,))) for text in (none, some)]
    assert sorted([*parts[0], *parts[1]]) == sorted(names(session, everything))


def test_the_baseline_is_that_of_the_packages_a_product_was_made_from(session: Session) -> None:
    product = session.scalars(sa.select(Product).where(Product.current).limit(1)).one()
    job = session.get(Job, product.job_id)
    assert job is not None
    used, other = "S2A_MSIL1C_USED", "S2A_MSIL1C_OTHER"
    product.l1c = [used]
    session.execute(sa.delete(Granule).where(Granule.acquisition_id == job.acquisition_id))
    for name, baseline in ((used, "05.10"), (other, "05.11")):
        many = {"source": "test", "path": name, "bytes": 1, "state": "usable"}
        many |= dict.fromkeys(("datastrip", "generation", "seen"), NOW)
        session.add(Granule(acquisition_id=job.acquisition_id, name=name, baseline=baseline, **many))
    session.flush()
    wanted = Search(identifiers=(product.identifier,), versions=("all",))
    for baseline, found in (("05.10", [product.identifier]), ("05.11", [])):
        asked = json.dumps({"op": "=", "args": [{"property": "processing:version"}, baseline]})
        assert names(session, replace(wanted, expressions=(asked,))) == found


def test_a_product_is_of_the_collection_that_its_item_says(session: Session) -> None:
    everything = Search(versions=("all",), withdrawn=True, replaced=True)
    for collection, default in zip(COLLECTIONS, (True, False), strict=True):
        asked = json.dumps({"op": "=", "args": [{"property": "collection"}, collection]})
        page = search.find(session, replace(everything, expressions=(asked,)), limit=1000)
        assert {found.shown_by_default for found in page.found} == {default}


def test_what_was_withdrawn_since_has_changed(session: Session) -> None:
    """A product that was published long ago has changed on the day it was taken back from its users, or given back."""
    product = session.scalars(sa.select(Product).where(Product.version == "V1_4").limit(1)).one()
    product.published = datetime(2020, 1, 1, tzinfo=UTC)
    since = replace(EVERYTHING, changed_since=datetime.now(UTC) - timedelta(minutes=1))
    session.flush()
    assert product.identifier not in names(session, since)
    orders.withdraw(session, session.get_one(Product, product.id), OPERATOR)
    session.flush()
    assert product.identifier in names(session, since)
    assert search.count(session, since) == len(names(session, since))
    assert product.identifier not in names(session, replace(since, withdrawn=False))
    published = replace(EVERYTHING, published_since=since.changed_since)
    assert product.identifier not in names(session, published)
    assert list(search.changes(session, [product])) == [product.id]
    later = replace(EVERYTHING, changed_since=search.changes(session, [product])[product.id] + timedelta(seconds=1))
    assert product.identifier not in names(session, later)


def test_tile_gives_the_version_that_its_users_get(session: Session) -> None:
    session.execute(sa.update(Tile).where(Tile.mgrs == "31TCJ").values(current_version="V1_3"))
    found = names(session, Search())
    assert {name[-4:] for name in found if "T31TCJ" in name} == {"V1-3"}
    assert {name[-4:] for name in found if "T31TCJ" not in name} == {"V1-4"}


def test_replaced_and_withdrawn_products_are_shown_when_asked_for(session: Session) -> None:
    old, bad = session.scalars(sa.select(Product).where(Product.version == "V1_4").limit(2)).all()
    old.current, bad.valid = False, False
    session.flush()
    everything = names(session, EVERYTHING)
    assert set(everything) - set(names(session, replace(EVERYTHING, replaced=False))) == {old.identifier}
    assert set(everything) - set(names(session, replace(EVERYTHING, withdrawn=False))) == {bad.identifier}
    hidden = [f for f in search.find(session, EVERYTHING, 1000).found if not f.shown_by_default]
    assert {f.product.identifier for f in hidden} == {
        *(old.identifier, bad.identifier),
        *(name for name in everything if name.endswith("V1-3")),
    }


def test_flags_are_found(session: Session) -> None:
    one = session.scalars(sa.select(Product).where(Product.version == "V1_4").limit(1)).one()
    session.execute(
        sa.update(Quality).where(Quality.job_id == one.job_id).values(flags={"rain": True, "cirrus": False})
    )
    assert names(session, Search(flags=("rain",))) == [one.identifier]
    assert names(session, Search(flags=("cirrus",))) == names(session, Search(flags=("rain", "cirrus"))) == []


@pytest.mark.parametrize("order", search.ORDERS)
def test_pages_follow_each_other_whatever_is_published_meanwhile(session: Session, order: str) -> None:
    # Two products of one time: the key has to tell them apart.
    moment = session.scalar(sa.select(sa.func.max(Product.sensing)))
    session.execute(sa.update(Product).where(Product.tile == "40KCB").values(published=NOW))
    session.execute(sa.update(Product).where(Product.tile == "31TGK", Product.sensing >= moment).values(published=NOW))
    wanted = replace(EVERYTHING, order=order)
    whole = names(session, wanted)
    found: list[str] = []
    after = None
    for number in range(100):
        page = search.find(session, wanted, 7, after)
        found += [f.product.identifier for f in page.found]
        after = page.after
        if number == 0 and order == "-published":  # comes before what was seen, so it moves nothing
            newest = session.scalars(sa.select(Product).where(Product.identifier == whole[-1])).one()
            newest.published, whole = NOW + timedelta(days=1), whole[:-1]
            session.flush()
        if after is None:
            break
    assert found == whole
    values = [getattr(f.product, order.lstrip("-")) for f in search.find(session, wanted, 1000).found]
    assert values == sorted(values, reverse=order.startswith("-"))


def test_words_are_understood(session: Session) -> None:
    def known(text: str) -> Search:
        return search.understand(session, text)

    day = datetime(2023, 8, 15, tzinfo=UTC)
    name = "SENTINEL2A_20230815-095757-246_L2A_T31TCJ_D_V1-4"
    taken_apart = Search(
        **{"tiles": ("31TCJ",), "platforms": ("S2A",), "versions": ("V1_4",)},
        **{"first": day, "last": day + timedelta(days=1, microseconds=-1)},
    )
    assert known(name) == taken_apart
    assert known("31tcj v1_4  S2A, 2023-08-15") == taken_apart
    package = known("S2B_MSIL1C_20230810T094549_N0510_R079_T33TWM_20230810T124346.SAFE")
    assert (package.tiles, package.orbits, package.platforms) == (("33TWM",), (79,), ("S2B",))
    assert package.first == datetime(2023, 8, 10, tzinfo=UTC)
    assert known("reunion 2023").sites == ("reunion",)
    assert known("RÉUNION 2023-12").last == datetime(2023, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    assert known("rain sun-glint").flags == ("rain", "sun_glint")
    assert known("2023 2023-08").first == datetime(2023, 8, 1, tzinfo=UTC)
    assert known("  ") == Search()
    for text in ("atlantis", "2023-02-30", "2023-13", "toulouse alps", "31TZZ"):
        with pytest.raises(SearchError, match=text.split()[-1]):
            known(text)


def test_nonsense_is_refused(session: Session) -> None:
    for wanted in (Search(order="size"), Search(flags=("hail",))):
        with pytest.raises(SearchError):
            search.find(session, wanted)
    for key in ("", "x", "1.2.3", "1692093477246000", "-99999999999999999.1", "1';--.1"):
        with pytest.raises(SearchError):
            search.find(session, Search(), after=key)
    for west, south, east, north in ((0, 10, 1, 5), (0, 0, 200, 1), (float("nan"), 0, 1, 1)):
        with pytest.raises(SearchError):
            search.rectangle(west, south, east, north)


def test_area_may_cross_the_antimeridian() -> None:
    tiles = ["01KAB", "60KYF", "31TCJ"]  # Fiji on both sides
    tiles = [tile for tile in tiles if search.touching([tile], search.rectangle(-180, -90, 180, 90))]
    assert search.touching(tiles, search.rectangle(176, -20, -178, -15)) == {"01KAB", "60KYF"} & set(tiles)
    assert search.touching(tiles, search.rectangle(1, 43, 2, 44)) == {"31TCJ"}


@pytest.mark.parametrize(
    "written",
    [
        "POLYGON ((176 -20, -178 -20, -178 -15, 176 -15, 176 -20))",
        "POLYGON ((176 -20, 182 -20, 182 -15, 176 -15, 176 -20))",
        "POLYGON ((-184 -20, -178 -20, -178 -15, -184 -15, -184 -20))",
        "MULTIPOLYGON (((176 -20, 180 -20, 180 -15, 176 -15, 176 -20)), ((-180 -20, -178 -20, -178 -15, -180 -20)))",
        "MULTIPOLYGON (((176 -20, -178 -20, -178 -15, 176 -15, 176 -20)), ((50 50, 51 50, 51 51, 50 50)))",
        "LINESTRING (177 -17.2, -178 -17.2)",
    ],
)
def test_area_across_the_antimeridian_goes_the_short_way(session: Session, written: str) -> None:
    session.add_all([Tile(mgrs=tile, current_version="V1_4") for tile in ("01KAB", "60KYF")])
    session.flush()
    area = places.the_short_way(shapely.from_wkt(written))
    _, near = places.condition(session, "s_intersects", area)
    assert near & {"01KAB", "60KYF", "31TCJ"} == {"01KAB", "60KYF"}


def test_what_goes_all_round_stays_so(session: Session) -> None:
    for area in (shapely.box(-180, -85, 180, 85), shapely.box(-90, -60, 90, 60), shapely.Point(179, 3)):
        assert places.the_short_way(area) is area


def test_tile_that_comes_later_is_looked_at(session: Session) -> None:
    fiji = search.rectangle(176, -20, -178, -15)
    assert not places.condition(session, "s_intersects", fiji)[1]
    session.add(Tile(mgrs="01KAB"))
    session.flush()
    assert places.condition(session, "s_intersects", fiji)[1] == {"01KAB"}
