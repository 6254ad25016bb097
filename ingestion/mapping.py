"""Rows of a feed's tables to rows of the standard's files: joins, conditions, value maps, forms; whole frames only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import and_
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from identity.pseudonym import Pseudonymiser
from ingestion.checks import FLAG, STAMP
from ingestion.contract import CORRECTIONS, load_contracts
from ingestion.corrections import OWN_CODES
from ingestion.feed import ColumnSource, Condition, Feed, Form, Route
from ingestion.readers import REJECTED
from ingestion.spool import HASH, N_BUCKETS, Buckets

LINE = "source_line"
THAI_TIME = "Asia/Bangkok"

_ISO = r"^[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?(T[0-9:.]+)?(Z|[+-][0-9]{2}:[0-9]{2})?$"
_OFFSET = r"T.*(Z|[+-][0-9]{2}:[0-9]{2})$"


LOOKUP_BYTES = 4 << 20
"""Of a table that is looked up by one key; there are up to a dozen."""
JOINED_BYTES = 8 << 20
"""Of rows that wait to be joined with such a table when it did not stay in memory."""


@dataclass(frozen=True)
class _Step:
    """One join of a table: the table looked up, its key, and the columns that must be equal to it.

    Columns of the result are named `<number>:TABLE.COLUMN`: two routes may look one table up by different columns.
    """

    number: int
    table: str
    key: tuple[str, ...]
    by: tuple[tuple[str, ...], ...]

    def named(self, column: str) -> str:
        return f"{self.number}:{self.table}.{column}"


@dataclass(frozen=True)
class Plan:
    """What the rows of one table need on their way: `columns` of their own, and joins."""

    columns: list[str]
    steps: list[_Step]
    views: list[dict[str, str]]
    """For each of the feed's routes the joined columns by the names that the route knows them by."""


def plan(feed: Feed, table: str) -> Plan:
    """Each join that a route of `table` asks for, once."""
    steps: dict[tuple[str, tuple[str, ...], tuple[tuple[str, ...], ...]], _Step] = {}
    views: list[dict[str, str]] = []
    used: set[str] = set()
    for route in feed.routes:
        names: dict[str, str] = {}
        views.append(names)
        if route.table != table:
            continue
        for other, keys in route.lookups.items():
            by = tuple(tuple(names.get(own, own) for own in owns) for owns in keys.values())
            step = steps.setdefault((other, tuple(keys), by), _Step(len(steps), other, tuple(keys), by))
            used.update(own for owns in keys.values() for own in owns)
            columns = [*step.key, *feed.looked_up(other)[step.key]]
            names |= {f"{other}.{name}": step.named(name) for name in columns}
        used.update(condition.column for condition in route.where)
        used.update(name for source in route.columns.values() for name in source.sources)
    return Plan([name for name in feed.tables[table].columns if name in used], list(steps.values()), views)


class Lookups:
    """Tables of one delivery that others join, each unique by its key; what is too much for memory goes to `spill`."""

    def __init__(self, feed: Feed, spill: Path) -> None:
        self._feed = feed
        self._spill = spill
        self._tables: dict[tuple[str, tuple[str, ...]], _Lookup] = {}
        self.sent: set[str] = set()
        """Columns (`TABLE.COLUMN`) that the delivery has."""
        for table in feed.tables:
            for key, columns in feed.looked_up(table).items():
                names = list(dict.fromkeys([*key, *columns]))
                self._tables[table, key] = _Lookup(key, names, spill)

    def add(self, table: str, rows: pl.DataFrame) -> None:
        """Keep of `rows` (of `table`) what routes take from it. A row without a key joins nothing."""
        for key in self._feed.looked_up(table):
            lookup = self._tables[table, key]
            self.sent |= {f"{table}.{name}" for name in lookup.names if name in rows.columns}
            lookup.add(rows)

    def join(self, blocks: Iterator[pl.DataFrame], steps: list[_Step]) -> Iterator[pl.DataFrame]:
        """The rows of all blocks with the columns of every step. Their order is kept while all fits into memory."""
        for step in steps:
            blocks = self._tables[step.table, step.key].join(blocks, step, self._spill)
        return blocks


class _Lookup:
    """Rows of one table by one key."""

    def __init__(self, key: tuple[str, ...], names: list[str], spill: Path) -> None:
        self.names = names
        self._key = list(key)
        self._rows = Buckets(spill, LOOKUP_BYTES)
        self._index: _Index | None = None

    def add(self, rows: pl.DataFrame) -> None:
        rows = _one_for_each(with_columns(rows, self.names).drop_nulls(self._key), self._key)
        self._rows.add(rows.with_columns(_hash([pl.col(name) for name in self._key])))

    def join(self, blocks: Iterator[pl.DataFrame], step: _Step, spill: Path) -> Iterator[pl.DataFrame]:
        """Each side is divided by the hash of the key where one side is too large: a bucket joins its like alone."""
        by = [pl.coalesce(names) for names in step.by]
        if not self._rows.are_divided:
            self._index = self._index or self._indexed(iter(self._rows.taken()))
            for block in blocks:
                yield self._index.join(block, by, step)
            return
        waiting = Buckets(spill, JOINED_BYTES)
        for block in blocks:
            waiting.add(block.with_columns(_hash(by)))
        for number in range(N_BUCKETS):
            index = None
            for block in waiting.bucket(number):
                index = index or self._indexed(self._rows.bucket(number))
                yield index.join(block.drop(HASH), by, step)

    def _indexed(self, rows: Iterator[pl.DataFrame]) -> _Index:
        empty = pl.DataFrame(schema=dict.fromkeys(self.names, pl.String) | {HASH: pl.UInt64()})
        frame = pl.concat([empty, *rows])
        unique = _one_for_each(frame.drop(HASH), self._key).with_columns(_hash([pl.col(name) for name in self._key]))
        ordered = unique.sort(HASH)
        return _Index(ordered[HASH].to_numpy(), ordered.drop(HASH), self._key)


def _hash(key: list[pl.Expr]) -> pl.Expr:
    """One number for equal keys, whatever frame they stand in; another for most others."""
    one, *more = (part.hash(seed) for seed, part in enumerate(key))
    for other in more:
        one ^= other
    return one.alias(HASH)


@dataclass(frozen=True)
class _Index:
    """Rows in the order of their hashes: each look costs little, whatever their number."""

    hashes: npt.NDArray[np.uint64]
    frame: pl.DataFrame
    key: list[str]

    def join(self, rows: pl.DataFrame, by: list[pl.Expr], step: _Step) -> pl.DataFrame:
        """`rows` with the columns of the row that has their key, empty where none has."""
        theirs = self.frame.rename(step.named)
        keys = [step.named(name) for name in self.key]
        if len(self.hashes) < 1 or (self.hashes[1:] == self.hashes[:-1]).any():
            # Two keys of one hash: once in a thousand years, and right all the same.
            return rows.join(theirs, left_on=by, right_on=keys, how="left", coalesce=False, maintain_order="left")
        wanted = rows.select(part.alias(name) for part, name in zip(by, keys, strict=True))
        hashes = wanted.select(_hash([pl.col(name) for name in keys]))[HASH].to_numpy()
        places = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        found = theirs[places]
        is_same = reduce(and_, (found[name] == wanted[name] for name in keys)).fill_null(value=False)
        return rows.hstack(found.select(pl.when(is_same).then(pl.all()).name.keep()))


def gathered(blocks: Iterator[pl.DataFrame], n_rows: int) -> Iterator[pl.DataFrame]:
    """The same rows in blocks of at least `n_rows`, but for the last: much costs as much for one row as for many."""
    waiting: list[pl.DataFrame] = []
    for block in blocks:
        waiting.append(block)
        if sum(one.height for one in waiting) >= n_rows:
            yield pl.concat(waiting)
            waiting = []
    if waiting:
        yield pl.concat(waiting)


def _one_for_each(rows: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """One row for each key; where several have it, what they do not agree on is empty."""
    rows = rows.unique()
    repeated = rows.select(pl.struct(key).is_duplicated()).to_series()
    agreed = rows.filter(repeated).group_by(key).agg(pl.when(pl.all().n_unique() == 1).then(pl.all().first()))
    return pl.concat([rows.filter(~repeated), agreed.select(rows.columns)])


def with_columns(rows: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """Exactly these columns; one that was not sent is empty."""
    return rows.with_columns(pl.lit(None, pl.String).alias(name) for name in names if name not in rows.columns).select(
        names
    )


@dataclass(frozen=True)
class Routed:
    """Rows of one file of the standard: its columns as text, and `source_line`."""

    file: str
    frame: pl.DataFrame


@dataclass(frozen=True)
class Mapped:
    """What rows of a table became: `rejected` holds `source_line, rule`, `n_left` counts what no route takes."""

    files: list[Routed]
    rejected: pl.DataFrame
    n_left: int


def routed(
    feed: Feed,
    way: Plan,
    table: str,
    rows: pl.DataFrame,
    sent: set[str],
    sender: str,
    pseudonymiser: Pseudonymiser,
) -> Mapped:
    """Send rows of `table` (the columns of `way`, joined, and `source_line`) along its routes.

    A column of the standard that none of the columns that were `sent` can fill is not among the results' columns.
    """
    files = []
    rejected = [pl.DataFrame(schema=REJECTED)]
    remaining = rows
    for route, view in zip(feed.routes, way.views, strict=True):
        if route.table == table:
            source = rows if route.also else remaining
            joined = source.select(*way.columns, LINE, *(pl.col(name).alias(known) for known, name in view.items()))
            holds = joined.select(_holds(route.where).alias("holds"))["holds"]
            taken = joined.filter(holds)
            if not route.also:
                remaining = remaining.filter(~holds)
            if route.reject:
                rejected.append(taken.select(pl.col(LINE).cast(pl.Int32), pl.lit(route.reject).alias("rule")))
            elif not taken.is_empty():
                frame = _mapped(feed, route, taken, sent, sender, pseudonymiser)
                files.append(requests(route.file, frame) if route.withdraw else Routed(route.file, frame))
    return Mapped(files, pl.concat(rejected), remaining.height)


def requests(file: str, rows: pl.DataFrame) -> Routed:
    """Rows of `file` as requests to withdraw the rows that have their keys (docs/decisions/0009-withdrawals.md)."""
    key = [name for name in load_contracts()[file].key if name not in OWN_CODES]
    filled = with_columns(rows, [*key, "HOSPCODE", STAMP, LINE])
    named = pl.struct(key).struct.json_encode().alias(CORRECTIONS)
    return Routed(CORRECTIONS, filled.select("HOSPCODE", pl.lit(file).alias("TABLENAME"), named, STAMP, LINE))


def _holds(conditions: list[Condition]) -> pl.Expr:
    return pl.all_horizontal(pl.lit(value=True), *(_test(condition) for condition in conditions))


def _test(condition: Condition) -> pl.Expr:
    column = pl.col(condition.column)
    if condition.empty is not None:
        return column.is_null() if condition.empty else column.is_not_null()
    values = [value.upper() for value in condition.is_ or condition.is_not or []]
    is_one = column.str.to_uppercase().is_in(values).fill_null(value=False)
    return is_one if condition.is_ is not None else ~is_one


def _mapped(
    feed: Feed, route: Route, rows: pl.DataFrame, sent: set[str], sender: str, pseudonymiser: Pseudonymiser
) -> pl.DataFrame:
    columns = {
        name: source
        for name, source in route.columns.items()
        if source.sender or source.value is not None or not sent.isdisjoint(source.sources)
    }
    flags = (
        flag.alias(f"{FLAG}{name}:{rule}")
        for name, source in columns.items()
        for rule, flag in _flags(source, feed, sender)
    )
    values = (_value(source, feed, sender).alias(name) for name, source in columns.items())
    frame = rows.select(*values, *flags, pl.col(LINE))
    for name, source in columns.items():
        if source.form is Form.LOCAL_NUMBER:
            frame = frame.with_columns(pseudonymiser.stand_ins(frame[name]).alias(name))
    return frame


def _value(source: ColumnSource, feed: Feed, sender: str) -> pl.Expr:
    value: pl.Expr
    if source.cases:
        value = pl.coalesce(_case(case, feed, sender) for case in source.cases)
    elif source.join:
        pairs = zip(source.join, source.widths, strict=True)
        joined = pl.concat_str(*(pl.col(name).str.zfill(width).fill_null("") for name, width in pairs))
        value = pl.when(pl.col(source.join[0]).is_not_null()).then(joined)
    elif source.value is not None:
        value = pl.lit(source.value)
    else:
        origins = [pl.col(name) for name in source.first]
        value = pl.coalesce(*origins, *([pl.lit(sender)] if source.sender else []))
    if source.form:
        value = _formed(value, source.form)
    return _mapped_value(value, feed.maps[source.map]) if source.map else value


def _case(case: ColumnSource, feed: Feed, sender: str) -> pl.Expr:
    value = _value(case, feed, sender)
    return pl.when(_holds(case.where)).then(value) if case.where else value


def _flags(source: ColumnSource, feed: Feed, sender: str) -> Iterator[tuple[str, pl.Expr]]:
    """For each case that flags: its rule, and whether a row's value comes from it."""
    for place, case in enumerate(source.cases):
        if case.flag:
            earlier = [_case(one, feed, sender).is_null() for one in source.cases[:place]]
            yield case.flag, pl.all_horizontal(_case(case, feed, sender).is_not_null(), *earlier)


def _mapped_value(value: pl.Expr, values: dict[str, str | None]) -> pl.Expr:
    left = pl.Series([name.upper() for name in values], dtype=pl.String)
    right = pl.Series(list(values.values()), dtype=pl.String)
    return value.str.to_uppercase().replace_strict(left, right, default=value, return_dtype=pl.String)


def _formed(text: pl.Expr, form: Form) -> pl.Expr:
    match form:
        case Form.DATE:
            return _thai_time(text).str.slice(0, 8)
        case Form.DATETIME:
            return _thai_time(text)
        case Form.TIME:
            clock = _thai_time(text).str.slice(8)
            return pl.when(clock.str.len_bytes() > 0).then(clock)
        case Form.LOCAL_NUMBER:
            return text


def _thai_time(text: pl.Expr) -> pl.Expr:
    """ISO 8601 to the digits of the standard; what is none of it is kept, and the date rules say what is wrong.

    A month or day that is not given is the first (the standard's own way with birth dates).
    """
    zoned = text.str.to_datetime("%+", time_zone="UTC", strict=False).dt.convert_time_zone(THAI_TIME)
    plain = text.str.replace(r"\.[0-9]+$", "").str.replace_all("[-:T]", "")
    day = plain.str.slice(0, 8)
    padded = (
        day
        + pl.when(day.str.len_bytes() == 4)
        .then(pl.lit("0101"))
        .when(day.str.len_bytes() == 6)
        .then(pl.lit("01"))
        .otherwise(pl.lit(""))
        + plain.str.slice(8)
    )
    return (
        pl.when(text.str.contains(_OFFSET))
        .then(pl.coalesce(zoned.dt.strftime("%Y%m%d%H%M%S"), text))
        .when(text.str.contains(_ISO))
        .then(padded)
        .otherwise(text)
    )
