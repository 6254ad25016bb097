"""What a run of ingestion did, in words: how far it is, the counts, and what broke which rule."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ruam.cli.bar import Advance, Follow
from ruam.cli.console import OUTCOMES, many, runbook, said, say, show, table
from ruam.cli.words import counted, explained
from ruam.errors import BusyError, DeliveryFailedError, NotFetchedError, ProcessKilledError, RuamError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingestion.job import Progress, Report
    from ruam.home import DataHome

SHOWN_RULES = {"row": 10, "warning": 5, "note": 5}
SHOWN_NAMES = 5
SHOWN_LEFT = 20
LEFT = ("failed", "killed", "not_fetched", "waiting", "changing", "other_region")
"""Outcomes of what was not taken in."""
TROUBLES = (DeliveryFailedError, ProcessKilledError, NotFetchedError, BusyError)
"""Errors of `of_what_was_left`."""


def to_bar(follow: Follow) -> Callable[[Progress], None]:
    """Tell a bar of the progress of ingestion."""
    return lambda progress: follow(Advance(progress.step, progress.done, progress.total, facts(progress)))


def facts(progress: Progress) -> str:
    """`50 of 52 zips, 412 files, 101,532 rows, 31 rejected, 15,318 rows/s`, as far as there is something to say."""
    parts = [f"{progress.n_zips:,} of {progress.all_zips:,} zips"]
    if progress.n_files:
        parts += [f"{progress.n_files:,} files", f"{progress.n_rows:,} rows", f"{progress.n_rejected:,} rejected"]
        if progress.seconds:
            parts.append(f"{progress.n_rows / progress.seconds:,.0f} rows/s")
    return ", ".join(parts)


def of_what_was_left(report: Report) -> RuamError | None:
    """The error with which a command ends that had to leave something: what only a person can mend goes first."""
    if failed := report.left("failed"):
        return DeliveryFailedError(
            f"Ruam itself failed on {many(len(failed), 'delivery', 'deliveries')}, of which nothing was landed; see "
            "the places above. The others were taken in."
        )
    if killed := report.left("killed"):
        return ProcessKilledError(
            f"The system killed the process that landed {many(len(killed), 'delivery', 'deliveries')}, and again when "
            "it ran alone. Nothing of them was landed. The others were taken in."
        )
    if not_fetched := report.left("not_fetched"):
        return NotFetchedError(
            f"{len(not_fetched):,} of the places and deliveries could not be read; see the reasons above. "
            "The others were read. Run the same command again when the cause is gone."
        )
    if waiting := report.left("waiting"):
        reasons = "\n".join(dict.fromkeys(one.detail for one in waiting))
        n_waiting = many(len(waiting), "delivery waits", "deliveries wait")
        return BusyError(f"{n_waiting}; the others were taken in.\n{reasons}")
    return None


def show_report(home: DataHome, report: Report) -> None:
    """The table of outcomes, what was rejected, and the rules that most rows broke."""
    show_left(report)
    if not report.outcomes:
        if not report.not_taken:
            say("No zip was found.")
        return
    counts = table("Deliveries", "outcome", "zips", "rows", "landed", "rejected", "flagged")
    for outcome in OUTCOMES:
        ones = [one for one in report.outcomes if one.outcome == outcome]
        if ones:
            names = ("n_rows", "n_landed", "n_rejected", "n_flagged")
            sums = [sum(getattr(one, name) for one in ones) for name in names]
            counts.add_row(outcome, f"{len(ones):,}", *(f"{total:,}" for total in sums))
    show(counts)
    n_rows = sum(one.n_rows for one in report.outcomes)
    speed = f", {n_rows / report.seconds:,.0f} rows a second" if n_rows and report.seconds else ""
    say(
        f"{many(len(report.outcomes), 'zip', 'zips')}, {many(n_rows, 'row', 'rows')} "
        f"in {report.seconds:,.1f} seconds{speed}."
    )
    _show_rejected(report)
    _show_rules(home, report.batches)


def show_left(report: Report) -> None:
    """What was not taken in, and why."""
    for outcome in dict.fromkeys(one.outcome for one in report.not_taken):
        ones = report.left(outcome)
        say(f"{outcome}: {len(ones):,}, not taken in:")
        for one in ones[:SHOWN_LEFT]:
            say(f"  {said(one.address)}: {said(one.detail)}")
        if len(ones) > SHOWN_LEFT:
            say(f"  and {len(ones) - SHOWN_LEFT:,} more")


def _show_rejected(report: Report) -> None:
    rejected = [one for one in report.outcomes if one.outcome == "rejected"]
    if not rejected:
        return
    say(
        f"\n{many(len(rejected), 'delivery', 'deliveries')} rejected as a whole, kept in quarantine "
        "(`ruam quarantine list`):"
    )
    reasons = Counter(str(one.reason) for one in rejected)
    items = []
    for reason, n in reasons.most_common():
        names = [f"[red]{said(one.file_name)}[/]: {said(one.detail or '')}" for one in rejected if one.reason == reason]
        more = [f"and {n - SHOWN_NAMES:,} more"] if n > SHOWN_NAMES else []
        items.append((n, explained(reason, f"[dim]runbook:[/] {runbook(reason)}", *names[:SHOWN_NAMES], *more)))
    show(counted(items))


def _show_rules(home: DataHome, batches: list[str]) -> None:
    """The rules that rows broke, and where the first of the rows that were set aside stand."""
    import polars as pl

    from ingestion.landing import read_records

    rules = read_records(home.landing, "receipt_rules", batches)
    titles = {
        "row": ("row set aside", "rows set aside"),
        "warning": ("value flagged", "values flagged: kept, or emptied where they cannot be read"),
        "note": ("thing noted", "things noted: no row was changed, but something sent may be missing"),
    }
    for level, (one, more) in titles.items():
        broken = rules.filter(pl.col("level") == level).group_by("rule").agg(pl.col("n_rows").sum())
        if broken.is_empty():
            continue
        broken = broken.sort("n_rows", "rule", descending=[True, False])
        say(f"\n{many(int(broken['n_rows'].sum()), one, more)}:")
        show(counted((n, explained(rule)) for rule, n in broken.head(SHOWN_RULES[level]).iter_rows()))
        if broken.height > SHOWN_RULES[level]:
            say(f"  and {broken.height - SHOWN_RULES[level]} more rules (`ruam deliveries --rules` has all)")
        if level == "row":
            _show_examples(home, batches)


def _show_examples(home: DataHome, batches: list[str]) -> None:
    from ingestion.landing import first_rejects, read_records

    # One of each rule says more than five of the first.
    first = first_rejects(home.landing, batches).head(SHOWN_NAMES)
    names = read_records(home.landing, "receipts", batches).select("delivery_id", "file_name").unique("delivery_id")
    for name, member, line, column, rule, value in (
        first.join(names, on="delivery_id", maintain_order="left")
        .select("file_name", "member", "source_line", "column_name", "rule", "masked_value")
        .iter_rows()
    ):
        where = f"{name} › {member}, line {line}{f', {column}' if column else ''}"
        say(f"  e.g. {said(where)}: {rule}{f' ({said(value)})' if value else ''}")
    say("`ruam quarantine show DELIVERY` names every row of a delivery, `ruam deliveries` their ids.")
