"""The cut: what may import what. Imports within functions count, and so do those for types alone."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: From the left to the right: each imports from those before it only, and from itself. A module that stands in no line
#: of its own belongs to the package around it.
CUT = {
    "processing": "its number, which all may tell",
    "processing.resources": "where the data lie that ship with it",
    "processing.errors": "failures known by name, for all to raise",
    "processing.naming": "names in, names out",
    "processing.storage": "how a disk fails, and what is brought down to it",
    "processing.offline": "what the libraries that read rasters are told before they are loaded",
    "processing.bounded": "how foreign bytes are read: it knows functions, and no bytes",
    "processing.people": "who may do what: plain values",
    "processing.settings": "what a centre is told, and whom it lets in",
    "processing.signing": "addresses in, signed addresses out",
    "processing.kernels": "how loops are compiled",
    "processing.deflate": "bytes in, bytes out",
    "processing.spreadsheet": "rows in, CSV out",
    "processing.bands": "the satellites' bands",
    "processing.masks": "the bits of the mask rasters",
    "processing.versions": "the numbers of a version are plain values",
    "processing.scene": "the nouns that all later ones speak of",
    "processing.timeline": "which dates make a date: plain times and parameters",
    "processing.expected": "which passes the orbits make expected: plain times",
    "processing.tiling": "a tile's name is a grid",
    "processing.outlines": "coastlines, for maps",
    "processing.sites": "sites are lists of tiles",
    "processing.glo30": "terrain by its grid",
    "processing.terrain": "what a terrain model says, in metres",
    "processing.ancillary": "terrain and air of a scene, before any chain",
    "processing.atmosphere": "tables and physics of a pixel, without images",
    "processing.known": "satellites and baselines by their names: what the tables answer for, no packages",
    "processing.chain": "arrays in, arrays out: it knows neither file nor store",
    "processing.l1c": "a package becomes a scene",
    "processing.product": "a Level-2A becomes files",
    "processing.distribution": "what users get of products: it knows folders and HTTP, no store",
    "processing.simulation": "scenes, air and ground of its own, written as packages",
    "processing.store": "rows and verbs: it knows products by their names",
    "processing.home": "what a command begins with: settings and store",
    "processing.sources": "other houses' catalogues; what they offer goes into the drop box",
    "processing.alerts": "what holds of the store's rows, and who is told: files it knows by the room that they take",
    "processing.validation": "products against references, which are files or kept in the store",
    "processing.quality": "readers' judgement, by the masks of validation",
    "processing.production": "the engine sees the whole line, and nobody who judges it",
    "processing.explain": "the engine's inputs, run through the chain once more",
    "processing.bench": "what all of it costs",
    "processing.cli": "its commands",
    "processing.__main__": "its commands, as a program",
    "dashboard": "the web reads what processing made",
    "dashboard.app": "the only file that sees every page",
    "dashboard.cli": "the program sees both",
    "dashboard.__main__": "the program",
}


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Files by the names of their modules; a package goes by its own."""
    found = {}
    for package in ("processing", "dashboard"):
        for path in sorted((root / package).rglob("*.py")):
            *parents, stem = path.relative_to(root).with_suffix("").parts
            found[".".join(parents if stem == "__init__" else [*parents, stem])] = path
    return found


def imported(module: str, tree: ast.AST, known: Mapping[str, object]) -> Iterator[str]:
    """Modules that a module imports: `from a import b` is a.b where that is one, else a."""
    around = module if known[module] == "package" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = around.rsplit(".", node.level - 1)[0] if node.level else ""
            base = ".".join(part for part in (base, node.module) if part)
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield whole if whole in known else base


def graph(sources: Mapping[str, Path]) -> dict[str, set[str]]:
    """Of each module those that it imports, of our own."""
    kinds = {name: "package" if path.name == "__init__.py" else "module" for name, path in sources.items()}
    return {
        name: {other for other in imported(name, ast.parse(path.read_text()), kinds) if other in kinds} - {name}
        for name, path in sources.items()
    }


def circle(imports: Mapping[str, set[str]]) -> list[str]:
    """Some circle of imports; empty where there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def by_package(imports: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The same for the first two levels of the names."""
    found = defaultdict(set)
    for name, others in imports.items():
        here = ".".join(name.split(".")[:2])
        found[here] |= {there for other in others if (there := ".".join(other.split(".")[:2])) != here}
    return dict(found)


def place(module: str) -> int | None:
    """Where a module stands in the cut; None where nobody has said it."""
    names = list(CUT)
    top = next((name for name in (".".join(module.split(".")[:2]), module.split(".")[0]) if name in CUT), "processing")
    # only the web's packages may go by the line of the whole
    return names.index(top) if top != "processing" or module == "processing" else None


def mutual(imports: Mapping[str, set[str]]) -> list[str]:
    """Pairs of packages that import each other."""
    packages = by_package(imports)
    return sorted(f"{a} and {b}" for a in packages for b in packages[a] if a < b and a in packages.get(b, set()))


def upwards(imports: Mapping[str, set[str]]) -> list[str]:
    """Imports that go up the cut."""
    return sorted(
        f"{name} imports {other}"
        for name, others in imports.items()
        for other in others
        if (there := place(other)) is not None and (here := place(name)) is not None and there > here
    )


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    return graph(modules())


def test_no_circle_of_modules(imports: dict[str, set[str]]) -> None:
    assert circle(imports) == []


def test_no_circle_of_packages(imports: dict[str, set[str]]) -> None:
    """Nor, which is the smallest one, two that import each other."""
    assert mutual(imports) == []
    assert circle(by_package(imports)) == []


def test_every_package_has_its_place_in_the_cut(imports: dict[str, set[str]]) -> None:
    assert [name for name in imports if place(name) is None] == []
    assert set(CUT) <= set(imports)


def test_no_import_goes_up_the_cut(imports: dict[str, set[str]]) -> None:
    assert upwards(imports) == []


def test_an_import_is_found_wherever_it_stands(tmp_path: Path) -> None:
    """At the top, in a function, for types alone; absolute and relative; of a module and of a name in it."""
    texts = {
        "p": "",
        "p.a": "from . import b\n",
        "p.b": "def late():\n    from p.q.c import name\n",
        "p.q": "from ..b import thing\n",
        "p.q.c": "import typing\nif typing.TYPE_CHECKING:\n    import p.a\n",
        "p.q.d": "from p import q\nfrom .c import name\nfrom .. import b as other\nimport os\n",
    }
    sources = {}
    for name, text in texts.items():
        path = tmp_path / Path(*name.split("."))
        path = path / "__init__.py" if name in ("p", "p.q") else path.with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        sources[name] = path
    found = graph(sources)
    assert found == {
        "p": set(),
        "p.a": {"p.b"},
        "p.b": {"p.q.c"},
        "p.q": {"p.b"},
        "p.q.c": {"p.a"},
        "p.q.d": {"p.q", "p.q.c", "p.b"},
    }
    assert set(circle(found)) == {"p.a", "p.b", "p.q.c"}
    assert set(circle(by_package(found))) >= {"p.b", "p.q"}
    assert mutual(found) == ["p.b and p.q"]
