"""What `processing.simulation` knows of the clouds and shadows of its images, and how well masks find each kind.

Masks are grown on purpose and truth is not, so the ring around the truth is left out of what is called accuracy; the
direct figures are kept beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.warp import Resampling, reproject

from processing.chain.dilation import dilate
from processing.errors import InputError
from processing.validation.clouds import Comparison
from processing.validation.confusion import Confusion, confusion
from processing.validation.masks import Frame, Mask

#: Optical thickness of a thick cloud, as the simulation says it. [-]
THICK = 3.6
#: Ground that has lost less of the direct light is lit; what has lost more and is no shadow is half-shade. [%]
LIT = 10
#: Kind of a cloud of ice, as the simulation numbers it.
CIRRUS = 4
#: Cell in which false shadows are counted. [m]
CELL = 240
#: What is judged beside clouds and shadows; the first three on the clouds of their kind alone, so that their accuracy
#: is their recall; "clear date" on images without any cloud; "false shadow" by cells far from any cloud and shadow.
SUBJECTS = ("thick cloud", "thin cloud", "cirrus", "clear date", "false shadow")


@dataclass(frozen=True)
class Truth:
    """The truth of one image on a frame.

    Attributes
    ----------
    mask : Mask
        All clouds, and the ground that they shade.
    kinds : dict of str to (row, col) bool
        Clouds apart: ``thick cloud`` (all that is so together), ``thin cloud``, ``cirrus`` (thin ones of ice).
    """

    mask: Mask
    kinds: dict[str, NDArray[np.bool_]]


def read(clouds: Path, frame: Frame) -> Truth:
    """The truth of an image.

    Parameters
    ----------
    clouds : Path
        ``clouds_10m.tif`` of the simulation; ``shadows_10m.tif`` lies beside it.

    Raises
    ------
    InputError
        If a file can't be read, is not of the simulation, or does not overlap the frame.
    """
    label, thickness, kind = _bands(clouds, ("class", "optical_thickness_0.01", "kind"), frame)
    shadow, shade = _bands(clouds.with_name("shadows_10m.tif"), ("shadow", "shade_percent"), frame)
    observed = label >= 0
    if not observed.any():
        raise InputError(clouds, "does not overlap the image")
    cloud = label > 0
    thick = cloud & (thickness >= 100 * THICK)
    cirrus = cloud & ~thick & (kind == CIRRUS)
    half = (shadow == 0) & (shade >= LIT)
    mask = Mask("truth", cloud, (shadow > 0) & ~cloud, observed, half_shade=half)
    return Truth(mask, {"thick cloud": thick, "thin cloud": cloud & ~thick & ~cirrus, "cirrus": cirrus})


def _bands(path: Path, names: Sequence[str], frame: Frame) -> list[NDArray[np.int16]]:
    """Bands by name on the frame by the nearest pixel, -1 where there is none."""
    found = []
    try:
        with rasterio.open(path) as file:
            if missing := set(names) - set(file.descriptions):
                raise InputError(path, f"has no {', '.join(sorted(missing))}: not of muscate simulate")
            for name in names:
                onto = np.full(frame.shape, -1, np.int16)
                reproject(
                    file.read(file.descriptions.index(name) + 1).astype(np.int16),
                    onto,
                    src_transform=file.transform,
                    src_crs=file.crs,
                    dst_transform=frame.transform,
                    dst_crs=frame.grid.crs,
                    dst_nodata=-1,
                    init_dest_nodata=True,
                    resampling=Resampling.nearest,
                )
                found.append(onto)
    except RasterioError as error:
        raise InputError(path, f"can't be read: {error}") from error
    return found


def compare(image: str, masks: Sequence[Mask], truth: Truth, resolution: int) -> list[Comparison]:
    """Each of `SUBJECTS` of one image, as far as it has any."""
    rows = []
    for mask in masks:
        found: dict[str, Confusion] = {}
        both = mask.observed & truth.mask.observed
        for name, kind in truth.kinds.items():
            found[name] = confusion(mask.cloud, kind, both & kind)
        if not truth.mask.cloud.any():
            found["clear date"] = confusion(mask.cloud, truth.mask.cloud, both)
        if mask.shadow is not None:
            found["false shadow"] = _false_shadows(mask, truth.mask, both, resolution)
        rows += [
            Comparison(image, mask.method, mask.version, subject, None, None, counts)
            for subject, counts in found.items()
            if counts.pixels
        ]
    return rows


def _false_shadows(mask: Mask, truth: Mask, both: NDArray[np.bool_], resolution: int) -> Confusion:
    """Cells in shadow for the mask that hold neither cloud nor shadow nor lie within a cell of one."""
    assert mask.shadow is not None
    assert truth.shadow is not None
    assert truth.half_shade is not None
    far = ~dilate(truth.cloud | truth.shadow | truth.half_shade, CELL, resolution) & both
    rows, cols = (max(1, round(n * resolution / CELL)) for n in far.shape)

    def cells(values: NDArray[np.bool_]) -> NDArray[np.bool_]:
        share = cv2.resize(values.astype(np.float32), (cols, rows), interpolation=cv2.INTER_AREA)
        return np.asarray(share > 0.5, bool)

    shaded = cells(mask.shadow & far)
    return confusion(shaded, np.zeros_like(shaded), cells(far))


#: Figures of the table: title, subject, treatment, name of the metric.
_FIGURES = (
    ("cloud: overall accuracy without the ring", "cloud", "ring", "overall_accuracy"),
    ("cloud: overall accuracy, direct", "cloud", "direct", "overall_accuracy"),
    ("cloud: overall accuracy, all grown alike", "cloud", "grown", "overall_accuracy"),
    ("cloud: recall of thick clouds", "thick cloud", "direct", "recall"),
    ("cloud: recall of thin clouds", "thin cloud", "direct", "recall"),
    ("cloud: recall of cirrus", "cirrus", "direct", "recall"),
    ("cloud: false on clear dates", "clear date", "direct", "false_alarm_rate"),
    ("shadow: precision without the ring", "shadow", "ring", "precision"),
    ("shadow: recall", "shadow", "ring", "recall"),
    ("shadow: F1 without the ring", "shadow", "ring", "f1"),
    ("shadow: F1, direct", "shadow", "direct", "f1"),
    ("shadow: false cells of 240 m", "false shadow", "direct", "false_alarms"),
    ("valid pixels: overall accuracy without the ring", "valid", "ring", "overall_accuracy"),
    ("valid pixels: overall accuracy, all grown alike", "valid", "grown", "overall_accuracy"),
)
#: Those that are printed for each image, too.
_BY_IMAGE = (0, 6, 9, 11)


def table(rows: Iterable[dict[str, Any]]) -> list[str]:
    """Lines with the figures of all methods side by side: over all images, then some of them for each image."""
    rows = list(rows)
    methods = list(dict.fromkeys(row["method"] for row in rows))

    def treatment(row: dict[str, Any]) -> str:
        return "grown" if row["buffer"] is not None else "direct" if row["ring"] is None else "ring"

    def values(image: str | None, subject: str, treated: str, metric: str) -> list[str]:
        of = {
            row["method"]: row["metrics"].get(metric)
            for row in rows
            if (row["image"], row["subject"], treatment(row)) == (image, subject, treated)
        }
        texts = (of.get(method) for method in methods)
        return ["-" if v is None else f"{v:.4f}" if isinstance(v, float) else str(v) for v in texts]

    body = [["all images", *methods]]
    body += [[title, *values(None, subject, treated, metric)] for title, subject, treated, metric in _FIGURES]
    for title, subject, treated, metric in (_FIGURES[place] for place in _BY_IMAGE):
        body += [[], [title, *methods]]
        for image in dict.fromkeys(row["image"] for row in rows if row["image"]):
            of = values(image, subject, treated, metric)
            if set(of) != {"-"}:
                body.append([f"  {image}", *of])
    widths = [max(len(line[i]) for line in body if line) for i in range(len(methods) + 1)]
    return ["  ".join(t.ljust(w) for t, w in zip(line, widths, strict=False)).rstrip() for line in body]
