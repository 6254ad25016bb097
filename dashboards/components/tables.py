"""Frames that charts and tables share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import polars as pl
import streamlit as st

from dashboards.components.context import Context
from dashboards.components.values import month_text, with_values
from dashboards.queries import reads
from dashboards.queries.figures import Figure
from dashboards.queries.reads import Area


def texts(name: str, values: Sequence[str]) -> pl.Series:
    return pl.Series(name, list(values), dtype=pl.String)


def named_table(rows: pl.DataFrame, headings: Mapping[str, str], alt: str) -> None:
    """A table of texts whose first column names the rows.

    The browser breaks long names, which it can do in Thai and a grid on a canvas cannot, and the names stay in sight
    when a phone moves the table sideways: `assets/style.css`.
    """
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in headings.values())
    body = "".join(
        f'<tr><th scope="row"><div>{escape(name)}</div></th>'
        + "".join(f"<td><div>{escape(text)}</div></td>" for text in rest)
        + "</tr>"
        for name, *rest in rows.select(list(headings)).iter_rows()
    )
    st.html(
        f'<div class="named-table" role="region" tabindex="0" aria-label="{escape(alt)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def figure_months(context: Context, figure: Figure, area: Area) -> pl.DataFrame:
    """`figure_by_month` with its values as text, `label` for axes and `month` for tables."""
    rows = reads.figure_by_month(context.serving, figure, area)
    return with_months(context, with_values(context.words, figure, rows))


def with_months(context: Context, rows: pl.DataFrame) -> pl.DataFrame:
    days = rows["period_start"].to_list()
    return rows.with_columns(
        texts("label", [month_text(context.words, day, short=True) for day in days]),
        texts("month", [month_text(context.words, day) for day in days]),
    )


def columns_of(context: Context, figure: Figure, *firsts: str) -> dict[str, str]:
    """The headings of a figure's table: `firsts` say what a row is, then the value and what it is made of."""
    words = context.words
    columns = {first: words(f"column.{first}") for first in firsts} | {"shown": words("column.value")}
    if figure.denominator is not None:
        columns |= {
            "numerator_shown": words("column.numerator"),
            "denominator_shown": words("column.denominator"),
        }
    return columns


def spoken(rows: pl.DataFrame) -> str:
    """`label value, label value, ...` for the alternative text of a chart."""
    return ", ".join(f"{label} {text}" for label, text in rows.select("label", "shown").iter_rows())


def last_known(rows: pl.DataFrame) -> str:
    known = rows.filter(pl.col("value").is_not_null())["shown"]
    return str(known[-1]) if len(known) else "–"
