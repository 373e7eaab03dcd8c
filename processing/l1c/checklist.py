"""What is looked at before a processing baseline is admitted: whether its packages are read as those before it.

Each point is one thing that changed with a baseline before, or that would make wrong reflectances if it did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from processing.bands import BANDS
from processing.errors import L1CError
from processing.known import Baseline, Known, Satellite
from processing.l1c import opening
from processing.l1c.granule import Granule
from processing.scene import NO_DATA_COUNTS

#: The darkest percentile of B10, which sees little but its own noise under the water vapour: an offset that is not
#: taken off, or taken off twice, is 0.1. [-]
DARK = (-0.02, 0.08)
#: Spacing of the pixels that are looked at. [pixels]
SPACING = 4
#: Counts of a reflectance of 1, in all baselines so far.
SCALE = 10_000
#: The nodes of the angle grids lie so far apart. [m]
ANGLE_STEP = 5000


class Point(NamedTuple):
    """One point of the list: what was looked at, whether it is as it should be, and what was found."""

    what: str
    well: bool
    found: str


@dataclass(frozen=True)
class Checked:
    """What was found of a package: its format, and the points."""

    baseline: str
    form: Baseline | None
    points: Sequence[Point]

    @property
    def well(self) -> bool:
        """Whether all is as it should be."""
        return self.form is not None and all(point.well for point in self.points)


def check(path: Path, known: Known) -> Checked:
    """Look at a package of a baseline that is not known, its satellite taken as known.

    Raises
    ------
    L1CError
        If it can't be opened at all, or its metadata don't say what it is.
    """
    said = opening.said(path)
    masks = said.masks
    points = [
        Point("offset of the counts", said.offset or masks == "gml", "one of each band" if said.offset else "none"),
        Point("encoding of the masks", masks is not None, {"image": "images", "gml": "polygons"}.get(masks or "", "?")),
    ]
    if masks is None:
        return Checked(said.baseline, None, points)
    form = Baseline(said.baseline, said.offset, masks)
    satellites = {said.platform: Satellite(said.platform, "", said.platform), **known.satellites}
    trial = replace(known, satellites=satellites, baselines={**known.baselines, said.baseline: form})
    try:
        held = opening.contents(path, trial)
        for granule in held.granules:
            points += _points(granule)
    except L1CError as error:
        points.append(Point("reading it", False, error.fault))
    else:
        points += [Point("granules", False, error.fault) for error in held.unusable]
    return Checked(said.baseline, form, points)


def _points(granule: Granule) -> list[Point]:
    """Sizes, angles, detectors and counts of one tile."""
    sizes = {r: granule.grid.shape(r) for r in sorted({b.resolution for b in BANDS.values()})}
    offsets = _numbers(set(granule.offset.values()))
    told = ", ".join(f"{rows} x {cols} of {r} m" for r, (rows, cols) in sizes.items())
    found = [
        Point("sizes", True, told + (", a part of what the metadata say" if granule.cropped else "")),
        Point("scale", granule.quantification == SCALE, f"{granule.quantification:g}, offset {offsets}"),
    ]
    angles = granule.angles()
    nodes = " x ".join(str(n) for n in angles.sun_zenith.shape)
    seen = sorted({d for of in angles.view_zenith.values() for d in of})
    detectors = f"detectors {_numbers(set(seen))}"
    found.append(Point("angle grids", angles.step == ANGLE_STEP, f"{nodes} every {angles.step:g} m, {detectors}"))
    found += [_footprints(granule, set(seen)), _dark(granule)]
    return found


def _footprints(granule: Granule, known: set[int]) -> Point:
    """Whether the masks name the detectors of which there are angles."""
    seen = {int(d) for d in np.unique(granule.footprint("B1")) if d}
    return Point("detector footprints", bool(seen) and seen <= known, f"detectors {_numbers(seen)} in B1")


def _dark(granule: Granule) -> Point:
    """Whether the darkest pixels of B10 are dark."""
    whole = slice(0, max(granule.grid.shape(60)))
    toa = granule.reflectance("B10", SPACING, whole, whole)
    if not np.isfinite(toa).any():
        return Point("counts", False, f"B10 has nothing but {NO_DATA_COUNTS}")
    darkest = float(np.nanpercentile(toa, 1))
    return Point("counts", DARK[0] <= darkest <= DARK[1], f"the darkest reflectance of B10 is {darkest:.4f}")


def _numbers(values: set[int] | set[float]) -> str:
    return ", ".join(f"{value:g}" for value in sorted(values)) or "none"
