{{ config(materialized='incremental', incremental_strategy='by_person') }}

-- A register tells one right after another: each holds until it expires, and no longer than to the day before the next.
with cards as (
    select
        *,
        instype_new as instype,
        coalesce(startdate, {{ date_literal('1900-01-01') }}) as valid_from
    from {{ of_affected(ref('stg_f43__card'), 'registration') }}
),

followed as (
    select
        *,
        lead(valid_from) over (
            partition by hospcode, pid
            order by valid_from, d_update nulls first, delivery_id, source_line
        ) as next_from
    from cards
),

spells as (
    select
        *,
        case
            when expiredate < {{ add_days('next_from', -1) }} then expiredate
            else coalesce({{ add_days('next_from', -1) }}, expiredate, {{ date_literal('9999-12-31') }})
        end as valid_to
    from followed
),

rights as (
    {{ groups_of_rights('cards') }}
),

placed as (
    {{ with_person_and_place('spells') }}
),

homes as (
    select * from {{ ref('int_facilities__classified') }}
)

select
    placed.hospcode,
    placed.pid,
    placed.person_key,
    placed.person_tier,
    placed.wide_person_key,
    placed.instype,
    coalesce(rights.right_group, 'unknown') as right_group,
    nullif(placed.main, '') as main_hospcode,
    nullif(placed.sub, '') as sub_hospcode,
    coalesce(homes.province_code, '99') as home_province_code,
    placed.valid_from,
    placed.valid_to,
    placed.is_person_unknown as is_orphan,
    placed.delivery_id
from placed
left join rights on placed.instype = rights.instype
left join homes on placed.main = homes.hospcode
-- Told again from the same day on, the newer word holds alone.
where placed.valid_from <= placed.valid_to
