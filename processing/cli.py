"""The command `muscate`. Each command is a few lines: it reads its words, calls one function, prints, exits.

Exit codes: 0 done, 1 failed, 2 wrong use, 3 done but some inputs were rejected (each named, with the reason).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from . import __version__
from .errors import MuscateError
from .home import settings_of, store_of
from .quality.cli import mask, quality
from .settings import Settings
from .validation.cli import validate

REJECTED = 3

app = typer.Typer(
    name="muscate",
    help="Production centre for Sentinel-2 surface reflectance.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run `muscate`: failures known by name are one line on stderr, a traceback only with `--debug`."""
    try:
        app(standalone_mode=True)
    except (MuscateError, ValidationError) as error:
        if _debug:
            raise
        typer.echo(f"muscate: {' '.join(str(error).split())}", err=True)
        sys.exit(1)


_debug = False


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _begin(
    debug: Annotated[bool, typer.Option(help="Show the traceback of a failure.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    global _debug
    _debug = debug
    # Two copies of PROJ are installed, rasterio's and pyproj's: a variable that points at one breaks the other.
    for name in ("PROJ_DATA", "PROJ_LIB"):
        os.environ.pop(name, None)
    os.environ.setdefault("GDAL_DISABLE_READDIR_ON_OPEN", "EMPTY_DIR")


def _until_stopped(part: Callable[[Settings, threading.Event], None], settings: Settings) -> None:
    """Run one part of the centre until SIGINT or SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    part(settings, stop)


def _print(answer: Any, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(answer, default=str, indent=2))
    elif isinstance(answer, dict):
        width = max((len(str(key)) for key in answer), default=0)
        for key, value in answer.items():
            shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
            typer.echo(f"{str(key).replace('_', ' '):{width}}  {'-' if shown in (None, '') else shown}")
    else:
        for line in answer:
            typer.echo(line)


Home = Annotated[Path | None, typer.Option(help="Folder of the centre; MUSCATE_HOME, else ./var.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="Level-1C or product names.")]


@app.command()
def up(
    home: Home = None,
    port: Annotated[int | None, typer.Option(help="Port of the dashboard.")] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the dashboard in a browser once it answers.")] = False,
) -> None:
    """Start everything: web, watcher of the inbox, dispatcher and workers, under one process tree."""
    from .production import centre

    raise typer.Exit(centre.up(settings_of(home, port=port), open_browser=open_))


@app.command()
def process(
    l1c: Annotated[list[Path], typer.Argument(metavar="L1C...", help="`.SAFE` folders or `.zip` files of one tile.")],
    version: Annotated[str, typer.Option(help="Processing version.")] = "V1_4",
    out: Annotated[Path, typer.Option(help="Folder that receives the products.")] = Path("."),
    dem: Annotated[Path | None, typer.Option(help="Terrain model: a raster, a folder of rasters, or glo30.")] = None,
    state: Annotated[Path | None, typer.Option(help="Folder of recurrent states, read and written.")] = None,
    tile: Annotated[str | None, typer.Option(help="Tile, where a package holds several.")] = None,
    as_json: Json = False,
) -> None:
    """Run the chain alone, without a store: Level-1C products of one tile, in time order, to MUSCATE products.

    The first date, and one after a gap of a fortnight (a month before July 2017), starts from the next dates given,
    which are run backward in time; from nothing where there are none. A date older than those already in --state
    starts from the state that preceded it, and changes nothing that is already there.
    """
    from .production import series
    from .versions import parameters

    try:
        parameters(version)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--version") from None
    rejected = failed = False
    for result in series.process(l1c, version, out, dem=dem, state=state, tile=tile):
        rejected |= result["status"] == "rejected"
        failed |= result["status"] == "failed"
        if as_json:
            typer.echo(json.dumps(result))
        elif "reason" in result:
            typer.echo(f"{result['l1c']}: {result['status']}: {result['reason']}", err=result["status"] != "not_valid")
        else:
            typer.echo(
                f"{result['l1c']}: {result['product']} ({result['mode']}, {result['cloud_percent']:.1f} % cloud)"
            )
    raise typer.Exit(1 if failed else REJECTED if rejected else 0)


@app.command()
def ingest(
    path: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Level-1C packages, or folders of them.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Catalogue and queue Level-1C packages; the given files stay where they are."""
    from .production.ingest import ingest as ingest_paths

    settings = settings_of(home)
    results = ingest_paths(settings, store_of(settings), path)
    rejected = False
    for result in results:
        rejected |= not result.accepted
        line = {"l1c": result.name, "status": "queued" if result.accepted else "rejected", "reason": result.reason}
        typer.echo(json.dumps(line) if as_json else f"{result.name}: {line['status']} {result.reason or ''}".rstrip())
    raise typer.Exit(REJECTED if rejected else 0)


@app.command()
def watch(home: Home = None) -> None:
    """Watch the inbox and queue what arrives."""
    from .production.watcher import watch as run

    _until_stopped(run, settings_of(home))


@app.command()
def dispatch(home: Home = None) -> None:
    """Claim chains in time order and hand them to the workers."""
    from .production.dispatcher import dispatch as run

    _until_stopped(run, settings_of(home))


@app.command()
def worker(home: Home = None) -> None:
    """Run attempts handed out by the dispatcher."""
    from .production.worker import work as run

    _until_stopped(run, settings_of(home))


@app.command()
def web(home: Home = None, port: Annotated[int | None, typer.Option(help="Port of the dashboard.")] = None) -> None:
    """Serve the dashboard, tiles and health."""
    from dashboard.app import serve

    serve(settings_of(home, port=port))


@app.command()
def status(home: Home = None, as_json: Json = False) -> None:
    """What is done, waiting, late and broken."""
    from .production import operations

    _print(operations.status(store_of(settings_of(home))), as_json)


@app.command()
def explain(
    name: Annotated[str, typer.Argument(help="Name of a Level-1C package or of a product.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Which rule keeps an acquisition waiting, or what became of it."""
    from .production import operations

    _print(operations.stories(store_of(settings_of(home)), name), as_json)


@app.command("explain-pixel")
def explain_pixel(
    product: Annotated[str, typer.Argument(metavar="PRODUCT", help="Identifier of a product, or its folder.")],
    at: Annotated[str, typer.Option(metavar="LON,LAT", help="Where, in degrees: --at 14.52,46.05")],
    l1c: Annotated[
        list[Path] | None, typer.Option(help="With a folder: the Level-1C it was made from; once for each half.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="With a folder: the states that `muscate process --state` left.")
    ] = None,
    dem: Annotated[Path | None, typer.Option(help="With a folder and its Level-1C: the terrain model.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Why a pixel is masked: every test that was applied to it, with its value and threshold.

    The tests are made again from what is kept beside the recurrent state, without it from the Level-1C, and what they
    give is held against the product's own masks.
    """
    from . import explain as explaining

    try:
        lon, lat = (float(number) for number in at.split(","))
    except ValueError:
        raise typer.BadParameter(f"{at!r} is no longitude and latitude: 14.52,46.05", param_hint="--at") from None
    if Path(product).is_dir():
        folder = Path(product)
        own, before = explaining.states(folder, state) if state else (None, None)
        why = explaining.explain(folder, lon, lat, state=own, previous_state=before, l1c=l1c or [], dem=dem)
    else:
        settings = settings_of(home)
        why = explaining.explain_stored(store_of(settings), settings, product, lon, lat)
    typer.echo(json.dumps(why.json(), indent=2) if as_json else explaining.table(why))


@app.command()
def audit(home: Home = None, as_json: Json = False) -> None:
    """Hold the store against its own promises and against the archive on disk."""
    from .production import operations

    settings = settings_of(home)
    findings = operations.audit(store_of(settings), settings)
    _print(findings if as_json or findings else ["nothing found"], as_json)
    raise typer.Exit(1 if findings else 0)


def _operation(verb: str, names: list[str], home: Path | None) -> None:
    from .production import operations

    store = store_of(settings_of(home))
    for name in names:
        typer.echo(f"{name}: {getattr(operations, verb)(store, name)}")


@app.command()
def retry(names: Names, home: Home = None) -> None:
    """Queue a failed or rejected date again."""
    _operation("retry", names, home)


@app.command()
def replay(names: Names, home: Home = None) -> None:
    """Make a date again and, in order of time, the later ones of its tile, up to where it starts anew.

    Each becomes the next revision of its product. This is for what was made without a date that came late: the
    centre does it by itself where at most MUSCATE_REPLAY_DATES products come after it; of others the next one is
    counted in `status` as previous_not_latest.
    """
    _operation("replay", names, home)


@app.command()
def hold(names: Names, home: Home = None) -> None:
    """Keep a date, and with it the later ones of its tile, from being processed."""
    _operation("hold", names, home)


@app.command()
def release(names: Names, home: Home = None) -> None:
    """Let a held date go on."""
    _operation("release", names, home)


@app.command()
def reject(names: Names, home: Home = None) -> None:
    """Give a date up, so that its tile goes on without it."""
    _operation("reject", names, home)


campaign = typer.Typer(help="Production of a version over all tiles.", no_args_is_help=True)
app.add_typer(campaign, name="campaign")
Version = Annotated[str, typer.Argument(metavar="VERSION")]


def _set_campaign(version: str, status: str | None, home: Path | None) -> None:
    from .store import sites

    with store_of(settings_of(home)).write() as session:
        try:
            if status is None:
                sites.open_campaigns(session, [version])
            else:
                sites.set_campaign(session, version, status)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="VERSION") from None


@campaign.command("new")
def campaign_new(version: Version, home: Home = None) -> None:
    """Produce a further version: every date that arrives from now on is queued for it too."""
    _set_campaign(version, None, home)


@campaign.command("pause")
def campaign_pause(version: Version, home: Home = None) -> None:
    """Start no further date of a version; those that run finish."""
    _set_campaign(version, "paused", home)


@campaign.command("resume")
def campaign_resume(version: Version, home: Home = None) -> None:
    """Go on with a paused version."""
    _set_campaign(version, "active", home)


database = typer.Typer(help="The store's database.", no_args_is_help=True)
app.add_typer(database, name="db")


@database.command("upgrade")
def database_upgrade(home: Home = None) -> None:
    """Bring a Postgres database to this version's tables; SQLite is brought there by itself."""
    from .store import Store

    Store(settings_of(home).url).upgrade(explicit=True)


@app.command()
def simulate(
    out: Annotated[Path, typer.Option(help="Folder that receives the products, and their `truth/`.")],
    scenario: Annotated[
        str | None,
        typer.Option(help="truth, harvest, tropics or mountains: a series to judge masks on, of every kind of cloud."),
    ] = None,
    tile: Annotated[str | None, typer.Option(help="MGRS tile; 31TCJ, or that of the scenario.")] = None,
    dates: Annotated[int | None, typer.Option(min=1, help="Number of dates; 5, or 12 of a scenario.")] = None,
    start: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First date.")] = None,
    size: Annotated[
        int | None,
        typer.Option(min=36, max=10980, help="Pixels at 10 m on a side, a multiple of 6; 366, or 1098 of a scenario."),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same products.")] = 0,
    zip_: Annotated[bool, typer.Option("--zip", help="Write zips.")] = False,
    demonstration: Annotated[
        bool, typer.Option("--demonstration", help="Write the demonstration archive instead: five places, no truth.")
    ] = False,
) -> None:
    """Write a Level-1C series with known truth."""
    from . import simulation

    if scenario is not None and scenario not in simulation.SERIES:
        raise typer.BadParameter(f"{scenario}: known are {', '.join(simulation.SERIES)}", param_hint="--scenario")
    if demonstration:
        made = simulation.demonstration(out)
    else:
        series = simulation.SERIES[scenario] if scenario else simulation.Series("31TCJ")
        given = {"tile": tile, "dates": dates, "start": start, "size": size, "seed": seed}
        wanted = vars(series) | {name: value for name, value in given.items() if value is not None}
        made = simulation.simulate(out, zip=zip_, **wanted)
    for path in made:
        typer.echo(path)


app.add_typer(validate, name="validate")
app.add_typer(quality, name="quality")
app.add_typer(mask, name="mask")
bench = typer.Typer(help="Measure.", no_args_is_help=True)
app.add_typer(bench, name="bench")


@bench.command("tile")
def bench_tile(
    l1c: Annotated[Path | None, typer.Option(help="A real Level-1C package; else one is simulated.")] = None,
    size: Annotated[int, typer.Option(help="Pixels at 10 m of the simulated tile.")] = 10980,
    dem: Annotated[Path | None, typer.Option(help="Terrain model.")] = None,
    cloudy: Annotated[Path | None, typer.Option(help="A package with more than 90 % cloud.")] = None,
    backward: Annotated[bool, typer.Option(help="Also a start from eight later dates.")] = False,
    pair: Annotated[bool, typer.Option(help="Also two tiles at once against one after the other.")] = False,
    comparators: Annotated[bool, typer.Option(help="Also s2cloudless's mask of the same tile.")] = False,
    version: Annotated[str, typer.Option(help="Version of the products whose cost is measured.")] = "V1_4",
    compare: Annotated[Path | None, typer.Option(help="JSON of an earlier run, shown beside.")] = None,
    as_json: Json = False,
) -> None:
    """Level-1C package to product on disk: seconds and peak memory of each step, beside decoding and deflating."""
    from .bench import table, tile
    from .versions import parameters

    earlier = None
    if compare is not None:
        try:
            earlier = json.loads(compare.read_text())
        except (OSError, ValueError) as error:
            raise typer.BadParameter(f"{compare}: {error}", param_hint="--compare") from None
    try:
        parameters(version)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--version") from None
    figures = tile(
        l1c,
        size,
        dem=dem,
        cloudy=cloudy,
        backward=backward,
        pair=pair,
        comparators=comparators,
        version=version,
        told=lambda line: typer.echo(line, err=True),
    )
    typer.echo(json.dumps(figures, indent=2) if as_json else table(figures, earlier))


@app.command()
def warmup() -> None:
    """Compile the chain's kernels, so that the first date need not wait for it."""
    from .bench import warmup as compile_kernels

    compile_kernels()
