"""From bytes to columns of text: encoding, header, and lines that do not have the header's number of cells."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from io import BytesIO
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from ruam.settings import ZipLimits

UTF8_BOM = b"\xef\xbb\xbf"
DELIMITER = "|"
MAX_STRAY_MARKS = 0.5
"""Share of a line's Thai vowel signs and tone marks that may follow no Thai letter. In Thai none does; a text of
another encoding, whose accented letters cp874 reads as such signs, has little else."""
LETTERS_A_STRAY_MARK = 4
"""A line with so many Thai letters for each such mark is Thai all the same: a clerk typed it before its letter."""
MAX_NAME_LENGTH = 64
"""Characters of an unknown column's name that a receipt keeps."""

_Indices = npt.NDArray[np.int64]
"""Of lines in a block or of bytes in a text, in order."""

_BLANKS = " \t"
_UTF8_THAI = re.compile(rb"\xe0[\xb8\xb9][\x80-\xbf]")
_MARKS = re.compile(rb"^(?:\xef\xbb\xbf)+", re.MULTILINE)
"""Byte order marks at the beginning of a line: there is one in the middle where files were glued together."""
_SURROGATE = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
_NEITHER = b"\xff"
"""A byte that is nothing in UTF-8 and nothing in cp874: stands for what could not be read."""
_MOST_KEPT = 8192
"""Characters of a header that is kept in case it comes again."""
_DEFAULT_LIMITS = ZipLimits()
_NO_LINES = np.empty(0, np.int64)


class UndecodableError(ValueError):
    """Neither UTF-8 nor believable cp874."""


class EncodingProbe:
    """Tells what a member is written in when all its bytes, fed piece by piece, are written in one encoding.

    `encoding` is `ascii`, `utf-8`, `utf-16-le` or `utf-16-be`; None when each line must tell for itself. It is asked
    of the whole because a line alone can mislead: a hospital's "รพ.สต." in cp874 is good UTF-8 of something else.
    """

    def __init__(self) -> None:
        self.head = b""
        self._is_ascii = self._is_utf8 = True
        self._begun = b""

    def add(self, piece: bytes) -> None:
        if len(self.head) < 8:
            self.head += piece[: 8 - len(self.head)]
        if not self._is_utf8 or (not self._begun and piece.isascii()):
            return
        self._is_ascii = False
        piece = self._begun + piece
        try:
            _, read = codecs.utf_8_decode(piece, "strict", False)
        except UnicodeDecodeError:
            self._is_utf8 = False
        else:
            self._begun = piece[read:]

    @property
    def encoding(self) -> str | None:
        if self._is_ascii and b"\0" not in self.head:
            return "ascii"
        if utf_16 := _utf_16_of(self.head[:4]):
            return utf_16
        if self._is_ascii:
            return "ascii"
        return "utf-8" if self._is_utf8 and not self._begun else None


def _utf_16_of(head: bytes) -> str | None:
    """By the byte order mark, else by the NUL bytes between two letters of ASCII (RFC 4627, section 3)."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16-le" if head.startswith(codecs.BOM_UTF16_LE) else "utf-16-be"
    if b"\0" in head and head.isascii() and [byte > 0 for byte in head] in ([True, False] * 2, [False, True] * 2):
        return "utf-16-le" if head[0] else "utf-16-be"
    return None


def utf_16_to_utf_8(pieces: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """The same text in UTF-8. A lone half of a character becomes a byte that makes its line undecodable."""
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    for piece in pieces:
        text = decoder.decode(piece).encode("utf-8", "surrogatepass")
        yield _SURROGATE.sub(_NEITHER, text)
    if decoder.getstate()[0]:
        yield _NEITHER


def line_blocks(pieces: Iterable[bytes], max_line_bytes: int) -> Iterator[bytes]:
    """Blocks of whole lines, each ended by LF; CRLF and a lone CR end a line too.

    Of a line longer than `max_line_bytes` that is not within one piece, one byte more than that is kept.
    """
    rest, after_cr = b"", False
    for piece in pieces:
        # Half a character is no text yet, and tells nothing of what follows a CR.
        if not piece:
            continue
        text = piece.removeprefix(b"\n") if after_cr else piece
        after_cr = piece.endswith(b"\r")
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        cut = text.rfind(b"\n") + 1
        if cut:
            yield rest + text[:cut]
            rest = text[cut:]
        else:
            rest += text
        rest = rest[: max_line_bytes + 1]
    if rest:
        yield rest + b"\n"


def to_utf8(block: bytes) -> tuple[bytes, str]:
    """The block as UTF-8, and the encoding it came in: `ascii`, `utf-8`, `cp874` or `mixed`.

    Strict UTF-8 first, else line by line (`decode_lines`). Raises `UndecodableError`.
    """
    if block.isascii():
        return block, "ascii"
    if _is_utf8(block):
        return block, "utf-8"
    text, encoding, undecodable = decode_lines(block)
    if len(undecodable):
        raise UndecodableError(f"line {undecodable[0] + 1} is neither UTF-8 nor Thai in cp874")
    return text, encoding


def decode_lines(block: bytes, encoding: str | None = None) -> tuple[bytes, str, _Indices]:
    """The block as UTF-8, the encoding it came in, and the indices of undecodable lines, which are emptied.

    `encoding` is what the whole member is known to be written in (`EncodingProbe`); text from UTF-16 is UTF-8 by
    now. Without it each line tells for itself: it is UTF-8 when it is that and holds Thai, else cp874 (which holds
    TIS-620) when it is that and what comes out is Thai, else UTF-8 of anything. Lines around it never matter, so
    that a text cut anywhere gives the same.
    """
    if block.isascii():
        return block, "utf-16" if encoding == "utf-16" else "ascii", _NO_LINES
    if encoding == "utf-8" or (encoding == "utf-16" and _is_utf8(block)):
        return block, encoding, _NO_LINES
    ends = _line_ends(block)
    if encoding == "utf-16":
        lines = block.split(b"\n")
        undecodable = np.array([at for at, line in enumerate(lines) if not _is_utf8(line)], np.int64)
        return _emptied(block, undecodable, ends), encoding, undecodable
    utf8, not_cp874 = _with_utf8_thai(block, ends)
    text, failed = _cp874_to_utf8(_emptied(block, np.union1d(utf8, not_cp874), ends))
    if not (len(utf8) or len(not_cp874) or len(failed)):
        return text, "cp874", _NO_LINES
    found = set() if text.isascii() else {"cp874"}
    failed = np.setdiff1d(np.union1d(failed, not_cp874), utf8)
    rescued = [at for at in failed.tolist() if _is_utf8(_line(block, at, ends))]
    kept = [*utf8.tolist(), *rescued]
    if kept:
        found.add("utf-8")
        lines = text.split(b"\n")
        for at in kept:
            lines[at] = _line(block, at, ends)
        text = b"\n".join(lines)
    label = "mixed" if len(found) > 1 else next(iter(found), "unknown")
    return text, label, np.setdiff1d(failed, rescued)


def _with_utf8_thai(block: bytes, ends: _Indices) -> tuple[_Indices, _Indices]:
    """Lines that are UTF-8 and hold Thai in it, and lines that hold two letters of it one after the other.

    In cp874 that were twice SARA E, each time before THO THONG or NO NU and one more: no Thai word has that.
    """
    if not _UTF8_THAI.search(block):
        return _NO_LINES, _NO_LINES
    codes = np.frombuffer(block, np.uint8)
    is_thai = np.zeros(len(codes) + 1, np.bool_)
    is_thai[: len(codes) - 2] = (codes[:-2] == 0xE0) & (codes[1:-1] & 0xFE == 0xB8) & (codes[2:] & 0xC0 == 0x80)
    places = np.flatnonzero(is_thai)
    doubled = places[is_thai[np.minimum(places + 3, len(codes))]]
    held, twice = (np.unique(np.searchsorted(ends, found)) for found in (places, doubled))
    utf8 = [at for at in held.tolist() if _is_utf8(_line(block, at, ends))]
    return np.array(utf8, np.int64), twice


def _line(text: bytes, index: int, ends: _Indices) -> bytes:
    """One line without its end; the last may have none."""
    return text[ends[index - 1] + 1 if index else 0 : ends[index] if index < len(ends) else len(text)]


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


_OTHER, _THAI, _MARK, _UNDEFINED = range(4)


def _cp874_class(byte: int) -> int:
    try:
        character = bytes([byte]).decode("cp874")
    except UnicodeDecodeError:
        return _UNDEFINED
    if character == "\u0e31" or "\u0e34" <= character <= "\u0e3a" or "\u0e47" <= character <= "\u0e4e":
        return _MARK
    return _THAI if "\u0e01" <= character <= "\u0e4e" else _OTHER


_CP874_CLASSES = bytes(_cp874_class(byte) for byte in range(256))
"""For `bytes.translate`: whether a byte is a Thai letter, a mark that stands above or below one, nothing, or other."""


def _cp874_to_utf8(block: bytes) -> tuple[bytes, _Indices]:
    """The block read as cp874, and the indices of lines that cannot be that or are not Thai; those are emptied."""
    classes = np.frombuffer(block.translate(_CP874_CLASSES), np.uint8)
    is_mark = classes == _MARK
    strays = is_mark.copy()
    strays[1:] &= classes[:-1] == _OTHER
    undefined = np.flatnonzero(classes == _UNDEFINED)
    failed = _NO_LINES
    if len(undefined) or strays.any():
        ends = _line_ends(block)
        marks_in, strays_in, letters_in = (
            np.bincount(np.searchsorted(ends, np.flatnonzero(found)), minlength=len(ends) + 1)
            for found in (is_mark, strays, classes == _THAI)
        )
        bad = (strays_in > MAX_STRAY_MARKS * marks_in) & (LETTERS_A_STRAY_MARK * strays_in > letters_in)
        bad[np.searchsorted(ends, undefined)] = True
        failed = np.flatnonzero(bad)
        block = _emptied(block, failed, ends)
    return block.decode("cp874").encode("utf-8"), failed


def _line_ends(text: bytes) -> _Indices:
    return np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord("\n"))


def _emptied(text: bytes, lines: _Indices, ends: _Indices) -> bytes:
    """The text with nothing left in `lines` (indices in order) but their ends; the last line may have none."""
    if not len(lines):
        return text
    bounds = np.concatenate(([-1], ends, [len(text)]))
    cuts = np.concatenate(([0], np.column_stack((bounds[lines] + 1, bounds[lines + 1])).ravel(), [len(text)])).tolist()
    return b"".join(text[begin:end] for begin, end in zip(cuts[::2], cuts[1::2], strict=True))


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


@dataclass(frozen=True, eq=False)
class Shape:
    """Where each column of a file stands in a line (name to place), and how many cells a line has.

    Headers of one shape share one, which is equal to itself alone.
    """

    positions: Mapping[str, int]
    n_cells: int


@lru_cache(maxsize=512)
def _shape(positions: tuple[tuple[str, int], ...], n_cells: int) -> Shape:
    return Shape(dict(positions), n_cells)


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
    fault: str | None = None
    """A rule that every line under this header breaks."""

    @cached_property
    def shape(self) -> Shape:
        return _shape(tuple(self.positions.items()), self.n_cells)


def read_header(first_line: str, contract: Layouts, limits: ZipLimits = _DEFAULT_LIMITS) -> Header | None:
    """Map columns by header name; by position only when the first line is no header.

    None when there is no header and no edition of the contract has that number of columns, when nothing under the
    header belongs to the contract, or when the line is longer than any may be. Of a name that stands twice, the first
    column counts.
    """
    if len(first_line.encode()) > limits.max_line_bytes:
        return None
    if len(first_line) > _MOST_KEPT:
        return _header_of(first_line, contract, limits.max_header_cells)
    return _kept_header(first_line, _Same(contract), limits.max_header_cells)


@dataclass(frozen=True, eq=False)
class _Same:
    """Layouts as a key: equal to themselves alone."""

    layouts: Layouts

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.layouts is self.layouts

    def __hash__(self) -> int:
        return id(self.layouts)


@lru_cache(maxsize=512)
def _kept_header(first_line: str, contract: _Same, max_cells: int) -> Header | None:
    """Programs write the same header over and over."""
    return _header_of(first_line, contract.layouts, max_cells)


def _header_of(first_line: str, contract: Layouts, max_cells: int) -> Header | None:
    n_cells = first_line.count(DELIMITER) + 1
    if n_cells > max_cells:
        is_header = "HOSPCODE" in first_line.upper()
        return Header({}, n_cells, is_header, "unknown", missing=[], unknown=[], fault="too_many_columns")
    cells = [cell.strip().strip('"\ufeff').upper() for cell in first_line.split(DELIMITER)]
    cells = [contract.aliases.get(cell, cell) for cell in cells]
    known = set(contract.by_name).union(*contract.editions.values())
    if "HOSPCODE" in known.intersection(cells) or 2 * sum(cell in known for cell in cells) > len(cells):
        names = cells
    else:
        fitting = [columns for columns in contract.editions.values() if len(columns) == len(cells)]
        if not fitting:
            return None
        names = list(next((columns for columns in reversed(fitting) if _has_stamp(cells, columns)), fitting[-1]))
    positions: dict[str, int] = {}
    repeated = []
    for index, name in enumerate(names):
        if name in positions:
            repeated.append(f"{name} (again)")
        elif name in contract.by_name:
            positions[name] = index
    if not positions:
        return None
    return Header(
        positions=positions,
        n_cells=n_cells,
        is_header=names is cells,
        layout=_layout(set(names), contract.editions),
        missing=[name for name in contract.by_name if name not in positions],
        unknown=[name[:MAX_NAME_LENGTH] for name in names if name and name not in known] + repeated,
    )


def _has_stamp(cells: list[str], columns: Sequence[str]) -> bool:
    """Whether D_UPDATE, by its place, is a time: tells editions of equal width apart (ADDRESS of 2016 and 2.4.1)."""
    return "D_UPDATE" in columns and re.fullmatch("[12][0-9]{13}", cells[columns.index("D_UPDATE")]) is not None


def _layout(names: set[str], editions: Mapping[Any, Sequence[str]]) -> str:
    fitting = [version for version, columns in editions.items() if names.issuperset(columns)]
    return str(fitting[-1]) if fitting else "partial"


@dataclass(frozen=True)
class Block:
    """Lines of one block that have the header's number of cells: UTF-8 text, and the number of each line."""

    text: bytes
    lines: npt.NDArray[np.int32]
    rejected: pl.DataFrame
    """`source_line, rule`: the lines that were set aside."""
    encoding: str

    @classmethod
    def all_rejected(cls, block: bytes, first_line: int, rule: str, encoding: str = "unknown") -> Block:
        """Every line of `block` that is not empty, set aside for one reason."""
        return cls(b"", np.empty(0, np.int32), rejected_lines(block, first_line, rule), encoding)


_RULES = np.array(["", "line_too_long", "undecodable", "wrong_columns", "nul_byte"], dtype=object)
_SOUND, _TOO_LONG, _UNDECODABLE, _WRONG_COLUMNS, _NUL_BYTE = range(len(_RULES))
_NONE_REJECTED = pl.DataFrame(schema={"source_line": pl.Int32, "rule": pl.String})


def read_lines(
    block: bytes,
    header: Header,
    first_line: int,
    encoding: str | None = None,
    limits: ZipLimits = _DEFAULT_LIMITS,
) -> Block:
    """Sort the lines of a block of whole lines into readable and rejected.

    `first_line` is the number of the block's first line in the member, `encoding` that of the whole member where it
    has one. Empty lines are no rows. Lines that are too long, cannot be decoded, have another number of cells than
    the header, or hold a NUL byte are set aside: a shifted column must never be read. A byte order mark before a line
    is no part of it.
    """
    if header.fault:
        return Block.all_rejected(block, first_line, header.fault, encoding or "unknown")
    block, too_long = _without_long_lines(block, limits.max_line_bytes)
    block = _without_marks(block)
    text, encoding, undecodable = decode_lines(block, encoding)
    sorted_ = sort_lines(text, header.n_cells, undecodable, too_long)
    numbers = np.arange(first_line, first_line + len(sorted_.kept), dtype=np.int32)
    return Block(sorted_.text, numbers[sorted_.kept], sorted_.rejected(numbers), encoding)


@dataclass(frozen=True)
class Sorted:
    """Lines of a text: those that are sound (`text`), which they are (`kept`), and which rule another breaks."""

    text: bytes
    kept: npt.NDArray[np.bool_]
    rules: npt.NDArray[np.uint8]

    def rejected(self, numbers: npt.NDArray[np.int32]) -> pl.DataFrame:
        """`source_line, rule` of the lines that break one; `numbers` are those of all lines."""
        bad = np.flatnonzero(self.rules)
        if not len(bad):
            return _NONE_REJECTED
        return pl.DataFrame({"source_line": numbers[bad], "rule": pl.Series(_RULES[self.rules[bad]], dtype=pl.String)})


def sort_lines(text: bytes, n_cells: int, undecodable: _Indices = _NO_LINES, too_long: _Indices = _NO_LINES) -> Sorted:
    """Sort the lines of a decoded text (each ended by LF) by whether they have `n_cells` cells and no NUL byte."""
    starts, ends, found = _lines(text)
    blank = ends == starts
    ragged = (found != n_cells) & ~blank
    rules = np.where(ragged, np.uint8(_WRONG_COLUMNS), np.uint8(_SOUND))
    if b"\0" in text:
        at = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == 0)
        with_nul = np.zeros_like(ragged)
        with_nul[np.searchsorted(ends, at)] = True
        rules[with_nul & ~ragged] = _NUL_BYTE
    rules[undecodable] = _UNDECODABLE
    rules[too_long] = _TOO_LONG
    kept = (rules == _SOUND) & ~blank
    if not kept.all():
        text = b"".join(text[begin:end] for begin, end in _runs(kept, starts, ends))
    return Sorted(text, kept, rules)


def decoded(block: bytes, encoding: str | None, limits: ZipLimits) -> tuple[bytes, str] | None:
    """The text of a block of whole lines and what it came in; None when one of its lines cannot be read as text or is
    too long, so that they must be looked at one by one (`read_lines`)."""
    block, too_long = _without_long_lines(block, limits.max_line_bytes)
    text, found, undecodable = decode_lines(_without_marks(block), encoding)
    return None if len(too_long) or len(undecodable) else (text, found)


def rejected_lines(block: bytes, first_line: int, rule: str) -> pl.DataFrame:
    """`source_line, rule` of every line of the block that is not empty."""
    starts, ends, _ = _lines(_without_marks(block))
    numbers = (np.flatnonzero(ends > starts) + first_line).astype(np.int32)
    return pl.DataFrame({"source_line": numbers}).with_columns(pl.lit(rule).alias("rule"))


def _without_marks(block: bytes) -> bytes:
    return block if block.isascii() or UTF8_BOM not in block else _MARKS.sub(b"", block)


def _without_long_lines(block: bytes, most: int) -> tuple[bytes, _Indices]:
    """The block with its lines of more than `most` bytes emptied, and their indices."""
    at = 0
    while at + most < len(block):
        end = block.rfind(b"\n", at, at + most + 1)
        if end < 0:
            ends = _line_ends(block)
            too_long = np.flatnonzero(np.diff(ends, prepend=-1) - 1 > most)
            return _emptied(block, too_long, ends), too_long
        at = end + 1
    return block, _NO_LINES


def _lines(text: bytes) -> tuple[_Indices, _Indices, _Indices]:
    """Start and end (without LF) of each line, and its number of cells."""
    ends = _line_ends(text)
    starts = np.concatenate(([0], ends[:-1] + 1))
    pipes = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord(DELIMITER))
    seen = np.searchsorted(pipes, ends)
    return starts, ends, np.diff(seen, prepend=0) + 1


def _runs(kept: npt.NDArray[np.bool_], starts: _Indices, ends: _Indices) -> Iterator[tuple[int, int]]:
    """Byte ranges of unbroken runs of kept lines."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], kept, [False])).astype(np.int8)))
    for first, past in zip(edges[::2], edges[1::2], strict=True):
        yield int(starts[first]), int(ends[past - 1]) + 1


def _is_padded(text: bytes) -> bool:
    """Whether a cell may begin or end with a blank. Most texts hold few blanks or none, so each is looked at."""
    if b"\t" in text:
        return True
    if b" " not in text:
        return False
    codes = np.frombuffer(text, dtype=np.uint8)
    blanks = np.flatnonzero(codes == ord(" "))
    beside = codes[np.concatenate((np.maximum(blanks - 1, 0), np.minimum(blanks + 1, len(codes) - 1)))]
    at_edge = blanks[0] == 0 or blanks[-1] == len(codes) - 1
    return bool(at_edge or ((beside == ord(DELIMITER)) | (beside == ord("\n"))).any())


def split_cells(text: bytes, positions: Mapping[str, int], n_cells: int) -> pl.DataFrame:
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
    if _is_padded(text):
        frame = frame.with_columns(pl.all().str.strip_chars(_BLANKS).replace("", None))
    return frame
