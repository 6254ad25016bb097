"""What came, what became of it, and the report that its sender gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import polars as pl
import streamlit as st

from dashboards.components.filters import choose_of
from dashboards.components.rule_texts import rule_fix, rule_name
from dashboards.components.stewardship import (
    Desk,
    choose_facility,
    choose_wanted,
    chosen_row,
    day_in_thailand,
    day_text,
    open_desk,
    report_buttons,
)
from dashboards.components.tables import texts
from dashboards.queries import stewardship
from dashboards.queries.stewardship import ALL

N_SHOWN = 300
OUTCOMES = (ALL, "accepted", "accepted_with_rejects", "rejected", "duplicate")
COUNTS = ("n_rows", "n_landed", "n_rejected", "n_flagged")
COLUMNS = ("facility", "sent", "received", "outcome", *COUNTS, "file_name")
FAULTS = ("rule", "kind", "place", "state", "rows")


def count(row: Mapping[str, Any], name: str) -> str:
    """Of a delivery that was not taken in there are no counts: that is not 0."""
    has_counts = str(row["outcome"]).startswith("accepted")
    return f"{row[name]:,}" if has_counts and row[name] is not None else "–"


def listed(desk: Desk, rows: pl.DataFrame) -> Mapping[str, Any] | None:
    """The list of what came; gives the delivery that is chosen in it."""
    words = desk.words
    told: dict[str, list[str]] = {name: [] for name in COLUMNS}
    for row in rows.iter_rows(named=True):
        told["facility"].append(desk.facility(row["hospcode"]))
        told["sent"].append(day_text(words, row["sent_at"]))
        told["received"].append(day_in_thailand(words, row["received_at"]))
        told["outcome"].append(words(f"outcome.{row['outcome']}"))
        for name in COUNTS:
            told[name].append(count(row, name))
        told["file_name"].append(str(row["file_name"]))
    table = pl.DataFrame([texts(name, values) for name, values in told.items()])
    headings = {name: words(f"delivery_column.{name}") for name in COLUMNS}
    picked = chosen_row(words, table.rename(headings), "deliveries", words("deliveries.table_alt"))
    st.caption(words("deliveries.note", n=f"{N_SHOWN:,}"))
    return None if picked is None else rows.row(picked, named=True)


def receipt(desk: Desk, row: Mapping[str, Any]) -> None:
    """What became of one delivery, what is still wrong with it, and its report."""
    words = desk.words
    with st.container(border=True):
        st.subheader(desk.facility(row["hospcode"]), anchor=False)
        told = {name: count(row, name) for name in COUNTS}
        st.markdown(words("deliveries.receipt", outcome=words(f"outcome.{row['outcome']}"), **told))
        st.caption(words("deliveries.id", id=row["delivery_id"][:12], name=row["file_name"]))
        if row["reason"]:
            code = row["reason"]
            st.error(f"**{rule_name(words, code)}**  \n{rule_fix(words, code)}", icon=":material/block:")
        faults = stewardship.faults_of(desk.stewards, row["delivery_id"])
        if faults.height:
            _faults(desk, faults)
        elif not row["reason"]:
            st.success(words("deliveries.nothing"), icon=":material/task_alt:")
        if row["hospcode"]:
            st.markdown(words("deliveries.report"))
            report_buttons(words, row["hospcode"], row["delivery_id"])


def _faults(desk: Desk, faults: pl.DataFrame) -> None:
    words = desk.words
    told: dict[str, list[str]] = {name: [] for name in FAULTS}
    for row in faults.iter_rows(named=True):
        told["rule"].append(rule_name(words, row["rule_code"]))
        told["kind"].append(words(f"kind_of_finding.{row['kind']}"))
        told["place"].append(".".join(part for part in (row["file"], row["column_name"]) if part) or "–")
        told["state"].append(words(f"state_of_finding.{row['state']}"))
        told["rows"].append("–" if row["n_rows"] is None else f"{row['n_rows']:,}")
    table = pl.DataFrame([texts(name, values) for name, values in told.items()])
    headings = {name: words(f"finding_column.{name}") for name in FAULTS}
    st.dataframe(table.rename(headings), hide_index=True, alt=words("deliveries.faults_alt"), key="faults")


def page() -> None:
    desk = open_desk("deliveries")
    words = desk.words
    boxes = st.columns([4, 4, 3])
    with boxes[0]:
        wanted = choose_wanted(desk)
    with boxes[1]:
        wanted = replace(wanted, hospcode=choose_facility(desk, stewardship.senders(desk.stewards, wanted)))
    with boxes[2]:
        outcome = choose_of(words, "outcome", OUTCOMES, "outcome")
    rows = stewardship.deliveries(desk.stewards, wanted, outcome, N_SHOWN)
    if rows.is_empty():
        st.info(words("deliveries.none"), icon=":material/inbox:")
        return
    picked = listed(desk, rows)
    if picked:
        st.query_params["delivery"] = picked["delivery_id"][:12]
    wanted_id = st.query_params.get("delivery", "")
    chosen = picked or next((row for row in rows.iter_rows(named=True) if row["delivery_id"][:12] == wanted_id), None)
    if chosen:
        receipt(desk, chosen)
    else:
        st.caption(words("deliveries.choose"))


page()
