with reports as (
    select
        reports.hospcode,
        reports.report_month,
        facilities.province_code,
        case when reports.is_received then 1 else 0 end as n_received
    from {{ ref('fct_reports') }} as reports
    inner join {{ ref('dim_facilities') }} as facilities on reports.hospcode = facilities.hospcode
    where reports.is_expected
),

data as (
    select
        min(service_month) as first_month,
        max(service_month) as last_month
    from {{ ref('fct_visits') }}
),

touched_periods as (
    select distinct
        bridge.period_type,
        bridge.period_start,
        bridge.period_end
    from {{ ref('bridge_months_periods') }} as bridge
    inner join data on bridge.month_start between data.first_month and data.last_month
),

-- All months of a period up to the newest with data: those before the first delivery were expected too.
periods as (
    select bridge.*
    from {{ ref('bridge_months_periods') }} as bridge
    inner join touched_periods
        on bridge.period_type = touched_periods.period_type and bridge.period_start = touched_periods.period_start
    inner join data on bridge.month_start <= data.last_month
),

by_province as (
    select
        province_code,
        report_month,
        count(*) as n_expected,
        sum(n_received) as n_received
    from reports
    group by province_code, report_month
),

by_area as (
    select
        areas.area_level,
        areas.area_code,
        by_province.report_month,
        by_province.n_expected,
        by_province.n_received
    from by_province
    inner join {{ ref('bridge_provinces_areas') }} as areas on by_province.province_code = areas.province_code
    union all
    select
        areas.area_level,
        areas.area_code,
        reports.report_month,
        1 as n_expected,
        reports.n_received
    from reports
    inner join {{ ref('bridge_facilities_areas') }} as areas on reports.hospcode = areas.hospcode
),

counted as (
    select
        periods.period_type,
        periods.period_start,
        periods.period_end,
        by_area.area_level,
        by_area.area_code,
        sum(by_area.n_expected) as n_expected,
        sum(by_area.n_received) as n_received
    from by_area
    inner join periods on by_area.report_month = periods.month_start
    group by periods.period_type, periods.period_start, periods.period_end, by_area.area_level, by_area.area_code
),

-- A province without facility owes nothing, and is an area all the same.
cells as (
    select
        touched_periods.period_type,
        touched_periods.period_start,
        touched_periods.period_end,
        areas.area_level,
        areas.area_code
    from touched_periods
    cross join (select distinct area_level, area_code from {{ ref('bridge_provinces_areas') }}) as areas
    union
    select
        period_type,
        period_start,
        period_end,
        area_level,
        area_code
    from counted
)

select
    cells.period_type,
    cells.period_start,
    cells.period_end,
    cells.area_level,
    cells.area_code,
    cast(coalesce(counted.n_expected, 0) as integer) as n_reports_expected,
    cast(coalesce(counted.n_received, 0) as integer) as n_reports_received
from cells
left join counted
    on
        cells.period_type = counted.period_type
        and cells.period_start = counted.period_start
        and cells.area_level = counted.area_level
        and cells.area_code = counted.area_code
