{{ config(materialized='incremental', incremental_strategy='by_watched_person') }}

{%- set variants = {
    'main': {'linkage': 'main', 'days': measure_parameter('NEC-01', 'window_max_days') | int},
    '28_days': {'linkage': 'main', 'days': measure_parameter('NEC-01', 'window_max_days_28') | int},
    'same_facility': {'linkage': 'main', 'days': measure_parameter('NEC-01', 'window_max_days') | int},
    'wide': {'linkage': 'wide', 'days': measure_parameter('NEC-01', 'window_max_days') | int},
} -%}
{%- set first_day = measure_parameter('NEC-01', 'window_min_days') | int -%}

with all_episodes as (
    select * from {{ of_affected(ref('int_episodes__summarized'), 'watched') }}
),

-- Few codes, many episodes: each code is matched once.
code_classes as (
    select
        codes.first_principal_diagnosis,
        max(case when code_sets.set_id = 'readmission_planned' then 1 else 0 end) as is_planned,
        max(case when code_sets.set_id = 'readmission_index_excluded' then 1 else 0 end) as is_excluded
    from (select distinct first_principal_diagnosis from all_episodes) as codes
    inner join {{ ref('code_sets') }} as code_sets
        on
            code_sets.set_id in ('readmission_planned', 'readmission_index_excluded')
            and {{ matches_pattern('codes.first_principal_diagnosis', 'code_sets.pattern') }}
    group by codes.first_principal_diagnosis
),

episodes as (
    select
        all_episodes.*,
        coalesce(all_episodes.first_typein, '') = '2' or coalesce(code_classes.is_planned, 0) = 1 as is_planned,
        coalesce(all_episodes.last_discharge_type, '') in ('1', '5')
        and coalesce(all_episodes.last_discharge_status, '') not in ('8', '9')
        and coalesce(code_classes.is_excluded, 0) = 0 as is_index
    from all_episodes
    left join code_classes on all_episodes.first_principal_diagnosis = code_classes.first_principal_diagnosis
),

-- The next episode alone: an unplanned one after a planned one does not count.
followed as (
    select
        *,
        {{ days_between(
            date_of('ended_at'),
            date_of('lead(started_at) over (partition by linkage, person_key order by started_at, episode_key)')
        ) }} as days_to_next,
        lead(is_planned) over (partition by linkage, person_key order by started_at, episode_key) as is_next_planned,
        lead(first_hospcode) over (partition by linkage, person_key order by started_at, episode_key) as next_hospcode
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
        {%- if variant == 'same_facility' %} and followed.next_hospcode = followed.last_hospcode{% endif %},
        false
    ) as is_numerator,
    followed.person_tier in ('A', 'B') as is_linkable,
    cast(null as double) as value,
    followed.price
from followed
cross join data
where
    followed.linkage = '{{ rule.linkage }}'
    and followed.is_index
    -- The last discharges have not been watched for the whole window yet.
    and {{ days_between(date_of('followed.ended_at'), 'data.last_day') }} >= {{ rule.days }}
{% if not loop.last %}union all
{% endif %}
{%- endfor %}
