"""Which columns a column is made of: worked out from the compiled SQL of every model, never written by hand.

A column has two kinds of origins. Its *values* come from the columns that its expression names; whether a row is there
at all, and with which it is joined, its model decides by others (`where`, `on`, `group by`): the *conditions*.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, cast

from sqlglot import exp, parse_one
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope
from sqlglot.schema import MappingSchema

DIALECT = "duckdb"
_CATALOG = "warehouse"
_CONDITIONS = ("where", "group", "having", "qualify")


class Column(NamedTuple):
    """A column of a model or seed (by its name), or of a source (`f43.service`)."""

    relation: str
    name: str

    def __str__(self) -> str:
        return f"{self.relation}.{self.name}"


@dataclass(frozen=True)
class Query:
    """What one model reads: for each of its columns those its values come from, and those that decide on its rows."""

    values: Mapping[str, frozenset[Column]]
    conditions: Mapping[str, frozenset[Column]]
    code_sets: frozenset[str] = frozenset()
    """Values that the SQL compares a column `set_id` with; `acsc_*` where it compares how the id begins."""


@dataclass(frozen=True)
class Origin:
    """A column that another one goes back to."""

    column: Column
    path: tuple[Column, ...]
    """From the origin to the column asked for, both included; one of the shortest."""
    is_value: bool
    """Whether values flow along the path; otherwise some step of it decides on rows."""


@dataclass(frozen=True)
class Lineage:
    queries: Mapping[str, Query]
    """By the name of the model; seeds and sources are in none."""
    roots: frozenset[str] = field(default_factory=frozenset)
    """Names of the sources."""

    @cached_property
    def _readers(self) -> dict[Column, list[Column]]:
        """Columns whose values come from each column."""
        found: dict[Column, list[Column]] = {}
        for relation, query in self.queries.items():
            for name, origins in query.values.items():
                for origin in origins:
                    found.setdefault(origin, []).append(Column(relation, name))
        return found

    def readers(self, column: Column) -> list[Column]:
        """Columns whose values come straight from this one."""
        return sorted(self._readers.get(column, ()))

    def origins(self, targets: Iterable[Column]) -> list[Origin]:
        """Every column that the targets go back to, sources and seeds included, nearest first; the targets not."""
        wanted = sorted(set(targets))
        found = {column: Origin(column, (column,), is_value=True) for column in wanted}
        # Values are followed to their end before conditions, so that a column is called a condition only if it is
        # nothing more.
        for follow_conditions in (False, True):
            waiting = deque(found.values())
            while waiting:
                reached = waiting.popleft()
                query = self.queries.get(reached.column.relation)
                if query is None:
                    continue
                steps = [(one, reached.is_value) for one in sorted(query.values.get(reached.column.name, ()))]
                if follow_conditions:
                    steps += [(one, False) for one in sorted(query.conditions.get(reached.column.name, ()))]
                for column, is_value in steps:
                    if column not in found:
                        found[column] = Origin(column, (column, *reached.path), is_value)
                        waiting.append(found[column])
        return [origin for column, origin in found.items() if column not in wanted]

    def fields(self, targets: Iterable[Column]) -> list[Origin]:
        """`origins` in sources alone, in order of name."""
        return sorted(
            (origin for origin in self.origins(targets) if origin.column.relation in self.roots),
            key=lambda origin: origin.column,
        )

    def reach(self, start: Column) -> dict[Column, tuple[Column, ...]]:
        """Every column that holds values of `start`, with one of the shortest paths to it (both ends included)."""
        found: dict[Column, tuple[Column, ...]] = {start: (start,)}
        waiting = deque([start])
        while waiting:
            column = waiting.popleft()
            for reader in sorted(self._readers.get(column, ())):
                if reader not in found:
                    found[reader] = (*found[column], reader)
                    waiting.append(reader)
        del found[start]
        return found


def lineage_of(artifact: Mapping[str, Any], source_columns: Mapping[str, Iterable[str]]) -> Lineage:
    """The lineage of a project whose manifest holds the compiled SQL of its models.

    `source_columns` names the columns of each source (`f43.service`), which no model says.
    Raises `ValueError` for a model without compiled SQL.
    """
    schema = MappingSchema(dialect=DIALECT, normalize=False)
    locations: dict[str, str] = {}
    for node in artifact["sources"].values():
        name = f"{node['source_name']}.{node['name']}"
        locations[node["relation_name"]] = f'"{_CATALOG}"."{node["source_name"]}"."{node["name"]}"'
        _declare(schema, node["source_name"], node["name"], source_columns[name])
    for node in artifact["nodes"].values():
        if node["resource_type"] == "seed":
            _declare(schema, node["schema"], node["name"], node["config"]["column_types"])
    queries: dict[str, Query] = {}
    for node in _in_order(artifact):
        if not node.get("compiled_code"):
            raise ValueError(f"{node['name']} is not compiled")
        sql = node["compiled_code"]
        for location, name in locations.items():
            sql = sql.replace(location, name)
        queries[node["name"]] = query_of(sql, schema)
        _declare(schema, node["schema"], node["name"], queries[node["name"]].values)
    return Lineage(queries, frozenset(source_columns))


def query_of(sql: str, schema: MappingSchema) -> Query:
    """What one statement reads; `schema` must name the columns of each relation in it."""
    tree = qualify(
        parse_one(sql, dialect=DIALECT),
        schema=schema,
        dialect=DIALECT,
        validate_qualify_columns=False,
        identify=False,
        quote_identifiers=False,
    )
    scope = build_scope(tree)
    if scope is None:
        raise ValueError(f"no query: {sql[:80]}")
    rows = _Reader(scope).read(scope)
    return Query(
        {name: origins.values for name, origins in rows.columns.items()},
        {name: origins.conditions | rows.conditions for name, origins in rows.columns.items()},
        frozenset(_code_sets(tree)),
    )


@dataclass(frozen=True)
class _Origins:
    values: frozenset[Column] = frozenset()
    conditions: frozenset[Column] = frozenset()

    def __or__(self, other: _Origins) -> _Origins:
        return _Origins(self.values | other.values, self.conditions | other.conditions)

    @property
    def all(self) -> frozenset[Column]:
        return self.values | self.conditions


@dataclass(frozen=True)
class _Rows:
    """What one scope gives: its columns, and what decides which rows there are."""

    columns: Mapping[str, _Origins]
    conditions: frozenset[Column]


class _Reader:
    """Reads the scopes of one statement, each once."""

    def __init__(self, root: Scope) -> None:
        self._scopes = {id(scope.expression): scope for scope in root.traverse()}
        self._read: dict[int, _Rows] = {}
        self._attached: dict[int, dict[str, frozenset[Column]]] = {}

    def read(self, scope: Scope) -> _Rows:
        known = self._read.get(id(scope.expression))
        if known is None:
            known = self._union(scope) if scope.set_operation_scopes else self._select(scope)
            self._read[id(scope.expression)] = known
        return known

    def _union(self, scope: Scope) -> _Rows:
        left, right = map(self.read, scope.set_operation_scopes)
        # A union goes by position, and its columns have the names of its first query.
        pairs = zip(left.columns.items(), right.columns.values(), strict=True)
        return _Rows({name: origins | other for (name, origins), other in pairs}, left.conditions | right.conditions)

    def _select(self, scope: Scope) -> _Rows:
        select = cast(exp.Select, scope.expression)
        joins = {join.alias_or_name: join for join in select.args.get("joins") or ()}
        outer = {name for name, join in joins.items() if join.side in ("LEFT", "FULL")}
        # A row that an outer join finds nothing for stays: the join decides on the columns that it adds alone.
        attached = self._attached[id(select)] = {}
        for name in joins:
            if name in outer:
                attached[name] = self._condition(joins[name].args.get("on")) | self._rows(scope.sources.get(name))
        rows = frozenset[Column]().union(
            *(self._condition(select.args.get(part)) for part in _CONDITIONS),
            *(self._condition(join.args.get("on")) for name, join in joins.items() if name not in outer),
            *(self._rows(source) for name, (_, source) in scope.selected_sources.items() if name not in outer),
        )
        return _Rows({one.alias_or_name: self._origins(one) for one in select.expressions}, rows)

    def _rows(self, source: object) -> frozenset[Column]:
        return self.read(source).conditions if isinstance(source, Scope) else frozenset()

    def _condition(self, part: exp.Expr | None) -> frozenset[Column]:
        return self._origins(part).all if part is not None else frozenset()

    def _origins(self, part: exp.Expr) -> _Origins:
        """Columns of relations that an expression goes back to, those of subqueries in it included."""
        found = _Origins()
        for column in part.find_all(exp.Column):
            found |= self._resolved(column)
        return found

    def _resolved(self, column: exp.Column) -> _Origins:
        select = column.find_ancestor(exp.Select)
        scope = self._scopes.get(id(select))
        while scope is not None and column.table not in scope.sources:
            scope = scope.parent  # A subquery may name what stands around it.
        if scope is None:
            return _Origins()
        source = scope.sources[column.table]
        attached = _Origins(conditions=self._attached.get(id(scope.expression), {}).get(column.table, frozenset()))
        if isinstance(source, Scope):
            return self.read(source).columns.get(column.name, _Origins()) | attached
        relation = source.name if source.db == "main" else f"{source.db}.{source.name}"
        return _Origins(frozenset({Column(relation, column.name)})) | attached


def _code_sets(tree: exp.Expr) -> Iterator[str]:
    for comparison in tree.find_all(exp.EQ, exp.In):
        compared = comparison.this
        is_start = isinstance(compared, exp.Substring) and compared.args["start"].name == "1"
        column = compared.this if is_start else compared
        if isinstance(column, exp.Column) and column.name == "set_id":
            others = comparison.expressions or [comparison.expression]
            yield from (f"{one.this}{'*' if is_start else ''}" for one in others if isinstance(one, exp.Literal))


def _declare(schema: MappingSchema, database: str, name: str, columns: Iterable[str]) -> None:
    table = exp.table_(name, db=database, catalog=_CATALOG)
    schema.add_table(table, dict.fromkeys(columns, "varchar"), dialect=DIALECT, normalize=False)


def _in_order(artifact: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Models, each after those that it reads."""
    models = {key: node for key, node in artifact["nodes"].items() if node["resource_type"] == "model"}
    ordered: dict[str, dict[str, Any]] = {}

    def place(key: str) -> None:
        if key in ordered:
            return
        for parent in sorted(models[key]["depends_on"]["nodes"]):
            if parent in models:
                place(parent)
        ordered[key] = models[key]

    for key in sorted(models):
        place(key)
    return list(ordered.values())
