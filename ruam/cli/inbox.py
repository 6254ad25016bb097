"""`ruam inbox`: the zips as they were sent, sealed, and how long they stay."""

from __future__ import annotations

import typer

from ruam.cli.active import log, settings
from ruam.cli.console import many, say

inbox = typer.Typer(help="Deliveries as they were sent, sealed.", no_args_is_help=True)


@inbox.command()
def purge() -> None:
    """Remove zips that came more than RUAM_INBOX_RETENTION_DAYS ago (400) and have receipts; `ruam run` does it too.

    What their receipts told is kept, so that the same zip is still known and receipts can be made anew. Rejected ones
    go as well, and cannot be released any more.
    """
    from ingestion.retention import purge as empty

    active = settings()
    gone = empty(active)
    log.info("inbox purged", extra={"deliveries": len(gone)})
    say(f"{many(len(gone), 'delivery', 'deliveries')} older than {active.inbox_retention_days} days left the inbox.")
