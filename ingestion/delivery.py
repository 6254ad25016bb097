"""One delivery: who sent it and when (by its name), and what lies in the zip, without extracting it."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from identity.sealing import Sealed
from ingestion.archive import Archive, DeliveryRejectedError, Entry
from ingestion.feed import Feed, load_feeds, words
from ingestion.gzipped import gunzipped
from ingestion.text import EncodingProbe, line_blocks, utf_16_to_utf_8
from ruam.settings import ZipLimits

__all__ = [
    "BLOCK_BYTES",
    "BUDDHIST_ERA_FROM",
    "HELD_BYTES",
    "DeliveryRejectedError",
    "DeliveryZip",
    "Member",
    "Sender",
    "content_hash",
    "feed_of",
    "sender_of",
]

BLOCK_BYTES = 1 << 20
"""Text that is looked at together. What a hostile text can make of a block (a row of each byte) is a hundredfold."""
HELD_BYTES = 32 << 20
"""Members of a delivery up to this size are inflated once and held."""
BUDDHIST_ERA_FROM = 2400
"""A year from here on is Buddhist Era (C.E. + 543): no living person's record is dated C.E. 2400."""

_JUNK = re.compile(r"(^|/)(__MACOSX/|\.[^/])", re.IGNORECASE)
_ARCHIVES = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\xfd7zXZ\0")
"""How a zip, an empty zip, gzip, 7z, RAR and xz begin; no text does."""


@dataclass(frozen=True)
class Sender:
    hospcode: str
    sent_at: datetime | None
    """Time in the zip's name, naive local time as senders write it."""
    feed: str | None = None
    """The feed that the name announces, if any."""


def sender_of(file_name: str, extra_feeds: Path | None = None) -> Sender:
    """Who sent a zip and when, by `[<program>_]F43_<HOSPCODE>_<YYYYMMDDHHMMSS>.zip` (domain.md §1.4).

    Another feed has its own word in the place of F43; `extra_feeds` is the folder of those that are not built in.

    Raises `DeliveryRejectedError` (`bad_zip_name`) when the name bears no facility code.
    """
    tokens = re.split(r"[^0-9A-Za-z]+", PurePosixPath(file_name).stem)
    feeds = words(load_feeds(extra_feeds))
    announced = [b for a, b in pairwise(tokens) if a.upper() in feeds]
    codes = [token for token in [*announced, *tokens] if re.fullmatch(r"[0-9]{5}", token)]
    if not codes:
        raise DeliveryRejectedError(
            "bad_zip_name", "the name bears no facility code; name it F43_<HOSPCODE>_<YYYYMMDDHHMMSS>.zip"
        )
    times = [time for token in reversed(tokens) if (time := _time_in_name(token))]
    before_code = [a for a, b in pairwise(tokens) if b == codes[0]]
    named = next((feeds[token.upper()] for token in [*before_code, *tokens] if token.upper() in feeds), None)
    return Sender(codes[0], times[0] if times else None, named)


def _time_in_name(token: str) -> datetime | None:
    if not re.fullmatch(r"[0-9]{8}([0-9]{4}([0-9]{2})?)?", token):
        return None
    year = int(token[:4])
    month, day, hour, minute, second = (int(token[at : at + 2] or 0) for at in range(4, 14, 2))
    try:
        # Senders write local time.
        return datetime(year - 543 * (year >= BUDDHIST_ERA_FROM), month, day, hour, minute, second)  # noqa: DTZ001
    except ValueError:
        return None


def content_hash(source: Path | Sealed) -> str:
    """SHA-256 of a file's plain bytes, hex."""
    with source.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


class Member(NamedTuple):
    """A member of the zip that holds a table of the feed."""

    table: str
    name: str
    entry: Entry

    @property
    def shown(self) -> str:
        return self.entry.shown


def feed_of(announced: str | None, member_names: list[str], extra_feeds: Path | None = None) -> Feed:
    """The feed of a delivery: the one its name announces, else the first one that knows most of its members."""
    return load_feeds(extra_feeds)[announced] if announced else _feed_that_knows(tuple(member_names), extra_feeds)


@lru_cache(maxsize=256)
def _feed_that_knows(member_names: tuple[str, ...], extra_feeds: Path | None) -> Feed:
    """Programs name the members of all their zips alike."""
    feeds = load_feeds(extra_feeds).values()
    return max(feeds, key=lambda feed: sum(feed.table_of(name) is not None for name in member_names))


class DeliveryZip:
    """A zip opened for reading under limits. Use as a context manager.

    Every check of the archive is made in the constructor, before a row is parsed. Raises `DeliveryRejectedError`
    with the code of the rule that was broken.
    """

    members: list[Member]
    ignored: list[str]
    """Members that hold no table of the feed, by the names that may be shown."""

    def __init__(
        self, source: Path | Sealed, limits: ZipLimits, announced: str | None = None, extra_feeds: Path | None = None
    ) -> None:
        self.limits = limits
        self._held: dict[str, list[bytes]] = {}
        self._encodings: dict[str, str | None] = {}
        self._archive = Archive(source, limits, extra_feeds)
        try:
            self.feed = feed_of(announced, [entry.name for entry in self._archive.entries], extra_feeds)
            self.members, self.ignored = _select(self.feed, self._archive.entries)
            self._verify()
        except BaseException:
            self._archive.close()
            raise

    def __enter__(self) -> DeliveryZip:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()
        self._held.clear()

    def _verify(self) -> None:
        """Inflate every member once: a checksum is only known at a member's end, and nothing may be landed before.

        Members of a small delivery are held, so that the usual zip is inflated once. What a gzip among them becomes is
        known at its end only.
        """
        total = 0
        hold = sum(member.entry.declared_size for member in self.members) <= HELD_BYTES
        for member in self.members:
            probe = EncodingProbe()
            pieces: list[bytes] = []
            for piece in self._inflated(member):
                total += len(piece)
                if total > self.limits.max_total_bytes:
                    raise DeliveryRejectedError(
                        "delivery_too_large",
                        f"the members hold more than {self.limits.max_total_bytes:,} bytes together",
                    )
                probe.add(piece)
                if hold and total > HELD_BYTES:
                    hold = False
                    pieces.clear()
                    self._held.clear()
                if hold:
                    pieces.append(piece)
            if probe.head.startswith(_ARCHIVES):
                raise DeliveryRejectedError(
                    "nested_archive", f"{member.shown} is itself an archive; put the text file into the zip"
                )
            self._encodings[member.name] = probe.encoding
            if hold:
                self._held[member.name] = pieces

    def _inflated(self, member: Member) -> Iterator[bytes]:
        """The member's bytes; those of a gzip file inside it when its name says that it is one."""
        packed = self._archive.read(member.entry, BLOCK_BYTES)
        return self._gunzipped(member, packed) if member.name.lower().endswith(".gz") else packed

    def _gunzipped(self, member: Member, packed: Iterator[bytes]) -> Iterator[bytes]:
        size = 0
        try:
            for piece in gunzipped(packed, BLOCK_BYTES):
                size += len(piece)
                self._archive.check_size(member.entry, size)
                yield piece
        except (zlib.error, EOFError) as error:
            raise DeliveryRejectedError("corrupt_member", f"{member.shown} is damaged: {error}") from error

    def encoding(self, member: Member) -> str | None:
        """What the whole member is written in: `ascii`, `utf-8` or `utf-16`; None when its lines must tell, each."""
        encoding = self._encodings[member.name]
        return "utf-16" if encoding and encoding.startswith("utf-16") else encoding

    def pieces(self, member: Member) -> Iterator[bytes]:
        """The member's bytes as they are, in pieces of at most `BLOCK_BYTES`."""
        return iter(self._held.get(member.name) or self._inflated(member))

    def blocks(self, member: Member) -> Iterator[bytes]:
        """The member's bytes in blocks of whole lines, newlines as LF, UTF-16 as UTF-8.

        Of a line longer than `max_line_bytes` it may be that only one byte more than that is there.
        """
        pieces = self.pieces(member)
        encoding = self._encodings[member.name]
        if encoding and encoding.startswith("utf-16"):
            pieces = utf_16_to_utf_8(pieces, encoding)
        return line_blocks(pieces, self.limits.max_line_bytes)


def _select(feed: Feed, entries: list[Entry]) -> tuple[list[Member], list[str]]:
    members: list[Member] = []
    by_table: dict[str, Member] = {}
    ignored = []
    for entry in entries:
        name = entry.name
        if entry.is_folder or _JUNK.search(name):
            continue
        table = feed.table_of(name)
        if table is None:
            ignored.append(entry)
        elif table in by_table and not feed.tables[table].several:
            raise DeliveryRejectedError(
                "duplicate_member", f"{by_table[table].shown} and {entry.shown} both hold {table}; send one of them"
            )
        else:
            by_table[table] = Member(table, name, entry)
            members.append(by_table[table])
    if members:
        return members, [entry.shown for entry in ignored]
    nested = next((entry for entry in ignored if entry.name.lower().endswith(".zip")), None)
    if nested:
        raise DeliveryRejectedError("nested_archive", f"{nested.shown} is itself a zip; send that one as it is")
    raise DeliveryRejectedError("no_known_member", f"no member is a file of the {feed.label_en}")
