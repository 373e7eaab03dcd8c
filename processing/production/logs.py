"""Logs: JSON lines in ``logs/<part>.log``, readable lines on stderr."""

from __future__ import annotations

import logging
import sys
from logging.handlers import RotatingFileHandler

import structlog

from processing.settings import Settings

#: A part's log is turned over at this size [bytes], and so many old ones are kept.
MAX_BYTES, KEPT = 50_000_000, 3


def start(settings: Settings, part: str) -> None:
    """Send the logs of this process, structlog's and the standard library's, to both places."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.format_exc_info,
    ]
    file = RotatingFileHandler(settings.logs / f"{part}.log", maxBytes=MAX_BYTES, backupCount=KEPT, encoding="utf-8")
    console = logging.StreamHandler()
    strip = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    for handler, renderer in (
        (file, structlog.processors.JSONRenderer(default=str)),
        (console, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), timestamp_key="ts")),
    ):
        formatter = structlog.stdlib.ProcessorFormatter(processors=[strip, renderer], foreign_pre_chain=shared)
        handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[file, console], force=True)
    for noisy in ("distributed", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
