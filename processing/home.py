"""What the commands begin with: the options they share, the settings of a centre and its store."""

from __future__ import annotations

import os
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError

from processing import known
from processing.errors import StorageError, WrongSetting
from processing.settings import Settings

if TYPE_CHECKING:
    from processing.store import Store
    from processing.versions import Parameters

#: File systems on which one host does not see another one's locks in time, and where Linux says what is mounted.
NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "afs", "fuse.sshfs"}
    | {"fuse.glusterfs", "fuse.ceph", "panfs", "pvfs2"}
)
MOUNTS = Path("/proc/mounts")
#: Exit code of a command that is done, though some inputs were rejected.
REJECTED = 3

Home = Annotated[Path | None, typer.Option(help="Folder of the centre; MUSCATE_HOME, else ./var.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def settings_of(home: Path | None, *, make: bool = False, **given: object) -> Settings:
    """Settings with what was given on the command line; exported so that child processes see the same.

    Parameters
    ----------
    home : Path or None
    make : bool
        Make the home where there is none. Else nothing is made, and a home without a centre is refused.
    given : object
        Settings by their names.

    Raises
    ------
    WrongSetting
        If one can't be used, or there is no centre.
    StorageError
        If the home can't be made.
    """
    if home is not None:
        os.environ["MUSCATE_HOME"] = str(home)
    for name, value in given.items():
        if value is not None:
            os.environ[f"MUSCATE_{name.upper()}"] = str(value)
    settings = _settings()
    try:
        settings.home.resolve()
    except (OSError, RuntimeError):
        raise WrongSetting(f"{settings.home}: a link that leads to itself") from None
    known.use(settings.admitted)
    if not (make or settings.database_url or (settings.home / "muscate.db").is_file()):
        there = "no centre in it" if settings.home.is_dir() else "no such folder"
        raise WrongSetting(f"{settings.home}: {there} (`muscate up` makes one; --home or MUSCATE_HOME names it)")
    if not settings.database_url and (kind := network_file_system(settings.home)) is not None:
        where = "MUSCATE_DATABASE_URL names a Postgres"
        raise WrongSetting(f"{settings.home} is on {kind}, a network file system, where SQLite is not safe: {where}")
    if make or settings.home.is_dir():
        try:
            settings.make_folders()
        except OSError as error:
            raise StorageError(f"{error.filename or settings.home}: {error.strerror or error}") from error
    return settings


def network_file_system(path: Path) -> str | None:
    """The kind of the file system that a path is or will be on, if other hosts may have it too: ``nfs4``."""
    try:
        mounts = MOUNTS.read_text().splitlines()
    except OSError:  # another system than Linux
        return None
    found, kind = "", ""
    place = str(path.resolve())
    for line in mounts:
        _, where, what, *_ = line.split(" ")
        where = where.encode().decode("unicode_escape")
        if len(where) >= len(found) and (place == where or place.startswith(where.rstrip("/") + "/")):
            found, kind = where, what
    return kind if kind in NETWORK else None


def _settings() -> Settings:
    """Settings of the environment and the file, each fault of theirs in one line, without the value: it may be secret.

    Raises
    ------
    WrongSetting
    """
    from processing.versions import parameters

    file = os.environ.get("MUSCATE_CONFIG")
    try:
        if file is not None and not Path(file).is_file():
            raise WrongSetting(f"MUSCATE_CONFIG: {file}: no such file")
        settings = Settings()
        for version in settings.versions:
            parameters(version)
    except ValidationError as error:
        raise WrongSetting("; ".join(_line(fault) for fault in error.errors(include_input=False))) from None
    except (SettingsError, TOMLDecodeError, OSError, ValueError) as error:
        where = f" in {file or 'muscate.toml'}" if isinstance(error, TOMLDecodeError | UnicodeDecodeError) else ""
        raise WrongSetting(f"settings{where}: {' '.join(str(error).split())}") from error
    return settings


def _line(fault: object) -> str:
    """One fault that pydantic found, by the setting's name."""
    assert isinstance(fault, dict)
    name, *rest = fault["loc"] or ("settings",)
    inner = f" [{'.'.join(map(str, rest))}]" if rest else ""
    text = "there is no such setting" if fault["type"] == "extra_forbidden" else fault["msg"]
    return f"setting {name} (MUSCATE_{str(name).upper()}){inner}: {text.removeprefix('Value error, ')}"


def store_of(settings: Settings) -> Store:
    """The store, its tables brought up to date."""
    from processing.store import Store

    store = Store(settings.url)
    store.upgrade()
    return store


def centre(home: Path | None, *, make: bool = False) -> tuple[Settings, Store]:
    """Settings and store of the centre in a folder; in that of the settings where none is given. As `settings_of`."""
    settings = settings_of(home, make=make)
    return settings, store_of(settings)


def parameters_of(version: str) -> Parameters:
    """The numbers of the version given as `--version`; wrong use where it is not one that is produced."""
    from processing.versions import parameters

    try:
        return parameters(version)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--version") from None
