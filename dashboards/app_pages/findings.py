"""The stewards' worklist: what is wrong in what came, who sees to it, and what was done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import polars as pl
import streamlit as st

from dashboards.access.guard import present
from dashboards.components.filters import choice, choose_of
from dashboards.components.rule_texts import rule_fix, rule_name
from dashboards.components.stewardship import (
    Desk,
    choose_facility,
    choose_wanted,
    chosen_row,
    day_text,
    open_desk,
    today,
)
from dashboards.components.tables import texts
from dashboards.components.values import date_text, month_text
from dashboards.queries import stewardship
from dashboards.queries.reads import THAILAND
from dashboards.queries.stewardship import ALL, Wanted
from ruam.errors import UsageError
from ruam.followup import NOBODY, By, Finding, Followup, State
from ruam.settings import settings_in_force
from ruam.words import Words

N_SHOWN = 300
STATES = ("open", "opened", "still_open", "came_back", "fixed")
SEVERITIES = (ALL, "high", "medium", "low")
DESKS = ("todo", "waiting", "accepted", ALL)
"""Of the follow-up: what is to be done, what waits, what was found to be true."""
SNOOZE_DAYS = (7, 14, 30, 90)
COLUMNS = ("severity", "rule", "facility", "place", "record", "state", "first", "rows", "assignee")


def choose(desk: Desk) -> tuple[Wanted, str, pl.DataFrame]:
    """Which findings, which part of the follow-up, and what the area has (`stewardship.counts`)."""
    words = desk.words
    first, second = st.columns([4, 4, 3]), st.columns([6, 3, 3])
    with first[0]:
        wanted = choose_wanted(desk)
    had = stewardship.counts(desk.stewards, wanted)
    with first[1]:
        wanted = replace(wanted, hospcode=choose_facility(desk, had["hospcode"].unique().sort().to_list()))
    with first[2]:
        wanted = replace(wanted, severity=choose_of(words, "severity", SEVERITIES, "severity"))
    if wanted.hospcode != ALL:
        had = had.filter(pl.col("hospcode") == wanted.hospcode)
    with second[0]:
        by_rule = had.filter(pl.col("state") != "fixed").group_by("rule_code").agg(pl.col("n").sum())
        by_rule = by_rule.sort("n", "rule_code", descending=[True, False])
        rules = {code: f"{rule_name(words, code)} ({n:,})" for code, n in by_rule.iter_rows()}
        rules = {ALL: words("findings.all_rules")} | rules
        wanted = replace(wanted, rule=choice(words("filter.rule"), "rule", rules, words.language))
    with second[1]:
        wanted = replace(wanted, state=choose_of(words, "state", STATES, "state_of_finding"))
    with second[2]:
        desks = {code: words(f"followup.{code}") for code in DESKS}
        followup = choice(words("filter.followup"), "followup", desks, words.language)
    return wanted, followup, had


def totals(desk: Desk, had: pl.DataFrame) -> None:
    words = desk.words
    standing = had.filter(pl.col("state") != "fixed")
    shown = {
        "open": standing["n"].sum(),
        "high": standing.filter(pl.col("severity") == "high")["n"].sum(),
        "came_back": standing.filter(pl.col("state") == "came_back")["n"].sum(),
        "fixed": had.filter(pl.col("state") == "fixed")["n"].sum(),
    }
    for column, (name, n) in zip(st.columns(len(shown)), shown.items(), strict=True):
        column.metric(words(f"n_findings.{name}"), f"{n:,}", border=True)


def rows_of(desk: Desk, wanted: Wanted, followup: str, states: Mapping[str, State]) -> pl.DataFrame:
    """At most `N_SHOWN` findings: columns of fct_finding_histories."""
    put_by = {
        "waiting": [key for key, one in states.items() if one.is_waiting(today())],
        "accepted": [key for key, one in states.items() if one.is_accepted],
    }
    if followup in put_by:
        rows = stewardship.followed(desk.stewards, put_by[followup])
        chosen = {"severity": wanted.severity, "rule_code": wanted.rule, "hospcode": wanted.hospcode}
        for name, value in chosen.items():
            rows = rows if value == ALL else rows.filter(pl.col(name) == value)
        return rows.head(N_SHOWN)
    hidden = [*put_by["waiting"], *put_by["accepted"]] if followup == "todo" else []
    # What is put by is left out after reading: as many more are read, so that the list is as long as it can be.
    rows = stewardship.findings(desk.stewards, wanted, N_SHOWN + len(hidden))
    return rows.filter(~pl.col("finding_key").is_in(hidden)).head(N_SHOWN)


def worklist(desk: Desk, rows: pl.DataFrame, states: Mapping[str, State]) -> str | None:
    """The list; gives the key of the finding that is chosen in it."""
    words = desk.words
    told: dict[str, list[str]] = {name: [] for name in COLUMNS}
    for row in rows.iter_rows(named=True):
        state = states.get(row["finding_key"], NOBODY)
        told["severity"].append(words(f"severity.{row['severity']}"))
        told["rule"].append(rule_name(words, row["rule_code"]))
        told["facility"].append(desk.facility(row["hospcode"]))
        told["place"].append(place_text(desk, row))
        told["record"].append(record_text(words, row))
        told["state"].append(words(f"state_of_finding.{row['state']}"))
        told["first"].append(day_text(words, row["first_opened_at"]))
        told["rows"].append("–" if row["n_rows"] is None else f"{row['n_rows']:,}")
        told["assignee"].append(state.assignee or "–")
    table = pl.DataFrame([texts(name, values) for name, values in told.items()])
    headings = {name: words(f"finding_column.{name}") for name in COLUMNS}
    picked = chosen_row(words, table.rename(headings), "findings", words("findings.table_alt"))
    st.caption(words("findings.note", n=f"{N_SHOWN:,}"))
    return None if picked is None else rows["finding_key"][picked]


def place_text(desk: Desk, row: Mapping[str, Any]) -> str:
    parts = [part for part in (row["file"], row["column_name"]) if part]
    return ".".join(parts) or desk.words("findings.whole_delivery")


def record_text(words: Words, row: Mapping[str, Any]) -> str:
    """Of drift the month."""
    return month_text(words, row["event_date"]) if row["kind"] == "drift" else row["record"] or "–"


def where_text(desk: Desk, row: Mapping[str, Any]) -> str:
    """Whose it is, and where to look; of drift what lies outside which limits."""
    shown = {
        "facility": desk.facility(row["hospcode"]),
        "place": place_text(desk, row),
        "record": record_text(desk.words, row),
        "delivery": (row["delivery_id"] or "–")[:12],
    }
    if row["kind"] == "drift":
        return desk.words("findings.drift", detail=row["detail"] or "–", **shown)
    line = "–" if row["source_line"] is None else f"{row['source_line']:,}"
    return desk.words("findings.where", line=line, **shown)


def one(desk: Desk, row: Mapping[str, Any], followup: Followup) -> None:
    """One finding: what is wrong, how to mend it, what was done, and what can be done."""
    words, code = desk.words, row["rule_code"]
    with st.container(border=True):
        st.subheader(rule_name(words, code), anchor=False)
        st.markdown(words("findings.fix", fix=rule_fix(words, code)))
        st.markdown(where_text(desk, row))
        st.caption(
            words(
                "findings.since",
                state=words(f"state_of_finding.{row['state']}"),
                first=day_text(words, row["first_opened_at"]),
                n=row["n_times_opened"],
                finding=row["finding_key"][:12],
                rule=code,
            )
        )
        history(desk, row["finding_key"], followup)
        act(desk, Finding(row["finding_key"], row["hospcode"], row["rule_code"]), followup)


def history(desk: Desk, finding_key: str, followup: Followup) -> None:
    words, lines = desk.words, []
    for done in followup.history(finding_key):
        at = done.at.astimezone(THAILAND) if done.at.tzinfo else done.at + timedelta(hours=7)
        until = words("findings.until", day=date_text(words, done.until)) if done.until else ""
        told = [words(f"done.{done.action}"), done.assignee or "", until, done.note or ""]
        said = " ".join(part for part in told if part).replace("\n", " ")
        lines.append(f"{date_text(words, at.date())} {at:%H:%M} · {done.by_name} · {said}")
    if lines:
        st.markdown(words("findings.history"))
        # Words of people are shown as text: as markup they might say something else than was written.
        st.text("\n".join(lines))


def act(desk: Desk, finding: Finding, followup: Followup) -> None:
    words, identity = desk.words, present()
    if identity is None:
        return
    by = By(identity.subject, identity.name, tuple(str(role) for role in identity.roles))
    tabs = st.tabs([words(f"act.{name}") for name in ("assign", "comment", "snooze", "accept", "reopen")])
    key = finding.finding_key
    with tabs[0], st.form(f"assign_{key}", border=False):
        to = st.text_input(words("act.to"), max_chars=120)
        note = st.text_input(words("act.note"), max_chars=500)
        if st.form_submit_button(words("act.assign"), type="primary"):
            perform(desk, lambda: followup.assign(finding, by, to, note))
    with tabs[1], st.form(f"comment_{key}", border=False):
        text = st.text_area(words("act.text"), max_chars=2000)
        if st.form_submit_button(words("act.comment"), type="primary"):
            perform(desk, lambda: followup.comment(finding, by, text))
    with tabs[2], st.form(f"snooze_{key}", border=False):
        days = {str(n): words("act.days", n=n, day=date_text(words, today() + timedelta(days=n))) for n in SNOOZE_DAYS}
        chosen = st.selectbox(words("act.until"), list(days), format_func=days.__getitem__)
        why = st.text_input(words("act.reason"), max_chars=500)
        if st.form_submit_button(words("act.snooze"), type="primary"):
            until = today() + timedelta(days=int(chosen))
            perform(desk, lambda: followup.snooze(finding, by, until, why, today()))
    for tab, name, do in ((tabs[3], "accept", followup.accept), (tabs[4], "reopen", followup.reopen)):
        with tab, st.form(f"{name}_{key}", border=False):
            st.caption(words(f"act.{name}_help"))
            why = st.text_input(words("act.reason"), max_chars=500)
            if st.form_submit_button(words(f"act.{name}"), type="primary"):
                perform(desk, lambda do=do, why=why: do(finding, by, why))  # type: ignore[misc]


def perform(desk: Desk, do: Callable[[], None]) -> None:
    try:
        do()
    except UsageError:
        st.error(desk.words("act.words_missing"))
        return
    st.rerun()


def page() -> None:
    desk = open_desk("findings")
    words = desk.words
    wanted, part, had = choose(desk)
    totals(desk, had)
    followup = Followup.of(settings_in_force())
    states = followup.states()
    rows = rows_of(desk, wanted, part, states)
    picked = None
    if rows.is_empty():
        st.info(words("findings.none"), icon=":material/task_alt:")
    else:
        picked = worklist(desk, rows, states)
    # What is chosen in the list goes into the address, so that a colleague finds the same.
    if picked:
        st.query_params["finding"] = picked
    key = picked or st.query_params.get("finding", "")
    row = stewardship.finding(desk.stewards, key) if key else None
    if row is not None:
        one(desk, row, followup)
    elif key:
        st.warning(words("findings.not_yours"))
    else:
        st.caption(words("findings.choose"))


page()
