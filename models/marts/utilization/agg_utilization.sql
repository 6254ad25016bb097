{%- set visit_counts = [
    'n_visits', 'n_home_known_visits', 'n_out_of_network_visits', 'n_cross_province_visits', 'n_cross_region_visits',
    'n_anywhere_visits', 'n_policy_eligible_visits', 'n_policy_planned_visits', 'n_outpatient_visits',
    'n_treatment_visits', 'n_emergency_visits', 'n_telehealth_visits', 'n_primary_visits'
] -%}
{%- set visit_sums = visit_counts + ['n_priced_visits', 'visit_price'] -%}
{%- set stay_counts = [
    'n_admissions', 'n_episodes', 'n_bed_days', 'n_cross_province_referrals', 'n_weighted_admissions'
] -%}
{%- set stay_sums = stay_counts + ['adjusted_weight', 'n_priced_admissions', 'admission_price'] -%}
{%- set bed_counts = ['n_occupied_bed_days', 'n_available_bed_days'] -%}
{%- set sums = visit_sums + stay_sums + bed_counts -%}

-- When each province was to go live as it was announced; of those for which no source names a day, when it did.
with announced as (
    select
        province_code,
        coalesce(planned_date, actual_date) as live_date
    from {{ ref('dim_provinces') }}
),

facilities as (
    select * from {{ ref('dim_facilities') }}
),

preventive as (
    select diagnosis_code from {{ ref('dim_diseases') }}
    where is_prevention
),

-- Rows of one person, facility, day and class are one visit; it is preventive when all of them are.
services as (
    select
        visits.service_month as activity_month,
        visits.treatment_province_code as province_code,
        visits.facility_type_group,
        visits.affiliation_group,
        visits.right_group,
        visits.visit_class,
        visits.person_number,
        visits.is_home_known,
        visits.is_out_of_network,
        visits.is_cross_province,
        visits.is_cross_region,
        visits.is_anywhere_uc,
        visits.is_policy_eligible,
        home_plans.live_date <= visits.date_serv and treatment_plans.live_date <= visits.date_serv
            as is_policy_planned,
        visits.price,
        facilities.level,
        row_number() over (
            partition by visits.hospcode, visits.pid, visits.date_serv, visits.visit_class
            order by visits.time_serv nulls last, visits.seq
        ) = 1 as is_first_row,
        count(case when preventive.diagnosis_code is null then 1 end) over (
            partition by visits.hospcode, visits.pid, visits.date_serv, visits.visit_class
        ) > 0 as is_treatment
    from {{ ref('fct_visits') }} as visits
    left join facilities on visits.hospcode = facilities.hospcode
    left join preventive on visits.principal_diagnosis = preventive.diagnosis_code
    left join announced as home_plans on visits.home_province_code = home_plans.province_code
    left join announced as treatment_plans on visits.treatment_province_code = treatment_plans.province_code
),

visits as (
    select
        activity_month,
        province_code,
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
        count(case when is_policy_eligible then 1 end) as n_policy_eligible_visits,
        count(case when is_policy_planned then 1 end) as n_policy_planned_visits,
        count(case when visit_class = 'OP' and is_first_row then 1 end) as n_outpatient_visits,
        count(case when visit_class = 'OP' and is_first_row and is_treatment then 1 end) as n_treatment_visits,
        count(case when visit_class = 'ED' and is_first_row then 1 end) as n_emergency_visits,
        count(case when visit_class = 'TELE' then 1 end) as n_telehealth_visits,
        count(case when visit_class = 'OP' and is_first_row and level = 'primary' then 1 end) as n_primary_visits,
        count(price) as n_priced_visits,
        coalesce(sum(price), 0) as visit_price
    from services
    group by
        activity_month,
        province_code,
        facility_type_group,
        affiliation_group,
        right_group,
        visit_class,
        person_number
),

stays as (
    select
        stays.*,
        stays.typein = '3'
        and referrers.province_code <> '99'
        and stays.treatment_province_code <> '99'
        and referrers.province_code <> stays.treatment_province_code as is_cross_province_referral,
        row_number() over (
            partition by coalesce(stays.episode_key, stays.admission_key)
            order by stays.discharged_at desc, stays.stay_number desc
        ) = 1 as ends_episode
    from {{ ref('fct_admissions') }} as stays
    left join facilities as referrers on stays.refer_in_hospcode = referrers.hospcode
),

admissions as (
    select
        discharge_month as activity_month,
        treatment_province_code as province_code,
        facility_type_group,
        affiliation_group,
        right_group,
        count(*) as n_admissions,
        count(case when ends_episode then 1 end) as n_episodes,
        sum(bed_days) as n_bed_days,
        count(case when is_cross_province_referral then 1 end) as n_cross_province_referrals,
        count(adjusted_relative_weight) as n_weighted_admissions,
        coalesce(sum(adjusted_relative_weight), 0) as adjusted_weight,
        count(price) as n_priced_admissions,
        coalesce(sum(price), 0) as admission_price
    from stays
    group by discharge_month, treatment_province_code, facility_type_group, affiliation_group, right_group
),

-- A month in which a hospital discharged nobody has no beds: it may not have reported.
wards as (
    select
        stays.discharge_month as activity_month,
        stays.treatment_province_code as province_code,
        stays.facility_type_group,
        min(stays.affiliation_group) as affiliation_group,
        sum(stays.bed_days) as n_occupied_bed_days,
        max(facilities.n_beds)
        * max({{ days_between('stays.discharge_month', add_months('stays.discharge_month', 1)) }})
            as n_available_bed_days
    from stays
    inner join facilities on stays.hospcode = facilities.hospcode
    where facilities.n_beds > 0
    group by stays.discharge_month, stays.treatment_province_code, stays.facility_type_group, stays.hospcode
),

activity as (
    {%- for source, columns in {'visits': visit_sums, 'admissions': stay_sums, 'wards': bed_counts}.items() %}
    select
        activity_month,
        province_code,
        facility_type_group,
        affiliation_group,
        {{ 'right_group' if source != 'wards' else 'null as right_group' }},
        {{ 'visit_class' if source == 'visits' else 'null as visit_class' }},
        {% for name in sums -%}
        {{ 'sum(' ~ name ~ ')' if name in columns else '0' }} as {{ name }}{% if not loop.last %},
        {% endif %}
        {%- endfor %}
    from {{ source }}
    group by
        activity_month,
        province_code,
        facility_type_group,
        affiliation_group{% if source != 'wards' %},
        right_group{% endif %}{% if source == 'visits' %},
        visit_class{% endif %}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

areas as (
    select * from {{ ref('bridge_provinces_areas') }}
),

periods as (
    select * from {{ ref('bridge_months_periods') }}
),

activity_by_value as (
    {{ by_dimension('activity', ['activity_month', 'province_code'] + sums) }}
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
        {% for name in sums -%}
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
    -- An admission has no visit class, a bed has no right either; where no bed is known there is no occupancy.
    {% for name in stay_counts -%}
    cast(case when cells.dimension <> 'visit_class' then cells.{{ name }} end as bigint) as {{ name }},
    {% endfor -%}
    {% for name in bed_counts -%}
    cast(
        case
            when cells.dimension in ('all', 'facility_type', 'affiliation') and cells.n_available_bed_days > 0
                then cells.{{ name }}
        end as bigint
    ) as {{ name }},
    {% endfor -%}
    -- No mean of fewer than ten.
    case
        when cells.dimension <> 'visit_class' and cells.n_weighted_admissions >= 10
            then {{ rounded(ratio('cells.adjusted_weight', 'cells.n_weighted_admissions'), 2) }}
    end as mean_adjusted_weight,
    case
        when cells.n_priced_visits >= 10 then round({{ ratio('cells.visit_price', 'cells.n_priced_visits') }}, 0)
    end as mean_visit_price,
    case
        when cells.dimension <> 'visit_class' and cells.n_priced_admissions >= 10
            then round({{ ratio('cells.admission_price', 'cells.n_priced_admissions') }}, 0)
    end as mean_admission_price,
    case
        when cells.dimension = 'all' and cells.n_priced_visits >= 10 and residents.n_registered_persons >= 30
            then
                round(
                    {{ ratio('(cells.visit_price + cells.admission_price)', 'residents.n_registered_persons') }}, 0
                )
    end as mean_price_per_person,
    cast(case when cells.dimension = 'all' then coalesce(residents.n_registered_persons, 0) end as bigint)
        as n_registered_persons
from cells
left join people on cells.cell_number = people.cell_number
left join residents on cells.area_level = residents.area_level and cells.area_code = residents.area_code
