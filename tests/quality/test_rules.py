"""The mutation table of the rules over examined rows and over months: what breaks each, and what only looks like it.

The expressions run as they stand, over tables of examples alone; how rows come to be examined is the models' matter.
The table of the rules of reading stands in tests/ingestion/test_mutations.py.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import duckdb
import pytest

from ingestion.checks import Axis, Severity
from quality.catalogue import DriftRule, Entry, Examined, RowRule, codes, drift_rules, entries, examined
from ruam.settings import PROJECT
from tests.rendering import rendered

CASES = [(rows, rule) for rows in examined() for rule in rows.rules]
IDS = [rule.code for _, rule in CASES]
THAI = re.compile(r"[\u0e00-\u0e7f]")


MACROS = ("cross_engine/dates", "cross_engine/numbers", "control_limits")
engine = cache(duckdb.connect)


@cache
def examining(name: str) -> str:
    """What the model of that name ends with: its rows with the bits of their rules, of a relation `rows_of_it`."""
    rules = next([rule.model_dump() for rule in rows.rules] for rows in examined() if rows.name == name)
    ending = f"{{%- set rules_over = its_rules -%}}{{{{ examined_rows('{name}', 'rows_of_it') }}}}"
    return rendered(("rules",), ending, its_rules=lambda _: rules)


def rules_of(rows: Examined, row: dict[str, Any], bits: str) -> set[str]:
    """The rules over its kind whose bit a row has in a column, `checked_rules` or `broken_rules`."""
    columns = ", ".join(f"cast(? as {type_}) as {name}" for name, type_ in rows.columns.items())
    asked = f"with rows_of_it as (select {columns}) select {bits} from ({examining(rows.name)})"
    (found,) = engine().execute(asked, [row[name] for name in rows.columns]).fetchall()[0]
    return {rule.code for place, rule in enumerate(rows.rules) if found & 1 << place}


def broken_rules(rows: Examined, row: dict[str, Any]) -> set[str]:
    """What a row breaks of all rules over its kind."""
    return rules_of(rows, row, "broken_rules")


@pytest.mark.parametrize("rows", examined(), ids=lambda rows: rows.name)
def test_the_sound_row_breaks_nothing_and_has_every_column(rows: Examined) -> None:
    assert rows.sound_row.keys() == rows.columns.keys()
    assert broken_rules(rows, rows.sound_row) == set()


@pytest.mark.parametrize(("rows", "rule"), CASES, ids=IDS)
def test_a_row_is_checked_by_the_rules_that_apply_to_it_and_breaks_no_other(rows: Examined, rule: RowRule) -> None:
    row = rows.sound_row | rule.broken
    assert rule.code in rules_of(rows, row, "checked_rules")
    assert broken_rules(rows, row) <= rules_of(rows, row, "checked_rules")
    if rule.applies == "true":
        assert rule.code in rules_of(rows, rows.sound_row | rule.sound, "checked_rules")


@pytest.mark.parametrize(("rows", "rule"), CASES, ids=IDS)
def test_a_break_is_found_once_and_nothing_else_is(rows: Examined, rule: RowRule) -> None:
    assert broken_rules(rows, rows.sound_row | rule.broken) == {rule.code}


@pytest.mark.parametrize(("rows", "rule"), CASES, ids=IDS)
def test_what_only_looks_like_a_break_is_none(rows: Examined, rule: RowRule) -> None:
    assert rule.sound.keys() <= rows.columns.keys()
    assert rows.sound_row | rule.sound != rows.sound_row, "the row that looks like a break is the sound row itself"
    assert broken_rules(rows, rows.sound_row | rule.sound) == set()


def drifting(series: dict[str, list[tuple[int, int]]], rule: DriftRule) -> set[tuple[str, int, str, str]]:
    """Facility, number of the month, rule and verdict of what lies outside its limits; by facility, the events and what
    was asked of each month."""
    model = (PROJECT / "models/warehouse/fct_facility_drifts.sql").read_text("utf-8")
    rules = [one.model_dump() for one in drift_rules()]
    sql = rendered(MACROS, model, ref=lambda name: name, rules_over=lambda _: rules)
    rows = [
        f"('{hospcode}', date '2023-01-01' + to_months({n}), '{rule.series}', 'some', {events}, {asked})"
        for hospcode, months in series.items()
        for n, (events, asked) in enumerate(months)
    ]
    columns = "hospcode, service_month, series, member, n_events, n_asked"
    with duckdb.connect() as connection:
        connection.execute(
            f"create table fct_facility_series as select * replace (cast(service_month as date) as service_month) "
            f"from (values {', '.join(rows)}) as t({columns})"
        )
        found = connection.execute(
            "select hospcode, date_diff('month', date '2023-01-01', service_month), rule_code, verdict "
            f"from ({sql}) where verdict in ('above', 'below')"
        ).fetchall()
    return set(found)


@pytest.mark.parametrize("rule", drift_rules(), ids=lambda rule: rule.code)
def test_a_month_that_leaves_its_limits_is_found_once_and_one_that_only_looks_so_is_not(rule: DriftRule) -> None:
    """The same last month: after even months, after months that swing as far, and after too few of them."""
    even = [(300 + n % 3, 1000) for n in range(12)]
    swinging = [(300 + (200 if n % 2 else -200), 1000) for n in range(12)]
    last = (450, 1000)
    series = {"even": [*even, last], "swinging": [*swinging, last], "new": [*even[:11], last], "same": [*even, even[0]]}
    assert drifting(series, rule) == {("even", 12, rule.code, "above")}


def test_there_are_at_least_120_rules_and_no_code_names_two() -> None:
    found = list(codes())
    assert len(found) >= 120
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.code)
def test_each_rule_says_in_thai_and_english_what_is_wrong_and_what_to_do(entry: Entry) -> None:
    """Code, axis, level and severity are of closed lists, or there would be no entry."""
    assert all(THAI.search(text) for text in (entry.th, entry.fix_th))
    assert not any(THAI.search(text) for text in (entry.en, entry.fix_en))
    assert all(text.endswith(".") for text in (entry.en, entry.fix_en))
    assert entry.population.strip()


def test_rules_stand_on_each_axis_and_at_each_level() -> None:
    found = list(entries())
    assert {entry.axis for entry in found} == set(Axis)
    assert {entry.severity for entry in found} == set(Severity)
    assert {entry.level for entry in found} >= {"delivery", "row", "warning", "drift"}
