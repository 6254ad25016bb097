"""Reads, one function each. Identifiers come from the constants of `figures`, values as parameters.

Rows that an area did not report are made by the joins below and stay NULL with status `missing`: never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import polars as pl
from pydantic import BaseModel, ConfigDict

from dashboards.queries.figures import Figure
from dashboards.queries.serving import Parameter, Serving, fetch
from ruam.access import NATION as WHOLE
from ruam.disclosure import SMALLEST_BASE
from ruam.measures import is_of_library

THAILAND = timezone(timedelta(hours=7))


class Area(BaseModel):
    model_config = ConfigDict(frozen=True)

    area_level: str
    area_code: str


NATION = Area(area_level="nation", area_code="TH")


class Period(BaseModel):
    model_config = ConfigDict(frozen=True)

    period_type: str
    period_start: date
    period_end: date


class Publication(BaseModel):
    """The row of `publication` that pages show."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    run_id: str
    published_at: datetime
    data_from: date
    data_to: date

    @property
    def published_on(self) -> date:
        """The day in Thailand; a time without a zone is UTC."""
        moment = self.published_at if self.published_at.tzinfo else self.published_at.replace(tzinfo=UTC)
        return moment.astimezone(THAILAND).date()


def publication(serving: Serving) -> Publication | None:
    """None when it was published before the first visit came: there is nothing to date a figure by."""
    rows = fetch(
        serving,
        """
        select
            run_id,
            cast(published_at as timestamp) as published_at,
            cast(data_from as date) as data_from,
            cast(data_to as date) as data_to
        from publication
        where data_to is not null
        """,
    )
    if rows.is_empty():
        return None
    return Publication.model_validate(rows.row(0, named=True))


def areas(serving: Serving) -> pl.DataFrame:
    """area_level, area_code, parent_code, name_th, name_en, tile_row, tile_column; nation, regions, provinces."""
    return fetch(
        serving,
        """
        select area_level, area_code, parent_code, name_th, name_en, tile_row, tile_column
        from dim_areas
        where area_level in ('nation', 'region', 'province')
        order by case area_level when 'nation' then 0 when 'region' then 1 else 2 end, area_code
        """,
    )


def sees(serving: Serving, area: Area) -> bool:
    """Whether an area is there, and one that the viewer may see."""
    return area in seen(serving, [area])


def seen(serving: Serving, places: Iterable[Area]) -> set[Area]:
    """Those of the places that are there, and that the viewer may see. The regions and provinces cost one read."""
    whole = {"nation", "region", "province"}
    wanted = set(places)
    found = set()
    if any(area.area_level in whole for area in wanted):
        told = areas(serving)
        found = set(zip(told["area_level"], told["area_code"], strict=True))
    for area in wanted:
        if area.area_level not in whole:
            rows = fetch(
                serving,
                "select area_level, area_code from dim_areas where area_level = $area_level and area_code = $area_code",
                area.model_dump(),
            )
            found |= set(rows.iter_rows())
    return {area for area in wanted if (area.area_level, area.area_code) in found}


def districts(serving: Serving, province: str) -> pl.DataFrame:
    """area_level, area_code, name_th, name_en of the districts of a province that have a facility."""
    return fetch(
        serving,
        """
        select area_level, area_code, name_th, name_en
        from dim_areas
        where area_level = 'district' and parent_code = $province
        order by area_code
        """,
        {"province": province},
    )


def periods(serving: Serving) -> list[Period]:
    """Every published period; of `last_12_months` the newest alone. Longest first, then newest first."""
    rows = fetch(
        serving,
        """
        select distinct period_type, period_start, period_end
        from agg_completeness
        where area_level = 'nation'
        qualify period_type != 'last_12_months'
            or period_end = max(period_end) over (partition by period_type)
        order by
            case period_type when 'last_12_months' then 0 when 'fiscal_year' then 1
                when 'quarter' then 2 else 3 end,
            period_start desc
        """,
    )
    return [Period.model_validate(row) for row in rows.iter_rows(named=True)]


def definition(serving: Serving, measure_id: str) -> dict[str, object] | None:
    """The measure's row in the registry, newest version; None when it is not registered."""
    rows = fetch(
        serving,
        "select * from dim_measures where measure_id = $measure_id order by version desc limit 1",
        {"measure_id": measure_id},
    )
    return rows.row(0, named=True) if rows.height else None


def registry(serving: Serving) -> pl.DataFrame:
    """Every version of every measure, the newest of a measure first: the columns of `dim_measures`."""
    return fetch(serving, "select * from dim_measures order by measure_id, version desc")


def parameters(serving: Serving, measure_id: str) -> pl.DataFrame:
    """parameter, value, valid_from, source: those of the measure, then those of the whole measure library, if of it."""
    return fetch(
        serving,
        """
        select parameter, value, valid_from, source
        from dim_parameters
        where measure_id = $measure_id or (measure_id = '*' and $is_of_library)
        order by measure_id = '*', parameter, valid_from
        """,
        {"measure_id": measure_id, "is_of_library": is_of_library(measure_id)},
    )


def unmeasured_rules(serving: Serving, measure_id: str) -> pl.DataFrame:
    """name_th, name_en, wanting_th, wanting_en: rules of the measure that cannot be measured, and for want of what."""
    return fetch(
        serving,
        """
        select name_th, name_en, wanting_th, wanting_en
        from dim_unmeasurables
        where measure_id = $measure_id
        order by rule
        """,
        {"measure_id": measure_id},
    )


def members(serving: Serving, dimension: str) -> pl.DataFrame:
    """member_code, label_th, label_en in their order."""
    return fetch(
        serving,
        """
        select member_code, label_th, label_en
        from dim_members
        where dimension = $dimension
        order by sort_order, member_code
        """,
        {"dimension": dimension},
    )


def completeness(serving: Serving, area: Area, period: Period) -> tuple[int, int] | None:
    """Monthly reports of facilities received and expected; None when nothing is published for the area."""
    rows = fetch(
        serving,
        """
        select n_reports_received, n_reports_expected
        from agg_completeness
        where area_level = $area_level and area_code = $area_code
            and period_type = $period_type and period_start = $period_start
        """,
        {**area.model_dump(), "period_type": period.period_type, "period_start": period.period_start},
    )
    if not rows.height or None in rows.row(0):
        return None
    return rows.row(0)


def _count(figure: Figure, name: str | None, alias: str) -> str:
    """A count of a figure with its status, or nulls where the figure has none."""
    if name is None:
        return f"cast(null as bigint) as {alias}, cast(null as varchar) as {alias}_status"
    status = f"{name}_status" if figure.controlled else "'exact'"
    return f"{name} as {alias}, {status} as {alias}_status"


def _counts(figure: Figure, dimension: str = "'all'") -> str:
    """A sub-select with the same columns whatever table the figure comes from."""

    keys = "period_type, period_start, area_level, area_code"
    counts = f"{_count(figure, figure.numerator, 'numerator')}, {_count(figure, figure.denominator, 'denominator')}"
    if figure.table == "agg_utilization":
        return f"(select {keys}, dimension_value, {counts} from agg_utilization where dimension = {dimension})"
    is_measure = figure.table == "agg_measure_results"
    where = (
        f" where measure_id = '{figure.measure_id}' and variant = 'main' and dimension_set = 'all'"
        if is_measure
        else ""
    )
    if figure.table == "agg_facility_activity":
        where = " where dimension_set = 'all'"
    return f"(select {keys}, {counts} from {figure.table}{where})"


_NAMES = """
    select measure_id, name_th, name_en
    from dim_measures
    qualify row_number() over (partition by measure_id order by version desc) = 1
"""
"""A row a measure, as its newest version names it."""
_COUNTS = """
    counts.numerator,
    coalesce(counts.numerator_status, 'missing') as numerator_status,
    counts.denominator,
    coalesce(counts.denominator_status, 'missing') as denominator_status
"""

# The unknown region has no tile, and is the parent of the unknown province.
_IS_KNOWN = "case areas.area_level when 'region' then areas.tile_row is not null else areas.parent_code <> '00' end"

_MONTHS = """
    select distinct period_type, period_start
    from agg_completeness
    where area_level = 'nation' and period_type = 'month'
"""


def measure_results(
    serving: Serving, area: Area, period: Period, ids: list[str], variant: str = "main"
) -> pl.DataFrame:
    """One row for every registered measure whose id begins as one of `ids` does, newest version, in order of id.

    measure_id, name_th, name_en, then of its variant in the area and period: the two counts, n_persons and
    n_persons_status, rate_low, rate_high (95 % interval), mean_value, cost and median_cost (baht), standardized_rate
    with standardized_low and standardized_high (per head), status (no_data, partial or complete; null where the
    measure is not counted there), the reports received and expected, and the two counts at the lower linkage threshold
    as wide_numerator and wide_denominator with their statuses.
    """
    return fetch(
        serving,
        f"""
        with measures as (
            select * from ({_NAMES})
            where len(list_filter($ids, lambda one: starts_with(measure_id, one))) > 0
        )
        select
            measures.*, {_COUNTS},
            counts.n_persons, coalesce(counts.n_persons_status, 'missing') as n_persons_status,
            counts.rate_low, counts.rate_high, counts.mean_value, counts.cost, counts.median_cost,
            counts.standardized_rate, counts.standardized_low, counts.standardized_high,
            counts.status, counts.n_reports_received, counts.n_reports_expected,
            counts.wide_numerator, coalesce(counts.wide_numerator_status, 'missing') as wide_numerator_status,
            counts.wide_denominator, coalesce(counts.wide_denominator_status, 'missing') as wide_denominator_status
        from measures
        left join agg_measure_results as counts
            on counts.measure_id = measures.measure_id
            and counts.variant = $variant
            and counts.dimension_set = 'all'
            and counts.area_level = $area_level
            and counts.area_code = $area_code
            and counts.period_type = $period_type
            and counts.period_start = $period_start
        order by measures.measure_id
        """,
        {
            **area.model_dump(),
            "period_type": period.period_type,
            "period_start": period.period_start,
            "ids": ids,
            "variant": variant,
        },
    )


def measure_by_member(serving: Serving, measure_id: str, dimension: str, area: Area, period: Period) -> pl.DataFrame:
    """member_code, label_th, label_en, the two counts, rate_low and rate_high: a row for each published member.

    None where the measure is not cut by the dimension in such an area and period.
    """
    return fetch(
        serving,
        f"""
        select members.member_code, members.label_th, members.label_en, {_COUNTS}, counts.rate_low, counts.rate_high
        from agg_measure_results as counts
        inner join dim_members as members
            on members.dimension = counts.dimension_set and members.member_code = counts.member_1
        where counts.measure_id = $measure_id and counts.variant = 'main' and counts.dimension_set = $dimension
            and counts.area_level = $area_level and counts.area_code = $area_code
            and counts.period_type = $period_type and counts.period_start = $period_start
        order by members.sort_order, members.member_code
        """,
        {
            **area.model_dump(),
            "period_type": period.period_type,
            "period_start": period.period_start,
            "measure_id": measure_id,
            "dimension": dimension,
        },
    )


def measured(serving: Serving) -> pl.DataFrame:
    """measure_id, name_th, name_en, variant: every measure of the library with a published result, by its variants.

    The main variant is the first of its measure.
    """
    return fetch(
        serving,
        f"""
        with variants as (select distinct measure_id, variant from agg_measure_results where area_level = 'nation')
        select variants.measure_id, names.name_th, names.name_en, variants.variant
        from variants
        inner join ({_NAMES}) as names on names.measure_id = variants.measure_id
        order by variants.measure_id, variants.variant <> 'main', variants.variant
        """,
    )


def cuts(serving: Serving, figure: Figure, variant: str) -> pl.DataFrame:
    """dimension_set, level (of areas), period_type: how a figure is published, `all` being whole."""
    return fetch(
        serving,
        f"""
        with cells as {_cells(figure)}
        select distinct dimension_set, area_level as level, period_type
        from cells
        order by dimension_set, level, period_type
        """,
        {"variant": variant, "set": None},
    )


def cells(
    serving: Serving,
    figure: Figure,
    variant: str,
    dimension_set: str,
    level: str,
    area_code: str | None,
    period_type: str,
    period_start: date | None,
) -> pl.DataFrame:
    """Every published cell of a figure in a set of dimensions; of one area, and one period, where they are given.

    area_level, area_code, period_type, period_start, member_1 to member_3, the two counts, rate_low and rate_high.
    """
    return fetch(
        serving,
        f"""
        with cells as {_cells(figure)}
        select *
        from cells
        where area_level = $level and ($area_code is null or area_code = $area_code)
            and period_type = $period_type and ($period_start is null or period_start = $period_start)
        order by area_code, period_start, member_1, member_2, member_3
        """,
        {
            "variant": variant,
            "set": dimension_set,
            "level": level,
            "area_code": area_code,
            "period_type": period_type,
            "period_start": period_start,
        },
    )


def _cells(figure: Figure) -> str:
    """A sub-select with the same columns whatever table the figure comes from, of one set of dimensions or of all."""
    keys = "period_type, period_start, area_level, area_code"
    counts = f"{_count(figure, figure.numerator, 'numerator')}, {_count(figure, figure.denominator, 'denominator')}"
    if figure.table == "agg_measure_results":
        return f"""(
            select {keys}, dimension_set, member_1, member_2, member_3, {counts}, rate_low, rate_high
            from agg_measure_results
            where measure_id = '{figure.measure_id}' and variant = $variant and ($set is null or dimension_set = $set)
        )"""
    dimensions = "', '".join(("all", *figure.dimensions))
    return f"""(
        select {keys}, dimension as dimension_set, dimension_value as member_1, 'all' as member_2, 'all' as member_3,
            {counts}, cast(null as double) as rate_low, cast(null as double) as rate_high
        from {figure.table}
        where $variant = 'main' and dimension in ('{dimensions}') and ($set is null or dimension = $set)
    )"""


def figure_by_month(serving: Serving, figure: Figure, area: Area) -> pl.DataFrame:
    """period_start and the two counts, one row for every published month."""
    return fetch(
        serving,
        f"""
        with months as ({_MONTHS}), counts as {_counts(figure)}
        select months.period_start, {_COUNTS}
        from months
        left join counts
            on counts.period_type = months.period_type
            and counts.period_start = months.period_start
            and counts.area_level = $area_level
            and counts.area_code = $area_code
        order by months.period_start
        """,
        area.model_dump(),
    )


def figure_by_area(serving: Serving, figure: Figure, level: str, period: Period) -> pl.DataFrame:
    """One row for every area of a level, without the unknown one; regions have a tile.

    area_level, area_code, parent_code, name_th, name_en, tile_row, tile_column, the two counts, n_reports_received,
    n_reports_expected.
    """
    return fetch(
        serving,
        f"""
        with counts as {_counts(figure)}
        select
            areas.area_level, areas.area_code, areas.parent_code, areas.name_th, areas.name_en,
            areas.tile_row, areas.tile_column, {_COUNTS},
            completeness.n_reports_received, completeness.n_reports_expected
        from dim_areas as areas
        left join counts
            on counts.area_level = areas.area_level
            and counts.area_code = areas.area_code
            and counts.period_type = $period_type
            and counts.period_start = $period_start
        left join agg_completeness as completeness
            on completeness.area_level = areas.area_level
            and completeness.area_code = areas.area_code
            and completeness.period_type = $period_type
            and completeness.period_start = $period_start
        where areas.area_level = $level and {_IS_KNOWN}
        order by areas.area_code
        """,
        {"level": level, "period_type": period.period_type, "period_start": period.period_start},
    )


def figure_by_region_and_month(serving: Serving, figure: Figure) -> pl.DataFrame:
    """area_level, area_code, period_start and the two counts: every region with a tile in every published month."""
    return fetch(
        serving,
        f"""
        with months as ({_MONTHS}), counts as {_counts(figure)}
        select areas.area_level, areas.area_code, months.period_start, {_COUNTS}
        from dim_areas as areas
        cross join months
        left join counts
            on counts.area_level = areas.area_level
            and counts.area_code = areas.area_code
            and counts.period_type = months.period_type
            and counts.period_start = months.period_start
        where areas.area_level = 'region' and {_IS_KNOWN}
        order by areas.area_code, months.period_start
        """,
    )


def figure_of(serving: Serving, figure: Figure, area: Area, period: Period) -> pl.DataFrame:
    """The two counts of one area and period: one row, or none."""
    return fetch(
        serving,
        f"""
        with counts as {_counts(figure)}
        select {_COUNTS}
        from counts
        where area_level = $area_level and area_code = $area_code
            and period_type = $period_type and period_start = $period_start
        """,
        {**area.model_dump(), "period_type": period.period_type, "period_start": period.period_start},
    )


def figure_by_member(serving: Serving, figure: Figure, dimension: str, area: Area, period: Period) -> pl.DataFrame:
    """member_code, label_th, label_en and the two counts, one row for every member of the dimension.

    The unknown member only where something is unknown.
    """
    return fetch(
        serving,
        f"""
        with counts as {_counts(figure, "$dimension")}
        select members.member_code, members.label_th, members.label_en, {_COUNTS}
        from dim_members as members
        left join counts
            on counts.dimension_value = members.member_code
            and counts.area_level = $area_level
            and counts.area_code = $area_code
            and counts.period_type = $period_type
            and counts.period_start = $period_start
        where members.dimension = $dimension
            and (members.member_code <> 'unknown' or counts.numerator_status is not null)
        order by members.sort_order, members.member_code
        """,
        {
            **area.model_dump(),
            "period_type": period.period_type,
            "period_start": period.period_start,
            "dimension": dimension,
        },
    )


def patient_flow(serving: Serving, level: str, period: Period) -> pl.DataFrame:
    """home_level, home_code, treatment_code, n_visits and n_persons with their statuses: pairs with any visit at all.

    Whoever sees a part of the nation gets the pairs of which either end is theirs.
    """
    return fetch(
        serving,
        """
        select home_level, home_code, treatment_code, n_visits, n_visits_status, n_persons, n_persons_status
        from agg_patient_flow
        where home_level = $level and period_type = $period_type and period_start = $period_start
        order by home_code, treatment_code
        """,
        {"level": level, "period_type": period.period_type, "period_start": period.period_start},
    )


def reports_by_area(serving: Serving, level: str, period: Period) -> pl.DataFrame:
    """area_level, area_code, n_reports_received, n_reports_expected."""
    return fetch(
        serving,
        """
        select area_level, area_code, n_reports_received, n_reports_expected
        from agg_completeness
        where area_level = $level and period_type = $period_type and period_start = $period_start
        order by area_code
        """,
        {"level": level, "period_type": period.period_type, "period_start": period.period_start},
    )


def registered_persons(serving: Serving, level: str, period: Period) -> pl.DataFrame:
    """area_level, area_code, n_registered_persons, n_registered_persons_status."""
    return fetch(
        serving,
        """
        select area_level, area_code, n_registered_persons, n_registered_persons_status
        from agg_utilization
        where area_level = $level and dimension = 'all'
            and period_type = $period_type and period_start = $period_start
        order by area_code
        """,
        {"level": level, "period_type": period.period_type, "period_start": period.period_start},
    )


def rollout(serving: Serving, region: str | None = None, phase: int | None = None) -> pl.DataFrame:
    """One row a province, with its names and its region's, dates, variance in days and where the plan comes from."""
    parameters: dict[str, Parameter] = {"region": region, "phase": phase}
    return fetch(
        serving,
        """
        select
            rollout.province_code,
            provinces.name_th,
            provinces.name_en,
            rollout.region_code,
            cast(rollout.phase as integer) as phase,
            rollout.planned_date,
            rollout.partial_service_date,
            rollout.actual_date,
            rollout.plan_source,
            rollout.actual_source,
            cast(rollout.budget_fiscal_year_be as integer) as budget_fiscal_year_be,
            rollout.variance_days
        from agg_rollout as rollout
        left join dim_areas as provinces
            on provinces.area_level = 'province' and provinces.area_code = rollout.province_code
        where ($region is null or rollout.region_code = $region)
            and ($phase is null or cast(rollout.phase as integer) = $phase)
        order by rollout.actual_date, rollout.province_code
        """,
        parameters,
    )


def indicators(serving: Serving, area: Area) -> pl.DataFrame:
    """Every series of every rollout indicator, with its newest value in the area from each origin, or none.

    indicator_id, series, label_th, label_en, feed_th, feed_en, unit, value, origin (`given`, `computed`), period_start,
    period_end, source, known_on, given_by.
    """
    return fetch(
        serving,
        """
        with newest as (
            select *
            from agg_rollout_indicators
            where area_level = $area_level and area_code = $area_code
            qualify row_number() over (partition by series, origin order by period_end desc, period_start) = 1
        )
        select
            series.indicator_id, series.series, series.label_th, series.label_en, series.feed_th, series.feed_en,
            series.unit, newest.value, newest.origin, newest.period_start, newest.period_end, newest.source,
            newest.known_on, newest.given_by
        from dim_indicators as series
        left join newest on newest.series = series.series
        order by series.sort_order, newest.origin
        """,
        area.model_dump(),
    )


def rollout_effects(serving: Serving, measure_id: str) -> pl.DataFrame:
    """Every estimate of the newest study for one figure, by part and month from go-live; no row when there is none."""
    return fetch(
        serving,
        """
        select *
        from agg_rollout_effects
        where measure_id = $measure_id
        order by part, event_month, term
        """,
        {"measure_id": measure_id},
    )


def figure_by_phase_and_month(serving: Serving, figure: Figure) -> pl.DataFrame:
    """phase, period_start and the two counts, summed over the phase's provinces where both are published."""
    return fetch(
        serving,
        f"""
        with months as ({_MONTHS}),
        phases as (select distinct cast(phase as integer) as phase from agg_rollout),
        counts as {_counts(figure)},
        sums as (
            select
                cast(rollout.phase as integer) as phase,
                counts.period_start,
                sum(counts.numerator) as numerator,
                sum(counts.denominator) as denominator
            from counts
            inner join agg_rollout as rollout on rollout.province_code = counts.area_code
            where counts.area_level = 'province' and counts.period_type = 'month'
                and counts.numerator is not null and counts.denominator is not null
            group by all
        )
        select
            phases.phase,
            months.period_start,
            cast(sums.numerator as bigint) as numerator,
            case when sums.numerator is null then 'missing' else 'rounded' end as numerator_status,
            cast(sums.denominator as bigint) as denominator,
            case when sums.denominator is null then 'missing' else 'rounded' end as denominator_status
        from phases
        cross join months
        left join sums on sums.phase = phases.phase and sums.period_start = months.period_start
        order by phases.phase, months.period_start
        """,
    )


def weakened_measures(serving: Serving) -> pl.DataFrame:
    """measure_id, name_th, name_en of each measure of which a weakness is known, newest version, in order of id."""
    return fetch(
        serving,
        f"""
        select * from ({_NAMES})
        where measure_id in (select measure_id from agg_measure_weaknesses)
        order by measure_id
        """,
    )


def report_months(serving: Serving) -> pl.DataFrame:
    """report_month, n_open (reports that are not due yet) and as_of_date, newest first, of the nation."""
    return fetch(
        serving,
        """
        select
            report_month,
            cast(sum(case when state = 'not_due' then n_reports else 0 end) as bigint) as n_open,
            max(as_of_date) as as_of_date
        from agg_submissions
        where area_level = 'nation'
        group by report_month
        order by report_month desc
        """,
    )


_WEAKENED = """
    n_affected as numerator, n_affected_status as numerator_status,
    n_asked as denominator, n_asked_status as denominator_status
"""


def _weaknesses(columns: str, where: str) -> str:
    return f"""
        select
            {columns}, unit, name_th, name_en, {_WEAKENED}
        from agg_measure_weaknesses
        where measure_id = $measure_id and {where}
        order by {columns}
    """


def weaknesses(serving: Serving, measure_id: str, area: Area) -> pl.DataFrame:
    """weakness_id, unit, name_th, name_en and the two counts of each weakness of a measure in an area."""
    sql = _weaknesses("weakness_id", "area_level = $area_level and area_code = $area_code")
    return fetch(serving, sql, {"measure_id": measure_id, **area.model_dump()})


def weakness_by_measure(serving: Serving, weakness_id: str, area: Area) -> pl.DataFrame:
    """measure_id, name_th, name_en (of the measure, newest version) and the two counts of one weakness in an area."""
    return fetch(
        serving,
        f"""
        select found.measure_id, names.name_th, names.name_en, {_WEAKENED}
        from agg_measure_weaknesses as found
        inner join ({_NAMES}) as names on names.measure_id = found.measure_id
        where found.weakness_id = $weakness_id and found.area_level = $area_level and found.area_code = $area_code
        order by found.measure_id
        """,
        {"weakness_id": weakness_id, **area.model_dump()},
    )


def weakness_by_region(serving: Serving, measure_id: str, weakness_id: str) -> pl.DataFrame:
    """The same of one weakness, with area_code, a row for each known region."""
    where = "weakness_id = $weakness_id and area_level = 'region' and area_code <> '00'"
    sql = _weaknesses("weakness_id, area_code", where)
    return fetch(serving, sql, {"measure_id": measure_id, "weakness_id": weakness_id})


def submissions(serving: Serving, area: Area, facility_type: str | None = None) -> pl.DataFrame:
    """report_month, state and n_reports of an area, of one group of facility types or all."""
    return fetch(
        serving,
        """
        select report_month, state, cast(sum(n_reports) as bigint) as n_reports
        from agg_submissions
        where area_level = $area_level and area_code = $area_code
            and ($facility_type is null or facility_type_group = $facility_type)
        group by report_month, state
        order by report_month, state
        """,
        {**area.model_dump(), "facility_type": facility_type},
    )


def submissions_below(serving: Serving, area: Area, facility_type: str | None = None) -> pl.DataFrame:
    """The same for each area one level below the nation or a region: area_level, area_code, name_th, name_en too."""
    return fetch(
        serving,
        """
        select
            areas.area_level, areas.area_code, areas.name_th, areas.name_en,
            counts.report_month, counts.state, cast(sum(counts.n_reports) as bigint) as n_reports
        from dim_areas as areas
        inner join agg_submissions as counts
            on counts.area_level = areas.area_level and counts.area_code = areas.area_code
        where areas.parent_code = $area_code
            and areas.area_level = case $area_level when 'nation' then 'region' when 'region' then 'province' end
            and ($facility_type is null or counts.facility_type_group = $facility_type)
        group by all
        order by areas.area_code, counts.report_month, counts.state
        """,
        {**area.model_dump(), "facility_type": facility_type},
    )


def facility_reports(serving: Serving, area: Area, months: list[str], facility_type: str | None = None) -> pl.DataFrame:
    """All columns of agg_facility_reports of an area's facilities in the months named (YYYY-MM-01)."""
    return fetch(
        serving,
        """
        select *
        from agg_facility_reports
        where list_contains($months, strftime(report_month, '%Y-%m-%d'))
            and ($facility_type is null or facility_type_group = $facility_type)
            and case $area_level
                when 'region' then region_code = $area_code
                when 'province' then province_code = $area_code
                when 'district' then district_code = $area_code
                when 'facility' then hospcode = $area_code
                else true
            end
        order by hospcode, report_month
        """,
        {**area.model_dump(), "months": months, "facility_type": facility_type},
    )


def facilities(serving: Serving, area: Area) -> pl.DataFrame:
    """area_level, area_code, parent_code and names of the facilities of a province or district; of the nation all."""
    return fetch(
        serving,
        """
        select area_level, area_code, parent_code, name_th, name_en
        from dim_areas
        where area_level = 'facility'
            and ($area_level = 'nation' or starts_with(parent_code, $area_code))
        order by area_code
        """,
        area.model_dump(),
    )


def active_facilities(serving: Serving) -> set[str]:
    """Codes of the facilities of which anything was ever counted."""
    rows = fetch(serving, "select distinct area_code from agg_facility_activity where area_level = 'facility'")
    return set(rows["area_code"])


FEWEST_PEERS = 5
"""Facilities with a value; of fewer there are no quartiles."""


def _measured(profile: Sequence[Figure]) -> str:
    """A common table of what the measures of a profile are at facilities in a period: the largest table is read once,
    not once for each measure."""
    ids = ", ".join(f"'{figure.measure_id}'" for figure in profile if figure.table == "agg_measure_results")
    return f"""
        measured as materialized (
            select
                measure_id, period_type, period_start, area_level, area_code,
                numerator, numerator_status, denominator, denominator_status
            from agg_measure_results
            where variant = 'main' and dimension_set = 'all' and area_level = 'facility'
                and period_type = $period_type and period_start = $period_start
                and list_contains([{ids}]::varchar[], measure_id)
        )
    """


def _counts_of_profile(figure: Figure) -> str:
    """As `_counts`, from `measured` where it is there."""
    if figure.table != "agg_measure_results":
        return _counts(figure)
    return f"(select * exclude (measure_id) from measured where measure_id = '{figure.measure_id}')"


def facility_profile(serving: Serving, profile: Sequence[Figure], area: Area, period: Period) -> pl.DataFrame:
    """code and the two counts of a facility: one row for each figure, in their order."""
    rows = " union all ".join(
        f"select {place} as place, '{figure.code}' as code, {_COUNTS} from (select 1) as one "
        f"left join {_counts_of_profile(figure)} as counts on counts.area_level = 'facility' "
        "and counts.area_code = $area_code "
        "and counts.period_type = $period_type and counts.period_start = $period_start"
        for place, figure in enumerate(profile)
    )
    return fetch(
        serving,
        f"with {_measured(profile)} select * exclude (place) from ({rows}) as told order by place",
        {"area_code": area.area_code, "period_type": period.period_type, "period_start": period.period_start},
    )


def peers_of(serving: Serving, profile: Sequence[Figure], area: Area, period: Period) -> pl.DataFrame:
    """code, among (region, nation), n_peers, first_quartile, median_value, third_quartile: the peers of a facility.

    Peers are the facilities of its type, itself among them: those of its health region, and those of the nation. The
    quartiles are of what is published of each (a count below 10 taken as 5, what is withheld left out), so that they
    tell nothing that is not published; they are of facilities beyond the viewer's scope too, and of five at least. No
    row for a facility out of scope.
    """
    own = fetch(
        serving,
        """
        select peer_type, peer_region
        from agg_facility_activity
        where area_level = 'facility' and area_code = $area_code and peer_type is not null
        limit 1
        """,
        {"area_code": area.area_code},
    )
    if own.is_empty():
        return pl.DataFrame(schema=_PEERS)
    kind, region = own.row(0)
    values = " union all ".join(
        f"select '{figure.code}' as code, area_code, {_peer_value(figure)} as value "
        f"from {_counts_of_profile(figure)} as counts "
        "where area_level = 'facility' and period_type = $period_type and period_start = $period_start"
        for figure in profile
    )
    return fetch(
        replace(serving, scope=WHOLE),
        f"""
        with {_measured(profile)},
        facilities as (
            select area_code, any_value(peer_region) as peer_region
            from agg_facility_activity
            where area_level = 'facility' and peer_type = $kind
            group by area_code
        ),
        known as (
            select told.code, told.value, facilities.peer_region
            from ({values}) as told
            inner join facilities on facilities.area_code = told.area_code
            where told.value is not null
        ),
        grouped as (
            select code, 'region' as among, value from known where peer_region = $region
            union all
            select code, 'nation' as among, value from known
        )
        select
            code, among, count(*) as n_peers,
            quantile_cont(value, 0.25) as first_quartile,
            quantile_cont(value, 0.5) as median_value,
            quantile_cont(value, 0.75) as third_quartile
        from grouped
        group by code, among
        having count(*) >= {FEWEST_PEERS}
        order by code, among
        """,
        {"kind": kind, "region": region, "period_type": period.period_type, "period_start": period.period_start},
    )


_PEERS = {
    "code": pl.String, "among": pl.String, "n_peers": pl.Int64, "first_quartile": pl.Float64,
    "median_value": pl.Float64, "third_quartile": pl.Float64,
}  # fmt: skip


def _peer_value(figure: Figure) -> str:
    numerator = "case numerator_status when 'below_10' then 5 else numerator end"
    if figure.denominator is None:
        return f"cast({numerator} as double)"
    least = SMALLEST_BASE if figure.controlled else 1
    return f"case when denominator >= {least} then cast({numerator} as double) / denominator end"


def _of_area(serving: Serving, table: str, area: Area, order: str) -> pl.DataFrame:
    """All columns of what a mart has of one area."""
    return fetch(
        serving,
        f"select * from {table} where area_level = $area_level and area_code = $area_code order by {order}",
        area.model_dump(),
    )


def scorecard(serving: Serving, area: Area) -> pl.DataFrame:
    """All columns of agg_scorecards of one area, by axis and month."""
    return _of_area(serving, "agg_scorecards", area, "axis, report_month")


def rule_results(serving: Serving, area: Area) -> pl.DataFrame:
    """All columns of agg_rule_results of one area, costliest rule first, those that nothing breaks last."""
    return _of_area(serving, "agg_rule_results", area, "cost_rank nulls last, rule_code")


def finding_changes(serving: Serving, area: Area) -> pl.DataFrame:
    """All columns of agg_finding_changes of one area: all rules first, then the rule that changed most."""
    changed = " + ".join(
        f"case {name}_status when 'below_10' then 5 else {name} end" for name in ("n_opened", "n_came_back", "n_fixed")
    )
    return _of_area(serving, "agg_finding_changes", area, f"rule_code <> 'all', {changed} desc, rule_code")


def rule_below(serving: Serving, rule_code: str, area: Area) -> pl.DataFrame:
    """One rule in each area one level below: area_level, area_code, name_th, name_en and the counts with statuses.

    numerator and denominator are the rows of twelve months that break it and those that it was asked of.
    """
    return fetch(
        serving,
        """
        select
            areas.area_level, areas.area_code, areas.name_th, areas.name_en,
            results.n_broken as numerator, results.n_broken_status as numerator_status,
            results.n_checked as denominator, results.n_checked_status as denominator_status
        from dim_areas as areas
        inner join agg_rule_results as results
            on results.area_level = areas.area_level and results.area_code = areas.area_code
        where results.rule_code = $rule_code
            and areas.parent_code = $area_code
            and areas.area_level = case $area_level
                when 'nation' then 'region' when 'region' then 'province'
                when 'province' then 'district' when 'district' then 'facility'
            end
        order by areas.area_code
        """,
        {**area.model_dump(), "rule_code": rule_code},
    )
