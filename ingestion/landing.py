"""Writing the landing: batches of typed Parquet that appear whole or not at all, each with its receipts."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from polars.interchange import CompatLevel

from identity.keys import Keys
from ingestion import corrections
from ingestion.checks import landing_schema
from ingestion.contract import Contract, load_contracts
from ruam.errors import BusyError, SetupError
from ruam.faults import point
from ruam.files import alone, holder, locked, stamp, sync_file, sync_folder, sync_way
from ruam.geography import UNKNOWN_REGION
from ruam.landing import (
    BATCH,
    COMPACTED,
    CONTENTS,
    PREFIX,
    READERS,
    SCHEMA,
    contents,
    holds,
    reading,
    region_folder,
    region_of,
    require_one_key,
    superseded,
)

_MANY_VALUES = frozenset({"pid", "seq", "an", "cid_pseudonym", "source_line"})
"""Columns whose values hardly repeat within a file."""

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
    "feed": pl.String(),
    "layout": pl.String(),
    "header": pl.Boolean(),
    "encoding": pl.String(),
    "first_line": pl.Int64(),
    "n_rows": pl.Int64(),
    "n_landed": pl.Int64(),
    "n_rejected": pl.Int64(),
    "n_flagged": pl.Int64(),
    "n_out_of_scope": pl.Int64(),
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

BESIDE_ROWS = frozenset({*RECORDS, corrections.TABLE})
"""Tables of a batch that hold no rows of a file: records, and what a request to correct names."""

_INCOMING = ".incoming-"
_RETIRED = ".retired-"


ROTATING = ".rotating"
"""Held by who changes a key."""


@contextmanager
def region_locked(landing: Path, region: str, *, wait: bool = False) -> Iterator[int]:
    """Hold a region alone, free of what killed processes left there; yields the lock's descriptor.

    Only who holds it, or shares the descriptor, may commit in the region: no process that might still write there is
    left when another gets the lock. Raises `BusyError` when another process holds it, unless it may `wait`, and while
    a key is being changed.
    """
    if process := holder(landing / ROTATING):
        raise BusyError(
            f"A key of {landing.parent} is being changed by process {process}. Try again when it has ended."
        )
    with region_alone(landing, region, wait=wait) as descriptor:
        require_one_key(landing)
        yield descriptor


@contextmanager
def region_alone(landing: Path, region: str, *, wait: bool = False) -> Iterator[int]:
    """As `region_locked`, for who changes a key."""
    folder = region_folder(landing, region)
    with locked(folder / ".lock", f"Region {region} of {landing.parent}", wait=wait) as descriptor:
        point("region.locked")
        sweep_region(landing, region)
        point("region.swept")
        yield descriptor


def sweep_region(landing: Path, region: str) -> None:
    """Remove what killed processes left in a region. It is locked, and nobody writes there."""
    folder = region_folder(landing, region)
    for left in [*folder.glob(f"{_INCOMING}*"), *folder.glob(f"{_RETIRED}*")]:
        shutil.rmtree(left, ignore_errors=True)


def is_committed(landing: Path, region: str, batch: str) -> bool:
    """Whether a batch that this process was to write is there."""
    return (region_folder(landing, region) / f"{PREFIX}{batch}").exists()


def retire(landing: Path, region: str) -> bool:
    """Remove the folders of a region that do not count any more, unless somebody is reading. The region is locked.

    Returns whether none is left; what readers held back goes the next time.
    """
    with alone(landing / READERS) as free:
        if not free:
            return not superseded(landing, region)
        gone = []
        for folder in superseded(landing, region):
            gone.append(folder.rename(folder.with_name(f"{_RETIRED}{folder.name}")))
            point("compact.hidden")
    for folder in gone:
        shutil.rmtree(folder)
        point("compact.removed")
    return True


def batch_id(now: datetime) -> str:
    """Time of landing, for people, then a random part: no two are the same, whatever the clock does."""
    return f"{stamp(now)}-{secrets.token_hex(6)}"


def compacted_id(now: datetime) -> str:
    """Name of a folder that stands for others."""
    return f"{COMPACTED}{batch_id(now)}"


class BatchWriter:
    """Writes one batch beside its final place; `commit` renames it there. Use as a context manager.

    Leaving without `commit` leaves nothing behind. The caller holds the region (`region_locked`).
    """

    def __init__(self, landing: Path, region: str, batch: str) -> None:
        region_dir = region_folder(landing, region)
        region_dir.mkdir(parents=True, exist_ok=True)
        self._landing = landing
        self._batch = batch
        self._final = region_dir / f"{PREFIX}{batch}"
        self._folder = region_dir / f"{_INCOMING}{batch}"
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._n_rows: Counter[str] = Counter()

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
        self.write(table, to_arrow(frame.hstack([pl.Series(BATCH, [self._batch]).new_from_index(0, frame.height)])))
        point("batch.record_written" if table in RECORDS else "batch.rows_written")

    def write(self, table: str, rows: pa.Table) -> None:
        """Add a row group whose rows bear the batch in which they were landed."""
        if not self._writers:
            point("batch.begun")
        if table not in self._writers:
            # Nobody reads statistics of these columns, and they cost a third of the writing; a dictionary of values
            # that hardly repeat costs time and space. Without Arrow's own schema, text is plain text to everybody.
            self._writers[table] = pq.ParquetWriter(
                self._folder / f"{table}.parquet",
                rows.schema,
                compression="zstd",
                write_statistics=False,
                use_dictionary=[name for name in rows.column_names if name not in _MANY_VALUES],
                store_schema=False,
            )
        self._writers[table].write_table(rows)
        self._n_rows[table] += rows.num_rows

    def copy(self, source: Path) -> None:
        """Take a file of another folder over as it is; files of the landing never change, so a link is a copy."""
        (self._folder / source.name).hardlink_to(source)
        if source.name != CONTENTS:
            self._n_rows[source.stem] = pq.read_metadata(source).num_rows

    def commit(self, instead_of: Collection[Path] = ()) -> Path:
        """Make the batch durable, then visible by one rename, which hides the folders that it stands for.

        Raises `RuntimeError`, and commits nothing, when the files as they lie on the disk do not hold what was
        appended, or when their receipts tell of other numbers of rows landed and rejected.
        """
        if instead_of:
            # With those that these had replaced and that are still there: none may come back, whichever goes first.
            region = self._final.parent
            names = {name for folder in instead_of for name in contents(folder)["replaces"]}
            before = [name for name in names if (region / name).exists()]
            told = {
                "batches": sorted(frozenset[str]().union(*map(holds, instead_of))),
                "replaces": sorted({*(folder.name for folder in instead_of), *before}),
            }
            (self._folder / CONTENTS).write_text(json.dumps(told), encoding="utf-8")
            sync_file(self._folder / CONTENTS)
        while self._writers:
            table, writer = self._writers.popitem()
            writer.close()
            point("batch.closed")
            sync_file(self._folder / f"{table}.parquet")
        self._check_balance()
        sync_folder(self._folder)
        point("batch.synced")
        self._folder.rename(self._final)
        point("batch.renamed")
        sync_way(self._final.parent, self._landing)
        point("batch.committed")
        return self._final

    def _check_balance(self) -> None:
        """Compare with the footers as the next reader will find them, not with what this process believes."""
        lying = {table: pq.read_metadata(self._folder / f"{table}.parquet").num_rows for table in self._n_rows}
        if lying != dict(self._n_rows):
            raise RuntimeError(f"batch {self._batch}: {dict(self._n_rows)} rows were written, {lying} lie in the files")
        if "receipt_files" in lying:
            files = pl.read_parquet(self._folder / "receipt_files.parquet", columns=["n_landed", "n_rejected"])
            told = (files["n_landed"].sum(), files["n_rejected"].sum())
            found = (sum(n for table, n in lying.items() if table not in BESIDE_ROWS), lying.get("rejects", 0))
            if found != told:
                raise RuntimeError(
                    f"batch {self._batch}: receipts tell of {told} rows landed and rejected, {found} lie there"
                )


def to_arrow(frame: pl.DataFrame) -> pa.Table:
    """The same memory, so text is of Arrow's `string_view`; nothing is copied."""
    return frame.to_arrow(compat_level=CompatLevel.newest())


def ensure_schema_batch(landing: Path) -> None:
    """Commit the batch of empty files that tells the build each table's columns, once per set of contracts."""
    tables: dict[str, dict[str, pl.DataType]] = {
        **{contract.table: landing_schema(contract) for contract in load_contracts().values()},
        corrections.TABLE: corrections.withdrawals_schema(),
        **RECORDS,
    }
    digest = hashlib.sha256(repr([BATCH, tables]).encode()).hexdigest()[:12]
    batch = f"{SCHEMA}{digest}"
    final = region_folder(landing, NO_REGION) / f"{PREFIX}{batch}"
    if final.exists():
        return
    with region_locked(landing, NO_REGION, wait=True):
        if final.exists():
            return
        with BatchWriter(landing, NO_REGION, batch) as writer:
            for table, schema in tables.items():
                writer.append(table, pl.DataFrame(schema=schema))
            writer.commit()


def read_records(
    landing: Path, table: str, only: Collection[str] | None = None, region: str | None = None
) -> pl.DataFrame:
    """All rows of one kind of record (`RECORDS`) with `region` and `batch`, over the committed batches.

    `only` names the batches to read, by id; `region` keeps to one region.
    """
    schema = RECORDS[table] | {"region": pl.String(), BATCH: pl.String()}
    is_wanted = True if only is None else pl.col(BATCH).is_in(pl.Series(list(only), dtype=pl.String).implode())
    with reading(landing, region) as folders:
        wanted = [folder for folder in folders if only is None or not holds(folder).isdisjoint(only)]
        found = (rows.filter(is_wanted).select(*schema).collect() for rows in _scan_each(wanted, table))
        return pl.concat([pl.DataFrame(schema=schema), *found])


def receipts_of(landing: Path, deliveries: Collection[str], region: str | None = None) -> pl.DataFrame:
    """The receipts (`RECEIPTS`) of some deliveries (by id), in one region or all; of millions no more are held."""
    is_wanted = pl.col("delivery_id").is_in(pl.Series(list(deliveries), dtype=pl.String).implode())
    with reading(landing, region) as folders:
        return _all_receipts(folders).filter(is_wanted).collect(engine="streaming")


def newest_receipt(landing: Path) -> datetime | None:
    """When the newest receipt was written, by the clock of then."""
    with reading(landing) as folders:
        newest = _all_receipts(folders).select(pl.col("received_at").max()).collect(engine="streaming").item()
    return newest if isinstance(newest, datetime) else None


def _all_receipts(folders: list[Path]) -> pl.LazyFrame:
    paths = [path for folder in folders if (path := folder / "receipts.parquet").exists()]
    found = pl.scan_parquet(paths, hive_partitioning=False) if paths else pl.LazyFrame(schema=RECEIPTS)
    return found.select(*RECEIPTS)


def key_ids(landing: Path) -> frozenset[str]:
    """Ids of the keys with which the landing was made: one, unless something is wrong; none when it is empty."""
    with reading(landing) as folders:
        found = _all_receipts(folders).select(pl.col("key_id").drop_nulls().unique()).collect(engine="streaming")
    return frozenset(found["key_id"])


def require_fitting(landing: Path, keys: Keys, made_with: Collection[str]) -> None:
    """Raise `SetupError` unless all that was landed was made with these keys (`made_with`: their ids).

    With another key the same person would be another in every row from now on.
    """
    for other in sorted(set(made_with) - {keys.key_id}):
        parts = zip(("linkage", "analysis"), other.split("."), keys.key_id.split("."), strict=True)
        wrong = [f"{name} key is {has}, was {had}" for name, had, has in parts if had != has]
        raise SetupError(
            f"The keys do not fit the landing {landing}: the {' and the '.join(wrong)} when it was made. Nothing was "
            "taken in. Bring the right key back; a new one comes by `ruam keys rotate` alone."
        )


def first_rejects(landing: Path, only: Collection[str]) -> pl.DataFrame:
    """Of the rows that batches (by id) set aside, the first for each rule (`REJECTS`); of millions no more are read."""
    found = [pl.DataFrame(schema=REJECTS)]
    with reading(landing) as folders:
        for folder in folders:
            path = folder / "rejects.parquet"
            if path.exists() and not holds(folder).isdisjoint(only):
                rows = pl.scan_parquet(path, hive_partitioning=False, row_index_name="place")
                mine = rows.filter(pl.col(BATCH).is_in(pl.Series(list(only), dtype=pl.String).implode()))
                places = mine.group_by("rule").agg(pl.col("place").min()).collect(engine="streaming")["place"].sort()
                found += [rows.slice(place, 1).select(*REJECTS).collect() for place in places]
    return pl.concat(found).unique("rule", keep="first", maintain_order=True)


def _scan_each(folders: list[Path], table: str) -> Iterator[pl.LazyFrame]:
    """The rows of a table, folder by folder, with `region`."""
    for folder in folders:
        path = folder / f"{table}.parquet"
        if path.exists():
            rows = pl.scan_parquet(path, hive_partitioning=False)
            yield rows.with_columns(pl.lit(region_of(folder)).alias("region"))


def utc_now() -> datetime:
    """UTC without a zone, as the Parquet holds it."""
    return datetime.now(UTC).replace(tzinfo=None)


def contract_tables() -> dict[str, Contract]:
    """Contracts by the name of their landing table."""
    return {contract.table: contract for contract in load_contracts().values()}
