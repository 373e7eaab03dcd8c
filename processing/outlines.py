"""Coasts and borders of the world, to draw maps without asking another host."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from processing.resources import DATA


@cache
def outlines() -> NDArray[np.float64]:
    """Outlines of the countries (Natural Earth 1:50m, simplified; see ``data/README.md``).

    Returns
    -------
    (n, 2) float64
        Longitude and latitude, a row of NaN between two outlines. [deg] Outlines are closed, but those cut by the
        antimeridian or by 85 degrees south, which end there; none crosses the antimeridian. Read-only.
    """
    with np.load(DATA / "outlines" / "countries.npz") as file:
        stored, unit = file["points"], float(file["unit"])
    separator = stored[:, 0] == np.iinfo(stored.dtype).min
    points = np.where(separator[:, None], np.nan, stored * unit)
    points.setflags(write=False)
    return points
