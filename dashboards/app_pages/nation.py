"""The nation, or one health region, on one page: what changed in a month, eight figures with limits, the regions."""

from __future__ import annotations

from functools import partial

import streamlit as st

from dashboards.access.guard import recorder
from dashboards.brief import brief_of
from dashboards.components import charts
from dashboards.components.context import Context, open_context
from dashboards.components.exhibit import completeness_text, notes, page_title
from dashboards.components.export import recorded_button
from dashboards.components.facts import Fact, fact_of, headlines, limits_text, went_live
from dashboards.components.figure_views import linkage_band, region_tiles
from dashboards.components.filters import choose_area, choose_of, choose_period
from dashboards.components.tables import columns_of
from dashboards.components.values import month_text
from dashboards.queries import figures
from dashboards.queries.reads import Area, Period

CARDS_IN_A_ROW = 4


def changes(context: Context, facts: list[Fact], area: Area, area_name: str, month: Period) -> None:
    words = context.words
    name = month_text(words, month.period_start)
    st.header(words("nation.changes", area=area_name, month=name), anchor=False)
    lines = headlines(words, facts)
    if live := went_live(context, area, month.period_start):
        lines.append(live)
    st.markdown("\n".join(f"- {line}" for line in lines))
    st.caption(f"{completeness_text(context, area, month)} · {words('control.method')}")


def card(context: Context, fact: Fact, area: Area, area_name: str, month: Period) -> None:
    words, code = context.words, fact.figure.code
    with st.container(border=True, height="stretch"):
        st.metric(fact.name, fact.shown)
        mark = ":material/priority_high:" if fact.asks_for_a_look else ":material/check:"
        st.markdown(f"{mark} **{words(f'signal.{fact.signal}')}**  \n{limits_text(words, fact)}")
        if band := linkage_band(context, fact.figure, area, month):
            st.markdown(band)
        limits = (fact.limits.mean, fact.limits.low, fact.limits.high) if fact.limits else None
        rows = fact.months.select("label", "value", "shown")
        if rows["value"].count():
            st.vega_lite_chart(
                spec=charts.control_chart(rows, limits, fact.asks_for_a_look).spec,
                alt=words(
                    "nation.card_alt",
                    figure=fact.name,
                    area=area_name,
                    last=fact.shown,
                    signal=words(f"signal.{fact.signal}"),
                    limits=limits_text(words, fact),
                ),
                key=f"control_{code}",
            )
        notes(
            context,
            code,
            fact.figure.measure_id,
            completeness_text(context, area, month),
            fact.months,
            columns_of(context, fact.figure, "month"),
            title=f"{fact.name} · {area_name}",
            places={area_name: area},
        )


def page() -> None:
    context = open_context("nation")
    words = context.words
    page_title(words, "nation")
    left, right = st.columns(2)
    with left:
        area, area_name = choose_area(context, provinces=False, unknown=False)
    with right:
        month = choose_period(context, only="month")
    recorded_button(
        words("brief.download"),
        f"brief-{area.area_code}-{month.period_start:%Y-%m}.pdf",
        "application/pdf",
        partial(brief_of, context, area, month),
        len(figures.NATION),
        recorder(),
    )
    facts = [fact_of(context, figure, area, month.period_start) for figure in figures.NATION]
    changes(context, facts, area, area_name, month)

    st.header(words("nation.figures"), anchor=False)
    for start in range(0, len(facts), CARDS_IN_A_ROW):
        row = facts[start : start + CARDS_IN_A_ROW]
        for column, fact in zip(st.columns(CARDS_IN_A_ROW), row, strict=True):
            with column:
                card(context, fact, area, area_name, month)
    st.caption(words("overview.signal"))

    by_code = {figure.code: figure for figure in figures.NATION}
    figure = by_code[choose_of(words, "figure", tuple(by_code), "figure")]
    region_tiles(context, figure, words(f"figure.{figure.code}"), month)


page()
