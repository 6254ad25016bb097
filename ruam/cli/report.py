"""`ruam report` and `ruam reports`: what senders are told of what they sent."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ruam.cli.active import log, settings
from ruam.cli.bar import Advance, bar
from ruam.cli.console import many, said, say
from ruam.cli.options import hospcode_of
from ruam.errors import UsageError


class Form(StrEnum):
    XLSX = "xlsx"
    JSON = "json"


def report(
    hospcode: Annotated[
        str | None,
        typer.Argument(
            metavar="HOSPCODE", help="The facility, by its 5 digits.", callback=hospcode_of, show_default=False
        ),
    ] = None,
    delivery: Annotated[
        str | None,
        typer.Option("--delivery", metavar="ID", help="Its delivery, by 8 hex digits or more; default the newest."),
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="Excel workbook or JSON; both hold the same.")] = Form.XLSX,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="File to write; default ruam-HOSPCODE-DELIVERY.FORMAT here.", show_default=False),
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the schema of the JSON, and nothing else.")] = False,
) -> None:
    """The report on a delivery to its sender: each row to mend as it was sent, with line, rule and what to do.

    Citizen numbers are masked to their last 4 digits, names and addresses hidden. A delivery that was rejected as a
    whole has a report too. What other files and facilities say of a row is as of the last publication. Exit code 2
    when nothing came from the facility, or the delivery is not its own.
    """
    from quality import report as reports
    from quality.reports import FORMS, put
    from ruam.followup import Followup

    if schema:
        typer.echo(json.dumps(reports.Report.model_json_schema(), ensure_ascii=False, indent=2))
        return
    if hospcode is None:
        raise UsageError("Name the facility by its 5 digits: ruam report HOSPCODE.")
    active = settings()
    active.data_home.require()
    delivery_id = reports.choose(active.data_home, hospcode, delivery)
    made = reports.make(active, hospcode, delivery_id, Followup.of(active).accepted())
    path = out or Path(f"ruam-{hospcode}-{delivery_id[:12]}.{form}")
    put(path.absolute(), FORMS[f".{form}"](made))
    rows = sum(len(file.rows) for file in made.files)
    say(f"{said(path)}: {made.delivery.outcome}, {many(rows, 'row', 'rows')} with something to mend.")
    log.info("reported", extra={"hospcode": hospcode, "delivery_id": delivery_id, "rows": rows})


def reports(
    hospcode: Annotated[
        str | None, typer.Option("--hospcode", metavar="NNNNN", help="Of one facility.", callback=hospcode_of)
    ] = None,
) -> None:
    """Write the reports that are due, where the pages hand them out: of new deliveries, and after a publication of each
    facility's newest one."""
    write_reports(hospcode)


def write_reports(hospcode: str | None = None, *, older: bool = True) -> None:
    """Of each facility's newest delivery; of older ones too, unless they can wait until somebody asks."""
    from quality.reports import write
    from ruam.followup import Followup

    active = settings()
    active.data_home.require()
    with bar() as follow:
        n = write(
            active,
            Followup.of(active).accepted(),
            hospcode,
            lambda done, total: follow(Advance("reports", done, total, f"{done:,} of {total:,} deliveries")),
            older=older,
        )
    say(f"Reports to senders: {many(n, 'delivery', 'deliveries')} written. {said(active.data_home.reports)}")
    log.info("reports written", extra={"deliveries": n})
