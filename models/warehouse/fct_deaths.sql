{{ config(materialized='incremental', incremental_strategy='by_person') }}

with deaths as (
    select * from {{ of_affected(ref('stg_f43__death'), 'registration') }}
),

placed as (
    {{ with_person_and_place('deaths') }}
)

select
    {{ surrogate_key(['hospcode', 'pid']) }} as death_key,
    hospcode,
    person_key,
    person_tier,
    wide_person_key,
    treatment_province_code,
    ddeath as death_date,
    {{ month_start('ddeath') }} as death_month,
    underlying_cause_code,
    case pdeath when '1' then true when '2' then false end as is_in_facility,
    -- 00000 stands for no facility.
    nullif(hospdeath, '00000') as death_hospcode,
    pregdeath as pregnancy_state,
    row_number() over (
        partition by person_key
        order by d_update desc nulls last, hospcode, pid
    ) = 1 as is_newest_of_person,
    is_person_unknown as is_orphan,
    delivery_id
from placed
