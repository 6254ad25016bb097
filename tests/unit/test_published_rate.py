"""Rates and intervals in the marts come from counts as they are published."""

from __future__ import annotations

import duckdb
import jinja2
import pytest

from ruam.disclosure import controlled
from ruam.settings import PROJECT

MACROS = "".join(
    (PROJECT / "macros" / name).read_text(encoding="utf-8")
    for name in ("cross_engine/numbers.sql", "published_rate.sql")
)


def value(expression: str) -> object:
    """What DuckDB makes of a call of one of the macros."""
    sql = jinja2.Environment(autoescape=False).from_string(f"{MACROS}select {{{{ {expression} }}}}").render()  # noqa: S701
    row = duckdb.execute(sql).fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize("count", [0, 1, 9, 10, 12, 13, 17, 18, 1_234_567, None])
def test_the_sql_rule_of_disclosure_is_the_rule(count: int | None) -> None:
    expected, _ = controlled(count)
    assert value(f"published_count('{'null' if count is None else count}')") == expected


@pytest.mark.parametrize(
    ("numerator", "denominator", "low", "high"),
    [(10, 100, 0.0552, 0.1744), (0, 50, 0.0, 0.0713), (50, 50, 0.9287, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_the_interval_is_wilsons(numerator: int, denominator: int, low: float, high: float) -> None:
    ends = [value(f"wilson_bound('{numerator}', '{denominator}', '{sign}')") for sign in "-+"]
    assert ends == pytest.approx([low, high], abs=5e-5)


@pytest.mark.parametrize("counts", ["'null', '100'", "'10', 'null'", "'0', '0'"])
def test_there_is_no_interval_without_its_counts(counts: str) -> None:
    assert value(f"wilson_bound({counts}, '+')") is None
