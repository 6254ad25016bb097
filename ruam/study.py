"""Before and after the rollout: what changed for people of a province when it went live, against those not yet live.

Provinces went live in phases, so a plain two-way fixed effect would compare late ones with early ones that were already
changing. The group-time effects of Callaway and Sant'Anna (2021), by the library diff-diff, compare each cohort only
with provinces that are not live yet. Nothing is told without its placebo checks; docs/rollout-study.md states what must
hold for the result to mean anything.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from ruam.errors import BusyError, SetupError
from ruam.home import DataHome

SMALLEST_BASE = 30
"""Visits of a province and month below which no share is worked out (as on the pages)."""
SMALLEST_COHORT = 3
"""Provinces: of fewer there is no spread to judge an effect by."""
SMALLEST_CONTROLS = 8
"""Provinces of the last cohort, without which fake dates cannot be drawn among them."""
DRAWS = 199
LEVEL = 0.05
MOST_FALSE_ALARMS = 0.10
"""Share of fake dates that may look like an effect; 0.05 are expected, and few provinces make the test a little lax."""
SEED = 2567

MEASURES = {"UT-04": "n_out_of_network", "UT-05": "n_cross_province", "UT-06": "n_cross_region"}
"""Shares of the visits of a province's people, whose home is the province of the main contracted facility."""

PANEL = {
    "province_code": pl.String(),
    "month": pl.Date(),
    "n_visits": pl.Int64(),
    "n_out_of_network": pl.Int64(),
    "n_cross_province": pl.Int64(),
    "n_cross_region": pl.Int64(),
}
PROVINCES = {"province_code": pl.String(), "actual_date": pl.Date(), "partial_service_date": pl.Date()}


@dataclass(frozen=True)
class Sample:
    """Who is compared with whom. Months and cohorts are counted from the first month, which is 1."""

    first_month: date
    n_months: int
    cohorts: dict[str, int]
    """Month of go-live of each province used; 0 for those that go live last and only compare."""
    n_left_out: int

    @property
    def sizes(self) -> dict[int, int]:
        """Provinces by month of go-live, the last cohort left out."""
        starts = [start for start in self.cohorts.values() if start]
        return {start: starts.count(start) for start in sorted(set(starts))}

    @property
    def n_controls(self) -> int:
        return sum(1 for start in self.cohorts.values() if not start)

    def month(self, number: int) -> date:
        """First day of a month by its number."""
        return _month(_number(self.first_month) + number - 1)

    @property
    def last_day(self) -> date:
        return self.month(self.n_months + 1) - timedelta(days=1)


@dataclass(frozen=True)
class Estimate:
    part: str
    term: str
    effect: float | None
    low: float | None
    high: float | None
    p_value: float | None
    n_provinces: int
    event_month: int | None = None
    weight: float | None = None
    verdict: str | None = None


def read(home: DataHome) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """From the warehouse: visits by home province and month (`PANEL`), go-live days (`PROVINCES`), reports by month.

    Raises `SetupError` when nothing was built, `BusyError` while a build writes.
    """
    import duckdb

    if not home.warehouse.exists():
        raise SetupError("There is no warehouse yet. Run `ruam build` first.")
    try:
        connection = duckdb.connect(str(home.warehouse), read_only=True)
    except duckdb.IOException as error:
        raise BusyError(f"{home.warehouse} is open in another process. Wait for it to end, then try again.") from error
    with connection:
        try:
            return _read(connection)
        except (duckdb.CatalogException, duckdb.BinderException) as error:
            raise SetupError("The warehouse lacks what the study reads. Run `ruam build` first.") from error


def _read(connection: Any) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    panel = connection.execute("""
        select
            flows.home_code as province_code,
            flows.period_start as month,
            sum(flows.n_visits) as n_visits,
            sum(flows.n_out_of_network_visits) as n_out_of_network,
            sum(flows.n_visits) filter (where flows.home_code <> flows.treatment_code) as n_cross_province,
            sum(flows.n_visits) filter (where homes.region_code <> treatments.region_code) as n_cross_region
        from agg_patient_flow as flows
        inner join dim_provinces as homes on flows.home_code = homes.province_code
        inner join dim_provinces as treatments on flows.treatment_code = treatments.province_code
        where flows.home_level = 'province' and flows.period_type = 'month'
            and flows.home_code <> '99' and flows.treatment_code <> '99'
        group by all
    """).pl()
    provinces = connection.execute(
        "select province_code, actual_date, partial_service_date from dim_provinces where province_code <> '99'"
    ).pl()
    reports = connection.execute("""
        select period_start as month, n_reports_received, n_reports_expected
        from agg_completeness
        where period_type = 'month' and area_level = 'nation'
    """).pl()
    panel = panel.with_columns(pl.col("n_cross_province", "n_cross_region").fill_null(0)).cast(dict(PANEL))
    return panel, provinces.select(*PROVINCES).cast(dict(PROVINCES)), reports


def sample(panel: pl.DataFrame, provinces: pl.DataFrame) -> Sample:
    """Which provinces and months can be compared.

    Used are the months before the last provinces went live: from then on nobody is left to compare with. Left out are
    provinces live in the first month or before, those with partial service before their day (no clean date), those
    with a month of fewer than 30 visits, and cohorts of fewer than 3. Raises `SetupError` when no two cohorts remain.
    """
    first = min(panel["month"], default=None)
    if first is None:
        raise SetupError("There are no visits to compare. Take deliveries in, then `ruam build`.")
    origin = _number(first) - 1
    last = _number(max(panel["month"])) - origin
    starts = {
        code: _number(day) - origin
        for code, day, partial in provinces.select(*PROVINCES).iter_rows()
        if day is not None and partial is None and _number(day) - origin > 1
    }
    # Who goes live after the last month of data has not done so yet.
    starts = {code: min(start, last + 1) for code, start in starts.items()}
    for end in sorted(set(starts.values()), reverse=True):
        full = _seen(panel, origin, end - 1) & set(starts)
        controls = {code for code in full if starts[code] >= end}
        live = [starts[code] for code in full - controls]
        kept = {start for start in live if live.count(start) >= SMALLEST_COHORT}
        if kept and len(controls) >= SMALLEST_COHORT:
            cohorts = {code: 0 if code in controls else starts[code] for code in sorted(full)}
            cohorts = {code: start for code, start in cohorts.items() if start in kept or start == 0}
            return Sample(first, end - 1, cohorts, provinces.height - len(cohorts))
    raise SetupError(
        f"Nothing can be compared: it takes two cohorts of at least {SMALLEST_COHORT} provinces that go live in "
        "different months after the first month of data. Take in months from before they went live, then `ruam build`."
    )


def _seen(panel: pl.DataFrame, origin: int, until: int) -> set[str]:
    """Provinces with enough visits in every month up to the given one."""
    months = [_month(origin + number) for number in range(1, until + 1)]
    full = panel.filter(pl.col("month").is_in(months), pl.col("n_visits") >= SMALLEST_BASE)
    return {code for code, n in full.group_by("province_code").len().iter_rows() if n == until}


def estimate(panel: pl.DataFrame, chosen: Sample, numerator: str, draws: int = DRAWS) -> list[Estimate]:
    """The effect of going live on one share, in percentage points, with its placebo checks.

    Intervals and p are of Student's t with as many degrees of freedom as the smaller side has provinces, less one:
    the library's normal ones are too narrow for a few provinces. Raises `SetupError` when no month after a go-live can
    be estimated.
    """
    frame = _frame(panel, chosen, numerator)
    fitted = _fit(frame)
    events = fitted.aggregate("event_study").to_dataframe()
    n_live = sum(chosen.sizes.values())
    overall = _row(fitted.aggregate("simple").to_dataframe().iloc[0], n_live, chosen.n_controls)
    if overall is None:
        raise SetupError("No month after a go-live can be estimated: the months there are do not reach far enough.")
    found = [_estimate("overall", "all", overall, n_live)]
    for _, event in events.iterrows():
        month = int(event["event_time"])
        behind = sum(size for start, size in chosen.sizes.items() if 1 <= start + month <= chosen.n_months)
        if behind < SMALLEST_COHORT:
            continue
        term = f"{month:+03d}"
        if bool(event["is_reference"]):
            found.append(Estimate("event", term, 0.0, None, None, None, behind, month))
        elif (values := _row(event, behind, chosen.n_controls)) is not None:
            found.append(replace(_estimate("event", term, values, behind), event_month=month))
    for _, group in fitted.aggregate("group").to_dataframe().iterrows():
        start = int(group["label"])
        size = chosen.sizes[start]
        if (values := _row(group, size, chosen.n_controls)) is not None:
            one = _estimate("cohort", f"{chosen.month(start):%Y-%m}", values, size)
            found.append(replace(one, weight=size / n_live))
    checks = [_leads(found, n_live), _fake_dates(frame, chosen, draws)]
    verdicts = {check.verdict for check in checks}
    verdict = next(one for one in ("failed", "not_possible", "passed") if one in verdicts)
    return [replace(one, verdict=verdict) for one in found] + checks


def _estimate(part: str, term: str, values: tuple[float, float, float, float], n_provinces: int) -> Estimate:
    return Estimate(part, term, *values, n_provinces)


def _leads(found: Sequence[Estimate], n_provinces: int) -> Estimate:
    """Months before go-live must show no difference; the smallest p is multiplied by their number (Bonferroni)."""
    leads = [one for one in found if one.part == "event" and (one.event_month or 0) < -1 and one.p_value is not None]
    if not leads:
        return Estimate("placebo", "leads", None, None, None, None, n_provinces, verdict="not_possible")
    worst = min(leads, key=lambda one: one.p_value if one.p_value is not None else 1.0)
    adjusted = min(1.0, (worst.p_value or 0.0) * len(leads))
    verdict = "failed" if adjusted < LEVEL else "passed"
    return Estimate("placebo", "leads", worst.effect, worst.low, worst.high, adjusted, n_provinces, verdict=verdict)


def _fake_dates(frame: Any, chosen: Sample, draws: int) -> Estimate:
    """Provinces that are not live at all, half of them drawn to 'go live' midway: few draws may look like an effect."""
    idle = frame[frame["start"] == 0]
    units = idle["unit"].unique()
    middle = chosen.n_months // 2 + 1
    if len(units) < SMALLEST_CONTROLS or chosen.n_months < 4:
        return Estimate("placebo", "fake_dates", None, None, None, None, len(units), verdict="not_possible")
    random = np.random.default_rng(SEED)
    effects, alarms = [], 0
    half = len(units) // 2
    for _ in range(draws):
        drawn = random.permutation(units)[:half]
        fake = idle.assign(start=np.where(idle["unit"].isin(drawn), middle, 0))
        row = _row(_fit(fake).aggregate("simple").to_dataframe().iloc[0], half, len(units) - half)
        if row is not None:
            effects.append(row[0])
            alarms += row[3] < LEVEL
    share = alarms / len(effects)
    low, high = np.percentile(effects, [2.5, 97.5])
    verdict = "failed" if share > MOST_FALSE_ALARMS else "passed"
    return Estimate(
        "placebo", "fake_dates", float(np.mean(effects)), float(low), float(high), share, len(units), verdict=verdict
    )


def _frame(panel: pl.DataFrame, chosen: Sample, numerator: str) -> Any:
    """unit, time, start, share (percent): one row for each province used and month."""
    origin = _number(chosen.first_month) - 1
    numbers = (pl.col("month").dt.year().cast(pl.Int64) * 12 + pl.col("month").dt.month() - 1) - origin
    used = panel.with_columns(time=numbers).filter(
        pl.col("province_code").is_in(list(chosen.cohorts)), pl.col("time").is_between(1, chosen.n_months)
    )
    # Sorted, for the draws of fake dates depend on the order, and a database keeps none.
    return (
        used.sort("province_code", "time")
        .select(
            unit=pl.col("province_code").cast(pl.Int64),
            time="time",
            start=pl.col("province_code").replace_strict(chosen.cohorts, return_dtype=pl.Int64),
            share=100 * pl.col(numerator) / pl.col("n_visits"),
        )
        .to_pandas()
    )


def _fit(frame: Any) -> Any:
    # The library takes seconds to import: neither the other commands nor the pages must wait for it.
    from diff_diff import CallawaySantAnna

    estimator = CallawaySantAnna(
        control_group="not_yet_treated", base_period="universal", estimation_method="reg", alpha=LEVEL
    )
    with warnings.catch_warnings():
        # What it warns of (cohorts or months that cannot be estimated) is told by the rows that are not there.
        warnings.simplefilter("ignore")
        return estimator.fit(frame, outcome="share", unit="unit", time="time", first_treat="start")


def _row(row: Any, n_live: int, n_idle: int) -> tuple[float, float, float, float] | None:
    """Effect, interval and p; None where there is no finite one."""
    from scipy.stats import t

    effect, error = float(row["att"]), float(row["se"])
    if not (np.isfinite([effect, error]).all() and error > 0):
        return None
    freedom = min(n_live, n_idle) - 1
    reach = error * float(t.ppf(1 - LEVEL / 2, freedom))
    return effect, effect - reach, effect + reach, 2 * float(t.sf(abs(effect) / error, freedom))


def study(panel: pl.DataFrame, provinces: pl.DataFrame, reports: pl.DataFrame, draws: int = DRAWS) -> pl.DataFrame:
    """All estimates of all measures, with the columns of the contract `rollout_effects`.

    Raises `SetupError` when nothing can be compared.
    """
    from diff_diff import __version__

    chosen = sample(panel, provinces)
    seen = reports.filter(pl.col("month").is_between(chosen.first_month, chosen.last_day))
    rows = [
        {
            "measure_id": measure_id,
            "part": one.part,
            "term": one.term,
            "event_month": one.event_month,
            "effect": one.effect,
            "effect_low": one.low,
            "effect_high": one.high,
            "p_value": one.p_value,
            "n_provinces": one.n_provinces,
            "weight": one.weight,
            "verdict": one.verdict,
            "data_from": chosen.first_month,
            "data_to": chosen.last_day,
            "n_left_out": chosen.n_left_out,
            "n_controls": chosen.n_controls,
            "n_reports_received": int(seen["n_reports_received"].sum()),
            "n_reports_expected": int(seen["n_reports_expected"].sum()),
            "method": f"Callaway-Sant'Anna (2021), not-yet-live provinces, diff-diff {__version__}",
        }
        for measure_id, numerator in MEASURES.items()
        for one in estimate(panel, chosen, numerator, draws)
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _number(day: date) -> int:
    return day.year * 12 + day.month - 1


def _month(number: int) -> date:
    return date(number // 12, number % 12 + 1, 1)
