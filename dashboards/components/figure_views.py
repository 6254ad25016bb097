"""Views of one figure that pages share: over the health regions, and by month."""

from __future__ import annotations

import polars as pl

from dashboards.components import charts
from dashboards.components.context import Context
from dashboards.components.exhibit import completeness_text, exhibit
from dashboards.components.filters import region_label
from dashboards.components.tables import columns_of, figure_months, last_known, spoken, texts
from dashboards.components.values import period_text, with_values
from dashboards.queries import reads
from dashboards.queries.figures import Figure
from dashboards.queries.reads import NATION, Area, Period

SMALLEST_COVERAGE = 0.5
"""Of facilities that reported: below it a figure says more of reporting than of care, and is not coloured."""


def region_tiles(context: Context, figure: Figure, name: str, period: Period) -> None:
    """A figure, called `name`, over the 13 regions."""
    words = context.words
    rows = with_values(words, figure, reads.figure_by_region(context.serving, figure, period))
    coverage = [
        (reported or 0) / expected if expected else 0.0
        for reported, expected in rows.select("n_reports_received", "n_reports_expected").iter_rows()
    ]
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
    )


def month_trend(context: Context, figure: Figure, name: str, area: Area, area_name: str, period: Period) -> None:
    """A figure, called `name`, of one area by month."""
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
