"""From bytes to columns of text: encoding, header, and lines that do not have the header's number of cells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

UTF8_BOM = b"\xef\xbb\xbf"
DELIMITER = "|"
MAX_STRAY_MARKS = 0.5
"""Share of Thai vowel signs and tone marks that may follow no Thai letter. In Thai none does; a text of another
encoding, whose accented letters cp874 reads as such signs, has little else."""

_BLANKS = " \t"
_PADDED = (b" |", b"| ", b" \n", b"\n ", b"\t")
_UTF8_THAI = re.compile(rb"\xe0[\xb8\xb9][\x80-\xbf]")


class UndecodableError(ValueError):
    """Neither UTF-8 nor believable cp874."""


def to_utf8(block: bytes) -> tuple[bytes, str]:
    """The block as UTF-8, and the encoding it came in: `ascii`, `utf-8`, `cp874` or `mixed`.

    Strict UTF-8 first, else strict cp874 (which holds TIS-620) if what comes out is Thai. A file glued together
    from both is decoded line by line. Raises `UndecodableError`.
    """
    if block.isascii():
        return block, "ascii"
    try:
        block.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        return block, "utf-8"
    if _UTF8_THAI.search(block):
        return b"\n".join(_line_to_utf8(line) for line in block.split(b"\n")), "mixed"
    return _cp874_to_utf8(block), "cp874"


def _line_to_utf8(line: bytes) -> bytes:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return _cp874_to_utf8(line)
    return line


def _cp874_to_utf8(block: bytes) -> bytes:
    try:
        text = block.decode("cp874")
    except UnicodeDecodeError as error:
        raise UndecodableError(f"byte {block[error.start]:#04x} is neither UTF-8 nor cp874") from error
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    is_mark = (codes == 0x0E31) | ((codes >= 0x0E34) & (codes <= 0x0E3A)) | ((codes >= 0x0E47) & (codes <= 0x0E4E))
    follows_thai = np.concatenate(([False], (codes[:-1] >= 0x0E01) & (codes[:-1] <= 0x0E4E)))
    if np.count_nonzero(is_mark & ~follows_thai) > MAX_STRAY_MARKS * np.count_nonzero(is_mark):
        raise UndecodableError("read as cp874 the text is not Thai")
    return text.encode("utf-8")


class Layouts(Protocol):
    """What is known of a file's columns: a contract, or a table of a feed."""

    @property
    def by_name(self) -> Mapping[str, Any]:
        """Columns that are wanted."""

    @property
    def editions(self) -> Mapping[Any, Sequence[str]]:
        """Column orders that are known, oldest first."""

    @property
    def aliases(self) -> Mapping[str, str]:
        """Other spellings of a column."""


@dataclass(frozen=True)
class Header:
    """Where each column of the contract stands in a line."""

    positions: dict[str, int]
    n_cells: int
    is_header: bool
    layout: str
    """Edition whose columns are all there, newest first; else `partial`."""
    missing: list[str]
    unknown: list[str]


def read_header(first_line: str, contract: Layouts) -> Header | None:
    """Map columns by header name; by position only when the first line is no header.

    None when there is no header and no edition of the contract has that number of columns.
    """
    cells = [cell.strip().strip('"\ufeff').upper() for cell in first_line.split(DELIMITER)]
    cells = [contract.aliases.get(cell, cell) for cell in cells]
    known = set(contract.by_name).union(*contract.editions.values())
    if "HOSPCODE" in cells or 2 * sum(cell in known for cell in cells) > len(cells):
        names = cells
    else:
        fitting = [columns for columns in contract.editions.values() if len(columns) == len(cells)]
        if not fitting:
            return None
        names = list(next((columns for columns in reversed(fitting) if _has_stamp(cells, columns)), fitting[-1]))
    positions: dict[str, int] = {}
    for index, name in enumerate(names):
        if name in contract.by_name:
            positions.setdefault(name, index)
    return Header(
        positions=positions,
        n_cells=len(cells),
        is_header=names is cells,
        layout=_layout(set(names), contract.editions),
        missing=[name for name in contract.by_name if name not in positions],
        unknown=[name for name in names if name and name not in known],
    )


def _has_stamp(cells: list[str], columns: Sequence[str]) -> bool:
    """Whether D_UPDATE, by its place, is a time: tells editions of equal width apart (ADDRESS of 2016 and 2.4.1)."""
    return "D_UPDATE" in columns and re.fullmatch("[12][0-9]{13}", cells[columns.index("D_UPDATE")]) is not None


def _layout(names: set[str], editions: Mapping[Any, Sequence[str]]) -> str:
    fitting = [version for version, columns in editions.items() if names.issuperset(columns)]
    return str(fitting[-1]) if fitting else "partial"


@dataclass
class RejectedLine:
    line: int
    rule: str
    n_cells: int


@dataclass
class Block:
    """Lines of one block that have the header's number of cells: UTF-8 text, and the number of each line."""

    text: bytes
    lines: npt.NDArray[np.int32]
    rejected: list[RejectedLine] = field(default_factory=list)
    encoding: str = "ascii"

    @classmethod
    def all_rejected(cls, block: bytes, first_line: int, rule: str, encoding: str = "ascii") -> Block:
        """Every line of `block` that is not blank, set aside for one reason."""
        lines = [first_line + index for index, line in enumerate(block.split(b"\n")) if line.strip()]
        return cls(b"", np.empty(0, np.int32), [RejectedLine(line, rule, 0) for line in lines], encoding)


def read_lines(block: bytes, header: Header, first_line: int) -> Block:
    """Sort the lines of a block of whole lines into readable and rejected.

    `first_line` is the number of the block's first line in the member. Blank lines are no rows. Lines that
    cannot be decoded, have another number of cells than the header, or hold a NUL byte are set aside: a shifted
    column must never be read.
    """
    try:
        text, encoding = to_utf8(block)
    except UndecodableError:
        return Block.all_rejected(block, first_line, "undecodable", "unknown")
    starts, ends, n_cells = _lines(text)
    blank = ends == starts
    ragged = (n_cells != header.n_cells) & ~blank
    with_nul = np.zeros_like(ragged)
    if b"\0" in text:
        at = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == 0)
        with_nul[np.searchsorted(ends, at)] = True
        with_nul &= ~ragged
    numbers = np.arange(first_line, first_line + len(starts), dtype=np.int32)
    bad = ragged | with_nul
    rejected = [
        RejectedLine(int(numbers[index]), "nul_byte" if with_nul[index] else "wrong_columns", int(n_cells[index]))
        for index in np.flatnonzero(bad)
    ]
    kept = ~(bad | blank)
    if not kept.all():
        text = b"".join(text[begin:end] for begin, end in _runs(kept, starts, ends))
    return Block(text, numbers[kept], rejected, encoding)


def _lines(text: bytes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Start and end (without LF) of each line, and its number of cells."""
    codes = np.frombuffer(text, dtype=np.uint8)
    ends = np.flatnonzero(codes == ord("\n"))
    starts = np.concatenate(([0], ends[:-1] + 1))
    pipes = np.flatnonzero(codes == ord(DELIMITER))
    seen = np.searchsorted(pipes, ends)
    return starts, ends, np.diff(seen, prepend=0) + 1


def _runs(
    kept: npt.NDArray[np.bool_], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> Iterator[tuple[int, int]]:
    """Byte ranges of unbroken runs of kept lines."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], kept, [False])).astype(np.int8)))
    for first, past in zip(edges[::2], edges[1::2], strict=True):
        yield int(starts[first]), int(ends[past - 1]) + 1


def split_cells(text: bytes, positions: dict[str, int], n_cells: int) -> pl.DataFrame:
    """One text column for each column of `positions` (name to place in the line), empty as null, blanks stripped."""
    names = [f"_{place}" for place in range(n_cells)]
    for name, place in positions.items():
        names[place] = name
    frame = pl.read_csv(
        BytesIO(text),
        separator=DELIMITER,
        has_header=False,
        quote_char=None,
        schema=dict.fromkeys(names, pl.String),
        columns=sorted(positions.values()),
    )
    if text.startswith(b" ") or any(sign in text for sign in _PADDED):
        frame = frame.with_columns(pl.all().str.strip_chars(_BLANKS).replace("", None))
    return frame
