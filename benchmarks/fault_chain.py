"""The chain's stand-in of `benchmarks.faults`: that of the soak, with a fault that befalls the first try of a date."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from processing.production import soak_chain
from processing.production.soak_chain import ORDERS, Outcome

if TYPE_CHECKING:
    from processing.production.request import Request

NAME = f"{__name__}:produce"
#: Kept by a package whose fault has befallen it.
STRUCK = "struck"


def produce(request: Request) -> Outcome:
    """A product, but at the first try of a date whose orders have a fault."""
    package = request.packages[0]
    fault = json.loads((package / ORDERS).read_text()).get("fault", "")
    if fault and not (package / STRUCK).exists():
        (package / STRUCK).touch()
        befall(fault)
    return soak_chain.produce(request)


def befall(fault: str) -> None:
    """Do what a chain should not."""
    if fault == "no memory":
        raise MemoryError
    if fault == "glutton":
        ballast = bytearray(600_000_000)
        time.sleep(600 + len(ballast))
    if fault == "babble":
        while True:
            sys.stderr.write("all is well, " * 10_000 + "\n")
    if fault == "hang":
        time.sleep(600)
