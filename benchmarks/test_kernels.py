"""What the kernels cost alone.

    python -m pytest benchmarks --benchmark-enable --benchmark-timer=time.thread_time

Processor time of one call: of a strip of a whole tile's 10 m band (1024 x 10980 pixels), of the shadows of 5,000
clouds and the inversion of the aerosol of a whole tile. `--benchmark-save` and `--benchmark-compare` hold two runs
against each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks import kernels
from processing.versions import parameters

#: Smaller where nothing is measured.
SIZE, SMALL = 10_980, 366


@pytest.fixture(scope="module", params=["V1_4", "V2_0"])
def works(request: pytest.FixtureRequest) -> dict[str, Callable[[], object]]:
    """The kernels' work in a version."""
    whole = request.config.getoption("benchmark_enable")
    numbers = parameters(request.param)
    side = kernels.TILE if whole else 21_960
    return {
        **kernels.strip(SIZE if whole else SMALL, numbers),
        "shadows": kernels.shadows(5000 if whole else 100, numbers, side),
        "aerosol inversion": kernels.aerosol(numbers, side),
    }


@pytest.mark.parametrize(
    "kernel",
    ["counts to SRE", "counts to FRE", "block sums", "mask bits to 10 m", "overview", "differences and deflate"]
    + ["shadows", "aerosol inversion"],
)
def test_kernel(benchmark: Any, works: dict[str, Callable[[], object]], kernel: str) -> None:
    works[kernel]()  # compiles
    benchmark(works[kernel])
