"""What going live changed: the study's event-time chart, never without what it assumes and how its checks came out."""

from __future__ import annotations

from datetime import date

import polars as pl
import streamlit as st

from dashboards.components import charts
from dashboards.components.context import Context
from dashboards.components.exhibit import exhibit
from dashboards.components.filters import choose_of
from dashboards.components.tables import texts
from dashboards.components.values import date_text, month_text
from dashboards.queries import figures, reads
from ruam.words import Words

ASSUMPTIONS = ("trends", "anticipation", "spill", "home", "partial")
"""Keys of what must hold, in `effect.assume`."""

Row = dict[str, object]


def rollout_effects(context: Context) -> None:
    words = context.words
    by_code = {figure.code: figure for figure in figures.STUDIED}
    st.header(words("effect.title"), anchor=False)
    figure = by_code[choose_of(words, "effect", tuple(by_code), "figure", style="segments")]
    rows = reads.rollout_effects(context.serving, figure.measure_id)
    if rows.is_empty():
        st.info(words("effect.none"))
        return
    found = {(row["part"], row["term"]): row for row in rows.iter_rows(named=True)}
    overall, leads, fake = found["overall", "all"], found["placebo", "leads"], found["placebo", "fake_dates"]
    name = words(f"figure.{figure.code}")
    if overall["verdict"] == "not_possible":
        # No effect without its checks.
        st.warning(words("effect.not_possible"), icon=":material/block:")
    else:
        _verdict(words, overall, name)
        _chart(context, rows, overall, name)
    st.markdown("\n".join([f"**{words('effect.checks')}**", "", *(f"- {one}" for one in checks(words, leads, fake))]))
    st.markdown(
        "\n".join(
            [f"**{words('effect.assumptions')}**", "", *(f"- {words(f'effect.assume.{key}')}" for key in ASSUMPTIONS)]
        )
    )


def points(number: object) -> str:
    """`+3.2`, percentage points."""
    return f"{number:+z.1f}" if isinstance(number, float) else "–"


def interval(words: Words, row: Row) -> str:
    if row["effect_low"] is None:
        return "–"
    return words("effect.interval", low=points(row["effect_low"]), high=points(row["effect_high"]))


def sentence(words: Words, overall: Row, name: str) -> str:
    """The whole effect in words; no direction is named when the interval holds 0."""
    effect, low, high = overall["effect"], overall["effect_low"], overall["effect_high"]
    if not isinstance(effect, float) or not isinstance(low, float) or not isinstance(high, float):
        return words("value.missing")
    key = "rose" if low > 0 else "fell" if high < 0 else "unclear"
    return words(
        f"effect.{key}",
        figure=name,
        size=f"{abs(effect):.1f}",
        interval=interval(words, overall),
        live=overall["n_provinces"],
        idle=overall["n_controls"],
    )


def checks(words: Words, leads: Row, fake: Row) -> list[str]:
    """A sentence for each placebo check."""
    p_value, share = leads["p_value"], fake["p_value"]
    return [
        words(f"effect.leads_{leads['verdict']}", p="–" if p_value is None else f"{p_value:.2f}"),
        words(f"effect.fake_{fake['verdict']}", share="–" if not isinstance(share, float) else f"{100 * share:.0f}"),
    ]


def _verdict(words: Words, overall: Row, name: str) -> None:
    text = sentence(words, overall, name)
    if overall["verdict"] == "failed":
        st.error(f"{words('effect.failed')} {text}", icon=":material/warning:")
    else:
        st.markdown(text)


def _chart(context: Context, rows: pl.DataFrame, overall: Row, name: str) -> None:
    words = context.words
    events = rows.filter(pl.col("part") == "event").sort("event_month")
    weights = [
        words("effect.weight", month=month_text(words, _first_day(row)), share=f"{100 * row['weight']:.0f}")
        for row in rows.filter(pl.col("part") == "cohort").sort("term").iter_rows(named=True)
    ]
    shown = [_shown(words, row) for row in events.iter_rows(named=True)]
    table = rows.filter(pl.col("part").is_in(["event", "cohort"])).sort("part", "event_month", "term", descending=False)
    table = table.with_columns(
        texts("term_shown", [_term(words, row) for row in table.iter_rows(named=True)]),
        texts("effect_shown", [points(value) for value in table["effect"]]),
        texts("interval_shown", [interval(words, row) for row in table.iter_rows(named=True)]),
        texts("weight_shown", ["–" if one is None else f"{100 * one:.0f}%" for one in table["weight"]]),
    )
    first, last = (overall[end] for end in ("data_from", "data_to"))
    exhibit(
        context,
        "effects",
        title=words("effect.chart", figure=name),
        caption=words(
            "effect.caption",
            first=month_text(words, first) if isinstance(first, date) else "–",
            last=month_text(words, last) if isinstance(last, date) else "–",
            weights=", ".join(weights),
            left_out=overall["n_left_out"],
        ),
        chart=charts.event_study(
            events.select("event_month", "effect", "effect_low", "effect_high", texts("shown", shown)),
            words("axis.event_month"),
            words("axis.points"),
        ),
        description=words("effect.alt", figure=name, values="; ".join(shown)),
        measure_id=figures.EFFECTS,
        completeness=_completeness(words, overall),
        table=table,
        columns={
            "term_shown": words("column.event"),
            "effect_shown": words("column.effect"),
            "interval_shown": words("column.effect_interval"),
            "n_provinces": words("column.n_provinces"),
            "weight_shown": words("column.weight"),
        },
    )


def _completeness(words: Words, overall: Row) -> str:
    received, expected = (int(str(overall[f"n_reports_{what}"])) for what in ("received", "expected"))
    if not expected:
        return words("note.completeness_missing")
    studied = overall["studied_on"]
    counts = words(
        "note.completeness",
        reported=f"{received:,}",
        expected=f"{expected:,}",
        share=f"{100 * received / expected:.1f}",
    )
    made = words("effect.studied_on", day=date_text(words, studied if isinstance(studied, date) else None))
    return f"{counts} · {made}"


def _first_day(row: Row) -> date:
    return date.fromisoformat(f"{row['term']}-01")


def _term(words: Words, row: Row) -> str:
    if row["part"] == "cohort":
        return words("effect.cohort", month=month_text(words, _first_day(row)))
    month = int(str(row["event_month"]))
    return words("effect.before" if month < 0 else "effect.after", n=abs(month))


def _shown(words: Words, row: Row) -> str:
    return f"{_term(words, row)}: {points(row['effect'])} ({interval(words, row)})"
