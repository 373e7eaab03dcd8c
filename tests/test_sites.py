"""Sites and outlines ship whole."""

from __future__ import annotations

import numpy as np
import shapely

from processing import tiling
from processing.outlines import outlines
from processing.sites import site_of, sites, theia_tiles


def _parts() -> list[np.ndarray]:
    points = outlines()
    gaps = np.flatnonzero(np.isnan(points[:, 0]))
    return [p[~np.isnan(p[:, 0])] for p in np.split(points, gaps)]


def test_sites_have_codes_tiles_and_an_order() -> None:
    found = sites()
    assert len({s.code for s in found}) == len(found) >= 25
    assert {
        "France",
        "Belgium",
        "Spain",
        "Morocco",
        "Tunisia",
        "Senegal",
        "Burkina Faso",
        "Mali",
        "Madagascar",
        "Ethiopia",
    } <= {s.country for s in found}
    assert all(s.tiles and s.priority >= 1 and all(map(tiling.valid, s.tiles)) for s in found)


def test_a_tile_belongs_to_one_site() -> None:
    tiles = [t for s in sites() for t in s.tiles]
    assert len(set(tiles)) == len(tiles)
    toulouse = site_of("31TCJ")
    assert toulouse is not None
    assert toulouse.name == "Toulouse"
    assert site_of("01LAC") is None


def test_outlines_lie_on_the_globe_and_never_jump() -> None:
    points = outlines()
    assert np.array_equal(np.isnan(points[:, 0]), np.isnan(points[:, 1]))
    assert np.nanmax(np.abs(points[:, 0])) <= 180
    assert np.nanmax(np.abs(points[:, 1])) <= 85
    steps = np.abs(np.diff(points, axis=0))
    assert np.nanmax(steps[:, 0]) < 30  # the border along 49 degrees north
    on_edge = np.abs(points[:, 0]) > 179.98
    assert not (on_edge[:-1] & on_edge[1:]).any()


def test_sites_lie_on_land_that_is_drawn() -> None:
    land = shapely.union_all([shapely.make_valid(shapely.Polygon(p)) for p in _parts() if len(p) > 3])
    for site in sites():
        for tile in site.tiles:
            assert land.intersects(shapely.Polygon(tiling.footprint(tile))), tile


def test_tiles_of_theia_are_tiles_each_named_once() -> None:
    found = theia_tiles()
    assert len(set(found)) == len(found) == 1074
    assert list(found) == sorted(found)
    assert all(map(tiling.valid, found))
    assert {"31TCJ", "32TMM", "40KCB"} <= set(found)
