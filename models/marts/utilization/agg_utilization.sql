{%- set sums = utilization_sums() -%}
{%- set by_hand = [
    'n_visits', 'n_priced_visits', 'visit_price', 'adjusted_weight', 'n_priced_admissions', 'admission_price'
] -%}
{%- set visit_counts = sums.visits | reject('in', by_hand) | list -%}
{%- set stay_counts = sums.stays | reject('in', by_hand) | list -%}
{%- set bed_counts = ['n_occupied_bed_days', 'n_available_bed_days'] -%}
{%- set place = ['activity_month', 'province_code'] -%}
{%- set cell = ['period_type', 'period_start', 'area_level', 'area_code'] -%}
{%- set of_stays = "cells.dimension in ('all', '" ~ utilization_dimensions_of('stays') | join("', '") ~ "')" -%}
{%- set people_dimensions = "('all', 'age_band')" -%}

with cells as (
    select * from {{ ref('fct_utilization_cells') }}
),

facilities as (
    select * from {{ ref('dim_facilities') }}
),

persons as (
    select * from {{ ref('dim_persons') }}
),

areas as (
    select * from {{ ref('bridge_provinces_areas') }}
),

periods as (
    select * from {{ ref('bridge_months_periods') }}
),

-- A month in which a hospital discharged nobody has no beds: it may not have reported.
wards as (
    select
        stays.discharge_month as activity_month,
        stays.treatment_province_code as province_code,
        stays.facility_type_group as facility_type,
        min(stays.affiliation_group) as affiliation,
        sum(stays.bed_days) as n_occupied_bed_days,
        max(facilities.n_beds)
        * max({{ days_between('stays.discharge_month', add_months('stays.discharge_month', 1)) }})
            as n_available_bed_days
    from {{ ref('fct_admissions') }} as stays
    inner join facilities on stays.hospcode = facilities.hospcode
    where facilities.n_beds > 0
    group by stays.discharge_month, stays.treatment_province_code, stays.facility_type_group, stays.hospcode
),

wards_by_value as (
    select
        {{ place | join(', ') }},
        {{ dimension_and_value(utilization_dimensions_of('wards')) }},
        sum(n_occupied_bed_days) as n_occupied_bed_days,
        sum(n_available_bed_days) as n_available_bed_days
    from wards
    {{ group_by_dimension(place, utilization_dimensions_of('wards')) }}
),

-- Where there are beds there are stays: each of these rows meets one of the cells.
beds as (
    select
        periods.period_type,
        periods.period_start,
        areas.area_level,
        areas.area_code,
        wards.dimension,
        wards.dimension_value,
        sum(wards.n_occupied_bed_days) as n_occupied_bed_days,
        sum(wards.n_available_bed_days) as n_available_bed_days
    from wards_by_value as wards
    inner join periods on wards.activity_month = periods.month_start
    inner join areas on wards.province_code = areas.province_code
    group by
        periods.period_type,
        periods.period_start,
        areas.area_level,
        areas.area_code,
        wards.dimension,
        wards.dimension_value
),

-- The population as of the build, by its age on the last day of the period.
residents as (
    select
        areas.area_level,
        areas.area_code,
        persons.birth_month,
        count(*) as n_residents
    from persons
    inner join areas on persons.registered_province_code = areas.province_code
    where persons.is_registered_resident
    group by areas.area_level, areas.area_code, persons.birth_month
),

residents_at_periods as (
    select
        ends.period_type,
        ends.period_start,
        residents.area_level,
        residents.area_code,
        {{ age_band(age_years('residents.birth_month', 'ends.period_end')) }} as age_band,
        sum(residents.n_residents) as n_residents
    from residents
    cross join (
        select distinct
            period_type,
            period_start,
            period_end
        from cells
    ) as ends
    group by
        ends.period_type,
        ends.period_start,
        residents.area_level,
        residents.area_code,
        {{ age_band(age_years('residents.birth_month', 'ends.period_end')) }}
),

population as (
    select
        {{ cell | join(', ') }},
        {{ dimension_and_value(['age_band']) }},
        sum(n_residents) as n_residents
    from residents_at_periods
    {{ group_by_dimension(cell, ['age_band']) }}
)

select
    cells.period_type,
    cells.period_start,
    cells.period_end,
    cells.area_level,
    cells.area_code,
    cells.dimension,
    cells.dimension_value,
    cells.n_visits,
    cells.n_persons,
    {% for name in visit_counts -%}
    cells.{{ name }},
    {% endfor -%}
    {% for name in stay_counts -%}
    case when {{ of_stays }} then cells.{{ name }} end as {{ name }},
    {% endfor -%}
    -- Where no bed is known there is no occupancy.
    {% for name in bed_counts -%}
    cast(case when beds.n_available_bed_days > 0 then beds.{{ name }} end as bigint) as {{ name }},
    {% endfor -%}
    -- No mean of fewer than ten.
    case
        when {{ of_stays }} and cells.n_weighted_admissions >= 10
            then {{ rounded(ratio('cells.adjusted_weight', 'cells.n_weighted_admissions'), 2) }}
    end as mean_adjusted_weight,
    case
        when cells.n_priced_visits >= 10 then round({{ ratio('cells.visit_price', 'cells.n_priced_visits') }}, 0)
    end as mean_visit_price,
    case
        when {{ of_stays }} and cells.n_priced_admissions >= 10
            then round({{ ratio('cells.admission_price', 'cells.n_priced_admissions') }}, 0)
    end as mean_admission_price,
    case
        when cells.dimension in {{ people_dimensions }} and cells.n_priced_visits >= 10 and population.n_residents >= 30
            then round({{ ratio('(cells.visit_price + cells.admission_price)', 'population.n_residents') }}, 0)
    end as mean_price_per_person,
    cast(case when cells.dimension in {{ people_dimensions }} then coalesce(population.n_residents, 0) end as bigint)
        as n_registered_persons
from cells
left join beds
    on {{ agreeing(cell + ['dimension', 'dimension_value'], 'cells', 'beds') }}
left join population
    on {{ agreeing(cell + ['dimension', 'dimension_value'], 'cells', 'population') }}
