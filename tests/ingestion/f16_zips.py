"""Deliveries of the 16 files, as text and as DBF, made of the same few rows."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import dbf

from ingestion.feed import load_feeds
from tests.ingestion.odd_zips import SENDER, SENT_AT, cells, cid

Row = Mapping[str, str]
TABLES = load_feeds()["f16"].tables

DAY, HN = "20240501", "0001234"

_GOOD: dict[str, Row] = {
    "INS": {"HN": HN, "INSCL": "UCS", "CID": cid(1), "HOSPMAIN": SENDER, "HOSPSUB": SENDER, "SEQ": "S1"},
    "PAT": {
        "HCODE": SENDER,
        "HN": HN,
        "DOB": "19800215",
        "SEX": "1",
        "MARRIAGE": "1",
        "NATION": "099",
        "PERSON_ID": cid(1),
    },
    "OPD": {"HN": HN, "CLINIC": "00100", "DATEOPD": DAY, "TIMEOPD": "0830", "SEQ": "S1", "UUC": "1"},
    "ORF": {"HN": HN, "DATEOPD": DAY, "REFER": "90102", "SEQ": "S1"},
    "ODX": {"HN": HN, "DATEDX": DAY, "CLINIC": "00100", "DIAG": "J00", "DXTYPE": "1", "DRDX": "W12345", "SEQ": "S1"},
    "OOP": {"HN": HN, "DATEOPD": DAY, "CLINIC": "00100", "OPER": "8954", "DROPID": "W12345", "SEQ": "S1"},
    "IPD": {
        **{"HN": HN, "AN": "A1", "DATEADM": DAY, "TIMEADM": "0915", "DATEDSC": "20240503", "TIMEDSC": "1000"},
        **{"DISCHS": "2", "DISCHT": "1", "ADM_W": "61.5", "SEQ": "S1"},
    },
    "IRF": {"AN": "A1", "REFER": "90102"},
    "IDX": {"AN": "A1", "DIAG": "J180", "DXTYPE": "1", "DRDX": "W12345"},
    "IOP": {
        "AN": "A1",
        "OPER": "9604",
        "DROPID": "W12345",
        "DATEIN": DAY,
        "TIMEIN": "0930",
        "DATEOUT": DAY,
        "TIMEOUT": "0945",
    },
    "CHT": {"HN": HN, "DATE": DAY, "TOTAL": "1,250.00", "PAID": "0.00", "SEQ": "S1"},
    "CHA": {"HN": HN, "DATE": DAY, "CHRGITEM": "31", "AMOUNT": "250.00", "SEQ": "S1"},
    "AER": {"HN": HN, "DATEOPD": DAY, "AEDATE": DAY, "AETIME": "0800", "UCAE": "A", "SEQ": "S1"},
    "ADP": {
        "HN": HN,
        "DATEOPD": DAY,
        "TYPE": "5",
        "CODE": "WALKIN",
        "QTY": "1",
        "RATE": "0",
        "SEQ": "S1",
        "TOTAL": "0",
    },
    "LVD": {"SEQLVD": "1", "AN": "A1", "DATEOUT": "20240502", "TIMEOUT": "0800"},
    "DRU": {
        **{"HCODE": SENDER, "HN": HN, "CLINIC": "00100", "DATE_SERV": DAY, "DID": "PARA", "DIDNAME": "Paracetamol"},
        **{"AMOUNT": "20", "DRUGPRC": "1.50", "DRUGCOST": "1", "DIDSTD": "1" * 24, "UNIT": "TAB", "SEQ": "S1"},
    },
    "LAB": {"HCODE": SENDER, "HN": HN, "DATESERV": DAY, "SEQ": "S1", "LABTEST": "0531101", "LABRESULT": "98"},
}


def f16_row(table: str, **changes: str) -> dict[str, str]:
    """A row of `table` with which nothing is wrong, but for `changes`."""
    unknown = changes.keys() - set(TABLES[table].columns)
    assert not unknown, f"{table} has no {unknown}"
    return {**_GOOD[table], **changes}


def layout(table: str, name: str | None = None) -> list[str]:
    """A column order of a table; the newest unless named."""
    layouts = TABLES[table].layouts
    return layouts[name] if name else list(layouts.values())[-1]


def f16_text(
    table: str, *rows: Row, columns: Sequence[str] | None = None, header: bool = True, eol: str = "\r\n"
) -> str:
    """A member's text. Without `rows` it holds one good row."""
    order = columns or layout(table)
    lines = ["|".join(order)] if header else []
    return "".join(line + eol for line in [*lines, *(cells(one, order) for one in rows or (f16_row(table),))])


def f16_dbf(table: str, *rows: Row, columns: Sequence[str] | None = None, kind: str = "db3") -> bytes:
    """The same as a DBF of text columns, written by another library than the one under test."""
    order = [name[:10] for name in columns or layout(table)]
    given = rows or (f16_row(table),)
    widths = {name: max(1, *(len(one.get(name, "")) for one in given)) for name in order}
    return write_dbf(
        "; ".join(f"{name} C({width})" for name, width in widths.items()),
        [tuple(one.get(name, "") for name in order) for one in given],
        kind=kind,
    )


def write_dbf(fields: str, rows: Sequence[tuple[object, ...]], kind: str = "db3", deleted: Sequence[int] = ()) -> bytes:
    """A table in cp874 of the type `kind` (`db3`, `fp`, `vfp`); `deleted` are places of rows marked as deleted."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.dbf"
        with dbf.Table(str(path), fields, codepage="cp874", dbf_type=kind) as table:
            for one in rows:
                table.append(one)
            for place in deleted:
                dbf.delete(table[place])
        return path.read_bytes()


def f16_members(suffix: str = ".txt") -> dict[str, str | bytes]:
    """One good row of each table."""
    make = f16_text if suffix == ".txt" else f16_dbf
    return {f"{table}{suffix}": make(table) for table in TABLES}


def f16_name(word: str = "F16", hospcode: str = SENDER) -> str:
    return f"{word}_{hospcode}_{SENT_AT}.zip"
