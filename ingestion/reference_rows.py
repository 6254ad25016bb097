"""Lines of a reference table to checked rows, as the table's contract says.

The contracts lie in `contracts/reference/`, the rules that they count in `rules/reference.yml`. A line is set aside
only when its key or its name is missing, or when it has another number of cells than the header; every other defect
is repaired or emptied, and counted. A `strict` column is neither: a line whose value breaks its rules is set aside.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Annotated, Literal

import polars as pl
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ingestion.checks import ReferenceRule
from ingestion.delivery import BUDDHIST_ERA_FROM
from ingestion.text import UTF8_BOM, to_utf8
from ruam.errors import UsageError
from ruam.geography import province_names, region_names
from ruam.settings import PROJECT

CONTRACTS = Path(__file__).with_name("contracts") / "reference"
RULES = Path(__file__).with_name("rules") / "reference.yml"
TERMINOLOGY = PROJECT / "seeds" / "terminology"

SEPARATORS = ",|\t;"
SHOWN_LINES = 20
"""How many lines a finding names."""

_NOTHING = ("", "NULL", r"\N")
"""What database exports write for no value."""

_BREAKS = frozenset(
    [
        *("not_numeric", "out_of_range", "invalid_code", "unknown_code", "missing_code", "zero_date", "invalid_date"),
        *("disagrees", "unknown_area", "too_early"),
    ]
)
"""Rules that a value of a strict column must not meet; the others are repairs."""

_YES, _NO = ("1", "y", "yes", "true"), ("0", "n", "no", "false")


class ReferenceType(StrEnum):
    TEXT = "text"
    CODE = "code"
    INTEGER = "integer"
    DECIMAL = "decimal"
    DATE = "date"
    FLAG = "flag"


_DTYPES: dict[ReferenceType, pl.DataType] = {
    ReferenceType.TEXT: pl.String(),
    ReferenceType.CODE: pl.String(),
    ReferenceType.INTEGER: pl.Int32(),
    ReferenceType.DECIMAL: pl.Float64(),
    ReferenceType.DATE: pl.Date(),
    ReferenceType.FLAG: pl.Boolean(),
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Mark(_Strict):
    """A note inside a text that is evidence: taken out of it, and kept in a boolean column of its own."""

    pattern: str
    column: str
    rule: str


class ReferenceColumn(_Strict):
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    aliases: list[str] = []
    type: ReferenceType
    needed: bool = False
    """The file is refused without the column."""
    required: bool = False
    """A line without a value is set aside."""
    strict: bool = False
    """A line whose value breaks a rule is set aside; otherwise the value is emptied or kept."""
    digits: int | None = None
    """Width of a code of digits; lost leading zeros are put back up to it."""
    pattern: str | None = None
    """Form of a code that is not `digits` wide."""
    otherwise: str | None = None
    """What stands for a code that is missing or not of its form; nothing when it is not given."""
    codes: str | None = None
    """A file of `seeds/terminology` whose first column lists the codes."""
    upper: bool = False
    ends_with: str | None = None
    """A column whose value this one must end in."""
    told_by: str | None = None
    """A column whose `codes` file tells, in the column of this one's name, what must stand here."""
    is_area: bool = False
    """TH, R and a health region, or P and a province."""
    not_before: str | None = None
    """A column whose date this one must not precede."""
    at_least: float | None = None
    above: float | None = None
    counted: dict[str, str] = {}
    """Values that deserve a count, each with its rule."""
    mark: Mark | None = None
    drop: Literal["address", "free_text", "unused", "repeats_a_code"] | None = None
    """Why the column is checked but not kept."""
    label_th: str
    description: str

    @property
    def form(self) -> str | None:
        return self.pattern or (f"^[0-9]{{{self.digits}}}$" if self.digits else None)


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class ReferenceContract(_Strict):
    """One reference table."""

    table: str
    label_th: str
    description: str
    key: Annotated[list[str], BeforeValidator(_as_list)]
    """The columns that tell a row from others, one or several."""
    columns: list[ReferenceColumn]

    @model_validator(mode="after")
    def _names_agree(self) -> ReferenceContract:
        names = [name for column in self.columns for name in (column.name, *column.aliases)]
        if len(set(names)) != len(names):
            raise ValueError(f"{self.table}: a column or alias stands twice")
        for name in self.key:
            key = self.by_name.get(name)
            if key is None or key.drop or not (key.needed and key.required):
                raise ValueError(f"{self.table}: the key must be a column that is needed, required and kept")
        for option in ("ends_with", "told_by", "not_before"):
            unknown = [other for column in self.columns if (other := getattr(column, option)) not in (None, *names)]
            if unknown:
                raise ValueError(f"{self.table}: {option} names no column: {unknown[0]}")
        return self

    @property
    def by_name(self) -> dict[str, ReferenceColumn]:
        return {column.name: column for column in self.columns}

    @property
    def kept(self) -> dict[str, pl.DataType]:
        """What is kept of the table: columns in the contract's order, then the evidence taken out of texts."""
        kept = {column.name: _DTYPES[column.type] for column in self.columns if not column.drop}
        return kept | {column.mark.column: pl.Boolean() for column in self.columns if column.mark}


@cache
def load_reference_contracts(folder: Path = CONTRACTS) -> dict[str, ReferenceContract]:
    """All contracts of reference tables by table.

    Raises `ValueError` naming the YAML file when one does not fit the schema.
    """
    contracts = {}
    for path in sorted(folder.glob("*.yml")):
        try:
            contracts[path.stem] = ReferenceContract.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    return contracts


@cache
def load_reference_rules() -> dict[str, ReferenceRule]:
    """The rules of reference tables by code."""
    rules = [ReferenceRule.model_validate(item) for item in yaml.safe_load(RULES.read_text(encoding="utf-8"))]
    return {rule.code: rule for rule in rules}


@cache
def _known_codes(file: str) -> frozenset[str]:
    with (TERMINOLOGY / file).open(encoding="utf-8", newline="") as handle:
        rows = csv.reader(handle)
        next(rows)
        return frozenset(row[0] for row in rows)


@cache
def _told(file: str, column: str) -> dict[str, str]:
    """What a list of codes says of each code in another column."""
    with (TERMINOLOGY / file).open(encoding="utf-8", newline="") as handle:
        return {next(iter(row.values())): row[column] for row in csv.DictReader(handle)}


@cache
def _areas() -> frozenset[str]:
    return frozenset(["TH", *(f"R{code}" for code in region_names()), *(f"P{code}" for code in province_names())])


class Finding(_Strict):
    """How many lines one rule met in one column; `lines` names the first of them."""

    column: str
    rule: str
    n_rows: int
    lines: list[int]

    @property
    def sentence(self) -> str:
        return f"{self.n_rows:,} in {self.column}: {load_reference_rules()[self.rule].en} [{self.rule}]"


class SetAside(_Strict):
    """A line that was rejected; `value` is the code it bore, or the value that a strict column refuses, as sent."""

    line: int
    column: str
    rule: str
    value: str | None

    @property
    def sentence(self) -> str:
        rule = load_reference_rules()[self.rule]
        # What a warning says behind the semicolon is what else becomes of the value.
        why = rule.en if rule.level == "row" else f"{rule.en.split(';')[0].rstrip('.')}; the line was set aside."
        return f"Line {self.line}: {self.column} {self.value!r}: {why} [{self.rule}]"


@dataclass(frozen=True)
class CheckedTable:
    """`frame` has the contract's `kept` columns, one row per key, sorted by key.

    `n_rows` lines came; `n_replaced` of them bore a key that a later line bears too.
    """

    frame: pl.DataFrame
    n_rows: int
    n_replaced: int
    encoding: str
    separator: str
    findings: list[Finding]
    set_aside: list[SetAside]
    missing_columns: list[str]
    unknown_columns: list[str]


@dataclass
class _Cells:
    """Rows of a delimited text with the header's number of cells, the line each begins at, and the others."""

    names: list[str]
    encoding: str
    separator: str
    rows: list[list[str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    joined: list[int] = field(default_factory=list)
    wrong: list[tuple[int, list[str]]] = field(default_factory=list)


def check_table(content: bytes, contract: ReferenceContract) -> CheckedTable:
    """Read the text of a reference table: a header, then lines separated by comma, pipe, tab or semicolon.

    UTF-8 (with or without BOM) or cp874; values may stand in quotes. Raises `UsageError` when it is no such text, has
    no header, or lacks a needed column, and `UndecodableError` when it is of another encoding.
    """
    cells = _read(content, contract)
    raw = pl.DataFrame(cells.rows, schema=[f"{n}" for n in range(len(cells.names))], orient="row").cast(pl.String)
    absent = [column.name for column in contract.columns if column.name not in cells.names]
    frame = raw.select(
        pl.Series("line", cells.lines, dtype=pl.Int64),
        *(pl.col(f"{at}").alias(name) for at, name in enumerate(cells.names) if name in contract.by_name),
        *(pl.lit(None, pl.String).alias(name) for name in absent),
    )
    checker = _TableChecker(contract)
    frame, rejected = checker.check(frame)
    kept = frame.unique(contract.key, keep="last").sort(contract.key)
    duplicates = frame.filter(~pl.col("line").is_in(kept["line"].implode()))
    wrong = [
        SetAside(line=line, column="", rule="wrong_columns", value=row[0] if row else None) for line, row in cells.wrong
    ]
    findings = [*checker.findings, _finding(", ".join(contract.key), "duplicate_key", duplicates["line"])]
    findings.append(_finding("", "joined_lines", pl.Series(cells.joined, dtype=pl.Int64)))
    set_aside = sorted([*wrong, *rejected], key=lambda one: one.line)
    n_rows = len(cells.rows) + len(wrong)
    if n_rows != kept.height + duplicates.height + len(set_aside):
        raise RuntimeError(
            f"{contract.table}: {n_rows} lines came, {kept.height} stay, {len(set_aside)} were set aside"
        )
    return CheckedTable(
        frame=kept.select(*contract.kept),
        n_rows=n_rows,
        n_replaced=duplicates.height,
        encoding=cells.encoding,
        separator=cells.separator,
        findings=[finding for finding in findings if finding.n_rows],
        set_aside=set_aside,
        missing_columns=absent,
        unknown_columns=[name for name in cells.names if name and name not in contract.by_name],
    )


def _finding(column: str, rule: str, lines: pl.Series) -> Finding:
    return Finding(column=column, rule=rule, n_rows=len(lines), lines=lines.sort().head(SHOWN_LINES).to_list())


def _read(content: bytes, contract: ReferenceContract) -> _Cells:
    encoded, encoding = to_utf8(content.removeprefix(UTF8_BOM))
    text = encoded.decode("utf-8").replace("\0", "")
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(SEPARATORS, key=first.count)
    try:
        rows = list(_split(text, separator, csv.QUOTE_MINIMAL))
    except csv.Error as error:
        if separator in ",;":
            raise UsageError(f"{error}. A quote opened there is not closed, or text follows it.") from error
        # Exports with pipes or tabs seldom quote: there a quote is a letter like any other.
        rows = list(_split(text, separator, csv.QUOTE_NONE))
    if not rows:
        raise UsageError("It is empty: no header was found.")
    cells = _Cells(_names(rows[0][1], contract), encoding, separator)
    _sort_lines(rows[1:], cells, contract)
    return cells


def _split(text: str, separator: str, quoting: Literal[0, 3]) -> Iterator[tuple[int, list[str]]]:
    """Rows with the number of the line each begins at, blank lines left out. Raises `csv.Error` naming the line."""
    reader = csv.reader(StringIO(text, newline=""), delimiter=separator, quoting=quoting, strict=True)
    begun = 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield begun, row
            begun = reader.line_num + 1
    except csv.Error as error:
        raise csv.Error(f"Line {begun} cannot be read: {error}") from error


def _names(header: list[str], contract: ReferenceContract) -> list[str]:
    """The contract's name for each cell of the header, else the cell itself in lower case."""
    aliases = {alias: column.name for column in contract.columns for alias in column.aliases}
    sent = [name.strip(' \t"\ufeff').lower() for name in header]
    names = [name if aliases.get(name) in (None, *sent) else aliases[name] for name in sent]
    twice = {name for name in names if name in contract.by_name and names.count(name) > 1}
    if twice:
        raise UsageError(f"Column {', '.join(sorted(twice))} stands twice in the header.")
    missing = [column.name for column in contract.columns if column.needed and column.name not in names]
    if missing:
        raise UsageError(f"Column {', '.join(missing)} is missing; the file has {', '.join(names)}.")
    return names


def _sort_lines(rows: list[tuple[int, list[str]]], cells: _Cells, contract: ReferenceContract) -> None:
    """Sort rows by their number of cells; a row that a line break without quotes cut apart is joined again.

    Parts are joined only when they give the whole number of cells, the first begins with a code, and the others do not.
    """
    width = len(cells.names)
    digits = contract.by_name[contract.key[0]].digits if [cells.names[0]] == contract.key else None
    open_parts: list[tuple[int, list[str]]] = []

    def begins_row(row: list[str]) -> bool:
        return digits is not None and row[0].strip().isdecimal() and len(row[0].strip()) <= digits

    for line, row in rows:
        joined = sum(len(part) - 1 for _, part in open_parts) + len(row)
        if open_parts and not begins_row(row) and joined <= width:
            open_parts.append((line, row))
            if joined == width:
                cells.rows.append(_glued([part for _, part in open_parts]))
                cells.lines.append(open_parts[0][0])
                cells.joined.append(open_parts[0][0])
                open_parts = []
            continue
        cells.wrong += open_parts
        open_parts = []
        if len(row) == width:
            cells.rows.append(row)
            cells.lines.append(line)
        elif len(row) < width and begins_row(row):
            open_parts = [(line, row)]
        else:
            cells.wrong.append((line, row))
    cells.wrong += open_parts


def _glued(parts: list[list[str]]) -> list[str]:
    whole = list(parts[0])
    for part in parts[1:]:
        whole[-1] += "\n" + part[0]
        whole += part[1:]
    return whole


class _TableChecker:
    """Turns columns of text into typed ones, a whole table at a time, and counts what it met."""

    def __init__(self, contract: ReferenceContract) -> None:
        self._contract = contract
        self.findings: list[Finding] = []
        self._masks: dict[tuple[str, str], pl.Expr] = {}
        self._broken: dict[int, tuple[str, str]] = {}
        """By line, the first strict column whose value broke a rule, and the rule."""

    def check(self, raw: pl.DataFrame) -> tuple[pl.DataFrame, list[SetAside]]:
        """The rows that stay, typed, with `line`; and those set aside. `raw` has all the contract's columns as text."""
        sent = raw
        for column in self._contract.columns:
            raw = self._met(raw.with_columns(**self._cleaned(column)))
        for column in self._contract.columns:
            raw = self._met(raw.with_columns(**self._typed(column)))
        return self._settled(raw, sent)

    def _met(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Turn masks asked for since the last call into findings."""
        masks = {key: pl.col(f"!{key[0]}:{key[1]}") for key in self._masks}
        for (column, rule), mask in masks.items():
            lines = frame.filter(mask)["line"]
            if self._contract.by_name[column].strict and rule in _BREAKS:
                self._broken = dict.fromkeys(lines, (column, rule)) | self._broken
            else:
                self.findings.append(_finding(column, rule, lines))
        self._masks.clear()
        return frame.drop(f"!{column}:{rule}" for column, rule in masks)

    def _cleaned(self, column: ReferenceColumn) -> dict[str, pl.Expr]:
        """Line breaks and superfluous blanks out, nothing as null."""
        sent = pl.col(column.name)
        flat = sent.str.replace_all(r"[\r\n\t]+", " ")
        clean = flat.str.replace_all(r"[\s\u{a0}\u{200b}\u{feff}]+", " ").str.strip_chars(" ")
        return {
            column.name: pl.when(~clean.is_in(_NOTHING)).then(clean),
            **self._mask(column, "line_break", flat != sent),
            **self._mask(column, "blanks", (flat != clean) & (clean != "")),
        }

    def _mask(self, column: ReferenceColumn, rule: str, mask: pl.Expr) -> dict[str, pl.Expr]:
        self._masks[column.name, rule] = mask
        return {f"!{column.name}:{rule}": mask.fill_null(value=False)}

    def _typed(self, column: ReferenceColumn) -> dict[str, pl.Expr]:
        match column.type:
            case ReferenceType.CODE:
                return self._code(column)
            case ReferenceType.INTEGER | ReferenceType.DECIMAL:
                return self._number(column)
            case ReferenceType.DATE:
                return self._date(column)
            case ReferenceType.FLAG:
                lower = pl.col(column.name).str.to_lowercase()
                odd = ~lower.is_in([*_YES, *_NO])
                return {
                    column.name: lower.is_in(_YES).fill_null(value=False),
                    **self._mask(column, "invalid_code", odd),
                }
            case ReferenceType.TEXT:
                return self._text(column)

    def _text(self, column: ReferenceColumn) -> dict[str, pl.Expr]:
        if column.mark is None:
            return {}
        text = pl.col(column.name)
        marked = text.str.contains(column.mark.pattern)
        bare = text.str.replace_all(column.mark.pattern, " ").str.replace_all(" +", " ").str.strip_chars(" ")
        return {
            column.name: pl.when(bare != "").then(bare).otherwise(text),
            column.mark.column: marked.fill_null(value=False),
            **self._mask(column, column.mark.rule, marked),
        }

    def _code(self, column: ReferenceColumn) -> dict[str, pl.Expr]:
        text = pl.col(column.name).str.to_uppercase() if column.upper else pl.col(column.name)
        value = text
        masks: dict[str, pl.Expr] = {}
        if column.digits:
            lost = text.str.contains("^[0-9]+$") & (text.str.len_bytes() < column.digits)
            value = pl.when(lost).then(text.str.zfill(column.digits)).otherwise(text)
            masks |= self._mask(column, "lost_zeros", lost)
        is_key = [column.name] == self._contract.key
        if column.form and not is_key:
            fits = value.str.contains(column.form)
            masks |= self._mask(column, "invalid_code", ~fits)
            if column.otherwise is not None:
                masks |= self._mask(column, "missing_code", value.is_null())
            value = pl.when(fits).then(value).otherwise(pl.lit(column.otherwise, pl.String))
        if column.codes:
            masks |= self._mask(column, "unknown_code", ~value.is_in(_known_codes(column.codes)))
        if column.told_by:
            file = self._contract.by_name[column.told_by].codes
            told = pl.col(column.told_by).replace_strict(_told(str(file), column.name), default=None)
            masks |= self._mask(column, "disagrees", value != told)
        if column.is_area:
            masks |= self._mask(column, "unknown_area", ~value.is_in(_areas()))
        if column.ends_with:
            # Columns are typed in the contract's order, so that the other has its zeros back.
            masks |= self._mask(column, "code9_mismatch", ~value.str.ends_with(pl.col(column.ends_with)))
        for counted, rule in column.counted.items():
            masks |= self._mask(column, rule, value == counted)
        return {column.name: value, **masks}

    def _number(self, column: ReferenceColumn) -> dict[str, pl.Expr]:
        text = pl.col(column.name)
        number = text.str.replace_all(",", "").cast(pl.Float64, strict=False)
        number = pl.when(number.is_finite()).then(number)
        low = pl.lit(value=False)
        if column.at_least is not None:
            low = number < column.at_least
        if column.above is not None:
            low = low | (number <= column.above)
        return {
            column.name: pl.when(~low).then(number).cast(_DTYPES[column.type], strict=False),
            **self._mask(column, "not_numeric", text.is_not_null() & number.is_null()),
            **self._mask(column, "out_of_range", low),
        }

    def _date(self, column: ReferenceColumn) -> dict[str, pl.Expr]:
        """A date of either era, as `YYYY-MM-DD` (also with slashes, dots or a time after it) or `YYYYMMDD`."""
        text = pl.col(column.name)
        parts = text.str.extract_groups(r"^([0-9]{4})[-/.]?([0-9]{2})[-/.]?([0-9]{2})(?:[ T].*)?$")
        year, month, day = (parts.struct.field(str(n)) for n in (1, 2, 3))
        buddhist = year.cast(pl.Int32) >= BUDDHIST_ERA_FROM
        common = pl.when(buddhist).then(year.cast(pl.Int32) - 543).otherwise(year.cast(pl.Int32)).cast(pl.String)
        value = (common.str.zfill(4) + month + day).str.to_date("%Y%m%d", strict=False)
        zero = text.str.contains(r"^[0 :/.T-]*0[0 :/.T-]*$")
        early = value < pl.col(column.not_before) if column.not_before else pl.lit(value=False)
        return {
            column.name: value,
            **self._mask(column, "too_early", early),
            **self._mask(column, "be_year", buddhist & value.is_not_null()),
            **self._mask(column, "zero_date", zero),
            **self._mask(column, "invalid_date", text.is_not_null() & value.is_null() & ~zero),
        }

    def _settled(self, frame: pl.DataFrame, sent: pl.DataFrame) -> tuple[pl.DataFrame, list[SetAside]]:
        first = self._contract.by_name[self._contract.key[0]]
        reasons = [
            pl.col("line").replace_strict(
                {line: f"{column}:{rule}" for line, (column, rule) in self._broken.items()},
                default=None,
                return_dtype=pl.String,
            )
        ]
        for name in self._contract.key:
            key = self._contract.by_name[name]
            reasons.append(pl.when(pl.col(name).is_null()).then(pl.lit(f"{name}:missing_key")))
            if key.form:
                reasons.append(pl.when(~pl.col(name).str.contains(key.form)).then(pl.lit(f"{name}:invalid_key")))
        reasons += [
            pl.when(pl.col(column.name).is_null()).then(pl.lit(f"{column.name}:missing_required"))
            for column in self._contract.columns
            if column.required and column.name not in self._contract.key
        ]
        frame = frame.with_columns(_reason=pl.coalesce(*reasons), _at=pl.int_range(pl.len()))
        rejected = [
            SetAside(
                line=line,
                column=reason.split(":")[0],
                rule=reason.split(":")[1],
                value=sent[at, self._broken[line][0] if line in self._broken else first.name],
            )
            for line, reason, at in frame.filter(pl.col("_reason").is_not_null())
            .select("line", "_reason", "_at")
            .iter_rows()
        ]
        kept = frame.filter(pl.col("_reason").is_null())
        if len(self._contract.key) == 1:
            falls = kept[first.name] < kept[first.name].shift(1)
            self.findings.append(
                _finding(first.name, "out_of_order", kept.filter(falls.fill_null(value=False))["line"])
            )
        return kept, rejected
