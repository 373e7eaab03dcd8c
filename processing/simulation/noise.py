"""Random fields that look like nature: periodic, of mean 0 and standard deviation 1."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

Field = NDArray[np.float32]


def fractal(
    n: int, rng: np.random.Generator, slope: float, longest: float | None = None, shortest: float = 2.0
) -> Field:
    """A field whose amplitude falls as a power of the frequency.

    Parameters
    ----------
    n : int
        Rows and columns; the field repeats after them.
    rng : numpy.random.Generator
    slope : float
        Amplitude goes as frequency ** -slope: 0 white, 1 rough, 2 smooth. [-]
    longest, shortest : float
        Wavelengths kept. [px]

    Returns
    -------
    (n, n) float32
    """
    spectrum = scipy.fft.rfft2(rng.standard_normal((n, n), dtype=np.float32))
    f = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n)[None, :]).astype(np.float32)
    f[0, 0] = 1
    amplitude = f ** np.float32(-slope)
    if longest is not None:
        amplitude *= smoothstep(f, 0.7 / longest, 1.4 / longest)
    amplitude *= 1 - smoothstep(f, 0.8 / shortest, 1.2 / shortest) if shortest > 2 else 1
    amplitude[0, 0] = 0
    out = scipy.fft.irfft2(spectrum * amplitude, s=(n, n))
    return np.asarray(out / out.std(), np.float32)


def smoothstep(
    x: NDArray[np.floating], low: float | NDArray[np.floating], high: float | NDArray[np.floating]
) -> NDArray[np.floating]:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((x - low) * (1 / (high - low)), 0, 1)
    return t * t * (3 - 2 * t)


def block_mean(a: NDArray[np.floating], f: int) -> Field:
    """Means over blocks of f x f along the last two axes."""
    a = np.asarray(a, np.float32)
    if f == 1:
        return a
    *lead, rows, cols = a.shape
    return np.asarray(a.reshape(*lead, rows // f, f, cols).mean(-2).reshape(*lead, rows // f, cols // f, f).mean(-1))
