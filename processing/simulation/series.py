"""Series of dates of one place, written as Level-1C products."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from processing import tiling
from processing.scene import Grid
from processing.simulation import orbit, product
from processing.simulation.date import Date
from processing.simulation.orbit import Pass
from processing.simulation.place import Place
from processing.simulation.scenario import Clouds, Series, Weather

#: Last day of the demonstration.
DEMONSTRATION = datetime(2024, 7, 1, tzinfo=UTC)


def simulate(out: Path, *, zip: bool = False, truth: bool = True, **series: Any) -> list[Path]:
    """Write a series of Level-1C products of one place.

    Parameters
    ----------
    out : Path
        Folder of the products; their truth goes to ``out/truth/NAME/``, and the terrain, where there is any, to
        ``out/truth/dem.tif``. Products of the same name are replaced.
    zip : bool
        Write zips rather than folders.
    truth : bool
        Keep the truth.
    **series
        What to write, as of `Series`.

    Returns
    -------
    list of Path
        The products, in time order.

    Raises
    ------
    ValueError
        For an unknown tile, a size or origin that does not fit, or weather that the atmosphere's tables do not reach.
    """
    return [product.write(date, Path(out), zipped=zip, with_truth=truth) for date in _dates(Series(**series))]


def demonstration(out: Path, until: datetime = DEMONSTRATION, *, truth: bool = False) -> list[Path]:
    """Write the small archive that an empty centre shows: five places on three continents, five dates each.

    Parameters
    ----------
    out : Path
    until : datetime
        The last pass is before this day, the first about 25 days earlier.
    truth : bool
        Keep the truth in ``out/truth/``.

    Returns
    -------
    list of Path
        The products; the first date of every place comes first.
    """
    start = until - timedelta(days=25)
    places = [
        _dates(Series(tile, start=start, size=size, cloud_cover=cover, overcast=overcast))
        for tile, size, cover, overcast in (
            ("31TCJ", 732, (0.0, 0.20), (3,)),
            ("40KCB", 732, (0.02, 0.16), ()),
            ("29RPQ", 366, (0.0, 0.12), ()),
            ("32SNE", 366, (0.0, 0.14), ()),
            ("30PXU", 366, (0.02, 0.24), (2,)),
        )
    ]
    return [
        product.write(date, Path(out), zipped=False, with_truth=truth)
        for dates in zip(*places, strict=True)
        for date in dates
    ]


def _dates(series: Series) -> Iterator[Date]:
    """The dates of a series, made as they are asked for."""
    tile_grid = tiling.grid(series.tile)
    whole, size = tiling.SIZE // 10, series.size
    if size % 6 or not 6 <= size <= whole:
        raise ValueError(f"size {size}: a multiple of 6 up to {whole} is needed")
    row, col = series.origin if series.origin is not None else ((whole - size) // 12 * 6, (whole - size) // 12 * 6)
    if row % 6 or col % 6 or min(row, col) < 0 or max(row, col) + size > whole:
        raise ValueError(f"origin {row}, {col}: multiples of 6 that leave room for {size} pixels are needed")
    if not 0 <= series.cloud_cover[0] <= series.cloud_cover[1] <= 1:
        raise ValueError(f"cloud cover {series.cloud_cover}: two shares in order are needed")
    grid = Grid(tile_grid.crs, tile_grid.west + 10 * col, tile_grid.north - 10 * row, 10 * size, 10 * size)
    place = Place(series, grid)
    for k, acquisition in enumerate(_passes(place, series)):
        rng = np.random.default_rng([*place.seed, 2, int(f"{acquisition.sensing:%Y%m%d}")])
        weather = series.weather[k % len(series.weather)] if series.weather else _weather(series, place, k, rng)
        yield Date(place, acquisition, weather, rng)


def _weather(series: Series, place: Place, k: int, rng: np.random.Generator) -> Weather:
    """The weather of a date of a series that does not say it."""
    share = (k * 0.618034 + 0.12) % 1  # neither ordered nor clustered
    cover = series.cloud_cover[0] + (series.cloud_cover[1] - series.cloud_cover[0]) * share**1.5
    aot, water_vapour = (
        given[k % len(given)] if given else float(rng.uniform(*drawn))
        for given, drawn in (
            (series.aot, place.scenario.aot),
            (series.water_vapour, place.scenario.water_vapour),
        )
    )
    if k in series.overcast:
        clouds = Clouds("stratus", (1500, 2500), 9000), 0.98
    else:
        kinds = place.scenario.clouds
        shares = np.array([kind.share for kind in kinds])
        clouds = kinds[int(rng.choice(len(kinds), p=shares / shares.sum()))], cover
    return Weather((clouds,), aot, water_vapour)


def _passes(place: Place, series: Series) -> list[Pass]:
    dates, start, platforms = series.dates, series.start, series.platforms
    tracks = orbit.relative_orbits(place.lon, place.lat)[: series.orbits]
    start = start.replace(tzinfo=UTC) if start.tzinfo is None else start
    if isinstance(dates, int):
        found = [p for r in tracks for p in islice(orbit.passes(start, r, place.lon, place.lat), dates)]
        return sorted(found, key=lambda p: p.sensing)[:dates]
    days = sorted(d.replace(tzinfo=UTC) if d.tzinfo is None else d for d in dates)
    return [
        orbit.pass_on(day, platforms[k % len(platforms)], tracks[k % len(tracks)], place.lon, place.lat)
        for k, day in enumerate(days)
    ]
