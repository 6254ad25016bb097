"""Measures of the library, as pages show them: a table of several, one of them as a card, and cut by a dimension."""

from __future__ import annotations

from functools import partial
from typing import Any

import polars as pl
import streamlit as st

from dashboards.components import charts
from dashboards.components.context import Context
from dashboards.components.exhibit import completeness_text, exhibit, notes, tabled
from dashboards.components.filters import choice, choose_of
from dashboards.components.tables import columns_of, spoken, texts
from dashboards.components.values import (
    band_text,
    count_value,
    figure_value,
    interval_text,
    period_text,
    standardized_text,
    with_values,
)
from dashboards.queries import figures, reads
from dashboards.queries.figures import Figure
from dashboards.queries.reads import Area, Period
from ruam.words import Words

COLUMNS = {
    "label": "column.measure",
    "shown": "column.value",
    "interval": "column.interval",
    "band": "column.band",
    "numerator_shown": "column.numerator",
    "denominator_shown": "column.denominator",
    "persons": "column.persons",
    "cost": "column.cost",
    "median_cost": "column.median_cost",
    "mean": "column.mean",
    "inputs": "column.inputs",
}
"""Of the table of results, with the key of each heading."""


def results(context: Context, ids: tuple[str, ...], area: Area, period: Period, variant: str = "main") -> pl.DataFrame:
    """measure_id and `COLUMNS` as text, one row for each registered measure whose id begins as one of `ids` does."""
    words = context.words
    rows = reads.measure_results(context.serving, area, period, list(ids), variant)
    found = []
    for row in rows.iter_rows(named=True):
        figure = figures.of_measure(row["measure_id"])
        count = partial(count_value, words)
        found.append(
            {
                "label": f"{row['measure_id']} {words.name(row)}",
                "shown": figure_value(words, figure, row).text,
                "interval": interval_text(figure, row["rate_low"], row["rate_high"]),
                "band": band_text(words, figure, row) or "–",
                "numerator_shown": count(row["numerator"], row["numerator_status"]).text,
                "denominator_shown": count(row["denominator"], row["denominator_status"]).text,
                "persons": count(row["n_persons"], row["n_persons_status"]).text,
                "cost": "–" if row["cost"] is None else f"{row['cost']:,.0f}",
                "median_cost": "–" if row["median_cost"] is None else f"{row['median_cost']:,.0f}",
                "mean": "–" if row["mean_value"] is None else f"{row['mean_value']:.2f}",
                "inputs": inputs_text(words, row),
                "standardized": standardized_text(row),
            }
        )
    columns = dict.fromkeys((*COLUMNS, "standardized"), pl.String)
    return rows.select("measure_id").hstack(pl.DataFrame(found, schema=columns))


def inputs_text(words: Words, row: dict[str, object]) -> str:
    """Whether the files came that the measure is made of: a count without them is unknown, and no 0."""
    status = row["status"] or "none"
    expected, received = row["n_reports_expected"], row["n_reports_received"]
    share = 100 * received / expected if isinstance(received, int) and isinstance(expected, int) and expected else 0
    return words(f"input_status.{status}", share=f"{share:.0f}")


def summary(
    context: Context,
    rows: pl.DataFrame,
    measure_id: str,
    area: Area,
    area_name: str,
    period: Period,
    completeness: str,
) -> None:
    """All of them as a table; the files carry the definition of the measure that is looked at below."""
    words = context.words
    headings = {column: words(heading) for column, heading in COLUMNS.items()}
    title = f"{area_name} · {period_text(words, period)}"
    st.subheader(title, anchor=False)
    tabled(
        context,
        "measures",
        title=title,
        measure_id=measure_id,
        completeness=completeness,
        table=rows,
        columns=headings,
        alt=words("measures.table_alt"),
        places={area_name: area},
        measures=dict(rows.select("measure_id", "label").iter_rows()),
    )
    st.caption(words("measures.signal"))


def choose_measure(context: Context, rows: pl.DataFrame) -> dict[str, Any]:
    """One of the rows of `results`; in the URL `measure=RED-01`."""
    labels = dict(rows.select("measure_id", "label").iter_rows())
    measure_id = choice(context.words("filter.measure"), "measure", labels, context.words.language)
    return rows.row(by_predicate=pl.col("measure_id") == measure_id, named=True)


def chosen_card(context: Context, chosen: dict[str, Any], area: Area, area_name: str, completeness: str) -> None:
    words = context.words
    with st.container(border=True):
        st.metric(chosen["label"], chosen["shown"])
        st.markdown(words("measures.around", interval=chosen["interval"], band=chosen["band"]))
        if chosen["standardized"] != "–":
            st.markdown(words("measures.standardized", rate=chosen["standardized"]))
        notes(context, "chosen", chosen["measure_id"], completeness, places={area_name: area})


def cut(context: Context, figure: Figure, name: str, area: Area, area_name: str, period: Period) -> None:
    """The measure by the members of one dimension."""
    words = context.words
    dimension = choose_of(words, "cut", figures.CUTS, "cut", style="segments")
    rows = reads.measure_by_member(context.serving, figure.measure_id, dimension, area, period)
    names = {"figure": name, "dimension": words(f"cut.{dimension}")}
    if rows.is_empty():
        st.info(words("measures.not_cut", dimension=names["dimension"]))
        return
    rows = with_values(words, figure, rows)
    rows = rows.with_columns(
        texts("label", [words.name(row, "label") for row in rows.iter_rows(named=True)]),
        texts("interval", [interval_text(figure, *ends) for ends in rows.select("rate_low", "rate_high").iter_rows()]),
    )
    exhibit(
        context,
        "cut",
        title=words("measures.cut", **names),
        caption=f"{area_name} · {period_text(words, period)}",
        chart=charts.bars(rows.select("label", "value", "shown")),
        description=words(
            "measures.cut_alt", **names, area=area_name, period=period_text(words, period), values=spoken(rows)
        ),
        measure_id=figure.measure_id,
        completeness=completeness_text(context, area, period),
        table=rows.with_columns(pl.col("label").alias("member")),
        columns=columns_of(context, figure, "member") | {"interval": words("column.interval")},
        places={area_name: area},
    )
