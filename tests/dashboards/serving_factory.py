"""A small valid serving file: every published table, with values that show what pages must cope with.

Cells below 10, months and areas that sent nothing, a base under 30; region 13 is mostly missing.
The numbers are drawn from a fixed seed and mean nothing.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from ruam.stable import stable_schema

RUN_ID = "20260102T030405"
FIRST_MONTH = date(2024, 4, 1)
N_MONTHS = 12
SEED = 43

SEEDS = Path(__file__).parents[2] / "seeds"
REGIONS = pl.read_csv(SEEDS / "geography" / "health_regions.csv", infer_schema=False)
PROVINCES = pl.read_csv(SEEDS / "geography" / "provinces.csv", infer_schema=False)
ROLLOUT = pl.read_csv(SEEDS / "rollout" / "rollout_phases.csv", infer_schema=False).with_columns(
    pl.col("planned_date", "partial_service_date", "actual_date").str.to_date(),
    pl.col("phase", "budget_fiscal_year_be").cast(pl.Int32),
)
SERIES = pl.read_csv(SEEDS / "terminology" / "indicator_series.csv", infer_schema=False).to_dicts()
LIVE_FROM: dict[str, date] = dict(ROLLOUT.select("province_code", "actual_date").iter_rows())
PARAMETERS = (
    pl.read_csv(SEEDS / "measures" / "measure_parameters.csv", infer_schema=False)
    .with_columns(pl.col("valid_from").str.to_date())
    .to_dicts()
)
UNMEASURED = pl.read_csv(SEEDS / "measures" / "unmeasured_rules.csv").to_dicts()
SILENT_REGION = "13"
MEMBERS = {
    "facility_type": {
        "05": ("โรงพยาบาลศูนย์", "Regional hospital", 0.16),
        "06": ("โรงพยาบาลทั่วไป", "General hospital", 0.17),
        "07": ("โรงพยาบาลชุมชน", "Community hospital", 0.35),
        "18": ("โรงพยาบาลส่งเสริมสุขภาพตำบล", "Health promoting hospital", 0.32),
        "15": ("โรงพยาบาลเอกชน", "Private hospital", 0.0004),
    },
    "affiliation": {
        "moph_ops": ("สำนักงานปลัดกระทรวงสาธารณสุข", "Office of the Permanent Secretary", 0.8),
        "pao": ("องค์การบริหารส่วนจังหวัด", "Provincial administration", 0.15),
        "other": ("สังกัดอื่น", "Other", 0.05),
    },
    "right_group": {
        "ucs": ("หลักประกันสุขภาพแห่งชาติ", "Universal coverage", 0.74),
        "sss": ("ประกันสังคม", "Social security", 0.17),
        "csmbs": ("ข้าราชการ", "Civil servants", 0.08),
        "other": ("สิทธิอื่น", "Other", 0.01),
    },
    "age_band": {
        "00_04": ("0–4 ปี", "0–4", 0.1),
        "30_44": ("30–44 ปี", "30–44", 0.4),
        "75_up": ("75 ปีขึ้นไป", "75 and over", 0.5),
    },
    "condition_group": {
        "diabetes": ("เบาหวาน", "Diabetes", 0.2),
        "other": ("โรคอื่น", "Other conditions", 0.78),
        "unknown": ("ไม่ทราบกลุ่มโรค", "Unknown group", 0.02),
    },
    "office_hours": {
        "in_hours": ("ในเวลาราชการ", "In office hours", 0.8),
        "out_of_hours": ("นอกเวลาราชการ", "Out of office hours", 0.2),
    },
    "sex": {"1": ("ชาย", "Male", 0.48), "2": ("หญิง", "Female", 0.52)},
    "visit_class": {
        "OP": ("ผู้ป่วยนอก", "Outpatient", 0.9),
        "ED": ("ฉุกเฉิน", "Emergency", 0.09),
        "TELE": ("การแพทย์ทางไกล", "Telehealth", 0.01),
    },
}
SHARES = {
    "n_visits": 1.0,
    "n_persons": 0.6,
    "n_home_known_visits": 0.97,
    "n_out_of_network_visits": 0.12,
    "n_cross_province_visits": 0.045,
    "n_cross_region_visits": 0.02,
    "n_anywhere_visits": 0.03,
    "n_policy_eligible_visits": 0.6,
    "n_policy_planned_visits": 0.5,
    "n_outpatient_visits": 0.88,
    "n_treatment_visits": 0.8,
    "n_emergency_visits": 0.09,
    "n_telehealth_visits": 0.01,
    "n_primary_visits": 0.3,
    "n_admissions": 0.03,
    "n_episodes": 0.028,
    "n_bed_days": 0.11,
    "n_cross_province_referrals": 0.002,
    "n_weighted_admissions": 0.029,
    "n_occupied_bed_days": 0.1,
    "n_available_bed_days": 0.14,
}
MEANS = {
    "mean_adjusted_weight": 1.12, "mean_visit_price": 540.0, "mean_admission_price": 18_250.0,
    "mean_price_per_person": 2_130.0,
}  # fmt: skip
UTILIZATION_COUNTS = (*SHARES, "n_registered_persons")
MEASURES = {
    "UT-00": ("จำนวนครั้งการรับบริการผู้ป่วยนอก", "Outpatient visits"),
    "UT-01": ("จำนวนครั้งการรับบริการผู้ป่วยนอกต่อคน", "Outpatient visits per head"),
    "UT-02": ("การรับไว้เป็นผู้ป่วยใน", "Admissions"),
    "UT-04": ("สัดส่วนการรับบริการนอกเครือข่าย", "Out-of-network share"),
    "UT-05": ("สัดส่วนการรับบริการข้ามจังหวัด", "Cross-province share"),
    "UT-06": ("สัดส่วนการรับบริการข้ามเขตสุขภาพ", "Cross-region share"),
    "UT-07": ("การเดินทางไปรับบริการ", "Patient flow"),
    "UT-08": ("ผู้รับบริการสุทธิ", "Net flow"),
    "UT-15": ("สัดส่วนการส่งต่อผู้ป่วย", "Referral share"),
    "RED-01": ("รับบริการหลายแห่งในวันเดียวด้วยโรคเดียวกัน", "Same-day visits for one condition"),
    "RED-02": ("รับบริการซ้ำภายใน 7 วันด้วยโรคเดียวกัน", "Repeat visits within 7 days"),
    "RED-09": ("ความต่อเนื่องของการรักษา", "Continuity of care"),
    "NEC-01": ("รับกลับเข้ารักษาโดยไม่ได้วางแผน", "Unplanned readmission"),
    "UNR-01": ("ยาปฏิชีวนะในโรคติดเชื้อทางเดินหายใจส่วนบน", "Antibiotic in upper respiratory infection"),
    "RO-16": ("จังหวัดที่เริ่มนโยบาย", "Provinces live"),
    "RO-17": ("การรับบริการที่เข้าเงื่อนไขนโยบาย", "Policy-eligible visits"),
    "RO-18": ("การเปลี่ยนแปลงหลังเริ่มนโยบาย", "Change after going live"),
    "RO-19": ("เข้าเงื่อนไขตามวันที่ประกาศ", "Eligible by announced dates"),
    **{f"RO-{n:02d}": (f"ตัวชี้วัดความก้าวหน้าที่ {n}", f"Rollout indicator {n}") for n in range(1, 16)},
    **{f"UT-{n:02d}": (f"ตัวชี้วัดการใช้บริการที่ {n}", f"Utilization figure {n}") for n in (3, *range(9, 15))},
    "DQ-01": ("ความครบถ้วนของการส่งข้อมูล", "Completeness of reporting"),
    "DQ-02": ("ความทันเวลาของการส่งข้อมูล", "Timeliness of reporting"),
    "DQ-03": ("คะแนนคุณภาพข้อมูล", "Data quality score"),
    "DQ-04": ("ข้อผิดพลาดตามกฎ", "Findings by rule"),
    "DQ-05": ("ข้อค้นพบที่เปลี่ยนไปจากการส่งครั้งล่าสุด", "Findings changed by the newest delivery"),
}


CUT = (("all", "all", 1.0), ("sex", "1", 0.48), ("sex", "2", 0.52))
"""How results are cut: dimension, member, share."""


@dataclass(frozen=True)
class Period:
    kind: str
    start: date
    end: date
    months: int


@dataclass(frozen=True)
class Place:
    level: str
    code: str
    weight: float


def month_start(first: date, offset: int) -> date:
    return date(first.year + (first.month - 1 + offset) // 12, (first.month - 1 + offset) % 12 + 1, 1)


def all_periods() -> list[Period]:
    starts = [month_start(FIRST_MONTH, n) for n in range(N_MONTHS + 1)]
    day = timedelta(days=1)
    months = [Period("month", start, after - day, 1) for start, after in pairwise(starts)]
    end = months[-1].end
    return [
        *months,
        Period("fiscal_year", date(2023, 10, 1), date(2024, 9, 30), 6),
        Period("fiscal_year", date(2024, 10, 1), date(2025, 9, 30), 6),
        Period("last_12_months", FIRST_MONTH, end, 12),
    ]


def all_places() -> list[Place]:
    places = [Place("nation", "TH", 1.0)]
    for region in REGIONS["region_code"]:
        provinces = PROVINCES.filter(pl.col("region_code") == region)["province_code"].to_list()
        weight = 0.0004 if region == SILENT_REGION else len(provinces) / PROVINCES.height
        places.append(Place("region", region, weight))
        places += [Place("province", code, weight / len(provinces)) for code in provinces]
    return places


def controlled(level: str, number: int | None) -> tuple[int | None, str]:
    """The rule of docs/architecture.md, "What is published"."""
    if number is None:
        return None, "missing"
    if level == "nation":
        return number, "exact"
    if 0 < number < 10:
        return None, "below_10"
    return 5 * round(number / 5), "rounded"


def is_silent(place: Place) -> bool:
    """Code 13 is a region here and Pathum Thani there."""
    return (place.level, place.code) in {("region", "13"), ("province", "10")}


def reported(place: Place, period: Period) -> bool:
    """Region 13 sent two months; province 58 not the third."""
    if is_silent(place):
        return period.kind != "month" or period.start in {
            month_start(FIRST_MONTH, 3),
            month_start(FIRST_MONTH, 7),
        }
    return not (place.code == "58" and period.kind == "month" and period.start == month_start(FIRST_MONTH, 2))


def _controlled_columns(level: str, counts: dict[str, int | None]) -> dict[str, object]:
    columns: dict[str, object] = {}
    for name, number in counts.items():
        columns[name], columns[f"{name}_status"] = controlled(level, number)
    return columns


def utilization_rows(random: np.random.Generator) -> Iterator[dict[str, object]]:
    members = [("all", "all", 1.0)] + [
        (dimension, code, share) for dimension, codes in MEMBERS.items() for code, (_, _, share) in codes.items()
    ]
    for period in all_periods():
        for place in all_places():
            if not reported(place, period):
                continue
            registered = round(66_000_000 / 77 * 0.02 * 77 * max(place.weight, 0.01))
            visits = registered * 0.31 * period.months * random.uniform(0.85, 1.15)
            visits *= place.weight / max(place.weight, 0.01)
            spread = random.uniform(0.6, 1.5)
            for dimension, value, share in members:
                counts: dict[str, int | None] = {
                    name: round(visits * share * part * (spread if 0.01 < part < 0.3 else 1))
                    for name, part in SHARES.items()
                }
                if place.level == "province":
                    live = period.start >= LIVE_FROM[place.code]
                    counts["n_policy_eligible_visits"] = round(visits * share * (0.55 if live else 0))
                of_people = dimension in {"all", "age_band"}
                counts["n_registered_persons"] = round(registered * share) if of_people else None
                yield {
                    "period_type": period.kind, "period_start": period.start, "period_end": period.end,
                    "area_level": place.level, "area_code": place.code,
                    "dimension": dimension, "dimension_value": value,
                    **_controlled_columns(place.level, counts),
                    **(MEANS if visits * share >= 10 else dict.fromkeys(MEANS)),
                }  # fmt: skip


def flow_rows(random: np.random.Generator) -> Iterator[dict[str, object]]:
    """Every pair of regions, and of provinces those of one region and all with Bangkok."""
    pairs = list(flow_pairs())
    for period in all_periods():
        for home, treatment in pairs:
            at_home = home.code == treatment.code
            visits = 400_000 * period.months * home.weight * (0.96 if at_home else 0.04 * treatment.weight)
            number = round(visits * random.uniform(0.5, 1.5)) if visits >= 1 else None
            if number is None:
                continue
            yield {
                "period_type": period.kind, "period_start": period.start, "period_end": period.end,
                "home_level": home.level, "home_code": home.code, "treatment_code": treatment.code,
                **_controlled_columns("region", {"n_visits": number, "n_persons": round(number * 0.7)}),
            }  # fmt: skip


def flow_pairs() -> Iterator[tuple[Place, Place]]:
    regions: dict[str, str] = dict(PROVINCES.select("province_code", "region_code").iter_rows())
    places = all_places()
    for home in places:
        for treatment in places:
            if home.level != treatment.level or home.level == "nation":
                continue
            ends = (home.code, treatment.code)
            if home.level == "region" or "10" in ends or regions[home.code] == regions[treatment.code]:
                yield home, treatment


def measure_rows(random: np.random.Generator) -> Iterator[dict[str, object]]:
    """Of RED-01 and NEC-01 with a band, of RED-09 with a mean; of UNR-01 nothing was measured."""
    for measure, share in (("RED-01", 0.0038), ("RED-02", 0.011), ("RED-09", 0.2), ("NEC-01", 0.13)):
        for period in all_periods():
            for place in all_places():
                if not reported(place, period):
                    continue
                whole = round(350_000 * period.months * place.weight)
                flagged = round(whole * share * random.uniform(0.7, 1.3))
                for dimension, member, part in CUT:
                    numerator, denominator = round(flagged * part), round(whole * part)
                    yield {
                        "period_type": period.kind, "period_start": period.start, "period_end": period.end,
                        "area_level": place.level, "area_code": place.code,
                        "measure_id": measure, "variant": "main", "measure_version": "1",
                        **_controlled_columns(
                            place.level,
                            {
                                "numerator": numerator,
                                "denominator": denominator,
                                "n_linkable": round(denominator * 0.97),
                                "n_persons": round(numerator * 0.9),
                                "wide_numerator": round(numerator * 1.1) if measure in {"RED-01", "NEC-01"} else None,
                                "wide_denominator": denominator if measure in {"RED-01", "NEC-01"} else None,
                            },
                        ),
                        "rate_low": share * 0.95, "rate_high": share * 1.05,
                        "mean_value": 0.62 if measure == "RED-09" else None,
                        "cost": 250_000.0 if numerator >= 10 else None,
                        "median_cost": 255.0 if numerator >= 10 else None,
                        "standardized_rate": None, "standardized_low": None, "standardized_high": None,
                        "dimension_set": dimension, "member_1": member, "member_2": "all", "member_3": "all",
                        "status": "partial", "n_reports_expected": 100, "n_reports_received": 93,
                    }  # fmt: skip


def weakness_rows() -> Iterator[dict[str, object]]:
    """Of two measures; the silent region sent too little for a share."""
    kinds = (
        ("no_principal_diagnosis", "visits", "ไม่มีการวินิจฉัยหลัก", "No principal diagnosis", 0.031),
        ("person_not_followed", "visits", "ติดตามบุคคลข้ามหน่วยบริการไม่ได้", "Person who cannot be followed", 0.08),
        ("silent_facilities", "reports", "หน่วยบริการไม่ส่งข้อมูลในเดือนนั้น", "No visit came in the month", 0.03),
    )
    for measure in ("RED-01", "UNR-01"):
        for place in all_places():
            if place.level not in ("nation", "region"):
                continue
            for weakness, unit, name_th, name_en, share in kinds:
                asked = 20 if is_silent(place) else round(4_000_000 * place.weight)
                yield {
                    "measure_id": measure, "weakness_id": weakness, "area_level": place.level,
                    "area_code": place.code, "unit": unit, "name_th": name_th, "name_en": name_en,
                    **_controlled_columns(place.level, {"n_affected": round(asked * share), "n_asked": asked}),
                }  # fmt: skip


def completeness_rows() -> Iterator[dict[str, object]]:
    for period in all_periods():
        for place in all_places():
            expected = max(1, round(300 * place.weight)) if not is_silent(place) else 12
            share = 0.0 if not reported(place, period) else 0.08 if is_silent(place) else 0.97
            yield {
                "period_type": period.kind, "period_start": period.start, "period_end": period.end,
                "area_level": place.level, "area_code": place.code,
                "n_reports_expected": expected, "n_reports_received": round(expected * share),
            }  # fmt: skip
        for hospcode in FACILITIES:
            yield {
                "period_type": period.kind, "period_start": period.start, "period_end": period.end,
                "area_level": "facility", "area_code": hospcode,
                "n_reports_expected": period.months, "n_reports_received": period.months,
            }  # fmt: skip


def facility_activity_rows() -> Iterator[dict[str, object]]:
    """Of the facilities alone, and of six more of one type in the region, who make up its peers; one sent nothing."""
    random = np.random.default_rng(SEED)
    places = {hospcode: region_of(province) for hospcode, (_, province, _) in FACILITIES.items()}
    places |= {f"8000{number}": "01" for number in range(6)}
    for period in all_periods():
        for hospcode, region in places.items():
            visits = None if hospcode == "11119" else round(900 * period.months * random.uniform(0.7, 1.3))
            if visits is None:
                continue
            yield {
                "period_type": period.kind, "period_start": period.start, "period_end": period.end,
                "area_level": "facility", "area_code": hospcode, "dimension_set": "all", "member_1": "all",
                "peer_type": "regional_hospital", "peer_region": region,
                **_controlled_columns(
                    "facility",
                    {
                        "n_visits": visits, "n_home_known_visits": round(visits * 0.97),
                        "n_out_of_network_visits": round(visits * random.uniform(0.05, 0.2)),
                        "n_cross_province_visits": round(visits * random.uniform(0.01, 0.08)),
                        "n_admissions": round(visits * 0.03), "n_referrals_out": 4,
                    },
                ),
            }  # fmt: skip


FACILITIES = {
    "10713": ("โรงพยาบาลนครพิงค์สมมติ", "50", "01"),
    "11119": ("โรงพยาบาลจอมทองสมมติ", "50", "02"),
    "10674": ("โรงพยาบาลเชียงรายสมมติ", "57", "01"),
    "11457": ("โรงพยาบาลกรุงเทพสมมติ", "10", "01"),
}
"""Name, province and district in the province."""
STATES_OF_MARCH = {"10713": "received", "11119": "silent", "10674": "partial", "11457": "zero"}
AS_OF = date(2025, 4, 20)


def region_of(province: str) -> str:
    return str(PROVINCES.filter(pl.col("province_code") == province)["region_code"][0])


def quality_places() -> list[Place]:
    """Areas of every level, with districts and facilities of the invented facilities."""
    districts = {province + district for _, province, district in FACILITIES.values()}
    return [
        *(place for place in all_places() if place.level in ("nation", "region", "province")),
        *(Place("district", code, 0.001) for code in sorted(districts)),
        *(Place("facility", code, 0.001) for code in FACILITIES),
    ]


def facility_report_rows() -> Iterator[dict[str, object]]:
    """Four facilities: in March one each received, silent, partial and zero; before, all received."""
    for hospcode, (name, province, district) in FACILITIES.items():
        for offset in range(N_MONTHS):
            month = month_start(FIRST_MONTH, offset)
            state = STATES_OF_MARCH[hospcode] if offset == N_MONTHS - 1 else "received"
            due_on = month_start(month, 1) + timedelta(days=14)
            came = state != "silent"
            yield {
                "hospcode": hospcode, "name_th": name, "facility_type_group": "05", "province_code": province,
                "region_code": region_of(province), "district_code": province + district, "report_month": month,
                "as_of_date": AS_OF, "state": state, "is_expected": True, "is_received": came, "is_on_time": came,
                "is_due": True, "due_on": due_on, "sent_on": due_on - timedelta(days=5) if came else None,
                "days_after_due": -5 if came else None, "n_reports_before": min(offset, 6),
                "usual_days": 9.0 if offset >= 3 else None, "n_files_expected": 9,
                "n_files_received": {"silent": 0, "partial": 8}.get(state, 9),
                "missing_files": {"silent": "PERSON,SERVICE", "partial": "DRUG_OPD"}.get(state), "short_files": None,
            }  # fmt: skip


def submission_rows() -> Iterator[dict[str, object]]:
    """In March, of ten facilities of the nation one each is late, partial, silent and not due."""
    for place in quality_places():
        for offset in range(N_MONTHS):
            is_newest = offset == N_MONTHS - 1
            states = (
                {"received": 6, "late": 1, "partial": 1, "silent": 1, "not_due": 1} if is_newest else {"received": 10}
            )
            for state, n in states.items() if place.level != "facility" else ():
                yield {
                    "area_level": place.level, "area_code": place.code,
                    "report_month": month_start(FIRST_MONTH, offset),
                    "as_of_date": AS_OF, "facility_type_group": "05", "state": state, "n_reports": n,
                }  # fmt: skip


def scorecard_rows() -> Iterator[dict[str, object]]:
    """Correctness falls below its limits in March; of the silent region nothing is scored."""
    for place in quality_places():
        for axis in ("correct", "consistent", "complete", "timely"):
            for offset in range(N_MONTHS):
                falls = axis == "correct" and offset == N_MONTHS - 1
                score = None if is_silent(place) else 80.0 if falls else 97.0 + offset % 2
                is_of_reports = axis in ("complete", "timely")
                yield {
                    "area_level": place.level, "area_code": place.code,
                    "report_month": month_start(FIRST_MONTH, offset),
                    "axis": axis, **_controlled_columns("facility", {"n_checked": 4000, "n_broken": 7}),
                    **_controlled_columns("facility", {"n_read": 900, "n_set_aside": 45} if axis == "correct" else
                                          {"n_read": None, "n_set_aside": None}),
                    "n_reports_due": 10 if is_of_reports else None, "n_reports_met": 9 if is_of_reports else None,
                    "score": score, "change": None if score is None or offset == 0 else -18.0 if falls else 1.0,
                    "n_months_before": offset, "centre": 97.5 if offset >= 6 else None,
                    "lower_limit": 94.8 if offset >= 6 else None, "upper_limit": 100.0 if offset >= 6 else None,
                    "signal": "none" if score is None or offset < 6 else "below" if falls else "within",
                    "peer_group": place.level, "n_peers": 13, "first_quartile": 95.0, "median_score": 97.0,
                    "third_quartile": 98.0, "peer_band": "none" if score is None else "lower_half",
                }  # fmt: skip


def rule_result_rows() -> Iterator[dict[str, object]]:
    """Four rules: one broken often, one of reading, one broken by fewer than ten rows, one by none."""
    for place in quality_places():
        for rank, (code, axis, severity, broken) in enumerate(
            (
                ("visit_without_diagnosis", "complete", "high", 240),
                ("wrong_columns", None, "high", 60),
                ("pregnancy_of_male", "consistent", "high", 7),
                ("nation_missing", "complete", "high", 0),
            ),
            start=1,
        ):
            yield {
                "rule_code": code, "axis": axis, "severity": severity, "area_level": place.level,
                "area_code": place.code, "newest_month": month_start(FIRST_MONTH, N_MONTHS - 1),
                **_controlled_columns(
                    "facility",
                    {
                        "n_checked": 4000, "n_broken": broken, "n_checked_newest": 350,
                        "n_broken_newest": broken // 10, "n_checked_before": None, "n_broken_before": None,
                    },
                ),
                "n_facilities": 10, "n_facilities_broken": 4, "cost": 3 * broken,
                "cost_rank": rank if broken else None,
            }  # fmt: skip


def finding_change_rows() -> Iterator[dict[str, object]]:
    """Two rules and their sum; the silent region has sent nothing."""
    for place in quality_places():
        if is_silent(place):
            continue
        for code, opened, came_back, fixed, still in (
            ("all", 47, 0, 60, 310), ("visit_without_diagnosis", 40, 0, 60, 240), ("pregnancy_of_male", 7, 0, 0, 70),
        ):  # fmt: skip
            yield {
                "area_level": place.level, "area_code": place.code, "rule_code": code,
                "newest_sent_on": date(2025, 4, 7),
                **_controlled_columns(
                    "facility",
                    {"n_opened": opened, "n_came_back": came_back, "n_fixed": fixed, "n_open": still},
                ),
            }  # fmt: skip


def rollout_rows() -> Iterator[dict[str, object]]:
    for row in ROLLOUT.iter_rows(named=True):
        planned = row["planned_date"]
        yield row | {"variance_days": (row["actual_date"] - planned).days if planned else None}


def indicator_rows() -> Iterator[dict[str, object]]:
    """One given for the nation, and one both given and computed."""
    day = date(2025, 3, 31)
    for series, value, origin in (
        ("phr_facilities", 10_628.0, "given"),
        ("private_units", 227.0, "given"),
        ("private_units", 12.0, "computed"),
    ):
        known = next(row for row in SERIES if row["series"] == series)
        yield {
            "indicator_id": known["indicator_id"], "series": series, "unit": known["unit"],
            "period_start": day, "period_end": day, "area_level": "nation", "area_code": "TH", "value": value,
            "origin": origin, "source": "ข่าว", "known_on": day, "given_by": "สำนักหนึ่ง" if origin == "given" else None,
        }  # fmt: skip


def effect_rows() -> Iterator[dict[str, object]]:
    """UT-04 rose, UT-05 cannot be shown because a check cannot be made, of UT-06 a check failed."""
    for measure, effect, verdict in (
        ("UT-04", 4.6, "passed"),
        ("UT-05", 3.2, "not_possible"),
        ("UT-06", 0.2, "failed"),
    ):
        estimates: list[tuple[str, str, int | None, float | None, float | None, float | None, str]] = [
            ("overall", "all", None, effect, 0.001, None, verdict),
            *(("event", f"{n:+03d}", n, 0.0 if n < 0 else effect, 0.4, None, verdict) for n in (-3, -2, -1, 0, 1, 2)),
            ("cohort", "2024-05", None, effect, 0.001, 0.7, verdict),
            ("cohort", "2024-03", None, effect, 0.001, 0.3, verdict),
            ("placebo", "leads", None, 0.1, None if verdict == "not_possible" else 0.81, None, verdict),
            ("placebo", "fake_dates", None, 0.0, 0.05, None, "passed"),
        ]
        for part, term, month, value, p_value, weight, one in estimates:
            ends = (None, None) if month == -1 or value is None else (value - 1.5, value + 1.5)
            yield {
                "measure_id": measure, "part": part, "term": term, "event_month": month, "effect": value,
                "effect_low": ends[0], "effect_high": ends[1], "p_value": p_value, "n_provinces": 41, "weight": weight,
                "verdict": one, "data_from": FIRST_MONTH, "data_to": date(2024, 12, 31), "n_left_out": 5,
                "n_controls": 31, "n_reports_received": 291, "n_reports_expected": 300, "method": "test",
                "studied_on": date(2025, 4, 10),
            }  # fmt: skip


def area_rows() -> Iterator[dict[str, object]]:
    yield _area("nation", "TH", None, "ประเทศไทย", "Thailand", (None, None))
    for region in REGIONS.iter_rows(named=True):
        tile = (int(region["tile_row"]), int(region["tile_column"]))
        yield _area("region", region["region_code"], "TH", region["name_th"], region["name_en"], tile)
    for province in PROVINCES.iter_rows(named=True):
        code, parent = province["province_code"], province["region_code"]
        yield _area("province", code, parent, province["name_th"], province["name_en"], (None, None))
    for code in sorted({province + district for _, province, district in FACILITIES.values()}):
        yield _area("district", code, code[:2], f"สมมติ {code}", f"District {code}", (None, None))
    for hospcode, (name, province, district) in FACILITIES.items():
        yield _area("facility", hospcode, province + district, name, name, (None, None))


def _area(
    level: str, code: str, parent: str | None, name_th: str, name_en: str, tile: tuple[int | None, int | None]
) -> dict[str, object]:
    return {
        "area_level": level, "area_code": code, "parent_code": parent, "name_th": name_th, "name_en": name_en,
        "tile_row": tile[0], "tile_column": tile[1],
    }  # fmt: skip


def definition_rows() -> Iterator[dict[str, object]]:
    for measure, (name_th, name_en) in MEASURES.items():
        yield {
            "measure_id": measure, "version": "1", "name_th": name_th, "name_en": name_en,
            "question_th": f"คำถามของ {measure}", "question_en": f"Question of {measure}",
            "numerator_th": f"ตัวตั้งของ {measure}", "numerator_en": f"Numerator of {measure}",
            "denominator_th": f"ตัวหารของ {measure}", "denominator_en": f"Denominator of {measure}",
            "exclusions_th": "–", "exclusions_en": "–", "window_days": 0, "direction": "lower",
            "source": "แบบจำลองเพื่อทดสอบ", "cost_th": "ค่าบริการ", "cost_en": "Charges",
            "caveat_th": "เป็นสัญญาณให้ทบทวน", "caveat_en": "A signal for review",
            "owner": "กองยุทธศาสตร์และแผนงาน", "next_review_date": date(2027, 1, 1),
        }  # fmt: skip


def member_rows() -> Iterator[dict[str, object]]:
    for dimension, codes in MEMBERS.items():
        for order, (code, (label_th, label_en, _)) in enumerate(codes.items()):
            yield {
                "dimension": dimension, "member_code": code, "label_th": label_th, "label_en": label_en,
                "sort_order": order,
            }  # fmt: skip


def delivery_rows() -> Iterator[dict[str, object]]:
    for period in all_periods():
        if period.kind == "month":
            yield {
                "period_type": period.kind, "period_start": period.start, "period_end": period.end,
                "area_level": "nation", "area_code": "TH", "outcome": "accepted",
                "n_deliveries": 300, "n_rows": 1_500_000, "n_rejected_rows": 1200,
            }  # fmt: skip


def publication_row(run_id: str) -> dict[str, object]:
    moment = datetime(2025, 4, 9, 20, 30, tzinfo=UTC).replace(tzinfo=None)
    return {
        "run_id": run_id, "published_at": moment, "built_at": moment, "data_from": FIRST_MONTH,
        "data_to": date(2025, 3, 31), "last_sent_at": moment, "last_received_at": moment, "n_deliveries": 3600,
        "ruam_version": "0.1.0", "disclosure_rule": "0; 1-9 below_10; nearest 5",
    }  # fmt: skip


def write_serving(home: Path, run_id: str = RUN_ID, only: Collection[str] | None = None) -> Path:
    """Write `serving/ruam_<run>.duckdb` with all tables, or `only` those named; point `serving/current.json` at it."""
    random = np.random.default_rng(SEED)
    tables: dict[str, Iterable[dict[str, object]]] = {
        "agg_utilization": utilization_rows(random),
        "agg_patient_flow": flow_rows(random),
        "agg_measure_results": measure_rows(random),
        "agg_completeness": completeness_rows(),
        "agg_facility_activity": facility_activity_rows(),
        "agg_measure_weaknesses": weakness_rows(),
        "agg_rollout": rollout_rows(),
        "agg_rollout_indicators": indicator_rows(),
        "agg_rollout_effects": effect_rows(),
        "dim_indicators": [row | {"sort_order": int(row["sort_order"])} for row in SERIES],
        "agg_deliveries": delivery_rows(),
        "agg_facility_reports": facility_report_rows(),
        "agg_submissions": submission_rows(),
        "agg_scorecards": scorecard_rows(),
        "agg_rule_results": rule_result_rows(),
        "agg_finding_changes": finding_change_rows(),
        "dim_areas": area_rows(),
        "dim_measures": definition_rows(),
        "dim_parameters": PARAMETERS,
        "dim_unmeasurables": UNMEASURED,
        "dim_members": member_rows(),
        "publication": [publication_row(run_id)],
    }
    folder = home / "serving"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"ruam_{run_id}.duckdb"
    with duckdb.connect(path) as connection:
        for name in tables if only is None else only:
            frame = pl.DataFrame(list(tables[name]), infer_schema_length=None)
            connection.register("frame", frame.to_arrow())
            connection.execute(f"create table {name} as select * from frame")
            connection.unregister("frame")
        # Views for other tools lie beside the tables, under names of their own that statements of pages may use too.
        connection.execute(f"create schema {stable_schema().name}")
        for view in stable_schema().views:
            if only is None or view.table in only:
                connection.execute(f"create view {stable_schema().name}.{view.name} as from main.{view.table}")
    pointer = {"file": path.name, "run_id": run_id, "published_at": "2025-04-09T20:30:00+00:00"}
    (folder / "current.json").write_text(json.dumps(pointer), encoding="utf-8")
    return path
