"""Reference tables that come beside the extracts (facility registry, drug map, indicators): loads and versions.

Every accepted version is kept for ever, with the day it holds for and the receipt of its load. The registry's history
is worked out from all of them (`models/intermediate/facilities`), so that no order of loading matters.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import polars as pl
from pydantic import BaseModel, ConfigDict

from ingestion.landing import utc_now
from ingestion.reference_rows import CheckedTable, Finding, SetAside, check_table, load_reference_contracts
from ingestion.text import UndecodableError
from ruam.errors import SetupError, UsageError
from ruam.files import replacing, stamp
from ruam.home import DataHome

TABLES = {table: contract.kept for table, contract in load_reference_contracts().items()}
REGISTRY, DRUGS = TABLES["registry"], TABLES["drugs"]
_VERSIONED = {"version": pl.String(), "as_of_date": pl.Date()}
_SCHEMA = "schema"


class Receipt(BaseModel):
    """What a load read, repaired and set aside; kept beside the version as `<version>.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str
    version: str
    as_of_date: date
    loaded_at: datetime
    source: str
    source_sha256: str
    encoding: str
    separator: str
    n_rows: int
    n_kept: int
    n_replaced: int
    n_rejected: int
    missing_columns: list[str]
    unknown_columns: list[str]
    findings: list[Finding]
    rejected: list[SetAside]


@dataclass(frozen=True)
class Loaded:
    """What `load` did."""

    receipt: Receipt
    unchanged: bool
    """The newest version of that day holds the same rows; nothing was written."""
    in_force: bool
    """No version of a later day is kept."""

    @property
    def version(self) -> str:
        return self.receipt.version

    @property
    def n_rows(self) -> int:
        return self.receipt.n_kept

    @property
    def rejected(self) -> list[str]:
        """A sentence for each line that was set aside."""
        return [one.sentence for one in self.receipt.rejected]

    @property
    def repaired(self) -> list[str]:
        """A sentence for each rule that was met."""
        return [one.sentence for one in self.receipt.findings]


def load(home: DataHome, table: str, source: Path, as_of: date) -> Loaded:
    """Validate `source` (delimited text with a header) and keep it as a version of `table`, one of `TABLES`.

    `as_of` is the day for which the table holds. The version of the latest day is in force, whichever was loaded last;
    of one day's versions the one loaded last counts. Raises `UsageError` when the file cannot be read, lacks a needed
    column, or has no usable row; the version in force then stays.
    """
    home.require()
    try:
        content = source.read_bytes()
        checked = check_table(content, load_reference_contracts()[table])
    except FileNotFoundError:
        raise UsageError(f"{source} does not exist.") from None
    except (OSError, UndecodableError) as error:
        raise UsageError(f"{source} cannot be read: {error}") from error
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from error
    if checked.frame.is_empty():
        raise UsageError(f"{source}: no usable row. {' '.join(one.sentence for one in checked.set_aside[:5])}")
    folder = home.reference / table
    folder.mkdir(exist_ok=True)
    digest = hashlib.sha256(checked.frame.write_csv().encode() + str(as_of).encode()).hexdigest()[:8]
    kept = _dated(home, table)
    of_day = [path.stem for day, path in kept if day == as_of]
    unchanged = bool(of_day) and of_day[-1].endswith(f"-{digest}")
    loaded_at = utc_now()
    version = of_day[-1] if unchanged else f"{stamp(loaded_at)}-{digest}"
    receipt = _receipt(table, version, as_of, loaded_at, source, content, checked)
    if not unchanged:
        with replacing(folder / f"{version}.json") as temporary:
            temporary.write_text(receipt.model_dump_json(indent=1), encoding="utf-8")
        with replacing(folder / f"{version}.parquet") as temporary:
            checked.frame.with_columns(
                pl.lit(version).alias("version"), pl.lit(as_of).alias("as_of_date")
            ).write_parquet(temporary, compression="zstd")
    return Loaded(receipt, unchanged, in_force=not kept or as_of >= kept[-1][0])


def _receipt(
    table: str, version: str, as_of: date, loaded_at: datetime, source: Path, content: bytes, checked: CheckedTable
) -> Receipt:
    return Receipt(
        table=table,
        version=version,
        as_of_date=as_of,
        loaded_at=loaded_at,
        source=source.name,
        source_sha256=hashlib.sha256(content).hexdigest(),
        encoding=checked.encoding,
        separator=checked.separator,
        n_rows=checked.n_rows,
        n_kept=checked.frame.height,
        n_replaced=checked.n_replaced,
        n_rejected=len(checked.set_aside),
        missing_columns=checked.missing_columns,
        unknown_columns=checked.unknown_columns,
        findings=checked.findings,
        rejected=checked.set_aside,
    )


def versions(home: DataHome, table: str) -> list[Path]:
    """Files of all kept versions, the one in force last: by the day they hold for, then by time of load."""
    return [path for _, path in _dated(home, table)]


def _dated(home: DataHome, table: str) -> list[tuple[date, Path]]:
    paths = (path for path in (home.reference / table).glob("*.parquet") if path.stem != _SCHEMA)
    dated = [(pl.scan_parquet(path).select(pl.col("as_of_date").first()).collect().item(), path) for path in paths]
    return sorted(dated, key=lambda pair: (pair[0], pair[1].stem))


def read_receipt(version: Path) -> Receipt:
    """The receipt beside a version's file.

    Raises `SetupError` when there is none: the version was not made by `load`.
    """
    path = version.with_suffix(".json")
    if not path.exists():
        raise SetupError(f"{path} is missing: load the table again.")
    return Receipt.model_validate_json(path.read_text(encoding="utf-8"))


def ensure_schemas(home: DataHome) -> None:
    """Lay an empty file beside the versions, so that the build finds the columns before anything is loaded."""
    for table, schema in TABLES.items():
        path = home.reference / table / f"{_SCHEMA}.parquet"
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or dict(pl.read_parquet_schema(path)) != schema | _VERSIONED:
            with replacing(path) as temporary:
                pl.DataFrame(schema=schema | _VERSIONED).write_parquet(temporary)


def current_registry(home: DataHome) -> pl.DataFrame:
    """The registry in force (columns `REGISTRY`, `version`, `as_of_date`).

    Raises `SetupError` when none was loaded.
    """
    found = versions(home, "registry")
    if not found:
        raise SetupError(
            "No facility registry is loaded, so no sender is known. Run `ruam reference load registry FILE` first."
        )
    return pl.read_parquet(found[-1])
