with staff as (
    select
        *,
        -- Several kinds may stand in it, joined by commas: the first is the main one.
        {{ part_of('providertype', "'^[ ]*([0-9]+)'", 1) }} as kind_code
    from {{ ref('stg_f43__provider') }}
),

kinds as (
    select * from {{ ref('provider_kinds') }}
)

select
    {{ key_of_provider('staff.hospcode', 'staff.provider') }} as provider_key,
    staff.hospcode,
    staff.council,
    staff.kind_code,
    coalesce(kinds.kind_group, 'unknown') as kind_group,
    coalesce(kinds.label_th, 'ไม่ทราบประเภท') as kind_th,
    coalesce(kinds.label_en, 'Unknown kind') as kind_en,
    kinds.kind_code is not null as is_known,
    coalesce(staff.startdate, {{ date_literal('1900-01-01') }}) as valid_from,
    coalesce(staff.outdate, {{ date_literal('9999-12-31') }}) as valid_to,
    staff.delivery_id
from staff
left join kinds on staff.kind_code = kinds.kind_code
