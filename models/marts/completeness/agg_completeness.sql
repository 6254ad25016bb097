with expected as (
    select
        hospcode,
        province_code
    from {{ ref('dim_facilities') }}
    where is_expected_to_send
),

reported as (
    select distinct
        hospcode,
        service_month
    from {{ ref('fct_visits') }}
),

months as (
    select distinct month_start
    from {{ ref('dim_dates') }}
    where
        month_start >= (select min(service_month) from reported)
        and month_start <= (select max(service_month) from reported)
),

periods as (
    select bridge.*
    from {{ ref('bridge_months_periods') }} as bridge
    inner join months on bridge.month_start = months.month_start
),

areas as (
    select * from {{ ref('bridge_provinces_areas') }}
),

expected_by_area as (
    select
        areas.area_level,
        areas.area_code,
        count(expected.hospcode) as n_facilities_expected
    from areas
    left join expected on areas.province_code = expected.province_code
    group by areas.area_level, areas.area_code
),

reported_by_area as (
    select
        periods.period_type,
        periods.period_start,
        areas.area_level,
        areas.area_code,
        count(distinct reported.hospcode) as n_facilities_reported
    from reported
    inner join expected on reported.hospcode = expected.hospcode
    inner join periods on reported.service_month = periods.month_start
    inner join areas on expected.province_code = areas.province_code
    group by periods.period_type, periods.period_start, areas.area_level, areas.area_code
),

cells as (
    select distinct
        periods.period_type,
        periods.period_start,
        periods.period_end,
        expected_by_area.area_level,
        expected_by_area.area_code,
        expected_by_area.n_facilities_expected
    from periods
    cross join expected_by_area
)

select
    cells.period_type,
    cells.period_start,
    cells.period_end,
    cells.area_level,
    cells.area_code,
    cast(cells.n_facilities_expected as integer) as n_facilities_expected,
    cast(coalesce(reported_by_area.n_facilities_reported, 0) as integer) as n_facilities_reported
from cells
left join reported_by_area
    on
        cells.period_type = reported_by_area.period_type
        and cells.period_start = reported_by_area.period_start
        and cells.area_level = reported_by_area.area_level
        and cells.area_code = reported_by_area.area_code
