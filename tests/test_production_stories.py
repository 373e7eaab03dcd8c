"""Whatever was seen, or should have been, is explained in a sentence; and what happened can be searched."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from processing.errors import UnknownName
from processing.production import operations
from processing.production.ingest import prepare
from processing.settings import Settings
from processing.store import Store, catalogue, events, lease
from processing.store.dialect import now
from tests.test_cli import muscate
from tests.test_store import arrival

#: Ten days apart, as a satellite comes.
LAST = datetime.now(UTC).replace(hour=10, minute=0, second=0, microsecond=0) - timedelta(days=3)
BAD = f"S2B_MSIL1C_{LAST - timedelta(days=5):%Y%m%d}T100000_N0510_R122_T33TWM_{LAST:%Y%m%d}T120000"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    settings = Settings(home=tmp_path / "home")
    settings.make_folders()
    store = Store(settings.url)
    store.upgrade()
    prepare(settings, store)
    for cycle in (4, 3, 1, 0):  # one pass never came
        sensing = LAST - timedelta(days=10 * cycle)
        name = f"S2A_MSIL1C_{sensing:%Y%m%d}T100000_N0510_R079_T33TWM_{sensing:%Y%m%d}T120000"
        with store.write() as session:
            catalogue.add(session, arrival(0, sensing=sensing, datatake=sensing, name=name, path=f"33TWM/{name}.SAFE"))
    with store.write() as session:
        data = {"l1c": f"{BAD}.zip", "reason": f"{BAD}.zip: the archive ends too early"}
        events.record(session, now(session), "refused", severity="warning", actor="inbox", data=data)
    store.dispose()
    return settings.home


def told(home: Path, name: str) -> list[dict[str, str]]:
    done = muscate("explain", name, "--json", home=home)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout).values())


def test_what_waits_what_was_refused_and_what_did_not_come_are_explained(home: Path) -> None:
    (waits,) = told(home, f"33TWM/{LAST:%Y-%m-%d}")
    assert waits["state"] == "ready"
    assert "older date" in waits["why"]
    (refused,) = told(home, f"{BAD}.zip")
    assert refused["state"] == "refused"
    assert refused["why"].endswith("the archive ends too early")
    gone = LAST - timedelta(days=20)
    (missing,) = told(home, f"33TWM/{gone:%Y-%m-%d}")
    assert missing["state"] == "missing"
    assert "has not" in missing["why"]
    (named,) = told(home, f"S2A_MSIL1C_{gone:%Y%m%d}T100000_N0510_R079_T33TWM_{gone:%Y%m%d}T120000.SAFE")
    assert (named["state"], "no package of this name came" in named["why"]) == ("missing", True)
    (empty,) = told(home, f"33TWM/{LAST - timedelta(days=1):%Y-%m-%d}")
    assert (empty["state"], "no satellite passes that day" in empty["why"]) == ("no pass", True)


def test_people_get_sentences(home: Path) -> None:
    done = muscate("explain", BAD, home=home)
    (line,) = done.stdout.splitlines()
    assert ": refused: refused on" in line


@pytest.mark.parametrize("name", ["nothing", "01CAB/2024-06-08", "33TWM/2024-13-41"])
def test_what_nobody_knows_is_one_line(home: Path, name: str) -> None:
    store = Store(Settings(home=home).url)
    with pytest.raises(UnknownName):
        operations.stories(store, name)
    store.dispose()


def test_events_are_found_by_their_words(home: Path) -> None:
    store = Store(Settings(home=home).url)
    with store.write() as session:
        assert lease.claim(session, "host:1", 60) is not None
    store.dispose()
    for words, kinds in {
        "ENDS early": ["refused"],
        "host:1 claimed": ["claimed"],
        "33twm r079 20": ["arrived"] * 4,
        "100%": [],
    }.items():
        done = muscate("events", "--search", words, "--json", home=home)
        assert [one["kind"] for one in json.loads(done.stdout)] == kinds
    assert (
        len(muscate("events", "--kind", "arrived", "--tile", "T33TWM", "--limit", "2", home=home).stdout.splitlines())
        == 2
    )
