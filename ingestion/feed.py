"""Feeds: the kinds of delivery that are taken in, each described by one YAML file and nothing else.

The 43-file standard lands as it comes. Every other feed says which tables its deliveries hold and how their columns
become those of the standard's files, so that all that follows (rules, pseudonyms, landing, staging) is the same.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cache, cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ingestion.contract import Contract, load_contracts

FEEDS = Path(__file__).with_name("feeds")
STANDARD = "f43"
"""The feed whose tables are the files of the standard themselves."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Form(StrEnum):
    """How a source writes a value that the standard writes otherwise (`ingestion/mapping.py` has the expressions)."""

    LOCAL_NUMBER = "local_number"
    """A facility's own number that is an identifier there (HN, a resource's id): a keyed stand-in lands instead."""
    DATE = "date"
    """ISO 8601 of any precision, with or without an offset, to YYYYMMDD of Thai time."""
    DATETIME = "datetime"
    """The same to YYYYMMDDHHMMSS."""
    TIME = "time"
    """The time of day of the same, HHMMSS; empty when it bears none."""
    REFERENCE = "reference"
    """The id in a FHIR reference: `Patient/1`, `urn:uuid:1`, `https://host/Patient/1`, `Patient?identifier=s|1`."""


class ColumnSource(_Strict):
    """Where a column of the standard comes from; a bare name in the YAML means `{first: [name]}`.

    Source columns are the table's own, or `TABLE.COLUMN` of a table that the route looks up.
    """

    first: list[str] = []
    """The first of these that is not empty."""
    join: list[str] = []
    """These put together, each left-padded with zeros to its width; empty when the first is."""
    widths: list[int] = []
    value: str | None = None
    """The same for every row."""
    sender: bool = False
    """The delivery's HOSPCODE; beside `first`, where all of those are empty."""
    map: str | None = None
    """Value map by which the value is translated; what it does not hold is kept as sent, and the rules flag it."""
    form: Form | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> ColumnSource:
        if sum((bool(self.first), bool(self.join), self.value is not None)) + (self.sender and not self.first) != 1:
            raise ValueError("a column comes from exactly one of first, join, value, sender (sender may follow first)")
        if len(self.join) != len(self.widths):
            raise ValueError("join needs a width for each of its columns")
        return self

    @property
    def sources(self) -> list[str]:
        return [*self.first, *self.join]


def _bare_name(value: Any) -> Any:
    if value == "sender":
        return {"sender": True}
    return {"first": [value]} if isinstance(value, str) else value


class Condition(_Strict):
    """What must hold of a source column for a row to take a route: to be (`is`), not to be (`is_not`) one of the
    values, or to be `empty` or not."""

    column: str
    is_: list[str] | None = Field(default=None, alias="is")
    is_not: list[str] | None = None
    empty: bool | None = None

    @model_validator(mode="after")
    def _one_test(self) -> Condition:
        if sum(test is not None for test in (self.is_, self.is_not, self.empty)) != 1:
            raise ValueError(f"{self.column}: exactly one of is, is_not, empty")
        return self


class Route(_Strict):
    """How rows of one source table become rows of one file of the standard.

    Of a table's routes a row takes the first whose conditions hold; a route that is `also` takes its rows besides.
    `lookups` maps another table of the delivery to the columns by which it is joined (`its column: own column`); of
    several rows of that table the last counts.
    """

    table: str
    file: str
    where: list[Condition] = []
    also: bool = False
    lookups: dict[str, dict[str, str]] = {}
    columns: dict[str, Annotated[ColumnSource, BeforeValidator(_bare_name)]]


class Table(_Strict):
    """A table of the source.

    `members` are the names its members bear (default: the table's own). `layouts` are the column orders known, by
    name, newest last; they serve members without a header and say which edition came. `aliases` maps other spellings
    to a column's name. `fields` are the columns of a table of JSON lines: column name to where its value stands in
    the resource (`ingestion/readers.py` has the forms).
    """

    members: list[str] = []
    several: bool = False
    """A delivery may hold the table in several members."""
    layouts: dict[str, list[str]] = {}
    aliases: dict[str, str] = {}
    fields: dict[str, dict[str, Any] | str] = {}
    known_fields: list[str] = []
    """Top-level fields of a JSON resource that are known and not taken; all others are counted as unknown."""
    resource: str | None = None

    @cached_property
    def columns(self) -> list[str]:
        """Every column of every layout, in order of first mention."""
        return list(dict.fromkeys([*(name for names in self.layouts.values() for name in names), *self.fields]))

    @property
    def by_name(self) -> dict[str, None]:
        return dict.fromkeys(self.columns)

    @property
    def editions(self) -> dict[str, list[str]]:
        return self.layouts


class Feed(_Strict):
    feed: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    label_th: str
    label_en: str
    description: str
    name_tokens: Annotated[list[str], Field(min_length=1)]
    """Words, one of which stands in a delivery's name before the sender's code: `F16_<HOSPCODE>_<time>.zip`."""
    rows_of: Literal["sender", "region"] = "sender"
    """Whose rows a delivery may hold: the sender's own, or those of every facility of its health region."""
    suffixes: list[str] = [".txt"]
    tables: dict[str, Table] = {}
    routes: list[Route] = []
    maps: dict[str, dict[str, str]] = {}

    @model_validator(mode="after")
    def _names_agree(self) -> Feed:
        contracts = load_contracts()
        for route in self.routes:
            where = f"{self.feed}: {route.table} to {route.file}"
            if route.file not in contracts:
                raise ValueError(f"{where}: {route.file} is no file of the standard or of ours")
            contract = contracts[route.file]
            self._check_columns(where, route)
            unknown = route.columns.keys() - contract.by_name
            if unknown:
                raise ValueError(f"{where}: {route.file} has no {', '.join(sorted(unknown))}")
            needed = {*contract.key, *([contract.event_date] if contract.event_date else [])}
            if missing := needed - route.columns.keys():
                raise ValueError(f"{where}: {', '.join(sorted(missing))} must come from somewhere")
        if self.routes:
            self.order()
        return self

    def _check_columns(self, where: str, route: Route) -> None:
        for name in {route.table, *route.lookups} - self.tables.keys():
            raise ValueError(f"{where}: there is no table {name}")
        named = [
            *(name for source in route.columns.values() for name in source.sources),
            *(condition.column for condition in route.where),
            *(own for keys in route.lookups.values() for own in keys.values()),
            *(f"{table}.{key}" for table, keys in route.lookups.items() for key in keys),
        ]
        for name in named:
            table, _, column = name.rpartition(".")
            if table and table not in route.lookups:
                raise ValueError(f"{where}: {name} is of a table that is not looked up")
            if column not in self.tables[table or route.table].columns:
                raise ValueError(f"{where}: {table or route.table} has no column {column}")
        for source in route.columns.values():
            if source.map and source.map not in self.maps:
                raise ValueError(f"{where}: there is no map {source.map}")

    def order(self) -> list[str]:
        """All tables, each after those that its routes look up.

        Raises `ValueError` when they look each other up.
        """
        needs: dict[str, set[str]] = {name: set() for name in self.tables}
        for route in self.routes:
            needs[route.table] |= route.lookups.keys() - {route.table}
        try:
            return list(TopologicalSorter(needs).static_order())
        except CycleError as error:
            raise ValueError(f"{self.feed}: tables look each other up: {error.args[1]}") from error

    def files_of(self, table: str) -> list[str]:
        """Files of the standard that rows of `table` become; its own name when it serves look-ups alone."""
        return list(dict.fromkeys(route.file for route in self.routes if route.table == table)) or [table]

    def looked_up(self, table: str) -> dict[tuple[str, ...], list[str]]:
        """By which key columns other routes join `table`, and what they take from it."""
        wanted: dict[tuple[str, ...], list[str]] = {}
        for route in self.routes:
            if table in route.lookups:
                taken = [name for source in route.columns.values() for name in source.sources]
                taken += [condition.column for condition in route.where]
                taken += [own for keys in route.lookups.values() for own in keys.values()]
                columns = wanted.setdefault(tuple(route.lookups[table]), [])
                columns += [name.removeprefix(f"{table}.") for name in taken if name.startswith(f"{table}.")]
        return {key: list(dict.fromkeys(columns)) for key, columns in wanted.items()}

    def contract(self, file: str) -> Contract:
        """The contract that rows of this feed must keep: widths bind the standard's own text alone."""
        contract = load_contracts()[file]
        if self.feed == STANDARD:
            return contract
        return contract.model_copy(
            update={"columns": [column.model_copy(update={"width": None}) for column in contract.columns]}
        )

    @cached_property
    def _patterns(self) -> list[tuple[str, re.Pattern[str]]]:
        names = [(name, member.upper()) for name, table in self.tables.items() for member in (table.members or [name])]
        names.sort(key=lambda pair: len(pair[1]), reverse=True)
        return [(name, re.compile(rf"(?:^|[^A-Z]){re.escape(member)}(?:[^A-Z]|$)")) for name, member in names]

    def table_of(self, member_name: str) -> str | None:
        """The table that a member's name means, whatever its case, folder, prefix or suffix."""
        path = PurePosixPath(member_name.replace("\\", "/"))
        lower = path.name.lower().removesuffix(".gz")
        suffix = next((suffix for suffix in self.suffixes if lower.endswith(suffix)), None)
        if suffix is None:
            return None
        stem = lower.removesuffix(suffix).strip().upper()
        return next((name for name, pattern in self._patterns if pattern.search(stem)), None)


@cache
def load_feeds(folder: Path = FEEDS) -> dict[str, Feed]:
    """All feeds by name, the standard's first.

    Raises `ValueError` naming the YAML file when one does not fit, or when two claim the same word.
    """
    standard = Feed(
        feed=STANDARD,
        label_th="43 แฟ้ม",
        label_en="43 files",
        description="The ministry's 43-file standard (52 files), in every edition since 2016.",
        name_tokens=["F43"],
        tables={name: Table() for name, contract in load_contracts().items() if contract.number},
    )
    feeds = {STANDARD: standard}
    claimed = dict.fromkeys(standard.name_tokens, STANDARD)
    for path in sorted(folder.glob("*.yml")):
        try:
            feed = Feed.model_validate(yaml.load(path.read_text(encoding="utf-8"), _LOADER))  # noqa: S506
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        if path.stem != feed.feed:
            raise ValueError(f"{path}: holds the feed {feed.feed}; name it {feed.feed}.yml")
        for token in feed.name_tokens:
            if token.upper() in claimed:
                raise ValueError(f"{path}: {token} is claimed by {claimed[token.upper()]} already")
            claimed[token.upper()] = feed.feed
        feeds[feed.feed] = feed
    return feeds


@cache
def feed_of_token() -> dict[str, str]:
    """Feed by the word (upper case) that announces it in a delivery's name."""
    return {token.upper(): name for name, feed in load_feeds().items() for token in feed.name_tokens}
