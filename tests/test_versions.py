"""The parameters of released versions stay what they were."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from processing.versions import Parameters, later, parameters

#: Of the versions that products were made with.
DIGESTS = {
    "V1_1": "8e3da309f2415342394fb8a6259c715b9a21a7a96856a95fff460765e3d5744f",
    "V1_3": "613d9a05df8096af57a2608824c95fa503fa23441b39f1134c414797bd59777a",
    "V1_4": "ed32f81f3ea1d6f7d7dfce49bac9b500e264fcf85c7c316ebff5e0d007329004",
    "V2_0": "39264c44e6018bbe8c9b082f73e4445ae3dd52b07162d3e42eb9e7e1eec2c09d",
}


@pytest.mark.parametrize("version", DIGESTS)
def test_a_parameter_that_no_step_reads_may_go_and_the_digest_stays(version: str) -> None:
    """Else each product that exists would be said to be made with other parameters than its version has."""
    assert parameters(version).digest == DIGESTS[version]


def test_a_parameter_that_came_later_is_in_the_digest_where_it_was_set() -> None:
    @dataclass(frozen=True)
    class Later(Parameters):
        something_new: float = later(0.0)

    before = replace(parameters("V1_4"))
    as_ever, set_ = Later(version="V1_4"), Later(version="V1_4", something_new=0.5)
    assert as_ever.digest == Parameters(version="V1_4").digest
    assert set_.digest != as_ever.digest
    assert before.digest == DIGESTS["V1_4"]
