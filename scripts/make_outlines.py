"""Make data/outlines/countries.npz, the outlines of countries that the site map is drawn on.

    python scripts/make_outlines.py [countries-50m.json]

Without an argument the npm package world-atlas is fetched with `npm pack` (Natural Earth 1:50m as TopoJSON).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.affinity import translate

PACKAGE = "world-atlas@2.0.2"
OUT = Path(__file__).parent.parent / "data" / "outlines"
TOLERANCE = 0.02  # deg, of the simplification
UNIT = 0.01  # deg, of the stored integers
SMALLEST = 0.002  # deg2, islands below are left out
#: Poleward of this no web map reaches.
WORLD = shapely.box(-180, -85, 180, 85)


def fetch(folder: Path) -> dict[str, Any]:
    name = subprocess.run(
        ["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.split()[-1]
    with tarfile.open(folder / name) as package:
        for member in ("countries-50m.json", "LICENSE"):
            file = package.extractfile(f"package/{member}")
            assert file is not None, f"{PACKAGE} has no {member}"
            (folder / member).write_bytes(file.read())
    (OUT / "LICENSE").write_bytes((folder / "LICENSE").read_bytes())
    topology: dict[str, Any] = json.loads((folder / "countries-50m.json").read_text())
    return topology


def rings(topology: dict[str, Any]) -> Iterator[NDArray[np.float64]]:
    """Closed rings (n, 2) of all countries, enclaves included. [deg] A border is simplified once for both sides."""
    scale, shift = (np.array(topology["transform"][k]) for k in ("scale", "translate"))
    arcs = []
    for deltas in topology["arcs"]:
        arc = np.cumsum(np.array(deltas), axis=0) * scale + shift
        arc[:, 0] = np.unwrap(arc[:, 0], period=360)
        line = shapely.LineString(arc).simplify(TOLERANCE)
        arcs.append(shapely.get_coordinates(line))
    for country in topology["objects"]["countries"]["geometries"]:
        polygons = country["arcs"] if country["type"] == "MultiPolygon" else [country["arcs"]]
        for boundary in chain.from_iterable(polygons):
            parts = [arcs[i] if i >= 0 else arcs[~i][::-1] for i in boundary]
            ring = np.concatenate([parts[0], *(p[1:] for p in parts[1:])])
            if ring[:, 1].max() < -89:  # the pole, drawn as a line of its own
                continue
            ring[:, 0] = np.unwrap(ring[:, 0], period=360)
            if abs(ring[-1, 0] - ring[0, 0]) > 180:  # Antarctica goes around the pole
                ring = np.concatenate([ring, [[ring[-1, 0], -90], [ring[0, 0], -90]]])
            yield ring


def cut(ring: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """The parts of a ring within the world's rectangle, without the edges that only the cut made."""
    if len(ring) < 4:
        return
    shape = shapely.make_valid(shapely.Polygon(ring))
    if shape.area < SMALLEST:
        return
    for turn in (-360, 0, 360):
        for part in shapely.get_parts(shapely.intersection(translate(shape, turn), WORLD)):
            if part.geom_type != "Polygon" or part.area < SMALLEST:
                continue
            yield from coast(np.array(part.exterior.coords))


def coast(ring: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """A closed ring as it is, or opened where it follows the rectangle's border."""
    side = (np.abs(ring[:, 0]) > 179.98) | (ring[:, 1] < -84.98)
    border = side[:-1] & side[1:]
    if not border.any():
        yield ring
        return
    first = int(np.flatnonzero(border)[-1]) + 1
    ring = np.concatenate([ring[first:-1], ring[: first + 1]])
    border = np.concatenate([border[first:], border[:first]])
    for line in np.split(ring, np.flatnonzero(border) + 1):
        if len(line) > 1:
            yield line


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    if len(sys.argv) > 1:
        topology = json.loads(Path(sys.argv[1]).read_text())
    else:
        with tempfile.TemporaryDirectory() as folder:
            topology = fetch(Path(folder))
    separator = np.full((1, 2), np.iinfo(np.int16).min, np.int16)
    lines = []
    for ring in rings(topology):
        for line in cut(ring):
            points = np.rint(line / UNIT).astype(np.int16)
            lines += [points[np.r_[True, np.any(np.diff(points, axis=0), axis=1)]], separator]
    points = np.concatenate(lines[:-1])
    np.savez_compressed(OUT / "countries.npz", points=points, unit=UNIT)
    print(f"{len(lines) // 2} lines, {len(points)} points, {(OUT / 'countries.npz').stat().st_size} bytes")


if __name__ == "__main__":
    main()
