"""`ruam findings`: what is wrong in what came, and what stewards do about it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ruam.cli.active import log, settings
from ruam.cli.console import (
    THAI_TIME,
    in_thai_time,
    many,
    number,
    print_csv,
    print_json,
    said,
    say,
    show,
    table,
)
from ruam.cli.options import AsCsv, AsJson, HospCode, Limit, one_format
from ruam.errors import UsageError

if TYPE_CHECKING:
    from ruam.followup import By, Finding, Followup, State
    from ruam.settings import Settings

findings = typer.Typer(
    help="Findings over all deliveries: list them, and say who sees to one, until when it waits, that it is true.",
    no_args_is_help=True,
)

SHORTEST_KEY = 8
FINDING = (
    *("finding_key", "state", "severity", "rule_code", "hospcode", "file", "column_name", "record", "event_date"),
    *("n_rows", "n_times_opened", "first_opened_at", "last_opened_at", "fixed_at", "delivery_id", "source_line"),
)
FOLLOWUP = ("assignee", "snoozed_until", "is_accepted", "reason", "n_comments")

Key = Annotated[
    str,
    typer.Argument(metavar="FINDING", help="The finding's key, or its first 8 hex digits or more.", show_default=False),
]
Reason = Annotated[str, typer.Option("--reason", help="Why; without citizen numbers or names.", show_default=False)]


class StateName(StrEnum):
    OPEN = "open"
    OPENED = "opened"
    STILL_OPEN = "still_open"
    CAME_BACK = "came_back"
    FIXED = "fixed"


class SeverityName(StrEnum):
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@findings.command("list")
def list_(
    hospcode: HospCode = None,
    rule: Annotated[str | None, typer.Option("--rule", help="Of this rule.")] = None,
    severity: Annotated[SeverityName | None, typer.Option("--severity", help="Of this severity.")] = None,
    state: Annotated[
        StateName, typer.Option("--state", help="In this state; open is all that are not fixed.")
    ] = StateName.OPEN,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that wait, or that a steward found to be true.")
    ] = False,
    limit: Limit = 50,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Findings of the last publication, the gravest first, with what was done about each."""
    import polars as pl

    from ruam.followup import NOBODY, Followup
    from ruam.stewards import OPEN_STATES
    from ruam.stewards import findings as published

    one_format(as_json=as_json, as_csv=as_csv)
    active = settings()
    active.data_home.require()
    given = {"hospcode": hospcode, "rule_code": rule, "severity": severity}
    found = published(active.data_home, {name: str(value) for name, value in given.items() if value})
    wanted = OPEN_STATES if state is StateName.OPEN else (str(state),)
    found = found.filter(pl.col("state").is_in(wanted))
    states = Followup.of(active).states()
    if not everything:
        put_by = {key for key, one in states.items() if one.is_accepted or one.is_waiting(today())}
        found = found.filter(~pl.col("finding_key").is_in(list(put_by)))
    shown = found if as_json or as_csv or not limit else found.head(limit)
    told = [_told(row, states.get(row["finding_key"], NOBODY)) for row in shown.iter_rows(named=True)]
    if as_json:
        print_json(told)
    elif as_csv:
        print_csv((*FINDING, *FOLLOWUP), told)
    else:
        _show(told, found.height)


def _told(row: dict[str, Any], state: State) -> dict[str, Any]:
    followup = {name: getattr(state, name) for name in FOLLOWUP}
    return {**{name: row[name] for name in FINDING}, **followup}


def _show(told: list[dict[str, Any]], n_all: int) -> None:
    if not told:
        say("No finding is like that.")
        return
    made = table(
        "Findings", "finding", "state", "severity", "sender", "rows", "what and where", text=("what and where",)
    )
    for one in told:
        place = ".".join(part for part in (one["file"], one["column_name"]) if part) or "the whole delivery"
        record = f" {said(one['record'])}" if one["record"] else ""
        notes = [f"[cyan]{said(one['assignee'])}[/]"] if one["assignee"] else []
        notes += ["[dim]found to be true[/]"] if one["is_accepted"] else []
        notes += [f"[dim]waits until {one['snoozed_until']}[/]"] if one["snoozed_until"] else []
        what = f"{one['rule_code']} [dim]in[/] {said(place)}{record} {' '.join(notes)}"
        made.add_row(
            one["finding_key"][:12], one["state"], one["severity"], one["hospcode"], number(one["n_rows"]), what
        )
    show(made)
    more = f" of {n_all:,} (--limit 0 shows all)" if n_all > len(told) else ""
    say(
        f"{many(len(told), 'finding', 'findings')}{more}. `ruam findings show FINDING` says what is wrong and was done."
    )


@findings.command("show")
def show_(finding: Key, as_json: AsJson = False) -> None:
    """One finding: what is wrong, how to mend it, and all that was done about it."""
    from quality.wording import wording
    from ruam.followup import Followup, standing_of

    active = settings()
    row = _row(active, finding)
    history = Followup.of(active).history(row["finding_key"])
    words = wording(row["rule_code"])
    if as_json:
        done = [{name: value for name, value in vars(one).items() if name != "finding_key"} for one in history]
        print_json({**_told(row, standing_of(history)), "rule": words.model_dump(), "history": done})
        return
    _show([_told(row, standing_of(history))], 1)
    say(f"{said(words.th)} / {said(words.en)}\n[dim]fix:[/] {said(words.fix_th)}")
    say(f"First seen {row['first_opened_at']:%Y-%m-%d}, opened {many(row['n_times_opened'], 'time', 'times')}.")
    for one in history:
        what = [str(one.action), one.assignee or "", f"until {one.until}" if one.until else "", one.note or ""]
        say(f"{in_thai_time(one.at)}  {said(one.by_name)}: {said(' '.join(part for part in what if part))}")


@findings.command()
def assign(
    finding: Key,
    to: Annotated[str, typer.Option("--to", help="Who sees to it.", show_default=False)],
    note: Annotated[str, typer.Option("--note", help="A word on it.")] = "",
) -> None:
    """Say who sees to a finding."""
    followup, one, by = _at(finding)
    followup.assign(one, by, to, note)
    _done(one, "assigned")


@findings.command()
def comment(finding: Key, text: Annotated[str, typer.Argument(help="What is to be said.", show_default=False)]) -> None:
    """Add a comment to a finding."""
    followup, one, by = _at(finding)
    followup.comment(one, by, text)
    _done(one, "commented")


@findings.command()
def snooze(
    finding: Key,
    until: Annotated[
        datetime,
        typer.Option("--until", formats=["%Y-%m-%d"], help="Last day on which it waits.", show_default=False),
    ],
    reason: Reason,
) -> None:
    """Let a finding wait until a day, that day included."""
    followup, one, by = _at(finding)
    followup.snooze(one, by, until.date(), reason, today())
    _done(one, "snoozed")


@findings.command()
def accept(finding: Key, reason: Reason) -> None:
    """Accept that the row is true as it was sent: nothing is to be mended, and no report asks for it any more."""
    followup, one, by = _at(finding)
    followup.accept(one, by, reason)
    _done(one, "accepted")


@findings.command()
def reopen(finding: Key, reason: Reason) -> None:
    """Take back that a finding waits or is true."""
    followup, one, by = _at(finding)
    followup.reopen(one, by, reason)
    _done(one, "reopened")


def today() -> date:
    """In Thailand."""
    return datetime.now(UTC).astimezone(THAI_TIME).date()


def _at(prefix: str) -> tuple[Followup, Finding, By]:
    from ruam.followup import By, Finding, Followup
    from ruam.journal import account

    active = settings()
    row = _row(active, prefix)
    who = account()
    one = Finding(row["finding_key"], row["hospcode"], row["rule_code"])
    return Followup.of(active), one, By(f"account {who}", who)


def _row(active: Settings, prefix: str) -> dict[str, Any]:
    """The one finding whose key begins so. Raises `UsageError` for none, or several."""
    from ruam.stewards import findings as published

    active.data_home.require()
    if len(prefix) < SHORTEST_KEY or set(prefix) - set("0123456789abcdef"):
        raise UsageError(f"{prefix!r} is no finding's key: give at least {SHORTEST_KEY} of its hex digits.")
    found = published(active.data_home, {"finding_key": prefix})
    if found.height != 1:
        raise UsageError(
            f"{prefix} means {found.height:,} findings of the last publication. `ruam findings list` has them."
        )
    return found.row(0, named=True)


def _done(finding: Finding, what: str) -> None:
    say(f"Finding {finding.finding_key[:12]} of {finding.hospcode}: {what}.")
    log.info("followed up", extra={"finding": finding.finding_key, "action": what})
