"""Measures of redundancy, necessity and appropriateness: all of a group at once, then one by region and month."""

from __future__ import annotations

import streamlit as st

from dashboards.components.context import open_context
from dashboards.components.exhibit import completeness_text, page_title
from dashboards.components.figure_views import month_trend, region_tiles
from dashboards.components.filters import choice, choose_area_or_district, choose_period
from dashboards.components.measure_views import choose_measure, chosen_card, cut, results, summary
from dashboards.queries import figures
from ruam.measures import MEASURE_GROUPS


def page() -> None:
    context = open_context("measures")
    words = context.words
    page_title(words, "measures")
    boxes = st.columns([7, 4, 4, 6])
    with boxes[0]:
        groups = {code: words(f"measure_group.{code}") for code in MEASURE_GROUPS}
        group = choice(words("filter.group"), "group", groups, words.language, style="segments")
    area, area_name = choose_area_or_district(context, boxes[1:3])
    with boxes[3]:
        period = choose_period(context)
    completeness = completeness_text(context, area, period)
    rows = results(context, (f"{MEASURE_GROUPS[group]}-",), area, period)
    table = st.container()
    chosen = choose_measure(context, rows)
    figure, name = figures.of_measure(chosen["measure_id"]), chosen["label"]
    with table:
        summary(context, rows, figure.measure_id, area, area_name, period, completeness)
    chosen_card(context, chosen, area, area_name, completeness)
    left, right = st.columns([5, 6], gap="large")
    with left:
        region_tiles(context, figure, name, period)
    with right:
        month_trend(context, figure, name, area, area_name, period)
    cut(context, figure, name, area, area_name, period)


page()
