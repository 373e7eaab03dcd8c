"""How far two readers agree beyond chance."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from processing.store.models import VERDICTS
from processing.store.verdicts import verdicts_of

#: Rows and columns of a table of agreement.
KINDS = VERDICTS[:3]


@dataclass(frozen=True)
class Agreement:
    """Of two readers.

    Attributes
    ----------
    first, second : str
    table : (3, 3) int
        Products by what the first (row) and the second (column) said: good, suspect, bad.
    """

    first: str
    second: str
    table: NDArray[np.int64]

    @property
    def products(self) -> int:
        """Products that both judged."""
        return int(self.table.sum())

    @property
    def observed(self) -> float:
        """Share of the products on which they agree. [-]"""
        return float(np.trace(self.table) / self.table.sum())

    @property
    def kappa(self) -> float | None:
        """Agreement beyond chance, see `kappa`. [-]"""
        return kappa(self.table)


def kappa(table: NDArray[np.int64]) -> float | None:
    """Agreement of two readers beyond what chance gives: 1 always, 0 as chance. [-]

    Parameters
    ----------
    table : (kinds, kinds) int
        Things by what one reader (row) and the other (column) said.

    Returns
    -------
    float or None
        None where it is not defined: nothing was judged, or chance alone gives full agreement.

    References
    ----------
    Cohen, "A coefficient of agreement for nominal scales", Educ. Psychol. Meas. 20, 37-46, 1960.
    """
    total = table.sum()
    if not total:
        return None
    chance = float(table.sum(axis=0) @ table.sum(axis=1)) / float(total) ** 2
    if chance == 1:
        return None
    return (float(np.trace(table) / total) - chance) / (1 - chance)


def agreements(session: Session) -> list[Agreement]:
    """Of every two readers that judged a product in common, by their last verdicts."""
    tables: dict[tuple[str, str], NDArray[np.int64]] = {}
    for verdicts in verdicts_of(session).values():
        said = sorted((v.reader, KINDS.index(v.verdict)) for v in verdicts)
        for (first, row), (second, col) in combinations(said, 2):
            tables.setdefault((first, second), np.zeros((3, 3), np.int64))[row, col] += 1
    return [Agreement(first, second, table) for (first, second), table in sorted(tables.items())]
