"""Sites whose products are not for everybody: who may not see them finds none of them, and is asked to sign in at them.

The table of the settings says it, ``{"site:toulouse": "scientist"}``. A tile that an open site has too is open. Readers
of one role see the same; what is kept for all of them must be kept by what is hidden from them (`hidden`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

import sqlalchemy as sa
from cachetools import TTLCache
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria

from dashboard import access
from processing.people import Role
from processing.store.models import Product, SiteTile

if TYPE_CHECKING:
    from processing.settings import Settings
    from processing.store import Store

#: Parts of the web that give products.
PARTS = ("products", "browse", "compare")
#: A tile in an address, alone or in the name of a product.
_TILE = re.compile(r"(?<![0-9A-Za-z])T?(\d\d[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V])(?![0-9A-Za-z])")
#: For how long the tiles of a site are believed. [s]
_BELIEVED = 60

_hidden: ContextVar[frozenset[str]] = ContextVar("hidden", default=frozenset())


def hidden() -> frozenset[str]:
    """Tiles whose products are not shown here."""
    return _hidden.get()


@contextmanager
def hiding(tiles: frozenset[str]) -> Iterator[None]:
    """No product of these tiles is found meanwhile."""
    token = _hidden.set(tiles)
    try:
        yield
    finally:
        _hidden.reset(token)


@sa.event.listens_for(Session, "do_orm_execute")
def _leave_out(asked: ORMExecuteState) -> None:
    tiles = _hidden.get()
    if tiles and asked.is_select and not asked.is_column_load and not asked.is_relationship_load:
        seen = with_loader_criteria(Product, Product.tile.not_in(sorted(tiles)), include_aliases=True)
        asked.statement = asked.statement.options(seen)


class Closed:
    """Which tiles are closed to a role, as the settings and the store's sites say."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._sites = settings.sites_access
        self._store = store
        self._kept: TTLCache[Role, frozenset[str]] = TTLCache(len(Role), _BELIEVED)

    def tiles(self, role: Role) -> frozenset[str]:
        """Tiles of which a role sees no product.

        Raises
        ------
        StoreError
            If the sites can't be read.
        """
        if all(role.reaches(least) for least in self._sites.values()):
            return frozenset()
        if role not in self._kept:
            closed = {code for code, least in self._sites.items() if not role.reaches(least)}
            with self._store.read() as session:
                every = session.execute(sa.select(SiteTile.site, SiteTile.tile)).all()
            of_open = {tile for site, tile in every if site not in closed}
            self._kept[role] = frozenset({tile for site, tile in every if site in closed} - of_open)
        return self._kept[role]

    @property
    def least(self) -> Role:
        """The role to which no site is closed."""
        return max(self._sites.values(), key=list(Role).index, default=Role.PUBLIC)

    def shows(self, path: str) -> bool:
        """Whether an address is of a part that gives products, of which some are closed to somebody."""
        return bool(self._sites) and access.part(path) in PARTS

    @staticmethod
    def names(path: str, query: str, tiles: frozenset[str]) -> bool:
        """Whether an address names one of the tiles, or a product of one."""
        return any(found in tiles for found in _TILE.findall(f"{path}?{unquote_plus(query)}"))
