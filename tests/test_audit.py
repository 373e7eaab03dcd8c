"""Damage in the archive is found whatever it is, every file is looked at in time, and what is damaged is made again."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from processing.errors import WrongSetting
from processing.production import nightly
from processing.production.audit import Finding, Share, audit, mend
from processing.store.models import Anomaly, Event, Product
from tests.people import OPERATOR
from tests.test_production import Centre, as_it_was, centre  # noqa: F401

# ruff: noqa: F811


def cut(folder: Path) -> None:
    (folder / "raster").write_bytes((folder / "raster").read_bytes()[:-1])


def flip(folder: Path) -> None:
    content = bytearray((folder / "raster").read_bytes())
    content[3] ^= 1
    (folder / "raster").write_bytes(content)


#: What may become of a product's folder, and how it is said.
DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file deleted": (lambda folder: (folder / "raster").unlink(), "raster: No such file"),
    "a file cut short": (cut, "raster: 24 bytes instead of 25"),
    "a bit flipped": (flip, "raster: content differs"),
    "the manifest deleted": (lambda folder: (folder / "manifest.json").unlink(), "without its folder"),
    "another manifest": (lambda folder: (folder / "manifest.json").write_text("{}"), "another manifest"),
    "the folder deleted": (shutil.rmtree, "without its folder"),
}


def folders(centre: Centre) -> list[Path]:
    with centre.store.read() as session:
        rows = session.query(Product).filter(Product.current, Product.valid).order_by(Product.sensing)
        return [centre.settings.archive / product.path for product in rows]


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_found_and_made_again(centre: Centre, kind: str) -> None:
    for day in (0, 5, 10):
        centre.add(day)
        centre.run()
    spoil, words = DAMAGE[kind]
    spoil(folders(centre)[1])
    (finding,) = audit(centre.store, centre.settings)
    assert words in finding.line
    assert finding.product is not None
    (done,) = mend(centre.store, centre.settings, [finding], OPERATOR)
    assert "queued again" in done
    assert len(folders(centre)) == 2  # nobody is given it meanwhile
    assert centre.audit() == []
    assert centre.run() == "published"
    assert len(folders(centre)) == 3
    assert folders(centre)[1].parent.name == "revision-1"
    with centre.store.read() as session:
        assert session.query(Product).filter(Product.previous_not_latest).count() <= 1


def test_a_state_that_is_gone_is_made_again_and_its_product_stays(centre: Centre) -> None:
    for day in (0, 5):
        centre.add(day)
        centre.run()
    newest = sorted(centre.settings.state.rglob("*.npz"))[-1]
    newest.unlink()
    findings = list(audit(centre.store, centre.settings))
    assert [f.line.split(":")[0] for f in findings] == ["product without its recurrent state"]
    assert "kept, queued again" in mend(centre.store, centre.settings, findings, OPERATOR)[0]
    assert len(folders(centre)) == 2
    assert centre.run() == "published"


def test_what_can_not_be_made_again_stays_as_it_is(centre: Centre) -> None:
    centre.add(0)
    centre.run()
    flip(folders(centre)[0])
    (package,) = centre.settings.l1c.glob("*/*.SAFE")
    package.rename(package.with_suffix(".away"))
    findings = list(audit(centre.store, centre.settings))
    assert {f.line.split(":")[0] for f in findings} == {"damaged product", "Level-1C missing"}
    gone = [f for f in findings if f.granule is not None]
    assert mend(centre.store, centre.settings, gone, OPERATOR) == [f"{package.stem}: may be given again"]
    damaged = [f for f in findings if f.product is not None]
    assert "stays as it is" in mend(centre.store, centre.settings, damaged, OPERATOR)[0]
    assert len(folders(centre)) == 1
    flip(folders(centre)[0])


def test_folders_that_no_row_knows_are_found_anywhere_and_set_aside(centre: Centre) -> None:
    centre.add(0)
    centre.run()
    for path in ("33TWM/V1_4/strange", "33TWM/V1_4/revision-3/strange", "31TCJ/V9_9/strange"):
        (centre.settings.archive / path).mkdir(parents=True)
    assert len(centre.audit()) == 3
    findings = list(audit(centre.store, centre.settings))
    mend(centre.store, centre.settings, findings, OPERATOR)
    assert centre.audit() == ["folder without a product: 31TCJ/V9_9/strange"]  # of no chain of ours: left to its owner
    shutil.rmtree(centre.settings.archive / "31TCJ")


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_slices_cover_the_archive_each_file_once(centre: Centre, parts: int) -> None:
    for tile in ("33TWM", "31TCJ"):
        for day in (0, 5, 10):
            centre.add(day, tile=tile)
            centre.run()
    for folder in folders(centre):
        flip(folder)
    found: Counter[str] = Counter()
    for part in range(1, parts + 1):
        found.update(f.line for f in audit(centre.store, centre.settings, Share(part, parts)))
    assert set(found.values()) == {1}
    assert len(found) == 6
    assert list(audit(centre.store, centre.settings, hashes=False)) == []
    for folder in folders(centre):
        flip(folder)


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "-1/3", "1/0"])
def test_a_share_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(WrongSetting, match="K from 1 to N"):
        Share.parse(text)


def test_the_nights_of_the_given_days_look_at_all_of_it_once(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in (0, 5, 10):
        centre.add(day)
        centre.run()
    for folder in folders(centre):
        cut(folder)
    settings, stop = centre.settings.model_copy(update={"audit_days": 4}), threading.Event()
    first = datetime(2026, 3, 1, 2, tzinfo=UTC)
    for night in range(4):
        monkeypatch.setattr(nightly, "now", lambda _, night=night: first + timedelta(days=night))
        assert nightly.once(centre.store, settings, stop)
        assert not nightly.once(centre.store, settings, stop)  # once a night
    with centre.store.read() as session:
        assert session.query(Event).filter(Event.kind == "damage").count() == 3
        assert session.query(Event).filter(Event.kind == "audited").count() == 4
        anomaly = session.query(Anomaly).one()
        assert (anomaly.signature, anomaly.count) == ("damage in the archive", 3)
    findings: list[Finding] = list(audit(centre.store, centre.settings))
    mend(centre.store, centre.settings, findings, OPERATOR)
    for _ in range(3):
        assert centre.run() == "published"
