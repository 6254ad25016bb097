"""The audit log for the data-protection officer: whether it is whole, and its newest lines."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import polars as pl
import streamlit as st

from dashboards.access.guard import admit
from dashboards.access.pages import PAGES
from dashboards.components.context import chosen_language
from dashboards.components.exhibit import page_title
from dashboards.components.filters import choice
from dashboards.components.values import date_text
from dashboards.queries.reads import THAILAND
from ruam.audit import AuditLog, Event
from ruam.settings import settings_in_force
from ruam.words import Words

N_SHOWN = 500
COLUMNS = ("seq", "at", "event", "subject", "roles", "scope", "page", "filters", "rows", "detail")


def integrity(words: Words, log: AuditLog, subject: str) -> None:
    """Read the whole log when it is asked for: a long one takes a while."""
    head = log.head()
    st.markdown(words("audit.head", seq=head.seq if head else 0, hash=head.hash if head else "–"))
    if not st.button(words("audit.verify"), icon=":material/verified_user:"):
        return
    problems = log.problems()
    log.write(Event.VERIFIED, subject, n_problems=len(problems))
    if problems:
        st.error(words("audit.broken", n=len(problems)), icon=":material/gpp_bad:")
        st.markdown("\n".join(f"- `{problem}`" for problem in problems[:20]))
    else:
        st.success(words("audit.whole"), icon=":material/verified_user:")


def row_of(words: Words, entry: Mapping[str, Any]) -> dict[str, str]:
    at = datetime.fromisoformat(entry["at"]).astimezone(THAILAND)
    filters = entry.get("filters") or {}
    details = ("reason", "reference", "table", "sha256", "n_problems", "n_sessions", "by")
    known_event = entry["event"] in set(Event)
    return {
        "seq": str(entry["seq"]),
        "at": f"{date_text(words, at.date())} {at:%H:%M:%S}",
        "event": words(f"event.{entry['event']}") if known_event else str(entry["event"]),
        "subject": str(entry["subject"]),
        "roles": " · ".join(words(f"role.{role}") for role in entry.get("roles", ())),
        "scope": str(entry.get("scope") or ""),
        "page": page_text(words, str(entry.get("page") or "")),
        "filters": " ".join(f"{key}={value}" for key, value in filters.items()),
        "rows": f"{entry['rows']:,}" if "rows" in entry else "",
        "detail": " ".join(f"{name}={entry[name]}" for name in details if name in entry),
    }


def page_text(words: Words, name: str) -> str:
    """As the menu calls it; a page that there is no more by its own name."""
    return words(f"{name}.menu") if name in PAGES else name


def page() -> None:
    words = Words(chosen_language())
    identity = admit(words, "audit")
    page_title(words, "audit")
    log = AuditLog(settings_in_force().data_home)
    integrity(words, log, identity.subject)
    left, right = st.columns(2)
    with left:
        events = {"all": words("audit.all_events")} | {str(event): words(f"event.{event}") for event in Event}
        event = choice(words("filter.event"), "event", events, words.language)
    with right:
        subject = st.text_input(words("audit.subject"), key="audit_subject", max_chars=64).strip()
    wanted = ({} if event == "all" else {"event": event}) | ({"subject": subject} if subject else {})
    entries = log.newest(N_SHOWN, wanted)
    if not entries:
        st.info(words("audit.none"))
        return
    headings = {column: words(f"audit_column.{column}") for column in COLUMNS}
    rows = pl.DataFrame([row_of(words, entry) for entry in entries], schema=dict.fromkeys(COLUMNS, pl.String))
    st.dataframe(rows.rename(headings), hide_index=True, alt=words("audit.table_alt"), key="audit_table", height=560)
    st.caption(words("audit.note", n=N_SHOWN))


page()
