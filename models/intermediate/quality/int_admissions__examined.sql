{{ config(materialized='incremental', incremental_strategy='by_affected_registration') }}

with admissions as (
    select * from {{ of_affected(ref('stg_f43__admission'), 'registration') }}
),

persons as (
    select * from {{ ref('stg_f43__person') }}
),

identified as (
    select * from {{ ref('int_persons__identified') }}
),

deaths as (
    select * from {{ ref('stg_f43__death') }}
),

diagnoses as (
    select
        hospcode,
        an,
        count(*) as n_diagnoses,
        sum(case when diagtype = '1' then 1 else 0 end) as n_principal_diagnoses
    from {{ of_affected(ref('stg_f43__diagnosis_ipd'), 'stay') }}
    group by hospcode, an
),

stays as (
    select
        admissions.hospcode,
        admissions.an,
        admissions.datetime_admit,
        admissions.datetime_disch,
        identified.person_key
    from admissions
    inner join identified on admissions.hospcode = identified.hospcode and admissions.pid = identified.pid
    where admissions.datetime_disch is not null and identified.person_tier = 'A'
),

elsewhere as (
    select distinct
        one.hospcode,
        one.an
    from stays as one
    inner join stays as other
        on
            one.person_key = other.person_key
            and one.hospcode <> other.hospcode
            and one.datetime_admit < other.datetime_disch
            and other.datetime_admit < one.datetime_disch
),

deliveries as (
    select * from {{ ref('stg_ruam__deliveries') }}
),

examined as (
    select
        admissions.hospcode,
        admissions.pid,
        'ADMISSION' as file,
        {{ record_of(['admissions.an', 'admissions.pid', 'admissions.datetime_disch']) }} as record,
        coalesce({{ date_of('admissions.datetime_disch') }}, {{ date_of('admissions.datetime_admit') }}) as event_date,
        admissions.delivery_id,
        admissions.source_line,
        {{ days_between(date_of('admissions.datetime_disch'), date_of('deliveries.sent_at')) }} as days_to_send,
        persons.pid is not null as is_person_sent,
        persons.birth_month,
        admissions.datetime_admit as admitted_at,
        {{ date_of('admissions.datetime_admit') }} as admitted_date,
        admissions.datetime_disch as discharged_at,
        {{ days_between(date_of('admissions.datetime_admit'), date_of('admissions.datetime_disch')) }} as bed_days,
        admissions.actlos as stated_bed_days,
        deaths.ddeath as death_date,
        admissions.dischstatus as discharge_status,
        admissions.dischtype as discharge_type,
        admissions.referouthosp,
        admissions.instype,
        admissions.drg,
        admissions.adjrw as adjusted_relative_weight,
        admissions.cost,
        admissions.price,
        admissions.actualpay as actual_pay,
        cast(coalesce(diagnoses.n_diagnoses, 0) as integer) as n_diagnoses,
        cast(coalesce(diagnoses.n_principal_diagnoses, 0) as integer) as n_principal_diagnoses,
        elsewhere.an is not null as is_elsewhere_too
    from admissions
    left join persons on admissions.hospcode = persons.hospcode and admissions.pid = persons.pid
    left join deaths on admissions.hospcode = deaths.hospcode and admissions.pid = deaths.pid
    left join diagnoses on admissions.hospcode = diagnoses.hospcode and admissions.an = diagnoses.an
    left join elsewhere on admissions.hospcode = elsewhere.hospcode and admissions.an = elsewhere.an
    left join deliveries on admissions.delivery_id = deliveries.delivery_id
)

{{ examined_rows('int_admissions__examined', 'examined') }}
