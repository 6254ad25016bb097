from __future__ import annotations

import shutil

import duckdb
import pytest

from ruam.build import project_digest
from ruam.dbt import run_dbt
from ruam.home import DataHome
from ruam.publish import publish
from tests.unit.verdicts import pass_checks
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
def published_home(built_home: DataHome, tmp_path_factory: pytest.TempPathFactory) -> DataHome:
    """The country as it is published."""
    home = DataHome(tmp_path_factory.mktemp("published") / "home")
    home.create()
    shutil.copy(built_home.warehouse, home.warehouse)
    shutil.copytree(built_home.dbt / "target", home.dbt / "target", ignore=shutil.ignore_patterns("compiled", "run"))
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute("create schema if not exists ruam")
        connection.execute(
            "create table ruam.builds as select '20250301T000000-cccccccc' as build_id, 'succeeded' as status, "
            f"'{project_digest()}' as project_digest, 1 as number"
        )
        connection.execute("create table ruam.built_batches (batch varchar)")
    pass_checks(home)
    publish(home)
    return home


@pytest.fixture(scope="session")
def warehouse(built_home: DataHome) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(f"attach '{built_home.warehouse}' as built (read_only)")
    connection.execute("use built")
    return connection
