"""Rows that wait outside of memory: sealed under a key that is nowhere kept, in a file that has no name."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import polars as pl
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

N_BUCKETS = 64
"""With the 2 GiB that a delivery may hold, one of them is some 30 MB."""

HASH = "_hash"
"""The column by which rows are divided."""
_BUCKET = "_bucket"


@dataclass(frozen=True)
class _Sealed:
    number: int
    begin: int
    size: int


class _File:
    """Frames sealed one by one (AES-GCM), which the next process cannot read: the key ends with this one."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed with the last who uses it
        self._descriptor = file.fileno()
        weakref.finalize(self, file.close)
        self._cipher = AESGCM(AESGCM.generate_key(128))
        self._n = self._end = 0

    def write(self, frame: pl.DataFrame) -> _Sealed:
        content = BytesIO()
        frame.write_ipc_stream(content, compression="lz4")
        sealed = self._cipher.encrypt(_nonce(self._n), content.getvalue(), None)
        written = 0
        while written < len(sealed):
            written += os.pwrite(self._descriptor, memoryview(sealed)[written:], self._end + written)
        piece = _Sealed(self._n, self._end, len(sealed))
        self._n += 1
        self._end += len(sealed)
        return piece

    def read(self, piece: _Sealed) -> pl.DataFrame:
        sealed = os.pread(self._descriptor, piece.size, piece.begin)
        return pl.read_ipc_stream(BytesIO(self._cipher.decrypt(_nonce(piece.number), sealed, None)))


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


Piece = pl.DataFrame | _Sealed


class Spool:
    """Frames that are taken out again one by one: in memory up to `most_bytes`, the others in a file in `folder`."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._room = most_bytes
        self._file: _File | None = None

    def put(self, frame: pl.DataFrame) -> Piece:
        size = int(frame.estimated_size())
        if size <= self._room:
            self._room -= size
            return frame
        self._file = self._file or _File(self._folder)
        return self._file.write(frame)

    def get(self, piece: Piece) -> pl.DataFrame:
        if isinstance(piece, pl.DataFrame):
            return piece
        if self._file is None:
            raise ValueError("the piece is of another spool")
        return self._file.read(piece)


class Buckets:
    """Rows divided by their column `HASH`, so that those of one hash can be looked at together.

    Up to `most_bytes` stay in memory as they came; beyond that all are divided and lie in a file in `folder`.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._spool = Spool(folder, 0)
        self._most = most_bytes
        self._waiting: list[pl.DataFrame] = []
        self._waiting_bytes = 0
        self._pieces: list[list[Piece]] = []

    @property
    def are_divided(self) -> bool:
        return bool(self._pieces)

    def add(self, rows: pl.DataFrame) -> None:
        self._waiting.append(rows)
        self._waiting_bytes += int(rows.estimated_size())
        if self._waiting_bytes > self._most:
            self._divide(is_sealed=True)

    def taken(self) -> list[pl.DataFrame]:
        """All rows, as long as they are not divided; they are let go."""
        rows, self._waiting = self._waiting, []
        return rows

    def bucket(self, number: int) -> Iterator[pl.DataFrame]:
        """The rows of one of `N_BUCKETS`; those that were not divided are now."""
        self._divide(is_sealed=self.are_divided)
        return (self._spool.get(piece) for piece in (self._pieces[number] if self._pieces else ()))

    def each(self) -> Iterator[Iterator[pl.DataFrame]]:
        """The rows of each bucket; all of them together when they are not divided."""
        if not self.are_divided:
            yield iter(self.taken())
            return
        yield from map(self.bucket, range(N_BUCKETS))

    def _divide(self, *, is_sealed: bool) -> None:
        if not self._waiting:
            return
        self._pieces = self._pieces or [[] for _ in range(N_BUCKETS)]
        rows = pl.concat(self._waiting)
        self._waiting, self._waiting_bytes = [], 0
        # The low bits: what is sorted by the whole hash must not lie in one bucket for long.
        divided = rows.with_columns((pl.col(HASH) % N_BUCKETS).alias(_BUCKET)).partition_by(_BUCKET, as_dict=True)
        for (number,), part in divided.items():
            part = part.drop(_BUCKET)
            self._pieces[number].append(self._spool.put(part) if is_sealed else part)
