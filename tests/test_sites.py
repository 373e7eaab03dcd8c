"""Sites and outlines ship whole."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from click.testing import Result
from typer.testing import CliRunner

from processing import tiling
from processing.cli import app
from processing.errors import MuscateError
from processing.outlines import outlines
from processing.production.ingest import prepare
from processing.settings import Settings
from processing.sites import OWN, site_of, sites, theia_tiles
from processing.store import Store, places
from processing.store import sites as stored


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


# Sites of a home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MUSCATE_HOME", str(tmp_path / "home"))  # a command names it to its children
    settings = Settings(home=tmp_path / "home", demonstration=False)
    settings.make_folders()
    store = Store(settings.url)
    store.upgrade()
    prepare(settings, store)
    store.dispose()
    return settings.home


def watched(home: Path) -> set[str]:
    settings = Settings(home=home)
    store = Store(settings.url)
    prepare(settings, store)  # as when the centre starts again
    with store.read() as session:
        found = set(stored.watched(session))
    store.dispose()
    return found


SHIPPED = {tile for site in sites() for tile in site.tiles}
BOX = "POLYGON((178.5 -18.5, -179.5 -18.5, -179.5 -17, 178.5 -17, 178.5 -18.5))"


def asked(home: Path, *words: str) -> Result:
    """`muscate sites`, here."""
    return CliRunner().invoke(app, ["sites", *words, "--home", str(home)])


def test_sites_are_added_listed_and_removed(home: Path) -> None:
    assert watched(home) == SHIPPED
    named = ("--name", 'La "Guyane" \\ été', "--country", "Surinam \U0001f4a5")
    done = asked(home, "add", "surinam", "--tile", "T21NTG", "--tile", "21nug", "--tile", "31TCJ", *named)
    assert (done.exit_code, done.stdout) == (0, "surinam: 2 tiles\n")
    assert "31TCJ (toulouse)" in done.stderr
    assert asked(home, "add", "theia").exit_code == 0
    every = SHIPPED | {"21NTG", "21NUG"} | set(theia_tiles())
    assert watched(home) == every
    listed = [json.loads(line) for line in asked(home, "list", "--json").stdout.splitlines()]
    assert [one["name"] for one in listed if one["code"] == "surinam"] == ['La "Guyane" \\ été']
    assert sum(len(one["tiles"]) for one in listed) == len(every)
    assert asked(home, "remove", "theia").exit_code == 0
    assert watched(home) == SHIPPED | {"21NTG", "21NUG"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("x", "--tile", "99ZZZ"), "99ZZZ"),
        (("x",), "no tile to add"),
        (("toulouse", "--tile", "21NTG"), "ships with the program"),
        (("Not A Code", "--tile", "21NTG"), "no code of a site"),
        (("x", "--tile", "21NTG", "--name", "\udcff"), "no name that can be shown"),
        (("x", "--tile", "21NTG", "--country", "a\nb"), "no name that can be shown"),
        (("x", "--tile", "21NTG", "--name", "a" * 5000), "no name that can be shown"),
        (("x", "--area", "POLYGON((1 43, 2 44, 2 43, 1 44, 1 43))"), "Self-intersection[1.5 43.5]"),
        (("x", "--area", "POLYGON((-60 -60, 60 -60, 60 60, -60 60, -60 -60))"), "larger than 90 degrees"),
    ],
)
def test_a_site_that_is_none_is_refused_in_one_line(home: Path, words: tuple[str, ...], said: str) -> None:
    fault = asked(home, "add", *words).exception
    assert isinstance(fault, MuscateError)
    assert said in str(fault)
    assert "\n" not in str(fault)
    assert not (home / OWN).exists()


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe{", b"", b"{" * 100_000, b'{"a":' * 100_000, b'{"features": 5}', b'{"features": {"a": 1}}', b"[]", None],
)
def test_an_area_in_a_file_that_is_none_is_refused(home: Path, tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "area.geojson"
    with file.open("wb") as out:
        out.truncate(10**13) if content is None else out.write(content)
    fault = asked(home, "add", "x", "--area", str(file)).exception
    assert isinstance(fault, MuscateError)
    assert "--area" in str(fault)
    assert "\n" not in str(fault)


def test_an_area_may_be_longer_than_a_name_of_a_file(home: Path) -> None:
    ring = [(7.3 + n / 1000, 45.5 + n * (60 - n) / 10_000) for n in range(61)]
    wkt = f"POLYGON(({', '.join(f'{lon:.4f} {lat:.4f}' for lon, lat in [*ring, ring[0]])}))"
    assert len(wkt) > 500
    assert asked(home, "add", "aosta", "--area", wkt).exit_code == 0


def test_a_file_of_sites_that_is_spoilt_is_told(home: Path) -> None:
    (home / OWN).write_text("[x]\nname = 3\n")
    fault = asked(home, "list").exception
    assert isinstance(fault, MuscateError)
    assert OWN in str(fault)


@pytest.mark.parametrize(
    "area",
    [
        BOX,
        "POLYGON((178.5 -18.5, 180.5 -18.5, 180.5 -17, 178.5 -17, 178.5 -18.5))",
        "POLYGON((-181.5 -18.5, -179.5 -18.5, -179.5 -17, -181.5 -17, -181.5 -18.5))",
        "MULTIPOLYGON(((178.5 -18.5, 180 -18.5, 180 -17, 178.5 -17, 178.5 -18.5)),"
        "((-180 -18.5, -179.5 -18.5, -179.5 -17, -180 -17, -180 -18.5)))",
    ],
)
def test_an_area_across_the_antimeridian_has_its_tiles(home: Path, area: str) -> None:
    assert asked(home, "add", "fiji", "--area", area).exit_code == 0
    found = watched(home) - SHIPPED
    assert {"01KAB", "60KYF"} <= found
    assert {tile[:2] for tile in found} == {"01", "60"}


def test_tiles_of_a_box_are_those_that_touch_it() -> None:
    """Each of THEIA's in France, under its own name where two bands share a square; and none twice."""
    box = shapely.box(-5, 42, 8.5, 51)
    found = places.touching(tiling.between(*box.bounds), box)
    assert places.touching(theia_tiles(), box) <= found
    grids = [(tiling.grid(tile).crs, tiling.grid(tile).west, tiling.grid(tile).north) for tile in found]
    assert len(set(grids)) == len(grids)
    assert "31UDP" in found
