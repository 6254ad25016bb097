"""The ingestion job: which deliveries are new, whose they are, and landing them region by region."""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

import polars as pl

from identity.keys import Keys, load_keys
from ingestion.batch import Delivery, Outcome, Rejection, land_batch, receipt, rejection
from ingestion.compaction import compact_region
from ingestion.delivery import DeliveryRejectedError, sender_of
from ingestion.inbox import announce, store, sweep, withdraw
from ingestion.landing import (
    NO_REGION,
    RECEIPTS,
    BatchWriter,
    batch_id,
    ensure_schema_batch,
    is_committed,
    read_records,
    region_locked,
    utc_now,
)
from ingestion.reference import current_registry
from ruam.errors import RuamError, UsageError
from ruam.faults import point
from ruam.files import storage_errors
from ruam.geography import region_of_province
from ruam.home import DataHome
from ruam.settings import Settings

log = logging.getLogger("ruam.ingest")

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
    """The deliveries in files and folders, in order of name.

    Raises `UsageError` when a path does not exist.
    """
    found: set[Path] = set()
    for path in paths:
        if path.is_dir():
            found.update(file for file in path.rglob("*") if file.is_file() and file.suffix.lower() == ".zip")
        elif path.exists():
            found.add(path)
        else:
            raise UsageError(f"{path} does not exist.")
    return sorted(found, key=lambda path: (path.name, str(path)))


def ingest(settings: Settings, paths: Iterable[Path], progress: Progress = lambda *_: None) -> Report:
    """Take in the zips under `paths`.

    The same content of the same sender changes nothing, under whatever name; a name not seen before is recorded.
    Raises `SetupError` without keys or registry, `UsageError` for a path that does not exist, `BusyError` when
    another process lands the same region, and `StorageError` when the disk is full, fails or may not be written:
    batches committed until then stay, and the same call again does the rest.
    """
    home = settings.data_home
    home.require()
    keys = load_keys(home.keys)
    registry = current_registry(home)
    region_of = dict(zip(registry["hoscode"], (region_of_province(code) for code in registry["provcode"]), strict=True))
    report = Report()
    with storage_errors("Taking deliveries in", home.root), ExitStack() as locks:
        ensure_schema_batch(home.landing)
        received = _receive(home.inbox, find_zips(paths), progress)
        point("ingest.received")
        regions = sorted({region_of[one.hospcode] for one in received if one.hospcode in region_of})
        held = {
            # Every ingest may have to record something in the region of the unknown; the turn of each is short.
            region: locks.enter_context(region_locked(home.landing, region, wait=region == NO_REGION))
            for region in regions
        }
        receipts = read_records(home.landing, "receipts")
        known = _rejections(receipts)
        received = _by_a_clock_that_never_goes_back(received, receipts)
        new, settled = _sort(received, region_of, receipts)
        first = _land(settings, new, tuple(registry["hoscode"]), keys, known, report, progress, list(held.values()))
        point("ingest.landed")
        settled = [(region, one, _like_first(outcome, first.get(_content(one)))) for region, one, outcome in settled]
        report.batches += _record(home, settled, keys, known, held)
        report.outcomes += [outcome for _, _, outcome in settled]
        for region in regions if settings.compact_batches else []:
            compact_region(home.landing, region, settings.compact_bytes, more_than=settings.compact_batches)
    return report


def _receive(inbox: Path, zips: list[Path], progress: Progress) -> list[Delivery]:
    """Store each zip and read who sent it; an unknown name leaves the sender empty."""
    deliveries = []
    sweep(inbox)
    for done, path in enumerate(zips, start=1):
        try:
            sender = sender_of(path.name)
            hospcode, sent_at = sender.hospcode, sender.sent_at
        except DeliveryRejectedError:
            hospcode, sent_at = "", None
        delivery_id, stored = store(inbox, path)
        size = stored.stat().st_size
        deliveries.append(Delivery(delivery_id, stored, path.name, hospcode, sent_at, utc_now(), size))
        progress("receive", done, len(zips))
    return deliveries


def _by_a_clock_that_never_goes_back(received: list[Delivery], receipts: pl.DataFrame) -> list[Delivery]:
    """Deliveries whose name tells no time are judged by the time of receipt: a clock that was set back must not make
    their rows lie in the future, and be rejected for good."""
    newest = receipts["received_at"].max()
    if not isinstance(newest, datetime) or all(newest <= one.received_at for one in received):
        return received
    log.warning("the clock is behind the newest receipt", extra={"newest_receipt": newest})
    return [one if one.sent_at else replace(one, received_at=max(one.received_at, newest)) for one in received]


def _rejections(receipts: pl.DataFrame) -> frozenset[Rejection]:
    rejected = receipts.filter(pl.col("outcome") == "rejected")
    return frozenset(rejected.select("delivery_id", "file_name", "reason").iter_rows())


def _content(delivery: Delivery) -> tuple[str, str]:
    """What is landed once: a content as sent by one facility. Under another's name its rows are that one's to reject,
    and must not keep the right sender's from landing."""
    return delivery.delivery_id, delivery.hospcode


Settled = tuple[str, Delivery, Outcome]
"""A region, and a delivery of it whose outcome needs no reading of its rows."""


def _sort(
    received: list[Delivery], region_of: dict[str, str], receipts: pl.DataFrame
) -> tuple[dict[str, list[Delivery]], list[Settled]]:
    """Split into deliveries to land by region, and those settled by their name or content alone."""
    accepted = receipts.filter(pl.col("outcome").is_in(["accepted", "accepted_with_rejects"]))
    landed = set(accepted.select("delivery_id", "hospcode").iter_rows())
    names = set(receipts.filter(pl.col("outcome") != "rejected").select("delivery_id", "file_name").iter_rows())
    new: dict[str, list[Delivery]] = defaultdict(list)
    settled: list[Settled] = []
    for delivery in received:
        if _content(delivery) in landed:
            outcome = Outcome(delivery.file_name, delivery.hospcode, "duplicate")
            seen = (delivery.delivery_id, delivery.file_name) in names
            settled.append(("" if seen else region_of.get(delivery.hospcode, NO_REGION), delivery, outcome))
            names.add((delivery.delivery_id, delivery.file_name))
        elif delivery.hospcode in region_of:
            new[region_of[delivery.hospcode]].append(delivery)
            landed.add(_content(delivery))
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


def _record(
    home: DataHome, settled: list[Settled], keys: Keys, known: frozenset[Rejection], held: Collection[str]
) -> list[str]:
    """Commit the receipts of settled deliveries; what was recorded before (its region is empty) needs none."""
    by_region: dict[str, list[Settled]] = defaultdict(list)
    for region, delivery, outcome in settled:
        if region and rejection(delivery, outcome) not in known:
            by_region[region].append((region, delivery, outcome))
    batches = []
    for region, ones in by_region.items():
        with ExitStack() as lock:
            if region not in held:
                lock.enter_context(region_locked(home.landing, region, wait=True))
                known = _rejections(read_records(home.landing, "receipts", region=region))
                ones = [one for one in ones if rejection(*one[1:]) not in known]
            if ones:
                batches.append(_record_one(home, region, ones, keys))
    return batches


def _record_one(home: DataHome, region: str, ones: list[Settled], keys: Keys) -> str:
    rows = [receipt(delivery, outcome, keys.key_id) for _, delivery, outcome in ones]
    batch, receipts = batch_id(utc_now()), pl.DataFrame(rows, schema=RECEIPTS)
    announce(home.inbox, batch, receipts)
    with BatchWriter(home.landing, region, batch) as writer:
        writer.append("receipts", receipts)
        writer.commit()
    return batch


_OPEN = dict.fromkeys(("outcome", "n_rows", "n_landed", "n_rejected", "n_flagged"))
"""What a receipt does not tell before its delivery was read."""


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
    held: list[int],
) -> dict[tuple[str, str], Outcome]:
    """Land all batches, side by side in processes of their own; what became of each content of each sender.

    `held` are the descriptors of the regions' locks.
    """
    landing = settings.data_home.landing
    jobs = [
        (region, batch_id(utc_now()), batch)
        for region, deliveries in sorted(new.items())
        for batch in _batches(deliveries, settings.batch_zips, settings.batch_bytes)
    ]
    batches = {name: batch for _, name, batch in jobs}
    for _, name, batch in jobs:
        rows = [receipt(one, Outcome(one.file_name, one.hospcode, ""), keys.key_id) | _OPEN for one in batch]
        announce(settings.data_home.inbox, name, pl.DataFrame(rows, schema=RECEIPTS))
    total = sum(len(batch) for _, _, batch in jobs)
    done = 0
    landed: dict[tuple[str, str], Outcome] = {}
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
        results = _side_by_side(settings, jobs, hospcodes, keys, known, held)
    regions = {name: region for region, name, _ in jobs}
    for batch_name, outcomes in results:
        if not is_committed(landing, regions[batch_name], batch_name):
            withdraw(settings.data_home.inbox, batch_name)
        report.batches.append(batch_name)
        report.outcomes += outcomes
        landed |= {_content(one): outcome for one, outcome in zip(batches[batch_name], outcomes, strict=True)}
        done += len(outcomes)
        progress("land", done, total)
    return landed


def _side_by_side(
    settings: Settings,
    jobs: list[tuple[str, str, list[Delivery]]],
    hospcodes: tuple[str, ...],
    keys: Keys,
    known: frozenset[Rejection],
    held: list[int],
) -> Iterator[tuple[str, list[Outcome]]]:
    # Not fork: the data frames' thread pool does not survive it.
    context = multiprocessing.get_context("spawn")
    most = min(settings.workers, max(len(jobs), 1))
    with ProcessPoolExecutor(most, context, initializer=_begin_worker, initargs=(_Shared(held),)) as pool:
        running: dict[Future[list[Outcome]], str] = {}
        try:
            for region, name, batch in jobs:
                args = (settings.data_home.landing, region, name, batch, hospcodes, keys, settings.limits, known)
                running[_submitted(pool, args)] = name
            for future in as_completed(running):
                yield running[future], future.result()
        except BrokenProcessPool as error:
            raise RuamError(
                "A process that landed a batch was killed, perhaps for want of memory. What was committed stays: run "
                "the same command again, with fewer RUAM_WORKERS if it happens again."
            ) from error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _submitted(pool: ProcessPoolExecutor, arguments: tuple[Any, ...]) -> Future[list[Outcome]]:
    """Raises `BrokenProcessPool` when a worker was killed before; just then the pool may say so less plainly."""
    try:
        return pool.submit(land_batch, *arguments)
    except OSError as error:
        if error.errno is not None:
            raise
        raise BrokenProcessPool(str(error)) from error


class _Shared:
    """Descriptors of locks that a worker is to share: a region stays locked until all who may commit in it ended."""

    def __init__(self, descriptors: list[int]) -> None:
        self.descriptors = descriptors

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, ([DupFd(descriptor) for descriptor in self.descriptors],)


def _received(duplicates: list[Any]) -> _Shared:
    return _Shared([duplicate.detach() for duplicate in duplicates])


def _begin_worker(_: _Shared) -> None:
    """Hold the locks by merely living, and end with the ingest that began this worker.

    If that was killed, a batch may still be committed before this process ends: nobody else could have landed it,
    for its region is locked until then.
    """
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
