"""A store with realistic rows and small products on disk, for the tests of the web."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from sqlalchemy.orm import Session

from processing import tiling
from processing.product import names
from processing.settings import Settings
from processing.store import Store
from processing.store.models import (
    Acquisition,
    Attempt,
    Campaign,
    Chain,
    Event,
    Granule,
    Job,
    Product,
    Quality,
    Site,
    SiteTile,
    Tile,
)

#: Site code, name, tiles.
SITES = (
    ("toulouse", "Toulouse", ("31TCJ", "31TDJ")),
    ("alps", "Alps", ("31TGK",)),
    ("reunion", "Réunion", ("40KCB",)),
    ("morocco", "Marrakech", ("29RPQ",)),
    ("tunisia", "Kairouan", ("32SNE",)),
    ("burkina", "Koumbia", ("30PVT",)),
)
#: State of the last date of each tile in turn; all earlier ones are published but some.
LAST = ("published", "running", "not_valid", "ready", "failed", "rejected", "published")


def write_raster(path: Path, array: np.ndarray, west: float, north: float, crs: str, resolution: float = 10) -> None:
    """A small COG: (bands, row, col) or (row, col)."""
    planes = array if array.ndim == 3 else array[None]
    path.parent.mkdir(parents=True, exist_ok=True)
    masks = array.dtype == np.uint8 and array.ndim == 2
    with rasterio.open(
        path,
        "w",
        driver="COG",
        width=planes.shape[2],
        height=planes.shape[1],
        count=planes.shape[0],
        dtype=planes.dtype,
        crs=crs,
        transform=Affine(resolution, 0, west, 0, -resolution, north),
        compress="DEFLATE",
        blocksize=512,
        overview_resampling="NEAREST" if masks else "AVERAGE",
        nodata=-10000 if planes.dtype == np.int16 else None,
    ) as raster:
        raster.write(planes)


def fields(size: int, seed: int) -> np.ndarray:
    """A land of fields and a river, (row, col) in 0..1."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:size, :size]
    parcels = rng.random((size // 24 + 2, size // 32 + 2))[rows // 24, (cols + rows // 7) // 32 % (size // 32 + 2)]
    return np.clip(0.2 + 0.7 * parcels + 0.02 * rng.standard_normal((size, size)), 0, 1)


def write_product(root: Path, tile: str, size: int, seed: int) -> dict[str, float]:
    """Rasters of one product, whose identifier is the folder's name; gives its figures of quality."""
    grid = tiling.grid(tile)
    place = {"west": grid.west, "north": grid.north, "crs": grid.crs}
    land = fields(size, sum(map(ord, tile)))
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:size, :size]
    river = np.abs(cols - size * 0.6 - 0.08 * size * np.sin(rows / size * 7)) < size * 0.015
    cloud = np.zeros((size, size), bool)
    shadow = np.zeros_like(cloud)
    for _ in range(int(rng.integers(2, 9))):
        row, col, radius = *rng.uniform(0, size, 2).tolist(), rng.uniform(0.02, 0.09) * size
        cloud |= np.hypot(rows - row, (cols - col) / 1.4) < radius
        shadow |= np.hypot(rows - row - 0.08 * size, (cols - col + 0.09 * size) / 1.4) < radius
    shadow &= ~cloud
    spectra = {"B2": (0.04, 0.03), "B3": (0.06, 0.05), "B4": (0.04, 0.14), "B8": (0.42, -0.14)}
    for band, (base, slope) in spectra.items():
        image = base + slope * land + 0.003 * rng.standard_normal((size, size))
        image = np.where(river, {"B2": 0.05, "B3": 0.05, "B4": 0.03, "B8": 0.02}[band], image)
        image = np.where(shadow, image * 0.55, image)
        image = np.where(cloud, 0.45, image)
        counts = np.round(image * 10000).astype(np.int16)
        counts[:, : size // 30] = -10000
        write_raster(root / names.file_path(root.name, f"SRE_{band}"), counts, **place)
    mask = np.where(cloud, 1 | 2 | 4, 0) | np.where(shadow, 1 | 32, 0)
    mask |= np.where(cloud & (rows > size / 2), 8, 0)
    geophysical = np.where(river, 1, 0) | np.where(cloud, 2, 0) | np.where(shadow, 8, 0)
    write_raster(root / names.file_path(root.name, "CLM_R1"), mask.astype(np.uint8), **place)
    write_raster(root / names.file_path(root.name, "MG2_R1"), geophysical.astype(np.uint8), **place)
    aot = 0.08 + 0.2 * cols / size
    water = 1.5 + 0.8 * rows / size
    write_raster(
        root / names.file_path(root.name, "ATB_R1"), np.stack([water * 20, aot * 200]).round().astype(np.uint8), **place
    )
    return {
        "cloud_percent": 100 * float(cloud.mean()),
        "snow_percent": 0.0,
        "water_percent": 100 * float(river.mean()),
        "no_data_percent": 100 / 30,
        "aot_mean": float(aot.mean()),
        "water_vapour_mean": float(water.mean()),
    }


@dataclass(frozen=True)
class Filled:
    """What `fill` put there."""

    identifiers: tuple[str, ...]


def filled(settings: Settings, **given: Any) -> Store:
    """The store of a new centre, with what `fill` puts into it and its archive."""
    settings.make_folders()
    store = Store(settings.url)
    store.upgrade()
    with store.write() as session:
        fill(settings, session, **given)
    return store


def fill(
    settings: Settings,
    session: Session,
    dates: int = 6,
    size: int = 366,
    simulated: bool = True,
    now: datetime | None = None,
) -> Filled:
    """Six sites with `dates` dates each, in V1_4, the first tile also in V1_3; products of `size` px at 10 m on disk.

    Only published dates have files. The caller commits.
    """
    now = now or datetime.now(UTC)
    published: list[str] = []
    events: list[Event] = []
    campaigns = {
        version: Campaign(version=version, status="active", priority=0, opened=now - timedelta(days=20))
        for version in ("V1_3", "V1_4")
    }
    session.add_all(campaigns.values())
    tiles = [(code, name, tile) for code, name, owned in SITES for tile in owned]
    for order, (code, name, owned) in enumerate(SITES):
        session.merge(Site(code=code, name=name, country="", active=True, priority=order))
        for tile in owned:
            session.merge(Tile(mgrs=tile, current_version="V1_4"))
        session.flush()
        for tile in owned:
            session.merge(SiteTile(site=code, tile=tile))
    session.flush()
    for place, (_, _, tile) in enumerate(tiles):
        acquisitions = []
        for date in range(dates):
            sensing = datetime(2023, 8, 1, 10, 50, 31, tzinfo=UTC) + timedelta(days=5 * date, minutes=place)
            seen = now - timedelta(days=(dates - date) * 1.6, hours=place)
            acquisition = Acquisition(
                tile=tile,
                platform="S2A" if date % 2 else "S2B",
                datatake=sensing.replace(second=0),
                sensing=sensing,
                relative_orbit=51,
                first_seen=seen,
                simulated=simulated,
            )
            session.add(acquisition)
            session.flush()
            session.add(
                Granule(
                    acquisition_id=acquisition.id,
                    name=f"{acquisition.platform}_MSIL1C_{sensing:%Y%m%dT%H%M%S}_N0509_R051_T{tile}_{sensing:%Y%m%dT%H%M%S}",
                    source="inbox",
                    baseline="05.09",
                    datastrip=sensing,
                    generation=sensing,
                    path=f"{tile}/x",
                    bytes=1,
                    state="usable",
                    seen=seen,
                    simulated=simulated,
                )
            )
            acquisitions.append(acquisition)
        for version in ("V1_3", "V1_4") if place == 0 else ("V1_4",):
            chain = Chain(tile=tile, campaign_id=campaigns[version].id)
            session.add(chain)
            session.flush()
            previous: Product | None = None
            for date, acquisition in enumerate(acquisitions):
                if version == "V1_4" and place == 0 and date == 0:
                    continue  # so that the series of this tile mixes versions
                state = (
                    LAST[place % len(LAST)]
                    if date == dates - 1
                    else "not_valid"
                    if (place + date) % 7 == 3
                    else "published"
                )
                began = acquisition.first_seen + timedelta(minutes=2 + place)
                closed = began + timedelta(minutes=3) if state not in ("ready", "running") else None
                reasons = {
                    "failed": "AncillaryError: dem.tif: does not cover the tile",
                    "rejected": "B04.jp2: cut short",
                }
                job = Job(
                    chain_id=chain.id,
                    acquisition_id=acquisition.id,
                    sensing=acquisition.sensing,
                    state=state,
                    not_before=began,
                    attempts=1,
                    reason_class="input" if state in reasons else None,
                    reason=reasons.get(state),
                    created=acquisition.first_seen,
                    closed=closed,
                )
                session.add(job)
                session.flush()
                attempt = None
                if state != "ready":
                    attempt = Attempt(
                        job_id=job.id,
                        token=date + 1,
                        owner="worker-1",
                        claimed=began,
                        started=began,
                        ended=closed,
                        outcome=state if closed else None,
                        mode="nominal" if previous else "init",
                    )
                    session.add(attempt)
                    session.flush()
                product = None
                if state == "published":
                    stem = names.identifier(acquisition.platform, acquisition.sensing, tile, version)
                    path = f"{tile}/{version}/{stem}"
                    quality = write_product(settings.archive / path, tile, size, 10 * place + date)
                    product = Product(
                        job_id=job.id,
                        attempt_id=attempt.id,
                        identifier=stem,
                        tile=tile,
                        platform=acquisition.platform,
                        sensing=acquisition.sensing,
                        relative_orbit=51,
                        version=version,
                        path=path,
                        mode=attempt.mode,
                        prev_product=previous.id if previous else None,
                        manifest_sha=hashlib.sha256(stem.encode()).hexdigest(),
                        bytes=sum(f.stat().st_size for f in (settings.archive / path).rglob("*") if f.is_file()),
                        published=closed,
                        simulated=simulated,
                        absent=["FRE", "MG2.TOPOGRAPHIC_SHADOW"],
                    )
                    session.add(product)
                    session.add(Quality(job_id=job.id, **quality))
                    session.flush()
                    previous = product
                    published.append(stem)
                elif state == "not_valid":
                    session.add(Quality(job_id=job.id, cloud_percent=96.0))
                events.append(
                    Event(
                        time=closed or began,
                        kind=state,
                        severity={"failed": "error", "rejected": "warning"}.get(state, "info"),
                        tile=tile,
                        version=version,
                        job_id=job.id,
                        product_id=product.id if product else None,
                        actor="worker-1",
                        data={"reason": reasons[state]} if state in reasons else {},
                    )
                )
    refusal = {"l1c": "S2A_CUT_SHORT.zip", "reason": "the archive ends too early"}
    events.append(Event(time=now, kind="refused", severity="warning", actor="inbox", data=refusal))
    session.add_all(sorted(events, key=lambda event: event.time))
    session.flush()
    return Filled(tuple(published))
