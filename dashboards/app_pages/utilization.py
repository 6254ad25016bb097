"""Utilization: one figure by month, and by group or region."""

from __future__ import annotations

import polars as pl
import streamlit as st

from dashboards.components import charts
from dashboards.components.context import Context, open_context
from dashboards.components.exhibit import completeness_text, exhibit, page_title
from dashboards.components.figure_views import region_tiles
from dashboards.components.filters import choose_area, choose_of, choose_period
from dashboards.components.tables import columns_of, figure_months, spoken, texts
from dashboards.components.values import compact, period_text, with_values
from dashboards.queries import figures, reads
from dashboards.queries.figures import Figure
from dashboards.queries.reads import NATION, Area, Period
from ruam.words import Words

MILLION = 1_000_000
EXPLAINED = ("age_band", "condition_group", "office_hours")
"""Dimensions whose members do not say by themselves how a visit comes to be one of them."""


def trend(context: Context, figure: Figure, area: Area, area_name: str, period: Period) -> None:
    """A rate stands beside the nation's; a count does not, for the nation's would flatten it."""
    words = context.words
    series = {area_name: area}
    if figure.denominator is not None:
        series[words("area.nation")] = NATION
    rows = pl.concat(
        figure_months(context, figure, one).with_columns(pl.lit(name).alias("series")) for name, one in series.items()
    ).rename({"series": "area"})
    exhibit(
        context,
        "trend",
        title=words("utilization.trend", figure=words(f"figure.{figure.code}")),
        caption=area_name,
        chart=charts.trend(
            rows.select("label", pl.col("area").alias("series"), "value", "shown"),
            list(series),
            words("axis.month"),
            words(f"unit.{figure.unit}"),
        ),
        description=words("utilization.trend_alt", figure=words(f"figure.{figure.code}"), area=area_name),
        measure_id=figure.measure_id,
        completeness=completeness_text(context, area, period),
        table=rows,
        columns=columns_of(context, figure, "area", "month"),
        places=series,
    )


def breakdown(context: Context, figure: Figure, dimension: str, area: Area, area_name: str, period: Period) -> None:
    words = context.words
    rows = with_values(
        words, figure, reads.figure_by_member(context.serving, figure, dimension, area, period)
    ).with_columns(pl.col(f"label_{words.language}").alias("label"))
    names = {
        "figure": words(f"figure.{figure.code}"),
        "dimension": words(f"dimension.{dimension}"),
    }
    exhibit(
        context,
        "breakdown",
        title=words("utilization.bars", **names),
        caption=" · ".join(
            [
                area_name,
                period_text(words, period),
                *([words(f"utilization.by.{dimension}")] if dimension in EXPLAINED else []),
            ]
        ),
        chart=charts.bars(rows.select("label", "value", bar_texts(words, rows))),
        description=words(
            "utilization.bars_alt",
            **names,
            area=area_name,
            period=period_text(words, period),
            values=spoken(rows),
        ),
        measure_id=figure.measure_id,
        completeness=completeness_text(context, area, period),
        table=rows.with_columns(pl.col("label").alias("member")),
        columns=columns_of(context, figure, "member"),
        places={area_name: area},
    )


def bar_texts(words: Words, rows: pl.DataFrame) -> pl.Series:
    """As `shown`, millions shortened: the whole number would not fit beside a bar on a phone."""
    return texts(
        "shown",
        [
            compact(words, value) if value is not None and value >= MILLION else text
            for value, text in rows.select("value", "shown").iter_rows()
        ],
    )


def page() -> None:
    context = open_context("utilization")
    page_title(context.words, "utilization")
    by_code = {figure.code: figure for figure in figures.UTILIZATION}
    words = context.words
    boxes = st.columns(4)
    with boxes[0]:
        figure = by_code[choose_of(context.words, "figure", tuple(by_code), "figure")]
    with boxes[1]:
        area, area_name = choose_area(context, provinces=True)
    with boxes[2]:
        period = choose_period(context)
    with boxes[3]:
        dimension = choose_of(words, "dimension", figure.dimensions, "dimension")
    left, right = st.columns(2, gap="large")
    with left:
        trend(context, figure, area, area_name, period)
    with right:
        if dimension == figures.REGION:
            region_tiles(context, figure, words(f"figure.{figure.code}"), period)
        else:
            breakdown(context, figure, dimension, area, area_name, period)


page()
