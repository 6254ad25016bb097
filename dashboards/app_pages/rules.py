"""Rules: the catalogue of checks, readable, with what they find now and where."""

from __future__ import annotations

import polars as pl
import streamlit as st

from dashboards.components import charts
from dashboards.components.context import Context, open_context
from dashboards.components.exhibit import completeness_text, exhibit, page_title, tabled
from dashboards.components.filters import area_label, choice, choose_area, choose_of
from dashboards.components.rule_texts import (
    RULE_SHARE,
    counted,
    population_text,
    rule_name,
    rule_texts,
    with_findings,
)
from dashboards.components.tables import spoken, texts
from dashboards.components.values import with_values
from dashboards.queries import figures, reads
from dashboards.queries.reads import NATION, Area
from quality.catalogue import Entry
from ruam.words import Words

ALL = "all"
AXES = (ALL, "correct", "consistent", "complete", "timely")
SEVERITIES = (ALL, "high", "medium", "low")


def chosen_rules(context: Context) -> list[Entry]:
    words = context.words
    left, middle, right = st.columns(3)
    with left:
        axis = choose_of(words, "axis", AXES, "quality_axis")
    with middle:
        severity = choose_of(words, "severity", SEVERITIES, "severity")
    with right:
        sought = st.text_input(words("rules.search"), key="rules_search", max_chars=80).strip().casefold()
    return [
        rule
        for rule in rule_texts().values()
        if axis in (ALL, rule.axis)
        and severity in (ALL, rule.severity)
        and sought in f"{rule.code} {rule.th} {rule.en} {rule.fix_th} {rule.fix_en}".casefold()
    ]


def catalogue(context: Context, rules: list[Entry], found: pl.DataFrame, completeness: str) -> None:
    words = context.words
    by_code = {row["rule_code"]: row for row in with_findings(words, found).iter_rows(named=True)}
    # What costs most here first; then the rest as in the catalogue.
    place = {code: order for order, code in enumerate(found.filter(pl.col("cost_rank").is_not_null())["rule_code"])}
    rules = sorted(rules, key=lambda rule: place.get(rule.code, len(place)))
    rows = [row_of(words, rule, by_code.get(rule.code)) for rule in rules]
    columns = {
        "rule": words("column.rule"),
        "broken": words("column.broken"),
        "share": words("column.share"),
        "axis": words("column.axis"),
        "severity": words("column.severity"),
        "fix": words("column.fix"),
        "code": words("column.code"),
        "level": words("column.rule_level"),
        "population": words("column.population"),
    }
    table = pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String))
    st.subheader(words("rules.catalogue", n=len(rules), total=len(rule_texts())), anchor=False)
    if not rules:
        st.info(words("rules.no_match"))
        return
    tabled(
        context,
        "rules",
        title=words("rules.title"),
        measure_id=figures.RULE_COST,
        completeness=completeness,
        table=table,
        columns=columns,
        alt=words("rules.catalogue_alt"),
        height=460,
    )


def row_of(words: Words, rule: Entry, found: dict[str, object] | None) -> dict[str, str]:
    # A warning of reading, and a rule that set no row of any file aside, have no figure here, which is not 0.
    none = words("rules.not_asked") if rule.code in counted() else "–"
    return {
        "code": rule.code,
        "rule": rule_name(words, rule.code),
        "axis": words(f"quality_axis.{rule.axis}"),
        "severity": words(f"severity.{rule.severity}"),
        "broken": none if found is None else str(found["broken"]),
        "share": none if found is None else str(found["share"]),
        "fix": rule.fix_th if words.language == "th" else rule.fix_en,
        "level": words(f"rule_level.{rule.level}"),
        "population": population_text(words, rule),
    }


def where(context: Context, area: Area, area_name: str, found: pl.DataFrame, completeness: str) -> None:
    """One rule in each area below, or in the area itself where there is nothing below."""
    words = context.words
    codes = [code for code in found["rule_code"].to_list() if code in rule_texts()]
    if not codes:
        st.info(words("rules.nothing_found"))
        return
    shown = {code: f"{rule_name(words, code)} ({code})" for code in codes}
    code = choice(words("filter.rule"), "rule", shown, words.language)
    rows = with_values(words, RULE_SHARE, reads.rule_below(context.serving, code, area))
    rows = rows.with_columns(texts("label", [place_label(words, row) for row in rows.iter_rows(named=True)]))
    if rows.is_empty():
        st.info(words("rules.nothing_below"))
        return
    exhibit(
        context,
        "rule_areas",
        title=words("rules.where"),
        caption=f"{shown[code]} · {area_name}",
        chart=charts.bars(rows.select("label", "value", "shown")),
        description=words("rules.where_alt", rule=shown[code], area=area_name, values=spoken(rows)),
        measure_id=figures.RULE_COST,
        completeness=completeness,
        table=rows,
        columns={
            "label": words("column.area"),
            "shown": words("column.share"),
            "numerator_shown": words("column.broken"),
            "denominator_shown": words("column.checked"),
        },
    )


def place_label(words: Words, row: dict[str, object]) -> str:
    if row["area_level"] == "facility":
        return f"{row['area_code']} {words.name(row)}"
    return words.name(row) if row["area_level"] == "district" else area_label(words, row)


def page() -> None:
    context = open_context("rules")
    words = context.words
    page_title(words, "rules")
    area, name = choose_area(context, provinces=True)
    found = reads.rule_results(context.serving, area)
    completeness = completeness_text(context, area, reads.periods(context.serving)[0])
    catalogue(context, chosen_rules(context), found, completeness)
    st.divider()
    where(context, area, name, found if found.height else reads.rule_results(context.serving, NATION), completeness)


page()
