"""Masks made by hand: kept on the grid of their product, refused with the reason, used by `validate clouds`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import rasterio
from rasterio.warp import transform_geom
from shapely import to_wkb
from shapely.geometry import Polygon
from typer.testing import CliRunner

from processing import tiling
from processing.cli import app
from processing.errors import BadArea, InputError, UnknownName
from processing.masks import Cloud
from processing.quality import reference
from processing.settings import Settings
from processing.store import Store, validations, verdicts
from processing.store.models import Product, ReferenceMask, Tile
from processing.validation import reference_masks
from processing.validation.masks import Frame, classes, of_file
from tests import validation_products as made
from tests.dashboard_archive import filled, write_raster
from tests.people import ANNA

SIZE = 64
HAND = "cloud=cloud shadow=dark"


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[tuple[Settings, Store, Product]]:
    settings = Settings(home=tmp_path / "home")
    store = filled(settings, size=SIZE, dates=2)
    with store.read() as session:
        product = session.query(Product).filter(Product.tile == "31TCJ", Product.version == "V1_3").first()
    assert product is not None
    yield settings, store, product
    store.dispose()


def ring(*corners: tuple[float, float]) -> list[tuple[float, float]]:
    """Corners by their offset east and south of the image's corner. [m]"""
    grid = tiling.grid("31TCJ")
    points = [(grid.west + east, grid.north - south) for east, south in corners]
    return [*points, points[0]]


def square(east: float, south: float, side: float) -> list[tuple[float, float]]:
    return ring((east, south), (east + side, south), (east + side, south + side), (east, south + side))


def geojson(path: Path, shapes: list[tuple[list[tuple[float, float]], str]], crs: str | None = None) -> Path:
    """Polygons in longitude and latitude, or in `crs` as they are."""
    grid = tiling.grid("31TCJ")
    features = []
    for corners, kind in shapes:
        geometry: dict[str, Any] = {"type": "Polygon", "coordinates": [corners]}
        if crs is None:
            geometry = transform_geom(grid.crs, "EPSG:4326", geometry)
        features.append({"type": "Feature", "geometry": geometry, "properties": {"class": kind}})
    named = {} if crs is None else {"crs": {"type": "name", "properties": {"name": crs}}}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features, **named}))
    return path


def keep(centre: tuple[Settings, Store, Product], path: Path, meaning: str = HAND) -> ReferenceMask:
    settings, store, product = centre
    return reference.import_file(store, settings, product.identifier, path, classes(meaning), ANNA)


def values(settings: Settings, mask: ReferenceMask) -> np.ndarray:
    with rasterio.open(settings.masks / mask.path) as raster:
        return raster.read(1)


def nothing_kept(centre: tuple[Settings, Store, Product]) -> bool:
    with centre[1].read() as session:
        return not session.query(ReferenceMask).count() and not list(centre[0].masks.rglob("*.*"))


def test_polygons_are_kept_where_they_lie(centre: tuple[Settings, Store, Product], tmp_path: Path) -> None:
    shapes = [(square(100, 40, 200), "cloud"), (square(400, 400, 60), "dark"), (square(0, 600, 40), "smoke")]
    mask = keep(centre, geojson(tmp_path / "hand.geojson", shapes))
    found = values(centre[0], mask)
    assert (found[2:12, 5:15] == reference_masks.VALUES["cloud"]).all()
    assert mask.pixels == {"unobserved": 0, "clear": 32 * 32 - 100 - 9, "cloud": 100, "shadow": 9}
    assert mask.unknown == {"smoke": 4}
    assert reference.remarks(mask) == ["class smoke is not in the mapping: 4 pixels"]
    assert (mask.origin, mask.reader, mask.classes) == ("hand.geojson", "anna", {"cloud": "cloud", "dark": "shadow"})
    assert mask.image == centre[2].identifier.split("_D_V")[0]


def test_a_raster_of_another_grid_is_kept(centre: tuple[Settings, Store, Product], tmp_path: Path) -> None:
    grid = tiling.grid("31TCJ")
    painted = np.ones((SIZE, SIZE), np.uint8)
    painted[:20, :10] = 7
    painted[40:] = 9
    write_raster(tmp_path / "hand.tif", painted, grid.west, grid.north, grid.crs)
    mask = keep(centre, tmp_path / "hand.tif", "cloud=7 clear=1")
    assert mask.pixels == {"unobserved": 12 * 32, "clear": 20 * 32 - 50, "cloud": 50, "shadow": 0}
    assert mask.unknown == {"9": 12 * 32}


def test_a_shapefile_is_kept(centre: tuple[Settings, Store, Product], tmp_path: Path) -> None:
    path, crs = tmp_path / "hand.shp", tiling.grid("31TCJ").crs
    pyogrio.raw.write(
        path,
        geometry=np.array([to_wkb(Polygon(square(0, 0, 100)))], object),
        field_data=[np.array(["cloud"], object)],
        fields=["class"],
        geometry_type="Polygon",
        crs=crs,
    )
    assert keep(centre, path).pixels["cloud"] == 25


def test_a_polygon_that_crosses_itself_is_repaired_and_that_is_said(
    centre: tuple[Settings, Store, Product], tmp_path: Path
) -> None:
    bow = ring((0, 0), (200, 200), (200, 0), (0, 200))
    mask = keep(centre, geojson(tmp_path / "hand.geojson", [(bow, "cloud"), (square(-900, 0, 100), "cloud")]))
    assert mask.notes == [
        "1 of 2 polygons crossed themselves: repaired",
        "1 of 2 polygons lie outside of the image: left out",
    ]
    # two triangles: half of the square
    assert mask.pixels["cloud"] == pytest.approx(50, abs=6)


@pytest.mark.parametrize(
    ("shapes", "crs", "said"),
    [
        ([(square(-5000, 0, 100), "cloud")], None, "does not overlap the image"),
        ([], None, "holds no polygon"),
        ([(square(0, 0, 0), "cloud")], None, "holds an empty polygon"),
        (
            [(square(0, 0, 100), "cloud")],
            "EPSG:999999",
            "projection that is not known by a number of EPSG, EPSG:999999",
        ),
    ],
)
def test_polygons_that_make_no_mask_are_refused(
    centre: tuple[Settings, Store, Product], tmp_path: Path, shapes: list[Any], crs: str | None, said: str
) -> None:
    path = geojson(tmp_path / "hand.geojson", shapes, crs)
    with pytest.raises(InputError, match=said):
        keep(centre, path)
    assert nothing_kept(centre)


@pytest.mark.parametrize("kind", ["line", "empty raster", "foreign", "no projection", "no file"])
def test_files_that_make_no_mask_are_refused(
    centre: tuple[Settings, Store, Product], tmp_path: Path, kind: str
) -> None:
    grid, path = tiling.grid("31TCJ"), tmp_path / "hand.tif"
    if kind == "line":
        path = tmp_path / "hand.geojson"
        line = {"type": "LineString", "coordinates": [[1.5, 43.5], [1.6, 43.6]]}
        path.write_text(json.dumps({"type": "Feature", "geometry": line, "properties": {"class": "cloud"}}))
    elif kind == "empty raster":
        nothing = np.full((SIZE, SIZE), -10000, np.int16)
        write_raster(path, nothing, grid.west, grid.north, grid.crs)
    elif kind == "foreign":
        write_raster(path, np.full((SIZE, SIZE), 9, np.uint8), grid.west, grid.north, grid.crs)
    elif kind == "no projection":
        with rasterio.open(path, "w", driver="GTiff", width=9, height=9, count=1, dtype="uint8") as raster:
            raster.write(np.ones((1, 9, 9), np.uint8))
    said = {
        "line": "holds a LineString",
        "empty raster": "is empty",
        "foreign": "none of its classes",
        "no projection": "has no projection",
        "no file": "is no plain file",
    }
    with pytest.raises(InputError, match=said[kind]):
        keep(centre, path, HAND if kind == "line" else "cloud=1 clear=2" if kind == "foreign" else "cloud=1")
    assert nothing_kept(centre)


def test_drawn_polygons_are_kept_and_faulty_ones_refused(centre: tuple[Settings, Store, Product]) -> None:
    settings, store, product = centre

    def draw(*shapes: tuple[list[tuple[float, float]], str], name: str = product.identifier) -> ReferenceMask:
        polygons = [({"type": "Polygon", "coordinates": [corners]}, kind) for corners, kind in shapes]
        return reference.keep_drawn(store, settings, name, polygons, ANNA)

    for faulty, said in (
        (square(-500, 0, 100), "outside of the tile"),
        (square(5000, 5000, 100), "hold no pixel of the image"),
        (ring((0, 0), (9, 9), (9, 0), (0, 9)), "crosses itself"),
    ):
        with pytest.raises(BadArea, match=said):
            draw((faulty, "cloud"))
    with pytest.raises(BadArea, match="no area is drawn"):
        draw()
    with pytest.raises(UnknownName):
        draw((square(0, 0, 100), "cloud"), name="SENTINEL2X")
    assert nothing_kept(centre)
    mask = draw((square(0, 0, 200), "cloud"), (square(100, 100, 100), "unobserved"))
    assert mask.pixels == {"unobserved": 25, "clear": 32 * 32 - 100, "cloud": 75, "shadow": 0}


def test_what_is_kept_reads_back_as_it_was(centre: tuple[Settings, Store, Product], tmp_path: Path) -> None:
    settings, store, product = centre
    path = geojson(tmp_path / "hand.geojson", [(square(100, 40, 200), "cloud"), (square(400, 400, 60), "dark")])
    keep(centre, geojson(tmp_path / "older.geojson", [(square(0, 0, 60), "cloud")]))
    keep(centre, path)
    with store.read() as session:
        files, meaning = reference_masks.kept(session, settings)
        frame = reference.frame(settings, verdicts.product(session, product.identifier))
    assert len(files) == 1
    first, again = (of_file(p, m, frame, "x") for p, m in ((path, classes(HAND)), (files[0], meaning)))
    np.testing.assert_array_equal(first.cloud, again.cloud)
    np.testing.assert_array_equal(first.shadow, again.shadow)
    finer = of_file(files[0], meaning, Frame(frame.grid, 10), "x")
    assert finer.cloud.sum() == 4 * again.cloud.sum()
    assert not again.unknown


def test_masks_grown_by_different_widths_are_not_mixed(centre: tuple[Settings, Store, Product], tmp_path: Path) -> None:
    settings, store, product = centre
    with store.read() as session:
        with pytest.raises(InputError, match="no mask made by hand"):
            reference_masks.kept(session, settings)
        other = session.query(Product).filter(Product.tile == "31TCJ", Product.sensing > product.sensing).first()
    path = geojson(tmp_path / "hand.geojson", [(square(0, 0, 60), "cloud")])
    keep(centre, path, HAND + " buffer=100")
    reference.import_file(store, settings, other.identifier, path, classes(HAND), ANNA)
    with store.read() as session, pytest.raises(InputError, match="grown by 0, 100 m"):
        reference_masks.kept(session, settings)


def test_the_commands(centre: tuple[Settings, Store, Product], tmp_path: Path) -> None:
    settings, _, product = centre
    home = ("--home", str(settings.home))

    def run(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, [*words, *home])
        assert result.exit_code == code, result.output
        return result.output

    path = geojson(tmp_path / "hand.geojson", [(square(0, 0, 100), "cloud"), (square(200, 0, 20), "smoke")])
    said = run("mask", "import", product.identifier, str(path), "--classes", HAND, "--reader", "anna")
    assert "class smoke is not in the mapping: 1 pixels" in said
    assert "cloud 25" in said
    assert "hand.geojson  anna" in run("mask", "list")
    assert json.loads(run("mask", "list", "--json"))["pixels"]["cloud"] == 25
    run("mask", "import", product.identifier, str(path), "--classes", "nonsense", code=2)


def test_validate_clouds_judges_by_the_kept_masks(centre: tuple[Settings, Store, Product], tmp_path: Path) -> None:
    """Half of a cloud was drawn by hand: the whole command counts the other half as false."""
    settings, store, product = centre
    cloud = np.zeros(made.GRID.shape(20), np.uint8)
    cloud[20:40, 30:50] = Cloud.ANY | Cloud.CLOUD
    folder = made.write(settings.archive, cloud=cloud)
    with store.write() as session:
        session.add(Tile(mgrs="31UER", current_version="V1_4"))
        session.flush()
        row = session.get_one(Product, product.id)
        row.identifier, row.path, row.tile, row.platform, row.version = folder.name, folder.name, "31UER", "S2A", "V1_4"
        row.sensing = datetime.strptime(made.IMAGE.split("_")[1] + "000+0000", "%Y%m%d-%H%M%S-%f%z")
    half = np.full(made.GRID.shape(20), 2, np.uint8)
    half[20:40, 30:40] = 1
    path = made.raster(tmp_path / "hand.tif", half)
    reference.import_file(store, settings, folder.name, path, classes("cloud=1 shadow=3 clear=2"), ANNA)
    result = CliRunner().invoke(
        app,
        ["validate", "clouds", str(folder), "--reference", "kept", "--home", str(settings.home), "--json"]
        + ["--out", str(tmp_path / "out"), "--no-maps"],
    )
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    (direct,) = [r for r in rows if r["image"] and r["subject"] == "cloud" and r["buffer"] is r["ring"] is None]
    assert direct["reference"] == "by hand"
    assert (direct["metrics"]["precision"], direct["metrics"]["recall"]) == (0.5, 1.0)
    with store.read() as session:
        assert {r.reference for r in validations.results(session, "clouds")} == {"by hand"}
