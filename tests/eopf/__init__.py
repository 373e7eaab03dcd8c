"""EOPF Zarr stores, written from any SAFE to the structure of each generation: no real pixels can be had."""

from tests.eopf.writer import GENERATIONS, write

__all__ = ["GENERATIONS", "write"]
