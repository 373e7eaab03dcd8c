"""What a figure is worth: the log of all that was tried, and intervals of differences.

Blocks of an image are alike inside and differ from each other, and two methods see the same ones. So a difference is
taken on blocks of 5.5 km of all dates drawn with replacement, the same for both (paired block bootstrap), and a gain
is claimed only where the middle 95 % of these differences lie on one side of zero.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.elsewhere import score
from processing.versions import parameters

LOG = Path(__file__).parents[1] / "elsewhere_log.jsonl"
#: Draws of the bootstrap, and what they leave out on either side. [%]
DRAWS, TAIL = 1000, 2.5
#: Figures whose differences are told, and whether more is better.
TOLD = {
    "aot_land_rmse": False,
    "aot_clear_rmse": False,
    "aot_cumulus_rmse": False,
    "aot_sea_rmse": False,
    "vapour_rmse": False,
    "cloudy_ring_f1": True,
    "cloudy_direct_f1": True,
    "false_clear": False,
    "thick_sea": True,
    "thick_snow": True,
    "false_relief": False,
    "shadow_ring_f1": True,
    "shadow_direct_f1": True,
    "water_f1": True,
    "false_snow": False,
    "inside_B2": True,
    "inside_B4": True,
    "inside_B8A": True,
    "veil_B2": True,
}
#: A date of a method: method, world, seed, number.
Key = tuple[str, str, int, int]


@dataclass(frozen=True)
class Difference:
    """Of a figure between two methods on the same blocks, with its 95 % interval; positive: the first is better."""

    figure: str
    value: float
    low: float
    high: float

    @property
    def claimed(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0


def difference(first: Sequence[score.Sums], second: Sequence[score.Sums], seed: int = 0) -> list[Difference]:
    """Intervals of all figures that both have; `first` and `second` are the same dates in the same order."""
    if len(first) != len(second):
        raise ValueError(f"{len(first)} dates against {len(second)}")
    blocks = score.BLOCKS**2
    weights = np.random.default_rng(seed).multinomial(
        blocks * len(first), np.full(blocks * len(first), 1 / (blocks * len(first))), DRAWS
    )
    names = {n for n in set().union(*first) & set().union(*second) if _figures_of(n)}
    stacks = [{n: _stack(dates, n, blocks) for n in names} for dates in (first, second)]
    drawn = [{n: weights @ s for n, s in stack.items()} for stack in stacks]
    whole = [score.figures({n: s.sum(0) for n, s in stack.items()}) for stack in stacks]
    samples: dict[str, list[float]] = {name: [] for name in TOLD if all(name in w for w in whole)}
    for k in range(DRAWS):
        ours, theirs = (score.figures({n: v[k] for n, v in d.items()}) for d in drawn)
        for name, values in samples.items():
            values.append(_better(name) * (ours.get(name, np.nan) - theirs.get(name, np.nan)))
    out = []
    for name, values in samples.items():
        low, high = np.nanpercentile(values, (TAIL, 100 - TAIL))
        out.append(Difference(name, _better(name) * (whole[0][name] - whole[1][name]), float(low), float(high)))
    return out


def _better(name: str) -> int:
    return 1 if TOLD[name] else -1


def _figures_of(name: str) -> bool:
    return any(told == name or told.startswith(f"{name}_") for told in TOLD)


def _stack(dates: Sequence[score.Sums], name: str, blocks: int) -> NDArray[np.float64]:
    """(block of all dates, sum), 0 where a date has none of it."""
    width = next(d[name].shape[1] for d in dates if name in d)
    return np.concatenate([d.get(name, np.zeros((blocks, width))) for d in dates])


def differences(sums: Mapping[Key, score.Sums]) -> list[str]:
    """Lines with the differences of the last version from every other method, world by world."""
    methods = list(dict.fromkeys(key[0] for key in sums))
    ours = [m for m in methods if m.startswith("V")][-1:]
    out = []
    for world in dict.fromkeys(key[1] for key in sums):
        for method in methods:
            if not ours or method == ours[0]:
                continue
            dates = sorted({k[2:] for k in sums if k[1] == world})
            pairs = [(sums.get((ours[0], world, *d)), sums.get((method, world, *d))) for d in dates]
            both = [(a, b) for a, b in pairs if a is not None and b is not None]
            if both:
                out.append(f"{world}: {ours[0]} against {method} (positive: {ours[0]} is better)")
                out += [_line(d) for d in difference(*zip(*both, strict=True))]
    return out


def _line(d: Difference) -> str:
    return f"  {d.figure:22}{d.value:+.4f}  [{d.low:+.4f}, {d.high:+.4f}]  {'' if d.claimed else 'tie'}".rstrip()


def log(note: str, half: str, seeds: int, size: int, found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """Add a line to the log: what was tried, on which half, and all figures; the digest tells the numbers used."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    versions = {m for methods in found.values() for m in methods if m.startswith("V")}
    entry = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "note": note,
        "half": half,
        "seeds": seeds,
        "size": size,
        "commit": commit.stdout.strip(),
        "digests": {v: parameters(v).digest[:12] for v in sorted(versions)},
        "figures": {
            world: {m: {k: round(v, 4) for k, v in figures.items()} for m, figures in methods.items()}
            for world, methods in found.items()
        },
    }
    with LOG.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")
