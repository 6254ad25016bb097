"""Land the deliveries of one region that are taken in together."""

from __future__ import annotations

import multiprocessing
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from identity.keys import Keys
from identity.pseudonym import Pseudonymiser
from ingestion import checks
from ingestion.checks import Checked, Checker, Level
from ingestion.contract import load_contracts
from ingestion.delivery import DeliveryRejectedError, DeliveryZip, Member
from ingestion.landing import RECEIPT_FILES, RECEIPT_RULES, RECEIPTS, BatchWriter
from ingestion.text import UTF8_BOM, Block, Header, read_header, read_lines, rejected_lines, split_cells, to_utf8
from ruam.errors import BusyError
from ruam.settings import ZipLimits

FLUSH_ROWS = 100_000
"""Rows of one file that are checked together: many small members cost as little as one large one."""

WAITING_BYTES = 64 << 20
"""Text that may wait over all files, which bounds the memory of a batch whatever the size of its zips."""

GRACE = timedelta(days=1)
"""A delivery made just after midnight by a clock that runs behind."""


@dataclass(frozen=True)
class Delivery:
    """A delivery whose sender is known."""

    delivery_id: str
    path: Path
    file_name: str
    hospcode: str
    sent_at: datetime | None
    received_at: datetime
    n_bytes: int

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


Rejection = tuple[str, str, str | None]
"""A rejected delivery's id, name and reason."""


@dataclass
class _FileCount:
    """Receipt of one file of one delivery."""

    member: str
    layout: str
    header: bool
    missing: list[str]
    unknown: list[str]
    encodings: set[str] = field(default_factory=set)
    n_rows: int = 0
    n_landed: int = 0
    n_rejected: int = 0
    n_flagged: int = 0


_Shape = tuple[str, tuple[tuple[str, int], ...], int]
"""A file, where its columns stand, and how many cells a line has: members of one shape are split together."""


@dataclass
class _Waiting:
    """Lines of one shape that wait for their turn."""

    texts: list[bytes] = field(default_factory=list)
    lines: list[npt.NDArray[np.int32]] = field(default_factory=list)
    deliveries: list[npt.NDArray[np.int32]] = field(default_factory=list)
    n_rows: int = 0


@cache
def _checkers(hospcodes: tuple[str, ...], keys: Keys) -> dict[str, Checker]:
    registry, pseudonymiser = pl.Series(hospcodes, dtype=pl.String), Pseudonymiser(keys)
    return {name: Checker(contract, registry, pseudonymiser) for name, contract in load_contracts().items()}


class _Batch:
    """Collects rows over deliveries, checks them in large frames, and keeps the counts for the receipts."""

    def __init__(self, writer: BatchWriter, checkers: dict[str, Checker], deliveries: list[Delivery]) -> None:
        self._writer = writer
        self._checkers = checkers
        self._deliveries = deliveries
        self._ids = pl.Series("delivery_id", [delivery.delivery_id for delivery in deliveries])
        self._senders = pl.Series(checks.SENDER, [delivery.hospcode for delivery in deliveries])
        self._limits = pl.Series(checks.NOT_AFTER, [delivery.not_after for delivery in deliveries])
        self._waiting: dict[_Shape, _Waiting] = defaultdict(_Waiting)
        self._waiting_bytes = 0
        self._rows: dict[tuple[str, tuple[str, ...]], list[pl.DataFrame]] = defaultdict(list)
        self.files: dict[tuple[int, str], _FileCount] = {}
        self.rules: dict[tuple[int, str, str, str, str], int] = defaultdict(int)

    def take(self, index: int, opened: DeliveryZip) -> None:
        for member in opened.members:
            self._take_member(index, opened, member)

    def _take_member(self, index: int, opened: DeliveryZip, member: Member) -> None:
        contract = self._checkers[member.file].contract
        header: Header | None = None
        count = _FileCount(member.name, "empty", header=False, missing=[], unknown=[])
        self.files[index, member.file] = count
        line, begun = 1, False
        for block in opened.blocks(member):
            if not begun:
                text = block.removeprefix(UTF8_BOM)
                block = text.lstrip(b"\n")
                line += len(text) - len(block)
                if not block:
                    continue
                begun = True
                header = read_header(_first_line(block), contract, opened.limits)
                if header:
                    count.layout, count.header = header.layout, header.is_header
                    count.missing, count.unknown = header.missing, header.unknown
                    if header.is_header:
                        block, line = block[block.index(b"\n") + 1 :], line + 1
            if header is None:
                self._set_aside(index, member.file, rejected_lines(block, line, "unknown_layout"))
            elif block:
                lines = read_lines(block, header, line, opened.encoding(member), opened.limits)
                count.encodings.add(lines.encoding)
                self._add(index, member, header, lines)
            line += block.count(b"\n")

    def _set_aside(self, index: int, file: str, lines: pl.DataFrame) -> None:
        """Rows rejected before they had columns."""
        if lines.is_empty():
            return
        delivery, count = self._deliveries[index], self.files[index, file]
        count.n_rows += lines.height
        count.n_rejected += lines.height
        for rule, n in lines["rule"].value_counts().iter_rows():
            self.rules[index, file, rule, "", Level.ROW] += n
        for part in lines.iter_slices(FLUSH_ROWS):
            records = part.select(
                pl.lit(delivery.delivery_id).alias("delivery_id"),
                pl.lit(delivery.hospcode).alias("hospcode"),
                pl.lit(file).alias("file"),
                pl.lit(count.member).alias("member"),
                "source_line",
                pl.lit(None, pl.String).alias("column_name"),
                "rule",
                pl.lit(None, pl.String).alias("masked_value"),
            )
            self._writer.append("rejects", records)

    def _add(self, index: int, member: Member, header: Header, block: Block) -> None:
        self._set_aside(index, member.file, block.rejected)
        if not len(block.lines):
            return
        self.files[index, member.file].n_rows += len(block.lines)
        key = (member.file, tuple(header.positions.items()), header.n_cells)
        waiting = self._waiting[key]
        waiting.texts.append(block.text)
        waiting.lines.append(block.lines)
        waiting.deliveries.append(np.full(len(block.lines), index, np.int32))
        waiting.n_rows += len(block.lines)
        self._waiting_bytes += len(block.text)
        if self._waiting_bytes >= WAITING_BYTES:
            self.finish()
        elif waiting.n_rows >= FLUSH_ROWS:
            self._split(key)

    def _split(self, shape: _Shape) -> None:
        """Split the waiting lines of one shape into columns; rows with the same columns are checked together."""
        file, positions, n_cells = shape
        waiting = self._waiting.pop(shape)
        frame = split_cells(b"".join(waiting.texts), dict(positions), n_cells)
        if frame.height != waiting.n_rows:
            raise RuntimeError(f"{file}: {waiting.n_rows} lines came, {frame.height} rows were read")
        frame = frame.select(
            *sorted(frame.columns),
            pl.Series("source_line", np.concatenate(waiting.lines)),
            pl.Series(checks.DELIVERY, np.concatenate(waiting.deliveries)),
        )
        rows = self._rows[file, tuple(frame.columns)]
        rows.append(frame)
        if sum(one.height for one in rows) >= FLUSH_ROWS:
            self._check(file, pl.concat(self._rows.pop((file, tuple(frame.columns)))))

    def _check(self, file: str, raw: pl.DataFrame) -> None:
        index = raw[checks.DELIVERY]
        raw = raw.with_columns(self._senders.gather(index), self._limits.gather(index))
        checked = self._checkers[file].check(raw)
        if checked.landed.height + checked.rejected.height != raw.height:
            raise RuntimeError(
                f"{file}: {raw.height} rows came, {checked.landed.height} + {checked.rejected.height} left"
            )
        self._count(file, checked)
        landed = checked.landed.with_columns(self._ids.gather(checked.landed[checks.DELIVERY]))
        contract = self._checkers[file].contract
        self._writer.append(contract.table, landed.select(*checks.landing_schema(contract)))
        if not checked.rejected.is_empty():
            self._writer.append("rejects", self._reject_records(file, checked.rejected))

    def _reject_records(self, file: str, rejected: pl.DataFrame) -> pl.DataFrame:
        deliveries = pl.DataFrame(
            [(i, d.delivery_id, d.hospcode, self._member(i, file)) for i, d in enumerate(self._deliveries)],
            schema={
                checks.DELIVERY: pl.Int32,
                "delivery_id": pl.String,
                "hospcode": pl.String,
                "member": pl.String,
            },
            orient="row",
        )
        return rejected.join(deliveries, on=checks.DELIVERY).select(
            "delivery_id",
            "hospcode",
            pl.lit(file).alias("file"),
            "member",
            "source_line",
            "column_name",
            "rule",
            "masked_value",
        )

    def _member(self, index: int, file: str) -> str | None:
        count = self.files.get((index, file))
        return count.member if count else None

    def _count(self, file: str, checked: Checked) -> None:
        landed = checked.landed.group_by(checks.DELIVERY).agg(pl.len(), pl.col("row_flags").count().alias("flagged"))
        for index, n, flagged in landed.iter_rows():
            self.files[index, file].n_landed += n
            self.files[index, file].n_flagged += flagged
        for index, n in checked.rejected.group_by(checks.DELIVERY).agg(pl.len()).iter_rows():
            self.files[index, file].n_rejected += n
        for index, rule, column, level, n in checked.findings.iter_rows():
            self.rules[index, file, rule, column, level] += n

    def finish(self) -> None:
        """Check all that waits."""
        for shape in list(self._waiting):
            self._split(shape)
        while self._rows:
            (file, _), frames = self._rows.popitem()
            self._check(file, pl.concat(frames))
        self._waiting_bytes = 0


def _first_line(block: bytes) -> str:
    line = block[: block.index(b"\n")]
    try:
        return to_utf8(line)[0].decode("utf-8")
    except ValueError:
        return line.decode("ascii", errors="replace")


def land_batch(
    landing: Path,
    region: str,
    batch: str,
    deliveries: list[Delivery],
    hospcodes: tuple[str, ...],
    keys: Keys,
    limits: ZipLimits,
    known_rejections: frozenset[Rejection] = frozenset(),
) -> list[Outcome]:
    """Land `deliveries` of one region as one batch, receipts inside, and say what became of each.

    A delivery that cannot be read is recorded as rejected and does not hold up the others. `known_rejections` are
    not recorded again, and a batch of them alone is not committed.
    """
    with BatchWriter(landing, region, batch) as writer:
        work = _Batch(writer, _checkers(hospcodes, keys), deliveries)
        rejected: dict[int, DeliveryRejectedError] = {}
        for index, delivery in enumerate(deliveries):
            try:
                with DeliveryZip(delivery.path, limits) as opened:
                    work.take(index, opened)
            except DeliveryRejectedError as error:
                rejected[index] = error
        work.finish()
        outcomes = [_outcome(work, index, delivery, rejected.get(index)) for index, delivery in enumerate(deliveries)]
        if not all(rejection(*pair) in known_rejections for pair in zip(deliveries, outcomes, strict=True)):
            if _is_orphan():
                raise BusyError("The ingest that began this batch has ended; the next one takes the deliveries in.")
            _write_receipts(writer, work, deliveries, outcomes, keys, known_rejections)
            writer.commit()
    return outcomes


def _is_orphan() -> bool:
    """Whether this is a worker whose ingest was killed: its region's lock is gone, and another may land there now."""
    parent = multiprocessing.parent_process()
    return parent is not None and not parent.is_alive()


def rejection(delivery: Delivery, outcome: Outcome) -> Rejection | None:
    """What tells one rejection from another, or None for a delivery that was not rejected."""
    return (delivery.delivery_id, delivery.file_name, outcome.reason) if outcome.outcome == "rejected" else None


def _outcome(work: _Batch, index: int, delivery: Delivery, error: DeliveryRejectedError | None) -> Outcome:
    if error:
        return Outcome(delivery.file_name, delivery.hospcode, "rejected", error.rule, error.message)
    counts = [count for (at, _), count in work.files.items() if at == index]
    totals = {
        name: sum(getattr(count, name) for count in counts)
        for name in ("n_rows", "n_landed", "n_rejected", "n_flagged")
    }
    for count in counts:
        if count.n_rows != count.n_landed + count.n_rejected:
            raise RuntimeError(f"{delivery.file_name}: rows of {count.member} do not balance: {count}")
    outcome = "accepted_with_rejects" if totals["n_rejected"] else "accepted"
    return Outcome(delivery.file_name, delivery.hospcode, outcome, **totals)


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
    files = [
        {
            "delivery_id": deliveries[index].delivery_id,
            "hospcode": deliveries[index].hospcode,
            "file": file,
            "member": count.member,
            "layout": count.layout,
            "header": count.header,
            "encoding": "+".join(sorted(count.encodings)) or None,
            "n_rows": count.n_rows,
            "n_landed": count.n_landed,
            "n_rejected": count.n_rejected,
            "n_flagged": count.n_flagged,
            "missing_columns": ",".join(count.missing) or None,
            "unknown_columns": ",".join(count.unknown) or None,
        }
        for (index, file), count in work.files.items()
    ]
    writer.append("receipt_files", pl.DataFrame(files, schema=RECEIPT_FILES))
    rules = [
        {
            "delivery_id": deliveries[index].delivery_id,
            "hospcode": deliveries[index].hospcode,
            "file": file,
            "rule": rule,
            "column_name": column or None,
            "level": str(level),
            "n_rows": n,
        }
        for (index, file, rule, column, level), n in work.rules.items()
    ]
    writer.append("receipt_rules", pl.DataFrame(rules, schema=RECEIPT_RULES))
