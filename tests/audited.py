"""A store whose centre has to be sound once a test is over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from processing.production import operations
from processing.settings import Settings
from processing.store import Store


@contextmanager
def audited(settings: Settings) -> Iterator[Store]:
    """The store of a home: what the audit finds in it at the end is a fault."""
    store = Store(settings.url)
    store.upgrade()
    yield store
    assert operations.audit(store, settings) == []
    store.dispose()
