with affected as (
    select * from {{ ref('int_persons__affected') }}
),

identified as (
    select * from {{ ref('int_persons__identified') }}
),

-- Who has tests and is in no register may be tied to an affected person by the visit of one.
unregistered as (
    select distinct
        tests.hospcode,
        tests.pid
    from {{ ref('stg_f43__labfu') }} as tests
    left join identified on tests.hospcode = identified.hospcode and tests.pid = identified.pid
    where identified.pid is null
)

select
    identified.hospcode,
    identified.pid
from identified
inner join affected on identified.person_key = affected.person_key
union distinct
select
    unregistered.hospcode,
    unregistered.pid
from unregistered
inner join affected on {{ key_of_own('unregistered.hospcode', 'unregistered.pid') }} = affected.person_key
union distinct
select
    hospcode,
    pid
from {{ ref('int_registrations__reached') }}
