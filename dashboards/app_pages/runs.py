"""What Ruam itself did and promises: the gates before publishing, the checks, and each step's time and rows."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import polars as pl
import streamlit as st

from dashboards.access.guard import admit
from dashboards.components.context import chosen_language
from dashboards.components.exhibit import page_title
from dashboards.components.export import export_buttons
from dashboards.components.filters import choice
from dashboards.components.values import date_text
from dashboards.queries.reads import THAILAND
from ruam.checks import CHECKPOINTS, Status, last_verdict
from ruam.gates import gates, stopped
from ruam.home import DataHome
from ruam.settings import settings_in_force
from ruam.steps import STEPS, Step, steps
from ruam.words import Words

N_SHOWN = 200
ALL = "all"


def moment(words: Words, at: datetime) -> str:
    """Day of the Buddhist Era and Thai time; a time without a zone is UTC."""
    local = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(THAILAND)
    return f"{date_text(words, local.date())} {local:%H:%M}"


def text_frame(rows: list[dict[str, str]], columns: list[str]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String))


def show(words: Words, key: str, rows: list[dict[str, str]], columns: list[str]) -> None:
    """A table and its download."""
    shown = text_frame(rows, columns).rename({name: words(f"runs.column.{name}") for name in columns})
    st.dataframe(shown, hide_index=True, alt=words(f"runs.{key}"), key=f"runs_{key}")
    # Nothing of this waits for a publication: it is as of now.
    about = {"title": words(f"runs.{key}"), "published_at": datetime.now(UTC).isoformat(timespec="seconds")}
    export_buttons(words, f"runs_{key}", shown, about)


def gate_table(words: Words, home: DataHome) -> None:
    told = stopped(home)
    st.subheader(words("runs.gates"), anchor=False)
    if told:
        st.error(words("runs.stopped", at=moment(words, told.at)), icon=":material/block:")
    else:
        st.success(words("runs.open"), icon=":material/check_circle:")
    shut: dict[str, list[str]] = {}
    for one in told.stops if told else ():
        shut.setdefault(one.gate, []).append(one.detail)
    rows = [
        {
            "gate": gate.th if words.language == "th" else gate.en,
            "state": words("runs.shut" if code in shut else "runs.not_shut"),
            "detail": " · ".join(shut.get(code, ())),
            "runbook": gate.runbook,
        }
        for code, gate in gates().items()
    ]
    show(words, "gates", rows, ["gate", "state", "detail", "runbook"])


def check_table(words: Words, home: DataHome) -> None:
    st.subheader(words("runs.checks"), anchor=False)
    rows = []
    for checkpoint in CHECKPOINTS:
        verdict = last_verdict(home, checkpoint)
        counts = Counter(one.status for one in verdict.outcomes) if verdict else Counter[Status]()
        rows.append(
            {
                "checkpoint": words(f"runs.checkpoint.{checkpoint}"),
                "at": moment(words, verdict.at) if verdict else words("runs.never"),
                "passed": f"{counts[Status.PASSED]:,}" if verdict else "–",
                "failed": f"{counts[Status.FAILED]:,}" if verdict else "–",
                "errors": f"{counts[Status.ERROR]:,}" if verdict else "–",
            }
        )
    show(words, "checks", rows, ["checkpoint", "at", "passed", "failed", "errors"])


def step_row(words: Words, step: Step) -> dict[str, str]:
    taken = [step.accepted, step.accepted_with_rejects]
    details = {
        "accepted": sum(n or 0 for n in taken) if any(n is not None for n in taken) else None,
        "rejected": step.rejected,
        "checks": step.checks,
        "not_passed": step.failed,
        "exit_code": step.exit_code,
    }
    said = [words(f"runs.detail.{name}", n=f"{n:,}") for name, n in details.items() if n is not None]
    if step.skipped:
        said.append(words("runs.detail.skipped"))
    return {
        "at": moment(words, step.at),
        "step": words(f"runs.step.{step.message.replace(' ', '_')}"),
        "seconds": "–" if step.seconds is None else f"{step.seconds:,.1f}",
        "rows": "–" if step.rows is None else f"{step.rows:,}",
        "detail": " · ".join([*said, *([step.id] if step.id else [])]),
    }


def step_table(words: Words, home: DataHome) -> None:
    st.subheader(words("runs.steps"), anchor=False)
    kinds = {ALL: words("runs.all_steps")} | {kind: words(f"runs.step.{kind.replace(' ', '_')}") for kind in STEPS}
    kind = choice(words("runs.column.step"), "step", kinds, words.language)
    told = [one for one in steps(home, N_SHOWN) if kind in (ALL, one.message)]
    if not told:
        st.info(words("runs.none"))
        return
    show(words, "steps", [step_row(words, one) for one in told], ["at", "step", "seconds", "rows", "detail"])
    st.caption(words("runs.note", n=N_SHOWN))


def page() -> None:
    words = Words(chosen_language())
    admit(words, "runs")
    page_title(words, "runs")
    home = settings_in_force().data_home
    gate_table(words, home)
    check_table(words, home)
    step_table(words, home)


page()
