{%- set classes = ['charlson', 'pregnancy', 'single_diabetes', 'single_hypertension', 'single_lipid'] -%}

with diagnoses as (
    select
        hospcode,
        pid,
        diagnosis_code,
        date_serv as diagnosed_on
    from {{ of_affected(ref('stg_f43__diagnosis_opd'), 'registration') }}
    union all
    select
        hospcode,
        pid,
        diagnosis_code,
        {{ date_of('datetime_admit') }} as diagnosed_on
    from {{ of_affected(ref('stg_f43__diagnosis_ipd'), 'registration') }}
    union all
    select
        hospcode,
        pid,
        chronic_code as diagnosis_code,
        date_diag as diagnosed_on
    from {{ of_affected(ref('stg_f43__chronic'), 'registration') }}
    where date_diag is not null
),

-- Not from the lines above: read twice, they would be held in memory whole.
coded as (
    select diagnosis_code from {{ of_affected(ref('stg_f43__diagnosis_opd'), 'registration') }}
    union all
    select diagnosis_code from {{ of_affected(ref('stg_f43__diagnosis_ipd'), 'registration') }}
    union all
    select chronic_code as diagnosis_code from {{ of_affected(ref('stg_f43__chronic'), 'registration') }}
),

code_classes as (
    {{ sets_of_codes('coded', 'diagnosis_code', classes) }}
)

select
    identified.person_key,
    code_classes.set_id as diagnosis_class,
    {{ month_start('diagnoses.diagnosed_on') }} as diagnosis_month,
    min(diagnoses.diagnosed_on) as first_diagnosed_on
from diagnoses
inner join code_classes on diagnoses.diagnosis_code = code_classes.diagnosis_code
inner join {{ ref('int_persons__identified') }} as identified
    on diagnoses.hospcode = identified.hospcode and diagnoses.pid = identified.pid
group by identified.person_key, code_classes.set_id, {{ month_start('diagnoses.diagnosed_on') }}
