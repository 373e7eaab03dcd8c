"""From the top of the atmosphere to the surface and back, through look-up tables made with 6S.

Coupling of scattering and gases (Vermote et al., 6S user guide; the water vapour is half above, half below the
aerosol):

    TOA = Tog [ rhoR + (rhoRA - rhoR) Tw(U / 2) + Tw(U) T rho / (1 - S rho) ]

with Tog the transmittance of ozone and the well-mixed gases, Tw that of water vapour, rhoR and rhoRA the path
reflectance of the molecules and of molecules and aerosol, T the total transmittance of both ways, S the spherical
albedo. Columns and AOT are those above the target.
"""

from processing.atmosphere.pressure import pressure_altitude
from processing.atmosphere.request import SENSORS, VALID_RANGES, Aerosol, outside
from processing.atmosphere.tables import AOT_DEGREE, MODELS
from processing.atmosphere.transfer import (
    Coefficients,
    LightPath,
    against_aot,
    coefficients,
    direct_shares,
    gas_transmittance,
    surface_reflectance,
    toa_reflectance,
    water_vapour,
)

__all__ = [
    "AOT_DEGREE",
    "MODELS",
    "SENSORS",
    "VALID_RANGES",
    "Aerosol",
    "Coefficients",
    "LightPath",
    "against_aot",
    "coefficients",
    "direct_shares",
    "gas_transmittance",
    "outside",
    "pressure_altitude",
    "surface_reflectance",
    "toa_reflectance",
    "water_vapour",
]
