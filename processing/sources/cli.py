"""`muscate fetch`, `muscate sites`: Level-1C from other houses into the drop box, and for which tiles."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from processing.errors import MuscateError, WrongSetting
from processing.home import REJECTED, Home, Json, centre

if TYPE_CHECKING:
    from processing.sources.fetching import Fate, Fetcher

#: Of an area whose tiles are looked for, in each direction. [deg]
WIDEST = 90
#: Packages that wait for the same reason are told one by one if they are no more.
ALIKE = 3


def fetch(
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="Of publication: where the first look begins; else that of the settings."
        ),
    ] = None,
    tile: Annotated[list[str] | None, typer.Option(help="MGRS tile, 31TCJ; else those of all active sites.")] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="SOURCE",
            help="cdse, stac[:ADDRESS], s3[:ADDRESS/BUCKET], mirror:FOLDER, eodag:PROVIDER; the preferred one first. "
            "Else as the settings say, else cdse.",
        ),
    ] = None,
    catalogue: Annotated[str | None, typer.Option(help="Address of another OData catalogue.")] = None,
    packages: Annotated[str | None, typer.Option(help="Address of its packages.")] = None,
    tokens: Annotated[str | None, typer.Option(help="Address of its tokens.")] = None,
    subscription: Annotated[
        str | None, typer.Option(metavar="ID|new", help="Take what a subscription of the account tells first.")
    ] = None,
    connections: Annotated[int, typer.Option(min=1, max=64, help="To one source at once.")] = 4,
    quota: Annotated[float, typer.Option(min=0, help="That an account may have in 30 days. [TB]")] = 12.0,
    every: Annotated[float, typer.Option(min=0, help="Look again after so many minutes; 0: once.")] = 0,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Bring new Level-1C of the sites' tiles from other houses' catalogues into the drop box.

    A package comes from the first source that gives it whole. The account of the Copernicus Data Space is
    MUSCATE_CDSE_USER and MUSCATE_CDSE_PASSWORD (MUSCATE_CDSE_TOTP: the secret of one-time passwords), or a JSON file of
    mode 600 (MUSCATE_CDSE_FILE); the keys of its bucket are MUSCATE_S3_USER and MUSCATE_S3_PASSWORD.
    """
    from processing.sources import named, odata
    from processing.sources.fetching import Fetcher
    from processing.sources.subscriptions import Subscription
    from processing.store import sites

    settings, store = centre(home)
    own = odata.OData(catalogue or odata.CATALOGUE, packages or odata.DOWNLOAD)
    account = named.account(tokens or odata.TOKENS)
    origins = named.origins(source or settings.sources or ["cdse"], own, account, connections, int(quota * 1e12))
    for origin in origins:
        origin.packages = (packages or odata.DOWNLOAD) if origin.source is own else ""
    first = since.replace(tzinfo=UTC) if since else settings.first_published()

    def watched() -> list[str]:
        with store.read() as session:
            return sorted(tile or sites.watched(session))

    fetcher = Fetcher(settings, store, origins)
    pulled = None
    if subscription is not None:
        if account is None:
            raise WrongSetting("a subscription needs an account: MUSCATE_CDSE_USER and MUSCATE_CDSE_PASSWORD")
        address = catalogue or odata.CATALOGUE
        new = subscription == "new"
        begun = Subscription.begin(own, account, watched(), address) if new else None
        pulled = begun or Subscription(own, subscription, account, address)
        typer.echo(f"subscription {pulled.key}", err=True)
    while True:
        fates = _looked(fetcher, pulled, watched, first, keep_on=bool(every))
        for line in _told(fates, as_json):
            typer.echo(line)
        if not every:
            break
        threading.Event().wait(60 * every)
    if any(fate.state == "rejected" for fate in fates):
        raise typer.Exit(REJECTED)


def _looked(
    fetcher: Fetcher, pulled: Any, tiles: Callable[[], list[str]], since: datetime, *, keep_on: bool
) -> list[Fate]:
    """One look; who looks again and again goes on after one that failed, and for sites that were added meanwhile."""
    try:
        heard = fetcher.listen(pulled) if pulled is not None else []
        return [*heard, *fetcher.round(tiles(), since)]
    except MuscateError as fault:
        if not keep_on:
            raise
        typer.echo(f"muscate: {' '.join(str(fault).split())}", err=True)
        return []


def _told(fates: list[Fate], as_json: bool) -> list[str]:
    """A line for each package; one for many that wait for the same reason."""
    if as_json:
        names = ("name", "state", "reason", "moved")
        return [json.dumps({n if n != "moved" else "bytes": getattr(fate, n) for n in names}) for fate in fates]
    alike = Counter((fate.state, fate.reason) for fate in fates if fate.state in ("waits", "not wanted"))
    many = {key for key, count in alike.items() if count > ALIKE}
    lines = [
        f"{fate.name}  {fate.state}  {fate.reason}".rstrip() for fate in fates if (fate.state, fate.reason) not in many
    ]
    return lines + [f"{alike[key]} packages  {key[0]}  {key[1]}" for key in sorted(many)]


sites = typer.Typer(help="What is watched: sites and their tiles.", no_args_is_help=True)


@sites.command("add")
def add(
    code: Annotated[str, typer.Argument(help="Short name, small letters; `theia` alone: all of THEIA's tiles.")],
    tile: Annotated[list[str] | None, typer.Option(help="MGRS tile, 31TCJ; any number of them.")] = None,
    area: Annotated[str | None, typer.Option(metavar="FILE|WKT", help="A polygon, GeoJSON or WKT: its tiles.")] = None,
    point: Annotated[str | None, typer.Option(metavar="LON,LAT", help="A point, in degrees: its tiles.")] = None,
    name: Annotated[str | None, typer.Option(help="As users know it; else the code.")] = None,
    country: Annotated[str, typer.Option(help="Country.")] = "",
    priority: Annotated[int, typer.Option(min=1, max=9, help="1 is served first.")] = 3,
    home: Home = None,
) -> None:
    """Watch more tiles. A tile stays with the site that has it already."""
    from processing import sites as known
    from processing.store import sites as stored

    settings, store = centre(home)
    tiles = [_tile(text) for text in tile or []]
    if area or point:
        tiles += _touched(point, area)
    if code == "theia" and not tiles:
        tiles = list(known.theia_tiles())
    others = [site for site in known.of_home(settings.home) if site.code != code]
    if any(site.code == code for site in known.sites()):
        raise WrongSetting(f"{code}: this site ships with the program; choose another code")
    taken = {t: site.code for site in others for t in site.tiles}
    free = tuple(sorted({t for t in tiles if t not in taken}))
    held = sorted({t for t in tiles if t in taken})
    if held:
        more = f" and {len(held) - ALIKE} more" if len(held) > ALIKE else ""
        typer.echo(f"watched already: {', '.join(f'{t} ({taken[t]})' for t in held[:ALIKE])}{more}", err=True)
    if not free:
        raise WrongSetting(f"{code}: no tile to add")
    site = known.Site(code, name or code, country, free, priority)
    try:
        known.check(site)
    except ValueError as fault:
        raise WrongSetting(str(fault)) from None
    known.keep(settings.home, [*(s for s in known.own(settings.home) if s.code != code), site])
    with store.write() as session:
        stored.register_sites(session, known.of_home(settings.home))
    typer.echo(f"{code}: {len(free)} tiles")


@sites.command("remove")
def remove(code: Annotated[str, typer.Argument(help="Of a site that was added.")], home: Home = None) -> None:
    """Watch a site no more; what was made of it stays."""
    from processing import sites as known
    from processing.store import sites as stored

    settings, store = centre(home)
    mine = known.own(settings.home)
    if code not in {site.code for site in mine}:
        raise WrongSetting(f"{code}: no site that was added here")
    known.keep(settings.home, [site for site in mine if site.code != code])
    with store.write() as session:
        stored.register_sites(session, known.of_home(settings.home))


@sites.command("list")
def list_(home: Home = None, as_json: Json = False) -> None:
    """All sites with their tiles."""
    from processing import sites as known

    settings, _ = centre(home)
    for site in known.of_home(settings.home):
        about = {"code": site.code, "name": site.name, "country": site.country, "priority": site.priority}
        line = f"{site.code}  {site.name}  {len(site.tiles)}  {' '.join(site.tiles[:8])}"
        more = " ..." if len(site.tiles) > 8 else ""
        typer.echo(json.dumps({**about, "tiles": list(site.tiles)}) if as_json else line + more)


def _tile(text: str) -> str:
    from processing import tiling

    plain = text.strip().upper()
    plain = plain.removeprefix("T") if len(plain) == 6 else plain
    try:
        tiling.grid(plain)
    except ValueError as fault:
        raise WrongSetting(str(fault)) from None
    return plain


def _touched(point: str | None, area: str | None) -> list[str]:
    """Tiles that a point or a polygon touches."""
    import shapely

    from processing import tiling
    from processing.distribution.cli import place
    from processing.store import places

    shape = shapely.geometry.shape(place(point, area))
    if shape.bounds[2] - shape.bounds[0] > 180:  # across the antimeridian, as it is usually written
        shape = shapely.transform(shape, lambda lon, lat: (lon + 360 * (lon < 0), lat), interleaved=False)
    west, south, east, north = shape.bounds
    if not (-90 <= south <= north <= 90 and east - west <= WIDEST and north - south <= WIDEST):
        raise WrongSetting(f"--area is larger than {WIDEST} degrees, or no place on the globe")
    return sorted(places.touching(tiling.between(west, south, east, north), shape))
