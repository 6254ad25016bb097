with pairs as (
    select hospcode, pid from {{ ref('stg_f43__person') }}
    union distinct
    select hospcode, pid from {{ ref('stg_f43__service') }}
    union distinct
    select hospcode, pid from {{ ref('stg_f43__admission') }}
),

persons as (
    select * from {{ ref('int_persons__classified') }}
),

tiers as (
    select
        pairs.hospcode,
        pairs.pid,
        persons.cid_pseudonym,
        persons.cid_class,
        persons.nationality_group,
        case
            when persons.cid_class = 'valid' and persons.cid_pseudonym is not null then 'A' else 'C'
        end as person_tier,
        persons.pid is not null as is_registered
    from pairs
    left join persons on pairs.hospcode = persons.hospcode and pairs.pid = persons.pid
),

keyed as (
    select
        hospcode,
        pid,
        case
            when person_tier = 'A' then cid_pseudonym else {{ surrogate_key(["'C'", 'hospcode', 'pid']) }}
        end as person_key,
        person_tier,
        cid_class,
        nationality_group,
        is_registered
    from tiers
)

select
    hospcode,
    pid,
    person_key,
    -- Counting people by a small number costs a fifth of counting them by key. Another build may number them otherwise.
    cast(dense_rank() over (order by person_key) as integer) as person_number,
    person_tier,
    cid_class,
    nationality_group,
    is_registered
from keyed
