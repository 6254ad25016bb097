{#-
    A count as it is published (ruam/disclosure.py), with 5 for the 1 to 9 that are not shown: what is worked out of it
    says no more than the published count does.
-#}
{% macro as_published(count) -%}
    (case when {{ count }} = 0 then 0 when {{ count }} < 10 then 5 else {{ to_nearest(count, 5) }} end)
{%- endmacro %}

{#- Which areas a facility counts in, of every level: hospcode, area_level, area_code, and the group of its peers. -#}
{% macro areas_of_facilities() -%}
    select
        facilities.hospcode,
        areas.area_level,
        areas.area_code,
        areas.area_level as peer_group
    from {{ ref('dim_facilities') }} as facilities
    inner join {{ ref('bridge_provinces_areas') }} as areas on facilities.province_code = areas.province_code
    where facilities.province_code <> '99' or areas.area_level = 'nation'
    union all
    select
        areas.hospcode,
        areas.area_level,
        areas.area_code,
        case when areas.area_level = 'facility' then facilities.facility_type_group else areas.area_level end as peer_group
    from {{ ref('bridge_facilities_areas') }} as areas
    inner join {{ ref('dim_facilities') }} as facilities on areas.hospcode = facilities.hospcode
    where facilities.hospcode <> '00000'
{%- endmacro %}

{#- The window over the two years before a month of the same area and axis. -#}
{% macro of_two_years_before() -%}
    over (partition by area_level, area_code, axis order by report_month rows between {{ history_months() }} preceding and 1 preceding)
{%- endmacro %}
