"""Other people's programs, unmodified, on the products and the catalogue of a centre that is really served."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pystac_client
import pytest
import rasterio
import rasterio.transform
import rasterio.warp

from dashboard import stac
from processing import tiling
from processing.product import names
from processing.production import janitor
from processing.settings import Settings
from processing.store import Store
from tests.browser import free_port
from tests.dashboard_archive import fields, filled, write_raster
from tests.web_server import plain_routes

#: What other people's programs will have to change one day is not for these tests.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:Some statistics data"
)
#: GDAL on the network: the program itself keeps it off.
NETWORK = {"GDAL_HTTP_PROXY": "", "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".tif"}
SIZE = 66


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Store, Settings]]:
    """Address, store and settings of a centre whose products have a band of 20 m, and rows about their folders."""
    settings = Settings(home=tmp_path_factory.mktemp("home"), port=free_port())
    store = filled(settings, size=SIZE)
    for folder in settings.archive.glob("*/*/SENTINEL2*"):
        grid = tiling.grid(folder.name.split("_")[3][1:])
        counts = np.round(3000 * fields(SIZE // 2, 5)).astype(np.int16)
        counts[:3] = -10000
        place = {"west": grid.west, "north": grid.north, "crs": grid.crs, "resolution": 20}
        write_raster(folder / names.file_path(folder.name, "SRE_B11"), counts, **place)
    assert janitor.describe_some(store, settings, 1000) > 20
    assert janitor.describe_some(store, settings, 1000) == 0
    with plain_routes(settings, store) as address:
        yield address, store, settings
    store.dispose()


def client(name: str) -> Any:
    """Somebody's program, where it is installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        pytest.skip(f"{name} not here: pip install 'muscate[clients]'")


def an_item(address: str, **wanted: Any) -> Any:
    return next(pystac_client.Client.open(f"{address}/stac").search(**wanted).items())


def own_pixels(settings: Settings, name: str, key: str) -> tuple[np.ndarray, Any]:
    """What rasterio reads in the archive, and where it lies."""
    (folder,) = settings.archive.glob(f"*/*/{name}")
    with rasterio.open(folder / names.file_path(name, key)) as raster:
        return raster.read(), (raster.crs, raster.transform)


RASTERS = ("SRE_B4", "SRE_B11", "CLM_R1", "ATB_R1")


@pytest.mark.parametrize("key", RASTERS)
def test_each_raster_says_its_own_grid(centre: tuple[str, Store, Settings], key: str) -> None:
    address, _, settings = centre
    item = an_item(address)
    pixels, (crs, transform) = own_pixels(settings, item.id, key)
    asset = item.assets[key].extra_fields
    assert asset["proj:shape"] == list(pixels.shape[1:])
    assert asset["proj:transform"] == list(transform)[:6]
    assert asset["proj:code"] == crs.to_string()
    assert asset["gsd"] == transform.a
    assert asset["data_type"] == str(pixels.dtype)
    assert asset.get("nodata") == {"SRE": -10000}.get(key[:3])
    assert len(asset["bands"]) == len(pixels)


@pytest.mark.parametrize("key", RASTERS)
def test_gdal_reads_by_stac_what_rasterio_reads(centre: tuple[str, Store, Settings], key: str) -> None:
    """The driver STACIT takes the grid from the item, not from the file: a wrong one gives wrong pixels, silently."""
    address, _, settings = centre
    item = an_item(address)
    pixels, (crs, transform) = own_pixels(settings, item.id, key)
    source = f'STACIT:"{address}/stac/search?ids={item.id}":asset={key}'
    with rasterio.Env(**NETWORK), rasterio.open(source) as raster:
        assert (raster.crs, raster.transform) == (crs, transform)
        np.testing.assert_array_equal(raster.read(), pixels)


@pytest.mark.parametrize("key", ["SRE_B4", "SRE_B11", "CLM_R1"])
def test_odc_stac_reads_what_rasterio_reads(centre: tuple[str, Store, Settings], key: str) -> None:
    odc = client("odc.stac")
    address, _, settings = centre
    item = an_item(address)
    pixels, (_, transform) = own_pixels(settings, item.id, key)
    with rasterio.Env(**NETWORK):
        cube = odc.load([item], bands=[key])
    assert cube.odc.geobox.transform == transform
    np.testing.assert_array_equal(cube[key].values, pixels)
    assert cube[key].dtype == pixels.dtype
    assert cube[key].attrs.get("nodata") == {"SRE": -10000}.get(key[:3])


@pytest.mark.parametrize("key", ["SRE_B4", "SRE_B11"])
def test_stackstac_reads_what_rasterio_reads(centre: tuple[str, Store, Settings], key: str) -> None:
    stackstac = client("stackstac")
    address, _, settings = centre
    item = an_item(address)
    pixels, (crs, transform) = own_pixels(settings, item.id, key)
    with rasterio.Env(**NETWORK):
        cube = stackstac.stack(
            [item], assets=[key], epsg=crs.to_epsg(), resolution=transform.a, rescale=False,
            bounds=item.assets[key].extra_fields["proj:bbox"],  # by itself it knows proj:epsg only, of before 2024
            dtype=pixels.dtype, fill_value=pixels.dtype.type(-10000),
        )  # fmt: skip
        np.testing.assert_array_equal(cube.values[0], pixels)


def test_rio_tiler_reads_what_rasterio_reads(centre: tuple[str, Store, Settings]) -> None:
    reader = client("rio_tiler.io")
    address, _, settings = centre
    item = an_item(address)
    links = {link.rel: link.href for link in item.links}
    for key in ("SRE_B4", "SRE_B11"):
        pixels, _ = own_pixels(settings, item.id, key)
        with rasterio.Env(**NETWORK), reader.STACReader(links["self"]) as source:
            image = source.preview(assets=[key], max_size=None)
        np.testing.assert_array_equal(np.ma.getdata(image.array), pixels)
        assert (np.ma.getmaskarray(image.array) == (pixels == -10000)).all()


def test_geometry_is_where_the_data_lie(centre: tuple[str, Store, Settings]) -> None:
    """Not the whole tile: an area beside them finds nothing, one that touches them finds the product."""
    address, _, settings = centre
    client_ = pystac_client.Client.open(f"{address}/stac")
    item = an_item(address, query={"grid:code": {"eq": "MGRS-31TCJ"}})
    _, (crs, transform) = own_pixels(settings, item.id, "SRE_B4")
    west, south, east, north = item.bbox
    corners = rasterio.warp.transform_bounds(crs, "OGC:CRS84", *rasterio.transform.array_bounds(SIZE, SIZE, transform))
    assert np.abs(np.array(item.bbox) - corners).max() < 60 / 111_000
    beside = (east + 0.01, south, east + 0.02, north)
    assert not list(client_.search(bbox=beside, collections=[stac.ALL]).items())
    within = ((west + east) / 2, (south + north) / 2)
    found = client_.search(intersects={"type": "Point", "coordinates": within}, collections=[stac.ALL])
    assert {one.properties["grid:code"] for one in found.items()} == {"MGRS-31TCJ"}


@pytest.mark.slow
def test_validator_of_the_api_finds_no_error(centre: tuple[str, Store, Settings]) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    validator = shutil.which("stac-api-validator", path=path)
    if validator is None:
        pytest.skip("stac-api-validator not here: pip install 'muscate[clients]'")
    address, _, _ = centre
    item = an_item(address, collections=[stac.CURRENT])
    area, cloud = item.geometry, str(item.properties["eo:cloud_cover"])
    # Its test of `in` takes a text for the list of its characters, so one of these is among the values.
    classes = ["core", "collections", "features", "item-search", "filter"]
    classes += [f"{part}#{what}" for part in ("item-search", "features") for what in ("sort", "fields", "query")]
    given = {
        **{"root-url": f"{address}/stac", "collection": stac.CURRENT, "geometry": json.dumps(area)},
        **{"fields-nested-property": "properties.eo:cloud_cover", "query-comparison-field": "eo:cloud_cover"},
        **{"query-eq-value": cloud, "query-neq-value": "50", "query-lt-value": "50", "query-lte-value": "50"},
        **{"query-gt-value": "1", "query-gte-value": "1", "query-substring-field": "platform"},
        **{"query-starts-with-value": "sentinel", "query-ends-with-value": "2a", "query-contains-value": "tinel"},
        **{"query-in-field": "platform", "query-in-values": "sentinel-2a,sentinel-2b,s"},
    }
    words = [f"--{name}={value}" for name, value in given.items()]
    words += [f"--conformance={name}" for name in classes]
    its_own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([validator, *words], capture_output=True, text=True, timeout=170, env=its_own)
    said = done.stdout + done.stderr
    # It has the schemas of the standard fetched, which need not be within reach; they are held against ours elsewhere.
    found = [line for line in done.stdout.partition("Errors:")[2].splitlines() if line.strip().startswith("- [")]
    assert "Errors:" in said, said[-4000:]
    assert [line for line in found if "schemas.stacspec.org" not in line] == []


def test_static_catalogue_is_read_by_pystac(centre: tuple[str, Store, Settings], tmp_path: Path) -> None:
    import pystac

    from dashboard.stac import export

    address, store, settings = centre
    written = export.export(store, settings, tmp_path / "catalogue", base=address)
    catalogue = pystac.Catalog.from_file(str(tmp_path / "catalogue" / "catalog.json"))
    items = list(catalogue.get_items(recursive=True))
    assert len(items) == written > 20
    online = an_item(address, ids=[items[0].id])
    assert items[0].properties == online.properties
    assert items[0].assets["SRE_B11"].to_dict() == online.assets["SRE_B11"].to_dict()
    assert httpx.head(items[0].assets["SRE_B11"].href).status_code == 200
