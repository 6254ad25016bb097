"""One delivery: who sent it and when (by its name), and what lies in the zip, without extracting it."""

from __future__ import annotations

import hashlib
import lzma
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path, PurePosixPath

from ingestion.feed import Feed, feed_of_token, load_feeds
from ingestion.gzipped import gunzipped
from ruam.settings import ZipLimits

BLOCK_BYTES = 16 << 20
BUDDHIST_ERA_FROM = 2400
"""A year from here on is Buddhist Era (C.E. + 543): no living person's record is dated C.E. 2400."""

_LOCAL_HEADER = b"PK\x03\x04"
_END_OF_DIRECTORY = b"PK\x05\x06"
_END_RECORD_BYTES = 22
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, RuntimeError)
_JUNK = re.compile(r"(^|/)(__MACOSX/|\.[^/])", re.IGNORECASE)


class DeliveryRejectedError(Exception):
    """The whole delivery cannot be taken in: a stable rule code, and words that name what was wrong."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(rule, message)
        self.rule = rule
        self.message = message


@dataclass(frozen=True)
class Sender:
    hospcode: str
    sent_at: datetime | None
    """Time in the zip's name, naive local time as senders write it."""
    feed: str | None = None
    """The feed that the name announces, if any."""


def sender_of(file_name: str) -> Sender:
    """Who sent a zip and when, by `[<program>_]F43_<HOSPCODE>_<YYYYMMDDHHMMSS>.zip` (domain.md §1.4).

    Another feed has its own word in the place of F43.

    Raises `DeliveryRejectedError` (`bad_zip_name`) when the name bears no facility code.
    """
    tokens = re.split(r"[^0-9A-Za-z]+", PurePosixPath(file_name).stem)
    feeds = feed_of_token()
    announced = [b for a, b in pairwise(tokens) if a.upper() in feeds]
    codes = [token for token in [*announced, *tokens] if re.fullmatch(r"[0-9]{5}", token)]
    if not codes:
        raise DeliveryRejectedError(
            "bad_zip_name", "the name bears no facility code; name it F43_<HOSPCODE>_<YYYYMMDDHHMMSS>.zip"
        )
    times = [time for token in reversed(tokens) if (time := _time_in_name(token))]
    named = next((feeds[token.upper()] for token in tokens if token.upper() in feeds), None)
    return Sender(codes[0], times[0] if times else None, named)


def _time_in_name(token: str) -> datetime | None:
    if not re.fullmatch(r"[0-9]{8}([0-9]{4}([0-9]{2})?)?", token):
        return None
    year = int(token[:4])
    digits = (f"{year - 543:04d}" if year >= BUDDHIST_ERA_FROM else token[:4]) + token[4:].ljust(10, "0")
    try:
        return datetime.strptime(digits, "%Y%m%d%H%M%S")  # noqa: DTZ007 - senders write local time
    except ValueError:
        return None


def content_hash(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@dataclass(frozen=True)
class Member:
    """A member of the zip that holds a table of the feed."""

    table: str
    name: str
    info: zipfile.ZipInfo


def feed_of(announced: str | None, member_names: list[str]) -> Feed:
    """The feed of a delivery: the one its name announces, else the first one that knows most of its members."""
    feeds = load_feeds()
    if announced:
        return feeds[announced]
    return max(feeds.values(), key=lambda feed: sum(feed.table_of(name) is not None for name in member_names))


class DeliveryZip:
    """A zip opened for reading under limits. Use as a context manager.

    Every check of the archive is made in the constructor and `verify`, before a row is parsed. Raises
    `DeliveryRejectedError` with the code of the rule that was broken.
    """

    def __init__(self, path: Path, limits: ZipLimits, announced: str | None = None) -> None:
        self._limits = limits
        self._held: dict[str, bytes] = {}
        _check_frame(path, limits)
        self._zip = _open(path)
        try:
            infos = self._zip.infolist()
            self.feed = feed_of(announced, [info.filename for info in infos[: limits.max_members]])
            self.members, self.ignored = self._select(infos)
            self._verify()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> DeliveryZip:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()
        self._held.clear()

    def _select(self, infos: list[zipfile.ZipInfo]) -> tuple[list[Member], list[str]]:
        if len(infos) > self._limits.max_members:
            raise DeliveryRejectedError(
                "too_many_members", f"{len(infos)} members; {self._limits.max_members} are allowed"
            )
        _check_overlap(infos)
        members: list[Member] = []
        by_table: dict[str, Member] = {}
        ignored = []
        for info in infos:
            name = info.filename
            _check_member(info)
            if info.is_dir() or _JUNK.search(name):
                continue
            table = self.feed.table_of(name)
            if table is None:
                ignored.append(name)
            elif table in by_table and not self.feed.tables[table].several:
                raise DeliveryRejectedError(
                    "duplicate_member", f"{by_table[table].name} and {name} both hold {table}; send one of them"
                )
            else:
                by_table[table] = Member(table, name, info)
                members.append(by_table[table])
        if not members:
            raise DeliveryRejectedError("no_known_member", f"no member is a file of the {self.feed.label_en}")
        return members, ignored

    def _verify(self) -> None:
        """Inflate every member once: a checksum is only known at a member's end, and nothing may be landed before.

        Members of a small delivery are held, so that the usual zip is inflated once.
        """
        total = 0
        hold = sum(member.info.file_size for member in self.members) <= 4 * BLOCK_BYTES
        for member in self.members:
            size = 0
            pieces = []
            for piece in self._inflate(member):
                size += len(piece)
                total += len(piece)
                self._check_size(member, size, total)
                if hold:
                    pieces.append(piece)
            if hold:
                self._held[member.name] = b"".join(pieces)

    def _inflate(self, member: Member) -> Iterator[bytes]:
        """The member's bytes; those of a gzip file inside it when it is one."""
        try:
            with self._zip.open(member.info) as handle:
                pieces = iter(lambda: handle.read(BLOCK_BYTES), b"")
                yield from gunzipped(pieces, BLOCK_BYTES) if member.name.lower().endswith(".gz") else pieces
        except _DAMAGE as error:
            raise DeliveryRejectedError("corrupt_member", f"{member.name} is damaged: {error}") from error

    def _check_size(self, member: Member, size: int, total: int) -> None:
        limits = self._limits
        if size > limits.max_member_bytes:
            raise DeliveryRejectedError(
                "member_too_large", f"{member.name} holds more than {limits.max_member_bytes:,} bytes"
            )
        if total > limits.max_total_bytes:
            raise DeliveryRejectedError(
                "delivery_too_large", f"the members hold more than {limits.max_total_bytes:,} bytes together"
            )
        if size > limits.ratio_applies_from_bytes and size > limits.max_ratio * max(member.info.compress_size, 1):
            raise DeliveryRejectedError(
                "ratio_too_high", f"{member.name} grows more than {limits.max_ratio} times when inflated"
            )

    def pieces(self, member: Member) -> Iterator[bytes]:
        """The member's bytes as they are, cut anywhere."""
        return iter([self._held[member.name]]) if member.name in self._held else self._inflate(member)

    def blocks(self, member: Member) -> Iterator[bytes]:
        """The member's bytes in blocks of whole lines, newlines as LF."""
        rest = b""
        for piece in self.pieces(member):
            text = rest + piece
            cut = text.rfind(b"\n") + 1
            rest = text[cut:]
            if cut:
                yield _with_line_feeds(text[:cut])
        if rest:
            yield _with_line_feeds(rest) + b"\n"


def _open(path: Path) -> zipfile.ZipFile:
    """Names are cp874 unless flagged as UTF-8; one that cannot be is read as the zip's own cp437, which has no gaps."""
    try:
        try:
            return zipfile.ZipFile(path, metadata_encoding="cp874")
        except UnicodeDecodeError:
            return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, RuntimeError, ValueError) as error:
        raise DeliveryRejectedError("unreadable_zip", f"the zip's directory cannot be read: {error}") from error


def _with_line_feeds(block: bytes) -> bytes:
    """CRLF to LF; a lone CR ends a line too."""
    if b"\r" not in block:
        return block
    return block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _check_frame(path: Path, limits: ZipLimits) -> None:
    size = path.stat().st_size
    if size > limits.max_zip_bytes:
        raise DeliveryRejectedError("zip_too_large", f"{size:,} bytes; {limits.max_zip_bytes:,} are allowed")
    with path.open("rb") as handle:
        head = handle.read(len(_LOCAL_HEADER))
        handle.seek(max(0, size - _END_RECORD_BYTES - 65535))
        tail = handle.read()
    if head != _LOCAL_HEADER:
        raise DeliveryRejectedError("unreadable_zip", "the file is not a zip (it does not begin with PK)")
    end = tail.rfind(_END_OF_DIRECTORY)
    if end < 0:
        raise DeliveryRejectedError("unreadable_zip", "the zip is cut off: its directory is missing")
    comment = int.from_bytes(tail[end + 20 : end + 22], "little")
    if len(tail) - end - _END_RECORD_BYTES != comment:
        raise DeliveryRejectedError("unreadable_zip", "bytes follow the end of the zip")


def _check_overlap(infos: list[zipfile.ZipInfo]) -> None:
    """Members that share bytes are a bomb (CVE-2024-0450); Python's reader does not look."""
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise DeliveryRejectedError("overlapping_members", f"{info.filename} shares bytes with another member")
        end = info.header_offset + 30 + len(info.orig_filename) + info.compress_size


def _check_member(info: zipfile.ZipInfo) -> None:
    parts = info.filename.replace("\\", "/").split("/")
    if ".." in parts or parts[0] == "" or ":" in parts[0]:
        raise DeliveryRejectedError("unsafe_member_name", f"{info.filename} points outside the zip")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise DeliveryRejectedError("link_member", f"{info.filename} is a link")
    if info.flag_bits & 0x1:
        raise DeliveryRejectedError("encrypted_member", f"{info.filename} is encrypted; send it without a password")
