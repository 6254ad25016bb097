with reports as (
    select
        reports.hospcode,
        reports.report_month,
        reports.as_of_date,
        reports.state,
        facilities.facility_type_group,
        facilities.province_code
    from {{ ref('fct_reports') }} as reports
    inner join {{ ref('dim_facilities') }} as facilities on reports.hospcode = facilities.hospcode
),

by_area as (
    select
        areas.area_level,
        areas.area_code,
        reports.*
    from reports
    inner join {{ ref('bridge_provinces_areas') }} as areas on reports.province_code = areas.province_code
    union all
    select
        areas.area_level,
        areas.area_code,
        reports.*
    from reports
    inner join {{ ref('bridge_facilities_areas') }} as areas on reports.hospcode = areas.hospcode
    where areas.area_level = 'district'
)

select
    area_level,
    area_code,
    report_month,
    as_of_date,
    facility_type_group,
    state,
    cast(count(*) as integer) as n_reports
from by_area
group by area_level, area_code, report_month, as_of_date, facility_type_group, state
