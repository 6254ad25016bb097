{#- What is counted of utilization, by what it is counted of; each is a sum over persons. -#}
{% macro utilization_sums() -%}
    {{ return({
        'visits': [
            'n_visits', 'n_home_known_visits', 'n_out_of_network_visits', 'n_cross_province_visits',
            'n_cross_region_visits', 'n_anywhere_visits', 'n_policy_eligible_visits', 'n_policy_planned_visits',
            'n_outpatient_visits', 'n_treatment_visits', 'n_emergency_visits', 'n_telehealth_visits',
            'n_primary_visits', 'n_priced_visits', 'visit_price',
        ],
        'stays': [
            'n_admissions', 'n_episodes', 'n_bed_days', 'n_cross_province_referrals', 'n_weighted_admissions',
            'adjusted_weight', 'n_priced_admissions', 'admission_price',
        ],
    }) }}
{%- endmacro %}

{#- The rows of fct_utilization_cells, of some persons or of all (macros/incremental/contributions.sql). -#}
{% macro utilization_cells(read, persons=none) -%}
{%- set sums = utilization_sums() -%}
{%- set all_sums = sums.visits + sums.stays -%}
{%- set place = ['activity_month', 'province_code'] -%}
{%- set what = ['activity_month', 'dimension', 'dimension_value'] -%}
{%- set age_at_visit = age_band(age_years('persons.birth_month', 'visits.date_serv')) -%}
{%- set condition_of_visit = "coalesce(diseases.condition_group, 'unknown')" -%}
{%- set office_hours -%}
    case when is_in_hours then 'in_hours' when not is_in_hours then 'out_of_hours' else 'unknown' end
{%- endset -%}
{%- set bits = 62 -%}
-- When each province was to go live as it was announced; of those for which no source names a day, when it did.
with announced as (
    select
        province_code,
        coalesce(planned_date, actual_date) as live_date
    from {{ read('dim_provinces') }}
),

facilities as (
    select * from {{ read('dim_facilities') }}
),

diseases as (
    select * from {{ read('dim_diseases') }}
),

persons as (
    select * from {{ read('dim_persons') }}
),

-- Rows of one person, facility, day and class are one visit, which counts where its diagnosis stands; it is preventive
-- when all of them are.
services as (
    select
        visits.*,
        facilities.level,
        {{ age_at_visit }} as age_band,
        {{ condition_of_visit }} as condition_group,
        home_plans.live_date <= visits.date_serv and treatment_plans.live_date <= visits.date_serv
            as is_policy_planned,
        row_number() over (
            partition by visits.hospcode, visits.pid, visits.date_serv, visits.visit_class
            order by
                case when visits.principal_diagnosis is null then 1 else 0 end, visits.time_serv nulls last, visits.seq
        ) = 1 as is_one_visit,
        count(case when not coalesce(diseases.is_prevention, false) then 1 end) over (
            partition by visits.hospcode, visits.pid, visits.date_serv, visits.visit_class
        ) > 0 as is_treatment
    from {{ of_persons(read('fct_visits'), persons) }} as visits
    left join facilities on visits.hospcode = facilities.hospcode
    left join persons on visits.person_key = persons.person_key
    left join diseases on visits.principal_diagnosis = diseases.diagnosis_code
    left join announced as home_plans on visits.home_province_code = home_plans.province_code
    left join announced as treatment_plans on visits.treatment_province_code = treatment_plans.province_code
),

visits as (
    select
        service_month as activity_month,
        treatment_province_code as province_code,
        facility_type_group as facility_type,
        affiliation_group as affiliation,
        right_group,
        age_band,
        condition_group,
        visit_class,
        {{ office_hours }} as office_hours,
        count(*) as n_visits,
        count(case when is_home_known then 1 end) as n_home_known_visits,
        count(case when is_out_of_network then 1 end) as n_out_of_network_visits,
        count(case when is_cross_province then 1 end) as n_cross_province_visits,
        count(case when is_cross_region then 1 end) as n_cross_region_visits,
        count(case when is_anywhere_uc then 1 end) as n_anywhere_visits,
        count(case when is_policy_eligible then 1 end) as n_policy_eligible_visits,
        count(case when is_policy_planned then 1 end) as n_policy_planned_visits,
        count(case when visit_class = 'OP' and is_one_visit then 1 end) as n_outpatient_visits,
        count(case when visit_class = 'OP' and is_one_visit and is_treatment then 1 end) as n_treatment_visits,
        count(case when visit_class = 'ED' and is_one_visit then 1 end) as n_emergency_visits,
        count(case when visit_class = 'TELE' then 1 end) as n_telehealth_visits,
        count(case when visit_class = 'OP' and is_one_visit and level = 'primary' then 1 end) as n_primary_visits,
        count(price) as n_priced_visits,
        coalesce(sum(price), 0) as visit_price
    from services
    group by
        service_month,
        treatment_province_code,
        facility_type_group,
        affiliation_group,
        right_group,
        age_band,
        condition_group,
        visit_class,
        {{ office_hours }}
),

discharges as (
    select
        stays.*,
        {{ age_band(age_years('persons.birth_month', 'stays.discharged_at')) }} as age_band,
        coalesce(diseases.condition_group, 'unknown') as condition_group,
        stays.typein = '3'
        and referrers.province_code <> '99'
        and stays.treatment_province_code <> '99'
        and referrers.province_code <> stays.treatment_province_code as is_cross_province_referral,
        row_number() over (
            partition by coalesce(stays.episode_key, stays.admission_key)
            order by stays.discharged_at desc, stays.stay_number desc
        ) = 1 as ends_episode
    from {{ of_persons(read('fct_admissions'), persons) }} as stays
    left join persons on stays.person_key = persons.person_key
    left join diseases on stays.principal_diagnosis = diseases.diagnosis_code
    left join facilities as referrers on stays.refer_in_hospcode = referrers.hospcode
),

stays as (
    select
        discharge_month as activity_month,
        treatment_province_code as province_code,
        facility_type_group as facility_type,
        affiliation_group as affiliation,
        right_group,
        age_band,
        condition_group,
        count(*) as n_admissions,
        count(case when ends_episode then 1 end) as n_episodes,
        coalesce(sum(bed_days), 0) as n_bed_days,
        count(case when is_cross_province_referral then 1 end) as n_cross_province_referrals,
        count(adjusted_relative_weight) as n_weighted_admissions,
        coalesce(sum(adjusted_relative_weight), 0) as adjusted_weight,
        count(price) as n_priced_admissions,
        coalesce(sum(price), 0) as admission_price
    from discharges
    group by
        discharge_month,
        treatment_province_code,
        facility_type_group,
        affiliation_group,
        right_group,
        age_band,
        condition_group
),

activity as (
    {%- for source, columns in sums.items() %}
    select
        {{ place | join(', ') }},
        {{ dimension_and_value(utilization_dimensions_of(source)) }},
        {% for name in all_sums -%}
        {{ 'sum(' ~ name ~ ')' if name in columns else '0' }} as {{ name }}{% if not loop.last %},
        {% endif %}
        {%- endfor %}
    from {{ source }}
    {{ group_by_dimension(place, utilization_dimensions_of(source)) }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

areas as (
    select * from {{ read('bridge_provinces_areas') }}
),

periods as (
    select * from {{ read('bridge_months_periods') }}
),

-- What is counted when, numbered: counting people by wide text keys is slow.
whats as (
    select
        members.activity_month,
        members.dimension,
        members.dimension_value,
        periods.period_type,
        periods.period_start,
        periods.period_end,
        dense_rank() over (
            order by periods.period_type, periods.period_start, members.dimension, members.dimension_value
        ) as what_number
    from (
        select distinct
            activity_month,
            dimension,
            dimension_value
        from activity
    ) as members
    inner join periods on members.activity_month = periods.month_start
),

cells as (
    select
        whats.what_number,
        whats.period_type,
        whats.period_start,
        whats.period_end,
        whats.dimension,
        whats.dimension_value,
        areas.area_level,
        areas.area_code,
        {% for name in all_sums -%}
        sum(activity.{{ name }}) as {{ name }}{% if not loop.last %},
        {% endif %}
        {%- endfor %}
    from activity
    inner join whats
        on {{ agreeing(what, 'activity', 'whats') }}
    inner join areas on activity.province_code = areas.province_code
    group by
        whats.what_number,
        whats.period_type,
        whats.period_start,
        whats.period_end,
        whats.dimension,
        whats.dimension_value,
        areas.area_level,
        areas.area_code
),

-- A province is a bit of one of two numbers, a set of provinces their sum: where a person was treated is two numbers,
-- whatever the areas. They hold 124 provinces; there are 77, and the unknown one.
province_bits as (
    select
        province_code,
        {% for half, first in {'low': 1, 'high': bits + 1}.items() -%}
        case
            when province_number between {{ first }} and {{ first + bits - 1 }}
                then cast(power(2, province_number - {{ first }}) as bigint)
            else 0
        end as {{ half }}_bits{% if not loop.last %},
        {% endif %}
        {%- endfor %}
    from (
        select
            province_code,
            row_number() over (order by province_code) as province_number
        from (select distinct province_code from areas) as provinces
    ) as numbered
),

area_bits as (
    select
        areas.area_level,
        areas.area_code,
        bit_or(province_bits.low_bits) as low_bits,
        bit_or(province_bits.high_bits) as high_bits
    from areas
    inner join province_bits on areas.province_code = province_bits.province_code
    group by areas.area_level, areas.area_code
),

-- Read anew: the services above carry what their windows need, and would have to be held with it.
attended as (
    select
        visits.service_month as activity_month,
        province_bits.low_bits,
        province_bits.high_bits,
        visits.facility_type_group as facility_type,
        visits.affiliation_group as affiliation,
        visits.right_group,
        {{ age_at_visit }} as age_band,
        {{ condition_of_visit }} as condition_group,
        visits.visit_class,
        {{ office_hours }} as office_hours,
        visits.person_number
    from {{ of_persons(read('fct_visits'), persons) }} as visits
    inner join province_bits on visits.treatment_province_code = province_bits.province_code
    left join persons on visits.person_key = persons.person_key
    left join diseases on visits.principal_diagnosis = diseases.diagnosis_code
),

-- People by the provinces where they were treated. One dimension after the other: all of them at once would hold each
-- person many times over.
people_by_provinces as (
    {%- for dimension in ['all'] + utilization_dimensions_of('visits') %}
    select
        what_number,
        low_bits,
        high_bits,
        count(*) as n_persons
    from (
        select
            whats.what_number,
            attended.person_number,
            bit_or(attended.low_bits) as low_bits,
            bit_or(attended.high_bits) as high_bits
        from attended
        inner join whats
            on
                attended.activity_month = whats.activity_month
                and whats.dimension = '{{ dimension }}'
                {%- if dimension != 'all' %}
                and attended.{{ dimension }} = whats.dimension_value
                {%- endif %}
        group by whats.what_number, attended.person_number
    ) as people_of_{{ dimension }}
    group by what_number, low_bits, high_bits
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

people as (
    select
        people_by_provinces.what_number,
        area_bits.area_level,
        area_bits.area_code,
        sum(people_by_provinces.n_persons) as n_persons
    from people_by_provinces
    inner join area_bits
        on
            people_by_provinces.low_bits & area_bits.low_bits <> 0
            or people_by_provinces.high_bits & area_bits.high_bits <> 0
    group by people_by_provinces.what_number, area_bits.area_level, area_bits.area_code
)

select
    cells.period_type,
    cells.period_start,
    cells.period_end,
    cells.area_level,
    cells.area_code,
    cells.dimension,
    cells.dimension_value,
    cast(coalesce(people.n_persons, 0) as bigint) as n_persons,
    {%- for name in all_sums %}
    cast(cells.{{ name }} as {{ 'decimal(28, 4)' if name in ['visit_price', 'admission_price', 'adjusted_weight'] else 'bigint' }}) as {{ name }}{% if not loop.last %},{% endif %}
    {%- endfor %}
from cells
left join people
    on {{ agreeing(['what_number', 'area_level', 'area_code'], 'cells', 'people') }}
{%- endmacro %}
