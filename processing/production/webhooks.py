"""`muscate webhook`: those who asked are told of each product of their site or tile, published, withdrawn, reinstated.

Told at least once: the place in the events is kept after an address took them, and it knows what it had by a key.
"""

from __future__ import annotations

import json
import threading
from typing import Annotated

import structlog
import typer

from processing.alerts import senders
from processing.errors import StoreError, Unreachable
from processing.home import Home, Json, centre
from processing.people import command_line
from processing.settings import Settings
from processing.store import Store, webhooks

log = structlog.get_logger(__name__)

#: Between two looks. [s]
EVERY = 5.0

webhook = typer.Typer(help="Addresses that are told of products as they come.", no_args_is_help=True)


def tell(store: Store) -> int:
    """Call all that are due; how many took it."""
    with store.read() as session:
        calls = webhooks.due(session)
    told = 0
    for call in calls:
        body = json.dumps({"products": call.told}).encode()
        try:
            senders.post(call.url, body, f"muscate-{call.key}-{call.last}", call.secret)
        except Unreachable as fault:
            log.warning("webhook", number=call.key, reason=str(fault))
            with store.write() as session:
                webhooks.failed(session, call.key, str(fault))
            continue
        with store.write() as session:
            webhooks.called(session, call.key, call.last)
        told += 1
    return told


def run(settings: Settings, stop: threading.Event) -> None:
    """Call until stopped."""
    store = Store(settings.url)
    while not stop.wait(EVERY):
        try:
            tell(store)
        except StoreError as fault:
            log.error("webhooks", reason=str(fault))
    store.dispose()


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
    with centre(home)[1].write() as session:
        row = webhooks.add(session, command_line(), url, secret, site=site, tile=tile)
        typer.echo(f"{row.id}: {url} is told")


@webhook.command("list")
def list_(home: Home = None, as_json: Json = False) -> None:
    """Who is told, of what, and whether it went well."""
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
    with centre(home)[1].write() as session:
        webhooks.remove(session, command_line(), number)
    typer.echo(f"{number} is told no more")
