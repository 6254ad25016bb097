"""Rollout of treatment anywhere: actual dates against plan, and what changed by phase."""

from __future__ import annotations

from datetime import date

import polars as pl
import streamlit as st

from dashboards.components import charts
from dashboards.components.context import Context, open_context
from dashboards.components.exhibit import completeness_text, exhibit, notes, page_title
from dashboards.components.filters import choice, choose_of, region_label
from dashboards.components.rollout_effects import rollout_effects
from dashboards.components.rollout_facts import RolloutFacts, rollout_completeness, rollout_facts
from dashboards.components.rollout_indicators import rollout_indicators
from dashboards.components.tables import columns_of, texts, with_months
from dashboards.components.values import date_text, signed, with_values
from dashboards.queries import figures, reads
from dashboards.queries.reads import NATION, Area
from ruam.words import Words

ALL = "all"
SOURCE_WIDTH = 560
"""Pixels of the longest source."""


def choose_region(context: Context) -> str | None:
    words = context.words
    codes = reads.rollout(context.serving)["region_code"].unique().sort().to_list()
    shown = {ALL: words("filter.all_regions")} | {code: region_label(words, code) for code in codes}
    code = choice(words("filter.region"), "region", shown, words.language)
    return None if code == ALL else code


def choose_phase(context: Context) -> int | None:
    words = context.words
    phases = reads.rollout(context.serving)["phase"].unique().sort().to_list()
    shown = {ALL: words("filter.all_phases")} | {str(phase): words("rollout.phase", phase=phase) for phase in phases}
    code = choice(words("filter.phase"), "phase", shown, words.language)
    return None if code == ALL else int(code)


def province_table(context: Context, facts: RolloutFacts) -> tuple[pl.DataFrame, dict[str, str]]:
    """Rows as people read them, and the headings of the columns."""
    words = context.words
    rows = facts.provinces
    table = rows.with_columns(
        pl.col(f"name_{words.language}").alias("province"),
        texts("region", [region_label(words, code, short=True) for code in rows["region_code"]]),
        *(
            texts(name, [date_text(words, day) for day in rows[column]])
            for name, column in (
                ("planned", "planned_date"),
                ("partial", "partial_service_date"),
                ("actual", "actual_date"),
            )
        ),
        texts("variance", ["–" if days is None else signed(days) for days in rows["variance_days"]]),
        pl.col("plan_source", "actual_source").fill_null("–"),
        texts("budget", [str(year) for year in rows["budget_fiscal_year_be"]]),
    )
    names = (
        "province", "region", "phase", "planned", "actual", "variance",
        "partial", "budget", "plan_source", "actual_source",
    )  # fmt: skip
    return table, {name: words(f"column.{name}") for name in names}


def key_figures(context: Context, facts: RolloutFacts) -> None:
    words = context.words
    variances = facts.provinces["variance_days"].drop_nulls()
    middle = variances.cast(pl.Float64).median()
    median = middle if isinstance(middle, float) else None
    cards = {
        "rollout.live": words("rollout.of_total", n=facts.n_live, total=facts.n_total),
        "rollout.planned": words("rollout.of_total", n=facts.n_planned, total=facts.n_with_plan),
        "rollout.on_time": words("rollout.of_total", n=sum(1 for days in variances if days <= 0), total=len(variances)),
        "rollout.variance": words("value.missing")
        if median is None
        else words("rollout.days", days=signed(round(median))),
    }
    for column, (key, text) in zip(st.columns(len(cards)), cards.items(), strict=True):
        column.metric(words(key), text, border=True, height="stretch")
    notes(context, "key", figures.LIVE_PROVINCES, rollout_completeness(words, facts))


def cumulative(context: Context, facts: RolloutFacts) -> None:
    words = context.words
    exhibit(
        context,
        "cumulative",
        title=words("rollout.cumulative"),
        caption=words("rollout.cumulative_caption", n=facts.n_with_plan),
        chart=charts.cumulative(
            facts.steps.select("day", "series", "n", "shown"),
            [words("rollout.series_actual"), words("rollout.series_planned")],
            words("month.names").split(),
            facts.n_total,
            words("axis.month"),
            words("axis.provinces"),
        ),
        description=words("rollout.cumulative_alt", live=facts.n_live, planned=facts.n_planned),
        measure_id=figures.LIVE_PROVINCES,
        completeness=rollout_completeness(words, facts),
        table=facts.steps,
        columns={"series": " ", "shown_day": words("column.day"), "n": words("column.cumulative")},
    )


def timeline(context: Context, facts: RolloutFacts, region: str | None) -> None:
    """By region for the nation, by province for one region: 77 lines would be no picture."""
    words = context.words
    table, headings = province_table(context, facts)
    place = "region" if region is None else "province"
    grouped = (
        table.group_by(place, "phase", "planned_date", "actual_date", maintain_order=True)
        .agg(pl.len().alias("n"), pl.col("region_code").first())
        .sort("region_code", "actual_date")
    )
    phases = sorted(set(grouped["phase"].to_list()))
    names = [words("rollout.phase", phase=phase) for phase in phases]
    tips = [
        tip(words, place=name, phase=phase, planned=planned, actual=actual, n=n)
        for name, phase, planned, actual, n in grouped.select(
            place, "phase", "planned_date", "actual_date", "n"
        ).iter_rows()
    ]
    marks = grouped.select(
        pl.col(place).alias("place"),
        texts("series", [words("rollout.phase", phase=phase) for phase in grouped["phase"]]),
        pl.col("planned_date").alias("planned"),
        pl.col("actual_date").alias("actual"),
        texts("n", [str(n) for n in grouped["n"]] if region is None else [""] * grouped.height),
        texts("shown", tips),
    )
    exhibit(
        context,
        "timeline",
        title=words("rollout.timeline"),
        caption=words("rollout.timeline_caption"),
        chart=charts.timeline(
            marks,
            list(dict.fromkeys(marks["place"].to_list())),
            names,
            words("month.names").split(),
            words("axis.month"),
        ),
        description=words("rollout.timeline_alt", n=facts.n_total),
        measure_id=figures.LIVE_PROVINCES,
        completeness=rollout_completeness(words, facts),
        table=table,
        columns=headings,
    )


def tip(words: Words, *, place: str, phase: int, planned: date | None, actual: date | None, n: int) -> str:
    return words(
        "rollout.timeline_tip",
        place=place,
        phase=words("rollout.phase", phase=phase),
        planned=date_text(words, planned),
        actual=date_text(words, actual),
        n=n,
    )


def cohorts(context: Context) -> None:
    words = context.words
    by_code = {figure.code: figure for figure in figures.ROLLOUT}
    figure = by_code[choose_of(words, "figure", tuple(by_code), "figure", style="segments")]
    rows = with_values(words, figure, reads.figure_by_phase_and_month(context.serving, figure))
    rows = with_months(context, rows).with_columns(
        texts("series", [words("rollout.phase", phase=phase) for phase in rows["phase"]])
    )
    exhibit(
        context,
        "cohort",
        title=words("rollout.cohort", figure=words(f"figure.{figure.code}")),
        caption=words("rollout.cohort_caption"),
        chart=charts.trend(
            rows.select("label", "series", "value", "shown"),
            list(dict.fromkeys(rows["series"].to_list())),
            words("axis.month"),
            words(f"unit.{figure.unit}"),
        ),
        description=words("rollout.cohort_alt", figure=words(f"figure.{figure.code}")),
        measure_id=figure.measure_id,
        completeness=completeness_text(context, NATION, reads.periods(context.serving)[0]),
        table=rows,
        columns={"series": words("column.phase")} | columns_of(context, figure, "month"),
    )


def page() -> None:
    context = open_context("rollout")
    words = context.words
    page_title(words, "rollout")
    left, right = st.columns(2)
    with left:
        region = choose_region(context)
    with right:
        phase = choose_phase(context)
    facts = rollout_facts(context, region, phase)
    if not facts.n_total:
        st.info(words("rollout.none"))
    else:
        key_figures(context, facts)
        left, right = st.columns(2, gap="large")
        with left:
            cumulative(context, facts)
        with right:
            timeline(context, facts, region)
        table, headings = province_table(context, facts)
        st.subheader(words("rollout.provinces"), anchor=False)
        st.dataframe(
            table.select(list(headings)).rename(headings),
            hide_index=True,
            alt=words("rollout.provinces"),
            column_config={
                headings[name]: st.column_config.TextColumn(width=SOURCE_WIDTH)
                for name in ("plan_source", "actual_source")
            },
        )
        notes(context, "provinces", figures.LIVE_PROVINCES, rollout_completeness(words, facts))
    st.divider()
    rollout_indicators(context, NATION if region is None else Area(area_level="region", area_code=region))
    st.divider()
    cohorts(context)
    st.divider()
    rollout_effects(context)


page()
