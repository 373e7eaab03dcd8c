"""The ground that a package observed, found in a process of its own: it decodes what may be damaged or made to harm.

Asked only where two packages of one pass are there, to see which of them serve.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import subprocess
import sys
from pathlib import Path

from processing.errors import MuscateError
from processing.l1c.opening import contents
from processing.timeline import Ground

log = logging.getLogger(__name__)

#: Limits of the process. [s], [bytes]
SECONDS, MEMORY = 60, 4 * 1024**3


def of(package: Path, tile: str) -> Ground | None:
    """The ground that a package of one tile observed; None where it can't be told, which the log says why."""
    command = [sys.executable, "-c", f"from {__name__} import main; main()", str(package), tile]
    try:
        path = os.pathsep.join(p for p in sys.path if p)
        environment = dict(os.environ, PYTHONPATH=path)
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=True, text=True, env=environment)
        frame, cells = json.loads(done.stdout)
        return Ground(tuple(frame), int(cells, 16))
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip().splitlines()[-1:] or [f"exit code {error.returncode}"]
        log.warning("%s: the ground that it observed is not known (%s)", package.name, reason[0])
    except (OSError, ValueError, TypeError, subprocess.TimeoutExpired) as error:
        log.warning("%s: the ground that it observed is not known (%s)", package.name, error)
    return None


def main() -> None:
    """Print the ground of the package and tile that the command line names, as JSON."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    package, tile = sys.argv[1:]
    try:
        (granule,) = contents(Path(package)).of(tile)
        found = granule.ground()
    except (MuscateError, ValueError) as error:
        sys.exit(" ".join(str(error).split()))
    print(json.dumps([found.frame, f"{found.cells:x}"]))
