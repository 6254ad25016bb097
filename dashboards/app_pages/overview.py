"""Overview for executives: key figures of an area, and one figure over the 13 regions and by month."""

from __future__ import annotations

import polars as pl
import streamlit as st

from dashboards.components import charts
from dashboards.components.context import Context, open_context
from dashboards.components.exhibit import notes, page_title
from dashboards.components.figure_views import figure_card, month_trend, region_tiles
from dashboards.components.filters import choose_area, choose_of, choose_period
from dashboards.components.rollout_facts import rollout_completeness, rollout_facts
from dashboards.components.values import date_text
from dashboards.queries import figures
from dashboards.queries.reads import Area

CARDS_IN_A_ROW = 3


def live_card(context: Context, area: Area) -> None:
    words = context.words
    facts = rollout_facts(context, region=area.area_code if area.area_level == "region" else None)
    with st.container(border=True, height="stretch"):
        st.metric(
            words("overview.live_provinces"),
            words("overview.live_value", live=facts.n_live, total=facts.n_total),
        )
        if facts.steps.height:
            st.vega_lite_chart(
                spec=charts.step_sparkline(facts.steps.filter(pl.col("kind") == "actual")).spec,
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
