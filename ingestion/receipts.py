"""What the landing itself says of each delivery, against what its receipts say; and receipts made anew from it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from ingestion import corrections
from ingestion.batch import read_again
from ingestion.checks import Level
from ingestion.contract import load_contracts
from ingestion.delivery import DeliveryRejectedError, DeliveryZip
from ingestion.feed import STANDARD
from ingestion.inbox import announced, stored
from ingestion.job import delivery_in_inbox, ready
from ingestion.landing import (
    NO_REGION,
    RECEIPT_FILES,
    RECEIPT_RULES,
    RECEIPTS,
    RECORDS,
    BatchWriter,
    compacted_id,
    contract_tables,
    region_locked,
    retire,
    to_arrow,
    utc_now,
)
from ingestion.text import UTF8_BOM, read_header, to_utf8
from ruam.errors import RuamError
from ruam.files import storage_errors
from ruam.home import DataHome
from ruam.landing import BATCH, holds, is_schema, reading, region_of
from ruam.settings import Settings, ZipLimits

_CONTENT = (BATCH, "delivery_id", "hospcode")
_COUNTS = ("n_rows", "n_landed", "n_rejected", "n_flagged")
_REBUILT = ("receipts", "receipt_files", "receipt_rules")


@dataclass(frozen=True)
class Problem:
    """Something in a folder of the landing that its receipts do not tell as it is."""

    folder: Path
    what: str


def check(settings: Settings, *, sent: bool = False) -> list[Problem]:
    """Compare the receipts with the rows, rejects and flags that lie beside them, per file and delivery.

    Nothing that ingestion counted is used: rows are counted where they lie. With `sent` the zips in the inbox are
    read again, their content hash and their lines compared too.
    """
    home = settings.data_home
    home.require()
    problems: list[Problem] = []
    accepted: list[pl.DataFrame] = []
    with reading(home.landing) as folders:
        for folder in folders:
            if any(map(is_schema, holds(folder))):
                continue
            found = [Problem(folder, what) for what in _differences(folder)]
            problems += found
            if not found:
                receipts = pl.read_parquet(folder / "receipts.parquet", hive_partitioning=False)
                accepted.append(receipts.filter(pl.col("outcome").str.starts_with("accepted")))
                problems += [Problem(folder, what) for what in _missing(home, receipts)]
                problems += [Problem(folder, what) for what in (_unlike_sent(settings, folder) if sent else ())]
    if accepted:
        twice = (
            pl.concat(accepted)
            .group_by("delivery_id", "hospcode")
            .agg(pl.col(BATCH))
            .filter(pl.col(BATCH).list.len() > 1)
        )
        problems += [
            Problem(home.landing, f"delivery {id_} of {hospcode} landed in batches {', '.join(batches)}")
            for id_, hospcode, batches in twice.iter_rows()
        ]
    return problems


def repair(settings: Settings) -> tuple[list[Path], list[Problem]]:
    """Make the receipts anew of every folder in which they differ from what lies there, or are lost.

    Counts come from the rows, rejects and flags; names and times from what was announced in the inbox; how each file
    was laid out from the zip itself. The folder with new receipts takes the place of the old one by one rename.
    Returns the new folders, and the problems that no receipt can mend. Raises `BusyError` when a region is in use,
    and `RuamError` when a batch was never announced or a zip is gone.
    """
    home = settings.data_home
    mended = []
    for region in sorted({region_of(problem.folder) for problem in check(settings) if problem.folder != home.landing}):
        with (
            storage_errors(f"Repairing region {region}", home.landing),
            region_locked(home.landing, region),
            reading(home.landing, region) as folders,
        ):
            mended += [
                _mend(settings, region, folder)
                for folder in folders
                if not any(map(is_schema, holds(folder))) and _differences(folder)
            ]
        with region_locked(home.landing, region):
            retire(home.landing, region)
    return mended, check(settings)


def _differences(folder: Path) -> list[str]:
    """In words: what the receipts of a folder tell differently from what lies there."""
    try:
        told = {name: _records(folder, name) for name in _REBUILT}
        files, rules = _counted(folder)
    except (pl.exceptions.PolarsError, OSError) as error:
        return [f"a file cannot be read: {error}"]
    receipts = told["receipts"].filter(pl.col("outcome").str.starts_with("accepted"))
    keys = [*_CONTENT, "file"]
    counts = list(_COUNTS)
    # A file without a row is told of, and nothing of it lies there.
    with_rows = told["receipt_files"].group_by(keys).agg(pl.col(counts).sum()).filter(pl.col("n_rows") != 0)
    totals = told["receipt_files"].group_by(_CONTENT).agg(pl.col(counts).sum())
    per_delivery = receipts.filter(pl.col("n_rows") != 0).select(*_CONTENT, *counts)
    rule_keys = [*keys, "rule", "column_name", "level"]
    of_rows = told["receipt_rules"].filter(pl.col("level") != str(Level.NOTE))
    pairs = [
        ("file", with_rows.select(*keys, *counts), files, keys),
        ("delivery", per_delivery, totals.filter(pl.col("n_rows") != 0), list(_CONTENT)),
        ("rule", of_rows.group_by(rule_keys).agg(pl.col("n_rows").sum()), rules, rule_keys),
    ]
    return [sentence for what, one, other, on in pairs for sentence in _unequal(what, one, other, on)]


def _records(folder: Path, name: str) -> pl.DataFrame:
    """One kind of record in a folder. Only receipts must be there; a batch of them alone has no others."""
    path = folder / f"{name}.parquet"
    if name != "receipts" and not path.exists() and not _row_files(folder):
        return pl.DataFrame(schema=RECORDS[name] | {BATCH: pl.String})
    return pl.read_parquet(path, hive_partitioning=False)


def _row_files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.parquet")) if path.stem not in _REBUILT]


def _unequal(what: str, told: pl.DataFrame, found: pl.DataFrame, on: list[str]) -> Iterator[str]:
    """Rows that stand in one frame only, in words."""
    columns = told.columns
    found = found.select(pl.col(name).cast(told.schema[name]) for name in columns)
    for words, one, other in (("told, not found", told, found), ("found, not told", found, told)):
        left = one.join(other, on=columns, how="anti", nulls_equal=True).sort(on)
        for row in left.iter_rows(named=True):
            yield f"{what}: {words}: " + ", ".join(
                f"{name}={value}" for name, value in row.items() if value is not None
            )


def _counted(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What lies in a folder: counts by batch, delivery and file, and by rule (columns of the receipts of the same)."""
    by = [*_CONTENT, "file"]
    landed, rejected, flags = [], [], []
    for path in _row_files(folder):
        rows = pl.scan_parquet(path, hive_partitioning=False)
        if path.stem == corrections.TABLE:
            continue
        if path.stem == "rejects":
            rejected.append(rows.group_by(*by, "rule", "column_name").agg(pl.len().cast(pl.Int64).alias("n_rows")))
            continue
        rows = rows.with_columns(pl.lit(contract_tables()[path.stem].file).alias("file"))
        landed.append(rows.group_by(by).agg(pl.len().alias("n_landed"), pl.col("row_flags").count().alias("n_flagged")))
        flags.append(rows.drop_nulls("row_flags").group_by(*by, "row_flags").agg(pl.len().alias("n_rows")))
    key = dict.fromkeys(by, pl.String)
    none = pl.LazyFrame(schema=key | {"rule": pl.String, "column_name": pl.String, "n_rows": pl.Int64})
    row_rules = pl.concat([none, *rejected]).with_columns(pl.lit(str(Level.ROW)).alias("level"))
    no_flags = pl.LazyFrame(schema=key | {"row_flags": pl.String, "n_rows": pl.UInt32})
    warnings = (
        pl.concat([no_flags, *flags])
        .with_columns(pl.col("row_flags").str.split(";"))
        .explode("row_flags")
        .with_columns(
            pl.col("row_flags").str.splitn(":", 2).struct.rename_fields(["column_name", "rule"]).alias("pair")
        )
        .unnest("pair")
        .with_columns(pl.col("column_name").str.to_uppercase())
        .group_by(*by, "rule", "column_name")
        .agg(pl.col("n_rows").sum().cast(pl.Int64))
        .with_columns(pl.lit(str(Level.WARNING)).alias("level"))
    )
    rules = pl.concat([row_rules, warnings.select(row_rules.collect_schema().names())]).collect()
    no_rows = pl.LazyFrame(schema=key | {"n_landed": pl.UInt32, "n_flagged": pl.UInt32})
    rejects = (
        rules.filter(pl.col("level") == str(Level.ROW)).group_by(by).agg(pl.col("n_rows").sum().alias("n_rejected"))
    )
    files = (
        pl.concat([no_rows, *landed])
        .collect()
        .join(rejects, on=by, how="full", coalesce=True)
        .with_columns(pl.col("n_landed", "n_rejected", "n_flagged").fill_null(0).cast(pl.Int64))
        .with_columns((pl.col("n_landed") + pl.col("n_rejected")).alias("n_rows"))
    )
    return files, rules


def _missing(home: DataHome, receipts: pl.DataFrame) -> Iterator[str]:
    """Deliveries that do not lie in the inbox as their receipt says."""
    for delivery_id, n_bytes in receipts.select("delivery_id", "n_bytes").unique().iter_rows():
        path = stored(home.inbox, delivery_id)
        if not path.exists() or path.stat().st_size != n_bytes:
            yield f"the inbox does not hold delivery {delivery_id} with its {n_bytes:,} bytes"


def _unlike_sent(settings: Settings, folder: Path) -> Iterator[str]:
    """Files whose receipts tell of another number of rows than their zip holds, and zips that changed."""
    receipts = _records(folder, "receipts").filter(pl.col("outcome").str.starts_with("accepted"))
    files = _records(folder, "receipt_files")
    for receipt in receipts.iter_rows(named=True):
        delivery_id, path = receipt["delivery_id"], stored(settings.data_home.inbox, receipt["delivery_id"])
        told = files.filter(pl.col("delivery_id") == delivery_id, pl.col("hospcode") == receipt["hospcode"])
        try:
            with path.open("rb") as handle:
                if hashlib.file_digest(handle, "sha256").hexdigest() != delivery_id:
                    yield f"the inbox holds other bytes under the name of {delivery_id}"
            if (told["feed"] == STANDARD).all():
                sent = _lines_sent(path, settings.limits)
            else:
                sent = _rows_by_file(_read_again(settings, receipt)[0])
        except (OSError, DeliveryRejectedError) as error:
            yield f"delivery {delivery_id} cannot be read again: {error}"
            continue
        if sent != _rows_by_file(told):
            yield f"delivery {delivery_id}: {sent} rows were sent, the receipts tell of {_rows_by_file(told)}"


def _rows_by_file(files: pl.DataFrame) -> dict[str, int]:
    return dict(files.group_by("file").agg(pl.col("n_rows").sum()).iter_rows())


def _lines_sent(path: Path, limits: ZipLimits) -> dict[str, int]:
    """Lines of each file of the standard that are neither blank nor the header, counted apart from ingestion's
    counters. Raises `DeliveryRejectedError`."""
    sent = {}
    with DeliveryZip(path, limits, STANDARD) as opened:
        for member in opened.members:
            n_lines, begun = 0, False
            for block in opened.blocks(member):
                if not begun:
                    block = block.removeprefix(UTF8_BOM).lstrip(b"\n")
                    if not block:
                        continue
                    begun = True
                    first = block[: block.index(b"\n")]
                    header = read_header(_text(first), load_contracts()[member.table], limits)
                    if header and header.is_header:
                        block = block[len(first) + 1 :]
                n_lines += sum(line != b"" for line in block.split(b"\n"))
            sent[member.table] = n_lines
    return sent


def _text(line: bytes) -> str:
    try:
        return to_utf8(line)[0].decode("utf-8")
    except ValueError:
        return line.decode("ascii", errors="replace")


def _read_again(settings: Settings, receipt: dict[str, Any]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What ingestion would tell of a delivery's files and rules now."""
    keys, regions = ready(settings)
    delivery = delivery_in_inbox(settings, receipt["delivery_id"], receipt["file_name"])
    region = regions.get(delivery.hospcode, NO_REGION)
    spill = settings.data_home.spill
    return read_again(delivery, region, tuple(regions.items()), keys, settings.limits, spill, settings.feeds)


def _mend(settings: Settings, region: str, folder: Path) -> Path:
    """A folder with the rows and rejects of `folder`, and receipts made anew."""
    home = settings.data_home
    arrivals = announced(home.inbox, holds(folder))
    unknown = holds(folder) - arrivals.keys()
    if unknown:
        raise RuamError(
            f"{folder}: nothing in {home.inbox} says what batch {', '.join(sorted(unknown))} was to hold, so that its "
            "receipts cannot be made anew. Restore them, or the inbox, from the backup."
        )
    files, rules = _counted(folder)
    told = {name: pl.DataFrame(schema=RECORDS[name] | {BATCH: pl.String}) for name in _REBUILT}
    known = _rejections(home, besides=holds(folder))
    for batch, receipts in sorted(arrivals.items()):
        for name, frame in _anew(settings, batch, receipts, files.filter(pl.col(BATCH) == batch), known).items():
            told[name] = told[name].extend(frame.with_columns(pl.lit(batch).alias(BATCH)))
    told["receipt_rules"] = told["receipt_rules"].vstack(rules.select(*RECEIPT_RULES, BATCH))
    with BatchWriter(home.landing, region, compacted_id(utc_now())) as writer:
        for path in _row_files(folder):
            writer.copy(path)
        for name, frame in told.items():
            writer.write(name, to_arrow(frame))
        return writer.commit(instead_of=[folder])


def _rejections(home: DataHome, besides: frozenset[str]) -> set[tuple[str, str, str]]:
    """Delivery, name and reason of each rejection that is recorded in other batches: it is recorded once."""
    with reading(home.landing) as folders:
        paths = [path for folder in folders if (path := folder / "receipts.parquet").exists()]
        found = pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in paths])
    others = found.filter(pl.col("outcome") == "rejected", ~pl.col(BATCH).is_in(pl.Series(list(besides)).implode()))
    return set(others.select("delivery_id", "file_name", "reason").iter_rows())


def _anew(
    settings: Settings,
    batch: str,
    receipts: pl.DataFrame,
    files: pl.DataFrame,
    known: set[tuple[str, str, str]],
) -> dict[str, pl.DataFrame]:
    """Receipts of one batch: of what was announced, and of what lies there."""
    counted = {(row["delivery_id"], row["hospcode"], row["file"]): row for row in files.iter_rows(named=True)}
    new_receipts = []
    new_files, notes = [pl.DataFrame(schema=RECEIPT_FILES)], [pl.DataFrame(schema=RECEIPT_RULES)]
    for receipt in receipts.iter_rows(named=True):
        if receipt["outcome"] is not None:
            new_receipts.append(receipt)
            continue
        content = (receipt["delivery_id"], receipt["hospcode"])
        try:
            described, rules = _read_again(settings, receipt)
        except DeliveryRejectedError as error:
            rejection = (receipt["delivery_id"], receipt["file_name"], error.rule)
            if rejection not in known:
                known.add(rejection)
                new_receipts.append(
                    receipt
                    | dict.fromkeys(_COUNTS, 0)
                    | {"outcome": "rejected", "reason": error.rule, "detail": error.message}
                )
            continue
        except OSError as error:
            raise RuamError(f"Delivery {content[0]} of batch {batch} cannot be read from the inbox: {error}") from error
        sums = dict.fromkeys(_COUNTS, 0)
        for (file,), told in described.group_by("file", maintain_order=True):
            row = counted.get((*content, str(file)), dict.fromkeys(_COUNTS, 0))
            if row["n_rows"] != told["n_rows"].sum():
                raise RuamError(
                    f"{receipt['file_name']}, {file}: {told['n_rows'].sum()} rows were sent, {row['n_rows']} lie in "
                    f"batch {batch}. Rows are lost, not receipts only: restore the batch from the backup."
                )
            if told.height == 1:
                told = told.with_columns(pl.lit(row[name], pl.Int64).alias(name) for name in _COUNTS)
            elif any(told[name].sum() != row[name] for name in _COUNTS):
                raise RuamError(
                    f"{receipt['file_name']}, {file}: its members would be judged otherwise now than when they "
                    "landed, so that what each gave cannot be told. Bring back the registry that was in force then."
                )
            for name in _COUNTS:
                sums[name] += row[name]
            new_files.append(told)
        notes.append(rules.filter(pl.col("level") == str(Level.NOTE)))
        outcome = "accepted_with_rejects" if sums["n_rejected"] else "accepted"
        new_receipts.append(receipt | sums | {"outcome": outcome})
    return {
        "receipts": pl.DataFrame(new_receipts, schema=RECEIPTS),
        "receipt_files": pl.concat(new_files),
        "receipt_rules": pl.concat(notes),
    }
