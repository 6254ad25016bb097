"""JSON resources to rows of text columns: NDJSON, one resource a line, and Bundles. Whole blocks in DuckDB's SQL."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.feed import Feed, JsonField, Table
from ingestion.paths import ROOT, Path, Shape, elements, first_value, literal, parse
from ingestion.readers import REJECTED, Description, Rows
from ingestion.text import UTF8_BOM

BLOCK_BYTES = 2 << 20
MAX_LINE_BYTES = 16 << 20
"""A resource that is longer is set aside: the tables that are read hold no attachments."""
MAX_BUNDLE_BYTES = 24 << 20
REST_FROM_BYTES = 16 << 20
"""So much read makes it worth the while to begin with a fresh engine."""
MAX_LINES = 5_000
"""Resources that are looked at together: each becomes a row of many columns, however short it is."""
MAX_NAMES = 100
"""Names of unknown fields, or of resource types, that one member may add to its receipt."""
OTHER_NAMES = "(others)"
LAYOUT, ENCODING = "fhir-r4", "utf-8"

_ENGINE: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,
    "memory_limit": "320MB",
    "temp_directory": "",
    "max_temp_directory_size": "0B",
}
"""Nothing of a resource may reach a disk: names and addresses are in there."""

FIELD_NAME = re.compile(r"_?[a-z][A-Za-z]{0,63}")
_Made = TypeVar("_Made")
TYPE_NAME = re.compile(r"[A-Z][A-Za-z]{2,63}")
_BLANKS = "chr(32) || chr(9) || chr(10) || chr(13)"
_COMMON = {"resourceType", "id", "meta", "implicitRules", "language", "text", "contained", "extension"}
_LINES = pa.schema([("source_line", pa.int32()), ("full_id", pa.string()), ("line", pa.large_string())])


@dataclass(frozen=True)
class _Lines:
    """Whole lines, each ended by LF, and the number of the first."""

    text: bytes
    first: int


def _blocks(pieces: Iterator[bytes], limit: int) -> Iterator[_Lines]:
    """Whole lines in blocks; what a line has beyond `limit` bytes is left out, so that memory is bounded."""
    rest, number, is_skipping = b"", 1, False
    for piece in _bounded(pieces):
        if is_skipping:
            end = piece.find(b"\n")
            if end < 0:
                continue
            piece, is_skipping = piece[end:], False
        text = rest + piece
        end = text.rfind(b"\n") + 1
        if end:
            yield _lines(text[:end], number)
            number += text.count(b"\n")
        rest = text[end:]
        if len(rest) > limit:
            rest, is_skipping = rest[: limit + 1], True
    if rest:
        yield _lines(rest + b"\n", number)


def _lines(text: bytes, number: int) -> _Lines:
    return _Lines(text.removeprefix(UTF8_BOM) if number == 1 else text, number)


def _bounded(pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield from (piece[at : at + BLOCK_BYTES] for at in range(0, len(piece), BLOCK_BYTES))


def one_line(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """A JSON document as one line: outside of its strings a line break means nothing, and inside there can be none."""
    begun = False
    for piece in pieces:
        yield (piece if begun else piece.removeprefix(UTF8_BOM)).replace(b"\n", b" ").replace(b"\r", b" ")
        begun = True
    yield b"\n"


def described() -> Description:
    return Description(LAYOUT, encodings={ENCODING})


class _Faults:
    """Rows set aside, by the first reason found."""

    def __init__(self) -> None:
        self._frames = [pl.DataFrame(schema=REJECTED)]

    def add(self, numbers: npt.NDArray[np.int32] | pl.Series, rule: str | pl.Series) -> None:
        rules = pl.Series("rule", [rule] * len(numbers), dtype=pl.String) if isinstance(rule, str) else rule
        self._frames.append(pl.DataFrame({"source_line": numbers, "rule": rules}, schema=REJECTED))

    def numbered(self, last: int) -> pl.DataFrame:
        """`frame`, its rows numbered on from `last` in their order."""
        numbers = pl.int_range(last + 1, last + 1 + pl.len(), dtype=pl.Int32)
        return self.frame().sort("source_line").with_columns(numbers.alias("source_line"))

    def frame(self) -> pl.DataFrame:
        return pl.concat(self._frames)


def _table_of_lines(lines: _Lines, limit: int, faults: _Faults) -> pa.Table:
    """`source_line, full_id, line` of the lines that are UTF-8 and not too long, without a copy where all are."""
    codes = np.frombuffer(lines.text, dtype=np.uint8)
    ends = np.flatnonzero(codes == ord("\n")) + 1
    offsets = np.concatenate(([0], ends)).astype(np.int64)
    numbers = np.arange(lines.first, lines.first + len(ends), dtype=np.int32)
    texts = pa.LargeStringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(lines.text))
    sizes = np.diff(offsets)
    kept = sizes > 1
    too_long = sizes - 1 > limit
    if too_long.any():
        faults.add(numbers[too_long], "line_too_long")
        kept &= ~too_long
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        broken = kept & ~_decodable(lines.text, offsets)
        faults.add(numbers[broken], "undecodable")
        kept &= ~broken
    table = pa.table([numbers, pa.nulls(len(ends), pa.string()), texts], schema=_LINES)
    return table if kept.all() else table.filter(pa.array(kept))


def _sliced(table: pa.Table) -> Iterator[pa.Table]:
    return (table.slice(first, MAX_LINES) for first in range(0, len(table), MAX_LINES))


def _decodable(text: bytes, offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which lines are UTF-8; asked only of a block that is not."""
    return np.array([_is_utf8(text[begin:end]) for begin, end in pairwise(offsets)], dtype=np.bool_)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _connected() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:", config=_ENGINE)
    connection.execute("set enable_external_access = false")
    return connection


class Engine:
    """DuckDB in memory; one serves any number of members, one after another."""

    def __init__(self) -> None:
        self._connection = _connected()
        self._n_bytes = 0

    def rest(self) -> None:
        """Give back the memory that it keeps for the next member, which is a hundred megabytes after a large one."""
        if self._n_bytes > REST_FROM_BYTES:
            self._connection.close()
            self._connection = _connected()
            self._n_bytes = 0

    def parts(self, lines: pa.Table, faults: _Faults, make: Callable[[pa.Table], _Made]) -> Iterator[_Made]:
        """What `make` makes of `lines`, in as many parts as memory demands; a line too large by itself is set aside.

        A line of few bytes may become very large: `[{},{},{},...`.
        """
        self._n_bytes += lines.nbytes
        try:
            made = make(lines)
        except duckdb.OutOfMemoryException:
            if len(lines) <= 1:
                faults.add(pl.Series(lines["source_line"].to_pylist(), dtype=pl.Int32), "line_too_long")
                return
        else:
            yield made
            return
        half = len(lines) // 2
        yield from self.parts(lines.slice(0, half), faults, make)
        yield from self.parts(lines.slice(half), faults, make)

    def frame(self, sql: str, **tables: pa.Table) -> pl.DataFrame:
        return _owned(self.arrow(sql, **tables))

    def arrow(self, sql: str, **tables: pa.Table) -> pa.Table:
        return self._run(sql, tables).to_arrow_table()

    def _run(self, sql: str, tables: dict[str, pa.Table]) -> duckdb.DuckDBPyConnection:
        for name, table in tables.items():
            self._connection.register(name, table)
        return self._connection.execute(sql)

    def objects(self, lines: pa.Table, faults: _Faults) -> pa.Table:
        """Those of `lines` that are JSON objects."""
        checked = self.frame(
            f"""
            select
                source_line,
                case
                    when contains(line, '\\u0000') then 'nul_byte'
                    when ltrim(line, {_BLANKS}) = '' then 'blank'
                    when not json_valid(line) then 'invalid_json'
                    when left(ltrim(line, {_BLANKS}), 1) <> '{{' then 'not_an_object'
                end as rule
            from lines
            """,
            lines=lines,
        )
        bad = checked["rule"].is_not_null()
        if not bad.any():
            return lines
        named = checked.filter(bad & (checked["rule"] != "blank"))
        faults.add(named["source_line"], named["rule"])
        return lines.filter((~bad).to_arrow())


def _owned(table: pa.Table) -> pl.DataFrame:
    """A copy: as long as one column of a result is held, so is all that DuckDB needed to make it."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return pl.DataFrame(pa.ipc.open_stream(sink.getvalue()).read_all())


@dataclass(frozen=True)
class _Reading:
    """How one table is read from its resources."""

    sql: str
    known: frozenset[str]
    counts_fields: bool

    def rows(self, engine: Engine, lines: pa.Table, description: Description, faults: _Faults) -> Rows:
        frame = engine.frame(self.sql, lines=lines)
        bad = frame["_fault"].is_not_null()
        if bad.any():
            faults.add(frame["source_line"].filter(bad), frame["_fault"].filter(bad))
            frame = frame.filter(~bad)
        if self.counts_fields:
            self._count_fields(engine, lines, description)
        return Rows(frame.drop("_fault"), faults.frame())

    def _count_fields(self, engine: Engine, lines: pa.Table, description: Description) -> None:
        known = ", ".join(literal(name) for name in sorted(self.known))
        found = engine.frame(
            f"""
            with key_lists as (
                select keys, count(*) as n from (select json_keys(line) as keys from lines) group by keys
            )

            select key, sum(n)::bigint as n
            from (select unnest(list_distinct(keys)) as key, n from key_lists)
            where ltrim(key, '_') not in ({known})
            group by key
            order by n desc, key
            """,
            lines=lines,
        )
        for name, n in found.head(2 * MAX_NAMES).iter_rows():
            add_name(description.unknown_fields, name, n, FIELD_NAME)


def add_name(counts: dict[str, int], name: str, n: int, shape: re.Pattern[str]) -> None:
    """Count a name that the sender chose: shown only where it has the shape of FHIR's own, and not without end."""
    is_shown = shape.fullmatch(name) and (name in counts or len(counts) < MAX_NAMES)
    shown = name if is_shown else OTHER_NAMES
    counts[shown] = counts.get(shown, 0) + n


def _reading(feed: Feed, name: str) -> _Reading:
    """The SQL that gives `source_line`, a table's columns as text, and `_fault` for the resources in `lines`."""
    table, patterns = feed.tables[name], feed.patterns
    shape = Shape()
    resource = table.of or name
    for leaf in ("resourceType", "id"):
        shape.add(parse(leaf)).leaf(leaf)
    shape.add(parse("modifierExtension[]")).leaf("modifierExtension")
    each = parse(table.each) if table.each else ()
    element = shape.add(each)
    columns = [
        f'{_column(field, each, shape, element, patterns)} as "{column}"' for column, field in table.fields.items()
    ]
    identity = _cleaned('coalesce(full_id, r."id")')
    structure = literal(json.dumps(shape.structure()))
    origin = "parsed"
    if each:
        origin = f"(select source_line, full_id, r, unnest({elements('r', each, patterns)}) as e from parsed)"
    sql = f"""
        with parsed as (select source_line, full_id, json_transform(line, {structure}) as r from lines)
        select
            source_line,
            {", ".join(columns)},
            case
                when r."resourceType" is distinct from {literal(resource)} then 'wrong_resource_type'
                when {identity} is null then 'missing_id'
                when len(r."modifierExtension") > 0 then 'modifier_extension'
            end as _fault
        from {origin}
    """
    known = {*_COMMON, "modifierExtension", *table.known_fields, *_top_level(table)}
    return _Reading(sql, frozenset(known), counts_fields=not table.of)


def _top_level(table: Table) -> Iterator[str]:
    """Fields of the resource in which a path of the table begins."""
    if table.each:
        return iter(())
    return (parse(path)[0].name for field in table.fields.values() for path in field.paths)


def _column(field: JsonField, each: Path, shape: Shape, element: Shape, patterns: dict[str, str]) -> str:
    values = []
    for text in field.paths:
        at_root = not each or text.startswith(ROOT)
        path = parse(text.removeprefix(ROOT))
        (shape if at_root else element).add(path).leaf(text)
        if at_root and text.removeprefix(ROOT) == "id":
            values.append('coalesce(full_id, r."id")')
        else:
            values.append(first_value("r" if at_root else "e", path, patterns))
    value = f"coalesce({', '.join(_cleaned(one) for one in values)})"
    if field.is_reference:
        value = f"regexp_replace(regexp_replace({value}, '/_history/.*$', ''), '^.*[/|:]', '')"
    return value


def _cleaned(value: str) -> str:
    return f"nullif(trim({value}), '')"


def resources(
    engine: Engine, pieces: Iterator[bytes], feed: Feed, name: str, description: Description
) -> Iterator[Rows]:
    """NDJSON of the table `name`."""
    reading = _reading(feed, name)
    description.layout = LAYOUT
    description.encodings.add(ENCODING)

    def read(lines: pa.Table) -> Rows:
        faults = _Faults()
        return reading.rows(engine, engine.objects(lines, faults), description, faults)

    for block in _blocks(pieces, MAX_LINE_BYTES):
        faults = _Faults()
        for lines in _sliced(_table_of_lines(block, MAX_LINE_BYTES, faults)):
            yield from engine.parts(lines, faults, read)
        rejected = faults.frame()
        if not rejected.is_empty():
            yield Rows(pl.DataFrame(schema={"source_line": pl.Int32()}), rejected)


@dataclass(frozen=True)
class Entries:
    """What the Bundles of one member hold: rows by table, what could not be read, and how many of other types."""

    rows: dict[str, Rows]
    rejected: pl.DataFrame


def bundles(
    engine: Engine, pieces: Iterator[bytes], feed: Feed, descriptions: dict[str, Description], others: dict[str, int]
) -> Iterator[Entries]:
    """Bundles, one a line; a line that is another resource is an entry of its own.

    `source_line` is the number of the entry, counted through the member; a line that cannot be read counts as one.
    An entry whose fullUrl is a `urn:uuid:` goes by that id, as the references to it do. `descriptions` (by table) and
    `others` (entries of types that are no table) are filled.
    """
    readings: dict[str, dict[str, _Reading]] = {}
    for name, table in feed.tables.items():
        if table.fields:
            readings.setdefault(table.of or name, {})[name] = _reading(feed, name)

    def read(lines: pa.Table) -> tuple[pa.Table, _Faults]:
        documents = _Faults()
        return _entries(engine, engine.objects(lines, documents)), documents

    last = 0
    for block in _blocks(pieces, MAX_BUNDLE_BYTES):
        documents = _Faults()
        for entries, faults in engine.parts(_table_of_lines(block, MAX_BUNDLE_BYTES, documents), documents, read):
            rejected = faults.numbered(last)
            last += rejected.height
            yield Entries({}, rejected)
            numbers = pa.array(np.arange(last + 1, last + 1 + len(entries), dtype=np.int32))
            last += len(entries)
            for some in _sliced(entries.append_column("source_line", numbers)):
                found: dict[str, Rows] = {}
                for kind in some["kind"].unique().to_pylist():
                    chosen = some.filter(pc.equal(some["kind"], kind)).select(_LINES.names)
                    for name, reading in readings.get(kind, {}).items():
                        found[name] = reading.rows(engine, chosen, descriptions[name], _Faults())
                    if kind not in readings:
                        add_name(others, kind, len(chosen), TYPE_NAME)
                yield Entries(found, pl.DataFrame(schema=REJECTED))
        rejected = documents.numbered(last)
        last += rejected.height
        if not rejected.is_empty():
            yield Entries({}, rejected)


_BUNDLE = literal(json.dumps({"resourceType": "VARCHAR", "entry": [{"fullUrl": "VARCHAR", "resource": "JSON"}]}))


def _entries(engine: Engine, lines: pa.Table) -> pa.Table:
    """`kind, full_id, line` of every entry, in order."""
    entries = engine.arrow(
        f"""
        with parsed as (select source_line, line, json_transform(line, {_BUNDLE}) as r from lines),

        entries as (
            select source_line, generate_subscripts(r.entry, 1) as position, unnest(r.entry) as entry
            from parsed
            where r."resourceType" = 'Bundle'
            union all
            select source_line, 1, {{'fullUrl': null, 'resource': line}}
            from parsed
            where r."resourceType" is distinct from 'Bundle'
        )

        select
            coalesce(json_extract_string(entry.resource, '$.resourceType'), '') as kind,
            case
                when starts_with(entry."fullUrl", 'urn:') then regexp_replace(entry."fullUrl", '^.*:', '')
            end as full_id,
            coalesce(entry.resource, '{{}}')::varchar as line
        from entries
        order by source_line, position
        """,
        lines=lines,
    )
    schema = pa.schema([("kind", pa.string()), ("full_id", pa.string()), ("line", pa.large_string())])
    return entries.cast(schema)
