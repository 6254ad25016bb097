"""Reference tables that come beside the extracts: the facility registry and the drug map."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from pathlib import Path

import polars as pl

from ingestion.delivery import BUDDHIST_ERA_FROM
from ingestion.landing import utc_now
from ingestion.text import UTF8_BOM, UndecodableError, to_utf8
from ruam.errors import SetupError, UsageError
from ruam.files import replacing
from ruam.home import DataHome

UNKNOWN_PROVINCE = "99"

REGISTRY = {
    "hoscode": pl.String(),
    "hosname": pl.String(),
    "hostype": pl.String(),
    "provcode": pl.String(),
    "distcode": pl.String(),
    "subdistcode": pl.String(),
    "hoscodenew": pl.String(),
    "bed": pl.Int32(),
    "mcode": pl.String(),
    "zone_code": pl.String(),
    "status": pl.String(),
    "register_date": pl.Date(),
    "close_date": pl.Date(),
}
DRUGS = {
    "didstd": pl.String(),
    "dname": pl.String(),
    "atc": pl.String(),
    "route": pl.String(),
    "units_per_day": pl.Float64(),
    "chronic": pl.Boolean(),
}
_VERSIONED = {"version": pl.String(), "as_of_date": pl.Date()}

TABLES = {"registry": REGISTRY, "drugs": DRUGS}


@dataclass(frozen=True)
class Loaded:
    """What `load` did. `rejected` and `repaired` are sentences for the user."""

    version: str
    n_rows: int
    rejected: list[str]
    repaired: list[str]
    unchanged: bool = False


def load(home: DataHome, table: str, source: Path, as_of: date) -> Loaded:
    """Validate `source` (CSV) and keep it as the newest version of `table` (`registry` or `drugs`).

    `as_of` is the day for which the table holds. Raises `UsageError` when the file cannot be read, lacks a needed
    column, or has no usable row; the version in force then stays.
    """
    home.require()
    text = _read_csv(source)
    if table == "registry":
        frame, rejected, repaired = _registry(text)
    else:
        frame, rejected, repaired = _drugs(text)
    if frame.is_empty():
        raise UsageError(f"{source}: no usable row. {' '.join(rejected[:5])}")
    folder = home.reference / table
    folder.mkdir(exist_ok=True)
    digest = hashlib.sha256(frame.write_csv().encode() + str(as_of).encode()).hexdigest()[:8]
    previous = versions(home, table)
    if previous and previous[-1].stem.endswith(digest):
        return Loaded(previous[-1].stem, frame.height, rejected, repaired, unchanged=True)
    version = f"{utc_now():%Y%m%dT%H%M%S%f}-{digest}"
    with replacing(folder / f"{version}.parquet") as temporary:
        frame.with_columns(pl.lit(version).alias("version"), pl.lit(as_of).alias("as_of_date")).write_parquet(
            temporary, compression="zstd"
        )
    return Loaded(version, frame.height, rejected, repaired)


def versions(home: DataHome, table: str) -> list[Path]:
    """Files of all accepted versions, oldest first; the empty one that carries the columns is not among them."""
    return sorted(path for path in (home.reference / table).glob("*.parquet") if path.stem != "schema")


def ensure_schemas(home: DataHome) -> None:
    """Lay an empty file beside the versions, so that the build finds the columns before anything is loaded."""
    for table, schema in TABLES.items():
        path = home.reference / table / "schema.parquet"
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            with replacing(path) as temporary:
                pl.DataFrame(schema=schema | _VERSIONED).write_parquet(temporary)


def current_registry(home: DataHome) -> pl.DataFrame:
    """The newest registry (columns `REGISTRY`).

    Raises `SetupError` when none was loaded.
    """
    found = versions(home, "registry")
    if not found:
        raise SetupError(
            "No facility registry is loaded, so no sender is known. Run `ruam reference load registry FILE` first."
        )
    return pl.read_parquet(found[-1])


def _read_csv(source: Path) -> pl.DataFrame:
    """All columns as stripped text, names lower case, empty as null."""
    try:
        content = to_utf8(source.read_bytes().removeprefix(UTF8_BOM))[0]
        frame = pl.read_csv(BytesIO(content), infer_schema=False, truncate_ragged_lines=False)
    except FileNotFoundError:
        raise UsageError(f"{source} does not exist.") from None
    except (OSError, UndecodableError, pl.exceptions.PolarsError) as error:
        raise UsageError(f"{source} cannot be read as CSV: {error}") from error
    frame = frame.rename({name: name.strip().lower() for name in frame.columns})
    cleaned = pl.all().str.replace_all(r"[\r\n\s]+", " ").str.strip_chars()
    return frame.with_columns(cleaned).with_columns(pl.when(pl.all().str.len_bytes() > 0).then(pl.all()))


def _with_columns(frame: pl.DataFrame, schema: dict[str, pl.DataType], needed: tuple[str, ...]) -> pl.DataFrame:
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise UsageError(f"Column {', '.join(missing)} is missing; the file has {', '.join(frame.columns)}.")
    absent = [pl.lit(None, pl.String).alias(name) for name in schema if name not in frame.columns]
    return frame.with_columns(absent).select(*schema).with_row_index("line", offset=2)


def _registry(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str], list[str]]:
    frame = _with_columns(frame, REGISTRY, ("hoscode", "hosname", "hostype", "provcode"))
    sent = frame
    frame = frame.with_columns(
        pl.col("hoscode", "mcode").str.zfill(5),
        pl.col("hostype", "provcode", "zone_code").str.zfill(2),
        pl.col("bed").cast(pl.Float64, strict=False).cast(pl.Int32, strict=False),
        *(_date(name) for name in ("register_date", "close_date")),
    )
    repaired = [
        *_count(sent["hoscode"].str.len_bytes() < 5, "facility codes had lost their leading zeros"),
        *_count(_is_buddhist(sent["register_date"]), "registration dates were of the Buddhist Era"),
        *_count(~frame["provcode"].str.contains("^[1-9][0-9]$").fill_null(value=False), "provinces are unknown"),
    ]
    good = frame["hoscode"].str.contains("^[0-9]{5}$").fill_null(value=False) & frame["hosname"].is_not_null()
    rejected = [
        f"Line {line}: facility code {code!r} is not 5 digits, or the name is empty."
        for line, code in sent.filter(~good).select("line", "hoscode").iter_rows()
    ]
    kept = frame.filter(good).with_columns(
        provcode=pl.when(pl.col("provcode").str.contains("^[1-9][0-9]$"))
        .then("provcode")
        .otherwise(pl.lit(UNKNOWN_PROVINCE))
    )
    unique = kept.unique("hoscode", keep="last").sort("hoscode")
    repaired += _count(kept.height - unique.height, "facilities stood twice; the later line counts")
    return unique.drop("line"), rejected, repaired


def _drugs(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str], list[str]]:
    frame = _with_columns(frame, DRUGS, ("didstd", "atc", "units_per_day"))
    units = pl.col("units_per_day").cast(pl.Float64, strict=False)
    typed = frame.with_columns(
        pl.col("atc").str.to_uppercase(),
        pl.when(units > 0).then(units).alias("units_per_day"),
        pl.col("chronic").str.to_lowercase().is_in(["1", "y", "yes", "true"]).fill_null(value=False),
    )
    good = pl.col("didstd").is_not_null()
    rejected = [f"Line {line}: didstd is empty." for (line,) in typed.filter(~good).select("line").iter_rows()]
    kept = typed.filter(good)
    unique = kept.unique("didstd", keep="last").sort("didstd")
    repaired = [
        *_count(
            unique["units_per_day"].is_null(),
            "drugs have no usable units_per_day: no days of supply for them",
        ),
        *_count(kept.height - unique.height, "drugs stood twice; the later line counts"),
    ]
    return unique.drop("line"), rejected, repaired


def _date(name: str) -> pl.Expr:
    """A date of either era, as `YYYY-MM-DD` or `YYYYMMDD`; the registry has both."""
    digits = pl.col(name).str.slice(0, 10).str.replace_all("[^0-9]", "")
    year = digits.str.slice(0, 4).cast(pl.Int32, strict=False)
    common = pl.when(year >= BUDDHIST_ERA_FROM).then(year - 543).otherwise(year).cast(pl.String)
    return (common + digits.str.slice(4)).str.to_date("%Y%m%d", strict=False).alias(name)


def _is_buddhist(dates: pl.Series) -> pl.Series:
    return dates.str.slice(0, 4).cast(pl.Int32, strict=False) >= BUDDHIST_ERA_FROM


def _count(found: pl.Series | int, words: str) -> list[str]:
    n = found if isinstance(found, int) else int(found.sum() or 0)
    return [f"{n:,} {words}."] if n else []
