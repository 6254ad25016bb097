{#- Read where it is needed: as an expression of its own it would be held in memory, and a recursion cannot spill. -#}
{%- set identified = ref('int_persons__identified') -%}
with recursive reached as (
    select * from {{ ref('int_registrations__reached') }}
),

seeds as (
    select person_key from {{ ledger('changed_persons') }}
    union distinct
    select wide_person_key as person_key from {{ ledger('changed_persons') }}
    union distinct
    select identified.person_key
    from {{ identified }} as identified
    inner join reached on identified.hospcode = reached.hospcode and identified.pid = reached.pid
    union distinct
    -- Of lines whose sender registers nobody by that number, now or before.
    select {{ key_of_own('hospcode', 'pid') }} as person_key
    from reached
),

lines_of_others as (
    select
        tests.hospcode,
        tests.pid,
        services.pid as other_pid
    from {{ ref('stg_f43__labfu') }} as tests
    inner join {{ ref('stg_f43__service') }} as services
        on
            tests.hospcode = services.hospcode
            and tests.seq = services.seq
            and tests.date_serv = services.date_serv
            and tests.pid <> services.pid
),

-- Keys that stand for one person at some threshold of linkage; and people of whom one's test is at the other's visit.
pairs as (
    select
        person_key,
        wide_person_key as other_key
    from {{ identified }}
    where person_key <> wide_person_key
    union distinct
    select
        coalesce(identified.person_key, {{ key_of_own('lines.hospcode', 'lines.pid') }}) as person_key,
        others.person_key as other_key
    from lines_of_others as lines
    left join {{ identified }} as identified on lines.hospcode = identified.hospcode and lines.pid = identified.pid
    inner join {{ identified }} as others on lines.hospcode = others.hospcode and lines.other_pid = others.pid
),

ties as (
    select
        person_key,
        other_key
    from pairs
    union all
    select
        other_key as person_key,
        person_key as other_key
    from pairs
),

{{ reached_by_ties('affected', 'seeds', 'ties') }}

select person_key from affected
