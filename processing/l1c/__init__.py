"""Level-1C packages: a SAFE (old, compact, zipped) becomes checked granules, and a granule the chain's scene.

What a package is, is read in its XML and not in its name. Sizes are those of the images: one that is smaller than the
metadata say and keeps the band's pixel size is a crop, and read as that.

Formats: Sentinel-2 Products Specification Document, S2-PDGS-TAS-DI-PSD, issues 13.1 (several tiles a package), 14.2
(compact, one tile) and 14.9 (offset of the counts and masks as images, baseline 04.00).
"""

from processing.l1c.finding import packages
from processing.l1c.granule import Granule, merge
from processing.l1c.metadata import SIMULATION_CENTRE
from processing.l1c.opening import Contents, contents, granules, spectral_responses

__all__ = [
    "SIMULATION_CENTRE",
    "Contents",
    "Granule",
    "contents",
    "granules",
    "merge",
    "packages",
    "spectral_responses",
]
