"""The production centre without its web: chain, product, store, engine, sources, validation, simulation."""

import os

__version__ = "0.1.0"

# Threads belong to who calls a step: those of the linear algebra would spin beside them. Read when numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
