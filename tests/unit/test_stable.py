"""The stable schema keeps its promise: within a version nothing goes, and nothing changes its type."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from ruam.errors import PublishError
from ruam.stable import StableColumn, StableSchema, StableView, create_views, stable_schema

KEPT = Path(__file__).with_name("ruam_v1.txt")
"""What was promised: a line for each column. Lines are added with new columns, and never taken away."""


def promised(schema: StableSchema) -> list[str]:
    return [f"{view.name}.{column.name} {column.type}" for view in schema.views for column in view.offered]


def test_what_was_promised_is_offered_and_what_is_new_was_meant() -> None:
    """A line that went or changed needs a new version of the schema; a new column needs its line, once it is sure."""
    assert sorted(promised(stable_schema())) == sorted(KEPT.read_text(encoding="utf-8").split("\n")[:-1])


def test_keys_are_columns_of_their_view_and_every_column_has_words_in_both_languages() -> None:
    for view in stable_schema().views:
        names = [column.name for column in view.offered]
        assert len(set(names)) == len(names)
        assert set(view.key) <= set(names)
        assert all(column.title_th and column.description.endswith(".") for column in view.offered)


def small(*names: str, where: str | None = None) -> StableSchema:
    columns = [
        StableColumn(
            name=name, type="bigint" if name == "n" else "varchar", count=name == "n", title_th="ก", description="A."
        )
        for name in names
    ]
    view = StableView(name="v", table="agg", where=where, title_th="ก", description="A.", key=["area"], columns=columns)
    return StableSchema(name="ruam_v1", views=[view], left_out={})


@pytest.fixture
def file() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("create table agg as select '01' as area, 10 as n, 'rounded' as n_status, 'all' as kind")
    return connection


def test_a_view_has_the_promised_types_whatever_the_table_has(file: duckdb.DuckDBPyConnection) -> None:
    create_views(file, small("area", "n"))
    cursor = file.execute("from ruam_v1.v")
    assert [(name, str(kind)) for name, kind, *_ in cursor.description or []] == [
        ("area", "VARCHAR"),
        ("n", "BIGINT"),
        ("n_status", "VARCHAR"),
    ]


def test_a_column_that_the_build_no_longer_makes_stops_the_publication(file: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(PublishError, match=r"agg no longer gives what ruam_v1\.v promises"):
        create_views(file, small("area", "gone"))


def test_a_table_that_grew_more_kinds_of_rows_must_say_which_are_meant(file: duckdb.DuckDBPyConnection) -> None:
    file.execute("insert into agg values ('01', 10, 'rounded', 'by age')")
    with pytest.raises(PublishError, match="a key"):
        create_views(file, small("area", "n"))
    file.execute("drop schema ruam_v1 cascade")
    create_views(file, small("area", "n", where="kind = 'all'"))
    assert file.execute("select count(*) from ruam_v1.v").fetchone() == (1,)
