"""Figures: which published numerator and denominator make them.

A figure's words (name, question, definition, caveat) are in `dim_measures`, never here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from ruam.measures import is_of_library


class Unit(StrEnum):
    COUNT = "count"
    PERCENT = "percent"
    PER_HEAD = "per_head"
    PER_1000 = "per_1000"
    DAYS = "days"
    BAHT = "baht"
    INDEX = "index"


OF_BEDS = ("facility_type", "affiliation")
"""A bed is nobody's."""
OF_STAYS = (*OF_BEDS, "right_group", "age_band", "condition_group")
"""An admission has neither a class of visit nor office hours."""
OF_ONE_CLASS = (*OF_STAYS, "office_hours")
ALL_DIMENSIONS = (*OF_STAYS, "visit_class", "office_hours")
REGION = "region"
"""Not a dimension of what is published, but pages offer it among them."""
OF_PEOPLE = (REGION, "age_band")
"""Nobody knows how many people belong to a type of facility, or have a disease."""


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
    """False for numbers of facilities and for means, which bear no disclosure status."""
    dimensions: tuple[str, ...] = ()
    """By which it can be broken down, the first unless another is asked for."""


def _utilization(
    code: str,
    measure_id: str,
    numerator: str,
    denominator: str | None = None,
    unit: Unit = Unit.PERCENT,
    dimensions: tuple[str, ...] = ALL_DIMENSIONS,
) -> Figure:
    decimals = {Unit.COUNT: 0, Unit.BAHT: 0, Unit.PERCENT: 1, Unit.PER_1000: 1}.get(unit, 2)
    return Figure(code, measure_id, unit, decimals, "agg_utilization", numerator, denominator, dimensions=dimensions)


def _per_person(code: str, measure_id: str, numerator: str, unit: Unit) -> Figure:
    return _utilization(code, measure_id, numerator, "n_registered_persons", unit, OF_PEOPLE)


def _mean(code: str, measure_id: str, column: str, unit: Unit, dimensions: tuple[str, ...]) -> Figure:
    return replace(_utilization(code, measure_id, column, None, unit, dimensions), controlled=False)


def of_measure(measure_id: str, code: str | None = None) -> Figure:
    """The rate of a measure of the library; its `code` is made of the id unless pages have a word of their own."""
    # Repeat shares are well under 1%: one decimal would hide every difference.
    code = code or measure_id.lower().replace("-", "_")
    return Figure(code, measure_id, Unit.PERCENT, 2, "agg_measure_results", "numerator", "denominator")


def weakness_of(measure_id: str) -> Figure:
    """The share of what a measure is asked of that is weakened; small shares matter, so one decimal."""
    return replace(of_measure(measure_id), table="agg_measure_weaknesses", decimals=1)


VISITS = _utilization("visits", "UT-00", "n_visits", unit=Unit.COUNT)
VISITS_PER_HEAD = _per_person("visits_per_head", "UT-01", "n_outpatient_visits", Unit.PER_HEAD)
TREATMENT_PER_HEAD = _per_person("treatment_per_head", "UT-01", "n_treatment_visits", Unit.PER_HEAD)
OUT_OF_NETWORK = _utilization("out_of_network", "UT-04", "n_out_of_network_visits", "n_home_known_visits")
CROSS_PROVINCE = _utilization("cross_province", "UT-05", "n_cross_province_visits", "n_home_known_visits")
CROSS_REGION = _utilization("cross_region", "UT-06", "n_cross_region_visits", "n_home_known_visits")
POLICY_ELIGIBLE = _utilization("policy_eligible", "RO-17", "n_policy_eligible_visits", "n_home_known_visits")
POLICY_PLANNED = _utilization("policy_planned", "RO-19", "n_policy_planned_visits", "n_home_known_visits")
TELEHEALTH = _utilization("telehealth", "RO-09", "n_telehealth_visits", "n_visits", dimensions=OF_ONE_CLASS)
ADMISSIONS = _utilization("admissions", "UT-02", "n_admissions", unit=Unit.COUNT, dimensions=OF_STAYS)
ADMISSION_RATE = _per_person("admission_rate", "UT-02", "n_admissions", Unit.PER_1000)
EPISODE_RATE = _per_person("episode_rate", "UT-02", "n_episodes", Unit.PER_1000)
EMERGENCY_RATE = _per_person("emergency_rate", "UT-03", "n_emergency_visits", Unit.PER_1000)
BED_DAYS = _utilization("bed_days", "UT-09", "n_bed_days", unit=Unit.COUNT, dimensions=OF_STAYS)
LENGTH_OF_STAY = _utilization("length_of_stay", "UT-09", "n_bed_days", "n_admissions", Unit.DAYS, OF_STAYS)
CASE_MIX = _mean("case_mix", "UT-10", "mean_adjusted_weight", Unit.INDEX, OF_STAYS)
OCCUPANCY = _utilization("occupancy", "UT-11", "n_occupied_bed_days", "n_available_bed_days", dimensions=OF_BEDS)
PRIMARY_SHARE = _utilization(
    "primary_share", "UT-12", "n_primary_visits", "n_outpatient_visits", dimensions=OF_ONE_CLASS
)
REFERRED_IN = _utilization("referred_in", "UT-13", "n_cross_province_referrals", "n_admissions", dimensions=OF_STAYS)
VISIT_PRICE = _mean("visit_price", "UT-14", "mean_visit_price", Unit.BAHT, ALL_DIMENSIONS)
ADMISSION_PRICE = _mean("admission_price", "UT-14", "mean_admission_price", Unit.BAHT, OF_STAYS)
PRICE_PER_PERSON = _mean("price_per_person", "UT-14", "mean_price_per_person", Unit.BAHT, OF_PEOPLE)
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


def _at_facility(
    code: str, measure_id: str, numerator: str, denominator: str | None = None, unit: Unit = Unit.PERCENT
) -> Figure:
    decimals = 0 if unit is Unit.COUNT else 1
    return Figure(code, measure_id, unit, decimals, "agg_facility_activity", numerator, denominator)


FACILITY_VISITS = _at_facility("visits", "UT-00", "n_visits", unit=Unit.COUNT)
FACILITY_ADMISSIONS = _at_facility("admissions", "UT-02", "n_admissions", unit=Unit.COUNT)
FACILITY_OUT_OF_NETWORK = _at_facility("out_of_network", "UT-04", "n_out_of_network_visits", "n_home_known_visits")
FACILITY_CROSS_PROVINCE = _at_facility("cross_province", "UT-05", "n_cross_province_visits", "n_home_known_visits")
FACILITY_REFERRED_OUT = _at_facility("referred_out", "UT-15", "n_referrals_out", "n_visits")
FACILITY_PROFILE = (
    *(FACILITY_VISITS, FACILITY_ADMISSIONS, FACILITY_OUT_OF_NETWORK, FACILITY_CROSS_PROVINCE, FACILITY_REFERRED_OUT),
    *map(of_measure, ("RED-01", "RED-02", "RED-05", "RED-06", "NEC-01", "NEC-03", "UNR-01", "UNR-02", "UNR-03")),
    COMPLETENESS,
)
"""What is told of one facility and its peers: of the library, measures of which most facilities have enough events."""

OVERVIEW = (VISITS_PER_HEAD, CROSS_PROVINCE, SAME_DAY_REPEAT, REPEAT_7_DAYS, COMPLETENESS)
NATION = (
    *(VISITS_PER_HEAD, ADMISSION_RATE, PRIMARY_SHARE, CROSS_PROVINCE),
    *(POLICY_ELIGIBLE, SAME_DAY_REPEAT, REPEAT_7_DAYS, COMPLETENESS),
)
"""The eight of the nation on one page, in its order."""
UTILIZATION = (
    *(VISITS, VISITS_PER_HEAD, TREATMENT_PER_HEAD, EMERGENCY_RATE, TELEHEALTH, PRIMARY_SHARE),
    *(OUT_OF_NETWORK, CROSS_PROVINCE, CROSS_REGION),
    *(ADMISSIONS, ADMISSION_RATE, EPISODE_RATE, REFERRED_IN, BED_DAYS, LENGTH_OF_STAY, OCCUPANCY, CASE_MIX),
    *(VISIT_PRICE, ADMISSION_PRICE, PRICE_PER_PERSON),
)
FLOW = (OUT_OF_NETWORK, CROSS_PROVINCE, CROSS_REGION, POLICY_ELIGIBLE)
ROLLOUT = (POLICY_ELIGIBLE, POLICY_PLANNED, CROSS_PROVINCE)
STUDIED = (OUT_OF_NETWORK, CROSS_PROVINCE, CROSS_REGION)
"""Figures whose change after going live is studied."""

CONTINUITY_INDEX = "RED-09"
CONTINUITY = (CONTINUITY_INDEX, "RED-03", "NEC-01", "NEC-05")
"""Of the library what tells whether care stays in one place, and is handed on well: the usual provider, shopping around
in one illness, return to hospital, and people who could be followed nearer home."""

CUTS = ("age_band", "sex", "right_group", "facility_type", "condition_group", "hour")
"""Dimensions by which a measure may be cut, one at a time."""

DIMENSIONS = (*CUTS, *(name for name in ALL_DIMENSIONS if name not in CUTS))
"""Every dimension by which something is published."""


def dimensions_of(dimension_set: str) -> tuple[str, ...]:
    """The dimensions of a set of the lattice, in the order of its members; none of `all`.

    Raises `ValueError` for a set that is not made of `DIMENSIONS`.
    """
    found, rest = [], "" if dimension_set == "all" else dimension_set
    while rest:
        name = next((one for one in DIMENSIONS if rest == one or rest.startswith(f"{one}_")), None)
        if name is None:
            raise ValueError(f"{dimension_set}: {rest} is no dimension.")
        found.append(name)
        rest = rest[len(name) + 1 :]
    return tuple(found)


LIVE_PROVINCES = "RO-16"
EFFECTS = "RO-18"
PATIENT_FLOW = "UT-07"
NET_FLOW = "UT-08"
ON_TIME = "DQ-02"
QUALITY_SCORE = "DQ-03"
RULE_COST = "DQ-04"
FINDING_CHANGES = "DQ-05"
"""Ids in the registry of what is no rate."""
_NO_RATES = {
    LIVE_PROVINCES: [("agg_rollout", "actual_date")],
    PATIENT_FLOW: [("agg_patient_flow", "n_visits")],
    NET_FLOW: [("agg_patient_flow", "n_visits")],
    ON_TIME: [("agg_submissions", "state"), ("agg_submissions", "n_reports")],
    QUALITY_SCORE: [("agg_scorecards", "score")],
    RULE_COST: [("agg_rule_results", "n_broken"), ("agg_rule_results", "n_checked"), ("agg_rule_results", "cost")],
    FINDING_CHANGES: [("agg_finding_changes", name) for name in ("n_opened", "n_came_back", "n_fixed", "n_open")],
}


def columns_of(measure_id: str) -> list[tuple[str, str]]:
    """Published columns (table and name) that pages make a measure's figure of; none when no page shows it."""
    if measure_id in _NO_RATES:
        return _NO_RATES[measure_id]
    named = [one for one in globals().values() if isinstance(one, Figure) and one.measure_id == measure_id]
    found = [
        (figure.table, name)
        for figure in ([of_measure(measure_id)] if is_of_library(measure_id) else named)
        for name in (figure.numerator, figure.denominator)
        if name
    ]
    return list(dict.fromkeys(found))
