{{ config(materialized='incremental', incremental_strategy='by_affected_registration') }}

{#- Lines of visits and of stays go each their own way: what is known of the care that a line belongs to is held for one
    kind at a time, and no line is held while it is counted. -#}
{%- set kinds = {
    'DIAGNOSIS_OPD': {
        'lines': of_affected(ref('stg_f43__diagnosis_opd'), 'visit'), 'number': 'seq', 'date': 'date_serv',
        'record': ['date_serv', 'seq', 'diagnosis_code'],
    },
    'DIAGNOSIS_IPD': {
        'lines': of_affected(ref('stg_f43__diagnosis_ipd'), 'stay'), 'number': 'an', 'date': date_of('datetime_admit'),
        'record': ['an', 'pid', 'datetime_admit', 'diagnosis_code'],
    },
} -%}
with
{%- for file, kind in kinds.items() %}
{{ file | lower }} as (
    select
        hospcode,
        pid,
        {{ kind.number }} as care_number,
        {{ record_of(kind.record) }} as record,
        {{ kind.date }} as event_date,
        diagtype,
        diagnosis_code,
        delivery_id,
        source_line
    from {{ kind.lines }}
),

{{ file | lower }}_sides as (
    select
        hospcode,
        {{ kind.number }} as care_number,
        {{ kind.date }} as event_date,
        sum(case when diagtype = '1' then 1 else 0 end) as n_principal,
        sum(case when diagtype = '5' then 1 else 0 end) as n_external
    from {{ kind.lines }}
    group by hospcode, {{ kind.number }}, {{ kind.date }}
),

{{ file | lower }}_cares as (
    {{ cares_of_lines(file) }}
),
{% endfor %}
diagnoses as (
    {%- for file in kinds %}
    select
        lines.*,
        '{{ file }}' as file,
        cares.care_number is not null as has_care,
        sides.n_principal,
        sides.n_external
    from {{ file | lower }} as lines
    inner join {{ file | lower }}_sides as sides
        on
            lines.hospcode = sides.hospcode
            and lines.care_number = sides.care_number
            and lines.event_date = sides.event_date
    left join {{ file | lower }}_cares as cares
        on
            lines.hospcode = cares.hospcode
            and lines.care_number = cares.care_number
            and lines.event_date = cares.care_date
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

persons as (
    select * from {{ ref('stg_f43__person') }}
),

examined as (
    select
        diagnoses.hospcode,
        diagnoses.pid,
        diagnoses.file,
        diagnoses.record,
        diagnoses.event_date,
        diagnoses.delivery_id,
        diagnoses.source_line,
        diagnoses.diagnosis_code,
        {{ matches_pattern('diagnoses.diagnosis_code', "'^[A-Z][0-9]{2}[0-9A-Z]{0,3}$'") }} as has_icd10_form,
        diagnoses.diagtype as diagnosis_type,
        persons.sex,
        {{ age_years('persons.birth_month', 'diagnoses.event_date') }} as age,
        diagnoses.has_care,
        cast(diagnoses.n_principal as integer) as n_principal,
        cast(diagnoses.n_external as integer) as n_external
    from diagnoses
    left join persons on diagnoses.hospcode = persons.hospcode and diagnoses.pid = persons.pid
)

{{ examined_rows('int_diagnoses__examined', 'examined') }}
