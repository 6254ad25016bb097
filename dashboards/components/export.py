"""The one way in which a table leaves the pages: a button whose file is made, and recorded, when it is pressed."""

from __future__ import annotations

import hashlib

import polars as pl
import streamlit as st

from dashboards.access.guard import recorder
from dashboards.components.words import Words

_FORMULA = r"^[=+\-@\t\r]"


def csv_of(table: pl.DataFrame) -> bytes:
    """UTF-8 with a byte-order mark, for spreadsheets; a text that they would run as a formula gets an apostrophe."""
    safe = table.with_columns(pl.col(pl.String).str.replace(_FORMULA, "'$0"))
    return b"\xef\xbb\xbf" + safe.write_csv().encode()


def export_button(words: Words, key: str, table: pl.DataFrame) -> None:
    """Offers the table as it is shown. What cannot be recorded is not handed out."""
    record = recorder()

    def made() -> bytes:
        content = csv_of(table)
        record(key, table.height, hashlib.sha256(content).hexdigest())
        return content

    st.download_button(
        words("note.export"), made, f"ruam-{key}.csv", "text/csv", icon=":material/download:", key=f"export_{key}"
    )
