"""The figures of the code's structure, each with its bar; exit code 1 where one is missed.

    python -m scripts.structure                          # this tree
    python -m scripts.structure --against 1559c32        # beside an earlier one
    python -m scripts.structure --since 1559c32          # subjects of the commits after it too

A length is that of the lines after the first of `def`, less the docstring. Aside stand migrations, kernels
(``@kernel...``, ``@njit``) and the functions of the command line. What may import what is said, and held, by
`tests/test_architecture.py`.
"""

from __future__ import annotations

import argparse
import ast
import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests import test_architecture as cut

ROOT = Path(__file__).parent.parent
PACKAGES = ("processing", "dashboard")
#: At most, or at least (negative sign) so much.
BARS = {
    "longest function [lines]": 80.0,
    "functions over 55 lines": 8,
    "functions over 7 arguments": 5,
    "test lines / code lines": -0.51,
    "public functions with docstring [%]": -98,
    "circles of imports": 0,
    "packages that import each other": 0,
    "imports up the cut": 0,
    "commit subjects over 60 characters": 0,
}
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Found(NamedTuple):
    """A function of the tree, where it stands and how it may be reached."""

    where: str
    node: Function
    public: bool
    decorators: str

    @property
    def lines(self) -> int:
        """Those after the first, less the docstring."""
        first = self.node.body[0]
        told = ((first.end_lineno or 0) - first.lineno + 1) if ast.get_docstring(self.node) else 0
        return (self.node.end_lineno or 0) - self.node.lineno - told

    @property
    def arguments(self) -> int:
        """Named ones, without `self` and `cls`."""
        given = self.node.args
        named = [a.arg for a in given.posonlyargs + given.args + given.kwonlyargs]
        return len([name for name in named if name not in ("self", "cls")])


def functions(root: Path) -> Iterator[Found]:
    """All functions of the packages, migrations aside."""
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            if "migrations" not in path.parts:
                name = str(path.relative_to(root))
                yield from _within(name, ast.parse(path.read_text()), public=True)


def _within(where: str, node: ast.AST, *, public: bool) -> Iterator[Found]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            shown = public and not child.name.startswith("_")
            yield Found(f"{where}:{child.name}", child, shown, " ".join(map(ast.unparse, child.decorator_list)))
            yield from _within(where, child, public=False)
        elif isinstance(child, ast.ClassDef):
            yield from _within(where, child, public=public and not child.name.startswith("_"))
        else:
            yield from _within(where, child, public=public)


def figures(root: Path) -> tuple[dict[str, float], list[str]]:
    """The figures of a tree, and the functions that stand over a bar."""
    found = list(functions(root))
    aside = ("kernel", "njit", ".command")
    plain = [f for f in found if not any(word in f.decorators for word in aside)]
    long = [f for f in plain if f.lines > 55]
    wide = [f for f in plain if f.arguments > 7]
    public = [f for f in found if f.public]
    imports = cut.graph(cut.modules(root))
    told = sum(ast.get_docstring(f.node) is not None for f in public)
    code = sum(_lines(root / package) for package in PACKAGES)
    values = {
        "longest function [lines]": max(f.lines for f in plain),
        "functions over 55 lines": len(long),
        "functions over 7 arguments": len(wide),
        "test lines / code lines": _lines(root / "tests") / code,
        "public functions with docstring [%]": 100 * told / len(public),
        "circles of imports": int(bool(cut.circle(imports))),
        "packages that import each other": len(cut.mutual(imports)),
        "imports up the cut": len(cut.upwards(imports)),
    }
    named = [f"{f.lines:4d} lines      {f.where}" for f in sorted(long, key=lambda f: -f.lines)]
    return values, named + [f"{f.arguments:4d} arguments  {f.where}" for f in sorted(wide, key=lambda f: -f.arguments)]


def _lines(folder: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in folder.rglob("*.py"))


def subjects(since: str) -> list[str]:
    """Subjects of more than 60 characters after a revision."""
    log = subprocess.run(
        ["git", "log", "--format=%s", f"{since}.."], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [subject for subject in log.splitlines() if len(subject) > 60]


def of_revision(revision: str) -> dict[str, float]:
    """The figures of a commit."""
    command = ["git", "archive", revision, *PACKAGES, "tests"]
    content = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(folder, filter="data")
        return figures(Path(folder))[0]


def missed(name: str, value: float) -> bool:
    """Whether a figure, as printed, is beyond its bar."""
    bar = BARS[name]
    return round(value, 2) > bar if bar >= 0 else round(value, 2) < -bar


def main() -> int:
    """Print the table and say whether all bars are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", metavar="REV", help="print the figures of this commit too")
    parser.add_argument("--since", metavar="REV", help="look at the subjects of the commits after this one")
    given = parser.parse_args()
    now, named = figures(ROOT)
    if given.since:
        long = subjects(given.since)
        now["commit subjects over 60 characters"] = len(long)
        named += [f"{len(subject):4d} characters {subject}" for subject in long]
    before = of_revision(given.against) if given.against else {}
    print(f"{'':38s}{given.against or '':>10s}{'now':>10s}  bar")
    for name, value in now.items():
        bar = f"{'<=' if BARS[name] >= 0 else '>='} {abs(BARS[name]):g}"
        old = f"{before[name]:.4g}" if name in before else ""
        print(f"{name:38s}{old:>10s}{value:10.4g}  {bar}{'  MISSED' if missed(name, value) else ''}")
    print(*named, sep="\n")
    return int(any(missed(name, value) for name, value in now.items()))


if __name__ == "__main__":
    sys.exit(main())
