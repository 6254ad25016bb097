"""Land the deliveries of one region that are taken in together."""

from __future__ import annotations

import gc
import time
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from identity.intake import Intake
from identity.keys import Keys
from identity.pseudonym import Pseudonymiser
from identity.sealing import Sealed
from ingestion import checks, corrections
from ingestion.checks import Checked, Checker, Level
from ingestion.contract import CORRECTIONS, Contract, Landing, load_contracts
from ingestion.corrections import Corrections
from ingestion.delivery import DeliveryRejectedError, DeliveryZip, Member
from ingestion.feed import STANDARD, Feed, load_feeds
from ingestion.gauges import Reading, Tell
from ingestion.landing import RECEIPT_FILES, RECEIPT_RULES, RECEIPTS, REJECTS, BatchWriter
from ingestion.mapping import LINE, Lookups, Plan, Routed, gathered, plan, routed, with_columns
from ingestion.ndjson import Engine, described
from ingestion.parts import Bundled, Part, Parts
from ingestion.readers import Description, lines_of, read_block
from ingestion.spool import HASH, Buckets
from ingestion.text import Header, Shape, decoded, sort_lines, split_cells
from ruam.settings import ZipLimits

FLUSH_ROWS = 50_000
"""Rows of one file that are checked together: many small members cost as little as one large one."""

WAITING_BYTES = 32 << 20
"""Text that may wait over all files, which bounds the memory of a batch whatever the size of its zips."""

TELL_SECONDS = 0.25
"""Between two words on how far a batch has come."""

MAPPED_FLUSH_ROWS = 25_000
"""The same for rows of a feed that is mapped, whose reader needs memory of its own."""

_IN_VAULT = {"name": "given", "lname": "surname", "birth": "birth_date", "mother": "mother_cid"}
"""Columns of PERSON that have another name in the vault."""

IDS_BYTES = 8 << 20
"""Hashes of ids, eight bytes each."""

SORTED_BYTES = 2 << 20
"""Text whose lines are sorted together; the work takes several times its size in memory."""

GRACE = timedelta(days=1)
"""A delivery made just after midnight by a clock that runs behind."""


@dataclass(frozen=True)
class Delivery:
    """A delivery whose sender is known."""

    delivery_id: str
    source: Path | Sealed
    file_name: str
    hospcode: str
    sent_at: datetime | None
    received_at: datetime
    n_bytes: int
    feed: str | None = None
    """The feed that the name announces, if any."""
    address: str = ""
    """Where it was found; empty for one that is taken from the inbox."""

    @property
    def not_after(self) -> date:
        """The last day of care that this delivery can hold: a visit cannot follow the making of its zip."""
        return ((self.sent_at or self.received_at) + GRACE).date()


@dataclass(frozen=True)
class Outcome:
    """What became of one delivery, for the summary; the receipt in the landing says more."""

    file_name: str
    hospcode: str | None
    outcome: str
    reason: str | None = None
    detail: str | None = None
    n_rows: int = 0
    n_landed: int = 0
    n_rejected: int = 0
    n_flagged: int = 0
    n_files: int = 0


Rejection = tuple[str, str, str | None]
"""A rejected delivery's id, name and reason."""

Registry = tuple[tuple[str, str], ...]
"""Every facility's HOSPCODE and its health region."""


@dataclass(slots=True)
class FileCount:
    """Receipt of one member and one file of the standard that its rows became.

    `first_line` is what was added to the member's own line numbers, so that the rows of several members of one file
    still differ; `n_out_of_scope` rows of the member have no place in the standard and are no rows of the file.
    """

    delivery: int
    file: str
    member: str
    feed: str
    description: Description
    first_line: int = 0
    n_rows: int = 0
    n_landed: int = 0
    n_rejected: int = 0
    n_flagged: int = 0
    n_out_of_scope: int = 0


_Numbers = npt.NDArray[np.int32]


@dataclass
class _Reading:
    """How far the reading of a part has come: its last line, and the columns it has."""

    part: Part
    with_ids: bool
    last_line: int = 0
    sent: set[str] = field(default_factory=set)


@dataclass
class _Waiting:
    """Text of one shape that waits for its turn: pieces of whole lines, each of one slot, with its lines' numbers."""

    texts: list[bytes] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)
    numbers: list[_Numbers] = field(default_factory=list)
    n_lines: int = 0

    def add(self, text: bytes, slot: int, numbers: _Numbers) -> None:
        self.texts.append(text)
        self.slots.append(slot)
        self.numbers.append(numbers)
        self.n_lines += len(numbers)

    def groups(self) -> Iterator[tuple[bytes, _Numbers, _Numbers]]:
        """The pieces put together to some `SORTED_BYTES`, and of each line its slot and number; they are let go."""
        at = 0
        while at < len(self.texts):
            past, size = at + 1, len(self.texts[at])
            while past < len(self.texts) and size + len(self.texts[past]) <= SORTED_BYTES:
                size += len(self.texts[past])
                past += 1
            numbers = self.numbers[at:past]
            slots = np.repeat(np.array(self.slots[at:past], np.int32), [len(piece) for piece in numbers])
            yield b"".join(self.texts[at:past]), slots, np.concatenate(numbers)
            self.texts[at:past] = [b""] * (past - at)
            at = past


@dataclass
class _FileWaiting:
    """What waits of one file, by shape."""

    shapes: dict[Shape, _Waiting] = field(default_factory=lambda: defaultdict(_Waiting))
    n_lines: int = 0
    n_bytes: int = 0


@lru_cache(maxsize=1)
def _pseudonymiser(keys: Keys) -> Pseudonymiser:
    """One for all batches of a process, so that it remembers the people it has seen."""
    return Pseudonymiser(keys)


@lru_cache(maxsize=1)
def _checkers(registry: Registry, keys: Keys) -> Callable[[Feed, str, str], Checker]:
    """Gives the checker of one feed, file and region; what it has worked out serves all batches of a process."""
    codes = frozenset(code for code, _ in registry)
    made: dict[tuple[str, str, str | None], Checker] = {}

    def checker(feed: Feed, file: str, region: str) -> Checker:
        key = (feed.feed, file, region if feed.rows_of == "region" else None)
        if key not in made:
            in_region = frozenset(code for code, its_region in registry if its_region == region)
            allowed = in_region if feed.rows_of == "region" else None
            made[key] = Checker(feed.contract(file), codes, _pseudonymiser(keys), allowed)
        return made[key]

    return checker


@lru_cache(maxsize=1)
def _corrections(registry: Registry, keys: Keys) -> Corrections:
    checker = _checkers(registry, keys)(load_feeds()[STANDARD], CORRECTIONS, "")
    return Corrections(checker, frozenset(code for code, _ in registry), _pseudonymiser(keys))


class Writer(Protocol):
    """Where the tables of a batch go."""

    def append(self, table: str, frame: pl.DataFrame) -> None:
        """Add rows to a table."""


class People(Protocol):
    """Where what is known of people goes (`identity.intake.IntakeWriter`)."""

    def people(self, records: pl.DataFrame) -> None: ...
    def numbers(self, p1: pl.Series) -> None: ...
    def withdrawals(self, keys: pl.DataFrame) -> None: ...


class _Nowhere:
    """Forgets all."""

    def append(self, table: str, frame: pl.DataFrame) -> None: ...
    def people(self, records: pl.DataFrame) -> None: ...
    def numbers(self, p1: pl.Series) -> None: ...
    def withdrawals(self, keys: pl.DataFrame) -> None: ...


class _Batch:
    """Collects rows over deliveries, checks them in large frames, and keeps the counts for the receipts.

    A row bears its *slot*: the place in `counts` of the member and file that it is counted under.
    """

    def __init__(
        self,
        writer: Writer,
        people: People,
        region: str,
        deliveries: list[Delivery],
        registry: Registry,
        keys: Keys,
        feeds: dict[str, Feed],
        spill: Path,
        tell: Tell = lambda _: None,
    ) -> None:
        self._tell = tell
        self._told_at = 0.0
        self._n_rows = self._n_rejected = 0
        self._writer = writer
        self._people = people
        self._spill = spill
        self._feeds = feeds
        self._region = region
        self._checker_of = _checkers(registry, keys)
        self._requests = _corrections(registry, keys)
        self._deliveries = deliveries
        self._pseudonymiser = _pseudonymiser(keys)
        self._waiting: dict[str, _FileWaiting] = defaultdict(_FileWaiting)
        self._waiting_bytes = 0
        self._rows: dict[tuple[str, str, tuple[str, ...]], list[pl.DataFrame]] = defaultdict(list)
        self._senders = pl.Series(checks.SENDER, [delivery.hospcode for delivery in deliveries])
        self._limits = pl.Series(checks.NOT_AFTER, [delivery.not_after for delivery in deliveries])
        self._ids = pl.Series("delivery_id", [delivery.delivery_id for delivery in deliveries])
        self._times = pl.Series("sent_at", [delivery.sent_at for delivery in deliveries], pl.Datetime("us"))
        self._delivery_of_slot = array("I")
        self.counts: list[FileCount] = []
        self.counts_of: dict[int, list[FileCount]] = defaultdict(list)
        """Those of each delivery, by its place."""
        self.rules: dict[tuple[int, str, str, str], int] = defaultdict(int)
        """Rows by slot, rule, column and level."""

    @cached_property
    def _engine(self) -> Engine:
        return Engine()

    def take(self, index: int, opened: DeliveryZip) -> None:
        first_slot = len(self.counts)
        if opened.feed.feed == STANDARD:
            n_bytes = 0
            for member in opened.members:
                self._take_member(index, opened, member)
                n_bytes += member.entry.info.packed_size
                self._say(index, n_bytes)
        else:
            self._take_mapped(index, opened)
            self._say(index + 1)
        for name in opened.ignored:
            self._note(first_slot, "ignored_member", name, 1)

    def _say(self, n_zips: int, n_bytes: int = 0) -> None:
        """Tell how far it has come: so many zips, and so many zipped bytes of the next."""
        now = time.monotonic()
        if now >= self._told_at + TELL_SECONDS:
            self._told_at = now
            n_bytes += sum([one.n_bytes for one in self._deliveries[:n_zips]])
            self._tell(Reading(n_zips, n_bytes, len(self.counts), self._n_rows, self._n_rejected))

    def _open_slot(self, count: FileCount) -> int:
        self.counts.append(count)
        self.counts_of[count.delivery].append(count)
        self._delivery_of_slot.append(count.delivery)
        return len(self.counts) - 1

    def _take_member(self, index: int, opened: DeliveryZip, member: Member) -> None:
        """A file of the standard: lines of many deliveries wait until there are enough to be split together."""
        count = FileCount(index, member.table, member.shown, STANDARD, Description())
        slot = self._open_slot(count)
        contract = opened.feed.contract(member.table)
        for lines in lines_of(opened, member, contract, count.description):
            header, text = lines.header, None
            if header and not header.fault:
                text = decoded(lines.block, opened.encoding(member), opened.limits)
            if header and text:
                count.description.encodings.add(text[1])
                numbers = np.arange(lines.first, lines.first + lines.n, dtype=np.int32)
                self._wait(slot, member.table, header, text[0], numbers)
            else:
                block = read_block(opened, member, lines, count.description)
                self._set_aside(slot, block.rejected)
                if header and len(block.lines):
                    self._wait(slot, member.table, header, block.text, block.lines)

    def _take_mapped(self, index: int, opened: DeliveryZip) -> None:
        """A delivery of another feed: table after table, so that each finds those it looks up."""
        feed, parts = opened.feed, Parts(opened, self._engine, self._spill)
        lookups = Lookups(feed, self._spill)
        for bundled in parts.bundled():
            self._count_bundled(index, feed, bundled)
        for table in feed.order():
            way, ids = plan(feed, table), Buckets(self._spill, IDS_BYTES)
            first_line = 0
            for part in parts.of(table):
                slots = self._open_slots(index, feed, table, part, first_line)
                reading = _Reading(part, with_ids=bool(slots and feed.tables[table].fields))
                joined = lookups.join(self._read_part(reading, table, way, lookups, ids, slots), way.steps)
                for block in gathered(joined, MAPPED_FLUSH_ROWS):
                    self._route(feed, way, table, block, reading.sent | lookups.sent, slots)
                first_line += reading.last_line
                for name, n in part.description.unknown_fields.items() if slots else ():
                    self._note(min(slots.values()), "unknown_field", name, n)
            if n_repeated := sum(_n_repeated(hashes) for hashes in ids.each()):
                self._note(min(slots.values()), "duplicate_id", "id", n_repeated)
        self.finish()

    def _read_part(
        self, reading: _Reading, table: str, way: Plan, lookups: Lookups, ids: Buckets, slots: dict[str, int]
    ) -> Iterator[pl.DataFrame]:
        """The rows of a part, as `way` wants them; what others look up is kept. None for a table of look-ups alone."""
        for block in gathered(self._sound_rows(reading, slots), MAPPED_FLUSH_ROWS):
            reading.sent |= set(block.columns)
            lookups.add(table, block)
            if reading.with_ids and "ID" in block.columns:
                ids.add(block.select(pl.col("ID").hash().alias(HASH)))
            if slots:
                yield with_columns(block, [*way.columns, LINE])

    def _sound_rows(self, reading: _Reading, slots: dict[str, int]) -> Iterator[pl.DataFrame]:
        """Rows that have columns; the others are set aside under the first of the part's files."""
        for rows in reading.part.rows:
            reading.last_line = max(reading.last_line, _last(rows.frame), _last(rows.rejected))
            if slots:
                self._set_aside(min(slots.values()), rows.rejected)
                self.counts[min(slots.values())].n_out_of_scope += rows.n_deleted
            if rows.frame.height:
                yield rows.frame

    def _open_slots(self, index: int, feed: Feed, table: str, part: Part, first_line: int) -> dict[str, int]:
        """Slot by file, for what the part's rows become; none for a table that was read for look-ups alone."""
        if feed.tables[table].of:
            return {}
        return {
            file: self._open_slot(FileCount(index, file, part.member, feed.feed, part.description, first_line))
            for file in feed.files_of(table)
        }

    def _route(
        self, feed: Feed, way: Plan, table: str, rows: pl.DataFrame, sent: set[str], slots: dict[str, int]
    ) -> None:
        """Collect what rows of a table become; the first of its files bears what becomes nothing."""
        main = min(slots.values())
        sender = self._deliveries[self.counts[main].delivery].hospcode
        mapped = routed(feed, way, table, rows, sent, sender, self._pseudonymiser)
        self._set_aside(main, mapped.rejected)
        self.counts[main].n_out_of_scope += mapped.n_left
        for result in mapped.files:
            self._collect_mapped(feed, slots[result.file], result)

    def _count_bundled(self, index: int, feed: Feed, bundled: Bundled) -> None:
        slot = self._open_slot(FileCount(index, bundled.table, bundled.member, feed.feed, described()))
        for rejected in bundled.rejected:
            self._set_aside(slot, rejected)
        for name, n in bundled.others.items():
            self.counts[slot].n_out_of_scope += n
            self._note(slot, "ignored_resource", name, n)

    def _note(self, slot: int, rule: str, name: str, n: int) -> None:
        """Count what is no fault of a row, but should be known."""
        self.rules[slot, rule, name, Level.NOTE] += n

    def _collect_mapped(self, feed: Feed, slot: int, result: Routed) -> None:
        count = self.counts[slot]
        count.n_rows += result.frame.height
        self._n_rows += result.frame.height
        frame = result.frame.select(
            *sorted(name for name in result.frame.columns if name != "source_line"),
            (pl.col("source_line") + count.first_line).cast(pl.Int32),
            pl.lit(slot, pl.Int32).alias(checks.SLOT),
        )
        self._collect(feed.feed, result.file, frame)

    def _set_aside(self, slot: int, lines: pl.DataFrame) -> None:
        """Rows of a slot (`source_line, rule`, the member's own lines) rejected before they had columns."""
        if not lines.is_empty():
            line = pl.col("source_line") + self.counts[slot].first_line
            self._set_all_aside(lines.with_columns(line.cast(pl.Int32), pl.lit(slot, pl.Int32).alias(checks.SLOT)))

    def _set_all_aside(self, lines: pl.DataFrame) -> None:
        """The same for rows that bear their slot, and the line by which they are counted in the file."""
        self._n_rows += lines.height
        self._n_rejected += lines.height
        for slot, n in checks.tally(lines[checks.SLOT]):
            self.counts[slot].n_rows += n
            self.counts[slot].n_rejected += n
        for slot, rule, n in lines.group_by(checks.SLOT, "rule").len().iter_rows():
            self.rules[slot, rule, "", Level.ROW] += n
        unknown = (pl.lit(None, pl.String).alias(name) for name in ("column_name", "masked_value"))
        self._append_rejects(lines.with_columns(unknown))

    def _wait(self, slot: int, file: str, header: Header, text: bytes, numbers: npt.NDArray[np.int32]) -> None:
        waiting = self._waiting[file]
        waiting.shapes[header.shape].add(text, slot, numbers)
        waiting.n_lines += len(numbers)
        waiting.n_bytes += len(text)
        self._waiting_bytes += len(text)
        if waiting.n_lines >= FLUSH_ROWS:
            self._flush(file)
        elif self._waiting_bytes >= WAITING_BYTES:
            # The largest alone: each frame costs some milliseconds however small it is, so the others wait for more.
            self._flush(max(self._waiting, key=lambda one: self._waiting[one].n_bytes))

    def _flush(self, file: str) -> None:
        """Check what waits of a file of the standard."""
        waiting = self._waiting.pop(file)
        self._waiting_bytes -= waiting.n_bytes
        while waiting.shapes:
            self._split(file, *waiting.shapes.popitem())
        for key in [key for key in self._rows if key[:2] == (STANDARD, file)]:
            self._check(STANDARD, file, self._rows.pop(key))

    def _split(self, file: str, shape: Shape, waiting: _Waiting) -> None:
        """Split the waiting lines of one shape into columns; rows with the same columns are checked together."""
        texts, all_slots, all_numbers = [], [], []
        for text, slots, numbers in waiting.groups():
            lines = sort_lines(text, shape.n_cells)
            bad = np.flatnonzero(lines.rules)
            if len(bad):
                self._set_all_aside(lines.rejected(numbers).with_columns(pl.Series(checks.SLOT, slots[bad])))
            texts.append(lines.text)
            all_slots.append(slots[lines.kept])
            all_numbers.append(numbers[lines.kept])
        slots, numbers = np.concatenate(all_slots), np.concatenate(all_numbers)
        if not len(slots):
            return
        self._n_rows += len(slots)
        for slot, n in checks.tally(pl.Series(slots)):
            self.counts[slot].n_rows += n
        frame = split_cells(b"".join(texts), shape.positions, shape.n_cells)
        if frame.height != len(slots):
            raise RuntimeError(f"{file}: {len(slots)} lines came, {frame.height} rows were read")
        places = [pl.Series("source_line", numbers), pl.Series(checks.SLOT, slots)]
        self._collect(STANDARD, file, frame[sorted(frame.columns)].hstack(places))

    def _collect(self, feed: str, file: str, frame: pl.DataFrame) -> None:
        key = (feed, file, tuple(frame.columns))
        rows = self._rows[key]
        rows.append(frame)
        if sum(one.height for one in rows) >= (FLUSH_ROWS if feed == STANDARD else MAPPED_FLUSH_ROWS):
            self._check(feed, file, self._rows.pop(key))

    def _check(self, feed: str, file: str, frames: list[pl.DataFrame]) -> None:
        # In one piece: pieces of unlike length are put together anew for each step.
        raw = pl.concat(frames).rechunk()
        delivery = self._deliveries_of(raw)
        checker = self._checker_of(self._feeds[feed], file, self._region)
        raw = raw.hstack([self._senders.gather(delivery), self._limits.gather(delivery)])
        if file == CORRECTIONS:
            checked, withdrawn = self._requests.check(raw)
            self._append_withdrawals(withdrawn.with_columns(self._ids.gather(self._deliveries_of(withdrawn))))
        else:
            checked = checker.check(raw)
        if checked.landed.height + checked.rejected.height != raw.height:
            raise RuntimeError(
                f"{file}: {raw.height} rows came, {checked.landed.height} + {checked.rejected.height} left"
            )
        self._count(checked)
        landed = checked.landed.hstack([self._ids.gather(self._deliveries_of(checked.landed))])
        self._writer.append(checker.contract.table, landed[list(checks.landing_schema(checker.contract))])
        self._keep_people(checker.contract, landed)
        if not checked.rejected.is_empty():
            self._append_rejects(checked.rejected)

    def _keep_people(self, contract: Contract, landed: pl.DataFrame) -> None:
        """Hand over whom the landed rows are of: in the landing itself that cannot be told any more."""
        numbers = [column.name.lower() for column in contract.columns if column.landing is Landing.PSEUDONYM]
        for name in numbers:
            self._people.numbers(landed[f"{checks.VAULT}{name}_p1"])
        if contract.vault:
            self._people.people(
                landed.select(
                    *(pl.col(f"{checks.VAULT}{name}").alias(_IN_VAULT.get(name, name)) for name in contract.vault),
                    pl.col(f"{checks.VAULT}cid_p1").alias("linkage_pseudonym"),
                    pl.col(f"{checks.VAULT}mother_p1").alias("mother_linkage_pseudonym"),
                    "cid_class",
                    "delivery_id",
                    self._times.gather(self._deliveries_of(landed)),
                    "source_line",
                )
            )

    def _append_withdrawals(self, withdrawn: pl.DataFrame) -> None:
        if not withdrawn.is_empty():
            of_people = pl.col("file").is_in([name for name, contract in load_contracts().items() if contract.vault])
            self._people.withdrawals(withdrawn.filter(of_people).select("hospcode", "pid", "d_update"))
            self._writer.append(corrections.TABLE, withdrawn.select(*corrections.withdrawals_schema()))

    def _deliveries_of(self, rows: pl.DataFrame) -> pl.Series:
        """The place of each row's delivery."""
        return pl.Series(np.frombuffer(self._delivery_of_slot.tobytes(), np.uint32)[rows[checks.SLOT].to_numpy()])

    def _append_rejects(self, rejected: pl.DataFrame) -> None:
        """Write down rows (`_slot, source_line, column_name, rule, masked_value`), each with the member's own line."""
        slots = rejected[checks.SLOT].unique().sort()
        counts = [self.counts[slot] for slot in slots]
        origins = pl.DataFrame(
            {
                checks.SLOT: slots,
                "delivery_id": [self._deliveries[count.delivery].delivery_id for count in counts],
                "hospcode": [self._deliveries[count.delivery].hospcode for count in counts],
                "file": [count.file for count in counts],
                "member": [count.member for count in counts],
                "first_line": pl.Series([count.first_line for count in counts], dtype=pl.Int32),
            }
        )
        own_line = (pl.col("source_line") - pl.col("first_line")).alias("source_line")
        for part in rejected.iter_slices(FLUSH_ROWS):
            records = part.join(origins, on=checks.SLOT).with_columns(own_line)
            self._writer.append("rejects", records.select(*REJECTS))

    def _count(self, checked: Checked) -> None:
        slots = checked.landed[checks.SLOT]
        for slot, n in checks.tally(slots):
            self.counts[slot].n_landed += n
        for slot, n in checks.tally(slots.filter(checked.landed["row_flags"].is_not_null())):
            self.counts[slot].n_flagged += n
        self._n_rejected += checked.rejected.height
        for slot, n in checks.tally(checked.rejected[checks.SLOT]):
            self.counts[slot].n_rejected += n
        for slot, rule, column, level, n in checked.findings:
            self.rules[slot, rule, column, level] += n

    def finish(self) -> None:
        """Check all that waits."""
        for file in list(self._waiting):
            self._flush(file)
        while self._rows:
            (feed, file, _), frames = self._rows.popitem()
            self._check(feed, file, frames)


def _n_repeated(hashes: Iterator[pl.DataFrame]) -> int:
    """How many values of `HASH` stood before."""
    found = pl.concat([pl.DataFrame(schema={HASH: pl.UInt64()}), *hashes])[HASH]
    return len(found) - found.n_unique()


def _last(rows: pl.DataFrame) -> int:
    """The greatest line among the rows, 0 when there are none."""
    return int(rows.select(pl.col("source_line").max().fill_null(0)).item())


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without looking for cycles of garbage: of a day's batch nearly all objects live to its end, there are a million
    of them, and to look through them again and again costs a twelfth of reading small zips."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def land_batch(
    landing: Path,
    intake: Intake,
    region: str,
    batch: str,
    deliveries: list[Delivery],
    registry: Registry,
    keys: Keys,
    limits: ZipLimits,
    spill: Path,
    known_rejections: frozenset[Rejection] = frozenset(),
    extra_feeds: Path | None = None,
    tell: Tell = lambda _: None,
) -> list[Outcome]:
    """Land `deliveries` of one region as one batch, receipts inside, and say what became of each.

    Whose rows they are goes to the `intake` of the vault, which is complete before the batch is committed.

    A delivery that cannot be read is recorded as rejected and does not hold up the others. `known_rejections` are
    not recorded again, and a batch of them alone is not committed. `extra_feeds` is the folder of the feeds that are
    not built in, `spill` that of what memory cannot hold. While it reads, it `tell`s how far it has come.
    """
    with _uncollected(), BatchWriter(landing, region, batch) as writer, intake.writer(region, batch) as people:
        work = _Batch(writer, people, region, deliveries, registry, keys, load_feeds(extra_feeds), spill, tell)
        rejected: dict[int, DeliveryRejectedError] = {}
        for index, delivery in enumerate(deliveries):
            try:
                with DeliveryZip(delivery.source, limits, delivery.feed, extra_feeds) as opened:
                    work.take(index, opened)
            except DeliveryRejectedError as error:
                # The words alone: what was raised holds on to all that had been read of the delivery.
                rejected[index] = DeliveryRejectedError(error.rule, error.message)
        work.finish()
        outcomes = [_outcome(work, index, delivery, rejected.get(index)) for index, delivery in enumerate(deliveries)]
        if not all(rejection(*pair) in known_rejections for pair in zip(deliveries, outcomes, strict=True)):
            _write_receipts(writer, work, deliveries, outcomes, keys, known_rejections)
            people.seal()
            writer.commit()
    return outcomes


def read_again(
    delivery: Delivery,
    region: str,
    registry: Registry,
    keys: Keys,
    limits: ZipLimits,
    spill: Path,
    extra_feeds: Path | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What the receipts of a delivery's files and rules would tell (`RECEIPT_FILES`, `RECEIPT_RULES`); nothing lands.

    Raises `DeliveryRejectedError`.
    """
    feeds = load_feeds(extra_feeds)
    work = _Batch(_Nowhere(), _Nowhere(), region, [delivery], registry, keys, feeds, spill)
    with DeliveryZip(delivery.source, limits, delivery.feed, extra_feeds) as opened:
        work.take(0, opened)
    work.finish()
    return _file_records(work, [delivery]), _rule_records(work, [delivery])


def rejection(delivery: Delivery, outcome: Outcome) -> Rejection | None:
    """What tells one rejection from another, or None for a delivery that was not rejected."""
    return (delivery.delivery_id, delivery.file_name, outcome.reason) if outcome.outcome == "rejected" else None


def _outcome(work: _Batch, index: int, delivery: Delivery, error: DeliveryRejectedError | None) -> Outcome:
    if error:
        return Outcome(delivery.file_name, delivery.hospcode, "rejected", error.rule, error.message)
    counts = work.counts_of[index]
    for count in counts:
        if count.n_rows != count.n_landed + count.n_rejected:
            raise RuntimeError(f"{delivery.file_name}: rows of {count.member} do not balance: {count}")
    n_rejected = sum([count.n_rejected for count in counts])
    return Outcome(
        delivery.file_name,
        delivery.hospcode,
        "accepted_with_rejects" if n_rejected else "accepted",
        n_rows=sum([count.n_rows for count in counts]),
        n_landed=sum([count.n_landed for count in counts]),
        n_rejected=n_rejected,
        n_flagged=sum([count.n_flagged for count in counts]),
        n_files=len(counts),
    )


def receipt(delivery: Delivery, outcome: Outcome, key_id: str) -> dict[str, object]:
    """One row of `receipts.parquet`."""
    return {
        "delivery_id": delivery.delivery_id,
        "file_name": delivery.file_name,
        "hospcode": delivery.hospcode or None,
        "sent_at": delivery.sent_at,
        "received_at": delivery.received_at,
        "outcome": outcome.outcome,
        "reason": outcome.reason,
        "detail": outcome.detail,
        "key_id": key_id,
        "n_bytes": delivery.n_bytes,
        "n_rows": outcome.n_rows,
        "n_landed": outcome.n_landed,
        "n_rejected": outcome.n_rejected,
        "n_flagged": outcome.n_flagged,
    }


def _write_receipts(
    writer: BatchWriter,
    work: _Batch,
    deliveries: list[Delivery],
    outcomes: list[Outcome],
    keys: Keys,
    known: frozenset[Rejection],
) -> None:
    pairs = [pair for pair in zip(deliveries, outcomes, strict=True) if rejection(*pair) not in known]
    writer.append("receipts", pl.DataFrame([receipt(d, o, keys.key_id) for d, o in pairs], schema=RECEIPTS))
    writer.append("receipt_files", _file_records(work, deliveries))
    writer.append("receipt_rules", _rule_records(work, deliveries))


def _file_records(work: _Batch, deliveries: list[Delivery]) -> pl.DataFrame:
    files = [  # In the order of RECEIPT_FILES: a day has a quarter of a million.
        (
            deliveries[count.delivery].delivery_id,
            deliveries[count.delivery].hospcode,
            count.file,
            count.member,
            count.feed,
            count.description.layout,
            count.description.header,
            "+".join(sorted(count.description.encodings)) or None,
            count.first_line,
            count.n_rows,
            count.n_landed,
            count.n_rejected,
            count.n_flagged,
            count.n_out_of_scope,
            ",".join(count.description.missing) or None,
            ",".join(count.description.unknown) or None,
        )
        for count in work.counts
    ]
    return pl.DataFrame(files, schema=RECEIPT_FILES, orient="row")


def _rule_records(work: _Batch, deliveries: list[Delivery]) -> pl.DataFrame:
    rules = [  # In the order of RECEIPT_RULES: a day has even more.
        (
            deliveries[work.counts[slot].delivery].delivery_id,
            deliveries[work.counts[slot].delivery].hospcode,
            work.counts[slot].file,
            rule,
            column or None,
            str(level),
            n,
        )
        for (slot, rule, column, level), n in work.rules.items()
    ]
    return pl.DataFrame(rules, schema=RECEIPT_RULES, orient="row")
