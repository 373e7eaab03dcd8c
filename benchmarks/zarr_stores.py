"""Level-1C as EOPF Zarr beside the SAFE that it was made of.

    python -m benchmarks.zarr_stores write SAFE... --out DIR [--generation A] [--zipped]
    python -m benchmarks.zarr_stores same SAFE... --dem FILE [--version V2_0] [--out DIR]
    python -m benchmarks.zarr_stores mutants SAFE [--number 200]
    python -m benchmarks.zarr_stores cost PACKAGE... --dem FILE [--version V2_0]

`same` makes products of a tile's dates from the SAFEs and from each generation of stores, and compares each raster and
the metadata. `mutants` spoils stores and counts tracebacks and pixels that differ without a word. `cost` has two of the
parts of `muscate bench tile --l1c X.zarr`: images decoded, and the whole chain, warm.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import rasterio

from processing import bench
from processing.bands import BANDS
from processing.errors import MuscateError
from processing.l1c import Granule, granules
from processing.production import machine, series
from tests.eopf import GENERATIONS, write
from tests.eopf.mutation import spoil

#: Parts of a metadata file that say when it was made and of what.
OF_SOURCE = ('name="level_1c"', "PRODUCTION_DATE")


def main() -> None:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("write", "same", "mutants", "cost"))
    parser.add_argument("safe", nargs="+", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--generation", default="A", choices=GENERATIONS)
    parser.add_argument("--zipped", action="store_true")
    parser.add_argument("--dem", type=Path)
    parser.add_argument("--version", default="V2_0")
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="Seed of the first one, to go on from.")
    parser.add_argument("--only", nargs="*", choices=GENERATIONS, default=list(GENERATIONS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="zarr-") as name:
        out = options.out or Path(name)
        out.mkdir(parents=True, exist_ok=True)
        if options.what == "write":
            for safe in options.safe:
                print(write(safe, out, options.generation, zipped=options.zipped))
        elif options.what == "same":
            sys.exit(not same(options.safe, out, options.dem, options.version, options.only))
        elif options.what == "cost":
            cost(options.safe, out, options.dem, options.version)
        else:
            sys.exit(not mutants(options.safe[0], out, range(options.first, options.number)))


def same(safes: list[Path], out: Path, dem: Path | None, version: str, generations: list[str]) -> bool:
    """Whether the products of stores are those of the SAFEs."""
    there = _products(safes, out / "safe", dem, version)
    good = True
    for generation in generations:
        folder = out / f"of {generation}".replace("'", "-geozarr")
        folder.mkdir(exist_ok=True)
        stores = [_written(safe, folder, generation) for safe in safes]
        here = _products(stores, folder / "products", dem, version)
        rasters = different = texts = 0
        for name, product in there.items():
            for path in sorted(product.rglob("*.tif")):
                rasters += 1
                different += not _same_pixels(path, here[name] / path.relative_to(product))
            for path in sorted(product.rglob("*_MTD_ALL.xml")):
                texts += bool(_differences(path, here[name] / path.relative_to(product)))
        print(
            f"{generation:3} {len(here)} products, {rasters} rasters, {different} differ; {texts} metadata files differ"
        )
        good = good and there.keys() == here.keys() and not different and not texts and rasters > 0
    return good


def _written(safe: Path, folder: Path, generation: str) -> Path:
    """The store of a SAFE; that of an earlier run serves."""
    store = folder / f"{safe.stem}.zarr"
    if not store.exists():
        growing = folder / "growing"
        growing.mkdir(exist_ok=True)
        write(safe, growing, generation).rename(store)
    return store


def _products(packages: list[Path], out: Path, dem: Path | None, version: str) -> dict[str, Path]:
    """Products by their names; those of an earlier run serve."""
    if out.exists():
        return {path.name: path for path in out.iterdir() if path.is_dir() and not path.name.startswith(".")}
    results = list(series.process(packages, version, out, dem=dem))
    for result in results:
        if result["status"] not in ("valid", "not_valid"):
            raise SystemExit(f"{result['l1c']}: {result['status']}, {result.get('reason')}")
    return {Path(r["product"]).name: Path(r["product"]) for r in results if r["product"]}


def _same_pixels(path: Path, other: Path) -> bool:
    with rasterio.open(path) as one, rasterio.open(other) as two:
        return one.profile == two.profile and np.array_equal(one.read(), two.read())


def _differences(path: Path, other: Path) -> list[tuple[str, str]]:
    """Lines that differ, but for those that tell the source and the time of making."""
    one, two = (p.read_text().splitlines() for p in (path, other))
    pairs = [(a, b) for a, b in zip(one, two, strict=False) if a != b and not any(word in a for word in OF_SOURCE)]
    for a, b in pairs:
        print(f"    {a.strip()}  |  {b.strip()}")
    return pairs + ([("lines", "lines")] if len(one) != len(two) else [])


def cost(packages: list[Path], out: Path, dem: Path | None, version: str) -> None:
    """Print what each package costs, from the images to the product; the terrain is there already."""
    terrain = out / "terrain"
    terrain.mkdir(exist_ok=True)
    bench._measured([partial(bench._terrain, bench.Subject(packages[0], terrain, version, machine.threads(), dem))])
    for number, package in enumerate(packages):
        subject = bench.Subject(package, terrain, version, machine.threads(), dem)
        for name, work in (
            ("images decoded", partial(bench._decode, subject)),
            ("chain", partial(bench._chain, subject, out / f"product-{number}", False)),
        ):
            found = bench._measured([work])
            told = f"{found['cpu']:7.1f} CPU s {found['wall']:7.1f} wall s {found['peak_mb']:7.0f} MB"
            print(f"{package.name[-40:]:40} {name:15} {told}", flush=True)


def mutants(safe: Path, out: Path, seeds: range) -> bool:
    """Whether spoilt stores are refused in one line each, or read to the same pixels."""
    kinds = (("A", False), ("C", False), ("C'", False), ("A", True), ("C'", True))
    folders = [out / f"good-{n}" for n in range(len(kinds))]
    for folder, (generation, zipped) in zip(folders, kinds, strict=True):
        folder.mkdir(exist_ok=True)
        write(safe, folder, generation, zipped=zipped)
    goods = [next(iter(folder.iterdir())) for folder in folders]
    wanted = [fingerprint(granules(good)[0]) for good in goods]
    count: Counter[str] = Counter()
    for seed in seeds:
        good, want = goods[seed % len(goods)], wanted[seed % len(goods)]
        bad = out / good.name
        shutil.copytree(good, bad) if good.is_dir() else shutil.copy(good, bad)
        done = spoil(bad, seed // len(goods))
        outcome, said = judged(bad, want)
        count[outcome] += 1
        if outcome not in ("refused", "same pixels"):
            print(f"{seed} {outcome}: {done}: {said}", flush=True)
        shutil.rmtree(bad) if bad.is_dir() else bad.unlink()
    print(", ".join(f"{number} {outcome}" for outcome, number in sorted(count.items())))
    return set(count) <= {"refused", "same pixels"}


def judged(store: Path, want: tuple[object, ...]) -> tuple[str, str]:
    """What becomes of a store, and what is said of it."""
    try:
        (granule,) = granules(store)
        granule.check()
        found = fingerprint(granule)
    except MuscateError as error:
        line = str(error)
        named = line.startswith(store.name) and "\n" not in line
        return ("refused" if named else "refused without a name"), line
    except Exception as error:
        return "traceback", f"{type(error).__name__}: {error}"
    return ("same pixels", "") if found == want else ("silently different", "")


def fingerprint(granule: Granule) -> tuple[object, ...]:
    """All that the chain would see of a granule."""
    source, angles = granule._sources[0], granule.angles()
    found: list[object] = [granule.quantification, granule.grid, granule.sensing, granule.orbit, granule.baseline]
    found += [sorted(granule.offset.items()), sorted(granule.solar_irradiance.items()), angles.mean_sun]
    found += [angles.sun_zenith.tobytes(), angles.sun_azimuth.tobytes(), sorted(angles.mean_view.items())]
    for band, of_band in angles.view_zenith.items():
        found += [(band, d, z.tobytes(), angles.view_azimuth[band][d].tobytes()) for d, z in of_band.items()]
    for band in BANDS:
        rows, quality = slice(0, granule.grid.shape(BANDS[band].resolution)[0]), source.quality(band)
        found.append(source.observed(band, rows, quality, None).tobytes())
        found += [mask.raster().tobytes() for mask in (*quality, source.detectors(band))]
    return tuple(found)


if __name__ == "__main__":
    main()
