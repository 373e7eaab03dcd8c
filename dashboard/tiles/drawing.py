"""From the rasters of one product or two to an image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dashboard.product_folder import required
from dashboard.rasters import NO_DATA, reading
from dashboard.tiles.images import encoded, png
from dashboard.tiles.layers import LAYERS, endings
from dashboard.tiles.styles import Style

#: Part of every ETag: raise it when a layer is drawn in another way.
RENDERING = "4"


def drawn(
    folder: Path,
    name: str,
    style: Style,
    other: Path | None,
    read: Callable[[Path, int], NDArray[Any] | None],
    margin: int = 0,
) -> bytes | None:
    """Draws what `read` gives, and cuts the margin off."""
    planes = []
    for root in (folder, other) if other else (folder,):
        for ending in endings(name, style):
            path = required(root, ending)
            with reading(path):
                plane = read(path, NO_DATA if "RE_B" in ending else LAYERS[name].fill)
            if plane is None:
                return None
            planes.append(plane)
    layer = LAYERS[name]
    image = layer.draw(np.stack(planes), style)
    image = image[margin : image.shape[0] - margin, margin : image.shape[1] - margin]
    return png(image, smooth=False) if layer.mask else encoded(image, style)
