"""The study of the rollout: who is compared with whom, a known effect found, and placebo checks that can fail."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from ruam.errors import SetupError
from ruam.home import DataHome
from ruam.study import LEVEL, MEASURES, PANEL, PROVINCES, Estimate, Sample, estimate, read, sample, study

FIRST = date(2024, 1, 1)
N_MONTHS = 15
VISITS = 100_000
DRAWS, FEW_DRAWS = 99, 2
SIZES = {5: 14, 9: 14, 14: 16}
"""Provinces by the month in which they go live, counted from the first; the last ones only compare."""


def month(number: int) -> date:
    return date(FIRST.year + (number - 1) // 12, (number - 1) % 12 + 1, 1)


def effect(start: int, time: int) -> float:
    """Percentage points: it grows with time, and faster where it began first, so that a plain fixed effect misleads."""
    since = time - start
    return 0.0 if since < 0 else 1.0 + (0.8 if start == 5 else 0.1) * since


def country(
    *, first_months: int = N_MONTHS, drift: float = 0.0, noise: float = 0.05, planted: bool = True, seed: int = 7
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A panel and its provinces. `drift`: points a month that only provinces live early gain, policy or none."""
    random = np.random.default_rng(seed)
    rows, provinces = [], []
    starts = [start for start, size in SIZES.items() for _ in range(size)]
    for code, start in enumerate(starts, start=10):
        level = random.normal(12, 2)
        provinces.append({"province_code": str(code), "actual_date": month(start), "partial_service_date": None})
        for time in range(1, first_months + 1):
            share = level + 0.2 * time + random.normal(0, noise) + (drift * time if start < 14 else 0.0)
            share += effect(start, time) if planted else 0.0
            n = round(VISITS * share / 100)
            counts = dict.fromkeys(MEASURES.values(), n)
            rows.append({"province_code": str(code), "month": month(time), "n_visits": VISITS} | counts)
    return pl.DataFrame(rows, schema=PANEL), pl.DataFrame(provinces, schema=PROVINCES)


def true_effect(chosen: Sample) -> float:
    """The mean planted effect over live provinces and months."""
    cells = [
        effect(start, time)
        for start, size in chosen.sizes.items()
        for time in range(start, chosen.n_months + 1)
        for _ in range(size)
    ]
    return sum(cells) / len(cells)


def fixed_effect(panel: pl.DataFrame, chosen: Sample) -> float:
    """What a plain two-way fixed effect would say: province and month out, then the slope on being live."""
    numbers = (pl.col("month").dt.year() - FIRST.year) * 12 + pl.col("month").dt.month()
    frame = panel.with_columns(time=numbers, start=pl.col("province_code").replace_strict(chosen.cohorts)).filter(
        pl.col("time") <= chosen.n_months
    )
    live = ((frame["start"] > 0) & (frame["time"] >= frame["start"])).cast(pl.Float64)
    wide = frame.select("province_code", "time", share=100 * pl.col("n_out_of_network") / pl.col("n_visits"), live=live)

    def without_means(name: str) -> pl.Series:
        mean = pl.col(name).mean()
        one, other = mean.over("province_code"), mean.over("time")
        return wide.select(pl.col(name) - one - other + mean).to_series()

    y, x = without_means("share"), without_means("live")
    return float((x * y).sum()) / float((x * x).sum())


@pytest.fixture(scope="module")
def planted() -> tuple[pl.DataFrame, Sample, list[Estimate]]:
    panel, provinces = country()
    chosen = sample(panel, provinces)
    return panel, chosen, estimate(panel, chosen, "n_out_of_network", DRAWS)


def found(estimates: list[Estimate], part: str, term: str = "all") -> Estimate:
    (one,) = (one for one in estimates if (one.part, one.term) == (part, term))
    return one


def test_a_planted_effect_is_found_where_a_fixed_effect_is_wrong(
    planted: tuple[pl.DataFrame, Sample, list[Estimate]],
) -> None:
    panel, chosen, estimates = planted
    truth = true_effect(chosen)
    overall = found(estimates, "overall")
    assert overall.effect == pytest.approx(truth, abs=0.1)
    assert overall.low is not None
    assert overall.high is not None
    assert overall.low < truth < overall.high
    # The plain estimator takes provinces that are still changing for comparisons: the test above would not let it pass.
    assert abs(fixed_effect(panel, chosen) - truth) > 0.5


def test_the_effect_of_each_month_and_cohort_is_the_planted_one(
    planted: tuple[pl.DataFrame, Sample, list[Estimate]],
) -> None:
    _, chosen, estimates = planted
    for one in estimates:
        if one.part == "event" and one.event_month is not None:
            since = one.event_month
            behind = {start: size for start, size in chosen.sizes.items() if 1 <= start + since <= chosen.n_months}
            truth = sum(size * effect(start, start + since) for start, size in behind.items()) / sum(behind.values())
            assert one.effect == pytest.approx(truth, abs=0.15), one.term
            assert one.n_provinces == sum(behind.values())
    cohorts = [one for one in estimates if one.part == "cohort"]
    assert [(one.term, one.n_provinces, one.weight) for one in cohorts] == [("2024-05", 14, 0.5), ("2024-09", 14, 0.5)]


def test_both_placebo_checks_pass_where_nothing_but_the_policy_differs(
    planted: tuple[pl.DataFrame, Sample, list[Estimate]],
) -> None:
    *_, estimates = planted
    assert {one.verdict for one in estimates} == {"passed"}
    alarms = found(estimates, "placebo", "fake_dates").p_value
    assert alarms is not None
    assert 0 < alarms * DRAWS <= 0.1 * DRAWS


def test_without_an_effect_few_intervals_leave_out_0() -> None:
    alarms = 0
    for seed in range(20):
        panel, provinces = country(planted=False, seed=seed)
        estimates = estimate(panel, sample(panel, provinces), "n_out_of_network", FEW_DRAWS)
        alarms += (found(estimates, "overall").p_value or 0.0) < LEVEL
    assert alarms <= 3


def test_provinces_that_were_changing_before_fail_the_check_of_leads() -> None:
    panel, provinces = country(planted=False, drift=0.4)
    estimates = estimate(panel, sample(panel, provinces), "n_out_of_network", FEW_DRAWS)
    assert found(estimates, "placebo", "leads").verdict == "failed"
    assert found(estimates, "overall").verdict == "failed"


def test_one_month_before_is_too_few_for_the_check_of_leads() -> None:
    panel, provinces = country()
    from_april = panel.filter(pl.col("month") >= month(8), pl.col("province_code").cast(pl.Int64) >= 24)
    estimates = estimate(from_april, sample(from_april, provinces), "n_out_of_network", FEW_DRAWS)
    assert found(estimates, "placebo", "leads").verdict == "not_possible"
    assert found(estimates, "overall").verdict == "not_possible"


def test_the_same_data_in_another_order_give_the_same_result() -> None:
    panel, provinces = country()
    chosen = sample(panel, provinces)
    shuffled = panel.sample(fraction=1.0, shuffle=True, seed=3)
    once, again = (estimate(one, chosen, "n_cross_region", FEW_DRAWS) for one in (panel, shuffled))
    assert once == again


def test_two_cohorts_by_hand() -> None:
    """Four live provinces rise from 10 to 13 % while nine others rise from 8 to 9 %: the effect is 2 points."""
    provinces, rows = [], []
    for code in range(10, 23):
        live = code < 14
        provinces.append(
            {"province_code": str(code), "actual_date": month(3 if live else 4), "partial_service_date": None}
        )
        # Provinces of a group differ by a tenth of a point in the month after, so that there is a spread.
        spread = (code % 2) / 10
        shares = (10, 10, 13 + spread) if live else (8, 8, 9 + spread)
        for time, share in enumerate(shares, start=1):
            counts = dict.fromkeys(MEASURES.values(), round(share * 1000))
            rows.append({"province_code": str(code), "month": month(time), "n_visits": 100_000} | counts)
    panel = pl.DataFrame(rows, schema=PANEL)
    chosen = sample(panel, pl.DataFrame(provinces, schema=PROVINCES))
    assert (chosen.n_months, chosen.sizes, chosen.n_controls) == (3, {3: 4}, 9)
    overall = found(estimate(panel, chosen, "n_out_of_network", FEW_DRAWS), "overall")
    # (13 + 0.05 - 10) - (9 + 4 / 90 - 8)
    assert overall.effect == pytest.approx(3.05 - (1 + 0.4 / 9), abs=1e-6)


def test_who_cannot_be_compared_is_left_out_and_counted() -> None:
    panel, provinces = country()
    first, partial, small, lone = "10", "11", "12", "24"
    provinces = provinces.with_columns(
        actual_date=pl.when(pl.col("province_code") == first)
        .then(FIRST)
        .when(pl.col("province_code") == lone)
        .then(month(7))
        .otherwise("actual_date"),
        partial_service_date=pl.when(pl.col("province_code") == partial).then(FIRST),
    )
    few = pl.when((pl.col("province_code") == small) & (pl.col("month") == month(2))).then(29).otherwise("n_visits")
    chosen = sample(panel.with_columns(n_visits=few), provinces)
    assert not {first, partial, small, lone} & set(chosen.cohorts)
    assert chosen.n_left_out == 4
    assert (chosen.n_months, chosen.last_day) == (13, date(2025, 1, 31))


@pytest.mark.parametrize("months", [4, 1])
def test_when_nobody_went_live_within_the_data_nothing_is_compared(months: int) -> None:
    panel, provinces = country(first_months=months)
    with pytest.raises(SetupError, match="Nothing can be compared"):
        sample(panel, provinces)


def test_no_visits_are_said_to_be_missing() -> None:
    with pytest.raises(SetupError, match="no visits"):
        sample(pl.DataFrame(schema=PANEL), pl.DataFrame(schema=PROVINCES))


def test_the_table_has_the_columns_of_its_contract_and_the_reports_of_its_months() -> None:
    from ingestion.reference_rows import check_table, load_reference_contracts

    panel, provinces = country()
    reports = pl.DataFrame(
        {
            "month": [month(n) for n in range(1, N_MONTHS + 1)],
            "n_reports_received": [9] * N_MONTHS,
            "n_reports_expected": [10] * N_MONTHS,
        }
    )
    table = study(panel, provinces, reports, FEW_DRAWS)
    checked = check_table(table.write_csv().encode(), load_reference_contracts()["rollout_effects"])
    assert (checked.set_aside, checked.findings, checked.missing_columns, checked.unknown_columns) == ([], [], [], [])
    assert checked.frame.height == table.height
    assert set(table["measure_id"]) == set(MEASURES)
    assert table.select("n_reports_received", "n_reports_expected").unique().rows() == [(117, 130)]


def test_the_panel_is_read_by_home_province_with_borders_crossed(tmp_path: Path) -> None:
    home = DataHome(tmp_path)
    with pytest.raises(SetupError, match="no warehouse yet"):
        read(home)
    duckdb.connect(str(home.warehouse)).close()
    with pytest.raises(SetupError, match="lacks what the study reads"):
        read(home)
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute("""
            create table dim_provinces as
            select * from (values
                ('54', '01', date '2024-01-07', null), ('50', '01', date '2024-05-01', null), ('10', '13', null, null),
                ('99', '00', null, null)
            ) as provinces (province_code, region_code, actual_date, partial_service_date);
            create table agg_patient_flow as
            select 'province' as home_level, 'month' as period_type, date '2024-01-01' as period_start, *
            from (values
                ('54', '54', 90, 5), ('54', '50', 8, 8), ('54', '10', 2, 2), ('99', '54', 7, 0), ('50', '50', 40, 0)
            ) as flows (home_code, treatment_code, n_visits, n_out_of_network_visits);
            create table agg_completeness as
            select 'month' as period_type, 'nation' as area_level, date '2024-01-01' as period_start,
                9 as n_reports_received, 10 as n_reports_expected
        """)
    panel, provinces, reports = read(home)
    assert panel.sort("province_code").rows() == [("50", FIRST, 40, 0, 0, 0), ("54", FIRST, 100, 15, 10, 2)]
    assert provinces.height == 3
    assert reports.rows() == [(FIRST, 9, 10)]
