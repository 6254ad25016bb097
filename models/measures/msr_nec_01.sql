{{ config(materialized='incremental', incremental_strategy='by_watched_person') }}

{%- set month = measure_parameter('NEC-01', 'window_max_days') | int -%}
{%- set four_weeks = measure_parameter('NEC-01', 'window_max_days_28') | int -%}
{%- set variants = {
    'main': {'days': month},
    '28_days': {'days': four_weeks},
    'same_condition': {'days': four_weeks, 'where': 'followed.next_condition = followed.condition'},
    'same_facility': {'days': month, 'where': 'followed.next_hospcode = followed.last_hospcode'},
    'elective': {'days': month, 'where': 'not followed.is_next_elective'},
    'everybody': {'days': month, 'linkage': 'main'},
    'wide': {'days': month, 'linkage': 'wide'},
} -%}
{%- set first_day = measure_parameter('NEC-01', 'window_min_days') | int -%}

with all_episodes as (
    select * from {{ of_affected(ref('int_episodes__summarized'), 'watched') }}
),

-- Few codes, many episodes: each code is matched once.
code_classes as (
    select
        codes.first_principal_diagnosis,
        max(case when code_sets.set_id = 'readmission_index_excluded' then 1 else 0 end) as is_excluded,
        max(case when code_sets.set_id = 'readmission_acute' then 1 else 0 end) as is_acute
    from (select distinct first_principal_diagnosis from all_episodes) as codes
    inner join {{ ref('code_sets') }} as code_sets
        on
            code_sets.set_id in ('readmission_index_excluded', 'readmission_acute')
            and {{ matches_pattern('codes.first_principal_diagnosis', 'code_sets.pattern') }}
    group by codes.first_principal_diagnosis
),

procedures as (
    select
        admission_key,
        procedure_code
    from {{ of_affected(ref('fct_procedures'), 'watched') }}
    where setting = 'ipd'
),

elective_codes as (
    {{ codes_of_set('procedures', 'procedure_code', 'readmission_elective') }}
),

-- An episode has the key of its first stay.
operated as (
    select distinct procedures.admission_key
    from procedures
    inner join elective_codes on procedures.procedure_code = elective_codes.procedure_code
),

episodes as (
    select
        all_episodes.*,
        substr(all_episodes.first_principal_diagnosis, 1, 3) as condition,
        operated.admission_key is not null and coalesce(code_classes.is_acute, 0) = 0 as is_elective,
        coalesce(all_episodes.last_discharge_type, '') in ('1', '5')
        and coalesce(all_episodes.last_discharge_status, '') not in ('8', '9')
        and coalesce(code_classes.is_excluded, 0) = 0 as is_index
    from all_episodes
    left join code_classes on all_episodes.first_principal_diagnosis = code_classes.first_principal_diagnosis
    left join operated on all_episodes.episode_key = operated.admission_key
),

-- The next episode alone: an unplanned one after a planned one does not count. Planned is one whose every stay is.
followed as (
    select
        *,
        {{ days_between(date_of('ended_at'), date_of(next_of_episode('started_at'))) }} as days_to_next,
        {{ next_of_episode('is_planned') }} as is_next_planned,
        {{ next_of_episode('is_elective') }} as is_next_elective,
        {{ next_of_episode('condition') }} as next_condition,
        {{ next_of_episode('first_hospcode') }} as next_hospcode
    from episodes
),

data as (
    select max({{ date_of('ended_at') }}) as last_day
    from {{ ref('int_episodes__summarized') }}
)

{% for variant, rule in variants.items() -%}
select
    'NEC-01' as measure_id,
    '{{ variant }}' as variant,
    followed.episode_key as event_key,
    {{ date_of('followed.ended_at') }} as event_date,
    {{ month_start('followed.ended_at') }} as service_month,
    followed.last_hospcode as hospcode,
    followed.last_province_code as province_code,
    followed.person_key,
    coalesce(
        followed.days_to_next between {{ first_day }} and {{ rule.days }}
        and not followed.is_next_planned
        {%- if rule.where %}
        and {{ rule.where }}
        {%- endif %},
        false
    ) as is_numerator,
    followed.person_tier in ('A', 'B') as is_linkable,
    cast(null as double) as value,
    followed.price
from followed
cross join data
where
    followed.linkage = '{{ rule.linkage or 'number' }}'
    and followed.is_index
    -- The last discharges have not been watched for the whole window yet.
    and {{ days_between(date_of('followed.ended_at'), 'data.last_day') }} >= {{ rule.days }}
{% if not loop.last %}union all
{% endif %}
{%- endfor %}
