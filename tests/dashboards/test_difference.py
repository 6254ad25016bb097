"""The difference of two shares, against what is published of the method."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.components.difference import difference_of, overlap, wilson
from dashboards.queries.reads import NATION, Area, Period

REGION = Area(area_level="region", area_code="04")
OTHER = Area(area_level="region", area_code="05")
PROVINCE = Area(area_level="province", area_code="12")
MAY = Period(period_type="month", period_start=date(2024, 5, 1), period_end=date(2024, 5, 31))
JUNE = Period(period_type="month", period_start=date(2024, 6, 1), period_end=date(2024, 6, 30))
YEAR = Period(period_type="last_12_months", period_start=date(2024, 4, 1), period_end=date(2025, 3, 31))


def test_newcombe_s_own_examples_come_out() -> None:
    """Table II of the paper: 56/70 less 48/80, and 9/10 less 3/10, by method 10."""
    found = difference_of((48, 80), (56, 70))
    assert (round(found.low, 4), round(found.high, 4)) == (0.0524, 0.3339)
    found = difference_of((3, 10), (9, 10))
    assert (round(found.low, 4), round(found.high, 4)) == (0.1705, 0.8090)


def test_wilson_s_interval_of_nothing_out_of_ten() -> None:
    found = wilson(0, 10)
    assert found.low == pytest.approx(0, abs=1e-12)
    assert found.high == pytest.approx(0.2775, abs=1e-4)


counts = st.integers(1, 10_000).flatmap(lambda whole: st.tuples(st.integers(0, whole), st.just(whole)))


@given(counts, counts)
def test_an_interval_holds_the_difference_and_turns_round_with_its_sides(
    one: tuple[int, int], two: tuple[int, int]
) -> None:
    there, back = difference_of(one, two), difference_of(two, one)
    difference = two[0] / two[1] - one[0] / one[1]
    assert there.low - 1e-9 <= difference <= there.high + 1e-9
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert there.low >= -1 - 1e-9
    assert there.high <= 1 + 1e-9


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ((NATION, YEAR), (REGION, YEAR), True),
        ((PROVINCE, MAY), (REGION, YEAR), True),
        ((REGION, YEAR), (REGION, MAY), True),
        ((REGION, YEAR), (OTHER, YEAR), False),
        ((OTHER, YEAR), (PROVINCE, YEAR), False),
        ((REGION, MAY), (REGION, JUNE), False),
    ],
)
def test_sides_share_visits_where_both_area_and_time_meet(
    first: tuple[Area, Period], second: tuple[Area, Period], shared: bool
) -> None:
    assert overlap(first, second) is shared
    assert overlap(second, first) is shared
