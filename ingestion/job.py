"""The ingestion job: which deliveries are new, whose they are, and landing them region by region."""

from __future__ import annotations

import multiprocessing
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from identity.keys import Keys, load_keys
from ingestion.batch import Delivery, Outcome, Registry, Rejection, land_batch, receipt, rejection
from ingestion.delivery import DeliveryRejectedError, sender_of
from ingestion.folders import as_zip, is_delivery
from ingestion.inbox import store
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
from ingestion.reference import current_registry
from ruam.errors import UsageError
from ruam.files import locked
from ruam.geography import region_of_province
from ruam.settings import Settings

Progress = Callable[[str, int, int], None]
"""Called with the step (`receive`, `land`), what is done of it and the whole, in deliveries."""


@dataclass
class Report:
    """What a run of ingestion did."""

    outcomes: list[Outcome] = field(default_factory=list)
    batches: list[str] = field(default_factory=list)

    def count(self, outcome: str) -> int:
        return sum(one.outcome == outcome for one in self.outcomes)


def find_zips(paths: Iterable[Path]) -> list[Path]:
    """The deliveries in files and folders, in order of name; a folder may be one itself.

    Raises `UsageError` when a path does not exist.
    """
    found: set[Path] = set()
    for path in paths:
        if is_delivery(path):
            found.add(path)
        elif path.is_dir():
            found.update(
                one for one in path.rglob("*") if (one.is_file() and one.suffix.lower() == ".zip") or is_delivery(one)
            )
        elif path.exists():
            found.add(path)
        else:
            raise UsageError(f"{path} does not exist.")
    return sorted(found, key=lambda path: (path.name, str(path)))


def ingest(settings: Settings, paths: Iterable[Path], progress: Progress = lambda *_: None) -> Report:
    """Take in the zips under `paths`.

    The same content changes nothing, under whatever name; a name not seen before is recorded. Raises `SetupError`
    without keys or registry, `UsageError` for a path that does not exist, and `BusyError` when another process
    lands the same region.
    """
    home = settings.data_home
    home.require()
    keys = load_keys(home.keys)
    registry = current_registry(home)
    ensure_schema_batch(home.landing)
    received = _receive(home.inbox, find_zips(paths), progress)
    region_of = dict(zip(registry["hoscode"], (region_of_province(code) for code in registry["provcode"]), strict=True))
    report = Report()
    with ExitStack() as locks:
        for region in sorted({region_of[one.hospcode] for one in received if one.hospcode in region_of}):
            lock = region_folder(home.landing, region) / ".lock"
            locks.enter_context(locked(lock, f"Region {region} of {home.root}"))
            sweep(home.landing, region)
        receipts = read_records(home.landing, "receipts")
        known = _rejections(receipts)
        new, settled = _sort(received, region_of, receipts)
        first = _land(settings, new, tuple(region_of.items()), keys, known, report, progress)
        settled = [(region, one, _like_first(outcome, first.get(one.delivery_id))) for region, one, outcome in settled]
        report.batches += _record(home.landing, settled, keys, known)
        report.outcomes += [outcome for _, _, outcome in settled]
    return report


def _receive(inbox: Path, zips: list[Path], progress: Progress) -> list[Delivery]:
    """Store each zip and read who sent it; an unknown name leaves the sender empty."""
    deliveries = []
    for done, path in enumerate(zips, start=1):
        try:
            sender = sender_of(path.name)
            hospcode, sent_at, feed = sender.hospcode, sender.sent_at, sender.feed
        except DeliveryRejectedError:
            hospcode, sent_at, feed = "", None, None
        with as_zip(path, inbox) as source:
            delivery_id, stored = store(inbox, source)
        size = stored.stat().st_size
        deliveries.append(Delivery(delivery_id, stored, path.name, hospcode, sent_at, utc_now(), size, feed))
        progress("receive", done, len(zips))
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
    registry: Registry,
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
                    land_batch(landing, region, batch_name, batch, registry, keys, settings.limits, known),
                )
            ]
        )
    else:
        results = _side_by_side(settings, jobs, registry, keys, known)
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
    registry: Registry,
    keys: Keys,
    known: frozenset[Rejection],
) -> Iterator[tuple[str, list[Outcome]]]:
    # Not fork: the data frames' thread pool does not survive it.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(settings.workers, max(len(jobs), 1)), mp_context=context) as pool:
        running: dict[Future[list[Outcome]], str] = {}
        for region, name, batch in jobs:
            args = (settings.data_home.landing, region, name, batch, registry, keys, settings.limits, known)
            running[pool.submit(land_batch, *args)] = name
        try:
            for future in as_completed(running):
                yield running[future], future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
