with months as (
    select
        month_start,
        max(month_start) over () as newest_month
    from {{ ref('bridge_months_periods') }}
    where period_type = 'last_12_months'
),

weights as (
    select * from {{ ref('dim_severities') }}
),

areas as (
    {{ areas_of_facilities() }}
),

-- A row that reading set aside counts nowhere, whatever is wrong with it: it weighs as much as the gravest.
results as (
    select
        rule_code,
        axis,
        severity,
        hospcode,
        event_month,
        n_checked,
        n_broken
    from {{ ref('fct_rule_results') }}
    union all
    select
        rule_code,
        {{ null_text() }} as axis,
        'high' as severity,
        hospcode,
        report_month as event_month,
        n_read as n_checked,
        n_set_aside as n_broken
    from {{ ref('fct_reading_results') }}
),

by_facility as (
    select
        results.rule_code,
        results.axis,
        results.severity,
        results.hospcode,
        max(months.newest_month) as newest_month,
        sum(results.n_checked) as n_checked,
        sum(results.n_broken) as n_broken,
        sum(case when results.event_month = months.newest_month then results.n_checked end) as n_checked_newest,
        sum(case when results.event_month = months.newest_month then results.n_broken end) as n_broken_newest,
        sum(
            case when results.event_month = {{ add_months('months.newest_month', -1) }} then results.n_checked end
        ) as n_checked_before,
        sum(
            case when results.event_month = {{ add_months('months.newest_month', -1) }} then results.n_broken end
        ) as n_broken_before
    from results
    inner join months on results.event_month = months.month_start
    group by results.rule_code, results.axis, results.severity, results.hospcode
),

by_area as (
    select
        by_facility.rule_code,
        by_facility.axis,
        by_facility.severity,
        areas.area_level,
        areas.area_code,
        max(by_facility.newest_month) as newest_month,
        sum(by_facility.n_checked) as n_checked,
        sum(by_facility.n_broken) as n_broken,
        sum(by_facility.n_checked_newest) as n_checked_newest,
        sum(by_facility.n_broken_newest) as n_broken_newest,
        sum(by_facility.n_checked_before) as n_checked_before,
        sum(by_facility.n_broken_before) as n_broken_before,
        count(*) as n_facilities,
        sum(case when by_facility.n_broken > 0 then 1 else 0 end) as n_facilities_broken
    from by_facility
    inner join areas on by_facility.hospcode = areas.hospcode
    group by
        by_facility.rule_code, by_facility.axis, by_facility.severity, areas.area_level, areas.area_code
),

costed as (
    select
        by_area.*,
        weights.weight * {{ as_published('by_area.n_broken') }} as cost
    from by_area
    inner join weights on by_area.severity = weights.severity
)

select
    rule_code,
    axis,
    severity,
    area_level,
    area_code,
    newest_month,
    cast(n_checked as bigint) as n_checked,
    cast(n_broken as bigint) as n_broken,
    cast(n_checked_newest as bigint) as n_checked_newest,
    cast(n_broken_newest as bigint) as n_broken_newest,
    cast(n_checked_before as bigint) as n_checked_before,
    cast(n_broken_before as bigint) as n_broken_before,
    cast(n_facilities as integer) as n_facilities,
    cast(n_facilities_broken as integer) as n_facilities_broken,
    cast(cost as bigint) as cost,
    cast(
        case
            when cost > 0
                then row_number() over (partition by area_level, area_code order by cost desc, rule_code)
        end as integer
    ) as cost_rank
from costed
