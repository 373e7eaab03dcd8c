"""The stage of the atmosphere: what the air of a date holds, and what it does to each band."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processing.atmosphere import Coefficients
from processing.bands import DISTRIBUTED
from processing.chain import aerosol_optical_thickness, outcome, rayleigh, scattering, water_vapour
from processing.chain.aerosol_optical_thickness import Aerosol
from processing.chain.classify import Ground, Masks
from processing.chain.dilation import dilate
from processing.chain.observation import Date

#: Bands whose atmosphere is looked up: those distributed and those of the composite.
CORRECTED = ("B1", *DISTRIBUTED)


@dataclass(frozen=True)
class Air:
    """The atmosphere of a date on the coarse grid.

    Attributes
    ----------
    water_vapour : (row, col) float32
        Without gaps. [g cm-2]
    water_vapour_filled : (row, col) bool
        Where it was filled in from around.
    aerosol : Aerosol
    coefficients : dict of band to Coefficients
        Of `CORRECTED`; of a thinned scene those of the composite alone.
    """

    water_vapour: NDArray[np.float32]
    water_vapour_filled: NDArray[np.bool_]
    aerosol: Aerosol
    coefficients: dict[str, Coefficients]


def estimate(date: Date, masks: Masks, ground: Ground) -> Air:
    """Find water vapour and aerosol where the ground is seen, and fill them in elsewhere.

    Raises
    ------
    NotValid
        If there is more aerosol than the tables know.
    """
    seen, scene, parameters = date.seen, date.scene, date.parameters
    cloudy, water = masks.clouds.all(), ground.water.mask
    column, filled = water_vapour.fill(seen.water_vapour, cloudy | water, parameters)
    other = date.image.any_saturated(rayleigh.BANDS) | seen.relief.shadow
    usable = masks.clear & ~other & ~dilate(masks.snow | water, parameters.aot_dilation)
    covered = outcome.cloud_percent(seen, masks) + outcome.snow_percent(seen, masks)
    try:
        aerosol = aerosol_optical_thickness.estimate(date, column, usable, cloudy, covered)
    except aerosol_optical_thickness.BeyondTables as error:
        raise outcome.NotValid(outcome.of(date, masks, ground), str(error)) from error
    if parameters.vapour_surface is not None:
        read = water_vapour.below_aerosol(
            date.image, scene, seen.angles, seen.reflectance["B11"], aerosol.aot, column, parameters
        )
        column, filled = water_vapour.fill(read, cloudy | water, parameters)
    bands = rayleigh.BANDS if scene.spacing else CORRECTED
    return Air(
        column,
        filled,
        aerosol,
        scattering.coefficients(bands, scene, seen.angles, aerosol.aot, column, parameters, date.spread),
    )
