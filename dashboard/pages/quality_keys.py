"""Single keys of the page Quality."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import panel as pn
import param

from dashboard.assets import STATIC
from processing.store.models import REASONS

VERDICT_KEYS = {"g": "good", "s": "suspect", "b": "bad"}
REASON_KEYS = dict(zip("1234567890qwe", REASONS, strict=True))
#: What the other keys do, as on their buttons.
BUTTON_KEYS = {"n": "Later · n", "u": "Undo · u", "d": "Drop area · d", "r": "Keep mask · r"}
#: Keys that change the layers.
LAYER_KEYS = "vf"
#: Label of the field that the key k leads to.
COMMENT = "Comment"


class Keys(pn.custom.JSComponent):
    """Single keys of the page, each with the product that was shown when it was pressed.

    Keys typed into a field are left alone; the reader's name is remembered by the browser. What is seen of the shown
    product is fetched of the next ones meanwhile.
    """

    reader = param.String()
    keys = param.List(default=[])
    field = param.String(default=COMMENT, doc="Label of the field that the key k leads to.")
    ahead = param.List(default=[], doc="Identifier and digest of the products that come next.")

    _esm = STATIC / "quality_keys.js"

    def __init__(self, pressed: Callable[[str, str], None], **params: Any) -> None:
        self._pressed = pressed
        super().__init__(**params)

    def _handle_msg(self, data: Any) -> None:
        self._pressed(str(data["key"]), str(data["product"]))
