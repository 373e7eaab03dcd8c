"""Every operation that the web describes in OpenAPI, tried by schemathesis with values made from it and against it."""

from __future__ import annotations

from contextlib import suppress

import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


def faults(address: str, examples: int) -> tuple[int, list[str]]:
    """How many requests were sent to a web on ``host:port``, and which were answered with 5xx.

    Parameters
    ----------
    examples : int
        Of each operation, in each mode.
    """
    schema = schemathesis.openapi.from_url(f"http://{address}/openapi.json")
    found: list[str] = []
    sent = 0
    for result in schema.get_all_operations():
        for mode in MODES:
            strategy = result.ok().as_strategy(generation_mode=mode)

            @seed(1)
            @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
            @given(case=strategy)
            def tried(case: schemathesis.Case) -> None:
                nonlocal sent
                sent += 1
                answer = case.call(timeout=60)
                if answer.status_code >= 500:
                    found.append(f"{case.method} {case.formatted_path} {case.query} {case.body}: {answer.status_code}")

            with suppress(Unsatisfiable):  # what takes no parameter can't be asked wrongly
                tried()
    return sent, found
