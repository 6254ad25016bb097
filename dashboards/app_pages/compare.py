"""Two areas, or two periods, side by side: every figure of a group, the difference, and how sure it is."""

from __future__ import annotations

from typing import Any

import polars as pl
import streamlit as st

from dashboards.components import charts
from dashboards.components.context import Context, open_context
from dashboards.components.difference import Interval, difference_of, overlap
from dashboards.components.exhibit import completeness_text, exhibit, page_title, tabled
from dashboards.components.figure_views import linkage_band
from dashboards.components.filters import choice, choose_area, choose_period
from dashboards.components.tables import columns_of, figure_months, spoken, texts
from dashboards.components.values import figure_value
from dashboards.queries import figures, reads
from dashboards.queries.figures import Figure, Unit
from dashboards.queries.reads import Area, Period
from ruam.measures import MEASURE_GROUPS
from ruam.words import Words

GROUPS = ("utilization", *MEASURE_GROUPS)
COLUMNS = ("first", "second", "difference", "interval", "verdict")
Side = tuple[Area, str, Period]


def choose_side(context: Context, name: str, suffix: str, place: int) -> Side:
    """One side: an area (by default the part of the nation at this place) and a period.

    In the URL of the second: `area_b`, `period_b`.
    """
    with st.container(border=True):
        st.markdown(f"**{context.words(f'compare.{name}')}**")
        area, area_name = choose_area(context, provinces=True, key=f"area{suffix}", first_part=place)
        period = choose_period(context, key=f"period{suffix}")
    return area, area_name, period


def figures_of(context: Context, group: str) -> dict[str, tuple[Figure, str]]:
    """The figures of a group by their code, each with its name."""
    words = context.words
    if group == "utilization":
        return {figure.code: (figure, words(f"figure.{figure.code}")) for figure in figures.UTILIZATION}
    stem = MEASURE_GROUPS[group]
    rows = reads.measured(context.serving).unique("measure_id", keep="first", maintain_order=True)
    return {
        row["measure_id"]: (figures.of_measure(row["measure_id"]), f"{row['measure_id']} {words.name(row)}")
        for row in rows.iter_rows(named=True)
        if row["measure_id"].startswith(f"{stem}-")
    }


def counts_of(context: Context, figure: Figure, side: Side) -> dict[str, Any]:
    area, _, period = side
    rows = reads.figure_of(context.serving, figure, area, period)
    if rows.height:
        return rows.row(0, named=True)
    return {"numerator": None, "denominator": None, "numerator_status": "missing", "denominator_status": "missing"}


def interval_of(figure: Figure, one: dict[str, Any], two: dict[str, Any]) -> Interval | None:
    """Of shares alone: a mean, or a rate to a population, is no share of its denominator."""
    counts = [side[name] for side in (one, two) for name in ("numerator", "denominator")]
    if figure.unit is not Unit.PERCENT or not figure.controlled or not all(isinstance(n, int) for n in counts):
        return None
    n_1, of_1, n_2, of_2 = counts
    return difference_of((n_1, of_1), (n_2, of_2)) if n_1 <= of_1 and n_2 <= of_2 else None


def row_of(
    words: Words, figure: Figure, name: str, one: dict[str, Any], two: dict[str, Any], apart: bool
) -> dict[str, Any]:
    """A row of the table, with `value`, `low` and `high` in percentage points where there is an interval."""
    first, second = figure_value(words, figure, one), figure_value(words, figure, two)
    row: dict[str, Any] = {"label": name, "first": first.text, "second": second.text}
    if first.number is None or second.number is None:
        return row | {"difference": "–", "interval": "–", "verdict": words("compare.unknown")}
    difference = second.number - first.number
    unit = words("value.points") if figure.unit is Unit.PERCENT else ""
    row |= {"value": difference, "difference": f"{difference:+z,.{figure.decimals}f}{unit}"}
    interval = interval_of(figure, one, two) if apart else None
    if interval is None:
        return row | {"interval": "–", "verdict": words("compare.no_interval")}
    low, high = 100 * interval.low, 100 * interval.high
    ends = words("compare.ends", low=f"{low:+z.{figure.decimals}f}", high=f"{high:+z.{figure.decimals}f}")
    verdict = "unclear" if interval.spans_zero else "higher" if low > 0 else "lower"
    return row | {"low": low, "high": high, "interval": ends, "verdict": words(f"verdict.{verdict}")}


def table_of(context: Context, group: str, first: Side, second: Side) -> pl.DataFrame:
    words = context.words
    apart = not overlap((first[0], first[2]), (second[0], second[2]))
    rows = [
        row_of(words, figure, name, counts_of(context, figure, first), counts_of(context, figure, second), apart)
        for figure, name in figures_of(context, group).values()
    ]
    schema = (
        {"label": pl.String} | dict.fromkeys(COLUMNS, pl.String) | dict.fromkeys(("value", "low", "high"), pl.Float64)
    )
    return pl.DataFrame(rows, schema=schema)


def differences(
    context: Context, rows: pl.DataFrame, known: dict[str, tuple[Figure, str]], first: Side, second: Side, chosen: str
) -> None:
    """All figures of a group; the files carry the definition of the one that is chosen."""
    words = context.words
    measure_id = known[chosen][0].measure_id
    columns = {
        "label": words("column.measure"),
        "first": "A",
        "second": "B",
        "difference": words("compare.difference"),
        "interval": words("compare.interval"),
        "verdict": words("compare.verdict"),
    }
    completeness = words(
        "compare.completeness",
        first=completeness_text(context, first[0], first[2]),
        second=completeness_text(context, second[0], second[2]),
    )
    tabled(
        context,
        "compared",
        title=words("compare.title"),
        measure_id=measure_id,
        completeness=completeness,
        table=rows,
        columns=columns,
        alt=words("compare.alt"),
        places={side[1]: side[0] for side in (first, second)},
        measures={figure.measure_id: name for figure, name in known.values()},
    )
    shown = rows.filter(pl.col("low").is_not_null())
    if shown.is_empty():
        st.info(words("compare.nothing_to_draw"), icon=":material/info:")
        return
    drawn = shown.with_columns(
        texts("shown", [f"{change} ({ends})" for change, ends in shown.select("difference", "interval").iter_rows()])
    )
    exhibit(
        context,
        "differences",
        title=words("compare.chart"),
        caption=words("compare.caption"),
        chart=charts.differences(drawn.select("label", "value", "low", "high", "shown"), words("axis.points")),
        description=words("compare.chart_alt", values=spoken(drawn)),
        measure_id=measure_id,
        completeness=completeness,
        table=drawn,
        columns=columns,
    )


def months(context: Context, figure: Figure, name: str, first: Side, second: Side) -> None:
    """The figure of both areas by month; one line where both sides are one area. Before it what linkage leaves open."""
    words = context.words
    for letter, (area, area_name, period) in zip("AB", (first, second), strict=True):
        if band := linkage_band(context, figure, area, period):
            st.markdown(f"{letter} · {area_name}: {band}")
    sides = {first[1]: first[0]} | {second[1]: second[0]}
    rows = pl.concat(
        figure_months(context, figure, area).with_columns(pl.lit(area_name).alias("area"))
        for area_name, area in sides.items()
    )
    exhibit(
        context,
        "months",
        title=words("overview.trend", figure=name),
        caption=" · ".join(sides),
        chart=charts.trend(
            rows.select("label", pl.col("area").alias("series"), "value", "shown"),
            list(sides),
            words("axis.month"),
            words(f"unit.{figure.unit}"),
        ),
        description=words("compare.months_alt", figure=name, areas=", ".join(sides)),
        measure_id=figure.measure_id,
        completeness=completeness_text(context, first[0], first[2]),
        table=rows,
        columns=columns_of(context, figure, "area", "month"),
        places=sides,
    )


def page() -> None:
    context = open_context("compare")
    words = context.words
    page_title(words, "compare")
    left, right = st.columns(2)
    with left:
        first = choose_side(context, "first", "", 0)
    with right:
        second = choose_side(context, "second", "_b", 1)
    shown = {code: words(f"compare_group.{code}") for code in GROUPS}
    group = choice(words("filter.compare"), "compare", shown, words.language, style="segments")
    known = figures_of(context, group)
    if not known:
        st.info(words("explore.nothing"), icon=":material/search_off:")
        return
    if overlap((first[0], first[2]), (second[0], second[2])):
        st.info(words("compare.overlap"), icon=":material/join_inner:")
    rows = table_of(context, group, first, second)
    names = {code: name for code, (_, name) in known.items()}
    answer = st.container()
    chosen = choice(words("filter.compared"), "compared", names, words.language)
    figure, name = known[chosen]
    with answer:
        differences(context, rows, known, first, second, chosen)
    months(context, figure, name, first, second)


page()
