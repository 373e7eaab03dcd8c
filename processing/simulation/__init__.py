"""Sentinel-2 scenes with known truth, written as Level-1C products.

A scene is a piece of ground (`ground`) under a sky of clouds, aerosol and water vapour (`sky`), lit by the sun
(`sunlight`) and seen from an orbit (`orbit`), with the atmosphere of `processing.atmosphere` between them. `scenario`
has the recipes, `place` and `date` put a scene together, `series` makes one after the other, `safe` writes the product.
The truth is kept beside the products, in ``truth/``, and marked products say in their metadata that they are
simulated. Where a cloud is seen, and where its shadow falls, follows from its height, the sun and the view alone, by
formulas of this package's own: nothing is borrowed from the chain that is to find them.

Left out: the light from neighbouring pixels and slopes, anisotropic reflection, and the thickness of clouds in metres.
"""

from processing.simulation.scenario import SERIES, Scenario, Series, Weather, recipe
from processing.simulation.series import demonstration, simulate
from processing.simulation.truth import CLOUD_CLASSES

__all__ = ["CLOUD_CLASSES", "SERIES", "Scenario", "Series", "Weather", "demonstration", "recipe", "simulate"]
