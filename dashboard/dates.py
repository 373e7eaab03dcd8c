"""Every date of every tile in one frame of small numbers: what the page Coverage counts and colours by.

It is read once, and then only of tiles that something happened to; each tile knows the version it last changed in, so
that an open page asks for no more than what is new.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.orm import Session

from dashboard import queries, theme
from processing.errors import StoreError
from processing.sites import theia_tiles
from processing.store import passes, tallies
from processing.store.dialect import epoch
from processing.store.models import JOB_STATES, Acquisition, Campaign, Chain, Event, Job, Product, Quality, Tile

if TYPE_CHECKING:
    from processing.store import Store

#: A look at the store that is younger than this is given again. [s]
SECONDS = 3.0
#: What should have come is asked again after this, or when something came. [s]
MISSING_SECONDS = 300.0
#: More changed tiles than these are not read one by one.
MANY = 100
#: A date is clear up to this much cloud. [%]
CLEAR = 20.0
#: A date that arrived and is in no series yet.
ARRIVED = "arrived"
_RAW = (ARRIVED, *JOB_STATES)
_DAY = 86_400
_ORDER = ["tile", "time", "platform", "version", "revision"]


@dataclass(frozen=True)
class Dates:
    """All dates at one time.

    Attributes
    ----------
    version : int
        Grows when anything changed.
    taken : datetime
    tiles : tuple of str
        THEIA's, and those of the store; `rows` and `missing` name them by their place.
    known : frozenset of str
        Those of the store.
    sites : mapping of tile to str
        Names of their sites.
    versions : tuple of str
        Oldest first.
    rows : DataFrame
        One row a date, version and revision in order of tile and time: tile, time (sensing [s since 1970]), platform,
        version (place in `versions`, -1: in no series), revision, state (place in the states of jobs, 0: `ARRIVED`),
        cloud [%], published ([s since 1970], NaN without a product that users get), simulated, newest (whether it is
        the last revision of the newest version that has the date), last (whether it is the last revision).
    missing : DataFrame
        Passes that should have come: tile, time.
    changed : ndarray of int
        The version in which each tile last changed.
    """

    version: int
    taken: datetime
    tiles: tuple[str, ...]
    known: frozenset[str]
    sites: Mapping[str, str]
    versions: tuple[str, ...]
    rows: pd.DataFrame
    missing: pd.DataFrame
    changed: np.ndarray
    _seen: Any = field(default=None, repr=False)

    @property
    def newest(self) -> datetime | None:
        """When the newest product was published."""
        last = self.rows["published"].max()
        return None if pd.isna(last) else datetime.fromtimestamp(float(last), UTC)

    @property
    def all_simulated(self) -> bool:
        """Whether all dates come from the simulation."""
        return bool(len(self.rows) and self.rows["simulated"].all())

    def of(self, version: str = "") -> pd.DataFrame:
        """The rows that count: one a date, in a version or in the newest one that has the date.

        Raises
        ------
        KeyError
            If no such version is here.
        """
        if not version:
            return self.rows[self.rows["newest"].to_numpy()]
        if version not in self.versions:
            raise KeyError(version)
        return self.rows[
            (self.rows["version"] == self.versions.index(version)).to_numpy() & self.rows["last"].to_numpy()
        ]


def read(session: Session, tiles: Sequence[str] | None = None) -> pd.DataFrame:
    """Dates of all tiles, or of some, with the names that the store has for them; else as `Dates.rows`."""
    published = sa.and_(Product.job_id == Job.id, Product.current, Product.valid)
    query = (
        sa.select(
            Acquisition.tile,
            epoch(Acquisition.sensing).label("time"),
            Acquisition.platform,
            sa.func.coalesce(Campaign.version, "").label("version"),
            sa.func.coalesce(Job.revision, 0).label("revision"),
            sa.func.coalesce(Job.state, ARRIVED).label("state"),
            Quality.cloud_percent.label("cloud"),
            epoch(Product.published).label("published"),
            Acquisition.simulated,
        )
        .outerjoin(Job, Job.acquisition_id == Acquisition.id)
        .outerjoin(Chain, Chain.id == Job.chain_id)
        .outerjoin(Campaign, Campaign.id == Chain.campaign_id)
        .outerjoin(Quality, Quality.job_id == Job.id)
        .outerjoin(Product, published)
    )
    if tiles is not None:
        query = query.where(Acquisition.tile.in_(tiles))
    result = session.execute(query)
    names = list(result.keys())
    columns = zip(*result.fetchall(), strict=True)
    frame = pd.DataFrame(dict(zip(names, columns, strict=False)), columns=names, dtype=object)
    return frame.astype({"time": float, "revision": int, "cloud": float, "published": float, "simulated": bool})


def _numbers(names: Sequence[str]) -> Iterable[tuple[str, int]]:
    return ((name, number) for number, name in enumerate(names))


def _numbered(frame: pd.DataFrame, tiles: Sequence[str], versions: Sequence[str]) -> pd.DataFrame:
    """Names as places in their lists, in order, and which rows count."""
    frame = frame.assign(
        tile=frame["tile"].map(dict(_numbers(tiles))).astype("int32"),
        time=frame["time"].astype("int64"),
        platform=frame["platform"].astype(str),
        version=frame["version"].map({"": -1, **dict(_numbers(versions))}).astype("int8"),
        state=frame["state"].map(dict(_numbers(_RAW))).astype("int8"),
    ).sort_values(_ORDER, ignore_index=True)
    date = ["tile", "time", "platform"]
    return frame.assign(
        newest=~frame.duplicated(date, keep="last"), last=~frame.duplicated([*date, "version"], keep="last")
    )


class Coverages:
    """Gives the newest `Dates`; safe to call from any thread.

    Parameters
    ----------
    store : Store
    seconds : float
        A look younger than this is given again without asking the store.
    """

    def __init__(self, store: Store, seconds: float = SECONDS) -> None:
        self._store, self._seconds = store, seconds
        self._lock = threading.Lock()
        self._looked = self._expected = -float("inf")
        self._dates: Dates | None = None
        #: What should have come, from the last time that it was asked for, until a look takes it.
        self._found: pd.DataFrame | None = None
        #: Why the last look failed; the dates are then older ones.
        self.fault = ""

    def latest(self) -> Dates:
        """The newest dates. While the store can't be read the last ones are given, and `fault` says why."""
        with self._lock:
            if self._dates is None or time.monotonic() - self._looked >= self._seconds:
                try:
                    self._look()
                    self.fault = ""
                except Exception as fault:
                    if self._dates is None:
                        raise
                    self.fault = f"{type(fault).__name__}: {fault}".splitlines()[0]
                self._looked = time.monotonic()
            assert self._dates is not None
            return self._dates

    def _look(self) -> None:
        before, now = self._dates, datetime.now(UTC)
        with self._store.read() as session:
            seen = _fingerprint(session)
            if before is not None and seen == before._seen and self._found is None:
                dates = replace(before, taken=now)
            else:
                dates = self._read(session, before, seen, now)
                if before is None:
                    self._expected, self._found = time.monotonic(), _missing(self._store, dates)
                dates = _compared(before, replace(dates, missing=_still_missing(self._found, dates)))
                self._found = None
        self._dates = dates
        if time.monotonic() - self._expected >= MISSING_SECONDS:
            self._expected = time.monotonic()
            threading.Thread(target=self._expect, args=(dates,), daemon=True).start()

    def _expect(self, dates: Dates) -> None:
        """Find what should have come: seconds in a large store, which no page waits for."""
        with suppress(StoreError):
            self._found = _missing(self._store, dates)

    def _read(self, session: Session, before: Dates | None, seen: dict[str, Any], now: datetime) -> Dates:
        known = tuple(session.scalars(sa.select(Tile.mgrs).order_by(Tile.mgrs)))
        tiles = tuple(sorted({*theia_tiles(), *known}))
        versions = tuple(session.scalars(sa.select(Campaign.version).order_by(Campaign.version)))
        rows = None
        if before is not None and before.tiles == tiles and before.versions == versions:
            rows = self._patched(session, before, seen)
        if rows is None:
            rows = _numbered(read(session), tiles, versions)
        return Dates(
            before.version if before else 0,
            now,
            tiles,
            frozenset(known),
            queries.site_names(session),
            versions,
            rows,
            before.missing if before is not None and before.tiles == tiles else _none_missing(),
            before.changed if before is not None and before.tiles == tiles else np.zeros(len(tiles), int),
            seen,
        )

    def _patched(self, session: Session, before: Dates, seen: dict[str, Any]) -> pd.DataFrame | None:
        """The rows before with those of the tiles that events name; None where these don't tell everything."""
        since = before._seen["event"] or 0
        named = sa.select(Event.tile).where(Event.id > since, Event.tile.is_not(None)).distinct().limit(MANY + 1)
        changed = [tile for tile in session.scalars(named) if tile in before.known]
        if len(changed) > MANY:
            return None
        rows = before.rows
        if changed:
            new = _numbered(read(session, changed), before.tiles, before.versions)
            places = [before.tiles.index(tile) for tile in changed]
            rows = pd.concat([rows[~rows["tile"].isin(places)], new]).sort_values(_ORDER, ignore_index=True)
        counts = np.bincount(rows["state"], minlength=len(_RAW))
        products = int(rows["published"].notna().sum())
        told = {state: int(n) for state, n in zip(_RAW, counts, strict=True) if n and state != ARRIVED}
        return rows if told == seen["states"] and products == seen["products"] else None


def _fingerprint(session: Session) -> dict[str, Any]:
    """Changes whenever something that is counted here has changed; cheap."""
    return {
        "event": session.scalar(sa.select(sa.func.max(Event.id))),
        "acquisitions": tallies.dates(session),
        "tiles": session.scalar(sa.select(sa.func.count()).select_from(Tile)),
        "products": tallies.products(session)[1],
        "states": tallies.states(session),
    }


def _none_missing() -> pd.DataFrame:
    return pd.DataFrame({"tile": np.zeros(0, "int32"), "time": np.zeros(0, "int64")})


def _missing(store: Store, dates: Dates) -> pd.DataFrame:
    if not len(dates.rows):
        return _none_missing()
    since, place = datetime.fromtimestamp(float(dates.rows["time"].min()), UTC), dict(_numbers(dates.tiles))
    with store.read() as session:
        missing = passes.missing(session, since, dates.taken, dates.taken)
    found = [(place[one.tile], int(one.time.timestamp())) for one in missing if one.tile in place]
    return pd.DataFrame(found or None, columns=["tile", "time"]).astype({"tile": "int32", "time": "int64"})


def _still_missing(found: pd.DataFrame | None, dates: Dates) -> pd.DataFrame:
    """Passes that should have come, without those that came since that was found out."""
    missing = dates.missing if found is None else found
    came = pd.MultiIndex.from_arrays([dates.rows["tile"], dates.rows["time"] // _DAY])
    return missing[~pd.MultiIndex.from_arrays([missing["tile"], missing["time"] // _DAY]).isin(came)]


def _compared(before: Dates | None, dates: Dates) -> Dates:
    """The dates with the version in which each tile changed, by what differs from those before."""
    version = dates.version + 1
    if before is None or before.tiles != dates.tiles or before.versions != dates.versions:
        return replace(dates, version=version, changed=np.full(len(dates.tiles), version))
    differs = _digests(before) != _digests(dates)
    differs |= np.array([before.sites.get(t, "") != dates.sites.get(t, "") for t in dates.tiles])
    if not differs.any():
        return replace(dates, version=before.version, changed=before.changed)
    return replace(dates, version=version, changed=np.where(differs, version, before.changed))


def _digests(dates: Dates) -> np.ndarray:
    """A number for each tile that changes with its rows."""
    total = np.zeros(len(dates.tiles), "uint64")
    for frame in (dates.rows, dates.missing):
        if len(frame):
            np.add.at(total, frame["tile"], pd.util.hash_pandas_object(frame, index=False).to_numpy())
    return total


def states(rows: pd.DataFrame) -> np.ndarray:
    """The state that a reader sees of each row: of `theme.STATES`, or ``withdrawn``."""
    shown = np.array(["waiting" if state == ARRIVED else theme.state(state) for state in _RAW], dtype=object)
    found = shown[rows["state"].to_numpy()]
    return np.where((found == "published") & rows["published"].isna().to_numpy(), "withdrawn", found)


def months(first: str, last: str) -> tuple[float, float]:
    """From the first moment of a month to the end of another one, as seconds since 1970; empty: no limit.

    Raises
    ------
    ValueError
        If one is no month.
    """
    start = datetime.strptime(first, "%Y-%m").replace(tzinfo=UTC).timestamp() if first else -np.inf
    if not last:
        return start, np.inf
    month = datetime.strptime(last, "%Y-%m").replace(tzinfo=UTC)
    return start, (month.replace(day=28) + timedelta(days=4)).replace(day=1).timestamp()


def by_tile(dates: Dates, first: str = "", last: str = "", version: str = "") -> pd.DataFrame:
    """Every tile in a period.

    Columns: tile, site, followed (whether the store knows it), state and day of the latest date (``none`` and an empty
    text without one), version (of the latest product), dates, products, known (dates whose cloud is known), clear (of
    those, dates of at most `CLEAR` % cloud), delay (median from sensing to publication [h]), valid (day of the last
    product), missing (passes that should have come), simulated (the latest date).

    Raises
    ------
    KeyError
        If no such version is here.
    ValueError
        If `first` or `last` is no month, ``2023-08``.
    """
    since, until = months(first, last)
    rows, count = dates.of(version), len(dates.tiles)
    rows = rows[rows["time"].between(since, until, inclusive="left").to_numpy()]
    tile = rows["tile"].to_numpy()
    there = rows["published"].notna().to_numpy()
    cloud = rows["cloud"].to_numpy()
    missing = dates.missing[dates.missing["time"].between(since, until, inclusive="left").to_numpy()]
    latest, valid = _last(tile, count), _last(tile[there], count)
    products = rows[there]

    def at(values: np.ndarray, places: np.ndarray, nothing: Any) -> list[Any]:
        return [values[place] if place >= 0 else nothing for place in places.tolist()]

    hours = (products["published"] - products["time"]) / 3600
    names = np.array([*dates.versions, ""], dtype=object)
    return pd.DataFrame(
        {
            "tile": dates.tiles,
            "site": [dates.sites.get(t, "") for t in dates.tiles],
            "followed": [t in dates.known for t in dates.tiles],
            "state": at(states(rows), latest, "none"),
            "day": at(_days(rows["time"]), latest, ""),
            "version": at(names[products["version"].to_numpy()], valid, ""),
            "dates": np.bincount(tile, minlength=count),
            "products": np.bincount(tile[there], minlength=count),
            "known": np.bincount(tile[~np.isnan(cloud)], minlength=count),
            "clear": np.bincount(tile[cloud <= CLEAR], minlength=count),
            "delay": hours.groupby(products["tile"]).median().reindex(range(count)).to_numpy(),
            "valid": at(_days(products["time"]), valid, ""),
            "missing": np.bincount(missing["tile"], minlength=count),
            "simulated": [bool(s) for s in at(rows["simulated"].to_numpy(), latest, False)],
        }
    )


def _last(tile: np.ndarray, count: int) -> np.ndarray:
    """Where the last row of each tile stands, -1 without one; the rows are in order of tiles."""
    ends = np.searchsorted(tile, np.arange(count), side="right") - 1
    return np.where((ends >= 0) & (tile[ends] == np.arange(count)), ends, -1) if len(tile) else np.full(count, -1)


def _days(times: pd.Series) -> np.ndarray:
    return times.to_numpy().astype("datetime64[s]").astype("datetime64[D]").astype(str)


def by_month(dates: Dates, version: str = "") -> tuple[list[str], np.ndarray]:
    """How complete each tile is in each month.

    Returns
    -------
    list of str
        Months, ``2023-08``, from the first one with a date to the last one.
    (tile, month, 3) int
        Dates that came to an end (published or not valid), dates that arrived, passes that should have come and have
        not.
    """
    rows, missing = dates.of(version), dates.missing
    times = np.concatenate([rows["time"], missing["time"]]).astype("int64")
    if not len(times):
        return [], np.zeros((len(dates.tiles), 0, 3), int)
    month = times.astype("datetime64[s]").astype("datetime64[M]").astype(int)
    first, width = month.min(), month.max() - month.min() + 1
    place = np.concatenate([rows["tile"], missing["tile"]]) * width + month - first
    ended = np.isin(states(rows), ("published", "not_valid"))
    came = np.arange(len(times)) < len(rows)
    shape = (len(dates.tiles), width)
    counts = [
        np.bincount(places, minlength=shape[0] * width).reshape(shape)
        for places in (place[: len(rows)][ended], place[came], place[~came])
    ]
    names = (np.arange(width) + first).astype("datetime64[M]").astype(str)
    return list(names), np.stack(counts, axis=2)


def missing_days(dates: Dates, tile: str, year: int) -> Iterable[str]:
    """Days of a year on which a pass over a tile should have come and has not."""
    if tile not in dates.tiles:
        return []
    of_tile = dates.missing.loc[dates.missing["tile"] == dates.tiles.index(tile), "time"]
    return [day for day in _days(of_tile) if day.startswith(f"{year}-")]
