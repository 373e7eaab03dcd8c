"""The counts of a scene decoded once and ahead of their use, by threads."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from processing.errors import StorageError
from processing.scene import Strips

Counts = NDArray[np.uint16]


@contextmanager
def ahead(
    make: Callable[[str, slice], Counts],
    parts: Mapping[str, Sequence[slice]],
    before: Iterable[Callable[[], object]],
    threads: int,
    spill: Path | None,
) -> Iterator[Strips[np.uint16]]:
    """Counts made in the background in the order of `parts`, and kept.

    An error met in the background is raised where the rows are asked for.

    Parameters
    ----------
    make : callable
        Gives some rows of a band; called once for each part.
    parts : mapping of band to sequence of slice
        Rows to make at a time, which cover the band from its top down.
    before : iterable of callable
        Done first, for what they leave behind; their errors are not looked at.
    spill : Path or None
        Folder of a nameless file that keeps them; None: memory does.

    Raises
    ------
    StorageError
        If `spill` is full or can't be written; on the way in, or where rows are asked for.
    """
    with ExitStack() as stack:
        keep: Callable[[Counts], Callable[[], Counts]] = _in_memory
        if spill is not None:
            spilled = _Spill(spill)
            stack.enter_context(spilled.file)
            keep = spilled.keep
        pool = ThreadPoolExecutor(threads, "decode")
        stack.callback(pool.shutdown, cancel_futures=True)
        for task in before:
            pool.submit(task)

        def kept(band: str, rows: slice) -> Callable[[], Counts]:
            return keep(make(band, rows))

        made: dict[str, list[tuple[slice, Future[Callable[[], Counts]]]]] = {
            band: [(rows, pool.submit(kept, band, rows)) for rows in of_band] for band, of_band in parts.items()
        }
        stack.callback(made.clear)

        def strip(band: str, rows: slice) -> Counts:
            pieces = [
                future.result()()[max(rows.start - part.start, 0) : rows.stop - part.start]
                for part, future in made[band]
                if part.start < rows.stop and rows.start < part.stop
            ]
            return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

        heights = {band: of_band[-1].stop for band, of_band in parts.items()}
        yield Strips(heights, strip, let_go=lambda band: made[band].clear())


def _in_memory(counts: Counts) -> Callable[[], Counts]:
    counts.flags.writeable = False  # all who ask get this one
    return lambda: counts


class _Spill:
    """A file that vanishes with the process; written and read, as the pages of a mapped file count as memory."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._end, self._lock = folder, 0, Lock()
        with self._naming_it():
            self.file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115

    def keep(self, counts: Counts) -> Callable[[], Counts]:
        with self._lock:
            start, self._end = self._end, self._end + counts.nbytes
        rest, at = counts.reshape(-1).view(np.uint8).data, start
        with self._naming_it():
            while rest:
                done = os.pwrite(self.file.fileno(), rest, at)
                rest, at = rest[done:], at + done
        return partial(self._load, counts.shape, start)

    def _load(self, shape: tuple[int, ...], at: int) -> Counts:
        counts = np.empty(shape, np.uint16)
        rest = counts.reshape(-1).view(np.uint8).data
        with self._naming_it():
            while rest:
                done = os.preadv(self.file.fileno(), [rest], at)
                if not done:
                    raise OSError("it was cut short")
                rest, at = rest[done:], at + done
        return counts

    @contextmanager
    def _naming_it(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"{self._folder}: decoded images can't be kept there: {error.strerror or error}"
            ) from error
