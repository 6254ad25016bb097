"""Figures: which published numerator and denominator make them.

A figure's words (name, question, definition, caveat) are in `dim_measures`, never here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Unit(StrEnum):
    COUNT = "count"
    PERCENT = "percent"
    PER_HEAD = "per_head"


@dataclass(frozen=True)
class Figure:
    code: str
    """What the URL and the words' file call it."""
    measure_id: str
    unit: Unit
    decimals: int
    table: str
    numerator: str
    denominator: str | None = None
    """None: the figure is a plain count."""
    controlled: bool = True
    """False for numbers of facilities, which bear no disclosure status."""


def _utilization(
    code: str, measure_id: str, numerator: str, denominator: str | None = None, unit: Unit = Unit.PERCENT
) -> Figure:
    decimals = {Unit.COUNT: 0, Unit.PERCENT: 1, Unit.PER_HEAD: 2}[unit]
    return Figure(code, measure_id, unit, decimals, "agg_utilization", numerator, denominator)


def of_measure(measure_id: str, code: str | None = None) -> Figure:
    """The rate of a measure of the library; its `code` is made of the id unless pages have a word of their own."""
    # Repeat shares are well under 1%: one decimal would hide every difference.
    code = code or measure_id.lower().replace("-", "_")
    return Figure(code, measure_id, Unit.PERCENT, 2, "agg_measure_results", "numerator", "denominator")


VISITS = _utilization("visits", "UT-00", "n_visits", unit=Unit.COUNT)
VISITS_PER_HEAD = _utilization("visits_per_head", "UT-01", "n_visits", "n_registered_persons", Unit.PER_HEAD)
OUT_OF_NETWORK = _utilization("out_of_network", "UT-04", "n_out_of_network_visits", "n_home_known_visits")
CROSS_PROVINCE = _utilization("cross_province", "UT-05", "n_cross_province_visits", "n_home_known_visits")
CROSS_REGION = _utilization("cross_region", "UT-06", "n_cross_region_visits", "n_home_known_visits")
POLICY_ELIGIBLE = _utilization("policy_eligible", "RO-17", "n_policy_eligible_visits", "n_home_known_visits")
ADMISSIONS = _utilization("admissions", "UT-02", "n_admissions", unit=Unit.COUNT)
SAME_DAY_REPEAT = of_measure("RED-01", "same_day_repeat")
REPEAT_7_DAYS = of_measure("RED-02", "repeat_7_days")
COMPLETENESS = Figure(
    "completeness",
    "DQ-01",
    Unit.PERCENT,
    1,
    "agg_completeness",
    "n_reports_received",
    "n_reports_expected",
    controlled=False,
)

OVERVIEW = (VISITS_PER_HEAD, CROSS_PROVINCE, SAME_DAY_REPEAT, REPEAT_7_DAYS, COMPLETENESS)
UTILIZATION = (VISITS, CROSS_PROVINCE, OUT_OF_NETWORK, CROSS_REGION, ADMISSIONS)
ROLLOUT = (POLICY_ELIGIBLE, CROSS_PROVINCE)

MEASURE_GROUPS = {"redundancy": "RED", "necessity": "NEC", "appropriateness": "UNR"}
"""Groups of the measure library, by what their ids begin with."""

CUTS = ("age_band", "sex", "right_group", "facility_type", "condition_group", "hour")
"""Dimensions by which a measure may be cut, one at a time."""

LIVE_PROVINCES = "RO-16"
PATIENT_FLOW = "UT-07"
NET_FLOW = "UT-08"
"""Ids in the registry of what is no rate."""
