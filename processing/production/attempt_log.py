"""The log of one attempt: lines of JSON in which worker and chain say what they do, between whatever libraries print.

Written so that it can be read while it grows, and bounded: a line has a length, a process a number of lines.
"""

from __future__ import annotations

import contextlib
import json
import logging
import traceback
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

#: Longest value of a line, and most lines of a process in one log but its last words. [characters, lines]
MAX_VALUE, MAX_LINES = 8_000, 2_000
#: Of a log that is shown, the beginning and the end are read. [bytes]
SHOWN = 400_000


@dataclass(frozen=True)
class Line:
    """One line: `event` says what, `fields` the rest. What a library printed has no time."""

    event: str
    time: str = ""
    level: str = "info"
    fields: dict[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """For a terminal: what belongs together on a line of its own."""
        head = f"{self.time[11:19]} " if self.time else ""
        mark = f"{self.level.upper()} " if self.level in ("warning", "error") else ""
        short = {name: value for name, value in self.fields.items() if not _is_long(value) and name != "traceback"}
        rest = "  ".join(f"{name.replace('_', ' ')} {_words(value)}" for name, value in short.items())
        lines = [f"{head}{mark}{self.event}{': ' if rest else ''}{rest}"]
        lines += [f"    {name}: {_words(value)}" for name, value in self.fields.items() if _is_long(value)]
        lines += str(self.fields.get("traceback", "")).rstrip().splitlines()
        return "\n".join(lines)


def _is_long(value: Any) -> bool:
    return isinstance(value, dict | list) and len(value) > 1


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(inner)}" for name, inner in value.items()) or "-"
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value)) or "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def note(path: Path, event: str, level: str = "info", **fields: Any) -> None:
    """Append a line. A log that can't be written stops nothing."""
    with contextlib.suppress(OSError), path.open("a", encoding="utf-8") as file:
        file.write(_json(event, level, fields))


def _json(event: str, level: str, fields: dict[str, Any]) -> str:
    line = {"ts": datetime.now(UTC).isoformat(timespec="milliseconds"), "level": level, "event": event, **fields}
    return json.dumps({name: _bounded(value) for name, value in line.items()}, default=str) + "\n"


def _bounded(value: Any) -> Any:
    """A value that takes no more than a line's worth; of a long text its end, where a traceback says what it is."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, str):
        return value if len(value) <= MAX_VALUE else "..." + value[-MAX_VALUE:]
    if len(whole := json.dumps(value, default=str)) > MAX_VALUE:
        return whole[:MAX_VALUE] + "..."
    return value


class Writer(logging.Handler):
    """Where the chain's process writes: its own lines, and the records and warnings of the libraries.

    Parameters
    ----------
    stream : file
        Of the process: it goes where the log of the attempt is.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream
        self.lines = 0

    def begin(self) -> None:
        """Another attempt's log begins."""
        self.lines = 0

    def note(self, event: str, level: str = "info", *, last: bool = False, **fields: Any) -> None:
        """Write a line; those beyond the bound are left out, except the `last` one."""
        self.lines += 1
        if self.lines == MAX_LINES + 1:
            self.stream.write(_json("further lines are left out", "warning", {}))
        if self.lines <= MAX_LINES or last:
            self.stream.write(_json(event, level, fields))
            self.stream.flush()

    def emit(self, record: logging.LogRecord) -> None:
        """A record of a logger."""
        try:
            fields: dict[str, Any] = {"logger": record.name}
            if record.exc_info:
                fields["traceback"] = "".join(traceback.format_exception(*record.exc_info))
            self.note(record.getMessage(), record.levelname.lower(), **fields)
        except Exception:  # as of `logging`: what can't be written is no reason to fail
            self.handleError(record)

    def failure(self, error: BaseException, *, bug: bool) -> None:
        """What the chain raised: a failure known by name in one line, a bug with its traceback as well."""
        event = "bug" if bug else "failed"
        fields: dict[str, Any] = {"error": type(error).__name__, "reason": " ".join(str(error).split())}
        self.note(event, "error", last=True, **fields, traceback="".join(traceback.format_exception(error)))


def capture(writer: Writer) -> None:
    """Send what loggers and warnings say to the log, as lines; each warning as often as it is given."""
    logging.basicConfig(level=logging.INFO, handlers=[writer], force=True)
    logging.captureWarnings(True)
    warnings.simplefilter("default")


def read(path: Path) -> Iterator[Line]:
    """The lines of a log; of a very long one its beginning and its end.

    Raises
    ------
    OSError
        If it can't be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        if size <= SHOWN:
            yield from parsed(file.read().decode("utf-8", "replace").splitlines())
            return
        yield from parsed(file.read(SHOWN // 2).decode("utf-8", "replace").splitlines()[:-1])
        yield Line(f"({(size - SHOWN) // 1000} kB are not shown)")
        file.seek(size - SHOWN // 2)
        yield from parsed(file.read().decode("utf-8", "replace").splitlines()[1:])


def parsed(lines: Iterable[str]) -> Iterator[Line]:
    """Lines of JSON as they were noted; others as they are."""
    for text in lines:
        found: Any = None
        if text.startswith("{"):
            with contextlib.suppress(ValueError, RecursionError):
                found = json.loads(text)
        if isinstance(found, dict) and isinstance(found.get("event"), str):
            event, time, level = found.pop("event"), str(found.pop("ts", "")), str(found.pop("level", "info"))
            yield Line(event, time, level, found)
        elif text.strip():
            yield Line(text.rstrip())
