"""Commands that look after the landing."""

from __future__ import annotations

from typing import Annotated

import typer

from ruam.cli.active import settings
from ruam.cli.console import said, say, show, table
from ruam.errors import RuamError

landing = typer.Typer(help="Check the landing against its receipts, and mend them.", no_args_is_help=True)


@landing.command()
def check(
    sent: Annotated[
        bool, typer.Option("--sent", help="Read the zips in the inbox again, and count their lines too.")
    ] = False,
) -> None:
    """Compare the receipts with the rows, rejects and flags that lie beside them, per file and delivery.

    Rows are counted where they lie, not taken from what ingestion counted. Exit code 1 when something differs.
    """
    from ingestion.receipts import check as problems_of
    from ruam.landing import committed_batches

    active = settings()
    problems = problems_of(active, sent=sent)
    for problem in problems:
        say(said(f"{problem.folder.relative_to(active.data_home.root)}: {problem.what}"))
    if problems:
        raise RuamError(f"{len(problems):,} differences in the landing. docs/runbooks/landing.md says what to do.")
    say(f"{len(committed_batches(active.data_home.landing)):,} batches: the receipts tell what lies there.")


@landing.command()
def repair() -> None:
    """Make receipts anew where they are lost or differ from what lies there.

    Counts come from the rows, names from the inbox, the layout of files from the zips. Rows are never touched: when
    some are lost, nothing is written and it says which. Exit code 1 when something remains, 75 when a region is in use.
    """
    from ingestion.receipts import repair as mend

    active = settings()
    mended, left = mend(active)
    say(f"{len(mended):,} batches have new receipts.")
    for problem in left:
        say(said(f"{problem.folder.relative_to(active.data_home.root)}: {problem.what}"))
    if left:
        raise RuamError(f"{len(left):,} differences remain. docs/runbooks/landing.md says what to do.")


def compact() -> None:
    """Merge small batches of each region into large ones. Readers and other regions may go on meanwhile.

    Nothing of a row changes, and a build does not read it again. Exit code 75 when a region was in use; the others
    are done then. Safe to stop and to repeat at any time.
    """
    from ingestion.compaction import compact as compact_regions

    done = compact_regions(settings())
    if not done:
        say("Nothing was landed yet.")
        return
    regions = table("Landing", "region", "batches before", "after")
    for one in done:
        regions.add_row(one.region, f"{one.n_before:,}", f"{one.n_after:,}")
    show(regions)
    held = [one.region for one in done if not one.is_clean]
    if held:
        say(f"Somebody was reading region {', '.join(held)}: replaced folders stay until the next time.")
