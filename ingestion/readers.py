"""Members of a feed's delivery to rows of text columns: delimited text and dBase, and what every reader gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from ingestion import dbf
from ingestion.text import UTF8_BOM, Block, Header, Layouts, read_header, read_lines, split_cells, to_utf8

if TYPE_CHECKING:
    from ingestion.delivery import DeliveryZip, Member


REJECTED = {"source_line": pl.Int32(), "rule": pl.String()}
"""Of rows that were set aside before they had columns."""


@dataclass(slots=True)
class Description:
    """What a member turned out to be, filled while it is read."""

    layout: str = "empty"
    header: bool = False
    missing: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    encodings: set[str] = field(default_factory=set)
    unknown_fields: dict[str, int] = field(default_factory=dict)
    """Fields of JSON resources that the table does not know, and in how many rows they stood."""


@dataclass(frozen=True)
class Rows:
    """`frame`: the columns that were sent, as text (empty is null), and `source_line`.

    `rejected`: `source_line, rule` of what could not be split into columns. `n_deleted` rows were marked by their
    sender as no longer there.
    """

    frame: pl.DataFrame
    rejected: pl.DataFrame
    n_deleted: int = 0


class Lines(NamedTuple):
    """A block of `n` whole lines of a member, its header (none when the layout is unknown), and its first line's
    number."""

    header: Header | None
    block: bytes
    first: int
    n: int


def lines_of(opened: DeliveryZip, member: Member, layouts: Layouts, description: Description) -> Iterator[Lines]:
    """The lines of a member below its header, in blocks."""
    header: Header | None = None
    line, begun = 1, False
    for block in opened.blocks(member):
        if not begun:
            text = block.removeprefix(UTF8_BOM)
            block = text.lstrip(b"\n")
            line += len(text) - len(block)
            if not block:
                continue
            begun = True
            header = read_header(_first_line(block), layouts, opened.limits)
            if header:
                description.layout, description.header = header.layout, header.is_header
                description.missing, description.unknown = header.missing, header.unknown
                if header.is_header:
                    block, line = block[block.index(b"\n") + 1 :], line + 1
        if n := block.count(b"\n"):
            yield Lines(header, block, line, n)
        line += n


def read_block(opened: DeliveryZip, member: Member, lines: Lines, description: Description) -> Block:
    """Each line readable or rejected."""
    if lines.header is None:
        return Block.all_rejected(lines.block, lines.first, "unknown_layout")
    block = read_lines(lines.block, lines.header, lines.first, opened.encoding(member), opened.limits)
    description.encodings.add(block.encoding)
    return block


def _first_line(block: bytes) -> str:
    line = block[: block.index(b"\n")]
    try:
        return to_utf8(line)[0].decode("utf-8")
    except ValueError:
        return line.decode("ascii", errors="replace")


def delimited(opened: DeliveryZip, member: Member, table: Layouts, description: Description) -> Iterator[Rows]:
    """Pipe-delimited text."""
    for lines in lines_of(opened, member, table, description):
        block = read_block(opened, member, lines, description)
        frame = pl.DataFrame(schema={"source_line": pl.Int32})
        if lines.header and len(block.lines):
            frame = split_cells(block.text, lines.header.positions, lines.header.n_cells)
            frame = frame.with_columns(pl.Series("source_line", block.lines))
        yield Rows(frame, block.rejected)


def dbase(opened: DeliveryZip, member: Member, table: Layouts, description: Description) -> Iterator[Rows]:
    """A dBase or FoxPro table. One that is damaged is set aside whole, every record that is there."""

    def pieces() -> Iterator[bytes]:
        return opened.pieces(member)

    try:
        table_header = dbf.read_header(pieces)
    except dbf.DamagedDbfError as error:
        yield from _all_set_aside(max(error.args[1], 1), dbf.DAMAGED)
        return
    header = read_header(
        "|".join(column.name.replace("|", "_") for column in table_header.columns), table, opened.limits
    )
    if header is None or not header.is_header:
        yield from _all_set_aside(table_header.n_records, "unknown_layout")
        return
    description.layout, description.header = header.layout, True
    description.missing, description.unknown = header.missing, header.unknown
    for records in dbf.read_records(pieces, table_header, header.positions):
        description.encodings.add(records.encoding)
        yield Rows(records.frame, records.rejected, records.n_deleted)


def _all_set_aside(n_rows: int, rule: str, step: int = 100_000) -> Iterator[Rows]:
    for first in range(2, n_rows + 2, step):
        lines = np.arange(first, min(first + step, n_rows + 2), dtype=np.int32)
        yield Rows(pl.DataFrame(schema={"source_line": pl.Int32}), dbf.rejected_lines(lines, rule))


READERS: dict[str, Callable[[DeliveryZip, Member, Layouts, Description], Iterator[Rows]]] = {
    ".txt": delimited,
    ".csv": delimited,
    ".dbf": dbase,
}
"""Reader by a member's suffix (lower case, without `.gz`)."""
