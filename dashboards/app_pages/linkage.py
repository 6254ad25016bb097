"""Linkage quality: who cannot be followed from one facility to another, and how much that leaves measures open."""

from __future__ import annotations

import polars as pl
import streamlit as st

from dashboards.components import charts
from dashboards.components.context import Context, open_context
from dashboards.components.exhibit import completeness_text, exhibit, page_title, tabled
from dashboards.components.figure_views import places_of
from dashboards.components.filters import choice, choose_area, region_label
from dashboards.components.tables import columns_of, spoken, texts
from dashboards.components.values import Status, figure_value, period_text, wide_counts, with_values
from dashboards.queries import figures, reads
from dashboards.queries.reads import NATION, Area, Period
from ruam.measures import MEASURE_GROUPS

NOT_FOLLOWED = "person_not_followed"
"""The weakness of a visit whose person has no usable number."""


def by_measure(context: Context, area: Area, area_name: str, completeness: str) -> pl.DataFrame:
    """A bar for each measure that follows people; gives their rows, none where nothing is known."""
    words = context.words
    rows = reads.weakness_by_measure(context.serving, NOT_FOLLOWED, area)
    if rows.is_empty():
        st.info(words("weaknesses.none"))
        return rows
    figure = figures.weakness_of(rows["measure_id"][0])
    rows = with_values(words, figure, rows).with_columns(
        texts("label", [f"{row['measure_id']} {words.name(row)}" for row in rows.iter_rows(named=True)])
    )
    exhibit(
        context,
        "not_followed",
        title=words("linkage.not_followed"),
        caption=words("weaknesses.caption", area=area_name),
        chart=charts.bars(rows.select(pl.col("measure_id").alias("label"), "value", "shown")),
        description=words("linkage.not_followed_alt", area=area_name, values=spoken(rows)),
        measure_id=figure.measure_id,
        completeness=completeness,
        table=rows,
        columns={"label": words("column.measure")} | columns_of(context, figure),
        places={area_name: area},
    )
    return rows


def by_region(context: Context, measure_id: str, name: str) -> None:
    words, figure = context.words, figures.weakness_of(measure_id)
    rows = with_values(words, figure, reads.weakness_by_region(context.serving, measure_id, NOT_FOLLOWED))
    rows = rows.with_columns(
        pl.lit("region").alias("area_level"),
        texts("label", [region_label(words, code, short=True) for code in rows["area_code"]]),
    )
    exhibit(
        context,
        "not_followed_regions",
        title=words("linkage.by_region"),
        caption=name,
        chart=charts.bars(rows.select("label", "value", "shown")),
        description=words("linkage.by_region_alt", measure=name, values=spoken(rows)),
        measure_id=measure_id,
        completeness=completeness_text(context, NATION, reads.periods(context.serving)[0]),
        table=rows,
        columns={"label": words("column.area")} | columns_of(context, figure),
        places=places_of(rows, "label"),
    )


def thresholds(context: Context, area: Area, area_name: str, period: Period, completeness: str) -> None:
    """Each measure at the threshold in force and at the wide one, those that change most first."""
    words = context.words
    stems = [f"{stem}-" for stem in MEASURE_GROUPS.values()]
    found = []
    for row in reads.measure_results(context.serving, area, period, stems).iter_rows(named=True):
        if row["wide_numerator_status"] == Status.MISSING:
            continue
        figure = figures.of_measure(row["measure_id"])
        one, wide = figure_value(words, figure, row), figure_value(words, figure, wide_counts(row))
        change = None if one.number is None or wide.number is None else wide.number - one.number
        found.append(
            {"measure_id": row["measure_id"], "label": f"{row['measure_id']} {words.name(row)}"}
            | {"shown": one.text, "wide": wide.text, "size": None if change is None else abs(change)}
            | {"change": "–" if change is None else f"{change:+z,.2f}{words('value.points')}"}
        )
    title = words("linkage.thresholds")
    st.subheader(title, anchor=False)
    st.markdown(words("linkage.thresholds_caption", area=area_name, period=period_text(words, period)))
    if not found:
        st.info(words("linkage.no_thresholds"))
        return
    rows = pl.DataFrame(found, schema_overrides={"size": pl.Float64}).sort(
        "size", descending=True, nulls_last=True, maintain_order=True
    )
    tabled(
        context,
        "thresholds",
        title=title,
        measure_id=rows["measure_id"][0],
        completeness=completeness,
        table=rows,
        columns={
            "label": words("column.measure"),
            "change": words("linkage.change"),
            "shown": words("linkage.in_force"),
            "wide": words("linkage.wide"),
        },
        places={area_name: area},
        measures=dict(rows.select("measure_id", "label").iter_rows()),
    )


def page() -> None:
    context = open_context("linkage")
    words = context.words
    page_title(words, "linkage")
    area, area_name = choose_area(context, provinces=False)
    period = reads.periods(context.serving)[0]
    completeness = completeness_text(context, area, period)
    left, right = st.columns(2, gap="large")
    with left:
        rows = by_measure(context, area, area_name, completeness)
    if rows.height:
        with right:
            names = dict(rows.select("measure_id", "label").iter_rows())
            chosen = choice(words("filter.measure"), "measure", names, words.language)
            by_region(context, chosen, names[chosen])
    thresholds(context, area, area_name, period, completeness)


page()
