"""Whether a scene may have too many clouds to be worth its decoding: a first look that costs next to nothing."""

from __future__ import annotations

import numpy as np

from processing.chain import cirrus, subsampling
from processing.scene import Scene
from processing.versions import Parameters

#: A thinned scene must have so much more than the version's `max_cloud_percent` to be given up. [%]
MARGIN = 3.0
#: Top-of-atmosphere reflectance of B1 that hardly anything but cloud, snow and salt has, and the share of such cells
#: from which a closer look is taken. [-]
BRIGHT, SHARE = 0.25, 0.5


def may_be_overcast(scene: Scene, parameters: Parameters) -> bool:
    """Whether half of the scene is bright in B1 or seen in B10. It decides nothing but whether to look closer.

    Parameters
    ----------
    scene : Scene
        A thinned one, of which those two bands are looked up.
    """
    blue, high = (subsampling.of_samples(scene, band, parameters)[0] for band in ("B1", "B10"))
    seen = np.isfinite(blue + high)
    bright = (blue > BRIGHT) | cirrus.detect(high, scene.ancillary.altitude, parameters)
    return bool(np.count_nonzero(bright & seen) > SHARE * np.count_nonzero(seen))
