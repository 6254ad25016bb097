"""dBase III and IV, FoxPro and Visual FoxPro tables to columns of text, whole blocks of records at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import numpy.typing as npt
import polars as pl

from ingestion.text import UndecodableError, to_utf8

Pieces = Callable[[], Iterator[bytes]]
"""Begins to read the member anew: its length is only known at its end."""

DAMAGED = "damaged_dbf"
BLOCK_BYTES = 2 << 20
"""Records that are looked at together."""

_PROLOGUE, _DESCRIPTOR, _NAME = 32, 32, 11
_END_OF_HEADER, _END_OF_FILE, _LIVE, _DELETED = 0x0D, 0x1A, 0x20, 0x2A
_VERSIONS = frozenset({0x02, 0x03, 0x30, 0x31, 0x32, 0x43, 0x63, 0x83, 0x8B, 0xCB, 0xF5, 0xFB})
_VISUAL_FOXPRO = frozenset({0x30, 0x31, 0x32})
_TEXT_TYPES = frozenset("CDFLN")
_BINARY_WIDTHS = {"B": 8, "I": 4, "T": 8, "Y": 8}
"""Types of Visual FoxPro that are not written as text: double, integer, time, currency."""

_SEPARATOR = 0x1F
_JULIAN_DAY_OF_1970 = 2_440_588
_DAY_MS = 86_400_000
_MOST_DAYS = 700_000
"""Before or after 1970: what lies further off is no time, and the formatter of times cannot write all of it."""

Bytes = npt.NDArray[np.uint8]


class DamagedDbfError(ValueError):
    """Not such a table, or its header and its length do not fit each other."""


@dataclass(frozen=True)
class DbfColumn:
    name: str
    type: str
    offset: int
    width: int


@dataclass(frozen=True)
class DbfHeader:
    n_records: int
    n_bytes: int
    record_bytes: int
    columns: list[DbfColumn]


@dataclass(frozen=True)
class Records:
    """`frame`: the columns asked for that can be read, as text (empty is null), and `source_line`: the header is
    line 1, the first record line 2.

    `rejected`: `source_line, rule`. `n_deleted` records were marked as deleted.
    """

    frame: pl.DataFrame
    rejected: pl.DataFrame
    n_deleted: int
    encoding: str


def read_header(pieces: Pieces) -> DbfHeader:
    """The header, and that the member is as long as it says.

    Raises `DamagedDbfError`; its second argument is the number of whole records that are there.
    """
    head, size, stream = b"", 0, pieces()
    for piece in stream:
        size += len(piece)
        head += piece
        if len(head) >= _PROLOGUE and len(head) >= _header_bytes(head):
            break
    header = _parsed(head)
    end = header.n_bytes + header.n_records * header.record_bytes
    after = head[end : end + 1]
    for piece in stream:
        if size <= end < size + len(piece):
            after = piece[end - size : end - size + 1]
        size += len(piece)
    n_there = (size - header.n_bytes) // header.record_bytes
    if size < end:
        raise DamagedDbfError(f"{header.n_records} records are announced and {n_there} are there", n_there)
    if after not in (b"", b"\0", bytes([_END_OF_FILE])):
        raise DamagedDbfError(f"more than the {header.n_records} records announced are there", n_there)
    return header


def _header_bytes(head: bytes) -> int:
    return int.from_bytes(head[8:10], "little")


def _parsed(head: bytes) -> DbfHeader:
    n_bytes, record_bytes = _header_bytes(head), int.from_bytes(head[10:12], "little")
    if len(head) < max(n_bytes, _PROLOGUE) or head[0] not in _VERSIONS:
        raise DamagedDbfError("no header of a dBase or FoxPro table", 0)
    head = head[: max(n_bytes, _PROLOGUE)]  # What follows is there or not by how the file was read.
    is_visual = head[0] in _VISUAL_FOXPRO
    columns: list[DbfColumn] = []
    at, offset = _PROLOGUE, 1
    while at < n_bytes and head[at] != _END_OF_HEADER:
        field = head[at : at + _DESCRIPTOR]
        if len(field) < _DESCRIPTOR:
            raise DamagedDbfError("the header ends within a column", 0)
        type_ = chr(field[11])
        # Clipper and FoxPro keep the high byte of a long text's width where a number has its decimals.
        width = field[16] + (field[17] << 8 if type_ == "C" else 0)
        name = field[:_NAME].split(b"\0")[0].decode("ascii", errors="replace").strip().upper()
        readable = type_ in _TEXT_TYPES or (is_visual and _BINARY_WIDTHS.get(type_) == width)
        columns.append(DbfColumn(name, type_ if readable else "", offset, width))
        offset += width
        at += _DESCRIPTOR
    if not columns or offset != record_bytes or any(column.width == 0 for column in columns):
        raise DamagedDbfError("the columns do not add up to the length of a record", 0)
    if head[15]:
        raise DamagedDbfError("the table is encrypted", 0)
    return DbfHeader(int.from_bytes(head[4:8], "little"), n_bytes, record_bytes, columns)


def read_records(pieces: Pieces, header: DbfHeader, places: dict[str, int]) -> Iterator[Records]:
    """All records; `places` says which of the columns are wanted (memos cannot be had) and their name in the result."""
    wanted = {name: header.columns[place] for name, place in places.items() if header.columns[place].type}
    line = 2
    for block in _record_blocks(pieces(), header):
        records = np.frombuffer(block, np.uint8).reshape(-1, header.record_bytes)
        yield _read(records, line, wanted)
        line += len(records)


def _record_blocks(stream: Iterator[bytes], header: DbfHeader) -> Iterator[bytes]:
    """Whole records without the header and what follows the last."""
    step = max(BLOCK_BYTES // header.record_bytes, 1) * header.record_bytes
    skip, left, rest = header.n_bytes, header.n_records * header.record_bytes, b""
    for piece in stream:
        rest += piece[skip:] if skip < len(piece) else b""
        skip -= min(skip, len(piece))
        at = 0
        while left and len(rest) - at >= min(step, left):
            size = min(step, left)
            yield rest[at : at + size]
            at += size
            left -= size
        rest = rest[at:]


def _read(records: Bytes, first_line: int, wanted: dict[str, DbfColumn]) -> Records:
    lines = np.arange(first_line, first_line + len(records), dtype=np.int32)
    deleted, live = records[:, 0] == _DELETED, records[:, 0] == _LIVE
    rejected = [rejected_lines(lines[~(deleted | live)], DAMAGED)]
    records, lines = records[live], lines[live]
    texts = {name: column for name, column in wanted.items() if column.type in _TEXT_TYPES}
    text, encoding, is_readable = _decoded(records, texts.values())
    rejected.append(rejected_lines(lines[~is_readable], "undecodable"))
    records, lines = records[is_readable], lines[is_readable]
    frame = pl.DataFrame({"source_line": pl.Series(lines, dtype=pl.Int32)})
    if len(lines):
        frame = frame.hstack(_split(text, list(texts), len(lines)))
        frame = frame.hstack([_binary(records, wanted[name]).alias(name) for name in wanted.keys() - texts.keys()])
    return Records(frame, pl.concat(rejected), int(deleted.sum()), encoding)


def _decoded(records: Bytes, columns: Collection[DbfColumn]) -> tuple[bytes, str, npt.NDArray[np.bool_]]:
    """The text of those records that can be read, its encoding, and which they are. Only where they cannot be read
    together is each judged alone."""
    try:
        return *to_utf8(_joined(records, columns)), np.ones(len(records), np.bool_)
    except UndecodableError:
        pass
    texts, encodings, is_readable = [], set(), np.zeros(len(records), np.bool_)
    for at in range(len(records)):
        with suppress(UndecodableError):
            text, encoding = to_utf8(_joined(records[at : at + 1], columns))
            texts.append(text)
            encodings.add(encoding)
            is_readable[at] = True
    one, *others = encodings - {"ascii"} or {"ascii"}
    return b"".join(texts), "mixed" if others else one, is_readable


def rejected_lines(lines: npt.NDArray[np.int32], rule: str) -> pl.DataFrame:
    return pl.DataFrame({"source_line": pl.Series(lines, dtype=pl.Int32)}).with_columns(pl.lit(rule).alias("rule"))


def _cells(records: Bytes, column: DbfColumn) -> Bytes:
    return records[:, column.offset : column.offset + column.width]


def _joined(records: Bytes, columns: Collection[DbfColumn]) -> bytes:
    """A line for each record, its columns between separators. Padding with NUL and control characters are blanks."""
    lines = np.full((len(records), sum(column.width + 1 for column in columns)), _SEPARATOR, np.uint8)
    at = 0
    for column in columns:
        cells = _cells(records, column)
        lines[:, at : at + column.width] = np.where(cells < _LIVE, _LIVE, cells)
        at += column.width + 1
    if columns:
        lines[:, -1] = ord("\n")
    return lines.tobytes()


def _split(text: bytes, names: list[str], n_rows: int) -> pl.DataFrame:
    if not names:
        return pl.DataFrame()
    frame = pl.read_csv(
        BytesIO(text),
        separator=chr(_SEPARATOR),
        has_header=False,
        quote_char=None,
        schema=dict.fromkeys(names, pl.String),
    )
    if frame.height != n_rows:
        raise RuntimeError(f"{n_rows} records came, {frame.height} rows were read")
    return frame.with_columns(pl.all().str.strip_chars(" ").replace("", None))


def _binary(records: Bytes, column: DbfColumn) -> pl.Series:
    """Numbers and times of Visual FoxPro as the standard writes them."""
    cells = np.ascontiguousarray(_cells(records, column))
    match column.type:
        case "I":
            return pl.Series(cells.view("<i4").ravel()).cast(pl.String)
        case "B":
            return pl.Series(cells.view("<f8").ravel()).cast(pl.String)
        case "Y":
            return (pl.Series(cells.view("<i8").ravel()) / 10_000).cast(pl.String)
        case _:
            parts = cells.view("<i4").astype(np.int64)
            days, clock = parts[:, 0] - _JULIAN_DAY_OF_1970, parts[:, 1]
            is_time = (np.abs(days) < _MOST_DAYS) & (clock >= 0) & (clock < _DAY_MS)
            times = pl.Series(np.where(is_time, days * _DAY_MS + clock, 0)).cast(pl.Datetime("ms"))
            written = times.dt.strftime("%Y%m%d%H%M%S").zip_with(
                pl.Series(is_time), "day " + pl.Series(parts[:, 0]).cast(pl.String)
            )
            return written.zip_with(pl.Series(parts[:, 0] != 0), pl.Series([None], dtype=pl.String))
