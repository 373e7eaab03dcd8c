"""The production centre without its web: chain, product, store, engine, sources, validation, simulation."""

__version__ = "0.1.0"
