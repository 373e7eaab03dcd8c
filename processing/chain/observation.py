"""The two nouns of a date on its way through the chain: what its masks look at, and all that is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from processing.chain.geometry import Geometry
from processing.chain.spread import Spread
from processing.chain.subsampling import Image
from processing.chain.terrain_shadow import Relief
from processing.chain.veil import Veil
from processing.scene import Composite, Mode, Scene
from processing.versions import Parameters


@dataclass(frozen=True)
class Observation:
    """What the mask tests of a date look at, on the coarse grid: of its Level-1C, or of what was kept of it.

    Attributes
    ----------
    day : int
        Of the date, since 2000-01-01.
    past : Composite or None
        As recalled. Without it (init mode) neither what moves nor shadows are sought.
    reflectance : mapping of band to (row, col) float32
        Rayleigh-corrected (MAJA's RCR). [-]
    high : (row, col) float32
        Reflectance of B10 from `cirrus.above_ground`. [-]
    water_vapour : (row, col) float32
        Column as read, above the cloud where there is one; NaN where it can't be. [g cm-2]
    saturated : mapping of band to (row, col) bool
    observed, tested : (row, col) bool
        Seen by all bands; of these, inside the validity of the tables: the cells that the masks speak of.
    angles : Geometry
    altitude : (row, col) float32
        [m]
    terrain : bool
        Whether the altitude is that of a terrain model.
    relief : Relief
    detail : mapping of name to (row, col) int8
    spots : mapping of name to (row, col) float32
        As of `subsampling.Image`; empty where they are not at hand.
    """

    day: int
    past: Composite | None
    reflectance: Mapping[str, NDArray[np.float32]]
    high: NDArray[np.float32]
    water_vapour: NDArray[np.float32]
    saturated: Mapping[str, NDArray[np.bool_]]
    observed: NDArray[np.bool_]
    tested: NDArray[np.bool_]
    angles: Geometry
    altitude: NDArray[np.float32]
    terrain: bool
    relief: Relief
    detail: Mapping[str, NDArray[np.int8]] = field(default_factory=dict)
    spots: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def past_water(self) -> NDArray[np.bool_]:
        """What the composite knows as water (MAJA's WAS), nowhere without one, (row, col) bool."""
        return np.zeros_like(self.tested) if self.past is None else self.past.water


@dataclass(frozen=True)
class Date:
    """A date of a tile on its way through the chain, MAJA's D-date: each stage takes it and adds a noun of its own.

    Attributes
    ----------
    scene : Scene
    entered : Composite or None
        What the date before left, or a backward start, as it was given.
    parameters : Parameters
    spread : Spread
    image : Image
        The scene on the coarse grid.
    toa : dict of band to (row, col) float32
        Top-of-atmosphere reflectance without gases, of `rayleigh.BANDS` (MAJA's RTA). [-]
    seen : Observation
    veil : Veil or None
        Of thin high clouds, taken from the image; None where there is none.
    """

    scene: Scene
    entered: Composite | None
    parameters: Parameters
    spread: Spread
    image: Image
    toa: dict[str, NDArray[np.float32]]
    seen: Observation
    veil: Veil | None = None

    @property
    def mode(self) -> Mode:
        """How the date begins: without a past, from later dates, or from the date before."""
        return "init" if self.entered is None else "backward" if self.entered.backward else "nominal"
