"""Scorecards: how good an area's data are on four axes, against its own past and its peers, and what to mend first."""

from __future__ import annotations

from typing import Any

import polars as pl
import streamlit as st

from dashboards.components import charts
from dashboards.components.context import Context, open_context
from dashboards.components.exhibit import completeness_text, exhibit, page_title, tabled
from dashboards.components.facility_links import facility_link
from dashboards.components.filters import choose_area_or_district, choose_facility
from dashboards.components.rule_texts import rule_name, with_findings
from dashboards.components.tables import texts
from dashboards.components.values import count_value, date_text, month_text
from dashboards.queries import figures, reads
from dashboards.queries.reads import Area
from ruam.access import Level
from ruam.words import Words

AXES = ("correct", "consistent", "complete", "timely")
N_RULES = 10
CHANGES = ("opened", "came_back", "fixed", "open")


def choose_place(context: Context) -> tuple[Area, str]:
    boxes = st.columns(3)
    area, name = choose_area_or_district(context, boxes[:2])
    if area.area_level in ("province", "district") or context.serving.scope.level is Level.FACILITY:
        with boxes[2]:
            area, name = choose_facility(context, area, name)
    return area, name


def score_text(words: Words, score: float | None) -> str:
    # Most scores lie near 100, and what sets months apart there is in the second decimal.
    return words("value.missing") if score is None else f"{score:.2f}"


def limits_text(row: dict[str, object]) -> str:
    low, high = row["lower_limit"], row["upper_limit"]
    return f"{low:.2f}–{high:.2f}" if isinstance(low, float) and isinstance(high, float) else "–"


def peers_text(words: Words, row: dict[str, object]) -> str:
    median, band = row["median_score"], str(row["peer_band"])
    if not isinstance(median, float):
        return words("scorecards.no_peers")
    return words(
        "scorecards.peers",
        band=words(f"peer_band.{band}"),
        median=f"{median:.2f}",
        low=f"{row['first_quartile']:.2f}",
        high=f"{row['third_quartile']:.2f}",
        n=row["n_peers"],
    )


def multiplier_text(words: Words, row: dict[str, Any]) -> str:
    """Of what the checks passed are multiplied by: rows set aside and read, or reports met and due."""
    if row["axis"] == "correct":
        set_aside, read = (
            count_value(words, row[name], row[f"{name}_status"]).text for name in ("n_set_aside", "n_read")
        )
        return f"{set_aside} / {read}"
    return "–" if row["n_reports_due"] is None else f"{row['n_reports_met']:,} / {row['n_reports_due']:,}"


def with_score_texts(words: Words, rows: pl.DataFrame) -> pl.DataFrame:
    named = list(rows.iter_rows(named=True))
    return rows.with_columns(
        texts("label", [month_text(words, row["report_month"], short=True) for row in named]),
        texts("month", [month_text(words, row["report_month"]) for row in named]),
        texts("axis_shown", [words(f"quality_axis.{row['axis']}") for row in named]),
        texts("shown", [f"{score_text(words, row['score'])} · {words('signal.' + row['signal'])}" for row in named]),
        texts("score_shown", [score_text(words, row["score"]) for row in named]),
        texts("signal_shown", [words(f"signal.{row['signal']}") for row in named]),
        texts("limits", [limits_text(row) for row in named]),
        texts("median", ["–" if row["median_score"] is None else f"{row['median_score']:.2f}" for row in named]),
        texts("broken", [count_value(words, row["n_broken"], row["n_broken_status"]).text for row in named]),
        texts("checked", [count_value(words, row["n_checked"], row["n_checked_status"]).text for row in named]),
        texts("multiplier", [multiplier_text(words, row) for row in named]),
    )


def axis_card(context: Context, rows: pl.DataFrame, axis: str, name: str, completeness: str) -> None:
    words = context.words
    months = rows.filter(pl.col("axis") == axis)
    known = months.filter(pl.col("score").is_not_null())
    title = words(f"quality_axis.{axis}")
    with st.container(border=True, height="stretch"):
        if known.is_empty():
            st.metric(title, words("value.missing"))
        else:
            newest = known.row(-1, named=True)
            change = newest["change"]
            st.metric(
                title,
                score_text(words, newest["score"]),
                delta=None if change is None else f"{change:+z.2f}",
                delta_color="off",
                delta_arrow="off",
                delta_description=None if change is None else words("scorecards.since_before"),
            )
            st.markdown(f"{newest['month']} · {newest['signal_shown']}  \n{peers_text(words, newest)}")
        exhibit(
            context,
            f"axis_{axis}",
            title=words("scorecards.trend", axis=title),
            chart=charts.score_chart(
                months.select("label", "score", "lower_limit", "upper_limit", "median_score", "signal", "shown"),
                words("axis.month"),
                words("axis.score"),
            ),
            description=words(
                "scorecards.trend_alt",
                axis=title,
                area=name,
                last="–" if known.is_empty() else f"{known['month'][-1]} {known['shown'][-1]}",
            ),
            measure_id=figures.QUALITY_SCORE,
            completeness=completeness,
            table=months,
            columns={
                "month": words("column.month"),
                "score_shown": words("column.score"),
                "signal_shown": words("column.signal"),
                "limits": words("column.limits"),
                "median": words("column.peer_median"),
                "broken": words("column.broken"),
                "checked": words("column.checked"),
                "multiplier": words("column.set_aside" if axis == "correct" else "column.reports_met"),
            },
        )


def costliest(context: Context, area: Area, completeness: str) -> None:
    words = context.words
    rows = reads.rule_results(context.serving, area).filter(pl.col("cost_rank") <= N_RULES)
    title = words("scorecards.costliest", n=N_RULES)
    st.subheader(title, anchor=False)
    st.markdown(words("scorecards.costliest_caption"))
    if rows.is_empty():
        st.info(words("scorecards.nothing_broken"))
        return
    table = with_findings(words, rows).with_columns(
        texts("cost_shown", [f"{cost:,}" for cost in rows["cost"]]),
        texts("rank", [str(rank) for rank in rows["cost_rank"]]),
    )
    columns = {
        "rank": words("column.rank"),
        "rule": words("column.rule"),
        "broken": words("column.broken"),
        "share": words("column.share"),
        "change": words("column.change"),
        "axis_shown": words("column.axis"),
        "severity_shown": words("column.severity"),
        "cost_shown": words("column.rule_cost"),
        "fix": words("column.fix"),
        "rule_code": words("column.code"),
    }
    tabled(
        context,
        "costliest",
        title=title,
        measure_id=figures.RULE_COST,
        completeness=completeness,
        table=table,
        columns=columns,
    )


def changes(context: Context, area: Area, completeness: str) -> None:
    """What the newest delivery of each facility did to the findings, in all and by rule."""
    words = context.words
    rows = reads.finding_changes(context.serving, area)
    title = words("scorecards.changes")
    st.subheader(title, anchor=False)
    if rows.is_empty():
        st.info(words("scorecards.nothing_sent"))
        return
    named = list(rows.iter_rows(named=True))
    st.markdown(words("scorecards.changes_caption", day=date_text(words, named[0]["newest_sent_on"])))
    table = rows.with_columns(
        texts(
            "rule",
            [words("scorecards.all_rules") if (code := row["rule_code"]) == "all" else rule_name(words, code)
             for row in named],
        ),
        *(
            texts(name, [count_value(words, row[f"n_{name}"], row[f"n_{name}_status"]).text for row in named])
            for name in CHANGES
        ),
    )  # fmt: skip
    for column, name in zip(st.columns(len(CHANGES)), CHANGES, strict=True):
        column.metric(words(f"finding_change.{name}"), table[name][0], border=True)
    tabled(
        context,
        "changes",
        title=title,
        measure_id=figures.FINDING_CHANGES,
        completeness=completeness,
        table=table,
        columns={
            "rule": words("column.rule"),
            **{name: words(f"finding_change.{name}") for name in CHANGES},
            "rule_code": words("column.code"),
        },
    )


def page() -> None:
    context = open_context("scorecards")
    words = context.words
    page_title(words, "scorecards")
    area, name = choose_place(context)
    rows = with_score_texts(words, reads.scorecard(context.serving, area))
    completeness = completeness_text(context, area, reads.periods(context.serving)[0])
    st.header(name, anchor=False)
    if area.area_level == "facility":
        facility_link(context, area.area_code)
    if rows.is_empty():
        st.info(words("scorecards.none"))
        return
    st.caption(words("scorecards.method"))
    for start in range(0, len(AXES), 2):
        for column, axis in zip(st.columns(2), AXES[start : start + 2], strict=True):
            with column:
                axis_card(context, rows, axis, name, completeness)
    st.divider()
    costliest(context, area, completeness)
    st.divider()
    changes(context, area, completeness)


page()
