"""What sloppy senders get wrong, and what becomes of each row: the classes of spec behaviour, planted and counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from ingestion.synthetic.catalogue import Bools, Ints
from ingestion.synthetic.facilities import UNKNOWN_CODES

NEWLINE, PIPE, NUL = "\x01", "\x02", "\x03"
"""Stand-ins for bytes that would break the lines while a file is still one table; put right in `mend`."""


@dataclass(frozen=True)
class Fault:
    name: str
    per_million: float
    """Of the rows of its file. Assumption: no source counts bad rows by class."""
    rejects: bool
    column: str
    value: str | None = None
    """What stands in the column instead; None where it is made from the right value."""


SERVICE_FAULTS = (
    Fault("wrong_columns", 250, True, "CHIEFCOMP", f"ปวดหัว{PIPE}ตัวร้อน"),
    Fault("invalid_date", 200, True, "DATE_SERV", "20240231"),
    Fault("future_date", 200, True, "DATE_SERV"),
    Fault("be_year", 250, True, "DATE_SERV"),
    Fault("unknown_hospcode", 150, True, "HOSPCODE", UNKNOWN_CODES[1]),
    Fault("hospcode_not_sender", 100, True, "HOSPCODE"),
    Fault("missing_key", 150, True, "SEQ", ""),
    Fault("embedded_newline", 150, True, "CHIEFCOMP", f"ปวดท้อง{NEWLINE}อาเจียน"),
    Fault("nul_byte", 80, True, "CHIEFCOMP", f"ไข้{NUL}ไอ"),
    Fault("not_numeric", 300, False, "PRICE", "ฟรี"),
    Fault("missing_required", 300, False, "TYPEIN", ""),
    Fault("unknown_typein", 200, False, "TYPEIN", "7"),
    Fault("unknown_instype", 400, False, "INSTYPE", "0199"),
    Fault("sbp_not_numeric", 400, False, "SBP", "วัดไม่ได้"),
    Fault("main_not_in_registry", 400, False, "MAIN", UNKNOWN_CODES[2]),
)
DIAGNOSIS_FAULTS = (Fault("wrong_columns", 120, True, "CLINIC", f"01{PIPE}000"),)
APPOINTMENT_FAULTS = (
    Fault("zero_date", 800, False, "APDATE", "00000000"),
    Fault("be_year", 400, False, "APDATE", "25680115"),
)
CARD_FAULTS = (Fault("zero_date", 1500, False, "EXPIREDATE", "00000000"),)
PERSON_FAULTS = (
    Fault("invalid_birth", 400, False, "BIRTH", "19891345"),
    Fault("be_year", 400, False, "BIRTH", "25320704"),
    Fault("over_long", 300, False, "NAME", "สม" * 40),
    Fault("mojibake", 300, False, "NAME", "เธกเธฒเธฃเธงเธข"),
)
DUPLICATES_PER_MILLION = 500
ORPHANS_PER_MILLION = 300

MISSING_CID = 0.01  # assumption
MISSING_FOREIGN_CID = 0.3
"""Of registrations of migrants and the stateless who hold one: assumption."""
BAD_CID = 0.015  # assumption, far below the 9 % found once in one province (domain.md §7)
DUMMY_CID = 0.002  # assumption
DUMMIES = ("1111111111119", "9999999999994", "1234567890121")


def planted(faults: tuple[Fault, ...], can: Bools, per: int, rng: np.random.Generator, least: int) -> Ints:
    """For each row 0, or 1 + the index of its fault. Rows are drawn among those that `can` bear one, never twice;
    each class occurs `least` times when there are rows enough. `per`: rows that the rates are of."""
    rows = rng.permutation(np.flatnonzero(can))
    kinds = np.zeros(len(can), dtype=np.int64)
    at = 0
    for index, fault in enumerate(faults):
        n = max(round(fault.per_million * per / 1e6), least)
        kinds[rows[at : at + n]] = index + 1
        at += n
    return kinds


def damage(
    frame: pl.DataFrame, faults: tuple[Fault, ...], kinds: Ints, others: pl.Series | None = None
) -> pl.DataFrame:
    """The frame with each planted fault in its column. `others`: another facility's code for each row."""
    kind = pl.Series(kinds)
    changes: dict[str, pl.Expr] = {}
    for index, fault in enumerate(faults):
        rows = pl.lit(kind == index + 1)
        if not (kinds == index + 1).any():
            continue
        change = _value(fault, others)
        changes[fault.column] = pl.when(rows).then(change).otherwise(changes.get(fault.column, pl.col(fault.column)))
    return frame.with_columns(**changes)


def _value(fault: Fault, others: pl.Series | None) -> pl.Expr:
    if fault.value is not None:
        return pl.lit(fault.value)
    if fault.name == "hospcode_not_sender" and others is not None:
        return pl.lit(others)
    year, rest = pl.col(fault.column).str.head(4).cast(pl.Int32), pl.col(fault.column).str.tail(4)
    if fault.name == "future_date":
        # 29 February of next year is no date: move it to the 28th.
        return pl.concat_str((year + 2).cast(pl.String), rest.replace("0229", "0228"))
    return pl.concat_str((year + 543).cast(pl.String), rest)


def rejected(faults: tuple[Fault, ...], kinds: Ints) -> Bools:
    """Whether each row is set aside on its way in."""
    return np.array([False, *(fault.rejects for fault in faults)])[kinds]


def mend(text: bytes) -> bytes:
    """Put in the bytes that the stand-ins stand for."""
    for stand_in, byte in ((NEWLINE, b"\n"), (PIPE, b"|"), (NUL, b"\0")):
        text = text.replace(stand_in.encode(), byte)
    return text
