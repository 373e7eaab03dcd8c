"""The scene on the coarse grid: one look at the counts of every band.

All masks and the aerosol are found on this grid. Cells that stand out of the image are means of the part inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.bands import BANDS, GROUP_RESOLUTION
from processing.chain.steps import step
from processing.errors import AncillaryError
from processing.kernels import kernel
from processing.scene import NO_DATA_COUNTS, SATURATED_COUNTS, Grid, Scene, strip, strips
from processing.versions import Parameters

#: Of a count of `Image.detail`. [-]
DETAIL = 0.004
#: Names of what clouds, clouds over snow, and shadows are drawn by.
CLOUDS, SNOW, SHADOWS = "clouds", "snow", "shadows"
_NO_DATA = np.uint16(NO_DATA_COUNTS)
_SATURATED = np.uint16(SATURATED_COUNTS)
#: Number of bits in a byte of each value.
_ONES = np.array([value.bit_count() for value in range(256)], np.uint8)
#: Resolution whose pixels all images fill [m], and rows of it that are looked at together.
_COARSEST, _LOOK = 60, 180


class Bits:
    """A boolean raster kept at one bit a pixel, so that a whole tile's fit in memory."""

    def __init__(self, shape: tuple[int, int]) -> None:
        """False everywhere."""
        self.shape = shape
        self._packed = np.zeros((shape[0], -(-shape[1] // 8)), np.uint8)

    def add(self, first_row: int, raster: NDArray[np.bool_]) -> None:
        """Set the pixels that hold in `raster` (row, col), which begins at `first_row`."""
        self._packed[first_row : first_row + len(raster)] |= np.packbits(raster, axis=1)

    @classmethod
    def joined(cls, rasters: Mapping[str, Bits], how: Callable[[Any, Any], Any]) -> dict[int, Bits]:
        """The rasters of bands put together by their resolution."""
        found: dict[int, Bits] = {}
        for band, bits in rasters.items():
            resolution = BANDS[band].resolution
            if resolution not in found:
                found[resolution] = cls(bits.shape)
                found[resolution]._packed = bits._packed.copy()
            else:
                found[resolution]._packed = how(found[resolution]._packed, bits._packed)
        return found

    def count(self) -> int:
        """Number of pixels that hold."""
        return int(_ONES[self._packed].sum(dtype=np.int64))

    def rows(self, rows: slice) -> NDArray[np.bool_]:
        """Some rows as (row, col) bool."""
        return np.unpackbits(self._packed[rows], axis=1, count=self.shape[1]).view(np.bool_)

    def raster(self) -> NDArray[np.bool_]:
        """The whole as (row, col) bool."""
        return self.rows(slice(None))


@dataclass(frozen=True)
class Image:
    """A scene on the coarse grid, and what of the full resolution must be remembered from the one look at it.

    Attributes
    ----------
    toa : dict of band to (row, col) float32
        Mean top-of-atmosphere reflectance of the observed pixels of each cell, NaN without any. Saturated pixels
        are left out where others are there. [-]
    saturated : dict of band to (row, col) bool
        From the version's share of saturated pixels.
    observed : (row, col) bool
        False from the version's share of unobserved pixels, in any band.
    edge : dict of group to Bits
        Pixels of the group's resolution that one of the bands did not observe, of whatever group: what stands in the
        product there would be untested.
    saturation : dict of band to Bits
        Saturated pixels at the band's resolution; bands without any are left out.
    partly : dict of band to float
        Share of the pixels that the band did not see among those that others saw; those that saw all of it are left
        out. [%]
    detail : dict of name to (row, col) int8
        In versions that draw their masks by it, where it is at hand: by how much each cell of `mask_resolution` is
        brighter, in what `drawing_bands` weigh under this name, than the coarse one around it. [`DETAIL`]
    spots : dict of name to (row, col) float32
        Of the clouds' detail the ``peak`` of each coarse cell, and how ``uneven`` it is: the mean of what is above its
        own mean. [-]
    """

    toa: dict[str, NDArray[np.float32]]
    saturated: dict[str, NDArray[np.bool_]]
    observed: NDArray[np.bool_]
    edge: dict[str, Bits]
    saturation: dict[str, Bits]
    partly: dict[str, float] = field(default_factory=dict)
    detail: dict[str, NDArray[np.int8]] = field(default_factory=dict)
    spots: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def nothing(self, resolution: int) -> NDArray[np.bool_]:
        """Cells of the coarse grid without any pixel that all bands saw; none of a thinned scene."""
        if not self.edge:
            return np.zeros_like(self.observed)
        side = resolution // GROUP_RESOLUTION["R2"]
        rows, cols = self.observed.shape
        found = np.zeros((rows, cols), np.bool_)
        for row in range(rows):
            line = self.edge["R2"].rows(slice(row * side, (row + 1) * side)).all(axis=0)
            found[row] = (
                np.pad(line, (0, cols * side - line.size), constant_values=True).reshape(cols, side).all(axis=1)
            )
        return found

    def any_saturated(self, bands: Iterable[str]) -> NDArray[np.bool_]:
        """Cells saturated in one of the bands."""
        return np.asarray(np.logical_or.reduce([self.saturated[band] for band in bands]), np.bool_)


@kernel()
def _block_sums(counts: Any, first_row: int, factor: int, total: Any, unobserved: Any, saturated: Any) -> Any:
    rows, cols = counts.shape
    blocks = total.shape[1]
    all_zeros = all_full = np.uint64(0)
    for row in range(rows):
        line = counts[row]
        i = (first_row + row) // factor
        for j in range(blocks):
            sum_ = np.uint32(0)
            zeros = np.uint32(0)
            full = np.uint32(0)
            for col in range(j * factor, min((j + 1) * factor, cols)):
                value = line[col]
                sum_ += np.uint32(value)
                zeros += np.uint32(value == _NO_DATA)
                full += np.uint32(value == _SATURATED)
            total[i, j] += sum_
            unobserved[i, j] += zeros
            saturated[i, j] += full
            all_zeros += np.uint64(zeros)
            all_full += np.uint64(full)
    return all_zeros > 0, all_full > 0


@dataclass(frozen=True)
class Sums:
    """What of a band goes into its coarse cells, summed up strip by strip.

    Attributes
    ----------
    total, unobserved, saturated : (row, col) uint32
        Sum of all counts, and numbers of unobserved and saturated pixels of each block.
    pixels : (row, col) uint32
        All pixels of each block; the last blocks may be smaller.
    """

    factor: int
    total: NDArray[np.uint32]
    unobserved: NDArray[np.uint32]
    saturated: NDArray[np.uint32]
    pixels: NDArray[np.uint32]

    @classmethod
    def of(cls, shape: tuple[int, int], factor: int) -> Sums:
        """Nothing yet of an image (row, col), `factor` <= 256 pixels along a block's side: the sums have 32 bits."""
        blocks = (-(-shape[0] // factor), -(-shape[1] // factor))
        heights = np.diff(np.minimum(np.arange(blocks[0] + 1) * factor, shape[0])).astype(np.uint32)
        widths = np.diff(np.minimum(np.arange(blocks[1] + 1) * factor, shape[1])).astype(np.uint32)
        total, unobserved, saturated = (np.zeros(blocks, np.uint32) for _ in range(3))
        return cls(factor, total, unobserved, saturated, heights[:, None] * widths)

    def add(self, first_row: int, counts: NDArray[np.uint16]) -> tuple[bool, bool]:
        """Add a strip (row, col), which begins at `first_row`; whether some of it is unobserved, or saturated."""
        some = _block_sums(counts, first_row, self.factor, self.total, self.unobserved, self.saturated)
        return bool(some[0]), bool(some[1])


def factor_of(band: str, parameters: Parameters) -> int:
    """Pixels of the band along the side of a coarse cell."""
    factor, rest = divmod(parameters.coarse_resolution, BANDS[band].resolution)
    if rest:
        raise ValueError(f"coarse resolution {parameters.coarse_resolution} m is no multiple of {band}'s pixels")
    return factor


def centres(grid: Grid, resolution: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Easting of each column's and northing of each row's centre. [m]"""
    rows, cols = grid.shape(resolution)
    east = grid.west + (np.arange(cols, dtype=np.float64) + 0.5) * resolution
    north = grid.north - (np.arange(rows, dtype=np.float64) + 0.5) * resolution
    return np.asarray(east, np.float64), np.asarray(north, np.float64)


@step
def reduce(scene: Scene, parameters: Parameters) -> Image:
    """Bring all bands to the coarse grid; each is looked at once, strip by strip, the coarsest bands first.

    Of a thinned scene `edge` and `saturation` are empty, as they are for the full resolution, and it has only the bands
    of the coarse grid.

    Raises
    ------
    AncillaryError
        If the altitude is not on the coarse grid.
    ValueError
        If a band does not fill the scene's grid.
    """
    shape = scene.grid.shape(parameters.coarse_resolution)
    if scene.ancillary.altitude.shape != shape:
        raise AncillaryError(
            scene.identifier, f"altitude has shape {scene.ancillary.altitude.shape}, the coarse grid has {shape}"
        )
    if scene.spacing:
        return _reduce_thinned(scene, parameters)
    toa: dict[str, NDArray[np.float32]] = {}
    saturated_cells: dict[str, NDArray[np.bool_]] = {}
    observed = np.ones(shape, np.bool_)
    unseen: dict[str, Bits] = {}
    saturation: dict[str, Bits] = {}
    drawing = _Drawing(scene, parameters)
    for band in sorted(BANDS, key=lambda b: -BANDS[b].resolution):
        size = scene.grid.shape(BANDS[band].resolution)
        sums, saturated, unobserved = Sums.of(size, factor_of(band, parameters)), Bits(size), Bits(size)
        first_row = 0
        for counts in strips(scene.counts, band, size[0]):
            if counts.shape[1] != size[1] or first_row + len(counts) > size[0]:
                raise ValueError(f"{band} has shape {counts.shape}, the scene's grid has {size}")
            measured = _measured(scene, band, first_row, counts)
            some_unobserved, some_saturated = sums.add(first_row, measured)
            if some_unobserved and (none := counts == _NO_DATA).any():
                unobserved.add(first_row, none)
                unseen[band] = unobserved
            if some_saturated:
                saturated.add(first_row, measured == _SATURATED)
            drawing.add(band, first_row, measured)
            first_row += len(counts)
        if first_row != size[0]:
            raise ValueError(f"{band} has {first_row} rows, the scene's grid has {size[0]}")
        toa[band] = ((_means(sums) + scene.offset[band]) / scene.quantification).astype(np.float32)
        drawing.close(toa)
        saturated_cells[band] = sums.saturated >= parameters.coarse_fraction * sums.pixels
        np.logical_and(observed, sums.unobserved < parameters.coarse_fraction * sums.pixels, out=observed)
        if sums.saturated.any():
            saturation[band] = saturated
    edges = _edges(scene.grid, unseen, saturation)
    return Image(toa, saturated_cells, observed, *edges, drawing.detail, drawing.spots)


def _measured(scene: Scene, band: str, first_row: int, counts: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Counts of a strip as the cells' means take them: what the Level-1C calls saturated or defective is marked."""
    rows = slice(first_row, first_row + len(counts))
    if band in scene.saturated and (saturated := strip(scene.saturated, band, rows)).any():
        counts = np.where(saturated & (counts != _NO_DATA), _SATURATED, counts)
    defective = strip(scene.defective, band, rows)
    return np.where(defective, _NO_DATA, counts) if defective.any() else counts


def _edges(
    grid: Grid, unseen: dict[str, Bits], saturation: dict[str, Bits]
) -> tuple[dict[str, Bits], dict[str, Bits], dict[str, float]]:
    """`Image.edge`, `saturation` as given and `partly`, out of the pixels that each band did not see."""
    edge = {group: Bits(grid.shape(resolution)) for group, resolution in GROUP_RESOLUTION.items()}
    if not unseen:
        return edge, saturation, {}
    resolutions = {band.resolution for band in BANDS.values()}
    some, every = Bits.joined(unseen, np.bitwise_or), Bits.joined(unseen, np.bitwise_and)
    all_bands = len(unseen) == len(BANDS)
    height, by_none = grid.shape(_COARSEST)[0], 0
    for first in range(0, height, _LOOK):
        part = slice(first, min(first + _LOOK, height))
        if all_bands:
            nowhere = [_at(every[resolution], resolution, _COARSEST, part) for resolution in resolutions]
            by_none += int(np.count_nonzero(np.logical_and.reduce(nowhere)))
        for group, wanted in GROUP_RESOLUTION.items():
            top = first * _COARSEST // wanted
            rows, cols = edge[group].shape
            for resolution, bits in some.items():
                edge[group].add(top, _at(bits, resolution, wanted, part)[: rows - top, :cols])
    pixels = height * grid.shape(_COARSEST)[1]
    partly = {}
    for band, bits in unseen.items():
        share = (bits.count() / (bits.shape[0] * bits.shape[1]) - by_none / pixels) * pixels / max(pixels - by_none, 1)
        if not by_none or share > 0:
            partly[band] = 100 * max(share, 0.0)
    same = all_bands and all(np.array_equal(some[r]._packed, every[r]._packed) for r in resolutions)
    if same and all(edge[g].count() == some[r].count() for g, r in GROUP_RESOLUTION.items()):
        partly = {}  # all bands saw the same
    return edge, saturation, partly


def _at(bits: Bits, resolution: int, wanted: int, part: slice) -> NDArray[np.bool_]:
    """Some rows of 60 m of a band's pixels at another resolution [m]: coarser ones hold where all finer ones do."""
    per_row = _COARSEST // resolution
    here = bits.rows(slice(part.start * per_row, part.stop * per_row))
    if wanted <= resolution:
        times = resolution // wanted
        return np.repeat(np.repeat(here, times, axis=0), times, axis=1) if times > 1 else here
    side = wanted // resolution
    room = [(0, -here.shape[axis] % side) for axis in (0, 1)]
    rows, cols = (size + after for size, (_, after) in zip(here.shape, room, strict=True))
    whole = np.pad(here, room, constant_values=True)
    return np.asarray(whole.reshape(rows // side, side, cols // side, side).all(axis=(1, 3)))


def drawing_bands(parameters: Parameters) -> dict[str, dict[str, float]]:
    """Bands by whose own pixels clouds and shadows are drawn, and their weights, of 1 in all; under a band's name each.

    Soils and plants are about twice as bright in the red as in the blue, clouds alike: what B2 has beyond a share of B4
    is the haze-optimised transform (Zhang, Guindon and Cihlar, Remote Sensing of Environment 82, 173-187, 2002). And
    what a plant has more than the soil in the near infrared it has less in B11: a shadow darkens their sum.
    """
    share, blue = parameters.mask_red_share, parameters.cloud_blue_band
    found: dict[str, dict[str, float]] = {}
    if parameters.mask_fine and share:
        found[CLOUDS] = {"B2": 1 / (1 - share), "B4": -share / (1 - share)}
    elif parameters.mask_fine and BANDS[blue].resolution == parameters.mask_resolution:
        found[CLOUDS] = {blue: 1.0}
    if parameters.mask_fine and share and parameters.cloud_amid_snow:
        found[SNOW] = {"B11": 1.0}
    if parameters.shadow_fine:
        found[SHADOWS] = {"B8A": 0.5, "B11": 0.5}
    return found


@kernel()
def _add_weighted(counts: Any, side: int, weight: float, out: NDArray[np.float32]) -> None:
    """Add `weight` times the means of blocks of `side` x `side` pixels; NaN where one was not observed."""
    for row in range(out.shape[0] if side == 1 else 0):
        for col in range(out.shape[1]):
            value = counts[row, col]
            out[row, col] += np.float32(weight) * np.float32(value) if value != _NO_DATA else np.float32(np.nan)
    for row in range(0 if side == 1 else out.shape[0]):
        for col in range(out.shape[1]):
            total, seen, pixels = np.uint32(0), True, 0
            for i in range(row * side, min((row + 1) * side, counts.shape[0])):
                for j in range(col * side, min((col + 1) * side, counts.shape[1])):
                    seen &= counts[i, j] != _NO_DATA
                    total += np.uint32(counts[i, j])
                    pixels += 1
            if pixels:
                out[row, col] += np.float32(weight * total / pixels) if seen else np.float32(np.nan)


@kernel()
def _beyond(
    fine: NDArray[np.float32],
    coarse: NDArray[np.float32],
    scale: float,
    out: NDArray[np.int8],
    peak: NDArray[np.float32],
    uneven: NDArray[np.float32],
) -> None:
    """What the fine cells have more than the coarse ones around them, times `scale`; 0 where not known."""
    side = out.shape[0] // coarse.shape[0]
    share = np.float32(1 / (side * side))
    for row in range(fine.shape[0]):
        for col in range(fine.shape[1]):
            i, j = row // side, col // side
            above = fine[row, col] - coarse[i, j]
            if above == above:  # not NaN
                out[row, col] = np.int8(np.rint(min(max(above * scale, -127.0), 127.0)))
                if above > 0:
                    peak[i, j] = max(peak[i, j], above)
                    uneven[i, j] += above * share


class _Drawing:
    """Sums, in cells of the masks, of the bands that these are drawn by; made to details as soon as they are whole."""

    def __init__(self, scene: Scene, parameters: Parameters) -> None:
        """Nothing yet."""
        self._weights, self._resolution = drawing_bands(parameters), parameters.mask_resolution
        self._side, self._scene = parameters.coarse_resolution // parameters.mask_resolution, scene
        self._sums: dict[str, NDArray[np.float32]] = {}
        self.detail: dict[str, NDArray[np.int8]] = {}
        self.spots: dict[str, NDArray[np.float32]] = {}

    def add(self, band: str, first_row: int, counts: NDArray[np.uint16]) -> None:
        """Add a strip of a band, where it is one of them."""
        side = self._resolution // BANDS[band].resolution
        for name, weights in self._weights.items():
            if band in weights:
                if name not in self._sums:
                    self._sums[name] = np.zeros(self._scene.grid.shape(self._resolution), np.float32)
                part = self._sums[name][first_row // side : -(-(first_row + len(counts)) // side)]
                _add_weighted(counts, side, weights[band], part)

    def close(self, toa: dict[str, NDArray[np.float32]]) -> None:
        """Make the details of which all bands were added; nothing is said of cells that one of these did not observe.

        Parameters
        ----------
        toa : dict of band to (row, col) float32
            Means of the coarse cells, of the bands looked at so far. [-]
        """
        scale = np.float32(self._scene.quantification)
        for name, weights in self._weights.items():
            if name in self._sums and all(band in toa for band in weights):
                counts = [
                    np.float32(w) * (toa[band] * scale - np.float32(self._scene.offset[band]))
                    for band, w in weights.items()
                ]
                coarse = np.asarray(np.sum(counts, axis=0), np.float32)
                peak, uneven = np.zeros_like(coarse), np.zeros_like(coarse)
                out = np.zeros((coarse.shape[0] * self._side, coarse.shape[1] * self._side), np.int8)
                _beyond(self._sums.pop(name), coarse, float(1 / (DETAIL * scale)), out, peak, uneven)
                self.detail[name] = out
                if name == CLOUDS:
                    self.spots = {"peak": peak / scale, "uneven": uneven / scale}


def _means(sums: Sums) -> NDArray[np.float64]:
    """Counts of the observed pixels, without the saturated ones where there are others; NaN without any."""
    unsaturated = sums.pixels - sums.unobserved - sums.saturated
    of_them = sums.total - sums.saturated * np.uint32(SATURATED_COUNTS)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(unsaturated > 0, of_them / unsaturated, sums.total / sums.saturated)


def _reduce_thinned(scene: Scene, parameters: Parameters) -> Image:
    toa, saturated = {}, {}
    observed = np.ones(scene.grid.shape(parameters.coarse_resolution), np.bool_)
    for band in scene.counts:
        toa[band], seen, full = of_samples(scene, band, parameters)
        saturated[band] = full >= parameters.coarse_fraction
        observed &= 1 - seen < parameters.coarse_fraction
    return Image(toa, saturated, observed, {}, {})


def of_samples(
    scene: Scene, band: str, parameters: Parameters
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
    """A band of a thinned scene: mean top-of-atmosphere reflectance, observed and saturated shares of each cell. [-]"""
    shape, factor = scene.grid.shape(parameters.coarse_resolution), factor_of(band, parameters)
    mean, seen, full = _over_cells(scene.counts[band], factor, scene.spacing[band], shape)
    return ((mean + scene.offset[band]) / scene.quantification).astype(np.float32), seen, full


def _over_cells(
    samples: NDArray[np.uint16], factor: int, spacing: int, shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Means, observed and saturated shares of cells out of every `spacing`-th low-pass sample of a 5/3 wavelet.

    A sample is centred on the first pixel of its block, not on the block's middle. With all details left out the
    wavelet's image is the straight lines between the samples: a cell's mean is that of those lines over its pixels.
    """
    per_cell, rest = divmod(factor, spacing)
    if rest:
        raise ValueError(f"samples every {spacing} pixels do not fit into cells of {factor}")
    weights = np.full(per_cell + 1, 1 / per_cell)
    weights[0], weights[-1] = (spacing + 1) / (2 * factor), (spacing - 1) / (2 * factor)

    def summed(values: NDArray[Any]) -> NDArray[np.float64]:
        room = [(0, n * per_cell + 1 - size) for n, size in zip(shape, values.shape, strict=True)]
        if min(after for _, after in room) < 0:
            raise ValueError(f"{values.shape} samples do not fit into {shape} cells")
        sums = np.pad(values.astype(np.float64), room)
        for _ in range(2):  # along the columns, then along the rows
            sums = sum(w * sums[k : k + len(sums) - per_cell : per_cell] for k, w in enumerate(weights)).T
        return sums

    inside = summed(np.ones(samples.shape, np.bool_))
    observed, saturated = samples != _NO_DATA, samples == _SATURATED
    seen, full, total = summed(observed), summed(saturated), summed(samples)
    with np.errstate(invalid="ignore", divide="ignore"):
        unsaturated = (total - SATURATED_COUNTS * full) / (seen - full)
        mean = np.where(seen - full > 1e-9, unsaturated, total / seen)
    return mean, seen / inside, full / inside
