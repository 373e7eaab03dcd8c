"""Random fields and means that the worlds are drawn with."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft

Field = NDArray[np.float32]


def fractal(random: np.random.Generator, n: int, longest: float, shortest: float = 2.0, slope: float = 2.6) -> Field:
    """A field of (n, n) px with mean 0 and deviation 1: power falls as k^-slope between two wavelengths [px]."""
    ky, kx = fft.fftfreq(n)[:, None], fft.rfftfreq(n)[None, :]
    k = np.hypot(ky, kx)
    k[0, 0] = 1
    longest = min(longest, n)
    shortest = min(shortest, longest / 2.5)  # a small field has few waves
    power = np.where((k >= 0.999 / longest) & (k <= 1 / shortest), k ** (-slope / 2), 0)
    noise = random.standard_normal(k.shape) + 1j * random.standard_normal(k.shape)
    out = fft.irfft2(noise * power, (n, n))
    return np.asarray((out - out.mean()) / out.std(), np.float32)


def smoothstep(x: Field, low: float, high: float) -> Field:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def coarser(x: NDArray, f: int) -> Field:
    """Means of f by f px."""
    rows, cols = x.shape
    return np.asarray(x.reshape(rows // f, f, cols // f, f).mean((1, 3)), np.float32)


def finer(x: NDArray, n: int) -> Field:
    """A smooth field on n by n px."""
    return np.asarray(cv2.resize(np.asarray(x, np.float32), (n, n), interpolation=cv2.INTER_LINEAR))


def blurred(x: NDArray, sigma: float) -> Field:
    """Gaussian mean, the field mirrored beyond its edges; of wide ones on a coarser grid [px]."""
    f = 1
    while sigma / f > 8 and x.shape[0] % (2 * f) == 0:
        f *= 2
    small = coarser(x, f) if f > 1 else np.asarray(x, np.float32)
    small = cv2.GaussianBlur(small, (0, 0), max(sigma / f, 0.01), borderType=cv2.BORDER_REFLECT)
    return finer(small, x.shape[0]) if f > 1 else np.asarray(small)


def along(x: Field, east: Field, south: Field) -> Field:
    """The field at places moved by so many px, repeated beyond its edges."""
    n = x.shape[0]
    at = np.arange(n, dtype=np.float32)
    columns, rows = at[None, :] + east, at[:, None] + south
    return np.asarray(cv2.remap(x, columns.astype(np.float32), rows.astype(np.float32), cv2.INTER_LINEAR,
                                borderMode=cv2.BORDER_WRAP))  # fmt: skip
