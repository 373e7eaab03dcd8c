"""A stand-in for the chain in tests of the engine: it reads a packet of orders instead of pixels.

A package is a folder with ``fake.json``: ``{"sensing": iso, "do": what}`` where `do` is ``valid``, ``cloudy``,
``broken``, ``no_terrain``, ``disk_full``, ``bug``, ``no_memory``, ``glutton``, ``flood``, ``kill``, ``hang`` or
``sleep:<seconds>``. The state it leaves is the list of the dates that went in, so that order and lineage can be read
back from it.
"""

from __future__ import annotations

import json
import os
import signal
import time
from datetime import datetime
from hashlib import sha256

from processing.errors import AncillaryError, L1CError, StorageError
from processing.production.processor import Outcome
from processing.production.request import Request
from processing.scene import Figures

NAME = "tests.production_fake:produce"


def produce(request: Request) -> Outcome:
    packages, tile, version, staging = request.packages, request.tile, request.version, request.staging
    package = packages[0]
    orders = json.loads((package / "fake.json").read_text())
    sensing, do = datetime.fromisoformat(orders["sensing"]), orders["do"]
    print(f"{package.name}: {do}")
    before: list[str] = [] if request.previous_state is None else json.loads(request.previous_state.read_text())
    after = [json.loads((paths[0] / "fake.json").read_text())["sensing"] for paths in request.later]
    assert not (before and after), "a date with a past looked back"
    assert after == sorted(after)
    assert all(date > orders["sensing"] for date in after), "looked back from an earlier date"
    assert all(date < orders["sensing"] for date in before), "a state of a later date came in"
    if do == "broken":
        raise L1CError(package, "MTD_TL.xml: malformed")
    if do == "no_terrain":
        raise AncillaryError("dem.tif", "does not cover the tile")
    if do == "disk_full":
        raise StorageError("archive: no space left on device")
    if do == "bug":
        raise ZeroDivisionError("division by zero")
    if do == "no_memory":
        raise MemoryError
    if do == "glutton":
        ballast = bytearray(600_000_000)
        time.sleep(600 + len(ballast))
    if do == "flood":
        (staging / "flood").write_bytes(bytes(150_000_000))
        time.sleep(600)
    if do == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if do == "hang":
        time.sleep(600)
    if do.startswith("sleep:"):
        time.sleep(float(do.split(":")[1]))
    name = f"SENTINEL2A_{sensing:%Y%m%d-%H%M%S}-000_L2A_T{tile}_C_{version.replace('_', '-')}"
    folder = state = None
    if do != "cloudy":
        folder = staging / name
        folder.mkdir()
        (folder / "raster").write_bytes(content := orders["sensing"].encode())
        raster = {"size": len(content), "sha256": sha256(content).hexdigest()}
        (folder / "manifest.json").write_text(
            json.dumps({"from": before, "later": after, "l1c": [p.name for p in packages], "files": {"raster": raster}})
        )
        state = staging / f"{name}.npz"
        state.write_text(json.dumps([*before, orders["sensing"]]))
    return Outcome(
        l1c=package.name,
        identifier=name,
        status="not_valid" if do == "cloudy" else "valid",
        mode="nominal" if before else "backward" if after else "init",
        version=version,
        sensing=sensing,
        simulated=True,
        product=folder,
        state=state,
        figures=Figures(cloud_percent=95.5) if do == "cloudy" else Figures(10.0, snow_percent=0.0, aot_mean=0.1),
        absent=["CLM.SHADOW"],
        origin={"ozone": "constant"},
        flags={"rain": False},
        seconds={"read": 0.1},
    )
