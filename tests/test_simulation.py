"""Simulated products read back as they were meant, and their truth is the truth."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
from typer.testing import CliRunner

from processing import simulation, tiling
from processing.atmosphere import VALID_RANGES, surface_reflectance
from processing.bands import BANDS
from processing.cli import app
from processing.l1c import Granule, granules
from processing.simulation import SERIES, Weather, simulate, sunlight
from processing.simulation.date import REFERENCE_BAND
from processing.simulation.ground import Ground
from processing.simulation.noise import fractal
from processing.simulation.orbit import View, passes, relative_orbits
from processing.simulation.scenario import SPECTRA, SPECTRAL_BANDS, TEMPERATE, Clouds, recipe
from processing.simulation.series import DEMONSTRATION
from processing.simulation.sky import KINDS, layers
from processing.simulation.truth import THIN

HEIGHT = 1500
ONE_HEIGHT = replace(TEMPERATE, clouds=(Clouds("cumulus", (HEIGHT, HEIGHT), 700),), town=0, aot=(0.15, 0.15))


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    out = tmp_path_factory.mktemp("series")
    return simulate(
        out, tile="31TCJ", dates=3, size=246, scenario=ONE_HEIGHT, cloud_cover=(0.12, 0.12), overcast=(1,), seed=3
    )


def _granule(path: Path) -> Granule:
    (granule,) = granules(path)
    return granule


def _truth(path: Path, name: str) -> np.ndarray:
    with rasterio.open(path.parent / "truth" / path.stem / name) as file:
        return np.asarray(file.read())


def _counts(path: Path, band: str) -> np.ndarray:
    with rasterio.open(next(path.glob(f"GRANULE/*/IMG_DATA/*_{BANDS[band].l1c}.jp2"))) as file:
        return np.asarray(file.read(1))


def _summary(path: Path) -> dict:
    return json.loads((path.parent / "truth" / path.stem / "truth.json").read_text())


def _hashes(folder: Path) -> dict[str, str]:
    files = (f for f in folder.rglob("*") if f.is_file())
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def test_the_reader_finds_what_was_meant(series: list[Path]) -> None:
    for path in series:
        granule = _granule(path)
        assert path.name == f"{granule.identifier}.SAFE"
        assert (granule.tile, granule.baseline, granule.relative_orbit) == ("31TCJ", "05.10", 51)
        assert granule.simulated
        assert not granule.cropped
        assert set(granule.offset.values()) == {-1000}
        tile = tiling.grid("31TCJ")
        assert tile.west < granule.grid.west < granule.grid.east < tile.east
        assert (granule.grid.width, granule.grid.height) == (2460, 2460)
        for band in BANDS:
            assert _counts(path, band).shape == granule.grid.shape(BANDS[band].resolution)
    assert [_granule(p).platform for p in series] == ["S2B", "S2A", "S2B"]
    assert [_granule(p).sensing.date().isoformat() for p in series] == ["2024-06-03", "2024-06-08", "2024-06-13"]


def test_angles_cover_every_pixel_of_every_detector(series: list[Path]) -> None:
    granule = _granule(series[0])
    angles = granule.angles()
    for band in BANDS:
        assert len(angles.view_zenith[band]) == 2
        for nodes in angles.view_zenith[band].values():
            assert np.isfinite(nodes[:2, :2]).all()  # the image is smaller than a cell of the grid
            assert nodes[:2, :2].max() < 12
    zenith, azimuth = angles.mean_sun
    assert zenith == pytest.approx(float(angles.sun_zenith[0, 0]), abs=0.1)
    assert azimuth == pytest.approx(float(angles.sun_azimuth[0, 0]), abs=0.2)


def test_truth_stays_outside_of_the_product(series: list[Path]) -> None:
    assert {f.name for f in series[0].parent.iterdir()} == {"truth", *(p.name for p in series)}
    for path in series:
        assert all("truth" not in name for name in _hashes(path))
        folder = path.parent / "truth" / path.stem
        assert {f.name for f in folder.iterdir()} >= {
            "truth.json",
            "clouds_10m.tif",
            "shadows_10m.tif",
            "atmosphere_60m.tif",
        }


@pytest.fixture(scope="module")
def clear(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("clear")
    (path,) = simulate(out, tile="31TCJ", dates=1, size=180, scenario=ONE_HEIGHT, cloud_cover=(0, 0))
    return path


@pytest.mark.parametrize(
    ("band", "tolerance"), [("B2", 1.2e-3), ("B4", 1e-3), ("B8A", 1e-3), ("B11", 1e-3), ("B9", 0.01)]
)
def test_clear_ground_is_the_surface_seen_through_the_atmosphere(clear: Path, band: str, tolerance: float) -> None:
    granule = _granule(clear)
    with rasterio.open(
        clear.parent / "truth" / clear.stem / f"surface_reflectance_{BANDS[band].resolution}m.tif"
    ) as file:
        surface = file.read(file.descriptions.index(band) + 1) / 10_000
    angles, truth = granule.angles(), _summary(clear)
    view = angles.mean_view[band]
    found = surface_reflectance(
        (_counts(clear, band) - 1000.0) / 10_000, granule.platform, band, angles.mean_sun[0], view[0],
        angles.mean_sun[1] - view[1], 0.0, truth["aot550_mean"], truth["water_vapour_mean_g_cm-2"],
        truth["ozone_cm_atm"],
    )  # fmt: skip
    assert np.sqrt(np.mean((found - surface) ** 2)) < tolerance


def test_shadows_lie_where_the_sun_says(series: list[Path]) -> None:
    path = series[0]
    cloud, height, _, _ = _truth(path, "clouds_10m.tif")
    assert set(np.unique(height[cloud > 0])) == {HEIGHT}
    shadow = _truth(path, "shadows_10m.tif")[0]
    # The shift that brings the clouds onto the shadows best.
    size = 2 * len(cloud)
    product = np.fft.rfft2(shadow, (size, size)) * np.conj(np.fft.rfft2(cloud > 0, (size, size)))
    shift = np.array(np.unravel_index(np.argmax(np.fft.irfft2(product)), (size, size)))
    shift = (shift + size // 2) % size - size // 2
    angles = _granule(path).angles()
    ways = []
    for zenith, azimuth in (angles.mean_sun, angles.mean_view[REFERENCE_BAND]):
        z, a = math.radians(zenith), math.radians(azimuth)
        ways.append(HEIGHT * math.tan(z) * np.array([math.cos(a), -math.sin(a)]) / 10)  # rows down, columns right
    assert shift == pytest.approx(ways[0] - ways[1], abs=2.5)


def test_shadows_are_dark_and_clouds_white(series: list[Path]) -> None:
    path = series[0]
    cloud, shadow = _truth(path, "clouds_10m.tif")[0], _truth(path, "shadows_10m.tif")[0] > 0
    surface = _truth(path, "surface_reflectance_10m.tif")[3] / 10_000
    nir = (_counts(path, "B8") - 1000.0) / 10_000
    ratio = np.where(surface > 0.1, nir / np.maximum(surface, 0.1), np.nan)
    lit = np.nanmedian(ratio[(cloud == 0) & ~shadow])
    assert np.nanmedian(ratio[(cloud == 0) & shadow]) < 0.65 * lit
    thick = cloud == 2
    blue, red = ((_counts(path, b)[thick] - 1000.0) / 10_000 for b in ("B2", "B4"))
    assert np.median(blue) > 0.35
    assert np.median(red / blue) == pytest.approx(1, abs=0.12)


def test_water_vapour_hides_the_ground_in_b10_but_not_cirrus(tmp_path: Path) -> None:
    high = replace(TEMPERATE, clouds=(Clouds("cirrus", (9000, 9500), 3000),))
    (path,) = simulate(tmp_path, tile="31TCJ", dates=1, size=246, scenario=high, cloud_cover=(0.4, 0.4))
    b10 = (_counts(path, "B10") - 1000.0) / 10_000
    cloud = _truth(path, "clouds_10m.tif")[0].reshape(41, 6, 41, 6)
    assert np.median(b10[(cloud == 0).all((1, 3))]) < 0.004
    assert np.median(b10[(cloud == 3).all((1, 3))]) > 0.02


def test_an_overcast_date_is_overcast(series: list[Path]) -> None:
    percent = _summary(series[1])["cloud_percent"]
    assert percent["clear"] < 5
    assert _summary(series[0])["cloud_percent"]["clear"] > 80


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    runs = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        simulate(tmp_path / name, tile="40KCB", dates=1, size=66, seed=seed)
        runs.append(_hashes(tmp_path / name))
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_a_zip_holds_the_same_files(tmp_path: Path) -> None:
    (folder,) = simulate(tmp_path / "folder", tile="30PXU", dates=1, size=66, truth=False)
    (archive,) = simulate(tmp_path / "zip", tile="30PXU", dates=1, size=66, truth=False, zip=True)
    assert archive.suffix == ".zip"
    assert not (tmp_path / "zip" / "truth").exists()
    assert _granule(archive).grid == _granule(folder).grid
    assert _granule(archive).angles().mean_sun == _granule(folder).angles().mean_sun


def test_a_large_image_is_put_together_from_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (whole,) = simulate(tmp_path / "a", tile="31TCJ", dates=1, size=180, cloud_cover=(0.3, 0.3))
    monkeypatch.setattr("processing.simulation.place.PERIOD", 84)
    (blocks,) = simulate(tmp_path / "b", tile="31TCJ", dates=1, size=180, cloud_cover=(0.3, 0.3))
    # The ground is another one, the sky is the same but for the rounding of where a block looks.
    clouds = [_truth(p, "clouds_10m.tif")[0] > 0 for p in (whole, blocks)]
    assert np.mean(clouds[0] != clouds[1]) < 0.01
    assert _granule(blocks).grid == _granule(whole).grid
    assert (_counts(blocks, "B2") > 0).all()


def test_any_days_and_two_orbits(tmp_path: Path) -> None:
    days = [datetime(2018, 3, 1, tzinfo=UTC), datetime(2018, 3, 4, tzinfo=UTC)]
    paths = simulate(tmp_path / "days", tile="32SNE", dates=days, size=36, truth=False)
    assert [(_granule(p).platform, _granule(p).sensing.date()) for p in paths] == [
        ("S2A", days[0].date()),
        ("S2B", days[1].date()),
    ]
    paths = simulate(tmp_path / "orbits", tile="32SNE", dates=4, orbits=2, size=36, truth=False)
    assert {_granule(p).relative_orbit for p in paths} == {22, 122}
    assert [_granule(p).sensing for p in paths] == sorted(_granule(p).sensing for p in paths)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"tile": "31TCI"}, "not a tile id"),
        ({"size": 100}, "multiple of 6"),
        ({"size": 10986}, "multiple of 6 up to 10980"),
        ({"origin": (0, 10980)}, "leave room"),
        ({"cloud_cover": (0.5, 0.2)}, "two shares"),
    ],
)
def test_wrong_wishes_are_refused_before_anything_is_written(tmp_path: Path, wrong: dict, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        simulate(tmp_path, **{"tile": "31TCJ", "dates": 1, **wrong})
    assert list(tmp_path.iterdir()) == []


# Geometry


def test_the_sun_stands_where_real_products_say() -> None:
    # S2A_MSIL1C_20240120T105341_N0510_R051_T31TCJ: Mean_Sun_Angle and SENSING_TIME
    lon, lat = tiling.footprint("31TCJ")[:-1].mean(axis=0)
    zenith, azimuth = sunlight.position(datetime(2024, 1, 20, 10, 58, 50, tzinfo=UTC), lon, lat)
    assert zenith == pytest.approx(65.7554, abs=0.05)
    assert azimuth == pytest.approx(162.689, abs=0.05)


@pytest.mark.parametrize(
    ("tile", "day", "platform", "orbit", "relative", "clock"),
    [
        ("31TCJ", (2024, 1, 20), "S2A", 44807, 51, "10:58"),
        ("31TCJ", (2024, 3, 5), "S2B", 36542, 51, "10:58"),
        ("33TWM", (2023, 8, 15), "S2A", 42547, 79, "10:0"),
        ("33TWM", (2023, 8, 13), "S2B", 33610, 122, "10:"),
    ],
)
def test_passes_are_those_of_real_products(
    tile: str, day: tuple[int, int, int], platform: str, orbit: int, relative: int, clock: str
) -> None:
    lon, lat = tiling.footprint(tile)[:-1].mean(axis=0)
    assert relative in relative_orbits(lon, lat)
    (found,) = islice(passes(datetime(*day, tzinfo=UTC), relative, lon, lat), 1)
    assert (found.platform, found.orbit, found.sensing.date()) == (platform, orbit, datetime(*day).date())
    assert f"{found.sensing:%H:%M}".startswith(clock)


def test_view_angles_reach_from_nadir_to_the_swaths_edge() -> None:
    assert View(0, 195, 10, 10).angles("B4", 6, 5, 5)[0] < 1.5
    assert View(144, 195, 10, 10).angles("B4", 12, 5, 5)[0] == pytest.approx(11.8, abs=0.5)
    # East of the track the satellite stands in the west.
    _, azimuth = View(100, 195, 10, 10).angles("B4", 10, 5, 5)
    assert 255 < azimuth < 315


# Ground and sky


def test_blue_bands_follow_red_over_vegetation() -> None:
    ground = Ground(TEMPERATE, 120, 5)
    shares = ground.cover(150)
    rho = ground.reflectance(shares)
    dense = np.sum([shares[k] for k in ("crop", "grass", "forest")], axis=0) > 0.55
    assert dense.mean() > 0.1
    assert rho["B1"][dense] / rho["B4"][dense] == pytest.approx(0.45, rel=1e-4)
    assert rho["B2"][dense] / rho["B4"][dense] == pytest.approx(0.49, rel=1e-4)


@pytest.mark.parametrize("tile", ["31TCJ", "40KCB", "29RPQ", "32SNE", "30PXU", "22NCL", "32TMM"])
def test_covers_add_up_and_change_smoothly(tile: str) -> None:
    ground = Ground(recipe(tile), 96, 1)
    for day in (20, 110, 200, 300):
        assert np.sum(list(ground.cover(day).values()), axis=0) == pytest.approx(1, abs=1e-4)
        now, soon = (ground.reflectance(ground.cover(d)) for d in (day, day + 5))
        assert set(now) == set(BANDS) - {"B10"}
        assert all(v.min() > 0 and v.max() <= 1 for v in now.values())
        assert np.mean(np.abs(now["B8"] - soon["B8"])) < 0.05


def test_every_spectrum_has_every_band() -> None:
    assert {len(s) for s in SPECTRA.values()} == {len(SPECTRAL_BANDS)}


def test_fractal_fields_are_standard_and_periodic() -> None:
    f = fractal(128, np.random.default_rng(0), 2.0)
    assert f.mean() == pytest.approx(0, abs=1e-5)
    assert f.std() == pytest.approx(1, rel=1e-3)
    across = np.abs(f[0] - f[-1]).mean()
    assert across < 2 * np.abs(np.diff(f, axis=0)).mean()


@pytest.mark.slow
def test_the_demonstration_has_five_places_with_five_dates(tmp_path: Path) -> None:
    paths = simulation.demonstration(tmp_path)
    tiles = [p.name.split("_")[5] for p in paths]
    assert len(paths) == 25
    assert set(tiles[:5]) == {"T31TCJ", "T40KCB", "T29RPQ", "T32SNE", "T30PXU"}
    sensed = [_granule(p).sensing for p in paths]
    assert max(sensed) < DEMONSTRATION
    assert (max(sensed) - min(sensed)).days <= 25


# Series of known weather


@pytest.fixture(scope="module")
def ploughed(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    given = vars(SERIES["truth"]) | {"size": 126}
    return simulate(tmp_path_factory.mktemp("truth"), **given)


def test_a_series_has_every_kind_of_sky(ploughed: list[Path]) -> None:
    kinds, thickness = (np.stack([_truth(p, "clouds_10m.tif")[k] for p in ploughed]) for k in (3, 2))
    assert set(np.unique(kinds)) == {0, 1, 2, 3, 4}
    assert (thickness[kinds == KINDS.index("veil") + 1] < 360).all()
    clear = [p for p in ploughed if _summary(p)["cloud_percent"]["clear"] == 100]
    assert len(clear) >= 3
    assert {_granule(p).relative_orbit for p in ploughed} == {8, 51}
    snow = [_summary(p)["snow_percent"] for p in ploughed]
    assert max(snow) > 5
    assert min(snow) == 0


def test_fields_are_ploughed_overnight_and_stay_so(ploughed: list[Path]) -> None:
    before, after, later = (_truth(ploughed[k], "surface_reflectance_10m.tif")[2] for k in (1, 2, 3))
    bright = after > before + 400
    assert 0.01 < bright.mean() < 0.12
    assert np.mean(np.abs(later[bright] - after[bright]) < 100) > 0.95


def test_single_clouds_are_as_many_and_cover_as_much_as_they_shall() -> None:
    wanted = Clouds("cumulus", (1000, 2000), 900, thickness=25, number=3.0)
    made = layers(wanted, 0.2, 1152, 1152, (40.0, 150.0), np.random.default_rng(1))
    over = np.max([layer.opacity for layer in made], axis=0) >= THIN
    assert over.mean() == pytest.approx(0.2, abs=0.06)
    # 400 were thrown on 11.5 km by 11.5 km, some onto others
    assert 150 < cv2.connectedComponents(over.astype(np.uint8))[0] < 800
    assert len({layer.height for layer in made}) == 3


def test_a_cloud_returns_and_passes_all_light() -> None:
    (layer,) = layers(
        Clouds("veil", (4000, 4000), 3000, thickness=3.0), 0.5, 96, 96, (0.0, 0.0), np.random.default_rng(0)
    )
    reflected = layer.opacity * layer.brightness
    assert (1 - reflected) ** 2 == pytest.approx(1 - layer.opacity, abs=1e-5)
    thickness = layer.optical_thickness(layer.opacity)
    assert 2.5 < thickness.max() <= 3.01
    assert reflected == pytest.approx(0.075 * thickness / (1 + 0.075 * thickness), abs=1e-4)


def test_glint_is_brightest_in_the_mirror_and_fades_away_from_it() -> None:
    mirror, beside, away = (sunlight.glint(5.0, (20.0, 120.0), (20.0, a)) for a in (300.0, 210.0, 120.0))
    assert mirror > 2 * beside > 4 * away
    assert 0.05 < mirror < 0.3
    assert sunlight.glint(12.0, (20.0, 120.0), (20.0, 300.0)) < mirror


def test_terrain_hides_the_sun_and_clouds_stand_above_it() -> None:
    ground = Ground(replace(TEMPERATE, mountains=1500), 240, 2)
    assert ground.altitude.min() == 0
    assert ground.altitude.max() == pytest.approx(1500)
    assert not ground.terrain_shadow((1.0, 180.0)).any()
    low = ground.terrain_shadow((75.0, 180.0))
    assert 0.1 < low.mean() < 0.9
    assert (low | ~ground.terrain_shadow((60.0, 180.0))).all()
    flat = np.zeros((240, 240), np.float32)
    (layer,) = layers(Clouds("stratus", (700, 700), 900), 0.6, 240, 240, (30.0, 150.0), np.random.default_rng(3))
    pixels = np.arange(240)
    seen = layer.at(pixels, pixels, 0.02, 0.01, ground.altitude)[0]
    assert (seen[ground.altitude >= 700] == 0).all()
    # the look goes as far aside as the cloud is above the ground, not above the sea
    row, col = np.argwhere(ground.altitude < 400)[50]
    above = 700 - float(ground.altitude[row, col])
    assert seen[row, col] == layer.opacity[round(row + 0.02 * above) % 240, round(col + 0.01 * above) % 240]
    assert layer.at(pixels, pixels, 0.0, 0.0, flat)[0] == pytest.approx(layer.opacity)


def test_the_terrain_is_kept_and_shades_its_slopes(tmp_path: Path) -> None:
    (path,) = simulate(tmp_path, **(vars(SERIES["mountains"]) | {"dates": 1, "size": 366}))
    with rasterio.open(tmp_path / "truth" / "dem.tif") as file:
        altitude = file.read(1)
    assert altitude.min() == pytest.approx(700)
    assert altitude.max() == pytest.approx(2600)
    assert _summary(path)["snow_percent"] > 10
    hidden = _truth(path, "ground_10m.tif")[3] > 0
    surface = _truth(path, "surface_reflectance_10m.tif")[3] / 10_000
    nir = (_counts(path, "B8") - 1000.0) / 10_000
    ratio = nir / np.maximum(surface, 0.05)
    assert hidden.mean() > 0.01
    assert np.median(ratio[hidden]) < 0.4 * np.median(ratio[~hidden])


def test_weather_beyond_the_tables_is_refused_and_no_series_has_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="beyond the atmosphere's tables"):
        simulate(tmp_path, tile="31TCJ", dates=1, size=36, weather=(Weather(aot=3.0),))
    assert not list(tmp_path.glob("*.SAFE"))
    thickest = [w.aot * (1 + 2.5 * w.patchy) for series in SERIES.values() for w in series.weather]
    assert max(thickest) < VALID_RANGES["aot550"][1]


def test_the_command_writes_a_scenario(tmp_path: Path) -> None:
    words = ["simulate", "--scenario", "tropics", "--dates", "1", "--size", "36", "--out", str(tmp_path)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    (path,) = tmp_path.glob("*.SAFE")
    assert _granule(path).tile == "30PXU"
    assert CliRunner().invoke(app, ["simulate", "--scenario", "moon", "--out", str(tmp_path)]).exit_code == 2
