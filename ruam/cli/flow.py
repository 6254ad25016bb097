"""The day's work: ingest, build, publish, all three, and serve."""

from __future__ import annotations

from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from ruam.cli.active import log, settings
from ruam.cli.bar import Advance, bar
from ruam.cli.brief import write_all as write_briefs
from ruam.cli.check import ensure_checked
from ruam.cli.console import OUTCOMES, said, say
from ruam.cli.identity import links_are_old, take_people_in
from ruam.cli.linkage import link_people
from ruam.cli.options import NodeRegion, Places
from ruam.cli.report import write_reports
from ruam.cli.summary import LEFT, TROUBLES, of_what_was_left, show_report, to_bar
from ruam.errors import NothingAcceptedError, RuamError, UsageError

if TYPE_CHECKING:
    from ingestion.job import Report
    from ruam.settings import Settings


def ingest(
    places: Places = None,
    region: NodeRegion = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on following the places, until interrupted (then exit code 0).")
    ] = False,
) -> None:
    """Take zips in: check every row, pseudonymise, and commit them to the landing with their receipts.

    The same zip again changes nothing, and what was fetched before is not fetched again; nothing is written to the
    sender's place. Rejected rows are kept with line, column, rule and a masked value; a rejected zip stays in the
    inbox. Exit code 3 when zips came and none could be accepted, 7 when one could not be fetched, 8 when Ruam itself
    failed on one, 75 when one must wait for another process; all others are taken in nevertheless.
    """
    if not places:
        raise UsageError("Name the zips or folders to take in: ruam ingest PLACE...")
    active = settings(region=region)
    if watch:
        _watch(active, places)
    else:
        _ingest(active, places)


def _watch(active: Settings, names: list[str]) -> None:
    import signal

    from ingestion.job import ready, take_in
    from ingestion.places import look, place_of
    from ingestion.watch import Stop, Watch

    stop = Stop()
    before = {number: signal.signal(number, stop.wish) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ready(active)
        places = [place_of(name, active) for name in names]
        say(f"Watching {', '.join(said(place.address) for place in places)} (stop with Ctrl-C).")
        Watch(partial(look, places), partial(take_in, active), partial(_tell, active), stop).run(active.watch_seconds)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    say("Stopped; nothing is half done.")


def _ingest(active: Settings, places: list[str]) -> Report:
    from ingestion.job import ingest as land

    with bar() as follow:
        report = land(active, places, to_bar(follow))
    _tell(active, report)
    if trouble := of_what_was_left(report):
        raise trouble
    if report.outcomes and report.count("rejected") == len(report.outcomes):
        raise NothingAcceptedError(
            f"None of the {len(report.outcomes):,} deliveries could be accepted; see the reasons above."
        )
    return report


def _tell(active: Settings, report: Report) -> None:
    show_report(active.data_home, report)
    counts = {outcome: report.count(outcome) for outcome in OUTCOMES}
    left = {outcome: len(report.left(outcome)) for outcome in LEFT}
    told = {"batches": report.batches, "seconds": round(report.seconds, 3), **counts, **left}
    log.info("ingested", extra={"rows": sum(one.n_rows for one in report.outcomes), **told})


def build(
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Read the whole landing again, not only what is new.")
    ] = False,
) -> None:
    """Build and test the warehouse from what was landed since the last build."""
    _build(settings(), full_refresh=full_refresh)


def _build(active: Settings, *, full_refresh: bool = False) -> None:
    from identity.linkage.links import ensure_links
    from ingestion.landing import ensure_schema_batch
    from ingestion.reference import ensure_schemas
    from ruam.build import build as build_warehouse

    active.data_home.require()
    ensure_schema_batch(active.data_home.landing)
    ensure_schemas(active.data_home)
    ensure_links(active.data_home.links)
    began = perf_counter()
    with bar() as follow:
        built = build_warehouse(
            active,
            full_refresh=full_refresh,
            progress=lambda done, total: follow(
                Advance("build", done, total, f"{done:,} of {total:,} models and tests")
            ),
        )
    if built.skipped:
        say(f"Nothing is new since build {built.build_id}.")
    else:
        kind = "everything" if built.is_full_refresh else f"{built.n_batches:,} new batches"
        say(f"Build {built.build_id}: {kind} read, all tests passed. {said(active.data_home.warehouse)}")
    seconds = round(perf_counter() - began, 3)
    log.info("built", extra={"build_id": built.build_id, "skipped": built.skipped, "seconds": seconds})


def publish() -> None:
    """Check the last good build, write its disclosure-controlled serving file, and switch the pages to it.

    While a gate is shut (`ruam status` says which), exit code 6, and the last version stays.
    """
    _publish(settings())


def _publish(active: Settings) -> None:
    from datetime import timedelta

    from ruam.build import is_sound
    from ruam.publish import publish as publish_marts

    active.data_home.require()
    if is_sound(active.data_home):
        ensure_checked(active.data_home)
    began = perf_counter()
    done = publish_marts(active.data_home, timedelta(hours=active.fresh_hours))
    say(f"Published {done.n_tables} tables, {done.n_rows:,} rows: {said(done.path)}")
    seconds = round(perf_counter() - began, 3)
    log.info("published", extra={"run_id": done.run_id, "rows": done.n_rows, "seconds": seconds})


def run(places: Places = None, region: NodeRegion = None) -> None:
    """Ingest, take people into the vault, build and publish what is new, and report to senders: the day's work.

    Without PLACE the drop folder of the settings is searched (RUAM_DROP_FOLDER), if there is one.
    """
    from ruam.build import last_build_id
    from ruam.publish import current

    active = settings(region=region)
    sources = places or ([active.drop_folder] if active.drop_folder else [])
    failure: RuamError | None = None
    if sources:
        try:
            _ingest(active, sources)
        except (NothingAcceptedError, *TROUBLES) as error:
            failure = error  # What was landed before may still wait to be built.
    try:
        take_people_in(active, "run", "take in what was landed")
        if links_are_old(active):
            link_people(active, "run", "link what was taken in")
    except RuamError as error:
        failure = failure or error  # What waits for the vault waits for the next run, and the last links stay.
    _build(active)
    pointer = current(active.data_home)
    if pointer and pointer["run_id"].endswith(last_build_id(active.data_home)[-8:]):
        say(f"Published already: {said(pointer['file'])}")
    else:
        _publish(active)
        if active.briefs:
            try:
                write_briefs(active, active.briefs)
            except RuamError as error:
                failure = failure or error  # What is published stays published.
    write_reports(older=False)
    _empty_inbox(active)
    if failure:
        raise failure


def _empty_inbox(active: Settings) -> None:
    from ingestion.retention import purge

    if gone := purge(active):
        log.info("inbox purged", extra={"deliveries": len(gone)})
        say(f"{len(gone):,} deliveries older than {active.inbox_retention_days} days left the inbox.")


def serve(
    host: Annotated[
        str | None,
        typer.Option(help="Address to serve on; default 127.0.0.1 or RUAM_HOST.", show_default=False),
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port; default 8501 or RUAM_PORT.", show_default=False)
    ] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="Sign in demo users without an identity provider; on this machine alone.")
    ] = False,
) -> None:
    """Serve the pages of the published file, until interrupted.

    People sign in with the identity provider of RUAM_OIDC_FILE, and see what the table of access gives them. Any
    address but loopback needs TLS (RUAM_TLS_CERTIFICATE, RUAM_TLS_KEY) or a trusted proxy before it
    (RUAM_TRUSTED_PROXIES).
    """
    from ruam.serve import checked
    from ruam.serve import serve as serve_pages

    active = settings(host=host, port=port)
    active.data_home.require()
    checked(active, demo=demo)
    scheme = "https" if active.tls_certificate else "http"
    say(f"Serving on {scheme}://{active.host}:{active.port} (stop with Ctrl-C)")
    serve_pages(active, demo=demo)
