"""Products as a Zarr cube: what xarray finds in it, and what becomes of one that is cut off, spoiled or asked afar."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import rasterio
import xarray
import zarr
from numcodecs import Zstd
from numpy.testing import assert_array_equal
from rasterio.windows import Window
from typer.testing import CliRunner

from processing import product
from processing.bands import GROUPS
from processing.distribution import cubes
from processing.errors import ProductError
from processing.masks import Cloud
from tests import product_scenes

#: Has one overview: 366 pixels.
SIZE = 732


def made(folder: Path, day: int, seed: int = 0, size: int = SIZE) -> Path:
    scene = product_scenes.scene(size, sensing=product_scenes.SENSING + timedelta(days=day))
    return product.write(product_scenes.l2a(scene, seed=seed or day), scene, folder, produced=product_scenes.PRODUCED)


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("products")
    return [made(folder, day) for day in (5, 10)]


@pytest.fixture(scope="module")
def cube(products: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cubes") / "31UER_V1_4.zarr"
    assert cubes.write(out, products[::-1]) == (2, 2)
    return out


def raster(folder: Path, key: str, band: int = 1) -> Any:
    with rasterio.open(product.read(folder).files[key]) as dataset:
        return dataset.read(band)


def test_xarray_opens_a_cube_as_it_is(cube: Path, products: list[Path]) -> None:
    found = xarray.open_zarr(cube)
    assert dict(found.sizes) == {"time": 2, "y": SIZE, "x": SIZE}
    assert_array_equal(found.time.values, np.array(["2019-05-21T10:57:13.915", "2019-05-26T10:57:13.915"], "M8[ns]"))
    grid = product_scenes.grid(SIZE)
    assert (float(found.x[0]), float(found.y[0])) == (grid.west + 5, grid.north - 5)
    assert found.spatial_ref.attrs["crs_wkt"].startswith("PROJCRS")
    for date, folder in enumerate(products):
        for band in GROUPS["R1"]:
            counts = raster(folder, f"FRE_{band}")
            assert_array_equal(found[band][date], np.where(counts == -10000, np.nan, counts * 1e-4))
        columns = [raster(folder, "ATB_R1", one) for one in (1, 2)]
        for name, counts, scale in zip(("WVC", "AOT"), columns, (1 / 20, 1 / 200), strict=True):
            assert_array_equal(found[name][date], np.where(counts == 0, np.nan, counts * scale))
        for mask in ("CLM", "MG2", "EDG", "SAT", "IAB"):
            assert found[mask].dtype == np.uint8
            assert_array_equal(found[mask][date], raster(folder, f"{mask}_R1"))
    about = found.CLM.attrs
    meanings = dict(zip(about["flag_meanings"].split(), about["flag_masks"], strict=True))
    assert meanings["shadow"] == Cloud.SHADOW
    assert found.SAT.attrs["flag_meanings"] == "B2 B3 B4 B8"


def test_the_coarser_groups_have_the_bands_of_20_m(cube: Path, products: list[Path]) -> None:
    found = xarray.open_zarr(cube, group="r20m")
    assert dict(found.sizes) == {"time": 2, "y": SIZE // 2, "x": SIZE // 2}
    for band in GROUPS["R2"]:
        counts = raster(products[0], f"FRE_{band}")
        assert_array_equal(found[band][0], np.where(counts == -10000, np.nan, counts * 1e-4))
    with rasterio.open(product.read(products[0]).files["FRE_B4"], overview_level=0) as overview:
        counts = overview.read(1)
    assert_array_equal(found.B4[0], np.where(counts == -10000, np.nan, counts * 1e-4))
    assert_array_equal(found.CLM[1], raster(products[1], "CLM_R2"))
    assert float(found.x[0]) == product_scenes.grid(SIZE).west + 10
    layout = xarray.open_zarr(cube).attrs["multiscales"]["layout"]
    assert [one["asset"] for one in layout] == [".", "r20m"]


def test_a_cube_says_where_each_date_is_from(cube: Path, products: list[Path]) -> None:
    first, second = xarray.open_zarr(cube).attrs["dates"]
    assert (first["product"], second["product"]) == tuple(folder.name for folder in products)
    assert first["time"] == "2019-05-21T10:57:13.915Z"
    assert first["figures"]["cloud_percent"] == pytest.approx(12.3457, abs=1e-3)
    assert len(first["manifest_sha256"]) == 64


def test_what_is_there_is_left_alone_and_what_came_since_is_added(products: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "c.zarr"
    cubes.write(out, products[:1])
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if "/c/0/" in str(path) and path.is_file()}
    assert cubes.write(out, products) == (1, 2)
    assert cubes.write(out, products) == (0, 2)
    assert {path: path.stat().st_mtime_ns for path in before if "time" not in str(path)} == {
        path: when for path, when in before.items() if "time" not in str(path)
    }
    # one that is older stands behind, and what was there stays where it was
    early = made(tmp_path, 1)
    assert cubes.write(out, [early]) == (1, 3)
    found = xarray.open_zarr(out)
    assert list(np.argsort(found.time.values)) == [2, 0, 1]
    assert_array_equal(found.CLM[2], raster(early, "CLM_R1"))
    # another revision takes the place of the one before
    again = made(tmp_path / "again", 1, seed=77)
    assert cubes.write(out, [again]) == (1, 3)
    assert_array_equal(xarray.open_zarr(out).CLM[2], raster(again, "CLM_R1"))


@pytest.mark.parametrize("fail_at", [1, 7, 20])
def test_an_append_that_is_cut_off_changes_nothing(
    products: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fail_at: int
) -> None:
    out = tmp_path / "c.zarr"
    cubes.write(out, products[:1])
    before = xarray.open_zarr(out).load()
    real, calls = cubes.pixels, 0

    def dying(*given: Any) -> Any:
        nonlocal calls
        calls += len(given) == 4  # not the look before
        if calls == fail_at:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(cubes, "pixels", dying)
    with pytest.raises(KeyboardInterrupt):
        cubes.write(out, products)
    monkeypatch.undo()
    xarray.testing.assert_identical(xarray.open_zarr(out).load(), before)
    assert cubes.write(out, products) == (1, 2)
    assert_array_equal(xarray.open_zarr(out).MG2[1], raster(products[1], "MG2_R1"))


def test_what_does_not_fit_is_refused_and_the_cube_stays(products: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "c.zarr"
    cubes.write(out, products[:1])
    content = (out / "zarr.json").read_bytes()
    damaged = Path(shutil.copytree(products[1], tmp_path / products[1].name))
    with next(damaged.glob("*_FRE_B4.tif")).open("r+b") as file:
        file.seek(5000)
        file.write(b"\xff" * 10)
    small = made(tmp_path / "small", 20, size=366)
    for folder, words in ((damaged, "content differs"), (small, "another grid"), (tmp_path, "holds 0 MTD_ALL")):
        with pytest.raises(ProductError, match=words):
            cubes.write(out, [folder])
    assert (out / "zarr.json").read_bytes() == content
    (out / "zarr.json").write_text(json.dumps({"attributes": {}}))
    with pytest.raises(ProductError, match="is no cube of this program"):
        cubes.write(out, products)
    with pytest.raises(ProductError, match="is no cube of this program"):
        cubes.write(products[0], products)


def test_a_small_tile_without_overviews_has_all_bands(tmp_path: Path) -> None:
    folder = made(tmp_path, 1, size=366)
    cubes.write(tmp_path / "c.zarr", [folder])
    coarse = xarray.open_zarr(tmp_path / "c.zarr", group="r20m")
    assert set(GROUPS["R2"]) <= set(coarse)
    assert set(GROUPS["R1"]).isdisjoint(coarse)


def test_the_view_has_the_same_pixels_as_the_folder(cube: Path, products: list[Path]) -> None:
    dates = [cubes.of_folder(folder)[0] for folder in products]
    view = cubes.View(cubes.of_dates("31UER", "V1_4", dates))
    there = zarr.open_group(cube, mode="r")
    for level in range(view.cube.levels + 1):
        for layer in view.cube.layers(level):
            path = f"{view.cube.group(level)}/{layer.name}".lstrip("/")
            array = there[path]
            assert isinstance(array, zarr.Array)
            said = json.loads(view.get(f"{path}/zarr.json") or b"")
            assert (said["shape"], said["attributes"]) == (list(array.shape), dict(array.attrs))
            for date, row, col in ((0, 0, 0), (1, 2, 1), (1, 5, 5)):
                part = array[date, row * 128 : (row + 1) * 128, col * 128 : (col + 1) * 128]
                assert isinstance(part, np.ndarray)
                content = view.get(f"{path}/c/{date}/{row}/{col}")
                if content is None:
                    assert (part == array.fill_value).all()
                    continue
                chunk = np.frombuffer(Zstd().decode(content), array.dtype).reshape(128, 128)
                assert_array_equal(chunk[: part.shape[0], : part.shape[1]], part)
    withdrawn = cubes.View(cubes.of_dates("31UER", "V1_4", [dates[0], replace(dates[1], folder=None)]))
    assert withdrawn.get("B4/c/1/0/0") is None


@pytest.mark.parametrize(
    "key",
    [
        *("", "zarr", "B4", "B4/c", "B4/c/0/0", "B4/c/0/0/6", "B4/c/9/0/0", "B4/c/-1/0/0", "B4/c/0/0/1e1", "../x"),
        *("B5/c/0/0/0", "r20m/B9/c/0/0/0", "B4/c/99999999999/0/0"),
    ],
)
def test_what_a_view_has_not_is_nothing(products: list[Path], key: str) -> None:
    view = cubes.View(cubes.of_dates("31UER", "V1_4", [cubes.of_folder(products[0])[0]]))
    assert view.get(key) is None


def test_a_window_of_an_overview_is_cut_where_it_lies(products: list[Path]) -> None:
    cube = cubes.of_dates("31UER", "V1_4", [cubes.of_folder(products[0])[0]])
    (layer,) = [one for one in cube.layers(1) if one.name == "B2"]
    whole = cubes.pixels(products[0], layer, 1, cube)
    assert_array_equal(cubes.pixels(products[0], layer, 1, cube, Window(128, 256, 128, 110)), whole[256:, 128:256])


# Over HTTP


@pytest.fixture
def web(tmp_path: Path, products: list[Path]) -> Iterator[str]:
    from dashboard.api import cubes as routes
    from processing.settings import Settings
    from processing.store import Store
    from tests.public_web import application, served

    settings = Settings(home=tmp_path / "home")  # type: ignore[call-arg]
    settings.make_folders()
    store = Store(settings.url)
    store.upgrade()
    _published(settings, store, products)
    with served(application(settings, store, routes.router)) as address:
        yield address
    store.dispose()


def _published(settings: Any, store: Any, products: list[Path]) -> None:
    from processing.store import sites
    from processing.store.models import Acquisition, Attempt, Campaign, Chain, Job, Product, Quality

    with store.write() as session:
        sites.open_campaigns(session, ["V1_4"])
        sites.register_tile(session, "31UER")
        campaign = session.query(Campaign).one()
        chain = session.query(Chain).filter_by(tile="31UER").one_or_none()
        if chain is None:
            chain = Chain(tile="31UER", campaign_id=campaign.id)
            session.add(chain)
        session.flush()
        for number, folder in enumerate(products):
            date, *_ = cubes.of_folder(folder)
            common = {"sensing": date.sensing}
            pass_ = Acquisition(tile="31UER", platform="S2A", datatake=date.sensing, first_seen=date.sensing, **common)
            session.add(pass_)
            session.flush()
            times = {"not_before": date.sensing, "created": date.sensing, "closed": date.sensing}
            job = Job(chain_id=chain.id, acquisition_id=pass_.id, state="published", **common, **times)
            session.add(job)
            session.flush()
            attempt = Attempt(job_id=job.id, token=number, owner="a test", claimed=date.sensing, outcome="published")
            session.add(attempt)
            session.flush()
            (settings.archive / folder.name).symlink_to(folder)
            session.add(
                Product(
                    **{"job_id": job.id, "attempt_id": attempt.id, "identifier": folder.name, "tile": "31UER"},
                    **{"platform": "S2A", "version": "V1_4", "path": folder.name, "mode": "nominal", "bytes": 1},
                    **{"manifest_sha": date.manifest_sha256, "published": date.sensing, **common},
                )
            )
            session.add(Quality(job_id=job.id, cloud_percent=12.0))


def test_the_web_makes_a_cube_of_what_is_published(web: str, cube: Path, tmp_path: Path) -> None:
    """By hand, as a client does: metadata in one request, then a chunk for each date."""
    address = f"{web}/cubes/31UER_V1_4.zarr"
    answer = httpx.get(f"{address}/zarr.json")
    said = answer.json()
    assert said["attributes"]["dates"][0]["figures"]["cloud_percent"] == 12.0
    assert "r20m/B5" in said["consolidated_metadata"]["metadata"]
    again = httpx.get(f"{address}/zarr.json", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    local = tmp_path / "local.zarr"
    members = said["consolidated_metadata"]["metadata"]
    keys = ["zarr.json", *(f"{name}/c/0" for name in ("time", "x", "y"))]
    keys += [f"B4/c/{date}/{row}/{col}" for date in range(2) for row in range(6) for col in range(6)]
    assert members["B4"]["shape"] == [2, SIZE, SIZE]
    for key in keys:
        answer = httpx.get(f"{address}/{key}")
        if answer.status_code == 200:
            (local / key).parent.mkdir(parents=True, exist_ok=True)
            (local / key).write_bytes(answer.content)
    assert_array_equal(xarray.open_zarr(local).B4.values, xarray.open_zarr(cube).B4.values)
    for name in ("31UER_V9_9.zarr", "31TCJ_V1_4.zarr", "x", "31UER_V1_4.zarr/../../x", "ZZZZZ_V1_4.zarr"):
        assert httpx.get(f"{web}/cubes/{name}/zarr.json").status_code == 404


# The command


def test_the_command_writes_a_cube_for_each_version(products: list[Path], tmp_path: Path) -> None:
    from processing.cli import app

    run = CliRunner()
    named = [str(folder) for folder in products]
    assert run.invoke(app, ["export", *named]).exit_code == 2
    told = run.invoke(app, ["export", "--zarr", *named[:1], "--out", str(tmp_path), "--json"])
    assert json.loads(told.stdout) == [{"cube": str(tmp_path / "31UER_V1_4.zarr"), "written": 1, "dates": 1}]
    told = run.invoke(app, ["export", "--zarr", *named, "--out", str(tmp_path)])
    assert told.stdout == f"{tmp_path / '31UER_V1_4.zarr'}: 1 written, 2 dates\n"
    assert xarray.open_zarr(tmp_path / "31UER_V1_4.zarr").sizes["time"] == 2
