"""`muscate download` and `muscate sync`: what a user of products calls, on his own machine."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from processing.errors import SearchError, StorageError

if TYPE_CHECKING:
    from processing.distribution.client import Client, Done, Product

#: A polygon of more has no use. [bytes]
LARGEST_AREA = 10_000_000
#: Exit codes: done; nothing could be done; done, but for some products.
FAILED, SOME_FAILED = 1, 3

Url = Annotated[
    str, typer.Option("--url", envvar="MUSCATE_URL", help="Address of the centre's web.", show_default=True)
]
Into = Annotated[Path, typer.Option(help="Folder that receives the products.")]
Tile = Annotated[list[str] | None, typer.Option(help="MGRS tile, 31TCJ; any number of them.")]
Site = Annotated[list[str] | None, typer.Option(help="Code of a site; any number of them.")]
Point = Annotated[str | None, typer.Option(metavar="LON,LAT", help="A point that the products show, in degrees.")]
Area = Annotated[str | None, typer.Option(metavar="FILE|WKT", help="A polygon, GeoJSON or WKT, in degrees.")]
Since = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day of sensing.")]
Until = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day of sensing.")]
Cloud = Annotated[float | None, typer.Option(min=0, max=100, help="Most cloud. [%]")]
Version = Annotated[str | None, typer.Option("--version", help="Processing version; else each tile's current one.")]
Changed = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"], help="Published, withdrawn or reinstated since. [UTC]"),
]
Bands = Annotated[
    str | None, typer.Option(help="Files: keys, kinds or bands, with commas: SRE_B4,CLM,B8A. Else all of them.")
]
Connections = Annotated[int, typer.Option(min=1, max=32, help="Products that are brought at once.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell what would be brought.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a product on standard output.")]


def body(
    *,
    tiles: list[str],
    sites: list[str],
    point: str | None,
    area: str | None,
    days: tuple[datetime | None, datetime | None],
    cloud: float | None,
    version: str | None,
    changed: datetime | None,
) -> dict[str, Any]:
    """The item search that asks for what was given.

    Raises
    ------
    SearchError
        If a tile or a place is none; a polygon that is not valid, with the place of its fault.
    """
    found: dict[str, Any] = {"collections": ["muscate-l2a"], "sortby": [{"field": "datetime", "direction": "asc"}]}
    tests: list[dict[str, Any]] = []
    if tiles:
        tests.append({"op": "in", "args": [{"property": "grid:code"}, [f"MGRS-{_tile(tile)}" for tile in tiles]]})
    if sites:
        tests.append({"op": "in", "args": [{"property": "muscate:site"}, sites]})
    if cloud is not None:
        tests.append({"op": "<=", "args": [{"property": "eo:cloud_cover"}, cloud]})
    if version:
        tests.append({"op": "=", "args": [{"property": "version"}, version]})
    if changed:
        since = {"timestamp": changed.strftime("%Y-%m-%dT%H:%M:%SZ")}
        tests.append({"op": ">=", "args": [{"property": "updated"}, since]})
    if tests:
        found |= {"filter-lang": "cql2-json", "filter": tests[0] if len(tests) == 1 else {"op": "and", "args": tests}}
    if point or area:
        found["intersects"] = place(point, area)
    if any(days):
        clock = ("00:00:00", "23:59:59.999999")
        ends = [f"{day:%Y-%m-%d}T{time}Z" if day else ".." for day, time in zip(days, clock, strict=True)]
        found["datetime"] = "/".join(ends)
    return found


def _tile(text: str) -> str:
    from processing import tiling

    plain = text.strip().upper()
    plain = plain.removeprefix("T") if len(plain) == 6 else plain
    if not tiling.valid(plain):
        raise SearchError(f"{text!r} is no MGRS tile: 31TCJ")
    return plain


def place(point: str | None, area: str | None) -> dict[str, Any]:
    """A point or a polygon as GeoJSON.

    Raises
    ------
    SearchError
        If it is none; a polygon that is not valid, with the place of its fault.
    """
    import numpy as np
    import shapely

    if point and area:
        raise SearchError("give either --point or --area")
    if point:
        try:
            lon, lat = (float(number) for number in point.split(","))
            if not (abs(lon) <= 360 and abs(lat) <= 90):
                raise ValueError
        except ValueError:
            raise SearchError(f"{point!r} is no longitude and latitude: 14.52,46.05") from None
        return {"type": "Point", "coordinates": [lon, lat]}
    assert area is not None
    text = _content(area)
    try:
        if text.lstrip().startswith("{"):
            given = json.loads(text)
            given = given.get("geometry") or (given.get("features") or [{}])[0].get("geometry") or given
            shape = shapely.geometry.shape(given)
        else:
            with np.errstate(invalid="ignore"):  # a coordinate that is no number is told below
                shape = shapely.from_wkt(text)
    except (shapely.errors.GEOSException, ValueError, TypeError, LookupError, AttributeError, RecursionError) as fault:
        raise SearchError(f"--area is no GeoJSON and no WKT: {' '.join(str(fault).split())[:200]}") from None
    if shape.is_empty or not shape.is_valid:
        raise SearchError(f"--area is not valid: {shapely.is_valid_reason(shape)}")
    west, south, east, north = shape.bounds
    if not (-360 <= west <= east <= 360 and -90 <= south <= north <= 90):
        raise SearchError(f"--area lies beyond the globe: from {west:g} {south:g} to {east:g} {north:g}")
    found: dict[str, Any] = shapely.geometry.mapping(shape)
    return found


def _content(area: str) -> str:
    """What a file holds whose name is given, or else what is given."""
    if not os.path.isfile(area):  # which a polygon that is too long for a name does not stop
        return area
    try:
        if os.stat(area).st_size > LARGEST_AREA:
            raise SearchError(f"--area: {area} has more than {LARGEST_AREA / 1e6:.0f} MB")
        return Path(area).read_text(encoding="utf-8", errors="replace")
    except OSError as fault:
        raise SearchError(f"--area: {area} can't be read: {fault.strerror}") from None


def download(
    url: Url = "http://localhost:5006",
    into: Into = Path("products"),
    tile: Tile = None,
    site: Site = None,
    point: Point = None,
    area: Area = None,
    since: Since = None,
    until: Until = None,
    cloud: Cloud = None,
    version: Version = None,
    changed_since: Changed = None,
    bands: Bands = None,
    connections: Connections = 4,
    check: Annotated[bool, typer.Option(help="Make the sums of what is there already again.")] = False,
    from_list: Annotated[Path | None, typer.Option(help="Exactly the products of a list.")] = None,
    save_list: Annotated[Path | None, typer.Option(help="Only write the list of what is found, to be cited.")] = None,
    save_script: Annotated[Path | None, typer.Option(help="Only write a shell script that brings it.")] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Bring products from a centre: whole, or chosen files of them; goes on where it was stopped.

    A folder's manifest.jsonl says what it has. What is there already, and is what the centre has, is not brought again.
    """
    from processing.distribution import client, lists
    from processing.distribution.transfer import Link

    asked = body(
        tiles=tile or [], sites=site or [], point=point, area=area, days=(since, until), cloud=cloud, version=version,
        changed=changed_since,
    )  # fmt: skip
    chosen = _names(bands)
    if from_list is not None:
        found = lists.read(from_list)
    else:
        link = Link(_headers)
        found = client.of_items(client.search(link, url, asked), chosen)
    said = f"{url.rstrip('/')}/stac/search {json.dumps(asked, separators=(',', ':'))}"
    if save_list is not None:
        _write(save_list, json.dumps(lists.frozen(found, said), indent=1) + "\n")
    if save_script is not None:
        _write(save_script, lists.script(found, said))
        save_script.chmod(0o755)
    if save_list or save_script:
        typer.echo(f"{len(found)} products", err=True)
        return
    if dry_run:
        _dry(client.Folder(into) if into.exists() else None, found, as_json)
        return
    teller = _Teller(as_json, sum(product.size for product in found))
    brought = _client(client.Folder(into), connections, teller).download(found, deep=check)
    teller.end(brought)


def sync(
    url: Url = "http://localhost:5006",
    into: Into = Path("products"),
    tile: Tile = None,
    site: Site = None,
    point: Point = None,
    area: Area = None,
    since: Since = None,
    until: Until = None,
    cloud: Cloud = None,
    version: Version = None,
    bands: Bands = None,
    connections: Connections = 4,
    keep: Annotated[bool, typer.Option("--keep", help="Keep what users get another version of.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the files of what was withdrawn.")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Keep a folder as the centre is: bring what is new, replace what was made again, tell what was withdrawn."""
    from processing.distribution import client
    from processing.distribution.transfer import Link

    asked = body(
        tiles=tile or [], sites=site or [], point=point, area=area, days=(since, until), cloud=cloud, version=version,
        changed=None,
    )  # fmt: skip
    chosen = _names(bands)
    if dry_run:
        found = client.of_items(client.search(Link(_headers), url, asked), chosen)
        _dry(client.Folder(into) if into.exists() else None, found, as_json)
        return
    teller = _Teller(as_json, None)
    bringer = _client(client.Folder(into), connections, teller)
    teller.end(client.sync(bringer, url, asked, chosen, keep=keep, remove=remove))


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _headers() -> Mapping[str, str]:
    """What proves who asks; of the environment only, so that it stands in no list of processes."""
    token = os.environ.get("MUSCATE_TOKEN", "")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _client(folder: Any, connections: int, teller: _Teller) -> Client:
    from processing.distribution import client

    return client.Client(folder, connections, _headers, teller.tell, teller.note)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise StorageError(f"{path}: {fault.strerror}") from fault


def _dry(folder: Any, found: list[Product], as_json: bool) -> None:
    """What would be brought."""
    total = 0
    for product in found:
        missing = folder.missing(product) if folder is not None else list(product.files)
        size = sum(product.files[name]["size"] for name in missing)
        total += size
        if as_json:
            typer.echo(json.dumps({"id": product.identifier, "files": len(missing), "bytes": size}))
        else:
            typer.echo(f"{product.identifier}  {len(missing)} files  {size / 1e6:.1f} MB")
    if not as_json:
        typer.echo(f"{len(found)} products, {total / 1e6:.1f} MB to bring")


class _Teller:
    """Tells how far it is: a line a product, and on a terminal what came by now."""

    def __init__(self, as_json: bool, total: int | None) -> None:
        self._json, self._total = as_json, total
        self._moved, self._shown, self._lock = 0, 0.0, threading.Lock()
        self._begun = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def note(self, size: int) -> None:
        with self._lock:
            self._moved += size
            if self._terminal and time.monotonic() > self._shown + 0.5:
                self._shown = time.monotonic()
                rate = self._moved / max(self._shown - self._begun, 1e-3) / 1e6
                of = f" of {self._total / 1e6:.0f}" if self._total else ""
                sys.stderr.write(f"\r{self._moved / 1e6:.0f}{of} MB, {rate:.1f} MB/s  ")

    def tell(self, done: Done) -> None:
        if self._terminal:
            sys.stderr.write("\r")
        if self._json:
            typer.echo(json.dumps(done.json()))
        elif done.status != "unchanged":
            typer.echo(f"{done.identifier}  {done.status}{': ' + done.reason if done.reason else ''}")

    def end(self, done: list[Done]) -> None:
        """The sum of it, and the exit code.

        Raises
        ------
        typer.Exit
            If a product failed.
        """
        counts: dict[str, int] = {}
        for one in done:
            counts[one.status] = counts.get(one.status, 0) + 1
        moved = sum(one.moved for one in done)
        if self._json:
            typer.echo(json.dumps({"products": len(done), "bytes": moved, **counts}))
        else:
            said = ", ".join(f"{count} {status}" for status, count in counts.items()) or "no product"
            typer.echo(f"{said}; {moved / 1e6:.1f} MB brought")
        if failed := counts.get("failed", 0):
            raise typer.Exit(FAILED if failed == len(done) else SOME_FAILED)


COMMANDS: tuple[Callable[..., None], ...] = (download, sync)
