"""The chain's stand-in in a soak: it reads orders in place of pixels, and is soon loaded."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from processing.scene import Figures

if TYPE_CHECKING:
    from processing.production.request import Request

#: As of `worker.run_attempt`, and the file of orders in a package.
CHAIN, ORDERS = f"{__name__}:produce", "orders.json"


@dataclass(frozen=True)
class Outcome:
    """As `processor.Outcome`, without the chain's libraries."""

    identifier: str
    product: Path
    state: Path
    mode: str
    sensing: datetime
    version: str
    status: str = "valid"
    simulated: bool = True
    figures: Figures = field(default_factory=lambda: Figures(10.0))
    absent: tuple[str, ...] = ()
    origin: dict[str, str] = field(default_factory=dict)
    flags: dict[str, bool] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def produce(request: Request) -> Outcome:
    """A product whose manifest says what it was made from: all dates of its tile before it, by its state."""
    orders = json.loads((request.packages[0] / ORDERS).read_text())
    sensing = datetime.fromisoformat(orders["sensing"])
    before = [] if request.previous_state is None else json.loads(request.previous_state.read_text())
    time.sleep(orders["seconds"])
    name = f"SENTINEL2A_{sensing:%Y%m%d-%H%M%S}-000_L2A_T{request.tile}_D_{request.version.replace('_', '-')}"
    folder, state = request.staging / name, request.staging / f"{name}.npz"
    folder.mkdir()
    content = orders["sensing"].encode() * 50
    (folder / "raster").write_bytes(content)
    files = {"raster": {"size": len(content), "sha256": sha256(content).hexdigest()}}
    (folder / "manifest.json").write_text(json.dumps({"from": before, "files": files}))
    state.write_text(json.dumps([*before, orders["sensing"]]))
    return Outcome(name, folder, state, "nominal" if before else "init", sensing, request.version)
