"""The commands of the production centre: its parts, the state of its dates, its campaigns and its database."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from processing.home import REJECTED, Home, Json, parameters_of, settings_of, store_of
from processing.people import command_line
from processing.settings import Settings

if TYPE_CHECKING:
    from processing.production.ingest import Ingested

campaign = typer.Typer(help="Production of a version over all tiles.", no_args_is_help=True)
database = typer.Typer(help="The store's database.", no_args_is_help=True)

Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="Level-1C or product names.")]
Version = Annotated[str, typer.Argument(metavar="VERSION")]


def process(
    l1c: Annotated[
        list[Path],
        typer.Argument(metavar="L1C...", help="`.SAFE` folders, `.zarr` stores or `.zip` files of one tile."),
    ],
    version: Annotated[str, typer.Option(help="Processing version.")] = "V1_4",
    out: Annotated[Path, typer.Option(help="Folder that receives the products.")] = Path("."),
    dem: Annotated[Path | None, typer.Option(help="Terrain model: a raster, a folder of rasters, or glo30.")] = None,
    state: Annotated[Path | None, typer.Option(help="Folder of recurrent states, read and written.")] = None,
    tile: Annotated[str | None, typer.Option(help="Tile, where a package holds several.")] = None,
    like: Annotated[
        str | None, typer.Option(metavar="S2C", help="Take a satellite that is not known for this one.")
    ] = None,
    responses_from: Annotated[
        Path | None, typer.Option(metavar="PACKAGE", help="Its spectral responses are those in this Level-1C.")
    ] = None,
    home: Annotated[
        Path | None, typer.Option(help="A centre: what it admitted is known here too; nothing else of it is used.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the chain alone, without a store: Level-1C products of one tile, in time order, to MUSCATE products.

    The first date, and one after a gap of a fortnight (a month before July 2017), starts from the next dates given,
    which are run backward in time; from nothing where there are none. A date older than those already in --state
    starts from the state that preceded it, and changes nothing that is already there.
    """
    from processing.production import admission, apart

    if like and responses_from:
        raise typer.BadParameter("it is one or the other", param_hint="--like, --responses-from")
    parameters_of(version)
    rejected = failed = False
    centre = None if home is None else settings_of(home).admitted
    with admission.meanwhile(l1c, centre, responses_from, like) as admitted:
        for result in apart.process(l1c, version, out, dem=dem, state=state, tile=tile, admitted=admitted):
            rejected |= result["status"] == "rejected"
            failed |= result["status"] == "failed"
            _tell(result, as_json)
    raise typer.Exit(1 if failed else REJECTED if rejected else 0)


def _tell(result: dict[str, Any], as_json: bool) -> None:
    """Print what became of one Level-1C package; what failed goes to stderr."""
    if as_json:
        typer.echo(json.dumps(result))
    elif "reason" in result:
        typer.echo(
            f"{result['l1c']}: {result['status']}: {result['reason']}",
            err=result["status"] not in ("not_valid", "skipped"),
        )
    else:
        typer.echo(f"{result['l1c']}: {result['product']} ({result['mode']}, {result['cloud_percent']:.1f} % cloud)")


def ingest(
    path: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Level-1C packages, or folders of them.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Catalogue and queue Level-1C packages; the given files stay where they are."""
    from processing.production.ingest import ingest as ingest_paths

    settings = settings_of(home, make=True)
    results = ingest_paths(settings, store_of(settings), path)
    rejected = False
    for result in results:
        rejected |= not (result.accepted or result.held)
        line = {"l1c": result.name, "status": _word(result), "reason": result.reason}
        typer.echo(json.dumps(line) if as_json else f"{result.name}: {line['status']} {result.reason or ''}".rstrip())
    raise typer.Exit(REJECTED if rejected else 0)


def _until_stopped(part: Callable[[Settings, threading.Event], None], settings: Settings) -> None:
    """Run one part of the centre until SIGINT, SIGTERM or SIGHUP."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, lambda *_: stop.set())
    part(settings, stop)


def watch(home: Home = None) -> None:
    """Watch the inbox and queue what arrives."""
    from processing.production.watcher import watch as run

    _until_stopped(run, settings_of(home, make=True))


def dispatch(home: Home = None) -> None:
    """Claim chains in time order and hand them to the workers."""
    from processing.production.dispatcher import dispatch as run

    _until_stopped(run, settings_of(home, make=True))


def worker(home: Home = None) -> None:
    """Run attempts handed out by the dispatcher."""
    from processing.production.worker import work as run

    _until_stopped(run, settings_of(home, make=True))


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


def status(home: Home = None, as_json: Json = False) -> None:
    """What is done, waiting, late and broken."""
    from processing.production import operations

    _print(operations.status(store_of(settings_of(home))), as_json)


def top(
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print it once.")] = False,
    home: Home = None,
) -> None:
    """What is in work and how far, what waits, and when each campaign ends; until Ctrl-C."""
    from processing.production import top as terminal

    settings = settings_of(home)
    terminal.show(store_of(settings), settings, every, once=once)


def explain(
    name: Annotated[
        str,
        typer.Argument(help="A Level-1C package, a product, or a tile and a day: 31TCJ/2024-06-08."),
    ],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """What became of a date or package, or why it waits; also of what was refused, and of what has not come."""
    from processing.production import operations

    found = operations.stories(store_of(settings_of(home)), name)
    if as_json:
        _print(found, as_json)
        return
    for key, told in found.items():
        typer.echo(f"{key}: {told['state']}: {told['why']}")
        for title in ("product", "attempts", "revision", "l1c"):
            if (value := told.get(title)) and value != told["why"]:
                typer.echo(f"  {title}: {', '.join(value) if isinstance(value, list) else value}")


def events(
    search: Annotated[
        str, typer.Option(metavar="WORDS", help="Only those that have all of these words, wherever.")
    ] = "",
    kind: Annotated[str, typer.Option(help="Only of this kind: lost, refused, published ...")] = "",
    tile: Annotated[str, typer.Option(help="Only of this tile.")] = "",
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only from this day on; 30 days ago.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000)] = 100,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """What happened, the newest first."""
    from processing.store import events as happened

    first = since.replace(tzinfo=UTC) if since else datetime.now(UTC) - timedelta(days=30)
    with store_of(settings_of(home)).read() as session:
        found = happened.find(session, search, kind=kind, tile=tile, since=first, limit=limit)
    if as_json:
        _print([one.json() for one in found], as_json)
        return
    for one in found:
        place = " ".join(str(word) for word in (one.tile, one.version, one.product, one.actor) if word)
        data = ", ".join(f"{key} {value}" for key, value in one.data.items())
        typer.echo(
            f"{one.time:%Y-%m-%d %H:%M:%S} {one.severity:7} {one.kind}: {' | '.join(filter(None, (place, data)))}"
        )


def logs(
    name: Annotated[
        str,
        typer.Argument(
            metavar="DATE-OR-NAME", help="A day, 31TCJ/2024-06-08, or the name of a Level-1C package or product."
        ),
    ],
    attempt: Annotated[
        int | None, typer.Option(min=1, help="Which attempt, from 1; the last one of each date.")
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """What the attempts of a date did: steps, figures, warnings, memory, and why they failed."""
    from dataclasses import asdict

    from processing.production import operations

    settings = settings_of(home)
    found = operations.logs(store_of(settings), settings, name, attempt)
    if as_json:
        _print([one | {"lines": [asdict(line) for line in one["lines"]]} for one in found], as_json)
        return
    for one in found:
        ended = f"{one['ended']:%Y-%m-%d %H:%M:%S} UTC" if one["ended"] else "now"
        typer.echo(f"{one['date']}, {one['job']}, attempt {one['attempt']}: {one['outcome']}, until {ended}")
        for line in one["lines"]:
            typer.echo("  " + line.text().replace("\n", "\n  "))


def audit(
    share: Annotated[
        str, typer.Option(metavar="K/N", help="Look at the K-th of N slices of the archive only, as 3/30.")
    ] = "1/1",
    hashes: Annotated[bool, typer.Option(help="Read every file of the products; else their manifests only.")] = True,
    fix: Annotated[bool, typer.Option("--fix", help="Set what is damaged aside and queue its date again.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Hold the store against its own promises and against the archive on disk, file by file.

    The centre does so itself at night, a slice at a time (MUSCATE_AUDIT_DAYS).
    """
    from processing.production import audit as auditing

    settings = settings_of(home)
    store, slice_ = store_of(settings), auditing.Share.parse(share)
    findings = []
    for finding in auditing.audit(store, settings, slice_, hashes=hashes, told=lambda line: typer.echo(line, err=True)):
        findings.append(finding)
        if not as_json:
            typer.echo(finding.line)
    done = auditing.mend(store, settings, findings, command_line()) if fix and findings else []
    if as_json:
        _print([finding.line for finding in findings], as_json)
    else:
        _print(done or ([] if findings else ["nothing found"]), as_json)
    raise typer.Exit(1 if findings else 0)


def backup(
    to: Annotated[Path, typer.Option(help="Folder that receives the copy.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Copy the store and the home's own files while the centre runs, and read the copy again before it counts.

    Products, states and Level-1C are not in it, nor logs. `muscate restore` puts it back.
    """
    from processing.production import backup as copies

    settings = settings_of(home)
    _print(copies.backup(store_of(settings), settings, to), as_json)


def restore(
    copy: Annotated[Path, typer.Argument(help="The database of a backup, muscate-....db or .dump.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Put a backup into an empty store, and its files into the home where there are none of these names.

    Every file is held against its sum first. What the archive lacks of the store's products is counted.
    """
    from processing.production import backup as copies
    from processing.store import Store

    settings = settings_of(home, make=True)
    _print(copies.restore(Store(settings.url), settings, copy), as_json)


def rebuild_db(
    from_archive: Annotated[bool, typer.Option("--from-archive", help="From the products' folders and the journal.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Restore a lost store from the archive: products with figures and lineage, and events and verdicts as exported.

    Only into an empty store. Dates without a product are not restored: their packages are named, to be given again.
    """
    import time

    from processing.production import rebuild

    settings = settings_of(home, make=True)
    began = time.monotonic()
    report = rebuild.rebuild(store_of(settings), settings, lambda line: typer.echo(line, err=True))
    seconds = round(time.monotonic() - began, 1)
    if as_json:
        _print({**vars(report), "seconds": seconds}, as_json)
        return
    typer.echo(
        f"{report.products} products, {report.events} events and {report.verdicts} verdicts restored in {seconds} s"
    )
    for line in report.left_out:
        typer.echo(f"left out: {line}", err=True)
    if report.again:
        typer.echo(f"packages without a product: {len(report.again)}; queue them again with muscate ingest:")
        for path in report.again:
            typer.echo(f"  {path}")


def doctor(home: Home = None, as_json: Json = False) -> None:
    """See whether this machine and this home can do what a centre asks of them."""
    from dataclasses import asdict

    from processing.production import doctor as examination

    answers = list(examination.examine(settings_of(home)))
    if as_json:
        _print([asdict(answer) for answer in answers], as_json)
    else:
        width = max(len(answer.what) for answer in answers)
        _print([f"{a.what:{width}}  {'ok' if a.well else '!!'}  {a.how}" for a in answers], as_json)
    raise typer.Exit(0 if all(answer.well for answer in answers) else 1)


def soak(
    seconds: Annotated[float, typer.Option(min=1, help="How long it is killed and frozen.")] = 60.0,
    blows: Annotated[
        int | None, typer.Option(min=1, help="Kills and freezes at least, however long they take.")
    ] = None,
    tiles: Annotated[int, typer.Option(min=1, max=25)] = 14,
    dates: Annotated[int, typer.Option(min=1, help="Dates of each tile.")] = 50,
    scheduler: Annotated[bool, typer.Option("--scheduler", help="With a dask scheduler and its workers.")] = False,
    database_url: Annotated[str, typer.Option(help="An empty database; SQLite if not given.")] = "",
    seed: Annotated[int, typer.Option(help="Of what is struck, and when.")] = 0,
    as_json: Json = False,
) -> None:
    """Kill and freeze a centre of its own at random, and see that no promise is broken; no other centre is touched."""
    import tempfile

    from processing.production.soak import Soak

    with tempfile.TemporaryDirectory(prefix="muscate-soak-") as home:
        made = Soak(Path(home), database_url=database_url, scheduler=scheduler, tiles=tiles, dates=dates, seed=seed)
        report = made.run(seconds, blows, told=lambda line: typer.echo(line, err=True))
    _print(report.json(), as_json)
    if not report.bit:
        typer.echo("muscate: it was too mild to prove anything: nothing was lost, fenced or orphaned", err=True)
    raise typer.Exit(0 if report.bit and not report.broken else 1)


def retention(
    apply: Annotated[bool, typer.Option("--apply", help="Free it now; the centre does so every hour.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """What is kept and for how long, and what each rule would free now."""
    from dataclasses import asdict

    from processing.production import janitor
    from processing.production import retention as rules

    settings = settings_of(home)
    store = store_of(settings)
    found = rules.survey(store, settings)
    if apply:
        janitor.sweep(store, settings)
    if as_json:
        _print([asdict(rule) for rule in found], as_json)
        return
    verb = "freed" if apply else "would free"
    for rule in found:
        typer.echo(f"{rule.what}: kept {rule.keeps}; {verb} {rule.bytes / 1e9:.2f} GB in {rule.files}")


def drain(
    end: Annotated[bool, typer.Option("--end", help="Let the centre go on.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Come back when nothing runs any more.")] = False,
    home: Home = None,
) -> None:
    """Start nothing further, on any host, while what runs comes to its end: before an upgrade, or work on a disk."""
    import time

    from processing.production import operations

    store = store_of(settings_of(home))
    changed, running = operations.drain(store, command_line(), end=end)
    if end:
        typer.echo("the centre goes on" if changed else "the centre is not drained")
        return
    typer.echo(f"{'' if changed else 'already '}drained: nothing starts, {running} in work (muscate drain --end)")
    while wait and running:
        time.sleep(2)
        before, running = running, operations.drain(store, command_line())[1]
        if running != before:
            typer.echo(f"{running} in work", err=True)


def _operation(verb: str, names: list[str], home: Path | None) -> None:
    from processing.production import operations

    store = store_of(settings_of(home))
    for name in names:
        typer.echo(f"{name}: {getattr(operations, verb)(store, name, command_line())}")


def retry(names: Names, home: Home = None) -> None:
    """Queue a failed or rejected date again."""
    _operation("retry", names, home)


def replay(names: Names, home: Home = None) -> None:
    """Make a date again and, in order of time, the later ones of its tile, up to where it starts anew.

    Each becomes the next revision of its product. This is for what was made without a date that came late: the
    centre does it by itself where at most MUSCATE_REPLAY_DATES products come after it; of others the next one is
    counted in `status` as previous_not_latest.
    """
    _operation("replay", names, home)


def hold(names: Names, home: Home = None) -> None:
    """Keep a date, and with it the later ones of its tile, from being processed."""
    _operation("hold", names, home)


def release(names: Names, home: Home = None) -> None:
    """Let a held date go on."""
    _operation("release", names, home)


def reject(names: Names, home: Home = None) -> None:
    """Give a date up, so that its tile goes on without it."""
    _operation("reject", names, home)


def admit(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A satellite, S2D, or a baseline, 06.00 or 06.")],
    responses_from: Annotated[
        str | None,
        typer.Option(metavar="PACKAGE", help="Whose spectral responses are taken; the first package that waits."),
    ] = None,
    like: Annotated[str | None, typer.Option(metavar="S2C", help="Take the spectral responses of this one.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Let in a satellite or processing baseline that was not known, and process what waits for it, in its order.

    The bands of a satellite are weighted by the spectral responses in its Level-1C, and compared with those of the
    nearest one that is known. Of a baseline a package that waits is looked at point by point.
    """
    from processing.production import admission

    if responses_from and like:
        raise typer.BadParameter("it is one or the other", param_hint="--like, --responses-from")
    settings = settings_of(home)
    made = admission.admit(store_of(settings), settings, name, command_line(), responses_from=responses_from, like=like)
    released = [{"l1c": one.name, "status": _word(one), "reason": one.reason} for one in made.released]
    if as_json:
        _print({"name": made.name, "origin": made.origin, "report": made.report, "released": released}, as_json)
    else:
        _print([*made.report, made.origin], as_json)
        _print([f"{one['l1c']}: {one['status']} {one['reason'] or ''}".rstrip() for one in released], as_json)


def formats(home: Home = None, as_json: Json = False) -> None:
    """Which satellites, baselines and kinds of packages came, the first of each, and what waits to be admitted."""
    from processing.production import operations

    found = operations.formats(store_of(settings_of(home)))
    if as_json:
        _print(found, as_json)
        return
    for one in found["seen"]:
        what = f"{one['platform']} {one['baseline']} {one['kind']}"
        typer.echo(f"{one['first']:.16}  {what:20} {one['tiles']:5} tiles, first {one['name']}")
    for one in found["held"]:
        typer.echo(f"{one['seen']:.16}  held: {one['name']}: {one['reason']}")
    if not (found["seen"] or found["held"]):
        typer.echo("no Level-1C came yet")


def export(
    products: Annotated[list[str], typer.Argument(metavar="PRODUCT...", help="Identifiers, or folders of products.")],
    zarr: Annotated[bool, typer.Option("--zarr", help="As Zarr cubes in time, one for each tile and version.")] = False,
    out: Annotated[
        Path, typer.Option(help="Folder that receives 31TCJ_V1_4.zarr; one that is there gets the dates that it lacks.")
    ] = Path("."),
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Write published products in another form: --zarr is a cube that `xarray.open_zarr` opens as it is.

    The cube's root has the grid of 10 m, the groups r20m, r40m ... the coarser ones. The web serves the same cubes
    without an export, below /cubes/.
    """
    from processing.production import exports

    if not zarr:
        raise typer.BadParameter("say in which form: --zarr", param_hint="--zarr")
    named = [name for name in products if not Path(name).is_dir()]
    settings = settings_of(home) if named else None
    made = exports.cubes(store_of(settings) if settings else None, settings, products, out)
    _print(
        made if as_json else [f"{one['cube']}: {one['written']} written, {one['dates']} dates" for one in made], as_json
    )


def _word(one: Ingested) -> str:
    return "queued" if one.accepted else "held" if one.held else "rejected"


def _set_campaign(version: str, status: str | None, home: Path | None) -> None:
    from processing.store import sites

    with store_of(settings_of(home, make=status is None)).write() as session:
        try:
            if status is None:
                sites.new_campaign(session, version, command_line())
            else:
                sites.set_campaign(session, version, status, command_line())
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="VERSION") from None


@campaign.command("new")
def campaign_new(
    version: Version,
    tiles: Annotated[list[str] | None, typer.Option("--tiles", help="Tiles, 31TCJ,33TWM; again for more.")] = None,
    site: Annotated[str | None, typer.Option(help="The tiles of a site, by its code.")] = None,
    since: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")] = None,
    until: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day.")] = None,
    archive: Annotated[bool, typer.Option("--archive", help="All that is in the archive.")] = False,
    estimate: Annotated[bool, typer.Option("--estimate", help="Say what it takes, and begin nothing.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Produce a further version: every date that arrives from now on; with tiles, a site or days, the archive anew.

    What is made of the archive goes behind what arrives, in slots that are left to it (MUSCATE_REAL_TIME_SHARE). It is
    what users get once it was cut over, tile by tile.
    """
    from processing.production import campaigns

    names = [name for given in tiles or () for name in given.replace(",", " ").split()]
    if not (names or site or since or until or archive or estimate):
        _set_campaign(version, None, home)
        typer.echo(f"{version}: every date that arrives from now on; --archive: those that are there as well")
        return
    settings = settings_of(home)
    last = None if until is None else min(until, datetime(9999, 12, 30)).replace(tzinfo=UTC) + timedelta(days=1)
    asked = campaigns.Asked(version, tuple(names), site, since and since.replace(tzinfo=UTC), last)
    told = campaigns.new(store_of(settings), settings, asked, command_line(), only_estimate=estimate)
    _print(told, as_json)


@campaign.command("cancel")
def campaign_cancel(version: Version, home: Home = None) -> None:
    """End a campaign of the archive: nothing more is made of it, what was made stays."""
    from processing.store import campaigns

    with store_of(settings_of(home)).write() as session:
        dropped = campaigns.cancel(session, version, command_line())
    typer.echo(f"{version}: cancelled, {dropped} dates fell out")


@campaign.command("cut-over")
def campaign_cut_over(
    version: Version,
    tile: Annotated[list[str] | None, typer.Option(help="Only this tile; again for more.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Give users a version's series in place of the one before: tile by tile, each at once and whole.

    A tile whose new series lacks a date of the old one is refused, and the others go on.
    """
    from processing.production import campaigns

    done, refused = campaigns.cut_over(store_of(settings_of(home)), version, tile or (), command_line())
    if as_json:
        _print({"done": done, "refused": refused}, as_json)
    else:
        _print(done, as_json)
        for line in refused:
            typer.echo(f"muscate: {line}", err=True)
    raise typer.Exit(1 if refused else 0)


@campaign.command("pause")
def campaign_pause(version: Version, home: Home = None) -> None:
    """Start no further date of a version; those that run finish."""
    _set_campaign(version, "paused", home)


@campaign.command("resume")
def campaign_resume(version: Version, home: Home = None) -> None:
    """Go on with a paused version."""
    _set_campaign(version, "active", home)


@database.command("upgrade")
def database_upgrade(home: Home = None) -> None:
    """Bring a Postgres database to this version's tables; SQLite is brought there by itself."""
    from processing.store import Store

    Store(settings_of(home).url).upgrade(explicit=True)
