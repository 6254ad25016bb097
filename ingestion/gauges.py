"""How far the batches in hand have come, told by their processes without a lock: any of them may be killed."""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import add
from pathlib import Path
from typing import NamedTuple


class Reading(NamedTuple):
    """What was read of a batch until now."""

    n_zips: int = 0
    n_bytes: int = 0
    """Zipped."""
    n_files: int = 0
    n_rows: int = 0
    n_rejected: int = 0

    def __add__(self, more: Reading) -> Reading:  # type: ignore[override]
        return Reading(*map(add, self, more))


Tell = Callable[[Reading], None]
_RECORD = struct.Struct("5q")


@dataclass(frozen=True)
class Gauge:
    """Where the process of one batch writes its latest `Reading`; may be sent to that process."""

    path: Path
    place: int

    def __call__(self, reading: Reading) -> None:
        with self.path.open("r+b", buffering=0) as file:
            os.pwrite(file.fileno(), _RECORD.pack(*reading), self.place * _RECORD.size)


class Gauges:
    """A file in `folder` with the `Reading` of each of `n` batches. Use as a context manager, which removes it."""

    def __init__(self, folder: Path, n: int) -> None:
        self._file = tempfile.NamedTemporaryFile(dir=folder, prefix="gauges-")  # noqa: SIM115 - closed by __exit__
        self._file.truncate(n * _RECORD.size)

    def __enter__(self) -> Gauges:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def of(self, place: int) -> Gauge:
        return Gauge(Path(self._file.name), place)

    def together(self, places: Iterable[int]) -> Reading:
        """The sum of these batches."""
        told = os.pread(self._file.fileno(), os.fstat(self._file.fileno()).st_size, 0)
        return sum((Reading(*_RECORD.unpack_from(told, place * _RECORD.size)) for place in places), Reading())
