"""Two versions of the same images: what a release changes, in masks, aerosol and reflectance."""

from __future__ import annotations

from typing import Any

import numpy as np

from processing.bands import DISTRIBUTED, R1
from processing.errors import ProductError
from processing.product import Product
from processing.validation import aot, reflectance
from processing.validation.confusion import confusion
from processing.validation.masks import Frame, of_product


def compare(new: Product, old: Product) -> dict[str, dict[str, Any]]:
    """What `new` says of an image against what `old` says.

    Returns
    -------
    dict of subject to dict
        ``cloud``, ``shadow``, ``valid``: the confusion with `old` in the place of the reference, shares masked [-].
        ``aot``, ``water_vapour``: `aot.figures`, on pixels that both leave clear. Each band: ``pixels``,
        ``difference`` (mean) [-], ``relative`` (of the means) [-], ``rms`` [-].

    Raises
    ------
    ProductError
        If they are not of one image and grid, or can't be read.
    """
    if (new.tile, new.platform, new.grid) != (old.tile, old.platform, old.grid):
        raise ProductError(new.path, f"is not of the tile, satellite and grid of {old.identifier}")
    frame = Frame(new.grid, 20)
    ours, theirs = of_product(new, frame), of_product(old, frame)
    found: dict[str, dict[str, Any]] = {}
    observed = ours.observed & theirs.observed
    layers = {"cloud": (ours.cloud, theirs.cloud)}
    if ours.shadow is not None and theirs.shadow is not None:
        layers["shadow"] = ours.shadow, theirs.shadow
        layers["valid"] = ours.cloud | ours.shadow, theirs.cloud | theirs.shadow
    for subject, both in layers.items():
        counts = confusion(*both, observed)
        found[subject] = counts.metrics() | {
            "share_new": (counts.hits + counts.false_alarms) / counts.pixels if counts.pixels else None,
            "share_old": (counts.hits + counts.misses) / counts.pixels if counts.pixels else None,
        }
    for subject in aot.SUBJECTS:
        found[subject] = aot.figures(
            *(aot.usable(p, subject, interpolated=True) for p in (new, old)),
        )
    fit = {group: reflectance.clear(new, group) & reflectance.clear(old, group) for group in ("R1", "R2")}
    for band in (b for b in DISTRIBUTED if f"SRE_{b}" in new.files and f"SRE_{b}" in old.files):
        where = fit["R1" if band in R1 else "R2"]
        a, b = (reflectance.reflectance(p, band, where) for p in (new, old))
        known = np.isfinite(a) & np.isfinite(b)
        a, b = a[known].astype(float), b[known].astype(float)
        found[band] = {
            "pixels": int(a.size),
            "difference": float((a - b).mean()) if a.size else None,
            "relative": float(a.mean() / b.mean() - 1) if a.size and b.mean() else None,
            "rms": float(np.sqrt(np.mean((a - b) ** 2))) if a.size else None,
        }
    return found
