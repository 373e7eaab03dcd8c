"""What it costs to run the chain where limits of memory and time can end it.

    python -m benchmarks.limits L1C [--version V1_4] [--dem FILE]

Runs `muscate process` on a package and prints the seconds of the processor: of the process that watches, of the one
that is watched and its children, and the share of the first beside its bar.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

from processing.production import apart

#: Of the whole, at most.
BAR = 0.02


def spent(who: int) -> float:
    """Seconds of the processor of this process, or of its children that have ended."""
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Measure and print."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("l1c", type=Path)
    words.add_argument("--version", default="V1_4")
    words.add_argument("--dem", type=Path)
    given = words.parse_args()
    own, children, start = spent(resource.RUSAGE_SELF), spent(resource.RUSAGE_CHILDREN), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        (found,) = apart.process([given.l1c], given.version, Path(folder), dem=given.dem)
    if found["product"] is None:
        sys.exit(f"{given.l1c.name}: {found['status']}: {found['reason']}")
    watching = spent(resource.RUSAGE_SELF) - own
    watched = spent(resource.RUSAGE_CHILDREN) - children
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"watched: {watched:.1f} s of the processor in {time.monotonic() - start:.0f} s, at most {peak:.0f} MB")
    print(", ".join(f"{step} {seconds:.1f} s" for step, seconds in found["seconds"].items()))
    share = watching / (watching + watched)
    print(f"watching: {watching:.2f} s, {100 * share:.2f} % (bar {BAR:.0%})")
    sys.exit(share > BAR)


if __name__ == "__main__":
    main()
