"""`muscate webhook`: who is told of products as they come."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from processing.home import Home, Json, centre
from processing.people import command_line

webhook = typer.Typer(help="Addresses that are told of products as they come.", no_args_is_help=True)


@webhook.command()
def add(
    url: Annotated[str, typer.Argument(help="Where JSON is sent by POST.")],
    site: Annotated[str, typer.Option(help="Only products of this site.")] = "",
    tile: Annotated[str, typer.Option(help="Only products of this tile.")] = "",
    secret: Annotated[str, typer.Option(envvar="MUSCATE_WEBHOOK_SECRET", help="Signs what is sent.")] = "",
    home: Home = None,
) -> None:
    """Tell an address of products from now on: each that is published, withdrawn or reinstated."""
    if not url.startswith(("http://", "https://")):
        raise typer.BadParameter(f"{url!r} is no address of the web", param_hint="URL")
    from processing.store import webhooks

    with centre(home)[1].write() as session:
        row = webhooks.add(session, command_line(), url, secret, site=site, tile=tile)
        typer.echo(f"{row.id}: {url} is told")


@webhook.command("list")
def list_(home: Home = None, as_json: Json = False) -> None:
    """Who is told, of what, and whether it went well."""
    from processing.store import webhooks

    with centre(home)[1].read() as session:
        found = [
            {"number": w.id, "url": w.url, "site": w.site, "tile": w.tile, "failures": w.failures, "fault": w.fault}
            for w in webhooks.everything(session)
        ]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for one in found:
        fault = f"  failed {one['failures']} times: {one['fault']}" if one["failures"] else ""
        typer.echo(f"{one['number']}  {one['url']}  {one['site'] or one['tile'] or 'everything'}{fault}")
    if not found:
        typer.echo("nobody is told")


@webhook.command()
def remove(number: int, home: Home = None) -> None:
    """Tell an address no more."""
    from processing.store import webhooks

    with centre(home)[1].write() as session:
        webhooks.remove(session, command_line(), number)
    typer.echo(f"{number} is told no more")
