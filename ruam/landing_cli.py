"""Commands that look after the landing."""

from __future__ import annotations

import typer
from rich.table import Table


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command()(compact)


def compact() -> None:
    """Merge small batches of each region into large ones. Readers and other regions may go on meanwhile.

    Nothing of a row changes, and a build does not read it again. Exit code 75 when a region was in use; the others
    are done then. Safe to stop and to repeat at any time.
    """
    from ingestion.compaction import compact as compact_regions
    from ruam.cli import console, settings

    table = Table("region", "batches before", "after", title="Landing", title_justify="left")
    done = compact_regions(settings())
    for one in done:
        table.add_row(one.region, f"{one.n_before:,}", f"{one.n_after:,}")
    console.print(table if done else "Nothing was landed yet.")
    held = [one.region for one in done if not one.is_clean]
    if held:
        console.print(f"Somebody was reading region {', '.join(held)}: replaced folders stay until the next time.")
