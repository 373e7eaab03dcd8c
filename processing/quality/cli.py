"""`muscate quality` and `muscate mask`: verdicts of readers, and masks made by hand."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import Annotated

import typer

from processing.home import Home, Json, centre
from processing.people import command_line

mask = typer.Typer(help="Masks of clouds and shadows made by hand, kept to judge products by.", no_args_is_help=True)
quality = typer.Typer(help="Verdicts of readers: what to look at next, agreement, export.", no_args_is_help=True)

Reader = Annotated[str, typer.Option(default_factory=getpass.getuser, help="Who reads.", show_default="the login name")]
Name = Annotated[str, typer.Argument(metavar="PRODUCT", help="Name of a product.")]


@quality.command()
def queue(
    reader: Reader,
    second: Annotated[bool, typer.Option(help="Those that others judged and this reader did not.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Print so many.")] = 20,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Products to look at, those that stand out first, with the reason."""
    from processing.quality.queue import proposals

    with centre(home)[1].read() as session:
        found = proposals(session, reader, second=second)
    if as_json:
        typer.echo(json.dumps([vars(p) for p in found[:limit]], indent=2))
        return
    for proposal in found[:limit]:
        typer.echo(f"{proposal.identifier}  {proposal.score:5.1f}  {'; '.join(proposal.why)}".rstrip())
    typer.echo(f"{len(found)} to look at")


@quality.command()
def judge(
    product: Name,
    verdict: Annotated[str, typer.Argument(metavar="VERDICT", help="good, suspect, bad; none takes it back.")],
    reader: Reader,
    reason: Annotated[list[str] | None, typer.Option(help="Why: false_cloud, missed_cloud, ...; repeat.")] = None,
    comment: Annotated[str, typer.Option(help="In words.")] = "",
    home: Home = None,
) -> None:
    """Keep a verdict of a product."""
    from processing.store import verdicts

    with centre(home)[1].write() as session:
        found = verdicts.product(session, product)
        try:
            verdicts.keep(session, found, verdict, command_line(reader), reasons=reason or (), comment=comment)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None


@quality.command()
def agreement(home: Home = None, as_json: Json = False) -> None:
    """How far every two readers agree: products judged by both, share agreed, Cohen's kappa."""
    from processing.quality.agreement import agreements

    with centre(home)[1].read() as session:
        found = agreements(session)
    if as_json:
        rows = [
            {
                "readers": [a.first, a.second],
                "products": a.products,
                "observed": a.observed,
                "kappa": a.kappa,
                "table": a.table.tolist(),
            }
            for a in found
        ]
        typer.echo(json.dumps(rows, indent=2))
        return
    for a in found:
        beyond = "not defined" if a.kappa is None else f"{a.kappa:.2f}"
        typer.echo(f"{a.first}, {a.second}: {a.products} products, {100 * a.observed:.0f} % agreed, kappa {beyond}")
    if not found:
        typer.echo("no product was judged by two readers")


@quality.command()
def export(
    out: Annotated[Path, typer.Option(help="Folder that receives verdicts.csv and verdicts.geojson.")] = Path("."),
    home: Home = None,
) -> None:
    """Every verdict as CSV; those that hold, with their areas, as GeoJSON (WGS 84, and the tile's projection)."""
    from processing.quality import export as written

    with centre(home)[1].read() as session:
        texts = {"verdicts.csv": written.as_csv(session), "verdicts.geojson": written.as_geojson(session)}
    out.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (out / name).write_text(text)
        typer.echo(out / name)


@quality.command()
def withdraw(
    product: Name,
    reader: Reader,
    reason: Annotated[str, typer.Option(help="In words.")] = "",
    home: Home = None,
) -> None:
    """Take a product back from the users; it stays on disk."""
    from processing.store import orders, verdicts

    with centre(home)[1].write() as session:
        found = verdicts.product(session, product)
        typer.echo(f"{product}: {orders.withdraw(session, found, command_line(reader), reason)}")


@quality.command()
def reinstate(product: Name, reader: Reader, home: Home = None) -> None:
    """Give a withdrawn product to the users again."""
    from processing.store import orders, verdicts

    with centre(home)[1].write() as session:
        found = verdicts.product(session, product)
        typer.echo(f"{product}: {orders.reinstate(session, found, command_line(reader))}")


@mask.command("import")
def import_(
    product: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="GeoTIFF, GeoJSON, shapefile, GeoPackage.")],
    classes: Annotated[
        str, typer.Option(help="Its classes: 'cloud=1,2 shadow=3 clear=0 attribute=class', a TOML file, or scl.")
    ],
    reader: Reader,
    home: Home = None,
) -> None:
    """Keep a mask made by hand as the reference of a product's image, whatever the version."""
    from processing.quality import reference
    from processing.validation.masks import classes as read_classes

    try:
        meaning = read_classes(classes)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--classes") from None
    settings, store = centre(home)
    try:
        kept = reference.import_file(store, settings, product, file, meaning, command_line(reader))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--reader") from None
    for note in reference.remarks(kept):
        typer.echo(note, err=True)
    pixels = ", ".join(f"{kind} {count}" for kind, count in kept.pixels.items())
    typer.echo(f"{settings.masks / kept.path}: {pixels} pixels of {reference.RESOLUTION} m")


@mask.command("list")
def list_(home: Home = None, as_json: Json = False) -> None:
    """The masks that count: of each image the newest."""
    from processing.validation import reference_masks

    settings, store = centre(home)
    with store.read() as session:
        found = reference_masks.newest(session)
    for row in found:
        line: dict[str, object] = {
            "image": row.image,
            "origin": row.origin,
            "reader": row.reader,
            "time": row.time.isoformat(),
        }
        line |= {"path": str(settings.masks / row.path), "pixels": row.pixels, "unknown": row.unknown}
        typer.echo(json.dumps(line) if as_json else f"{row.image}  {row.origin}  {row.reader}  {row.time:%Y-%m-%d}")
