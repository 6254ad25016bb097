{{ config(materialized='incremental', incremental_strategy='by_watched_person') }}
{{ whole_when_moves('first_day') }}

{#-
  The measures that fire on visits (`msr_<id>`), the label that each gives, and where the visits of its events stand
  when an event is no visit itself: a CTE of `event_key` and `visit_key`.
-#}
{%- set measures = {
    'red_01': {'label': 'redundant'},
    'red_02': {'label': 'redundant'},
    'red_03': {'label': 'redundant', 'visits_of_events': 'illness_visits'},
    'red_04': {'label': 'redundant', 'visits_of_events': 'procedure_visits'},
    'red_05': {'label': 'redundant', 'visits_of_events': 'laboratory_visits'},
    'red_06': {'label': 'redundant', 'visits_of_events': 'dispensing_visits'},
    'unr_01': {'label': 'unreasonable'},
    'unr_02': {'label': 'unreasonable'},
    'unr_03': {'label': 'unreasonable'},
    'unr_05': {'label': 'unreasonable'},
    'unr_08': {'label': 'unreasonable'},
    'unr_09': {'label': 'unreasonable'},
    'unr_10': {'label': 'unreasonable'},
    'unr_11': {'label': 'unreasonable'},
    'nec_01': {'label': 'potentially_avoidable', 'visits_of_events': 'readmission_visits'},
    'nec_02': {'label': 'potentially_avoidable', 'visits_of_events': 'admission_visits'},
    'nec_03': {'label': 'potentially_avoidable'},
    'nec_04': {'label': 'potentially_avoidable'},
} -%}
{%- set labels = ['redundant', 'unreasonable', 'potentially_avoidable'] -%}

with merged_visits as (
    select * from {{ of_affected(ref('int_visits__qualified'), 'watched') }}
),

visits as (
    select
        visits.*,
        merged_visits.visit_key as merged_visit_key
    from {{ of_affected(ref('fct_visits'), 'watched') }} as visits
    inner join merged_visits
        on
            {% for column in merged_visit().split(', ') -%}
            visits.{{ column }} = merged_visits.{{ column }}{% if not loop.last %}
            and {% endif %}
            {%- endfor %}
),

-- The flag sits on what came later: not on the first visit of the illness.
illness_visits as (
    select
        illness_key as event_key,
        visit_key
    from {{ of_affected(ref('int_visits__chained'), 'watched') }}
    where not is_first_visit
),

-- The visit that led to an admission lends it its SEQ.
admission_visits as (
    select
        admissions.admission_key as event_key,
        visits.visit_key
    from {{ of_affected(ref('fct_admissions'), 'watched') }} as admissions
    inner join visits
        on
            admissions.hospcode = visits.hospcode
            and admissions.pid = visits.pid
            and admissions.seq = visits.seq
    where visits.typeout = '2'
),

-- Of the two episodes the later one bears the flag: the visit that led to the return. An episode has the key of its
-- first stay.
readmission_visits as (
    select
        followed.episode_key as event_key,
        admission_visits.visit_key
    from (
        select
            episode_key,
            {{ next_of_episode('episode_key') }} as next_episode_key
        from {{ of_affected(ref('int_episodes__summarized'), 'watched') }}
        where linkage = 'number'
    ) as followed
    inner join admission_visits on followed.next_episode_key = admission_visits.event_key
),

{#- A test may be of another person than its visit is. -#}
{% for name, fact, key in [
    ('procedure', 'fct_procedures', 'procedure_key'),
    ('laboratory', 'fct_lab_results', 'lab_result_key'),
    ('dispensing', 'fct_dispensings', 'dispensing_key'),
] -%}
{{ name }}_visits as (
    select
        {{ key }} as event_key,
        visit_key
    from {{ ref(fact) if name == 'laboratory' else of_affected(ref(fact), 'watched') }}
    where visit_key is not null
),

{% endfor -%}
fired as (
    {%- for measure, rule in measures.items() %}
    select
        '{{ measure }}' as measure,
        {{ 'found.visit_key' if rule.visits_of_events else 'events.event_key' }} as visit_key
    {%- if rule.visits_of_events == 'laboratory_visits' %}
    from {{ ref('msr_' ~ measure) }} as events
    {%- else %}
    from {{ of_affected(ref('msr_' ~ measure), 'watched') }} as events
    {%- endif %}
    {%- if rule.visits_of_events %}
    inner join {{ rule.visits_of_events }} as found on events.event_key = found.event_key
    {%- endif %}
    where events.variant = 'main' and events.is_numerator
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

-- Rows of a merged visit share what fired on one of them.
fired_on_merged as (
    select
        visits.merged_visit_key
        {%- for measure in measures %},
        max(case when fired.measure = '{{ measure }}' then 1 else 0 end) as is_{{ measure }}
        {%- endfor %}
    from fired
    inner join visits on fired.visit_key = visits.visit_key
    group by visits.merged_visit_key
),

-- A fault is of the one record.
records_at_fault as (
    select event_key as visit_key
    from {{ of_affected(ref('msr_red_08'), 'watched') }}
    where variant = 'main' and is_numerator
),

flagged as (
    select
        visits.visit_key,
        visits.hospcode,
        visits.date_serv,
        visits.service_month,
        visits.visit_class,
        visits.treatment_province_code,
        visits.person_key,
        visits.price,
        {%- for measure in measures %}
        coalesce(fired_on_merged.is_{{ measure }}, 0) = 1 as is_{{ measure }},
        {%- endfor %}
        records_at_fault.visit_key is not null as is_red_08
    from visits
    left join fired_on_merged on visits.merged_visit_key = fired_on_merged.merged_visit_key
    left join records_at_fault on visits.visit_key = records_at_fault.visit_key
)

select
    visit_key,
    hospcode,
    date_serv,
    service_month,
    visit_class,
    treatment_province_code,
    person_key,
    cast(price as decimal(18, 2)) as price,
    is_red_08,
    {%- for measure in measures %}
    is_{{ measure }},
    {%- endfor %}
    case
        when is_red_08 then 'data_issue'
        {%- for label in labels if label in measures.values() | map(attribute='label') %}
        when
            {% for measure, rule in measures.items() if rule.label == label -%}
            is_{{ measure }}{% if not loop.last %} or {% endif %}
            {%- endfor %} then '{{ label }}'
        {%- endfor %}
        else 'not_flagged'
    end as label
from flagged
{{ clustered_by('person_key') }}
