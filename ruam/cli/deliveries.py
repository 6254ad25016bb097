"""`ruam deliveries`: the history of what came, newest first."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ruam.cli.active import settings
from ruam.cli.console import (
    NOTHING_RECEIVED,
    THAI_TIME,
    in_thai_time,
    many,
    number,
    print_csv,
    print_json,
    runbook,
    said,
    say,
    show,
    table,
)
from ruam.cli.options import AsCsv, AsJson, HospCode, Limit, Region, Since, one_format
from ruam.cli.words import explained, rule_words
from ruam.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

    from ruam.home import DataHome

DELIVERY = (
    *("delivery_id", "file_name", "region", "hospcode", "facility", "province", "sent_at", "received_at"),
    *("outcome", "reason", "detail", "n_bytes", "n_rows", "n_landed", "n_rejected", "n_flagged"),
)
FILE: tuple[str, ...] = (
    *("file", "member", "layout", "header", "encoding", "n_rows", "n_landed", "n_rejected", "n_flagged"),
    *("missing_columns", "unknown_columns"),
)
RULE: tuple[str, ...] = ("file", "rule", "column_name", "level", "n_rows")
KEY = ("delivery_id", "file_name", "hospcode")
"""Of the delivery, before the columns of each of its files or rules in a CSV."""


class OutcomeName(StrEnum):
    ACCEPTED = "accepted"
    ACCEPTED_WITH_REJECTS = "accepted_with_rejects"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


def deliveries(
    hospcode: HospCode = None,
    region: Region = None,
    since: Since = None,
    outcome: Annotated[OutcomeName | None, typer.Option("--outcome", help="Those with this outcome.")] = None,
    files: Annotated[bool, typer.Option("--files", help="With each file: rows, layout, encoding, columns.")] = False,
    rules: Annotated[bool, typer.Option("--rules", help="With each rule that was broken, by file and column.")] = False,
    limit: Limit = 20,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """What came, newest first: when, from whom, what became of it and why, and its rows.

    Times are Thai time; rows sent = landed + rejected. An unknown facility is exit code 2.
    """
    import polars as pl

    from ingestion import history

    one_format(as_json=as_json, as_csv=as_csv)
    if as_csv and files and rules:
        raise UsageError("A CSV holds files or rules: choose --files or --rules.")
    home = settings().data_home
    home.require()
    if hospcode:
        history.check_sender(home, hospcode)
    came = history.deliveries(home)
    if hospcode:
        came = came.filter(pl.col("hospcode") == hospcode)
    if region:
        came = came.filter(pl.col("region") == region)
    if since:
        came = came.filter(
            pl.col("received_at") >= since.replace(tzinfo=THAI_TIME).astimezone(UTC).replace(tzinfo=None)
        )
    if outcome:
        came = came.filter(pl.col("outcome") == outcome.value)
    shown = came if as_json or as_csv or not limit else came.head(limit)
    told = _told(home, shown, files=files, rules=rules)
    if as_json:
        print_json(told)
    elif as_csv:
        _print_csv(told, "files" if files else "rules" if rules else None)
    else:
        _show(home, told, came.height, hospcode)


def record(row: dict[str, Any]) -> dict[str, Any]:
    """One delivery as machines read it. The sender's clock is Thai, ours is UTC."""
    told = {name: row[name] for name in DELIVERY}
    if isinstance(told["sent_at"], datetime):
        told["sent_at"] = told["sent_at"].replace(tzinfo=THAI_TIME)
    return told


def _told(home: DataHome, came: pl.DataFrame, *, files: bool, rules: bool) -> list[dict[str, Any]]:
    """Each delivery with its `files` and `rules`, if they are wanted."""
    from ingestion import history

    told = [record(row) for row in came.iter_rows(named=True)]
    parts = [("files", FILE, history.files_of)] if files else []
    parts += [("rules", RULE, history.rules_of)] if rules else []
    for name, columns, read in parts:
        found: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for row in read(home, came).select("delivery_id", "hospcode", *columns).iter_rows(named=True):
            found.setdefault((row.pop("delivery_id"), row.pop("hospcode")), []).append(row)
        for one in told:
            # A copy under another name has the rows of the delivery it is a copy of, and counts none of them.
            own = found.get((one["delivery_id"], one["hospcode"]), [])
            one[name] = own if one["outcome"].startswith("accepted") else []
    for one in told if rules else ():
        if one["reason"]:
            one["rules"] = [
                {"file": None, "rule": one["reason"], "column_name": None, "level": "delivery", "n_rows": None}
            ]
        one["rules"] = [{**rule, **rule_words(rule["rule"])} for rule in one["rules"]]
    return told


def _print_csv(told: list[dict[str, Any]], part: str | None) -> None:
    if part is None:
        print_csv(DELIVERY, told)
        return
    columns = FILE if part == "files" else (*RULE, "th", "en", "fix_th", "fix")
    rows = ({**inner, **{name: one[name] for name in KEY}} for one in told for inner in one[part])
    print_csv((*KEY, *columns), rows)


def facility_words(row: dict[str, Any]) -> str:
    """`90101 โรงพยาบาล…, เชียงใหม่`; what the registry does not know is said."""
    if not row["hospcode"]:
        return "ไม่ทราบผู้ส่ง / unknown sender"
    if row["facility"] is None:
        return f"{said(row['hospcode'])} ไม่อยู่ในทะเบียน / not in the registry"
    return f"{said(row['hospcode'])} {said(row['facility'])}, {said(row['province'] or 'ไม่ทราบจังหวัด')}"


STYLES = {"accepted": "green", "accepted_with_rejects": "yellow", "duplicate": "dim", "rejected": "red"}


def _show(home: DataHome, told: list[dict[str, Any]], n_all: int, hospcode: str | None) -> None:
    if not told:
        say(f"{_named(home, hospcode)}{NOTHING_RECEIVED}" if hospcode else "No delivery is like that.")
        return
    for one in told:
        _show_one(one)
    rows = sum(one["n_rows"] for one in told)
    more = f", newest of {n_all:,} (--limit 0 shows all)" if n_all > len(told) else ""
    names = " The JSON and the CSV name the columns." if any("files" in one for one in told) else ""
    say(f"{many(len(told), 'delivery', 'deliveries')}{more}: {rows:,} rows. Times are Thai time.{names}")


def _named(home: DataHome, hospcode: str) -> str:
    import polars as pl

    from ingestion.history import facilities

    found = facilities(home).filter(pl.col("hospcode") == hospcode)
    return "".join(f"{facility_words(row)}: " for row in found.iter_rows(named=True))


def _show_one(one: dict[str, Any]) -> None:
    sent = f", sent {one['sent_at']:%Y-%m-%d %H:%M}" if one["sent_at"] else ", the name has no time"
    say(f"[bold]{in_thai_time(one['received_at'])}[/]  {one['delivery_id'][:12]}  {facility_words(one)}")
    say(f"  {said(one['file_name'])}{sent}")
    outcome = f"  [{STYLES[one['outcome']]}]{one['outcome']}[/]"
    if one["outcome"] == "rejected":
        say(f"{outcome}: {one['reason']}: {said(one['detail'] or '')}")
        say(f"  [dim]runbook: {runbook(one['reason'])}[/]")
    elif one["outcome"] == "duplicate":
        say(f"{outcome}: the same content came before; nothing changed")
    else:
        say(
            f"{outcome}: {one['n_rows']:,} rows = {one['n_landed']:,} landed + {one['n_rejected']:,} rejected; "
            f"{one['n_flagged']:,} flagged"
        )
    if one.get("files"):
        _show_files(one["files"])
    if one.get("rules"):
        _show_rules(one["rules"])
    say()


def _show_files(files: list[dict[str, Any]]) -> None:
    made = table("", "  file", "rows", "landed", "rejected", "flagged", "encoding", "layout", text=("layout",))
    for one in files:
        notes = [f"{one['layout']}{'' if one['header'] else ', no header'}"]
        for what, names in (("missing", one["missing_columns"]), ("unknown", one["unknown_columns"])):
            notes += [f"{names.count(',') + 1} columns {what}"] if names else []
        counts = (number(one[name]) for name in ("n_rows", "n_landed", "n_rejected", "n_flagged"))
        made.add_row(f"  {one['file']}", *counts, one["encoding"] or "–", said("; ".join(notes)))
    show(made)


def _show_rules(rules: list[dict[str, Any]]) -> None:
    made = table("", "  where", "level", "rows", "what", text=("level", "what"))
    for one in rules:
        where = f"{one['file'] or 'zip'}{'.' + one['column_name'] if one['column_name'] else ''}"
        made.add_row(f"  {where}", one["level"], number(one["n_rows"]), explained(one["rule"]))
    show(made)
