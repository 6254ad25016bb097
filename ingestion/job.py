"""The ingestion job: which deliveries are new, whose they are, and landing them region by region."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from polars.exceptions import PanicException

from identity.intake import Intake
from identity.keys import Keys, keys_of, load_keys
from identity.sealing import Sealed, SealKey
from ingestion.batch import GRACE, Delivery, Outcome, Registry, Rejection, land_batch, receipt, rejection
from ingestion.compaction import compact_region
from ingestion.delivery import DeliveryRejectedError, Sender, sender_of
from ingestion.feed import FeedError, load_feeds
from ingestion.fetched import Fetched
from ingestion.gauges import Gauges, Reading, Tell
from ingestion.inbox import announce, inbox_key, receiving, sealed, store, withdraw, withdraw_all_but
from ingestion.landing import (
    NO_REGION,
    RECEIPTS,
    BatchWriter,
    batch_id,
    ensure_schema_batch,
    is_committed,
    key_ids,
    newest_receipt,
    read_records,
    receipts_of,
    region_locked,
    require_fitting,
    sweep_region,
    utc_now,
)
from ingestion.places import ChangedError, Found, Look, NotTaken, PlaceError, look, place_of
from ingestion.reference import current_registry
from ingestion.retention import landed_and_purged
from ingestion.workers import side_by_side
from ruam.errors import BusyError, RuamError, SetupError, failed_at
from ruam.faults import point
from ruam.files import is_of_disk, storage_errors, sync_all
from ruam.geography import region_of_province
from ruam.home import DataHome
from ruam.landing import committed_ids
from ruam.settings import Settings, ZipLimits

log = logging.getLogger("ruam.ingest")


@dataclass(frozen=True)
class Progress:
    """How far a step (`receive`, `land`) has come, and in how many seconds."""

    step: str
    all_zips: int
    all_bytes: int
    n_zips: int = 0
    n_bytes: int = 0
    n_files: int = 0
    """Files of the standard that were read."""
    n_rows: int = 0
    n_rejected: int = 0
    seconds: float = 0.0

    @property
    def done(self) -> int:
        """What the time left depends on: bytes, since a zip holds ten rows or ten million; one of none still counts."""
        return self.n_bytes + self.n_zips

    @property
    def total(self) -> int:
        return self.all_bytes + self.all_zips


Follow = Callable[[Progress], None]
"""Called as a step begins (unless there is nothing to do), and each time that more of it is done."""


class _Step:
    """Adds up what is done in a step, and tells who follows."""

    def __init__(self, name: str, sizes: list[int], follow: Follow) -> None:
        """`sizes` are those of all zips, in bytes."""
        self._begun = time.monotonic()
        self._follow = follow
        self._of = (name, len(sizes), sum(sizes))
        self._done, self._told = Reading(), -1
        if sizes:
            self._tell(self._done)

    def add(self, sizes: list[int], outcomes: Iterable[Outcome] = ()) -> None:
        """So many zips more, of these sizes, are done."""
        self._done += Reading(len(sizes), sum(sizes))
        for one in outcomes:
            self._done += Reading(0, 0, one.n_files, one.n_rows, one.n_rejected)
        self._tell(self._done)

    def in_hand(self, reading: Reading) -> None:
        """So much was read of what is not done yet."""
        self._tell(self._done + reading)

    def _tell(self, reading: Reading) -> None:
        progress = Progress(*self._of, *reading, seconds=time.monotonic() - self._begun)
        # As one of several in hand is done, the others' readings are told at the next tick: nobody sees a step back.
        if progress.done > self._told:
            self._told = progress.done
            self._follow(progress)


@dataclass
class Report:
    """What a run of ingestion did, and in how many seconds."""

    outcomes: list[Outcome] = field(default_factory=list)
    batches: list[str] = field(default_factory=list)
    not_taken: list[NotTaken] = field(default_factory=list)
    seconds: float = 0.0

    def count(self, outcome: str) -> int:
        return [one.outcome for one in self.outcomes].count(outcome)

    def left(self, outcome: str) -> list[NotTaken]:
        return [one for one in self.not_taken if one.outcome == outcome]


def ingest(settings: Settings, places: Iterable[str | Path], follow: Follow = lambda _: None) -> Report:
    """Take in the deliveries that lie in `places`: paths, or addresses as `ingestion.places.place_of` reads them.

    The same content of the same sender changes nothing, under whatever name; a name not seen before is recorded. What
    another process stands in the way of (`waiting`), and what our own code fails on (`failed`), is not taken, and holds
    up no other. Raises `SetupError` without keys or registry, `UsageError` for an address that cannot be read or a path
    that does not exist, and `StorageError` when the disk is full, fails or may not be written: batches committed until
    then stay, and the same call again does the rest.
    """
    ready(settings)
    return take_in(settings, look([place_of(place, settings) for place in places]), follow)


def ready(settings: Settings) -> tuple[Keys, dict[str, str]]:
    """Keys, and each facility's region; without them nothing may enter the inbox.

    Raises `SetupError` for what is missing, and for a feed that does not fit.
    """
    settings.data_home.require()
    try:
        load_feeds(settings.feeds)
    except FeedError as error:
        raise SetupError(f"A feed does not fit, so nothing was taken in.\n{error}") from error
    keys, registry = load_keys(keys_of(settings.data_home)), current_registry(settings.data_home)
    regions = (region_of_province(code) for code in registry["provcode"])
    return keys, dict(zip(registry["hoscode"], regions, strict=True))


def take_in(settings: Settings, seen: Look, follow: Follow = lambda _: None) -> Report:
    """Take in the deliveries that were found. Raises as `ingest` does."""
    begun = time.monotonic()
    home = settings.data_home
    keys, region_of = ready(settings)
    require_fitting(home.landing, keys, key_ids(home.landing))
    found, not_taken = _of_region(settings, seen.found, region_of)
    with storage_errors("Taking deliveries in", home.root):
        received, not_received = _receive(settings, found, follow)
        point("ingest.received")
    _log(seen.not_taken)
    _log(not_received)
    report = land_received(settings, received, follow)
    report.not_taken = [*seen.not_taken, *not_taken, *not_received, *report.not_taken]
    report.seconds = time.monotonic() - begun
    return report


def _log(not_taken: list[NotTaken]) -> None:
    for one in not_taken:
        log.warning("not taken", extra={"address": one.address, "outcome": one.outcome, "detail": one.detail})


def land_received(settings: Settings, received: list[Delivery], follow: Follow = lambda _: None) -> Report:
    """Land deliveries that lie in the inbox and were not landed before, and record what became of each.

    A sender that is not known has an empty `hospcode`. Raises as `ingest` does.
    """
    begun = time.monotonic()
    home = settings.data_home
    keys, region_of = ready(settings)
    intake = Intake.of(home)
    report = Report()
    with storage_errors("Taking deliveries in", home.root), ExitStack() as locks:
        ensure_schema_batch(home.landing)
        held, busy = {}, {}
        for region in sorted({region_of[one.hospcode] for one in received if one.hospcode in region_of}):
            try:
                # Every ingest may have to record something in the region of the unknown; the turn of each is short.
                held[region] = locks.enter_context(_region_held(home, region, wait=region == NO_REGION))
            except BusyError as error:
                busy[region] = str(error)
        for one in received:
            if region_of.get(one.hospcode) in busy:
                report.not_taken.append(_left(one, "waiting", busy[region_of[one.hospcode]]))
        received = [one for one in received if region_of.get(one.hospcode) not in busy]
        _sweep_intake(home.landing, intake, sorted(held))
        require_fitting(home.landing, keys, key_ids(home.landing))
        receipts = receipts_of(home.landing, {one.delivery_id for one in received})
        known = _rejections(receipts)
        received = _by_a_clock_that_never_goes_back(received, newest_receipt(home.landing))
        new, settled = _sort(received, region_of, receipts)
        first = _land(settings, intake, new, tuple(region_of.items()), keys, known, report, follow, list(held.values()))
        point("ingest.landed")
        settled = [(region, one, _like_first(outcome, first.get(_content(one)))) for region, one, outcome in settled]
        report.not_taken += [_left(one, out.outcome, out.detail) for _, one, out in settled if out.outcome in LEFT_OPEN]
        settled = [one for one in settled if one[2].outcome not in LEFT_OPEN]
        report.batches += _record(home, settled, keys, known, held)
        report.outcomes += [outcome for _, _, outcome in settled]
        _log(report.not_taken)
        for region in held if settings.compact_batches else []:
            compact_region(home.landing, region, settings.compact_bytes, more_than=settings.compact_batches)
    report.seconds = time.monotonic() - begun
    return report


def _sweep_intake(landing: Path, intake: Intake, regions: list[str]) -> None:
    """Remove what killed processes left for the vault of batches that came to nothing. The regions are held."""
    for region in regions:
        if not intake.is_empty(region):
            intake.sweep(region, committed_ids(landing, region))


@contextmanager
def _region_held(home: DataHome, region: str, *, wait: bool) -> Iterator[int]:
    """`region_locked`, with no batch announced that is not there."""
    with region_locked(home.landing, region, wait=wait) as descriptor:
        withdraw_all_but(home.inbox, region, committed_ids(home.landing, region))
        yield descriptor


FAILED = "failed"
"""Outcome of a delivery that our own code failed on; it gets no receipt, so that the next run tries it again."""

KILLED = "killed"
"""The same of one in a batch whose process the system killed twice, the second time alone."""

LEFT_OPEN = frozenset({FAILED, KILLED})


def _left(delivery: Delivery, outcome: str, detail: str | None) -> NotTaken:
    return NotTaken(delivery.address or delivery.file_name, outcome, detail or "")


def _of_region(settings: Settings, found: list[Found], region_of: dict[str, str]) -> tuple[list[Found], list[NotTaken]]:
    """What a node takes in: all, or what facilities of its own region sent; and the others."""
    if settings.region is None:
        return found, []
    own, others = [], []
    for one in found:
        hospcode = _sender(one.name, settings.feeds).hospcode
        theirs = region_of.get(hospcode, NO_REGION)
        if theirs == settings.region:
            own.append(one)
        else:
            sender = f"facility {hospcode}" if hospcode else "its sender"
            where = "of no region that the registry in force knows" if theirs == NO_REGION else f"of region {theirs}"
            others.append(NotTaken(one.address, "other_region", f"{sender} is {where}"))
    return own, others


def _sender(file_name: str, extra_feeds: Path | None) -> Sender:
    """Who sent a zip, by its name; a name that tells nothing gives an empty facility."""
    try:
        return sender_of(file_name, extra_feeds)
    except DeliveryRejectedError:
        return Sender("", None)


def _receive(settings: Settings, found: list[Found], follow: Follow) -> tuple[list[Delivery], list[NotTaken]]:
    """Bring each zip into the inbox, unless what lies there unchanged is known; and what could not be read."""
    step = _Step("receive", [one.size for one in found], follow)
    deliveries, not_taken, written = [], [], []
    inbox, key = settings.data_home.inbox, inbox_key(settings.data_home)
    with receiving(inbox), Fetched(inbox) as fetched:
        for one in found:
            try:
                delivery = _known(settings, key, fetched.delivery_id(one), one)
                if delivery is None:
                    come = store(inbox, key, one.pieces())
                    written.append((one, come))
                    held = Sealed(come.path, key, come.delivery_id)
                    delivery = _delivery(held, one.name, come.n_bytes, settings.feeds, one.address)
                deliveries.append(delivery)
            except PlaceError as error:
                outcome = "changing" if isinstance(error, ChangedError) else "not_fetched"
                not_taken.append(NotTaken(one.address, outcome, str(error)))
            step.add([one.size])
        sync_all([come.path for _, come in written], inbox)
        point("inbox.synced")
        fetched.add((one, come.delivery_id) for one, come in written)
    return deliveries, not_taken


def _known(settings: Settings, key: SealKey, delivery_id: str | None, found: Found) -> Delivery | None:
    """A delivery that was fetched before, if it still lies in the inbox or left it after it was landed."""
    if delivery_id is None:
        return None
    held = sealed(settings.data_home.inbox, key, delivery_id)
    if held.path.exists():
        return _delivery(held, found.name, held.size, settings.feeds, found.address)
    sender = _sender(found.name, settings.feeds)
    gone = landed_and_purged(settings.data_home.inbox, delivery_id, sender.hospcode)
    return _delivery(held, found.name, gone["n_bytes"], settings.feeds, found.address) if gone else None


def delivery_in_inbox(settings: Settings, key: SealKey, delivery_id: str, file_name: str) -> Delivery:
    """A delivery that lies in the inbox, with what its name says."""
    held = sealed(settings.data_home.inbox, key, delivery_id)
    return _delivery(held, file_name, held.size, settings.feeds)


def _delivery(held: Sealed, file_name: str, n_bytes: int, extra_feeds: Path | None, address: str = "") -> Delivery:
    """A name without a code leaves the sender empty. A time to come in a name is not believed: it would let in care to
    come, and win over all that is sent until then.
    """
    now, sender = utc_now(), _sender(file_name, extra_feeds)
    sent_at = sender.sent_at
    if sent_at and sent_at > now + GRACE:
        log.warning("the name's time lies in the future", extra={"delivery_id": held.label})
        sent_at = None
    return Delivery(held.label, held, file_name, sender.hospcode, sent_at, now, n_bytes, sender.feed, address)


def _by_a_clock_that_never_goes_back(received: list[Delivery], newest: datetime | None) -> list[Delivery]:
    """Deliveries whose name tells no time are judged by the time of receipt: a clock that was set back must not make
    their rows lie in the future, and be rejected for good."""
    if newest is None or all(newest <= one.received_at for one in received):
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


SHARED_FROM_BYTES = 16 << 20
"""Zipped bytes of one region below which it is not worth the while to split them among workers."""

Settled = tuple[str, Delivery, Outcome]
"""A region, and a delivery of it whose outcome needs no reading of its rows."""

Job = tuple[str, str, list[Delivery]]
"""A region, the id of a batch of it, and what the batch is to hold."""


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
    """A copy of a delivery that was rejected, or left open, in this run is as bad as the first of them."""
    if first is None or first.outcome not in ("rejected", *LEFT_OPEN):
        return copy
    return replace(copy, outcome=first.outcome, reason=first.reason, detail=first.detail)


def _unknown_sender(delivery: Delivery) -> Outcome:
    try:
        sender_of(delivery.file_name)
    except DeliveryRejectedError as error:
        return Outcome(delivery.file_name, None, "rejected", error.rule, error.message)
    detail = f"facility {delivery.hospcode} is not in the registry in force"
    return Outcome(delivery.file_name, delivery.hospcode, "rejected", "unknown_sender", detail)


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
                lock.enter_context(_region_held(home, region, wait=True))
                require_fitting(home.landing, keys, key_ids(home.landing))
                known = _rejections(receipts_of(home.landing, {one.delivery_id for _, one, _ in ones}, region))
                ones = [one for one in ones if rejection(*one[1:]) not in known]
            if ones:
                batches.append(_record_one(home, region, ones, keys))
    return batches


def _record_one(home: DataHome, region: str, ones: list[Settled], keys: Keys) -> str:
    rows = [receipt(delivery, outcome, keys.key_id) for _, delivery, outcome in ones]
    batch, receipts = batch_id(utc_now()), pl.DataFrame(rows, schema=RECEIPTS)
    announce(home.inbox, region, batch, receipts)
    with BatchWriter(home.landing, region, batch) as writer:
        writer.append("receipts", receipts)
        writer.commit()
    return batch


_OPEN = dict.fromkeys(("outcome", "n_rows", "n_landed", "n_rejected", "n_flagged"))
"""What a receipt does not tell before its delivery was read."""


class Means(NamedTuple):
    """What all batches of a run are landed with, in the order of `land_batch`."""

    registry: Registry
    keys: Keys
    limits: ZipLimits
    spill: Path
    known: frozenset[Rejection]
    extra_feeds: Path | None


@dataclass(frozen=True)
class Failure:
    """Why nothing of a batch was landed, and the outcome (`LEFT_OPEN`) of its deliveries."""

    words: str
    outcome: str = FAILED


def _landed(landing: Path, intake: Intake, region: str, name: str, *rest: Any) -> list[Outcome] | Failure:
    """`land_batch`, with an error that nobody foresaw as a value: not every one reaches another process whole.

    Raises what is no fault of a delivery (`RuamError`, errors of a disk), and what came up after the commit: the rows
    are there, and must not be landed again.
    """
    try:
        return land_batch(landing, intake, region, name, *rest)
    except RuamError:
        raise
    except (Exception, PanicException) as error:
        if is_of_disk(error) or is_committed(landing, region, name):
            raise
        return Failure(f"Ruam itself failed on it ({failed_at(error)})")


def _apart(
    home: DataHome, intake: Intake, job: Job, result: list[Outcome] | Failure, means: Means
) -> Iterator[tuple[Job, list[Outcome] | Failure]]:
    """A batch and what became of it; one that our code fails on is landed again by halves, until it stands alone."""
    region, name, batch = job
    if not is_committed(home.landing, region, name):
        withdraw(home.inbox, region, name)
    if not isinstance(result, Failure) or result.outcome == KILLED or len(batch) == 1:
        yield job, result
        return
    log.error("batch failed", extra={"batch": name, "n": len(batch), "detail": result.words})
    for half in (batch[: len(batch) // 2], batch[len(batch) // 2 :]):
        again = (region, batch_id(utc_now()), half)
        _announce(home, again, means.keys)
        yield from _apart(home, intake, again, _landed(home.landing, intake, *again, *means), means)


def open_receipts(batch: list[Delivery], keys: Keys) -> pl.DataFrame:
    """What is announced of a batch before it is read (`RECEIPTS`)."""
    rows = [receipt(one, Outcome(one.file_name, one.hospcode, ""), keys.key_id) | _OPEN for one in batch]
    return pl.DataFrame(rows, schema=RECEIPTS)


def _announce(home: DataHome, job: Job, keys: Keys) -> None:
    region, name, batch = job
    announce(home.inbox, region, name, open_receipts(batch, keys))


def batches_of(deliveries: list[Delivery], most: int, most_bytes: int) -> Iterator[list[Delivery]]:
    """Deliveries in groups of at most so many, or so many zipped bytes, but of one at least."""
    batch: list[Delivery] = []
    n_bytes = 0
    for delivery in deliveries:
        if batch and (len(batch) >= most or n_bytes + delivery.n_bytes > most_bytes):
            yield batch
            batch, n_bytes = [], 0
        batch.append(delivery)
        n_bytes += delivery.n_bytes
    if batch:
        yield batch


def _land(
    settings: Settings,
    intake: Intake,
    new: dict[str, list[Delivery]],
    registry: Registry,
    keys: Keys,
    known: frozenset[Rejection],
    report: Report,
    follow: Follow,
    held: list[int],
) -> dict[tuple[str, str], Outcome]:
    """Land all batches, side by side in processes of their own; what became of each content of each sender.

    `held` are the descriptors of the regions' locks.
    """
    # One region alone would keep one worker busy and the others idle.
    share = sum(one.n_bytes for ones in new.values() for one in ones) // settings.workers
    most_bytes = min(settings.batch_bytes, max(share, SHARED_FROM_BYTES))
    jobs = [
        (region, batch_id(utc_now()), batch)
        for region, deliveries in sorted(new.items())
        for batch in batches_of(deliveries, settings.batch_zips, most_bytes)
    ]
    for job in jobs:
        _announce(settings.data_home, job, keys)
    step = _Step("land", [one.n_bytes for _, _, batch in jobs for one in batch], follow)
    landed: dict[tuple[str, str], Outcome] = {}
    means = Means(registry, keys, settings.limits, settings.data_home.spill, known, settings.feeds)
    results = _outlived(settings.data_home, intake, jobs, means, held, partial(land_jobs, settings, tell=step.in_hand))
    each = (one for pair in results for one in _apart(settings.data_home, intake, *pair, means))
    for (_, name, batch), result in each:
        if isinstance(result, Failure):
            outcomes = [Outcome(one.file_name, one.hospcode, result.outcome, detail=result.words) for one in batch]
            report.not_taken += [_left(one, result.outcome, result.words) for one in batch]
        else:
            outcomes = result
            report.batches.append(name)
            report.outcomes += outcomes
        landed |= {_content(one): outcome for one, outcome in zip(batch, outcomes, strict=True)}
        step.add([one.n_bytes for one in batch], outcomes)
    return landed


def _outlived(
    home: DataHome,
    intake: Intake,
    jobs: list[Job],
    means: Means,
    held: list[int],
    land: Callable[..., Iterator[tuple[Job, list[Outcome] | Failure]]],
) -> Iterator[tuple[Job, list[Outcome] | Failure]]:
    """What `land` (`land_jobs`) yields; a process that is killed costs the run no more than its own batch.

    What had not ended then is landed batch by batch, each alone in a process of its own: most often memory was short,
    and who has it to himself needs not share it. A batch whose process is killed again is left open (`KILLED`).
    """
    waiting = {job[1]: job for job in jobs}
    try:
        for job, result in land(home.landing, intake, jobs, means, held):
            del waiting[job[1]]
            yield job, result
    except BrokenProcessPool:
        log.error("a process was killed", extra={"batches": list(waiting)})
    for job in waiting.values():
        if found := _committed(home, intake, job, means):
            yield job, found
            continue
        region, _, batch = job
        again = (region, batch_id(utc_now()), batch)
        _announce(home, again, means.keys)
        yield again, _landed_alone(home, intake, again, means, held)


def _landed_alone(home: DataHome, intake: Intake, job: Job, means: Means, held: list[int]) -> list[Outcome] | Failure:
    try:
        ((_, landed),) = side_by_side(_landed, [(home.landing, intake, *job, *means)], 1, held)
    except BrokenProcessPool:
        log.error("a process was killed again", extra={"batch": job[1], "n": len(job[2])})
        words = "the system killed the process that landed it, and again when it ran alone, perhaps for want of memory"
        return _committed(home, intake, job, means) or Failure(words, KILLED)
    return landed


def _committed(home: DataHome, intake: Intake, job: Job, means: Means) -> list[Outcome] | None:
    """What became of a batch that a killed process had committed before it could tell, by its receipts.

    None, and nothing is left of it, when it was not. Its region is held, and nobody writes there.
    """
    region, name, batch = job
    if not is_committed(home.landing, region, name):
        sweep_region(home.landing, region)
        intake.sweep(region, committed_ids(home.landing, region))
        withdraw(home.inbox, region, name)
        return None
    told = {
        (row["delivery_id"], row["hospcode"]): row
        for row in read_records(home.landing, "receipts", {name}, region).iter_rows(named=True)
    }
    files = read_records(home.landing, "receipt_files", {name}, region)
    n_files = dict(files.group_by("delivery_id").len().iter_rows())
    reasons = {(delivery_id, file_name): reason for delivery_id, file_name, reason in means.known}
    counts = ("outcome", "reason", "detail", "n_rows", "n_landed", "n_rejected", "n_flagged")
    outcomes = []
    for one in batch:
        if row := told.get(_content(one)):
            known = {column: row[column] for column in counts} | {"n_files": n_files.get(one.delivery_id, 0)}
        else:  # A rejection that is known is not recorded again.
            known = {"outcome": "rejected", "reason": reasons[one.delivery_id, one.file_name]}
        outcomes.append(Outcome(one.file_name, one.hospcode, **known))
    return outcomes


def land_jobs(
    settings: Settings,
    landing: Path,
    intake: Intake,
    jobs: list[Job],
    means: Means,
    held: list[int],
    tell: Tell = lambda _: None,
) -> Iterator[tuple[Job, list[Outcome] | Failure]]:
    """Land batches into `landing` and `intake`, several side by side in processes of their own.

    Yields each as it ends, with what became of its deliveries, and `tell`s how far those have come that have not ended.
    `held` are the descriptors of the regions' locks: a region stays locked until all who may commit in it have ended.
    Raises `BrokenProcessPool` when one of these processes was killed; none of them is left then.
    """
    if len(jobs) == 1:
        yield jobs[0], _landed(landing, intake, *jobs[0], *means, tell)
        return
    with Gauges(settings.data_home.spill, len(jobs)) as gauges:
        calls = [(landing, intake, *job, *means, gauges.of(place)) for place, job in enumerate(jobs)]
        told = side_by_side(_landed, calls, settings.workers, held, lambda running: tell(gauges.together(running)))
        for place, landed in told:
            yield jobs[place], landed
