"""The second truth itself: limits, signs, energy, there and back; halves apart, seeds that come again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.elsewhere import Date, air, clouds, peers, protocol, score, series, spectra, worlds
from benchmarks.elsewhere.fields import along, blurred, fractal
from benchmarks.elsewhere.light import State, Sun, shade, top_of_atmosphere

N = 96
READY = [f"{w}_{h}" for w in worlds.WORLDS for h in worlds.HALVES if air.ready(w, h) and (h == "tune" or w == "crops")]


def state(layers: list[clouds.Layer], aot: float = 0.2, water: float = 1.5, number: int = 1) -> State:
    """Level ground of the crops' world."""
    field = np.ones((N, N), np.float32)
    return State(air.Air("crops", 0, number), 100 * field, aot * field, water * field, layers, Sun(field, field), 20.0)


def disc(radius: float, tau: float) -> np.ndarray:
    y, x = np.mgrid[0:N, 0:N] - N // 2
    return np.where(np.hypot(x, y) <= radius, tau, 0).astype(np.float32)


@pytest.mark.parametrize("kind", list(clouds.ALBEDO))
@pytest.mark.parametrize("mu", [0.2, 0.5, 0.9])
def test_a_cloud_neither_makes_nor_loses_light(kind: str, mu: float) -> None:
    r, t, beam = clouds.two_stream(clouds.TAU, 0.99999, clouds.ASYMMETRY[kind], mu)
    np.testing.assert_allclose(r + t, 1, atol=0.01)
    assert (np.diff(r) > -1e-6).all()
    assert (beam <= t + 1e-9).all()
    swallowed = clouds.two_stream(clouds.TAU, 0.95, clouds.ASYMMETRY[kind], mu)
    assert (swallowed[0] + swallowed[1] <= 1 + 1e-9).all()


def test_no_cloud_is_no_layer() -> None:
    empty = top_of_atmosphere(state([]), "B2", np.full((N, N), 0.1, np.float32))
    nothing = clouds.Layer("water", 1500.0, np.zeros((N, N), np.float32))
    np.testing.assert_array_equal(empty, top_of_atmosphere(state([nothing]), "B2", np.full((N, N), 0.1, np.float32)))
    thin = clouds.Layer("water", 1500.0, np.full((N, N), 0.004, np.float32))
    np.testing.assert_allclose(
        empty, top_of_atmosphere(state([thin]), "B2", np.full((N, N), 0.1, np.float32)), atol=6e-4
    )


@pytest.mark.parametrize("band", ["B1", "B2", "B4", "B8A", "B12"])
def test_without_aerosol_the_air_is_rayleigh_s(band: str) -> None:
    """Against Hansen and Travis's optical thickness and single scattering, which misses a fifth at most."""
    here = state([], aot=0.0, water=0.0)
    toa = float(top_of_atmosphere(here, band, np.zeros((N, N), np.float32)).mean())
    um = float(here.air.of("wavelength")[air.INDEX[band]])
    depth = 0.008569 * um**-4 * (1 + 0.0113 * um**-2 + 0.00013 * um**-4)
    (ts, ps), (tv, pv) = here.air.look.sun, here.air.look.view["B5"]
    cosine = -np.cos(np.radians(ts)) * np.cos(np.radians(tv)) - np.sin(np.radians(ts)) * np.sin(
        np.radians(tv)
    ) * np.cos(np.radians(ps - pv))
    mu = 1 / np.cos(np.radians(ts)) + 1 / np.cos(np.radians(tv))
    once = 0.75 * (1 + cosine**2) * (1 - np.exp(-depth * mu)) / 4 / (np.cos(np.radians(ts)) + np.cos(np.radians(tv)))
    assert 0.97 * once - 2e-4 < toa < 1.35 * once + 2e-4


@pytest.mark.parametrize("band", ["B2", "B4", "B8A", "B11"])
@pytest.mark.parametrize("rho", [0.02, 0.2, 0.6])
def test_there_and_back(band: str, rho: float) -> None:
    """A wide ground under its true air, inverted by the textbook's formula, is as it was."""
    here = state([], aot=0.3, water=0.0)
    toa = float(top_of_atmosphere(here, band, np.full((N, N), rho, np.float32))[N // 2, N // 2])
    c = here.air.column(band, np.array([[0.3]]), np.array([[0.1]]))
    y = (toa / float(c.dry) - c.all["path"]) / (c.all["down"] * c.all["up"])
    assert (y / (1 + c.all["albedo"] * y)).item() == pytest.approx(rho, abs=1e-4)


@pytest.mark.parametrize("band", ["B2", "B4"])
def test_aerosol_brightens_dark_ground_and_darkens_bright(band: str) -> None:
    ground = [np.full((N, N), rho, np.float32) for rho in (0.02, 0.7)]
    clear, hazy = ([top_of_atmosphere(state([], aot), band, g).mean() for g in ground] for aot in (0.05, 0.6))
    assert hazy[0] > clear[0] + 0.02
    assert hazy[1] < clear[1]


def test_a_shadow_lies_where_sun_and_height_say() -> None:
    here = state([clouds.Layer("water", 1100.0, disc(5, 30.0))])
    dark = 1 - shade(here, "B8A").beam
    rows, cols = np.nonzero(dark > 0.9)
    zenith, azimuth = (np.radians(a) for a in here.air.look.sun)
    reach = 1000 * np.tan(zenith) / 20
    assert cols.mean() - N // 2 == pytest.approx(-reach * np.sin(azimuth), abs=0.6)
    assert rows.mean() - N // 2 == pytest.approx(reach * np.cos(azimuth), abs=0.6)
    assert len(rows) == pytest.approx(np.pi * 5.5**2, rel=0.25)


def test_the_direct_light_is_what_a_shadow_loses() -> None:
    here = state([clouds.Layer("water", 1100.0, disc(12, 60.0))])
    ground = np.full((N, N), 0.3, np.float32)
    lit, shaded = top_of_atmosphere(state([]), "B8A", ground), top_of_atmosphere(here, "B8A", ground)
    rows, cols = np.nonzero((shade(here, "B8A").beam < 0.01) & (here.seen(here.layers[0], "B8A") < 0.01))
    left = float(shaded[rows, cols].mean() / lit.mean())
    assert 0.05 < left < 0.45
    blue = top_of_atmosphere(here, "B2", ground)[rows, cols].mean() / top_of_atmosphere(state([]), "B2", ground).mean()
    assert blue > left  # more of the blue comes from the sky


def test_bands_see_a_cloud_apart_by_its_height() -> None:
    """B2 looks first and B12 late: along the track, by the difference of their views times the height."""
    here = state([clouds.Layer("water", 3100.0, disc(4, 30.0))])

    def middle(band: str) -> np.ndarray:
        tau = here.seen(here.layers[0], band)
        return np.array([np.average(axis, weights=tau) for axis in np.mgrid[0:N, 0:N]])

    moved = (middle("B12") - middle("B2")) * 20
    way = []
    for band in ("B12", "B2"):
        zenith, azimuth = (np.radians(a) for a in here.air.look.view[band])
        way.append(3000 * np.tan(zenith) * np.array([np.cos(azimuth), -np.sin(azimuth)]))
    np.testing.assert_allclose(moved, way[0] - way[1], atol=2)
    assert np.hypot(*moved) > 25


@pytest.mark.parametrize("band", ["B9", "B10"])
def test_a_higher_cloud_has_less_vapour_above_it(band: str) -> None:
    ground = np.full((N, N), 0.2, np.float32)
    seen = [
        top_of_atmosphere(state([clouds.Layer("water", h, np.full((N, N), 30, np.float32))]), band, ground).mean()
        for h in (800.0, 3000.0, 9000.0)
    ]
    assert seen[0] < seen[1] < seen[2]


def test_the_same_vapour_absorbs_less_in_thinner_air() -> None:
    """Each place has the lines of its own altitude, whatever that of the image is on the whole."""
    here, km = air.Air("alps", 0, 0), np.array([0.9, 2.0, 3.4])
    passed = here.gas("B9", np.full(3, 0.5), km)
    assert (np.diff(passed) > 0.005).all()
    np.testing.assert_allclose(passed, [float(here.gas("B9", np.array(0.5), z)) for z in km], rtol=1e-6)
    assert (np.diff(here.gas("B9", np.array([0.2, 0.5, 1.0]), 2.0)) < 0).all()


def test_a_band_is_compared_with_what_its_pixels_show_of_the_ground() -> None:
    """At 10 m an image is interpolated from 20 m, and smoother than the ground that it was made of."""
    ground = np.random.default_rng(0).uniform(0, 0.1, (24, 24)).astype(np.float32)
    np.testing.assert_array_equal(score.as_imaged(ground, "B8A"), ground)
    shown = score.as_imaged(ground, "B4")
    assert shown.std() < 0.9 * ground.std()
    assert shown.mean() == pytest.approx(ground.mean(), rel=0.02)


def test_veils_reach_the_strengths_that_are_judged() -> None:
    tau = np.full((N, N), 0.08, np.float32)
    here = state([clouds.Layer("ice", 10_000.0, tau)])
    high = top_of_atmosphere(here, "B10", np.full((N, N), 0.2, np.float32)).mean()
    assert 0.003 < high < 0.02


def test_grounds_stay_physical() -> None:
    here = air.Air("crops", 0, 0)
    grey = np.full((1, len(air.BANDS)), 0.2)
    thick, none = (spectra.canopy(here, "wheat", np.array([lai]), grey)[0] for lai in (5.0, 0.0))
    np.testing.assert_allclose(none, 0.2, atol=1e-6)
    assert thick[air.INDEX["B8A"]] > 0.35 > 0.06 > thick[air.INDEX["B4"]]
    assert (spectra.soil(here, "loam", 1.0) < spectra.soil(here, "loam", 0.0)).all()
    fine, coarse = spectra.snow(here, np.array([80.0]))[0], spectra.snow(here, np.array([500.0]))[0]
    assert (coarse <= fine).all()
    assert fine[air.INDEX["B2"]] > 0.9 > 0.2 > fine[air.INDEX["B11"]]
    clear, turbid = spectra.water(here, np.array([1.0]), np.array([1.0]))[0], spectra.water(
        here, np.array([3.0]), np.array([100.0]))[0]  # fmt: skip
    assert clear[air.INDEX["B4"]] < 0.02 < 0.05 < turbid[air.INDEX["B4"]]
    assert turbid[air.INDEX["B11"]] < 0.005


def test_halves_share_neither_seed_nor_pass() -> None:
    assert {worlds.half_of(seed) for seed in range(0, 20, 2)} == {"tune"}
    assert {worlds.half_of(seed) for seed in range(1, 20, 2)} == {"report"}
    for world in worlds.WORLDS.values():
        tuned, reported = ({p.day for p in world.passes[half]} for half in worlds.HALVES)
        assert not tuned & reported


@pytest.mark.parametrize("half", READY)
def test_a_world_comes_again_from_its_seed(half: str) -> None:
    world, name = half.split("_")
    seed = worlds.HALVES.index(name)
    first, again = (next(series(world, seed, 120)) for _ in range(2))
    for band, counts in first.scene.counts.items():
        np.testing.assert_array_equal(counts, again.scene.counts[band])
        assert np.isfinite(first.truth.surface[band]).all()
        assert (first.truth.surface[band] > 0).all()
    other = next(series(world, seed + 2, 120))
    assert (other.scene.counts["B2"] != first.scene.counts["B2"]).mean() > 0.5


def test_fields_have_the_form_that_is_said() -> None:
    field = fractal(np.random.default_rng(0), 96, 96)
    assert field.mean() == pytest.approx(0, abs=1e-4)
    assert field.std() == pytest.approx(1, abs=1e-4)
    assert blurred(field, 6).std() < field.std()
    one = np.ones((96, 96), np.float32)
    np.testing.assert_allclose(along(field, 3 * one, -2 * one), np.roll(field, (2, -3), (0, 1)), atol=1e-5)


def perfect(date: Date) -> score.Found:
    t = date.truth
    surface = {band: score.as_imaged(ground, band) for band, ground in t.surface.items()}
    return score.Found(t.cloud, t.shadow & ~t.cloud, t.water, t.snow, None, t.aot, t.water_vapour, surface)


def test_the_truth_scores_best_and_an_error_costs() -> None:
    date = list(series("crops", 0, 240, 2))[1]
    best = perfect(date)
    figures = score.figures(score.add([score.judge(date, best)]))
    assert figures["cloud_direct_f1"] == figures["shadow_direct_f1"] == figures["inside_B2"] == 1
    assert figures["aot_land_rmse"] == pytest.approx(0, abs=1e-6)
    wrong = replace(best, aot=date.truth.aot + 0.1, cloud=np.zeros_like(best.cloud),
                    reflectance={b: v + 0.05 for b, v in best.reflectance.items()})  # fmt: skip
    figures = score.figures(score.add([score.judge(date, wrong)]))
    assert figures["aot_land_bias"] == pytest.approx(0.1, abs=1e-5)
    assert figures["cloud_direct_recall"] == figures["inside_B2"] == 0


def test_an_interval_tells_a_gain_from_a_tie() -> None:
    date = list(series("crops", 0, 240, 2))[1]
    best = perfect(date)
    noise = np.random.default_rng(1).standard_normal(date.truth.aot.shape).astype(np.float32)
    worse = [score.judge(date, replace(best, aot=date.truth.aot + 0.05 + 0.01 * noise))]
    found = {d.figure: d for d in protocol.difference([score.judge(date, best)], worse)}
    assert found["aot_land_rmse"].claimed
    assert found["aot_land_rmse"].low > 0.03
    assert not found["cloudy_ring_f1"].claimed


def test_a_log_line_says_what_was_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "LOG", tmp_path / "log.jsonl")
    protocol.log("a wider window", "tune", 1, 240, {"crops": {"V2_1": {"aot_land_rmse": 0.04321}}})
    entry = json.loads((tmp_path / "log.jsonl").read_text())
    assert entry["note"] == "a wider window"
    assert set(entry["digests"]) == {"V2_1"}
    assert entry["figures"]["crops"]["V2_1"]["aot_land_rmse"] == 0.0432


def test_each_detector_gets_the_buffer_that_suits_it() -> None:
    date = list(series("crops", 0, 240, 2))[1]
    seen = ~peers.grown(~date.truth.cloud, 60)
    sums = {(f"peer+{b}", "crops", 0, 1): score.judge(date, score.Found(peers.grown(seen, b))) for b in peers.BUFFERS}
    chosen = peers.best(sums)
    assert list(chosen) == [("peer", "crops", 0, 1)]
    f1 = {k[0]: score.figures(score.add([p])) for k, p in sums.items()}
    best = max(f1, key=lambda k: f1[k]["cloudy_ring_f1"] + f1[k]["cloudy_direct_f1"])
    assert chosen["peer", "crops", 0, 1] is sums[best, "crops", 0, 1]
