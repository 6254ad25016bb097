"""The ingestion job: which deliveries are new, whose they are, and landing them region by region."""

from __future__ import annotations

import logging
import multiprocessing
import signal
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from multiprocessing import resource_tracker
from pathlib import Path

import polars as pl

from identity.keys import Keys, load_keys
from ingestion.batch import Delivery, Outcome, Rejection, land_batch, receipt, rejection
from ingestion.delivery import DeliveryRejectedError, sender_of
from ingestion.inbox import Fetched, place_in, store
from ingestion.inbox import sweep as sweep_inbox
from ingestion.landing import (
    NO_REGION,
    RECEIPTS,
    BatchWriter,
    batch_id,
    ensure_schema_batch,
    read_records,
    region_folder,
    sweep,
    utc_now,
)
from ingestion.places import ChangedError, Found, Look, NotTaken, PlaceError, look, place_of
from ingestion.reference import current_registry
from ruam.files import locked
from ruam.geography import region_of_province
from ruam.settings import Settings

log = logging.getLogger("ruam.ingestion")

Progress = Callable[[str, int, int], None]
"""Called with the step (`receive`, `land`), what is done of it and the whole, in deliveries."""


@dataclass
class Report:
    """What a run of ingestion did."""

    outcomes: list[Outcome] = field(default_factory=list)
    batches: list[str] = field(default_factory=list)
    not_taken: list[NotTaken] = field(default_factory=list)

    def count(self, outcome: str) -> int:
        return [one.outcome for one in self.outcomes].count(outcome)

    def left(self, outcome: str) -> list[NotTaken]:
        return [one for one in self.not_taken if one.outcome == outcome]


def ingest(settings: Settings, places: Iterable[str | Path], progress: Progress = lambda *_: None) -> Report:
    """Take in the zips that lie in `places`: paths, or addresses as `ingestion.places.place_of` reads them.

    The same content changes nothing, under whatever name; a name not seen before is recorded. Raises `SetupError`
    without keys or registry, `UsageError` for an address that cannot be read or a path that does not exist,
    `StorageError` when the disk is full, and `BusyError` when another process lands the same region.
    """
    ready(settings)
    return take_in(settings, look([place_of(place, settings) for place in places]), progress)


def ready(settings: Settings) -> tuple[Keys, pl.DataFrame]:
    """Keys and registry, without which nothing can be taken in. Raises `SetupError`."""
    settings.data_home.require()
    return load_keys(settings.data_home.keys), current_registry(settings.data_home)


def take_in(settings: Settings, seen: Look, progress: Progress = lambda *_: None) -> Report:
    """Take in the deliveries that were found. Raises as `ingest` does."""
    home = settings.data_home
    keys, registry = ready(settings)
    ensure_schema_batch(home.landing)
    region_of = dict(zip(registry["hoscode"], (region_of_province(code) for code in registry["provcode"]), strict=True))
    report = Report(not_taken=list(seen.not_taken))
    received = _receive(home.inbox, _of_region(settings.region, seen.found, region_of, report), report, progress)
    for one in (*report.left("not_fetched"), *report.left("changing")):
        log.warning("not taken", extra={"address": one.address, "outcome": one.outcome, "detail": one.detail})
    with ExitStack() as locks:
        for region in sorted({region_of[one.hospcode] for one in received if one.hospcode in region_of}):
            lock = region_folder(home.landing, region) / ".lock"
            locks.enter_context(locked(lock, f"Region {region} of {home.root}"))
            sweep(home.landing, region)
        receipts = read_records(home.landing, "receipts")
        known = _rejections(receipts)
        new, settled = _sort(received, region_of, receipts)
        first = _land(settings, new, tuple(registry["hoscode"]), keys, known, report, progress)
        settled = [(region, one, _like_first(outcome, first.get(one.delivery_id))) for region, one, outcome in settled]
        report.batches += _record(home.landing, settled, keys, known)
        report.outcomes += [outcome for _, _, outcome in settled]
    return report


def _of_region(region: str | None, found: list[Found], region_of: dict[str, str], report: Report) -> list[Found]:
    """What a node takes in: all, or what facilities of its own region sent; others are reported."""
    if region is None:
        return found
    own = []
    for one in found:
        hospcode, _ = _sender(one.name)
        theirs = region_of.get(hospcode, NO_REGION)
        if theirs == region:
            own.append(one)
        else:
            sender = f"facility {hospcode}" if hospcode else "its sender"
            where = "of no region that the registry in force knows" if theirs == NO_REGION else f"of region {theirs}"
            report.not_taken.append(NotTaken(one.address, "other_region", f"{sender} is {where}"))
    return own


def _sender(file_name: str) -> tuple[str, datetime | None]:
    """Facility and time by the name of a zip; a name that tells nothing gives an empty facility."""
    try:
        sender = sender_of(file_name)
    except DeliveryRejectedError:
        return "", None
    return sender.hospcode, sender.sent_at


def _receive(inbox: Path, found: list[Found], report: Report, progress: Progress) -> list[Delivery]:
    """Bring each zip into the inbox, unless what lies there unchanged is known; what cannot be read is reported."""
    deliveries = []
    sweep_inbox(inbox)
    with Fetched(inbox) as fetched:
        for done, one in enumerate(found, start=1):
            try:
                delivery_id = fetched.delivery_id(one)
                if delivery_id is None:
                    delivery_id, _ = store(inbox, one.pieces())
                    fetched.add(one, delivery_id)
                stored = place_in(inbox, delivery_id)
                deliveries.append(
                    Delivery(delivery_id, stored, one.name, *_sender(one.name), utc_now(), stored.stat().st_size)
                )
            except PlaceError as error:
                outcome = "changing" if isinstance(error, ChangedError) else "not_fetched"
                report.not_taken.append(NotTaken(one.address, outcome, str(error)))
            progress("receive", done, len(found))
    return deliveries


def _rejections(receipts: pl.DataFrame) -> frozenset[Rejection]:
    rejected = receipts.filter(pl.col("outcome") == "rejected")
    return frozenset(rejected.select("delivery_id", "file_name", "reason").iter_rows())


Settled = tuple[str, Delivery, Outcome]
"""A region, and a delivery of it whose outcome needs no reading of its rows."""


def _sort(
    received: list[Delivery], region_of: dict[str, str], receipts: pl.DataFrame
) -> tuple[dict[str, list[Delivery]], list[Settled]]:
    """Split into deliveries to land by region, and those settled by their name or content alone."""
    accepted = receipts.filter(pl.col("outcome").is_in(["accepted", "accepted_with_rejects"]))
    landed = set(accepted["delivery_id"])
    names = set(receipts.filter(pl.col("outcome") != "rejected").select("delivery_id", "file_name").iter_rows())
    new: dict[str, list[Delivery]] = defaultdict(list)
    settled: list[Settled] = []
    for delivery in received:
        if delivery.delivery_id in landed:
            outcome = Outcome(delivery.file_name, delivery.hospcode, "duplicate")
            seen = (delivery.delivery_id, delivery.file_name) in names
            settled.append(("" if seen else region_of.get(delivery.hospcode, NO_REGION), delivery, outcome))
            names.add((delivery.delivery_id, delivery.file_name))
        elif delivery.hospcode in region_of:
            new[region_of[delivery.hospcode]].append(delivery)
            landed.add(delivery.delivery_id)
            names.add((delivery.delivery_id, delivery.file_name))
        else:
            settled.append((NO_REGION, delivery, _unknown_sender(delivery)))
    return new, settled


def _like_first(copy: Outcome, first: Outcome | None) -> Outcome:
    """A copy of a delivery that was rejected in this run is as bad as the first of them."""
    if first is None or first.outcome != "rejected":
        return copy
    return replace(copy, outcome="rejected", reason=first.reason, detail=first.detail)


def _unknown_sender(delivery: Delivery) -> Outcome:
    try:
        hospcode = sender_of(delivery.file_name).hospcode
    except DeliveryRejectedError as error:
        return Outcome(delivery.file_name, None, "rejected", error.rule, error.message)
    detail = f"facility {hospcode} is not in the registry in force"
    return Outcome(delivery.file_name, hospcode, "rejected", "unknown_sender", detail)


def _record(landing: Path, settled: list[Settled], keys: Keys, known: frozenset[Rejection]) -> list[str]:
    """Commit the receipts of settled deliveries; what was recorded before (its region is empty) needs none."""
    by_region: dict[str, list[Settled]] = defaultdict(list)
    for region, delivery, outcome in settled:
        if region and rejection(delivery, outcome) not in known:
            by_region[region].append((region, delivery, outcome))
    batches = []
    for region, ones in by_region.items():
        rows = [receipt(delivery, outcome, keys.key_id) for _, delivery, outcome in ones]
        batch = batch_id([f"{row['delivery_id']} {row['file_name']}" for row in rows], utc_now())
        with BatchWriter(landing, region, batch) as writer:
            writer.append("receipts", pl.DataFrame(rows, schema=RECEIPTS))
            writer.commit()
        batches.append(batch)
    return batches


def _batches(deliveries: list[Delivery], most: int, most_bytes: int) -> Iterator[list[Delivery]]:
    batch: list[Delivery] = []
    for delivery in deliveries:
        full = len(batch) >= most or sum(one.n_bytes for one in batch) + delivery.n_bytes > most_bytes
        if batch and full:
            yield batch
            batch = []
        batch.append(delivery)
    if batch:
        yield batch


def _land(
    settings: Settings,
    new: dict[str, list[Delivery]],
    hospcodes: tuple[str, ...],
    keys: Keys,
    known: frozenset[Rejection],
    report: Report,
    progress: Progress,
) -> dict[str, Outcome]:
    """Land all batches, side by side in processes of their own; what became of each delivery, by its id."""
    landing = settings.data_home.landing
    jobs = [
        (region, batch_id((one.delivery_id for one in batch), utc_now()), batch)
        for region, deliveries in sorted(new.items())
        for batch in _batches(deliveries, settings.batch_zips, settings.batch_bytes)
    ]
    batches = {name: batch for _, name, batch in jobs}
    total = sum(len(batch) for _, _, batch in jobs)
    done = 0
    landed: dict[str, Outcome] = {}
    if len(jobs) == 1:
        region, batch_name, batch = jobs[0]
        results: Iterator[tuple[str, list[Outcome]]] = iter(
            [
                (
                    batch_name,
                    land_batch(landing, region, batch_name, batch, hospcodes, keys, settings.limits, known),
                )
            ]
        )
    else:
        results = _side_by_side(settings, jobs, hospcodes, keys, known)
    for batch_name, outcomes in results:
        report.batches.append(batch_name)
        report.outcomes += outcomes
        landed |= {one.delivery_id: outcome for one, outcome in zip(batches[batch_name], outcomes, strict=True)}
        done += len(outcomes)
        progress("land", done, total)
    return landed


def _side_by_side(
    settings: Settings,
    jobs: list[tuple[str, str, list[Delivery]]],
    hospcodes: tuple[str, ...],
    keys: Keys,
    known: frozenset[Rejection],
) -> Iterator[tuple[str, list[Outcome]]]:
    # Not fork: the data frames' thread pool does not survive it.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(settings.workers, max(len(jobs), 1)), mp_context=context) as pool:
        running: dict[Future[list[Outcome]], str] = {}
        with _signals_held_back():
            for region, name, batch in jobs:
                args = (settings.data_home.landing, region, name, batch, hospcodes, keys, settings.limits, known)
                running[pool.submit(land_batch, *args)] = name
        try:
            for future in as_completed(running):
                yield running[future], future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Processes that are started inside never see SIGINT and SIGTERM.

    Ctrl-C and a service manager's stop reach workers too; they finish the batch in hand, and the parent begins no
    other.
    """
    resource_tracker.ensure_running()  # Started later, it would let the signals through again.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
