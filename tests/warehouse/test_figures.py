"""Figures of the hand-made country (`country.py`), worked out by hand."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import duckdb
import pytest

from tests.warehouse.country import ANAN, BANGKOK_HOSPITAL, PHRAE_CENTRE, PHRAE_COMMUNITY, ROI_ET_UNIT, SOMSRI

JANUARY, FEBRUARY = date(2025, 1, 1), date(2025, 2, 1)
FISCAL_YEAR = date(2024, 10, 1)

Warehouse = duckdb.DuckDBPyConnection


def one(warehouse: Warehouse, sql: str, parameters: list[object] | None = None) -> tuple[object, ...]:
    rows = warehouse.execute(sql, parameters or []).fetchall()
    assert len(rows) == 1, rows
    return tuple(rows[0])


def utilization(warehouse: Warehouse, columns: str, where: str) -> tuple[object, ...]:
    return one(warehouse, f"select {columns} from agg_utilization where {where}")


def test_newest_row_of_a_visit_stays_whatever_arrives_last(warehouse: Warehouse) -> None:
    price = one(
        warehouse,
        "select price, delivery_id from fct_visits where hospcode = ? and seq = '1'",
        [PHRAE_CENTRE],
    )
    assert price == (Decimal(250), "phrae-3")


def test_equal_update_times_are_decided_by_the_time_of_sending(warehouse: Warehouse) -> None:
    assert one(
        warehouse,
        "select instype, right_group, delivery_id from fct_visits where hospcode = ? and seq = '3'",
        [PHRAE_CENTRE],
    ) == ("ZZZZ", "unknown", "phrae-1")


def test_people_of_several_facilities_are_one_and_others_stay_apart(warehouse: Warehouse) -> None:
    rows = warehouse.execute(
        "select hospcode, pid, person_key, person_tier, is_registered from bridge_person_registrations"
    ).fetchall()
    by_pair = {(hospcode, pid): rest for hospcode, pid, *rest in rows}
    assert by_pair[PHRAE_CENTRE, "1"] == by_pair[PHRAE_COMMUNITY, "9"] == [ANAN, "A", True]
    assert by_pair[ROI_ET_UNIT, "3"] == [SOMSRI, "A", True]
    assert by_pair[PHRAE_CENTRE, "2"][1:] == ["C", True]
    assert by_pair[PHRAE_COMMUNITY, "77"][1:] == ["C", False]
    assert len({person for person, *_ in by_pair.values()}) == 4


def test_residents_are_registered_and_alive(warehouse: Warehouse) -> None:
    residents = warehouse.execute(
        "select person_tier, registered_province_code from dim_persons where is_registered_resident order by 1"
    ).fetchall()
    assert residents == [("A", "54"), ("C", "54")]


def test_affiliation_is_that_of_the_day(warehouse: Warehouse) -> None:
    groups = warehouse.execute(
        "select date_serv, affiliation_group from fct_visits where hospcode = ? order by 1", [ROI_ET_UNIT]
    ).fetchall()
    assert groups == [(date(2025, 1, 9), "moph"), (date(2025, 1, 20), "local_government")]


def test_figures_count_a_visit_at_the_affiliation_of_its_day(warehouse: Warehouse) -> None:
    """The unit went over to local government on 10 January, between its two visits."""
    counts = warehouse.execute(
        "select dimension_value, n_visits from agg_utilization where area_code = '45' and dimension = 'affiliation' "
        "and period_type = 'month' and period_start = '2025-01-01' order by 1"
    ).fetchall()
    assert counts == [("local_government", 1), ("moph", 1)]


def test_a_child_waits_for_its_parent(warehouse: Warehouse) -> None:
    assert one(warehouse, "select is_orphan from fct_diagnoses where diagnosis_code = 'I10'") == (False,)
    assert one(warehouse, "select count(*) from fct_visits where principal_diagnosis = 'I10'") == (1,)


def test_national_counts_of_january(warehouse: Warehouse) -> None:
    counts = utilization(
        warehouse,
        "n_visits, n_persons, n_home_known_visits, n_out_of_network_visits, n_cross_province_visits, "
        "n_cross_region_visits, n_anywhere_visits, n_policy_eligible_visits, n_admissions, n_bed_days, "
        "n_registered_persons",
        "area_level = 'nation' and period_type = 'month' and period_start = '2025-01-01' and dimension = 'all'",
    )
    assert counts == (7, 3, 6, 3, 1, 1, 3, 6, 1, 1, 2)


def test_bed_days_count_in_the_month_of_discharge_and_are_at_least_one(warehouse: Warehouse) -> None:
    days = warehouse.execute("select an, bed_days, discharge_month from fct_admissions order by 1").fetchall()
    assert days == [("A1", 1, JANUARY), ("A2", 3, FEBRUARY)]


@pytest.mark.parametrize(
    ("period", "start", "n_visits", "n_persons"),
    [
        ("month", JANUARY, 5, 2),
        ("month", FEBRUARY, 2, 2),
        ("fiscal_year", FISCAL_YEAR, 7, 3),
        ("last_12_months", date(2024, 3, 1), 7, 3),
    ],
)
def test_people_are_counted_once_in_each_period(
    warehouse: Warehouse, period: str, start: date, n_visits: int, n_persons: int
) -> None:
    where = f"area_code = '54' and period_type = '{period}' and period_start = '{start}' and dimension = 'all'"
    assert utilization(warehouse, "n_visits, n_persons", where) == (n_visits, n_persons)


def test_a_silent_area_has_no_row_and_completeness_says_so(warehouse: Warehouse) -> None:
    silent = "select count(*) from agg_utilization where area_level = 'region' and area_code = '13'"
    assert one(warehouse, silent) == (0,)
    expected = one(
        warehouse,
        "select n_reports_expected, n_reports_received from agg_completeness "
        "where area_level = 'region' and area_code = '13' and period_type = 'month' and period_start = '2025-01-01'",
    )
    assert expected == (1, 0)
    assert one(warehouse, "select is_expected_to_send from dim_facilities where hospcode = ?", [BANGKOK_HOSPITAL]) == (
        True,
    )


def test_a_year_of_which_few_months_came_is_not_complete(warehouse: Warehouse) -> None:
    """Each month of the year up to the newest with data was due, whether or not anybody had begun to send."""
    n_months, expected, received = one(
        warehouse,
        "select (select count(distinct month_start) from bridge_months_periods where period_type = 'last_12_months'), "
        "n_reports_expected, n_reports_received from agg_completeness "
        "where area_code = '54' and period_type = 'last_12_months'",
    )
    monthly = one(
        warehouse,
        "select sum(n_reports_received), max(n_reports_expected) from agg_completeness "
        "where area_code = '54' and period_type = 'month'",
    )
    assert (n_months, expected, received) == (12, 12 * monthly[1], monthly[0])
    assert received < expected


def test_reported_facilities_are_those_expected_to_send(warehouse: Warehouse) -> None:
    counts = one(
        warehouse,
        "select n_reports_expected, n_reports_received from agg_completeness "
        "where area_code = '54' and period_type = 'month' and period_start = '2025-01-01'",
    )
    assert counts == (2, 2)


def test_flow_from_home_to_treatment(warehouse: Warehouse) -> None:
    flows = warehouse.execute(
        "select home_code, treatment_code, n_visits, n_persons from agg_patient_flow "
        "where home_level = 'province' and period_type = 'fiscal_year' order by 1, 2"
    ).fetchall()
    assert flows == [("45", "45", 1, 1), ("54", "45", 1, 1), ("54", "54", 5, 1), ("99", "54", 2, 2)]


@pytest.mark.parametrize(("measure", "numerator"), [("RED-01", 1), ("RED-02", 1)])
def test_repeats_are_counted_on_merged_visits(warehouse: Warehouse, measure: str, numerator: int) -> None:
    counts = one(
        warehouse,
        "select numerator, denominator, n_linkable, measure_version from agg_measure_results "
        "where area_level = 'nation' and period_type = 'fiscal_year' and variant = 'main' and dimension_set = 'all' "
        f"and measure_id = '{measure}'",
    )
    assert counts == (numerator, 7, 5, "1")


def test_a_province_that_sent_nothing_has_no_count_and_says_so(warehouse: Warehouse) -> None:
    silent = one(
        warehouse,
        "select min(status), max(status), count(numerator), count(denominator), count(*) > 20 from agg_measure_results "
        "where area_level = 'province' and area_code = '95' and dimension_set = 'all' and variant = 'main'",
    )
    assert silent == ("no_data", "no_data", 0, 0, True)


def test_districts_and_facilities_are_those_of_the_registry(warehouse: Warehouse) -> None:
    levels = warehouse.execute(
        "select area_level, sum(denominator) from agg_measure_results where measure_id = 'RED-02' and variant = 'main' "
        "and dimension_set = 'all' and period_type = 'quarter' group by area_level"
    ).fetchall()
    assert {level for level, _ in levels} == {"nation", "region", "province", "district", "facility"}
    assert len({n for _, n in levels}) == 1, "every visit is at a facility of the registry"


def test_rollout_of_every_province(warehouse: Warehouse) -> None:
    assert one(warehouse, "select count(*), count(distinct region_code) from agg_rollout") == (77, 13)
    bangkok = one(
        warehouse,
        "select phase, planned_date, actual_date, variance_days from agg_rollout where province_code = '10'",
    )
    assert bangkok == (3, date(2024, 8, 26), date(2024, 9, 27), 32)


def test_rejected_deliveries_are_seen_under_the_unknown_area(warehouse: Warehouse) -> None:
    counts = one(
        warehouse,
        "select n_deliveries from agg_deliveries where outcome = 'rejected' and area_code = '00' "
        "and period_type = 'month'",
    )
    assert counts == (1,)
    assert one(warehouse, "select n_deliveries, data_from, data_to from publication") == (
        5,
        date(2025, 1, 5),
        date(2025, 2, 1),
    )


def test_citizen_numbers_are_counted_by_class_area_type_and_nationality(warehouse: Warehouse) -> None:
    rows = warehouse.execute(
        "select area_code, dimension, dimension_value, cid_class, n_registrations from agg_cid_classes "
        "where area_code in ('TH', '54', '45')"
    ).fetchall()
    counts = {tuple(key): n for *key, n in rows}
    assert counts["TH", "all", "all", "valid"] == 3
    assert counts["TH", "all", "all", "dummy"] == counts["54", "all", "all", "dummy"] == 1
    assert counts["54", "all", "all", "valid"] == counts["54", "nationality", "thai", "valid"] == 2
    assert counts["45", "all", "all", "valid"] == 1
    assert ("45", "all", "all", "dummy") not in counts, "what nobody counted is not shown as 0"
    of_types = {key[2]: n for key, n in counts.items() if key[0] == "TH" and key[1] == "facility_type"}
    assert len(of_types) >= 2
    assert sum(n for key, n in counts.items() if key[:2] == ("TH", "facility_type")) == 4
