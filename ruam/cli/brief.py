"""The one-page brief as a file, or those of the nation and every health region."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ruam.cli.active import log, settings
from ruam.cli.console import said, say
from ruam.errors import RuamError, UsageError

if TYPE_CHECKING:
    from ruam.settings import Settings


class Language(StrEnum):
    TH = "th"
    EN = "en"


def brief(
    area: Annotated[
        str | None, typer.Argument(help="TH for the nation, or a health region: R01 to R13.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The PDF to write; with --all the folder.", show_default=False),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Of the nation and every health region.")] = False,
    month: Annotated[str | None, typer.Option(help="Such as 2025-03; the newest published month by default.")] = None,
    language: Annotated[Language, typer.Option(help="Of the brief.")] = Language.TH,
) -> None:
    """Write the nation's or a health region's month on one A4 page, as a PDF, or with --all those of all.

    It says what the page of the nation says: what changed, eight figures with their usual range, and the areas below.
    Of one publication it is the same bytes each time, so that a timer can write it after each `ruam publish`; `ruam
    run` does, into the folder of the setting `briefs`. The audit log is told of each that is written.
    """
    if out is None or (area is None) != every:
        raise UsageError("Name one area and a file (ruam brief TH --out FILE), or all and a folder (--all --out DIR).")
    active = settings()
    active.data_home.require()
    if every:
        write_all(active, out, month, language)
    else:
        _write(active, area or "", out, month, language)


def write_all(active: Settings, folder: Path, month: str | None = None, language: Language = Language.TH) -> None:
    """Write `brief-TH.pdf`, `brief-R01.pdf` ... into a folder, each in place of the one before.

    One that cannot be made is told in the end and keeps none of the others back: raises its error.
    """
    from ruam.settings import REGIONS

    folder.mkdir(parents=True, exist_ok=True)
    failure: RuamError | None = None
    for area in ("TH", *(f"R{region}" for region in REGIONS)):
        try:
            _write(active, area, folder / f"brief-{area}.pdf", month, language)
        except RuamError as error:
            say(f"{area}: no brief. {error}")
            failure = failure or error
    if failure:
        raise failure


def _write(active: Settings, area: str, out: Path, month: str | None, language: Language) -> None:
    from getpass import getuser

    from streamlit.logger import set_log_level

    set_log_level("ERROR")  # Its cache would warn that it lives in no server.
    from dashboards.brief import brief_from
    from ruam.audit import AuditLog, Event
    from ruam.files import replacing
    from ruam.publish import current
    from ruam.words import Words

    content = brief_from(active.data_home, area, month, Words(language.value))
    pointer = current(active.data_home)
    with replacing(out) as new:
        new.write_bytes(content)
        # What cannot be recorded is not handed out: the file comes into its place after this.
        AuditLog(active.data_home).write(
            Event.EXPORT,
            f"account {getuser()}",
            scope="TH",
            page="brief",
            filters={"area": area, "month": month or "newest", "lang": language.value},
            table=out.name,
            rows=1,
            sha256=hashlib.sha256(content).hexdigest(),
            publication=pointer["run_id"] if pointer else None,
        )
    log.info("brief written", extra={"area": area, "bytes": len(content)})
    say(f"{said(str(out))}: {len(content):,} bytes.")
