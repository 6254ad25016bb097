"""Numbers and dates as people read them."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.components.values import (
    change_text,
    compact,
    count_value,
    date_text,
    fiscal_year,
    month_text,
    period_code,
    period_text,
    rate_value,
    signed,
)
from dashboards.queries.figures import COMPLETENESS, CROSS_PROVINCE, SAME_DAY_REPEAT, VISITS_PER_HEAD, dimensions_of
from dashboards.queries.reads import Period
from ruam.words import Words

THAI, ENGLISH = Words("th"), Words("en")


def counts(
    numerator: int | None, denominator: int | None, numerator_status: str = "rounded", status: str = "rounded"
) -> dict[str, object]:
    return {
        "numerator": numerator,
        "numerator_status": numerator_status,
        "denominator": denominator,
        "denominator_status": status,
    }


def test_months_are_in_the_buddhist_era() -> None:
    assert month_text(THAI, date(2024, 4, 1)) == "เม.ย. 2567"
    assert month_text(THAI, date(2024, 4, 1), short=True) == "เม.ย. 67"
    assert month_text(ENGLISH, date(2024, 12, 1)) == "Dec BE 2567"
    assert date_text(THAI, date(2025, 1, 1)) == "1 ม.ค. 2568"
    assert date_text(THAI, None) == "–"


@pytest.mark.parametrize(
    ("day", "year"), [(date(2023, 9, 30), 2566), (date(2023, 10, 1), 2567), (date(2024, 9, 30), 2567)]
)
def test_fiscal_year_begins_in_october(day: date, year: int) -> None:
    assert fiscal_year(day) == year


@pytest.mark.parametrize(
    ("period", "code", "text"),
    [
        (("month", date(2024, 4, 1), date(2024, 4, 30)), "2024-04", "เม.ย. 2567"),
        (("fiscal_year", date(2023, 10, 1), date(2024, 9, 30)), "fy2567", "ปีงบประมาณ 2567"),
        (
            ("last_12_months", date(2024, 4, 1), date(2025, 3, 31)),
            "12m",
            "12 เดือนล่าสุด (เม.ย. 2567 – มี.ค. 2568)",
        ),
    ],
)
def test_periods_have_a_code_for_the_url_and_a_text(period: tuple[str, date, date], code: str, text: str) -> None:
    kind, start, end = period
    one = Period(period_type=kind, period_start=start, period_end=end)
    assert period_code(one) == code
    assert period_text(THAI, one) == text


def test_small_counts_and_missing_ones_are_never_numbers() -> None:
    assert (count_value(THAI, None, "below_10").number, count_value(THAI, None, "below_10").text) == (None, "<10")
    missing = count_value(THAI, None, "missing")
    assert (missing.number, missing.text) == (None, "ไม่มีข้อมูล")
    assert count_value(ENGLISH, None, "missing").text == "No data"
    assert count_value(THAI, 0, "rounded").text == "0"
    assert count_value(THAI, 12345, "rounded").text == "12,345"


def test_rates_come_from_the_published_counts() -> None:
    assert rate_value(THAI, CROSS_PROVINCE, counts(45, 1000)).text == "4.5%"
    assert rate_value(THAI, VISITS_PER_HEAD, counts(3600, 1000)).text == "3.60"
    assert rate_value(THAI, CROSS_PROVINCE, counts(0, 1000)).text == "0.0%"


def test_a_numerator_below_10_gives_only_an_upper_bound() -> None:
    value = rate_value(THAI, SAME_DAY_REPEAT, counts(None, 2500, "below_10"))
    assert (value.number, value.text) == (None, "<0.40%")


def test_no_rate_on_a_small_or_hidden_base() -> None:
    for denominator, status in ((25, "rounded"), (None, "below_10")):
        value = rate_value(THAI, CROSS_PROVINCE, counts(10, denominator, status=status))
        assert (value.number, value.text) == (None, "ฐานน้อยกว่า 30")
    # Facilities are no patients: 1 of 12 is shown.
    assert rate_value(THAI, COMPLETENESS, counts(1, 12, "exact", "exact")).text == "8.3%"


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_rate_is_shown_exactly_when_its_base_is_30_or_more(numerator: int, denominator: int) -> None:
    value = rate_value(THAI, CROSS_PROVINCE, counts(numerator, denominator))
    assert (value.number is not None) == (denominator >= 30)


@given(st.sampled_from(["numerator", "denominator"]), st.integers(30, 10**6))
def test_missing_on_either_side_is_missing(side: str, other: int) -> None:
    both = counts(other, other) | {side: None, f"{side}_status": "missing"}
    value = rate_value(THAI, CROSS_PROVINCE, both)
    assert (value.number, value.text) == (None, "ไม่มีข้อมูล")


def test_short_forms() -> None:
    numbers = (0, 999, 1250, 45_000, 1_250_000)
    assert [compact(ENGLISH, number) for number in numbers] == ["0", "999", "1.2k", "45k", "1.2M"]
    assert [compact(THAI, number) for number in numbers] == ["0", "999", "1.2 พัน", "45 พัน", "1.2 ล้าน"]
    assert [signed(number) for number in (-3, 0, 1200)] == ["-3", "0", "+1,200"]


def test_change_needs_both_months() -> None:
    assert change_text(THAI, CROSS_PROVINCE, [4.0, 4.5]) == "+0.5 จุดร้อยละ"
    assert change_text(THAI, CROSS_PROVINCE, [4.0, None]) is None
    assert change_text(THAI, CROSS_PROVINCE, [4.0]) is None
    assert change_text(THAI, CROSS_PROVINCE, [4.0, 4.04]) == "ไม่เปลี่ยนแปลง"


def test_a_set_of_the_lattice_is_made_of_its_dimensions() -> None:
    assert dimensions_of("all") == ()
    assert dimensions_of("age_band_sex_right_group") == ("age_band", "sex", "right_group")
    assert dimensions_of("facility_type_right_group") == ("facility_type", "right_group")
    with pytest.raises(ValueError, match="shoe_size"):
        dimensions_of("sex_shoe_size")
