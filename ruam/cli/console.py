"""How the commands speak: sentences, tables, JSON and CSV, and words of senders made safe to show.

A sender chooses the names of zips and members, and an operator's terminal obeys control characters: whatever came from
outside goes through `plain` (JSON, CSV) or `said` (text) before it is shown.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

from rich import box
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

from ruam.plain import plain as plain

THAI_TIME = timezone(timedelta(hours=7))
PIPE_WIDTH = 140
"""Columns where no terminal says its width; COLUMNS overrules it."""

OUTCOMES = ("accepted", "accepted_with_rejects", "duplicate", "rejected")
NOTHING_RECEIVED = "ไม่มีข้อมูลส่งเข้ามา / nothing received"

RUNBOOKS = "docs/runbooks"
FAILED = "failed.md"
"""What to do when Ruam itself failed."""
RUNBOOK_OF_EXIT = {
    3: "nothing_accepted.md",
    4: "not_ready.md",
    5: "build_failed.md",
    6: "not_published.md",
    7: "not_fetched.md",
    8: FAILED,
    9: "linkage_refused.md",
    10: "gates.md",
    11: "not_sent.md",
    12: "killed.md",
    74: "disk_full.md",
    75: "busy.md",
}


def console(*, stderr: bool = False) -> Console:
    """A console on the output as it is now, as wide as its terminal."""
    to_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    width = None if to_terminal or os.environ.get("COLUMNS", "").isdigit() else PIPE_WIDTH
    return Console(stderr=stderr, highlight=False, width=width)


def say(text: str = "", *, stderr: bool = False) -> None:
    """Print a sentence: a terminal folds it between words (a path or a command stays whole), a pipe gets one line."""
    to = console(stderr=stderr)
    if to.is_terminal:
        to.print(text, overflow="ignore", crop=False)
    else:
        to.print(text, soft_wrap=True)


def show(thing: RenderableType) -> None:
    """Print a table within the width there is."""
    console().print(thing)


def table(title: str, *columns: str, text: Sequence[str] = ()) -> Table:
    """A table whose columns are numbers, but for the first and those named in `text`, whose values may be folded."""
    made = Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    for index, name in enumerate(columns):
        if name in text:
            made.add_column(name, overflow="fold")
        else:
            made.add_column(name, justify="left" if index == 0 else "right", no_wrap=True)
    return made


def said(text: object) -> str:
    """`plain` words, which markup leaves alone."""
    return escape(plain(text))


def many(n: int, one: str, more: str) -> str:
    """`1 delivery`, `2 deliveries`."""
    return f"{n:,} {one if n == 1 else more}"


def number(value: int | None) -> str:
    """Digits in groups; a dash where there is no number, since missing is not zero."""
    return "–" if value is None else f"{value:,}"


def in_thai_time(at: datetime) -> str:
    """Thai time of a moment kept as UTC without a zone, to the minute."""
    return f"{at.replace(tzinfo=UTC).astimezone(THAI_TIME):%Y-%m-%d %H:%M}"


def duration(seconds: float) -> str:
    """`m:ss`, or `h:mm:ss` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def runbook(rule: str) -> str:
    """Where it is written what to do about a rejected delivery."""
    return f"{RUNBOOKS}/rejected.md#{rule}"


def for_machines(value: Any) -> Any:
    """The same structure with words made `plain` and moments of our own clock (UTC without a zone) in ISO form."""
    if isinstance(value, Mapping):
        return {key: for_machines(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [for_machines(one) for one in value]
    if isinstance(value, datetime):
        return f"{value.isoformat()}Z" if value.tzinfo is None else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return plain(value) if isinstance(value, str) else value


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(for_machines(value), ensure_ascii=False, indent=2) + "\n")


def print_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """A header and one line a row. A text that a spreadsheet would run as a formula begins with an apostrophe."""
    from ruam.sheets import safe

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        # A text is made safe as it came: `plain` writes a tab as a backslash, behind which no formula would be seen.
        texts = (safe(row[name]) if isinstance(row[name], str) else row[name] for name in columns)
        writer.writerow(for_machines(text) for text in texts)
