"""The inbox store: every delivery exactly as sent, sealed, addressed by its content, and the names it came under."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import polars as pl

from identity.keys import keys_of, load_key
from identity.sealing import Sealed, Sealer, SealKey, sealed_size
from ruam.faults import point
from ruam.files import alone, replacing, shared, sync_way
from ruam.home import DataHome

_LOCK = ".receiving"
_ARRIVALS = "arrivals"
_SUFFIX = ".sealed"


def inbox_key(home: DataHome) -> SealKey:
    """The key of the inbox. Raises `SetupError` when it is not there as it must be."""
    return SealKey("inbox", load_key(keys_of(home), "inbox"))


class Stored(NamedTuple):
    """A delivery in the inbox: the SHA-256 (hex) of its plain bytes, where it lies, and how many bytes they are."""

    delivery_id: str
    path: Path
    n_bytes: int


@contextmanager
def receiving(inbox: Path) -> Iterator[None]:
    """Whoever stores deliveries holds the inbox together with others, so that nobody sweeps what is half copied."""
    sweep(inbox)
    with shared(inbox / _LOCK):
        yield


def store(inbox: Path, key: SealKey, pieces: Iterable[bytes]) -> Stored:
    """Write a delivery into the inbox (held by `receiving`), sealed.

    It is sealed and written while hashing, so that what is landed is what was hashed even if the sender is still
    writing, and no plain byte reaches the disk. Nothing is left when `pieces` raises. The caller makes what was stored
    durable (`ruam.files.sync_all`) before it counts on it; what a power cut has shortened before that, or another key
    has sealed, is written anew.
    """
    staging = inbox / f".incoming-{os.getpid()}"
    digest, is_put = hashlib.sha256(), False
    try:
        with staging.open("wb") as out:
            sealer = Sealer(out, key)
            for piece in pieces:
                digest.update(piece)
                sealer.write(piece)
            delivery_id = digest.hexdigest()
            sealer.finish(delivery_id.encode())
        final = stored(inbox, delivery_id)
        n_bytes = sealer.tell()
        if _size(final) == sealed_size(n_bytes) and Sealed(final, key, delivery_id).is_sealed_with_its_key():
            final.touch()  # How long it stays counts from the last time it came.
        else:
            point("inbox.copied")
            _put(staging, final)
            is_put = True
            point("inbox.renamed")
        return Stored(delivery_id, final, n_bytes)
    finally:
        if not is_put:
            staging.unlink(missing_ok=True)


def _put(staging: Path, final: Path) -> None:
    try:
        staging.replace(final)
    except FileNotFoundError:  # Of the 256 folders, the first delivery of each makes one.
        final.parent.mkdir(mode=0o700, exist_ok=True)
        staging.replace(final)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def sweep(inbox: Path) -> None:
    """Remove what killed processes left half copied, unless somebody is copying now."""
    inbox.mkdir(parents=True, exist_ok=True)
    with alone(inbox / _LOCK) as free:
        if free:
            for left in [*inbox.glob(".incoming-*"), *(inbox / _ARRIVALS).rglob(".*.tmp")]:
                left.unlink()


def stored(inbox: Path, delivery_id: str) -> Path:
    """Where a delivery lies, sealed."""
    return inbox / delivery_id[:2] / f"{delivery_id}{_SUFFIX}"


def deliveries_in(inbox: Path) -> Iterator[Path]:
    """Where every delivery lies that is there."""
    return inbox.glob(f"[0-9a-f][0-9a-f]/*{_SUFFIX}")


def sealed(inbox: Path, key: SealKey, delivery_id: str) -> Sealed:
    """A delivery that lies there, to be opened."""
    return Sealed(stored(inbox, delivery_id), key, delivery_id)


def announce(inbox: Path, region: str, batch: str, receipts: pl.DataFrame) -> None:
    """Keep what a batch is going to hold, before it is written: names and times, which no zip holds within.

    `receipts` has the columns of `receipts.parquet`; where the outcome is still open it is null.
    """
    path = _announcement(inbox, region, batch)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = BytesIO()
    receipts.write_parquet(content)
    with shared(inbox / _LOCK), replacing(path) as temporary:
        # Not by the data frame itself: what it raises when a disk is full is no error of a disk.
        temporary.write_bytes(content.getvalue())
    sync_way(path.parent, inbox)


def withdraw(inbox: Path, region: str, batch: str) -> None:
    """Forget a batch that came to nothing."""
    _announcement(inbox, region, batch).unlink(missing_ok=True)


def withdraw_all_but(inbox: Path, region: str, committed: Collection[str]) -> None:
    """Forget the batches of a region that came to nothing in runs that were killed. The region is locked."""
    for path in (inbox / _ARRIVALS / region).glob("*.parquet"):
        if path.stem not in committed:
            path.unlink()


def announced(inbox: Path, batches: Iterable[str]) -> dict[str, pl.DataFrame]:
    """What was announced of each of these batches."""
    paths = {batch: path for batch in batches for path in (inbox / _ARRIVALS).rglob(f"{batch}.parquet")}
    return {batch: pl.read_parquet(path) for batch, path in paths.items()}


def _announcement(inbox: Path, region: str, batch: str) -> Path:
    return inbox / _ARRIVALS / region / f"{batch}.parquet"
