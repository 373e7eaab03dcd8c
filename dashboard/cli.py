"""The command `muscate`: what `processing.cli` offers, and the two commands that need the web."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from processing import cli
from processing.home import Home, settings_of


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
    from processing.production import centre

    muscate = f'"{sys.executable}" -m dashboard'
    raise typer.Exit(centre.up(settings_of(home, make=True, port=port), muscate, open_browser=open_))


def web(home: Home = None, port: Port = None) -> None:
    """Serve the dashboard, tiles and health."""
    from dashboard.app import serve
    from processing.production import centre

    settings = settings_of(home, make=True, port=port)
    centre.check_port(settings)
    serve(settings)


def _put_before(name: str, command: Callable[..., None]) -> None:
    """Add a command where a reader of the help looks for it."""
    cli.app.command()(command)
    commands = cli.app.registered_commands
    names = [known.callback.__name__ for known in commands if known.callback is not None]
    commands.insert(names.index(name), commands.pop())


_put_before("process", up)
_put_before("status", web)
