"""Light that comes to the satellite from beside the target, taken away.

Before, every cell was corrected as if its surroundings were like itself. In a band whose atmosphere lets T of the
light through both ways, of which u is direct on the way up, and sends back S of what the ground reflects, a pixel rho
among surroundings rho_env gives

    y = T (u rho + (1 - u) rho_env) / (1 - S rho_env)

so that the corrected reflectance is linear in y, and y in the counts: two coefficients of each cell of the coarse grid,
interpolated, make the full resolution.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from processing import atmosphere
from processing.atmosphere import Coefficients
from processing.chain import air_model, thinning
from processing.chain.geometry import Geometry
from processing.chain.resampling import Coarse, coarse, lines
from processing.chain.spread import Spread, for_each
from processing.chain.steps import step
from processing.kernels import kernel
from processing.scene import NO_DATA_COUNTS, Scene
from processing.versions import Parameters

Field = NDArray[np.float32]
#: The environment's weights, (a, b [1/km]) each: see `scattered`.
_MOLECULES, _AEROSOL = ((0.930, 0.080), (0.070, 1.100)), ((0.448, 0.27), (0.552, 2.83))
#: Empty ground between the image's sides where it is repeated: the weights have faded. [m]
_MARGIN = 24_000


class Environment(NamedTuple):
    """What lies around each coarse cell and how much of it is seen, in one band.

    Attributes
    ----------
    reflectance : (row, col) float32
        NaN where nothing around is known. [-]
    direct_down, direct_up : (row, col) float32
        Direct share of the atmosphere's transmittance. [-]
    """

    reflectance: Field
    direct_down: Field
    direct_up: Field


class Line(NamedTuple):
    """One band's surface reflectance without the light of its surroundings: rho = toa * gain + offset.

    (row, col) float32 on the coarse grid, NaN where the band can't be corrected.
    """

    gain: Field
    offset: Field

    def below(self, light: Field) -> Line:
        """The same under a veil whose light, (row, col) float32 at the top of the atmosphere, is taken away."""
        return Line(self.gain, (self.offset - self.gain * light).astype(np.float32))

    def under(self, light: Field) -> Line:
        """The same of ground on which so many times the light falls, (row, col) float32, that was thought. [-]"""
        return Line(self.gain / light, self.offset / light)

    def of_counts(self, scene: Scene, band: str) -> Field:
        """The same for counts, (2, row, col) float32: rho = counts * [0] + [1]."""
        gain = self.gain / scene.quantification
        return np.stack([gain, gain * scene.offset[band] + self.offset]).astype(np.float32)


@step
def surroundings(
    surface: Mapping[str, Field],
    clouds: NDArray[np.bool_],
    scene: Scene,
    geometry: Geometry,
    aot: Field,
    parameters: Parameters,
    spread: Spread = map,
) -> dict[str, Environment]:
    """Mean reflectance of what lies around each cell, as the version's `adjacency_weights` weigh it.

    With an `adjacency_radius` of 0 there are no surroundings: no light comes from beside, as in some simulations.

    Parameters
    ----------
    surface : mapping of band to (row, col) float32
        As of a uniform surface, NaN where not known: left out of the mean. [-]
    clouds : (row, col) bool
        Also left out, where there is anything else: of a square unless the version's `adjacency_clouds`, since clouds
        stand above much of the air that scatters the light of what is beside the target; else of what the aerosol
        scatters, since clouds stand above it and below most of the molecules.
    aot : (row, col) float32
        [-]
    """
    every = parameters.atmosphere_every
    altitude, thin_aot = (thinning.means(field, every) for field in (air_model.altitude(scene, parameters), aot))

    def of(band: str) -> Environment:
        reflectance, known = surface[band], np.isfinite(surface[band])

        def shares(aot: Field | float) -> tuple[Any, Any]:
            return atmosphere.direct_shares(
                air_model.sensor(scene, parameters),
                band,
                thinning.corners(geometry.sun_zenith, every),
                thinning.corners(geometry.view_zenith[band], every),
                altitude,
                aot,
                air_model.aerosol_model(scene, parameters),
            )

        down, up = shares(thin_aot)
        if parameters.adjacency_weights == "6S":
            by_molecules, by_aerosol = scattered(reflectance, known, clouds, parameters)
            share = of_molecules(up, shares(0.0)[1])
            if every > 1:
                down, up, share = (thinning.between(field, every, aot.shape) for field in (down, up, share))
            mean = share * by_molecules + (1 - share) * by_aerosol
        else:
            mean = _square(reflectance, known, parameters)
            if not parameters.adjacency_clouds:
                ground = _square(reflectance, known & ~clouds, parameters)
                mean = np.where(np.isnan(ground), mean, ground)
        if not parameters.adjacency_radius:
            up = np.ones_like(up)
        return Environment(*(np.asarray(field, np.float32) for field in (mean, down, up)))

    return for_each(spread, surface, of)


def _square(reflectance: Field, known: NDArray[np.bool_], parameters: Parameters) -> Field:
    """Mean over the known cells of a square, NaN where there are none."""
    side = 2 * parameters.adjacency_radius + 1

    def total(values: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.asarray(ndimage.uniform_filter(values.astype(np.float64), side, mode="constant"))

    share, sums = total(known.astype(np.float64)), total(np.where(known, reflectance, np.float32(0)))
    some = share > 0.5 / side**2  # less than one cell is the filter's rounding
    return np.where(some, sums / np.where(some, share, 1), np.nan).astype(np.float32)


def scattered(
    values: Field, known: NDArray[np.bool_], clouds: NDArray[np.bool_], parameters: Parameters
) -> tuple[Field, Field]:
    """What molecules and what the aerosol scatter into each cell's light from around it.

    A point at r km counts as a b exp(-b r) / (2 pi r), summed over two pairs (a, b); its Fourier transform is
    a / sqrt(1 + (k / b)^2). Beyond the image lies what the known part of it shows.

    Parameters
    ----------
    values : (..., row, col) float32
    known : (row, col) bool
    clouds : (row, col) bool
        Left out of what the aerosol scatters, where there is anything else, and of what the molecules do unless the
        version's `adjacency_cloud_light`. In nature they scatter some of it: near cumulus fields the blue rises by
        about 0.01 (Wen et al., J. Geophys. Res. 112, D13204, 2007), which then counts as aerosol.

    References
    ----------
    Vermote et al., "Second Simulation of the Satellite Signal in the Solar Spectrum", IEEE TGRS 35, 675-686, 1997;
    the numbers are those of 6SV 1.1 for a satellite near nadir, whose dependence on the view angle is left out.
    """
    ground = known & ~clouds
    if not ground.any():
        ground = known
    if not known.any():
        return np.full_like(values, np.nan), np.full_like(values, np.nan)
    margin = _MARGIN // parameters.coarse_resolution
    shape = tuple(int(fft.next_fast_len(n + margin, real=True)) for n in known.shape)
    per_km = 2 * np.pi * 1000 / parameters.coarse_resolution
    k2 = (fft.fftfreq(shape[0])[:, None] ** 2 + fft.rfftfreq(shape[1]) ** 2) * per_km**2

    def transformed(layer: Field | np.float32, of: NDArray[np.bool_]) -> NDArray[np.complex64]:
        return np.asarray(fft.rfft2(np.where(of, layer, np.float32(0)), shape))

    def blurred(spectrum: NDArray[np.complex64], kernel: tuple[tuple[float, float], ...]) -> Field:
        transfer = sum(a / np.sqrt(1 + k2 / b**2) for a, b in kernel).astype(np.float32)
        return np.asarray(fft.irfft2(spectrum * transfer, shape)[: known.shape[0], : known.shape[1]], np.float32)

    lit = known if parameters.adjacency_cloud_light else ground
    weights = (
        blurred(transformed(np.float32(1), lit), _MOLECULES),
        blurred(transformed(np.float32(1), ground), _AEROSOL),
    )
    found = np.empty((2, *values.shape), np.float32)
    layers = (field.reshape(-1, *known.shape) for field in (values, *found))
    for layer, by_molecules, by_aerosol in zip(*layers, strict=True):  # one by one: their spectra take much memory
        below = transformed(layer, ground)
        seen = below if lit is ground else transformed(layer, known)
        np.divide(blurred(seen, _MOLECULES), weights[0], out=by_molecules)
        np.divide(blurred(below, _AEROSOL), weights[1], out=by_aerosol)
    return found[0], found[1]


def of_molecules(up: Any, clean: Any) -> Any:
    """What of the light that is scattered into a cell's view is so by molecules: its share, the rest by the aerosol.

    Parameters
    ----------
    up, clean : array_like
        Direct share on the way up, with the aerosol and without any. [-]
    """
    return (1 - clean) / (1 - clean + 1 - up / clean)


@step
def correct(coefficients: Mapping[str, Coefficients], around: Mapping[str, Environment]) -> dict[str, Line]:
    """Put the surroundings into each band's correction.

    Parameters
    ----------
    coefficients : mapping of band to Coefficients
        (row, col) float32 on the coarse grid.
    """
    found = {}
    for band, (reflectance, _, direct) in around.items():
        c = coefficients[band]
        each = (1 - reflectance * c.albedo) / (c.transmittance * direct)
        found[band] = Line(c.scale * each, -c.offset * each - reflectance * (1 - direct) / direct)
    return found


class Coding(NamedTuple):
    """How reflectance is written, and what it is made from.

    Attributes
    ----------
    quantification, no_data : float32
        Of the product: counts of a reflectance of 1, and the count that says there is none.
    unobserved : uint16
        The count of the Level-1C that says so.
    """

    quantification: np.float32
    no_data: np.float32
    unobserved: np.uint16

    @classmethod
    def of(cls, parameters: Parameters) -> Coding:
        """That of a version's products."""
        return cls(
            np.float32(parameters.reflectance_quantification),
            np.float32(parameters.no_data),
            np.uint16(NO_DATA_COUNTS),
        )


@kernel()
def _correct(counts: NDArray[np.uint16], fields: Coarse, coding: Coding, line: Field, out: NDArray[np.int16]) -> None:
    values, rows, cols = fields
    quantification, no_data, unobserved = coding
    width = counts.shape[1]
    start, step = line[:2], line[2:]
    a0, b0, da, db = start[0], start[1], step[0], step[1]
    lowest, highest, half = no_data + np.float32(1), np.float32(32767), np.float32(0.5)
    top, bottom = -1, -1
    for row in range(counts.shape[0]):
        if rows.low[row] != top or rows.high[row] != bottom:
            top, bottom = rows.low[row], rows.high[row]
            lines(values, top, bottom, cols, start, step)
        down = rows.weight[row]
        source, target = counts[row], out[row]
        for col in range(width):
            count = source[col]
            rho = np.float32(count) * (a0[col] + da[col] * down) + (b0[col] + db[col] * down)
            rho = rho * quantification
            value = rho if rho > lowest else lowest
            value = value if value < highest else highest
            value = value + half if value >= 0 else value - half
            value = value if rho == rho and count != unobserved else no_data
            target[col] = np.int16(np.int32(value))


def surface_reflectance(
    counts: NDArray[np.uint16], line: Field, factor: int, parameters: Parameters, first_row: int = 0
) -> NDArray[np.int16]:
    """Full-resolution counts to surface reflectance in one pass.

    Parameters
    ----------
    counts : (row, col) uint16
        The whole image of a band, or a strip of its rows.
    line : (2, row, col) float32
        Of the band and its counts, on the coarse grid: `Line.of_counts`.
    factor : int
        Pixels of the band along the side of a coarse cell.
    first_row : int
        Row of the image that the strip starts with.

    Returns
    -------
    (row, col) int16
        Reflectance times the version's quantification, rounded; the version's no data where unobserved and where
        one of the four cells around has no coefficients.
    """
    out = np.empty(counts.shape, np.int16)
    fields = coarse(line, counts.shape, factor, first_row)
    _correct(counts, fields, Coding.of(parameters), np.empty((4, counts.shape[1]), np.float32), out)
    return out
