"""Real data for tests, kept beside the repository and never inside it."""

from __future__ import annotations

import os
from pathlib import Path

#: Folder of the shared data; tests that need it skip with a reason where it is absent.
SHARED = Path(os.environ.get("MUSCATE_SHARED", Path(__file__).resolve().parent.parent.parent / "shared"))
