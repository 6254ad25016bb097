"""How DuckDB plans the models: what takes seconds on a small country and hours on the nation shows here first."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import duckdb

from ruam.dbt import manifest
from ruam.home import DataHome

EVERY_PAIR = {"BLOCKWISE_NL_JOIN", "NESTED_LOOP_JOIN"}
"""Joins that hold every row of one side against every row of the other."""
EQUALITY = re.compile(r"\((?:CAST\()?[a-z_]+\)? = (?:CAST\()?[a-z_]+\)?")


def joins(plan: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and conditions of each operator of a plan that compares pairs."""
    if plan["name"].strip() in EVERY_PAIR:
        yield plan["name"].strip(), str({key: told for key, told in plan["extra_info"].items() if "ondition" in key})
    for child in plan["children"]:
        yield from joins(child)


def compared_pair_by_pair(connection: duckdb.DuckDBPyConnection, sql: str) -> list[str]:
    """Joins of a statement that have an equality to go by and compare every pair all the same: a hash join would
    look each row up. DuckDB does so where an outer join also puts a condition to one of its sides alone."""
    found = connection.execute(f"explain (format json) {sql}").fetchall()
    return [
        f"{name}: {conditions}"
        for _, plan in found
        for root in json.loads(plan)
        for name, conditions in joins(root)
        if EQUALITY.search(conditions)
    ]


def test_the_look_finds_such_a_join() -> None:
    with duckdb.connect() as connection:
        connection.execute("create table cells as select 'facility' as level, range::varchar as code from range(5000)")
        connection.execute("create table facilities as select range::varchar as hospcode from range(5000)")
        on = "cells.level = 'facility' and cells.code = facilities.hospcode"
        assert compared_pair_by_pair(connection, f"select * from cells left join facilities on {on}")
        plain = "cells.code = facilities.hospcode"
        assert compared_pair_by_pair(connection, f"select * from cells left join facilities on {plain}") == []


def test_no_model_compares_every_pair_of_rows_where_a_column_tells_which_belong_together(built_home: DataHome) -> None:
    models = {
        node["name"]: node["compiled_code"]
        for node in manifest(built_home)["nodes"].values()
        if node["resource_type"] == "model" and node["config"]["materialized"] not in ("ephemeral", "view")
    }
    assert len(models) > 100
    with duckdb.connect() as connection:
        connection.execute(f"attach '{built_home.warehouse}' as warehouse (read_only)")
        connection.execute("use warehouse")
        found = {name: compared_pair_by_pair(connection, sql) for name, sql in models.items()}
    assert {name: told for name, told in found.items() if told} == {}
