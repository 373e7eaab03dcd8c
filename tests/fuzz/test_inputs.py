"""Mutants of Level-1C packages: those that were ever wrong, and others for a minute."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.inputs import BAD, FORMS, Mutant, Trial, mutants

#: Mutants that are always tried, as what makes them: form, seed, number. One of each form to begin with; whatever is
#: found wrong is added.
CORPUS = [("new", 1, 6), ("old", 1, 2), ("new-zip", 1, 6), ("old-zip", 1, 2), ("new-dem", 1, 107)]
CORPUS += [("zarr", 71, 0), ("zarr-zip", 71, 1)]
pytestmark = pytest.mark.xdist_group("fuzz")  # sound packages are made once
#: Of the slow test. [s]
SECONDS = 55.0


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    made = Trial(tmp_path_factory.mktemp("fuzz"))
    yield made
    made.end()


@pytest.mark.parametrize("form", ["new", "old"])
def test_a_sound_package_is_its_own_product(trial: Trial, form: str, tmp_path: Path) -> None:
    answer = trial.worker.run(trial.sound[form], tmp_path / "out", trial.sound["dem"])
    from tests.fuzz.inputs import judge

    assert judge(answer, trial.right[form], "kept") == ("same", "")


@pytest.mark.parametrize(("form", "seed", "number"), CORPUS)
def test_what_was_wrong_stays_right(trial: Trial, form: str, seed: int, number: int) -> None:
    word, why, told = trial.run(Mutant(form, seed, number))
    assert word not in BAD, f"{word}: {told} -> {why}"


def test_a_mutant_is_made_of_its_numbers(trial: Trial, tmp_path: Path) -> None:
    made = []
    for copy in ("a", "b"):
        (tmp_path / copy).mkdir()
        package, told, manifest = Mutant("new", 5, 4).make(trial.sound, tmp_path / copy)
        made.append(
            (told, manifest, {p.relative_to(package): p.read_bytes() for p in package.rglob("*") if p.is_file()})
        )
    assert made[0] == made[1]


@pytest.mark.slow
def test_no_mutant_is_wrong(trial: Trial) -> None:
    """Other mutants each day; the message names them."""
    start, wrong, count = time.monotonic(), [], 0
    for mutant in mutants(int(time.time()) // 86_400):
        if time.monotonic() - start > SECONDS:
            break
        word, why, told = trial.run(mutant)
        count += 1
        if word in BAD:
            wrong.append(f"{mutant.name} {word}: {told} -> {why}")
    assert wrong == []
    assert count > len(FORMS)
