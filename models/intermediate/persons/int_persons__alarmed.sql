{#- What one person cannot have done: signs that two people were taken for one (measures.md, RED-08 and §5). -#}
with persons as (
    select * from {{ of_affected(ref('int_persons__identified')) }}
),

stays as (
    select
        persons.person_key,
        admissions.hospcode,
        admissions.an,
        admissions.datetime_admit as admitted_at,
        admissions.datetime_disch as discharged_at
    from {{ ref('stg_f43__admission') }} as admissions
    inner join persons on admissions.hospcode = persons.hospcode and admissions.pid = persons.pid
),

deaths as (
    select
        persons.person_key,
        min(deaths.ddeath) as died_on
    from {{ ref('stg_f43__death') }} as deaths
    inner join persons on deaths.hospcode = persons.hospcode and deaths.pid = persons.pid
    group by persons.person_key
),

visits as (
    select
        persons.person_key,
        visits.date_serv
    from {{ ref('stg_f43__service') }} as visits
    inner join persons on visits.hospcode = persons.hospcode and visits.pid = persons.pid
),

registers as (
    select
        persons.person_key,
        registered.sex,
        registered.birth_month,
        registered.nation
    from {{ ref('stg_f43__person') }} as registered
    inner join persons on registered.hospcode = persons.hospcode and registered.pid = persons.pid
),

alarms as (
    select
        one.person_key,
        'in two hospitals at once' as alarm
    from stays as one
    inner join stays as other
        on
            one.person_key = other.person_key
            and one.hospcode < other.hospcode
            and one.admitted_at < other.discharged_at
            and other.admitted_at < one.discharged_at
    union distinct
    select
        visits.person_key,
        'service after death' as alarm
    from visits
    inner join deaths on visits.person_key = deaths.person_key
    where visits.date_serv > deaths.died_on
    union distinct
    select
        person_key,
        'births more than two years apart' as alarm
    from registers
    group by person_key
    having {{ days_between('min(birth_month)', 'max(birth_month)') }} > 731
    union distinct
    select
        person_key,
        'both sexes, each in two registers' as alarm
    from registers
    group by person_key
    having
        count(case when sex = '1' then 1 end) >= 2
        and count(case when sex = '2' then 1 end) >= 2
    union distinct
    select
        stays.person_key,
        'a delivery by a child' as alarm
    from stays
    inner join {{ ref('stg_f43__diagnosis_ipd') }} as diagnoses
        on stays.hospcode = diagnoses.hospcode and stays.an = diagnoses.an
    inner join registers on stays.person_key = registers.person_key
    where
        diagnoses.diagtype = '1'
        and diagnoses.diagnosis_code between 'O80' and 'O849'
        and {{ days_between('registers.birth_month', date_of('stays.admitted_at')) }} < 3652
),

linked as (
    select
        person_key,
        max(case when person_tier = 'B' then 1 else 0 end) = 1 as is_linked
    from persons
    group by person_key
)

select
    alarms.person_key,
    alarms.alarm,
    linked.is_linked
from alarms
inner join linked on alarms.person_key = linked.person_key
