"""Submissions: which monthly reports were expected, which came, and who has not sent."""

from __future__ import annotations

from datetime import date

import polars as pl
import streamlit as st

from dashboards.components import charts
from dashboards.components.charts import MARKS
from dashboards.components.context import Context, open_context
from dashboards.components.exhibit import completeness_text, exhibit, notes, page_title, tabled
from dashboards.components.facility_links import facility_link
from dashboards.components.filters import area_label, choice, choose_area, region_label
from dashboards.components.report_states import (
    CAME,
    OWED,
    STATES,
    choose_month,
    choose_type,
    counts_of,
    state_text,
    with_texts,
)
from dashboards.components.tables import spoken, texts
from dashboards.components.values import date_text, month_text
from dashboards.queries import figures, reads
from dashboards.queries.reads import Area

CARD_WIDTH = 145
"""Pixels: all fit a wide page in one row, and two a phone."""
MOST_FACILITIES = 60
"""Rows of a heat map that can still be read; all of them are in the table."""
AWAITED = ("silent", "partial", "late", "not_due")


def overview(context: Context, rows: pl.DataFrame, month: date) -> None:
    words = context.words
    counts = counts_of(rows, month)
    expected = sum(counts[state] for state in OWED)
    cards = [(words("submissions.expected"), f"{expected:,}")]
    cards += [(state_text(words, state), f"{counts[state]:,}") for state in (*OWED, "closed")]
    # Cards that wrap: two beside each other on a phone.
    with st.container(horizontal=True, gap="small"):
        for label, value in cards:
            st.metric(label, value, border=True, width=CARD_WIDTH)


def by_month(context: Context, rows: pl.DataFrame, months: list[date], name: str, completeness: str) -> None:
    words = context.words
    counted = [(month, counts_of(rows, month)) for month in months]
    states = [state for state in OWED if any(counts[state] for _, counts in counted)]
    bars = pl.DataFrame(
        [
            {
                "label": month_text(words, month, short=True),
                "state": state,
                "series": state_text(words, state),
                "order": order,
                "n": counts[state],
                "shown": f"{counts[state]:,}",
            }
            for month, counts in counted
            for order, state in enumerate(states)
        ],
        schema={
            "label": pl.String, "state": pl.String, "series": pl.String, "order": pl.Int64, "n": pl.Int64,
            "shown": pl.String,
        },
    )  # fmt: skip
    table = pl.DataFrame(
        [
            {"month": month_text(words, month), "expected": f"{sum(counts[state] for state in OWED):,}"}
            | {state: f"{counts[state]:,}" for state in STATES}
            for month, counts in counted
        ],
        schema=dict.fromkeys(("month", "expected", *STATES), pl.String),
    )
    exhibit(
        context,
        "submission_months",
        title=words("submissions.months"),
        caption=name,
        chart=charts.stacked_states(
            bars, states, [state_text(words, state) for state in states], words("axis.month"), words("axis.reports")
        ),
        description=words("submissions.months_alt", area=name),
        measure_id=figures.ON_TIME,
        completeness=completeness,
        table=table,
        columns={"month": words("column.month"), "expected": words("submissions.expected")}
        | {state: state_text(words, state) for state in STATES},
    )


def below_matrix(context: Context, rows: pl.DataFrame, months: list[date], completeness: str) -> None:
    """Share of due reports received, of each area below."""
    words = context.words
    owed = rows.filter(pl.col("report_month").is_in(months) & pl.col("state").is_in([*CAME, "silent"]))
    shares = (
        owed.group_by("area_level", "area_code", "name_th", "name_en", "report_month")
        .agg(
            pl.col("n_reports").sum().alias("n_due"),
            pl.col("n_reports").filter(pl.col("state").is_in(CAME)).sum().alias("n_came"),
        )
        .sort("area_code", "report_month")
        .with_columns((100 * pl.col("n_came") / pl.col("n_due")).alias("value"))
    )
    cells = shares.with_columns(
        texts(
            "place",
            [
                region_label(words, row["area_code"], short=True)
                if row["area_level"] == "region"
                else area_label(words, row)
                for row in shares.iter_rows(named=True)
            ],
        ),
        texts("label", [month_text(words, month, short=True) for month in shares["report_month"]]),
        texts("month", [month_text(words, month) for month in shares["report_month"]]),
        # Where nobody sent there is silence, which is no figure of 0.
        texts("cell", [f"{value:.0f}" if value else MARKS["silent"][0] for value in shares["value"]]),
        texts(
            "shown",
            [
                words("submissions.share", came=f"{came:,}", due=f"{due:,}", share=f"{value:.1f}")
                for came, due, value in shares.select("n_came", "n_due", "value").iter_rows()
            ],
        ),
    )
    newest = cells.filter(pl.col("report_month") == months[-1]).select(pl.col("place").alias("label"), "shown")
    exhibit(
        context,
        "submission_matrix",
        title=words("submissions.below"),
        caption=words("submissions.below_caption"),
        chart=charts.month_matrix(
            cells.select("label", "place", "cell", "value", "shown"), list(dict.fromkeys(cells["place"])), is_share=True
        ),
        description=words("submissions.below_alt", month=month_text(words, months[-1]), values=spoken(newest)),
        measure_id=figures.ON_TIME,
        completeness=completeness,
        table=cells,
        columns={
            "place": words("column.area"),
            "month": words("column.month"),
            "shown": words("submissions.received_of_due"),
        },
    )


def facility_matrix(context: Context, rows: pl.DataFrame, completeness: str) -> None:
    words = context.words
    places = list(dict.fromkeys(rows["place"].to_list()))[:MOST_FACILITIES]
    cells = rows.filter(pl.col("place").is_in(places)).with_columns(pl.col("state_shown").alias("shown"))
    exhibit(
        context,
        "submission_matrix",
        title=words("submissions.matrix"),
        caption=words("submissions.matrix_caption", n=len(places), total=rows["place"].n_unique())
        + " · "
        + " · ".join(state_text(words, state) for state in STATES),
        chart=charts.month_matrix(cells.select("label", "place", "cell", "state", "shown"), places, is_share=False),
        description=words("submissions.matrix_alt", n=len(places)),
        measure_id=figures.ON_TIME,
        completeness=completeness,
        table=rows,
        columns={
            "place": words("column.facility"),
            "month": words("column.month"),
            "state_shown": words("column.state"),
            "sent": words("column.sent"),
            "due": words("column.due"),
        },
    )


def awaited(context: Context, area: Area, month: date, kind: str | None, as_of: date, completeness: str) -> None:
    """Who has not sent, or not all, or not in time; those that sent nothing first, longest overdue on top."""
    words = context.words
    rows = reads.facility_reports(context.serving, area, [f"{month:%Y-%m}-01"], kind)
    order = {state: place for place, state in enumerate(AWAITED)}
    rows = (
        rows.filter(pl.col("is_expected") & pl.col("state").is_in(AWAITED))
        .with_columns(
            pl.col("state").replace_strict(order, default=len(order), return_dtype=pl.Int64).alias("place_of")
        )
        .sort("place_of", "due_on", "hospcode")
    )
    title = words("submissions.awaited", month=month_text(words, month))
    st.subheader(title, anchor=False)
    st.markdown(words("submissions.awaited_caption", day=date_text(words, as_of)))
    if rows.is_empty():
        st.info(words("submissions.none_awaited"))
        return
    columns = {
        "place": words("column.facility"),
        "state_shown": words("column.state"),
        "days": words("column.days_after_due"),
        "due": words("column.due"),
        "sent": words("column.sent"),
        "habit": words("column.rhythm"),
        "short": words("column.short_files"),
        "missing": words("column.missing_files"),
    }
    table = with_texts(words, rows)
    tabled(
        context,
        "awaited",
        title=title,
        measure_id=figures.ON_TIME,
        completeness=completeness,
        table=table,
        columns=columns,
    )
    places = dict(table.select("hospcode", "place").iter_rows())
    with st.container(horizontal=True, vertical_alignment="bottom"):
        hospcode = choice(words("filter.facility"), "facility", places, words.language)
        facility_link(context, hospcode)


def page() -> None:
    context = open_context("submissions")
    words = context.words
    page_title(words, "submissions")
    if reads.report_months(context.serving).is_empty():
        st.info(words("submissions.none"))
        return
    boxes = st.columns(3)
    with boxes[0]:
        area, name = choose_area(context, provinces=True)
    with boxes[1]:
        month, months, as_of = choose_month(context)
    with boxes[2]:
        kind = choose_type(context)
    completeness = completeness_text(context, area, reads.periods(context.serving)[0])
    rows = reads.submissions(context.serving, area, kind)
    overview(context, rows, month)
    notes(context, "submission_counts", figures.ON_TIME, completeness)
    below = reads.submissions_below(context.serving, area, kind)
    left, right = st.columns(2, gap="large")
    with left:
        by_month(context, rows, months, name, completeness)
    with right:
        if below.height:
            below_matrix(context, below, months, completeness)
        else:
            asked = [f"{one:%Y-%m}-01" for one in months]
            found = reads.facility_reports(context.serving, area, asked, kind)
            if found.is_empty():
                st.info(words("submissions.none"))
            else:
                facility_matrix(context, with_texts(words, found), completeness)
    st.divider()
    awaited(context, area, month, kind, as_of, completeness)


page()
