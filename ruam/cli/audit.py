"""`ruam audit`: whether the audit log of the pages is as it was written, and what it calls a person."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from ruam.cli.active import settings
from ruam.cli.console import said, say
from ruam.errors import RuamError, UsageError

audit = typer.Typer(help="The audit log of the pages: who saw what.", no_args_is_help=True)


@audit.command()
def verify(
    known: Annotated[
        str | None,
        typer.Option(
            "--known",
            metavar="SEQ:HASH",
            help="A newest line that was noted elsewhere: the log must still hold it.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Verify that no line was changed, taken out, put in or reordered. Exit code 1 when one was.

    Note the newest line that it prints where whoever runs this machine cannot write, and give it the next time.
    """
    from ruam.audit import AuditLog
    from ruam.chain import Head

    noted = None
    if known is not None:
        if (match := re.fullmatch(r"(\d+):([0-9a-f]{64})", known)) is None:
            raise UsageError(f"{known!r} is no newest line; it is written as SEQ:HASH, as this command prints it.")
        noted = Head(int(match[1]), match[2])
    active = settings()
    active.data_home.require()
    log = AuditLog(active.data_home)
    found = log.problems(noted)
    for one in found:
        say(said(f"{log.path.name}: {one}"))
    if found:
        raise RuamError(
            f"{len(found):,} things are wrong with {log.path}: it is not as it was written. See docs/runbooks/audit.md."
        )
    head = log.head()
    if head is None:
        say(f"{said(log.path)}: nothing was recorded yet.")
        return
    say(f"{said(log.path)}: every line is as it was written. The newest: {head.seq}:{head.hash}")


@audit.command()
def subject(
    issuer: Annotated[str, typer.Option("--issuer", help="The identity provider, as `iss` of its tokens.")],
    name: Annotated[str, typer.Argument(metavar="SUB", help="The person, as `sub` of the tokens.")],
) -> None:
    """Print the pseudonym that the audit log gives a person."""
    from ruam.audit import pseudonym

    active = settings()
    active.data_home.require()
    say(pseudonym(active.data_home, issuer, name))
