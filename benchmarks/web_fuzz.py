"""What wrong requests do to the web: `python -m benchmarks.web_fuzz [--requests 5000] [--seed N]`.

Serves a small archive in a process of its own, sends requests drawn by `tests.fuzz.web` to it, and prints how many were
answered with what, the dearest of them, and each one that was answered with 5xx, held a core or took memory beyond the
bars.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path

from dashboard.app import create
from processing.settings import Settings
from tests.dashboard_archive import filled
from tests.fuzz import described, web
from tests.web_server import serving


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--examples", type=int, default=25, help="of schemathesis, of each operation and mode")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder))
        filled(settings, size=183).dispose()
        with serving(settings.home) as server:
            known, line = web.Known.of(server, create(settings), web.signed(server, settings)), web.Line(server)
            for page in web.PAGES:  # what is loaded once is nobody's
                line.tried(web.Request("GET", page))
            verdicts = []
            for request in web.Fuzz(known, asked.seed).requests(asked.requests):
                verdict = line.tried(request)
                verdicts.append(verdict)
                if verdict.fault:
                    print(f"{verdict.fault}: {request}", flush=True)
            sent, wrong = described.faults(server.address, asked.examples)
            found = web.tracebacks(server)
    statuses = Counter(verdict.status for verdict in verdicts)
    print(", ".join(f"{count} of {status}" for status, count in sorted(statuses.items())))
    print(f"5xx or broken line: {sum(n for status, n in statuses.items() if status >= 500 or not status)}")
    pages = [v.seconds for v in verdicts if v.of_panel]
    print(f"longest on a core: {max(v.seconds for v in verdicts if not v.of_panel):.2f} s (bar {web.CORE} s)")
    print(f"pages that open a session, which cost what the page costs: {max(pages, default=0):.2f} s")
    print(f"most memory: {max(v.memory for v in verdicts):.0f} MB (bar {web.MEMORY} MB)")
    print(f"schemathesis: {sent} requests, {len(wrong)} of 5xx", *wrong, sep="\n  ")
    for words, count in Counter(found).most_common():
        print(f"traceback, {count} times: {words}")
    print(f"tracebacks: {len(found)}")


if __name__ == "__main__":
    main()
