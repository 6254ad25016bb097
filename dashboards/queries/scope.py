"""The one place where a viewer's scope meets the published tables.

Each table that a statement names is put behind a filter of the same name, whose values are parameters. Which filter,
the table's columns say; a table whose columns say nothing of an area is refused unless it is known to hold none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Any

from ruam.access import Level, Scope
from ruam.geography import province_names, region_of_province

WITHOUT_AREAS = frozenset(
    {"agg_rollout_effects", "agg_unknown_codes", "dim_indicators", "dim_parameters", "dim_measures"}
    | {"dim_members", "dim_unmeasurables", "publication"}
)
"""Published tables with no row of any area: registries, labels, and figures of the nation alone."""

TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series"})
"""Functions in a `from` that read no table."""

_ALLOWED = "$scope_areas"
_KEYS = {"hospcode": Level.FACILITY, "province_code": Level.PROVINCE, "region_code": Level.REGION}
_BEGINS_WITH = re.compile(r"\s*with\s", re.IGNORECASE)


class UnscopedTableError(Exception):
    """A statement names a table that no rule of scope covers."""


@cache
def areas_of(scope: Scope) -> tuple[str, ...]:
    """`level:code` of each area whose rows a scope shows: its own, those below, and the nation, which all may see."""
    own = {f"{scope.level}:{code}" for code in scope.codes}
    if scope.level is Level.REGION:
        provinces = {province for province in province_names() if region_of_province(province) in scope.codes}
        own |= {f"{Level.PROVINCE}:{province}" for province in provinces}
    return tuple(sorted({f"{Level.NATION}:TH", *own}))


def tables_of(parsed: str) -> set[str]:
    """Names that a statement reads from, common tables among them, from its parse tree (`json_serialize_sql`).

    Raises `UnscopedTableError` for anything but a plain name in one select: a table by its schema, a function of
    tables, or a statement that DuckDB cannot give the tree of, for none of these could be put behind a filter.
    """
    tree = json.loads(parsed)
    if tree["error"] or len(tree["statements"]) != 1:
        raise UnscopedTableError(f"no single select: {tree.get('error_message', 'several statements')}")
    names = set()
    for node in _nodes(tree):
        kind = node.get("type")
        if kind == "BASE_TABLE":
            if node["schema_name"] or node["catalog_name"]:
                raise UnscopedTableError(f"{node['table_name']}: named by its schema")
            names.add(str(node["table_name"]))
        elif kind == "TABLE_FUNCTION":
            name = node["function"]["function_name"]
            if name not in TABLE_FUNCTIONS:
                raise UnscopedTableError(f"{name}: a function of tables")
    return names


def _nodes(tree: object) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


def scoped(
    sql: str, tables: Collection[str], columns: Mapping[str, Collection[str]], scope: Scope
) -> tuple[str, dict[str, list[str]]]:
    """The statement over filtered tables, and the parameters that the filters need.

    `tables` are the names that it reads from, `columns` those of each table of the file. Raises `UnscopedTableError`
    for a table that no rule covers.
    """
    filters = {}
    for table in sorted(columns.keys() & set(tables) - WITHOUT_AREAS):
        condition = _condition(columns[table])
        if condition is None:
            raise UnscopedTableError(f"{table}: nothing says which areas its rows are of")
        filters[table] = condition
    if scope.level is Level.NATION or not filters:
        return sql, {}
    commons = ", ".join(f"{table} as (select * from main.{table} where {where})" for table, where in filters.items())
    begins = _BEGINS_WITH.match(sql)
    statement = f"with {commons}, {sql[begins.end() :]}" if begins else f"with {commons} {sql}"
    return statement, {_ALLOWED[1:]: list(areas_of(scope))}


_OF_PROVINCE = """
    area_level = 'district' and {district} or area_level = 'facility' and area_code in (
        select area_code from main.dim_areas where area_level = 'facility' and {parent}
    )
"""
"""A district is of its province by its own code, a facility by that of the district above it."""


def _condition(columns: Collection[str]) -> str | None:
    """Whether a row is in scope, by whichever columns tell its area."""
    if {"area_level", "area_code"} <= set(columns):
        of_province = _OF_PROVINCE.format(
            district=_is_allowed(f"'{Level.PROVINCE}:' || substr(area_code, 1, 2)"),
            parent=_is_allowed(f"'{Level.PROVINCE}:' || substr(parent_code, 1, 2)"),
        )
        return " or ".join([_is_allowed("area_level || ':' || area_code"), of_province])
    if {"home_level", "home_code", "treatment_code"} <= set(columns):
        # A flow is of both its ends.
        return " or ".join(_is_allowed(f"home_level || ':' || {end}") for end in ("home_code", "treatment_code"))
    keys = [_is_allowed(f"'{level}:' || {column}") for column, level in _KEYS.items() if column in columns]
    return " or ".join(keys) or None


def _is_allowed(area: str) -> str:
    return f"coalesce(list_contains({_ALLOWED}, {area}), false)"
