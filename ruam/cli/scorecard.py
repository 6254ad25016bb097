"""`ruam scorecard`: an area's data quality as a file to hand on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ruam.cli.active import log, settings
from ruam.cli.console import say


def scorecard(
    area: Annotated[
        str, typer.Argument(help="TH, R04 (health region), P50 (province), D5001 (district) or a HOSPCODE.")
    ],
    out: Annotated[Path, typer.Option("--out", help="File to write: .xlsx with all sheets, or .csv with the months.")],
) -> None:
    """Write the scorecard of an area or facility: four axes against its past and its peers, and what to mend first.

    It holds what the page shows, from what is published: counts under 10 are <10, others are rounded to 5.
    """
    from quality.scorecard import write_scorecard

    home = settings().data_home
    home.require()
    n_months = write_scorecard(home, area, out)
    say(f"{out}: the scorecard of {area}, {n_months} months.")
    log.info("scorecard written", extra={"area": area, "months": n_months})
