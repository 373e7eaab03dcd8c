"""A Level-2A as a MUSCATE product on disk, and back; and the recurrent state beside it.

Reads and writes only: no database, no clock.
"""

from processing.product.names import identifier
from processing.product.reader import Product, read
from processing.product.state import load_days, load_evidence, load_state, save_state
from processing.product.writer import write

__all__ = ["Product", "identifier", "load_days", "load_evidence", "load_state", "read", "save_state", "write"]
