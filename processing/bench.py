"""`muscate bench tile`: what a tile costs from Level-1C package to product on disk, beside what can't be avoided.

That is decoding its 13 images once and deflating its product once. All is measured in one run, each part in a process
of its own, so that the figures can be compared with one another: on a busy machine only the ratios mean something.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from processing.errors import InputError
from processing.versions import CURRENT


@dataclass(frozen=True)
class Bar:
    """A ratio and what it must not exceed, or must reach where `least`."""

    label: str
    bar: float
    least: bool = False

    def met(self, value: float) -> bool:
        """Whether a value is on the right side."""
        return value >= self.bar if self.least else value <= self.bar


#: Seconds are those of the processor, memory is in MB.
BARS = {
    "cpu_ratio": Bar("chain / (decoding + deflating), CPU", 1.25),
    "wall_ratio": Bar("chain, wall / (CPU / threads)", 1.15),
    "wall": Bar("chain, wall [s]", 75),
    "peak_mb": Bar("peak memory [MB]", 2500),
    "low_memory_peak_mb": Bar("peak memory, low-memory mode [MB]", 1000),
    "cold_cpu": Bar("first run of a fresh install over a warm one [CPU s]", 10),
    "uncompiled_cpu": Bar("first run without `muscate warmup` over a warm one [CPU s]", 15),
    "cloudy_cpu": Bar("more than 90 % cloud, found and stopped [CPU s]", 10),
    "backward_cpu": Bar("eight later dates run backward, over one nominal date [CPU s]", 60),
    "correction": Bar("gas, scattering, adjacency, slope of ten bands, wall [s]", 25),
    "aot": Bar("AOT inversion of a date with a past, wall [s]", 5),
    "masks_cpu": Bar("mask steps of a date with a past, and rasters [CPU s]", 10),
    "s2cloudless_gain": Bar("s2cloudless's mask alone / all our masks, CPU", 10, least=True),
    "pair_gain": Bar("two workers at once against one on one core", 1.8, least=True),
}

#: The steps that serve the masks alone; the tests look at what `rayleigh` and `water_vapour` make.
MASK_STEPS = (
    "terrain_shadow",
    "water_vapour",
    "rayleigh",
    "cirrus",
    "snow_mask",
    "cloud_mask",
    "multi_temporal",
    "correlation",
    "shadow_mask",
    "shadow_outside",
    "clouds",
    "water_mask",
    "rain",
)


@dataclass(frozen=True)
class Subject:
    """One package under one version, to be measured.

    Attributes
    ----------
    package : Path
        A Level-1C package.
    terrain : Path
        Folder where the terrain on the tile's grid is kept from its first date on, as a centre does.
    version : str
        Whose parameters are taken.
    threads : int
        Of the chain.
    dem : Path or None
        Terrain model.
    """

    package: Path
    terrain: Path
    version: str
    threads: int
    dem: Path | None = None


@dataclass(frozen=True)
class Extras:
    """What is measured besides the chain.

    Attributes
    ----------
    cloudy : Path or None
        A Level-1C package with more than 90 % of cloud, for what it costs to refuse it; simulated with the tile.
    backward : bool
        Also start the tile from as many later dates as the version takes: the same image under other dates.
    pair : bool
        Also run the tile in a worker of one thread that has one core, and in two such workers that share all cores.
    comparators : bool
        Also find the clouds of the same tile with s2cloudless.
    """

    cloudy: Path | None = None
    backward: bool = False
    pair: bool = False
    comparators: bool = False


class _Sheet:
    """What has been measured by now, each part told of as it ends."""

    def __init__(self, told: Callable[[str], None]) -> None:
        self.parts: dict[str, dict[str, Any]] = {}
        self._told = told

    def measure(self, name: str, *works: Callable[[], dict[str, float]]) -> dict[str, Any]:
        """Run some work as `_measured` and note it under the name of its part."""
        with _ticking(self._told, _PARTS[name]):
            self.parts[name] = _measured(works)
        self._told(_row(name, self.parts[name]))
        return self.parts[name]


def tile(
    package: Path | None,
    size: int,
    *,
    extras: Extras,
    dem: Path | None = None,
    version: str = CURRENT,
    told: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Measure one tile.

    Parameters
    ----------
    package : Path or None
        A Level-1C package; None: one is simulated.
    size : int
        Pixels at 10 m of the simulated one.
    extras : Extras
        What is measured besides.
    dem : Path, optional
        Terrain model.
    version : str
        Whose parameters are taken.
    told : callable
        Takes a line where a part begins, now and then while it lasts, and where it ends: all take ten minutes.

    Returns
    -------
    dict
        ``l1c``, ``version``, ``threads``, ``load`` (of the machine, before and after); per part (the keys of `_PARTS`)
        its ``cpu`` and ``wall`` [s], ``peak_mb`` and, for a run of the chain, ``steps`` [s]; ``product_mb``;
        ``figures``, those of `BARS` that were measured.
    """
    from processing.production import machine

    load = [_load()]
    with _workplace() as folder:
        if package is None:
            with _ticking(told, f"simulating a tile of {size} pixels"):
                package, overcast = _simulated(folder / "l1c", size)
            extras = replace(extras, cloudy=extras.cloudy or overcast)
        subject = Subject(package, folder / "terrain", version, machine.threads(), dem)
        sheet = _Sheet(told)
        _measure_chain(sheet, subject, folder)
        figures = _figures(sheet.parts, subject.threads)
        figures |= _measure_extras(sheet, subject, extras, folder, figures["masks_cpu"])
        return {
            "l1c": package.name,
            "version": version,
            "threads": subject.threads,
            "load": [*load, _load()],
            **sheet.parts,
            "product_mb": sum(f.stat().st_size for f in (folder / "warm").rglob("*") if f.is_file()) / 1e6,
            "figures": figures,
        }


@contextmanager
def _ticking(told: Callable[[str], None], what: str) -> Iterator[None]:
    """Tell that something begins, and every so often that it goes on."""
    began, over = time.monotonic(), threading.Event()

    def tick() -> None:
        while not over.wait(TICK_SECONDS):
            told(f"{what}: {time.monotonic() - began:.0f} s by now")

    thread = threading.Thread(target=tick, daemon=True)
    told(f"{what} ...")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _workplace() -> Iterator[Path]:
    """A folder for all that is made; at the end it goes, and with it the kernels that were compiled there."""
    folder = Path(tempfile.mkdtemp(prefix="muscate-bench-"))
    try:
        yield folder
    finally:
        os.environ.pop("NUMBA_CACHE_DIR", None)
        shutil.rmtree(folder, ignore_errors=True)


def _simulated(folder: Path, size: int) -> tuple[Path, Path]:
    """Packages of a date, and of one with more than 90 % of cloud."""
    from processing.simulation import simulate

    package, overcast = simulate(folder, tile="31TCJ", dates=2, size=size, overcast=(1,))
    return package, overcast


def _measure_chain(sheet: _Sheet, subject: Subject, folder: Path) -> None:
    """The chain from nothing compiled to warm, and the two yardsticks."""
    subject.terrain.mkdir()
    if subject.dem:
        sheet.measure("terrain", partial(_terrain, subject))
    os.environ["NUMBA_CACHE_DIR"] = str(folder / "none")  # of the measured processes: empty at first
    run = partial(_chain, subject)
    sheet.measure("decode", partial(_decode, subject))  # and the disk's cache has the images
    sheet.measure("uncompiled", partial(run, folder / "uncompiled", False))
    os.environ["NUMBA_CACHE_DIR"] = str(folder / "kernels")
    sheet.measure("warmup", _warmup)
    sheet.measure("first", partial(run, folder / "first", False))
    sheet.measure("deflate", partial(_deflate, folder / "first"))  # and the disk has caught up
    sheet.measure("chain", partial(run, folder / "warm", False))
    sheet.measure("low_memory", partial(run, folder / "low", True))
    sheet.measure("correct", partial(_correct, subject, folder / "correct"))


def _figures(parts: dict[str, dict[str, Any]], threads: int) -> dict[str, float]:
    """Those of `BARS` that the chain alone gives."""
    warm, steps = parts["chain"], parts["correct"]["steps"]
    full_resolution = ("gaseous_absorption", "scattering", "adjacency", "full resolution")
    return {
        "cpu_ratio": warm["cpu"] / (parts["decode"]["cpu"] + parts["deflate"]["cpu"]),
        "wall_ratio": warm["wall"] / (warm["cpu"] / threads),
        "wall": warm["wall"],
        "peak_mb": warm["peak_mb"],
        "low_memory_peak_mb": parts["low_memory"]["peak_mb"],
        "cold_cpu": parts["first"]["cpu"] - warm["cpu"],
        "uncompiled_cpu": parts["uncompiled"]["cpu"] - warm["cpu"],
        "correction": sum(steps[step] for step in full_resolution),
        "aot": steps["aerosol_optical_thickness"],
        "masks_cpu": steps["all masks"],
    }


def _measure_extras(
    sheet: _Sheet, subject: Subject, extras: Extras, folder: Path, masks_cpu: float
) -> dict[str, float]:
    """What was asked for besides, and its figures."""
    figures = {}
    if extras.cloudy is not None:
        # of whatever place: no terrain model, which a date that is refused does not need
        refused = replace(subject, package=extras.cloudy, dem=None)
        figures["cloudy_cpu"] = sheet.measure("cloudy", partial(_chain, refused, folder / "cloudy", False))["cpu"]
    if extras.backward:
        figures["backward_cpu"] = sheet.measure("backward", partial(_backward, subject))["cpu"]
    if extras.comparators:
        alone = sheet.measure("s2cloudless", partial(_s2cloudless, subject))
        figures["s2cloudless_gain"] = alone["cpu"] / masks_cpu
    if extras.pair:
        one = partial(_chain, replace(subject, threads=1))
        alone = sheet.measure("alone", partial(_on_one_core, partial(one, folder / "alone", False)))
        both = sheet.measure("pair", *(partial(one, folder / name, False) for name in ("one", "two")))
        figures["pair_gain"] = 2 * alone["wall"] / both["wall"]
    return figures


def _load() -> float:
    return round(os.getloadavg()[0], 2)


def _cpu(work: Callable[[], object]) -> float:
    """Processor time of all threads. [s]"""
    before = time.process_time()
    work()
    return time.process_time() - before


def _decode(subject: Subject) -> dict[str, float]:
    """The first yardstick: every image decoded once, nothing else."""
    from processing.l1c import granules

    with ThreadPoolExecutor(subject.threads) as pool:
        strips = [strip for granule in granules(subject.package) for strip in granule.image_strips()]
        sum(pool.map(lambda strip: strip().nbytes, strips))
    return {}


def _terrain(subject: Subject) -> dict[str, float]:
    """The terrain model brought to the tile and kept: what its first date pays, once."""
    from processing.production.processor import ancillary_of, granule
    from processing.versions import parameters

    source, numbers = granule([subject.package], None), parameters(subject.version)
    return {"cpu": _cpu(lambda: ancillary_of(source, numbers, subject.dem, subject.terrain))}


def _deflate(folder: Path) -> dict[str, float]:
    """The second one: the images of the product's rasters, overviews too, differenced and deflated, no disk."""
    import numpy as np
    import rasterio

    from processing.product import raster

    seconds = 0.0
    for path in sorted(folder.rglob("*.tif")):
        with rasterio.open(path) as dataset:
            images = [dataset.read()]
            factors = dataset.overviews(1)
        for level in range(len(factors)):
            with rasterio.open(path, overview_level=level) as dataset:
                images.append(dataset.read())
        for image in images:
            pixels = image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)
            seconds += _cpu(partial(raster.deflated, pixels))
    return {"cpu": seconds}


def _chain(subject: Subject, out: Path, low_memory: bool) -> dict[str, float]:
    """Package to product, as a worker makes it."""
    from processing.production.processor import granule, produce
    from processing.production.request import Request, Setup

    out.mkdir()
    tile = granule([subject.package], None).tile
    setup = Setup(subject.dem, subject.terrain, subject.threads, low_memory)
    return produce(Request([subject.package], tile, subject.version, out, setup=setup)).seconds


def _warmup() -> dict[str, float]:
    """What an installation ends with."""
    warmup()
    return {}


def _on_one_core(work: Callable[[], dict[str, float]]) -> dict[str, float]:
    """The decoder has threads of its own: one thread of ours alone would take a second core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    return work()


def _correct(subject: Subject, out: Path) -> dict[str, float]:
    """From counts in memory to the surface and flat reflectances in memory, on a date with a past.

    Then the same date once more for the processor time of each step, when no image is decoded beside it.
    """
    from processing import chain, product
    from processing.bands import BANDS, GROUP_RESOLUTION
    from processing.chain.steps import Stopwatch
    from processing.production.processor import ancillary_of, granule
    from processing.scene import strips
    from processing.versions import parameters

    out.mkdir()
    numbers = parameters(subject.version)
    before = time.process_time()
    source = granule([subject.package], None)
    around = ancillary_of(source, numbers, subject.dem, subject.terrain)
    read = time.process_time() - before
    with source.decoded(subject.threads, None) as scene_with:
        scene = scene_with(around)
        scene = replace(scene, counts={band: scene.counts[band] for band in BANDS})
    _, past = chain.correct(scene, None, numbers)
    later = replace(scene, sensing=scene.sensing + timedelta(days=5))
    found, left = chain.correct(later, past, numbers)

    def make(rasters: Any, band: str) -> int:
        height = scene.grid.shape(BANDS[band].resolution)[0]
        return sum(rows.size for rows in strips(rasters, band, height))

    def mask_rasters() -> None:
        for rasters in (found.cloud, found.geophysical, found.edge):
            for group, resolution in GROUP_RESOLUTION.items():
                sum(rows.size for rows in strips(rasters, group, scene.grid.shape(resolution)[0]))

    if found.status != "valid" or left is None:
        raise InputError(subject.package, f"gives no product to measure: {found.origin.get('reason')}")
    start = time.perf_counter()
    with ThreadPoolExecutor(subject.threads) as pool:
        made = [
            pool.submit(make, rasters, band)
            for rasters in (found.surface_reflectance, found.flat_reflectance)
            for band in rasters
        ]
        sum(each.result() for each in made)
    wall = time.perf_counter() - start
    Stopwatch.clock = staticmethod(time.process_time)
    each_step = {"read": read} | chain.correct(later, past, numbers)[0].seconds
    masks = _cpu(mask_rasters) + sum(each_step.get(step, 0.0) for step in MASK_STEPS)
    each_step["write"] = _cpu(
        partial(product.write, found, scene, out, produced=datetime.now(UTC), threads=subject.threads)
    )
    each_step["state"] = _cpu(partial(product.save_state, left, out / "state.npz", found.evidence))
    of_processor = {f"{step}, CPU": seconds for step, seconds in each_step.items()}
    return found.seconds | of_processor | {"full resolution": wall, "all masks": masks}


def _s2cloudless(subject: Subject) -> dict[str, float]:
    """The mask of s2cloudless alone, at 60 m: no image decoded."""
    from processing.production.processor import granule
    from processing.validation import comparators

    find = comparators.s2cloudless_detector()
    reflectance, _ = comparators.s2cloudless_input(granule([subject.package], None))
    return {"cpu": _cpu(lambda: find(reflectance))}


def _backward(subject: Subject, dates: int | None = None) -> dict[str, float]:
    """What a backward start adds to a date: libraries are loaded already, the first date itself is left out."""
    from processing.production.processor import granule, look_back
    from processing.production.request import Setup
    from processing.versions import parameters

    numbers, first = parameters(subject.version), granule([subject.package], None)
    days = range(5, 5 + 5 * (dates or numbers.backward_dates), 5)
    later = [partial(replace, first, sensing=first.sensing + timedelta(days=n)) for n in days]
    before = time.process_time()
    setup = Setup(subject.dem, subject.terrain, subject.threads)
    composite, told = look_back(first, later, numbers, setup)
    if composite is None or told["backward"].count(",") + 1 != len(later):
        raise RuntimeError(f"the later dates did not serve: {told}")
    return {"cpu": time.process_time() - before}


def _child(work: Callable[[], dict[str, float]], answer: Connection) -> None:
    start = time.perf_counter()
    steps = work()
    wall = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_SELF)
    # imports included: what a process costs
    cpu = steps.pop("cpu", used.ru_utime + used.ru_stime)
    answer.send({"cpu": cpu, "wall": wall, "peak_mb": used.ru_maxrss / 1024, "steps": steps})


def _measured(works: Iterable[Callable[[], dict[str, float]]]) -> dict[str, Any]:
    """Run some work, each in a process of its own and all at once; sums of CPU and memory, the longest wall."""
    context = multiprocessing.get_context("spawn")
    running = []
    for work in works:
        ours, theirs = context.Pipe()
        child = context.Process(target=_child, args=(work, theirs))
        child.start()
        theirs.close()
        running.append((child, ours))
    answers = []
    for child, ours in running:
        try:
            answers.append(ours.recv())
        except EOFError:
            raise RuntimeError("the measured process died: see above") from None
        finally:
            child.join()
    return {
        "cpu": sum(a["cpu"] for a in answers),
        "wall": max(a["wall"] for a in answers),
        "peak_mb": sum(a["peak_mb"] for a in answers),
        "steps": answers[0]["steps"],
    }


#: Time between two words that a part goes on. [s]
TICK_SECONDS = 15.0

_PARTS = {
    "decode": "13 images decoded",
    "deflate": "product deflated",
    "terrain": "terrain, once a tile",
    "uncompiled": "chain, nothing compiled",
    "warmup": "muscate warmup",
    "first": "chain, first run",
    "chain": "chain, warm",
    "low_memory": "chain, low memory",
    "correct": "correction in memory",
    "cloudy": "too much cloud",
    "backward": "eight dates backward",
    "s2cloudless": "s2cloudless's mask",
    "alone": "a worker on one core",
    "pair": "two workers, two tiles",
}


def _row(name: str, one: dict[str, Any]) -> str:
    return f"{_PARTS[name]:24}{one['cpu']:8.1f}{one['wall']:8.1f}{one['peak_mb']:9.0f}"


def table(figures: dict[str, Any], earlier: dict[str, Any] | None = None) -> str:
    """The figures as lines for a reader, beside those of an earlier run where there is one."""

    def before(*keys: str) -> str:
        found: Any = earlier
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        return f"{found:12.2f}" if isinstance(found, int | float) else ""

    then = f"{'earlier':>12}" if earlier else ""
    load = " to ".join(map(str, figures["load"]))
    lines = [f"{figures['l1c']}, {figures['version']}, {figures['threads']} threads, load {load}", ""]
    lines.append(f"{'':24}{'CPU s':>8}{'wall s':>8}{'peak MB':>9}{then}")
    lines += [f"{_row(name, figures[name])}{before(name, 'cpu')}" for name in _PARTS if name in figures]
    wall, alone = figures["chain"]["steps"], figures.get("correct", {"steps": {}})["steps"]
    processor = {name.removesuffix(", CPU"): seconds for name, seconds in alone.items() if name.endswith(", CPU")}
    lines += ["", f"{'step, warm':24}{'CPU s':>8}{'wall s':>8}{'':9}{then}".rstrip()]
    for step in dict.fromkeys([*wall, *processor]):
        cpu, seconds = (f"{of[step]:8.2f}" if step in of else f"{'':8}" for of in (processor, wall))
        lines.append(f"{step:24}{cpu}{seconds}{'':9}{before('chain', 'steps', step)}".rstrip())
    lines.append("(CPU: of a date with a past, its images in memory; wall: of a first date, while they are decoded)")
    lines += ["", f"product {figures['product_mb']:.0f} MB", "", f"{'':54}{'':>9}{'bar':>10}{then}"]
    for name, bar in BARS.items():
        if name in figures["figures"]:
            value = figures["figures"][name]
            limit = f"{'>=' if bar.least else '<='} {bar.bar:g}"
            verdict = "" if bar.met(value) else "  missed"
            lines.append(f"{bar.label:54}{value:9.2f}{limit:>10}{before('figures', name)}{verdict}")
    return "\n".join(lines)


def warmup() -> None:
    """Compile every kernel into the cache, by two small simulated dates of a mountain through the whole line."""
    from processing.production.processor import granule, produce
    from processing.production.request import Request, Setup
    from processing.simulation import simulate
    from processing.simulation.scenario import SERIES

    place = SERIES["mountains"]  # with terrain; its second date has clouds
    with tempfile.TemporaryDirectory(prefix="muscate-warmup-") as name:
        folder = Path(name)
        state = None
        # large enough for overviews
        for package in simulate(
            folder, tile=place.tile, dates=2, size=732, scenario=place.scenario, weather=place.weather
        ):
            tile, setup = granule([package], None).tile, Setup(folder / "truth" / "dem.tif")
            state = produce(Request([package], tile, CURRENT, folder, state, setup=setup)).state
