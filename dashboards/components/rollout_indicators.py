"""The fifteen rollout indicators: what is computed, what was given and by whom, and what is not measured yet."""

from __future__ import annotations

import polars as pl
import streamlit as st

from dashboards.components.context import Context
from dashboards.components.exhibit import notes
from dashboards.components.filters import choice
from dashboards.components.tables import named_table
from dashboards.components.values import date_text, figure_value
from dashboards.queries import figures, reads
from dashboards.queries.reads import Area
from ruam.words import Words

COLUMNS = ("indicator", "shown", "unit", "state", "as_of", "given_by", "source")
WIDE_UNITS = {"percent": 1, "per_1000_visits": 1, "days": 1}
"""Decimals of units that are no counts."""


def rollout_indicators(context: Context, area: Area) -> None:
    words = context.words
    rows = _with_telehealth(context, reads.indicators(context.serving, area), area)
    shown = pl.DataFrame([indicator_row(words, row) for row in rows.iter_rows(named=True)])
    st.header(words("indicator.title"), anchor=False)
    st.markdown(words("indicator.lead"))
    named_table(shown, {name: words(f"indicator.column.{name}") for name in COLUMNS}, words("indicator.alt"))
    known = rows.filter(pl.col("value").is_not_null())["indicator_id"].n_unique()
    names = {row["indicator_id"]: row for row in rows.iter_rows(named=True)}
    labels = {
        code: f"{code} {words.name(reads.definition(context.serving, code) or {'name_th': words.name(row, 'label')})}"
        for code, row in names.items()
    }
    code = choice(words("filter.indicator"), "indicator", labels, words.language)
    notes(context, "indicators", code, words("indicator.completeness", known=known, total=len(names)))


def _with_telehealth(context: Context, rows: pl.DataFrame, area: Area) -> pl.DataFrame:
    """RO-09 is a share of visits, made of published counts as every rate is; a given value stays beside it."""
    period = reads.periods(context.serving)[0]
    counts = reads.figure_of(context.serving, figures.TELEHEALTH, area, period)
    number = (
        figure_value(context.words, figures.TELEHEALTH, counts.row(0, named=True)).number if counts.height else None
    )
    if number is None:
        return rows
    found = []
    for row in rows.iter_rows(named=True):
        if row["series"] == figures.TELEHEALTH.code:
            found.append(
                row
                | {
                    "value": number,
                    "origin": "computed",
                    "period_start": period.period_start,
                    "period_end": period.period_end,
                    "known_on": context.publication.data_to,
                    "source": "SERVICE",
                    "given_by": None,
                }
            )
        if row["series"] != figures.TELEHEALTH.code or row["value"] is not None:
            found.append(row)
    return pl.DataFrame(found, schema=rows.schema)


def indicator_row(words: Words, row: dict[str, object]) -> dict[str, str]:
    """`COLUMNS` of one series as people read them; what is not measured has no number and names its feed."""
    value = row["value"]
    common = {
        "indicator": f"{row['indicator_id']} {words.name(row, 'label')}",
        "unit": words(f"indicator.unit.{row['unit']}"),
    }
    if not isinstance(value, float):
        return common | {
            "shown": "–",
            "state": words("indicator.state.missing"),
            "as_of": "–",
            "given_by": "–",
            "source": words("indicator.feed", feed=words.name(row, "feed")),
        }
    end = row["known_on"]
    return common | {
        "shown": f"{value:,.{WIDE_UNITS.get(str(row['unit']), 0)}f}",
        "state": words(f"indicator.state.{row['origin']}"),
        "as_of": date_text(words, end),  # type: ignore[arg-type]  # a date column of the file
        "given_by": str(row["given_by"] or words("indicator.ruam")),
        "source": words.name(row, "feed") if row["origin"] == "computed" else str(row["source"]),
    }
