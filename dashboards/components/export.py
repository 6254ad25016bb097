"""The one way in which a table leaves the pages: buttons whose file is made, and recorded, when one is pressed.

Each file carries what the table is: definition, source, dates, choices, completeness and the rule of disclosure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from io import BytesIO
from typing import Any, TypeAlias
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import polars as pl
import pyarrow.parquet as pq
import streamlit as st

from dashboards.access.guard import recorder
from ruam.sheets import WIDTHS, add_table, csv_of, workbook
from ruam.words import Words

About: TypeAlias = Mapping[str, Any]
"""What a table is; texts, numbers and mappings of them. `published_at` (ISO 8601) dates the file."""

DESCRIPTION = "metadata.json"
PARQUET_KEY = b"ruam"
"""Under which the footer of a Parquet file holds the description."""


def description_of(about: About) -> bytes:
    return json.dumps(about, ensure_ascii=False, indent=1, default=str).encode()


def csv_package(table: pl.DataFrame, about: About) -> bytes:
    return _package({"data.csv": csv_of(table), DESCRIPTION: description_of(about)}, about)


def parquet_package(table: pl.DataFrame, about: About) -> bytes:
    """The description stands beside the Parquet file, and in its footer, where it cannot be parted from it."""
    told = table.to_arrow().replace_schema_metadata({PARQUET_KEY: description_of(about)})
    data = BytesIO()
    pq.write_table(told, data, compression="zstd")
    return _package({"data.parquet": data.getvalue(), DESCRIPTION: description_of(about)}, about)


def _package(files: Mapping[str, bytes], about: About) -> bytes:
    """A zip; the same files of one publication give the same bytes."""
    content = BytesIO()
    moment = _published_at(about).timetuple()
    with ZipFile(content, "w", ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(ZipInfo(name, moment[:6]), data, ZIP_DEFLATED)
    return content.getvalue()


def excel_of(table: pl.DataFrame, about: About, sheets: tuple[str, str]) -> bytes:
    """Two sheets, the table and what it is. A text stays a text, whatever it begins with."""
    content = BytesIO()
    with workbook(content) as book:
        book.set_properties({"title": str(about.get("title", "")), "created": _published_at(about)})
        add_table(book, sheets[0], table.columns, table.rows())
        wrapped = book.add_format({"text_wrap": True, "valign": "top"})
        told = book.add_worksheet(sheets[1])
        told.set_column(0, 0, WIDTHS[1] // 2)
        told.set_column(1, 1, 2 * WIDTHS[1])
        for row, (name, text) in enumerate(_lines(about)):
            told.write_string(row, 0, name, wrapped)
            told.write_string(row, 1, text, wrapped)
    return content.getvalue()


def _lines(about: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    lines = []
    for key, value in about.items():
        if isinstance(value, Mapping):
            lines += _lines(value, f"{prefix}{key}.")
        else:
            lines.append((f"{prefix}{key}", "" if value is None else str(value)))
    return lines


def _published_at(about: About) -> datetime:
    return datetime.fromisoformat(about["published_at"]).replace(tzinfo=None)


def export_buttons(words: Words, key: str, table: pl.DataFrame, about: About) -> None:
    """Offers the table as it is shown, in each form. What cannot be recorded is not handed out."""
    sheets = (words("export.data_sheet"), words("export.about_sheet"))
    forms: dict[str, tuple[str, str, Callable[[], bytes]]] = {
        "csv": ("csv.zip", "application/zip", partial(csv_package, table, about)),
        "excel": (
            "xlsx",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            partial(excel_of, table, about, sheets),
        ),
        "parquet": ("parquet.zip", "application/zip", partial(parquet_package, table, about)),
    }

    st.caption(words("export.recorded"))
    record = recorder()
    with st.container(horizontal=True, gap="small"):
        for form, (suffix, media_type, make) in forms.items():
            recorded_button(words(f"export.{form}"), f"{key}.{suffix}", media_type, make, table.height, record)


def recorded_button(
    label: str,
    name: str,
    media_type: str,
    make: Callable[[], bytes],
    n_rows: int,
    record: Callable[[str, int, str], None],
) -> None:
    """Offers the file `ruam-<name>`, which is made, and recorded by a `recorder`, when it is asked for."""

    def made() -> bytes:
        content = make()
        record(name, n_rows, hashlib.sha256(content).hexdigest())
        return content

    st.download_button(
        label, made, f"ruam-{name}", media_type, icon=":material/download:", key=f"export_{name}", on_click="ignore"
    )
