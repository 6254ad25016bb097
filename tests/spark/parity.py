"""Where tables that were built on Spark differ from those built on DuckDB of the same landing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from ruam.dbt import manifest
from ruam.home import DataHome

_TIME_OF_BUILD = {"built_at", "run_id", "published_at"}
_RELATIVE = 1e-9
"""Doubles that are sums of many come in another order on each engine."""
_SHOWN = 5


@dataclass(frozen=True)
class Table:
    name: str
    layer: str
    """`seeds`, or the folder of the models: `staging`, `warehouse`, `marts` ..."""
    key: tuple[str, ...] = ()
    """Columns or expressions; empty where no test names a key."""


@dataclass(frozen=True)
class Difference:
    table: str
    what: str

    def __str__(self) -> str:
        return f"{self.table}: {self.what}"


def tables_of(home: DataHome) -> list[Table]:
    """What a full build leaves: seeds, and models that are more than a part of others."""
    nodes = manifest(home)["nodes"].values()
    layers = {
        node["name"]: "seeds" if node["resource_type"] == "seed" else node["fqn"][1]
        for node in nodes
        if node["resource_type"] in ("seed", "model") and node["config"]["materialized"] != "ephemeral"
    }
    keys: dict[str, list[str]] = {name: [] for name in layers}
    for node in nodes:
        test = node.get("test_metadata") or {}
        tested = (node.get("attached_node") or "").rpartition(".")[2]
        if test.get("name") == "unique_combination" and tested in keys:
            keys[tested] = test["kwargs"]["columns"]
        elif test.get("name") == "unique" and tested in keys and not keys[tested]:
            keys[tested] = [test["kwargs"]["column_name"]]
    return [Table(name, layer, tuple(keys[name])) for name, layer in sorted(layers.items())]


def published_in(file: Path) -> list[Table]:
    """The tables of a serving file."""
    with duckdb.connect(str(file), read_only=True) as connection:
        names = connection.execute("select table_name from duckdb_tables() order by table_name").fetchall()
    return [Table(name, "published") for (name,) in names]


def count_rows(file: Path, tables: list[Table]) -> dict[str, int]:
    with duckdb.connect(str(file), read_only=True) as connection:
        return {table.name: _count(connection, f'from main."{table.name}"') for table in tables}


def differences(of_duckdb: Path, of_spark: Path, tables: list[Table]) -> Iterator[Difference]:
    """Each table that differs between two DuckDB files, with the first rows that do: by key, where it has one."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"attach '{of_duckdb}' as of_duckdb (read_only)")
        connection.execute(f"attach '{of_spark}' as of_spark (read_only)")
        found = connection.execute("select table_name from information_schema.tables where table_catalog = 'of_spark'")
        there = {name for (name,) in found.fetchall()}
        for table in tables:
            if table.name in there:
                yield from _of_table(connection, table.name, table.key)
            else:
                yield Difference(table.name, "not on Spark")


def _of_table(connection: duckdb.DuckDBPyConnection, table: str, key: tuple[str, ...]) -> Iterator[Difference]:
    ours = _columns(connection, f"of_duckdb.main.{table}")
    theirs = _columns(connection, f"of_spark.main.{table}")
    if missing := set(ours) ^ set(theirs):
        yield Difference(table, f"columns on one engine alone: {', '.join(sorted(missing))}")
        return
    columns = [name for name in ours if name not in _TIME_OF_BUILD]
    # A type that is wider on one engine holds the same values; of text that must be a date, the cast fails aloud.
    casts = ", ".join(f'cast("{name}" as {ours[name]}) as "{name}"' for name in columns)
    names = ", ".join(f'"{name}"' for name in columns)
    # A key may be an expression: each part of it stands as a column of its own.
    parts = {f"key {number}": part for number, part in enumerate(key, 1)}
    keyed = "".join(f', {part} as "{name}"' for name, part in parts.items())
    connection.execute(f"create or replace temp table on_duckdb as select {names}{keyed} from of_duckdb.main.{table}")
    connection.execute(
        f"create or replace temp table on_spark as select *{keyed} from (select {casts} from of_spark.main.{table})"
    )
    if parts and not _is_key(connection, list(parts)):
        yield Difference(table, f"{', '.join(key)} is no key on both engines")
        parts = {}
    others = [name for name in columns if name not in key]
    if parts:
        yield from _by_key(connection, table, {name: ours[name] for name in others}, list(parts))
    else:
        yield from _by_row(connection, table, {name: ours[name] for name in columns})


def _by_key(
    connection: duckdb.DuckDBPyConnection, table: str, types: dict[str, str], key: list[str]
) -> Iterator[Difference]:
    joined = " and ".join(f'd."{name}" is not distinct from s."{name}"' for name in key)
    for here, there, engine in (("on_duckdb", "on_spark", "DuckDB"), ("on_spark", "on_duckdb", "Spark")):
        alone = f"from {here} as d anti join {there} as s on {joined}"
        if n := _count(connection, alone):
            rows = connection.execute(f"select {_list(key, 'd')} {alone} order by all limit {_SHOWN}").fetchall()
            yield Difference(table, f"{n} keys on {engine} alone: {_shown(rows)}")
    for name, data_type in types.items():
        differing = f"from on_duckdb as d inner join on_spark as s on {joined} where {_differs(name, data_type)}"
        if n := _count(connection, differing):
            both = f'{_list(key, "d")}, d."{name}", s."{name}"'
            rows = connection.execute(f"select {both} {differing} order by all limit {_SHOWN}").fetchall()
            yield Difference(table, f"{n} rows differ in {name} (key, DuckDB, Spark): {_shown(rows)}")


def _by_row(connection: duckdb.DuckDBPyConnection, table: str, types: dict[str, str]) -> Iterator[Difference]:
    rounded = ", ".join(f'round("{name}", 6)' if of == "DOUBLE" else f'"{name}"' for name, of in types.items())
    for here, there, engine in (("on_duckdb", "on_spark", "DuckDB"), ("on_spark", "on_duckdb", "Spark")):
        alone = f"from (select {rounded} from {here} except all select {rounded} from {there})"
        if n := _count(connection, alone):
            rows = connection.execute(f"select * {alone} order by all limit {_SHOWN}").fetchall()
            yield Difference(table, f"{n} rows on {engine} alone: {_shown(rows)}")


def _differs(name: str, data_type: str) -> str:
    ours, theirs = f'd."{name}"', f's."{name}"'
    unequal = f"{ours} is distinct from {theirs}"
    if data_type != "DOUBLE":
        return unequal
    close = f"abs({ours} - {theirs}) <= {_RELATIVE} * greatest(abs({ours}), abs({theirs}), 1)"
    return f"{unequal} and not coalesce({close}, false)"


def _columns(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    return {row[0]: row[1] for row in connection.execute(f"describe select * from {relation}").fetchall()}


def _is_key(connection: duckdb.DuckDBPyConnection, key: list[str]) -> bool:
    columns = _list(key, "r")
    return not any(
        _count(connection, f"from (select {columns} from {side} as r group by all having count(*) > 1)")
        for side in ("on_duckdb", "on_spark")
    )


def _count(connection: duckdb.DuckDBPyConnection, rows: str) -> int:
    found = connection.execute(f"select count(*) {rows}").fetchone()
    return int(found[0]) if found else 0


def _list(columns: list[str], relation: str) -> str:
    return ", ".join(f'{relation}."{name}"' for name in columns)


def _shown(rows: list[tuple[Any, ...]]) -> str:
    return "; ".join(" | ".join("null" if value is None else str(value) for value in row) for row in rows)
