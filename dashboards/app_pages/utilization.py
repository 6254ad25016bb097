"""Utilization: one figure by month and by group, and where people travel for care."""

from __future__ import annotations

import polars as pl
import streamlit as st

from dashboards.components import charts
from dashboards.components.context import Context, open_context
from dashboards.components.exhibit import completeness_text, exhibit, page_title
from dashboards.components.figure_views import region_tiles
from dashboards.components.filters import choose_area, choose_of, choose_period, region_label
from dashboards.components.tables import columns_of, figure_months, spoken, texts
from dashboards.components.values import compact, count_value, period_text, with_values
from dashboards.queries import figures, reads
from dashboards.queries.figures import Figure
from dashboards.queries.reads import NATION, Area, Period

MILLION = 1_000_000


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
        caption=f"{area_name} · {period_text(words, period)}",
        chart=charts.bars(rows.select("label", "value", bar_texts(rows))),
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
    )


def bar_texts(rows: pl.DataFrame) -> pl.Series:
    """As `shown`, millions shortened: the whole number would not fit beside a bar on a phone."""
    return texts(
        "shown",
        [
            compact(value) if value is not None and value >= MILLION else text
            for value, text in rows.select("value", "shown").iter_rows()
        ],
    )


def flow(context: Context, period: Period) -> None:
    words = context.words
    rows = reads.patient_flow(context.serving, period)
    values = [
        count_value(words, number, status) for number, status in rows.select("n_visits", "n_visits_status").iter_rows()
    ]
    homes, treatments = (
        [region_label(words, code, short=True) for code in rows[column]] for column in ("home_code", "treatment_code")
    )
    rows = rows.with_columns(
        pl.Series("value", [value.number for value in values], dtype=pl.Float64),
        texts("shown", [value.text for value in values]),
        texts(
            "cell",
            [
                compact(value.number) if value.number is not None else "–" if status == "missing" else value.text
                for value, status in zip(values, rows["n_visits_status"], strict=True)
            ],
        ),
        texts("home", homes),
        texts("treatment", treatments),
    )
    exhibit(
        context,
        "flow",
        title=words("utilization.flow"),
        caption=words("utilization.flow_caption", period=period_text(words, period)),
        chart=charts.flow_matrix(
            rows.select("home", "treatment", "value", "cell", "shown"),
            list(dict.fromkeys(homes)),
            words("column.treatment"),
            words("column.home"),
        ),
        description=words("utilization.flow_alt", period=period_text(words, period)),
        measure_id=figures.PATIENT_FLOW,
        completeness=completeness_text(context, NATION, period),
        table=rows,
        columns={
            "home": words("column.home"),
            "treatment": words("column.treatment"),
            "shown": words("column.visits"),
        },
    )
    net_flow(context, rows, period)


def net_flow(context: Context, rows: pl.DataFrame, period: Period) -> None:
    """Inflow minus outflow of each region from the published cells; `rows` as `flow` has them."""
    words = context.words
    across = rows.filter(pl.col("home_code") != pl.col("treatment_code"))
    # A region none of whose cells is published has no net flow; its sum must not read as 0.
    known = pl.col("value").count() > 0
    sums = [
        across.group_by(pl.col(column).alias("area_code")).agg(
            pl.when(known).then(pl.col("value").sum()).otherwise(None).alias(name)
        )
        for column, name in (("treatment_code", "inflow"), ("home_code", "outflow"))
    ]
    table = (
        rows.select(pl.col("home_code").alias("area_code"), pl.col("home").alias("label"))
        .unique(maintain_order=True)
        .join(sums[0], on="area_code", how="left", maintain_order="left")
        .join(sums[1], on="area_code", how="left", maintain_order="left")
        .join(
            reads.registered_persons(context.serving, period),
            on="area_code",
            how="left",
            maintain_order="left",
        )
        .with_columns((pl.col("inflow") - pl.col("outflow")).alias("value"))
        .with_columns((1000 * pl.col("value") / pl.col("n_registered_persons")).alias("per_1000"))
    )
    missing = words("value.missing")

    def shown(column: str, form: str) -> pl.Series:
        return texts(f"{column}_shown", [missing if n is None else format(n, form) for n in table[column]])

    table = table.with_columns(
        shown("inflow", ",.0f"),
        shown("outflow", ",.0f"),
        shown("per_1000", "+,.1f"),
        shown("value", "+,.0f").alias("shown"),
    )
    exhibit(
        context,
        "net",
        title=words("utilization.net"),
        caption=words("utilization.net_caption"),
        chart=charts.net_bars(table.select("label", "value", "shown")),
        description=words("utilization.net_alt", period=period_text(words, period), values=spoken(table)),
        measure_id=figures.NET_FLOW,
        completeness=completeness_text(context, NATION, period),
        table=table,
        columns={
            "label": words("column.area"),
            "inflow_shown": words("column.inflow"),
            "outflow_shown": words("column.outflow"),
            "shown": words("column.net"),
            "per_1000_shown": words("column.net_per_1000"),
        },
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
    dimension = None
    if figure.dimensions:
        with boxes[3]:
            dimension = choose_of(words, "dimension", figure.dimensions, "dimension")
    left, right = st.columns(2, gap="large")
    with left:
        trend(context, figure, area, area_name, period)
    with right:
        if dimension:
            breakdown(context, figure, dimension, area, area_name, period)
        else:
            region_tiles(context, figure, words(f"figure.{figure.code}"), period)
    st.divider()
    flow(context, period)


page()
