{%- set visit_counts = [
    'n_visits', 'n_home_known_visits', 'n_out_of_network_visits', 'n_cross_province_visits', 'n_cross_region_visits',
    'n_anywhere_visits', 'n_policy_eligible_visits'
] -%}
{%- set counts = visit_counts + ['n_admissions', 'n_bed_days'] -%}

with visits as (
    select
        service_month as activity_month,
        treatment_province_code as province_code,
        facility_type_group,
        affiliation_group,
        right_group,
        visit_class,
        person_number,
        count(*) as n_visits,
        count(case when is_home_known then 1 end) as n_home_known_visits,
        count(case when is_out_of_network then 1 end) as n_out_of_network_visits,
        count(case when is_cross_province then 1 end) as n_cross_province_visits,
        count(case when is_cross_region then 1 end) as n_cross_region_visits,
        count(case when is_anywhere_uc then 1 end) as n_anywhere_visits,
        count(case when is_policy_eligible then 1 end) as n_policy_eligible_visits
    from {{ ref('fct_visits') }}
    group by
        service_month,
        treatment_province_code,
        facility_type_group,
        affiliation_group,
        right_group,
        visit_class,
        person_number
),

admissions as (
    select
        discharge_month as activity_month,
        treatment_province_code as province_code,
        facility_type_group,
        affiliation_group,
        right_group,
        count(*) as n_admissions,
        sum(bed_days) as n_bed_days
    from {{ ref('fct_admissions') }}
    group by discharge_month, treatment_province_code, facility_type_group, affiliation_group, right_group
),

activity as (
    select
        activity_month,
        province_code,
        facility_type_group,
        affiliation_group,
        right_group,
        visit_class,
        {% for name in visit_counts -%}
        sum({{ name }}) as {{ name }},
        {% endfor -%}
        0 as n_admissions,
        0 as n_bed_days
    from visits
    group by activity_month, province_code, facility_type_group, affiliation_group, right_group, visit_class
    union all
    select
        activity_month,
        province_code,
        facility_type_group,
        affiliation_group,
        right_group,
        null as visit_class,
        {% for name in visit_counts -%}
        0 as {{ name }},
        {% endfor -%}
        n_admissions,
        n_bed_days
    from admissions
),

areas as (
    select * from {{ ref('bridge_provinces_areas') }}
),

periods as (
    select * from {{ ref('bridge_months_periods') }}
),

activity_by_value as (
    {{ by_dimension('activity', ['activity_month', 'province_code'] + counts) }}
),

-- Every cell that a month's activity of a province counts in, numbered: counting people by wide text keys is slow.
targets as (
    select
        activity.activity_month,
        activity.province_code,
        activity.dimension,
        activity.dimension_value,
        periods.period_type,
        periods.period_start,
        periods.period_end,
        areas.area_level,
        areas.area_code,
        dense_rank() over (
            order by
                periods.period_type,
                periods.period_start,
                areas.area_level,
                areas.area_code,
                activity.dimension,
                activity.dimension_value
        ) as cell_number
    from (
        select distinct
            activity_month,
            province_code,
            dimension,
            dimension_value
        from activity_by_value
    ) as activity
    inner join periods on activity.activity_month = periods.month_start
    inner join areas on activity.province_code = areas.province_code
),

cells as (
    select
        targets.cell_number,
        targets.period_type,
        targets.period_start,
        targets.period_end,
        targets.area_level,
        targets.area_code,
        targets.dimension,
        targets.dimension_value,
        {% for name in counts -%}
        sum(activity_by_value.{{ name }}) as {{ name }}{% if not loop.last %},
        {% endif %}
        {%- endfor %}
    from activity_by_value
    inner join targets
        on
            activity_by_value.activity_month = targets.activity_month
            and activity_by_value.province_code = targets.province_code
            and activity_by_value.dimension = targets.dimension
            and activity_by_value.dimension_value = targets.dimension_value
    group by
        targets.cell_number,
        targets.period_type,
        targets.period_start,
        targets.period_end,
        targets.area_level,
        targets.area_code,
        targets.dimension,
        targets.dimension_value
),

people_by_value as (
    {{ by_dimension('visits', ['activity_month', 'province_code', 'person_number']) }}
),

people as (
    select
        targets.cell_number,
        count(distinct people_by_value.person_number) as n_persons
    from people_by_value
    inner join targets
        on
            people_by_value.activity_month = targets.activity_month
            and people_by_value.province_code = targets.province_code
            and people_by_value.dimension = targets.dimension
            and people_by_value.dimension_value = targets.dimension_value
    group by targets.cell_number
),

residents as (
    select
        areas.area_level,
        areas.area_code,
        count(*) as n_registered_persons
    from {{ ref('dim_persons') }} as persons
    inner join areas on persons.registered_province_code = areas.province_code
    where persons.is_registered_resident
    group by areas.area_level, areas.area_code
)

select
    cells.period_type,
    cells.period_start,
    cells.period_end,
    cells.area_level,
    cells.area_code,
    cells.dimension,
    cells.dimension_value,
    cast(cells.n_visits as bigint) as n_visits,
    cast(coalesce(people.n_persons, 0) as bigint) as n_persons,
    {% for name in visit_counts[1:] -%}
    cast(cells.{{ name }} as bigint) as {{ name }},
    {% endfor -%}
    -- An admission has no visit class.
    cast(case when cells.dimension <> 'visit_class' then cells.n_admissions end as bigint) as n_admissions,
    cast(case when cells.dimension <> 'visit_class' then cells.n_bed_days end as bigint) as n_bed_days,
    cast(case when cells.dimension = 'all' then coalesce(residents.n_registered_persons, 0) end as bigint)
        as n_registered_persons
from cells
left join people on cells.cell_number = people.cell_number
left join residents on cells.area_level = residents.area_level and cells.area_code = residents.area_code
