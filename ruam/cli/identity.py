"""`ruam identity`: all that opens the vault. Each command says why; the audit log keeps it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from ruam.cli.active import log, settings
from ruam.cli.console import many, plain, print_json, said, say
from ruam.cli.options import AsJson
from ruam.errors import BusyError, RuamError, UsageError

if TYPE_CHECKING:
    from identity.vault import Taken, Vault
    from ruam.settings import Settings

identity = typer.Typer(
    help="Who is who: the vault, which holds names and numbers, encrypted. Each opening is in the audit log.",
    no_args_is_help=True,
)


def _purpose(given: str) -> str:
    if not given.strip():
        raise UsageError("Say what the vault is opened for: --purpose TEXT.")
    if plain(given) != given:
        raise UsageError("The purpose holds a number that may be a citizen's, or control characters; leave them out.")
    return given.strip()


Purpose = Annotated[
    str,
    typer.Option(
        "--purpose", metavar="TEXT", help="Why the vault is opened; kept in the audit log.", callback=_purpose
    ),
]


@contextmanager
def open_vault(active: Settings, command: str, purpose: str) -> Iterator[Vault]:
    """The vault, open for one command. All that is shown of it must be counts."""
    from identity.vault import opened

    def waiting(why: str) -> None:
        say(f"{said(why)} Waiting up to {active.vault_wait_seconds:g} seconds.", stderr=True)

    try:
        with opened(active, command, purpose, waiting) as vault:
            yield vault
    except BusyError as error:
        raise BusyError(f"{error} What was to be done in the vault was not done: docs/runbooks/vault.md.") from error


def _take_in(active: Settings, vault: Vault) -> Taken:
    from identity.intake import Intake
    from ingestion.reference import current_registry
    from ruam.landing import committed_ids

    home = active.data_home
    provinces = dict(current_registry(home).select("hoscode", "provcode").iter_rows())
    return vault.take_in(Intake.of(home), committed_ids(home.landing), provinces)


def take_people_in(active: Settings, command: str, purpose: str) -> bool:
    """Move what ingestion left for the vault into it; False, and the vault stays shut, when nothing waits."""
    from identity.intake import Intake

    intake = Intake.of(active.data_home)
    if next(intake.waiting(), None) is None:
        return False
    with open_vault(active, command, purpose) as vault:
        taken = _take_in(active, vault)
        vault.tell(event="taken in", **vars(taken))
    say(
        f"Vault: {many(taken.batches, 'batch', 'batches')} taken in; {taken.records:+,} records, "
        f"{taken.numbers:+,} numbers."
    )
    log.info("taken into the vault", extra=vars(taken))
    return True


def links_are_old(active: Settings) -> bool:
    """Whether the vault has changed since the links were written."""
    from identity.vault import FILE

    vault, links = active.data_home.vault / FILE, active.data_home.links
    return vault.exists() and (not links.exists() or links.stat().st_mtime_ns < vault.stat().st_mtime_ns)


@identity.command("take-in")
def take_in(purpose: Purpose) -> None:
    """Move what ingestion sealed for the vault into it; `ruam run` does it too.

    Safe to stop and to repeat. Exit code 75 when another process has the vault open for longer than
    RUAM_VAULT_WAIT_SECONDS.
    """
    active = settings()
    active.data_home.require()
    if not take_people_in(active, "take-in", purpose):
        say("Nothing waits for the vault.")


@identity.command()
def status(purpose: Purpose, as_json: AsJson = False) -> None:
    """How much the vault holds: counts alone."""
    from identity.intake import Intake

    active = settings()
    active.data_home.require()
    with open_vault(active, "status", purpose) as vault:
        counts = vault.counts()
    waiting = sum(1 for _ in Intake.of(active.data_home).waiting())
    told = {**vars(counts), "batches_waiting": waiting}
    if as_json:
        print_json(told)
        return
    for name, count in told.items():
        say(f"{name.replace('_', ' ')}: {count:,}")


@identity.command()
def forget(
    purpose: Purpose,
    hospcode: Annotated[
        str | None, typer.Argument(metavar="HOSPCODE", help="Where the person is registered.", show_default=False)
    ] = None,
    pid: Annotated[
        str | None, typer.Argument(metavar="PID", help="The person's number there.", show_default=False)
    ] = None,
    by_cid: Annotated[
        bool, typer.Option("--cid", help="Ask for the citizen number instead (typed unseen, or a line on stdin).")
    ] = False,
    purge_deliveries: Annotated[
        bool,
        typer.Option("--purge-deliveries", help="Also remove every zip that holds the person from the inbox, now."),
    ] = False,
) -> None:
    """Erase a person from the vault, wherever the same number is registered, and keep it from coming back.

    What stays in the landing are rows under a pseudonym that nobody can lead back to a number any more. A citizen
    number is never an argument: others on this machine could read it.
    """
    from identity.unlink import linked_with, unlink

    number = _number() if by_cid else None
    if (number is None) != (hospcode is not None and pid is not None) or (number is not None and hospcode is not None):
        raise UsageError("Name the person by HOSPCODE and PID, or by --cid.")
    active = settings()
    home = active.data_home
    home.require()
    with open_vault(active, "forget", purpose) as vault:
        _take_in(active, vault)
        pairs = vault.pairs_of_number(number) if number else [(str(hospcode), str(pid))]
        if number is None and not vault.is_known(pairs[0]):
            raise UsageError(f"The vault has no person {pairs[0][1]} of facility {pairs[0][0]}.")
        gone = vault.forget(linked_with(home, pairs), number)
        vault.tell(event="forgotten", records=gone.records, numbers=gone.numbers, mentions=gone.mentions)
    unlink(home, gone.pairs)
    say(
        f"Forgotten: {many(gone.records, 'record', 'records')}, {many(gone.numbers, 'number', 'numbers')}, "
        f"{many(gone.mentions, 'mention', 'mentions')} as a mother."
    )
    log.info("forgotten", extra={"records": gone.records, "numbers": gone.numbers, "mentions": gone.mentions})
    _purge_deliveries(active, gone.pairs, now=purge_deliveries)
    say("`ruam identity link` makes the links anew; `ruam build` brings them into the warehouse.")


def _number() -> str:
    """A citizen number, typed unseen at a terminal or as the first line of standard input."""
    import getpass

    import polars as pl

    from identity.cid import classify, normalise

    given = getpass.getpass("Citizen number (not shown): ") if sys.stdin.isatty() else sys.stdin.readline()
    number = pl.DataFrame({"cid": [given.strip()]}).select(normalise(pl.col("cid")))["cid"]
    if classify(number)[0] in ("missing", "malformed", "bad_check_digit"):
        raise UsageError("That is no citizen number: 13 digits with a right check digit are needed.")
    return str(number[0])


def _purge_deliveries(active: Settings, pairs: list[tuple[str, str]], *, now: bool) -> None:
    from ingestion.inbox import stored
    from ingestion.retention import deliveries_with, purge

    inbox = active.data_home.inbox
    held = sorted(one for one in deliveries_with(active.data_home.landing, pairs) if stored(inbox, one).exists())
    if now and held:
        gone = purge(active, only=held)
        say(f"{many(len(gone), 'delivery', 'deliveries')} with the person left the inbox.")
    elif held:
        say(
            f"{many(len(held), 'delivery', 'deliveries')} in the inbox still hold the person, sealed, and go at the "
            f"latest {active.inbox_retention_days} days after they came; --purge-deliveries removes them now."
        )


@identity.command()
def audit(
    purpose: Annotated[
        str | None,
        typer.Option("--purpose", metavar="TEXT", help="Also open the vault, and compare with what it saw."),
    ] = None,
) -> None:
    """Verify the audit log: that no line was changed, taken out or put in. Exit code 1 when one was.

    With a purpose the vault is opened too, which knows how far the log must reach.
    """
    from identity.audit import log_of, problems

    active = settings()
    active.data_home.require()
    path = log_of(active.data_home)
    found = problems(path)
    if purpose is not None and not found:
        with open_vault(active, "audit", _purpose(purpose)) as vault:
            found = problems(path, vault.known)
    for one in found:
        say(said(f"{path.name}: {one}"))
    if found:
        raise RuamError(f"{len(found):,} things are wrong with {path}: it is not as it was written.")
    say(f"{said(path)}: every line is as it was written.")
