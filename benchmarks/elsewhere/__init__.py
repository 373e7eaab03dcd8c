"""A second truth, which shares neither ground nor sky nor air with `processing.simulation`.

It serves benchmarks and tests alone, so it stands here and not in the package that a centre installs. Its air is 6S
1.1 run at each date's own geometry and aerosol (`scripts/make_elsewhere.py`), its plants are PROSAIL's, its waters,
snow, soils and clouds are models of their own (`spectra`, `clouds`); of the simulator it takes only where sun and
satellite stand. Dates are made in memory::

    from benchmarks.elsewhere import onto, series
    for date in series("crops", seed=0):
        l2a, state = correct(onto(date, numbers), state, numbers)
        date.truth.aot, date.truth.surface["B2"], date.truth.cloud  # (row, col) at 20 m

Even seeds are there to tune on, odd ones to report: passes, aerosols and weather of the two halves differ too.
"""

from benchmarks.elsewhere.ground import KINDS
from benchmarks.elsewhere.series import STEP, Date, Truth, onto, series
from benchmarks.elsewhere.worlds import WORLDS

__all__ = ["KINDS", "STEP", "WORLDS", "Date", "Truth", "onto", "series"]
