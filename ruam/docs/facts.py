"""What the pages of the catalogue say, worked out of the compiled project, the seeds and the column lineage."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

from ruam.docs.lineage import Column, Lineage, Origin
from ruam.measures import is_of_library
from ruam.settings import PROJECT

REGISTRY, PARAMETERS, CODE_SETS = "measure_registry", "measure_parameters", "code_sets"
UNMEASURED = "unmeasured_rules"
EVERY_MEASURE = "*"

Row = dict[str, str]
Node = dict[str, Any]


@dataclass(frozen=True)
class Field:
    """A field of a file that senders deliver."""

    name: str
    label_th: str
    description: str
    landed: tuple[str, ...]
    """Its columns in the landing; none when it is dropped."""
    why_dropped: str | None = None


@dataclass(frozen=True)
class File:
    """A file of a standard, and the source that reads what landed of it."""

    name: str
    label_th: str
    description: str
    source: str
    """`f43.service`."""
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Parameter:
    name: str
    value: str
    valid_from: date
    valid_to: date | None
    """None: until it is changed."""
    source: str
    is_common: bool
    """Of every measure of the library."""


@dataclass(frozen=True)
class Test:
    name: str
    says: str
    """What a unit test is for, or the columns that a data test is about."""
    n_rows: int | None = None
    """Rows given and expected by a unit test."""


class Use(NamedTuple):
    """How a measure uses a field."""

    measure_id: str
    is_value: bool


@dataclass(frozen=True)
class Table:
    """A published table."""

    node: Node
    measures: tuple[str, ...]
    """Ids of the measures whose figures it holds."""
    pages: tuple[Node, ...]

    @property
    def name(self) -> str:
        return str(self.node["name"])


@dataclass(frozen=True)
class Measure:
    id: str
    versions: tuple[Row, ...]
    """Rows of the registry, oldest first."""
    parameters: tuple[Parameter, ...]
    unmeasured: tuple[Row, ...]
    """Rules that cannot be measured, with what is wanting."""
    models: tuple[Node, ...]
    """The model of its events, or the marts that hold its figures."""
    figures: tuple[Column, ...]
    """Published columns that pages show as its numerator and denominator."""
    last_leg: tuple[tuple[Column, ...], ...]
    """From the model of its events to the published columns."""
    origins: tuple[Origin, ...]
    """Fields of senders, reference tables and links that it goes back to."""
    code_sets: tuple[Row, ...]
    tables: Mapping[str, tuple[Row, ...]]
    """Other seeds of measures that its model reads, by name."""
    tests: tuple[Test, ...]
    unit_tests: tuple[Test, ...]
    pages: tuple[Node, ...]

    @property
    def newest(self) -> Row:
        return self.versions[-1]

    @property
    def changes(self) -> list[tuple[Row, dict[str, tuple[str, str]]]]:
        """Each version, newest first, with what differs from the one before (column to old and new)."""
        steps: list[tuple[Row, dict[str, tuple[str, str]]]] = [(self.versions[0], {})]
        for old, new in pairwise(self.versions):
            steps.append((new, {name: (old[name], new[name]) for name in new if old[name] != new[name]}))
        return steps[::-1]


@dataclass(frozen=True)
class Facts:
    manifest: Mapping[str, Any]
    lineage: Lineage
    files: tuple[File, ...]
    figures: Callable[[str], tuple[Column, ...]]
    """Published columns that pages make a measure's figure of, by its id."""

    @cached_property
    def _nodes(self) -> dict[str, Node]:
        return {node["name"]: node for node in self.manifest["nodes"].values() if node["resource_type"] == "model"}

    @cached_property
    def _keys(self) -> dict[str, str]:
        return {key: node["name"] for key, node in self.manifest["nodes"].items()}

    def _seed(self, name: str) -> list[Row]:
        for node in self.manifest["nodes"].values():
            if node["resource_type"] == "seed" and node["name"] == name:
                with (PROJECT / node["original_file_path"]).open(encoding="utf-8", newline="") as handle:
                    return list(csv.DictReader(handle))
        raise ValueError(f"the project has no seed {name}")

    @cached_property
    def measures(self) -> dict[str, Measure]:
        """By id, in order of id."""
        versions: dict[str, list[Row]] = {}
        for row in self._seed(REGISTRY):
            versions.setdefault(row["measure_id"], []).append(row)
        return {
            id_: self._measure(id_, sorted(rows, key=lambda row: (len(row["version"]), row["version"])))
            for id_, rows in sorted(versions.items())
        }

    @cached_property
    def tables(self) -> dict[str, Table]:
        """Published tables by name."""
        published = [node for name, node in sorted(self._nodes.items()) if node["config"]["meta"].get("publish")]
        found = {}
        for node in published:
            held = (
                id_
                for id_, measure in self.measures.items()
                if any(column.relation == node["name"] for column in measure.figures)
            )
            found[node["name"]] = Table(node, tuple(held), self.pages_of([node["name"]]))
        return found

    @cached_property
    def uses(self) -> dict[Column, list[Use]]:
        """The measures that go back to each column of a source."""
        found: dict[Column, list[Use]] = {}
        for measure in self.measures.values():
            for origin in measure.origins:
                found.setdefault(origin.column, []).append(Use(measure.id, origin.is_value))
        return found

    @cached_property
    def field_of(self) -> dict[Column, tuple[File, Field]]:
        """The field of a sender behind a column of a source."""
        return {
            Column(file.source, landed): (file, field)
            for file in self.files
            for field in file.fields
            for landed in field.landed
        }

    def in_group(self, group: str) -> list[Measure]:
        """Measures whose id begins with the group's letters."""
        return [measure for id_, measure in self.measures.items() if id_.split("-")[0] == group]

    def pages_of(self, tables: Iterable[str]) -> tuple[Node, ...]:
        """Exposures that read any of the tables."""
        wanted = set(tables)
        exposures = sorted(self.manifest["exposures"].values(), key=lambda one: str(one["name"]))
        return tuple(
            one for one in exposures if wanted & {self._keys.get(key, "") for key in one["depends_on"]["nodes"]}
        )

    def published_from(self, column: Column) -> list[Column]:
        """Published columns that hold values of a column."""
        return sorted(one for one in self.lineage.reach(column) if one.relation in self.tables)

    def _measure(self, id_: str, versions: list[Row]) -> Measure:
        model = self._nodes.get("msr_" + id_.lower().replace("-", "_"))
        figures = self.figures(id_)
        marts = [self._nodes[name] for name in dict.fromkeys(one.relation for one in figures) if name in self._nodes]
        models = [model] if model else marts
        if model:
            targets = [Column(model["name"], name) for name in self.lineage.queries[model["name"]].values]
        else:
            targets = list(figures)
        sets = self._sets_of(models)
        return Measure(
            id_,
            tuple(versions),
            tuple(_parameters(self._seed(PARAMETERS), id_)),
            tuple(row for row in self._seed(UNMEASURED) if row["measure_id"] == id_),
            tuple(models),
            tuple(figures),
            tuple(self._last_leg(targets, figures) if model else ()),
            tuple(self.lineage.fields(targets)),
            tuple(row for row in self._seed(CODE_SETS) if any(fnmatchcase(row["set_id"], one) for one in sets)),
            {name: tuple(self._seed(name)) for name in self._tables_of(models)},
            tuple(self._tests(models)),
            tuple(self._unit_tests(models)),
            self.pages_of(mart["name"] for mart in marts),
        )

    def _last_leg(self, starts: Iterable[Column], figures: Iterable[Column]) -> Iterator[tuple[Column, ...]]:
        wanted = set(figures)
        for start in starts:
            yield from (path for end, path in sorted(self.lineage.reach(start).items()) if end in wanted)

    def _upstream(self, models: Iterable[Node]) -> dict[str, Node]:
        """Models that some models read, themselves included, by name; marts look at no others than their own.

        What a build of changes reads to know whom they reach says nothing of what a figure is made of.
        """
        found: dict[str, Node] = {}
        waiting = list(models)
        while waiting:
            node = waiting.pop()
            if node["name"] not in found:
                found[node["name"]] = node
                waiting += [
                    self._nodes[name]
                    for key in node["depends_on"]["nodes"]
                    if (name := self._keys.get(key)) in self._nodes and "changes" not in self._nodes[name]["fqn"]
                ]
        return found

    def _sets_of(self, models: Iterable[Node]) -> set[str]:
        """Ids of the code sets (`acsc_*`: all that begin so) that some models, or what they read, compare codes with.

        A model that hands `set_id` on leaves the choice to its readers: of its sets those count that a reader names.
        """
        own = {model["name"] for model in models}
        queries = {name: self.lineage.queries[name] for name in self._upstream(models)}
        return {
            one
            for name, query in queries.items()
            if name in own or "set_id" not in query.values
            for one in query.code_sets
        }

    def _tables_of(self, models: Iterable[Node]) -> list[str]:
        read = {
            parent["name"]
            for model in models
            for key in model["depends_on"]["nodes"]
            if (parent := self.manifest["nodes"].get(key))
            and parent["resource_type"] == "seed"
            # A seed of another folder is terminology, whose whole lists stand in dbt's documentation.
            and parent["fqn"][1] == "measures"
        }
        return sorted(read - {REGISTRY, PARAMETERS, CODE_SETS})

    def _tests(self, models: Iterable[Node]) -> Iterator[Test]:
        keys = {model["unique_id"] for model in models}
        for node in sorted(self.manifest["nodes"].values(), key=lambda one: str(one["name"])):
            if node["resource_type"] != "test" or not keys & set(node["depends_on"]["nodes"]):
                continue
            generic = node.get("test_metadata")
            columns = (generic or {}).get("kwargs", {}).get("columns") or [node.get("column_name")]
            about = ", ".join(str(one) for one in columns if one)
            yield Test(generic["name"] if generic else node["name"], about or node.get("description", ""))

    def _unit_tests(self, models: Iterable[Node]) -> Iterator[Test]:
        names = {model["name"] for model in models}
        for node in sorted(self.manifest["unit_tests"].values(), key=lambda one: str(one["name"])):
            if node["model"] in names:
                rows = [*(given.get("rows") for given in node["given"]), node["expect"].get("rows")]
                yield Test(node["name"], node["description"] or "", sum(len(one or ()) for one in rows))


def _parameters(rows: list[Row], measure_id: str) -> Iterator[Parameter]:
    """Values of a measure's parameters with the days on which each holds, in order of name and day."""
    own = [
        row
        for row in rows
        if row["measure_id"] == measure_id or (row["measure_id"] == EVERY_MEASURE and is_of_library(measure_id))
    ]
    ordered = sorted(own, key=lambda row: (row["measure_id"] == EVERY_MEASURE, row["parameter"], row["valid_from"]))
    for row, after in pairwise([*ordered, None]):
        assert row is not None
        follows = after is not None and all(row[key] == after[key] for key in ("measure_id", "parameter"))
        until = date.fromisoformat(after["valid_from"]) - timedelta(days=1) if after and follows else None
        yield Parameter(
            row["parameter"],
            row["value"],
            date.fromisoformat(row["valid_from"]),
            until,
            row["source"],
            row["measure_id"] == EVERY_MEASURE,
        )
