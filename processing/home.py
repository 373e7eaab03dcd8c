"""What the commands begin with: the options they share, the settings of a centre and its store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from processing.settings import Settings

if TYPE_CHECKING:
    from processing.store import Store
    from processing.versions import Parameters

#: Exit code of a command that is done, though some inputs were rejected.
REJECTED = 3

Home = Annotated[Path | None, typer.Option(help="Folder of the centre; MUSCATE_HOME, else ./var.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def settings_of(home: Path | None, **given: object) -> Settings:
    """Settings with what was given on the command line; exported so that child processes see the same."""
    if home is not None:
        os.environ["MUSCATE_HOME"] = str(home)
    for name, value in given.items():
        if value is not None:
            os.environ[f"MUSCATE_{name.upper()}"] = str(value)
    settings = Settings()
    settings.make_folders()
    return settings


def store_of(settings: Settings) -> Store:
    """The store, its tables brought up to date."""
    from processing.store import Store

    store = Store(settings.url)
    store.upgrade()
    return store


def centre(home: Path | None) -> tuple[Settings, Store]:
    """Settings and store of the centre in a folder; in that of the settings where none is given."""
    settings = settings_of(home)
    return settings, store_of(settings)


def parameters_of(version: str) -> Parameters:
    """The numbers of the version given as `--version`; wrong use where it is not one that is produced."""
    from processing.versions import parameters

    try:
        return parameters(version)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--version") from None
