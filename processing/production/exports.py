"""Published products in another form."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from processing.distribution import cubes as writing
from processing.product import read
from processing.settings import Settings
from processing.store import Store
from processing.store.inputs import inputs


def cubes(store: Store | None, settings: Settings | None, products: Sequence[str], out: Path) -> list[dict[str, Any]]:
    """Write products to a Zarr cube for each tile and version, or append those that it lacks.

    Parameters
    ----------
    store, settings
        Of the centre that has the products that are named; None where all are folders.
    products : sequence of str
        Folders, or identifiers.
    out : Path
        Receives ``31TCJ_V1_4.zarr``.

    Returns
    -------
    list of dict
        ``cube``, ``written`` and ``dates``, of each.

    Raises
    ------
    UnknownName
        If no product has a name.
    ProductError
        If one is damaged, or does not fit the others: of its cube nothing is written.
    """
    found: dict[str, list[Path]] = defaultdict(list)
    for name in products:
        folder = Path(name)
        if not folder.is_dir() and store is not None and settings is not None:
            with store.read() as session:
                folder = settings.archive / inputs(session, name).path
        product = read(folder)
        found[f"{product.tile}_{product.version}.zarr"].append(folder)
    made = []
    for cube, folders in sorted(found.items()):
        written, dates = writing.write(out / cube, folders)
        made.append({"cube": str(out / cube), "written": written, "dates": dates})
    return made
