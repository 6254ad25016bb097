"""The inbox store: every delivery exactly as sent, addressed by its content, and the names under which it came."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable
from io import BytesIO
from pathlib import Path

import polars as pl

from ruam.faults import point
from ruam.files import alone, replacing, shared, sync_way

_LOCK = ".receiving"
_ARRIVALS = "arrivals"


def store(inbox: Path, pieces: Iterable[bytes]) -> tuple[str, Path]:
    """Write a delivery into the inbox; return its SHA-256 (hex) and where it lies.

    It is written while hashing, so that what is landed is what was hashed even if the sender is still writing. Nothing
    is left when `pieces` raises. The caller makes what was stored durable (`ruam.files.sync_all`) before it counts
    on it; what a power cut has shortened before that is written anew.
    """
    inbox.mkdir(parents=True, exist_ok=True)
    staging = inbox / f".incoming-{os.getpid()}"
    digest = hashlib.sha256()
    with shared(inbox / _LOCK):
        try:
            with staging.open("wb") as writer:
                for piece in pieces:
                    digest.update(piece)
                    writer.write(piece)
            delivery_id = digest.hexdigest()
            final = stored(inbox, delivery_id)
            if not (final.exists() and final.stat().st_size == staging.stat().st_size):
                final.parent.mkdir(mode=0o700, exist_ok=True)
                point("inbox.copied")
                staging.replace(final)
                point("inbox.renamed")
            return delivery_id, final
        finally:
            staging.unlink(missing_ok=True)


def sweep(inbox: Path) -> None:
    """Remove what killed processes left half copied, unless somebody is copying now."""
    inbox.mkdir(parents=True, exist_ok=True)
    with alone(inbox / _LOCK) as free:
        if free:
            for left in [*inbox.glob(".incoming-*"), *(inbox / _ARRIVALS).rglob(".*.tmp")]:
                left.unlink()


def stored(inbox: Path, delivery_id: str) -> Path:
    """Where a delivery lies."""
    return inbox / delivery_id[:2] / f"{delivery_id}.zip"


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
