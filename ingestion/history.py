"""What came, from whom, and what became of it: the receipts, with the facility's names beside them."""

from __future__ import annotations

import polars as pl

from ingestion.landing import read_records
from ingestion.reference import current_registry
from ruam.errors import SetupError, UsageError
from ruam.geography import province_names, region_of_province
from ruam.home import DataHome

ACCEPTED = ("accepted", "accepted_with_rejects")
SHORTEST_ID = 8
"""Hex digits of a delivery's id that people may shorten it to."""

FACILITIES = {
    "hospcode": pl.String(),
    "facility": pl.String(),
    "province": pl.String(),
    "facility_region": pl.String(),
}


def facilities(home: DataHome) -> pl.DataFrame:
    """Columns `FACILITIES` of the registry in force (Thai names); empty when none is loaded."""
    try:
        registry = current_registry(home)
    except SetupError:
        return pl.DataFrame(schema=FACILITIES)
    names = province_names()
    rows = [
        (code, name, names.get(province), region_of_province(province))
        for code, name, province in registry.select("hoscode", "hosname", "provcode").iter_rows()
    ]
    return pl.DataFrame(rows, schema=FACILITIES, orient="row")


def deliveries(home: DataHome) -> pl.DataFrame:
    """All receipts, newest first, with `batch, facility, province, region`.

    `facility` and `province` are null when the registry in force does not know the sender. `region` is the one in which
    the registry has the sender; else the one under which the receipt lies, `00` where that is none.
    """
    receipts = read_records(home.landing, "receipts")
    return (
        receipts.join(facilities(home), on="hospcode", how="left")
        .with_columns(region=pl.coalesce("facility_region", "region"))
        .drop("facility_region")
        .sort("received_at", "batch", "file_name", descending=[True, True, False], maintain_order=True)
    )


def find_delivery(home: DataHome, prefix: str) -> pl.DataFrame:
    """The receipts of the one delivery whose id begins with `prefix`, newest first; columns as `deliveries`.

    Raises `UsageError` when the prefix is too short or no hex, or means none or several.
    """
    if len(prefix) < SHORTEST_ID or set(prefix) - set("0123456789abcdef"):
        raise UsageError(
            f"{prefix!r} is no delivery's id: give at least {SHORTEST_ID} of its hex digits "
            "(`ruam deliveries` and `ruam quarantine list` show them)."
        )
    found = deliveries(home).filter(pl.col("delivery_id").str.starts_with(prefix))
    ids = found["delivery_id"].unique(maintain_order=True)
    if ids.is_empty():
        raise UsageError(f"No delivery's id begins with {prefix}.")
    if len(ids) > 1:
        raise UsageError(f"{prefix} means {len(ids)} deliveries: {', '.join(ids.head(5))}. Give more digits.")
    return found


def check_sender(home: DataHome, hospcode: str) -> None:
    """Raise `UsageError` when neither the registry in force nor any receipt knows `hospcode`."""
    if hospcode in set(facilities(home)["hospcode"]):
        return
    if hospcode not in set(read_records(home.landing, "receipts")["hospcode"]):
        raise UsageError(
            f"{hospcode} is unknown: it is not in the facility registry in force, and nothing came from it."
        )


def in_quarantine(came: pl.DataFrame) -> pl.DataFrame:
    """Of `deliveries`, the newest receipt of each that was rejected and never accepted.

    With `n_names` under which it came, and `waits_since`, the time of its first rejection.
    """
    accepted = came.filter(pl.col("outcome").is_in(ACCEPTED))["delivery_id"]
    rejected = came.filter((pl.col("outcome") == "rejected") & ~pl.col("delivery_id").is_in(accepted.implode()))
    names = rejected.group_by("delivery_id").agg(
        pl.col("file_name").n_unique().alias("n_names"), pl.col("received_at").min().alias("waits_since")
    )
    return rejected.unique("delivery_id", keep="first", maintain_order=True).join(
        names, on="delivery_id", how="left", maintain_order="left"
    )


def files_of(home: DataHome, came: pl.DataFrame) -> pl.DataFrame:
    """`receipt_files` of the deliveries in `came`, in the order of the files' names."""
    return _of(home, "receipt_files", came).sort("delivery_id", "file")


def rules_of(home: DataHome, came: pl.DataFrame) -> pl.DataFrame:
    """`receipt_rules` of the deliveries in `came`, rejected rows first, then by number of rows."""
    rules = _of(home, "receipt_rules", came)
    return rules.sort("delivery_id", "level", "n_rows", "file", "rule", descending=[False, False, True, False, False])


def rejects_of(home: DataHome, came: pl.DataFrame) -> pl.DataFrame:
    """`rejects` (the rows set aside) of the deliveries in `came`, in the order of their lines."""
    return _of(home, "rejects", came).sort("delivery_id", "file", "source_line")


def _of(home: DataHome, table: str, came: pl.DataFrame) -> pl.DataFrame:
    """Rows of a kind of record that belong to accepted deliveries in `came`."""
    accepted = came.filter(pl.col("outcome").is_in(ACCEPTED))
    records = read_records(home.landing, table, set(accepted["batch"]))
    return records.join(accepted.select("delivery_id", "hospcode").unique(), on=["delivery_id", "hospcode"], how="semi")


def senders_by_region(came: pl.DataFrame, known: pl.DataFrame) -> dict[str, tuple[int, int]]:
    """By region, how many facilities of `known` (`FACILITIES`) had a delivery accepted, and how many there are."""
    sent = set(came.filter(pl.col("outcome").is_in(ACCEPTED))["hospcode"])
    counts = known.with_columns(sent=pl.col("hospcode").is_in(sent)).group_by("facility_region")
    return {region: (n_sent, n) for region, n_sent, n in counts.agg(pl.col("sent").sum(), pl.len()).iter_rows()}
