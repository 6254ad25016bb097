"""What was wrong with the rows of one delivery, line by line, and those lines as they were sent, with people masked.

The lines come from the sealed inbox, for the one who sent them. Masking happens here, so that nothing unmasked leaves
ingestion: a report goes by mail, lies in a folder for downloads, and is opened on whatever machine there is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import polars as pl

from identity.sealing import BrokenSealError
from ingestion import history
from ingestion.checks import Level
from ingestion.contract import Contract, Landing, load_contracts
from ingestion.delivery import DeliveryRejectedError, DeliveryZip
from ingestion.feed import STANDARD
from ingestion.inbox import inbox_key, sealed, stored
from ingestion.landing import contract_tables
from ingestion.parts import suffix_of
from ingestion.quarantine import announced_by
from ingestion.readers import READERS, Description
from ruam.home import DataHome
from ruam.landing import BATCH, holds, reading
from ruam.settings import Settings

HIDDEN = "(ปกปิด)"
"""Stands for a value that is there, and is not shown."""

FAULTS = {
    "delivery_id": pl.String(),
    "file": pl.String(),
    "member": pl.String(),
    "source_line": pl.Int32(),
    "level": pl.String(),
    "rule": pl.String(),
    "column_name": pl.String(),
}
_OF_OTHERS = frozenset({"hospcode_not_sender", "hospcode_not_in_region"})
"""Rules whose rows are of another facility: of these nothing but that facility's code is shown."""


def reading_faults(home: DataHome, came: pl.DataFrame) -> pl.DataFrame:
    """Rows set aside and rows flagged of accepted deliveries in `came` (`history.deliveries`): columns `FAULTS`.

    Lines are the member's own. A row that broke several rules, or one in several columns, stands once for each.
    """
    rejects = history.rejects_of(home, came).with_columns(level=pl.lit(str(Level.ROW)))
    found = pl.concat([rejects.select(*FAULTS), _flags(home, came)])
    return found.sort("delivery_id", "file", "source_line", "column_name", "rule")


def _flags(home: DataHome, came: pl.DataFrame) -> pl.DataFrame:
    accepted = came.filter(pl.col("outcome").is_in(history.ACCEPTED))
    ids, batches = accepted["delivery_id"].unique(), frozenset(accepted["batch"])
    places = history.files_of(home, came).select("delivery_id", "file", "member", "first_line").sort("first_line")
    found = [pl.DataFrame(schema=FAULTS)]
    with reading(home.landing) as folders:
        for folder in folders:
            if holds(folder).isdisjoint(batches):
                continue
            for table, contract in contract_tables().items():
                path = folder / f"{table}.parquet"
                if not path.exists():
                    continue
                rows = (
                    pl.scan_parquet(path, hive_partitioning=False)
                    .filter(
                        pl.col("delivery_id").is_in(ids.implode()),
                        pl.col(BATCH).is_in(list(batches)),
                        pl.col("row_flags").is_not_null(),
                    )
                    .select("delivery_id", "source_line", pl.col("row_flags").str.split(";").alias("flag"))
                    .explode("flag")
                    .collect()
                )
                if rows.is_empty():
                    continue
                # Members of one file are numbered one after another; the standard has one member a file.
                own = places.filter(pl.col("file") == contract.file)
                at = rows.with_columns(pl.col("source_line").cast(pl.Int64)).sort("source_line")
                flag = pl.col("flag").str.split_exact(":", 1)
                found.append(
                    at.join_asof(
                        own, left_on="source_line", right_on="first_line", by="delivery_id", check_sortedness=False
                    )
                    .with_columns(first_line=pl.col("first_line").fill_null(0))
                    .select(
                        "delivery_id",
                        pl.lit(contract.file).alias("file"),
                        "member",
                        (pl.col("source_line") - pl.col("first_line")).cast(pl.Int32).alias("source_line"),
                        pl.lit(str(Level.WARNING)).alias("level"),
                        flag.struct.field("field_1").alias("rule"),
                        flag.struct.field("field_0").str.to_uppercase().alias("column_name"),
                    )
                )
    return pl.concat(found)


def is_kept(home: DataHome, delivery_id: str) -> bool:
    """Whether the delivery still lies in the inbox; one that is older than it is kept does not."""
    return stored(home.inbox, delivery_id).exists()


def sent_rows(
    settings: Settings,
    delivery_id: str,
    file_name: str,
    lines: Mapping[str, Collection[int]],
    of_others: pl.DataFrame | None = None,
) -> dict[str, pl.DataFrame]:
    """Of each file the wanted lines as they were sent: `source_line`, and the columns of the contract that were sent.

    People are masked (`masked`). Lines of `of_others` (`FAULTS`) belong to another facility: only their code is left.
    Empty for a delivery of another feed, whose rows are no rows of the standard, and for one that is gone or damaged;
    a line that could not be split into columns is left out.
    """
    home = settings.data_home
    source = sealed(home.inbox, inbox_key(home), delivery_id)
    announced = announced_by(file_name, settings.feeds)
    found: dict[str, pl.DataFrame] = {}
    try:
        with DeliveryZip(source, settings.limits, announced, settings.feeds) as opened:
            if opened.feed.feed != STANDARD:
                return {}
            for member in opened.members:
                wanted, read = lines.get(member.table), READERS.get(suffix_of(member.name))
                if not wanted or read is None:
                    continue
                contract = load_contracts()[member.table]
                parts = [
                    rows.frame.filter(pl.col("source_line").is_in(list(wanted)))
                    for rows in read(opened, member, contract, Description())
                ]
                if kept := [part for part in parts if part.height]:
                    frame = masked(pl.concat(kept, how="diagonal"), contract)
                    found[member.table] = _without_others(frame, member.table, of_others)
    except (DeliveryRejectedError, BrokenSealError, OSError):
        return {}
    return found


def masked(rows: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Rows of text in which nobody can be told by their number, name or address; what was empty stays empty.

    What the landing drops (names, addresses, contacts, free text) is hidden. Of citizen numbers, wherever one stands,
    the last four digits are left, which is enough to find the row again; of a birth date year and month.
    """
    expressions = []
    for name in rows.columns:
        column = contract.by_name.get(name)
        value = pl.col(name)
        if name == "source_line":
            expressions.append(value)
        elif column is None or column.landing is Landing.DROP:
            expressions.append(pl.when(value.is_not_null()).then(pl.lit(HIDDEN)).alias(name))
        elif column.landing is Landing.PSEUDONYM:
            expressions.append(_last_four(value))
        elif column.landing is Landing.MONTH:
            expressions.append(value.str.replace(r"^(\d{6})\d{2}", "${1}xx"))
        else:
            expressions.append(_without_numbers(value))
    return rows.select(expressions)


def _last_four(value: pl.Expr) -> pl.Expr:
    n = value.str.len_chars().cast(pl.Int64)
    hidden = pl.max_horizontal(n - 4, pl.lit(0))
    short = n < 8
    return (
        pl.when(short)
        .then(value.str.replace_all(".", "x"))
        .otherwise(pl.lit("x").repeat_by(hidden).list.join("") + value.str.slice(hidden))
        .alias(value.meta.output_name())
    )


def _without_numbers(value: pl.Expr) -> pl.Expr:
    """Thirteen digits are masked in whatever column they stand; a time stamp has fourteen."""
    return value.str.replace_all(r"(^|\D)\d(?:[ -]?\d){8}((?:[ -]?\d){4})(\D|$)", "${1}xxxxxxxxx${2}${3}")


def _without_others(frame: pl.DataFrame, file: str, of_others: pl.DataFrame | None) -> pl.DataFrame:
    if of_others is None:
        return frame
    lines = of_others.filter(pl.col("file") == file, pl.col("rule").is_in(_OF_OTHERS))["source_line"]
    is_theirs = pl.col("source_line").is_in(lines.implode())
    return frame.with_columns(
        pl.when(is_theirs & pl.col(name).is_not_null()).then(pl.lit(HIDDEN)).otherwise(pl.col(name)).alias(name)
        for name in frame.columns
        if name not in ("source_line", "HOSPCODE")
    )
