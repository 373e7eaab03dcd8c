"""`muscate bench tile`: what a tile costs from Level-1C package to product on disk, beside the bare decoding.

Everything is measured in one run, in child processes of their own, so that figures can be compared with one another:
on a busy machine only the ratios mean something.
"""

from __future__ import annotations

import multiprocessing
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from .versions import CURRENT


def _decode(package: Path, _: Path) -> dict[str, float]:
    """The yardstick: every band decoded once, nothing else."""
    from . import l1c
    from .ancillary import ancillary

    source = l1c.granules(package)[0]
    counts = source.scene(ancillary(source.grid, 240)).counts
    for band in counts:
        counts[band]
    return {}


def _chain(package: Path, out: Path) -> dict[str, float]:
    from .production.processor import granule, produce

    return produce([package], granule([package], None).tile, CURRENT, staging=out).seconds


def _child(work: Callable[[Path, Path], dict[str, float]], package: Path, out: Path, answer: Connection) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    steps = work(package, out)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    answer.send(
        {
            "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
            "wall": wall,
            "peak_mb": after.ru_maxrss / 1024,
            "steps": steps,
        }
    )


def _measured(work: Callable[[Path, Path], dict[str, float]], package: Path, out: Path) -> dict[str, Any]:
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    child = multiprocessing.get_context("spawn").Process(target=_child, args=(work, package, out, theirs))
    child.start()
    theirs.close()
    try:
        figures: dict[str, Any] = ours.recv()
    except EOFError:
        raise RuntimeError("the measured process died: see above") from None
    finally:
        child.join()
    return figures


def tile(package: Path | None, size: int) -> dict[str, Any]:
    """Measure one tile.

    Parameters
    ----------
    package : Path or None
        A Level-1C package; None: one is simulated.
    size : int
        Pixels at 10 m of the simulated one.

    Returns
    -------
    dict
        ``l1c``; ``decode`` and ``chain`` (cold, then warm) with ``cpu`` and ``wall`` [s], ``peak_mb`` and ``steps``
        [s]; ``product_mb``; ``cpu_ratio`` of the warm chain to the decoding and ``wall_ratio`` to half its CPU.
    """
    folder = Path(tempfile.mkdtemp(prefix="muscate-bench-"))
    try:
        if package is None:
            from .simulation import simulate

            package = simulate(folder / "l1c", tile="31TCJ", dates=1, size=size)[0]
        decode = _measured(_decode, package, folder)
        first = _measured(_chain, package, folder / "first")
        warm = _measured(_chain, package, folder / "warm")
        return {
            "l1c": package.name,
            "decode": decode,
            "first": first,
            "chain": warm,
            "product_mb": sum(f.stat().st_size for f in (folder / "warm").rglob("*") if f.is_file()) / 1e6,
            "cpu_ratio": warm["cpu"] / decode["cpu"],
            "wall_ratio": warm["wall"] / (warm["cpu"] / 2),
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def table(figures: dict[str, Any]) -> str:
    """The figures as lines for a reader."""
    lines = [figures["l1c"], f"{'':24}{'CPU s':>8}{'wall s':>8}{'peak MB':>9}"]
    for name, label in (("decode", "decoding of 13 bands"), ("first", "chain, first run"), ("chain", "chain, warm")):
        one = figures[name]
        lines.append(f"{label:24}{one['cpu']:8.1f}{one['wall']:8.1f}{one['peak_mb']:9.0f}")
    lines += [f"  {step:22}{'':8}{seconds:8.2f}" for step, seconds in figures["chain"]["steps"].items()]
    lines.append(f"product {figures['product_mb']:.0f} MB")
    lines.append(f"chain / decoding, CPU      {figures['cpu_ratio']:.2f}")
    lines.append(f"chain wall / (CPU / 2)     {figures['wall_ratio']:.2f}")
    return "\n".join(lines)
