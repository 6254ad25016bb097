"""`ruam feeds`: which kinds of delivery are taken in, and whether the YAML of a new one fits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ruam.cli.active import settings
from ruam.cli.console import said, say
from ruam.errors import SetupError, UsageError

if TYPE_CHECKING:
    from ingestion.feed import Feed

feeds = typer.Typer(help="The kinds of delivery that are taken in.", invoke_without_command=True)


@feeds.callback()
def show(context: typer.Context) -> None:
    """List the feeds: name, words in a delivery's name, tables, and the files that their rows become."""
    from ingestion.feed import FeedError, load_feeds

    if context.invoked_subcommand is None:
        try:
            known = load_feeds(settings().feeds)
        except FeedError as error:
            raise SetupError(f"The feeds cannot be read.\n{error}") from error
        say("\n\n".join(_told(feed) for feed in known.values()))


@feeds.command()
def check(file: Annotated[Path, typer.Argument(help="YAML of a feed.", show_default=False)]) -> None:
    """Say whether a YAML describes a feed, and if not, what is wrong on which line (exit code 2)."""
    from ingestion.feed import FeedError, read_feed

    try:
        feed = read_feed(file)
    except FeedError as error:
        raise UsageError(f"{file} is no feed yet.\n{error}") from error
    say(_told(feed))


def _told(feed: Feed) -> str:
    lines = [f"{feed.feed}  {feed.label_th} · {feed.label_en}  (words: {', '.join(feed.name_tokens)})"]
    if not feed.routes:
        lines.append(f"  {len(feed.tables)} tables, each a file of the standard")
    for table in feed.tables if feed.routes else ():
        files = dict.fromkeys(route.file for route in feed.routes if route.table == table and route.file)
        if feed.tables[table].bundle:
            became = "its entries are rows of the other tables"
        elif files:
            became = ", ".join(files)
        else:
            became = "looked up by others" if feed.looked_up(table) else "counted as out of scope"
        lines.append(f"  {table} → {became}")
    return "\n".join(said(line) for line in lines)
