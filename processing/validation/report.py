"""Results as JSON and CSV, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from processing import spreadsheet
from processing.errors import StorageError


def write(folder: Path, name: str, rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> list[Path]:
    """Write ``<name>.json`` (`about` and the rows) and ``<name>.csv`` (the rows, their figures as columns).

    A row is a mapping of `store.models.Validation`'s columns: its ``metrics`` become columns of their own.

    Raises
    ------
    StorageError
        If the folder can't be written.
    """
    flat = [{**{k: v for k, v in row.items() if k not in ("metrics", "command")}, **row["metrics"]} for row in rows]
    document = {**about, "results": [{k: v for k, v in row.items() if k != "command"} for row in rows]}
    paths = [folder / f"{name}.json", folder / f"{name}.csv"]
    for path, text in zip(
        paths, (json.dumps(document, indent=2, allow_nan=False) + "\n", spreadsheet.as_csv(flat)), strict=True
    ):
        put(path, text.encode())
    return paths


def put(path: Path, content: bytes) -> None:
    """A file whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StorageError(f"{path}: {error.strerror}") from error
