"""`ruam alerts`: tell people who fell silent, what dropped, and that nothing is published."""

from __future__ import annotations

from typing import Annotated

import typer

from ruam.cli.active import log, settings
from ruam.cli.console import many, said, say

alerts = typer.Typer(help="Alerts by e-mail and webhook.", no_args_is_help=True)


@alerts.callback()
def _group() -> None:
    """Alerts by e-mail and webhook."""


@alerts.command()
def send(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is wrong now, and tell nobody.")] = False,
) -> None:
    """Tell each channel what is new: facilities whose report is overdue, sudden drops, a build that is not published.

    What goes on is told again after RUAM_ALERTS__AGAIN_HOURS. Exit code 11 when a channel did not take it; it is told
    the next time.
    """
    from ruam import alerts as telling
    from ruam.followup.tables import open_database

    active = settings()
    active.data_home.require()
    found = telling.found(active.data_home)
    if dry_run:
        for line in telling.lines_of(found, active.alerts):
            say(said(line))
        say(f"{many(len(found), 'alert', 'alerts')}; nobody was told.")
        return
    told = telling.send(open_database(active), found, active.alerts)
    for channel, n in told.items():
        say(f"{channel}: {many(n, 'alert', 'alerts')} told, of {len(found):,} that stand.")
    log.info("alerts sent", extra={"found": len(found), **told})
