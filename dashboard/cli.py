"""The command `muscate`: what `processing.cli` offers, and the two commands that need the web."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from processing import cli
from processing.home import Home, centre, settings_of


def main() -> None:
    """Run `muscate`."""
    cli.main()


Port = Annotated[int | None, typer.Option(help="Port of the dashboard.")]


def up(
    home: Home = None,
    port: Port = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the dashboard in a browser once it answers.")] = False,
) -> None:
    """Start everything: web, watcher of the inbox, dispatcher and workers, under one process tree."""
    from processing.production import centre as engine

    muscate = f'"{sys.executable}" -m dashboard'
    raise typer.Exit(engine.up(settings_of(home, make=True, port=port), muscate, open_browser=open_))


def web(home: Home = None, port: Port = None) -> None:
    """Serve the dashboard, tiles and health."""
    from dashboard.app import serve
    from processing.production import centre as engine

    settings = settings_of(home, make=True, port=port)
    engine.check_port(settings)
    serve(settings)


catalog = typer.Typer(help="The catalogue of products.", no_args_is_help=True)


@catalog.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder for it; an older one is replaced.")],
    everything: Annotated[bool, typer.Option("--all", help="Every version, and what was withdrawn.")] = False,
    base: Annotated[
        str | None,
        typer.Option("--url", help="Web that has the files; MUSCATE_PUBLIC_URL. Else: as they lie on disk."),
    ] = None,
    home: Home = None,
) -> None:
    """Write the catalogue as static STAC, for a plain web server or an archive."""
    from dashboard.stac.export import export as write

    settings, store = centre(home)
    count = write(store, settings, folder, settings.public_url if base is None else base, everything=everything)
    typer.echo(f"{folder}: {count} products")


cli.app.add_typer(catalog, name="catalog")


def _put_before(name: str, command: Callable[..., None]) -> None:
    """Add a command where a reader of the help looks for it."""
    cli.app.command()(command)
    commands = cli.app.registered_commands
    names = [known.callback.__name__ for known in commands if known.callback is not None]
    commands.insert(names.index(name), commands.pop())


_put_before("process", up)
_put_before("status", web)
