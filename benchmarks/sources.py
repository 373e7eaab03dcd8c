"""Level-1C from a catalogue that fails in all known ways: `python -m benchmarks.sources [--acquisitions N --rows N]`.

A fake of the Copernicus Data Space is served on loopback, with a mirror behind it. Each acquisition has one of the
faults of `KINDS`; further rows, night images, fill the listing beyond the 10,000 that the service pages. The catalogue
as a whole lies about its count, shifts rows between pages, mixes two formats of time, drops its field names for a
while, has too many sessions, and hides rows from one order. What should become of each acquisition is written down
before; what became of it is read from the drop box and the ledger.
Bar: each right, or rejected with the true reason; 0 corrupt accepted, 0 missed, 0 unexplained.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import structlog

from processing.distribution import transfer
from processing.errors import MuscateError
from processing.settings import Settings
from processing.sources.account import Account, Credentials
from processing.sources.fetching import Fetcher, Origin
from processing.sources.ledger import Ledger
from processing.sources.odata import OData
from processing.sources.tree import Tree
from processing.store import Store
from tests.provider.app import FIRST, Provider, Row, served

TILES = ("31TCJ", "31TDJ", "33TWM", "40KCB")
#: Of each kind: what becomes of it, and the reason as a pattern.
KINDS = {
    "": ("fetched", ""),
    "cut": ("fetched", ""),
    "busy": ("fetched", ""),
    "flipped": ("fetched", ""),
    "token ends": ("fetched", ""),
    "token ends in mid-file": ("fetched", ""),
    "wrong size": ("fetched", ""),
    "no size": ("fetched", ""),
    "half tile": ("fetched", ""),
    "late date": ("fetched", ""),
    "unknown satellite": ("fetched", ""),
    "hidden": ("fetched", ""),
    "late sum": ("fetched", ""),
    "never a sum": ("fetched", ""),
    "offline": ("fetched", ""),
    "changed record": ("fetched", ""),
    "appears late": ("fetched", ""),
    "republished": ("fetched", ""),
    "mirrored": ("fetched", ""),
    "wrong sum": ("rejected", r"its md5 is not"),
    "flipped for ever": ("rejected", r"its md5 is not"),
    "flipped at last": ("rejected", r"B02\.jp2|Bad CRC|manifest"),
    "html": ("rejected", r"its md5 is not"),
    "xml inside": ("rejected", r"its md5 is not"),
    "xml inside, no sum": ("rejected", r"damaged|SHA3-256|CRC"),
    "too short": ("rejected", r"its md5 is not"),
    "too short, no sum": ("rejected", r"not a zip|SAFE folder nor a whole zip"),
    "lacks a file": ("rejected", r"lacks B02\.jp2"),
    "another package": ("rejected", r"another package"),
    "gone": ("rejected", r"404 Product not found"),
    "night": ("not wanted", r"INS-RAW"),
    "deleted": ("withdrawn", r"Corrupted product"),
    "published again": ("rejected", r"other bytes under the name"),
}
NO_SUM = ("flipped at last", "xml inside, no sum", "too short, no sum", "never a sum")


def made(acquisitions: int) -> tuple[list[Row], dict[str, str]]:
    """Acquisitions with their faults in turn, and the kind of each by its key."""
    rows, kinds = [], {}
    names = list(KINDS)
    for place in range(acquisitions):
        kind, tile = names[place % len(names)], TILES[place % len(TILES)]
        published = FIRST + timedelta(minutes=30 * place)
        row = Row(str(place), tile, published, kind.removesuffix(", no sum"))
        row.sums = kind not in NO_SUM and kind != "late sum"
        row.mode = "INS-RAW" if kind == "night" else "INS-NOBS"
        row.online = kind != "offline"
        if kind == "unknown satellite":
            row = Row(row.key, tile, published, platform="S2D")
        if kind == "late date":
            row = Row(row.key, tile, published, sensing=FIRST - timedelta(days=90, seconds=place))
        if kind == "half tile":  # its other half has the same time of sensing, and another name
            half = published - timedelta(hours=3)
            other = Row(f"{100_000 + place}", tile, published + timedelta(minutes=4), sensing=half)
            rows.append(other)
            kinds[other.key] = kind
        if kind == "republished":  # the first one was faulty
            again = Row(f"{100_000 + place}", tile, published + timedelta(minutes=9), name=row.name)
            row.fault = "flipped for ever"
            rows.append(again)
        rows.append(row)
        kinds[row.key] = kind
    return rows, kinds


def run(provider: Provider, fetch: Callable[[], Fetcher], kinds: dict[str, str]) -> list[str]:
    """Looks at a catalogue that goes from one trouble to the next; what each look said."""
    by_kind: dict[str, list[Row]] = {}
    for row in provider.rows:
        by_kind.setdefault(kinds.get(row.key, "row"), []).append(row)
    late = by_kind.pop("appears late", [])
    provider.rows = [row for row in provider.rows if row not in late]
    said = []
    for trouble in (
        "changed schema",
        "sessions",
        "order hides",
        "count lies",
        "shifting pages",
        "two time formats",
        "",
    ):
        provider.fault = trouble if trouble != "sessions" else ""
        provider.too_many_sessions = 1 if trouble == "sessions" else 0
        if trouble == "shifting pages":
            _mends(by_kind)
            provider.rows += late
        try:
            said.append(f"{trouble or 'no trouble'}: {_counted(fetch().round(TILES, FIRST - timedelta(days=1)))}")
        except MuscateError as fault:
            said.append(f"{trouble}: {fault}")
    for row in by_kind.get("published again", []):
        provider.rows.append(
            Row(
                str(2_000_000 + int(row.key)),
                row.tile,
                row.published + timedelta(days=1),
                "lacks a file",
                name=row.name,
            )
        )
    for row in by_kind.get("deleted", []):
        row.deleted, row.modified = "Corrupted product", row.modified + timedelta(days=14)
    said.append(f"deleted and published again: {_counted(fetch().round(TILES, FIRST))}")
    before = provider.requests["list"]
    said.append(f"once more: {_counted(fetch().round(TILES, FIRST))} ({provider.requests['list'] - before} requests)")
    return said


def _mends(by_kind: dict[str, list[Row]]) -> None:
    """What comes later: sums, packages that go online again, and records that can be read."""
    for kind in ("late sum", "offline", "changed record"):
        for row in by_kind.get(kind, []):
            row.sums = row.online = True
            row.fault, row.modified = "", row.modified + timedelta(hours=9)


def _counted(fates: list[object]) -> str:
    counts = Counter(getattr(fate, "state", "") for fate in fates)
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "nothing"


def judged(provider: Provider, kinds: dict[str, str], home: Path) -> tuple[Counter[str], list[str]]:
    """How many came out as they should, and what did not, in words."""
    inbox, ledger = home / "inbox", Ledger(home / "sources" / "cdse.jsonl")
    counts: Counter[str] = Counter()
    wrong = []
    good = {row.name: [row.body] for row in provider.rows if row.mode == "INS-NOBS" and row.fault != "lacks a file"}
    rows = {row.key: row for row in provider.rows}
    for path in inbox.glob("*.zip"):
        if path.read_bytes() not in good.get(path.stem, ()):
            counts["corrupt accepted"] += 1
            wrong.append(f"{path.name}: accepted, and not what the catalogue has")
    for key, kind in kinds.items():
        row = rows[key]
        entry = ledger.known.get(str(2_000_000 + int(key)) if kind == "published again" else key)
        state, pattern = KINDS[kind]
        if kind in ("republished", "mirrored"):
            there = (inbox / f"{row.name}.zip").exists() or (inbox / f"{row.name}.SAFE").exists()
            entry = {"state": "fetched" if there else "missed", "reason": ""}
        if entry is None:
            counts["missed"] += 1
            wrong.append(f"{kind} {row.name}: never seen")
        elif entry["state"] != state or not re.search(pattern, entry["reason"]):
            counts["unexplained"] += 1
            wrong.append(f"{kind} {row.name}: {entry['state']} {entry['reason']}")
        elif state == "fetched" and not list(inbox.glob(f"{row.name}.*")):
            counts["missed"] += 1
            wrong.append(f"{kind} {row.name}: fetched, and not there")
        else:
            counts["right"] += 1
    return counts, wrong


def tried(acquisitions: int, rows: int) -> tuple[list[str], Counter[str], list[str]]:
    """A centre that fetches from a catalogue in trouble: what is to be told, counts, and what is wrong in words."""
    made_rows, kinds = made(acquisitions)
    further = [
        Row(f"{1_000_000 + n}", TILES[n % 4], FIRST + timedelta(seconds=30 * (n // 3)), mode="INS-RAW")
        for n in range(rows)
    ]
    provider, begun, days = Provider([*made_rows, *further]), time.monotonic(), [20.0]
    with tempfile.TemporaryDirectory() as folder, served(provider) as address:
        settings = Settings(home=Path(folder) / "home", demonstration=False)
        settings.make_folders()
        store = Store(settings.url)
        store.upgrade()
        mirror = Path(folder) / "mirror"
        for row in (row for row in made_rows if kinds.get(row.key) == "mirrored"):
            place = mirror / f"{row.published:%Y/%m/%d}" / f"{row.name}.zip"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(row.body)
            os.utime(place, (row.published.timestamp(), row.published.timestamp()))
            row.fault = "flipped for ever"

        def fetch() -> Fetcher:
            days[0] += 0.5
            account = Account(f"{address}/token", Credentials("me", "right"))
            catalogue = OData(f"{address}/odata/v1", f"{address}/odata/v1")
            origins = [Origin(catalogue, account), Origin(Tree(mirror, settled=0.0))]
            return Fetcher(settings, store, origins, clock=lambda: FIRST + timedelta(days=days[0]))

        said = run(provider, fetch, kinds)
        counts, wrong = judged(provider, kinds, settings.home)
        entries = Ledger(settings.home / "sources" / "cdse.jsonl").known.values()
        nights = sum("INS-RAW" in entry["reason"] for entry in entries)
        store.dispose()
    said.append(f"{acquisitions} acquisitions of {len(KINDS)} kinds in {len(kinds)} packages")
    seconds = time.monotonic() - begun
    said.append(f"{rows} further rows; {nights} night images recorded as not wanted; {seconds:.0f} s")
    said.append(f"{counts['right']} of {len(kinds)} right or rejected with the true reason")
    said.append(", ".join(f"{counts[what]} {what}" for what in ("corrupt accepted", "missed", "unexplained")))
    return said, counts, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--acquisitions", type=int, default=300)
    parser.add_argument("--rows", type=int, default=12_000)
    options = parser.parse_args()
    transfer.FIRST_WAIT = 0.01
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    said, _, wrong = tried(options.acquisitions, options.rows)
    print("\n".join([*said[:-4], *wrong[:20], *said[-4:]]))
    if wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()
