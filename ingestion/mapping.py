"""Rows of a feed's tables to rows of the standard's files: joins, conditions, value maps, forms; whole frames only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl

from identity.pseudonym import Pseudonymiser
from ingestion.checks import FLAG
from ingestion.feed import ColumnSource, Condition, Feed, Form, Route
from ingestion.readers import REJECTED

LINE = "source_line"
THAI_TIME = "Asia/Bangkok"

_ISO = r"^[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?(T[0-9:.]+)?(Z|[+-][0-9]{2}:[0-9]{2})?$"
_OFFSET = r"T.*(Z|[+-][0-9]{2}:[0-9]{2})$"


@dataclass
class Lookups:
    """Tables of one delivery that others join, each unique by its key."""

    _frames: dict[tuple[str, tuple[str, ...]], pl.DataFrame] = field(default_factory=dict)

    def add(self, table: str, wanted: dict[tuple[str, ...], list[str]], rows: list[pl.DataFrame]) -> None:
        """Keep of `rows` (of `table`) what `Feed.looked_up` wants. A row without a key joins nothing."""
        for key, columns in wanted.items():
            names = list(dict.fromkeys([*key, *columns]))
            frame = pl.concat(
                [pl.DataFrame(schema=dict.fromkeys(names, pl.String)), *(with_columns(one, names) for one in rows)]
            )
            frame = frame.drop_nulls(list(key)).unique(list(key), keep="last")
            self._frames[table, key] = frame.rename({name: f"{table}.{name}" for name in names})

    def join(self, rows: pl.DataFrame, route: Route) -> pl.DataFrame:
        """`rows` with the columns of every table that the route looks up, as many rows in the same order."""
        for table, keys in route.lookups.items():
            other = self._frames[table, tuple(keys)]
            rows = rows.join(
                other,
                left_on=[pl.coalesce(names) for names in keys.values()],
                right_on=[f"{table}.{key}" for key in keys],
                how="left",
                coalesce=False,
                maintain_order="left",
            )
        return rows


def with_columns(rows: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """Exactly these columns; one that was not sent is empty."""
    missing = [name for name in names if name not in rows.columns]
    return rows.with_columns(pl.lit(None, pl.String).alias(name) for name in missing).select(names)


@dataclass(frozen=True)
class Routed:
    """Rows of one file of the standard: its columns as text, and `source_line`."""

    file: str
    frame: pl.DataFrame


@dataclass
class Mapped:
    """What rows of a table became: `rejected` holds `source_line, rule`, `n_left` counts what no route takes."""

    files: list[Routed]
    rejected: pl.DataFrame
    n_left: int


def routed(
    feed: Feed, table: str, rows: pl.DataFrame, lookups: Lookups, sender: str, pseudonymiser: Pseudonymiser
) -> Mapped:
    """Send rows of `table` (its columns as text, and `source_line`) along its routes."""
    rows = with_columns(rows, feed.tables[table].columns).hstack([rows[LINE]])
    files = []
    rejected = [pl.DataFrame(schema=REJECTED)]
    remaining = rows
    for route in feed.routes:
        if route.table == table:
            joined = lookups.join(rows if route.also else remaining, route)
            holds = joined.select(_holds(route.where).alias("holds"))["holds"]
            taken = joined.filter(holds)
            if not route.also:
                remaining = joined.filter(~holds).select(rows.columns)
            if route.reject:
                rejected.append(taken.select(pl.col(LINE).cast(pl.Int32), pl.lit(route.reject).alias("rule")))
            elif not taken.is_empty():
                files.append(Routed(route.file, _mapped(feed, route, taken, sender, pseudonymiser)))
    return Mapped(files, pl.concat(rejected), remaining.height)


def _holds(conditions: list[Condition]) -> pl.Expr:
    return pl.all_horizontal(pl.lit(value=True), *(_test(condition) for condition in conditions))


def _test(condition: Condition) -> pl.Expr:
    column = pl.col(condition.column)
    if condition.empty is not None:
        return column.is_null() if condition.empty else column.is_not_null()
    if condition.is_ is not None:
        return column.is_in(condition.is_).fill_null(value=False)
    return ~column.is_in(condition.is_not or []).fill_null(value=False)


def _mapped(feed: Feed, route: Route, rows: pl.DataFrame, sender: str, pseudonymiser: Pseudonymiser) -> pl.DataFrame:
    frame = rows.select(
        *(_value(source, feed, sender).alias(name) for name, source in route.columns.items()), pl.col(LINE)
    )
    flags = [
        flag.alias(f"{FLAG}{name}:{rule}")
        for name, source in route.columns.items()
        for rule, flag in _flags(source, feed, sender)
    ]
    frame = frame.hstack(rows.select(flags)) if flags else frame
    for name, source in route.columns.items():
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
    return value.replace(feed.maps[source.map]) if source.map else value


def _case(case: ColumnSource, feed: Feed, sender: str) -> pl.Expr:
    value = _value(case, feed, sender)
    return pl.when(_holds(case.where)).then(value) if case.where else value


def _flags(source: ColumnSource, feed: Feed, sender: str) -> Iterator[tuple[str, pl.Expr]]:
    """For each case that flags: its rule, and whether a row's value comes from it."""
    for place, case in enumerate(source.cases):
        if case.flag:
            earlier = [_case(one, feed, sender).is_null() for one in source.cases[:place]]
            yield case.flag, pl.all_horizontal(_case(case, feed, sender).is_not_null(), *earlier)


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
