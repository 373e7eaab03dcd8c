"""Cloud and shadow masks against a reference.

Masks differ in how far they were grown: MACCS and hand-made ones reach beyond what was seen, Sen2Cor's do not. So they
are compared twice: as they are, and *harmonised*, each grown until all have the same buffer (THEIA, "Quantitative
comparison of cloud masks", 2017).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from processing.chain.dilation import dilate
from processing.validation.confusion import Confusion, confusion
from processing.validation.masks import Mask

#: ``valid``: pixels that are neither cloud nor shadow; the positive class is the *masked* pixel in all three.
SUBJECTS = ("valid", "cloud", "shadow")


@dataclass(frozen=True)
class Comparison:
    """One method against the reference, for one image or (`image` None) several.

    Attributes
    ----------
    buffer : float or None
        All masks were grown to this buffer; None: as they are. [m]
    ring : float or None
        Width of the ring around the reference that was left out. [m]
    images : int
        Number of images in the confusion.
    """

    image: str | None
    method: str
    version: str | None
    subject: str
    buffer: float | None
    ring: float | None
    confusion: Confusion
    images: int = 1


@dataclass(frozen=True)
class Treatment:
    """How masks are brought together to be compared.

    Attributes
    ----------
    buffer : float
        Once more with all masks grown to this buffer. [m]
    ring : float or None
        Once more without the pixels that lie this near to the reference's masked ones. [m]
    sieve : float
        Clouds and shadows smaller than this are dropped before they are grown. [m2]
    resolution : int
        Of the comparison. [m]
    """

    buffer: float = 240.0
    ring: float | None = None
    sieve: float = 0.0
    resolution: int = 20

    def harmonised(self, mask: Mask) -> Mask:
        """A mask grown to the buffer, see `harmonise`."""
        return harmonise(mask, self.buffer, self.resolution, self.sieve)


def harmonise(mask: Mask, buffer: float, resolution: float, sieve: float = 0.0) -> Mask:
    """Grow clouds and shadows until the mask has a buffer; one that has more stays: growth can't be undone.

    Parameters
    ----------
    buffer, resolution : float
        [m]
    sieve : float
        Clouds and shadows smaller than this are dropped before they are grown: a single wrong pixel would become
        a disc. [m2]
    """
    smallest = sieve / resolution**2
    own = mask.buffer, mask.buffer if mask.shadow_buffer is None else mask.shadow_buffer
    if min(own) >= buffer:
        return mask

    def grown(layer: NDArray[np.bool_], has: float) -> NDArray[np.bool_]:
        return dilate(_sieved(layer, smallest), buffer - has, resolution) if has < buffer else layer

    cloud, shadow = grown(mask.cloud, own[0]), None if mask.shadow is None else grown(mask.shadow, own[1])
    return replace(mask, cloud=cloud, shadow=shadow, buffer=max(own[0], buffer), shadow_buffer=max(own[1], buffer))


def _sieved(mask: NDArray[np.bool_], smallest: float) -> NDArray[np.bool_]:
    """A mask without its 8-connected parts of fewer pixels than `smallest`."""
    if smallest <= 1:
        return mask
    _, label, statistics, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    large = statistics[:, cv2.CC_STAT_AREA] >= smallest
    large[0] = False
    kept: NDArray[np.bool_] = large[label]
    return kept


def compare(mask: Mask, reference: Mask, resolution: float, ring: float | None = None) -> dict[str, Confusion]:
    """Confusions by subject, on the pixels that both observed; the positive class is cloud, shadow, or either of them.

    ``shadow`` is compared where neither has a cloud: what lies under a cloud, or under the buffer of one, is not
    a shadow's fault. It and ``valid`` are absent where one of the two knows no shadows; half-shade counts in neither.

    Parameters
    ----------
    ring : float, optional
        Leave out the pixels that lie this near to the reference's masked ones without being masked there. [m]
    """
    both = mask.observed & reference.observed
    layers = {"cloud": (mask.cloud, reference.cloud, both)}
    if mask.shadow is not None and reference.shadow is not None:
        sure = both if reference.half_shade is None else both & ~reference.half_shade
        layers["valid"] = mask.cloud | mask.shadow, reference.cloud | reference.shadow, sure
        layers["shadow"] = mask.shadow, reference.shadow, sure & ~mask.cloud & ~reference.cloud
    found = {}
    for subject in SUBJECTS:
        if subject in layers:
            ours, theirs, among = layers[subject]
            found[subject] = confusion(
                ours, theirs, among if ring is None else among & ~_ring(theirs, ring, resolution)
            )
    return found


def _ring(mask: NDArray[np.bool_], width: float, resolution: float) -> NDArray[np.bool_]:
    return dilate(mask, width, resolution) & ~mask


def compare_image(image: str, masks: Sequence[Mask], reference: Mask, how: Treatment) -> list[Comparison]:
    """All masks of one image against its reference: direct, harmonised, and, if it has a ring, direct without it."""
    grown = [how.harmonised(mask) for mask in masks]
    treatments: list[tuple[Sequence[Mask], Mask, float | None, float | None]] = [
        (masks, reference, None, None),
        (grown, how.harmonised(reference), how.buffer, None),
    ]
    if how.ring is not None:
        treatments.append((masks, reference, None, how.ring))
    return [
        Comparison(image, mask.method, mask.version, subject, to, left_out, counts)
        for judged, against, to, left_out in treatments
        for mask in judged
        for subject, counts in compare(mask, against, how.resolution, left_out).items()
    ]


def overall(comparisons: Iterable[Comparison]) -> list[Comparison]:
    """Sums over the images, each pixel counting once; only of images that every method has, to be comparable."""
    rows = [c for c in comparisons if c.image is not None]
    methods = dict.fromkeys((c.method, c.version) for c in rows)
    sums = []
    for subject in dict.fromkeys(c.subject for c in rows):
        for buffer, ring in dict.fromkeys((c.buffer, c.ring) for c in rows):
            group = [c for c in rows if (c.subject, c.buffer, c.ring) == (subject, buffer, ring)]
            having = {m: {c.image for c in group if (c.method, c.version) == m} for m in methods}
            having = {m: images for m, images in having.items() if images}
            common = set.intersection(*having.values()) if having else set()
            for method, version in having if common else ():
                own = [c for c in group if (c.method, c.version) == (method, version) and c.image in common]
                total = sum((c.confusion for c in own), Confusion())
                sums.append(Comparison(None, method, version, subject, buffer, ring, total, len(own)))
    return sums
