"""The one way a figure is shown: with its definition, as-of date, completeness and table beside it."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
import streamlit as st

from dashboards.components.charts import Picture
from dashboards.components.context import Context
from dashboards.components.export import export_button
from dashboards.components.values import date_text
from dashboards.components.words import Words
from dashboards.queries import reads
from dashboards.queries.reads import Area, Period

DEFINITION_FIELDS = ("question", "numerator", "denominator", "exclusions", "cost", "caveat")


def completeness_text(context: Context, area: Area, period: Period) -> str:
    words = context.words
    counts = reads.completeness(context.serving, area, period)
    if counts is None or counts[1] == 0:
        return words("note.completeness_missing")
    reported, expected = counts
    return words(
        "note.completeness",
        reported=f"{reported:,}",
        expected=f"{expected:,}",
        share=f"{100 * reported / expected:.1f}",
    )


def notes(
    context: Context,
    key: str,
    measure_id: str,
    completeness: str,
    table: pl.DataFrame | None = None,
    columns: Mapping[str, str] | None = None,
) -> None:
    """The line under a figure. `columns` maps the table's columns to their headings, in order.

    Without a table when the figure is a table itself.
    """
    words = context.words
    as_of = words(
        "note.as_of",
        data_to=date_text(words, context.publication.data_to),
        published=date_text(words, context.publication.published_on),
    )
    st.caption(f"{as_of} · {completeness}")
    with st.container(horizontal=True, gap="small"):
        with st.popover(words("note.definition"), icon=":material/info:", type="tertiary"):
            _definition(context, measure_id)
        if table is None or columns is None:
            return
        with st.popover(words("note.table"), icon=":material/table:", type="tertiary"):
            shown = table.select(list(columns)).rename(dict(columns))
            st.dataframe(shown, hide_index=True, alt=words("note.table"), key=f"table_{key}")
            st.caption(words("note.disclosure"))
            export_button(words, key, shown)


def _definition(context: Context, measure_id: str) -> None:
    words = context.words
    row = reads.definition(context.serving, measure_id)
    if row is None:
        st.markdown(words("note.unregistered", measure_id=measure_id))
        return
    lines = [f"**{words.name(row)}** ({measure_id})"]
    lines += [
        f"**{words(f'definition.{field}')}:** {words.name(row, field)}"
        for field in DEFINITION_FIELDS
        if words.name(row, field)
    ]
    if row.get("source"):
        lines.append(f"**{words('definition.source')}:** {row['source']}")
    st.markdown("\n\n".join(lines))


def exhibit(
    context: Context,
    key: str,
    *,
    title: str,
    chart: Picture,
    description: str,
    measure_id: str,
    completeness: str,
    table: pl.DataFrame,
    columns: Mapping[str, str],
    caption: str | None = None,
) -> None:
    """A chart with its title, alternative text and notes."""
    st.subheader(title, anchor=False)
    if caption:
        st.markdown(caption)
    st.altair_chart(chart, alt=description, key=f"chart_{key}")
    notes(context, key, measure_id, completeness, table, columns)


def page_title(words: Words, page: str) -> None:
    st.title(words(f"{page}.title"), anchor=False)
    st.markdown(words(f"{page}.lead"))
