"""AERONET files as they come, the depth at 550 nm, and what matches a product."""

from __future__ import annotations

import json
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from rasterio.warp import transform
from typer.testing import CliRunner

from processing import product
from processing.errors import InputError
from processing.masks import Interpolated
from processing.validation import aeronet, aot
from processing.validation.cli import validate
from tests import product_scenes as scenes
from tests import validation_products as made
from tests.shared import SHARED

FILES = SHARED / "data" / "aeronet"
CHANNELS = (870, 675, 500, 440)


def real(name: str) -> Path:
    path = FILES / name
    if not path.exists():
        pytest.skip(f"{path} not here")
    return path


def station_file(
    path: Path, rows: list[tuple[str, dict[int, float]]], *, level: str = "2.0", site: str = "Here"
) -> Path:
    """A file as the web gives it, of (``16:05:2019,10:50:00``, depth by channel) at the middle of the products."""
    grid = made.GRID
    (east,), (north,) = transform(grid.crs, "EPSG:4326", [grid.west + grid.width / 2], [grid.north - grid.height / 2])
    head = ["Date(dd:mm:yyyy),Time(hh:mm:ss),Day_of_Year", *(f"AOD_{c}nm" for c in CHANNELS), "Precipitable_Water(cm)"]
    head += ["AERONET_Site_Name", "Site_Latitude(Degrees)", "Site_Longitude(Degrees)", "Site_Elevation(m)"]
    lines = [
        "AERONET Version 3; ",
        site,
        f"Version 3: AOD Level {level}",
        "words",
        "Contact: PI=x",
        "All Points",
        ",".join(head),
    ]
    for moment, depths in rows:
        values = [f"{depths.get(c, -999):.6f}" for c in CHANNELS]
        lines.append(",".join([moment, "136", *values, "2.1", site, f"{north:.6f}", f"{east:.6f}", "100.0"]))
    path.write_text("\n".join(lines) + "\n")
    return path


def power_law(tau550: float, exponent: float) -> dict[int, float]:
    return {c: tau550 * (c / 550) ** -exponent for c in CHANNELS}


# Files


@pytest.mark.parametrize(
    ("name", "level", "sites"),
    [
        ("20170101_20171231_Itajuba.zip", "2.0", {"Itajuba"}),
        ("20180101_20181231_Sao_Paulo.zip", "2.0", {"Sao_Paulo"}),
        ("aeronet-AOD15-example.txt", "1.5", {"Mauna_Loa"}),
    ],
)
def test_real_files(name: str, level: str, sites: set[str]) -> None:
    found = {s.name: s for s in aeronet.read(real(name))}
    assert sites == set(found)
    for station in found.values():
        table = station.measurements
        assert station.level == level
        assert -90 <= station.latitude <= 90
        assert str(table.index.tz) == "UTC"
        assert table.index.is_monotonic_increasing
        assert table["aot550"].between(-0.01, 5).all()


def test_the_first_measurement_of_itajuba() -> None:
    (station,) = aeronet.read(real("20170101_20171231_Itajuba.zip"))
    first = station.measurements.iloc[0]
    assert station.measurements.index[0] == pd.Timestamp("2017-01-03 11:21:59", tz="UTC")
    # by hand: 0.120166 at 500.9 nm, 0.082425 at 675.8 nm
    exponent = -np.log(0.082425 / 0.120166) / np.log(675.8 / 500.9)
    assert first["angstrom"] == pytest.approx(exponent)
    assert first["aot550"] == pytest.approx(0.120166 * (550 / 500.9) ** -exponent)
    assert first["water_vapour"] == pytest.approx(3.265753)
    # 1125 in the file; two have no channel between 550 and 675 nm
    assert len(station.measurements) == 1123


def test_the_interpolation_agrees_with_aeronet_s_own_exponent() -> None:
    (station,) = aeronet.read(real("20180101_20181231_Sao_Paulo.zip"))
    with (
        zipfile.ZipFile(FILES / "20180101_20181231_Sao_Paulo.zip") as archive,
        archive.open("20180101_20181231_Sao_Paulo.lev20") as file,
    ):
        raw = pd.read_csv(file, skiprows=6, na_values=[-999.0])
    own = raw["AOD_500nm"] * (550 / 500) ** -raw["440-675_Angstrom_Exponent"]
    times = pd.to_datetime(raw["Date(dd:mm:yyyy)"] + " " + raw["Time(hh:mm:ss)"], format="%d:%m:%Y %H:%M:%S", utc=True)
    together = pd.DataFrame({"own": own.to_numpy()}, index=times).join(station.measurements, how="inner").dropna()
    assert len(together) > 1000
    assert (together["own"] - together["aot550"]).abs().quantile(0.99) < 0.01


def test_total_optical_depth_is_no_aerosol(tmp_path: Path) -> None:
    with zipfile.ZipFile(real("20170101_20171231_Itajuba.zip")) as archive:
        text = archive.read("20170101_20171231_Itajuba.tot_lev20")
    (tmp_path / "x.tot_lev20").write_bytes(text)
    with pytest.raises(InputError, match="Total Optical Depth"):
        aeronet.read(tmp_path / "x.tot_lev20")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("x.tot_lev20", text)
    with pytest.raises(InputError, match="no direct-sun file"):
        aeronet.read(tmp_path / "x.zip")


@pytest.mark.parametrize("channel", [440, 675])
def test_without_an_outer_channel_there_is_no_550(tmp_path: Path, channel: int) -> None:
    depths = {c: v for c, v in power_law(0.2, 1.3).items() if c != channel}
    path = station_file(tmp_path / "a.lev20", [("16:05:2019,10:50:00", depths)])
    with pytest.raises(InputError, match=f"a.lev20: has no measurement at {channel} nm"):
        aeronet.read(path)


@pytest.mark.parametrize("text", ["", "hello", "Version 3: AOD Level 2.0\n", "\x00\x01"])
def test_what_is_no_aeronet_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.lev15").write_text(text)
    with pytest.raises(InputError, match=r"^a.lev15: is no AERONET"):
        aeronet.read(tmp_path / "a.lev15")
    with pytest.raises(InputError, match="nowhere"):
        aeronet.read(tmp_path / "nowhere.lev15")


@settings(deadline=None, max_examples=25)
@given(st.floats(0.01, 3), st.floats(-0.3, 2.5))
def test_a_power_law_is_found_again(tmp_path_factory: pytest.TempPathFactory, tau: float, exponent: float) -> None:
    path = tmp_path_factory.mktemp("a") / "a.lev20"
    (station,) = aeronet.read(station_file(path, [("16:05:2019,10:50:00", power_law(tau, exponent))]))
    assert_allclose(station.measurements["aot550"], tau, atol=3e-6, rtol=1e-4)


def test_depths_that_are_not_positive_lie_on_a_line(tmp_path: Path) -> None:
    depths = {440: 0.01, 500: -0.002, 675: 0.005, 870: 0.004}
    (station,) = aeronet.read(station_file(tmp_path / "a.lev15", [("16:05:2019,10:50:00", depths)], level="1.5"))
    assert station.measurements["aot550"].iloc[0] == pytest.approx(-0.002 + 0.007 * 50 / 175)
    assert station.level == "1.5"


# Matches


def around(path: Path, minutes: list[float], tau: list[float]) -> Path:
    moments = [f"{scenes.SENSING + timedelta(minutes=m):%d:%m:%Y,%H:%M:%S}" for m in minutes]
    return station_file(path, list(zip(moments, (power_law(t, 1.2) for t in tau), strict=True)))


def test_a_match_takes_the_window_and_the_box(tmp_path: Path) -> None:
    (station,) = aeronet.read(around(tmp_path / "a.lev20", [-45, -20, 25, 31], [9, 0.2, 0.3, 9]))
    # the box of 1 km around the middle: rows and columns 11..60 of 72 at 20 m; clear but for its left half
    cloud = np.zeros(made.GRID.shape(20), np.uint8)
    cloud[:, :36] = 3
    held = product.read(made.write(tmp_path, aot=44, cloud=cloud))
    found = aot.match(held, made.IMAGE, station, aot.Around(box=1000))
    assert isinstance(found, aot.Match)
    assert found.reference == pytest.approx(0.25, abs=1e-4)
    assert found.reference_std == pytest.approx(0.05, abs=1e-4)
    assert (found.measurements, found.share) == (2, 0.5)
    assert found.found == pytest.approx(0.22)
    assert (
        aot.match(held, made.IMAGE, station, aot.Around(box=1000, min_share=0.6)) == "Here: 50 % of the box can be used"
    )
    lone = aot.match(held, made.IMAGE, station, aot.Around(minutes=5))
    assert lone == "Here: 0 measurements within 5 min of the overpass"


def test_a_box_at_the_edge_is_cut_and_a_station_outside_is_none(tmp_path: Path) -> None:
    held = product.read(made.write(tmp_path))
    (inside,) = aeronet.read(around(tmp_path / "a.lev20", [0], [0.2]))
    whole = aot.match(held, made.IMAGE, inside, aot.Around(box=50_000))
    assert isinstance(whole, aot.Match)
    assert whole.share == 1
    outside = aeronet.Station("far", inside.longitude + 1, inside.latitude, 0, "2.0", inside.measurements)
    assert aot.match(held, made.IMAGE, outside, aot.Around()) is None


def test_filled_in_pixels_count_only_when_asked_for(tmp_path: Path) -> None:
    (station,) = aeronet.read(around(tmp_path / "a.lev20", [0], [0.2]))
    held = product.read(made.write(tmp_path, interpolated=int(Interpolated.AOT)))
    assert aot.match(held, made.IMAGE, station, aot.Around()) == "Here: 0 % of the box can be used"
    assert isinstance(aot.match(held, made.IMAGE, station, aot.Around(interpolated=True)), aot.Match)


# Figures


def test_figures_by_hand() -> None:
    found = aot.figures([0.1, 0.3, np.nan], [0.1, 0.2, 0.5])
    assert found["pairs"] == 2
    assert found["bias"] == pytest.approx(0.05)
    assert found["rmse"] == pytest.approx(np.sqrt(0.005))
    assert found["share_inside"] == 0.5  # 0.1 off at 0.2, where 0.08 is allowed
    assert aot.figures([], []) == {"pairs": 0} | dict.fromkeys(set(found) - {"pairs"})


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 3), st.floats(0.01, 3)), min_size=1, max_size=20))
def test_rmse_is_bias_and_scatter(pairs: list[tuple[float, float]]) -> None:
    found, reference = zip(*pairs, strict=True)
    numbers = aot.figures(found, reference)
    assert numbers["rmse"] ** 2 == pytest.approx(numbers["bias"] ** 2 + numbers["standard_deviation"] ** 2, abs=1e-9)
    assert aot.figures(reference, found)["bias"] == pytest.approx(-numbers["bias"], abs=1e-12)
    assert aot.figures(reference, reference)["share_inside"] == 1


# The command


def run(*words: str) -> Any:
    return CliRunner().invoke(validate, ["aot", *words])


def test_two_versions_side_by_side(tmp_path: Path) -> None:
    made.write(tmp_path / "a", version="V1_1", aot=60)
    made.write(tmp_path / "a", version="V1_3", aot=42)
    file = around(tmp_path / "a.lev20", [0, 10], [0.2, 0.2])
    (tmp_path / "junk.lev20").write_text("junk")
    answer = run(
        *(str(tmp_path / "a"), "--aeronet", str(file), "--aeronet", str(tmp_path / "junk.lev20")),
        *("--box", "1000", "--out", str(tmp_path / "o"), "--json"),
    )
    assert answer.exit_code == 3
    assert "junk.lev20: is no AERONET" in answer.stderr
    rows = json.loads(answer.stdout)
    bias = {r["version"]: r["metrics"]["bias"] for r in rows if r["image"] is None}
    assert bias == {"V1_1": pytest.approx(0.1, abs=1e-4), "V1_3": pytest.approx(0.01, abs=1e-4)}
    assert {r["reference"] for r in rows} == {"AERONET Here"}
    assert (tmp_path / "o" / "aot.png").stat().st_size > 5000


def test_versions_with_other_dates_are_also_held_on_those_of_both(tmp_path: Path) -> None:
    made.write(tmp_path / "a", version="V1_1", aot=60)
    made.write(tmp_path / "a", version="V1_3", aot=42)
    made.write(tmp_path / "a", version="V1_3", aot=80, days=10)
    file = around(tmp_path / "a.lev20", [0, 10 * 1440], [0.2, 0.2])
    words = (str(tmp_path / "a"), "--aeronet", str(file), "--box", "1000", "--out", str(tmp_path / "o"), "--json")
    rows = [r for r in json.loads(run(*words).stdout) if r["image"] is None]
    figures = {(r["version"], r["reference"].endswith("all versions")): r["metrics"] for r in rows}
    assert figures["V1_3", False]["pairs"] == 2
    assert figures["V1_3", True]["pairs"] == figures["V1_1", True]["pairs"] == 1
    assert figures["V1_3", True]["bias"] == pytest.approx(0.01, abs=1e-4)


def test_no_match_says_why(tmp_path: Path) -> None:
    path = made.write(tmp_path / "a")
    answer = run(str(path), "--aeronet", str(real("20170101_20171231_Itajuba.zip")), "--out", str(tmp_path / "o"))
    assert answer.exit_code == 1
    assert "none of Itajuba" in answer.stderr
    assert run(str(path)).exit_code == 2


def test_against_a_map(tmp_path: Path) -> None:
    path = made.write(tmp_path / "a", aot=40)
    truth = np.stack([np.full(made.GRID.shape(120), 0.15, np.float32), np.full(made.GRID.shape(120), 1.4, np.float32)])
    made.raster(tmp_path / "20190516.tif", truth, resolution=120, descriptions=("aot550", "water_vapour_g_cm2"))
    answer = run(str(path), "--reference", str(tmp_path / "20190516.tif"), "--out", str(tmp_path / "o"), "--json")
    assert answer.exit_code == 0, answer.output
    rows = {r["subject"]: r["metrics"] for r in json.loads(answer.stdout) if r["image"] is None}
    assert rows["aot"]["bias"] == pytest.approx(0.05, abs=1e-6)
    assert rows["water_vapour"]["bias"] == pytest.approx(0.1, abs=1e-6)
    assert (tmp_path / "o" / "aot.png").exists()
    unnamed = made.raster(tmp_path / "20190516_unnamed.tif", truth, resolution=120)
    answer = run(str(path), "--reference", str(unnamed), "--out", str(tmp_path / "p"))
    assert answer.exit_code == 1
    assert "no band is named aot" in answer.stderr
