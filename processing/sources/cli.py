"""`muscate fetch`: Level-1C from other houses' catalogues into the drop box."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from typing import Annotated

import typer

from processing.home import REJECTED, Home, Json, centre


def fetch(
    since: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Of publication: where the first look begins.")],
    tile: Annotated[list[str] | None, typer.Option(help="MGRS tile, 31TCJ; else those of all active sites.")] = None,
    catalogue: Annotated[str | None, typer.Option(help="Address of another OData catalogue.")] = None,
    packages: Annotated[str | None, typer.Option(help="Address of its packages.")] = None,
    tokens: Annotated[str | None, typer.Option(help="Address of its tokens.")] = None,
    every: Annotated[int, typer.Option(min=0, help="Look again after so many minutes; 0: once.")] = 0,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Bring new Level-1C of the sites' tiles from the Copernicus Data Space into the drop box.

    The account is MUSCATE_CDSE_USER and MUSCATE_CDSE_PASSWORD, or a JSON file of mode 600 (MUSCATE_CDSE_FILE).
    """
    from processing.sources import odata
    from processing.sources.account import Account, credentials
    from processing.sources.fetching import Fetcher
    from processing.store import sites

    settings, store = centre(home)
    with store.read() as session:
        tiles = tile or sites.watched(session)
    account = Account(tokens or odata.TOKENS, credentials("cdse"))
    source = odata.OData(catalogue or odata.CATALOGUE, packages or odata.DOWNLOAD)
    fetcher = Fetcher(settings, store, source, account)
    while True:
        fates = fetcher.round(tiles, since.replace(tzinfo=UTC))
        for fate in fates:
            said = {"name": fate.name, "state": fate.state, "reason": fate.reason, "bytes": fate.moved}
            typer.echo(json.dumps(said) if as_json else f"{fate.name}  {fate.state}  {fate.reason}".rstrip())
        if not every:
            break
        threading.Event().wait(60 * every)
    if any(fate.state == "rejected" for fate in fates):
        raise typer.Exit(REJECTED)
