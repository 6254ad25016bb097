"""Views of one figure that pages share: a card, over the health regions, over the provinces, and by month."""

from __future__ import annotations

import polars as pl
import streamlit as st

from dashboards.components import charts
from dashboards.components.annotations import analysts_notes
from dashboards.components.context import Context
from dashboards.components.exhibit import completeness_text, exhibit, notes
from dashboards.components.filters import place_label, region_label
from dashboards.components.maps import credit, map_groups
from dashboards.components.tables import columns_of, figure_months, last_known, spoken, texts
from dashboards.components.values import (
    band_text,
    change_text,
    figure_value,
    number_text,
    period_text,
    with_values,
)
from dashboards.queries import reads
from dashboards.queries.figures import Figure
from dashboards.queries.reads import NATION, Area, Period

SMALLEST_COVERAGE = 0.5
"""Of facilities that reported: below it a figure says more of reporting than of care, and is not coloured."""
PROVINCE_WIDTH = 175
"""Pixels of the longest name of a province, which is not to be cut on a phone."""
SPOKEN_PROVINCES = 10
"""Of the map, by its alternative text; the table has them all."""


def figure_name(context: Context, figure: Figure) -> str:
    """As pages call it; a measure of the library by its id and its name in the registry."""
    if figure.table != "agg_measure_results":
        return context.words(f"figure.{figure.code}")
    return f"{figure.measure_id} {context.words.name(reads.definition(context.serving, figure.measure_id) or {})}"


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
            st.markdown(band)
        if months["value"].count():
            st.vega_lite_chart(
                spec=charts.sparkline(months.select("label", "value", "shown")).spec,
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
            places={area_name: area},
        )


def linkage_band(context: Context, figure: Figure, area: Area, period: Period) -> str | None:
    """The rate at both linkage thresholds in words, of figures that have it."""
    if figure.table != "agg_measure_results":
        return None
    rows = reads.measure_results(context.serving, area, period, [figure.measure_id])
    band = band_text(context.words, figure, rows.row(0, named=True)) if rows.height else None
    return context.words("overview.band", band=band) if band else None


def region_tiles(context: Context, figure: Figure, name: str, period: Period) -> None:
    """A figure, called `name`, over the 13 regions."""
    words = context.words
    rows = with_values(words, figure, reads.figure_by_area(context.serving, figure, "region", period))
    coverage = coverage_of(rows)
    rows = rows.with_columns(
        texts("label", [region_label(words, code, short=True) for code in rows["area_code"]]),
        texts("coverage", [words("overview.coverage", share=f"{100 * share:.0f}") for share in coverage]),
        pl.Series("is_comparable", [share >= SMALLEST_COVERAGE for share in coverage]) & pl.col("value").is_not_null(),
        texts("area", [region_label(words, code) for code in rows["area_code"]]),
    )
    exhibit(
        context,
        "tiles",
        title=words("overview.tiles", figure=name),
        caption=words("overview.tiles_caption", period=period_text(words, period)),
        chart=charts.tile_grid(
            rows.select("tile_row", "tile_column", "label", "value", "shown", "coverage", "is_comparable")
        ),
        description=words(
            "overview.tiles_alt",
            figure=name,
            period=period_text(words, period),
            values=spoken(rows),
        ),
        measure_id=figure.measure_id,
        completeness=completeness_text(context, NATION, period),
        table=rows,
        columns=columns_of(context, figure, "area") | {"coverage": words("figure.completeness")},
        places=places_of(rows, "area"),
    )


def places_of(rows: pl.DataFrame, name: str) -> dict[str, Area]:
    """The areas of a figure's rows by the name in a column: those about which an analyst may have said something."""
    told = rows.select(name, "area_level", "area_code").iter_rows()
    return {label: Area(area_level=level, area_code=code) for label, level, code in told}


def coverage_of(rows: pl.DataFrame) -> list[float]:
    """The share of expected monthly reports that came, by row."""
    return [
        (reported or 0) / expected if expected else 0.0
        for reported, expected in rows.select("n_reports_received", "n_reports_expected").iter_rows()
    ]


def province_figure_map(context: Context, figure: Figure, name: str, area: Area, period: Period) -> None:
    """A figure, called `name`, over the provinces: the map, and the table beside it. `area` is marked on the map."""
    words = context.words
    rows = with_values(words, figure, reads.figure_by_area(context.serving, figure, "province", period))
    coverage = coverage_of(rows)
    is_comparable = [share >= SMALLEST_COVERAGE for share in coverage]
    values = [
        value if comparable else None for value, comparable in zip(rows["value"].to_list(), is_comparable, strict=True)
    ]
    group, groups = map_groups(values, lambda number: number_text(figure, number))
    rows = rows.with_columns(
        group,
        texts("label", [place_label(words, "province", code) for code in rows["area_code"]]),
        texts("region", [region_label(words, code, short=True) for code in rows["parent_code"]]),
        texts("coverage", [f"{100 * share:.0f}%" for share in coverage]),
    )
    table = rows.sort("value", descending=True, nulls_last=True, maintain_order=True)
    columns = {
        "label": words("column.province"),
        "region": words("column.region"),
        **columns_of(context, figure),
        "coverage": words("figure.completeness"),
    }
    left, right = st.columns(2, gap="large")
    with left:
        exhibit(
            context,
            "provinces",
            title=words("map.title", figure=name),
            caption=words("map.caption", period=period_text(words, period)),
            chart=charts.province_map(
                rows.select(pl.col("area_code").alias("province_code"), "label", "shown", "group"),
                groups,
                area.area_code if area.area_level == "province" else None,
            ),
            description=words(
                "map.alt", figure=name, period=period_text(words, period), values=spoken(table.head(SPOKEN_PROVINCES))
            ),
            measure_id=figure.measure_id,
            completeness=completeness_text(context, area, period),
            table=table,
            columns=columns,
            places=places_of(rows, "label"),
        )
        st.caption(credit(words))
    with right:
        st.subheader(words("map.table", figure=name), anchor=False)
        st.dataframe(
            table.select(list(columns)).rename(columns).to_arrow(),
            hide_index=True,
            alt=words("map.table", figure=name),
            key="beside_provinces",
            height=680,
            column_config={columns["label"]: st.column_config.TextColumn(width=PROVINCE_WIDTH)},
        )


def month_trend(context: Context, figure: Figure, name: str, area: Area, area_name: str, period: Period) -> None:
    """A figure, called `name`, of one area by month, and what analysts said about it."""
    words = context.words
    rows = figure_months(context, figure, area).with_columns(pl.lit(area_name).alias("series"))
    exhibit(
        context,
        "trend",
        title=words("overview.trend", figure=name),
        caption=area_name,
        chart=charts.trend(
            rows.select("label", "series", "value", "shown"),
            [area_name],
            words("axis.month"),
            words(f"unit.{figure.unit}"),
            height=440,
        ),
        description=words(
            "overview.spark_alt",
            figure=name,
            area=area_name,
            last=last_known(rows),
        ),
        measure_id=figure.measure_id,
        completeness=completeness_text(context, area, period),
        table=rows,
        columns=columns_of(context, figure, "month"),
    )
    analysts_notes(context, figure.measure_id, area, period)
