"""A lost store restored from what lies in the archive: products with their manifests, events and verdicts.

What the products' folders hold comes back whole: dates, versions, revisions, lineage, figures and sums. What only the
store knew comes back as far as the journal has it. A date without a product is not restored: its Level-1C, where it is
still there, is given again.
"""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing import product, timeline
from processing.errors import InputError, ProductError, WrongSetting
from processing.production import journal
from processing.production.ingest import files, named, prepare
from processing.production.janitor import product_folders
from processing.production.publish import MANIFEST
from processing.settings import Settings
from processing.store import Store, events, lease, sites
from processing.store.dialect import now
from processing.store.models import (
    Acquisition,
    Attempt,
    Chain,
    Event,
    Granule,
    Job,
    Product,
    Quality,
    Tile,
    Verdict,
)
from processing.versions import VERSIONS, parameters

#: Of the name of a Level-1C: satellite, datatake, baseline, relative orbit, and when it was made.
_LEVEL1C = re.compile(r"(S2[A-Z])_MSIL1C_(\d{8}T\d{6})_N(\d\d)(\d\d)_R(\d{3})_T\w{5}_(\d{8}T\d{6})")
#: Products between two words that it goes on.
TOLD = 500
#: Who is said to have had the leases of attempts of which only the product is left.
REBUILT = "rebuilt from the archive"


@dataclass
class Report:
    """What came back.

    Attributes
    ----------
    products, events, verdicts : int
    left_out : list of str
        Folders that are no product any more, with the fault.
    again : list of Path
        Packages of which no product is there: to be given again.
    """

    products: int = 0
    events: int = 0
    verdicts: int = 0
    left_out: list[str] = field(default_factory=list)
    again: list[Path] = field(default_factory=list)


@dataclass(frozen=True)
class _Found:
    """A product as it lies in the archive."""

    product: product.Product
    path: str
    revision: int
    manifest_sha: str
    bytes: int
    l1c: tuple[str, ...]
    state: str | None


def rebuild(store: Store, settings: Settings, told: Callable[[str], None] = lambda line: None) -> Report:
    """Restore an empty store from its archive, in one transaction.

    Parameters
    ----------
    told : callable
        Takes a line now and then: how far it is.

    Raises
    ------
    WrongSetting
        If the store is not empty, or the archive is.
    StorageError, StoreError
        If the one can't be read or the other not be written.
    """
    with store.read() as session:
        if session.scalar(sa.select(Acquisition.id).limit(1)) is not None:
            raise WrongSetting(f"{settings.url}: is not empty: only a store without a date is rebuilt")
    report = Report()
    found: list[_Found] = []
    for one in _products(settings, report):
        found.append(one)
        if len(found) % TOLD == 0:
            told(f"{len(found)} products read")
    if not found:
        raise WrongSetting(f"{settings.archive}: no product in it")
    prepare(settings, store)
    with store.write() as session:
        sites.open_campaigns(session, sorted({one.product.version for one in found}, key=list(VERSIONS).index))
        by_tile: dict[str, list[_Found]] = {}
        for one in found:
            by_tile.setdefault(one.product.tile, []).append(one)
        for place, (tile, of_tile) in enumerate(sorted(by_tile.items()), 1):
            _restore(session, settings, tile, of_tile)
            if place % 50 == 0 or place == len(by_tile):
                told(f"{place} of {len(by_tile)} tiles restored")
        report.products = len(found)
        rows = session.execute(sa.select(Product.identifier, Product.revision, Product.id))
        keys = {(identifier, revision): number for identifier, revision, number in rows}
        report.events = _events(session, settings, keys)
        report.verdicts = _verdicts(session, settings, keys)
        data = {"products": report.products, "events": report.events, "verdicts": report.verdicts}
        events.record(session, now(session), "rebuilt", severity="warning", data=data)
        known = set(session.scalars(sa.select(Granule.name)))
    report.again = [
        path for path in sorted(settings.l1c.glob("*/*")) if named(path) not in known and path.name[0] != "."
    ]
    return report


def _products(settings: Settings, report: Report) -> Iterator[_Found]:
    """What lies in the places of products, one chain after the other."""
    for place in sorted(settings.archive.glob("*/V*")):
        if place.parent.name.startswith(".") or place.name not in VERSIONS:
            continue
        for folder in product_folders(settings, place.parent.name, place.name):
            try:
                yield _read(settings, folder)
            except InputError as error:
                report.left_out.append(f"{folder.relative_to(settings.archive)}: {error.fault}")


def _read(settings: Settings, folder: Path) -> _Found:
    read = product.read(folder)
    try:
        written = (folder / MANIFEST).read_bytes()
        told = json.loads(written)
        size = len(written) + sum(entry["size"] for entry in told["files"].values())
        halves = read.origin.get("halves") or str(told["l1c"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ProductError(folder, f"the manifest can't be read: {error}") from error
    relative = folder.relative_to(settings.archive)
    number = re.fullmatch(r"revision-(\d+)", folder.parent.name)
    own = relative.with_name(relative.name + ".npz")
    return _Found(
        product=read,
        path=relative.as_posix(),
        revision=int(number[1]) if number else 0,
        manifest_sha=sha256(written).hexdigest(),
        bytes=size,
        l1c=tuple(name.strip() for name in halves.split(",")),
        state=own.as_posix() if (settings.state / own).exists() else None,
    )


def _restore(session: Session, settings: Settings, tile: str, found: Sequence[_Found]) -> None:
    """The dates of a tile and its products in every version."""
    sites.register_tile(session, tile)
    chains = {chain.campaign.version: chain for chain in sites.chains(session, tile)}
    dates: dict[tuple[str, datetime], list[_Found]] = {}
    for one in sorted(found, key=lambda one: (one.product.sensing, one.product.version, one.revision)):
        dates.setdefault((one.product.platform, _datatake(one)), []).append(one)
    past: dict[str, list[Product]] = {}
    for (platform, datatake), of_date in dates.items():
        acquisition = _acquisition(session, settings, platform, datatake, of_date)
        newest = {one.product.version: one.revision for one in of_date}
        made: dict[str, list[Product]] = {version: [] for version in newest}
        for one in of_date:
            version = one.product.version
            row = _product(session, chains[version], acquisition, one, past.get(version, ()))
            row.current = one.revision == newest[version]
            made[version].append(row)
        for version, rows in made.items():
            past.setdefault(version, []).extend(rows)
    for rows in past.values():
        _mark_passed_over(rows)
    for chain in chains.values():
        lease.advance(session, chain.id)


def _datatake(one: _Found) -> datetime:
    match = _LEVEL1C.match(one.l1c[0])
    if match is None:  # of before such names, the tile's own time is the nearest
        return timeline.datatake(one.product.sensing)
    return timeline.datatake(_time(match[2]))


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)


def _acquisition(
    session: Session, settings: Settings, platform: str, datatake: datetime, found: Sequence[_Found]
) -> Acquisition:
    """The pass that products are of, with the packages that went in."""
    first = found[0]
    names = list(dict.fromkeys(name for one in found for name in one.l1c))
    used = set(found[-1].l1c)
    orbit = next((int(match[5]) for name in names if (match := _LEVEL1C.match(name))), None)
    acquisition = Acquisition(
        tile=first.product.tile,
        platform=platform,
        datatake=datatake,
        sensing=first.product.sensing,
        relative_orbit=orbit,
        first_seen=min(one.product.produced for one in found),
        simulated=first.product.simulated,
    )
    session.add(acquisition)
    session.flush()
    session.add_all(_granule(settings, acquisition, name, used=name in used) for name in names)
    return acquisition


def _granule(settings: Settings, acquisition: Acquisition, name: str, *, used: bool) -> Granule:
    match = _LEVEL1C.match(name)
    folder = settings.l1c / acquisition.tile
    package = next((p for p in sorted(folder.glob(f"{glob.escape(name)}.*")) if named(p) == name), None)
    state = "rejected" if package is None else "usable" if used else "superseded"
    return Granule(
        acquisition_id=acquisition.id,
        name=name,
        source="archive",
        baseline=f"{match[3]}.{match[4]}" if match else "",
        datastrip=acquisition.datatake,
        generation=_time(match[6]) if match else acquisition.sensing,
        path=str((package or folder / name).relative_to(settings.l1c)),
        bytes=0 if package is None else sum(status.st_size for _, status in files(package)),
        state=state,
        reason={"rejected": "is no longer on the disk", "superseded": "by a later package"}.get(state),
        seen=acquisition.first_seen,
        simulated=acquisition.simulated,
    )


def _before(past: Sequence[Product], read: product.Product) -> Product | None:
    """The product that one began from: of those of older dates the newest that was made before it."""
    made = [row for row in past if row.published <= read.produced]
    return timeline.predecessor(made[-1:], read.sensing, parameters(read.version))


def _mark_passed_over(rows: Sequence[Product]) -> None:
    """Say of the products of a series which of them did not begin from the newest date: that was made after them."""
    there: dict[datetime, Product] = {}
    for made in sorted(rows, key=lambda row: row.published):
        if any(sensing > made.sensing for sensing in there):
            later = [row for sensing, row in sorted(there.items()) if sensing > made.sensing]
            for passed_over in timeline.dependents(later, made.sensing, parameters(made.version))[:1]:
                passed_over.previous_not_latest = True
        there[made.sensing] = made


def _product(session: Session, chain: Chain, acquisition: Acquisition, one: _Found, past: Sequence[Product]) -> Product:
    """A product's rows: its job, the attempt that made it, itself and its figures."""
    read, made = one.product, one.product.produced
    job = Job(
        chain_id=chain.id,
        acquisition_id=acquisition.id,
        sensing=read.sensing,
        revision=one.revision,
        state="published",
        not_before=made,
        created=made,
        closed=made,
    )
    session.add(job)
    session.flush()
    chain.token += 1
    attempt = Attempt(job_id=job.id, token=chain.token, owner=REBUILT, claimed=made, started=made, ended=made)
    attempt.outcome, attempt.mode = "published", read.mode
    session.add(attempt)
    session.flush()
    before = _before(past, read)
    row = Product(
        job_id=job.id,
        attempt_id=attempt.id,
        identifier=Path(one.path).name,
        tile=read.tile,
        platform=read.platform,
        sensing=read.sensing,
        relative_orbit=acquisition.relative_orbit,
        version=read.version,
        revision=one.revision,
        path=one.path,
        mode=read.mode or "init",
        current=False,
        prev_product=before.id if before is not None and read.mode == "nominal" else None,
        state_path=one.state or (before.state_path if before is not None else None),
        manifest_sha=one.manifest_sha,
        bytes=one.bytes,
        published=made,
        simulated=read.simulated,
        l1c=list(one.l1c),
        absent=sorted(read.absent),
        origin=dict(read.origin),
    )
    session.add(row)
    session.add(Quality(job_id=job.id, flags=dict(read.flags), **read.figures.as_dict()))
    session.flush()
    return row


def _events(session: Session, settings: Settings, keys: Mapping[Any, int]) -> int:
    """The events of the journal, and what they say of products and of the version that users get."""
    count, valid = 0, {"withdrawn": False, "set_aside": False, "reinstated": True}
    for line in journal.read(settings, Event):
        number = keys.get(tuple(line["product"] or ()))
        session.add(Event(**{name: line.get(name) for name in journal.EVENTS}, product_id=number))
        count += 1
        if number is not None and line["kind"] in valid:
            session.execute(sa.update(Product).where(Product.id == number).values(valid=valid[line["kind"]]))
        elif number is not None and line["kind"] == "published":
            _published(session, number, line["time"])
        elif line["kind"] == "cut_over":
            moved = sa.update(Tile).where(Tile.mgrs == line["tile"]).values(current_version=line["version"])
            session.execute(moved)
    return count


def _published(session: Session, number: int, time: datetime) -> None:
    """When a product was published, which its folder does not know: that says when it was made."""
    row = session.get_one(Product, number)
    row.published = row.job.closed = time
    session.get_one(Attempt, row.attempt_id).ended = time


def _verdicts(session: Session, settings: Settings, keys: Mapping[Any, int]) -> int:
    rows = [
        {name: line[name] for name in journal.VERDICTS} | {"product_id": number}
        for line in journal.read(settings, Verdict)
        if (number := keys.get(tuple(line["product"] or ()))) is not None
    ]
    if rows:
        session.execute(sa.insert(Verdict), rows)
    return len(rows)
