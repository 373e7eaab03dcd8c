"""The tallies say what counting would; that every other test of the store leaves them so, its fixture sees to."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from processing.store import MIGRATIONS, Store, checks, orders, tallies
from processing.store.models import DayTally, Job, Product
from tests.people import OPERATOR
from tests.store_databases import postgres, url  # noqa: F401
from tests.test_store import add, publish, run_all, store  # noqa: F401

# ruff: noqa: F811


@pytest.fixture
def busy(store: Store) -> Store:
    """Dates published, withdrawn, made again, given up and waiting."""
    for day in range(6):
        add(store, day)
    run_all(store)
    with store.write() as session:
        products = session.scalars(sa.select(Product).order_by(Product.id)).all()
        orders.withdraw(session, products[0], OPERATOR)
        orders.replay(session, session.get_one(Job, products[4].job_id), OPERATOR)
    run_all(store)
    add(store, 7)
    return store


def test_a_store_of_before_is_counted_when_it_is_upgraded(busy: Store) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with busy.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0012")
    busy.upgrade(explicit=True)
    with busy.read() as session:
        assert tallies.wrong_tallies(session) == []
        assert tallies.states(session) == {"published": 8, "ready": 1}
        assert tallies.products(session) == (6, 5, 0)
        assert (tallies.of_versions(session), tallies.dates(session)) == ({"V1_4": 6}, 7)


def test_rows_that_are_deleted_are_counted_no_more(busy: Store) -> None:
    with busy.write() as session:
        session.execute(sa.delete(Job).where(Job.state == "ready"))
        assert tallies.wrong_tallies(session) == []
        session.rollback()


def test_a_wrong_tally_is_found_and_counted_again(busy: Store) -> None:
    with busy.write() as session:
        session.execute(sa.update(DayTally).where(DayTally.what == "made").values(number=DayTally.number + 1))
    with busy.read() as session:
        assert any(line.startswith("wrong tallies: day_tally") for line in checks.violations(session))
    with busy.write() as session:
        tallies.count_again(session)
        assert list(checks.violations(session)) == []
