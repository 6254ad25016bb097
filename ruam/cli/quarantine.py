"""`ruam quarantine`: deliveries that were rejected, and rows that were set aside."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ruam.cli.active import log, settings
from ruam.cli.bar import bar
from ruam.cli.console import (
    in_thai_time,
    many,
    number,
    plain,
    print_csv,
    print_json,
    runbook,
    said,
    say,
    show,
    table,
)
from ruam.cli.deliveries import facility_words, record
from ruam.cli.options import AsCsv, AsJson, HospCode, Limit, Region, one_format
from ruam.cli.summary import of_what_was_left, show_left, to_bar
from ruam.cli.words import counted, explained, rule_words
from ruam.errors import NothingAcceptedError, UsageError

if TYPE_CHECKING:
    import polars as pl

    from ruam.home import DataHome
    from ruam.settings import ZipLimits

quarantine = typer.Typer(
    help="Deliveries that were rejected, what is wrong with them, and trying them again.", no_args_is_help=True
)

Id = Annotated[
    str,
    typer.Argument(
        metavar="DELIVERY", help="The delivery's id, or its first 8 hex digits or more.", show_default=False
    ),
]
Ids = Annotated[
    list[str],
    typer.Argument(metavar="DELIVERY...", help="Ids, or their first 8 hex digits or more.", show_default=False),
]

WAITING: tuple[str, ...] = (
    *("delivery_id", "file_name", "region", "hospcode", "facility", "province", "reason", "detail", "n_names"),
    *("sent_at", "received_at", "waits_since", "age_days", "n_bytes"),
)
SET_ASIDE: tuple[str, ...] = (
    *("delivery_id", "file_name", "region", "hospcode", "facility", "province", "received_at", "age_days"),
    *("file", "column_name", "rule", "n_rows"),
)
ROW = ("file", "member", "source_line", "column_name", "rule", "masked_value")
SHOWN_MEMBERS = 60
SHOWN_SENDERS = 5


@quarantine.command("list")
def list_(
    region: Region = None,
    hospcode: HospCode = None,
    rule: Annotated[str | None, typer.Option("--rule", help="Those that broke this rule.")] = None,
    older_than: Annotated[
        int | None, typer.Option("--older-than", min=0, help="Waiting for more days than this.")
    ] = None,
    rows: Annotated[bool, typer.Option("--rows", help="Rows set aside of accepted deliveries, instead.")] = False,
    limit: Limit = 50,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """What waits in quarantine, longest first: rejected deliveries, or with --rows the rows that were set aside.

    A delivery leaves when it is accepted: released, or sent again with the same content.
    """
    import polars as pl

    from ingestion import history

    one_format(as_json=as_json, as_csv=as_csv)
    _check_rule(rule)
    home = settings().data_home
    home.require()
    came = history.deliveries(home)
    found = _set_aside(home, came) if rows else history.in_quarantine(came)
    columns = SET_ASIDE if rows else WAITING
    reason, since = ("rule", "received_at") if rows else ("reason", "waits_since")
    now = datetime.now(UTC).replace(tzinfo=None)
    found = found.with_columns(age_days=(pl.lit(now) - pl.col(since)).dt.total_days())
    if region:
        found = found.filter(pl.col("region") == region)
    if hospcode:
        found = found.filter(pl.col("hospcode") == hospcode)
    if rule:
        found = found.filter(pl.col(reason) == rule)
    if older_than is not None:
        found = found.filter(pl.lit(now) - pl.col(since) > timedelta(days=older_than))
    found = found.sort(since, "delivery_id", maintain_order=True)
    if as_json:
        print_json(list(found.select(columns).iter_rows(named=True)))
    elif as_csv:
        print_csv(columns, found.select(columns).iter_rows(named=True))
    elif rows:
        _show_set_aside(found, limit or found.height)
    else:
        _show_waiting(found, limit or found.height)


def _check_rule(rule: str | None) -> None:
    from ingestion.checks import load_rules

    if rule and rule not in load_rules():
        raise UsageError(f"{rule} is no rule; ingestion/rules/f43.yml has them all.")


def _set_aside(home: DataHome, came: pl.DataFrame) -> pl.DataFrame:
    """Rows set aside, by delivery, file, column and rule, with what `deliveries` says of the delivery."""
    import polars as pl

    from ingestion import history

    accepted = came.filter(pl.col("outcome") == "accepted_with_rejects")
    rules = history.rules_of(home, accepted).filter(pl.col("level") == "row")
    return rules.select("delivery_id", "file", "column_name", "rule", "n_rows").join(
        accepted.drop("n_rows"), on="delivery_id"
    )


def _show_waiting(found: pl.DataFrame, limit: int) -> None:
    if found.is_empty():
        say("Nothing is in quarantine.")
        return
    made = table("In quarantine", "delivery", "days", "region", "sender", "rule and name", text=("rule and name",))
    for one in found.head(limit).iter_rows(named=True):
        more = f" [dim]and {one['n_names'] - 1} more names[/]" if one["n_names"] > 1 else ""
        made.add_row(
            one["delivery_id"][:12],
            f"{one['age_days']:,}",
            _region(one),
            said(one["hospcode"] or "–"),
            f"[red]{one['reason']}[/] {said(one['file_name'])}{more}",
        )
    show(made)
    _show_rest(found.height, limit)
    show(counted((n, explained(rule, f"[dim]runbook:[/] {runbook(rule)}")) for rule, n in _by(found, "reason")))
    say("\n`ruam quarantine show DELIVERY` says what is wrong, `ruam quarantine release DELIVERY` tries it again.")


def _show_set_aside(found: pl.DataFrame, limit: int) -> None:
    if found.is_empty():
        say("No row was set aside.")
        return
    made = table(
        "Rows set aside", "delivery", "days", "region", "sender", "rows", "rule and place", text=("rule and place",)
    )
    for one in found.head(limit).iter_rows(named=True):
        place = f"{one['file']}{'.' + one['column_name'] if one['column_name'] else ''}"
        made.add_row(
            one["delivery_id"][:12],
            f"{one['age_days']:,}",
            _region(one),
            said(one["hospcode"]),
            f"{one['n_rows']:,}",
            f"{one['rule']} [dim]in[/] {place}",
        )
    show(made)
    _show_rest(found.height, limit)
    say("`ruam quarantine show DELIVERY` names each row by line; what to do: docs/runbooks/accepted_with_rejects.md")


def _region(one: dict[str, Any]) -> str:
    return "–" if one["region"] == "00" else str(one["region"])


def _show_rest(n: int, limit: int) -> None:
    if n > limit:
        say(f"and {n - limit:,} more (--limit 0 shows all)")


def _by(found: pl.DataFrame, column: str) -> list[tuple[str, int]]:
    return list(found.group_by(column).len().sort("len", column, descending=[True, False]).iter_rows())


@quarantine.command("show")
def show_(delivery: Id, limit: Limit = 20, as_json: AsJson = False) -> None:
    """One delivery: what is wrong and how to mend it, the zip's members, the rows set aside, and where it lies.

    Values are masked. An accepted delivery is shown too, with the rows of it that were set aside.
    """
    from ingestion import history

    active = settings()
    home = active.data_home
    home.require()
    came = history.find_delivery(home, delivery)
    told = _told(home, came, active.feeds)
    if told["rule"] and not told["members_error"]:
        _look_inside(home, told, active.limits, active.feeds)
    if as_json:
        print_json(told)
    else:
        _show_delivery(told, limit)


def _told(home: DataHome, came: pl.DataFrame, feeds: Path | None) -> dict[str, Any]:
    import polars as pl

    from ingestion import history
    from ingestion.inbox import stored
    from ingestion.quarantine import announced_by, list_members, releases_of

    newest = came.row(0, named=True)
    accepted = came.filter(pl.col("outcome").is_in(history.ACCEPTED))
    delivery_id = newest["delivery_id"]
    path = stored(home.inbox, delivery_id)
    told: dict[str, Any] = {
        "delivery_id": delivery_id,
        "state": "accepted" if accepted.height else "in quarantine",
        "receipts": [record(row) for row in came.iter_rows(named=True)],
        "rule": None if accepted.height else rule_words(newest["reason"]),
        "runbook": None if accepted.height else runbook(newest["reason"]),
        "path": str(path) if path.exists() else None,
        "members": [],
        "members_error": None,
        "senders_inside": {},
        "proposed_names": [],
        "rejected_rows": list(history.rejects_of(home, accepted).select(ROW).iter_rows(named=True)),
        "releases": releases_of(home, delivery_id),
    }
    try:
        if path.exists():
            told["members"] = [
                vars(member) for member in list_members(path, announced_by(newest["file_name"], feeds), feeds)
            ]
        else:
            told["members_error"] = "the zip is gone from the inbox"
    except zipfile.BadZipFile as error:
        told["members_error"] = str(error)
    return told


def _look_inside(home: DataHome, told: dict[str, Any], limits: ZipLimits, feeds: Path | None) -> None:
    """Add whose rows the zip holds, and the names under which it could be released: of registered facilities."""
    from ingestion.history import facilities
    from ingestion.quarantine import announced_by, proposed_name, senders_inside

    path = Path(told["path"])
    feed = announced_by(told["receipts"][0]["file_name"], feeds)
    told["senders_inside"] = dict(senders_inside(path, limits, feed, feeds).most_common(SHOWN_SENDERS))
    if told["rule"]["rule"] in ("bad_zip_name", "unknown_sender"):
        registered = set(facilities(home)["hospcode"])
        received = told["receipts"][-1]["received_at"]
        told["proposed_names"] = [
            proposed_name(path, code, received, feed, feeds) for code in told["senders_inside"] if code in registered
        ]


def _show_delivery(told: dict[str, Any], limit: int) -> None:
    newest = told["receipts"][0]
    say(f"[bold]Delivery {told['delivery_id']}[/]")
    say(f"{facility_words(newest)}: {'[red]in quarantine[/]' if told['rule'] else '[green]accepted[/]'}")
    for one in told["receipts"]:
        sent = f", sent {one['sent_at']:%Y-%m-%d %H:%M}" if one["sent_at"] else ""
        why = f": {one['reason']}" if one["reason"] else ""
        say(f"  received {in_thai_time(one['received_at'])} as {said(one['file_name'])}{sent}: {one['outcome']}{why}")
    if told["rule"]:
        say("\n[bold]What is wrong[/]")
        show(explained(told["rule"]["rule"], f"[dim]found:[/] {said(newest['detail'] or '–')}"))
        say(f"[dim]runbook:[/] {told['runbook']}")
    _show_members(told)
    _show_rows(told["rejected_rows"], limit)
    if told["releases"]:
        say("\n[bold]Tried again[/]")
        for one in told["releases"]:
            why = f" because: {said(one['why'])}" if one["why"] else ""
            what = f"{one['state']}{': ' + one['rule'] if one['rule'] else ''}"
            say(f"  {said(one['at'][:16])}Z by {said(one['by'])} as {said(one['file_name'])}: {said(what)}{why}")
    say(f"\n[bold]Where it lies[/]\n{said(told['path'] or 'gone from the inbox')}")
    if told["rule"] and told["path"]:
        _show_next(told)


def _show_members(told: dict[str, Any]) -> None:
    if told["members_error"]:
        say(f"\n[bold]Members[/]\ncannot be listed: {said(told['members_error'])}")
        return
    members = told["members"]
    made = table(f"\nMembers ({len(members):,})", "name", "bytes", "packed", "file", text=("name",))
    for one in members[:SHOWN_MEMBERS]:
        made.add_row(
            said(one["name"]), number(one["n_bytes"]), number(one["n_packed_bytes"]), one["file"] or "[dim]none[/]"
        )
    show(made)
    _show_rest(len(members), SHOWN_MEMBERS)


def _show_rows(rows: list[dict[str, Any]], limit: int) -> None:
    if not rows:
        return
    heads = ("file", "line", "column", "rule", "value, masked")
    made = table(f"\nRows set aside ({len(rows):,})", *heads, text=("column", "rule", "value, masked"))
    for one in rows[: limit or None]:
        made.add_row(
            said(one["member"] or one["file"]),
            number(one["source_line"]),
            one["column_name"] or "–",
            one["rule"],
            said(one["masked_value"] or "–"),
        )
    show(made)
    _show_rest(len(rows), limit or len(rows))


def _show_next(told: dict[str, Any]) -> None:
    short = told["delivery_id"][:12]
    say("\n[bold]What next[/]")
    if told["senders_inside"]:
        inside = ", ".join(f"{code} ({n:,} rows)" for code, n in told["senders_inside"].items())
        say(f"Of the rows looked at, HOSPCODE is {inside}.")
    for name in told["proposed_names"]:
        say(f"Under its right name: ruam quarantine release {short} --as {name}")
    say(f"Cause mended here (registry, limits): ruam quarantine release {short} --reason 'WHY'")
    say("Else the sender mends it and sends it again, and this one stays as it is.")


@quarantine.command()
def release(
    delivery: Ids,
    as_name: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="NAME.zip", help="Take it in under this name: F43_<HOSPCODE>_<YYYYMMDDHHMMSS>.zip."
        ),
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why it may come in now; kept.")
    ] = None,
) -> None:
    """Try rejected deliveries again from the inbox, after the cause was mended.

    They take the way of every delivery: what is still broken is rejected again (exit code 3) and nothing of it is
    loaded. Who tried it, when and why is kept. An accepted delivery has nothing to release (exit code 2).
    """
    from ingestion.quarantine import release as try_again

    if reason is not None and plain(reason) != reason:
        raise UsageError("The reason holds a number that may be a citizen's, or control characters; leave them out.")
    active = settings()
    with bar() as follow:
        tried, report = try_again(active, delivery, as_name=as_name, reason=reason, follow=to_bar(follow))
    for one in tried:
        outcome = one.outcome
        label = f"{one.delivery_id[:12]} {said(one.file_name)}"
        if outcome.outcome == "rejected":
            say(f"{label}: [red]still rejected[/]: {said(outcome.detail or '')}")
            show(counted([(1, explained(str(outcome.reason), f"[dim]runbook:[/] {runbook(str(outcome.reason))}"))]))
        else:
            say(
                f"{label}: [green]{outcome.outcome}[/]: {outcome.n_rows:,} rows = {outcome.n_landed:,} landed + "
                f"{outcome.n_rejected:,} rejected; {outcome.n_flagged:,} flagged"
            )
    show_left(report)
    broken = [one for one in tried if one.outcome.outcome == "rejected"]
    log.info("released", extra={"batches": report.batches, "tried": len(tried), "rejected": len(broken)})
    if trouble := of_what_was_left(report):
        raise trouble
    if broken:
        raise NothingAcceptedError(
            f"Of {many(len(tried), 'delivery', 'deliveries')} tried again, {len(broken):,} still broken: "
            "rejected again, and nothing of it was loaded."
        )
    say("`ruam build` brings the rows into the warehouse.")
