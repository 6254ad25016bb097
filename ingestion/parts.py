"""The parts of a delivery that hold a table: its members, each read as its suffix asks for, and entries of Bundles."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import polars as pl

from ingestion.delivery import DeliveryZip, Member
from ingestion.ndjson import Engine, bundles, described, one_line, resources
from ingestion.readers import READERS, Description, Rows
from ingestion.spool import Piece, Spool

SPOOLED_BYTES = 8 << 20
"""Rows of Bundles that are held in memory."""


@dataclass(frozen=True)
class Part:
    """One member's rows of one table; `description` is whole when `rows` is at its end."""

    member: str
    description: Description
    rows: Iterable[Rows]


@dataclass(frozen=True)
class Bundled:
    """A member full of Bundles, and what it holds beside the rows of the tables.

    `rejected` are the documents that could not be read. Only at its end was the member read, and does `others` count
    the entries by resource types that are no table.
    """

    table: str
    member: str
    rejected: Iterator[pl.DataFrame]
    others: dict[str, int]


class Parts:
    """All parts of one delivery. Bundles are read first and their columns spooled: each holds rows of every table."""

    def __init__(self, opened: DeliveryZip, engine: Engine, spill: Path) -> None:
        self._opened = opened
        self._engine = engine
        self._spool = Spool(spill, SPOOLED_BYTES)
        self._held: dict[str, list[Part]] = defaultdict(list)

    def bundled(self) -> Iterator[Bundled]:
        """The members full of Bundles, each to be read to its end before any table."""
        tables = self._opened.feed.tables
        for member in self._opened.members:
            if tables[member.table].bundle:
                # By its place: its name is often the patient's.
                shown, others = f"{member.entry.place}{suffix_of(member.name)}", dict[str, int]()
                yield Bundled(member.table, shown, self._unpacked(member, shown, others), others)
                self._engine.rest()

    def of(self, table: str) -> Iterator[Part]:
        """The parts that hold `table`, members first."""
        its = self._opened.feed.tables[table]
        source = its.of or table
        for member in self._opened.members:
            if member.table == source and not its.bundle:
                description = Description()
                yield Part(member.shown, description, self._read(member, table, description))
        yield from self._held.pop(table, [])

    def _read(self, member: Member, table: str, description: Description) -> Iterator[Rows]:
        """Rows of `table` in `member`, by the reader that its suffix asks for."""
        suffix, feed = suffix_of(member.name), self._opened.feed
        if suffix == ".ndjson":
            yield from resources(self._engine, self._opened.pieces(member), feed, table, description)
            self._engine.rest()
        else:
            yield from READERS[suffix](self._opened, member, feed.tables[table], description)

    def _unpacked(self, member: Member, shown: str, others: dict[str, int]) -> Iterator[pl.DataFrame]:
        """Read the Bundles of `member`: what could not be read; the tables' rows are held."""
        descriptions: dict[str, Description] = defaultdict(described)
        pieces: dict[str, list[tuple[Piece, Piece]]] = defaultdict(list)
        content = self._opened.pieces(member)
        if suffix_of(member.name) == ".json":
            content = one_line(content)
        for entries in bundles(self._engine, content, self._opened.feed, descriptions, others):
            yield entries.rejected
            for table, rows in entries.rows.items():
                pieces[table].append((self._spool.put(rows.frame), self._spool.put(rows.rejected)))
        for table, its in pieces.items():
            self._held[table].append(Part(shown, descriptions[table], self._spooled(its)))

    def _spooled(self, pieces: list[tuple[Piece, Piece]]) -> Iterator[Rows]:
        while pieces:
            frame, rejected = pieces.pop(0)
            yield Rows(self._spool.get(frame), self._spool.get(rejected))


def suffix_of(name: str) -> str:
    """How a member's name ends (lower case), before a `.gz`."""
    return PurePosixPath(name.lower().removesuffix(".gz")).suffix
