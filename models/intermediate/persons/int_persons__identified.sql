{{ config(materialized='incremental', incremental_strategy='by_registration') }}

with pairs as (
    select hospcode, pid from {{ of_affected(ref('stg_f43__person'), 'changed') }}
    union distinct
    select hospcode, pid from {{ of_affected(ref('stg_f43__service'), 'changed') }}
    union distinct
    select hospcode, pid from {{ of_affected(ref('stg_f43__admission'), 'changed') }}
),

persons as (
    select * from {{ of_affected(ref('int_persons__classified'), 'changed') }}
),

links as (
    select * from {{ ref('stg_identity__person_links') }}
),

numbered as (
    select
        pairs.hospcode,
        pairs.pid,
        case when persons.cid_class = 'valid' then persons.cid_pseudonym end as number_key,
        persons.cid_class,
        persons.nationality_group,
        persons.pid is not null as is_registered
    from pairs
    left join persons on pairs.hospcode = persons.hospcode and pairs.pid = persons.pid
),

keyed as (
    select
        numbered.hospcode,
        numbered.pid,
        -- Links may be older than the landing: a number that came since goes before them.
        coalesce(
            numbered.number_key,
            links.person_key,
            {{ key_of_own('numbered.hospcode', 'numbered.pid') }}
        ) as person_key,
        coalesce(
            numbered.number_key,
            links.wide_person_key,
            {{ key_of_own('numbered.hospcode', 'numbered.pid') }}
        ) as wide_person_key,
        case
            when numbered.number_key is not null then 'A'
            else coalesce(links.person_tier, 'C')
        end as person_tier,
        numbered.cid_class,
        numbered.nationality_group,
        numbered.is_registered
    from numbered
    left join links on numbered.hospcode = links.hospcode and numbered.pid = links.pid
)

select
    hospcode,
    pid,
    person_key,
    wide_person_key,
    -- Counting people by number costs a fifth of counting them by key.
    {{ number_of_key('person_key') }} as person_number,
    person_tier,
    cid_class,
    nationality_group,
    is_registered
from keyed
{{ clustered_by('person_key') }}
