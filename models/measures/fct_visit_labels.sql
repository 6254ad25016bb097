{#- Measures of which an event is a merged visit, under the label that they give. -#}
{%- set of_visits = {
    'RED-01': 'redundant', 'RED-02': 'redundant', 'NEC-03': 'potentially_avoidable', 'NEC-04': 'potentially_avoidable',
} -%}
{%- set flags = {
    'RED-08': 'data_issue', 'RED-01': 'redundant', 'RED-02': 'redundant', 'RED-03': 'redundant',
    'NEC-02': 'potentially_avoidable', 'NEC-03': 'potentially_avoidable', 'NEC-04': 'potentially_avoidable',
} -%}
{%- set labels = ['data_issue', 'redundant', 'unreasonable', 'potentially_avoidable'] -%}

with visits as (
    select * from {{ ref('fct_visits') }}
),

merged_visits as (
    select * from {{ ref('int_visits__qualified') }}
),

-- What fired, by the key of the merged visit.
fired as (
    {%- for measure in of_visits %}
    select
        '{{ measure }}' as measure_id,
        event_key as merged_visit_key
    from {{ ref('msr_' ~ measure | lower | replace('-', '_')) }}
    where variant = 'main' and is_numerator
    union all
    {%- endfor %}
    -- The flag sits on what came later: not on the first visit of the illness.
    select
        'RED-03' as measure_id,
        chained.visit_key as merged_visit_key
    from {{ ref('msr_red_03') }} as illnesses
    inner join {{ ref('int_visits__chained') }} as chained on illnesses.event_key = chained.illness_key
    where illnesses.is_numerator and not chained.is_first_visit
),

fired_on_merged as (
    select
        merged_visit_key
        {%- for measure in flags if measure not in ('RED-08', 'NEC-02') %},
        max(case when measure_id = '{{ measure }}' then 1 else 0 end) as {{ measure | lower | replace('-', '_') }}
        {%- endfor %}
    from fired
    group by merged_visit_key
),

records_at_fault as (
    select event_key as visit_key
    from {{ ref('msr_red_08') }}
    where variant = 'main' and is_numerator
),

-- The visit that led to the admission bears its SEQ.
led_to_admission as (
    select distinct
        admissions.hospcode,
        admissions.pid,
        admissions.seq
    from {{ ref('msr_nec_02') }} as sensitive
    inner join {{ ref('fct_admissions') }} as admissions on sensitive.event_key = admissions.admission_key
    where sensitive.variant = 'main'
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
        records_at_fault.visit_key is not null as is_red_08,
        coalesce(fired_on_merged.red_01, 0) = 1 as is_red_01,
        coalesce(fired_on_merged.red_02, 0) = 1 as is_red_02,
        coalesce(fired_on_merged.red_03, 0) = 1 as is_red_03,
        led_to_admission.hospcode is not null as is_nec_02,
        coalesce(fired_on_merged.nec_03, 0) = 1 as is_nec_03,
        coalesce(fired_on_merged.nec_04, 0) = 1 as is_nec_04
    from visits
    inner join merged_visits
        on
            {% for column in merged_visit().split(', ') -%}
            visits.{{ column }} = merged_visits.{{ column }}{% if not loop.last %}
            and {% endif %}
            {%- endfor %}
    left join fired_on_merged on merged_visits.visit_key = fired_on_merged.merged_visit_key
    left join records_at_fault on visits.visit_key = records_at_fault.visit_key
    left join led_to_admission
        on
            visits.typeout = '2'
            and visits.hospcode = led_to_admission.hospcode
            and visits.pid = led_to_admission.pid
            and visits.seq = led_to_admission.seq
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
    {%- for measure in flags %}
    is_{{ measure | lower | replace('-', '_') }},
    {%- endfor %}
    case
        {%- for label in labels if label in flags.values() %}
        when
            {% for measure, of_label in flags.items() if of_label == label -%}
            is_{{ measure | lower | replace('-', '_') }}{% if not loop.last %} or {% endif %}
            {%- endfor %} then '{{ label }}'
        {%- endfor %}
        else 'not_flagged'
    end as label
from flagged
