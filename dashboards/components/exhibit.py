"""The one way a figure is shown: with its definition, as-of date, completeness and table beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import polars as pl
import streamlit as st

from dashboards.components.annotations import marked
from dashboards.components.context import SAID, Context
from dashboards.components.export import export_buttons
from dashboards.components.tables import named_table
from dashboards.components.values import date_text
from dashboards.components.vega import Picture
from dashboards.queries import reads
from dashboards.queries.reads import Area, Period
from ruam.words import Words

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
    *,
    title: str | None = None,
    is_table: bool = False,
    places: Mapping[str, Area] | None = None,
    measures: Mapping[str, str] | None = None,
) -> None:
    """The line under a figure. `columns` maps the table's columns to their headings, in order.

    `places` are the areas that it tells of, by name: what analysts said about the measure there is one click away.
    A table of several measures names them in `measures`, by id, and what was said about each is there.

    `is_table`: the figure is that table itself, so that it is not shown again, only offered as files. Beside the texts
    of a column `value` goes out as the number that charts draw.
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
        if places:
            marked(context, measures or {measure_id: ""}, places)
        if table is None or columns is None:
            return
        shown = table.select(list(columns)).rename(dict(columns))
        about = about_of(context, measure_id, completeness, title)
        numbers = table.select(pl.col("value").alias(words("column.number"))) if "value" in table.columns else None
        exported = shown if numbers is None else shown.hstack(numbers)
        label, icon = ("note.download", "download") if is_table else ("note.table", "table")
        with st.popover(words(label), icon=f":material/{icon}:", type="tertiary"):
            if not is_table:
                st.dataframe(shown.to_arrow(), hide_index=True, alt=words("note.table"), key=f"table_{key}")
            st.caption(words("note.disclosure"))
            export_buttons(words, key, exported, about)


def about_of(context: Context, measure_id: str, completeness: str, title: str | None = None) -> dict[str, Any]:
    """What a downloaded table is: definition, dates, choices, completeness and the rule of disclosure."""
    words, publication = context.words, context.publication
    row = reads.definition(context.serving, measure_id) or {}
    return {
        "title": title or words.name(row) or measure_id,
        "measure": {"id": measure_id} | {key: value for key, value in row.items() if key != "measure_id"},
        "data_from": publication.data_from.isoformat(),
        "data_to": publication.data_to.isoformat(),
        "published_at": publication.published_at.isoformat(),
        "publication": publication.run_id,
        "filters": dict(st.session_state.get(SAID, {})),
        "completeness": completeness,
        "disclosure": words("note.disclosure"),
        "publisher": words("export.publisher"),
    }


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
    places: Mapping[str, Area] | None = None,
    measures: Mapping[str, str] | None = None,
) -> None:
    """A chart with its title, alternative text and notes."""
    st.subheader(title, anchor=False)
    if caption:
        st.markdown(caption)
    st.vega_lite_chart(spec=chart.spec, alt=description, key=f"chart_{key}")
    notes(context, key, measure_id, completeness, table, columns, title=title, places=places, measures=measures)


def tabled(
    context: Context,
    key: str,
    *,
    title: str,
    measure_id: str,
    completeness: str,
    table: pl.DataFrame,
    columns: Mapping[str, str],
    alt: str | None = None,
    height: int | Literal["auto"] = "auto",
    places: Mapping[str, Area] | None = None,
    measures: Mapping[str, str] | None = None,
) -> None:
    """A table that is the figure itself, with its notes; its title, which is said where it stands, names the files.

    One of `measures` begins with their names, which are shown whole; another scrolls in `height` pixels.
    """
    if measures:
        named_table(table, columns, alt or title)
    else:
        # As Arrow, which is what is sent: by way of pandas, Streamlit's way, at ten times the cost.
        shown = table.select(list(columns)).rename(dict(columns)).to_arrow()
        st.dataframe(shown, hide_index=True, alt=alt or title, key=key, height=height)
    notes(
        context,
        key,
        measure_id,
        completeness,
        table,
        columns,
        title=title,
        is_table=True,
        places=places,
        measures=measures,
    )


def page_title(words: Words, page: str) -> None:
    st.title(words(f"{page}.title"), anchor=False)
    st.markdown(words(f"{page}.lead"))
