"""What looks like the ground of an earlier date is no cloud: clouds hide or shift the texture below them."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from processing.chain.recorder import SILENT, Answer, Recorder
from processing.chain.steps import step
from processing.kernels import kernel
from processing.scene import EPOCH, Composite
from processing.versions import Parameters


@kernel()
def _coefficient(
    a: NDArray[np.floating], b: NDArray[np.floating], row: int, col: int, radius: int, least: int
) -> float:
    """Pearson correlation of the pixels of a window that both images have, NaN with fewer than `least`."""
    top, bottom = max(row - radius, 0), min(row + radius + 1, a.shape[0])
    left, right = max(col - radius, 0), min(col + radius + 1, a.shape[1])
    n, mean_a, mean_b = 0, 0.0, 0.0
    for i in range(top, bottom):
        for j in range(left, right):
            if not np.isnan(a[i, j]) and not np.isnan(b[i, j]):
                n += 1
                mean_a += a[i, j]
                mean_b += b[i, j]
    if n < least:
        return np.nan
    mean_a /= n
    mean_b /= n
    aa, bb, ab = 0.0, 0.0, 0.0
    for i in range(top, bottom):
        for j in range(left, right):
            if not np.isnan(a[i, j]) and not np.isnan(b[i, j]):
                da, db = a[i, j] - mean_a, b[i, j] - mean_b
                aa += da * da
                bb += db * db
                ab += da * db
    return float(ab / np.sqrt(aa * bb))


@kernel()
def _alike(
    image: NDArray[np.float32],
    past: NDArray[np.float32],
    tested: NDArray[np.bool_],
    radius: int,
    least: int,
    limit: float,
    out: NDArray[np.bool_],
) -> None:
    for row in range(image.shape[0]):
        for col in range(image.shape[1]):
            if tested[row, col]:
                for k in range(past.shape[0]):
                    if _coefficient(image, past[k], row, col, radius, least) > limit:
                        out[row, col] = True
                        break


@step
def alike(
    image: NDArray[np.float32],
    composite: Composite,
    tested: NDArray[np.bool_],
    parameters: Parameters,
    recorder: Recorder = SILENT,
    step: str = "correlation",
) -> NDArray[np.bool_]:
    """Cells whose surroundings correlate with those of the composite or of one of the last dates.

    Parameters
    ----------
    image : (row, col) float32
        Rayleigh-corrected B2, NaN where unobserved. [-]
    composite : Composite
        Its Rayleigh-corrected B2 and its stack of the last dates.
    tested : (row, col) bool
        Only these cells are looked at.
    step : str
        Name of the test for the recorder.

    Returns
    -------
    (row, col) bool
    """
    past = np.concatenate([composite.rayleigh_corrected["B2"][None], composite.stack]).astype(np.float32)
    image = image.astype(np.float32, copy=False)
    window = parameters.correlation_radius, parameters.correlation_min_pixels
    out = np.zeros(image.shape, np.bool_)
    _alike(image, past, tested, *window, parameters.correlation_threshold, out)

    def at(row: int, col: int) -> list[Answer]:
        found = np.array([_coefficient(image, one, row, col, *window) for one in past])
        text, limit = "best correlation of B2 with the past", parameters.correlation_threshold
        looked_at = bool(tested[row, col])
        if np.isnan(found).all():
            return [Answer(step, text, None, ">", limit, False, looked_at, note="too few cells around")]
        best = int(np.nanargmax(found))
        day = EPOCH + timedelta(composite.stack_days[best - 1]) if best else None
        with_ = f"with the image of {day:%Y-%m-%d}" if day else "with the composite"
        return [Answer(step, text, float(found[best]), ">", limit, bool(out[row, col]), looked_at, note=with_)]

    recorder.ask(at)
    return out
