"""Tables for spreadsheets, as CSV and as Excel: a text stays a text, whatever it begins with."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import polars as pl
import xlsxwriter
from xlsxwriter.worksheet import Worksheet

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a text begins that a spreadsheet may run."""
WIDTHS = (10, 60)
"""Characters: the narrowest and the widest column of a sheet."""

_BOM = b"\xef\xbb\xbf"

Cell = str | float | int | None


def safe(text: str) -> str:
    """The text as a cell of CSV: one that would be run as a formula gets an apostrophe."""
    return f"'{text}" if text.startswith(FORMULA) else text


def csv_of(table: pl.DataFrame) -> bytes:
    """UTF-8 with a byte-order mark, by which spreadsheets know it; texts are `safe`."""
    return _BOM + table.with_columns(pl.col(pl.String).map_elements(safe, pl.String)).write_csv().encode()


def workbook(target: Path | BytesIO) -> xlsxwriter.Workbook:
    """A new Excel workbook, to be closed: no text becomes a formula, a link or a number."""
    quiet = dict.fromkeys(("strings_to_formulas", "strings_to_urls", "strings_to_numbers"), False)
    return xlsxwriter.Workbook(target if isinstance(target, BytesIO) else str(target), quiet | {"in_memory": True})


def add_table(book: xlsxwriter.Workbook, title: str, heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Worksheet:
    """A sheet with a table, its head in sight. A cell without a value stays empty, and is no 0."""
    bold = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
    plain = book.add_format({"text_wrap": True, "valign": "top"})
    sheet = book.add_worksheet(title)
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, max(len(rows), 1), len(heads) - 1)
    for place, head in enumerate(heads):
        longest = max((len(str(row[place])) for row in rows if row[place] is not None), default=0)
        sheet.set_column(place, place, min(max(longest + 2, len(head) + 2, WIDTHS[0]), WIDTHS[1]), plain)
        sheet.write_string(0, place, head, bold)
    for line, row in enumerate(rows, start=1):
        for place, cell in enumerate(row):
            if isinstance(cell, int | float):
                sheet.write_number(line, place, cell, plain)
            elif cell is not None:
                sheet.write_string(line, place, str(cell), plain)
    return sheet
