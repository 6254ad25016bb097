"""Rates and intervals in the marts come from counts as they are published."""

from __future__ import annotations

import csv

import duckdb
import pytest

from ruam.disclosure import controlled
from ruam.settings import PROJECT
from tests.rendering import rendered

MACROS = ("cross_engine/numbers", "prefixed", "published_rate", "standardized_rates")


def value(expression: str) -> object:
    """What DuckDB makes of a call of one of the macros."""
    row = duckdb.execute(rendered(MACROS, f"select {{{{ {expression} }}}}")).fetchone()
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


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("123456.0", 123000),
        ("0.028349", 0.0283),
        ("999.6", 1000),
        ("7.0", 7),
        ("0.0", 0),
        ("cast(null as double)", None),
    ],
)
def test_three_digits_are_shown(number: str, shown: float | None) -> None:
    found = value(f"significant('{number}', 3)")
    assert found == (None if shown is None else pytest.approx(shown, rel=1e-12))


@pytest.mark.parametrize("n", [10, 11, 12, 99, 100, 101, 104])
def test_a_mean_does_not_tell_how_many_it_is_of(n: int) -> None:
    """A reader who knows that values are whole numbers finds a total for every n that is published as this one is."""
    alike = [other for other in range(max(10, n - 4), n + 5) if controlled(other) == controlled(n)]
    sql = "select n, t, {{ published_mean('t', 'n') }} from range($n) as ns (n), range($total) as totals (t)"
    found = duckdb.execute(rendered(MACROS, sql), {"n": n + 5, "total": 5 * n}).fetchall()
    means = {(of, total): mean for of, total, mean in found}
    for total in range(n, 2 * n + 13):
        mean = means[n, total]
        assert isinstance(mean, float)
        for other in alike:
            totals = range(int(mean * other) - 2, int(mean * other) + 3)
            assert any(means[other, one] == mean for one in totals), (n, total, other)
    assert means[9, 30] is None


def standardized(strata: list[tuple[float, int, int]]) -> tuple[float, float, float]:
    """rate, low, high of strata of weight, residents and events."""
    rows = ", ".join(f"('x', {weight}, {residents}, {events})" for weight, residents, events in strata)
    sql = (
        f"with strata(area, weight, n_residents, n_events) as (values {rows}) "
        + "{{ standardized_rates('strata', ['area']) }}"
    )
    row = duckdb.execute(rendered(MACROS, sql)).fetchone()
    assert row is not None
    return row[1:]


def test_the_standardised_rate_of_an_example_done_by_hand() -> None:
    """0.4 of the standard at 10 in 1,000 and 0.6 at 20 in 500: 0.4 x 0.01 + 0.6 x 0.04 = 0.028.

    Variance 0.16 x 10 / 1,000,000 + 0.36 x 20 / 250,000 = 0.0000304, greatest weight 0.6 / 500 = 0.0012.
    Low: 51.58 degrees, chi-square 33.62, times 0.0000304 / 0.056. High: 53.56, 75.67, times 0.00003184 / 0.0584.
    """
    assert standardized([(0.4, 1000, 10), (0.6, 500, 20)]) == pytest.approx((0.028, 0.01825, 0.04126), abs=1e-5)


@pytest.mark.parametrize(("events", "low", "high"), [(10, 4.795, 18.390), (30, 20.241, 42.827), (100, 81.364, 121.627)])
def test_of_one_stratum_the_interval_is_the_exact_one_of_a_poisson_count(events: int, low: float, high: float) -> None:
    """Garwood 1936."""
    found = standardized([(1.0, 1000, events)])
    assert found == pytest.approx((events / 1000, low / 1000, high / 1000), rel=2e-3)


def test_strata_without_residents_leave_their_weight_to_the_others() -> None:
    assert standardized([(0.25, 1000, 10), (0.25, 1000, 30), (0.5, 0, 0)])[0] == pytest.approx(0.02)


def test_no_event_has_an_upper_bound_alone() -> None:
    rate, low, high = standardized([(1.0, 1000, 0)])
    assert (rate, low) == (0, 0)
    assert high == pytest.approx(0.00369, rel=0.01)


@pytest.mark.parametrize(
    ("n_events", "n_received", "n_expected", "status"),
    [
        (0, 0, 12, "no_data"),
        (0, 0, 0, "no_data"),
        (0, 12, 12, "complete"),
        (5, 12, 12, "complete"),
        (0, 11, 12, "partial"),
        (5, 0, 12, "partial"),
        (5, 0, 0, "partial"),
    ],
)
def test_an_area_without_inputs_says_so(n_events: int, n_received: int, n_expected: int, status: str) -> None:
    assert value(f"input_status('{n_events}', '{n_received}', '{n_expected}')") == status


def test_the_standard_population_is_a_million_people_of_every_band_and_sex() -> None:
    with (PROJECT / "seeds" / "measures" / "standard_population.csv").open(encoding="utf-8", newline="") as handle:
        weights = {(row["age_band"], row["sex"]): int(row["weight"]) for row in csv.DictReader(handle)}
    assert sum(weights.values()) == 1_000_000
    assert len(weights) == 7 * 2
    # WHO World Standard Population: 8.86% are under 5, and 2.21 + 2.96 + 3.72% from 60 to 74.
    for band, share in (("00_04", 0.0886), ("60_74", 0.0889)):
        assert sum(n for (one, _), n in weights.items() if one == band) == pytest.approx(share * 1e6, rel=1e-3)
