"""Read back what ingestion left in a data home."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from ingestion.checks import landing_schema
from ingestion.contract import load_contracts
from ingestion.job import Report, ingest
from ingestion.landing import read_records
from ruam.landing import committed_batches, reading
from ruam.settings import Settings


def take_in(settings: Settings, *paths: Path) -> Report:
    return ingest(settings, paths)


def landed(settings: Settings, file: str) -> pl.DataFrame:
    """All landed rows of a file of the standard, over the committed batches, without the batch of each."""
    contract = load_contracts()[file]
    schema = landing_schema(contract)
    with reading(settings.data_home.landing) as folders:
        found = [folder / f"{contract.table}.parquet" for folder in folders]
        frames = [pl.read_parquet(path, hive_partitioning=False) for path in found if path.exists()]
    return pl.concat([pl.DataFrame(schema=schema), *(frame.select(*schema) for frame in frames)])


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
    content = ["delivery_id", "hospcode"]
    sums = files.group_by(content).agg(pl.col("n_rows", "n_landed", "n_rejected", "n_flagged").sum())
    joined = accepted.join(sums, on=content, how="left", suffix="_of_files")
    for name in ("n_rows", "n_landed", "n_rejected", "n_flagged"):
        assert joined[name].to_list() == joined[f"{name}_of_files"].to_list()
    assert records(settings, "rejects").height == files["n_rejected"].sum()
    rules = records(settings, "receipt_rules").filter(pl.col("level") == "row")
    assert (rules["n_rows"].sum() or 0) == files["n_rejected"].sum()
    assert sum(landed(settings, file).height for file in load_contracts()) == files["n_landed"].sum()
