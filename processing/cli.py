"""The commands that need no web, in the order of the help. Each reads its words, calls one function, prints, exits.

Exit codes: 0 done, 1 failed, 2 wrong use, 3 done but some inputs were rejected (each named, with the reason).
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from processing import __version__, offline
from processing.alerts.cli import alerts
from processing.distribution import cli as distribution
from processing.errors import MuscateError, printable
from processing.home import Home, Json, parameters_of, settings_of, store_of
from processing.production import cli as production
from processing.production.subscribers import webhook
from processing.production.users import user
from processing.quality.cli import mask, quality
from processing.sources.cli import fetch, sites
from processing.validation.cli import validate

if TYPE_CHECKING:
    from processing.simulation import Series

app = typer.Typer(
    name="muscate",
    help="Production centre for Sentinel-2 surface reflectance.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run `app`: failures known by name are one line on stderr, a traceback only with `--debug`."""
    try:
        app(standalone_mode=True)
    except (MuscateError, ValidationError) as error:
        if _debug:
            raise
        typer.echo(f"muscate: {' '.join(str(error).split())}", err=True)
        sys.exit(1)
    except OSError as error:  # of a file that was named, or of the disk
        if _debug or error.strerror is None:
            raise
        named = "" if error.filename is None else f"{printable(os.fsdecode(error.filename))}: "
        typer.echo(f"muscate: {named}{error.strerror}", err=True)
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
    if debug:
        logging.basicConfig()
        logging.getLogger("processing").setLevel(logging.DEBUG)
    offline.keep()


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
    from processing import explain as explaining

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
    from processing import simulation

    series = _series(scenario)
    given = {"tile": tile, "dates": dates, "start": start, "size": size, "seed": seed}
    wanted = vars(series) | {name: value for name, value in given.items() if value is not None}
    _check_series(wanted)
    made = simulation.demonstration(out) if demonstration else simulation.simulate(out, zip=zip_, **wanted)
    for path in made:
        typer.echo(path)


def _check_series(wanted: dict[str, Any]) -> None:
    """Refuse a series that no Sentinel-2 can have made."""
    from processing import tiling
    from processing.l1c import limits

    if not tiling.valid(wanted["tile"]):
        raise typer.BadParameter(f"{wanted['tile']!r} is not a tile id such as 31TCJ", param_hint="--tile")
    if wanted["size"] % 6:
        raise typer.BadParameter(f"{wanted['size']} is no multiple of 6", param_hint="--size")
    start = wanted.get("start")
    if start is not None and not limits.FIRST_YEAR <= start.year < limits.LAST_YEAR:
        raise typer.BadParameter(f"{start:%Y-%m-%d}: no Sentinel-2 flew then", param_hint="--start")


def _series(scenario: str | None) -> Series:
    from processing import simulation

    if scenario is None:
        return simulation.Series("31TCJ")
    if scenario not in simulation.SERIES:
        raise typer.BadParameter(f"{scenario}: known are {', '.join(simulation.SERIES)}", param_hint="--scenario")
    return simulation.SERIES[scenario]


def warmup() -> None:
    """Compile the chain's kernels, so that the first date need not wait for it."""
    from processing.bench import warmup as compile_kernels

    compile_kernels()


bench = typer.Typer(help="Measure.", no_args_is_help=True)


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
    from processing.bench import Extras, table, tile

    earlier = _earlier(compare)
    parameters_of(version)
    figures = tile(
        l1c,
        size,
        extras=Extras(cloudy, backward, pair, comparators),
        dem=dem,
        version=version,
        told=lambda line: typer.echo(line, err=True),
    )
    typer.echo(json.dumps(figures, indent=2) if as_json else table(figures, earlier))


def _earlier(path: Path | None) -> Any:
    """The figures that an earlier run printed as JSON."""
    if path is None:
        return None
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{path}: {error}", param_hint="--compare") from None


#: In the order of the help.
COMMANDS: tuple[Callable[..., None], ...] = (
    *(production.process, production.ingest, production.watch, production.dispatch, production.worker),
    *(production.status, production.top, production.explain, explain_pixel, production.logs),
    *(production.events, production.audit),
    *(production.backup, production.restore, production.rebuild_db, production.doctor, production.soak),
    *(production.retry, production.replay, production.hold, production.release, production.reject),
    *(production.drain, production.retention),
    *(production.admit, production.formats, production.export),
    *(distribution.download, distribution.sync, fetch),
    *(simulate, warmup),
)
for _command in COMMANDS:
    app.command()(_command)
app.add_typer(production.campaign, name="campaign")
app.add_typer(production.database, name="db")
app.add_typer(user, name="user")
app.add_typer(alerts, name="alerts")
app.add_typer(webhook, name="webhook")
app.add_typer(sites, name="sites")
app.add_typer(validate, name="validate")
app.add_typer(quality, name="quality")
app.add_typer(mask, name="mask")
app.add_typer(bench, name="bench")
