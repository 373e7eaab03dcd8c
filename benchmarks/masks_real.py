"""Masks of the versions, and of other people's detectors, against masks that others made of real images.

    python -m benchmarks.masks_real L1C --reference reference_masks.tif
    python -m benchmarks.masks_real CHIP --reference reference_masks.tif --classes 'cloud=4 shadow=0 clear=1,2,3'

Masks differ in their buffers, so all are held against the reference in several ways: as they are; without a ring around
the reference's clouds and shadows; all without any buffer (ours found once more, from the same past, and not grown);
all grown to one; and this without specks, of which growth makes discs. Shadows are judged where a method has no cloud:
who has fewer false clouds has more to judge, so they are also judged where none has any, without the ring. Dates
without a product are named and left out. The reference of an image lies in L1C/reference/IMAGE.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from processing import chain
from processing.ancillary import ancillary
from processing.l1c import Granule, granules
from processing.masks import Cloud
from processing.scene import L2A
from processing.validation.clouds import Comparison, Treatment, compare_image, overall
from processing.validation.comparators import COMPARATORS
from processing.validation.masks import Frame, Mask, classes, of_file
from processing.versions import parameters

#: Of the comparison. [m]
RESOLUTION = 20
SHOWN = ("overall_accuracy", "omission", "commission", "f1", "false_alarm_rate")


def of_result(method: str, l2a: L2A, buffers: tuple[float, float]) -> Mask:
    """The mask of a date as its product would hold it, at 20 m."""
    bits, edge = l2a.cloud["R2"], l2a.edge["R2"]
    cloud = bits & (Cloud.CLOUD | Cloud.THINNEST | Cloud.HIGH) != 0
    sought = "CLM.SHADOW" not in l2a.absent
    shadow = (bits & (Cloud.SHADOW | Cloud.SHADOW_OUTSIDE) != 0) & ~cloud if sought else None
    return Mask(method, cloud, shadow, edge == 0, buffers[0], shadow_buffer=buffers[1])


def ours(series: list[Granule], version: str, dem: Path | None) -> tuple[dict[str, Mask], dict[str, Mask]]:
    """Masks of the dates that give a product, by image: as they are, and not grown."""
    numbers, state = parameters(version), None
    grown, bare = {}, {}
    for granule in series:
        given = ancillary(granule.grid, numbers.coarse_resolution, dem, ecmwf=granule.ecmwf())
        with granule.decoded(2, None) as scene_of:
            scene = scene_of(given)
            counts, detectors, defective = (
                {band: np.asarray(raster) for band, raster in kind.items()}
                for kind in (scene.counts, scene.detectors, scene.defective)
            )
            scene = replace(scene, counts=counts, detectors=detectors, defective=defective)
        l2a, after = chain.correct(scene, state, numbers)
        if l2a.status == "valid":
            grown[granule.identifier] = of_result(version, l2a, numbers.buffers)
            bared = {"mask_buffers": (0.0, 0.0)} if numbers.mask_buffers else {"cloud_dilation": 0.0}
            without, _ = chain.correct(scene, state, replace(numbers, **bared))
            if without.status == "valid":
                bare[granule.identifier] = of_result(version, without, (0.0, 0.0))
        state = after or state
    return grown, bare


def table(title: str, rows: list[Comparison], each: bool) -> None:
    print(f"\n{title}\n{'image':10}{'subject':8}{'method':22}" + "".join(f"{n.replace('_', ' '):>18}" for n in SHOWN))
    shown = overall(rows) + (rows if each else [])
    for row in sorted(shown, key=lambda row: (row.image or "", row.subject)):
        figures = row.confusion.metrics()
        texts = ("-" if figures[name] is None else f"{figures[name]:.4f}" for name in SHOWN)
        image = (row.image or "").split("_MSIL1C_")[-1][:8] or f"all {row.images}"
        print(f"{image:10}{row.subject:8}{row.method:22}" + "".join(f"{text:>18}" for text in texts), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of Level-1C packages of one tile")
    parser.add_argument("--reference", default="reference_masks.tif", help="name of the file of each image")
    parser.add_argument("--classes", default="scl", help="as of `muscate validate clouds`")
    parser.add_argument("--dem", type=Path)
    parser.add_argument("--versions", nargs="*", default=["V1_4", "V2_0"])
    parser.add_argument("--comparators", nargs="*", default=[], choices=list(COMPARATORS))
    parser.add_argument("--buffer", type=float, default=240.0, help="that all masks are grown to [m]")
    parser.add_argument("--sieve", type=float, default=20000.0, help="size of a speck [m2]")
    parser.add_argument("--each", action="store_true", help="also the dates")
    options = parser.parse_args()
    found = (granule for package in sorted(options.folder.glob("*.SAFE")) for granule in granules(package))
    series = sorted(found, key=lambda granule: granule.sensing)
    versions = [ours(series, version, options.dem) for version in options.versions]
    ways: dict[str, list[Comparison]] = {}
    for granule in series:
        image, frame = granule.identifier, Frame(granule.grid, RESOLUTION)
        if missing := [v for v, (grown, _) in zip(options.versions, versions, strict=True) if image not in grown]:
            print(f"{image}: no product of {', '.join(missing)}")
            continue
        path = options.folder / "reference" / image / options.reference
        reference = of_file(path, classes(options.classes), frame, "reference")
        others = [COMPARATORS[name](granule, frame) for name in options.comparators]
        masks = [grown[image] for grown, _ in versions] + others
        bare = [own[image] for _, own in versions if image in own]
        sieved = Treatment(options.buffer, sieve=options.sieve, resolution=RESOLUTION)
        sifted = compare_image(image, masks, reference, sieved)
        for row in compare_image(
            image, masks, reference, Treatment(options.buffer, options.buffer, resolution=RESOLUTION)
        ):
            grown = f"all grown to {options.buffer:g} m"
            ringed = f"without a ring of {options.buffer:g} m" if row.ring is not None else "as they are"
            ways.setdefault(ringed if row.buffer is None else grown, []).append(row)
        ways.setdefault(f"all grown to {options.buffer:g} m, without specks below {options.sieve:g} m2", []).extend(
            row for row in sifted if row.buffer is not None
        )
        covered = np.logical_or.reduce([mask.cloud for mask in masks])
        same = [replace(mask, cloud=covered) for mask in masks]
        ways.setdefault("shadows where none has a cloud", []).extend(
            row
            for row in compare_image(image, same, reference, Treatment(0.0, options.buffer, resolution=RESOLUTION))
            if row.subject == "shadow" and row.ring is not None
        )
        ways.setdefault("not grown", []).extend(
            row
            for row in compare_image(image, bare, reference, Treatment(0.0, resolution=RESOLUTION))
            if row.buffer is None
        )
    for title, some in ways.items():
        table(title, some, options.each)


if __name__ == "__main__":
    main()
