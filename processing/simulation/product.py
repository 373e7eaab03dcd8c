"""One date written as a Level-1C product, and its truth beside it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from processing.bands import BANDS
from processing.simulation import truth
from processing.simulation.date import Date
from processing.simulation.noise import block_mean
from processing.simulation.safe import Safe

#: Bands made at once.
THREADS = 2


def write(date: Date, out: Path, *, zipped: bool, with_truth: bool) -> Path:
    """Write a product into `out`, and its truth into ``out/truth/NAME/``.

    Returns
    -------
    Path
        The product.
    """
    clouds = truth.clouds(date)
    classes = clouds[0]
    p = date.acquisition
    product = Safe(
        platform=p.platform,
        tile=date.place.tile,
        orbit=p.orbit,
        relative_orbit=p.relative_orbit,
        sensing=p.sensing,
        grid=date.place.grid,
        angles=date.angles,
        cloud_percent=100 * float((classes > 0).mean()),
    )
    if with_truth:
        truth.write(date, out / "truth" / product.name.removesuffix(".SAFE"), clouds)
    with ThreadPoolExecutor(THREADS) as threads:  # numpy and the encoder let go of the interpreter
        list(threads.map(lambda band: product.add_image(band, date.counts(band)), BANDS))
    detectors = {r: date.whole(r, np.uint8, partial(date.detectors, resolution=r)) for r in (10, 20, 60)}
    coarse = [block_mean((classes == k).astype(np.float32), 6) > 0.5 for k in (2, 3)]
    snow = np.zeros_like(coarse[0])  # as the Level-1C of this baseline where nobody looked for it
    product.add_masks(detectors, np.stack([*coarse, snow]).astype(np.uint8))
    return product.write(out, zipped=zipped)
