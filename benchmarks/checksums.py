"""What it costs to hold a Level-1C package against its manifest: seconds of the processor beside those of the chain.

    python -m benchmarks.checksums L1C [--version V1_4] [--dem DEM]

Exit code 1 if it is more than 2 % of the chain.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

from processing.l1c import granules
from processing.production import series

#: Of the chain, at most.
BAR = 0.02


def measure(package: Path, version: str, dem: Path | None) -> tuple[float, float, str]:
    """Seconds of the processor in hashing and in all, and what the product says of its input."""
    (granule,) = granules(package)
    start = time.process_time()
    granule.integrity()  # in the chain another process does this, whose seconds are not the chain's
    spent = time.process_time() - start
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        (found,) = series.process([package], version, Path(folder), dem=dem)
        whole = time.process_time() - start
        if found["product"] is None:
            sys.exit(f"{package.name}: {found['status']}: {found['reason']}")
        (metadata,) = Path(found["product"]).glob("*_MTD_ALL.xml")
        said = re.search(r'<ORIGIN name="level_1c">([^<]*)', metadata.read_text())
    return spent, whole, said[1] if said else "nothing"


def main() -> None:
    """Measure and print."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("l1c", type=Path)
    words.add_argument("--version", default="V1_4")
    words.add_argument("--dem", type=Path)
    given = words.parse_args()
    spent, whole, said = measure(given.l1c, given.version, given.dem)
    print(f"checksums {spent:.2f} s of {whole:.1f} s of the processor: {100 * spent / whole:.2f} %, bar {BAR:.0%}")
    print(f"the product says: {said}")
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(("VmPeak", "VmHWM")):
            print(" ".join(line.split()))
    sys.exit(spent > BAR * whole)


if __name__ == "__main__":
    main()
