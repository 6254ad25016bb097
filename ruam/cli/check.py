"""`ruam check`: the checkpoints of the landing and the warehouse."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from ruam.cli.active import log, settings
from ruam.cli.console import many, number, said, say, show, table
from ruam.cli.options import AsJson
from ruam.errors import CheckError

if TYPE_CHECKING:
    from ruam.checks import Verdict
    from ruam.home import DataHome

SHOWN = 20
"""Failures told in the terminal; the pages have all."""


class Checkpoint(StrEnum):
    LANDING = "landing"
    WAREHOUSE = "warehouse"


def check(
    what: Annotated[
        Checkpoint, typer.Argument(help="landing: what no check has passed yet; warehouse: the last build.")
    ],
    everything: Annotated[bool, typer.Option("--all", help="Of the landing: all batches, not only new ones.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check what Ruam itself promises of the landing or the warehouse, whoever sent the rows.

    Columns, keys, references, row balance: a failure is a fault of ours, and stops publishing until a check passes. The
    pages on it (Data Docs) open without a network. Exit code 10 when a check failed or could not be evaluated.
    """
    home = settings().data_home
    home.require()
    verdict = run_checkpoint(home, what, everything=everything)
    if verdict is None:
        say("Nothing was landed that was not checked.")
        return
    if as_json:
        from ruam.cli.console import print_json

        print_json({**verdict.model_dump(mode="json"), "is_passed": verdict.is_passed})
    else:
        _show(home, verdict)
    if not verdict.is_passed:
        raise CheckError(f"{many(len(verdict.stopping), 'check', 'checks')} of the {what} did not pass.")


def run_checkpoint(home: DataHome, what: Checkpoint, *, everything: bool = False) -> Verdict | None:
    from quality.checkpoints import check_landing, check_warehouse

    began = perf_counter()
    verdict = check_landing(home, everything=everything) if what is Checkpoint.LANDING else check_warehouse(home)
    if verdict:
        failed = len(verdict.stopping)
        seconds = round(perf_counter() - began, 3)
        told = {"checkpoint": str(what), "checks": len(verdict.outcomes), "failed": failed, "seconds": seconds}
        log.info("checked", extra=told)
    return verdict


def ensure_checked(home: DataHome) -> None:
    """Run what publishing asks for and no check has seen: new batches, and a build."""
    from ruam.build import last_build_id
    from ruam.checks import WAREHOUSE, last_verdict

    for what in Checkpoint:
        last = last_verdict(home, WAREHOUSE)
        if what is Checkpoint.WAREHOUSE and last and last.is_passed and last.build_id == last_build_id(home):
            continue
        verdict = run_checkpoint(home, what)
        if verdict:
            say(
                f"Checked the {what}: {many(len(verdict.outcomes), 'check', 'checks')}, "
                + (f"[red]{len(verdict.stopping):,} did not pass[/]." if verdict.stopping else "all passed.")
            )


def _show(home: DataHome, verdict: Verdict) -> None:
    from quality.checkpoints import docs_of
    from ruam.checks import Status

    suites = table(f"Checks of the {verdict.checkpoint}", "table", "rows", "checks", "passed", "failed", "errors")
    for name in dict.fromkeys(one.table for one in verdict.outcomes):
        mine = [one for one in verdict.outcomes if one.table == name]
        counts = Counter(one.status for one in mine)
        bad = [f"[red]{counts[s]:,}[/]" if counts[s] else "0" for s in (Status.FAILED, Status.ERROR)]
        suites.add_row(name, number(mine[0].n_rows), f"{len(mine):,}", f"{counts[Status.PASSED]:,}", *bad)
    show(suites)
    for one in verdict.stopping[:SHOWN]:
        columns = f" ({', '.join(one.check.columns)})" if one.check.columns else ""
        broken = "" if one.n_broken is None else f" {one.n_broken:,} of {number(one.n_rows)}"
        say(f"[red]{one.status}[/] {one.table}: {one.check.rule}{said(columns)}{broken} {said(one.message)}")
    if len(verdict.stopping) > SHOWN:
        say(f"… and {len(verdict.stopping) - SHOWN:,} more.")
    say(f"Pages on it: {said(docs_of(home, verdict.checkpoint))}")
