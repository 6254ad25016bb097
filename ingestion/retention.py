"""Emptying the inbox: a zip goes some time after it came; what is needed of it later is kept, without a person in it.

What the receipts of a zip told is written down before the zip goes (`inbox/purged/<run>/`), so that receipts can still
be made anew, the same zip is still known, and nothing that is gone by right counts as lost.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from ingestion.inbox import deliveries_in, stored
from ingestion.landing import RECEIPT_FILES, RECEIPT_RULES, RECEIPTS, batch_id, read_records, utc_now
from ruam.faults import point
from ruam.files import locked, storage_errors, sync_file, sync_folder
from ruam.landing import reading
from ruam.settings import Settings

_FOLDER = "purged"
_KEPT = {"receipts": RECEIPTS, "receipt_files": RECEIPT_FILES, "receipt_rules": RECEIPT_RULES}


def purge(settings: Settings, only: Iterable[str] | None = None) -> list[str]:
    """Remove zips that came more than `inbox_retention_days` ago and have committed receipts; returns their ids.

    With `only` those deliveries go whatever their age. A zip without a receipt stays: an ingest may still need it.
    Killed on the way, it is safe to repeat. Raises `StorageError`, and `BusyError` when another process does the same.
    """
    home = settings.data_home
    home.require()
    oldest = datetime.now(UTC) - timedelta(days=settings.inbox_retention_days)
    wanted = None if only is None else set(only)
    found = {
        path.stem
        for path in deliveries_in(home.inbox)
        if (path.stem in wanted if wanted is not None else _came(path) < oldest)
    }
    if not found:
        return []
    with (
        storage_errors("Emptying the inbox", home.inbox),
        locked(home.inbox / ".purging", f"Emptying {home.inbox}"),
    ):
        _sweep(home.inbox)
        told = {table: read_records(home.landing, table) for table in _KEPT}
        known = told["receipts"].filter(pl.col("delivery_id").is_in(found))["delivery_id"].unique().sort().to_list()
        if not known:
            return []
        _write_down(home.inbox, known, told)
        gone = []
        for delivery_id in known:
            path = stored(home.inbox, delivery_id)
            # It may have come again meanwhile, which makes it young.
            if path.exists() and (wanted is not None or _came(path) < oldest):
                path.unlink()
                point("purge.removed")
                gone.append(delivery_id)
        return gone


def deliveries_with(landing: Path, pairs: Collection[tuple[str, str]]) -> set[str]:
    """Ids of the deliveries of which a landed row is of one of these people (HOSPCODE, PID)."""
    wanted = pl.LazyFrame(list(pairs), schema={"hospcode": pl.String, "pid": pl.String}, orient="row")
    found: set[str] = set()
    with reading(landing) as folders:
        for path in (path for folder in folders for path in folder.glob("*.parquet")):
            if {"hospcode", "pid", "delivery_id"} <= set(pl.read_parquet_schema(path)):
                rows = pl.scan_parquet(path, hive_partitioning=False).join(wanted, on=["hospcode", "pid"], how="semi")
                found |= set(rows.select("delivery_id").unique().collect()["delivery_id"])
    return found


def _came(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _write_down(inbox: Path, ids: list[str], told: dict[str, pl.DataFrame]) -> None:
    """Keep the records of these deliveries; those that an earlier run wrote down before it was killed may lie twice."""
    final = inbox / _FOLDER / batch_id(utc_now())
    staging = final.with_name(f".{final.name}.{os.getpid()}.tmp")
    staging.mkdir(mode=0o700, parents=True)
    for table, schema in _KEPT.items():
        path = staging / f"{table}.parquet"
        content = BytesIO()
        told[table].filter(pl.col("delivery_id").is_in(ids)).select(*schema).write_parquet(content)
        path.write_bytes(content.getvalue())
        sync_file(path)
    sync_folder(staging)
    staging.rename(final)
    sync_folder(final.parent)
    point("purge.recorded")


def purged(inbox: Path, table: str, delivery_id: str | None = None) -> pl.DataFrame:
    """What is kept of purged zips: their `receipts`, `receipt_files` or `receipt_rules`, each row once."""
    paths = sorted((inbox / _FOLDER).glob(f"[!.]*/{table}.parquet"))
    if not paths:
        return pl.DataFrame(schema=_KEPT[table])
    rows = pl.scan_parquet(paths)
    if delivery_id is not None:
        rows = rows.filter(pl.col("delivery_id") == delivery_id)
    return rows.unique(maintain_order=True).collect()


def landed_and_purged(inbox: Path, delivery_id: str, hospcode: str) -> dict[str, Any] | None:
    """The receipt of a content that a facility sent, that was accepted, and whose zip is gone by right; else None."""
    receipts = purged(inbox, "receipts", delivery_id).filter(
        pl.col("hospcode") == hospcode, pl.col("outcome").is_in(["accepted", "accepted_with_rejects"])
    )
    return receipts.row(0, named=True) if receipts.height else None


def _sweep(inbox: Path) -> None:
    """Remove what a killed run left half written."""
    for left in (inbox / _FOLDER).glob(".*.tmp"):
        for path in left.iterdir():
            path.unlink()
        left.rmdir()
