"""Continuity of care: whether people stay with one facility, and what happens when care is handed on."""

from __future__ import annotations

import polars as pl
import streamlit as st

from dashboards.components.annotations import analysts_notes
from dashboards.components.context import Context, open_context
from dashboards.components.exhibit import completeness_text, notes, page_title
from dashboards.components.figure_views import month_trend, province_figure_map, region_tiles
from dashboards.components.filters import choose_area_or_district, choose_period
from dashboards.components.measure_views import choose_measure, chosen_card, cut, results, summary
from dashboards.queries import figures, reads
from dashboards.queries.reads import Area, Period

INDICES = {"coc": "main", "upc": "upc"}
"""The two indices, by the variant of the measure that is made of each."""


def indices(context: Context, area: Area, area_name: str, period: Period, completeness: str) -> None:
    """The mean of each index and the share of people below the threshold."""
    words = context.words
    for column, (index, variant) in zip(st.columns(len(INDICES)), INDICES.items(), strict=True):
        rows = results(context, (figures.CONTINUITY_INDEX,), area, period, variant)
        with column, st.container(border=True, height="stretch"):
            st.metric(words(f"continuity.{index}"), rows["mean"][0] if rows.height else "–")
            if rows.height:
                told = {
                    "share": rows["shown"][0],
                    "interval": rows["interval"][0],
                    "people": rows["denominator_shown"][0],
                }
                st.markdown(words("continuity.below", **told))
            st.caption(words(f"continuity.{index}_help"))
            notes(context, index, figures.CONTINUITY_INDEX, completeness, places={area_name: area})


def page() -> None:
    context = open_context("continuity")
    words = context.words
    page_title(words, "continuity")
    boxes = st.columns(3)
    area, area_name = choose_area_or_district(context, boxes[:2])
    with boxes[2]:
        period = choose_period(context)
    completeness = completeness_text(context, area, period)
    indices(context, area, area_name, period, completeness)
    order = {measure_id: place for place, measure_id in enumerate(figures.CONTINUITY)}
    rows = results(context, figures.CONTINUITY, area, period).sort(
        pl.col("measure_id").replace_strict(order, return_dtype=pl.Int64)
    )
    table = st.container()
    chosen = choose_measure(context, rows)
    figure, name = figures.of_measure(chosen["measure_id"]), chosen["label"]
    with table:
        summary(context, rows, figure.measure_id, area, area_name, period, completeness)
    chosen_card(context, chosen, area, area_name, completeness)
    months = reads.figure_by_month(context.serving, figure, reads.NATION)
    left, right = st.columns([5, 6], gap="large")
    with left:
        region_tiles(context, figure, name, period)
    with right:
        if (months["numerator_status"] != "missing").any():
            month_trend(context, figure, name, area, area_name, period)
        else:  # A person's year is counted in years alone.
            st.info(words("continuity.by_year"), icon=":material/info:")
            analysts_notes(context, figure.measure_id, area, period)
    province_figure_map(context, figure, name, area, period)
    cut(context, figure, name, area, area_name, period)


page()
