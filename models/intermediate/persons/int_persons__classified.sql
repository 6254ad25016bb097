{{ config(materialized='incremental', incremental_strategy='by_registration') }}

with registrations as (
    select
        hospcode,
        pid,
        cid_pseudonym,
        coalesce(cid_class, 'missing') as cid_class,
        year(birth_month) as birth_year,
        nation
    from {{ of_affected(ref('stg_f43__person'), 'changed') }}
),

-- Nearly all numbers have one birth year, and need no ranking.
disputed as (
    select cid_pseudonym
    from registrations
    where cid_class = 'valid'
    group by cid_pseudonym
    having min(birth_year) <> max(birth_year)
),

told as (
    select
        registrations.cid_pseudonym,
        registrations.birth_year,
        count(*) as n_registrations,
        min(registrations.hospcode || registrations.pid) as first_registration
    from registrations
    inner join disputed on registrations.cid_pseudonym = disputed.cid_pseudonym
    where registrations.birth_year is not null
    group by registrations.cid_pseudonym, registrations.birth_year
),

ranked as (
    select
        cid_pseudonym,
        birth_year,
        row_number() over (
            partition by cid_pseudonym
            order by n_registrations desc, first_registration
        ) as place
    from told
)

select
    registrations.hospcode,
    registrations.pid,
    registrations.cid_pseudonym,
    case
        -- A year beside is typed for the same person often; a number typed wrong is of somebody of another age.
        when registrations.cid_class = 'valid' and abs(registrations.birth_year - ranked.birth_year) > 1
            then 'birth_year_mismatch'
        else registrations.cid_class
    end as cid_class,
    {{ nationality_group('registrations.nation') }} as nationality_group
from registrations
left join ranked on registrations.cid_pseudonym = ranked.cid_pseudonym and ranked.place = 1
