"""Make the pictures of the help: for each mask bit a place of a simulated product where it is set.

    python scripts/make_help_images.py [--work DIR]

Two series with a known truth are simulated, *truth* (a plain in spring) and *mountains* (with its terrain), and run
through V1_4. For each bit the window is taken in which about a third of the pixels have it; what was found is written
to ``dashboard/static/help/`` as WebP, with ``index.json``: product, window, share. A bit that no date has gets none.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image
from rasterio.windows import Window

from dashboard import theme
from processing.masks import Cloud, Edge, Geophysical, Interpolated
from processing.production import series
from processing.simulation import SERIES, simulate

OUT = Path(__file__).parent.parent / "dashboard" / "static" / "help"
SCENARIOS = ("truth", "mountains")
VERSION = "V1_4"
#: Of each series, from its begin. [px]
DATES, SIZE = 8, 732
#: Side of a window and of its picture. [px]
SIDE, SHOWN = 240, 176
#: Share of the window that the bit best has.
WANTED = 0.3
MASKS = {"CLM": Cloud, "MG2": Geophysical, "IAB": Interpolated, "EDG": Edge}


def products(scenario: str, work: Path) -> list[Path]:
    """The products of a scenario, made if they are not there."""
    l1c, out = work / scenario / "l1c", work / scenario / "l2a"
    if not out.exists():
        packages = simulate(l1c, **(vars(SERIES[scenario]) | {"dates": DATES, "size": SIZE}))
        dem = l1c / "truth" / "dem.tif"
        list(series.process(packages, VERSION, out, dem=dem if dem.exists() else None))
    return sorted(out.glob("SENTINEL2*"))


def read(product: Path, key: str, window: Window | None = None) -> np.ndarray:
    (path,) = product.rglob(f"*_{key}.tif")
    with rasterio.open(path) as source:
        return source.read(1, window=window)


def best(found: list[Path], mask: str, bit: int) -> tuple[Path, int, int, float] | None:
    """Product, row, column and share of the window that shows a bit best."""
    places = []
    for product in found:
        if not list(product.rglob(f"*_{mask}_R1.tif")):
            continue
        plane = (read(product, f"{mask}_R1") & bit) > 0
        if not plane.any():
            continue
        rows, cols = (range(0, size - SIDE + 1, SIDE // 3) for size in plane.shape)
        for row in rows:
            for col in cols:
                share = float(plane[row : row + SIDE, col : col + SIDE].mean())
                if share > 0.002:
                    # a plain is easier to read than mountains under snow
                    far = abs(share - WANTED)
                    places.append((far > 0.15, found.index(product), far, row, col, share, product))
    if not places:
        return None
    *_, row, col, share, product = min(places)
    return product, row, col, share


def picture(product: Path, mask: str, style: theme.BitStyle, row: int, col: int) -> Image.Image:
    """The window in natural colours, darker where the bit is not set, edged in the bit's colour where it is."""
    window = Window(col, row, SIDE, SIDE)
    image = np.stack([read(product, f"SRE_{band}", window) for band in ("B4", "B3", "B2")], axis=-1) / 10000
    shown = (np.clip(image / 0.3, 0, 1) ** 0.7 * 255).astype(np.float64)
    plane = (read(product, f"{mask}_R1", window) & style.bit) > 0
    colour = np.array(theme.rgb(style.colour), float)
    shown[plane] = 0.55 * shown[plane] + 0.45 * colour
    inner = plane.copy()
    for axis in (0, 1):
        for step in (-1, 1):
            inner &= np.roll(plane, step, axis)
    shown[plane & ~inner] = colour
    return Image.fromarray(shown.astype(np.uint8)).resize((SHOWN, SHOWN), Image.Resampling.LANCZOS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, help="Folder that keeps the series; else they are made anew.")
    work = parser.parse_args().work
    with tempfile.TemporaryDirectory() as temporary:
        found = [product for name in SCENARIOS for product in products(name, work or Path(temporary))]
        OUT.mkdir(parents=True, exist_ok=True)
        index = {}
        for mask in MASKS:
            for style in theme.MASKS[mask]:
                name = f"{mask}.{MASKS[mask](style.bit).name}"
                place = best(found, mask, style.bit)
                if place is None:
                    print(f"{name}: no date has it")
                    continue
                product, row, col, share = place
                picture(product, mask, style, row, col).save(OUT / f"{name}.webp", quality=38, method=6)
                index[name] = {"product": product.name, "row": row, "col": col, "share": round(share, 3)}
                print(f"{name}: {product.name} {row},{col}: {100 * share:.1f} %")
        (OUT / "index.json").write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    main()
