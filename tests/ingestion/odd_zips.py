"""Deliveries of the 43-file standard, good ones and deliberately odd ones, made of a few small pieces."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from ingestion.checks import FACILITY_COLUMNS, code_values
from ingestion.contract import Column, ColumnType, Version, load_contracts

SENDER = "90101"
SENT_AT = "20240601120000"

_BY_TYPE = {
    ColumnType.DATE: "20240501",
    ColumnType.DATETIME: "20240501083000",
    ColumnType.TIME: "083000",
    ColumnType.INTEGER: "5",
    ColumnType.DECIMAL: "12.50",
    ColumnType.JSON: '{"a": 1}',
}


def check_digit(first_twelve: str) -> str:
    total = sum(int(digit) * weight for digit, weight in zip(first_twelve, range(13, 1, -1), strict=True))
    return str((11 - total % 11) % 10)


def cid(number: int) -> str:
    """A generated 13-digit number with a right check digit, of a class that begins with 1 and of nobody."""
    first_twelve = f"19{number:010d}"
    return first_twelve + check_digit(first_twelve)


def zip_name(hospcode: str = SENDER, sent_at: str = SENT_AT) -> str:
    return f"F43_{hospcode}_{sent_at}.zip"


def _value(column: Column, hospcode: str) -> str:
    known = {
        "HOSPCODE": hospcode,
        "HOSPCODE9": f"EA00{hospcode}",
        "PID": "1001",
        "SEQ": "S1",
        "CID": cid(1),
        "MOTHER": cid(2),
        "INSTYPE": "0100",
        "BIRTH": "19800215",
        "TABLENAME": "PERSON",
        "DATA_CORRECT": '{"PID": "1001"}',
    }
    if column.name in known:
        return known[column.name]
    if column.name in FACILITY_COLUMNS:
        return hospcode
    if column.codes:
        return min(code_values()[column.codes])
    return _BY_TYPE.get(column.type, "1")


@cache
def _good_row(file: str, hospcode: str) -> dict[str, str]:
    return {column.name: _value(column, hospcode) for column in load_contracts()[file].columns}


def row(file: str, hospcode: str = SENDER, **changes: str) -> dict[str, str]:
    """A row of `file` with which nothing is wrong, but for `changes`."""
    unknown = changes.keys() - load_contracts()[file].by_name
    assert not unknown, f"{file} has no {unknown}"
    return {**_good_row(file, hospcode), **changes}


def edition(file: str, version: Version = Version.V2_4_1) -> list[str]:
    return load_contracts()[file].editions[version]


def cells(values: Mapping[str, str], columns: Sequence[str]) -> str:
    return "|".join(values.get(name, "") for name in columns)


def text(
    file: str,
    *rows: Mapping[str, str],
    columns: Sequence[str] | None = None,
    header: bool = True,
    eol: str = "\r\n",
) -> str:
    """A member's text. Without `rows` it holds one good row."""
    order = columns or edition(file)
    lines = ["|".join(order)] if header else []
    return "".join(line + eol for line in [*lines, *(cells(one, order) for one in rows or (row(file),))])


def good_members() -> dict[str, str]:
    """A person, two visits and a diagnosis of each."""
    visits = [row("SERVICE", SEQ=f"S{n}") for n in (1, 2)]
    diagnoses = [row("DIAGNOSIS_OPD", SEQ=f"S{n}", DIAGCODE="J00") for n in (1, 2)]
    return {
        "PERSON.txt": text("PERSON"),
        "SERVICE.txt": text("SERVICE", *visits),
        "DIAGNOSIS_OPD.txt": text("DIAGNOSIS_OPD", *diagnoses),
    }


def visits(n: int, hospcode: str = SENDER, prefix: str = "S") -> str:
    return text("SERVICE", *(row("SERVICE", hospcode, SEQ=f"{prefix}{i}") for i in range(n)))


def make_zip(
    path: Path, members: Mapping[str, str | bytes] | None = None, compression: int = zipfile.ZIP_DEFLATED
) -> Path:
    """A zip of `members` (good ones by default); text is written as UTF-8. Always the same bytes for the same text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in (members if members is not None else good_members()).items():
            info = zipfile.ZipInfo(name, (2024, 6, 1, 12, 0, 0))
            info.compress_type = compression
            archive.writestr(info, content)
    return path


def zip_of_infos(path: Path, members: Sequence[tuple[zipfile.ZipInfo, bytes]]) -> Path:
    """A zip whose entries are given whole: links, flags, names used twice."""
    with zipfile.ZipFile(path, "w") as archive:
        for info, content in members:
            archive.writestr(info, content)
    return path


def with_encrypted_flag(path: Path) -> Path:
    """Say of every member, in both headers, that it is encrypted."""
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(signature)
        while at >= 0:
            content[at + offset] |= 1
            at = content.find(signature, at + 4)
    path.write_bytes(content)
    return path


def with_shared_bytes(path: Path) -> Path:
    """Point the second entry of the directory at the first entry's bytes, as overlapping bombs do."""
    content = bytearray(path.read_bytes())
    first = content.find(b"PK\x01\x02")
    second = content.find(b"PK\x01\x02", first + 4)
    content[second + 42 : second + 46] = content[first + 42 : first + 46]
    path.write_bytes(content)
    return path


def with_flipped_bit(path: Path, member: str) -> Path:
    """Damage a byte inside a member's data."""
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(member)
        at = info.header_offset + 30 + len(member) + info.compress_size // 2
    content = bytearray(path.read_bytes())
    content[at] ^= 0x10
    path.write_bytes(content)
    return path
