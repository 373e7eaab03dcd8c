"""Names of Level-1C packages, whatever holds them."""

from __future__ import annotations

#: Endings of folders and files that hold a package: of a SAFE, of a Zarr store, and of a zip of either.
ENDINGS = (".zip", ".zarr", ".SAFE")
#: All that a package may end with.
HELD = (".SAFE", ".SAFE.zip", ".zarr", ".zarr.zip", ".zip")


def bare(name: str) -> str:
    """The name of a package without the endings of what holds it: the same of its SAFE, its store and their zips."""
    for ending in ENDINGS:
        name = name[: -len(ending)] if name.lower().endswith(ending.lower()) else name
    return name
