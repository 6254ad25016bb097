"""A zip that nobody vouches for: its directory checked as a whole, and its members' bytes, read under limits.

`zipfile` is not asked: it looks at no overlap, believes what the directory declares, inflates bzip2 and LZMA without a
bound, and is slower.
"""

from __future__ import annotations

import bz2
import io
import lzma
import os
import stat
import struct
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from isal import igzip_lib, isal_zlib

from identity.sealing import Sealed, Unsealer
from ingestion.names import shown_name
from ruam.settings import ZipLimits

_LOCAL = struct.Struct("<4s5H3L2H")
"""Signature, version, flags, method, time, date, CRC, packed size, size, length of name, length of extra field."""
_LISTED = struct.Struct("<4s6H3L5H2L")
"""Of the directory: signature, version that made it, version needed, then as in `_LOCAL` from flags to length of extra
field, length of comment, disk, internal and external attributes, offset of the member's own header."""
_END = struct.Struct("<4s4H2LH")
"""Signature, this disk, disk of the directory, entries on this disk, entries, size, offset, length of comment."""
_END_64 = struct.Struct("<4sQ2H2L4Q")
"""Signature, bytes that follow, two versions, then as in `_END`."""
_END_64_LOCATOR = struct.Struct("<4sLQL")
"""Signature, disk of the record, its offset, number of disks."""

_LOCAL_SIGNATURE = b"PK\x03\x04"
_LISTED_SIGNATURE = b"PK\x01\x02"
_SPANNED_SIGNATURES = (b"PK\x07\x08", b"PK00")
_END_SIGNATURE = b"PK\x05\x06"
_END_64_SIGNATURE = b"PK\x06\x06"
_LOCATOR_SIGNATURE = b"PK\x06\x07"
_MOST_COMMENT_BYTES = 0xFFFF
_IN_EXTRA_FIELD, _IN_EXTRA_FIELD_16 = 0xFFFFFFFF, 0xFFFF
"""A size or offset, and a number of entries, of which zip64 tells the true value elsewhere."""

_ENCRYPTED = 0x0001 | 0x0040 | 0x2000
"""Flags of a member, or of the directory, that needs a key."""
_SIZES_FOLLOW = 0x0008
_PATCH = 0x0020
"""The data are a difference to another file."""
_NAME_IN_UTF_8 = 0x0800
_AES = 99
_MOST_VERSION = 63
"""6.3 is the last version of the format that brought anything that is read here."""
_SIZES_64 = 0x0001
"""The extra field in which zip64 tells sizes and offset."""
_INFLATE_ERROR: type[Exception] = igzip_lib.IsalError  # type: ignore[assignment]  # The stub says an instance.
_MOST_LZMA_WINDOW = 64 << 20
_PACKED_BYTES = 1 << 20
_WHOLE_BYTES = 4 << 20
"""A file up to this size is read once and kept: the members of a small zip are many short reads."""


class DeliveryRejectedError(Exception):
    """The whole delivery cannot be taken in: a stable rule code, and words that name what was wrong."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(rule, message)
        self.rule = rule
        self.message = message


class Info(NamedTuple):
    """What the directory says of a member."""

    raw_name: bytes
    flags: int
    method: int
    checksum: int
    """CRC-32 of the inflated bytes."""
    packed_size: int
    size: int
    mode: int
    """Of Unix: kind of file and rights; 0 where it is not told."""
    offset: int
    """Of the member's own header."""


class Entry(NamedTuple):
    """A member as the directory and its own header agree that it is."""

    name: str
    shown: str
    """The name as it may stand in a message or a receipt (`ingestion/names.py`)."""
    place: int
    """Its number among the zip's members, from 1; folders do not count."""
    info: Info
    begin: int
    """Offset of its packed bytes."""

    @property
    def declared_size(self) -> int:
        return self.info.size

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")


@dataclass(frozen=True)
class _Directory:
    n_entries: int
    begin: int
    n_bytes: int


class Archive:
    """A zip opened for reading. Use as a context manager.

    The constructor checks all that can be known without inflating, `read` the rest. Both raise
    `DeliveryRejectedError` with the code of the rule that was broken; a failing disk raises `OSError` as it is.
    """

    entries: list[Entry]
    """In the order of the directory, folders included."""

    def __init__(self, source: Path | Sealed, limits: ZipLimits, extra_feeds: Path | None = None) -> None:
        self._limits = limits
        self._file = _opened(source)
        try:
            directory = _find_directory(self._file, limits)
            entries, place = [], 0
            infos = _read_directory(self._file, directory)
            for info, name in zip(infos, _names(infos), strict=True):
                place += not name.endswith("/")
                shown = shown_name(name, place, extra_feeds)
                _check_entry(info, name, shown, limits)
                entries.append(Entry(name if name.isprintable() else ascii(name)[1:-1], shown, place, info, 0))
            self.entries = self._placed(entries, directory)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    def read(self, entry: Entry, most: int) -> Iterator[bytes]:
        """The member's bytes in pieces of at most `most`. Only after the last is it known that they are sound."""
        whole = self._at_once(entry, most)
        return iter((whole,)) if whole else self._piece_by_piece(entry, most)

    def _piece_by_piece(self, entry: Entry, most: int) -> Iterator[bytes]:
        size = checksum = 0
        # One byte more than the member may hold shows that it holds too much; room for more is not cheap.
        for piece in self._pieces(entry, min(most, entry.declared_size + 1)):
            size += len(piece)
            self.check_size(entry, size)
            if size > entry.declared_size:
                raise DeliveryRejectedError(
                    "wrong_declared_size",
                    f"{entry.shown} holds more than the {entry.declared_size:,} bytes it declares",
                )
            checksum = isal_zlib.crc32(piece, checksum)
            yield piece
        if checksum != entry.info.checksum:
            raise _damaged(entry, "its checksum is another")
        if size != entry.declared_size:
            raise DeliveryRejectedError(
                "wrong_declared_size", f"{entry.shown} holds {size:,} bytes and declares {entry.declared_size:,}"
            )

    def _at_once(self, entry: Entry, most: int) -> bytes | None:
        """A deflated member of a single piece, the usual case; None for all others, and for one that is not sound."""
        info = entry.info
        if info.method != zipfile.ZIP_DEFLATED or max(info.size, info.packed_size) > most:
            return None
        decompressor = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_DEFLATE)
        try:
            piece = decompressor.decompress(self._bytes(entry.begin, info.packed_size), info.size + 1)
        except _INFLATE_ERROR:
            return None
        if len(piece) != info.size or not decompressor.eof or decompressor.unused_data:
            return None
        self.check_size(entry, len(piece))
        return piece if isal_zlib.crc32(piece) == info.checksum else None

    def _pieces(self, entry: Entry, most: int) -> Iterator[bytes]:
        at, end = entry.begin, entry.begin + entry.info.packed_size
        if entry.info.method == zipfile.ZIP_STORED:
            while at < end:
                yield self._bytes(at, min(most, end - at))
                at += most
            return
        if entry.info.method == zipfile.ZIP_LZMA:
            decompressor, at = self._lzma(entry)
        else:
            decompressor = _decompressor(entry)
        while not decompressor.eof:
            packed = b""
            if decompressor.needs_input:
                packed = self._bytes(at, min(_PACKED_BYTES, end - at))
                at += len(packed)
                if not packed:
                    # LZMA may go without a mark at its end; the declared size tells then whether all is there.
                    if entry.info.method == zipfile.ZIP_LZMA:
                        return
                    raise _damaged(entry, "its data are cut off")
            try:
                piece = decompressor.decompress(packed, most)
            except (_INFLATE_ERROR, lzma.LZMAError, OSError, EOFError, ValueError) as error:
                raise _damaged(entry, str(error)) from error
            if piece:
                yield piece
        if decompressor.unused_data or at < end:
            raise _damaged(entry, "bytes follow the end of its data")

    def _lzma(self, entry: Entry) -> tuple[_Decompressor, int]:
        """The decompressor that the member's own header asks for, and where the data behind it begin."""
        header = self._bytes(entry.begin, min(9, entry.info.packed_size))
        n_properties = int.from_bytes(header[2:4], "little")
        window = int.from_bytes(header[5:9], "little")
        if len(header) < 9 or n_properties != 5 or header[4] >= 9 * 5 * 5:
            raise _damaged(entry, "its LZMA header cannot be read")
        if window > _MOST_LZMA_WINDOW:
            raise DeliveryRejectedError(
                "unsupported_compression", f"{entry.shown} is packed by LZMA with a window of {window:,} bytes"
            )
        rest, lc = divmod(header[4], 9)
        pb, lp = divmod(rest, 5)
        wanted = {"id": lzma.FILTER_LZMA1, "dict_size": window, "lc": lc, "lp": lp, "pb": pb}
        try:
            return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[wanted]), entry.begin + 9
        except (lzma.LZMAError, ValueError) as error:
            raise _damaged(entry, str(error)) from error

    def check_size(self, entry: Entry, size: int) -> None:
        """Whether so many bytes may come of a member, once all that packs them is inflated."""
        limits = self._limits
        if size > limits.max_member_bytes:
            raise DeliveryRejectedError(
                "member_too_large", f"{entry.shown} holds more than {limits.max_member_bytes:,} bytes"
            )
        if size > limits.ratio_applies_from_bytes and size > limits.max_ratio * max(entry.info.packed_size, 1):
            raise DeliveryRejectedError(
                "ratio_too_high", f"{entry.shown} grows more than {limits.max_ratio} times when inflated"
            )

    def _placed(self, entries: list[Entry], directory: _Directory) -> list[Entry]:
        """Entries with the place of their data. No two share a byte, with each other or with the directory.

        Members that do are a bomb (CVE-2024-0450).
        """
        placed = entries.copy()
        offsets = [entry.info.offset for entry in entries]
        order = sorted(range(len(entries)), key=offsets.__getitem__)
        if order and offsets[order[0]] != 0:
            raise DeliveryRejectedError("inconsistent_zip", "bytes stand before the first member")
        # Nothing of a member lies behind the directory, whatever another one says of where it begins.
        bounds = [*(min(offsets[index], directory.begin) for index in order[1:]), directory.begin]
        for index, bound in zip(order, bounds, strict=True):
            entry = entries[index]
            room = bound - offsets[index] - _LOCAL.size - entry.info.packed_size
            begin = self._begin_of_data(entry) if room >= 0 else bound
            if begin + entry.info.packed_size > bound or room < 0:
                raise DeliveryRejectedError(
                    "overlapping_members", f"{entry.shown} shares bytes with what follows it in the zip"
                )
            placed[index] = Entry(entry.name, entry.shown, entry.place, entry.info, begin)
        return placed

    def _begin_of_data(self, entry: Entry) -> int:
        """Where the member's data begin, by its own header, which must say what the directory says."""
        info, name = entry.info, entry.info.raw_name
        header = self._bytes(info.offset, _LOCAL.size + len(name))
        signature, _, flags, method, _, _, checksum, packed, size, n_name, n_extra = _LOCAL.unpack_from(header)
        if signature != _LOCAL_SIGNATURE:
            raise DeliveryRejectedError("inconsistent_zip", f"{entry.shown} is not where the directory says")
        allowed = (_IN_EXTRA_FIELD, 0) if flags & _SIZES_FOLLOW else (_IN_EXTRA_FIELD,)
        agrees = (
            method == info.method
            and (flags ^ info.flags) & (_ENCRYPTED | _PATCH | _SIZES_FOLLOW) == 0
            # A name in two encodings is two names.
            and (name.isascii() or (flags ^ info.flags) & _NAME_IN_UTF_8 == 0)
            and n_name == len(name)
            and header.endswith(name, _LOCAL.size)
            and (checksum == info.checksum or checksum in allowed)
            and (packed == info.packed_size or packed in allowed)
            and (size == info.size or size in allowed)
        )
        if not agrees:
            raise DeliveryRejectedError(
                "inconsistent_zip", f"{entry.shown}: its own header and the directory contradict each other"
            )
        return info.offset + _LOCAL.size + int(n_name) + int(n_extra)

    def _bytes(self, at: int, n: int) -> bytes:
        return _read(self._file, at, n)


class _Decompressor(Protocol):
    """What the decompressors of igzip, bzip2 and LZMA have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def _decompressor(entry: Entry) -> _Decompressor:
    match entry.info.method:
        case zipfile.ZIP_DEFLATED:
            return igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_DEFLATE)
        case zipfile.ZIP_BZIP2:
            return bz2.BZ2Decompressor()
        case method:
            raise DeliveryRejectedError(
                "unsupported_compression",
                f"{entry.shown} is packed by method {method}; deflate, bzip2, LZMA and none are read",
            )


def _damaged(entry: Entry, how: str) -> DeliveryRejectedError:
    return DeliveryRejectedError("corrupt_member", f"{entry.shown} is damaged: {how}")


def _opened(source: Path | Sealed) -> BinaryIO | Unsealer:
    file = source.open("rb")
    try:
        if file.seek(0, os.SEEK_END) > _WHOLE_BYTES:
            return file
        whole = io.BytesIO(_read(file, 0, _WHOLE_BYTES))
    except BaseException:
        file.close()
        raise
    file.close()
    return whole


def _read(file: BinaryIO | Unsealer, at: int, n: int) -> bytes:
    file.seek(at)
    return file.read(n)


def _find_directory(file: BinaryIO | Unsealer, limits: ZipLimits) -> _Directory:
    """Where the directory lies, by the record at the file's end, which must fill the file to its last byte."""
    size = file.seek(0, os.SEEK_END)
    if size > limits.max_zip_bytes:
        raise DeliveryRejectedError("zip_too_large", f"{size:,} bytes; {limits.max_zip_bytes:,} are allowed")
    head = _read(file, 0, len(_LOCAL_SIGNATURE))
    if head in _SPANNED_SIGNATURES:
        raise DeliveryRejectedError("split_zip", "the file is a part of a zip that was split")
    if head != _LOCAL_SIGNATURE:
        raise DeliveryRejectedError("unreadable_zip", "the file is not a zip (it does not begin with PK)")
    begin = max(0, size - _END.size - _MOST_COMMENT_BYTES - _END_64_LOCATOR.size - _END_64.size)
    tail = _read(file, begin, size - begin)
    at = tail.rfind(_END_SIGNATURE)
    if at < 0 or len(tail) - at < _END.size:
        raise DeliveryRejectedError("unreadable_zip", "the zip is cut off: its directory is missing")
    _, *disks, here, entries, n_bytes, offset, n_comment = _END.unpack_from(tail, at)
    if len(tail) - at - _END.size != n_comment:
        raise DeliveryRejectedError("unreadable_zip", "bytes follow the end of the zip")
    end = begin + at
    if tail[max(0, at - _END_64_LOCATOR.size) :].startswith(_LOCATOR_SIGNATURE):
        short = (entries, n_bytes, offset)
        end, disks, here, entries, n_bytes, offset = _end_64(tail, begin, at)
        elsewhere = (_IN_EXTRA_FIELD_16, _IN_EXTRA_FIELD, _IN_EXTRA_FIELD)
        told = zip(short, (entries, n_bytes, offset), elsewhere, strict=True)
        if any(one not in others for one, *others in told):
            raise DeliveryRejectedError("inconsistent_zip", "the two ends of the directory contradict each other")
    if any(disks) or here != entries:
        raise DeliveryRejectedError("split_zip", "the file is a part of a zip that was split")
    if entries > limits.max_members:
        raise DeliveryRejectedError("too_many_members", f"{entries:,} members; {limits.max_members} are allowed")
    if n_bytes > limits.max_directory_bytes:
        raise DeliveryRejectedError(
            "directory_too_large", f"{n_bytes:,} bytes of names; {limits.max_directory_bytes:,} are allowed"
        )
    if offset + n_bytes != end:
        raise DeliveryRejectedError("inconsistent_zip", "the directory is not where the end of the zip says")
    return _Directory(entries, offset, n_bytes)


def _end_64(tail: bytes, begin: int, at: int) -> tuple[int, list[int], int, int, int, int]:
    """The zip64 record that stands before the locator, which stands before the end: where it stands, then as `_END`."""
    at -= _END_64_LOCATOR.size
    _, disk, offset, n_disks = _END_64_LOCATOR.unpack_from(tail, at)
    at -= _END_64.size
    if at < 0 or begin + at != offset or tail[at : at + 4] != _END_64_SIGNATURE:
        raise DeliveryRejectedError("inconsistent_zip", "the zip64 record is not where its locator says")
    _, follow, _, _, *disks, here, entries, n_bytes, directory = _END_64.unpack_from(tail, at)
    if follow != _END_64.size - 12:
        raise DeliveryRejectedError("inconsistent_zip", "the zip64 record has another length than it says")
    return offset, [disk, n_disks > 1, *disks], here, entries, n_bytes, directory


def _read_directory(file: BinaryIO | Unsealer, directory: _Directory) -> list[Info]:
    """What the directory says of each member, in its order."""
    content, at, infos = _read(file, directory.begin, directory.n_bytes), 0, []
    while at < len(content):
        begin = at + _LISTED.size
        if begin > len(content):
            raise _unreadable_directory("it is cut off")
        signature, _, version, flags, method, _, _, *numbers, n_name, n_extra, n_comment, _, _, attributes, offset = (
            _LISTED.unpack_from(content, at)
        )
        extra, at = begin + n_name, begin + n_name + n_extra + n_comment
        if signature != _LISTED_SIGNATURE or at > len(content):
            raise _unreadable_directory("a member is not where the one before it ends")
        if version & 0xFF > _MOST_VERSION:
            raise _unreadable_directory(f"it is of version {(version & 0xFF) / 10}")
        checksum, packed_size, size = numbers
        if n_extra:
            fields = content[extra : extra + n_extra]
            size, packed_size, offset = _with_zip64(fields, size, packed_size, offset)
        name = content[begin:extra]
        infos.append(Info(name, flags, method, checksum, packed_size, size, attributes >> 16, offset))
    if len(infos) != directory.n_entries:
        raise DeliveryRejectedError("inconsistent_zip", "the directory has another number of members than it says")
    return infos


def _with_zip64(fields: bytes, *told: int) -> list[int]:
    """Size, packed size and offset; those that a member's extra fields tell of in their stead."""
    numbers = list(told)
    while len(fields) >= 4:
        kind, n = struct.unpack_from("<2H", fields)
        if 4 + n > len(fields):
            raise _unreadable_directory("an extra field is cut off")
        if kind == _SIZES_64:
            elsewhere = [place for place, number in enumerate(numbers) if number == _IN_EXTRA_FIELD]
            if n < 8 * len(elsewhere):
                raise _unreadable_directory("a zip64 field is cut off")
            for place, true in zip(
                elsewhere, struct.iter_unpack("<Q", fields[4 : 4 + 8 * len(elsewhere)]), strict=True
            ):
                numbers[place] = true[0]
        fields = fields[4 + n :]
    return numbers


def _names(infos: list[Info]) -> list[str]:
    """Those not flagged as UTF-8 are cp874; if one of them cannot be, the cp437 of zips, which has no gaps."""
    for encoding in ("cp874", "cp437"):
        try:
            return [info.raw_name.decode("utf-8" if info.flags & _NAME_IN_UTF_8 else encoding) for info in infos]
        except UnicodeDecodeError:
            continue
    raise _unreadable_directory("a name is not the UTF-8 that it should be")


def _unreadable_directory(why: str) -> DeliveryRejectedError:
    return DeliveryRejectedError("unreadable_zip", f"the zip's directory cannot be read: {why}")


def _check_entry(info: Info, name: str, shown: str, limits: ZipLimits) -> None:
    if len(name) > limits.max_name_length:
        raise DeliveryRejectedError(
            "member_name_too_long", f"a name of {len(name):,} characters; {limits.max_name_length} are allowed"
        )
    if not name.isprintable() and any(unicodedata.category(character) == "Cc" for character in name):
        raise DeliveryRejectedError("unsafe_member_name", f"{shown} has control characters in its name")
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or parts[0] == "" or ":" in parts[0]:
        raise DeliveryRejectedError("unsafe_member_name", f"{shown} points outside the zip")
    if stat.S_IFMT(info.mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise DeliveryRejectedError("link_member", f"{shown} is a link or a device")
    if info.flags & _PATCH:
        raise DeliveryRejectedError("unsupported_compression", f"{shown} is a patch; send the file itself")
    if info.flags & _ENCRYPTED or info.method == _AES:
        raise DeliveryRejectedError("encrypted_member", f"{shown} is encrypted; send it without a password")
