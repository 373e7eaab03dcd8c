"""Pages that were closed are gone: sessions leave nothing behind, whether their browser came or not."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import session_memory
from processing.settings import Settings
from tests.dashboard_archive import filled
from tests.web_server import serving


@pytest.mark.slow
def test_closed_sessions_give_their_memory_back(tmp_path: Path) -> None:
    """Of forty sessions less than one in two is left: each leaves some MB where something keeps it.

    As many go before, with which the heap grows, by more than this looks for: `benchmarks.session_memory` tells.
    """
    settings = Settings(home=tmp_path / "home")
    filled(settings, size=64, dates=2).dispose()
    with serving(settings.home) as server:
        found = session_memory.measured(server, "quality", 40, before=40)
    assert found.growth < session_memory.BAR, found
