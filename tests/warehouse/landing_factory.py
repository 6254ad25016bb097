"""A data home whose landing and registry hold exactly the rows a test names, in the layout of docs/architecture.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from pathlib import Path

import polars as pl

from identity.linkage.links import ensure_links
from ingestion.checks import landing_schema
from ingestion.corrections import TABLE as WITHDRAWALS
from ingestion.corrections import withdrawals_schema
from ingestion.landing import NO_REGION, RECORDS, BatchWriter, contract_tables, ensure_schema_batch
from ingestion.reference import DRUGS, REGISTRY, ensure_schemas
from ruam.home import DataHome

Row = Mapping[str, object]
_VERSIONED = {"version": pl.String(), "as_of_date": pl.Date()}


def make_home(root: Path) -> DataHome:
    """A data home with the empty files that give every source its columns, and nothing else."""
    home = DataHome(root)
    home.create()
    ensure_schema_batch(home.landing)
    ensure_schemas(home)
    ensure_links(home.links)
    return home


def write_registry(home: DataHome, facilities: Iterable[Row], version: str, as_of: date) -> None:
    """One version of the facility registry; each facility names at least `hoscode`, `hostype`, `provcode`, `mcode`."""
    rows = [{"status": "1", "hosname": f"หน่วยบริการ {row['hoscode']}", **row} for row in facilities]
    _write_reference(home, "registry", rows, REGISTRY, version, as_of)


def write_drugs(home: DataHome, drugs: Iterable[Row], version: str, as_of: date) -> None:
    _write_reference(home, "drugs", drugs, DRUGS, version, as_of)


def _write_reference(
    home: DataHome, table: str, rows: Iterable[Row], schema: Mapping[str, pl.DataType], version: str, as_of: date
) -> None:
    folder = home.reference / table
    folder.mkdir(exist_ok=True)
    frame = pl.DataFrame(list(rows), schema=schema)
    frame = frame.with_columns(pl.lit(version).alias("version"), pl.lit(as_of).alias("as_of_date"))
    frame.select(*schema, *_VERSIONED).write_parquet(folder / f"{version}.parquet")


def write_batch(
    home: DataHome,
    region: str,
    batch: str,
    deliveries: Mapping[str, tuple[str, datetime]],
    tables: Mapping[str, Iterable[Row]],
) -> str:
    """Commit one batch and return its id.

    `deliveries` maps a delivery id to the sender's HOSPCODE and the time in the zip's name; rows of `tables` (by
    landing table) name their `delivery_id`; a column they do not name is null, a line is counted per table.
    """
    contracts = contract_tables()
    with BatchWriter(home.landing, region, batch) as writer:
        counts: dict[str, int] = dict.fromkeys(deliveries, 0)
        files: list[Row] = []
        for table, rows in tables.items():
            numbered = [{"source_line": line, **row} for line, row in enumerate(rows, start=2)]
            for row in numbered:
                counts[str(row["delivery_id"])] += 1
            schema = withdrawals_schema() if table == WITHDRAWALS else landing_schema(contracts[table])
            unknown = {name for row in numbered for name in row} - set(schema)
            if unknown:
                raise ValueError(f"{table} has no column {', '.join(sorted(unknown))}")
            writer.append(table, pl.DataFrame(numbered, schema=schema))
            landed = Counter(str(row["delivery_id"]) for row in numbered)
            if table != WITHDRAWALS:
                files += [_file(id_, deliveries[id_][0], contracts[table].file, n) for id_, n in landed.items()]
        receipts = [_receipt(id_, *sender, counts[id_]) for id_, sender in deliveries.items()]
        writer.append("receipts", pl.DataFrame(receipts, schema=RECORDS["receipts"]))
        writer.append("receipt_files", pl.DataFrame(files, schema=RECORDS["receipt_files"]))
        writer.commit()
    return batch


def write_rejected(home: DataHome, batch: str, delivery_id: str, sent_at: datetime) -> None:
    """A batch that holds nothing but the receipt of a rejected delivery of an unknown sender."""
    with BatchWriter(home.landing, NO_REGION, batch) as writer:
        receipt = _receipt(delivery_id, None, sent_at, 0) | {"outcome": "rejected", "reason": "unknown_sender"}
        writer.append("receipts", pl.DataFrame([receipt], schema=RECORDS["receipts"]))
        writer.commit()


def _file(delivery_id: str, hospcode: str, file: str, n_rows: int) -> Row:
    return {
        "delivery_id": delivery_id,
        "hospcode": hospcode,
        "file": file,
        "n_rows": n_rows,
        "n_landed": n_rows,
        "n_rejected": 0,
        "n_flagged": 0,
    }


def _receipt(delivery_id: str, hospcode: str | None, sent_at: datetime, n_rows: int) -> dict[str, object]:
    return {
        "delivery_id": delivery_id,
        "file_name": f"F43_{hospcode}_{sent_at:%Y%m%d%H%M%S}.zip",
        "hospcode": hospcode,
        "sent_at": sent_at,
        "received_at": sent_at,
        "outcome": "accepted",
        "n_bytes": 1,
        "n_rows": n_rows,
        "n_landed": n_rows,
        "n_rejected": 0,
        "n_flagged": 0,
    }
