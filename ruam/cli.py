"""The `ruam` command: each step of the flow, in order, and one command for all of them.

Exit codes: 0 done · 1 unexpected · 2 wrong argument · 3 nothing could be accepted · 4 home, keys or reference not
ready · 5 build failed · 6 not published · 74 disk full or failing · 75 busy, try again.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from ruam import landing_cli
from ruam.errors import BusyError, NothingAcceptedError, RuamError, SetupError, UsageError
from ruam.settings import Settings

if TYPE_CHECKING:
    from ingestion.job import Report
    from ruam.home import DataHome

app = typer.Typer(
    help="Ruam (รวม): hospital extracts in, one national warehouse of patient visits, "
    "disclosure-controlled pages out.\n\n"
    "The order of work: [bold]init[/] → [bold]reference load[/] → [bold]ingest[/] → [bold]build[/] → "
    "[bold]publish[/] → [bold]serve[/]; [bold]run[/] does ingest, build and publish of what is new.\n\n"
    "Settings come from RUAM_* variables, then ruam.toml; RUAM_HOME names the data home (default ./data).",
    epilog="Exit codes: 0 done, 2 wrong argument, 3 nothing could be accepted, 4 home, keys or reference not ready, "
    "5 build failed, 6 not published, 74 disk full or failing, 75 busy (try again).",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)
reference_app = typer.Typer(help="Reference tables that come beside the extracts.", no_args_is_help=True)
app.add_typer(reference_app, name="reference")
landing_cli.register(app)

# Piped into a file, tables keep their width instead of being squeezed into 80 columns.
console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 140)
log = logging.getLogger("ruam.cli")
log.addHandler(logging.NullHandler())  # Before there is a home to log to, errors go to the user alone.

Paths = Annotated[
    list[Path] | None, typer.Argument(help="Zips, or folders that are searched for zips.", show_default=False)
]


class ReferenceTable(StrEnum):
    REGISTRY = "registry"
    DRUGS = "drugs"


def settings() -> Settings:
    """Settings in force, with the log open. Raises `SetupError` when one cannot be read."""
    try:
        loaded = Settings()
    except ValidationError as error:
        raise SetupError(f"A setting is wrong: {error}") from error
    from ruam.log import log_to

    log_to(loaded.data_home)
    return loaded


@contextmanager
def bar(unit: str) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar per step; yields `advance(step, done, total)`."""
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        tasks: dict[str, int] = {}

        def advance(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = progress.add_task(step, total=total)
            progress.update(progress.task_ids[tasks[step]], completed=done, total=total)

        yield advance


@app.command()
def init() -> None:
    """Make the data home and its two keys. Safe to repeat: an existing key is never touched."""
    from identity.keys import create_keys, load_keys
    from ingestion.landing import ensure_schema_batch
    from ingestion.reference import ensure_schemas

    home = settings().data_home
    home.create()
    created = create_keys(home.keys)
    keys = load_keys(home.keys)
    ensure_schema_batch(home.landing)
    ensure_schemas(home)
    console.print(f"Data home {escape(str(home.root))}, keys {keys.key_id} ({'new' if created else 'kept'}).")
    if created:
        console.print("Keep a copy of keys/ in a safe place: without them no new record can join the old ones.")


@app.command()
def synth(
    out: Annotated[
        Path | None, typer.Argument(help="Folder to write; default RUAM_HOME/synthetic.", show_default=False)
    ] = None,
    facilities: Annotated[int, typer.Option(min=26, help="Health facilities, over all 13 regions.")] = 300,
    months: Annotated[int, typer.Option(min=1, max=60, help="Months of care.")] = 12,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 1,
    scale: Annotated[float, typer.Option(min=0.001, help="1 gives about 1.5 million visits in 12 months.")] = 1.0,
    start: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="First day of care.")] = datetime(2024, 4, 1),  # noqa: DTZ001
) -> None:
    """Generate an invented country: facility registry, drug map, deliveries with their faults, and the truth."""
    from ingestion.synthetic import generate

    active = settings()
    folder = out or active.data_home.root / "synthetic"
    with bar("percent") as advance:
        summary = generate(
            folder,
            facilities=facilities,
            months=months,
            seed=seed,
            scale=scale,
            start=start.date(),
            workers=active.workers,
            progress=lambda done, total: advance("generate", done, total),
        )
    console.print(
        f"{summary.n_visits:,} visits of {summary.n_persons:,} people at {summary.n_facilities:,} facilities: "
        f"{summary.n_rows:,} rows in {summary.n_zips:,} zips, in {escape(str(folder))}."
    )


@reference_app.command("load")
def reference_load(
    table: Annotated[ReferenceTable, typer.Argument(help="Which table the file holds.")],
    file: Annotated[Path, typer.Argument(help="CSV with a header, UTF-8 or cp874.", show_default=False)],
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Day for which the file holds; default today.", show_default=False),
    ] = None,
) -> None:
    """Check a facility registry or a drug map, and keep it as the version in force."""
    from ingestion.reference import load

    day: date = as_of.date() if as_of else datetime.now(UTC).date()
    loaded = load(settings().data_home, table.value, file, day)
    for sentence in [*loaded.rejected, *loaded.repaired]:
        console.print(f"  {escape(sentence)}")
    state = "is in force already" if loaded.unchanged else "is in force"
    console.print(
        f"{table.value}: {loaded.n_rows:,} rows, {len(loaded.rejected):,} lines rejected; "
        f"version {loaded.version} {state}."
    )
    log.info("reference loaded", extra={"table": table.value, "version": loaded.version, "rows": loaded.n_rows})


@app.command()
def ingest(paths: Paths = None) -> None:
    """Take zips in: check every row, pseudonymise, and commit them to the landing with their receipts.

    The same zip again changes nothing. Rejected rows are kept with line, column, rule and a masked value; a rejected
    zip stays in the inbox. Exit code 3 when zips came and none could be accepted.
    """
    if not paths:
        raise UsageError("Name the zips or folders to take in: ruam ingest PATH...")
    _ingest(settings(), paths)


def _ingest(active: Settings, paths: list[Path]) -> Report:
    from ingestion.job import ingest as land

    with bar("zips") as advance:
        report = land(active, paths, advance)
    _show_report(report)
    _show_rejects(active.data_home, report.batches)
    counts = {
        outcome: report.count(outcome) for outcome in ("accepted", "accepted_with_rejects", "duplicate", "rejected")
    }
    log.info("ingested", extra={"batches": report.batches, **counts})
    if report.outcomes and counts["rejected"] == len(report.outcomes):
        raise NothingAcceptedError(
            f"None of the {len(report.outcomes):,} deliveries could be accepted; see the reasons above."
        )
    return report


def _show_report(report: Report) -> None:
    if not report.outcomes:
        console.print("No zip was found.")
        return
    table = Table(
        "outcome",
        *("zips", "rows", "landed", "rejected", "flagged"),
        title="Deliveries",
        title_justify="left",
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for outcome in ("accepted", "accepted_with_rejects", "duplicate", "rejected"):
        ones = [one for one in report.outcomes if one.outcome == outcome]
        if ones:
            sums = [
                sum(getattr(one, name) for one in ones) for name in ("n_rows", "n_landed", "n_rejected", "n_flagged")
            ]
            table.add_row(outcome, f"{len(ones):,}", *(f"{total:,}" for total in sums))
    console.print(table)
    rejected = [one for one in report.outcomes if one.outcome == "rejected"]
    for one in rejected[:20]:
        console.print(f"  [red]{escape(one.file_name)}[/]: {one.reason}: {escape(one.detail or '')}", soft_wrap=True)
    if len(rejected) > 20:
        console.print(f"  and {len(rejected) - 20:,} more; `ruam status` shows them by region.")


SHOWN_REJECTS = 5


def _show_rejects(home: DataHome, batches: list[str]) -> None:
    """The rows that were set aside, by rule, and where the first of them stand."""
    from ingestion.checks import load_rules
    from ingestion.landing import read_records

    rejects = read_records(home.landing, "rejects", batches)
    if rejects.is_empty():
        return
    console.print(f"{rejects.height:,} rows were set aside, all kept in rejects.parquet of their batch:")
    for rule, n in rejects["rule"].value_counts(sort=True, name="n").iter_rows():
        console.print(f"  {n:,} × {rule}: {load_rules()[rule].en}")
    names = read_records(home.landing, "receipts", batches).select("delivery_id", "file_name").unique("delivery_id")
    first = rejects.head(SHOWN_REJECTS).join(names, on="delivery_id", maintain_order="left")
    for name, member, line, column, rule, value in first.select(
        "file_name", "member", "source_line", "column_name", "rule", "masked_value"
    ).iter_rows():
        where = f"{name} › {member}, line {line}{f', {column}' if column else ''}"
        console.print(f"  e.g. {escape(where)}: {rule}{f' ({escape(value)})' if value else ''}")


@app.command()
def build(
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Read the whole landing again, not only what is new.")
    ] = False,
) -> None:
    """Build and test the warehouse from what was landed since the last build."""
    _build(settings(), full_refresh=full_refresh)


def _build(active: Settings, *, full_refresh: bool = False) -> None:
    from ingestion.landing import ensure_schema_batch
    from ingestion.reference import ensure_schemas
    from ruam.build import build as build_warehouse

    active.data_home.require()
    ensure_schema_batch(active.data_home.landing)
    ensure_schemas(active.data_home)
    with bar("models and tests") as advance:
        built = build_warehouse(
            active, full_refresh=full_refresh, progress=lambda done, total: advance("build", done, total)
        )
    if built.skipped:
        console.print(f"Nothing is new since build {built.build_id}.")
    else:
        kind = "everything" if built.is_full_refresh else f"{built.n_batches:,} new batches"
        console.print(
            f"Build {built.build_id}: {kind} read, all tests passed. {escape(str(active.data_home.warehouse))}"
        )
    log.info("built", extra={"build_id": built.build_id, "skipped": built.skipped})


@app.command()
def publish() -> None:
    """Write the disclosure-controlled serving file of the last good build, and switch the pages to it."""
    _publish(settings())


def _publish(active: Settings) -> None:
    from ruam.publish import publish as publish_marts

    done = publish_marts(active.data_home)
    console.print(f"Published {done.n_tables} tables, {done.n_rows:,} rows: {escape(str(done.path))}")
    log.info("published", extra={"run_id": done.run_id, "rows": done.n_rows})


@app.command()
def run(paths: Paths = None) -> None:
    """Ingest, build and publish what is new: the day's work in one command.

    Without PATH the drop folder of the settings is searched (RUAM_DROP_FOLDER), if there is one.
    """
    from ruam.publish import current

    active = settings()
    sources = paths or ([active.drop_folder] if active.drop_folder else [])
    failure: NothingAcceptedError | None = None
    if sources:
        try:
            _ingest(active, sources)
        except NothingAcceptedError as error:
            failure = error  # What was landed before may still wait to be built.
    _build(active)
    pointer = current(active.data_home)
    from ruam.build import last_build_id

    if pointer and pointer["run_id"].endswith(last_build_id(active.data_home)[-8:]):
        console.print(f"Published already: {escape(pointer['file'])}")
    else:
        _publish(active)
    if failure:
        raise failure


@app.command()
def status() -> None:
    """What was delivered by region and outcome, what waits to be built, and what is published."""
    import polars as pl

    from ingestion.landing import read_records
    from ruam.geography import UNKNOWN_REGION
    from ruam.landing import committed_batches
    from ruam.publish import current

    home = settings().data_home
    home.require()
    receipts = read_records(home.landing, "receipts")
    outcomes = ("accepted", "accepted_with_rejects", "duplicate", "rejected")
    table = Table(
        "region",
        *outcomes,
        "rows landed",
        "rows rejected",
        "last received (UTC)",
        title="Deliveries",
        title_justify="left",
    )
    for column in table.columns[1:]:
        column.justify = "right"
    by_region = receipts.group_by("region").agg(
        *((pl.col("outcome") == outcome).sum().alias(outcome) for outcome in outcomes),
        pl.col("n_landed").sum(),
        pl.col("n_rejected").sum(),
        pl.col("received_at").max(),
    )
    for row in by_region.sort("region").iter_rows():
        label = "unknown" if row[0] == UNKNOWN_REGION else row[0]
        table.add_row(label, *(f"{number:,}" for number in row[1:7]), f"{row[7]:%Y-%m-%d %H:%M}")
    console.print(table if receipts.height else "Nothing was delivered yet.")
    reasons = receipts.filter(pl.col("outcome") == "rejected").group_by("reason").len().sort("len", descending=True)
    for reason, n in reasons.iter_rows():
        console.print(f"  rejected: {n:,} × {reason}")
    console.print(f"Batches in the landing: {len(committed_batches(home.landing)):,}. {_state_of_build(home)}")
    pointer = current(home)
    console.print(
        f"Published: {pointer['run_id']} at {pointer['published_at']}" if pointer else "Published: nothing yet."
    )


def _state_of_build(home: DataHome) -> str:
    from ruam.build import is_sound, last_build_id

    try:
        build_id, sound = last_build_id(home), is_sound(home)
    except BusyError:
        return "A build is running."
    failed = " [red](a later build failed)[/]" if build_id and not sound else ""
    return f"Last good build: {build_id or 'none'}{failed}."


@app.command()
def serve(
    port: Annotated[int | None, typer.Option(help="Port; default 8501 or RUAM_PORT.", show_default=False)] = None,
) -> None:
    """Serve the pages of the published file on this machine, until interrupted."""
    from ruam.serve import serve as serve_pages

    active = settings()
    if port:
        active = active.model_copy(update={"port": port})
    console.print(f"Serving on http://{active.host}:{active.port} (stop with Ctrl-C)")
    serve_pages(active)


def main() -> None:
    """Entry point: errors a user can act on become one message and an exit code."""
    try:
        app()
    except (RuamError, OSError) as error:
        exit_code = error.exit_code if isinstance(error, RuamError) else 1
        log.error("failed", extra={"error": type(error).__name__, "exit_code": exit_code})
        Console(stderr=True, highlight=False).print(f"[bold red]ruam:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(exit_code)


if __name__ == "__main__":
    main()
