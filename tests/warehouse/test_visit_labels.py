"""Labels of visits and the flags under them, computed again over visits that were changed.

That labels sum to the visits, and that RED-01 flags nothing but people at two facilities on one day, is asked of every
build (`tests/dbt/singular`).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb
import pytest

from ruam.home import DataHome

MODELS = (
    "intermediate/visits/int_visits__merged",
    "intermediate/visits/int_visits__qualified",
    "intermediate/visits/int_visits__indexed",
    "intermediate/visits/int_visits__chained",
    "measures/msr_red_01",
    "measures/msr_red_02",
    "measures/fct_visit_labels",
)
"""In order."""
BUDDHIST_ERA_DAYS = (date(2568, 1, 1) - date(2025, 1, 1)).days

Changed = Callable[[str], duckdb.DuckDBPyConnection]


@pytest.fixture
def changed(built_home: DataHome, tmp_path: Path) -> Changed:
    """A copy of the warehouse in which visits were changed by a statement, with what is computed of them anew."""

    def change(statement: str) -> duckdb.DuckDBPyConnection:
        copy = tmp_path / built_home.warehouse.name
        shutil.copy(built_home.warehouse, copy)
        connection = duckdb.connect(str(copy))
        connection.execute(statement)
        for model in MODELS:
            compiled = built_home.dbt / "target" / "compiled" / "ruam" / "models" / f"{model}.sql"
            name = model.rsplit("/", 1)[-1]
            connection.execute(f"create or replace table {name} as {compiled.read_text(encoding='utf-8')}")
        return connection

    return change


def repeats(connection: duckdb.DuckDBPyConnection) -> list[tuple[object, ...]]:
    return connection.execute("""
        select measure_id, event_key from (select * from msr_red_01 union all select * from msr_red_02)
        where variant = 'main' and is_numerator order by all
    """).fetchall()


def labels(connection: duckdb.DuckDBPyConnection) -> list[tuple[object, ...]]:
    return connection.execute("select visit_key, label from fct_visit_labels order by all").fetchall()


def test_a_redundant_visit_is_labelled(warehouse: duckdb.DuckDBPyConnection) -> None:
    found = dict(warehouse.execute("select label, count(*) from fct_visit_labels group by all").fetchall())
    assert found["redundant"] == len(repeats(warehouse)) == 2
    assert sum(found.values()) == 9


@pytest.mark.parametrize(
    "referral",
    [
        "typein = '3' where visit_key in (select visit_key from fct_visit_labels where label = 'redundant')",
        "typeout = '3' where visit_key in (select visit_key from fct_visit_labels where label <> 'redundant')",
    ],
    ids=["referred in", "referred out before"],
)
def test_a_referral_clears_the_pair(changed: Changed, referral: str) -> None:
    connection = changed(f"update int_visits__enriched set {referral}")
    assert repeats(connection) == []
    assert "redundant" not in {label for _, label in labels(connection)}


def test_years_of_the_buddhist_era_change_nothing(changed: Changed, warehouse: duckdb.DuckDBPyConnection) -> None:
    """As many days as 543 years later: leap days would move the edge of a window."""
    connection = changed(f"update int_visits__enriched set date_serv = date_serv + {BUDDHIST_ERA_DAYS}")
    assert repeats(connection) == repeats(warehouse) != []
    assert labels(connection) == labels(warehouse)
    years = connection.execute("select distinct year(event_date) from msr_red_01").fetchall()
    assert years == [(2568,)]
