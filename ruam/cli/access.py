"""`ruam access`: who may see what, who is signed in, and ending that."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from ruam.cli.active import settings
from ruam.cli.console import in_thai_time, many, said, say, show, table
from ruam.errors import UsageError

access = typer.Typer(help="Who may see the pages: the table of access, and the sessions.", no_args_is_help=True)


@access.command()
def check(
    path: Annotated[
        Path | None, typer.Argument(metavar="FILE.yml", help="Another table than the one in force.", show_default=False)
    ] = None,
) -> None:
    """Check a table of access, and say what it makes of the words of a token. Exit code 4 when it cannot be used."""
    from ruam.access import DEFAULT_TABLE, load_table

    path = path or settings().access_table
    rules = load_table(path)
    roles = table(f"Claim '{said(rules.role.claim)}'", "word", "role", text=("word", "role"))
    for word, role in rules.role.words.items():
        roles.add_row(said(word), role)
    show(roles)
    areas = table(f"Claim '{said(rules.area.claim)}'", "word", "area", text=("word", "area"))
    for word, code in rules.area.words.items():
        areas.add_row(said(word), said(code))
    areas.add_row("[dim]a code[/]", "TH · R01 to R13 · P10 to P96 · H and five digits")
    show(areas)
    say(f"{said(path or DEFAULT_TABLE)} can be used.")


@access.command()
def sessions() -> None:
    """Who is signed in now, by the pseudonym of the audit log."""
    from ruam.sessions import Sessions

    kept = Sessions.of(settings().data_home)
    shown = table("", "subject", "since", "until at the latest", "last used", text=("subject",))
    alive = kept.alive()
    for name, session in sorted(alive.items(), key=lambda item: item[1].started_at):
        moments = (session.started_at, session.expires_at, kept.used_at(name))
        shown.add_row(session.subject, *(in_thai_time(datetime.fromtimestamp(moment, UTC)) for moment in moments))
    if alive:
        show(shown)
    say(f"{many(len(alive), 'session', 'sessions')}.")


@access.command()
def revoke(
    subject: Annotated[
        str | None, typer.Argument(help="Pseudonym of the audit log (`ruam audit subject`).", show_default=False)
    ] = None,
    everyone: Annotated[bool, typer.Option("--everyone", help="End all sessions.")] = False,
) -> None:
    """End the sessions of a person at once, wherever they are signed in.

    The identity provider may sign the person in again: close the account there first.
    """
    from ruam.audit import AuditLog, Event
    from ruam.journal import account
    from ruam.sessions import Sessions

    if (subject is None) == (not everyone):
        raise UsageError("Name the subject whose sessions are to end, or give --everyone.")
    active = settings()
    active.data_home.require()
    kept = Sessions.of(active.data_home)
    subjects = {session.subject for session in kept.alive().values()} if subject is None else {subject}
    n_ended = 0
    for one in sorted(subjects):
        n_sessions = kept.end_of(one)
        AuditLog(active.data_home).write(Event.REVOKED, one, n_sessions=n_sessions, by=account())
        n_ended += n_sessions
    say(f"{many(n_ended, 'session', 'sessions')} ended.")
