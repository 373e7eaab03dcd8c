"""Sentinel-2 MSI bands: names, resolutions, and their role in the chain.

Names are MUSCATE's (``B2``, ``B8A``); the two-digit form of the Level-1C files (``B02``) is `Band.l1c`.
"""

from __future__ import annotations

from dataclasses import dataclass

_SHORT, _LONG = "S2", "SENTINEL2"


def long_name(platform: str) -> str:
    """``S2A`` as products name it: ``SENTINEL2A``."""
    return platform.replace(_SHORT, _LONG, 1)


def short_name(platform: str) -> str:
    """``SENTINEL2A`` as the program names it: ``S2A``."""
    return platform.replace(_LONG, _SHORT, 1)


@dataclass(frozen=True)
class Band:
    """One spectral band.

    Attributes
    ----------
    name : str
        MUSCATE's name.
    l1c : str
        Name in Level-1C file names.
    index : int
        ``bandId`` of the Level-1C XML.
    resolution : int
        Ground size of a pixel. [m]
    centre, width : float
        Nominal wavelength and width. [nm]
    """

    name: str
    l1c: str
    index: int
    resolution: int
    centre: float
    width: float


BANDS: dict[str, Band] = {
    b.name: b
    for b in (
        Band("B1", "B01", 0, 60, 443, 20),
        Band("B2", "B02", 1, 10, 490, 65),
        Band("B3", "B03", 2, 10, 560, 35),
        Band("B4", "B04", 3, 10, 665, 30),
        Band("B5", "B05", 4, 20, 705, 15),
        Band("B6", "B06", 5, 20, 740, 15),
        Band("B7", "B07", 6, 20, 783, 20),
        Band("B8", "B08", 7, 10, 842, 115),
        Band("B8A", "B8A", 8, 20, 865, 20),
        Band("B9", "B09", 9, 60, 945, 20),
        Band("B10", "B10", 10, 60, 1375, 30),
        Band("B11", "B11", 11, 20, 1610, 90),
        Band("B12", "B12", 12, 20, 2190, 180),
    )
}

#: Bands distributed at 10 m and at 20 m, in the order of the product's SAT and DFP bits.
R1 = ("B2", "B3", "B4", "B8")
R2 = ("B5", "B6", "B7", "B8A", "B11", "B12")
GROUPS: dict[str, tuple[str, ...]] = {"R1": R1, "R2": R2}
GROUP_RESOLUTION = {"R1": 10, "R2": 20}
#: Bands of the product. B1, B9 and B10 serve the chain and are never distributed.
DISTRIBUTED = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")

#: What masks, aerosol and composite are made of, all on the coarse grid.
COARSE = ("B1", "B2", "B3", "B4", "B8A", "B9", "B10", "B11", "B12")

BY_INDEX = {b.index: b for b in BANDS.values()}
BY_L1C = {b.l1c: b for b in BANDS.values()}
