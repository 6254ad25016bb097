"""What a facility is told of one delivery: what became of it, what is wrong in which row, and how to mend it.

One content, whatever form it is given: `Report` is the JSON as it stands, and `quality.workbook` writes the same into
an Excel workbook. Rows are shown to their own sender alone, and nobody in them can be told (`ingestion.sent`).
"""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from ingestion import history
from ingestion.contract import load_contracts
from ingestion.feed import STANDARD
from ingestion.inbox import inbox_key, sealed
from ingestion.landing import RECORDS, utc_now
from ingestion.names import shown_name
from ingestion.quarantine import announced_by, list_members
from ingestion.sent import FAULTS, is_kept, reading_faults, sent_rows
from quality.wording import Wording, wording
from ruam import stewards
from ruam.errors import UsageError
from ruam.home import DataHome
from ruam.plain import plain
from ruam.publish import current
from ruam.settings import Settings

VERSION = "ruam.report/1"
COUNTS = ("n_rows", "n_landed", "n_rejected", "n_flagged")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Facility(_Strict):
    hospcode: str
    name: str | None = Field(description="Thai name in the registry; null when the registry does not know the code.")
    province: str | None


class Sent(_Strict):
    """The delivery, and what became of it."""

    delivery_id: str = Field(description="SHA-256 of the zip.")
    file_name: str
    sent_at: datetime | None = Field(description="Time in the zip's name, Thai time.")
    received_at: datetime = Field(description="UTC.")
    outcome: Literal["accepted", "accepted_with_rejects", "rejected"]
    reason: str | None = Field(description="The rule for which the whole delivery was rejected.")
    detail: str | None
    members: list[str] = Field(description="What the zip holds, of a delivery that was rejected.")
    n_rows: int | None = Field(description="Rows sent = landed + rejected; null when the delivery was rejected.")
    n_landed: int | None
    n_rejected: int | None
    n_flagged: int | None


class Fault(_Strict):
    """One rule that a row breaks."""

    rule: str
    kind: Literal["set_aside", "kept_with_flag", "standing"] = Field(
        description="set_aside: the row was not taken in; kept_with_flag: it was, and the value was emptied or is to "
        "be looked at; standing: it does not fit other rows, files or facilities."
    )
    column: str | None
    state: Literal["opened", "still_open", "came_back"] | None = Field(
        description="Null where no build has looked since the delivery came."
    )
    first_opened_at: datetime | None
    finding_key: str | None = Field(description="The finding over deliveries, as `ruam findings` names it.")


class Row(_Strict):
    line: int | None = Field(description="Its line in the member, the header being 1.")
    record: str | None = Field(description="The row's key within its file, of a row that stands.")
    sent: dict[str, str | None] | None = Field(
        description="The columns as they were sent, people masked; null where they cannot be shown."
    )
    faults: list[Fault] = Field(min_length=1)


class File(_Strict):
    file: str
    label_th: str
    member: str | None
    n_rows: int
    n_landed: int
    n_rejected: int
    n_flagged: int
    rows: list[Row]


class BrokenRule(Wording):
    """A rule that this delivery breaks, and in how many rows of which files."""

    n_rows: int | None = Field(description="Null when the whole delivery was rejected.")
    files: list[str]


class Drift(Wording):
    """A month of the facility that lies outside what its own history lets expect, and still does."""

    month: date | None = Field(description="Its first day.")
    file: str | None = Field(description="The file of the standard to look at first.")
    detail: str | None = Field(
        description="Each number or share that lies above (↑) or below (↓) its limits, which stand in brackets."
    )
    state: Literal["opened", "still_open", "came_back"]
    first_opened_at: datetime
    finding_key: str = Field(description="The finding over deliveries, as `ruam findings` names it.")


class Standing(_Strict):
    """Findings of the facility as a whole, over all that it has sent, when it was last looked."""

    as_of: datetime | None = Field(description="UTC; null when nothing was published yet.")
    includes_delivery: bool = Field(description="Whether this delivery had come by then.")
    n_opened: int = 0
    n_still_open: int = 0
    n_came_back: int = 0
    n_fixed: int = 0
    n_accepted: int = Field(default=0, description="Of those open: looked at and found to be true.")


class Report(_Strict):
    """The report on one delivery to its sender."""

    version: Literal["ruam.report/1"] = VERSION  # type: ignore[assignment]
    made_at: datetime = Field(description="UTC.")
    facility: Facility
    delivery: Sent
    standing: Standing
    drifts: list[Drift] = Field(
        description="Months that differ from the facility's own history, of all that it has sent, the newest first."
    )
    rules: list[BrokenRule] = Field(description="The gravest first: of the delivery, of rows set aside, then by rows.")
    files: list[File] = Field(description="Every file that was sent, also those in which nothing is wrong.")
    are_rows_shown: bool = Field(
        description="False when the zip is kept no longer, or its rows are not rows of the 43 files."
    )


def choose(home: DataHome, hospcode: str, prefix: str | None = None) -> str:
    """Id of a delivery of the facility: the one whose id begins with `prefix`, or the newest by the time in its name.

    Raises `UsageError` for a facility that is unknown or sent nothing, and for a delivery that is not its own.
    """
    history.check_sender(home, hospcode)
    came = history.find_delivery(home, prefix) if prefix else history.deliveries(home)
    own = came.filter(pl.col("hospcode") == hospcode)
    if own.is_empty():
        said = f"{prefix} is no delivery of {hospcode}" if prefix else f"Nothing came from {hospcode}"
        raise UsageError(
            f"{said}: there is nothing to report. `ruam deliveries --hospcode {hospcode}` lists what came."
        )
    newest = own.sort(pl.coalesce("sent_at", "received_at"), "received_at", descending=True)
    return str(newest["delivery_id"][0])


@dataclass(frozen=True)
class Sources:
    """What reports on some deliveries are made of, read at once."""

    receipts: Mapping[str, pl.DataFrame]
    """By delivery: its rows of `history.deliveries`."""
    files: Mapping[str, pl.DataFrame]
    """By delivery: its rows of `history.files_of`."""
    faults: Mapping[str, pl.DataFrame]
    """By delivery: what reading found (`FAULTS`)."""
    histories: Mapping[str, pl.DataFrame]
    """By facility: all its findings at the last publication (`_HISTORY`)."""
    built: frozenset[str]
    """Deliveries that had come when that was built."""
    published_at: datetime | None
    """None when nothing was published for stewards yet."""


def gather(home: DataHome, wanted: Collection[tuple[str, str]], came: pl.DataFrame | None = None) -> Sources:
    """What reports on the `wanted` facilities and deliveries are made of: each table is read once for all of them.

    `came` is `history.deliveries`, where the caller has it.
    """
    all_receipts = history.deliveries(home) if came is None else came
    asked = pl.DataFrame(list(wanted), schema={"hospcode": pl.String(), "delivery_id": pl.String()}, orient="row")
    receipts = all_receipts.join(asked, on=["hospcode", "delivery_id"], how="semi", maintain_order="left")
    taken = receipts.filter(pl.col("outcome").is_in(history.ACCEPTED))
    pointer = current(home) if stewards.current_file(home) else None
    told = stewards.findings_of(home, set(asked["hospcode"]), tuple(_HISTORY)) if pointer else None
    return Sources(
        receipts=_parts(receipts, "delivery_id"),
        files=_parts(history.files_of(home, taken), "delivery_id"),
        faults=_parts(reading_faults(home, taken), "delivery_id"),
        histories={} if told is None else _parts(told, "hospcode"),
        built=frozenset(stewards.delivery_rows(home)["delivery_id"]) if pointer else frozenset(),
        published_at=datetime.fromisoformat(pointer["published_at"]) if pointer else None,
    )


def _parts(frame: pl.DataFrame, column: str) -> dict[str, pl.DataFrame]:
    return {key: part for (key,), part in frame.partition_by(column, as_dict=True, maintain_order=True).items()}


def make(
    settings: Settings,
    hospcode: str,
    delivery_id: str,
    accepted: Collection[str] = (),
    sources: Sources | None = None,
) -> Report:
    """The report on one delivery of a facility.

    `accepted` are keys of findings that a steward found to be true: they are counted, and not asked to be mended.
    `sources` holds what it is made of, where the caller makes several.
    """
    home = settings.data_home
    told = gather(home, [(hospcode, delivery_id)]) if sources is None else sources
    receipts = told.receipts[delivery_id].filter(pl.col("hospcode") == hospcode)
    taken = receipts.filter(pl.col("outcome").is_in(history.ACCEPTED))
    # The receipt that counts: of a delivery that was released, the one that accepted it; never that of a copy.
    receipt = (taken if taken.height else receipts.filter(pl.col("outcome") == "rejected")).row(0, named=True)
    histories = told.histories.get(hospcode, pl.DataFrame(schema=_HISTORY))
    # The same zip may have come under another name too: what was read of it is told to whom it was taken from.
    files, read = (
        (told.files.get(delivery_id, pl.DataFrame(schema=RECORDS["receipt_files"])), told.faults.get(delivery_id))
        if taken.height
        else (pl.DataFrame(schema=RECORDS["receipt_files"]), None)
    )
    faults = _faults(pl.DataFrame(schema=FAULTS) if read is None else read, histories, delivery_id, accepted)
    lines = {
        str(file): set(group["source_line"].drop_nulls())
        for (file,), group in faults.group_by("file")
        if file is not None
    }
    shows_rows = bool(taken.height) and (files["feed"] == STANDARD).all() and is_kept(home, delivery_id)
    shown = sent_rows(settings, delivery_id, receipt["file_name"], lines, faults) if shows_rows else {}
    return Report(
        made_at=utc_now().replace(tzinfo=UTC),
        facility=Facility(hospcode=hospcode, name=receipt["facility"], province=receipt["province"]),
        delivery=_sent(settings, receipt),
        standing=_standing(told, histories, delivery_id, accepted),
        drifts=list(_drifts(histories, accepted)),
        rules=list(_rules(receipt, faults)),
        files=[_file(one, faults, shown) for one in files.iter_rows(named=True)],
        are_rows_shown=shows_rows,
    )


def _sent(settings: Settings, receipt: Mapping[str, Any]) -> Sent:
    is_rejected = receipt["outcome"] == "rejected"
    counts = {
        name: None if is_rejected else receipt[name] for name in ("n_rows", "n_landed", "n_rejected", "n_flagged")
    }
    return Sent(
        delivery_id=receipt["delivery_id"],
        file_name=plain(receipt["file_name"]),
        sent_at=receipt["sent_at"],
        received_at=receipt["received_at"].replace(tzinfo=UTC),
        outcome=receipt["outcome"],
        reason=receipt["reason"],
        detail=plain(receipt["detail"]) if receipt["detail"] else None,
        members=_members(settings, receipt) if is_rejected else [],
        **counts,
    )


def _members(settings: Settings, receipt: Mapping[str, Any]) -> list[str]:
    """What a rejected zip names, as far as it can be read: often its sender sees by that what was packed wrongly."""
    home = settings.data_home
    if not is_kept(home, receipt["delivery_id"]):
        return []
    try:
        held = sealed(home.inbox, inbox_key(home), receipt["delivery_id"])
        listed = list_members(held, announced_by(receipt["file_name"], settings.feeds), settings.feeds)
    except zipfile.BadZipFile:
        return []
    return [
        f"{shown_name(one.name, place, settings.feeds)} ({one.n_bytes:,} B)"
        for place, one in enumerate(listed, start=1)
    ]


_HISTORY = {
    "hospcode": pl.String(),
    "finding_key": pl.String(),
    "kind": pl.String(),
    "rule_code": pl.String(),
    "file": pl.String(),
    "column_name": pl.String(),
    "record": pl.String(),
    "event_date": pl.Date(),
    "detail": pl.String(),
    "state": pl.String(),
    "first_opened_at": pl.Datetime("us"),
    "delivery_id": pl.String(),
    "source_line": pl.Int32(),
}


def _asked(histories: pl.DataFrame, accepted: Collection[str]) -> pl.DataFrame:
    """Findings that are open, but those that were found to be true."""
    return histories.filter(pl.col("state").is_in(stewards.OPEN_STATES), ~pl.col("finding_key").is_in(list(accepted)))


def _drifts(histories: pl.DataFrame, accepted: Collection[str]) -> Iterator[Drift]:
    """Whichever delivery a month came with: it is judged when its report is due, and others may have come since."""
    drifted = _asked(histories, accepted).filter(pl.col("kind") == "drift")
    for row in drifted.sort("event_date", "rule_code", descending=[True, False], nulls_last=True).iter_rows(named=True):
        told = {name: row[name] for name in ("file", "detail", "state", "first_opened_at", "finding_key")}
        yield Drift(**wording(row["rule_code"]).model_dump(), month=row["event_date"], **told)


def _faults(found: pl.DataFrame, histories: pl.DataFrame, delivery_id: str, accepted: Collection[str]) -> pl.DataFrame:
    """`FAULTS` of reading and of rows that stand, with `state, first_opened_at, finding_key, record`."""
    own = _asked(histories, accepted).filter(pl.col("delivery_id") == delivery_id)
    causes = own.filter(pl.col("kind") == "reading")
    read = found.join(
        causes.select(
            "file", "column_name", "state", "first_opened_at", "finding_key", rule=pl.col("rule_code"), record="record"
        ),
        on=["file", "rule", "column_name"],
        how="left",
        nulls_equal=True,
    )
    standing = own.filter(pl.col("kind") == "row").select(
        "file",
        pl.lit(None, pl.String).alias("member"),
        "source_line",
        pl.lit("standing").alias("level"),
        pl.col("rule_code").alias("rule"),
        "column_name",
        "state",
        "first_opened_at",
        "finding_key",
        "record",
    )
    both = pl.concat([read.select(standing.columns), standing])
    return both.sort("file", "source_line", "level", "column_name", "rule", nulls_last=True)


def _standing(told: Sources, histories: pl.DataFrame, delivery_id: str, accepted: Collection[str]) -> Standing:
    if told.published_at is None:
        return Standing(as_of=None, includes_delivery=False)
    counts = dict(histories.group_by("state").len().iter_rows())
    open_keys = histories.filter(pl.col("state").is_in(stewards.OPEN_STATES))["finding_key"]
    return Standing(
        as_of=told.published_at,
        includes_delivery=delivery_id in told.built,
        n_accepted=len(set(open_keys) & set(accepted)),
        **{f"n_{state}": counts.get(state, 0) for state in (*stewards.OPEN_STATES, "fixed")},
    )


_GRAVEST = ("delivery", "row", "standing", "warning")


def _rules(receipt: Mapping[str, Any], faults: pl.DataFrame) -> Iterator[BrokenRule]:
    if receipt["outcome"] == "rejected":
        yield BrokenRule(**wording(receipt["reason"]).model_dump(), n_rows=None, files=[])
    counts = (
        faults.group_by("rule", "level")
        .agg(pl.len().alias("n"), pl.col("file").unique().sort().alias("files"))
        .with_columns(grave=pl.col("level").replace_strict(_GRAVEST, range(len(_GRAVEST)), default=len(_GRAVEST)))
        .sort("grave", "n", "rule", descending=[False, True, False])
    )
    for rule, level, n, files, _ in counts.iter_rows():
        words = wording(rule).model_copy(update={"level": level})
        yield BrokenRule(**words.model_dump(), n_rows=n, files=files)


_KINDS: dict[str, Literal["set_aside", "kept_with_flag", "standing"]] = {
    "row": "set_aside",
    "warning": "kept_with_flag",
    "standing": "standing",
}


def _file(told: Mapping[str, Any], faults: pl.DataFrame, shown: Mapping[str, pl.DataFrame]) -> File:
    file = told["file"]
    own = faults.filter(pl.col("file") == file, pl.col("member").is_null() | (pl.col("member") == told["member"]))
    frame = shown.get(file)
    cells = {row["source_line"]: row for row in frame.iter_rows(named=True)} if frame is not None else {}
    rows = []
    for line, group in groupby(own.iter_rows(named=True), key=lambda one: one["source_line"]):
        broken = list(group)
        sent = cells.get(line)
        rows.append(
            Row(
                line=line,
                record=next((one["record"] for one in broken if one["record"]), None),
                sent={name: value for name, value in sent.items() if name != "source_line"} if sent else None,
                faults=[
                    Fault(
                        rule=one["rule"],
                        kind=_KINDS[one["level"]],
                        column=one["column_name"] or None,
                        state=one["state"],
                        first_opened_at=one["first_opened_at"],
                        finding_key=one["finding_key"],
                    )
                    for one in broken
                ],
            )
        )
    contract = load_contracts().get(file)
    counts = {name: told[name] for name in COUNTS}
    return File(file=file, label_th=contract.label_th if contract else file, member=told["member"], rows=rows, **counts)
