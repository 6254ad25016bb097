{{ config(materialized='incremental', incremental_strategy='by_affected_registration') }}

with services as (
    select * from {{ of_affected(ref('stg_f43__service'), 'registration') }}
),

persons as (
    select * from {{ ref('stg_f43__person') }}
),

deaths as (
    select * from {{ ref('stg_f43__death') }}
),

diagnoses as (
    select
        hospcode,
        seq,
        date_serv,
        count(*) as n_diagnoses,
        sum(case when diagtype = '1' then 1 else 0 end) as n_principal_diagnoses
    from {{ of_affected(ref('stg_f43__diagnosis_opd'), 'visit') }}
    group by hospcode, seq, date_serv
),

stays as (
    select distinct
        hospcode,
        seq
    from {{ ref('stg_f43__admission') }}
),

deliveries as (
    select * from {{ ref('stg_ruam__deliveries') }}
),

examined as (
    select
        services.hospcode,
        services.pid,
        'SERVICE' as file,
        {{ record_of(['services.date_serv', 'services.seq']) }} as record,
        services.date_serv as event_date,
        services.delivery_id,
        services.source_line,
        {{ days_between('services.date_serv', date_of('deliveries.sent_at')) }} as days_to_send,
        {{ date_of('services.d_update') }} as updated_date,
        persons.pid is not null as is_person_sent,
        persons.birth_month,
        {{ age_years('persons.birth_month', 'services.date_serv') }} as age,
        deaths.ddeath as death_date,
        services.time_serv as service_time,
        services.intime as is_in_hours,
        services.typein,
        services.typeout,
        services.instype,
        services.main,
        services.referinhosp,
        services.referouthosp,
        services.btemp as temperature,
        services.sbp as systolic,
        services.dbp as diastolic,
        services.pr as pulse,
        services.rr as respiration,
        services.cost,
        services.price,
        services.payprice as pay_price,
        services.actualpay as actual_pay,
        cast(coalesce(diagnoses.n_diagnoses, 0) as integer) as n_diagnoses,
        cast(coalesce(diagnoses.n_principal_diagnoses, 0) as integer) as n_principal_diagnoses,
        stays.seq is not null as has_stay
    from services
    left join persons on services.hospcode = persons.hospcode and services.pid = persons.pid
    left join deaths on services.hospcode = deaths.hospcode and services.pid = deaths.pid
    left join diagnoses
        on
            services.hospcode = diagnoses.hospcode
            and services.seq = diagnoses.seq
            and services.date_serv = diagnoses.date_serv
    left join stays on services.hospcode = stays.hospcode and services.seq = stays.seq
    left join deliveries on services.delivery_id = deliveries.delivery_id
)

{{ examined_rows('int_services__examined', 'examined') }}
