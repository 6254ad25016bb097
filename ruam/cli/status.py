"""`ruam status`: what came from each region, what waits to be built, and what is published."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from ruam.cli.active import settings
from ruam.cli.console import (
    NOTHING_RECEIVED,
    OUTCOMES,
    console,
    in_thai_time,
    many,
    number,
    print_json,
    said,
    say,
    show,
    table,
)
from ruam.cli.options import AsJson, Region
from ruam.cli.words import counted, explained
from ruam.errors import BusyError

if TYPE_CHECKING:
    import polars as pl

    from ruam.home import DataHome


def status(region: Region = None, as_json: AsJson = False) -> None:
    """What was delivered by region and outcome, what waits to be built, and what is published.

    All 13 regions are shown, and unknown senders. A region from which nothing came has no figures: that is not 0 rows.
    """
    home = settings().data_home
    home.require()
    state = _state(home, region)
    if as_json:
        print_json(state)
    else:
        _show(state)


def _state(home: DataHome, region: str | None) -> dict[str, Any]:
    import polars as pl

    from ingestion.history import deliveries, facilities, in_quarantine, senders_by_region
    from ruam.geography import UNKNOWN_REGION, region_names
    from ruam.publish import current

    came = deliveries(home)
    senders = senders_by_region(came, facilities(home))
    names = {**region_names(), UNKNOWN_REGION: "ไม่ทราบเขต / unknown"}
    shown = [code for code in names if region in (None, code)]
    came = came.filter(pl.col("region").is_in(shown))
    waiting = in_quarantine(came)
    return {
        "home": str(home.root),
        "regions": [
            _of_region(code, names[code], came.filter(pl.col("region") == code), senders.get(code)) for code in shown
        ],
        "quarantine": [
            {"rule": rule, "n_deliveries": n}
            for rule, n in waiting.group_by("reason").len().sort("len", "reason", descending=[True, False]).iter_rows()
        ],
        "build": _build_state(home, came, region),
        "published": current(home),
        "stopped": _stopped(home),
    }


def _stopped(home: DataHome) -> dict[str, Any] | None:
    """Why the newest build is not published."""
    from ruam.gates import gates, stopped

    told = stopped(home)
    if told is None:
        return None
    reasons = [
        {"gate": one.gate, "th": gates()[one.gate].th, "en": gates()[one.gate].en, "detail": one.detail}
        | {"runbook": gates()[one.gate].runbook}
        for one in told.stops
    ]
    return {"at": told.at, "build_id": told.build_id, "reasons": reasons}


def _of_region(code: str, name: str, came: pl.DataFrame, senders: tuple[int, int] | None) -> dict[str, Any]:
    import polars as pl

    from ingestion.history import ACCEPTED

    n_accepted = came.filter(pl.col("outcome").is_in(ACCEPTED)).height
    last: datetime | None = came["received_at"][0] if came.height else None
    return {
        "region": code,
        "name": name,
        "is_received": came.height > 0,
        "n_facilities": senders[1] if senders else 0,
        "n_facilities_sent": senders[0] if senders else 0,
        **{f"n_{outcome}": came.filter(pl.col("outcome") == outcome).height for outcome in OUTCOMES},
        # Missing is not zero: without an accepted delivery there are no rows to count.
        "n_rows_landed": int(came["n_landed"].sum()) if n_accepted else None,
        "n_rows_rejected": int(came["n_rejected"].sum()) if n_accepted else None,
        "last_received_at": last,
    }


def _build_state(home: DataHome, came: pl.DataFrame, region: str | None) -> dict[str, Any]:
    import polars as pl

    from ingestion.history import ACCEPTED
    from ruam.build import built_batches, is_sound, last_build_id
    from ruam.landing import committed_batches

    try:
        build_id, sound, built = last_build_id(home), is_sound(home), built_batches(home)
    except BusyError:
        return {"is_running": True}
    folders = [path for path in committed_batches(home.landing) if region in (None, path.parent.name[-2:])]
    batches = {path.name.removeprefix("batch=") for path in folders if not path.name.startswith("batch=schema-")}
    waiting = came.filter(pl.col("batch").is_in(batches - built) & pl.col("outcome").is_in(ACCEPTED))
    return {
        "is_running": False,
        "last_good": build_id or None,
        "has_failed_since": bool(build_id) and not sound,
        "n_batches": len(batches),
        "n_batches_waiting": len(batches - built),
        "n_deliveries_waiting": waiting.height,
        "n_rows_waiting": int(waiting["n_landed"].sum()),
    }


def _show(state: dict[str, Any]) -> None:
    # Short heads, so that the table fits into 80 columns.
    heads = ("region", "senders", "accepted", "+rejects", "dupl.", "rejected", "rows", "received")
    by_region = table("Deliveries by region", *heads)
    digits = 16 if console().width >= 100 else 10  # Of the time, or of its day alone where it is narrow.
    for one in state["regions"]:
        code = "unknown" if one["region"] == "00" else one["region"]
        senders = f"{one['n_facilities_sent']:,}/{one['n_facilities']:,}" if one["n_facilities"] else "–"
        if one["is_received"]:
            counts = (number(one[f"n_{outcome}"]) for outcome in OUTCOMES)
            by_region.add_row(
                code, senders, *counts, number(one["n_rows_landed"]), in_thai_time(one["last_received_at"])[:digits]
            )
        else:
            by_region.add_row(code, senders, *["–"] * 5, "[yellow]nothing[/]")
    show(by_region)
    say(
        "[dim]senders: facilities of the registry with an accepted delivery; +rejects: accepted_with_rejects; "
        "rows: landed; received: last (Thai time).[/]"
    )
    silent = [one for one in state["regions"] if not one["is_received"] and one["region"] != "00"]
    if silent:
        say(f"[yellow]{NOTHING_RECEIVED}[/]: {', '.join(said(one['name']) for one in silent)}")
    if state["quarantine"]:
        say("\nIn quarantine (`ruam quarantine list`):")
        show(counted((one["n_deliveries"], explained(one["rule"])) for one in state["quarantine"]))
    say()
    _show_build(state["build"])
    published = state["published"]
    say(f"Published: {published['run_id']} at {published['published_at']}" if published else "Published: nothing yet.")
    if state["stopped"]:
        _show_stopped(state["stopped"])


def _show_stopped(told: dict[str, Any]) -> None:
    say(f"[red]Not published since {in_thai_time(told['at'])} (Thai time)[/], and the last version stays:")
    for one in told["reasons"]:
        say(f"  [bold]{one['gate']}[/]: {said(one['en'])} {said(one['detail'])}")
        say(f"  {said(one['th'])} [dim]({one['runbook']})[/]")


def _show_build(build: dict[str, Any]) -> None:
    if build["is_running"]:
        say("A build is running.")
        return
    if build["n_batches_waiting"]:
        say(
            f"Waiting to be built: {many(build['n_deliveries_waiting'], 'delivery', 'deliveries')} "
            f"with {build['n_rows_waiting']:,} rows, "
            f"in {build['n_batches_waiting']:,} of {build['n_batches']:,} batches (`ruam build`)."
        )
    else:
        say(f"Waiting to be built: nothing ({build['n_batches']:,} batches in the landing).")
    failed = " [red](a later build failed: docs/runbooks/build_failed.md)[/]" if build["has_failed_since"] else ""
    say(f"Last good build: {build['last_good'] or 'none'}{failed}.")
