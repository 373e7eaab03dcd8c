"""What is kept of a date, and its masks found again from that, with every test that led to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processing.chain import classify, codes
from processing.chain.air import Air
from processing.chain.classify import Masks
from processing.chain.clouds import Bright, Clouds
from processing.chain.dilation import dilate, finer, times
from processing.chain.geometry import REFERENCE_BAND, TERRAIN_BAND
from processing.chain.observation import Date
from processing.chain.observe import observe_again
from processing.chain.recorder import Recording
from processing.scene import Composite, Evidence
from processing.versions import Parameters

#: Masks are drawn by what lies so near them. [coarse px]
REACH = 3


@dataclass(frozen=True)
class Explanation:
    """Every test of a date, and what came of it on the coarse grid.

    Attributes
    ----------
    tests : Recording
    clouds : Clouds
        As found, without buffers.
    bright : Bright or None
        By how much the cells of the masks brightened, and what is shown as cloud, in versions that look at it.
    dark : Bright or None
        The same of shadows.
    cloud, geophysical, interpolated : (row, col) uint8
        Bits of CLM, MG2 and IAB, without those of MG2 that are made at full resolution; the first two maybe in cells
        of a fraction of the coarse ones.
    """

    tests: Recording
    clouds: Clouds
    bright: Bright | None
    dark: Bright | None
    cloud: NDArray[np.uint8]
    geophysical: NDArray[np.uint8]
    interpolated: NDArray[np.uint8]


def keep(date: Date, masks: Masks, air: Air) -> Evidence:
    """What it takes to find the masks of this date again: of details those near what is masked."""
    seen, angles, shown = date.seen, date.seen.angles, (REFERENCE_BAND, TERRAIN_BAND)
    return Evidence(
        reflectance=dict(seen.reflectance),
        high=seen.high,
        water_vapour_read=seen.water_vapour,
        saturated={band: seen.saturated[band] for band in seen.reflectance},
        observed=seen.observed,
        tested=seen.tested,
        sun_zenith=angles.sun_zenith,
        sun_azimuth=angles.sun_azimuth,
        view_zenith={band: angles.view_zenith[band] for band in shown},
        view_azimuth={band: angles.view_azimuth[band] for band in shown},
        altitude=seen.altitude,
        terrain=seen.terrain,
        water_vapour=air.water_vapour,
        water_vapour_filled=air.water_vapour_filled,
        aot=air.aerosol.aot,
        aot_filled=air.aerosol.interpolated,
        aot_spectral=air.aerosol.spectral,
        aot_temporal=air.aerosol.temporal,
        backward=date.entered if date.mode == "backward" else None,
        detail={name: _near(detail, masks) for name, detail in seen.detail.items()},
        spots=dict(seen.spots),
        veil=None if date.veil is None else date.veil.mask,
    )


def _near(detail: NDArray[np.int8], masks: Masks) -> NDArray[np.int8]:
    """A detail without what no mask is drawn by, which then takes no room; in place: it has drawn what it was for."""
    drawn = dilate(masks.found.all() | masks.found.shadows(), REACH) | masks.snow
    return np.multiply(detail, finer(drawn, times(detail, drawn)).view(np.int8), out=detail)


def retest(kept: Evidence, day: int, composite: Composite | None, parameters: Parameters) -> Explanation:
    """Make the mask tests of a date again: the same steps on the same numbers.

    Parameters
    ----------
    day : int
        Of the date, since 2000-01-01.
    composite : Composite or None
        What entered the date; None in init mode.
    """
    tests = Recording()
    seen = observe_again(kept, day, composite, parameters, tests)
    masks = classify.clouds(seen, parameters, tests)
    ground = classify.ground(seen, masks, parameters, tests)
    tests.value("water_vapour", "column used", kept.water_vapour, "g cm-2")
    tests.value("water_vapour", "filled in from around", kept.water_vapour_filled)
    tests.value("aot", "read here by the colour of vegetation", kept.aot_spectral)
    tests.value("aot", "read here against the past", kept.aot_temporal)
    tests.value("aot", "AOT at 550 nm used", kept.aot)
    tests.value("aot", "filled in from around", kept.aot_filled)
    if kept.veil is not None:
        tests.value("veil", "light of a thin high cloud taken away", kept.veil)
    gaps = codes.of_gaps(kept.water_vapour_filled, kept.aot_filled, kept.veil)
    return Explanation(tests, masks.found, masks.bright, masks.dark, *codes.of_masks(seen, masks, ground), gaps)
