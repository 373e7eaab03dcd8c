"""The catalogue as files, for a plain web server, an archive, or a program without a network: static STAC.

A catalogue with one collection; an item a product, the same as the API's but for its links, which are relative.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from dashboard.stac.documents import collection
from dashboard.stac.items import item
from dashboard.stac.vocabulary import ALL, CURRENT, GEOJSON, JSON
from processing.errors import StorageError
from processing.product import disk
from processing.settings import Settings
from processing.store import Store, search, surroundings
from processing.store.search import Search

#: Products that are looked up at once.
PAGE = 200


def export(store: Store, settings: Settings, folder: Path, base: str = "", *, everything: bool = False) -> int:
    """Write the catalogue into a folder, whole or not at all; in the place of one that was written there before.

    Parameters
    ----------
    folder : Path
    base : str
        Address of the web that the files of products are taken from; empty: they are named by their place on disk.
    everything : bool
        Every version and what was withdrawn, not only what users get by default.

    Returns
    -------
    int
        How many products it has.

    Raises
    ------
    StorageError
        If something else is in that folder, or it can't be written.
    """
    if folder.exists() and any(folder.iterdir()) and not _ours(folder):
        raise StorageError(f"{folder}: has other files in it")
    growing = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}")
    name = ALL if everything else CURRENT
    try:
        with disk.storing(folder):
            count = _write(store, settings, growing, base.rstrip("/"), name)
            if folder.exists():
                shutil.rmtree(folder)
            os.rename(growing, folder)
            disk.sync(folder.parent)
    finally:
        shutil.rmtree(growing, ignore_errors=True)
    return count


def _ours(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / "catalog.json").read_bytes())["id"] == "muscate")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _write(store: Store, settings: Settings, folder: Path, base: str, name: str) -> int:
    below = folder / name
    below.mkdir(parents=True)
    links = []
    for whole in _items(store, settings, base, name):
        tile = whole["properties"]["grid:code"].removeprefix("MGRS-")
        path = below / tile / f"{whole['id']}.json"
        path.parent.mkdir(exist_ok=True)
        whole["links"] = [
            {"rel": "root", "href": "../../catalog.json", "type": JSON},
            {"rel": "parent", "href": "../collection.json", "type": JSON},
            {"rel": "collection", "href": "../collection.json", "type": JSON},
            *(link for link in whole["links"] if link["rel"] == "derived_from" and "/sentinel-2-l1c/" in link["href"]),
        ]
        _put(path, whole)
        links.append({"rel": "item", "href": f"./{tile}/{path.name}", "type": GEOJSON, "title": whole["id"]})
    with store.read() as session:
        bounds, ends = search.extent(session, default=name == CURRENT)
    about = collection(base, name, bounds, ends)
    up = [{"rel": rel, "href": "../catalog.json", "type": JSON} for rel in ("root", "parent")]
    _put(below / "collection.json", about | {"links": [*up, *links]})
    _put(
        folder / "catalog.json",
        {
            "type": "Catalog",
            "stac_version": "1.1.0",
            "id": "muscate",
            "title": "muscate",
            "description": "Sentinel-2 Level-2A of this production centre.",
            "links": [
                {"rel": "root", "href": "./catalog.json", "type": JSON},
                {"rel": "child", "href": f"./{name}/collection.json", "type": JSON, "title": about["title"]},
            ],
        },
    )
    return len(links)


def _items(store: Store, settings: Settings, base: str, name: str) -> Iterator[dict[str, Any]]:
    wanted = Search(order="sensing")
    if name == ALL:
        wanted = replace(wanted, versions=("all",), withdrawn=True)
    after: str | None = None
    while True:
        with store.read() as session:
            page = search.find(session, wanted, PAGE, after)
            around = surroundings.around(session, [found.product for found in page.found])
        for found in page.found:
            root = settings.archive / found.product.path
            whole = item(base, root, found, name, around[found.product.id])
            yield whole if base else _on_disk(whole, root)
        after = page.after
        if after is None:
            return


def _on_disk(whole: dict[str, Any], root: Path) -> dict[str, Any]:
    """The item with the places of its files on this disk; what only a web makes is left out."""
    start = f"/products/{whole['id']}/files/"
    assets = {
        key: {**asset, "href": str(root / asset["href"].removeprefix(start))}
        for key, asset in whole["assets"].items()
        if asset["href"].startswith(start)
    }
    return {**whole, "assets": assets}


def _put(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
