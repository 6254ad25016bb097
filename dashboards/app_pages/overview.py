"""Overview for executives: key figures of an area, and one figure over the 13 regions and by month."""

from __future__ import annotations

import polars as pl
import streamlit as st

from dashboards.components import charts
from dashboards.components.context import Context, open_context
from dashboards.components.exhibit import completeness_text, notes, page_title
from dashboards.components.figure_views import month_trend, region_tiles
from dashboards.components.filters import choose_area, choose_of, choose_period
from dashboards.components.rollout_facts import rollout_completeness, rollout_facts
from dashboards.components.tables import columns_of, figure_months, last_known
from dashboards.components.values import (
    band_text,
    change_text,
    date_text,
    figure_value,
)
from dashboards.queries import figures, reads
from dashboards.queries.figures import Figure
from dashboards.queries.reads import Area, Period

CARDS_IN_A_ROW = 3


def figure_card(context: Context, figure: Figure, area: Area, area_name: str, period: Period) -> None:
    words = context.words
    rows = reads.figure_of(context.serving, figure, area, period)
    text = figure_value(words, figure, rows.row(0, named=True)).text if rows.height else words("value.missing")
    months = figure_months(context, figure, area)
    with st.container(border=True, height="stretch"):
        change = change_text(words, figure, months["value"].to_list())
        st.metric(
            words(f"figure.{figure.code}"),
            text,
            delta=change,
            delta_color="off",
            delta_arrow="off",
            delta_description=words("overview.month_change") if change else None,
        )
        if band := linkage_band(context, figure, area, period):
            st.markdown(words("overview.band", band=band))
        if months["value"].count():
            st.altair_chart(
                charts.sparkline(months.select("label", "value", "shown")),
                alt=words(
                    "overview.spark_alt",
                    figure=words(f"figure.{figure.code}"),
                    area=area_name,
                    last=last_known(months),
                ),
                key=f"spark_{figure.code}",
            )
        notes(
            context,
            figure.code,
            figure.measure_id,
            completeness_text(context, area, period),
            months,
            columns_of(context, figure, "month"),
        )


def linkage_band(context: Context, figure: Figure, area: Area, period: Period) -> str | None:
    """The rate at both linkage thresholds, of figures that have it."""
    if figure.table != "agg_measure_results":
        return None
    group, _, _ = figure.measure_id.partition("-")
    rows = reads.measure_results(context.serving, area, period, group).filter(pl.col("measure_id") == figure.measure_id)
    return band_text(context.words, figure, rows.row(0, named=True)) if rows.height else None


def live_card(context: Context, area: Area) -> None:
    words = context.words
    facts = rollout_facts(context, region=area.area_code if area.area_level == "region" else None)
    with st.container(border=True, height="stretch"):
        st.metric(
            words("overview.live_provinces"),
            words("overview.live_value", live=facts.n_live, total=facts.n_total),
        )
        if facts.steps.height:
            st.altair_chart(
                charts.step_sparkline(facts.steps.filter(pl.col("kind") == "actual")),
                alt=words("rollout.cumulative_alt", live=facts.n_live, planned=facts.n_planned),
                key="spark_live_provinces",
            )
        st.markdown(
            words(
                "overview.live_text",
                planned=facts.n_planned,
                of=facts.n_with_plan,
                last=date_text(words, facts.last_live_date),
            )
        )
        notes(
            context,
            "live_provinces",
            figures.LIVE_PROVINCES,
            rollout_completeness(words, facts),
            facts.steps,
            {"series": " ", "shown_day": words("column.day"), "n": words("column.cumulative")},
        )


def page() -> None:
    context = open_context("overview")
    words = context.words
    page_title(words, "overview")
    left, right = st.columns(2)
    with left:
        area, area_name = choose_area(context, provinces=False)
    with right:
        period = choose_period(context)

    st.header(words("overview.key_figures"), anchor=False)
    cards = [*figures.OVERVIEW, None]
    for start in range(0, len(cards), CARDS_IN_A_ROW):
        row = cards[start : start + CARDS_IN_A_ROW]
        for column, figure in zip(st.columns(CARDS_IN_A_ROW), row, strict=True):
            with column:
                if figure is None:
                    live_card(context, area)
                else:
                    figure_card(context, figure, area, area_name, period)
    st.caption(words("overview.signal"))

    by_code = {figure.code: figure for figure in figures.OVERVIEW}
    figure = by_code[choose_of(words, "figure", tuple(by_code), "figure", style="segments")]
    name = words(f"figure.{figure.code}")
    left, right = st.columns([5, 6], gap="large")
    with left:
        region_tiles(context, figure, name, period)
    with right:
        month_trend(context, figure, name, area, area_name, period)


page()
