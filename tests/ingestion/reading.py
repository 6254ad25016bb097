"""Read back what ingestion left in a data home."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from ingestion.checks import landing_schema
from ingestion.contract import load_contracts
from ingestion.job import Report, ingest
from ingestion.landing import committed_batches, read_records
from ruam.settings import Settings


def take_in(settings: Settings, *paths: Path) -> Report:
    return ingest(settings, paths)


def landed(settings: Settings, file: str) -> pl.DataFrame:
    """All landed rows of a file of the standard, over the committed batches."""
    contract = load_contracts()[file]
    found = [batch / f"{contract.table}.parquet" for batch in committed_batches(settings.data_home.landing)]
    frames = [pl.read_parquet(path, hive_partitioning=False) for path in found if path.exists()]
    return pl.concat([pl.DataFrame(schema=landing_schema(contract)), *frames])


def records(settings: Settings, table: str) -> pl.DataFrame:
    return read_records(settings.data_home.landing, table)


def batches(settings: Settings) -> list[str]:
    return [path.name for path in committed_batches(settings.data_home.landing)]


def flags(frame: pl.DataFrame) -> list[list[str]]:
    return [flag.split(";") if flag else [] for flag in frame["row_flags"]]


def assert_balanced(settings: Settings) -> None:
    """Rows sent = landed + rejected, in each receipt, in each file, and in what lies beside them."""
    files = records(settings, "receipt_files")
    assert (files["n_rows"] == files["n_landed"] + files["n_rejected"]).all()
    accepted = records(settings, "receipts").filter(pl.col("outcome").str.starts_with("accepted"))
    sums = files.group_by("delivery_id").agg(pl.col("n_rows", "n_landed", "n_rejected", "n_flagged").sum())
    joined = accepted.join(sums, on="delivery_id", how="left", suffix="_of_files")
    for name in ("n_rows", "n_landed", "n_rejected", "n_flagged"):
        assert joined[name].to_list() == joined[f"{name}_of_files"].to_list()
    assert records(settings, "rejects").height == files["n_rejected"].sum()
    rules = records(settings, "receipt_rules").filter(pl.col("level") == "row")
    assert (rules["n_rows"].sum() or 0) == files["n_rejected"].sum()
    standard = load_contracts().keys() & set(files["file"])
    assert sum(landed(settings, file).height for file in standard) == files["n_landed"].sum()
