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

from ingestion import paths
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


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _bare_name(value: Any) -> Any:
    if value == "sender":
        return {"sender": True}
    if isinstance(value, list):
        return {"cases": value}
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


class ColumnSource(_Strict):
    """Where a column of the standard comes from; a bare name in the YAML means `{first: [name]}`, a list `cases`.

    Source columns are the table's own, or `TABLE.COLUMN` of a table that the route looks up.
    """

    cases: list[Annotated[ColumnSource, BeforeValidator(_bare_name)]] = []
    """The first of these that holds and is not empty."""
    where: list[Condition] = []
    """Within `cases`: what must hold of the row."""
    flag: str | None = None
    """Within `cases`: the warning rule that a row breaks whose value comes from here."""

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
        origins = (bool(self.first), bool(self.join), bool(self.cases), self.value is not None)
        if sum(origins) + (self.sender and not self.first) != 1:
            raise ValueError("a column comes from one of first, join, cases, value, sender (sender may follow first)")
        if any(case.form is Form.LOCAL_NUMBER for case in self.cases):
            raise ValueError("local_number stands for the whole column")
        if len(self.join) != len(self.widths):
            raise ValueError("join needs a width for each of its columns")
        return self

    @property
    def sources(self) -> list[str]:
        """Every source column that is read."""
        return [
            *self.first,
            *self.join,
            *(condition.column for condition in self.where),
            *(name for case in self.cases for name in case.sources),
        ]

    @property
    def maps(self) -> list[str]:
        return [*([self.map] if self.map else []), *(name for case in self.cases for name in case.maps)]


class Route(_Strict):
    """How rows of one source table become rows of one file of the standard, or by which rule they are set aside.

    Of a table's routes a row takes the first whose conditions hold; a route that is `also` takes its rows besides.
    `lookups` maps another table of the delivery to the columns by which it is joined (`its column: own column`, or
    own columns of which the first counts that is not empty); of several rows of that table the last counts. A table
    may be looked up by what an earlier one gave.
    """

    table: str
    file: str = ""
    reject: str | None = None
    """The rule by which these rows are set aside, in the place of `file`."""
    where: list[Condition] = []
    also: bool = False
    lookups: dict[str, dict[str, Annotated[list[str], BeforeValidator(_one_or_more)]]] = {}
    columns: dict[str, Annotated[ColumnSource, BeforeValidator(_bare_name)]] = {}

    @model_validator(mode="after")
    def _file_or_rule(self) -> Route:
        if bool(self.file) == bool(self.reject):
            raise ValueError(f"{self.table}: a route has either file or reject")
        return self


class JsonField(_Strict):
    """Where a column's value stands in a JSON resource (`ingestion/paths.py`), the first path that is not empty.

    In the YAML a bare path, a list of paths, or `{reference: path}` for the id in a reference: `Patient/1`,
    `urn:uuid:1`, `https://host/Patient/1/_history/2`, `Patient?identifier=system|1`.
    """

    paths: list[str]
    is_reference: bool = False


def _json_field(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"reference"}:
        names = _one_or_more(value["reference"])
        return {"paths": ["reference" if name == "." else f"{name}.reference" for name in names], "is_reference": True}
    return {"paths": _one_or_more(value)} if isinstance(value, (str, list)) else value


class Table(_Strict):
    """A table of the source.

    `members` are the names its members bear (default: the table's own). `layouts` are the column orders known, by
    name, newest last; they serve members without a header and say which edition came. `aliases` maps other spellings
    to a column's name. `fields` are the columns of a table of JSON resources, which must have one named `ID`.
    """

    members: list[str] = []
    several: bool = False
    """A delivery may hold the table in several members."""
    suffix: str | None = None
    """Every member that ends with this holds the table, whatever its name."""
    layouts: dict[str, list[str]] = {}
    aliases: dict[str, str] = {}
    fields: dict[str, Annotated[JsonField, BeforeValidator(_json_field)]] = {}
    known_fields: list[str] = []
    """Top-level fields of a JSON resource that are known and not taken; all others are counted as unknown."""
    of: str | None = None
    """Another table of JSON resources, from whose members this one is read again; it serves look-ups alone."""
    each: str | None = None
    """With `of`: the path of an array, each element of which is a row; `%resource.` leads back from it."""
    bundle: bool = False
    """Members are Bundles, whose entries are rows of the tables that are named like their resource type."""

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
    ignored: list[str] = []
    """Names (without suffix) of members that come along and hold no table."""
    patterns: dict[str, str] = {}
    """Regular expressions by name, for the tests in the paths of JSON fields."""
    tables: dict[str, Table] = {}
    routes: list[Route] = []
    maps: dict[str, dict[str, str]] = {}

    @model_validator(mode="after")
    def _names_agree(self) -> Feed:
        contracts = load_contracts()
        for route in self.routes:
            where = f"{self.feed}: {route.table} to {route.file or route.reject}"
            self._check_columns(where, route)
            if route.reject:
                continue
            if route.file not in contracts:
                raise ValueError(f"{where}: {route.file} is no file of the standard or of ours")
            contract = contracts[route.file]
            unknown = route.columns.keys() - contract.by_name
            if unknown:
                raise ValueError(f"{where}: {route.file} has no {', '.join(sorted(unknown))}")
            needed = {*contract.key, *([contract.event_date] if contract.event_date else [])}
            if missing := needed - route.columns.keys():
                raise ValueError(f"{where}: {', '.join(sorted(missing))} must come from somewhere")
        if self.routes:
            self.order()
        for name, table in self.tables.items():
            self._check_paths(f"{self.feed}: {name}", table)
        return self

    def _check_paths(self, where: str, table: Table) -> None:
        texts = [text.removeprefix(paths.ROOT) for field in table.fields.values() for text in field.paths]
        for text in [*texts, *([table.each] if table.each else [])]:
            for test in (test for step in paths.parse(text) for test in step.tests):
                if test.is_pattern and test.operand not in self.patterns:
                    raise ValueError(f"{where}: there is no pattern {test.operand}")
        if table.of and table.of not in self.tables:
            raise ValueError(f"{where}: there is no table {table.of}")
        if table.fields and not table.of and "ID" not in table.fields:
            raise ValueError(f"{where}: a table of JSON resources has a column ID")

    def _check_columns(self, where: str, route: Route) -> None:
        for name in {route.table, *route.lookups} - self.tables.keys():
            raise ValueError(f"{where}: there is no table {name}")
        named = [
            *(name for source in route.columns.values() for name in source.sources),
            *(condition.column for condition in route.where),
            *(own for keys in route.lookups.values() for names in keys.values() for own in names),
            *(f"{table}.{key}" for table, keys in route.lookups.items() for key in keys),
        ]
        for name in named:
            table, _, column = name.rpartition(".")
            if table and table not in route.lookups:
                raise ValueError(f"{where}: {name} is of a table that is not looked up")
            if column not in self.tables[table or route.table].columns:
                raise ValueError(f"{where}: {table or route.table} has no column {column}")
        for name in (name for source in route.columns.values() for name in source.maps):
            if name not in self.maps:
                raise ValueError(f"{where}: there is no map {name}")

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
        files = [route.file for route in self.routes if route.table == table and route.file]
        return list(dict.fromkeys(files)) or [table]

    def looked_up(self, table: str) -> dict[tuple[str, ...], list[str]]:
        """By which key columns other routes join `table`, and what they take from it."""
        wanted: dict[tuple[str, ...], list[str]] = {}
        for route in self.routes:
            if table in route.lookups:
                taken = [name for source in route.columns.values() for name in source.sources]
                taken += [condition.column for condition in route.where]
                taken += [own for keys in route.lookups.values() for names in keys.values() for own in names]
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
        named = {name: table for name, table in self.tables.items() if not table.of}
        names = [(name, member.upper()) for name, table in named.items() for member in (table.members or [name])]
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
        if stem in self.ignored:
            return None
        by_suffix = next((name for name, table in self.tables.items() if table.suffix == suffix), None)
        return by_suffix or next((name for name, pattern in self._patterns if pattern.search(stem)), None)


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
