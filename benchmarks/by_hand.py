"""The fact of visits, as dbt builds it, against one statement of SQL that an analyst writes for it.

On DuckDB, and on ClickHouse where `chdb` is installed; `benchmarks.peers` says what the statement is spared. Both sides
must find the same visits with the same number of diagnoses.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import duckdb

from benchmarks.build import bare, by_dbt, prepare, visits_of
from benchmarks.measuring import measured_in_turn, show_costs
from benchmarks.peers import has_clickhouse, visits_with_clickhouse, visits_with_duckdb
from benchmarks.results import Result, cpu, memory
from ruam.home import DataHome

MEMORY_LIMIT = "4GB"
FACT = "fct_visits"
DBT, BARE, OURS, DUCKDB, CLICKHOUSE = "dbt run", "its statements", f"those of {FACT}", "SQL on DuckDB", "ClickHouse"


def compare(home: DataHome, folder: Path, size: str, runs: int) -> Result:
    """The home's warehouse is made anew. Raises `RuntimeError` when a peer finds other visits than the models."""
    prepare(home)
    visits = visits_of(home)
    by_peers = {DUCKDB: visits_with_duckdb} | ({CLICKHOUSE: visits_with_clickhouse} if has_clickhouse() else {})
    whole = {
        DBT: lambda _: partial(by_dbt, home, "run", MEMORY_LIMIT, visits),
        BARE: lambda _: partial(bare, home, MEMORY_LIMIT, visits),
    }
    fact = {OURS: lambda _: partial(bare, home, MEMORY_LIMIT, visits, FACT)} | {
        name: lambda _, name=name, work=work: partial(work, home.landing, folder / f"{name}.parquet")
        for name, work in by_peers.items()
    }
    # The whole takes long enough to be measured once.
    costs = measured_in_turn(whole, 1) | measured_in_turn(fact, runs)
    show_costs("The warehouse", {name: costs[name] for name in whole}, 1)
    show_costs(f"{FACT} alone", {name: costs[name] for name in fact}, runs)
    for name in by_peers:
        _require_same(home, folder / f"{name}.parquet")
    lines = [
        cpu("CPU of dbt run ÷ its statements alone", costs[DBT], costs[BARE]),
        memory("memory of dbt run ÷ its statements alone", costs[DBT], costs[BARE]),
    ]
    for name in by_peers:
        lines += [
            cpu(f"CPU of the fact of visits ÷ {name}", costs[OURS], costs[name]),
            memory(f"memory of the fact of visits ÷ {name}", costs[OURS], costs[name]),
        ]
    return Result("by_hand", size, lines)


def _require_same(home: DataHome, found: Path) -> None:
    counted = "select count(*), sum(n_diagnoses)::bigint from"
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        ours = connection.execute(f"{counted} {FACT}").fetchone()
        theirs = connection.execute(f"{counted} read_parquet('{found}')").fetchone()
    if ours != theirs:
        raise RuntimeError(f"Visits and diagnoses by {found.stem}: {theirs}; by the models: {ours}.")
