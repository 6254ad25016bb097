"""Rows of text to typed, checked and pseudonymised rows, a whole frame at a time.

A row is set aside only when it cannot be told apart (key), placed in time (event date) or ascribed to its sender.
Everything else is kept: the value that cannot be read is emptied and the row flagged (spec: behaviour of rows).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import polars as pl
import yaml
from pydantic import BaseModel, ConfigDict, Field

from identity.pseudonym import Pseudonymiser
from ingestion.contract import Column, ColumnType, Contract, Landing
from ingestion.delivery import BUDDHIST_ERA_FROM
from ruam.settings import PROJECT

RULES = Path(__file__).with_name("rules") / "f43.yml"
CODE_VALUES = PROJECT / "seeds" / "terminology" / "code_values.csv"
RIGHT_GROUPS = PROJECT / "seeds" / "terminology" / "right_groups.csv"

FACILITY_COLUMNS = frozenset({"MAIN", "SUB", "HSUB", "REFERINHOSP", "REFEROUTHOSP", "HOSP_DESTINATION"})
"""Columns that name another facility by its 5-digit code."""

NAME_COLUMNS = frozenset({"NAME", "LNAME"})

LOCAL_NUMBERS = frozenset({"PID", "MPID", "PID_IN", "PROVIDER"})
"""Numbers that a facility gives itself, where some programs put the citizen number instead."""

CID_DIGITS = 13

FLAG = "flag:"
"""Begins the name of a column that says which rows break a warning rule of a feed's own: `flag:<column>:<rule>`."""

SLOT, SENDER, NOT_AFTER = "_slot", "_sender", "_not_after"
"""Columns that the caller adds to the raw rows: where a row is counted, its sender's HOSPCODE, the last believable
date."""

_EARLIEST_YEAR = 1850
_MOJIBAKE = "(เ[ธน].){2,}|à¸|à¹|\ufffd"
"""UTF-8 Thai read as cp874 (every letter becomes เธ. or เน.) or as Latin-1, or already lost."""


class Level(StrEnum):
    DELIVERY = "delivery"
    ROW = "row"
    WARNING = "warning"


class Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    level: Literal["delivery", "row", "warning", "both"]
    th: str
    en: str
    fix: str


@cache
def load_rules() -> dict[str, Rule]:
    """The rule catalogue by code."""
    rules = [Rule.model_validate(item) for item in yaml.safe_load(RULES.read_text(encoding="utf-8"))]
    return {rule.code: rule for rule in rules}


@cache
def code_values() -> dict[str, frozenset[str]]:
    """Codes of each closed list, by list id."""
    lists: dict[str, set[str]] = {}
    with CODE_VALUES.open(encoding="utf-8", newline="") as handle:
        for row in csv.DictReader(handle):
            lists.setdefault(row["list"], set()).add(row["code"])
    return {name: frozenset(codes) for name, codes in lists.items()}


@cache
def right_ranges() -> list[tuple[str, str]]:
    """Ranges of INSTYPE codes that exist, first and last code, both included."""
    with RIGHT_GROUPS.open(encoding="utf-8", newline="") as handle:
        return [(row["code_from"], row["code_to"]) for row in csv.DictReader(handle)]


@dataclass(frozen=True)
class Checked:
    """`landed`: the contract's landing columns, `source_line`, `row_flags` and `_slot`.

    `rejected`: `_slot, source_line, column_name, rule, masked_value`.
    `findings`: `_slot, rule, column_name, level, n_rows`; rejected rows count under their first reason.
    """

    landed: pl.DataFrame
    rejected: pl.DataFrame
    findings: pl.DataFrame


@dataclass(frozen=True)
class _Finding:
    column: str
    rule: str
    mask: pl.Expr
    rejects: bool = False

    @property
    def alias(self) -> str:
        return f"!{self.column}:{self.rule}"


class Checker:
    """Checks the rows of one file of the standard.

    `hospcodes` are all codes of the facility registry; rows must be of one of `allowed`, or of the sender when it is
    None.
    """

    def __init__(
        self, contract: Contract, hospcodes: pl.Series, pseudonymiser: Pseudonymiser, allowed: pl.Series | None = None
    ) -> None:
        self.contract = contract
        self._hospcodes = hospcodes.implode()
        self._allowed = None if allowed is None else allowed.implode()
        self._pseudonymiser = pseudonymiser

    def check(self, raw: pl.DataFrame) -> Checked:
        """`raw` has one text column per column that was sent, `source_line`, and the three columns of the caller."""
        raw = raw.with_columns(pl.lit(None, pl.String).alias(name) for name in self._absent(raw))
        sent = [column for column in self.contract.columns if column.name in raw.columns]
        raw, identities = self._pseudonymised(raw, sent)
        values = raw.lazy().with_columns(_parsed(column).alias(f"={column.name}") for column in sent)
        findings = [*self._row_findings(sent), *self._value_findings(sent), *identities, *_flagged(raw)]
        frame = values.with_columns(finding.mask.fill_null(value=False).alias(finding.alias) for finding in findings)
        return self._settled(frame.collect(), findings)

    def _absent(self, raw: pl.DataFrame) -> list[str]:
        """Columns without which a row cannot be told apart or placed in time, and that were not sent."""
        needed = [*self.contract.key, *([self.contract.event_date] if self.contract.event_date else [])]
        return [name for name in dict.fromkeys(needed) if name not in raw.columns]

    def _pseudonymised(self, raw: pl.DataFrame, sent: list[Column]) -> tuple[pl.DataFrame, list[_Finding]]:
        """Put pseudonyms beside the citizen numbers, and in place of a facility's own number that is one."""
        findings = []
        for column in sent:
            if column.landing is Landing.PSEUDONYM:
                name = column.name.lower()
                raw = raw.hstack(self._pseudonymiser.columns(raw[column.name], name))
                findings += [
                    _Finding(column.name, rule, pl.col(f"{name}_class") == rule)
                    for rule in ("malformed", "bad_check_digit", "dummy", "generated")
                ]
        for name in LOCAL_NUMBERS & set(raw.columns):
            if (raw[name].str.len_bytes() >= CID_DIGITS).any():
                replaced = self._pseudonymiser.local_numbers(raw[name])
                if replaced.null_count() < raw.height:
                    flag = f"_{name}_is_cid"
                    raw = raw.with_columns(
                        pl.coalesce(replaced, pl.col(name)).alias(name), replaced.is_not_null().alias(flag)
                    )
                    findings.append(_Finding(name, "is_cid", pl.col(flag)))
        return raw, findings

    def _row_findings(self, sent: list[Column]) -> Iterator[_Finding]:
        """Reasons to set a row aside, the most telling first."""
        hospcode = pl.col("=HOSPCODE")
        for name in self.contract.key:
            yield _Finding(name, "missing_key", pl.col(name).is_null(), rejects=True)
        yield _Finding("HOSPCODE", "unknown_hospcode", ~hospcode.is_in(self._hospcodes), rejects=True)
        if self._allowed is None:
            yield _Finding("HOSPCODE", "hospcode_not_sender", hospcode != pl.col(SENDER), rejects=True)
        else:
            yield _Finding("HOSPCODE", "hospcode_not_in_region", ~hospcode.is_in(self._allowed), rejects=True)
        decisive = [*dict.fromkeys([*self.contract.key, self.contract.event_date])]
        for column in sent:
            if column.name in decisive and column.type in (ColumnType.DATE, ColumnType.DATETIME):
                if column.name not in self.contract.key:
                    yield _Finding(column.name, "missing_required", pl.col(column.name).is_null(), rejects=True)
                for rule, mask in _date_faults(column):
                    yield _Finding(column.name, rule, mask, rejects=True)
                if column.name == self.contract.event_date:
                    late = pl.col(f"={column.name}").cast(pl.Date) > pl.col(NOT_AFTER)
                    yield _Finding(column.name, "future_date", late, rejects=True)

    def _value_findings(self, sent: list[Column]) -> Iterator[_Finding]:
        decisive = {*self.contract.key, self.contract.event_date}
        for column in sent:
            text, value = pl.col(column.name), pl.col(f"={column.name}")
            if column.required and column.name not in decisive:
                yield _Finding(column.name, "missing_required", text.is_null())
            if column.type in (ColumnType.DATE, ColumnType.DATETIME):
                if column.name not in decisive:
                    for rule, mask in _date_faults(column):
                        yield _Finding(column.name, rule, mask)
                if column.landing is Landing.MONTH:
                    yield _Finding(column.name, "future_date", value.cast(pl.Date) > pl.col(NOT_AFTER))
            elif column.type in (ColumnType.INTEGER, ColumnType.DECIMAL):
                yield _Finding(column.name, "not_numeric", text.is_not_null() & value.is_null())
            elif column.type is ColumnType.TIME:
                yield _Finding(column.name, "invalid_time", text.is_not_null() & value.is_null())
            elif column.width is not None:
                yield _Finding(column.name, "too_long", text.str.len_chars() > column.width)
            if column.codes:
                yield _Finding(column.name, "unknown_code", ~text.is_in(code_values()[column.codes]))
            if column.name == "INSTYPE":
                known = pl.any_horizontal(text.is_between(pl.lit(a), pl.lit(b)) for a, b in right_ranges())
                yield _Finding(column.name, "unknown_code", ~(known & (text.str.len_bytes() == 4)))
            if column.name in FACILITY_COLUMNS:
                yield _Finding(column.name, "unknown_facility", ~text.is_in(self._hospcodes))
            if column.name in NAME_COLUMNS:
                yield _Finding(column.name, "mojibake", text.str.contains(_MOJIBAKE))
            if column.name == "HOSPCODE":
                yield _Finding(column.name, "zero_padded", text != value)

    def _settled(self, frame: pl.DataFrame, findings: list[_Finding]) -> Checked:
        """Sort the rows by what was found. Masks that found nothing cost nothing further."""
        totals = frame.select(pl.col(finding.alias).sum() for finding in findings).row(0) if findings else ()
        found = [finding for finding, total in zip(findings, totals, strict=True) if total]
        rejecting = [finding for finding in found if finding.rejects]
        flagging = [finding for finding in found if not finding.rejects]
        reason = pl.coalesce(
            *(pl.when(pl.col(f.alias)).then(pl.lit(f"{f.column}:{f.rule}")) for f in rejecting),
            pl.lit(None, pl.String),
        )
        frame = frame.with_columns(reason.alias("_reason"))
        rejected = frame.filter(pl.col("_reason").is_not_null()) if rejecting else frame.clear()
        landed = frame.filter(pl.col("_reason").is_null()) if rejecting else frame
        flags = pl.concat_str(
            *(pl.when(pl.col(f.alias)).then(pl.lit(f"{f.column.lower()}:{f.rule}")) for f in flagging),
            pl.lit(None, pl.String),
            separator=";",
            ignore_nulls=True,
        )
        return Checked(
            landed=landed.select(
                *self._landing_columns(frame),
                pl.col("source_line").cast(pl.Int32),
                pl.when(flags != "").then(flags).alias("row_flags"),
                SLOT,
            ),
            rejected=_rejected_rows(rejected),
            findings=pl.concat([_rejections(rejected), *(_warnings(landed, finding) for finding in flagging)]),
        )

    def _landing_columns(self, frame: pl.DataFrame) -> Iterator[pl.Expr]:
        """Every landing column of the contract, sent or not."""
        for column in self.contract.columns:
            for name, dtype in landing_columns(column).items():
                source = name if column.landing is Landing.PSEUDONYM else f"={column.name}"
                value = pl.col(source) if source in frame.columns else pl.lit(None)
                if column.landing is Landing.MONTH:
                    value = value.cast(pl.Date).dt.month_start() if source in frame.columns else value
                if (source in frame.columns and frame.schema[source] != dtype) or source not in frame.columns:
                    value = value.cast(dtype)
                yield value.alias(name)


def _flagged(raw: pl.DataFrame) -> Iterator[_Finding]:
    """What a feed's mapping found (`FLAG`)."""
    for name in raw.columns:
        if name.startswith(FLAG):
            column, rule = name.removeprefix(FLAG).split(":")
            yield _Finding(column, rule, pl.col(name))


_DTYPES: dict[ColumnType, pl.DataType] = {
    ColumnType.TEXT: pl.String(),
    ColumnType.INTEGER: pl.Int64(),
    ColumnType.DECIMAL: pl.Decimal(18, 4),
    ColumnType.DATE: pl.Date(),
    ColumnType.DATETIME: pl.Datetime("us"),
    ColumnType.TIME: pl.String(),
    ColumnType.JSON: pl.String(),
}


def landing_columns(column: Column) -> dict[str, pl.DataType]:
    """Columns of the landing that one column of the contract becomes."""
    name = column.name.lower()
    match column.landing:
        case Landing.DROP:
            return {}
        case Landing.PSEUDONYM:
            return {f"{name}_pseudonym": pl.String(), f"{name}_class": pl.String()}
        case Landing.MONTH:
            return {f"{name}_month": pl.Date()}
        case Landing.KEEP:
            return {name: _DTYPES[column.type]}


def landing_schema(contract: Contract) -> dict[str, pl.DataType]:
    """Columns of a landed file in order, with what ingestion adds."""
    schema: dict[str, pl.DataType] = {}
    for column in contract.columns:
        schema |= landing_columns(column)
    return schema | {"delivery_id": pl.String(), "source_line": pl.Int32(), "row_flags": pl.String()}


def _parsed(column: Column) -> pl.Expr:
    """The typed value, null where the text is none of that type."""
    text = pl.col(column.name)
    match column.type:
        case ColumnType.DATE:
            return _believable(_of_length(text, 8).str.to_date("%Y%m%d", strict=False))
        case ColumnType.DATETIME:
            full = _of_length(text, 8, 10, 12, 14).str.pad_end(14, "0")
            return _believable(full.str.to_datetime("%Y%m%d%H%M%S", strict=False, time_unit="us"))
        case ColumnType.INTEGER:
            return _number(text).cast(pl.Float64, strict=False).round().cast(pl.Int64, strict=False)
        case ColumnType.DECIMAL:
            return _number(text).cast(pl.Decimal(18, 4), strict=False)
        case ColumnType.TIME:
            full = pl.when(text.str.len_bytes() == 5).then("0" + text).otherwise(text.str.zfill(4)).str.pad_end(6, "0")
            return pl.when(full.str.contains(r"^([01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]$")).then(full)
        case _ if column.name == "HOSPCODE":
            padded = text.str.zfill(5)
            return pl.when(padded == pl.col(SENDER)).then(padded).otherwise(text)
        case _:
            return text


def _of_length(text: pl.Expr, *lengths: int) -> pl.Expr:
    """Null unless of such a length: the date parser takes a lone digit for a whole day or month."""
    return pl.when(text.str.len_bytes().is_in(lengths)).then(text)


def _number(text: pl.Expr) -> pl.Expr:
    """Some exporters put commas between thousands."""
    return text.str.replace_all(",", "", literal=True)


def _believable(value: pl.Expr) -> pl.Expr:
    return pl.when(value.dt.year().is_between(_EARLIEST_YEAR, BUDDHIST_ERA_FROM - 1)).then(value)


def _date_faults(column: Column) -> Iterator[tuple[str, pl.Expr]]:
    """What is wrong with a date that could not be read; exactly one of the three."""
    text = pl.col(column.name)
    unread = text.is_not_null() & pl.col(f"={column.name}").is_null()
    zero = text.str.contains("^0+$")
    buddhist = text.str.slice(0, 4).is_between(pl.lit(str(BUDDHIST_ERA_FROM)), pl.lit("2699")) & (
        text.str.contains("^[0-9]{8}")
    )
    yield "be_year", unread & buddhist
    yield "zero_date", unread & zero
    yield "invalid_date", unread & ~buddhist & ~zero


def masked(value: pl.Expr) -> pl.Expr:
    """The shape of a value, at most 40 characters: 9 for a digit, A for a Latin letter, ก for a Thai one."""
    return (
        value.str.slice(0, 40)
        .str.replace_all(r"[0-9๐-๙]", "9")
        .str.replace_all(r"[A-Za-z]", "A")
        .str.replace_all(r"[ก-\u0e3aเ-\u0e4e]", "ก")
    )


_DATE_RULES = ("invalid_date", "be_year", "zero_date", "future_date")
_DATE_SHAPE = r"^(0{8}|(18|19|2[0-6])[0-9]{2}[-/.]?[0-9]{2}[-/.]?[0-9]{2})([0-9]{6})?$"


def _rejected_rows(rejected: pl.DataFrame) -> pl.DataFrame:
    """One line per rejected row. Dates of care are shown as sent: they say what is wrong and identify nobody."""
    column = pl.col("_reason").str.split_exact(":", 1)
    frame = rejected.with_columns(
        column.struct.field("field_0").alias("column_name"), column.struct.field("field_1").alias("rule")
    )
    names = frame["column_name"].unique().drop_nulls().to_list()
    value = pl.coalesce(*(pl.when(pl.col("column_name") == n).then(pl.col(n)) for n in names), pl.lit(None, pl.String))
    is_date = pl.col("rule").is_in(_DATE_RULES) & value.str.contains(_DATE_SHAPE)
    return frame.select(
        SLOT,
        pl.col("source_line").cast(pl.Int32),
        "column_name",
        "rule",
        pl.when(is_date).then(value).otherwise(masked(value)).alias("masked_value"),
    )


_FINDING_ORDER = (SLOT, "rule", "column_name", "level", "n_rows")


def _rejections(rejected: pl.DataFrame) -> pl.DataFrame:
    parts = pl.col("_reason").str.split_exact(":", 1)
    return (
        rejected.group_by(SLOT, "_reason")
        .agg(pl.len().cast(pl.Int64).alias("n_rows"))
        .with_columns(
            parts.struct.field("field_0").alias("column_name"),
            parts.struct.field("field_1").alias("rule"),
            pl.lit(str(Level.ROW)).alias("level"),
        )
        .select(_FINDING_ORDER)
    )


def _warnings(landed: pl.DataFrame, finding: _Finding) -> pl.DataFrame:
    return (
        landed.filter(pl.col(finding.alias))
        .group_by(SLOT)
        .agg(pl.len().cast(pl.Int64).alias("n_rows"))
        .with_columns(
            pl.lit(finding.rule).alias("rule"),
            pl.lit(finding.column).alias("column_name"),
            pl.lit(str(Level.WARNING)).alias("level"),
        )
        .select(_FINDING_ORDER)
    )
