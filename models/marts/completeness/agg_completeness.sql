with expected as (
    select
        hospcode,
        province_code
    from {{ ref('dim_facilities') }}
    where is_expected_to_send
),

-- A report is one month of one facility.
received as (
    select distinct
        hospcode,
        service_month
    from {{ ref('fct_visits') }}
),

months as (
    select distinct month_start
    from {{ ref('dim_dates') }}
    where
        month_start >= (select min(service_month) from received)
        and month_start <= (select max(service_month) from received)
),

touched_periods as (
    select distinct
        bridge.period_type,
        bridge.period_start
    from {{ ref('bridge_months_periods') }} as bridge
    inner join months on bridge.month_start = months.month_start
),

-- All months of a period up to the newest with data: those before the first delivery were expected too.
periods as (
    select bridge.*
    from {{ ref('bridge_months_periods') }} as bridge
    inner join touched_periods
        on bridge.period_type = touched_periods.period_type and bridge.period_start = touched_periods.period_start
    where bridge.month_start <= (select max(month_start) from months)
),

lengths as (
    select
        period_type,
        period_start,
        period_end,
        count(*) as n_months
    from periods
    group by period_type, period_start, period_end
),

-- A province without facility owes nothing, and is an area all the same.
areas as (
    select
        provinces.area_level,
        provinces.area_code,
        expected.hospcode
    from {{ ref('bridge_provinces_areas') }} as provinces
    left join expected on provinces.province_code = expected.province_code
    union all
    select
        facilities.area_level,
        facilities.area_code,
        facilities.hospcode
    from {{ ref('bridge_facilities_areas') }} as facilities
    inner join expected on facilities.hospcode = expected.hospcode
),

expected_by_area as (
    select
        area_level,
        area_code,
        count(hospcode) as n_facilities
    from areas
    group by area_level, area_code
),

received_by_area as (
    select
        periods.period_type,
        periods.period_start,
        areas.area_level,
        areas.area_code,
        count(*) as n_reports_received
    from received
    inner join periods on received.service_month = periods.month_start
    inner join areas on received.hospcode = areas.hospcode
    group by periods.period_type, periods.period_start, areas.area_level, areas.area_code
),

cells as (
    select
        lengths.period_type,
        lengths.period_start,
        lengths.period_end,
        expected_by_area.area_level,
        expected_by_area.area_code,
        expected_by_area.n_facilities * lengths.n_months as n_reports_expected
    from lengths
    cross join expected_by_area
)

select
    cells.period_type,
    cells.period_start,
    cells.period_end,
    cells.area_level,
    cells.area_code,
    cast(cells.n_reports_expected as integer) as n_reports_expected,
    cast(coalesce(received_by_area.n_reports_received, 0) as integer) as n_reports_received
from cells
left join received_by_area
    on
        cells.period_type = received_by_area.period_type
        and cells.period_start = received_by_area.period_start
        and cells.area_level = received_by_area.area_level
        and cells.area_code = received_by_area.area_code
