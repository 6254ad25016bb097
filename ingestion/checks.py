"""Rows of text to typed, checked and pseudonymised rows, a whole frame at a time.

A row is set aside only when it cannot be told apart (key), placed in time (event date) or ascribed to its sender.
Everything else is kept: the value that cannot be read is emptied and the row flagged (spec: behaviour of rows).
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
import yaml
from pydantic import BaseModel, ConfigDict, Field

from identity.cid import UNUSABLE, normalise
from identity.pseudonym import Pseudonymiser
from ingestion.contract import Column, ColumnType, Contract, Landing
from ingestion.delivery import BUDDHIST_ERA_FROM
from ruam.settings import PROJECT

RULES = Path(__file__).with_name("rules") / "f43.yml"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
CODE_VALUES = PROJECT / "seeds" / "terminology" / "code_values.csv"
RIGHT_GROUPS = PROJECT / "seeds" / "terminology" / "right_groups.csv"

FACILITY_COLUMNS = frozenset({"MAIN", "SUB", "HSUB", "REFERINHOSP", "REFEROUTHOSP", "HOSP_DESTINATION"})
"""Columns that name another facility by its 5-digit code."""

NAME_COLUMNS = frozenset({"NAME", "LNAME"})

LOCAL_NUMBERS = frozenset({"PID", "MPID", "PID_IN", "PROVIDER"})
"""Numbers that a facility gives itself, where some programs put the citizen number instead."""

OWN_NUMBER = "CID"
"""The number of the person whom a row is about."""

CID_DIGITS = 13

FLAG = "flag:"
"""Begins the name of a column that says which rows break a warning rule of a feed's own: `flag:<column>:<rule>`."""

STAMP = "D_UPDATE"
"""When a row was last changed, which decides what stands."""

VAULT = "vault:"
"""Begins the names of columns of landed rows that go to the vault and never to the landing."""

SLOT, SENDER, NOT_AFTER = "_slot", "_sender", "_not_after"
"""Columns that the caller adds to the raw rows: where a row is counted, its sender's HOSPCODE, the last believable
date."""

_ALWAYS = pl.lit(value=True)
"""Gate of a rule that was found broken already."""

_EARLIEST_YEAR = 1850
_MOJIBAKE = "(เ[ธน].){2,}|à¸|à¹|\ufffd"
"""UTF-8 Thai read as cp874 (every letter becomes เธ. or เน.) or as Latin-1, or already lost."""


class Level(StrEnum):
    DELIVERY = "delivery"
    ROW = "row"
    WARNING = "warning"
    NOTE = "note"
    """Of something beside the rows, such as a field that no table knows."""


class Axis(StrEnum):
    """The ministry's four axes of data quality (ความถูกต้อง, ความสอดคล้อง, ความครบถ้วน, ความทันเวลา)."""

    CORRECT = "correct"
    CONSISTENT = "consistent"
    COMPLETE = "complete"
    TIMELY = "timely"


class Severity(StrEnum):
    """High: identity, link or date; medium: how a row is grouped; low: a detail."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Promise(BaseModel):
    """What holds of every landed row because a rule set the others aside; the landing's checkpoint asks it.

    `never` is SQL over the `{column}` it is put to (the key's, the event's date, the HOSPCODE);
    without it the column is filled. `gate` is the one that stays shut when it does not hold (`ruam/gates.yml`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    of: Literal["key", "event_date", "hospcode"]
    gate: str
    never: str = ""


class ReferenceRule(BaseModel):
    """What can be wrong with a line of a reference table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    level: Literal["row", "warning"]
    th: str
    en: str
    fix: str


class Rule(BaseModel):
    """What reading a delivery can find. `applies` says in words to what it is put."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    level: Literal["delivery", "row", "warning", "note", "both"]
    axis: Axis
    severity: Severity
    applies: str
    th: str
    en: str
    fix_th: str
    fix_en: str
    landed: Promise | None = None


@cache
def load_rules() -> dict[str, Rule]:
    """The rule catalogue by code."""
    told = yaml.load(RULES.read_text(encoding="utf-8"), _LOADER)  # noqa: S506 - the safe loader, in C
    return {rule.code: rule for rule in map(Rule.model_validate, told)}


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


Count = tuple[int, str, str, str, int]
"""Slot, rule, column, level and number of rows."""


@dataclass(frozen=True)
class Checked:
    """`landed`: the contract's landing columns, `source_line`, `row_flags`, `_slot`, and what the vault gets (`VAULT`).

    `rejected`: `_slot, source_line, column_name, rule, masked_value`.
    `findings`: how often each rule was broken; rejected rows count under their first reason.
    """

    landed: pl.DataFrame
    rejected: pl.DataFrame
    findings: list[Count]


@dataclass(frozen=True)
class _Value:
    """How a column is parsed. `quick` is right unless `doubt`, one boolean of the whole column, then `thorough` is."""

    column: str
    quick: pl.Expr
    doubt: pl.Expr | None = None
    thorough: pl.Expr = field(default_factory=lambda: pl.lit(None))

    @property
    def alias(self) -> str:
        return f"={self.column}"


@dataclass(frozen=True)
class _Finding:
    """A rule over one column.

    `gate` tells cheaply, for a whole frame, whether the rule may be broken at all: a boolean of the frame, or what each
    distinct value must be. Only then is `mask` computed (of a rule over values: the bad ones are looked for).
    """

    column: str
    rule: str
    gate: pl.Expr | Callable[[str], bool]
    mask: pl.Expr
    rejects: bool = False

    @property
    def alias(self) -> str:
        return f"!{self.column}:{self.rule}"

    @property
    def asked(self) -> pl.Expr:
        """What `may_be_broken` must know of the frame, as one value."""
        return (self.gate if isinstance(self.gate, pl.Expr) else self.mask.unique().implode()).alias(self.alias)

    def may_be_broken(self, answer: Any) -> _Finding | None:
        """The finding with the mask of its rows, or None when no row can break it."""
        if isinstance(self.gate, pl.Expr):
            return self if answer else None
        bad = [value for value in answer if value is not None and not self.gate(value)]
        return replace(self, mask=self.mask.is_in(bad)) if bad else None


@dataclass(frozen=True)
class _Plan:
    """What is to be done with frames of one set of columns; made once, used for every frame of that shape.

    Its expressions are made once too: a small frame costs little more than their making.
    """

    values: list[_Value]
    findings: list[_Finding]
    landing: list[pl.Expr]

    @cached_property
    def quick(self) -> list[pl.Expr]:
        return [value.quick.alias(value.alias) for value in self.values]

    @cached_property
    def doubts(self) -> list[pl.Expr]:
        """Whether a column must be parsed the thorough way, each as one boolean."""
        return [one.doubt.fill_null(value=True).alias(f"?{one.column}") for one in self.values if one.doubt is not None]

    @cached_property
    def thorough(self) -> list[pl.Expr]:
        """The thorough way for each of `doubts`."""
        return [one.thorough.alias(one.alias) for one in self.values if one.doubt is not None]

    @cached_property
    def gates(self) -> list[pl.Expr]:
        return [finding.asked for finding in self.findings]


class Checker:
    """Checks the rows of one file of the standard.

    `hospcodes` are all codes of the facility registry; rows must be of one of `allowed`, or of the sender when it is
    None.
    """

    def __init__(
        self,
        contract: Contract,
        hospcodes: frozenset[str],
        pseudonymiser: Pseudonymiser,
        allowed: frozenset[str] | None = None,
    ) -> None:
        self.contract = contract
        self._hospcodes = hospcodes
        self._allowed = allowed
        self._pseudonymiser = pseudonymiser
        self._plans: dict[tuple[str, ...], _Plan] = {}

    def check(self, raw: pl.DataFrame) -> Checked:
        """`raw` has one text column per column that was sent, `source_line`, and the three columns of the caller."""
        if absent := self._absent(raw):
            raw = raw.with_columns(pl.lit(None, pl.String).alias(name) for name in absent)
        sent = tuple(name for name in self.contract.by_name if name in raw.columns)
        raw, identities = self._pseudonymised(raw, sent)
        if sent not in self._plans:
            self._plans[sent] = self._plan([self.contract.by_name[name] for name in sent])
        plan = self._plans[sent]
        frame, broken = _parsed(raw, plan)
        return _settled(frame, [*broken, *identities, *_flagged(raw)], plan.landing)

    def _absent(self, raw: pl.DataFrame) -> list[str]:
        """Columns without which a row cannot be told apart or placed in time, and that were not sent."""
        needed = [*self.contract.key, *([self.contract.event_date] if self.contract.event_date else [])]
        return [name for name in dict.fromkeys(needed) if name not in raw.columns]

    def _plan(self, sent: list[Column]) -> _Plan:
        return _Plan(
            values=[_value_of(column) for column in sent],
            findings=[*self._row_findings(sent), *self._value_findings(sent)],
            landing=[*self._landing_columns(names := {column.name for column in sent}), *self._vault_columns(names)],
        )

    def _pseudonymised(self, raw: pl.DataFrame, sent: tuple[str, ...]) -> tuple[pl.DataFrame, list[_Finding]]:
        """Put pseudonyms beside the citizen numbers, and in place of a facility's own number that is one."""
        findings = []
        for name in sent:
            if self.contract.by_name[name].landing is Landing.PSEUDONYM:
                made = self._pseudonymiser.columns(raw[name], name.lower(), **_beside(raw, name))
                raw = raw.hstack(made)
                classes = set(made[f"{name.lower()}_class"].unique())
                findings += [
                    _Finding(name, rule, _ALWAYS, pl.col(f"{name.lower()}_class") == rule)
                    for rule in UNUSABLE
                    if rule in classes
                ]
        for name in LOCAL_NUMBERS & set(sent):
            if (raw[name].str.len_bytes().max() or 0) >= CID_DIGITS:  # type: ignore[operator]
                replaced = self._pseudonymiser.local_numbers(raw[name])
                if replaced.null_count() < raw.height:
                    flag = f"_{name}_is_cid"
                    raw = raw.with_columns(
                        pl.coalesce(replaced, pl.col(name)).alias(name), replaced.is_not_null().alias(flag)
                    )
                    findings.append(_Finding(name, "is_cid", _ALWAYS, pl.col(flag)))
        return raw, findings

    def _row_findings(self, sent: list[Column]) -> Iterator[_Finding]:
        """Reasons to set a row aside, the most telling first."""
        hospcode = pl.col("=HOSPCODE")
        for name in self.contract.key:
            yield _Finding(name, "missing_key", pl.col(name).null_count() > 0, pl.col(name).is_null(), rejects=True)
        yield _Finding("HOSPCODE", "unknown_hospcode", self._hospcodes.__contains__, hospcode, rejects=True)
        if self._allowed is None:
            foreign = hospcode != pl.col(SENDER)
            yield _Finding("HOSPCODE", "hospcode_not_sender", foreign.any(), foreign, rejects=True)
        else:
            yield _Finding("HOSPCODE", "hospcode_not_in_region", self._allowed.__contains__, hospcode, rejects=True)
        decisive = [*dict.fromkeys([*self.contract.key, self.contract.event_date])]
        for column in sent:
            if column.name in decisive and column.type in (ColumnType.DATE, ColumnType.DATETIME):
                if column.name not in self.contract.key:
                    yield _missing(column, rejects=True)
                yield from _date_faults(column, rejects=True)
                if column.name == self.contract.event_date:
                    yield _future(column, rejects=True)

    def _value_findings(self, sent: list[Column]) -> Iterator[_Finding]:
        decisive = {*self.contract.key, self.contract.event_date}
        for column in sent:
            name, text = column.name, pl.col(column.name)
            if column.required and name not in decisive:
                yield _missing(column)
            if column.type in (ColumnType.DATE, ColumnType.DATETIME):
                if name not in decisive:
                    yield from _date_faults(column)
                if column.landing is Landing.MONTH or (name == STAMP and name not in decisive):
                    yield _future(column)
            elif column.type in (ColumnType.INTEGER, ColumnType.DECIMAL):
                yield _Finding(name, "not_numeric", _any_unread(column), _unread(column))
            elif column.type is ColumnType.TIME:
                yield _Finding(name, "invalid_time", _any_unread(column), _unread(column))
            elif column.type is ColumnType.JSON:
                invalid = text.is_not_null() & text.str.json_path_match("$").is_null()
                yield _Finding(name, "invalid_json", invalid.any(), invalid)
            elif column.width is not None:
                too_long = text.str.len_chars() > column.width
                yield _Finding(name, "too_long", text.str.len_bytes().max() > column.width, too_long)
            if column.codes:
                yield _Finding(name, "unknown_code", code_values()[column.codes].__contains__, text)
            if name == "INSTYPE":
                yield _Finding(name, "unknown_code", is_right, text)
            if name in FACILITY_COLUMNS:
                yield _Finding(name, "unknown_facility", self._hospcodes.__contains__, text)
            if name in NAME_COLUMNS:
                mojibake = text.str.contains(_MOJIBAKE)
                yield _Finding(name, "mojibake", mojibake.any(), mojibake)
            if name == "HOSPCODE":
                padded = text != pl.col("=HOSPCODE")
                yield _Finding(name, "zero_padded", padded.any(), padded)

    def _landing_columns(self, sent: set[str]) -> Iterator[pl.Expr]:
        """Every landing column of the contract, sent or not."""
        for column in self.contract.columns:
            for name, dtype in landing_columns(column).items():
                if column.name not in sent:
                    value = pl.lit(None, dtype)
                elif column.landing is Landing.PSEUDONYM:
                    value = pl.col(name)
                elif column.landing is Landing.MONTH:
                    value = pl.col(f"={column.name}").cast(pl.Date).dt.month_start()
                elif column.name == STAMP:
                    # A time to come would outrank every correction for good.
                    value = pl.col(f"={STAMP}")
                    value = pl.when(value.dt.date() <= pl.col(NOT_AFTER)).then(value)
                else:
                    value = pl.col(f"={column.name}")
                yield value.alias(name)

    def _vault_columns(self, sent: set[str]) -> Iterator[pl.Expr]:
        """What the vault is to have of a row: `VAULT` columns, and the linkage pseudonym of each number."""
        for column in self.contract.columns:
            name = f"{VAULT}{column.name.lower()}"
            if column.landing is Landing.PSEUDONYM:
                made = pl.col(f"{column.name.lower()}_p1") if column.name in sent else pl.lit(None, pl.String)
                yield made.alias(f"{name}_p1")
            if not column.vault:
                continue
            if column.name not in sent:
                yield pl.lit(None, _DTYPES[column.type]).alias(name)
            elif column.landing is Landing.PSEUDONYM:
                yield normalise(pl.col(column.name)).alias(name)
            else:
                yield pl.col(f"={column.name}").alias(name)


def _beside(raw: pl.DataFrame, name: str) -> dict[str, pl.Series]:
    """What rows tell that may make their citizen number unusable. The nationality is that of the row's own person."""
    told = {"facilities": "HOSPCODE"} | ({"nations": "NATION", "labors": "LABOR"} if name == OWN_NUMBER else {})
    return {key: raw[column] for key, column in told.items() if column in raw.columns}


@cache
def is_right(code: str) -> bool:
    """Whether an INSTYPE code exists."""
    return len(code) == 4 and any(first <= code <= last for first, last in right_ranges())


def _parsed(raw: pl.DataFrame, plan: _Plan) -> tuple[pl.DataFrame, list[_Finding]]:
    """`raw` with the typed value of each column beside it (`=<column>`), and the rules that may be broken in it."""
    frame = raw.with_columns(plan.quick)
    answers = frame.select(*plan.doubts, *plan.gates).row(0)
    doubts, answers = answers[: len(plan.doubts)], answers[len(plan.doubts) :]
    if any(doubts):
        frame = frame.with_columns(way for way, doubt in zip(plan.thorough, doubts, strict=True) if doubt)
        answers = frame.select(plan.gates).row(0)
    broken = (finding.may_be_broken(answer) for finding, answer in zip(plan.findings, answers, strict=True))
    return frame, [finding for finding in broken if finding]


def _settled(frame: pl.DataFrame, findings: list[_Finding], landing: list[pl.Expr]) -> Checked:
    """Sort the rows by what was found."""
    rejecting = [finding for finding in findings if finding.rejects]
    flagging = [finding for finding in findings if not finding.rejects]
    reason = pl.coalesce(
        *(pl.when(f.mask).then(pl.lit(f"{f.column}:{f.rule}")) for f in rejecting), pl.lit(None, pl.String)
    )
    masks = [finding.mask.fill_null(value=False).alias(finding.alias) for finding in flagging]
    frame = frame.with_columns(*masks, reason.alias("_reason"))
    landed = frame.select(*landing, pl.col("source_line").cast(pl.Int32), SLOT)
    landed.insert_column(-1, _row_flags(frame, flagging))
    is_sound = frame["_reason"].is_null()
    if is_sound.all():
        return Checked(landed, _NO_REJECTS, list(_warnings(frame[SLOT], [(f, frame[f.alias]) for f in flagging])))
    rejected = frame.filter(~is_sound)
    return Checked(
        landed=landed.filter(is_sound),
        rejected=_rejected_rows(rejected),
        findings=[
            *_rejections(rejected),
            *_warnings(frame[SLOT], [(f, frame[f.alias] & is_sound) for f in flagging]),
        ],
    )


def _row_flags(frame: pl.DataFrame, flagging: list[_Finding]) -> pl.Series:
    """`<column>:<rule>` of every rule that a row breaks, joined by `;`, null when there is none: of most rows."""
    flags = pl.Series("row_flags", [None], dtype=pl.String).new_from_index(0, frame.height)
    if not flagging:
        return flags
    masks = frame[[finding.alias for finding in flagging]]
    is_flagged = masks.select(pl.any_horizontal(pl.all())).to_series()
    told = pl.concat_str(
        *(pl.when(pl.col(f.alias)).then(pl.lit(f"{f.column.lower()}:{f.rule}")) for f in flagging),
        separator=";",
        ignore_nulls=True,
    )
    return flags.scatter(is_flagged.arg_true(), masks.filter(is_flagged).select(told).to_series())


def _flagged(raw: pl.DataFrame) -> Iterator[_Finding]:
    """What a feed's mapping found (`FLAG`)."""
    for name in raw.columns:
        if name.startswith(FLAG) and raw[name].any():
            column, rule = name.removeprefix(FLAG).split(":")
            yield _Finding(column, rule, _ALWAYS, pl.col(name))


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


def _value_of(column: Column) -> _Value:
    """The typed value, null where the text is none of that type."""
    name, text = column.name, pl.col(column.name)
    match column.type:
        case ColumnType.DATE:
            quick = text.str.to_date("%Y%m%d", strict=False)
            thorough = _believable(_of_length(text, 8).str.to_date("%Y%m%d", strict=False))
            return _Value(name, quick, _is_doubtful(column, 8), thorough)
        case ColumnType.DATETIME:
            full = _of_length(text, 8, 10, 12, 14).str.pad_end(14, "0")
            return _Value(name, _moment(text), _is_doubtful(column, 14), _believable(_moment(full)))
        case ColumnType.INTEGER:
            whole = text.cast(pl.Int64, strict=False)
            rounded = _number(text).cast(pl.Float64, strict=False).round().cast(pl.Int64, strict=False)
            return _Value(name, whole, _any_unread(column), pl.coalesce(whole, rounded))
        case ColumnType.DECIMAL:
            decimal = pl.Decimal(18, 4)
            thorough = _number(text).cast(decimal, strict=False)
            return _Value(name, text.cast(decimal, strict=False), _any_unread(column), thorough)
        case ColumnType.TIME:
            full = pl.when(text.str.len_bytes() == 5).then("0" + text).otherwise(text.str.zfill(4)).str.pad_end(6, "0")
            thorough = pl.when(full.str.contains(_CLOCK)).then(full)
            return _Value(name, text, ~text.str.contains(_CLOCK).all(), thorough)
        case _ if name == "HOSPCODE":
            padded = text.str.zfill(5)
            thorough = pl.when(padded == pl.col(SENDER)).then(padded).otherwise(text)
            return _Value(name, text, (text != pl.col(SENDER)).any(), thorough)
        case _:
            return _Value(name, text)


_CLOCK = r"^([01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]$"


def _moment(text: pl.Expr) -> pl.Expr:
    """`YYYYMMDDHHMMSS` to a time, null when it is none; by arithmetic, which is eight times as fast as a parser."""
    return text.cast(pl.Int64, strict=False).map_batches(_moments, return_dtype=pl.Datetime("us"))


def _moments(stamps: pl.Series) -> pl.Series:
    number = stamps.fill_null(0).to_numpy()
    day = number // 1_000_000
    clock = (number - day * 1_000_000).astype(np.int32)
    day = np.where((day > 0) & (day < 100_000_000), day, 0).astype(np.int32)
    year, minutes = day // 10_000, clock // 100
    month, hour = day // 100 - year * 100, minutes // 100
    of_month, minute, second = day - day // 100 * 100, minutes - hour * 100, clock - minutes * 100
    right = (month > 0) & (month < 13) & (of_month > 0) & (hour < 24) & (minute < 60) & (second < 60)
    months = np.where(right, (year - 1970) * 12 + month - 1, 0)
    first = _FIRST_DAYS[months + _BEFORE_1970]
    right &= of_month <= _FIRST_DAYS[months + _BEFORE_1970 + 1] - first
    seconds = (first + of_month - 1).astype(np.int64) * 86_400 + (hour * 3600 + minute * 60 + second)
    return pl.Series(seconds * 1_000_000).set(pl.Series(~right), None).cast(pl.Datetime("us"))


_BEFORE_1970 = 1970 * 12
_FIRST_DAYS = np.arange(-_BEFORE_1970, 8031 * 12).astype("datetime64[M]").astype("datetime64[D]").astype(np.int32)
"""The first day of each month of the years 0 to 10000, in days since 1970."""


def _unread(column: Column) -> pl.Expr:
    return pl.col(column.name).is_not_null() & pl.col(f"={column.name}").is_null()


def _any_unread(column: Column) -> pl.Expr:
    """Whether a text is there that gave no value: the typed column then has more nulls."""
    return pl.col(f"={column.name}").null_count() > pl.col(column.name).null_count()


def _is_doubtful(column: Column, length: int) -> pl.Expr:
    """Whether the quick way may have read a date wrong: it takes a lone digit for a day or month, skips blanks, and
    knows any year."""
    text, value = pl.col(column.name), pl.col(f"={column.name}")
    n = text.str.len_bytes()
    is_short_or_long = (n.min() != length) | (n.max() != length)
    is_no_number = text.cast(pl.Int64, strict=False).null_count() > text.null_count()
    is_unbelievable = (value.min().dt.year() < _EARLIEST_YEAR) | (value.max().dt.year() >= BUDDHIST_ERA_FROM)
    return pl.any_horizontal(is_short_or_long, is_no_number, _any_unread(column), is_unbelievable).fill_null(
        value=False
    )


def _missing(column: Column, *, rejects: bool = False) -> _Finding:
    text = pl.col(column.name)
    return _Finding(column.name, "missing_required", text.null_count() > 0, text.is_null(), rejects)


def _future(column: Column, *, rejects: bool = False) -> _Finding:
    day = pl.col(f"={column.name}").cast(pl.Date)
    return _Finding(column.name, "future_date", day.max() > pl.col(NOT_AFTER).min(), day > pl.col(NOT_AFTER), rejects)


def _of_length(text: pl.Expr, *lengths: int) -> pl.Expr:
    """Null unless digits of such a length."""
    return pl.when(text.str.len_bytes().is_in(lengths) & text.str.contains("^[0-9]+$")).then(text)


def _number(text: pl.Expr) -> pl.Expr:
    """Some exporters put commas between thousands; where one stands elsewhere, nobody knows what it means."""
    in_thousands = text.str.contains(r"^[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?$")
    return pl.when(in_thousands).then(text.str.replace_all(",", "", literal=True)).otherwise(text)


def _believable(value: pl.Expr) -> pl.Expr:
    return pl.when(value.dt.year().is_between(_EARLIEST_YEAR, BUDDHIST_ERA_FROM - 1)).then(value)


def _date_faults(column: Column, *, rejects: bool = False) -> Iterator[_Finding]:
    """What is wrong with a date that could not be read; exactly one of the three."""
    # Of the other rows nothing is left to look at.
    text = pl.when(_unread(column)).then(pl.col(column.name))
    zero = text.str.contains("^0+$")
    buddhist = text.str.slice(0, 4).is_between(pl.lit(str(BUDDHIST_ERA_FROM)), pl.lit("2699")) & (
        text.str.contains("^[0-9]{8}")
    )
    masks = {"be_year": buddhist, "zero_date": zero, "invalid_date": text.is_not_null() & ~buddhist & ~zero}
    for rule, mask in masks.items():
        yield _Finding(column.name, rule, _any_unread(column), mask, rejects)


def masked(value: pl.Expr) -> pl.Expr:
    """The shape of a value, at most 40 characters: 9 for a digit, ก for a Thai letter, A for a letter of any other."""
    return (
        value.str.slice(0, 40)
        .str.replace_all(r"\p{N}", "9")
        .str.replace_all(r"[ก-\u0e3aเ-\u0e4e]", "ก")
        .str.replace_all(r"[\p{L}\p{M}&&[^ก]]", "A")
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


_NO_REJECTS = pl.DataFrame(
    schema={
        SLOT: pl.Int32,
        "source_line": pl.Int32,
        "column_name": pl.String,
        "rule": pl.String,
        "masked_value": pl.String,
    }
)


def _rejections(rejected: pl.DataFrame) -> Iterator[Count]:
    for slot, reason, n in rejected.group_by(SLOT, "_reason").len().iter_rows():
        column, _, rule = reason.partition(":")
        yield slot, rule, column, Level.ROW, n


def _warnings(slots: pl.Series, broken: list[tuple[_Finding, pl.Series]]) -> Iterator[Count]:
    """Count what is broken, each by the mask of its rows."""
    for finding, mask in broken:
        for slot, n in tally(slots.filter(mask)):
            yield slot, finding.rule, finding.column, Level.WARNING, n


def tally(slots: pl.Series) -> Iterator[tuple[int, int]]:
    """Each slot that occurs, and how often."""
    counts = np.bincount(slots.to_numpy())
    found = np.flatnonzero(counts)
    return zip(found.tolist(), counts[found].tolist(), strict=True)
