"""What the data cannot say: for one measure, what weakens it now and by how much, here and in each region."""

from __future__ import annotations

import polars as pl
import streamlit as st

from dashboards.components import charts
from dashboards.components.context import Context, open_context
from dashboards.components.exhibit import completeness_text, exhibit, page_title
from dashboards.components.filters import choice, choose_area, region_label
from dashboards.components.tables import spoken, texts
from dashboards.components.values import with_values
from dashboards.queries import figures, reads
from dashboards.queries.reads import NATION, Area

COLUMNS = {
    "label": "weaknesses.weakness",
    "shown": "column.value",
    "numerator_shown": "weaknesses.affected",
    "denominator_shown": "weaknesses.asked",
    "of": "weaknesses.unit",
}


def with_names(context: Context, measure_id: str, rows: pl.DataFrame) -> pl.DataFrame:
    words = context.words
    rows = with_values(words, figures.weakness_of(measure_id), rows)
    return rows.with_columns(
        texts("label", [words.name(row) for row in rows.iter_rows(named=True)]),
        texts("of", [words(f"weaknesses.units.{unit}") for unit in rows["unit"]]),
    )


def here(context: Context, measure_id: str, measure: str, area: Area, area_name: str) -> pl.DataFrame:
    """All weaknesses of the measure in one area, the greatest first."""
    words = context.words
    rows = with_names(context, measure_id, reads.weaknesses(context.serving, measure_id, area))
    rows = rows.sort("value", descending=True, nulls_last=True, maintain_order=True)
    if rows.is_empty():
        st.info(words("weaknesses.none"))
        return rows
    exhibit(
        context,
        "weaknesses",
        title=words("weaknesses.here", measure=measure),
        caption=words("weaknesses.caption", area=area_name),
        chart=charts.bars(rows.select("label", "value", "shown")),
        description=words("weaknesses.here_alt", measure=measure, area=area_name, values=spoken(rows)),
        measure_id=measure_id,
        completeness=completeness_text(context, area, reads.periods(context.serving)[0]),
        table=rows,
        columns={name: words(key) for name, key in COLUMNS.items()},
    )
    return rows


def by_region(context: Context, measure_id: str, rows: pl.DataFrame) -> None:
    """One weakness in every region that a viewer may see."""
    words = context.words
    names = dict(rows.select("weakness_id", "label").iter_rows())
    chosen = choice(words("weaknesses.weakness"), "weakness", names, words.language)
    regions = reads.weakness_by_region(context.serving, measure_id, chosen)
    regions = with_values(words, figures.weakness_of(measure_id), regions).with_columns(
        texts("label", [region_label(words, code, short=True) for code in regions["area_code"]])
    )
    exhibit(
        context,
        "weakness_regions",
        title=words("weaknesses.by_region", weakness=names[chosen]),
        chart=charts.bars(regions.select("label", "value", "shown")),
        description=words("weaknesses.by_region_alt", weakness=names[chosen], values=spoken(regions)),
        measure_id=measure_id,
        completeness=completeness_text(context, NATION, reads.periods(context.serving)[0]),
        table=regions,
        columns={name: words(key) for name, key in (COLUMNS | {"label": "filter.region"}).items() if name != "of"},
    )


def page() -> None:
    context = open_context("weaknesses")
    words = context.words
    page_title(words, "weaknesses")
    measures = reads.weakened_measures(context.serving)
    if measures.is_empty():
        st.info(words("weaknesses.none"))
        return
    labels = {row["measure_id"]: f"{row['measure_id']} {words.name(row)}" for row in measures.iter_rows(named=True)}
    left, right = st.columns([3, 2])
    with left:
        measure_id = choice(words("filter.measure"), "measure", labels, words.language)
    with right:
        area, area_name = choose_area(context, provinces=False)
    rows = here(context, measure_id, labels[measure_id], area, area_name)
    if rows.height:
        by_region(context, measure_id, rows)


page()
