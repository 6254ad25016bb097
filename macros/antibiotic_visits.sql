{#-
  One row for each visit, of the classes that the measure's parameter names, whose principal diagnosis is in `set_id`:
  did an antibiotic go with it? Not counted: visits that ended in admission, and those with another infection or a weak
  immune system among their diagnoses.
-#}
{% macro antibiotic_visits(measure_id, set_id) -%}
{%- set visit = merged_visit().split(', ') -%}
with dispensings as (
    select
        visit_key,
        atc_code,
        price
    from {{ of_affected(ref('fct_dispensings')) }}
    where setting = 'opd' and atc_code is not null
),

antibiotics as (
    {{ codes_of_set('dispensings', 'atc_code', 'CS_ABX') }}
),

-- On the visit, which may be several rows of one facility, person, day and class: not on the person over a period.
treated as (
    select
        {% for column in visit -%}
        visits.{{ column }},
        {% endfor -%}
        sum(dispensings.price) as price
    from dispensings
    inner join antibiotics on dispensings.atc_code = antibiotics.atc_code
    inner join {{ of_affected(ref('int_visits__enriched')) }} as visits on dispensings.visit_key = visits.visit_key
    group by {% for column in visit %}visits.{{ column }}{% if not loop.last %}, {% endif %}{% endfor %}
),

excluded as (
    select distinct
        person_key,
        hospcode,
        diagnosis_date
    from {{ of_affected(ref('int_diagnoses__grouped')) }}
    where set_id in ('CS_OTHER_INFECTION', 'CS_IMMUNE')
)

select
    '{{ measure_id }}' as measure_id,
    'main' as variant,
    visits.visit_key as event_key,
    visits.date_serv as event_date,
    visits.service_month,
    visits.hospcode,
    visits.treatment_province_code as province_code,
    visits.person_key,
    treated.hospcode is not null as is_numerator,
    visits.person_tier in ('A', 'B') as is_linkable,
    cast(null as double) as value,
    cast(treated.price as decimal(18, 2)) as price
from {{ of_affected(ref('int_visits__indexed')) }} as visits
left join treated
    on
        {% for column in visit -%}
        visits.{{ column }} = treated.{{ column }}{% if not loop.last %}
        and {% endif %}
        {%- endfor %}
left join excluded
    on
        visits.person_key = excluded.person_key
        and visits.hospcode = excluded.hospcode
        and visits.date_serv = excluded.diagnosis_date
where
    visits.set_id = '{{ set_id }}'
    and lower(visits.visit_class) in {{ parameter_list(measure_id, 'visit_classes') }}
    and coalesce(visits.typeout, '') <> '2'
    and excluded.person_key is null
{%- endmacro %}
