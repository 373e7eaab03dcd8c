"""What a product was made from and compared with, as far as it is kept here: the store's paths on the disk."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from dashboard import queries
from processing.product import load_days
from processing.scene import day_of
from processing.settings import Settings

if TYPE_CHECKING:
    from processing.store import Store

#: Dates of the composite's pixels of the states that were looked at last.
days = lru_cache(maxsize=8)(load_days)


@dataclass(frozen=True)
class Provenance:
    """Of one product, what is kept here.

    Attributes
    ----------
    tile : str
    day : int
        Its date, days since 2000-01-01.
    state : Path or None
        Recurrent state that the date was compared with.
    level1c : tuple of Path
        Packages that it was made from; empty unless all of them are here.
    gone : tuple of str
        Names of packages that are known and no longer here.
    """

    tile: str
    day: int
    state: Path | None
    level1c: tuple[Path, ...]
    gone: tuple[str, ...]


def of(store: Store, settings: Settings, identifier: str) -> Provenance:
    """What is kept of a product that the store knows.

    Raises
    ------
    UnknownName
        If it doesn't.
    """
    with store.read() as session:
        made = queries.made_from(session, identifier)
    state = settings.state / made.state if made.state else None
    packages = tuple(settings.l1c / path for path in made.level1c)
    gone = tuple(path.name for path in packages if not path.exists())
    return Provenance(
        tile=made.tile,
        day=day_of(made.sensing),
        state=state if state and state.exists() else None,
        level1c=() if gone else packages,
        gone=gone,
    )
