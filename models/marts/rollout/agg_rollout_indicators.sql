-- Numbers of facilities are worked out here and need no control; shares of visits are those of agg_utilization.
with private_units as (
    select distinct
        service_month,
        treatment_province_code,
        hospcode
    from {{ ref('fct_visits') }}
    where affiliation_group = 'private'
),

last_service as (
    select max(date_serv) as last_day
    from {{ ref('fct_visits') }}
),

computed as (
    select
        periods.period_start,
        periods.period_end,
        areas.area_level,
        areas.area_code,
        count(distinct private_units.hospcode) as n_units
    from private_units
    inner join {{ ref('bridge_months_periods') }} as periods on private_units.service_month = periods.month_start
    inner join {{ ref('bridge_provinces_areas') }} as areas
        on private_units.treatment_province_code = areas.province_code
    where periods.period_type = 'last_12_months'
    group by periods.period_start, periods.period_end, areas.area_level, areas.area_code
)

select
    indicator_id,
    series,
    unit,
    period_start,
    period_end,
    area_level,
    area_code,
    value,
    'given' as origin,
    source,
    known_on,
    given_by
from {{ ref('fct_indicator_values') }}
union all
select
    'RO-12' as indicator_id,
    'private_units' as series,
    'facilities' as unit,
    computed.period_start,
    computed.period_end,
    computed.area_level,
    computed.area_code,
    cast(computed.n_units as double) as value,
    'computed' as origin,
    'SERVICE' as source,
    last_service.last_day as known_on,
    null as given_by
from computed
cross join last_service
