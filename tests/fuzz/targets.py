"""What must hold for any bytes, of the readers of zips, lines and dBase tables. All is told twice and compared.

A target takes any bytes, returns nothing, and raises when something does not hold.
"""

from __future__ import annotations

import codecs
import re
import tempfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from ingestion import dbf
from ingestion.checks import load_rules
from ingestion.contract import load_contracts
from ingestion.delivery import DeliveryRejectedError, DeliveryZip
from ingestion.text import (
    UTF8_BOM,
    EncodingProbe,
    Header,
    UndecodableError,
    line_blocks,
    read_header,
    read_lines,
    rejected_lines,
    split_cells,
    to_utf8,
    utf_16_to_utf_8,
)
from ruam.settings import ZipLimits

LIMITS = ZipLimits(
    max_zip_bytes=1 << 16,
    max_members=8,
    max_directory_bytes=2048,
    max_name_length=64,
    max_member_bytes=1 << 14,
    max_total_bytes=1 << 15,
    max_ratio=20,
    ratio_applies_from_bytes=1 << 10,
    max_line_bytes=64,
    max_header_cells=12,
)
CATALOGUED = {code for code, rule in load_rules().items() if rule.level == "delivery"}
CONTRACT = load_contracts()["CARE_REFER"]
THREE_CELLS = Header({"HOSPCODE": 0, "REFERID": 1, "CARETYPE": 2}, 3, True, "partial", missing=[], unknown=[])


def zip_reader(content: bytes) -> None:
    """Any file opens or is rejected by a rule of the catalogue; what opens keeps the limits, and `zipfile` agrees."""
    with tempfile.NamedTemporaryFile(suffix=".zip") as file:
        path = Path(file.name)
        path.write_bytes(content)
        try:
            opened = DeliveryZip(path, LIMITS)
        except DeliveryRejectedError as error:
            _check_rejection(error)
            return
        with opened, zipfile.ZipFile(path) as peer:
            sizes = [member.entry.declared_size for member in opened.members]
            assert max(sizes) <= LIMITS.max_member_bytes
            assert sum(sizes) <= LIMITS.max_total_bytes
            assert len({member.table for member in opened.members}) == len(opened.members)
            at_offset = {info.header_offset: info for info in peer.infolist()}
            for member in opened.members:
                blocks = list(opened.blocks(member))
                assert all(block.endswith(b"\n") for block in blocks)
                info = at_offset[member.entry.info.offset]
                assert _cut(b"".join(blocks)) == _cut(_normalised(peer.read(info)))


def _check_rejection(error: DeliveryRejectedError) -> None:
    assert error.rule in CATALOGUED, error.rule
    assert error.message.isprintable(), error.message


def _normalised(content: bytes) -> bytes:
    """A member's text as the line reader gets it, told in the plainest way."""
    whole = _encoding_of(content)
    if whole and whole.startswith("utf-16"):
        content = b"".join(utf_16_to_utf_8([content], whole))
    text = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return text if text.endswith(b"\n") or not text else text + b"\n"


def _cut(text: bytes) -> list[bytes]:
    """Of longer lines only the beginning need be there."""
    return [line[: LIMITS.max_line_bytes + 1] for line in text.split(b"\n")]


def line_reader(content: bytes) -> None:
    """Every line that is not empty is once landed or once rejected, as told plainly, wherever the text is cut."""
    size, body = 1 + (content[0] if content else 0) % 24, content[1:]
    expected = _plainly_read(body)
    assert _read(body, max(len(body), 1)) == expected
    assert _read(body, size) == expected
    first = body[:100].partition(b"\n")[0].decode("ascii", errors="replace")
    header = read_header(first, CONTRACT, LIMITS)
    assert header is None or header.n_cells == first.count("|") + 1


def _read(body: bytes, size: int) -> dict[int, str | tuple[str, ...]]:
    """By number of line: its cells, or the rule by which it was set aside."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    probe = EncodingProbe()
    for piece in pieces:
        probe.add(piece)
    whole = probe.encoding
    texts = utf_16_to_utf_8(pieces, whole) if whole and whole.startswith("utf-16") else pieces
    told = "utf-16" if whole and whole.startswith("utf-16") else whole
    number, numbers, sound, found = 1, [], b"", {}
    for block in line_blocks(texts, LIMITS.max_line_bytes):
        read = read_lines(block, THREE_CELLS, number, told, LIMITS)
        numbers += read.lines.tolist()
        sound += read.text
        set_aside = read.rejected.rows()
        if set_aside:
            n_all = rejected_lines(block, number, "unknown_layout").height
            assert n_all == len(set_aside) + len(read.lines)
        assert found.keys().isdisjoint(line for line, _ in set_aside)
        found.update(set_aside)
        number += block.count(b"\n")
    rows = split_cells(sound, THREE_CELLS.positions, 3).rows() if sound else []
    assert found.keys().isdisjoint(numbers)
    return found | dict(zip(numbers, rows, strict=True))


def _plainly_read(body: bytes) -> dict[int, str | tuple[str | None, ...]]:
    whole = _encoding_of(body)
    if whole and whole.startswith("utf-16"):
        body = b"".join(utf_16_to_utf_8([body], whole))
    lines = re.split(rb"\r\n|\r|\n", body)
    read = ((number, _plain_line(line, whole)) for number, line in enumerate(lines, start=1))
    return {number: row for number, row in read if row}


def _plain_line(line: bytes, whole: str | None) -> str | tuple[str | None, ...] | None:
    if len(line) > LIMITS.max_line_bytes:
        return "line_too_long"
    while line.startswith(UTF8_BOM):
        line = line.removeprefix(UTF8_BOM)
    if not line:
        return None
    text = _plain_text(line, whole)
    if text is None:
        return "undecodable"
    cells = text.split("|")
    if len(cells) != 3:
        return "wrong_columns"
    return "nul_byte" if "\0" in text else tuple(cell.strip(" \t") or None for cell in cells)


def _encoding_of(body: bytes) -> str | None:
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16-le" if body.startswith(codecs.BOM_UTF16_LE) else "utf-16-be"
    head = body[:4]
    if len(head) == 4 and head.isascii() and [b > 0 for b in head] in ([True, False] * 2, [False, True] * 2):
        return "utf-16-le" if head[0] else "utf-16-be"
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return "utf-8"


def _plain_text(line: bytes, whole: str | None) -> str | None:
    utf8 = _decoded(line, "utf-8")
    if whole or (utf8 and any("\u0e00" <= letter <= "\u0e7f" for letter in utf8)):
        return utf8
    thai = None if re.search(rb"(\xe0[\xb8\xb9][\x80-\xbf]){2}", line) else _decoded(line, "cp874")
    if thai is None:
        return utf8
    marks = [at for at, letter in enumerate(thai) if unicodedata.category(letter) == "Mn" and letter != "\u0e4f"]
    strays = [at for at in marks if at == 0 or not "\u0e01" <= thai[at - 1] <= "\u0e4e"]
    letters = [letter for letter in thai if "\u0e01" <= letter <= "\u0e4e" and unicodedata.category(letter) != "Mn"]
    return utf8 if 2 * len(strays) > len(marks) and 4 * len(strays) > len(letters) else thai


def _decoded(line: bytes, encoding: str) -> str | None:
    try:
        return line.decode(encoding)
    except UnicodeDecodeError:
        return None


def whole_text(content: bytes) -> None:
    """`to_utf8` gives UTF-8 of as many lines, or says that it cannot."""
    try:
        text, encoding = to_utf8(content)
    except UndecodableError:
        return
    text.decode("utf-8")
    assert text.count(b"\n") == content.count(b"\n")
    assert encoding in ("ascii", "utf-8", "cp874", "mixed")
    if content.startswith(UTF8_BOM) and encoding == "utf-8":
        assert text.startswith(UTF8_BOM)


def dbf_reader(content: bytes) -> None:
    """A table is damaged, or each record is a row, rejected or deleted; the same wherever the file is cut."""
    size, body = 1 + (content[0] if content else 0) % 48, content[1:]
    told = _table(body, max(len(body), 1))
    assert _table(body, size) == told


def _table(body: bytes, size: int) -> list[object]:
    def pieces() -> Iterator[bytes]:
        return (body[at : at + size] for at in range(0, len(body), size))

    try:
        header = dbf.read_header(pieces)
    except dbf.DamagedDbfError as error:
        return [str(error)]
    found: list[object] = []
    n = 0
    for records in dbf.read_records(pieces, header, {column.name: at for at, column in enumerate(header.columns)}):
        assert records.frame.columns[0] == "source_line"
        found += [records.frame.select(sorted(records.frame.columns)).rows(), records.rejected.rows()]
        n += records.frame.height + records.rejected.height + records.n_deleted
    assert n == header.n_records
    return found


TARGETS: dict[str, Callable[[bytes], None]] = {
    "zip_reader": zip_reader,
    "line_reader": line_reader,
    "dbf_reader": dbf_reader,
}
