"""Column lineage of single statements: what gives the values, and what only decides on rows."""

from __future__ import annotations

import pytest
from sqlglot.schema import MappingSchema

from ruam.docs.lineage import Column, Lineage, Query, query_of

VISITS = {"seq": "varchar", "day": "date", "person": "varchar", "price": "int", "set_id": "varchar"}
SCHEMA = MappingSchema(
    {"warehouse": {"main": {"visits": VISITS, "people": {"person": "varchar", "sex": "varchar"}}}},
    dialect="duckdb",
    normalize=False,
)


def read(sql: str) -> Query:
    return query_of(sql, SCHEMA)


def of(query: Query, column: str) -> tuple[set[str], set[str]]:
    """Values and conditions of a column as text."""
    return {str(one) for one in query.values[column]}, {str(one) for one in query.conditions[column]}


def visits(*names: str) -> set[str]:
    return {f"visits.{name}" for name in names}


@pytest.mark.parametrize(
    ("sql", "values", "conditions"),
    [
        ("select price as x from warehouse.main.visits", visits("price"), set()),
        ("select price * 2 + length(seq) as x from warehouse.main.visits", visits("price", "seq"), set()),
        ("select price as x from warehouse.main.visits where day is not null", visits("price"), visits("day")),
        ("select count(*) as x from warehouse.main.visits group by person", set(), visits("person")),
        (
            "select sum(case when price > 0 then 1 end) as x from warehouse.main.visits having min(day) > '2025'",
            visits("price"),
            visits("day"),
        ),
        (
            "select row_number() over (partition by person order by day) as x from warehouse.main.visits",
            visits("person", "day"),
            set(),
        ),
        ("select x from (select price as x, day from warehouse.main.visits) as a", visits("price"), set()),
        (
            "with a as (select *, price as x from warehouse.main.visits where seq > '1') "
            "select x from a where day > '2'",
            visits("price"),
            visits("seq", "day"),
        ),
        (
            "select price as x from warehouse.main.visits union all select length(person) from warehouse.main.people",
            visits("price") | {"people.person"},
            set(),
        ),
        (
            "select price as x from warehouse.main.visits as v "
            "where exists (select 1 from warehouse.main.people as p where p.person = v.person)",
            visits("price"),
            visits("person") | {"people.person"},
        ),
    ],
)
def test_values_and_conditions_of_a_column(sql: str, values: set[str], conditions: set[str]) -> None:
    assert of(read(sql), "x") == (values, conditions)


def test_an_inner_join_decides_on_every_row_an_outer_one_on_what_it_adds_alone() -> None:
    both = "select v.price, p.sex from warehouse.main.visits as v {} join warehouse.main.people as p using (person)"
    inner, outer = read(both.format("inner")), read(both.format("left"))
    keys = visits("person") | {"people.person"}
    assert of(inner, "price") == (visits("price"), keys)
    assert of(outer, "price") == (visits("price"), set())
    assert of(outer, "sex") == ({"people.sex"}, keys)


def test_rows_of_a_joined_query_are_its_conditions_too() -> None:
    query = read("""
        with cheap as (select person, price from warehouse.main.visits where day > '2025-01-01')
        select people.sex from warehouse.main.people as people inner join cheap on people.person = cheap.person
    """)
    assert of(query, "sex") == ({"people.sex"}, visits("day", "person") | {"people.person"})


def test_code_sets_are_those_that_the_sql_names() -> None:
    query = read("select price from warehouse.main.visits where set_id in ('a', 'b') or set_id = 'c' or seq = 'd'")
    assert query.code_sets == {"a", "b", "c"}
    assert read("select 1 as x from warehouse.main.visits where substr(set_id, 1, 2) = 'd_'").code_sets == {"d_*"}


def test_a_field_is_a_condition_only_if_it_is_nothing_more() -> None:
    def column(text: str) -> Column:
        return Column(*text.rsplit(".", 1))

    def query(values: dict[str, list[str]], conditions: list[str]) -> Query:
        decided = frozenset(map(column, conditions))
        return Query(
            {name: frozenset(map(column, ones)) for name, ones in values.items()}, dict.fromkeys(values, decided)
        )

    lineage = Lineage(
        {
            "stg": query({"day": ["f43.service.date_serv"], "key": ["f43.service.seq"]}, ["f43.service.d_update"]),
            # `key` decides on rows of the figure, and gives its values a step later.
            "msr": query({"flag": ["int.key"], "n": []}, ["stg.day"]),
            "int": query({"key": ["stg.key"]}, ["stg.key"]),
        },
        frozenset({"f43.service"}),
    )
    fields = {str(one.column): one for one in lineage.fields([column("msr.flag")])}
    assert {name: one.is_value for name, one in fields.items()} == {
        "f43.service.seq": True,
        "f43.service.date_serv": False,
        "f43.service.d_update": False,
    }
    assert [str(one) for one in fields["f43.service.seq"].path] == ["f43.service.seq", "stg.key", "int.key", "msr.flag"]
    reached = lineage.reach(column("f43.service.seq"))
    assert [str(one) for one in reached[column("msr.flag")]] == ["f43.service.seq", "stg.key", "int.key", "msr.flag"]
    assert lineage.readers(column("f43.service.date_serv")) == [column("stg.day")]
