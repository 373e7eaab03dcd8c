"""The clouds of a scene and their shadows, each kind apart, and their buffers."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from processing import masks
from processing.chain.dilation import dilate, finer, times
from processing.chain.recorder import SILENT, Answer, Recorder
from processing.chain.steps import step
from processing.versions import Parameters

Mask = NDArray[np.bool_]
_SHADOWS = frozenset({"shadow", "shadow_outside"})
#: Masks that the blue does not draw.
_WHOLE = _SHADOWS | {"high"}


def _any(masks: list[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    return np.asarray(np.logical_or.reduce(masks), np.bool_)


class Bright(NamedTuple):
    """How much brighter the cells of the masks are than their ground, which tells where a cloud ends within a cell.

    Attributes
    ----------
    rise, gain : (row, col) float32
        Of coarse cells: how much they rose, and what a count of `detail` adds to it in the cells of the masks. [-]
    detail : (row, col) int8
        In cells of the version's `mask_resolution`, see `subsampling.Image`.
    least : (row, col) float32
        Of coarse cells: what is shown as cloud rose by no less; infinite where no cloud is near. [-]
    enough : (row, col) bool
        Whether it did, in cells of the version's `mask_resolution`.
    """

    rise: NDArray[np.float32]
    gain: NDArray[np.float32]
    detail: NDArray[np.int8]
    least: NDArray[np.float32]
    enough: NDArray[np.bool_]

    def at(self, row: int, col: int) -> tuple[float, float]:
        """How much a cell of the masks rose, and by how much it should have to be cloud. [-]"""
        side = times(self.enough, self.rise)
        cell = row // side, col // side
        rise = float(self.rise[cell]) + float(self.gain[cell]) * float(self.detail[row, col])
        return rise, float(self.least[cell])


class Shown(NamedTuple):
    """Masks as the product shows them, all in one plane: in cells of 20 m each would take a whole band's memory.

    Attributes
    ----------
    code : (row, col) uint8
        As of `Clouds.bits`.
    absent : set of str
        As of `Clouds.absent`.
    """

    code: NDArray[np.uint8]
    absent: set[str]

    def all(self) -> NDArray[np.bool_]:
        """Any cloud, high and thinnest ones included."""
        return self._with(masks.Cloud.CLOUD)

    def shadows(self) -> NDArray[np.bool_]:
        """Any shadow."""
        return self._with(masks.Cloud.SHADOW | masks.Cloud.SHADOW_OUTSIDE)

    def high(self) -> NDArray[np.bool_]:
        """High clouds."""
        return self._with(masks.Cloud.HIGH)

    def _with(self, bits: masks.Cloud) -> NDArray[np.bool_]:
        return np.asarray(self.code & np.uint8(bits) != 0)


@dataclass(frozen=True)
class Clouds:
    """Cloud and shadow masks on the coarse grid; None where the step is not in the order of this mode.

    Attributes
    ----------
    mono_temporal, multi_temporal, thinnest, high, shadow, shadow_outside : (row, col) bool or None
        Named as the bits of `masks.Cloud`.
    """

    mono_temporal: NDArray[np.bool_]
    high: NDArray[np.bool_]
    multi_temporal: NDArray[np.bool_] | None = None
    thinnest: NDArray[np.bool_] | None = None
    shadow: NDArray[np.bool_] | None = None
    shadow_outside: NDArray[np.bool_] | None = None

    def all(self) -> NDArray[np.bool_]:
        """Any cloud, high and thinnest ones included."""
        return _any([mask for name, mask in self._found().items() if name not in _SHADOWS])

    def shadows(self) -> NDArray[np.bool_]:
        """Any shadow, nowhere where none was sought."""
        nowhere = np.zeros(self.mono_temporal.shape, np.bool_)
        return _any([nowhere, *(mask for name, mask in self._found().items() if name in _SHADOWS)])

    def _found(self) -> dict[str, NDArray[np.bool_]]:
        return {f.name: mask for f in fields(self) if (mask := getattr(self, f.name)) is not None}

    @step
    def dilated(self, parameters: Parameters, recorder: Recorder = SILENT) -> Clouds:
        """With the version's buffer around each mask."""
        radius, resolution = parameters.cloud_dilation, parameters.coarse_resolution

        def at(row: int, col: int) -> list[Answer]:
            answers = []
            for name, mask in self._found().items():
                cells = np.argwhere(mask)
                away = float(resolution * np.hypot(*(cells - (row, col)).T).min()) if len(cells) else None
                held = away is not None and away <= radius * (1 + 1e-6)
                note = "" if len(cells) else "none in the image"
                answers.append(Answer("buffer", name, away, "<=", radius, held, unit="m", note=note))
            return answers

        recorder.ask(at)
        return Clouds(**{name: dilate(mask, radius, resolution) for name, mask in self._found().items()})

    @step
    def drawn(
        self,
        parameters: Parameters,
        bright: Bright | None = None,
        dark: Bright | None = None,
        below: Mask | None = None,
    ) -> Clouds:
        """Of clouds as found: the masks of a product, with its own buffers, in cells of the version's own size.

        Parameters
        ----------
        bright : Bright, optional
            Of low clouds and their buffers only what it says to be cloud is shown.
        dark : Bright, optional
            The same of shadows.
        below : (row, col) bool, optional
            Where a shadow may lie beside those found, if it is dark.
        """
        if parameters.mask_buffers is None:
            return self.dilated(parameters)
        times = parameters.coarse_resolution // parameters.mask_resolution
        drawn, low = {}, self.low()
        for name, mask in self._found().items():
            if name == "shadow" and below is not None:
                mask = mask | below
            by = dark if name in _SHADOWS else bright
            width = parameters.mask_buffers[name in _SHADOWS]
            grown = dilate(finer(mask, times), width, parameters.mask_resolution)
            if by is not None and (name not in _WHOLE or by is dark or parameters.mask_red_share):
                grown = dilate(grown & by.enough, parameters.mask_rim[name in _SHADOWS], parameters.mask_resolution)
            if name == "high" and by is not None and parameters.mask_red_share:  # a veil is no brighter in any band
                half = parameters.coarse_resolution / 2
                grown |= dilate(finer(mask & ~low, times), half, parameters.mask_resolution)
            drawn[name] = grown
        return Clouds(**drawn)

    def inside(self) -> Clouds:
        """What is certainly whole of it: cells all of whose neighbours are found too, where no pixel tells its end."""
        eight = np.ones((3, 3), np.uint8)
        return Clouds(
            **{name: cv2.erode(mask.view(np.uint8), eight).view(np.bool_) for name, mask in self._found().items()}
        )

    def low(self) -> NDArray[np.bool_]:
        """Any cloud but the high ones."""
        return _any([mask for name, mask in self._found().items() if name not in _WHOLE])

    def away(self, row: int, col: int, parameters: Parameters) -> dict[str, float | None]:
        """Of clouds as found: how far each of the masks is from a cell of the grid of `drawn`, None without any. [m]"""
        times = parameters.coarse_resolution // parameters.mask_resolution

        def nearest(mask: NDArray[np.bool_]) -> float | None:
            first = np.argwhere(mask) * times
            if not len(first):
                return None
            beyond = np.maximum(0, np.maximum(first - (row, col), (row, col) - (first + times - 1)))
            return float(parameters.mask_resolution * np.hypot(*beyond.T).min())

        return {name: nearest(mask) for name, mask in self._found().items()}

    def bits(self) -> NDArray[np.uint8]:
        """(row, col) uint8 with the bits of `masks.Cloud`.

        As in MAJA's code, and other than its users' page says, CLOUD and ANY include the thinnest and the high
        clouds: who wants the others alone combines MONO_TEMPORAL and MULTI_TEMPORAL.
        """
        code = np.zeros(self.mono_temporal.shape, np.uint8)
        code[self.shadows()] = masks.Cloud.ANY
        code[self.all()] = masks.Cloud.ANY | masks.Cloud.CLOUD
        for name, mask in self._found().items():
            code[mask] |= np.uint8(masks.Cloud[name.upper()])
        return code

    def shown(self) -> Shown:
        """The same in one plane."""
        return Shown(self.bits(), self.absent())

    def absent(self) -> set[str]:
        """Names of the masks whose step was not run, as `L2A.absent` wants them."""
        names = {f"CLM.{f.name.upper()}" for f in fields(self) if getattr(self, f.name) is None}
        return names | {"MG2.CLOUD_SHADOW"} if self.shadow is None else names
