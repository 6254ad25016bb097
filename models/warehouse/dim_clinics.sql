{%- set facts = ['diagnoses', 'dispensings', 'procedures', 'charges', 'appointments', 'referrals'] -%}

with codes as (
    {%- for fact in facts %}
    select clinic_code from {{ ref('fct_' ~ fact) }}
    where clinic_code is not null
    {%- if not loop.last %}
    union distinct
    {%- endif %}
    {%- endfor %}
),

shaped as (
    select
        clinic_code,
        case when {{ matches_pattern('clinic_code', "'^[01][0-9]{4}$'") }} then substr(clinic_code, 1, 1) end as side,
        {{ department_of_clinic('clinic_code') }}
            as department_code
    from codes
),

departments as (
    select * from {{ ref('clinic_departments') }}
)

select
    shaped.clinic_code,
    case shaped.side when '0' then 'opd' when '1' then 'ipd' else 'unknown' end as setting,
    coalesce(departments.department_code, 'unknown') as department_code,
    coalesce(departments.label_th, 'ไม่ทราบแผนก') as department_th,
    coalesce(departments.label_en, 'Unknown department') as department_en,
    departments.department_code is not null as is_known
from shaped
left join departments on shaped.department_code = departments.department_code
