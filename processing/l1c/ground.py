"""The ground that a package observed, found in a process of its own: it decodes what may be damaged or made to harm.

Asked only where two packages of one pass are there, to see which of them serve.
"""

from __future__ import annotations

import logging
from pathlib import Path

from processing import bounded, known
from processing.l1c.opening import contents
from processing.timeline import Ground

log = logging.getLogger(__name__)

#: Limits of the process. [s], [bytes]
SECONDS, MEMORY = 60, 4 * 1024**3


def of(package: Path, tile: str) -> Ground | None:
    """The ground that a package of one tile observed; None where it can't be told, which the log says why."""
    try:
        return bounded.run(_observed, package, tile, known.current(), memory=MEMORY, seconds=SECONDS)
    except Exception as error:  # whatever ended it: the package serves without it
        log.warning("%s: the ground that it observed is not known (%s)", package.name, " ".join(str(error).split()))
    return None


def _observed(package: Path, tile: str, found: known.Known) -> Ground:
    (granule,) = contents(package, found).of(tile)
    return granule.ground()
