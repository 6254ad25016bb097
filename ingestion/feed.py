"""Feeds: the kinds of delivery that are taken in, each described by one YAML file and nothing else.

The 43-file standard lands as it comes. Every other feed says which tables its deliveries hold and how their columns
become those of the standard's files, so that all that follows (rules, pseudonyms, landing, staging) is the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import cache, cached_property, lru_cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ingestion import paths
from ingestion.contract import CORRECTIONS, Contract, load_contracts, standard_contracts

FEEDS = Path(__file__).with_name("feeds")
STANDARD = "f43"
"""The feed whose tables are the files of the standard themselves."""

JSON = frozenset({".ndjson", ".json"})
"""How members of JSON resources end; `ingestion/parts.py` reads them, `ingestion/readers.py` all others."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Fault = tuple[tuple[str | int, ...], str]
"""Where in a feed's YAML (keys and indices from its top), and what is wrong there."""


class FeedError(ValueError):
    """A feed's YAML does not fit; every line of the message names the file, the line and the field."""


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
    values (upper and lower case are the same), or to be `empty` or not."""

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
            raise ValueError("exactly one of first, join, cases, value, sender (sender may follow first)")
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
    `lookups` maps another table of the delivery to the columns by which it is joined (`its column: own column`, or own
    columns of which the first counts that is not empty; they may be of a table looked up before). Of several rows with
    the same key, what they do not agree on is empty: a value of the wrong row is never taken.
    """

    table: str
    file: str = ""
    reject: str | None = None
    """The rule by which these rows are set aside, in the place of `file`."""
    withdraw: bool = False
    """Rows of `file` with the keys of these no longer stand: each is a request (`ingestion/corrections.py`)."""
    where: list[Condition] = []
    also: bool = False
    lookups: dict[str, dict[str, Annotated[list[str], BeforeValidator(_one_or_more)]]] = {}
    columns: dict[str, Annotated[ColumnSource, BeforeValidator(_bare_name)]] = {}

    @model_validator(mode="after")
    def _file_or_rule(self) -> Route:
        if bool(self.file) == bool(self.reject):
            raise ValueError(f"{self.table}: a route has either file or reject")
        if self.withdraw and not self.file:
            raise ValueError(f"{self.table}: withdraw needs the file whose rows are withdrawn")
        return self

    @property
    def becomes(self) -> str:
        """The file that a delivery's rows count in; empty for those set aside."""
        return CORRECTIONS if self.withdraw else self.file


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
    name_tokens: Annotated[list[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9]*$")]], Field(min_length=1)]
    """Words, one of which stands in a delivery's name before the sender's code: `F16_<HOSPCODE>_<time>.zip`."""
    rows_of: Literal["sender", "region"] = "sender"
    """Whose rows a delivery may hold: the sender's own, or those of every facility of its health region."""
    suffixes: list[Literal[".txt", ".csv", ".dbf", ".ndjson", ".json"]] = [".txt"]
    """How members' names end, before a `.gz` that may follow."""
    ignored: list[str] = []
    """Names (without suffix) of members that come along and hold no table."""
    known_words: list[str] = []
    """Other words that the names of members may have; like those of tables they are shown, and all else is not."""
    patterns: dict[str, str] = {}
    """Regular expressions by name, for the tests in the paths of JSON fields."""
    tables: dict[str, Table] = {}
    routes: list[Route] = []
    maps: dict[str, dict[str, str | None]] = {}
    """Value maps by name. Upper and lower case are the same on the left; a null on the right empties the value."""

    def faults(self) -> Iterator[Fault]:
        """Names that do not exist, or that say two things."""
        for name, table in self.tables.items():
            yield from ((("tables", name, *where), what) for where, what in self._table_faults(name, table))
            for layout, columns in table.layouts.items():
                if twice := sorted({column for column in columns if columns.count(column) > 1}):
                    yield ("tables", name, "layouts", layout), f"{', '.join(twice)} stands twice"
            for alias, column in table.aliases.items():
                if column not in table.columns:
                    yield ("tables", name, "aliases", alias), f"{name} has no column {column}"
        for name, pattern in self.patterns.items():
            try:
                re.compile(pattern)
            except re.error as error:
                yield ("patterns", name), f"is no regular expression: {error}"
        for name, values in self.maps.items():
            if len({value.upper() for value in values}) < len(values):
                yield ("maps", name), "two values differ in case alone"
        for index, route in enumerate(self.routes):
            yield from ((("routes", index, *where), what) for where, what in self._route_faults(route))
        try:
            self.order()
        except ValueError as error:
            yield ("routes",), str(error)

    def _table_faults(self, name: str, table: Table) -> Iterator[Fault]:
        kinds = bool(table.layouts) + bool(table.fields) + table.bundle
        if kinds != 1:
            yield (), "has neither layouts nor fields" if not kinds else "has more than one of layouts, fields, bundle"
        elif bool(table.layouts) == bool(JSON.intersection(self.suffixes)):
            yield (), f"is none that members ending in {', '.join(self.suffixes)} can hold"
        if table.suffix and table.suffix not in self.suffixes:
            yield ("suffix",), f"{table.suffix} is none of the feed's suffixes"
        if table.of is None:
            if table.each:
                yield ("each",), "stands beside `of` only"
            if table.fields and "ID" not in table.fields:
                yield ("fields",), "a table of JSON resources has a column ID"
        elif table.of not in self.tables or not self.tables[table.of].fields or self.tables[table.of].of:
            yield ("of",), f"there is no table {table.of} of JSON resources"
        for column, field in table.fields.items():
            for text in field.paths:
                yield from self._path_faults(("fields", column), text.removeprefix(paths.ROOT))
        if table.each:
            yield from self._path_faults(("each",), table.each)

    def _path_faults(self, where: tuple[str, ...], text: str) -> Iterator[Fault]:
        try:
            tests = [test for step in paths.parse(text) for test in step.tests]
        except ValueError as error:
            yield where, str(error)
            return
        for test in tests:
            if test.is_pattern and test.operand not in self.patterns:
                yield where, f"there is no pattern {test.operand}"

    def _route_faults(self, route: Route) -> Iterator[Fault]:
        if route.table not in self.tables:
            yield ("table",), f"there is no table {route.table}"
            return
        known = set(self.tables[route.table].columns)
        for table, keys in route.lookups.items():
            if table not in self.tables or table == route.table:
                yield ("lookups", table), "there is no such table" if table != route.table else "looks itself up"
                continue
            if not keys:
                yield ("lookups", table), "names no columns to join by"
            theirs = self.tables[table].columns
            for key, names in keys.items():
                if key not in theirs:
                    yield ("lookups", table, key), f"{table} has no column {key}"
                for own in (own for own in names if own not in known):
                    yield ("lookups", table, key), f"{own} is no column of {route.table} or of a table looked up before"
                if not names:
                    yield ("lookups", table, key), "names no column to join by"
            known |= {f"{table}.{column}" for column in theirs}
        for number, condition in enumerate(route.where):
            if condition.column not in known:
                yield ("where", number, "column"), f"{condition.column} is no column here"
        for name, source in route.columns.items():
            for column in source.sources:
                if column not in known:
                    yield ("columns", name), f"{column} is no column of {route.table} or of a table it looks up"
            for missing in (one for one in source.maps if one not in self.maps):
                yield ("columns", name, "map"), f"there is no map {missing}"
        if route.file:
            yield from _target_faults(route)
        elif route.columns:
            yield ("columns",), "rows that are set aside have none"

    def order(self) -> list[str]:
        """All tables, each after those that its routes look up.

        Raises `ValueError` when they look each other up.
        """
        needs: dict[str, set[str]] = {name: set() for name in self.tables}
        for route in self.routes:
            needs.setdefault(route.table, set()).update(route.lookups)
        try:
            return list(TopologicalSorter(needs).static_order())
        except CycleError as error:
            raise ValueError(f"tables look each other up: {' to '.join(error.args[1])}") from error

    def files_of(self, table: str) -> list[str]:
        """Files of the standard that rows of `table` become; its own name when it serves look-ups alone."""
        files = [route.becomes for route in self.routes if route.table == table and route.file]
        return list(dict.fromkeys(files)) or [table]

    def sender_columns(self, table: str) -> set[str]:
        """Columns of `table` itself that say which facility a row is of."""
        if self.feed == STANDARD:
            return {"HOSPCODE"}
        origins = [route.columns["HOSPCODE"] for route in self.routes if route.table == table and route.file]
        return {name for origin in origins for name in origin.sources}.intersection(self.tables[table].columns)

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
        columns = [column.model_copy(update={"width": None}) for column in contract.columns]
        # Made anew: a copy would keep what the contract has worked out from its columns.
        return Contract.model_validate(contract.model_dump(by_alias=True) | {"columns": columns})

    @cached_property
    def _patterns(self) -> list[tuple[str, re.Pattern[str]]]:
        named = {name: table for name, table in self.tables.items() if not table.of}
        names = [(name, member.upper()) for name, table in named.items() for member in (table.members or [name])]
        names.sort(key=lambda pair: len(pair[1]), reverse=True)
        return [(name, re.compile(rf"(?:^|[^A-Z]){re.escape(member)}(?:[^A-Z]|$)")) for name, member in names]

    @cached_property
    def table_of(self) -> Callable[[str], str | None]:
        """The table that a member's name means, whatever its case, folder, prefix or suffix.

        Senders name their members alike, so that few names are looked at more than once.
        """
        return lru_cache(maxsize=4096)(self._look_up)

    def _look_up(self, member_name: str) -> str | None:
        name = member_name.replace("\\", "/").rstrip("/").rpartition("/")[2]
        lower = name.lower().removesuffix(".gz")
        suffix = next((suffix for suffix in self.suffixes if lower.endswith(suffix)), None)
        if suffix is None:
            return None
        stem = lower.removesuffix(suffix).strip().upper()
        if stem in self.ignored:
            return None
        by_suffix = next((name for name, table in self.tables.items() if table.suffix == suffix), None)
        return by_suffix or next((name for name, pattern in self._patterns if pattern.search(stem)), None)


def _target_faults(route: Route) -> Iterator[Fault]:
    contracts = load_contracts()
    if route.file not in contracts:
        yield ("file",), f"{route.file} is no file of the standard or of ours"
        return
    contract = contracts[route.file]
    for name in route.columns.keys() - contract.by_name:
        yield ("columns", name), f"{route.file} has no column {name}"
    needed = [*contract.key, *([contract.event_date] if contract.event_date else [])]
    for name in dict.fromkeys(needed):
        if name not in route.columns:
            yield ("columns",), f"{name} of {route.file} must come from somewhere"


def read_feed(path: Path) -> Feed:
    """The feed that one YAML file describes.

    Raises `FeedError` with all that is wrong in it.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tree, content = yaml.compose(text, _LOADER), yaml.load(text, _LOADER)  # noqa: S506
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise FeedError(f"{path}{line}: cannot be read as YAML: {getattr(error, 'problem', None) or error}") from error
    faults = list(_repeated_keys(tree))
    try:
        feed = Feed.model_validate(content)
    except ValidationError as error:
        faults += [(fault["loc"], fault["msg"]) for fault in error.errors(include_url=False)]
    else:
        faults += feed.faults()
        if path.stem != feed.feed:
            faults.append((("feed",), f"the file must be named {feed.feed}.yml"))
        if not faults:
            return feed
    raise FeedError(_told(path, tree, faults))


def _repeated_keys(node: yaml.Node | None, where: tuple[str | int, ...] = ()) -> Iterator[Fault]:
    """YAML itself lets the last of two equal keys win, unseen."""
    if isinstance(node, yaml.MappingNode):
        names = [key.value for key, _ in node.value]
        for name in dict.fromkeys(name for name in names if names.count(name) > 1):
            yield (*where, name), "stands twice"
        for key, child in node.value:
            yield from _repeated_keys(child, (*where, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            yield from _repeated_keys(child, (*where, index))


def _told(path: Path, tree: yaml.Node | None, faults: list[Fault]) -> str:
    lines = sorted((_line(tree, where), ".".join(map(str, where)), what) for where, what in faults)
    return "\n".join(f"{path}:{line}: {field or 'the whole'}: {what}" for line, field, what in lines)


def _line(node: yaml.Node | None, where: tuple[str | int, ...]) -> int:
    """The line of the field `where`, or of the nearest thing around it that is written in the file."""
    line = 1
    for step in where:
        found = None
        if isinstance(node, yaml.MappingNode):
            found = next((pair for pair in node.value if pair[0].value == str(step)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            found = (node.value[step], node.value[step])
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


@cache
def load_feeds(extra: Path | None = None) -> dict[str, Feed]:
    """All feeds by name, the standard's first; those of the folder `extra` last.

    Raises `FeedError` when a YAML does not fit, when two claim the same word, or when there is no such folder.
    """
    standard = Feed(
        feed=STANDARD,
        label_th="43 แฟ้ม",
        label_en="43 files",
        description="The ministry's 43-file standard (52 files), in every edition since 2016.",
        name_tokens=["F43"],
        tables={name: Table() for name in standard_contracts()},
    )
    feeds = {STANDARD: standard}
    if extra is not None and not extra.is_dir():
        raise FeedError(f"{extra} is no folder.")
    for path in [*sorted(FEEDS.glob("*.yml")), *(sorted(extra.glob("*.yml")) if extra else [])]:
        feed = read_feed(path)
        if feed.feed in feeds:
            raise FeedError(f"{path}: there is a feed {feed.feed} already; take another name")
        if taken := words(feeds).keys() & words({feed.feed: feed}).keys():
            raise FeedError(f"{path}: name_tokens: {', '.join(sorted(taken))} is claimed by another feed")
        feeds[feed.feed] = feed
    return feeds


def words(feeds: dict[str, Feed]) -> dict[str, str]:
    """Feed by the word (upper case) that announces it in a delivery's name."""
    return {token.upper(): name for name, feed in feeds.items() for token in feed.name_tokens}
