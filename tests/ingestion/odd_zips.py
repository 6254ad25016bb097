"""Deliveries of the 43-file standard, good ones and deliberately odd ones, made of a few small pieces."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

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
        "NATION": "099",
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


def zip_bytes(members: Mapping[str, str | bytes] | None = None, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of `members` (good ones by default); text is written as UTF-8. Always the same bytes for the same text."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, text_or_bytes in (members if members is not None else good_members()).items():
            info = zipfile.ZipInfo(name, (2024, 6, 1, 12, 0, 0))
            info.compress_type = compression
            archive.writestr(info, text_or_bytes)
    return content.getvalue()


def make_zip(
    path: Path, members: Mapping[str, str | bytes] | None = None, compression: int = zipfile.ZIP_DEFLATED
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(zip_bytes(members, compression))
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


LOCAL = struct.Struct("<4s5H3L2H")
CENTRAL = struct.Struct("<4s6H3L5H2L")
END = struct.Struct("<4s4H2LH")
END_64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR = struct.Struct("<4sLQL")


def deflated(content: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()


@dataclass(frozen=True)
class Repeated:
    """`head`, then `piece` so many times over: long data that cost little to make."""

    piece: bytes
    times: int
    head: bytes = b""

    def deflated(self) -> bytes:
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        head, piece = (packer.compress(one) + packer.flush(zlib.Z_FULL_FLUSH) for one in (self.head, self.piece))
        return head + piece * self.times + packer.flush()

    def crc(self) -> int:
        checksum = zlib.crc32(self.head)
        for _ in range(self.times):
            checksum = zlib.crc32(self.piece, checksum)
        return checksum

    def __len__(self) -> int:
        return len(self.head) + self.times * len(self.piece)


@dataclass(frozen=True)
class Raw:
    """A member written field by field. What is not said is the truth about `content`."""

    name: bytes
    content: bytes | Repeated = b""
    packed: bytes | None = None
    method: int = zipfile.ZIP_DEFLATED
    flags: int = 0
    crc: int | None = None
    size: int | None = None
    packed_size: int | None = None
    attributes: int = 0
    extra: bytes = b""
    """Extra fields of the directory."""
    offset: int | None = None
    local: Mapping[str, int | bytes] = field(default_factory=dict)
    """Fields that the member's own header tells otherwise: name, method, flags, crc, size, packed_size."""

    def data(self) -> bytes:
        if self.packed is not None:
            return self.packed
        if isinstance(self.content, Repeated):
            return self.content.deflated()
        return deflated(self.content) if self.method == zipfile.ZIP_DEFLATED else self.content

    def told(self, packed: bytes) -> dict[str, int | bytes]:
        content = self.content
        crc = content.crc() if isinstance(content, Repeated) else zlib.crc32(content)
        return {
            "name": self.name,
            "method": self.method,
            "flags": self.flags,
            "crc": crc if self.crc is None else self.crc,
            "size": len(content) if self.size is None else self.size,
            "packed_size": len(packed) if self.packed_size is None else self.packed_size,
        }


def raw_zip(path: Path, *members: Raw, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw_bytes(*members, **options))
    return path


def raw_bytes(
    *members: Raw,
    prefix: bytes = b"",
    suffix: bytes = b"",
    directory_times: int = 1,
    zip64: Mapping[str, int] | None = None,
    **end: int,
) -> bytes:
    """A zip written field by field, its directory so many times over.

    `end` replaces fields of the record at its end, `zip64` those of zip64's: disk, directory_disk, here, entries,
    size, offset; of zip64 also at (what its locator says) and disks.
    """
    body, directory = bytearray(prefix), b""
    for member in members:
        packed = member.data()
        told = member.told(packed)
        own = told | dict(member.local)
        offset = len(body) if member.offset is None else member.offset
        body += LOCAL.pack(
            b"PK\x03\x04", 20, own["flags"], own["method"], 0, 33, own["crc"], own["packed_size"], own["size"],
            len(own["name"]), 0,
        ) + own["name"] + packed  # fmt: skip
        directory += CENTRAL.pack(
            b"PK\x01\x02", 0x0314, 20, told["flags"], told["method"], 0, 33, told["crc"], told["packed_size"],
            told["size"], len(member.name), len(member.extra), 0, 0, 0, member.attributes, offset,
        ) + member.name + member.extra  # fmt: skip
    directory *= directory_times
    truth = {
        "disk": 0,
        "directory_disk": 0,
        "here": len(members) * directory_times,
        "entries": len(members) * directory_times,
        "size": len(directory),
        "offset": len(body),
    }
    content = bytes(body) + directory
    if zip64 is not None:
        long = truth | {"at": len(content), "disks": 1} | dict(zip64)
        content += END_64.pack(
            b"PK\x06\x06", END_64.size - 12, 45, 45, long["disk"], long["directory_disk"], long["here"],
            long["entries"], long["size"], long["offset"],
        )  # fmt: skip
        content += LOCATOR.pack(b"PK\x06\x07", 0, long["at"], long["disks"])
        truth |= {"here": 0xFFFF, "entries": 0xFFFF, "size": 0xFFFFFFFF, "offset": 0xFFFFFFFF}
    return content + END.pack(b"PK\x05\x06", *(truth | end).values(), 0) + suffix
