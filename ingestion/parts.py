"""The parts of a delivery that hold a table: its members, each read as its suffix asks for, and entries of Bundles."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import polars as pl

from ingestion.delivery import DeliveryZip, Member
from ingestion.ndjson import Engine, bundles, described, one_line, resources
from ingestion.readers import READERS, REJECTED, Description, Rows


@dataclass(frozen=True)
class Part:
    """One member's rows of one table; `description` is whole when `rows` is at its end."""

    member: str
    description: Description
    rows: Iterable[Rows]


@dataclass
class Bundled:
    """What a member full of Bundles held beside the rows of the tables.

    `rejected` are the documents that could not be read; `others` counts entries by resource types that are no table.
    """

    table: str
    member: str
    rejected: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=REJECTED))
    others: dict[str, int] = field(default_factory=dict)


class Parts:
    """All parts of one delivery. Bundles are read at once and their columns held: each holds rows of every table."""

    def __init__(self, opened: DeliveryZip, engine: Engine) -> None:
        self._opened = opened
        self._engine = engine
        self._held: dict[str, list[Part]] = defaultdict(list)
        self.bundled = [self._unpack(member) for member in self._members(lambda table: table.bundle)]

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
            return resources(self._engine, self._opened.pieces(member), feed, table, description)
        return READERS[suffix](self._opened, member, feed.tables[table], description)

    def _members(self, holds: Callable[..., bool]) -> Iterator[Member]:
        tables = self._opened.feed.tables
        return (member for member in self._opened.members if holds(tables[member.table]))

    def _unpack(self, member: Member) -> Bundled:
        """Read the Bundles of `member`, which is shown by its place: its name is often the patient's."""
        bundled = Bundled(member.table, f"{member.entry.place}{suffix_of(member.name)}")
        descriptions: dict[str, Description] = defaultdict(described)
        rows: dict[str, list[Rows]] = defaultdict(list)
        pieces = self._opened.pieces(member)
        if suffix_of(member.name) == ".json":
            pieces = one_line(pieces)
        for entries in bundles(self._engine, pieces, self._opened.feed, descriptions, bundled.others):
            bundled.rejected = bundled.rejected.vstack(entries.rejected)
            for table, one in entries.rows.items():
                rows[table].append(one)
        for table, held in rows.items():
            self._held[table].append(Part(bundled.member, descriptions[table], held))
        return bundled


def suffix_of(name: str) -> str:
    """How a member's name ends (lower case), before a `.gz`."""
    return PurePosixPath(name.lower().removesuffix(".gz")).suffix
