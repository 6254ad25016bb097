"""The one-page brief as a file."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ruam.cli.active import settings
from ruam.cli.console import say


class Language(StrEnum):
    TH = "th"
    EN = "en"


def brief(
    area: Annotated[str, typer.Argument(help="TH for the nation, or a health region: R01 to R13.")],
    out: Annotated[Path, typer.Option("--out", help="The PDF to write.", dir_okay=False)],
    month: Annotated[str | None, typer.Option(help="Such as 2025-03; the newest published month by default.")] = None,
    language: Annotated[Language, typer.Option(help="Of the brief.")] = Language.TH,
) -> None:
    """Write the nation's or a health region's month on one A4 page, as a PDF.

    It says what the page of the nation says: what changed, eight figures with their usual range, and the areas below.
    Of one publication it is the same bytes each time, so that a timer can write it after each `ruam publish`.
    """
    from streamlit.logger import set_log_level

    set_log_level("ERROR")  # Its cache would warn that it lives in no server.
    from dashboards.brief import brief_from
    from dashboards.components.words import Words
    from ruam.files import replacing

    active = settings()
    active.data_home.require()
    content = brief_from(active.data_home, area, month, Words(language.value))
    with replacing(out) as new:
        new.write_bytes(content)
    say(f"{out}: {len(content):,} bytes.")
