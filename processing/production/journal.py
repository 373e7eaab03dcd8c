"""What the store alone knows, written beside the products: events and verdicts, so that a lost store can be restored.

Two files in the archive's ``.journal/`` that are only ever appended to, one JSON object a line, each with its key in
the store; products are named by identifier and revision.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing.product import disk
from processing.settings import Settings
from processing.store import Store
from processing.store.dialect import now
from processing.store.models import Event, Product, Verdict

#: In the archive.
JOURNAL = ".journal"
EVENTS = ("time", "kind", "severity", "tile", "version", "actor", "origin", "data")
VERDICTS = ("verdict", "reasons", "areas", "crs", "comment", "reader", "time")
#: Rows that are read and written at once.
BATCH = 5000
#: Lines of one round, and how old they have to be.
MOST, SETTLED = 100_000, timedelta(minutes=1)
#: More than the longest line has. [bytes]
TAIL = 1 << 22


def export(store: Store, settings: Settings, most: int = MOST, settled: timedelta = SETTLED) -> int:
    """Append what is new; how many lines.

    Parameters
    ----------
    most : int
        Of each file, about; the next time goes on.
    settled : timedelta
        Rows are left alone until they are so old: those of a transaction that is under way may still come before them.

    Raises
    ------
    StorageError, StoreError
        If the archive can't be written or the store not be read; the next time does the rest.
    """
    written = 0
    for table, columns in ((Event, EVENTS), (Verdict, VERDICTS)):
        path = settings.archive / JOURNAL / f"{table.__tablename__}s.jsonl"
        with disk.storing(path):
            last = _last(path)
        lines: list[dict[str, Any]] = []
        for _ in range(-(-most // BATCH)):
            with store.read() as session:
                lines = list(_lines(session, table, columns, last, now(session) - settled))
            if not lines:
                break
            with disk.storing(path):
                _append(path, lines)
            last = lines[-1]["id"]
            written += len(lines)
    return written


def _lines(
    session: Session, table: Any, columns: Iterable[str], last: int, before: datetime
) -> Iterator[dict[str, Any]]:
    query = (
        sa.select(table, Product.identifier, Product.revision)
        .outerjoin(Product, Product.id == table.product_id)
        .where(table.id > last, table.time <= before)
        .order_by(table.id)
        .limit(BATCH)
    )
    for row, identifier, revision in session.execute(query):
        values = {name: getattr(row, name) for name in columns}
        values["time"] = row.time.isoformat()
        yield {"id": row.id, **values, "product": None if identifier is None else [identifier, revision]}


def _append(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    made = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        # A line that was cut short by a crash stays alone, and is left out when it is read.
        torn = file.tell() and not _ends(path)
        file.write((b"\n" if torn else b"") + b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())
    if made:
        disk.sync(path.parent)


def _ends(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


def _last(path: Path) -> int:
    """The key of the last whole line."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        lines = [_parsed(line) for line in file.read().splitlines()]
    return max((line["id"] for line in lines if line), default=0)


def read(settings: Settings, table: type[Event | Verdict]) -> Iterator[dict[str, Any]]:
    """The lines of events or verdicts in the order of their keys, `time` as a time.

    One that was cut short is left out, and one that two hosts wrote at once comes once.

    Raises
    ------
    StorageError
        If they can't be read.
    """
    path = settings.archive / JOURNAL / f"{table.__tablename__}s.jsonl"
    if not path.exists():
        return
    last = 0
    with disk.storing(path), path.open("rb") as file:
        for line in file:
            found = _parsed(line)
            if found is not None and found["id"] > last:
                last = found["id"]
                yield found | {"time": datetime.fromisoformat(found["time"])}


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and {"id", "time"} <= found.keys() else None
