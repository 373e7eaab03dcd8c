"""Those who asked are told of each product of their site or tile, published, withdrawn, reinstated.

Told at least once: the place in the events is kept after an address took them, and it knows what it had by a key.
"""

from __future__ import annotations

import json
import threading

import structlog

from processing.alerts import senders
from processing.errors import StoreError, Unreachable
from processing.settings import Settings
from processing.store import Store, webhooks

log = structlog.get_logger(__name__)

#: Between two looks. [s]
EVERY = 5.0


def tell(store: Store) -> int:
    """Call all that are due; how many took it."""
    with store.read() as session:
        calls = webhooks.due(session)
    told = 0
    for call in calls:
        body = json.dumps({"products": call.told}).encode()
        try:
            senders.post(call.url, body, f"muscate-{call.key}-{call.last}", call.secret)
        except Unreachable as fault:
            log.warning("webhook", number=call.key, reason=str(fault))
            with store.write() as session:
                webhooks.failed(session, call.key, str(fault))
            continue
        with store.write() as session:
            webhooks.called(session, call.key, call.last)
        told += 1
    return told


def run(settings: Settings, stop: threading.Event) -> None:
    """Call until stopped."""
    store = Store(settings.url)
    while not stop.wait(EVERY):
        try:
            tell(store)
        except StoreError as fault:
            log.error("webhooks", reason=str(fault))
    store.dispose()
