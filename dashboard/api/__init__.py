"""What the web gives to programs, its own pages' scripts among them: a module a kind of thing, each with its router.

`centre` has what all of them share, `headers` what their answers do. Ids are looked up in the store, never paths.
"""

from fastapi import FastAPI

from dashboard.api import compare, coverage, cubes, feed, health, metrics, products, quality, refusals, stac, tiles
from dashboard.api.centre import Centre

__all__ = ["Centre", "include"]


def include(app: FastAPI, centre: Centre) -> None:
    """Give an application all routes of this package, for one centre."""
    app.state.centre = centre
    refusals.include(app)
    for module in (health, metrics, tiles, products, cubes, feed, stac, quality, compare, coverage):
        app.include_router(module.router)
