"""The registry of measures, to be read: what each asks, counts, leaves out and assumes, and with which parameters."""

from __future__ import annotations

import polars as pl
import streamlit as st

from dashboards.components.context import Context, open_context
from dashboards.components.exhibit import DEFINITION_FIELDS, completeness_text, page_title, tabled
from dashboards.components.filters import choice
from dashboards.components.tables import texts
from dashboards.components.values import date_text
from dashboards.queries import reads
from dashboards.queries.reads import NATION

GROUPS = ("UT", "RED", "NEC", "UNR", "RO", "DQ")
"""What the ids of the registry begin with, in the order in which people ask."""


def listed(context: Context, group: str) -> pl.DataFrame:
    """The newest version of each measure of a group, with what the list shows of it."""
    words = context.words
    rows = reads.registry(context.serving).unique("measure_id", keep="first", maintain_order=True)
    rows = rows.filter(pl.lit(group == "all") | pl.col("measure_id").str.starts_with(f"{group}-"))
    order = {code: place for place, code in enumerate(GROUPS)}
    rows = rows.sort(
        pl.col("measure_id").str.split("-").list.first().replace_strict(order, default=len(order)), maintain_order=True
    )
    return rows.with_columns(
        texts("name", [words.name(row) for row in rows.iter_rows(named=True)]),
        texts("question", [words.name(row, "question") for row in rows.iter_rows(named=True)]),
        texts("review", [date_text(words, day) for day in rows["next_review_date"]]),
    )


def card(context: Context, row: dict[str, object]) -> None:
    """One definition: its texts, its parameters and its versions."""
    words, measure_id = context.words, str(row["measure_id"])
    st.header(f"{measure_id} {words.name(row)}", anchor=False)
    lines: list[tuple[str, object]] = [
        (words(f"definition.{field}"), words.name(row, field)) for field in DEFINITION_FIELDS
    ]
    lines += [
        (words("definition.source"), row["source"]),
        (words("definitions.window"), row["window_days"]),
        (words("definitions.direction"), words(f"direction.{row['direction']}")),
        (words("definitions.owner"), row["owner"]),
        (words("definitions.version"), row["version"]),
        (words("definitions.review"), row["review"]),
    ]
    for name, text in lines:
        if text is not None and text != "":
            left, right = st.columns([2, 9])
            left.markdown(f"**{name}**")
            right.text(str(text))

    st.subheader(words("definitions.parameters"), anchor=False)
    found = reads.parameters(context.serving, measure_id)
    if found.is_empty():
        st.markdown(words("definitions.no_parameters"))
    else:
        headings = {name: words(f"parameter.{name}") for name in ("parameter", "value", "valid_from", "source")}
        days = texts("valid_from", [date_text(words, day) for day in found["valid_from"]])
        st.dataframe(
            found.with_columns(days).rename(headings),
            hide_index=True,
            alt=words("definitions.parameters"),
            key="parameters",
        )
    unmeasured = reads.unmeasured_rules(context.serving, measure_id)
    if unmeasured.height:
        st.subheader(words("definitions.unmeasured"), anchor=False)
        for rule in unmeasured.iter_rows(named=True):
            told = words("definitions.for_want_of", rule=words.name(rule), wanting=words.name(rule, "wanting"))
            st.text(told)
    versions = reads.registry(context.serving).filter(pl.col("measure_id") == measure_id)
    if versions.height > 1:
        st.subheader(words("definitions.versions"), anchor=False)
        for version in versions.iter_rows(named=True):
            told = f"{words.name(version)} · {words.name(version, 'numerator')} / {words.name(version, 'denominator')}"
            st.text(f"{words('definitions.version')} {version['version']}: {told}")


def page() -> None:
    context = open_context("definitions")
    words = context.words
    page_title(words, "definitions")
    shown = {code: words(f"registry_group.{code}") for code in ("all", *GROUPS)}
    group = choice(words("filter.registry"), "registry", shown, words.language, style="segments")
    rows = listed(context, group)
    if rows.is_empty():
        st.info(words("definitions.none"), icon=":material/search_off:")
        return
    names = {row["measure_id"]: f"{row['measure_id']} {row['name']}" for row in rows.iter_rows(named=True)}
    chosen = choice(words("filter.measure"), "measure", names, words.language)
    columns = {
        "measure_id": words("definitions.id"),
        "name": words("definitions.name"),
        "question": words("definition.question"),
        "version": words("definitions.version"),
        "owner": words("definitions.owner"),
        "review": words("definitions.review"),
    }
    newest = reads.periods(context.serving)[0]
    tabled(
        context,
        "registry",
        title=words("definitions.title"),
        measure_id=chosen,
        completeness=completeness_text(context, NATION, newest),
        table=rows,
        columns=columns,
        alt=words("definitions.alt"),
        height=320,
    )
    card(context, rows.row(by_predicate=pl.col("measure_id") == chosen, named=True))


page()
