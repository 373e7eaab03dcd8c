"""HTML in which a click chooses something."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import panel as pn
import param

from dashboard.assets import STATIC
from dashboard.frame import CSS


class Choice(pn.custom.JSComponent):
    """Shows HTML; a click on a link that bears ``data-choice`` says so to the page, which stays open.

    The link has an address too, for those who open it beside.
    """

    content = param.String(doc="Ready HTML.")
    style = param.String(default=CSS)

    _esm = STATIC / "choice.js"

    def __init__(self, chosen: Callable[[str], None], **params: Any) -> None:
        self._chosen = chosen
        super().__init__(**{"sizing_mode": "stretch_width", "margin": (4, 0), **params})

    def _handle_msg(self, data: Any) -> None:
        self._chosen(str(data["choice"]))
