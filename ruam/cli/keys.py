"""Commands that show and change keys."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ruam.cli.active import log, settings
from ruam.cli.bar import Advance, bar
from ruam.cli.console import said, say, show, table
from ruam.cli.identity import open_vault, take_people_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from ruam.settings import Settings

keys = typer.Typer(help="Show the ids of the keys, and change a key.", no_args_is_help=True)


_OF_ANALYSIS = ("keys rotate analysis", "the analysis key is changed")
_OF_LINKAGE = ("keys rotate linkage", "the linkage key is changed")
"""Command and purpose for the vault's audit log."""


class Changed(StrEnum):
    ANALYSIS = "analysis"
    LINKAGE = "linkage"


@keys.command("show")
def show_keys() -> None:
    """Show where the keys are, the id of each, and whether they fit the landing. A key itself is never shown.

    Exit code 4 when a key is missing or not as it must be, or when the landing was made with others.
    """
    from identity.keys import NAMES, id_of, keys_of, load_key, load_keys
    from ingestion.landing import key_ids, require_fitting

    home = settings().data_home
    home.require()
    source = keys_of(home)
    listed = table("Keys", "key", "id")
    for name in NAMES:
        listed.add_row(name, id_of(load_key(source, name)))
    show(listed)
    say(f"They are kept in {said(source)}.")
    made_with = key_ids(home.landing)
    require_fitting(home.landing, load_keys(source), made_with)
    say("They fit the landing." if made_with else "Nothing was landed with them yet.")


@keys.command()
def rotate(
    name: Annotated[Changed, typer.Argument(help="The key to change.")],
) -> None:
    """Make a new key, and put the whole landing under it. The warehouse is removed: run ruam run afterwards.

    [bold]analysis[/] needs no inbox: each pseudonym is worked out again from what the vault knows. [bold]linkage[/]
    lands every delivery again from the inbox, and refuses unless it holds them all.

    Exit code 75 when somebody lands, builds or publishes. Killed while it writes, nothing was changed; killed in the
    short while of the swap, nobody may read the landing until the same command has ended that. What to do:
    docs/runbooks/rotate-keys.md
    """
    from ingestion.rotation import rotate_analysis, rotate_linkage

    active = settings()
    with bar() as follow:

        def told(n_done: int, n_all: int) -> None:
            follow(Advance("rewrite", n_done, n_all, f"{n_done:,} of {n_all:,} batches"))

        if name is Changed.LINKAGE:
            done = rotate_linkage(active, lambda: open_vault(active, *_OF_LINKAGE), told)
        else:
            done = rotate_analysis(active, lambda: _linkage_pseudonyms(active), told)
    log.info("key changed", extra={"key": done.name, "key_id": done.key_id})
    say(f"The {done.name} key is new; the keys are {done.key_id} now. Next: ruam run, which builds the warehouse anew.")


def _linkage_pseudonyms(active: Settings) -> Iterator[pl.DataFrame]:
    take_people_in(active, *_OF_ANALYSIS)
    with open_vault(active, *_OF_ANALYSIS) as vault:
        yield from vault.linkage_pseudonyms()
