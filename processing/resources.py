"""Where the data that ship with the product lie: in the checkout, or inside the installed wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGED = Path(__file__).parent / "_data"
#: The repository's ``data/`` folder, or its copy in the wheel.
DATA = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parent.parent / "data"
