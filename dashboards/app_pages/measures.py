"""Measures of redundancy, necessity and appropriateness: all of a group at once, then one by region and month."""

from __future__ import annotations

from functools import partial

import polars as pl
import streamlit as st

from dashboards.components.context import Context, open_context
from dashboards.components.exhibit import completeness_text, notes, page_title
from dashboards.components.figure_views import month_trend, region_tiles
from dashboards.components.filters import choice, choose_area, choose_period
from dashboards.components.values import band_text, count_value, figure_value, interval_text, period_text
from dashboards.queries import figures, reads
from dashboards.queries.reads import Area, Period

COLUMNS = {
    "label": "column.measure",
    "shown": "column.value",
    "interval": "column.interval",
    "band": "column.band",
    "numerator_shown": "column.numerator",
    "denominator_shown": "column.denominator",
    "persons": "column.persons",
    "mean": "column.mean",
}
"""Of the table of results, with the key of each heading."""


def results(context: Context, group: str, area: Area, period: Period) -> pl.DataFrame:
    """measure_id and `COLUMNS` as text, one row for each measure of the group."""
    words = context.words
    rows = reads.measure_results(context.serving, area, period, figures.MEASURE_GROUPS[group])
    found = []
    for row in rows.iter_rows(named=True):
        figure = figures.of_measure(row["measure_id"])
        count = partial(count_value, words)
        found.append(
            {
                "label": f"{row['measure_id']} {words.name(row)}",
                "shown": figure_value(words, figure, row).text,
                "interval": interval_text(figure, row["rate_low"], row["rate_high"]),
                "band": band_text(words, figure, row) or "–",
                "numerator_shown": count(row["numerator"], row["numerator_status"]).text,
                "denominator_shown": count(row["denominator"], row["denominator_status"]).text,
                "persons": count(row["n_persons"], row["n_persons_status"]).text,
                "mean": "–" if row["mean_value"] is None else f"{row['mean_value']:.2f}",
            }
        )
    return rows.select("measure_id").hstack(pl.DataFrame(found, schema=dict.fromkeys(COLUMNS, pl.String)))


def summary(context: Context, rows: pl.DataFrame, area_name: str, period: Period) -> None:
    words = context.words
    headings = {column: words(heading) for column, heading in COLUMNS.items()}
    st.subheader(f"{area_name} · {period_text(words, period)}", anchor=False)
    st.dataframe(
        rows.select(list(headings)).rename(headings), hide_index=True, alt=words("measures.table_alt"), key="measures"
    )
    st.caption(words("measures.signal"))


def page() -> None:
    context = open_context("measures")
    words = context.words
    page_title(words, "measures")
    boxes = st.columns(3)
    with boxes[0]:
        groups = {code: words(f"measure_group.{code}") for code in figures.MEASURE_GROUPS}
        group = choice(words("filter.group"), "group", groups, words.language, style="segments")
    with boxes[1]:
        area, area_name = choose_area(context, provinces=True)
    with boxes[2]:
        period = choose_period(context)
    rows = results(context, group, area, period)
    summary(context, rows, area_name, period)

    labels = dict(rows.select("measure_id", "label").iter_rows())
    measure_id = choice(words("filter.measure"), "measure", labels, words.language)
    figure, name = figures.of_measure(measure_id), labels[measure_id]
    chosen = rows.row(by_predicate=pl.col("measure_id") == measure_id, named=True)
    with st.container(border=True):
        st.metric(name, chosen["shown"])
        st.markdown(words("measures.around", interval=chosen["interval"], band=chosen["band"]))
        notes(context, "chosen", measure_id, completeness_text(context, area, period))
    left, right = st.columns([5, 6], gap="large")
    with left:
        region_tiles(context, figure, name, period)
    with right:
        month_trend(context, figure, name, area, area_name, period)


page()
