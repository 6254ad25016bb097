"""The landing: batches of typed Parquet that appear whole or not at all, each with its receipts."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from polars.interchange import CompatLevel

from ingestion.checks import landing_schema
from ingestion.contract import Contract, load_contracts
from ruam.files import is_alive, sync_file, sync_folder
from ruam.geography import UNKNOWN_REGION

NO_REGION = UNKNOWN_REGION
"""Where receipts of deliveries go that belong to no known facility, and the schema batch."""

RECEIPTS = {
    "delivery_id": pl.String(),
    "file_name": pl.String(),
    "hospcode": pl.String(),
    "sent_at": pl.Datetime("us"),
    "received_at": pl.Datetime("us"),
    "outcome": pl.String(),
    "reason": pl.String(),
    "detail": pl.String(),
    "key_id": pl.String(),
    "n_bytes": pl.Int64(),
    "n_rows": pl.Int64(),
    "n_landed": pl.Int64(),
    "n_rejected": pl.Int64(),
    "n_flagged": pl.Int64(),
}
RECEIPT_FILES = {
    "delivery_id": pl.String(),
    "hospcode": pl.String(),
    "file": pl.String(),
    "member": pl.String(),
    "layout": pl.String(),
    "header": pl.Boolean(),
    "encoding": pl.String(),
    "n_rows": pl.Int64(),
    "n_landed": pl.Int64(),
    "n_rejected": pl.Int64(),
    "n_flagged": pl.Int64(),
    "missing_columns": pl.String(),
    "unknown_columns": pl.String(),
}
RECEIPT_RULES = {
    "delivery_id": pl.String(),
    "hospcode": pl.String(),
    "file": pl.String(),
    "rule": pl.String(),
    "column_name": pl.String(),
    "level": pl.String(),
    "n_rows": pl.Int64(),
}
REJECTS = {
    "delivery_id": pl.String(),
    "hospcode": pl.String(),
    "file": pl.String(),
    "member": pl.String(),
    "source_line": pl.Int32(),
    "column_name": pl.String(),
    "rule": pl.String(),
    "masked_value": pl.String(),
}
RECORDS = {
    "receipts": RECEIPTS,
    "receipt_files": RECEIPT_FILES,
    "receipt_rules": RECEIPT_RULES,
    "rejects": REJECTS,
}

_INCOMING = ".incoming-"


def region_folder(landing: Path, region: str) -> Path:
    return landing / f"region={region}"


def committed_batches(landing: Path) -> list[Path]:
    """Folders of all committed batches, in the order of their ids."""
    return sorted(landing.glob("region=*/batch=*"), key=lambda path: path.name)


def batch_id(delivery_ids: Iterable[str], now: datetime) -> str:
    """Time of landing, then a digest of what is landed: sorts by time, never collides."""
    digest = hashlib.sha256("\n".join(sorted(delivery_ids)).encode()).hexdigest()[:12]
    return f"{now:%Y%m%dT%H%M%S%f}-{digest}"


class BatchWriter:
    """Writes one batch beside its final place; `commit` renames it there. Use as a context manager.

    Leaving without `commit` leaves nothing behind.
    """

    def __init__(self, landing: Path, region: str, batch: str) -> None:
        region_dir = region_folder(landing, region)
        region_dir.mkdir(parents=True, exist_ok=True)
        self._final = region_dir / f"batch={batch}"
        self._folder = region_dir / f"{_INCOMING}{os.getpid()}-{batch}"
        self._writers: dict[str, pq.ParquetWriter] = {}

    def __enter__(self) -> BatchWriter:
        self._folder.mkdir(mode=0o700)
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers.values():
            with suppress(OSError):
                writer.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def append(self, table: str, frame: pl.DataFrame) -> None:
        """Add a row group to `<table>.parquet`. All frames of one table have the same columns."""
        arrow = _to_arrow(frame)
        if table not in self._writers:
            self._writers[table] = pq.ParquetWriter(self._folder / f"{table}.parquet", arrow.schema, compression="zstd")
        self._writers[table].write_table(arrow)

    def commit(self) -> Path:
        """Make the batch durable, then visible by one rename."""
        while self._writers:
            table, writer = self._writers.popitem()
            writer.close()
            sync_file(self._folder / f"{table}.parquet")
        sync_folder(self._folder)
        self._folder.rename(self._final)
        sync_folder(self._final.parent)
        return self._final


def _to_arrow(frame: pl.DataFrame) -> pa.Table:
    """Plain Arrow strings, which every engine reads."""
    table = frame.to_arrow(compat_level=CompatLevel.oldest())
    fields = [field.with_type(pa.string()) if pa.types.is_large_string(field.type) else field for field in table.schema]
    return table.cast(pa.schema(fields))


def sweep(landing: Path, region: str) -> None:
    """Remove what killed processes left in a region. The caller holds the region's lock, or the region is 00."""
    for folder in region_folder(landing, region).glob(f"{_INCOMING}*"):
        pid = int(folder.name.removeprefix(_INCOMING).split("-")[0])
        if pid == os.getpid() or not is_alive(pid):
            shutil.rmtree(folder, ignore_errors=True)


def ensure_schema_batch(landing: Path) -> None:
    """Commit the batch of empty files that tells the build each table's columns, once per set of contracts."""
    tables: dict[str, dict[str, pl.DataType]] = {
        **{contract.table: landing_schema(contract) for contract in load_contracts().values()},
        **RECORDS,
    }
    digest = hashlib.sha256(repr(tables).encode()).hexdigest()[:12]
    final = region_folder(landing, NO_REGION) / f"batch=schema-{digest}"
    if final.exists():
        return
    with BatchWriter(landing, NO_REGION, f"schema-{digest}") as writer:
        for table, schema in tables.items():
            writer.append(table, pl.DataFrame(schema=schema))
        # Another process may have laid the same batch meanwhile; the rename then finds its place taken.
        try:
            writer.commit()
        except OSError:
            if not final.exists():
                raise


def read_records(landing: Path, table: str, only: Collection[str] | None = None) -> pl.DataFrame:
    """All rows of one kind of record (`RECORDS`) with `region` and `batch`, over the committed batches.

    `only` names the batches to read, by id.
    """
    batches = [path for path in committed_batches(landing) if only is None or path.name.removeprefix("batch=") in only]
    return pl.concat(
        [
            pl.DataFrame(schema=RECORDS[table] | {"region": pl.String(), "batch": pl.String()}),
            *_read_each(batches, table),
        ]
    )


def _read_each(batches: list[Path], table: str) -> Iterator[pl.DataFrame]:
    for batch in batches:
        path = batch / f"{table}.parquet"
        if path.exists() and not batch.name.startswith("batch=schema-"):
            yield pl.read_parquet(path, hive_partitioning=False).select(
                *RECORDS[table],
                pl.lit(batch.parent.name.removeprefix("region=")).alias("region"),
                pl.lit(batch.name.removeprefix("batch=")).alias("batch"),
            )


def utc_now() -> datetime:
    """UTC without a zone, as the Parquet holds it."""
    return datetime.now(UTC).replace(tzinfo=None)


def contract_tables() -> dict[str, Contract]:
    """Contracts by the name of their landing table."""
    return {contract.table: contract for contract in load_contracts().values()}
