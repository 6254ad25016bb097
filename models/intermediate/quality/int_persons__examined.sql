{{ config(materialized='incremental', incremental_strategy='by_affected_registration') }}

with persons as (
    select * from {{ of_affected(ref('stg_f43__person'), 'registration') }}
),

identified as (
    select * from {{ ref('int_persons__identified') }}
),

deaths as (
    select * from {{ ref('stg_f43__death') }}
),

residences as (
    select
        identified.person_key,
        count(*) as n_residences
    from identified
    inner join persons on identified.hospcode = persons.hospcode and identified.pid = persons.pid
    where persons.typearea in ('1', '3') and persons.discharge = '9' and identified.person_tier = 'A'
    group by identified.person_key
),

deliveries as (
    select * from {{ ref('stg_ruam__deliveries') }}
),

examined as (
    select
        persons.hospcode,
        persons.pid,
        'PERSON' as file,
        persons.pid as record,
        coalesce({{ date_of('persons.d_update') }}, {{ date_of('deliveries.sent_at') }}) as event_date,
        persons.delivery_id,
        persons.source_line,
        persons.cid_class,
        persons.sex,
        persons.birth_month,
        persons.nation,
        persons.labor,
        persons.typearea,
        persons.discharge,
        persons.ddischarge as discharge_date,
        persons.movein as moved_in_date,
        persons.mstatus,
        persons.occupation_new as occupation,
        persons.race,
        deaths.ddeath as death_date,
        cast(coalesce(residences.n_residences, 0) as integer) as n_residences
    from persons
    left join identified on persons.hospcode = identified.hospcode and persons.pid = identified.pid
    left join deaths on persons.hospcode = deaths.hospcode and persons.pid = deaths.pid
    left join residences on identified.person_key = residences.person_key
    left join deliveries on persons.delivery_id = deliveries.delivery_id
)

{{ examined_rows('int_persons__examined', 'examined') }}
