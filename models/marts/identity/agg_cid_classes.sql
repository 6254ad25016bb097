{%- set dimensions = {
    'all': "'all'",
    'facility_type': 'facility_type_group',
    'nationality': 'nationality_group',
} -%}

with registrations as (
    select
        registrations.cid_class,
        registrations.nationality_group,
        coalesce(facilities.facility_type_group, 'unknown') as facility_type_group,
        coalesce(facilities.province_code, '99') as province_code
    from {{ ref('bridge_person_registrations') }} as registrations
    left join {{ ref('dim_facilities') }} as facilities on registrations.hospcode = facilities.hospcode
    where registrations.is_registered
),

counted as (
    select
        cid_class,
        nationality_group,
        facility_type_group,
        province_code,
        count(*) as n_registrations
    from registrations
    group by cid_class, nationality_group, facility_type_group, province_code
),

by_value as (
    {%- for dimension, value in dimensions.items() %}
    select
        '{{ dimension }}' as dimension,
        {{ value }} as dimension_value,
        cid_class,
        province_code,
        n_registrations
    from counted
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

areas as (
    select * from {{ ref('bridge_provinces_areas') }}
)

select
    areas.area_level,
    areas.area_code,
    by_value.dimension,
    by_value.dimension_value,
    by_value.cid_class,
    cast(sum(by_value.n_registrations) as bigint) as n_registrations
from by_value
inner join areas on by_value.province_code = areas.province_code
group by
    areas.area_level,
    areas.area_code,
    by_value.dimension,
    by_value.dimension_value,
    by_value.cid_class
