"""The states of a monthly report, in the order in which people read them."""

from __future__ import annotations

from datetime import date

import polars as pl

from dashboards.components.charts import MARKS
from dashboards.components.context import Context
from dashboards.components.filters import choice
from dashboards.components.tables import texts
from dashboards.components.values import date_text, month_text
from dashboards.queries import reads
from ruam.words import Words

STATES = tuple(MARKS)
OWED = ("received", "late", "partial", "zero", "silent", "not_due")
"""States of a report that is expected; a closed facility owes none."""
CAME = ("received", "late", "partial", "zero")
N_MONTHS = 12


def choose_month(context: Context) -> tuple[date, list[date], date]:
    """The month chosen, the twelve up to it, oldest first, and the day up to which lateness is judged.

    The default is the newest month of which at least half of the reports are due.
    """
    words = context.words
    months = reads.report_months(context.serving)
    counted = reads.submissions(context.serving, reads.NATION)
    owed = counted.filter(pl.col("state").is_in(OWED)).group_by("report_month").agg(pl.col("n_reports").sum())
    n_owed: dict[date, int] = dict(owed.iter_rows())
    starts: list[date] = months["report_month"].to_list()
    mature = (
        month
        for month, n_open in months.select("report_month", "n_open").iter_rows()
        if 2 * n_open <= n_owed.get(month, 0)
    )
    first = next(mature, starts[0])
    ordered = [first, *(month for month in starts if month != first)]
    shown = {f"{month:%Y-%m}": month_text(words, month) for month in ordered}
    code = choice(words("filter.month"), "month", shown, words.language)
    chosen = date.fromisoformat(f"{code}-01")
    before = sorted(month for month in starts if month <= chosen)
    return chosen, before[-N_MONTHS:], months["as_of_date"][0]


def choose_type(context: Context) -> str | None:
    words = context.words
    rows = reads.members(context.serving, "facility_type")
    shown = {"all": words("filter.all_types")} | {
        str(row["member_code"]): words.name(row, "label") for row in rows.iter_rows(named=True)
    }
    code = choice(words("filter.type"), "type", shown, words.language)
    return None if code == "all" else code


def state_text(words: Words, state: str) -> str:
    return f"{MARKS[state][0]} {words(f'report_state.{state}')}"


def counts_of(rows: pl.DataFrame, month: date) -> dict[str, int]:
    """Reports in each state of a month; a state that none is in is 0, for all were looked at."""
    found = dict(rows.filter(pl.col("report_month") == month).select("state", "n_reports").iter_rows())
    return {state: int(found.get(state, 0)) for state in STATES}


def with_texts(words: Words, rows: pl.DataFrame) -> pl.DataFrame:
    """Facility reports with `place`, `label`, `cell`, `state_shown`, `due`, `sent`, `days`, `files` as text."""
    sent = [date_text(words, day) for day in rows["sent_on"]]
    due = [date_text(words, day) for day in rows["due_on"]]
    # Where nothing came, the days so far count; before the day it is due there are none.
    days = [
        after if after is not None else (as_of - due_on).days if state == "silent" else None
        for after, as_of, due_on, state in rows.select("days_after_due", "as_of_date", "due_on", "state").iter_rows()
    ]
    return rows.with_columns(
        texts("place", [f"{code} {name}" for code, name in rows.select("hospcode", "name_th").iter_rows()]),
        texts("label", [month_text(words, day, short=True) for day in rows["report_month"]]),
        texts("month", [month_text(words, day) for day in rows["report_month"]]),
        texts("cell", [MARKS[state][0] for state in rows["state"]]),
        texts("state_shown", [state_text(words, state) for state in rows["state"]]),
        texts("due", due),
        texts("sent", sent),
        texts("days", ["–" if day is None else f"{day:+d}" if day else "0" for day in days]),
        texts("missing", [names.replace(",", ", ") if names else "–" for names in rows["missing_files"]]),
        texts("short", [names.replace(",", ", ") if names else "–" for names in rows["short_files"]]),
        texts(
            "habit",
            [
                words("submissions.default_rhythm")
                if usual is None
                else words("submissions.rhythm", days=f"{usual:.0f}")
                for usual in rows["usual_days"]
            ],
        ),
    )
