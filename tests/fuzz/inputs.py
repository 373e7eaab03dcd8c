"""Make mutants of sound packages, process each, and judge what became of it by the product of the sound one.

    python -m tests.fuzz.inputs --mutants 2000 --seed 1       # as many as wanted; --only FORM:SEED:NUMBER tries one
    python -m tests.fuzz.inputs --seconds 3600                # for an hour

A mutant is right if it gives the same pixels, if its product says what is odd about its input, or if it is refused in
one line. Exit code 1 if one is not: wrong in silence, a traceback, an abort, a hang (more than 60 s) or more than 3 GB.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import resource
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from lxml import etree

from tests.eopf.mutation import spoil
from tests.fuzz import mutations, products

#: Bars of one mutant. [s], [bytes]
HANG, MEMORY = 60.0, 3_000_000_000
#: What the first one may take, for which the kernels are compiled. [s]
COMPILES = 600.0
#: What is counted as a failure of ours.
BAD = ("silent", "traceback", "abort", "hang", "memory")
FORMS = ("new", "old", "new-zip", "old-zip", "new-dem", "zarr", "zarr-zip")
VERSION = "V1_4"


class Mutant:
    """One damaged package: its form, its seed and its number say all of it."""

    def __init__(self, form: str, seed: int, number: int) -> None:
        self.form, self.seed, self.number = form, seed, number
        self.name = f"{form}:{seed}:{number}"
        #: The terrain model, where that is what is damaged.
        self.dem: Path | None = None

    def make(self, sound: dict[str, Path], folder: Path) -> tuple[Path, str, str]:
        """Write it; its path, what is wrong with it, and what became of its manifest."""
        source = random.Random(f"{self.form}-{self.seed}-{self.number}")
        if self.form.startswith("zarr"):
            return *self._store(source, sound[self.form], folder), "kept"
        origin = sound[self.form.split("-")[0]]
        package = folder / origin.name
        shutil.copytree(origin, package)
        if self.form.endswith("-dem"):
            self.dem = folder / "dem.tif"
            shutil.copy(sound["dem"], self.dem)
            kind = source.choice(sorted(mutations.TERRAIN))
            return package, f"terrain: {mutations.TERRAIN[kind](source, self.dem)}", "kept"
        return self._package(source, package, folder)

    @staticmethod
    def _store(source: random.Random, origin: Path, folder: Path) -> tuple[Path, str]:
        """A store has no checksums: what of it may be changed unseen, its bytes within a folder, is left alone."""
        store = folder / origin.name
        if origin.is_dir():
            shutil.copytree(origin, store)
            others: list[mutations.Mutation] = [mutations.odd_file, mutations.add]
        else:
            shutil.copy(origin, store)
            others = list(mutations.ZIP.values())
        if source.random() < 0.6:
            return store, spoil(store, source.randrange(2**30))
        return store, source.choice(others)(source, store)

    def _package(self, source: random.Random, package: Path, folder: Path) -> tuple[Path, str, str]:
        told: list[str] = []
        zip_kind = None
        zipped = self.form.endswith("-zip")
        if zipped and source.random() < 0.6:
            zip_kind = source.choice(sorted(mutations.ZIP))
        if zip_kind is None:
            names = list(mutations.FOLDER)
            weights = [mutations.WEIGHTS.get(name, 1) for name in names]
            for name in source.choices(names, weights, k=source.choice([1, 1, 1, 2])):
                with contextlib.suppress(OSError, IndexError, ValueError, TypeError):
                    told.append(mutations.FOLDER[name](source, package))
        manifest = source.choices(["kept", "dropped", "signed"], [7, 2, 1])[0]
        if manifest == "dropped":
            with contextlib.suppress(OSError):
                (package / "manifest.safe").unlink()
        elif manifest == "signed" and all(_is_plain(p) for p in package.rglob("*")):
            with contextlib.suppress(OSError, UnicodeError):
                products.sign(package)
        if not zipped:
            return package, "; ".join(told), manifest
        path = folder / f"{package.stem}.zip"
        with contextlib.suppress(ValueError):
            mutations.pack(package, path)
        if zip_kind is not None:
            told.append(mutations.ZIP[zip_kind](source, path))
        shutil.rmtree(package)
        return path, "; ".join(told), manifest


def _is_plain(path: Path) -> bool:
    return stat.S_IFMT(path.lstat().st_mode) in (stat.S_IFREG, stat.S_IFDIR)


# In the process that runs the chain


def serve() -> None:
    """Process the packages that come on the standard input, one line of JSON each, and answer alike."""
    from processing.production.series import process

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        asked = json.loads(line)
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
        answer: dict[str, Any]
        try:
            found = list(process([Path(asked["package"])], VERSION, Path(asked["out"]), dem=Path(asked["dem"])))
            answer = {"found": found}
        except Exception as error:
            from processing.errors import MuscateError

            if isinstance(error, MuscateError):  # the command prints it in one line
                answer = {"found": [{"status": "failed", "reason": str(error), "product": None}]}
            else:
                answer = {"traceback": traceback.format_exc()}
        answer["peak"] = _peak()
        print(json.dumps(answer), file=answers, flush=True)


def _peak() -> int:
    with contextlib.suppress(OSError):
        found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
        if found:
            return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Worker:
    """A process that runs the chain; started anew after an abort, a hang or a call for too much memory."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.process: subprocess.Popen[str] | None = None

    def run(self, package: Path, out: Path, dem: Path, seconds: float = HANG) -> dict[str, Any]:
        """What became of a package; ``hang`` or ``abort`` if nothing did."""
        if self.process is None:
            with self.log.open("a") as log:
                self.process = subprocess.Popen(
                    [sys.executable, "-c", "from tests.fuzz.inputs import serve; serve()"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    start_new_session=True,
                    preexec_fn=_bound,
                )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"package": str(package), "out": str(out), "dem": str(dem)}) + "\n")
            self.process.stdin.flush()
            if not select.select([self.process.stdout], [], [], seconds)[0]:
                self.end()
                return {"hang": True}
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            code = self.process.wait()
            self.end()
            return {"abort": code}
        return json.loads(line)  # type: ignore[no-any-return]

    def end(self) -> None:
        """End it and all it started."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            self.process = None


def _bound() -> None:
    # Above the bar, so that the peak is seen, and below what the machine has.
    resource.setrlimit(resource.RLIMIT_AS, (12_000_000_000, 12_000_000_000))


# What is right


class Product:
    """What counts of a product: its name, its rasters, and what it says of its input."""

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self.rasters = {}
        for path in sorted(folder.rglob("*.tif")):
            with rasterio.open(path) as raster:
                self.rasters[path.name.partition(f"{VERSION.replace('_', '-')}_")[2]] = raster.read()
        (metadata,) = folder.glob("*_MTD_ALL.xml")
        root = etree.parse(str(metadata)).getroot()
        self.origin = {e.get("name"): e.text for e in root.iter("ORIGIN")}

    def same(self, other: Product) -> bool:
        """Whether it is the same date, with the same pixels."""
        return (
            self.name == other.name
            and self.rasters.keys() == other.rasters.keys()
            and all(np.array_equal(self.rasters[name], other.rasters[name]) for name in self.rasters)
        )


def judge(answer: dict[str, Any], sound: Product, manifest: str) -> tuple[str, str]:
    """What became of a mutant, in one word and a line."""
    for kind in ("hang", "abort", "traceback"):
        if kind in answer:
            return kind, str(answer[kind]).strip().splitlines()[-1]
    if answer["peak"] > MEMORY:
        return "memory", f"{answer['peak'] / 1e9:.1f} GB"
    (found,) = answer["found"] or [{"status": "nothing", "reason": "", "product": None}]
    reason = found.get("reason") or ""
    if found["product"] is None:
        good = found["status"] in ("rejected", "failed", "not_valid") and reason.strip() and "\n" not in reason
        # A reader that has no name for a fault has one for the exception.
        unnamed = re.search(r"\b[A-Z]\w+(Error|Exception): |\[Errno", reason)
        return ("traceback" if unnamed or not good else "refused"), f"{found['status']}: {reason}"
    made = Product(Path(found["product"]))
    if made.same(sound):
        return "same", ""
    said = sorted(text for name, text in made.origin.items() if sound.origin.get(name) != text)
    if manifest == "signed":
        return "consistent", ""
    return ("said" if said else "silent"), "; ".join(map(str, said))


class Trial:
    """Sound packages, their products, and a process that runs mutants."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sound = products.make(folder / "sound")
        self.worker = Worker(folder / "chain.log")
        self.right = {}
        for form in ("new", "old", "zarr"):
            out = folder / "right" / form
            answer = self.worker.run(self.sound[form], out, self.sound["dem"], COMPILES)
            if not answer.get("found") or not answer["found"][0]["product"]:
                sys.exit(f"the sound package gives no product: {answer}")
            self.right[form] = Product(Path(answer["found"][0]["product"]))

    def run(self, mutant: Mutant) -> tuple[str, str, str]:
        """What became of a mutant, why, and what it is."""
        with tempfile.TemporaryDirectory(dir=self.folder) as here:
            package, told, manifest = mutant.make(self.sound, Path(here))
            dem = mutant.dem or self.sound["dem"]
            answer = self.worker.run(package, Path(here) / "out", dem)
            word, why = judge(answer, self.right[mutant.form.split("-")[0]], manifest)
            if word in ("memory", "hang", "abort"):
                self.worker.end()
        return word, why, f"{told} (manifest {manifest})"

    def end(self) -> None:
        """End the process."""
        self.worker.end()


def mutants(seed: int, number: int = 0) -> Iterator[Mutant]:
    """Without end, all forms in turn, from some number on."""
    while True:
        for form in FORMS:
            yield Mutant(form, seed, number)
        number += 1


def main() -> int:
    """Run mutants and print their figures."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--mutants", type=int)
    words.add_argument("--seconds", type=float, default=float("inf"))
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--start", type=int, default=0, help="number of the first mutants, to run many in pieces")
    words.add_argument("--only", action="append", help="FORM:SEED:NUMBER")
    words.add_argument("--verbose", action="store_true", help="tell of each mutant")
    given = words.parse_args()
    if given.only:
        chosen: Iterator[Mutant] = iter(Mutant(f, int(s), int(n)) for f, s, n in (o.split(":") for o in given.only))
        given.verbose = True
    else:
        chosen = mutants(given.seed, given.start)
    counted: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        trial, start = Trial(Path(folder)), time.monotonic()
        slowest = 0.0
        try:
            for mutant in chosen:
                if sum(counted.values()) == given.mutants or time.monotonic() - start > given.seconds:
                    break
                begun = time.monotonic()
                word, why, told = trial.run(mutant)
                slowest = max(slowest, time.monotonic() - begun)
                counted[word] += 1
                if given.verbose or word in BAD:
                    print(f"{word:10} {mutant.name}  {told}  -> {why}"[:600], flush=True)
        finally:
            trial.end()
        seconds = time.monotonic() - start
    print(f"{sum(counted.values())} mutants in {seconds:.0f} s, the slowest {slowest:.1f} s")
    print(", ".join(f"{word} {count}" for word, count in counted.most_common()))
    print("bars: " + ", ".join(f"{kind} {counted[kind]}" for kind in BAD))
    return int(any(counted[kind] for kind in BAD))


if __name__ == "__main__":
    sys.exit(main())
