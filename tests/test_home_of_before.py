"""A home that an earlier version of the software left is opened, understood and carried on by this one.

`reference/home_0.1.0.tar.xz` was made by version 0.1.0 at commit 1559c32, from four simulated dates of 31TCJ of 120
pixels: 2024-06-03 was rejected in V1_4 (cut off) and failed in V2_0, 06-08 is published in both and a reader has doubts
about the former, 06-13 is not valid in V1_4, the others wait; a package that is no zip lies in ``inbox/rejected``.
Left out, to be small: the Level-1C (empty files bear their names) and the reflectance but B4 and B8 of V1_4.
"""

from __future__ import annotations

import json
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from processing import product
from processing.home import settings_of, store_of
from processing.production import worker
from processing.settings import Settings
from processing.simulation import simulate
from processing.store import Store, lease
from processing.store.models import Product, Verdict
from tests.test_cli import muscate

HOME = Path(__file__).parent / "reference" / "home_0.1.0.tar.xz"
FIRST = "SENTINEL2A_20240608-105835-000_L2A_T31TCJ_D_V1-4"
OF_V2_0 = FIRST.replace("V1-4", "V2-0")
OVERCAST = "S2B_MSIL1C_20240613T105326_N0510_R051_T31TCJ_20240613T125835"
CUT_OFF = "S2B_MSIL1C_20240603T105326_N0510_R051_T31TCJ_20240603T125835"
CLOUD = "1.203690,43.748744"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with tarfile.open(HOME) as archive:
        archive.extractall(tmp_path / "home", filter="data")
    return tmp_path / "home"


@pytest.fixture
def centre(home: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Settings, Store]:
    monkeypatch.setenv("MUSCATE_HOME", str(home))
    settings = settings_of(home)
    return settings, store_of(settings)


def answer(home: Path, *words: str) -> Any:
    """What a command prints as JSON."""
    done = muscate(*words, "--json", home=home)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_its_state_of_things_is_told(home: Path) -> None:
    status = answer(home, "status")
    assert status["states"] == {"ready": 3, "published": 2, "not_valid": 1, "rejected": 1, "failed": 1}
    assert (status["products"], status["tiles"], status["expired_leases"]) == (2, 1, 0)
    assert status["last_published"]["identifier"] == OF_V2_0
    assert "input, refused Level-1C" in status["anomalies"]


def test_the_audit_finds_what_was_left_out_and_nothing_else(home: Path) -> None:
    done = muscate("audit", home=home)
    found = sorted(done.stdout.splitlines())
    assert [line.split(": ")[:2] for line in found] == [["damaged product", FIRST], ["damaged product", OF_V2_0]]
    left_out = [fault.rpartition("_")[2] for line in found for fault in line.split(": ", 2)[2].split("; ")]
    assert all(fault.endswith(".tif: No such file or directory") for fault in left_out)
    assert len(left_out) == 8 + 10


@pytest.mark.parametrize(
    ("name", "state", "why"),
    [(FIRST, "published", ""), (OVERCAST, "not_valid", "cloud"), (CUT_OFF, "rejected", "neither a .SAFE folder nor")],
)
def test_what_became_of_a_date_is_told(name: str, state: str, why: str, home: Path) -> None:
    told = answer(home, "explain", name)
    (of_v1_4,) = (story for story in told.values() if story["version"] == "V1_4")
    assert of_v1_4["state"] == state
    assert why in of_v1_4["why"]
    assert of_v1_4["product"] == (FIRST if name == FIRST else None)


@pytest.mark.parametrize(
    ("name", "dilated"), [(FIRST, ", dilated: from a cell 240 m away"), (OF_V2_0, "")], ids=["V1_4", "V2_0"]
)
def test_its_pixels_are_explained_by_the_parameters_they_were_made_with(name: str, dilated: str, home: Path) -> None:
    """The tests are made again from what the state holds, and their version has the digest that it had."""
    why = answer(home, "explain-pixel", name, "--at", CLOUD)
    assert why["summary"] == "cloud, found by the thresholds of one date" + dilated
    assert why["bits"]["CLM"] == why["found"]["CLM"] == ["ANY", "CLOUD", "MONO_TEMPORAL"]
    assert why["differences"] == why["missing"] == []


@pytest.mark.parametrize(("name", "resolution"), [(FIRST, 240), (OF_V2_0, 120)], ids=["V1_4", "V2_0"])
def test_its_states_are_read(name: str, resolution: int, home: Path) -> None:
    (path,) = (home / "state").rglob(f"{name}.npz")
    state = product.load_state(path)
    assert (state.tile, state.resolution, state.sensing.day) == ("31TCJ", resolution, 8)
    assert np.isfinite(state.toa["B2"]).any()
    assert product.load_evidence(path) is not None


def test_the_verdict_is_still_there(centre: tuple[Settings, Store]) -> None:
    _, store = centre
    with store.read() as session:
        ((identifier, verdict),) = session.execute(
            sa.select(Product.identifier, Verdict).join(Verdict, Verdict.product_id == Product.id)
        )
        assert identifier == FIRST
        assert (verdict.verdict, verdict.reader, list(verdict.reasons)) == ("suspect", "reader", ["false_cloud"])


def test_the_next_date_goes_on_from_the_state_that_was_left(centre: tuple[Settings, Store], tmp_path: Path) -> None:
    settings, store = centre
    series = {
        "tile": "31TCJ",
        "start": datetime(2024, 6, 1, tzinfo=UTC),
        "dates": 4,
        "size": 120,
        "cloud_cover": (0.0, 0.2),
    }
    *_, last = simulate(tmp_path, zip=True, truth=False, **series)
    last.rename(settings.l1c / "31TCJ" / last.name)
    with store.write() as session:
        claim = lease.claim(session, "test", 600)
    assert claim is not None
    assert claim.previous is not None
    assert (claim.version, claim.sensing.day, claim.previous.identifier, claim.later) == ("V1_4", 18, FIRST, ())
    try:
        assert worker.run_attempt(claim, settings) == "published"
    finally:
        worker.end_children()
    with store.read() as session:
        made = session.scalars(sa.select(Product).order_by(Product.id.desc()).limit(1)).one()
        assert (made.mode, made.previous_not_latest) == ("nominal", False)
        assert session.get_one(Product, made.prev_product).identifier == FIRST
