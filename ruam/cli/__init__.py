"""The `ruam` command: each step of the flow, in order, and one command for all of them.

A command is a function in one of the modules here, and a line below. What it needs beyond the console it imports
itself, so that `ruam --help` does not wait for a database engine.

Exit codes: 0 done · 1 unexpected · 2 wrong argument · 3 nothing could be accepted · 4 home, keys or reference not
ready · 5 build failed · 6 not published · 7 not all could be fetched · 8 Ruam itself failed on
some · 9 linkage was refused · 10 a check failed · 11 alerts not sent · 12 a batch was
killed twice · 74 disk full or failing · 75 busy, try again.
"""

from __future__ import annotations

import sys
from secrets import token_hex

import typer

from ruam.cli import (
    access,
    alerts,
    audit,
    brief,
    check,
    deliveries,
    docs,
    feeds,
    findings,
    flow,
    identity,
    inbox,
    keys,
    landing,
    linkage,
    prepare,
    quarantine,
    report,
    scorecard,
    status,
    study,
)
from ruam.cli.active import log
from ruam.cli.console import FAILED, RUNBOOK_OF_EXIT, RUNBOOKS, said, say
from ruam.errors import RuamError, failed_at

app = typer.Typer(
    help="Ruam (รวม): hospital extracts in, one national warehouse of patient visits, "
    "disclosure-controlled pages out.\n\n"
    "The order of work: [bold]init[/] → [bold]reference load[/] → [bold]ingest[/] → [bold]build[/] → "
    "[bold]publish[/] → [bold]serve[/]; [bold]run[/] does all of what is new, linking people included. "
    "[bold]status[/], [bold]deliveries[/] and [bold]quarantine[/] say what came and what is wrong with it; "
    "[bold]identity[/] looks after who is who.\n\n"
    "Settings come from RUAM_* variables, then ruam.toml; RUAM_HOME names the data home (default ./data).",
    epilog="Exit codes: 0 done, 2 wrong argument, 3 nothing could be accepted, 4 home, keys or reference not ready, "
    "5 build failed, 6 not published, 7 not all could be fetched, 8 Ruam itself failed on some, 9 linkage was "
    "refused, 10 a check failed, 11 alerts not sent, 12 a batch was killed twice, 74 disk full or failing, "
    "75 busy (try again). "
    f"What to do about each: {RUNBOOKS}/",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(prepare.init)
app.add_typer(prepare.reference, name="reference")
app.command()(prepare.synth)
app.command()(flow.ingest)
app.command()(flow.build)
app.command()(check.check)
app.command()(flow.publish)
app.command()(flow.run)
app.command()(flow.serve)
app.command()(docs.docs)
app.command()(docs.export)
app.command()(brief.brief)
app.command()(status.status)
app.command()(deliveries.deliveries)
app.add_typer(quarantine.quarantine, name="quarantine")
app.command()(scorecard.scorecard)
app.command()(report.report)
app.command()(report.reports)
app.add_typer(findings.findings, name="findings")
app.add_typer(alerts.alerts, name="alerts")
app.command()(landing.compact)
app.add_typer(landing.landing, name="landing")
app.add_typer(inbox.inbox, name="inbox")
for command in (linkage.link, linkage.review, linkage.train, linkage.evaluate):
    identity.identity.command()(command)
app.add_typer(identity.identity, name="identity")
app.add_typer(keys.keys, name="keys")
app.add_typer(feeds.feeds, name="feeds")
app.add_typer(study.study, name="study")
app.add_typer(access.access, name="access")
app.add_typer(audit.audit, name="audit")


def main() -> None:
    """Entry point: errors a user can act on become one message and an exit code, all others one without their words."""
    try:
        app()
    except (RuamError, OSError) as error:
        exit_code = error.exit_code if isinstance(error, RuamError) else 1
        log.error("failed", extra={"error": type(error).__name__, "exit_code": exit_code})
        say("[bold red]ruam:[/] " + "\n".join(said(line) for line in str(error).splitlines()), stderr=True)
        if exit_code in RUNBOOK_OF_EXIT:
            say(f"What to do: {RUNBOOKS}/{RUNBOOK_OF_EXIT[exit_code]}", stderr=True)
        sys.exit(exit_code)
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 - not every error of the data frames is an `Exception`
        reference = token_hex(4)
        log.exception("failed unexpectedly", extra={"reference": reference, "exit_code": 1})
        say(
            f"[bold red]ruam:[/] Ruam itself failed ({failed_at(error)}), logged as {reference}. What was committed "
            f"stays; nothing is half done. What to do: {RUNBOOKS}/{FAILED}",
            stderr=True,
        )
        sys.exit(1)
