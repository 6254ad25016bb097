from __future__ import annotations

import duckdb
import pytest

from ruam.dbt import run_dbt
from ruam.home import DataHome
from tests.warehouse.country import BATCHES, land, make_country


@pytest.fixture(scope="session", autouse=True)
def builds_of_a_parsed_project(parsed_project: None) -> None:
    """Every test here builds."""


@pytest.fixture(scope="session")
def built_home(tmp_path_factory: pytest.TempPathFactory) -> DataHome:
    """The country, landed at once and built with every data and unit test."""
    home = make_country(tmp_path_factory.mktemp("full"))
    land(home, *BATCHES)
    run_dbt(["build"], home)
    return home


@pytest.fixture(scope="session")
def warehouse(built_home: DataHome) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(f"attach '{built_home.warehouse}' as built (read_only)")
    connection.execute("use built")
    return connection
