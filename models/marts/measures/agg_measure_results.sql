{%- set measures = ['msr_red_01', 'msr_red_02'] -%}

with events as (
    {%- for measure in measures %}
    select
        measure_id,
        service_month,
        treatment_province_code,
        count(case when is_numerator then 1 end) as numerator,
        count(*) as denominator,
        count(case when is_linkable then 1 end) as n_linkable
    from {{ ref(measure) }}
    where is_denominator
    group by measure_id, service_month, treatment_province_code
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

versions as (
    select
        measure_id,
        max(version) as version
    from {{ ref('dim_measures') }}
    group by measure_id
),

areas as (
    select * from {{ ref('bridge_provinces_areas') }}
),

periods as (
    select * from {{ ref('bridge_months_periods') }}
)

select
    periods.period_type,
    periods.period_start,
    periods.period_end,
    areas.area_level,
    areas.area_code,
    events.measure_id,
    versions.version as measure_version,
    cast(sum(events.numerator) as bigint) as numerator,
    cast(sum(events.denominator) as bigint) as denominator,
    cast(sum(events.n_linkable) as bigint) as n_linkable
from events
inner join versions on events.measure_id = versions.measure_id
inner join periods on events.service_month = periods.month_start
inner join areas on events.treatment_province_code = areas.province_code
group by
    periods.period_type,
    periods.period_start,
    periods.period_end,
    areas.area_level,
    areas.area_code,
    events.measure_id,
    versions.version
