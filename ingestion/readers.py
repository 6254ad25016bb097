"""Delimited text to rows of text columns, and what every reader gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl

from ingestion.feed import Table
from ingestion.text import UTF8_BOM, Block, Header, Layouts, read_header, read_lines, split_cells, to_utf8


@dataclass
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

    `rejected`: `source_line, rule` of what could not be split into columns.
    """

    frame: pl.DataFrame
    rejected: pl.DataFrame


REJECTED = {"source_line": pl.Int32(), "rule": pl.String()}


def delimited_blocks(
    blocks: Iterator[bytes], layouts: Layouts, description: Description
) -> Iterator[tuple[Header | None, Block]]:
    """Blocks of whole lines, each line readable or rejected; no header is given for lines of an unknown layout."""
    header: Header | None = None
    line, begun = 1, False
    for block in blocks:
        if not begun:
            text = block.removeprefix(UTF8_BOM)
            block = text.lstrip(b"\n")
            line += len(text) - len(block)
            if not block:
                continue
            begun = True
            header = read_header(_first_line(block), layouts)
            if header:
                description.layout, description.header = header.layout, header.is_header
                description.missing, description.unknown = header.missing, header.unknown
                if header.is_header:
                    block, line = block[block.index(b"\n") + 1 :], line + 1
        if header is None:
            yield None, Block.all_rejected(block, line, "unknown_layout")
        elif block:
            lines = read_lines(block, header, line)
            description.encodings.add(lines.encoding)
            yield header, lines
        line += block.count(b"\n")


def _first_line(block: bytes) -> str:
    line = block[: block.index(b"\n")]
    try:
        return to_utf8(line)[0].decode("utf-8")
    except ValueError:
        return line.decode("ascii", errors="replace")


def delimited(blocks: Iterator[bytes], table: Table, description: Description) -> Iterator[Rows]:
    """Pipe-delimited text."""
    for header, block in delimited_blocks(blocks, table, description):
        frame = pl.DataFrame(schema={"source_line": pl.Int32})
        if header and len(block.lines):
            frame = split_cells(block.text, header.positions, header.n_cells)
            frame = frame.with_columns(pl.Series("source_line", block.lines))
        yield Rows(frame, rejected_frame(block))


def rejected_frame(block: Block) -> pl.DataFrame:
    return pl.DataFrame(
        {"source_line": [one.line for one in block.rejected], "rule": [one.rule for one in block.rejected]},
        schema=REJECTED,
    )
