"""Other people's detectors on the dates, each with the buffer that suits it best."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.elsewhere import safe, score
from benchmarks.elsewhere.series import STEP, Date
from processing.chain.dilation import dilate
from processing.simulation.safe import IRRADIANCE
from processing.validation import comparators
from processing.validation.masks import Frame, Mask

#: Growths that are tried for every detector. [m]
BUFFERS = (0, 60, 120, 180, 240)


def found(dates: Sequence[Date]) -> Iterator[tuple[str, int, score.Sums]]:
    """Sums of each date for each detector and buffer, as ``name+buffer``."""
    before: NDArray[np.bool_] | None = None
    for date in dates:
        scene = date.scene
        frame = Frame(scene.grid, STEP)
        masks = [comparators.s2cloudless_of(scene, frame), comparators.ukis_csmask_of(scene, frame)]
        masks += _fmask(date, frame)
        for mask in masks:
            for buffer in BUFFERS:
                one = score.Found(grown(mask.cloud, buffer), mask.shadow, observed=mask.observed)
                yield f"{mask.method}+{buffer}", date.number, score.judge(date, one, before)
        before = date.truth.thick


def _fmask(date: Date, frame: Frame) -> list[Mask]:
    """Fmask's, where it is installed and the date can be written as a package."""
    if date.scene.platform not in IRRADIANCE or not any(map(shutil.which, comparators.FMASK_COMMANDS)):
        return []
    with tempfile.TemporaryDirectory(prefix="elsewhere-") as folder:
        return [comparators.python_fmask_of(safe.write(date, Path(folder)), frame)]


def grown(mask: NDArray[np.bool_], buffer: float) -> NDArray[np.bool_]:
    return np.asarray(dilate(mask, buffer, STEP) if buffer else mask)


def best(sums: Mapping[tuple[str, str, int, int], score.Sums]) -> dict[tuple[str, str, int, int], score.Sums]:
    """Keep of each detector, world by world, the buffer with the best cloud F1 (without the ring, and direct)."""
    kept = {key: part for key, part in sums.items() if "+" not in key[0]}
    for world in dict.fromkeys(key[1] for key in sums):
        names = dict.fromkeys(key[0] for key in sums if key[1] == world and "+" in key[0])
        for method in dict.fromkeys(n.split("+")[0] for n in names):
            scores = {}
            for name in (n for n in names if n.startswith(f"{method}+")):
                figures = score.figures(score.add(p for k, p in sums.items() if k[:2] == (name, world)))
                scores[name] = figures.get("cloudy_ring_f1", 0.0) + figures.get("cloudy_direct_f1", 0.0)
            if scores:
                chosen = max(scores, key=lambda n: scores[n])
                kept |= {(method, *k[1:]): p for k, p in sums.items() if k[:2] == (chosen, world)}
    return kept


__all__ = ["BUFFERS", "best", "found"]
